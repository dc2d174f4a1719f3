/* 14_anomaly.c - anomalies in a signal: an energy of its windows is trained here, and scored on a device.
 *
 * Shows: plain vectors, drl_train with a source of one's own, drl_model_score, drl_auroc, and a test that a
 * device can repeat.
 *
 *     cc -O2 examples/14_anomaly.c -o anomaly -lm
 *     ./anomaly [--data SIGNAL.csv] [--steps N] [--base N] [--windows N] [--seed N] [--out PREFIX]
 *               [--threads N] [--isa NAME]
 *
 * A window is 64 numbers of the signal in a row. Without --data the signal is generated: two harmonics whose
 * frequency and strength wander, and a little noise, as of a machine that runs. A file is CSV of one column,
 * a recording, or of 64, a window a row; or NPY of any numeric type, (n) or (n,64). It is moved and divided
 * so that its mean is 0 and its largest number is 1 or -1; by what is printed, and kept in the model's file,
 * for the program that will score. The last quarter is not trained on.
 *
 * Windows of that quarter are scored as they are, and with one of three anomalies: stretched to 2/3 of the
 * frequency, with a knock of eight numbers, with noise. A line for each has the AUROC, the probability that a
 * window as it is scores higher: 1 is perfect, 0.5 is worth nothing.
 *
 * Takes 3 seconds of one core. Writes PREFIX.safetensors (build/anomaly), which 13_model_to_c.c turns
 * into C, and PREFIX-test.h: some of the windows, their scores, and what AUROC these give.
 * examples/device/scorer.c scores them on a microcontroller, and finds the same.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include <math.h>

#define WINDOW 64
#define TESTS  1000                         /* windows of each kind */

static const char usage[] = "anomaly [--data SIGNAL.csv | SIGNAL.npy] [--steps N] [--base N] [--windows N]\n"
                            "        [--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n";

enum { NORMAL, STRETCHED, KNOCK, NOISE, KINDS };
static const char *const kind_name[KINDS] = { "normal", "stretched", "knock", "noise" };

/* A recording. A window begins at any number of it, or in rows at a multiple of WINDOW. */
typedef struct signal {
    float *number;                          /* [count] */
    size_t count;
    int rows;
    double mean, most;                      /* a window is (numbers of the signal - mean) / most */
} signal;

/* Two harmonics of a frequency that wanders between 1/25 and 1/17, as does the strength, and noise. */
static int signal_generate(drl_ctx *ctx, signal *s, uint64_t seed)
{
    drl_rng rng = { 0, 0, 0 };
    double phase = 0;
    size_t i;
    rng.seed = seed;
    s->count = 1 << 17;
    s->number = (float *)malloc(s->count * sizeof *s->number);
    if (!s->number) return 0;
    drl_rng_normals(ctx, &rng, s->number, s->count);
    for (i = 0; i < s->count; ++i) {
        double slow = 6.283185307 * (double)i, wander = sin(slow / 3001) + 0.5 * sin(slow / 1213 + 1);
        double strength = 0.6 + 0.1 * sin(slow / 1801 + 2);
        phase += 6.283185307 * (0.05 + 0.006 * wander);
        s->number[i] = (float)(strength * (sin(phase) + 0.4 * sin(2 * phase + 1)) +
                               0.02 * (double)s->number[i]);
    }
    return 1;
}

/* The numbers of a CSV file. */
static drl_status signal_csv(drl_ctx *ctx, const char *path, signal *s)
{
    drl_vectors_desc desc = { 0 };
    drl_vectors *v = NULL;
    drl_status status;
    desc.normal = DRL_NORMAL_NONE;          /* signal_normalise does it, with one divisor */
    status = drl_vectors_load(ctx, &path, 1, &desc, &v);
    if (status != DRL_OK) return status;
    s->rows = v->size > 1;
    s->count = v->size == 1 || v->size == WINDOW ? (size_t)v->count * (size_t)v->size : 0;
    s->number = (float *)malloc(s->count * sizeof *s->number + 1);
    if (s->number) memcpy(s->number, v->values, s->count * sizeof *s->number);
    drl_vectors_destroy(v);
    return s->number ? DRL_OK : DRL_E_MEMORY;
}

static drl_status signal_npy(drl_ctx *ctx, const void *file, size_t size, signal *s)
{
    drl_array array;
    drl_status status = drl_npy_parse(ctx, file, size, &array);
    if (status != DRL_OK) return status;
    s->rows = array.rank == 2;
    s->count = drl_array_count(&array);
    if (array.rank < 1 || array.rank > 2 || (s->rows && array.shape[1] != WINDOW)) s->count = 0;
    s->number = (float *)malloc(s->count * sizeof *s->number + 1);
    if (!s->number) return DRL_E_MEMORY;
    return s->count ? drl_array_to_float(ctx, &array, s->number) : DRL_OK;
}

