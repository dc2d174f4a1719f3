/* check.h - what the tests share: counted checks that print the numbers, the parts of a test program,
 * relative errors, an allocator that counts and fails, where test files go. */
#ifndef CHECK_H
#define CHECK_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __GNUC__
#define CHECK_MAYBE_UNUSED __attribute__((unused))     /* a program need not use everything here */
#else
#define CHECK_MAYBE_UNUSED
#endif

#ifndef CHECK_STOP
#define CHECK_STOP (void)0      /* tests/mutate.py: exit(1) */
#endif

static long check_passed = 0, check_failed = 0;
CHECK_MAYBE_UNUSED static size_t check_written;         /* for functions that say how much they wrote */

/* CHECK(condition, "format", ...) - counts, and prints the sentence when the condition is false. */
#define CHECK(cond, ...)                                                        \
    do {                                                                        \
        if (cond) ++check_passed;                                               \
        else {                                                                  \
            ++check_failed;                                                     \
            printf("%s:%d: FAILED %s: ", __FILE__, __LINE__, #cond);            \
            printf(__VA_ARGS__);                                                \
            printf("\n");                                                       \
            CHECK_STOP;                                                         \
        }                                                                       \
    } while (0)

/* CHECK_OK(ctx, call) - the call returns DRL_OK; prints the context's sentence when not. */
#define CHECK_OK(ctx, call)                                                     \
    do {                                                                        \
        drl_status check_status_ = (call);                                      \
        CHECK(check_status_ == DRL_OK, "%s (%s)",                               \
              drl_status_text(check_status_), drl_ctx_message(ctx));            \
    } while (0)

/* Unfused sets, whose bits are not those of portable C. */
#define UNFUSED(isa) ((isa) == DRL_ISA_SSE2 || (isa) == DRL_ISA_WASM)

#ifdef DRL__IMPLEMENTED         /* counting needs the kernels, so check.h comes after drl.h where it can */
#include "kernels.h"
#endif

/* A test program takes one word, text that is in the names of the parts to run; ^text: that they begin with.
 * Without it, all parts run. main lists the parts.
 * PART(call) runs one, and prints its seconds when it took more than a tenth of one, or was asked for. */
#define PART(call) do { if (check_begin(#call)) { call; check_end(#call); } } while (0)
static const char *check_only;
static int check_parts;
static double check_started;
static char check_names[4096];
CHECK_MAYBE_UNUSED static double check_now(void)
{
#if defined(TIME_UTC) && !defined(_WIN32)
    struct timespec t = { 0, 0 };           /* MemorySanitizer does not see timespec_get write */
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#else
    return (double)clock() / CLOCKS_PER_SEC;
#endif
}
CHECK_MAYBE_UNUSED static int check_begin(const char *part)
{
    const char *only = check_only && *check_only == '^' ? check_only + 1 : NULL;
    if (only ? strncmp(part, only, strlen(only)) != 0 : check_only && !strstr(part, check_only)) {
        size_t n = strlen(check_names);
        snprintf(check_names + n, sizeof check_names - n, " %s", part);
        return 0;
    }
    ++check_parts;
    check_started = check_now();
    return 1;
}
CHECK_MAYBE_UNUSED static void check_end(const char *part)
{
    double seconds = check_now() - check_started;
    if (check_only || seconds > 0.1) printf("  %-40s %6.2f s\n", part, seconds);
}

/* Keeps the name of a part; says so, and returns nonzero, when there are more words. */
CHECK_MAYBE_UNUSED static int check_words(int argc, char **argv)
{
    if (argc > 1) check_only = argv[1];
    if (argc > 2) fprintf(stderr, "%s: not understood; %s [PART OF A NAME]\n", argv[2], argv[0]);
    return argc > 2;
}

/* Last line of every test program; returns its exit code. */
CHECK_MAYBE_UNUSED static int check_report(const char *name)
{
    if (check_only && !check_parts) {
        printf("%s: no part has \"%s\" in its name; there are%s\n", name, check_only, check_names);
        return 2;
    }
#ifdef KERNELS_H
    kernels_report();
#endif
    printf("%s: %ld passed, %ld failed\n", name, check_passed, check_failed);
    return check_failed != 0 || check_passed == 0;
}

/* |a - b| / |b| over n values, |.| the root of the sum of squares. NaN anywhere gives infinity. */
CHECK_MAYBE_UNUSED static double check_rel_l2(const float *a, const double *b, size_t n)
{
    double num = 0, den = 0;
    size_t i;
    for (i = 0; i < n; ++i) {
        double d = (double)a[i] - b[i];
        if (!(d == d)) return HUGE_VAL;
        num += d * d;
        den += b[i] * b[i];
    }
    return den > 0 ? sqrt(num / den) : sqrt(num);
}
/* check_rel_l2 where b is of floats, too: results of two instruction sets. */
CHECK_MAYBE_UNUSED static double check_rel_floats(const float *a, const float *b, size_t n)
{
    double num = 0, den = 0;
    size_t i;
    for (i = 0; i < n; ++i) {
        double d = (double)a[i] - (double)b[i];
        if (!(d == d)) return HUGE_VAL;
        num += d * d;
        den += (double)b[i] * (double)b[i];
    }
    return den > 0 ? sqrt(num / den) : sqrt(num);
}

/* malloc that counts, and returns NULL at call number fail_at (1-based; 0 never) and for more than 64 GB,
 * where sanitizers would end the program instead. */
typedef struct check_heap {
    long calls, live, fail_at;              /* live: blocks */
    size_t bytes;                           /* in live blocks */
} check_heap;

CHECK_MAYBE_UNUSED static void *check_alloc(void *user, size_t bytes)
{
    check_heap *h = (check_heap *)user;
    void *p;
    if (++h->calls == h->fail_at || bytes >> 20 > 65536) return NULL;
    p = malloc(bytes ? bytes : 1);
    if (!p) return NULL;
    ++h->live;
    h->bytes += bytes;
    memset(p, 0xA5, bytes);
    return p;
}

CHECK_MAYBE_UNUSED static void check_free(void *user, void *p, size_t bytes)
{
    check_heap *h = (check_heap *)user;
    if (p) {
        --h->live;
        h->bytes -= bytes;
    }
    free(p);
}

/* Where a test may write the file `name`: in build/ when run from the repository root, else here. CHECK_DIR
 * names another folder, so that two runs of a test at one time do not meet. */
CHECK_MAYBE_UNUSED static const char *check_path(const char *name)
{
    static char path[256];
    const char *folder = getenv("CHECK_DIR");
    FILE *f;
    snprintf(path, sizeof path, "%.150s/%.100s", folder ? folder : "build", name);
    f = fopen(path, "wb");
    if (!f) {
        snprintf(path, sizeof path, "%s", name);
        return path;
    }
    fclose(f);
    remove(path);
    return path;
}
#endif
