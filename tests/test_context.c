/* test_context.c - contexts: creation, the first error and its text, allocation from a heap and from a
 * caller's block, jobs and the pool, processes that fork, the host's floating-point mode. */
#if defined(DRL_THREADS) && !defined(_WIN32)
#define POOL 1
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static int threads_left = 1000;         /* so many threads the system still starts */
#define pthread_create(thread, attributes, function, arg) \
    (threads_left-- > 0 ? (pthread_create)(thread, attributes, function, arg) : 1)
#endif
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

/* The version as text, and as three numbers. */
static void version(void)
{
    char numbers[40];
    snprintf(numbers, sizeof numbers, "%d.%d.%d", DRL_VERSION_MAJOR, DRL_VERSION_MINOR, DRL_VERSION_PATCH);
    CHECK(!strcmp(numbers, DRL_VERSION_STRING), "the text is %s, the numbers %s", DRL_VERSION_STRING,
          numbers);
}

/* -- creation -- */

static void defaults(void)
{
    drl_ctx *ctx = NULL;
    int status;
    CHECK(drl_ctx_create(NULL, NULL) == DRL_E_ARGUMENT, "no place for the result");
    CHECK(drl_ctx_create(NULL, &ctx) == DRL_OK && ctx, "all defaults");
    CHECK(drl_ctx_threads(ctx) == 1, "%d threads", drl_ctx_threads(ctx));
    CHECK(drl_ctx_isa(ctx) != DRL_ISA_AUTO, "no set is chosen");
    CHECK(drl_ctx_status(ctx) == DRL_OK && !drl_ctx_message(ctx)[0], "a fresh context has no failure");
    drl_ctx_destroy(ctx);
    drl_ctx_destroy(NULL);
    for (status = -1; status < 20; ++status)
        CHECK(drl_status_text((drl_status)status)[0], "status %d has a text", status);
}

static void creation_refused(const drl_ctx_desc *d, drl_status want, const char *what)
{
    drl_ctx *ctx = NULL;
    drl_status status = drl_ctx_create(d, &ctx);
    CHECK(status == want && !ctx, "%s: %s", what, drl_status_text(status));
}

/* Descriptions that cannot be, no memory, a set that there is not; then each set of this machine. */
static void creation(void)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    check_heap heap;
    int isa;
    memset(&heap, 0, sizeof heap);
    memset(&d, 0, sizeof d);
    d.threads = -1;
    creation_refused(&d, DRL_E_ARGUMENT, "negative threads");
    d.threads = 65;
    creation_refused(&d, DRL_E_ARGUMENT, "65 threads");
    d.threads = 0;
    d.allocator.alloc_fn = check_alloc;
    creation_refused(&d, DRL_E_ARGUMENT, "half an allocator");
    d.allocator.free_fn = check_free;
    d.allocator.user = &heap;
    d.memory = &heap;
    creation_refused(&d, DRL_E_ARGUMENT, "memory without a size");
    d.memory_size = sizeof heap;
    creation_refused(&d, DRL_E_ARGUMENT, "memory and an allocator");
    d.memory = NULL;
    d.memory_size = 0;
    heap.fail_at = 1;
    creation_refused(&d, DRL_E_MEMORY, "no memory");
    d.isa = (drl_isa)99;
    creation_refused(&d, DRL_E_UNSUPPORTED, "no such set");
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa) {
        d.isa = (drl_isa)isa;
        if (drl_ctx_create(&d, &ctx) != DRL_OK) continue;
        CHECK(drl_ctx_isa(ctx) == d.isa && drl_isa_name(d.isa)[0], "forced set %d", isa);
        drl_ctx_destroy(ctx);
        ctx = NULL;
    }
    CHECK(!heap.live && !heap.bytes, "%ld blocks, %lu bytes left", heap.live, (unsigned long)heap.bytes);
}

/* -- errors -- */

