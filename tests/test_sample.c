/* test_sample.c - schedules, closed-form energies, weighted sums, and whether Langevin and progressive sampling reach what they should:
 * exactly predicted moments for a Gaussian, known means, covariances and weights for mixtures; images of which a part is known. Then the
 * sampler as an object: slices, save and restore, batches, threads, instruction sets, wrong use; a clock's budget; interpolation. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"

/* got lies within four standard errors of want. */
static void near(const char *what, double got, double want, double error)
{
    CHECK(fabs(got - want) <= 4 * error, "%s is %.5f, should be %.5f, standard error %.5f: off by %.1f", what, got, want, error, (got - want) / error);
}

/* -- schedules -- */

/* E(x_t | x_0, x_{t+1}) by conditioning a Gaussian: x_t = abar x_0 + noise, x_{t+1} = a x_t + more noise; data noise counts as noise. */
static void posteriors(const drl_schedule *s, int t)
{
    double noise, of_x0, of_next;
    for (noise = 0; noise < 0.5; noise += 0.3) {
        double now = s->sbar[t] * s->sbar[t] + noise * noise * s->abar[t] * s->abar[t], a = s->a[t + 1];
        double gain = a * now / (a * a * now + s->s[t + 1] * s->s[t + 1]);
        drl__schedule_posterior(s, t, noise, &of_x0, &of_next);
        CHECK(fabs(of_next - gain) < 1e-12 && fabs(of_x0 - s->abar[t] * (1 - gain * a)) < 1e-12,
              "level %d, noise %g: %g x_0 + %g x_next", t, noise, of_x0, of_next);
    }
}