/* Reads a file, NPY by its first byte, else CSV; 0 after a failure, with a sentence printed. */
static int signal_read(drl_ctx *ctx, const char *path, signal *s)
{
    void *file = NULL;
    size_t size = 0;
    drl_status status = drl_file_read(ctx, path, &file, &size);
    if (status == DRL_OK && size && *(const unsigned char *)file == 0x93)
        status = signal_npy(ctx, file, size, s);
    else if (status == DRL_OK)
        status = signal_csv(ctx, path, s);
    drl_file_free(ctx, file);
    if (status != DRL_OK) {
        fprintf(stderr, "%s: %s\n", path, *drl_ctx_message(ctx) ? drl_ctx_message(ctx) : "out of memory");
        return 0;
    }
    if (s->count < 8 * WINDOW || s->count > 1 << 30) {
        fprintf(stderr, "%s: a recording of at least %d numbers is needed, or rows of %d\n", path, 8 * WINDOW,
                WINDOW);
        return 0;
    }
    return 1;
}

/* Moves and divides the numbers so that their mean is 0 and the largest is 1, or -1. */
static int signal_normalise(signal *s)
{
    size_t i;
    for (i = 0; i < s->count; ++i) s->mean += (double)s->number[i] / (double)s->count;
    for (i = 0; i < s->count; ++i) s->most = fmax(s->most, fabs((double)s->number[i] - s->mean));
    if (!(s->most > 0 && s->most < 1e30)) {
        fprintf(stderr, "a signal of one number, or of numbers that are not finite\n");
        return 0;
    }
    for (i = 0; i < s->count; ++i) s->number[i] = (float)(((double)s->number[i] - s->mean) / s->most);
    printf("%lu numbers; a window is (numbers - %.9g) / %.9g\n", (unsigned long)s->count, s->mean, s->most);
    return 1;
}

/* A window of the first three quarters, or of the last. */
static void signal_window(const signal *s, drl_rng *rng, int last, float *x)
{
    size_t step = s->rows ? WINDOW : 1, places = (s->count - WINDOW) / step + 1, first = places * 3 / 4;
    size_t begin = last ? first : 0, count = last ? places - first : first - (s->rows ? 0 : WINDOW - 1);
    size_t place = begin + (size_t)drl_rng_below(rng, (int)count);
    memcpy(x, s->number + place * step, WINDOW * sizeof *x);
}

/* Windows of the part that was not trained on, each with the anomaly of its kind; x [TESTS * WINDOW]. */
static void make_tests(drl_ctx *ctx, const signal *s, drl_rng *rng, int kind, float *x)
{
    float whole[WINDOW], noise[WINDOW];
    int n, i;
    for (n = 0; n < TESTS; ++n, x += WINDOW) {
        int at = drl_rng_below(rng, WINDOW - 8);
        float strength = 1.2f;
        signal_window(s, rng, 1, x);
        memcpy(whole, x, sizeof whole);
        drl_rng_normals(ctx, rng, noise, WINDOW);
        for (i = 0; i < WINDOW && kind == STRETCHED; ++i) {
            int from = 2 * i / 3;           /* and 0, 1 or 2 thirds of the way to the next number */
            x[i] = whole[from] + (float)(2 * i % 3) / 3 * (whole[from + 1] - whole[from]);
        }
        for (i = 0; i < 8 && kind == KNOCK; ++i, strength *= -0.8f) x[at + i] += strength;
        for (i = 0; i < WINDOW && kind == NOISE; ++i) x[i] += 0.3f * noise[i];
    }
}

typedef struct plan {
    drl_ctx *ctx;
    const signal *s;
    drl_model *model;
    int steps;
    uint64_t seed;
    double begun;
} plan;

/* The training's source of windows. */
static drl_status source(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels)
{
    const plan *p = (const plan *)user;
    int i;
    (void)ctx;
    (void)labels;
    for (i = 0; i < n; ++i) signal_window(p->s, rng, 0, x0 + i * WINDOW);
    return DRL_OK;
}

static int on_step(void *user, const drl_train_report *r)
{
    const plan *p = (const plan *)user;
    if (r->step % 1000 == 0 || r->diverged)
        printf("step %lu of %d, %.1f s%s%s\n", (unsigned long)r->step, p->steps, seconds_now() - p->begun,
               r->diverged ? ": " : "", r->diverged ? r->diverged : "");
    fflush(stdout);
    return 0;
}

/* Trains p->model, which ends with the averaged weights. */
static drl_status train(plan *p)
{
    drl_train_desc d;
    drl_run_desc run;
    drl_trainer *trainer = NULL;
    drl_status status;
    memset(&d, 0, sizeof d);
    d.seed = p->seed;
    memset(&run, 0, sizeof run);
    run.steps = (uint64_t)p->steps;
    run.source = source;
    run.on_step = on_step;
    run.user = p;
    status = drl_trainer_create(p->model, &d, &trainer);
    if (status == DRL_OK) status = drl_train(trainer, NULL, &run);
    if (status == DRL_OK) status = drl_trainer_swap_average(trainer);
    drl_trainer_destroy(trainer);
    return status;
}

/* PREFIX-test.h: the first `count` windows of each kind, their scores, and the AUROC of normal ones against
 * each kind. */
