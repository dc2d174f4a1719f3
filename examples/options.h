/* options.h - what every example needs around drl.h: options of the form --name value, a clock, and a context
 * with threads. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(_WIN32)
#include <direct.h>
#define options_mkdir(path) _mkdir(path)
/* The two functions of the clock as windows.h declares them, without the names that it brings along. MinGW's
 * time.h defines CLOCK_MONOTONIC, but clock_gettime is in a library of its own. */
union _LARGE_INTEGER;
__declspec(dllimport) int __stdcall QueryPerformanceCounter(union _LARGE_INTEGER *count);
__declspec(dllimport) int __stdcall QueryPerformanceFrequency(union _LARGE_INTEGER *counts_a_second);
#else
#include <sys/stat.h>
#define options_mkdir(path) mkdir(path, 0777)
#if defined(__unix__) || defined(__APPLE__)
#include <sys/time.h>
#endif
#endif

typedef struct options {
    int argc;
    char **argv;
    char *used;
} options;

/* The word after --name, or `otherwise`. Exits with a sentence when the word is missing. */
static inline const char *option_text(options *o, const char *name, const char *otherwise)
{
    int i;
    for (i = 1; i < o->argc; ++i)
        if (!o->used[i] && !strcmp(o->argv[i], name)) {
            if (i + 1 == o->argc) {
                fprintf(stderr, "%s needs a value\n", name);
                exit(2);
            }
            o->used[i] = o->used[i + 1] = 1;
            return o->argv[i + 1];
        }
    return otherwise;
}

static inline double option_number(options *o, const char *name, double otherwise)
{
    const char *text = option_text(o, name, NULL);
    char *end = NULL;
    double v = text ? strtod(text, &end) : otherwise;
    if (text && (end == text || *end || !(v >= -1e15 && v <= 1e15))) {
        fprintf(stderr, "%s %s: not a number\n", name, text);
        exit(2);
    }
    return v;
}

static inline int option_int(options *o, const char *name, int otherwise)
{
    double v = option_number(o, name, otherwise);
    if (!(v >= -2147483647.0 && v <= 2147483647.0) || v != (double)(int)v) {
        fprintf(stderr, "%s %.15g: a whole number of at most 2147483647 is needed\n", name, v);
        exit(2);
    }
    return (int)v;
}

/* --out PREFIX, or build/NAME, NAME being `otherwise`: what a program writes never lies among the sources.
 * Makes the folder of the prefix. */
static inline const char *option_prefix(options *o, const char *otherwise)
{
    static char prefix[1024], folder[1024];
    const char *text = option_text(o, "--out", NULL);
    char *slash;
    if (snprintf(prefix, sizeof prefix, "%s%s", text ? text : "build/", text ? "" : otherwise) >=
        (int)sizeof prefix) {
        fprintf(stderr, "--out: too long\n");
        exit(2);
    }
    strcpy(folder, prefix);
    for (slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)options_mkdir(folder);        /* what cannot be made is said when the file cannot be written */
        *slash = '/';
    }
    return prefix;
}

/* --guidance-levels FROM:TO, as drl_sample_desc has them; untouched without the option. */
static inline void option_guidance_levels(options *o, int *from, int *to)
{
    const char *text = option_text(o, "--guidance-levels", NULL);
    int end = 0;
    if (text && (sscanf(text, "%d:%d%n", from, to, &end) != 2 || text[end] || *from < 0 || *to <= *from)) {
        fprintf(stderr, "--guidance-levels %s: as in 1:4, which are levels 1 to 3\n", text);
        exit(2);
    }
}

/* --b2 X, --stride N, --proposals score | none, as drl_sample_desc has them. */
static inline void option_ways(options *o, drl_sample_desc *how)
{
    const char *text = option_text(o, "--proposals", NULL);
    how->b2 = option_number(o, "--b2", 0);
    how->stride = option_int(o, "--stride", 0);
    if (text && !strcmp(text, "score")) how->proposal = DRL_PROPOSAL_SCORE;
    else if (text && !strcmp(text, "none")) how->proposal = DRL_PROPOSAL_NONE;
    else if (text) {
        fprintf(stderr, "--proposals %s: 'score' or 'none'; without it, the initializer's\n", text);
        exit(2);
    }
}

