/* test_failure.c - whatever can fail outside of the library fails once, at every place: each allocation and
 * each call to the C library's files of every operation that makes them, a disk that is full after n bytes, a
 * caller's block that is one byte short. After each failure there is a status and a sentence, results are
 * untouched, objects and files are as before, no temporary file stays, nothing leaks, and the same call then
 * succeeds. Allocations of operations that promise to make none are counted. Files that it makes are called
 * test_failure.*. */
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "failing_files.h"

#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "fixture.h"

/* -- what operations work on -- */

#define SIDE  4
#define IMAGE (SIDE * SIDE)
#define BATCH 2

static check_heap heap;
static drl_ctx *ctx;
static drl_model *model;
static drl_trainer *trainer;
static drl_sampler *sampler;
static drl_mcmc *mcmc;
static drl_ais *ais;
static drl_safetensors *weights;
static void *model_file;
static size_t model_size;
static float x0[BATCH * IMAGE];
static int label[BATCH] = { 1, 0 };
static uint8_t pixels[BATCH * IMAGE];
static char *model_path, *checkpoint_path, *images_path, *labels_path, *picture_path,
            *vectors_path, *out_path;

/* What operations make. */
static struct made {
    drl_ctx *ctx;
    drl_net *net;
    drl_model *model;
    drl_trainer *trainer;
    drl_sampler *sampler;
    drl_mcmc *mcmc;
    drl_ais *ais;
    drl_sum *sum;
    drl_safetensors *st;
    drl_dataset *ds;
    drl_vectors *vectors;
    void *file;
    size_t size;
    float out[BATCH * IMAGE];
    drl_model_desc md;
    drl_train_desc td;
} made, none;

static void made_destroy(void)
{
    drl_trainer_destroy(made.trainer);
    drl_sampler_destroy(made.sampler);
    drl_mcmc_destroy(made.mcmc);
    drl_ais_destroy(made.ais);
    drl_model_destroy(made.model);
    drl_net_destroy(made.net);
    drl_sum_destroy(made.sum);
    drl_safetensors_close(made.st);
    drl_dataset_destroy(made.ds);
    drl_vectors_destroy(made.vectors);
    drl_file_free(ctx, made.file);
    drl_ctx_destroy(made.ctx);
    made = none;
}

static drl_model_desc desc_of(drl_form form)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.form = form;
    d.height = SIDE;
    d.base = 4;
    d.resolutions = 2;
    d.levels = 3;
    d.steps = 2;
    d.batch = BATCH;
    d.trainable = 1;
    if (form == DRL_FORM_CDRL) {
        d.initializer = 4;
        d.classes = 2;
    }
    return d;
}

static drl_train_desc plan(void)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.batch = BATCH;
    d.seed = 3;
    d.snapshot = 2;
    return d;
}

static drl_sample_desc how_of(void)
{
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = BATCH;
    how.seed = 5;
    how.labels = label;
    how.guidance = 0.5f;
    return how;
}

static drl_mcmc_desc chains_of(void)
{
    drl_mcmc_desc d;
    memset(&d, 0, sizeof d);
    d.count = BATCH;
    d.kernel = DRL_MCMC_HMC;
    d.leapfrog = 2;
    d.schedule = drl_model_schedule(model);
    d.x_next = x0;
    d.labels = label;
    d.warmup = 2;
    d.seed = 5;
    return d;
}

static drl_ais_desc path_of(void)
{
    drl_ais_desc d;
    memset(&d, 0, sizeof d);
    d.count = BATCH;
    d.steps = 3;
    d.leapfrog = 2;
    d.pilot = 1;
    d.start = x0;
    return d;
}

static drl_dataset images_of(void)
{
    drl_dataset d;
    memset(&d, 0, sizeof d);
    d.count = BATCH;
    d.height = d.width = SIDE;
    d.channels = 1;
    d.pixels = pixels;
    return d;
}

static void build(drl_net *net, void *user)
{
    drl_layer_desc l;
    (void)user;
    memset(&l, 0, sizeof l);
    l.name = "c";
    l.out_channels = 8;
    l.spectral = DRL_SPECTRAL_UNIT;
    l.keep_norm = 1;
    drl_net_spatial_sum(net, drl_net_conv2d(net, drl_net_input(net, SIDE, SIDE, 1), &l), 1);
}

/* An energy without a network. */
static drl_status closed(void *user, int n, const float *y, const int *level, const int *labels,
                         float *f, float *gradient)
{
    int i;
    (void)user;
    (void)level;
    (void)labels;
    for (i = 0; f && i < n; ++i) f[i] = 0;
    for (i = 0; gradient && i < n * IMAGE; ++i) gradient[i] = -y[i];
    return DRL_OK;
}

static drl_energy closed_energy(void)
{
    drl_energy e;
    memset(&e, 0, sizeof e);
    e.eval = closed;
    e.size = IMAGE;
    e.batch = BATCH;
    return e;
}

