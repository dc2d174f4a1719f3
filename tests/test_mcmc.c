/* test_mcmc.c - Markov chains and what is made of them. One step of every kernel against an independent loop in double that is given the same
 * random numbers; moments on Gaussians and mixtures in 2, 10 and 100 dimensions within 4 of their own standard errors; effective sample
 * sizes against series of known autocorrelation; log Z by annealed importance sampling from below and above; the plane; then the object:
 * resumed runs, threads, batches, failures. Prints the gap between the two bounds of log Z. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"

#define PI 3.14159265358979323846

/* A Gaussian that is not normalised: F = c - 1/2 sum (y - mean)^2 / variance. calls counts; the one before `fail_at` gets to 0 fails; beyond `wall` (if any) F is
 * infinitely low. */
typedef struct gauss { int size, batch; double mean[100], variance[100], c, wall; long calls, points, fail_at; } gauss;

static drl_status gauss_eval(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    gauss *g = (gauss *)user;
    int i, j;
    (void)level; (void)label;
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
    for (j = 0; j < size; ++j) { g.mean[j] = 0.3 * (j % 5) - 0.5; g.variance[j] = 0.3 + 0.35 * (j % 3); }
    return g;
}

static double gauss_log_z(const gauss *g)
{
    double z = g->c;
    int j;
    for (j = 0; j < g->size; ++j) z += 0.5 * log(2 * PI * g->variance[j]);
    return z;
}

/* Two components that differ in coordinate 0, on a level that is the data itself: a = abar = 1, and noise that no float would show. */
static const double flat_sbar[2] = { 1e-9, 1 };
typedef struct pair_of { drl_schedule schedule; double schedule_memory[8]; drl_mixture mixture; double weight[2], mean[200], variance[200]; } pair_of;

static drl_energy pair_energy(pair_of *p, int size)
{
    int j;
    memset(p, 0, sizeof *p);
    if (drl_schedule_of(flat_sbar, 1, 1e-3, p->schedule_memory, &p->schedule) != DRL_OK) exit(3);
    p->weight[0] = 0.3; p->weight[1] = 0.7;
    for (j = 0; j < size; ++j) {
        p->mean[j] = j ? 0.2 : -1.2;
        p->mean[size + j] = j ? -0.1 : 1.0;
        p->variance[j] = j ? 1 : 0.6;
        p->variance[size + j] = j ? 0.8 : 0.5;
    }
    p->mixture.schedule = &p->schedule; p->mixture.size = (size_t)size; p->mixture.components = 2;
    p->mixture.weight = p->weight; p->mixture.mean = p->mean; p->mixture.variance = p->variance;
    return drl_mixture_energy(&p->mixture);
}

/* First two moments of coordinate j. */
static void pair_moments(const pair_of *p, int j, double *mean, double *square)
{
    int size = (int)p->mixture.size, k;
    for (*mean = *square = 0, k = 0; k < 2; ++k) {
        *mean += p->weight[k] * p->mean[k * size + j];
        *square += p->weight[k] * (p->variance[k * size + j] + p->mean[k * size + j] * p->mean[k * size + j]);
    }
}

/* -- one step -- */

#define N 40
/* log density and gradient of a mixture at a level, in double, less the quadratic term if there is one. */
static double target(const drl_mixture *m, int t, const double *y, const float *x_next, double *gradient)
{
    const drl_schedule *s = m->schedule;
    double a = t + 1 < s->levels ? s->a[t + 1] : 1, part[3], sum = 0, log_p;
    int size = (int)m->size, j, k;
    for (k = 0; k < m->components; ++k) {
        for (part[k] = m->weight[k], j = 0; j < size; ++j) {
            double v = a * a * (s->abar[t] * s->abar[t] * m->variance[k * size + j] + s->sbar[t] * s->sbar[t]), d = y[j] - a * s->abar[t] * m->mean[k * size + j];
            part[k] *= exp(-d * d / (2 * v)) / sqrt(2 * PI * v);
        }
        sum += part[k];
    }
    log_p = log(sum);
    for (j = 0; j < size; ++j) {
        for (gradient[j] = 0, k = 0; k < m->components; ++k) {
            double v = a * a * (s->abar[t] * s->abar[t] * m->variance[k * size + j] + s->sbar[t] * s->sbar[t]);
            gradient[j] -= part[k] / sum * (y[j] - a * s->abar[t] * m->mean[k * size + j]) / v;
        }
        if (x_next) {
            double d = y[j] - (double)x_next[j], v = s->s[t + 1] * s->s[t + 1];
            log_p -= d * d / (2 * v);
            gradient[j] -= d / v;
        }
    }
    return log_p;
}

static const double mix_weight[3] = { 0.2, 0.3, 0.5 }, mix_mean[9] = { -1.2, 0.2, 0.4, 1.3, 1.0, 0, 0.3, -1.4, 0.1 }, mix_variance[9] = { 0.05, 0.2, 0.3, 0.1, 0.5, 0.2, 0.2, 0.2, 0.9 };

