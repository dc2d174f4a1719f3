/* bench.c - speed of the convolution passes, layer by layer, of the other operators of networks, and of whole
 * models, on every instruction set of the machine.
 *
 *   cc -O2 bench.c -o bench -lm            (-DDRL_THREADS -pthread for --threads)
 *   ./bench [--isa NAME] [--threads N] [--json] [--all] [--direct] [--shape IN-OUT-SIZE-bBATCH ...] [FILTER]
 *   ./bench --json > old.json;  ./bench --compare old.json       (or --compare old.json --with new.json)
 *
 * GFLOP/s counts the nominal 2 N Ci Co 9 H W, also for taps that fall on padding. The peak is a register-only
 * loop of the set's own multiply-add, timed beside each layer on one thread (times the threads); both are the
 * best of several runs. A layer runs as a net would run it, by Winograd's algorithm where that pays, which
 * can pass the peak; --direct: never so. FILTER keeps the lines whose name contains it. `fwd-128-128-32-b8`,
 * `dx-...`, `dw-...` is pass-in-out-size-batch. `op-silu-fwd`, `op-silu-dx` is another operator, on 16 images
 * of 16 x 16 with 64 channels: values alone, or also the gradient by the images; and the memory of a net of
 * it. --shape times layers of one's own instead, by the same names: --shape 48-96-24-b4 has 48 channels in,
 * 96 out, 4 images of 24 x 24. GB/s counts what has to be moved at least: each value read or written once.
 * Behind +- stands the spread: the runs of a line are cut into five parts, and the figures of these (the
 * best, or for whole models the median) lie within so many percent. --compare prints the ratio of times, new
 * to old, and says which differ by more than both spreads. Ctrl-C ends it after the line under way; each line
 * stands for itself, and FILTER makes the missing ones. */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/options.h"
#include "../examples/picture.h"
#include "../examples/training.h"

typedef struct layer { int c, k, size, batch, usual; } layer;

static const layer layers[] = {
    { 3, 128, 32, 1, 0 },   { 3, 128, 32, 8, 1 },   { 3, 128, 32, 32, 0 },
    { 128, 128, 32, 1, 0 }, { 128, 128, 32, 8, 1 }, { 128, 128, 32, 32, 0 },
    { 128, 256, 16, 1, 0 }, { 128, 256, 16, 8, 1 }, { 128, 256, 16, 32, 0 },
    { 256, 256, 16, 1, 0 }, { 256, 256, 16, 8, 1 }, { 256, 256, 16, 32, 0 },
    { 256, 256, 8, 1, 0 },  { 256, 256, 8, 8, 1 },  { 256, 256, 8, 32, 0 },
    { 256, 256, 4, 1, 0 },  { 256, 256, 4, 8, 1 },  { 256, 256, 4, 32, 0 },
    { 1, 32, 32, 1, 0 },    { 1, 32, 32, 16, 1 },   { 1, 32, 32, 64, 0 },
    { 32, 32, 32, 1, 0 },   { 32, 32, 32, 16, 1 },  { 32, 32, 32, 64, 0 },
    { 32, 64, 16, 1, 0 },   { 32, 64, 16, 16, 1 },  { 32, 64, 16, 64, 0 },
    { 64, 64, 16, 1, 0 },   { 64, 64, 16, 16, 1 },  { 64, 64, 16, 64, 0 },
    { 64, 64, 8, 1, 0 },    { 64, 64, 8, 16, 1 },   { 64, 64, 8, 64, 0 },
    { 64, 64, 4, 1, 0 },    { 64, 64, 4, 16, 1 },   { 64, 64, 4, 64, 0 }
};

#ifndef BENCH_COMMIT
#define BENCH_COMMIT "unknown"              /* the Makefile knows it */
#endif
#if defined(__clang__)
#define BENCH_COMPILER "clang "
#elif defined(__GNUC__)
#define BENCH_COMPILER "gcc "
#else
#define BENCH_COMPILER ""
#endif
#if defined(__VERSION__)
#define BENCH_VERSION __VERSION__
#else
#define BENCH_VERSION "unknown compiler"
#endif

enum { RUNS_MAX = 1000, PARTS = 5, CASES_MAX = 1000, SHAPES_MAX = 16 };

