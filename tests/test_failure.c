/* test_failure.c - whatever can fail outside of the library fails once, at every place: each allocation and each call to the C library's
 * files of every operation that makes them, a disk that is full after n bytes, a caller's block that is one byte short. After each
 * failure there is a status and a sentence, results are untouched, objects and files are as before, no temporary file stays, nothing leaks,
 * and the same call then succeeds. Operations that promise not to allocate are counted. Files it makes are called test_failure.*. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "check.h"

/* The library's calls to the C library, counted; number io_fail_at fails, which was one of these. */
enum { IO_OPEN = 1, IO_READ = 2, IO_WRITE = 4, IO_FLUSH = 8, IO_CLOSE = 16, IO_RENAME = 32, IO_STAT = 64, IO_SYNC = 128, IO_REMOVE = 256 };
static long io_calls = 0, io_fail_at = 0, io_room = -1;         /* io_room: bytes until the disk is full, -1 without end */
static int io_failed = 0;
static char io_temporary[5000] = "";
static int io_fails(int call)
{
    if (++io_calls != io_fail_at) return 0;
    io_failed |= call;
    errno = EIO;
    return 1;
}
static void io_note(const char *path) { if (strlen(path) < sizeof io_temporary) strcpy(io_temporary, path); }
static size_t io_write(const void *data, size_t n, FILE *file)
{
    size_t some = io_fails(IO_WRITE) ? n / 2 : n;
    if (io_room >= 0 && (size_t)io_room < some) { some = (size_t)io_room; errno = ENOSPC; }
    if (io_room >= 0) io_room -= (long)some;
    return fwrite(data, 1, some, file);
}
#define DRL__FOPEN(path, mode)      (io_fails(IO_OPEN) ? NULL : fopen(path, mode))
#define DRL__FREAD(data, n, file)   (io_fails(IO_READ) ? 0 : fread(data, 1, n, file))
#define DRL__FWRITE(data, n, file)  io_write(data, n, file)
#define DRL__FFLUSH(file)           (io_fails(IO_FLUSH) ? EOF : fflush(file))
#define DRL__FCLOSE(file)           (io_fails(IO_CLOSE) ? (fclose(file), EOF) : fclose(file))
#define DRL__REMOVE(path)           (io_fails(IO_REMOVE) ? -1 : remove(path))
#define IO_WRITERS (IO_OPEN | IO_WRITE | IO_FLUSH | IO_CLOSE)
#if defined(_WIN32)
#define DRL__OPEN_NEW(path, mode)   (io_note(path), io_fails(IO_OPEN) ? -1 : _open(path, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY, mode))
#endif
#if !defined(_WIN32)
#define DRL__OPEN_NEW(path, mode)   (io_note(path), io_fails(IO_OPEN) ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL, mode))
#define DRL__FDOPEN(descriptor)     (io_fails(IO_OPEN) ? NULL : fdopen(descriptor, "wb"))
#define DRL__RENAME(from, to)       (io_fails(IO_RENAME) ? -1 : rename(from, to))
#endif
#if defined(__unix__) || defined(__APPLE__)
#define DRL__STAT(path, info)       (io_fails(IO_STAT) ? -1 : stat(path, info))
#define DRL__FSYNC(file)            (io_fails(IO_SYNC) ? -1 : fsync(fileno(file)))
#undef  IO_WRITERS
#define IO_WRITERS (IO_OPEN | IO_WRITE | IO_FLUSH | IO_CLOSE | IO_SYNC | IO_RENAME | IO_STAT)
#endif

#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "fixture.h"

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
static char *model_path, *checkpoint_path, *images_path, *labels_path, *out_path;

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
    drl_file_free(ctx, made.file);
    drl_ctx_destroy(made.ctx);
    made = none;
}

static drl_model_desc desc_of(drl_form form)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.form = form;
    d.height = SIDE; d.base = 4; d.resolutions = 2; d.levels = 3; d.steps = 2; d.batch = BATCH; d.trainable = 1;
    if (form == DRL_FORM_CDRL) { d.initializer = 4; d.classes = 2; }
    return d;
}

static drl_train_desc plan(void)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.batch = BATCH; d.seed = 3; d.snapshot = 2;
    return d;
}