/* The published cut, written down once more: products of sqrt(1 - beta) between the cut points, in pairs of logarithms. */
static void schedule(void)
{
    static const int levels[5] = { 2, 3, 6, 20, 500 };
    int i, k;
    for (k = 0; k < 5; ++k) {
        int T = levels[k], beta = 0;
        double *memory = (double *)malloc(4 * ((size_t)T + 1) * sizeof(double)), log_bar = 0;
        drl_schedule s;
        CHECK(memory && drl__schedule_drl(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 2e-4, "T %d", T);
        for (i = 0; i <= T; ++i) {
            int cut = i == T ? 999 : i * (int)(500.0 / (T - 1) + 1e-9);
            double log_a = 0, step;
            for (; beta <= cut; ++beta) log_a += 0.5 * log(1 - (1e-4 + beta * (0.02 - 1e-4) / 999));
            log_bar += log_a;
            CHECK(fabs(s.a[i] - exp(log_a)) < 1e-13 && fabs(s.abar[i] - exp(log_bar)) < 1e-13, "T %d: a[%d] is %.15f, not %.15f", T, i, s.a[i], exp(log_a));
            CHECK(fabs(s.s[i] - sqrt(-expm1(2 * log_a))) < 1e-11 && fabs(s.sbar[i] - sqrt(-expm1(2 * log_bar))) < 1e-11, "T %d: s[%d] is %.15f, not %.15f", T, i, s.s[i], sqrt(-expm1(2 * log_a)));
            if (i == T) break;
            step = sqrt(s.sbar[i] / s.sbar[0] * 2e-4) * s.s[i + 1];
            CHECK(fabs(drl_schedule_step(&s, i) - step) < 1e-14, "T %d: step of level %d", T, i);
            CHECK(drl_schedule_scale(&s, i) == (i == T - 1 ? 1.0 : s.a[i + 1]), "T %d: scale of level %d", T, i);
        }
        free(memory);
    }
    for (k = 0; k < 5; ++k) {                           /* [Zhu24]: the cosine in log-SNR, rounded to float */
        int T = levels[k];
        double *memory = (double *)malloc(5 * ((size_t)T + 1) * sizeof(double)), B = atan(exp(-4.9)), A = atan(exp(2.55)) - B, plain;
        drl_schedule s;
        CHECK(memory && drl__schedule_cdrl(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 4e-4 && s.logsnr, "T %d", T);
        for (i = 0; i <= T; ++i) {
            double l = -2 * log(tan(A * i / T + B)), a2, step, v;
            CHECK(fabs(s.logsnr[i] - l) < 1e-5 && s.logsnr[i] == (double)(float)s.logsnr[i], "T %d: log-SNR %d is %.9g, not %.9g", T, i, s.logsnr[i], l);
            l = s.logsnr[i];
            CHECK(fabs(s.abar[i] - sqrt(1 / (1 + exp(-l)))) < 1e-15 && fabs(s.sbar[i] - sqrt(1 / (1 + exp(l)))) < 1e-15, "T %d: abar[%d] %.17g", T, i, s.abar[i]);
            a2 = i ? (1 + exp(-s.logsnr[i - 1])) / (1 + exp(-l)) : 1 / (1 + exp(-l));
            CHECK(fabs(s.a[i] - sqrt(a2)) < 1e-14 && fabs(s.s[i] * s.s[i] - (1 - a2)) < 1e-14, "T %d: a[%d] %.17g", T, i, s.a[i]);
            v = 1000 * atan(exp(-l / 2)) / atan2(1, 0);
            CHECK(fabs((double)drl__schedule_level(&s, i) - v) < 2e-4 && (!i || drl__schedule_level(&s, i) > drl__schedule_level(&s, i - 1)), "T %d: level value %.9g of %d, not %.9g", T, (double)drl__schedule_level(&s, i), i, v);
            if (i == T) break;
            a2 = s.a[i + 1] * s.a[i + 1];
            step = (1 - s.abar[i] * s.abar[i]) / (1 - s.abar[i + 1] * s.abar[i + 1]) * (1 - a2) * (i == T - 1 ? 1 : a2);
            CHECK(fabs(drl__schedule_proposal(&s, i) - sqrt(step)) < 1e-12, "T %d: noise of the proposal at level %d", T, i);
            step = sqrt(s.sbar[i] / s.sbar[0] * 4e-4) * s.s[i + 1];
            CHECK(fabs(drl_schedule_step(&s, i) - step) < 1e-14, "T %d: step of level %d", T, i);
            posteriors(&s, i);
        }
        plain = s.logsnr[T / 2];
        CHECK(drl__schedule_shifted(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 4e-4, "T %d", T);
        CHECK(fabs(s.logsnr[T / 2] - (plain - DRL_SCHEDULE_SHIFT)) < 1e-6, "T %d: log-SNR %g, shifted %g", T, plain, s.logsnr[T / 2]);
        for (i = 0; i <= T; ++i) {
            double snr = s.abar[i] * s.abar[i] / (s.sbar[i] * s.sbar[i]);
            CHECK(fabs(log(snr) - s.logsnr[i]) < 1e-9 * (1 + 1 / s.sbar[i]), "T %d: level %d", T, i);
            CHECK(i == 0 || s.logsnr[i] < s.logsnr[i - 1], "T %d: level %d has more signal than the one below", T, i);
            CHECK(i == 0 || fabs(s.abar[i] - s.abar[i - 1] * s.a[i]) < 1e-14, "T %d: level %d", T, i);
        }
        free(memory);
    }
    CHECK(drl__level_of_logsnr(1e9f) == drl__level_of_logsnr(20.0f) && drl__level_of_logsnr(-1e9f) == drl__level_of_logsnr(-20.0f) && drl__level_of_logsnr(0.0f) == 500.0f, "level values at the ends");
    {
        double memory[35];
        drl_schedule s;
        CHECK(drl__schedule_cdrl(1, memory, &s) == DRL_E_ARGUMENT && drl__schedule_cdrl(501, memory, &s) == DRL_E_ARGUMENT, "levels out of range");
        CHECK(drl__schedule_cdrl(6, NULL, &s) == DRL_E_ARGUMENT && drl__schedule_cdrl(6, memory, NULL) == DRL_E_ARGUMENT, "arguments that are missing");
        CHECK(drl__schedule_drl(6, memory, &s) == DRL_OK && !s.logsnr && drl__schedule_level(&s, 5) == 5.0f, "DRL's level values");
        CHECK(drl__schedule_drl(1, memory, &s) == DRL_E_ARGUMENT && drl__schedule_drl(501, memory, &s) == DRL_E_ARGUMENT, "levels out of range");
        CHECK(drl__schedule_drl(6, NULL, &s) == DRL_E_ARGUMENT && drl__schedule_drl(6, memory, NULL) == DRL_E_ARGUMENT, "arguments that are missing");
    }
}

/* All 1000 betas in equal stretches, at the end nothing of the signal; steps of one length over s, and sbar_{t+1} for f. */
static void fine_schedule(void)
{
    static const int levels[4] = { 2, 7, 200, 1000 };
    static double memory[4 * 1001];
    drl_schedule s;
    int i, k;
    for (k = 0; k < 4; ++k) {
        int T = levels[k], beta = 0;
        double log_bar = 0;
        CHECK(drl__schedule_t1k(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 0.1 && s.rule == DRL_STEP_FINE && !s.logsnr, "T %d", T);
        for (i = 0; i < T; ++i) {
            int end = (int)floor(i * 999.0 / (T - 1) + 1e-9);
            double log_a = 0;
            for (; beta <= end; ++beta) log_a += 0.5 * log(1 - (1e-4 + beta * (0.02 - 1e-4) / 999));
            log_bar += log_a;
            CHECK(fabs(s.a[i] - exp(log_a)) < 1e-12 && fabs(s.abar[i] - exp(log_bar)) < 1e-12 && fabs(s.sbar[i] - sqrt(-expm1(2 * log_bar))) < 1e-10, "T %d: a[%d] is %.15f, not %.15f", T, i, s.a[i], exp(log_a));
        }
        CHECK(beta == 1000 && s.a[T] == 0 && s.s[T] == 1 && s.abar[T] == 0 && s.sbar[T] == 1, "T %d: %d betas, at the end a %g", T, beta, s.a[T]);
        for (i = 0; i < T; ++i)
            CHECK(fabs(drl_schedule_step(&s, i) - sqrt(0.1) * s.s[i + 1]) < 1e-15 && drl__schedule_f_scale(&s, i) == s.sbar[i + 1] && drl__schedule_level(&s, i) == (float)i, "T %d: step and f of level %d", T, i);
        CHECK(drl__schedule_f_scale(&s, T) == 0 && drl__schedule_f_scale(&s, -1) == 0 && drl__schedule_f_scale(NULL, 0) == 0, "levels that are not there");
    }
    CHECK(drl__schedule_t1k(1, memory, &s) == DRL_E_ARGUMENT && drl__schedule_t1k(1001, memory, &s) == DRL_E_ARGUMENT && drl__schedule_t1k(6, NULL, &s) == DRL_E_ARGUMENT, "out of range");
    drl__schedule_drl(6, memory, &s);
    CHECK(!s.rule && drl__schedule_f_scale(&s, 2) == drl_schedule_step(&s, 2) * drl_schedule_step(&s, 2), "f of a coarse schedule");
}

/* -- mixtures -- */

typedef struct target {
    int components, size;
    double weight[3], mean[3 * 5], variance[3 * 5];
} target;

/* Density of the diffused and scaled mixture at y, and of each component; plain sums, so only for y where they do not underflow. */
static double density(const target *g, const drl_schedule *s, int t, const double *y, double *part)
{
    double a = t == s->levels - 1 ? 1.0 : s->a[t + 1], sum = 0;
    int k, j;
    for (k = 0; k < g->components; ++k) {
        part[k] = g->weight[k];
        for (j = 0; j < g->size; ++j) {
            double m = a * s->abar[t] * g->mean[k * g->size + j], v = a * a * (s->abar[t] * s->abar[t] * g->variance[k * g->size + j] + s->sbar[t] * s->sbar[t]);
            part[k] *= exp(-(y[j] - m) * (y[j] - m) / (2 * v)) / sqrt(2 * 3.14159265358979323846 * v);
        }
        sum += part[k];
    }
    return sum;
}

static drl_energy energy_of(const target *g, const drl_schedule *s, drl_mixture *m)
{
    m->schedule = s;
    m->size = (size_t)g->size;
    m->components = g->components;
    m->weight = g->weight;
    m->mean = g->mean;
    m->variance = g->variance;
    return drl_mixture_energy(m);
}

static void mixture(void)
{
    int size, components, t, i, j, k;
    double memory[28];
    drl_schedule s;
    drl__schedule_drl(6, memory, &s);
    for (size = 1; size <= 5; size += size == 2 ? 3 : 1)
        for (components = 1; components <= 3; ++components) {
            target g;
            drl_mixture m;
            drl_energy e;
            double total = 0;
            g.components = components; g.size = size;
            for (k = 0; k < components; ++k) total += g.weight[k] = real(0.2, 1);
            for (k = 0; k < components; ++k) g.weight[k] /= total;
            for (k = 0; k < components * size; ++k) { g.mean[k] = real(-1, 1); g.variance[k] = k % 3 == 2 ? 0.0 : real(0.05, 1); }
            e = energy_of(&g, &s, &m);
            CHECK(e.size == (size_t)size && e.batch > 1000, "size %d", (int)e.size);
            for (t = 0; t < 6; ++t) {
                float y[5 * 4], f[4], grad[5 * 4], f2[4];
                int level[4];
                double a = drl_schedule_scale(&s, t);
                for (i = 0; i < 4; ++i) level[i] = t;
                for (i = 0; i < 4 * size; ++i) y[i] = (float)(a * s.abar[t] * g.mean[i % (components * size)] + a * (s.sbar[t] + 0.1) * real(-2, 2));
                CHECK(e.eval(e.user, 4, y, level, NULL, f, grad) == DRL_OK, "evaluation");
                CHECK(e.eval(e.user, 4, y, level, NULL, f2, NULL) == DRL_OK && !memcmp(f, f2, sizeof f), "the value alone");
                CHECK(e.eval(e.user, 4, y, level, NULL, NULL, NULL) == DRL_OK, "neither");
                for (i = 0; i < 4; ++i) {
                    double point[5], part[3], p;
                    for (j = 0; j < size; ++j) point[j] = (double)y[i * size + j];
                    p = density(&g, &s, t, point, part);
                    CHECK(fabs((double)f[i] - log(p)) <= 1e-6 * (1 + fabs(log(p))), "size %d, %d components, level %d: F %g instead of %g", size, components, t, (double)f[i], log(p));
                    for (j = 0; j < size; ++j) {
                        double want = 0, scale = 0;
                        for (k = 0; k < components; ++k) {
                            double mk = a * s.abar[t] * g.mean[k * size + j], v = a * a * (s.abar[t] * s.abar[t] * g.variance[k * size + j] + s.sbar[t] * s.sbar[t]);
                            want -= part[k] / p * (point[j] - mk) / v;
                            scale += part[k] / p * fabs(point[j] - mk) / v;
                        }
                        CHECK(fabs((double)grad[i * size + j] - want) <= 1e-6 * scale + 1e-7, "size %d, %d components, level %d: dF/dy[%d] %g instead of %g", size, components, t, j, (double)grad[i * size + j], want);
                    }
                }
                if (size == 1) {                    /* normalised: F integrates to 1 */
                    double sum = 0, x;
                    for (x = -8; x < 8; x += 0.002) {
                        float at = (float)x, value;
                        e.eval(e.user, 1, &at, level, NULL, &value, NULL);
                        sum += 0.002 * exp((double)value);
                    }
                    CHECK(fabs(sum - 1) < 1e-4, "%d components, level %d: the density integrates to %g", components, t, sum);
                }
            }
            {                                       /* far away, where every density underflows: the nearest component decides */
                float y[5], f, grad[5];
                int level = 0;
                for (j = 0; j < size; ++j) y[j] = 1000;
                CHECK(e.eval(e.user, 1, y, &level, NULL, &f, grad) == DRL_OK && isfinite(f) && f < -1e5f && isfinite(grad[0]) && grad[0] < 0, "F %g, gradient %g at 1000", (double)f, (double)grad[0]);
            }
        }
}

/* -- a Gaussian: every step is linear, so the moments of the discretised chains are known exactly -- */

/* One coordinate through all levels: the joint moments of (y, x_{t+1}) obey a linear recursion. */
static void gaussian_moments(const drl_schedule *s, int steps, double noise_scale, double mu, double variance, double *mean, double *var)
{
    double mx = 0, vx = 1;
    int t, k;
    for (t = s->levels - 1; t >= 0; --t) {
        double a = drl_schedule_scale(s, t), h = s->sbar[t] / s->sbar[0] * s->b2 * s->s[t + 1] * s->s[t + 1];
        double m = a * s->abar[t] * mu, v = a * a * (s->abar[t] * s->abar[t] * variance + s->sbar[t] * s->sbar[t]);
        double pull = t == s->levels - 1 ? 0.0 : 1 / (s->s[t + 1] * s->s[t + 1]);
        double A = 1 - h / 2 * (1 / v + pull), B = h / 2 * m / v, C = h / 2 * pull, my = mx, vy = vx, cxy = vx;
        for (k = 0; k < steps; ++k) {
            my = A * my + B + C * mx;
            vy = A * A * vy + C * C * vx + 2 * A * C * cxy + h * noise_scale * noise_scale;
            cxy = A * cxy + C * vx;
        }
        mx = my / a;
        vx = vy / (a * a);
    }
    *mean = mx;
    *var = vx;
}

static void gaussian(void)
{
    static const struct { double b2; int steps; float noise_scale; const char *name; } runs[3] = {
        { 2e-4, 30, 0, "T6" }, { 2e-4, 30, 0.9f, "T6, less noise" }, { 5e-3, 12, 0, "large steps" }
    };
#define N 10000
    double memory[28];
    drl_schedule s;
    int r, i, j;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float *x = floats(2 * N);
    for (r = 0; r < 3; ++r) {
        target g = { 1, 2, { 1 }, { 0.8, -0.3 }, { 0.01, 0.5 } };
        drl_mixture m;
        drl_energy e;
        drl_sample_desc how;
        drl_sampler *sampler = NULL;
        double mean[2] = { 0, 0 }, cov[3] = { 0, 0, 0 }, want_mean[2], want_var[2];
        char what[80];
        drl__schedule_drl(6, memory, &s);
        s.b2 = runs[r].b2;
        e = energy_of(&g, &s, &m);
        memset(&how, 0, sizeof how);
        how.count = N; how.seed = 11; how.steps = runs[r].steps; how.noise_scale = runs[r].noise_scale;
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0; i < N; ++i) {
            CHECK(drl_sampler_image(sampler, i, x + 2 * i) == DRL_OK, "image %d", i);
            for (j = 0; j < 2; ++j) mean[j] += (double)x[2 * i + j] / N;
        }
        for (i = 0; i < N; ++i) {
            double d0 = (double)x[2 * i] - mean[0], d1 = (double)x[2 * i + 1] - mean[1];
            cov[0] += d0 * d0 / (N - 1); cov[1] += d1 * d1 / (N - 1); cov[2] += d0 * d1 / (N - 1);
        }
        for (j = 0; j < 2; ++j) {
            gaussian_moments(&s, runs[r].steps, runs[r].noise_scale > 0 ? (double)runs[r].noise_scale : 1.0, g.mean[j], g.variance[j], &want_mean[j], &want_var[j]);
            snprintf(what, sizeof what, "%s: mean %d", runs[r].name, j);
            near(what, mean[j], want_mean[j], sqrt(want_var[j] / N));
            snprintf(what, sizeof what, "%s: variance %d", runs[r].name, j);
            near(what, cov[j], want_var[j], want_var[j] * sqrt(2.0 / (N - 1)));
        }
        snprintf(what, sizeof what, "%s: covariance", runs[r].name);
        near(what, cov[2], 0, sqrt(want_var[0] * want_var[1] / N));
        drl_sampler_destroy(sampler);
    }
    free(x);
    drl_ctx_destroy(ctx);
}

/* -- mixtures: mean, covariance and weights -- */

/* A schedule on which chains mix: level 0 already has noise 0.45, so step sizes of different levels are within a factor of 2.3 (in T6 they
 * differ by 100: at a stable step for the last level, level 0 would need 10^5 steps). In units of the conditional variance, at most s^2, one
 * step moves by step^2 / s^2 = c_t b2, c_t = 1 .. 2.2. After K steps a chain remembers at most exp(-K b2 / 2) of its start, and the
 * discretisation makes variances too large by c_t b2 / 4 or less. With b2 = 0.03 and K = 500 the first is 0.0006 and the second at most 0.017;
 * standard errors with 2000 chains are 0.022 of a mean (in standard deviations) and 0.032 of a variance. */
#define MIX_LEVELS 4
#define MIX_STEPS  500
#define MIX_CHAINS 2000
static double mix_memory[4 * (MIX_LEVELS + 1)];

/* The schedule with these sbar [levels + 1]; memory [4 * (levels + 1)]. */
static drl_schedule schedule_of(const double *sbar, int levels, double b2, double *memory)
{
    drl_schedule s;
    if (drl_schedule_of(sbar, levels, b2, memory, &s) != DRL_OK) exit(3);
    return s;
}

static drl_schedule mix_schedule(void)
{
    static const double sbar[MIX_LEVELS + 1] = { 0.45, 0.62, 0.80, 0.95, 0.9995 };
    return schedule_of(sbar, MIX_LEVELS, 0.03, mix_memory);
}

/* A schedule of given noise: every field is set, and what does not grow, or is no noise, is refused and writes nothing. */
static void own_schedule(void)
{
    static const double sbar[5] = { 0.05, 0.2, 0.4, 0.95, 1.0 }, near_levels[3] = { 0.5, 0.5 + 1e-12, 0.6 };
    static const double wrong[6][3] = { { 0, 0.2, 0.4 }, { -0.1, 0.2, 0.4 }, { 0.2, 0.2, 0.4 }, { 0.2, 0.4, 0.3 }, { 0.2, 0.4, 1.5 }, { 0.2, NAN, 0.4 } };
    static double many[1002], many_memory[5 * 1001];
    double memory[20], before[20];
    drl_schedule s, kept, large;
    int i;
    memset(&s, 0xA5, sizeof s);
    CHECK(drl_schedule_of(sbar, 4, 1e-2, memory, &s) == DRL_OK && s.levels == 4 && s.b2 == 1e-2 && !s.logsnr && !s.rule, "levels %d, b2 %g, rule %d", s.levels, s.b2, (int)s.rule);
    for (i = 0; i <= 4; ++i) {
        double ab = sqrt(1 - sbar[i] * sbar[i]), a = i ? ab / sqrt(1 - sbar[i - 1] * sbar[i - 1]) : ab;
        CHECK(s.sbar[i] == sbar[i] && fabs(s.abar[i] - ab) < 1e-15 && fabs(s.a[i] - a) < 1e-15 && fabs(s.s[i] - sqrt(1 - a * a)) < 1e-14, "level %d: a %g s %g abar %g sbar %g", i, s.a[i], s.s[i], s.abar[i], s.sbar[i]);
    }
    CHECK(fabs(drl_schedule_step(&s, 1) - sqrt(0.2 / 0.05 * 1e-2) * s.s[2]) < 1e-15 && drl__schedule_level(&s, 3) == 3.0f && drl_schedule_scale(&s, 3) == 1, "step %g", drl_schedule_step(&s, 1));
    CHECK(drl_schedule_of(near_levels, 2, 1, memory, &s) == DRL_OK && fabs(s.s[1] / sqrt(1e-12 / 0.75) - 1) < 1e-4, "s %g between levels that are near", s.s[1]);
    CHECK(drl_schedule_of(sbar + 3, 1, 1, memory, &s) == DRL_OK && s.levels == 1 && s.a[1] == 0 && s.s[1] == 1, "one level up to noise alone");
    kept = s;
    memcpy(before, memory, sizeof memory);
    for (i = 0; i < 6; ++i) CHECK(drl_schedule_of(wrong[i], 2, 1, memory, &s) == DRL_E_ARGUMENT, "case %d: %g %g %g", i, wrong[i][0], wrong[i][1], wrong[i][2]);
    for (i = 0; i < 1002; ++i) many[i] = (i + 1) / 1002.0;
    CHECK(drl_schedule_of(many, 1000, 1, many_memory, &large) == DRL_OK && large.levels == 1000, "1000 levels");
    CHECK(drl_schedule_of(many, 1001, 1, many_memory, &large) == DRL_E_ARGUMENT, "1001 levels");
    CHECK(drl_schedule_of(sbar, 4, 0, memory, &s) == DRL_E_ARGUMENT && drl_schedule_of(sbar, 0, 1, memory, &s) == DRL_E_ARGUMENT && drl_schedule_of(sbar, 4, 1, NULL, &s) == DRL_E_ARGUMENT, "out of range, or missing");
    CHECK(!memcmp(&kept, &s, sizeof s) && !memcmp(before, memory, sizeof memory), "a refused call has written something");
}

/* x [n * size] against the mixture (weight, mean, variance of each component and coordinate). The variance of an estimate is measured on
 * the sample itself; bias adds what the discretisation may add to a variance, relative. */
static void moments_match(const char *name, const float *x, int n, int size, int components, const double *weight, const double *mean, const double *variance, double bias)
{
    char what[96];
    int i, j, l, k;
    for (j = 0; j < size; ++j)
        for (l = j; l <= size; ++l) {                   /* l == size: the mean of j; else the second moment of j and l about the true means */
            double got = 0, squares = 0, want = 0, mj = 0, ml = 0;
            for (k = 0; k < components; ++k) {
                mj += weight[k] * mean[k * size + j];
                if (l < size) ml += weight[k] * mean[k * size + l];
            }
            for (k = 0; k < components && l < size; ++k) want += weight[k] * ((mean[k * size + j] - mj) * (mean[k * size + l] - ml) + (j == l ? variance[k * size + j] : 0.0));
            for (i = 0; i < n; ++i) {
                double v = ((double)x[i * size + j] - mj) * (l < size ? (double)x[i * size + l] - ml : 1.0);
                got += v / n;
                squares += v * v / n;
            }
            if (l < size) snprintf(what, sizeof what, "%s: covariance %d %d", name, j, l); else snprintf(what, sizeof what, "%s: mean %d (less the true one)", name, j);
            near(what, got, want, sqrt((squares - got * got) / n) + (l < size ? bias * fabs(want) / 4 : 0.0));
        }
    for (k = 0; k < components; ++k) {                  /* mixture weights: the mean responsibility of each component */
        double got = 0, squares = 0;
        for (i = 0; i < n; ++i) {
            double part[3], sum = 0;
            for (l = 0; l < components; ++l) {
                part[l] = weight[l];
                for (j = 0; j < size; ++j) {
                    double d = (double)x[i * size + j] - mean[l * size + j];
                    part[l] *= exp(-d * d / (2 * variance[l * size + j])) / sqrt(variance[l * size + j]);
                }
                sum += part[l];
            }
            got += part[k] / sum / n;
            squares += part[k] / sum * part[k] / sum / n;
        }
        snprintf(what, sizeof what, "%s: weight %d", name, k);
        near(what, got, weight[k], sqrt((squares - got * got) / n));
    }
}

static const target mixtures[3] = {
    { 2, 1, { 0.3, 0.7 }, { -1.5, 1.0 }, { 0.02, 0.1 } },
    { 3, 2, { 0.2, 0.3, 0.5 }, { -1.2, 0.2, 1.3, 1.0, 0.3, -1.4 }, { 0.05, 0.02, 0.1, 0.05, 0.02, 0.2 } },
    { 2, 2, { 0.75, 0.25 }, { 1.0, 0.5, -1.5, 0.5 }, { 0.0, 0.1, 0.0, 0.0 } }
};

static void progressive(void)
{
    drl_schedule s = mix_schedule();
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int r, i, k;
    for (r = 0; r < 3; ++r) {
        const target *g = &mixtures[r];
        drl_mixture m;
        drl_energy e = energy_of(g, &s, &m);
        drl_sample_desc how;
        drl_sampler *sampler = NULL;
        float *x = floats((size_t)(MIX_CHAINS * g->size));
        double mean[6], variance[6];
        char name[40];
        memset(&how, 0, sizeof how);
        how.count = MIX_CHAINS; how.seed = 5 + (uint64_t)r; how.steps = MIX_STEPS;
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0; i < MIX_CHAINS; ++i) drl_sampler_image(sampler, i, x + i * g->size);
        drl_sampler_destroy(sampler);
        for (k = 0; k < g->components * g->size; ++k) {         /* samples are of level 0: the data, a little diffused */
            mean[k] = s.abar[0] * g->mean[k];
            variance[k] = s.abar[0] * s.abar[0] * g->variance[k] + s.sbar[0] * s.sbar[0];
        }
        snprintf(name, sizeof name, "progressive, mixture %d", r);
        moments_match(name, x, MIX_CHAINS, g->size, g->components, g->weight, mean, variance, 0.017);
        free(x);
    }
    drl_ctx_destroy(ctx);
}

/* Langevin at one level with the chain's x_{t+1} fixed: p(y | x_next) is again a mixture, its weights by Bayes' rule; and the marginal at
 * the last level. */
static void one_level(void)
{
    drl_schedule s = mix_schedule();
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    static const double at[2] = { 0.15, -0.1 };
    int r, t, j, k;
    for (r = 0; r < 2; ++r)
        for (t = 0; t < MIX_LEVELS; t += MIX_LEVELS - 1) {
            const target *g = &mixtures[r];
            drl_mixture m;
            drl_energy e = energy_of(g, &s, &m);
            drl__langevin_desc d;
            drl_noise noise;
            uint64_t seed = 31;
            size_t n = MIX_CHAINS, size = (size_t)g->size, f;
            float *y = floats(n * size), *x = floats(n * size), *gradient = floats(n * size), *work = floats(drl__langevin_work_count(ctx, size));
            int *level = (int *)malloc(n * sizeof *level);
            double weight[3], mean[6], variance[6], total = 0, a = drl_schedule_scale(&s, t), s2 = s.s[t + 1] * s.s[t + 1];
            char name[40];
            if (!level) exit(3);
            noise.fill = drl__noise_counter;
            noise.user = &seed;
            for (f = 0; f < n; ++f) level[f] = t;
            for (f = 0; f < n * size; ++f) y[f] = x[f] = (float)at[f % size];
            memset(&d, 0, sizeof d);
            d.energy = &e; d.schedule = &s; d.level = level; d.steps = MIX_STEPS; d.noise = noise;
            CHECK_OK(ctx, drl__langevin(ctx, &d, (int)n, y, x, gradient, work));
            for (k = 0; k < g->components; ++k) {
                weight[k] = g->weight[k];
                for (j = 0; j < g->size; ++j) {
                    double mk = a * s.abar[t] * g->mean[k * g->size + j], v = a * a * (s.abar[t] * s.abar[t] * g->variance[k * g->size + j] + s.sbar[t] * s.sbar[t]), xj = (double)(float)at[j];
                    if (t == MIX_LEVELS - 1) { mean[k * g->size + j] = mk; variance[k * g->size + j] = v; continue; }
                    weight[k] *= exp(-(xj - mk) * (xj - mk) / (2 * (v + s2))) / sqrt(v + s2);
                    variance[k * g->size + j] = 1 / (1 / v + 1 / s2);
                    mean[k * g->size + j] = variance[k * g->size + j] * (mk / v + xj / s2);
                }
                total += weight[k];
            }
            for (k = 0; k < g->components; ++k) weight[k] /= total;
            snprintf(name, sizeof name, "level %d, mixture %d", t, r);
            moments_match(name, y, (int)n, g->size, g->components, weight, mean, variance, 0.017);
            free(y); free(x); free(gradient); free(work); free(level);
        }
    drl_ctx_destroy(ctx);
}

/* -- energies of the test's own -- */

/* F = -(y - label)^2 / 2 + cos(3 y + level) / 5 in each coordinate; counts calls and broken promises, and fails on demand. */
typedef struct own { int batch, calls, fail_at, nan_at, broken; size_t size; int seen_label; int proposals, most, propose_fail_at; } own;

static drl_status own_eval(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    own *o = (own *)user;
    int i;
    size_t j;
    ++o->calls;
    if (n < 1 || n > o->batch || !level) ++o->broken;
    if (n > o->most) o->most = n;
    if (o->calls == o->fail_at) return DRL_E_IO;
    for (i = 0; i < n; ++i) {
        double sum = 0, c = label ? label[i] : 0;
        for (j = 0; j < o->size; ++j) {
            double v = (double)y[(size_t)i * o->size + j];
            sum += -0.5 * (v - c) * (v - c) + 0.2 * cos(3 * v + level[i]);
            if (gradient) gradient[(size_t)i * o->size + j] = (float)(c - v - 0.6 * sin(3 * v + level[i]));
        }
        o->seen_label = label ? label[i] : -1;
        if (f) f[i] = (float)sum;
        if (gradient && o->calls == o->nan_at && i == n - 1) gradient[(size_t)i * o->size] = (float)NAN;
    }
    return DRL_OK;
}

/* Where its chains start, when asked to: 0.8 x + label / 10 - level / 20. */
static drl_status own_propose(void *user, int n, const float *x_next, const int *level, const int *label, float *mean)
{
    own *o = (own *)user;
    int i;
    size_t j;
    ++o->proposals;
    if (n < 1 || n > o->batch || !level) ++o->broken;
    if (o->proposals == o->propose_fail_at) return DRL_E_IO;
    for (i = 0; i < n; ++i)
        for (j = 0; j < o->size; ++j) mean[(size_t)i * o->size + j] = (float)(0.8 * (double)x_next[(size_t)i * o->size + j] + 0.1 * (label ? label[i] : 0) - 0.05 * level[i]);
    return DRL_OK;
}

static drl_energy own_energy(own *o, size_t size, int batch)
{
    drl_energy e;
    memset(o, 0, sizeof *o);
    memset(&e, 0, sizeof e);
    o->size = size;
    o->batch = batch;
    e.eval = own_eval;
    e.user = o;
    e.size = size;
    e.batch = batch;
    return e;
}

static void sums(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    drl_mixture m;
    own o1, o2;
    drl_energy mix = energy_of(&mixtures[1], &s, &m), label = own_energy(&o1, 2, 7), other = own_energy(&o2, 2, 3), e, nested;
    drl_sum_term terms[3];
    drl_sum *sum = NULL, *outer = NULL;
    float y[6], fa[3], ga[6], fb[3], gb[6], f[3], grad[6], alone[3];
    int level[3] = { 0, 2, 1 }, labels[3] = { 1, 2, 3 }, none[3] = { 0, 0, 0 }, i;
    float many[14] = { 0 }, many_f[7];
    int many_levels[7] = { 0 }, many_labels[7] = { 0 };
    for (i = 0; i < 6; ++i) y[i] = (float)real(-1, 1);

    /* composition with a negative weight: 1.5 F_a - 0.5 F_b */
    memset(terms, 0, sizeof terms);
    terms[0].energy = mix;   terms[0].weight = 1.5f;
    terms[1].energy = label; terms[1].weight = -0.5f;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    CHECK(e.size == 2 && e.batch == 7, "size %d, batch %d", (int)e.size, e.batch);
    CHECK(e.eval(e.user, 3, y, level, labels, f, grad) == DRL_OK, "sum");
    CHECK(e.eval(e.user, 3, y, level, labels, alone, NULL) == DRL_OK && !memcmp(f, alone, sizeof f), "the value alone");
    mix.eval(mix.user, 3, y, level, labels, fa, ga);
    label.eval(label.user, 3, y, level, labels, fb, gb);
    for (i = 0; i < 3; ++i) CHECK(fabs((double)f[i] - (1.5 * (double)fa[i] - 0.5 * (double)fb[i])) <= 1e-6 * (fabs((double)fa[i]) + fabs((double)fb[i])), "F %g", (double)f[i]);
    for (i = 0; i < 6; ++i) CHECK(fabs((double)grad[i] - (1.5 * (double)ga[i] - 0.5 * (double)gb[i])) <= 1e-6 * (fabs((double)ga[i]) + fabs((double)gb[i])), "gradient %g", (double)grad[i]);

    /* a sum of sums, with the smallest batch of all */
    terms[0].energy = e;     terms[0].weight = 2;
    terms[1].energy = other; terms[1].weight = 1;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &outer));
    nested = drl_sum_energy(outer);
    CHECK(nested.batch == 3, "batch %d", nested.batch);
    CHECK(nested.eval(nested.user, 3, y, level, labels, f, grad) == DRL_OK, "nested");
    for (i = 0; i < 6; ++i) CHECK(fabs((double)grad[i] - (3 * (double)ga[i] - 1 * (double)gb[i] + (double)gb[i])) <= 2e-6 * (fabs((double)ga[i]) + fabs((double)gb[i])), "gradient of a nested sum");
    CHECK(o1.broken == 0 && o2.broken == 0, "an energy was called with a wrong batch");
    drl_sum_destroy(outer);
    drl_sum_destroy(sum);

    /* guidance: (w + 1) F(y; c) - w F(y; 0), the second whatever the caller's label is */
    memset(terms, 0, sizeof terms);
    terms[0].energy = label; terms[0].weight = 2.5f;
    terms[1].energy = label; terms[1].weight = -1.5f; terms[1].use_label = 1; terms[1].label = 0;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    CHECK(e.eval(e.user, 3, y, level, labels, f, grad) == DRL_OK && o1.seen_label == 0, "the overriding label was %d", o1.seen_label);
    label.eval(label.user, 3, y, level, labels, fa, ga);
    label.eval(label.user, 3, y, level, none, fb, gb);
    for (i = 0; i < 6; ++i) CHECK(fabs((double)grad[i] - (2.5 * (double)ga[i] - 1.5 * (double)gb[i])) < 1e-5, "guided gradient %g", (double)grad[i]);
    for (i = 0; i < 3; ++i) CHECK(fabs((double)f[i] - (2.5 * (double)fa[i] - 1.5 * (double)fb[i])) < 1e-5, "guided F %g", (double)f[i]);
    CHECK(e.eval(e.user, 1, y, level, NULL, NULL, grad) == DRL_OK && o1.seen_label == 0, "label %d without one from the caller", o1.seen_label);
    CHECK(o1.most == 6 && !o1.broken, "both terms of 3 points are one batch of 6, not of %d", o1.most);
    o1.fail_at = o1.calls + 2;
    CHECK(e.eval(e.user, 7, many, many_levels, many_labels, many_f, NULL) == DRL_E_IO, "the second piece of 14 points fails");
    drl_sum_destroy(sum);
    drl_sum_destroy(NULL);

    terms[1].energy.size = 3;
    sum = NULL;
    REFUSED(ctx, drl_sum_create(ctx, terms, 2, &sum), DRL_E_SHAPE);
    REFUSED(ctx, drl_sum_create(ctx, terms, 0, &sum), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sum_create(ctx, NULL, 2, &sum), DRL_E_ARGUMENT);
    terms[0].energy.eval = NULL;
    REFUSED(ctx, drl_sum_create(ctx, terms, 1, &sum), DRL_E_ARGUMENT);
    CHECK(!sum, "a refused sum was returned");
    drl_ctx_destroy(ctx);
}

