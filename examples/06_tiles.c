/* 06_tiles.c - one model, many questions: train it with classes, then ask for classes, half images, ways
 * between images, and sums.
 *
 * Shows: the cooperative form with classes, guidance, inpainting, interpolation, composition and negation.
 *
 *     cc -O2 -DDRL_THREADS examples/06_tiles.c -o tiles -lm
 *     ./tiles --threads 2                                   # embedded sprites: five shapes, five colours
 *     ./tiles --data IMAGES --data LABELS [--names FILE]    # IDX, CIFAR binary or NPY files
 *
 * The sprites have ten classes, the shapes and the colours. FILE has one class name a line.
 * Options: --model FILE (draw from it, train nothing; with the same --data)  --guidance X (of all pictures
 *   but the first; 1 unless said: sums of classes need more than the 0.5 of 02 and 03), and those of
 *   02_train_images for data and training
 * Writes PREFIX.safetensors and four pictures, PNG or PPM:
 *   PREFIX-guidance     a column for each class, a row for each weight w of (w + 1) F(y; class) - w F(y): the
 *                       larger w is, the clearer the images are, and the more alike
 *   PREFIX-inpaint      an image, the half that is shown, and what the model puts into the other half
 *   PREFIX-interpolate  from one sample of a class to another, by turning the noise of one into that of the
 *                       other
 *   PREFIX-compose      a first class, a second, and both: F(y; c1) + F(y; c2) - F(y); in the last row the
 *                       first without the second. A class counts w + 1 times
 * Trains for 10 minutes; the pictures take 10 seconds. After 8 seconds, 30, 60, and then every minute it
 * saves PREFIX.safetensors and PREFIX.checkpoint and draws a first PREFIX-guidance. Ctrl-C saves and ends;
 * the same command with --resume goes on bit for bit. After 2500 steps (5 minutes of one core) guided columns
 * have their colours and roughly their shapes, and heart + red gives red hearts, though no image of the
 * training is called both. Tiles of 32 x 32 need hours and --base 32.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "again.h"
#include "picture.h"
#include "data.h"

enum { COLUMNS = 12, ROWS = 6 };

/* levels from which inpainting and sums are drawn again */
static const int again[] = { 5, 4, 3, 3, 2, 2, 1, 1, 0 };

static const char usage[] =
    "tiles [--names FILE] [--model FILE] [--guidance X]\n      " TRAINING_USAGE "\n      " DATA_USAGE "\n"
    "      [--threads N] [--isa NAME]\n";

typedef struct demo {
    training t;
    data_set set;
    char name[257][PICTURE_NAME];           /* of classes 1.. */
    int trained, fits;                      /* fits: sums that show both of their classes */
    float guidance, *images, *known;        /* [ROWS][COLUMNS] images, [ROWS] images */
    uint8_t *mask;
    int label[COLUMNS];
} demo;

/* `count` samples of a class, or, if that is 0, of all classes in turn. */
static drl_sample_desc ask(demo *e, int count, int label)
{
    drl_sample_desc how;
    int i;
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = e->t.seed;
    how.labels = e->label;
    how.guidance = e->guidance;
    for (i = 0; i < count; ++i) e->label[i] = label ? label : 1 + i;
    return how;
}

/* Row r of each of the four pictures: its images, and its name. */
static drl_status guidance(demo *e, int r, int columns, float *out, char *name)
{
    static const float weight[] = { 0, 0.5f, 1, 2, 4 };
    drl_sample_desc how = ask(e, columns, 0);                   /* the same noise in every row */
    how.guidance = weight[r];
    snprintf(name, PICTURE_NAME, "w = %g", (double)weight[r]);
    return drl_sample(e->t.model, &how, out);
}

