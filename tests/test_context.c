/* test_context.c - contexts: creation, first error and its text, allocation from a heap and from a caller's block, jobs and the pool. */
#if defined(DRL_THREADS) && !defined(_WIN32)
#define POOL 1
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static int threads_left = 1000;         /* so many threads the system still starts */
#define pthread_create(thread, attributes, function, arg) (threads_left-- > 0 ? (pthread_create)(thread, attributes, function, arg) : 1)
#endif
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

static void creation(void)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    check_heap heap;
    int isa;
    CHECK(drl_ctx_create(NULL, NULL) == DRL_E_ARGUMENT, "no place for the result");
    CHECK(drl_ctx_create(NULL, &ctx) == DRL_OK && ctx, "all defaults");
    CHECK(drl_ctx_threads(ctx) == 1 && drl_ctx_isa(ctx) != DRL_ISA_AUTO && drl_ctx_status(ctx) == DRL_OK && !drl_ctx_message(ctx)[0], "a fresh context");
    drl_ctx_destroy(ctx);
    drl_ctx_destroy(NULL);

    memset(&heap, 0, sizeof heap);
    memset(&d, 0, sizeof d);
    ctx = NULL;
    d.threads = -1;                     CHECK(drl_ctx_create(&d, &ctx) == DRL_E_ARGUMENT && !ctx, "negative threads");
    d.threads = 65;                     CHECK(drl_ctx_create(&d, &ctx) == DRL_E_ARGUMENT && !ctx, "65 threads");
    d.threads = 0;
    d.allocator.alloc_fn = check_alloc; CHECK(drl_ctx_create(&d, &ctx) == DRL_E_ARGUMENT && !ctx, "half an allocator");
    d.allocator.free_fn = check_free;
    d.allocator.user = &heap;
    d.memory = &heap;                   CHECK(drl_ctx_create(&d, &ctx) == DRL_E_ARGUMENT && !ctx, "memory without a size");
    d.memory_size = sizeof heap;        CHECK(drl_ctx_create(&d, &ctx) == DRL_E_ARGUMENT && !ctx, "memory and an allocator");
    d.memory = NULL; d.memory_size = 0;
    heap.fail_at = 1;                   CHECK(drl_ctx_create(&d, &ctx) == DRL_E_MEMORY && !ctx && !heap.live, "no memory");
    d.isa = (drl_isa)99;                CHECK(drl_ctx_create(&d, &ctx) == DRL_E_UNSUPPORTED && !ctx && !heap.live, "no such set");
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa) {
        d.isa = (drl_isa)isa;
        if (drl_ctx_create(&d, &ctx) != DRL_OK) continue;
        CHECK(drl_ctx_isa(ctx) == d.isa && drl_isa_name(d.isa)[0], "forced set %d", isa);
        drl_ctx_destroy(ctx);
        ctx = NULL;
    }
    CHECK(!heap.live && !heap.bytes, "%ld blocks, %lu bytes left", heap.live, (unsigned long)heap.bytes);
    for (isa = -1; isa < 20; ++isa) CHECK(drl_status_text((drl_status)isa)[0], "status %d has a text", isa);
}

