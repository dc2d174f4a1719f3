/* peers.c - oneDNN beside drl.h, layer by layer: forward, gradient by input, gradient by weights, 3x3
 * convolutions in f32.
 *
 *   cc -O2 -DDRL_THREADS bench/peers.c -o peers -ldnnl -fopenmp -lm    (Debian: apt-get install libdnnl-dev)
 *   ./peers [--isa avx512|avx2] [--threads N] [--rounds N] [--all] [FILTER]
 *
 * A round times ours, oneDNN's direct and oneDNN's Winograd one after the other, about 10 ms each: processor
 * time on one thread, so that a busy machine does little harm; on several, time of the day, which needs a
 * quiet one. Printed are the medians of the rounds and the ratio of the better oneDNN to ours, a median too,
 * with the least and the most. Layers, names and ours are those of bench.c: Winograd where a net uses it,
 * weights packed beforehand. oneDNN chooses its memory formats; reorders into them are not timed. --isa avx2
 * holds oneDNN to AVX2 as ONEDNN_MAX_CPU_ISA=AVX2 does. The last lines are geometric means of the ratios. */
#define main bench_main             /* bench.c's layers, clock and buffers; its own main is not called */
#include "bench.c"
#undef main
#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <unistd.h>

#if DNNL_VERSION_MAJOR != 2
#error "peers.c is written for the interface of oneDNN 2 (Debian 12 has 2.6)"
#endif

#define ROUNDS_MAX 99

static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success) return;
    printf("oneDNN: %s failed with status %d\n", what, (int)status);
    exit(1);
}

/* A convolution of oneDNN with its memory, ready to run; NULL primitive: there is none of this kind. */
typedef struct peer {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[3];
    dnnl_stream_t stream;
    const char *name;
} peer;

static void peer_memory(dnnl_engine_t engine, const_dnnl_primitive_desc_t pd, dnnl_query_t query, int index,
                        int arg, dnnl_exec_arg_t *out)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, query, index);
    void *data;
    size_t bytes, i;
    must(dnnl_memory_create(&out->memory, md, engine, DNNL_MEMORY_ALLOCATE), "dnnl_memory_create");
    must(dnnl_memory_get_data_handle(out->memory, &data), "dnnl_memory_get_data_handle");
    bytes = dnnl_memory_desc_get_size(md);
    for (i = 0; i < bytes / sizeof(float); ++i)
        ((float *)data)[i] = (float)((i * 2654435761u >> 16) & 1023) / 1024.0f - 0.5f;
    out->arg = arg;
}

static peer peer_create(dnnl_engine_t engine, dnnl_stream_t stream, const layer *l, int pass,
                        dnnl_alg_kind_t algorithm)
{
    peer p;
    dnnl_dims_t xs, ws, ys, ones = { 1, 1 };
    dnnl_memory_desc_t x, w, y;
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    dnnl_status_t status;
    memset(&p, 0, sizeof p);
    p.stream = stream;
    xs[0] = ys[0] = l->batch;
    xs[1] = ws[1] = l->c;
    ys[1] = ws[0] = l->k;
    xs[2] = xs[3] = ys[2] = ys[3] = l->size;
    ws[2] = ws[3] = 3;
    must(dnnl_memory_desc_init_by_tag(&x, 4, xs, dnnl_f32, dnnl_format_tag_any),
         "dnnl_memory_desc_init_by_tag");
    must(dnnl_memory_desc_init_by_tag(&w, 4, ws, dnnl_f32, dnnl_format_tag_any),
         "dnnl_memory_desc_init_by_tag");
    must(dnnl_memory_desc_init_by_tag(&y, 4, ys, dnnl_f32, dnnl_format_tag_any),
         "dnnl_memory_desc_init_by_tag");
    must(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, algorithm, &x, &w, NULL, &y, ones,
                                            ones, ones),
         "dnnl_convolution_forward_desc_init");
    if (dnnl_primitive_desc_create(&forward, &d, NULL, engine, NULL) != dnnl_success) return p;
    status = dnnl_success;
    if (pass == 0) pd = forward;
    else {
        if (pass == 1)
            status = dnnl_convolution_backward_data_desc_init(&d, algorithm, &x, &w, &y, ones, ones, ones);
        else
            status = dnnl_convolution_backward_weights_desc_init(&d, algorithm, &x, &w, NULL, &y, ones, ones,
                                                                 ones);
        if (status == dnnl_success) status = dnnl_primitive_desc_create(&pd, &d, NULL, engine, forward);
    }
    if (status == dnnl_success) {
        must(dnnl_primitive_create(&p.primitive, pd), "dnnl_primitive_create");
        dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &p.name);
        peer_memory(engine, pd, pass == 1 ? dnnl_query_diff_src_md : dnnl_query_src_md, 0,
                    pass == 1 ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, &p.args[0]);
        peer_memory(engine, pd, pass == 2 ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0,
                    pass == 2 ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, &p.args[1]);
        peer_memory(engine, pd, pass == 0 ? dnnl_query_dst_md : dnnl_query_diff_dst_md, 0,
                    pass == 0 ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, &p.args[2]);
    }
    if (pass && pd) dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_desc_destroy(forward);
    return p;
}