/* -- the operations -- */

static drl_status op_ctx_with(int threads)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = check_alloc;
    d.allocator.free_fn = check_free;
    d.allocator.user = &heap;
    d.threads = threads;
    return drl_ctx_create(&d, &made.ctx);
}

static drl_status op_ctx(void) { return op_ctx_with(0); }

#ifdef DRL_THREADS
static drl_status op_pool(void) { return op_ctx_with(3); }
#endif

static drl_status op_net(void)
{
    drl_net_desc d;
    memset(&d, 0, sizeof d);
    d.batch = BATCH;
    d.modes = 7;
    return drl_net_create(ctx, build, NULL, &d, &made.net);
}

static drl_status op_net_size(void) { return drl_net_size(ctx, build, NULL, NULL, &made.size); }

static drl_status op_model(void)
{
    drl_model_desc d = desc_of(DRL_FORM_DRL);
    return drl_model_create(ctx, &d, 1, &made.model);
}

static drl_status op_model_cdrl(void)
{
    drl_model_desc d = desc_of(DRL_FORM_CDRL);
    return drl_model_create(ctx, &d, 1, &made.model);
}

static drl_status op_model_size(void)
{
    drl_model_desc d = desc_of(DRL_FORM_CDRL);
    return drl_model_size(ctx, &d, &made.size);
}

static drl_status op_load_memory(void)
{
    return drl_model_load_memory(ctx, model_file, model_size, NULL, &made.model);
}

static drl_status op_load(void) { return drl_model_load(ctx, model_path, NULL, &made.model); }

static drl_status op_load_weights(void) { return drl_model_load_weights(model, weights); }

static drl_status op_save_size(void)
{
    return drl_model_save_memory(model, DRL_DTYPE_F32, NULL, 0, &made.size);
}

static drl_status op_save_memory(void)
{
    static unsigned char to[1 << 20];
    return drl_model_save_memory(model, DRL_DTYPE_F32, to, sizeof to, &made.size);
}

static drl_status op_save(void) { return drl_model_save(model, DRL_DTYPE_F32, out_path); }

static drl_status op_trainer(void)
{
    drl_train_desc d = plan();
    return drl_trainer_create(model, &d, &made.trainer);
}

static drl_status op_trainer_size(void)
{
    drl_train_desc d = plan();
    return drl_trainer_size(model, &d, &made.size);
}

static drl_status op_step(void) { return drl_trainer_step(trainer, x0, label, NULL); }

static drl_status op_rollback(void)
{
    drl_status s = op_step();
    return s == DRL_OK ? drl_trainer_rollback(trainer) : s;
}

static drl_status op_train(void)
{
    drl_dataset d = images_of();
    drl_run_desc run;
    memset(&run, 0, sizeof run);
    run.steps = drl_trainer_steps(trainer) + 1;
    return drl_train(trainer, &d, &run);
}

static drl_status op_swap(void)
{
    drl_status s = drl_trainer_swap_average(trainer);
    return s == DRL_OK ? drl_trainer_swap_average(trainer) : s;
}

static drl_status op_checkpoint(void) { return drl_trainer_save(trainer, out_path); }

static drl_status op_resume(void) { return drl_trainer_resume(trainer, checkpoint_path); }

static drl_status op_describe(void)
{
    return drl_checkpoint_describe(ctx, checkpoint_path, &made.md, &made.td);
}

static drl_status op_sampler(void)
{
    drl_sample_desc how = how_of();
    return drl_sampler_create(model, &how, &made.sampler);
}

static drl_status op_sampler_energy(void)
{
    drl_sample_desc how = how_of();
    drl_energy e = closed_energy();
    how.steps = 2;
    how.start = x0;
    how.known = x0;
    how.mask = pixels;
    how.guidance = 0;
    return drl_sampler_create_energy(ctx, &e, drl_model_schedule(model), &how, &made.sampler);
}

static drl_status op_sampler_run(void)
{
    drl_status s = drl_sampler_run(sampler, 1);
    return s == DRL_RUNNING ? DRL_OK : s;
}

static drl_status op_chains(void)
{
    drl_mcmc_desc d = chains_of();
    drl_energy e = drl_model_energy(model);
    return drl_mcmc_create(ctx, &e, &d, &made.mcmc);
}

static drl_status op_chains_run(void) { return drl_mcmc_run(mcmc, 1); }

/* States of 4096 bytes at most. */
static unsigned char sampler_bytes[4096], chains_bytes[4096];
static size_t sampler_size, chains_size;

static drl_status op_sampler_save(void)
{
    return drl_sampler_save(sampler, sampler_bytes, sizeof sampler_bytes, &sampler_size);
}

static drl_status op_sampler_restore(void)
{
    return drl_sampler_restore(sampler, sampler_bytes, sampler_size);
}