static void errors(void)
{
    const struct { double v; const char *text; } number[] = {       /* not static: infinity is no constant to every compiler */
        { 0, "0" }, { 1, "1" }, { -1.5, "-1.5" }, { 0.1, "0.1" }, { 0.99, "0.99" }, { 2e-4, "0.0002" }, { 1e-5, "1e-5" }, { 123456, "123456" }, { 1234567, "1.23457e6" },
        { 999999.9, "1e6" }, { 0.000123456789, "0.000123457" }, { 1e300, "1e300" }, { 3.14159265, "3.14159" }, { 100, "100" }, { 1e-300, "1e-300" },
        { HUGE_VAL, "inf" }, { -HUGE_VAL, "-inf" }, { (double)NAN, "nan" } };
    drl_ctx *ctx = NULL;
    char text[64];
    size_t i;
    drl_ctx_create(NULL, &ctx);
    CHECK(drl__fail(ctx, DRL_E_SHAPE, "%d of %z, %s%c %u", -7, (size_t)12, "yes", '!', (uint64_t)18446744073709551615u) == DRL_E_SHAPE, "status");
    CHECK(!strcmp(drl_ctx_message(ctx), "-7 of 12, yes! 18446744073709551615"), "'%s'", drl_ctx_message(ctx));
    drl__fail(ctx, DRL_E_MEMORY, "second");
    CHECK(drl_ctx_status(ctx) == DRL_E_SHAPE && drl_ctx_message(ctx)[0] == '-', "the first failure stays");
    drl_ctx_clear(ctx);
    CHECK(drl_ctx_status(ctx) == DRL_OK && !drl_ctx_message(ctx)[0], "cleared");
    for (i = 0; i < sizeof number / sizeof number[0]; ++i) {
        drl__text(text, sizeof text, "%g", number[i].v);
        CHECK(!strcmp(text, number[i].text), "%s, not %s", text, number[i].text);
    }
    drl__text(text, 8, "%s", "longer than that");
    CHECK(!strcmp(text, "longer "), "cut at '%s'", text);
    CHECK(!drl__alloc(ctx, SIZE_MAX) && drl_ctx_status(ctx) == DRL_E_MEMORY, "SIZE_MAX bytes");
    drl_ctx_destroy(ctx);
}

static void block(void)
{
    static unsigned char memory[20000];
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    void *p[8];
    size_t start;
    int i;
    memset(&d, 0, sizeof d);
    d.memory = memory + 3;                                      /* any alignment */
    d.memory_size = 100;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_E_MEMORY && !ctx, "100 bytes are too few");
    d.memory_size = sizeof memory - 4;
    memory[sizeof memory - 1] = 0x5A;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
    start = drl_ctx_bytes_used(ctx);
    for (i = 0; i < 8; ++i) {
        p[i] = drl__alloc(ctx, 1000 + (size_t)i);
        CHECK(p[i] && (uintptr_t)p[i] % DRL__ALIGN == 0 && (unsigned char *)p[i] >= memory && (unsigned char *)p[i] + 1000 + i <= memory + sizeof memory, "part %d", i);
        if (p[i]) memset(p[i], i, 1000 + (size_t)i);
    }
    for (i = 0; i < 8; ++i) CHECK(((unsigned char *)p[i])[0] == i && ((unsigned char *)p[i])[999 + i] == i, "part %d is overwritten", i);
    CHECK(!drl__alloc(ctx, 20000) && drl_ctx_status(ctx) == DRL_E_MEMORY && drl_ctx_message(ctx)[0], "full");
    drl_ctx_clear(ctx);
    for (i = 0; i < 8; i += 2) drl__free(ctx, p[i]);            /* out of order */
    for (i = 7; i > 0; i -= 2) drl__free(ctx, p[i]);
    CHECK(drl_ctx_bytes_used(ctx) == start, "%lu bytes held after all is freed", (unsigned long)(drl_ctx_bytes_used(ctx) - start));
    p[0] = drl__alloc(ctx, 15000);
    CHECK(p[0] != NULL, "the block is whole again: %s", drl_ctx_message(ctx));
    CHECK(drl_ctx_bytes_peak(ctx) >= 15000 && memory[sizeof memory - 1] == 0x5A, "peak, and the byte behind the block");
    drl_ctx_destroy(ctx);
}

/* Random orders of taking and giving back: no piece overlaps another or leaves the block, what is counted is what is held, and the block is
 * whole in the end. */