/* MALA from the densities of its proposals, log q(y' | y) = -|y' - y - eps^2/2 grad(y)|^2 / (2 eps^2); HMC from its two energies. */
static void one_step(void)
{
    double memory[28], size_accept[2] = { 0, 0 };
    drl_schedule s;
    drl_mixture m;
    drl_energy e;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int t, conditional, kernel, i, j, l, taken[2] = { 0, 0 }, refused[2] = { 0, 0 };
    drl__schedule_drl(6, memory, &s);
    m.schedule = &s; m.size = 3; m.components = 3; m.weight = mix_weight; m.mean = mix_mean; m.variance = mix_variance;
    e = drl_mixture_energy(&m);
    for (t = 0; t < 6; t += t == 2 ? 3 : 1)
        for (conditional = 0; conditional < (t < 5 ? 2 : 1); ++conditional)
            for (kernel = DRL_MCMC_MALA; kernel <= DRL_MCMC_HMC; ++kernel) {
                float start[3 * N], x_next[3 * N];
                drl_mcmc_desc d;
                drl_mcmc *c = NULL;
                drl_mcmc_report r;
                double accept = 0;
                memset(&d, 0, sizeof d);
                for (i = 0; i < 3 * N; ++i) { start[i] = (float)(mix_mean[i % 9] + 0.3 * real(-1, 1)); x_next[i] = start[i] + (float)(s.s[t + 1] * real(-1, 1)); }
                d.count = N; d.seed = 40 + (uint64_t)t; d.first = 5; d.kernel = (drl_mcmc_kernel)kernel; d.level = t; d.start = start; d.leapfrog = 4;
                d.schedule = &s;
                d.x_next = conditional ? x_next : NULL;
                d.step = (kernel == DRL_MCMC_MALA ? 1.1 : 0.9) * (conditional ? s.s[t + 1] : t < 3 ? 0.4 : 1.2);
                CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
                CHECK_OK(ctx, drl_mcmc_run(c, 1));
                for (i = 0; i < N; ++i) {
                    drl_rng rng;
                    float eps[3];
                    double y[3], y0[3], g0[3], g[3], p[3], h, log_ratio, log_u, before, after, forth = 0, back = 0;
                    const float *now = c->y + 3 * i;
                    rng.seed = d.seed; rng.stream = (uint64_t)(5 + i) << 32; rng.position = 0;
                    drl_rng_normals(ctx, &rng, eps, 3);
                    rng.position = 4;
                    log_u = log(1 - (double)drl_rng_uniform(&rng));
                    h = d.step * (kernel == DRL_MCMC_HMC ? 0.8 + 0.4 * (double)drl_rng_uniform(&rng) : 1);
                    for (j = 0; j < 3; ++j) { y[j] = y0[j] = (double)start[3 * i + j]; p[j] = (double)eps[j]; }
                    before = target(&m, t, y, conditional ? x_next + 3 * i : NULL, g0);
                    if (kernel == DRL_MCMC_MALA) {
                        for (j = 0; j < 3; ++j) y[j] += h * h / 2 * g0[j] + h * p[j];
                        after = target(&m, t, y, conditional ? x_next + 3 * i : NULL, g);
                        for (j = 0; j < 3; ++j) {
                            double f = y[j] - y0[j] - h * h / 2 * g0[j], b = y0[j] - y[j] - h * h / 2 * g[j];
                            forth -= f * f / (2 * h * h);
                            back -= b * b / (2 * h * h);
                        }
                    } else {
                        memcpy(g, g0, sizeof g);
                        for (j = 0; j < 3; ++j) forth -= p[j] * p[j] / 2;
                        for (after = 0, l = 0; l < 4; ++l) {
                            for (j = 0; j < 3; ++j) y[j] += h * (p[j] += h / 2 * g[j]);
                            after = target(&m, t, y, conditional ? x_next + 3 * i : NULL, g);
                            for (j = 0; j < 3; ++j) p[j] += h / 2 * g[j];
                        }
                        for (j = 0; j < 3; ++j) back -= p[j] * p[j] / 2;
                    }
                    log_ratio = after + back - before - forth;
                    accept += (log_ratio < 0 ? exp(log_ratio) : 1) / N;
                    if (fabs(log_ratio - log_u) < 2e-3 * (1 + fabs(log_ratio))) continue;        /* float may fall on either side */
                    if (log_u <= log_ratio) ++taken[kernel - DRL_MCMC_MALA];
                    else ++refused[kernel - DRL_MCMC_MALA];
                    for (j = 0; j < 3; ++j) {
                        double want = log_u <= log_ratio ? y[j] : y0[j];
                        CHECK(fabs((double)now[j] - want) <= 2e-4 * (1 + fabs(want)), "kernel %d, level %d, conditional %d, chain %d: y[%d] is %.6f instead of %.6f (log ratio %.4f, log u %.4f)", kernel, t, conditional, i, j,
                              (double)now[j], want, log_ratio, log_u);
                    }
                    CHECK(fabs((double)c->f[i] - (log_u <= log_ratio ? after : before)) < 1 || conditional, "F of chain %d", i);
                }
                CHECK_OK(ctx, drl_mcmc_look(c, &r));
                CHECK(fabs(r.accept - accept) < 1e-3 && r.step == 1 && fabs(r.step_size - d.step) < 1e-12, "kernel %d, level %d, conditional %d: acceptance %.5f instead of %.5f", kernel, t, conditional, r.accept, accept);
                size_accept[kernel - DRL_MCMC_MALA] += accept;
                drl_mcmc_destroy(c);
            }
    for (i = 0; i < 2; ++i) CHECK(taken[i] > 50 && refused[i] > 50, "%s: %d taken, %d refused", i ? "HMC" : "MALA", taken[i], refused[i]);
    drl_ctx_destroy(ctx);
}

/* Langevin chains are drl__langevin's, bit for bit, with the level's own step, conditional and not. */
static void langevin(void)
{
    double memory[28];
    drl_schedule s;
    drl_mixture m;
    drl_energy e;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int t, i, level[N];
    float y[3 * N], x_next[3 * N], gradient[3 * N], work[3];
    drl__schedule_drl(6, memory, &s);
    m.schedule = &s; m.size = 3; m.components = 3; m.weight = mix_weight; m.mean = mix_mean; m.variance = mix_variance;
    e = drl_mixture_energy(&m);
    for (t = 1; t < 6; t += 4) {
        uint64_t seed = 9;
        drl__langevin_desc l;
        drl_mcmc_desc d;
        drl_mcmc *c = NULL;
        for (i = 0; i < 3 * N; ++i) { y[i] = (float)real(-1, 1); x_next[i] = (float)real(-1, 1); level[i % N] = t; }
        memset(&d, 0, sizeof d);
        memset(&l, 0, sizeof l);
        d.count = N; d.seed = 9; d.level = t; d.schedule = &s; d.start = y; d.noise_scale = 0.99;
        if (t < 5) d.x_next = x_next;
        l.energy = &e; l.schedule = &s; l.level = level; l.steps = 25; l.noise_scale = 0.99;
        l.noise.fill = drl__noise_counter; l.noise.user = &seed;
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        CHECK_OK(ctx, drl_mcmc_run(c, 25));
        CHECK_OK(ctx, drl__langevin(ctx, &l, N, y, x_next, gradient, work));
        CHECK(!memcmp(y, c->y, sizeof y), "level %d: chains of drl_mcmc and of drl__langevin differ", t);
        drl_mcmc_destroy(c);
    }
    drl_ctx_destroy(ctx);
}

/* -- moments -- */

typedef struct trace { double *x; int draws, chains, width; } trace;        /* width numbers a chain and draw */

/* Runs the chains and records coordinates and their squares: number 2 j and 2 j + 1 of each chain. */
static trace record(drl_ctx *ctx, drl_mcmc *c, int chains, int size, int coordinates, int draws)
{
    trace t;
    int k, i, j;
    t.x = doubles((size_t)draws * (size_t)chains * 2 * (size_t)coordinates);
    t.draws = draws; t.chains = chains; t.width = 2 * coordinates;
    for (k = 0; k < draws; ++k) {
        CHECK_OK(ctx, drl_mcmc_run(c, 1));
        for (j = 0; j < coordinates; ++j)
            for (i = 0; i < chains; ++i) {
                double y = (double)c->y[i * size + j], *at = t.x + ((size_t)(2 * j) * (size_t)draws + (size_t)k) * (size_t)chains + i;
                at[0] = y;
                at[(size_t)draws * (size_t)chains] = y * y;
            }
    }
    return t;
}

/* Number `which` of the trace has this mean, within 4 of its own standard errors, which must be small enough to say something. */
static double expect(drl_ctx *ctx, const trace *t, int which, double want, double spread, const char *name)
{
    drl_diagnosis d;
    memset(&d, 0, sizeof d);
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, t->x + (size_t)which * (size_t)t->draws * (size_t)t->chains, t->draws, t->chains, &d));
    CHECK(fabs(d.mean - want) <= 4 * d.error, "%s, number %d: %.4f instead of %.4f, standard error %.4f: off by %.1f (ESS %.0f)", name, which, d.mean, want, d.error, (d.mean - want) / d.error, d.ess);
    CHECK(d.error < 0.15 * spread && d.rhat < 1.06, "%s, number %d: error %.4f of %.3f, R-hat %.3f, ESS %.0f: too little is known", name, which, d.error, spread, d.rhat, d.ess);
    return d.ess;
}

