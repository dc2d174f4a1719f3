/* 01_toy2d.c - diffusion recovery likelihood where everything can be seen: points of the plane, a checkerboard and rings.
 *
 * Shows: a model of plain vectors (1 x 1 images of 2 channels), training in three rounds of falling learning rate, a sampler watched
 * level by level, and the learned energy itself.
 *
 *     cc -O2 examples/01_toy2d.c -o toy2d -lm
 *     ./toy2d [--steps N] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]
 *
 * Writes PREFIX-checkerboard.png and PREFIX-rings.png (or .ppm). A column is a noise level, 0 (data) to 5. The rows: data with that much
 * noise; samples on their way from pure noise (right) to data (left); exp(F / tau), the landscape that the energy has learned. tau is
 * the standard deviation of F over the data. The density of a Gaussian of the plane has tau = 1; chains as short as these (6 steps) need
 * a steeper energy than the density has, most of all at level 0, so its landscape is drawn at temperature tau, which stands under it.
 * About 25 seconds a data set on one core.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include <math.h>

#define BATCH   64
#define ROUNDS  3
#define STEPS   6                   /* Langevin steps a level */
#define SAMPLES 2000
#define PANEL   96                  /* pixels of a panel, and points of the grid on which the energy is evaluated */
#define RANGE   2.0f                /* both data sets fill [-2, 2]^2: level 1 has noise 0.32, which is then less than a square or a gap */

static void checkerboard(drl_rng *rng, float *xy)               /* 8 squares of a 4 x 4 board */
{
    int cell = drl_rng_below(rng, 8), row = cell / 2, column = 2 * (cell % 2) + row % 2;
    xy[0] = RANGE * (0.5f * ((float)column + drl_rng_uniform(rng)) - 1.0f);
    xy[1] = RANGE * (0.5f * ((float)row + drl_rng_uniform(rng)) - 1.0f);
}

static void rings(drl_rng *rng, float *xy)                      /* two circles, the outer one with twice the points */
{
    static const float radius[3] = { 0.45f, 1.0f, 1.0f };
    float r = RANGE * (radius[drl_rng_below(rng, 3)] + 0.06f * (drl_rng_uniform(rng) + drl_rng_uniform(rng) - 1.0f)), angle = 6.2831853f * drl_rng_uniform(rng);
    xy[0] = r * cosf(angle);
    xy[1] = r * sinf(angle);
}

/* Half the width of what is shown of level t, in units of x_t. */
static double window(const drl_schedule *s, int t) { return 1.15 * (double)RANGE * s->abar[t] + 2.2 * s->sbar[t]; }

static void draw_points(picture *p, int x, int y, const float *xy, double half)
{
    int i;
    picture_fill(p, x, y, PANEL, PANEL, 0x000006ffu);
    for (i = 0; i < SAMPLES; ++i) {
        double u = ((double)xy[2 * i] / half + 1) * 0.5 * PANEL, v = (1 - (double)xy[2 * i + 1] / half) * 0.5 * PANEL;
        if (u >= 0 && u < PANEL && v >= 0 && v < PANEL) picture_fill(p, x + (int)u, y + (int)v, 1, 1, 0xfcc060ffu);
    }
}

/* F at n points x_t of level t: it lives on y = a_{t+1} x. */
static drl_status evaluate(const drl_energy *energy, const drl_schedule *s, int t, const float *x, int n, float *f)
{
    float y[2 * BATCH];
    int level[BATCH], i, j, m;
    drl_status status = DRL_OK;
    for (i = 0; i < n && status == DRL_OK; i += m) {
        m = n - i < BATCH ? n - i : BATCH;
        for (j = 0; j < m; ++j) level[j] = t;
        for (j = 0; j < 2 * m; ++j) y[j] = (float)(drl_schedule_scale(s, t) * (double)x[2 * i + j]);
        status = energy->eval(energy->user, m, y, level, NULL, f + i, NULL);
    }
    return status;
}

static drl_status draw_energy(picture *p, int x, int y, const drl_energy *energy, const drl_schedule *s, int t, const float *data, double *tau)
{
    static float grid[PANEL * PANEL][2], f[PANEL * PANEL];
    double half = window(s, t), mean = 0, square = 0;
    drl_status status = evaluate(energy, s, t, data, SAMPLES, f);
    int i;
    if (status != DRL_OK) return status;
    for (i = 0; i < SAMPLES; ++i) mean += (double)f[i] / SAMPLES;
    for (i = 0; i < SAMPLES; ++i) square += ((double)f[i] - mean) * ((double)f[i] - mean) / SAMPLES;
    *tau = sqrt(square) > 1e-6 ? sqrt(square) : 1e-6;
    for (i = 0; i < PANEL * PANEL; ++i) {
        grid[i][0] = (float)(half * ((2 * (i % PANEL) + 1.0) / PANEL - 1));
        grid[i][1] = (float)(half * ((2 * (i / PANEL) + 1.0) / PANEL - 1));
    }
    status = evaluate(energy, s, t, &grid[0][0], PANEL * PANEL, f);
    for (i = 0; i < PANEL * PANEL; ++i) f[i] = (float)exp(((double)f[i] - mean) / *tau);
    picture_heat_map(p, x, y, f, PANEL, PANEL, 2.71828, 1);     /* brightest one tau above the mean of the data */
    return status;
}

