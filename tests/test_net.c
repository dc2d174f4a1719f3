/* test_net.c - nets against an independent interpreter in double: naive loops, gradients by central differences. Hand-made graphs, then
 * random ones that stress the planner of buffers; batches, threads and instruction sets; spectral norms; failures of building. */
#define DRL_IMPLEMENTATION
#define DRL__GRAIN 4096         /* small tensors are shared by threads, too */
#include "../drl.h"
#include "check.h"
#include "fixture.h"

static int below(int n) { return (int)real(0, n); }

/* -- a graph, as both sides read it -- */

enum { N_INPUT, N_LEVEL, N_CONV, N_ACT, N_POOL, N_UP, N_ADD, N_SHIFT, N_GAIN, N_SUM, N_DOT, N_LABEL, N_NORM, N_SCALE_SHIFT, N_DROPOUT, N_CONCAT, N_ATTENTION, N_MAXPOOL };
#define NODES 32
typedef struct node {
    int kind, a, b;
    int out, kernel, no_bias;           /* conv; out also of N_LEVEL */
    drl_spectral spectral;
    drl_act act;
    double scale;                       /* of a sum; times 1/4 .. 4 of a spectral weight; eps of a norm; p of a dropout */
    int groups;
    int h, w, c;                        /* of the result */
} node;
typedef struct graph { node n[NODES]; int count; } graph;

static int put(graph *g, int kind, int a, int b)
{
    node *n = &g->n[g->count], none;
    const node *x = a >= 0 ? &g->n[a] : NULL;
    memset(&none, 0, sizeof none);
    *n = none;
    n->kind = kind; n->a = a; n->b = b;
    if (x) { n->h = x->h; n->w = x->w; n->c = x->c; }
    return g->count++;
}
static int g_input(graph *g, int h, int w, int c) { int i; g->count = 0; i = put(g, N_INPUT, -1, -1); g->n[i].h = h; g->n[i].w = w; g->n[i].c = c; return i; }
static int g_level(graph *g, int c) { int i = put(g, N_LEVEL, -1, -1); g->n[i].h = g->n[i].w = 1; g->n[i].c = c; return i; }
static int g_label(graph *g, int classes) { int i = put(g, N_LABEL, -1, -1); g->n[i].h = g->n[i].w = 1; g->n[i].c = classes + 1; return i; }
static int g_conv(graph *g, int a, int out, int kernel) { int i = put(g, N_CONV, a, -1); g->n[i].c = out; g->n[i].kernel = kernel; g->n[i].scale = 1; return i; }
static int g_act(graph *g, int a, drl_act act) { int i = put(g, N_ACT, a, -1); g->n[i].act = act; return i; }
static int g_pool(graph *g, int a) { int i = put(g, N_POOL, a, -1); g->n[i].h /= 2; g->n[i].w /= 2; return i; }
static int g_maxpool(graph *g, int a) { int i = put(g, N_MAXPOOL, a, -1); g->n[i].h /= 2; g->n[i].w /= 2; return i; }
static int g_up(graph *g, int a) { int i = put(g, N_UP, a, -1); g->n[i].h *= 2; g->n[i].w *= 2; return i; }
static int g_add(graph *g, int a, int b) { return put(g, N_ADD, a, b); }
static int g_concat(graph *g, int a, int b) { int i = put(g, N_CONCAT, a, b); g->n[i].c = g->n[a].c + g->n[b].c; return i; }
static int g_dropout(graph *g, int a, double p) { int i = put(g, N_DROPOUT, a, -1); g->n[i].scale = p; return i; }
static int g_attention(graph *g, int a) { int i = put(g, N_ATTENTION, a, -1); g->n[i].c = g->n[a].c / 3; return i; }
static int g_shift(graph *g, int a, int b) { return put(g, N_SHIFT, a, b); }
static int g_scale_shift(graph *g, int a, int b) { return put(g, N_SCALE_SHIFT, a, b); }
static int g_gain(graph *g, int a) { return put(g, N_GAIN, a, -1); }
static int g_norm(graph *g, int a, int groups) { int i = put(g, N_NORM, a, -1); g->n[i].groups = groups; g->n[i].scale = 0.0625; return i; }
static int g_sum(graph *g, int a, double scale) { int i = put(g, N_SUM, a, -1); g->n[i].h = g->n[i].w = 1; g->n[i].scale = scale; return i; }
static int g_dot(graph *g, int a, int b) { int i = put(g, N_DOT, a, b); g->n[i].c = 1; return i; }

static int node_kernel(const graph *g, const node *n) { return n->kernel ? n->kernel : g->n[n->a].h == 1 && g->n[n->a].w == 1 ? 1 : 3; }
static size_t node_size(const node *n) { return (size_t)(n->h * n->w * n->c); }
static int has_level(const graph *g) { int i, yes = 0; for (i = 0; i < g->count; ++i) yes |= g->n[i].kind == N_LEVEL; return yes; }

/* The build function of a graph. */
static void build(drl_net *net, void *user)
{
    const graph *g = (const graph *)user;
    drl_value v[NODES];
    int i;
    for (i = 0; i < g->count; ++i) {
        const node *n = &g->n[i];
        drl_layer_desc l;
        char name[16];
        drl_value a = n->a >= 0 ? v[n->a] : v[0], b = n->b >= 0 ? v[n->b] : v[0];
        snprintf(name, sizeof name, "n%d", i);
        memset(&l, 0, sizeof l);
        l.name = name; l.out_channels = n->c; l.kernel = n->kernel; l.no_bias = n->no_bias; l.spectral = n->spectral;
        switch (n->kind) {
        case N_INPUT: v[i] = drl_net_input(net, n->h, n->w, n->c); break;
        case N_LEVEL: v[i] = drl_net_level(net, n->c); break;
        case N_LABEL: v[i] = drl_net_label(net, n->c - 1); break;
        case N_CONV:  v[i] = drl_net_conv2d(net, a, &l); break;
        case N_ACT:   v[i] = drl_net_act(net, a, n->act); break;
        case N_POOL:  v[i] = drl_net_avgpool2(net, a); break;
        case N_MAXPOOL: v[i] = drl_net_maxpool2(net, a); break;
        case N_UP:    v[i] = drl_net_upsample2(net, a); break;
        case N_ADD:   v[i] = drl_net_add(net, a, b); break;
        case N_SHIFT: v[i] = drl_net_shift(net, a, b); break;
        case N_DROPOUT: v[i] = drl_net_dropout(net, a, (float)n->scale); break;
        case N_CONCAT: v[i] = drl_net_concat(net, a, b); break;
        case N_ATTENTION: v[i] = drl_net_attention(net, a); break;
        case N_SCALE_SHIFT: v[i] = drl_net_scale_shift(net, a, b); break;
        case N_GAIN:  v[i] = drl_net_gain(net, a, name); break;
        case N_NORM:  v[i] = drl_net_group_norm(net, a, name, n->groups, (float)n->scale); break;
        case N_SUM:   v[i] = drl_net_spatial_sum(net, a, (float)n->scale); break;
        default:      v[i] = drl_net_dot(net, a, b); break;
        }
    }
}

/* -- the interpreter in double -- */

#define TENSORS 64
#define BATCH   4
#define CLASSES 3                           /* of every graph with labels */
typedef struct data {
    const graph *g;
    int tensors, owner[TENSORS];            /* parameters in the order of creation; whose they are */
    double *p[TENSORS];
    size_t count[TENSORS];
    int rows[TENSORS];
    double *u[NODES], *v[NODES];            /* power vectors of spectral nodes */
    double *x, level[BATCH], *dout;         /* for BATCH images */
    int label[BATCH];
    const drl_rng *dropout;                 /* NULL: off */
    double *value[NODES];
} data;

static double  rounded(double v) { return (double)(float)v; }

static int tensor_of(const data *d, int owner)
{
    int i = 0;
    while (i < d->tensors && d->owner[i] != owner) ++i;
    return i;
}

static double sigma_of(const data *d, int i)
{
    int t = tensor_of(d, i), rows = d->rows[t], cols = (int)(d->count[t] / (size_t)rows), r, c;
    double sum = 0;
    for (r = 0; r < rows; ++r) for (c = 0; c < cols; ++c) sum += d->u[i][r] * d->p[t][r * cols + c] * d->v[i][c];
    return sum;
}

static void data_make(data *d, const graph *g)
{
    int i, k;
    size_t j;
    memset(d, 0, sizeof *d);
    d->g = g;
    for (i = 0; i < g->count; ++i) {
        const node *n = &g->n[i];
        int kernel = n->kind == N_CONV ? node_kernel(g, n) : 0;
        d->value[i] = doubles(node_size(n) * BATCH);
        for (k = 0; k < (n->kind == N_CONV ? 2 - n->no_bias : n->kind == N_NORM ? 2 : n->kind == N_GAIN); ++k) {
            int t = d->tensors++, fan = n->kind == N_CONV && !k ? g->n[n->a].c * kernel * kernel : 1;
            double reach = k ? 0.5 : n->kind == N_GAIN || n->kind == N_NORM ? 1.0 : 1.5 / sqrt((double)fan) * (n->spectral ? n->scale : 1.0);
            d->owner[t] = i;
            d->rows[t] = n->c;
            d->count[t] = (size_t)n->c * (size_t)fan;
            d->p[t] = doubles(d->count[t]);
            for (j = 0; j < d->count[t]; ++j) d->p[t][j] = rounded(real(-reach, reach));
        }
        if (n->kind == N_CONV && n->spectral) {     /* a few rounds of the power method, stopped well before it settles */
            int t = tensor_of(d, i), rows = d->rows[t], cols = (int)(d->count[t] / (size_t)rows), r, c, round;
            double norm;
            d->u[i] = doubles((size_t)rows); d->v[i] = doubles((size_t)cols);
            for (r = 0; r < rows; ++r) d->u[i][r] = real(-1, 1);
            for (round = 0; round < 2; ++round) {
                for (c = 0, norm = 0; c < cols; norm += d->v[i][c] * d->v[i][c], ++c) for (r = 0, d->v[i][c] = 0; r < rows; ++r) d->v[i][c] += d->p[t][r * cols + c] * d->u[i][r];
                for (c = 0; c < cols; ++c) d->v[i][c] /= sqrt(norm);
                for (r = 0, norm = 0; r < rows; norm += d->u[i][r] * d->u[i][r], ++r) for (c = 0, d->u[i][r] = 0; c < cols; ++c) d->u[i][r] += d->p[t][r * cols + c] * d->v[i][c];
                for (r = 0; r < rows; ++r) d->u[i][r] /= sqrt(norm);
            }
            for (c = 0; c < cols; ++c) d->v[i][c] = rounded(d->v[i][c]);
            for (r = 0; r < rows; ++r) d->u[i][r] = rounded(d->u[i][r]);
        }
    }
    d->x = doubles(node_size(&g->n[0]) * BATCH);
    for (j = 0; j < node_size(&g->n[0]) * BATCH; ++j) d->x[j] = rounded(real(-2, 2));
    d->dout = doubles(node_size(&g->n[g->count - 1]) * BATCH);
    for (j = 0; j < node_size(&g->n[g->count - 1]) * BATCH; ++j) d->dout[j] = rounded(real(-1, 1));
    for (i = 0; i < BATCH; ++i) { d->level[i] = rounded(real(0, 6)); d->label[i] = i ? below(CLASSES + 1) : CLASSES; }
}

