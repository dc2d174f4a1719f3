/* test_model.c - the model. Its network against plain loops in double, from the weights of a saved file;
 * spectral norms, sizes, files, sampling, scores. The same bits at any batch, number of threads and
 * instruction set; a caller's block; every allocation failing; files that are not what they should be. */
#if defined(__unix__) || defined(__APPLE__)
/* What drl.h does so that a file is on the disk: f, file synchronized; r, renamed; d, directory
 * synchronized. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static char trail[8];
static size_t trail_n;
static struct stat trail_last;      /* what was synchronized last */
static int trail_step(char step)
{
    trail[trail_n] = step;
    trail_n = (trail_n + 1) % (sizeof trail - 1);
    return 1;
}
static int trail_sync(int descriptor)
{
    trail_step(fstat(descriptor, &trail_last) == 0 && S_ISDIR(trail_last.st_mode) ? 'd' : 'f');
    return fsync(descriptor);
}
static int next_descriptor(void)
{
    int d = dup(0);
    close(d);
    return d;
}
#define fsync(descriptor) trail_sync(descriptor)
#define rename(from, to)  (trail_step('r') ? rename(from, to) : -1)
#endif
#include <float.h>
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"

/* Two resolutions of two blocks, all layers present. */
static drl_model_desc tiny(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = 4;
    d.width = 6;
    d.channels = 3;
    d.base = 6;
    d.blocks = 2;
    d.resolutions = 2;
    d.mult[0] = 1;
    d.mult[1] = 2;
    d.levels = 3;
    d.steps = 4;
    d.batch = 4;
    return d;
}

/* One pixel of so many channels, at one resolution. */
static void make_vectors(drl_model_desc *d, int channels)
{
    d->height = d->width = 1;
    d->channels = channels;
    d->resolutions = d->mult[0] = d->mult[1] = 0;
}

/* Random weights everywhere, also where a new model has zeros and ones; those of conv2 times `conv2`. */
static void randomize(drl_model *m, double conv2)
{
    drl_net *net = drl_model_net(m);
    int i;
    size_t k;
    for (i = 0; i < drl_net_param_count(net); ++i) {
        const drl_param *p = drl_net_param(net, i);
        double reach = p->rank == 1 ? 0.5 : 1.5 / sqrt((double)(p->count / (size_t)p->shape[0]));
        if (strstr(p->name, "conv2.weight")) reach *= conv2;
        for (k = 0; k < p->count; ++k) drl_net_params(net)[p->offset + k] = (float)real(-reach, reach);
    }
    drl_net_refresh(net, 300);
}

static drl_model *make(drl_ctx *ctx, const drl_model_desc *d, uint64_t seed)
{
    drl_model *m = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, d, seed, &m));
    if (!m) exit(check_report("test_model"));
    return m;
}

static unsigned char *saved(drl_ctx *ctx, drl_model *m, size_t *size)
{
    unsigned char *bytes;
    size_t written = 0;
    *size = 0;
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, size));
    bytes = (unsigned char *)malloc(*size + 16);
    if (!bytes) exit(3);
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, bytes, *size, &written));
    CHECK(written == *size, "%d bytes announced, %d written", (int)*size, (int)written);
    return bytes;
}

/* -- the network in double, from the weights of a saved file -- */

typedef struct weights { drl_ctx *ctx; drl_safetensors *st; } weights;

/* What is called name.suffix in the file. */
static double *tensor(const weights *w, const char *name, const char *suffix, size_t count)
{
    char full[96];
    const drl_array *a;
    float *f = floats(count);
    double *d = doubles(count);
    size_t i;
    snprintf(full, sizeof full, "%s%s", name, suffix);
    a = drl_safetensors_find(w->st, full);
    CHECK(a && drl_array_count(a) == count && drl_array_to_float(w->ctx, a, f) == DRL_OK,
          "no %s of %d floats", full, (int)count);
    for (i = 0; i < count; ++i) d[i] = (double)f[i];
    free(f);
    return d;
}

/* The weights of a layer: as they are, or over u' W v where files keep the norm apart. */
static double *layer_weights(const weights *w, const char *name, int rows, int cols)
{
    char full[96];
    double *weight, *u, *v, sigma = 0;
    int i, j;
    snprintf(full, sizeof full, "%s.weight_orig", name);
    if (!drl_safetensors_find(w->st, full)) return tensor(w, name, ".weight", (size_t)(rows * cols));
    weight = tensor(w, name, ".weight_orig", (size_t)(rows * cols));
    u = tensor(w, name, ".weight_u", (size_t)rows);
    v = tensor(w, name, ".weight_v", (size_t)cols);
    for (i = 0; i < rows; ++i)
        for (j = 0; j < cols; ++j) sigma += u[i] * weight[i * cols + j] * v[j];
    for (i = 0; i < rows * cols; ++i) weight[i] /= sigma;
    free(u);
    free(v);
    return weight;
}

/* A convolution with bias and zeros around the image, of kernel 3 or, as a dense layer, 1. x [h * wd * in],
 * weights [out * in * kernel * kernel], result [h * wd * out]. */
static double *layer(const weights *w, const char *name, const double *x, int h, int wd, int in, int out,
                     int kernel)
{
    double *weight = layer_weights(w, name, out, in * kernel * kernel);
    double *bias = tensor(w, name, ".bias", (size_t)out), *y = doubles((size_t)(h * wd * out));
    int i, j, k, c, r, s;
    for (i = 0; i < h; ++i)
        for (j = 0; j < wd; ++j)
            for (k = 0; k < out; ++k) {
                double sum = bias[k];
                for (c = 0; c < in; ++c)
                    for (r = 0; r < kernel; ++r)
                        for (s = 0; s < kernel; ++s) {
                            int row = i + r - kernel / 2, col = j + s - kernel / 2;
                            int at = ((k * in + c) * kernel + r) * kernel + s;
                            if (row < 0 || row >= h || col < 0 || col >= wd) continue;
                            sum += weight[at] * x[(row * wd + col) * in + c];
                        }
                y[(i * wd + j) * out + k] = sum;
            }
    free(weight);
    free(bias);
    return y;
}

static void leaky(double *x, size_t n, double slope)
{
    for (; n--; ++x) if (*x < 0) *x *= slope;
}

/* The embedding of level value t and label, through its dense layers: [4 * base]. */
static double *embedding_in_double(const weights *w, const drl_model_desc *d, double t, int label)
{
    int half = d->base / 2, wide = 4 * d->base, k;
    double *waves = doubles((size_t)d->base), *a, *e;
    for (k = 0; k < half; ++k) {
        double turn = t * exp(-k * log(10000.0) / (half - 1));
        waves[k] = sin(turn);
        waves[half + k] = cos(turn);
    }
    a = layer(w, "energy.temb_map1", waves, 1, 1, d->base, wide, 1);
    leaky(a, (size_t)wide, 0.2);
    e = layer(w, "energy.temb_map2", a, 1, 1, wide, wide, 1);
    free(waves);
    free(a);
    if (d->classes) {
        double *one_hot = doubles((size_t)d->classes + 1);
        one_hot[label] = 1;
        a = layer(w, "energy.y_map", one_hot, 1, 1, d->classes + 1, wide, 1);
        for (k = 0; k < wide; ++k) e[k] += a[k];
        free(one_hot);
        free(a);
    }
    leaky(e, (size_t)wide, 0.2);
    return e;
}

/* A residual block: g * conv2(act(conv1(act(x)) + map of the embedding)) + x or its projection. Frees x. */
static double *block_in_double(const weights *w, const drl_model_desc *d, const char *name, double *x,
                               const double *e, int h, int wd, int in, int out)
{
    int kernel = d->height * d->width == 1 ? 1 : 3;
    size_t n, size = (size_t)(h * wd * in);
    double *a = doubles(size), *y, *map, *gain, *skip = x;
    char part[80];
    memcpy(a, x, size * sizeof *a);
    leaky(a, size, 0.2);
    snprintf(part, sizeof part, "%s.conv1", name);
    y = layer(w, part, a, h, wd, in, out, kernel);
    free(a);
    snprintf(part, sizeof part, "%s.temb_map", name);
    map = layer(w, part, e, 1, 1, 4 * d->base, out, 1);
    if (d->form == DRL_FORM_CDRL) leaky(map, (size_t)out, 0.2);
    size = (size_t)(h * wd * out);
    for (n = 0; n < size; ++n) y[n] += map[n % (size_t)out];
    leaky(y, size, 0.2);
    snprintf(part, sizeof part, "%s.conv2", name);
    a = layer(w, part, y, h, wd, out, out, kernel);
    gain = tensor(w, name, ".g", (size_t)out);
    snprintf(part, sizeof part, "%s.short_cut", name);
    if (out != in) skip = layer(w, part, x, h, wd, in, out, kernel);
    for (n = 0; n < size; ++n) a[n] = a[n] * gain[n % (size_t)out] + skip[n];
    if (skip != x) free(skip);
    free(x);
    free(y);
    free(map);
    free(gain);
    return a;
}

/* Means of 2 x 2 pixels. Frees x. */
static double *pool_in_double(double *x, int h, int wd, int c)
{
    double *y = doubles((size_t)(h / 2 * wd / 2 * c));
    int r, s, k;
    for (r = 0; r < h; ++r)
        for (s = 0; s < wd; ++s)
            for (k = 0; k < c; ++k) y[(r / 2 * (wd / 2) + s / 2) * c + k] += 0.25 * x[(r * wd + s) * c + k];
    free(x);
    return y;
}

/* What the positive part of each last channel counts: a map of the embedding, in CDRL without bias. */
static double *head_in_double(const weights *w, const drl_model_desc *d, const double *e, int c)
{
    int wide = 4 * d->base, i, j;
    double *p, *weight;
    if (d->form != DRL_FORM_CDRL) return layer(w, "energy.temb_final", e, 1, 1, wide, c, 1);
    CHECK(!drl_safetensors_find(w->st, "energy.temb_final.bias"), "a head with bias");
    weight = tensor(w, "energy.temb_final", ".weight", (size_t)(c * wide));
    p = doubles((size_t)c);
    for (i = 0; i < c; ++i)
        for (j = 0; j < wide; ++j) p[i] += weight[i * wide + j] * e[j];
    free(weight);
    return p;
}

/* f(x, t): input layer, residual blocks, pooling, head. */
static double energy_in_double(const weights *w, const drl_model_desc *d, const float *x, double t, int label)
{
    int cdrl = d->form == DRL_FORM_CDRL, kernel = d->height * d->width == 1 ? 1 : 3;
    int h = d->height, wd = d->width, c = d->base, i, j;
    double *e = embedding_in_double(w, d, t, label), *v, *u, f = 0;
    char name[64];
    size_t n, size = (size_t)(h * wd * d->channels);
    u = doubles(size);
    for (n = 0; n < size; ++n) u[n] = (double)x[n];
    v = layer(w, cdrl ? "energy.module_list.0" : "energy.conv_in", u, h, wd, d->channels, c, kernel);
    free(u);
    for (i = 0; i < d->resolutions; ++i) {
        int out = d->base * d->mult[i];
        for (j = 0; j < d->blocks; ++j) {
            if (cdrl) snprintf(name, sizeof name, "energy.module_list.%d", 1 + i * (d->blocks + 1) + j);
            else snprintf(name, sizeof name, "energy.level%d.block%d", i, j);
            v = block_in_double(w, d, name, v, e, h, wd, c, out);
            c = out;
        }
        if (i + 1 < d->resolutions) {
            v = pool_in_double(v, h, wd, c);
            h /= 2;
            wd /= 2;
        }
    }
    u = head_in_double(w, d, e, c);
    for (n = 0; n < (size_t)(h * wd * c); ++n) if (v[n] > 0) f += v[n] * u[n % (size_t)c];
    free(u);
    free(v);
    free(e);
    return f;
}

/* -- the network against it -- */

/* Cases of network(): forms, with and without spectral norms, images and vectors. */
enum { PLAIN, PLAIN_NO_NORM, PLAIN_VECTORS, ONE_PIXEL_LEFT, CDRL, CDRL_NO_NORM, CDRL_VECTORS, NETWORK_CASES };
enum { AT_ONCE = 7 };               /* images, more than a batch */
static const int image_labels[AT_ONCE] = { 1, 0, 2, 2, 1, 0, 1 };

typedef struct network_case {
    int which;
    drl_ctx *ctx;
    drl_model_desc d;
    drl_model *m;
    drl_net *net;
    weights w;                      /* of the file that the model was saved to */
    unsigned char *file;
    size_t n;                       /* floats of an image */
    float *x, level[AT_ONCE];        /* images, level values */
    int t[AT_ONCE];
    float f[AT_ONCE], *df;           /* of drl__model_f */
    float F[AT_ONCE], *dF;           /* of drl_model_energy */
} network_case;

static void network_begin(network_case *c, int which)
{
    static const int params[NETWORK_CASES] = { 38, 38, 22, 38, 39, 39, 21 };
    drl_model_desc d = tiny();
    size_t size, k;
    int i;
    memset(c, 0, sizeof *c);
    c->which = which;
    c->ctx = context(DRL_ISA_AUTO, 1, NULL);
    if (which == PLAIN_NO_NORM || which == CDRL_NO_NORM) d.no_spectral = 1;
    if (which == PLAIN_VECTORS || which == CDRL_VECTORS) make_vectors(&d, 2);
    if (which == ONE_PIXEL_LEFT) {
        d.height = d.width = 8;
        d.channels = d.blocks = 1;
        d.resolutions = d.mult[0] = d.mult[1] = 0;
    }
    if (which >= CDRL) {
        d.form = DRL_FORM_CDRL;
        d.initializer = -1;
    }
    if (which == CDRL) d.classes = 2;
    if (which == CDRL_NO_NORM) d.classes = 3;
    c->m = make(c->ctx, &d, 1);
    c->net = drl_model_net(c->m);
    drl_model_describe(c->m, &c->d);
    randomize(c->m, which == PLAIN ? 0.2 : 1.0);        /* spectral norms of conv2 below 1, and above */
    CHECK(drl_net_param_count(c->net) == params[which], "case %d: %d parameters",
          which, drl_net_param_count(c->net));
    c->n = (size_t)(c->d.height * c->d.width * c->d.channels);
    c->x = floats(AT_ONCE * c->n);
    c->df = floats(AT_ONCE * c->n);
    c->dF = floats(AT_ONCE * c->n);
    for (k = 0; k < AT_ONCE * c->n; ++k) c->x[k] = (float)real(-1.5, 1.5);
    for (i = 0; i < AT_ONCE; ++i) {
        c->t[i] = i % c->d.levels;
        c->level[i] = (float)c->t[i];
        if (which >= CDRL) c->level[i] = drl__schedule_level(drl_model_schedule(c->m), c->t[i]);
    }
    c->file = saved(c->ctx, c->m, &size);
    c->w.ctx = c->ctx;
    CHECK_OK(c->ctx, drl_safetensors_open_memory(c->ctx, c->file, size, &c->w.st));
}

static void network_end(network_case *c)
{
    drl_safetensors_close(c->w.st);
    free(c->file);
    free(c->x);
    free(c->df);
    free(c->dF);
    drl_model_destroy(c->m);
    drl_ctx_destroy(c->ctx);
}

/* A tensor in the file of plain DRL: weights over their spectral norm, which another method finds to 1 %.
 * Those of conv2 are left alone where the norm is below 1, and so is all that is no weight. */
static void expect_plain_tensor(const network_case *c, const drl_param *p, const float *before,
                                const float *after)
{
    int is_conv = strstr(p->name, "conv") || strstr(p->name, "short_cut");
    size_t j;
    if (p->rank > 1)
        CHECK(p->rank == (is_conv && c->which != PLAIN_VECTORS ? 4 : 2),
              "case %d: %s has %d axes: convolutions of images are [out, in, 3, 3] in files",
              c->which, p->name, p->rank);
    if (p->rank > 1 && !c->d.no_spectral && strcmp(p->name, "energy.temb_final.weight")) {
        double sigma = singular(before, p->shape[0], (int)(p->count / (size_t)p->shape[0]));
        double scale = strstr(p->name, "conv2") && sigma < 1 ? 1.0 : 1 / sigma;
        for (j = 0; j < p->count; ++j) {
            double want = scale * (double)before[j];
            if (fabs((double)after[j] - want) > 0.01 * fabs(want)) break;
        }
        CHECK(j == p->count, "case %d: %s is not scaled by %g: its spectral norm is %g",
              c->which, p->name, scale, sigma);
    } else
        CHECK(!memcmp(before, after, p->count * sizeof(float)), "case %d: %s has changed in the file",
              c->which, p->name);
}

/* A tensor in the file of CDRL: as PyTorch holds it, the norm apart. */
static void expect_cdrl_tensor(const network_case *c, const drl_param *p, const float *before,
                               const float *after)
{
    size_t length = strlen(p->name);
    int normed = length > 12 && !strcmp(p->name + length - 12, ".weight_orig");
    int is_gain = !strcmp(p->name + length - 2, ".g"), is_bias = strstr(p->name, "bias") != NULL;
    int is_conv = strstr(p->name, "conv") || strstr(p->name, "short_cut") || strstr(p->name, "list.0");
    int is_head = !strcmp(p->name, "energy.temb_final.weight");
    int axes = is_gain ? 4 : is_bias ? 1 : is_conv && c->which != CDRL_VECTORS ? 4 : 2;
    int with_norm = p->rank > 1 && !is_gain && !is_head && !c->d.no_spectral;
    CHECK(!memcmp(before, after, p->count * sizeof(float)), "case %d: %s has changed in the file",
          c->which, p->name);
    CHECK(p->rank == axes && (!is_gain || p->shape[1] == (int)p->count), "case %d: %s has %d axes",
          c->which, p->name, p->rank);
    CHECK(normed == with_norm, "case %d: %s", c->which, p->name);
}

/* Each parameter is in the file under its name, where the norm is apart with u and v, and nothing else is. */
static void expect_tensors(const network_case *c)
{
    int i, count = 0;
    for (i = 0; i < drl_net_param_count(c->net); ++i) {
        const drl_param *p = drl_net_param(c->net, i);
        const drl_array *a = drl_safetensors_find(c->w.st, p->name);
        const float *before = drl_net_params(c->net) + p->offset;
        float *after = floats(p->count);
        CHECK(a && drl_array_to_float(c->ctx, a, after) == DRL_OK, "%s is not in the file", p->name);
        if (c->which >= CDRL) expect_cdrl_tensor(c, p, before, after);
        else expect_plain_tensor(c, p, before, after);
        free(after);
        count += strstr(p->name, "_orig") ? 3 : 1;
    }
    CHECK(drl_safetensors_contents(c->w.st)->count == (size_t)count, "%d tensors in the file",
          (int)drl_safetensors_contents(c->w.st)->count);
}

/* f and df/dx, together and each alone; F = f / step^2 of the model's energy in batches of 4 and 3. */
static void network_eval(network_case *c)
{
    float f[AT_ONCE], *df = floats(AT_ONCE * c->n);
    drl_energy e = drl_model_energy(c->m);
    const float *x = c->x + 4 * c->n;
    CHECK_OK(c->ctx, drl__model_f(c->m, AT_ONCE, c->x, c->level, image_labels, c->f, c->df));
    CHECK_OK(c->ctx, drl__model_f(c->m, AT_ONCE, c->x, c->level, image_labels, f, NULL));
    CHECK(!memcmp(c->f, f, sizeof f), "f alone differs");
    CHECK_OK(c->ctx, drl__model_f(c->m, AT_ONCE, c->x, c->level, image_labels, NULL, df));
    CHECK(!memcmp(c->df, df, AT_ONCE * c->n * sizeof *df), "the gradient alone differs");
    CHECK(e.size == c->n && e.batch == c->d.batch, "energy of size %d, batch %d", (int)e.size, e.batch);
    CHECK_OK(c->ctx, e.eval(e.user, 4, c->x, c->t, image_labels, c->F, c->dF));
    CHECK_OK(c->ctx, e.eval(e.user, 3, x, c->t + 4, image_labels + 4, c->F + 4, c->dF + 4 * c->n));
    free(df);
}

