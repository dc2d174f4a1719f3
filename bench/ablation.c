/* ablation.c - what each part of CDRL is worth, on a checkerboard in the plane: the whole method, then
 * without its initializer, without its variance reduction (the two levels of a pair share one noise), and
 * with DRL's schedule of noise. Everything else is equal, the seeds included.
 *
 *   make ablation
 *   build/ablation [--seeds 10] [--first 1] [--steps N] [--k K] [--b2 X] [--count N]
 *
 * The model is that of examples/01_toy2d.c --form cdrl (the paper's settings would be --k 15 --b2 4e-4).
 * Every variant is trained for the same number of steps; the last column says what they cost. Each seed
 * prints a line when it is done. At the end comes the table, mean and standard error over the seeds, of
 * `count` samples each:
 *   outside     per cent of the samples that lie in none of the eight squares; of the data it is 0
 *   KL grid     divergence of the data's distribution from the samples', nats, on 32 x 32 cells that cover
 *               the board (half a sample is added to every cell). The first line is the data itself, drawn
 *               as often: nothing can be better
 *   KL squares  the divergence of the shares of the eight squares, among the samples inside: is mass where
 *               it should be
 *   t           the difference in KL grid to the whole method over its standard error, seed by seed; within
 *               +-2.3 (5 %, ten seeds) it is chance
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/plane.h"

#define VARIANTS 5
#define FIGURES  4                  /* outside, KL grid, KL squares, seconds */
#define SEEDS    100
#define ROLLBACKS 10                /* of one run */
#define BATCH    PLANE_BATCH
#define CELLS    32

typedef struct plan { int steps, k, count; double b2; } plan;

static const char *const names[VARIANTS] = { "the data itself", "CDRL", "no initializer",
                                             "no variance reduction", "DRL's schedule" };

/* Index of the cell of a board of `side` cells a side, -1 beside the board. */
static int cell_of(const float *xy, int side)
{
    double u = ((double)xy[0] / (double)PLANE_RANGE + 1) * 0.5 * side,
           v = ((double)xy[1] / (double)PLANE_RANGE + 1) * 0.5 * side;
    return u >= 0 && v >= 0 && u < side && v < side ? (int)v * side + (int)u : -1;
}

static int inside(int cell) { return cell >= 0 && (cell % 4 + cell / 4) % 2 == 0; }

static void measure(const float *xy, int n, double *figure)
{
    static double grid[CELLS * CELLS];
    double square[16] = { 0 }, within = 0;
    const int wide = CELLS / 4;
    int i, c;
    memset(grid, 0, sizeof grid);
    for (i = 0; i < n; ++i) {
        if ((c = cell_of(xy + 2 * i, CELLS)) >= 0) ++grid[c];
        if (inside(c = cell_of(xy + 2 * i, 4))) { ++square[c]; ++within; }
    }
    figure[0] = 100 * (1 - within / n);
    figure[1] = figure[2] = 0;
    for (i = 0; i < CELLS * CELLS; ++i) {
        double p = 1.0 / (8 * wide * wide), q = (grid[i] + 0.5) / (n + 0.5 * CELLS * CELLS);
        if (inside(i / CELLS / wide * 4 + i % CELLS / wide)) figure[1] += p * log(p / q);
    }
    for (i = 0; i < 16; ++i)
        if (inside(i)) figure[2] += 0.125 * log(0.125 * (within + 4) / (square[i] + 0.5));
}

/* Trains one variant and fills xy [2 * count]. DRL_RUNNING: stopped by Ctrl-C. */
static drl_status sample(drl_ctx *ctx, int variant, uint64_t seed, const plan *p, float *xy, int *rollbacks)
{
    drl_model_desc md = plane_model(DRL_FORM_CDRL, p->k, p->b2);
    drl_sample_desc how;
    drl_status status;
    training t;
    if (variant == 2) md.initializer = -1;
    if (variant == 4) md.schedule = DRL_SCHEDULE_DRL;
    t = plane_training(ctx, &md, NULL, plane_checkerboard, DRL_OBJECTIVE_RECOVERY, p->steps, 5e-4f, seed);
    /* the published target: what is taken away is taken from that */
    t.train_desc.initializer_data = -1;
    t.train_desc.independent_noise = variant == 3;
    t.run.rollbacks = ROLLBACKS;
    status = training_open(&t);
    if (status == DRL_OK) status = training_run(&t);
    *rollbacks += t.rollbacks;
    memset(&how, 0, sizeof how);
    how.count = p->count;
    how.seed = seed + 1000;
    if (status == DRL_OK) status = training_sample(t.model, &how, xy);
    drl_model_destroy(t.model);
    return status;
}

