/* landscape.c - how near trained energies of the plane are to the density of their data: KL(data || model),
 * level by level, by quadrature.
 *
 *   make landscape
 *   build/landscape [--seeds 10] [--first 1] [--data "checkerboard rings moons"]
 *       [--form "t6 cdrl t1k contrast score10 chain10"] [--steps N] [--rate X] [--count N] [--threads N]
 *
 *   t6        plain DRL: 6 levels, K = 10 Langevin steps of b2 = 0.003; 5000 steps of training
 *   cdrl      the cooperative form, as many
 *   t1k       1000 levels, K = 0, trained by denoising score matching; 20000 steps, which cost about the same
 *   contrast  1000 levels, K = 0, trained by contrast with draws of the normal approximation; as many
 *   score10   1000 levels, K = 10 of b2 = 0.6 when sampling, trained by score matching at a x_t; 20000 steps
 *   chain10   1000 levels, K = 10 of b2 = 0.6, trained by contrast with chains; 5000 steps
 *
 * All have three blocks 64 wide and train on 64 fresh points a step. The model's density is exp(F) / Z on a
 * grid of 400 x 400 cells, of which nothing outside is counted. The density of the data, with the noise that
 * the level has, comes from 4,000,000 points. Columns: the lowest level, and those with the noise of T6's
 * levels 1, 2, 3 (CDRL: its own levels 1, 2, 3). "samples" is the divergence of the data from `count` samples
 * on 32 x 32 cells (half a sample is added to every cell), "perfect" the same for as many points of the data:
 * nothing can be better. Each run prints a line; mean and standard error over the seeds come at the end.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/plane.h"

#define CELLS  400
#define COARSE 32
#define COUNT  10000                /* most samples */
#define POINTS 4000000
#define SEEDS  100
#define COLUMNS 4
#define FIGURES (COLUMNS + 3)       /* KL of each column, of the samples, of perfect ones; seconds */

#define FORMS 6
static const char *const form_names[FORMS] = { "t6", "cdrl", "t1k", "contrast", "score10", "chain10" };
static const int form_steps[FORMS] = { 5000, 5000, 20000, 20000, 20000, 5000 };
static const char *const data_names[3] = { "checkerboard", "rings", "moons" };
static const plane_draw data[3] = { plane_checkerboard, plane_rings, plane_moons };

/* p <- p blurred along rows by a Gaussian of `reach` cells, then turned around. */
static void blur(double *p, double sigma)
{
    static double out[CELLS * CELLS], weight[CELLS];
    double total = 1;
    int x, y, d;
    for (d = 0; d < CELLS; ++d) weight[d] = exp(-0.5 * d * d / (sigma * sigma));
    for (d = 1; d < CELLS; ++d) total += 2 * weight[d];
    for (y = 0; y < CELLS; ++y)
        for (x = 0; x < CELLS; ++x) {
            double sum = 0;
            for (d = 0; d < CELLS; ++d) sum += p[y * CELLS + d] * weight[abs(d - x)];
            out[x * CELLS + y] = sum / total;
        }
    memcpy(p, out, sizeof out);
}

/* The density of abar x_0 + sigma eps at the cells' middles. */
static void density(plane_draw draw, const drl_grid *g, double abar, double sigma, double *p)
{
    double cell = (g->x1 - g->x0) / g->nx;
    drl_rng rng = { 77, 0, 0 };
    int i;
    memset(p, 0, CELLS * CELLS * sizeof *p);
    for (i = 0; i < POINTS; ++i) {
        float xy[2];
        draw(&rng, xy);
        p[(int)((abar * (double)xy[1] - g->y0) / cell) * CELLS +
          (int)((abar * (double)xy[0] - g->x0) / cell)] += 1 / (POINTS * cell * cell);
    }
    blur(p, sigma / cell);
    blur(p, sigma / cell);
}