/* Energies against the network in double: sums of some hundred products of floats, through a few layers. */
static void expect_energies(const network_case *c)
{
    int i;
    size_t j;
    for (i = 0; i < AT_ONCE; ++i) {
        const float *x = c->x + (size_t)i * c->n;
        const float *df = c->df + (size_t)i * c->n, *dF = c->dF + (size_t)i * c->n;
        double want = energy_in_double(&c->w, &c->d, x, (double)c->level[i], image_labels[i]);
        double step = drl_schedule_step(drl_model_schedule(c->m), c->t[i]), step2 = step * step;
        double worst = 0, most = 0;
        CHECK(fabs((double)c->f[i] - want) <= 2e-5 * (1 + fabs(want)), "case %d: f is %g, should be %g",
              c->which, (double)c->f[i], want);
        CHECK(fabs((double)c->F[i] - want / step2) <= 3e-5 * (1 + fabs(want)) / step2,
              "case %d: F is %g, should be %g", c->which, (double)c->F[i], want / step2);
        for (j = 0; j < c->n; ++j) {
            double g = (double)df[j] / step2;
            worst = fmax(worst, fabs((double)dF[j] - g));
            most = fmax(most, fabs(g));
        }
        CHECK(worst <= 1e-5 * most, "case %d: dF/dy is not df/dy / step^2", c->which);
    }
}

/* The gradient, at five places of the first image, against differences of the network in double. Where a
 * leaky ReLU's kink lies between the two points they are off: 2 % are allowed, and 0.001. */
static void expect_gradient(network_case *c)
{
    int round;
    for (round = 0; round < 5; ++round) {
        size_t at = (size_t)real(0, (double)c->n * 0.999);
        float was = c->x[at];
        double up, down, h, got = (double)c->df[at];
        c->x[at] = was + 1e-3f;
        h = (double)c->x[at];
        up = energy_in_double(&c->w, &c->d, c->x, (double)c->level[0], image_labels[0]);
        c->x[at] = was - 1e-3f;
        h -= (double)c->x[at];
        down = energy_in_double(&c->w, &c->d, c->x, (double)c->level[0], image_labels[0]);
        c->x[at] = was;
        CHECK(fabs((up - down) / h - got) <= 0.02 * (fabs(got) + 0.05),
              "case %d: df/dx is %g, by differences %g", c->which, got, (up - down) / h);
    }
}

/* No label is class 0. A label beyond the classes is refused before any image is looked at. */
static void expect_labels(network_case *c)
{
    static const int zeros[2] = { 0, 0 };
    drl_energy e = drl_model_energy(c->m);
    int beyond[AT_ONCE] = { 0 };
    float f[AT_ONCE];
    CHECK_OK(c->ctx, drl__model_f(c->m, 2, c->x, c->level, NULL, c->f, NULL));
    CHECK_OK(c->ctx, drl__model_f(c->m, 2, c->x, c->level, zeros, f, NULL));
    CHECK(!memcmp(c->f, f, 2 * sizeof *f), "no labels and labels 0 differ");
    beyond[6] = c->d.classes + 1;                       /* in the second batch */
    f[0] = 4711;
    REFUSED(c->ctx, drl__model_f(c->m, AT_ONCE, c->x, c->level, beyond, f, NULL), DRL_E_ARGUMENT);
    CHECK(f[0] == 4711, "the first batch of points was done before the label of the second was seen");
    beyond[1] = beyond[6];
    REFUSED(c->ctx, drl__model_f(c->m, 2, c->x, c->level, beyond, f, NULL), DRL_E_ARGUMENT);
    REFUSED(c->ctx, e.eval(e.user, 2, c->x, c->t, beyond, f, NULL), DRL_E_ARGUMENT);
}

static void expect_refusals(network_case *c)
{
    drl_energy e = drl_model_energy(c->m);
    float f[1];
    c->t[0] = c->d.levels;
    REFUSED(c->ctx, e.eval(e.user, 1, c->x, c->t, NULL, f, NULL), DRL_E_ARGUMENT);
    c->t[0] = -1;
    REFUSED(c->ctx, e.eval(e.user, 1, c->x, c->t, NULL, f, NULL), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl__model_f(c->m, 0, c->x, c->level, NULL, f, NULL), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl__model_f(c->m, 1, NULL, c->level, NULL, f, NULL), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl__model_f(c->m, 1, c->x, NULL, NULL, f, NULL), DRL_E_ARGUMENT);
}

static void network(int which)
{
    network_case c;
    long failed = check_failed;
    network_begin(&c, which);
    expect_tensors(&c);
    network_eval(&c);
    if (check_failed == failed) {
        expect_energies(&c);
        expect_gradient(&c);
    }
    if (c.d.classes) expect_labels(&c);
    expect_refusals(&c);
    network_end(&c);
}

/* -- descriptions -- */

/* Description and schedule of a model that was made by `d`. */
static drl_model_desc described(drl_ctx *ctx, const drl_model_desc *d, drl_model **m)
{
    drl_model_desc got;
    *m = make(ctx, d, 0);
    memset(&got, 0, sizeof got);
    CHECK_OK(ctx, drl_model_describe(*m, &got));
    return got;
}

