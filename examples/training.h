/* training.h - what programs have around drl_train: Ctrl-C, going on from a checkpoint, lines of progress,
 * and pictures while it learns. Include it after drl.h, options.h and picture.h. */
#ifndef TRAINING_H
#define TRAINING_H
#include "run_log.h"
#include <limits.h>
#include <signal.h>
#if defined(_WIN32)
#include <io.h>
#define training_terminal() _isatty(1)
#elif defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define training_terminal() isatty(1)
#else
#define training_terminal() 0
#endif

#define TRAINING_GRID 64                    /* samples of a picture */

/* Set by Ctrl-C, and by SIGTERM. The second one ends the program at once. */
static volatile sig_atomic_t training_stop = 0;

static inline void training_signal(int number)
{
    if (training_stop) _Exit(128 + number);
    training_stop = 1;
    signal(number, training_signal);        /* some systems forget the handler when it is called */
}

static inline void training_catch(void)
{
    signal(SIGINT, training_signal);
    signal(SIGTERM, training_signal);
}

/* One run, from its description to a model. Fill in the first part, all zeros where nothing is said. */
typedef struct training {
    drl_ctx *ctx;
    const char *name;                       /* in front of the lines of progress; NULL: none are printed */
    /* PREFIX.checkpoint and PREFIX.safetensors are written; NULL: nothing */
    const char *prefix;
    int resume;                             /* nonzero: go on from PREFIX.checkpoint */
    int no_resume;                          /* nonzero: the program cannot do that, and does not offer it */
    const char *file;                       /* a model: nothing is trained, it is loaded; NULL: none */
    int every;                              /* also save every so many steps */
    int f16;                                /* nonzero: the model's file holds F16, half of the bytes */
    const char *log;                        /* a file for the numbers of the run, see run_log.h; NULL: none */
    int log_every;                          /* steps from line to line of it */
    uint64_t seed;                          /* of the first weights */
    drl_model_desc model_desc;
    drl_train_desc train_desc;
    /* steps or seconds, fall, rollbacks, and `source`, if there is one */
    drl_run_desc run;
    const drl_dataset *data;                /* where images come from: this, */
    void (*points)(drl_rng *rng, float *x); /* or vectors of two numbers, one a call, */
    void *user;                             /* or run.source, which gets this pointer, and so does: */
    /* Draws with the averaged weights and writes a picture; last is nonzero when the run ends. Returns 0 when
     * it cannot. */
    int (*picture)(void *user, drl_model *model, int last);
    /* set by training_open: */
    drl_model *model;
    drl_trainer *trainer;
    int rollbacks;                          /* so far */
    size_t bytes;                           /* that model and trainer take */
    uint64_t steps;                         /* that training_run did after the first one, */
    double spent;                           /* and the seconds that they took */
    /* private: */
    drl_status (*source)(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels);
    double begun, due, draw_due, shown, seconds_before;
    uint64_t steps_before;
    int failed, drawn;                      /* failed: with its sentence printed */
    FILE *log_file;
    uint64_t logged;                        /* the step of its last line */
} training;

#define TRAINING_USAGE \
    "[--minutes X | --steps N] [--resume] [--every N] [--out PREFIX] [--f16] [--seed N]\n" \
    "      [--base N] [--blocks N] [--levels N] [--k N] [--b2 X] [--initializer N] [--batch N] [--lr X]\n" \
    "      [--initializer-lr X] [--target L] [--warmup N] [--noise X] [--flip] [--shift N] [--palette]\n" \
    "      [--log FILE] [--log-every N]"

/* The options of a run. One that is not given leaves *t as it is; --out is then build/NAME, --seed 1, and the
 * run takes `minutes`. */
