/* test_mcmc.c - Markov chains and what is made of them.
 *   one step      every kernel against an independent loop in double that is given the same random numbers
 *   moments       Gaussians and mixtures in 2, 10 and 100 dimensions, within 4 of their own standard errors
 *   diagnosis     effective sample sizes of series whose autocorrelation is known
 *   log Z         annealed importance sampling from below and from above, and importance sampling by hand
 *   the plane     likelihoods and grids against sums in double
 *   the object    resumed runs, threads, batches, failures, and the sentence of every rule
 * Prints the gap between the two bounds of log Z. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"
#include "states.h"

#define PI 3.14159265358979323846
#define N 40                                /* chains, where a test says no other number */

/* A Gaussian that is not normalised: F = c - 1/2 sum (y - mean)^2 / variance. */
typedef struct gauss {
    int size, batch;
    double mean[100], variance[100], c;
    double wall;                            /* if above 0: where the sum is above it, F is -infinity */
    long calls, points;                     /* evaluations, and points evaluated */
    long fail_at;                           /* number of the evaluation that fails */
} gauss;

static drl_status gauss_eval(void *user, int n, const float *y, const int *level, const int *label, float *f,
                             float *gradient)
{
    gauss *g = (gauss *)user;
    int i, j;
    (void)level;
    (void)label;
    if (++g->calls == g->fail_at) return DRL_E_IO;
    g->points += n;
    for (i = 0; i < n; ++i) {
        double sum = 0;
        for (j = 0; j < g->size; ++j) {
            double d = (double)y[i * g->size + j] - g->mean[j];
            sum += d * d / g->variance[j];
            if (gradient) gradient[i * g->size + j] = (float)(-d / g->variance[j]);
        }
        if (f) f[i] = g->wall > 0 && sum > g->wall ? -HUGE_VALF : (float)(g->c - 0.5 * sum);
    }
    return DRL_OK;
}

static drl_energy gauss_energy(gauss *g)
{
    drl_energy e;
    memset(&e, 0, sizeof e);
    e.eval = gauss_eval;
    e.user = g;
    e.size = (size_t)g->size;
    e.batch = g->batch;
    return e;
}

static gauss gauss_of(int size)
{
    gauss g;
    int j;
    memset(&g, 0, sizeof g);
    g.size = size;
    g.batch = 1000;
    g.c = 3;
    for (j = 0; j < size; ++j) {
        g.mean[j] = 0.3 * (j % 5) - 0.5;
        g.variance[j] = 0.3 + 0.35 * (j % 3);
    }
    return g;
}

static double gauss_log_z(const gauss *g)
{
    double z = g->c;
    int j;
    for (j = 0; j < g->size; ++j) z += 0.5 * log(2 * PI * g->variance[j]);
    return z;
}

/* In the plane: F is the label on level 2, so that a test sees whether level and label reach the energy. */
static drl_status label_eval(void *user, int n, const float *y, const int *level, const int *label, float *f,
                             float *gradient)
{
    int i;
    (void)user;
    (void)y;
    for (i = 0; i < n; ++i) f[i] = !label ? -1 : level[i] == 2 ? (float)label[i] : 100;
    if (gradient) memset(gradient, 0, (size_t)n * 2 * sizeof *gradient);
    return DRL_OK;
}

static drl_energy label_energy(void)
{
    drl_energy e;
    memset(&e, 0, sizeof e);
    e.eval = label_eval;
    e.size = 2;
    e.batch = 3;
    return e;
}

/* Two components that differ in coordinate 0, on a level that is the data itself: a = abar = 1, and noise
 * that no float would show. */
typedef struct pair_of {
    drl_schedule schedule;
    double schedule_memory[8];
    drl_mixture mixture;
    double weight[2], mean[200], variance[200];
} pair_of;

static drl_energy pair_energy(pair_of *p, int size)
{
    static const double sbar[2] = { 1e-9, 1 };
    int j;
    memset(p, 0, sizeof *p);
    if (drl_schedule_of(sbar, 1, 1e-3, p->schedule_memory, &p->schedule) != DRL_OK) exit(3);
    p->weight[0] = 0.3;
    p->weight[1] = 0.7;
    for (j = 0; j < size; ++j) {
        p->mean[j] = j ? 0.2 : -1.2;
        p->mean[size + j] = j ? -0.1 : 1.0;
        p->variance[j] = j ? 1 : 0.6;
        p->variance[size + j] = j ? 0.8 : 0.5;
    }
    p->mixture.schedule = &p->schedule;
    p->mixture.size = (size_t)size;
    p->mixture.components = 2;
    p->mixture.weight = p->weight;
    p->mixture.mean = p->mean;
    p->mixture.variance = p->variance;
    return drl_mixture_energy(&p->mixture);
}

/* First two moments of coordinate j. */
static void pair_moments(const pair_of *p, int j, double *mean, double *square)
{
    int size = (int)p->mixture.size, k;
    for (*mean = *square = 0, k = 0; k < 2; ++k) {
        double mu = p->mean[k * size + j];
        *mean += p->weight[k] * mu;
        *square += p->weight[k] * (p->variance[k * size + j] + mu * mu);
    }
}

/* Three components in three dimensions, on the levels of a schedule of six. */
typedef struct three {
    drl_schedule schedule;
    double memory[28];
    drl_mixture mixture;
} three;

static const double three_weight[3] = { 0.2, 0.3, 0.5 };
static const double three_mean[9] = { -1.2, 0.2, 0.4, 1.3, 1.0, 0, 0.3, -1.4, 0.1 };
static const double three_variance[9] = { 0.05, 0.2, 0.3, 0.1, 0.5, 0.2, 0.2, 0.2, 0.9 };

static drl_energy three_energy(three *t)
{
    memset(t, 0, sizeof *t);
    drl__schedule_drl(6, t->memory, &t->schedule);
    t->mixture.schedule = &t->schedule;
    t->mixture.size = 3;
    t->mixture.components = 3;
    t->mixture.weight = three_weight;
    t->mixture.mean = three_mean;
    t->mixture.variance = three_variance;
    return drl_mixture_energy(&t->mixture);
}

/* -- one step -- */

/* Variance of component k at a level, in coordinate j, and the distance of y from its mean. */
static double component(const drl_mixture *m, int t, int k, int j, double y, double *distance)
{
    const drl_schedule *s = m->schedule;
    double a = t + 1 < s->levels ? s->a[t + 1] : 1;
    int at = k * (int)m->size + j;
    *distance = y - a * s->abar[t] * m->mean[at];
    return a * a * (s->abar[t] * s->abar[t] * m->variance[at] + s->sbar[t] * s->sbar[t]);
}

/* log density and gradient of a mixture at a level, in double, with the quadratic term of x_next if there is
 * one. */
static double target(const drl_mixture *m, int t, const double *y, const float *x_next, double *gradient)
{
    double part[3], sum = 0, log_p, d, v;
    int size = (int)m->size, j, k;
    for (k = 0; k < m->components; ++k) {
        for (part[k] = m->weight[k], j = 0; j < size; ++j) {
            v = component(m, t, k, j, y[j], &d);
            part[k] *= exp(-d * d / (2 * v)) / sqrt(2 * PI * v);
        }
        sum += part[k];
    }
    log_p = log(sum);
    for (j = 0; j < size; ++j) {
        for (gradient[j] = 0, k = 0; k < m->components; ++k) {
            v = component(m, t, k, j, y[j], &d);
            gradient[j] -= part[k] / sum * d / v;
        }
        if (!x_next) continue;
        d = y[j] - (double)x_next[j];
        v = m->schedule->s[t + 1] * m->schedule->s[t + 1];
        log_p -= d * d / (2 * v);
        gradient[j] -= d / v;
    }
    return log_p;
}

/* One step of one chain, as the test computes it. */
typedef struct step_of {
    const drl_mixture *mixture;
    const float *x_next;                    /* or NULL */
    int level;
    double h;                               /* step size */
    double p[3];                            /* the random numbers, then the momentum where it ends */
    double from[3], to[3];                  /* the points */
    double before, after;                   /* log densities there */
    double log_ratio;                       /* of the probability of acceptance */
} step_of;

/* MALA by the densities of its proposals:
 *   log q(y' | y) = -|y' - y - h^2 / 2 grad(y)|^2 / (2 h^2) */
static void reference_mala(step_of *s)
{
    double g0[3], g[3], forth = 0, back = 0, h = s->h;
    int j;
    s->before = target(s->mixture, s->level, s->from, s->x_next, g0);
    for (j = 0; j < 3; ++j) s->to[j] = s->from[j] + h * h / 2 * g0[j] + h * s->p[j];
    s->after = target(s->mixture, s->level, s->to, s->x_next, g);
    for (j = 0; j < 3; ++j) {
        double f = s->to[j] - s->from[j] - h * h / 2 * g0[j];
        double b = s->from[j] - s->to[j] - h * h / 2 * g[j];
        forth -= f * f / (2 * h * h);
        back -= b * b / (2 * h * h);
    }
    s->log_ratio = s->after + back - s->before - forth;
}

/* HMC by its two energies. */
static void reference_hmc(step_of *s, int leapfrog)
{
    double g[3], kinetic = 0;
    int j, l;
    memcpy(s->to, s->from, sizeof s->to);
    s->after = s->before = target(s->mixture, s->level, s->to, s->x_next, g);
    for (j = 0; j < 3; ++j) kinetic += s->p[j] * s->p[j] / 2;
    for (l = 0; l < leapfrog; ++l) {
        for (j = 0; j < 3; ++j) s->to[j] += s->h * (s->p[j] += s->h / 2 * g[j]);
        s->after = target(s->mixture, s->level, s->to, s->x_next, g);
        for (j = 0; j < 3; ++j) s->p[j] += s->h / 2 * g[j];
    }
    for (j = 0; j < 3; ++j) kinetic -= s->p[j] * s->p[j] / 2;
    s->log_ratio = s->after - s->before + kinetic;
}

/* Chain i of c has made one step from `start`. Returns its probability of acceptance; taken: 1 if its
 * proposal was to be taken, 0 if not, -1 if float may fall on either side. */
static double check_step(drl_ctx *ctx, const drl_mcmc *c, int i, const drl_mixture *m, const drl_mcmc_desc *d,
                         int *taken)
{
    step_of s;
    drl_rng rng = { 0, 0, 0 };
    float eps[3];
    double log_u;
    int j, hmc = d->kernel == DRL_MCMC_HMC;
    rng.seed = d->seed;
    rng.stream = (uint64_t)(d->first + i) << 32;
    drl_rng_normals(ctx, &rng, eps, 3);
    rng.position = 4;
    log_u = log(1 - (double)drl_rng_uniform(&rng));
    s.mixture = m;
    s.x_next = d->x_next ? d->x_next + 3 * i : NULL;
    s.level = d->level;
    s.h = d->step * (hmc ? 0.8 + 0.4 * (double)drl_rng_uniform(&rng) : 1);
    for (j = 0; j < 3; ++j) {
        s.from[j] = (double)d->start[3 * i + j];
        s.p[j] = (double)eps[j];
    }
    if (hmc) reference_hmc(&s, d->leapfrog);
    else reference_mala(&s);
    *taken = log_u <= s.log_ratio;
    if (fabs(s.log_ratio - log_u) < 2e-3 * (1 + fabs(s.log_ratio))) *taken = -1;
    for (j = 0; j < 3 && *taken >= 0; ++j) {
        double now = (double)c->y[3 * i + j], want = *taken ? s.to[j] : s.from[j];
        CHECK(fabs(now - want) <= 2e-4 * (1 + fabs(want)),
              "kernel %d, level %d, conditional %d, chain %d: y[%d] is %.6f instead of %.6f (log ratio %.4f, "
              "log u %.4f)", (int)d->kernel, d->level, d->x_next != NULL, i, j, now, want, s.log_ratio,
              log_u);
    }
    if (*taken >= 0 && !d->x_next)
        CHECK(fabs((double)c->f[i] - (*taken ? s.after : s.before)) < 1, "F of chain %d is %g", i,
              (double)c->f[i]);
    return s.log_ratio < 0 ? exp(s.log_ratio) : 1;
}