static void defaults(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model *m;
    const drl_schedule *s;
    drl_model_desc d, got;
    memset(&d, 0, sizeof d);
    d.batch = 1;
    got = described(ctx, &d, &m);
    s = drl_model_schedule(m);
    CHECK(got.height == 32 && got.width == 32 && got.channels == 1, "default images");
    CHECK(got.base == 32 && got.blocks == 1 && got.resolutions == 4, "default sizes of the network");
    CHECK(got.mult[0] == 1 && got.mult[1] == 2 && got.mult[2] == 2 && got.mult[3] == 2,
          "default multipliers");
    CHECK(got.levels == 6 && got.steps == 30 && got.b2 == 2e-4 && got.noise_scale == 0.99f, "default chains");
    CHECK(!got.no_spectral && got.batch == 1 && !got.trainable, "other defaults");
    CHECK(s->levels == 6 && s->b2 == 2e-4, "schedule");
    CHECK(drl_net_grads(drl_model_net(m)) == NULL, "gradients without `trainable`");
    drl_model_destroy(m);

    d.schedule = DRL_SCHEDULE_T1K;
    got = described(ctx, &d, &m);
    s = drl_model_schedule(m);
    CHECK(got.levels == 1000 && got.steps == -1 && got.b2 == 0.1 && got.noise_scale == 1,
          "defaults of T1k: %d levels, %d steps, b2 %g", got.levels, got.steps, got.b2);
    CHECK(s->levels == 1000 && s->rule == DRL_STEP_DIFFUSION, "schedule of T1k: %d levels, rule %d",
          s->levels, (int)s->rule);
    drl_model_destroy(m);

    d.schedule = DRL_SCHEDULE_FORM;
    d.form = DRL_FORM_CDRL;
    d.initializer = -7;
    got = described(ctx, &d, &m);
    s = drl_model_schedule(m);
    CHECK(got.steps == 15 && got.b2 == 4e-4 && got.noise_scale == 1, "default chains of CDRL");
    CHECK(got.initializer == -1 && !got.initializer_blocks && !got.classes, "default networks of CDRL");
    CHECK(s->logsnr && s->b2 == 4e-4 && !drl_model_initializer(m), "schedule of CDRL");
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Resolutions by the side of square images. Sides of 2 and 4 cannot be halved three times. */
static void default_resolutions(void)
{
    static const struct { int side, resolutions; } cases[] = {
        { 1, 1 }, { 2, 0 }, { 4, 0 }, { 8, 4 }, { 16, 4 }, { 32, 4 }, { 64, 5 }, { 128, 6 } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    int i;
    for (i = 0; i < (int)DRL__COUNT(cases); ++i) {
        int side = cases[i].side;
        drl_model *m = NULL;
        drl_model_desc d, got;
        memset(&d, 0, sizeof d);
        d.height = side;
        d.base = 4;
        d.batch = 1;
        d.b2 = 1e-3;
        d.noise_scale = 0.5f;
        if (!cases[i].resolutions) {
            REFUSED(ctx, drl_model_create(ctx, &d, 0, &m), DRL_E_SHAPE);
            continue;
        }
        got = described(ctx, &d, &m);
        CHECK(got.resolutions == cases[i].resolutions && got.width == side, "side %d: %d resolutions",
              side, got.resolutions);
        CHECK(got.b2 == 1e-3 && got.noise_scale == 0.5f && drl_model_schedule(m)->b2 == 1e-3,
              "side %d: b2 %g, noise %g", side, got.b2, (double)got.noise_scale);
        CHECK(got.resolutions < 5 || got.mult[4] == 4, "side %d: multiplier %d", side, got.mult[4]);
        drl_model_destroy(m);
    }
    drl_ctx_destroy(ctx);
}

#define BAD(assign, want)                                                                       \
    do {                                                                                        \
        size_t bytes = 5;                                                                       \
        d = tiny();                                                                             \
        assign;                                                                                 \
        REFUSED(ctx, drl_model_create(ctx, &d, 0, &m), want);                                   \
        REFUSED(ctx, drl_model_size(ctx, &d, &bytes), want);                                    \
        CHECK(!m && bytes == 5, "a refused model or size was written");                         \
    } while (0)

/* CDRL without an initializer. */
static void cdrl(drl_model_desc *d)
{
    d->form = DRL_FORM_CDRL;
    d->initializer = -1;
}

static void descriptions(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model *m = NULL;
    drl_model_desc d;
    BAD(d.height = -1, DRL_E_ARGUMENT);
    BAD(d.width = -4, DRL_E_ARGUMENT);
    BAD(d.channels = -1, DRL_E_ARGUMENT);
    BAD(d.base = 5, DRL_E_ARGUMENT);
    BAD(d.base = 2, DRL_E_ARGUMENT);
    BAD(d.blocks = -1, DRL_E_ARGUMENT);
    BAD(d.resolutions = 9, DRL_E_ARGUMENT);
    BAD(d.resolutions = -1, DRL_E_ARGUMENT);
    BAD(d.mult[1] = -2, DRL_E_ARGUMENT);
    BAD(d.mult[1] = 1000, DRL_E_ARGUMENT);
    BAD(d.levels = 1, DRL_E_ARGUMENT);
    BAD(d.levels = 501, DRL_E_ARGUMENT);
    BAD(d.steps = 65536, DRL_E_ARGUMENT);
    BAD((d.schedule = DRL_SCHEDULE_T1K, d.levels = 1001), DRL_E_ARGUMENT);
    BAD(d.b2 = -1, DRL_E_ARGUMENT);
    BAD(d.noise_scale = -1, DRL_E_ARGUMENT);
    BAD(d.batch = -1, DRL_E_ARGUMENT);
    BAD(d.height = 5, DRL_E_SHAPE);
    BAD(d.width = 7, DRL_E_SHAPE);
    BAD(d.resolutions = 4, DRL_E_SHAPE);
    BAD(d.classes = 1, DRL_E_ARGUMENT);
    BAD(d.initializer = 8, DRL_E_ARGUMENT);
    BAD(d.form = (drl_form)2, DRL_E_ARGUMENT);
    BAD((cdrl(&d), d.classes = -1), DRL_E_ARGUMENT);
    BAD((cdrl(&d), d.initializer = 7), DRL_E_ARGUMENT);
    BAD((cdrl(&d), d.initializer = 0, d.initializer_blocks = -1), DRL_E_ARGUMENT);
    BAD(d.form = DRL_FORM_CDRL, DRL_E_SHAPE);           /* an initializer is not for 4 x 6, or 1 x 4 pixels */
    BAD((d.form = DRL_FORM_CDRL, d.height = 1, d.width = 4, d.resolutions = 1), DRL_E_SHAPE);
    BAD(d.schedule = (drl_schedule_kind)6, DRL_E_ARGUMENT);
    BAD(d.schedule = (drl_schedule_kind)-1, DRL_E_ARGUMENT);
    BAD(d.initializer_form = (drl_initializer_form)3, DRL_E_ARGUMENT);
    BAD(d.initializer_form = (drl_initializer_form)-1, DRL_E_ARGUMENT);
    BAD(d.norm_channels = -1, DRL_E_ARGUMENT);
    BAD(d.norm_channels = 65537, DRL_E_ARGUMENT);
    BAD(d.energy_form = (drl_energy_form)3, DRL_E_ARGUMENT);
    BAD(d.energy_form = (drl_energy_form)-1, DRL_E_ARGUMENT);
    BAD(d.energy_form = DRL_ENERGY_UNET, DRL_E_ARGUMENT);       /* plain DRL has none */
    BAD((cdrl(&d), d.energy_form = DRL_ENERGY_UNET, d.height = d.width = 8, d.blocks = 65), DRL_E_ARGUMENT);
    BAD((cdrl(&d), d.energy_form = DRL_ENERGY_UNET), DRL_E_SHAPE);      /* 4 x 6 cannot be halved twice */
    d = tiny();
    REFUSED(ctx, drl_model_create(ctx, &d, 0, NULL), DRL_E_ARGUMENT);
    CHECK(drl_model_create(NULL, &d, 0, &m) == DRL_E_ARGUMENT && !m, "no context");
    CHECK(drl_model_describe(NULL, &d) == DRL_E_ARGUMENT, "no model");
    CHECK(!drl_model_net(NULL) && !drl_model_schedule(NULL), "no model");
    drl_model_destroy(NULL);
    drl_ctx_destroy(ctx);
}

/* The field, its value and its bounds. */
#define SAYS(assign, sentence)                                                                  \
    do {                                                                                        \
        d = tiny();                                                                             \
        assign;                                                                                 \
        drl_ctx_clear(ctx);                                                                     \
        drl_model_create(ctx, &d, 0, &m);                                                       \
        CHECK(!strcmp(drl_ctx_message(ctx), sentence), "it says: %s", drl_ctx_message(ctx));    \
    } while (0)

static void sentences(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model *m = NULL;
    drl_model_desc d;
    SAYS(d.base = 7, "model: base is 7; 4 to 65536 are possible, and even");
    SAYS(d.base = -2, "model: base is -2; 4 to 65536 are possible, and even");
    SAYS(d.blocks = 4097, "model: blocks is 4097; 1 to 4096 are possible");
    SAYS(d.b2 = -1, "model: b2 is -1; it has to be above 0 and below 1e30");
    SAYS(d.levels = 501, "model: levels is 501; up to 500 are possible, and 1000 with DRL_SCHEDULE_T1K");
    SAYS(d.steps = 65536, "model: steps is 65536; 1 to 65535 are possible, or less than 0 for none");
    SAYS(d.mult[1] = 65, "model: mult[1] is 65; 1 to 64 are possible");
    SAYS(d.initializer = 8, "model: initializer is 8, and plain DRL has none");
    SAYS(d.batch = -1, "model: batch is -1; 1 to 2147483647 are possible");
    drl_ctx_clear(ctx);
    drl_ctx_destroy(ctx);
}

/* The largest of each number of a description is taken, one more is not. */
#define LIMIT(change, status)                                                                   \
    do {                                                                                        \
        d = tiny();                                                                             \
        change;                                                                                 \
        drl_ctx_clear(ctx);                                                                     \
        CHECK(drl__model_resolve(ctx, &d, &full) == (status), "%s: '%s'",                       \
              #change, drl_ctx_message(ctx));                                                   \
    } while (0)

/* CDRL with an initializer, of images for which it is made. */
static void cdrl_images(drl_model_desc *d)
{
    d->form = DRL_FORM_CDRL;
    d->height = d->width = 8;
}

static void limits(void)
{
    enum { MOST = DRL_RESOLUTIONS_MAX };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d, full;
    LIMIT(d.height = 65536, DRL_OK);
    LIMIT(d.height = 65538, DRL_E_ARGUMENT);
    LIMIT(d.width = 65536, DRL_OK);
    LIMIT(d.width = 65538, DRL_E_ARGUMENT);
    LIMIT(d.channels = 65536, DRL_OK);
    LIMIT(d.channels = 65537, DRL_E_ARGUMENT);
    LIMIT(d.base = 4, DRL_OK);
    LIMIT(d.base = 65536, DRL_OK);
    LIMIT(d.base = 65538, DRL_E_ARGUMENT);
    LIMIT(d.blocks = 4096, DRL_OK);
    LIMIT(d.blocks = 4097, DRL_E_ARGUMENT);
    LIMIT((d.height = d.width = 1 << (MOST - 1), d.resolutions = MOST), DRL_OK);
    LIMIT((d.height = d.width = 1 << MOST, d.resolutions = MOST + 1), DRL_E_ARGUMENT);
    LIMIT(d.mult[1] = 64, DRL_OK);
    LIMIT(d.mult[1] = 65, DRL_E_ARGUMENT);
    LIMIT(d.levels = 2, DRL_OK);
    LIMIT(d.levels = 500, DRL_OK);
    LIMIT((d.schedule = DRL_SCHEDULE_T1K, d.levels = 1000), DRL_OK);
    LIMIT(d.steps = 65535, DRL_OK);
    LIMIT((cdrl_images(&d), d.initializer = 4), DRL_OK);
    LIMIT((cdrl_images(&d), d.initializer = 2), DRL_E_ARGUMENT);
    LIMIT((cdrl_images(&d), d.initializer = 65536), DRL_OK);
    LIMIT((cdrl_images(&d), d.initializer = 65538), DRL_E_ARGUMENT);
    LIMIT((cdrl_images(&d), d.initializer_blocks = 64), DRL_OK);
    LIMIT((cdrl_images(&d), d.initializer_blocks = 65), DRL_E_ARGUMENT);
    LIMIT((cdrl_images(&d), d.classes = 65535), DRL_OK);
    LIMIT((cdrl_images(&d), d.classes = 65536), DRL_E_ARGUMENT);
    LIMIT((cdrl_images(&d), d.width = 6), DRL_E_SHAPE);
    LIMIT((cdrl_images(&d), d.height = 6), DRL_E_SHAPE);
    drl_ctx_destroy(ctx);
}

/* -- sampling -- */

#define SAMPLES 6
#define IMAGE   (4 * 6 * 3)

/* Samples of one description; 0 where the machine lacks the instruction set. */
typedef int (*sample_fn)(drl_isa isa, int threads, int batch, float *out);

/* Samples have the same bits on every instruction set, at any batch and number of threads. Unfused sets,
 * whose multiply-add rounds twice, differ by what rounding becomes in a chain. */
static void expect_same_samples(sample_fn sample, size_t n)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 2, 3, 4, 7 }, batches[] = { 1, 2, 5, 6, 8, 32 };
    float *want = floats(n), *got = floats(n);
    int i;
    CHECK(sample(DRL_ISA_PORTABLE, 1, 4, want), "portable code is always there");
    for (i = 0; i < (int)DRL__COUNT(exact); ++i)
        if (sample(exact[i], 1 + i % 2, 4, got))
            CHECK(!memcmp(want, got, n * sizeof *want), "%s gives other bits", drl_isa_name(exact[i]));
    for (i = 0; i < (int)DRL__COUNT(batches); ++i)
        if (sample(DRL_ISA_AUTO, 1, batches[i], got))
            CHECK(!memcmp(want, got, n * sizeof *want), "batch %d gives other bits", batches[i]);
    jobs_nested = 0;
    for (i = 0; i < (int)DRL__COUNT(threads); ++i)
        if (sample(DRL_ISA_AUTO, threads[i], 4, got))
            CHECK(!memcmp(want, got, n * sizeof *want), "%d threads give other bits", threads[i]);
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    if (sample(DRL_ISA_SSE2, 1, 4, got)) {
        double error = check_rel_floats(got, want, n);
        CHECK(error < 1e-3, "sse2 differs by %g", error);
    }
    free(want);
    free(got);
}

static int sample_plain(drl_isa isa, int threads, int batch, float *out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_model_desc d = tiny();
    drl_model *m;
    drl_sample_desc how;
    if (!ctx) return 0;
    test_seed = 99;
    d.batch = batch;
    m = make(ctx, &d, 1);
    randomize(m, 1);
    memset(&how, 0, sizeof how);
    how.count = SAMPLES;
    how.seed = 4;
    CHECK_OK(ctx, drl_sample(m, &how, out));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 1;
}

static void same_bits(void) { expect_same_samples(sample_plain, SAMPLES * IMAGE); }

/* The sampler in slices gives drl_sample's bits. */
static void expect_slices(drl_ctx *ctx, drl_model *m, const drl_sample_desc *how, const float *want)
{
    drl_sampler *s = NULL;
    float got[SAMPLES * IMAGE];
    int i;
    CHECK_OK(ctx, drl_sampler_create(m, how, &s));
    while (drl_sampler_run(s, 3) == DRL_RUNNING) {}
    for (i = 0; i < SAMPLES; ++i) drl_sampler_image(s, i, got + i * IMAGE);
    drl_sampler_destroy(s);
    CHECK(!memcmp(want, got, sizeof got), "the sampler in slices gives other bits");
}

/* b2: of drl_sample_desc, as a multiple of the schedule's; 0 is left at 0 */
typedef struct by_hand_case { int steps; double b2; float noise; int fine; } by_hand_case;

/* A loop over drl__langevin, level by level. Images 3, 4, ... of the seed: the first draw is x_T, the others
 * are the noise of the steps. */
static void sample_by_hand(drl_ctx *ctx, drl_model *m, const by_hand_case *c, uint64_t seed, float *x)
{
    drl_energy e = drl_model_energy(m);
    float y[SAMPLES * IMAGE], gradient[SAMPLES * IMAGE], work[IMAGE];
    int levels = drl_model_schedule(m)->levels, trained = tiny().steps, steps = c->steps ? c->steps : trained;
    int level[SAMPLES], t, i;
    for (i = 0; i < SAMPLES; ++i) {
        drl_rng rng;
        rng.seed = seed;
        rng.stream = (uint64_t)(3 + i) << 32;
        rng.position = 0;
        drl_rng_normals(ctx, &rng, x + i * IMAGE, IMAGE);
    }
    for (t = levels - 1; t >= 0; --t) {
        drl__langevin_desc l;
        for (i = 0; i < SAMPLES; ++i) level[i] = t;
        memset(&l, 0, sizeof l);
        l.energy = &e;
        l.schedule = drl_model_schedule(m);
        l.level = level;
        l.steps = steps;
        l.first_draw = 1 + (levels - 1 - t) * steps;
        l.first_image = 3;
        l.step_scale = sqrt((double)trained / steps);
        if (c->fine) l.step_scale = sqrt((steps < 6 ? 1 : 6.0 / steps) / 0.1);
        if (c->b2 > 0) l.step_scale = sqrt(c->b2);
        l.noise_scale = c->noise > 0 ? (double)c->noise : c->fine ? 1 : (double)0.99f;
        l.noise.fill = drl__noise_counter;
        l.noise.user = &seed;
        memcpy(y, x, sizeof y);
        CHECK_OK(ctx, drl__langevin(ctx, &l, SAMPLES, y, x, gradient, work));
        for (i = 0; i < SAMPLES * IMAGE; ++i)
            x[i] = (float)((double)y[i] / drl_schedule_scale(l.schedule, t));
    }
}

/* drl_sample against that loop: a step is longer by sqrt(K / steps), the noise 0.99 unless said. Trained with
 * K = 0 on a fine schedule: step^2 is min(1, 6 / steps) s^2, the noise 1. With b2 it is b2 s^2 or as the rule
 * of the schedule has it. */
static void by_hand(void)
{
    static const by_hand_case cases[] = { { 0, 0, 0, 0 }, { 2, 0, 0, 0 }, { 2, 1, 0, 0 }, { 7, 0, 1.0f, 0 },
                                          { 3, 0, 0, 1 }, { 12, 0, 0.5f, 1 }, { 12, 1, 0, 1 },
                                          { 0, 0.4, 0, 0 }, { 2, 3, 0, 0 }, { 5, 0.3, 0, 1 } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny(), fine = tiny();
    drl_model *models[2];
    float want[SAMPLES * IMAGE], got[SAMPLES * IMAGE];
    int c, i, wrong;
    fine.schedule = DRL_SCHEDULE_T1K;
    fine.steps = -1;
    models[0] = make(ctx, &d, 1);
    models[1] = make(ctx, &fine, 1);
    randomize(models[0], 1);
    randomize(models[1], 1);
    for (c = 0; c < (int)DRL__COUNT(cases); ++c) {
        drl_model *m = models[cases[c].fine];
        drl_sample_desc how;
        memset(&how, 0, sizeof how);
        how.count = SAMPLES;
        how.seed = 12;
        how.first = 3;
        how.steps = cases[c].steps;
        how.b2 = cases[c].b2 * drl_model_schedule(m)->b2;
        how.noise_scale = cases[c].noise;
        CHECK_OK(ctx, drl_sample(m, &how, got));
        expect_slices(ctx, m, &how, got);
        sample_by_hand(ctx, m, &cases[c], how.seed, want);
        for (i = wrong = 0; i < SAMPLES * IMAGE; ++i) {
            double w = (double)want[i];
            wrong += !(fabs(w - (double)got[i]) <= 1e-4 + 1e-5 * fabs(w));
        }
        CHECK(!wrong, "case %d: %d pixels of drl_sample are others by hand", c, wrong);
    }
    drl_model_destroy(models[0]);
    drl_model_destroy(models[1]);
    drl_ctx_destroy(ctx);
}

/* Weights that are not numbers are a status. */
static void sample_refused(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny();
    drl_model *m = make(ctx, &d, 1);
    drl_sample_desc how;
    float got[SAMPLES * IMAGE];
    memset(&how, 0, sizeof how);
    randomize(m, 1);
    drl_net_params(drl_model_net(m))[drl_net_param(drl_model_net(m), 4)->offset] = (float)NAN;
    drl_net_refresh(drl_model_net(m), 0);
    REFUSED(ctx, drl_sample(m, &how, got), DRL_E_NUMERIC);
    REFUSED(ctx, drl_sample(m, &how, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_sampler_create(m, &how, NULL), DRL_E_ARGUMENT);
    how.count = -1;
    REFUSED(ctx, drl_sample(m, &how, got), DRL_E_ARGUMENT);
    CHECK(drl_sample(NULL, &how, got) == DRL_E_ARGUMENT, "no model");
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* A larger image on several threads: jobs must not start jobs. */
static void large_image(void)
{
    enum { FLOATS = 2 * 64 * 64 * 3 };
    float *images[2];
    int i;
    for (i = 0; i < 2; ++i) {
        drl_ctx *ctx = context(DRL_ISA_AUTO, i ? 1 : 3, NULL);
        drl_model_desc d;
        drl_model *m;
        drl_sample_desc how;
        images[i] = floats(FLOATS);
        memset(&d, 0, sizeof d);
        d.height = 64;
        d.channels = 3;
        d.base = 4;
        d.levels = 2;
        d.steps = 1;
        d.batch = 2;
        d.resolutions = 2;
        m = make(ctx, &d, 1);
        memset(&how, 0, sizeof how);
        how.count = 2;
        jobs_nested = 0;
        CHECK_OK(ctx, drl_sample(m, &how, images[i]));
        CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
    CHECK(!memcmp(images[0], images[1], FLOATS * sizeof(float)), "three threads give other bits");
    free(images[0]);
    free(images[1]);
}

/* -- the cooperative form -- */

#define COOP 4                      /* images */
#define COOP_SIZE (8 * 4 * 2)
#define COOP_ALL (COOP * COOP_SIZE)
static const int coop_labels[COOP] = { 2, 1, 0, 2 };

static drl_model_desc coop_desc(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.form = DRL_FORM_CDRL;
    d.height = 8;
    d.width = 4;
    d.channels = 2;
    d.base = 6;
    d.resolutions = 3;
    d.levels = 3;
    d.steps = 4;
    d.batch = 3;
    d.initializer = 8;
    d.initializer_blocks = 1;
    d.classes = 2;
    return d;
}

static drl_sample_desc coop_how(void)
{
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = COOP;
    how.seed = 21;
    how.labels = coop_labels;
    how.guidance = 1.5f;
    return how;
}

/* Random weights; an initializer's last layers start at zero, so it gets some everywhere, too. */
static drl_model *coop_model(drl_ctx *ctx, const drl_model_desc *d)
{
    drl_model *m = make(ctx, d, 6);
    drl_net *init = drl_model_initializer(m);
    size_t k;
    test_seed = 41;
    randomize(m, 1);
    if (!init) return m;
    for (k = 0; k < drl_net_params_size(init); ++k) drl_net_params(init)[k] += (float)real(-0.2, 0.2);
    drl_net_refresh(init, 0);
    return m;
}

static int sample_coop_of(drl_isa isa, int threads, const drl_model_desc *d, float *out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_sample_desc how = coop_how();
    drl_model *m;
    if (!ctx) return 0;
    m = coop_model(ctx, d);
    CHECK_OK(ctx, drl_sample(m, &how, out));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 1;
}

static int sample_coop(drl_isa isa, int threads, int batch, float *out)
{
    drl_model_desc d = coop_desc();
    d.batch = batch;
    return sample_coop_of(isa, threads, &d, out);
}

static void cooperative_same_bits(void)
{
    drl_model_desc d = coop_desc();
    float with[COOP_ALL], without[COOP_ALL];
    expect_same_samples(sample_coop, COOP_ALL);
    CHECK(sample_coop_of(DRL_ISA_AUTO, 1, &d, with), "no context");
    d.initializer = -1;
    CHECK(sample_coop_of(DRL_ISA_AUTO, 1, &d, without) && memcmp(with, without, sizeof with),
          "the initializer changes nothing");
}

/* The energy's proposal is the initializer's output for level t + 1. */
static void proposal(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_model *m = coop_model(ctx, &d);
    drl_net *init = drl_model_initializer(m);
    drl_energy e = drl_model_energy(m);
    drl_batch b;
    float x[3 * COOP_SIZE], mean[3 * COOP_SIZE], mean2[3 * COOP_SIZE], level[3];
    int t[3], i;
    CHECK(init && e.propose && drl_net_param_count(init) > 50, "an initializer");
    for (i = 0; i < drl_net_param_count(init); ++i)
        CHECK(!strncmp(drl_net_param(init, i)->name, "initializer.", 12),
              "'%s'", drl_net_param(init, i)->name);
    for (i = 0; i < 3 * COOP_SIZE; ++i) x[i] = (float)real(-1, 1);
    for (i = 0; i < 3; ++i) {
        t[i] = 2 - i;
        level[i] = drl__schedule_level(drl_model_schedule(m), t[i] + 1);
    }
    b = drl_batch_of(3, x, level);
    b.label = coop_labels;
    CHECK_OK(ctx, drl_net_forward(init, &b, mean));
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, coop_labels, mean2));
    CHECK(!memcmp(mean, mean2, sizeof mean) && memcmp(mean, x, sizeof mean), "the proposal is another one");
    t[1] = 3;
    REFUSED(ctx, e.propose(e.user, 3, x, t, NULL, mean2), DRL_E_ARGUMENT);
    t[1] = -1;
    REFUSED(ctx, e.propose(e.user, 3, x, t, NULL, mean2), DRL_E_ARGUMENT);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Runs a sampler to its end, three steps at a time. */
static int coop_images(drl_ctx *ctx, drl_sampler *s, float *out)
{
    drl_status status;
    int i;
    do status = drl_sampler_run(s, 3); while (status == DRL_RUNNING);
    for (i = 0; i < COOP && status == DRL_OK; ++i) status = drl_sampler_image(s, i, out + i * COOP_SIZE);
    CHECK(status == DRL_OK, "%s", drl_ctx_message(ctx));
    drl_sampler_destroy(s);
    return status == DRL_OK;
}

/* drl_sample is the sampler of the model's energy, with the form's defaults written out. Guidance 1.5 is a
 * sum of two energies: 2.5 of the sampler's label, -1.5 of class 0. */
static void cooperative_samples(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_sample_desc how = coop_how();
    drl_model *m = coop_model(ctx, &d);
    drl_energy e = drl_model_energy(m);
    drl_sampler *s = NULL;
    drl_sum_term terms[2];
    drl_sum *sum = NULL;
    float want[COOP_ALL], got[COOP_ALL];
    CHECK_OK(ctx, drl_sample(m, &how, want));
    how.steps = 4;
    how.denoise = 2;
    how.noise_scale = 1;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, drl_model_schedule(m), &how, &s));
    if (s && coop_images(ctx, s, got))
        CHECK(!memcmp(want, got, sizeof want), "the model's defaults are others");

    how = coop_how();
    how.guidance = 0;
    memset(terms, 0, sizeof terms);
    terms[0].energy = terms[1].energy = e;
    terms[0].weight = 2.5f;
    terms[1].weight = -1.5f;
    terms[1].use_label = 1;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    how.energy = &e;
    CHECK_OK(ctx, drl_sample(m, &how, got));
    CHECK(!memcmp(want, got, sizeof want), "a sum in place of the model's energy");
    drl_sum_destroy(sum);
    e.size = 5;
    REFUSED(ctx, drl_sample(m, &how, got), DRL_E_SHAPE);

    how = coop_how();
    how.labels = NULL;                              /* no labels, no guidance: each image at class 0 */
    CHECK_OK(ctx, drl_sample(m, &how, got));
    drl_model_destroy(m);
    d.classes = 0;
    m = make(ctx, &d, 1);
    how = coop_how();
    REFUSED(ctx, drl_sample(m, &how, got), DRL_E_ARGUMENT);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Composition and negation: F(y; 1) + F(y; 2) - F(y), up to the rounding of sums of three floats. */
static void composition(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_sample_desc how = coop_how();
    drl_model *m = coop_model(ctx, &d);
    drl_energy e = drl_model_energy(m), composed;
    drl_sum_term terms[3];
    drl_sum *sum = NULL;
    float x[3 * COOP_SIZE], f[3][3], g[3][3 * COOP_SIZE], F[3], G[3 * COOP_SIZE];
    float plain[COOP_ALL], got[COOP_ALL];
    int t[3] = { 0, 1, 2 }, label[3], i, j;
    memset(terms, 0, sizeof terms);
    for (i = 0; i < 3 * COOP_SIZE; ++i) x[i] = (float)real(-1, 1);
    for (i = 0; i < 3; ++i) {
        terms[i].energy = e;
        terms[i].weight = i < 2 ? 1.0f : -1.0f;
        terms[i].use_label = 1;
        terms[i].label = (i + 1) % 3;
        for (j = 0; j < 3; ++j) label[j] = (i + 1) % 3;
        CHECK_OK(ctx, e.eval(e.user, 3, x, t, label, f[i], g[i]));
    }
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 3, &sum));
    composed = drl_sum_energy(sum);
    CHECK_OK(ctx, composed.eval(composed.user, 3, x, t, NULL, F, G));
    for (i = 0; i < 3; ++i) {
        double a = (double)f[0][i], b = (double)f[1][i], c = (double)f[2][i];
        CHECK(fabs((double)F[i] - (a + b - c)) <= 1e-6 * (fabs(a) + fabs(b) + fabs(c)), "F %g", (double)F[i]);
    }
    for (i = 0; i < 3 * COOP_SIZE; ++i) {
        double a = (double)g[0][i], b = (double)g[1][i], c = (double)g[2][i];
        CHECK(fabs((double)G[i] - (a + b - c)) <= 1e-6 * (1 + fabs(a) + fabs(b) + fabs(c)),
              "gradient %g", (double)G[i]);
    }
    CHECK_OK(ctx, drl_sample(m, &how, plain));
    how.guidance = 0;
    how.energy = &composed;
    CHECK_OK(ctx, drl_sample(m, &how, got));
    CHECK(memcmp(plain, got, sizeof plain), "composition changes nothing");
    drl_sum_destroy(sum);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* The file holds both networks: loaded whole, and as weights for a model of the same description. For a model
 * whose initializer does not fit they are refused, although its energy would fit. */
/* out <- x_t = abar_t x_0 + sbar_t eps of images x_0, with the last draw of each image's stream. */
static void noised(drl_ctx *ctx, const drl_schedule *s, int t, const drl_sample_desc *how, const float *x,
                   float *out)
{
    int i, j;
    for (i = 0; i < how->count; ++i) {
        float *y = out + i * COOP_SIZE;
        drl_rng rng;
        rng.seed = how->seed;
        rng.stream = (uint64_t)(how->first + i) << 32 | 0xffffffffu;
        rng.position = 0;
        drl_rng_normals(ctx, &rng, y, COOP_SIZE);
        for (j = 0; j < COOP_SIZE; ++j) {
            float signal = drl__rounded((double)(float)s->abar[t] * (double)x[i * COOP_SIZE + j]);
            y[j] = signal + drl__rounded((double)(float)s->sbar[t] * (double)y[j]);
        }
    }
}

/* Further passes are drl_sample again, from noise on what it drew: of guided classes, of a sum of energies,
 * and with a part that is known. */
static void cooperative_passes(void)
{
    static const int from[3] = { 3, 1, 2 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_model *m = coop_model(ctx, &d);
    drl_energy e = drl_model_energy(m), both;
    drl_sum_term terms[2];
    drl_sum *sum = NULL;
    float want[COOP_ALL], got[COOP_ALL], start[COOP_ALL], known[COOP_ALL];
    uint8_t mask[COOP_ALL];
    int kind, i;
    memset(terms, 0, sizeof terms);
    terms[0].energy = terms[1].energy = e;
    terms[0].weight = terms[1].weight = 0.5f;
    terms[0].use_label = terms[1].use_label = 1;
    terms[0].label = 1;
    terms[1].label = 2;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    both = drl_sum_energy(sum);
    for (i = 0; i < COOP_ALL; ++i) {
        known[i] = (float)real(-1, 1);
        mask[i] = i % 8 < 4;
    }
    for (kind = 0; kind < 4; ++kind) {
        drl_sample_desc how = coop_how(), by_hand;
        how.first = 5;
        if (kind & 1) {
            how.guidance = 0;
            how.labels = NULL;
            how.energy = &both;
        }
        if (kind & 2) {
            how.known = known;
            how.mask = mask;
        }
        by_hand = how;
        CHECK_OK(ctx, drl_sample(m, &by_hand, want));
        for (i = 0; i < 3; ++i) {
            noised(ctx, drl_model_schedule(m), from[i], &by_hand, want, start);
            by_hand.start = start;
            by_hand.from_level = from[i];
            by_hand.seed += 0x9e3779b9u;
            CHECK_OK(ctx, drl_sample(m, &by_hand, want));
        }
        how.resample_from = from;
        how.resample_count = 3;
        CHECK_OK(ctx, drl_sample(m, &how, got));
        CHECK(!memcmp(want, got, sizeof want), "kind %d: further passes are not drl_sample again", kind);
    }
    drl_sum_destroy(sum);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static double asked_so_far(void *user) { return ++*(int *)user; }       /* a clock */


/* What comes between two slices of a proposal, which are operators. LATE: nothing, but slices are longer than
 * one network. SLICES: nothing, but the network takes an image at a time. */
enum {
    NOTHING, LATE, SLICES, OTHER_SAMPLER, WHOLE_STEP, SAVED, PROPOSALS, REFRESHED, MADE_ANEW, BETWEEN_KINDS
};

static void between_slices(drl_ctx *ctx, drl_model *m, const drl_sample_desc *how, int kind, int calls,
                           drl_sampler **s, drl_sampler *other)
{
    static unsigned char bytes[1 << 16];            /* a state of the second proposal */
    static size_t size;
    drl_energy e = drl_model_energy(m);
    drl_status status = DRL_OK;
    float x[3 * COOP_SIZE] = { 0 }, mean[3 * COOP_SIZE];
    int level[3] = { 0, 0, 0 }, asked = 0;
    if (kind == OTHER_SAMPLER) status = drl_sampler_run_until(other, asked_so_far, &asked, 0);
    if (kind == WHOLE_STEP && calls % 7 == 5) status = drl_sampler_run(*s, 1);
    if (kind == PROPOSALS && calls % 5 == 3) status = e.propose(e.user, 3, x, level, NULL, mean);
    if (kind == REFRESHED && calls % 5 == 3) drl_net_refresh(drl_model_initializer(m), 0);
    if (kind == SAVED && calls == 190) CHECK_OK(ctx, drl_sampler_save(*s, bytes, sizeof bytes, &size));
    if (kind == SAVED && calls == 200) {             /* into a new one, then into one that is further on */
        drl_sampler_destroy(*s);
        CHECK_OK(ctx, drl_sampler_create(m, how, s));
    }
    if (kind == SAVED && (calls == 200 || calls == 390)) status = drl_sampler_restore(*s, bytes, size);
    if (kind == MADE_ANEW && calls == 5) {          /* where the old one was, most likely */
        drl_sample_desc first = *how;
        first.seed += 1;
        drl_sampler_destroy(*s);
        CHECK_OK(ctx, drl_sampler_create(m, &first, s));
        while (calls--) status = drl_sampler_run_until(*s, asked_so_far, &asked, 0);
        drl_sampler_destroy(*s);
        status = drl_sampler_create(m, how, s);
    }
    CHECK(status == DRL_OK || status == DRL_RUNNING, "between slices: %s", drl_ctx_message(ctx));
}

/* A clock that says after each operator of the initializer that time is over: many more calls than steps, and
 * the bits of drl_sample whatever comes between, with all images in one batch or not, in further passes, too.
 * While a proposal is under way the images are those that the level before has left. */
static void cooperative_until(void)
{
    static const int from[1] = { 2 };
    float want[COOP_ALL], got[COOP_ALL], x[COOP_SIZE], before[COOP_SIZE];
    int kind, guided, slice, i;
    for (guided = 0; guided < 2; ++guided) {
        drl_ctx *ctx = context(DRL_ISA_AUTO, 1 + guided, NULL);
        drl_model_desc d = coop_desc();
        drl_sample_desc how = coop_how();
        drl_model *m;
        d.batch = guided ? 2 * COOP : 3;            /* all images twice, or not even all of them */
        d.steps = 1;
        m = coop_model(ctx, &d);
        slice = drl_model_initializer(m)->program[DRL_NET_FORWARD].slice;
        if (!guided) how.guidance = 0;
        how.resample_from = from;
        how.resample_count = 1;
        CHECK_OK(ctx, drl_sample(m, &how, want));
        for (kind = 0; kind < BETWEEN_KINDS; ++kind) {
            drl_sampler *s = NULL, *other = NULL;
            drl_status status = DRL_RUNNING;
            int asked = 0, calls = 0, steps, parts = 0;
            CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
            how.seed ^= 1;
            CHECK_OK(ctx, drl_sampler_create(m, &how, &other));
            how.seed ^= 1;
            steps = drl_sampler_steps_left(s);
            if (kind == SLICES) drl_model_initializer(m)->program[DRL_NET_FORWARD].slice = 1;
            while (status == DRL_RUNNING && calls < 10000) {
                int left = drl_sampler_steps_left(s);
                CHECK_OK(ctx, drl_sampler_image(s, 3, before));
                status = drl_sampler_run_until(s, asked_so_far, &asked, kind == LATE ? asked + 300 : 0);
                CHECK_OK(ctx, drl_sampler_image(s, 3, x));
                if (drl_sampler_steps_left(s) == left) {
                    ++parts;
                    CHECK(!memcmp(x, before, sizeof x), "kind %d: an image changes within a proposal", kind);
                }
                ++calls;
                if (status == DRL_RUNNING) between_slices(ctx, m, &how, kind, calls, &s, other);
            }
            CHECK(status == DRL_OK, "%s", drl_ctx_message(ctx));
            if (kind == NOTHING) CHECK(calls == steps + parts && parts > 5 * 10, "%d calls for %d steps",
                                       calls, steps);
            for (i = 0; i < COOP; ++i) drl_sampler_image(s, i, got + i * COOP_SIZE);
            CHECK(!memcmp(want, got, sizeof want), "guided %d, kind %d: slices give other bits",
                  guided, kind);
            drl_model_initializer(m)->program[DRL_NET_FORWARD].slice = slice;
            drl_sampler_destroy(s);
            drl_sampler_destroy(other);
        }
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
}

static void cooperative_file(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc(), other = coop_desc(), read;
    drl_sample_desc how = coop_how();
    drl_model *m = coop_model(ctx, &d), *again = NULL;
    drl_safetensors *st = NULL;
    float want[COOP_ALL], before[COOP_ALL], got[COOP_ALL];
    unsigned char *bytes;
    size_t size;
    CHECK_OK(ctx, drl_sample(m, &how, want));
    bytes = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        CHECK_OK(ctx, drl_model_describe(again, &read));
        CHECK(read.form == DRL_FORM_CDRL && read.initializer == 8 && read.initializer_blocks == 1 &&
              read.classes == 2, "the description has changed");
        CHECK_OK(ctx, drl_sample(again, &how, got));
        CHECK(!memcmp(want, got, sizeof want), "loaded: other samples");
        drl_model_destroy(again);
    }
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, bytes, size, &st));
    again = make(ctx, &d, 99);
    CHECK_OK(ctx, drl_model_load_weights(again, st));
    CHECK_OK(ctx, drl_sample(again, &how, got));
    CHECK(!memcmp(want, got, sizeof want), "weights alone: other samples");
    drl_model_destroy(again);
    other.initializer = 16;
    again = coop_model(ctx, &other);
    CHECK_OK(ctx, drl_sample(again, &how, before));
    REFUSED(ctx, drl_model_load_weights(again, st), DRL_E_SHAPE);
    CHECK_OK(ctx, drl_sample(again, &how, got));
    CHECK(!memcmp(before, got, sizeof got), "a refused file has changed weights");
    drl_model_destroy(again);
    drl_safetensors_close(st);
    free(bytes);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Descriptions in files that ask for another initializer, or other classes, than the file holds. */
static void cooperative_file_refused(void)
{
    static const char *const ways[][2] = {
        { "initializer=8", "initializer=6" },
        { "initializer=8", "initializer=4" },
        { "initializer_blocks=1", "initializer_blocks=2" },
        { "initializer_blocks=1", "initializer_blocks=4" },
        { "classes=2", "classes=9" } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_model *m = coop_model(ctx, &d);
    unsigned char *bytes;
    size_t size;
    int i;
    bytes = saved(ctx, m, &size);
    for (i = 0; i < (int)DRL__COUNT(ways); ++i) {
        drl_model *again = NULL;
        unsigned char *at = bytes + 8;
        size_t length = strlen(ways[i][0]);
        while (memcmp(at, ways[i][0], length)) ++at;
        memcpy(at, ways[i][1], length);
        drl_ctx_clear(ctx);
        CHECK(drl_model_load_memory(ctx, bytes, size, NULL, &again) != DRL_OK && !again,
              "'%s' was taken", ways[i][1]);
        CHECK(drl_ctx_message(ctx)[0] != 0, "'%s': no sentence", ways[i][1]);
        memcpy(at, ways[i][0], length);
    }
    drl_ctx_clear(ctx);
    free(bytes);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* -- plain vectors with an initializer, and the schedule chosen apart from the form -- */

#define POINT 3

/* rows of name.weight times x [cols], plus name.bias. */
static void dense_in_double(drl_net *net, const char *name, const double *x, double *y)
{
    char weight[64], bias[64];
    const drl_param *w = NULL, *b = NULL;
    const float *params = drl_net_params(net);
    int i, j;
    snprintf(weight, sizeof weight, "initializer.%s.weight", name);
    snprintf(bias, sizeof bias, "initializer.%s.bias", name);
    for (i = 0; i < drl_net_param_count(net); ++i) {
        const drl_param *p = drl_net_param(net, i);
        if (!strcmp(p->name, weight)) w = p;
        if (!strcmp(p->name, bias)) b = p;
    }
    CHECK(w && b && w->rank == 2 && b->rank == 1, "initializer.%s has no weight of two axes and bias", name);
    for (i = 0; w && b && i < w->shape[0]; ++i) {
        y[i] = (double)params[b->offset + (size_t)i];
        for (j = 0; j < w->shape[1]; ++j)
            y[i] += (double)params[w->offset + (size_t)(i * w->shape[1] + j)] * x[j];
    }
}

static void silu_in_double(double *x, int n)
{
    for (; n--; ++x) *x /= 1 + exp(-*x);
}

/* g(x, v, label) of width 6 and two blocks: a dense residual network that the embedding of level value and
 * label scales and shifts. */
static void point_in_double(drl_net *net, const float *x, double v, int label, double *g)
{
    double in[POINT], emb[6], e[24], u[24], h[6], r[6], k[12], one_hot[3] = { 0, 0, 0 };
    int i, j;
    for (i = 0; i < 3; ++i) {
        double w = exp(-i * log(10000.0) / 2);
        emb[i] = sin(v * w);
        emb[i + 3] = cos(v * w);
    }
    dense_in_double(net, "time_mlp.1", emb, u);
    silu_in_double(u, 24);
    dense_in_double(net, "time_mlp.3", u, e);
    one_hot[label] = 1;
    dense_in_double(net, "y_mlp.0", one_hot, u);
    for (i = 0; i < 24; ++i) e[i] += u[i];
    silu_in_double(e, 24);
    for (i = 0; i < POINT; ++i) in[i] = (double)x[i];
    dense_in_double(net, "init_conv", in, h);
    for (j = 0; j < 2; ++j) {
        char name[32];
        memcpy(u, h, sizeof h);
        silu_in_double(u, 6);
        snprintf(name, sizeof name, "blocks.%d.conv1", j);
        dense_in_double(net, name, u, r);
        snprintf(name, sizeof name, "blocks.%d.mlp.1", j);
        dense_in_double(net, name, e, k);
        for (i = 0; i < 6; ++i) r[i] = r[i] * (1 + k[i]) + k[i + 6];
        silu_in_double(r, 6);
        snprintf(name, sizeof name, "blocks.%d.conv2", j);
        dense_in_double(net, name, r, u);
        for (i = 0; i < 6; ++i) h[i] += u[i];
    }
    silu_in_double(h, 6);
    dense_in_double(net, "final_conv", h, g);
    for (i = 0; i < POINT; ++i) g[i] += in[i];
}

static drl_model_desc point_desc(void)
{
    drl_model_desc d = coop_desc();
    make_vectors(&d, POINT);
    d.initializer = 6;
    d.initializer_blocks = 2;
    return d;
}

static int sample_points(drl_isa isa, int threads, int batch, float *out)
{
    drl_model_desc d = point_desc();
    d.batch = batch;
    return sample_coop_of(isa, threads, &d, out);
}

static void points_same_bits(void) { expect_same_samples(sample_points, COOP * POINT); }

/* The initializer of vectors: the identity when new, then against the network in double. */
static void points(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = point_desc();
    drl_sample_desc how = coop_how();
    drl_model *m, *again = NULL;
    drl_energy e;
    float x[3 * POINT], mean[3 * POINT], want[COOP * POINT], got[COOP * POINT];
    int t[3] = { 0, 1, 2 }, label[3] = { 2, 0, 1 }, i, j;
    unsigned char *bytes;
    size_t size, promised = 0, held;
    CHECK_OK(ctx, drl_model_size(ctx, &d, &promised));
    held = drl_ctx_bytes_used(ctx);
    m = make(ctx, &d, 6);
    held = drl_ctx_bytes_used(ctx) - held;
    CHECK(promised >= held && promised < held + 4096, "%d bytes promised, %d held", (int)promised, (int)held);
    e = drl_model_energy(m);
    for (i = 0; i < 3 * POINT; ++i) x[i] = (float)real(-2, 2);
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, label, mean));
    CHECK(!memcmp(mean, x, sizeof mean), "a new initializer is not the identity");
    drl_model_destroy(m);

    m = coop_model(ctx, &d);
    e = drl_model_energy(m);
    CHECK(drl_net_param_count(drl_model_initializer(m)) == 2 * (5 + 2 * 3), "%d parameters",
          drl_net_param_count(drl_model_initializer(m)));
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, label, mean));
    for (i = 0; i < 3; ++i) {
        double g[POINT], v = (double)drl__schedule_level(drl_model_schedule(m), t[i] + 1);
        point_in_double(drl_model_initializer(m), x + i * POINT, v, label[i], g);
        for (j = 0; j < POINT; ++j) {
            double is = (double)mean[i * POINT + j];
            CHECK(fabs(is - g[j]) <= 1e-5 * (1 + fabs(g[j])), "image %d, %d: %g, should be %g",
                  i, j, is, g[j]);
            CHECK(fabs(g[j] - (double)x[i * POINT + j]) > 1e-3, "image %d, %d: not moved", i, j);
        }
    }
    CHECK_OK(ctx, drl_sample(m, &how, want));
    bytes = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        CHECK_OK(ctx, drl_sample(again, &how, got));
        CHECK(!memcmp(want, got, sizeof want), "loaded: other samples");
    }
    drl_model_destroy(again);
    free(bytes);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* The schedule that a form has by itself. */
static int schedule_of_form(int form) { return form == DRL_FORM_DRL ? DRL_SCHEDULE_DRL : DRL_SCHEDULE_CDRL; }

/* A model's schedule has the numbers of the function that makes them. */
static void expect_schedule(const drl_model *m, int kind)
{
    const drl_schedule *s = drl_model_schedule(m);
    double memory[5 * 4], b2 = m->desc.form == DRL_FORM_DRL ? 2e-4 : 4e-4;
    drl_schedule want;
    if (kind == DRL_SCHEDULE_DRL) drl__schedule_drl(3, memory, &want);
    else if (kind == DRL_SCHEDULE_CDRL) drl__schedule_cdrl(3, memory, &want);
    else if (kind == DRL_SCHEDULE_SHIFTED) drl__schedule_shifted(3, memory, &want);
    else drl__schedule_t1k(3, memory, &want);
    CHECK(s->levels == 3 && !s->logsnr == !want.logsnr, "schedule %d: %d levels", kind, s->levels);
    CHECK(!memcmp(s->abar, want.abar, 4 * sizeof(double)) && !memcmp(s->s, want.s, 4 * sizeof(double)),
          "schedule %d: another one", kind);
    CHECK(s->rule == want.rule && s->b2 == (want.rule ? 0.1 : b2), "schedule %d: rule %d, b2 %g",
          kind, (int)s->rule, s->b2);
}

/* Every form with every schedule, with and without SiLU: its numbers, and what files say of it. */
static void schedule(int form, int kind, int silu)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny(), got;
    drl_model *m, *again = NULL;
    drl_sample_desc how;
    float a[2 * IMAGE], b[2 * IMAGE];
    unsigned char *bytes, *at;
    size_t size, k;
    int expected = kind ? kind : schedule_of_form(form), i, told = 0;
    d.form = (drl_form)form;
    d.schedule = (drl_schedule_kind)kind;
    d.silu = silu * 7;
    if (form) d.initializer = -1;
    m = make(ctx, &d, 1);
    randomize(m, 1);
    expect_schedule(m, expected);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK((int)got.schedule == expected && got.silu == silu, "form %d, schedule %d: resolved to %d",
          form, kind, (int)got.schedule);
    memset(&how, 0, sizeof how);
    how.count = 2;
    CHECK_OK(ctx, drl_sample(m, &how, a));
    bytes = saved(ctx, m, &size);
    for (k = 8; k + 9 < size && !told; ++k) told = !memcmp(bytes + k, "schedule=", 9);
    at = bytes + k + 8;
    CHECK(told == (expected != schedule_of_form(form) || silu),
          "form %d, schedule %d: the file speaks of it %d times", form, kind, told);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        CHECK_OK(ctx, drl_model_describe(again, &got));
        CHECK((int)got.schedule == expected && got.silu == silu && got.form == (drl_form)form,
              "form %d, schedule %d: loaded as %d", form, kind, (int)got.schedule);
        CHECK_OK(ctx, drl_sample(again, &how, b));
        CHECK(!memcmp(a, b, sizeof a), "form %d, schedule %d: loaded, other samples", form, kind);
    }
    drl_model_destroy(again);
    again = NULL;
    for (i = 0; told && i < 2; ++i) {
        *at = (unsigned char)"5-"[i];
        drl_ctx_clear(ctx);
        CHECK(drl_model_load_memory(ctx, bytes, size, NULL, &again) != DRL_OK && !again,
              "schedule=%c was taken", *at);
        CHECK(drl_ctx_message(ctx)[0] != 0, "schedule=%c: no sentence", *at);
    }
    free(bytes);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void schedules(void)
{
    int form, kind, silu;
    for (form = 0; form < 2; ++form)
        for (silu = 0; silu < 2; ++silu)
            for (kind = 0; kind < 5; ++kind) schedule(form, kind, silu);
}

