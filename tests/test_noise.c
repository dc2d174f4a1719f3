/* test_noise.c - bench/noise.h on Gaussian data, for which the best estimate of the noise is known. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../bench/noise.h"
#include "check.h"
#include "fixture.h"

#define SIZE   6
#define IMAGES 2000

static const double mean[SIZE] = { 0.5, -0.2, 0, 0.9, -0.8, 0.1 };
static const double variance[SIZE] = { 0.3, 0.01, 1, 0.05, 0.5, 0.1 };

typedef struct gauss { const drl_schedule *schedule; drl_energy exact; } gauss;

/* The best score of x_t, of which label 2 gets half. */
static drl_status score(void *user, int n, const float *y, const int *level, const int *label, float *f,
                        float *gradient)
{
    const gauss *g = (const gauss *)user;
    drl_status status = g->exact.eval(g->exact.user, n, y, level, label, f, gradient);
    int i, j;
    for (i = 0; i < n; ++i)
        for (j = 0; j < SIZE && label && label[i] == 2; ++j) gradient[i * SIZE + j] *= 0.5f;
    return status;
}

/* The best score of an energy with K = 0: at x_t it is that of level t - 1. */
static drl_status score_above(void *user, int n, const float *y, const int *level, const int *label, float *f,
                              float *gradient)
{
    const drl_schedule *s = ((const gauss *)user)->schedule;
    int i, j;
    (void)f;
    for (i = 0; i < n * SIZE; ++i) {
        double abar = s->abar[level[i / SIZE] + 1];
        j = i % SIZE;
        gradient[i] = (float)(-((double)y[i] - abar * mean[j]) / (1 - abar * abar * (1 - variance[j])));
        if (label && label[i / SIZE] == 2) gradient[i] *= 0.5f;
    }
    return DRL_OK;
}

/* a E(x_t | x_{t+1}): x_t is Gaussian, and x_{t+1} = b x_t + noise. Label 2: of an x_0 that is 0.1 sbar /
 * abar too large, as if eps were 0.1 smaller. */
static drl_status propose(void *user, int n, const float *x, const int *level, const int *label, float *out)
{
    const drl_schedule *s = ((const gauss *)user)->schedule;
    int i;
    for (i = 0; i < n * SIZE; ++i) {
        int t = level[i / SIZE], j = i % SIZE;
        double now = s->abar[t], next = s->abar[t + 1], b = s->a[t + 1];
        double v = 1 - now * now * (1 - variance[j]);
        double x_t = now * mean[j] + b * v / (b * b * v + 1 - b * b) * ((double)x[i] - next * mean[j]);
        if (label && label[i / SIZE] == 2)      /* E(x_t | x_0, x_{t+1}) of that x_0 */
            x_t += 0.1 * sqrt(1 - next * next) / next * now * (1 - b * b) / (1 - next * next);
        out[i] = (float)(x_t * (t == s->levels - 1 ? 1.0 : b));
    }
    return DRL_OK;
}

/* What noise_left_at finds at each level (at every 13th of many) against the sum of the same squares in
 * double, over the same draws: floats leave 1e-4 of it. Without labels the score is the best one, so the sum
 * is the least that can be left, within 10 % for 2,000 images. none: an energy of K = 0, without an
 * initializer. */
