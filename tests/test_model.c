/* test_model.c - the model: its network against plain loops in double, spectral norms, sizes, files, sampling; batches, threads and
 * instruction sets; a caller's block; every allocation failing; files that are not what they should be. */
#if defined(__unix__) || defined(__APPLE__)
/* What drl.h does so that a file is on the disk: f, file synchronized; r, renamed; d, directory synchronized. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static char trail[8];
static size_t trail_n;
static struct stat trail_last;      /* what was synchronized last */
static int trail_step(char step) { trail[trail_n] = step; trail_n = (trail_n + 1) % (sizeof trail - 1); return 1; }
static int trail_sync(int descriptor)
{
    trail_step(fstat(descriptor, &trail_last) == 0 && S_ISDIR(trail_last.st_mode) ? 'd' : 'f');
    return fsync(descriptor);
}
static int next_descriptor(void) { int d = dup(0); close(d); return d; }
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
    d.height = 4; d.width = 6; d.channels = 3; d.base = 6; d.blocks = 2; d.resolutions = 2; d.mult[0] = 1; d.mult[1] = 2;
    d.levels = 3; d.steps = 4; d.batch = 4;
    return d;
}

/* Random weights everywhere: also where a new model has zeros and ones. */
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

/* -- the network in double, from the weights of a saved file -- */

typedef struct weights { drl_ctx *ctx; drl_safetensors *st; } weights;

static double *tensor(const weights *w, const char *name, const char *suffix, size_t count)
{
    char full[96];
    const drl_array *a;
    float *f = floats(count);
    double *d = doubles(count);
    size_t i;
    snprintf(full, sizeof full, "%s%s", name, suffix);
    a = drl_safetensors_find(w->st, full);
    CHECK(a && drl_array_count(a) == count && drl_array_to_float(w->ctx, a, f) == DRL_OK, "no %s of %d floats", full, (int)count);
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
    for (i = 0; i < rows; ++i) for (j = 0; j < cols; ++j) sigma += u[i] * weight[i * cols + j] * v[j];
    for (i = 0; i < rows * cols; ++i) weight[i] /= sigma;
    free(u); free(v);
    return weight;
}

static double *layer(const weights *w, const char *name, const double *x, int h, int wd, int in, int out, int kernel)
{
    double *weight = layer_weights(w, name, out, in * kernel * kernel), *bias = tensor(w, name, ".bias", (size_t)out), *y = doubles((size_t)(h * wd * out));
    int i, j, k, c, r, s, pad = kernel / 2;
    for (i = 0; i < h; ++i) for (j = 0; j < wd; ++j) for (k = 0; k < out; ++k) {
        double sum = bias[k];
        for (c = 0; c < in; ++c) for (r = 0; r < kernel; ++r) for (s = 0; s < kernel; ++s)
            if (i + r - pad >= 0 && i + r - pad < h && j + s - pad >= 0 && j + s - pad < wd)
                sum += weight[((k * in + c) * kernel + r) * kernel + s] * x[((i + r - pad) * wd + j + s - pad) * in + c];
        y[(i * wd + j) * out + k] = sum;
    }
    free(weight); free(bias);
    return y;
}

static void leaky(double *x, size_t n, double slope) { while (n--) { if (*x < 0) *x *= slope; ++x; } }