static layer shapes[SHAPES_MAX];            /* --shape */
static int shapes_count;
static int option_json, option_all, option_direct, option_threads = 1;
static const char *option_filter = "", *option_isa = "";

/* One line. What a line has no figure of is zero. */
typedef struct result {
    char name[64], isa[16];
    int threads;
    double ms, spread;                      /* spread: of ms, as a share of it */
    double gflops, peak_share;
    double gb_s;                            /* bandwidth, 10^9 bytes a second */
    double bytes;                           /* of memory, which a net or a model takes */
    double cpu_ms;                          /* of the processors: on a busy machine, too */
} result;

/* Of a file, or of this program. */
typedef struct origin { char machine[128], compiler[128], commit[64]; } origin;
typedef struct saved {
    origin from;
    result line[CASES_MAX];
    int count;
} saved;

static saved old_run;                       /* --compare */
static int comparing, faster, slower, alike, missing;
static double log_ratios;

/* What JSON needs no escapes for; the end of the text is cut off if need be. */
static void plain_text(char *to, size_t size, const char *text)
{
    size_t i;
    for (i = 0; i + 1 < size && text[i] && text[i] != '\n'; ++i)
        to[i] = (char)(text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' ? ' ' : text[i]);
    to[i] = 0;
}

/* The processor's name is known on Linux. */
static origin origin_here(void)
{
    origin o;
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    strcpy(o.machine, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            plain_text(o.machine, sizeof o.machine, strchr(line, ':') + 2);
            break;
        }
    if (f) fclose(f);
    if (!o.machine[0]) strcpy(o.machine, "unknown");
    plain_text(o.compiler, sizeof o.compiler, BENCH_COMPILER BENCH_VERSION);
    plain_text(o.commit, sizeof o.commit, BENCH_COMMIT);
    return o;
}

/* The two kinds of lines that --json writes and --compare reads: one with the origin, then the results. */
static void origin_json(char *text, size_t size, const origin *o)
{
    snprintf(text, size, "{\"machine\":\"%s\",\"compiler\":\"%s\",\"commit\":\"%s\"}\n", o->machine,
             o->compiler, o->commit);
}

static void result_json(char *text, size_t size, const result *r)
{
    snprintf(text, size,
             "{\"name\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"ms\":%.4f,\"spread\":%.4f,\"gflops\":%.2f,"
             "\"peak_share\":%.3f,\"gb_s\":%.3f,\"bytes\":%.0f,\"cpu_ms\":%.3f}\n",
             r->name, r->threads, r->isa, r->ms, r->spread, r->gflops, r->peak_share, r->gb_s, r->bytes,
             r->cpu_ms);
}

/* A line that is written again has to be the same, so nothing but such lines is taken. */
static int origin_read(const char *line, origin *o)
{
    char again[512];
    memset(o, 0, sizeof *o);
    if (sscanf(line, "{\"machine\":\"%127[^\"]\",\"compiler\":\"%127[^\"]\",\"commit\":\"%63[^\"]\"",
               o->machine, o->compiler, o->commit) != 3)
        return 0;
    origin_json(again, sizeof again, o);
    return !strcmp(line, again);
}

static int result_read(const char *line, result *r)
{
    char again[512];
    memset(r, 0, sizeof *r);
    if (sscanf(line,
               "{\"name\":\"%63[^\"]\",\"threads\":%d,\"isa\":\"%15[^\"]\",\"ms\":%lf,\"spread\":%lf,"
               "\"gflops\":%lf,\"peak_share\":%lf,\"gb_s\":%lf,\"bytes\":%lf,\"cpu_ms\":%lf",
               r->name, &r->threads, r->isa, &r->ms, &r->spread, &r->gflops, &r->peak_share, &r->gb_s,
               &r->bytes, &r->cpu_ms) != 10)
        return 0;
    if (!(r->ms > 0 && r->ms < 1e12 && r->spread >= 0 && r->spread < 1e12)) return 0;
    result_json(again, sizeof again, r);
    return !strcmp(line, again);
}

/* A file that --json has written; ends the program with a sentence when it is none. */
static void saved_read(const char *path, saved *s)
{
    char line[512];
    FILE *f = fopen(path, "r");
    int n;
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    s->count = 0;
    for (n = 1; fgets(line, sizeof line, f) || n == 1; ++n) {
        int good = n == 1 ? !feof(f) && !ferror(f) && origin_read(line, &s->from)
                          : s->count < CASES_MAX && result_read(line, &s->line[s->count]);
        if (!good) {
            fprintf(stderr, "%s: line %d is not one that --json writes%s\n", path, n,
                    s->count == CASES_MAX ? ", or there are more than 1000" : "");
            exit(2);
        }
        s->count += n > 1;
    }
    fclose(f);
    if (s->count) return;
    fprintf(stderr, "%s: no results behind its first line\n", path);
    exit(2);
}

/* One result beside the old one. */
static void compare(const result *r)
{
    const result *was = NULL;
    double ratio;
    const char *word = "within the spreads";
    int i;
    for (i = 0; i < old_run.count; ++i)
        if (!strcmp(old_run.line[i].name, r->name) && !strcmp(old_run.line[i].isa, r->isa) &&
            old_run.line[i].threads == r->threads)
            was = &old_run.line[i];
    if (!was) {
        ++missing;
        printf("%-22s %-8s %d %9.3f ms, not in the old run\n", r->name, r->isa, r->threads, r->ms);
        return;
    }
    ratio = r->ms / was->ms;
    log_ratios += log(ratio);
    if (fabs(r->ms - was->ms) <= r->spread * r->ms + was->spread * was->ms) ++alike;
    else if (ratio < 1) { ++faster; word = "FASTER"; }
    else { ++slower; word = "SLOWER"; }
    printf("%-22s %-8s %d %9.3f ms +- %4.1f %%, was %9.3f ms +- %4.1f %%: ratio %.3f, %s\n", r->name, r->isa,
           r->threads, r->ms, 100 * r->spread, was->ms, 100 * was->spread, ratio, word);
}

static void compare_end(void)
{
    int n = faster + slower + alike;
    printf("%d lines in both: %d faster and %d slower by more than their spreads, %d within them; %d not in "
           "the old run", n, faster, slower, alike, missing);
    if (n) printf("; geometric mean of the ratios %.3f", exp(log_ratios / n));
    printf("\n");
}

/* The result's line; more: what else there is to say in plain text. */
static void result_print(const result *r, const char *more)
{
    char text[512];
    if (comparing) compare(r);
    else if (option_json) {
        result_json(text, sizeof text, r);
        fputs(text, stdout);
    } else {
        printf("%-22s %-8s %d thread%s %9.3f ms +- %4.1f %%", r->name, r->isa, r->threads,
               r->threads > 1 ? "s" : " ", r->ms, 100 * r->spread);
        if (r->gflops > 0)
            printf(" %8.1f GFLOP/s %5.0f %% of %.0f", r->gflops, 100 * r->peak_share,
                   r->gflops / r->peak_share);
        if (r->gb_s > 0) printf(" %7.1f GB/s", r->gb_s);
        printf("%s\n", more);
    }
    fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The best of n times, or their median. */
static double figure(const double *t, int n, int median)
{
    static double sorted[RUNS_MAX];
    memcpy(sorted, t, (size_t)n * sizeof *t);
    qsort(sorted, (size_t)n, sizeof *t, by_value);
    return sorted[median ? n / 2 : 0];
}

/* ms and spread from the seconds of the runs, in the order in which they ran. */
static result result_of(const drl_ctx *ctx, const char *name, const double *t, int n, int median)
{
    result r;
    int parts = n < PARTS ? n : PARTS, i;
    double least = HUGE_VAL, most = 0, whole = figure(t, n, median);
    memset(&r, 0, sizeof r);
    strcpy(r.name, name);
    strcpy(r.isa, drl_isa_name(drl_ctx_isa(ctx)));
    r.threads = drl_ctx_threads(ctx);
    for (i = 0; i < parts; ++i) {
        int from = i * n / parts, to = (i + 1) * n / parts;
        double f = figure(t + from, to - from, median);
        if (f < least) least = f;
        if (f > most) most = f;
    }
    if (whole < 1e-7) whole = 1e-7;         /* the clock does not see it */
    r.ms = whole * 1e3;
    r.spread = (most - least) / whole;
    return r;
}

static float *floats(size_t n, drl_ctx *ctx, uint64_t stream)
{
    char *raw = (char *)malloc(n * sizeof(float) + 64);
    /* never freed: a benchmark ends */
    float *p = (float *)(void *)(raw + (64 - (uintptr_t)raw % 64) % 64);
    drl_rng rng;
    if (!raw) { printf("out of memory\n"); exit(1); }
    rng.seed = 1;
    rng.stream = stream;
    rng.position = 0;
    drl_rng_normals(ctx, &rng, p, n);
    return p;
}

/* The best of many short runs: on a shared machine a long one is never undisturbed. */
static double peak_gflops(const drl_ctx *ctx)
{
    double t0, t, operations, best = 0;
    int i;
    for (i = 0; i < 40; ++i) {
        t0 = seconds_now();
        operations = ctx->kernels->peak(20000);
        t = seconds_now() - t0;
        if (t > 0 && operations / t > best) best = operations / t;
    }
    return best * 1e-9;
}

static void bench_layer(drl_ctx *ctx, const layer *l, int pass)
{
    static const char *const names[3] = { "fwd", "dx", "dw" };
    char name[64];
    drl_conv2d_desc d;
    drl_tensor x, y;
    float *weight, *packed, *from, *bias, *dweight, *work;
    size_t nw = (size_t)l->c * (size_t)l->k * 9, nwork;
    double flop = 2.0 * l->batch * l->c * l->k * 9.0 * l->size * l->size, peak = 0, spent = 0, t0, p;
    static double t[RUNS_MAX];
    result r;
    int runs;
    sprintf(name, "%s-%d-%d-%d-b%d", names[pass], l->c, l->k, l->size, l->batch);
    if (training_stop || !strstr(name, option_filter) || (!option_all && !*option_filter && !l->usual))
        return;
    memset(&d, 0, sizeof d);
    d.in_channels = l->c;
    d.out_channels = l->k;
    d.kernel = 3;
    /* as a net decides */
    d.winograd = option_direct ? 0 : drl__winograd_choice(l->size, l->size, l->c, l->k);
    x = drl_tensor_of(NULL, l->batch, l->size, l->size, l->c);
    y = drl_tensor_of(NULL, l->batch, l->size, l->size, l->k);
    x.data = floats(drl_tensor_count(&x), ctx, 1);
    y.data = floats(drl_tensor_count(&y), ctx, 2);
    weight = floats(nw, ctx, 3);
    dweight = floats(nw, ctx, 4);
    bias = floats((size_t)l->k, ctx, 5);
    nwork = drl_conv2d_work_count(ctx, &d, l->batch, l->size, l->size);
    work = floats(nwork, ctx, 6);
    packed = floats(drl_conv2d_packed_count(ctx, &d, pass == 1), ctx, 7);
    drl_conv2d_pack(ctx, &d, pass == 1, weight, 0.01f, packed);
    from = d.winograd == 2 ? weight : packed;
    for (runs = 0; runs < PARTS || (spent < 0.25 && runs < RUNS_MAX); ++runs) {
        if (runs % 8 == 0) { p = peak_gflops(ctx); if (p > peak) peak = p; }
        t0 = seconds_now();
        if (pass == 0) drl_conv2d_forward(ctx, &d, &x, from, bias, &y, work);
        else if (pass == 1) drl_conv2d_input_grad(ctx, &d, &y, from, &x, 0, work);
        else drl_conv2d_param_grad(ctx, &d, &x, &y, dweight, bias, work);
        t[runs] = seconds_now() - t0;
        spent += t[runs];
    }
    r = result_of(ctx, name, t, runs, 0);
    r.gflops = flop / r.ms * 1e-6;
    r.peak_share = r.gflops / (peak * drl_ctx_threads(ctx));
    r.gb_s = 4.0 * (double)(drl_tensor_count(&x) + drl_tensor_count(&y) + nw) / r.ms * 1e-6;
    result_print(&r, "");
}

/* The operators beside 3x3 convolutions, each in a net of its own. */
enum { OP_SIDE = 16, OP_CHANNELS = 64, OP_BATCH = 16 };

static const char *const operators[] = {
    "conv1x1", "leaky-relu", "silu", "avgpool2", "maxpool2", "upsample2", "add", "concat", "shift",
    "scale-shift", "gain", "group-norm", "attention", "dropout", "spatial-sum", "dot"
};
enum { OPERATORS = sizeof operators / sizeof operators[0] };

static void build_operator(drl_net *net, void *user)
{
    const char *name = (const char *)user;
    int c = OP_CHANNELS, qkv = !strcmp(name, "attention");
    drl_value x = drl_net_input(net, OP_SIDE, OP_SIDE, qkv ? 3 * c : c);
    drl_layer_desc dense;
    memset(&dense, 0, sizeof dense);
    dense.name = "dense";
    dense.kernel = 1;
    dense.out_channels = c;
    if (qkv) drl_net_attention(net, x);
    else if (!strcmp(name, "conv1x1")) drl_net_conv2d(net, x, &dense);
    else if (!strcmp(name, "leaky-relu")) drl_net_act(net, x, DRL_ACT_LEAKY_RELU);
    else if (!strcmp(name, "silu")) drl_net_act(net, x, DRL_ACT_SILU);
    else if (!strcmp(name, "avgpool2")) drl_net_avgpool2(net, x);
    else if (!strcmp(name, "maxpool2")) drl_net_maxpool2(net, x);
    else if (!strcmp(name, "upsample2")) drl_net_upsample2(net, x);
    else if (!strcmp(name, "add")) drl_net_add(net, x, x);
    else if (!strcmp(name, "concat")) drl_net_concat(net, x, x);
    else if (!strcmp(name, "shift")) drl_net_shift(net, x, drl_net_level(net, c));
    else if (!strcmp(name, "scale-shift")) drl_net_scale_shift(net, x, drl_net_level(net, 2 * c));
    else if (!strcmp(name, "gain")) drl_net_gain(net, x, "gain");
    else if (!strcmp(name, "group-norm")) drl_net_group_norm(net, x, "norm", 8, 1e-6f);
    else if (!strcmp(name, "dropout")) drl_net_dropout(net, x, 0.1f);
    else if (!strcmp(name, "spatial-sum")) drl_net_spatial_sum(net, x, 1.0f);
    else drl_net_dot(net, x, x);
}

/* pass 0: values as in training, where dropout draws; 1: values and the gradient by the images. */
static void bench_operator(drl_ctx *ctx, int which, int pass)
{
    const size_t most = (size_t)OP_BATCH * OP_SIDE * OP_SIDE * OP_CHANNELS * 4;     /* as upsample2 returns */
    static float *x, *out, *dout, *dx, *level;
    void *user = (void *)(uintptr_t)operators[which];
    char name[64];
    drl_net *net = NULL;
    drl_net_desc d;
    drl_batch batch;
    drl_rng dropout = { 1, 0, 0 };
    size_t bytes = 0;
    static double t[RUNS_MAX];
    double spent = 0, t0;
    char more[64];
    result r;
    int runs;
    sprintf(name, "op-%s-%s", operators[which], pass ? "dx" : "fwd");
    if (training_stop || !strstr(name, option_filter)) return;
    if (!x) {
        x = floats(most, ctx, 1);
        out = floats(most, ctx, 2);
        dout = floats(most, ctx, 3);
        dx = floats(most, ctx, 4);
        level = floats(OP_BATCH, ctx, 5);
    }
    batch = drl_batch_of(OP_BATCH, x, level);
    batch.dropout = &dropout;
    memset(&d, 0, sizeof d);
    d.batch = OP_BATCH;
    d.modes = 1 << (pass ? DRL_NET_INPUT_GRAD : DRL_NET_PARAM_GRAD);
    if (drl_net_size(ctx, build_operator, user, &d, &bytes) != DRL_OK ||
        drl_net_create(ctx, build_operator, user, &d, &net) != DRL_OK) {
        printf("%s: %s\n", name, drl_ctx_message(ctx));
        drl_ctx_clear(ctx);
        return;
    }
    drl_net_init(net, 1);
    for (runs = 0; runs < PARTS || (spent < 0.05 && runs < RUNS_MAX); ++runs) {
        t0 = seconds_now();
        if (pass) drl_net_input_grad(net, &batch, dout, out, dx);
        else drl_net_train_forward(net, &batch, out);
        t[runs] = seconds_now() - t0;
        spent += t[runs];
    }
    drl_net_destroy(net);
    r = result_of(ctx, name, t, runs, 0);
    r.bytes = (double)bytes;
    snprintf(more, sizeof more, " %8.3f ns a value, %.1f MB", r.ms * 1e6 / (double)(most / 4),
             r.bytes * 1e-6);
    result_print(&r, more);
}

/* Whole models, the energy and initializer networks of [Zhu24] at 32x32: one Langevin step of a batch, one
 * training step of K = 15, and two parts of that: the initializer, forward and back by the parameters, and
 * what every change of the energy's weights costs, a power iteration of the spectral norms and packing. */
static const char *const runs_of[] = { "langevin", "train", "initializer", "weights" };
#define RUNS_OF 4

typedef struct whole {
    const char *name;
    int base, blocks, initializer, initializer_blocks, channels, batch;
} whole;

static const whole wholes[] = {
    { "small",    32,  1, 32, 1, 1, 32 },
    { "medium",   64,  2, 32, 3, 3, 16 },
    { "official", 128, 8, 64, 3, 3, 4 }
};

/* Nominal floating-point operations of the convolutions and dense layers of one image, forward. */
static double net_flop(const drl_net *net)
{
    double sum = 0;
    int i;
    for (i = 0; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i];
        if (op->info == &drl__op_conv2d) sum += 2.0 * (double)net->param[op->weight].count * op->h * op->w;
    }
    return sum;
}

/* training 0: images/s are whole samples of 6 levels and K = 15; above 0: of training. Median of the runs. */
static void bench_whole(const drl_ctx_desc *desc, const whole *w, int training)
{
    char name[64], more[64];
    result r;
    drl_ctx *ctx = NULL;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_model_desc d;
    drl_train_desc td;
    double t[101], cpu[101], spent = 0, flop, peak = 0, p, t0;
    drl_sample_desc how;
    drl_sampler *s = NULL;
    clock_t cpu0;
    int runs;
    float *x;
    drl_batch batch;
    drl_rng dropout;
    float *out;
    sprintf(name, "%s-%s-b%d", runs_of[training], w->name, w->batch);
    if (training_stop || !strstr(name, option_filter)) return;
    memset(&d, 0, sizeof d);
    d.form = DRL_FORM_CDRL;
    d.channels = w->channels;
    d.base = w->base;
    d.blocks = w->blocks;
    d.initializer = training ? w->initializer : -1;
    d.initializer_blocks = w->initializer_blocks;
    d.batch = w->batch;
    d.trainable = training;
    memset(&td, 0, sizeof td);
    td.batch = w->batch;
    if (drl_ctx_create(desc, &ctx) != DRL_OK) return;
    x = floats((size_t)w->batch * 32 * 32 * (size_t)w->channels, ctx, 1);
    out = floats((size_t)w->batch * 32 * 32 * (size_t)w->channels, ctx, 2);
    batch = drl_batch_of(w->batch, x, floats((size_t)w->batch, ctx, 3));
    memset(&dropout, 0, sizeof dropout);
    batch.dropout = &dropout;
    memset(&how, 0, sizeof how);
    how.count = w->batch;
    how.steps = 1000;
    if (drl_model_create(ctx, &d, 1, &m) != DRL_OK ||
        (training ? drl_trainer_create(m, &td, &tr) : drl_sampler_create(m, &how, &s)) != DRL_OK) {
        printf("%s: %s\n", name, drl_ctx_message(ctx));
        drl_ctx_destroy(ctx);
        return;
    }
    flop = 2 * net_flop(drl_model_net(m));
    /* K gradients by images, two by parameters */
    if (training) flop = 15 * flop + 3 * flop + 3 * net_flop(drl_model_initializer(m));
    if (training == 2) flop = 3 * net_flop(drl_model_initializer(m));
    /* two products of each weight matrix with a vector, once a batch */
    if (training == 3) flop = 4.0 * (double)drl_net_params_size(drl_model_net(m)) / w->batch;
    for (runs = 0; runs < 101 && (runs < 3 || spent < (training ? 6 : 2)); ++runs) {
        p = peak_gflops(ctx);
        if (p > peak) peak = p;
        cpu0 = clock();
        t0 = seconds_now();
        if (training == 2) {
            drl_net_train_forward(drl_model_initializer(m), &batch, out);
            drl_net_train_backward(drl_model_initializer(m), out);
        } else if (training == 3) {
            drl_net_spectral_grads(drl_model_net(m));
            drl_net_refresh(drl_model_net(m), 1);
        } else if (training) drl_trainer_step(tr, x, NULL, NULL);
        else drl_sampler_run(s, 1);
        t[runs] = seconds_now() - t0;
        cpu[runs] = (double)(clock() - cpu0) / CLOCKS_PER_SEC;
        spent += t[runs];
    }
    drl_sampler_destroy(s);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    r = result_of(ctx, name, t, runs, 1);
    r.gflops = flop * w->batch / r.ms * 1e-6;
    r.peak_share = r.gflops / (peak * drl_ctx_threads(ctx));
    r.bytes = (double)drl_ctx_bytes_peak(ctx);
    r.cpu_ms = figure(cpu, runs, 1) * 1e3;
    snprintf(more, sizeof more, ", %.1f images/s, %.0f MB", w->batch * 1e3 / (r.ms * (training ? 1 : 90)),
             r.bytes * 1e-6);
    result_print(&r, more);
    drl_ctx_destroy(ctx);
}

/* Whether FILTER keeps any line; if not, the names are listed. */
static int filter_known(const layer *list, size_t count)
{
    char name[64];
    int listing, pass, found = 0;
    size_t l;
    for (listing = 0; listing < 2 && !found; ++listing) {
        if (listing) fprintf(stderr, "%s: no line has this in its name; there are\n", option_filter);
        for (l = 0; l < count; ++l)
            for (pass = 0; pass < 3; ++pass) {
                static const char *const passes[3] = { "fwd", "dx", "dw" };
                sprintf(name, "%s-%d-%d-%d-b%d", passes[pass], list[l].c, list[l].k, list[l].size,
                        list[l].batch);
                if (listing) fprintf(stderr, " %s", name); else found |= strstr(name, option_filter) != NULL;
            }
        for (l = 0; l < OPERATORS && list == layers; ++l)
            for (pass = 0; pass < 2; ++pass) {
                sprintf(name, "op-%s-%s", operators[l], pass ? "dx" : "fwd");
                if (listing) fprintf(stderr, " %s", name); else found |= strstr(name, option_filter) != NULL;
            }
        for (l = 0; l < sizeof wholes / sizeof wholes[0] && list == layers; ++l)
            for (pass = 0; pass < RUNS_OF; ++pass) {
                sprintf(name, "%s-%s-b%d", runs_of[pass], wholes[l].name, wholes[l].batch);
                if (listing) fprintf(stderr, " %s", name); else found |= strstr(name, option_filter) != NULL;
            }
        if (listing) fprintf(stderr, "\n");
    }
    return found;
}

static int refuse(const char *word)
{
    fprintf(stderr, "bench: %s is not understood\n"
                    "bench [--isa portable|sse2|avx2|avx512|neon|wasm] [--threads N] [--json]\n"
                    "      [--all] [--direct] [--shape IN-OUT-SIZE-bBATCH ...] [FILTER]\n"
                    "bench --compare OLD.json [--with NEW.json]\n", word);
    return 2;
}

/* --shape: a layer of one's own; ends the program with a sentence when it is none. */
static void shape_add(const char *text)
{
    layer l = { 0, 0, 0, 0, 1 };
    char again[64];
    double floats_needed;
    int good = sscanf(text, "%d-%d-%d-b%d", &l.c, &l.k, &l.size, &l.batch) == 4;
    sprintf(again, "%d-%d-%d-b%d", l.c, l.k, l.size, l.batch);
    floats_needed = 9.0 * l.c * l.k + (double)l.batch * l.size * l.size * ((double)l.c + l.k);
    if (!good || strcmp(text, again))
        fprintf(stderr, "--shape %s: as in 48-96-24-b4, channels in, out, side and images\n", text);
    else if (l.c < 1 || l.c > 4096 || l.k < 1 || l.k > 4096)
        fprintf(stderr, "--shape %s: %d and %d channels; 1 to 4096\n", text, l.c, l.k);
    else if (l.size < 1 || l.size > 1024 || l.batch < 1 || l.batch > 1024)
        fprintf(stderr, "--shape %s: %d images of side %d; 1 to 1024 both\n", text, l.batch, l.size);
    else if (floats_needed > 1 << 26)
        fprintf(stderr, "--shape %s: %.0f MB of images and weights; at most %d\n", text, floats_needed * 4e-6,
                268);
    else if (shapes_count == SHAPES_MAX)
        fprintf(stderr, "--shape %s: more than %d of them\n", text, SHAPES_MAX);
    else {
        shapes[shapes_count++] = l;
        return;
    }
    exit(2);
}

/* Every line on every set of the machine. Returns how many sets there are. */
static int bench_sets(const layer *list, size_t count)
{
    int isa, pass, sets = 0;
    size_t l;
    for (isa = DRL_ISA_WASM; isa >= DRL_ISA_PORTABLE; --isa) {
        drl_ctx_desc desc;
        drl_ctx *ctx = NULL;
        if (*option_isa && strcmp(option_isa, drl_isa_name((drl_isa)isa)) != 0) continue;
        memset(&desc, 0, sizeof desc);
        desc.isa = (drl_isa)isa;
        desc.threads = option_threads;
        /* slow: on request */
        if (isa == DRL_ISA_PORTABLE && !*option_isa && !option_all && !*option_filter) continue;
        if (drl_ctx_create(&desc, &ctx) != DRL_OK) continue;
        ++sets;
        for (l = 0; l < count; ++l)
            for (pass = 0; pass < 3; ++pass) bench_layer(ctx, &list[l], pass);
        for (l = 0; l < OPERATORS && list == layers; ++l)
            for (pass = 0; pass < 2; ++pass) bench_operator(ctx, (int)l, pass);
        drl_ctx_destroy(ctx);
        for (l = 0; l < sizeof wholes / sizeof wholes[0] && list == layers; ++l)
            for (pass = 0; pass < RUNS_OF; ++pass) bench_whole(&desc, &wholes[l], pass);
    }
    return sets;
}

static void origin_print(const char *what, const origin *o)
{
    printf("%s: %s, %s, commit %s\n", what, o->machine, o->compiler, o->commit);
}

int main(int argc, char **argv)
{
    static saved new_run;
    const char *old_path = NULL, *new_path = NULL;
    const layer *list = layers;
    size_t count = sizeof layers / sizeof layers[0];
    char text[512];
    int i, isa, sets;
    for (i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--json")) option_json = 1;
        else if (!strcmp(argv[i], "--all")) option_all = 1;
        else if (!strcmp(argv[i], "--direct")) option_direct = 1;
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) option_isa = argv[++i];
        else if (!strcmp(argv[i], "--shape") && i + 1 < argc) shape_add(argv[++i]);
        else if (!strcmp(argv[i], "--compare") && i + 1 < argc) old_path = argv[++i];
        else if (!strcmp(argv[i], "--with") && i + 1 < argc) new_path = argv[++i];
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc) {
            char *end;
            option_threads = (int)strtol(argv[++i], &end, 10);
            if (end == argv[i] || *end || option_threads < 1 || option_threads > 64) {
                fprintf(stderr, "--threads %s: 1 to 64\n", argv[i]);
                return 2;
            }
        }
        else if (argv[i][0] != '-' && !*option_filter) option_filter = argv[i];
        else return refuse(argv[i]);
    }
    isa = DRL_ISA_PORTABLE;
    while (isa <= DRL_ISA_WASM && strcmp(option_isa, drl_isa_name((drl_isa)isa))) ++isa;
    if (*option_isa && isa > DRL_ISA_WASM) return refuse(option_isa);
    if ((new_path && !old_path) || (option_json && old_path)) {
        fprintf(stderr, "bench: --with and --compare go together, and not with --json\n");
        return 2;
    }
    if (shapes_count) {
        list = shapes;
        count = (size_t)shapes_count;
    }
    if (!filter_known(list, count)) return 2;
    new_run.from = origin_here();
    comparing = old_path != NULL;
    if (old_path) saved_read(old_path, &old_run);
    if (new_path) saved_read(new_path, &new_run);
    origin_json(text, sizeof text, &new_run.from);
    if (option_json) fputs(text, stdout);
    else origin_print("bench", &new_run.from);
    if (comparing) origin_print("old", &old_run.from);
    training_catch();
    for (i = 0; i < new_run.count; ++i) compare(&new_run.line[i]);
    sets = new_path ? 1 : bench_sets(list, count);
    if (training_stop) fprintf(stderr, "stopped: the lines above are all there is\n");
    if (comparing) compare_end();
    if (!sets)
        fprintf(stderr, "bench: this machine or build has no %s on %d threads\n",
                *option_isa ? option_isa : "instruction set", option_threads);
    return sets ? 0 : 2;
}