static void moments(void)
{
    static const int sizes[3] = { 2, 10, 100 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int k, kernel, mixed, j;
    for (k = 0; k < 3; ++k)
        for (kernel = DRL_MCMC_MALA; kernel <= DRL_MCMC_HMC; ++kernel)
            for (mixed = 0; mixed < 2; ++mixed) {
                int size = sizes[k], chains = 8, hmc = kernel == DRL_MCMC_HMC, coordinates = size < 10 ? size : 10, draws = hmc ? 400 : mixed ? 3000 : 4000;
                gauss g = gauss_of(size);
                pair_of p;
                drl_energy e = mixed ? pair_energy(&p, size) : gauss_energy(&g);
                drl_mcmc_desc d;
                drl_mcmc_report r;
                drl_mcmc *c = NULL;
                double least = HUGE_VAL;
                trace t;
                char name[80];
                memset(&d, 0, sizeof d);
                if (mixed && !hmc && size == 100) draws = 4000;
                d.count = chains; d.seed = 100 + (uint64_t)k; d.kernel = (drl_mcmc_kernel)kernel; d.warmup = 200; d.step = 0.05; d.leapfrog = 8;
                snprintf(name, sizeof name, "%s, %s in %d dimensions", hmc ? "HMC" : "MALA", mixed ? "mixture" : "Gaussian", size);
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
                CHECK(fabs(r.accept - (hmc ? 0.8 : 0.574)) < 0.07 && !r.divergent, "%s: acceptance %.3f, %lu divergent", name, r.accept, (unsigned long)r.divergent);
                printf("%-34s step %.3f, acceptance %.3f, %d draws of %d chains: ESS of the mean at least %.0f\n", name, r.step_size, r.accept, draws, chains, least);
                free(t.x);
                drl_mcmc_destroy(c);
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
    m.schedule = &s; m.size = 2; m.components = 1; m.weight = &weight; m.mean = mean; m.variance = variance;
    e = drl_mixture_energy(&m);
    for (i = 0; i < 16; ++i) x_next[i] = i % 2 ? -0.7f : 0.9f;
    memset(&d, 0, sizeof d);
    d.count = 8; d.seed = 3; d.kernel = DRL_MCMC_HMC; d.level = 3; d.schedule = &s; d.x_next = x_next; d.warmup = 150; d.leapfrog = 5;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 150));
    t = record(ctx, c, 8, 2, 2, 400);
    for (j = 0; j < 2; ++j) {
        double a = s.a[4], v = a * a * (s.abar[3] * s.abar[3] * variance[j] + s.sbar[3] * s.sbar[3]), s2 = s.s[4] * s.s[4], both = 1 / (1 / v + 1 / s2), mu = both * (a * s.abar[3] * mean[j] / v + (double)x_next[j] / s2);
        expect(ctx, &t, 2 * j, mu, sqrt(both), "conditional");
        expect(ctx, &t, 2 * j + 1, mu * mu + both, 2 * sqrt(both) * fabs(mu) + both, "conditional");
    }
    free(t.x);
    drl_mcmc_destroy(c);
    drl_ctx_destroy(ctx);
}

/* -- diagnosis -- */

/* AR(1): x <- rho x + sqrt(1 - rho^2) eps. Of n draws, n (1 - rho) / (1 + rho) count. */
static void series(void)
{
    static const double rhos[5] = { 0, 0.5, 0.9, 0.97, -0.4 };
    enum { DRAWS = 4000, CHAINS = 4 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double *x = doubles(DRAWS * CHAINS);
    drl_diagnosis d, again;
    int k, c, i;
    for (k = 0; k < 5; ++k) {
        double rho = rhos[k], want = DRAWS * CHAINS * (1 - rho) / (1 + rho);
        for (c = 0; c < CHAINS; ++c) {
            drl_rng rng = { 77, 0, 0 };
            float eps[DRAWS];
            double v = 0;
            rng.stream = (uint64_t)(10 * k + c);
            drl_rng_normals(ctx, &rng, eps, DRAWS);
            for (i = 0; i < DRAWS; ++i) x[i * CHAINS + c] = 5 + 2 * (v = i ? rho * v + sqrt(1 - rho * rho) * (double)eps[i] : (double)eps[0]);
        }
        CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &d));
        CHECK(fabs(d.ess / want - 1) < (rho > 0.95 ? 0.25 : 0.12), "rho %g: ESS %.0f instead of %.0f", rho, d.ess, want);
        CHECK(fabs(d.mean - 5) < 4 * d.error && fabs(d.error - 2 / sqrt(want)) < 0.2 * 2 / sqrt(want) && fabs(d.sd - 2) < 0.2, "rho %g: mean %g, error %g, deviation %g", rho, d.mean, d.error, d.sd);
        CHECK(d.rhat < (rho > 0.95 ? 1.05 : 1.01) && d.rhat > 0.999, "rho %g: R-hat %.4f", rho, d.rhat);
    }
    for (c = 0; c < CHAINS; ++c) for (i = 0; i < DRAWS; ++i) x[i * CHAINS + c] += c % 2 ? 3 : 0;       /* two chains in another mode */
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &again));
    CHECK(again.rhat > 1.2 && again.ess < 0.02 * d.ess, "two modes: R-hat %.3f, ESS %.0f", again.rhat, again.ess);
    for (c = 0; c < CHAINS; ++c) for (i = 0; i < DRAWS; ++i) x[i * CHAINS + c] += (c % 2 ? -3 : 0) + 8.0 * i / DRAWS;        /* all drift alike: only halves differ */
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, DRAWS, CHAINS, &again));
    CHECK(again.rhat > 1.2, "a drift that all chains share: R-hat %.3f", again.rhat);
    /* eight draws by hand: x = 1..8, halves 1..4 and 5..8: W = 5/3, B/n = 8, var+ = 5/3 * 3/4 + 8 = 9.25 */
    for (i = 0; i < 8; ++i) x[i] = i + 1;
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 8, 1, &d));
    CHECK(fabs(d.rhat - sqrt(9.25 / (5.0 / 3))) < 1e-12 && d.mean == 4.5 && fabs(d.sd - sqrt(6.0)) < 1e-12, "by hand: R-hat %.6f, mean %g, deviation %g", d.rhat, d.mean, d.sd);
    for (i = 0; i < 16; ++i) x[i] = i % 2;                                                                /* two chains that stand still */
    CHECK_OK(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d));
    CHECK(d.rhat > 1e300 && d.ess < 4.1, "chains that stand still: R-hat %g, ESS %g", d.rhat, d.ess);
    again = d;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 7, 1, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 0, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, NULL, 8, 1, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 1, NULL), DRL_E_ARGUMENT);
    for (i = 0; i < 16; ++i) x[i] = 0.1;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d), DRL_E_NUMERIC);
    x[3] = (double)NAN;
    REFUSED(ctx, drl_mcmc_diagnose(ctx, x, 8, 2, &d), DRL_E_NUMERIC);
    CHECK(!memcmp(&again, &d, sizeof d), "a refused diagnosis is written");
    free(x);
    drl_ctx_destroy(ctx);
}

/* -- log Z -- */

/* Exact draws of a target, by the library's normals. */
static void exact(drl_ctx *ctx, const gauss *g, const pair_of *p, int size, int count, float *y)
{
    int i, j;
    for (i = 0; i < count; ++i) {
        drl_rng rng = { 555, 0, 0 };
        int k;
        rng.stream = (uint64_t)i;
        k = p ? drl_rng_uniform(&rng) >= (float)p->weight[0] : 0;
        rng.position = 8;
        drl_rng_normals(ctx, &rng, y + i * size, (size_t)size);
        for (j = 0; j < size; ++j) y[i * size + j] = (float)(p ? p->mean[k * size + j] + sqrt(p->variance[k * size + j]) * (double)y[i * size + j] : g->mean[j] + sqrt(g->variance[j]) * (double)y[i * size + j]);
    }
}

