/* fuzz.c - hostile files, one harness for all readers: safetensors, models, checkpoints, NPY, IDX, data sets,
 * vectors, states of samplers and of chains.
 *
 *     clang -g -O1 -DFUZZ -fsanitize=fuzzer,address,undefined tests/fuzz.c -o fuzz -lm
 *     ./fuzz --mode=model CORPUS      libFuzzer, with a mutator that keeps headers of safetensors plausible
 *
 *     cc -g tests/fuzz.c -o fuzz -lm  plain replay, with any compiler
 *     ./fuzz --seeds DIR              writes DIR/MODE/good-*, good files, and DIR/MODE/bad-*, a file for each
 *                                     known class of bugs in readers
 *     ./fuzz DIR/...                  replays files. The folder's name is the mode; good-* must be accepted,
 *                                     bad-* refused
 *
 * Whatever the bytes are: nothing crashes and nothing leaks. A failure has a status and a sentence, and
 * changes nothing. Refusing a file asks for memory in proportion to it: at most MEMORY_TIMES its size +
 * MEMORY_MORE bytes. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The library reads files from memory here: whatever the path, it holds these bytes. */
static const unsigned char *file_data = NULL;
static size_t file_size = 0, file_at = 0;

static FILE *file_open(const char *path, const char *mode)
{
    (void)path;
    (void)mode;
    file_at = 0;
    return stdin;
}
static int file_close(FILE *file)
{
    (void)file;
    return 0;
}
static size_t file_read(void *to, size_t n)
{
    size_t k = file_size - file_at < n ? file_size - file_at : n;
    if (k) memcpy(to, file_data + file_at, k);
    file_at += k;
    return k;
}
#define DRL__FOPEN(path, mode)      file_open(path, mode)
#define DRL__FREAD(data, n, file)   file_read(data, n)
#define DRL__FCLOSE(file)           file_close(file)
#define DRL__STAT(path, info)       file_stat(path, info)
static int file_stat(const char *path, struct stat *info)
{
    (void)path;
    memset(info, 0, sizeof *info);
    info->st_mode = S_IFREG;
    info->st_size = (off_t)file_size;
    return 0;
}

#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "states.h"

#define MEMORY_TIMES 8
#define MEMORY_MORE  32768
#define MEMORY_MOST  (64u << 20)    /* what a file that is accepted may take; the allocator gives no more */

/* What must hold; a debugger and the fuzzer see an abort. */
#define MUST(condition, ...)                                                \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: FAILED %s: ", __FILE__, __LINE__, #condition);   \
            printf(__VA_ARGS__);                                            \
            printf("\n");                                                   \
            fflush(stdout);                                                 \
            abort();                                                        \
        }                                                                   \
    } while (0)

static size_t heap_now = 0;         /* bytes held */
static size_t heap_asked = 0;       /* the most bytes held, or asked for on top of what was held */
static void *heap_alloc(void *user, size_t n)
{
    void *p;
    (void)user;
    if (n > SIZE_MAX - heap_now || heap_now + n > heap_asked)
        heap_asked = n > SIZE_MAX - heap_now ? SIZE_MAX : heap_now + n;
    if (n > MEMORY_MOST || heap_now + n > MEMORY_MOST) return NULL;
    p = malloc(n ? n : 1);
    if (p) heap_now += n;
    return p;
}
static void heap_free(void *user, void *p, size_t n)
{
    (void)user;
    if (p) heap_now -= n;
    free(p);
}

enum { SAFETENSORS, MODEL, CHECKPOINT, NPY, IDX, CIFAR, STATE, CHAINS, IMAGES, VECTORS, MODES };
static const char *const mode_name[MODES] = { "safetensors", "model", "checkpoint", "npy", "idx", "cifar",
                                             "state", "chains", "images", "vectors" };

static drl_ctx *ctx = NULL;
static drl_model *model = NULL;                 /* of checkpoints */
static drl_trainer *trainer = NULL;
static drl_sampler *sampler = NULL;             /* of states */
static drl_mcmc *chains = NULL;
static drl_energy energy;
static double schedule_memory[4 * 5];
static drl_schedule schedule;
static drl_mixture mixture;
static const double mix[5] = { 1.0, 0.25, -0.5, 0.1, 0.2 };     /* weight, mean, variance */
static size_t refused_most = 0;     /* of all refused files, the most memory over the size, in thousandths */

static drl_model_desc tiny(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = 2;
    d.base = 4;
    d.resolutions = 2;
    d.mult[0] = d.mult[1] = 1;
    d.levels = 2;
    d.steps = 2;
    d.batch = 2;
    d.trainable = 1;
    return d;
}

/* Any one change of a word changes the hash. The objects under test have one, to see whether a refused file
 * has changed them. */
static uint32_t hash(uint32_t h, const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    uint32_t word;
    for (; n >= 4; n -= 4, b += 4) {
        memcpy(&word, b, 4);
        h = (h ^ word) * 16777619u;
    }
    while (n--) h = (h ^ *b++) * 16777619u;
    return h;
}

static uint32_t trainer_hash(void)
{
    uint32_t h = 2166136261u;
    int i;
    for (i = 0; i < trainer->parts; ++i) {
        drl__part *p = &trainer->part[i];
        h = hash(h, p->net->params, p->params * sizeof(float));
        h = hash(h, p->ema, p->params * sizeof(float));
        h = hash(h, p->adam_m, p->params * sizeof(float));
        h = hash(h, p->adam_v, p->params * sizeof(float));
        h = hash(h, p->net->state, p->state * sizeof(float));
    }
    h = hash(h, trainer->level, (size_t)model->desc.levels * sizeof *trainer->level);
    h = hash(h, &trainer->now.step, sizeof trainer->now.step);
    h = hash(h, &trainer->now.rollbacks, sizeof trainer->now.rollbacks);
    return hash(h, &trainer->now.rate_scale, 5 * sizeof(double));
}

static uint32_t sampler_hash(void)
{
    saved_state now = state_of_sampler(sampler);
    uint32_t h = hash(2166136261u, now.bytes, now.size);
    state_free(&now);
    return h;
}

static uint32_t chains_hash(void)
{
    saved_state now = state_of_chains(chains);
    uint32_t h = hash(2166136261u, now.bytes, now.size);
    state_free(&now);
    h = hash(h, chains->f, 2 * sizeof *chains->f);
    return hash(h, chains->gradient, 4 * sizeof *chains->gradient);
}

static void new_trainer(void)
{
    drl_model_desc d = tiny();
    drl_train_desc t;
    memset(&t, 0, sizeof t);
    t.batch = 2;
    t.seed = 5;
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    MUST(drl_model_create(ctx, &d, 1, &model) == DRL_OK && drl_trainer_create(model, &t, &trainer) == DRL_OK,
         "%s", drl_ctx_message(ctx));
}

static void new_sampler(void)
{
    static const int again[2] = { 2, 1 };
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = 2;
    how.seed = 7;
    how.steps = 3;
    how.resample_from = again;
    how.resample_count = 2;
    drl_sampler_destroy(sampler);
    MUST(drl_sampler_create_energy(ctx, &energy, &schedule, &how, &sampler) == DRL_OK, "%s",
         drl_ctx_message(ctx));
}

static void new_chains(void)
{
    drl_mcmc_desc d;
    memset(&d, 0, sizeof d);
    d.count = 2;
    d.seed = 8;
    d.kernel = DRL_MCMC_HMC;
    d.leapfrog = 2;
    d.level = 1;
    d.schedule = &schedule;
    d.warmup = 4;
    drl_mcmc_destroy(chains);
    MUST(drl_mcmc_create(ctx, &energy, &d, &chains) == DRL_OK, "%s", drl_ctx_message(ctx));
}

static void setup(void)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = heap_alloc;
    d.allocator.free_fn = heap_free;
    MUST(drl_ctx_create(&d, &ctx) == DRL_OK, "no context");
    new_trainer();
    MUST(drl__schedule_drl(4, schedule_memory, &schedule) == DRL_OK, "schedule");
    mixture.schedule = &schedule;
    mixture.size = 2;
    mixture.components = 1;
    mixture.weight = mix;
    mixture.mean = mix + 1;
    mixture.variance = mix + 3;
    energy = drl_mixture_energy(&mixture);
    new_sampler();
    new_chains();
}

/* Reads every byte of an array, and converts it where it is small. */
static unsigned sum_array(const drl_array *a)
{
    static float to[4096];
    const unsigned char *p = (const unsigned char *)a->data;
    size_t i, n = drl_array_count(a);
    unsigned s = 0;
    MUST(a->bytes == n * drl__dtype_bytes(a->dtype),
         "%u elements, %u bytes", (unsigned)n, (unsigned)a->bytes);
    for (i = 0; i < a->bytes; ++i) s += p[i];
    if (n <= 4096) MUST(drl_array_to_float(ctx, a, to) == DRL_OK, "%s", drl_ctx_message(ctx));
    if (drl_array_floats(a) && n) s += drl_array_floats(a)[n - 1] > 0;
    return s;
}

