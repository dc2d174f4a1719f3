/* 01_toy2d.c - diffusion recovery likelihood where everything can be seen: points of the plane, a checkerboard and rings.
 *
 * Shows: a model of plain vectors (1 x 1 images of 2 channels), the training loop, a sampler watched level by level, and the learned
 * energy itself. Each picture has a column a noise level and three rows: data with that much noise, samples on their way down from
 * pure noise (right) to data (left), and the density exp(F) that the energy claims, brightest at its maximum.
 *
 *     cc -O2 examples/01_toy2d.c -o toy2d -lm
 *     ./toy2d [--steps N] [--seed N] [--threads N] [--isa NAME] [--out PREFIX]
 *
 * Writes toy2d-checkerboard.png and toy2d-rings.png. About 45 seconds on one core.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include <math.h>

#define BATCH   256
#define SAMPLES 4096
#define PANEL   128                 /* pixels, and points of the grid on which the energy is evaluated */

static void checkerboard(drl_rng *rng, float *xy)               /* 8 dark squares of a 4 x 4 board on [-1, 1]^2 */
{
    int cell = drl_rng_below(rng, 8), row = cell / 2, column = 2 * (cell % 2) + row % 2;
    xy[0] = -1.0f + 0.5f * ((float)column + drl_rng_uniform(rng));
    xy[1] = -1.0f + 0.5f * ((float)row + drl_rng_uniform(rng));
}

static void rings(drl_rng *rng, float *xy)                      /* three circles, equally bright along the line */
{
    static const float radius[6] = { 0.3f, 0.65f, 0.65f, 1.0f, 1.0f, 1.0f };
    float r = radius[drl_rng_below(rng, 6)] + 0.06f * (drl_rng_uniform(rng) + drl_rng_uniform(rng) - 1.0f), angle = 6.2831853f * drl_rng_uniform(rng);
    xy[0] = r * cosf(angle);
    xy[1] = r * sinf(angle);
}

/* Half the width of the window on level t, in units of x_t. */
static double window(const drl_schedule *s, int t) { return 1.15 * s->abar[t] + 2.2 * s->sbar[t]; }

static void draw_points(picture *p, int x, int y, const float *xy, int count, double half)
{
    int i;
    picture_fill(p, x, y, PANEL, PANEL, 0x000006ffu);
    for (i = 0; i < count; ++i) {
        double u = ((double)xy[2 * i] / half + 1) * 0.5 * PANEL, v = (1 - (double)xy[2 * i + 1] / half) * 0.5 * PANEL;
        if (u >= 0 && u < PANEL && v >= 0 && v < PANEL) picture_fill(p, x + (int)u, y + (int)v, 1, 1, 0xfcc060ffu);
    }
}

/* exp(F) on the window of level t. F lives on y = a_{t+1} x. */
static drl_status draw_energy(picture *p, int x, int y, const drl_energy *energy, const drl_schedule *s, int t)
{
    static float point[PANEL][2], f[PANEL * PANEL];
    static int level[PANEL];
    double scale = drl_schedule_scale(s, t), half = window(s, t);
    float top;
    int i, j;
    for (j = 0; j < PANEL; ++j) {
        drl_status status;
        for (i = 0; i < PANEL; ++i) {
            point[i][0] = (float)(scale * half * ((2 * i + 1.0) / PANEL - 1));
            point[i][1] = (float)(scale * half * ((2 * j + 1.0) / PANEL - 1));
            level[i] = t;
        }
        status = energy->eval(energy->user, PANEL, &point[0][0], level, NULL, f + j * PANEL, NULL);
        if (status != DRL_OK) return status;
    }
    for (top = f[0], i = 1; i < PANEL * PANEL; ++i) if (f[i] > top) top = f[i];
    for (i = 0; i < PANEL * PANEL; ++i) f[i] = expf(f[i] - top);
    picture_heat_map(p, x, y, f, PANEL, PANEL, 1.0, 1);
    return DRL_OK;
}