static drl_ais_result walk(drl_ctx *ctx, const drl_energy *e, const drl_ais_desc *d)
{
    drl_ais *a = NULL;
    drl_ais_result r;
    int left, total;
    memset(&r, 0, sizeof r);
    CHECK_OK(ctx, drl_ais_create(ctx, e, d, &a));
    if (!a) return r;
    total = drl_ais_steps_left(a);
    CHECK(total == d->steps + (d->step > 0 ? 0 : d->steps - 1), "%d temperatures, of which %d", total, d->steps);
    CHECK(drl_ais_run(a, 7) == DRL_RUNNING && drl_ais_steps_left(a) == total - 7, "7 of %d: %d are left", total, drl_ais_steps_left(a));
    while ((left = drl_ais_steps_left(a)) > 0) if (drl_ais_run(a, 50) > DRL_RUNNING) break;
    CHECK(!left && drl_ais_run(a, 1) == DRL_OK, "%d are left: %s", left, drl_ctx_message(ctx));
    CHECK_OK(ctx, drl_ais_look(a, &r));
    drl_ais_destroy(a);
    return r;
}

static void log_z(void)
{
    static const int sizes[3] = { 2, 10, 100 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int k, mixed, count = 32;
    for (k = 0; k < 3; ++k)
        for (mixed = 0; mixed < 2; ++mixed) {
            int size = sizes[k];
            gauss g = gauss_of(size);
            pair_of p;
            drl_energy e = mixed ? pair_energy(&p, size) : gauss_energy(&g);
            double truth = mixed ? 0 : gauss_log_z(&g);
            drl_ais_desc d;
            drl_ais_result low, high;
            float *y = floats((size_t)(count * size)), mean[100], variance[100];
            int j;
            memset(&d, 0, sizeof d);
            for (j = 0; j < size; ++j) { mean[j] = 0.1f; variance[j] = 1.5f; }
            d.count = count; d.seed = 21; d.steps = size < 100 ? 200 : mixed ? 300 : 500; d.leapfrog = 5; d.mean = mean; d.variance = variance;
            low = walk(ctx, &e, &d);
            exact(ctx, &g, mixed ? &p : NULL, size, count, y);
            d.start = y;
            high = walk(ctx, &e, &d);
            printf("log Z, %s in %d dimensions: %.3f +- %.3f (ESS %.1f of %d, acceptance %.2f) .. %.3f +- %.3f, gap %.3f; truth %.3f\n", mixed ? "mixture" : "Gaussian", size, low.log_z, low.error, low.ess, count, low.accept, high.log_z, high.error,
                   high.log_z - low.log_z, truth);
            CHECK(fabs(low.log_z - truth) <= 4 * low.error && fabs(high.log_z - truth) <= 4 * high.error, "size %d, mixed %d: %.4f +- %.4f and %.4f +- %.4f, truth %.4f", size, mixed, low.log_z, low.error, high.log_z, high.error, truth);
            CHECK(low.log_z - 2 * low.error <= truth && truth <= high.log_z + 2 * high.error, "size %d, mixed %d: %.4f and %.4f do not bracket %.4f", size, mixed, low.log_z, high.log_z, truth);
            CHECK(low.error < 0.25 && high.error < 0.25 && fabs(high.log_z - low.log_z) < 0.8, "size %d, mixed %d: errors %.3f and %.3f, gap %.3f", size, mixed, low.error, high.error, high.log_z - low.log_z);
            CHECK(fabs(low.accept - 0.8) < 0.1 && fabs(high.accept - 0.8) < 0.1, "size %d, mixed %d: acceptance %.3f and %.3f", size, mixed, low.accept, high.accept);
            free(y);
        }
    {                                           /* two temperatures are importance sampling: both terms by hand, exactly */
        gauss g = gauss_of(2);
        drl_energy e = gauss_energy(&g);
        drl_ais_desc d;
        drl_ais *a = NULL;
        drl_ais_result r, before;
        double beta[3] = { 0, 0.25, 1 }, sum = 0, squares = 0, most = -HUGE_VAL;
        float start[2 * N], mean[2] = { 0.2f, -0.1f }, variance[2] = { 2, 0.5f };
        const double *w;
        int i, j;
        memset(&d, 0, sizeof d);
        exact(ctx, &g, NULL, 2, N, start);
        d.count = N; d.steps = 2; d.beta = beta; d.step = 1e-6; d.mean = mean; d.variance = variance; d.start = start;       /* chains that hardly move */
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
        CHECK_OK(ctx, drl_ais_look(a, &before));
        CHECK(fabs(before.log_z) < 1e-12 && before.accept == 1, "before the first temperature: %g", before.log_z);
        CHECK(drl_ais_run(a, 2) == DRL_OK, "%s", drl_ctx_message(ctx));
        CHECK_OK(ctx, drl_ais_look(a, &r));
        w = a->log_w;
        for (i = 0; i < N; ++i) {
            double gap = g.c;
            for (j = 0; j < 2; ++j) {
                double y = (double)start[2 * i + j];
                gap += -0.5 * (y - g.mean[j]) * (y - g.mean[j]) / g.variance[j] + 0.5 * (y - (double)mean[j]) * (y - (double)mean[j]) / (double)variance[j] + 0.5 * log(2 * PI * (double)variance[j]);
            }
            CHECK(fabs(w[i] + gap) < 1e-3, "weight %d: %.5f instead of %.5f", i, w[i], -gap);
            if (-gap > most) most = -gap;
        }
        for (i = 0; i < N; ++i) { sum += exp(w[i] - most); squares += exp(2 * (w[i] - most)); }
        CHECK(fabs(r.log_z + most + log(sum / N)) < 1e-9 && fabs(r.ess - sum * sum / squares) < 1e-9, "log Z %.9f, ESS %.6f", r.log_z, r.ess);
        CHECK(fabs(r.error - sqrt((squares / N - sum / N * sum / N) / (N - 1)) / (sum / N)) < 1e-9, "error %.9f", r.error);
        CHECK(r.accept > 0.999, "acceptance %.4f", r.accept);
        drl_ais_destroy(a);
        /* a Gaussian fitted to points: theirs is the mean and the variance, so that of the target itself costs nothing */
        memset(&d, 0, sizeof d);
        a = NULL;
        d.count = 4; d.steps = 2; d.step = 0.3; d.fit = start; d.fit_count = N;
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
        for (j = 0; j < 2 && a; ++j) {
            double m = 0, v = 0;
            for (i = 0; i < N; ++i) m += (double)start[2 * i + j] / N;
            for (i = 0; i < N; ++i) v += ((double)start[2 * i + j] - m) * ((double)start[2 * i + j] - m) / (N - 1);
            CHECK(fabs((double)a->mean[j] - m) < 1e-6 && fabs(a->inverse_variance[j] * v - 1) < 1e-9, "fitted mean %g and variance %g instead of %g and %g", (double)a->mean[j], 1 / a->inverse_variance[j], m, v);
        }
        drl_ais_destroy(a);
    }
    drl_ctx_destroy(ctx);
}

/* A path is the same in slices, with any threads and batches, and goes on after an energy that has failed; of another seed it is another one,
 * also from the same start. */
static void paths(void)
{
    double want[12];
    float start[12 * 10], one[10];
    int run, i, k;
    for (i = 0; i < 120; ++i) start[i] = (float)(i % 7) / 3 - 1;
    for (i = 0; i < 10; ++i) one[i] = 1;
    for (run = 0; run < 6; ++run) {
        check_heap heap = { 0, 0, 0, 0 };
        drl_ctx *ctx = context(DRL_ISA_AUTO, run == 1 ? 3 : 1, &heap);
        gauss g = gauss_of(10);
        drl_energy e;
        drl_ais_desc d;
        drl_ais *a = NULL;
        drl_status status = DRL_RUNNING;
        long calls;
        g.batch = run == 2 || run == 5 ? 5 : 100;
        e = gauss_energy(&g);
        memset(&d, 0, sizeof d);
        d.count = 12; d.seed = run == 5 ? 5 : 4; d.steps = 30; d.moves = 2; d.leapfrog = 3;
        if (run > 3) { d.start = start; d.variance = one; d.step = 0.3; }      /* no pilot */
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
        calls = heap.calls;
        for (k = 0; status == DRL_RUNNING && k < 1000; ++k) {
            if (run == 3 && drl_ais_steps_left(a) > 1) {        /* the last temperature only weighs */
                g.calls = 0;
                g.fail_at = 1 + k % 5;          /* in the middle of a move */
                CHECK(drl_ais_run(a, 1) == DRL_E_IO && strstr(drl_ctx_message(ctx), "energy failed"), "attempt %d: '%s'", k, drl_ctx_message(ctx));
                drl_ctx_clear(ctx);
                g.fail_at = 0;
            }
            status = drl_ais_run(a, run ? 1 : 100);
        }
        CHECK(run < 4 || g.points % 12 == 0, "run %d: %ld points for 12 chains: one is asked for twice, or beyond the last", run, g.points);
        CHECK(status == DRL_OK && heap.calls == calls, "run %d: %s; %ld allocations", run, drl_ctx_message(ctx), heap.calls - calls);
        for (i = 0; i < 12; ++i) {
            if (run % 4 == 0) want[i] = a->log_w[i];
            CHECK((run < 5) == !memcmp(&want[i], &a->log_w[i], sizeof want[i]), "run %d: weight %d is %.17g instead of %.17g", run, i, a->log_w[i], want[i]);
        }
        drl_ais_destroy(a);
        drl_ctx_destroy(ctx);
        CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    }
}

/* What zero means. */
static void defaults(void)
{
    double weights[16];
    drl_ais_result r, first;
    int run, i;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(4);
    drl_energy e = gauss_energy(&g);
    for (run = 0; run < 2; ++run) {
        drl_ais_desc d;
        drl_ais *a = NULL;
        memset(&d, 0, sizeof d);
        if (run) { d.count = 16; d.steps = 1000; d.moves = 1; d.leapfrog = 10; d.accept = 0.8; d.pilot = 4; }
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &d, &a));
        if (!a) continue;
        while (drl_ais_run(a, 100) == DRL_RUNNING) { }
        CHECK_OK(ctx, drl_ais_look(a, &r));
        if (!run) first = r;
        CHECK(r.log_z == first.log_z && r.ess == first.ess && drl_ais_steps_left(a) == 0, "log Z %g and %g: other chains", first.log_z, r.log_z);
        for (i = 0; i < 16; ++i)
            if (!run) weights[i] = a->log_w[i];
            else CHECK(!memcmp(&weights[i], &a->log_w[i], sizeof weights[i]), "weight %d is %g where all is said and %g where nothing is", i, a->log_w[i], weights[i]);
        drl_ais_destroy(a);
    }
    drl_ctx_destroy(ctx);
}