/* KL of the data's shares of the coarse cells, of p, from those of n points x with the noise of p. */
static double coarse_kl(const drl_grid *g, const double *p, const float *x, int n)
{
    static double share[COARSE * COARSE], count[COARSE * COARSE];
    double kl = 0, total = 0;
    int i;
    memset(share, 0, sizeof share);
    memset(count, 0, sizeof count);
    for (i = 0; i < CELLS * CELLS; ++i)
        share[i / CELLS * COARSE / CELLS * COARSE + i % CELLS * COARSE / CELLS] += p[i];
    for (i = 0; i < n; ++i) {
        int cx = (int)floor(((double)x[2 * i] - g->x0) / (g->x1 - g->x0) * COARSE),
            cy = (int)floor(((double)x[2 * i + 1] - g->y0) / (g->y1 - g->y0) * COARSE);
        if (cx >= 0 && cy >= 0 && cx < COARSE && cy < COARSE) ++count[cy * COARSE + cx];
    }
    for (i = 0; i < COARSE * COARSE; ++i) total += share[i];
    for (i = 0; i < COARSE * COARSE; ++i)
        if (share[i] > 1e-12 * total)
            kl += share[i] / total * log(share[i] / total / ((count[i] + 0.5) / (n + 0.5 * COARSE * COARSE)));
    return kl;
}

/* The noise of column c, as x = abar x_0 + sigma eps of the variable that the energy is fitted on:
 * y_t = a x_t, and x_{t+1} with K = 0. */
static int place(const drl_schedule *s, int normal, int c, double *abar, double *sigma)
{
    /* T6's cuts are at every hundredth beta */
    int t = s->rule == DRL_STEP_DIFFUSION ? (c ? 100 * c - 1 : 0) : c;
    double a = normal ? 1.0 : drl_schedule_scale(s, t);
    *abar = a * s->abar[t + normal];
    *sigma = a * s->sbar[t + normal];
    *sigma = sqrt(*sigma * *sigma + PLANE_NOISE * PLANE_NOISE * *abar * *abar);
    return t;
}

static drl_status measure(drl_ctx *ctx, int form, int which, int steps, float rate, int count, uint64_t seed,
                          double *figure)
{
    static double p[CELLS * CELLS], f[CELLS * CELLS];
    static float x[2 * COUNT];
    drl_model_desc md = plane_model(form == 1 ? DRL_FORM_CDRL : DRL_FORM_DRL,
                                    form == 2 || form == 3 ? -1 : 10,
                                    form < 2 ? 3e-3 : form < 4 ? 0 : 0.6);
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    drl_energy e;
    drl_grid grid;
    drl_status status;
    drl_rng rng = { 5, 0, 0 };
    training run;
    const drl_schedule *s;
    double start = seconds_now(), sigma = 0, abar = 1, half;
    float eps[2];
    int c, t, i;
    if (form >= 2) {
        md.schedule = DRL_SCHEDULE_T1K;
        md.silu = 1;
    }
    run = plane_training(ctx, &md, data_names[which], data[which],
                         form == 2 || form == 4 ? DRL_OBJECTIVE_SCORE : DRL_OBJECTIVE_RECOVERY, steps, rate,
                         seed);
    status = training_open(&run);
    if (status == DRL_OK) status = training_run(&run);
    if (status != DRL_OK) {
        drl_model_destroy(run.model);
        return status;
    }
    s = drl_model_schedule(run.model);
    e = drl_model_energy(run.model);
    figure[COLUMNS + 2] = seconds_now() - start;
    /* the lowest last: samples are compared with it */
    for (c = COLUMNS - 1; c >= 0 && status == DRL_OK; --c) {
        t = place(s, md.steps < 0, c, &abar, &sigma);
        half = 1.15 * (double)PLANE_RANGE * abar + 3 * sigma;
        grid.x0 = grid.y0 = -half; grid.x1 = grid.y1 = half; grid.nx = grid.ny = CELLS;
        density(data[which], &grid, abar, sigma, p);
        status = drl_grid_evaluate(ctx, &e, t, 0, &grid, f);
        if (status == DRL_OK) status = drl_grid_kl(ctx, &grid, p, f, &figure[c]);
    }
    memset(&how, 0, sizeof how);
    how.count = count; how.seed = seed; how.denoise = -1;
    if (status == DRL_OK) status = drl_sampler_create(run.model, &how, &sampler);
    while (status == DRL_OK && (status = drl_sampler_run(sampler, 1000)) == DRL_RUNNING) status = DRL_OK;
    for (i = 0; i < count && status == DRL_OK; ++i) status = drl_sampler_image(sampler, i, x + 2 * i);
    for (i = 0; i < 2 * count; ++i) x[i] *= (float)(abar / s->abar[0]);
    figure[COLUMNS] = coarse_kl(&grid, p, x, count);
    rng.seed = seed + 1000;
    for (i = 0; i < count; ++i) {
        data[which](&rng, x + 2 * i);
        drl_rng_normals(ctx, &rng, eps, 2);
        x[2 * i] = (float)(abar * (double)x[2 * i] + sigma * (double)eps[0]);
        x[2 * i + 1] = (float)(abar * (double)x[2 * i + 1] + sigma * (double)eps[1]);
    }
    figure[COLUMNS + 1] = coarse_kl(&grid, p, x, count);
    drl_sampler_destroy(sampler);
    drl_model_destroy(run.model);
    return status;
}