static drl_status op_chains_save(void)
{
    return drl_mcmc_save(mcmc, chains_bytes, sizeof chains_bytes, &chains_size);
}

static drl_status op_chains_restore(void) { return drl_mcmc_restore(mcmc, chains_bytes, chains_size); }

static drl_status op_path(void)
{
    drl_ais_desc d = path_of();
    drl_energy e = drl_model_energy(model);
    return drl_ais_create(ctx, &e, &d, &made.ais);
}

static drl_status op_path_run(void)
{
    drl_status s = drl_ais_run(ais, 1);
    return s == DRL_RUNNING ? DRL_OK : s;
}

static drl_status op_sample(void)
{
    drl_sample_desc how = how_of();
    return drl_sample(model, &how, made.out);
}

static drl_status op_f(void)
{
    float level[BATCH] = { 1, 2 };
    return drl__model_f(model, BATCH, x0, level, label, NULL, made.out);
}

static drl_status op_sum(void)
{
    drl_sum_term t[3];
    memset(t, 0, sizeof t);
    t[0].energy = t[1].energy = t[2].energy = closed_energy();
    t[0].weight = 1;
    return drl_sum_create(ctx, t, 3, &made.sum);
}

static drl_status op_open_memory(void)
{
    return drl_safetensors_open_memory(ctx, model_file, model_size, &made.st);
}

static drl_status op_open(void) { return drl_safetensors_open(ctx, model_path, &made.st); }

static drl_status op_read(void) { return drl_file_read(ctx, model_path, &made.file, &made.size); }

static drl_status op_write(void) { return drl_file_write(ctx, out_path, model_file, model_size); }

static drl_status op_write_npy(void)
{
    static const size_t shape[2] = { BATCH, IMAGE };
    drl_array a = drl_array_of("", DRL_DTYPE_F32, 2, shape, x0);
    return drl_npy_write_file(ctx, out_path, &a);
}

static drl_status op_dataset(void)
{
    const char *paths[2];
    paths[0] = images_path;
    paths[1] = labels_path;
    return drl_dataset_load(ctx, paths, 2, NULL, &made.ds);
}

static drl_status op_dataset_values(void)
{
    const char *path = images_path;
    drl_dataset_desc d;
    memset(&d, 0, sizeof d);
    d.low = -1;                         /* not the range of bytes, so they become floats */
    d.high = 256;
    return drl_dataset_load(ctx, &path, 1, &d, &made.ds);
}

static drl_status op_dataset_pictures(void)
{
    const char *paths[2];
    paths[0] = picture_path;
    paths[1] = picture_path;
    return drl_dataset_load(ctx, paths, 2, NULL, &made.ds);
}

static drl_status op_vectors(void)
{
    const char *path = vectors_path;
    return drl_vectors_load(ctx, &path, 1, NULL, &made.vectors);
}

static drl_status op_dataset_copy(void)
{
    drl_dataset d = images_of();
    return drl_dataset_copy(ctx, &d, &made.ds);
}

enum {
    READS   = 1,                        /* a file */
    WRITES  = 2,                        /* a file */
    CHANGES = 4                         /* an object, when it succeeds */
};
typedef struct operation {
    const char *name;
    drl_status (*run)(void);
    int least;                          /* allocations, at least; 0: none at all */
    int kind;
} operation;
static const operation operations[] = {
    { "context",                      op_ctx,            1, 0 },
#ifdef DRL_THREADS
    { "context with a pool",          op_pool,           2, 0 },
#endif
    { "drl_net_create",               op_net,            2, 0 },
    { "drl_net_size",                 op_net_size,       1, 0 },
    { "drl_model_create",             op_model,          3, 0 },
    { "drl_model_create, cooperative", op_model_cdrl,    5, 0 },
    { "drl_model_size",               op_model_size,     2, 0 },
    { "drl_model_load_memory",        op_load_memory,    5, 0 },
    { "drl_model_load",               op_load,           6, READS },
    { "drl_model_load_weights",       op_load_weights,   0, 0 },
    { "drl_model_save_size",          op_save_size,      1, 0 },
    { "drl_model_save_memory",        op_save_memory,    1, 0 },
    { "drl_model_save",               op_save,           1, WRITES },
    { "drl_trainer_create",           op_trainer,        1, 0 },
    { "drl_trainer_size",             op_trainer_size,   0, 0 },
    { "drl_trainer_step",             op_step,           0, CHANGES },
    { "drl_train",                    op_train,          1, CHANGES },
    { "drl_trainer_rollback",         op_rollback,       0, CHANGES },
    { "drl_trainer_swap_average",     op_swap,           0, 0 },
    { "drl_trainer_save",             op_checkpoint,     0, WRITES },
    { "drl_trainer_resume",           op_resume,         2, READS | CHANGES },
    { "drl_checkpoint_describe",      op_describe,       2, READS },
    { "drl_sampler_create",           op_sampler,        1, 0 },
    { "drl_sampler_create_energy",    op_sampler_energy, 1, 0 },
    { "drl_sampler_save",             op_sampler_save,   0, 0 },
    { "drl_sampler_run",              op_sampler_run,    0, CHANGES },
    { "drl_sampler_restore",          op_sampler_restore, 1, CHANGES },
    { "drl_mcmc_create",              op_chains,         1, 0 },
    { "drl_mcmc_save",                op_chains_save,    0, 0 },
    { "drl_mcmc_run",                 op_chains_run,     0, CHANGES },
    { "drl_mcmc_restore",             op_chains_restore, 1, CHANGES },
    { "drl_ais_create",               op_path,           2, 0 },
    { "drl_ais_run",                  op_path_run,       0, CHANGES },
    { "drl_sample",                   op_sample,         1, 0 },
    { "drl__model_f",                 op_f,              0, 0 },
    { "drl_sum_create",               op_sum,            1, 0 },
    { "drl_safetensors_open_memory",  op_open_memory,    1, 0 },
    { "drl_safetensors_open",         op_open,           2, READS },
    { "drl_file_read",                op_read,           1, READS },
    { "drl_file_write",               op_write,          0, WRITES },
    { "drl_npy_write_file",           op_write_npy,      0, WRITES },
    { "drl_dataset_load",             op_dataset,        4, READS },
    { "drl_vectors_load",             op_vectors,        3, READS },
    { "drl_dataset_copy",             op_dataset_copy,   1, 0 },
    { "drl_dataset_load, floats",     op_dataset_values, 3, READS },
    { "drl_dataset_load, pictures",   op_dataset_pictures, 4, READS }
};

