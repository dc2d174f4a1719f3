/* 09_long_chain.c - do chains stay where the images are? Long chains on one level of an image model, with
 * pictures.
 *
 * Shows: chains that start from the model's own samples, Langevin or with accept and reject, their energy and
 * acceptance over the steps, and a checkpoint from which a run of days goes on bit for bit.
 *
 *     cc -O2 -DDRL_THREADS examples/09_long_chain.c -o long_chain -lm
 *     ./long_chain [MODEL.safetensors] [--level T] [--conditional] [--classes] [--kernel langevin|mala|hmc]
 *                  [--steps N] [--step X] [--count N] [--watch] [--resume] [--minutes X] [--seed N]
 *                  [--out PREFIX] [--threads N] [--isa NAME]
 *
 * Without a file a small model is trained on the embedded sprites for a minute (--minutes) and kept as
 * PREFIX.safetensors. The chains' density is the marginal one of the level (the lowest unless --level), or
 * with --conditional the one given an x_{t+1} for each chain; with --classes that of a class, 1, 2, ... for
 * chain after chain. Langevin takes the level's own step; the other kernels choose theirs in their first 500
 * steps.
 * At the end the trace of F says whether the chains have mixed (drl_mcmc_diagnose).
 * Writes PREFIX.png (or .ppm), a row for each of 0, 100, 1000, 10,000 and 100,000 steps and for the last, and
 * PREFIX.chains, from which --resume goes on with the same options and any larger --steps.
 * With --watch PREFIX-watch.png is an animated PNG of the chains on their way: evenly spaced over the steps
 * of this run, at most 40 frames between the first and the last; it needs stb_image_write.h (Debian:
 * libstb-dev).
 * Points of a level above the lowest are noisy: a row shows the images that the model's sampler makes of them
 * from there, with the same noise in every row. The energies of K = 0 (--t1k) are those of x_{t+1}, so their
 * marginal chains begin at x_{t+1}, and even the lowest level has one step down. Chains and ways down have
 * random numbers of their own (`first`); with those of the samples that chains begin at, a chain would get
 * the same noise twice. Stable chains keep their mean F and their pictures. Diverging chains climb on, to
 * places of high F where there never was any data. Models of a few steps a level are trained for where chains
 * end after these steps, not for chains to stay there: their chains climb. Models trained by score matching
 * (02_train_images --t1k) draw images for long on levels with noise, but in shares that are not the data's
 * (bench/RESULTS.md). Where MALA's step is far below the level's own, Langevin chains have another density
 * than exp(F). 1000 steps of 8 sprites take some seconds.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "sprites.h"
#include <math.h>

#define ROWS  5
#define COLUMNS 16                  /* of the picture, at most */
#define EVERY 1000                  /* steps from checkpoint to checkpoint */
#define SLICE 20                    /* steps between two looks at Ctrl-C */
#define DRAWS 512                   /* of F; even: when there are more, every other one is dropped */
#define FRAMES 40                   /* of --watch, at most, between the first and the last */

static const char usage[] = "long_chain [MODEL.safetensors] [--level T] [--conditional] [--classes] "
                            "[--kernel langevin|mala|hmc]\n"
                            "           [--steps N] [--step X] [--count N] [--watch] [--resume]\n"
                            "           [--minutes X] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n";
static const int marks[ROWS] = { 0, 100, 1000, 10000, 100000 };

typedef struct run {
    drl_ctx *ctx;
    drl_model *model;
    drl_mcmc *chains;
    size_t floats;                  /* of all points */
    drl_sample_desc down;           /* from the points' level to images; from_level 0: they are images */
    double *trace;                  /* [DRAWS] of all chains: F after every `stride` slices of steps */
    int draws, stride, slices;
    int taken;                      /* rows of the picture */
    int32_t at[ROWS + 1];           /* their steps; one more for the last */
    uint8_t *label;                 /* [count] the chains' classes, 0 for none */
    float *rows;                    /* the images at those steps */
    float inverse;                  /* x = inverse * point */
    picture_animation way;          /* of --watch */
    char path[1024];
} run;

