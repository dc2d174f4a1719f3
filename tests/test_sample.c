/* test_sample.c - schedules; closed-form energies and their weighted sums; whether Langevin and progressive
 * sampling reach the distributions that they should; the sampler as an object: slices, saved states, batches,
 * threads, instruction sets, wrong use, a known part of the image, a clock's budget, interpolation.
 *
 * The references are independent. Schedules are written down once more from the formulas of the papers,
 * energies and their gradients are plain sums in double, and single steps and whole chains are computed in
 * double from the sampler's own draws. Where only moments are known, those of a sample must lie within four
 * standard errors: for a Gaussian they are known exactly, with the error of the discretisation; for mixtures
 * up to a bias that is derived at mix_schedule. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"
#include "states.h"

#define PI         3.14159265358979323846
#define TO_THE_END (1 << 30)            /* more steps than any sampler here has */

/* got lies within four standard errors of want. */
static void expect_within(const char *what, double got, double want, double error)
{
    CHECK(fabs(got - want) <= 4 * error, "%s is %.5f, should be %.5f, standard error %.5f: off by %.1f",
          what, got, want, error, (got - want) / error);
}

/* -- schedules -- */

/* Numbers of levels T: the smallest, the published 6, the largest. */
static const int level_counts[5] = { 2, 3, 6, 20, 500 };

/* Exactly as many doubles as a schedule of T levels takes, so that sanitizers see one too many. */
static double *schedule_memory(int T, int rows)
{
    double *memory = (double *)malloc((size_t)rows * ((size_t)T + 1) * sizeof *memory);
    if (!memory) exit(3);
    return memory;
}

static void level_is(int T, const char *what, int level, double got, double want, double bound)
{
    CHECK(fabs(got - want) < bound, "T %d: %s at level %d is %.17g, not %.17g", T, what, level, got, want);
}

/* log a of the betas from number *beta to number `last`, where a^2 is the product of 1 - beta. The 1000 betas
 * of [Gao21] lie in equal distances from 1e-4 to 0.02. *beta becomes last + 1. */
static double log_signal(int *beta, int last)
{
    double log_a = 0;
    for (; *beta <= last; ++*beta) log_a += 0.5 * log(1 - (1e-4 + *beta * (0.02 - 1e-4) / 999));
    return log_a;
}

/* The published schedule: level i < T ends with beta number i * floor(500 / (T - 1)), level T with the last
 * one. The rounding of 1000 added logarithms is 1e-13; s = sqrt(1 - a^2) >= 0.01 has 100 times as much. */
static void schedule_drl(void)
{
    int i, k;
    for (k = 0; k < 5; ++k) {
        int T = level_counts[k], beta = 0;
        double *memory = schedule_memory(T, 4), log_bar = 0;
        drl_schedule s;
        CHECK(drl__schedule_drl(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 2e-4, "T %d", T);
        for (i = 0; i <= T; ++i) {
            int last = i == T ? 999 : i * (int)(500.0 / (T - 1) + 1e-9);
            double log_a = log_signal(&beta, last), step, scale;
            log_bar += log_a;
            level_is(T, "a", i, s.a[i], exp(log_a), 1e-13);
            level_is(T, "abar", i, s.abar[i], exp(log_bar), 1e-13);
            level_is(T, "s", i, s.s[i], sqrt(-expm1(2 * log_a)), 1e-11);
            level_is(T, "sbar", i, s.sbar[i], sqrt(-expm1(2 * log_bar)), 1e-11);
            if (i == T) break;
            step = sqrt(s.sbar[i] / s.sbar[0] * 2e-4) * s.s[i + 1];
            level_is(T, "step", i, drl_schedule_step(&s, i), step, 1e-14);
            scale = i == T - 1 ? 1.0 : s.a[i + 1];
            CHECK(drl_schedule_scale(&s, i) == scale, "T %d: scale of level %d", T, i);
        }
        free(memory);
    }
}

/* The fine schedule: all 1000 betas in T equal stretches, and at level T nothing of the signal. Steps of one
 * length over s, and f scaled by sbar_{t+1}. */
static void schedule_t1k(void)
{
    static const int levels[4] = { 2, 7, 200, 1000 };
    static double memory[4 * 1001];
    drl_schedule s;
    int i, k;
    for (k = 0; k < 4; ++k) {
        int T = levels[k], beta = 0;
        double log_bar = 0;
        CHECK(drl__schedule_t1k(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 0.1, "T %d", T);
        CHECK(s.rule == DRL_STEP_DIFFUSION && !s.logsnr, "T %d: rule %d", T, (int)s.rule);
        for (i = 0; i < T; ++i) {
            double log_a = log_signal(&beta, (int)floor(i * 999.0 / (T - 1) + 1e-9));
            log_bar += log_a;
            level_is(T, "a", i, s.a[i], exp(log_a), 1e-12);
            level_is(T, "abar", i, s.abar[i], exp(log_bar), 1e-12);
            level_is(T, "sbar", i, s.sbar[i], sqrt(-expm1(2 * log_bar)), 1e-10);
        }
        CHECK(beta == 1000, "T %d: %d betas", T, beta);
        CHECK(s.a[T] == 0 && s.s[T] == 1, "T %d: at the end a is %g, s is %g", T, s.a[T], s.s[T]);
        CHECK(s.abar[T] == 0 && s.sbar[T] == 1, "T %d: abar is %g, sbar is %g", T, s.abar[T], s.sbar[T]);
        for (i = 0; i < T; ++i) {
            level_is(T, "step", i, drl_schedule_step(&s, i), sqrt(0.1) * s.s[i + 1], 1e-15);
            CHECK(drl__schedule_f_scale(&s, i) == s.sbar[i + 1], "T %d: scale of f at level %d", T, i);
            CHECK(drl__schedule_level(&s, i) == (float)i, "T %d: level value of level %d", T, i);
        }
        CHECK(drl__schedule_f_scale(&s, T) == 0, "T %d: a scale of f at level T", T);
        CHECK(drl__schedule_f_scale(&s, -1) == 0, "T %d: a scale of f at level -1", T);
        CHECK(drl__schedule_f_scale(NULL, 0) == 0, "a scale of f without a schedule");
    }
    drl__schedule_drl(6, memory, &s);
    CHECK(!s.rule && drl__schedule_f_scale(&s, 2) == drl_schedule_step(&s, 2) * drl_schedule_step(&s, 2),
          "f of a coarse schedule is scaled by step^2");
}

/* The mean of x_t given x_0 and x_{t+1}, by conditioning one Gaussian on another: x_t = abar x_0 + noise and
 * x_{t+1} = a x_t + more noise. Noise of the data itself counts as noise of x_t. */
static void posterior_is(const drl_schedule *s, int t)
{
    double noise, of_x0, of_next;
    for (noise = 0; noise < 0.5; noise += 0.3) {
        double a = s->a[t + 1];
        double now = s->sbar[t] * s->sbar[t] + noise * noise * s->abar[t] * s->abar[t];
        double gain = a * now / (a * a * now + s->s[t + 1] * s->s[t + 1]);
        drl__schedule_posterior(s, t, t + 1, noise, &of_x0, &of_next);
        level_is(s->levels, "posterior, factor of x_next,", t, of_next, gain, 1e-12);
        level_is(s->levels, "posterior, factor of x_0,", t, of_x0, s->abar[t] * (1 - gain * a), 1e-12);
    }
}

/* The cosine in log-SNR [Zhu24]: l = -2 log tan(A t / T + B), rounded to float at every operation (which
 * leaves 1e-5 of numbers up to 10); everything else follows from the rounded l in double. */
static void schedule_cdrl(void)
{
    const double B = atan(exp(-4.9)), A = atan(exp(2.55)) - B;
    int i, k;
    for (k = 0; k < 5; ++k) {
        int T = level_counts[k];
        double *memory = schedule_memory(T, 5);
        drl_schedule s;
        CHECK(drl__schedule_cdrl(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 4e-4, "T %d", T);
        CHECK(s.logsnr != NULL, "T %d: no log-SNR", T);
        for (i = 0; i <= T; ++i) {
            double l = s.logsnr[i], a2, step, value;
            level_is(T, "log-SNR", i, l, -2 * log(tan(A * i / T + B)), 1e-5);
            CHECK(l == (double)(float)l, "T %d: log-SNR %d, %.17g, is no float", T, i, l);
            level_is(T, "abar", i, s.abar[i], sqrt(1 / (1 + exp(-l))), 1e-15);
            level_is(T, "sbar", i, s.sbar[i], sqrt(1 / (1 + exp(l))), 1e-15);
            a2 = i ? (1 + exp(-s.logsnr[i - 1])) / (1 + exp(-l)) : 1 / (1 + exp(-l));
            level_is(T, "a", i, s.a[i], sqrt(a2), 1e-14);
            level_is(T, "s^2", i, s.s[i] * s.s[i], 1 - a2, 1e-14);
            value = 1000 * atan(exp(-l / 2)) / atan2(1, 0);
            level_is(T, "level value", i, (double)drl__schedule_level(&s, i), value, 2e-4);
            CHECK(!i || drl__schedule_level(&s, i) > drl__schedule_level(&s, i - 1),
                  "T %d: level value %d is not above the one before", T, i);
            if (i == T) break;
            a2 = s.a[i + 1] * s.a[i + 1];
            step = (1 - s.abar[i] * s.abar[i]) / (1 - s.abar[i + 1] * s.abar[i + 1]) * (1 - a2);
            if (i < T - 1) step *= a2;          /* y_t = a_{t+1} x_t, but x_t at the last level */
            level_is(T, "noise of the proposal", i, drl__schedule_proposal(&s, i, i + 1), sqrt(step), 1e-12);
            step = sqrt(s.sbar[i] / s.sbar[0] * 4e-4) * s.s[i + 1];
            level_is(T, "step", i, drl_schedule_step(&s, i), step, 1e-14);
            posterior_is(&s, i);
        }
        free(memory);
    }
}

/* Less log-SNR by DRL_SCHEDULE_SHIFT in the middle, where nothing is held to the ends; a, abar and sbar agree
 * with the log-SNR, and signal falls from level to level. */
static void schedule_shifted(void)
{
    int i, k;
    for (k = 0; k < 5; ++k) {
        int T = level_counts[k];
        double *memory = schedule_memory(T, 5), plain;
        drl_schedule s;
        CHECK(drl__schedule_cdrl(T, memory, &s) == DRL_OK, "T %d", T);
        plain = s.logsnr[T / 2];
        CHECK(drl__schedule_shifted(T, memory, &s) == DRL_OK && s.levels == T && s.b2 == 4e-4, "T %d", T);
        level_is(T, "shifted log-SNR", T / 2, s.logsnr[T / 2], plain - DRL_SCHEDULE_SHIFT, 1e-6);
        for (i = 0; i <= T; ++i) {
            double snr = s.abar[i] * s.abar[i] / (s.sbar[i] * s.sbar[i]);
            level_is(T, "log(abar^2 / sbar^2)", i, log(snr), s.logsnr[i], 1e-9 * (1 + 1 / s.sbar[i]));
            if (!i) continue;
            CHECK(s.logsnr[i] < s.logsnr[i - 1], "T %d: level %d has more signal than the one below", T, i);
            level_is(T, "abar", i, s.abar[i], s.abar[i - 1] * s.a[i], 1e-14);
        }
        free(memory);
    }
}

static void level_values(void)
{
    double memory[35];
    drl_schedule s;
    CHECK(drl__level_of_logsnr(1e9f) == drl__level_of_logsnr(20.0f), "log-SNR is held to 20");
    CHECK(drl__level_of_logsnr(-1e9f) == drl__level_of_logsnr(-20.0f), "log-SNR is held to -20");
    CHECK(drl__level_of_logsnr(0.0f) == 500.0f, "log-SNR 0: %g", (double)drl__level_of_logsnr(0.0f));
    CHECK(drl__schedule_drl(6, memory, &s) == DRL_OK && !s.logsnr, "DRL has no log-SNR");
    CHECK(drl__schedule_level(&s, 5) == 5.0f, "without log-SNR, level values are numbers of levels");
}

/* Each standard schedule: too few levels, too many, no memory, no result. */
static void schedules_refused(void)
{
    static const struct {
        drl_status (*make)(int levels, double *memory, drl_schedule *schedule);
        int most;
    } kinds[3] = { { drl__schedule_drl, 500 }, { drl__schedule_cdrl, 500 }, { drl__schedule_t1k, 1000 } };
    double memory[35];
    drl_schedule s;
    int k;
    for (k = 0; k < 3; ++k) {
        CHECK(kinds[k].make(1, memory, &s) == DRL_E_ARGUMENT, "schedule %d of 1 level", k);
        CHECK(kinds[k].make(kinds[k].most + 1, memory, &s) == DRL_E_ARGUMENT, "schedule %d: T too large", k);
        CHECK(kinds[k].make(6, NULL, &s) == DRL_E_ARGUMENT, "schedule %d without memory", k);
        CHECK(kinds[k].make(6, memory, NULL) == DRL_E_ARGUMENT, "schedule %d without a result", k);
    }
}

/* A schedule of given noise: every field is set. Bounds are some roundings of numbers up to 1. */
static void schedule_of_given_noise(void)
{
    static const double sbar[5] = { 0.05, 0.2, 0.4, 0.95, 1.0 }, near_levels[3] = { 0.5, 0.5 + 1e-12, 0.6 };
    double memory[20];
    drl_schedule s;
    int i;
    memset(&s, 0xA5, sizeof s);
    CHECK(drl_schedule_of(sbar, 4, 1e-2, memory, &s) == DRL_OK && s.levels == 4, "levels %d", s.levels);
    CHECK(s.b2 == 1e-2 && !s.logsnr && !s.rule, "b2 %g, rule %d", s.b2, (int)s.rule);
    for (i = 0; i <= 4; ++i) {
        double abar = sqrt(1 - sbar[i] * sbar[i]), below = i ? sqrt(1 - sbar[i - 1] * sbar[i - 1]) : 1;
        double a = abar / below;
        CHECK(s.sbar[i] == sbar[i], "sbar[%d] is %g", i, s.sbar[i]);
        level_is(4, "abar", i, s.abar[i], abar, 1e-15);
        level_is(4, "a", i, s.a[i], a, 1e-15);
        level_is(4, "s", i, s.s[i], sqrt(1 - a * a), 1e-14);
    }
    level_is(4, "step", 1, drl_schedule_step(&s, 1), sqrt(0.2 / 0.05 * 1e-2) * s.s[2], 1e-15);
    CHECK(drl__schedule_level(&s, 3) == 3.0f, "level value of level 3");
    CHECK(drl_schedule_scale(&s, 3) == 1, "scale of level 3, the last one");
    /* s^2 = 1 - a^2 is near 2 sbar dsbar / abar^2 = 1e-12 / 0.75: plain subtraction would lose all digits */
    CHECK(drl_schedule_of(near_levels, 2, 1, memory, &s) == DRL_OK, "levels that lie close together");
    CHECK(fabs(s.s[1] / sqrt(1e-12 / 0.75) - 1) < 1e-4, "s is %g between levels close together", s.s[1]);
    CHECK(drl_schedule_of(sbar + 3, 1, 1, memory, &s) == DRL_OK && s.levels == 1, "one level");
    CHECK(s.a[1] == 0 && s.s[1] == 1, "a level of noise alone: a is %g, s is %g", s.a[1], s.s[1]);
}

/* Noise that does not grow, or is none, or more than all; missing arguments. Nothing is written. */
static void given_noise_refused(void)
{
    static const double good[5] = { 0.05, 0.2, 0.4, 0.95, 1.0 };
    static const double wrong[6][3] = {
        { 0, 0.2, 0.4 }, { -0.1, 0.2, 0.4 }, { 0.2, 0.2, 0.4 },
        { 0.2, 0.4, 0.3 }, { 0.2, 0.4, 1.5 }, { 0.2, (double)NAN, 0.4 }
    };
    static double many[1002], many_memory[5 * 1001];
    double memory[20], before[20];
    drl_schedule s, kept, large;
    int i;
    CHECK(drl_schedule_of(good, 4, 1e-2, memory, &s) == DRL_OK, "a good one");
    kept = s;
    memcpy(before, memory, sizeof memory);
    for (i = 0; i < 6; ++i)
        CHECK(drl_schedule_of(wrong[i], 2, 1, memory, &s) == DRL_E_ARGUMENT, "case %d: %g %g %g",
              i, wrong[i][0], wrong[i][1], wrong[i][2]);
    CHECK(drl_schedule_of(good, 4, 0, memory, &s) == DRL_E_ARGUMENT, "b2 is 0");
    CHECK(drl_schedule_of(good, 0, 1, memory, &s) == DRL_E_ARGUMENT, "no levels");
    CHECK(drl_schedule_of(good, 4, 1, NULL, &s) == DRL_E_ARGUMENT, "no memory");
    CHECK(!memcmp(&kept, &s, sizeof s), "a refused call has written a field");
    CHECK(!memcmp(before, memory, sizeof memory), "a refused call has written into its memory");
    for (i = 0; i < 1002; ++i) many[i] = (i + 1) / 1002.0;
    CHECK(drl_schedule_of(many, 1000, 1, many_memory, &large) == DRL_OK, "1000 levels");
    CHECK(large.levels == 1000, "%d levels instead of 1000", large.levels);
    CHECK(drl_schedule_of(many, 1001, 1, many_memory, &large) == DRL_E_ARGUMENT, "1001 levels");
}

/* -- the closed-form mixture -- */

typedef struct target {
    int components, size;
    double weight[3], mean[3 * 5], variance[3 * 5];
} target;

/* Mean and variance of coordinate j of component k, diffused to level t and scaled: y_t = a x_t. */
static void diffused(const target *g, const drl_schedule *s, int t, int k, int j,
                     double *mean, double *variance)
{
    double a = t == s->levels - 1 ? 1.0 : s->a[t + 1], abar = s->abar[t], sbar = s->sbar[t];
    *mean = a * abar * g->mean[k * g->size + j];
    *variance = a * a * (abar * abar * g->variance[k * g->size + j] + sbar * sbar);
}

/* Density of the diffused and scaled mixture at y, and of each component with its weight. Plain products, so
 * only for y where they do not underflow. */
static double density(const target *g, const drl_schedule *s, int t, const double *y, double *part)
{
    double sum = 0, m, v;
    int k, j;
    for (k = 0; k < g->components; ++k) {
        part[k] = g->weight[k];
        for (j = 0; j < g->size; ++j) {
            diffused(g, s, t, k, j, &m, &v);
            part[k] *= exp(-(y[j] - m) * (y[j] - m) / (2 * v)) / sqrt(2 * PI * v);
        }
        sum += part[k];
    }
    return sum;
}

/* Gradient of log density by y [size]; *scale [size] is the sum of the terms' absolute values. */
static void log_density_gradient(const target *g, const drl_schedule *s, int t, const double *y,
                                 double *gradient, double *scale)
{
    double part[3], p = density(g, s, t, y, part), m, v;
    int k, j;
    for (j = 0; j < g->size; ++j) {
        gradient[j] = scale[j] = 0;
        for (k = 0; k < g->components; ++k) {
            diffused(g, s, t, k, j, &m, &v);
            gradient[j] -= part[k] / p * (y[j] - m) / v;
            scale[j] += part[k] / p * fabs(y[j] - m) / v;
        }
    }
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

/* Random weights that add up to 1, means in [-1, 1], variances of which every third is 0. */
static target random_mixture(int size, int components)
{
    target g;
    double total = 0;
    int k;
    g.components = components;
    g.size = size;
    for (k = 0; k < components; ++k) total += g.weight[k] = real(0.2, 1);
    for (k = 0; k < components; ++k) g.weight[k] /= total;
    for (k = 0; k < components * size; ++k) {
        g.mean[k] = real(-1, 1);
        g.variance[k] = k % 3 == 2 ? 0.0 : real(0.05, 1);
    }
    return g;
}

/* F and dF/dy of four points around the means, against the density written out; 1e-6 is some roundings of
 * float. Asking for less gives the same. */
static void mixture_agrees(const target *g, const drl_schedule *s, const drl_energy *e, int t)
{
    float y[5 * 4], f[4], gradient[5 * 4], f_alone[4];
    int level[4], size = g->size, i, j;
    double a = drl_schedule_scale(s, t);
    for (i = 0; i < 4; ++i) level[i] = t;
    for (i = 0; i < 4 * size; ++i) {
        double mean = a * s->abar[t] * g->mean[i % (g->components * size)];
        y[i] = (float)(mean + a * (s->sbar[t] + 0.1) * real(-2, 2));
    }
    CHECK(e->eval(e->user, 4, y, level, NULL, f, gradient) == DRL_OK, "evaluation");
    CHECK(e->eval(e->user, 4, y, level, NULL, f_alone, NULL) == DRL_OK, "the value alone");
    CHECK(!memcmp(f, f_alone, sizeof f), "the value alone has other bits");
    CHECK(e->eval(e->user, 4, y, level, NULL, NULL, NULL) == DRL_OK, "neither value nor gradient");
    for (i = 0; i < 4; ++i) {
        double point[5], part[3], want[5], scale[5], log_p;
        for (j = 0; j < size; ++j) point[j] = (double)y[i * size + j];
        log_p = log(density(g, s, t, point, part));
        CHECK(fabs((double)f[i] - log_p) <= 1e-6 * (1 + fabs(log_p)),
              "size %d, %d components, level %d: F %g instead of %g",
              size, g->components, t, (double)f[i], log_p);
        log_density_gradient(g, s, t, point, want, scale);
        for (j = 0; j < size; ++j)
            CHECK(fabs((double)gradient[i * size + j] - want[j]) <= 1e-6 * scale[j] + 1e-7,
                  "size %d, %d components, level %d: dF/dy[%d] %g instead of %g",
                  size, g->components, t, j, (double)gradient[i * size + j], want[j]);
    }
}

/* In one dimension: exp(F), added up in small steps, is 1. */
static void mixture_is_normalised(const target *g, const drl_energy *e, int t)
{
    double sum = 0, x;
    for (x = -8; x < 8; x += 0.002) {
        float at = (float)x, value;
        e->eval(e->user, 1, &at, &t, NULL, &value, NULL);
        sum += 0.002 * exp((double)value);
    }
    CHECK(fabs(sum - 1) < 1e-4, "%d components, level %d: the integral is %g", g->components, t, sum);
}

/* At y = 1000 every density underflows: F is still finite, and its gradient points back. */
static void mixture_far_away(const target *g, const drl_energy *e)
{
    float y[5], f, gradient[5];
    int level = 0, j;
    for (j = 0; j < g->size; ++j) y[j] = 1000;
    CHECK(e->eval(e->user, 1, y, &level, NULL, &f, gradient) == DRL_OK, "evaluation at 1000");
    CHECK(isfinite(f) && f < -1e5f, "F is %g at 1000", (double)f);
    CHECK(isfinite(gradient[0]) && gradient[0] < 0, "the gradient is %g at 1000", (double)gradient[0]);
}

static void mixture(void)
{
    static const int sizes[3] = { 1, 2, 5 };
    int z, components, t;
    double memory[28];
    drl_schedule s;
    drl__schedule_drl(6, memory, &s);
    for (z = 0; z < 3; ++z)
        for (components = 1; components <= 3; ++components) {
            target g = random_mixture(sizes[z], components);
            drl_mixture m;
            drl_energy e = energy_of(&g, &s, &m);
            CHECK(e.size == (size_t)g.size && e.batch > 1000, "size %d, batch %d", (int)e.size, e.batch);
            for (t = 0; t < 6; ++t) {
                mixture_agrees(&g, &s, &e, t);
                if (g.size == 1) mixture_is_normalised(&g, &e, t);
            }
            mixture_far_away(&g, &e);
        }
}

/* -- a Gaussian: every step is linear, so the moments of the discretised chains are known exactly -- */

/* Mean and variance of one coordinate of x_0. With h = step^2, target mean m and variance v at the level, and
 * pull = 1 / s^2 (0 at the last level), a step is y <- A y + B + C x_next + sqrt(h) noise_scale eps, and the
 * joint moments of y and x_{t+1} follow. */
static void gaussian_moments(const drl_schedule *s, int steps, double noise_scale, double mu, double variance,
                             double *mean, double *var)
{
    double mean_next = 0, var_next = 1;             /* of x_{t+1} */
    int t, k;
    for (t = s->levels - 1; t >= 0; --t) {
        double a = drl_schedule_scale(s, t), s2 = s->s[t + 1] * s->s[t + 1];
        double h = s->sbar[t] / s->sbar[0] * s->b2 * s2;
        double m = a * s->abar[t] * mu;
        double v = a * a * (s->abar[t] * s->abar[t] * variance + s->sbar[t] * s->sbar[t]);
        double pull = t == s->levels - 1 ? 0.0 : 1 / s2;
        double A = 1 - h / 2 * (1 / v + pull), B = h / 2 * m / v, C = h / 2 * pull;
        double mean_y = mean_next, var_y = var_next, cov = var_next;
        for (k = 0; k < steps; ++k) {
            mean_y = A * mean_y + B + C * mean_next;
            var_y = A * A * var_y + C * C * var_next + 2 * A * C * cov + h * noise_scale * noise_scale;
            cov = A * cov + C * var_next;
        }
        mean_next = mean_y / a;
        var_next = var_y / (a * a);
    }
    *mean = mean_next;
    *var = var_next;
}

/* 10,000 samples of a Gaussian of two coordinates: mean, variance and covariance, each within four standard
 * errors of what the recursion says. */
static void gaussian(void)
{
    enum { COUNT = 10000 };
    static const struct { double b2; int steps; float noise_scale; const char *name; } runs[3] = {
        { 2e-4, 30, 0, "T6" }, { 2e-4, 30, 0.9f, "T6, less noise" }, { 5e-3, 12, 0, "large steps" }
    };
    const target g = { 1, 2, { 1 }, { 0.8, -0.3 }, { 0.01, 0.5 } };
    double memory[28];
    drl_schedule s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float *x = floats(2 * COUNT);
    int r, i, j;
    for (r = 0; r < 3; ++r) {
        drl_mixture m;
        drl_energy e;
        drl_sample_desc how;
        drl_sampler *sampler = NULL;
        double noise_scale = runs[r].noise_scale > 0 ? (double)runs[r].noise_scale : 1.0;
        double mean[2] = { 0, 0 }, var[2] = { 0, 0 }, cov = 0, want_mean, want_var[2];
        char what[80];
        drl__schedule_drl(6, memory, &s);
        s.b2 = runs[r].b2;
        e = energy_of(&g, &s, &m);
        memset(&how, 0, sizeof how);
        how.count = COUNT;
        how.seed = 11;
        how.steps = runs[r].steps;
        how.noise_scale = runs[r].noise_scale;
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0; i < COUNT; ++i) {
            CHECK(drl_sampler_image(sampler, i, x + 2 * i) == DRL_OK, "image %d", i);
            for (j = 0; j < 2; ++j) mean[j] += (double)x[2 * i + j] / COUNT;
        }
        drl_sampler_destroy(sampler);
        for (i = 0; i < COUNT; ++i) {
            double d0 = (double)x[2 * i] - mean[0], d1 = (double)x[2 * i + 1] - mean[1];
            var[0] += d0 * d0 / (COUNT - 1);
            var[1] += d1 * d1 / (COUNT - 1);
            cov += d0 * d1 / (COUNT - 1);
        }
        for (j = 0; j < 2; ++j) {
            gaussian_moments(&s, runs[r].steps, noise_scale, g.mean[j], g.variance[j],
                             &want_mean, &want_var[j]);
            snprintf(what, sizeof what, "%s: mean %d", runs[r].name, j);
            expect_within(what, mean[j], want_mean, sqrt(want_var[j] / COUNT));
            snprintf(what, sizeof what, "%s: variance %d", runs[r].name, j);
            expect_within(what, var[j], want_var[j], want_var[j] * sqrt(2.0 / (COUNT - 1)));
        }
        snprintf(what, sizeof what, "%s: covariance", runs[r].name);
        expect_within(what, cov, 0, sqrt(want_var[0] * want_var[1] / COUNT));
    }
    free(x);
    drl_ctx_destroy(ctx);
}

/* -- mixtures: mean, covariance and weights -- */

/* A schedule on which chains mix. Level 0 already has noise 0.45, so the step sizes of different levels are
 * within a factor of 2.3. (In T6 they differ by 100: at a step that is stable on the last level, level 0
 * would need 10^5 steps.) In units of the conditional variance, at most s^2, one step moves by step^2 / s^2 =
 * c_t b2 with c_t = 1 .. 2.2. After K steps a chain remembers at most exp(-K b2 / 2) of its start, and the
 * discretisation makes variances too large by c_t b2 / 4 or less. With b2 = 0.03 and K = 500 the first is
 * 0.0006 and the second at most 0.017. Standard errors with 2000 chains are 0.022 of a mean, in standard
 * deviations, and 0.032 of a variance. */
#define MIX_LEVELS 4
#define MIX_STEPS  500
#define MIX_CHAINS 2000
#define MIX_BIAS   0.017
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

/* What chains should have reached: a mixture with a diagonal Gaussian for each component. */
typedef struct expected { int components, size; double weight[3], mean[6], variance[6]; } expected;

/* The mean of product(x) over x [n * size], where the product is x_j - mean_j, with l < size times
 * x_l - mean_l: near 0, and near the covariance of the mixture, to which the discretisation adds MIX_BIAS of
 * itself. The standard error is measured on the sample. */
static void moment_matches(const char *name, const float *x, int n, const expected *want, int j, int l)
{
    int size = want->size, i, k;
    double mean_j = 0, mean_l = 0, should_be = 0, bias, got = 0, squares = 0;
    char what[96];
    for (k = 0; k < want->components; ++k) {
        mean_j += want->weight[k] * want->mean[k * size + j];
        if (l < size) mean_l += want->weight[k] * want->mean[k * size + l];
    }
    for (k = 0; k < want->components && l < size; ++k) {
        double within = j == l ? want->variance[k * size + j] : 0.0;
        double between = (want->mean[k * size + j] - mean_j) * (want->mean[k * size + l] - mean_l);
        should_be += want->weight[k] * (within + between);
    }
    for (i = 0; i < n; ++i) {
        double product = (double)x[i * size + j] - mean_j;
        if (l < size) product *= (double)x[i * size + l] - mean_l;
        got += product / n;
        squares += product * product / n;
    }
    if (l < size) snprintf(what, sizeof what, "%s: covariance %d %d", name, j, l);
    else snprintf(what, sizeof what, "%s: mean %d less the true one", name, j);
    bias = l < size ? MIX_BIAS * fabs(should_be) / 4 : 0.0;     /* expect_within allows four times of it */
    expect_within(what, got, should_be, sqrt((squares - got * got) / n) + bias);
}

/* The weight of component k: its mean responsibility for the points x [n * size]. */
static void weight_matches(const char *name, const float *x, int n, const expected *want, int k)
{
    int size = want->size, i, j, l;
    double got = 0, squares = 0;
    char what[96];
    for (i = 0; i < n; ++i) {
        double part[3], sum = 0;
        for (l = 0; l < want->components; ++l) {
            part[l] = want->weight[l];
            for (j = 0; j < size; ++j) {
                double v = want->variance[l * size + j];
                double d = (double)x[i * size + j] - want->mean[l * size + j];
                part[l] *= exp(-d * d / (2 * v)) / sqrt(v);
            }
            sum += part[l];
        }
        got += part[k] / sum / n;
        squares += part[k] / sum * part[k] / sum / n;
    }
    snprintf(what, sizeof what, "%s: weight %d", name, k);
    expect_within(what, got, want->weight[k], sqrt((squares - got * got) / n));
}

static void sample_matches(const char *name, const float *x, int n, const expected *want)
{
    int j, l, k;
    for (j = 0; j < want->size; ++j)
        for (l = j; l <= want->size; ++l) moment_matches(name, x, n, want, j, l);
    for (k = 0; k < want->components; ++k) weight_matches(name, x, n, want, k);
}

static const target mixtures[3] = {
    { 2, 1, { 0.3, 0.7 }, { -1.5, 1.0 }, { 0.02, 0.1 } },
    { 3, 2, { 0.2, 0.3, 0.5 }, { -1.2, 0.2, 1.3, 1.0, 0.3, -1.4 }, { 0.05, 0.02, 0.1, 0.05, 0.02, 0.2 } },
    { 2, 2, { 0.75, 0.25 }, { 1.0, 0.5, -1.5, 0.5 }, { 0.0, 0.1, 0.0, 0.0 } }
};

/* Through all levels. Samples are of level 0: the data, a little diffused. */
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
        expected want;
        char name[40];
        memset(&how, 0, sizeof how);
        how.count = MIX_CHAINS;
        how.seed = 5 + (uint64_t)r;
        how.steps = MIX_STEPS;
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0; i < MIX_CHAINS; ++i) drl_sampler_image(sampler, i, x + i * g->size);
        drl_sampler_destroy(sampler);
        want.components = g->components;
        want.size = g->size;
        memcpy(want.weight, g->weight, sizeof want.weight);
        for (k = 0; k < g->components * g->size; ++k) {
            want.mean[k] = s.abar[0] * g->mean[k];
            want.variance[k] = s.abar[0] * s.abar[0] * g->variance[k] + s.sbar[0] * s.sbar[0];
        }
        snprintf(name, sizeof name, "progressive, mixture %d", r);
        sample_matches(name, x, MIX_CHAINS, &want);
        free(x);
    }
    drl_ctx_destroy(ctx);
}