static void peer_destroy(peer *p)
{
    int i;
    if (!p->primitive) return;
    for (i = 0; i < 3; ++i) dnnl_memory_destroy(p->args[i].memory);
    dnnl_primitive_destroy(p->primitive);
}

typedef struct ours {
    drl_ctx *ctx;
    drl_conv2d_desc d;
    drl_tensor x, y;
    float *packed, *bias, *dweight, *work;
    int pass;
} ours;

static void run_ours(void *user)
{
    ours *o = (ours *)user;
    if (o->pass == 0) drl_conv2d_forward(o->ctx, &o->d, &o->x, o->packed, o->bias, &o->y, o->work);
    else if (o->pass == 1) drl_conv2d_input_grad(o->ctx, &o->d, &o->y, o->packed, &o->x, 0, o->work);
    else drl_conv2d_param_grad(o->ctx, &o->d, &o->x, &o->y, o->dweight, NULL, o->work);
}

static void run_peer(void *user)
{
    peer *p = (peer *)user;
    must(dnnl_primitive_execute(p->primitive, p->stream, 3, p->args), "dnnl_primitive_execute");
    must(dnnl_stream_wait(p->stream), "dnnl_stream_wait");
}

/* On one thread, processor time: other programs do not count. On several, time of the day. */
static double seconds(void)
{
    struct timespec t;
    if (option_threads > 1) return seconds_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds a call: the median of as many single calls as fit into 10 ms, three at least, after one that is not
 * timed. The pause before lets the other side's threads, which wait for work by spinning, go to sleep. */
static double timed(void (*run)(void *user), void *user)
{
    double t[201], begin, spent = 0;
    int n;
    usleep(3000);
    run(user);
    for (n = 0; n < 3 || (n < 201 && spent < 0.010); ++n) {
        begin = seconds();
        run(user);
        spent += t[n] = seconds() - begin;
    }
    qsort(t, (size_t)n, sizeof *t, by_value);
    return t[n / 2];
}

static double median_of(double *v, int n) { qsort(v, (size_t)n, sizeof *v, by_value); return v[n / 2]; }

/* Sums of logarithms of the ratios, for the geometric means. */
typedef struct mean { double sum; int n, slower; } mean;

static void mean_add(mean *m, double ratio) { m->sum += log(ratio); ++m->n; m->slower += ratio < 0.85; }
static void mean_line(const mean *m, const char *what)
{
    if (m->n)
        printf("%-40s %5.2f over %d lines, %d of them below 0.85\n", what, exp(m->sum / m->n), m->n,
               m->slower);
}

int main(int argc, char **argv)
{
    drl_ctx_desc desc;
    drl_ctx *ctx = NULL;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    mean official, small, narrow, per_pass[3];
    int i, pass, rounds = 7, avx2;
    size_t li;
    static const char *const passes[3] = { "fwd", "dx", "dw" };
    memset(&desc, 0, sizeof desc);
    memset(&official, 0, sizeof official);
    memset(&small, 0, sizeof small);
    memset(&narrow, 0, sizeof narrow);
    memset(per_pass, 0, sizeof per_pass);
    option_isa = "avx512";
    for (i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--all")) option_all = 1;
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) option_isa = argv[++i];
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc) option_threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--rounds") && i + 1 < argc) rounds = atoi(argv[++i]);
        else if (argv[i][0] != '-' && !*option_filter) option_filter = argv[i];
        else {
            printf("usage: peers [--isa avx512|avx2] [--threads N] [--rounds N] [--all] [FILTER]\n");
            return 1;
        }
    }
    if (option_threads < 1 || option_threads > 64) { printf("peers: --threads 1 to 64\n"); return 1; }
    avx2 = !strcmp(option_isa, "avx2");
    if ((!avx2 && strcmp(option_isa, "avx512") != 0) || rounds < 1 || rounds > ROUNDS_MAX) {
        printf("peers: --isa is avx512 or avx2, --rounds 1 to %d\n", ROUNDS_MAX);
        return 1;
    }
    desc.isa = avx2 ? DRL_ISA_AVX2 : DRL_ISA_AVX512;
    desc.threads = option_threads;
    if (drl_ctx_create(&desc, &ctx) != DRL_OK) {
        printf("peers: this machine or build has no %s on %d threads\n", option_isa, option_threads);
        return 1;
    }
    if (avx2) must(dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2), "dnnl_set_max_cpu_isa");
    omp_set_num_threads(option_threads);
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "dnnl_engine_create");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "dnnl_stream_create");
    printf("oneDNN %d.%d.%d beside drl.h, %s, %d thread%s; GFLOP/s by medians of %d rounds\n",
           dnnl_version()->major, dnnl_version()->minor, dnnl_version()->patch, option_isa, option_threads,
           option_threads > 1 ? "s" : "", rounds);
    printf("%-22s %10s %14s %16s   better oneDNN's time / ours (least-most)\n", "", "drl.h", "oneDNN direct",
           "oneDNN Winograd");
    training_catch();
    for (li = 0; li < sizeof layers / sizeof layers[0]; ++li) for (pass = 0; pass < 3; ++pass) {
        const layer *l = &layers[li];
        char name[64];
        ours o;
        peer direct, winograd;
        double a[ROUNDS_MAX], b[ROUNDS_MAX], c[ROUNDS_MAX], ratio[ROUNDS_MAX], flop, mid, ma, mb, mc;
        size_t weights = (size_t)l->c * (size_t)l->k * 9;
        float *weight;
        int r, wino;
        sprintf(name, "%s-%d-%d-%d-b%d", passes[pass], l->c, l->k, l->size, l->batch);
        if (training_stop || !strstr(name, option_filter) || (!option_all && !*option_filter && !l->usual))
            continue;
        flop = 2.0 * l->batch * l->c * l->k * 9.0 * l->size * l->size * 1e-9;
        o.ctx = ctx;
        o.pass = pass;
        memset(&o.d, 0, sizeof o.d);
        o.d.in_channels = l->c;
        o.d.out_channels = l->k;
        o.d.kernel = 3;
        o.d.winograd = drl__winograd_choice(l->size, l->size, l->c, l->k);
        o.x = drl_tensor_of(NULL, l->batch, l->size, l->size, l->c);
        o.y = drl_tensor_of(NULL, l->batch, l->size, l->size, l->k);
        o.x.data = floats(drl_tensor_count(&o.x), ctx, 1);
        o.y.data = floats(drl_tensor_count(&o.y), ctx, 2);
        weight = floats(weights, ctx, 3);
        o.dweight = floats(weights, ctx, 4);
        o.bias = floats((size_t)l->k, ctx, 5);
        o.work = floats(drl_conv2d_work_count(ctx, &o.d, l->batch, l->size, l->size), ctx, 6);
        o.packed = floats(drl_conv2d_packed_count(ctx, &o.d, pass == 1), ctx, 7);
        drl_conv2d_pack(ctx, &o.d, pass == 1, weight, 0.01f, o.packed);
        /* the weights themselves */
        if (o.d.winograd == 2) memcpy(o.packed = floats(weights, ctx, 7), weight, weights * sizeof *weight);
        direct = peer_create(engine, stream, l, pass, dnnl_convolution_direct);
        winograd = peer_create(engine, stream, l, pass, dnnl_convolution_winograd);
        wino = winograd.primitive != NULL;
        if (!direct.primitive) { printf("%s: oneDNN has no direct convolution\n", name); return 1; }
        for (r = 0; r < rounds; ++r) {
            a[r] = timed(run_ours, &o);
            b[r] = timed(run_peer, &direct);
            c[r] = wino ? timed(run_peer, &winograd) : HUGE_VAL;
            ratio[r] = (b[r] < c[r] ? b[r] : c[r]) / a[r];
        }
        if (drl_ctx_status(ctx) != DRL_OK) { printf("%s: %s\n", name, drl_ctx_message(ctx)); return 1; }
        ma = median_of(a, rounds);
        mb = median_of(b, rounds);
        mc = median_of(c, rounds);
        mid = median_of(ratio, rounds);
        printf("%-22s %10.1f %14.1f ", name, flop / ma, flop / mb);
        if (wino) printf("%16.1f", flop / mc);
        else printf("%16s", "none");
        printf("   %5.2f (%.2f-%.2f)\n", mid, ratio[0], ratio[rounds - 1]);
        fflush(stdout);
        mean_add(l->c <= 3 ? &narrow : l->k >= 128 ? &official : &small, mid);
        if (l->c > 3) mean_add(&per_pass[pass], mid);
        peer_destroy(&direct);
        peer_destroy(&winograd);
    }
    if (training_stop) printf("stopped: means of the lines above\n");
    mean_line(&official, "official network's layers");
    mean_line(&small, "small network's layers");
    mean_line(&narrow, "first layers (from 1 or 3 channels)");
    mean_line(&per_pass[0], "all but first layers, fwd");
    mean_line(&per_pass[1], "all but first layers, dx");
    mean_line(&per_pass[2], "all but first layers, dw");
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    drl_ctx_destroy(ctx);
    return 0;
}