/* f(x, t): input layer, residual blocks, pooling, head; v the level value. */
static double energy_in_double(const weights *w, const drl_model_desc *d, const float *x, double t, int label)
{
    int cdrl = d->form == DRL_FORM_CDRL, kernel = d->height * d->width == 1 ? 1 : 3, h = d->height, wd = d->width, c = d->base, i, j, k, half = d->base / 2;
    double *emb = doubles((size_t)d->base), *e, *v, *a, *y, *p, *g, *u, f = 0;
    char name[64], part[80];
    size_t n, size = (size_t)(h * wd * d->channels);
    for (k = 0; k < half; ++k) {
        double turn = t * exp(-k * log(10000.0) / (half - 1));
        emb[k] = sin(turn);
        emb[half + k] = cos(turn);
    }
    e = layer(w, "energy.temb_map1", emb, 1, 1, d->base, 4 * d->base, 1);
    leaky(e, (size_t)(4 * d->base), 0.2);
    v = layer(w, "energy.temb_map2", e, 1, 1, 4 * d->base, 4 * d->base, 1);
    free(e); free(emb);
    e = v;
    if (d->classes) {
        u = doubles((size_t)d->classes + 1);
        u[label] = 1;
        v = layer(w, "energy.y_map", u, 1, 1, d->classes + 1, 4 * d->base, 1);
        for (k = 0; k < 4 * d->base; ++k) e[k] += v[k];
        free(u); free(v);
    }
    leaky(e, (size_t)(4 * d->base), 0.2);
    u = doubles(size);
    for (n = 0; n < size; ++n) u[n] = (double)x[n];
    v = layer(w, cdrl ? "energy.module_list.0" : "energy.conv_in", u, h, wd, d->channels, c, kernel);
    free(u);
    for (i = 0; i < d->resolutions; ++i) {
        int out = d->base * d->mult[i];
        for (j = 0; j < d->blocks; ++j) {
            size = (size_t)(h * wd * c);
            a = doubles(size);
            memcpy(a, v, size * sizeof *a);
            leaky(a, size, 0.2);
            if (cdrl) snprintf(name, sizeof name, "energy.module_list.%d", 1 + i * (d->blocks + 1) + j);
            else snprintf(name, sizeof name, "energy.level%d.block%d", i, j);
            snprintf(part, sizeof part, "%s.conv1", name);
            y = layer(w, part, a, h, wd, c, out, kernel);
            free(a);
            snprintf(part, sizeof part, "%s.temb_map", name);
            p = layer(w, part, e, 1, 1, 4 * d->base, out, 1);
            if (cdrl) leaky(p, (size_t)out, 0.2);
            size = (size_t)(h * wd * out);
            for (n = 0; n < size; ++n) y[n] += p[n % (size_t)out];
            leaky(y, size, 0.2);
            snprintf(part, sizeof part, "%s.conv2", name);
            a = layer(w, part, y, h, wd, out, out, kernel);
            g = tensor(w, name, ".g", (size_t)out);
            snprintf(part, sizeof part, "%s.short_cut", name);
            free(y);
            y = out != c ? layer(w, part, v, h, wd, c, out, kernel) : v;
            for (n = 0; n < size; ++n) a[n] = a[n] * g[n % (size_t)out] + y[n];
            if (y != v) free(y);
            free(v); free(g); free(p);
            v = a;
            c = out;
        }
        if (i + 1 < d->resolutions) {
            int r, s;
            a = doubles((size_t)(h / 2 * wd / 2 * c));
            for (r = 0; r < h; ++r) for (s = 0; s < wd; ++s) for (k = 0; k < c; ++k) a[(r / 2 * (wd / 2) + s / 2) * c + k] += 0.25 * v[(r * wd + s) * c + k];
            free(v);
            v = a;
            h /= 2; wd /= 2;
        }
    }
    if (cdrl) {                                         /* no bias */
        CHECK(!drl_safetensors_find(w->st, "energy.temb_final.bias"), "a head with bias");
        g = tensor(w, "energy.temb_final", ".weight", (size_t)(c * 4 * d->base));
        p = doubles((size_t)c);
        for (i = 0; i < c; ++i) for (j = 0; j < 4 * d->base; ++j) p[i] += g[i * 4 * d->base + j] * e[j];
        free(g);
    } else p = layer(w, "energy.temb_final", e, 1, 1, 4 * d->base, c, 1);
    for (n = 0; n < (size_t)(h * wd * c); ++n) if (v[n] > 0) f += v[n] * p[n % (size_t)c];
    free(p); free(v); free(e);
    return f;
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

static void network(void)
{
    int k, i, j, levels;
    static const int labels[7] = { 1, 0, 2, 2, 1, 0, 1 };
    for (k = 0; k < 7; ++k) {
        drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
        drl_model_desc d = tiny();
        drl_model *m;
        weights w;
        unsigned char *bytes;
        size_t size, n;
        long failed = check_failed;
        float *x, f[7], f2[7], level[7], F[7], *df, *dF;
        int t[7];
        drl_energy e;
        if (k == 1) d.no_spectral = 1;
        if (k == 2) { d.height = d.width = 1; d.channels = 2; d.resolutions = 0; d.mult[0] = d.mult[1] = 0; }
        if (k == 3) { d.height = 8; d.width = 8; d.channels = 1; d.resolutions = 0; d.mult[0] = d.mult[1] = 0; d.blocks = 1; }    /* down to one pixel */
        if (k >= 4) { d.form = DRL_FORM_CDRL; d.initializer = -1; }
        if (k == 4) d.classes = 2;
        if (k == 5) { d.no_spectral = 1; d.classes = 3; }
        if (k == 6) { d.height = d.width = 1; d.channels = 2; d.resolutions = 0; d.mult[0] = d.mult[1] = 0; }
        m = make(ctx, &d, 1);
        drl_model_describe(m, &d);
        randomize(m, k ? 1.0 : 0.2);                            /* sigma of conv2 below 1, then above */
        n = (size_t)(d.height * d.width * d.channels);
        x = floats(7 * n); df = floats(7 * n); dF = floats(7 * n);
        for (i = 0; i < (int)(7 * n); ++i) x[i] = (float)real(-1.5, 1.5);
        for (i = 0; i < 7; ++i) { t[i] = i % d.levels; level[i] = k < 4 ? (float)t[i] : (float)drl__schedule_level(drl_model_schedule(m), t[i]); }
        CHECK(drl_net_param_count(drl_model_net(m)) == (k == 4 || k == 5 ? 39 : k == 6 ? 21 : k == 2 ? 22 : 38), "case %d: %d parameters", k, drl_net_param_count(drl_model_net(m)));
        bytes = saved(ctx, m, &size);
        w.ctx = ctx;
        w.st = NULL;
        CHECK_OK(ctx, drl_safetensors_open_memory(ctx, bytes, size, &w.st));
        for (i = 0; i < drl_net_param_count(drl_model_net(m)); ++i) {
            const drl_param *p = drl_net_param(drl_model_net(m), i);
            const drl_array *a = drl_safetensors_find(w.st, p->name);
            const float *before = drl_net_params(drl_model_net(m)) + p->offset;
            float *after = floats(p->count);
            int is_conv = strstr(p->name, "conv") || strstr(p->name, "short_cut") || strstr(p->name, "list.0");
            CHECK(a && drl_array_to_float(ctx, a, after) == DRL_OK, "%s is not in the file", p->name);
            if (k >= 4) {                                       /* as PyTorch holds them */
                size_t length = strlen(p->name);
                int normed = length > 12 && !strcmp(p->name + length - 12, ".weight_orig"), is_gain = !strcmp(p->name + length - 2, ".g");
                CHECK(!memcmp(before, after, p->count * sizeof(float)), "case %d: %s has changed in the file", k, p->name);
                CHECK(p->rank == (is_gain ? 4 : strstr(p->name, "bias") ? 1 : is_conv && k != 6 ? 4 : 2) && (!is_gain || p->shape[1] == (int)p->count), "case %d: %s has %d axes", k, p->name, p->rank);
                CHECK(normed == (p->rank > 1 && !is_gain && k != 5 && strcmp(p->name, "energy.temb_final.weight")), "case %d: %s", k, p->name);
            } else if (p->rank > 1) {
                CHECK(p->rank == (is_conv && k != 2 ? 4 : 2), "case %d: %s has %d axes: convolutions of images are [out, in, 3, 3] in files", k, p->name, p->rank);
                if (!d.no_spectral && strcmp(p->name, "energy.temb_final.weight")) {
                    double sigma = singular(before, p->shape[0], (int)(p->count / (size_t)p->shape[0]));
                    double scale = strstr(p->name, "conv2") && sigma < 1 ? 1.0 : 1 / sigma;
                    for (j = 0; j < (int)p->count; ++j)
                        if (fabs((double)after[j] - scale * (double)before[j]) > 0.01 * scale * fabs((double)before[j])) break;
                    CHECK(j == (int)p->count, "case %d: %s is scaled by %g, its spectral norm is %g", k, p->name, (double)after[j] / (double)before[j], sigma);
                } else CHECK(!memcmp(before, after, p->count * sizeof(float)), "case %d: %s has changed in the file", k, p->name);
            } else CHECK(!memcmp(before, after, p->count * sizeof(float)), "case %d: %s has changed in the file", k, p->name);
            free(after);
        }
        for (i = 0, j = 0; i < drl_net_param_count(drl_model_net(m)); ++i) j += strstr(drl_net_param(drl_model_net(m), i)->name, "_orig") ? 3 : 1;
        CHECK(drl_safetensors_contents(w.st)->count == (size_t)j, "%d tensors in the file", (int)drl_safetensors_contents(w.st)->count);

        CHECK_OK(ctx, drl__model_f(m, 7, x, level, labels, f, df));    /* more than a batch */
        CHECK_OK(ctx, drl__model_f(m, 7, x, level, labels, f2, NULL));
        CHECK(!memcmp(f, f2, sizeof f), "f alone differs");
        CHECK_OK(ctx, drl__model_f(m, 7, x, level, labels, NULL, dF));
        CHECK(!memcmp(df, dF, 7 * n * sizeof *df), "the gradient alone differs");
        e = drl_model_energy(m);
        CHECK(e.size == n && e.batch == d.batch, "energy of size %d, batch %d", (int)e.size, e.batch);
        for (i = 0; i < 7; i += 4) CHECK_OK(ctx, e.eval(e.user, i ? 3 : 4, x + (size_t)i * n, t + i, labels + i, F + i, dF + (size_t)i * n));
        for (i = 0; i < 7 && check_failed == failed; ++i) {
            double want = energy_in_double(&w, &d, x + (size_t)i * n, (double)level[i], labels[i]), step = drl_schedule_step(drl_model_schedule(m), t[i]), worst = 0, most = 0;
            CHECK(fabs((double)f[i] - want) <= 2e-5 * (1 + fabs(want)), "case %d: f is %g, should be %g", k, (double)f[i], want);
            CHECK(fabs((double)F[i] - want / (step * step)) <= 3e-5 * (1 + fabs(want)) / (step * step), "case %d: F is %g, should be %g", k, (double)F[i], want / (step * step));
            for (j = 0; j < (int)n; ++j) {
                double g = (double)df[(size_t)i * n + (size_t)j] / (step * step);
                if (fabs((double)dF[(size_t)i * n + (size_t)j] - g) > worst) worst = fabs((double)dF[(size_t)i * n + (size_t)j] - g);
                if (fabs(g) > most) most = fabs(g);
            }
            CHECK(worst <= 1e-5 * most, "case %d: dF/dy is not df/dy / step^2", k);
        }
        for (j = 0; j < 5 && check_failed == failed; ++j) {     /* the gradient, by differences of the double network */
            size_t at = (size_t)real(0, (double)n * 0.999);
            float keep = x[at];
            double up, down, h;
            x[at] = keep + 1e-3f; h = (double)x[at]; up = energy_in_double(&w, &d, x, (double)level[0], labels[0]);
            x[at] = keep - 1e-3f; h -= (double)x[at]; down = energy_in_double(&w, &d, x, (double)level[0], labels[0]);
            x[at] = keep;
            CHECK(fabs((up - down) / h - (double)df[at]) <= 0.02 * (fabs((double)df[at]) + 0.05), "case %d: df/dx is %g, by differences %g", k, (double)df[at], (up - down) / h);
        }
        if (d.classes) {                                        /* no label is class 0; others are refused */
            static const int zeros[2] = { 0, 0 };
            int beyond[7] = { 0 };
            beyond[1] = beyond[6] = d.classes + 1;
            CHECK_OK(ctx, drl__model_f(m, 2, x, level, NULL, f, NULL));
            CHECK_OK(ctx, drl__model_f(m, 2, x, level, zeros, f2, NULL));
            CHECK(!memcmp(f, f2, 2 * sizeof *f), "no labels and labels 0 differ");
            REFUSED(ctx, drl__model_f(m, 2, x, level, beyond, f, NULL), DRL_E_ARGUMENT);
            beyond[1] = 0;
            f[0] = 4711;
            REFUSED(ctx, drl__model_f(m, 7, x, level, beyond, f, NULL), DRL_E_ARGUMENT);
            CHECK(f[0] == 4711, "the first batch of points was done before the label of the second was seen");
            beyond[1] = beyond[6];
            REFUSED(ctx, e.eval(e.user, 2, x, t, beyond, F, NULL), DRL_E_ARGUMENT);
        }
        levels = d.levels;
        t[0] = levels;
        REFUSED(ctx, e.eval(e.user, 1, x, t, NULL, F, NULL), DRL_E_ARGUMENT);
        t[0] = -1;
        REFUSED(ctx, e.eval(e.user, 1, x, t, NULL, F, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl__model_f(m, 0, x, level, NULL, f, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl__model_f(m, 1, NULL, level, NULL, f, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl__model_f(m, 1, x, NULL, NULL, f, NULL), DRL_E_ARGUMENT);
        drl_safetensors_close(w.st);
        free(bytes); free(x); free(df); free(dF);
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
}

/* -- descriptions -- */

static void descriptions(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model *m = NULL;
    drl_model_desc d, got;
    int side, i;
    memset(&d, 0, sizeof d);
    d.batch = 1;
    m = make(ctx, &d, 0);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.height == 32 && got.width == 32 && got.channels == 1 && got.base == 32 && got.blocks == 1 && got.resolutions == 4 && got.mult[0] == 1 && got.mult[1] == 2 &&
          got.mult[2] == 2 && got.mult[3] == 2 && got.levels == 6 && got.steps == 30 && got.b2 == 2e-4 && got.noise_scale == 0.99f && !got.no_spectral && got.batch == 1 && !got.trainable, "defaults");
    CHECK(drl_model_schedule(m)->levels == 6 && drl_model_schedule(m)->b2 == 2e-4, "schedule");
    CHECK(drl_net_grads(drl_model_net(m)) == NULL, "gradients without `trainable`");
    drl_model_destroy(m);
    d.schedule = DRL_SCHEDULE_T1K;
    m = make(ctx, &d, 0);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.levels == 1000 && got.steps == -1 && got.b2 == 0.1 && got.noise_scale == 1 && drl_model_schedule(m)->levels == 1000 && drl_model_schedule(m)->rule == DRL_STEP_FINE, "defaults of T1k: %d levels, %d steps, b2 %g", got.levels, got.steps, got.b2);
    drl_model_destroy(m);
    d.schedule = DRL_SCHEDULE_FORM;
    d.form = DRL_FORM_CDRL; d.initializer = -7;
    m = make(ctx, &d, 0);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.steps == 15 && got.b2 == 4e-4 && got.noise_scale == 1 && got.initializer == -1 && !got.initializer_blocks && !got.classes && drl_model_schedule(m)->logsnr && drl_model_schedule(m)->b2 == 4e-4 &&
          !drl_model_initializer(m), "defaults of CDRL");
    drl_model_destroy(m);
    for (side = 1; side <= 128; side *= 2) {
        static const int want[8] = { 1, 4, 4, 4, 4, 4, 5, 6 };
        drl_status status;
        memset(&d, 0, sizeof d);
        d.height = side; d.base = 4; d.batch = 1; d.b2 = 1e-3; d.noise_scale = 0.5f;
        for (i = 0; 1 << i < side; ++i) { }
        m = NULL;
        status = drl_model_create(ctx, &d, 0, &m);
        if (side == 2 || side == 4) { CHECK(status == DRL_E_SHAPE && drl_ctx_message(ctx)[0], "%d cannot be halved three times", side); drl_ctx_clear(ctx); continue; }
        CHECK(status == DRL_OK && drl_model_describe(m, &got) == DRL_OK, "side %d: %s", side, drl_ctx_message(ctx));
        CHECK(got.resolutions == want[i] && got.width == side && got.b2 == 1e-3 && got.noise_scale == 0.5f && drl_model_schedule(m)->b2 == 1e-3, "side %d: %d resolutions", side, got.resolutions);
        CHECK(got.resolutions < 5 || got.mult[4] == 4, "side %d: multiplier %d", side, got.mult[4]);
        drl_model_destroy(m);
    }
    m = NULL;
#define BAD(assign, want) do { d = tiny(); assign; REFUSED(ctx, drl_model_create(ctx, &d, 0, &m), want); { size_t b_ = 5; REFUSED(ctx, drl_model_size(ctx, &d, &b_), want); CHECK(b_ == 5, "a refused size was written"); } } while (0)
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
    BAD((d.form = DRL_FORM_CDRL, d.initializer = -1, d.classes = -1), DRL_E_ARGUMENT);
    BAD((d.form = DRL_FORM_CDRL, d.initializer = 7), DRL_E_ARGUMENT);
    BAD((d.form = DRL_FORM_CDRL, d.initializer_blocks = -1), DRL_E_ARGUMENT);
    BAD(d.form = DRL_FORM_CDRL, DRL_E_SHAPE);           /* 4 x 6 is not for an initializer */
    BAD((d.form = DRL_FORM_CDRL, d.height = 1, d.width = 4, d.resolutions = 1), DRL_E_SHAPE);   /* and neither is a line */
    BAD(d.schedule = (drl_schedule_kind)6, DRL_E_ARGUMENT);
    BAD(d.initializer_form = (drl_initializer_form)3, DRL_E_ARGUMENT);
    BAD(d.initializer_form = (drl_initializer_form)-1, DRL_E_ARGUMENT);
    BAD(d.schedule = (drl_schedule_kind)-1, DRL_E_ARGUMENT);
    BAD(d.energy_form = (drl_energy_form)3, DRL_E_ARGUMENT);
    BAD(d.energy_form = (drl_energy_form)-1, DRL_E_ARGUMENT);
    BAD(d.energy_form = DRL_ENERGY_UNET, DRL_E_ARGUMENT);       /* of plain DRL */
    BAD((d.energy_form = DRL_ENERGY_UNET, d.form = DRL_FORM_CDRL, d.initializer = -1, d.height = d.width = 8, d.blocks = 65), DRL_E_ARGUMENT);
    BAD((d.energy_form = DRL_ENERGY_UNET, d.form = DRL_FORM_CDRL, d.initializer = -1), DRL_E_SHAPE);    /* 4 x 6 cannot be halved twice */
#define SAYS(assign, sentence) do { d = tiny(); assign; drl_ctx_clear(ctx); drl_model_create(ctx, &d, 0, &m); \
        CHECK(!strcmp(drl_ctx_message(ctx), sentence), "it says: %s", drl_ctx_message(ctx)); } while (0)
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
    d = tiny();
    REFUSED(ctx, drl_model_create(ctx, &d, 0, NULL), DRL_E_ARGUMENT);
    CHECK(drl_model_create(NULL, &d, 0, &m) == DRL_E_ARGUMENT && !m, "no context");
    CHECK(drl_model_describe(NULL, &d) == DRL_E_ARGUMENT && !drl_model_net(NULL) && !drl_model_schedule(NULL), "no model");
    drl_model_destroy(NULL);
    drl_ctx_destroy(ctx);
}

/* -- sampling -- */

#define SAMPLES 6
#define IMAGE   (4 * 6 * 3)

static int sample_with(drl_isa isa, int threads, int batch, float *out)
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
    how.count = SAMPLES; how.seed = 4;
    CHECK_OK(ctx, drl_sample(m, &how, out));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 1;
}

static void same_bits(void)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 2, 3, 7 }, batches[] = { 1, 5, 6, 32 };
    float want[SAMPLES * IMAGE], got[SAMPLES * IMAGE];
    int i;
    CHECK(sample_with(DRL_ISA_PORTABLE, 1, 4, want), "portable code is always there");
    for (i = 0; i < (int)DRL__COUNT(exact); ++i) if (sample_with(exact[i], 1, 4, got)) CHECK(!memcmp(want, got, sizeof want), "%s gives other bits", drl_isa_name(exact[i]));
    for (i = 0; i < 4; ++i) if (sample_with(DRL_ISA_AUTO, 1, batches[i], got)) CHECK(!memcmp(want, got, sizeof want), "batch %d gives other bits", batches[i]);
    jobs_nested = 0;
    for (i = 0; i < 3; ++i) if (sample_with(DRL_ISA_AUTO, threads[i], 4, got)) CHECK(!memcmp(want, got, sizeof want), "%d threads give other bits", threads[i]);
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    if (sample_with(DRL_ISA_SSE2, 1, 4, got)) {
        double error = 0, norm = 0;
        for (i = 0; i < SAMPLES * IMAGE; ++i) { error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]); norm += (double)want[i] * (double)want[i]; }
        CHECK(sqrt(error / norm) < 1e-3, "sse2 differs by %g", sqrt(error / norm));
    }
}

/* drl_sample against a loop over drl__langevin: the step is longer by sqrt(K / steps), the noise 0.99 unless said, draws 1, 2, ... Trained with K = 0 on a
 * fine schedule: step^2 is min(1, 6 / steps) s^2, b2 = 0.1 times that if kept, the noise 1. */
