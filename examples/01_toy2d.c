/* 01_toy2d.c - diffusion recovery likelihood where everything can be seen: points of the plane, a checkerboard and rings.
 *
 * Shows: a model of plain vectors (1 x 1 images of 2 channels) in both forms, training at a falling rate, a sampler watched level by level,
 * and the learned energy as what it is, a density.
 *
 *     cc -O2 examples/01_toy2d.c -o toy2d -lm
 *     ./toy2d [--form drl|cdrl] [--steps N] [--k K] [--b2 X] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]
 *
 * Writes PREFIX-checkerboard.png and PREFIX-rings.png (or .ppm). A column is a noise level, 0 (data) to 5. The rows: data with that much
 * noise; the model's density exp(F / tau), normalised on the panel; samples on their way from pure noise (right) to data (left). tau is
 * the temperature at which the data is most likely: 1 where the energy is a log density, as it is (within 5 %) but for level 0. There a
 * step is small against the noise that has to go, sbar_t being what steps grow with, and so short a chain needs an energy far steeper.
 * CDRL's initializer starts chains at the mean of what is likely, which in a plane full of gaps is often a gap: more steps, softer edges.
 * About 25 seconds a data set on one core.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include <math.h>

#define BATCH   64
#define LEVELS  6
#define SAMPLES 3000                /* at most PANEL * PANEL */
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

/* F = f / step_t^2 at n points x_t of level t: it lives on y = a_{t+1} x. */
static drl_status evaluate(drl_model *model, int t, const float *x, int n, double *F)
{
    static float y[2 * PANEL * PANEL], level[PANEL * PANEL], f[PANEL * PANEL];
    const drl_schedule *s = drl_model_schedule(model);
    double step = drl_schedule_step(s, t);
    drl_status status;
    int i;
    for (i = 0; i < 2 * n; ++i) y[i] = (float)(drl_schedule_scale(s, t) * (double)x[i]);
    for (i = 0; i < n; ++i) level[i] = drl_schedule_level(s, t);
    status = drl_model_f(model, n, y, level, NULL, f, NULL);
    for (i = 0; i < n; ++i) F[i] = (double)f[i] / (step * step);
    return status;
}