/* One step of N chains. count[1] and count[0] count the proposals that are taken and refused. */
static void one_step_of(drl_ctx *ctx, drl_mcmc_kernel kernel, int t, int conditional, int *count)
{
    three mix;
    drl_energy e = three_energy(&mix);
    const drl_schedule *s = &mix.schedule;
    float start[3 * N], x_next[3 * N];
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    drl_mcmc_report r;
    double accept = 0;
    int i;
    for (i = 0; i < 3 * N; ++i) {
        start[i] = (float)(three_mean[i % 9] + 0.3 * real(-1, 1));
        x_next[i] = start[i] + (float)(s->s[t + 1] * real(-1, 1));
    }
    memset(&d, 0, sizeof d);
    d.count = N;
    d.seed = 40 + (uint64_t)t;
    d.first = 5;
    d.kernel = kernel;
    d.level = t;
    d.start = start;
    d.leapfrog = 4;
    d.schedule = s;
    d.x_next = conditional ? x_next : NULL;
    d.step = (kernel == DRL_MCMC_MALA ? 1.1 : 0.9) * (conditional ? s->s[t + 1] : t < 3 ? 0.4 : 1.2);
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 1));
    for (i = 0; i < N; ++i) {
        int taken;
        accept += check_step(ctx, c, i, &mix.mixture, &d, &taken) / N;
        if (taken >= 0) ++count[taken];
    }
    CHECK_OK(ctx, drl_mcmc_look(c, &r));
    CHECK(fabs(r.accept - accept) < 1e-3,
          "kernel %d, level %d, conditional %d: acceptance %.5f instead of %.5f", (int)kernel, t, conditional,
          r.accept, accept);
    CHECK(r.step == 1 && fabs(r.step_size - d.step) < 1e-12, "step %d, step size %g", r.step, r.step_size);
    drl_mcmc_destroy(c);
}

static void one_step(void)
{
    static const int levels[4] = { 0, 1, 2, 5 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int mala[2] = { 0, 0 }, hmc[2] = { 0, 0 }, k, conditional;
    for (k = 0; k < 4; ++k)
        for (conditional = 0; conditional < (levels[k] < 5 ? 2 : 1); ++conditional) {
            one_step_of(ctx, DRL_MCMC_MALA, levels[k], conditional, mala);
            one_step_of(ctx, DRL_MCMC_HMC, levels[k], conditional, hmc);
        }
    CHECK(mala[1] > 50 && mala[0] > 50, "MALA: %d taken, %d refused", mala[1], mala[0]);
    CHECK(hmc[1] > 50 && hmc[0] > 50, "HMC: %d taken, %d refused", hmc[1], hmc[0]);
    drl_ctx_destroy(ctx);
}

/* Langevin chains are drl__langevin's, bit for bit, with the level's own step, conditional and not. */
static void langevin(void)
{
    three mix;
    drl_energy e = three_energy(&mix);
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int t, i, level[N];
    float y[3 * N], x_next[3 * N], gradient[3 * N], work[3];
    for (t = 1; t < 6; t += 4) {
        uint64_t seed = 9;
        drl__langevin_desc l;
        drl_mcmc_desc d;
        drl_mcmc *c = NULL;
        for (i = 0; i < 3 * N; ++i) {
            y[i] = (float)real(-1, 1);
            x_next[i] = (float)real(-1, 1);
            level[i % N] = t;
        }
        memset(&d, 0, sizeof d);
        d.count = N;
        d.seed = 9;
        d.level = t;
        d.schedule = &mix.schedule;
        d.start = y;
        d.noise_scale = 0.99;
        if (t < 5) d.x_next = x_next;
        memset(&l, 0, sizeof l);
        l.energy = &e;
        l.schedule = &mix.schedule;
        l.level = level;
        l.steps = 25;
        l.noise_scale = 0.99;
        l.noise.fill = drl__noise_counter;
        l.noise.user = &seed;
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        CHECK_OK(ctx, drl_mcmc_run(c, 25));
        CHECK_OK(ctx, drl__langevin(ctx, &l, N, y, x_next, gradient, work));
        CHECK(!memcmp(y, c->y, sizeof y), "level %d: chains of drl_mcmc and of drl__langevin differ", t);
        drl_mcmc_destroy(c);
    }
    drl_ctx_destroy(ctx);
}

/* -- moments -- */

/* Number `which` of chain i at draw k is x[(which * draws + k) * chains + i]. */
typedef struct trace { double *x; int draws, chains; } trace;

/* Runs the chains and records coordinates and squares: coordinate j is number 2 j, its square 2 j + 1. */
static trace record(drl_ctx *ctx, drl_mcmc *c, int chains, int size, int coordinates, int draws)
{
    trace t;
    size_t row = (size_t)draws * (size_t)chains;
    int k, i, j;
    t.x = doubles(row * 2 * (size_t)coordinates);
    t.draws = draws;
    t.chains = chains;
    for (k = 0; k < draws; ++k) {
        CHECK_OK(ctx, drl_mcmc_run(c, 1));
        for (j = 0; j < coordinates; ++j)
            for (i = 0; i < chains; ++i) {
                double y = (double)c->y[i * size + j];
                double *at = t.x + (size_t)(2 * j) * row + (size_t)k * (size_t)chains + i;
                at[0] = y;
                at[row] = y * y;
            }
    }
    return t;
}

/* Number `which` of the trace has this mean, within 4 of its own standard errors, which must be small enough
 * to say something. Returns the effective sample size. */
static double expect(drl_ctx *ctx, const trace *t, int which, double want, double spread, const char *name)
{
    const double *x = t->x + (size_t)which * (size_t)t->draws * (size_t)t->chains;
    drl_diagnosis d;
    memset(&d, 0, sizeof d);
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, t->draws, t->chains, &d));
    CHECK(fabs(d.mean - want) <= 4 * d.error,
          "%s, number %d: %.4f instead of %.4f, standard error %.4f: off by %.1f (ESS %.0f)", name, which,
          d.mean, want, d.error, (d.mean - want) / d.error, d.ess);
    CHECK(d.error < 0.15 * spread && d.rhat < 1.06,
          "%s, number %d: error %.4f of %.3f, R-hat %.3f, ESS %.0f: too little is known", name, which,
          d.error, spread, d.rhat, d.ess);
    return d.ess;
}

/* The mixture if `mixed`, else the Gaussian. */
static void moments_of(drl_ctx *ctx, int size, drl_mcmc_kernel kernel, int mixed)
{
    int chains = 8, hmc = kernel == DRL_MCMC_HMC, j;
    int coordinates = size < 10 ? size : 10, draws = hmc ? 400 : mixed && size < 100 ? 3000 : 4000;
    gauss g = gauss_of(size);
    pair_of p;
    drl_energy e = mixed ? pair_energy(&p, size) : gauss_energy(&g);
    drl_mcmc_desc d;
    drl_mcmc_report r;
    drl_mcmc *c = NULL;
    double least = HUGE_VAL;
    trace t;
    char name[80];
    snprintf(name, sizeof name, "%s, %s in %d dimensions", hmc ? "HMC" : "MALA",
             mixed ? "mixture" : "Gaussian", size);
    memset(&d, 0, sizeof d);
    d.count = chains;
    d.seed = size == 2 ? 100 : size == 10 ? 101 : 102;
    d.kernel = kernel;
    d.warmup = 200;
    d.step = 0.05;
    d.leapfrog = 8;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, d.warmup));
    t = record(ctx, c, chains, size, coordinates, draws);
    for (j = 0; j < coordinates; ++j) {
        double mean = g.mean[j], square = g.mean[j] * g.mean[j] + g.variance[j], ess;
        if (mixed) pair_moments(&p, j, &mean, &square);
        ess = expect(ctx, &t, 2 * j, mean, sqrt(square - mean * mean), name);
        if (ess < least) least = ess;
        expect(ctx, &t, 2 * j + 1, square, 2 * square, name);
    }
    CHECK_OK(ctx, drl_mcmc_look(c, &r));
    CHECK(fabs(r.accept - (hmc ? 0.8 : 0.574)) < 0.07 && !r.divergent, "%s: acceptance %.3f, %lu divergent",
          name, r.accept, (unsigned long)r.divergent);
    printf("%-34s step %.3f, acceptance %.3f, %d draws of %d chains: ESS of the mean at least %.0f\n", name,
           r.step_size, r.accept, draws, chains, least);
    free(t.x);
    drl_mcmc_destroy(c);
}

static void moments(void)
{
    static const int sizes[3] = { 2, 10, 100 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int k, mixed;
    for (k = 0; k < 3; ++k)
        for (mixed = 0; mixed < 2; ++mixed) {
            moments_of(ctx, sizes[k], DRL_MCMC_MALA, mixed);
            moments_of(ctx, sizes[k], DRL_MCMC_HMC, mixed);
        }
    drl_ctx_destroy(ctx);
}

/* The conditional of a Gaussian is a Gaussian: precisions add. */
static void conditional(void)
{
    double memory[28], mean[2] = { 0.5, -0.4 }, variance[2] = { 0.2, 0.6 }, weight = 1;
    drl_schedule s;
    drl_mixture m;
    drl_energy e;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    trace t;
    float x_next[16];
    int i, j;
    drl__schedule_drl(6, memory, &s);
    m.schedule = &s;
    m.size = 2;
    m.components = 1;
    m.weight = &weight;
    m.mean = mean;
    m.variance = variance;
    e = drl_mixture_energy(&m);
    for (i = 0; i < 16; ++i) x_next[i] = i % 2 ? -0.7f : 0.9f;
    memset(&d, 0, sizeof d);
    d.count = 8;
    d.seed = 3;
    d.kernel = DRL_MCMC_HMC;
    d.level = 3;
    d.schedule = &s;
    d.x_next = x_next;
    d.warmup = 150;
    d.leapfrog = 5;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 150));
    t = record(ctx, c, 8, 2, 2, 400);
    for (j = 0; j < 2; ++j) {
        double distance, v = component(&m, 3, 0, j, 0, &distance), v_next = s.s[4] * s.s[4];
        double both = 1 / (1 / v + 1 / v_next), mu = both * (-distance / v + (double)x_next[j] / v_next);
        expect(ctx, &t, 2 * j, mu, sqrt(both), "conditional");
        expect(ctx, &t, 2 * j + 1, mu * mu + both, 2 * sqrt(both) * fabs(mu) + both, "conditional");
    }
    free(t.x);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

/* The warm-up keeps log eps within 40 of log(10 step): where every proposal is taken eps grows, where none is
 * it falls. first: log eps - log(10 step) after 99 steps; last: that of the eps which remains. */
static void warm_up(gauss *g, double *first, double *last)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e = gauss_energy(g);
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    drl_mcmc_report r;
    float start[2] = { 0, 0 };
    memset(&d, 0, sizeof d);
    d.kernel = DRL_MCMC_MALA;
    d.start = start;
    d.step = 1e-10;
    d.warmup = 100;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 99));
    CHECK_OK(ctx, drl_mcmc_look(c, &r));
    *first = log(r.step_size / 1e-9);
    CHECK_OK(ctx, drl_mcmc_run(c, 1));
    CHECK_OK(ctx, drl_mcmc_look(c, &r));
    *last = log(r.step_size / 1e-9);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

static void warm_up_bounds(void)
{
    gauss g;
    double first, last;
    memset(&g, 0, sizeof g);
    g.size = 2;
    g.batch = 1;
    g.variance[0] = g.variance[1] = 1e60;               /* flat */
    warm_up(&g, &first, &last);
    CHECK(fabs(first - 40) < 1e-9 && last > 30 && last < 40, "log eps rises by %g, then %g", first, last);
    g.variance[0] = g.variance[1] = 1;
    g.wall = 1e-60;                                     /* around the start */
    warm_up(&g, &first, &last);
    CHECK(fabs(first + 40) < 1e-9 && last < -30 && last > -40, "log eps rises by %g, then %g", first, last);
}

/* -- diagnosis -- */