static void by_hand(void)
{
    static const struct { int steps, keep; float noise; int fine; } cases[] = { { 0, 0, 0, 0 }, { 2, 0, 0, 0 }, { 2, 1, 0, 0 }, { 7, 0, 1.0f, 0 }, { 3, 0, 0, 1 }, { 12, 0, 0.5f, 1 }, { 12, 1, 0, 1 } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny(), fine = tiny();
    drl_model *models[2], *m;
    drl_energy e;
    float want[SAMPLES * IMAGE], got[SAMPLES * IMAGE], y[SAMPLES * IMAGE], x[SAMPLES * IMAGE], gradient[SAMPLES * IMAGE], work[IMAGE];
    int c, t, i;
    fine.schedule = DRL_SCHEDULE_T1K;
    fine.steps = -1;
    models[0] = make(ctx, &d, 1);
    models[1] = make(ctx, &fine, 1);
    randomize(models[0], 1);
    randomize(models[1], 1);
    for (c = 0; c < 7; ++c) {
        drl_sample_desc how;
        drl_sampler *s = NULL;
        uint64_t seed = 12;
        int level[SAMPLES], steps = cases[c].steps ? cases[c].steps : d.steps;
        m = models[cases[c].fine];
        e = drl_model_energy(m);
        memset(&how, 0, sizeof how);
        how.count = SAMPLES; how.seed = seed; how.first = 3; how.steps = cases[c].steps; how.keep_step = cases[c].keep; how.noise_scale = cases[c].noise;
        CHECK_OK(ctx, drl_sample(m, &how, got));
        CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
        while (drl_sampler_run(s, 3) == DRL_RUNNING) { }
        for (i = 0; i < SAMPLES; ++i) drl_sampler_image(s, i, want + i * IMAGE);
        drl_sampler_destroy(s);
        CHECK(!memcmp(want, got, sizeof want), "case %d: the sampler in slices gives other bits", c);
        for (i = 0; i < SAMPLES; ++i) {
            drl_rng rng;
            rng.seed = seed; rng.stream = (uint64_t)(3 + i) << 32; rng.position = 0;
            drl_rng_normals(ctx, &rng, x + i * IMAGE, IMAGE);
        }
        for (t = d.levels - 1; t >= 0; --t) {
            drl__langevin_desc l;
            for (i = 0; i < SAMPLES; ++i) level[i] = t;
            memset(&l, 0, sizeof l);
            l.energy = &e; l.schedule = drl_model_schedule(m); l.level = level; l.steps = steps;
            l.first_draw = 1 + (d.levels - 1 - t) * steps; l.first_image = 3;
            l.step_scale = cases[c].keep ? 1 : cases[c].fine ? sqrt((steps < 6 ? 1 : 6.0 / steps) / 0.1) : sqrt((double)d.steps / steps);
            l.noise_scale = cases[c].noise > 0 ? (double)cases[c].noise : cases[c].fine ? 1 : (double)0.99f;
            l.noise.fill = drl__noise_counter; l.noise.user = &seed;
            memcpy(y, x, sizeof y);
            CHECK_OK(ctx, drl__langevin(ctx, &l, SAMPLES, y, x, gradient, work));
            for (i = 0; i < SAMPLES * IMAGE; ++i) x[i] = (float)((double)y[i] / drl_schedule_scale(l.schedule, t));
        }
        for (i = 0; i < SAMPLES * IMAGE; ++i) if (!(fabs((double)x[i] - (double)got[i]) <= 1e-4 + 1e-5 * fabs((double)x[i]))) break;
        CHECK(i == SAMPLES * IMAGE, "case %d: by hand %g, drl_sample %g", c, (double)x[i % (SAMPLES * IMAGE)], (double)got[i % (SAMPLES * IMAGE)]);
    }
    m = models[0];
    drl_model_destroy(models[1]);
    {   /* weights that are not numbers: a status */
        drl_sample_desc how;
        memset(&how, 0, sizeof how);
        drl_net_params(drl_model_net(m))[drl_net_param(drl_model_net(m), 4)->offset] = (float)NAN;
        drl_net_refresh(drl_model_net(m), 0);
        REFUSED(ctx, drl_sample(m, &how, got), DRL_E_NUMERIC);
        REFUSED(ctx, drl_sample(m, &how, NULL), DRL_E_ARGUMENT);
        REFUSED(ctx, drl_sampler_create(m, &how, NULL), DRL_E_ARGUMENT);
        how.count = -1;
        REFUSED(ctx, drl_sample(m, &how, got), DRL_E_ARGUMENT);
        CHECK(drl_sample(NULL, &how, got) == DRL_E_ARGUMENT, "no model");
    }
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* -- the cooperative form -- */

#define COOP 4                      /* images */
#define COOP_SIZE (8 * 4 * 2)
static const int coop_labels[COOP] = { 2, 1, 0, 2 };

static drl_model_desc coop_desc(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.form = DRL_FORM_CDRL;
    d.height = 8; d.width = 4; d.channels = 2; d.base = 6; d.resolutions = 3; d.levels = 3; d.steps = 4; d.batch = 3;
    d.initializer = 8; d.initializer_blocks = 1; d.classes = 2;
    return d;
}

static drl_sample_desc coop_how(void)
{
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = COOP; how.seed = 21; how.labels = coop_labels; how.guidance = 1.5f;
    return how;
}

static drl_model *coop_model(drl_ctx *ctx, const drl_model_desc *d)
{
    drl_model *m = make(ctx, d, 6);
    drl_net *init = drl_model_initializer(m);
    size_t k;
    test_seed = 41;
    randomize(m, 1);
    for (k = 0; init && k < drl_net_params_size(init); ++k) drl_net_params(init)[k] += (float)real(-0.2, 0.2);      /* its last layers start at zero */
    if (init) drl_net_refresh(init, 0);
    return m;
}

static int coop_sample(drl_isa isa, int threads, int batch, int initializer, float *out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_model_desc d = coop_desc();
    drl_sample_desc how = coop_how();
    drl_model *m;
    if (!ctx) return 0;
    d.batch = batch; d.initializer = initializer;
    m = coop_model(ctx, &d);
    CHECK_OK(ctx, drl_sample(m, &how, out));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 1;
}

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

static void cooperative(void)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    float want[COOP * COOP_SIZE], got[COOP * COOP_SIZE], x[3 * COOP_SIZE], mean[3 * COOP_SIZE], mean2[3 * COOP_SIZE], level[3];
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc(), read;
    drl_sample_desc how = coop_how();
    drl_model *m = coop_model(ctx, &d), *again = NULL;
    drl_net *init = drl_model_initializer(m);
    drl_energy e = drl_model_energy(m);
    drl_sampler *s = NULL;
    drl_sum_term terms[3];
    drl_sum *sum = NULL;
    drl_batch b;
    unsigned char *bytes;
    size_t size, k;
    int i, t[3];
    CHECK(init && e.propose && drl_net_param_count(init) > 50, "an initializer");
    for (i = 0; i < drl_net_param_count(init); ++i) CHECK(!strncmp(drl_net_param(init, i)->name, "initializer.", 12), "'%s'", drl_net_param(init, i)->name);

    /* the proposal is the initializer's at level t + 1 */
    for (k = 0; k < 3 * COOP_SIZE; ++k) x[k] = (float)real(-1, 1);
    for (i = 0; i < 3; ++i) { t[i] = 2 - i; level[i] = drl__schedule_level(drl_model_schedule(m), t[i] + 1); }
    b = drl_batch_of(3, x, level);
    b.label = coop_labels;
    CHECK_OK(ctx, drl_net_forward(init, &b, mean));
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, coop_labels, mean2));
    CHECK(!memcmp(mean, mean2, sizeof mean) && memcmp(mean, x, sizeof mean), "the proposal is another one");
    t[1] = 3;
    REFUSED(ctx, e.propose(e.user, 3, x, t, NULL, mean2), DRL_E_ARGUMENT);
    t[1] = -1;
    REFUSED(ctx, e.propose(e.user, 3, x, t, NULL, mean2), DRL_E_ARGUMENT);

    /* drl_sample is the sampler of the model's energy with the form's defaults */
    CHECK_OK(ctx, drl_sample(m, &how, want));
    how.steps = 4; how.denoise = 2; how.noise_scale = 1;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &e, drl_model_schedule(m), &how, &s));
    if (s && coop_images(ctx, s, got)) CHECK(!memcmp(want, got, sizeof want), "the model's defaults are others");
    /* guidance as a sum in place of the model's energy */
    how = coop_how();
    how.guidance = 0;
    memset(terms, 0, sizeof terms);
    terms[0].energy = terms[1].energy = e;
    terms[0].weight = 2.5f; terms[1].weight = -1.5f; terms[1].use_label = 1;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 2, &sum));
    e = drl_sum_energy(sum);
    how.energy = &e;
    CHECK_OK(ctx, drl_sample(m, &how, got));
    CHECK(!memcmp(want, got, sizeof want), "a sum in place of the model's energy");
    drl_sum_destroy(sum);
    e.size = 5;
    REFUSED(ctx, drl_sample(m, &how, got), DRL_E_SHAPE);
    /* composition and negation: f(y;1) + f(y;2) - f(y) */
    e = drl_model_energy(m);
    terms[2].energy = e;
    terms[0].weight = terms[1].weight = 1; terms[2].weight = -1;
    for (i = 0; i < 3; ++i) { terms[i].use_label = 1; terms[i].label = (i + 1) % 3; }
    sum = NULL;
    CHECK_OK(ctx, drl_sum_create(ctx, terms, 3, &sum));
    {
        drl_energy composed = drl_sum_energy(sum);
        float f[3][3], g[3][3 * COOP_SIZE], F[3], G[3 * COOP_SIZE];
        int label[3], j;
        for (i = 0; i < 3; ++i) t[i] = i;
        for (i = 0; i < 3; ++i) {
            for (j = 0; j < 3; ++j) label[j] = (i + 1) % 3;
            CHECK_OK(ctx, e.eval(e.user, 3, x, t, label, f[i], g[i]));
        }
        CHECK_OK(ctx, composed.eval(composed.user, 3, x, t, NULL, F, G));
        for (i = 0; i < 3; ++i) CHECK(fabs((double)F[i] - ((double)f[0][i] + (double)f[1][i] - (double)f[2][i])) <= 1e-6 * (fabs((double)f[0][i]) + fabs((double)f[1][i]) + fabs((double)f[2][i])), "F %g", (double)F[i]);
        for (i = 0; i < 3 * COOP_SIZE; ++i) CHECK(fabs((double)G[i] - ((double)g[0][i] + (double)g[1][i] - (double)g[2][i])) <= 1e-6 * (1 + fabs((double)g[0][i]) + fabs((double)g[1][i]) + fabs((double)g[2][i])), "gradient %g", (double)G[i]);
        how.energy = &composed;
        CHECK_OK(ctx, drl_sample(m, &how, got));
        CHECK(memcmp(want, got, sizeof want), "composition changes nothing");
    }
    drl_sum_destroy(sum);

    /* the file holds both nets */
    bytes = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
    if (again) {
        how = coop_how();
        CHECK_OK(ctx, drl_model_describe(again, &read));
        CHECK(read.form == DRL_FORM_CDRL && read.initializer == 8 && read.initializer_blocks == 1 && read.classes == 2, "the description has changed");
        CHECK_OK(ctx, drl_sample(again, &how, got));
        CHECK(!memcmp(want, got, sizeof want), "loaded: other samples");
        drl_model_destroy(again);
    }
    {
        drl_safetensors *st = NULL;
        drl_model_desc other = d;
        float before[COOP * COOP_SIZE];
        CHECK_OK(ctx, drl_safetensors_open_memory(ctx, bytes, size, &st));
        again = make(ctx, &d, 99);
        CHECK_OK(ctx, drl_model_load_weights(again, st));
        how = coop_how();
        CHECK_OK(ctx, drl_sample(again, &how, got));
        CHECK(!memcmp(want, got, sizeof want), "weights alone: other samples");
        drl_model_destroy(again);
        other.initializer = 16;                     /* the energy would fit, the initializer does not: nothing changes */
        again = coop_model(ctx, &other);
        CHECK_OK(ctx, drl_sample(again, &how, before));
        REFUSED(ctx, drl_model_load_weights(again, st), DRL_E_SHAPE);
        CHECK_OK(ctx, drl_sample(again, &how, got));
        CHECK(!memcmp(before, got, sizeof got), "a refused file has changed weights");
        drl_model_destroy(again);
        drl_safetensors_close(st);
    }
    for (k = 1; k < 6; ++k) {                       /* descriptions that ask for another initializer than the file holds */
        static const char *const ways[][2] = { { "initializer=8", "initializer=6" }, { "initializer=8", "initializer=4" }, { "initializer_blocks=1", "initializer_blocks=2" },
                                               { "initializer_blocks=1", "initializer_blocks=4" }, { "classes=2", "classes=9" } };
        unsigned char *at = bytes + 8;
        size_t length = strlen(ways[k - 1][0]), more = strlen(ways[k - 1][1]);
        while (memcmp(at, ways[k - 1][0], length)) ++at;
        memcpy(at, ways[k - 1][1], more);
        again = NULL;
        drl_ctx_clear(ctx);
        CHECK(drl_model_load_memory(ctx, bytes, size, NULL, &again) != DRL_OK && !again && drl_ctx_message(ctx)[0], "'%s' was taken", ways[k - 1][1]);
        memcpy(at, ways[k - 1][0], length);
    }
    free(bytes);

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

    /* the same bits on every set, at any batch and number of threads */
    CHECK(coop_sample(DRL_ISA_PORTABLE, 1, 3, 8, want), "portable code is always there");
    for (i = 0; i < (int)DRL__COUNT(exact); ++i) if (coop_sample(exact[i], 1, 3, 8, got)) CHECK(!memcmp(want, got, sizeof want), "%s gives other bits", drl_isa_name(exact[i]));
    for (i = 1; i < 9; i += i == 1 ? 1 : 3) if (coop_sample(DRL_ISA_AUTO, 1, i, 8, got)) CHECK(!memcmp(want, got, sizeof want), "batch %d gives other bits", i);
    jobs_nested = 0;
    for (i = 2; i < 5; ++i) if (coop_sample(DRL_ISA_AUTO, i, 3, 8, got)) CHECK(!memcmp(want, got, sizeof want), "%d threads give other bits", i);
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    if (coop_sample(DRL_ISA_SSE2, 1, 3, 8, got)) {
        double error = 0, norm = 0;
        for (k = 0; k < COOP * COOP_SIZE; ++k) { error += ((double)got[k] - (double)want[k]) * ((double)got[k] - (double)want[k]); norm += (double)want[k] * (double)want[k]; }
        CHECK(sqrt(error / norm) < 1e-3, "sse2 differs by %g", sqrt(error / norm));
    }
    CHECK(coop_sample(DRL_ISA_AUTO, 1, 3, -1, got) && memcmp(want, got, sizeof want), "the initializer changes nothing");
}

