/* sprites.c - does a model trained on the embedded sprites (examples/06_tiles.c) draw what it is asked for?
 * Shape and colour are read back from the pixels: the reader is tried on 1000 drawn sprites first.
 *
 *   cc -O2 -DDRL_THREADS bench/sprites.c -o build/sprites -lm
 *   build/sprites MODEL.safetensors ... [--guidance "1 2 4"] [--colour 1] [--each 4]
 *       [--again "5 4 3 3 2 2 1 1"] [--steps K] [--b2 X] [--stride N] [--proposals score | none]
 *       [--seed 1] [--threads 2] [--isa NAME]
 *
 * For every weight w, in percent: how many samples that are asked for a shape alone have it; a colour alone;
 * and, for all 25 pairs, asked for by the sum F(y) + w (F(y; shape) - F(y)) + w (F(y; colour) - F(y)), how
 * many have the shape, the colour, both (chance: 20, 20, 4). --colour is a factor of w for colours, which are
 * easier. "match" is how much of its silhouette a sample has in common with the nearest drawn one (drawn
 * ones: 99.6). --again has the levels of further passes (drl_sample_desc.resample_from); "": one pass.
 * Then inpainting, the left half known: known pixels that are not exactly as given, and the mean difference
 * of neighbouring pixels across the border, where 100 is that of the columns beside it: in the images, and in
 * the samples of one pass and drawn again. With several models, mean and standard deviation over them.
 *
 * Models of examples/02_train_images on the same sprites, with their 25 classes (w: the guidance weights) or
 * without labels (--no-classes; w is not used), print match, the share of pixels with an alpha between 5 and
 * 95 percent (drawn ones: 0), how many of the 25 kinds were seen, and, if asked for, how many samples are of
 * their kind.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/ask.h"
#include "../examples/options.h"
#include "../examples/sprites.h"
#include <math.h>

#define SIZE    SPRITE_BYTES            /* floats of an image, too */
#define MODELS  16
#define WEIGHTS 16
#define PASSES  16
#define LABELS  (SPRITE_SHAPES + SPRITE_COLOURS)

enum { ALONE_SHAPE, ALONE_COLOUR, PAIR_SHAPE, PAIR_COLOUR, PAIR_BOTH, PAIR_MATCH, FIGURES };

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static void show(const char *what, const double *value, int count)
{
    double mean = 0, sum = 0;
    int i;
    for (i = 0; i < count; ++i) mean += value[i] / count;
    for (i = 0; i < count; ++i) sum += (value[i] - mean) * (value[i] - mean);
    printf("%s%6.1f", what, mean);
    if (count > 1) printf(" +- %-4.1f", sqrt(sum / (count - 1)));
}

/* Shares in percent, for weight[0] on shapes and weight[1] on colours. */
static int ask(drl_ctx *ctx, drl_model *m, const float *weight, int each, const drl_sample_desc *like,
               float *out, double *figure)
{
    drl_sample_desc how = *like;
    int i, j, label[2];
    double unit = 100.0 / (SPRITE_CLASSES * each);
    for (i = 0; i < FIGURES; ++i) figure[i] = 0;
    for (i = 0; i < LABELS; ++i) {
        int colour = i >= SPRITE_SHAPES;
        how.count = each * 5;
        how.first = i * how.count;
        label[0] = 1 + i;
        if (training_stop) return 1;
        if (sample_sum(ctx, m, label, weight + colour, 1, &how, out) != DRL_OK)
            return fail(ctx, "sampling");
        for (j = 0; j < how.count; ++j) {
            int read = sprite_read(out + j * SIZE, NULL);
            if (colour) figure[ALONE_COLOUR] += unit * (read % SPRITE_COLOURS == i - SPRITE_SHAPES);
            else figure[ALONE_SHAPE] += unit * (read / SPRITE_COLOURS == i);
        }
    }
    for (i = 0; i < SPRITE_CLASSES; ++i) {
        how.count = each;
        how.first = LABELS * each * 5 + i * each;
        label[0] = 1 + i / SPRITE_COLOURS;
        label[1] = 1 + SPRITE_SHAPES + i % SPRITE_COLOURS;
        if (training_stop) return 1;
        if (sample_sum(ctx, m, label, weight, 2, &how, out) != DRL_OK)
            return fail(ctx, "sampling");
        for (j = 0; j < each; ++j) {
            float match;
            int read = sprite_read(out + j * SIZE, &match);
            figure[PAIR_SHAPE] += unit * (read / SPRITE_COLOURS == i / SPRITE_COLOURS);
            figure[PAIR_COLOUR] += unit * (read % SPRITE_COLOURS == i % SPRITE_COLOURS);
            figure[PAIR_BOTH] += unit * (read == i);
            figure[PAIR_MATCH] += unit * (double)match;
        }
    }
    return 0;
}

/* Mean absolute difference between columns left and left + 1. */
static double column_difference(const float *image, int left)
{
    double sum = 0;
    int i, k;
    for (i = 0; i < SPRITE_SIZE; ++i)
        for (k = 0; k < 4; ++k) {
            const float *p = image + (i * SPRITE_SIZE + left) * 4 + k;
            sum += fabs((double)p[4] - (double)p[0]);
        }
    return sum / (SPRITE_SIZE * 4);
}