/* p(y_t | x_{t+1} = x_next), again a mixture: each component is the product of two Gaussians, and its weight
 * is multiplied by how well it explains x_next (Bayes' rule). At the last level, where there is no x_next,
 * the marginal. */
static expected conditional(const target *g, const drl_schedule *s, int t, const float *x_next)
{
    double s2 = s->s[t + 1] * s->s[t + 1], total = 0, m, v, d;
    expected want;
    int j, k;
    want.components = g->components;
    want.size = g->size;
    for (k = 0; k < g->components; ++k) {
        want.weight[k] = g->weight[k];
        for (j = 0; j < g->size; ++j) {
            int at = k * g->size + j;
            diffused(g, s, t, k, j, &m, &v);
            want.mean[at] = m;
            want.variance[at] = v;
            if (t == s->levels - 1) continue;
            d = (double)x_next[j] - m;
            want.weight[k] *= exp(-d * d / (2 * (v + s2))) / sqrt(v + s2);
            want.variance[at] = 1 / (1 / v + 1 / s2);
            want.mean[at] = want.variance[at] * (m / v + (double)x_next[j] / s2);
        }
        total += want.weight[k];
    }
    for (k = 0; k < g->components; ++k) want.weight[k] /= total;
    return want;
}

/* Langevin steps at one level, the lowest or the last, all chains with one x_{t+1}. */
static void one_level(void)
{
    static const float x_next[2] = { 0.15f, -0.1f };
    drl_schedule s = mix_schedule();
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int r, t;
    for (r = 0; r < 2; ++r)
        for (t = 0; t < MIX_LEVELS; t += MIX_LEVELS - 1) {
            const target *g = &mixtures[r];
            drl_mixture m;
            drl_energy e = energy_of(g, &s, &m);
            drl__langevin_desc d;
            uint64_t seed = 31;
            size_t n = MIX_CHAINS, size = (size_t)g->size, i;
            float *y = floats(n * size), *x = floats(n * size), *gradient = floats(n * size);
            float *work = floats(drl__langevin_work_count(ctx, size));
            int *level = (int *)malloc(n * sizeof *level);
            expected want = conditional(g, &s, t, x_next);
            char name[40];
            if (!level) exit(3);
            for (i = 0; i < n; ++i) level[i] = t;
            for (i = 0; i < n * size; ++i) y[i] = x[i] = x_next[i % size];
            memset(&d, 0, sizeof d);
            d.energy = &e;
            d.schedule = &s;
            d.level = level;
            d.steps = MIX_STEPS;
            d.noise.fill = drl__noise_counter;
            d.noise.user = &seed;
            CHECK_OK(ctx, drl__langevin(ctx, &d, (int)n, y, x, gradient, work));
            snprintf(name, sizeof name, "level %d, mixture %d", t, r);
            sample_matches(name, y, (int)n, &want);
            free(y);
            free(x);
            free(gradient);
            free(work);
            free(level);
        }
    drl_ctx_destroy(ctx);
}

/* -- energies of the test's own, and sums of energies -- */

/* F = -(y - label)^2 / 2 + cos(3 y + level) / 5, added up over the coordinates. Counts its calls and broken
 * promises (a batch that is too large, no levels), and fails at the call that is asked for. */
typedef struct own {
    size_t size;
    int batch;
    int calls, most;                    /* calls of own_eval, and the largest batch among them */
    int proposals;                      /* calls of own_propose */
    int seen_label;                     /* the last label seen, -1 without labels */
    int broken;                         /* calls that break a promise */
    int fail_at, propose_fail_at;       /* number of the call that fails; 0: none */
    int nan_at;                         /* number of the call whose last gradient has a NaN; 0: none */
} own;

static drl_status own_eval(void *user, int n, const float *y, const int *level, const int *label,
                           float *f, float *gradient)
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
            size_t at = (size_t)i * o->size + j;
            double v = (double)y[at];
            sum += -0.5 * (v - c) * (v - c) + 0.2 * cos(3 * v + level[i]);
            if (gradient) gradient[at] = (float)(c - v - 0.6 * sin(3 * v + level[i]));
        }
        o->seen_label = label ? label[i] : -1;
        if (f) f[i] = (float)sum;
        if (gradient && o->calls == o->nan_at && i == n - 1) gradient[(size_t)i * o->size] = (float)NAN;
    }
    return DRL_OK;
}