/* The initializer's mean at every level, from its network's output: that itself, or the mean of y_t given
 * x_{t+1} and the x_0 that a velocity says. */
static void expect_means(drl_ctx *ctx, drl_model *m, int velocity)
{
    const drl_schedule *s = drl_model_schedule(m);
    drl_energy e = drl_model_energy(m);
    float x[COOP_SIZE], out[COOP_SIZE], mean[COOP_SIZE], level;
    drl_batch b = drl_batch_of(1, x, &level);
    int t, j, label = 2;
    b.label = &label;
    for (j = 0; j < COOP_SIZE; ++j) x[j] = (float)real(-1, 1);
    for (t = 0; t < s->levels; ++t) {
        double alpha = s->abar[t + 1], sigma = s->sbar[t + 1], step2 = s->s[t + 1] * s->s[t + 1];
        double scale = t + 1 < s->levels ? s->a[t + 1] : 1.0, worst = 0;
        double of_x0 = s->abar[t] * step2 / (sigma * sigma);
        double of_next = s->a[t + 1] * s->sbar[t] * s->sbar[t] / (sigma * sigma);
        level = drl__schedule_level(s, t + 1);
        CHECK_OK(ctx, drl_net_forward(drl_model_initializer(m), &b, out));
        CHECK_OK(ctx, e.propose(e.user, 1, x, &t, &label, mean));
        for (j = 0; j < COOP_SIZE; ++j) {
            double x0 = alpha * (double)x[j] - sigma * (double)out[j];
            double want = velocity ? scale * (of_x0 * x0 + of_next * (double)x[j]) : (double)out[j];
            double off = fabs((double)mean[j] - want);
            if (!(off <= worst)) worst = off;
        }
        CHECK(worst < 2e-6, "level %d of %d: the mean is off by %g", t, s->levels, worst);
    }
}

/* Which of an initializer's forms is the default (a velocity from 12 levels on), its mean, and that files
 * keep the form. */
static void initializer_form(int form, int levels)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc(), got;
    drl_model *m, *again = NULL;
    drl_sample_desc how = coop_how();
    float a[COOP_ALL], b[COOP_ALL];
    unsigned char *bytes;
    size_t size;
    int velocity = form ? form == DRL_INITIALIZER_VELOCITY : levels == 12;
    d.initializer_form = (drl_initializer_form)form;
    d.levels = levels;
    m = coop_model(ctx, &d);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.initializer_form == (velocity ? DRL_INITIALIZER_VELOCITY : DRL_INITIALIZER_RESIDUAL),
          "form %d of %d levels is %d", form, levels, (int)got.initializer_form);
    expect_means(ctx, m, velocity);
    CHECK_OK(ctx, drl_sample(m, &how, a));
    bytes = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        CHECK_OK(ctx, drl_sample(again, &how, b));
        CHECK(!memcmp(a, b, sizeof a), "form %d of %d levels: loaded, other samples", form, levels);
    }
    free(bytes);
    drl_model_destroy(again);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void initializer_forms(void)
{
    int form, levels;
    for (form = 0; form < 3; ++form)
        for (levels = 11; levels <= 12; ++levels) initializer_form(form, levels);
}

/* The groups that all norms of a net have; -1: they differ. */
static int norm_groups(const drl_net *net)
{
    int i, groups = 0;
    for (i = 0; i < net->op_count; ++i)
        if (net->op[i].groups) groups = groups && groups != net->op[i].groups ? -1 : net->op[i].groups;
    return groups;
}

/* Norms: of a U-Net of so many channels, with so many asked for in each group; and that files keep them. One
 * that does not speak of them, as those from before that field, has groups of one channel. */
static void norm_channels(int width, int asked, int levels, int unet, int want)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc(), got;
    drl_model *m, *again = NULL;
    unsigned char *bytes;
    size_t size, k;
    int told = 0, one = width < 32 ? width : 32;
    d.initializer = d.base = width;
    d.levels = levels;
    d.norm_channels = asked;
    if (unet) d.energy_form = DRL_ENERGY_UNET;
    while (width % one) --one;
    m = coop_model(ctx, &d);
    CHECK(norm_groups(m->initializer) == want, "width %d, %d asked, %d levels: %d groups, not %d", width,
          asked, levels, norm_groups(m->initializer), want);
    CHECK(!unet || norm_groups(m->net) == want, "the energy has %d groups, not %d", norm_groups(m->net),
          want);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    bytes = saved(ctx, m, &size);
    for (k = 8; k + 16 < size && !told; ++k) told = !memcmp(bytes + k, " norm_channels=", 15);
    CHECK(told == (got.norm_channels != 1), "the file speaks of norms %d times", told);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) CHECK(norm_groups(again->initializer) == want, "loaded with other groups");
    drl_model_destroy(again);
    again = NULL;
    if (told) {                             /* the text ends before it, and blanks fill the file's header */
        bytes[k - 1] = '"';
        for (; bytes[k] != '"'; ++k) bytes[k] = ' ';
        bytes[k] = ' ';
        CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
        if (again) CHECK(norm_groups(again->initializer) == one, "an older file: %d groups, not %d",
                         norm_groups(again->initializer), one);
    }
    free(bytes);
    drl_model_destroy(again);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void norms(void)
{
    norm_channels(8, 0, 11, 0, 8);          /* published: a residual initializer, published energies */
    norm_channels(64, 0, 11, 0, 32);
    norm_channels(8, 0, 12, 0, 2);
    norm_channels(8, 0, 11, 1, 2);
    norm_channels(14, 0, 12, 1, 2);
    norm_channels(8, 3, 11, 0, 2);
    norm_channels(8, 1, 12, 1, 8);
    norm_channels(6, 100, 12, 1, 1);
}