/* The right half of `count` sprites that the model has not seen, without a class. figure: known pixels lost,
 * seam of the images, of the samples. */
static int inpaint(drl_ctx *ctx, drl_model *m, int count, const drl_sample_desc *like, float *out,
                   double *figure)
{
    enum { BORDER = SPRITE_SIZE / 2 - 1 };
    drl_sample_desc how = *like;
    float *known = (float *)malloc((size_t)count * SIZE * sizeof *known);
    uint8_t *mask = (uint8_t *)malloc((size_t)count * SIZE), pixel[SIZE];
    double across[2] = { 0, 0 }, beside[2] = { 0, 0 };
    int i, j, failed = 0;
    if (!known || !mask) { fprintf(stderr, "out of memory for inpainting\n"); failed = 1; }
    for (i = 0; i < count && !failed; ++i) {
        sprite_draw(2, i, pixel);
        for (j = 0; j < SIZE; ++j) {
            known[i * SIZE + j] = (float)pixel[j] / 127.5f - 1.0f;
            mask[i * SIZE + j] = j / 4 % SPRITE_SIZE <= BORDER;
        }
    }
    how.count = count;
    how.known = known;
    how.mask = mask;
    if (!failed && drl_sample(m, &how, out) != DRL_OK) failed = fail(ctx, "inpainting");
    for (i = 0, figure[0] = 0; i < count && !failed; ++i) {
        for (j = 0; j < SIZE; ++j)
            figure[0] += mask[i * SIZE + j] &&
                         memcmp(&known[i * SIZE + j], &out[i * SIZE + j], sizeof(float));
        for (j = 0; j < 2; ++j) {
            const float *image = (j ? out : known) + i * SIZE;
            across[j] += column_difference(image, BORDER);
            beside[j] += 0.5 * (column_difference(image, BORDER - 1) + column_difference(image, BORDER + 1));
        }
    }
    figure[1] = across[0] / beside[0];
    figure[2] = across[1] / beside[1];
    free(known);
    free(mask);
    return failed;
}

static int try_reader(void)
{
    int i, j, wrong = 0;
    double match = 0;
    for (i = 0; i < 1000; ++i) {
        uint8_t pixel[SIZE];
        float image[SIZE], m;
        int label = sprite_draw(3, i, pixel);
        for (j = 0; j < SIZE; ++j) image[j] = (float)pixel[j] / 127.5f - 1.0f;
        wrong += sprite_read(image, &m) != label;
        match += (double)m / 10;
    }
    printf("reader: %d of 1000 drawn sprites are read right, match %.1f\n", 1000 - wrong, match);
    return wrong;
}

enum { SAMPLE_MATCH, SAMPLE_SHEER, SAMPLE_KINDS, SAMPLE_RIGHT, SAMPLE_FIGURES };

/* `each` samples of every kind, or 25 times as many without a label. */
static int draw(drl_ctx *ctx, drl_model *m, int classes, int each, const drl_sample_desc *like, float *out,
                double *figure)
{
    drl_sample_desc how = *like;
    int *label = (int *)malloc((size_t)each * SPRITE_CLASSES * sizeof *label), seen[SPRITE_CLASSES] = { 0 };
    int i, j, failed = 0;
    how.count = each * SPRITE_CLASSES;
    for (i = 0; i < SAMPLE_FIGURES; ++i) figure[i] = 0;
    for (i = 0; label && i < how.count; ++i) label[i] = 1 + i / each;
    if (classes) how.labels = label;
    if (!label) { fprintf(stderr, "out of memory for the labels\n"); failed = 1; }
    if (!failed && drl_sample(m, &how, out) != DRL_OK) failed = fail(ctx, "sampling");
    for (i = 0; i < how.count && !failed; ++i) {
        float match;
        int read = sprite_read(out + i * SIZE, &match);
        figure[SAMPLE_MATCH] += 100.0 * (double)match / how.count;
        for (j = 3; j < SIZE; j += 4) {
            double alpha = ((double)out[i * SIZE + j] + 1) / 2;
            figure[SAMPLE_SHEER] += 400.0 / SIZE * (alpha > 0.05 && alpha < 0.95) / how.count;
        }
        figure[SAMPLE_KINDS] += !seen[read]++;
        figure[SAMPLE_RIGHT] += 100.0 * (read == label[i] - 1) / how.count;
    }
    free(label);
    return failed;
}

/* draw() for every weight, a line for each. */
static int draw_all(drl_ctx *ctx, drl_model *m, const char *path, int classes, int each, drl_sample_desc *how,
                    const float *weight, int weights, float *out)
{
    double one[SAMPLE_FIGURES];
    int j;
    for (j = 0; j < (classes ? weights : 1); ++j) {
        how->guidance = classes ? weight[j] : 0;
        if (training_stop || draw(ctx, m, classes, each, how, out, one)) return 1;
        printf("%s, w %g: match %.1f  half transparent %.1f %%  kinds seen %.0f", path,
               (double)how->guidance, one[SAMPLE_MATCH], one[SAMPLE_SHEER], one[SAMPLE_KINDS]);
        if (classes) printf("  as asked %.1f %%", one[SAMPLE_RIGHT]);
        printf("\n");
    }
    return 0;
}