/* Five terms, of them three of one energy and one without a proposal, against each evaluated alone: any batch, every number of points,
 * every instruction set. */
#define SUM_POINTS 9
#define SUM_SIZE   5
static void shared_terms(void)
{
    static const drl_isa sets[] = { DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_SSE2, DRL_ISA_WASM };
    static const float weights[5] = { 1.25f, 0.5f, -0.75f, 2.0f, -1.5f };
    static const int batches[6] = { 9, 10, 13, 18, 27, 1000 };
    drl_schedule s = mix_schedule();
    target g = { 2, SUM_SIZE, { 0.4, 0.6 }, { 0 }, { 0 } };
    float first_f[SUM_POINTS], first_gradient[SUM_POINTS * SUM_SIZE];
    int set, b, n, i, k, have_first = 0;
    for (i = 0; i < 2 * SUM_SIZE; ++i) { g.mean[i] = real(-1, 1); g.variance[i] = real(0.1, 1); }
    for (set = 0; set < (int)DRL__COUNT(sets); ++set) for (b = 0; b < 6; ++b) {
        drl_ctx *ctx = context(sets[set], 1, NULL);
        drl_mixture m;
        own o1, o2;
        drl_energy guided, other, mix, e;
        drl_sum_term terms[5];
        drl_sum *sum = NULL;
        float y[SUM_POINTS * SUM_SIZE], f[SUM_POINTS], gradient[SUM_POINTS * SUM_SIZE], mean[SUM_POINTS * SUM_SIZE];
        int level[SUM_POINTS], label[SUM_POINTS];
        if (!ctx) continue;
        guided = own_energy(&o1, SUM_SIZE, batches[b]);
        other = own_energy(&o2, SUM_SIZE, 9);
        mix = energy_of(&g, &s, &m);
        guided.propose = other.propose = own_propose;
        memset(terms, 0, sizeof terms);
        terms[0].energy = guided; terms[1].energy = mix; terms[2].energy = guided; terms[3].energy = other; terms[4].energy = guided;
        terms[2].use_label = 1; terms[2].label = 4; terms[4].use_label = 1; terms[3].use_label = 1; terms[3].label = 2;
        for (k = 0; k < 5; ++k) terms[k].weight = weights[k];
        test_seed = 5;
        for (i = 0; i < SUM_POINTS * SUM_SIZE; ++i) y[i] = (float)real(-1, 1);
        for (i = 0; i < SUM_POINTS; ++i) { level[i] = i % MIX_LEVELS; label[i] = i % 4; }
        CHECK_OK(ctx, drl_sum_create(ctx, terms, 5, &sum));
        if (!sum) exit(3);
        e = drl_sum_energy(sum);
        CHECK(e.batch == 9 && e.propose, "batch %d", e.batch);
        for (n = 1; n <= SUM_POINTS; ++n) {
            float part_f[SUM_POINTS], part[SUM_POINTS * SUM_SIZE];
            double want_f[SUM_POINTS] = { 0 }, want[SUM_POINTS * SUM_SIZE] = { 0 }, want_mean[SUM_POINTS * SUM_SIZE] = { 0 }, size_f[SUM_POINTS] = { 0 };
            int own_label[SUM_POINTS], calls;
            for (k = 0; k < 5; ++k) {
                drl_energy *t = &terms[k].energy;
                for (i = 0; i < n; ++i) own_label[i] = terms[k].use_label ? terms[k].label : label[i];
                t->eval(t->user, n, y, level, own_label, part_f, part);
                for (i = 0; i < n; ++i) { want_f[i] += (double)weights[k] * (double)part_f[i]; size_f[i] += fabs((double)weights[k] * (double)part_f[i]); }
                for (i = 0; i < n * SUM_SIZE; ++i) want[i] += (double)weights[k] * (double)part[i];
                if (t->propose) t->propose(t->user, n, y, level, own_label, part);
                for (i = 0; i < n * SUM_SIZE && t->propose; ++i) want_mean[i] += (double)weights[k] * (double)part[i];
            }
            calls = o1.calls;
            o1.most = 0;
            CHECK(e.eval(e.user, n, y, level, label, f, gradient) == DRL_OK && e.propose(e.user, n, y, level, label, mean) == DRL_OK, "%d points", n);
            CHECK(o1.calls - calls == (3 * n + batches[b] - 1) / batches[b] && o1.most == (3 * n < batches[b] ? 3 * n : batches[b]), "%d points thrice, batch %d: %d calls of at most %d", n, batches[b], o1.calls - calls, o1.most);
            for (i = 0; i < n; ++i) CHECK(fabs((double)f[i] - want_f[i]) <= 1e-6 * size_f[i] + 1e-6, "F %g, should be %g", (double)f[i], want_f[i]);
            for (i = 0; i < n * SUM_SIZE; ++i) CHECK(fabs((double)gradient[i] - want[i]) <= 3e-6 * (10 + fabs(want[i])), "gradient %g, should be %g", (double)gradient[i], want[i]);
            for (i = 0; i < n * SUM_SIZE; ++i) CHECK(fabs((double)mean[i] - want_mean[i]) <= 1e-5, "proposal %g, should be %g", (double)mean[i], want_mean[i]);
            memset(part_f, 0xff, sizeof part_f);
            CHECK(e.eval(e.user, n, y, level, label, part_f, NULL) == DRL_OK && !memcmp(part_f, f, (size_t)n * sizeof *f), "the value alone");
            CHECK(e.eval(e.user, n, y, level, label, NULL, part) == DRL_OK && !memcmp(part, gradient, (size_t)(n * SUM_SIZE) * sizeof *part), "the gradient alone");
        }
        if (!UNFUSED(sets[set])) {            /* the same bits, whatever the batch and the set */
            if (!have_first) { memcpy(first_f, f, sizeof f); memcpy(first_gradient, gradient, sizeof gradient); have_first = 1; }
            CHECK(!memcmp(first_f, f, sizeof f) && !memcmp(first_gradient, gradient, sizeof gradient), "%s, batch %d: other bits", drl_isa_name(sets[set]), batches[b]);
        }
        CHECK(e.eval(e.user, 1, y, level, NULL, f, gradient) == DRL_OK && !o1.broken && !o2.broken, "no labels");
        drl_sum_destroy(sum);
        sum = NULL;                                 /* no term proposes: neither does the sum */
        for (k = 0; k < 5; ++k) if (k != 1) terms[k].energy.propose = NULL;
        CHECK_OK(ctx, drl_sum_create(ctx, terms, 5, &sum));
        CHECK(!drl_sum_energy(sum).propose, "a proposal from nowhere");
        drl_sum_destroy(sum);
        drl_ctx_destroy(ctx);
    }
}

/* -- the sampler as an object -- */

#define OBJ_COUNT 5
#define OBJ_SIZE  19
#define OBJ_STEPS 5
static const int obj_labels[OBJ_COUNT] = { 0, 3, 1, 2, 5 };

static int cooperative;                             /* nonzero: the tests below use guidance, proposals and the denoising step */
static int inpainting;                              /* nonzero: and hold a part of each image */
static float   obj_known[OBJ_COUNT * OBJ_SIZE];
static uint8_t obj_mask[OBJ_COUNT * OBJ_SIZE];     /* nothing of image 0, all of image 1, a part of the others */