static inline void training_options(options *o, training *t, const char *name, double minutes)
{
    drl_model_desc *m = &t->model_desc;
    drl_train_desc *d = &t->train_desc;
    double given = option_number(o, "--minutes", 0);
    int steps = option_int(o, "--steps", 0);
    m->base = option_int(o, "--base", m->base);
    m->blocks = option_int(o, "--blocks", m->blocks);
    m->levels = option_int(o, "--levels", m->levels);
    m->steps = option_int(o, "--k", m->steps);
    m->b2 = option_number(o, "--b2", m->b2);
    m->initializer = option_int(o, "--initializer", m->initializer);
    d->batch = option_int(o, "--batch", d->batch ? d->batch : INT_MAX);      /* INT_MAX: not given */
    d->learning_rate = (float)option_number(o, "--lr", (double)d->learning_rate);
    d->initializer_rate = (float)option_number(o, "--initializer-lr", (double)d->initializer_rate);
    d->initializer_data = (float)option_number(o, "--target", (double)d->initializer_data);
    d->warmup = option_int(o, "--warmup", d->warmup);
    d->data_noise = (float)option_number(o, "--noise", (double)d->data_noise);
    d->flip = option_flag(o, "--flip");
    d->shift = option_int(o, "--shift", d->shift);
    d->palette = option_flag(o, "--palette");
    t->seed = d->seed = (uint64_t)option_int(o, "--seed", 1);
    t->every = option_int(o, "--every", 0);
    t->f16 = option_flag(o, "--f16");
    t->log = option_text(o, "--log", NULL);
    t->log_every = option_int(o, "--log-every", 50);
    t->prefix = option_prefix(o, name);
    t->resume = option_flag(o, "--resume");
    if (steps < 0 || !(given >= 0) || (steps && given > 0) || t->every < 0 || d->batch < 1) {
        fprintf(stderr,
                "--steps %d, --minutes %g (one of them), --every %d, --batch %d: each 1 or more, or not "
                "given\n",
                steps, given, t->every, d->batch);
        exit(2);
    }
    if (t->log_every < 1) {
        fprintf(stderr, "--log-every %d: a line of the log every so many steps, 1 or more\n", t->log_every);
        exit(2);
    }
    if (d->batch == INT_MAX) d->batch = 0;
    t->run.steps = (uint64_t)steps;
    /* a resumed run has its end */
    t->run.seconds = 60 * (steps || given > 0 || t->resume ? given : minutes);
}

/* Writes PREFIX and a suffix; a name that is too long ends the program. */
static inline const char *training_path(char *path, size_t size, const char *prefix, const char *suffix)
{
    if (snprintf(path, size, "%s%s", prefix, suffix) >= (int)size) {
        fprintf(stderr, "--out %s: too long\n", prefix);
        exit(2);
    }
    return path;
}

/* drl_sample in steps, so that Ctrl-C is heard: DRL_RUNNING when it was. */
static inline drl_status training_sample(drl_model *model, const drl_sample_desc *how, float *pixels)
{
    drl_sampler *sampler = NULL;
    drl_status status = drl_sampler_create(model, how, &sampler);
    size_t size = drl_model_energy(model).size;
    int i;
    if (status == DRL_OK)
        do status = drl_sampler_run(sampler, 1); while (status == DRL_RUNNING && !training_stop);
    for (i = 0; i < how->count && status == DRL_OK; ++i)
        status = drl_sampler_image(sampler, i, pixels + (size_t)i * size);
    drl_sampler_destroy(sampler);
    return status;
}

/* A picture of samples, a column for each class where they fit: PREFIX.png or .ppm. Early ones are small
 * where samples take long. */
static inline int training_grid(drl_ctx *ctx, drl_model *model, const char *prefix, int last)
{
    drl_model_desc d;
    drl_sample_desc how;
    int labels[TRAINING_GRID], columns, count, i, saved;
    double cost;
    float *pixels;
    picture p;
    drl_model_describe(model, &d);
    columns = picture_columns(d.classes);
    cost = (double)d.levels * (d.steps > 0 ? d.steps : 1) * d.height * d.width;
    count = (last && !training_stop) || cost <= 200.0 * 16 * 16 ? TRAINING_GRID : 16;
    memset(&how, 0, sizeof how);
    how.count = count / columns ? count / columns * columns : columns;
    for (i = 0; i < TRAINING_GRID && d.classes; ++i) labels[i] = 1 + i % d.classes;
    if (d.classes) {
        how.labels = labels;
        how.guidance = 0.5f;                /* clearer, and still of many kinds */
    }
    how.seed = 1;                           /* the same noise each time: the pictures can be compared */
    pixels = (float *)malloc((size_t)how.count * drl_model_energy(model).size * sizeof *pixels);
    if (!pixels || drl_sample(model, &how, pixels) != DRL_OK) {
        fprintf(stderr, "\npicture: %s\n", pixels ? drl_ctx_message(ctx) : "out of memory");
        free(pixels);
        return 0;
    }
    p = picture_grid(pixels, how.count, columns, d.height, d.width, d.channels, d.height < 24 ? 4 : 2);
    saved = picture_save(ctx, &p, prefix, 1);
    picture_destroy(&p);
    free(pixels);
    return saved;
}

/* The picture of a run on images: user is its training. */
static inline int training_picture(void *user, drl_model *model, int last)
{
    const training *t = (const training *)user;
    return training_grid(t->ctx, model, t->prefix, last);
}