/* The first failure stays, with its sentence, until it is cleared. */
static void first_error(void)
{
    drl_ctx *ctx = NULL;
    drl_status status;
    drl_ctx_create(NULL, &ctx);
    status = drl__fail(ctx, DRL_E_SHAPE, "%d of %z, %s%c %u", -7, (size_t)12, "yes", '!', (uint64_t)-1);
    CHECK(status == DRL_E_SHAPE, "status %d", (int)status);
    CHECK(!strcmp(drl_ctx_message(ctx), "-7 of 12, yes! 18446744073709551615"), "'%s'", drl_ctx_message(ctx));
    drl__fail(ctx, DRL_E_MEMORY, "second");
    CHECK(drl_ctx_status(ctx) == DRL_E_SHAPE && drl_ctx_message(ctx)[0] == '-', "the first failure stays");
    drl_ctx_clear(ctx);
    CHECK(drl_ctx_status(ctx) == DRL_OK && !drl_ctx_message(ctx)[0], "cleared");
    CHECK(!drl__alloc(ctx, SIZE_MAX) && drl_ctx_status(ctx) == DRL_E_MEMORY, "SIZE_MAX bytes");
    drl_ctx_destroy(ctx);
}

/* Numbers in sentences, as printf's %g writes them, but with exponents as short as they can be. The table is
 * not static, because infinity is no constant to every compiler. */
static void numbers_as_text(void)
{
    const struct { double v; const char *text; } number[] = {
        { 0, "0" },
        { 1, "1" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 0.99, "0.99" },
        { 2e-4, "0.0002" },
        { 1e-5, "1e-5" },
        { 100, "100" },
        { 123456, "123456" },
        { 1234567, "1.23457e6" },
        { 999999.9, "1e6" },
        { 0.000123456789, "0.000123457" },
        { 3.14159265, "3.14159" },
        { 1e300, "1e300" },
        { 1e-300, "1e-300" },
        { HUGE_VAL, "inf" },
        { -HUGE_VAL, "-inf" },
        { (double)NAN, "nan" }
    };
    char text[64];
    size_t i;
    for (i = 0; i < sizeof number / sizeof number[0]; ++i) {
        drl__text(text, sizeof text, "%g", number[i].v);
        CHECK(!strcmp(text, number[i].text), "%s, not %s", text, number[i].text);
    }
    drl__text(text, 8, "%s", "longer than that");
    CHECK(!strcmp(text, "longer "), "cut at '%s'", text);
}

/* -- a caller's block -- */

/* Eight pieces in a block of any alignment, given back out of order; the block is whole again, and the byte
 * behind it is as before. */
static void block(void)
{
    static unsigned char memory[20000];
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    unsigned char *p[8];
    size_t start;
    int i;
    memset(&d, 0, sizeof d);
    d.memory = memory + 3;
    d.memory_size = 100;
    creation_refused(&d, DRL_E_MEMORY, "100 bytes are too few");
    d.memory_size = sizeof memory - 4;
    memory[sizeof memory - 1] = 0x5A;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
    start = drl_ctx_bytes_used(ctx);
    for (i = 0; i < 8; ++i) {
        p[i] = (unsigned char *)drl__alloc(ctx, 1000 + (size_t)i);
        CHECK(p[i] && (uintptr_t)p[i] % DRL__ALIGN == 0, "piece %d is not aligned", i);
        CHECK(p[i] >= memory && p[i] + 1000 + i <= memory + sizeof memory, "piece %d is outside", i);
        if (p[i]) memset(p[i], i, 1000 + (size_t)i);
    }
    for (i = 0; i < 8; ++i) CHECK(p[i][0] == i && p[i][999 + i] == i, "piece %d is overwritten", i);
    CHECK(!drl__alloc(ctx, 20000) && drl_ctx_status(ctx) == DRL_E_MEMORY, "the block is full");
    CHECK(drl_ctx_message(ctx)[0], "full without a sentence");
    drl_ctx_clear(ctx);
    for (i = 0; i < 8; i += 2) drl__free(ctx, p[i]);
    for (i = 7; i > 0; i -= 2) drl__free(ctx, p[i]);
    CHECK(drl_ctx_bytes_used(ctx) == start, "%lu bytes held after all is freed",
          (unsigned long)(drl_ctx_bytes_used(ctx) - start));
    CHECK(drl__alloc(ctx, 15000) != NULL, "the block is whole again: %s", drl_ctx_message(ctx));
    CHECK(drl_ctx_bytes_peak(ctx) >= 15000, "a peak of %lu bytes", (unsigned long)drl_ctx_bytes_peak(ctx));
    CHECK(memory[sizeof memory - 1] == 0x5A, "the byte behind the block");
    drl_ctx_destroy(ctx);
}

