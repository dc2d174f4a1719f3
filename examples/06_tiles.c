/* 06_tiles.c - one model, many questions: train it with classes, then ask for classes, half images, ways
 * between images, and sums.
 *
 * Shows: the cooperative form with classes, guidance, inpainting, interpolation, composition and negation.
 *
 *     cc -O2 -DDRL_THREADS examples/06_tiles.c -o tiles -lm
 *     ./tiles --threads 2                                   # embedded sprites: five shapes, five colours
 *     ./tiles --data IMAGES --data LABELS [--names FILE]    # IDX, CIFAR binary or NPY files
 *
 * The sprites have ten classes, the shapes and the colours. FILE has one class name a line. --shape,
 * --layout, --range and --labels are as in 02_train_images.
 * Options: --model FILE (draw from it, train nothing; with the same --data)  --minutes X or --steps N
 *   --size N (pad images to N x N, or average them down)  --base N  --k N (Langevin steps)
 *   --b2 X (of the step size)  --batch N  --lr X  --initializer-lr X  --warmup N  --noise X (on the data)
 *   --target L (share of the data in what the initializer learns, 1 unless said; -1: none, as published)
 *   --flip (half of the images are mirrored)  --shift N (by up to N pixels)  --palette (colours exchanged)
 *   --guidance X (of the other pictures; 1 unless said: sums of classes need more than the 0.5 of 02 and 03)
 *   --seed N  --out PREFIX  --threads N  --isa NAME
 * Writes PREFIX.safetensors and four pictures, PNG or PPM:
 *   PREFIX-guidance     a column for each class, a row for each weight w of (w + 1) F(y; class) - w F(y): the
 *                       larger w is, the clearer the images are, and the more alike
 *   PREFIX-inpaint      an image, the half that is shown, and what the model puts into the other half
 *   PREFIX-interpolate  from one sample of a class to another, by turning the noise of one into that of the
 *                       other
 *   PREFIX-compose      a first class, a second, and both: F(y; c1) + F(y; c2) - F(y); in the last row the
 *                       first without the second
 * Trains for 10 minutes; the pictures take 10 seconds. After 8 seconds, 30, 60, and then every minute it
 * saves PREFIX.safetensors and PREFIX.checkpoint and draws a first PREFIX-guidance. Ctrl-C saves and ends;
 * the same command with --resume goes on bit for bit.
 * After 2500 steps (5 minutes of one core) guided columns have their colours and roughly their shapes, and
 * heart + red gives red hearts, though no image of the training is called both. Tiles of 32 x 32 need hours
 * and --base 32.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "again.h"
#include "options.h"
#include "data.h"
#include "picture.h"
#include "sprites.h"
#include <math.h>

#define SPRITES   4000
#define COLUMNS   12
#define ROWS      6
#define NAME      40

/* levels from which inpainting and sums are drawn again */
static const int again[] = { 5, 4, 3, 3, 2, 2, 1, 1, 0 };

static const char usage[] =
    "tiles [--data FILE ...] [--names FILE] [--model FILE | --minutes X | --steps N] [--resume] [--size N] "
    "[--base N] [--k N] [--b2 X] [--batch N] [--lr X] [--initializer-lr X]\n"
    "      [--target L] [--warmup N] [--noise X] [--flip] [--shift N] [--palette]\n"
    "      [--guidance X] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n"
    "      " DATA_USAGE "\n";

typedef struct demo {
    drl_ctx *ctx;
    drl_model *model;
    drl_model_desc d;
    drl_dataset data;
    int sprites;                            /* the data are the sprites: classes are shapes, then colours */
    char name[257][NAME];                   /* of classes 1.. */
    const char *prefix;
    uint64_t seed;
    float guidance;
    size_t size;                            /* floats of an image */
    float *images;                          /* [ROWS * COLUMNS] */
} demo;

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

/* A class of an image whose label is `label`: label + 1, as class 0 means none. A sprite has two classes, its
 * shape and its colour (colour != 0), and is shown under one of them at a time. */