/* Three trainers, each with 0.3 of the learning rate of the one before and starting from its averaged weights. */
static drl_status train(drl_model *model, const char *name, void (*draw)(drl_rng *, float *), int steps, uint64_t seed)
{
    drl_status status = DRL_OK;
    double start = seconds_now();
    int round, i, k;
    for (round = 0; round < ROUNDS && status == DRL_OK; ++round) {
        drl_trainer *trainer = NULL;
        drl_train_report report;
        drl_train_desc d;
        memset(&d, 0, sizeof d);
        d.seed = seed + (uint64_t)round;
        d.batch = BATCH;
        d.learning_rate = round == 0 ? 7e-4f : round == 1 ? 2.1e-4f : 6.3e-5f;
        d.warmup = round ? -1 : 300;
        status = drl_trainer_create(model, &d, &trainer);
        for (i = 0; i < steps / ROUNDS && status == DRL_OK; ++i) {
            drl_rng rng = drl_trainer_rng(trainer);             /* fresh points each step */
            float x0[2 * BATCH];
            for (k = 0; k < BATCH; ++k) draw(&rng, x0 + 2 * k);
            status = drl_trainer_step(trainer, x0, NULL, &report);
            if (status == DRL_OK && (i + 1) % 1000 == 0) {
                printf("\r%s: round %d of %d, step %d of %d, loss %+.4f, %.0f s ", name, round + 1, ROUNDS, i + 1, steps / ROUNDS, report.loss, seconds_now() - start);
                fflush(stdout);
            }
        }
        if (status == DRL_OK) status = drl_trainer_swap_average(trainer);
        drl_trainer_destroy(trainer);
    }
    printf("\n");
    return status;
}

static drl_status run(drl_ctx *ctx, const char *name, const char *prefix, void (*draw)(drl_rng *, float *), int steps, uint64_t seed)
{
    static float data[SAMPLES * 2], x[SAMPLES * 2];
    picture p = picture_create(6 * (PANEL + 4) + 4, 3 * (PANEL + 4) + 20, 0x303030ffu);
    drl_model_desc md;
    drl_sample_desc sd;
    drl_model *model = NULL;
    drl_sampler *sampler = NULL;
    drl_status status;
    char text[1024];
    int i, t;

    memset(&md, 0, sizeof md);
    md.height = 1; md.channels = 2;
    md.base = 8; md.mult[0] = 8; md.blocks = 3;                 /* three blocks 64 wide */
    md.steps = STEPS;
    md.b2 = 2e-3;                                               /* longer steps than for images: there is less to get wrong in a plane */
    md.noise_scale = 1;
    md.no_spectral = 1;                                         /* in two dimensions the bound on slopes costs more than it protects */
    md.batch = BATCH;
    md.trainable = 1;
    memset(&sd, 0, sizeof sd);
    sd.count = SAMPLES;
    sd.seed = seed;
    status = drl_model_create(ctx, &md, seed, &model);
    if (status == DRL_OK) status = train(model, name, draw, steps, seed);
    if (status == DRL_OK) status = drl_sampler_create(model, &sd, &sampler);
    for (t = 5; t >= 0 && status == DRL_OK; --t) {
        const drl_schedule *s = drl_model_schedule(model);
        drl_energy energy = drl_model_energy(model);
        int left = 4 + t * (PANEL + 4);
        double tau = 1;
        drl_rng rng = { 7, 0, 0 };
        drl_rng_normals(ctx, &rng, x, 2 * SAMPLES);
        for (i = 0; i < SAMPLES; ++i) draw(&rng, data + 2 * i);
        for (i = 0; i < 2 * SAMPLES; ++i) data[i] = (float)(s->abar[t] * (double)data[i] + s->sbar[t] * (double)x[i]);
        status = drl_sampler_run(sampler, STEPS);               /* one level: from x_{t+1} to x_t */
        if (status == DRL_RUNNING) status = DRL_OK;
        for (i = 0; i < SAMPLES && status == DRL_OK; ++i) status = drl_sampler_image(sampler, i, x + 2 * i);
        if (status == DRL_OK) status = draw_energy(&p, left, 2 * PANEL + 12, &energy, s, t, data, &tau);
        draw_points(&p, left, 4, data, window(s, t));
        draw_points(&p, left, PANEL + 8, x, window(s, t));
        snprintf(text, sizeof text, "t=%d tau=%.1f", t, tau);
        picture_text(&p, left + 2, 3 * PANEL + 18, text, 0xffffffffu, 2);
    }
    if (snprintf(text, sizeof text, "%s-%s", prefix, name) >= (int)sizeof text) status = DRL_E_ARGUMENT;
    if (status != DRL_OK) fprintf(stderr, "%s: %s: %s\n", name, drl_status_text(status), drl_ctx_message(ctx));
    else if (!picture_save(ctx, &p, text, 0)) status = DRL_E_IO;
    drl_sampler_destroy(sampler);
    drl_model_destroy(model);
    picture_destroy(&p);
    return status;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    int steps = option_int(&o, "--steps", 16000), seed = option_int(&o, "--seed", 1), failed;
    const char *prefix = option_text(&o, "--out", "toy2d");
    if (options_rest(&o, "toy2d [--steps N] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n") || steps < ROUNDS) { fprintf(stderr, "--steps 3 or more, and no other words\n"); return 2; }
    failed = run(ctx, "checkerboard", prefix, checkerboard, steps, (uint64_t)seed) != DRL_OK || run(ctx, "rings", prefix, rings, steps, (uint64_t)seed) != DRL_OK;
    drl_ctx_destroy(ctx);
    return failed;
}