static void gaussian(drl_ctx *ctx, const drl_schedule *s, int none, int batch, int labelled)
{
    static float x0[IMAGES * SIZE];
    static int label[IMAGES];
    static const double one[1] = { 1 };
    drl_mixture m;
    drl_energy e;
    drl_rng rng = { 5, 0, 0 };
    gauss g;
    int t, i, j;
    m.schedule = s;
    m.size = SIZE;
    m.components = 1;
    m.weight = one;
    m.mean = mean;
    m.variance = variance;
    g.schedule = s;
    g.exact = e = drl_mixture_energy(&m);
    e.eval = none ? score_above : score;
    e.propose = propose;
    e.user = &g;
    e.batch = batch;
    drl_rng_normals(ctx, &rng, x0, IMAGES * SIZE);
    for (i = 0; i < IMAGES * SIZE; ++i)
        x0[i] = (float)(mean[i % SIZE] + sqrt(variance[i % SIZE]) * (double)x0[i]);
    for (i = 0; i < IMAGES; ++i) label[i] = 1 + i % 2;
    for (t = 0; t <= s->levels; t += s->levels > 6 ? 13 : 1) {
        double abar = s->abar[t], sbar = sqrt(1 - abar * abar), energy = 0, initializer = 0, best = 0;
        noise_left left;
        const int *labels = labelled ? label : NULL;
        CHECK(noise_left_at(ctx, &e, s, none ? -1 : 3, t, IMAGES, x0, labels, 9, &left) == DRL_OK,
              "level %d", t);
        for (i = 0; i < IMAGES; ++i) {
            float eps[SIZE];
            int second = labelled && label[i] == 2;
            rng.seed = 9;
            rng.stream = (uint64_t)i << 32 | (uint64_t)t;
            rng.position = 0;
            drl_rng_normals(ctx, &rng, eps, SIZE);
            for (j = 0; j < SIZE; ++j) {
                double x = abar * (double)x0[i * SIZE + j] + sbar * (double)eps[j];
                double v = abar * abar * variance[j] + sbar * sbar, hat = sbar * (x - abar * mean[j]) / v;
                energy += pow((second ? 0.5 : 1.0) * hat - (double)eps[j], 2) / (IMAGES * SIZE);
                initializer += pow(hat - (second ? 0.1 : 0.0) - (double)eps[j], 2) / (IMAGES * SIZE);
                best += abar * abar * variance[j] / v / (IMAGES * SIZE);
            }
        }
        if (t == (none ? 0 : s->levels)) CHECK(left.energy < 0, "T = %d: energy of level %d", s->levels, t);
        else CHECK(fabs(left.energy - energy) < 1e-4 * energy,
                   "T = %d, level %d: energy leaves %.6f, not %.6f", s->levels, t, left.energy, energy);
        if (none || !t) CHECK(left.initializer < 0, "T = %d: an initializer at level %d", s->levels, t);
        else CHECK(fabs(left.initializer - initializer) < 2e-4 * initializer + 1e-5,
                   "T = %d, level %d: initializer leaves %.6f, not %.6f",
                   s->levels, t, left.initializer, initializer);
        if (labelled) continue;
        CHECK(fabs(energy - best) < 0.1 * best, "level %d: %.5f is left, %.5f is expected", t, energy, best);
    }
}

/* Batches of 7 and of 1000 images, without labels and with them. */
static void test_drl(drl_ctx *ctx)
{
    static double memory[5 * 48];
    drl_schedule s;
    drl__schedule_drl(6, memory, &s);
    gaussian(ctx, &s, 0, 7, 0);
    gaussian(ctx, &s, 0, 1000, 1);
}

static void test_cdrl(drl_ctx *ctx)
{
    static double memory[5 * 48];
    drl_schedule s;
    int labelled;
    drl__schedule_cdrl(6, memory, &s);
    for (labelled = 0; labelled < 2; ++labelled) gaussian(ctx, &s, 0, 1000, labelled);
}

static void test_shifted(drl_ctx *ctx)
{
    static double memory[5 * 48];
    drl_schedule s;
    int labelled;
    drl__schedule_shifted(40, memory, &s);
    for (labelled = 0; labelled < 2; ++labelled) gaussian(ctx, &s, 0, 1000, labelled);
}

static void test_t1k(drl_ctx *ctx)
{
    static double memory[5 * 48];
    drl_schedule s;
    int labelled;
    drl__schedule_t1k(40, memory, &s);
    for (labelled = 0; labelled < 2; ++labelled) gaussian(ctx, &s, 1, 1000, labelled);
}

/* A failure of the energy comes back. */
static void test_failure(drl_ctx *ctx)
{
    static double memory[5 * 48];
    static const double one[1] = { 1 };
    drl_schedule s, wrong;
    drl_mixture m;
    drl_energy e;
    noise_left left;
    float x[SIZE] = { 0 };
    drl__schedule_drl(6, memory, &s);
    wrong = s;
    wrong.levels = 0;
    m.schedule = &wrong;
    m.size = SIZE;
    m.components = 1;
    m.weight = one;
    m.mean = mean;
    m.variance = variance;
    e = drl_mixture_energy(&m);
    CHECK(noise_left_at(ctx, &e, &s, 3, 1, 1, x, NULL, 1, &left) == DRL_E_ARGUMENT, "no failure");
}

int main(int argc, char **argv)
{
    drl_ctx *ctx;
    if (check_words(argc, argv)) return 2;
    ctx = context(DRL_ISA_AUTO, 1, NULL);
    PART(test_drl(ctx));
    PART(test_cdrl(ctx));
    PART(test_shifted(ctx));
    PART(test_t1k(ctx));
    PART(test_failure(ctx));
    drl_ctx_destroy(ctx);
    return check_report("test_noise");
}