static volatile unsigned sink;          /* keeps what is only read */

/* What is accepted can be written again, and is read as the same arrays and metadata. */
static drl_status fuzz_safetensors(const unsigned char *data, size_t size)
{
    drl_safetensors *st = NULL, *again = NULL;
    drl_status status = drl_safetensors_open_memory(ctx, data, size, &st);
    const drl_safetensors_desc *d;
    unsigned char *copy;
    size_t i, bytes = 0, written = 0;
    if (status != DRL_OK) {
        MUST(!st, "a result in spite of failure");
        return status;
    }
    d = drl_safetensors_contents(st);
    for (i = 0; i < d->count; ++i) {
        sink += sum_array(&d->arrays[i]);
        MUST(drl_safetensors_find(st, d->arrays[i].name) == &d->arrays[i],
             "'%s' is not found", d->arrays[i].name);
    }
    for (i = 0; i < d->meta_count; ++i)
        MUST(drl__safetensors_meta(st, d->meta[2 * i]) == d->meta[2 * i + 1], "meta %u", (unsigned)i);
    MUST(drl_safetensors_write_memory(ctx, d, NULL, 0, &bytes) == DRL_OK, "%s", drl_ctx_message(ctx));
    copy = (unsigned char *)malloc(bytes);
    MUST(copy && drl_safetensors_write_memory(ctx, d, copy, bytes, &written) == DRL_OK && written == bytes,
         "%s", drl_ctx_message(ctx));
    MUST(drl_safetensors_open_memory(ctx, copy, bytes, &again) == DRL_OK, "%s", drl_ctx_message(ctx));
    MUST(drl_safetensors_contents(again)->count == d->count, "the number of arrays has changed");
    for (i = 0; i < d->count; ++i) {
        const drl_array *a = &d->arrays[i], *b = drl_safetensors_find(again, a->name);
        MUST(b && b->bytes == a->bytes && b->rank == a->rank && b->dtype == a->dtype,
             "'%s' has changed", a->name);
    }
    drl_safetensors_close(again);
    free(copy);
    drl_safetensors_close(st);
    return DRL_OK;
}

/* Samples from a small model, or has a sentence that says why not. */
static void sample_from(drl_model *m, const drl_model_desc *d)
{
    size_t n = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    float *pixels = (float *)malloc(n * sizeof *pixels);
    drl_sample_desc how;
    drl_sampler *s = NULL;
    drl_status status;
    memset(&how, 0, sizeof how);
    status = drl_sampler_create(m, &how, &s);
    MUST(pixels && (status == DRL_OK || drl_ctx_message(ctx)[0]), "sampler");
    if (status == DRL_OK) {
        status = drl_sampler_run(s, 2);
        MUST(status == DRL_OK || status == DRL_RUNNING || status == DRL_E_NUMERIC,
             "status %d: %s", (int)status, drl_ctx_message(ctx));
        MUST(drl_sampler_image(s, 0, pixels) == DRL_OK, "image");
    }
    drl_sampler_destroy(s);
    free(pixels);
    drl_ctx_clear(ctx);
}

/* What is accepted samples, or fails with a status; it can be saved and loaded again. */
static drl_status fuzz_model(const unsigned char *data, size_t size)
{
    drl_model_desc use, d;
    drl_model *m = NULL, *again = NULL;
    drl_status status;
    size_t bytes = 0, written = 0;
    unsigned char *copy;
    memset(&use, 0, sizeof use);
    use.batch = 1;
    status = drl_model_load_memory(ctx, data, size, &use, &m);
    if (status != DRL_OK) {
        MUST(!m, "a result in spite of failure");
        return status;
    }
    MUST(drl_model_describe(m, &d) == DRL_OK && d.batch == 1, "describe");
    if ((double)d.height * d.width * d.channels * d.base <= 4096) sample_from(m, &d);
    MUST(drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &bytes) == DRL_OK, "%s", drl_ctx_message(ctx));
    copy = (unsigned char *)malloc(bytes);
    MUST(copy && drl_model_save_memory(m, DRL_DTYPE_F32, copy, bytes, &written) == DRL_OK &&
         written == bytes, "%s", drl_ctx_message(ctx));
    drl_model_destroy(m);
    MUST(drl_model_load_memory(ctx, copy, bytes, &use, &again) == DRL_OK, "%s", drl_ctx_message(ctx));
    drl_model_destroy(again);
    free(copy);
    return DRL_OK;
}

/* The descriptions are read, then the trainer resumes. What is accepted trains or says why not, and can be
 * rolled back. */
static drl_status fuzz_checkpoint(const unsigned char *data, size_t size)
{
    static const float x0[2 * 4] = { -1, 1, -1, 1, 1, 1, -1, -1 };
    drl_model_desc md;
    drl_train_desc td;
    drl_status status;
    uint32_t before = trainer_hash();
    int i;
    file_data = data;
    file_size = size;
    status = drl_checkpoint_describe(ctx, "checkpoint", &md, &td);
    MUST(status == DRL_OK || drl_ctx_message(ctx)[0], "status %d without a sentence", (int)status);
    drl_ctx_clear(ctx);
    status = drl_trainer_resume(trainer, "checkpoint");
    if (status != DRL_OK) {
        MUST(trainer_hash() == before, "a refused checkpoint has changed the trainer");
        return status;
    }
    for (i = 0; i < 2; ++i) {
        drl_status step = drl_trainer_step(trainer, x0, NULL, NULL);
        MUST(step == DRL_OK || (step == DRL_E_DIVERGED && drl_ctx_message(ctx)[0]),
             "status %d: %s", (int)step, drl_ctx_message(ctx));
        drl_ctx_clear(ctx);
        MUST(drl_trainer_rollback(trainer) == DRL_OK, "%s", drl_ctx_message(ctx));
    }
    for (i = 0; i < 2; ++i)
        MUST(drl_trainer_swap_average(trainer) == DRL_OK, "%s", drl_ctx_message(ctx));
    new_trainer();
    return DRL_OK;
}

/* What is accepted is a view of the end of the file, and can be written and read again. */
static drl_status fuzz_array(const unsigned char *data, size_t size, int mode)
{
    drl_array a, again;
    drl_status status;
    memset(&a, 0x5A, sizeof a);
    again = a;
    status = mode == NPY ? drl_npy_parse(ctx, data, size, &a) : drl__idx_open(ctx, "IDX", data, size, &a);
    if (status != DRL_OK) {
        MUST(!memcmp(&a, &again, sizeof a), "a result in spite of failure");
        return status;
    }
    MUST((const unsigned char *)a.data >= data && a.bytes <= size &&
             (const unsigned char *)a.data + a.bytes == data + size,
         "a view of something else");
    sink += sum_array(&a);
    if (a.dtype != DRL_DTYPE_BF16) {
        size_t bytes = 0, written = 0;
        unsigned char *copy;
        MUST(drl_npy_write_memory(ctx, &a, NULL, 0, &bytes) == DRL_OK, "%s", drl_ctx_message(ctx));
        copy = (unsigned char *)malloc(bytes);
        MUST(copy && drl_npy_write_memory(ctx, &a, copy, bytes, &written) == DRL_OK && written == bytes, "%s",
             drl_ctx_message(ctx));
        MUST(drl_npy_parse(ctx, copy, bytes, &again) == DRL_OK && again.rank == a.rank &&
                 again.bytes == a.bytes && again.dtype == a.dtype,
             "%s", drl_ctx_message(ctx));
        free(copy);
    }
    return DRL_OK;
}

static void use_dataset(drl_dataset *ds)
{
    drl_rng rng;
    int label[2];
    drl_dataset *copy = NULL;
    memset(&rng, 0, sizeof rng);
    if (ds->height <= 64 && ds->width <= 64) {
        static float out[2 * 64 * 64 * 4];
        MUST(drl_dataset_batch(ctx, ds, &rng, 2, 64, 64, out, ds->labels ? label : NULL) == DRL_OK, "%s",
             drl_ctx_message(ctx));
    }
    MUST(drl_dataset_copy(ctx, ds, &copy) == DRL_OK, "%s", drl_ctx_message(ctx));
    drl_dataset_destroy(copy);
    drl_dataset_destroy(ds);
}