enum { DRAWS = 4000, CHAINS = 4 };

/* AR(1) around 5 with deviation 2: x <- rho x + sqrt(1 - rho^2) eps. Of n draws, n (1 - rho) / (1 + rho)
 * count. */
static void series_of(drl_ctx *ctx, double rho, uint64_t stream, double *x)
{
    int c, i;
    for (c = 0; c < CHAINS; ++c) {
        drl_rng rng = { 77, 0, 0 };
        float eps[DRAWS];
        double v = 0;
        rng.stream = stream + (uint64_t)c;
        drl_rng_normals(ctx, &rng, eps, DRAWS);
        for (i = 0; i < DRAWS; ++i) {
            v = i ? rho * v + sqrt(1 - rho * rho) * (double)eps[i] : (double)eps[0];
            x[i * CHAINS + c] = 5 + 2 * v;
        }
    }
}

static void series(void)
{
    static const double rhos[5] = { 0, 0.5, 0.9, 0.97, -0.4 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double *x = doubles(DRAWS * CHAINS);
    drl_diagnosis d;
    int k;
    for (k = 0; k < 5; ++k) {
        double rho = rhos[k], want = DRAWS * CHAINS * (1 - rho) / (1 + rho), error = 2 / sqrt(want);
        series_of(ctx, rho, (uint64_t)(10 * k), x);
        CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &d));
        CHECK(fabs(d.ess / want - 1) < (rho > 0.95 ? 0.25 : 0.12), "rho %g: ESS %.0f instead of %.0f", rho,
              d.ess, want);
        CHECK(fabs(d.mean - 5) < 4 * d.error && fabs(d.sd - 2) < 0.2, "rho %g: mean %g, deviation %g", rho,
              d.mean, d.sd);
        CHECK(fabs(d.error - error) < 0.2 * error, "rho %g: error %g instead of %g", rho, d.error, error);
        CHECK(d.rhat < (rho > 0.95 ? 1.05 : 1.01) && d.rhat > 0.999, "rho %g: R-hat %.4f", rho, d.rhat);
    }
    free(x);
    drl_ctx_destroy(ctx);
}

/* Two chains of four in another mode; then all chains drift alike, so that only halves differ. */
static void series_that_do_not_mix(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double *x = doubles(DRAWS * CHAINS);
    drl_diagnosis mixed, d;
    int c, i;
    series_of(ctx, -0.4, 40, x);
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &mixed));
    for (c = 1; c < CHAINS; c += 2)
        for (i = 0; i < DRAWS; ++i) x[i * CHAINS + c] += 3;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &d));
    CHECK(d.rhat > 1.2 && d.ess < 0.02 * mixed.ess, "two modes: R-hat %.3f, ESS %.0f", d.rhat, d.ess);
    series_of(ctx, -0.4, 40, x);
    for (c = 0; c < CHAINS; ++c)
        for (i = 0; i < DRAWS; ++i) x[i * CHAINS + c] += 8.0 * i / DRAWS;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &d));
    CHECK(d.rhat > 1.2, "a drift that all chains share: R-hat %.3f", d.rhat);
    free(x);
    drl_ctx_destroy(ctx);
}

static void series_by_hand(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double x[16];
    drl_diagnosis d;
    int i;
    /* x = 1..8, halves 1..4 and 5..8: W = 5/3, B/n = 8, var+ = 5/3 * 3/4 + 8 = 9.25 */
    for (i = 0; i < 8; ++i) x[i] = i + 1;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 8, 1, &d));
    CHECK(fabs(d.rhat - sqrt(9.25 / (5.0 / 3))) < 1e-12, "R-hat %.6f", d.rhat);
    CHECK(d.mean == 4.5 && fabs(d.sd - sqrt(6.0)) < 1e-12, "mean %g, deviation %g", d.mean, d.sd);
    for (i = 0; i < 16; ++i) x[i] = i % 2;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d));
    CHECK(d.rhat > 1e300 && d.ess < 4.1, "two chains that stand still: R-hat %g, ESS %g", d.rhat, d.ess);
    for (i = 0; i < 16; ++i) x[i] = i / 2 % 2;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d));
    CHECK(fabs(d.ess - 16 * log10(16.0)) < 1e-12, "draws that alternate: ESS %g", d.ess);
    for (i = 0; i < 16; ++i) x[i] = 0.1 * i;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 16, 1, &d));
    CHECK(fabs(d.mean - 0.75) < 1e-12, "draws that rise by 0.1: mean %g", d.mean);
    drl_ctx_destroy(ctx);
}

static void series_refused(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double x[16];
    drl_diagnosis d, before;
    int i;
    memset(&d, 7, sizeof d);
    before = d;
    for (i = 0; i < 16; ++i) x[i] = i;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 7, 1, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 0, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, NULL, 8, 1, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 1, NULL), DRL_E_ARGUMENT);
    for (i = 0; i < 16; ++i) x[i] = 0.1;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d), DRL_E_NUMERIC);
    x[3] = (double)NAN;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d), DRL_E_NUMERIC);
    CHECK(!memcmp(&before, &d, sizeof d), "a refused diagnosis is written");
    drl_ctx_destroy(ctx);
}

/* -- log Z -- */

/* Exact draws of the mixture or, if that is NULL, of the Gaussian, by the library's normals. */
static void exact(drl_ctx *ctx, const gauss *g, const pair_of *p, int size, int count, float *y)
{
    int i, j, k;
    for (i = 0; i < count; ++i) {
        drl_rng rng = { 555, 0, 0 };
        const double *mean = g->mean, *variance = g->variance;
        rng.stream = (uint64_t)i;
        if (p) {
            k = drl_rng_uniform(&rng) >= (float)p->weight[0];
            mean = p->mean + k * size;
            variance = p->variance + k * size;
        }
        rng.position = 8;
        drl_rng_normals(ctx, &rng, y + i * size, (size_t)size);
        for (j = 0; j < size; ++j) {
            double eps = (double)y[i * size + j];
            y[i * size + j] = (float)(mean[j] + sqrt(variance[j]) * eps);
        }
    }
}

