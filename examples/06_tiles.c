/* 06_tiles.c - one model, many questions: train it with classes, then ask for classes, half images, ways
 * between images, and sums.
 *
 * Shows: the cooperative form with classes, guidance, inpainting, interpolation, composition and negation.
 *
 *     cc -O2 -DDRL_THREADS examples/06_tiles.c -o tiles -lm
 *     ./tiles --threads 2                                   # embedded sprites: five shapes, five colours
 *     ./tiles --data IMAGES --data LABELS [--names FILE]    # IDX, CIFAR binary, NPY or netpbm files
 *     ./tiles --data FOLDER                                 # of sub-folders, each of them a class
 *
 * The sprites have ten classes, the shapes and the colours. FILE has one class name a line. --model FILE
 * draws from a model and trains nothing; give the same --data. --guidance X is the weight w of all pictures
 * but the first: 1 unless said, as sums need more than the 0.5 of 02 and 03. Further options: those of 02 for
 * data and training. Writes PREFIX.safetensors and four pictures, PNG or PPM:
 *   PREFIX-guidance     a column for each class, a row for each weight w of (w + 1) F(y; class) - w F(y): the
 *                       larger w is, the clearer the images are, and the more alike
 *   PREFIX-inpaint      an image, the half that is shown, and what the model puts into the other half
 *   PREFIX-interpolate  from one sample of a class to another, by turning one's noise into the other's
 *   PREFIX-compose      a first class, a second, and both: F(y; c1) + F(y; c2) - F(y); in the last row the
 *                       first without the second. A class counts w + 1 times
 * Trains for 10 minutes, saves and draws PREFIX-guidance after 8 seconds, 30, 60, and then every minute.
 * Ctrl-C saves and ends; --resume goes on bit for bit. After 90 seconds of two cores (`make demo`) guided
 * columns have their colours and shapes, and heart + red gives red hearts, though no image of the training is
 * called both. The pictures take 10 seconds. Tiles of 32 x 32 need hours and --base 32.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "ask.h"
#include "data.h"
#include "sheet.h"

static const char usage[] = "tiles [--names FILE] [--model FILE] [--guidance X]\n      " TRAINING_USAGE
                            "\n      " DATA_USAGE "\n      [--threads N] [--isa NAME]\n";

static training t;                          /* the model, and how it is trained */
static data_set set;                        /* the images */
static char names[257][PICTURE_NAME];       /* of classes 1.. */
static float guidance;                      /* the weight w */
static int fits, asked;                     /* sums that show both of their classes; all of them */

/* Row r of each of the four pictures: its images, and its name. */
static drl_status sweep(int r, int columns, float *out, char *name)
{
    static const float weight[] = { 0, 0.5f, 1, 2, 4 };
    drl_sample_desc how = sheet_ask(&t, columns, 0, weight[r]); /* the same noise in every row */
    snprintf(name, PICTURE_NAME, "w = %g", (double)weight[r]);
    return drl_sample(t.model, &how, out);
}

static drl_status inpaint(int r, int columns, float *out, char *name)
{
    const drl_model_desc *d = &t.model_desc;
    size_t size = drl_model_energy(t.model).size;
    int index = data_of_row(&set.data, r, SHEET_ROWS), label = set.data.labels[index], half = d->width / 2;
    drl_sample_desc how = sheet_ask(&t, columns - 2, label, guidance);
    drl_status status = drl_dataset_image(t.ctx, &set.data, index, d->height, d->width, out);
    if (status != DRL_OK) return status;
    ask_again(&how, d->levels);
    snprintf(name, PICTURE_NAME, "%s", names[label]);
    picture_left(out + size, out, d->height, d->width, d->channels, half);      /* what is shown */
    return sample_rest(t.model, out, half, &how, out + 2 * size);
}

static drl_status interpolate(int r, int columns, float *out, char *name)
{
    int label = 1 + r % t.model_desc.classes;
    drl_sample_desc how = sheet_ask(&t, columns, label, guidance);
    drl_interpolation between = { t.seed, 2 * r, 2 * r + 1, columns };  /* two samples of the seed */
    how.noise = drl_interpolation_noise(&between);
    snprintf(name, PICTURE_NAME, "%s", names[label]);
    return drl_sample(t.model, &how, out);
}

static drl_status compose(int r, int columns, float *out, char *name)
{
    int each = columns / 3, last = r == 4, label[2];
    size_t size = drl_model_energy(t.model).size, part = (size_t)each * size;
    float w[2] = { guidance + 1, guidance + 1 };
    drl_sample_desc how = sheet_ask(&t, each, 0, guidance);
    drl_status status;
    /* of sprites a shape and a colour, of files two neighbours */
    label[0] = 1 + r % t.model_desc.classes;
    if (set.file.count) label[1] = 1 + (r + 1) % t.model_desc.classes;
    else label[1] = 1 + SPRITE_SHAPES + 3 * r % SPRITE_COLOURS;
    snprintf(name, PICTURE_NAME, "%.16s %c %.16s", names[label[0]], last ? '-' : '+', names[label[1]]);
    ask_again(&how, t.model_desc.levels);
    status = sample_sum(t.ctx, t.model, label, w, 1, &how, out);
    if (status == DRL_OK) status = sample_sum(t.ctx, t.model, label + 1, w, 1, &how, out + part);
    if (last) w[1] = -w[1];
    if (status == DRL_OK) status = sample_sum(t.ctx, t.model, label, w, 2, &how, out + 2 * part);
    if (!set.file.count && size == SPRITE_BYTES && !last) {
        fits += sprites_of(out + 2 * part, each, label[0], label[1]);
        asked += each;
    }
    return status;
}

static const sheet sheets[4] = {
    { "guidance", 5, 0, { NULL }, sweep },
    { "inpaint", 6, 8, { "image", "shown", "drawn", "", "", "", "", "" }, inpaint },
    { "interpolate", 6, 9, { "from", "", "", "", "", "", "", "", "to" }, interpolate },
    { "compose", 5, 12, { "first", "", "", "", "second", "", "", "", "both", "", "", "" }, compose }
};

/* While it trains: a sample of each class with two weights. */
static int early(void *user, drl_model *model, int last)
{
    (void)user;
    (void)model;                            /* the training's */
    return (last && !training_stop) || sheet_draw(&sheets[0], 2, &t, names) == DRL_OK;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_status status;
    int failed;
    t.ctx = options_context(&o);
    t.file = option_text(&o, "--model", NULL);
    t.picture = early;
    set = data_options(&o);
    guidance = (float)option_number(&o, "--guidance", 1);
    sprites_cooperative(&t);
    training_options(&o, &t, "tiles", 10);
    if (!data_labelled(&o, &set, &t, usage, names)) return 2;
    status = data_train(&set, &t, set.data.classes);
    if (status == DRL_OK && !data_others(t.ctx, &set)) return 1;
    if (status == DRL_OK) status = sheets_draw(sheets, 4, &t, names);
    if (status == DRL_OK && asked)
        printf("composition: %d of %d samples show both that they were asked for (bench/sprites.c counts all "
               "pairs)\n", fits, asked);
    failed = training_failure(&t, status);
    drl_model_destroy(t.model);
    data_close(&set);
    drl_ctx_destroy(t.ctx);
    return failed;
}