/* -- what must not change -- */

static uint32_t hash(uint32_t h, const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    while (n--) h = (h ^ *b++) * 16777619u;
    return h;
}

static uint32_t hash_floats(uint32_t h, const float *p, size_t n) { return hash(h, p, n * sizeof *p); }

/* Parameters, averages, moments, counters and states of all objects that operations may change. */
static uint32_t objects(void)
{
    unsigned char state[4096];
    size_t n;
    uint32_t h = 2166136261u;
    int i;
    for (i = 0; i < trainer->parts; ++i) {
        const drl__part *p = &trainer->part[i];
        h = hash_floats(h, p->net->params, p->params);
        h = hash_floats(h, p->net->packed, p->net->packed_size);
        h = hash_floats(h, p->net->state, p->state);
        h = hash_floats(h, p->ema, p->params);
        h = hash_floats(h, p->adam_m, p->params);
        h = hash_floats(h, p->adam_v, p->params);
        h = hash_floats(h, p->good_params, p->params);
        h = hash_floats(h, p->good_state, p->state);
    }
    h = hash(h, &trainer->now.step, sizeof trainer->now.step);
    h = hash(h, &trainer->now.rollbacks, sizeof trainer->now.rollbacks);
    h = hash(h, &trainer->now.rate_scale, 5 * sizeof(double));
    h = hash(h, trainer->level, (size_t)model->desc.levels * sizeof *trainer->level);
    if (drl_sampler_save(sampler, state, sizeof state, &n) != DRL_OK) exit(3);
    h = hash(h, state, n);
    if (drl_mcmc_save(mcmc, state, sizeof state, &n) != DRL_OK) exit(3);
    h = hash(h, state, n);
    i = drl_ais_steps_left(ais);
    h = hash(h, &i, sizeof i);
    return hash(h, ais->log_w, BATCH * sizeof(double));
}

static int exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static const char old_bytes[] = "the old file";

static void put_old(void)
{
    FILE *f = fopen(out_path, "wb");
    if (!f || fwrite(old_bytes, 1, sizeof old_bytes, f) != sizeof old_bytes || fclose(f)) exit(3);
}