/* A whole path, in slices. */
static drl_ais_result walk(drl_ctx *ctx, const drl_energy *e, const drl_ais_desc *d)
{
    drl_ais *a = NULL;
    drl_ais_result r;
    int left, total, pilot = d->step > 0 ? 0 : d->steps - 1;
    memset(&r, 0, sizeof r);
    CHECK_OK(ctx, drl_ais_create(ctx, e, d, &a));
    if (!a) return r;
    total = drl_ais_steps_left(a);
    CHECK(total == d->steps + pilot, "%d temperatures instead of %d and %d", total, pilot, d->steps);
    CHECK(drl_ais_run(a, 7) == DRL_RUNNING, "7 of %d: %s", total, drl_ctx_message(ctx));
    CHECK(drl_ais_steps_left(a) == total - 7, "7 of %d: %d are left", total, drl_ais_steps_left(a));
    while ((left = drl_ais_steps_left(a)) > 0)
        if (drl_ais_run(a, 50) > DRL_RUNNING) break;
    CHECK(!left && drl_ais_run(a, 1) == DRL_OK, "%d are left: %s", left, drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    drl_ais_destroy(a);
    return r;
}

/* Both bounds, of the mixture if `mixed`, else of the Gaussian. */
static void log_z_of(drl_ctx *ctx, int size, int mixed)
{
    enum { COUNT = 32 };
    gauss g = gauss_of(size);
    pair_of p;
    drl_energy e = mixed ? pair_energy(&p, size) : gauss_energy(&g);
    double truth = mixed ? 0 : gauss_log_z(&g), gap;
    drl_ais_desc d;
    drl_ais_result low, high;
    float *y = floats((size_t)(COUNT * size)), mean[100], variance[100];
    int j;
    for (j = 0; j < size; ++j) {
        mean[j] = 0.1f;
        variance[j] = 1.5f;
    }
    memset(&d, 0, sizeof d);
    d.count = COUNT;
    d.seed = 21;
    d.steps = size < 100 ? 200 : mixed ? 300 : 500;
    d.leapfrog = 5;
    d.mean = mean;
    d.variance = variance;
    low = walk(ctx, &e, &d);
    exact(ctx, &g, mixed ? &p : NULL, size, COUNT, y);
    d.start = y;
    high = walk(ctx, &e, &d);
    gap = high.log_z - low.log_z;
    printf("log Z, %s in %d dimensions: %.3f +- %.3f (ESS %.1f of %d, acceptance %.2f) .. %.3f +- %.3f, "
           "gap %.3f; truth %.3f\n", mixed ? "mixture" : "Gaussian", size, low.log_z, low.error, low.ess,
           COUNT, low.accept, high.log_z, high.error, gap, truth);
    CHECK(fabs(low.log_z - truth) <= 4 * low.error, "size %d, mixed %d: %.4f +- %.4f, truth %.4f", size,
          mixed, low.log_z, low.error, truth);
    CHECK(fabs(high.log_z - truth) <= 4 * high.error, "size %d, mixed %d: %.4f +- %.4f, truth %.4f", size,
          mixed, high.log_z, high.error, truth);
    CHECK(low.log_z - 2 * low.error <= truth && truth <= high.log_z + 2 * high.error,
          "size %d, mixed %d: %.4f and %.4f do not bracket %.4f", size, mixed, low.log_z, high.log_z, truth);
    CHECK(low.error < 0.25 && high.error < 0.25 && fabs(gap) < 0.8,
          "size %d, mixed %d: errors %.3f and %.3f, gap %.3f", size, mixed, low.error, high.error, gap);
    CHECK(fabs(low.accept - 0.8) < 0.1 && fabs(high.accept - 0.8) < 0.1,
          "size %d, mixed %d: acceptance %.3f and %.3f", size, mixed, low.accept, high.accept);
    free(y);
}

static void log_z(void)
{
    static const int sizes[3] = { 2, 10, 100 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int k;
    for (k = 0; k < 3; ++k) {
        log_z_of(ctx, sizes[k], 0);
        log_z_of(ctx, sizes[k], 1);
    }
    drl_ctx_destroy(ctx);
}

/* log Z, ESS and error of N reverse weights, from their definitions. */
static void check_result(const drl_ais_result *r)
{
    const double *w = r->log_weight;
    double largest = -HUGE_VAL, sum = 0, squares = 0, mean, variance;
    int i;
    for (i = 0; i < N; ++i)
        if (w[i] > largest) largest = w[i];
    for (i = 0; i < N; ++i) {
        sum += exp(w[i] - largest);
        squares += exp(2 * (w[i] - largest));
    }
    mean = sum / N;
    variance = (squares / N - mean * mean) / (N - 1);
    CHECK(fabs(r->log_z + largest + log(mean)) < 1e-9, "log Z %.9f", r->log_z);
    CHECK(fabs(r->ess - sum * sum / squares) < 1e-9, "ESS %.6f", r->ess);
    CHECK(fabs(r->error - sqrt(variance) / mean) < 1e-9, "error %.9f", r->error);
}

/* With two temperatures and chains that hardly move the weights are those of importance sampling, in reverse
 * the inverse ones: N(y) / exp(F(y)). */
static void importance_sampling(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    drl_ais_desc d;
    drl_ais *a = NULL;
    drl_ais_result r;
    double beta[3] = { 0, 0.25, 1 };
    float start[2 * N], mean[2] = { 0.2f, -0.1f }, variance[2] = { 2, 0.5f };
    int i, j;
    exact(ctx, &g, NULL, 2, N, start);
    memset(&d, 0, sizeof d);
    d.count = N;
    d.steps = 2;
    d.beta = beta;
    d.step = 1e-6;
    d.mean = mean;
    d.variance = variance;
    d.start = start;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    CHECK(fabs(r.log_z) < 1e-12 && r.accept == 1, "before the first temperature: %g", r.log_z);
    CHECK(drl_ais_run(a, 2) == DRL_OK, "%s", drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    for (i = 0; i < N; ++i) {
        double ratio = g.c;                 /* log of exp(F(y)) / N(y) */
        for (j = 0; j < 2; ++j) {
            double y = (double)start[2 * i + j], v = (double)variance[j];
            ratio -= 0.5 * (y - g.mean[j]) * (y - g.mean[j]) / g.variance[j];
            ratio += 0.5 * (y - (double)mean[j]) * (y - (double)mean[j]) / v + 0.5 * log(2 * PI * v);
        }
        CHECK(fabs(r.log_weight[i] + ratio) < 1e-3, "weight %d: %.5f instead of %.5f", i, r.log_weight[i],
              -ratio);
    }
    check_result(&r);
    CHECK(r.accept > 0.999, "acceptance %.4f", r.accept);
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

/* A Gaussian that is fitted to points has their mean and their variance. */
static void fitted(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    drl_ais_desc d;
    drl_ais *a = NULL;
    float points[2 * N];
    int i, j;
    exact(ctx, &g, NULL, 2, N, points);
    memset(&d, 0, sizeof d);
    d.count = 4;
    d.steps = 2;
    d.step = 0.3;
    d.fit = points;
    d.fit_count = N;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    for (j = 0; j < 2 && a; ++j) {
        double m = 0, v = 0;
        for (i = 0; i < N; ++i) m += (double)points[2 * i + j] / N;
        for (i = 0; i < N; ++i) {
            double x = (double)points[2 * i + j] - m;
            v += x * x / (N - 1);
        }
        CHECK(fabs((double)a->mean[j] - m) < 1e-6, "fitted mean %g instead of %g", (double)a->mean[j], m);
        CHECK(fabs(a->inverse_variance[j] * v - 1) < 1e-9, "fitted variance %g instead of %g",
              1 / a->inverse_variance[j], v);
    }
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

/* What one path shall be like. The energy may fail in the middle of every temperature. */
typedef struct path_of { int threads, batch, slice, fails, start; uint64_t seed; } path_of;

/* 12 chains in 10 dimensions; weight [12] is what they come to. */
static void run_path(const path_of *p, double *weight)
{
    check_heap heap = { 0, 0, 0, 0 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, p->threads, &heap);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_ais_desc d;
    drl_ais *a = NULL;
    drl_status status = DRL_RUNNING;
    float start[12 * 10], one[10];
    long calls;
    int i, k;
    for (i = 0; i < 120; ++i) start[i] = (float)(i % 7) / 3 - 1;
    for (i = 0; i < 10; ++i) one[i] = 1;
    g.batch = p->batch;
    e = gauss_energy(&g);
    memset(&d, 0, sizeof d);
    d.count = 12;
    d.seed = p->seed;
    d.steps = 30;
    d.moves = 2;
    d.leapfrog = 3;
    if (p->start) {                         /* in reverse, without a pilot */
        d.start = start;
        d.variance = one;
        d.step = 0.3;
    }
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    calls = heap.calls;
    for (k = 0; status == DRL_RUNNING && k < 1000; ++k) {
        if (p->fails && drl_ais_steps_left(a) > 1) {        /* the last temperature evaluates nothing */
            g.calls = 0;
            g.fail_at = 1 + k % 5;
            CHECK(drl_ais_run(a, 1) == DRL_E_IO && strstr(drl_ctx_message(ctx), "energy failed"),
                  "attempt %d: '%s'", k, drl_ctx_message(ctx));
            drl_ctx_clear(ctx);
            g.fail_at = 0;
        }
        status = drl_ais_run(a, p->slice);
    }
    CHECK(status == DRL_OK && heap.calls == calls, "%s; %ld allocations", drl_ctx_message(ctx),
          heap.calls - calls);
    CHECK(!p->start || g.points == 12 * (1 + 29 * 2 * 3),
          "%ld points instead of those of the start and of 29 temperatures of 2 moves", g.points);
    memcpy(weight, a->log_w, 12 * sizeof *weight);
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
}

/* A path is the same in slices, with any threads and batches, and goes on after an energy that has failed. */
static void paths(void)
{
    static const path_of whole = { 1, 100, 100, 0, 0, 4 };
    static const path_of others[3] = { { 3, 100, 1, 0, 0, 4 }, { 1, 5, 1, 0, 0, 4 }, { 1, 100, 1, 1, 0, 4 } };
    double want[12], weight[12];
    int run;
    run_path(&whole, want);
    for (run = 0; run < 3; ++run) {
        run_path(&others[run], weight);
        CHECK(!memcmp(want, weight, sizeof want),
              "path %d: other weights, the first is %.17g instead of %.17g", run, weight[0], want[0]);
    }
}

/* Of another seed it is another one, also from the same start. */
static void seeds_of_paths(void)
{
    static const path_of of4 = { 1, 100, 1, 0, 1, 4 }, of5 = { 1, 5, 1, 0, 1, 5 };
    double weight[12], other[12];
    int i;
    run_path(&of4, weight);
    run_path(&of5, other);
    for (i = 0; i < 12; ++i) CHECK(weight[i] != other[i], "weight %d is %.17g with both seeds", i, weight[i]);
}

/* What zero means. */
static void defaults(void)
{
    double weights[16];
    drl_ais_result r;
    int run;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(4);
    drl_energy e = gauss_energy(&g);
    for (run = 0; run < 2; ++run) {
        drl_ais_desc d;
        drl_ais *a = NULL;
        memset(&d, 0, sizeof d);
        if (run) {
            d.count = 16;
            d.steps = 1000;
            d.moves = 1;
            d.leapfrog = 10;
            d.accept = 0.8;
            d.pilot = 4;
        }
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
        if (!a) continue;
        CHECK(a->mean[3] == 0 && a->inverse_variance[3] == 1, "mean %g, variance %g", (double)a->mean[3],
              1 / a->inverse_variance[3]);
        while (drl_ais_run(a, 100) == DRL_RUNNING) { }
        CHECK(drl_ais_steps_left(a) == 0, "%d are left", drl_ais_steps_left(a));
        CHECK_OK(ctx, drl_ais_look(a, &r));
        if (!run) memcpy(weights, r.log_weight, sizeof weights);
        CHECK(!memcmp(weights, r.log_weight, sizeof weights),
              "the first weight is %g where all is said and %g where nothing is", r.log_weight[0],
              weights[0]);
        drl_ais_destroy(a);
    }
    drl_ctx_destroy(ctx);
}

/* The pilot begins with the smallest deviation of the Gaussian. */
static void first_eps_of_pilot(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(3);
    drl_energy e = gauss_energy(&g);
    drl_ais_desc d;
    drl_ais *a = NULL;
    float variance[3] = { 1, 0.25f, 0.5f };
    memset(&d, 0, sizeof d);
    d.variance = variance;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    CHECK(a->chains->now.eps == 0.5, "eps %g", a->chains->now.eps);
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

/* One chain knows nothing of its error; two do. */
static void one_chain(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e = gauss_energy(&g);
    drl_ais_desc d;
    drl_ais *a = NULL;
    drl_ais_result r;
    memset(&d, 0, sizeof d);
    d.count = 1;
    d.steps = 2;
    d.step = 0.1;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    CHECK(drl_ais_run(a, 2) == DRL_OK, "%s", drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    CHECK(r.error > 1e300 && r.ess == 1, "error %g, ESS %g", r.error, r.ess);
    drl_ais_destroy(a);
    a = NULL;
    d.count = 2;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    CHECK(drl_ais_run(a, 2) == DRL_OK, "%s", drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    CHECK(r.error > 0 && r.error <= 1, "two chains: error %g", r.error);
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

/* -- likelihood and the plane -- */

/* One component: bytes u are Gaussian, so x_0 = u / 127.5 - 1 is, and x_t. */
typedef struct bytes_of {
    drl_schedule schedule;
    drl_mixture m;
    double memory[28], weight, mean[2], variance[2];
} bytes_of;

static drl_energy bytes_energy(bytes_of *b, int size)
{
    drl_energy e;
    drl__schedule_drl(6, b->memory, &b->schedule);
    b->weight = 1;
    b->mean[0] = 20 / 127.5;
    b->mean[1] = -50 / 127.5;
    b->variance[0] = 900 / (127.5 * 127.5);
    b->variance[1] = 400 / (127.5 * 127.5);
    b->m.schedule = &b->schedule;
    b->m.size = (size_t)size;
    b->m.components = 1;
    b->m.weight = &b->weight;
    b->m.mean = b->mean;
    b->m.variance = b->variance;
    e = drl_mixture_energy(&b->m);
    e.batch = 7;
    return e;
}

static void likelihood(void)
{
    bytes_of b;
    drl_energy e = bytes_energy(&b, 2);
    const drl_schedule *s = &b.schedule;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double log_p[100];
    float x[200], work[228];
    int i, j, t;
    for (t = 0; t < 6; t += 5) {
        for (i = 0; i < 200; ++i) x[i] = (float)real(-1, 1);
        CHECK_OK(ctx, drl_log_likelihood(ctx, &e, s, t, NULL, 100, x, 0.75, log_p, work));
        for (i = 0; i < 100; ++i) {
            double want = -0.75;
            for (j = 0; j < 2; ++j) {
                double v = s->abar[t] * s->abar[t] * b.variance[j] + s->sbar[t] * s->sbar[t];
                double d = (double)x[2 * i + j] - s->abar[t] * b.mean[j];
                want -= 0.5 * (d * d / v + log(2 * PI * v));
            }
            CHECK(fabs(log_p[i] - want) < 1e-4 * (1 + fabs(want)),
                  "level %d: log p of point %d is %.6f instead of %.6f", t, i, log_p[i], want);
        }
    }
    drl_ctx_destroy(ctx);
}

/* Densities by bits a dimension sum to 1 over the bytes. */
static void bits_per_dim(void)
{
    bytes_of b;
    drl_energy e = bytes_energy(&b, 1);
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double log_p[1], sum = 0, abar = b.schedule.abar[0];
    float x[1], work[2];
    int u;
    for (u = -400; u < 700; ++u) {
        x[0] = (float)(abar * (u / 127.5 - 1));
        CHECK_OK(ctx, drl_log_likelihood(ctx, &e, &b.schedule, 0, NULL, 1, x, 0, log_p, work));
        sum += pow(2, -drl_bits_per_dim(log_p[0], 1, 127.5 / abar));
    }
    CHECK(fabs(sum - 1) < 1e-4, "the density by bits a dimension sums to %.6f", sum);
    CHECK(drl_bits_per_dim(-8 * log(2), 4, 1) == 2, "%g bits", drl_bits_per_dim(-8 * log(2), 4, 1));
    CHECK(isnan(drl_bits_per_dim(-1, 0, 1)), "no size");
    CHECK(isnan(drl_bits_per_dim(-1, 2, 0)), "scale 0");
    CHECK(isnan(drl_bits_per_dim(-1, 2, -1)), "scale -1");
    drl_ctx_destroy(ctx);
}

static void likelihood_refused(void)
{
    bytes_of b;
    drl_energy e = bytes_energy(&b, 1), fails;
    const drl_schedule *s = &b.schedule;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g;
    float x[2] = { 0, 0 }, work[4];
    double log_p[2] = { 7, 7 };
    REFUSED(ctx, drl_log_likelihood(ctx, &e, s, 6, NULL, 1, x, 0, log_p, work), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_log_likelihood(ctx, &e, s, 0, NULL, 1, x, (double)NAN, log_p, work), DRL_E_ARGUMENT);
    memset(&g, 0, sizeof g);
    g.size = g.batch = 1;
    g.variance[0] = 1;
    g.fail_at = 2;
    fails = gauss_energy(&g);
    REFUSED(ctx, drl_log_likelihood(ctx, &fails, s, 0, NULL, 2, x, 0, log_p, work), DRL_E_IO);
    x[0] = (float)NAN;
    REFUSED(ctx, drl_log_likelihood(ctx, &e, s, 0, NULL, 1, x, 0, log_p, work), DRL_E_NUMERIC);
    CHECK(log_p[0] == 7, "a refused likelihood is written");
    drl_ctx_destroy(ctx);
}

enum { NX = 90, NY = 70, CELLS = NX * NY };
static const drl_grid plane_grid = { -6, 5, -5, 6, NX, NY };

/* Coordinate j of the middle of a cell. */
static double plane_at(int cell, int j)
{
    return j ? -5 + 11 * (cell / NX + 0.5) / NY : -6 + 11 * (cell % NX + 0.5) / NX;
}

static void plane_values(void)
{
    static double f[CELLS + 1];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e;
    int i, j;
    g.batch = 11;
    e = gauss_energy(&g);
    f[CELLS] = 7;
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &plane_grid, f));
    CHECK(f[CELLS] == 7, "a number behind those of the cells is written");
    for (i = 0; i < CELLS; ++i) {
        double want = g.c;
        for (j = 0; j < 2; ++j) {
            double d = plane_at(i, j) - g.mean[j];
            want -= 0.5 * d * d / g.variance[j];
        }
        CHECK(fabs(f[i] - want) < 1e-5 * (1 + fabs(want)), "point %d: %g instead of %g", i, f[i], want);
    }
    drl_ctx_destroy(ctx);
}

static void plane_conditions(void)
{
    static const drl_grid grid = { 0, 1, 0, 1, 4, 2 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e = label_energy();
    double f[8];
    int i;
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 2, 5, &grid, f));
    for (i = 0; i < 8; ++i) CHECK(f[i] == 5, "cell %d is told label %g", i, f[i]);
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 2, 0, &grid, f));
    for (i = 0; i < 8; ++i) CHECK(f[i] == -1, "cell %d is told label %g of none", i, f[i]);
    drl_ctx_destroy(ctx);
}

static void plane_log_z(void)
{
    static double f[CELLS + 1];
    static const double one_f[1] = { 1.5 };
    static const drl_grid one = { 0, 2, 0, 3, 1, 1 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    double z = 0, want;
    CHECK_OK(ctx, drl_grid_log_z(ctx, &one, one_f, 1, &z));
    CHECK(fabs(z - (1.5 + log(6.0))) < 1e-12, "log Z of one cell: %.12f", z);
    f[CELLS] = HUGE_VAL;                    /* not a cell's */
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &plane_grid, f));
    CHECK_OK(ctx, drl_grid_log_z(ctx, &plane_grid, f, 1, &z));
    CHECK(fabs(z - gauss_log_z(&g)) < 1e-5, "log Z %.7f instead of %.7f", z, gauss_log_z(&g));
    /* temperature 2: twice the variances, half of c */
    want = gauss_log_z(&g) - 0.5 * g.c + log(2.0);
    CHECK_OK(ctx, drl_grid_log_z(ctx, &plane_grid, f, 0.5, &z));
    CHECK(fabs(z - want) < 1e-4, "log Z at temperature 2: %.7f instead of %.7f", z, want);
    drl_ctx_destroy(ctx);
}

/* Of two Gaussians; then of half of the cells against all. The density has an arbitrary factor. */
static void plane_kl(void)
{
    static double f[CELLS], p[CELLS];
    static const double mean[2] = { 0.2, 0.1 }, variance[2] = { 0.5, 0.9 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    double kl = 0, want = 0;
    int i, j;
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &plane_grid, f));
    for (i = 0; i < CELLS; ++i)
        for (p[i] = 17, j = 0; j < 2; ++j) {
            double d = plane_at(i, j) - mean[j];
            p[i] *= exp(-0.5 * d * d / variance[j]);
        }
    for (j = 0; j < 2; ++j) {
        double d = mean[j] - g.mean[j];
        want += 0.5 * ((variance[j] + d * d) / g.variance[j] - 1 - log(variance[j] / g.variance[j]));
    }
    CHECK_OK(ctx, drl_grid_kl(ctx, &plane_grid, p, f, &kl));
    CHECK(fabs(kl - want) < 1e-5, "KL %.7f instead of %.7f", kl, want);
    for (i = 0; i < CELLS; ++i) {
        p[i] = i % 2 ? 2.0 : 0.0;
        f[i] = 5;
    }
    CHECK_OK(ctx, drl_grid_kl(ctx, &plane_grid, p, f, &kl));
    CHECK(fabs(kl - log(2.0)) < 1e-12, "half of the cells against all: KL %.9f", kl);
    drl_ctx_destroy(ctx);
}

static void plane_refused(void)
{
    static double f[CELLS], p[CELLS];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2), wide = gauss_of(10);
    drl_energy e = gauss_energy(&g), e10 = gauss_energy(&wide);
    drl_grid grid = plane_grid;
    double z = 7, kl = 7;
    int i;
    for (i = 0; i < CELLS; ++i) p[i] = f[i] = 1;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e10, 0, 0, &grid, f), DRL_E_SHAPE);
    g.wall = 3;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &grid, f), DRL_E_NUMERIC);
    g.fail_at = g.calls + 1;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &grid, f), DRL_E_IO);
    p[5] = -1;
    REFUSED(ctx, drl_grid_kl(ctx, &grid, p, f, &kl), DRL_E_NUMERIC);
    for (i = 0; i < CELLS; ++i) p[i] = 0;
    REFUSED(ctx, drl_grid_kl(ctx, &grid, p, f, &kl), DRL_E_NUMERIC);
    f[3] = HUGE_VAL;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, f, 1, &z), DRL_E_NUMERIC);
    grid.nx = 0;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, f, 1, &z), DRL_E_ARGUMENT);
    grid.nx = 3;
    grid.x1 = -6;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, f, 1, &z), DRL_E_ARGUMENT);
    CHECK(kl == 7 && z == 7, "a refused result is written");
    drl_ctx_destroy(ctx);
}