static drl_sample_desc how_of(void)
{
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = BATCH; how.seed = 5; how.labels = label; how.guidance = 0.5f;
    return how;
}

static void build(drl_net *net, void *user)
{
    drl_layer_desc l;
    (void)user;
    memset(&l, 0, sizeof l);
    l.name = "c"; l.out_channels = 8; l.spectral = DRL_SPECTRAL_UNIT; l.keep_norm = 1;
    drl_net_spatial_sum(net, drl_net_conv2d(net, drl_net_input(net, SIDE, SIDE, 1), &l), 1);
}

static drl_status closed(void *user, int n, const float *y, const int *level, const int *labels, float *f, float *gradient)
{
    int i;
    (void)user; (void)level; (void)labels;
    for (i = 0; f && i < n; ++i) f[i] = 0;
    for (i = 0; gradient && i < n * IMAGE; ++i) gradient[i] = -y[i];
    return DRL_OK;
}

static drl_energy closed_energy(void)
{
    drl_energy e;
    memset(&e, 0, sizeof e);
    e.eval = closed; e.size = IMAGE; e.batch = BATCH;
    return e;
}

/* --- the operations -------------------------------------------------------------------------------------------------------------------- */
static drl_status op_ctx(void)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = check_alloc; d.allocator.free_fn = check_free; d.allocator.user = &heap;
    return drl_ctx_create(&d, &made.ctx);
}
#ifdef DRL_THREADS
static drl_status op_pool(void)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = check_alloc; d.allocator.free_fn = check_free; d.allocator.user = &heap;
    d.threads = 3;
    return drl_ctx_create(&d, &made.ctx);
}
#endif
static drl_status op_net(void)           { drl_net_desc d; memset(&d, 0, sizeof d); d.batch = BATCH; d.modes = 7; return drl_net_create(ctx, build, NULL, &d, &made.net); }
static drl_status op_net_size(void)      { return drl_net_size(ctx, build, NULL, NULL, &made.size); }
static drl_status op_model(void)         { drl_model_desc d = desc_of(DRL_FORM_DRL); return drl_model_create(ctx, &d, 1, &made.model); }
static drl_status op_model_cdrl(void)    { drl_model_desc d = desc_of(DRL_FORM_CDRL); return drl_model_create(ctx, &d, 1, &made.model); }
static drl_status op_model_size(void)    { drl_model_desc d = desc_of(DRL_FORM_CDRL); return drl_model_size(ctx, &d, &made.size); }
static drl_status op_load_memory(void)   { return drl_model_load_memory(ctx, model_file, model_size, NULL, &made.model); }
static drl_status op_load(void)          { return drl_model_load(ctx, model_path, NULL, &made.model); }
static drl_status op_load_weights(void)  { return drl_model_load_weights(model, weights); }
static drl_status op_save_size(void)
{
    return drl_model_save_memory(model, DRL_DTYPE_F32, NULL, 0, &made.size);
}
static drl_status op_save_memory(void)
{
    static unsigned char to[1 << 20];
    return drl_model_save_memory(model, DRL_DTYPE_F32, to, sizeof to, &made.size);
}
static drl_status op_save(void)          { return drl_model_save(model, DRL_DTYPE_F32, out_path); }
static drl_status op_trainer(void)       { drl_train_desc d = plan(); return drl_trainer_create(model, &d, &made.trainer); }
static drl_status op_trainer_size(void)  { drl_train_desc d = plan(); return drl_trainer_size(model, &d, &made.size); }
static drl_status op_step(void)          { return drl_trainer_step(trainer, x0, label, NULL); }
static drl_status op_rollback(void)      { drl_status s = drl_trainer_step(trainer, x0, label, NULL); return s == DRL_OK ? drl_trainer_rollback(trainer) : s; }
static drl_status op_train(void)
{
    drl_dataset d;
    drl_run_desc run;
    memset(&d, 0, sizeof d);
    memset(&run, 0, sizeof run);
    d.count = BATCH; d.height = d.width = SIDE; d.channels = 1; d.pixels = pixels;
    run.steps = drl_trainer_steps(trainer) + 1;
    return drl_train(trainer, &d, &run);
}
static drl_status op_swap(void)          { drl_status s = drl_trainer_swap_average(trainer); return s == DRL_OK ? drl_trainer_swap_average(trainer) : s; }
static drl_status op_checkpoint(void)    { return drl_trainer_save(trainer, out_path); }
static drl_status op_resume(void)        { return drl_trainer_resume(trainer, checkpoint_path); }
static drl_status op_describe(void)      { return drl_checkpoint_describe(ctx, checkpoint_path, &made.md, &made.td); }
static drl_status op_sampler(void)       { drl_sample_desc how = how_of(); return drl_sampler_create(model, &how, &made.sampler); }
static drl_status op_sampler_energy(void)
{
    drl_sample_desc how = how_of();
    drl_energy e = closed_energy();
    how.steps = 2; how.start = x0; how.known = x0; how.mask = pixels; how.guidance = 0;
    return drl_sampler_create_energy(ctx, &e, drl_model_schedule(model), &how, &made.sampler);
}
static drl_status op_sampler_run(void)   { drl_status s = drl_sampler_run(sampler, 1); return s == DRL_RUNNING ? DRL_OK : s; }
static drl_mcmc_desc chains_of(void)
{
    drl_mcmc_desc d;
    memset(&d, 0, sizeof d);
    d.count = BATCH; d.kernel = DRL_MCMC_HMC; d.leapfrog = 2; d.schedule = drl_model_schedule(model); d.x_next = x0; d.labels = label; d.warmup = 2; d.seed = 5;
    return d;
}
static drl_ais_desc path_of(void)
{
    drl_ais_desc d;
    memset(&d, 0, sizeof d);
    d.count = BATCH; d.steps = 3; d.leapfrog = 2; d.pilot = 1; d.start = x0;
    return d;
}
static drl_status op_chains(void)        { drl_mcmc_desc d = chains_of(); drl_energy e = drl_model_energy(model); return drl_mcmc_create(ctx, &e, &d, &made.mcmc); }
static drl_status op_chains_run(void)    { return drl_mcmc_run(mcmc, 1); }
static drl_status op_path(void)          { drl_ais_desc d = path_of(); drl_energy e = drl_model_energy(model); return drl_ais_create(ctx, &e, &d, &made.ais); }
static drl_status op_path_run(void)      { drl_status s = drl_ais_run(ais, 1); return s == DRL_RUNNING ? DRL_OK : s; }
static drl_status op_sample(void)        { drl_sample_desc how = how_of(); return drl_sample(model, &how, made.out); }
static drl_status op_f(void)             { float level[BATCH] = { 1, 2 }; return drl__model_f(model, BATCH, x0, level, label, NULL, made.out); }
static drl_status op_sum(void)
{
    drl_sum_term t[3];
    memset(t, 0, sizeof t);
    t[0].energy = t[1].energy = t[2].energy = closed_energy();
    t[0].weight = 1;
    return drl_sum_create(ctx, t, 3, &made.sum);
}
static drl_status op_open_memory(void)   { return drl_safetensors_open_memory(ctx, model_file, model_size, &made.st); }
static drl_status op_open(void)          { return drl_safetensors_open(ctx, model_path, &made.st); }
static drl_status op_read(void)          { return drl_file_read(ctx, model_path, &made.file, &made.size); }
static drl_status op_write(void)         { return drl_file_write(ctx, out_path, model_file, model_size); }
static drl_status op_write_npy(void)
{
    static const size_t shape[2] = { BATCH, IMAGE };
    drl_array a = drl_array_of("", DRL_DTYPE_F32, 2, shape, x0);
    return drl_npy_write_file(ctx, out_path, &a);
}
static drl_status op_dataset(void)
{
    const char *paths[2];
    paths[0] = images_path; paths[1] = labels_path;
    return drl_dataset_load(ctx, paths, 2, NULL, &made.ds);
}
static drl_status op_dataset_values(void)
{
    const char *paths[1];
    drl_dataset_desc d;
    memset(&d, 0, sizeof d);
    d.low = -1; d.high = 256;                           /* not the range of bytes: becomes floats */
    paths[0] = images_path;
    return drl_dataset_load(ctx, paths, 1, &d, &made.ds);
}
static drl_status op_dataset_copy(void)
{
    drl_dataset d;
    memset(&d, 0, sizeof d);
    d.count = BATCH; d.height = d.width = SIDE; d.channels = 1; d.pixels = pixels;
    return drl_dataset_copy(ctx, &d, &made.ds);
}