static void data_free(data *d)
{
    int i;
    for (i = 0; i < d->tensors; ++i) free(d->p[i]);
    for (i = 0; i < d->g->count; ++i) { free(d->u[i]); free(d->v[i]); free(d->value[i]); }
    free(d->x); free(d->dout);
}

static double act_value(drl_act act, double x)
{
    switch (act) {
    case DRL_ACT_LEAKY_RELU: return x > 0 ? x : 0.2 * x;
    case DRL_ACT_RELU:       return x > 0 ? x : 0.0;
    case DRL_ACT_SILU:       return x / (1 + exp(-x));
    default:                 return x;
    }
}

/* 16 bits of Philox: counter = element / 8, 1 | number | image in 1 + 11 + 20 bits, stream; key = seed. */
static int kept(const drl_rng *rng, int number, int image, int element, double p)
{
    uint32_t w[4];
    w[0] = (uint32_t)element / 8;
    w[1] = 0x80000000u + (uint32_t)number * 0x100000u + (uint32_t)image;
    w[2] = (uint32_t)rng->stream;
    w[3] = (uint32_t)(rng->stream >> 32);
    drl__philox(w, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
    w[0] = w[element % 8 / 2];
    return (element % 2 ? w[0] >> 16 : w[0] & 65535u) >= (uint32_t)floor(p * 65536 + 0.5);
}

/* Evaluates image m; the last node's value is the output. */
static void evaluate(const data *d, int m)
{
    const graph *g = d->g;
    int i, r, s, y, x, c, k;
    for (i = 0; i < g->count; ++i) {
        const node *n = &g->n[i], *na = n->a >= 0 ? &g->n[n->a] : NULL;
        const double *a = n->a >= 0 ? d->value[n->a] : NULL, *b = n->b >= 0 ? d->value[n->b] : NULL;
        double *out = d->value[i];
        int t = tensor_of(d, i), pixels = n->h * n->w;
        switch (n->kind) {
        case N_INPUT:
            for (k = 0; k < pixels * n->c; ++k) out[k] = d->x[(size_t)m * node_size(n) + (size_t)k];
            break;
        case N_LEVEL:
            for (k = 0; k < n->c / 2; ++k) {
                double w = exp(-k * log(10000.0) / (n->c / 2 - 1));
                out[k] = sin(d->level[m] * w);
                out[n->c / 2 + k] = cos(d->level[m] * w);
            }
            break;
        case N_LABEL: for (k = 0; k < n->c; ++k) out[k] = d->label[m] == k; break;
        case N_CONV: {
            int kernel = node_kernel(g, n), pad = kernel / 2;
            double scale = 1, sigma;
            if (n->spectral) {
                sigma = sigma_of(d, i);
                scale = n->spectral == DRL_SPECTRAL_CAP ? (sigma < 1 ? sigma : 1) / sigma : 1 / sigma;
            }
            for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (k = 0; k < n->c; ++k) {
                double sum = 0;
                for (c = 0; c < na->c; ++c) for (r = 0; r < kernel; ++r) for (s = 0; s < kernel; ++s) {
                    int yy = y + r - pad, xx = x + s - pad;
                    if (yy >= 0 && yy < na->h && xx >= 0 && xx < na->w) sum += a[(yy * na->w + xx) * na->c + c] * d->p[t][((k * na->c + c) * kernel + r) * kernel + s];
                }
                out[(y * n->w + x) * n->c + k] = sum * scale + (n->no_bias ? 0.0 : d->p[t + 1][k]);
            }
            break;
        }
        case N_ACT:  for (k = 0; k < pixels * n->c; ++k) out[k] = act_value(n->act, a[k]); break;
        case N_POOL:
            for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (c = 0; c < n->c; ++c) {
                double sum = 0;
                for (r = 0; r < 2; ++r) for (s = 0; s < 2; ++s) sum += a[((2 * y + r) * na->w + 2 * x + s) * n->c + c];
                out[(y * n->w + x) * n->c + c] = sum / 4;
            }
            break;
        case N_MAXPOOL:
            for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (c = 0; c < n->c; ++c) {
                double most = -HUGE_VAL;
                for (r = 0; r < 2; ++r) for (s = 0; s < 2; ++s) most = fmax(most, a[((2 * y + r) * na->w + 2 * x + s) * n->c + c]);
                out[(y * n->w + x) * n->c + c] = most;
            }
            break;
        case N_UP:
            for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (c = 0; c < n->c; ++c) out[(y * n->w + x) * n->c + c] = a[(y / 2 * na->w + x / 2) * n->c + c];
            break;
        case N_ADD:   for (k = 0; k < pixels * n->c; ++k) out[k] = a[k] + b[k]; break;
        case N_SHIFT: for (k = 0; k < pixels * n->c; ++k) out[k] = a[k] + b[k % n->c]; break;
        case N_DROPOUT:
            for (k = 0; k < pixels * n->c; ++k) out[k] = !d->dropout ? a[k] : kept(d->dropout, i, m, k, n->scale) ? a[k] / (1 - floor(n->scale * 65536 + 0.5) / 65536) : 0.0;
            break;
        case N_CONCAT: for (k = 0; k < pixels * n->c; ++k) out[k] = k % n->c < na->c ? a[k / n->c * na->c + k % n->c] : b[k / n->c * (n->c - na->c) + k % n->c - na->c]; break;
        case N_ATTENTION:
            for (k = 0; k < pixels; ++k) {
                double p[64], sum = 0, top = -HUGE_VAL;
                for (r = 0; r < pixels; ++r) {
                    for (c = 0, p[r] = 0; c < n->c; ++c) p[r] += a[k * na->c + c] * a[r * na->c + n->c + c] / sqrt((double)n->c);
                    if (p[r] > top) top = p[r];
                }
                for (r = 0; r < pixels; ++r) sum += p[r] = exp(p[r] - top);
                for (c = 0; c < n->c; ++c) for (r = 0, out[k * n->c + c] = 0; r < pixels; ++r) out[k * n->c + c] += p[r] / sum * a[r * na->c + 2 * n->c + c];
            }
            break;
        case N_SCALE_SHIFT: for (k = 0; k < pixels * n->c; ++k) out[k] = a[k] * (1 + b[k % n->c]) + b[n->c + k % n->c]; break;
        case N_GAIN:  for (k = 0; k < pixels * n->c; ++k) out[k] = a[k] * d->p[t][k % n->c]; break;
        case N_NORM:
            for (r = 0; r < n->groups; ++r) {
                int each = n->c / n->groups, count = pixels * each;
                double mean = 0, variance = 0;
                for (k = 0; k < pixels; ++k) for (c = r * each; c < (r + 1) * each; ++c) mean += a[k * n->c + c] / count;
                for (k = 0; k < pixels; ++k) for (c = r * each; c < (r + 1) * each; ++c) variance += (a[k * n->c + c] - mean) * (a[k * n->c + c] - mean) / count;
                for (k = 0; k < pixels; ++k) for (c = r * each; c < (r + 1) * each; ++c)
                    out[k * n->c + c] = (a[k * n->c + c] - mean) / sqrt(variance + n->scale) * d->p[t][c] + d->p[t + 1][c];
            }
            break;
        case N_SUM:
            for (c = 0; c < n->c; ++c) for (k = 0, out[c] = 0; k < na->h * na->w; ++k) out[c] += n->scale * a[k * n->c + c];
            break;
        default:
            for (c = 0, out[0] = 0; c < na->h * na->w * na->c; ++c) out[0] += a[c] * b[c];
        }
    }
}

/* sum of dout * output over images first .. last - 1: what gradients are of */
static double objective(const data *d, int first, int last)
{
    size_t size = node_size(&d->g->n[d->g->count - 1]), k;
    double sum = 0;
    int m;
    for (m = first; m < last; ++m) {
        evaluate(d, m);
        for (k = 0; k < size; ++k) sum += d->dout[(size_t)m * size + k] * d->value[d->g->count - 1][k];
    }
    return sum;
}

static double difference(const data *d, double *at, int first, int last)
{
    double keep = *at, h = 1e-6 * (fabs(keep) + 1), up, down;
    *at = keep + h;
    up = objective(d, first, last);
    *at = keep - h;
    down = objective(d, first, last);
    *at = keep;
    return (up - down) / (2 * h);
}

/* -- running drl.h on the same data -- */

typedef struct result { float *out[3], *dx, *grad[TENSORS]; } result;

static void result_free(result *r)
{
    int i;
    for (i = 0; i < 3; ++i) free(r->out[i]);
    for (i = 0; i < TENSORS; ++i) free(r->grad[i]);
    free(r->dx);
}

static void set_params(drl_net *net, const data *d)
{
    int i, k, t;
    size_t j;
    CHECK(drl_net_param_count(net) == d->tensors, "%d parameters, %d expected", drl_net_param_count(net), d->tensors);
    for (t = 0; t < d->tensors; ++t) {
        const drl_param *p = drl_net_param(net, t);
        CHECK(p->count == d->count[t], "parameter %d has %d elements", t, (int)p->count);
        for (j = 0; j < d->count[t]; ++j) drl_net_params(net)[p->offset + j] = (float)d->p[t][j];
    }
    for (i = 0; i < d->g->count; ++i)
        if (d->u[i]) {
            t = tensor_of(d, i);
            for (k = 0; k < d->rows[t]; ++k) net->state[net->op[i].u + (size_t)k] = (float)d->u[i][k];
            for (k = 0; k < (int)(d->count[t] / (size_t)d->rows[t]); ++k) net->state[net->op[i].v + (size_t)k] = (float)d->v[i][k];
        }
    drl_net_refresh(net, 0);
}

/* One run of a mode; gradients by parameters are added to the net's. */
static drl_status run_batch(drl_net *net, drl_net_mode mode, const drl_batch *b, const float *dout, float *out, float *dx)
{
    drl_status status;
    if (mode == DRL_NET_FORWARD) return drl_net_forward(net, b, out);
    if (mode == DRL_NET_INPUT_GRAD) return drl_net_input_grad(net, b, dout, out, dx);
    status = drl_net_train_forward(net, b, out);
    return status == DRL_OK ? drl_net_train_backward(net, dout) : status;
}

static drl_status run_mode(drl_net *net, drl_net_mode mode, int n, const float *x, const float *level, const float *dout, float *out, float *dx)
{
    drl_batch b = drl_batch_of(n, x, level);
    return run_batch(net, mode, &b, dout, out, dx);
}

/* No two buffers that are in use at one moment lie in the same place. In training, threads take different images through a stretch of instructions
 * without a gradient by parameters: one moment. What is in use is found anew here, from the instructions alone. */
static void places(const drl_net *net)
{
    int mode, i, j, k, moment;
    for (mode = 0; mode < 3; ++mode) {
        const drl__program *p = &net->program[mode];
        int *first, *last, shared = 0;
        if (!(net->desc.modes >> mode & 1)) continue;
        first = (int *)malloc((size_t)p->buffer_count * sizeof *first);
        last = (int *)malloc((size_t)p->buffer_count * sizeof *last);
        for (i = 0; i < p->buffer_count; ++i) first[i] = last[i] = -1;
        for (i = moment = 0; i < p->instr_count; ++i) {
            const drl__instr *in = &p->instr[i];
            int used[9] = { 0 };
            used[0] = in->a; used[1] = in->b; used[2] = in->extra; used[8] = in->dy; used[3] = in->shift; used[4] = in->add; used[5] = in->y;
            used[6] = used[7] = -1;
            if (i && (mode != DRL_NET_PARAM_GRAD || drl__whole_batch(in) || drl__whole_batch(&in[-1]) || i == p->forward_count)) ++moment;
            if (i == p->forward_count) { used[6] = p->out; used[7] = p->dout; }
            for (j = 0; j < 9; ++j)
                if (used[j] >= 0) {
                    if (first[used[j]] < 0) first[used[j]] = moment;
                    last[used[j]] = moment;
                }
        }
        for (j = 2; j < p->buffer_count; ++j)
            for (k = 2; k < j; ++k) {
                const drl__buffer *a = &p->buffer[j], *b = &p->buffer[k];
                if (first[j] < 0 || first[k] < 0 || last[j] < first[k] || last[k] < first[j]) continue;
                shared += a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
            }
        CHECK(!shared, "mode %d: %d pairs of buffers share places", mode, shared);
        free(first);
        free(last);
    }
}

/* Images first .. first + n - 1 in all three modes on a net planned for `batch`; a second pass must add to the gradients. */
static int run(const data *d, drl_isa isa, int threads, int batch, int first, int n, result *r)
{
    const graph *g = d->g;
    int mode, i, k, ok = 1;
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_net *net = NULL;
    drl_net_desc nd;
    size_t in = node_size(&g->n[0]), out = node_size(&g->n[g->count - 1]), j;
    float *x = floats(in * BATCH), *dout = floats(out * BATCH), level[BATCH];
    drl_batch b;
    memset(r, 0, sizeof *r);
    if (!ctx) { free(x); free(dout); return 0; }
    memset(&nd, 0, sizeof nd);
    nd.batch = batch;
    nd.modes = 7;
    for (j = 0; j < in * (size_t)n; ++j) x[j] = (float)d->x[(size_t)first * in + j];
    for (j = 0; j < out * (size_t)n; ++j) dout[j] = (float)d->dout[(size_t)first * out + j];
    for (i = 0; i < n; ++i) level[i] = (float)d->level[first + i];
    b = drl_batch_of(n, x, has_level(g) ? level : NULL);
    b.label = d->label + first;
    b.dropout = d->dropout;
    CHECK_OK(ctx, drl_net_create(ctx, build, (void *)(uintptr_t)g, &nd, &net));
    if (net) {
        places(net);
        set_params(net, d);
        r->dx = floats(in * (size_t)n);
        for (j = 0; j < in * (size_t)n; ++j) r->dx[j] = (float)NAN;
        for (k = 0; k < 2 && ok; ++k)               /* the second round starts from an arena full of the first one's values */
            for (mode = 0; mode < 3; ++mode) {
                if (!k) r->out[mode] = floats(out * (size_t)n);
                else if (mode == DRL_NET_PARAM_GRAD) break;
#ifndef DRL__ASAN      /* there, gaps between buffers may not be written */
                if (!k && mode == DRL_NET_FORWARD) memset(net->arena, 0xff, net->block_bytes - (size_t)(net->arena - (unsigned char *)net->block));   /* NaN */
#endif
                CHECK_OK(ctx, run_batch(net, (drl_net_mode)mode, &b, dout, r->out[mode], r->dx));
            }
        drl_net_spectral_grads(net);
        for (i = 0; i < d->tensors; ++i) {
            r->grad[i] = floats(d->count[i]);
            memcpy(r->grad[i], drl_net_grads(net) + drl_net_param(net, i)->offset, d->count[i] * sizeof(float));
        }
    }
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
    free(x); free(dout);
    return net != NULL;
}

/* |a - b| over at most `most` elements spread over n, and |b| of them; b by central differences at p. */
static void difference_norms(const data *d, const float *a, double *p, size_t n, size_t most, int first, int last, double *error, double *size)
{
    size_t step = n > most ? n / most : 1, j;
    for (*error = *size = 0, j = 0; j < n; j += step) {
        double b = difference(d, p + j, first, last), e = (double)a[j] - b;
        *error += e == e ? e * e : HUGE_VAL;
        *size += b * b;
    }
    *error = sqrt(*error); *size = sqrt(*size);
}

static int bits_equal(const float *a, const float *b, size_t n) { return !memcmp(a, b, n * sizeof *a); }

static const drl_isa sets[] = { DRL_ISA_PORTABLE, DRL_ISA_SSE2, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_WASM };
#define SETS ((int)DRL__COUNT(sets))

/* A graph from all sides. tolerance: relative error of outputs and gradients in float32. Where a norm sees a single number the gradient is
 * zero, and rounding remains: hence the 1e-6. */
static void check_graph(const char *name, const graph *g, size_t most, double tolerance)
{
    data d;
    result exact, r;
    int have_exact = 0, i, s, t, m, n = 3;
    size_t out = node_size(&g->n[g->count - 1]), in = node_size(&g->n[0]), k;
    memset(&exact, 0, sizeof exact);
    data_make(&d, g);
    for (s = 0; s < SETS; ++s) {
        double error = 0, size = 0, whole = 0, te[TENSORS], ts[TENSORS];
        if (!run(&d, sets[s], 1, n, 0, n, &r)) continue;
        for (m = 0; m < n; ++m) {
            evaluate(&d, m);
            for (k = 0; k < out; ++k) {
                double b = d.value[g->count - 1][k], e = (double)r.out[0][(size_t)m * out + k] - b;
                error += e == e ? e * e : HUGE_VAL;
                size += b * b;
            }
        }
        CHECK(sqrt(error) <= tolerance * sqrt(size), "%s, %s: output is off by %g of %g", name, drl_isa_name(sets[s]), sqrt(error), sqrt(size));
        CHECK(bits_equal(r.out[0], r.out[1], out * 3) && bits_equal(r.out[0], r.out[2], out * 3), "%s, %s: the modes' outputs differ", name, drl_isa_name(sets[s]));
        if (!have_exact || UNFUSED(sets[s])) {               /* differences are slow; the other exact sets must give the same bits */
            difference_norms(&d, r.dx, d.x, in * (size_t)n, most, 0, n, &error, &size);
            CHECK(error <= tolerance * size + 1e-6, "%s, %s: gradient by the input is off by %g of %g", name, drl_isa_name(sets[s]), error, size);
            for (t = 0; t < d.tensors; ++t) {
                difference_norms(&d, r.grad[t], d.p[t], d.count[t], most, 0, n, &te[t], &ts[t]);
                whole += ts[t] * ts[t];
            }
            whole = sqrt(whole);
            for (t = 0; t < d.tensors; ++t)
                CHECK(te[t] <= tolerance * (ts[t] + 0.1 * whole), "%s, %s: gradient by parameter %d of node %d is off by %g of %g", name, drl_isa_name(sets[s]), t, d.owner[t], te[t], ts[t]);
        }
        if (UNFUSED(sets[s])) { result_free(&r); continue; }
        if (!have_exact) { exact = r; have_exact = 1; continue; }
        for (t = 0, i = bits_equal(r.out[0], exact.out[0], out * 3) && bits_equal(r.dx, exact.dx, in * 3); t < d.tensors; ++t) i &= bits_equal(r.grad[t], exact.grad[t], d.count[t]);
        CHECK(i, "%s: %s and portable differ", name, drl_isa_name(sets[s]));
        result_free(&r);
    }
    /* more room in the batch, more threads, jobs in reverse order: the same bits */
    for (s = 0; s < 3; ++s) {
        static const int threads[3] = { 2, 3, 7 };
        if (!run(&d, DRL_ISA_AUTO, threads[s], s ? 8 : 3, 0, n, &r)) continue;
        for (t = 0, i = bits_equal(r.out[0], exact.out[0], out * 3) && bits_equal(r.dx, exact.dx, in * 3); t < d.tensors; ++t) i &= bits_equal(r.grad[t], exact.grad[t], d.count[t]);
        CHECK(i, "%s: %d threads give other bits than one", name, threads[s]);
        result_free(&r);
    }
    /* each image alone in a bigger plan */
    for (m = 0; m < n; ++m) {
        if (!run(&d, DRL_ISA_AUTO, 1, 5, m, 1, &r)) continue;
        CHECK(bits_equal(r.out[1], exact.out[1] + (size_t)m * out, out) && bits_equal(r.dx, exact.dx + (size_t)m * in, in), "%s: image %d alone differs from the batch", name, m);
        result_free(&r);
    }
    if (have_exact) result_free(&exact);
    data_free(&d);
}

/* The training pass of a graph with dropout against the interpreter with the same masks, on every set and with threads; the other two modes
 * take no notice. */
static void check_dropout(const char *name, const graph *g, double tolerance)
{
    data d;
    result exact, r;
    drl_rng rng;
    int have_exact = 0, s, m, t, i, n = 3, drops = 0, values = 0;
    size_t out = node_size(&g->n[g->count - 1]), k;
    memset(&exact, 0, sizeof exact);
    data_make(&d, g);
    rng.seed = 77; rng.stream = ((uint64_t)5 << 40) + 3; rng.position = 9;
    d.dropout = &rng;
    for (s = 0; s < SETS + 3; ++s) {
        double error = 0, size = 0, e, whole = 0, te[TENSORS], ts[TENSORS];
        if (!run(&d, s < SETS ? sets[s] : DRL_ISA_AUTO, s < SETS ? 1 : s - SETS + 2, s <= SETS ? n : 7, 0, n, &r)) continue;
        if (!have_exact || (s < SETS && UNFUSED(sets[s]))) {
            for (m = 0; m < n; ++m) {
                evaluate(&d, m);
                for (k = 0; k < out; ++k) {
                    e = (double)r.out[2][(size_t)m * out + k] - d.value[g->count - 1][k];
                    error += e * e;
                    size += d.value[g->count - 1][k] * d.value[g->count - 1][k];
                }
                for (i = 0; i < g->count; ++i)
                    if (g->n[i].kind == N_DROPOUT)
                        for (k = 0; k < node_size(&g->n[i]); ++k)
                            if ((g->n[i].a ? d.value[g->n[i].a][k] : 1.0) != 0) { ++values; drops += d.value[i][k] == 0; }
            }
            CHECK(sqrt(error) <= tolerance * sqrt(size), "%s, set %d: output is off by %g of %g", name, s, sqrt(error), sqrt(size));
            for (t = 0; t < d.tensors; ++t) {
                difference_norms(&d, r.grad[t], d.p[t], d.count[t], 100, 0, n, &te[t], &ts[t]);
                whole += ts[t] * ts[t];
            }
            for (t = 0; t < d.tensors; ++t)
                CHECK(te[t] <= tolerance * (ts[t] + 0.1 * sqrt(whole)), "%s, set %d: gradient by parameter %d of node %d is off by %g of %g", name, s, t, d.owner[t], te[t], ts[t]);
            d.dropout = NULL;
            for (m = 0, error = size = 0; m < n; ++m) {
                evaluate(&d, m);
                for (k = 0; k < out; ++k) {
                    e = (double)r.out[0][(size_t)m * out + k] - d.value[g->count - 1][k];
                    error += e * e;
                    size += d.value[g->count - 1][k] * d.value[g->count - 1][k];
                }
            }
            d.dropout = &rng;
            CHECK(sqrt(error) <= tolerance * sqrt(size) && bits_equal(r.out[0], r.out[1], out * 3), "%s, set %d: without training it is no identity, off by %g of %g", name, s, sqrt(error), sqrt(size));
        }
        if (s < SETS && UNFUSED(sets[s])) { result_free(&r); continue; }
        if (!have_exact) { exact = r; have_exact = 1; continue; }
        for (t = 0, i = bits_equal(r.out[2], exact.out[2], out * 3); t < d.tensors; ++t) i &= bits_equal(r.grad[t], exact.grad[t], d.count[t]);
        CHECK(i, "%s: other bits in run %d", name, s);
        result_free(&r);
    }
    CHECK(values > 500 && fabs((double)drops / values - 0.25) < 4 * sqrt(0.25 * 0.75 / values), "%s: %d of %d values are dropped, a quarter is wanted", name, drops, values);
    if (have_exact) result_free(&exact);
    data_free(&d);
}

static void dropout(void)
{
    graph g;
    int x = g_input(&g, 5, 4, 3), v, a;                         /* of the input, in place, of a value used again; an odd number of elements */
    v = g_conv(&g, g_dropout(&g, x, 0.25), 7, 3);
    a = g_dropout(&g, g_act(&g, v, DRL_ACT_SILU), 0.25);
    v = g_add(&g, g_dropout(&g, a, 0.25), a);
    v = g_conv(&g, g_dropout(&g, v, 0.25), 3, 3);
    g_sum(&g, g_concat(&g, v, g_dropout(&g, x, 0.25)), 1);
    check_dropout("dropout", &g, 2e-5);
    check_graph("dropout, off", &g, 400, 2e-5);
}

/* -- graphs made by hand -- */

static void hand_made(void)
{
    graph g;
    int x, e, s, a, b, c, v;

    x = g_input(&g, 6, 4, 3);                                   /* plain chain with a level head */
    e = g_act(&g, g_conv(&g, g_level(&g, 8), 12, 0), DRL_ACT_LEAKY_RELU);
    v = g_act(&g, g_conv(&g, x, 5, 3), DRL_ACT_LEAKY_RELU);
    v = g_act(&g, g_conv(&g, v, 7, 3), DRL_ACT_RELU);
    g_dot(&g, g_sum(&g, v, 0.5), g_conv(&g, e, 7, 0));
    check_graph("chain", &g, 400, 1e-5);

    x = g_input(&g, 8, 4, 3);                                   /* the larger of neighbours, of the images and of a layer */
    v = g_conv(&g, g_maxpool(&g, x), 5, 3);
    a = g_maxpool(&g, v);
    g_sum(&g, g_add(&g, g_act(&g, a, DRL_ACT_SILU), g_pool(&g, v)), 1);
    check_graph("max pooling", &g, 400, 1e-5);

    x = g_input(&g, 4, 5, 2);                                   /* a value used three times, twice by sums */
    v = g_conv(&g, x, 4, 3);
    a = g_act(&g, v, DRL_ACT_LEAKY_RELU);
    b = g_conv(&g, v, 4, 3);
    v = g_add(&g, g_add(&g, a, b), v);
    g_sum(&g, v, 1);
    check_graph("used three times", &g, 400, 1e-5);

    x = g_input(&g, 3, 3, 4);                                   /* x + x, of a layer and of the input itself */
    v = g_add(&g, x, x);
    v = g_conv(&g, v, 4, 3);
    v = g_add(&g, v, v);
    v = g_add(&g, v, v);
    g_act(&g, v, DRL_ACT_LEAKY_RELU);
    check_graph("x + x", &g, 400, 1e-5);

    x = g_input(&g, 5, 5, 3);                                   /* sums that meet again, partly in each other's buffers */
    v = g_conv(&g, x, 6, 3);
    a = g_act(&g, v, DRL_ACT_RELU);
    b = g_add(&g, v, a);
    c = g_add(&g, b, v);
    c = g_add(&g, c, b);
    c = g_add(&g, g_gain(&g, c), a);
    g_sum(&g, g_add(&g, c, v), 0.1);
    check_graph("branches", &g, 400, 1e-5);

    x = g_input(&g, 4, 4, 3);                                   /* one shift for two values, and in a product */
    e = g_conv(&g, g_level(&g, 6), 5, 0);
    s = g_conv(&g, g_act(&g, e, DRL_ACT_SILU), 5, 0);
    a = g_shift(&g, g_conv(&g, x, 5, 3), s);
    b = g_shift(&g, g_conv(&g, x, 5, 1), s);
    v = g_act(&g, g_add(&g, a, b), DRL_ACT_LEAKY_RELU);
    g_dot(&g, g_sum(&g, v, 1), s);
    check_graph("shared shift", &g, 400, 1e-5);

    x = g_input(&g, 4, 6, 3);                                   /* the input as an operand of everything */
    a = g_conv(&g, x, 3, 3);
    a = g_add(&g, x, a);
    b = g_add(&g, g_conv(&g, x, 3, 1), x);
    c = g_gain(&g, x);
    v = g_add(&g, g_add(&g, a, b), c);
    v = g_add(&g, v, g_act(&g, x, DRL_ACT_SILU));
    v = g_add(&g, v, g_act(&g, x, DRL_ACT_LEAKY_RELU));
    v = g_add(&g, v, g_up(&g, g_pool(&g, x)));
    s = g_sum(&g, x, 0.25);
    v = g_shift(&g, v, s);
    v = g_shift(&g, x, g_sum(&g, v, 0.1));
    g_dot(&g, g_sum(&g, v, 1), s);
    check_graph("input everywhere", &g, 400, 1e-5);

    x = g_input(&g, 8, 8, 2);                                   /* resampling, SiLU and gains that run in place */
    v = g_act(&g, g_gain(&g, g_conv(&g, x, 4, 3)), DRL_ACT_SILU);
    a = g_pool(&g, v);
    b = g_gain(&g, g_act(&g, g_gain(&g, g_conv(&g, a, 4, 3)), DRL_ACT_SILU));
    v = g_add(&g, g_up(&g, b), v);
    g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 1, 3);
    check_graph("u shape", &g, 400, 1e-5);

    x = g_input(&g, 1, 1, 5);                                   /* vectors: dense layers, products of a value with itself */
    v = g_act(&g, g_conv(&g, x, 9, 0), DRL_ACT_SILU);
    v = g_shift(&g, v, v);
    a = g_conv(&g, v, 5, 0);
    v = g_shift(&g, a, x);
    v = g_add(&g, v, x);
    g_dot(&g, v, v);
    check_graph("vectors", &g, 400, 1e-5);

    x = g_input(&g, 4, 6, 3);                                   /* the squared length of a map, and the product of two */
    v = g_add(&g, g_act(&g, g_conv(&g, x, 3, 3), DRL_ACT_SILU), x);
    a = g_sum(&g, g_dot(&g, v, v), -0.5);
    g_add(&g, a, g_dot(&g, v, x));
    check_graph("products of maps", &g, 400, 1e-5);

    x = g_input(&g, 1, 1, 3);                                   /* 3x3 on a single pixel when asked for; the input times itself */
    v = g_conv(&g, x, 3, 3);
    g_dot(&g, g_add(&g, v, x), x);
    check_graph("3x3 on a pixel", &g, 400, 1e-5);

    x = g_input(&g, 4, 4, 2);                                   /* values that nobody reads, one with a gradient to keep */
    v = g_conv(&g, x, 3, 3);
    g_conv(&g, v, 2, 3);
    g_act(&g, v, DRL_ACT_SILU);
    g_sum(&g, g_act(&g, v, DRL_ACT_RELU), 1);
    check_graph("unread values", &g, 400, 1e-5);

    x = g_input(&g, 5, 3, 2);                                   /* layers without parameters at all, and without bias */
    v = g_conv(&g, g_act(&g, x, DRL_ACT_NONE), 6, 3);
    g.n[v].no_bias = 1;
    v = g_conv(&g, v, 20, 1);
    g.n[v].no_bias = 1;
    g_act(&g, v, DRL_ACT_NONE);
    check_graph("no bias", &g, 400, 1e-5);

    x = g_input(&g, 3, 3, 2);
    g_act(&g, x, DRL_ACT_LEAKY_RELU);
    check_graph("no parameters", &g, 400, 1e-5);

    x = g_input(&g, 4, 5, 6);                                   /* norms: of the input, of a layer in place, of a value used again */
    v = g_norm(&g, x, 2);
    v = g_norm(&g, g_conv(&g, g_act(&g, v, DRL_ACT_SILU), 8, 3), 8);
    a = g_norm(&g, v, 4);
    v = g_add(&g, g_conv(&g, g_act(&g, a, DRL_ACT_LEAKY_RELU), 8, 1), v);
    g_dot(&g, g_sum(&g, g_norm(&g, v, 1), 1), g_conv(&g, g_norm(&g, g_conv(&g, g_level(&g, 4), 6, 0), 3), 8, 0));
    check_graph("norms", &g, 400, 2e-5);

    x = g_input(&g, 4, 3, 3);                                   /* scale and shift: from the level, from the images, of the input */
    e = g_conv(&g, g_act(&g, g_conv(&g, g_level(&g, 6), 5, 0), DRL_ACT_SILU), 12, 0);
    v = g_scale_shift(&g, g_norm(&g, g_conv(&g, x, 6, 3), 3), e);
    v = g_add(&g, v, g_scale_shift(&g, v, g_conv(&g, g_sum(&g, x, 0.1), 12, 0)));
    a = g_scale_shift(&g, x, g_sum(&g, v, 0.1));
    g_dot(&g, g_conv(&g, g_sum(&g, a, 1), 6, 0), g_sum(&g, g_scale_shift(&g, v, e), 1));
    check_graph("scale and shift", &g, 400, 2e-5);

    x = g_input(&g, 4, 4, 3);                                   /* concatenation: with the input, with itself, of vectors */
    v = g_conv(&g, x, 5, 3);
    v = g_concat(&g, g_act(&g, v, DRL_ACT_SILU), v);
    a = g_concat(&g, x, v);
    b = g_add(&g, g_conv(&g, a, 13, 1), a);
    b = g_concat(&g, b, b);
    g_dot(&g, g_sum(&g, b, 0.3), g_conv(&g, g_concat(&g, g_level(&g, 4), g_sum(&g, x, 0.2)), 26, 0));
    check_graph("concatenation", &g, 400, 1e-5);

    x = g_input(&g, 4, 6, 6);                                   /* attention: as in a network, of the input, of what is used again */
    v = g_conv(&g, g_norm(&g, x, 3), 24, 1);
    v = g_add(&g, g_conv(&g, g_attention(&g, v), 24, 1), v);
    a = g_conv(&g, g_attention(&g, x), 24, 3);
    g_attention(&g, g_add(&g, v, a));
    check_graph("attention", &g, 400, 3e-5);

    x = g_input(&g, 3, 4, 2);                                   /* classes, beside the level and alone */
    e = g_add(&g, g_conv(&g, g_level(&g, 4), 5, 0), g_conv(&g, g_label(&g, CLASSES), 5, 0));
    v = g_shift(&g, g_conv(&g, x, 5, 3), g_act(&g, e, DRL_ACT_SILU));
    g_dot(&g, g_sum(&g, v, 1), g_conv(&g, g_label(&g, CLASSES), 5, 0));
    check_graph("labels", &g, 400, 1e-5);

    CHECK(drl__winograd_choice(4, 7, 16, 16) && drl__winograd_choice(4, 7, 16, 8), "these images are too small for Winograd's convolution");
    x = g_input(&g, 4, 7, 16);                                  /* two tiles, one of them cut: what becomes part of Winograd's convolution, and what must not */
    e = g_act(&g, g_conv(&g, g_level(&g, 4), 6, 0), DRL_ACT_LEAKY_RELU);
    v = g_add(&g, g_conv(&g, x, 16, 3), x);                     /* the sum's other operand is the convolution's */
    a = g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 16, 3);
    a = g_act(&g, g_shift(&g, a, g_conv(&g, e, 16, 0)), DRL_ACT_LEAKY_RELU);
    v = g_add(&g, g_gain(&g, g_conv(&g, a, 16, 3)), v);
    a = g_conv(&g, v, 32, 3);
    a = g_act(&g, g_gain(&g, g_shift(&g, a, g_conv(&g, e, 32, 0))), DRL_ACT_RELU);
    b = g_conv(&g, v, 32, 3);
    c = g_act(&g, g_add(&g, b, g_gain(&g, g_conv(&g, a, 32, 3))), DRL_ACT_RELU);
    v = g_add(&g, c, b);                                        /* b is read twice */
    a = g_conv(&g, v, 8, 3);                                    /* too few channels for bits */
    g_sum(&g, g_gain(&g, g_act(&g, a, DRL_ACT_LEAKY_RELU)), 0.1);
    check_graph("fused", &g, 40, 2e-5);

    x = g_input(&g, 2, 2, 2);                                   /* the output does not depend on the images: its gradient is zero */
    g_conv(&g, g_level(&g, 4), 3, 0);
    check_graph("output without input", &g, 400, 1e-5);
}