/* A block in the middle of `memory`, and 40 places for pieces of it, each filled with a byte of its own. */
enum { FRONT = 129, BEHIND = 64, PIECES = 40 };
typedef struct pieces {
    unsigned char memory[70000];
    unsigned char *at[PIECES], fill[PIECES];
    size_t size[PIECES];
    int refused;
} pieces;

static void piece_give_back(pieces *b, drl_ctx *ctx, int k, int round)
{
    size_t i;
    for (i = 0; i < b->size[k] && b->at[k][i] == b->fill[k]; ++i) {}
    CHECK(i == b->size[k], "round %d: byte %lu of a piece is overwritten", round, (unsigned long)i);
    drl__free(ctx, b->at[k]);
    b->at[k] = NULL;
}

static void piece_take(pieces *b, drl_ctx *ctx, int k, int round, size_t size)
{
    unsigned char *p = (unsigned char *)drl__alloc(ctx, size);
    if (!p) {
        ++b->refused;
        drl_ctx_clear(ctx);
        return;
    }
    CHECK((uintptr_t)p % DRL__ALIGN == 0, "round %d: a piece is not aligned", round);
    CHECK(p >= b->memory + FRONT && p + size <= b->memory + sizeof b->memory - BEHIND,
          "round %d: a piece is outside of the block", round);
    b->at[k] = p;
    b->size[k] = size;
    b->fill[k] = (unsigned char)round;
    memset(p, b->fill[k], size);
}

/* Random orders of taking and giving back: no piece overlaps another or leaves the block, what is counted is
 * what is held, and the block is whole in the end. */
static void block_orders(void)
{
    static pieces b;
    size_t start, whole, i;
    drl_rng rng = { 7, 0, 0 };
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    void *all = NULL;
    int round, k;
    memset(b.memory, 0xA5, sizeof b.memory);
    memset(&d, 0, sizeof d);
    d.memory = b.memory + FRONT;
    d.memory_size = sizeof b.memory - FRONT - BEHIND;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
    if (!ctx) return;
    start = drl_ctx_bytes_used(ctx);
    for (whole = d.memory_size; whole && !(all = drl__alloc(ctx, whole)); --whole) drl_ctx_clear(ctx);
    CHECK(whole > sizeof b.memory - 3000, "only %lu bytes in one piece", (unsigned long)whole);
    drl__free(ctx, all);
    for (round = 0; round < 20000; ++round) {
        k = drl_rng_below(&rng, PIECES);
        if (b.at[k]) piece_give_back(&b, ctx, k, round);
        else piece_take(&b, ctx, k, round, (size_t)drl_rng_below(&rng, round % 3 ? 600 : 12000));
    }
    CHECK(b.refused > 10, "the block is never full: nothing is tried");
    for (k = 0; k < PIECES; ++k) drl__free(ctx, b.at[k]);
    CHECK(drl_ctx_bytes_used(ctx) == start, "%lu bytes held after all is freed",
          (unsigned long)(drl_ctx_bytes_used(ctx) - start));
    CHECK(drl__alloc(ctx, whole) != NULL, "the block is whole again: %s", drl_ctx_message(ctx));
    drl_ctx_destroy(ctx);
    for (i = 0; i < FRONT; ++i)
        CHECK(b.memory[i] == 0xA5, "byte %lu in front of the block", (unsigned long)i);
    for (i = sizeof b.memory - BEHIND; i < sizeof b.memory; ++i)
        CHECK(b.memory[i] == 0xA5, "byte %lu behind the block", (unsigned long)i);
}

/* A small model's file, and how many bytes the model takes. */
static unsigned char *model_file(size_t *file_bytes, size_t *model_bytes)
{
    drl_model_desc d;
    drl_ctx *ctx = NULL;
    drl_model *m = NULL;
    unsigned char *file;
    memset(&d, 0, sizeof d);
    d.channels = 1;
    d.height = d.width = 8;
    d.batch = 2;
    drl_ctx_create(NULL, &ctx);
    CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
    CHECK_OK(ctx, drl_model_size(ctx, &d, model_bytes));
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, file_bytes));
    file = (unsigned char *)malloc(*file_bytes);
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, file, *file_bytes, file_bytes));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return file;
}