enum { READS = 1, WRITES = 2, CHANGES = 4 };            /* files; CHANGES: an object, when it succeeds */
typedef struct operation { const char *name; drl_status (*run)(void); int least, kind; } operation;     /* least: allocations, at least; 0: none at all */
static const operation operations[] = {
    { "context", op_ctx, 1, 0 },
#ifdef DRL_THREADS
    { "context with a pool", op_pool, 2, 0 },
#endif
    { "drl_net_create", op_net, 2, 0 },                 { "drl_net_size", op_net_size, 1, 0 },
    { "drl_model_create", op_model, 3, 0 },             { "drl_model_create, cooperative", op_model_cdrl, 5, 0 },
    { "drl_model_size", op_model_size, 2, 0 },          { "drl_model_load_memory", op_load_memory, 5, 0 },
    { "drl_model_load", op_load, 6, READS },            { "drl_model_load_weights", op_load_weights, 0, 0 },
    { "drl_model_save_size", op_save_size, 1, 0 },      { "drl_model_save_memory", op_save_memory, 1, 0 },
    { "drl_model_save", op_save, 1, WRITES },           { "drl_trainer_create", op_trainer, 1, 0 },
    { "drl_trainer_size", op_trainer_size, 0, 0 },      { "drl_trainer_step", op_step, 0, CHANGES },
    { "drl_train", op_train, 1, CHANGES },
    { "drl_trainer_rollback", op_rollback, 0, CHANGES }, { "drl_trainer_swap_average", op_swap, 0, 0 },
    { "drl_trainer_save", op_checkpoint, 0, WRITES },   { "drl_trainer_resume", op_resume, 2, READS | CHANGES },
    { "drl_checkpoint_describe", op_describe, 2, READS }, { "drl_sampler_create", op_sampler, 1, 0 },
    { "drl_sampler_create_energy", op_sampler_energy, 1, 0 }, { "drl_sampler_run", op_sampler_run, 0, CHANGES },
    { "drl_mcmc_create", op_chains, 1, 0 },             { "drl_mcmc_run", op_chains_run, 0, CHANGES },
    { "drl_ais_create", op_path, 2, 0 },                { "drl_ais_run", op_path_run, 0, CHANGES },
    { "drl_sample", op_sample, 1, 0 },                  { "drl__model_f", op_f, 0, 0 },
    { "drl_sum_create", op_sum, 1, 0 },                 { "drl_safetensors_open_memory", op_open_memory, 1, 0 },
    { "drl_safetensors_open", op_open, 2, READS },      { "drl_file_read", op_read, 1, READS },
    { "drl_file_write", op_write, 0, WRITES },          { "drl_npy_write_file", op_write_npy, 0, WRITES },
    { "drl_dataset_load", op_dataset, 4, READS },       { "drl_dataset_copy", op_dataset_copy, 1, 0 },
    { "drl_dataset_load, floats", op_dataset_values, 3, READS }
};