static void block_orders(void)
{
    static unsigned char memory[70000];
    unsigned char *piece[40], fill[40];
    size_t size[40], start, whole, i;
    drl_rng rng = { 7, 0, 0 };
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    int round, k, refused = 0;
    void *all = NULL;
    memset(&d, 0, sizeof d);
    memset(piece, 0, sizeof piece);
    memset(size, 0, sizeof size);
    memset(fill, 0, sizeof fill);
    memset(memory, 0xA5, sizeof memory);
    d.memory = memory + 129;
    d.memory_size = sizeof memory - 129 - 64;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
    if (!ctx) return;
    start = drl_ctx_bytes_used(ctx);
    for (whole = d.memory_size; whole && !(all = drl__alloc(ctx, whole)); --whole) drl_ctx_clear(ctx);
    CHECK(whole > sizeof memory - 3000, "only %lu bytes in one piece", (unsigned long)whole);
    drl__free(ctx, all);
    for (round = 0; round < 20000; ++round) {
        k = drl_rng_below(&rng, 40);
        if (piece[k]) {
            for (i = 0; i < size[k] && piece[k][i] == fill[k]; ++i) {}
            CHECK(i == size[k], "round %d: byte %lu of a piece is overwritten", round, (unsigned long)i);
            drl__free(ctx, piece[k]);
            piece[k] = NULL;
            continue;
        }
        size[k] = (size_t)drl_rng_below(&rng, round % 3 ? 600 : 12000);
        fill[k] = (unsigned char)round;
        piece[k] = (unsigned char *)drl__alloc(ctx, size[k]);
        if (!piece[k]) { ++refused; drl_ctx_clear(ctx); continue; }
        CHECK((uintptr_t)piece[k] % DRL__ALIGN == 0 && piece[k] >= memory + 129 && piece[k] + size[k] <= memory + sizeof memory - 64,
            "round %d: a piece outside of the block or off its line", round);
        memset(piece[k], fill[k], size[k]);
    }
    CHECK(refused > 10, "the block is never full: nothing is tried");
    for (k = 0; k < 40; ++k) drl__free(ctx, piece[k]);
    CHECK(drl_ctx_bytes_used(ctx) == start, "%lu bytes held after all is freed", (unsigned long)(drl_ctx_bytes_used(ctx) - start));
    all = drl__alloc(ctx, whole);
    CHECK(all != NULL, "the block is whole again: %s", drl_ctx_message(ctx));
    drl_ctx_destroy(ctx);
    for (i = 0; i < 129; ++i) CHECK(memory[i] == 0xA5, "byte %lu in front of the block", (unsigned long)i);
    for (i = sizeof memory - 64; i < sizeof memory; ++i) CHECK(memory[i] == 0xA5, "byte %lu behind the block", (unsigned long)i);
}

/* Hot reload: the new model is loaded, then the old one destroyed, in a block of seven times a model. One that is too small for two says so. */
static void reload(void)
{
    const size_t models[2] = { 7, 2 };
    drl_model_desc md;
    drl_ctx_desc d;
    drl_ctx *plain = NULL, *ctx;
    drl_model *first = NULL, *now, *next;
    size_t bytes = 0, file_bytes = 0, i;
    unsigned char *file, *memory;
    int round, failed;
    memset(&md, 0, sizeof md);
    md.channels = 1; md.height = md.width = 8; md.batch = 2;
    drl_ctx_create(NULL, &plain);
    CHECK(drl_model_create(plain, &md, 1, &first) == DRL_OK && drl_model_size(plain, &md, &bytes) == DRL_OK
        && drl_model_save_memory(first, DRL_DTYPE_F32, NULL, 0, &file_bytes) == DRL_OK,
          "a model: %s", drl_ctx_message(plain));
    file = (unsigned char *)malloc(file_bytes);
    CHECK(drl_model_save_memory(first, DRL_DTYPE_F32, file, file_bytes, &file_bytes) == DRL_OK,
          "saved: %s", drl_ctx_message(plain));
    drl_model_destroy(first);
    drl_ctx_destroy(plain);
    for (i = 0; i < 2; ++i) {
        memset(&d, 0, sizeof d);
        d.memory_size = bytes * models[i];
        d.memory = memory = (unsigned char *)malloc(d.memory_size);
        ctx = NULL; now = NULL;
        CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
        for (round = failed = 0; round < 300 && !failed; ++round) {
            next = NULL;
            failed = drl_model_load_memory(ctx, file, file_bytes, NULL, &next) != DRL_OK;
            if (failed) continue;
            drl_model_destroy(now);
            now = next;
        }
        if (i) CHECK(failed && round == 2 && drl_ctx_status(ctx) == DRL_E_MEMORY && strstr(drl_ctx_message(ctx), "in one piece"),
            "two models' block: load %d, %s", round, drl_ctx_message(ctx));
        else CHECK(!failed, "load %d with %lu of %lu bytes in use: %s", round, (unsigned long)drl_ctx_bytes_used(ctx),
            (unsigned long)d.memory_size, drl_ctx_message(ctx));
        drl_model_destroy(now);
        drl_ctx_destroy(ctx);
        free(memory);
    }
    free(file);
}