static void obj_fill(void)
{
    int i;
    for (i = 0; i < OBJ_COUNT * OBJ_SIZE; ++i) {
        obj_known[i] = (float)real(-1, 1);
        obj_mask[i] = (uint8_t)(i / OBJ_SIZE == 0 ? 0 : i / OBJ_SIZE == 1 ? 1 : real(0, 1) < 0.4 ? (i % 3 == 0 ? 255 : 2) : 0);
    }
}

static drl_energy obj_energy(own *o, size_t size, int batch)
{
    drl_energy e = own_energy(o, size, batch);
    if (cooperative) e.propose = own_propose;
    return e;
}

static drl_sample_desc obj_desc(void)
{
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = OBJ_COUNT; how.seed = 77; how.steps = OBJ_STEPS; how.labels = obj_labels;
    if (cooperative) { how.guidance = 1.5f; how.denoise = 2; }
    if (inpainting) { how.known = obj_known; how.mask = obj_mask; }
    return how;
}

static drl_sampler *obj_new(drl_ctx *ctx, const drl_energy *e, const drl_schedule *s, const drl_sample_desc *how)
{
    drl_sampler *sampler = NULL;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, e, s, how, &sampler));
    if (!sampler) exit(3);
    return sampler;
}

static void obj_images(const drl_sampler *sampler, int count, size_t size, float *out)
{
    int i;
    for (i = 0; i < count; ++i) CHECK(drl_sampler_image(sampler, i, out + (size_t)i * size) == DRL_OK, "image %d", i);
}

static void slices(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule(), longer;
    own o;
    drl_energy e = obj_energy(&o, OBJ_SIZE, 1000), changed;
    drl_sample_desc how = obj_desc();
    drl_sampler *at_once = obj_new(ctx, &e, &s, &how), *sliced, *other;
    float want[OBJ_COUNT * OBJ_SIZE], got[OBJ_COUNT * OBJ_SIZE], before[OBJ_COUNT * OBJ_SIZE], bad[OBJ_SIZE];
    unsigned char *state, *wrong;
    size_t bytes = drl__sampler_state_size(at_once), k;
    int total = MIX_LEVELS * OBJ_STEPS, slice, done, i;
    static const int flips[] = { 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 52 };
    state = (unsigned char *)malloc(bytes + 8); wrong = (unsigned char *)malloc(bytes + 8);
    if (!state || !wrong) exit(3);

    CHECK(drl_sampler_steps_left(at_once) == total && drl_sampler_level(at_once) == MIX_LEVELS - 1, "%d steps left at level %d", drl_sampler_steps_left(at_once), drl_sampler_level(at_once));
    CHECK(drl_sampler_run(at_once, 0) == DRL_RUNNING, "no step is not the end");
    CHECK(drl_sampler_run(at_once, 1 << 30) == DRL_OK && drl_sampler_run(at_once, 5) == DRL_OK, "%s", drl_ctx_message(ctx));
    CHECK(drl_sampler_steps_left(at_once) == 0 && drl_sampler_level(at_once) == -1, "%d steps left at level %d", drl_sampler_steps_left(at_once), drl_sampler_level(at_once));
    obj_images(at_once, OBJ_COUNT, OBJ_SIZE, want);

    for (slice = 1; slice <= total + 1; slice += slice < 8 ? 1 : 5) {
        sliced = obj_new(ctx, &e, &s, &how);
        for (done = 0; done < total; done += slice) {
            drl_status status = drl_sampler_run(sliced, slice);
            int left = done + slice < total ? total - done - slice : 0;
            CHECK(status == (left ? DRL_RUNNING : DRL_OK), "slices of %d: status %d", slice, (int)status);
            CHECK(drl_sampler_steps_left(sliced) == left && drl_sampler_level(sliced) == (left ? (left - 1) / OBJ_STEPS : -1), "slices of %d: %d steps left, level %d", slice, drl_sampler_steps_left(sliced), drl_sampler_level(sliced));
        }
        obj_images(sliced, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, sizeof want), "slices of %d give other bits", slice);
        drl_sampler_destroy(sliced);
    }

    /* save at every point; restore into a fresh sampler, and into one that is elsewhere */
    sliced = obj_new(ctx, &e, &s, &how);
    for (done = 0; done <= total; ++done) {
        for (i = 0; i < 2; ++i) {
            other = i ? at_once : obj_new(ctx, &e, &s, &how);
            CHECK_OK(ctx, drl_sampler_save(sliced, state, bytes, &check_written));
            CHECK_OK(ctx, drl_sampler_restore(other, state, bytes));
            CHECK(drl_sampler_steps_left(other) == total - done && drl_sampler_level(other) == drl_sampler_level(sliced), "restored at step %d: %d left", done, drl_sampler_steps_left(other));
            obj_images(sliced, OBJ_COUNT, OBJ_SIZE, before);
            obj_images(other, OBJ_COUNT, OBJ_SIZE, got);
            CHECK(!memcmp(before, got, sizeof got), "restored at step %d: other images", done);
            CHECK(drl_sampler_run(other, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
            obj_images(other, OBJ_COUNT, OBJ_SIZE, got);
            CHECK(!memcmp(want, got, sizeof got), "restored at step %d: other results", done);
            if (!i) drl_sampler_destroy(other);
        }
        drl_sampler_run(sliced, 1);
    }
    drl_sampler_destroy(sliced);

    /* states that do not belong: refused whole */
    sliced = obj_new(ctx, &e, &s, &how);
    drl_sampler_run(sliced, 7);
    CHECK_OK(ctx, drl_sampler_save(sliced, state, bytes, &check_written));
    obj_images(sliced, OBJ_COUNT, OBJ_SIZE, before);
    REFUSED(ctx, drl_sampler_save(sliced, state, bytes - 1, &check_written), DRL_E_SHAPE);
    REFUSED(ctx, drl_sampler_save(sliced, NULL, bytes, &check_written), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_restore(sliced, state, bytes - 1), DRL_E_FORMAT);
    REFUSED(ctx, drl_sampler_restore(sliced, state, bytes + 4), DRL_E_FORMAT);
    REFUSED(ctx, drl_sampler_restore(sliced, NULL, bytes), DRL_E_ARGUMENT);
    for (k = 0; k < sizeof flips / sizeof flips[0]; ++k) {          /* each word of the header in turn */
        memcpy(wrong, state, bytes);
        wrong[flips[k]] ^= 1;
        REFUSED(ctx, drl_sampler_restore(sliced, wrong, bytes), DRL_E_FORMAT);
    }
    for (i = 0; i < 2; ++i) {                                       /* a level, and a step, that there is none of */
        memcpy(wrong, state, bytes);
        wrong[4 * (DRL__STATE_LEVEL + i) + 2] = 1;
        REFUSED(ctx, drl_sampler_restore(sliced, wrong, bytes), DRL_E_FORMAT);
    }
    memcpy(wrong, state, bytes);
    wrong[bytes - 1] = 0x7f; wrong[bytes - 2] = 0xc0;               /* the last pixel becomes NaN */
    REFUSED(ctx, drl_sampler_restore(sliced, wrong, bytes), DRL_E_FORMAT);
    wrong[bytes - 2] = 0x80; wrong[bytes - 3] = wrong[bytes - 4] = 0;   /* infinite */
    REFUSED(ctx, drl_sampler_restore(sliced, wrong, bytes), DRL_E_FORMAT);
    obj_images(sliced, OBJ_COUNT, OBJ_SIZE, got);
    CHECK(!memcmp(before, got, sizeof got) && drl_sampler_steps_left(sliced) == total - 7, "a refused state has changed the sampler");
    CHECK(drl_sampler_run(sliced, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    obj_images(sliced, OBJ_COUNT, OBJ_SIZE, got);
    CHECK(!memcmp(want, got, sizeof got), "a refused state has changed the result");
    drl_sampler_destroy(sliced);

    /* samplers from other descriptions */
    for (i = 0; i < 15; ++i) {
        float other_known[OBJ_COUNT * OBJ_SIZE];
        uint8_t other_mask[OBJ_COUNT * OBJ_SIZE];
        static const int other_labels[OBJ_COUNT] = { 0, 3, 1, 2, 4 };
        longer = s;
        how = obj_desc();
        if (i == 0) how.seed ^= (uint64_t)1 << 40;
        if (i == 1) how.first = 1;
        if (i == 2) how.noise_scale = 0.5f;
        if (i == 3) how.labels = other_labels;
        if (i == 4) how.labels = NULL;
        if (i == 5) longer.b2 *= 2;
        if (i == 6) how.steps = OBJ_STEPS + 1;
        if (i == 7) how.guidance += 0.25f;
        if (i == 8) how.denoise += 1;
        changed = e;
        if (i == 9) changed.propose = e.propose ? NULL : own_propose;
        if (i >= 13) {                      /* guided on other levels */
            if (!cooperative) continue;
            how.guidance_from = i == 13;
            how.guidance_to = i == 14;
        }
        if (i >= 10 && i < 13) {            /* another known pixel, one more, or (none if there were) some */
            for (k = 0; k < OBJ_COUNT * OBJ_SIZE; ++k) { other_known[k] = obj_known[k]; other_mask[k] = obj_mask[k]; }
            if (i == 10) other_known[2 * OBJ_SIZE - 1] += 0.25f;
            if (i == 11) other_mask[3] = 1;
            how.known = i == 12 && inpainting ? NULL : other_known;
            how.mask = i == 12 && inpainting ? NULL : other_mask;
        }
        other = obj_new(ctx, &changed, &longer, &how);
        drl_ctx_clear(ctx);
        CHECK(drl__sampler_state_size(other) != bytes || drl_sampler_restore(other, state, bytes) == DRL_E_FORMAT, "a sampler of another description (%d) takes the state", i);
        drl_ctx_clear(ctx);
        drl_sampler_destroy(other);
    }
    /* more steps a level than 16 bits hold: at every point the state says where it is */
    how = obj_desc();
    how.count = 1; how.labels = NULL; how.steps = 100000; how.known = NULL; how.mask = NULL;
    drl_ctx_clear(ctx);
    sliced = NULL;
    if (drl_sampler_create_energy(ctx, &e, &s, &how, &sliced) == DRL_OK) {
        CHECK(drl_sampler_run(sliced, 70000) == DRL_RUNNING, "%s", drl_ctx_message(ctx));
        bytes = drl__sampler_state_size(sliced);
        CHECK_OK(ctx, drl_sampler_save(sliced, state, bytes, &check_written));
        other = obj_new(ctx, &e, &s, &how);
        CHECK_OK(ctx, drl_sampler_restore(other, state, bytes));
        CHECK(drl_sampler_steps_left(other) == MIX_LEVELS * 100000 - 70000 && drl_sampler_level(other) == MIX_LEVELS - 1, "restored at step 70000: %d left at level %d", drl_sampler_steps_left(other), drl_sampler_level(other));
        drl_sampler_destroy(other);
        drl_sampler_destroy(sliced);
    } else CHECK(drl_ctx_message(ctx)[0], "refused without a sentence");
    drl_ctx_clear(ctx);

    REFUSED(ctx, drl_sampler_point(at_once, OBJ_COUNT, bad), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_point(at_once, 0, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_image(at_once, OBJ_COUNT, bad), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_image(at_once, -1, bad), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_image(at_once, 0, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_run(at_once, -1), DRL_E_ARGUMENT);
    CHECK(drl_sampler_run(NULL, 1) == DRL_E_ARGUMENT && drl_sampler_level(NULL) == -1 && drl_sampler_steps_left(NULL) == 0 && drl__sampler_state_size(NULL) == 0, "no sampler");
    drl_sampler_destroy(at_once);
    drl_sampler_destroy(NULL);
    CHECK(o.broken == 0, "the energy was called with a wrong batch");
    free(state); free(wrong);
    drl_ctx_destroy(ctx);
}

/* The whole run with a small or large batch of the energy, on any set and number of threads. */
static int whole_run(drl_isa isa, int threads, int batch, size_t size, int count, float *out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = obj_energy(&o, size, batch);
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler;
    if (!ctx) return 0;
    how.count = count;
    sampler = obj_new(ctx, &e, &s, &how);
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK && o.broken == 0, "%s", drl_ctx_message(ctx));
    obj_images(sampler, count, size, out);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
    return 1;
}

static void same_bits(void)
{
    static const drl_isa exact[] = { DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 2, 3, 7 };
    static const size_t sizes[] = { OBJ_SIZE, 20011 };              /* the second is large enough to be worth splitting one image */
    int i, k, z;
    for (z = 0; z < (inpainting ? 1 : 2); ++z) {
        size_t size = sizes[z], count = OBJ_COUNT * size, j;
        float *want = floats(count), *got = floats(count);
        double error = 0, norm = 0;
        CHECK(whole_run(DRL_ISA_PORTABLE, 1, 1000, size, OBJ_COUNT, want), "portable code is always there");
        for (k = 1; k <= 4; ++k) {
            CHECK(whole_run(DRL_ISA_PORTABLE, 1, k, size, OBJ_COUNT, got), "batch %d", k);
            CHECK(!memcmp(want, got, count * sizeof *got), "size %d: a batch of %d gives other bits", (int)size, k);
        }
        for (i = 0; i < (int)DRL__COUNT(exact); ++i)
            if (whole_run(exact[i], 1, 3, size, OBJ_COUNT, got)) CHECK(!memcmp(want, got, count * sizeof *got), "size %d: %s gives other bits", (int)size, drl_isa_name(exact[i]));
        for (i = 0; i < 3; ++i) {
            jobs_nested = jobs_most = 0;
            CHECK(whole_run(DRL_ISA_AUTO, threads[i], 4, size, OBJ_COUNT, got), "threads %d", threads[i]);
            CHECK(!memcmp(want, got, count * sizeof *got), "size %d: %d threads give other bits", (int)size, threads[i]);
            CHECK(jobs_nested == 0, "size %d, %d threads: the job system was called %d times from inside a job", (int)size, threads[i], jobs_nested);
            CHECK(jobs_most > 1 && jobs_most <= threads[i], "size %d: %d jobs on %d threads", (int)size, jobs_most, threads[i]);
        }
        if (whole_run(DRL_ISA_SSE2, 1, 3, size, OBJ_COUNT, got)) {
            for (j = 0; j < count; ++j) {
                error += ((double)got[j] - (double)want[j]) * ((double)got[j] - (double)want[j]);
                norm += (double)want[j] * (double)want[j];
            }
            CHECK(sqrt(error / norm) < 1e-5, "size %d: sse2 differs by %g", (int)size, sqrt(error / norm));
        }
        free(want); free(got);
    }
}

static void one_by_one(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = obj_energy(&o, OBJ_SIZE, 4);
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler = obj_new(ctx, &e, &s, &how);
    float want[OBJ_COUNT * OBJ_SIZE], got[2 * OBJ_SIZE];
    int i;
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    obj_images(sampler, OBJ_COUNT, OBJ_SIZE, want);
    drl_sampler_destroy(sampler);
    for (i = 0; i < OBJ_COUNT; ++i) {
        how = obj_desc();
        how.first = i;
        how.count = i + 1 < OBJ_COUNT ? 2 : 0;      /* 0 means 1 */
        how.labels = obj_labels + i;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        obj_images(sampler, how.count ? 2 : 1, OBJ_SIZE, got);
        CHECK(!memcmp(want + i * OBJ_SIZE, got, (size_t)(how.count ? 2 : 1) * OBJ_SIZE * sizeof *got), "image %d alone has other bits", i);
        drl_sampler_destroy(sampler);
    }
    /* labels matter, and reach the energy: without them and with zeros is the same here, with others it is not */
    for (i = 0; i < 2 && !cooperative; ++i) {          /* guidance needs labels */
        static const int zeros[OBJ_COUNT] = { 0, 0, 0, 0, 0 };
        how = obj_desc();
        how.labels = i ? zeros : NULL;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        CHECK(o.seen_label == (i ? 0 : -1), "the energy saw label %d", o.seen_label);
        obj_images(sampler, 2, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, OBJ_SIZE * sizeof *got) && memcmp(want + OBJ_SIZE, got + OBJ_SIZE, OBJ_SIZE * sizeof *got), "labels are not passed image by image");
        drl_sampler_destroy(sampler);
    }
    drl_ctx_destroy(ctx);
}

/* Noise as a function of image and draw, shifted by *user draws. */
static void shifted_noise(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    drl_rng rng;
    (void)ctx;
    rng.seed = 9; rng.stream = (uint64_t)image << 32 | (uint64_t)(unsigned)(draw + *(const int *)user); rng.position = 0;
    while (n--) *out++ = drl_rng_uniform(&rng) * 2 - 1;
}

static void starts(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = obj_energy(&o, OBJ_SIZE, 4);
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler;
    float want[OBJ_COUNT * OBJ_SIZE], got[OBJ_COUNT * OBJ_SIZE], x[OBJ_COUNT * OBJ_SIZE];
    int shift = 0, from, no_shift = 0;
    how.noise.fill = shifted_noise; how.noise.user = &no_shift;
    sampler = obj_new(ctx, &e, &s, &how);
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    obj_images(sampler, OBJ_COUNT, OBJ_SIZE, want);
    drl_sampler_destroy(sampler);
    /* stopped at x_from, handed over as a start, with the draws that would have come: the same end */
    for (from = MIX_LEVELS; from >= 1; --from) {
        how = obj_desc();
        how.noise.fill = shifted_noise; how.noise.user = &no_shift;
        sampler = obj_new(ctx, &e, &s, &how);
        drl_sampler_run(sampler, (MIX_LEVELS - from) * OBJ_STEPS);
        obj_images(sampler, OBJ_COUNT, OBJ_SIZE, x);
        drl_sampler_destroy(sampler);
        shift = (MIX_LEVELS - from) * (OBJ_STEPS + cooperative);
        how.noise.user = &shift;
        how.start = x;
        how.from_level = from == MIX_LEVELS ? 0 : from;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_level(sampler) == from - 1 && drl_sampler_steps_left(sampler) == from * OBJ_STEPS, "from %d: level %d", from, drl_sampler_level(sampler));
        obj_images(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(x, got, sizeof got), "from %d: the start is not what was given", from);
        memset(x, 0, sizeof x);                     /* copied at creation */
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        obj_images(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, sizeof got), "from %d: other results", from);
        drl_sampler_destroy(sampler);
    }

    /* descriptions that cannot be */
    sampler = NULL;
    how = obj_desc(); how.start = x; x[OBJ_SIZE + 3] = (float)NAN;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_NUMERIC);
    x[OBJ_SIZE + 3] = (float)-HUGE_VAL;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_NUMERIC);
    x[OBJ_SIZE + 3] = 0; how.from_level = MIX_LEVELS + 1;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how.from_level = -1;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how.from_level = 2; how.start = NULL;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.steps = 0;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how.steps = 2147483647;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.count = -1;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.first = -1;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how.first = 2147483647;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc();
    REFUSED(ctx, drl_sampler_create_energy(ctx, NULL, &s, &how, &sampler), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, NULL, &how, &sampler), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, NULL, &sampler), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, NULL), DRL_E_ARGUMENT);
    how.guidance = (float)NAN;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.denoise = (float)HUGE_VAL;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.energy = &e;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how = obj_desc(); how.guidance = 1;
    e.size = SIZE_MAX / 16 + 1;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_MEMORY);
    e.size = 0;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    CHECK(!sampler, "a refused sampler was returned");
    drl_ctx_destroy(ctx);
}

