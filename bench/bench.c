/* bench.c - speed of the convolution passes, layer by layer, of the other operators of networks, and of whole
 * models, on every instruction set of the machine.
 *
 *   cc -O2 bench.c -o bench -lm            (-DDRL_THREADS -pthread for --threads)
 *   ./bench [--isa NAME] [--threads N] [--json] [--all] [--direct] [FILTER]
 *
 * GFLOP/s counts the nominal 2 N Ci Co 9 H W, also for taps that fall on padding. The peak is a register-only
 * loop of the set's own multiply-add, timed beside each layer on one thread (times the threads); both are the
 * best of several runs. A layer runs as a net would run it, by Winograd's algorithm where that pays, which
 * can pass the peak; --direct: never so. FILTER keeps the lines whose name contains it. `fwd-128-128-32-b8`,
 * `dx-...`, `dw-...` is pass-in-out-size-batch. `op-silu-fwd`, `op-silu-dx` is another operator, on 16 images
 * of 16 x 16 with 64 channels: values alone, or also the gradient by the images; and the memory of a net of
 * it. Ctrl-C ends it after the line under way; each line stands for itself, and FILTER makes the missing
 * ones. */
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

static int option_json, option_all, option_direct, option_threads = 1;
static const char *option_filter = "", *option_isa = "";

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
    double flop = 2.0 * l->batch * l->c * l->k * 9.0 * l->size * l->size, best = 1e30, peak = 0, spent = 0,
           t0, t, bytes;
    int runs;
    sprintf(name, "%s-%d-%d-%d-b%d", names[pass], l->c, l->k, l->size, l->batch);
    if (training_stop || !strstr(name, option_filter) || (!option_all && !*option_filter && !l->usual))
        return;
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
    for (runs = 0; runs < 3 || (spent < 0.25 && runs < 1000); ++runs) {
        if (runs % 8 == 0) { t = peak_gflops(ctx); if (t > peak) peak = t; }
        t0 = seconds_now();
        if (pass == 0) drl_conv2d_forward(ctx, &d, &x, from, bias, &y, work);
        else if (pass == 1) drl_conv2d_input_grad(ctx, &d, &y, from, &x, 0, work);
        else drl_conv2d_param_grad(ctx, &d, &x, &y, dweight, bias, work);
        t = seconds_now() - t0;
        spent += t;
        if (t < best) best = t;
    }
    peak *= drl_ctx_threads(ctx);
    bytes = 4.0 * (double)(drl_tensor_count(&x) + drl_tensor_count(&y) + nw);
    if (option_json)
        printf("{\"name\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"ms\":%.4f,\"gflops\":%.2f,"
               "\"peak_share\":%.3f,\"bytes\":%.0f}\n",
               name, drl_ctx_threads(ctx), drl_isa_name(drl_ctx_isa(ctx)), best * 1e3, flop / best * 1e-9,
               flop / best * 1e-9 / peak, bytes);
    else
        printf("%-22s %-8s %d thread%s %9.3f ms %8.1f GFLOP/s %5.0f %% of %.0f\n", name,
               drl_isa_name(drl_ctx_isa(ctx)), drl_ctx_threads(ctx), drl_ctx_threads(ctx) > 1 ? "s" : " ",
               best * 1e3, flop / best * 1e-9, 100 * flop / best * 1e-9 / peak, peak);
    fflush(stdout);
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
    double best = 1e30, spent = 0, t0, t;
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
    for (runs = 0; runs < 3 || (spent < 0.05 && runs < 1000); ++runs) {
        t0 = seconds_now();
        if (pass) drl_net_input_grad(net, &batch, dout, out, dx);
        else drl_net_train_forward(net, &batch, out);
        t = seconds_now() - t0;
        spent += t;
        if (t < best) best = t;
    }
    drl_net_destroy(net);
    if (option_json)
        printf("{\"name\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"ms\":%.4f,\"bytes\":%lu}\n", name,
               drl_ctx_threads(ctx), drl_isa_name(drl_ctx_isa(ctx)), best * 1e3, (unsigned long)bytes);
    else
        printf("%-22s %-8s %d thread%s %9.3f ms %8.3f ns a value, %.1f MB\n", name,
               drl_isa_name(drl_ctx_isa(ctx)), drl_ctx_threads(ctx), drl_ctx_threads(ctx) > 1 ? "s" : " ",
               best * 1e3, best * 1e9 / (double)(most / 4), (double)bytes * 1e-6);
    fflush(stdout);
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