/* Hot reload: the new model is loaded, then the old one destroyed, up to 300 times, in a block of seven times
 * a model. A block that is too small for two models says so at the second load. */
static void reload(void)
{
    static const size_t models[2] = { 7, 2 };
    size_t bytes = 0, file_bytes = 0, i;
    unsigned char *file = model_file(&file_bytes, &bytes), *memory;
    for (i = 0; i < 2; ++i) {
        drl_ctx_desc d;
        drl_ctx *ctx = NULL;
        drl_model *now = NULL, *next;
        int loads, failed = 0;
        memset(&d, 0, sizeof d);
        d.memory_size = bytes * models[i];
        d.memory = memory = (unsigned char *)malloc(d.memory_size);
        CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "in a block");
        for (loads = 0; loads < 300 && !failed; ++loads) {
            next = NULL;
            failed = drl_model_load_memory(ctx, file, file_bytes, NULL, &next) != DRL_OK;
            if (failed) continue;
            drl_model_destroy(now);
            now = next;
        }
        if (models[i] == 7) {
            CHECK(!failed, "load %d with %lu of %lu bytes in use: %s", loads,
                  (unsigned long)drl_ctx_bytes_used(ctx), (unsigned long)d.memory_size, drl_ctx_message(ctx));
        } else {
            CHECK(failed && loads == 2, "the block of two models: load %d", loads);
            CHECK(drl_ctx_status(ctx) == DRL_E_MEMORY && strstr(drl_ctx_message(ctx), "in one piece"),
                  "the block of two models: %s", drl_ctx_message(ctx));
        }
        drl_model_destroy(now);
        drl_ctx_destroy(ctx);
        free(memory);
    }
    free(file);
}

/* -- jobs -- */

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

/* Every index once a call, also when jobs start jobs: those run inside. */
static void jobs_with(int threads)
{
    drl_ctx_desc d;
    int i, round;
    memset(&d, 0, sizeof d);
    memset(job_counts, 0, sizeof job_counts);
    memset(nested_counts, 0, sizeof nested_counts);
    d.threads = threads;
    job_ctx = NULL;
    CHECK(drl_ctx_create(&d, &job_ctx) == DRL_OK, "%d threads", threads);
    if (!job_ctx) return;
    for (round = 0; round < 500; ++round) drl__parallel(job_ctx, 1 + round % threads, outer, job_counts);
    for (i = 0; i < threads; ++i) {
        int want = 0;
        for (round = 0; round < 500; ++round) want += i < 1 + round % threads;
        CHECK(job_counts[i] == want, "%d threads, job %d: ran %d times, not %d",
              threads, i, job_counts[i], want);
        CHECK(nested_counts[i] == 3 * want, "%d threads, job %d: %d jobs inside, not %d",
              threads, i, nested_counts[i], 3 * want);
    }
    drl_ctx_destroy(job_ctx);
}

static void jobs(void)
{
#ifdef DRL_THREADS
    int threads;
    for (threads = 1; threads <= 7; ++threads) jobs_with(threads);
#else
    drl_ctx_desc d;
    jobs_with(1);
    memset(&d, 0, sizeof d);
    d.threads = 2;
    creation_refused(&d, DRL_E_UNSUPPORTED, "2 threads without a pool or a hook");
#endif
}

#ifdef POOL
static pthread_mutex_t meeting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t someone = PTHREAD_COND_INITIALIZER;
static int arrived;

/* Waits until all jobs of the call have come. */
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

/* All jobs of a call run at the same time, one a thread. Where the system starts too few threads, there is no
 * context, and nothing is left of it. */
static void pool(void)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    check_heap heap;
    int threads, round;
    memset(&heap, 0, sizeof heap);
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = check_alloc;
    d.allocator.free_fn = check_free;
    d.allocator.user = &heap;
    for (threads = 2; threads <= 5; ++threads) {
        d.threads = threads;
        CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "%d threads", threads);
        arrived = 0;
        for (round = 0; round < 3; ++round) drl__parallel(ctx, threads, meet, &threads);
        CHECK(arrived == 3 * threads, "%d threads: %d jobs have met, not %d", threads, arrived, 3 * threads);
        drl_ctx_destroy(ctx);
        ctx = NULL;
        threads_left = threads - 2;
        creation_refused(&d, DRL_E_UNSUPPORTED, "a thread too few");
        CHECK(!heap.live, "%d of %d threads: %ld blocks left", threads - 1, threads, heap.live);
        threads_left = 1000;
    }
}