static int has_old(void)
{
    char bytes[64];
    FILE *f = fopen(out_path, "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f) fclose(f);
    return n == sizeof old_bytes && !memcmp(bytes, old_bytes, n);
}

static long live;
static uint32_t before;

/* What as_before compares with. */
static void ready(void)
{
    put_old();
    io_temporary[0] = 0;
    drl_ctx_clear(ctx);
    before = objects();
    live = heap.live;
}

static void no_temporary(const operation *o, const char *what, long n)
{
    CHECK(!io_temporary[0] || !exists(io_temporary), "%s, %s %ld: %s is left",
          o->name, what, n, io_temporary);
}

/* After failure number n of its kind, `what`: a status and a sentence, and everything is as before. A context
 * that could not be made has no sentence. */
static void as_before(const operation *o, drl_status status, drl_status want, const char *what, long n)
{
    int of_context = !strncmp(o->name, "context", 7);
    CHECK(status == want, "%s, %s %ld: %s, expected %s (%s)", o->name, what, n, drl_status_text(status),
          drl_status_text(want), drl_ctx_message(ctx));
    if (!of_context) {
        CHECK(drl_ctx_status(ctx) == want, "%s, %s %ld: the context has %s",
              o->name, what, n, drl_status_text(drl_ctx_status(ctx)));
        CHECK(strlen(drl_ctx_message(ctx)) > 10, "%s, %s %ld: '%s' is no sentence",
              o->name, what, n, drl_ctx_message(ctx));
    }
    CHECK(!memcmp(&made, &none, sizeof made), "%s, %s %ld: a result is touched", o->name, what, n);
    CHECK(heap.live == live, "%s, %s %ld: %ld blocks are left", o->name, what, n, heap.live - live);
    CHECK(objects() == before, "%s, %s %ld: an object has changed", o->name, what, n);
    CHECK(has_old(), "%s, %s %ld: the old file is gone", o->name, what, n);
    no_temporary(o, what, n);
}

/* -- the ways to fail -- */

static long allocations = 0, calls_failed = 0, disks = 0;       /* how many of each have failed in all */

static void succeeds(const operation *o)
{
    CHECK(o->run() == DRL_OK, "%s: %s", o->name, drl_ctx_message(ctx));
}

/* Allocation 1 fails, allocation 2, and so on, until the operation makes no more of them, and succeeds. */
static void allocations_fail(const operation *o)
{
    long n, made_so_many = -1;
    for (n = 1; n < 100 && made_so_many < 0; ++n) {
        drl_status status;
        ready();
        heap.fail_at = heap.calls + n;
        status = o->run();
        if (heap.calls < heap.fail_at) {
            made_so_many = n - 1;
            CHECK(status == DRL_OK, "%s: %s", o->name, drl_ctx_message(ctx));
        } else {
            as_before(o, status, DRL_E_MEMORY, "allocation", n);
            ++allocations;
        }
        heap.fail_at = 0;
        made_destroy();
    }
    if (o->least) CHECK(made_so_many >= o->least, "%s makes %ld allocations, not at least %d",
                        o->name, made_so_many, o->least);
    else CHECK(made_so_many == 0, "%s makes %ld allocations", o->name, made_so_many);
}

/* Number of calls to files of an operation that succeeds. */
static long calls_of(const operation *o)
{
    long all;
    ready();
    io_fail(0);
    succeeds(o);
    all = io_calls;
    made_destroy();
    return all;
}

/* May a failure of this kind be overlooked? Only where nothing is lost: removing what is not there, asking
 * for the rights of the old file, and in operations that write nothing, closing, and reading past the end. */
static int harmless(const operation *o, int failed)
{
    if (failed == IO_REMOVE || failed == IO_STAT) return 1;
    return !(o->kind & WRITES) && (failed == IO_CLOSE || failed == IO_READ);
}

/* Each call to files fails. Small writes come by the thousand: the first, the last, and some between. */
static void calls_fail(const operation *o)
{
    const int kinds = o->kind & WRITES ? IO_WRITERS : IO_READERS;
    long all = calls_of(o), n;
    int seen = 0;
    for (n = 1; n <= all; n += n < 100 || n > all - 30 ? 1 : 29) {
        drl_status status;
        ready();
        io_fail(n);
        status = o->run();
        io_fail_at = 0;
        if (status == DRL_OK) {
            CHECK(harmless(o, io_failed), "%s, call %ld of kind %d fails, and nobody notices",
                  o->name, n, io_failed);
            no_temporary(o, "call", n);
        } else {
            as_before(o, status, DRL_E_IO, "call", n);
            ++calls_failed;
            seen |= io_failed;
        }
        made_destroy();
    }
    CHECK(calls_of(o) == all, "%s: other calls after the failures than before", o->name);
    CHECK((seen & kinds) == kinds, "%s: only calls of kinds %d failed", o->name, seen);
}

/* The disk is full after n bytes, which are from none to almost all that are written; then it has just enough
 * room. */
static void disks_are_full(const operation *o)
{
    const long large = 1 << 30;
    long size, n;
    ready();
    io_room = large;
    succeeds(o);
    size = large - io_room;
    CHECK(size > 100, "%s writes %ld bytes", o->name, size);
    for (n = 0; n < size; n += n < 20 ? 1 : size / 40) {
        drl_status status;
        ready();
        io_room = n;
        status = o->run();
        as_before(o, status, DRL_E_IO, "room of", n);
        ++disks;
    }
    ready();
    io_room = size;
    succeeds(o);
    io_room = -1;
}

static void operation_fails(const operation *o)
{
    allocations_fail(o);
    if (o->kind & (READS | WRITES)) calls_fail(o);
    else CHECK(calls_of(o) == 0, "%s makes calls to files", o->name);
    if (o->kind & WRITES) disks_are_full(o);
}

/* -- a block that is one byte short -- */

/* Everything that can live in a caller's block, in the order in which it is made there. */
enum {
    STACK_NET, STACK_MODEL, STACK_TRAINER, STACK_SAMPLER, STACK_SUM, STACK_MCMC, STACK_AIS,
    STACK_SAFETENSORS, STACK_DATASET, STACK_FILE, STACK_COUNT
};
typedef struct stack {
    drl_ctx *ctx;
    drl_net *net;
    drl_model *model;
    drl_trainer *trainer;
    drl_sampler *sampler;
    drl_sum *sum;
    drl_mcmc *mcmc;
    drl_ais *ais;
    drl_safetensors *st;
    drl_dataset *ds;
    void *file;
} stack;

static drl_status stack_make(stack *s, int which)
{
    drl_model_desc model_desc = desc_of(DRL_FORM_CDRL);
    drl_train_desc train_desc = plan();
    drl_sample_desc how = how_of();
    drl_mcmc_desc chains = chains_of();
    drl_ais_desc path = path_of();
    drl_dataset images = images_of();
    drl_energy e = closed_energy();
    drl_sum_term term;
    size_t size = 0;
    memset(&term, 0, sizeof term);
    term.energy = e;
    term.weight = 1;
    switch (which) {
    case STACK_NET: return drl_net_create(s->ctx, build, NULL, NULL, &s->net);
    case STACK_MODEL: return drl_model_create(s->ctx, &model_desc, 1, &s->model);
    case STACK_TRAINER: return drl_trainer_create(s->model, &train_desc, &s->trainer);
    case STACK_SAMPLER: return drl_sampler_create(s->model, &how, &s->sampler);
    case STACK_SUM: return drl_sum_create(s->ctx, &term, 1, &s->sum);
    case STACK_MCMC: return drl_mcmc_create(s->ctx, &e, &chains, &s->mcmc);
    case STACK_AIS: return drl_ais_create(s->ctx, &e, &path, &s->ais);
    case STACK_SAFETENSORS: return drl_safetensors_open_memory(s->ctx, model_file, model_size, &s->st);
    case STACK_DATASET: return drl_dataset_copy(s->ctx, &images, &s->ds);
    default: return drl_file_read(s->ctx, labels_path, &s->file, &size);
    }
}

/* Makes one after the other, as far as there is room, uses them when all are there, and takes everything down
 * again. Returns how many had room. The first one that has none fails whole. */
static int stack_up(drl_ctx *c)
{
    drl_status status = DRL_OK;
    stack s;
    int have = 0;
    memset(&s, 0, sizeof s);
    s.ctx = c;
    while (have < STACK_COUNT && status == DRL_OK) {
        size_t used = drl_ctx_bytes_used(c);
        status = stack_make(&s, have);
        if (status == DRL_OK) {
            ++have;
            continue;
        }
        CHECK(drl_ctx_bytes_used(c) == used, "object %d: %lu bytes more after it failed", have,
              (unsigned long)(drl_ctx_bytes_used(c) - used));
        CHECK(status == DRL_E_MEMORY, "object %d: %s", have, drl_status_text(status));
        CHECK(drl_ctx_message(c)[0], "object %d has no room, and there is no sentence", have);
    }
    if (have == STACK_COUNT) {
        CHECK(drl_trainer_step(s.trainer, x0, label, NULL) == DRL_OK, "in a block: %s", drl_ctx_message(c));
        CHECK(drl_sampler_run(s.sampler, 1 << 30) == DRL_OK, "in a block: %s", drl_ctx_message(c));
        CHECK(drl_mcmc_run(s.mcmc, 4) == DRL_OK, "in a block: %s", drl_ctx_message(c));
        CHECK(drl_ais_run(s.ais, 9) == DRL_OK, "in a block: %s", drl_ctx_message(c));
    }
    drl_file_free(c, s.file);
    drl_dataset_destroy(s.ds);
    drl_safetensors_close(s.st);
    drl_ais_destroy(s.ais);
    drl_mcmc_destroy(s.mcmc);
    drl_sum_destroy(s.sum);
    drl_sampler_destroy(s.sampler);
    drl_trainer_destroy(s.trainer);
    drl_model_destroy(s.model);
    drl_net_destroy(s.net);
    return have;
}

/* How many objects have room in a block of `bytes`; -1 where the context itself has none. */
static int stack_in(size_t bytes)
{
    static unsigned char memory[8 << 20];
    drl_ctx_desc d;
    drl_ctx *c = NULL;
    drl_status status;
    int have;
    if (bytes > sizeof memory) exit(3);
    memset(&d, 0, sizeof d);
    d.memory = memory;
    d.memory_size = bytes;
    status = drl_ctx_create(&d, &c);
    if (status != DRL_OK) {
        CHECK(status == DRL_E_MEMORY && !c, "a context in %lu bytes: %s", (unsigned long)bytes,
              drl_status_text(status));
        return -1;
    }
    have = stack_up(c);
    CHECK(drl_ctx_bytes_used(c) < 4096, "%lu bytes are still in use", (unsigned long)drl_ctx_bytes_used(c));
    drl_ctx_destroy(c);
    return have;
}

/* The smallest block with room for `have` objects, found by halving: a byte less, and the last of them has no
 * room. */
static void short_blocks(void)
{
    size_t least = 8 << 20;
    int have;
    for (have = STACK_COUNT; have >= 0; --have) {
        size_t low = 0;
        while (least - low > 1) {
            size_t size = low + (least - low) / 2;
            if (stack_in(size) >= have) least = size;
            else low = size;
        }
        CHECK(stack_in(least) >= have, "%d objects have no room in %lu bytes", have, (unsigned long)least);
        CHECK(stack_in(least - 1) == have - 1, "a byte less than %lu for %d objects: not one less has room",
              (unsigned long)least, have);
    }
}

/* -- descriptions that were not zeroed -- */

/* The call finds a canary that is not 0, and says so. */
#define NOT_ZEROED(call)                                                                        \
    do {                                                                                        \
        CHECK((call) == DRL_E_ARGUMENT && strstr(drl_ctx_message(ctx), "was not zeroed"),       \
              #call ": '%s'", drl_ctx_message(ctx));                                            \
        drl_ctx_clear(ctx);                                                                     \
    } while (0)

static void named_layer(drl_net *net, void *layer)
{
    const drl_layer_desc *l = (const drl_layer_desc *)layer;
    drl_net_spatial_sum(net, drl_net_conv2d(net, drl_net_input(net, SIDE, SIDE, 1), l), 1);
}

/* Contexts, convolutions, files and data sets. */
static void canaries(void)
{
    static drl_dataset_desc images;     /* static: a zeroed one, in C++ as well */
    static drl_vectors_desc rows;
    drl_ctx_desc context_desc = { 0 };
    drl_conv2d_desc conv = { 0 };
    drl_safetensors_desc tensors = { 0 };
    drl_layer_desc layer = { 0 };
    drl_net_desc net_desc = { 0 };
    drl_blob blob = { "not read", 8 };
    drl_tensor x = drl_tensor_of(made.out, 1, 1, 1, 1);
    drl_ctx *c = NULL;
    drl_net *net = NULL;
    drl_dataset *ds = NULL;
    drl_vectors *vectors = NULL;
    size_t size = 0;
    context_desc.canary = 1;
    CHECK(drl_ctx_create(&context_desc, &c) == DRL_E_ARGUMENT, "a context");
    conv.in_channels = conv.out_channels = 1;
    conv.kernel = 1;
    conv.canary = -1;
    CHECK(!drl_conv2d_packed_count(ctx, &conv, 0), "a count of packed weights");
    CHECK(!drl_conv2d_work_count(ctx, &conv, 1, 1, 1), "a count of work");
    NOT_ZEROED(drl_conv2d_forward(ctx, &conv, &x, made.out, NULL, &x, made.out));
    tensors.canary = 1;
    NOT_ZEROED(drl_safetensors_write_memory(ctx, &tensors, NULL, 0, &size));
    images.canary = 1;
    NOT_ZEROED(drl_dataset_parse(ctx, &blob, 1, &images, &ds));
    rows.canary = 1;
    NOT_ZEROED(drl_vectors_parse(ctx, &blob, 1, &rows, &vectors));
    layer.name = "c";
    layer.out_channels = 1;
    layer.canary = 1;
    NOT_ZEROED(drl_net_create(ctx, named_layer, &layer, NULL, &net));
    net_desc.canary = 1;
    NOT_ZEROED(drl_net_create(ctx, build, NULL, &net_desc, &net));
}

/* Models, training, samplers and chains. */
static void model_canaries(void)
{
    drl_energy e = drl_model_energy(model);
    drl_sample_desc how = how_of();
    drl_model_desc model_desc = desc_of(DRL_FORM_CDRL);
    drl_train_desc train_desc = plan();
    drl_run_desc run = { 0 };
    drl_mcmc_desc chains = chains_of();
    drl_ais_desc path = path_of();
    size_t size = 0;
    how.canary = -1;
    NOT_ZEROED(drl_sampler_create(model, &how, &made.sampler));
    model_desc.canary = -1;
    NOT_ZEROED(drl_model_create(ctx, &model_desc, 1, &made.model));
    NOT_ZEROED(drl_model_size(ctx, &model_desc, &size));
    NOT_ZEROED(drl_model_load_memory(ctx, model_file, model_size, &model_desc, &made.model));
    train_desc.canary = -1;
    NOT_ZEROED(drl_trainer_create(model, &train_desc, &made.trainer));
    run.canary = -1;
    NOT_ZEROED(drl_train(trainer, NULL, &run));
    chains.canary = -1;
    NOT_ZEROED(drl_mcmc_create(ctx, &e, &chains, &made.mcmc));
    path.canary = -1;
    NOT_ZEROED(drl_ais_create(ctx, &e, &path, &made.ais));
}

/* -- before and after -- */

static char *path_of_file(const char *name)
{
    const char *path = check_path(name);
    char *copy = (char *)malloc(strlen(path) + 1);
    if (!copy) exit(3);
    return strcpy(copy, path);
}

/* IDX files of images and of their labels. */
static void data_files_make(void)
{
    unsigned char images[16 + BATCH * IMAGE] = { 0, 0, 8, 3, 0, 0, 0, BATCH, 0, 0, 0, SIDE, 0, 0, 0, SIDE };
    unsigned char labels[8 + BATCH] = { 0, 0, 8, 1, 0, 0, 0, BATCH, 0, 1 };
    int i;
    for (i = 0; i < BATCH * IMAGE; ++i) images[16 + i] = (unsigned char)(i * 3);
    CHECK_OK(ctx, drl_file_write(ctx, images_path, images, sizeof images));
    CHECK_OK(ctx, drl_file_write(ctx, labels_path, labels, sizeof labels));
    CHECK_OK(ctx, drl_file_write(ctx, picture_path, "P6 2 1 255\nabcdef", 17));
    CHECK_OK(ctx, drl_file_write(ctx, vectors_path, "1,2\n3,4\n", 8));
}

/* A model after three steps of training, its file and its checkpoint; a sampler and chains of it. */
static void objects_make(void)
{
    drl_model_desc d = desc_of(DRL_FORM_CDRL);
    drl_train_desc t = plan();
    drl_sample_desc how = how_of();
    drl_mcmc_desc chains;
    drl_ais_desc path = path_of();
    drl_energy e;
    int k;
    CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &model));
    CHECK_OK(ctx, drl_trainer_create(model, &t, &trainer));
    for (k = 0; k < 3; ++k) CHECK_OK(ctx, drl_trainer_step(trainer, x0, label, NULL));
    CHECK_OK(ctx, drl_sampler_create(model, &how, &sampler));
    CHECK_OK(ctx, drl_model_save_memory(model, DRL_DTYPE_F32, NULL, 0, &model_size));
    model_file = malloc(model_size);
    CHECK_OK(ctx, drl_model_save_memory(model, DRL_DTYPE_F32, model_file, model_size, &model_size));
    CHECK_OK(ctx, drl_model_save(model, DRL_DTYPE_F32, model_path));
    CHECK_OK(ctx, drl_trainer_save(trainer, checkpoint_path));
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, model_file, model_size, &weights));
    CHECK_OK(ctx, drl_model_load_weights(model, weights));
    chains = chains_of();
    e = drl_model_energy(model);
    CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &chains, &mcmc));
    CHECK_OK(ctx, drl_ais_create(ctx, &e, &path, &ais));
}