/* -- the object -- */

static drl_mcmc *chains_of(drl_ctx *ctx, const drl_energy *e, drl_mcmc_kernel kernel, int count, int first,
                           int warmup)
{
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    memset(&d, 0, sizeof d);
    d.count = count;
    d.first = first;
    d.seed = 8;
    d.kernel = kernel;
    d.step = 0.3;
    d.leapfrog = 3;
    d.warmup = warmup;
    CHECK_OK(ctx, drl_mcmc_create(ctx, e, &d, &c));
    return c;
}

/* The chains of the tests below: 12 in 10 dimensions, numbers 2 to 13, with a warm-up where there is one. */
enum { WARMUP = 30, STEPS = 60, POINTS = 12 * 10 };
static drl_mcmc *dozen(drl_ctx *ctx, const drl_energy *e, drl_mcmc_kernel kernel)
{
    return chains_of(ctx, e, kernel, 12, 2, kernel == DRL_MCMC_LANGEVIN ? 0 : WARMUP);
}

static int same_report(const drl_mcmc_report *a, const drl_mcmc_report *b)
{
    return a->step == b->step && a->divergent == b->divergent &&
           !memcmp(&a->step_size, &b->step_size, sizeof(double)) &&
           !memcmp(&a->accept, &b->accept, sizeof(double)) &&
           !memcmp(&a->f, &b->f, sizeof(double));
}

/* y <- where the chains are after STEPS steps, without an allocation. Returns 0 if there is no such set. */
static int run_dozen(drl_isa isa, int threads, int batch, drl_mcmc_kernel kernel, float *y)
{
    check_heap heap = { 0, 0, 0, 0 };
    drl_ctx *ctx = context(isa, threads, &heap);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_mcmc *c;
    long calls;
    if (!ctx) return 0;
    g.batch = batch;
    e = gauss_energy(&g);
    c = dozen(ctx, &e, kernel);
    calls = heap.calls;
    CHECK_OK(ctx, drl_mcmc_run(c, STEPS));
    CHECK(heap.calls == calls, "kernel %d: %ld allocations while running", (int)kernel, heap.calls - calls);
    memcpy(y, c->y, POINTS * sizeof *y);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    return 1;
}

/* Chains are the same with any threads, batches and fused instruction sets. */
static void same_chains(void)
{
    static const drl_isa isa[4] = { DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_FMA128 };
    float want[POINTS], y[POINTS];
    int kernel, k;
    for (kernel = 0; kernel < 3; ++kernel) {
        run_dozen(DRL_ISA_PORTABLE, 1, 100, (drl_mcmc_kernel)kernel, want);
        run_dozen(DRL_ISA_PORTABLE, 3, 100, (drl_mcmc_kernel)kernel, y);
        CHECK(!memcmp(want, y, sizeof want), "kernel %d: other points with three threads", kernel);
        run_dozen(DRL_ISA_PORTABLE, 1, 5, (drl_mcmc_kernel)kernel, y);
        CHECK(!memcmp(want, y, sizeof want), "kernel %d: other points in batches of 5", kernel);
        for (k = 0; k < 4; ++k)
            if (run_dozen(isa[k], 1, 100, (drl_mcmc_kernel)kernel, y))
                CHECK(!memcmp(want, y, sizeof want), "kernel %d, instruction set %d: other points", kernel,
                      (int)isa[k]);
    }
}

/* Without a warm-up chains do not know of each other. */
static void parts_of_a_batch(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e = gauss_energy(&g);
    int kernel;
    for (kernel = 0; kernel < 3; ++kernel) {
        drl_mcmc *all = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 12, 0, 0);
        drl_mcmc *some = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 4, 5, 0);
        CHECK_OK(ctx, drl_mcmc_run(all, 20));
        CHECK_OK(ctx, drl_mcmc_run(some, 20));
        CHECK(!memcmp(all->y + 5 * 10, some->y, 4 * 10 * sizeof(float)),
              "kernel %d: chains 5 to 8 alone are others", kernel);
        drl_mcmc_destroy(all);
        drl_mcmc_destroy(some);
    }
    drl_ctx_destroy(ctx);
}

/* Saved after `cut` steps and restored into chains that have gone elsewhere, the same object or another. */
static void resumed_after(int cut, int threads, int another, drl_mcmc_kernel kernel, const float *want)
{
    check_heap heap = { 0, 0, 0, 0 };
    drl_ctx *ctx = context(DRL_ISA_PORTABLE, threads, &heap);
    gauss g = gauss_of(10);
    drl_energy e = gauss_energy(&g);
    drl_mcmc *c = dozen(ctx, &e, kernel);
    saved_state saved;
    drl_mcmc_report before, after;
    double f = 0;
    long calls;
    int i;
    CHECK_OK(ctx, drl_mcmc_run(c, cut));
    CHECK_OK(ctx, drl_mcmc_look(c, &before));
    calls = heap.calls;
    saved = state_of_chains(c);
    CHECK(heap.calls == calls, "kernel %d: saving makes %ld allocations", (int)kernel, heap.calls - calls);
    CHECK_OK(ctx, drl_mcmc_run(c, 20));
    if (another) {
        drl_mcmc_destroy(c);
        c = dozen(ctx, &e, kernel);
    }
    CHECK_OK(ctx, drl_mcmc_restore(c, saved.bytes, saved.size));
    calls = heap.calls;
    CHECK_OK(ctx, drl_mcmc_look(c, &after));
    CHECK(same_report(&before, &after) && before.step == cut, "kernel %d, cut %d: another report",
          (int)kernel, cut);
    for (i = 0; i < 12; ++i) f += (double)c->f[i] / 12;
    CHECK(fabs(f - before.f) < 1e-13 * fabs(f), "kernel %d: mean F %g, reported as %g", (int)kernel, f,
          before.f);
    CHECK_OK(ctx, drl_mcmc_run(c, STEPS - cut));
    CHECK(!memcmp(want, c->y, POINTS * sizeof *want), "kernel %d, cut %d: other points", (int)kernel, cut);
    CHECK(heap.calls == calls, "kernel %d: %ld allocations", (int)kernel, heap.calls - calls);
    state_free(&saved);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
}

static void resumed(void)
{
    float want[POINTS];
    int kernel;
    for (kernel = 0; kernel < 3; ++kernel) {
        run_dozen(DRL_ISA_PORTABLE, 1, 100, (drl_mcmc_kernel)kernel, want);
        resumed_after(7, 1, 0, (drl_mcmc_kernel)kernel, want);
        resumed_after(WARMUP, 1, 1, (drl_mcmc_kernel)kernel, want);
        resumed_after(45, 3, 0, (drl_mcmc_kernel)kernel, want);
    }
}

