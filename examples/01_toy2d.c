/* 01_toy2d.c - diffusion recovery likelihood where everything can be seen: points of the plane, a checkerboard and rings.
 *
 * Shows: a model of plain vectors (1 x 1 images of 2 channels) in both forms, training at a falling rate, a sampler watched level by level,
 * and the learned energy as what it is, a density.
 *
 *     cc -O2 examples/01_toy2d.c -o toy2d -lm
 *     ./toy2d [--form drl|cdrl] [--steps N] [--k K] [--b2 X] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]
 *
 * Writes PREFIX-checkerboard.png and PREFIX-rings.png (or .ppm). A column is a noise level, 0 (data) to 5. The rows: data with that much
 * noise; the model's density exp(F), normalised on the panel; samples on their way from pure noise (right) to data (left). Below each
 * column stands the mean log density of the data, in nats, under the model.
 * About 25 seconds a data set on one core.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include <math.h>

#define BATCH   64
#define LEVELS  6
#define SAMPLES 4000
#define PANEL   96                  /* pixels of a panel, and points of the grid on which the energy is evaluated */
#define RANGE   2.0f                /* both data sets fill [-2, 2]^2: level 1 has noise 0.32, which is then less than a square or a gap */

typedef struct plan { drl_form form; int steps, k; double b2; uint64_t seed; const char *prefix; } plan;

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

/* exp(F) / Z, Z being the sum over the panel; *nats <- mean log density of the data. Brightest is twice the mean density of the data. */
static drl_status draw_density(picture *p, int x, int y, const drl_energy *energy, const drl_schedule *s, int t, const float *data, double *nats)
{
    static float grid[PANEL * PANEL][2], f[PANEL * PANEL], at[SAMPLES];
    double half = window(s, t), most, z = 0, top = 0;
    drl_status status = evaluate(energy, s, t, data, SAMPLES, at);
    int i;
    for (i = 0; i < PANEL * PANEL; ++i) {
        grid[i][0] = (float)(half * ((2 * (i % PANEL) + 1.0) / PANEL - 1));
        grid[i][1] = (float)(half * ((2 * (i / PANEL) + 1.0) / PANEL - 1));
    }
    if (status == DRL_OK) status = evaluate(energy, s, t, &grid[0][0], PANEL * PANEL, f);
    if (status != DRL_OK) return status;
    for (i = 0, most = (double)f[0]; i < PANEL * PANEL; ++i) if ((double)f[i] > most) most = (double)f[i];
    for (i = 0; i < PANEL * PANEL; ++i) z += exp((double)f[i] - most);
    z *= 4 * half * half / (PANEL * PANEL);
    for (i = 0, *nats = 0; i < SAMPLES; ++i) *nats += ((double)at[i] - most - log(z)) / SAMPLES;
    for (i = 0; i < SAMPLES; ++i) top += 2 * exp((double)at[i] - most) / z / SAMPLES;
    for (i = 0; i < PANEL * PANEL; ++i) f[i] = (float)(exp((double)f[i] - most) / z);
    picture_heat_map(p, x, y, f, PANEL, PANEL, top, 1);
    return status;
}

/* The rate falls to zero over the last two thirds: that is what makes the board crisp. */
static drl_status train(drl_ctx *ctx, drl_model *model, const char *name, void (*draw)(drl_rng *, float *), const plan *p)
{
    drl_trainer *trainer = NULL;
    drl_train_report report;
    drl_train_desc d;
    drl_status status;
    double start = seconds_now();
    int i, k;
    memset(&d, 0, sizeof d);
    d.seed = p->seed;
    d.batch = BATCH;
    d.learning_rate = 1e-3f;
    d.warmup = 200;
    d.ema = 0.995f;
    d.data_noise = 0.02f;
    status = drl_trainer_create(model, &d, &trainer);
    for (i = 0; i < p->steps && status == DRL_OK; ++i) {
        drl_rng rng = drl_trainer_rng(trainer);                 /* fresh points each step */
        float x0[2 * BATCH];
        double left = 1.5 * (1 - (double)i / p->steps);
        for (k = 0; k < BATCH; ++k) draw(&rng, x0 + 2 * k);
        status = drl_trainer_set_rate(trainer, left < 1 ? left : 1);
        if (status == DRL_OK) status = drl_trainer_step(trainer, x0, NULL, &report);
        if (status == DRL_E_DIVERGED) {                         /* back to the last good state, at half the rate */
            printf("\n%s\n", drl_ctx_message(ctx));
            drl_ctx_clear(ctx);
            status = drl_trainer_rollback(trainer);
        } else if (status == DRL_OK && (i + 1) % 100 == 0) {
            printf("\r%s: step %d of %d, loss %+.4f, %.0f s ", name, i + 1, p->steps, report.loss, seconds_now() - start);
            fflush(stdout);
        }
    }
    if (status == DRL_OK) status = drl_trainer_swap_average(trainer);
    drl_trainer_destroy(trainer);
    printf("\n");
    return status;
}