#define FORK_NORMALS 4099
#define FORK_THREADS 4

/* In the child: jobs run, random numbers are the parent's, the context can be destroyed. A child that hangs
 * is ended by its alarm. Returns the exit code. */
static int child_works(drl_ctx *ctx, int *counts, const float *want)
{
    static float got[FORK_NORMALS];
    drl_rng rng = { 3, 0, 0 };
    int i;
    alarm(20);
    drl__parallel(ctx, FORK_THREADS, inner, counts);
    drl_rng_normals(ctx, &rng, got, FORK_NORMALS);
    drl_ctx_destroy(ctx);
    for (i = 0; i < FORK_THREADS; ++i) if (counts[i] != 2) return 1;
    return memcmp(want, got, sizeof got) != 0;
}

/* Forked straight after a call, when workers may still hold the pool's mutex, 300 times. */
static void forks(void)
{
    static float want[FORK_NORMALS];
    drl_rng rng = { 3, 0, 0 };
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    int round, status, counts[FORK_THREADS];
    memset(&d, 0, sizeof d);
    d.threads = FORK_THREADS;
    CHECK(drl_ctx_create(&d, &ctx) == DRL_OK, "%d threads", FORK_THREADS);
    if (!ctx) return;
    drl_rng_normals(ctx, &rng, want, FORK_NORMALS);
    for (round = 0; round < 300; ++round) {
        pid_t child;
        memset(counts, 0, sizeof counts);
        drl__parallel(ctx, FORK_THREADS, inner, counts);
        child = fork();
        if (!child) _exit(child_works(ctx, counts, want));
        if (child < 0 || waitpid(child, &status, 0) != child) {
            CHECK(0, "child %d cannot be made", round);
            break;
        }
        CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "child %d: %s", round,
              WIFEXITED(status) ? "other numbers" : "hangs");
        if (!WIFEXITED(status)) break;
    }
    drl__parallel(ctx, FORK_THREADS, inner, counts);
    CHECK(counts[0] == 2 && counts[3] == 2, "the parent goes on");
    drl_ctx_destroy(ctx);
}
#endif

/* -- the host's floating-point mode --
 * Bits do not depend on it, and each call gives it back, failing ones as well. Modes: three roundings,
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
#define FLUSH_BITS 0x8040u              /* flush-to-zero and denormals-are-zero of the control register */
#endif

enum { MODE_PLAIN, MODE_UP, MODE_DOWN, MODE_ZERO, MODE_FLUSH, MODE_TRAPS, MODE_COUNT };
static const char *const mode_name[MODE_COUNT] = {
    "to nearest", "up", "down", "toward zero", "flushed", "traps"
};
static int mode_now, mode_wrong;
static unsigned mode_traps;

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
    if (mode == MODE_FLUSH) {
        _mm_setcsr(0x9FC0u);
        if ((_mm_getcsr() & FLUSH_BITS) != FLUSH_BITS) mode_now = MODE_PLAIN;       /* under valgrind */
    }
#elif defined(__aarch64__)
    if (mode == MODE_FLUSH) __asm__ __volatile__("msr fpcr, %0" : : "r"((uint64_t)1 << 24));
#endif
#ifdef __GLIBC__
    if (mode == MODE_TRAPS) feenableexcept(FE_ALL_EXCEPT);
    mode_traps = (unsigned)fegetexcept();           /* ARM has none */
#endif
}

#ifdef FE_UPWARD
static int mode_rounding(void)
{
    switch (mode_now) {
    case MODE_UP: return FE_UPWARD;
    case MODE_DOWN: return FE_DOWNWARD;
    case MODE_ZERO: return FE_TOWARDZERO;
    default: return FE_TONEAREST;
    }
}
#endif