static void objects_destroy(void)
{
    drl_safetensors_close(weights);
    drl_ais_destroy(ais);
    drl_mcmc_destroy(mcmc);
    drl_sampler_destroy(sampler);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    free(model_file);
}

static void file_destroy(char *path)
{
    remove(path);
    free(path);
}

int main(int argc, char **argv)
{
    int i, count = (int)(sizeof operations / sizeof operations[0]);
    if (check_words(argc, argv)) return 2;
    for (i = 0; i < BATCH * IMAGE; ++i) {
        x0[i] = i % 3 ? -0.5f : 0.75f;
        pixels[i] = (uint8_t)(i % 2);
    }
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    if (!ctx) return 3;
    model_path = path_of_file("test_failure.model");
    checkpoint_path = path_of_file("test_failure.checkpoint");
    images_path = path_of_file("test_failure.images");
    labels_path = path_of_file("test_failure.labels");
    picture_path = path_of_file("test_failure.ppm");
    vectors_path = path_of_file("test_failure.csv");
    out_path = path_of_file("test_failure.out");
    objects_make();
    data_files_make();
    for (i = 0; i < count; ++i) {
        if (!check_begin(operations[i].name)) continue;
        operation_fails(&operations[i]);
        check_end(operations[i].name);
    }
    PART(short_blocks());
    PART(canaries());
    PART(model_canaries());
    printf("%ld allocations and %ld calls to files failed, %ld disks were full, in %d operations\n",
           allocations, calls_failed, disks, count);
    objects_destroy();
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
    file_destroy(model_path);
    file_destroy(checkpoint_path);
    file_destroy(images_path);
    file_destroy(labels_path);
    file_destroy(picture_path);
    file_destroy(vectors_path);
    file_destroy(out_path);
    return check_report("test_failure");
}
