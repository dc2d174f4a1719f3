/* 01_toy2d.c - diffusion recovery likelihood in the plane, where everything can be seen: a checkerboard and
 * rings.
 *
 * Shows: a model of plain vectors (1 x 1 images of 2 channels) in both forms, training at a falling rate, a
 * sampler watched level by level, and the learned energy as a density.
 *
 *     cc -O2 examples/01_toy2d.c -o toy2d -lm
 *     ./toy2d [--form drl|cdrl] [--data NAME | --data FILE] [--steps N] [--k K] [--b2 X] [--seed N]
 *             [--out PREFIX] [--resume] [--threads N] [--isa NAME]
 *
 * Writes PREFIX-checkerboard.png and PREFIX-rings.png (or .ppm). A column is a noise level, from 0 (data) to
 * 5. The first row shows data with the noise of the level; the second the model's density exp(F / tau),
 * normalised on the panel; the third samples on their way from pure noise (right) to data (left). That way,
 * a frame for each Langevin step, is PREFIX-checkerboard-grow.png and PREFIX-rings-grow.png.
 * tau is the temperature at which the data is most likely. It is 1 where the energy is a log density, and
 * within 5 % of that on every level but 0. Steps grow with sbar_t, so on level 0 a step is small against the
 * noise that has to go, and a chain this short needs an energy far steeper.
 * CDRL's initializer starts chains at the mean of what is likely. In a plane full of gaps that mean is often
 * in a gap, so CDRL needs more steps and its edges are softer.
 * A data set takes about 25 seconds on one core; --data checkerboard or --data rings trains one of them, and
 * --data FILE one's own points: two columns of CSV ("x,y" on each line) or NPY. They are normalised, each
 * column by its mean and deviation, which PREFIX-points.safetensors keeps; the panels show normalised points,
 * from -2 to 2. The first picture comes after 8 seconds and is drawn again as training goes on. Ctrl-C saves
 * PREFIX-NAME.checkpoint and ends; --data NAME --resume goes on.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "plane.h"

#define LEVELS  6
#define SAMPLES 3000                /* at most PANEL * PANEL */
/* pixels of a panel, and points of the grid on which the energy is evaluated */
#define PANEL   96
/* pixels of the animation, and half the width of what it shows */
#define SIDE    288
#define HALF    2.5

typedef struct plan {
    drl_ctx *ctx;
    drl_form form;
    int steps, k, resume;
    double b2;
    uint64_t seed;
    const char *prefix, *name;
    plane_draw draw;
} plan;

/* The points of --data FILE. */
static drl_vectors *points;

static void draw_point(drl_rng *rng, float *xy)
{
    drl_vectors_batch(points->owner, points, rng, 1, xy);
}

static int load_points(drl_ctx *ctx, const char *file)
{
    drl_vectors_desc d;
    memset(&d, 0, sizeof d);
    d.size = 2;
    if (drl_vectors_load(ctx, &file, 1, &d, &points) != DRL_OK) {
        fprintf(stderr, "--data: %s\n(not a name, so a file: the names are checkerboard and rings)\n",
                drl_ctx_message(ctx));
        return 0;
    }
    printf("%s: %d points, x %g +- %g, y %g +- %g\n", file, points->count, points->mean[0],
           points->deviation[0], points->mean[1], points->deviation[1]);
    return 1;
}

/* Draws exp(F / tau) / Z, where Z is the integral over the panel and tau the temperature at which the data is
 * most likely. *nats receives the data's mean log density. */