/* Every index once, also when jobs start jobs: those run inside. */
static int job_counts[64], nested_counts[64];
static drl_ctx *job_ctx;
static void inner(void *arg, int index) { ((int *)arg)[index] += 1; }
static void outer(void *arg, int index)
{
    int mine[4] = { 0, 0, 0, 0 };
    drl__parallel(job_ctx, 3, inner, mine);
    nested_counts[index] += mine[0] + mine[1] + mine[2] + mine[3];
    ((int *)arg)[index] += 1;
}

#ifdef POOL
/* All jobs of a call run at the same time, one a thread: each waits until all have come. And a system that starts too few threads. */
static pthread_mutex_t meeting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t someone = PTHREAD_COND_INITIALIZER;
static int arrived;
static void meet(void *arg, int index)
{
    int all = *(const int *)arg;
    (void)index;
    pthread_mutex_lock(&meeting);
    ++arrived;
    pthread_cond_broadcast(&someone);
    while (arrived % all) pthread_cond_wait(&someone, &meeting);
    pthread_mutex_unlock(&meeting);
}

static void pool(void)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    check_heap heap;
    int threads, round;
    memset(&heap, 0, sizeof heap);
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = check_alloc; d.allocator.free_fn = check_free; d.allocator.user = &heap;
    for (threads = 2; threads <= 5; ++threads) {
        d.threads = threads;
        CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "%d threads", threads);
        for (round = arrived = 0; round < 3; ++round) drl__parallel(ctx, threads, meet, &threads);
        CHECK(arrived == 3 * threads, "%d threads: %d jobs have met, not %d", threads, arrived, 3 * threads);
        drl_ctx_destroy(ctx);
        ctx = NULL;
        threads_left = threads - 2;
        CHECK(drl_ctx_create(&d, &ctx) == DRL_E_UNSUPPORTED && !ctx && !heap.live, "%d of %d threads: %ld blocks left", threads - 1, threads, heap.live);
        threads_left = 1000;
    }
}

/* Forked straight after a call, when workers may still hold the pool's mutex: a child's calls give the same numbers, its destroy returns,
 * and the parent goes on. A child that hangs is ended by its alarm. */
static void forks(void)
{
    static float want[4099], got[4099];
    drl_rng rng, again = { 3, 0, 0 };
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    int round, i, status, counts[4], threads = 4;
    pid_t child;
    memset(&d, 0, sizeof d);
    d.threads = threads;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "%d threads", threads);
    if (!ctx) return;
    rng = again;
    drl_rng_normals(ctx, &rng, want, 4099);
    for (round = 0; round < 300; ++round) {
        memset(counts, 0, sizeof counts);
        drl__parallel(ctx, threads, inner, counts);
        child = fork();
        if (!child) {
            alarm(20);
            drl__parallel(ctx, threads, inner, counts);
            rng = again;
            drl_rng_normals(ctx, &rng, got, 4099);
            for (i = 0; i < threads && counts[i] == 2; ++i) {}
            drl_ctx_destroy(ctx);
            _exit(i != threads || memcmp(want, got, sizeof want) ? 1 : 0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status),
            "child %d: %s", round, WIFSIGNALED(status) ? "hangs" : "other numbers");
        if (child <= 0 || !WIFEXITED(status)) break;
    }
    drl__parallel(ctx, threads, inner, counts);
    CHECK(counts[0] == 2 && counts[3] == 2, "the parent goes on");
    drl_ctx_destroy(ctx);
}
#endif

