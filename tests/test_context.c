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
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_NEON; ++isa) {
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
        && drl_model_save_size(first, &file_bytes) == DRL_OK, "a model: %s", drl_ctx_message(plain));
    file = (unsigned char *)malloc(file_bytes);
    CHECK(drl_model_save_memory(first, file, file_bytes, &file_bytes) == DRL_OK, "saved: %s", drl_ctx_message(plain));
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

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    creation();
    errors();
    block();
    block_orders();
    reload();
    jobs();
#ifdef POOL
    pool();
    forks();
#endif
    return check_report("test_context");
}