/* The file alone, and cut into two files. */
static drl_status fuzz_cifar(const unsigned char *data, size_t size)
{
    drl_dataset *ds = NULL;
    drl_blob blob[2];
    drl_status status;
    blob[0].data = data;
    blob[0].bytes = size / 2;
    blob[1].data = data + size / 2;
    blob[1].bytes = size - size / 2;
    if (drl_dataset_parse(ctx, blob, 2, NULL, &ds) == DRL_OK) use_dataset(ds);
    else MUST(!ds && drl_ctx_message(ctx)[0], "failure without a sentence");
    drl_ctx_clear(ctx);
    blob[0].bytes = size;
    ds = NULL;
    status = drl_dataset_parse(ctx, blob, 1, NULL, &ds);
    if (status != DRL_OK) {
        MUST(!ds, "a result in spite of failure");
        return status;
    }
    use_dataset(ds);
    return DRL_OK;
}

/* Eight bytes are the description: layout (2 bits) with the height and width of tiles (3 bits each), height,
 * width, channels, range, coarse labels (1 bit) with classes of the files (1 bit), and how many bytes at the
 * end are a second file. What is accepted has these sizes, values in [-1, 1], no colour under alpha 0, and no
 * tile of nothing. */
static drl_status fuzz_images(const unsigned char *data, size_t size)
{
    static const double ranges[][2] = { { 0, 0 }, { 0, 1 }, { -1, 1 }, { 0, 255 }, { -1e308, 1e308 },
                                       { 1, 0 }, { 1e-300, 2e-300 }, { -3e9, 3e9 } };
    static const int classes[2] = { 255, 7 };
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    drl_blob blob[2];
    drl_status status;
    size_t second, n, i, c, each, seen = 0;
    if (size < 8) return DRL_OK;
    memset(&d, 0, sizeof d);
    d.layout = (drl_layout)(data[0] & 3);
    d.height = (signed char)data[1];
    d.width = (signed char)data[2];
    d.channels = (signed char)data[3];
    d.low = ranges[data[4] & 7][0];
    d.high = ranges[data[4] & 7][1];
    d.tile_height = data[0] >> 2 & 7;
    d.tile_width = data[0] >> 5;
    d.coarse_labels = data[5] & 1;
    if (data[5] & 2) d.classes = classes;
    second = (size_t)(data[6] | data[7] << 8);
    if (second > size - 8) second = size - 8;
    blob[0].data = data + 8;
    blob[0].bytes = size - 8 - second;
    blob[1].data = data + size - second;
    blob[1].bytes = second;
    status = drl_dataset_parse(ctx, blob, second ? 2 : 1, &d, &ds);
    if (status != DRL_OK) {
        MUST(!ds, "a result in spite of failure");
        return status;
    }
    if (d.tile_height) {
        d.height = d.tile_height;
        d.width = d.tile_width;
    }
    MUST((!d.height || ds->height == d.height) && (!d.width || ds->width == d.width) &&
         (!d.channels || ds->channels == d.channels), "sizes");
    if (d.classes) MUST(ds->labels && ds->labels[0] && ds->classes >= ds->labels[0], "labels");
    MUST(!ds->pixels != !ds->values && ds->count > 0 && ds->channels >= 1 &&
         ds->channels <= 4, "%d images", ds->count);
    c = (size_t)ds->channels;
    each = (size_t)ds->height * (size_t)ds->width * c;
    n = (size_t)ds->count * each;
    for (i = 0; i < n; ++i) {
        size_t alpha = i / c * c + c - 1;
        if (ds->values) MUST(ds->values[i] >= -1.0f && ds->values[i] <= 1.0f, "%g", (double)ds->values[i]);
        if (c % 2) continue;
        if (ds->values) MUST(ds->values[alpha] > -1.0f || ds->values[i] <= -1.0f, "colour under alpha 0");
        else MUST(ds->pixels[alpha] || !ds->pixels[i], "colour under alpha 0");
        seen = (i % each ? seen : 0) + (ds->values ? ds->values[alpha] > -1.0f : ds->pixels[alpha] > 0);
        if (d.tile_height && ds->pixels && i % each == each - 1) MUST(seen, "a tile of nothing");
    }
    use_dataset(ds);
    return DRL_OK;
}

/* The first byte is the description: which mean and deviation, and the last four bits the size. What is
 * accepted is finite and has these rows, and numbers come back from values. */
static drl_status fuzz_vectors(const unsigned char *data, size_t size)
{
    static const double mean[16] = { 1, -1e9, 1e300 }, deviation[16] = { 1, 1e-3, 1e-300, 2, 1, 1, 1, 1,
                                                                        1, 1, 1, 1, 1, 1, 1, 1 };
    drl_vectors_desc d;
    drl_vectors *v = NULL;
    drl_blob blob[2];
    drl_rng rng;
    drl_status status;
    size_t n, i;
    if (size < 1) return DRL_OK;
    memset(&d, 0, sizeof d);
    memset(&rng, 0, sizeof rng);
    d.size = data[0] & 15;
    d.normal = (drl_normal)(data[0] >> 4 & 3);
    if (data[0] & 64) d.mean = mean;
    if (data[0] & 128) d.deviation = deviation;
    blob[0].data = data + 1;
    blob[0].bytes = (size - 1) / 2;
    blob[1].data = data + 1 + blob[0].bytes;
    blob[1].bytes = size - 1 - blob[0].bytes;
    if (drl_vectors_parse(ctx, blob, 2, &d, &v) != DRL_OK)
        MUST(!v && drl_ctx_message(ctx)[0], "failure without a sentence");
    drl_vectors_destroy(v);
    drl_ctx_clear(ctx);
    v = NULL;
    blob[0].bytes = size - 1;
    status = drl_vectors_parse(ctx, blob, 1, &d, &v);
    if (status != DRL_OK) {
        MUST(!v, "a result in spite of failure");
        return status;
    }
    MUST(v->count > 0 && v->size > 0 && (!d.size || v->size == d.size), "%d x %d", v->count, v->size);
    n = (size_t)v->count * (size_t)v->size;
    for (i = 0; i < n; ++i) {
        size_t k = i % (size_t)v->size;
        MUST(drl__finite((double)v->values[i]) && drl__finite(v->mean[k]) && v->deviation[k] > 0 &&
             drl__finite(v->deviation[k]), "%g", (double)v->values[i]);
        if (!d.mean && d.normal == DRL_NORMAL_COLUMNS)
            MUST(fabs((double)v->values[i]) <= 1.001 * sqrt((double)v->count), "%g of %d rows",
                 (double)v->values[i], v->count);
    }
    if (v->size <= 4096) {
        static float out[2 * 4096];
        MUST(drl_vectors_batch(ctx, v, &rng, 2, out) == DRL_OK, "%s", drl_ctx_message(ctx));
    }
    drl_vectors_destroy(v);
    return DRL_OK;
}

static drl_status fuzz_state(const unsigned char *data, size_t size)
{
    uint32_t before = sampler_hash();
    drl_status status = drl_sampler_restore(sampler, data, size), run;
    if (status != DRL_OK) {
        MUST(sampler_hash() == before, "a refused state has changed the sampler");
        return status;
    }
    run = drl_sampler_run(sampler, 2);
    MUST(run == DRL_OK || run == DRL_RUNNING || run == DRL_E_NUMERIC, "status %d: %s", (int)run,
         drl_ctx_message(ctx));
    drl_ctx_clear(ctx);
    new_sampler();
    return DRL_OK;
}

static drl_status fuzz_chains(const unsigned char *data, size_t size)
{
    uint32_t before = chains_hash();
    drl_status status = drl_mcmc_restore(chains, data, size), run;
    drl_mcmc_report report;
    if (status != DRL_OK) {
        MUST(chains_hash() == before, "a refused state has changed the chains");
        return status;
    }
    run = drl_mcmc_run(chains, 3);
    MUST(drl_mcmc_look(chains, &report) == DRL_OK, "%s", drl_ctx_message(ctx));
    MUST(run == DRL_OK || run == DRL_E_NUMERIC || (run == DRL_E_ARGUMENT && report.step > 0x7ffffffe - 3),
         "status %d at step %d: %s", (int)run, report.step, drl_ctx_message(ctx));
    MUST(report.step_size > 0 && report.accept >= 0 && report.accept <= 1, "step size %g, accepted %g",
         report.step_size, report.accept);
    drl_ctx_clear(ctx);
    new_chains();
    return DRL_OK;
}