static void jobs(void)
{
    int threads, i, round;
#ifdef DRL_THREADS
    const int most = 7;
#else
    const int most = 1;
#endif
    for (threads = 1; threads <= most; ++threads) {
        drl_ctx_desc d;
        memset(&d, 0, sizeof d);
        memset(job_counts, 0, sizeof job_counts);
        memset(nested_counts, 0, sizeof nested_counts);
        d.threads = threads;
        job_ctx = NULL;
        CHECK(drl_ctx_create(&d, &job_ctx) == DRL_OK, "%d threads", threads);
        if (!job_ctx) continue;
        for (round = 0; round < 500; ++round) drl__parallel(job_ctx, 1 + round % threads, outer, job_counts);
        for (i = 0; i < threads; ++i) {
            int want = 0;
            for (round = 0; round < 500; ++round) want += i < 1 + round % threads;
            CHECK(job_counts[i] == want && nested_counts[i] == 3 * want, "%d threads, job %d: ran %d times, %d inside, not %d", threads, i, job_counts[i], nested_counts[i], want);
        }
        drl_ctx_destroy(job_ctx);
    }
#ifndef DRL_THREADS
    {
        drl_ctx_desc d;
        memset(&d, 0, sizeof d);
        d.threads = 2;
        CHECK(drl_ctx_create(&d, &job_ctx) == DRL_E_UNSUPPORTED, "2 threads without a pool or a hook");
    }
#endif
}

/* The host's floating-point mode: the bits do not depend on it, and each call gives it back, failing ones as well. Modes: three roundings,
 * flush-to-zero with denormals-are-zero, traps; set before the context and its pool are made, or after. */
#if defined(__unix__) || defined(__APPLE__)
#include <fenv.h>
#define MODES 1
#if defined(__GLIBC__) && !defined(__cplusplus) && !defined(__USE_GNU)
extern int feenableexcept(int exceptions);
extern int fedisableexcept(int exceptions);
extern int fegetexcept(void);
#endif
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

enum { MODE_PLAIN, MODE_UP, MODE_DOWN, MODE_ZERO, MODE_FLUSH, MODE_TRAPS, MODE_COUNT };
static const char *const mode_name[MODE_COUNT] = { "to nearest", "up", "down", "toward zero", "flushed", "traps" };
static int mode_now, mode_wrong;
static unsigned mode_traps;
static unsigned char mode_sink[2][1 << 18];
static size_t mode_bytes[2];
static int mode_at;

static void mode_set(int mode)
{
    mode_now = mode;
    fesetenv(FE_DFL_ENV);
#ifdef FE_UPWARD
    if (mode == MODE_UP) fesetround(FE_UPWARD);
    if (mode == MODE_DOWN) fesetround(FE_DOWNWARD);
    if (mode == MODE_ZERO) fesetround(FE_TOWARDZERO);
#endif
#ifdef __SSE2__
    if (mode == MODE_FLUSH) _mm_setcsr(0x9FC0u);
    if (mode == MODE_FLUSH && (_mm_getcsr() & 0x8040u) != 0x8040u) mode_now = MODE_PLAIN;      /* valgrind has no such bits */
#elif defined(__aarch64__)
    if (mode == MODE_FLUSH) __asm__ __volatile__("msr fpcr, %0" : : "r"((uint64_t)1 << 24));
#endif
#ifdef __GLIBC__
    if (mode == MODE_TRAPS) feenableexcept(FE_ALL_EXCEPT);
    mode_traps = (unsigned)fegetexcept();       /* ARM has none */
#endif
}

static void mode_look(const char *call)
{
    int good = fetestexcept(FE_ALL_EXCEPT) == 0;
#ifdef FE_UPWARD
    good = good && fegetround() == (mode_now == MODE_UP ? FE_UPWARD : mode_now == MODE_DOWN ? FE_DOWNWARD : mode_now == MODE_ZERO ? FE_TOWARDZERO : FE_TONEAREST);
#endif
#ifdef __SSE2__
    good = good && (_mm_getcsr() & 0x8040u) == (mode_now == MODE_FLUSH ? 0x8040u : 0);
#endif
#ifdef __GLIBC__
    good = good && (unsigned)fegetexcept() == mode_traps;
#endif
    if (good) return;
    ++mode_wrong;
    mode_set(mode_now);
    CHECK(good, "%s: the host's mode '%s' is another after it", call, mode_name[mode_now]);
}
#define HOST(call) (call, mode_look(#call))