/* --- what must not change ---------------------------------------------------------------------------------------------------------------- */
static uint32_t hash(uint32_t h, const void *p, size_t n) { const unsigned char *b = (const unsigned char *)p; while (n--) h = (h ^ *b++) * 16777619u; return h; }

static uint32_t objects(void)
{
    unsigned char state[4096];
    size_t n = drl__sampler_state_size(sampler);
    uint32_t h = 2166136261u;
    int i;
    for (i = 0; i < trainer->parts; ++i) {
        const drl__part *p = &trainer->part[i];
        h = hash(h, p->net->params, p->params * sizeof(float));
        h = hash(h, p->net->packed, p->net->packed_size * sizeof(float));
        h = hash(h, p->net->state, p->state * sizeof(float));
        h = hash(h, p->ema, p->params * sizeof(float));
        h = hash(h, p->adam_m, p->params * sizeof(float));
        h = hash(h, p->adam_v, p->params * sizeof(float));
        h = hash(h, p->good_params, p->params * sizeof(float));
        h = hash(h, p->good_state, p->state * sizeof(float));
    }
    h = hash(h, &trainer->now.step, sizeof trainer->now.step);
    h = hash(h, &trainer->now.rollbacks, sizeof trainer->now.rollbacks);
    h = hash(h, &trainer->now.rate_scale, 5 * sizeof(double));
    h = hash(h, trainer->level, (size_t)model->desc.levels * sizeof *trainer->level);
    if (n > sizeof state || drl_sampler_save(sampler, state, n, &check_written) != DRL_OK) exit(3);
    h = hash(h, state, n);
    n = drl__mcmc_state_size(mcmc);
    if (n > sizeof state || drl_mcmc_save(mcmc, state, n, &check_written) != DRL_OK) exit(3);
    h = hash(h, state, n);
    i = drl_ais_steps_left(ais);
    h = hash(h, &i, sizeof i);
    return hash(h, ais->log_w, BATCH * sizeof(double));
}