static drl_status run(drl_ctx *ctx, const char *name, void (*draw)(drl_rng *, float *), const plan *how)
{
    static float data[SAMPLES * 2], x[SAMPLES * 2];
    picture p = picture_create(LEVELS * (PANEL + 4) + 4, 3 * (PANEL + 4) + 20, 0x303030ffu);
    drl_model_desc md;
    drl_sample_desc sd;
    drl_model *model = NULL;
    drl_sampler *sampler = NULL;
    drl_status status;
    char text[1024];
    int i, t;
    memset(&md, 0, sizeof md);
    md.height = 1; md.channels = 2;
    md.form = how->form;
    md.base = 8; md.mult[0] = 8; md.blocks = 2;                 /* two blocks 64 wide */
    md.steps = how->k;
    md.b2 = how->b2;                                           /* longer steps than for images: there is less to get wrong in a plane */
    md.noise_scale = 1;
    md.no_spectral = 1;                                         /* in two dimensions the bound on slopes costs more than it protects */
    md.batch = BATCH;
    md.trainable = 1;
    memset(&sd, 0, sizeof sd);
    sd.count = SAMPLES;
    sd.seed = how->seed;
    status = drl_model_create(ctx, &md, how->seed, &model);
    if (status == DRL_OK) status = train(ctx, model, name, draw, plan);
    if (status == DRL_OK) status = drl_sampler_create(model, &sd, &sampler);
    for (t = LEVELS - 1; t >= 0 && status == DRL_OK; --t) {
        const drl_schedule *s = drl_model_schedule(model);
        drl_energy energy = drl_model_energy(model);
        int left = 4 + t * (PANEL + 4);
        double nats = 0;
        drl_rng rng = { 7, 0, 0 };
        drl_rng_normals(ctx, &rng, x, 2 * SAMPLES);
        for (i = 0; i < SAMPLES; ++i) draw(&rng, data + 2 * i);
        for (i = 0; i < 2 * SAMPLES; ++i) data[i] = (float)(s->abar[t] * (double)data[i] + s->sbar[t] * (double)x[i]);
        status = drl_sampler_run(sampler, how->k);             /* one level: from x_{t+1} to x_t */
        if (status == DRL_RUNNING) status = DRL_OK;
        for (i = 0; i < SAMPLES && status == DRL_OK; ++i) status = drl_sampler_image(sampler, i, x + 2 * i);
        if (status == DRL_OK) status = draw_density(&p, left, PANEL + 8, &energy, s, t, data, &nats);
        draw_points(&p, left, 4, data, window(s, t));
        draw_points(&p, left, 2 * PANEL + 12, x, window(s, t));
        snprintf(text, sizeof text, "t=%d %.2f", t, nats);
        picture_text(&p, left + 2, 3 * PANEL + 18, text, 0xffffffffu, 2);
    }
    if (snprintf(text, sizeof text, "%s-%s", how->prefix, name) >= (int)sizeof text) status = DRL_E_ARGUMENT;
    if (status != DRL_OK) fprintf(stderr, "%s: %s: %s\n", name, drl_status_text(status), drl_ctx_message(ctx));
    else if (!picture_save(ctx, &p, text, 0)) status = DRL_E_IO;
    drl_sampler_destroy(sampler);
    drl_model_destroy(model);
    picture_destroy(&p);
    return status;
}

int main(int argc, char **argv)
{
    static const char usage[] = "toy2d [--form drl|cdrl] [--steps N] [--k K] [--b2 X] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n";
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    const char *form = option_text(&o, "--form", "drl");
    plan p;
    int failed;
    p.form = strcmp(form, "drl") ? DRL_FORM_CDRL : DRL_FORM_DRL;
    p.steps = option_int(&o, "--steps", 2500);
    p.k = option_int(&o, "--k", 100);
    p.b2 = option_number(&o, "--b2", 5e-3);
    p.seed = (uint64_t)option_int(&o, "--seed", 1);
    p.prefix = option_text(&o, "--out", "toy2d");
    if (options_rest(&o, usage) || p.steps < 1 || p.k < 1 || !(p.b2 > 0) || (strcmp(form, "drl") && strcmp(form, "cdrl"))) { fputs(usage, stderr); return 2; }
    failed = run(ctx, "checkerboard", checkerboard, &p) != DRL_OK || run(ctx, "rings", rings, &p) != DRL_OK;
    drl_ctx_destroy(ctx);
    return failed;
}