/* The next step after `now` at which something is to be done. */
static int next_stop(int now, int end)
{
    int stop = now / EVERY * EVERY + EVERY, d;
    for (d = 1; d <= 100000000; d *= 10) {
        if (d > now && d < stop) stop = d;
        if (2 * d > now && 2 * d < stop) stop = 2 * d;
        if (5 * d > now && 5 * d < stop) stop = 5 * d;
    }
    return stop < end ? stop : end;
}

static int is_mark(int step)
{
    while (step >= 10 && step % 10 == 0) step /= 10;
    return step == 1 || step == 2 || step == 5;
}

/* The chains' state, and the rows so far. */
static drl_status checkpoint(run *r)
{
    drl_array arrays[4];
    size_t bytes = 0, rows[2], count = (size_t)r->taken, chains = (size_t)r->down.count;
    drl_status status = drl_mcmc_save(r->chains, NULL, 0, &bytes);
    unsigned char *state = (unsigned char *)malloc(bytes);
    if (status == DRL_OK) status = state ? drl_mcmc_save(r->chains, state, bytes, &bytes) : DRL_E_MEMORY;
    rows[0] = count;
    rows[1] = r->floats;
    arrays[1] = drl_array_of("at", DRL_DTYPE_I32, 1, &count, r->at);
    arrays[2] = drl_array_of("rows", DRL_DTYPE_F32, 2, rows, r->rows);
    arrays[3] = drl_array_of("labels", DRL_DTYPE_U8, 1, &chains, r->label);
    if (status == DRL_OK) status = training_state(r->ctx, r->path, state, bytes, arrays, 4);
    free(state);
    return status;
}

static drl_status resume(run *r)
{
    drl_safetensors *st = NULL;
    const drl_array *state, *at, *rows;
    drl_status status = drl_safetensors_open(r->ctx, r->path, &st);
    if (status != DRL_OK) return status;
    state = drl_safetensors_find(st, "state");
    at = drl_safetensors_find(st, "at");
    rows = drl_safetensors_find(st, "rows");
    if (!state || !at || !rows || at->dtype != DRL_DTYPE_I32 || at->bytes > ROWS * sizeof *r->at ||
        rows->dtype != DRL_DTYPE_F32 || rows->bytes != at->bytes * r->floats)
        status = DRL_E_FORMAT;
    else status = drl_mcmc_restore(r->chains, state->data, state->bytes);
    if (status == DRL_OK && at->bytes) {
        r->taken = (int)(at->bytes / sizeof *r->at);
        memcpy(r->at, at->data, at->bytes);
        memcpy(r->rows, rows->data, rows->bytes);
    }
    drl_safetensors_close(st);
    return status;
}

/* A row of the picture: the images that the chains' points lead down to. */
static drl_status snapshot(run *r, int step)
{
    drl_mcmc_report now;
    float *row = r->rows + (size_t)r->taken * r->floats;
    size_t j;
    drl_mcmc_look(r->chains, &now);
    for (j = 0; j < r->floats; ++j) row[j] = now.point[j] * r->inverse;
    r->at[r->taken++] = step;
    r->down.start = row;
    return r->down.from_level ? drl_sample(r->model, &r->down, row) : DRL_OK;
}

static void print_report(const run *r, int count, double start)
{
    drl_mcmc_report now;
    double spread = 0;
    int i;
    if (drl_mcmc_look(r->chains, &now) != DRL_OK) return;
    for (i = 0; i < count; ++i)
        spread +=
            ((double)now.value[i] - now.f) * ((double)now.value[i] - now.f) / (count > 1 ? count - 1 : 1);
    printf("%8d %14.2f %10.2f %9.3f %11.6f %9lu %8.0f\n", now.step, now.f, sqrt(spread), now.accept,
           now.step_size, (unsigned long)now.divergent, seconds_now() - start);
    fflush(stdout);
}