static inline int training_failed(const training *t, const char *what)
{
    fprintf(stderr, "\n%s: %s\n", what, drl_ctx_message(t->ctx));
    return 0;
}

/* The checkpoint, then the model and the picture. The averaged weights draw better than those of the last
 * step: they are swapped in for the latter two, and out again. Between pictures lies ten times what the last
 * one took, so that a model which draws slowly still spends nine tenths of its time on learning. */
static inline int training_save(training *t, int last)
{
    char path[1024];
    int ok = 1, draw = t->picture && (last || seconds_now() - t->begun >= t->draw_due);
    if (t->prefix) {
        training_path(path, sizeof path, t->prefix, ".checkpoint");
        if (drl_trainer_save(t->trainer, path) != DRL_OK) return training_failed(t, path);
        training_path(path, sizeof path, t->prefix, ".safetensors");
    }
    drl_trainer_swap_average(t->trainer);
    if (t->prefix && drl_model_save(t->model, t->f16 ? DRL_DTYPE_F16 : DRL_DTYPE_F32, path) != DRL_OK)
        ok = training_failed(t, path);
    if (ok && draw) {
        double before = seconds_now();
        ok = t->picture(t->user, t->model, last);
        t->draw_due = seconds_now() - t->begun + 10 * (seconds_now() - before);
    }
    drl_trainer_swap_average(t->trainer);
    if (ok && t->prefix && (last || !t->drawn)) {
        const char *drew = draw ? ", and drew it" : "";
        if (last) printf("wrote %s.safetensors and %s.checkpoint%s\n", t->prefix, t->prefix, drew);
        else printf("\nso far: %s.safetensors%s, after %.0f s\n", t->prefix, drew, seconds_now() - t->begun);
        fflush(stdout);
    }
    t->drawn = 1;
    return ok;
}

/* One file, whole or not at all: the state of a sampler or of chains, and behind it count - 1 arrays of the
 * program's; array[0] is set here. */
static inline drl_status training_state(drl_ctx *ctx, const char *path, const void *state, size_t bytes,
                                        drl_array *array, size_t count)
{
    drl_safetensors_desc file;
    array[0] = drl_array_of("state", DRL_DTYPE_U8, 1, &bytes, state);
    memset(&file, 0, sizeof file);
    file.arrays = array;
    file.count = count;
    return drl_safetensors_write_file(ctx, path, &file);
}

/* What the networks leave of the noise, in percent, on up to six groups of levels, the least noisy first: see
 * drl_level_report. Energies tell of levels 0 to T-1, an initializer of 1 to T. */
static inline void training_noise(const drl_train_report *r)
{
    int groups = r->levels < 6 ? r->levels : 6, which, i;
    for (which = 0; which < 1 + (r->initializer_loss > 0); ++which) {
        double sum[6] = { 0 };
        int count[6] = { 0 };
        for (i = 0; i < r->levels; ++i) {
            double left = which ? r->level[i].initializer_noise_left : r->level[i].noise_left;
            if (!(left > 0)) continue;                          /* none of its images was looked at yet */
            sum[i * groups / r->levels] += left;
            count[i * groups / r->levels] += 1;
        }
        printf(which ? ", initializer" : "%% of noise left: energies");
        for (i = 0; i < groups; ++i) {
            double percent = count[i] ? 100 * sum[i] / count[i] : 0;
            if (count[i]) printf(" %.*f", percent < 9.95, percent);
            else printf(" -");
        }
    }
}

static inline void training_progress(training *t, const drl_train_report *r)
{
    double now = seconds_now(), spent = r->seconds - t->seconds_before, speed, left;
    int terminal = training_terminal();
    if (!t->name || (now - t->shown < (terminal ? 0.5 : 15))) return;
    t->shown = now;
    speed = spent > 0 ? (double)(r->step - t->steps_before) / spent : 0;
    left = r->total ? (speed > 0 ? (double)(r->total - r->step) / speed : 0) : t->run.seconds - r->seconds;
    printf("%s%s: step %lu  loss %+.3f  |g| %.2f  ", terminal ? "\r" : "", t->name, (unsigned long)r->step,
           r->loss, r->grad_norm);
    training_noise(r);
    printf("  %.2f steps/s  %d:%02d left%s", speed, (int)left / 60, (int)left % 60, terminal ? "   " : "\n");
    fflush(stdout);
}

/* Opens the log behind its line of step `last`. What the file has of later steps is cut off: the run went
 * back, to a checkpoint or to the last good state, and comes to these steps again. */