/* Where chains start, for tests with proposals: at mean 0.8 x + label / 10 - level / 20. */
static drl_status own_propose(void *user, int n, const float *x_next, const int *level, const int *label,
                              float *mean)
{
    own *o = (own *)user;
    int i;
    size_t j;
    ++o->proposals;
    if (n < 1 || n > o->batch || !level) ++o->broken;
    if (o->proposals == o->propose_fail_at) return DRL_E_IO;
    for (i = 0; i < n; ++i)
        for (j = 0; j < o->size; ++j) {
            size_t at = (size_t)i * o->size + j;
            mean[at] = (float)(0.8 * (double)x_next[at] + 0.1 * (label ? label[i] : 0) - 0.05 * level[i]);
        }
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

/* got [n] is wa a + wb b; 1e-6 is some roundings of float. */
static void is_weighted(const char *what, const float *got, int n, double wa, const float *a,
                        double wb, const float *b)
{
    int i;
    for (i = 0; i < n; ++i) {
        double part_a = wa * (double)a[i], part_b = wb * (double)b[i];
        CHECK(fabs((double)got[i] - (part_a + part_b)) <= 1e-6 * (fabs(part_a) + fabs(part_b)),
              "%s %d is %g, not %g", what, i, (double)got[i], part_a + part_b);
    }
}

static const int sum_level[3] = { 0, 2, 1 }, sum_label[3] = { 1, 2, 3 };

/* Composition with a negative weight, 1.5 F_a - 0.5 F_b; then that sum, doubled, as a term of another one. */
static void sums_of_sums(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    drl_mixture m;
    own o1, o2;
    drl_energy mix = energy_of(&mixtures[1], &s, &m), label = own_energy(&o1, 2, 7);
    drl_energy smaller = own_energy(&o2, 2, 3), e, nested;
    drl_sum_term terms[2];
    drl_sum *sum = NULL, *outer = NULL;
    float y[6], fa[3], ga[6], fb[3], gb[6], f[3], gradient[6], alone[3];
    int i;
    for (i = 0; i < 6; ++i) y[i] = (float)real(-1, 1);
    mix.eval(mix.user, 3, y, sum_level, sum_label, fa, ga);
    label.eval(label.user, 3, y, sum_level, sum_label, fb, gb);

    memset(terms, 0, sizeof terms);
    terms[0].energy = mix;
    terms[0].weight = 1.5f;
    terms[1].energy = label;
    terms[1].weight = -0.5f;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    CHECK(e.size == 2 && e.batch == 7, "size %d, batch %d", (int)e.size, e.batch);
    CHECK(e.eval(e.user, 3, y, sum_level, sum_label, f, gradient) == DRL_OK, "sum");
    is_weighted("F", f, 3, 1.5, fa, -0.5, fb);
    is_weighted("gradient", gradient, 6, 1.5, ga, -0.5, gb);
    CHECK(e.eval(e.user, 3, y, sum_level, sum_label, alone, NULL) == DRL_OK, "the value alone");
    CHECK(!memcmp(f, alone, sizeof f), "the value alone has other bits");

    terms[0].energy = e;
    terms[0].weight = 2;
    terms[1].energy = smaller;          /* the function of `label` with another batch, so together 3 F_a */
    terms[1].weight = 1;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &outer));
    nested = drl_sum_energy(outer);
    CHECK(nested.batch == 3, "the batch is %d, not the smallest of all", nested.batch);
    CHECK(nested.eval(nested.user, 3, y, sum_level, sum_label, f, gradient) == DRL_OK, "nested");
    for (i = 0; i < 6; ++i) {
        double want = 3 * (double)ga[i], terms_size = 3 * fabs((double)ga[i]) + 2 * fabs((double)gb[i]);
        CHECK(fabs((double)gradient[i] - want) <= 1e-6 * terms_size, "gradient of a nested sum: %g, not %g",
              (double)gradient[i], want);
    }
    CHECK(o1.broken == 0 && o2.broken == 0, "an energy was called with a wrong batch");
    drl_sum_destroy(outer);
    drl_sum_destroy(sum);
    drl_sum_destroy(NULL);
    drl_ctx_destroy(ctx);
}

/* Guidance as a sum: 2.5 F(y; label) - 1.5 F(y; 0), where the second term has label 0 whatever the caller's
 * labels are. Both terms are one energy, so their points are evaluated as one batch, as far as it goes. */
static void sums_with_labels(void)
{
    static const int none[3] = { 0, 0, 0 }, many_levels[7] = { 0 }, many_labels[7] = { 0 };
    static const float many[14] = { 0 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own o;
    drl_energy label = own_energy(&o, 2, 7), e;
    drl_sum_term terms[2];
    drl_sum *sum = NULL;
    float y[6], f_label[3], g_label[6], f_none[3], g_none[6], f[3], gradient[6], many_f[7];
    int i;
    for (i = 0; i < 6; ++i) y[i] = (float)real(-1, 1);
    memset(terms, 0, sizeof terms);
    terms[0].energy = terms[1].energy = label;
    terms[0].weight = 2.5f;
    terms[1].weight = -1.5f;
    terms[1].use_label = 1;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    CHECK(e.eval(e.user, 3, y, sum_level, sum_label, f, gradient) == DRL_OK, "sum");
    CHECK(o.seen_label == 0, "the second term saw label %d", o.seen_label);
    CHECK(o.most == 6 && !o.broken, "both terms of 3 points are one batch of 6, not of %d", o.most);
    label.eval(label.user, 3, y, sum_level, sum_label, f_label, g_label);
    label.eval(label.user, 3, y, sum_level, none, f_none, g_none);
    is_weighted("guided F", f, 3, 2.5, f_label, -1.5, f_none);
    is_weighted("guided gradient", gradient, 6, 2.5, g_label, -1.5, g_none);
    CHECK(e.eval(e.user, 1, y, sum_level, NULL, NULL, gradient) == DRL_OK, "a caller without labels");
    CHECK(o.seen_label == 0, "the second term saw label %d without one from the caller", o.seen_label);
    o.fail_at = o.calls + 2;
    CHECK(e.eval(e.user, 7, many, many_levels, many_labels, many_f, NULL) == DRL_E_IO,
          "the second piece of 14 points fails");
    drl_sum_destroy(sum);
    drl_ctx_destroy(ctx);
}

static void sums_refused(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own o;
    drl_sum_term terms[2];
    drl_sum *sum = NULL;
    memset(terms, 0, sizeof terms);
    terms[0].energy = terms[1].energy = own_energy(&o, 2, 7);
    terms[0].weight = terms[1].weight = 1;
    terms[1].energy.size = 3;
    REFUSED(ctx, drl_sum_create(ctx, terms, 2, &sum), DRL_E_SHAPE);
    REFUSED(ctx, drl_sum_create(ctx, terms, 0, &sum), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sum_create(ctx, NULL, 2, &sum), DRL_E_ARGUMENT);
    terms[0].energy.eval = NULL;
    REFUSED(ctx, drl_sum_create(ctx, terms, 1, &sum), DRL_E_ARGUMENT);
    CHECK(!sum, "a refused sum was returned");
    drl_ctx_destroy(ctx);
}

#define SUM_POINTS 9
#define SUM_SIZE   5
#define SUM_FLOATS (SUM_POINTS * SUM_SIZE)

/* Five terms: the first, third and fifth are one energy (`guided`), the second, a mixture, has no proposal.
 * The last three have labels of their own. */
typedef struct five_terms {
    own guided, other;
    drl_mixture mixture;
    drl_sum_term term[5];
    float y[SUM_FLOATS];
    int level[SUM_POINTS], label[SUM_POINTS];
    float f[SUM_POINTS], gradient[SUM_FLOATS];          /* what the sum has said of all points */
} five_terms;

static void five_terms_make(five_terms *t, const target *g, const drl_schedule *s, int batch)
{
    static const float weights[5] = { 1.25f, 0.5f, -0.75f, 2.0f, -1.5f };
    drl_energy guided = own_energy(&t->guided, SUM_SIZE, batch), other = own_energy(&t->other, SUM_SIZE, 9);
    int i, k;
    guided.propose = other.propose = own_propose;
    memset(t->term, 0, sizeof t->term);
    for (k = 0; k < 5; ++k) {
        t->term[k].energy = guided;
        t->term[k].weight = weights[k];
        t->term[k].use_label = k >= 2;
    }
    t->term[1].energy = energy_of(g, s, &t->mixture);
    t->term[3].energy = other;
    t->term[2].label = 4;
    t->term[3].label = 2;
    test_seed = 5;                      /* the same points for every batch and set */
    for (i = 0; i < SUM_FLOATS; ++i) t->y[i] = (float)real(-1, 1);
    for (i = 0; i < SUM_POINTS; ++i) {
        t->level[i] = i % MIX_LEVELS;
        t->label[i] = i % 4;
    }
}

/* The sum e of the first n points against its terms, each evaluated alone and added up in double; bounds are
 * some roundings of float. `guided` is asked for 3 n points in as few batches as they fit into. */
static void five_terms_agree(five_terms *t, const drl_energy *e, int n)
{
    double want_f[SUM_POINTS] = { 0 }, size_f[SUM_POINTS] = { 0 };
    double want[SUM_FLOATS] = { 0 }, want_mean[SUM_FLOATS] = { 0 };
    float part_f[SUM_POINTS], part[SUM_FLOATS], mean[SUM_FLOATS];
    int label[SUM_POINTS], batch = t->guided.batch, calls, i, k;
    for (k = 0; k < 5; ++k) {
        const drl_energy *one = &t->term[k].energy;
        double weight = (double)t->term[k].weight;
        for (i = 0; i < n; ++i) label[i] = t->term[k].use_label ? t->term[k].label : t->label[i];
        one->eval(one->user, n, t->y, t->level, label, part_f, part);
        for (i = 0; i < n; ++i) want_f[i] += weight * (double)part_f[i];
        for (i = 0; i < n; ++i) size_f[i] += fabs(weight * (double)part_f[i]);
        for (i = 0; i < n * SUM_SIZE; ++i) want[i] += weight * (double)part[i];
        if (!one->propose) continue;
        one->propose(one->user, n, t->y, t->level, label, part);
        for (i = 0; i < n * SUM_SIZE; ++i) want_mean[i] += weight * (double)part[i];
    }
    calls = t->guided.calls;
    t->guided.most = 0;
    CHECK(e->eval(e->user, n, t->y, t->level, t->label, t->f, t->gradient) == DRL_OK, "%d points", n);
    CHECK(t->guided.calls - calls == (3 * n + batch - 1) / batch, "%d points thrice, batch %d: %d calls",
          n, batch, t->guided.calls - calls);
    CHECK(t->guided.most == (3 * n < batch ? 3 * n : batch), "%d points thrice, batch %d: calls of %d",
          n, batch, t->guided.most);
    CHECK(e->propose(e->user, n, t->y, t->level, t->label, mean) == DRL_OK, "proposals for %d points", n);
    for (i = 0; i < n; ++i)
        CHECK(fabs((double)t->f[i] - want_f[i]) <= 1e-6 * size_f[i] + 1e-6, "F %g, should be %g",
              (double)t->f[i], want_f[i]);
    for (i = 0; i < n * SUM_SIZE; ++i) {
        CHECK(fabs((double)t->gradient[i] - want[i]) <= 3e-6 * (10 + fabs(want[i])),
              "gradient %g, should be %g", (double)t->gradient[i], want[i]);
        CHECK(fabs((double)mean[i] - want_mean[i]) <= 1e-5, "proposal %g, should be %g",
              (double)mean[i], want_mean[i]);
    }
    memset(part_f, 0xff, sizeof part_f);
    CHECK(e->eval(e->user, n, t->y, t->level, t->label, part_f, NULL) == DRL_OK, "the value alone");
    CHECK(!memcmp(part_f, t->f, (size_t)n * sizeof *part_f), "the value alone has other bits");
    CHECK(e->eval(e->user, n, t->y, t->level, t->label, NULL, part) == DRL_OK, "the gradient alone");
    CHECK(!memcmp(part, t->gradient, (size_t)n * SUM_SIZE * sizeof *part), "the gradient alone: other bits");
}

/* Any batch of the shared energy, every number of points, every instruction set; fused sets give the same
 * bits whatever the batch. */
static void shared_terms(void)
{
    static const drl_isa sets[] = {
        DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON,
        DRL_ISA_SSE2, DRL_ISA_WASM
    };
    static const int batches[6] = { 9, 10, 13, 18, 27, 1000 };
    drl_schedule s = mix_schedule();
    target g = { 2, SUM_SIZE, { 0.4, 0.6 }, { 0 }, { 0 } };
    float first_f[SUM_POINTS], first_gradient[SUM_FLOATS];
    int set, b, n, i, k, have_first = 0;
    for (i = 0; i < 2 * SUM_SIZE; ++i) {
        g.mean[i] = real(-1, 1);
        g.variance[i] = real(0.1, 1);
    }
    for (set = 0; set < (int)DRL__COUNT(sets); ++set) for (b = 0; b < 6; ++b) {
        drl_ctx *ctx = context(sets[set], 1, NULL);
        five_terms t;
        drl_sum *sum = NULL;
        drl_energy e;
        if (!ctx) continue;
        five_terms_make(&t, &g, &s, batches[b]);
        CHECK_OK(ctx, drl_sum_create(ctx, t.term, 5, &sum));
        if (!sum) exit(3);
        e = drl_sum_energy(sum);
        CHECK(e.batch == 9 && e.propose, "batch %d", e.batch);
        for (n = 1; n <= SUM_POINTS; ++n) five_terms_agree(&t, &e, n);
        if (!UNFUSED(sets[set]) && !have_first) {
            memcpy(first_f, t.f, sizeof t.f);
            memcpy(first_gradient, t.gradient, sizeof t.gradient);
            have_first = 1;
        }
        if (!UNFUSED(sets[set])) {
            int same = !memcmp(first_f, t.f, sizeof t.f);
            same = same && !memcmp(first_gradient, t.gradient, sizeof t.gradient);
            CHECK(same, "%s, batch %d: other bits", drl_isa_name(sets[set]), batches[b]);
        }
        CHECK(e.eval(e.user, 1, t.y, t.level, NULL, t.f, t.gradient) == DRL_OK, "no labels");
        CHECK(!t.guided.broken && !t.other.broken, "an energy was called with a wrong batch");
        drl_sum_destroy(sum);

        sum = NULL;                     /* where no term proposes, the sum does not either */
        for (k = 0; k < 5; ++k) t.term[k].energy.propose = NULL;
        CHECK_OK(ctx, drl_sum_create(ctx, t.term, 5, &sum));
        CHECK(!drl_sum_energy(sum).propose, "a proposal from nowhere");
        drl_sum_destroy(sum);
        drl_ctx_destroy(ctx);
    }
}

/* -- the sampler as an object -- */

#define OBJ_COUNT  5
#define OBJ_SIZE   19
#define OBJ_STEPS  5
#define OBJ_FLOATS (OBJ_COUNT * OBJ_SIZE)
#define OBJ_TOTAL  (MIX_LEVELS * OBJ_STEPS)     /* steps of a whole run */
static const int obj_labels[OBJ_COUNT] = { 0, 3, 1, 2, 5 };

static int cooperative;         /* nonzero: the tests below use guidance, proposals and the denoising step */
static int inpainting;          /* nonzero: and hold a part of each image */
static float   obj_known[OBJ_FLOATS];
static uint8_t obj_mask[OBJ_FLOATS];            /* nothing of image 0, all of image 1, a part of the others */

static void obj_fill(void)
{
    int i, image;
    for (i = 0; i < OBJ_FLOATS; ++i) {
        image = i / OBJ_SIZE;
        obj_known[i] = (float)real(-1, 1);
        obj_mask[i] = image == 1;
        if (image > 1 && real(0, 1) < 0.4) obj_mask[i] = i % 3 == 0 ? 255 : 2;      /* any nonzero value */
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
    how.count = OBJ_COUNT;
    how.seed = 77;
    how.steps = OBJ_STEPS;
    how.labels = obj_labels;
    if (cooperative) {
        how.guidance = 1.5f;
        how.denoise = 2;
    }
    if (inpainting) {
        how.known = obj_known;
        how.mask = obj_mask;
    }
    return how;
}

/* What the tests of samplers start from. */
typedef struct setup {
    drl_ctx *ctx;
    drl_schedule schedule;
    own o;                              /* calls of `energy`, and where it fails */
    drl_energy energy;                  /* own_eval, unless a test changes it */
    drl_sample_desc how;
} setup;

static void setup_begin(setup *u, size_t size, int batch)
{
    u->ctx = context(DRL_ISA_AUTO, 1, NULL);
    u->schedule = mix_schedule();
    u->energy = obj_energy(&u->o, size, batch);
    u->how = obj_desc();
}

static void setup_end(setup *u)
{
    CHECK(u->o.broken == 0, "the energy was called with a wrong batch");
    drl_ctx_destroy(u->ctx);
}

static drl_sampler *sampler_of(setup *u)
{
    drl_sampler *sampler = NULL;
    CHECK_OK(u->ctx, drl_sampler_create_energy(u->ctx, &u->energy, &u->schedule, &u->how, &sampler));
    if (!sampler) exit(3);
    return sampler;
}

/* Creating a sampler of the set-up as it is now fails with this status. */
#define CREATE_REFUSED(u, want)                                                                             \
    do {                                                                                                    \
        drl_sampler *refused_ = NULL;                                                                       \
        REFUSED((u)->ctx, drl_sampler_create_energy((u)->ctx, &(u)->energy, &(u)->schedule, &(u)->how,      \
                                                    &refused_), want);                                      \
        CHECK(!refused_, "a refused sampler was returned");                                                 \
    } while (0)

#define RUNS_TO_THE_END(ctx, sampler) \
    CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_OK, "%s", drl_ctx_message(ctx))

static void images_of(const drl_sampler *sampler, int count, size_t size, float *out)
{
    int i;
    for (i = 0; i < count; ++i)
        CHECK(drl_sampler_image(sampler, i, out + (size_t)i * size) == DRL_OK, "image %d", i);
}

/* The images of a whole run, out [count * size]. */
static void sample_all(setup *u, float *out)
{
    drl_sampler *sampler = sampler_of(u);
    RUNS_TO_THE_END(u->ctx, sampler);
    images_of(sampler, u->how.count ? u->how.count : 1, u->energy.size, out);
    drl_sampler_destroy(sampler);
}

/* Slices of any length: after each one the steps left and the level are right, and the end has the bits of a
 * run at once. */
static void slices(void)
{
    setup u;
    drl_sampler *sampler;
    float want[OBJ_FLOATS], got[OBJ_FLOATS];
    int slice, done;
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    CHECK(drl_sampler_steps_left(sampler) == OBJ_TOTAL, "%d steps left", drl_sampler_steps_left(sampler));
    CHECK(drl_sampler_level(sampler) == MIX_LEVELS - 1, "at level %d", drl_sampler_level(sampler));
    CHECK(drl_sampler_run(sampler, 0) == DRL_RUNNING, "no step is not the end");
    RUNS_TO_THE_END(u.ctx, sampler);
    CHECK(drl_sampler_run(sampler, 5) == DRL_OK, "%s", drl_ctx_message(u.ctx));
    CHECK(drl_sampler_steps_left(sampler) == 0, "%d steps left", drl_sampler_steps_left(sampler));
    CHECK(drl_sampler_level(sampler) == -1, "at level %d", drl_sampler_level(sampler));
    images_of(sampler, OBJ_COUNT, OBJ_SIZE, want);
    drl_sampler_destroy(sampler);
    for (slice = 1; slice <= OBJ_TOTAL + 1; slice += slice < 8 ? 1 : 5) {
        sampler = sampler_of(&u);
        for (done = 0; done < OBJ_TOTAL; done += slice) {
            drl_status status = drl_sampler_run(sampler, slice);
            int left = done + slice < OBJ_TOTAL ? OBJ_TOTAL - done - slice : 0;
            int level = left ? (left - 1) / OBJ_STEPS : -1;
            CHECK(status == (left ? DRL_RUNNING : DRL_OK), "slices of %d: status %d", slice, (int)status);
            CHECK(drl_sampler_steps_left(sampler) == left, "slices of %d: %d steps left, not %d",
                  slice, drl_sampler_steps_left(sampler), left);
            CHECK(drl_sampler_level(sampler) == level, "slices of %d: level %d, not %d",
                  slice, drl_sampler_level(sampler), level);
        }
        images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, sizeof want), "slices of %d give other bits", slice);
        drl_sampler_destroy(sampler);
    }
    setup_end(&u);
}

/* Saved after every step, and restored into a fresh sampler and into one that is elsewhere: both stand where
 * the saved one stands, with its images, and end with the same bits. */
static void states_restored(void)
{
    setup u;
    drl_sampler *saved, *finished, *other;
    float want[OBJ_FLOATS], before[OBJ_FLOATS], got[OBJ_FLOATS];
    int done, i;
    setup_begin(&u, OBJ_SIZE, 1000);
    finished = sampler_of(&u);
    RUNS_TO_THE_END(u.ctx, finished);
    images_of(finished, OBJ_COUNT, OBJ_SIZE, want);
    saved = sampler_of(&u);
    for (done = 0; done <= OBJ_TOTAL; ++done) {
        saved_state now = state_of_sampler(saved);
        for (i = 0; i < 2; ++i) {
            other = i ? finished : sampler_of(&u);
            CHECK_OK(u.ctx, drl_sampler_restore(other, now.bytes, now.size));
            CHECK(drl_sampler_steps_left(other) == OBJ_TOTAL - done, "restored at step %d: %d left",
                  done, drl_sampler_steps_left(other));
            CHECK(drl_sampler_level(other) == drl_sampler_level(saved), "restored at step %d: level %d",
                  done, drl_sampler_level(other));
            images_of(saved, OBJ_COUNT, OBJ_SIZE, before);
            images_of(other, OBJ_COUNT, OBJ_SIZE, got);
            CHECK(!memcmp(before, got, sizeof got), "restored at step %d: other images", done);
            RUNS_TO_THE_END(u.ctx, other);
            images_of(other, OBJ_COUNT, OBJ_SIZE, got);
            CHECK(!memcmp(want, got, sizeof got), "restored at step %d: other results", done);
            if (!i) drl_sampler_destroy(other);
        }
        state_free(&now);
        drl_sampler_run(saved, 1);
    }
    drl_sampler_destroy(saved);
    drl_sampler_destroy(finished);
    setup_end(&u);
}