static drl_status inpaint(demo *e, int r, int columns, float *out, char *name)
{
    const drl_dataset *data = &e->set.data;
    const drl_model_desc *d = &e->t.model_desc;
    size_t i, j, c = (size_t)d->channels, w = (size_t)d->width, size = (size_t)d->height * w * c;
    int tries = 0, skip = r, index = r * (data->count / ROWS) % data->count;
    drl_sample_desc how;
    /* other classes, and sprites of other colours, in every row */
    while (((data->labels[index] + ROWS - 1) % ROWS != r || skip-- > 0) && tries++ < data->count)
        index = (index + 1) % data->count;
    how = ask(e, columns - 2, data->labels[index]);
    drl_dataset_image(e->t.ctx, data, index, d->height, d->width, out);
    for (j = 0; j < size; ++j) {
        uint8_t shown = j / c % w < w / 2;                      /* the left half; the other black, opaque */
        for (i = 0; i < ROWS; ++i) {
            e->known[i * size + j] = out[j];
            e->mask[i * size + j] = shown;
        }
        out[size + j] = shown ? out[j] : c % 2 == 0 && j % c == c - 1 ? 1.0f : -1.0f;
    }
    how.known = e->known;
    how.mask = e->mask;
    strcpy(name, e->name[e->label[0]]);
    return sample_again(e->t.ctx, e->t.model, &how, again, out + 2 * size);
}

static drl_status interpolate(demo *e, int r, int columns, float *out, char *name)
{
    drl_sample_desc how = ask(e, columns, 1 + r % e->t.model_desc.classes);
    drl_interpolation between;
    how.noise = drl_interpolation_noise(&between);
    between.count = how.count;
    between.seed = how.seed;
    between.from = 2 * r;                   /* from sample 2r of the seed to sample 2r + 1 */
    between.to = 2 * r + 1;
    strcpy(name, e->name[e->label[0]]);
    return drl_sample(e->t.model, &how, out);
}

static drl_status compose(demo *e, int r, int columns, float *out, char *name)
{
    drl_sample_desc how = ask(e, columns / 3, 0);
    int i, k, label[2], size = (int)drl_model_energy(e->t.model).size, classes = e->t.model_desc.classes;
    float w = e->guidance + 1, both[2];
    drl_status status = DRL_OK;
    how.labels = NULL;                      /* the sum has them, and their weights */
    how.guidance = 0;
    label[0] = 1 + r % classes;
    label[1] = e->set.files ? 1 + (r + 1) % classes : 1 + SPRITE_SHAPES + 3 * r % SPRITE_COLOURS;
    both[0] = w;
    both[1] = r < ROWS - 2 ? w : -w;
    for (k = 0; k < 3 && status == DRL_OK; ++k)
        status = sample_sum(e->t.ctx, e->t.model, label + k % 2, k < 2 ? &w : both, k < 2 ? 1 : 2, &how,
                            again, out + k * how.count * size);
    for (i = 2 * how.count; i < columns && !e->set.files && both[1] > 0; ++i)
        e->fits += sprite_read(out + i * size, NULL) ==
                   (label[0] - 1) * SPRITE_COLOURS + label[1] - 1 - SPRITE_SHAPES;
    snprintf(name, PICTURE_NAME, "%.16s %c %.16s", e->name[label[0]], both[1] > 0 ? '+' : '-',
             e->name[label[1]]);
    return status;
}

static const struct sheet {
    const char *kind;
    int rows, columns;                      /* columns 0: one for each class, under its name */
    const char *head[COLUMNS];
    drl_status (*row)(demo *e, int r, int columns, float *out, char *name);
} sheets[4] = {
    { "guidance", 5, 0, { NULL }, guidance },
    { "inpaint", ROWS, 8, { "image", "shown", "drawn", "", "", "", "", "" }, inpaint },
    { "interpolate", ROWS, 9, { "from", "", "", "", "", "", "", "", "to" }, interpolate },
    { "compose", 5, 12, { "first", "", "", "", "second", "", "", "", "both", "", "", "" }, compose }
};

/* PREFIX-KIND. Returns 0 when Ctrl-C was heard, or a failure said what it was. */
static int draw(demo *e, const struct sheet *s, int rows)
{
    const drl_model_desc *d = &e->t.model_desc;
    char name[ROWS][PICTURE_NAME], path[1024];
    const char *head[COLUMNS];
    int r, i, saved, columns = s->columns ? s->columns : d->classes < COLUMNS ? d->classes : COLUMNS;
    size_t each = (size_t)columns * drl_model_energy(e->t.model).size;
    picture p;
    for (r = 0; r < rows; ++r) {
        if (training_stop && e->trained) return 0;
        if (s->row(e, r, columns, e->images + (size_t)r * each, name[r]) == DRL_OK) continue;
        fprintf(stderr, "%s: %s\n", s->kind, drl_ctx_message(e->t.ctx));
        return 0;
    }
    for (i = 0; i < columns; ++i) head[i] = s->columns ? s->head[i] : e->name[1 + i];
    p = picture_sheet(e->images, rows, columns, columns, d->height, d->width, d->channels, head, name);
    snprintf(path, sizeof path, "%s-%s", e->t.prefix, s->kind);
    saved = picture_save(e->t.ctx, &p, path, 0);
    picture_destroy(&p);
    return saved;
}