static inline int training_log_open(training *t, uint64_t last)
{
    run_log log;
    FILE *there = last ? fopen(t->log, "rb") : NULL;            /* if not, the log begins now */
    int levels = t->model_desc.levels, cut;
    memset(&log, 0, sizeof log);
    if (there) {
        fclose(there);
        if (!run_log_read(t->ctx, t->log, (double)last, &log)) {
            fprintf(stderr, "\n%s\n", log.said);
            return 0;
        }
        if (log.levels && log.levels != levels) {
            fprintf(stderr, "%s: the log of a model of %d levels; this one has %d\n", t->log, log.levels,
                    levels);
            run_log_close(t->ctx, &log);
            return 0;
        }
    }
    t->logged = last;
    cut = drl_file_write(t->ctx, t->log, log.text ? log.text : "", log.bytes) == DRL_OK;
    run_log_close(t->ctx, &log);
    if (cut) t->log_file = fopen(t->log, "ab");
    if (!t->log_file && cut) fprintf(stderr, "\n%s: cannot be written\n", t->log);
    else if (!t->log_file) fprintf(stderr, "\n%s\n", drl_ctx_message(t->ctx));
    return t->log_file != NULL;
}

/* Nonzero: the line is written, or none was due. */
static inline int training_log(training *t, const drl_train_report *r)
{
    if (!t->log) return 1;
    if (r->step <= t->logged) {             /* the run went back */
        fclose(t->log_file);
        t->log_file = NULL;
        if (!training_log_open(t, r->step - 1)) return 0;
    }
    if (r->step % (uint64_t)t->log_every) return 1;
    t->logged = r->step;
    if (run_log_write(t->log_file, r)) return 1;
    fprintf(stderr, "\n%s: step %lu cannot be written\n", t->log, (unsigned long)r->step);
    return 0;
}

static inline double training_clock(void *user)
{
    (void)user;
    return seconds_now();
}

static inline int training_step(void *user, const drl_train_report *r)
{
    training *t = (training *)user;
    double now = seconds_now() - t->begun;
    if (r->diverged) {
        ++t->rollbacks;
        if (t->name) fprintf(stderr, "\n%s\ngoing back, with half the learning rate\n", r->diverged);
        return training_stop;
    }
    if (!t->shown) {                        /* the first step: the speed is that of the steps behind it */
        t->steps_before = r->step;
        t->seconds_before = r->seconds;
    }
    t->steps = r->step - t->steps_before;
    t->spent = r->seconds - t->seconds_before;
    training_progress(t, r);
    if (!training_log(t, r)) return t->failed = 1;
    if (now >= t->due || (t->every && r->step % (uint64_t)t->every == 0)) {
        while (t->due <= seconds_now() - t->begun) t->due = t->due < 30 ? 30 : t->due < 60 ? 60 : t->due + 60;
        if ((t->prefix || t->picture) && !training_save(t, 0)) return t->failed = 1;
    }
    return training_stop;
}

static inline drl_status training_images(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0,
                                         int *labels)
{
    training *t = (training *)user;
    int i;
    if (t->source) return t->source(t->user, ctx, rng, n, x0, labels);
    for (i = 0; i < n; ++i) t->points(rng, x0 + 2 * i);
    return DRL_OK;
}

#define TRAINING_BYTES ((size_t)1 << 31)    /* that a checkpoint may ask for, which may be a stranger's */

/* Makes the model and its trainer, or has them where the checkpoint was; or loads the model. A network and a
 * schedule of the program's own are in no file, and how the data was normalised is in no checkpoint: they are
 * those of model_desc; nor are ranks. */
