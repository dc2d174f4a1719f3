/* 08_likelihood.c - what only an energy can do: exp(F) as a density, level by level, and likelihoods from it.
 *
 * Shows: annealed importance sampling in both directions, a grid of the plane beside it, chains that turn
 * rough samples into exact ones, log-likelihood of test points, and the divergence of the data from the
 * model.
 *
 *     cc -O2 examples/08_likelihood.c -o likelihood -lm
 *     ./likelihood [--data checkerboard|rings|moons] [--model FILE] [--steps N] [--count N]
 *                  [--temperatures N] [--save FILE] [--seed N] [--threads N] [--isa NAME]
 *
 * Trains a model of a checkerboard (as 01_toy2d.c does) or of other points, or loads a model of points of the
 * plane. Prints a line for each level:
 *   log Z    of exp(F(y, t)) by quadrature; by annealed importance sampling, which is low on average; and by
 *            the same path walked backwards, which is high on average
 *   log p    mean log-likelihood of test points x_t in nats, under the model (with log Z by the path
 *            forwards) and under the data's own density
 *   KL       divergence of the data's density from the model's, on the grid: the difference that the two log
 *            p should have
 * The data's own density and KL are printed for the checkerboard only, whose density has a closed form
 * (bench/landscape.c has the others). On level 0 the energy is far steeper than a log density (see
 * 01_toy2d.c), and so its likelihood is poor.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "plane.h"

#define CELLS  400                  /* a side of the grid */
#define POINTS 2000

static const char usage[] =
    "likelihood [--data checkerboard|rings|moons] [--model FILE] [--steps N] [--count N] [--temperatures N] "
    "[--save FILE] [--seed N] [--threads N] [--isa NAME]\n";

/* count points of the density on the grid: cells by their share, anywhere within. */
static void draw_from_grid(const drl_grid *g, const double *f, double log_z, uint64_t seed, int count,
                           float *y)
{
    double cell = (g->x1 - g->x0) / g->nx * ((g->y1 - g->y0) / g->ny), behind = 0;
    drl_rng rng = { 0, 1, 0 };
    int at = 0, i;
    rng.seed = seed;
    for (i = 0; i < count; ++i) {                               /* one after the other along the sum */
        double u = (i + (double)drl_rng_uniform(&rng)) / count;
        while (at < g->nx * g->ny - 1 && behind + exp(f[at] - log_z) * cell < u)
            behind += exp(f[at++] - log_z) * cell;
        y[2 * i] = (float)(g->x0 + (g->x1 - g->x0) * (at % g->nx + (double)drl_rng_uniform(&rng)) / g->nx);
        y[2 * i + 1] =
            (float)(g->y0 + (g->y1 - g->y0) * (at / g->nx + (double)drl_rng_uniform(&rng)) / g->ny);
    }
}

/* Runs a path to its end; DRL_RUNNING when somebody asked to stop. */
static drl_status walk(drl_ctx *ctx, const drl_energy *e, const drl_ais_desc *d, drl_ais_result *r)
{
    drl_ais *ais = NULL;
    drl_status status = drl_ais_create(ctx, e, d, &ais);
    while (status <= DRL_RUNNING && drl_ais_steps_left(ais) && !training_stop) status = drl_ais_run(ais, 1);
    if (status <= DRL_RUNNING) status = training_stop ? DRL_RUNNING : drl_ais_look(ais, r);
    drl_ais_destroy(ais);
    return status;
}