/* -- likelihood and the plane -- */

static void likelihood(void)
{
    double memory[28], weight = 1, mean[2] = { 20, -50 }, variance[2] = { 900, 400 }, log_p[100], sum = 0, u;
    drl_schedule s;
    drl_mixture m;
    drl_energy e;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g;
    float x[200], work[228];
    int i, j, t;
    drl__schedule_drl(6, memory, &s);
    /* bytes u are Gaussian, so x_0 = u / 127.5 - 1 is, and x_t */
    for (j = 0; j < 2; ++j) { mean[j] = mean[j] / 127.5; variance[j] = variance[j] / (127.5 * 127.5); }
    m.schedule = &s; m.size = 2; m.components = 1; m.weight = &weight; m.mean = mean; m.variance = variance;
    e = drl_mixture_energy(&m);
    e.batch = 7;
    for (t = 0; t < 6; t += 5) {
        for (i = 0; i < 200; ++i) x[i] = (float)real(-1, 1);
        CHECK_OK(ctx, drl_log_likelihood(ctx, &e, &s, t, NULL, 100, x, 0.75, log_p, work));
        for (i = 0; i < 100; ++i) {
            double want = -0.75;
            for (j = 0; j < 2; ++j) {
                double v = s.abar[t] * s.abar[t] * variance[j] + s.sbar[t] * s.sbar[t], d = (double)x[2 * i + j] - s.abar[t] * mean[j];
                want -= 0.5 * (d * d / v + log(2 * PI * v));
            }
            CHECK(fabs(log_p[i] - want) < 1e-4 * (1 + fabs(want)), "level %d: log p of point %d is %.6f instead of %.6f", t, i, log_p[i], want);
        }
    }
    /* densities by bits a dimension integrate to 1 over the bytes' own unit */
    m.size = 1;
    e = drl_mixture_energy(&m);
    for (u = -400; u < 700; u += 1) {
        x[0] = (float)(s.abar[0] * (u / 127.5 - 1));
        CHECK_OK(ctx, drl_log_likelihood(ctx, &e, &s, 0, NULL, 1, x, 0, log_p, work));
        sum += pow(2, -drl_bits_per_dim(log_p[0], 1, 127.5 / s.abar[0]));
    }
    CHECK(fabs(sum - 1) < 1e-4, "the density by bits a dimension sums to %.6f", sum);
    CHECK(drl_bits_per_dim(-8 * log(2), 4, 1) == 2, "%g bits", drl_bits_per_dim(-8 * log(2), 4, 1));
    CHECK(isnan(drl_bits_per_dim(-1, 0, 1)) && isnan(drl_bits_per_dim(-1, 2, 0)) && isnan(drl_bits_per_dim(-1, 2, -1)), "no size, no scale");
    x[0] = (float)NAN;
    log_p[0] = 7;
    REFUSED(ctx, drl_log_likelihood(ctx, &e, &s, 0, NULL, 1, x, 0, log_p, work), DRL_E_NUMERIC);
    REFUSED(ctx, drl_log_likelihood(ctx, &e, &s, 6, NULL, 1, x, 0, log_p, work), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_log_likelihood(ctx, &e, &s, 0, NULL, 1, x, (double)NAN, log_p, work), DRL_E_ARGUMENT);
    memset(&g, 0, sizeof g);
    g.size = g.batch = 1;
    g.variance[0] = 1;
    g.fail_at = 2;
    e = gauss_energy(&g);
    x[0] = x[1] = 0;
    REFUSED(ctx, drl_log_likelihood(ctx, &e, &s, 0, NULL, 2, x, 0, log_p, work), DRL_E_IO);
    CHECK(log_p[0] == 7, "a refused likelihood is written");
    drl_ctx_destroy(ctx);
}