static drl_status draw_density(drl_ctx *ctx, picture *p, int x, int y, drl_model *model, int t,
                               const float *data, double *tau, double *nats)
{
    static float density[PANEL * PANEL], work[64 * 2 + SAMPLES];
    static double F[PANEL * PANEL], at[SAMPLES];
    const drl_schedule *s = drl_model_schedule(model);
    drl_energy energy = drl_model_energy(model);
    double a = drl_schedule_scale(s, t), half = a * plane_window(s, t), mean = 0, log_z = 0, z, top = 0,
           temperature;
    drl_grid grid = { 0, 0, 0, 0, PANEL, PANEL };
    /* F at y = a x */
    drl_status status = drl_log_likelihood(ctx, &energy, s, t, NULL, SAMPLES, data, 2 * log(a), at, work);
    int i;
    grid.x0 = grid.y0 = -half;
    grid.x1 = grid.y1 = half;
    if (status == DRL_OK) status = drl_grid_evaluate(ctx, &energy, t, 0, &grid, F);
    if (status != DRL_OK) return status;
    for (i = 0; i < SAMPLES; ++i) mean += at[i] / SAMPLES;
    for (temperature = 0.5, *nats = -HUGE_VAL; temperature < 200; temperature *= 1.05) {
        status = drl_grid_log_z(ctx, &grid, F, 1 / temperature, &z);
        if (status != DRL_OK) return status;
        z -= 2 * log(a);                                        /* densities by x: a^2 times those by y */
        if (mean / temperature - z > *nats) {
            *nats = mean / temperature - z;
            *tau = temperature;
            log_z = z;
        }
    }
    /* the brightest: half as much again as the data's mean */
    for (i = 0; i < SAMPLES; ++i) top += 1.5 * exp(at[i] / *tau - log_z) / SAMPLES;
    for (i = 0; i < PANEL * PANEL; ++i) density[i] = (float)exp(F[i] / *tau - log_z);
    picture_heat_map(p, x, y, density, PANEL, PANEL, top, 1);
    return status;
}

/* One level, x [SAMPLES] from x_{t+1} to x_t. Each step is a frame of `a`, if there is one; the very last is
 * seen for two seconds. */
static drl_status run_level(drl_sampler *sampler, int steps, float *x, picture_animation *a)
{
    drl_status status = DRL_RUNNING;
    int k, i;
    for (k = 0; k < steps && status == DRL_RUNNING; ++k) {
        status = drl_sampler_run(sampler, 1);
        if (status != DRL_OK && status != DRL_RUNNING) break;
        for (i = 0; i < SAMPLES; ++i) drl_sampler_image(sampler, i, x + 2 * i);
        if (a) {
            picture p = picture_create(SIDE, SIDE, 0u);
            picture_points(&p, 0, 0, SIDE, x, SAMPLES, HALF);
            picture_animate(a, &p, status == DRL_OK ? 2000 : 80);
            picture_destroy(&p);
        }
    }
    return status == DRL_RUNNING ? DRL_OK : status;
}

/* The panels of a model: PREFIX-NAME.png, and at the end PREFIX-NAME-grow.png. */
static int panels(void *user, drl_model *model, int last)
{
    static float data[SAMPLES * 2], x[SAMPLES * 2];
    const plan *how = (const plan *)user;
    drl_ctx *ctx = how->ctx;
    picture p = picture_create(LEVELS * (PANEL + 4) + 4, 3 * (PANEL + 4) + 20, 0x303030ffu);
    drl_sample_desc sd;
    drl_sampler *sampler = NULL;
    picture_animation a;
    drl_status status;
    char text[1024];
    int t;
    memset(&a, 0, sizeof a);
    memset(&sd, 0, sizeof sd);
    sd.count = SAMPLES;
    sd.seed = how->seed;
    status = drl_sampler_create(model, &sd, &sampler);
    for (t = LEVELS - 1; t >= 0 && status == DRL_OK; --t) {
        const drl_schedule *s = drl_model_schedule(model);
        int left = 4 + t * (PANEL + 4);
        double tau = 1, nats = 0;
        plane_noisy(ctx, how->draw, s, t, 7, SAMPLES, data);
        status = run_level(sampler, how->k, x, last ? &a : NULL);
        if (status == DRL_OK) status = draw_density(ctx, &p, left, PANEL + 8, model, t, data, &tau, &nats);
        picture_points(&p, left, 4, PANEL, data, SAMPLES, plane_window(s, t));
        picture_points(&p, left, 2 * PANEL + 12, PANEL, x, SAMPLES, plane_window(s, t));
        if (last)
            printf("%s, level %d: tau %.2f, mean log density of the data %.3f\n", how->name, t, tau, nats);
        snprintf(text, sizeof text, "t=%d tau=%.1f", t, tau);
        picture_text(&p, left + 2, 3 * PANEL + 18, text, 0xffffffffu, 2);
    }
    if (status != DRL_OK)
        fprintf(stderr, "%s: %s: %s\n", how->name, drl_status_text(status), drl_ctx_message(ctx));
    else if (!picture_save(ctx, &p, how->prefix, !last)) status = DRL_E_IO;
    if (status == DRL_OK && last) {
        training_path(text, sizeof text, how->prefix, "-grow");
        if (!picture_animation_save(ctx, &a, text, 0)) status = DRL_E_IO;
    }
    free(a.file);
    drl_sampler_destroy(sampler);
    picture_destroy(&p);
    return status == DRL_OK;
}