static void mode_keep(const void *bytes, size_t size)
{
    CHECK(mode_bytes[mode_at] + size <= sizeof mode_sink[0], "the sink is full");
    if (mode_bytes[mode_at] + size > sizeof mode_sink[0]) return;
    memcpy(mode_sink[mode_at] + mode_bytes[mode_at], bytes, size);
    mode_bytes[mode_at] += size;
}

static double mode_clock(void *user) { return *(double *)user += 0.1; }

static void mode_ops(drl_ctx *ctx)
{
    static float x[2 * 8 * 8 * 8], y[2 * 8 * 8 * 8], w[8 * 8 * 9], packed[1 << 14], work[1 << 16];
    const drl_conv2d_desc plain = { 8, 8, 3, 0, 0 }, fast = { 8, 8, 3, 1, 0 };
    const drl_conv2d_desc *conv[2];
    const uint32_t tiny = 0x00012345u;
    drl_tensor tx, ty;
    drl_rng rng = { 5, 0, 0 };
    size_t i;
    int k;
    conv[0] = &plain; conv[1] = &fast;
    HOST(drl_rng_normals(ctx, &rng, x, sizeof x / sizeof x[0]));
    HOST(drl_rng_normals(ctx, &rng, w, sizeof w / sizeof w[0]));
    mode_keep(x, sizeof x);
    tx = drl_tensor_of(x, 2, 8, 8, 8); ty = drl_tensor_of(y, 2, 8, 8, 8);
    for (k = 0; k < 2; ++k) {
        HOST(drl_conv2d_pack(ctx, conv[k], 0, w, 0.3f, packed));
        HOST(drl_conv2d_forward(ctx, conv[k], &tx, packed, NULL, &ty, work));
        mode_keep(y, sizeof y);
        HOST(drl_conv2d_param_grad(ctx, conv[k], &tx, &ty, w, NULL, work));
        mode_keep(w, sizeof w);
    }
    for (i = 0; i < sizeof x / sizeof x[0]; ++i) memcpy(&x[i], &tiny, 4);       /* 1e-40 */
    for (k = 0; k < 2; ++k) {
        HOST(drl_conv2d_pack(ctx, conv[k], 0, w, 0.3f, packed));
        HOST(drl_conv2d_forward(ctx, conv[k], &tx, packed, NULL, &ty, work));
        mode_keep(y, sizeof y);
    }
    HOST(drl_conv2d_forward(ctx, conv[0], &tx, NULL, NULL, &ty, work));         /* refused */
    drl_ctx_clear(ctx);
}