/* The chains refuse a state, and are as they were. Frees the state. */
static void state_refused(drl_ctx *ctx, drl_mcmc *c, saved_state bad, const char *sentence)
{
    saved_state before = state_of_chains(c), after;
    drl_ctx_clear(ctx);
    CHECK(drl_mcmc_restore(c, bad.bytes, bad.size) == DRL_E_FORMAT &&
          strstr(drl_ctx_message(ctx), sentence), "'%s' has no '%s'", drl_ctx_message(ctx), sentence);
    drl_ctx_clear(ctx);
    after = state_of_chains(c);
    CHECK(states_equal(&before, &after), "a refused state (%s) has changed the chains", sentence);
    state_free(&before);
    state_free(&after);
    state_free(&bad);
}

/* What the chains were made from, points that are not finite, states of another length. */
static void refused_states_of(drl_ctx *ctx, drl_mcmc *c, const saved_state *saved)
{
    static const unsigned char numbers[2][4] = { { 0, 0, 0x80, 0x7f }, { 0, 0, 0xc0, 0xff } };
    char sentence[160];
    saved_state bad;
    size_t i;
    for (i = 0; i + DRL__MCMC_POSITION < DRL__COUNT(drl__mcmc_state_fields); ++i) {
        const char *field = drl__mcmc_state_fields[i].name;
        snprintf(sentence, sizeof sentence, "the state has %s=91; it has to have %s=", field, field);
        state_refused(ctx, c, state_with_field(saved, field, "91"), sentence);
    }
    for (i = 0; i < 2; ++i) {
        bad = state_copy(saved);
        memcpy(state_tensor(ctx, &bad, "y") + 4 * (POINTS - 1), numbers[i], 4);
        state_refused(ctx, c, bad, "'y' has numbers that are not finite");
    }
    for (i = 0; i < saved->size; i += i < 100 ? 1 : 37)
        REFUSED(ctx, drl_mcmc_restore(c, saved->bytes, i), DRL_E_FORMAT);
    state_refused(ctx, c, state_with(saved, "drl.mcmc", "drl.sampler"), "no \"drl.mcmc\"");
    bad = state_copy(saved);
    REFUSED(ctx, drl_mcmc_save(c, bad.bytes, state_header(&bad), &check_written), DRL_E_SHAPE);
    CHECK(states_equal(&bad, saved), "a save that fails has written");
    state_free(&bad);
}