/* -- a network and a schedule of the program's own -- */

typedef struct own_net { int side, channels, classes, outputs; } own_net;

/* Every kind of parameter that files treat in a way of its own: a spectral norm that is folded in, and one
 * that is kept. */
static void own_build(drl_net *net, void *user)
{
    const own_net *o = (const own_net *)user;
    drl_layer_desc l;
    drl_value x = drl_net_input(net, o->side, o->side, o->channels), e = drl_net_level(net, 4);
    memset(&l, 0, sizeof l);
    l.out_channels = 4;
    l.name = "label";
    if (o->classes) e = drl_net_add(net, e, drl_net_conv2d(net, drl_net_label(net, o->classes), &l));
    l.name = "folded";
    l.spectral = DRL_SPECTRAL_UNIT;
    x = drl_net_act(net, drl_net_shift(net, drl_net_conv2d(net, x, &l), e), DRL_ACT_SILU);
    l.name = "kept";
    l.keep_norm = 1;
    x = drl_net_spatial_sum(net, drl_net_conv2d(net, x, &l), 0.1f);
    memset(&l, 0, sizeof l);
    l.name = "out";
    l.out_channels = o->outputs;
    drl_net_conv2d(net, x, &l);
}

static const double own_sbar[6] = { 0.1, 0.3, 0.5, 0.8, 0.95, 1.0 };

static drl_model_desc own_desc(own_net *o)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    o->side = 6;
    o->channels = 2;
    o->classes = 3;
    o->outputs = 1;
    d.height = o->side;
    d.channels = o->channels;
    d.classes = o->classes;
    d.levels = 5;
    d.trainable = 1;
    d.batch = 3;
    d.build = own_build;
    d.build_user = o;
    d.sbar = own_sbar;
    return d;
}

/* Three images of such a model, at three levels. */
enum { OWN_SIZE = 6 * 6 * 2 };
static const int own_levels[3] = { 1, 3, 4 }, own_labels[3] = { 0, 2, 3 };
static void own_images(float *y)
{
    int j;
    for (j = 0; j < 3 * OWN_SIZE; ++j) y[j] = (float)real(-1, 1);
}

/* F is the network's output, the schedule has the given sbar, which was copied, and other fields have the
 * defaults that go with it. */
static void own_network(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own_net o;
    double sbar[6];
    drl_model_desc d = own_desc(&o), got;
    drl_model *m;
    const drl_schedule *s;
    drl_energy e;
    drl_batch b;
    float y[3 * OWN_SIZE], dy[3 * OWN_SIZE], dx[3 * OWN_SIZE], f[3], out[3];
    float ones[3] = { 1, 1, 1 }, values[3] = { 1, 3, 4 };
    size_t size, used;
    CHECK_OK(ctx, drl_model_size(ctx, &d, &size));
    used = drl_ctx_bytes_used(ctx);
    memcpy(sbar, own_sbar, sizeof sbar);
    d.sbar = sbar;
    m = make(ctx, &d, 7);
    used = drl_ctx_bytes_used(ctx) - used;
    CHECK(used == size, "%d bytes, %d were said", (int)used, (int)size);
    memset(sbar, 0, sizeof sbar);
    s = drl_model_schedule(m);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.energy_form == DRL_ENERGY_OWN && got.build == own_build && !drl_model_initializer(m),
          "what goes with a network of one's own");
    CHECK(got.schedule == DRL_SCHEDULE_OWN && got.sbar == s->sbar && got.steps == 3 && got.b2 == 0.1,
          "what goes with a schedule of one's own");
    CHECK(s->levels == 5 && !memcmp(s->sbar, own_sbar, sizeof own_sbar) && s->b2 == 0.1 &&
          s->rule == DRL_STEP_PROPOSAL && !s->logsnr, "its schedule");
    own_images(y);
    e = drl_model_energy(m);
    CHECK_OK(ctx, e.eval(e.user, 3, y, own_levels, own_labels, f, dy));
    b = drl_batch_of(3, y, values);
    b.label = own_labels;
    CHECK_OK(ctx, drl_net_input_grad(drl_model_net(m), &b, ones, out, dx));
    CHECK(!memcmp(f, out, sizeof f) && !memcmp(dy, dx, sizeof dy),
          "F of a network of one's own is not its output");
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* A file gives a model only together with the same network and schedule, and the program says how long sbar
 * is, not the file. Loading a file that needs neither ignores them. */
static void own_files(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own_net o;
    drl_model_desc d = own_desc(&o), plain_desc = tiny(), use;
    drl_model *m = make(ctx, &d, 7), *again = NULL;
    drl_energy e = drl_model_energy(m);
    float y[3 * OWN_SIZE], dy[3 * OWN_SIZE], dx[3 * OWN_SIZE], f[3], out[3];
    unsigned char *bytes;
    size_t size;
    int k;
    own_images(y);
    CHECK_OK(ctx, e.eval(e.user, 3, y, own_levels, own_labels, f, dy));
    bytes = saved(ctx, m, &size);
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again), DRL_E_ARGUMENT);
    memset(&use, 0, sizeof use);
    use.build = own_build;
    use.build_user = &o;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_ARGUMENT);
    use.sbar = own_sbar;
    use.levels = 5;
    use.build = NULL;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_ARGUMENT);
    use.build = own_build;
    for (k = 0; k < 5; ++k) {
        use.levels = k;
        REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_FORMAT);
    }
    use.levels = 5;
    o.classes = 2;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_SHAPE);
    o.classes = 3;
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again));
    e = drl_model_energy(again);
    CHECK_OK(ctx, e.eval(e.user, 3, y, own_levels, own_labels, out, dx));
    CHECK(!memcmp(f, out, sizeof f) && !memcmp(dy, dx, sizeof dy),
          "a loaded network of one's own has other energies");
    drl_model_destroy(again);
    drl_model_destroy(m);
    free(bytes);
    m = make(ctx, &plain_desc, 1);
    bytes = saved(ctx, m, &size);
    again = NULL;
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again));
    drl_model_destroy(again);
    drl_model_destroy(m);
    free(bytes);
    drl_ctx_destroy(ctx);
}

/* How the data was normalised is copied into the model, and is what its file says. */
static void normalisation(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double mean[3] = { 1e9, -0.1, 3 }, deviation[3] = { 2, 1e-3, 1 };
    drl_model_desc d, got;
    drl_model *m, *again = NULL;
    unsigned char *bytes, *copy;
    size_t size, used, i;
    int round;
    memset(&d, 0, sizeof d);
    d.height = 1;
    d.channels = 3;
    d.base = 4;
    d.levels = 3;
    d.batch = 2;
    d.mean = mean;
    d.deviation = deviation;
    used = drl_ctx_bytes_used(ctx);
    CHECK_OK(ctx, drl_model_size(ctx, &d, &size));
    m = make(ctx, &d, 7);
    used = drl_ctx_bytes_used(ctx) - used;
    CHECK(used == size, "%d bytes, %d were said", (int)used, (int)size);
    for (round = 0; round < 2; ++round) {
        CHECK_OK(ctx, drl_model_describe(m, &got));
        CHECK(got.mean && got.mean != mean && !memcmp(got.mean, mean, sizeof mean) && got.deviation &&
              !memcmp(got.deviation, deviation, sizeof deviation), "round %d", round);
        bytes = saved(ctx, m, &size);
        drl_model_destroy(m);
        CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &m));
        if (round == 0) free(bytes);
    }
    drl_model_destroy(m);
    copy = (unsigned char *)malloc(size);
    if (!copy) exit(2);
    for (i = 8; i + 13 < size; ++i) {                           /* each of the two under another name */
        if (memcmp(bytes + i, "drl.mean", 8) && memcmp(bytes + i, "drl.deviation", 13)) continue;
        memcpy(copy, bytes, size);
        copy[i + 7] = 'x';
        REFUSED(ctx, drl_model_load_memory(ctx, copy, size, NULL, &again), DRL_E_FORMAT);
    }
    memcpy(copy, bytes, size);
    memset(copy + size - 8, 0, 8);                              /* the last deviation is 0 */
    REFUSED(ctx, drl_model_load_memory(ctx, copy, size, NULL, &again), DRL_E_ARGUMENT);
    memset(copy + size - 8, 0x7F, 8);
    memset(copy + size - 8 * 4, 0xFF, 8);                       /* the last mean is a NaN */
    REFUSED(ctx, drl_model_load_memory(ctx, copy, size, NULL, &again), DRL_E_ARGUMENT);
    free(copy);
    free(bytes);
    d.deviation = NULL;
    REFUSED(ctx, drl_model_create(ctx, &d, 0, &again), DRL_E_ARGUMENT);
    d.deviation = deviation;
    deviation[1] = -1;
    REFUSED(ctx, drl_model_create(ctx, &d, 0, &again), DRL_E_ARGUMENT);
    deviation[1] = 1;
    mean[2] = HUGE_VAL;
    REFUSED(ctx, drl_model_create(ctx, &d, 0, &again), DRL_E_ARGUMENT);
    drl_ctx_destroy(ctx);
}

#define BAD_OWN(assign, want)                                                                   \
    do {                                                                                        \
        d = own_desc(&o);                                                                       \
        memcpy(sbar, own_sbar, sizeof sbar);                                                    \
        d.sbar = sbar;                                                                          \
        assign;                                                                                 \
        REFUSED(ctx, drl_model_create(ctx, &d, 0, &m), want);                                   \
    } while (0)

static void own_refused(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own_net o;
    double sbar[6];
    drl_model_desc d;
    drl_model *m = NULL;
    BAD_OWN((d.energy_form = DRL_ENERGY_UNET, d.form = DRL_FORM_CDRL), DRL_E_ARGUMENT);
    BAD_OWN(d.energy_form = DRL_ENERGY_UNET, DRL_E_ARGUMENT);
    BAD_OWN((d.energy_form = DRL_ENERGY_OWN, d.build = NULL), DRL_E_ARGUMENT);
    BAD_OWN(d.schedule = DRL_SCHEDULE_DRL, DRL_E_ARGUMENT);
    BAD_OWN((d.schedule = DRL_SCHEDULE_OWN, d.sbar = NULL), DRL_E_ARGUMENT);
    BAD_OWN(sbar[2] = sbar[1], DRL_E_ARGUMENT);
    BAD_OWN(sbar[0] = 0, DRL_E_ARGUMENT);
    BAD_OWN(sbar[5] = 1.5, DRL_E_ARGUMENT);
    BAD_OWN(sbar[3] = HUGE_VAL - HUGE_VAL, DRL_E_ARGUMENT);
    BAD_OWN(d.height = 8, DRL_E_SHAPE);
    BAD_OWN(d.width = 8, DRL_E_SHAPE);
    BAD_OWN(d.channels = 1, DRL_E_SHAPE);
    BAD_OWN(d.classes = 2, DRL_E_SHAPE);
    BAD_OWN(o.classes = 0, DRL_E_SHAPE);
    BAD_OWN(o.outputs = 2, DRL_E_SHAPE);
    BAD_OWN(d.form = DRL_FORM_CDRL, DRL_E_SHAPE);       /* an initializer halves images twice */
    drl_ctx_destroy(ctx);
}

/* -- energies of a U-Net -- */

/* An energy whose network has the shape of the initializer's. */
static drl_model_desc unet_desc(int vector)
{
    drl_model_desc d = coop_desc();
    d.energy_form = DRL_ENERGY_UNET;
    make_vectors(&d, 5);
    if (!vector) {
        d.height = 8;
        d.width = 4;
        d.channels = 2;
    }
    d.base = d.initializer = 8;
    d.blocks = d.initializer_blocks = 2;
    d.levels = 12;
    d.steps = 0;
    d.b2 = 0;
    d.initializer_form = DRL_INITIALIZER_VELOCITY;
    return d;
}

/* What goes with it: defaults, F = f, the size of steps. Its parameters are named as the initializer's. */
static void unet_defaults(int vector)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = unet_desc(vector), got;
    drl_model *m = coop_model(ctx, &d);
    const drl_schedule *s = drl_model_schedule(m);
    const drl_net *net = drl_model_net(m), *twin = drl_model_initializer(m);
    int k;
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.silu == 1 && got.no_spectral == 1 && got.resolutions == 1, "defaults of the network");
    CHECK(got.b2 == 0.8 && got.steps == 3 && s->rule == DRL_STEP_PROPOSAL, "defaults of chains");
    for (k = 0; k < d.levels; ++k) {
        double step = sqrt(0.8) * drl__schedule_proposal(s, k, k + 1);
        CHECK(fabs(drl_schedule_step(s, k) - step) < 1e-15 && drl__schedule_f_scale(s, k) == 1,
              "step of level %d", k);
    }
    CHECK(net->param_count == twin->param_count, "%d and %d blocks of weights",
          net->param_count, twin->param_count);
    for (k = 0; k < net->param_count; ++k) {
        const char *name = strchr(net->param[k].name, '.'), *other = strchr(twin->param[k].name, '.');
        CHECK(name && other && !strcmp(name, other) && !strncmp(net->param[k].name, "energy.", 7),
              "%s is %s", net->param[k].name, twin->param[k].name);
    }
    drl_model_destroy(m);
    for (d.levels = 24; d.levels <= 25; ++d.levels) {
        m = coop_model(ctx, &d);
        CHECK(drl_model_schedule(m)->b2 == (d.levels > 24 ? 0.3 : 0.8), "b2 of %d levels", d.levels);
        drl_model_destroy(m);
    }
    drl_ctx_destroy(ctx);
}

/* Without an initializer its chains start at proposals by the score, unless something else is asked for. */
static void unet_proposals(int vector)
{
    static const drl_proposal asked[3] = { DRL_PROPOSAL_AUTO, DRL_PROPOSAL_SCORE, DRL_PROPOSAL_NONE };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = unet_desc(vector);
    drl_sample_desc how = { 0 };
    float x[3][64];
    size_t size = (size_t)(d.height * d.width * d.channels) * sizeof(float);
    drl_model *m;
    int k;
    d.initializer = -1;
    m = coop_model(ctx, &d);
    for (k = 0; k < 3; ++k) {
        how.proposal = asked[k];
        CHECK_OK(ctx, drl_sample(m, &how, x[k]));
    }
    CHECK(!memcmp(x[0], x[1], size), "proposals by the score are the default");
    CHECK(memcmp(x[0], x[2], size), "chains without proposals are the same");
    how.proposal = DRL_PROPOSAL_AUTO;
    how.no_chain = 1;
    CHECK_OK(ctx, drl_sample(m, &how, x[1]));
    CHECK(memcmp(x[0], x[1], size), "proposals alone are the same as chains");
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Before training it is the standard normal density: F = -|y|^2 / 2, and the gradient is -y. */
static void unet_begins(int vector)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = unet_desc(vector);
    drl_model *m = make(ctx, &d, 6);
    drl_energy e = drl_model_energy(m);
    float y[64], gradient[64], f;
    double want = 0, worst = 0;
    int t, label = 1;
    size_t j;
    for (j = 0; j < e.size; ++j) {
        y[j] = (float)real(-2, 2);
        want -= 0.5 * (double)y[j] * (double)y[j];
    }
    for (t = 0; t < d.levels; ++t) {
        CHECK_OK(ctx, e.eval(e.user, 1, y, &t, &label, &f, gradient));
        for (j = 0; j < e.size; ++j) worst = fmax(worst, fabs((double)gradient[j] + (double)y[j]));
        CHECK(fabs((double)f - want) < 1e-6 * fabs(want) && worst < 1e-6,
              "level %d: F %g, not %g; gradient off by %g", t, (double)f, want, worst);
    }
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* f = -|y + net(y)|^2 / 2 with the net of an initializer that has the same weights; the gradient against
 * differences, whose error is of second order in 0.01; and files keep it. */
static void unet_energies(int vector)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = unet_desc(vector);
    drl_model *m = coop_model(ctx, &d), *again = NULL;
    drl_net *net = drl_model_net(m), *twin = drl_model_initializer(m);
    drl_energy e = drl_model_energy(m);
    float y[64], out[64], gradient[64], side[2], f, level;
    drl_batch b = drl_batch_of(1, y, &level);
    unsigned char *bytes;
    size_t size, n = (size_t)(d.height * d.width * d.channels), params = drl_net_params_size(net), j;
    double want = 0, worst = 0, most = 0;
    int t = 3, label = 2, k;
    for (j = 0; j < params; ++j) drl_net_params(net)[j] = (float)real(-0.3, 0.3);
    memcpy(drl_net_params(twin), drl_net_params(net), params * sizeof(float));
    drl_net_refresh(net, 0);
    drl_net_refresh(twin, 0);
    for (j = 0; j < n; ++j) y[j] = (float)real(-1, 1);
    level = drl__schedule_level(drl_model_schedule(m), t);
    b.label = &label;
    CHECK_OK(ctx, drl_net_forward(twin, &b, out));
    for (j = 0; j < n; ++j) want -= 0.5 * pow((double)y[j] + (double)out[j], 2);
    CHECK_OK(ctx, e.eval(e.user, 1, y, &t, &label, &f, gradient));
    CHECK(fabs((double)f - want) < 1e-5 * fabs(want), "vector %d: F is %.7f, by hand %.7f",
          vector, (double)f, want);
    for (j = 0; j < n; ++j) {
        float was = y[j];
        for (k = 0; k < 2; ++k) {
            y[j] = was + (k ? 0.01f : -0.01f);
            CHECK_OK(ctx, e.eval(e.user, 1, y, &t, &label, &side[k], NULL));
        }
        y[j] = was;
        worst = fmax(worst, fabs(((double)side[1] - (double)side[0]) / 0.02 - (double)gradient[j]));
        most = fmax(most, fabs((double)gradient[j]));
    }
    CHECK(most > 0.1 && worst < 0.01 * most, "vector %d: gradient off by %g of %g", vector, worst, most);
    bytes = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        e = drl_model_energy(again);
        CHECK_OK(ctx, e.eval(e.user, 1, y, &t, &label, &side[0], NULL));
        CHECK(side[0] == f && drl_model_schedule(again)->rule == DRL_STEP_PROPOSAL, "loaded, F is %g, not %g",
              (double)side[0], (double)f);
    }
    free(bytes);
    drl_model_destroy(again);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* -- scores of images -- */

/* A model and seven images, more than a batch. */
typedef struct score_case {
    drl_ctx *ctx;
    drl_model *m;
    const drl_schedule *sc;
    size_t size;
    int cooperative, t;
    const int *given;               /* labels, NULL without classes */
    const float *x;
    float score[AT_ONCE], work[AT_ONCE * (COOP_SIZE + IMAGE)];
} score_case;

/* The score of an image is f of level t at y = a abar_t x. The library rounds a abar_t to a float first. */
static void expect_scores(score_case *c)
{
    float y[AT_ONCE * (COOP_SIZE + IMAGE)], level[AT_ONCE], f[AT_ONCE];
    double scale = drl_schedule_scale(c->sc, c->t) * c->sc->abar[c->t];
    int i;
    size_t j;
    for (j = 0; j < AT_ONCE * c->size; ++j) {
        y[j] = (float)(scale * (double)c->x[j]);
        c->work[j] = (float)NAN;
    }
    for (i = 0; i < AT_ONCE; ++i) level[i] = drl__schedule_level(c->sc, c->t);
    CHECK_OK(c->ctx, drl__model_f(c->m, AT_ONCE, y, level, c->given, f, NULL));
    CHECK_OK(c->ctx, drl_model_score(c->m, c->t, AT_ONCE, c->x, c->given, c->score, c->work));
    for (i = 0; i < AT_ONCE; ++i) {
        double want = (double)f[i], is = (double)c->score[i];
        CHECK(fabs(is - want) <= 1e-5 * (0.01 + fabs(want)), "form %d: score %d is %g, f is %g",
              c->cooperative, i, is, want);
    }
}

