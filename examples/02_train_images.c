/* 02_train_images.c - the main job: train an energy-based model on images, look at it while it learns, stop and go on at any time.
 *
 * Shows: data sets of three formats, the training loop with its report, grids from the averaged weights, checkpoints, rollback.
 *
 *     cc -O2 -DDRL_THREADS examples/02_train_images.c -o train_images -lm
 *     ./train_images                                            # embedded sprites, 16 x 16 RGBA; 10 minutes or so on 2 cores
 *     ./train_images --data IMAGES [--data LABELS ...]          # IDX, CIFAR binary or NPY files
 *
 * What files do not say about themselves: --shape HxWxC (of rows, or of a single image)
 *   --layout nchw (channels first)  --range LOW:HIGH (the elements that mean black and white)  --labels coarse (of CIFAR-100)
 * Options: --size N (pad images to N x N; the next multiple of 8 without it)  --base N  --blocks N  --batch N  --lr X  --warmup N
 *   --k N (Langevin steps)  --b2 X (their size)  --noise X (on the data)  --steps N or --minutes X  --every N (grid and checkpoint)  --seed N  --flip  --out PREFIX
 *   --half (images at half their size)  --t1k (1000 levels, or --levels N, K = 0, trained by score matching: densities, see 08 and 09)
 *   --shifted (for 12 levels and more: see drl_schedule_shifted)  --target L (share of the data in what the initializer learns; -1: none)
 *   --cdrl (the cooperative form, with an initializer network)  --initializer N (its width)  --initializer-lr X  --classes (learn the labels, too)
 *   --resume (go on from PREFIX.checkpoint with the same --data, bit for bit)  --threads N  --isa NAME
 * Writes PREFIX.png (or .ppm), PREFIX.checkpoint and PREFIX.safetensors. Ctrl-C finishes the step, saves all three and ends.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "sprites.h"
#include "data.h"
#include <signal.h>
#if defined(_WIN32)
#include <io.h>
#define is_terminal() _isatty(1)
#else
extern int isatty(int);
#define is_terminal() isatty(1)
#endif

#define SPRITES   4000
#define GRID      64
#define ROLLBACKS 5

static const char usage[] =
    "train_images [--data FILE ...] [--size N] [--base N] [--blocks N] [--batch N] [--lr X] [--warmup N] [--k N] [--b2 X] [--noise X] [--steps N | --minutes X]\n"
    "             [--half] [--t1k] [--levels N] [--shifted] [--cdrl] [--target L] [--initializer N] [--initializer-lr X] [--classes]\n"
    "             [--every N] [--seed N] [--flip] [--out PREFIX] [--resume] [--threads N] [--isa NAME]\n"
    "             " DATA_USAGE "\n";

static volatile sig_atomic_t stop = 0;
static void on_signal(int number) { (void)number; stop = 1; }

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "\n%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static void path_of(char *path, size_t size, const char *prefix, const char *suffix)
{
    if (snprintf(path, size, "%s%s", prefix, suffix) >= (int)size) { fprintf(stderr, "--out %s: too long\n", prefix); exit(2); }
}

/* The average of the weights draws better than the weights: it is swapped in for the picture and the model file, and out again. */
static int save_all(drl_ctx *ctx, drl_model *m, drl_trainer *tr, const char *prefix, int quiet)
{
    char path[1024];
    drl_model_desc d;
    drl_sample_desc how;
    drl_status status;
    float *pixels;
    picture p;
    int saved, labels[GRID], columns, i;
    drl_model_describe(m, &d);
    columns = picture_columns(d.classes);
    path_of(path, sizeof path, prefix, ".checkpoint");
    if (drl_trainer_save(tr, path) != DRL_OK) return !fail(ctx, path);
    if (!quiet) printf("wrote %s\n", path);
    pixels = (float *)malloc((size_t)GRID * (size_t)d.height * (size_t)d.width * (size_t)d.channels * sizeof *pixels);
    if (!pixels) { fprintf(stderr, "out of memory for the grid\n"); return 0; }
    memset(&how, 0, sizeof how);
    how.count = GRID / columns * columns;
    for (i = 0; i < GRID; ++i) labels[i] = 1 + i % columns;
    if (columns == d.classes) how.labels = labels;
    how.seed = 1;                                               /* the same noise each time: the pictures can be compared */
    drl_trainer_swap_average(tr);
    status = drl_sample(m, &how, pixels);
    path_of(path, sizeof path, prefix, ".safetensors");
    if (status == DRL_OK) status = drl_model_save(m, path);
    drl_trainer_swap_average(tr);
    if (status != DRL_OK) { free(pixels); return !fail(ctx, path); }
    if (!quiet) printf("wrote %s\n", path);
    p = picture_grid(pixels, how.count, columns, d.height, d.width, d.channels, d.height < 24 ? 4 : 2);
    saved = picture_save(ctx, &p, prefix, quiet);
    picture_destroy(&p);
    free(pixels);
    return saved;
}