/* One file, in a block that ends where it ends. Returns its status. */
static drl_status fuzz_one(int mode, const unsigned char *bytes, size_t size)
{
    static const unsigned char nothing[1] = { 0 };
    unsigned char *copy = NULL;
    const unsigned char *data = nothing;
    drl_status status = DRL_OK;
    size_t before, most;
    if (!ctx) setup();
    if (size) {
        copy = (unsigned char *)malloc(size);
        MUST(copy, "memory");
        memcpy(copy, bytes, size);
        data = copy;
    }
    drl_ctx_clear(ctx);
    before = heap_asked = heap_now;
    switch (mode) {
    case SAFETENSORS: status = fuzz_safetensors(data, size); break;
    case MODEL: status = fuzz_model(data, size); break;
    case CHECKPOINT: status = fuzz_checkpoint(data, size); break;
    case NPY: case IDX: status = fuzz_array(data, size, mode); break;
    case CIFAR: status = fuzz_cifar(data, size); break;
    case IMAGES: status = fuzz_images(data, size); break;
    case VECTORS: status = fuzz_vectors(data, size); break;
    case STATE: status = fuzz_state(data, size); break;
    default: status = fuzz_chains(data, size); break;
    }
    MUST(heap_now == before, "%u bytes leak", (unsigned)(heap_now - before));
    if (status != DRL_OK) {
        MUST(drl_ctx_message(ctx)[0] && drl_ctx_status(ctx) == status, "status %d without a sentence",
             (int)status);
        most = heap_asked - before;
        if (status == DRL_E_MEMORY)
            MUST(mode == MODEL, "out of memory for %u bytes: %s", (unsigned)size, drl_ctx_message(ctx));
        else {
            MUST(most <= MEMORY_TIMES * size + MEMORY_MORE,
                 "refusing %u bytes took %u: %s", (unsigned)size, (unsigned)most, drl_ctx_message(ctx));
            if (size >= 256 && most * 1000 / size > refused_most) refused_most = most * 1000 / size;
        }
    }
    free(copy);
    return status;
}

/* --- fuzzing -------------------------------------------------------------------------------------------- */
#ifdef FUZZ
static int fuzz_mode = SAFETENSORS;
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int i, m;
    for (i = 1; i < *argc; ++i)
        if (!strncmp((*argv)[i], "--mode=", 7))
            for (m = 0; m < MODES; ++m) if (!strcmp((*argv)[i] + 7, mode_name[m])) fuzz_mode = m;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_one(fuzz_mode, data, size);
    return 0;
}

static uint32_t mutate_state;
static uint32_t pick(uint32_t n)
{
    mutate_state = mutate_state * 1664525u + 1013904223u;
    return (mutate_state >> 8) % n;
}

/* Replaces data[at .. at + old) by n new bytes. Returns the new size, or 0 if that does not fit. */
static size_t splice(uint8_t *data, size_t size, size_t most, size_t at, size_t old, const void *with,
                     size_t n)
{
    if (size - old + n > most) return 0;
    memmove(data + at + n, data + at + old, size - at - old);
    memcpy(data + at, with, n);
    return size - old + n;
}

static const char *const words[] = {
    "0", "1", "-1", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807",
    "18446744073709551615", "18446744073709551616",                             /* ten numbers */
    "00", "1.0", "1e3", "[", "]", "{", "}", "[]", "{}", "null", "true", "\"\"",
    "\"F32\"", "\"F64\"", "\"BF16\"", "\"I8\"", "\"BOOL\"",
    "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"",
    "\\u0000", "\\ud800", "\\\"", "\xc0\x80", ",", ":",
    "\"drl.model\"", "form=1", "initializer=32", "levels=500", "height=4096", "batch=2147483647",
    "resolutions=8", "blocks=4096", "level=-1", "step=1", "steps_done=2147483646", "eps=0",
    "x7ff0000000000000", "x7ff8000000000000", "e22", " "
};
static const char *const npy_words[] = {
    "'descr'", "'fortran_order'", "'shape'", "'<f4'", "'>i8'", "'|u1'", "True", "False",
    "()", "(0,)", "(1,)", "(,)", "99999999999", ","
};

/* Changes of a header, which lies in data[8 .. *end). Each returns the new size and moves *end, or returns 0
 * if it finds nothing to change. This one lets libFuzzer change the text. */
static size_t change_text(uint8_t *data, size_t size, size_t most, size_t *end)
{
    size_t length = *end - 8, k, n;
    uint8_t *copy = (uint8_t *)malloc(length + 256);
    if (!copy) return 0;
    memcpy(copy, data + 8, length);
    k = LLVMFuzzerMutate(copy, length, length + 256);
    n = splice(data, size, most, 8, length, copy, k);
    if (n) *end = 8 + k;
    free(copy);
    return n;
}

/* A number becomes another one, close or far. */
static size_t change_number(uint8_t *data, size_t size, size_t most, size_t *end)
{
    size_t digits = 0, at, k, n;
    char text[32];
    for (at = 8 + pick((uint32_t)(*end - 8)); at < *end && (data[at] < '0' || data[at] > '9'); ++at) { }
    while (at > 8 && data[at - 1] >= '0' && data[at - 1] <= '9') --at;
    while (at + digits < *end && data[at + digits] >= '0' && data[at + digits] <= '9' && digits < 20) {
        text[digits] = (char)data[at + digits];
        ++digits;
    }
    if (!digits) return 0;
    text[digits] = 0;
    if (pick(2)) k = (size_t)snprintf(text, sizeof text, "%s", words[pick(10)]);
    else k = (size_t)snprintf(text, sizeof text, "%llu",
                              strtoull(text, NULL, 10) * (1 + pick(3)) + pick(5) - 2);
    n = splice(data, size, most, at, digits, text, k);
    if (n) *end = *end - digits + k;
    return n;
}

/* A word stands somewhere, over other text or between it. */
static size_t change_word(uint8_t *data, size_t size, size_t most, size_t *end)
{
    const char *word = words[pick((uint32_t)(sizeof words / sizeof words[0]))];
    size_t at = 8 + pick((uint32_t)(*end - 8)), old = pick(2) ? 0 : strlen(word), n;
    if (at + old > *end) old = 0;
    n = splice(data, size, most, at, old, word, strlen(word));
    if (n) *end = *end - old + strlen(word);
    return n;
}

/* An entry "name":{...} goes, comes twice, or moves. */
static size_t change_entry(uint8_t *data, size_t size, size_t most, size_t *end)
{
    size_t at = 8 + pick((uint32_t)(*end - 8)), stop, n;
    uint8_t entry[512];
    while (at > 8 && data[at] != ',') --at;
    for (stop = at; stop < *end && data[stop] != '}'; ++stop) { }
    if (stop < *end) ++stop;
    if (stop - at > sizeof entry || stop <= at) return 0;
    memcpy(entry, data + at, stop - at);
    if (pick(2)) {
        n = splice(data, size, most, at, stop - at, "", 0);
        if (n) *end -= stop - at;
    } else {
        n = splice(data, size, most, pick(2) ? at : *end - 1, 0, entry, stop - at);
        if (n) *end += stop - at;
    }
    return n;
}

/* The data behind the header become longer or shorter. */
static size_t change_data(uint8_t *data, size_t size, size_t most, size_t end)
{
    size_t room = most - size < 64 ? most - size : 64, k = pick(64);
    if (!pick(2) || !room) return size - (k < size - end ? k : size - end);
    memset(data + size, 0x40, room);
    return size + (k < room ? k : room);
}

/* A word of NPY stands somewhere in the header, over other text or between it. */
static size_t change_npy(uint8_t *data, size_t size, size_t most)
{
    size_t from = fuzz_mode == NPY ? 10 : 18, old = 0;
    size_t end = (size_t)(data[from - 2] | data[from - 1] << 8) + from;
    const char *word;
    if (end > size) end = size;
    from += pick((uint32_t)(end - from) + 1);
    word = npy_words[pick((uint32_t)(sizeof npy_words / sizeof npy_words[0]))];
    if (pick(2) && from + strlen(word) <= end) old = strlen(word);
    return splice(data, size, most, from, old, word, strlen(word));
}

/* A safetensors file is changed in its header, part by part, and the length in front of it is nearly always
 * put right. NPY files are changed in the text of their header or anywhere; the others by libFuzzer alone. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    uint64_t length = 0;
    size_t i, end, n;
    mutate_state = seed;
    if ((fuzz_mode == NPY || fuzz_mode == IMAGES) && size > 18 && pick(3)) {
        n = change_npy(data, size, most);
        return n ? n : LLVMFuzzerMutate(data, size, most);
    }
    if ((fuzz_mode > CHECKPOINT && fuzz_mode != STATE && fuzz_mode != CHAINS) || size < 10)
        return LLVMFuzzerMutate(data, size, most);
    for (i = 0; i < 8; ++i) length |= (uint64_t)data[i] << 8 * i;
    if (length > size - 8 || !length || !pick(12)) return LLVMFuzzerMutate(data, size, most);
    end = 8 + (size_t)length;
    switch (pick(8)) {
    case 0: n = change_text(data, size, most, &end); break;
    case 1: case 2: n = change_number(data, size, most, &end); break;
    case 3: case 4: n = change_word(data, size, most, &end); break;
    case 5: case 6: n = change_entry(data, size, most, &end); break;
    default: n = change_data(data, size, most, end); break;
    }
    if (!n) return LLVMFuzzerMutate(data, size, most);
    length = end - 8;
    if (pick(16)) for (i = 0; i < 8; ++i) data[i] = (uint8_t)(length >> 8 * i);
    return n;
}

/* --- seeds and replay ----------------------------------------------------------------------------------- */
#else
static long passed = 0, failed = 0;
static const char *seeds_at = "";

