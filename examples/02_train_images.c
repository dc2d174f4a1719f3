/* 02_train_images.c - the main job: train an energy-based model on images, watch it learn, stop and go on at
 * any time.
 *
 * Shows: data sets of three formats, training with its report, grids from the averaged weights, checkpoints,
 * rollback.
 *
 *     cc -O2 -DDRL_THREADS examples/02_train_images.c -o train_images -lm
 *     ./train_images                                      # embedded sprites, 16 x 16 RGBA; 10 minutes
 *     ./train_images --data IMAGES [--data LABELS ...]    # IDX, CIFAR binary or NPY files
 *
 * What files do not say about themselves:
 *   --shape HxWxC (of rows, or of a single image)  --layout nchw (channels first)
 *   --range LOW:HIGH (the elements that mean black and white)  --labels coarse (of CIFAR-100)
 * Without further options it trains the cooperative form with many levels and three short steps on each (12
 * levels up to 16 x 16, 24 above, of the shifted schedule), and learns the labels if the files have any. The
 * published settings, with --classes where labels are to be learned, are
 *   --cdrl   the cooperative form, 6 levels of 15 steps; add --target -1 for the published target
 *   --drl    the plain form, without an initializer network: 6 levels of 30 steps
 *   --unet   energies of a U-Net, trained by score matching: far better gradients, a step takes three times
 *            as long
 *   --t1k    1000 levels, K = 0, trained by score matching: densities, see 08 and 09
 * Small sets: --flip (mirrored)  --shift N (moved by up to N pixels)  --palette (colour channels exchanged)
 *   --balanced (each class equally often, whatever their counts)
 * Options: --size N (pad images to N x N; else the next multiple of 8)  --half (images at half their size)
 *   --no-classes  --levels N  --shifted (the shifted schedule)  --k N (Langevin steps)  --b2 X (their size)
 *   --base N  --blocks N  --batch N  --lr X  --warmup N  --noise X (on the data)
 *   --initializer N (its width)  --initializer-lr X  --target L (data's share in what it learns; -1: none)
 *   --steps N or --minutes X  --every N (grid and checkpoint)  --seed N  --out PREFIX
 *   --resume (go on from PREFIX.checkpoint with the same --data, bit for bit)  --threads N  --isa NAME
 * With --classes the picture has a column for each class, drawn with a guidance weight of 0.5.
 * Writes PREFIX.png (or .ppm), PREFIX.checkpoint and PREFIX.safetensors after 8 seconds, 30, 60, and then
 * every minute. Ctrl-C finishes the step, saves all three and ends. --resume then goes on bit for bit to the
 * end that the run had, or to --steps or --minutes, if they are given.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "sprites.h"
#include "data.h"
#include "training.h"

#define SPRITES 4000

static const char usage[] =
    "train_images [--data FILE ...] [--minutes X | --steps N] [--cdrl | --drl | --t1k | --unet]\n"
    "             [--classes | --no-classes] [--flip] [--shift N] [--palette] [--balanced]\n"
    "             [--size N] [--half] [--levels N] [--shifted] [--k N] [--b2 X] [--base N]\n"
    "             [--blocks N] [--batch N] [--lr X] [--warmup N] [--noise X] [--initializer N]\n"
    "             [--initializer-lr X] [--target L]\n"
    "             [--every N] [--seed N] [--out PREFIX] [--resume] [--threads N] [--isa NAME]\n"
    "             " DATA_USAGE "\n";

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "\n%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

typedef struct drawing {
    drl_ctx *ctx;
    const char *prefix;
} drawing;

static int draw(void *user, drl_model *model, int last)
{
    const drawing *d = (const drawing *)user;
    return training_grid(d->ctx, model, d->prefix, last);
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    training t;
    drawing d;
    drl_model_desc md;
    drl_train_desc td;
    drl_dataset sprites, halved, *loaded = NULL;
    drl_dataset_desc files_desc;
    const drl_dataset *data = &sprites;
    const char *files[8], *file;
    int file_count = 0, size, half, steps, classes, no_classes, cdrl, drl, t1k, unet;
    double minutes;
    drl_status status;

    while ((file = option_text(&o, "--data", NULL)) != NULL) {
        if (file_count == 8) {
            fprintf(stderr, "--data: at most 8 files\n");
            return 2;
        }
        files[file_count++] = file;
    }
    files_desc = data_options(&o);
    memset(&md, 0, sizeof md);
    memset(&td, 0, sizeof td);
    size = option_int(&o, "--size", 0);
    md.base = option_int(&o, "--base", 0);
    md.blocks = option_int(&o, "--blocks", 0);
    md.steps = option_int(&o, "--k", 0);
    md.b2 = option_number(&o, "--b2", 0);
    md.batch = td.batch = option_int(&o, "--batch", 32);
    md.trainable = 1;
    cdrl = option_flag(&o, "--cdrl");
    drl = option_flag(&o, "--drl");
    t1k = option_flag(&o, "--t1k");
    unet = option_flag(&o, "--unet");
    if (cdrl + drl + t1k + unet > 1) {
        fprintf(stderr, "--cdrl, --drl, --t1k, --unet: one of them\n");
        return 2;
    }
    if (unet) md.energy_form = DRL_ENERGY_UNET;
    if (!drl && !t1k) md.form = DRL_FORM_CDRL;
    half = option_flag(&o, "--half");
    md.levels = option_int(&o, "--levels", 0);
    if (t1k) {
        md.schedule = DRL_SCHEDULE_T1K;
        /* score matching needs gradients that change, and steep ones near the data */
        md.smooth = md.no_spectral = 1;
        td.objective = DRL_OBJECTIVE_SCORE;
        /* there are no chains that momentum could drive away */
        td.beta1 = 0.9f;
    }
    md.initializer = option_int(&o, "--initializer", 0);
    if (option_flag(&o, "--shifted")) md.schedule = DRL_SCHEDULE_SHIFTED;
    td.initializer_data = (float)option_number(&o, "--target", 0);
    td.initializer_rate = (float)option_number(&o, "--initializer-lr", 0);
    classes = option_flag(&o, "--classes");
    no_classes = option_flag(&o, "--no-classes");
    if (classes && no_classes) {
        fprintf(stderr, "--classes, --no-classes: one of them\n");
        return 2;
    }
    td.learning_rate = (float)option_number(&o, "--lr", 0);
    td.warmup = option_int(&o, "--warmup", 0);
    td.data_noise = (float)option_number(&o, "--noise", 0);
    td.flip = option_flag(&o, "--flip");
    td.shift = option_int(&o, "--shift", 0);
    td.palette = option_flag(&o, "--palette");
    memset(&t, 0, sizeof t);
    t.run.balanced = option_flag(&o, "--balanced");
    t.seed = td.seed = (uint64_t)option_int(&o, "--seed", 1);
    steps = option_int(&o, "--steps", 0);
    minutes = option_number(&o, "--minutes", 0);
    t.every = option_int(&o, "--every", 0);
    t.prefix = option_prefix(&o, "model");
    t.resume = option_flag(&o, "--resume");
    if (options_rest(&o, usage)) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (steps < 0 || !(minutes >= 0) || (steps && minutes > 0)) {
        fprintf(stderr, "--steps %d, --minutes %g: more than 0, and one of them\n", steps, minutes);
        return 2;
    }
    if (t.run.balanced && file_count == 0) {
        fprintf(stderr, "--balanced: the embedded sprites are balanced; give --data with labels\n");
        return 2;
    }
    if (t.every < 0) {
        fprintf(stderr, "--every %d: at least 1\n", t.every);
        return 2;
    }
    t.run.steps = (uint64_t)steps;
    t.run.seconds = 60 * minutes;
    if (!steps && !(minutes > 0) && !t.resume) t.run.seconds = 600;     /* a resumed run knows its end */

    if (file_count) {
        if (data_load(ctx, files, file_count, &files_desc, &loaded) != DRL_OK) return fail(ctx, "data");
        data = loaded;
    } else if (!sprites_create(1, SPRITES, &sprites)) {
        fprintf(stderr, "out of memory for the sprites\n");
        return 1;
    }
    if (half) {
        if (!data_shrink(data, 2, &halved)) {
            fprintf(stderr, "out of memory for the images\n");
            return 1;
        }
        data = &halved;
    }
    md.height = size ? size : (data->height + 7) / 8 * 8;       /* three poolings halve it */
    md.width = size ? size : (data->width + 7) / 8 * 8;
    md.channels = data->channels;
    if (!cdrl && !drl && !t1k) {            /* good pictures in minutes: many levels, few steps on each */
        if (!md.levels) md.levels = md.height > 16 || md.width > 16 ? 24 : 12;
        if (md.levels >= 12) {                                  /* with fewer the shift makes samples worse */
            md.schedule = DRL_SCHEDULE_SHIFTED;
            if (!md.steps) md.steps = 3;
        }
        if (file_count && data->labels && !no_classes) classes = 1;
    }
    if (classes) {
        if (!data->labels) {
            fprintf(stderr, "--classes: the data has no labels\n");
            return 2;
        }
        md.classes = data->classes;
    }

    t.ctx = d.ctx = ctx;
    d.prefix = t.prefix;
    t.name = "training";
    t.data = data;
    t.model_desc = md;
    t.train_desc = td;
    t.picture = draw;
    t.user = &d;
    if (training_open(&t) != DRL_OK) return fail(ctx, t.resume ? "--resume" : "model");
    md = t.model_desc;
    if (data->channels != md.channels || data->height > md.height || data->width > md.width) {
        fprintf(stderr,
                "the data has images of %d x %d x %d, the model takes up to %d x %d x %d; with --resume, "
                "give the same --data\n",
                data->height, data->width, data->channels, md.height, md.width, md.channels);
        return 2;
    }
    printf("%d images of %d x %d x %d, %lu + %lu parameters, batch %d, %d Langevin steps, %s, %d threads, "
           "%.0f MB\n",
           data->count, md.height, md.width, md.channels,
           (unsigned long)drl_net_params_size(drl_model_net(t.model)),
           (unsigned long)drl_net_params_size(drl_model_initializer(t.model)), md.batch,
           md.steps > 0 ? md.steps : 0, drl_isa_name(drl_ctx_isa(ctx)), drl_ctx_threads(ctx),
           (double)drl_ctx_bytes_used(ctx) * 1e-6);
    status = training_run(&t);
    if (status != DRL_OK && status != DRL_RUNNING) return fail(ctx, "training");
    drl_model_destroy(t.model);
    if (half) data_free(&halved);
    if (loaded)
        drl_dataset_destroy(loaded);
    else
        sprites_destroy(&sprites);
    drl_ctx_destroy(ctx);
    return 0;
}