/* -- plain vectors with an initializer, and the schedule chosen apart from the form -- */

#define POINT 3

/* rows of name.weight times x [cols], plus name.bias. */
static void dense_in_double(drl_net *net, const char *name, const double *x, double *y)
{
    char text[64];
    const drl_param *w = NULL, *b = NULL;
    int i, j;
    for (i = 0; i < drl_net_param_count(net); ++i) {
        const drl_param *p = drl_net_param(net, i);
        snprintf(text, sizeof text, "initializer.%s.weight", name);
        if (!strcmp(p->name, text)) w = p;
        snprintf(text, sizeof text, "initializer.%s.bias", name);
        if (!strcmp(p->name, text)) b = p;
    }
    CHECK(w && b && w->rank == 2 && b->rank == 1, "initializer.%s has no weight of two axes and bias", name);
    for (i = 0; w && b && i < w->shape[0]; ++i) {
        y[i] = (double)drl_net_params(net)[b->offset + (size_t)i];
        for (j = 0; j < w->shape[1]; ++j) y[i] += (double)drl_net_params(net)[w->offset + (size_t)(i * w->shape[1] + j)] * x[j];
    }
}

static void silu_in_double(double *x, int n) { while (n--) { *x /= 1 + exp(-*x); ++x; } }

/* g(x, v, label) of width 6 and two blocks. */
static void point_in_double(drl_net *net, const float *x, double v, int label, double *g)
{
    double in[POINT], emb[6], e[24], u[24], h[6], r[6], k[12], onehot[3] = { 0, 0, 0 };
    int i, j;
    for (i = 0; i < 3; ++i) { double w = exp(-i * log(10000.0) / 2); emb[i] = sin(v * w); emb[i + 3] = cos(v * w); }
    dense_in_double(net, "time_mlp.1", emb, u);
    silu_in_double(u, 24);
    dense_in_double(net, "time_mlp.3", u, e);
    onehot[label] = 1;
    dense_in_double(net, "y_mlp.0", onehot, u);
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

static int point_samples(drl_isa isa, int threads, int batch, float *out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_model_desc d = coop_desc();
    drl_sample_desc how = coop_how();
    drl_model *m;
    if (!ctx) return 0;
    d.height = d.width = 1; d.channels = POINT; d.resolutions = 0; d.mult[0] = d.mult[1] = 0; d.initializer = 6; d.initializer_blocks = 2; d.batch = batch;
    m = coop_model(ctx, &d);
    CHECK_OK(ctx, drl_sample(m, &how, out));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 1;
}

static void points(void)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = coop_desc();
    drl_sample_desc how = coop_how();
    drl_model *m, *again = NULL;
    drl_energy e;
    float x[3 * POINT], mean[3 * POINT], want[COOP * POINT], got[COOP * POINT];
    int t[3] = { 0, 1, 2 }, label[3] = { 2, 0, 1 }, i, j;
    unsigned char *bytes;
    size_t size, promised = 0, before;
    d.height = d.width = 1; d.channels = POINT; d.resolutions = 0; d.mult[0] = d.mult[1] = 0; d.initializer = 6; d.initializer_blocks = 2;
    CHECK_OK(ctx, drl_model_size(ctx, &d, &promised));
    before = drl_ctx_bytes_used(ctx);
    m = make(ctx, &d, 6);
    CHECK(promised >= drl_ctx_bytes_used(ctx) - before && promised < drl_ctx_bytes_used(ctx) - before + 4096, "%d bytes promised, %d held", (int)promised, (int)(drl_ctx_bytes_used(ctx) - before));
    e = drl_model_energy(m);
    for (i = 0; i < 3 * POINT; ++i) x[i] = (float)real(-2, 2);
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, label, mean));
    CHECK(!memcmp(mean, x, sizeof mean), "a new initializer is not the identity");
    drl_model_destroy(m);
    m = coop_model(ctx, &d);
    e = drl_model_energy(m);
    CHECK(drl_net_param_count(drl_model_initializer(m)) == 2 * (5 + 2 * 3), "%d parameters", drl_net_param_count(drl_model_initializer(m)));
    CHECK_OK(ctx, e.propose(e.user, 3, x, t, label, mean));
    for (i = 0; i < 3; ++i) {
        double g[POINT];
        point_in_double(drl_model_initializer(m), x + i * POINT, (double)drl__schedule_level(drl_model_schedule(m), t[i] + 1), label[i], g);
        for (j = 0; j < POINT; ++j) CHECK(fabs((double)mean[i * POINT + j] - g[j]) <= 1e-5 * (1 + fabs(g[j])) && fabs(g[j] - (double)x[i * POINT + j]) > 1e-3, "image %d, %d: %g, should be %g", i, j, (double)mean[i * POINT + j], g[j]);
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
    CHECK(point_samples(DRL_ISA_PORTABLE, 1, 3, got) && !memcmp(want, got, sizeof want), "portable code gives other bits");
    for (i = 0; i < (int)DRL__COUNT(exact); ++i) if (point_samples(exact[i], 2, 2 + i, got)) CHECK(!memcmp(want, got, sizeof want), "%s gives other bits", drl_isa_name(exact[i]));
}

/* Every form with every schedule: its numbers, and what files say of it. */
static void schedules(void)
{
    int form, kind;
    for (form = 0; form < 2; ++form)
        for (kind = 0; kind < 10; ++kind) {                     /* 5 more: and smooth */
            drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
            drl_model_desc d = tiny(), got;
            drl_model *m, *again = NULL;
            drl_sample_desc how;
            drl_schedule want;
            double memory[5 * 4];
            float a[2 * IMAGE], b[2 * IMAGE];
            unsigned char *bytes, *at;
            size_t size, k;
            int expected = kind % 5 ? kind % 5 : form == DRL_FORM_DRL ? DRL_SCHEDULE_DRL : DRL_SCHEDULE_CDRL;
            int own = expected == (form == DRL_FORM_DRL ? DRL_SCHEDULE_DRL : DRL_SCHEDULE_CDRL);
            int smooth = kind / 5, i, told = 0;
            d.form = (drl_form)form;
            d.schedule = (drl_schedule_kind)(kind % 5);
            d.smooth = smooth * 7;
            if (form) d.initializer = -1;
            m = make(ctx, &d, 1);
            randomize(m, 1);
            if (expected == DRL_SCHEDULE_DRL) drl__schedule_drl(3, memory, &want);
            else if (expected == DRL_SCHEDULE_CDRL) drl__schedule_cdrl(3, memory, &want);
            else if (expected == DRL_SCHEDULE_SHIFTED) drl__schedule_shifted(3, memory, &want);
            else drl__schedule_t1k(3, memory, &want);
            CHECK(drl_model_schedule(m)->levels == 3 && !memcmp(drl_model_schedule(m)->abar, want.abar, 4 * sizeof(double)) && !memcmp(drl_model_schedule(m)->s, want.s, 4 * sizeof(double)) &&
                  !drl_model_schedule(m)->logsnr == !want.logsnr && drl_model_schedule(m)->rule == want.rule && drl_model_schedule(m)->b2 == (want.rule ? 0.1 : form ? 4e-4 : 2e-4), "form %d, schedule %d: another one", form, kind);
            CHECK_OK(ctx, drl_model_describe(m, &got));
            CHECK((int)got.schedule == expected && got.smooth == smooth, "form %d, schedule %d: resolved to %d", form, kind, (int)got.schedule);
            memset(&how, 0, sizeof how);
            how.count = 2;
            CHECK_OK(ctx, drl_sample(m, &how, a));
            bytes = saved(ctx, m, &size);
            for (k = 8; k + 9 < size && !told; ++k) told = !memcmp(bytes + k, "schedule=", 9);
            at = bytes + k + 8;
            CHECK(told == (!own || smooth), "form %d, schedule %d: the file speaks of it %d times", form, kind, told);
            CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
            if (again) {
                CHECK_OK(ctx, drl_model_describe(again, &got));
                CHECK((int)got.schedule == expected && got.smooth == smooth && got.form == (drl_form)form, "form %d, schedule %d: loaded as %d", form, kind, (int)got.schedule);
                CHECK_OK(ctx, drl_sample(again, &how, b));
                CHECK(!memcmp(a, b, sizeof a), "form %d, schedule %d: loaded, other samples", form, kind);
            }
            drl_model_destroy(again);
            again = NULL;
            for (i = 0; told && i < 2; ++i) {
                *at = (unsigned char)"5-"[i];
                drl_ctx_clear(ctx);
                CHECK(drl_model_load_memory(ctx, bytes, size, NULL, &again) != DRL_OK && !again && drl_ctx_message(ctx)[0], "schedule=%c was taken", *at);
            }
            free(bytes);
            drl_model_destroy(m);
            drl_ctx_destroy(ctx);
        }
}

/* The initializer's mean in both forms, by hand from its network's output; which form is the default; and that files keep it. */
static void initializer_forms(void)
{
    int form, levels;
    for (form = 0; form < 3; ++form)
        for (levels = 11; levels <= 12; ++levels) {
            drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
            drl_model_desc d = coop_desc(), got;
            drl_model *m, *again = NULL;
            drl_sample_desc how = coop_how();
            const drl_schedule *s;
            drl_energy e;
            drl_batch b;
            float x[COOP_SIZE], out[COOP_SIZE], mean[COOP_SIZE], level, a[COOP * COOP_SIZE], c[COOP * COOP_SIZE];
            unsigned char *bytes;
            size_t size;
            int t, j, velocity = form ? form == DRL_INITIALIZER_VELOCITY : levels == 12, label = 2;
            d.initializer_form = (drl_initializer_form)form;
            d.levels = levels;
            m = coop_model(ctx, &d);
            s = drl_model_schedule(m);
            CHECK_OK(ctx, drl_model_describe(m, &got));
            CHECK(got.initializer_form == (velocity ? DRL_INITIALIZER_VELOCITY : DRL_INITIALIZER_RESIDUAL),
                  "form %d of %d levels is %d", form, levels, (int)got.initializer_form);
            e = drl_model_energy(m);
            for (j = 0; j < COOP_SIZE; ++j) x[j] = (float)real(-1, 1);
            for (t = 0; t < levels; ++t) {
                double alpha = s->abar[t + 1], sigma = s->sbar[t + 1], step2 = s->s[t + 1] * s->s[t + 1];
                double scale = t + 1 < levels ? s->a[t + 1] : 1.0, worst = 0;
                level = drl__schedule_level(s, t + 1);
                b = drl_batch_of(1, x, &level);
                b.label = &label;
                CHECK_OK(ctx, drl_net_forward(drl_model_initializer(m), &b, out));
                CHECK_OK(ctx, e.propose(e.user, 1, x, &t, &label, mean));
                for (j = 0; j < COOP_SIZE; ++j) {
                    double x0 = alpha * (double)x[j] - sigma * (double)out[j];      /* what the velocity says */
                    double posterior = (s->abar[t] * step2 * x0 + s->a[t + 1] * s->sbar[t] * s->sbar[t] * (double)x[j]) / (sigma * sigma);
                    double want = velocity ? scale * posterior : (double)out[j];
                    if (!(fabs((double)mean[j] - want) <= worst)) worst = fabs((double)mean[j] - want);
                }
                CHECK(worst < 2e-6, "form %d, level %d of %d: the mean is off by %g", form, t, levels, worst);
            }
            CHECK_OK(ctx, drl_sample(m, &how, a));
            bytes = saved(ctx, m, &size);
            CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again));
            if (again) {
                CHECK_OK(ctx, drl_sample(again, &how, c));
                CHECK(!memcmp(a, c, sizeof a), "form %d of %d levels: loaded, other samples", form, levels);
            }
            free(bytes);
            drl_model_destroy(again);
            drl_model_destroy(m);
            drl_ctx_destroy(ctx);
        }
}

/* A network and a schedule of the program's own. own_build has every kind of parameter that files treat in a way of its own:
 * a spectral norm that is folded in, and one that is kept. */
typedef struct own_net { int side, channels, classes, outputs; } own_net;

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
    o->side = 6; o->channels = 2; o->classes = 3; o->outputs = 1;
    d.height = o->side; d.channels = o->channels; d.classes = o->classes; d.levels = 5;
    d.trainable = 1; d.batch = 3;
    d.build = own_build; d.build_user = o; d.sbar = own_sbar;
    return d;
}