static char *text(const char *s) { char *t = (char *)malloc(strlen(s) + 1); if (!t) exit(3); strcpy(t, s); return t; }
static int exists(const char *path) { FILE *f = fopen(path, "rb"); if (f) fclose(f); return f != NULL; }

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

/* --- the ways to fail ---------------------------------------------------------------------------------------------------------------------- */
static long live;
static uint32_t before;
static void ready(const operation *o)
{
    put_old();
    io_temporary[0] = 0;
    drl_ctx_clear(ctx);
    before = objects();
    live = heap.live;
    (void)o;
}

/* After a failure: as before. ctx_less: the failing object would have been the context that keeps the sentence. */
static void as_before(const operation *o, drl_status status, drl_status want, const char *what, long n)
{
    int ctx_less = !strncmp(o->name, "context", 7);
    CHECK(status == want, "%s, %s %ld: %s, expected %s (%s)", o->name, what, n, drl_status_text(status), drl_status_text(want), drl_ctx_message(ctx));
    if (!ctx_less) CHECK(drl_ctx_status(ctx) == want && strlen(drl_ctx_message(ctx)) > 10, "%s, %s %ld: context has %s, '%s'", o->name, what, n, drl_status_text(drl_ctx_status(ctx)), drl_ctx_message(ctx));
    CHECK(!memcmp(&made, &none, sizeof made), "%s, %s %ld: a result is touched", o->name, what, n);
    CHECK(heap.live == live, "%s, %s %ld: %ld blocks are left", o->name, what, n, heap.live - live);
    CHECK(objects() == before, "%s, %s %ld: an object has changed", o->name, what, n);
    CHECK(has_old(), "%s, %s %ld: the old file is gone", o->name, what, n);
    CHECK(!io_temporary[0] || !exists(io_temporary), "%s, %s %ld: %s is left", o->name, what, n, io_temporary);
}

static long allocations = 0, calls_failed = 0, disks = 0;

static void no_memory(const operation *o)
{
    long n;
    for (n = 1; n < 100; ++n) {
        drl_status status;
        ready(o);
        heap.fail_at = heap.calls + n;
        status = o->run();
        if (heap.calls < heap.fail_at) {                /* it made n - 1 allocations, none of which failed */
            heap.fail_at = 0;
            CHECK(status == DRL_OK, "%s: %s", o->name, drl_ctx_message(ctx));
            made_destroy();
            break;
        }
        heap.fail_at = 0;
        as_before(o, status, DRL_E_MEMORY, "allocation", n);
        ++allocations;
        made_destroy();
    }
    CHECK(o->least ? n - 1 >= o->least && n < 100 : n == 1, "%s makes %ld allocations, not %s%d", o->name, n - 1, o->least ? "at least " : "", o->least);
}

