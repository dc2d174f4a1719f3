/* fixture.h - what the tests of nets, samplers, models and training share; after drl.h and check.h. Random
 * numbers and zeroed memory of the tests' own, contexts with a job system that works backwards, calls that
 * must be refused, norms of matrices in double. */
#ifndef FIXTURE_H
#define FIXTURE_H


static uint64_t test_seed = 3;
CHECK_MAYBE_UNUSED static double real(double low, double high)
{
    test_seed = test_seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(test_seed >> 40) / 16777216.0;
}

CHECK_MAYBE_UNUSED static double *doubles(size_t n)
{
    double *p = (double *)calloc(n + 1, sizeof *p);
    if (!p) exit(3);
    return p;
}
CHECK_MAYBE_UNUSED static float *floats(size_t n)
{
    float *p = (float *)calloc(n + 1, sizeof *p);
    if (!p) exit(3);
    return p;
}

/* malloc with a list of what is live, so that the job system below sees what jobs write. Sanitizers look at
 * memory themselves, and would see through this no more which of it is unused. */
#define WATCH_MOST ((size_t)1 << 20)
#define WATCHES    1
#ifdef DRL__ASAN
#undef WATCHES
#define WATCHES    0
#elif defined(__has_feature)
#if __has_feature(memory_sanitizer)
#undef WATCHES
#define WATCHES    0
#endif
#endif
typedef struct watched { unsigned char *p; size_t n; } watched;
static watched watch_list[4096];
static int watch_count;
static size_t watch_bytes;
CHECK_MAYBE_UNUSED static void *watch_alloc(void *user, size_t bytes)
{
    unsigned char *p = (unsigned char *)malloc(bytes ? bytes : 1);
    (void)user;
    if (!p) return NULL;
    if (watch_count == (int)(sizeof watch_list / sizeof watch_list[0])) exit(3);
    memset(p, 0xA5, bytes);
    watch_list[watch_count].p = p;
    watch_list[watch_count++].n = bytes;
    watch_bytes += bytes;
    return p;
}
CHECK_MAYBE_UNUSED static void watch_free(void *user, void *p, size_t bytes)
{
    int i;
    (void)user;
    for (i = watch_count; p && i-- > 0;) if (watch_list[i].p == p) {
        watch_list[i] = watch_list[--watch_count];
        watch_bytes -= bytes;
        break;
    }
    free(p);
}

/* A job system: the last job first, all on the caller's thread. Counts calls from inside a job, which it need
 * not stand, and bytes of the library's memory that two jobs of one call have written: threads would race for
 * them. With much memory it leaves out the latter. */
static int jobs_running, jobs_nested, jobs_most;
static long jobs_watched;
CHECK_MAYBE_UNUSED static void reverse_for(void *user, int count, drl_job_fn job, void *arg)
{
    static unsigned char before[WATCH_MOST], written[WATCH_MOST];
    int watching = WATCHES && !jobs_running && count > 1 && watch_bytes <= WATCH_MOST, i;
    size_t at, k;
    long races = 0;
    (void)user;
    if (jobs_running++) ++jobs_nested;
    if (count > jobs_most) jobs_most = count;
    if (watching) {
        for (i = 0, at = 0; i < watch_count; at += watch_list[i++].n)
            memcpy(before + at, watch_list[i].p, watch_list[i].n);
        memset(written, 0, at);
        ++jobs_watched;
    }
    while (count-- > 0) {
        job(arg, count);
        if (watching) for (i = 0, at = 0; i < watch_count; at += watch_list[i++].n) {
            const watched *w = &watch_list[i];
            if (!memcmp(before + at, w->p, w->n)) continue;
            for (k = 0; k < w->n; ++k) if (before[at + k] != w->p[k]) {
                races += written[at + k];
                written[at + k] = 1;
                before[at + k] = w->p[k];
            }
        }
    }
    if (races) CHECK(races == 0, "%ld bytes are written by two jobs", races);
    --jobs_running;
}

/* NULL when the machine lacks the instruction set. */
CHECK_MAYBE_UNUSED static drl_ctx *context(drl_isa isa, int threads, check_heap *heap)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.isa = isa;
    d.threads = threads;
    if (threads > 1) d.jobs.parallel_for = reverse_for;
    if (threads > 1 && WATCHES) {
        d.allocator.alloc_fn = watch_alloc;
        d.allocator.free_fn = watch_free;
    }
    if (heap) {
        d.allocator.alloc_fn = check_alloc;
        d.allocator.free_fn = check_free;
        d.allocator.user = heap;
    }
    if (drl_ctx_create(&d, &ctx) != DRL_OK) return NULL;
    /* unfused sets have bits of their own; results are compared with portable C's */
    if (isa == DRL_ISA_AUTO && UNFUSED(drl_ctx_isa(ctx))) {
        drl_ctx_destroy(ctx);
        d.isa = DRL_ISA_PORTABLE;
        if (drl_ctx_create(&d, &ctx) != DRL_OK) return NULL;
    }
    return ctx;
}

/* The call fails with this status, and the context has a sentence about it. */
#define REFUSED(ctx, call, want)                                                    \
    do {                                                                            \
        drl_status s_;                                                              \
        drl_ctx_clear(ctx);                                                         \
        s_ = (call);                                                                \
        CHECK(s_ == want && drl_ctx_status(ctx) == want && drl_ctx_message(ctx)[0], \
              "status %d, sentence '%s'", (int)s_, drl_ctx_message(ctx));           \
        drl_ctx_clear(ctx);                                                         \
    } while (0)

/* Largest singular value of w [rows * cols] by many rounds of the power method from a random start. */
CHECK_MAYBE_UNUSED static double singular(const float *w, int rows, int cols)
{
    double *u = doubles((size_t)rows), *v = doubles((size_t)cols), sigma = 0;
    int i, j, round;
    for (i = 0; i < rows; ++i) u[i] = real(-1, 1);
    for (round = 0; round < 3000; ++round) {
        double norm = 0;
        for (j = 0; j < cols; ++j) v[j] = 0;
        for (i = 0; i < rows; ++i) for (j = 0; j < cols; ++j) v[j] += (double)w[i * cols + j] * u[i];
        for (j = 0; j < cols; ++j) norm += v[j] * v[j];
        if (norm == 0) break;
        for (j = 0; j < cols; ++j) v[j] /= sqrt(norm);
        for (i = 0, norm = 0; i < rows; ++i) {
            for (j = 0, u[i] = 0; j < cols; ++j) u[i] += (double)w[i * cols + j] * v[j];
            norm += u[i] * u[i];
        }
        if (round > 20 && fabs(sqrt(norm) - sigma) <= 1e-14 * sigma) break;
        sigma = sqrt(norm);
        for (i = 0; i < rows; ++i) u[i] /= sigma;
    }
    free(u); free(v);
    return sigma;
}
#endif