#define SAYS(call, text)                                                                                   \
    do {                                                                                                   \
        drl_ctx_clear(ctx);                                                                                \
        CHECK((call) != DRL_OK && strstr(drl_ctx_message(ctx), text), "'%s'", drl_ctx_message(ctx));       \
    } while (0)

/* Each rule that an energy, a schedule or a sum can break has a sentence of its own, with the value. */
static void sentences_of_parts(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule good = mix_schedule(), s = good;
    own o;
    drl_energy e = own_energy(&o, OBJ_SIZE, 2), bad = e;
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler = NULL;
    drl_sum_term term[2];
    drl_sum *sum = NULL;
    double array[MIX_LEVELS + 1];
    int i;
#define SCHEDULE_SAYS(change, text) \
    do { s = good; change; SAYS(drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), text); } while (0)
#define ENERGY_SAYS(change, text) \
    do { bad = e; change; SAYS(drl_sampler_create_energy(ctx, &bad, &good, &how, &sampler), text); } while (0)
#define SUM_SAYS(change, text) \
    do { memset(term, 0, sizeof term); term[0].energy = term[1].energy = e; change; \
         SAYS(drl_sum_create(ctx, term, 2, &sum), text); } while (0)
    for (i = 0; i <= MIX_LEVELS; ++i) array[i] = i == 2 ? HUGE_VAL : 0.5;
    SCHEDULE_SAYS(s.levels = 0, "the schedule's number of levels is 0; 1 or more");
    SCHEDULE_SAYS(s.b2 = 0, "b2 is 0;");
    SCHEDULE_SAYS(s.b2 = HUGE_VAL, "b2 is inf;");
    SCHEDULE_SAYS(s.a = NULL, "array a is missing");
    SCHEDULE_SAYS(s.s = NULL, "array s is missing");
    SCHEDULE_SAYS(s.abar = NULL, "array abar is missing");
    SCHEDULE_SAYS(s.sbar = NULL, "array sbar is missing");
    SCHEDULE_SAYS(s.a = array, "the schedule's a[2] is inf");
    SCHEDULE_SAYS(s.s = array, "the schedule's s[2] is inf");
    SCHEDULE_SAYS(s.abar = array, "the schedule's abar[2] is inf");
    SCHEDULE_SAYS(s.sbar = array, "the schedule's sbar[2] is inf");
    array[2] = 0.5;
    array[MIX_LEVELS] = NAN;                        /* that of x_T counts, too */
    SCHEDULE_SAYS(s.sbar = array, "sbar[4] is nan");
    ENERGY_SAYS(bad.eval = NULL, "no function `eval`");
    ENERGY_SAYS(bad.size = 0, "size is 0;");
    ENERGY_SAYS(bad.batch = -3, "batch is -3; 1 or more");
    SUM_SAYS(term[1].energy.eval = NULL, "term 1: the energy has no function `eval`");
    SUM_SAYS(term[1].energy.size = 0, "term 1: the energy's size is 0");
    SUM_SAYS(term[0].energy.batch = 0, "term 0: the energy's batch is 0");
    SUM_SAYS(term[1].weight = (float)HUGE_VAL, "term 1: the weight is inf");
    SUM_SAYS(term[1].energy.size = 3, "term 1: its points have 3 floats, those of term 0 have");
    SAYS(drl_sum_create(ctx, term, 65537, &sum), "count is 65537; 1 to 65536");
    CHECK(!sampler && !sum, "something refused was returned");
    drl_ctx_destroy(ctx);
}

/* Each rule that a description, a call or a state can break, too. */
static void sentences_of_samplers(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = own_energy(&o, OBJ_SIZE, 2);
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler = NULL;
    float x[OBJ_SIZE];
    unsigned char *state;
    size_t bytes;
    const char *misaligned = (const char *)obj_known + 1;
#define DESC_SAYS(change, text) \
    do { how = obj_desc(); change; SAYS(drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), text); } while (0)
    DESC_SAYS(how.energy = &e, "the description has an energy, too");
    DESC_SAYS(how.guidance_from = -1, "guidance_from is -1; 0 to");
    DESC_SAYS(how.guidance_from = MIX_LEVELS, "guidance_from is ");
    DESC_SAYS((how.guidance_from = 2, how.guidance_to = 2), "guidance_to is 2; above guidance_from, 3 to");
    DESC_SAYS(how.guidance_to = MIX_LEVELS + 1, "guidance_to is ");
    DESC_SAYS(how.no_chain = 1, "no_chain is for energies with proposals");
    DESC_SAYS(how.known = obj_known, "known is given without mask");
    DESC_SAYS(how.mask = obj_mask, "mask is given without known");
    DESC_SAYS(how.start = (const float *)misaligned, "start is not aligned");
    DESC_SAYS((how.known = (const float *)misaligned, how.mask = obj_mask), "known is not aligned");
    CHECK(!sampler, "a refused sampler was returned");

    how = obj_desc();
    sampler = obj_new(ctx, &e, &s, &how);
    SAYS(drl_sampler_run(sampler, -2), "steps is -2; 0 or more");
    SAYS(drl_sampler_image(sampler, OBJ_COUNT, x), "drl_sampler_image: image ");
    SAYS(drl_sampler_point(sampler, -1, x), "drl_sampler_point: image -1; 0 to");
    SAYS(drl_sampler_point(sampler, 0, NULL), "out is missing");
    bytes = drl__sampler_state_size(sampler);
    state = (unsigned char *)malloc(bytes);
    CHECK_OK(ctx, drl_sampler_save(sampler, state, bytes, &check_written));
    state[4 * 2] += 1;
    SAYS(drl_sampler_restore(sampler, state, bytes), "the state's count is 6; this sampler has 5");
    state[4 * 2] -= 1;
    drl__put_u32(state + 4 * DRL__STATE_LEVEL, MIX_LEVELS + 1);
    SAYS(drl_sampler_restore(sampler, state, bytes), "levels left; 0 to");
    drl__put_u32(state + 4 * DRL__STATE_LEVEL, 0);
    drl__put_u32(state + 4 * DRL__STATE_LEVEL + 4, OBJ_STEPS);
    SAYS(drl_sampler_restore(sampler, state, bytes), "of a level; 0 to");
    drl__put_u32(state + 4 * DRL__STATE_LEVEL + 4, 1);
    SAYS(drl_sampler_restore(sampler, state, bytes), "no level left, but is at step 1");
    drl__put_u32(state + 4 * DRL__STATE_LEVEL + 4, 0);
    CHECK_OK(ctx, drl_sampler_restore(sampler, state, bytes));
    drl__put_u32(state + bytes - 4, 0x7f800000u);
    SAYS(drl_sampler_restore(sampler, state, bytes), "of x_next is not finite");
    free(state);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

/* All of it by hand, in double: x_T, then at each level the proposal and its draw, K steps on the guided energy, y / a; at the end the
 * denoising step. Draws are numbered through. */
static void cooperative_by_hand(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double memory[35];
    drl_schedule s;
    int k, c, shift = 3;
    /* 8 to 11 without chains: proposals alone, no denoising; from 12 on guided on some of the levels only */
    for (k = 0; k < 18; ++k) {
        static const int interval[6][2] = { { 1, 4 }, { 0, 3 }, { 2, 0 }, { 5, 6 }, { 0, 1 }, { 3, 0 } };
        int from = k < 12 ? 0 : interval[k - 12][0], to = k < 12 ? 0 : interval[k - 12][1], on = 0;
        int alone = (k >= 8 && k < 12) || k == 17, proposes = alone || k & 1, guided = k >> 1 & 1 || k >= 12;
        int denoised = k >> 2 & 1 && !alone, t, i, draw = 0, step;
        own o;
        drl_energy e = own_energy(&o, OBJ_SIZE, 3);
        drl_sample_desc how = obj_desc();
        drl_sampler *sampler;
        float got[OBJ_COUNT * OBJ_SIZE], eps[OBJ_SIZE];
        double x[OBJ_SIZE], y[OBJ_SIZE], w, worst = 0;
        drl__schedule_cdrl(6, memory, &s);
        if (k == 7) s.b2 *= 9;
        if (proposes) e.propose = own_propose;
        how.guidance = guided ? 1.5f : 0.0f; how.denoise = denoised || k == 9 ? 2.0f : k == 3 ? -1.0f : 0.0f;
        how.no_chain = alone;
        how.guidance_from = from;
        how.guidance_to = to;
        if (!to) to = 6;
        how.noise.fill = shifted_noise; how.noise.user = &shift;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK && !o.broken, "%s", drl_ctx_message(ctx));
        obj_images(sampler, OBJ_COUNT, OBJ_SIZE, got);
        drl_sampler_destroy(sampler);
        for (c = 0; c < OBJ_COUNT; ++c) {
            double label = obj_labels[c];
            shifted_noise(&shift, ctx, c, 0, eps, OBJ_SIZE);
            for (i = 0; i < OBJ_SIZE; ++i) x[i] = (double)eps[i];
            for (t = 5, draw = 1; t >= 0; --t) {
                double a2 = s.a[t + 1] * s.a[t + 1], a = t == 5 ? 1.0 : s.a[t + 1], s2 = 1 - a2, h = s.sbar[t] / s.sbar[0] * s.b2 * s2;
                double btilde = (1 - s.abar[t] * s.abar[t]) / (1 - s.abar[t + 1] * s.abar[t + 1]) * (1 - a2);
                w = guided && t >= from && t < to ? 1.5 : 0.0;
                on += w > 0;
                if (proposes) shifted_noise(&shift, ctx, c, draw++, eps, OBJ_SIZE);
                for (i = 0; i < OBJ_SIZE; ++i)
                    y[i] = proposes ? 0.8 * x[i] + ((w + 1) * label) * 0.1 - 0.05 * t + sqrt(btilde * a * a) * (double)eps[i] : x[i];
                for (step = 0; step < (alone ? 0 : OBJ_STEPS); ++step) {
                    shifted_noise(&shift, ctx, c, draw++, eps, OBJ_SIZE);
                    for (i = 0; i < OBJ_SIZE; ++i) {
                        double grad = (w + 1) * label - y[i] - 0.6 * sin(3 * y[i] + t);
                        y[i] += h / 2 * (grad - (t == 5 ? 0.0 : (y[i] - x[i]) / s2)) + sqrt(h) * (double)eps[i];
                    }
                }
                if (alone) ++draw;              /* a level counts as one step */
                for (i = 0; i < OBJ_SIZE; ++i) {
                    double grad = (w + 1) * label - y[i] - 0.6 * sin(3 * y[i]);
                    x[i] = y[i] / a;
                    if (!t && denoised) x[i] = (x[i] + s.sbar[0] * s.sbar[0] * 2 * a * grad) / s.abar[0];
                }
            }
            for (i = 0; i < OBJ_SIZE; ++i) if (!(fabs(x[i] - (double)got[c * OBJ_SIZE + i]) <= worst)) worst = fabs(x[i] - (double)got[c * OBJ_SIZE + i]);
        }
        CHECK(on == (guided ? (to - from) * OBJ_COUNT : 0), "case %d: guided %d times", k, on);
        CHECK(worst < 3e-5, "case %d: by hand differs by %g", k, worst);
        CHECK(o.proposals == (proposes ? 2 * 6 + (guided ? 2 * (to - from) : 0) : 0),
              "case %d: %d proposals were asked for", k, o.proposals);
        CHECK(!alone || !o.calls, "case %d: without chains the energy was asked %d times", k, o.calls);
    }
    {
        own o;
        drl_energy e = own_energy(&o, OBJ_SIZE, 3);
        drl_sample_desc how = obj_desc();
        drl_sampler *sampler = NULL;
        how.no_chain = 1;
        CHECK(drl_sampler_create_energy(ctx, &e, &s, &how, &sampler) == DRL_E_ARGUMENT && !sampler && drl_ctx_message(ctx)[0],
              "neither chains nor proposals");
        for (k = 0; k < 5; ++k) {               /* intervals of no level, and of levels that there are not */
            static const int wrong[5][2] = { { -1, 0 }, { 0, 7 }, { 3, 3 }, { 4, 2 }, { 6, 0 } };
            how = obj_desc();
            how.guidance_from = wrong[k][0];
            how.guidance_to = wrong[k][1];
            drl_ctx_clear(ctx);
            CHECK(drl_sampler_create_energy(ctx, &e, &s, &how, &sampler) == DRL_E_ARGUMENT && !sampler,
                  "guidance from %d to %d", wrong[k][0], wrong[k][1]);
        }
    }
    drl_ctx_destroy(ctx);
}