/* The mode is the one that was set, and no exception has been raised. */
static void mode_look(const char *call)
{
    int good = fetestexcept(FE_ALL_EXCEPT) == 0;
#ifdef FE_UPWARD
    good = good && fegetround() == mode_rounding();
#endif
#ifdef __SSE2__
    good = good && (_mm_getcsr() & FLUSH_BITS) == (mode_now == MODE_FLUSH ? FLUSH_BITS : 0);
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

/* As HOST, for a call whose status has to be DRL_OK. */
#define HOST_OK(ctx, call)                                                              \
    do {                                                                                \
        drl_status host_status_ = (call);                                               \
        mode_look(#call);                                                               \
        CHECK(host_status_ == DRL_OK, "%s: %s", #call, drl_ctx_message(ctx));           \
    } while (0)

/* What calls have made: keep[0] of the first run, which has no mode, keep[1] of the run with a mode. */
static unsigned char keep[2][1 << 18];
static size_t keep_bytes[2];
static int keep_at;

static void mode_keep(const void *bytes, size_t size)
{
    CHECK(keep_bytes[keep_at] + size <= sizeof keep[0], "there is no room for more results");
    if (keep_bytes[keep_at] + size > sizeof keep[0]) return;
    memcpy(keep[keep_at] + keep_bytes[keep_at], bytes, size);
    keep_bytes[keep_at] += size;
}

static double mode_clock(void *user) { return *(double *)user += 0.1; }

/* Random numbers and convolutions; of denormal numbers, too, which flushing would make 0. */
static void mode_ops(drl_ctx *ctx)
{
    static float x[2 * 8 * 8 * 8], y[2 * 8 * 8 * 8], w[8 * 8 * 9], packed[1 << 14], work[1 << 16];
    const drl_conv2d_desc conv[2] = { { 8, 8, 3, 0, 0 }, { 8, 8, 3, 1, 0 } };
    const uint32_t tiny = 0x00012345u;              /* 1e-40 */
    drl_tensor tx = drl_tensor_of(x, 2, 8, 8, 8), ty = drl_tensor_of(y, 2, 8, 8, 8);
    drl_rng rng = { 5, 0, 0 };
    size_t i;
    int k;
    HOST(drl_rng_normals(ctx, &rng, x, sizeof x / sizeof x[0]));
    HOST(drl_rng_normals(ctx, &rng, w, sizeof w / sizeof w[0]));
    mode_keep(x, sizeof x);
    for (k = 0; k < 2; ++k) {
        HOST(drl_conv2d_pack(ctx, &conv[k], 0, w, 0.3f, packed));
        HOST(drl_conv2d_forward(ctx, &conv[k], &tx, packed, NULL, &ty, work));
        mode_keep(y, sizeof y);
        HOST(drl_conv2d_param_grad(ctx, &conv[k], &tx, &ty, w, NULL, work));
        mode_keep(w, sizeof w);
    }
    for (i = 0; i < sizeof x / sizeof x[0]; ++i) memcpy(&x[i], &tiny, 4);
    for (k = 0; k < 2; ++k) {
        HOST(drl_conv2d_pack(ctx, &conv[k], 0, w, 0.3f, packed));
        HOST(drl_conv2d_forward(ctx, &conv[k], &tx, packed, NULL, &ty, work));
        mode_keep(y, sizeof y);
    }
    HOST(drl_conv2d_forward(ctx, &conv[0], &tx, NULL, NULL, &ty, work));            /* refused */
    drl_ctx_clear(ctx);
}

/* Eight images of 8 x 8 pixels from an IDX file in memory. */
static drl_dataset *mode_images(drl_ctx *ctx)
{
    static const unsigned char head[16] = { 0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8 };
    static unsigned char idx[16 + 8 * 64];
    drl_dataset *data = NULL;
    drl_blob blob;
    int i;
    memcpy(idx, head, sizeof head);
    for (i = 0; i < 8 * 64; ++i) idx[16 + i] = (unsigned char)(i * 37 % 251);
    blob.data = idx;
    blob.bytes = sizeof idx;
    HOST_OK(ctx, drl_dataset_parse(ctx, &blob, 1, NULL, &data));
    return data;
}

/* Training, f and its gradient, samples. */
static void mode_train_and_sample(drl_ctx *ctx, drl_model *m, drl_trainer *tr, const drl_dataset *data)
{
    static float images[4 * 64], f[4], gradient[4 * 64];
    drl_sample_desc how;
    drl_run_desc run;
    drl_train_report report;
    drl_rng rng = { 11, 0, 0 };
    double now = 0;
    memset(&how, 0, sizeof how);
    memset(&run, 0, sizeof run);
    memset(&report, 0, sizeof report);
    how.count = 2;
    run.steps = 3;
    run.clock = mode_clock;
    run.user = &now;
    HOST(drl_dataset_batch(ctx, data, &rng, 4, 8, 8, images, NULL));
    mode_keep(images, sizeof images);
    HOST_OK(ctx, drl_trainer_step(tr, images, NULL, &report));
    HOST_OK(ctx, drl_train(tr, data, &run));
    HOST_OK(ctx, drl_model_score(m, 1, 4, images, NULL, f, gradient));
    mode_keep(f, sizeof f);
    mode_keep(gradient, sizeof gradient);
    HOST_OK(ctx, drl_sample(m, &how, images));
    mode_keep(images, 2 * 64 * sizeof images[0]);
}

/* Saved, loaded, described; half a file is refused. */
static void mode_save_and_load(drl_ctx *ctx, drl_model *m)
{
    static unsigned char file[1 << 20];
    drl_model *again = NULL;
    drl_model_desc d;
    size_t bytes = 0;
    HOST_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &bytes));
    HOST_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, file, sizeof file, &bytes));
    mode_keep(file, bytes < 100000 ? bytes : 100000);
    HOST_OK(ctx, drl_model_load_memory(ctx, file, bytes, NULL, &again));
    if (again) {
        HOST(drl_model_describe(again, &d));
        mode_keep(&d.b2, sizeof d.b2);
    }
    drl_model_destroy(again);
    again = NULL;
    HOST(drl_model_load_memory(ctx, file, 100, NULL, &again));                      /* refused */
    mode_keep(drl_ctx_message(ctx), strlen(drl_ctx_message(ctx)));
    drl_ctx_clear(ctx);
}