static void seed(int mode, const char *name, const void *data, size_t size)
{
    char path[512];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s/%s", seeds_at, mode_name[mode], name);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
        printf("cannot write %s\n", path);
        exit(2);
    }
}

/* A row of edits: the name of the seed, and what is replaced in the header by what. */
typedef struct edit { const char *name, *from, *to; } edit;

/* For each row a copy of the file in which `to` replaces the first `from`, and the header's length is put
 * right. */
static void seed_edits(int mode, const unsigned char *file, size_t size, const edit *list, size_t count)
{
    uint64_t length = 0, now;
    size_t i, k;
    for (i = 0; i < 8; ++i) length |= (uint64_t)file[i] << 8 * i;
    for (k = 0; k < count; ++k) {
        size_t n = strlen(list[k].from), m = strlen(list[k].to);
        unsigned char *copy = (unsigned char *)malloc(size + m + 1);
        if (!copy) exit(2);
        for (i = 8; i < 8 + length && memcmp(file + i, list[k].from, n); ++i) { }
        if (i >= 8 + length) {
            printf("%s: no '%s'\n", list[k].name, list[k].from);
            exit(2);
        }
        memcpy(copy, file, i);
        memcpy(copy + i, list[k].to, m);
        memcpy(copy + i + m, file + i + n, size - i - n);
        now = length + m - n;
        for (i = 0; i < 8; ++i) copy[i] = (unsigned char)(now >> 8 * i);
        seed(mode, list[k].name, copy, size + m - n);
        free(copy);
    }
}

/* A state as it is, without its last byte, with a NaN as its last number, and with edits. Frees it. */
static void seed_state(int mode, saved_state s, const edit *list, size_t count)
{
    seed(mode, "good-two-steps", s.bytes, s.size);
    seed(mode, "bad-cut", s.bytes, s.size - 1);
    seed_edits(mode, s.bytes, s.size, list, count);
    s.bytes[s.size - 1] = 0x7F;
    s.bytes[s.size - 2] = 0xC0;
    seed(mode, "bad-nan", s.bytes, s.size);
    state_free(&s);
}

#define ARRAY(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" ARRAY(dtype, shape, offsets) "}"
#define TWO(first, name, second) \
    "{\"a\":" ARRAY("U8", "[4]", first) ",\"" name "\":" ARRAY("U8", "[4]", second) "}"

/* Safetensors: a header, the number of zero bytes behind it, and the length that the file claims for the
 * header; 0 is its own length. */