static void no_file(const operation *o)
{
    long n, size, all;
    int seen = 0;
    drl_status status = DRL_OK;
    if (!(o->kind & (READS | WRITES))) {                /* and no call to files at all */
        io_calls = 0;
        ready(o);
        CHECK(o->run() == DRL_OK && !io_calls, "%s makes %ld calls to files", o->name, io_calls);
        made_destroy();
        return;
    }
    ready(o);
    io_calls = 0;
    CHECK(o->run() == DRL_OK, "%s: %s", o->name, drl_ctx_message(ctx));
    all = io_calls;
    made_destroy();
    for (n = 1; n <= all + 1; n += n < 100 || n > all - 30 ? 1 : 29) {      /* small writes come by the thousand: the first, the last, and some between */
        ready(o);
        io_calls = 0;
        io_failed = 0;
        io_fail_at = n;
        status = o->run();
        io_fail_at = 0;
        if (io_calls < n) break;
        if (status == DRL_OK) {                         /* only what changes nothing may be overlooked: removing what is not there, closing what was read */
            CHECK(io_failed == IO_REMOVE || io_failed == IO_STAT || (io_failed == IO_CLOSE && !(o->kind & WRITES)) || (io_failed == IO_READ && !(o->kind & WRITES)), "%s, call %ld of kind %d fails, and nobody notices", o->name, n, io_failed);
            CHECK(!io_temporary[0] || !exists(io_temporary), "%s, call %ld: %s is left", o->name, n, io_temporary);
        }
        else { as_before(o, status, DRL_E_IO, "call", n); ++calls_failed; seen |= io_failed; }
        made_destroy();
    }
    CHECK(n == all + 1 && status == DRL_OK, "%s without a failure, call %ld of %ld: %s", o->name, n, all, drl_ctx_message(ctx));
    made_destroy();
    CHECK((seen & (o->kind & WRITES ? IO_WRITERS : IO_OPEN | IO_READ)) == (o->kind & WRITES ? IO_WRITERS : IO_OPEN | IO_READ), "%s: only calls of kinds %d failed", o->name, seen);
    if (!(o->kind & WRITES)) return;
    io_room = 1 << 30;                                  /* the disk is full after `room` bytes */
    ready(o);
    CHECK(o->run() == DRL_OK, "%s: %s", o->name, drl_ctx_message(ctx));
    size = (1 << 30) - io_room;
    CHECK(size > 100, "%s writes %ld bytes", o->name, size);
    for (n = 0; n < size; n += n < 20 ? 1 : size / 40) {
        ready(o);
        io_room = n;
        status = o->run();
        as_before(o, status, DRL_E_IO, "room of", n);
        ++disks;
    }
    ready(o);
    io_room = size;
    CHECK(o->run() == DRL_OK, "%s has just enough room: %s", o->name, drl_ctx_message(ctx));
    io_room = -1;
}

/* --- a block that is one byte short ---------------------------------------------------------------------------------------------------- */
/* Everything that can live in a caller's block, one on top of the other; how far it gets. */
static int stack_up(drl_ctx *c, drl_status *status)
{
    drl_model_desc d = desc_of(DRL_FORM_CDRL);
    drl_train_desc t = plan();
    drl_sample_desc how = how_of();
    drl_energy e = closed_energy();
    drl_sum_term term;
    drl_dataset source;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_sampler *s = NULL;
    drl_sum *sum = NULL;
    drl_mcmc_desc md = chains_of();
    drl_ais_desc ad = path_of();
    drl_mcmc *chains = NULL;
    drl_ais *path = NULL;
    drl_safetensors *st = NULL;
    drl_dataset *ds = NULL;
    drl_net *net = NULL;
    void *file = NULL;
    size_t size = 0, used;
    int stage = 0;
    memset(&term, 0, sizeof term);
    term.energy = e; term.weight = 1;
    memset(&source, 0, sizeof source);
    source.count = BATCH; source.height = source.width = SIDE; source.channels = 1; source.pixels = pixels;
    used = drl_ctx_bytes_used(c);
#define STAGE(call) if (*status == DRL_OK) { used = drl_ctx_bytes_used(c); *status = (call); ++stage; \
        if (*status != DRL_OK) CHECK(drl_ctx_bytes_used(c) == used && *status == DRL_E_MEMORY && drl_ctx_message(c)[0], "stage %d: %lu bytes more, %s", stage, (unsigned long)(drl_ctx_bytes_used(c) - used), drl_status_text(*status)); }
    *status = DRL_OK;
    STAGE(drl_net_create(c, build, NULL, NULL, &net))
    STAGE(drl_model_create(c, &d, 1, &m))
    STAGE(drl_trainer_create(m, &t, &tr))
    STAGE(drl_sampler_create(m, &how, &s))
    STAGE(drl_sum_create(c, &term, 1, &sum))
    STAGE(drl_mcmc_create(c, &e, &md, &chains))
    STAGE(drl_ais_create(c, &e, &ad, &path))
    STAGE(drl_safetensors_open_memory(c, model_file, model_size, &st))
    STAGE(drl_dataset_copy(c, &source, &ds))
    STAGE(drl_file_read(c, labels_path, &file, &size))