static void plane(void)
{
    static double f[90 * 70 + 1], p[90 * 70], flat[90 * 70];
    static const double one_f[1] = { 1.5 };
    static const drl_grid one = { 0, 2, 0, 3, 1, 1 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2), far = gauss_of(10);
    drl_energy e, e10;
    drl_grid grid = { -6, 5, -5, 6, 90, 70 };
    double z = 0, kl = 0, want = 0, mean[2] = { 0.2, 0.1 }, variance[2] = { 0.5, 0.9 };
    int i, j;
    g.batch = 11;
    e = gauss_energy(&g);
    e10 = gauss_energy(&far);
    f[90 * 70] = 7;
    CHECK_OK(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &grid, f));
    CHECK(f[90 * 70] == 7, "a number behind those of the cells is written");
    for (i = 0; i < 90 * 70; ++i) {
        double y[2], F = g.c;
        y[0] = -6 + 11 * (i % 90 + 0.5) / 90;
        y[1] = -5 + 11 * (i / 90 + 0.5) / 70;
        for (p[i] = 17, j = 0; j < 2; ++j) {
            F -= 0.5 * (y[j] - g.mean[j]) * (y[j] - g.mean[j]) / g.variance[j];
            p[i] *= exp(-0.5 * (y[j] - mean[j]) * (y[j] - mean[j]) / variance[j]);
        }
        CHECK(fabs(f[i] - F) < 1e-5 * (1 + fabs(F)), "point %d: %g instead of %g", i, f[i], F);
    }
    CHECK_OK(ctx, drl_grid_log_z(ctx, &one, one_f, 1, &z));
    CHECK(fabs(z - (1.5 + log(6.0))) < 1e-12, "log Z of one cell: %.12f", z);
    CHECK_OK(ctx, drl_grid_log_z(ctx, &grid, f, 1, &z));
    CHECK(fabs(z - gauss_log_z(&g)) < 1e-5, "log Z %.7f instead of %.7f", z, gauss_log_z(&g));
    CHECK_OK(ctx, drl_grid_log_z(ctx, &grid, f, 0.5, &z));               /* temperature 2: twice the variances, half of c */
    CHECK(fabs(z - (gauss_log_z(&g) - 0.5 * g.c + log(2.0))) < 1e-4, "log Z at temperature 2: %.7f", z);
    CHECK_OK(ctx, drl_grid_kl(ctx, &grid, p, f, &kl));
    for (j = 0; j < 2; ++j) want += 0.5 * ((variance[j] + (mean[j] - g.mean[j]) * (mean[j] - g.mean[j])) / g.variance[j] - 1 - log(variance[j] / g.variance[j]));
    CHECK(fabs(kl - want) < 1e-5, "KL %.7f instead of %.7f", kl, want);
    for (i = 0; i < 90 * 70; ++i) { flat[i] = i % 2 ? 2.0 : 0.0; p[i] = 5; }
    CHECK_OK(ctx, drl_grid_kl(ctx, &grid, flat, p, &kl));
    CHECK(fabs(kl - log(2.0)) < 1e-12, "half of the cells against all: KL %.9f", kl);
    kl = z = 7;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e10, 0, 0, &grid, f), DRL_E_SHAPE);
    g.wall = 3;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &grid, f), DRL_E_NUMERIC);
    g.fail_at = g.calls + 1;
    REFUSED(ctx, drl_grid_evaluate(ctx, &e, 0, 0, &grid, f), DRL_E_IO);
    flat[5] = -1;
    REFUSED(ctx, drl_grid_kl(ctx, &grid, flat, p, &kl), DRL_E_NUMERIC);
    for (i = 0; i < 90 * 70; ++i) flat[i] = 0;
    REFUSED(ctx, drl_grid_kl(ctx, &grid, flat, p, &kl), DRL_E_NUMERIC);
    p[3] = HUGE_VAL;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, p, 1, &z), DRL_E_NUMERIC);
    grid.nx = 0;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, p, 1, &z), DRL_E_ARGUMENT);
    grid.nx = 3; grid.x1 = -6;
    REFUSED(ctx, drl_grid_log_z(ctx, &grid, p, 1, &z), DRL_E_ARGUMENT);
    CHECK(kl == 7 && z == 7, "a refused result is written");
    drl_ctx_destroy(ctx);
}

/* -- the object -- */

static drl_mcmc *chains_of(drl_ctx *ctx, const drl_energy *e, drl_mcmc_kernel kernel, int count, int first, int warmup)
{
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    memset(&d, 0, sizeof d);
    d.count = count; d.first = first; d.seed = 8; d.kernel = kernel; d.step = 0.3; d.leapfrog = 3; d.warmup = warmup;
    CHECK_OK(ctx, drl_mcmc_create(ctx, e, &d, &c));
    return c;
}

static int same(const drl_mcmc_report *a, const drl_mcmc_report *b)
{
    return a->step == b->step && a->divergent == b->divergent && !memcmp(&a->step_size, &b->step_size, sizeof(double)) && !memcmp(&a->accept, &b->accept, sizeof(double)) && !memcmp(&a->f, &b->f, sizeof(double));
}