static double mean(const double *x, int n)
{
    double s = 0;
    int i;
    for (i = 0; i < n; ++i) s += x[i] / n;
    return s;
}
static double error(const double *x, int n)                     /* standard error of the mean */
{
    double m = mean(x, n), s = 0;
    int i;
    for (i = 0; i < n; ++i) s += (x[i] - m) * (x[i] - m);
    return n > 1 ? sqrt(s / (n - 1) / n) : 0;
}

int main(int argc, char **argv)
{
    static double all[VARIANTS][FIGURES][SEEDS];
    int rollbacks[VARIANTS] = { 0 };
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    plan p;
    int seeds = option_int(&o, "--seeds", 10), first = option_int(&o, "--first", 1), s, v, k;
    float *xy;
    p.steps = option_int(&o, "--steps", 5000);
    p.k = option_int(&o, "--k", 10);
    p.b2 = option_number(&o, "--b2", 3e-3);
    p.count = option_int(&o, "--count", 10000);
    if (options_rest(&o, "ablation [--seeds N] [--first N] [--steps N] [--k N] [--b2 X] [--count N]\n"
                         "         [--threads N] [--isa NAME]\n") ||
        seeds < 2 || seeds > SEEDS || p.count < 100 || p.steps < 1) {
        fprintf(stderr, "2 to %d seeds, 100 samples or more, and no other words\n", SEEDS);
        return 2;
    }
    xy = (float *)malloc((size_t)p.count * 2 * sizeof *xy);
    if (!xy) { fprintf(stderr, "out of memory\n"); return 1; }
    for (s = 0; s < seeds; ++s) {
        printf("seed %d: KL grid", first + s);
        for (v = 0; v < VARIANTS; ++v) {
            clock_t start = clock();
            double figure[FIGURES] = { 0 };
            drl_status status = DRL_OK;
            drl_rng rng = { 0, 77, 0 };
            rng.seed = (uint64_t)(first + s);
            if (!v) for (k = 0; k < p.count; ++k) plane_checkerboard(&rng, xy + 2 * k);
            else status = sample(ctx, v, rng.seed, &p, xy, &rollbacks[v]);
            if (training_stop) {
                printf("\nstopped: the rows above are all there is\n");
                return 0;
            }
            if (status != DRL_OK) { fprintf(stderr, "%s: %s\n", names[v], drl_ctx_message(ctx)); return 1; }
            measure(xy, p.count, figure);
            figure[3] = (double)(clock() - start) / CLOCKS_PER_SEC;
            for (k = 0; k < FIGURES; ++k) all[v][k][s] = figure[k];
            printf(" %.4f", figure[1]);
            fflush(stdout);
        }
        printf("\n");
    }
    printf("\n%d seeds, %d steps of %d, K = %d, b2 = %g, %d samples; mean and standard error\n\n", seeds,
           p.steps, BATCH, p.k, p.b2, p.count);
    printf("%-22s %16s %18s %20s %6s %8s\n", "", "outside, %", "KL grid", "KL squares", "t", "seconds");
    for (v = 0; v < VARIANTS; ++v) {
        double difference[SEEDS], e;
        for (s = 0; s < seeds; ++s) difference[s] = all[v][1][s] - all[1][1][s];
        e = error(difference, seeds);
        printf("%-22s %7.2f +- %5.2f %8.4f +- %6.4f %9.5f +- %7.5f ", names[v], mean(all[v][0], seeds),
               error(all[v][0], seeds), mean(all[v][1], seeds), error(all[v][1], seeds),
               mean(all[v][2], seeds), error(all[v][2], seeds));
        if (v > 1 && e > 0) printf("%6.1f", mean(difference, seeds) / e);
        else printf("%6s", "");
        printf(" %8.1f", mean(all[v][3], seeds));
        if (rollbacks[v]) printf("   (%d rollbacks)", rollbacks[v]);
        printf("\n");
    }
    free(xy);
    drl_ctx_destroy(ctx);
    return 0;
}