/* Room for the pictures; 0 when there is none. */
static int room(demo *e)
{
    size_t size = drl_model_energy(e->t.model).size;
    if (!e->images) e->images = (float *)malloc((COLUMNS + 1) * ROWS * size * sizeof *e->images);
    if (!e->mask) e->mask = (uint8_t *)malloc(ROWS * size);
    e->known = e->images ? e->images + COLUMNS * ROWS * size : NULL;
    return e->images && e->mask;
}

/* While it trains: a sample of each class with two weights. */
static int early(void *user, drl_model *model, int last)
{
    demo *e = (demo *)user;
    (void)model;                            /* the training's */
    return (last && !training_stop) || (room(e) && draw(e, &sheets[0], 2));
}

int main(int argc, char **argv)
{
    static demo e;
    options o = options_of(argc, argv);
    const char *names = option_text(&o, "--names", NULL);
    training *t = &e.t;
    drl_model_desc *d = &t->model_desc;
    drl_status status;
    double start;
    int k;
    t->ctx = options_context(&o);
    t->name = "training";
    t->file = option_text(&o, "--model", NULL);
    t->data = &e.set.data;
    t->picture = early;
    t->user = &e;
    e.set = data_options(&o);
    e.guidance = (float)option_number(&o, "--guidance", 1);
    d->form = DRL_FORM_CDRL;
    d->base = 16;
    d->steps = 8;
    d->b2 = 1e-3;
    t->train_desc.batch = 16;
    t->train_desc.learning_rate = 1e-3f;
    t->train_desc.initializer_rate = 2e-3f;
    t->train_desc.data_noise = SPRITE_NOISE;
    training_options(&o, t, "tiles", 10);
    if (options_rest(&o, usage) || (t->train_desc.palette && !e.set.files)) {
        fprintf(stderr, "no words; --palette with --data, as classes of sprites are colours\n%s", usage);
        return 2;
    }
    if (!data_open(t->ctx, &e.set, 1, 4000, SPRITE_EITHER)) return 1;
    d->classes = e.set.data.classes;
    if (!e.set.data.labels || (d->levels && d->levels <= again[0])) {
        fprintf(stderr, "labels are needed (--data LABELS), and more than %d levels\n", again[0]);
        return 2;
    }
    data_names(&e.set, names, d->classes, e.name);
    status = data_train(&e.set, t, d->classes);
    if (status == DRL_OK && d->levels <= again[0]) {
        fprintf(stderr, "the model has %d levels: sums are drawn again from level %d, and need more\n",
                d->levels, again[0]);
        return 2;
    }
    if (status != DRL_OK) return training_failure(t, status);
    e.trained = 1;
    if (!e.set.files) {                     /* half images of sprites that it has not seen */
        data_close(&e.set);
        if (!data_open(t->ctx, &e.set, 2, 4000, SPRITE_SHAPES)) return 1;
    }
    start = seconds_now();
    for (k = 0; k < 4 && room(&e); ++k) if (!draw(&e, &sheets[k], sheets[k].rows)) break;
    if (k == 4 && !e.set.files)
        printf("composition: %d of %d samples show both that they were asked for (bench/sprites.c counts all "
               "pairs)\n",
               e.fits, 4 * sheets[3].columns / 3);
    if (k == 4) printf("four pictures in %.1f s\n", seconds_now() - start);
    else if (training_stop)
        printf("stopped; --model %s%s draws all pictures again\n", t->file ? t->file : t->prefix,
               t->file ? "" : ".safetensors");
    free(e.images);
    free(e.mask);
    drl_model_destroy(t->model);
    data_close(&e.set);
    drl_ctx_destroy(t->ctx);
    return k < 4 && !training_stop;
}