static drl_status run(drl_ctx *ctx, const char *name, const char *prefix, void (*draw)(drl_rng *, float *), int steps, uint64_t seed)
{
    static float x0[SAMPLES * 2], noise[SAMPLES * 2];
    drl_model_desc md;
    drl_train_desc td;
    drl_sample_desc sd;
    drl_train_report report;
    drl_model *model = NULL;
    drl_trainer *trainer = NULL;
    drl_sampler *sampler = NULL;
    drl_status status;
    const drl_schedule *s;
    drl_energy energy;
    picture p = picture_create(6 * (PANEL + 4) + 4, 3 * (PANEL + 4) + 20, 0x303030ffu);
    char text[256];
    double start = seconds_now();
    int i, t;

    memset(&md, 0, sizeof md);
    md.height = 1; md.channels = 2;
    md.base = option_base; md.blocks = option_blocks;
    md.steps = option_k;
    md.b2 = option_b2;
    md.noise_scale = 1;
    md.no_spectral = option_ns;
    md.batch = BATCH;
    md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.seed = seed;
    td.batch = option_batch;
    td.learning_rate = option_lr;
    td.ema = option_ema;
    td.clip = option_clip;
    status = drl_model_create(ctx, &md, seed, &model);
    if (status == DRL_OK) status = drl_trainer_create(model, &td, &trainer);
    for (i = 0; i < steps && status == DRL_OK; ++i) {
        drl_rng rng = drl_trainer_rng(trainer);
        int k;
        for (k = 0; k < td.batch; ++k) draw(&rng, x0 + 2 * k);
        status = drl_trainer_step(trainer, x0, &report);
        if (status == DRL_OK && ((i + 1) % 50 == 0 || i + 1 == steps)) {
            printf("\r%s: step %d of %d, loss %+.4f, %.0f s ", name, i + 1, steps, report.loss, seconds_now() - start);
            fflush(stdout);
        }
    }
    printf("\n");
    for (t = 0; t < 6; ++t) printf("level %d: f+ %.4f f- %.4f grad %.3f disp %.3f\n", t, report.level[t].f_pos, report.level[t].f_neg, report.level[t].gradient, report.level[t].displacement);
    if (status == DRL_OK) status = drl_trainer_swap_average(trainer);

    memset(&sd, 0, sizeof sd);
    sd.count = SAMPLES;
    sd.seed = seed;
    if (status == DRL_OK) status = drl_sampler_create(model, &sd, &sampler);
    if (status == DRL_OK) {
        drl_rng rng = { 7, 7, 0 };
        s = drl_model_schedule(model);
        energy = drl_model_energy(model);
        for (t = s->levels - 1; t >= 0 && (status == DRL_OK || status == DRL_RUNNING); --t) {
            int x = 4 + t * (PANEL + 4);
            drl_rng_normals(ctx, &rng, noise, 2 * SAMPLES);
            for (i = 0; i < SAMPLES; ++i) draw(&rng, x0 + 2 * i);
            for (i = 0; i < 2 * SAMPLES; ++i) x0[i] = (float)(s->abar[t] * (double)x0[i] + s->sbar[t] * (double)noise[i]);
            draw_points(&p, x, 4, x0, SAMPLES, window(s, t));
            status = drl_sampler_run(sampler, md.steps);        /* one level */
            for (i = 0; i < SAMPLES && status <= DRL_RUNNING; ++i) drl_sampler_image(sampler, i, x0 + 2 * i);
            draw_points(&p, x, PANEL + 8, x0, SAMPLES, window(s, t));
            if (status <= DRL_RUNNING) { drl_status drawn = draw_energy(&p, x, 2 * PANEL + 12, &energy, s, t); if (drawn != DRL_OK) status = drawn; }
            snprintf(text, sizeof text, "T = %d", t);
            picture_text(&p, x + 2, 3 * PANEL + 18, text, 0xffffffffu, 2);
        }
    }
    snprintf(text, sizeof text, "%s-%s", prefix, name);
    if (status == DRL_OK && !picture_save(ctx, &p, text, 0)) status = DRL_E_IO;
    else if (status != DRL_OK) fprintf(stderr, "%s: %s\n", name, drl_ctx_message(ctx));
    printf("%.1f s\n", seconds_now() - start);
    drl_sampler_destroy(sampler);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    picture_destroy(&p);
    return status;
}