static void mode_model(drl_ctx *ctx)
{
    static float images[4 * 64], f[4], gradient[4 * 64];
    static unsigned char file[1 << 20], idx[16 + 8 * 64];
    static const unsigned char idx_head[16] = { 0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8 };
    drl_model_desc md;
    drl_train_desc td;
    drl_sample_desc sd;
    drl_run_desc rd;
    drl_train_report report;
    drl_model *m = NULL, *again = NULL;
    drl_trainer *tr = NULL;
    drl_dataset *data = NULL;
    drl_blob blob;
    drl_status status;
    drl_rng rng = { 11, 0, 0 };
    size_t bytes = 0;
    double now = 0;
    int i;
    memset(&md, 0, sizeof md); memset(&td, 0, sizeof td); memset(&sd, 0, sizeof sd); memset(&rd, 0, sizeof rd);
    memset(&report, 0, sizeof report);
    memcpy(idx, idx_head, 16);
    for (i = 0; i < 8 * 64; ++i) idx[16 + i] = (unsigned char)(i * 37 % 251);
    blob.data = idx; blob.bytes = sizeof idx;
    md.height = md.width = 8; md.channels = 1; md.base = 8; md.batch = 4; md.levels = 3; md.steps = 2; md.trainable = 1;
    md.b2 = 1.0 / 4096 + 1.0 / 3e6;
    td.batch = 4;
    sd.count = 2;
    HOST(status = drl_dataset_parse(ctx, &blob, 1, NULL, &data));
    HOST(status = status == DRL_OK ? drl_model_create(ctx, &md, 3, &m) : status);
    HOST(status = status == DRL_OK ? drl_trainer_create(m, &td, &tr) : status);
    CHECK(status == DRL_OK, "a model and its data: %s", drl_ctx_message(ctx));
    if (status != DRL_OK) return;
    HOST(drl_dataset_batch(ctx, data, &rng, 4, 8, 8, images, NULL));
    mode_keep(images, sizeof images);
    HOST(status = drl_trainer_step(tr, images, NULL, &report));
    CHECK(status == DRL_OK, "a step: %s", drl_ctx_message(ctx));
    rd.steps = 3; rd.seconds = 0; rd.clock = mode_clock; rd.user = &now;
    HOST(status = drl_train(tr, data, &rd));
    CHECK(status == DRL_OK, "training: %s", drl_ctx_message(ctx));
    HOST(status = drl_model_score(m, 1, 4, images, NULL, f, gradient));
    CHECK(status == DRL_OK, "f: %s", drl_ctx_message(ctx));
    mode_keep(f, sizeof f); mode_keep(gradient, sizeof gradient);
    HOST(status = drl_sample(m, &sd, images));
    CHECK(status == DRL_OK, "samples: %s", drl_ctx_message(ctx));
    mode_keep(images, 2 * 64 * sizeof images[0]);
    HOST(drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &bytes));
    HOST(status = bytes <= sizeof file ? drl_model_save_memory(m, DRL_DTYPE_F32, file, sizeof file, &bytes)
                                      : DRL_E_MEMORY);
    CHECK(status == DRL_OK, "saved: %lu bytes", (unsigned long)bytes);
    if (status == DRL_OK) mode_keep(file, bytes < 100000 ? bytes : 100000);
    HOST(status = drl_model_load_memory(ctx, file, bytes, NULL, &again));
    CHECK(status == DRL_OK, "loaded: %s", drl_ctx_message(ctx));
    if (again) { HOST(drl_model_describe(again, &md)); mode_keep(&md.b2, sizeof md.b2); }
    HOST(drl_model_load_memory(ctx, file, 100, NULL, &again));                  /* refused */
    mode_keep(drl_ctx_message(ctx), strlen(drl_ctx_message(ctx)));
    drl_ctx_clear(ctx);
    drl_model_destroy(again);
    drl_trainer_destroy(tr); drl_model_destroy(m); drl_dataset_destroy(data);
}