/* A sampler with guidance against one of the same sum made outside: the same bits; without labels there is none. */
static void guidance(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    float want[OBJ_COUNT * OBJ_SIZE], got[OBJ_COUNT * OBJ_SIZE];
    int batch, k;
    for (batch = 1; batch <= 12; ++batch) {
        own o;
        drl_energy e, sum_energy;
        drl_sum_term terms[2];
        drl_sum *sum = NULL;
        drl_sample_desc how;
        drl_sampler *sampler;
        cooperative = 1;
        e = obj_energy(&o, OBJ_SIZE, batch);
        how = obj_desc();
        cooperative = 0;
        memset(terms, 0, sizeof terms);
        terms[0].energy = terms[1].energy = e;
        terms[0].weight = 2.5f; terms[1].weight = -1.5f; terms[1].use_label = 1;
        CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
        sum_energy = drl_sum_energy(sum);
        for (k = 0; k < 2; ++k) {
            if (k) how.guidance = 0;
            sampler = obj_new(ctx, k ? &sum_energy : &e, &s, &how);
            CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK && !o.broken, "%s", drl_ctx_message(ctx));
            obj_images(sampler, OBJ_COUNT, OBJ_SIZE, k ? got : want);
            drl_sampler_destroy(sampler);
        }
        CHECK(!memcmp(want, got, sizeof got), "batch %d: guidance is not the sum", batch);
        drl_sum_destroy(sum);
        for (k = 0; k < 2; ++k) {
            how.labels = NULL; how.guidance = k ? 0 : 1.5f;
            sampler = obj_new(ctx, &e, &s, &how);
            CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK && o.seen_label == -1, "%s", drl_ctx_message(ctx));
            obj_images(sampler, OBJ_COUNT, OBJ_SIZE, k ? got : want);
            drl_sampler_destroy(sampler);
        }
        CHECK(!memcmp(want, got, sizeof got), "batch %d: guidance without labels", batch);
    }
    drl_ctx_destroy(ctx);
}

static drl_status huge_eval(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    int i;
    (void)y; (void)level; (void)label; (void)f;
    for (i = 0; i < n * *(const int *)user; ++i) gradient[i] = 3e38f;
    return DRL_OK;
}

static void failures(void)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e;
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler;
    drl__langevin_desc d;
    float y[2 * OBJ_SIZE], x[2 * OBJ_SIZE], gradient[2 * OBJ_SIZE], work[OBJ_SIZE];
    int level[2] = { 0, MIX_LEVELS - 1 }, size = OBJ_SIZE, fail, ok = 0;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);

    e = obj_energy(&o, OBJ_SIZE, 1000);             /* what the energy returns comes back, and again */
    o.fail_at = 8;
    sampler = obj_new(ctx, &e, &s, &how);
    CHECK(drl_sampler_run(sampler, 7) == DRL_RUNNING, "%s", drl_ctx_message(ctx));
    {
        size_t bytes = drl__sampler_state_size(sampler);
        void *state = malloc(bytes);
        CHECK_OK(ctx, drl_sampler_save(sampler, state, bytes, &check_written));
        CHECK(drl_sampler_run(sampler, 5) == DRL_E_IO && drl_sampler_run(sampler, 5) == DRL_E_IO, "the energy's failure");
        drl_ctx_clear(ctx);
        CHECK_OK(ctx, drl_sampler_restore(sampler, state, bytes));      /* which is over when the sampler is back before it */
        CHECK(drl_sampler_run(sampler, 5) == DRL_RUNNING, "%s", drl_ctx_message(ctx));
        free(state);
    }
    drl_sampler_destroy(sampler);

    e = obj_energy(&o, OBJ_SIZE, 2);                /* a gradient that is not a number, in one image of the second batch */
    o.nan_at = 20;
    sampler = obj_new(ctx, &e, &s, &how);
    drl_ctx_clear(ctx);
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_E_NUMERIC && strlen(drl_ctx_message(ctx)) > 20, "NaN: '%s'", drl_ctx_message(ctx));
    CHECK(drl_sampler_run(sampler, 1) == DRL_E_NUMERIC, "the failure stays");
    drl_sampler_destroy(sampler);

    if (cooperative) {                              /* in the denoising step, and a proposal that is not finite */
        e = obj_energy(&o, OBJ_SIZE, 1000);
        o.nan_at = MIX_LEVELS * OBJ_STEPS + 1;
        sampler = obj_new(ctx, &e, &s, &how);
        drl_ctx_clear(ctx);
        CHECK(drl_sampler_run(sampler, MIX_LEVELS * OBJ_STEPS - 1) == DRL_RUNNING, "%s", drl_ctx_message(ctx));
        CHECK(drl_sampler_run(sampler, 1) == DRL_E_NUMERIC && strstr(drl_ctx_message(ctx), "denoising"), "NaN: '%s'", drl_ctx_message(ctx));
        drl_sampler_destroy(sampler);
        for (fail = 0; fail < 2; ++fail) {          /* the same two, where the energy says that it has failed */
            e = obj_energy(&o, OBJ_SIZE, 1000);
            if (fail) o.propose_fail_at = 2; else o.fail_at = MIX_LEVELS * OBJ_STEPS + 1;
            sampler = obj_new(ctx, &e, &s, &how);
            CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_E_IO && drl_sampler_run(sampler, 1) == DRL_E_IO, "a failure of the %s", fail ? "proposal" : "denoising step");
            drl_sampler_destroy(sampler);
        }
        e = obj_energy(&o, OBJ_SIZE, 1000);
        how.guidance = 3e38f;
        sampler = obj_new(ctx, &e, &s, &how);
        drl_ctx_clear(ctx);
        CHECK(drl_sampler_run(sampler, 1) == DRL_E_NUMERIC && strstr(drl_ctx_message(ctx), "proposal"), "NaN: '%s'", drl_ctx_message(ctx));
        drl_sampler_destroy(sampler);
        how = obj_desc();
    }

    e.eval = huge_eval; e.user = &size; e.propose = NULL;             /* finite gradients that carry the chain away */
    sampler = obj_new(ctx, &e, &s, &how);
    drl_ctx_clear(ctx);
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_E_NUMERIC && drl_ctx_message(ctx)[0], "overflow: '%s'", drl_ctx_message(ctx));
    drl_sampler_destroy(sampler);

    e = obj_energy(&o, OBJ_SIZE, 2);                /* every allocation failing; nothing allocated while running */
    drl_ctx_clear(ctx);
    for (fail = 1; fail < 9 && !ok; ++fail) {
        long live = heap.live, calls;
        drl_status status;
        sampler = NULL;
        heap.fail_at = heap.calls + fail;
        status = drl_sampler_create_energy(ctx, &e, &s, &how, &sampler);
        heap.fail_at = 0;
        if (status == DRL_OK) {
            ok = 1;
            calls = heap.calls;
            CHECK(fail == 2, "a sampler takes %d allocations", fail - 1);
            CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
            CHECK(heap.calls == calls, "running made %ld allocations", heap.calls - calls);
            drl_sampler_destroy(sampler);
        } else CHECK(status == DRL_E_MEMORY && drl_ctx_status(ctx) == DRL_E_MEMORY && !sampler, "allocation %d fails: status %d", fail, (int)status);
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
    }
    CHECK(ok, "a sampler could not be made");
    for (fail = 1, ok = 0; fail < 9 && !ok; ++fail) {
        long live = heap.live;
        drl_sum_term term;
        drl_sum *sum = NULL;
        drl_status status;
        memset(&term, 0, sizeof term);
        term.energy = e;
        drl_ctx_clear(ctx);
        heap.fail_at = heap.calls + fail;
        status = drl_sum_create(ctx, &term, 1, &sum);
        heap.fail_at = 0;
        ok = status == DRL_OK;
        CHECK(ok || (status == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !sum), "status %d", (int)status);
        drl_sum_destroy(sum);
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
    }

    memset(&d, 0, sizeof d);                        /* drl__langevin */
    memset(y, 0, sizeof y);
    memset(x, 0, sizeof x);
    d.energy = &e; d.schedule = &s; d.level = level; d.steps = 2; d.noise.fill = shifted_noise; d.noise.user = &fail;
    drl_ctx_clear(ctx);
    CHECK_OK(ctx, drl__langevin(ctx, &d, 2, y, x, gradient, work));
    d.steps = 0;
    CHECK_OK(ctx, drl__langevin(ctx, &d, 2, y, x, gradient, work));
    CHECK(drl__langevin_work_count(ctx, (size_t)-1 / 2) >= (size_t)-1 / 2, "work for a huge image");
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* One step by hand: y + step^2/2 (grad - (y - x)/s^2) + step eps, with and without x_next, scaled steps, no noise; the gradient handed back. */
static void one_step(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = own_energy(&o, 3, 8);
    float y[6], x[6], y0[6], gradient[6], grad0[6], work[3], eps[3];
    int level[2] = { 1, MIX_LEVELS - 1 }, label[2] = { 2, 1 }, k, i, shift = 0;
    for (k = 0; k < 3; ++k) {
        static const double step_scale[3] = { 0, 1.7, 0.5 }, noise_scale[3] = { 0, -1, 0.99 };
        drl__langevin_desc d;
        memset(&d, 0, sizeof d);
        d.energy = &e; d.schedule = &s; d.level = level; d.label = label; d.steps = 1; d.first_draw = 4; d.first_image = 10;
        d.step_scale = step_scale[k]; d.noise_scale = noise_scale[k];
        d.noise.fill = shifted_noise; d.noise.user = &shift;
        for (i = 0; i < 6; ++i) { y[i] = y0[i] = (float)real(-1, 1); x[i] = (float)real(-1, 1); }
        e.eval(e.user, 2, y0, level, label, NULL, grad0);
        CHECK_OK(ctx, drl__langevin(ctx, &d, 2, y, x, gradient, work));
        CHECK(!memcmp(gradient, grad0, sizeof gradient), "the last gradient");
        for (i = 0; i < 6; ++i) {
            int t = level[i / 3];
            double s2 = s.s[t + 1] * s.s[t + 1], scale = step_scale[k] > 0 ? step_scale[k] : 1, noise = noise_scale[k] < 0 ? 0 : noise_scale[k] > 0 ? noise_scale[k] : 1;
            double h = scale * scale * s.sbar[t] / s.sbar[0] * s.b2 * s2, want;
            shifted_noise(&shift, ctx, 10 + i / 3, 4, eps, 3);
            want = (double)y0[i] + h / 2 * ((double)grad0[i] - (t == MIX_LEVELS - 1 ? 0.0 : ((double)y0[i] - (double)x[i]) / s2)) + sqrt(h) * noise * (double)eps[i % 3];
            CHECK(fabs((double)y[i] - want) < 3e-7, "case %d: y[%d] is %.8f, not %.8f", k, i, (double)y[i], want);
        }
    }
    drl_ctx_destroy(ctx);
}

/* -- images of which a part is known -- */

/* Coordinates of own_eval do not know of each other: those that are not known get the bits of a run without any, and those that are known
 * are at every point abar_t known + sbar_t eps with one eps, in the end themselves. */
static void holding(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = obj_energy(&o, OBJ_SIZE, 3);
    drl_sample_desc how;
    drl_sampler *sampler, *plain;
    float known[OBJ_COUNT * OBJ_SIZE], got[OBJ_COUNT * OBJ_SIZE], want[OBJ_COUNT * OBJ_SIZE], start[OBJ_COUNT * OBJ_SIZE], eps[OBJ_COUNT * OBJ_SIZE];
    uint8_t mask[OBJ_COUNT * OBJ_SIZE];
    uint64_t seed = 77;
    int from, i, k, done;
    for (i = 0; i < OBJ_COUNT; ++i) drl__noise_counter(&seed, ctx, 4 + i, DRL__DRAW_KNOWN, eps + i * OBJ_SIZE, OBJ_SIZE);
    for (i = 0; i < OBJ_COUNT * OBJ_SIZE; ++i) start[i] = (float)real(-1, 1);
    for (from = MIX_LEVELS; from >= 1; --from) {            /* from the top without a start, else from x_from */
        how = obj_desc();
        how.first = 4;
        how.from_level = from;
        how.start = from < MIX_LEVELS ? start : NULL;
        plain = obj_new(ctx, &e, &s, &how);
        memcpy(known, obj_known, sizeof known);
        memcpy(mask, obj_mask, sizeof mask);
        how.known = known; how.mask = mask;
        sampler = obj_new(ctx, &e, &s, &how);
        memset(known, 0x7f, sizeof known);                  /* copied at creation */
        memset(mask, 1, sizeof mask);
        for (done = 0; done <= from * OBJ_STEPS; ++done) {
            int t = done ? from - 1 - (done - 1) / OBJ_STEPS : from, wrong = 0, held = 0;
            obj_images(sampler, OBJ_COUNT, OBJ_SIZE, got);
            obj_images(plain, OBJ_COUNT, OBJ_SIZE, want);
            for (k = 0; k < OBJ_COUNT * OBJ_SIZE; ++k) {
                double at = s.abar[t] * (double)obj_known[k] + s.sbar[t] * (double)eps[k];
                if (!obj_mask[k]) wrong += memcmp(got + k, want + k, sizeof *got) != 0;
                else if (done == from * OBJ_STEPS) wrong += got[k] < obj_known[k] || got[k] > obj_known[k];
                else wrong += !(fabs((double)got[k] - at) <= 1e-6 * (1 + fabs(at)));
                held += obj_mask[k] != 0;
            }
            CHECK(!wrong && held > 2 * OBJ_SIZE, "from %d, step %d: %d of %d known pixels, or others, are wrong", from, done, wrong, held);
            CHECK(drl_sampler_run(sampler, 1) == drl_sampler_run(plain, 1), "%s", drl_ctx_message(ctx));
        }
        CHECK(drl_sampler_level(sampler) == -1, "level %d", drl_sampler_level(sampler));
        drl_sampler_destroy(sampler);
        drl_sampler_destroy(plain);
    }
    how = obj_desc();
    how.known = obj_known;
    sampler = NULL;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    how.known = NULL; how.mask = obj_mask;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_ARGUMENT);
    memcpy(known, obj_known, sizeof known);
    known[OBJ_COUNT * OBJ_SIZE - 1] = (float)NAN;
    how.known = known;
    REFUSED(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler), DRL_E_NUMERIC);
    CHECK(!sampler && !o.broken, "a refused sampler was returned");
    drl_ctx_destroy(ctx);
}