static void own_networks(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    own_net o;
    double sbar[6];
    drl_model_desc d = own_desc(&o), got, use;
    drl_model *m, *again = NULL;
    const drl_schedule *s;
    drl_energy e;
    drl_batch b;
    float y[3 * 72], dy[3 * 72], f[3], out[3], ones[3] = { 1, 1, 1 }, values[3] = { 1, 3, 4 }, dx[3 * 72];
    int level[3] = { 1, 3, 4 }, label[3] = { 0, 2, 3 }, k;
    unsigned char *bytes;
    size_t size, used, j;
    memcpy(sbar, own_sbar, sizeof sbar);
    d.sbar = sbar;
    m = make(ctx, &d, 7);
    for (k = 0; k < 6; ++k) sbar[k] = 0;                        /* it was copied */
    d.sbar = own_sbar;
    s = drl_model_schedule(m);
    CHECK_OK(ctx, drl_model_describe(m, &got));
    CHECK(got.energy_form == DRL_ENERGY_OWN && got.schedule == DRL_SCHEDULE_OWN && got.sbar == s->sbar && got.build == own_build && got.steps == 3 && got.b2 == 0.1 && !drl_model_initializer(m),
          "what goes with a network of one's own");
    CHECK(s->levels == 5 && !memcmp(s->sbar, own_sbar, sizeof own_sbar) && s->b2 == 0.1 && s->rule == DRL_STEP_PROPOSAL && !s->logsnr, "its schedule");
    /* F is the network's output */
    for (j = 0; j < 3 * 72; ++j) y[j] = (float)real(-1, 1);
    e = drl_model_energy(m);
    CHECK_OK(ctx, e.eval(e.user, 3, y, level, label, f, dy));
    b = drl_batch_of(3, y, values);
    b.label = label;
    CHECK_OK(ctx, drl_net_input_grad(drl_model_net(m), &b, ones, out, dx));
    CHECK(!memcmp(f, out, sizeof f) && !memcmp(dy, dx, sizeof dy), "F of a network of one's own is not its output");
    /* files, from which a model is made with the same network and schedule alone */
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &size));
    bytes = (unsigned char *)malloc(size);
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, bytes, size, &size));
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, NULL, &again), DRL_E_ARGUMENT);
    memset(&use, 0, sizeof use);
    use.build = own_build; use.build_user = &o;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_ARGUMENT);
    use.sbar = own_sbar; use.levels = 5; use.build = NULL;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_ARGUMENT);
    use.build = own_build;
    for (k = 0; k < 5; ++k) {               /* the program says how long sbar is, not the file */
        use.levels = k;
        REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_FORMAT);
    }
    use.levels = 5;
    o.classes = 2;
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again), DRL_E_SHAPE);
    o.classes = 3;
    CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again));
    e = drl_model_energy(again);
    CHECK_OK(ctx, e.eval(e.user, 3, y, level, label, out, dx));
    CHECK(!memcmp(f, out, sizeof f) && !memcmp(dy, dx, sizeof dy), "a loaded network of one's own has other energies");
    drl_model_destroy(again);
    free(bytes);
    /* what a file does not ask for is not looked at */
    {
        drl_model_desc plain = tiny();
        drl_model *other = make(ctx, &plain, 1);
        again = NULL;
        CHECK_OK(ctx, drl_model_save_memory(other, DRL_DTYPE_F32, NULL, 0, &size));
        bytes = (unsigned char *)malloc(size);
        CHECK_OK(ctx, drl_model_save_memory(other, DRL_DTYPE_F32, bytes, size, &size));
        CHECK_OK(ctx, drl_model_load_memory(ctx, bytes, size, &use, &again));
        drl_model_destroy(again);
        drl_model_destroy(other);
        free(bytes);
        again = NULL;
    }
    drl_model_destroy(m);
    m = NULL;
#define BAD_OWN(assign, want) do { d = own_desc(&o); assign; REFUSED(ctx, drl_model_create(ctx, &d, 0, &m), want); } while (0)
    BAD_OWN(d.energy_form = DRL_ENERGY_UNET, DRL_E_ARGUMENT);
    BAD_OWN((d.energy_form = DRL_ENERGY_OWN, d.build = NULL), DRL_E_ARGUMENT);
    BAD_OWN(d.schedule = DRL_SCHEDULE_DRL, DRL_E_ARGUMENT);
    BAD_OWN((d.schedule = DRL_SCHEDULE_OWN, d.sbar = NULL), DRL_E_ARGUMENT);
    BAD_OWN((memcpy(sbar, own_sbar, sizeof sbar), sbar[2] = sbar[1], d.sbar = sbar), DRL_E_ARGUMENT);
    BAD_OWN((memcpy(sbar, own_sbar, sizeof sbar), sbar[0] = 0, d.sbar = sbar), DRL_E_ARGUMENT);
    BAD_OWN((memcpy(sbar, own_sbar, sizeof sbar), sbar[5] = 1.5, d.sbar = sbar), DRL_E_ARGUMENT);
    BAD_OWN((memcpy(sbar, own_sbar, sizeof sbar), sbar[3] = HUGE_VAL - HUGE_VAL, d.sbar = sbar), DRL_E_ARGUMENT);
    BAD_OWN(d.height = 8, DRL_E_SHAPE);
    BAD_OWN(d.width = 8, DRL_E_SHAPE);
    BAD_OWN(d.channels = 1, DRL_E_SHAPE);
    BAD_OWN(d.classes = 2, DRL_E_SHAPE);
    BAD_OWN(o.classes = 0, DRL_E_SHAPE);
    BAD_OWN(o.outputs = 2, DRL_E_SHAPE);
    BAD_OWN(d.form = DRL_FORM_CDRL, DRL_E_SHAPE);               /* 6 cannot be halved twice, as the initializer needs */
    d = own_desc(&o);
    CHECK_OK(ctx, drl_model_size(ctx, &d, &size));
    used = drl_ctx_bytes_used(ctx);
    m = make(ctx, &d, 0);
    CHECK(drl_ctx_bytes_used(ctx) - used == size, "%d bytes, %d were said", (int)(drl_ctx_bytes_used(ctx) - used), (int)size);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* Energies of a U-Net: f = -|y + net(y)|^2 / 2 with the net of an initializer that has the same weights, F = f, the size of
 * steps, defaults, and that files keep it. As maps and as plain vectors, whose gradient is compared with differences. */
static void unet_energies(void)
{
    int vector;
    for (vector = 0; vector < 2; ++vector) {
        drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
        drl_model_desc d = coop_desc(), got;
        drl_model *m, *again = NULL;
        const drl_schedule *s;
        drl_net *net, *twin;
        drl_energy e;
        drl_batch b;
        float y[64], out[64], gradient[64], side[2], f, level;
        unsigned char *bytes;
        size_t size, n, j;
        double sum, worst = 0, most = 0;
        int t = 3, label = 2, k;
        d.energy_form = DRL_ENERGY_UNET;
        d.resolutions = 0;
        memset(d.mult, 0, sizeof d.mult);
        d.base = d.initializer = 8;
        d.blocks = d.initializer_blocks = 2;
        d.levels = 12;
        d.steps = 0;
        d.b2 = 0;
        d.initializer_form = DRL_INITIALIZER_VELOCITY;
        if (vector) { d.height = d.width = 1; d.channels = 5; }
        m = coop_model(ctx, &d);
        n = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
        CHECK(n <= 64, "too large for the test: %d", (int)n);
        s = drl_model_schedule(m);
        e = drl_model_energy(m);
        CHECK_OK(ctx, drl_model_describe(m, &got));
        CHECK(got.smooth == 1 && got.no_spectral == 1 && got.b2 == 0.1 && got.steps == 3 && got.resolutions == 1 && s->rule == DRL_STEP_PROPOSAL, "what goes with it");
        for (k = 0; k < d.levels; ++k) {
            double step = sqrt(0.1) * drl__schedule_proposal(s, k);
            CHECK(fabs(drl_schedule_step(s, k) - step) < 1e-15 && drl__schedule_f_scale(s, k) == 1, "step of level %d", k);
        }
        net = drl_model_net(m);
        twin = drl_model_initializer(m);
        CHECK(net->param_count == twin->param_count, "%d and %d blocks of weights", net->param_count, twin->param_count);
        for (k = 0; k < net->param_count; ++k) {
            const char *name = strchr(net->param[k].name, '.'), *other = strchr(twin->param[k].name, '.');
            CHECK(name && other && !strcmp(name, other) && !strncmp(net->param[k].name, "energy.", 7), "%s is %s", net->param[k].name, twin->param[k].name);
        }
        for (j = 0; j < drl_net_params_size(net); ++j) drl_net_params(net)[j] = (float)real(-0.3, 0.3);
        memcpy(drl_net_params(twin), drl_net_params(net), drl_net_params_size(net) * sizeof(float));
        drl_net_refresh(net, 0);
        drl_net_refresh(twin, 0);
        for (j = 0; j < n; ++j) y[j] = (float)real(-1, 1);
        level = drl__schedule_level(s, t);
        b = drl_batch_of(1, y, &level);
        b.label = &label;
        CHECK_OK(ctx, drl_net_forward(twin, &b, out));
        for (j = 0, sum = 0; j < n; ++j) sum += -0.5 * pow((double)y[j] + (double)out[j], 2);
        CHECK_OK(ctx, e.eval(e.user, 1, y, &t, &label, &f, gradient));
        CHECK(fabs((double)f - sum) < 1e-5 * fabs(sum), "vector %d: F is %.7f, by hand %.7f", vector, (double)f, sum);
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
            CHECK(side[0] == f && drl_model_schedule(again)->rule == DRL_STEP_PROPOSAL, "loaded, F is %g, not %g", (double)side[0], (double)f);
        }
        free(bytes);
        drl_model_destroy(again);
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
}

/* The score of an image is f of the lowest level at a_1 abar_0 x: for more images than a batch takes, with labels and without, on any number
 * of threads; and what it refuses. */
static void scores(void)
{
    int form, threads, i, k, t;
    for (form = 0; form < 2; ++form) {
        drl_model_desc d = form ? coop_desc() : tiny();
        float x[7 * COOP_SIZE + 7 * IMAGE], y[7 * COOP_SIZE + 7 * IMAGE], work[7 * COOP_SIZE + 7 * IMAGE], level[7], f[7], score[7], first[7];
        static const int labels[7] = { 1, 0, 2, 2, 1, 0, 1 };
        size_t size = (size_t)(d.height * d.width * d.channels), j;
        const int *given = form ? labels : NULL;
        for (j = 0; j < 7 * size; ++j) x[j] = (float)real(-1, 1);
        for (threads = 1; threads <= 3; ++threads) {
            drl_ctx *ctx = context(DRL_ISA_AUTO, threads, NULL);
            drl_model *m;
            const drl_schedule *sc;
            d.batch = 4 - threads;
            test_seed = 41;
            if (form) m = coop_model(ctx, &d);
            else { m = make(ctx, &d, 6); randomize(m, 1); }
            sc = drl_model_schedule(m);
            t = threads == 2 ? sc->levels - 1 : 0;
            for (j = 0; j < 7 * size; ++j) y[j] = (float)(drl_schedule_scale(sc, t) * sc->abar[t] * (double)x[j]);
            for (i = 0; i < 7; ++i) level[i] = drl__schedule_level(sc, t);
            CHECK_OK(ctx, drl__model_f(m, 7, y, level, given, f, NULL));
            for (j = 0; j < 7 * size; ++j) work[j] = (float)NAN;
            CHECK_OK(ctx, drl_model_score(m, t, 7, x, given, score, work));
            for (i = 0; i < 7; ++i) CHECK(fabs((double)score[i] - (double)f[i]) <= 1e-5 * (0.01 + fabs((double)f[i])), "form %d: score %d is %g, f is %g", form, i, (double)score[i], (double)f[i]);
            if (threads == 1) memcpy(first, score, sizeof score);
            CHECK(t || !memcmp(first, score, sizeof score), "form %d: %d threads and a batch of %d give other bits", form, threads, d.batch);
            for (i = k = 0; i < 7; ++i) {               /* one by one; energies are of the size of F = f / step^2 */
                drl_energy e = drl_model_energy(m);
                float one, F;
                double step = drl_schedule_step(sc, t);
                CHECK_OK(ctx, drl_model_score(m, t, 1, x + (size_t)i * size, given ? given + i : NULL, &one, work));
                CHECK(!memcmp(&one, score + i, sizeof one), "form %d: score %d alone is another", form, i);
                CHECK_OK(ctx, e.eval(e.user, 1, work, &t, given ? given + i : NULL, &F, NULL));
                CHECK(fabs((double)F * step * step - (double)one) <= 1e-5 * fabs((double)one), "form %d: F step^2 is %g, the score %g", form, (double)F * step * step, (double)one);
                if (form && i) k += memcmp(score, score + i, sizeof one) != 0;
            }
            CHECK(!form || k == 6, "different images score the same");
            if (form) {
                CHECK_OK(ctx, drl_model_score(m, t, 7, x, NULL, f, work));
                for (i = 0; i < 7; ++i) CHECK((f[i] < score[i] || f[i] > score[i]) == (labels[i] != 0), "score %d: class %d or none", i, labels[i]);
            }
            REFUSED(ctx, drl_model_score(m, t, 0, x, given, score, work), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_model_score(m, -1, 7, x, given, score, work), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_model_score(m, sc->levels, 7, x, given, score, work), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_model_score(m, t, 7, NULL, given, score, work), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_model_score(m, t, 7, x, given, NULL, work), DRL_E_ARGUMENT);
            REFUSED(ctx, drl_model_score(m, t, 7, x, given, score, NULL), DRL_E_ARGUMENT);
            CHECK(drl_model_score(NULL, t, 7, x, given, score, work) == DRL_E_ARGUMENT, "no model");
            drl_model_destroy(m);
            drl_ctx_destroy(ctx);
        }
    }
}