/* One image at a time, the same bits; `work` then holds y, whose F is the score over step^2. */
static void expect_single_scores(score_case *c)
{
    drl_energy e = drl_model_energy(c->m);
    double step = drl_schedule_step(c->sc, c->t);
    int i, others = 0;
    for (i = 0; i < AT_ONCE; ++i) {
        const int *label = c->given ? c->given + i : NULL;
        const float *x = c->x + (size_t)i * c->size;
        float one, F;
        CHECK_OK(c->ctx, drl_model_score(c->m, c->t, 1, x, label, &one, c->work));
        CHECK(!memcmp(&one, c->score + i, sizeof one), "form %d: score %d alone is another",
              c->cooperative, i);
        CHECK_OK(c->ctx, e.eval(e.user, 1, c->work, &c->t, label, &F, NULL));
        CHECK(fabs((double)F * step * step - (double)one) <= 1e-5 * fabs((double)one),
              "form %d: F step^2 is %g, the score %g", c->cooperative, (double)F * step * step, (double)one);
        others += memcmp(c->score, c->score + i, sizeof one) != 0;
    }
    CHECK(!c->cooperative || others == 6, "different images score the same");
}

/* Without labels all images are of class 0. */
static void expect_scores_without_labels(score_case *c)
{
    float f[AT_ONCE];
    int i;
    CHECK_OK(c->ctx, drl_model_score(c->m, c->t, AT_ONCE, c->x, NULL, f, c->work));
    for (i = 0; i < AT_ONCE; ++i)
        CHECK((f[i] < c->score[i] || f[i] > c->score[i]) == (c->given[i] != 0), "score %d: class %d or none",
              i, c->given[i]);
}

static void expect_scores_refused(score_case *c)
{
    drl_model *m = c->m;
    float f[AT_ONCE];
    int t = c->t, n = AT_ONCE;
    REFUSED(c->ctx, drl_model_score(m, t, 0, c->x, c->given, f, c->work), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl_model_score(m, -1, n, c->x, c->given, f, c->work), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl_model_score(m, c->sc->levels, n, c->x, c->given, f, c->work), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl_model_score(m, t, n, NULL, c->given, f, c->work), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl_model_score(m, t, n, c->x, c->given, NULL, c->work), DRL_E_ARGUMENT);
    REFUSED(c->ctx, drl_model_score(m, t, n, c->x, c->given, f, NULL), DRL_E_ARGUMENT);
    CHECK(drl_model_score(NULL, t, n, c->x, c->given, f, c->work) == DRL_E_ARGUMENT, "no model");
}

/* Value j of a scorer is what step j writes; value -1 is the image. */
static int scorer_place(const drl_scorer *s, int j) { return j < 0 ? 0 : s->step[j].y; }

static int scorer_floats(const drl_scorer *s, int j)
{
    const drl_scorer_step *v = &s->step[j < 0 ? 0 : j];
    int pixels = v->h * v->w;
    if (j < 0) return s->height * s->width * s->channels;
    if (v->code == DRL_SCORER_CONV) return pixels * v->k;
    if (v->code == DRL_SCORER_HALVE) return pixels / 4 * v->c;
    if (v->code == DRL_SCORER_DOT) return 1;
    return v->code == DRL_SCORER_SUM ? v->c : pixels * v->c;
}

/* The last step that reads value j. */
static int scorer_last(const drl_scorer *s, int j)
{
    int place = scorer_place(s, j), last = j, r;
    for (r = j + 1; r < s->steps; ++r) {
        if (s->step[r].x == place || s->step[r].b == place) last = r;
        if (s->step[r].y == place) break;
    }
    return last;
}

/* Steps that work element by element write over x when they are its last reader. All others take the lowest
 * place with no value that they or later steps read. `work` ends where the highest value does. */
static void expect_lowest_places(const drl_scorer *s)
{
    int i, j, work = scorer_floats(s, -1), wrong = 0;
    for (i = 0; i < s->steps; ++i) {
        const drl_scorer_step *v = &s->step[i];
        int want = 0, n = scorer_floats(s, i);
        for (j = -1; j < i; ++j) {
            int place = scorer_place(s, j), end = place + scorer_floats(s, j);
            if (scorer_last(s, j) < i || place >= want + n || want >= end) continue;
            want = end;
            j = -2;                                             /* all again */
        }
        for (j = -1; j < i && v->code >= DRL_SCORER_LEAKY_RELU && v->code <= DRL_SCORER_ADD; ++j)
            if (scorer_place(s, j) == v->x && scorer_last(s, j) == i) want = v->x;
        wrong += v->y != want;
        if (v->y + n > work) work = v->y + n;
    }
    CHECK(!wrong, "%d of %d steps write elsewhere than they should", wrong, s->steps);
    CHECK(s->work == work, "%d floats of work; the highest value ends at %d", s->work, work);
}

/* A scorer of each image's class gives the same bits, and uses as many floats of `work` as it says. */
static void expect_scorers(const score_case *c)
{
    float work[AT_ONCE * (COOP_SIZE + IMAGE)], score;
    int i, j;
    for (i = 0; i < AT_ONCE; ++i) {
        drl_scorer *s = NULL;
        const float *x = c->x + (size_t)i * c->size;
        CHECK_OK(c->ctx, drl_scorer_create(c->m, c->t, c->given ? c->given[i] : 0, &s));
        if (!s) return;
        expect_lowest_places(s);
        for (j = 0; j < AT_ONCE * (COOP_SIZE + IMAGE); ++j) work[j] = (float)NAN;
        CHECK(drl_scorer_run(s, x, &score, work) == DRL_OK, "a scorer fails");
        CHECK(!memcmp(&score, c->score + i, sizeof score), "form %d: the scorer says %g, the model %g",
              c->cooperative, (double)score, (double)c->score[i]);
        for (j = 0; j < AT_ONCE * (COOP_SIZE + IMAGE); ++j)
            if (work[j] == work[j] && j >= s->work) break;
        CHECK(j == AT_ONCE * (COOP_SIZE + IMAGE), "work [%d] is written, it has %d", j, s->work);
        drl_scorer_destroy(s);
    }
}

/* At any batch and number of threads; with two threads at the highest level. */
static void scores(int cooperative)
{
    drl_model_desc d = cooperative ? coop_desc() : tiny();
    float x[AT_ONCE * (COOP_SIZE + IMAGE)], first[AT_ONCE];
    score_case c;
    int threads;
    size_t j;
    memset(&c, 0, sizeof c);
    c.size = (size_t)(d.height * d.width * d.channels);
    c.cooperative = cooperative;
    c.given = cooperative ? image_labels : NULL;
    c.x = x;
    for (j = 0; j < AT_ONCE * c.size; ++j) x[j] = (float)real(-1, 1);
    for (threads = 1; threads <= 3; ++threads) {
        c.ctx = context(DRL_ISA_AUTO, threads, NULL);
        d.batch = 4 - threads;
        test_seed = 41;
        c.m = cooperative ? coop_model(c.ctx, &d) : make(c.ctx, &d, 6);
        if (!cooperative) randomize(c.m, 1);
        c.sc = drl_model_schedule(c.m);
        c.t = threads == 2 ? c.sc->levels - 1 : 0;
        expect_scores(&c);
        if (threads == 1) memcpy(first, c.score, sizeof first);
        CHECK(c.t || !memcmp(first, c.score, sizeof first),
              "form %d: %d threads and a batch of %d give other bits", cooperative, threads, d.batch);
        expect_single_scores(&c);
        if (cooperative) expect_scores_without_labels(&c);
        expect_scorers(&c);
        expect_scores_refused(&c);
        drl_model_destroy(c.m);
        drl_ctx_destroy(c.ctx);
    }
}

/* Vectors, and networks of the program's own: where operands change places, both depend on the images, or
 * an operator has no step. */
enum { SCORER_SWAPPED, SCORER_BOTH, SCORER_STEPS, SCORER_SILU = SCORER_STEPS, SCORER_MAX, SCORER_CONSTANT,
       SCORER_NETS };
static void scorer_build(drl_net *net, void *user)
{
    int kind = *(const int *)user;
    drl_value x = drl_net_input(net, 4, 4, 2), e = drl_net_level(net, 4), h, v;
    drl_layer_desc l;
    memset(&l, 0, sizeof l);
    l.name = "first";
    l.out_channels = 4;
    h = drl_net_act(net, drl_net_conv2d(net, x, &l), kind == SCORER_SILU ? DRL_ACT_SILU : DRL_ACT_RELU);
    h = drl_net_gain(net, drl_net_shift(net, h, e), "gain");
    h = kind == SCORER_MAX ? drl_net_maxpool2(net, h) : drl_net_avgpool2(net, h);
    v = drl_net_spatial_sum(net, h, 0.3f);
    l.name = "vector";
    l.no_bias = 1;
    l.kernel = 3;
    e = drl_net_add(net, e, drl_net_conv2d(net, v, &l));        /* a constant first */
    if (kind == SCORER_BOTH) {
        h = drl_net_shift(net, h, e);
        h = drl_net_add(net, drl_net_act(net, h, DRL_ACT_LEAKY_RELU), h);
        drl_net_dot(net, h, h);
    }
    else if (kind == SCORER_CONSTANT) drl_net_dot(net, drl_net_level(net, 4), drl_net_level(net, 4));
    else drl_net_dot(net, drl_net_level(net, 4), e);
}

static void scorer_of(drl_ctx *ctx, const drl_model_desc *d, const char *what)
{
    drl_model *m = make(ctx, d, 3);
    size_t used = drl_ctx_bytes_used(ctx);
    int t, j;
    randomize(m, 1);
    for (t = 0; t < 3; ++t) {
        drl_scorer *s = NULL;
        float x[64], work[512], score = 1, again = 2;
        for (j = 0; j < 64; ++j) x[j] = (float)real(-1, 1);
        CHECK_OK(ctx, drl_scorer_create(m, t, 0, &s));
        CHECK_OK(ctx, drl_model_score(m, t, 1, x, NULL, &score, work));
        if (!s) continue;
        CHECK(s->work <= 512 && drl_scorer_run(s, x, &again, work) == DRL_OK, "%s: %d floats", what, s->work);
        CHECK(!memcmp(&score, &again, sizeof score), "%s, level %d: the scorer says %g, the model %g", what,
              t, (double)again, (double)score);
        expect_lowest_places(s);
        drl_scorer_destroy(s);
    }
    CHECK(drl_ctx_bytes_used(ctx) == used, "%s: scorers leave %d bytes", what,
          (int)(drl_ctx_bytes_used(ctx) - used));
    drl_model_destroy(m);
}

/* A scorer takes a block for its plan and one for itself. Without either there is no scorer, and nothing is
 * kept. */
static void scorer_without_memory(void)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_model_desc d = tiny();
    drl_model *m;
    drl_scorer *s = NULL;
    long live;
    int fail;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    make_vectors(&d, 64);
    m = make(ctx, &d, 3);
    live = heap.live;
    for (fail = 1; fail <= 2; ++fail) {
        heap.fail_at = heap.calls + fail;
        REFUSED(ctx, drl_scorer_create(m, 0, 0, &s), DRL_E_MEMORY);
        CHECK(!s && heap.live == live, "allocation %d fails: %ld blocks are left", fail, heap.live - live);
    }
    heap.fail_at = 0;
    CHECK_OK(ctx, drl_scorer_create(m, 0, 0, &s));
    drl_scorer_destroy(s);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void scorers(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny();
    drl_scorer *s = NULL;
    int kind;
    make_vectors(&d, 64);
    scorer_of(ctx, &d, "vectors");
    d.no_spectral = 1;
    scorer_of(ctx, &d, "vectors without spectral norms");
    for (kind = 0; kind < SCORER_NETS; ++kind) {
        drl_model *m;
        memset(&d, 0, sizeof d);
        d.height = 4;
        d.channels = 2;
        d.levels = 3;
        d.build = scorer_build;
        d.build_user = &kind;
        if (kind < SCORER_STEPS) scorer_of(ctx, &d, kind == SCORER_BOTH ? "both" : "swapped");
        if (kind < SCORER_STEPS) continue;
        m = make(ctx, &d, 3);
        REFUSED(ctx, drl_scorer_create(m, 0, 0, &s), DRL_E_UNSUPPORTED);
        CHECK(!s, "a result after a failure");
        drl_model_destroy(m);
    }
    drl_ctx_destroy(ctx);
}

/* -- memory -- */

/* A model of the demo's kind, with a batch of 32 and for training, is 110 MB: no address space is too small
 * for it. */
static void small_machine(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d;
    size_t bytes = 0;
    memset(&d, 0, sizeof d);
    d.form = DRL_FORM_CDRL;
    d.height = 16;
    d.channels = 4;
    d.base = 16;
    d.classes = 10;
    d.trainable = 1;
    CHECK_OK(ctx, drl_model_size(ctx, &d, &bytes));
    CHECK(bytes > 10000000 && bytes < 200000000, "%lu bytes", (unsigned long)bytes);
    drl_ctx_destroy(ctx);
}

