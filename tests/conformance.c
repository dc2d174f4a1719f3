/* conformance.c - the same bits everywhere: trains a tiny model of each form, samples from it, saves it, runs
 * chains on it and estimates its log Z, and prints one hash of it all.
 *
 *     cc -O2 tests/conformance.c -o conformance -lm
 *     ./conformance [--isa NAME] [--threads N]
 *
 * The fused sets (portable C, FMA128, AVX2, AVX-512 and NEON), 32 and 64 bits, little and big endian, any
 * number of threads and any order of jobs print the same number; -ffast-math prints others. SSE2 and WASM are
 * unfused: their number is another one, and the words "(sse2 is unfused)" or "(wasm is unfused)" follow it,
 * so that nobody who left the choice to the library takes it for a fault. FMA128 is there in a program that
 * MinGW's gcc has built, or one built with -DDRL__FMA128. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 6
#define STEPS 4
#define SIDE  8

static uint32_t hash = 2166136261u;         /* FNV-1a, byte by byte */

static void hash_bytes(const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    while (n--) hash = (hash ^ *b++) * 16777619u;
}

static void hash_word(uint32_t u)                       /* low byte first on every machine */
{
    unsigned char b[4];
    b[0] = (unsigned char)u;
    b[1] = (unsigned char)(u >> 8);
    b[2] = (unsigned char)(u >> 16);
    b[3] = (unsigned char)(u >> 24);
    hash_bytes(b, 4);
}

static void hash_floats(const float *p, size_t n)
{
    uint32_t u;
    for (; n--; ++p) {
        memcpy(&u, p, 4);
        hash_word(u);
    }
}

static void hash_doubles(const double *p, size_t n)
{
    uint64_t u;
    for (; n--; ++p) {
        memcpy(&u, p, 8);
        hash_word((uint32_t)u);
        hash_word((uint32_t)(u >> 32));
    }
}

/* A job system with one thread that runs the last job first. */
static void backwards(void *user, int count, drl_job_fn job, void *arg)
{
    (void)user;
    while (count--) job(arg, count);
}

/* Chains of every kernel with a warm-up where there is one, and log Z by annealed importance sampling. */
static int chains(drl_ctx *ctx, drl_model *m, const float *x, int *labels)
{
    drl_energy energy = drl_model_energy(m);
    drl_mcmc_desc d;
    drl_mcmc_report report;
    drl_ais_desc a;
    drl_ais *ais = NULL;
    int kernel, ok = 1;
    memset(&d, 0, sizeof d);
    d.count = BATCH;
    d.seed = 5;
    d.labels = labels;
    d.schedule = drl_model_schedule(m);
    d.start = x;
    d.leapfrog = 2;
    for (kernel = DRL_MCMC_LANGEVIN; ok && kernel <= DRL_MCMC_HMC; ++kernel) {
        drl_mcmc *chain = NULL;
        d.kernel = (drl_mcmc_kernel)kernel;
        d.warmup = kernel == DRL_MCMC_LANGEVIN ? 0 : 2;
        ok = drl_mcmc_create(ctx, &energy, &d, &chain) == DRL_OK
          && drl_mcmc_run(chain, 4) == DRL_OK
          && drl_mcmc_look(chain, &report) == DRL_OK;
        if (ok) {
            hash_floats(chain->y, BATCH * energy.size);
            hash_floats(chain->f, BATCH);
            hash_doubles(&report.step_size, 1);
            hash_doubles(&report.accept, 1);
        }
        drl_mcmc_destroy(chain);
    }
    memset(&a, 0, sizeof a);
    a.count = BATCH;
    a.seed = 6;
    a.labels = labels;
    a.steps = 4;
    a.leapfrog = 2;
    if (ok) ok = drl_ais_create(ctx, &energy, &a, &ais) == DRL_OK
              && drl_ais_run(ais, drl_ais_steps_left(ais)) == DRL_OK;
    if (ok) hash_doubles(ais->log_w, BATCH);
    drl_ais_destroy(ais);
    return ok;
}