/* Two coordinates that go together: a mixture of Gaussians with full covariances, diffused; components as mean, variances, covariance. */
typedef struct pair { int components; double weight[2], mean[2][2], cov[2][3]; const drl_schedule *schedule; } pair;

/* Covariance of component k at level t, without the scale of y. */
static void pair_cov(const pair *p, int k, int t, double *c)
{
    double a2 = p->schedule->abar[t] * p->schedule->abar[t], s2 = p->schedule->sbar[t] * p->schedule->sbar[t];
    c[0] = a2 * p->cov[k][0] + s2;
    c[1] = a2 * p->cov[k][1] + s2;
    c[2] = a2 * p->cov[k][2];
}

/* Density at x_t = x, and of each component with its gradient by x. */
static double pair_density(const pair *p, int t, double x0, double x1, double *part, double (*force)[2])
{
    double sum = 0;
    int k;
    for (k = 0; k < p->components; ++k) {
        double c[3], det, d0 = x0 - p->schedule->abar[t] * p->mean[k][0], d1 = x1 - p->schedule->abar[t] * p->mean[k][1];
        pair_cov(p, k, t, c);
        det = c[0] * c[1] - c[2] * c[2];
        force[k][0] = -(c[1] * d0 - c[2] * d1) / det;
        force[k][1] = -(c[0] * d1 - c[2] * d0) / det;
        part[k] = p->weight[k] * exp(0.5 * (d0 * force[k][0] + d1 * force[k][1])) / (2 * 3.14159265358979323846 * sqrt(det));
        sum += part[k];
    }
    return sum;
}

static drl_status pair_eval(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    const pair *p = (const pair *)user;
    int i, j, k;
    (void)label;
    for (i = 0; i < n; ++i) {
        double a = drl_schedule_scale(p->schedule, level[i]), part[2], force[2][2], sum = pair_density(p, level[i], (double)y[2 * i] / a, (double)y[2 * i + 1] / a, part, force);
        if (f) f[i] = (float)log(sum / (a * a));
        for (j = 0; j < 2 && gradient; ++j) {
            double g = 0;
            for (k = 0; k < p->components; ++k) g += part[k] / sum * force[k][j] / a;
            gradient[2 * i + j] = (float)g;
        }
    }
    return DRL_OK;
}

/* n completions of the second coordinate from the first: their mean and variance. */
static void pair_complete(pair *p, int n, int steps, float known, double *mean, double *var)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_energy e;
    drl_sample_desc how;
    drl_sampler *sampler = NULL;
    float *x = floats(2 * (size_t)n);
    uint8_t *mask = (uint8_t *)calloc((size_t)n, 2);
    int i, wrong = 0;
    if (!mask) exit(3);
    memset(&e, 0, sizeof e);
    e.eval = pair_eval; e.user = p; e.size = 2; e.batch = 1 << 20;
    memset(&how, 0, sizeof how);
    how.count = n; how.seed = 13; how.steps = steps; how.known = x; how.mask = mask;
    for (i = 0; i < n; ++i) { x[2 * i] = known; mask[2 * i] = 1; }
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, p->schedule, &how, &sampler));
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    for (*mean = 0, i = 0; i < n; ++i) {
        float got[2] = { 0, 0 };
        drl_sampler_image(sampler, i, got);
        wrong += got[0] < known || got[0] > known;
        *mean += (double)(x[2 * i + 1] = got[1]) / n;
    }
    CHECK(!wrong, "%d known pixels are others in the end", wrong);
    for (*var = 0, i = 0; i < n; ++i) *var += ((double)x[2 * i + 1] - *mean) * ((double)x[2 * i + 1] - *mean) / (n - 1);
    drl_sampler_destroy(sampler);
    free(x); free(mask);
    drl_ctx_destroy(ctx);
}

/* One Gaussian: the unknown y and x_{t+1} are linear in the draw eps of the known one, c eps + rest, so their moments are known exactly,
 * discretisation included. */
static void complete_gaussian(void)
{
    drl_schedule s = mix_schedule();
    pair p = { 1, { 1, 0 }, { { 0.3, -0.4 }, { 0, 0 } }, { { 0.8, 0.5, -0.55 }, { 0, 0, 0 } }, NULL };
    const int n = 8000, steps = 25;
    const double known = 1.1f;
    double mx = 0, ex = 0, vx = 1, got_mean, got_var;
    int t, k;
    p.schedule = &s;
    for (t = s.levels - 1; t >= 0; --t) {
        double a = drl_schedule_scale(&s, t), h = s.sbar[t] / s.sbar[0] * s.b2 * s.s[t + 1] * s.s[t + 1], pull = t == s.levels - 1 ? 0.0 : 1 / (s.s[t + 1] * s.s[t + 1]);
        double c[3], det, m = a * s.abar[t] * p.mean[0][1], my = mx, ey = ex, vy = vx, cxy = vx, A, C, own_pull, cross;
        pair_cov(&p, 0, t, c);
        det = (c[0] * c[1] - c[2] * c[2]) * a * a;
        own_pull = c[0] / det; cross = -c[2] / det;             /* of the inverse covariance */
        A = 1 - h / 2 * (own_pull + pull); C = h / 2 * pull;
        for (k = 0; k < steps; ++k) {
            my = A * my + C * mx + h / 2 * (own_pull * m - cross * a * s.abar[t] * (known - p.mean[0][0]));
            ey = A * ey + C * ex - h / 2 * cross * a * s.sbar[t];
            vy = A * A * vy + C * C * vx + 2 * A * C * cxy + h;
            cxy = A * cxy + C * vx;
        }
        mx = my / a; ex = ey / a; vx = vy / (a * a);
    }
    pair_complete(&p, n, steps, (float)known, &got_mean, &got_var);
    near("completed from a correlated Gaussian: mean", got_mean, mx, sqrt((vx + ex * ex) / n));
    near("completed from a correlated Gaussian: variance", got_var, vx + ex * ex, (vx + ex * ex) * sqrt(2.0 / (n - 1)));
}

/* A mixture: where chains that mix perfectly end, by quadrature: at each level p(x_t | known, x_{t+1}), averaged over the level above, for
 * each value of the known one's draw. Levels above know the known one through its noise only and are not corrected for it, so that mean is
 * the conditional mean of the data where one large step leads to a level of little noise (the second schedule; there a second mode would
 * hold the chains that start in it), and is drawn to the data's mean by many small steps, or by noise that stays. */
static void complete_mixture(void)
{
    enum { GRID = 161, DRAWS = 17 };
    static double q[GRID], above[GRID], at[GRID];
    static const double known[6] = { -1.1, 1.2, 0.35, 0.8, 1.2, 0.35 }, coarse[3] = { 0.1, 0.9, 0.9995 };
    double memory[12];
    pair p = { 2, { 0.4, 0.6 }, { { -0.9, -0.7 }, { 0.9, 0.8 } }, { { 0.20, 0.25, 0.18 }, { 0.30, 0.20, -0.20 } }, NULL };
    int r, t, i, j, e, k;
    for (r = 0; r < 6; ++r) {
        drl_schedule s = r < 3 ? mix_schedule() : schedule_of(coarse, 2, 0.003, memory);
        double mean = 0, square = 0, conditional = 0, total = 0, weight_sum = 0, got_mean, got_var, part[2], force[2][2];
        const double held = (double)(float)known[r], bias = r < 3 ? 0.017 : 0.05;          /* of a variance, by the discretisation */
        p.schedule = &s;
        for (e = 0; e < DRAWS; ++e) {
            double eps = (e - DRAWS / 2) * 0.5, weight = exp(-eps * eps / 2);
            for (t = s.levels - 1; t >= 0; --t) {
                for (i = 0; i < GRID; ++i) {
                    above[i] = q[i];
                    q[i] = 0;
                    at[i] = pair_density(&p, t, s.abar[t] * held + s.sbar[t] * eps, (i - GRID / 2) * 0.05, part, force);
                }
                for (j = 0; j < (t == s.levels - 1 ? 1 : GRID); ++j) {          /* x_{t+1}; the last level has none */
                    double row[GRID], sum = 0, x_next = (j - GRID / 2) * 0.05;
                    for (i = 0; i < GRID; ++i) {
                        double d = (x_next - s.a[t + 1] * (i - GRID / 2) * 0.05) / s.s[t + 1];
                        sum += row[i] = at[i] * (t == s.levels - 1 ? 1.0 : exp(-d * d / 2));
                    }
                    for (i = 0; i < GRID; ++i) q[i] += row[i] / sum * (t == s.levels - 1 ? 1.0 : above[j]);
                }
            }
            for (i = 0; i < GRID; ++i) {
                double x = (i - GRID / 2) * 0.05;
                mean += weight * q[i] * x;
                square += weight * q[i] * x * x;
            }
            weight_sum += weight;
        }
        mean /= weight_sum; square /= weight_sum;
        for (k = 0; k < 2; ++k) {                               /* E[second | first] of the data, scaled as x_0 is */
            double d = held - p.mean[k][0], w = p.weight[k] * exp(-d * d / (2 * p.cov[k][0])) / sqrt(p.cov[k][0]);
            conditional += w * s.abar[0] * (p.mean[k][1] + p.cov[k][2] / p.cov[k][0] * d);
            total += w;
        }
        conditional /= total;
        pair_complete(&p, MIX_CHAINS, r < 3 ? MIX_STEPS : 600, (float)held, &got_mean, &got_var);
        printf("completion, %d levels: known %.2f, mean %.3f, by quadrature %.3f, conditional mean of the data %.3f\n", s.levels, held, got_mean, mean, conditional);
        near("completed from a mixture: mean", got_mean, mean, sqrt((square - mean * mean) / MIX_CHAINS) * 1.1);
        near("completed from a mixture: variance", got_var, square - mean * mean, (square - mean * mean) * (sqrt(3.0 / MIX_CHAINS) + bias / 4));
        if (r >= 3) near("completed from a mixture: conditional mean", got_mean, conditional, sqrt((square - mean * mean) / MIX_CHAINS) + 0.06 / 4);
    }
}

/* A row of pixels that differ little from one to the next: x_0 ~ N(0, S), S_ij = 0.5 * 0.9^|i - j|, diffused in closed form; precision[t] is
 * the inverse of abar_t^2 S + sbar_t^2, without the scale of y. */
#define ROW_SIZE 10
#define ROW_LEVELS 5
typedef struct row_model { double precision[ROW_LEVELS][ROW_SIZE][ROW_SIZE]; const drl_schedule *schedule; } row_model;

static drl_status row_eval(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    const row_model *r = (const row_model *)user;
    int i, j, k;
    (void)label;
    for (i = 0; i < n; ++i, y += ROW_SIZE) {
        double a = drl_schedule_scale(r->schedule, level[i]), sum = 0;
        for (j = 0; j < ROW_SIZE; ++j) {
            double g = 0;
            for (k = 0; k < ROW_SIZE; ++k) g -= r->precision[level[i]][j][k] * (double)y[k] / (a * a);
            if (gradient) gradient[i * ROW_SIZE + j] = (float)g;
            sum += 0.5 * g * (double)y[j];
        }
        if (f) f[i] = (float)sum;
    }
    return DRL_OK;
}

/* The left half of such rows is known. Squared differences of neighbours are 0.1 on average in the data, across the border, too; a drawn half that
 * knew nothing of the other would make it 1 there. One pass leaves a seam, as levels above are not corrected for what lower ones see of the
 * known half; restarts, noising the result up to a low level and coming down again, close it. */
static void seam(void)
{
    enum { CHAINS = 1000, KNOWN = ROW_SIZE / 2, ROUNDS = 9 };
    static const int from[ROUNDS] = { 0, 2, 2, 2, 2, 1, 1, 1, 1 };          /* the first from the top */
    static const double sbar[ROW_LEVELS + 1] = { 0.05, 0.2, 0.45, 0.7, 0.9, 0.9995 };
    static float known[CHAINS * ROW_SIZE], start[CHAINS * ROW_SIZE];
    static uint8_t mask[CHAINS * ROW_SIZE];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double memory[4 * (ROW_LEVELS + 1)], across = 0, drawn = 0, at_first = 0;
    drl_schedule s = schedule_of(sbar, ROW_LEVELS, 0.03, memory);
    drl_rng rng = { 3, 0, 0 };
    drl_energy e;
    drl_sample_desc how;
    row_model r;
    int t, i, j, k, round, wrong = 0;
    r.schedule = &s;
    for (t = 0; t < ROW_LEVELS; ++t) {                      /* Gauss and Jordan, in place: positive definite, no pivots */
        double (*m)[ROW_SIZE] = r.precision[t];
        for (i = 0; i < ROW_SIZE; ++i)
            for (j = 0; j < ROW_SIZE; ++j) m[i][j] = s.abar[t] * s.abar[t] * 0.5 * pow(0.9, abs(i - j)) + (i == j ? s.sbar[t] * s.sbar[t] : 0.0);
        for (k = 0; k < ROW_SIZE; ++k) {
            double pivot = 1 / m[k][k];
            m[k][k] = 1;
            for (j = 0; j < ROW_SIZE; ++j) m[k][j] *= pivot;
            for (i = 0; i < ROW_SIZE; ++i) {
                double factor = m[i][k];
                if (i == k) continue;
                m[i][k] = 0;
                for (j = 0; j < ROW_SIZE; ++j) m[i][j] -= factor * m[k][j];
            }
        }
    }
    drl_rng_normals(ctx, &rng, known, CHAINS * ROW_SIZE);
    for (i = 0; i < CHAINS * ROW_SIZE; ++i) {
        known[i] = (float)(sqrt(0.5) * (i % ROW_SIZE ? sqrt(1 - 0.81) * (double)known[i] : (double)known[i]) + (i % ROW_SIZE ? 0.9 * (double)known[i - 1] : 0.0));
        mask[i] = i % ROW_SIZE < KNOWN;
    }
    memset(&e, 0, sizeof e);
    e.eval = row_eval; e.user = &r; e.size = ROW_SIZE; e.batch = CHAINS;
    memset(&how, 0, sizeof how);
    how.count = CHAINS; how.steps = 150; how.known = known; how.mask = mask;
    for (round = 0; round < ROUNDS; ++round) {
        drl_sampler *sampler = NULL;
        how.seed = 21 + (uint64_t)round;
        how.from_level = from[round];
        how.start = round ? start : NULL;
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0, across = drawn = 0; i < CHAINS; ++i) {
            float x[ROW_SIZE] = { 0 };
            drl_sampler_image(sampler, i, x);
            wrong += memcmp(x, known + i * ROW_SIZE, KNOWN * sizeof *x) != 0;
            for (j = KNOWN - 1; j < ROW_SIZE - 1; ++j) {
                double d = (double)x[j + 1] - (double)x[j];
                if (j == KNOWN - 1) across += d * d / CHAINS;
                else drawn += d * d / (CHAINS * (ROW_SIZE - 1 - KNOWN));
            }
            memcpy(start + i * ROW_SIZE, x, sizeof x);
        }
        if (!round) at_first = across / drawn;
        if (!round || round == ROUNDS - 1)
            printf("inpainted row, %d restarts: mean squared difference %.4f across the seam, %.4f in the drawn half, 0.1 in the data\n", round, across, drawn);
        for (i = 0, t = round + 1 < ROUNDS ? from[round + 1] : 0; i < CHAINS * ROW_SIZE; ++i) {
            float eps;
            drl_rng_normals(ctx, &rng, &eps, 1);
            start[i] = (float)(s.abar[t] * (double)start[i] + s.sbar[t] * (double)eps);
        }
        drl_sampler_destroy(sampler);
    }
    CHECK(!wrong, "%d rows have lost their known half", wrong);
    CHECK(at_first < 2.5 && across < 1.3 * drawn, "differences across the seam are %.4f, in the drawn half %.4f; at first %.2f times as large", across, drawn, at_first);
    CHECK(fabs(drawn - 0.11) < 0.015, "squared differences of the drawn half are %.4f, not 0.1 and a little of the noise that is left", drawn);
    drl_ctx_destroy(ctx);
}