/* Saved in the warm-up and after it: there cannot have been more acceptance than steps. */
static void refused_states(void)
{
    static const int cuts[2] = { 7, 45 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e = gauss_energy(&g);
    char number[32];
    int kernel, k;
    for (kernel = 0; kernel < 3; ++kernel)
        for (k = 0; k < 2; ++k) {
            drl_mcmc *c = dozen(ctx, &e, (drl_mcmc_kernel)kernel);
            int counted = kernel && cuts[k] > WARMUP ? cuts[k] - WARMUP : cuts[k];
            saved_state saved, most;
            CHECK_OK(ctx, drl_mcmc_run(c, cuts[k]));
            saved = state_of_chains(c);
            CHECK_OK(ctx, drl_mcmc_run(c, 5));
            refused_states_of(ctx, c, &saved);
            drl__number_text(number, sizeof number, counted * (1 + 2.3e-16));
            state_refused(ctx, c, state_with_field(&saved, "accept_sum", number), "the steps, are possible");
            drl__number_text(number, sizeof number, counted);
            most = state_with_field(&saved, "accept_sum", number);
            CHECK_OK(ctx, drl_mcmc_restore(c, most.bytes, most.size));
            state_free(&most);
            state_free(&saved);
            drl_mcmc_destroy(c);
        }
    drl_ctx_destroy(ctx);
}

/* Chains are told their labels, and a state belongs to chains with the same labels, x_next, s_{t+1}, step,
 * noise_scale and accept. */
static void conditions(void)
{
    static const int labels[7] = { 3, 0, 2, 5, 1, 4, 6 };
    static const char *const sentences[8] = {
        "", "'labels' has other numbers", "'labels' has other numbers", "'x_next' has other numbers",
        "has gaussian_weight=", "has step=0.1; it has to have step=0.2", "has noise_scale=1; it has to have",
        "has accept=0.574; it has to have accept=0.6"
    };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e = label_energy();
    drl_mcmc_desc d;
    drl_schedule s, other_s;
    double memory[28], longer[7];
    float x_next[14] = { 0 };
    saved_state saved = state_room(0);
    int i, run;
    memset(&d, 0, sizeof d);
    drl__schedule_drl(6, memory, &s);
    memcpy(longer, s.s, sizeof longer);
    longer[3] *= 1.5;
    other_s = s;
    other_s.s = longer;
    d.count = 7;
    d.kernel = DRL_MCMC_MALA;
    d.level = 2;
    d.x_next = x_next;
    for (run = 0; run < 8; ++run) {
        drl_mcmc *c = NULL;
        int other[7];
        memcpy(other, labels, sizeof other);
        d.labels = other;
        if (run == 1) other[0] = 1;
        if (run == 2) other[6] = 5;
        x_next[13] = run == 3 ? 0.5f : 0;
        d.schedule = run == 4 ? &other_s : &s;
        d.step = run == 5 ? 0.2 : 0.1;
        d.noise_scale = run == 6 ? 0.9 : 0;
        d.accept = run == 7 ? 0.6 : 0;
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        if (!c) break;
        CHECK_OK(ctx, drl_mcmc_run(c, 2));
        for (i = 0; i < 7; ++i)
            CHECK(c->f[i] == (float)other[i], "chain %d is told label %g", i, (double)c->f[i]);
        if (!run) {
            state_free(&saved);
            saved = state_of_chains(c);
            CHECK_OK(ctx, drl_mcmc_restore(c, saved.bytes, saved.size));
        } else state_refused(ctx, c, state_copy(&saved), sentences[run]);
        drl_mcmc_destroy(c);
    }
    state_free(&saved);
    drl_ctx_destroy(ctx);
}

/* The chains of a path are told their labels and their level. */
static void conditions_of_paths(void)
{
    static const int labels[5] = { 3, 0, 2, 5, 1 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e = label_energy();
    drl_ais_desc d;
    drl_ais *a = NULL;
    int i;
    memset(&d, 0, sizeof d);
    d.count = 5;
    d.steps = 2;
    d.step = 0.1;
    d.level = 2;
    d.labels = labels;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    for (i = 0; i < 5 && a; ++i)
        CHECK(a->chains->f[i] == (float)labels[i], "chain %d is told label %g", i, (double)a->chains->f[i]);
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

/* -- failures -- */

/* An energy that fails in any evaluation of a step leaves the chains where they were. */
static void failed_energy(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_mcmc *c;
    drl_mcmc_report r;
    float before[POINTS];
    int k;
    g.batch = 5;
    e = gauss_energy(&g);
    c = chains_of(ctx, &e, DRL_MCMC_HMC, 12, 0, 0);
    CHECK_OK(ctx, drl_mcmc_run(c, 3));
    memcpy(before, c->y, sizeof before);
    for (k = 1; k <= 9; ++k) {              /* three batches of three leapfrog steps */
        g.fail_at = g.calls + k;
        REFUSED(ctx, drl_mcmc_run(c, 1), DRL_E_IO);
        CHECK_OK(ctx, drl_mcmc_look(c, &r));
        CHECK(r.step == 3 && !memcmp(before, c->y, sizeof before),
              "evaluation %d has failed, and the chains have moved", k);
    }
    CHECK_OK(ctx, drl_mcmc_run(c, 1));
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

/* Behind a wall F is -infinity. Chains start inside, with large steps. */
static drl_mcmc *chains_at_wall(drl_ctx *ctx, gauss *g, drl_mcmc_kernel kernel)
{
    drl_energy e;
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    float start[POINTS];
    int i;
    *g = gauss_of(10);
    g->batch = 5;
    g->wall = 30;
    e = gauss_energy(g);
    for (i = 0; i < POINTS; ++i) start[i] = (float)g->mean[i % 10];
    memset(&d, 0, sizeof d);
    d.count = 12;
    d.kernel = kernel;
    d.step = 1.1;
    d.start = start;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    return c;
}

/* HMC and MALA refuse what lies behind the wall. */
static void walls(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g;
    drl_mcmc_report r, restored;
    saved_state saved;
    int kernel, i;
    for (kernel = DRL_MCMC_MALA; kernel <= DRL_MCMC_HMC; ++kernel) {
        drl_mcmc *c = chains_at_wall(ctx, &g, (drl_mcmc_kernel)kernel);
        CHECK_OK(ctx, drl_mcmc_run(c, 40));
        CHECK_OK(ctx, drl_mcmc_look(c, &r));
        CHECK(r.divergent > 10 && r.accept < 0.9, "kernel %d: %lu divergent, acceptance %g", kernel,
              (unsigned long)r.divergent, r.accept);
        saved = state_of_chains(c);
        CHECK_OK(ctx, drl_mcmc_run(c, 5));
        CHECK_OK(ctx, drl_mcmc_restore(c, saved.bytes, saved.size));
        state_free(&saved);
        CHECK_OK(ctx, drl_mcmc_look(c, &restored));
        CHECK(same_report(&r, &restored), "kernel %d: %lu divergent after a restore", kernel,
              (unsigned long)restored.divergent);
        for (i = 0; i < 12; ++i) CHECK(isfinite(c->f[i]), "F of chain %d", i);
        drl_mcmc_destroy(c);
    }
    drl_ctx_destroy(ctx);
}

/* Langevin cannot refuse: the run fails, and the chains stay where they were before the step. */
static void langevin_at_a_wall(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g;
    drl_mcmc *c = chains_at_wall(ctx, &g, DRL_MCMC_LANGEVIN);
    drl_mcmc_report before, after;
    drl_status status = DRL_OK;
    float y[POINTS];
    int steps, i;
    for (steps = 0; steps < 40 && status == DRL_OK; ++steps) {
        memcpy(y, c->y, sizeof y);
        CHECK_OK(ctx, drl_mcmc_look(c, &before));
        status = drl_mcmc_run(c, 1);
    }
    CHECK(status == DRL_E_NUMERIC && strstr(drl_ctx_message(ctx), "leaves the finite"), "status %d: %s",
          (int)status, drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_mcmc_look(c, &after));
    CHECK(same_report(&before, &after), "another report after a failure");
    CHECK(!memcmp(y, c->y, sizeof y), "other points after a failure");
    for (i = 0; i < 12; ++i) CHECK(isfinite(c->f[i]), "F of chain %d", i);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

/* F is finite everywhere, but where there is a label its gradient is not: chains look at the point, too. */
static drl_status steep_eval(void *user, int n, const float *y, const int *level, const int *label, float *f,
                             float *gradient)
{
    int i;
    (void)user;
    (void)y;
    (void)level;
    for (i = 0; i < n; ++i) {
        f[i] = 0;
        gradient[2 * i] = gradient[2 * i + 1] = label[i] ? (float)NAN : 0;
    }
    return DRL_OK;
}

static void steep(void)
{
    static const int labels[3] = { 0, 0, 1 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e = label_energy();
    drl_mcmc_desc d;
    drl_mcmc_report r;
    int kernel;
    e.eval = steep_eval;
    memset(&d, 0, sizeof d);
    d.count = 3;
    d.labels = labels;
    d.step = 0.1;
    for (kernel = 0; kernel < 3; ++kernel) {
        drl_mcmc *c = NULL;
        drl_status status;
        d.kernel = (drl_mcmc_kernel)kernel;
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        status = drl_mcmc_run(c, 1);
        CHECK_OK(NULL, drl_mcmc_look(c, &r));
        if (kernel == DRL_MCMC_LANGEVIN)
            CHECK(status == DRL_E_NUMERIC && strstr(drl_ctx_message(ctx), "chain 2 leaves"), "status %d: %s",
                  (int)status, drl_ctx_message(ctx));
        else
            CHECK(status == DRL_OK && r.divergent == 1, "kernel %d: status %d, %lu divergent", kernel,
                  (int)status, (unsigned long)r.divergent);
        drl_ctx_clear(ctx);
        drl_mcmc_destroy(c);
    }
    drl_ctx_destroy(ctx);
}

static void refused_chains(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_schedule s;
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    double memory[28];
    float start[POINTS], bad[POINTS];
    int i;
    drl__schedule_drl(6, memory, &s);
    g.batch = 5;
    g.wall = 30;
    e = gauss_energy(&g);
    for (i = 0; i < POINTS; ++i) start[i] = (float)g.mean[i % 10];
    memcpy(bad, start, sizeof bad);
    bad[117] = (float)NAN;
#define BAD_CHAINS(status, change)                                                         \
    do {                                                                                   \
        memset(&d, 0, sizeof d);                                                           \
        d.count = 12;                                                                      \
        d.kernel = DRL_MCMC_HMC;                                                           \
        d.step = 0.1;                                                                      \
        d.start = start;                                                                   \
        change;                                                                            \
        REFUSED(ctx, drl_mcmc_create(ctx, &e, &d, &c), status);                            \
        CHECK(!c, "a result");                                                             \
    } while (0)
    BAD_CHAINS(DRL_E_NUMERIC, d.start = bad);
    BAD_CHAINS(DRL_E_NUMERIC, (d.schedule = &s, d.x_next = bad));
    BAD_CHAINS(DRL_E_NUMERIC, d.start = NULL);                  /* N(0, I) has points behind the wall */
    BAD_CHAINS(DRL_E_ARGUMENT, d.x_next = start);               /* without a schedule */
    BAD_CHAINS(DRL_E_ARGUMENT, (d.schedule = &s, d.level = 5, d.x_next = start));
    BAD_CHAINS(DRL_E_ARGUMENT, (d.schedule = &s, d.level = 6));
    BAD_CHAINS(DRL_E_ARGUMENT, d.level = -1);
    BAD_CHAINS(DRL_E_ARGUMENT, d.step = 0);                     /* neither a step nor a schedule */
    BAD_CHAINS(DRL_E_ARGUMENT, (d.kernel = DRL_MCMC_LANGEVIN, d.warmup = 1));
    BAD_CHAINS(DRL_E_ARGUMENT, d.first = 0x7fffffff);
    BAD_CHAINS(DRL_E_ARGUMENT, d.accept = 1);
    g.fail_at = g.calls + 3;
    BAD_CHAINS(DRL_E_IO, (void)0);
    drl_ctx_destroy(ctx);
}

static void refused_paths(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_ais_desc d;
    drl_ais *a = NULL;
    float start[POINTS], bad[POINTS], equal[POINTS], variance[10];
    double beta[3] = { 0, 0.5, 1 };
    int i;
    g.wall = 30;
    e = gauss_energy(&g);
    for (i = 0; i < POINTS; ++i) {
        start[i] = (float)g.mean[i % 10];
        bad[i] = i == 117 ? (float)NAN : start[i];
        equal[i] = 0.25f;
    }
    for (i = 0; i < 10; ++i) variance[i] = 0.04f;
#define BAD_PATH(status, change)                                                           \
    do {                                                                                   \
        memset(&d, 0, sizeof d);                                                           \
        d.count = 12;                                                                      \
        d.steps = 2;                                                                       \
        d.variance = variance;                                                             \
        d.start = start;                                                                   \
        change;                                                                            \
        REFUSED(ctx, drl_ais_create(ctx, &e, &d, &a), status);                             \
        CHECK(!a, "a result");                                                             \
    } while (0)
    BAD_PATH(DRL_E_NUMERIC, d.start = bad);
    BAD_PATH(DRL_E_NUMERIC, (d.variance = NULL, d.start = NULL));       /* points behind the wall */
    BAD_PATH(DRL_E_NUMERIC, d.variance = NULL);                         /* in the pilot alone */
    BAD_PATH(DRL_E_ARGUMENT, d.steps = 1);
    BAD_PATH(DRL_E_ARGUMENT, d.pilot = 13);
    BAD_PATH(DRL_E_ARGUMENT, d.variance = bad + 110);
    BAD_PATH(DRL_E_ARGUMENT, (d.fit = start, d.fit_count = 4));         /* and a variance */
    BAD_PATH(DRL_E_NUMERIC, (d.variance = NULL, d.fit = bad, d.fit_count = 12));
    BAD_PATH(DRL_E_NUMERIC, (d.variance = NULL, d.fit = equal, d.fit_count = 12));      /* nothing varies */
    BAD_PATH(DRL_E_ARGUMENT, (d.beta = beta, beta[1] = 0));
    BAD_PATH(DRL_E_ARGUMENT, (d.beta = beta, beta[1] = 1.5));
    BAD_PATH(DRL_E_ARGUMENT, (d.beta = beta, beta[1] = 0.5, beta[2] = 0.9));
    BAD_PATH(DRL_E_ARGUMENT, (d.beta = beta, beta[2] = 1, beta[0] = 0.1));
    drl_ctx_destroy(ctx);
}

/* -- sentences: one for each rule, with the value and what is possible -- */

#define SAYS(ctx, call, want, sentence)                                                                \
    do {                                                                                               \
        drl_status status_;                                                                            \
        drl_ctx_clear(ctx);                                                                            \
        status_ = (call);                                                                              \
        CHECK(status_ == want && !strcmp(drl_ctx_message(ctx), sentence),                              \
              "status %d, '%s' instead of '%s'", (int)status_, drl_ctx_message(ctx), sentence);        \
        drl_ctx_clear(ctx);                                                                            \
    } while (0)

/* Where no float may lie. */
static float *misplaced(float *p) { return (float *)(void *)((char *)p + 1); }

static void says_energy_and_schedule(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g), bad;
    double memory[28], changed[7];
    drl_schedule s, odd;
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    drl__schedule_drl(6, memory, &s);
    memset(&d, 0, sizeof d);
    d.step = 0.1;
#define CHAINS(energy, sentence) \
    SAYS(ctx, drl_mcmc_create(ctx, energy, &d, &c), DRL_E_ARGUMENT, "drl_mcmc_create: " sentence)
    bad = e;
    bad.eval = NULL;
    CHAINS(&bad, "the energy has no function `eval`");
    bad = e;
    bad.size = 0;
    CHAINS(&bad, "the energy's size is 0; 1 or more are possible");
    bad = e;
    bad.batch = -3;
    CHAINS(&bad, "the energy's batch is -3; 1 or more are possible");
    d.schedule = &odd;
    odd = s;
    odd.levels = 0;
    CHAINS(&e, "the schedule's number of levels is 0; 1 or more are possible");
    odd = s;
    odd.b2 = -1;
    CHAINS(&e, "the schedule's b2 is -1; it has to be above 0 and finite");
    odd = s;
    odd.abar = NULL;
    CHAINS(&e, "the schedule's array abar is missing");
    odd = s;
    memcpy(changed, s.sbar, sizeof changed);
    changed[6] = HUGE_VAL;
    odd.sbar = changed;
    CHAINS(&e, "the schedule's sbar[6] is inf; it has to be finite");
    odd = s;
    d.level = 6;
    CHAINS(&e, "level is 6; 0 to 5 are possible");
    d.schedule = NULL;
    d.level = -1;
    CHAINS(&e, "level is -1; 0 or more are possible");
    drl_ctx_destroy(ctx);
}

static void says_chains(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    double memory[28], changed[7];
    drl_schedule s, silent;
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    float y[4] = { 0, 0, 0, 0 };
    drl__schedule_drl(6, memory, &s);
    memset(&d, 0, sizeof d);
    d.step = 0.1;
    d.count = 2;
    d.x_next = y;
    CHAINS(&e, "x_next needs a schedule");
    d.schedule = &s;
    d.level = 5;
    CHAINS(&e, "level is 5; with x_next, levels below 5 are possible");
    d.level = 2;
    silent = s;
    memcpy(changed, s.s, sizeof changed);
    changed[3] = 0;
    silent.s = changed;
    d.schedule = &silent;
    CHAINS(&e, "the schedule's s[3] is 0; with x_next it has to be above 0");
    d.schedule = &s;
    y[0] = (float)NAN;
    SAYS(ctx, drl_mcmc_create(ctx, &e, &d, &c), DRL_E_NUMERIC,
         "drl_mcmc_create: x_next of chain 0 is not finite");
    y[0] = 0;
    d.x_next = misplaced(y);
    CHAINS(&e, "x_next is not aligned as floats are");
    d.x_next = NULL;
    d.start = misplaced(y);
    CHAINS(&e, "start is not aligned as floats are");
    d.start = y;
    d.first = 0x7ffffffe;
    CHAINS(&e, "first is 2147483646; with 2 chains, 0 to 2147483645 are possible");
    d.first = 0;
    d.warmup = 5;
    CHAINS(&e, "warmup is 5; for Langevin, which takes every proposal, 0 is possible");
    d.warmup = 0;
    y[2] = (float)NAN;
    SAYS(ctx, drl_mcmc_create(ctx, &e, &d, &c), DRL_E_NUMERIC,
         "chains: the point where chain 1 starts is not finite");
    y[2] = 3;
    g.wall = 1;
    SAYS(ctx, drl_mcmc_create(ctx, &e, &d, &c), DRL_E_NUMERIC,
         "chains: F is -inf where chain 1 starts; it has to be finite");
    g.wall = 0;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 7));
    SAYS(ctx, drl_mcmc_run(c, -1), DRL_E_ARGUMENT, "drl_mcmc_run: steps is -1; 0 or more are possible");
    SAYS(ctx, drl_mcmc_run(c, 0x7fffffff - 7), DRL_E_ARGUMENT,
         "drl_mcmc_run: steps is 2147483640; after 7 steps, 0 to 2147483639 are possible");
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

/* A field of a state becomes another. */
static void says_states(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    saved_state saved, bad;
    memset(&d, 0, sizeof d);
    d.count = 2;
    d.seed = 5;
    d.step = 0.5;
    d.kernel = DRL_MCMC_MALA;
    d.level = 4;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 3));
    saved = state_of_chains(c);
#define STATE(field, value, sentence)                                                                        \
    do {                                                                                                     \
        bad = state_with_field(&saved, field, value);                                                        \
        SAYS(ctx, drl_mcmc_restore(c, bad.bytes, bad.size), DRL_E_FORMAT, "drl_mcmc_restore: " sentence);    \
        state_free(&bad);                                                                                    \
    } while (0)
    SAYS(ctx, drl_mcmc_restore(c, saved.bytes, 7), DRL_E_FORMAT,
         "drl_mcmc_restore: 7 bytes are too few for the length of the header");
    SAYS(ctx, drl_mcmc_save(c, saved.bytes, 9, NULL), DRL_E_ARGUMENT, "drl_mcmc_save: written is NULL");
    STATE("count", "3", "the state has count=3; it has to have count=2");
    STATE("seed", "6", "the state has seed=6; it has to have seed=5");
    STATE("kernel", "2", "the state has kernel=2; it has to have kernel=1");
    STATE("level", "3", "the state has level=3; it has to have level=4");
    STATE("level", "3.5", "the metadata has a malformed \"drl.mcmc\"");
    STATE("steps_done", "2147483647", "steps_done is 2147483647; 0 to below 2147483647 are possible");
    STATE("steps_done", "-1", "steps_done is -1; 0 to below 2147483647 are possible");
    STATE("eps", "0", "eps is 0; it has to be above 0 and below 1e60");
    STATE("log_eps_mean", "1000", "log_eps_mean is 1000; it has to be above -1000 and below 1000");
    STATE("accept_error", "-2", "accept_error is -2; -1 to 1 are possible");
    STATE("accept_sum", "3.5", "accept_sum is 3.5; 0 to 3, the steps, are possible");
    STATE("last_accept", "1.5", "last_accept is 1.5; 0 to 1 are possible");
    state_free(&saved);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

static void says_diagnosis(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double x[16] = { 0 };
    drl_diagnosis d;
#define TRACE(status, x, draws, chains, sentence) \
    SAYS(ctx, drl_mcmc_diagnose(ctx, x, draws, chains, &d), status, "drl_mcmc_diagnose: " sentence)
    TRACE(DRL_E_ARGUMENT, x, 7, 2, "draws is 7; 8 or more are possible");
    TRACE(DRL_E_ARGUMENT, x, 8, 0, "chains is 0; 1 or more are possible");
    TRACE(DRL_E_ARGUMENT, x, 8, 0x40000000, "chains is 1073741824; 1 to 1073741823 are possible");
    TRACE(DRL_E_ARGUMENT, (double *)(void *)((char *)x + 1), 8, 1, "x is not aligned as doubles are");
    TRACE(DRL_E_NUMERIC, x, 8, 2, "all 16 numbers are 0; they have to vary");
    x[5] = 1e160;
    TRACE(DRL_E_NUMERIC, x, 8, 2,
          "number 5 of the trace is 1e160; it has to be above -1e150 and below 1e150");
    drl_ctx_destroy(ctx);
}

static void says_paths(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    drl_ais_desc d;
    drl_ais *a = NULL;
    double beta[4] = { 0, 0.25, 0.5, 1 };
    int most;
    float mean[2] = { 0, 0 }, variance[2] = { 1, -2 }, points[6] = { 0, 1, 2, 3, 4, 5 };
#define PATH(change, status, sentence)                                                     \
    do {                                                                                   \
        memset(&d, 0, sizeof d);                                                           \
        d.count = 6;                                                                       \
        d.steps = 3;                                                                       \
        d.beta = beta;                                                                     \
        change;                                                                            \
        SAYS(ctx, drl_ais_create(ctx, &e, &d, &a), status, "drl_ais_create: " sentence);   \
    } while (0)
    PATH(d.moves = 0x40000000, DRL_E_ARGUMENT,
         "steps is 3; with 1073741824 moves at each, 2 to 1 are possible");
    most = (0x7fffffff - DRL__AIS_PILOT_MOVES - 1) / 3;
    memset(&d, 0, sizeof d);
    d.steps = 3;
    d.moves = most;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    drl_ais_destroy(a);
    a = NULL;
    PATH(d.pilot = 7, DRL_E_ARGUMENT, "pilot is 7; 1 to 6, the count, are possible");
    PATH((d.fit = points, d.fit_count = 1), DRL_E_ARGUMENT, "fit_count is 1; 2 or more are possible");
    PATH((d.fit = points, d.fit_count = 3, d.mean = mean), DRL_E_ARGUMENT,
         "mean is given, and `fit`, which says it, too");
    PATH((d.fit = points, d.fit_count = 3, d.variance = variance), DRL_E_ARGUMENT,
         "variance is given, and `fit`, which says it, too");
    PATH(d.mean = misplaced(mean), DRL_E_ARGUMENT, "mean is not aligned as floats are");
    PATH(d.start = misplaced(mean), DRL_E_ARGUMENT, "start is not aligned as floats are");
    PATH(d.variance = variance, DRL_E_ARGUMENT,
         "the Gaussian's variance 1 is -2; it has to be above 1e-30 and below 1e30");
    mean[1] = 1e16f;
    PATH(d.mean = mean, DRL_E_ARGUMENT,
         "the Gaussian's mean 1 is 1e16; it has to be above -1e15 and below 1e15");
    beta[2] = 0.125;
    PATH((void)0, DRL_E_ARGUMENT, "beta[2] is 0.125; it has to be above beta[1], which is 0.25");
    beta[3] = 0.5;
    PATH((void)0, DRL_E_ARGUMENT, "beta[3], the last one, is 0.5; 1 is possible");
    beta[0] = -0.5;
    PATH((void)0, DRL_E_ARGUMENT, "beta[0] is -0.5; 0 is possible");
    memset(&d, 0, sizeof d);
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
    SAYS(ctx, drl_ais_run(a, -2), DRL_E_ARGUMENT, "drl_ais_run: steps is -2; 0 or more are possible");
    drl_ais_destroy(a);
    drl_ctx_destroy(ctx);
}

static void says_likelihood(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    double memory[28], log_p[1], changed[7];
    float x[2] = { 0, 0 }, work[3];
    drl_schedule s;
    drl__schedule_drl(6, memory, &s);
#define LIKELY(level, n, x, log_z, work, sentence)                                                        \
    SAYS(ctx, drl_log_likelihood(ctx, &e, &s, level, NULL, n, x, log_z, log_p, work), DRL_E_ARGUMENT,     \
         "drl_log_likelihood: " sentence)
    LIKELY(6, 1, x, 0, work, "level is 6; 0 to 5 are possible");
    LIKELY(2, 0, x, 0, work, "n is 0; 1 or more are possible");
    LIKELY(2, 1, NULL, 0, work, "x is missing");
    LIKELY(2, 1, x, 0, misplaced(work), "work is not aligned as floats are");
    LIKELY(2, 1, x, HUGE_VAL, work, "log_z is inf; it has to be finite");
    memcpy(changed, s.a, sizeof changed);
    changed[3] = 0;
    s.a = changed;
    LIKELY(2, 1, x, 0, work, "the schedule's a[3] is 0; it has to be above 0");
    changed[3] = 1;
    x[0] = 9;
    g.wall = 1;
    SAYS(ctx, drl_log_likelihood(ctx, &e, &s, 2, NULL, 1, x, 0, log_p, work), DRL_E_NUMERIC,
         "drl_log_likelihood: F of point 0 is -inf; it has to be finite");
    drl_ctx_destroy(ctx);
}

static void says_plane(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2), solid = gauss_of(3);
    drl_energy e = gauss_energy(&g), e3 = gauss_energy(&solid);
    drl_grid grid = { 0, 1, 0, 1, 2, 2 }, bad;
    double f[4] = { 0, 0, 0, 0 }, p[4] = { 1, 1, 1, 1 }, z;
#define PLANE(status, energy, level, label, sentence)                                      \
    SAYS(ctx, drl_grid_evaluate(ctx, energy, level, label, &grid, f), status, "drl_grid_evaluate: " sentence)
    PLANE(DRL_E_ARGUMENT, &e, -1, 0, "level is -1; 0 or more are possible");
    PLANE(DRL_E_ARGUMENT, &e, 0, -1, "label is -1; 0 or more are possible");
    PLANE(DRL_E_SHAPE, &e3, 0, 0, "the energy's points have 3 floats; in the plane they have 2");
    g.wall = 1e-9;
    PLANE(DRL_E_NUMERIC, &e, 0, 0, "F at (0.25, 0.25) is -inf; it has to be finite");
#define GRID(change, sentence)                                                             \
    do {                                                                                   \
        bad = grid;                                                                        \
        change;                                                                            \
        SAYS(ctx, drl_grid_log_z(ctx, &bad, f, 1, &z), DRL_E_ARGUMENT, "drl_grid_log_z: " sentence); \
    } while (0)
    GRID(bad.nx = 0, "nx is 0; 1 to 2147483647 are possible");
    GRID(bad.y1 = HUGE_VAL, "y1 is inf; it has to be above -1e30 and below 1e30");
    GRID(bad.x0 = 2, "x1 is 1; it has to be above x0, which is 2");
    GRID(bad.y1 = -2, "y1 is -2; it has to be above y0, which is 0");
    GRID((bad.nx = 65536, bad.ny = 32768), "nx is 65536; with ny 32768, 1 to 65535 are possible");
    SAYS(ctx, drl_grid_log_z(ctx, &grid, f, HUGE_VAL, &z), DRL_E_NUMERIC,
         "drl_grid_log_z: factor is inf; it has to be finite");
    f[2] = -HUGE_VAL;
    SAYS(ctx, drl_grid_log_z(ctx, &grid, f, 1, &z), DRL_E_NUMERIC,
         "drl_grid_log_z: f[2] is -inf; it has to be finite");
    SAYS(ctx, drl_grid_kl(ctx, &grid, p, f, &z), DRL_E_NUMERIC,
         "drl_grid_kl: f[2] is -inf; it has to be finite");
    f[2] = 1e200;
    SAYS(ctx, drl_grid_log_z(ctx, &grid, f, 1e200, &z), DRL_E_NUMERIC,
         "drl_grid_log_z: factor is 1e200; factor * f does not fit a double");
    p[1] = -1;
    SAYS(ctx, drl_grid_kl(ctx, &grid, p, f, &z), DRL_E_NUMERIC,
         "drl_grid_kl: p[1] is -1; 0 to below 1e300 are possible");
    p[0] = p[1] = p[2] = p[3] = 0;
    SAYS(ctx, drl_grid_kl(ctx, &grid, p, f, &z), DRL_E_NUMERIC, "drl_grid_kl: p is 0 in all 4 cells");
    drl_ctx_destroy(ctx);
}

static void says_metrics(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float a[4] = { 0, 1, 2, 3 };
    double work[9], v;
    SAYS(ctx, drl_frechet(ctx, a, 1, a, 4, 1, work, &v), DRL_E_ARGUMENT,
         "drl_frechet: na is 1; 2 or more are possible");
    SAYS(ctx, drl_frechet(ctx, a, 4, a, 0, 1, work, &v), DRL_E_ARGUMENT,
         "drl_frechet: nb is 0; 2 or more are possible");
    SAYS(ctx, drl_frechet(ctx, a, 4, misplaced(a), 4, 1, work, &v), DRL_E_ARGUMENT,
         "drl_frechet: b is not aligned as floats are");
    SAYS(ctx, drl_frechet(ctx, a, 4, a, 4, 8193, work, &v), DRL_E_ARGUMENT,
         "drl_frechet: dim is 8193; 1 to 8192 are possible");
    SAYS(ctx, drl_auroc(ctx, NULL, 4, a, 4, &v), DRL_E_ARGUMENT, "drl_auroc: a is missing");
    SAYS(ctx, drl_auroc(ctx, a, 4, a, 0, &v), DRL_E_ARGUMENT, "drl_auroc: nb is 0; 1 or more are possible");
    SAYS(ctx, drl_auroc(ctx, a, 0x7ffffffe, a, 4, &v), DRL_E_ARGUMENT,
         "drl_auroc: na is 2147483646; with nb 4, 1 to 2147483643 are possible");
    SAYS(ctx, drl_inception_score(ctx, a, 0, 2, &v), DRL_E_ARGUMENT,
         "drl_inception_score: n is 0; 1 or more are possible");
    SAYS(ctx, drl_inception_score(ctx, a, 2, 0, &v), DRL_E_ARGUMENT,
         "drl_inception_score: classes is 0; 1 or more are possible");
    SAYS(ctx, drl_inception_score(ctx, a, 2, 2, &v), DRL_E_NUMERIC,
         "drl_inception_score: class 0 of image 1 has probability 2; 0 to 1 are possible");
    a[2] = (float)NAN;
    SAYS(ctx, drl_auroc(ctx, a, 2, a, 3, &v), DRL_E_NUMERIC, "drl_auroc: b[2] is not a number");
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    PART(one_step());
    PART(langevin());
    PART(moments());
    PART(conditional());
    PART(warm_up_bounds());
    PART(series());
    PART(series_that_do_not_mix());
    PART(series_by_hand());
    PART(series_refused());
    PART(log_z());
    PART(importance_sampling());
    PART(fitted());
    PART(paths());
    PART(seeds_of_paths());
    PART(defaults());
    PART(first_eps_of_pilot());
    PART(one_chain());
    PART(likelihood());
    PART(bits_per_dim());
    PART(likelihood_refused());
    PART(plane_values());
    PART(plane_conditions());
    PART(plane_log_z());
    PART(plane_kl());
    PART(plane_refused());
    PART(same_chains());
    PART(parts_of_a_batch());
    PART(resumed());
    PART(refused_states());
    PART(conditions());
    PART(conditions_of_paths());
    PART(failed_energy());
    PART(walls());
    PART(langevin_at_a_wall());
    PART(steep());
    PART(refused_chains());
    PART(refused_paths());
    PART(says_energy_and_schedule());
    PART(says_chains());
    PART(says_states());
    PART(says_diagnosis());
    PART(says_paths());
    PART(says_likelihood());
    PART(says_plane());
    PART(says_metrics());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count,
          "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_mcmc");
}