/* The sampler refuses a state, and is as it was. Frees the state. */
static void state_refused(drl_ctx *ctx, drl_sampler *sampler, saved_state bad, const char *sentence)
{
    saved_state before = state_of_sampler(sampler), after;
    drl_ctx_clear(ctx);
    CHECK(drl_sampler_restore(sampler, bad.bytes, bad.size) == DRL_E_FORMAT &&
          strstr(drl_ctx_message(ctx), sentence), "'%s' has no '%s'", drl_ctx_message(ctx), sentence);
    drl_ctx_clear(ctx);
    after = state_of_sampler(sampler);
    CHECK(states_equal(&before, &after), "a refused state (%s) has changed the sampler", sentence);
    state_free(&before);
    state_free(&after);
    state_free(&bad);
}

/* Every field and every tensor that says what a sampler was made from has to be that sampler's. */
static void states_refused(void)
{
    static const char *const tensors[] = {
        "schedule.a", "schedule.s", "schedule.sbar", "labels", "known", "mask"
    };
    setup u;
    drl_sampler *sampler;
    saved_state now, bad;
    char sentence[160];
    size_t k;
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    drl_sampler_run(sampler, 7);
    now = state_of_sampler(sampler);
    for (k = 0; k + DRL__SAMPLER_POSITION < DRL__COUNT(drl__sampler_state_fields); ++k) {
        const char *field = drl__sampler_state_fields[k].name;
        snprintf(sentence, sizeof sentence, "the state has %s=91; it has to have %s=", field, field);
        state_refused(u.ctx, sampler, state_with_field(&now, field, "91"), sentence);
    }
    for (k = 0; k < DRL__COUNT(tensors); ++k) {
        if (k >= 4 && !inpainting) continue;
        bad = state_copy(&now);
        state_tensor(u.ctx, &bad, tensors[k])[0] ^= 1;
        snprintf(sentence, sizeof sentence, "'%s' has other numbers", tensors[k]);
        state_refused(u.ctx, sampler, bad, sentence);
    }
    state_refused(u.ctx, sampler, state_with(&now, "\"x_next\"", "\"x_last\""), "'x_next' is missing");
    state_refused(u.ctx, sampler, state_with(&now, "[5,19]", "[19,5]"), "or of another type or shape");
    state_refused(u.ctx, sampler, state_with(&now, "I32", "U32"), "'labels' is missing, or of another");
    state_refused(u.ctx, sampler, state_with(&now, "drl.sampler", "drl.mcmc"), "no \"drl.sampler\"");
    state_refused(u.ctx, sampler, state_with(&now, "first=0 ", ""), "a malformed \"drl.sampler\"");
    drl_sampler_destroy(sampler);
    state_free(&now);
    setup_end(&u);
}

/* Places where no sampler can be, and pixels that are not finite. */
static void states_impossible(void)
{
    static const unsigned char numbers[2][4] = { { 0, 0, 0x80, 0x7f }, { 0, 0, 0xc0, 0x7f } };
    static const char *const images[2] = { "y", "x_next" };
    setup u, v;
    drl_sampler *sampler, *strided;
    saved_state now, bad;
    char level[16], sentence[80];
    int i;
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    drl_sampler_run(sampler, 7);
    now = state_of_sampler(sampler);
    snprintf(level, sizeof level, "%d", MIX_LEVELS);
    snprintf(sentence, sizeof sentence, "level is %d; -1 to %d are possible", MIX_LEVELS, MIX_LEVELS - 1);
    state_refused(u.ctx, sampler, state_with_field(&now, "level", level), sentence);
    state_refused(u.ctx, sampler, state_with_field(&now, "level", "-2"), "level is -2; -1 to");
    state_refused(u.ctx, sampler, state_with_field(&now, "level", "-1"), "step is 2 at level -1; 0 to 0 are");
    state_refused(u.ctx, sampler, state_with_field(&now, "step", "5"), "0 to 4 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "step", "-1"), "step is -1 at level ");
    state_refused(u.ctx, sampler, state_with_field(&now, "step", "2147483648"), "a malformed");
    v = u;
    v.how.stride = 3;
    strided = sampler_of(&v);
    bad = state_of_sampler(strided);
    state_refused(u.ctx, strided, state_with_field(&bad, "level", "1"),
                  "level is 1, which the stride, 3, leaves out");
    state_free(&bad);
    drl_sampler_destroy(strided);
    for (i = 0; i < 4; ++i) {
        bad = state_copy(&now);
        memcpy(state_tensor(u.ctx, &bad, images[i / 2]) + 4 * (OBJ_FLOATS - 1), numbers[i % 2], 4);
        snprintf(sentence, sizeof sentence, "'%s' has numbers that are not finite", images[i / 2]);
        state_refused(u.ctx, sampler, bad, sentence);
    }
    drl_sampler_destroy(sampler);
    state_free(&now);
    setup_end(&u);
}

/* A state of any other length, and one with any other byte in front of its images: refused, or a state that
 * the sampler can have. In the end the sampler goes on as if nothing had been. */
static void states_damaged(void)
{
    setup u;
    drl_sampler *sampler;
    float want[OBJ_FLOATS], got[OBJ_FLOATS];
    saved_state now, bad;
    size_t i, taken = 0;
    setup_begin(&u, OBJ_SIZE, 1000);
    sample_all(&u, want);
    sampler = sampler_of(&u);
    drl_sampler_run(sampler, 7);
    now = state_of_sampler(sampler);
    REFUSED(u.ctx, drl_sampler_save(sampler, now.bytes, now.size - 1, &check_written), DRL_E_SHAPE);
    REFUSED(u.ctx, drl_sampler_save(sampler, NULL, now.size, &check_written), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_restore(sampler, NULL, now.size), DRL_E_ARGUMENT);
    for (i = 0; i < now.size; i += i < 100 ? 1 : 37)
        REFUSED(u.ctx, drl_sampler_restore(sampler, now.bytes, i), DRL_E_FORMAT);
    bad = state_room(now.size + 4);
    memset(bad.bytes, 0, bad.size);
    memcpy(bad.bytes, now.bytes, now.size);
    REFUSED(u.ctx, drl_sampler_restore(sampler, bad.bytes, bad.size), DRL_E_FORMAT);
    state_free(&bad);
    bad = state_copy(&now);
    for (i = 0; i < state_header(&now); ++i) {
        bad.bytes[i] ^= 1;
        if (drl_sampler_restore(sampler, bad.bytes, bad.size) == DRL_OK) {
            ++taken;
            CHECK_OK(u.ctx, drl_sampler_restore(sampler, now.bytes, now.size));
        } else CHECK(drl_ctx_status(u.ctx) == DRL_E_FORMAT && drl_ctx_message(u.ctx)[0],
                     "byte %d: %s", (int)i, drl_ctx_message(u.ctx));
        drl_ctx_clear(u.ctx);
        bad.bytes[i] ^= 1;
    }
    CHECK(taken <= 2, "%d states with another byte are taken", (int)taken);     /* of another level or step */
    RUNS_TO_THE_END(u.ctx, sampler);
    images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
    CHECK(!memcmp(want, got, sizeof got), "a refused state has changed the result");
    drl_sampler_destroy(sampler);
    state_free(&bad);
    state_free(&now);
    setup_end(&u);
}

/* Changes the set-up's description, energy or schedule in the way number i; 0 where this way changes nothing.
 * known and mask [OBJ_FLOATS] are for its use. */
static int describe_otherwise(setup *u, int i, float *known, uint8_t *mask)
{
    static const int other_labels[OBJ_COUNT] = { 0, 3, 1, 2, 4 };
    memcpy(known, obj_known, OBJ_FLOATS * sizeof *known);
    memcpy(mask, obj_mask, OBJ_FLOATS * sizeof *mask);
    switch (i) {
    case 0: u->how.seed ^= (uint64_t)1 << 40; return 1;
    case 1: u->how.first = 1; return 1;
    case 2: u->how.noise_scale = 0.5f; return 1;
    case 3: u->how.labels = other_labels; return 1;
    case 4: u->how.labels = NULL; return 1;
    case 5: u->schedule.b2 *= 2; return 1;
    case 6: u->how.steps = OBJ_STEPS + 1; return 1;
    case 7: u->how.guidance += 0.25f; return 1;
    case 8: u->how.denoise += 1; return 1;
    case 9: u->energy.propose = u->energy.propose ? NULL : own_propose; return 1;
    case 10: known[2 * OBJ_SIZE - 1] += 0.25f; break;
    case 11: mask[3] = 1; break;
    case 12:                                        /* nothing is known, or something where nothing was */
        if (!inpainting) break;
        u->how.known = NULL;
        u->how.mask = NULL;
        return 1;
    case 13: u->how.guidance_from = 1; return cooperative;
    case 14: u->how.guidance_to = 1; return cooperative;
    case 15: u->how.steps = -1; return 1;
    case 16: u->how.no_chain = 1; return u->energy.propose != NULL;
    case 17:
        u->how.resample_from = other_labels + 1;
        u->how.resample_count = 1;
        return 1;
    case 18: u->how.stride = 2; return 1;
    case 19: u->how.proposal = DRL_PROPOSAL_SCORE; return 1;
    case 20: u->how.b2 = 1.5 * u->schedule.b2; return 1;
    }
    u->how.known = known;
    u->how.mask = mask;
    return 1;
}

/* A sampler of another description refuses a state. One whose description differs in what is not used takes
 * it: in a known image where nothing is held, in the levels of a guidance that there is not. */
static void states_of_others(void)
{
    setup u, v;
    drl_sampler *sampler;
    float known[OBJ_FLOATS];
    uint8_t mask[OBJ_FLOATS];
    saved_state now;
    int i;
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    drl_sampler_run(sampler, 7);
    now = state_of_sampler(sampler);
    drl_sampler_destroy(sampler);
    for (i = 0; i < 21; ++i) {
        v = u;
        if (!describe_otherwise(&v, i, known, mask)) continue;
        sampler = sampler_of(&v);
        CHECK(drl_sampler_restore(sampler, now.bytes, now.size) == DRL_E_FORMAT,
              "a sampler of another description (%d) takes the state", i);
        drl_ctx_clear(u.ctx);
        drl_sampler_destroy(sampler);
    }
    v = u;
    if (!cooperative) v.how.guidance_from = 1;
    if (inpainting) {
        memcpy(known, obj_known, sizeof known);
        memcpy(mask, obj_mask, sizeof mask);
        known[0] = 0.75f;
        mask[OBJ_SIZE] = 3;
        v.how.known = known;
        v.how.mask = mask;
    }
    sampler = sampler_of(&v);
    CHECK_OK(u.ctx, drl_sampler_restore(sampler, now.bytes, now.size));
    drl_sampler_destroy(sampler);
    state_free(&now);
    setup_end(&u);
}

/* -- passes from lower levels -- */

enum { PASSES = 4, PASS_LEVELS = MIX_LEVELS + 3 + MIX_LEVELS + 1 + 1 };  /* of the first and the others */
static const int pass_from[PASSES] = { 3, MIX_LEVELS, 1, 1 };
static float pass_want[PASSES + 1][OBJ_FLOATS]; /* x_0 of each pass */

/* pass_want <- the passes by hand, a sampler each: noise on the result of one is the start of the next. */
static void passes_by_hand(setup u)
{
    float start[OBJ_FLOATS];
    int pass, i, j;
    for (pass = 0; ; ++pass) {
        float *x = pass_want[pass];
        sample_all(&u, x);
        if (pass == PASSES) return;
        for (i = 0; i < OBJ_COUNT; ++i) {
            float *y = start + i * OBJ_SIZE;
            int t = pass_from[pass];
            drl_rng rng;
            rng.seed = u.how.seed;
            rng.stream = (uint64_t)(u.how.first + i) << 32 | 0xffffffffu;
            rng.position = 0;
            drl_rng_normals(u.ctx, &rng, y, OBJ_SIZE);
            for (j = 0; j < OBJ_SIZE; ++j) {
                float signal = drl__rounded((double)(float)u.schedule.abar[t] * (double)x[i * OBJ_SIZE + j]);
                y[j] = signal + drl__rounded((double)(float)u.schedule.sbar[t] * (double)y[j]);
            }
        }
        u.how.start = start;
        u.how.from_level = pass_from[pass];
        u.how.seed += 0x9e3779b9u;
    }
}

static void passes_begin(setup *u)
{
    setup_begin(u, OBJ_SIZE, 3);
    u->how.first = 2;
    passes_by_hand(*u);
    u->how.resample_from = pass_from;
    u->how.resample_count = PASSES;
}

/* Whether the sampler stands `done` steps after the beginning of all passes. */
static void pass_is_at(const drl_sampler *sampler, int done)
{
    int pass = 0, levels = MIX_LEVELS, left = PASS_LEVELS * OBJ_STEPS - done, level = -1, j;
    float x[OBJ_FLOATS], y[OBJ_SIZE];
    CHECK(drl_sampler_steps_left(sampler) == left, "after %d steps %d are left, not %d",
          done, drl_sampler_steps_left(sampler), left);
    for (; pass < PASSES && done >= levels * OBJ_STEPS; ++pass) {
        done -= levels * OBJ_STEPS;
        levels = pass_from[pass];
    }
    if (left) level = levels - 1 - done / OBJ_STEPS;
    CHECK(drl_sampler_level(sampler) == level, "step %d of pass %d: level %d, not %d",
          done, pass, drl_sampler_level(sampler), level);
    if (left && (done || !pass)) return;            /* else a pass has ended */
    if (left) --pass;
    images_of(sampler, OBJ_COUNT, OBJ_SIZE, x);
    CHECK(!memcmp(x, pass_want[pass], sizeof x), "pass %d has other images than by hand", pass);
    CHECK(drl_sampler_point(sampler, 0, y) == DRL_OK, "a point of pass %d", pass);
    for (j = 0; j < OBJ_SIZE; ++j) {
        double want = mix_schedule().a[1] * (double)x[j];
        CHECK(fabs((double)y[j] - want) <= 1e-6 * fabs(want), "pass %d: y_0 is %g, not %g",
              pass, (double)y[j], want);
    }
}

/* In slices of any length: where a pass ends, x_0 is that by hand. */
static void passes(void)
{
    setup u;
    drl_sampler *sampler;
    int from[PASSES], slice, done;
    passes_begin(&u);
    for (slice = 1; slice <= PASS_LEVELS * OBJ_STEPS + 1; slice += slice < 8 ? 1 : 7) {
        memcpy(from, pass_from, sizeof from);
        u.how.resample_from = from;
        sampler = sampler_of(&u);
        memset(from, 0, sizeof from);               /* they were copied at creation */
        pass_is_at(sampler, 0);
        for (done = 0; done < PASS_LEVELS * OBJ_STEPS; ) {
            drl_status status = drl_sampler_run(sampler, slice);
            done = done + slice < PASS_LEVELS * OBJ_STEPS ? done + slice : PASS_LEVELS * OBJ_STEPS;
            CHECK(status == (done < PASS_LEVELS * OBJ_STEPS ? DRL_RUNNING : DRL_OK),
                  "slices of %d: status %d after %d steps", slice, (int)status, done);
            pass_is_at(sampler, done);
        }
        drl_sampler_destroy(sampler);
    }
    u.how.resample_count = 0;                       /* one pass, whatever the levels are */
    sampler = sampler_of(&u);
    CHECK(drl_sampler_steps_left(sampler) == OBJ_TOTAL, "%d steps", drl_sampler_steps_left(sampler));
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* Saved after every step of every pass, and restored into a fresh sampler and into one that is done. */
static void passes_restored(void)
{
    setup u;
    drl_sampler *saved, *finished, *other;
    int done, i;
    passes_begin(&u);
    saved = sampler_of(&u);
    finished = sampler_of(&u);
    for (done = 0; done <= PASS_LEVELS * OBJ_STEPS; ++done) {
        saved_state now = state_of_sampler(saved);
        for (i = 0; i < 2; ++i) {
            other = i ? finished : sampler_of(&u);
            CHECK_OK(u.ctx, drl_sampler_restore(other, now.bytes, now.size));
            pass_is_at(other, done);
            RUNS_TO_THE_END(u.ctx, other);
            pass_is_at(other, PASS_LEVELS * OBJ_STEPS);
            if (!i) drl_sampler_destroy(other);
        }
        state_free(&now);
        drl_sampler_run(saved, 1);
    }
    drl_sampler_destroy(saved);
    drl_sampler_destroy(finished);
    setup_end(&u);
}

/* States of other passes, and places where no sampler can be. */
static void passes_refused(void)
{
    static const int other[PASSES] = { 3, MIX_LEVELS, 1, 2 };
    setup u, v;
    drl_sampler *sampler;
    saved_state now;
    passes_begin(&u);
    sampler = sampler_of(&u);
    drl_sampler_run(sampler, (MIX_LEVELS + 1) * OBJ_STEPS + 2);
    now = state_of_sampler(sampler);
    state_refused(u.ctx, sampler, state_with_field(&now, "pass", "5"), "pass is 5; 0 to 4 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "pass", "-1"), "pass is -1; 0 to 4 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "pass", "3"), "level is 1; 0 to 0 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "pass", "4"), "level is 1; -1 to 0 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "level", "-1"), "level is -1; 0 to 2 are possible");
    state_refused(u.ctx, sampler, state_with_field(&now, "level", "3"), "level is 3; 0 to 2 are possible");
    drl_sampler_destroy(sampler);
    v = u;
    v.how.resample_from = other;
    sampler = sampler_of(&v);
    state_refused(u.ctx, sampler, state_copy(&now), "'resample_from' has other numbers");
    drl_sampler_destroy(sampler);
    v.how.resample_count = 0;
    sampler = sampler_of(&v);
    state_refused(u.ctx, sampler, state_copy(&now),
                  "the state has resample_count=4; it has to have resample_count=0");
    drl_sampler_destroy(sampler);
    state_free(&now);
    setup_end(&u);
}

/* More steps a level than 16 bits hold: a state at step 70,000 of a level says where it is. */
static void states_of_many_steps(void)
{
    setup u;
    drl_sampler *sampler, *other;
    saved_state now;
    setup_begin(&u, OBJ_SIZE, 1000);
    u.how.count = 1;
    u.how.labels = NULL;
    u.how.known = NULL;
    u.how.mask = NULL;
    u.how.steps = 100000;
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run(sampler, 70000) == DRL_RUNNING, "%s", drl_ctx_message(u.ctx));
    now = state_of_sampler(sampler);
    other = sampler_of(&u);
    CHECK_OK(u.ctx, drl_sampler_restore(other, now.bytes, now.size));
    state_free(&now);
    CHECK(drl_sampler_steps_left(other) == MIX_LEVELS * 100000 - 70000, "restored at step 70000: %d left",
          drl_sampler_steps_left(other));
    CHECK(drl_sampler_level(other) == MIX_LEVELS - 1, "restored at level %d", drl_sampler_level(other));
    drl_sampler_destroy(other);
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* Images that there are not, no place for them, steps below 0, no sampler. */
static void sampler_misused(void)
{
    setup u;
    drl_sampler *sampler;
    float out[OBJ_SIZE];
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    REFUSED(u.ctx, drl_sampler_point(sampler, OBJ_COUNT, out), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_point(sampler, 0, NULL), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_image(sampler, OBJ_COUNT, out), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_image(sampler, -1, out), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_image(sampler, 0, NULL), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_run(sampler, -1), DRL_E_ARGUMENT);
    CHECK(drl_sampler_run(NULL, 1) == DRL_E_ARGUMENT, "no sampler runs");
    CHECK(drl_sampler_level(NULL) == -1, "no sampler has a level");
    CHECK(drl_sampler_steps_left(NULL) == 0, "no sampler has steps left");
    CHECK(drl_sampler_save(NULL, NULL, 0, &check_written) == DRL_E_ARGUMENT, "no sampler has a state");
    drl_sampler_destroy(sampler);
    drl_sampler_destroy(NULL);
    setup_end(&u);
}