static void mode_chains(drl_ctx *ctx)
{
    static double memory[64], work[4096], number;
    static float a[400], b[400];
    const double weight[2] = { 0.25, 0.75 }, mean[4] = { -1, 0.3, 0.7, 0 }, variance[4] = { 0.1, 0.2, 0.3, 0.1 };
    drl_schedule schedule;
    drl_mixture mixture;
    drl_mcmc_desc d;
    drl_mcmc *chains = NULL;
    drl_energy energy;
    drl_rng rng = { 9, 0, 0 };
    int kernel;
    memset(memory, 0, sizeof memory);
    HOST(drl_schedule_standard(DRL_SCHEDULE_T1K, 6, memory, &schedule)); mode_keep(memory, 30 * sizeof memory[0]);
    HOST(drl_schedule_standard(DRL_SCHEDULE_CDRL, 6, memory, &schedule)); mode_keep(memory, 30 * sizeof memory[0]);
    HOST(drl_schedule_standard(DRL_SCHEDULE_DRL, 6, memory, &schedule)); mode_keep(memory, 30 * sizeof memory[0]);
    HOST(drl_schedule_standard(DRL_SCHEDULE_DRL, -6, memory, &schedule));                              /* refused */
    HOST(number = drl_bits_per_dim(-1234.56, 77, 0.1)); mode_keep(&number, sizeof number);
    memset(&mixture, 0, sizeof mixture);
    mixture.schedule = &schedule; mixture.size = 2; mixture.components = 2;
    mixture.weight = weight; mixture.mean = mean; mixture.variance = variance;
    energy = drl_mixture_energy(&mixture);
    for (kernel = 0; kernel < 3; ++kernel) {
        memset(&d, 0, sizeof d);
        d.count = 3; d.kernel = (drl_mcmc_kernel)kernel; d.schedule = &schedule; d.level = 1;
        chains = NULL;
        HOST(drl_mcmc_create(ctx, &energy, &d, &chains));
        CHECK(chains != NULL, "chains: %s", drl_ctx_message(ctx));
        HOST(drl_mcmc_run(chains, 20));
        if (chains) mode_keep(chains->y, 6 * sizeof(float));
        drl_mcmc_destroy(chains);
    }
    HOST(drl_rng_normals(ctx, &rng, a, 400)); HOST(drl_rng_normals(ctx, &rng, b, 400));
    HOST(drl_frechet(ctx, a, 100, b, 100, 4, work, &number)); mode_keep(&number, sizeof number);
    HOST(drl_auroc(ctx, a, 400, b, 400, &number)); mode_keep(&number, sizeof number);
    CHECK(drl_ctx_status(ctx) == DRL_OK, "%s", drl_ctx_message(ctx));
}

/* The host's own jobs, each of which finds a mode of its thread's: here the calling one's, changed before every job. */
static int mode_worker;
static void mode_hook(void *user, int count, drl_job_fn job, void *arg)
{
    const unsigned traps = mode_traps;
    int i, was = mode_now;
    fenv_t env;
    (void)user;
    fegetenv(&env);
    for (i = count - 1; i >= 0; --i) {
        mode_set((mode_worker + i) % MODE_COUNT);
        job(arg, i);
        mode_look("a job");
    }
    mode_now = was;
    mode_traps = traps;
    fesetenv(&env);                 /* a hook gives back the mode in which it is called */
}

static void modes(void)
{
    void (*const work[3])(drl_ctx *ctx) = { mode_ops, mode_model, mode_chains };
    static const char *const work_name[3] = { "operations", "a model", "chains" };
    int mode, threads, before, k;
    for (k = 0; k < 3; ++k) for (mode = 0; mode < MODE_COUNT; ++mode) for (threads = 1; threads <= 5; ++threads) for (before = 0; before < 2; ++before) {
        drl_ctx_desc d;
        drl_ctx *ctx = NULL;
        const char *how = threads == 5 ? "the host's jobs" : "the pool";
#ifndef DRL_THREADS
        if (threads > 1 && threads < 5) continue;
#endif
        if (threads == 3 || (before && threads == 1)) continue;
        memset(&d, 0, sizeof d);
        d.threads = threads;
        if (threads == 5) { d.threads = 4; d.jobs.parallel_for = mode_hook; mode_worker = mode + before; }
        mode_at = mode || threads > 1 || before;
        mode_bytes[mode_at] = 0;
        if (before) mode_set(mode);
        drl_ctx_create(&d, &ctx);
        if (!before) mode_set(mode);
        CHECK(ctx != NULL, "%d threads", threads);
        if (ctx) work[k](ctx);
        mode_set(MODE_PLAIN);
        drl_ctx_destroy(ctx);
        CHECK(mode_bytes[0] == mode_bytes[mode_at] && !memcmp(mode_sink[0], mode_sink[mode_at], mode_bytes[0]),
            "%s: other bits with %d threads of %s, the host's mode '%s'%s", work_name[k], d.threads, how, mode_name[mode],
            before ? " set before" : "");
    }
    CHECK(!mode_wrong, "%d calls change the host's mode", mode_wrong);
}
#endif

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    PART(creation());
    PART(errors());
    PART(block());
    PART(block_orders());
    PART(reload());
    PART(jobs());
#ifdef POOL
    PART(pool());
    PART(forks());
#endif
#ifdef MODES
    PART(modes());
#endif
    return check_report("test_context");
}
