/* test_net.c - nets against an independent interpreter in double, of plain loops; gradients by central
 * differences of that interpreter. Graphs made by hand, then random ones that stress the planner of buffers;
 * batches, threads and instruction sets; spectral norms; failures of building. */
#define DRL_IMPLEMENTATION
#define DRL__GRAIN 4096         /* small tensors are shared by threads, too */
#include "../drl.h"
#include "check.h"
#include "fixture.h"

static int below(int n) { return (int)real(0, n); }

/* --- a graph, as the library and the interpreter read it ------------------------------------------------ */
enum {
    N_INPUT, N_LEVEL, N_LABEL, N_CONV, N_ACT, N_POOL, N_MAXPOOL, N_UP, N_ADD, N_CONCAT, N_SHIFT,
    N_SCALE_SHIFT, N_GAIN, N_NORM, N_DROPOUT, N_ATTENTION, N_SUM, N_DOT
};
#define NODES 32
typedef struct node {
    int kind, a, b;                     /* a, b: the nodes that are read, -1: none */
    int kernel, no_bias;                /* of a convolution */
    drl_spectral spectral;
    drl_act act;
    double scale;                       /* of a sum or of spectral weights; eps of a norm; p of a dropout */
    int groups;                         /* of a norm */
    int h, w, c;                        /* of the result */
} node;
typedef struct graph { node n[NODES]; int count; } graph;

/* Appends a node whose result has the size of a's. */
static int put(graph *g, int kind, int a, int b)
{
    node *n = &g->n[g->count], none;
    const node *x = a >= 0 ? &g->n[a] : NULL;
    memset(&none, 0, sizeof none);
    *n = none;
    n->kind = kind;
    n->a = a;
    n->b = b;
    if (x) {
        n->h = x->h;
        n->w = x->w;
        n->c = x->c;
    }
    return g->count++;
}
static int put_sized(graph *g, int kind, int a, int b, int h, int w, int c)
{
    int i = put(g, kind, a, b);
    g->n[i].h = h;
    g->n[i].w = w;
    g->n[i].c = c;
    return i;
}
static int put_scaled(graph *g, int kind, int a, double scale)
{
    int i = put(g, kind, a, -1);
    g->n[i].scale = scale;
    return i;
}

/* Each appends an operator and returns its number. g_input begins the graph anew. */
static int g_input(graph *g, int h, int w, int c)
{
    g->count = 0;
    return put_sized(g, N_INPUT, -1, -1, h, w, c);
}
static int g_level(graph *g, int c) { return put_sized(g, N_LEVEL, -1, -1, 1, 1, c); }
static int g_label(graph *g, int classes) { return put_sized(g, N_LABEL, -1, -1, 1, 1, classes + 1); }
static int g_conv(graph *g, int a, int out, int kernel)
{
    int i = put_scaled(g, N_CONV, a, 1);
    g->n[i].c = out;
    g->n[i].kernel = kernel;
    return i;
}
static int g_act(graph *g, int a, drl_act act)
{
    int i = put(g, N_ACT, a, -1);
    g->n[i].act = act;
    return i;
}
static int g_resized(graph *g, int kind, int a, int h, int w)
{
    return put_sized(g, kind, a, -1, h, w, g->n[a].c);
}
static int g_pool(graph *g, int a) { return g_resized(g, N_POOL, a, g->n[a].h / 2, g->n[a].w / 2); }
static int g_maxpool(graph *g, int a) { return g_resized(g, N_MAXPOOL, a, g->n[a].h / 2, g->n[a].w / 2); }
static int g_up(graph *g, int a) { return g_resized(g, N_UP, a, g->n[a].h * 2, g->n[a].w * 2); }
static int g_add(graph *g, int a, int b) { return put(g, N_ADD, a, b); }
static int g_concat(graph *g, int a, int b)
{
    int i = put(g, N_CONCAT, a, b);
    g->n[i].c = g->n[a].c + g->n[b].c;
    return i;
}
static int g_dropout(graph *g, int a, double p) { return put_scaled(g, N_DROPOUT, a, p); }
static int g_attention(graph *g, int a)
{
    int i = put(g, N_ATTENTION, a, -1);
    g->n[i].c = g->n[a].c / 3;
    return i;
}
static int g_shift(graph *g, int a, int b) { return put(g, N_SHIFT, a, b); }
static int g_scale_shift(graph *g, int a, int b) { return put(g, N_SCALE_SHIFT, a, b); }
static int g_gain(graph *g, int a) { return put(g, N_GAIN, a, -1); }
static int g_norm(graph *g, int a, int groups)
{
    int i = put_scaled(g, N_NORM, a, 0.0625);
    g->n[i].groups = groups;
    return i;
}
static int g_sum(graph *g, int a, double scale)
{
    int i = put_scaled(g, N_SUM, a, scale);
    g->n[i].h = g->n[i].w = 1;
    return i;
}
static int g_dot(graph *g, int a, int b)
{
    int i = put(g, N_DOT, a, b);
    g->n[i].c = 1;
    return i;
}

static int node_kernel(const graph *g, const node *n)
{
    if (n->kernel) return n->kernel;
    return g->n[n->a].h == 1 && g->n[n->a].w == 1 ? 1 : 3;
}
static size_t node_size(const node *n) { return (size_t)(n->h * n->w * n->c); }
static int has_level(const graph *g)
{
    int i, yes = 0;
    for (i = 0; i < g->count; ++i) yes |= g->n[i].kind == N_LEVEL;
    return yes;
}

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
        l.name = name;
        l.out_channels = n->c;
        l.kernel = n->kernel;
        l.no_bias = n->no_bias;
        l.spectral = n->spectral;
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

/* --- the interpreter in double -------------------------------------------------------------------------- */
#define TENSORS 64
#define BATCH   4
#define CLASSES 3                           /* of every graph with labels */
typedef struct data {
    const graph *g;
    int tensors;                            /* of parameters, in the order of creation */
    int owner[TENSORS];                     /* the node that they belong to */
    double *p[TENSORS];
    size_t count[TENSORS];
    int rows[TENSORS];
    double *u[NODES], *v[NODES];            /* power vectors of spectral nodes */
    double *x, level[BATCH], *dout;         /* for BATCH images */
    int label[BATCH];
    const drl_rng *dropout;                 /* NULL: off */
    double *value[NODES];
} data;

static double rounded(double v) { return (double)(float)v; }

static int tensor_of(const data *d, int owner)
{
    int i = 0;
    while (i < d->tensors && d->owner[i] != owner) ++i;
    return i;
}
static int columns_of(const data *d, int t) { return (int)(d->count[t] / (size_t)d->rows[t]); }

/* u' W v of the weights of node i */
static double sigma_of(const data *d, int i)
{
    int t = tensor_of(d, i), rows = d->rows[t], cols = columns_of(d, t), r, c;
    double sum = 0;
    for (r = 0; r < rows; ++r)
        for (c = 0; c < cols; ++c) sum += d->u[i][r] * d->p[t][r * cols + c] * d->v[i][c];
    return sum;
}

static void normalize(double *v, int n)
{
    double norm = 0;
    int i;
    for (i = 0; i < n; ++i) norm += v[i] * v[i];
    for (i = 0; i < n; ++i) v[i] /= sqrt(norm);
}

/* Power vectors of node i: two rounds of the power method, which stop well before it settles. */
static void make_power_vectors(data *d, int i)
{
    int t = tensor_of(d, i), rows = d->rows[t], cols = columns_of(d, t), r, c, round;
    double *u = doubles((size_t)rows), *v = doubles((size_t)cols);
    const double *w = d->p[t];
    for (r = 0; r < rows; ++r) u[r] = real(-1, 1);
    for (round = 0; round < 2; ++round) {
        for (c = 0; c < cols; ++c)
            for (r = 0, v[c] = 0; r < rows; ++r) v[c] += w[r * cols + c] * u[r];
        normalize(v, cols);
        for (r = 0; r < rows; ++r)
            for (c = 0, u[r] = 0; c < cols; ++c) u[r] += w[r * cols + c] * v[c];
        normalize(u, rows);
    }
    for (c = 0; c < cols; ++c) v[c] = rounded(v[c]);
    for (r = 0; r < rows; ++r) u[r] = rounded(u[r]);
    d->u[i] = u;
    d->v[i] = v;
}

/* Parameters of node i: weights and bias of convolutions and norms, gains. Float holds them exactly. */
static void make_params(data *d, int i)
{
    const node *n = &d->g->n[i];
    int conv = n->kind == N_CONV, kernel = conv ? node_kernel(d->g, n) : 0, k;
    int parameters = conv ? 2 - n->no_bias : n->kind == N_NORM ? 2 : n->kind == N_GAIN;
    size_t j;
    for (k = 0; k < parameters; ++k) {
        int t = d->tensors++, fan = conv && !k ? d->g->n[n->a].c * kernel * kernel : 1;
        double reach = 1.0;
        if (conv) reach = 1.5 / sqrt((double)fan) * (n->spectral ? n->scale : 1.0);
        if (k) reach = 0.5;
        d->owner[t] = i;
        d->rows[t] = n->c;
        d->count[t] = (size_t)n->c * (size_t)fan;
        d->p[t] = doubles(d->count[t]);
        for (j = 0; j < d->count[t]; ++j) d->p[t][j] = rounded(real(-reach, reach));
    }
    if (conv && n->spectral) make_power_vectors(d, i);
}

static void data_make(data *d, const graph *g)
{
    size_t in = node_size(&g->n[0]) * BATCH, out = node_size(&g->n[g->count - 1]) * BATCH, j;
    int i;
    memset(d, 0, sizeof *d);
    d->g = g;
    for (i = 0; i < g->count; ++i) {
        d->value[i] = doubles(node_size(&g->n[i]) * BATCH);
        make_params(d, i);
    }
    d->x = doubles(in);
    for (j = 0; j < in; ++j) d->x[j] = rounded(real(-2, 2));
    d->dout = doubles(out);
    for (j = 0; j < out; ++j) d->dout[j] = rounded(real(-1, 1));
    for (i = 0; i < BATCH; ++i) {
        d->level[i] = rounded(real(0, 6));
        d->label[i] = i ? below(CLASSES + 1) : CLASSES;
    }
}

