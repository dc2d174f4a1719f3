/* landscape.c - how near a trained energy of the plane is to the density of its data: KL(data || model) on the lowest level, by quadrature.
 *
 *   make build/landscape && build/landscape [--seeds 10] [--first 1] [--data "checkerboard rings moons"] [--form "t6 cdrl t1k contrast"]
 *                                          [--steps N] [--rate X] [--b2 X] [--levels N] [--threads N]
 *
 *   t6        plain DRL: 6 levels, K = 10 Langevin steps
 *   cdrl      the cooperative form, as many
 *   t1k       1000 levels, K = 0, trained by denoising score matching
 *   contrast  1000 levels, K = 0, trained by contrast with draws of the normal approximation
 * All have three blocks 64 wide and train on 64 fresh points a step. The model's density is exp(F) / Z on a grid of 400 x 400 cells; the data's, with the noise
 * that the level has, is summed up from 1,000,000 points. A line for each run; at the end mean and standard error over the seeds. "samples" is KL on 32 x 32 cells
 * of the data from 10000 samples (half a sample is added to every cell), "perfect" the same of as many points of the data: what nothing can be better than.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/plane.h"

#define CELLS  400
#define COARSE 32
#ifndef COUNT
#define COUNT  10000
#endif
#define POINTS 1000000
#define SEEDS  100

static const char *const form_names[4] = { "t6", "cdrl", "t1k", "contrast" };
static const char *const data_names[3] = { "checkerboard", "rings", "moons" };
static const plane_draw data[3] = { plane_checkerboard, plane_rings, plane_moons };

/* The density of abar x_0 + sigma eps at the cells' middles, up to a factor: every point adds a Gaussian to the cells around it. */
static void density(plane_draw draw, const drl_grid *g, double abar, double sigma, double *p)
{
    double cell = (g->x1 - g->x0) / g->nx, total = 0;
    int reach = (int)(5 * sigma / cell) + 1, i, x, y;
    drl_rng rng = { 77, 0, 0 };
    memset(p, 0, CELLS * CELLS * sizeof *p);
    for (i = 0; i < POINTS; ++i) {
        double row[CELLS], u, v;
        float xy[2];
        int cx, cy;
        draw(&rng, xy);
        u = (abar * (double)xy[0] - g->x0) / cell - 0.5;
        v = (abar * (double)xy[1] - g->y0) / cell - 0.5;
        cx = (int)u; cy = (int)v;
        for (x = cx - reach; x <= cx + reach; ++x) if (x >= 0 && x < CELLS) row[x] = exp(-0.5 * (x - u) * (x - u) * cell * cell / (sigma * sigma));
        for (y = cy - reach; y <= cy + reach; ++y) if (y >= 0 && y < CELLS) {
            double w = exp(-0.5 * (y - v) * (y - v) * cell * cell / (sigma * sigma));
            for (x = cx - reach; x <= cx + reach; ++x) if (x >= 0 && x < CELLS) p[y * CELLS + x] += w * row[x];
        }
    }
    for (i = 0; i < CELLS * CELLS; ++i) total += p[i];
    for (i = 0; i < CELLS * CELLS; ++i) p[i] /= total * cell * cell;
}

/* KL of the data's shares of the coarse cells, of p, from those of n points x with the noise of p. */
static double coarse_kl(const drl_grid *g, const double *p, const float *x, int n)
{
    static double share[COARSE * COARSE], count[COARSE * COARSE];
    double kl = 0, total = 0;
    int i;
    memset(share, 0, sizeof share);
    memset(count, 0, sizeof count);
    for (i = 0; i < CELLS * CELLS; ++i) share[i / CELLS * COARSE / CELLS * COARSE + i % CELLS * COARSE / CELLS] += p[i];
    for (i = 0; i < n; ++i) {
        int cx = (int)floor(((double)x[2 * i] - g->x0) / (g->x1 - g->x0) * COARSE), cy = (int)floor(((double)x[2 * i + 1] - g->y0) / (g->y1 - g->y0) * COARSE);
        if (cx >= 0 && cy >= 0 && cx < COARSE && cy < COARSE) ++count[cy * COARSE + cx];
    }
    for (i = 0; i < COARSE * COARSE; ++i) total += share[i];
    for (i = 0; i < COARSE * COARSE; ++i) if (share[i] > 0) kl += share[i] / total * log(share[i] / total / ((count[i] + 0.5) / (n + 0.5 * COARSE * COARSE)));
    return kl;
}