/* Every word of a list is one of the names; if not, says which are. */
static int known(const char *option, const char *list, const char *const *name, int names)
{
    int i;
    while (*list) {
        size_t n = strcspn(list, " ");
        for (i = 0; i < names && n && (strlen(name[i]) != n || strncmp(list, name[i], n)); ++i) { }
        if (i == names) {
            fprintf(stderr, "%s \"%.*s\": there are", option, (int)n, list);
            for (i = 0; i < names; ++i) fprintf(stderr, " %s", name[i]);
            fprintf(stderr, "\n");
            return 0;
        }
        list += n;
        list += strspn(list, " ");
    }
    return 1;
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "landscape [--seeds 10] [--first 1] [--data \"checkerboard rings moons\"]\n"
        "          [--form \"t6 cdrl t1k contrast score10 chain10\"] [--steps N] [--rate X] [--count N]\n"
        "          [--threads N]\n";
    static double figures[3 * FORMS][SEEDS][FIGURES];
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_status status;
    int seeds = option_int(&o, "--seeds", 10), first = option_int(&o, "--first", 1),
        steps = option_int(&o, "--steps", 0), count = option_int(&o, "--count", 4000), form, which, i, k;
    const char *forms = option_text(&o, "--form", "t6 cdrl t1k contrast score10 chain10"),
               *sets = option_text(&o, "--data", "checkerboard rings moons");
    float rate = (float)option_number(&o, "--rate", 0);
    if (options_rest(&o, usage) || seeds < 1 || seeds > SEEDS || steps < 0 || count < 1 || count > COUNT) {
        fputs(usage, stderr);
        return 2;
    }
    if (!known("--form", forms, form_names, FORMS) || !known("--data", sets, data_names, 3)) return 2;
    if (!*forms || !*sets) { fputs(usage, stderr); return 2; }
    for (i = 0; i < seeds; ++i)
        for (which = 0; which < 3; ++which)
            for (form = 0; form < FORMS; ++form) {
                double *f = figures[which * FORMS + form][i];
                if (!strstr(forms, form_names[form]) || !strstr(sets, data_names[which])) continue;
                status = measure(ctx, form, which, steps ? steps : form_steps[form],
                                 rate > 0 ? rate : form < 2 ? 7e-4f : 4e-3f, count, (uint64_t)(first + i), f);
                if (training_stop) {
                    printf("stopped: the rows above are all there is\n");
                    return 0;
                }
                if (status != DRL_OK) {
                    fprintf(stderr, "%s\n", drl_ctx_message(ctx));
                    return 1;
                }
                printf("%-12s %-8s seed %3d: KL %9.4f %8.4f %8.4f %8.4f, ", data_names[which],
                       form_names[form], first + i, f[0], f[1], f[2], f[3]);
                printf("samples %7.4f, perfect %7.4f, %5.1f s\n", f[4], f[5], f[6]);
                fflush(stdout);
            }
    printf("\n%-12s %-8s %20s %20s %20s %20s %20s %8s %8s\n", "data", "form", "KL, lowest level",
           "level 1's noise", "level 2's", "level 3's", "samples", "perfect", "seconds");
    for (which = 0; which < 3; ++which)
        for (form = 0; form < FORMS; ++form) {
            if (!strstr(forms, form_names[form]) || !strstr(sets, data_names[which])) continue;
            printf("%-12s %-8s", data_names[which], form_names[form]);
            for (k = 0; k < FIGURES; ++k) {
                double mean = 0, var = 0;
                for (i = 0; i < seeds; ++i) mean += figures[which * FORMS + form][i][k] / seeds;
                for (i = 0; i < seeds; ++i)
                    var += pow(figures[which * FORMS + form][i][k] - mean, 2) / (seeds > 1 ? seeds - 1 : 1);
                if (k <= COLUMNS) printf(" %10.4f +- %6.4f", mean, sqrt(var / seeds));
                else printf(k == COLUMNS + 1 ? " %8.4f" : " %8.1f", mean);
            }
            printf("\n");
        }
    drl_ctx_destroy(ctx);
    return 0;
}