static int class_of(const demo *e, int label, int colour)
{
    return 1 + (!e->sprites ? label
                : colour    ? SPRITE_SHAPES + label % SPRITE_COLOURS
                            : label / SPRITE_COLOURS);
}

/* Images and classes of a step. */
static drl_status images(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels)
{
    const demo *e = (const demo *)user;
    drl_status status = drl_dataset_batch(ctx, &e->data, rng, n, e->d.height, e->d.width, x0, labels);
    int i;
    for (i = 0; i < n; ++i)                 /* shapes take longer to learn than colours */
        labels[i] = class_of(e, labels[i], drl_rng_below(rng, 3) == 0);
    return status;
}

static int early(void *user, drl_model *model, int last);

/* Makes e->model, or has it from the checkpoint, and everything that trains it. */
static drl_status open_training(demo *e, training *t)
{
    drl_status status;
    t->ctx = e->ctx;
    t->name = "training";
    t->prefix = e->prefix;
    t->seed = e->seed;
    t->model_desc = e->d;
    t->run.source = images;
    t->picture = early;
    t->user = e;
    status = training_open(t);
    e->model = t->model;
    if (status == DRL_OK) drl_model_describe(e->model, &e->d);
    return status;
}

/* Saves rows of images under headings, a name beside each row. What is transparent shows grey. */
static int sheet(const demo *e, const char *kind, int rows, int columns, char (*head)[NAME],
                 char (*row)[NAME])
{
    int scale = e->d.height < 24 ? 3 : 2, w = e->d.width * scale + 1, h = e->d.height * scale + 1, left = 0,
        x[COLUMNS], i, ok;
    char path[1024];
    picture p;
    for (i = 0; i < rows; ++i) if (left < 8 * (int)strlen(row[i])) left = 8 * (int)strlen(row[i]);
    for (i = 0; i < columns; ++i) {
        if (head[i][0]) left += 8;                              /* a gap before every heading */
        x[i] = left + i * w;
    }
    p = picture_create(left + columns * w, 14 + rows * h, 0u);
    for (i = 0; i < rows * columns; ++i)
        picture_image(&p, x[i % columns], 14 + i / columns * h, e->images + (size_t)i * e->size, e->d.height,
                      e->d.width, e->d.channels, scale);
    picture_flatten(&p, 0x606060ff);
    for (i = 0; i < columns; ++i) picture_text(&p, x[i], 2, head[i], 0xffffffff, 2);
    for (i = 0; i < rows; ++i) picture_text(&p, 2, 14 + i * h + h / 2 - 5, row[i], 0xffffffff, 2);
    snprintf(path, sizeof path, "%s-%s", e->prefix, kind);
    ok = picture_save(e->ctx, &p, path, 0);
    picture_destroy(&p);
    return !ok;
}

/* The first `rows` of five weights; 0 when Ctrl-C was heard, or a failure said what it was. */
static int draw_guidance(demo *e, drl_model *model, int rows)
{
    static const float weight[] = { 0, 0.5f, 1, 2, 4 };
    char head[COLUMNS][NAME], row[5][NAME];
    int label[COLUMNS], columns = e->d.classes < COLUMNS ? e->d.classes : COLUMNS, i;
    drl_sample_desc how;
    drl_status status = DRL_OK;
    memset(&how, 0, sizeof how);
    how.count = columns;
    how.seed = e->seed;                                         /* the same noise in every row */
    how.labels = label;
    for (i = 0; i < columns; ++i) {
        label[i] = i + 1;
        strcpy(head[i], e->name[i + 1]);
    }
    for (i = 0; i < rows && status == DRL_OK; ++i) {
        how.guidance = weight[i];
        snprintf(row[i], NAME, "w = %g", (double)weight[i]);
        status = drl_sample(model, &how, e->images + (size_t)(i * columns) * e->size);
        if (rows == 5 && training_stop) return 1;
    }
    return status == DRL_OK ? sheet(e, "guidance", rows, columns, head, row) : fail(e->ctx, "guidance");
}