/* Saved and restored in the warm-up and after it, into chains that have gone elsewhere; threads, batches and instruction sets; parts of a batch. */
static void resumed(void)
{
    static const int cuts[3] = { 7, 30, 45 };
    float want[12 * 10];
    unsigned char *state = NULL, *other = NULL;
    size_t size = 0, i;
    int kernel, k;
    for (kernel = 0; kernel < 3; ++kernel)
        for (k = 0; k < 9; ++k) {
            static const drl_isa isa[9] = { DRL_ISA_PORTABLE, DRL_ISA_PORTABLE, DRL_ISA_PORTABLE, DRL_ISA_PORTABLE, DRL_ISA_AVX2, DRL_ISA_PORTABLE, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_FMA128 };
            check_heap heap = { 0, 0, 0, 0 };
            drl_ctx *ctx = context(isa[k], k == 3 ? 3 : 1, &heap);
            gauss g = gauss_of(10);
            drl_energy e;
            drl_mcmc *c;
            long calls;
            if (!ctx) continue;                                 /* no such instruction set here */
            g.batch = k == 5 ? 5 : 100;
            e = gauss_energy(&g);
            c = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 12, 2, kernel ? 30 : 0);
            calls = heap.calls;
            if (k >= 1 && k <= 3) {
                int cut = cuts[k - 1];
                drl_mcmc_report r, back;
                CHECK_OK(ctx, drl_mcmc_run(c, cut));
                CHECK_OK(ctx, drl_mcmc_look(c, &r));
                size = drl__mcmc_state_size(c);
                state = (unsigned char *)malloc(size);
                CHECK_OK(ctx, drl_mcmc_save(c, state, size, &check_written));
                CHECK_OK(ctx, drl_mcmc_run(c, 20));
                if (k == 2) {                                   /* another object */
                    drl_mcmc_destroy(c);
                    c = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 12, 2, kernel ? 30 : 0);
                    calls = heap.calls;
                }
                CHECK_OK(ctx, drl_mcmc_restore(c, state, size));
                CHECK_OK(ctx, drl_mcmc_look(c, &back));
                CHECK(same(&r, &back) && r.step == cut, "kernel %d: the report after a restore differs", kernel);
                {
                    double f = 0;
                    for (i = 0; i < 12; ++i) f += (double)c->f[i] / 12;
                    CHECK(fabs(f - r.f) < 1e-13 * fabs(f), "kernel %d: mean F %g, reported as %g", kernel, f, r.f);
                }
                CHECK_OK(ctx, drl_mcmc_run(c, 60 - cut));
                if (k == 1) {                                   /* what is not a state of these chains changes nothing */
                    other = (unsigned char *)malloc(size);
                    for (i = 0; i < size / 4; ++i) {
                        unsigned char *now = (unsigned char *)malloc(size), *after = (unsigned char *)malloc(size);
                        int point = i >= DRL__MCMC_WORDS, must = i < 12 || point || i == 12 || i == 16 || i == 18 || i == 20 || i == 22 || i == 24;
                        if (i > DRL__MCMC_WORDS + 6 && i + 3 < size / 4) { free(now); free(after); continue; }
                        memcpy(other, state, size);
                        memset(other + 4 * i, 0xff, 4);         /* NaN where it is the upper word of a double, or a point */
                        CHECK_OK(ctx, drl_mcmc_save(c, now, size, &check_written));
                        if (must) {
                            REFUSED(ctx, drl_mcmc_restore(c, other, size), DRL_E_FORMAT);
                            CHECK_OK(ctx, drl_mcmc_save(c, after, size, &check_written));
                            CHECK(!memcmp(now, after, size), "a refused state has changed word %d's chains", (int)i);
                        }
                        free(now); free(after);
                    }
                    {                                           /* one bit more accepted than there were steps since warm-up, or in it */
                        uint64_t bits = drl__bits64(kernel && cut >= 30 ? cut - 30 : cut) + 1;
                        memcpy(other, state, size);
                        drl__put_u32(other + 4 * 21, (uint32_t)bits);
                        drl__put_u32(other + 4 * 22, (uint32_t)(bits >> 32));
                        REFUSED(ctx, drl_mcmc_restore(c, other, size), DRL_E_FORMAT);
                    }
                    REFUSED(ctx, drl_mcmc_restore(c, state, size - 1), DRL_E_FORMAT);
                    REFUSED(ctx, drl_mcmc_save(c, other, size - 1, &check_written), DRL_E_SHAPE);
                    free(other);
                }
                free(state);
            }
            else CHECK_OK(ctx, drl_mcmc_run(c, 60));
            if (!k) memcpy(want, c->y, sizeof want);
            CHECK(!memcmp(want, c->y, sizeof want), "kernel %d, run %d: other points", kernel, k);
            CHECK(heap.calls == calls, "kernel %d, run %d: %ld allocations while running", kernel, k, heap.calls - calls);
            drl_mcmc_destroy(c);
            if (!k) {                                           /* without a warm-up chains do not know of each other */
                drl_mcmc *all = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 12, 0, 0), *some = chains_of(ctx, &e, (drl_mcmc_kernel)kernel, 4, 5, 0);
                CHECK_OK(ctx, drl_mcmc_run(all, 20));
                CHECK_OK(ctx, drl_mcmc_run(some, 20));
                CHECK(!memcmp(all->y + 50, some->y, 40 * sizeof(float)), "kernel %d: chains 5 to 8 alone are others", kernel);
                drl_mcmc_destroy(all);
                drl_mcmc_destroy(some);
            }
            drl_ctx_destroy(ctx);
            CHECK(heap.live == 0, "%ld blocks are left", heap.live);
        }
}

/* F is the label on level 2: each chain's own label and level reach the energy, in every batch. */
static drl_status label_eval(void *user, int n, const float *y, const int *level, const int *label, float *f,
    float *gradient)
{
    int i;
    (void)user; (void)y;
    for (i = 0; i < n; ++i) f[i] = !label ? -1 : level[i] == 2 ? (float)label[i] : 100;
    memset(gradient, 0, (size_t)n * 2 * sizeof *gradient);
    return DRL_OK;
}