/* A whole run on any set, with any number of threads, batch and size; 0 where this machine lacks the set. */
static int whole_run(drl_isa isa, int threads, int batch, size_t size, float *out)
{
    setup u;
    u.ctx = context(isa, threads, NULL);
    if (!u.ctx) return 0;
    u.schedule = mix_schedule();
    u.energy = obj_energy(&u.o, size, batch);
    u.how = obj_desc();
    sample_all(&u, out);
    setup_end(&u);
    return 1;
}

/* The same bits for every batch, number of threads and fused set. SSE2 rounds otherwise: 1e-5 of the images,
 * taken as one vector. */
static void same_bits_at(size_t size)
{
    static const drl_isa fused[] = {
        DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON
    };
    static const int threads[] = { 2, 3, 7 };
    size_t count = OBJ_COUNT * size, bytes = count * sizeof(float);
    float *want = floats(count), *got = floats(count);
    double error;
    int i, k;
    CHECK(whole_run(DRL_ISA_PORTABLE, 1, 1000, size, want), "portable code is always there");
    for (k = 1; k <= 4; ++k) {
        CHECK(whole_run(DRL_ISA_PORTABLE, 1, k, size, got), "batch %d", k);
        CHECK(!memcmp(want, got, bytes), "size %d: a batch of %d gives other bits", (int)size, k);
    }
    for (i = 0; i < (int)DRL__COUNT(fused); ++i) {
        if (!whole_run(fused[i], 1, 3, size, got)) continue;
        CHECK(!memcmp(want, got, bytes), "size %d: %s gives other bits", (int)size, drl_isa_name(fused[i]));
    }
    for (i = 0; i < 3; ++i) {
        jobs_nested = jobs_most = 0;
        CHECK(whole_run(DRL_ISA_AUTO, threads[i], 4, size, got), "threads %d", threads[i]);
        CHECK(!memcmp(want, got, bytes), "size %d: %d threads give other bits", (int)size, threads[i]);
        CHECK(jobs_nested == 0, "size %d, %d threads: the job system was called %d times from inside a job",
              (int)size, threads[i], jobs_nested);
        CHECK(jobs_most > 1 && jobs_most <= threads[i], "size %d: %d jobs on %d threads",
              (int)size, jobs_most, threads[i]);
    }
    if (whole_run(DRL_ISA_SSE2, 1, 3, size, got)) {
        error = check_rel_floats(got, want, count);
        CHECK(error < 1e-5, "size %d: sse2 differs by %g", (int)size, error);
    }
    free(want);
    free(got);
}

static void same_bits(void)
{
    same_bits_at(OBJ_SIZE);
    if (!inpainting) same_bits_at(20011);           /* large enough to share one image out over threads */
}

/* Each image of a batch, drawn again with one neighbour or alone, has the same bits. */
static void one_by_one(void)
{
    setup u;
    float want[OBJ_FLOATS], got[2 * OBJ_SIZE];
    int i, count;
    setup_begin(&u, OBJ_SIZE, 4);
    sample_all(&u, want);
    for (i = 0; i < OBJ_COUNT; ++i) {
        count = i + 1 < OBJ_COUNT ? 2 : 1;
        u.how.first = i;
        u.how.count = count == 1 ? 0 : count;       /* 0 means 1 */
        u.how.labels = obj_labels + i;
        sample_all(&u, got);
        CHECK(!memcmp(want + i * OBJ_SIZE, got, (size_t)count * OBJ_SIZE * sizeof *got),
              "image %d by itself has other bits", i);
    }
    setup_end(&u);
}

/* Labels reach the energy image by image: without any, and with zeros, image 0 (of label 0) is the same as
 * with obj_labels, and image 1 (of label 3) is not. Not with guidance, which needs labels. */
static void labels_matter(void)
{
    static const int zeros[OBJ_COUNT] = { 0, 0, 0, 0, 0 };
    setup u;
    float want[OBJ_FLOATS], got[OBJ_FLOATS];
    int i;
    if (cooperative) return;
    setup_begin(&u, OBJ_SIZE, 4);
    sample_all(&u, want);
    for (i = 0; i < 2; ++i) {
        u.how.labels = i ? zeros : NULL;
        sample_all(&u, got);
        CHECK(u.o.seen_label == (i ? 0 : -1), "the energy saw label %d", u.o.seen_label);
        CHECK(!memcmp(want, got, OBJ_SIZE * sizeof *got), "label 0 and no label differ");
        CHECK(memcmp(want + OBJ_SIZE, got + OBJ_SIZE, OBJ_SIZE * sizeof *got), "label 3 makes no difference");
    }
    setup_end(&u);
}

/* Noise as a function of image and draw, shifted by *user draws. */
static void shifted_noise(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    drl_rng rng;
    (void)ctx;
    rng.seed = 9;
    rng.stream = (uint64_t)image << 32 | (uint64_t)(unsigned)(draw + *(const int *)user);
    rng.position = 0;
    while (n--) *out++ = drl_rng_uniform(&rng) * 2 - 1;
}

/* Stopped at x_from, and handed over as a start with the draws that would have come: the same end. */
static void starts(void)
{
    setup u;
    drl_sampler *sampler;
    float want[OBJ_FLOATS], got[OBJ_FLOATS], x[OBJ_FLOATS];
    int shift = 0, no_shift = 0, from;
    setup_begin(&u, OBJ_SIZE, 4);
    u.how.noise.fill = shifted_noise;
    u.how.noise.user = &no_shift;
    sample_all(&u, want);
    for (from = MIX_LEVELS; from >= 1; --from) {
        u.how = obj_desc();
        u.how.noise.fill = shifted_noise;
        u.how.noise.user = &no_shift;
        sampler = sampler_of(&u);
        drl_sampler_run(sampler, (MIX_LEVELS - from) * OBJ_STEPS);
        images_of(sampler, OBJ_COUNT, OBJ_SIZE, x);
        drl_sampler_destroy(sampler);
        shift = (MIX_LEVELS - from) * (OBJ_STEPS + cooperative);        /* a proposal takes a draw, too */
        u.how.noise.user = &shift;
        u.how.start = x;
        u.how.from_level = from == MIX_LEVELS ? 0 : from;
        sampler = sampler_of(&u);
        CHECK(drl_sampler_level(sampler) == from - 1, "from %d: level %d", from, drl_sampler_level(sampler));
        CHECK(drl_sampler_steps_left(sampler) == from * OBJ_STEPS, "from %d: %d steps left",
              from, drl_sampler_steps_left(sampler));
        images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(x, got, sizeof got), "from %d: the start is not what was given", from);
        memset(x, 0, sizeof x);                     /* it was copied at creation */
        RUNS_TO_THE_END(u.ctx, sampler);
        images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, sizeof got), "from %d: other results", from);
        drl_sampler_destroy(sampler);
    }
    setup_end(&u);
}

/* Starts that are not finite, of levels that there are not, or missing. */
static void starts_refused(void)
{
    setup u;
    float x[OBJ_FLOATS] = { 0 };
    setup_begin(&u, OBJ_SIZE, 4);
    u.how.start = x;
    x[OBJ_SIZE + 3] = (float)NAN;
    CREATE_REFUSED(&u, DRL_E_NUMERIC);
    x[OBJ_SIZE + 3] = (float)-HUGE_VAL;
    CREATE_REFUSED(&u, DRL_E_NUMERIC);
    x[OBJ_SIZE + 3] = 0;
    u.how.from_level = MIX_LEVELS + 1;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how.from_level = -1;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how.from_level = 2;
    u.how.start = NULL;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    setup_end(&u);
}

/* Each description has one field that cannot be. */
static void descriptions_refused(void)
{
    static const int wrong[5][2] = {
        { -1, 0 }, { 0, MIX_LEVELS + 1 }, { 2, 2 }, { 3, 1 }, { MIX_LEVELS, 0 }
    };
    setup u;
    int k;
    setup_begin(&u, OBJ_SIZE, 4);
    u.how.steps = 0;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how.steps = 2147483647;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.count = -1;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.first = -1;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how.first = 2147483647;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.guidance = (float)NAN;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.denoise = (float)HUGE_VAL;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.energy = &u.energy;                       /* is for models */
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    for (k = 0; k < 5; ++k) {                       /* guided on no level, or on levels that there are not */
        u.how = obj_desc();
        u.how.guidance_from = wrong[k][0];
        u.how.guidance_to = wrong[k][1];
        CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    }
    u.how = obj_desc();
    u.how.no_chain = 1;
    u.energy.propose = NULL;                        /* neither chains nor proposals */
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how = obj_desc();
    u.how.guidance = 1;
    u.energy.size = SIZE_MAX / 16 + 1;
    CREATE_REFUSED(&u, DRL_E_MEMORY);
    u.energy.size = 0;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    setup_end(&u);
}

static void sampler_arguments_missing(void)
{
    setup u;
    drl_sampler *sampler = NULL;
    setup_begin(&u, OBJ_SIZE, 4);
    REFUSED(u.ctx, drl_sampler_create_energy(u.ctx, NULL, &u.schedule, &u.how, &sampler), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_create_energy(u.ctx, &u.energy, NULL, &u.how, &sampler), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_create_energy(u.ctx, &u.energy, &u.schedule, NULL, &sampler), DRL_E_ARGUMENT);
    REFUSED(u.ctx, drl_sampler_create_energy(u.ctx, &u.energy, &u.schedule, &u.how, NULL), DRL_E_ARGUMENT);
    CHECK(!sampler, "a refused sampler was returned");
    setup_end(&u);
}

/* The call fails, with a sentence that holds `text`. */
#define SAYS(ctx, call, text)                                                                               \
    do {                                                                                                    \
        drl_ctx_clear(ctx);                                                                                 \
        CHECK((call) != DRL_OK && strstr(drl_ctx_message(ctx), text), "'%s'", drl_ctx_message(ctx));        \
        drl_ctx_clear(ctx);                                                                                 \
    } while (0)

/* Creating a sampler of v, which is the set-up u with one change, fails with a sentence that holds `text`. */
#define CREATE_SAYS(u, change, text)                                                                        \
    do {                                                                                                    \
        drl_sampler *refused_ = NULL;                                                                       \
        setup v = (u);                                                                                      \
        change;                                                                                             \
        SAYS(v.ctx, drl_sampler_create_energy(v.ctx, &v.energy, &v.schedule, &v.how, &refused_), text);     \
        CHECK(!refused_, "a refused sampler was returned");                                                 \
    } while (0)

/* Each rule that a schedule or an energy can break has a sentence of its own, with the value. */
static void sentences_of_parts(void)
{
    setup u;
    double array[MIX_LEVELS + 1];
    int i;
    setup_begin(&u, OBJ_SIZE, 2);
    for (i = 0; i <= MIX_LEVELS; ++i) array[i] = i == 2 ? HUGE_VAL : 0.5;
    CREATE_SAYS(u, v.schedule.levels = 0, "the schedule's number of levels is 0; 1 or more");
    CREATE_SAYS(u, v.schedule.b2 = 0, "b2 is 0;");
    CREATE_SAYS(u, v.schedule.b2 = HUGE_VAL, "b2 is inf;");
    CREATE_SAYS(u, v.schedule.a = NULL, "array a is missing");
    CREATE_SAYS(u, v.schedule.s = NULL, "array s is missing");
    CREATE_SAYS(u, v.schedule.abar = NULL, "array abar is missing");
    CREATE_SAYS(u, v.schedule.sbar = NULL, "array sbar is missing");
    CREATE_SAYS(u, v.schedule.a = array, "the schedule's a[2] is inf");
    CREATE_SAYS(u, v.schedule.s = array, "the schedule's s[2] is inf");
    CREATE_SAYS(u, v.schedule.abar = array, "the schedule's abar[2] is inf");
    CREATE_SAYS(u, v.schedule.sbar = array, "the schedule's sbar[2] is inf");
    array[2] = 0.5;
    array[MIX_LEVELS] = (double)NAN;    /* the level of x_T counts, too */
    CREATE_SAYS(u, v.schedule.sbar = array, "sbar[4] is nan");
    CREATE_SAYS(u, v.energy.eval = NULL, "no function `eval`");
    CREATE_SAYS(u, v.energy.size = 0, "size is 0;");
    CREATE_SAYS(u, v.energy.batch = -3, "batch is -3; 1 or more");
    setup_end(&u);
}

/* A sum of two terms of one energy, with one change. */
#define SUM_SAYS(u, change, text)                                                                           \
    do {                                                                                                    \
        drl_sum_term term[2];                                                                               \
        drl_sum *refused_ = NULL;                                                                           \
        int count = 2;                                                                                      \
        memset(term, 0, sizeof term);                                                                       \
        term[0].energy = term[1].energy = (u).energy;                                                       \
        change;                                                                                             \
        SAYS((u).ctx, drl_sum_create((u).ctx, term, count, &refused_), text);                               \
        CHECK(!refused_, "a refused sum was returned");                                                     \
    } while (0)

static void sentences_of_sums(void)
{
    setup u;
    setup_begin(&u, OBJ_SIZE, 2);
    SUM_SAYS(u, term[1].energy.eval = NULL, "term 1: the energy has no function `eval`");
    SUM_SAYS(u, term[1].energy.size = 0, "term 1: the energy's size is 0");
    SUM_SAYS(u, term[0].energy.batch = 0, "term 0: the energy's batch is 0");
    SUM_SAYS(u, term[1].weight = (float)HUGE_VAL, "term 1: the weight is inf");
    SUM_SAYS(u, term[1].energy.size = 3, "term 1: its points have 3 floats, those of term 0 have");
    SUM_SAYS(u, count = 65537, "count is 65537; 1 to 65536");
    setup_end(&u);
}

static void sentences_of_descriptions(void)
{
    static const int levels[3] = { 3, 0, MIX_LEVELS + 1 };
    const char *misaligned = (const char *)obj_known + 1;
    drl_interpolation path = { 77, 3, 8, OBJ_COUNT };
    setup u;
    setup_begin(&u, OBJ_SIZE, 2);
    CREATE_SAYS(u, v.how.energy = &v.energy, "the description has an energy, too");
    CREATE_SAYS(u, v.how.guidance_from = -1, "guidance_from is -1; 0 to");
    CREATE_SAYS(u, v.how.guidance_from = MIX_LEVELS, "guidance_from is ");
    CREATE_SAYS(u, v.how.guidance_from = v.how.guidance_to = 2,
                "guidance_to is 2; above guidance_from, 3 to");
    CREATE_SAYS(u, v.how.guidance_to = MIX_LEVELS + 1, "guidance_to is ");
    CREATE_SAYS(u, v.how.no_chain = 1, "no_chain is for energies with proposals");
    CREATE_SAYS(u, v.how.no_chain = 1; v.how.proposal = DRL_PROPOSAL_NONE; v.energy.propose = own_propose,
                "no_chain is for energies with proposals");
    CREATE_SAYS(u, v.how.b2 = -1, "b2 is -1; 0 to");
    CREATE_SAYS(u, v.how.b2 = 1e30, "b2 is 1e30; 0 to below");
    CREATE_SAYS(u, v.how.stride = -1, "stride is -1; 1 to 1000 are possible");
    CREATE_SAYS(u, v.how.stride = 1001, "stride is 1001; 1 to 1000 are possible");
    CREATE_SAYS(u, v.how.proposal = (drl_proposal)3, "proposal is 3; 0 to 2 are possible");
    CREATE_SAYS(u, v.how.steps = -1; v.how.stride = 2, "stride is 2 with K = 0");
    CREATE_SAYS(u, v.how.known = obj_known, "known is given without mask");
    CREATE_SAYS(u, v.how.mask = obj_mask, "mask is given without known");
    CREATE_SAYS(u, v.how.resample_count = 2, "resample_count is 2; resample_from, the levels, is missing");
    u.how.resample_from = levels;
    CREATE_SAYS(u, v.how.resample_count = -1, "resample_count is -1; 0 to 1000 are possible");
    CREATE_SAYS(u, v.how.resample_count = 1001, "resample_count is 1001; 0 to 1000 are possible");
    CREATE_SAYS(u, v.how.resample_count = 2, "resample_from[1] is 0; 1 to 4 are possible");
    CREATE_SAYS(u, v.how.resample_count = 1; v.how.resample_from = levels + 2,
                "resample_from[0] is 5; 1 to 4 are possible");
    CREATE_SAYS(u, v.how.resample_count = 1; v.how.noise = drl_interpolation_noise(&path),
                "resample_count is 1 and noise is given, but further passes have draws of their own");
    CREATE_SAYS(u, v.how.resample_count = 1; v.how.steps = 306783378,
                "steps is 306783378 on each of 7 levels; together fewer than 2147483646 are possible");
    u.how.resample_from = NULL;
    CREATE_SAYS(u, v.how.start = (const float *)misaligned, "start is not aligned");
    u.how.mask = obj_mask;
    CREATE_SAYS(u, v.how.known = (const float *)misaligned, "known is not aligned");
    setup_end(&u);
}