/* --again "5 4 3", or `otherwise`: level [most] <- drl_sample_desc.resample_from. Returns how many. */
static inline int option_again(options *o, const char *otherwise, int *level, int most)
{
    const char *all = option_text(o, "--again", otherwise), *text = all;
    int count = 0, length = 0;
    for (; count < most && sscanf(text, "%9d%n", &level[count], &length) == 1; text += length) ++count;
    if (*text) {
        fprintf(stderr, "--again \"%s\": levels, as in \"5 4 3\", at most %d\n", all, most);
        exit(2);
    }
    return count;
}

static inline int option_flag(options *o, const char *name)
{
    int i;
    for (i = 1; i < o->argc; ++i)
        if (!o->used[i] && !strcmp(o->argv[i], name)) return o->used[i] = 1;
    return 0;
}

static inline options options_of(int argc, char **argv)
{
    options o;
    o.argc = argc;
    o.argv = argv;
    o.used = (char *)calloc((size_t)argc + 1, 1);
    if (!o.used) {
        fprintf(stderr, "%s: out of memory\n", argv[0]);
        exit(1);
    }
    return o;
}

/* Call last: the words that no option took, moved to the front of argv + 1; an unknown --name ends the
 * program with `usage`. */
static inline int options_rest(options *o, const char *usage)
{
    int i, count = 0;
    for (i = 1; i < o->argc; ++i) {
        if (o->used[i]) continue;
        if (!strcmp(o->argv[i], "--help")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (o->argv[i][0] == '-' && o->argv[i][1]) {
            fprintf(stderr, "%s: unknown option\n%s", o->argv[i], usage);
            exit(2);
        }
        o->argv[1 + count++] = o->argv[i];
    }
    free(o->used);
    o->used = NULL;
    return count;
}

/* Seconds of wall clock since some moment. */
static inline double seconds_now(void)
{
#if defined(_WIN32)
    long long count, counts_a_second;
    QueryPerformanceCounter((union _LARGE_INTEGER *)(void *)&count);
    QueryPerformanceFrequency((union _LARGE_INTEGER *)(void *)&counts_a_second);
    return (double)count / (double)counts_a_second;
#elif defined(CLOCK_MONOTONIC)
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#elif defined(__unix__) || defined(__APPLE__)
    struct timeval t;               /* time.h keeps the other clock to itself under -std=c99 */
    gettimeofday(&t, NULL);
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
#else
    return (double)time(NULL);
#endif
}

/* A context as in desc (NULL: all defaults), with the threads of --threads N and the instruction set of
 * --isa NAME where these are given; exits with a sentence when there is none. */
static inline drl_ctx *options_context_in(options *o, const drl_ctx_desc *desc)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    const char *name = option_text(o, "--isa", "auto");
    int isa;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    d.threads = option_int(o, "--threads", d.threads ? d.threads : 1);
#ifndef DRL_THREADS
    if (d.threads > 1 && !d.jobs.parallel_for) {
        fprintf(stderr,
                "--threads %d: this program was compiled without -DDRL_THREADS, so it has one thread\n",
                d.threads);
        exit(2);
    }
#endif
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa)
        if (!strcmp(name, drl_isa_name((drl_isa)isa))) d.isa = (drl_isa)isa;
    if (d.isa == DRL_ISA_AUTO && strcmp(name, "auto")) {
        fprintf(stderr, "--isa %s: there are auto, portable, sse2, fma128, avx2, avx512, neon, wasm\n", name);
        exit(2);
    }
    if (drl_ctx_create(&d, &ctx) != DRL_OK) {
        fprintf(stderr,
                "no context: %d threads (1 to 64 are possible) and instruction set %s, or no memory\n",
                d.threads, name);
        exit(1);
    }
    return ctx;
}

static inline drl_ctx *options_context(options *o)
{
    return options_context_in(o, NULL);
}
#endif