static void conditions(void)
{
    static const int labels[7] = { 3, 0, 2, 5, 1, 4, 6 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e;
    drl_mcmc_desc d;
    drl_schedule s;
    double memory[28], longer[7];
    float x_next[14] = { 0 };
    unsigned char state[2048];
    int i, run;
    size_t size = 0;
    memset(&e, 0, sizeof e);
    memset(&d, 0, sizeof d);
    drl__schedule_drl(6, memory, &s);
    e.eval = label_eval; e.size = 2; e.batch = 3;
    d.count = 7; d.kernel = DRL_MCMC_MALA; d.step = 0.1; d.schedule = &s; d.level = 2; d.x_next = x_next;
    for (run = 0; run < 5; ++run) {             /* a state belongs to chains with the same labels, x_next and s_{t+1} */
        drl_mcmc *c = NULL;
        int other[7];
        for (i = 0; i < 7; ++i) { other[i] = labels[i]; longer[i] = s.s[i]; }
        d.labels = other;
        if (run == 1) other[0] = 1;
        if (run == 2) other[6] = 5;
        if (run == 3) x_next[13] = 0.5f;
        if (run == 4) { x_next[13] = 0; longer[3] *= 1.5; s.s = longer; }
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        if (!c) break;
        CHECK_OK(ctx, drl_mcmc_run(c, 2));
        for (i = 0; i < 7; ++i) CHECK(c->f[i] == (float)other[i], "chain %d is told label %g", i, (double)c->f[i]);
        if (!run) {
            size = drl__mcmc_state_size(c);
            CHECK(size <= sizeof state, "%d bytes", (int)size);
            CHECK_OK(ctx, drl_mcmc_save(c, state, size, &check_written));
            CHECK_OK(ctx, drl_mcmc_restore(c, state, size));
        } else REFUSED(ctx, drl_mcmc_restore(c, state, size), DRL_E_FORMAT);
        drl_mcmc_destroy(c);
    }
    drl_ctx_destroy(ctx);
}

/* Energies that fail or are not finite: the chains stay where they were. */
static void failures(void)
{
    double memory[28];
    drl_schedule s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(10);
    drl_energy e;
    drl_mcmc *c;
    drl_mcmc_report r, r2;
    drl_mcmc_desc d;
    drl_ais_desc ad;
    drl_ais *a = NULL, *none = NULL;
    float before[120], start[120], bad[120];
    double rising[3] = { 0, 0.5, 1 };
    int k;
    drl__schedule_drl(6, memory, &s);
    g.batch = 5;
    e = gauss_energy(&g);
    c = chains_of(ctx, &e, DRL_MCMC_HMC, 12, 0, 0);
    CHECK_OK(ctx, drl_mcmc_run(c, 3));
    memcpy(before, c->y, sizeof before);
    for (k = 1; k <= 9; ++k) {                                  /* three batches of three leapfrogs */
        g.fail_at = g.calls + k;
        REFUSED(ctx, drl_mcmc_run(c, 1), DRL_E_IO);
        CHECK_OK(ctx, drl_mcmc_look(c, &r));
        CHECK(r.step == 3 && !memcmp(before, c->y, sizeof before), "evaluation %d has failed, and the chains have moved", k);
    }
    CHECK_OK(ctx, drl_mcmc_run(c, 1));
    drl_mcmc_destroy(c);
    /* a wall: HMC and MALA refuse what lies behind it, Langevin cannot */
    g.wall = 30;
    for (k = 0; k < 3; ++k) {
        int steps = 0;
        drl_status status = DRL_OK;
        memset(&d, 0, sizeof d);
        for (steps = 0; steps < 120; ++steps) start[steps] = (float)g.mean[steps % 10];
        d.count = 12; d.kernel = (drl_mcmc_kernel)k; d.step = 1.1; d.start = start;
        c = NULL;
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
        for (steps = 0; steps < 40 && status == DRL_OK; ++steps) {
            memcpy(before, c->y, sizeof before);
            CHECK_OK(ctx, drl_mcmc_look(c, &r2));
            status = drl_mcmc_run(c, 1);
        }
        CHECK_OK(NULL, drl_mcmc_look(c, &r));
        if (k) CHECK(status == DRL_OK && r.divergent > 10 && r.accept < 0.9, "kernel %d: %lu divergent, acceptance %g", k, (unsigned long)r.divergent, r.accept);
        else CHECK(status == DRL_E_NUMERIC && !memcmp(before, c->y, sizeof before) && same(&r, &r2) && strstr(drl_ctx_message(ctx), "leaves the finite"), "Langevin: %s", drl_ctx_message(ctx));
        drl_ctx_clear(ctx);
        for (steps = 0; steps < 12; ++steps) CHECK(isfinite(c->f[steps]), "F of chain %d", steps);
        drl_mcmc_destroy(c);
    }
    /* descriptions */
    c = NULL;
    memcpy(bad, start, sizeof bad);
    bad[117] = (float)NAN;
#define BAD_CHAINS(status, change) do { memset(&d, 0, sizeof d); d.count = 12; d.kernel = DRL_MCMC_HMC; d.step = 0.1; d.start = start; change; REFUSED(ctx, drl_mcmc_create(ctx, &e, &d, &c), status); CHECK(!c, "a result"); } while (0)
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
#define BAD_PATH(status, change) do { memset(&ad, 0, sizeof ad); ad.count = 12; ad.steps = 2; ad.variance = start + 60; ad.start = start; change; REFUSED(ctx, drl_ais_create(ctx, &e, &ad, &none), status); CHECK(!none, "a result"); } while (0)
    for (k = 0; k < 10; ++k) start[60 + k] = 0.04f;             /* as variances */
    BAD_PATH(DRL_E_NUMERIC, ad.start = bad);
    BAD_PATH(DRL_E_NUMERIC, ad.variance = NULL);                /* N(0, I) has points behind the wall */
    BAD_PATH(DRL_E_ARGUMENT, ad.steps = 1);
    BAD_PATH(DRL_E_ARGUMENT, ad.pilot = 13);
    BAD_PATH(DRL_E_ARGUMENT, ad.variance = bad + 110);
    BAD_PATH(DRL_E_ARGUMENT, (ad.fit = start, ad.fit_count = 4));       /* and a variance */
    BAD_PATH(DRL_E_NUMERIC, (ad.variance = NULL, ad.fit = bad, ad.fit_count = 12));
    for (k = 0; k < 120; ++k) bad[k] = 0.25f;
    BAD_PATH(DRL_E_NUMERIC, (ad.variance = NULL, ad.fit = bad, ad.fit_count = 12));             /* nothing varies */
    BAD_PATH(DRL_E_ARGUMENT, (ad.beta = rising, rising[1] = 0));
    BAD_PATH(DRL_E_ARGUMENT, (ad.beta = rising, rising[1] = 1.5));
    BAD_PATH(DRL_E_ARGUMENT, (ad.beta = rising, rising[1] = 0.5, rising[2] = 0.9));
    BAD_PATH(DRL_E_ARGUMENT, (ad.beta = rising, rising[2] = 1, rising[0] = 0.1));
    memset(&ad, 0, sizeof ad);
    g.wall = 0;
    ad.count = 1; ad.steps = 2; ad.step = 0.1;
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &ad, &a));
    CHECK(drl_ais_run(a, 2) == DRL_OK, "one chain");
    {
        drl_ais_result result;
        CHECK_OK(ctx, drl_ais_look(a, &result));
        CHECK(result.error > 1e300 && result.ess == 1, "one chain knows nothing of its error: %g", result.error);
    }
    drl_ais_destroy(a);
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
    CHAINS(&e, "x_next needs a schedule, which has its noise");
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

/* Word `at` of a state, or a double of which it is the lower word, becomes another. */
static void says_states(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    gauss g = gauss_of(2);
    drl_energy e = gauss_energy(&g);
    drl_mcmc_desc d;
    drl_mcmc *c = NULL;
    unsigned char state[4 * (DRL__MCMC_WORDS + 4)], bad[sizeof state];
    memset(&d, 0, sizeof d);
    d.count = 2;
    d.seed = 5;
    d.step = 0.5;
    d.kernel = DRL_MCMC_MALA;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &d, &c));
    CHECK_OK(ctx, drl_mcmc_run(c, 3));
    CHECK_OK(ctx, drl_mcmc_save(c, state, sizeof state, &check_written));
#define STATE(at, word, sentence)                                                          \
    do {                                                                                   \
        memcpy(bad, state, sizeof bad);                                                    \
        drl__put_u32(bad + 4 * (at), word);                                                \
        SAYS(ctx, drl_mcmc_restore(c, bad, sizeof bad), DRL_E_FORMAT, "drl_mcmc_restore: " sentence); \
    } while (0)
#define STATE_DOUBLE(at, value, sentence)                                                  \
    do {                                                                                   \
        drl__put_u32(state + 4 * (at), 0);                                                 \
        STATE((at) + 1, (uint32_t)(drl__bits64(value) >> 32), sentence);                   \
    } while (0)
    SAYS(ctx, drl_mcmc_restore(c, state, 9), DRL_E_FORMAT,
         "drl_mcmc_restore: the state has 9 bytes; that of these chains has 116");
    STATE(1, 2, "the state's version is 2; these chains have 1");
    STATE(4, 6, "the state's seed is 6; these chains have 5");
    STATE(7, 2, "the state's kernel is 2; these chains have 1");
    STATE(12, 0x7fffffff, "the state's step is 2147483647; numbers below 2147483647 are possible");
    STATE(28, 0x7f800000, "number 3 of the points is not finite");
    STATE_DOUBLE(15, 0.0, "eps is 0; it has to be above 0 and below 1e60");
    memcpy(state, bad, sizeof state);
    drl__put_u32(state + 4 * 16, (uint32_t)(drl__bits64(0.5) >> 32));
    STATE_DOUBLE(17, 1024.0, "log_eps_mean is 1024; it has to be above -1000 and below 1000");
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
    TRACE(DRL_E_ARGUMENT, (double *)(void *)((char *)x + 4), 8, 1, "x is not aligned as doubles are");
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
    PART(series());
    PART(log_z());
    PART(paths());
    PART(defaults());
    PART(likelihood());
    PART(plane());
    PART(resumed());
    PART(conditions());
    PART(failures());
    PART(says_energy_and_schedule());
    PART(says_chains());
    PART(says_states());
    PART(says_diagnosis());
    PART(says_paths());
    PART(says_likelihood());
    PART(says_plane());
    PART(says_metrics());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count, "%ld calls of the job system watched, %d blocks left",
        jobs_watched, watch_count);
    return check_report("test_mcmc");
}