/* A sampler is one allocation, and running it none. */
static void expect_one_allocation(drl_ctx *ctx, drl_model *m, const drl_sample_desc *how, check_heap *heap)
{
    float out[SAMPLES * IMAGE];
    drl_sampler *s = NULL;
    long calls;
    CHECK_OK(ctx, drl_sampler_create(m, how, &s));
    calls = heap->calls;
    CHECK(drl_sampler_run(s, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
    drl_net_refresh(drl_model_net(m), 1);
    CHECK(heap->calls == calls, "sampling made %ld allocations", heap->calls - calls);
    drl_sampler_destroy(s);
    CHECK_OK(ctx, drl_sample(m, how, out));
    CHECK(heap->calls == calls + 1, "drl_sample made %ld allocations", heap->calls - calls);
    heap->fail_at = heap->calls + 1;
    REFUSED(ctx, drl_sample(m, how, out), DRL_E_MEMORY);
    heap->fail_at = 0;
}

/* Creating a model whose allocation number `fail` fails: nothing is left. Returns whether there was none to
 * fail: then the model holds as many bytes as were announced. */
static int create_with_failure(const drl_model_desc *d, const drl_sample_desc *how, int fail)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_model *m = NULL;
    drl_status status;
    size_t bytes = 0, used, held;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    CHECK_OK(ctx, drl_model_size(ctx, d, &bytes));
    used = drl_ctx_bytes_used(ctx);
    held = heap.bytes;
    heap.fail_at = heap.calls + fail;
    status = drl_model_create(ctx, d, 1, &m);
    heap.fail_at = 0;
    if (status == DRL_OK) {
        CHECK(drl_ctx_bytes_used(ctx) - used == bytes && heap.bytes - held == bytes,
              "%d bytes are held, %d were announced", (int)(heap.bytes - held), (int)bytes);
        expect_one_allocation(ctx, m, how, &heap);
        drl_model_destroy(m);
    } else
        CHECK(status == DRL_E_MEMORY && drl_ctx_status(ctx) == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !m,
              "allocation %d fails: status %d", fail, (int)status);
    CHECK(heap.bytes == held && drl_ctx_bytes_used(ctx) == used, "allocation %d: %d bytes leaked",
          fail, (int)(heap.bytes - held));
    heap.fail_at = heap.calls + 1;          /* counting needs memory, too */
    bytes = 4711;
    REFUSED(ctx, drl_model_size(ctx, d, &bytes), DRL_E_MEMORY);
    CHECK(bytes == 4711 && heap.bytes == held, "a failed size leaks or writes");
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    return status == DRL_OK;
}

static void memory(int cooperative, int trainable)
{
    static const int labels[SAMPLES] = { 2, 1, 0, 0, 1, 2 };
    drl_model_desc d = cooperative ? coop_desc() : tiny();
    drl_sample_desc how;
    int fail = 1;
    memset(&how, 0, sizeof how);
    how.count = SAMPLES;
    if (cooperative) {
        how.labels = labels;
        how.guidance = 0.5f;
    }
    d.trainable = trainable;
    while (fail < 20 && !create_with_failure(&d, &how, fail)) ++fail;
    CHECK(fail > 1 && fail < 20, "a model takes %d allocations", fail - 1);
}

/* A context in a block at any address, with room for a model and its sampler, or one byte less. */
static void in_block(const drl_sample_desc *how, size_t bytes, size_t used, int less, int offset,
                     const float *want)
{
    unsigned char *block = (unsigned char *)malloc(bytes + 16);
    drl_ctx_desc cd;
    drl_ctx *ctx = NULL;
    drl_model_desc d = tiny();
    drl_model *m = NULL;
    drl_sampler *s = NULL;
    drl_status status;
    float out[SAMPLES * IMAGE];
    int i;
    if (!block) exit(3);
    memset(block, 0xA5, bytes + 16);
    memset(&cd, 0, sizeof cd);
    cd.memory = block + offset;
    cd.memory_size = bytes - (size_t)less;
    CHECK(drl_ctx_create(&cd, &ctx) == DRL_OK, "no context in the block");
    CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
    status = drl_sampler_create(m, how, &s);
    CHECK(status == (less ? DRL_E_MEMORY : DRL_OK), "%d byte less: %s", less, drl_ctx_message(ctx));
    if (!less) {
        CHECK(drl_sampler_run(s, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
        for (i = 0; i < SAMPLES; ++i) drl_sampler_image(s, i, out + i * IMAGE);
        CHECK(!memcmp(want, out, sizeof out), "in a block: other bits");
    }
    drl_model_destroy(m);                           /* out of order: all comes back all the same */
    drl_sampler_destroy(s);
    CHECK(drl_ctx_bytes_used(ctx) == used, "%d bytes are still in use",
          (int)(drl_ctx_bytes_used(ctx) - used));
    m = NULL;
    if (!less) CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    CHECK(block[bytes + (size_t)offset - (size_t)less] == 0xA5 && block[bytes + 15] == 0xA5 &&
          (!offset || block[0] == 0xA5), "bytes outside of the block were written");
    free(block);
}

static void block(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny();
    drl_model *m = make(ctx, &d, 1);
    drl_sampler *s = NULL;
    drl_sample_desc how;
    float want[SAMPLES * IMAGE];
    size_t bytes, used;
    int less, offset;
    memset(&how, 0, sizeof how);
    how.count = SAMPLES;
    CHECK_OK(ctx, drl_sample(m, &how, want));
    CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
    bytes = drl_ctx_bytes_used(ctx);
    drl_sampler_destroy(s);
    drl_model_destroy(m);
    used = drl_ctx_bytes_used(ctx);
    drl_ctx_destroy(ctx);
    for (less = 0; less < 2; ++less)
        for (offset = 0; offset < 3; ++offset) in_block(&how, bytes, used, less, offset, want);
}

/* -- files -- */

/* A model with random weights, its samples, and its file in memory. */
typedef struct file_case {
    int form;
    check_heap heap;
    long live;                              /* blocks, with the model */
    drl_ctx *ctx;
    drl_model_desc d;
    drl_model *m;
    drl_sample_desc how;
    float want[SAMPLES * IMAGE];
    unsigned char *bytes, *copy;            /* the file, and room for it and 64 bytes more */
    size_t size;
} file_case;

static void file_begin(file_case *c, int form)
{
    memset(c, 0, sizeof *c);
    c->form = form;
    c->ctx = context(DRL_ISA_AUTO, 1, &c->heap);
    c->d = tiny();
    c->d.b2 = 3.1e-4;
    c->d.noise_scale = 0.95f;
    if (form == DRL_FORM_CDRL) {
        cdrl(&c->d);
        c->d.classes = 2;
    }
    c->m = make(c->ctx, &c->d, 1);
    randomize(c->m, 1);
    c->how.count = SAMPLES;
    c->how.seed = 8;
    CHECK_OK(c->ctx, drl_sample(c->m, &c->how, c->want));
    c->live = c->heap.live;
    c->bytes = saved(c->ctx, c->m, &c->size);
    CHECK(c->heap.live == c->live, "saving leaks %ld blocks", c->heap.live - c->live);
    c->copy = (unsigned char *)malloc(c->size + 64);
    if (!c->copy) exit(3);
    memcpy(c->copy, c->bytes, c->size);
}

static void file_end(file_case *c)
{
    free(c->bytes);
    free(c->copy);
    drl_model_destroy(c->m);
    drl_ctx_destroy(c->ctx);
    CHECK(c->heap.live == 0 && c->heap.bytes == 0, "%ld blocks are left", c->heap.live);
}

static void expect_samples(file_case *c, drl_model *m, const char *what)
{
    float out[SAMPLES * IMAGE];
    CHECK_OK(c->ctx, drl_sample(m, &c->how, out));
    CHECK(!memcmp(c->want, out, sizeof out), "%s: other samples", what);
}

/* Energies of two images at levels 0 and 2. */
static void two_energies(file_case *c, drl_model *m, float *f)
{
    static const float level[2] = { 0, 2 };
    CHECK_OK(c->ctx, drl__model_f(m, 2, c->want, level, NULL, f, NULL));
}

static void expect_description(const file_case *c, const drl_model *m, const drl_model_desc *use)
{
    const drl_model_desc *d = &c->d;
    drl_model_desc got;
    CHECK_OK(c->ctx, drl_model_describe(m, &got));
    CHECK(got.height == d->height && got.width == d->width && got.channels == d->channels, "other images");
    CHECK(got.base == d->base && got.blocks == d->blocks && got.resolutions == d->resolutions &&
          !memcmp(got.mult, d->mult, sizeof d->mult), "another network");
    CHECK(got.levels == d->levels && got.steps == d->steps && got.b2 == d->b2 &&
          got.noise_scale == d->noise_scale, "other chains");
    CHECK(got.form == d->form && got.initializer == d->initializer && !got.initializer_blocks &&
          got.classes == d->classes, "another form");
    CHECK(got.no_spectral == (c->form == DRL_FORM_DRL) && got.batch == (use ? use->batch : 32) &&
          got.trainable == (use && use->trainable), "batch %d, trainable %d", got.batch, got.trainable);
}

/* From memory at any address, which may go afterwards, with the caller's batch or the default; and saved and
 * loaded again. */
static void file_in_memory(int form)
{
    file_case c;
    int i;
    file_begin(&c, form);
    for (i = 0; i < 3; ++i) {
        drl_model_desc use;
        drl_model *again = NULL;
        unsigned char *second;
        float f[2], f_again[2];
        size_t size;
        memcpy(c.copy + i, c.bytes, c.size);
        memset(&use, 0, sizeof use);
        use.batch = i;
        use.trainable = i == 2;
        CHECK_OK(c.ctx, drl_model_load_memory(c.ctx, c.copy + i, c.size, i ? &use : NULL, &again));
        if (!again) break;
        memset(c.copy, 0xff, c.size + 64);
        expect_description(&c, again, i ? &use : NULL);
        expect_samples(&c, again, "loaded from memory");
        two_energies(&c, c.m, f);
        two_energies(&c, again, f_again);
        CHECK(!memcmp(f, f_again, sizeof f), "loaded from memory: other energies");
        second = saved(c.ctx, again, &size);
        CHECK(size > c.size / 2, "saved again: %d bytes", (int)size);
        drl_model_destroy(again);
        again = NULL;
        CHECK_OK(c.ctx, drl_model_load_memory(c.ctx, second, size, NULL, &again));
        expect_samples(&c, again, "saved and loaded twice");
        drl_model_destroy(again);
        free(second);
    }
    file_end(&c);
}

/* What saving does to a disk: the file is synchronized, renamed, and its directory synchronized, also where
 * the path names none. No descriptor stays open. */
#if defined(__unix__) || defined(__APPLE__)
static void expect_on_disk(const file_case *c, const char *path)
{
    char folder[256];
    int descriptor = next_descriptor();
    struct stat there;
    memcpy(folder, path, strlen(path) + 1);
    if (strchr(folder, '/')) *strrchr(folder, '/') = 0;
    else strcpy(folder, ".");
    memset(trail, 0, sizeof trail);
    trail_n = 0;
    CHECK_OK(c->ctx, drl_model_save(c->m, DRL_DTYPE_F32, path));
    CHECK(!strcmp(trail, "frd"), "saving does '%s'", trail);
    CHECK(stat(folder, &there) == 0 && there.st_ino == trail_last.st_ino && there.st_dev == trail_last.st_dev,
          "another directory than %s is synchronized", folder);
    memset(trail, 0, sizeof trail);
    trail_n = 0;
    CHECK_OK(c->ctx, drl_file_write(c->ctx, "drl_here.tmp", folder, 1));
    CHECK(!strcmp(trail, "frd") && stat(".", &there) == 0 && there.st_ino == trail_last.st_ino,
          "writing without a directory's name does '%s'", trail);
    remove("drl_here.tmp");
    CHECK(next_descriptor() == descriptor, "saving leaves a file open: descriptor %d is next, it was %d",
          next_descriptor(), descriptor);
}
#else
static void expect_on_disk(const file_case *c, const char *path)
{
    CHECK_OK(c->ctx, drl_model_save(c->m, DRL_DTYPE_F32, path));
}
#endif

/* Through a file, which has the same bytes; and what is refused. */
static void file_on_disk(int form)
{
    const char *path = check_path("test_model.safetensors");
    file_case c;
    drl_model *again = NULL;
    void *data = NULL;
    size_t size = 0;
    file_begin(&c, form);
    expect_on_disk(&c, path);
    CHECK_OK(c.ctx, drl_file_read(c.ctx, path, &data, &size));
    CHECK(data && size == c.size && !memcmp(data, c.bytes, size), "the file has %d bytes, in memory %d",
          (int)size, (int)c.size);
    drl_file_free(c.ctx, data);
    CHECK_OK(c.ctx, drl_model_load(c.ctx, path, NULL, &again));
    if (again) expect_samples(&c, again, "loaded from a file");
    drl_model_destroy(again);
    again = NULL;
    remove(path);
    REFUSED(c.ctx, drl_model_load(c.ctx, path, NULL, &again), DRL_E_IO);
    REFUSED(c.ctx, drl_model_save(c.m, DRL_DTYPE_F32, "no/such/folder/model.safetensors"), DRL_E_IO);
    REFUSED(c.ctx, drl_model_save(c.m, DRL_DTYPE_F32, NULL), DRL_E_ARGUMENT);
    REFUSED(c.ctx, drl_model_save_memory(c.m, DRL_DTYPE_F32, c.copy, c.size - 1, &size), DRL_E_SHAPE);
    REFUSED(c.ctx, drl_model_load_memory(c.ctx, NULL, c.size, NULL, &again), DRL_E_ARGUMENT);
    REFUSED(c.ctx, drl_model_load_memory(c.ctx, c.bytes, c.size, NULL, NULL), DRL_E_ARGUMENT);
    CHECK(!again, "a refused model was written");
    file_end(&c);
}

/* Weights alone, into a model of the same description: the same f. Into another one: refused, unchanged. */
static void file_of_weights(int form)
{
    file_case c;
    drl_safetensors *st = NULL;
    drl_model_desc other;
    drl_model *again;
    float f[2], f_again[2];
    file_begin(&c, form);
    other = c.d;
    if (form == DRL_FORM_DRL) other.no_spectral = 1;            /* the norm is in the file's weights */
    again = make(c.ctx, &other, 77);
    CHECK_OK(c.ctx, drl_safetensors_open_memory(c.ctx, c.bytes, c.size, &st));
    CHECK_OK(c.ctx, drl_model_load_weights(again, st));
    two_energies(&c, c.m, f);
    two_energies(&c, again, f_again);
    CHECK(!memcmp(f, f_again, sizeof f), "weights loaded into a model: other energies");
    drl_model_destroy(again);
    other.mult[1] = 3;
    again = make(c.ctx, &other, 77);
    two_energies(&c, again, f);
    REFUSED(c.ctx, drl_model_load_weights(again, st), DRL_E_SHAPE);
    two_energies(&c, again, f_again);
    CHECK(!memcmp(f, f_again, sizeof f), "a refused file has changed weights");
    REFUSED(c.ctx, drl_model_load_weights(again, NULL), DRL_E_ARGUMENT);
    CHECK(drl_model_load_weights(NULL, st) == DRL_E_ARGUMENT, "no model");
    drl_model_destroy(again);
    drl_safetensors_close(st);
    file_end(&c);
}

/* drl_net_load: a file that does not fit, in shapes or in names, changes nothing. */
static void file_of_another_net(int form)
{
    file_case c;
    drl_safetensors *st = NULL;
    int i;
    file_begin(&c, form);
    CHECK_OK(c.ctx, drl_safetensors_open_memory(c.ctx, c.bytes, c.size, &st));
    for (i = 0; i < 2; ++i) {
        drl_model_desc other = c.d;
        drl_model *m;
        drl_net *net;
        size_t n;
        float *before;
        drl_status want = i ? DRL_E_FORMAT : DRL_E_SHAPE;
        if (i) other.blocks = 3;
        else other.base = 8;
        m = make(c.ctx, &other, 2);
        net = drl_model_net(m);
        n = drl_net_params_size(net);
        before = floats(n);
        memcpy(before, drl_net_params(net), n * sizeof *before);
        REFUSED(c.ctx, drl_net_load(net, st), want);
        REFUSED(c.ctx, drl_net_load(net, NULL), DRL_E_ARGUMENT);
        CHECK(!memcmp(before, drl_net_params(net), n * sizeof *before), "a refused file has changed weights");
        free(before);
        drl_model_destroy(m);
    }
    drl_safetensors_close(st);
    file_end(&c);
}

/* Every allocation of loading and of saving fails once. */
static void file_without_memory(int form)
{
    const char *path = check_path("test_model.safetensors");
    file_case c;
    int saving, fail;
    file_begin(&c, form);
    for (saving = 0; saving < 2; ++saving) {
        for (fail = 1; fail < 30; ++fail) {
            drl_model *again = NULL;
            drl_status status;
            drl_ctx_clear(c.ctx);
            c.heap.fail_at = c.heap.calls + fail;
            status = saving ? drl_model_save(c.m, DRL_DTYPE_F32, path)
                            : drl_model_load_memory(c.ctx, c.bytes, c.size, NULL, &again);
            c.heap.fail_at = 0;
            if (status == DRL_OK) drl_model_destroy(again);
            CHECK(c.heap.live == c.live, "allocation %d fails: %ld blocks leaked",
                  fail, c.heap.live - c.live);
            if (status == DRL_OK) break;
            CHECK(status == DRL_E_MEMORY && drl_ctx_message(c.ctx)[0] && !again,
                  "allocation %d fails: status %d", fail, (int)status);
        }
        CHECK(fail > (saving ? 1 : 3) && fail < 30, "%s makes %d allocations",
              saving ? "saving" : "loading", fail - 1);
    }
    remove(path);
    file_end(&c);
}

/* Truncated at any byte of the first 4000 and at many others, or with a byte left over. */
static void file_cut(int form)
{
    file_case c;
    drl_model *again = NULL;
    size_t k;
    file_begin(&c, form);
    for (k = 0; k < c.size; k += k < 4000 ? 1 : 97) {
        drl_status status;
        drl_ctx_clear(c.ctx);
        status = drl_model_load_memory(c.ctx, c.copy, k, NULL, &again);
        if (status != DRL_E_FORMAT || !drl_ctx_message(c.ctx)[0] || again || c.heap.live != c.live) break;
    }
    CHECK(k >= c.size, "cut to %d bytes: status %d, %ld blocks leaked",
          (int)k, (int)drl_ctx_status(c.ctx), c.heap.live - c.live);
    REFUSED(c.ctx, drl_model_load_memory(c.ctx, c.copy, c.size + 1, NULL, &again), DRL_E_FORMAT);
    file_end(&c);
}

/* Bits of the header flipped in turn: refused, or a model that can be thrown away. */
static void file_flipped(int form)
{
    file_case c;
    drl_model_desc use;
    size_t header, bit;
    long refused = 0, taken = 0;
    file_begin(&c, form);
    header = 8 + (size_t)c.bytes[0] + ((size_t)c.bytes[1] << 8);
    CHECK(header < c.size && c.bytes[2] == 0, "header of %d bytes", (int)header);
    memset(&use, 0, sizeof use);
    use.batch = 1;
    for (bit = 0; bit < header * 8; bit += form == DRL_FORM_CDRL ? 13 : 3) {
        drl_model *again = NULL;
        drl_status status;
        c.copy[bit / 8] = (unsigned char)(c.copy[bit / 8] ^ (1 << bit % 8));
        drl_ctx_clear(c.ctx);
        status = drl_model_load_memory(c.ctx, c.copy, c.size, &use, &again);
        c.copy[bit / 8] = c.bytes[bit / 8];
        if (status == DRL_OK) {
            ++taken;
            drl_model_destroy(again);
        } else {
            ++refused;
            if (again || !drl_ctx_message(c.ctx)[0]) break;
        }
        if (c.heap.live != c.live) break;
    }
    CHECK(bit >= header * 8, "bit %d flipped: '%s', %ld blocks leaked",
          (int)bit, drl_ctx_message(c.ctx), c.heap.live - c.live);
    CHECK(refused > 20 * taken, "%ld flipped headers were refused, %ld taken", refused, taken);
    file_end(&c);
}

/* Writes tensors and a description (NULL: none) to a file in memory, and loads it. A model that is loaded is
 * thrown away. */
static drl_status load_written(file_case *c, const drl_array *arrays, int count, const char *text)
{
    const char *meta[2];
    drl_safetensors_desc w;
    drl_model_desc use;
    drl_model *again = NULL;
    drl_status status;
    unsigned char *file;
    size_t size = 0;
    long live;
    meta[0] = "drl.model";
    meta[1] = text;
    memset(&w, 0, sizeof w);
    w.arrays = arrays;
    w.count = (size_t)count;
    w.meta = meta;
    w.meta_count = text != NULL;
    CHECK_OK(c->ctx, drl_safetensors_write_memory(c->ctx, &w, NULL, 0, &size));
    file = (unsigned char *)malloc(size + 1);
    if (!file) exit(3);
    CHECK_OK(c->ctx, drl_safetensors_write_memory(c->ctx, &w, file, size, &size));
    live = c->heap.live;
    memset(&use, 0, sizeof use);
    use.batch = 1;
    drl_ctx_clear(c->ctx);
    status = drl_model_load_memory(c->ctx, file, size, &use, &again);
    CHECK((status == DRL_OK) == (again != NULL) && (status == DRL_OK || drl_ctx_message(c->ctx)[0]),
          "status %d, '%s'", (int)status, drl_ctx_message(c->ctx));
    drl_model_destroy(again);
    CHECK(c->heap.live == live, "%ld blocks leaked", c->heap.live - live);
    free(file);
    return status;
}

/* One tensor too few, too many, of another name, another shape or one axis more; no description. */
static void file_of_other_tensors(int form)
{
    file_case c;
    drl_safetensors *st = NULL;
    drl_array arrays[160], first;
    const char *text;
    int n, i;
    file_begin(&c, form);
    CHECK_OK(c.ctx, drl_safetensors_open_memory(c.ctx, c.bytes, c.size, &st));
    n = (int)drl_safetensors_contents(st)->count;
    text = drl__safetensors_meta(st, "drl.model");
    CHECK(n < 150 && text, "%d tensors", n);
    for (i = 0; i < n && i < 150; ++i) arrays[i] = drl_safetensors_contents(st)->arrays[(size_t)i];
    CHECK(load_written(&c, arrays, n, text) == DRL_OK, "written again: %s", drl_ctx_message(c.ctx));
    CHECK(load_written(&c, arrays, n - 1, text) == DRL_E_FORMAT, "one tensor too few");
    arrays[n] = arrays[0];
    arrays[n].name = "another";
    CHECK(load_written(&c, arrays, n + 1, text) == DRL_E_FORMAT, "one tensor too many");
    first = arrays[0];
    arrays[0].name = "other";
    CHECK(load_written(&c, arrays, n, text) == DRL_E_FORMAT, "another name");
    arrays[0] = first;
    arrays[0].rank = 1;
    arrays[0].shape[0] = drl_array_count(&first);
    CHECK(load_written(&c, arrays, n, text) == DRL_E_SHAPE, "another shape");
    arrays[0] = first;
    arrays[0].shape[arrays[0].rank++] = 1;
    CHECK(load_written(&c, arrays, n, text) == DRL_E_SHAPE, "one axis more");
    arrays[0] = first;
    CHECK(load_written(&c, arrays, n, NULL) == DRL_E_FORMAT, "no description");
    drl_safetensors_close(st);
    file_end(&c);
}

/* Descriptions that do not fit the tensors, or say nothing. Only images of another size need the same
 * weights. */
static void file_of_another_description(int form)
{
    static const char *const changes[][2] = {
        { "height=4", "height=8" },
        { "base=6", "base=8" },
        { "base=6", "base=65536" },
        { "blocks=2", "blocks=1" },
        { "levels=3", "levels=-3" },
        { "levels=3", "level=3" },
        { "steps=4", "steps=65536" },
        { "resolutions=2", "resolutions=30" },
        { "channels=3", "channels=3 channels=3" },
        { "width=6", "width=6.5" },
        { "height=4 ", "" },
        { "height=4 width=6", "height=65536 width=65536" },
        { "form=1", "form=0" },                             /* CDRL's only, from here on */
        { "form=1 ", "" },
        { "form=1", "form=2" },
        { "form=1", "form=257" },                           /* 1, where enumerations are bytes */
        { "initializer=-1", "initializer=8" },
        { "classes=2", "classes=3" },
        { "classes=2", "classes=-2" } };
    file_case c;
    drl_safetensors *st = NULL;
    const char *text;
    int i;
    file_begin(&c, form);
    CHECK_OK(c.ctx, drl_safetensors_open_memory(c.ctx, c.bytes, c.size, &st));
    text = drl__safetensors_meta(st, "drl.model");
    CHECK(text && strlen(text) < DRL__DESCRIBE_MAX - 40, "description");
    for (i = 0; text && i < (form == DRL_FORM_CDRL ? (int)DRL__COUNT(changes) : 12); ++i) {
        const char *at = strstr(text, changes[i][0]);
        char changed[DRL__DESCRIBE_MAX];
        drl_status status;
        CHECK(at != NULL, "no %s in '%s'", changes[i][0], text);
        if (!at) continue;
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, changes[i][1],
                 at + strlen(changes[i][0]));
        status = load_written(&c, drl_safetensors_contents(st)->arrays,
                              (int)drl_safetensors_contents(st)->count, changed);
        CHECK((status == DRL_OK) == (i == 0), "'%s': status %d", changed, (int)status);
        if (strstr(changed, "width=65536"))         /* before so much memory is asked for */
            CHECK(status == DRL_E_FORMAT, "images of 65536 x 65536: status %d", (int)status);
    }
    drl_safetensors_close(st);
    file_end(&c);
}

/* -- descriptions as texts -- */

/* Numbers in the texts of files: what is written comes back, and what is no number, or not exact in a double,
 * is refused. */
static void numbers(void)
{
    static const double some[] = { 0, -1.5, 2e-4, 1e-5, -3e-6, 1e22, 1.0 / 3, 123456789, 1e300, 4.9e-324 };
    static const struct { const char *text; double value; } good[] = {
        { "1e-5", 1e-5 }, { "-2.5e3", -2500 }, { "1e22", 1e22 }, { "1e-22", 1e-22 }, { "1e0", 1 },
        { "1e09", 1e9 }, { "0.90", 0.9 }, { "123456789012345", 123456789012345.0 },
        { "x3ff8000000000000", 1.5 } };
    static const char *const bad[] = {
        "", "-", "e5", ".", "1e", "1e-", "1e+5", "1e23", "1e-23", "1e:", "1e/", ":", "/", "1e-:",
        "1e999999999999", "1234567890123456", "x3ff", "x3FF8000000000000" };
    size_t i;
    for (i = 0; i < sizeof some / sizeof some[0]; ++i) {
        char text[32];
        double back = -1;
        const char *end;
        drl__number_text(text, sizeof text, some[i]);
        end = drl__parse_number(text, &back);
        CHECK(end && !*end && !memcmp(&back, &some[i], sizeof back), "%g was written as %s", some[i], text);
    }
    for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
        double value = -1;
        const char *end = drl__parse_number(good[i].text, &value);
        CHECK(end && !*end && value == good[i].value, "%s is read as %g", good[i].text, value);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        double value = -1;
        CHECK(!drl__parse_number(bad[i], &value) && value == -1, "'%s' is read as %g", bad[i], value);
    }
}

/* A description with a field of each type. */
typedef struct plain { int i; uint64_t u; float f; double d; int mult[DRL_RESOLUTIONS_MAX]; } plain;
static const drl__field plain_fields[] = {
    { "i",    DRL__INT,    offsetof(plain, i),    0, 0, 0, DRL__ANY },
    { "u",    DRL__U64,    offsetof(plain, u),    0, 0, 0, DRL__ANY },
    { "f",    DRL__FLOAT,  offsetof(plain, f),    0, 0, 0, DRL__ANY },
    { "d",    DRL__DOUBLE, offsetof(plain, d),    0, 0, 0, DRL__ANY },
    { "mult", DRL__MULT,   offsetof(plain, mult), 0, 0, 0, DRL__ANY } };

/* A text is taken, and written and read again it says the same; or it is refused. */
static void expect_text(const char *text, int taken)
{
    enum { FIELDS = (int)(sizeof plain_fields / sizeof *plain_fields) };
    char again[DRL__DESCRIBE_MAX];
    plain p, q;
    memset(&p, 0, sizeof p);
    memset(&q, 0, sizeof q);
    CHECK(drl__undescribe(plain_fields, FIELDS, text, &p) == taken, "'%s' is %s",
          text, taken ? "refused" : "taken");
    if (!taken) return;
    drl__describe(plain_fields, FIELDS, &p, again, sizeof again);
    CHECK(drl__undescribe(plain_fields, FIELDS, again, &q) && q.i == p.i && q.u == p.u && q.f == p.f &&
          q.d == p.d && !memcmp(q.mult, p.mult, sizeof p.mult), "'%s' became '%s'", text, again);
}

/* The last value that fits each type, the first that does not, and what else can be wrong with a text. */
static void texts(void)
{
    static const struct { const char *text; int taken; } numbers_of[] = {
        { "i=1 u=1 f=1 d=1", 1 },
        { "d=1 u=1 i=1 f=1", 1 },
        { "i=2147483647 u=1 f=1 d=1", 1 },
        { "i=2147483648 u=1 f=1 d=1", 0 },
        { "i=-2147483647 u=1 f=1 d=1", 1 },
        { "i=-2147483648 u=1 f=1 d=1", 0 },
        { "i=1.5 u=1 f=1 d=1", 0 },
        { "i=x7ff0000000000000 u=1 f=1 d=1", 0 },
        { "i=1 u=18446744073709551615 f=1 d=1", 1 },
        { "i=1 u=18446744073709551616 f=1 d=1", 0 },
        { "i=1 u=-1 f=1 d=1", 0 },
        { "i=1 u= f=1 d=1", 0 },
        { "i=1 u=1 f=x47efffffe0000000 d=1", 1 },
        { "i=1 u=1 f=x47f0000000000000 d=1", 0 },
        { "i=1 u=1 f=xc7efffffe0000000 d=1", 1 },
        { "i=1 u=1 f=xc7f0000000000000 d=1", 0 },
        { "i=1 u=1 f=1 d=x7fefffffffffffff", 1 },
        { "i=1 u=1 f=1 d=x7ff8000000000000", 0 },
        { "i=1 u=1 f=1 d=xfff0000000000000", 0 },
        { "i=1 u=1 f=1", 0 },
        { "i=1 u=1 f=1 d=1 d=1", 0 },
        { "i=1 u=1 f=1 d=1 e=1", 0 },
        { "i=1  u=1 f=1 d=1", 0 },
        { "i=1,u=1 f=1 d=1", 0 },
        { "i =1 u=1 f=1 d=1", 0 } };
    static const char *const bad_lists[] = {
        "", " mult=1,2,3,4,5,6,7", " mult=1,2,3,4,5,6,7,8,9", " mult=1,2,3,4 5,6,7,8",
        " mult=1,2,3,4,5,6,7,8 " };
    char text[200];
    int i;
    for (i = 0; i < (int)DRL__COUNT(numbers_of); ++i) {
        snprintf(text, sizeof text, "%s mult=1,2,3,4,5,6,7,8", numbers_of[i].text);
        expect_text(text, numbers_of[i].taken);
    }
    for (i = 0; i < (int)DRL__COUNT(bad_lists); ++i) {
        snprintf(text, sizeof text, "i=1 u=1 f=1 d=1%s", bad_lists[i]);
        expect_text(text, 0);
    }
}

/* -- files of halves -- */

/* The number that 16 bits of F16 or BF16 stand for; for infinity, the next power of two. */
static double half_value(uint32_t half, int bf16)
{
    int digits = bf16 ? 7 : 10, least = bf16 ? -126 : -14, exponent = (int)((half & 0x7FFF) >> digits);
    double fraction = ldexp((double)(half & ((1u << digits) - 1)), -digits);
    double value = exponent ? ldexp(1 + fraction, exponent - 1 + least) : ldexp(fraction, least);
    return half & 0x8000 ? -value : value;
}

/* v rounded to a number of digits, halfway to the even one, in double; what is too large becomes infinite. */
static double half_nearest(double v, int bf16)
{
    int digits = bf16 ? 7 : 10, least = bf16 ? -126 : -14, exponent = least;
    double size = fabs(v), units, whole;
    if (size > 0 && ilogb(size) > least) exponent = ilogb(size);
    units = ldexp(size, digits - exponent);
    whole = floor(units);
    if (units - whole > 0.5 || (units - whole == 0.5 && fmod(whole, 2) == 1)) whole += 1;
    size = ldexp(whole, exponent - digits);
    if (size >= ldexp(1, bf16 ? 128 : 16)) size = HUGE_VAL;
    return v < 0 ? -size : size;
}

static uint32_t half_of(float v, int bf16)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return drl__float_to_half(bits, bf16 ? DRL_DTYPE_BF16 : DRL_DTYPE_F16);
}