static inline drl_status training_open(training *t)
{
    drl_model_desc own = t->model_desc, *d = &t->model_desc;
    drl_train_desc ranks = t->train_desc;
    char path[1024];
    size_t trainer = 0;
    drl_status status = DRL_OK;
    if (!t->train_desc.batch) t->train_desc.batch = 32;
    d->batch = t->train_desc.batch;
    if (t->file) {
        status = drl_model_load(t->ctx, t->file, d, &t->model);
        if (status == DRL_OK) status = drl_model_describe(t->model, d);
        return status == DRL_OK ? drl_model_size(t->ctx, d, &t->bytes) : status;
    }
    if (t->resume) {
        training_path(path, sizeof path, t->prefix, ".checkpoint");
        status = drl_checkpoint_describe(t->ctx, path, d, &t->train_desc);
        if (d->energy_form == DRL_ENERGY_OWN) d->build = own.build;
        if (d->schedule == DRL_SCHEDULE_OWN && d->levels == own.levels) d->sbar = own.sbar;
        d->mean = own.mean;
        d->deviation = own.deviation;
        d->build_user = own.build_user;
        t->train_desc.ranks = ranks.ranks;
        t->train_desc.rank = ranks.rank;
        t->train_desc.reduce = ranks.reduce;
        t->train_desc.reduce_user = ranks.reduce_user;
    }
    d->trainable = 1;
    d->batch = t->train_desc.batch;
    if (t->train_desc.groups > 1) d->batch /= t->train_desc.groups;
    if (status == DRL_OK) status = drl_model_size(t->ctx, d, &t->bytes);
    if (status == DRL_OK && t->resume && t->bytes > TRAINING_BYTES) {
        fprintf(stderr, "%s: a model of %.0f MB\n", path, (double)t->bytes * 1e-6);
        return DRL_E_MEMORY;
    }
    if (status == DRL_OK) status = drl_model_create(t->ctx, d, t->seed, &t->model);
    if (status == DRL_OK) status = drl_trainer_size(t->model, &t->train_desc, &trainer);
    t->bytes += trainer;
    if (status == DRL_OK) status = drl_trainer_create(t->model, &t->train_desc, &t->trainer);
    if (status == DRL_OK && t->resume) status = drl_trainer_resume(t->trainer, path);
    if (status == DRL_OK) drl_model_describe(t->model, &t->model_desc);
    return status;
}

/* The parameters of a network, or 0 of NULL. */
static inline unsigned long training_parameters(const drl_net *net)
{
    unsigned long sum = 0;
    int i;
    for (i = 0; i < drl_net_param_count(net); ++i) sum += (unsigned long)drl_net_param(net, i)->count;
    return sum;
}

/* A line on what is about to be trained. */
static inline void training_print(const training *t, int images)
{
    const drl_model_desc *d = &t->model_desc;
    printf("%d images of %d x %d x %d, %d classes, %lu + %lu parameters, batch %d, %d Langevin steps, %s, %d "
           "threads, %.0f MB\n",
           images, d->height, d->width, d->channels, d->classes,
           training_parameters(drl_model_net(t->model)),
           training_parameters(drl_model_initializer(t->model)), t->train_desc.batch,
           d->steps > 0 ? d->steps : 0, drl_isa_name(drl_ctx_isa(t->ctx)), drl_ctx_threads(t->ctx),
           (double)t->bytes * 1e-6);
}

/* What a failure of the two is called: 1, with its sentence printed; 0 for what is none. */
static inline int training_failure(const training *t, drl_status status)
{
    const char *message = drl_ctx_message(t->ctx);
    if (status == DRL_OK || status == DRL_RUNNING) return 0;
    if (t->failed) return 1;
    fprintf(stderr, "\n%s: %s\n", t->file ? t->file : t->resume ? "--resume" : "training",
            *message ? message : drl_status_text(status));
    return 1;
}

/* Trains until the run is over (DRL_OK) or somebody asks to stop (DRL_RUNNING), saves, and leaves the
 * averaged weights in the model. A failure's sentence is in the context. */
static inline drl_status training_run(training *t)
{
    drl_run_desc run = t->run;
    drl_status status;
    training_catch();
    if (t->file) return DRL_OK;
    t->source = run.source;
    if (run.source || t->points) run.source = training_images;
    run.clock = training_clock;
    run.on_step = training_step;
    run.user = t;
    t->begun = seconds_now();
    t->due = 8;
    t->shown = 0;
    status = DRL_E_IO;
    if (t->log) t->failed = !training_log_open(t, drl_trainer_steps(t->trainer));
    if (!t->failed) status = drl_train(t->trainer, run.source ? NULL : t->data, &run);
    if (t->log_file) fclose(t->log_file);
    t->log_file = NULL;
    if (t->failed) status = DRL_E_IO;
    if (status == DRL_OK || status == DRL_RUNNING) {
        if (t->name)
            printf("\n%s: %s after %lu steps%s\n", t->name, status == DRL_OK ? "done" : "stopped",
                   (unsigned long)drl_trainer_steps(t->trainer),
                   status == DRL_OK || !t->prefix || t->no_resume
                       ? ""
                       : "; the same command with --resume goes on");
        if ((t->prefix || t->picture) && !training_save(t, 1)) status = DRL_E_IO;
        drl_trainer_swap_average(t->trainer);                   /* for good */
    }
    drl_trainer_destroy(t->trainer);
    t->trainer = NULL;
    return status;
}
#endif