/* Two residual resolutions with everything that the energy network has, spectral norms of both kinds on either side of 1. */
static void spectral(void)
{
    graph g;
    int x, e, v, h, i, k;
    for (k = 0; k < 2; ++k) {
        x = g_input(&g, 4, 4, 3);
        e = g_act(&g, g_conv(&g, g_level(&g, 8), 10, 0), DRL_ACT_LEAKY_RELU);
        v = g_conv(&g, x, 6, 3);
        h = g_shift(&g, g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 6, 3), g_conv(&g, e, 6, 0));
        h = g_gain(&g, g_conv(&g, g_act(&g, h, DRL_ACT_LEAKY_RELU), 6, 3));
        v = g_pool(&g, g_add(&g, h, v));
        h = g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 9, 3);
        v = g_act(&g, g_add(&g, h, g_conv(&g, v, 9, 3)), DRL_ACT_RELU);
        g_dot(&g, g_sum(&g, v, 1), g_conv(&g, e, 9, 0));
        for (i = 0; i < g.count; ++i)
            if (g.n[i].kind == N_CONV) {
                g.n[i].spectral = (i + k) % 3 ? DRL_SPECTRAL_UNIT : DRL_SPECTRAL_CAP;
                g.n[i].scale = (i / 3 + k) % 2 ? 0.3 : 2.0;
            }
        check_graph(k ? "spectral, large and small" : "spectral, small and large", &g, 400, 2e-5);
    }
}