static void data_free(data *d)
{
    int i;
    for (i = 0; i < d->tensors; ++i) free(d->p[i]);
    for (i = 0; i < d->g->count; ++i) {
        free(d->u[i]);
        free(d->v[i]);
        free(d->value[i]);
    }
    free(d->x);
    free(d->dout);
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

/* 16 bits of Philox: counter = element / 8, 1 | number | image in 1 + 11 + 20 bits, stream; key = seed. The
 * position is the first image's number. */
static int kept(const drl_rng *rng, int number, int image, int element, double p)
{
    uint32_t w[4];
    w[0] = (uint32_t)element / 8;
    w[1] = 0x80000000u + (uint32_t)number * 0x100000u + (uint32_t)image + (uint32_t)rng->position;
    w[2] = (uint32_t)rng->stream;
    w[3] = (uint32_t)(rng->stream >> 32);
    drl__philox(w, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
    w[0] = w[element % 8 / 2];
    return (element % 2 ? w[0] >> 16 : w[0] & 65535u) >= (uint32_t)floor(p * 65536 + 0.5);
}

/* The operators that need more than one loop. na, n: sizes of the operand a and of the result out. */
static void conv_value(const node *na, const node *n, int kernel, const double *a, const double *p,
                       double scale, const double *bias, double *out)
{
    int y, x, k, c, r, s, pad = kernel / 2;
    for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (k = 0; k < n->c; ++k) {
        double sum = 0;
        for (c = 0; c < na->c; ++c) for (r = 0; r < kernel; ++r) for (s = 0; s < kernel; ++s) {
            int yy = y + r - pad, xx = x + s - pad;
            if (yy < 0 || yy >= na->h || xx < 0 || xx >= na->w) continue;
            sum += a[(yy * na->w + xx) * na->c + c] * p[((k * na->c + c) * kernel + r) * kernel + s];
        }
        out[(y * n->w + x) * n->c + k] = sum * scale + (bias ? bias[k] : 0.0);
    }
}

/* Mean or largest of 2 x 2, or each number four times. */
static void resized_value(const node *na, const node *n, const double *a, double *out)
{
    int y, x, c;
    for (y = 0; y < n->h; ++y) for (x = 0; x < n->w; ++x) for (c = 0; c < n->c; ++c) {
        double *to = &out[(y * n->w + x) * n->c + c];
        if (n->kind == N_UP) *to = a[(y / 2 * na->w + x / 2) * n->c + c];
        else {
            const double *q = &a[(2 * y * na->w + 2 * x) * n->c + c], *below_q = q + na->w * n->c;
            double right = q[n->c], down = below_q[0], across = below_q[n->c];
            if (n->kind == N_POOL) *to = (*q + right + down + across) / 4;
            else *to = fmax(fmax(*q, right), fmax(down, across));
        }
    }
}

/* softmax(q k' / sqrt(c)) v; a pixel of a has its query, key and value one behind the other. */
static void attention_value(const node *n, const double *a, double *out)
{
    int C = n->c, pixels = n->h * n->w, i, j, c;
    for (i = 0; i < pixels; ++i) {
        double p[64], sum = 0, top = -HUGE_VAL;
        const double *query = a + i * 3 * C;
        for (j = 0; j < pixels; ++j) {
            const double *key = a + j * 3 * C + C;
            for (c = 0, p[j] = 0; c < C; ++c) p[j] += query[c] * key[c] / sqrt((double)C);
            if (p[j] > top) top = p[j];
        }
        for (j = 0; j < pixels; ++j) sum += p[j] = exp(p[j] - top);
        for (c = 0; c < C; ++c)
            for (j = 0, out[i * C + c] = 0; j < pixels; ++j)
                out[i * C + c] += p[j] / sum * a[j * 3 * C + 2 * C + c];
    }
}

/* Mean 0 and variance 1 in each group, then weight and bias of each channel. */
static void norm_value(const node *n, const double *a, const double *weight, const double *bias, double *out)
{
    int C = n->c, pixels = n->h * n->w, each = C / n->groups, count = pixels * each, g, k, c;
    for (g = 0; g < n->groups; ++g) {
        int first = g * each, end = first + each;
        double mean = 0, variance = 0;
        for (k = 0; k < pixels; ++k) for (c = first; c < end; ++c) mean += a[k * C + c] / count;
        for (k = 0; k < pixels; ++k)
            for (c = first; c < end; ++c) variance += (a[k * C + c] - mean) * (a[k * C + c] - mean) / count;
        for (k = 0; k < pixels; ++k)
            for (c = first; c < end; ++c)
                out[k * C + c] = (a[k * C + c] - mean) / sqrt(variance + n->scale) * weight[c] + bias[c];
    }
}

/* What the weights of node i are multiplied by: 1 / sigma, and with CAP only where sigma is above 1. */
static double weight_scale(const data *d, int i)
{
    const node *n = &d->g->n[i];
    double sigma;
    if (!n->spectral) return 1;
    sigma = sigma_of(d, i);
    return n->spectral == DRL_SPECTRAL_CAP && sigma < 1 ? 1 : 1 / sigma;
}

/* The value of node i for image m. */
static void evaluate_node(const data *d, int i, int m)
{
    const graph *g = d->g;
    const node *n = &g->n[i], *na = n->a >= 0 ? &g->n[n->a] : NULL;
    const double *a = n->a >= 0 ? d->value[n->a] : NULL, *b = n->b >= 0 ? d->value[n->b] : NULL;
    int t = tensor_of(d, i), size = (int)node_size(n), C = n->c, half = C / 2, k;
    const double *p = t < d->tensors ? d->p[t] : NULL, *bias = t + 1 < d->tensors ? d->p[t + 1] : NULL;
    double *out = d->value[i], w, left = 1 - floor(n->scale * 65536 + 0.5) / 65536;
    switch (n->kind) {
    case N_INPUT: for (k = 0; k < size; ++k) out[k] = d->x[m * size + k]; break;
    case N_LEVEL:
        for (k = 0; k < half; ++k) {
            w = exp(-k * log(10000.0) / (half - 1));
            out[k] = sin(d->level[m] * w);
            out[half + k] = cos(d->level[m] * w);
        }
        break;
    case N_LABEL: for (k = 0; k < C; ++k) out[k] = d->label[m] == k; break;
    case N_CONV:
        conv_value(na, n, node_kernel(g, n), a, p, weight_scale(d, i), n->no_bias ? NULL : bias, out);
        break;
    case N_ACT: for (k = 0; k < size; ++k) out[k] = act_value(n->act, a[k]); break;
    case N_POOL: case N_MAXPOOL: case N_UP: resized_value(na, n, a, out); break;
    case N_ADD: for (k = 0; k < size; ++k) out[k] = a[k] + b[k]; break;
    case N_CONCAT:
        for (k = 0; k < size; ++k) {
            int pixel = k / C, c = k % C;
            out[k] = c < na->c ? a[pixel * na->c + c] : b[pixel * (C - na->c) + c - na->c];
        }
        break;
    case N_SHIFT: for (k = 0; k < size; ++k) out[k] = a[k] + b[k % C]; break;
    case N_SCALE_SHIFT: for (k = 0; k < size; ++k) out[k] = a[k] * (1 + b[k % C]) + b[C + k % C]; break;
    case N_GAIN: for (k = 0; k < size; ++k) out[k] = a[k] * p[k % C]; break;
    case N_NORM: norm_value(n, a, p, bias, out); break;
    case N_DROPOUT:
        for (k = 0; k < size; ++k) {
            out[k] = a[k];
            if (d->dropout) out[k] = kept(d->dropout, i, m, k, n->scale) ? a[k] / left : 0.0;
        }
        break;
    case N_ATTENTION: attention_value(n, a, out); break;
    case N_SUM:
        for (k = 0; k < C; ++k) out[k] = 0;
        for (k = 0; k < (int)node_size(na); ++k) out[k % C] += n->scale * a[k];
        break;
    default: for (k = 0, out[0] = 0; k < (int)node_size(na); ++k) out[0] += a[k] * b[k];
    }
}

/* Evaluates image m; returns the value of the last node, the output. */
static const double *evaluate(const data *d, int m)
{
    int i;
    for (i = 0; i < d->g->count; ++i) evaluate_node(d, i, m);
    return d->value[d->g->count - 1];
}

/* sum of dout * output over images first .. last - 1: what gradients are of */
static double objective(const data *d, int first, int last)
{
    size_t size = node_size(&d->g->n[d->g->count - 1]), k;
    double sum = 0;
    int m;
    for (m = first; m < last; ++m) {
        const double *out = evaluate(d, m);
        for (k = 0; k < size; ++k) sum += d->dout[(size_t)m * size + k] * out[k];
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

/* --- running drl.h on the same data --------------------------------------------------------------------- */

/* Outputs of the three modes, the gradient by the input, and those by the parameters. */
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
    CHECK(drl_net_param_count(net) == d->tensors, "%d parameters, %d expected",
          drl_net_param_count(net), d->tensors);
    for (t = 0; t < d->tensors; ++t) {
        const drl_param *p = drl_net_param(net, t);
        CHECK(p->count == d->count[t], "parameter %d has %d elements", t, (int)p->count);
        for (j = 0; j < d->count[t]; ++j) drl_net_params(net)[p->offset + j] = (float)d->p[t][j];
    }
    for (i = 0; i < d->g->count; ++i) {
        float *u, *v;
        if (!d->u[i]) continue;
        u = net->state + net->op[i].u;
        v = net->state + net->op[i].v;
        t = tensor_of(d, i);
        for (k = 0; k < d->rows[t]; ++k) u[k] = (float)d->u[i][k];
        for (k = 0; k < columns_of(d, t); ++k) v[k] = (float)d->v[i][k];
    }
    drl_net_refresh(net, 0);
}

/* One run of a mode; gradients by parameters are added to the net's. */
static drl_status run_batch(drl_net *net, drl_net_mode mode, const drl_batch *b, const float *dout,
                            float *out, float *dx)
{
    drl_status status;
    if (mode == DRL_NET_FORWARD) return drl_net_forward(net, b, out);
    if (mode == DRL_NET_INPUT_GRAD) return drl_net_input_grad(net, b, dout, out, dx);
    status = drl_net_train_forward(net, b, out);
    return status == DRL_OK ? drl_net_train_backward(net, dout) : status;
}

static drl_status run_mode(drl_net *net, drl_net_mode mode, int n, const float *x, const float *level,
                           const float *dout, float *out, float *dx)
{
    drl_batch b = drl_batch_of(n, x, level);
    return run_batch(net, mode, &b, dout, out, dx);
}

/* Marks the moments from first[j] to last[j] in which buffer j is in use, from the instructions alone. An
 * instruction is one moment; so is, in training, a stretch of instructions without a gradient by parameters,
 * through which threads take different images. */
static void lifetimes(const drl_net *net, int mode, int *first, int *last)
{
    const drl__program *p = &net->program[mode];
    int i, j, moment = 0;
    for (i = 0; i < p->buffer_count; ++i) first[i] = last[i] = -1;
    for (i = 0; i < p->instr_count; ++i) {
        const drl__instr *in = &p->instr[i];
        int used[9];
        int apart = mode != DRL_NET_PARAM_GRAD || drl__whole_batch(in) || i == p->forward_count ||
                    (i && drl__whole_batch(&in[-1]));
        used[0] = in->a;
        used[1] = in->b;
        used[2] = in->extra;
        used[3] = in->shift;
        used[4] = in->add;
        used[5] = in->y;
        used[6] = i == p->forward_count ? p->out : -1;
        used[7] = i == p->forward_count ? p->dout : -1;
        used[8] = in->dy;
        if (i && apart) ++moment;
        for (j = 0; j < 9; ++j) {
            if (used[j] < 0) continue;
            if (first[used[j]] < 0) first[used[j]] = moment;
            last[used[j]] = moment;
        }
    }
}

/* No two buffers that are in use at one moment lie in the same place. */
static void places(const drl_net *net)
{
    int mode, j, k;
    for (mode = 0; mode < 3; ++mode) {
        const drl__program *p = &net->program[mode];
        int *first, *last, shared = 0;
        if (!(net->desc.modes >> mode & 1)) continue;
        first = (int *)malloc((size_t)p->buffer_count * sizeof *first);
        last = (int *)malloc((size_t)p->buffer_count * sizeof *last);
        lifetimes(net, mode, first, last);
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

/* Images first .. first + n - 1 in all three modes on a net planned for `batch`. Then the two modes without
 * gradients by parameters again, in an arena full of the first round's values; at first it is full of NaN. */
static int run(const data *d, drl_isa isa, int threads, int batch, int first, int n, result *r)
{
    const graph *g = d->g;
    int mode, i;
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_net *net = NULL;
    drl_net_desc nd;
    size_t in = node_size(&g->n[0]), out = node_size(&g->n[g->count - 1]), j;
    float *x, *dout, level[BATCH];
    drl_batch b;
    memset(r, 0, sizeof *r);
    if (!ctx) return 0;
    x = floats(in * BATCH);
    dout = floats(out * BATCH);
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
#ifndef DRL__ASAN      /* there, gaps between buffers may not be written */
        memset(net->arena, 0xff, net->block_bytes - (size_t)(net->arena - (unsigned char *)net->block));
#endif
        for (mode = 0; mode < 3; ++mode) {
            r->out[mode] = floats(out * (size_t)n);
            CHECK_OK(ctx, run_batch(net, (drl_net_mode)mode, &b, dout, r->out[mode], r->dx));
        }
        for (mode = 0; mode < 2; ++mode)
            CHECK_OK(ctx, run_batch(net, (drl_net_mode)mode, &b, dout, r->out[mode], r->dx));
        drl_net_spectral_grads(net);
        for (i = 0; i < d->tensors; ++i) {
            const float *grad = drl_net_grads(net) + drl_net_param(net, i)->offset;
            r->grad[i] = floats(d->count[i]);
            memcpy(r->grad[i], grad, d->count[i] * sizeof(float));
        }
    }
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
    free(x);
    free(dout);
    return net != NULL;
}

/* |got - value of the interpreter| of n images, and the length of the latter. */
static void output_norms(const data *d, const float *got, int n, double *error, double *size)
{
    size_t each = node_size(&d->g->n[d->g->count - 1]), k;
    int m;
    *error = *size = 0;
    for (m = 0; m < n; ++m) {
        const double *want = evaluate(d, m);
        for (k = 0; k < each; ++k) {
            double e = (double)got[(size_t)m * each + k] - want[k];
            *error += e == e ? e * e : HUGE_VAL;
            *size += want[k] * want[k];
        }
    }
    *error = sqrt(*error);
    *size = sqrt(*size);
}

/* |got - gradient| over at most `most` elements spread over n, and the length of the gradient, which comes
 * from central differences at p for images 0 .. images - 1. */
static void gradient_norms(const data *d, const float *got, double *p, size_t n, size_t most, int images,
                           double *error, double *size)
{
    size_t step = n > most ? n / most : 1, j;
    *error = *size = 0;
    for (j = 0; j < n; j += step) {
        double want = difference(d, p + j, 0, images), e = (double)got[j] - want;
        *error += e == e ? e * e : HUGE_VAL;
        *size += want * want;
    }
    *error = sqrt(*error);
    *size = sqrt(*size);
}

/* The gradients by all parameters. Each may be off by the tolerance of its own length and of a tenth of all
 * of them together: small ones are made of large numbers, too. */
static void check_param_grads(const char *name, const char *set, const data *d, const result *r, size_t most,
                              int n, double tolerance)
{
    double error[TENSORS], size[TENSORS], whole = 0;
    int t;
    for (t = 0; t < d->tensors; ++t) {
        gradient_norms(d, r->grad[t], d->p[t], d->count[t], most, n, &error[t], &size[t]);
        whole += size[t] * size[t];
    }
    for (t = 0; t < d->tensors; ++t)
        CHECK(error[t] <= tolerance * (size[t] + 0.1 * sqrt(whole)),
              "%s, %s: gradient by parameter %d of node %d is off by %g of %g",
              name, set, t, d->owner[t], error[t], size[t]);
}

static int bits_equal(const float *a, const float *b, size_t n) { return !memcmp(a, b, n * sizeof *a); }

/* Two runs of n images have the same output in this mode and the same gradients by parameters. */
static int same_training(const data *d, const result *a, const result *b, int mode, size_t n)
{
    int t, same = bits_equal(a->out[mode], b->out[mode], n * node_size(&d->g->n[d->g->count - 1]));
    for (t = 0; t < d->tensors; ++t) same &= bits_equal(a->grad[t], b->grad[t], d->count[t]);
    return same;
}
static int same_results(const data *d, const result *a, const result *b, size_t n)
{
    return same_training(d, a, b, 0, n) && bits_equal(a->dx, b->dx, n * node_size(&d->g->n[0]));
}

static const drl_isa sets[] = {
    DRL_ISA_PORTABLE, DRL_ISA_SSE2, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_WASM
};
#define SETS ((int)DRL__COUNT(sets))

/* All gradients of a run against the interpreter. Where a norm sees a single number the gradient by the
 * input is zero, and rounding remains: hence the 1e-6. */
static void check_gradients(const char *name, const char *set, const data *d, const result *r, size_t most,
                            int n, double tolerance)
{
    double error, size;
    gradient_norms(d, r->dx, d->x, node_size(&d->g->n[0]) * (size_t)n, most, n, &error, &size);
    CHECK(error <= tolerance * size + 1e-6, "%s, %s: gradient by the input is off by %g of %g",
          name, set, error, size);
    check_param_grads(name, set, d, r, most, n, tolerance);
}

/* A graph from all sides: every set against the interpreter (gradients of portable C and of unfused sets,
 * because differences are slow) and fused sets against each other; with more threads, jobs in reverse order,
 * and more room in the batch; each image alone in a bigger plan. tolerance: relative error of outputs and
 * gradients in float32. */
static void check_graph(const char *name, const graph *g, size_t most, double tolerance)
{
    static const int threads[3] = { 2, 3, 7 };
    enum { N = 3 };
    data d;
    result exact, r;
    int have_exact = 0, s, m;
    size_t out = node_size(&g->n[g->count - 1]), in = node_size(&g->n[0]);
    memset(&exact, 0, sizeof exact);
    data_make(&d, g);
    for (s = 0; s < SETS; ++s) {
        const char *set = drl_isa_name(sets[s]);
        double error, size;
        if (!run(&d, sets[s], 1, N, 0, N, &r)) continue;
        output_norms(&d, r.out[0], N, &error, &size);
        CHECK(error <= tolerance * size, "%s, %s: output is off by %g of %g", name, set, error, size);
        CHECK(bits_equal(r.out[0], r.out[1], out * N) && bits_equal(r.out[0], r.out[2], out * N),
              "%s, %s: the modes' outputs differ", name, set);
        if (!have_exact || UNFUSED(sets[s])) check_gradients(name, set, &d, &r, most, N, tolerance);
        if (!have_exact && !UNFUSED(sets[s])) {
            exact = r;
            have_exact = 1;
            continue;
        }
        if (!UNFUSED(sets[s]))
            CHECK(same_results(&d, &r, &exact, N), "%s: %s and portable differ", name, set);
        result_free(&r);
    }
    for (s = 0; s < 3; ++s) {
        if (!run(&d, DRL_ISA_AUTO, threads[s], s ? 8 : 3, 0, N, &r)) continue;
        CHECK(same_results(&d, &r, &exact, N), "%s: %d threads give other bits than one", name, threads[s]);
        result_free(&r);
    }
    for (m = 0; m < N; ++m) {
        const float *its_out = exact.out[1] + (size_t)m * out, *its_dx = exact.dx + (size_t)m * in;
        if (!run(&d, DRL_ISA_AUTO, 1, 5, m, 1, &r)) continue;
        CHECK(bits_equal(r.out[1], its_out, out) && bits_equal(r.dx, its_dx, in),
              "%s: image %d alone differs from the batch", name, m);
        result_free(&r);
    }
    if (have_exact) result_free(&exact);
    data_free(&d);
}

/* How many values that go into the dropouts of a graph are not zero, and how many of these are zero behind
 * them. */
static void count_dropped(const data *d, int n, int *values, int *drops)
{
    const graph *g = d->g;
    int m, i;
    size_t k;
    for (m = 0; m < n; ++m) {
        evaluate(d, m);
        for (i = 0; i < g->count; ++i) {
            const node *it = &g->n[i];
            if (it->kind != N_DROPOUT) continue;
            for (k = 0; k < node_size(it); ++k) {
                if (it->a && d->value[it->a][k] == 0) continue;
                ++*values;
                *drops += d->value[i][k] == 0;
            }
        }
    }
}

/* The training pass of a graph with dropout against the interpreter with the same masks, on every set and
 * with 2, 3 and 4 threads; the other two modes leave dropout out. */
static void check_dropout(const char *name, const graph *g, double tolerance)
{
    enum { N = 3 };
    data d;
    result exact, r;
    drl_rng rng = { 77, ((uint64_t)5 << 40) + 3, 9 };
    int have_exact = 0, s, drops = 0, values = 0;
    size_t out = node_size(&g->n[g->count - 1]);
    memset(&exact, 0, sizeof exact);
    data_make(&d, g);
    d.dropout = &rng;
    for (s = 0; s < SETS + 3; ++s) {
        drl_isa isa = s < SETS ? sets[s] : DRL_ISA_AUTO;
        const char *set = drl_isa_name(isa);
        double error, size;
        if (!run(&d, isa, s < SETS ? 1 : s - SETS + 2, s <= SETS ? N : 7, 0, N, &r)) continue;
        if (!have_exact || UNFUSED(isa)) {
            count_dropped(&d, N, &values, &drops);
            output_norms(&d, r.out[2], N, &error, &size);
            CHECK(error <= tolerance * size, "%s, %s: output is off by %g of %g", name, set, error, size);
            check_param_grads(name, set, &d, &r, 100, N, tolerance);
            d.dropout = NULL;
            output_norms(&d, r.out[0], N, &error, &size);
            d.dropout = &rng;
            CHECK(error <= tolerance * size, "%s, %s: without training it is no identity, off by %g of %g",
                  name, set, error, size);
            CHECK(bits_equal(r.out[0], r.out[1], out * N), "%s, %s: the modes' outputs differ", name, set);
        }
        if (!have_exact && !UNFUSED(isa)) {
            exact = r;
            have_exact = 1;
            continue;
        }
        if (!UNFUSED(isa)) CHECK(same_training(&d, &r, &exact, 2, N), "%s: other bits in run %d", name, s);
        result_free(&r);
    }
    CHECK(values > 500 && fabs((double)drops / values - 0.25) < 4 * sqrt(0.25 * 0.75 / values),
          "%s: %d of %d values are dropped, a quarter is wanted", name, drops, values);
    if (have_exact) result_free(&exact);
    data_free(&d);
}

/* Dropout of the input, in place, of a value that is used again, and of an odd number of elements. */
static void dropout(void)
{
    graph g;
    int x = g_input(&g, 5, 4, 3), v, a;
    v = g_conv(&g, g_dropout(&g, x, 0.25), 7, 3);
    a = g_dropout(&g, g_act(&g, v, DRL_ACT_SILU), 0.25);
    v = g_add(&g, g_dropout(&g, a, 0.25), a);
    v = g_conv(&g, g_dropout(&g, v, 0.25), 3, 3);
    g_sum(&g, g_concat(&g, v, g_dropout(&g, x, 0.25)), 1);
    check_dropout("dropout", &g, 2e-5);
    check_graph("dropout, off", &g, 400, 2e-5);
}

/* --- graphs made by hand -------------------------------------------------------------------------------- */
/* A chain of layers, and resampling. */
static void plain_graphs(void)
{
    graph g;
    int x, e, a, v;
    /* Plain chain with a level head. */
    x = g_input(&g, 6, 4, 3);
    e = g_act(&g, g_conv(&g, g_level(&g, 8), 12, 0), DRL_ACT_LEAKY_RELU);
    v = g_act(&g, g_conv(&g, x, 5, 3), DRL_ACT_LEAKY_RELU);
    v = g_act(&g, g_conv(&g, v, 7, 3), DRL_ACT_RELU);
    g_dot(&g, g_sum(&g, v, 0.5), g_conv(&g, e, 7, 0));
    check_graph("chain", &g, 400, 1e-5);

    /* The larger of neighbours, of the images and of a layer. */
    x = g_input(&g, 8, 4, 3);
    v = g_conv(&g, g_maxpool(&g, x), 5, 3);
    a = g_maxpool(&g, v);
    g_sum(&g, g_add(&g, g_act(&g, a, DRL_ACT_SILU), g_pool(&g, v)), 1);
    check_graph("max pooling", &g, 400, 1e-5);
}

/* Values that are read more than once: the planner keeps them, and their gradients are sums. */
static void shared_values(void)
{
    graph g;
    int x, e, s, a, b, c, v;
    /* A value used three times, twice by sums. */
    x = g_input(&g, 4, 5, 2);
    v = g_conv(&g, x, 4, 3);
    a = g_act(&g, v, DRL_ACT_LEAKY_RELU);
    b = g_conv(&g, v, 4, 3);
    v = g_add(&g, g_add(&g, a, b), v);
    g_sum(&g, v, 1);
    check_graph("used three times", &g, 400, 1e-5);

    /* X + x, of a layer and of the input itself. */
    x = g_input(&g, 3, 3, 4);
    v = g_add(&g, x, x);
    v = g_conv(&g, v, 4, 3);
    v = g_add(&g, v, v);
    v = g_add(&g, v, v);
    g_act(&g, v, DRL_ACT_LEAKY_RELU);
    check_graph("x + x", &g, 400, 1e-5);

    /* Sums that meet again, partly in each other's buffers. */
    x = g_input(&g, 5, 5, 3);
    v = g_conv(&g, x, 6, 3);
    a = g_act(&g, v, DRL_ACT_RELU);
    b = g_add(&g, v, a);
    c = g_add(&g, b, v);
    c = g_add(&g, c, b);
    c = g_add(&g, g_gain(&g, c), a);
    g_sum(&g, g_add(&g, c, v), 0.1);
    check_graph("branches", &g, 400, 1e-5);

    /* One shift for two values, and in a product. */
    x = g_input(&g, 4, 4, 3);
    e = g_conv(&g, g_level(&g, 6), 5, 0);
    s = g_conv(&g, g_act(&g, e, DRL_ACT_SILU), 5, 0);
    a = g_shift(&g, g_conv(&g, x, 5, 3), s);
    b = g_shift(&g, g_conv(&g, x, 5, 1), s);
    v = g_act(&g, g_add(&g, a, b), DRL_ACT_LEAKY_RELU);
    g_dot(&g, g_sum(&g, v, 1), s);
    check_graph("shared shift", &g, 400, 1e-5);

    /* The input as an operand of everything. */
    x = g_input(&g, 4, 6, 3);
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
}

/* Small maps, vectors and single pixels. */
static void shapes(void)
{
    graph g;
    int x, a, b, v;
    /* Resampling, SiLU and gains that run in place. */
    x = g_input(&g, 8, 8, 2);
    v = g_act(&g, g_gain(&g, g_conv(&g, x, 4, 3)), DRL_ACT_SILU);
    a = g_pool(&g, v);
    b = g_gain(&g, g_act(&g, g_gain(&g, g_conv(&g, a, 4, 3)), DRL_ACT_SILU));
    v = g_add(&g, g_up(&g, b), v);
    g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 1, 3);
    check_graph("u shape", &g, 400, 1e-5);

    /* Vectors: dense layers, products of a value with itself. */
    x = g_input(&g, 1, 1, 5);
    v = g_act(&g, g_conv(&g, x, 9, 0), DRL_ACT_SILU);
    v = g_shift(&g, v, v);
    a = g_conv(&g, v, 5, 0);
    v = g_shift(&g, a, x);
    v = g_add(&g, v, x);
    g_dot(&g, v, v);
    check_graph("vectors", &g, 400, 1e-5);

    /* The squared length of a map, and the product of two. */
    x = g_input(&g, 4, 6, 3);
    v = g_add(&g, g_act(&g, g_conv(&g, x, 3, 3), DRL_ACT_SILU), x);
    a = g_sum(&g, g_dot(&g, v, v), -0.5);
    g_add(&g, a, g_dot(&g, v, x));
    check_graph("products of maps", &g, 400, 1e-5);

    /* 3x3 on a single pixel when asked for; the input times itself. */
    x = g_input(&g, 1, 1, 3);
    v = g_conv(&g, x, 3, 3);
    g_dot(&g, g_add(&g, v, x), x);
    check_graph("3x3 on a pixel", &g, 400, 1e-5);
}

/* Values that nobody reads, layers without bias, and a net without parameters. */
static void missing_parts(void)
{
    graph g;
    int x, v;
    /* Values that nobody reads, one with a gradient to keep. */
    x = g_input(&g, 4, 4, 2);
    v = g_conv(&g, x, 3, 3);
    g_conv(&g, v, 2, 3);
    g_act(&g, v, DRL_ACT_SILU);
    g_sum(&g, g_act(&g, v, DRL_ACT_RELU), 1);
    check_graph("unread values", &g, 400, 1e-5);

    /* Layers without parameters at all, and without bias. */
    x = g_input(&g, 5, 3, 2);
    v = g_conv(&g, g_act(&g, x, DRL_ACT_NONE), 6, 3);
    g.n[v].no_bias = 1;
    v = g_conv(&g, v, 20, 1);
    g.n[v].no_bias = 1;
    g_act(&g, v, DRL_ACT_NONE);
    check_graph("no bias", &g, 400, 1e-5);

    x = g_input(&g, 3, 3, 2);
    g_act(&g, x, DRL_ACT_LEAKY_RELU);
    check_graph("no parameters", &g, 400, 1e-5);
}

/* Norms, scale and shift, concatenation, attention, labels. */
static void other_layers(void)
{
    graph g;
    int x, e, a, b, v;
    /* Norms: of the input, of a layer in place, of a value used again. */
    x = g_input(&g, 4, 5, 6);
    v = g_norm(&g, x, 2);
    v = g_norm(&g, g_conv(&g, g_act(&g, v, DRL_ACT_SILU), 8, 3), 8);
    a = g_norm(&g, v, 4);
    v = g_add(&g, g_conv(&g, g_act(&g, a, DRL_ACT_LEAKY_RELU), 8, 1), v);
    b = g_sum(&g, g_norm(&g, v, 1), 1);
    g_dot(&g, b, g_conv(&g, g_norm(&g, g_conv(&g, g_level(&g, 4), 6, 0), 3), 8, 0));
    check_graph("norms", &g, 400, 2e-5);

    /* Scale and shift: from the level, from the images, of the input. */
    x = g_input(&g, 4, 3, 3);
    e = g_conv(&g, g_act(&g, g_conv(&g, g_level(&g, 6), 5, 0), DRL_ACT_SILU), 12, 0);
    v = g_scale_shift(&g, g_norm(&g, g_conv(&g, x, 6, 3), 3), e);
    v = g_add(&g, v, g_scale_shift(&g, v, g_conv(&g, g_sum(&g, x, 0.1), 12, 0)));
    a = g_scale_shift(&g, x, g_sum(&g, v, 0.1));
    g_dot(&g, g_conv(&g, g_sum(&g, a, 1), 6, 0), g_sum(&g, g_scale_shift(&g, v, e), 1));
    check_graph("scale and shift", &g, 400, 2e-5);

    /* Concatenation: with the input, with itself, of vectors. */
    x = g_input(&g, 4, 4, 3);
    v = g_conv(&g, x, 5, 3);
    v = g_concat(&g, g_act(&g, v, DRL_ACT_SILU), v);
    a = g_concat(&g, x, v);
    b = g_add(&g, g_conv(&g, a, 13, 1), a);
    b = g_concat(&g, b, b);
    g_dot(&g, g_sum(&g, b, 0.3), g_conv(&g, g_concat(&g, g_level(&g, 4), g_sum(&g, x, 0.2)), 26, 0));
    check_graph("concatenation", &g, 400, 1e-5);

    /* Attention: as in a network, of the input, of what is used again. */
    x = g_input(&g, 4, 6, 6);
    v = g_conv(&g, g_norm(&g, x, 3), 24, 1);
    v = g_add(&g, g_conv(&g, g_attention(&g, v), 24, 1), v);
    a = g_conv(&g, g_attention(&g, x), 24, 3);
    g_attention(&g, g_add(&g, v, a));
    check_graph("attention", &g, 400, 3e-5);

    /* Classes, beside the level and alone. */
    x = g_input(&g, 3, 4, 2);
    e = g_add(&g, g_conv(&g, g_level(&g, 4), 5, 0), g_conv(&g, g_label(&g, CLASSES), 5, 0));
    v = g_shift(&g, g_conv(&g, x, 5, 3), g_act(&g, e, DRL_ACT_SILU));
    g_dot(&g, g_sum(&g, v, 1), g_conv(&g, g_label(&g, CLASSES), 5, 0));
    check_graph("labels", &g, 400, 1e-5);
}

/* Two tiles, one of them cut: what becomes part of Winograd's convolution, and what must not. */
static void fused(void)
{
    graph g;
    int x = g_input(&g, 4, 7, 16), e, a, b, c, v;
    CHECK(drl__winograd_choice(4, 7, 16, 16) && drl__winograd_choice(4, 7, 16, 8),
          "these images are too small for Winograd's convolution");
    e = g_act(&g, g_conv(&g, g_level(&g, 4), 6, 0), DRL_ACT_LEAKY_RELU);
    v = g_add(&g, g_conv(&g, x, 16, 3), x);                 /* the sum's other operand is the convolution's */
    a = g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 16, 3);
    a = g_act(&g, g_shift(&g, a, g_conv(&g, e, 16, 0)), DRL_ACT_LEAKY_RELU);
    v = g_add(&g, g_gain(&g, g_conv(&g, a, 16, 3)), v);
    a = g_conv(&g, v, 32, 3);
    a = g_act(&g, g_gain(&g, g_shift(&g, a, g_conv(&g, e, 32, 0))), DRL_ACT_RELU);
    b = g_conv(&g, v, 32, 3);
    c = g_act(&g, g_add(&g, b, g_gain(&g, g_conv(&g, a, 32, 3))), DRL_ACT_RELU);
    v = g_add(&g, c, b);                                    /* b is read twice */
    a = g_conv(&g, v, 8, 3);                                /* too few channels for bits */
    g_sum(&g, g_gain(&g, g_act(&g, a, DRL_ACT_LEAKY_RELU)), 0.1);
    check_graph("fused", &g, 40, 2e-5);
}

/* The output does not depend on the images: its gradient is zero. */
static void constant_output(void)
{
    graph g;
    g_input(&g, 2, 2, 2);
    g_conv(&g, g_level(&g, 4), 3, 0);
    check_graph("output without input", &g, 400, 1e-5);
}

/* Two residual resolutions with everything that the energy network has, and spectral norms of both kinds, on
 * either side of 1. */
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

/* sigma exactly 1: the weights stay, but sigma still depends on them. For one weight W = 1 and u = v = 1, W
 * / sigma is 1 whatever W is. */
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
        size_t weight = drl_net_param(net, 0)->offset;
        drl_net_params(net)[weight] = 1;
        net->state[net->op[v].u] = net->state[net->op[v].v] = 1;
        drl_net_refresh(net, 0);
        CHECK_OK(ctx, run_mode(net, DRL_NET_PARAM_GRAD, 1, &x, NULL, &dout, &out, NULL));
        drl_net_spectral_grads(net);
        CHECK(out == 3 && drl_net_grads(net)[weight] == 0,
              "sigma 1: output %g, gradient %g instead of 3 and 0",
              (double)out, (double)drl_net_grads(net)[weight]);
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* --- random graphs: every operator on random earlier values --------------------------------------------- */

/* From b on, round the end, the first node that fits to a: of its size; a vector of its channels, of twice
 * these, or anything to be concatenated with it. NODES when there is none. */
enum { OF_SIZE, VECTOR_OF_CHANNELS, VECTOR_TO_ADD, TO_CONCAT };
static int find_partner(const graph *g, int a, int b, int fit, int most_channels)
{
    const node *na = &g->n[a];
    int k;
    for (k = 0; k < g->count; ++k, b = (b + 1) % g->count) {
        const node *nb = &g->n[b];
        int same_place = nb->h == na->h && nb->w == na->w, vector = nb->h * nb->w == 1;
        if (fit == OF_SIZE && same_place && nb->c == na->c) return b;
        if (fit == TO_CONCAT && same_place && nb->c + na->c <= most_channels) return b;
        if (fit == VECTOR_OF_CHANNELS && vector && nb->c == na->c) return b;
        if (fit == VECTOR_TO_ADD && vector && (nb->c == na->c || nb->c == 2 * na->c)) return b;
    }
    return NODES;
}

/* A convolution of node a, while all of them together are cheap enough for the interpreter. */
static void random_conv(graph *g, int a, int wide, int *conv_cost)
{
    const node *na = &g->n[a];
    int kernel, channels, k;
    if ((*conv_cost += na->h * na->w * na->c) > (wide ? 2100 : 600)) return;
    kernel = wide ? (na->h > 1 ? 3 : 0) : below(2) ? 0 : 1 + 2 * below(2);
    channels = wide ? 16 : 1 + below(6);
    k = g_conv(g, a, channels, kernel);
    if (below(4) == 0) g->n[k].no_bias = 1;
    if (below(4) == 0) {
        g->n[k].spectral = below(2) ? DRL_SPECTRAL_UNIT : DRL_SPECTRAL_CAP;
        g->n[k].scale = below(2) ? 2.5 : 0.3;
    }
}

static void random_act(graph *g, int a) { g_act(g, a, (drl_act)(1 + below(3))); }

/* Makes a smaller, where that can be. */
static void random_reduction(graph *g, int a, int wide)
{
    const node *na = &g->n[a];
    if (na->c % 3 == 0 && below(2)) g_attention(g, a);
    else if (wide) g_gain(g, a);
    else if (na->h % 2 == 0 && na->w % 2 == 0) {
        if (below(2)) g_pool(g, a);
        else g_maxpool(g, a);
    }
}

/* One operator of kind 0..10 on node a, and on another from b on where it takes two; or nothing, if that
 * cannot be. */
static void random_node(graph *g, int kind, int a, int b, int wide, int *conv_cost)
{
    const node *na = &g->n[a];
    int pixels = na->h * na->w;
    switch (kind) {
    case 0:
        if (below(2)) g_label(g, CLASSES);
        else g_level(g, 4 + 2 * below(3));
        break;
    case 1: case 2: random_conv(g, a, wide, conv_cost); break;
    case 3:
        if (below(3) == 0) g_dropout(g, a, 0.5);
        else random_act(g, a);
        break;
    case 4:
        b = find_partner(g, a, b, TO_CONCAT, wide ? 16 : 12);
        if (b < NODES && below(2)) g_concat(g, a, b);
        else random_act(g, a);
        break;
    case 5: random_reduction(g, a, wide); break;
    case 6:
        if (na->h <= 4 && na->w <= 4 && pixels > 1) g_up(g, a);
        break;
    case 7:
        b = find_partner(g, a, b, OF_SIZE, 0);
        if (b < NODES) g_add(g, a, b);
        break;
    case 8:
        b = find_partner(g, a, b, VECTOR_TO_ADD, 0);
        if (b < NODES && g->n[b].c == na->c) g_shift(g, a, b);
        else if (b < NODES) g_scale_shift(g, a, b);
        break;
    case 9:
        if (below(2)) g_norm(g, a, na->c % 3 == 0 ? 3 : na->c % 2 ? 1 : 2);
        else g_gain(g, a);
        break;
    default:
        b = find_partner(g, a, b, VECTOR_OF_CHANNELS, 0);
        if (pixels > 1) g_sum(g, a, real(0.1, 1));
        else if (b < NODES && below(2)) g_dot(g, a, b);
    }
}

/* Between 4 and 17 operators, mostly on recent values: else few of them would matter in the end. The last
 * one depends on the input. wide: large enough for Winograd's convolution and for what is fused with it. */
static void random_graph(graph *g, int wide)
{
    int target, conv_cost = 0, by_input[NODES], h, w, c;
    if (wide) g_input(g, 4, 7, 16);
    else {                          /* one after the other: compilers differ in the order of arguments */
        c = 1 + below(5);
        w = 1 + below(6);
        h = 1 + below(6);
        g_input(g, h, w, c);
    }
    target = 4 + below(14);
    by_input[0] = 1;
    while (g->count < target || !by_input[g->count - 1]) {
        int a = below(g->count), b = below(g->count), old = g->count, full = g->count == NODES - 1;
        if (full) a = 0;            /* no room is left but for something of the input */
        else if (below(3)) a = g->count - 1 - below(g->count < 3 ? g->count : 3);
        random_node(g, full ? 9 : below(11), a, b, wide, &conv_cost);
        if (g->count > old) {
            const node *n = &g->n[old];
            by_input[old] = (n->a >= 0 && by_input[n->a]) || (n->b >= 0 && by_input[n->b]);
        }
    }
}

static void random_graphs(int count, int wide)
{
    int i;
    for (i = 0; i < count; ++i) {
        graph g;
        char name[40];
        test_seed = (uint64_t)i * 977 + 5;
        real(0, 1);
        random_graph(&g, wide);
        snprintf(name, sizeof name, "random %sgraph %d", wide ? "wide " : "", i);
        check_graph(name, &g, 12, 1e-4);
    }
}

/* --- use and misuse ------------------------------------------------------------------------------------- */

/* A net of this graph and these modes for two images, or NULL. */
static drl_net *net_of(drl_ctx *ctx, graph *g, int modes)
{
    drl_net *net = NULL;
    drl_net_desc nd;
    memset(&nd, 0, sizeof nd);
    nd.batch = 2;
    nd.modes = modes;
    CHECK_OK(ctx, drl_net_create(ctx, build, g, &nd, &net));
    return net;
}

/* Two images of 4 x 4 x 2 for the nets below. */
typedef struct small_data { float x[2][32], out[2], dout[2], dx[64]; } small_data;
static void small_graph(graph *g, small_data *s)
{
    int i, v = g_act(g, g_conv(g, g_input(g, 4, 4, 2), 3, 3), DRL_ACT_LEAKY_RELU);
    g_dot(g, g_sum(g, v, 1), g_sum(g, v, 0.5));
    memset(s, 0, sizeof *s);
    for (i = 0; i < 64; ++i) s->x[i / 32][i % 32] = (float)real(-2, 2);
    s->dout[0] = 1;
    s->dout[1] = -0.5f;
}

/* Two passes add up to twice the gradient. */
static void gradients_accumulate(void)
{
    graph g;
    small_data s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    float *once;
    size_t k, n;
    int not_zero = 0, good = 1;
    small_graph(&g, &s);
    net = net_of(ctx, &g, 7);
    CHECK(net && drl_net_grads(net) && drl_net_params_size(net) >= 57, "gradients of %d floats",
          net ? (int)drl_net_params_size(net) : 0);
    if (net) {
        n = drl_net_params_size(net);
        drl_net_init(net, 3);
        once = floats(n);
        CHECK_OK(ctx, run_mode(net, DRL_NET_PARAM_GRAD, 2, s.x[0], NULL, s.dout, s.out, NULL));
        memcpy(once, drl_net_grads(net), n * sizeof *once);
        CHECK_OK(ctx, run_mode(net, DRL_NET_PARAM_GRAD, 2, s.x[0], NULL, s.dout, s.out, NULL));
        for (k = 0; k < n; ++k) {
            good &= fabsf(drl_net_grads(net)[k] - 2 * once[k]) <= 1e-5f * fabsf(once[k]);
            not_zero |= drl_net_grads(net)[k] != 0;
        }
        CHECK(good, "two passes do not add up to twice the gradient");
        CHECK(not_zero, "all gradients are zero");
        free(once);
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* A status, a sentence, and nothing changed: for batches of -1, 0 and 3 images of 2, and for buffers that
 * are missing. */
static void wrong_batches(void)
{
    static const int counts[] = { -1, 0, 3 };
    graph g;
    small_data s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    drl_batch b;
    int i;
    small_graph(&g, &s);
    net = net_of(ctx, &g, 7);
    if (net) {
        s.out[0] = 77;
        for (i = 0; i < 3; ++i) {
            b = drl_batch_of(counts[i], s.x[0], NULL);
            REFUSED(ctx, drl_net_forward(net, &b, s.out), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_input_grad(net, &b, s.dout, s.out, s.dx), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_train_forward(net, &b, s.out), DRL_E_ARGUMENT);
        }
        b = drl_batch_of(1, NULL, NULL);
        REFUSED(ctx, drl_net_forward(net, &b, s.out), DRL_E_ARGUMENT);
        b.x = s.x[0];
        REFUSED(ctx, drl_net_forward(net, &b, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_forward(net, NULL, s.out), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_input_grad(net, &b, NULL, s.out, s.dx), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_input_grad(net, &b, s.dout, s.out, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_train_forward(net, &b, NULL), DRL_E_ARGUMENT);
        CHECK(s.out[0] == 77, "a refused run has written %g", (double)s.out[0]);
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* A backward pass needs a forward pass in training that nothing has used up since, and the mode. */
static void wrong_order(void)
{
    graph g;
    small_data s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    drl_batch b;
    small_graph(&g, &s);
    b = drl_batch_of(1, s.x[0], NULL);
    net = net_of(ctx, &g, 7);
    if (net) {
        REFUSED(ctx, drl_net_train_backward(net, s.dout), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_forward(net, &b, s.out));
        REFUSED(ctx, drl_net_train_backward(net, NULL), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_backward(net, s.dout));
        REFUSED(ctx, drl_net_train_backward(net, s.dout), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_forward(net, &b, s.out));
        CHECK_OK(ctx, drl_net_forward(net, &b, s.out));                     /* shares the arena */
        REFUSED(ctx, drl_net_train_backward(net, s.dout), DRL_E_ARGUMENT);
        CHECK_OK(ctx, drl_net_train_forward(net, &b, s.out));
        drl_net_refresh(net, 0);                                            /* weights may have changed */
        REFUSED(ctx, drl_net_train_backward(net, s.dout), DRL_E_ARGUMENT);
        drl_net_destroy(net);
    }
    net = net_of(ctx, &g, 1);
    CHECK(net && !drl_net_grads(net), "gradients without having asked for them");
    if (net) {
        REFUSED(ctx, drl_net_train_forward(net, &b, s.out), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_net_input_grad(net, &b, s.dout, s.out, s.dx), DRL_E_ARGUMENT);
    }
    drl_net_destroy(net);
    drl_net_destroy(NULL);
    drl_ctx_destroy(ctx);
}

/* A level must be given; labels must be among the classes, and none at all means class 0. */
static void levels_and_labels(void)
{
    graph g;
    small_data s;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    drl_batch b;
    int v, label = 3;
    float none[2];
    small_graph(&g, &s);
    b = drl_batch_of(1, s.x[0], NULL);
    v = g_input(&g, 4, 4, 2);
    g_shift(&g, v, g_conv(&g, g_level(&g, 4), 2, 0));
    net = net_of(ctx, &g, 1);
    if (net) REFUSED(ctx, drl_net_forward(net, &b, s.dx), DRL_E_ARGUMENT);
    drl_net_destroy(net);

    v = g_input(&g, 4, 4, 2);
    g_sum(&g, g_shift(&g, v, g_conv(&g, g_label(&g, 3), 2, 0)), 1);
    net = net_of(ctx, &g, 7);
    if (net) {
        drl_net_init(net, 1);
        CHECK_OK(ctx, drl_net_forward(net, &b, none));
        b.label = &label;
        CHECK_OK(ctx, drl_net_forward(net, &b, s.out));
        CHECK(s.out[0] != none[0], "class 3 is as none");
        label = 0;
        CHECK_OK(ctx, drl_net_forward(net, &b, s.out));
        CHECK(s.out[0] == none[0], "label 0 is not as none: %g, %g", (double)s.out[0], (double)none[0]);
        for (label = -1; label < 5; label += 5) {
            REFUSED(ctx, drl_net_forward(net, &b, s.out), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_input_grad(net, &b, s.dout, s.out, s.dx), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_net_train_forward(net, &b, s.out), DRL_E_ARGUMENT);
        }
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

static drl_layer_desc layer(const char *name, int out, int kernel)
{
    drl_layer_desc l;
    memset(&l, 0, sizeof l);
    l.name = name;
    l.out_channels = out;
    l.kernel = kernel;
    return l;
}

/* Ways to build something that cannot be. The user pointer leads to the number of the way; each ends with an
 * activation that does nothing after the failure. */
enum {
    NOTHING_BUILT, INPUT_LATE, INPUT_EMPTY, LEVEL_ALONE,    /* these four begin in their own way */
    INPUT_ALONE, INPUT_TWICE,
    POOL_ODD, POOL_ODD_WIDTH, MAXPOOL_ODD_WIDTH,
    ADD_CHANNELS, ADD_WIDTH,
    SHIFT_CHANNELS, SHIFT_BY_MAP, SHIFT_BY_ROW,
    DOT_OF_ODD_POOL, DOT_CHANNELS, DOT_WIDTH, DOT_WIDTH_FIRST,
    CONV_KERNEL, CONV_CHANNELS, CONV_UNNAMED, CONV_NULL,
    LEVEL_ODD, LEVEL_SMALL, LABEL_NONE, LABEL_OTHER,
    GAIN_UNNAMED,
    VALUE_UNKNOWN, VALUE_UNKNOWN_SECOND, VALUE_NEGATIVE, VALUE_NO_WIDTH, VALUE_NO_CHANNELS, VALUE_NEXT,
    VALUE_HIGH, VALUE_WIDE, VALUE_DEEP,
    CALLS_FEWER, CALLS_MORE,
    ACT_UNKNOWN,
    NORM_GROUPS, NORM_UNNAMED, NORM_NO_GROUPS, NORM_EPS, NORM_EPS_INFINITE,
    SCALE_SHIFT_CHANNELS, SCALE_SHIFT_BY_MAP, SCALE_SHIFT_BY_ROW, SCALE_SHIFT_ODD,
    DROPOUT_ALL, DROPOUT_NEGATIVE,
    CONCAT_SIZE, CONCAT_WIDTH,
    ATTENTION_CHANNELS,
    HUGE_CHANNELS, HUGE_MAP, HUGE_DEPTH,                    /* more than any machine has; may fit 64 bits */
    HUGE_PAIR, HUGE_ONE,            /* 63 bits do not hold two large maps of 128 channels, nor one of 256 */
    WAYS
};

static drl_value upsampled(drl_net *net, drl_value x, int times)
{
    while (times-- > 0) x = drl_net_upsample2(net, x);
    return x;
}

/* x: images of 3 x 3 x 2; l: a convolution to 4 channels. */
static void wrong_layers(drl_net *net, int way, drl_value x, drl_layer_desc l)
{
    drl_value y;
    int i;
    switch (way) {
    case CONV_KERNEL: l.kernel = 2; drl_net_conv2d(net, x, &l); break;
    case CONV_CHANNELS: l.out_channels = 0; drl_net_conv2d(net, x, &l); break;
    case CONV_UNNAMED: l.name = NULL; drl_net_conv2d(net, x, &l); break;
    case CONV_NULL: drl_net_conv2d(net, x, NULL); break;
    case LEVEL_ODD: drl_net_level(net, 5); break;
    case LEVEL_SMALL: drl_net_level(net, 2); break;
    case LABEL_NONE: drl_net_label(net, 0); break;
    case LABEL_OTHER:
        drl_net_label(net, 2);
        drl_net_label(net, 3);
        break;
    case GAIN_UNNAMED: drl_net_gain(net, x, NULL); break;
    case ACT_UNKNOWN: drl_net_act(net, x, (drl_act)(DRL_ACT_SILU + 1)); break;
    case NORM_GROUPS: drl_net_group_norm(net, x, "n", 3, 1e-6f); break;
    case NORM_UNNAMED: drl_net_group_norm(net, x, NULL, 2, 1e-6f); break;
    case NORM_NO_GROUPS: drl_net_group_norm(net, x, "n", 0, 1e-6f); break;
    case NORM_EPS: drl_net_group_norm(net, x, "n", 2, -1e-6f); break;
    case NORM_EPS_INFINITE: drl_net_group_norm(net, x, "n", 2, HUGE_VALF); break;
    case DROPOUT_ALL: drl_net_dropout(net, x, 1); break;
    case DROPOUT_NEGATIVE: drl_net_dropout(net, x, -0.1f); break;
    case ATTENTION_CHANNELS: drl_net_attention(net, x); break;
    case HUGE_CHANNELS:
        l.out_channels = INT32_MAX;
        drl_net_conv2d(net, drl_net_conv2d(net, x, &l), &l);
        break;
    case HUGE_MAP: drl_net_conv2d(net, upsampled(net, x, 16), &l); break;
    case HUGE_DEPTH:                                            /* 2^58 weights */
        l.out_channels = 1 << 24;
        for (i = 0, y = x; i < 200; ++i) y = drl_net_conv2d(net, y, &l);
        break;
    default: break;
    }
}

/* x: images of 3 x 3 x 2, or of 1 x 3 x 2 where only the height or width of an operand is wrong; l: a
 * convolution to 4 channels. */
static void wrong_operands(drl_net *net, int way, drl_value x, drl_layer_desc l)
{
    drl_value vector;
    switch (way) {
    case POOL_ODD: case POOL_ODD_WIDTH: drl_net_avgpool2(net, x); break;
    case MAXPOOL_ODD_WIDTH: drl_net_maxpool2(net, x); break;
    case ADD_CHANNELS: drl_net_add(net, x, drl_net_conv2d(net, x, &l)); break;
    case ADD_WIDTH: drl_net_add(net, x, drl_net_spatial_sum(net, x, 1)); break;
    case SHIFT_CHANNELS:
        vector = drl_net_spatial_sum(net, drl_net_conv2d(net, x, &l), 1);
        drl_net_shift(net, x, vector);
        break;
    case SHIFT_BY_MAP: case SHIFT_BY_ROW: drl_net_shift(net, x, x); break;
    case DOT_OF_ODD_POOL: drl_net_dot(net, x, drl_net_avgpool2(net, x)); break;
    case DOT_CHANNELS:
        vector = drl_net_spatial_sum(net, x, 1);
        drl_net_dot(net, vector, drl_net_conv2d(net, vector, &l));
        break;
    case DOT_WIDTH: drl_net_dot(net, x, drl_net_spatial_sum(net, x, 1)); break;
    case DOT_WIDTH_FIRST: drl_net_dot(net, drl_net_spatial_sum(net, x, 1), x); break;
    case SCALE_SHIFT_CHANNELS: drl_net_scale_shift(net, x, drl_net_spatial_sum(net, x, 1)); break;
    case SCALE_SHIFT_BY_MAP: case SCALE_SHIFT_BY_ROW:
        drl_net_scale_shift(net, x, drl_net_conv2d(net, x, &l));
        break;
    case SCALE_SHIFT_ODD:
        l.out_channels = 5;
        drl_net_scale_shift(net, x, drl_net_conv2d(net, drl_net_spatial_sum(net, x, 1), &l));
        break;
    case CONCAT_SIZE: case CONCAT_WIDTH: drl_net_concat(net, x, drl_net_spatial_sum(net, x, 1)); break;
    default: break;
    }
}

/* A value that is none of the net's: of a number or size that is not its own. */
static drl_value wrong_value(int way, drl_value v)
{
    switch (way) {
    case VALUE_UNKNOWN: case VALUE_UNKNOWN_SECOND: v.id = 99; break;
    case VALUE_NEGATIVE: v.id = -1; break;
    case VALUE_NO_WIDTH: v.w = 0; break;
    case VALUE_NO_CHANNELS: v.c = 0; break;
    case VALUE_NEXT: ++v.id; break;
    case VALUE_HIGH: v.h = 1 << 30; break;
    case VALUE_WIDE: v.w = 1 << 30; break;
    default: v.c = 1 << 30; break;
    }
    return v;
}

static int wrong_calls;
static void wrong_build(drl_net *net, void *user)
{
    int way = *(const int *)user;
    drl_layer_desc l = layer("l", 4, 0);
    drl_value x, big;
    int high = 3;
    ++wrong_calls;
    if (way == NOTHING_BUILT) return;
    if (way == INPUT_LATE) drl_net_level(net, 4);
    if (way == LEVEL_ALONE) {
        drl_net_conv2d(net, drl_net_level(net, 4), &l);
        return;
    }
    if (way == POOL_ODD_WIDTH || way == MAXPOOL_ODD_WIDTH) high = 2;
    if (way == ADD_WIDTH || way == CONCAT_WIDTH || way == SHIFT_BY_ROW || way == SCALE_SHIFT_BY_ROW ||
        way == SCALE_SHIFT_ODD || way == DOT_WIDTH || way == DOT_WIDTH_FIRST || way == HUGE_PAIR ||
        way == HUGE_ONE) high = 1;
    x = drl_net_input(net, high, way == INPUT_EMPTY ? 0 : 3, 2);
    if (way == INPUT_ALONE) return;
    if (way == INPUT_TWICE) drl_net_input(net, 3, 3, 2);
    if (way == VALUE_UNKNOWN_SECOND) drl_net_add(net, x, wrong_value(way, x));
    else if (way == VALUE_NEGATIVE) drl_net_conv2d(net, wrong_value(way, x), &l);
    else if (way >= VALUE_UNKNOWN && way <= VALUE_DEEP) drl_net_act(net, wrong_value(way, x), DRL_ACT_RELU);
    if (way == CALLS_FEWER) {                                   /* in the second call */
        drl_net_conv2d(net, x, &l);
        if (wrong_calls % 2) drl_net_act(net, x, DRL_ACT_RELU);
    }
    if (way == CALLS_MORE && wrong_calls % 2 == 0) drl_net_act(net, x, DRL_ACT_RELU);
    if (way == HUGE_PAIR || way == HUGE_ONE) {
        l.out_channels = way == HUGE_PAIR ? 128 : 256;
        big = drl_net_conv2d(net, upsampled(net, x, 16), &l);
        drl_net_act(net, drl_net_conv2d(net, big, &l), DRL_ACT_SILU);
        return;
    }
    wrong_layers(net, way, x, l);
    wrong_operands(net, way, x, l);
    drl_net_act(net, x, DRL_ACT_RELU);
}

/* Every way is refused, by drl_net_size as by drl_net_create, with a sentence; the results stay as they are
 * and nothing is left in memory. */
static void wrong_builders(void)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_net *untouched = (drl_net *)(void *)&heap, *net = untouched;
    drl_net_desc nd;
    size_t bytes;
    int way;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    for (way = 0; way < WAYS; ++way) {
        int huge = way >= HUGE_CHANNELS, no_block = way == HUGE_PAIR || way == HUGE_ONE;
        long live = heap.live;
        drl_status status, size_status;
        drl_ctx_clear(ctx);
        memset(&nd, 0, sizeof nd);
        if (huge && way != HUGE_DEPTH) nd.batch = 1 << 20;
        if (no_block) nd.modes = 1 << DRL_NET_PARAM_GRAD;
        bytes = 4711;
        wrong_calls = 0;
        size_status = drl_net_size(ctx, wrong_build, &way, &nd, &bytes);
        wrong_calls = 0;
        drl_ctx_clear(ctx);
        status = drl_net_create(ctx, wrong_build, &way, &nd, &net);
        CHECK(status == DRL_E_ARGUMENT || status == DRL_E_SHAPE || (huge && status == DRL_E_MEMORY),
              "way %d: status %d", way, (int)status);
        if (no_block)
            CHECK(strstr(drl_ctx_message(ctx), sizeof(size_t) < 8 ? "do not fit one block" :
                         way == HUGE_PAIR ? "the buffers of 20 operators" : "images of 65536 x 196608 x 256"),
                  "way %d: %s", way, drl_ctx_message(ctx));
        if (huge && !no_block && size_status == DRL_OK)
            CHECK(status == DRL_E_MEMORY && bytes > 1000000, "way %d: status %d", way, (int)status);
        else
            CHECK(status == size_status && bytes == 4711, "way %d: status %d, but %d when counting, bytes %d",
                  way, (int)status, (int)size_status, (int)bytes);
        CHECK(strlen(drl_ctx_message(ctx)) > 20, "way %d: sentence '%s'", way, drl_ctx_message(ctx));
        CHECK(net == untouched, "way %d: the result was touched", way);
        CHECK(heap.live == live, "way %d: %ld blocks leaked", way, heap.live - live);
        if (status == DRL_OK) {
            drl_net_destroy(net);
            net = untouched;
        }
    }
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

static void wrong_descriptions(void)
{
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *untouched = (drl_net *)(void *)&g, *net = untouched;
    drl_net_desc nd;
    g_act(&g, g_input(&g, 2, 2, 2), DRL_ACT_RELU);
    memset(&nd, 0, sizeof nd);
    nd.batch = -1;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    nd.batch = 0;
    nd.modes = 8;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    nd.modes = -1;
    REFUSED(ctx, drl_net_create(ctx, build, &g, &nd, &net), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_create(ctx, NULL, &g, NULL, &net), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_create(ctx, build, &g, NULL, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_net_size(ctx, build, &g, NULL, NULL), DRL_E_ARGUMENT);
    CHECK(drl_net_create(NULL, build, &g, NULL, &net) == DRL_E_ARGUMENT, "no context");
    CHECK(net == untouched, "the result was touched");
    drl_ctx_destroy(ctx);
}

/* --- plans ---------------------------------------------------------------------------------------------- */
static int copies_of(const drl__program *p)
{
    int i, copies = 0;
    for (i = 0; i < p->instr_count; ++i) copies += p->instr[i].code == DRL__COPY;
    return copies;
}

/* The plan of a residual block, as a person would make it: buffers beside the caller's two, and nothing
 * copied. A gradient that is thought to be shared longer than it is, or a value to be read once more, is
 * right and costs memory. */
static void plan_residual(void)
{
    static const int expected[3] = {
        4,          /* h, act(h), its convolution; the sum over h and its activation over that; the energy */
        5 + 3,      /* activations keep what they read: the sum lies over the convolution, its activation
                     * apart; then gradients of the energy, of the sum, and of act(h) */
        5 + 3 + 2   /* and of two biases */
    };
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    int h = g_conv(&g, g_input(&g, 6, 6, 2), 4, 3), mode;
    g_sum(&g, g_act(&g, g_add(&g, h, g_conv(&g, g_act(&g, h, DRL_ACT_SILU), 4, 3)), DRL_ACT_SILU), 1);
    net = net_of(ctx, &g, 7);
    for (mode = 0; net && mode < 3; ++mode) {
        const drl__program *p = &net->program[mode];
        CHECK(p->buffer_count - 2 == expected[mode] && !copies_of(p), "mode %d: %d buffers and %d copies",
              mode, p->buffer_count - 2, copies_of(p));
    }
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
}

/* The residual block that [net.plan] draws: its buffers, where they lie, and from which to which
 * instruction. */
static void plan_drawn(void)
{
    static const struct { int bytes, offset, first, last; } buffers[] = {
        { 1024, 0, 0, 4 },
        { 1024, 1024, 1, 2 },
        { 64, 3072, 1, 7 },
        { 1024, 2048, 2, 3 },
        { 64, 1024, 4, 5 },
        { 64, 1088, 5, 5 },
        { 1024, 0, 5, 8 },
        { 1024, 1024, 6, 7 }
    };
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    drl_net_desc nd;
    const drl__program *p;
    int v = g_conv(&g, g_input(&g, 8, 8, 4), 4, 3), i;
    g_sum(&g, g_add(&g, v, g_conv(&g, g_act(&g, v, DRL_ACT_LEAKY_RELU), 4, 3)), 1);
    memset(&nd, 0, sizeof nd);
    nd.batch = 1;
    nd.modes = 7;
    CHECK_OK(ctx, drl_net_create(ctx, build, &g, &nd, &net));
    if (net) {
        p = &net->program[DRL_NET_INPUT_GRAD];
        CHECK(p->instr_count == 9 && p->forward_count == 5 && p->buffer_count == 10,
              "the drawn block: %d instructions", p->instr_count);
#ifndef DRL__ASAN
        CHECK(p->arena == 3136, "the drawn block: %d bytes", (int)p->arena);
#endif
        for (i = 0; i < 8; ++i) {
            const drl__buffer *b = &p->buffer[i + 2];
            CHECK((int)b->bytes == buffers[i].bytes, "the drawn block: buffer %d has %d bytes",
                  i + 2, (int)b->bytes);
            CHECK(b->first == buffers[i].first && b->last == buffers[i].last,
                  "the drawn block: buffer %d lives from %d to %d", i + 2, b->first, b->last);
#ifndef DRL__ASAN
            CHECK((int)b->offset == buffers[i].offset, "the drawn block: buffer %d lies at %d",
                  i + 2, (int)b->offset);
#endif
        }
    }
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
}

/* The gradient of a + b is that of both; a, which has another reader, gets a copy, and b may then have the
 * first. */
static void plan_copies(void)
{
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    int x = g_input(&g, 6, 6, 2), a = g_conv(&g, x, 4, 3), b = g_conv(&g, x, 4, 3), rest, mode;
    rest = g_add(&g, g_sum(&g, g_act(&g, a, DRL_ACT_SILU), 1), g_sum(&g, g_act(&g, b, DRL_ACT_SILU), 1));
    g_add(&g, rest, g_sum(&g, g_add(&g, a, b), 1));
    net = net_of(ctx, &g, 7);
    for (mode = 1; net && mode < 3; ++mode) {
        int copies = copies_of(&net->program[mode]);
        CHECK(copies == 1, "mode %d: %d copies", mode, copies);
    }
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
}

/* Places of a net of which going back reads nothing again, and of the networks of the papers. */
static void plan_places(void)
{
    graph g;
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net;
    int v = g_pool(&g, g_conv(&g, g_input(&g, 8, 8, 2), 2, 3)), i;
    v = g_pool(&g, g_up(&g, g_pool(&g, g_up(&g, v))));
    g_sum(&g, v, 1);
    net = net_of(ctx, &g, 7);
    if (net) places(net);
    drl_net_destroy(net);
    for (i = 0; i < 3; ++i) {                   /* the third is conditional */
        drl_model_desc d;
        drl_model *m = NULL;
        memset(&d, 0, sizeof d);
        d.form = i ? DRL_FORM_CDRL : DRL_FORM_DRL;
        d.height = d.width = 8;
        d.channels = 2;
        d.base = 8;
        d.classes = i == 2 ? 3 : 0;
        d.trainable = 1;
        d.batch = 2;
        CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
        if (m) places(drl_model_net(m));
        if (m && drl_model_initializer(m)) places(drl_model_initializer(m));
        drl_model_destroy(m);
    }
    drl_ctx_destroy(ctx);
}

/* --- memory --------------------------------------------------------------------------------------------- */

/* Runs every mode of a net of 4 x 4 x 3 with a level: nothing is allocated. */
static void run_without_memory(drl_net *net, int modes, check_heap *heap)
{
    float in[2 * 48], level[2] = { 1, 2 }, out[2], dout[2] = { 1, 1 }, dx[2 * 48];
    drl_ctx *ctx = net->ctx;
    long calls = heap->calls;
    int i, mode;
    for (i = 0; i < 2 * 48; ++i) in[i] = (float)real(-1, 1);
    drl_net_init(net, 3);
    for (mode = 0; mode < 3; ++mode) {
        if (!(modes >> mode & 1)) continue;
        CHECK_OK(ctx, run_mode(net, (drl_net_mode)mode, 2, in, level, dout, out, dx));
    }
    drl_net_refresh(net, 2);
    drl_net_spectral_grads(net);
    CHECK(heap->calls == calls, "running made %ld allocations", heap->calls - calls);
}

/* drl_net_create when its allocation number `fail` fails: it leaves nothing behind. When it needs fewer
 * allocations, it holds what drl_net_size says. Returns whether a net was made. */
static int create_failing(graph *g, int modes, int fail)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_net *net = NULL;
    drl_net_desc nd;
    drl_status status;
    size_t used, held, bytes = 0, heap_bytes;
    memset(&nd, 0, sizeof nd);
    nd.batch = 2;
    nd.modes = modes;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    CHECK_OK(ctx, drl_net_size(ctx, build, g, &nd, &bytes));
    used = drl_ctx_bytes_used(ctx);
    heap_bytes = heap.bytes;
    heap.fail_at = heap.calls + fail;
    status = drl_net_create(ctx, build, g, &nd, &net);
    heap.fail_at = 0;
    held = drl_ctx_bytes_used(ctx) - used;
    if (status == DRL_OK) {
        CHECK(held == bytes && heap.bytes - heap_bytes == bytes,
              "modes %d: %d bytes are held, %d were announced", modes, (int)held, (int)bytes);
        run_without_memory(net, modes, &heap);
        drl_net_destroy(net);
    } else {
        CHECK(status == DRL_E_MEMORY && !net, "allocation %d: status %d", fail, (int)status);
        CHECK(drl_ctx_status(ctx) == DRL_E_MEMORY, "allocation %d: the context has no failure", fail);
        CHECK(drl_ctx_message(ctx)[0], "allocation %d: no sentence", fail);
        CHECK(heap.bytes == heap_bytes && held == 0, "allocation %d fails and %d bytes stay",
              fail, (int)(heap.bytes - heap_bytes));
    }
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    return status == DRL_OK;
}

/* Every allocation of drl_net_create fails in turn, in each choice of modes. */
static void memory(void)
{
    graph g;
    int x, v, e, modes, fail, made, reached = 0;
    x = g_input(&g, 4, 4, 3);
    e = g_conv(&g, g_level(&g, 4), 6, 0);
    v = g_act(&g, g_shift(&g, g_conv(&g, x, 6, 3), e), DRL_ACT_LEAKY_RELU);
    g.n[v - 2].spectral = DRL_SPECTRAL_UNIT;
    g_dot(&g, g_sum(&g, g_gain(&g, v), 1), e);
    for (modes = 1; modes < 8; ++modes) {
        for (fail = 1, made = 0; !made && fail < 50; ++fail) made = create_failing(&g, modes, fail);
        reached += made;
    }
    CHECK(reached == 7, "creation succeeded in %d of 7 cases", reached);
}

/* A net in a caller's block of exactly the announced size is made; with one byte less it is refused. */
static void block_memory(void)
{
    graph g;
    drl_ctx_desc cd;
    drl_ctx *ctx = NULL;
    size_t bytes = 0, own;
    int v = g_act(&g, g_conv(&g, g_input(&g, 5, 4, 3), 6, 3), DRL_ACT_SILU), less;
    g_sum(&g, v, 1);
    CHECK(drl_ctx_create(NULL, &ctx) == DRL_OK, "no context");
    own = drl_ctx_bytes_used(ctx);
    CHECK_OK(ctx, drl_net_size(ctx, build, &g, NULL, &bytes));
    drl_ctx_destroy(ctx);
    for (less = 0; less < 2; ++less) {
        drl_net *net = NULL;
        drl_status status;
        void *block;
        memset(&cd, 0, sizeof cd);
        cd.memory_size = own + bytes - (size_t)less;
        cd.memory = block = malloc(cd.memory_size);
        ctx = NULL;
        CHECK(drl_ctx_create(&cd, &ctx) == DRL_OK, "no context in the block");
        status = drl_net_create(ctx, build, &g, NULL, &net);
        if (less) {
            CHECK(status == DRL_E_MEMORY && !net, "a byte too few: %s", drl_ctx_message(ctx));
            CHECK(drl_ctx_bytes_used(ctx) == own, "%d bytes are in use", (int)drl_ctx_bytes_used(ctx));
        } else CHECK(status == DRL_OK, "%s", drl_ctx_message(ctx));
        drl_net_destroy(net);
        drl_ctx_destroy(ctx);
        free(block);
    }
}

/* --- first weights -------------------------------------------------------------------------------------- */
static void init_build(drl_net *net, void *user)
{
    drl_layer_desc l = layer("a", 40, 3);
    drl_value x = drl_net_input(net, 4, 4, 20);
    (void)user;
    l.spectral = DRL_SPECTRAL_UNIT;
    x = drl_net_conv2d(net, x, &l);
    l = layer("b", 30, 1);
    l.init_scale = 4;
    x = drl_net_conv2d(net, drl_net_gain(net, x, "g"), &l);
    l = layer("c", 10, 3);
    l.init_scale = -1;
    drl_net_conv2d(net, drl_net_group_norm(net, x, "n", 3, 0), &l);
}

/* Weights: uniform, of variance init_scale over the mean of fan-in and fan-out. Biases: uniform, of variance
 * 1 / (3 fan-in); zero in norms and where the weights are. Gains: 1. Mean and variance of the numbers lie
 * within five standard deviations, and none is larger than sqrt(3 variance). */
static void init(void)
{
    static const struct { const char *name; int rank; double mean, variance; } params[9] = {
        { "a.weight", 4, 0, 1 / (0.5 * 9 * 60) },
        { "a.bias", 1, 0, 1 / (3.0 * 9 * 20) },
        { "g", 1, 1, 0 },
        { "b.weight", 4, 0, 4 / (0.5 * 70) },
        { "b.bias", 1, 0, 1 / (3.0 * 40) },
        { "n.weight", 1, 1, 0 },
        { "n.bias", 1, 0, 0 },
        { "c.weight", 4, 0, 0 },
        { "c.bias", 1, 0, 0 }
    };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    size_t k;
    int t;
    CHECK_OK(ctx, drl_net_create(ctx, init_build, NULL, NULL, &net));
    if (net) {
        drl_net_init(net, 7);
        CHECK(drl_net_param_count(net) == 9, "%d parameters", drl_net_param_count(net));
        for (t = 0; t < drl_net_param_count(net) && t < 9; ++t) {
            const drl_param *p = drl_net_param(net, t);
            double count = (double)p->count, mean = params[t].mean, variance = params[t].variance;
            double sum = 0, squares = 0, most = 0;
            CHECK(!strcmp(p->name, params[t].name), "parameter %d is called %s", t, p->name);
            CHECK(p->rank == params[t].rank, "%s has rank %d", p->name, p->rank);
            for (k = 0; k < p->count; ++k) {
                double w = (double)drl_net_params(net)[p->offset + k];
                sum += w / count;
                squares += (w - mean) * (w - mean) / count;
                most = fmax(most, fabs(w));
            }
            CHECK(fabs(squares - variance) <= 5 * variance / sqrt(count), "%s: variance %g instead of %g",
                  p->name, squares, variance);
            if (variance > 0)
                CHECK(fabs(sum) <= 5 * sqrt(variance / count) && most <= 1.0001 * sqrt(3 * variance),
                      "%s: mean %g, largest %g", p->name, sum, most);
        }
        CHECK(drl_net_param(net, 9) == NULL && drl_net_param(net, -1) == NULL, "a parameter beyond the last");
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* First weights are a function of the seed. */
static void init_seed(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_net *net = NULL;
    CHECK_OK(ctx, drl_net_create(ctx, init_build, NULL, NULL, &net));
    if (net) {
        size_t n = drl_net_params_size(net);
        float *first = floats(n);
        drl_net_init(net, 7);
        memcpy(first, drl_net_params(net), n * sizeof(float));
        drl_net_init(net, 8);
        CHECK(!bits_equal(first, drl_net_params(net), n), "two seeds give the same weights");
        drl_net_init(net, 7);
        CHECK(bits_equal(first, drl_net_params(net), n), "a seed gives two sets of weights");
        free(first);
        drl_net_destroy(net);
    }
    drl_ctx_destroy(ctx);
}

/* --- the initializer network ---------------------------------------------------------------------------- */
enum { PIXELS = 2 * 8 * 8 * 2 };
typedef struct initializer_run {
    float out[PIXELS], train[PIXELS], dx[PIXELS];
    float *grads;
} initializer_run;

/* Weights that make it another function than the identity. */
static void other_weights(drl_net *net)
{
    int t;
    size_t k;
    for (t = 0; t < drl_net_param_count(net); ++t) {
        const drl_param *p = drl_net_param(net, t);
        float *w = drl_net_params(net) + p->offset;
        float reach = p->rank == 1 ? 0.5f : 2 / sqrtf((float)(p->count / (size_t)p->shape[0]));
        float middle = p->rank == 1 && strstr(p->name, "norm") ? 0.5f : 1;
        drl_rng rng = { 1, 0, 0 };
        rng.stream = (uint64_t)t;
        for (k = 0; k < p->count; ++k) w[k] = reach * (2 * drl_rng_uniform(&rng) - middle);
    }
    drl_net_refresh(net, 0);
}

/* It is the identity at first; with other weights the same outputs in all modes, until dropout changes those
 * of training. */
static void run_initializer(drl_ctx *ctx, drl_net *net, drl_batch *b, const float *dout, initializer_run *r)
{
    static const drl_rng rng = { 5, 6, 0 };
    places(net);
    drl_net_init(net, 3);
    CHECK_OK(ctx, drl_net_forward(net, b, r->out));
    CHECK(bits_equal(r->out, b->x, PIXELS), "the initializer is not the identity at first");
    other_weights(net);
    CHECK_OK(ctx, drl_net_forward(net, b, r->out));
    CHECK(!bits_equal(r->out, b->x, PIXELS), "the initializer is still the identity");
    CHECK_OK(ctx, drl_net_input_grad(net, b, dout, r->train, r->dx));
    CHECK(bits_equal(r->train, r->out, PIXELS), "modes differ");
    CHECK_OK(ctx, drl_net_train_forward(net, b, r->train));
    CHECK(bits_equal(r->train, r->out, PIXELS), "modes differ without dropout");
    b->dropout = &rng;
    CHECK_OK(ctx, drl_net_train_forward(net, b, r->train));
    CHECK(!bits_equal(r->train, r->out, PIXELS), "dropout changes nothing");
    CHECK_OK(ctx, drl_net_train_backward(net, dout));
    r->grads = drl_net_grads(net);
}

/* The gradient by the input against the slope of the net itself along it, from two points 0.02 apart: float
 * and the third derivative leave 1 %. */
static void check_slope(drl_ctx *ctx, drl_net *net, drl_batch b, const float *dout, const float *dx)
{
    float moved[PIXELS], high[PIXELS], low[PIXELS], step;
    double slope = 0, size = 0;
    const float *x = b.x;
    int i;
    for (i = 0; i < PIXELS; ++i) size += (double)dx[i] * (double)dx[i];
    size = sqrt(size);
    step = 0.01f / (float)size;
    b.x = moved;
    for (i = 0; i < PIXELS; ++i) moved[i] = x[i] + step * dx[i];
    CHECK_OK(ctx, drl_net_forward(net, &b, high));
    for (i = 0; i < PIXELS; ++i) moved[i] = x[i] - step * dx[i];
    CHECK_OK(ctx, drl_net_forward(net, &b, low));
    for (i = 0; i < PIXELS; ++i) slope += (double)dout[i] * ((double)high[i] - (double)low[i]) / 0.02;
    CHECK(fabs(slope - size) < 1e-2 * size, "the slope along the gradient is %g, not %g", slope, size);
}

/* The same bits on every fused set and for any number of threads, in all modes. Its values: see parity.c. */
static void initializer(void)
{
    static const struct { drl_isa isa; int threads, batch; } runs[] = {
        { DRL_ISA_AVX512, 1, 2 },
        { DRL_ISA_PORTABLE, 1, 2 },
        { DRL_ISA_AVX2, 1, 2 },
        { DRL_ISA_FMA128, 1, 2 },
        { DRL_ISA_NEON, 1, 2 },
        { DRL_ISA_AUTO, 2, 2 },
        { DRL_ISA_AUTO, 7, 5 }
    };
    static initializer_run first, other;
    float x[PIXELS], dout[PIXELS], level[2] = { 12.5f, 871 };
    int label[2] = { 2, 0 }, i;
    size_t k;
    test_seed = 4;
    for (i = 0; i < PIXELS; ++i) {
        x[i] = (float)real(-1, 1);
        dout[i] = (float)real(-1, 1);
    }
    for (k = 0; k < sizeof runs / sizeof runs[0]; ++k) {
        drl_ctx *ctx = context(runs[k].isa, runs[k].threads, NULL);
        drl_net *net = NULL;
        drl_net_desc nd;
        drl_model_desc d;
        drl_batch b = drl_batch_of(2, x, level);
        if (!ctx) continue;
        memset(&d, 0, sizeof d);
        d.height = d.width = 8;
        d.channels = 2;
        d.initializer = 12;
        d.initializer_blocks = 2;
        d.classes = 2;
        memset(&nd, 0, sizeof nd);
        nd.batch = runs[k].batch;
        nd.modes = 7;
        b.label = label;
        CHECK_OK(ctx, drl_net_create(ctx, drl__initializer_build, &d, &nd, &net));
        if (net && !first.grads) {
            size_t n = drl_net_params_size(net);
            run_initializer(ctx, net, &b, dout, &first);
            check_slope(ctx, net, b, dout, first.dx);
            first.grads = floats(n);
            memcpy(first.grads, drl_net_grads(net), n * sizeof(float));
        } else if (net) {
            run_initializer(ctx, net, &b, dout, &other);
            CHECK(bits_equal(other.out, first.out, PIXELS) && bits_equal(other.dx, first.dx, PIXELS) &&
                  bits_equal(other.train, first.train, PIXELS) &&
                  bits_equal(other.grads, first.grads, drl_net_params_size(net)),
                  "initializer: other bits with %s and %d threads",
                  drl_isa_name(drl_ctx_isa(ctx)), runs[k].threads);
        }
        drl_net_destroy(net);
        drl_ctx_destroy(ctx);
    }
    free(first.grads);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    test_seed = 1;
    PART(plain_graphs());
    PART(shared_values());
    PART(shapes());
    PART(missing_parts());
    PART(other_layers());
    PART(fused());
    PART(constant_output());
    PART(dropout());
    PART(initializer());
    PART(spectral());
    PART(spectral_one());
    PART(random_graphs(150, 0));
    PART(random_graphs(12, 1));
    PART(gradients_accumulate());
    PART(wrong_batches());
    PART(wrong_order());
    PART(levels_and_labels());
    PART(wrong_builders());
    PART(wrong_descriptions());
    PART(plan_residual());
    PART(plan_drawn());
    PART(plan_copies());
    PART(plan_places());
    PART(memory());
    PART(block_memory());
    PART(init());
    PART(init_seed());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count,
          "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_net");
}