/* What a failure returns, and Ctrl-C. */
static int stopped(const char *path)
{
    if (training_stop) printf("stopped at %s: the lines above are all there is\n", path);
    return !training_stop;
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "sprites MODEL.safetensors ... [--guidance \"1 2 4\"] [--colour X] [--each N]\n"
        "        [--again \"5 4 3 3 2 2 1 1\"] [--steps K] [--b2 X] [--stride N]\n"
        "        [--proposals score | none] [--seed N] [--threads N] [--isa NAME]\n";
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_sample_desc how;
    const char *list = option_text(&o, "--guidance", "1 2 4");
    float weight[WEIGHTS], colour, *out;
    double figure[WEIGHTS][FIGURES][MODELS], seam[2][3][MODELS];
    int again[PASSES], passes, weights = 0, models, asked = 0, each, i, j, k;
    memset(&how, 0, sizeof how);
    how.resample_from = again;
    passes = option_again(&o, "5 4 3 3 2 2 1 1", again, PASSES);
    colour = (float)option_number(&o, "--colour", 1);
    each = option_int(&o, "--each", 4);
    how.steps = option_int(&o, "--steps", 0);
    how.seed = (uint64_t)option_int(&o, "--seed", 1);
    option_ways(&o, &how);
    models = options_rest(&o, usage);
    for (;;) {
        char *end;
        double w = strtod(list, &end);
        if (end == list) break;
        if (weights < WEIGHTS) weight[weights++] = (float)w;
        list = end;
    }
    if (*list || !weights || models < 1 || models > MODELS || each < 1 || each > 1000) {
        fprintf(stderr, "1 to %d models, weights as \"1 2 4\", --each 1 to 1000\n%s", MODELS, usage);
        return 2;
    }
    if (try_reader()) return 1;
    training_catch();
    out = (float *)malloc((size_t)each * SPRITE_CLASSES * SIZE * sizeof *out);
    if (!out) { fprintf(stderr, "out of memory for the samples\n"); return 1; }
    for (i = 0; i < models; ++i) {
        const char *path = argv[1 + i];
        drl_model *m = NULL;
        drl_model_desc d;
        double one[FIGURES];
        if (drl_model_load(ctx, path, NULL, &m) != DRL_OK) return fail(ctx, path);
        drl_model_describe(m, &d);
        if (d.height != SPRITE_SIZE || d.width != SPRITE_SIZE || d.channels != 4 ||
            (d.classes != LABELS && d.classes && d.classes != SPRITE_CLASSES)) {
            fprintf(stderr,
                    "%s draws %d x %d x %d in %d classes; sprites are %d x %d x 4 in %d, %d or none\n", path,
                    d.height, d.width, d.channels, d.classes, SPRITE_SIZE, SPRITE_SIZE, LABELS,
                    SPRITE_CLASSES);
            return 1;
        }
        if (d.classes != LABELS) {
            if (draw_all(ctx, m, path, d.classes, each, &how, weight, weights, out)) return stopped(path);
            drl_model_destroy(m);
            continue;
        }
        for (j = 0; j < weights; ++j) {
            float both[2];
            both[0] = weight[j];
            both[1] = weight[j] * colour;
            how.resample_count = passes;
            if (ask(ctx, m, both, each, &how, out, one)) return stopped(path);
            for (k = 0; k < FIGURES; ++k) figure[j][k][asked] = one[k];
            /* what Ctrl-C leaves */
            printf("%s, w %g: composed %.1f %% both\n", path, (double)weight[j], one[PAIR_BOTH]);
            fflush(stdout);
        }
        for (j = 0; j < 2; ++j) {
            how.resample_count = j ? passes : 0;
            if (training_stop || inpaint(ctx, m, each * SPRITE_CLASSES, &how, out, one))
                return stopped(path);
            for (k = 0; k < 3; ++k) seam[j][k][asked] = k ? 100 * one[k] : one[k];
        }
        ++asked;
        drl_model_destroy(m);
    }
    for (j = 0; asked && j < weights; ++j) {
        printf("w %-5g", (double)weight[j]);
        show("alone: shape", figure[j][ALONE_SHAPE], asked);
        show("  colour", figure[j][ALONE_COLOUR], asked);
        show("    composed: shape", figure[j][PAIR_SHAPE], asked);
        show("  colour", figure[j][PAIR_COLOUR], asked);
        show("  both", figure[j][PAIR_BOTH], asked);
        show("  match", figure[j][PAIR_MATCH], asked);
        printf("\n");
    }
    for (j = 0; asked && j < 2; ++j) {
        printf(j ? "inpainting, again:   " : "inpainting, one pass:");
        show(" known pixels lost", seam[j][0], asked);
        show("  differences across the border, those beside it being 100: images", seam[j][1], asked);
        show("  samples", seam[j][2], asked);
        printf("\n");
    }
    free(out);
    drl_ctx_destroy(ctx);
    return 0;
}