static const struct { const char *name, *header; size_t data; uint64_t length; } headers[] = {
    { "good-empty", "{}", 0, 0 },
    { "good-one", ONE("F32", "[2,3]", "[0,24]"), 24, 0 },
    { "good-meta", "{\"__metadata__\":{\"k\":\"v\"},\"a\":" ARRAY("U8", "[]", "[0,1]")
      ",\"b\":" ARRAY("F16", "[0,4]", "[1,1]") "}  ", 1, 0 },
    { "bad-length-past-end", "{}", 0, 3 },
    { "bad-length-huge", "{}", 0, UINT64_MAX },
    { "bad-length-wraps-32", "{}", 0, (uint64_t)1 << 32 | 2 },                  /* 2 when cut to 32 bits */
    { "bad-shape-product-wraps-64", ONE("F32", "[4294967296,4294967296]", "[0,0]"), 0, 0 },
    { "bad-shape-product-wraps-32", ONE("U8", "[65536,65536]", "[0,0]"), 0, 0 },
    { "bad-bytes-wrap-64", ONE("F64", "[2305843009213693952]", "[0,0]"), 0, 0 },
    { "bad-bytes-wrap-32", ONE("F32", "[1073741825]", "[0,4]"), 4, 0 },
    { "bad-offset-past-end", ONE("U8", "[9]", "[0,9]"), 8, 0 },
    { "bad-offset-wraps-32", ONE("U8", "[4]", "[4294967296,4294967300]"), 4, 0 },
    { "bad-offset-wraps-64", ONE("U8", "[4]", "[18446744073709551616,18446744073709551620]"), 4, 0 },
    { "bad-offsets-backwards", ONE("U8", "[4]", "[4,0]"), 4, 0 },
    { "bad-overlap", TWO("[0,4]", "b", "[2,6]"), 6, 0 },
    { "bad-hole", TWO("[0,4]", "b", "[6,10]"), 10, 0 },
    { "bad-left-over", ONE("U8", "[4]", "[0,4]"), 5, 0 },
    { "bad-duplicate-name", TWO("[0,4]", "a", "[4,8]"), 8, 0 },
    { "bad-duplicate-escaped", TWO("[0,4]", "\\u0061", "[4,8]"), 8, 0 },
    { "bad-duplicate-field",
      "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, 0 },
    { "bad-duplicate-meta", "{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}", 0, 0 },
    { "bad-name-nul", "{\"a\\u0000\":" ARRAY("U8", "[4]", "[0,4]") "}", 4, 0 },
    { "bad-surrogate", "{\"\\ud800\":" ARRAY("U8", "[4]", "[0,4]") "}", 4, 0 },
    { "bad-utf8", "{\"\xc0\xaf\":" ARRAY("U8", "[4]", "[0,4]") "}", 4, 0 },
    { "bad-rank-9", ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, 0 },
    { "bad-negative", ONE("U8", "[-4]", "[0,4]"), 4, 0 },
    { "bad-fraction", ONE("U8", "[4.0]", "[0,4]"), 4, 0 },
    { "bad-exponent", ONE("U8", "[4e0]", "[0,4]"), 4, 0 },
    { "bad-leading-zero", ONE("U8", "[04]", "[0,4]"), 4, 0 },
    { "bad-dtype", ONE("F8", "[4]", "[0,4]"), 4, 0 },
    { "bad-missing-field", "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, 0 },
    { "bad-trailing", "{} x", 0, 0 },
    { "bad-cut-string", "{\"a", 0, 0 }
};

static void seed_header(const char *name, const char *header, size_t data, uint64_t length)
{
    static unsigned char file[65536];
    size_t i, k = strlen(header);
    if (!length) length = k;
    memset(file, 0, sizeof file);
    for (i = 0; i < 8; ++i) file[i] = (unsigned char)(length >> 8 * i);
    memcpy(file + 8, header, k);
    seed(SAFETENSORS, name, file, 8 + k + data);
}

static void seeds_safetensors(void)
{
    static char deep[4096];
    size_t i;
    for (i = 0; i < sizeof headers / sizeof headers[0]; ++i)
        seed_header(headers[i].name, headers[i].header, headers[i].data, headers[i].length);
    seed(SAFETENSORS, "bad-nothing", "", 0);
    memset(deep, '[', sizeof deep - 1);
    memcpy(deep, "{\"a\":", 5);
    seed_header("bad-deep-arrays", deep, 0, 0);
    for (i = 0; i + 6 < sizeof deep; i += 5) memcpy(deep + i, "{\"a\":", 5);
    deep[i] = 0;
    seed_header("bad-deep-objects", deep, 0, 0);
}

/* The file of a new model. */
static unsigned char *model_bytes(const drl_model_desc *d, size_t *size)
{
    drl_model *m = NULL;
    unsigned char *file;
    if (drl_model_create(ctx, d, 3, &m) != DRL_OK) exit(2);
    if (drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, size) != DRL_OK) exit(2);
    file = (unsigned char *)malloc(*size);
    if (!file || drl_model_save_memory(m, DRL_DTYPE_F32, file, *size, size) != DRL_OK) exit(2);
    drl_model_destroy(m);
    return file;
}

static void seeds_model(void)
{
    static const edit plain[] = {
        { "bad-width-multiplier", "mult=1,", "mult=65," },
        { "bad-image-huge", "height=2 width=2", "height=65536 width=65536" },
        { "bad-image-other-net", "resolutions=2", "resolutions=1" },
        { "bad-net-huge", "base=4", "base=65536" },
        { "bad-net-deep", "blocks=1", "blocks=4096" },
        { "bad-int-overflow", "steps=2", "steps=4294967298" },
        { "bad-b2-infinite", "b2=0.0002", "b2=x7ff0000000000000" },
        { "bad-b2-nan", "b2=0.0002", "b2=x7ff8000000000000" },
        { "bad-noise-overflow", "noise_scale=0.99", "noise_scale=1e22e22" },
        { "bad-noise-huge", "noise_scale=0.99", "noise_scale=x7fe0000000000000" },
        { "bad-field-twice", "levels=2", "levels=2 levels=2" },
        { "bad-form", "no_spectral=1", "no_spectral=1 form=7 initializer=0 initializer_blocks=0 classes=0" },
        { "bad-tensor-renamed", "energy.temb_final.weight", "energy.temb_final.weighs" }
    };
    static const edit initialized[] = {
        { "bad-classes", "classes=1", "classes=65535" },
        { "bad-initializer-blocks", "initializer_blocks=1", "initializer_blocks=65" },
        { "bad-initializer-huge", "initializer=4", "initializer=65536" },
        { "bad-initializer-image", "height=4 width=4", "height=4096 width=4096" }
    };
    static const edit normal[] = {
        { "bad-deviation-renamed", "drl.deviation", "drl.deviations" },
        { "bad-normal-other-size", "channels=2", "channels=3" }
    };
    static const double mean[2] = { 10, -2e9 }, deviation[2] = { 0.5, 1e3 };
    drl_model_desc d = tiny();
    size_t size;
    unsigned char *file = model_bytes(&d, &size);
    seed(MODEL, "good-drl", file, size);
    seed_edits(MODEL, file, size, plain, sizeof plain / sizeof plain[0]);
    seed(MODEL, "bad-cut", file, size - 1);
    free(file);
    d.height = 4;
    d.resolutions = 1;
    d.form = DRL_FORM_CDRL;
    d.initializer = 4;
    d.classes = 1;
    file = model_bytes(&d, &size);
    seed(MODEL, "good-cdrl", file, size);
    seed_edits(MODEL, file, size, initialized, sizeof initialized / sizeof initialized[0]);
    free(file);
    d = tiny();
    d.height = 1;
    d.channels = 2;
    d.resolutions = 1;
    d.mean = mean;
    d.deviation = deviation;
    file = model_bytes(&d, &size);
    seed(MODEL, "good-normal", file, size);
    seed_edits(MODEL, file, size, normal, sizeof normal / sizeof normal[0]);
    memset(file + size - 8, 0, 8);
    seed(MODEL, "bad-deviation-zero", file, size);
    free(file);
}

/* A checkpoint as bytes, made without a file: what drl_trainer_save writes. */
static unsigned char *checkpoint_bytes(size_t *size)
{
    drl_array array[DRL__CHECKPOINT_ARRAYS];
    drl_safetensors_desc desc;
    char text[3][DRL__DESCRIBE_MAX];
    const char *meta[6];
    unsigned char *bytes;
    memset(&desc, 0, sizeof desc);
    desc.arrays = array;
    desc.count = (size_t)drl__checkpoint_arrays(trainer, array);
    drl__model_to_text(&model->desc, text[0], DRL__DESCRIBE_MAX);
    drl__describe(drl__train_fields, DRL__COUNT(drl__train_fields), &trainer->desc, text[1],
                  DRL__DESCRIBE_MAX);
    drl__describe(drl__state_fields, DRL__COUNT(drl__state_fields), &trainer->now, text[2],
                  DRL__DESCRIBE_MAX);
    meta[0] = "drl.model";
    meta[1] = text[0];
    meta[2] = "drl.train";
    meta[3] = text[1];
    meta[4] = "drl.state";
    meta[5] = text[2];
    desc.meta = meta;
    desc.meta_count = 3;
    if (drl_safetensors_write_memory(ctx, &desc, NULL, 0, size) != DRL_OK) exit(2);
    bytes = (unsigned char *)malloc(*size);
    if (!bytes || drl_safetensors_write_memory(ctx, &desc, bytes, *size, size) != DRL_OK) exit(2);
    return bytes;
}

static void seeds_checkpoint(void)
{
    static const float x0[2 * 4] = { -1, 1, -1, 1, 1, 1, -1, -1 };
    static const edit edits[] = {
        { "bad-other-model", "steps=2", "steps=3" },
        { "bad-rollbacks-negative", "rollbacks=0", "rollbacks=-1" },
        { "bad-rollbacks-overflow", "rollbacks=0", "rollbacks=2147483647" },
        { "bad-rate-infinite", "rate_scale=1", "rate_scale=x7ff0000000000000" },
        { "bad-rate-negative", "rate_scale=1", "rate_scale=-1" },
        { "bad-factor", "rate_factor=1", "rate_factor=2" },
        { "bad-beta-power", "beta1_power=0.5", "beta1_power=1" },
        { "bad-beta-power-negative", "beta2_power=", "beta2_power=-" },
        { "bad-step-overflow", "step=1 ", "step=18446744073709551616 " },
        { "bad-step-huge", "step=1 ", "step=18446744073709551615 " },
        { "bad-total-huge", "total=0", "total=4294967296" },
        { "bad-seconds-negative", "seconds=0", "seconds=-1" },
        { "bad-planned-infinite", "planned=0", "planned=x7ff0000000000000" },
        { "bad-array-renamed", "train.adam_m", "train.adam_n" }
    };
    unsigned char *file;
    size_t size;
    if (drl_trainer_step(trainer, x0, NULL, NULL) != DRL_OK) exit(2);
    file = checkpoint_bytes(&size);
    seed(CHECKPOINT, "good-one-step", file, size);
    seed_edits(CHECKPOINT, file, size, edits, sizeof edits / sizeof edits[0]);
    seed(CHECKPOINT, "bad-cut", file, size - 1);
    memset(file + size - 4, 0xFF, 4);
    file[size - 1] = 0x7F;                                      /* the last number is a NaN */
    seed(CHECKPOINT, "bad-nan", file, size);
    free(file);
}

/* NPY: a header, and the number of bytes behind it. */
#define HEADER(type, turned, shape) \
    "{'descr': '" type "', 'fortran_order': " turned ", 'shape': (" shape "), }"
#define ROWS(type, shape) HEADER(type, "False", shape)
static const struct { const char *name, *header; size_t data; } arrays[] = {
    { "good-u8", ROWS("|u1", "2, 3"), 6 },
    { "good-f4", ROWS("<f4", "2,"), 8 },
    { "good-f8-scalar", ROWS(">f8", ""), 8 },
    { "good-empty", ROWS("<i2", "0, 7"), 0 },
    { "bad-shape-wraps-64", ROWS("<f4", "4294967296, 4294967296"), 0 },
    { "bad-shape-wraps-32", ROWS("|u1", "65536, 65536"), 0 },
    { "bad-bytes-wrap-32", ROWS("<f4", "1073741825,"), 4 },
    { "bad-too-short", ROWS("<f4", "3,"), 8 },
    { "bad-too-long", ROWS("<f4", "1,"), 8 },
    { "bad-key-twice", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4 },
    { "bad-number-overflow", ROWS("<f4", "18446744073709551617,"), 4 },
    { "bad-negative", ROWS("<f4", "-1,"), 4 },
    { "bad-object", ROWS("|O", "1,"), 8 },
    { "bad-structured", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4 },
    { "bad-fortran", HEADER("<f4", "True", "1, 2"), 8 },
    { "bad-rank-9", ROWS("|u1", "1, 1, 1, 1, 1, 1, 1, 1, 1"), 1 }
};

static void seeds_npy(void)
{
    static unsigned char file[4096];
    size_t i;
    for (i = 0; i < sizeof arrays / sizeof arrays[0]; ++i) {
        size_t k = strlen(arrays[i].header), total = (10 + k + 1 + 63) / 64 * 64;
        memset(file, ' ', sizeof file);
        memcpy(file, "\x93NUMPY\x01\x00", 8);
        file[8] = (unsigned char)(total - 10);
        file[9] = (unsigned char)((total - 10) >> 8);
        memcpy(file + 10, arrays[i].header, k);
        file[total - 1] = '\n';
        memset(file + total, 1, arrays[i].data);
        seed(NPY, arrays[i].name, file, total + arrays[i].data);
    }
    seed(NPY, "bad-header-past-end", "\x93NUMPY\x01\x00\xFF\xFF{", 11);
    seed(NPY, "bad-header-huge-v2", "\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{", 13);
}

/* IDX: the code of the type, the number of axes, their lengths, and n bytes. */
static void idx(const char *name, int type, int axes, uint32_t a, uint32_t b, uint32_t c, size_t n)
{
    unsigned char file[1024];
    uint32_t axis[3];
    int i;
    axis[0] = a;
    axis[1] = b;
    axis[2] = c;
    memset(file, 1, sizeof file);
    file[0] = file[1] = 0;
    file[2] = (unsigned char)type;
    file[3] = (unsigned char)axes;
    for (i = 0; i < 3; ++i) {
        file[4 + 4 * i] = (unsigned char)(axis[i] >> 24);
        file[5 + 4 * i] = (unsigned char)(axis[i] >> 16);
        file[6 + 4 * i] = (unsigned char)(axis[i] >> 8);
        file[7 + 4 * i] = (unsigned char)axis[i];
    }
    seed(IDX, name, file, 4 + 4 * (size_t)(axes < 3 ? axes : 3) + n);
}

static void seeds_idx(void)
{
    idx("good-u8", 8, 3, 2, 3, 4, 24);
    idx("good-f64", 14, 1, 2, 0, 0, 16);
    idx("bad-product-wraps-64", 8, 3, 0x80000000u, 0x80000000u, 4, 0);
    idx("bad-product-wraps-32", 8, 2, 65536, 65536, 0, 0);
    idx("bad-bytes-wrap-32", 13, 1, 0x40000001u, 0, 0, 4);
    idx("bad-short", 8, 2, 3, 3, 0, 8);
    idx("bad-long", 8, 2, 3, 3, 0, 10);
    idx("bad-type", 10, 1, 3, 0, 0, 3);
    idx("bad-axes", 8, 255, 1, 1, 1, 200);
    seed(IDX, "bad-cut", "\0\0\x08\x02\0\0\0", 7);
}

static void seeds_cifar(void)
{
    static unsigned char rows[2 * 3073];
    size_t i;
    for (i = 0; i < sizeof rows; ++i) rows[i] = (unsigned char)(i % 3073 ? i * 7 : 3);
    seed(CIFAR, "good-two-rows", rows, sizeof rows);
    seed(CIFAR, "bad-half-a-row", rows, sizeof rows - 1);
    rows[3073] = 10;
    seed(CIFAR, "bad-label", rows, sizeof rows);
    seed(CIFAR, "good-idx", "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02" "abcd", 20);
    seed(CIFAR, "bad-labels-alone", "\0\0\x08\x01\0\0\0\x02" "ab", 10);
    seed(CIFAR, "bad-count-huge", "\0\0\x08\x03\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\0", 16);
    seed(CIFAR, "bad-empty-images", "\0\0\x08\x03\0\0\0\x00\0\0\0\x02\0\0\0\x02", 16);
}

/* Images: the eight bytes of fuzz_images, an NPY file of zeros, and no second file. */
#define TURNED(type, shape) HEADER(type, "True", shape)
static const struct { const char *name, *description, *header; size_t data; } pictures[] = {
    { "good-f4", "\0\0\0\0\0\0\0\0", ROWS("<f4", "1, 1, 2, 1"), 8 },
    { "good-fortran", "\0\0\0\0\0\0\0\0", TURNED("|u1", "2, 3, 2, 4"), 48 },
    { "good-nchw", "\2\0\0\0\0\0\0\0", TURNED(">f8", "2, 3, 2, 5"), 480 },
    { "good-rows", "\0\3\2\0\3\0\0\0", ROWS("<i8", "4, 6"), 192 },
    { "good-one", "\0\0\0\3\0\0\0\0", ROWS("|b1", "6, 6, 3"), 108 },
    { "good-range", "\0\0\0\0\7\0\0\0", ROWS("<i4", "1, 2, 2"), 16 },
    { "bad-single-image", "\0\0\0\0\0\0\0\0", ROWS("|u1", "8, 8, 3"), 192 },
    { "bad-rows-wrap", "\0\177\177\0\0\0\0\0", ROWS("|u1", "1, 9"), 9 },
    { "bad-range", "\0\0\0\0\5\0\0\0", ROWS("<f4", "1, 1, 2, 1"), 8 },
    { "bad-huge-range", "\0\0\0\0\4\0\0\0", ROWS("<f8", "1, 1, 1, 1"), 8 },
    { "bad-layout", "\3\0\0\0\0\0\0\0", ROWS("|u1", "1, 2, 2, 1"), 4 },
    { "bad-sizes-negative", "\0\377\377\377\0\0\0\0", ROWS("|u1", "1, 2, 2, 1"), 4 },
    { "bad-dimension-wraps", "\0\0\0\0\0\0\0\0", TURNED("|u1", "4294967297, 1, 1, 1"), 1 },
    { "bad-empty-axis", "\0\0\0\0\0\0\0\0", TURNED("|u1", "0, 4294967295, 4294967295, 3"), 0 }
};

/* The eight bytes of fuzz_images, and a netpbm picture. */
#define PICTURE(description, text) description text, 8 + sizeof(text) - 1
#define SIZES "WIDTH 2\nHEIGHT 1\n"
static const struct { const char *name, *file; size_t size; } netpbm[] = {
    { "good-p5", PICTURE("\0\0\0\0\0\0\0\0", "P5\n3 2\n255\nabcdef") },
    { "good-p5-comments", PICTURE("\0\1\2\1\0\0\0\0", "P5#one\n# two\n2 #\n1 255\nab") },
    { "good-p5-16-bits", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 1 1000\n\3\350\0\0") },
    { "good-p6", PICTURE("\0\0\0\3\0\0\0\0", "P6 1 2 127\n\0\1\2\3\4\177") },
    { "good-p6-range", PICTURE("\0\0\0\0\7\0\0\0", "P6 1 1 255\nabc") },
    { "good-p7", PICTURE("\0\0\0\4\0\0\0\0", "P7\n# a\n" SIZES
      "DEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabcdefg\0") },
    { "good-p7-two", PICTURE("\0\0\0\1\0\0\12\0", "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nENDHDR\n\1"
      "P5 1 1 1\n\0") },
    { "good-classes", PICTURE("\0\0\0\0\0\2\15\0", "P5 2 1 255\nabP5 2 1 255\ncd") },
    { "good-tiles", PICTURE("\50\0\0\0\0\2\0\0",
      "P7\nWIDTH 2\nHEIGHT 4\nDEPTH 2\nMAXVAL 255\nENDHDR\n\0\0\0\0\0\0\0\0" "abcdefgh") },
    { "good-tiles-16-bits", PICTURE("\44\2\0\0\0\0\0\0", "P6 1 2 256\n\0\1\0\2\0\3\0\4\0\5\0\6") },
    { "bad-tiles-multiple", PICTURE("\104\0\0\0\0\0\0\0", "P5 3 2 255\nabcdef") },
    { "bad-tiles-width-0", PICTURE("\4\0\0\0\0\0\0\0", "P5 3 2 255\nabcdef") },
    { "bad-tiles-nothing", PICTURE("\44\0\0\0\0\0\0\0",
      "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 2\nMAXVAL 255\nENDHDR\na\0") },
    { "bad-classes-labels", PICTURE("\0\0\0\0\0\2\11\0", "P5 1 1 255\na\0\0\x08\1\0\0\0\1\3") },
    { "bad-p5-cut", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 1 255\na") },
    { "bad-p5-longer", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 1 255\nabc") },
    { "bad-p5-no-end", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 1 255") },
    { "bad-p5-comment-no-end", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 #1 255 ab") },
    { "bad-p5-empty", PICTURE("\0\0\0\0\0\0\0\0", "P5 0 4294967296 255\n") },
    { "bad-p5-maxval", PICTURE("\0\0\0\0\0\0\0\0", "P5 1 1 65536\nab") },
    { "bad-p5-above-maxval", PICTURE("\0\0\0\0\0\0\0\0", "P5 2 1 100\nde") },
    { "bad-p6-wraps-32", PICTURE("\0\0\0\0\0\0\0\0", "P6 65536 65536 255\n") },
    { "bad-p6-wraps-64", PICTURE("\0\0\0\0\0\0\0\0", "P6 2147483647 2147483647 65535\nabcdef") },
    { "bad-p6-digits", PICTURE("\0\0\0\0\0\0\0\0", "P6 18446744073709551617 1 255\nabc") },
    { "bad-p7-twice", PICTURE("\0\0\0\0\0\0\0\0", "P7\n" SIZES "WIDTH 2\nDEPTH 1\nMAXVAL 9\nENDHDR\n\1\2") },
    { "bad-p7-missing", PICTURE("\0\0\0\0\0\0\0\0", "P7\n" SIZES "MAXVAL 9\nENDHDR\n\1\2") },
    { "bad-p7-no-end", PICTURE("\0\0\0\0\0\0\0\0", "P7\n" SIZES "DEPTH 1\nMAXVAL 9\nENDHDR") },
    { "bad-p7-type", PICTURE("\0\0\0\0\0\0\0\0", "P7\n" SIZES
      "DEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK\nENDHDR\nabcdefgh") },
    { "bad-p7-two-sizes", PICTURE("\0\0\0\0\0\0\12\0", "P7\n" SIZES "DEPTH 1\nMAXVAL 1\nENDHDR\n\1\0"
      "P5 1 1 1\n\0") }
};
#undef SIZES

static void seeds_images(void)
{
    static unsigned char file[2048], hundred[8 + 2 * 3074];
    size_t i;
    for (i = 0; i < sizeof pictures / sizeof pictures[0]; ++i) {
        size_t length = strlen(pictures[i].header);
        memset(file, 0, sizeof file);
        memcpy(file, pictures[i].description, 8);
        memcpy(file + 8, "\x93NUMPY\1\0", 8);
        file[16] = (unsigned char)(length + 1);
        memcpy(file + 18, pictures[i].header, length);
        file[18 + length] = '\n';
        seed(IMAGES, pictures[i].name, file, 19 + length + pictures[i].data);
    }
    for (i = 0; i < sizeof netpbm / sizeof netpbm[0]; ++i)
        seed(IMAGES, netpbm[i].name, netpbm[i].file, netpbm[i].size);
    for (i = 8; i < sizeof hundred; ++i) hundred[i] = (unsigned char)((i - 8) % 3074 < 2 ? 19 : i * 7);
    hundred[5] = 1;
    seed(IMAGES, "good-cifar-100", hundred, sizeof hundred);
    hundred[8] = 20;
    seed(IMAGES, "bad-cifar-100-label", hundred, sizeof hundred);
}

/* Vectors: the byte of fuzz_vectors, and CSV or NPY. */
static const struct { const char *name, *text; } tables[] = {
    { "good-csv", "\0a,b\n1.5,-2e1\n .25,4\n" },
    { "good-one", "\x20" "1\n2\r\n3" },
    { "good-given", "\xC3" "1,2,1e300\n4,5,1e300\n" },
    { "bad-given-too-far", "\xC3" "1,2,3\n4,5,6\n" },
    { "bad-ragged", "\x10" "1,2\n3\n" },
    { "bad-comma-at-end", "\x10" "1,2\n3," },
    { "bad-empty-line", "\x10" "1,2\n\n3,4\n" },
    { "bad-word", "\x10" "1,2\n3,four\n" },
    { "bad-two-headers", "\x10" "a,b\nc,d\n1,2\n" },
    { "bad-header-alone", "\x10" "a,b\n" },
    { "bad-exponent", "\x10" "1e\n" },
    { "bad-too-large", "\x10" "1,2\n3,1e309\n" },
    { "bad-no-deviation", "\x10" "1e308\n-1e308\n" },
    { "bad-nan", "\x10" "1\nnan\n" },
    { "bad-normal", "\x30" "1\n2\n" },
    { "bad-size", "\x12" "1\n2\n" },
    { "bad-mean-alone", "\x42" "1,2\n" }
};
static const struct { const char *name, *header; size_t data; } matrices[] = {
    { "good-f8", ROWS(">f8", "2, 3"), 48 },
    { "good-fortran", HEADER("|i1", "True", "5, 2"), 10 },
    { "bad-rank-1", ROWS("<f4", "2,"), 8 },
    { "bad-rank-3", ROWS("<f4", "1, 2, 1"), 8 },
    { "bad-no-rows", ROWS("<f4", "0, 3"), 0 },
    { "bad-no-columns", ROWS("<f4", "4294967297, 0"), 0 },
    { "bad-wraps", ROWS("|u1", "4294967296, 4294967296"), 0 }
};

static void seeds_vectors(void)
{
    static unsigned char file[256];
    size_t i, length;
    for (i = 0; i < sizeof tables / sizeof tables[0]; ++i) {
        length = 1 + strlen(tables[i].text + 1);
        seed(VECTORS, tables[i].name, tables[i].text, length);
    }
    for (i = 0; i < sizeof matrices / sizeof matrices[0]; ++i) {
        length = strlen(matrices[i].header);
        memset(file, 0, sizeof file);
        memcpy(file + 1, "\x93NUMPY\1\0", 8);
        file[9] = (unsigned char)(length + 1);
        memcpy(file + 11, matrices[i].header, length);
        file[11 + length] = '\n';
        seed(VECTORS, matrices[i].name, file, 12 + length + matrices[i].data);
    }
}

static const edit state_edits[] = {
    { "bad-level", " level=3 ", " level=200 " },
    { "bad-step", " step=2", " step=3" },
    { "bad-done-and-under-way", " level=3 ", " level=-1 " },
    { "bad-done-in-the-first-pass", " level=3 step=2", " level=-1 step=0" },
    { "good-done", " pass=0 level=3 step=2", " pass=2 level=-1 step=0" },
    { "good-pass", " pass=0 level=3 step=2", " pass=1 level=0 step=2" },
    { "bad-pass", " pass=0 ", " pass=3 " },
    { "bad-level-of-the-pass", " pass=0 ", " pass=1 " },
    { "bad-size", "[2,2]", "[4,1]" },
    { "bad-other-seed", " seed=7 ", " seed=8 " },
    { "bad-seed-of-65-bits", " seed=7 ", " seed=18446744073709551616 " },
    { "bad-field-twice", " seed=7 ", " seed=7 seed=7 " },
    { "bad-field-missing", " seed=7 ", " " },
    { "bad-field-more", " seed=7 ", " seed=7 speed=7 " },
    { "bad-tensor-missing", "\"x_next\"", "\"x_neXt\"" },
    { "bad-chains", "drl.sampler", "drl.mcmc" }
};
static const edit chains_edits[] = {
    { "bad-kernel", " kernel=2 ", " kernel=1 " },
    { "bad-step", " steps_done=2 ", " steps_done=-2147483647 " },
    { "bad-last-step", " steps_done=2 ", " steps_done=2147483647 " },
    { "bad-negative-step-size", " eps=x3", " eps=xb" },
    { "bad-infinite", " eps=x3", " eps=x7ff0000000000000 eps=x3" },
    { "bad-other-chains", "{\"drl.mcmc\":\"count=2 ", "{\"drl.mcmc\":\"count=1 " },
    { "bad-sampler", "drl.mcmc", "drl.sampler" }
};

/* States of a sampler at level 3 after two steps, and of HMC chains after two steps. */
static void seeds_states(void)
{
    drl_sampler_run(sampler, 2);
    seed_state(STATE, state_of_sampler(sampler), state_edits, sizeof state_edits / sizeof state_edits[0]);
    if (drl_mcmc_run(chains, 2) != DRL_OK) exit(2);
    seed_state(CHAINS, state_of_chains(chains), chains_edits, sizeof chains_edits / sizeof chains_edits[0]);
}

static void seeds(void)
{
    setup();
    seeds_safetensors();
    seeds_model();
    seeds_checkpoint();
    seeds_npy();
    seeds_idx();
    seeds_cifar();
    seeds_images();
    seeds_vectors();
    seeds_states();
}

static void replay(const char *path)
{
    static unsigned char bytes[1 << 20];
    const char *name = path, *folder = path, *p;
    size_t size;
    FILE *f;
    int m;
    drl_status status;
    for (p = path; *p; ++p)
        if (*p == '/') {
            folder = name;
            name = p + 1;
        }
    for (m = 0; m < MODES; ++m)
        if (!strncmp(folder, mode_name[m], strlen(mode_name[m])) && folder[strlen(mode_name[m])] == '/')
            break;
    f = fopen(path, "rb");
    if (m == MODES || !f) {
        printf("%s: %s\n", path, f ? "its folder has no mode's name" : "cannot be read");
        ++failed;
        if (f) fclose(f);
        return;
    }
    size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    status = fuzz_one(m, bytes, size);
    if ((!strncmp(name, "good-", 5) && status != DRL_OK) || (!strncmp(name, "bad-", 4) && status == DRL_OK)) {
        printf("%s: FAILED, status %d: %s\n", path, (int)status, drl_ctx_message(ctx));
        ++failed;
    }
    else ++passed;
}

int main(int argc, char **argv)
{
    int i;
    if (argc == 3 && !strcmp(argv[1], "--seeds")) {
        seeds_at = argv[2];
        for (i = 0; i < MODES; ++i) {
            char path[512];
            snprintf(path, sizeof path, "mkdir -p '%s/%s'", seeds_at, mode_name[i]);
            if (system(path)) return 2;
        }
        seeds();
        return 0;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "fuzz --seeds FOLDER, or fuzz FILE ...\n");
        return 2;
    }
    for (i = 1; i < argc; ++i) replay(argv[i]);
    printf("refusing took at most %.2f times the file's size (files from 256 bytes up)\n",
           (double)refused_most / 1000);
    drl_sampler_destroy(sampler);
    drl_mcmc_destroy(chains);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    if (heap_now) {
        printf("%lu bytes leak\n", (unsigned long)heap_now);
        ++failed;
    }
    printf("fuzz: %ld passed, %ld failed\n", passed, failed);
    return failed != 0 || !passed;
}
#endif