/* Each rule that a call or a state can break. */
static void sentences_of_samplers(void)
{
    setup u;
    drl_sampler *sampler;
    float x[OBJ_SIZE];
    setup_begin(&u, OBJ_SIZE, 2);
    sampler = sampler_of(&u);
    SAYS(u.ctx, drl_sampler_run(sampler, -2), "steps is -2; 0 or more");
    SAYS(u.ctx, drl_sampler_image(sampler, OBJ_COUNT, x), "drl_sampler_image: image ");
    SAYS(u.ctx, drl_sampler_point(sampler, -1, x), "drl_sampler_point: image -1; 0 to");
    SAYS(u.ctx, drl_sampler_point(sampler, 0, NULL), "out is missing");
    SAYS(u.ctx, drl_sampler_save(sampler, x, 3, &check_written), "bytes do not fit the capacity of 3");
    SAYS(u.ctx, drl_sampler_save(sampler, x, 3, NULL), "drl_sampler_save: written is NULL");
    SAYS(u.ctx, drl_sampler_restore(sampler, x, 0), "drl_sampler_restore: not a safetensors file;");
    SAYS(u.ctx, drl_sampler_restore(sampler, "abc", 3), "drl_sampler_restore: 3 bytes are too few");
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* -- whole chains by hand -- */

typedef struct hand_case {
    int proposes;                       /* the energy has proposals */
    int alone;                          /* no chains: proposals alone, and no denoising */
    int guided, from, to;               /* with weight 1.5 on levels from <= t < to */
    int denoised;
    int score;                          /* proposals by the score, whether the energy has others or not */
    int stride;                         /* levels visited: those that it divides */
} hand_case;

enum { HAND_CASES = 18, HAND_STRIDES = 18 };

/* Cases 0 to 7: every combination of proposals, guidance and denoising. 8 to 11 and 17: proposals alone. From
 * 12 on: guided on some of the 6 levels only. After these: proposals by the score, and strides of 1 (by the
 * score only), 2, 4 and 6, with chains and without, guided and not. */
static hand_case hand_case_of(int k)
{
    static const int interval[6][2] = { { 1, 4 }, { 0, 3 }, { 2, 0 }, { 5, 6 }, { 0, 1 }, { 3, 0 } };
    static const int strides[3] = { 2, 4, 6 };
    hand_case h;
    memset(&h, 0, sizeof h);
    h.stride = 1;
    if (k >= HAND_CASES) {
        int i = k - HAND_CASES;
        h.stride = i < 15 ? strides[i / 5] : 1;
        h.score = i % 5 >= 3 || h.stride == 1;
        h.alone = i % 5 == 2 || i % 5 == 4;
        h.proposes = i % 5 == 1 || h.alone || h.score;
        h.guided = i & 1;
        h.denoised = i % 3 == 0 && !h.alone;
        return h;
    }
    h.alone = (k >= 8 && k < 12) || k == 17;
    h.proposes = h.alone || k & 1;
    h.guided = k >> 1 & 1 || k >= 12;
    h.denoised = k >> 2 & 1 && !h.alone;
    h.from = k < 12 ? 0 : interval[k - 12][0];
    h.to = k < 12 ? 0 : interval[k - 12][1];        /* 0 means 6 */
    return h;
}

/* (w + 1) dF/dy(label) - w dF/dy(0) of own_eval. */
static double guided_gradient(double y, double label, double w, int t)
{
    return (w + 1) * label - y - 0.6 * sin(3 * y + t);
}

/* x_u = a x_t + s eps, by the definition of abar: a and s^2. And the mean
 * abar_t x_0 + gain (x_u - a abar_t x_0) of x_t given x_u and x_0, one Gaussian conditioned on another, with
 * its variance. */
typedef struct hand_way { double abar, a, s2, gain, variance; } hand_way;

static hand_way hand_way_of(const drl_schedule *s, int t, int u)
{
    hand_way w;
    double before = 1 - s->abar[t] * s->abar[t];
    w.abar = s->abar[t];
    w.a = s->abar[u] / s->abar[t];
    w.s2 = 1 - w.a * w.a;
    w.gain = w.a * before / (w.a * w.a * before + w.s2);
    w.variance = before * w.s2 / (w.a * w.a * before + w.s2);
    return w;
}

static double hand_scale(const drl_schedule *s, int t) { return t == 5 ? 1.0 : s->abar[t + 1] / s->abar[t]; }

/* The mean of y_t from x_u: by own_propose, guided, for the level below u, from which x_0 follows; or with
 * x_0 by the score of x_u. */
static double mean_by_hand(const drl_schedule *s, const hand_case *h, double x, double label, double w, int t,
                           int u)
{
    hand_way way = hand_way_of(s, t, u), last = hand_way_of(s, u - 1, u);
    double mean = 0.8 * x + (w + 1) * label * 0.1 - 0.05 * (u - 1), x_0 = 0;
    if (!h->score && u == t + 1) return mean;
    if (!h->score) {
        mean /= hand_scale(s, u - 1);
        x_0 = (mean - last.gain * x) / (last.abar * (1 - last.gain * last.a));
    } else if (u < 6) {
        double a = hand_scale(s, u), score = a * guided_gradient(a * x, label, w, u);
        x_0 = (x + (1 - s->abar[u] * s->abar[u]) * score) / s->abar[u];
    }
    return hand_scale(s, t) * (way.abar * x_0 + way.gain * (x - way.a * way.abar * x_0));
}

/* Image number `image`, x [OBJ_SIZE], in double: x_T, then at each level the proposal and its draw, K steps,
 * y / a; at the end the denoising step. Draws are numbered through. Returns the number of guided levels. */
static int chain_by_hand(const setup *u, const hand_case *h, int shift, int image, double *x)
{
    const drl_schedule *s = &u->schedule;
    double label = obj_labels[image], y[OBJ_SIZE];
    float eps[OBJ_SIZE];
    int to = h->to ? h->to : 6, draw = 0, guided = 0, next = 6, t, i, step;
    shifted_noise(&shift, u->ctx, image, draw++, eps, OBJ_SIZE);
    for (i = 0; i < OBJ_SIZE; ++i) x[i] = (double)eps[i];
    for (t = 5; t >= 0; --t) {
        double a = hand_scale(s, t), w = h->guided && t >= h->from && t < to ? 1.5 : 0.0, length, units, s2;
        hand_way short_way = hand_way_of(s, t, t + 1), way;
        if (t % h->stride) continue;
        way = hand_way_of(s, t, next);
        units = next == 6 ? 1.0 : a / way.a;            /* x_next * units = y + noise of variance s2 */
        s2 = way.s2 * units * units;
        length = s->sbar[t] / s->sbar[0] * s->b2 * short_way.s2;                /* step^2 */
        length *= way.variance / short_way.variance;
        guided += w > 0;
        for (i = 0; i < OBJ_SIZE; ++i) y[i] = units * x[i];
        if (h->proposes) {
            shifted_noise(&shift, u->ctx, image, draw++, eps, OBJ_SIZE);
            for (i = 0; i < OBJ_SIZE; ++i)
                y[i] = mean_by_hand(s, h, x[i], label, w, t, next) + sqrt(way.variance) * a * (double)eps[i];
        }
        for (step = 0; step < (h->alone ? 0 : OBJ_STEPS); ++step) {
            shifted_noise(&shift, u->ctx, image, draw++, eps, OBJ_SIZE);
            for (i = 0; i < OBJ_SIZE; ++i) {
                double pull = next == 6 ? 0.0 : (y[i] - units * x[i]) / s2;
                double gradient = guided_gradient(y[i], label, w, t);
                y[i] += length / 2 * (gradient - pull) + sqrt(length) * (double)eps[i];
            }
        }
        if (h->alone) ++draw;                       /* a level without chains counts as one step */
        for (i = 0; i < OBJ_SIZE; ++i) {
            double score = a * guided_gradient(y[i], label, w, t);
            x[i] = y[i] / a;
            if (!t && h->denoised) x[i] = (x[i] + 2 * s->sbar[0] * s->sbar[0] * score) / s->abar[0];
        }
        next = t;
    }
    return guided;
}

/* The sampler against chains by hand; 3e-5 is what float leaves of some hundred operations on numbers around
 * 3. Energy and proposals are asked no more often than is needed. */
static void chains_by_hand(void)
{
    double memory[35];
    int k, image, i, shift = 3;
    for (k = 0; k < HAND_CASES + HAND_STRIDES; ++k) {
        hand_case h = hand_case_of(k);
        setup u;
        float got[OBJ_FLOATS];
        double x[OBJ_SIZE], worst = 0;
        int visited = 5 / h.stride + 1;
        int guided = 0, levels = h.guided ? h.to || h.from ? (h.to ? h.to : 6) - h.from : visited : 0;
        setup_begin(&u, OBJ_SIZE, 3);
        drl__schedule_cdrl(6, memory, &u.schedule);
        if (k == 7) u.schedule.b2 *= 9;
        if (h.proposes && !(h.score && k & 1)) u.energy.propose = own_propose;
        u.how.proposal = h.score ? DRL_PROPOSAL_SCORE : DRL_PROPOSAL_AUTO;
        u.how.stride = k == 0 ? 0 : h.stride;
        u.how.guidance = h.guided ? 1.5f : 0.0f;
        u.how.guidance_from = h.from;
        u.how.guidance_to = h.to;
        u.how.no_chain = h.alone;
        u.how.denoise = h.denoised ? 2.0f : 0.0f;
        if (k == 3) u.how.denoise = -1.0f;          /* negative: none */
        if (k == 9) u.how.denoise = 2.0f;           /* without chains: none either */
        u.how.noise.fill = shifted_noise;
        u.how.noise.user = &shift;
        sample_all(&u, got);
        for (image = 0; image < OBJ_COUNT; ++image) {
            guided += chain_by_hand(&u, &h, shift, image, x);
            for (i = 0; i < OBJ_SIZE; ++i) {
                double error = fabs(x[i] - (double)got[image * OBJ_SIZE + i]);
                if (!(error <= worst)) worst = error;
            }
        }
        CHECK(guided == levels * OBJ_COUNT, "case %d: guided %d times", k, guided);
        CHECK(worst < 3e-5, "case %d: by hand differs by %g", k, worst);
        /* 5 images in batches of 3 are two calls at each level, and two more where it is guided */
        CHECK(u.o.proposals == (h.proposes && !h.score ? 2 * (visited + levels) : 0),
              "case %d: %d proposals were asked for", k, u.o.proposals);
        CHECK(!h.alone || h.score || !u.o.calls, "case %d: without chains, %d calls of the energy", k,
              u.o.calls);
        setup_end(&u);
    }
}

/* Every n-th of 4 levels, in three passes: the levels that are visited, and a sampler that moves into a fresh
 * one by its saved state after each step ends with the bits of one that runs through. */
static void strides_in_pieces(void)
{
    static const int from[2] = { 3, 1 };
    static const int visited[3][10] = { { 2, 0, 2, 0, 0, -1 }, { 3, 0, 0, 0, -1 }, { 0, 0, 0, -1 } };
    int stride, i, k;
    for (i = 0; i < 9; ++i) {
        setup u;
        drl_sampler *sampler, *next;
        float want[OBJ_FLOATS], got[OBJ_FLOATS];
        int left = 0;
        stride = 2 + i % 3;
        setup_begin(&u, OBJ_SIZE, 2);
        u.how.stride = stride;
        u.how.proposal = (drl_proposal)(i / 3);
        u.energy.propose = own_propose;
        u.how.resample_from = from;
        u.how.resample_count = 2;
        sample_all(&u, want);
        sampler = sampler_of(&u);
        while (visited[stride - 2][left] >= 0) ++left;
        left *= OBJ_STEPS;
        for (k = 0; left >= 0; ++k, --left) {
            saved_state now = state_of_sampler(sampler);
            int level = visited[stride - 2][k / OBJ_STEPS];
            CHECK(drl_sampler_steps_left(sampler) == left && drl_sampler_level(sampler) == level,
                  "stride %d: %d steps left at level %d, not %d at %d", stride,
                  drl_sampler_steps_left(sampler), drl_sampler_level(sampler), left, level);
            next = sampler_of(&u);
            CHECK_OK(u.ctx, drl_sampler_restore(next, now.bytes, now.size));
            drl_sampler_destroy(sampler);
            sampler = next;
            CHECK(drl_sampler_run(sampler, 1) == (left > 1 ? DRL_RUNNING : DRL_OK), "stride %d, step %d: %s",
                  stride, k, drl_ctx_message(u.ctx));
            state_free(&now);
        }
        images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
        CHECK(!memcmp(want, got, sizeof want), "stride %d in pieces: other bits", stride);
        drl_sampler_destroy(sampler);
        setup_end(&u);
    }
}

/* A sampler with guidance against one of the same sum made outside: the same bits, for any batch. Without
 * labels there is no guidance. */
static void guidance(void)
{
    float want[OBJ_FLOATS], got[OBJ_FLOATS];
    int batch;
    for (batch = 1; batch <= 12; ++batch) {
        setup u, plain;
        drl_sum_term terms[2];
        drl_sum *sum = NULL;
        cooperative = 1;
        setup_begin(&u, OBJ_SIZE, batch);
        cooperative = 0;
        sample_all(&u, want);
        memset(terms, 0, sizeof terms);
        terms[0].energy = terms[1].energy = u.energy;
        terms[0].weight = 2.5f;
        terms[1].weight = -1.5f;
        terms[1].use_label = 1;
        CHECK_OK(u.ctx, drl_sum_create(u.ctx, terms, 2, &sum));
        plain = u;
        plain.energy = drl_sum_energy(sum);
        plain.how.guidance = 0;
        sample_all(&plain, got);
        CHECK(!memcmp(want, got, sizeof got), "batch %d: guidance is not the sum", batch);
        drl_sum_destroy(sum);

        u.how.labels = NULL;
        sample_all(&u, want);
        CHECK(u.o.seen_label == -1, "a label of %d from nowhere", u.o.seen_label);
        u.how.guidance = 0;
        sample_all(&u, got);
        CHECK(u.o.seen_label == -1, "a label of %d from nowhere", u.o.seen_label);
        CHECK(!memcmp(want, got, sizeof got), "batch %d: guidance without labels", batch);
        setup_end(&u);
    }
}

/* -- failures -- */

/* What the energy returns comes back, and again, until the sampler is restored to before it. */
static void energy_fails(void)
{
    setup u;
    drl_sampler *sampler;
    saved_state now;
    setup_begin(&u, OBJ_SIZE, 1000);
    u.o.fail_at = 8;
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run(sampler, 7) == DRL_RUNNING, "%s", drl_ctx_message(u.ctx));
    now = state_of_sampler(sampler);
    CHECK(drl_sampler_run(sampler, 5) == DRL_E_IO, "the energy's failure comes back");
    CHECK(drl_sampler_run(sampler, 5) == DRL_E_IO, "the failure stays");
    drl_ctx_clear(u.ctx);
    CHECK_OK(u.ctx, drl_sampler_restore(sampler, now.bytes, now.size));
    state_free(&now);
    CHECK(drl_sampler_run(sampler, 5) == DRL_RUNNING, "%s", drl_ctx_message(u.ctx));
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

static drl_status huge_eval(void *user, int n, const float *y, const int *level, const int *label,
                            float *f, float *gradient)
{
    int i;
    (void)y;
    (void)level;
    (void)label;
    (void)f;
    for (i = 0; i < n * *(const int *)user; ++i) gradient[i] = 3e38f;
    return DRL_OK;
}

/* A gradient that is not a number, in one image of the second batch; finite gradients that carry the chain
 * away. */
static void chain_leaves_the_numbers(void)
{
    setup u;
    drl_sampler *sampler;
    int size = OBJ_SIZE;
    setup_begin(&u, OBJ_SIZE, 2);
    u.o.nan_at = 20;
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_E_NUMERIC, "a gradient that is not a number");
    CHECK(strlen(drl_ctx_message(u.ctx)) > 20, "NaN: '%s'", drl_ctx_message(u.ctx));
    CHECK(drl_sampler_run(sampler, 1) == DRL_E_NUMERIC, "the failure stays");
    drl_sampler_destroy(sampler);
    drl_ctx_clear(u.ctx);

    u.energy.eval = huge_eval;
    u.energy.user = &size;
    u.energy.propose = NULL;
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_E_NUMERIC, "a chain that overflows");
    CHECK(drl_ctx_message(u.ctx)[0], "overflow without a sentence");
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* The run of a cooperative sampler fails in the named part, which its sentence names, too. */
#define FAILS_IN(u, sampler, part)                                                                          \
    do {                                                                                                    \
        CHECK(drl_sampler_run(sampler, 1) == DRL_E_NUMERIC, "a %s that is not finite", part);               \
        CHECK(strstr(drl_ctx_message((u)->ctx), part), "NaN: '%s'", drl_ctx_message((u)->ctx));             \
        drl_sampler_destroy(sampler);                                                                       \
        drl_ctx_clear((u)->ctx);                                                                            \
    } while (0)

/* The denoising step and the proposal, where they are not finite, and where the energy says that it fails. */
static void denoising_and_proposals_fail(void)
{
    setup u;
    drl_sampler *sampler;
    int k;
    if (!cooperative) return;
    setup_begin(&u, OBJ_SIZE, 1000);
    u.o.nan_at = OBJ_TOTAL + 1;
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run(sampler, OBJ_TOTAL - 1) == DRL_RUNNING, "%s", drl_ctx_message(u.ctx));
    FAILS_IN(&u, sampler, "denoising");
    u.how.guidance = 3e38f;
    sampler = sampler_of(&u);
    FAILS_IN(&u, sampler, "proposal");
    u.how = obj_desc();
    for (k = 0; k < 2; ++k) {
        u.energy = obj_energy(&u.o, OBJ_SIZE, 1000);
        if (k) u.o.propose_fail_at = 2;
        else u.o.fail_at = OBJ_TOTAL + 1;
        sampler = sampler_of(&u);
        CHECK(drl_sampler_run(sampler, TO_THE_END) == DRL_E_IO, "a failure of the %s",
              k ? "proposal" : "denoising step");
        CHECK(drl_sampler_run(sampler, 1) == DRL_E_IO, "the failure stays");
        drl_sampler_destroy(sampler);
    }
    setup_end(&u);
}