/* A larger image on several threads: jobs must not start jobs. */
/* A model of the demo's kind, with a batch of 32 and for training, is 110 MB: no address space is too small for it. */
static void small_machine(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d;
    size_t bytes = 0;
    memset(&d, 0, sizeof d);
    d.form = DRL_FORM_CDRL; d.height = 16; d.channels = 4; d.base = 16; d.classes = 10; d.trainable = 1;
    CHECK_OK(ctx, drl_model_size(ctx, &d, &bytes));
    CHECK(bytes > 10000000 && bytes < 200000000, "%lu bytes", (unsigned long)bytes);
    drl_ctx_destroy(ctx);
}

static void large_image(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 3, NULL);
    drl_model_desc d;
    drl_model *m;
    drl_sample_desc how;
    float *x = floats(2 * 64 * 64 * 3), *y = floats(2 * 64 * 64 * 3);
    int threads;
    for (threads = 3; threads >= 1; threads -= 2) {
        memset(&d, 0, sizeof d);
        d.height = 64; d.channels = 3; d.base = 4; d.levels = 2; d.steps = 1; d.batch = 2; d.resolutions = 2;
        if (threads == 1) { drl_ctx_destroy(ctx); ctx = context(DRL_ISA_AUTO, 1, NULL); }
        m = make(ctx, &d, 1);
        memset(&how, 0, sizeof how);
        how.count = 2;
        jobs_nested = 0;
        CHECK_OK(ctx, drl_sample(m, &how, threads == 3 ? x : y));
        CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
        drl_model_destroy(m);
    }
    CHECK(!memcmp(x, y, 2 * 64 * 64 * 3 * sizeof *x), "three threads give other bits");
    free(x); free(y);
    drl_ctx_destroy(ctx);
}

/* -- memory -- */