static drl_status measure(drl_ctx *ctx, int form, int which, int steps, float rate, double b2, int levels, uint64_t seed, double *figure)
{
    static double p[CELLS * CELLS], f[CELLS * CELLS];
    static float x[2 * COUNT];
    drl_model_desc md = plane_model(form == 1 ? DRL_FORM_CDRL : DRL_FORM_DRL, form < 2 ? 10 : -1, b2 > 0 ? b2 : form < 2 ? 3e-3 : 0);
    drl_objective objective = form == 2 ? DRL_OBJECTIVE_SCORE : DRL_OBJECTIVE_RECOVERY;
    drl_model *model = NULL;
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    drl_energy e;
    drl_grid grid;
    drl_status status;
    const drl_schedule *s;
    double start = seconds_now(), sigma, abar, half;
    int k = form >= 2, i;
    if (k) {
        md.schedule = DRL_SCHEDULE_T1K;
        md.levels = levels;
        md.smooth = 1;
    }
    status = drl_model_create(ctx, &md, seed, &model);
    if (status != DRL_OK) return status;
    s = drl_model_schedule(model);
    status = plane_train(ctx, model, data_names[which], data[which], objective, steps, rate, seed);
    figure[3] = seconds_now() - start;
    /* with K = 0 energies are fitted at x_{t+1} */
    abar = k ? s->abar[1] : s->abar[0] * drl_schedule_scale(s, 0);
    sigma = k ? s->sbar[1] : s->sbar[0] * drl_schedule_scale(s, 0);
    sigma = sqrt(sigma * sigma + PLANE_NOISE * PLANE_NOISE * abar * abar);
    half = 1.15 * (double)PLANE_RANGE * abar + 3 * sigma;
    grid.x0 = grid.y0 = -half; grid.x1 = grid.y1 = half; grid.nx = grid.ny = CELLS;
    density(data[which], &grid, abar, sigma, p);
    e = drl_model_energy(model);
    if (status == DRL_OK) status = drl_grid_evaluate(ctx, &e, 0, 0, &grid, f);
    if (status == DRL_OK) status = drl_grid_kl(ctx, &grid, p, f, &figure[0]);
    memset(&how, 0, sizeof how);
    how.count = COUNT; how.seed = seed; how.denoise = -1;
    if (status == DRL_OK) status = drl_sampler_create(model, &how, &sampler);
    while (status == DRL_OK && (status = drl_sampler_run(sampler, 1000)) == DRL_RUNNING) status = DRL_OK;
    for (i = 0; i < COUNT && status == DRL_OK; ++i) status = drl_sampler_image(sampler, i, x + 2 * i);
    if (status == DRL_OK) {
        drl_grid own = grid;
        double scale = s->abar[0] / abar;                       /* samples are x_0-like: x_t of level 0 */
        own.x0 *= scale; own.y0 *= scale; own.x1 *= scale; own.y1 *= scale;
        figure[1] = coarse_kl(&own, p, x, COUNT);
    }
    {
        drl_rng rng = { 5, 0, 0 };
        float eps[2];
        rng.seed = seed + 1000;
        for (i = 0; i < COUNT; ++i) {
            data[which](&rng, x + 2 * i);
            drl_rng_normals(ctx, &rng, eps, 2);
            x[2 * i] = (float)(abar * (double)x[2 * i] + sigma * (double)eps[0]);
            x[2 * i + 1] = (float)(abar * (double)x[2 * i + 1] + sigma * (double)eps[1]);
        }
        figure[2] = coarse_kl(&grid, p, x, COUNT);
    }
    drl_sampler_destroy(sampler);
    drl_model_destroy(model);
    return status;
}

int main(int argc, char **argv)
{
    static const char usage[] = "landscape [--seeds 10] [--first 1] [--data \"checkerboard rings moons\"] [--form \"t6 cdrl t1k contrast\"] [--steps N] [--rate X] [--b2 X] [--levels N] [--threads N]\n";
    static double figures[12][SEEDS][4];
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    int seeds = option_int(&o, "--seeds", 10), first = option_int(&o, "--first", 1), steps = option_int(&o, "--steps", 0), levels = option_int(&o, "--levels", 1000), form, which, i, k;
    const char *forms = option_text(&o, "--form", "t6 cdrl t1k contrast"), *sets = option_text(&o, "--data", "checkerboard rings moons");
    double rate = option_number(&o, "--rate", 0), b2 = option_number(&o, "--b2", 0);
    if (options_rest(&o, usage) || seeds < 1 || seeds > SEEDS || steps < 0) { fputs(usage, stderr); return 2; }
    for (i = 0; i < seeds; ++i)
        for (which = 0; which < 3; ++which)
            for (form = 0; form < 4; ++form) {
                double *f = figures[which * 4 + form][i];
                if (!strstr(forms, form_names[form]) || !strstr(sets, data_names[which])) continue;
                if (measure(ctx, form, which, steps ? steps : form < 2 ? 5000 : 20000, rate > 0 ? (float)rate : form < 2 ? 7e-4f : 2e-3f, b2, levels, (uint64_t)(first + i), f) != DRL_OK) {
                    fprintf(stderr, "%s\n", drl_ctx_message(ctx));
                    return 1;
                }
                printf("%-12s %-8s seed %3d: KL %8.4f, samples %7.4f, perfect %7.4f, %5.1f s\n", data_names[which], form_names[form], first + i, f[0], f[1], f[2], f[3]);
                fflush(stdout);
            }
    printf("\n%-12s %-8s %20s %20s %8s %8s\n", "data", "form", "KL(data || model)", "samples", "perfect", "seconds");
    for (which = 0; which < 3; ++which)
        for (form = 0; form < 4; ++form) {
            double mean[4] = { 0 }, var[4] = { 0 };
            if (!strstr(forms, form_names[form]) || !strstr(sets, data_names[which])) continue;
            for (k = 0; k < 4; ++k) {
                for (i = 0; i < seeds; ++i) mean[k] += figures[which * 4 + form][i][k] / seeds;
                for (i = 0; i < seeds; ++i) var[k] += pow(figures[which * 4 + form][i][k] - mean[k], 2) / (seeds > 1 ? seeds - 1 : 1);
            }
            printf("%-12s %-8s %9.4f +- %.4f %9.4f +- %.4f %8.4f %8.1f\n", data_names[which], form_names[form], mean[0], sqrt(var[0] / seeds), mean[1], sqrt(var[1] / seeds), mean[2], mean[3]);
        }
    drl_ctx_destroy(ctx);
    return 0;
}