/* A sampler is one block, and running it allocates nothing. Where the allocation fails, nothing leaks. */
static void sampler_allocations(void)
{
    check_heap heap;
    setup u;
    drl_sampler *sampler;
    int fail, made = 0;
    setup_begin(&u, OBJ_SIZE, 2);
    drl_ctx_destroy(u.ctx);
    memset(&heap, 0, sizeof heap);
    u.ctx = context(DRL_ISA_AUTO, 1, &heap);
    for (fail = 1; fail < 9 && !made; ++fail) {
        long live = heap.live, calls;
        drl_status status;
        sampler = NULL;
        heap.fail_at = heap.calls + fail;
        status = drl_sampler_create_energy(u.ctx, &u.energy, &u.schedule, &u.how, &sampler);
        heap.fail_at = 0;
        made = status == DRL_OK;
        if (!made) {
            CHECK(status == DRL_E_MEMORY && !sampler, "allocation %d fails: status %d", fail, (int)status);
            CHECK(drl_ctx_status(u.ctx) == DRL_E_MEMORY, "context: status %d", (int)drl_ctx_status(u.ctx));
            drl_ctx_clear(u.ctx);
        }
        calls = heap.calls;
        if (made) RUNS_TO_THE_END(u.ctx, sampler);
        CHECK(heap.calls == calls, "running made %ld allocations", heap.calls - calls);
        drl_sampler_destroy(sampler);
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
    }
    CHECK(made && fail == 3, "a sampler takes %d allocations", fail - 2);
    setup_end(&u);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

static void sum_allocations(void)
{
    check_heap heap;
    drl_ctx *ctx;
    own o;
    drl_sum_term term;
    int fail, made = 0;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    memset(&term, 0, sizeof term);
    term.energy = own_energy(&o, OBJ_SIZE, 2);
    for (fail = 1; fail < 9 && !made; ++fail) {
        long live = heap.live;
        drl_sum *sum = NULL;
        drl_status status;
        heap.fail_at = heap.calls + fail;
        status = drl_sum_create(ctx, &term, 1, &sum);
        heap.fail_at = 0;
        made = status == DRL_OK;
        CHECK(made || (status == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !sum), "status %d", (int)status);
        drl_sum_destroy(sum);
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
        drl_ctx_clear(ctx);
    }
    CHECK(made, "a sum could not be made");
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* -- single steps -- */

/* Two steps, and none, succeed; the count of work does not overflow. */
static void langevin_calls(void)
{
    setup u;
    drl__langevin_desc d;
    float y[2 * OBJ_SIZE] = { 0 }, x[2 * OBJ_SIZE] = { 0 }, gradient[2 * OBJ_SIZE], work[OBJ_SIZE];
    int level[2] = { 0, MIX_LEVELS - 1 }, shift = 0;
    setup_begin(&u, OBJ_SIZE, 2);
    memset(&d, 0, sizeof d);
    d.energy = &u.energy;
    d.schedule = &u.schedule;
    d.level = level;
    d.noise.fill = shifted_noise;
    d.noise.user = &shift;
    d.steps = 2;
    CHECK_OK(u.ctx, drl__langevin(u.ctx, &d, 2, y, x, gradient, work));
    d.steps = 0;
    CHECK_OK(u.ctx, drl__langevin(u.ctx, &d, 2, y, x, gradient, work));
    CHECK(drl__langevin_work_count(u.ctx, (size_t)-1 / 2) >= (size_t)-1 / 2, "work for a huge image");
    setup_end(&u);
}

/* One step in double, y + step^2/2 (gradient - (y - x_next)/s^2) + step noise_scale eps, at a level with
 * x_next and at the last one, which has none; steps that are scaled, noise that is scaled or none. 3e-7 is
 * some roundings of float at numbers around 1. The gradient is handed back. */
static void one_step(void)
{
    static const double step_scale[3] = { 0, 1.7, 0.5 }, noise_scale[3] = { 0, -1, 0.99 };
    static const double steps[3] = { 1, 1.7, 0.5 }, noises[3] = { 1, 0, 0.99 };     /* what these mean */
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_schedule s = mix_schedule();
    own o;
    drl_energy e = own_energy(&o, 3, 8);
    float y[6], x[6], y0[6], gradient[6], want_gradient[6], work[3], eps[3];
    int level[2] = { 1, MIX_LEVELS - 1 }, label[2] = { 2, 1 }, shift = 0, k, i;
    for (k = 0; k < 3; ++k) {
        drl__langevin_desc d;
        memset(&d, 0, sizeof d);
        d.energy = &e;
        d.schedule = &s;
        d.level = level;
        d.label = label;
        d.steps = 1;
        d.first_draw = 4;
        d.first_image = 10;
        d.step_scale = step_scale[k];
        d.noise_scale = noise_scale[k];
        d.noise.fill = shifted_noise;
        d.noise.user = &shift;
        for (i = 0; i < 6; ++i) {
            y[i] = y0[i] = (float)real(-1, 1);
            x[i] = (float)real(-1, 1);
        }
        e.eval(e.user, 2, y0, level, label, NULL, want_gradient);
        CHECK_OK(ctx, drl__langevin(ctx, &d, 2, y, x, gradient, work));
        CHECK(!memcmp(gradient, want_gradient, sizeof gradient), "the last gradient");
        for (i = 0; i < 6; ++i) {
            int t = level[i / 3];
            double s2 = s.s[t + 1] * s.s[t + 1];
            double h = steps[k] * steps[k] * s.sbar[t] / s.sbar[0] * s.b2 * s2;
            double pull = t == MIX_LEVELS - 1 ? 0.0 : ((double)y0[i] - (double)x[i]) / s2, want;
            shifted_noise(&shift, ctx, 10 + i / 3, 4, eps, 3);
            want = (double)y0[i] + h / 2 * ((double)want_gradient[i] - pull);
            want += sqrt(h) * noises[k] * (double)eps[i % 3];
            CHECK(fabs((double)y[i] - want) < 3e-7, "case %d: y[%d] is %.8f, not %.8f",
                  k, i, (double)y[i], want);
        }
    }
    drl_ctx_destroy(ctx);
}

/* -- images of which a part is known -- */

/* Images got after `done` steps from level `from`, beside `plain` ones without a known part: the coordinates
 * of own_eval do not know of each other, so what is not known has the bits of `plain`. What is known is at
 * every point abar_t known + sbar_t eps with one eps, up to rounding, and in the end itself. */
static void known_part_is_held(const drl_schedule *s, int from, int done, const float *got,
                               const float *plain, const float *eps)
{
    int t = done ? from - 1 - (done - 1) / OBJ_STEPS : from, wrong = 0, held = 0, k;
    for (k = 0; k < OBJ_FLOATS; ++k) {
        double at = s->abar[t] * (double)obj_known[k] + s->sbar[t] * (double)eps[k];
        if (!obj_mask[k]) wrong += memcmp(got + k, plain + k, sizeof *got) != 0;
        else if (done == from * OBJ_STEPS) wrong += got[k] < obj_known[k] || got[k] > obj_known[k];
        else wrong += !(fabs((double)got[k] - at) <= 1e-6 * (1 + fabs(at)));
        held += obj_mask[k] != 0;
    }
    CHECK(!wrong && held > 2 * OBJ_SIZE, "from %d, step %d: %d of %d known pixels, or others, are wrong",
          from, done, wrong, held);
}

/* From the top without a start, else from x_from: after every step. */
static void holding(void)
{
    setup u;
    drl_sampler *sampler, *plain;
    float known[OBJ_FLOATS], got[OBJ_FLOATS], want[OBJ_FLOATS], start[OBJ_FLOATS], eps[OBJ_FLOATS];
    uint8_t mask[OBJ_FLOATS];
    uint64_t seed = 77;
    int from, i, done;
    setup_begin(&u, OBJ_SIZE, 3);
    u.how.first = 4;
    for (i = 0; i < OBJ_COUNT; ++i)
        drl__noise_counter(&seed, u.ctx, 4 + i, DRL__DRAW_KNOWN, eps + i * OBJ_SIZE, OBJ_SIZE);
    for (i = 0; i < OBJ_FLOATS; ++i) start[i] = (float)real(-1, 1);
    for (from = MIX_LEVELS; from >= 1; --from) {
        u.how.from_level = from;
        u.how.start = from < MIX_LEVELS ? start : NULL;
        u.how.known = NULL;
        u.how.mask = NULL;
        plain = sampler_of(&u);
        memcpy(known, obj_known, sizeof known);
        memcpy(mask, obj_mask, sizeof mask);
        u.how.known = known;
        u.how.mask = mask;
        sampler = sampler_of(&u);
        memset(known, 0x7f, sizeof known);          /* both were copied at creation */
        memset(mask, 1, sizeof mask);
        for (done = 0; done <= from * OBJ_STEPS; ++done) {
            images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
            images_of(plain, OBJ_COUNT, OBJ_SIZE, want);
            known_part_is_held(&u.schedule, from, done, got, want, eps);
            CHECK(drl_sampler_run(sampler, 1) == drl_sampler_run(plain, 1), "%s", drl_ctx_message(u.ctx));
        }
        CHECK(drl_sampler_level(sampler) == -1, "level %d", drl_sampler_level(sampler));
        drl_sampler_destroy(sampler);
        drl_sampler_destroy(plain);
    }
    setup_end(&u);
}

/* A known part without a mask, a mask without it, a known pixel that is not a number. */
static void holding_refused(void)
{
    setup u;
    float known[OBJ_FLOATS];
    setup_begin(&u, OBJ_SIZE, 3);
    u.how.known = obj_known;
    u.how.mask = NULL;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    u.how.known = NULL;
    u.how.mask = obj_mask;
    CREATE_REFUSED(&u, DRL_E_ARGUMENT);
    memcpy(known, obj_known, sizeof known);
    known[OBJ_FLOATS - 1] = (float)NAN;
    u.how.known = known;
    CREATE_REFUSED(&u, DRL_E_NUMERIC);
    setup_end(&u);
}

/* Two coordinates that go together: a mixture of Gaussians with full covariances, diffused in closed form. */
typedef struct pair {
    int components;
    double weight[2], mean[2][2];
    double cov[2][3];                   /* variance of the first, of the second, covariance */
    const drl_schedule *schedule;
} pair;

/* Covariance of component k at level t, without the scale of y. */
static void pair_cov(const pair *p, int k, int t, double *c)
{
    double a2 = p->schedule->abar[t] * p->schedule->abar[t], s2 = p->schedule->sbar[t] * p->schedule->sbar[t];
    c[0] = a2 * p->cov[k][0] + s2;
    c[1] = a2 * p->cov[k][1] + s2;
    c[2] = a2 * p->cov[k][2];
}

/* Density at x_t = (x0, x1). part [components] is that of each with its weight, force the gradient of its
 * logarithm. */
static double pair_density(const pair *p, int t, double x0, double x1, double *part, double (*force)[2])
{
    double abar = p->schedule->abar[t], sum = 0;
    int k;
    for (k = 0; k < p->components; ++k) {
        double c[3], det, d0 = x0 - abar * p->mean[k][0], d1 = x1 - abar * p->mean[k][1], exponent;
        pair_cov(p, k, t, c);
        det = c[0] * c[1] - c[2] * c[2];
        force[k][0] = -(c[1] * d0 - c[2] * d1) / det;
        force[k][1] = -(c[0] * d1 - c[2] * d0) / det;
        exponent = 0.5 * (d0 * force[k][0] + d1 * force[k][1]);
        part[k] = p->weight[k] * exp(exponent) / (2 * PI * sqrt(det));
        sum += part[k];
    }
    return sum;
}

static drl_status pair_eval(void *user, int n, const float *y, const int *level, const int *label,
                            float *f, float *gradient)
{
    const pair *p = (const pair *)user;
    int i, j, k;
    (void)label;
    for (i = 0; i < n; ++i) {
        double a = drl_schedule_scale(p->schedule, level[i]), part[2], force[2][2];
        double sum = pair_density(p, level[i], (double)y[2 * i] / a, (double)y[2 * i + 1] / a, part, force);
        if (f) f[i] = (float)log(sum / (a * a));
        for (j = 0; j < 2 && gradient; ++j) {
            double g = 0;
            for (k = 0; k < p->components; ++k) g += part[k] / sum * force[k][j] / a;
            gradient[2 * i + j] = (float)g;
        }
    }
    return DRL_OK;
}

/* n completions of the second coordinate from the first, which is `known`: their mean and variance. */
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
    e.eval = pair_eval;
    e.user = p;
    e.size = 2;
    e.batch = 1 << 20;
    memset(&how, 0, sizeof how);
    how.count = n;
    how.seed = 13;
    how.steps = steps;
    how.known = x;
    how.mask = mask;
    for (i = 0; i < n; ++i) {
        x[2 * i] = known;
        mask[2 * i] = 1;
    }
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, p->schedule, &how, &sampler));
    RUNS_TO_THE_END(ctx, sampler);
    *mean = *var = 0;
    for (i = 0; i < n; ++i) {
        float got[2] = { 0, 0 };
        drl_sampler_image(sampler, i, got);
        wrong += got[0] < known || got[0] > known;
        x[2 * i + 1] = got[1];
        *mean += (double)got[1] / n;
    }
    CHECK(!wrong, "%d known pixels are others in the end", wrong);
    for (i = 0; i < n; ++i) {
        double d = (double)x[2 * i + 1] - *mean;
        *var += d * d / (n - 1);
    }
    drl_sampler_destroy(sampler);
    free(x);
    free(mask);
    drl_ctx_destroy(ctx);
}

/* One Gaussian: the unknown y and x_{t+1} are c eps + rest, linear in the draw eps of the known coordinate.
 * So their moments are known exactly, with the error of the discretisation: by the recursion of
 * gaussian_moments and one more for c. */
static void complete_gaussian(void)
{
    enum { COUNT = 8000, STEPS = 25 };
    drl_schedule s = mix_schedule();
    pair p = { 1, { 1, 0 }, { { 0.3, -0.4 }, { 0, 0 } }, { { 0.8, 0.5, -0.55 }, { 0, 0, 0 } }, NULL };
    const double known = (double)1.1f;
    double mean_next = 0, c_next = 0, var_next = 1;         /* of x_{t+1} */
    double variance, got_mean, got_var;
    int t, k;
    p.schedule = &s;
    for (t = s.levels - 1; t >= 0; --t) {
        double a = drl_schedule_scale(&s, t), s2 = s.s[t + 1] * s.s[t + 1];
        double h = s.sbar[t] / s.sbar[0] * s.b2 * s2, pull = t == s.levels - 1 ? 0.0 : 1 / s2;
        double m = a * s.abar[t] * p.mean[0][1];
        double mean_y = mean_next, c_y = c_next, var_y = var_next, cov = var_next;
        double q[3], det, own_pull, cross, A, C, off;
        pair_cov(&p, 0, t, q);
        det = (q[0] * q[1] - q[2] * q[2]) * a * a;
        own_pull = q[0] / det;                      /* entries of the inverse covariance of y */
        cross = -q[2] / det;
        A = 1 - h / 2 * (own_pull + pull);
        C = h / 2 * pull;
        off = a * s.abar[t] * (known - p.mean[0][0]);           /* of the known coordinate, without eps */
        for (k = 0; k < STEPS; ++k) {
            mean_y = A * mean_y + C * mean_next + h / 2 * (own_pull * m - cross * off);
            c_y = A * c_y + C * c_next - h / 2 * cross * a * s.sbar[t];
            var_y = A * A * var_y + C * C * var_next + 2 * A * C * cov + h;
            cov = A * cov + C * var_next;
        }
        mean_next = mean_y / a;
        c_next = c_y / a;
        var_next = var_y / (a * a);
    }
    variance = var_next + c_next * c_next;
    pair_complete(&p, COUNT, STEPS, (float)known, &got_mean, &got_var);
    expect_within("completed from a correlated Gaussian: mean", got_mean, mean_next, sqrt(variance / COUNT));
    expect_within("completed from a correlated Gaussian: variance", got_var, variance,
                  variance * sqrt(2.0 / (COUNT - 1)));
}

/* A grid over the unknown coordinate, and one over the draw of the known one. */
enum { GRID = 161, DRAWS = 17 };
static double grid_at(int i) { return (i - GRID / 2) * 0.05; }

/* Where chains that mix perfectly end, q [GRID], when the draw of the known coordinate is eps: at each level
 * p(x_t | known, x_{t+1}), averaged over the level above. */
static void chains_end(const pair *p, double known, double eps, double *q)
{
    const drl_schedule *s = p->schedule;
    double above[GRID], at[GRID], row[GRID], part[2], force[2][2];
    int t, i, j;
    for (i = 0; i < GRID; ++i) q[i] = 0;
    for (t = s->levels - 1; t >= 0; --t) {
        int last = t == s->levels - 1;              /* the last level has no x_{t+1} */
        double held = s->abar[t] * known + s->sbar[t] * eps;
        for (i = 0; i < GRID; ++i) {
            above[i] = last ? i == 0 : q[i];
            q[i] = 0;
            at[i] = pair_density(p, t, held, grid_at(i), part, force);
        }
        for (j = 0; j < (last ? 1 : GRID); ++j) {
            double sum = 0;
            for (i = 0; i < GRID; ++i) {
                double d = (grid_at(j) - s->a[t + 1] * grid_at(i)) / s->s[t + 1];
                row[i] = at[i] * (last ? 1.0 : exp(-d * d / 2));
                sum += row[i];
            }
            for (i = 0; i < GRID; ++i) q[i] += row[i] / sum * above[j];
        }
    }
}

/* Mean and mean square of that end, averaged over the draw. */
static void pair_quadrature(const pair *p, double known, double *mean, double *square)
{
    static double q[GRID];
    double total = 0;
    int e, i;
    *mean = *square = 0;
    for (e = 0; e < DRAWS; ++e) {
        double eps = (e - DRAWS / 2) * 0.5, weight = exp(-eps * eps / 2);
        chains_end(p, known, eps, q);
        for (i = 0; i < GRID; ++i) {
            *mean += weight * q[i] * grid_at(i);
            *square += weight * q[i] * grid_at(i) * grid_at(i);
        }
        total += weight;
    }
    *mean /= total;
    *square /= total;
}

/* E[second | first = known] of the data, scaled as samples of level 0 are. */
static double pair_conditional_mean(const pair *p, double known)
{
    double sum = 0, total = 0;
    int k;
    for (k = 0; k < 2; ++k) {
        double d = known - p->mean[k][0], v = p->cov[k][0];
        double w = p->weight[k] * exp(-d * d / (2 * v)) / sqrt(v);
        sum += w * p->schedule->abar[0] * (p->mean[k][1] + p->cov[k][2] / v * d);
        total += w;
    }
    return sum / total;
}

/* A mixture, against where chains that mix perfectly end, by quadrature. Levels above know the known
 * coordinate through its noise only, and are not corrected for it. So the end has the conditional mean of the
 * data where one large step leads to a level of little noise: on the second schedule, where a second mode
 * would hold the chains that start in it. Many small steps, or noise that stays, draw it to the mean of the
 * data.
 * The discretisation makes variances too large, by 0.017 on the first schedule (see mix_schedule) and by 0.05
 * on the second; the latter's mean may be off by 0.06. expect_within allows four times what it is given. */
static void complete_mixture(void)
{
    static const double known[6] = { -1.1, 1.2, 0.35, 0.8, 1.2, 0.35 }, coarse[3] = { 0.1, 0.9, 0.9995 };
    double memory[12];
    pair p = {
        2, { 0.4, 0.6 }, { { -0.9, -0.7 }, { 0.9, 0.8 } },
        { { 0.20, 0.25, 0.18 }, { 0.30, 0.20, -0.20 } }, NULL
    };
    int r;
    for (r = 0; r < 6; ++r) {
        drl_schedule s = r < 3 ? mix_schedule() : schedule_of(coarse, 2, 0.003, memory);
        const double held = (double)(float)known[r], bias = r < 3 ? MIX_BIAS : 0.05;
        double mean, square, variance, data, error, got_mean, got_var;
        p.schedule = &s;
        pair_quadrature(&p, held, &mean, &square);
        data = pair_conditional_mean(&p, held);
        pair_complete(&p, MIX_CHAINS, r < 3 ? MIX_STEPS : 600, (float)held, &got_mean, &got_var);
        printf("completion, %d levels: known %.2f, mean %.3f, by quadrature %.3f, conditional mean of the "
               "data %.3f\n", s.levels, held, got_mean, mean, data);
        variance = square - mean * mean;
        error = sqrt(variance / MIX_CHAINS);
        expect_within("completed from a mixture: mean", got_mean, mean, error * 1.1);
        expect_within("completed from a mixture: variance", got_var, variance,
                      variance * (sqrt(3.0 / MIX_CHAINS) + bias / 4));
        if (r < 3) continue;
        expect_within("completed from a mixture: conditional mean", got_mean, data, error + 0.06 / 4);
    }
}

/* A row of pixels that differ little from one to the next: x_0 ~ N(0, S) with S_ij = 0.5 * 0.9^|i - j|,
 * diffused in closed form; precision[t] is the inverse of abar_t^2 S + sbar_t^2 I, without the scale of y. */
#define ROW_SIZE   10
#define ROW_LEVELS 5
#define ROW_KNOWN  (ROW_SIZE / 2)               /* pixels on the left that are known */
#define ROW_CHAINS 1000
#define ROW_FLOATS (ROW_CHAINS * ROW_SIZE)
typedef struct row_model {
    double precision[ROW_LEVELS][ROW_SIZE][ROW_SIZE];
    const drl_schedule *schedule;
} row_model;

/* F = -y^T P y / (2 a^2). */
static drl_status row_eval(void *user, int n, const float *y, const int *level, const int *label,
                           float *f, float *gradient)
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