/* -- from one image to another -- */

static void interpolation(void)
{
    static const size_t sizes[3] = { 1, OBJ_SIZE, 150 };
    static const int draws[4] = { 0, 1, 17, DRL__DRAW_KNOWN };
    enum { POINTS = 5, N_DRAW = 20000 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    drl_interpolation path;
    drl_noise noise;
    float *x = floats(POINTS * N_DRAW), *ends = floats(2 * N_DRAW);
    uint64_t seed = 77;
    int z, i, j, k;
    path.seed = seed; path.from = 3; path.to = 8; path.count = POINTS;
    noise = drl_interpolation_noise(&path);
    for (z = 0; z < 3; ++z) {                       /* samples: the ends are those of images 3 and 8 */
        own o;
        drl_energy e = obj_energy(&o, sizes[z], 3);
        drl_sample_desc how = obj_desc();
        drl_sampler *sampler;
        size_t size = sizes[z];
        how.labels = NULL; how.guidance = 0;
        for (i = 0; i < 2; ++i) {
            how.count = 1; how.first = i ? 8 : 3;
            sampler = obj_new(ctx, &e, &s, &how);
            CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
            obj_images(sampler, 1, size, ends + (size_t)i * size);
            drl_sampler_destroy(sampler);
        }
        how.seed = 5; how.first = 0; how.count = POINTS; how.noise = noise;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        obj_images(sampler, POINTS, size, x);
        drl_sampler_destroy(sampler);
        CHECK(!memcmp(x, ends, size * sizeof *x), "size %d: the first image is not the one it comes from", (int)size);
        CHECK(!memcmp(x + (POINTS - 1) * size, ends + size, size * sizeof *x), "size %d: the last image is not the one it leads to", (int)size);
        for (i = 1; i < POINTS; ++i) CHECK(memcmp(x + (size_t)i * size, x + (size_t)(i - 1) * size, size * sizeof *x) != 0, "size %d: images %d and %d are the same", (int)size, i - 1, i);
        how.first = 2; how.count = 2;               /* a part of the way */
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        obj_images(sampler, 2, size, ends);
        CHECK(!memcmp(x + 2 * size, ends, 2 * size * sizeof *x), "size %d: images 2 and 3 alone are others", (int)size);
        drl_sampler_destroy(sampler);
        path.count = 1;                             /* a way of one image stays where it is */
        how.first = 0; how.count = 1;
        sampler = obj_new(ctx, &e, &s, &how);
        CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        obj_images(sampler, 1, size, ends);
        CHECK(!memcmp(x, ends, size * sizeof *x), "size %d: a way of one image", (int)size);
        drl_sampler_destroy(sampler);
        path.count = POINTS;
    }
    for (k = 0; k < 4; ++k) {                       /* draws: normal everywhere, and on a great circle */
        for (i = 0; i < 2; ++i) drl__noise_counter(&seed, ctx, i ? 8 : 3, draws[k], ends + i * N_DRAW, N_DRAW);
        for (i = 0; i < POINTS; ++i) {
            double w = atan2(1, 0) * i / (POINTS - 1), mean = 0, square = 0, with[2] = { 0, 0 }, worst = 0;
            float *at = x + i * N_DRAW;
            noise.fill(noise.user, ctx, i, draws[k], at, N_DRAW);
            for (j = 0; j < N_DRAW; ++j) {
                double want = cos(w) * (double)ends[j] + sin(w) * (double)ends[N_DRAW + j];
                mean += (double)at[j] / N_DRAW;
                square += (double)at[j] * (double)at[j] / N_DRAW;
                with[0] += (double)at[j] * (double)ends[j] / N_DRAW;
                with[1] += (double)at[j] * (double)ends[N_DRAW + j] / N_DRAW;
                if (!(fabs((double)at[j] - want) <= worst)) worst = fabs((double)at[j] - want);
            }
            CHECK(worst < 1e-6, "image %d, draw %d: off by %g", i, draws[k], worst);
            CHECK((i && i < POINTS - 1) || !memcmp(at, ends + (i ? N_DRAW : 0), N_DRAW * sizeof *at), "draw %d: an end has other bits", draws[k]);
            near("interpolated draw: mean", mean, 0, 1 / sqrt((double)N_DRAW));
            near("interpolated draw: variance", square, 1, sqrt(2.0 / N_DRAW));
            near("interpolated draw: with the first", with[0], cos(w), sqrt(2.0 / N_DRAW));
            near("interpolated draw: with the last", with[1], sin(w), sqrt(2.0 / N_DRAW));
        }
    }
    free(x); free(ends);
    drl_ctx_destroy(ctx);
}

/* -- a clock's budget -- */

typedef struct ticks { double now, step; int asked; } ticks;
static double ticking(void *user)
{
    ticks *c = (ticks *)user;
    ++c->asked;
    return c->now += c->step;
}

static void run_until(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = obj_energy(&o, OBJ_SIZE, 1000);
    drl_sample_desc how = obj_desc();
    drl_sampler *sampler = obj_new(ctx, &e, &s, &how), *other;
    float want[OBJ_COUNT * OBJ_SIZE], got[OBJ_COUNT * OBJ_SIZE];
    int total = MIX_LEVELS * OBJ_STEPS, left = total, rounds = 0;
    drl_status status = DRL_RUNNING;
    ticks c = { 0, 1, 0 };
    CHECK(drl_sampler_run(sampler, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    obj_images(sampler, OBJ_COUNT, OBJ_SIZE, want);
    drl_sampler_destroy(sampler);
    sampler = obj_new(ctx, &e, &s, &how);
    CHECK(drl_sampler_run_until(sampler, ticking, &c, -5) == DRL_RUNNING && drl_sampler_steps_left(sampler) == --left, "a time that has passed: %d steps left, not %d", drl_sampler_steps_left(sampler), left);
    CHECK(drl_sampler_run_until(sampler, ticking, &c, c.now) == DRL_RUNNING && drl_sampler_steps_left(sampler) == --left, "now: %d steps left, not %d", drl_sampler_steps_left(sampler), left);
    c.now = 0; c.asked = 0;
    CHECK(drl_sampler_run_until(sampler, ticking, &c, 4) == DRL_RUNNING && drl_sampler_steps_left(sampler) == (left -= 4) && c.asked == 4, "4 ticks: %d steps left, not %d, the clock was asked %d times", drl_sampler_steps_left(sampler), left, c.asked);
    while (status == DRL_RUNNING && rounds < 100) {         /* frames of 2.5 ticks: 3 steps each, across the ends of levels */
        c.now = 0;
        status = drl_sampler_run_until(sampler, ticking, &c, 2.5);
        left = left > 3 ? left - 3 : 0;
        CHECK(drl_sampler_steps_left(sampler) == left, "%d steps left, not %d", drl_sampler_steps_left(sampler), left);
        ++rounds;
    }
    CHECK(status == DRL_OK && rounds == (total - 6 + 2) / 3, "status %d after %d rounds", (int)status, rounds);
    obj_images(sampler, OBJ_COUNT, OBJ_SIZE, got);
    CHECK(!memcmp(want, got, sizeof got), "a clock's budget changes the result");
    c.asked = 0;
    CHECK(drl_sampler_run_until(sampler, ticking, &c, 1e9) == DRL_OK && !c.asked, "done already, and the clock was asked %d times", c.asked);
    REFUSED(ctx, drl_sampler_run_until(sampler, NULL, &c, 1), DRL_E_ARGUMENT);
    CHECK(drl_sampler_run_until(NULL, ticking, &c, 1) == DRL_E_ARGUMENT, "no sampler");
    other = obj_new(ctx, &e, &s, &how);
    o.fail_at = o.calls + 3;
    CHECK(drl_sampler_run_until(other, ticking, &c, 1e9) == DRL_E_IO && c.asked == 2, "a failing energy, and the clock was asked %d times", c.asked);
    drl_sampler_destroy(sampler);
    drl_sampler_destroy(other);
    drl_ctx_destroy(ctx);
}

/* K = 0: by hand, in double, one draw of N(x_{t+1} + s^2 grad F(x_{t+1}), s^2) a level; in slices, saved and restored, the same bits; and on the fine
 * schedule, where s is small, the data's own mean and spread. */
static void no_steps(void)
{
    static double memory[4 * 1001];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 2, NULL);
    static float out[2000], all[12], got[12];
    double x[12], mean = 0, var = 0;
    drl_sample_desc how;
    drl_schedule s;
    drl_sampler *sampler = NULL;
    target g = { 2, 3, { 0.4, 0.6 }, { -0.5, 0.2, 0.9, 0.6, -0.3, -0.8 }, { 0.2, 0.3, 0.1, 0.15, 0.3, 0.2 } };
    drl_mixture m;
    drl_energy e = energy_of(&g, &s, &m);
    uint64_t seed = 5;
    int t, i, j, k;
    drl__schedule_t1k(60, memory, &s);
    memset(&how, 0, sizeof how);
    how.count = 4; how.seed = seed; how.steps = -3;
    for (i = 0; i < 4; ++i) {
        drl__noise_counter(&seed, ctx, i, 0, all, 3);
        for (j = 0; j < 3; ++j) x[3 * i + j] = (double)all[j];
    }
    for (t = 59; t >= 0; --t)
        for (i = 0; i < 4; ++i) {
            double a = t == 59 ? 1.0 : s.a[t + 1], part[3], p = density(&g, &s, t, x + 3 * i, part), grad[3];
            for (j = 0; j < 3; ++j)
                for (grad[j] = 0, k = 0; k < 2; ++k)
                    grad[j] -= part[k] / p * (x[3 * i + j] - a * s.abar[t] * g.mean[3 * k + j]) / (a * a * (s.abar[t] * s.abar[t] * g.variance[3 * k + j] + s.sbar[t] * s.sbar[t]));
            drl__noise_counter(&seed, ctx, i, 60 - t, all, 3);
            for (j = 0; j < 3; ++j) x[3 * i + j] = (x[3 * i + j] + s.s[t + 1] * s.s[t + 1] * grad[j] + s.s[t + 1] * (double)all[j]) / a;
        }
    for (k = 0; k < 2; ++k) {                                   /* at once; level by level through a saved state */
        unsigned char state[4 * (16 + 24)];
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_steps_left(sampler) == 60, "%d steps", drl_sampler_steps_left(sampler));
        for (i = 0; i < 60 && k; ++i) {
            drl_sampler_run(sampler, 1);
            CHECK_OK(ctx, drl_sampler_save(sampler, state, sizeof state, &check_written));
            drl_sampler_destroy(sampler);
            CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
            CHECK_OK(ctx, drl_sampler_restore(sampler, state, sizeof state));
        }
        CHECK_OK(ctx, drl_sampler_run(sampler, 100));
        for (i = 0; i < 4; ++i) drl_sampler_image(sampler, i, (k ? got : all) + 3 * i);
        if (k) {
            drl_sampler *other = NULL;
            how.steps = 1;
            CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &other));
            REFUSED(ctx, drl_sampler_restore(other, state, sizeof state), DRL_E_FORMAT);
            drl_sampler_destroy(other);
        }
        drl_sampler_destroy(sampler);
    }
    for (i = 0; i < 12; ++i) CHECK(fabs((double)all[i] - x[i]) < 1e-5 * (1 + fabs(x[i])), "K = 0, pixel %d: %.7f, by hand %.7f", i, (double)all[i], x[i]);
    CHECK(!memcmp(all, got, sizeof all), "K = 0: in slices other bits");

    drl__schedule_t1k(1000, memory, &s);
    g.components = 1; g.size = 1; g.weight[0] = 1; g.mean[0] = 0.7; g.variance[0] = 0.25;
    e = energy_of(&g, &s, &m);
    how.count = 2000; how.steps = -1;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    CHECK_OK(ctx, drl_sampler_run(sampler, 1000));
    for (i = 0; i < 2000; ++i) { drl_sampler_image(sampler, i, out + i); mean += (double)out[i] / 2000; }
    for (i = 0; i < 2000; ++i) var += ((double)out[i] - mean) * ((double)out[i] - mean) / 1999;
    CHECK(fabs(mean - 0.7) < 4 * 0.5 / sqrt(2000.0) && fabs(var - 0.25) < 4 * 0.25 * sqrt(2 / 2000.0), "K = 0, T1k: mean %.4f, variance %.4f", mean, var);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

static drl_status flat(void *user, int n, const float *y, const int *level, const int *label, float *f, float *gradient)
{
    int i;
    (void)user;
    (void)y;
    (void)level;
    (void)label;
    for (i = 0; f && i < n; ++i) f[i] = 0;
    for (i = 0; gradient && i < 2 * n; ++i) gradient[i] = 0;
    return DRL_OK;
}

/* A point is what the energy sees: the image times the scale of the level that was run last. */
static void points_and_images(void)
{
    drl_schedule s;
    double memory[DRL_SCHEDULE_DOUBLES(3)];
    drl_energy e;
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    drl_status status = DRL_RUNNING;
    drl_ctx *ctx = NULL;
    int step = 0;
    CHECK_OK(ctx, drl_ctx_create(NULL, &ctx));
    CHECK_OK(ctx, drl_schedule_standard(DRL_SCHEDULE_DRL, 3, memory, &s));
    memset(&e, 0, sizeof e);
    e.eval = flat;
    e.size = 2;
    e.batch = 1;
    memset(&how, 0, sizeof how);
    how.steps = 2;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    for (; status == DRL_RUNNING; ++step) {
        float x[2], y[2];
        int level = 3 - (step + 1) / 2, j;
        double scale = level == 3 ? 1 : drl_schedule_scale(&s, level);
        CHECK_OK(ctx, drl_sampler_image(sampler, 0, x));
        CHECK_OK(ctx, drl_sampler_point(sampler, 0, y));
        for (j = 0; j < 2; ++j)
            CHECK(fabs((double)y[j] - scale * (double)x[j]) <= 1e-6 * fabs((double)y[j]), "step %d: point %g, image %g, scale %g",
                  step, (double)y[j], (double)x[j], scale);
        status = drl_sampler_run(sampler, 1);
    }
    CHECK(step == 6, "%d steps", step);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    test_seed = 7;
    PART(points_and_images());
    PART(schedule());
    PART(fine_schedule());
    PART(own_schedule());
    PART(no_steps());
    PART(mixture());
    PART(one_step());
    PART(gaussian());
    PART(progressive());
    PART(one_level());
    PART(sums());
    PART(shared_terms());
    PART(complete_gaussian());
    PART(complete_mixture());
    PART(seam());
    obj_fill();
    PART(sentences_of_parts());
    PART(sentences_of_samplers());
    for (cooperative = 0; cooperative < 2; ++cooperative) {
        for (inpainting = 0; inpainting < 2; ++inpainting) {
            PART(slices());
            PART(same_bits());
        }
        inpainting = 0;
        PART(holding());
        PART(one_by_one());
        PART(starts());
        PART(failures());
        PART(interpolation());
        PART(run_until());
    }
    cooperative = 0;
    PART(cooperative_by_hand());
    PART(guidance());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count, "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_sample");
}