/* cpu: seconds of the processors, which on one thread tell the speed of a busy machine, too. */
static void model_line(drl_ctx *ctx, const char *name, double flop, double seconds, double cpu, double peak,
                       int images, double steps)
{
    double rate = flop / seconds * 1e-9;
    if (option_json)
        printf("{\"name\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"ms\":%.3f,\"gflops\":%.2f,"
               "\"peak_share\":%.3f,\"bytes\":%.0f,\"cpu_ms\":%.3f}\n",
               name, drl_ctx_threads(ctx), drl_isa_name(drl_ctx_isa(ctx)), seconds * 1e3, rate, rate / peak,
               (double)drl_ctx_bytes_peak(ctx), cpu * 1e3);
    else
        printf("%-22s %-8s %d thread%s %9.1f ms %8.1f GFLOP/s %5.0f %% of %.0f, %.1f images/s, %.0f MB\n",
               name, drl_isa_name(drl_ctx_isa(ctx)), drl_ctx_threads(ctx),
               drl_ctx_threads(ctx) > 1 ? "s" : " ", seconds * 1e3, rate, 100 * rate / peak, peak,
               images / (seconds * steps), (double)drl_ctx_bytes_peak(ctx) * 1e-6);
    fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* training 0: images/s are whole samples of 6 levels and K = 15; above 0: of training. Median of the runs. */
static void bench_whole(const drl_ctx_desc *desc, const whole *w, int training)
{
    char name[64];
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
    qsort(t, (size_t)runs, sizeof *t, by_value);
    qsort(cpu, (size_t)runs, sizeof *cpu, by_value);
    drl_sampler_destroy(s);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    model_line(ctx, name, flop * w->batch, t[runs / 2], cpu[runs / 2], peak * drl_ctx_threads(ctx), w->batch,
               training ? 1 : 90);
    drl_ctx_destroy(ctx);
}

/* Whether FILTER keeps any line; if not, the names are listed. */
static int filter_known(void)
{
    char name[64];
    int listing, pass, found = 0;
    size_t l;
    for (listing = 0; listing < 2 && !found; ++listing) {
        if (listing) fprintf(stderr, "%s: no line has this in its name; there are\n", option_filter);
        for (l = 0; l < sizeof layers / sizeof layers[0]; ++l)
            for (pass = 0; pass < 3; ++pass) {
                static const char *const passes[3] = { "fwd", "dx", "dw" };
                sprintf(name, "%s-%d-%d-%d-b%d", passes[pass], layers[l].c, layers[l].k, layers[l].size,
                        layers[l].batch);
                if (listing) fprintf(stderr, " %s", name); else found |= strstr(name, option_filter) != NULL;
            }
        for (l = 0; l < OPERATORS; ++l)
            for (pass = 0; pass < 2; ++pass) {
                sprintf(name, "op-%s-%s", operators[l], pass ? "dx" : "fwd");
                if (listing) fprintf(stderr, " %s", name); else found |= strstr(name, option_filter) != NULL;
            }
        for (l = 0; l < sizeof wholes / sizeof wholes[0]; ++l)
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
                    "      [--all] [--direct] [FILTER]\n", word);
    return 2;
}

int main(int argc, char **argv)
{
    int i, isa, pass, sets = 0;
    size_t l;
    for (i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--json")) option_json = 1;
        else if (!strcmp(argv[i], "--all")) option_all = 1;
        else if (!strcmp(argv[i], "--direct")) option_direct = 1;
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) option_isa = argv[++i];
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
    if (!filter_known()) return 2;
    training_catch();
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
        for (l = 0; l < sizeof layers / sizeof layers[0]; ++l)
            for (pass = 0; pass < 3; ++pass) bench_layer(ctx, &layers[l], pass);
        for (l = 0; l < OPERATORS; ++l)
            for (pass = 0; pass < 2; ++pass) bench_operator(ctx, (int)l, pass);
        drl_ctx_destroy(ctx);
        for (l = 0; l < sizeof wholes / sizeof wholes[0]; ++l)
            for (pass = 0; pass < RUNS_OF; ++pass) bench_whole(&desc, &wholes[l], pass);
    }
    if (training_stop) fprintf(stderr, "stopped: the lines above are all there is\n");
    if (!sets)
        fprintf(stderr, "bench: this machine or build has no %s on %d threads\n",
                *option_isa ? option_isa : "instruction set", option_threads);
    return sets ? 0 : 2;
}