/* Rounding to halves: every half is itself; between two neighbours the middle goes to the even one, and what
 * is next to the middle to the near one. */
static void halves(int bf16)
{
    uint32_t h, infinity = bf16 ? 0x7F80 : 0x7C00, nan = bf16 ? 0x7FC0 : 0x7E00, bits;
    long wrong = 0;
    float v;
    for (h = 0; h < 0x10000; ++h) {
        uint32_t size = h & 0x7FFF, sign = h & 0x8000;
        if (size > infinity) {
            bits = bf16 ? h << 16 : sign << 16 | 0x7F800000 | (h & 0x3FF) << 13;
            wrong += drl__float_to_half(bits, bf16 ? DRL_DTYPE_BF16 : DRL_DTYPE_F16) != (sign | nan);
            continue;
        }
        v = size < infinity ? (float)half_value(h, bf16) : (float)(sign ? -HUGE_VAL : HUGE_VAL);
        wrong += half_of(v, bf16) != h;
        if (size == infinity) continue;
        v = (float)((half_value(h, bf16) + half_value(h + 1, bf16)) / 2);
        wrong += half_of(v, bf16) != h + (h & 1);
        wrong += half_of(nextafterf(v, 0), bf16) != h;
        wrong += half_of(nextafterf(v, sign ? -FLT_MAX : FLT_MAX), bf16) != h + (v < FLT_MAX && v > -FLT_MAX);
    }
    CHECK(wrong == 0, "%ld of the halves or of their neighbours are rounded to others", wrong);
}

/* A million floats are rounded as in double; every second one is of a size that F16 has. */
static void halves_of_floats(int bf16)
{
    uint32_t infinity = bf16 ? 0x7F80 : 0x7C00, bits, got;
    long wrong = 0, i;
    for (i = 0; i < 1000000; ++i) {
        float v;
        double want;
        test_seed = test_seed * 6364136223846793005u + 1442695040888963407u;
        bits = (uint32_t)(test_seed >> 32);
        if (i % 2) bits = (bits & 0x87FFFFFF) | 0x30000000;
        memcpy(&v, &bits, 4);
        if ((bits & 0x7F800000) == 0x7F800000) continue;
        got = half_of(v, bf16);
        want = half_nearest((double)v, bf16);
        wrong += fabs(want) == HUGE_VAL ? (got & 0x7FFF) != infinity : half_value(got, bf16) != want;
        wrong += got >> 15 != bits >> 31;
    }
    CHECK(wrong == 0, "%ld of a million floats are rounded to other halves", wrong);
}

/* A model, its file of F32, and the model that is loaded from the file: `whole`, with an energy and the
 * gradient by its parameters. */
typedef struct half_case {
    drl_ctx *ctx;
    drl_model_desc d;
    drl_model *m, *whole;
    float x[8 * 8 * 3], level, f;
    size_t size;
    unsigned char *file;
} half_case;

static void half_begin(half_case *c, int form)
{
    drl_batch b;
    drl_net *net;
    float one = 1;
    int k;
    memset(c, 0, sizeof *c);
    c->ctx = context(DRL_ISA_AUTO, 1, NULL);
    c->d = tiny();
    if (form == DRL_FORM_CDRL) {
        cdrl(&c->d);
        c->d.height = c->d.width = 8;
    }
    c->d.trainable = 1;
    c->m = make(c->ctx, &c->d, 1);
    randomize(c->m, 1);
    c->file = saved(c->ctx, c->m, &c->size);
    CHECK_OK(c->ctx, drl_model_load_memory(c->ctx, c->file, c->size, &c->d, &c->whole));
    if (!c->whole) exit(check_report("test_model"));
    for (k = 0; k < c->d.height * c->d.width * c->d.channels; ++k) c->x[k] = (float)real(-1, 1);
    c->level = 1;
    b = drl_batch_of(1, c->x, &c->level);
    net = drl_model_net(c->whole);
    CHECK_OK(c->ctx, drl_net_train_forward(net, &b, &c->f));
    CHECK_OK(c->ctx, drl_net_train_backward(net, &one));
    drl_net_spectral_grads(net);
}

static void half_end(half_case *c)
{
    free(c->file);
    drl_model_destroy(c->whole);
    drl_model_destroy(c->m);
    drl_ctx_destroy(c->ctx);
}

/* Weights are those of F32, each rounded to the nearest half; the energy moves by no more than the roundings
 * times its gradient. */
static void expect_half_weights(const half_case *c, drl_dtype type, drl_model *half)
{
    const drl_net *net = drl_model_net(c->whole), *got = drl_model_net(half);
    int bf16 = type == DRL_DTYPE_BF16, rounded = type != DRL_DTYPE_F32;
    double unit = ldexp(1, bf16 ? -8 : -11), least = bf16 ? 0 : ldexp(1, -25), bound = 0;
    drl_batch b = drl_batch_of(1, c->x, &c->level);
    float f = 0;
    long wrong = 0;
    size_t k;
    for (k = 0; k < net->params_size; ++k) {
        double v = (double)net->params[k];
        wrong += (double)got->params[k] != (rounded ? half_nearest(v, bf16) : v);
        bound += fabs((double)net->grads[k]) * (unit * fabs(v) + least);
    }
    CHECK(wrong == 0, "type %d: %ld weights are not the nearest", (int)type, wrong);
    CHECK_OK(c->ctx, drl_net_forward(drl_model_net(half), &b, &f));
    if (rounded)
        CHECK(f != c->f && fabs((double)f - (double)c->f) <= bound, "type %d: f is %g, with F32 %g, bound %g",
              (int)type, (double)f, (double)c->f, bound);
    else CHECK(f == c->f, "f is %g, was %g", (double)f, (double)c->f);
}

/* All tensors of a file have its type, but for the vectors of power iterations, which only CDRL's files
 * hold. */
static void expect_half_types(const half_case *c, drl_dtype type, const unsigned char *file, size_t size)
{
    const drl_safetensors_desc *in;
    drl_safetensors *st = NULL;
    long vectors = 0, wrong = 0;
    size_t k;
    CHECK_OK(c->ctx, drl_safetensors_open_memory(c->ctx, file, size, &st));
    if (!st) exit(check_report("test_model"));
    in = drl_safetensors_contents(st);
    for (k = 0; k < in->count; ++k) {
        int vector = strstr(in->arrays[k].name, "weight_u") || strstr(in->arrays[k].name, "weight_v");
        vectors += vector;
        wrong += in->arrays[k].dtype != (vector ? DRL_DTYPE_F32 : type);
    }
    CHECK(wrong == 0 && (vectors > 0) == (c->d.form == DRL_FORM_CDRL), "type %d: %ld tensors of other types",
          (int)type, wrong);
    drl_safetensors_close(st);
}

/* Files of halves are smaller by two bytes a weight, up to 8 kB of header. */
static void expect_half_size(const half_case *c, drl_dtype type, size_t size)
{
    size_t halved = 2 * drl_net_params_size(drl_model_net(c->m)), less = c->size - size;
    if (type == DRL_DTYPE_F32) CHECK(size == c->size, "%d bytes, and %d", (int)size, (int)c->size);
    else
        CHECK(size < c->size && less + 8192 > halved && less < halved + 8192, "%d bytes, %d as F32",
              (int)size, (int)c->size);
}

/* A model in files of F32, F16 and BF16: sizes, types, weights, energies. The bytes are the same on disk, and
 * when what was loaded is saved again. */
static void half_files(int form, drl_dtype type)
{
    const char *path = check_path("test_half.safetensors");
    half_case c;
    drl_model *half = NULL;
    size_t size = 0, again = 0;
    unsigned char *file, *second;
    void *data = NULL;
    half_begin(&c, form);
    CHECK_OK(c.ctx, drl_model_save_memory(c.m, type, NULL, 0, &size));
    expect_half_size(&c, type, size);
    file = (unsigned char *)malloc(size);
    second = (unsigned char *)malloc(size);
    if (!file || !second) exit(3);
    CHECK_OK(c.ctx, drl_model_save_memory(c.m, type, file, size, &size));
    CHECK_OK(c.ctx, drl_model_load_memory(c.ctx, file, size, &c.d, &half));
    if (!half) exit(check_report("test_model"));
    expect_half_weights(&c, type, half);
    expect_half_types(&c, type, file, size);
    CHECK_OK(c.ctx, drl_model_save_memory(half, type, second, size, &again));
    CHECK(again == size && !memcmp(second, file, size), "type %d: saved again, other bytes", (int)type);
    CHECK_OK(c.ctx, drl_model_save(c.m, type, path));
    CHECK_OK(c.ctx, drl_file_read(c.ctx, path, &data, &again));
    CHECK(data && again == size && !memcmp(data, file, size), "type %d: the file differs", (int)type);
    drl_file_free(c.ctx, data);
    remove(path);
    drl_model_destroy(half);
    free(file);
    free(second);
    half_end(&c);
}

/* A weight that the type does not hold is refused before a byte is written: 65520 is halfway between the
 * largest F16 and the next power of two, and FLT_MAX is infinite in BF16. */
static void half_overflow(int form)
{
    const char *path = check_path("test_half.safetensors"), *name;
    half_case c;
    drl_model *none = NULL;
    float *weight;
    size_t size, k, written;
    int i = 0;
    half_begin(&c, form);
    while (drl_net_param(drl_model_net(c.m), i)->rank != 1) ++i;
    weight = drl_net_params(drl_model_net(c.m)) + drl_net_param(drl_model_net(c.m), i)->offset;
    name = drl_net_param(drl_model_net(c.m), i)->name;
    *weight = 65519.996f;
    CHECK_OK(c.ctx, drl_model_save_memory(c.m, DRL_DTYPE_F16, c.file, c.size, &size));
    memset(c.file, 7, c.size);
    *weight = -65520;
    CHECK(drl_model_save_memory(c.m, DRL_DTYPE_F16, c.file, c.size, &size) == DRL_E_NUMERIC,
          "-65520 is saved");
    CHECK(strstr(drl_ctx_message(c.ctx), name) != NULL, "'%s'", drl_ctx_message(c.ctx));
    CHECK(strstr(drl_ctx_message(c.ctx), "-65520; the largest F16 is 65504") != NULL,
          "'%s'", drl_ctx_message(c.ctx));
    for (k = written = 0; k < c.size; ++k) written += c.file[k] != 7;
    CHECK(written == 0, "a refused file: %d bytes are written", (int)written);
    REFUSED(c.ctx, drl_model_save(c.m, DRL_DTYPE_F16, path), DRL_E_NUMERIC);
    REFUSED(c.ctx, drl_model_load(c.ctx, path, NULL, &none), DRL_E_IO);
    CHECK_OK(c.ctx, drl_model_save_memory(c.m, DRL_DTYPE_BF16, c.file, c.size, &size));
    *weight = FLT_MAX;
    REFUSED(c.ctx, drl_model_save_memory(c.m, DRL_DTYPE_BF16, c.file, c.size, &size), DRL_E_NUMERIC);
    CHECK_OK(c.ctx, drl_model_save_memory(c.m, DRL_DTYPE_F32, c.file, c.size, &size));
    CHECK(drl_model_save_memory(c.m, DRL_DTYPE_F64, c.file, c.size, &size) == DRL_E_ARGUMENT, "F64 is taken");
    CHECK(strstr(drl_ctx_message(c.ctx), "dtype is 1; weights are saved as F32, F16 or BF16") != NULL,
          "'%s'", drl_ctx_message(c.ctx));
    drl_ctx_clear(c.ctx);
    REFUSED(c.ctx, drl_model_save(c.m, DRL_DTYPE_I16, path), DRL_E_ARGUMENT);
    half_end(&c);
}

/* Reads and sets an enumeration by its row while every other byte of the struct is 0xFF: nothing of a
 * neighbour comes along, and none is written, however short enumerations are (-fshort-enums). */
#define ENUMERATION(fields, type, member) do {                                                          \
        static type d;                                                                                  \
        const drl__field *row = fields, *end = fields + sizeof fields / sizeof fields[0];               \
        while (row < end && row->offset != offsetof(type, member)) ++row;                               \
        CHECK(row < end, #fields " has no row of " #member);                                            \
        memset(&d, 0xFF, sizeof d);                                                                     \
        memset(&d.member, 0, sizeof d.member);                                                          \
        CHECK(drl__field_value(row, &d) == 0, #fields ", " #member ": read as %g",                      \
              drl__field_value(row, &d));                                                               \
        drl__field_set(row, &d, 1);                                                                     \
        CHECK((int)d.member == 1, #fields ", " #member ": set to %d", (int)d.member);                   \
        memset(&d.member, 0xFF, sizeof d.member);                                                       \
        CHECK(all_0xff(&d, sizeof d), #fields ", " #member ": a neighbour was written");                \
    } while (0)

static int all_0xff(const void *p, size_t n)
{
    size_t i = 0;
    while (i < n && ((const unsigned char *)p)[i] == 0xFF) ++i;
    return i == n;
}

static void enumerations(void)
{
    ENUMERATION(drl__model_fields, drl_model_desc, form);
    ENUMERATION(drl__model_fields, drl_model_desc, schedule);
    ENUMERATION(drl__model_fields, drl_model_desc, initializer_form);
    ENUMERATION(drl__model_fields, drl_model_desc, energy_form);
    ENUMERATION(drl__train_fields, drl_train_desc, objective);
    ENUMERATION(drl__sample_fields, drl_sample_desc, proposal);
    ENUMERATION(drl__sampler_state_fields, drl_sampler, proposal);
    ENUMERATION(drl__sampler_state_fields, drl_sampler, schedule.rule);
    ENUMERATION(drl__mcmc_fields, drl_mcmc_desc, kernel);
    ENUMERATION(drl__mcmc_state_fields, drl_mcmc, kernel);
}

int main(int argc, char **argv)
{
    int i;
    if (check_words(argc, argv)) return 2;
    for (i = 0; i < NETWORK_CASES; ++i) PART(network(i));
    PART(defaults());
    PART(default_resolutions());
    PART(descriptions());
    PART(enumerations());
    PART(sentences());
    PART(limits());
    PART(same_bits());
    PART(by_hand());
    PART(sample_refused());
    PART(large_image());
    PART(proposal());
    PART(cooperative_samples());
    PART(cooperative_same_bits());
    PART(composition());
    PART(cooperative_passes());
    PART(cooperative_until());
    PART(cooperative_file());
    PART(cooperative_file_refused());
    PART(points());
    PART(points_same_bits());
    PART(schedules());
    PART(initializer_forms());
    PART(norms());
    PART(own_network());
    PART(own_files());
    PART(normalisation());
    PART(own_refused());
    for (i = 0; i < 2; ++i) {
        PART(unet_defaults(i));
        PART(unet_begins(i));
        PART(unet_proposals(i));
        PART(unet_energies(i));
        PART(scores(i));
        PART(memory(i, 0));
        PART(memory(i, 1));
    }
    PART(scorers());
    PART(scorer_without_memory());
    PART(small_machine());
    PART(block());
    for (i = 0; i < 2; ++i) {               /* plain DRL and CDRL */
        PART(file_in_memory(i));
        PART(file_on_disk(i));
        PART(file_of_weights(i));
        PART(file_of_another_net(i));
        PART(file_without_memory(i));
        PART(file_cut(i));
        PART(file_flipped(i));
        PART(file_of_other_tensors(i));
        PART(file_of_another_description(i));
        PART(half_files(i, DRL_DTYPE_F32));
        PART(half_files(i, DRL_DTYPE_F16));
        PART(half_files(i, DRL_DTYPE_BF16));
        PART(half_overflow(i));
    }
    PART(numbers());
    PART(texts());
    for (i = 0; i < 2; ++i) {               /* F16 and BF16 */
        PART(halves(i));
        PART(halves_of_floats(i));
    }
    return check_report("test_model");
}