static void mode_model(drl_ctx *ctx)
{
    drl_dataset *data = mode_images(ctx);
    drl_model_desc md;
    drl_train_desc td;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    memset(&md, 0, sizeof md);
    memset(&td, 0, sizeof td);
    md.height = md.width = 8;
    md.channels = 1;
    md.base = 8;
    md.batch = 4;
    md.levels = 3;
    md.steps = 2;
    md.trainable = 1;
    md.b2 = 1.0 / 4096 + 1.0 / 3e6;                 /* as text in the file, with all its digits */
    td.batch = 4;
    HOST_OK(ctx, drl_model_create(ctx, &md, 3, &m));
    HOST_OK(ctx, drl_trainer_create(m, &td, &tr));
    if (data && tr) {
        mode_train_and_sample(ctx, m, tr, data);
        mode_save_and_load(ctx, m);
    }
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_dataset_destroy(data);
}

/* Schedules, chains of a mixture with every kernel, metrics. */
static void mode_chains(drl_ctx *ctx)
{
    static const drl_schedule_kind kinds[3] = { DRL_SCHEDULE_T1K, DRL_SCHEDULE_CDRL, DRL_SCHEDULE_DRL };
    static const double weight[2] = { 0.25, 0.75 }, mean[4] = { -1, 0.3, 0.7, 0 };
    static const double variance[4] = { 0.1, 0.2, 0.3, 0.1 };
    static const double sbar[7] = { 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999 };
    static double memory[28], work[4096], number;
    static float a[400], b[400];
    drl_schedule schedule;
    drl_mixture mixture;
    drl_energy energy;
    drl_rng rng = { 9, 0, 0 };
    int k;
    for (k = 0; k < 3; ++k) {
        drl_model_desc md;
        drl_model *m = NULL;
        memset(&md, 0, sizeof md);
        md.height = 1;
        md.levels = 6;
        md.schedule = kinds[k];
        HOST_OK(ctx, drl_model_create(ctx, &md, 1, &m));
        if (m) mode_keep(drl_model_schedule(m)->a, 28 * sizeof(double));
        drl_model_destroy(m);
    }
    HOST(drl_schedule_of(sbar, -6, 1e-2, memory, &schedule));                       /* refused */
    HOST_OK(ctx, drl_schedule_of(sbar, 6, 1e-2, memory, &schedule));
    mode_keep(memory, sizeof memory);
    HOST(number = drl_bits_per_dim(-1234.56, 77, 0.1));
    mode_keep(&number, sizeof number);
    memset(&mixture, 0, sizeof mixture);
    mixture.schedule = &schedule;
    mixture.size = 2;
    mixture.components = 2;
    mixture.weight = weight;
    mixture.mean = mean;
    mixture.variance = variance;
    energy = drl_mixture_energy(&mixture);
    for (k = 0; k < 3; ++k) {
        drl_mcmc_desc d;
        drl_mcmc *chains = NULL;
        memset(&d, 0, sizeof d);
        d.count = 3;
        d.kernel = (drl_mcmc_kernel)k;
        d.schedule = &schedule;
        d.level = 1;
        HOST_OK(ctx, drl_mcmc_create(ctx, &energy, &d, &chains));
        HOST(drl_mcmc_run(chains, 20));
        if (chains) mode_keep(chains->y, 6 * sizeof(float));
        drl_mcmc_destroy(chains);
    }
    HOST(drl_rng_normals(ctx, &rng, a, 400));
    HOST(drl_rng_normals(ctx, &rng, b, 400));
    HOST_OK(ctx, drl_frechet(ctx, a, 100, b, 100, 4, work, &number));
    mode_keep(&number, sizeof number);
    HOST_OK(ctx, drl_auroc(ctx, a, 400, b, 400, &number));
    mode_keep(&number, sizeof number);
}