/* DRL_RUNNING: stopped by Ctrl-C. */
static drl_status run(const char *name, plane_draw draw, const plan *first)
{
    plan how = *first;
    drl_model_desc md = plane_model(how.form, how.k, how.b2);
    training t = plane_training(how.ctx, &md, name, draw, DRL_OBJECTIVE_RECOVERY, how.steps,
                                how.form == DRL_FORM_DRL ? 7e-4f : 5e-4f, how.seed);
    drl_status status;
    char prefix[1024];
    how.name = name;
    how.draw = draw;
    how.prefix = t.prefix = prefix;
    if (snprintf(prefix, sizeof prefix, "%s-%s", first->prefix, name) >= (int)sizeof prefix) {
        fprintf(stderr, "--out: too long\n");
        return DRL_E_ARGUMENT;
    }
    if (draw == draw_point) {
        t.model_desc.mean = points->mean;
        t.model_desc.deviation = points->deviation;
    }
    t.resume = how.resume;
    t.picture = panels;
    t.user = &how;
    status = training_open(&t);
    if (status == DRL_OK) status = training_run(&t);
    if (status != DRL_OK && status != DRL_RUNNING)
        fprintf(stderr, "%s: %s: %s\n", name, drl_status_text(status), drl_ctx_message(how.ctx));
    drl_model_destroy(t.model);
    return status;
}

int main(int argc, char **argv)
{
    static const char usage[] = "toy2d [--form drl|cdrl] [--data checkerboard|rings|FILE] [--steps N]\n"
                                "      [--k K] [--b2 X] [--seed N] [--out PREFIX] [--resume]\n"
                                "      [--threads N] [--isa NAME]\n";
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    const char *form = option_text(&o, "--form", "drl"), *data = option_text(&o, "--data", NULL);
    static const char *const names[2] = { "checkerboard", "rings" };
    static const plane_draw draws[2] = { plane_checkerboard, plane_rings };
    plan p;
    drl_status status = DRL_OK;
    int i, own;
    memset(&p, 0, sizeof p);
    p.ctx = ctx;
    p.form = strcmp(form, "drl") ? DRL_FORM_CDRL : DRL_FORM_DRL;
    p.steps = option_int(&o, "--steps", p.form == DRL_FORM_DRL ? 16000 : 10000);
    p.k = option_int(&o, "--k", p.form == DRL_FORM_DRL ? 6 : 10);
    p.b2 = option_number(&o, "--b2", p.form == DRL_FORM_DRL ? 5e-3 : 3e-3);
    p.seed = (uint64_t)option_int(&o, "--seed", 1);
    p.prefix = option_prefix(&o, "toy2d");
    p.resume = option_flag(&o, "--resume");
    if (options_rest(&o, usage) || p.steps < 1 || p.k < 1 || !(p.b2 > 0) ||
        (strcmp(form, "drl") && strcmp(form, "cdrl"))) {
        fputs(usage, stderr);
        return 2;
    }
    if (p.resume && !data) {
        fprintf(stderr, "--resume: --data says which of them, checkerboard, rings or a file\n");
        return 2;
    }
    own = data && strcmp(data, names[0]) && strcmp(data, names[1]);
    if (own && !load_points(ctx, data)) return 2;
    if (own) status = run("points", draw_point, &p);
    for (i = 0; i < 2 && status == DRL_OK && !own; ++i)
        if (!data || !strcmp(data, names[i])) status = run(names[i], draws[i], &p);
    drl_vectors_destroy(points);
    drl_ctx_destroy(ctx);
    return status != DRL_OK && status != DRL_RUNNING;
}