/* Keeps F of every chain after a slice of steps. */
static void trace(run *r, int count)
{
    drl_mcmc_report now;
    size_t n = (size_t)count;
    int i;
    if (++r->slices % r->stride) return;
    if (r->draws == DRAWS) {
        for (i = 0; i < DRAWS / 2; ++i)
            memcpy(r->trace + (size_t)i * n, r->trace + (size_t)(2 * i + 1) * n, n * sizeof *r->trace);
        r->draws = DRAWS / 2;
        r->stride *= 2;
        if (r->slices % r->stride) return;
    }
    drl_mcmc_look(r->chains, &now);
    for (i = 0; i < count; ++i) r->trace[(size_t)r->draws * n + (size_t)i] = (double)now.value[i];
    ++r->draws;
}

/* What F says of the chains: whether they have mixed. */
static void print_diagnosis(const run *r, int count)
{
    drl_diagnosis g;
    if (r->draws < 8) return;
    if (drl_mcmc_diagnose(r->ctx, r->trace, r->draws, count, &g) != DRL_OK) {
        printf("F of the chains: %s\n", drl_ctx_message(r->ctx));
        drl_ctx_clear(r->ctx);              /* chains that do not move are no failure of the program */
        return;
    }
    printf("F of the chains: %.2f +- %.2f (standard deviation %.2f), effective sample size %.0f of %d, split "
           "R-hat %.3f%s\n",
           g.mean, g.error, g.sd, g.ess, r->draws * count, g.rhat,
           g.rhat <= 1.01 ? "" : ": above 1.01, the chains have not mixed");
}

/* The model's own samples of level t, as y, and the x_{t+1} that they came from. */
static drl_status draw(drl_model *model, int t, int count, uint64_t seed, const int *labels, float *y,
                       float *x_next)
{
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    size_t size = drl_model_energy(model).size;
    drl_status status;
    int i;
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = seed;
    how.labels = labels;
    /* that would not be a sample of the level any more */
    how.denoise = -1;
    status = drl_sampler_create(model, &how, &sampler);
    while (status <= DRL_RUNNING && drl_sampler_level(sampler) > t) status = drl_sampler_run(sampler, 1);
    for (i = 0; i < count && status <= DRL_RUNNING; ++i)
        status = drl_sampler_image(sampler, i, x_next + (size_t)i * size);
    while (status <= DRL_RUNNING && drl_sampler_level(sampler) == t) status = drl_sampler_run(sampler, 1);
    for (i = 0; i < count && status <= DRL_RUNNING; ++i)
        status = drl_sampler_point(sampler, i, y + (size_t)i * size);
    drl_sampler_destroy(sampler);
    return status == DRL_RUNNING ? DRL_OK : status;
}

/* Rows first .. first + rows - 1 of the snapshots under their steps, which are `digits` wide at least. */
static picture sheet_of(const run *r, int first, int rows, int digits)
{
    const char *head[COLUMNS] = { "chains", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "" };
    char name[ROWS + 1][PICTURE_NAME];
    int count = r->down.count, i;
    drl_model_desc d;
    drl_model_describe(r->model, &d);
    for (i = 0; i < rows; ++i) snprintf(name[i], PICTURE_NAME, "%*d steps", digits, (int)r->at[first + i]);
    return picture_sheet(r->rows + (size_t)first * r->floats, rows, count < COLUMNS ? count : COLUMNS, count,
                         d.height, d.width, d.channels, head, name);
}

/* The picture: a row for each snapshot so far. */
static int draw_rows(const run *r, const char *prefix, int quiet)
{
    picture p = sheet_of(r, 0, r->taken, 0);
    int saved = picture_save(r->ctx, &p, prefix, quiet);
    picture_destroy(&p);
    return saved;
}

/* The last snapshot as one more frame of --watch. */
static void animate(run *r, int milliseconds)
{
    picture p = sheet_of(r, r->taken - 1, 1, 10);
    picture_animate(&r->way, &p, milliseconds);
    picture_destroy(&p);
}