/* While it trains: a sample of each class with two weights. */
static int early(void *user, drl_model *model, int last)
{
    demo *e = (demo *)user;
    return (last && !training_stop) || !draw_guidance(e, model, 2);
}

/* Mean difference of a pixel and its right neighbour, columns `left` and left + 1. */
static double difference(const demo *e, const float *image, int left)
{
    int i, j, c = e->d.channels;
    double sum = 0;
    for (i = 0; i < e->d.height; ++i)
        for (j = left * c; j < (left + 1) * c; ++j)
            sum += fabs((double)image[i * e->d.width * c + j + c] - (double)image[i * e->d.width * c + j]);
    return sum / (e->d.height * c);
}

static int draw_inpaint(demo *e)
{
    enum { DRAWS = 6, ACROSS = DRAWS + 2 };
    char head[ACROSS][NAME] = { "image", "shown", "drawn" }, row[ROWS][NAME];
    float *known = (float *)malloc(DRAWS * e->size * sizeof *known);
    uint8_t *mask = (uint8_t *)malloc(DRAWS * e->size);
    int label[DRAWS], r, i, failed = 0, border = e->d.width / 2 - 1;
    size_t j, c = (size_t)e->d.channels;
    double seam[2] = { 0, 0 }, beside[2] = { 0, 0 };            /* of the images, of the samples */
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = DRAWS;
    how.seed = e->seed;
    how.labels = label;
    how.guidance = e->guidance;
    how.known = known;
    how.mask = mask;
    if (!known || !mask) {
        fprintf(stderr, "out of memory for inpainting\n");
        failed = 1;
    }
    for (r = 0; r < ROWS && !failed; ++r) {
        float *out = e->images + (size_t)(r * ACROSS) * e->size;
        int index = r * (e->data.count / ROWS) % e->data.count, tries = 0, given;
        /* other classes in every row */
        while (e->data.labels[index] % ROWS != r && tries++ < e->data.count)
            index = (index + 1) % e->data.count;
        given = class_of(e, e->data.labels[index], 0);
        drl_dataset_image(e->ctx, &e->data, index, e->d.height, e->d.width, out);
        for (j = 0; j < e->size; ++j) {
            /* the left half is shown */
            mask[j] = j / c % (size_t)e->d.width < (size_t)e->d.width / 2;
            /* black and opaque */
            out[e->size + j] = mask[j] ? out[j] : c % 2 == 0 && j % c == c - 1 ? 1.0f : -1.0f;
        }
        for (i = 0; i < DRAWS; ++i) {
            memcpy(known + (size_t)i * e->size, out, e->size * sizeof *known);
            memcpy(mask + (size_t)i * e->size, mask, i ? e->size : 0);
            label[i] = given;
        }
        strcpy(row[r], e->name[given]);
        if (training_stop) failed = 1;
        else if (sample_again(e->ctx, e->model, &how, again, out + 2 * e->size) != DRL_OK)
            failed = fail(e->ctx, "inpainting");
        for (i = 0; i < ACROSS && !failed; ++i) {
            const float *image = out + (size_t)i * e->size;
            if (i == 1) continue;
            seam[i > 1] += difference(e, image, border);
            beside[i > 1] += 0.5 * (difference(e, image, border - 1) + difference(e, image, border + 1));
        }
    }
    if (!failed)
        printf("inpainting: differences of neighbours across the border are %.2f times those beside it, in "
               "the images %.2f times\n",
               seam[1] / beside[1], seam[0] / beside[0]);
    if (!failed) failed = sheet(e, "inpaint", ROWS, ACROSS, head, row);
    free(known);
    free(mask);
    return failed;
}