static int train_and_sample(drl_ctx *ctx, drl_form form)
{
    drl_model_desc d;
    drl_train_desc td;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_sample_desc how;
    drl_rng rng;
    float x0[BATCH * SIDE * SIDE * 2];
    int labels[BATCH], i, step, ok;
    void *file = NULL;
    size_t size = 0, written = 0, n = sizeof x0 / sizeof x0[0];
    memset(&d, 0, sizeof d);
    d.form = form;
    d.height = d.width = SIDE;
    d.channels = 2;
    d.base = 12;                            /* no multiple of a vector's length */
    d.resolutions = 2;
    d.steps = 5;
    d.batch = BATCH;
    d.trainable = 1;
    if (form == DRL_FORM_CDRL) {
        d.initializer = 24;
        d.classes = 3;
    }
    memset(&td, 0, sizeof td);
    td.seed = 7;
    td.batch = BATCH;
    td.warmup = 2;
    td.learning_rate = 3e-4f;
    td.flip = 1;
    td.initializer_data = -1;                   /* as published */
    ok = drl_model_create(ctx, &d, 3, &m) == DRL_OK && drl_trainer_create(m, &td, &tr) == DRL_OK;
    for (step = 0; ok && step < STEPS; ++step) {
        drl_train_report r;
        rng = drl__trainer_rng(tr);
        for (i = 0; i < (int)n; ++i) x0[i] = drl_rng_uniform(&rng) < 0.5f ? -1.0f : 1.0f;
        for (i = 0; i < BATCH; ++i) labels[i] = form == DRL_FORM_CDRL ? 1 + drl_rng_below(&rng, 3) : 0;
        ok = drl_trainer_step(tr, x0, labels, &r) == DRL_OK;
    }
    if (ok) ok = drl_trainer_swap_average(tr) == DRL_OK
              && drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &size) == DRL_OK
              && (file = malloc(size)) != NULL
              && drl_model_save_memory(m, DRL_DTYPE_F32, file, size, &written) == DRL_OK;
    if (ok) hash_bytes(file, written);      /* files are little-endian everywhere */
    memset(&how, 0, sizeof how);
    how.count = BATCH;
    how.seed = 42;
    how.labels = form == DRL_FORM_CDRL ? labels : NULL;
    how.guidance = form == DRL_FORM_CDRL ? 1.5f : 0.0f;
    if (ok) ok = drl_sample(m, &how, x0) == DRL_OK;
    if (ok) hash_floats(x0, n);
    if (ok) ok = chains(ctx, m, x0, how.labels ? labels : NULL);
    if (!ok) printf("%s\n", drl_ctx_message(ctx));
    free(file);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    return ok;
}

/* Takes one option and its value into the description; returns 0, with a sentence, where it cannot. */
static int take(const char *option, const char *value, drl_ctx_desc *d)
{
    static const char names[] = "portable, sse2, fma128, avx2, avx512, neon, wasm";
    int number = value && strspn(value, "0123456789") == strlen(value) ? atoi(value) : 0;
    if (!strcmp(option, "--threads") && number > 0) {
        d->threads = number;
        d->jobs.parallel_for = backwards;
        return 1;
    }
    if (!value || strcmp(option, "--isa")) {
        fprintf(stderr, "%s: not understood; conformance [--isa NAME] [--threads N], with NAME of %s\n",
                option, names);
        return 0;
    }
    for (d->isa = DRL_ISA_AUTO; d->isa <= DRL_ISA_WASM; d->isa = (drl_isa)(d->isa + 1))
        if (!strcmp(drl_isa_name(d->isa), value)) return 1;
    fprintf(stderr, "--isa %s: there are %s\n", value, names);
    return 0;
}

int main(int argc, char **argv)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    int i, ok, unfused;
    memset(&d, 0, sizeof d);
    for (i = 1; i < argc; i += 2) if (!take(argv[i], i + 1 < argc ? argv[i + 1] : NULL, &d)) return 2;
    if (drl_ctx_create(&d, &ctx) != DRL_OK) {
        printf("this instruction set or number of threads is not available\n");
        return 1;
    }
    ok = train_and_sample(ctx, DRL_FORM_DRL) && train_and_sample(ctx, DRL_FORM_CDRL);
    unfused = drl_ctx_isa(ctx) == DRL_ISA_SSE2 || drl_ctx_isa(ctx) == DRL_ISA_WASM;
    if (ok) printf("%08lx", (unsigned long)hash);
    if (ok && unfused) printf(" (%s is unfused)", drl_isa_name(drl_ctx_isa(ctx)));
    if (ok) printf("\n");
    drl_ctx_destroy(ctx);
    return !ok;
}