/* A job system of the host, whose threads have modes of their own: here there is one thread, and its mode is
 * changed before every job. A hook gives back the mode in which it is called. */
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
    fesetenv(&env);
}

/* One run of `work`: its results have the bits of the first run's. The mode is set before the context and its
 * pool are made, or after. */
enum { CALLER = 1, HOOK = 5 };          /* threads of a run; HOOK: 4, the host's own */
static void mode_run(const char *name, void (*work)(drl_ctx *ctx), int mode, int threads, int set_before)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.threads = threads;
    if (threads == HOOK) {
        d.threads = 4;
        d.jobs.parallel_for = mode_hook;
        mode_worker = mode + set_before;
    }
    keep_at = mode != MODE_PLAIN || threads != CALLER || set_before;
    keep_bytes[keep_at] = 0;
    if (set_before) mode_set(mode);
    drl_ctx_create(&d, &ctx);
    if (!set_before) mode_set(mode);
    CHECK(ctx != NULL, "%d threads", threads);
    if (ctx) work(ctx);
    mode_set(MODE_PLAIN);
    drl_ctx_destroy(ctx);
    CHECK(keep_bytes[0] == keep_bytes[keep_at] && !memcmp(keep[0], keep[keep_at], keep_bytes[0]),
          "%s: other bits with %d threads of %s, the host's mode '%s'%s", name, d.threads,
          threads == HOOK ? "the host's jobs" : "the pool", mode_name[mode], set_before ? " set before" : "");
}

static void modes_of(const char *name, void (*work)(drl_ctx *ctx))
{
#ifdef DRL_THREADS
    static const int threads[4] = { CALLER, 2, 4, HOOK };
#else
    static const int threads[2] = { CALLER, HOOK };
#endif
    int mode, k;
    mode_wrong = 0;
    for (mode = 0; mode < MODE_COUNT; ++mode)
        for (k = 0; k < (int)(sizeof threads / sizeof threads[0]); ++k) {
            mode_run(name, work, mode, threads[k], 0);
            if (threads[k] != CALLER) mode_run(name, work, mode, threads[k], 1);
        }
    CHECK(!mode_wrong, "%s: %d calls change the host's mode", name, mode_wrong);
}
#endif

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    PART(version());
    PART(defaults());
    PART(creation());
    PART(first_error());
    PART(numbers_as_text());
    PART(block());
    PART(block_orders());
    PART(reload());
    PART(jobs());
#ifdef POOL
    PART(pool());
    PART(forks());
#endif
#ifdef MODES
    PART(modes_of("operations", mode_ops));
    PART(modes_of("a model", mode_model));
    PART(modes_of("chains", mode_chains));
#endif
    return check_report("test_context");
}