/* sigma exactly 1: the weights stay, but sigma still depends on them. One weight w = 1, u = v = 1: W / sigma = 1 whatever w is. */
static void spectral_one(void)
{
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    drl_net_desc nd;
    float x = 3, out = 0, dout = 1;
    int v = g_conv(&g, g_input(&g, 1, 1, 1), 1, 0);
    g.n[v].spectral = DRL_SPECTRAL_UNIT;
    memset(&nd, 0, sizeof nd);
    nd.modes = 4;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    if (net) {
        drl_net_params(net)[drl_net_param(net, 0)->offset] = 1;
        net->state[net->op[v].u] = net->state[net->op[v].v] = 1;
        drl_net_refresh(net, 0);
        CHECK_OK(ctx, run_mode(net, DRL_NET_PARAM_GRAD, 1, &x, NULL, &dout, &out, NULL));
        drl_net_spectral_grads(net);
        CHECK(out == 3 && drl_net_grads(net)[drl_net_param(net, 0)->offset] == 0, "sigma 1: output %g, gradient %g instead of 3 and 0", (double)out, (double)drl_net_grads(net)[drl_net_param(net, 0)->offset]);
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* -- random graphs: every operator on random earlier values -- */

static void random_graphs(int count, int wide)
{
    int i;
    for (i = 0; i < count; ++i) {
        graph g;
        char name[40];
        int target, conv_cost = 0, by_input[NODES], h, w, c;
        test_seed = (uint64_t)i * 977 + 5;
        real(0, 1);
        if (wide) g_input(&g, 4, 7, 16);                        /* large enough for Winograd's convolution and what is fused with it */
        else {
            c = 1 + below(5);  w = 1 + below(6);  h = 1 + below(6);       /* one after the other: compilers differ in the order of arguments */
            g_input(&g, h, w, c);
        }
        target = 4 + below(14);
        by_input[0] = 1;
        while (g.count < target || !by_input[g.count - 1]) {
            int a = below(g.count), b = below(g.count), k, old = g.count;
            const node *na;
            if (g.count == NODES - 1) a = 0;                                    /* the end: something of the input */
            else if (below(3)) a = g.count - 1 - below(g.count < 3 ? g.count : 3);   /* mostly recent ones, or few values matter in the end */
            na = &g.n[a];
            switch (g.count == NODES - 1 ? 9 : below(11)) {
            case 0: if (below(2)) g_label(&g, CLASSES); else g_level(&g, 4 + 2 * below(3)); break;
            case 1: case 2:
                if ((conv_cost += na->h * na->w * na->c) > (wide ? 2100 : 600)) break;
                w = wide ? (na->h > 1 ? 3 : 0) : below(2) ? 0 : 1 + 2 * below(2);
                c = wide ? 16 : 1 + below(6);
                k = g_conv(&g, a, c, w);
                if (below(4) == 0) g.n[k].no_bias = 1;
                if (below(4) == 0) { g.n[k].spectral = below(2) ? DRL_SPECTRAL_UNIT : DRL_SPECTRAL_CAP; g.n[k].scale = below(2) ? 2.5 : 0.3; }
                break;
            case 3: if (below(3) == 0) g_dropout(&g, a, 0.5); else g_act(&g, a, (drl_act)(1 + below(3))); break;
            case 4:
                for (k = 0; k < g.count && (g.n[b].h != na->h || g.n[b].w != na->w || g.n[b].c + na->c > (wide ? 16 : 12)); ++k) b = (b + 1) % g.count;
                if (k < g.count && below(2)) g_concat(&g, a, b);
                else g_act(&g, a, (drl_act)(1 + below(3)));
                break;
            case 5: if (na->c % 3 == 0 && below(2)) g_attention(&g, a); else if (wide) g_gain(&g, a); else if (na->h % 2 == 0 && na->w % 2 == 0) { if (below(2)) g_pool(&g, a); else g_maxpool(&g, a); } break;
            case 6: if (na->h <= 4 && na->w <= 4 && na->h * na->w > 1) g_up(&g, a); break;
            case 7:
                for (k = 0; k < g.count && (g.n[b].h != na->h || g.n[b].w != na->w || g.n[b].c != na->c); ++k) b = (b + 1) % g.count;
                if (k < g.count) g_add(&g, a, b);
                break;
            case 8:
                for (k = 0; k < g.count && (g.n[b].h * g.n[b].w != 1 || (g.n[b].c != na->c && g.n[b].c != 2 * na->c)); ++k) b = (b + 1) % g.count;
                if (k < g.count && g.n[b].c == na->c) g_shift(&g, a, b);
                else if (k < g.count) g_scale_shift(&g, a, b);
                break;
            case 9: if (below(2)) g_norm(&g, a, na->c % 3 == 0 ? 3 : na->c % 2 ? 1 : 2); else g_gain(&g, a); break;
            default:
                if (na->h * na->w > 1) g_sum(&g, a, real(0.1, 1));
                else {
                    for (k = 0; k < g.count && (g.n[b].h * g.n[b].w != 1 || g.n[b].c != na->c); ++k) b = (b + 1) % g.count;
                    if (k < g.count && below(2)) g_dot(&g, a, b);
                }
            }
            if (g.count > old) by_input[old] = (g.n[old].a >= 0 && by_input[g.n[old].a]) || (g.n[old].b >= 0 && by_input[g.n[old].b]);
        }
        snprintf(name, sizeof name, "random %sgraph %d", wide ? "wide " : "", i);
        check_graph(name, &g, 12, 1e-4);
    }
}

/* -- use and misuse -- */

static void gradients_accumulate(void)
{
    graph g;
    data d;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    drl_net_desc nd;
    float x[2][32], out[2], dout[2] = { 1, -0.5f }, dx[32], *once;
    drl_batch b;
    size_t k, n;
    int i, equal = 1, good = 1;
    int v = g_act(&g, g_conv(&g, g_input(&g, 4, 4, 2), 3, 3), DRL_ACT_LEAKY_RELU);
    g_dot(&g, g_sum(&g, v, 1), g_sum(&g, v, 0.5));
    data_make(&d, &g);
    for (i = 0; i < 64; ++i) x[i / 32][i % 32] = (float)d.x[i];
    memset(&nd, 0, sizeof nd);
    nd.batch = 2;
    nd.modes = 7;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    CHECK(net && drl_net_grads(net) && drl_net_params_size(net) >= 57, "gradients of %d floats", net ? (int)drl_net_params_size(net) : 0);
    if (net) {
        set_params(net, &d);
        n = drl_net_params_size(net);
        once = floats(n);
        for (i = 0; i < 2; ++i) {
            if (i) for (k = 0; k < n; ++k) once[k] = drl_net_grads(net)[k];
            CHECK_OK(ctx, run_mode(net, DRL_NET_PARAM_GRAD, 2, x[0], NULL, dout, out, NULL));
        }
        for (k = 0; k < n; ++k) good &= fabsf(drl_net_grads(net)[k] - 2 * once[k]) <= 1e-5f * fabsf(once[k]);
        CHECK(good, "two passes do not add up to twice the gradient");
        for (k = 0; k < n; ++k) equal &= drl_net_grads(net)[k] == 0;
        CHECK(!equal, "all gradients are zero");
        free(once);

        /* misuse: a status, a sentence, nothing changed */
        out[0] = 77;
        REFUSED(ctx, drl_net_train_backward(net, dout), DRL_E_ARGUMENT);             /* the forward has been used up */
        for (i = -1; i < 4; i += i ? 1 : 3) {                                  /* -1, 0, 3 images of 2 */
            b = drl_batch_of(i, x[0], NULL);
            REFUSED(ctx, drl_net_forward(net, &b, out), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_input_grad(net, &b, dout, out, dx), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_train_forward(net, &b, out), DRL_E_ARGUMENT);
        }
        b = drl_batch_of(1, NULL, NULL);
        REFUSED(ctx, drl_net_forward(net, &b, out), DRL_E_ARGUMENT);
        b.x = x[0];
        REFUSED(ctx, drl_net_forward(net, &b, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_forward(net, NULL, out), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_input_grad(net, &b, NULL, out, dx), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_input_grad(net, &b, dout, out, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_train_forward(net, &b, NULL), DRL_E_ARGUMENT);
        CHECK(out[0] == 77, "a refused run has written %g", (double)out[0]);
        CHECK_OK(ctx, drl_net_train_forward(net, &b, out));
        REFUSED(ctx, drl_net_train_backward(net, NULL), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_backward(net, dout));
        CHECK_OK(ctx, drl_net_train_forward(net, &b, out));
        CHECK_OK(ctx, drl_net_forward(net, &b, out));                           /* shares the arena */
        REFUSED(ctx, drl_net_train_backward(net, dout), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_forward(net, &b, out));
        drl_net_refresh(net, 0);
        REFUSED(ctx, drl_net_train_backward(net, dout), DRL_E_ARGUMENT);             /* the weights have changed since */
        drl_net_destroy(net);
    }
    net = NULL;
    nd.modes = 1;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    CHECK(net && !drl_net_grads(net), "gradients without having asked for them");
    b = drl_batch_of(1, x[0], NULL);
    if (net) REFUSED(ctx, drl_net_train_forward(net, &b, out), DRL_E_ARGUMENT);
    if (net) REFUSED(ctx, drl_net_input_grad(net, &b, dout, out, dx), DRL_E_ARGUMENT);
    drl_net_destroy(net);
    drl_net_destroy(NULL);
    data_free(&d);
    v = g_input(&g, 4, 4, 2);                       /* a net with a level, which must be given */
    g_shift(&g, v, g_conv(&g, g_level(&g, 4), 2, 0));
    net = NULL;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    if (net) REFUSED(ctx, drl_net_forward(net, &b, out), DRL_E_ARGUMENT);
    drl_net_destroy(net);
    v = g_input(&g, 4, 4, 2);                       /* labels must be among the classes; none at all means class 0 */
    g_sum(&g, g_shift(&g, v, g_conv(&g, g_label(&g, 3), 2, 0)), 1);
    net = NULL;
    nd.modes = 7;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    if (net) {
        int label = 3;
        float none[2];
        drl_net_init(net, 1);
        b = drl_batch_of(1, x[0], NULL);
        CHECK_OK(ctx, drl_net_forward(net, &b, none));
        b.label = &label;
        CHECK_OK(ctx, drl_net_forward(net, &b, out));
        CHECK(out[0] != none[0], "class 3 is as none");
        label = 0;
        CHECK_OK(ctx, drl_net_forward(net, &b, out));
        CHECK(out[0] == none[0], "label 0 is not as none: %g, %g", (double)out[0], (double)none[0]);
        for (label = -1; label < 5; label += 5) {
            REFUSED(ctx, drl_net_forward(net, &b, out), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_input_grad(net, &b, dout, out, dx), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_train_forward(net, &b, out), DRL_E_ARGUMENT);
        }
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

static drl_layer_desc layer(const char *name, int out, int kernel)
{
    drl_layer_desc l;
    memset(&l, 0, sizeof l);
    l.name = name; l.out_channels = out; l.kernel = kernel;
    return l;
}

/* Ways to build something that cannot be; user points at the number of the way. */
static int wrong_calls;
static void wrong_build(drl_net *net, void *user)
{
    int way = *(const int *)user;
    drl_layer_desc l = layer("l", 4, 0);
    drl_value x, y, bad;
    bad.id = 99; bad.h = bad.w = 3; bad.c = 2;
    ++wrong_calls;
    if (way == 0) return;
    if (way == 1) { drl_net_level(net, 4); drl_net_input(net, 3, 3, 2); return; }
    if (way == 2) { drl_net_act(net, drl_net_input(net, 3, 0, 2), DRL_ACT_RELU); return; }
    if (way == 24) { drl_net_conv2d(net, drl_net_level(net, 4), &l); return; }
    x = way == 40 || way == 57 ? drl_net_input(net, 2, 3, 2) : drl_net_input(net, way > 40 ? 1 : 3, 3, 2);       /* from 40 on: wrong in one number alone */
    y = way > 40 ? drl_net_spatial_sum(net, x, 1) : x;
    if (way >= 49) bad = x;
    switch (way) {
    case 3: return;
    case 4: drl_net_input(net, 3, 3, 2); break;
    case 5: drl_net_avgpool2(net, x); break;
    case 6: y = drl_net_conv2d(net, x, &l); drl_net_add(net, x, y); break;
    case 7: y = drl_net_spatial_sum(net, drl_net_conv2d(net, x, &l), 1); drl_net_shift(net, x, y); break;
    case 8: drl_net_shift(net, x, x); break;
    case 9: drl_net_dot(net, x, drl_net_avgpool2(net, x)); break;
    case 10: y = drl_net_spatial_sum(net, x, 1); drl_net_dot(net, y, drl_net_conv2d(net, y, &l)); break;
    case 11: l = layer("l", 4, 2); drl_net_conv2d(net, x, &l); break;
    case 12: l = layer("l", 0, 3); drl_net_conv2d(net, x, &l); break;
    case 13: l = layer(NULL, 4, 3); drl_net_conv2d(net, x, &l); break;
    case 14: drl_net_conv2d(net, x, NULL); break;
    case 15: drl_net_level(net, 5); break;
    case 16: drl_net_level(net, 2); break;
    case 17: drl_net_gain(net, x, NULL); break;
    case 18: drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 19: drl_net_add(net, x, bad); break;
    case 20: bad.id = -1; drl_net_conv2d(net, bad, &l); break;
    case 21: drl_net_conv2d(net, x, &l); if (wrong_calls % 2) drl_net_act(net, x, DRL_ACT_RELU); break;        /* does not repeat itself */
    case 38: if (wrong_calls % 2 == 0) drl_net_act(net, x, DRL_ACT_RELU); break;        /* more than was counted */
    case 39: l.out_channels = 1 << 24; for (way = 0, y = x; way < 200; ++way) y = drl_net_conv2d(net, y, &l); break;     /* 2^58 weights */
    case 55: case 56:                               /* together more than any block: of 128 channels one fits 63 bits, and two do not; of 256 none does */
        l.out_channels = way == 55 ? 128 : 256;
        for (way = 0, y = x; way < 16; ++way) y = drl_net_upsample2(net, y);
        drl_net_act(net, drl_net_conv2d(net, drl_net_conv2d(net, y, &l), &l), DRL_ACT_SILU);
        return;
    case 22: l.out_channels = 2147483647; drl_net_conv2d(net, drl_net_conv2d(net, x, &l), &l); break;
    case 23: for (way = 0, y = x; way < 15; ++way) y = drl_net_upsample2(net, y); drl_net_conv2d(net, drl_net_upsample2(net, y), &l); break;
    case 25: way -= 21; drl_net_act(net, x, (drl_act)way); break;         /* one beyond the last */
    case 26: drl_net_label(net, 0); break;
    case 27: drl_net_label(net, 2); drl_net_label(net, 3); break;
    case 28: drl_net_group_norm(net, x, "n", 3, 1e-6f); break;
    case 29: drl_net_group_norm(net, x, NULL, 2, 1e-6f); break;
    case 30: drl_net_group_norm(net, x, "n", 0, 1e-6f); break;
    case 31: drl_net_group_norm(net, x, "n", 2, -1e-6f); break;
    case 32: drl_net_scale_shift(net, x, drl_net_spatial_sum(net, x, 1)); break;
    case 33: drl_net_scale_shift(net, x, drl_net_conv2d(net, x, &l)); break;
    case 34: drl_net_dropout(net, x, 1); break;
    case 35: drl_net_dropout(net, x, -0.1f); break;
    case 36: drl_net_concat(net, x, drl_net_spatial_sum(net, x, 1)); break;
    case 37: drl_net_attention(net, x); break;
    case 40: drl_net_avgpool2(net, x); break;
    case 57: drl_net_maxpool2(net, x); break;
    case 41: drl_net_add(net, x, y); break;
    case 42: drl_net_concat(net, x, y); break;
    case 43: drl_net_shift(net, x, x); break;
    case 44: drl_net_scale_shift(net, x, drl_net_conv2d(net, x, &l)); break;
    case 45: l.out_channels = 5; drl_net_scale_shift(net, x, drl_net_conv2d(net, y, &l)); break;
    case 46: drl_net_dot(net, x, y); break;
    case 47: drl_net_dot(net, y, x); break;
    case 48: drl_net_group_norm(net, x, "n", 2, HUGE_VALF); break;
    case 49: bad.w = 0; drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 50: bad.c = 0; drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 51: bad.id = y.id + 1; drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 52: bad.h = 1 << 30; drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 53: bad.w = 1 << 30; drl_net_act(net, bad, DRL_ACT_RELU); break;
    case 54: bad.c = 1 << 30; drl_net_act(net, bad, DRL_ACT_RELU); break;
    default: break;
    }
    drl_net_act(net, x, DRL_ACT_RELU);              /* after the failure: does nothing */
}

static void wrong_builders(void)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_net *net = (drl_net *)(void *)&heap;
    drl_net_desc nd;
    size_t bytes;
    int way;
    graph g;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    for (way = 0; way <= 57; ++way) {
        int huge = way == 22 || way == 23 || way == 39 || way == 55 || way == 56;        /* may fit 64 bits, and no machine's memory */
        long live = heap.live;
        drl_status status, size_status;
        drl_ctx_clear(ctx);
        wrong_calls = 0;
        memset(&nd, 0, sizeof nd);
        if (huge && way != 39) nd.batch = 1 << 20;
        if (way == 55 || way == 56) nd.modes = 1 << DRL_NET_PARAM_GRAD;
        bytes = 4711;
        size_status = drl_net_size(ctx, wrong_build, &way, &nd, &bytes);
        wrong_calls = 0;
        drl_ctx_clear(ctx);
        status = drl_net_create(ctx, wrong_build, &way, &nd, &net);
        CHECK(status == DRL_E_ARGUMENT || status == DRL_E_SHAPE || (huge && status == DRL_E_MEMORY), "way %d: status %d", way, (int)status);
        if (way == 55 || way == 56) CHECK(strstr(drl_ctx_message(ctx), "do not fit one block of this machine's memory") != NULL, "way %d: %s", way, drl_ctx_message(ctx));
        if (huge && way < 55 && size_status == DRL_OK) CHECK(status == DRL_E_MEMORY && bytes > 1000000, "way %d: status %d", way, (int)status);
        else CHECK(status == size_status && bytes == 4711, "way %d: status %d, but %d when counting, bytes %d", way, (int)status, (int)size_status, (int)bytes);
        CHECK(strlen(drl_ctx_message(ctx)) > 20, "way %d: sentence '%s'", way, drl_ctx_message(ctx));
        CHECK(net == (drl_net *)(void *)&heap, "way %d: the result was touched", way);
        CHECK(heap.live == live, "way %d: %ld blocks leaked", way, heap.live - live);
        if (status == DRL_OK) { drl_net_destroy(net); net = (drl_net *)(void *)&heap; }
    }
    drl_ctx_clear(ctx);
    g_act(&g, g_input(&g, 2, 2, 2), DRL_ACT_RELU);
    memset(&nd, 0, sizeof nd);
    nd.batch = -1;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    nd.batch = 0; nd.modes = 8;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    nd.modes = -1;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_create(ctx, NULL, &g, NULL, &net), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_create(ctx, build, &g, NULL, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_size(ctx, build, &g, NULL, NULL), DRL_E_ARGUMENT);
    CHECK(drl_net_create(NULL, build, &g, NULL, &net) == DRL_E_ARGUMENT, "no context");
    CHECK(net == (drl_net *)(void *)&heap, "the result was touched");
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* The plan of a residual block, as a person would make it: buffers beside the caller's two, and nothing copied. A gradient that is thought to
 * be shared longer than it is, or a value to be read once more, is right and costs memory. */
static void plans(void)
{
    static const int expected[3] = {
        4,          /* h, act(h), its convolution; the sum over h and its activation over that; the energy */
        5 + 3,      /* activations save what they read, so the sum lies over the convolution and its activation apart; gradients of the energy, the sum, act(h) */
        5 + 3 + 2 };/* and of two biases */
    graph g;
    drl_net_desc nd;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    int h = g_conv(&g, g_input(&g, 6, 6, 2), 4, 3), mode, i, copies;
    g_sum(&g, g_act(&g, g_add(&g, h, g_conv(&g, g_act(&g, h, DRL_ACT_SILU), 4, 3)), DRL_ACT_SILU), 1);
    memset(&nd, 0, sizeof nd);
    nd.batch = 2;
    nd.modes = 7;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    for (mode = 0; net && mode < 3; ++mode) {
        const drl__program *p = &net->program[mode];
        for (i = copies = 0; i < p->instr_count; ++i) copies += p->instr[i].code == DRL__COPY;
        CHECK(p->buffer_count - 2 == expected[mode] && !copies, "mode %d: %d buffers and %d copies", mode, p->buffer_count - 2, copies);
    }
    drl_net_destroy(net);
    net = NULL;
    {   /* the residual block that [net.plan] draws */
        static const int bytes[] = { 1024, 1024, 64, 1024, 64, 64, 1024, 1024 }, offset[] = { 0, 1024, 3072, 2048, 1024, 1088, 0, 1024 };
        static const int first[] = { 0, 1, 1, 2, 4, 5, 5, 6 }, last[] = { 4, 2, 7, 3, 5, 5, 8, 7 };
        int v = g_conv(&g, g_input(&g, 8, 8, 4), 4, 3);
        const drl__program *p;
        g_sum(&g, g_add(&g, v, g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 4, 3)), 1);
        nd.batch = 1;
        CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
        p = &net->program[DRL_NET_INPUT_GRAD];
        CHECK(p->instr_count == 9 && p->forward_count == 5 && p->buffer_count == 10, "the drawn block: %d instructions", p->instr_count);
#ifndef DRL__ASAN
        CHECK(p->arena == 3136, "the drawn block: %d bytes", (int)p->arena);
#endif
        for (i = 0; i < 8; ++i) {
            const drl__buffer *b = &p->buffer[i + 2];
            CHECK((int)b->bytes == bytes[i] && b->first == first[i] && b->last == last[i], "the drawn block: buffer %d lives from %d to %d", i + 2, b->first, b->last);
#ifndef DRL__ASAN
            CHECK((int)b->offset == offset[i], "the drawn block: buffer %d lies at %d", i + 2, (int)b->offset);
#endif
        }
        drl_net_destroy(net);
        net = NULL;
        nd.batch = 2;
    }
    {   /* the gradient of a + b is that of both; a, which has another reader, gets a copy, and b may then have the first */
        int x = g_input(&g, 6, 6, 2), a = g_conv(&g, x, 4, 3), b = g_conv(&g, x, 4, 3);
        int rest = g_add(&g, g_sum(&g, g_act(&g, a, DRL_ACT_SILU), 1), g_sum(&g, g_act(&g, b, DRL_ACT_SILU), 1));
        g_add(&g, rest, g_sum(&g, g_add(&g, a, b), 1));
        CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
        for (mode = 1; net && mode < 3; ++mode) {
            const drl__program *p = &net->program[mode];
            for (i = copies = 0; i < p->instr_count; ++i) copies += p->instr[i].code == DRL__COPY;
            CHECK(copies == 1, "mode %d: %d copies", mode, copies);
        }
        drl_net_destroy(net);
        net = NULL;
    }
    g_sum(&g, g_pool(&g, g_up(&g, g_pool(&g, g_up(&g, g_pool(&g, g_conv(&g, g_input(&g, 8, 8, 2), 2, 3)))))), 1);      /* nothing that going back reads again */
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    if (net) places(net);
    drl_net_destroy(net);
    for (i = 0; i < 3; ++i) {                   /* the networks of the papers, and a conditional one */
        drl_model_desc d;
        drl_model *m = NULL;
        memset(&d, 0, sizeof d);
        d.form = i ? DRL_FORM_CDRL : DRL_FORM_DRL;
        d.height = d.width = 8; d.channels = 2; d.base = 8; d.classes = i == 2 ? 3 : 0; d.trainable = 1; d.batch = 2;
        CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
        if (m) {
            places(drl_model_net(m));
            if (drl_model_initializer(m)) places(drl_model_initializer(m));
        }
        drl_model_destroy(m);
    }
    drl_ctx_destroy(ctx);
}

/* Every allocation of drl_net_create failing in turn; what is held equals what drl_net_size says; running allocates nothing. */
static void memory(void)
{
    graph g;
    int x, v, e, modes, fail, reached = 0;
    x = g_input(&g, 4, 4, 3);
    e = g_conv(&g, g_level(&g, 4), 6, 0);
    v = g_act(&g, g_shift(&g, g_conv(&g, x, 6, 3), e), DRL_ACT_LEAKY_RELU);
    g.n[v - 2].spectral = DRL_SPECTRAL_UNIT;
    g_dot(&g, g_sum(&g, g_gain(&g, v), 1), e);
    for (modes = 1; modes < 8; ++modes)
        for (fail = 1; fail < 50; ++fail) {
            check_heap heap;
            drl_ctx *ctx;
            drl_net *net = NULL;
            drl_net_desc nd;
            drl_status status;
            size_t used, bytes = 0, heap_bytes;
            memset(&nd, 0, sizeof nd);
            nd.batch = 2;
            nd.modes = modes;
            memset(&heap, 0, sizeof heap);
            ctx = context(DRL_ISA_AUTO, 1, &heap);
            CHECK_OK(ctx, drl_net_size(ctx, build, &g, &nd, &bytes));
            used = drl_ctx_bytes_used(ctx);
            heap_bytes = heap.bytes;
            heap.fail_at = heap.calls + fail;
            status = drl_net_create(ctx, build, &g, &nd, &net);
            heap.fail_at = 0;
            if (status == DRL_OK) {
                float in[2 * 48], level[2] = { 1, 2 }, out[2], dout[2] = { 1, 1 }, dx[2 * 48];
                long calls = heap.calls;
                int i, mode;
                CHECK(drl_ctx_bytes_used(ctx) - used == bytes && heap.bytes - heap_bytes == bytes, "modes %d: %d bytes are held, %d were announced", modes, (int)(drl_ctx_bytes_used(ctx) - used), (int)bytes);
                for (i = 0; i < 2 * 48; ++i) in[i] = (float)real(-1, 1);
                drl_net_init(net, 3);
                for (mode = 0; mode < 3; ++mode)
                    if (modes >> mode & 1) {
                        CHECK_OK(ctx, run_mode(net, (drl_net_mode)mode, 2, in, level, dout, out, dx));
                    }
                drl_net_refresh(net, 2);
                drl_net_spectral_grads(net);
                CHECK(heap.calls == calls, "running made %ld allocations", heap.calls - calls);
                drl_net_destroy(net);
                ++reached;
            } else {
                CHECK(status == DRL_E_MEMORY && drl_ctx_status(ctx) == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !net, "allocation %d: status %d", fail, (int)status);
                CHECK(heap.bytes == heap_bytes && drl_ctx_bytes_used(ctx) == used, "allocation %d fails and %d bytes stay", fail, (int)(heap.bytes - heap_bytes));
            }
            drl_ctx_destroy(ctx);
            CHECK(heap.live == 0, "%ld blocks are left", heap.live);
            if (status == DRL_OK) break;
        }
    CHECK(reached == 7, "creation succeeded in %d of 7 cases", reached);
}

/* The same net in a caller's block of exactly the announced size, and one byte less. */
static void block_memory(void)
{
    graph g;
    drl_ctx_desc cd;
    drl_ctx *ctx = NULL;
    drl_net *net = NULL;
    size_t bytes = 0, own;
    int v = g_act(&g, g_conv(&g, g_input(&g, 5, 4, 3), 6, 3), DRL_ACT_SILU), less;
    void *block;
    g_sum(&g, v, 1);
    CHECK(drl_ctx_create(NULL, &ctx) == DRL_OK, "no context");
    own = drl_ctx_bytes_used(ctx);
    CHECK_OK(ctx, drl_net_size(ctx, build, &g, NULL, &bytes));
    drl_ctx_destroy(ctx);
    for (less = 0; less < 2; ++less) {
        drl_status status;
        memset(&cd, 0, sizeof cd);
        cd.memory_size = own + bytes - (size_t)less;
        cd.memory = block = malloc(cd.memory_size);
        ctx = NULL;
        CHECK(drl_ctx_create(&cd, &ctx) == DRL_OK, "no context in the block");
        net = NULL;
        status = drl_net_create(ctx, build, &g, NULL, &net);
        CHECK(less ? status == DRL_E_MEMORY && !net : status == DRL_OK, "%d bytes too few: %s", less, drl_ctx_message(ctx));
        if (less) CHECK(drl_ctx_bytes_used(ctx) == own, "%d bytes are still in use", (int)(drl_ctx_bytes_used(ctx) - own));
        drl_net_destroy(net);
        drl_ctx_destroy(ctx);
        free(block);
    }
}

/* First weights: variance init_scale over the mean of fan-in and fan-out, uniform, a function of the seed; gains 1. */
static void init_build(drl_net *net, void *user)
{
    drl_layer_desc l = layer("a", 40, 3);
    drl_value x = drl_net_input(net, 4, 4, 20);
    (void)user;
    l.spectral = DRL_SPECTRAL_UNIT;
    x = drl_net_conv2d(net, x, &l);
    l = layer("b", 30, 1); l.init_scale = 4;
    x = drl_net_conv2d(net, drl_net_gain(net, x, "g"), &l);
    l = layer("c", 10, 3); l.init_scale = -1;
    drl_net_conv2d(net, drl_net_group_norm(net, x, "n", 3, 0), &l);
}

static void init(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    float *first;
    size_t k, n;
    int t, round;
    static const char *const names[9] = { "a.weight", "a.bias", "g", "b.weight", "b.bias", "n.weight", "n.bias", "c.weight", "c.bias" };
    /* biases: uniform within 1 / sqrt(fan-in), zero in norms and where the weights are */
    static const double variance[9] = { 1 / (0.5 * 9 * 60), 1 / (3.0 * 9 * 20), 0, 4 / (0.5 * 70), 1 / (3.0 * 40), 0, 0, 0, 0 };
    CHECK_OK(ctx, drl_net_create(ctx, init_build, NULL, NULL, &net));
    if (!net) { drl_ctx_destroy(ctx); return; }
    n = drl_net_params_size(net);
    first = floats(n);
    for (round = 0; round < 3; ++round) {
        drl_net_init(net, round == 1 ? 8 : 7);
        if (!round) memcpy(first, drl_net_params(net), n * sizeof(float));
        else CHECK((memcmp(first, drl_net_params(net), n * sizeof(float)) == 0) == (round == 2), "round %d: weights are not a function of the seed", round);
    }
    CHECK(drl_net_param_count(net) == 9, "%d parameters", drl_net_param_count(net));
    for (t = 0; t < drl_net_param_count(net) && t < 9; ++t) {
        const drl_param *p = drl_net_param(net, t);
        double sum = 0, squares = 0, most = 0, want = t == 2 || t == 5 ? 1 : 0;
        CHECK(!strcmp(p->name, names[t]), "parameter %d is called %s", t, p->name);
        CHECK(p->rank == (t == 0 || t == 3 || t == 7 ? 4 : 1), "%s has rank %d", p->name, p->rank);
        for (k = 0; k < p->count; ++k) {
            double w = (double)drl_net_params(net)[p->offset + k];
            sum += w / (double)p->count;
            squares += (w - want) * (w - want) / (double)p->count;
            if (fabs(w) > most) most = fabs(w);
        }
        CHECK(fabs(squares - variance[t]) <= 5 * variance[t] / sqrt((double)p->count), "%s: variance %g instead of %g", p->name, squares, variance[t]);
        if (variance[t] > 0) CHECK(fabs(sum) <= 5 * sqrt(variance[t] / (double)p->count) && most <= 1.0001 * sqrt(3 * variance[t]), "%s: mean %g, largest %g", p->name, sum, most);
    }
    CHECK(drl_net_param(net, 9) == NULL && drl_net_param(net, -1) == NULL, "a parameter beyond the last");
    free(first);
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
}

/* The initializer network: the identity at first; with other weights the same bits on every exact set and for any threads, in all modes, with
 * dropout too; its input gradient against differences of itself in float, along one direction. Its values: see parity.c. */
static void initializer(void)
{
    static const struct { drl_isa isa; int threads, batch; } runs[] = { { DRL_ISA_AVX512, 1, 2 }, { DRL_ISA_PORTABLE, 1, 2 }, { DRL_ISA_AVX2, 1, 2 }, { DRL_ISA_FMA128, 1, 2 }, { DRL_ISA_NEON, 1, 2 }, { DRL_ISA_AUTO, 2, 2 }, { DRL_ISA_AUTO, 7, 5 } };
    enum { COUNT = 2 * 8 * 8 * 2 };
    float x[COUNT], dout[COUNT], out[COUNT], first[COUNT], dx[COUNT], dx_first[COUNT], train[COUNT], train_first[COUNT], level[2] = { 12.5f, 871 };
    float *grads = NULL;
    int label[2] = { 2, 0 }, have = 0, r, i, t;
    drl_rng rng;
    rng.seed = 5; rng.stream = 6; rng.position = 0;
    test_seed = 4;
    for (i = 0; i < COUNT; ++i) { x[i] = (float)real(-1, 1); dout[i] = (float)real(-1, 1); }
    for (r = 0; r < (int)(sizeof runs / sizeof runs[0]); ++r) {
        drl_ctx *ctx = context(runs[r].isa, runs[r].threads, NULL);
        drl_net *net = NULL;
        drl_net_desc nd;
        drl_model_desc d;
        drl_batch b = drl_batch_of(2, x, level);
        if (!ctx) continue;
        memset(&d, 0, sizeof d);
        memset(&nd, 0, sizeof nd);
        d.height = d.width = 8; d.channels = 2; d.initializer = 12; d.initializer_blocks = 2; d.classes = 2;
        nd.batch = runs[r].batch;
        nd.modes = 7;
        b.label = label;
        CHECK_OK(ctx, drl_net_create(ctx, drl__initializer_build, &d, &nd, &net));
        if (!net) { drl_ctx_destroy(ctx); continue; }
        places(net);
        drl_net_init(net, 3);
        CHECK_OK(ctx, drl_net_forward(net, &b, out));
        CHECK(bits_equal(out, x, COUNT), "the initializer is not the identity at first");
        for (t = 0; t < drl_net_param_count(net); ++t) {
            const drl_param *p = drl_net_param(net, t);
            size_t k;
            drl_rng weights;
            weights.seed = 1; weights.stream = (uint64_t)t; weights.position = 0;
            for (k = 0; k < p->count; ++k)
                drl_net_params(net)[p->offset + k] = (p->rank == 1 ? 0.5f : 2 / sqrtf((float)(p->count / (size_t)p->shape[0]))) * (2 * drl_rng_uniform(&weights) - (p->rank == 1 && strstr(p->name, "norm") ? 0.5f : 1));
        }
        drl_net_refresh(net, 0);
        CHECK_OK(ctx, drl_net_forward(net, &b, out));
        CHECK(!bits_equal(out, x, COUNT), "the initializer is still the identity");
        CHECK_OK(ctx, drl_net_input_grad(net, &b, dout, train, dx));
        CHECK(bits_equal(train, out, COUNT), "modes differ");
        CHECK_OK(ctx, drl_net_train_forward(net, &b, train));
        CHECK(bits_equal(train, out, COUNT), "modes differ without dropout");
        b.dropout = &rng;
        CHECK_OK(ctx, drl_net_train_forward(net, &b, train));
        CHECK(!bits_equal(train, out, COUNT), "dropout changes nothing");
        CHECK_OK(ctx, drl_net_train_backward(net, dout));
        if (!have) {
            float moved[COUNT], high[COUNT], low[COUNT];
            double slope = 0, want = 0, size = 0;
            memcpy(first, out, sizeof first);
            memcpy(dx_first, dx, sizeof dx);
            memcpy(train_first, train, sizeof train);
            grads = floats(drl_net_params_size(net));
            memcpy(grads, drl_net_grads(net), drl_net_params_size(net) * sizeof *grads);
            have = 1;
            b.x = moved;
            for (i = 0; i < COUNT; ++i) size += (double)dx[i] * (double)dx[i];
            for (i = 0; i < COUNT; ++i) moved[i] = x[i] + 0.01f * dx[i] / (float)sqrt(size);
            CHECK_OK(ctx, drl_net_forward(net, &b, high));
            for (i = 0; i < COUNT; ++i) moved[i] = x[i] - 0.01f * dx[i] / (float)sqrt(size);
            CHECK_OK(ctx, drl_net_forward(net, &b, low));
            for (i = 0; i < COUNT; ++i) { slope += (double)dout[i] * ((double)high[i] - (double)low[i]) / 0.02; want += (double)dx[i] * (double)dx[i] / sqrt(size); }
            CHECK(fabs(slope - want) < 1e-2 * want, "the slope along the gradient is %g, not %g", slope, want);
        } else
            CHECK(bits_equal(out, first, COUNT) && bits_equal(dx, dx_first, COUNT) && bits_equal(train, train_first, COUNT) && bits_equal(drl_net_grads(net), grads, drl_net_params_size(net)),
                  "initializer: other bits with %s and %d threads", drl_isa_name(drl_ctx_isa(ctx)), runs[r].threads);
        drl_net_destroy(net);
        drl_ctx_destroy(ctx);
    }
    free(grads);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    test_seed = 1;
    PART(hand_made());
    PART(dropout());
    PART(initializer());
    PART(spectral());
    PART(spectral_one());
    PART(random_graphs(150, 0));
    PART(random_graphs(12, 1));
    PART(gradients_accumulate());
    PART(wrong_builders());
    PART(plans());
    PART(memory());
    PART(block_memory());
    PART(init());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count, "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_net");
}