static drl_status level(drl_ctx *ctx, drl_model *model, plane_draw draw, int t, const drl_ais_desc *path,
                        float *y, float *x)
{
    static double f[CELLS * CELLS], p[CELLS * CELLS], log_p[POINTS];
    static float work[64 * 2 + POINTS];
    const drl_schedule *s = drl_model_schedule(model);
    drl_energy e = drl_model_energy(model);
    double a = drl_schedule_scale(s, t), half = a * (plane_window(s, t) + 2 * s->sbar[t]), exact = 0, kl = 0,
           mean = 0, own = 0, spread = 0;
    drl_grid grid = { 0, 0, 0, 0, CELLS, CELLS };
    drl_ais_desc d = *path;
    drl_ais_result low, high;
    drl_mcmc_desc md;
    drl_mcmc *chains = NULL;
    drl_mcmc_report at_end;
    drl_status status;
    int i, known = draw == plane_checkerboard;
    grid.x0 = grid.y0 = -half;
    grid.x1 = grid.y1 = half;
    status = drl_grid_evaluate(ctx, &e, t, 0, &grid, f);
    if (status == DRL_OK) status = drl_grid_log_z(ctx, &grid, f, 1, &exact);
    for (i = 0; i < CELLS * CELLS && known; ++i) {
        double at[2];
        at[0] = half / a * ((2 * (i % CELLS) + 1.0) / CELLS - 1);
        at[1] = half / a * ((2 * (i / CELLS) + 1.0) / CELLS - 1);
        p[i] = plane_checkerboard_density(s, t, at);
    }
    if (status == DRL_OK && known) status = drl_grid_kl(ctx, &grid, p, f, &kl);
    if (status != DRL_OK) return status;
    /* samples: of the grid, then, because a cell is not a point, some steps that leave the density alone */
    draw_from_grid(&grid, f, exact, d.seed, d.count, y);
    memset(&md, 0, sizeof md);
    md.count = d.count;
    md.seed = d.seed + 1;
    md.kernel = DRL_MCMC_HMC;
    md.level = t;
    md.schedule = s;
    md.start = y;
    md.warmup = 50;
    status = drl_mcmc_create(ctx, &e, &md, &chains);
    if (status == DRL_OK) status = drl_mcmc_run(chains, 100);
    if (status == DRL_OK) status = drl_mcmc_look(chains, &at_end);
    if (status == DRL_OK) memcpy(y, at_end.point, (size_t)d.count * 2 * sizeof *y);
    drl_mcmc_destroy(chains);
    if (status != DRL_OK) return status;
    d.level = t;
    /* the path begins at the Gaussian that they look like */
    d.fit = y;
    d.fit_count = d.count;
    status = walk(ctx, &e, &d, &low);
    d.start = y;
    if (status == DRL_OK) status = walk(ctx, &e, &d, &high);
    plane_noisy(ctx, draw, s, t, d.seed + 99, POINTS, x);
    if (status == DRL_OK) status = drl_log_likelihood(ctx, &e, s, t, NULL, POINTS, x, low.log_z, log_p, work);
    if (status != DRL_OK) return status;
    for (i = 0; i < POINTS; ++i) {
        double at[2];
        at[0] = (double)x[2 * i];
        at[1] = (double)x[2 * i + 1];
        mean += log_p[i] / POINTS;
        if (known) own += log(plane_checkerboard_density(s, t, at)) / POINTS;
    }
    for (i = 0; i < POINTS; ++i) spread += (log_p[i] - mean) * (log_p[i] - mean) / (POINTS - 1.0);
    printf("%5d %10.4f %9.4f +- %.4f %9.4f +- %.4f %8.4f %10.4f +- %.4f", t, exact, low.log_z, low.error,
           high.log_z, high.error, high.log_z - low.log_z, mean, sqrt(spread / POINTS));
    if (known) printf(" %9.4f %8.4f", own, kl);
    printf("\n");
    fflush(stdout);
    return DRL_OK;
}

int main(int argc, char **argv)
{
    static const char *const names[3] = { "checkerboard", "rings", "moons" };
    static const plane_draw draws[3] = { plane_checkerboard, plane_rings, plane_moons };
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_model *model = NULL;
    drl_model_desc md = plane_model(DRL_FORM_DRL, 6, 5e-3);
    drl_ais_desc path;
    drl_status status;
    const char *file = option_text(&o, "--model", NULL), *save = option_text(&o, "--save", NULL),
               *data = option_text(&o, "--data", names[0]);
    int steps = option_int(&o, "--steps", 5000), which, t;
    double start = seconds_now();
    float *y, *x = (float *)malloc(2 * POINTS * sizeof *x);
    memset(&path, 0, sizeof path);
    path.count = option_int(&o, "--count", 128);
    path.steps = option_int(&o, "--temperatures", 200);
    path.seed = (uint64_t)option_int(&o, "--seed", 1);
    path.leapfrog = 5;
    for (which = 0; which < 3 && strcmp(data, names[which]); ++which) { }
    if (options_rest(&o, usage) || which == 3 || steps < 1 || path.count < 2 || path.steps < 2) {
        fputs(usage, stderr);
        return 2;
    }
    y = (float *)malloc((size_t)path.count * 2 * sizeof *y);
    if (!x || !y) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    training_catch();
    if (file) status = drl_model_load(ctx, file, NULL, &model);
    else {
        training run =
            plane_training(ctx, &md, data, draws[which], DRL_OBJECTIVE_RECOVERY, steps, 7e-4f, path.seed);
        status = training_open(&run);
        if (status == DRL_OK) status = training_run(&run);
        model = run.model;
        if (status == DRL_OK && save) status = drl_model_save(model, DRL_DTYPE_F32, save);
    }
    if (status == DRL_OK) status = drl_model_describe(model, &md);
    if (status == DRL_OK && (md.height != 1 || md.width != 1 || md.channels != 2)) {
        fprintf(stderr, "%s draws %d x %d x %d: not points of the plane, 1 x 1 x 2, as --save writes them\n",
                file ? file : "the model", md.height, md.width, md.channels);
        return 2;
    }
    printf("%5s %10s %19s %19s %8s %20s %9s %8s\n", "level", "log Z grid", "forward", "reverse", "gap",
           "log p of the data", "its own", "KL");
    fflush(stdout);
    for (t = 0; t < md.levels && status == DRL_OK && !training_stop; ++t)
        status = level(ctx, model, draws[which], t, &path, y, x);
    if (training_stop) printf("stopped: the levels above are all there is of %d\n", md.levels);
    else if (status != DRL_OK) fprintf(stderr, "%s: %s\n", drl_status_text(status), drl_ctx_message(ctx));
    else
        printf("%d chains of %d temperatures each way, %d test points: %.0f s in all\n", path.count,
               path.steps, POINTS, seconds_now() - start);
    free(x);
    free(y);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return status != DRL_OK && !training_stop;
}