static int draw_interpolate(demo *e)
{
    enum { ACROSS = 9 };
    char head[ACROSS][NAME] = { "from", "", "", "", "", "", "", "", "to" }, row[ROWS][NAME];
    int label[ACROSS], r, i;
    drl_interpolation between;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = between.count = ACROSS;
    how.labels = label;
    how.guidance = e->guidance;
    how.noise = drl_interpolation_noise(&between);
    between.seed = e->seed;
    for (r = 0; r < ROWS; ++r) {
        /* sample 2r of the seed, sample 2r + 1 at the other end */
        between.from = 2 * r;
        between.to = 2 * r + 1;
        for (i = 0; i < ACROSS; ++i) label[i] = 1 + r % e->d.classes;
        strcpy(row[r], e->name[label[0]]);
        if (training_stop) return 1;
        if (drl_sample(e->model, &how, e->images + (size_t)(r * ACROSS) * e->size) != DRL_OK)
            return fail(e->ctx, "interpolation");
    }
    return sheet(e, "interpolate", ROWS, ACROSS, head, row);
}

/* Draws samples of the sum of weight[i] F(y; label[i]), where label 0 is no class. The weights add up to 1,
 * so that the sum of the initializer's means is a mean, too. */
static int draw_sum(demo *e, const float *weight, const int *label, int terms, int count, float *out)
{
    drl_sum_term term[3];
    drl_sum *sum = NULL;
    drl_energy energy;
    drl_sample_desc how;
    drl_status status;
    int i;
    memset(term, 0, sizeof term);
    for (i = 0; i < terms; ++i) {
        term[i].energy = drl_model_energy(e->model);
        term[i].weight = weight[i];
        term[i].use_label = 1;
        term[i].label = label[i];
    }
    if (training_stop) return 1;
    status = drl_sum_create(e->ctx, term, terms, &sum);
    energy = drl_sum_energy(sum);
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = e->seed;
    how.energy = &energy;
    if (status == DRL_OK) status = sample_again(e->ctx, e->model, &how, again, out);
    drl_sum_destroy(sum);
    return status == DRL_OK ? 0 : fail(e->ctx, "composition");
}

static int draw_compose(demo *e)
{
    enum { EACH = 4, ACROSS = 3 * EACH };
    char head[ACROSS][NAME] = { "first", "", "", "", "second", "", "", "", "both" }, row[ROWS][NAME];
    int rows = 5, fits = 0, r, i;
    for (r = 0; r < rows; ++r) {
        int first = 1 + r % e->d.classes,
            second = e->sprites ? 1 + SPRITE_SHAPES + 3 * r % SPRITE_COLOURS : 1 + (r + 1) % e->d.classes;
        float sign = r < rows - 1 ? 1.0f : -1.0f, w = e->guidance + 1,
              *out = e->images + (size_t)(r * ACROSS) * e->size;
        /* F(y; c1) + (F(y; c2) - F(y)), in the last row minus the bracket. With guidance each class counts w
         * times: F(y) + w (F(y; c1) - F(y)) + w (F(y; c2) - F(y)). */
        float alone[2], both[3];
        int label[3];
        alone[0] = both[0] = w;
        alone[1] = 1 - w;
        both[1] = sign * w;
        both[2] = 1 - w - sign * w;
        label[0] = first;
        label[1] = 0;
        if (draw_sum(e, alone, label, 2, EACH, out)) return 1;
        label[0] = second;
        if (draw_sum(e, alone, label, 2, EACH, out + EACH * e->size)) return 1;
        label[0] = first;
        label[1] = second;
        label[2] = 0;
        if (draw_sum(e, both, label, 3, EACH, out + 2 * EACH * e->size)) return 1;
        for (i = 0; i < EACH && e->sprites && sign > 0; ++i)
            fits += sprite_read(out + (size_t)(2 * EACH + i) * e->size, NULL) ==
                    (first - 1) * SPRITE_COLOURS + second - 1 - SPRITE_SHAPES;
        snprintf(row[r], NAME, "%.16s %c %.16s", e->name[first], sign > 0 ? '+' : '-', e->name[second]);
    }
    if (e->sprites)
        printf("composition: %d of %d samples show both that they were asked for (bench/sprites.c counts all "
               "pairs)\n",
               fits, (rows - 1) * EACH);
    return sheet(e, "compose", rows, ACROSS, head, row);
}