static void memory(void)
{
    int trainable, fail, done;
    drl_sample_desc how;
    float out[SAMPLES * IMAGE], block_out[SAMPLES * IMAGE];
    static const int many_labels[SAMPLES] = { 2, 1, 0, 0, 1, 2 };
    memset(&how, 0, sizeof how);
    how.count = SAMPLES;
    for (trainable = 0; trainable < 4; ++trainable)             /* 2 and 3: of the cooperative form */
        for (fail = 1, done = 0; fail < 20 && !done; ++fail) {
            check_heap heap;
            drl_ctx *ctx;
            drl_model *m = NULL;
            drl_model_desc d = tiny();
            drl_status status;
            size_t bytes = 0, used, held;
            memset(&heap, 0, sizeof heap);
            ctx = context(DRL_ISA_AUTO, 1, &heap);
            how.labels = NULL; how.guidance = 0;
            if (trainable > 1) { d = coop_desc(); how.labels = many_labels; how.guidance = 0.5f; }
            d.trainable = trainable & 1;
            CHECK_OK(ctx, drl_model_size(ctx, &d, &bytes));
            used = drl_ctx_bytes_used(ctx);
            held = heap.bytes;
            heap.fail_at = heap.calls + fail;
            status = drl_model_create(ctx, &d, 1, &m);
            heap.fail_at = 0;
            if (status == DRL_OK) {
                drl_sampler *s = NULL;
                long calls;
                done = 1;
                CHECK(drl_ctx_bytes_used(ctx) - used == bytes && heap.bytes - held == bytes, "%d bytes are held, %d were announced", (int)(heap.bytes - held), (int)bytes);
                CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
                calls = heap.calls;
                CHECK(drl_sampler_run(s, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
                drl_net_refresh(drl_model_net(m), 1);
                CHECK(heap.calls == calls, "sampling made %ld allocations", heap.calls - calls);
                drl_sampler_destroy(s);
                CHECK_OK(ctx, drl_sample(m, &how, out));
                CHECK(heap.calls == calls + 1, "drl_sample made %ld allocations", heap.calls - calls);
                heap.fail_at = heap.calls + 1;
                REFUSED(ctx, drl_sample(m, &how, out), DRL_E_MEMORY);
                heap.fail_at = 0;
                drl_model_destroy(m);
            } else {
                CHECK(status == DRL_E_MEMORY && drl_ctx_status(ctx) == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !m, "allocation %d fails: status %d", fail, (int)status);
            }
            CHECK(heap.bytes == held && drl_ctx_bytes_used(ctx) == used, "allocation %d: %d bytes leaked", fail, (int)(heap.bytes - held));
            heap.fail_at = heap.calls + 1;          /* counting needs memory, too */
            bytes = 4711;
            REFUSED(ctx, drl_model_size(ctx, &d, &bytes), DRL_E_MEMORY);
            CHECK(bytes == 4711 && heap.bytes == held, "a failed size leaks or writes");
            drl_ctx_destroy(ctx);
            CHECK(heap.live == 0, "%ld blocks are left", heap.live);
        }

    how.labels = NULL; how.guidance = 0;

    /* a caller's block: exactly enough for model and sampler, and one byte less */
    {
        drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
        drl_ctx_desc cd;
        drl_model_desc d = tiny();
        drl_model *m = make(ctx, &d, 1);
        drl_sampler *s = NULL;
        size_t bytes, used;
        int less, offset;
        CHECK_OK(ctx, drl_sample(m, &how, out));
        CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
        bytes = drl_ctx_bytes_used(ctx);
        drl_sampler_destroy(s);
        drl_model_destroy(m);
        used = drl_ctx_bytes_used(ctx);
        drl_ctx_destroy(ctx);
        for (less = 0; less < 2; ++less)
            for (offset = 0; offset < 3; ++offset) {            /* a block at any address */
                unsigned char *block = (unsigned char *)malloc(bytes + 16);
                drl_status status;
                if (!block) exit(3);
                memset(block, 0xA5, bytes + 16);
                memset(&cd, 0, sizeof cd);
                cd.memory = block + offset; cd.memory_size = bytes - (size_t)less;
                ctx = NULL; m = NULL; s = NULL;
                CHECK(drl_ctx_create(&cd, &ctx) == DRL_OK, "no context in the block");
                CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
                status = drl_sampler_create(m, &how, &s);
                CHECK(status == (less ? DRL_E_MEMORY : DRL_OK), "%d byte less: %s", less, drl_ctx_message(ctx));
                if (!less) {
                    int i;
                    CHECK(drl_sampler_run(s, 1 << 30) == DRL_OK, "%s", drl_ctx_message(ctx));
                    for (i = 0; i < SAMPLES; ++i) drl_sampler_image(s, i, block_out + i * IMAGE);
                    CHECK(!memcmp(out, block_out, sizeof out), "in a block: other bits");
                }
                drl_model_destroy(m);                           /* out of order: all comes back all the same */
                drl_sampler_destroy(s);
                CHECK(drl_ctx_bytes_used(ctx) == used, "%d bytes are still in use", (int)(drl_ctx_bytes_used(ctx) - used));
                m = NULL;
                if (!less) CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
                drl_model_destroy(m);
                drl_ctx_destroy(ctx);
                CHECK(block[bytes + (size_t)offset - (size_t)less] == 0xA5 && block[bytes + 15] == 0xA5 && (!offset || block[0] == 0xA5), "bytes outside of the block were written");
                free(block);
            }
    }
}

/* -- files -- */

static void files(int cdrl)
{
    const char *path = check_path("test_model.safetensors");
    check_heap heap;
    drl_ctx *ctx;
    drl_model_desc d = tiny(), got, use;
    drl_model *m, *again = NULL;
    unsigned char *bytes, *copy, *second;
    size_t size, second_size, k;
    float want[SAMPLES * IMAGE], out[SAMPLES * IMAGE], f[2], f_again[2];
    static const float level[2] = { 0, 2 };
    drl_sample_desc how;
    int i, fail, done;
    long live;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    d.b2 = 3.1e-4; d.noise_scale = 0.95f;
    if (cdrl) { d.form = DRL_FORM_CDRL; d.initializer = -1; d.classes = 2; }
    m = make(ctx, &d, 1);
    randomize(m, 1);
    memset(&how, 0, sizeof how);
    how.count = SAMPLES; how.seed = 8;
    CHECK_OK(ctx, drl_sample(m, &how, want));
    live = heap.live;
    bytes = saved(ctx, m, &size);
    CHECK(heap.live == live, "saving leaks %ld blocks", heap.live - live);
    copy = (unsigned char *)malloc(size + 64);
    if (!copy) exit(3);

    /* from memory at any address, and the memory may go */
    for (i = 0; i < 3; ++i) {
        memcpy(copy + i, bytes, size);
        memset(&use, 0, sizeof use);
        use.batch = i ? i : 0; use.trainable = i == 2;
        again = NULL;
        CHECK_OK(ctx, drl_model_load_memory(ctx, copy + i, size, i ? &use : NULL, &again));
        if (!again) break;
        memset(copy, 0xff, size + 64);
        CHECK_OK(ctx, drl_model_describe(again, &got));
        CHECK(got.height == d.height && got.width == d.width && got.channels == d.channels && got.base == d.base && got.blocks == d.blocks && got.resolutions == d.resolutions &&
              !memcmp(got.mult, d.mult, sizeof d.mult) && got.levels == d.levels && got.steps == d.steps && got.b2 == d.b2 && got.noise_scale == d.noise_scale, "the description has changed");
        CHECK(got.form == d.form && got.initializer == d.initializer && !got.initializer_blocks && got.classes == d.classes, "the description's form has changed");
        CHECK(got.no_spectral == !cdrl && got.batch == (i ? i : 32) && got.trainable == (i == 2), "batch %d, trainable %d", got.batch, got.trainable);
        CHECK_OK(ctx, drl_sample(again, &how, out));
        CHECK(!memcmp(want, out, sizeof want), "loaded from memory: other samples");
        CHECK_OK(ctx, drl__model_f(m, 2, want, level, NULL, f, NULL));
        CHECK_OK(ctx, drl__model_f(again, 2, want, level, NULL, f_again, NULL));
        CHECK(!memcmp(f, f_again, sizeof f), "loaded from memory: other energies");
        second = saved(ctx, again, &second_size);
        if (i) memcpy(copy, bytes, size);
        CHECK(second_size > size / 2, "saved again: %d bytes", (int)second_size);
        drl_model_destroy(again);
        again = NULL;
        CHECK_OK(ctx, drl_model_load_memory(ctx, second, second_size, NULL, &again));
        CHECK_OK(ctx, drl_sample(again, &how, out));
        CHECK(!memcmp(want, out, sizeof want), "saved and loaded twice: other samples");
        drl_model_destroy(again);
        free(second);
    }
    again = NULL;

    /* through a file: the same bytes */
#if defined(__unix__) || defined(__APPLE__)
    {
        char folder[256];
        int descriptor = next_descriptor();
        struct stat there;
        memcpy(folder, path, strlen(path) + 1);
        if (strchr(folder, '/')) *strrchr(folder, '/') = 0;
        else strcpy(folder, ".");
        memset(trail, 0, sizeof trail);
        trail_n = 0;
        CHECK_OK(ctx, drl_model_save(m, DRL_DTYPE_F32, path));
        CHECK(!strcmp(trail, "frd"), "saving does '%s'", trail);
        CHECK(stat(folder, &there) == 0 && there.st_ino == trail_last.st_ino && there.st_dev == trail_last.st_dev, "another directory than %s is synchronized", folder);
        trail_n = 0;
        memset(trail, 0, sizeof trail);
        CHECK_OK(ctx, drl_file_write(ctx, "drl_here.tmp", folder, 1));
        CHECK(!strcmp(trail, "frd") && stat(".", &there) == 0 && there.st_ino == trail_last.st_ino, "writing without a directory's name does '%s'", trail);
        remove("drl_here.tmp");
        CHECK(next_descriptor() == descriptor, "saving leaves a file open: descriptor %d is next, it was %d", next_descriptor(), descriptor);
    }
#else
    CHECK_OK(ctx, drl_model_save(m, DRL_DTYPE_F32, path));
#endif
    {
        void *data = NULL;
        size_t file_size = 0;
        CHECK_OK(ctx, drl_file_read(ctx, path, &data, &file_size));
        CHECK(data && file_size == size && !memcmp(data, bytes, size), "the file has %d bytes, in memory %d", (int)file_size, (int)size);
        drl_file_free(ctx, data);
    }
    CHECK_OK(ctx, drl_model_load(ctx, path, NULL, &again));
    if (again) {
        CHECK_OK(ctx, drl_sample(again, &how, out));
        CHECK(!memcmp(want, out, sizeof want), "loaded from a file: other samples");
        drl_model_destroy(again);
    }
    again = NULL;
    remove(path);
    REFUSED(ctx, drl_model_load(ctx, path, NULL, &again), DRL_E_IO);
    REFUSED(ctx, drl_model_save(m, DRL_DTYPE_F32, "no/such/folder/model.safetensors"), DRL_E_IO);
    REFUSED(ctx, drl_model_save(m, DRL_DTYPE_F32, NULL), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, copy, size - 1, &second_size), DRL_E_SHAPE);
    REFUSED(ctx, drl_model_load_memory(ctx, NULL, size, NULL, &again), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_model_load_memory(ctx, bytes, size, NULL, NULL), DRL_E_ARGUMENT);

    /* weights alone, into a model of the same description: the same f; into another one: refused, unchanged */
    {
        drl_safetensors *st = NULL;
        drl_model_desc other = d;
        float before[2], after[2];
        if (!cdrl) other.no_spectral = 1;               /* the norm is in the file's weights */
        again = make(ctx, &other, 77);
        CHECK_OK(ctx, drl_safetensors_open_memory(ctx, bytes, size, &st));
        CHECK_OK(ctx, drl_model_load_weights(again, st));
        CHECK_OK(ctx, drl__model_f(m, 2, want, level, NULL, f, NULL));
        CHECK_OK(ctx, drl__model_f(again, 2, want, level, NULL, f_again, NULL));
        CHECK(!memcmp(f, f_again, sizeof f), "weights loaded into a model: other energies");
        drl_model_destroy(again);
        other.mult[1] = 3;
        again = make(ctx, &other, 77);
        CHECK_OK(ctx, drl__model_f(again, 2, want, level, NULL, before, NULL));
        REFUSED(ctx, drl_model_load_weights(again, st), DRL_E_SHAPE);
        CHECK_OK(ctx, drl__model_f(again, 2, want, level, NULL, after, NULL));
        CHECK(!memcmp(before, after, sizeof before), "a refused file has changed weights");
        REFUSED(ctx, drl_model_load_weights(again, NULL), DRL_E_ARGUMENT);
        CHECK(drl_model_load_weights(NULL, st) == DRL_E_ARGUMENT, "no model");
        drl_model_destroy(again);
        drl_safetensors_close(st);
        again = NULL;
    }

    /* every allocation of loading and saving fails once */
    live = heap.live;
    for (fail = 1, done = 0; fail < 30 && !done; ++fail) {
        drl_status status;
        drl_ctx_clear(ctx);
        heap.fail_at = heap.calls + fail;
        status = drl_model_load_memory(ctx, bytes, size, NULL, &again);
        heap.fail_at = 0;
        if (status == DRL_OK) { done = 1; drl_model_destroy(again); again = NULL; }
        else CHECK(status == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !again, "allocation %d fails: status %d", fail, (int)status);
        CHECK(heap.live == live, "allocation %d fails: %ld blocks leaked", fail, heap.live - live);
    }
    CHECK(done && fail > 4, "loading makes %d allocations", fail - 2);
    for (fail = 1, done = 0; fail < 30 && !done; ++fail) {
        drl_status status;
        drl_ctx_clear(ctx);
        heap.fail_at = heap.calls + fail;
        status = drl_model_save(m, DRL_DTYPE_F32, path);
        heap.fail_at = 0;
        done = status == DRL_OK;
        CHECK(done || (status == DRL_E_MEMORY && drl_ctx_message(ctx)[0]), "allocation %d fails: status %d", fail, (int)status);
        CHECK(heap.live == live, "allocation %d fails: %ld blocks leaked", fail, heap.live - live);
    }
    remove(path);

    /* truncated anywhere, or with bytes left over */
    for (k = 0; k < size; k += k < 4000 ? 1 : 97) {
        drl_status status;
        drl_ctx_clear(ctx);
        memcpy(copy, bytes, k);
        status = drl_model_load_memory(ctx, copy, k, NULL, &again);
        if (!(status == DRL_E_FORMAT && drl_ctx_message(ctx)[0] && !again && heap.live == live)) break;
    }
    CHECK(k >= size, "cut to %d bytes: status %d, %ld blocks leaked", (int)k, (int)drl_ctx_status(ctx), heap.live - live);
    memcpy(copy, bytes, size);
    REFUSED(ctx, drl_model_load_memory(ctx, copy, size + 1, NULL, &again), DRL_E_FORMAT);

    /* every bit of the header flipped in turn: refused, or a model that can be thrown away */
    {
        size_t header = 8 + (size_t)bytes[0] + ((size_t)bytes[1] << 8), bit;
        long refused = 0, taken = 0;
        CHECK(header < size && bytes[2] == 0, "header of %d bytes", (int)header);
        for (bit = 0; bit < header * 8; bit += cdrl ? 13 : 3) {
            drl_status status;
            memcpy(copy, bytes, size);
            copy[bit / 8] = (unsigned char)(copy[bit / 8] ^ (1 << bit % 8));
            drl_ctx_clear(ctx);
            memset(&use, 0, sizeof use);
            use.batch = 1;
            again = NULL;
            status = drl_model_load_memory(ctx, copy, size, &use, &again);
            if (status == DRL_OK) { ++taken; drl_model_destroy(again); }
            else {
                ++refused;
                if (again || !drl_ctx_message(ctx)[0]) { CHECK(0, "bit %d flipped: status %d, sentence '%s'", (int)bit, (int)status, drl_ctx_message(ctx)); break; }
            }
            if (heap.live != live) { CHECK(0, "bit %d flipped: %ld blocks leaked", (int)bit, heap.live - live); break; }
        }
        CHECK(refused > 20 * taken, "%ld flipped headers were refused, %ld taken", refused, taken);
        again = NULL;
    }

    /* one tensor too few, too many, of another shape, type or name; descriptions that do not fit */
    {
        drl_safetensors *st = NULL;
        drl_array arrays[160];
        drl_safetensors_desc w;
        const char *meta[2];
        char text[DRL__DESCRIBE_MAX];
        int n, way;
        CHECK_OK(ctx, drl_safetensors_open_memory(ctx, bytes, size, &st));
        n = (int)drl_safetensors_contents(st)->count;
        CHECK(n < 150 && drl__safetensors_meta(st, "drl.model") != NULL, "%d tensors", n);
        for (way = 0; way < (cdrl ? 23 : 17); ++way) {
            static const char *const fields[][2] = {
                { "height=4", "height=8" }, { "base=6", "base=8" }, { "base=6", "base=65536" }, { "blocks=2", "blocks=1" }, { "levels=3", "levels=-3" }, { "levels=3", "level=3" },
                { "steps=4", "steps=65536" }, { "resolutions=2", "resolutions=30" }, { "channels=3", "channels=3 channels=3" }, { "width=6", "width=6.5" }, { "height=4 ", "" },
                { "height=4 width=6", "height=65536 width=65536" }, { "form=1", "form=0" }, { "form=1 ", "" }, { "form=1", "form=2" }, { "initializer=-1", "initializer=8" }, { "classes=2", "classes=3" }, { "classes=2", "classes=-2" }
            };
            drl_status want_status = DRL_E_FORMAT, status;
            unsigned char *file;
            size_t file_size = 0, written;
            for (i = 0; i < n; ++i) arrays[i] = drl_safetensors_contents(st)->arrays[(size_t)i];
            memset(&w, 0, sizeof w);
            w.arrays = arrays; w.count = (size_t)n; w.meta = meta; w.meta_count = 1;
            meta[0] = "drl.model"; meta[1] = text;
            CHECK(strlen(drl__safetensors_meta(st, "drl.model")) < sizeof text - 40, "description");
            strcpy(text, drl__safetensors_meta(st, "drl.model"));
            if (way == 0) { w.count = (size_t)n - 1; }
            if (way == 1) { arrays[n] = arrays[0]; arrays[n].name = "another"; w.count = (size_t)n + 1; }
            if (way == 2) arrays[3].name = "other";
            if (way == 3) { arrays[0].rank = 1; arrays[0].shape[0] = drl_array_count(&drl_safetensors_contents(st)->arrays[0]); want_status = DRL_E_SHAPE; }
            if (way == 4) w.meta_count = 0;
            if (way >= 5) {
                const char *const *change = fields[way - 5];
                char *at = strstr(text, change[0]), rest[DRL__DESCRIBE_MAX];
                CHECK(at != NULL, "no %s in '%s'", change[0], text);
                if (!at) continue;
                strcpy(rest, at + strlen(change[0]));
                strcpy(at, change[1]);
                strcat(text, rest);
            }
            CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &w, NULL, 0, &file_size));
            file = (unsigned char *)malloc(file_size + 1);
            if (!file) exit(3);
            CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &w, file, file_size, &written));
            live = heap.live;
            again = NULL;
            drl_ctx_clear(ctx);
            memset(&use, 0, sizeof use);
            use.batch = 1;
            status = drl_model_load_memory(ctx, file, file_size, &use, &again);
            if (way == 5) CHECK(status == DRL_OK, "images of another size need the same weights: %s", drl_ctx_message(ctx));
            else if (way < 5) CHECK(status == want_status && drl_ctx_message(ctx)[0], "way %d: status %d, '%s'", way, (int)status, drl_ctx_message(ctx));
            else CHECK(status != DRL_OK && drl_ctx_message(ctx)[0] && !again, "way %d: status %d, '%s'", way, (int)status, text);
            drl_model_destroy(again);
            CHECK(heap.live == live, "way %d: %ld blocks leaked", way, heap.live - live);
            free(file);
        }
        /* drl_net_load: what does not fit changes nothing */
        {
            drl_net *net = drl_model_net(m);
            drl_model_desc other = d;
            drl_model *wide;
            float *before = floats(drl_net_params_size(net)), *wide_before;
            memcpy(before, drl_net_params(net), drl_net_params_size(net) * sizeof(float));
            other.base = 8;
            drl_ctx_clear(ctx);
            wide = make(ctx, &other, 2);
            wide_before = floats(drl_net_params_size(drl_model_net(wide)));
            memcpy(wide_before, drl_net_params(drl_model_net(wide)), drl_net_params_size(drl_model_net(wide)) * sizeof(float));
            REFUSED(ctx, drl_net_load(drl_model_net(wide), st), DRL_E_SHAPE);
            CHECK(!memcmp(wide_before, drl_net_params(drl_model_net(wide)), drl_net_params_size(drl_model_net(wide)) * sizeof(float)), "a refused file has changed weights");
            drl_model_destroy(wide);
            other = d; other.blocks = 3;
            wide = make(ctx, &other, 2);
            REFUSED(ctx, drl_net_load(drl_model_net(wide), st), DRL_E_FORMAT);
            drl_model_destroy(wide);
            REFUSED(ctx, drl_net_load(net, NULL), DRL_E_ARGUMENT);
            CHECK(!memcmp(before, drl_net_params(net), drl_net_params_size(net) * sizeof(float)), "weights have changed");
            free(before); free(wide_before);
        }
        drl_safetensors_close(st);
    }
    free(bytes); free(copy);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* Numbers in the texts of files: what is written comes back, and what is no number, or not exact in a double, is refused. */