/* The inverse of a positive definite matrix, in place, by Gauss and Jordan; such a matrix needs no pivots. */
static void row_invert(double (*m)[ROW_SIZE])
{
    int i, j, k;
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

static void row_model_make(row_model *r, const drl_schedule *s)
{
    int t, i, j;
    r->schedule = s;
    for (t = 0; t < ROW_LEVELS; ++t) {
        double a2 = s->abar[t] * s->abar[t], s2 = s->sbar[t] * s->sbar[t];
        for (i = 0; i < ROW_SIZE; ++i)
            for (j = 0; j < ROW_SIZE; ++j)
                r->precision[t][i][j] = a2 * 0.5 * pow(0.9, abs(i - j)) + (i == j ? s2 : 0.0);
        row_invert(r->precision[t]);
    }
}

/* Rows of the data: each pixel is 0.9 of the one before, and noise. */
static void row_data(drl_ctx *ctx, drl_rng *rng, float *x)
{
    int i;
    drl_rng_normals(ctx, rng, x, ROW_FLOATS);
    for (i = 0; i < ROW_FLOATS; ++i) {
        double eps = (double)x[i];
        if (i % ROW_SIZE) x[i] = (float)(sqrt(0.5) * sqrt(1 - 0.81) * eps + 0.9 * (double)x[i - 1]);
        else x[i] = (float)(sqrt(0.5) * eps);
    }
}

/* Mean squared differences of neighbours: across the border of the known half, and within the drawn half. */
static void row_differences(const float *x, double *across, double *drawn)
{
    int i, j;
    *across = *drawn = 0;
    for (i = 0; i < ROW_CHAINS; ++i, x += ROW_SIZE)
        for (j = ROW_KNOWN - 1; j < ROW_SIZE - 1; ++j) {
            double d = (double)x[j + 1] - (double)x[j];
            if (j == ROW_KNOWN - 1) *across += d * d / ROW_CHAINS;
            else *drawn += d * d / (ROW_CHAINS * (ROW_SIZE - 1 - ROW_KNOWN));
        }
}

/* The left half of such rows is known. Squared differences of neighbours are 0.1 on average in the data,
 * across the border, too; a drawn half that knew nothing of the other would make them 1 there. One pass
 * leaves a seam, as levels above are not corrected for what lower ones see of the known half. Further passes
 * from low levels close it. */
static void seam(void)
{
    enum { PASSES_AGAIN = 8 };
    static const int from[PASSES_AGAIN] = { 2, 2, 2, 2, 1, 1, 1, 1 };
    static const double sbar[ROW_LEVELS + 1] = { 0.05, 0.2, 0.45, 0.7, 0.9, 0.9995 };
    static float known[ROW_FLOATS], x[ROW_FLOATS];
    static uint8_t mask[ROW_FLOATS];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double memory[4 * (ROW_LEVELS + 1)], across = 0, drawn = 0, at_first = 0;
    drl_schedule s = schedule_of(sbar, ROW_LEVELS, 0.03, memory);
    drl_rng rng = { 3, 0, 0 };
    drl_sampler *sampler = NULL;
    drl_energy e;
    drl_sample_desc how;
    row_model r;
    int i, pass, wrong = 0;
    row_model_make(&r, &s);
    row_data(ctx, &rng, known);
    for (i = 0; i < ROW_FLOATS; ++i) mask[i] = i % ROW_SIZE < ROW_KNOWN;
    memset(&e, 0, sizeof e);
    e.eval = row_eval;
    e.user = &r;
    e.size = ROW_SIZE;
    e.batch = ROW_CHAINS;
    memset(&how, 0, sizeof how);
    how.count = ROW_CHAINS;
    how.seed = 21;
    how.steps = 150;
    how.known = known;
    how.mask = mask;
    how.resample_from = from;
    how.resample_count = PASSES_AGAIN;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    for (pass = 0; pass <= PASSES_AGAIN; ++pass) {
        drl_status status = drl_sampler_run(sampler, (pass ? from[pass - 1] : ROW_LEVELS) * how.steps);
        CHECK(status == (pass < PASSES_AGAIN ? DRL_RUNNING : DRL_OK), "%s", drl_ctx_message(ctx));
        images_of(sampler, ROW_CHAINS, ROW_SIZE, x);
        for (i = 0; i < ROW_FLOATS; i += ROW_SIZE)
            wrong += memcmp(x + i, known + i, ROW_KNOWN * sizeof *x) != 0;
        row_differences(x, &across, &drawn);
        if (!pass) at_first = across / drawn;
        if (!pass || pass == PASSES_AGAIN)
            printf("inpainted row, %d further passes: mean squared difference %.4f across the seam, %.4f in "
                   "the drawn half, 0.1 in the data\n", pass, across, drawn);
    }
    drl_sampler_destroy(sampler);
    CHECK(!wrong, "%d rows have lost their known half", wrong);
    CHECK(at_first < 2.5, "in one pass, differences across the seam are %.2f times as large", at_first);
    CHECK(across < 1.3 * drawn, "differences: %.4f across the seam, %.4f in the drawn half", across, drawn);
    /* 0.1, and a little of the noise that is left at level 0 */
    CHECK(fabs(drawn - 0.11) < 0.015, "squared differences of the drawn half are %.4f", drawn);
    drl_ctx_destroy(ctx);
}

/* -- from one image to another -- */

enum { PATH_POINTS = 5, PATH_FROM = 3, PATH_TO = 8 };

static void same_image(const char *what, size_t size, const float *got, const float *want)
{
    CHECK(!memcmp(got, want, size * sizeof *got), "size %d: %s has other bits", (int)size, what);
}

/* Samples along the way: the ends are exactly images 3 and 8 of the seed, a part of the way alone has the
 * same bits, and a way of one image stays where it is. */
static void interpolated_samples(void)
{
    static const size_t sizes[3] = { 1, OBJ_SIZE, 150 };
    static float x[PATH_POINTS * 150], end[150], part[2 * 150];
    int z, i;
    for (z = 0; z < 3; ++z) {
        drl_interpolation path = { 77, PATH_FROM, PATH_TO, PATH_POINTS };
        const size_t size = sizes[z];
        setup u;
        setup_begin(&u, size, 3);
        u.how.labels = NULL;
        u.how.guidance = 0;
        u.how.seed = 5;                             /* the noise has a seed of its own */
        u.how.count = PATH_POINTS;
        u.how.noise = drl_interpolation_noise(&path);
        sample_all(&u, x);
        for (i = 1; i < PATH_POINTS; ++i) {
            const float *now = x + (size_t)i * size;
            CHECK(memcmp(now, now - size, size * sizeof *x) != 0, "size %d: images %d and %d are the same",
                  (int)size, i - 1, i);
        }
        u.how.first = 2;
        u.how.count = 2;
        sample_all(&u, part);
        same_image("image 2 without those before", size, part, x + 2 * size);
        same_image("image 3 without those before", size, part + size, x + 3 * size);
        path.count = 1;
        u.how.first = 0;
        u.how.count = 1;
        sample_all(&u, part);
        same_image("a way of one image", size, part, x);

        memset(&u.how.noise, 0, sizeof u.how.noise);
        u.how.seed = 77;
        u.how.first = PATH_FROM;
        sample_all(&u, end);
        same_image("the image that the way comes from", size, x, end);
        u.how.first = PATH_TO;
        sample_all(&u, end);
        same_image("the image that the way leads to", size, x + (PATH_POINTS - 1) * size, end);
        setup_end(&u);
    }
}

/* The draws: cos(w) of the first image's and sin(w) of the last one's, computed in double; and normal
 * everywhere, within four standard errors. */
static void interpolated_draws(void)
{
    enum { COUNT = 20000 };
    static const int draws[4] = { 0, 1, 17, DRL__DRAW_KNOWN };
    static float first[COUNT], last[COUNT], got[COUNT];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_interpolation path = { 77, PATH_FROM, PATH_TO, PATH_POINTS };
    drl_noise noise = drl_interpolation_noise(&path);
    uint64_t seed = 77;
    int i, j, k;
    for (k = 0; k < 4; ++k) {
        drl__noise_counter(&seed, ctx, PATH_FROM, draws[k], first, COUNT);
        drl__noise_counter(&seed, ctx, PATH_TO, draws[k], last, COUNT);
        for (i = 0; i < PATH_POINTS; ++i) {
            double w = PI / 2 * i / (PATH_POINTS - 1);
            double mean = 0, square = 0, with_first = 0, with_last = 0, worst = 0;
            noise.fill(noise.user, ctx, i, draws[k], got, COUNT);
            for (j = 0; j < COUNT; ++j) {
                double want = cos(w) * (double)first[j] + sin(w) * (double)last[j];
                double g = (double)got[j], error = fabs(g - want);
                if (!(error <= worst)) worst = error;
                mean += g / COUNT;
                square += g * g / COUNT;
                with_first += g * (double)first[j] / COUNT;
                with_last += g * (double)last[j] / COUNT;
            }
            CHECK(worst < 1e-6, "image %d, draw %d: off by %g", i, draws[k], worst);
            if (i == 0) CHECK(!memcmp(got, first, sizeof got), "draw %d: the first has other bits", draws[k]);
            if (i == PATH_POINTS - 1)
                CHECK(!memcmp(got, last, sizeof got), "draw %d: the last has other bits", draws[k]);
            expect_within("interpolated draw: mean", mean, 0, 1 / sqrt((double)COUNT));
            expect_within("interpolated draw: variance", square, 1, sqrt(2.0 / COUNT));
            expect_within("interpolated draw: with the first", with_first, cos(w), sqrt(2.0 / COUNT));
            expect_within("interpolated draw: with the last", with_last, sin(w), sqrt(2.0 / COUNT));
        }
    }
    drl_ctx_destroy(ctx);
}

/* -- a clock's budget -- */

/* A clock that goes on by `step` whenever it is asked. */
typedef struct ticks { double now, step; int asked; } ticks;
static double ticking(void *user)
{
    ticks *c = (ticks *)user;
    ++c->asked;
    return c->now += c->step;
}

/* Steps are taken while the clock is before the deadline, at least one a call; the end has the bits of a run
 * at once. */
static void run_until(void)
{
    setup u;
    drl_sampler *sampler;
    float want[OBJ_FLOATS], got[OBJ_FLOATS];
    int left = OBJ_TOTAL, frames = 0;
    drl_status status = DRL_RUNNING;
    ticks c = { 0, 1, 0 };
    setup_begin(&u, OBJ_SIZE, 1000);
    sample_all(&u, want);
    sampler = sampler_of(&u);
    CHECK(drl_sampler_run_until(sampler, ticking, &c, -5) == DRL_RUNNING, "a time that has passed");
    CHECK(drl_sampler_steps_left(sampler) == --left, "a time that has passed: %d steps left, not %d",
          drl_sampler_steps_left(sampler), left);
    CHECK(drl_sampler_run_until(sampler, ticking, &c, c.now) == DRL_RUNNING, "now");
    CHECK(drl_sampler_steps_left(sampler) == --left, "now: %d steps left, not %d",
          drl_sampler_steps_left(sampler), left);
    c.now = 0;
    c.asked = 0;
    left -= 4;
    CHECK(drl_sampler_run_until(sampler, ticking, &c, 4) == DRL_RUNNING, "4 ticks");
    CHECK(drl_sampler_steps_left(sampler) == left, "4 ticks: %d steps left, not %d",
          drl_sampler_steps_left(sampler), left);
    CHECK(c.asked == 4, "4 ticks: the clock was asked %d times", c.asked);
    while (status == DRL_RUNNING && frames < 100) {         /* of 2.5 ticks: 3 steps each, across levels */
        c.now = 0;
        status = drl_sampler_run_until(sampler, ticking, &c, 2.5);
        left = left > 3 ? left - 3 : 0;
        CHECK(drl_sampler_steps_left(sampler) == left, "%d steps left, not %d",
              drl_sampler_steps_left(sampler), left);
        ++frames;
    }
    CHECK(status == DRL_OK, "status %d at the end", (int)status);
    CHECK(frames == (OBJ_TOTAL - 6 + 2) / 3, "%d frames of 3 steps", frames);
    images_of(sampler, OBJ_COUNT, OBJ_SIZE, got);
    CHECK(!memcmp(want, got, sizeof got), "a clock's budget changes the result");
    c.asked = 0;
    CHECK(drl_sampler_run_until(sampler, ticking, &c, 1e9) == DRL_OK, "done already");
    CHECK(!c.asked, "done already, and the clock was asked %d times", c.asked);
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* No clock, no sampler, an energy that fails at the third step. */
static void run_until_fails(void)
{
    setup u;
    drl_sampler *sampler;
    ticks c = { 0, 1, 0 };
    setup_begin(&u, OBJ_SIZE, 1000);
    sampler = sampler_of(&u);
    REFUSED(u.ctx, drl_sampler_run_until(sampler, NULL, &c, 1), DRL_E_ARGUMENT);
    CHECK(drl_sampler_run_until(NULL, ticking, &c, 1) == DRL_E_ARGUMENT, "no sampler");
    c.asked = 0;
    u.o.fail_at = 3;
    CHECK(drl_sampler_run_until(sampler, ticking, &c, 1e9) == DRL_E_IO, "a failing energy");
    CHECK(c.asked == 2, "a failing energy, and the clock was asked %d times", c.asked);
    drl_sampler_destroy(sampler);
    setup_end(&u);
}

/* -- no Langevin steps, K = 0: one draw of N(x_{t+1} + s^2 gradient F(x_{t+1}), s^2 I) a level -- */

static const target no_steps_target = {
    2, 3, { 0.4, 0.6 }, { -0.5, 0.2, 0.9, 0.6, -0.3, -0.8 }, { 0.2, 0.3, 0.1, 0.15, 0.3, 0.2 }
};

/* Four images of 60 levels, x [4 * 3], in double with the sampler's draws. */
static void no_steps_chains(drl_ctx *ctx, const drl_schedule *s, uint64_t seed, double *x)
{
    double gradient[3], scale[3], step;
    float eps[3];
    int t, i, j;
    for (i = 0; i < 4; ++i, x += 3) {
        drl__noise_counter(&seed, ctx, i, 0, eps, 3);
        for (j = 0; j < 3; ++j) x[j] = (double)eps[j];
        for (t = 59; t >= 0; --t) {
            double a = t == 59 ? 1.0 : s->a[t + 1];
            log_density_gradient(&no_steps_target, s, t, x, gradient, scale);
            drl__noise_counter(&seed, ctx, i, 60 - t, eps, 3);
            step = s->s[t + 1];
            for (j = 0; j < 3; ++j) x[j] = (x[j] + step * step * gradient[j] + step * (double)eps[j]) / a;
        }
    }
}

/* At once against chains by hand, to 1e-5; level by level through saved states, the same bits. A sampler with
 * one step a level, which has as many steps in all, refuses such a state. */
static void no_steps(void)
{
    static double memory[4 * 61];
    saved_state now;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 2, NULL);
    float at_once[12], sliced[12];
    double x[12];
    drl_sample_desc how;
    drl_schedule s;
    drl_sampler *sampler = NULL;
    drl_mixture m;
    drl_energy e = energy_of(&no_steps_target, &s, &m);
    int i;
    drl__schedule_t1k(60, memory, &s);
    memset(&how, 0, sizeof how);
    how.count = 4;
    how.seed = 5;
    how.steps = -3;                     /* negative: K = 0 */
    no_steps_chains(ctx, &s, how.seed, x);
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    CHECK(drl_sampler_steps_left(sampler) == 60, "%d steps", drl_sampler_steps_left(sampler));
    CHECK_OK(ctx, drl_sampler_run(sampler, 100));
    images_of(sampler, 4, 3, at_once);
    drl_sampler_destroy(sampler);
    for (i = 0; i < 12; ++i)
        CHECK(fabs((double)at_once[i] - x[i]) < 1e-5 * (1 + fabs(x[i])),
              "K = 0, pixel %d: %.7f, by hand %.7f", i, (double)at_once[i], x[i]);

    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    for (i = 0; i < 60; ++i) {
        drl_sampler_run(sampler, 1);
        now = state_of_sampler(sampler);
        drl_sampler_destroy(sampler);
        CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
        CHECK_OK(ctx, drl_sampler_restore(sampler, now.bytes, now.size));
        if (i < 59) state_free(&now);
    }
    CHECK_OK(ctx, drl_sampler_run(sampler, 100));
    images_of(sampler, 4, 3, sliced);
    drl_sampler_destroy(sampler);
    CHECK(!memcmp(at_once, sliced, sizeof sliced), "K = 0: in slices other bits");

    how.steps = 1;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    REFUSED(ctx, drl_sampler_restore(sampler, now.bytes, now.size), DRL_E_FORMAT);
    state_free(&now);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

/* On the fine schedule, where s is small, K = 0 reaches the data's own mean and variance, within four
 * standard errors of 2000 samples. */
static void no_steps_reach_the_data(void)
{
    enum { COUNT = 2000 };
    static double memory[4 * 1001];
    static float x[COUNT];
    const target g = { 1, 1, { 1 }, { 0.7 }, { 0.25 } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 2, NULL);
    double mean = 0, var = 0;
    drl_sample_desc how;
    drl_schedule s;
    drl_sampler *sampler = NULL;
    drl_mixture m;
    drl_energy e = energy_of(&g, &s, &m);
    int i;
    drl__schedule_t1k(1000, memory, &s);
    memset(&how, 0, sizeof how);
    how.count = COUNT;
    how.seed = 5;
    how.steps = -1;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, &s, &how, &sampler));
    CHECK_OK(ctx, drl_sampler_run(sampler, 1000));
    for (i = 0; i < COUNT; ++i) {
        drl_sampler_image(sampler, i, x + i);
        mean += (double)x[i] / COUNT;
    }
    for (i = 0; i < COUNT; ++i) var += ((double)x[i] - mean) * ((double)x[i] - mean) / (COUNT - 1);
    expect_within("K = 0, T1k: mean", mean, 0.7, sqrt(0.25 / COUNT));
    expect_within("K = 0, T1k: variance", var, 0.25, 0.25 * sqrt(2.0 / COUNT));
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

/* -- images and points -- */

static drl_status flat_eval(void *user, int n, const float *y, const int *level, const int *label,
                            float *f, float *gradient)
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
    double memory[5 * 4];
    drl_energy e;
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    drl_status status = DRL_RUNNING;
    drl_ctx *ctx = NULL;
    int step = 0;
    CHECK_OK(ctx, drl_ctx_create(NULL, &ctx));
    CHECK_OK(ctx, drl__schedule_drl(3, memory, &s));
    memset(&e, 0, sizeof e);
    e.eval = flat_eval;
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
            CHECK(fabs((double)y[j] - scale * (double)x[j]) <= 1e-6 * fabs((double)y[j]),
                  "step %d: point %g, image %g, scale %g", step, (double)y[j], (double)x[j], scale);
        status = drl_sampler_run(sampler, 1);
    }
    CHECK(step == 6, "%d steps", step);
    drl_sampler_destroy(sampler);
    drl_ctx_destroy(ctx);
}

/* Four times: with and without proposals, guidance and denoising; with and without a known part. */
static void object_parts(void)
{
    PART(slices());
    PART(states_restored());
    PART(states_refused());
    PART(states_impossible());
    PART(states_damaged());
    PART(states_of_others());
    PART(states_of_many_steps());
    PART(passes());
    PART(passes_restored());
    PART(passes_refused());
    PART(sampler_misused());
    PART(same_bits());
}

/* Twice: with and without proposals, guidance and denoising. */
static void cooperative_parts(void)
{
    PART(holding());
    PART(holding_refused());
    PART(one_by_one());
    PART(labels_matter());
    PART(starts());
    PART(starts_refused());
    PART(descriptions_refused());
    PART(sampler_arguments_missing());
    PART(energy_fails());
    PART(chain_leaves_the_numbers());
    PART(denoising_and_proposals_fail());
    PART(sampler_allocations());
    PART(interpolated_samples());
    PART(run_until());
    PART(run_until_fails());
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    test_seed = 7;
    PART(points_and_images());
    PART(schedule_drl());
    PART(schedule_t1k());
    PART(schedule_cdrl());
    PART(schedule_shifted());
    PART(level_values());
    PART(schedules_refused());
    PART(schedule_of_given_noise());
    PART(given_noise_refused());
    PART(no_steps());
    PART(no_steps_reach_the_data());
    PART(mixture());
    PART(one_step());
    PART(langevin_calls());
    PART(gaussian());
    PART(progressive());
    PART(one_level());
    PART(sums_of_sums());
    PART(sums_with_labels());
    PART(sums_refused());
    PART(sum_allocations());
    PART(shared_terms());
    PART(complete_gaussian());
    PART(complete_mixture());
    PART(seam());
    PART(interpolated_draws());
    obj_fill();
    PART(sentences_of_parts());
    PART(sentences_of_sums());
    PART(sentences_of_descriptions());
    PART(sentences_of_samplers());
    for (cooperative = 0; cooperative < 2; ++cooperative) {
        for (inpainting = 0; inpainting < 2; ++inpainting) object_parts();
        inpainting = 0;
        cooperative_parts();
    }
    cooperative = 0;
    PART(chains_by_hand());
    PART(strides_in_pieces());
    PART(guidance());
    CHECK(jobs_watched > 100 || !WATCHES || check_only, "%ld calls of the job system watched", jobs_watched);
    CHECK(!watch_count, "%d blocks are left", watch_count);
    return check_report("test_sample");
}