/* PREFIX-watch.png */
static int save_way(run *r, const char *prefix)
{
    char name[1024];
    training_path(name, sizeof name, prefix, "-watch");
    return picture_animation_save(r->ctx, &r->way, name, 0);
}

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const kernels[3] = { "langevin", "mala", "hmc" };
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    const char *prefix = option_prefix(&o, "long_chain"), *kernel = option_text(&o, "--kernel", "langevin");
    int steps = option_int(&o, "--steps", 1000), conditional = option_flag(&o, "--conditional"),
        classes = option_flag(&o, "--classes"), goes_on = option_flag(&o, "--resume"),
        watch = option_flag(&o, "--watch"), words, level, above, every, due, k, i;
    double minutes = option_number(&o, "--minutes", 1), start;
    char name[1024];
    drl_model *model = NULL;
    drl_model_desc d;
    drl_mcmc_desc md;
    drl_mcmc_report now;
    drl_energy e;
    drl_status status = DRL_OK;
    float *y, *x_next;
    int *labels;
    run r;
    memset(&r, 0, sizeof r);
    memset(&d, 0, sizeof d);
    memset(&md, 0, sizeof md);
    r.ctx = ctx;
    level = option_int(&o, "--level", 0);
    md.count = option_int(&o, "--count", 8);
    md.seed = (uint64_t)option_int(&o, "--seed", 1);
    md.step = option_number(&o, "--step", 0);
    for (k = 0; k < 3 && strcmp(kernel, kernels[k]); ++k) { }
    words = options_rest(&o, usage);
    if (words > 1 || k == 3 || md.count < 1 || steps < 0 || !(minutes > 0) || level < 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (snprintf(r.path, sizeof r.path, "%s.chains", prefix) >= (int)sizeof r.path ||
        snprintf(name, sizeof name, "%s.safetensors", prefix) >= (int)sizeof name) {
        fprintf(stderr, "--out: too long\n");
        return 2;
    }
    if (words || goes_on) {
        d.batch = md.count < 32 ? md.count : 32;
        status = drl_model_load(ctx, words ? argv[1] : name, &d, &model);
    } else {
        status = sprites_model(ctx, 0, 0, minutes, md.seed, prefix, &model);
        if (status == DRL_RUNNING) {
            printf("give it %s, and it is not trained again\n", name);
            return 0;
        }
    }
    if (status != DRL_OK) return fail(ctx, words ? argv[1] : name);
    drl_model_describe(model, &d);
    if (classes && (d.classes < 1 || d.classes > 255)) {
        fprintf(stderr, "--classes: the model has %d, 1 to 255 are possible\n", d.classes);
        return 2;
    }
    if (d.channels > 4 || level >= d.levels || (conditional && level + 1 == d.levels)) {
        fprintf(stderr, "--level %d of %d (the last has no x_{t+1}), %d channels (1 to 4 can be shown)\n",
                level, d.levels, d.channels);
        return 2;
    }
    e = drl_model_energy(model);
    r.floats = (size_t)md.count * e.size;
    y = (float *)malloc(r.floats * sizeof *y);
    x_next = (float *)malloc(r.floats * sizeof *x_next);
    r.rows = (float *)malloc((ROWS + 1) * r.floats * sizeof *r.rows);
    r.trace = (double *)malloc(DRAWS * (size_t)md.count * sizeof *r.trace);
    r.label = (uint8_t *)calloc((size_t)md.count, 1);
    labels = (int *)calloc((size_t)md.count, sizeof *labels);
    r.stride = 1;
    if (!r.label || !labels || !y || !x_next || !r.rows || !r.trace) {
        fprintf(stderr, "out of memory for %d chains\n", md.count);
        return 1;
    }
    for (i = 0; classes && i < md.count; ++i) r.label[i] = (uint8_t)(labels[i] = 1 + i % d.classes);
    if (classes) md.labels = r.down.labels = labels;
    if (draw(model, level, md.count, md.seed, md.labels, y, x_next) != DRL_OK) return fail(ctx, "sampling");
    md.kernel = (drl_mcmc_kernel)k;
    md.level = level;
    md.schedule = drl_model_schedule(model);
    above = d.steps < 0 && !conditional;                        /* K = 0: F is the density of x_{t+1} */
    md.start = above ? x_next : y;
    md.first = md.count;
    md.x_next = conditional ? x_next : NULL;
    md.noise_scale = (double)d.noise_scale;
    md.leapfrog = 5;
    md.warmup = k == DRL_MCMC_LANGEVIN ? 0 : 500;
    if (drl_mcmc_create(ctx, &e, &md, &r.chains) != DRL_OK) return fail(ctx, "chains");
    r.model = model;
    r.inverse = above ? 1.0f : (float)(1 / drl_schedule_scale(md.schedule, level));
    r.down.count = md.count;
    r.down.seed = md.seed;
    r.down.first = 2 * md.count;
    r.down.from_level = level + above;
    if (goes_on) {
        status = resume(&r);
        if (status != DRL_OK) {
            fprintf(stderr, "%s: %s %s\n", r.path, drl_status_text(status), drl_ctx_message(ctx));
            return 1;
        }
    }
    if (!goes_on && snapshot(&r, 0) != DRL_OK) return fail(ctx, "the way down");
    if (!draw_rows(&r, prefix, 0)) return 1;      /* what there is already */
    start = seconds_now();
    printf("%8s %14s %10s %9s %11s %9s %8s\n", "step", "mean F", "deviation", "accept", "step size",
           "divergent", "seconds");
    print_report(&r, md.count, start);
    drl_mcmc_look(r.chains, &now);
    if (watch) animate(&r, 75);
    every = (steps - now.step) / FRAMES + 1;
    due = now.step + every;
    training_catch();
    while (now.step < steps && status == DRL_OK && !training_stop) {
        int stop = next_stop(now.step, steps);
        if (stop > now.step + SLICE) stop = now.step + SLICE;   /* so that Ctrl-C is heard */
        status = drl_mcmc_run(r.chains, stop - now.step);
        drl_mcmc_look(r.chains, &now);
        if (status != DRL_OK) break;
        trace(&r, md.count);
        for (i = 0; i < ROWS; ++i) if (stop == marks[i]) {
            status = snapshot(&r, stop);
            if (status == DRL_OK && !draw_rows(&r, prefix, 1)) status = DRL_E_IO;
        }
        if (watch && status == DRL_OK && stop >= due && stop < steps) {
            status = snapshot(&r, stop);
            animate(&r, 75);
            --r.taken;                                          /* no row of the picture */
            due = stop + every;
        }
        if (is_mark(stop) || stop == steps) print_report(&r, md.count, start);
        if (status == DRL_OK && (stop == steps || stop % EVERY == 0)) status = checkpoint(&r);
    }
    if (status == DRL_OK && training_stop && now.step < steps) {
        status = checkpoint(&r);
        printf("stopped after %d of %d steps; the same command with --resume goes on\n", now.step, steps);
    }
    if (r.at[r.taken - 1] != now.step) {
        drl_status last = snapshot(&r, now.step);
        if (status == DRL_OK) status = last;
    }
    /* what there is can be seen all the same */
    if (status != DRL_OK) fprintf(stderr, "%s: %s\n", drl_status_text(status), drl_ctx_message(ctx));

    print_diagnosis(&r, md.count);
    if (!draw_rows(&r, prefix, 0)) status = DRL_E_IO;
    if (watch) {
        animate(&r, 2000);
        if (!save_way(&r, prefix)) status = DRL_E_IO;
    }
    free(r.trace);
    free(y);
    free(x_next);
    free(r.rows);
    free(r.label);
    free(labels);
    drl_mcmc_destroy(r.chains);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return status != DRL_OK;
}