static void name_classes(demo *e, const char *path)
{
    FILE *file = path ? fopen(path, "r") : NULL;
    int i;
    if (path && !file) {
        fprintf(stderr, "--names %s: cannot be opened\n", path);
        exit(2);
    }
    for (i = 1; i <= e->d.classes && i < 257; ++i) {
        if (e->sprites)
            snprintf(e->name[i], NAME, "%s",
                     i <= SPRITE_SHAPES ? sprite_shape_name(i - 1)
                                        : sprite_colour_name(i - 1 - SPRITE_SHAPES));
        else if (file && fgets(e->name[i], NAME, file)) e->name[i][strcspn(e->name[i], "\r\n")] = 0;
        else snprintf(e->name[i], NAME, "%d", i);
    }
    if (file) fclose(file);
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    static demo e;
    training t;
    drl_train_desc td;
    drl_status status = DRL_OK;
    drl_dataset *loaded = NULL;
    const char *files[8], *file, *names, *from;
    drl_dataset_desc files_desc;
    drl_dataset shrunk;
    int file_count = 0, steps, size, classes, failed;
    double minutes, start;

    e.ctx = options_context(&o);
    while ((file = option_text(&o, "--data", NULL)) != NULL) {
        if (file_count == 8) {
            fprintf(stderr, "--data: at most 8 files\n");
            return 2;
        }
        files[file_count++] = file;
    }
    files_desc = data_options(&o);
    memset(&shrunk, 0, sizeof shrunk);
    memset(&td, 0, sizeof td);
    names = option_text(&o, "--names", NULL);
    from = option_text(&o, "--model", NULL);
    steps = option_int(&o, "--steps", 0);
    minutes = option_number(&o, "--minutes", 0);
    memset(&t, 0, sizeof t);
    t.resume = option_flag(&o, "--resume");
    size = option_int(&o, "--size", 0);
    e.d.form = DRL_FORM_CDRL;
    e.d.base = option_int(&o, "--base", 16);
    e.d.steps = option_int(&o, "--k", 8);
    e.d.b2 = option_number(&o, "--b2", 1e-3);
    e.d.batch = td.batch = option_int(&o, "--batch", 16);
    e.d.trainable = 1;
    td.learning_rate = (float)option_number(&o, "--lr", 1e-3);
    td.initializer_rate = (float)option_number(&o, "--initializer-lr", 2e-3);
    td.initializer_data = (float)option_number(&o, "--target", 0);
    td.warmup = option_int(&o, "--warmup", 0);
    td.data_noise = (float)option_number(&o, "--noise", 0.05);
    td.flip = option_flag(&o, "--flip");
    td.shift = option_int(&o, "--shift", 0);
    td.palette = option_flag(&o, "--palette");
    e.guidance = (float)option_number(&o, "--guidance", 1);
    td.seed = e.seed = (uint64_t)option_int(&o, "--seed", 1);
    e.prefix = option_prefix(&o, "tiles");
    if (options_rest(&o, usage)) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (steps < 0) {
        fprintf(stderr, "--steps %d: 1 or more, or none\n", steps);
        return 2;
    }
    if (td.batch < 1 || !(minutes >= 0) || (steps && minutes > 0)) {
        fprintf(stderr, "--batch %d, --minutes %g, --steps %d: more than 0, and one of the latter two\n",
                td.batch, minutes, steps);
        return 2;
    }

    if (td.palette && !file_count) {
        fprintf(stderr, "--palette: five classes of the embedded sprites are colours; give --data\n");
        return 2;
    }
    if (!file_count) {
        if (!sprites_create(1, SPRITES, &e.data)) {
            fprintf(stderr, "out of memory for the sprites\n");
            return 1;
        }
        e.sprites = 1;
    } else {
        if (data_load(e.ctx, files, file_count, &files_desc, &loaded) != DRL_OK) return fail(e.ctx, "data");
        e.data = *loaded;
        if (!e.data.labels) {
            fprintf(stderr, "--data: labels are needed, too\n");
            return 2;
        }
        if (size > 0 && size < e.data.height && e.data.height % size == 0 && e.data.width == e.data.height) {
            if (!data_shrink(&e.data, e.data.height / size, &shrunk)) {
                fprintf(stderr, "out of memory for the images\n");
                return 1;
            }
            e.data = shrunk;
        }
    }
    classes = e.sprites ? SPRITE_SHAPES + SPRITE_COLOURS : e.data.classes;
    if (from) {
        e.d.trainable = 0;                                      /* only drawn from, --batch images a pass */
        if (drl_model_load(e.ctx, from, &e.d, &e.model) != DRL_OK) return fail(e.ctx, from);
    } else {
        e.d.height = size ? size : (e.data.height + 7) / 8 * 8;     /* three poolings halve it */
        e.d.width = size ? size : (e.data.width + 7) / 8 * 8;
        e.d.channels = e.data.channels;
        e.d.classes = classes;
        t.train_desc = td;
        t.run.steps = (uint64_t)steps;
        t.run.seconds = 60 * minutes;
        if (!steps && !(minutes > 0) && !t.resume) t.run.seconds = 600;     /* a resumed run knows its end */
        if (open_training(&e, &t) != DRL_OK) return fail(e.ctx, t.resume ? "--resume" : "model");
    }
    drl_model_describe(e.model, &e.d);
    if (e.d.classes != classes || e.d.channels != e.data.channels || e.d.height < e.data.height ||
        e.d.width < e.data.width) {
        fprintf(stderr,
                "the model draws %d x %d x %d in %d classes, the data has %d x %d x %d in %d: give the "
                "--data and the --size that it was trained with\n",
                e.d.height, e.d.width, e.d.channels, e.d.classes, e.data.height, e.data.width,
                e.data.channels, classes);
        return 2;
    }
    if (e.d.levels <= again[0]) {
        fprintf(stderr, "%s has %d levels: this program draws again from level %d, and needs more\n",
                from ? from : "the model", e.d.levels, again[0]);
        return 2;
    }
    name_classes(&e, names);
    e.size = (size_t)e.d.height * (size_t)e.d.width * (size_t)e.d.channels;
    e.images = (float *)malloc(ROWS * COLUMNS * e.size * sizeof *e.images);
    if (!e.images) {
        fprintf(stderr, "out of memory for the pictures\n");
        return 1;
    }
    printf(
        "%d images of %d x %d x %d in %d classes, %lu + %lu parameters, %d Langevin steps, %s, %d threads\n",
        e.data.count, e.d.height, e.d.width, e.d.channels, e.d.classes,
        (unsigned long)drl_net_params_size(drl_model_net(e.model)),
        e.d.initializer > 0 ? (unsigned long)drl_net_params_size(drl_model_initializer(e.model)) : 0ul,
        e.d.steps > 0 ? e.d.steps : 0, drl_isa_name(drl_ctx_isa(e.ctx)), drl_ctx_threads(e.ctx));

    training_catch();
    if (!from) status = training_run(&t);
    if (status == DRL_RUNNING) return 0;
    if (status != DRL_OK) return fail(e.ctx, "training");
    /* half images of sprites that it has not seen */
    if (e.sprites) {
        sprites_destroy(&e.data);
        if (!sprites_create(2, SPRITES, &e.data)) {
            fprintf(stderr, "out of memory for the sprites\n");
            return 1;
        }
    }
    start = seconds_now();
    failed = draw_guidance(&e, e.model, 5) || draw_inpaint(&e) || draw_interpolate(&e) || draw_compose(&e);
    if (!training_stop) printf("four pictures in %.1f s\n", seconds_now() - start);
    else {
        printf("stopped; --model %s%s draws all pictures again\n", from ? from : e.prefix,
               from ? "" : ".safetensors");
        failed = 0;
    }
    free(e.images);
    data_free(&shrunk);
    drl_model_destroy(e.model);
    if (loaded)
        drl_dataset_destroy(loaded);
    else
        sprites_destroy(&e.data);
    drl_ctx_destroy(e.ctx);
    return failed;
}