static void progress(const drl_train_report *r, double now, double start, uint64_t first, double left, int last)
{
    static double shown = -1e9;
    double speed = now > start ? (double)(r->step - first) / (now - start) : 0;
    int t, terminal = is_terminal();
    if (now - shown < (terminal ? 0.5 : 15) && !last) return;
    shown = now;
    printf("%sstep %lu  loss %+.3f  |g| %.2f  ", terminal ? "\r" : "", (unsigned long)r->step, r->loss, r->grad_norm);
    if (r->levels <= 16) {
        printf("f+ - f- a level");
        for (t = 0; t < r->levels; ++t) printf(" %+.2f", r->level[t].f_pos - r->level[t].f_neg);
    } else {                                                    /* eighths of the levels: what is left of the noise, or how far chains go */
        double mean[8] = { 0 };
        printf("r by level");
        for (t = 0; t < r->levels; ++t) mean[t * 8 / r->levels] += r->level[t].displacement * 8 / r->levels;
        for (t = 0; t < 8; ++t) printf(" %.3f", mean[t]);
    }
    printf("  %.2f steps/s  %d:%02d left%s", speed, (int)left / 60, (int)left % 60, terminal ? "   " : "\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_model_desc md;
    drl_train_desc td;
    drl_train_report report;
    drl_dataset sprites, halved, *loaded = NULL;
    const drl_dataset *data = &sprites;
    drl_dataset_desc files_desc;
    drl_model *model = NULL;
    drl_trainer *trainer = NULL;
    const char *files[8], *prefix, *file;
    char checkpoint[1024];
    int file_count = 0, size, half, every, steps, resume, t1k;
    uint64_t seed, first;
    double minutes, start, now, paused = 0;
    int *labels = NULL, classes, i;
    float *x0;

    while ((file = option_text(&o, "--data", NULL)) != NULL) {
        if (file_count == 8) { fprintf(stderr, "--data: at most 8 files\n"); return 2; }
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
    if (option_flag(&o, "--cdrl")) md.form = DRL_FORM_CDRL;
    half = option_flag(&o, "--half");
    md.levels = option_int(&o, "--levels", 0);
    t1k = option_flag(&o, "--t1k");
    if (t1k) {
        md.schedule = DRL_SCHEDULE_T1K;
        md.smooth = md.no_spectral = 1;                         /* score matching needs gradients that change, and steep ones near the data */
        td.objective = DRL_OBJECTIVE_SCORE;
        td.beta1 = 0.9f;                                        /* there are no chains that momentum could drive away */
    }
    md.initializer = option_int(&o, "--initializer", 0);
    if (option_flag(&o, "--shifted")) md.schedule = DRL_SCHEDULE_SHIFTED;
    td.initializer_data = (float)option_number(&o, "--target", 0);
    td.initializer_rate = (float)option_number(&o, "--initializer-lr", 0);
    classes = option_flag(&o, "--classes");
    td.learning_rate = (float)option_number(&o, "--lr", 0);
    td.warmup = option_int(&o, "--warmup", 0);
    td.data_noise = (float)option_number(&o, "--noise", 0);
    td.flip = option_flag(&o, "--flip");
    td.seed = seed = (uint64_t)option_int(&o, "--seed", 1);
    steps = option_int(&o, "--steps", 0);
    minutes = option_number(&o, "--minutes", steps ? 0 : 10);
    every = option_int(&o, "--every", 500);
    prefix = option_prefix(&o, "model");
    resume = option_flag(&o, "--resume");
    if (options_rest(&o, usage)) { fprintf(stderr, "%s", usage); return 2; }
    if (steps < 0 || !(minutes >= 0) || (!steps && minutes == 0)) { fprintf(stderr, "--steps %d, --minutes %g: more than 0 of one of them is needed\n", steps, minutes); return 2; }
    if (every < 1) { fprintf(stderr, "--every %d: at least 1\n", every); return 2; }

    if (file_count) {
        if (data_load(ctx, files, file_count, &files_desc, &loaded) != DRL_OK) return fail(ctx, "data");
        data = loaded;
    } else if (!sprites_create(1, SPRITES, &sprites)) { fprintf(stderr, "out of memory for the sprites\n"); return 1; }
    if (half) {
        if (!data_shrink(data, 2, &halved)) { fprintf(stderr, "out of memory for the images\n"); return 1; }
        data = &halved;
    }
    md.height = size ? size : (data->height + 7) / 8 * 8;       /* three poolings halve it */
    md.width = size ? size : (data->width + 7) / 8 * 8;
    md.channels = data->channels;
    if (classes) {
        if (!data->labels) { fprintf(stderr, "--classes: the data has no labels\n"); return 2; }
        md.classes = data->classes;
    }

    path_of(checkpoint, sizeof checkpoint, prefix, ".checkpoint");
    if (resume && drl_checkpoint_describe(ctx, checkpoint, &md, &td) != DRL_OK) return fail(ctx, "--resume");
    if (data->channels != md.channels || data->height > md.height || data->width > md.width) {
        fprintf(stderr, "the data has images of %d x %d x %d, the model takes up to %d x %d x %d; with --resume, give the same --data\n",
                data->height, data->width, data->channels, md.height, md.width, md.channels);
        return 2;
    }
    if (drl_model_create(ctx, &md, seed, &model) != DRL_OK || drl_trainer_create(model, &td, &trainer) != DRL_OK) return fail(ctx, "model");
    if (resume && drl_trainer_resume(trainer, checkpoint) != DRL_OK) return fail(ctx, "--resume");
    x0 = (float *)malloc((size_t)td.batch * (size_t)md.height * (size_t)md.width * (size_t)md.channels * sizeof *x0);
    labels = (int *)malloc((size_t)td.batch * sizeof *labels);
    if (!x0 || !labels) { fprintf(stderr, "out of memory for a batch\n"); return 1; }
    drl_model_describe(model, &md);
    printf("%d images of %d x %d x %d, %lu + %lu parameters, batch %d, %d Langevin steps, %s, %d threads, %.0f MB\n", data->count, md.height, md.width, md.channels,
           (unsigned long)drl_net_params_size(drl_model_net(model)), (unsigned long)drl_net_params_size(drl_model_initializer(model)), td.batch, md.steps > 0 ? md.steps : 0, drl_isa_name(drl_ctx_isa(ctx)), drl_ctx_threads(ctx), (double)drl_ctx_bytes_used(ctx) * 1e-6);
    signal(SIGINT, on_signal);

    memset(&report, 0, sizeof report);
    first = drl_trainer_steps(trainer);
    start = now = seconds_now();
    while (!stop && (steps ? drl_trainer_steps(trainer) < (uint64_t)steps : now - start < minutes * 60)) {
        drl_rng rng = drl_trainer_rng(trainer);                 /* a function of seed and step: a resumed run sees the same images */
        drl_status status = drl_dataset_batch(ctx, data, &rng, td.batch, md.height, md.width, x0, md.classes ? labels : NULL);
        double done = steps ? (double)drl_trainer_steps(trainer) / steps : (now - start) / (minutes * 60);
        drl_trainer_set_rate(trainer, done < 0.5 ? 1 : done < 1 ? 2 - 2 * done : 0);       /* constant, then falling to zero */
        for (i = 0; i < td.batch && md.classes; ++i) ++labels[i];       /* 0 means no class */
        if (status == DRL_OK) status = drl_trainer_step(trainer, x0, md.classes ? labels : NULL, &report);
        if (status == DRL_E_DIVERGED && report.rollbacks < ROLLBACKS) {
            fprintf(stderr, "\n%s\ngoing back, with half the learning rate\n", drl_ctx_message(ctx));
            drl_ctx_clear(ctx);
            status = drl_trainer_rollback(trainer);
            ++report.rollbacks;
            continue;
        }
        if (status != DRL_OK) return fail(ctx, "training");
        now = seconds_now();
        progress(&report, now - paused, start, first, steps ? (double)((uint64_t)steps - report.step) * (now - paused - start) / (double)(report.step - first) : minutes * 60 - (now - start), 0);
        if (report.step % (uint64_t)every == 0) {
            if (!save_all(ctx, model, trainer, prefix, 1)) return 1;
            paused += seconds_now() - now;
        }
    }
    if (report.step) progress(&report, now - paused, start, first, 0, 1);
    printf("\n%s after %lu steps\n", stop ? "stopped" : "done", (unsigned long)drl_trainer_steps(trainer));
    if (!save_all(ctx, model, trainer, prefix, 0)) return 1;
    free(x0);
    free(labels);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    if (half) data_free(&halved);
    if (loaded) drl_dataset_destroy(loaded); else sprites_destroy(&sprites);
    drl_ctx_destroy(ctx);
    return 0;
}