#undef STAGE
    if (*status == DRL_OK) CHECK(drl_trainer_step(tr, x0, label, NULL) == DRL_OK && drl_sampler_run(s, 1 << 30) == DRL_OK && drl_mcmc_run(chains, 4) == DRL_OK && drl_ais_run(path, 9) == DRL_OK, "in a block: %s", drl_ctx_message(c));
    drl_file_free(c, file);
    drl_dataset_destroy(ds);
    drl_safetensors_close(st);
    drl_ais_destroy(path);
    drl_mcmc_destroy(chains);
    drl_sum_destroy(sum);
    drl_sampler_destroy(s);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_net_destroy(net);
    return stage;
}

/* Sizes are found by halving: the smallest block in which `stages` objects have their place. One byte less, and the last one fails. */
static void short_blocks(void)
{
    static unsigned char memory[8 << 20];
    int stages, all = 10;
    size_t least = sizeof memory;
    for (stages = all; stages >= 0; --stages) {
        size_t low = 0, high = least, size;
        drl_status status = DRL_OK;
        drl_ctx_desc d;
        drl_ctx *c;
        int reached, is_short;
        while (high - low > 1) {
            size = low + (high - low) / 2;
            memset(&d, 0, sizeof d);
            d.memory = memory; d.memory_size = size;
            c = NULL;
            if (drl_ctx_create(&d, &c) != DRL_OK) { low = size; continue; }
            reached = stack_up(c, &status);
            if (status != DRL_OK) --reached;
            CHECK(drl_ctx_bytes_used(c) < 4096, "%lu bytes are still in use", (unsigned long)drl_ctx_bytes_used(c));
            drl_ctx_destroy(c);
            if (reached >= stages) high = size; else low = size;
        }
        least = high;
        for (is_short = 0; is_short < 2; ++is_short) {
            memset(&d, 0, sizeof d);
            d.memory = memory; d.memory_size = high - (size_t)is_short;
            c = NULL;
            status = drl_ctx_create(&d, &c);
            if (!stages) { CHECK(is_short ? status == DRL_E_MEMORY && !c : status == DRL_OK, "a context in %lu bytes, %d short: %s", (unsigned long)high, is_short, drl_status_text(status)); drl_ctx_destroy(c); continue; }
            reached = stack_up(c, &status);
            if (status != DRL_OK) --reached;
            CHECK(is_short ? reached == stages - 1 : reached >= stages, "%d objects in %lu bytes, %d short: %d have a place", stages, (unsigned long)high, is_short, reached);
            drl_ctx_destroy(c);
        }
    }
}

/* A description whose canary is not 0 was not zeroed, and every function that takes one says so. */
#define NOT_ZEROED(call) do { \
        CHECK((call) == DRL_E_ARGUMENT && strstr(drl_ctx_message(ctx), "was not zeroed"), \
              #call ": '%s'", drl_ctx_message(ctx)); \
        drl_ctx_clear(ctx); \
    } while (0)

static void named_layer(drl_net *net, void *layer)
{
    drl_net_spatial_sum(net, drl_net_conv2d(net, drl_net_input(net, SIDE, SIDE, 1), (drl_layer_desc *)layer), 1);
}