static int write_tests(plan *p, const char *prefix, int count, float x[KINDS][TESTS * WINDOW],
                       float score[KINDS][TESTS])
{
    char path[1100];
    FILE *out;
    int kind, i, failed;
    snprintf(path, sizeof path, "%s-test.h", prefix);
    out = fopen(path, "wb");
    if (!out) {
        fprintf(stderr, "%s: it cannot be written\n", path);
        return 0;
    }
    fprintf(out, "/* Windows of the kinds:");
    for (kind = 0; kind < KINDS; ++kind) fprintf(out, " %s", kind_name[kind]);
    fprintf(out, ". Written by examples/14_anomaly.c. */\nenum { TEST_KINDS = %d, TEST_WINDOWS = %d, "
            "TEST_SIZE = %d };\n", KINDS, count, WINDOW);
    fprintf(out, "/* A window is (numbers of the signal - %.9g) / %.9g. */\n", p->s->mean, p->s->most);
    fprintf(out, "static const double test_auroc[TEST_KINDS] = {");
    for (kind = 0; kind < KINDS; ++kind) {
        double area = 0;
        drl_auroc(p->ctx, score[NORMAL], count, score[kind], count, &area);
        fprintf(out, " %.17g,", area);
    }
    fprintf(out, " };\nstatic const float test_score[TEST_KINDS][TEST_WINDOWS] = {");
    for (kind = 0; kind < KINDS; ++kind) {
        fprintf(out, "%s{", kind ? "},\n" : "\n");
        for (i = 0; i < count; ++i) fprintf(out, "%s%.8ef,", i % 6 ? "" : "\n", (double)score[kind][i]);
    }
    fprintf(out, "}\n};\nstatic const float test_window[TEST_KINDS][TEST_WINDOWS * TEST_SIZE] = {");
    for (kind = 0; kind < KINDS; ++kind) {
        fprintf(out, "%s{", kind ? "},\n" : "\n");
        for (i = 0; i < count * WINDOW; ++i) fprintf(out, "%s%.8ef,", i % 6 ? "" : "\n", (double)x[kind][i]);
    }
    fprintf(out, "}\n};\n");
    failed = ferror(out);
    return !fclose(out) && !failed;
}

int main(int argc, char **argv)
{
    static float x[KINDS][TESTS * WINDOW], score[KINDS][TESTS], work[TESTS * WINDOW];
    options o = options_of(argc, argv);
    const char *data = option_text(&o, "--data", NULL), *prefix = option_prefix(&o, "anomaly");
    drl_model_desc d;
    drl_rng rng = { 0, 1, 0 };
    signal s;
    plan p;
    char path[1100];
    int windows = option_int(&o, "--windows", 32), kind, i;
    double area, mean[WINDOW], deviation[WINDOW];

    memset(&d, 0, sizeof d);
    memset(&s, 0, sizeof s);
    memset(&p, 0, sizeof p);
    p.begun = seconds_now();
    p.ctx = options_context(&o);
    p.s = &s;
    p.steps = option_int(&o, "--steps", 4000);
    p.seed = rng.seed = (uint64_t)option_int(&o, "--seed", 1);
    d.form = DRL_FORM_CDRL;                 /* with its schedule, but */
    d.initializer = -1;                     /* nothing is sampled: no initializer network */
    d.height = 1;
    d.channels = WINDOW;
    d.base = option_int(&o, "--base", 16);
    d.trainable = 1;
    if (options_rest(&o, usage) || p.steps < 1 || windows < 1 || windows > TESTS) {
        fprintf(stderr, "no other words; --steps 1 or more, --windows 1 to %d\n%s", TESTS, usage);
        return 2;
    }
    if (data ? !signal_read(p.ctx, data, &s) : !signal_generate(p.ctx, &s, p.seed)) return 1;
    if (!signal_normalise(&s)) return 1;
    for (i = 0; i < WINDOW; ++i) {
        mean[i] = s.mean;
        deviation[i] = s.most;
    }
    d.mean = mean;
    d.deviation = deviation;
    snprintf(path, sizeof path, "%s.safetensors", prefix);
    if (drl_model_create(p.ctx, &d, p.seed, &p.model) != DRL_OK || train(&p) != DRL_OK ||
        drl_model_save(p.model, DRL_DTYPE_F32, path) != DRL_OK) {
        fprintf(stderr, "%s\n", drl_ctx_message(p.ctx));
        return 1;
    }
    for (kind = 0; kind < KINDS; ++kind) {
        make_tests(p.ctx, &s, &rng, kind, x[kind]);
        if (drl_model_score(p.model, 0, TESTS, x[kind], NULL, score[kind], work) != DRL_OK ||
            drl_auroc(p.ctx, score[NORMAL], TESTS, score[kind], TESTS, &area) != DRL_OK) {
            fprintf(stderr, "%s\n", drl_ctx_message(p.ctx));
            return 1;
        }
        if (kind != NORMAL) printf("AUROC %-10s %.4f\n", kind_name[kind], area);
    }
    if (!write_tests(&p, prefix, windows, x, score)) return 1;
    printf("%s and %s-test.h, %.1f s\n", path, prefix, seconds_now() - p.begun);
    free(s.number);
    drl_model_destroy(p.model);
    drl_ctx_destroy(p.ctx);
    return 0;
}