static void numbers(void)
{
    static const double some[] = { 0, -1.5, 2e-4, 1e-5, -3e-6, 1e22, 1.0 / 3, 123456789, 1e300, 4.9e-324 };
    static const struct { const char *text; double value; } good[] = { { "1e-5", 1e-5 }, { "-2.5e3", -2500 }, { "1e22", 1e22 }, { "1e-22", 1e-22 }, { "1e0", 1 }, { "1e09", 1e9 }, { "123456789012345", 123456789012345.0 }, { "0.90", 0.9 }, { "x3ff8000000000000", 1.5 } };
    static const char *const bad[] = { "", "-", "e5", ".", "1e", "1e-", "1e+5", "1e23", "1e-23", "1e:", "1e/", ":", "/", "1e-:", "1e999999999999", "1234567890123456", "x3ff", "x3FF8000000000000" };
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

/* Descriptions as texts: the last value that fits each type, the first that does not, and what else can be wrong with a text. */
static void texts(void)
{
    typedef struct plain { int i; uint64_t u; float f; double d; int mult[DRL_RESOLUTIONS_MAX]; } plain;
    static const drl__field fields[] = { { "i", DRL__INT, offsetof(plain, i), 0, 0, 0, DRL__ANY }, { "u", DRL__U64, offsetof(plain, u), 0, 0, 0, DRL__ANY }, { "f", DRL__FLOAT, offsetof(plain, f), 0, 0, 0, DRL__ANY },
                                         { "d", DRL__DOUBLE, offsetof(plain, d), 0, 0, 0, DRL__ANY }, { "mult", DRL__MULT, offsetof(plain, mult), 0, 0, 0, DRL__ANY } };
    static const struct { const char *head; int taken; } cases[] = {
        { "i=1 u=1 f=1 d=1", 1 }, { "d=1 u=1 i=1 f=1", 1 }, { "i=2147483647 u=1 f=1 d=1", 1 }, { "i=2147483648 u=1 f=1 d=1", 0 }, { "i=-2147483647 u=1 f=1 d=1", 1 }, { "i=-2147483648 u=1 f=1 d=1", 0 },
        { "i=1.5 u=1 f=1 d=1", 0 }, { "i=x7ff0000000000000 u=1 f=1 d=1", 0 }, { "i=1 u=18446744073709551615 f=1 d=1", 1 }, { "i=1 u=18446744073709551616 f=1 d=1", 0 }, { "i=1 u=-1 f=1 d=1", 0 }, { "i=1 u= f=1 d=1", 0 },
        { "i=1 u=1 f=x47efffffe0000000 d=1", 1 }, { "i=1 u=1 f=x47f0000000000000 d=1", 0 }, { "i=1 u=1 f=xc7efffffe0000000 d=1", 1 }, { "i=1 u=1 f=xc7f0000000000000 d=1", 0 },
        { "i=1 u=1 f=1 d=x7fefffffffffffff", 1 }, { "i=1 u=1 f=1 d=x7ff8000000000000", 0 }, { "i=1 u=1 f=1 d=xfff0000000000000", 0 },
        { "i=1 u=1 f=1", 0 }, { "i=1 u=1 f=1 d=1 d=1", 0 }, { "i=1 u=1 f=1 d=1 e=1", 0 }, { "i=1  u=1 f=1 d=1", 0 }, { "i=1,u=1 f=1 d=1", 0 }, { "i =1 u=1 f=1 d=1", 0 } };
    static const struct { const char *tail; int taken; } tails[] = { { " mult=1,2,3,4,5,6,7,8", 1 }, { " mult=1,2,3,4,5,6,7", 0 }, { " mult=1,2,3,4,5,6,7,8,9", 0 }, { " mult=1,2,3,4 5,6,7,8", 0 }, { " mult=1,2,3,4,5,6,7,8 ", 0 }, { "", 0 } };
    size_t i, j;
    for (i = 0; i < sizeof cases / sizeof *cases; ++i) for (j = 0; j < sizeof tails / sizeof *tails; ++j) {
        char text[200], again[DRL__DESCRIBE_MAX];
        plain p, q;
        int want = cases[i].taken && tails[j].taken;
        if (j && i) break;
        snprintf(text, sizeof text, "%s%s", cases[i].head, tails[j].tail);
        memset(&p, 0, sizeof p);
        memset(&q, 0, sizeof q);
        CHECK(drl__undescribe(fields, sizeof fields / sizeof *fields, text, &p) == want, "'%s' is %s", text, want ? "refused" : "taken");
        if (!want) continue;
        drl__describe(fields, sizeof fields / sizeof *fields, &p, again, sizeof again);
        CHECK(drl__undescribe(fields, sizeof fields / sizeof *fields, again, &q) && q.i == p.i && q.u == p.u && q.f == p.f && q.d == p.d && !memcmp(q.mult, p.mult, sizeof p.mult), "'%s' became '%s'", text, again);
    }
}

/* The largest of each number of a description is taken, one more is not. */
static void limits(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d, full;
#define LIMIT(change, status) do { d = tiny(); change; drl_ctx_clear(ctx); CHECK(drl__model_resolve(ctx, &d, &full) == (status), "%s: '%s'", #change, drl_ctx_message(ctx)); } while (0)
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
    LIMIT((d.height = d.width = 1 << (DRL_RESOLUTIONS_MAX - 1), d.resolutions = DRL_RESOLUTIONS_MAX), DRL_OK);
    LIMIT((d.height = d.width = 1 << DRL_RESOLUTIONS_MAX, d.resolutions = DRL_RESOLUTIONS_MAX + 1), DRL_E_ARGUMENT);
    LIMIT(d.mult[1] = 64, DRL_OK);
    LIMIT(d.mult[1] = 65, DRL_E_ARGUMENT);
    LIMIT(d.levels = 2, DRL_OK);
    LIMIT(d.levels = 500, DRL_OK);
    LIMIT((d.schedule = DRL_SCHEDULE_T1K, d.levels = 1000), DRL_OK);
    LIMIT(d.steps = 65535, DRL_OK);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer = 4), DRL_OK);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer = 2), DRL_E_ARGUMENT);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer = 65536), DRL_OK);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer = 65538), DRL_E_ARGUMENT);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer_blocks = 64), DRL_OK);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.initializer_blocks = 65), DRL_E_ARGUMENT);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.classes = 65535), DRL_OK);
    LIMIT((d.height = d.width = 8, d.form = DRL_FORM_CDRL, d.classes = 65536), DRL_E_ARGUMENT);
    LIMIT((d.height = 8, d.width = 6, d.form = DRL_FORM_CDRL), DRL_E_SHAPE);
    LIMIT((d.height = 6, d.width = 8, d.form = DRL_FORM_CDRL), DRL_E_SHAPE);
    drl_ctx_destroy(ctx);
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
 * is next to the middle to the near one; any float is rounded as in double. */
static void halves(int bf16)
{
    uint32_t h, infinity = bf16 ? 0x7F80 : 0x7C00, nan = bf16 ? 0x7FC0 : 0x7E00, bits, got;
    long wrong = 0, i;
    float v;
    double want;
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
    for (i = 0, wrong = 0; i < 1000000; ++i) {
        test_seed = test_seed * 6364136223846793005u + 1442695040888963407u;
        bits = (uint32_t)(test_seed >> 32);
        if (i % 2) bits = (bits & 0x87FFFFFF) | 0x30000000;     /* of the sizes that F16 has */
        memcpy(&v, &bits, 4);
        if ((bits & 0x7F800000) == 0x7F800000) continue;
        got = half_of(v, bf16);
        want = half_nearest((double)v, bf16);
        wrong += fabs(want) == HUGE_VAL ? (got & 0x7FFF) != infinity : half_value(got, bf16) != want;
        wrong += got >> 15 != bits >> 31;
    }
    CHECK(wrong == 0, "%ld of a million floats are rounded to other halves", wrong);
}

/* Models in files of F32, F16 and BF16: sizes, weights, energies, saving what was loaded; what is refused. */
static void half_files(int cdrl)
{
    static const drl_dtype types[3] = { DRL_DTYPE_F32, DRL_DTYPE_F16, DRL_DTYPE_BF16 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc d = tiny();
    drl_model *m, *whole = NULL, *half = NULL;
    drl_net *net;
    float x[8 * 8 * 3], level = 1, one = 1, f = 0, f_half = 0, *weight;
    drl_batch b;
    const char *path = check_path("test_half.safetensors");
    size_t size, written, again, k, params, weights_of_all;
    unsigned char *file, *copy;
    int i;
    if (cdrl) { d.form = DRL_FORM_CDRL; d.initializer = -1; d.height = d.width = 8; }
    d.trainable = 1;
    m = make(ctx, &d, 1);
    randomize(m, 1);
    file = saved(ctx, m, &size);
    CHECK_OK(ctx, drl_model_load_memory(ctx, file, size, &d, &whole));
    if (!whole) exit(check_report("test_model"));
    net = drl_model_net(whole);
    params = weights_of_all = drl_net_params_size(net);
    if (drl_model_initializer(m)) weights_of_all += drl_net_params_size(drl_model_initializer(m));
    for (k = 0; k < (size_t)(d.height * d.width * d.channels); ++k) x[k] = (float)real(-1, 1);
    b = drl_batch_of(1, x, &level);
    CHECK_OK(ctx, drl_net_train_forward(net, &b, &f));
    CHECK_OK(ctx, drl_net_train_backward(net, &one));
    drl_net_spectral_grads(net);
    for (i = 0; i < 3; ++i) {
        int bf16 = types[i] == DRL_DTYPE_BF16;
        double u = bf16 ? ldexp(1, -8) : ldexp(1, -11), least = bf16 ? 0 : ldexp(1, -25), bound = 0;
        long wrong = 0;
        written = again = 0;
        half = NULL;
        CHECK_OK(ctx, drl_model_save_memory(m, types[i], NULL, 0, &written));
        CHECK(i == 0 ? written == size : written < size && size - written + 8192 > 2 * weights_of_all &&
              size - written < 2 * weights_of_all + 8192, "%d bytes, %d as F32", (int)written, (int)size);
        copy = (unsigned char *)malloc(written);
        if (!copy) exit(3);
        CHECK_OK(ctx, drl_model_save_memory(m, types[i], copy, written, &written));
        CHECK_OK(ctx, drl_model_load_memory(ctx, copy, written, &d, &half));
        if (!half) exit(check_report("test_model"));
        for (k = 0; k < params; ++k) {
            double v = (double)drl_net_params(net)[k], got = (double)drl_net_params(drl_model_net(half))[k];
            wrong += got != (i ? half_nearest(v, bf16) : v);
            bound += fabs((double)drl_net_grads(net)[k]) * (u * fabs(v) + least);
        }
        CHECK(wrong == 0, "type %d: %ld weights are not the nearest", i, wrong);
        CHECK_OK(ctx, drl_net_forward(drl_model_net(half), &b, &f_half));
        CHECK(i == 0 ? f == f_half : f != f_half && fabs((double)f - (double)f_half) <= bound,
              "type %d: f is %g, with F32 %g, bound %g", i, (double)f_half, (double)f, bound);
        {
            drl_safetensors *st = NULL;
            long states = 0;
            const drl_safetensors_desc *in;
            CHECK_OK(ctx, drl_safetensors_open_memory(ctx, copy, written, &st));
            if (!st) exit(check_report("test_model"));
            in = drl_safetensors_contents(st);
            for (k = 0; k < in->count; ++k) {
                int vector = strstr(in->arrays[k].name, "weight_u") || strstr(in->arrays[k].name, "weight_v");
                states += vector;
                if (in->arrays[k].dtype != (vector ? DRL_DTYPE_F32 : types[i])) ++wrong;
            }
            CHECK(wrong == 0 && (states > 0) == cdrl, "type %d: %ld tensors of other types", i, wrong);
            drl_safetensors_close(st);
        }
        memset(file, 0, size);
        CHECK_OK(ctx, drl_model_save_memory(half, types[i], file, size, &again));
        CHECK(again == written && !memcmp(file, copy, written), "type %d: saved again, other bytes", i);
        CHECK_OK(ctx, drl_model_save(m, types[i], path));
        {
            void *data = NULL;
            CHECK_OK(ctx, drl_file_read(ctx, path, &data, &again));
            CHECK(data && again == written && !memcmp(data, copy, written), "type %d: the file differs", i);
            drl_file_free(ctx, data);
            remove(path);
        }
        drl_model_destroy(half);
        free(copy);
    }

    /* weights that the type does not hold */
    for (i = 0; drl_net_param(drl_model_net(m), i)->rank != 1; ++i) {}
    weight = drl_net_params(drl_model_net(m)) + drl_net_param(drl_model_net(m), i)->offset;
    *weight = 65519.996f;
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F16, file, size, &written));
    memset(file, 7, size);
    *weight = -65520;
    CHECK(drl_model_save_memory(m, DRL_DTYPE_F16, file, size, &written) == DRL_E_NUMERIC &&
          strstr(drl_ctx_message(ctx), drl_net_param(drl_model_net(m), i)->name) &&
          strstr(drl_ctx_message(ctx), "-65520; the largest F16 is 65504"), "'%s'", drl_ctx_message(ctx));
    for (k = 0, written = 0; k < size; ++k) written += file[k] != 7;
    CHECK(written == 0, "a refused file: %d bytes are written", (int)written);
    REFUSED(ctx, drl_model_save(m, DRL_DTYPE_F16, path), DRL_E_NUMERIC);
    REFUSED(ctx, drl_model_load(ctx, path, NULL, &half), DRL_E_IO);
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_BF16, file, size, &written));
    *weight = FLT_MAX;
    REFUSED(ctx, drl_model_save_memory(m, DRL_DTYPE_BF16, file, size, &written), DRL_E_NUMERIC);
    CHECK_OK(ctx, drl_model_save_memory(m, DRL_DTYPE_F32, file, size, &written));
    CHECK(drl_model_save_memory(m, DRL_DTYPE_F64, file, size, &written) == DRL_E_ARGUMENT &&
          strstr(drl_ctx_message(ctx), "dtype is 1; weights are saved as F32, F16 or BF16"), "'%s'",
          drl_ctx_message(ctx));
    drl_ctx_clear(ctx);
    REFUSED(ctx, drl_model_save(m, DRL_DTYPE_I16, path), DRL_E_ARGUMENT);
    free(file);
    drl_model_destroy(whole);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    PART(network());
    PART(descriptions());
    PART(same_bits());
    PART(by_hand());
    PART(cooperative());
    PART(points());
    PART(schedules());
    PART(initializer_forms());
    PART(unet_energies());
    PART(own_networks());
    PART(numbers());
    PART(texts());
    PART(limits());
    PART(scores());
    PART(small_machine());
    PART(large_image());
    PART(memory());
    PART(files(0));
    PART(files(1));
    PART(halves(0));
    PART(halves(1));
    PART(half_files(0));
    PART(half_files(1));
    return check_report("test_model");
}