/* exp(F / tau) / Z, Z being the integral over the panel, with the tau under which the data is most likely; its mean log density -> *nats. */
static drl_status draw_density(picture *p, int x, int y, drl_model *model, int t, const float *data, double *tau, double *nats)
{
    static float grid[PANEL * PANEL][2], density[PANEL * PANEL];
    static double F[PANEL * PANEL], at[SAMPLES];
    double half = window(drl_model_schedule(model), t), most, mean = 0, z = 1, top = 0, temperature;
    drl_status status = evaluate(model, t, data, SAMPLES, at);
    int i;
    for (i = 0; i < PANEL * PANEL; ++i) {
        grid[i][0] = (float)(half * ((2 * (i % PANEL) + 1.0) / PANEL - 1));
        grid[i][1] = (float)(half * ((2 * (i / PANEL) + 1.0) / PANEL - 1));
    }
    if (status == DRL_OK) status = evaluate(model, t, &grid[0][0], PANEL * PANEL, F);
    if (status != DRL_OK) return status;
    for (i = 1, most = F[0]; i < PANEL * PANEL; ++i) if (F[i] > most) most = F[i];
    for (i = 0; i < SAMPLES; ++i) mean += (at[i] - most) / SAMPLES;
    for (temperature = 0.5, *nats = -HUGE_VAL; temperature < 200; temperature *= 1.05) {
        double sum = 0;
        for (i = 0; i < PANEL * PANEL; ++i) sum += exp((F[i] - most) / temperature) * 4 * half * half / (PANEL * PANEL);
        if (mean / temperature - log(sum) > *nats) { *nats = mean / temperature - log(sum); *tau = temperature; z = sum; }
    }
    for (i = 0; i < SAMPLES; ++i) top += 1.5 * exp((at[i] - most) / *tau) / z / SAMPLES;       /* the brightest: half as much again as the data's mean */
    for (i = 0; i < PANEL * PANEL; ++i) density[i] = (float)(exp((F[i] - most) / *tau) / z);
    picture_heat_map(p, x, y, density, PANEL, PANEL, top, 1);
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
    int i, k, rollbacks = 0;
    memset(&d, 0, sizeof d);
    d.seed = p->seed;
    d.batch = BATCH;
    d.learning_rate = p->form == DRL_FORM_DRL ? 7e-4f : 5e-4f;
    d.warmup = 200;
    d.data_noise = 0.02f;
    status = drl_trainer_create(model, &d, &trainer);
    for (i = 0; i < p->steps && status == DRL_OK; ++i) {
        drl_rng rng = drl_trainer_rng(trainer);                 /* fresh points each step */
        float x0[2 * BATCH];
        double left = 1.5 * (1 - (double)i / p->steps);
        for (k = 0; k < BATCH; ++k) draw(&rng, x0 + 2 * k);
        status = drl_trainer_set_rate(trainer, left < 1 ? left : 1);
        if (status == DRL_OK) status = drl_trainer_step(trainer, x0, NULL, &report);
        if (status == DRL_E_DIVERGED && rollbacks++ < 20) {     /* back to the last good state, at half the rate */
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
    md.base = 8; md.mult[0] = 8; md.blocks = 3;                 /* three blocks 64 wide */
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
    if (status == DRL_OK) status = train(ctx, model, name, draw, how);
    if (status == DRL_OK) status = drl_sampler_create(model, &sd, &sampler);
    for (t = LEVELS - 1; t >= 0 && status == DRL_OK; --t) {
        const drl_schedule *s = drl_model_schedule(model);
        int left = 4 + t * (PANEL + 4);
        double tau = 1, nats = 0;
        drl_rng rng = { 7, 0, 0 };
        drl_rng_normals(ctx, &rng, x, 2 * SAMPLES);
        for (i = 0; i < SAMPLES; ++i) draw(&rng, data + 2 * i);
        for (i = 0; i < 2 * SAMPLES; ++i) data[i] = (float)(s->abar[t] * (double)data[i] + s->sbar[t] * (double)x[i]);
        status = drl_sampler_run(sampler, how->k);             /* one level: from x_{t+1} to x_t */
        if (status == DRL_RUNNING) status = DRL_OK;
        for (i = 0; i < SAMPLES && status == DRL_OK; ++i) status = drl_sampler_image(sampler, i, x + 2 * i);
        if (status == DRL_OK) status = draw_density(&p, left, PANEL + 8, model, t, data, &tau, &nats);
        picture_points(&p, left, 4, PANEL, data, SAMPLES, window(s, t));
        picture_points(&p, left, 2 * PANEL + 12, PANEL, x, SAMPLES, window(s, t));
        printf("%s, level %d: tau %.2f, mean log density of the data %.3f\n", name, t, tau, nats);
        snprintf(text, sizeof text, "t=%d tau=%.1f", t, tau);
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
    p.steps = option_int(&o, "--steps", p.form == DRL_FORM_DRL ? 16000 : 10000);
    p.k = option_int(&o, "--k", p.form == DRL_FORM_DRL ? 6 : 10);
    p.b2 = option_number(&o, "--b2", p.form == DRL_FORM_DRL ? 5e-3 : 3e-3);
    p.seed = (uint64_t)option_int(&o, "--seed", 1);
    p.prefix = option_text(&o, "--out", "toy2d");
    if (options_rest(&o, usage) || p.steps < 1 || p.k < 1 || !(p.b2 > 0) || (strcmp(form, "drl") && strcmp(form, "cdrl"))) { fputs(usage, stderr); return 2; }
    failed = run(ctx, "checkerboard", checkerboard, &p) != DRL_OK || run(ctx, "rings", rings, &p) != DRL_OK;
    drl_ctx_destroy(ctx);
    return failed;
}