static void canaries(void)
{
    drl_energy e = drl_model_energy(model);
    drl_ctx_desc cd = { 0 };
    drl_conv2d_desc conv = { 0 };
    drl_safetensors_desc tensors = { 0 };
    static drl_dataset_desc images;             /* a zeroed one, in C++ as well */
    drl_layer_desc layer = { 0 };
    drl_net_desc nd = { 0 };
    drl_sample_desc how = how_of();
    drl_model_desc md = desc_of(DRL_FORM_CDRL);
    drl_train_desc td = plan();
    drl_run_desc run = { 0 };
    drl_mcmc_desc chains = chains_of();
    drl_ais_desc path = path_of();
    drl_blob blob = { "not read", 8 };
    drl_tensor x = drl_tensor_of(made.out, 1, 1, 1, 1);
    drl_ctx *c = NULL;
    drl_net *net = NULL;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_sampler *s = NULL;
    drl_dataset *ds = NULL;
    size_t size = 0;
    cd.canary = tensors.canary = images.canary = layer.canary = nd.canary = 1;
    conv.canary = how.canary = md.canary = td.canary = run.canary = chains.canary = path.canary = -1;
    conv.in_channels = conv.out_channels = layer.out_channels = 1;
    conv.kernel = 1;
    layer.name = "c";
    CHECK(drl_ctx_create(&cd, &c) == DRL_E_ARGUMENT, "a context");
    CHECK(!drl_conv2d_packed_count(ctx, &conv, 0) && !drl_conv2d_work_count(ctx, &conv, 1, 1, 1), "sizes");
    NOT_ZEROED(drl_conv2d_forward(ctx, &conv, &x, made.out, NULL, &x, made.out));
    NOT_ZEROED(drl_safetensors_write_memory(ctx, &tensors, NULL, 0, &size));
    NOT_ZEROED(drl_dataset_parse(ctx, &blob, 1, &images, &ds));
    NOT_ZEROED(drl_net_create(ctx, named_layer, &layer, NULL, &net));
    NOT_ZEROED(drl_net_create(ctx, build, NULL, &nd, &net));
    NOT_ZEROED(drl_sampler_create(model, &how, &s));
    NOT_ZEROED(drl_model_create(ctx, &md, 1, &m));
    NOT_ZEROED(drl_model_size(ctx, &md, &size));
    NOT_ZEROED(drl_model_load_memory(ctx, model_file, model_size, &md, &m));
    NOT_ZEROED(drl_trainer_create(model, &td, &tr));
    NOT_ZEROED(drl_train(trainer, NULL, &run));
    NOT_ZEROED(drl_mcmc_create(ctx, &e, &chains, &mcmc));
    NOT_ZEROED(drl_ais_create(ctx, &e, &path, &ais));
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    drl_model_desc d = desc_of(DRL_FORM_CDRL);
    drl_train_desc t = plan();
    drl_sample_desc how = how_of();
    unsigned char idx[16 + BATCH * IMAGE] = { 0, 0, 8, 3 };
    size_t i;
    int k;
    for (i = 0; i < BATCH * IMAGE; ++i) { x0[i] = i % 3 ? -0.5f : 0.75f; pixels[i] = (uint8_t)(i % 2); idx[16 + i] = (unsigned char)(i * 3); }
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    if (!ctx) return 3;
    model_path = text(check_path("test_failure.model"));
    checkpoint_path = text(check_path("test_failure.checkpoint"));
    images_path = text(check_path("test_failure.images"));
    labels_path = text(check_path("test_failure.labels"));
    out_path = text(check_path("test_failure.out"));
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
    idx[7] = BATCH; idx[11] = idx[15] = SIDE;
    CHECK_OK(ctx, drl_file_write(ctx, images_path, idx, sizeof idx));
    memset(idx, 0, sizeof idx);
    idx[2] = 8; idx[3] = 1; idx[7] = BATCH; idx[9] = 1;
    CHECK_OK(ctx, drl_file_write(ctx, labels_path, idx, 8 + BATCH));
    CHECK_OK(ctx, drl_model_load_weights(model, weights));
    {
        drl_mcmc_desc md = chains_of();
        drl_ais_desc ad = path_of();
        drl_energy e = drl_model_energy(model);
        CHECK_OK(ctx, drl_mcmc_create(ctx, &e, &md, &mcmc));
        CHECK_OK(ctx, drl_ais_create(ctx, &e, &ad, &ais));
    }
    for (i = 0; i < sizeof operations / sizeof operations[0]; ++i) if (check_begin(operations[i].name)) {
        no_memory(&operations[i]);
        no_file(&operations[i]);
        check_end(operations[i].name);
    }
    PART(short_blocks());
    PART(canaries());
    printf("%ld allocations and %ld calls to files failed, %ld disks were full, in %d operations\n", allocations, calls_failed, disks, (int)(sizeof operations / sizeof operations[0]));
    drl_safetensors_close(weights);
    drl_ais_destroy(ais);
    drl_mcmc_destroy(mcmc);
    drl_sampler_destroy(sampler);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
    free(model_file);
    remove(model_path); remove(checkpoint_path); remove(images_path); remove(labels_path); remove(out_path);
    free(model_path); free(checkpoint_path); free(images_path); free(labels_path); free(out_path);
    return check_report("test_failure");
}
