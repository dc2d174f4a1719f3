/* test_ops.c - the numeric core. Every operator is compared with a plain loop in double that stands beside
 * its test, and its gradients with central differences of that loop. It runs on every instruction set of the
 * machine and with several numbers of threads: all fused sets give the same bits. All buffers have guard
 * zones. */
#define DRL_IMPLEMENTATION
#define DRL__DEFINITIONS
#define DRL__GRAIN 4096         /* small tensors are shared by threads, too */
#include "../drl.h"
#include "check.h"

/* 2^-24: half a unit in the last place of 1, the error of one rounding. Inputs lie in [-1, 1), so the
 * tolerance of a sum of n terms is about n * EPS, and a few EPS more for what follows the sum. */
#define EPS (1.0 / 16777216.0)

/* --- inputs, guarded buffers, recorded results ---------------------------------------------------------- */
static uint64_t lcg_state;
static double uniform(void)         /* [-1, 1), exact in float */
{
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(uint32_t)(lcg_state >> 32 & 0xFFFFFF00u) / 2147483648.0;
}

#define GUARD 24
#define SENTINEL -12345.5f
typedef struct buffer { float *raw, *p; size_t n; } buffer;
static buffer pool[64];
static int pool_used;
static long races;                  /* floats that two jobs of one call have written */

/* n floats at an address that no vector is aligned to: NaN inside, sentinels around. */
static float *fresh(size_t n)
{
    buffer *b = &pool[pool_used++];
    size_t i;
    b->raw = (float *)malloc((n + 2 * GUARD + 1) * sizeof(float));
    b->p = b->raw + GUARD + 1;
    b->n = n;
    for (i = 0; i < n + 2 * GUARD + 1; ++i) b->raw[i] = SENTINEL;
    for (i = 0; i < n; ++i) b->p[i] = (float)NAN;
    return b->p;
}

static float *noise(size_t n)
{
    float *p = fresh(n);
    size_t i;
    for (i = 0; i < n; ++i) p[i] = (float)uniform();
    return p;
}

static float *copy(const float *from, size_t n)
{
    float *p = fresh(n);
    memcpy(p, from, n * sizeof(float));
    return p;
}

static double *doubles(const float *from, size_t n)
{
    double *p = (double *)malloc(n * sizeof(double));
    size_t i;
    for (i = 0; i < n; ++i) p[i] = (double)from[i];
    return p;
}

static const char *what = "";       /* the case, for messages */

/* The end of a case: no sentinel has changed, and no two jobs have written the same float. */
static void release(void)
{
    int i;
    size_t j;
    for (i = 0; i < pool_used; ++i) {
        buffer *b = &pool[i];
        const float *before = b->p - GUARD, *behind = b->p + b->n;
        int good = 1;
        for (j = 0; j < GUARD; ++j) good &= before[j] == SENTINEL && behind[j] == SENTINEL;
        CHECK(good, "%s: written outside of buffer %d", what, i);
        free(b->raw);
    }
    CHECK(races == 0, "%s: %ld floats are written by two jobs", what, races);
    races = 0;
    pool_used = 0;
}

/* The first run of a set keeps its results, the others must have the same bits. */
static float *recorded;
static size_t recorded_n, recorded_at, recorded_room;
static int recording;               /* this run's results are kept */
static int checking;                /* results are compared with double: in runs with one thread */
static char set_name[64];

static void record(const float *p, size_t n)
{
    if (recording) {
        if (recorded_n + n > recorded_room) {
            recorded_room = (recorded_n + n) * 2;
            recorded = (float *)realloc(recorded, recorded_room * sizeof(float));
        }
        memcpy(recorded + recorded_n, p, n * sizeof(float));
        recorded_n += n;
    } else {
        CHECK(recorded_at + n <= recorded_n && !memcmp(recorded + recorded_at, p, n * sizeof(float)),
              "%s: bits of %s differ", what, set_name);
        recorded_at += n;
    }
}

/* FNV-1a over the bits: the same number on every machine, for the sets that portable C defines. */
static uint32_t hash_of(const float *p, size_t n)
{
    uint32_t h = 2166136261u, u;
    size_t i;
    int b;
    for (i = 0; i < n; ++i) {
        memcpy(&u, p + i, sizeof u);
        for (b = 0; b < 32; b += 8) h = (h ^ (u >> b & 255)) * 16777619u;
    }
    return h;
}

/* |got - want| <= tolerance for all; want NULL: zeros */
static void near_all(const char *part, const float *got, const double *want, size_t n, double tolerance)
{
    size_t i;
    if (!checking) return;
    for (i = 0; i < n; ++i) {
        double right = want ? want[i] : 0;
        if (fabs((double)got[i] - right) <= tolerance) continue;
        CHECK(0, "%s, %s, %s: element %d is %.9g, not %.9g (tolerance %g)",
              what, set_name, part, (int)i, (double)got[i], right, tolerance);
        return;
    }
    CHECK(1, "fine");
}

/* got is `before` (NULL: zero) plus the gradient of value(env) by the doubles p, which env has. The gradient
 * comes from central differences with h = 2^-12; of what is linear in p they are exact. At most about `most`
 * elements are compared, spread evenly; 0: all. */
typedef double (*value_fn)(void *env);
static void gradient(const char *part, value_fn value, void *env, double *p, const float *got,
                     const float *before, size_t n, double tolerance, size_t most)
{
    size_t step = most && n > most ? n / most : 1, i;
    if (!checking) return;
    for (i = 0; i < n; i += step) {
        double h = 1.0 / 4096, keep = p[i], high, low, want;
        p[i] = keep + h;
        high = value(env);
        p[i] = keep - h;
        low = value(env);
        p[i] = keep;
        want = (high - low) / (2 * h) + (before ? (double)before[i] : 0);
        if (fabs((double)got[i] - want) <= tolerance) continue;
        CHECK(0, "%s, %s, %s: gradient %d is %.9g, not %.9g (tolerance %g)",
              what, set_name, part, (int)i, (double)got[i], want, tolerance);
        return;
    }
    CHECK(1, "fine");
}

/* --- convolution ---------------------------------------------------------------------------------------- */
typedef struct conv_env { int n, h, w, c, k, side; double *x, *weight, *bias, *dy, *y; } conv_env;

/* The definition, with x zero outside of the image:
 *     y[n,i,j,k] = bias[k] + sum over r, s, c of x[n, i+r-half, j+s-half, c] * weight[k,c,r,s] */
static void conv_double(const conv_env *e)
{
    int n, i, j, k, r, s, c, half = e->side / 2;
    for (n = 0; n < e->n; ++n)
        for (i = 0; i < e->h; ++i) for (j = 0; j < e->w; ++j) for (k = 0; k < e->k; ++k) {
            double sum = e->bias[k];
            for (r = 0; r < e->side; ++r) for (s = 0; s < e->side; ++s) {
                int ii = i + r - half, jj = j + s - half;
                const double *x;
                if (ii < 0 || ii >= e->h || jj < 0 || jj >= e->w) continue;
                x = e->x + ((n * e->h + ii) * e->w + jj) * e->c;
                for (c = 0; c < e->c; ++c)
                    sum += x[c] * e->weight[((k * e->c + c) * e->side + r) * e->side + s];
            }
            e->y[((n * e->h + i) * e->w + j) * e->k + k] = sum;
        }
}

/* sum of y * dy, whose gradients are those of the backward passes */
static double conv_value(void *env)
{
    conv_env *e = (conv_env *)env;
    size_t i, n = (size_t)e->n * (size_t)e->h * (size_t)e->w * (size_t)e->k;
    double sum = 0;
    conv_double(e);
    for (i = 0; i < n; ++i) sum += e->y[i] * e->dy[i];
    return sum;
}

/* |got - want| over |want|, Euclidean */
static double relative_error(const float *got, const double *want, size_t n)
{
    double error = 0, whole = 0;
    size_t i;
    for (i = 0; i < n; ++i) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        whole += want[i] * want[i];
    }
    return sqrt(error / whole);
}

/* Winograd's transforms multiply the rounding of a chain of C products by about this. */
#define WINOGRAD_ERROR 8

/* One convolution: its tensors in float, the same in double, and what rounding may do. */
typedef struct conv_case {
    drl_conv2d_desc d;
    int winograd;
    size_t nx, ny, nw, nk, most;        /* elements of x, y, weights, bias; gradients that are compared */
    double terms, pixels, cost;         /* products in an output, in a gradient of a weight, in all */
    double loose;                       /* 1, or WINOGRAD_ERROR */
    drl_tensor x, y, dy, dx;
    float *weight, *bias, *packed, *packed_t, *work;
    float *dx0, *dw, *dw0, *db, *db0;   /* 0: what gradients are added to */
    conv_env e;
} conv_case;

static conv_case conv_make(drl_ctx *ctx, int n, int h, int w, int c, int k, int side, int winograd)
{
    static char name[80];
    conv_case t;
    size_t i;
    sprintf(name, "%sconv %dx%d %dx%dx%d %d->%d", winograd ? "Winograd " : "", side, side, n, h, w, c, k);
    what = name;
    lcg_state = (uint64_t)(n + 10 * h + 100 * w + 1000 * c + 10000 * k + side);
    memset(&t, 0, sizeof t);
    t.d.in_channels = c;
    t.d.out_channels = k;
    t.d.kernel = side == 3 ? 0 : 1;
    t.d.winograd = t.winograd = winograd;
    t.nx = (size_t)n * (size_t)h * (size_t)w * (size_t)c;
    t.ny = t.nx / (size_t)c * (size_t)k;
    t.nw = (size_t)c * (size_t)k * (size_t)(side * side);
    t.nk = (size_t)k;
    t.terms = (double)c * side * side;
    t.pixels = (double)n * h * w;
    t.cost = t.terms * (double)t.ny;
    t.loose = winograd ? WINOGRAD_ERROR : 1;
    t.most = t.cost < 2e5 ? 300 : t.cost < 2e6 ? 30 : 4;
    t.x = drl_tensor_of(noise(t.nx), n, h, w, c);
    t.weight = noise(t.nw);
    t.bias = noise(t.nk);
    t.dy = drl_tensor_of(noise(t.ny), n, h, w, k);
    t.y = drl_tensor_of(fresh(t.ny), n, h, w, k);
    t.dx = drl_tensor_of(fresh(t.nx), n, h, w, c);
    t.dx0 = noise(t.nx);
    t.dw0 = noise(t.nw);
    t.db0 = noise(t.nk);
    t.dw = copy(t.dw0, t.nw);
    t.db = copy(t.db0, t.nk);
    t.packed = fresh(drl_conv2d_packed_count(ctx, &t.d, 0));
    t.packed_t = fresh(drl_conv2d_packed_count(ctx, &t.d, 1));
    t.work = fresh(drl_conv2d_work_count(ctx, &t.d, n, h, w));
    drl_conv2d_pack(ctx, &t.d, 0, t.weight, 0.5f, t.packed);
    drl_conv2d_pack(ctx, &t.d, 1, t.weight, 0.5f, t.packed_t);
    t.e.n = n;
    t.e.h = h;
    t.e.w = w;
    t.e.c = c;
    t.e.k = k;
    t.e.side = side;
    t.e.x = doubles(t.x.data, t.nx);
    t.e.weight = doubles(t.weight, t.nw);
    t.e.bias = doubles(t.bias, t.nk);
    t.e.dy = doubles(t.dy.data, t.ny);
    t.e.y = (double *)malloc(t.ny * sizeof(double));
    for (i = 0; i < t.nw; ++i) t.e.weight[i] *= 0.5;
    return t;
}

static void conv_forward(drl_ctx *ctx, conv_case *t)
{
    const conv_env *e = &t->e;
    size_t i;
    CHECK_OK(ctx, drl_conv2d_forward(ctx, &t->d, &t->x, t->packed, t->bias, &t->y, t->work));
    if (checking) conv_double(e);
    near_all("forward", t->y.data, e->y, t->ny, t->loose * (t->terms + 8) * EPS);
    if (checking && t->ny > 1000) {         /* roundings that point both ways add up like sqrt(terms) */
        double error = relative_error(t->y.data, e->y, t->ny);
        CHECK(error < (t->winograd ? 4 : 1) * sqrt(t->terms) * 3e-8 + 1e-7,
              "%s, %s: relative error %g", what, set_name, error);
    }
    record(t->y.data, t->ny);
    if (checking && !t->winograd && !UNFUSED(ctx->isa) && t->cost < 2e5) {  /* the definition, to the bit */
        float *plain = fresh(t->ny), *half = copy(t->weight, t->nw);
        for (i = 0; i < t->nw; ++i) half[i] *= 0.5f;
        drl__plain_conv2d(e->n, e->h, e->w, e->c, e->k, e->side, t->x.data, half, t->bias, plain);
        for (i = 0; i < t->ny && t->y.data[i] == plain[i]; ++i) { }
        CHECK(i == t->ny, "%s, %s: element %d is not that of the plain loop", what, set_name, (int)i);
    }
}

/* Gradients by x, which are written or added, and by the parameters, which are added. */
static void conv_gradients(drl_ctx *ctx, conv_case *t)
{
    conv_env *e = &t->e;
    double by_x = t->loose * (9.0 * e->k + 8) * EPS + 1e-9, by_bias = (t->pixels + 8) * EPS + 1e-9;
    double by_weight = t->loose * (t->pixels + 8) * EPS + 1e-9;
    CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &t->d, &t->dy, t->packed_t, &t->dx, 0, t->work));
    gradient("dx", conv_value, e, e->x, t->dx.data, NULL, t->nx, by_x, t->most);
    record(t->dx.data, t->nx);
    memcpy(t->dx.data, t->dx0, t->nx * sizeof(float));
    CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &t->d, &t->dy, t->packed_t, &t->dx, 1, t->work));
    gradient("dx added", conv_value, e, e->x, t->dx.data, t->dx0, t->nx, by_x, t->most);
    record(t->dx.data, t->nx);
    CHECK_OK(ctx, drl_conv2d_param_grad(ctx, &t->d, &t->x, &t->dy, t->dw, t->db, t->work));
    gradient("dweight", conv_value, e, e->weight, t->dw, t->dw0, t->nw, by_weight, t->most);
    gradient("dbias", conv_value, e, e->bias, t->db, t->db0, t->nk, by_bias, t->most);
    record(t->dw, t->nw);
    record(t->db, t->nk);
}

/* Winograd with weights that are not packed: the bits of y (without bias) and of dx (added) stay. */
static void conv_unpacked(drl_ctx *ctx, conv_case *t)
{
    float *y0 = copy(t->y.data, t->ny), *dx1 = copy(t->dx.data, t->nx), *work;
    size_t np = drl_conv2d_packed_count(ctx, &t->d, 0), i;
    float *kept = copy(t->packed, np);
    drl_conv2d_desc d = t->d;
    d.winograd = 2;
    for (i = 0; i < t->nw; ++i) t->weight[i] *= 0.5f;
    CHECK(!drl_conv2d_packed_count(ctx, &d, 0) && !drl_conv2d_packed_count(ctx, &d, 1),
          "%s: weights are packed after all", what);
    drl_conv2d_pack(ctx, &d, 0, t->weight, 2, t->packed);
    CHECK(!memcmp(t->packed, kept, np * sizeof(float)), "%s: packed all the same", what);
    work = fresh(drl_conv2d_work_count(ctx, &d, t->e.n, t->e.h, t->e.w));
    CHECK_OK(ctx, drl_conv2d_forward(ctx, &d, &t->x, t->weight, NULL, &t->y, work));
    CHECK(!memcmp(t->y.data, y0, t->ny * sizeof(float)),
          "%s, %s: forward differs when weights are not packed", what, set_name);
    memcpy(t->dx.data, t->dx0, t->nx * sizeof(float));
    CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &d, &t->dy, t->weight, &t->dx, 1, work));
    CHECK(!memcmp(t->dx.data, dx1, t->nx * sizeof(float)),
          "%s, %s: dx differs when weights are not packed", what, set_name);
}

static void test_conv(drl_ctx *ctx, int n, int h, int w, int c, int k, int side, int winograd)
{
    conv_case t = conv_make(ctx, n, h, w, c, k, side, winograd);
    conv_forward(ctx, &t);
    conv_gradients(ctx, &t);
    memset(t.e.bias, 0, t.nk * sizeof(double));
    CHECK_OK(ctx, drl_conv2d_forward(ctx, &t.d, &t.x, t.packed, NULL, &t.y, t.work));
    if (checking) conv_double(&t.e);
    near_all("forward, no bias", t.y.data, t.e.y, t.ny, t.loose * (t.terms + 8) * EPS);
    if (winograd) conv_unpacked(ctx, &t);
    free(t.e.x);
    free(t.e.weight);
    free(t.e.bias);
    free(t.e.dy);
    free(t.e.y);
    release();
}

/* --- the operators of nets, called by their rows' functions --------------------------------------------- */
static drl__op_call call_of(drl_ctx *ctx, const drl__op *op, const drl_tensor *a, const drl_tensor *b)
{
    drl__op_call c;
    memset(&c, 0, sizeof c);
    c.ctx = ctx;
    c.op = op;
    if (a) c.a = *a;
    if (b) c.b = *b;
    return c;
}

static drl__op op_of(const drl__op_info *info)
{
    drl__op op;
    memset(&op, 0, sizeof op);
    op.info = info;
    return op;
}

static void forward(drl__op_call *c, const drl_tensor *y)
{
    c->y = *y;
    c->op->info->forward(c);
}

static void input_grad(drl__op_call *c, int operand, const drl_tensor *dy, const drl_tensor *dx,
                       int accumulate)
{
    c->y = drl_tensor_of(NULL, dy->n, dy->h, dy->w, dy->c);
    c->dy = *dy;
    c->dx = *dx;
    c->accumulate = accumulate;
    c->op->info->input_grad(c, operand);
}

/* Operators without settings: the forward pass, and the gradient by an operand. */
static void run_forward(drl_ctx *ctx, const drl__op_info *info, const drl_tensor *a, const drl_tensor *b,
                        const drl_tensor *y, float *work)
{
    drl__op op = op_of(info);
    drl__op_call c = call_of(ctx, &op, a, b);
    c.work = work;
    forward(&c, y);
}

static void run_input_grad(drl_ctx *ctx, const drl__op_info *info, int operand, const drl_tensor *a,
                           const drl_tensor *b, const drl_tensor *dy, const drl_tensor *dx, int accumulate,
                           float *work)
{
    drl__op op = op_of(info);
    drl__op_call c = call_of(ctx, &op, a, b);
    c.work = work;
    input_grad(&c, operand, dy, dx, accumulate);
}

/* --- activations ---------------------------------------------------------------------------------------- */
static double act_double(drl_act act, double x)
{
    switch (act) {
    case DRL_ACT_LEAKY_RELU: return x > 0 ? x : (double)0.2f * x;
    case DRL_ACT_RELU: return x > 0 ? x : 0;
    case DRL_ACT_SILU: return x / (1 + exp(-x));
    default: return x;
    }
}

static void act_forward(drl_ctx *ctx, drl_act act, const drl_tensor *x, const drl_tensor *y, uint8_t *bits)
{
    drl__op op = op_of(&drl__op_act);
    drl__op_call c = call_of(ctx, &op, x, NULL);
    op.act = act;
    c.extra = act == DRL_ACT_SILU ? NULL : bits;
    forward(&c, y);
}

static void act_input_grad(drl_ctx *ctx, drl_act act, const drl_tensor *x, uint8_t *bits,
                           const drl_tensor *dy, const drl_tensor *dx, int accumulate)
{
    drl__op op = op_of(&drl__op_act);
    drl__op_call c = call_of(ctx, &op, x, NULL);
    op.act = act;
    c.extra = act == DRL_ACT_SILU || act == DRL_ACT_NONE ? NULL : bits;
    input_grad(&c, 0, dy, dx, accumulate);
}

/* The slope by central differences; at zero that of the left side, except for SiLU, which is smooth. */
static double act_slope(drl_act act, double x)
{
    double h = 1e-5;
    if (x == 0 && act != DRL_ACT_SILU) return act_double(act, -1) / -1;
    return (act_double(act, x + h) - act_double(act, x - h)) / (2 * h);
}

/* Forward: one rounding, five for SiLU. The bits of x > 0 are kept for the backward pass, and no bit behind
 * them is written. Gradients: written, added, and in place. */
static void test_act(drl_ctx *ctx, drl_act act, int count)
{
    size_t n = (size_t)count, i;
    char name[40];
    drl_tensor x, y, dy, dx, z;
    uint8_t bits[1300 / 8 + 4];
    double *want = (double *)malloc(n * sizeof(double)), worst = 0;
    float *dx0;
    sprintf(name, "act %d of %d", (int)act, count);
    what = name;
    lcg_state = (uint64_t)count;
    x = drl_tensor_of(noise(n), 1, 1, 1, count);
    for (i = 0; i < n; ++i) x.data[i] *= i % 3 ? 8.0f : 1.0f;
    if (n > 3) x.data[3] = 0;
    dy = drl_tensor_of(noise(n), 1, 1, 1, count);
    y = drl_tensor_of(fresh(n), 1, 1, 1, count);
    dx = drl_tensor_of(fresh(n), 1, 1, 1, count);
    dx0 = noise(n);
    memset(bits, 0xA5, sizeof bits);
    act_forward(ctx, act, &x, &y, bits);
    for (i = 0; i < n; ++i) {
        double right = act_double(act, (double)x.data[i]);
        double error = fabs((double)y.data[i] - right) / (fabs(right) + 1e-30);
        if (error > worst) worst = error;
        if (act != DRL_ACT_SILU && (bits[i / 8] >> (i % 8) & 1) != (x.data[i] > 0))
            CHECK(0, "%s: bit %d", name, (int)i);
    }
    CHECK(worst < (act == DRL_ACT_SILU ? 5 : 1) * EPS, "%s: relative error %g", name, worst);
    CHECK(bits[(n + 7) / 8] == 0xA5, "%s: bits written too far", name);
    record(y.data, n);
    z = drl_tensor_of(copy(x.data, n), 1, 1, 1, count);
    act_forward(ctx, act, &z, &z, NULL);
    CHECK(!memcmp(z.data, y.data, n * sizeof(float)), "%s: in place", name);

    for (i = 0; i < n; ++i) want[i] = act_slope(act, (double)x.data[i]) * (double)dy.data[i];
    act_input_grad(ctx, act, &x, bits, &dy, &dx, 0);
    near_all("gradient", dx.data, want, n, 16 * EPS);
    record(dx.data, n);
    z = drl_tensor_of(copy(dy.data, n), 1, 1, 1, count);
    act_input_grad(ctx, act, &x, bits, &z, &z, 0);
    near_all("gradient in place", z.data, want, n, 16 * EPS);
    for (i = 0; i < n; ++i) want[i] += (double)dx0[i];
    memcpy(dx.data, dx0, n * sizeof(float));
    act_input_grad(ctx, act, &x, bits, &dy, &dx, 1);
    near_all("gradient added", dx.data, want, n, 16 * EPS);
    record(dx.data, n);
    free(want);
    release();
}

/* A NaN is the largest, wherever it stands; of equal numbers the first is taken. */
static void test_maxpool_special(drl_ctx *ctx)
{
    float in[4], out[1], dy_one[1] = { 1 }, dx_four[4];
    uint8_t which[1];
    drl_tensor x = drl_tensor_of(in, 1, 2, 2, 1), y = drl_tensor_of(out, 1, 1, 1, 1);
    drl_tensor dy = drl_tensor_of(dy_one, 1, 1, 1, 1), dx = drl_tensor_of(dx_four, 1, 2, 2, 1);
    drl__op op = op_of(&drl__op_maxpool2);
    drl__op_call call = call_of(ctx, &op, &x, NULL);
    int i, k;
    call.extra = which;
    for (i = 0; i < 5; ++i) {
        for (k = 0; k < 4; ++k) in[k] = i < 4 && k == i ? (float)NAN : 2.0f;
        forward(&call, &y);
        input_grad(&call, 0, &dy, &dx, 0);
        CHECK(i == 4 ? out[0] == 2 : out[0] != out[0], "max pooling hides the NaN %d", i);
        for (k = 0; k < 4; ++k)
            CHECK(dx_four[k] == (k == i % 4 ? 1 : 0), "max pooling of case %d: gradient %d is %g",
                  i, k, (double)dx_four[k]);
    }
}

/* Zeros, denormal and huge numbers against the definition; infinity stays, and a NaN is not hidden. Below
 * -40 SiLU leaves 4e-18 x, so that no denormal numbers come of it. */
static void test_special(drl_ctx *ctx)
{
    static const float values[] = { 0.0f, -0.0f, 1e-40f, -1e-40f, 80.0f, -80.0f, 1000.0f, -1000.0f, 3e38f };
    float in[16], out[16], inf = (float)HUGE_VAL;
    int i, act;
    what = "special values";
    for (act = DRL_ACT_LEAKY_RELU; act <= DRL_ACT_SILU; ++act) {
        drl_tensor x = drl_tensor_of(in, 1, 1, 1, 16), y = drl_tensor_of(out, 1, 1, 1, 16);
        for (i = 0; i < 16; ++i) in[i] = i < 9 ? values[i] : i < 12 ? inf : (float)NAN;
        act_forward(ctx, (drl_act)act, &x, &y, NULL);
        for (i = 0; i < 9; ++i) {
            double want = act_double((drl_act)act, (double)in[i]);
            int low = act == DRL_ACT_SILU && in[i] < -40;
            double slack = low ? 5e-18 * fabs((double)in[i]) : 1e-34;
            CHECK(fabs((double)out[i] - want) <= 1e-6 * fabs(want) + slack,
                  "act %d of %g is %g", act, (double)in[i], (double)out[i]);
            CHECK(!low || out[i] < -1e-17f, "SiLU of %g is %g", (double)in[i], (double)out[i]);
        }
        for (; i < 12; ++i) CHECK(out[i] == inf, "act %d of infinity is %g", act, (double)out[i]);
        for (; i < 16; ++i) CHECK(out[i] != out[i], "act %d hides a NaN", act);
        record(out, 9);
    }
}

/* --- the small operators -------------------------------------------------------------------------------- */
enum { AVERAGE, LARGEST, DOUBLE_SIZE, SHIFT, GAIN, SCALE_SHIFT, SPATIAL_SUM, DOT };

/* An operator in double. n, h, w, c: images, and sizes of the smaller of its tensors; p: its second operand,
 * one image of it when shared. */
typedef struct small_env { int op, n, h, w, c, shared; double *x, *p, *dy; } small_env;

/* Element (n, i, j, c) of a tensor of these sizes; sum and maximum of the 2 x 2 elements there in one of
 * twice the height and width. */
static double element(const small_env *e, const double *t, int n, int i, int j, int c)
{
    return t[((n * e->h + i) * e->w + j) * e->c + c];
}
static const double *square(const small_env *e, const double *t, int n, int i, int j, int c)
{
    return t + ((n * 2 * e->h + 2 * i) * 2 * e->w + 2 * j) * e->c + c;
}
static double sum4(const small_env *e, const double *t, int n, int i, int j, int c)
{
    const double *q = square(e, t, n, i, j, c), *below = q + 2 * e->w * e->c;
    return q[0] + q[e->c] + below[0] + below[e->c];
}
static double max4(const small_env *e, const double *t, int n, int i, int j, int c)
{
    const double *q = square(e, t, n, i, j, c), *below = q + 2 * e->w * e->c;
    return fmax(fmax(q[0], q[e->c]), fmax(below[0], below[e->c]));
}

/* What place (n, i, j, c) adds to the sum of dy * op(x, p). */
static double small_term(const small_env *e, int n, int i, int j, int c)
{
    int C = e->c;
    switch (e->op) {
    case AVERAGE: return element(e, e->dy, n, i, j, c) * sum4(e, e->x, n, i, j, c) / 4;
    case LARGEST: return element(e, e->dy, n, i, j, c) * max4(e, e->x, n, i, j, c);
    case DOUBLE_SIZE: return element(e, e->x, n, i, j, c) * sum4(e, e->dy, n, i, j, c);
    case SHIFT: return element(e, e->dy, n, i, j, c) * (element(e, e->x, n, i, j, c) + e->p[n * C + c]);
    case GAIN:
        return element(e, e->dy, n, i, j, c) * element(e, e->x, n, i, j, c) *
               e->p[(e->shared ? 0 : n * C) + c];
    case SCALE_SHIFT:
        return element(e, e->dy, n, i, j, c) *
               (element(e, e->x, n, i, j, c) * (1 + e->p[2 * n * C + c]) + e->p[(2 * n + 1) * C + c]);
    case SPATIAL_SUM: return e->dy[n * C + c] * 0.375 * element(e, e->x, n, i, j, c);
    default: return e->dy[n] * e->x[n * C + c] * e->p[n * C + c];
    }
}

static double small_value(void *env)
{
    const small_env *e = (const small_env *)env;
    int n, i, j, c;
    double sum = 0;
    for (n = 0; n < e->n; ++n)
        for (i = 0; i < e->h; ++i) for (j = 0; j < e->w; ++j)
            for (c = 0; c < e->c; ++c) sum += small_term(e, n, i, j, c);
    return sum;
}

/* The tensors of a case: base of n x h x w x c, twice of twice the height and width, p with a number for
 * each channel and v with one for each image. grad_: gradients that come in; out_: results; before_: what
 * gradients are added to. */
typedef struct small_case {
    drl_ctx *ctx;
    size_t nb, nt, nc, most;        /* elements of base, twice and p; gradients that are compared */
    double tolerance;               /* of sums over an image */
    drl_tensor base, twice, p, v, grad_base, grad_twice, out_base, out_twice, out_p, out_v;
    float *before_base, *before_twice, *before_p;
    small_env e;
} small_case;

static small_case small_make(drl_ctx *ctx, int n, int h, int w, int c)
{
    small_case t;
    memset(&t, 0, sizeof t);
    lcg_state = (uint64_t)(n * 1000 + h * 100 + w * 10 + c);
    t.ctx = ctx;
    t.nb = (size_t)n * (size_t)h * (size_t)w * (size_t)c;
    t.nt = 4 * t.nb;
    t.nc = (size_t)n * (size_t)c;
    t.most = t.nb < 400 ? 400 : 12;
    t.tolerance = ((double)h * w + 8) * EPS + 1e-9;
    t.base = drl_tensor_of(noise(t.nb), n, h, w, c);
    t.twice = drl_tensor_of(noise(t.nt), n, 2 * h, 2 * w, c);
    t.grad_base = drl_tensor_of(noise(t.nb), n, h, w, c);
    t.grad_twice = drl_tensor_of(noise(t.nt), n, 2 * h, 2 * w, c);
    t.out_base = drl_tensor_of(fresh(t.nb), n, h, w, c);
    t.out_twice = drl_tensor_of(fresh(t.nt), n, 2 * h, 2 * w, c);
    t.p = drl_tensor_of(noise(t.nc), n, 1, 1, c);
    t.out_p = drl_tensor_of(fresh(t.nc), n, 1, 1, c);
    t.v = drl_tensor_of(noise((size_t)n), n, 1, 1, 1);
    t.out_v = drl_tensor_of(fresh((size_t)n), n, 1, 1, 1);
    t.before_base = noise(t.nb);
    t.before_twice = noise(t.nt);
    t.before_p = noise(t.nc);
    t.e.n = n;
    t.e.h = h;
    t.e.w = w;
    t.e.c = c;
    return t;
}

/* The operator in double, on copies of these tensors. */
static void small_begin(small_case *t, int op, const drl_tensor *x, const drl_tensor *p, const drl_tensor *dy)
{
    t->e.op = op;
    t->e.x = doubles(x->data, drl_tensor_count(x));
    t->e.p = p ? doubles(p->data, drl_tensor_count(p)) : NULL;
    t->e.dy = doubles(dy->data, drl_tensor_count(dy));
}

static void small_end(small_case *t)
{
    free(t->e.x);
    free(t->e.p);
    free(t->e.dy);
}

/* The forward pass: its value at one place is the derivative of small_value by dy there. */
static void small_forward(small_case *t, drl__op_call *call, const drl_tensor *y, double tolerance)
{
    size_t n = drl_tensor_count(y);
    forward(call, y);
    gradient("forward", small_value, &t->e, t->e.dy, y->data, NULL, n, tolerance, t->most);
    record(y->data, n);
}

/* The gradient by an operand, whose numbers in double are `moved`: written over NaN, or added to `before`. */
static void small_grad(small_case *t, drl__op_call *call, int operand, const drl_tensor *dy,
                       const drl_tensor *dx, const float *before, double *moved, double tolerance)
{
    const char *part = operand ? "gradient by the second operand" : "gradient by the first operand";
    size_t n = drl_tensor_count(dx);
    int accumulate;
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(dx->data, before, n * sizeof(float));
        input_grad(call, operand, dy, dx, accumulate);
        gradient(part, small_value, &t->e, moved, dx->data, accumulate ? before : NULL, n, tolerance,
                 t->most);
        record(dx->data, n);
    }
}

/* Mean of 2 x 2. */
static void test_avgpool(small_case *t)
{
    drl__op op = op_of(&drl__op_avgpool2);
    drl__op_call call = call_of(t->ctx, &op, &t->twice, NULL);
    small_begin(t, AVERAGE, &t->twice, NULL, &t->grad_base);
    small_forward(t, &call, &t->out_base, 8 * EPS);
    small_grad(t, &call, 0, &t->grad_base, &t->out_twice, t->before_twice, t->e.x, 8 * EPS);
    small_end(t);
}

/* dx is dy where x is the largest of its square, and zero elsewhere. Differences will not do: equal numbers
 * are near each other. */
static void maxpool_dx(const drl_tensor *x, const drl_tensor *dy, const drl_tensor *dx)
{
    size_t W = (size_t)x->w, C = (size_t)x->c, r, s;
    int n, i, j, k, bad = 0;
    for (n = 0; n < x->n; ++n)
        for (i = 0; i < x->h; ++i) for (j = 0; j < x->w; ++j) for (k = 0; k < x->c; ++k) {
            size_t row = (size_t)n * (size_t)x->h + (size_t)i, place = (row * W + (size_t)j) * C + (size_t)k;
            size_t corner = ((row - (size_t)(i & 1)) * W + (size_t)(j & ~1)) * C + (size_t)k;
            size_t out = ((row / 2) * (W / 2) + (size_t)(j / 2)) * C + (size_t)k;
            int largest = 1;
            for (r = 0; r < 2; ++r) for (s = 0; s < 2; ++s) {
                size_t other = corner + (r * W + s) * C;
                if (x->data[other] > x->data[place]) largest = 0;
                if (x->data[other] >= x->data[place] && other < place) largest = 0;
            }
            bad += !(fabsf(dx->data[place] - (largest ? dy->data[out] : 0)) < 1e-6f);
        }
    CHECK(!bad, "%s, %s: %d numbers of the gradient of max pooling are wrong", what, set_name, bad);
}

/* The largest of 2 x 2: also without the bytes that only the backward pass needs, which then reads these
 * alone. */
static void test_maxpool(small_case *t)
{
    drl__op op = op_of(&drl__op_maxpool2);
    drl__op_call call = call_of(t->ctx, &op, &t->twice, NULL);
    size_t i;
    int accumulate;
    small_begin(t, LARGEST, &t->twice, NULL, &t->grad_base);
    forward(&call, &t->out_base);
    gradient("forward", small_value, &t->e, t->e.dy, t->out_base.data, NULL, t->nb, 8 * EPS, t->most);
    memset(t->out_base.data, 0, t->nb * sizeof(float));
    call.extra = (uint8_t *)malloc(t->nb);
    small_forward(t, &call, &t->out_base, 8 * EPS);
    call.a.data = NULL;
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        float *dx = t->out_twice.data;
        memcpy(dx, t->before_twice, t->nt * sizeof(float));
        input_grad(&call, 0, &t->grad_base, &t->out_twice, accumulate);
        for (i = 0; accumulate && i < t->nt; ++i) dx[i] = dx[i] - t->before_twice[i];
        maxpool_dx(&t->twice, &t->grad_base, &t->out_twice);
    }
    free(call.extra);
    small_end(t);
}

/* Each element four times. */
static void test_upsample(small_case *t)
{
    drl__op op = op_of(&drl__op_upsample2);
    drl__op_call call = call_of(t->ctx, &op, &t->base, NULL);
    small_begin(t, DOUBLE_SIZE, &t->base, NULL, &t->grad_twice);
    small_forward(t, &call, &t->out_twice, 8 * EPS);
    small_grad(t, &call, 0, &t->grad_twice, &t->out_base, t->before_base, t->e.x, 16 * EPS);
    small_end(t);
}

/* x + p. The gradient by x is dy itself, and the net uses it as it is. */
static void test_shift(small_case *t)
{
    drl__op op = op_of(&drl__op_shift);
    drl__op_call call = call_of(t->ctx, &op, &t->base, &t->p);
    small_begin(t, SHIFT, &t->base, &t->p, &t->grad_base);
    small_forward(t, &call, &t->out_base, 8 * EPS);
    small_grad(t, &call, 1, &t->grad_base, &t->out_p, t->before_p, t->e.p, t->tolerance);
    small_end(t);
}

/* x * p, with one p for all images; the sums for its gradient are made image by image. Also in place. */
static void test_gain(small_case *t)
{
    drl__op op = op_of(&drl__op_gain);
    drl__op_call call = call_of(t->ctx, &op, &t->base, NULL);
    call.weight = t->p.data;
    small_begin(t, GAIN, &t->base, &t->p, &t->grad_base);
    t->e.shared = 1;
    small_forward(t, &call, &t->out_base, 8 * EPS);
    small_grad(t, &call, 0, &t->grad_base, &t->out_base, t->before_base, t->e.x, 8 * EPS);
    t->e.shared = 0;
    call.dy = t->grad_base;
    call.sums = t->out_p.data;
    op.info->param_sums(&call);
    gradient("sums", small_value, &t->e, t->e.p, t->out_p.data, NULL, t->nc, t->tolerance, t->most);
    record(t->out_p.data, t->nc);
    memcpy(t->out_base.data, t->base.data, t->nb * sizeof(float));
    call.a = t->out_base;
    forward(&call, &t->out_base);
    record(t->out_base.data, t->nb);
    small_end(t);
}

/* x * (1 + scale) + shift, both of which are in p. */
static void test_scale_shift(small_case *t)
{
    float *before = noise(2 * t->nc);
    drl_tensor p = drl_tensor_of(noise(2 * t->nc), t->e.n, 1, 1, 2 * t->e.c);
    drl_tensor out_p = drl_tensor_of(fresh(2 * t->nc), t->e.n, 1, 1, 2 * t->e.c);
    drl__op op = op_of(&drl__op_scale_shift);
    drl__op_call call = call_of(t->ctx, &op, &t->base, &p);
    call.work = fresh(2 * t->nc);
    small_begin(t, SCALE_SHIFT, &t->base, &p, &t->grad_base);
    small_forward(t, &call, &t->out_base, 8 * EPS);
    call.a.data = NULL;                     /* the gradient by x reads p alone, that by p reads x alone */
    small_grad(t, &call, 0, &t->grad_base, &t->out_base, t->before_base, t->e.x, 8 * EPS);
    call.a = t->base;
    call.b.data = NULL;
    small_grad(t, &call, 1, &t->grad_base, &out_p, before, t->e.p, t->tolerance);
    small_end(t);
}

/* Sum over space, times 0.375. */
static void test_spatial_sum(small_case *t)
{
    drl__op op = op_of(&drl__op_spatial_sum);
    drl__op_call call = call_of(t->ctx, &op, &t->base, NULL);
    op.scale = 0.375f;
    small_begin(t, SPATIAL_SUM, &t->base, NULL, &t->p);
    small_forward(t, &call, &t->out_p, t->tolerance);
    small_grad(t, &call, 0, &t->p, &t->out_base, t->before_base, t->e.x, 8 * EPS);
    small_end(t);
}

/* Inner product over the channels, of before_p and p; each gradient reads the other operand alone. */
static void test_dot(small_case *t)
{
    drl_tensor a = drl_tensor_of(t->before_p, t->e.n, 1, 1, t->e.c);
    drl__op op = op_of(&drl__op_dot);
    drl__op_call call = call_of(t->ctx, &op, &a, &t->p);
    int h = t->e.h, w = t->e.w;
    t->e.h = t->e.w = 1;
    small_begin(t, DOT, &a, &t->p, &t->v);
    small_forward(t, &call, &t->out_v, (t->e.c + 8.0) * EPS);
    call.a.data = NULL;
    small_grad(t, &call, 0, &t->v, &t->out_p, t->before_p, t->e.x, 8 * EPS);
    call.a = a;
    call.b.data = NULL;
    small_grad(t, &call, 1, &t->v, &t->out_p, t->before_p, t->e.p, 8 * EPS);
    small_end(t);
    t->e.h = h;
    t->e.w = w;
}

/* a + b, also in place. */
static void test_add(small_case *t)
{
    const float *a = t->base.data, *b = t->grad_base.data;
    size_t i, wrong = 0;
    run_forward(t->ctx, &drl__op_add, &t->base, &t->grad_base, &t->out_base, NULL);
    for (i = 0; i < t->nb; ++i) wrong += t->out_base.data[i] != a[i] + b[i];
    CHECK(wrong == 0, "%s: %d wrong sums", what, (int)wrong);
    run_forward(t->ctx, &drl__op_add, &t->base, &t->grad_base, &t->base, NULL);
    CHECK(!memcmp(a, t->out_base.data, t->nb * sizeof(float)), "%s: add in place", what);
}

static void test_small(drl_ctx *ctx, int n, int h, int w, int c)
{
    small_case t = small_make(ctx, n, h, w, c);
    char name[64];
    sprintf(name, "ops %dx%dx%dx%d", n, h, w, c);
    what = name;
    test_avgpool(&t);
    test_maxpool(&t);
    test_upsample(&t);
    test_shift(&t);
    test_gain(&t);
    test_scale_shift(&t);
    test_spatial_sum(&t);
    test_dot(&t);
    test_add(&t);
    release();
}

/* --- group normalisation -------------------------------------------------------------------------------- */
typedef struct norm_env { int n, rows, c, groups; double eps, *x, *weight, *bias, *dy, *y; } norm_env;

/* The definition: each group of channels of an image has mean 0 and variance 1, then weight and bias. */
static void norm_double(const norm_env *e)
{
    int n, g, p, c, C = e->c, each = C / e->groups;
    for (n = 0; n < e->n; ++n) for (g = 0; g < e->groups; ++g) {
        const double *x = e->x + n * e->rows * C;
        double *y = e->y + n * e->rows * C, mean = 0, variance = 0;
        int first = g * each, end = first + each;
        for (p = 0; p < e->rows; ++p) for (c = first; c < end; ++c) mean += x[p * C + c];
        mean /= e->rows * each;
        for (p = 0; p < e->rows; ++p)
            for (c = first; c < end; ++c) variance += (x[p * C + c] - mean) * (x[p * C + c] - mean);
        variance /= e->rows * each;
        for (p = 0; p < e->rows; ++p)
            for (c = first; c < end; ++c)
                y[p * C + c] = (x[p * C + c] - mean) / sqrt(variance + e->eps) * e->weight[c] + e->bias[c];
    }
}

static double norm_value(void *env)
{
    norm_env *e = (norm_env *)env;
    int i;
    double sum = 0;
    norm_double(e);
    for (i = 0; i < e->n * e->rows * e->c; ++i) sum += e->y[i] * e->dy[i];
    return sum;
}

static drl__op_call norm_call(drl_ctx *ctx, drl__op *op, int groups, float eps, const drl_tensor *x,
                              const float *weight, const float *bias, float *moments, float *work)
{
    drl__op_call c;
    *op = op_of(&drl__op_group_norm);
    op->groups = groups;
    op->eps = eps;
    c = call_of(ctx, op, x, NULL);
    c.weight = weight;
    c.bias = bias;
    c.extra = moments;
    c.work = work;
    return c;
}

/* The gradients by weight and bias, as the runner makes them of the sums: each image's part is added. */
static void norm_param_grad(drl__op_call *c, const drl_tensor *dy, float *dw, float *db)
{
    size_t nc = (size_t)dy->c, i;
    float *total = fresh(2 * nc);
    c->dy = *dy;
    c->sums = fresh((size_t)dy->n * 2 * nc);
    c->op->info->param_sums(c);
    drl__columns(c->ctx, c->sums, NULL, NULL, 1, (size_t)dy->n, 2 * nc, 1, total, 0);
    for (i = 0; i < nc; ++i) {
        dw[i] += total[i];
        db[i] += total[nc + i];
    }
}

/* offset: the mean of the images, which spread by about 0.6; the rounding of x grows with it. Mean and
 * variance are sums over a group, whose roundings add up like the root of their number. */
static void test_norm(drl_ctx *ctx, int n, int h, int w, int c, int groups, float offset)
{
    size_t count = (size_t)n * (size_t)h * (size_t)w * (size_t)c, nc = (size_t)c, i;
    size_t nm = (size_t)(2 * n * groups), most = count < 400 ? 400 : 12;
    float eps = 0.03125f, *moments, *work, *weight, *bias, *dw, *dw0, *db, *db0, *dx0;
    double tolerance = (64 + 4 * sqrt((double)h * w * c / groups) + 8 * fabs((double)offset)) * EPS + 1e-7;
    double by_x = 4 * tolerance + 1e-5, by_bias = ((double)n * h * w + 8) * EPS + 1e-9;
    drl_tensor x, y, dy, dx;
    drl__op op;
    drl__op_call call;
    char name[80];
    norm_env e;
    int accumulate;
    sprintf(name, "group norm %dx%dx%dx%d in %d", n, h, w, c, groups);
    what = name;
    lcg_state = (uint64_t)(n + 10 * h + 100 * w + 1000 * c + groups);
    x = drl_tensor_of(noise(count), n, h, w, c);
    for (i = 0; i < count; ++i) x.data[i] = x.data[i] + offset;
    dy = drl_tensor_of(noise(count), n, h, w, c);
    y = drl_tensor_of(fresh(count), n, h, w, c);
    dx = drl_tensor_of(fresh(count), n, h, w, c);
    dx0 = noise(count);
    weight = noise(nc);
    bias = noise(nc);
    dw0 = noise(nc);
    db0 = noise(nc);
    dw = copy(dw0, nc);
    db = copy(db0, nc);
    moments = fresh(nm);
    work = fresh((size_t)ctx->threads * 4 * DRL__ROUND16(c));
    call = norm_call(ctx, &op, groups, eps, &x, weight, bias, moments, work);
    e.n = n;
    e.rows = h * w;
    e.c = c;
    e.groups = groups;
    e.eps = (double)eps;
    e.x = doubles(x.data, count);
    e.dy = doubles(dy.data, count);
    e.weight = doubles(weight, nc);
    e.bias = doubles(bias, nc);
    e.y = doubles(x.data, count);
    forward(&call, &y);
    if (checking) norm_double(&e);
    near_all("forward", y.data, e.y, count, tolerance);
    record(y.data, count);
    record(moments, nm);
    memcpy(dx.data, x.data, count * sizeof(float));
    call.a = dx;
    call.extra = NULL;
    forward(&call, &dx);
    CHECK(!memcmp(dx.data, y.data, count * sizeof(float)), "%s: in place", name);
    call = norm_call(ctx, &op, groups, eps, &x, weight, bias, moments, work);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(dx.data, dx0, count * sizeof(float));
        input_grad(&call, 0, &dy, &dx, accumulate);
        gradient("dx", norm_value, &e, e.x, dx.data, accumulate ? dx0 : NULL, count, by_x, most);
        record(dx.data, count);
    }
    norm_param_grad(&call, &dy, dw, db);
    gradient("dweight", norm_value, &e, e.weight, dw, dw0, nc, tolerance * n * h * w, most);
    gradient("dbias", norm_value, &e, e.bias, db, db0, nc, by_bias, most);
    record(dw, nc);
    record(db, nc);
    memcpy(dx.data, dy.data, count * sizeof(float));
    input_grad(&call, 0, &dx, &dx, 0);
    gradient("dx in place", norm_value, &e, e.x, dx.data, NULL, count, by_x, most);
    free(e.x);
    free(e.dy);
    free(e.weight);
    free(e.bias);
    free(e.y);
    release();
}

/* --- dropout and concatenation -------------------------------------------------------------------------- */
static void dropout_forward(drl_ctx *ctx, const drl_rng *rng, int number, float p, const drl_tensor *x,
                            const drl_tensor *y, uint8_t *bits)
{
    drl__op op = op_of(&drl__op_dropout);
    drl__op_call c = call_of(ctx, &op, x, NULL);
    drl_batch batch = drl_batch_of(x->n, x->data, NULL);
    batch.dropout = rng;
    op.scale = p;
    c.batch = &batch;
    c.number = number;
    c.extra = bits;
    forward(&c, y);
}

static void dropout_input_grad(drl_ctx *ctx, const drl_rng *rng, float p, uint8_t *bits, const drl_tensor *dy,
                               const drl_tensor *dx, int accumulate)
{
    drl__op op = op_of(&drl__op_dropout);
    drl__op_call c = call_of(ctx, &op, dy, NULL);
    drl_batch batch = drl_batch_of(dy->n, dy->data, NULL);
    batch.dropout = rng;
    op.scale = p;
    c.batch = &batch;
    c.extra = bits;
    input_grad(&c, 0, dy, dx, accumulate);
}

/* p as the fraction of 65536 that 16 random bits are compared with. */
static uint32_t dropout_part(float p) { return (uint32_t)floor((double)p * 65536 + 0.5); }

/* Whether element e of an image is kept: Philox of [rng] with seed 3, stream 4, layer 7, eight elements a
 * block. */
static int dropout_keeps(float p, size_t image, size_t e)
{
    uint32_t word[4], drop = dropout_part(p);
    word[0] = (uint32_t)(e / 8);
    word[1] = (uint32_t)1 << 31 | 7u << 20 | (uint32_t)image;
    word[2] = 4;
    word[3] = 0;
    drl__philox(word, 3, 0);
    return (word[e % 8 / 2] >> 16 * (e % 2) & 0xFFFF) >= (drop < 65535 ? drop : 65535);
}

/* How many zeros two images have in the same places. */
static size_t same_zeros(const float *a, const float *b, size_t n)
{
    size_t i, same = 0;
    for (i = 0; i < n; ++i) same += (a[i] == 0) == (b[i] == 0);
    return same;
}

/* The mask of an image depends on seed, stream, layer and number of the image, on nothing else. */
static void dropout_masks(drl_ctx *ctx, const drl_tensor *x, const drl_tensor *y, float p, uint8_t *bits)
{
    size_t each = (size_t)x->c;
    drl_tensor one = drl_tensor_of(x->data, 1, 1, 1, x->c), out = drl_tensor_of(fresh(each), 1, 1, 1, x->c);
    drl_rng rng = { 3, 4, 5 };
    int other, by_chance = p <= 0 || p > 0.9f || each < 100;        /* masks may be equal */
    dropout_forward(ctx, &rng, 7, p, &one, &out, bits);
    CHECK(!memcmp(out.data, y->data, each * sizeof(float)), "%s: an image alone", what);
    for (other = 0; other < 3; ++other) {
        rng.stream = other == 1 ? 5 : 4;
        rng.seed = other == 2 ? 4 : 3;
        dropout_forward(ctx, &rng, other ? 7 : 8, p, &one, &out, bits);
        CHECK(by_chance || same_zeros(out.data, y->data, each) < each,
              "%s: the same mask for another layer, stream or seed", what);
    }
    if (x->n > 1)
        CHECK(by_chance || same_zeros(y->data + each, y->data, each) < each,
              "%s: the same mask for two images", what);
}

/* The bits are those of the generator; what is kept is divided by the part that is kept; the gradient uses
 * the same bits. The number of dropped elements lies within five standard deviations. */
static void test_dropout(drl_ctx *ctx, int n, int each, float p)
{
    size_t count = (size_t)n * (size_t)each, i, same = 0, dropped = 0;
    drl_tensor x = drl_tensor_of(noise(count), n, 1, 1, each), y = drl_tensor_of(fresh(count), n, 1, 1, each);
    drl_tensor dx = drl_tensor_of(fresh(count), n, 1, 1, each);
    float *dx0 = noise(count);
    double factor = 65536.0 / (65536 - dropout_part(p)), mean = (double)p * (double)count;
    uint8_t *bits = (uint8_t *)malloc(count / 8 + 2);
    double *want = doubles(x.data, count);
    drl_rng rng = { 3, 4, 5 };
    char name[48];
    sprintf(name, "dropout of %dx%d, %g", n, each, (double)p);
    what = name;
    bits[(count + 7) / 8] = 0xA5;
    dropout_forward(ctx, &rng, 7, p, &x, &y, bits);
    CHECK(bits[(count + 7) / 8] == 0xA5 && rng.position == 5, "%s: bits written too far, or rng moved", name);
    for (i = 0; i < count; ++i) {
        int kept = bits[i / 8] >> (i % 8) & 1;
        same += kept == dropout_keeps(p, (size_t)rng.position + i / (size_t)each, i % (size_t)each);
        want[i] *= kept ? (double)(float)factor : 0.0;
        dropped += !kept;
    }
    CHECK(same == count, "%s, %s: %d of %d bits are what the generator says",
          name, set_name, (int)same, (int)count);
    near_all("forward", y.data, want, count, 2 * EPS * factor);
    record(y.data, count);
    CHECK(fabs((double)dropped - mean) <= 5 * sqrt(mean) + 0.1,
          "%s: %d of %d dropped", name, (int)dropped, (int)count);
    for (i = 0; i < count; ++i) want[i] += (double)dx0[i];
    memcpy(dx.data, dx0, count * sizeof(float));
    dropout_input_grad(ctx, &rng, p, bits, &x, &dx, 1);
    near_all("gradient added", dx.data, want, count, 4 * EPS * factor);
    memcpy(dx.data, x.data, count * sizeof(float));
    dropout_forward(ctx, &rng, 7, p, &dx, &dx, bits);
    CHECK(!memcmp(dx.data, y.data, count * sizeof(float)), "%s: in place", name);
    dropout_masks(ctx, &x, &y, p, bits);
    free(bits);
    free(want);
    release();
}

/* Channels of a, then those of b; gradients are the parts of dy, that of b also added. */
static void test_concat(drl_ctx *ctx, int n, int h, int w, int ca, int cb)
{
    size_t pixels = (size_t)n * (size_t)h * (size_t)w, A = (size_t)ca, B = (size_t)cb, C = A + B, i, k;
    drl_tensor a = drl_tensor_of(noise(pixels * A), n, h, w, ca);
    drl_tensor b = drl_tensor_of(noise(pixels * B), n, h, w, cb);
    drl_tensor y = drl_tensor_of(fresh(pixels * C), n, h, w, ca + cb);
    drl_tensor db = drl_tensor_of(fresh(pixels * B), n, h, w, cb);
    float *before = noise(pixels * B);
    char name[48];
    int accumulate, good = 1;
    sprintf(name, "concat %dx%dx%dx%d+%d", n, h, w, ca, cb);
    what = name;
    run_forward(ctx, &drl__op_concat, &a, &b, &y, NULL);
    for (i = 0; i < pixels; ++i) {
        for (k = 0; k < A; ++k) good &= y.data[i * C + k] == a.data[i * A + k];
        for (k = 0; k < B; ++k) good &= y.data[i * C + A + k] == b.data[i * B + k];
    }
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(db.data, before, pixels * B * sizeof(float));
        run_input_grad(ctx, &drl__op_concat, 1, &a, &b, &y, &db, accumulate, NULL);
        for (i = 0; i < pixels * B; ++i)
            good &= db.data[i] == (accumulate ? before[i] + b.data[i] : b.data[i]);
    }
    run_input_grad(ctx, &drl__op_concat, 0, &a, &b, &y, &a, 0, NULL);
    for (i = 0; i < pixels; ++i) for (k = 0; k < A; ++k) good &= a.data[i * A + k] == y.data[i * C + k];
    CHECK(good, "%s: a wrong value", name);
    record(y.data, pixels * C);
    record(db.data, pixels * B);
    release();
}

/* --- attention ------------------------------------------------------------------------------------------ */
typedef struct attention_env { int n, tokens, c, image; double *qkv, *dy, *y, *p; } attention_env;

/* The definition, of one image: y[i] = sum over j of softmax(q[i] . k[j] / sqrt(C)) * v[j]. A pixel has its
 * query, key and value one behind the other. */
static void attention_double(const attention_env *e, int image)
{
    int i, j, k, C = e->c;
    const double *q = e->qkv + image * e->tokens * 3 * C, *key = q + C, *value = q + 2 * C;
    double *y = e->y + image * e->tokens * C;
    for (i = 0; i < e->tokens; ++i) {
        double top = -HUGE_VAL, sum = 0;
        for (j = 0; j < e->tokens; ++j) {
            double s = 0;
            for (k = 0; k < C; ++k) s += q[i * 3 * C + k] * key[j * 3 * C + k];
            e->p[j] = s / sqrt((double)C);
            if (e->p[j] > top) top = e->p[j];
        }
        for (j = 0; j < e->tokens; ++j) sum += e->p[j] = exp(e->p[j] - top);
        for (k = 0; k < C; ++k) {
            y[i * C + k] = 0;
            for (j = 0; j < e->tokens; ++j) y[i * C + k] += e->p[j] / sum * value[j * 3 * C + k];
        }
    }
}

static double attention_value(void *env)        /* of one image: the others do not change */
{
    attention_env *e = (attention_env *)env;
    int i, first = e->image * e->tokens * e->c;
    double sum = 0;
    attention_double(e, e->image);
    for (i = first; i < first + e->tokens * e->c; ++i) sum += e->y[i] * e->dy[i];
    return sum;
}

/* sharp: a factor of queries and keys. The products, whose errors the softmax passes on, grow with its
 * square; the gradient has one factor more. */
static void test_attention(drl_ctx *ctx, int n, int h, int w, int c, float sharp)
{
    size_t pixels = (size_t)n * (size_t)h * (size_t)w, ny = pixels * (size_t)c, nq = 3 * ny, i;
    size_t each = nq / (size_t)n;
    double square_of = 1 + (double)(sharp * sharp), cost = (double)h * w * h * w * c;
    double tolerance = ((double)c + (double)h * w + 32) * EPS * square_of;
    double by_qkv = 4 * tolerance * (1 + (double)sharp) + 1e-6 * square_of;
    drl_tensor qkv = drl_tensor_of(noise(nq), n, h, w, 3 * c);
    drl_tensor y = drl_tensor_of(fresh(ny), n, h, w, c), dy, dqkv;
    float *before = noise(nq);
    float *work = fresh((size_t)ctx->threads * drl__attention_each((size_t)h * (size_t)w, (size_t)c));
    attention_env e;
    char name[64];
    size_t most = cost < 1e4 ? 401 : cost < 1e6 ? 25 : 7;
    int accumulate;
    sprintf(name, "attention %dx%dx%dx%d, %g", n, h, w, c, (double)sharp);
    what = name;
    for (i = 0; i < nq; ++i) if (i % (size_t)(3 * c) < (size_t)(2 * c)) qkv.data[i] = qkv.data[i] * sharp;
    dy = drl_tensor_of(noise(ny), n, h, w, c);
    dqkv = drl_tensor_of(fresh(nq), n, h, w, 3 * c);
    e.n = n;
    e.tokens = h * w;
    e.c = c;
    e.qkv = doubles(qkv.data, nq);
    e.dy = doubles(dy.data, ny);
    e.y = doubles(dy.data, ny);
    e.p = (double *)malloc(pixels * sizeof(double));
    run_forward(ctx, &drl__op_attention, &qkv, NULL, &y, work);
    if (checking) for (e.image = 0; e.image < n; ++e.image) attention_double(&e, e.image);
    near_all("forward", y.data, e.y, ny, tolerance);
    record(y.data, ny);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(dqkv.data, before, nq * sizeof(float));
        run_input_grad(ctx, &drl__op_attention, 0, &qkv, NULL, &dy, &dqkv, accumulate, work);
        for (e.image = 0; e.image < n; ++e.image) {
            size_t at = (size_t)e.image * each;
            gradient("dqkv", attention_value, &e, e.qkv + at, dqkv.data + at, accumulate ? before + at : NULL,
                     each, by_qkv, most);
        }
        record(dqkv.data, nq);
    }
    free(e.qkv);
    free(e.dy);
    free(e.y);
    free(e.p);
    release();
}

/* One pixel's query lies far along one key: the softmax picks the value of that key, without overflow. */
static void test_attention_far(drl_ctx *ctx)
{
    float in[3 * 9], *work = fresh((size_t)ctx->threads * drl__attention_each(3, 3));
    drl_tensor qkv = drl_tensor_of(in, 1, 1, 3, 9), y = drl_tensor_of(fresh(9), 1, 1, 3, 3);
    int i;
    what = "attention, far";
    for (i = 0; i < 27; ++i) in[i] = i % 9 < 3 ? 1e6f : i % 9 < 6 ? (float)(i / 9) * 1e6f : (float)i;
    run_forward(ctx, &drl__op_attention, &qkv, NULL, &y, work);
    for (i = 0; i < 3; ++i)
        CHECK(y.data[i] == (float)(24 + i), "%s: %g, not %d", what, (double)y.data[i], 24 + i);
    release();
}

/* Sines and cosines of the level times 64 frequencies from 1 down to 1/10000. The frequencies are float, so
 * the argument is off by its own rounding. */
static void test_embedding(drl_ctx *ctx)
{
    /* frequencies of width 128 as PyTorch 1.13 has them, where they are not the rounded exponentials */
    static const struct { int k; float w; } torch[6] = {
        { 6, 0.415956259f }, { 11, 0.200256824f }, { 21, 0.0464158878f },
        { 26, 0.0223463438f }, { 36, 0.00517947506f }, { 44, 0.0016082339f }
    };
    float v[3] = { 0.0f, 5.0f, 873.25f };
    drl_tensor y = drl_tensor_of(fresh(3 * 128), 3, 1, 1, 128);
    drl__op op = op_of(&drl__op_level);
    drl__op_call call = call_of(ctx, &op, NULL, NULL);
    drl_batch batch;
    int n, k;
    for (n = 0; n < 6; ++n) {
        float w = drl__exp_float((float)torch[n].k * (float)(-log(10000.0) / 63));
        CHECK(w == torch[n].w, "frequency %d is %.9g, not %.9g", torch[n].k, (double)w, (double)torch[n].w);
    }
    what = "level embedding";
    batch = drl_batch_of(3, v, v);
    call.batch = &batch;
    forward(&call, &y);
    for (n = 0; n < 3; ++n) for (k = 0; k < 64; ++k) {
        double x = (double)v[n] * exp(-k * log(10000.0) / 63), tolerance = x * 1.5e-6 + 2 * EPS;
        CHECK(fabs((double)y.data[n * 128 + k] - sin(x)) <= tolerance, "sin %d %d", n, k);
        CHECK(fabs((double)y.data[n * 128 + 64 + k] - cos(x)) <= tolerance, "cos %d %d", n, k);
    }
    record(y.data, 3 * 128);
    release();
}

/* --- spectral norm, long sums, optimizer and Langevin steps --------------------------------------------- */

/* Two rounds of the power method in double, v = W' u / |W' u| and u = W v / |W v|. Returns u' W v. */
static double spectral_double(const float *w, size_t m, size_t n, double *u, double *v)
{
    size_t i, j;
    int round;
    double sigma = 0;
    for (round = 0; round < 2; ++round) {
        double norm = 0;
        for (j = 0; j < n; ++j) {
            v[j] = 0;
            for (i = 0; i < m; ++i) v[j] += (double)w[i * n + j] * u[i];
            norm += v[j] * v[j];
        }
        for (j = 0; j < n; ++j) v[j] /= sqrt(norm);
        norm = 0;
        for (i = 0; i < m; ++i) {
            u[i] = 0;
            for (j = 0; j < n; ++j) u[i] += (double)w[i * n + j] * v[j];
            norm += u[i] * u[i];
        }
        for (i = 0; i < m; ++i) u[i] /= sqrt(norm);
    }
    for (i = 0; i < m; ++i) for (j = 0; j < n; ++j) sigma += u[i] * v[j] * (double)w[i * n + j];
    return sigma;
}

/* Vectors and largest singular value, then the gradient of <G, W / (u' W v)> by W, which for a single weight
 * is zero and then has only the rounding of W / sigma. */
static void test_spectral(drl_ctx *ctx, int rows, int cols)
{
    size_t m = (size_t)rows, n = (size_t)cols, q;
    float *w = noise(m * n), *u = noise(m), *v = noise(n), *g = noise(m * n), sigma[2];
    double *du = doubles(u, m), *dv = doubles(v, n), *want = doubles(g, m * n);
    double s = spectral_double(w, m, n, du, dv), inner = 0, biggest = 0;
    char name[40];
    sprintf(name, "spectral norm %dx%d", rows, cols);
    what = name;
    sigma[0] = drl__spectral_norm(ctx, w, rows, cols, u, v, 2);
    near_all("u", u, du, m, 64 * EPS);
    near_all("v", v, dv, n, 64 * EPS);
    CHECK(fabs((double)sigma[0] - s) < 32 * EPS * s, "%s: sigma %g %g", name, (double)sigma[0], s);
    sigma[1] = drl__spectral_norm(ctx, w, rows, cols, u, v, 0);
    CHECK(fabs((double)sigma[1] - s) < 32 * EPS * s, "%s: sigma as is %g %g", name, (double)sigma[1], s);
    record(sigma, 2);
    record(u, m);
    record(v, n);
    for (q = 0; q < m * n; ++q) inner += (double)g[q] * (double)w[q];
    for (q = 0; q < m * n; ++q) {
        double h = 1e-4, by_inner = h * (double)g[q], by_sigma = h * du[q / n] * dv[q % n];
        want[q] = ((inner + by_inner) / (s + by_sigma) - (inner - by_inner) / (s - by_sigma)) / (2 * h);
        if (fabs(want[q]) > biggest) biggest = fabs(want[q]);
    }
    drl__spectral_norm_grad(ctx, w, rows, cols, u, v, sigma[0], g);
    near_all("gradient", g, want, m * n, 128 * EPS * biggest + 4 * EPS / s);
    record(g, m * n);
    free(du);
    free(dv);
    free(want);
    release();
}

/* a * y + b * next, and sums of squares, in which neither NaN nor infinity is lost. */
static void test_sums(drl_ctx *ctx, size_t n, float *y, const float *next)
{
    double *want = doubles(y, n), sum = 0;
    float *out = fresh(n), total;
    size_t i;
    drl__axpby(ctx, n, 0.75f, y, -1.5f, next, out);
    for (i = 0; i < n; ++i) want[i] = 0.75 * (double)y[i] - 1.5 * (double)next[i];
    near_all("axpby", out, want, n, 4 * EPS);
    record(out, n);
    drl__axpby(ctx, n, 0.75f, y, 0, NULL, out);
    for (i = 0; i < n; ++i) want[i] = 0.75 * (double)y[i];
    near_all("scale", out, want, n, 2 * EPS);
    for (i = 0; i < n; ++i) sum += (double)y[i] * (double)y[i];
    total = (float)drl__sum_squares(ctx, n, y);
    CHECK(fabs((double)total - sum) <= 64 * EPS * sum, "%s: sum of squares %g %g", what, (double)total, sum);
    record(&total, 1);
    if (n > 4) {
        float kept = y[4];
        y[4] = (float)NAN;
        CHECK(drl__sum_squares(ctx, n, y) != drl__sum_squares(ctx, n, y), "%s: NaN is lost", what);
        y[4] = (float)HUGE_VAL;
        CHECK(drl__sum_squares(ctx, n, y) == HUGE_VAL, "%s: infinity is lost", what);
        y[4] = kept;
    }
    free(want);
}

/* One Langevin step, with and without a noisier sample; one step of Adam, with and without an average. */
static void test_updates(drl_ctx *ctx, int count)
{
    size_t n = (size_t)count, i;
    float *y = noise(n), *next = noise(n), *grad = noise(n), *eps = noise(n), *out = fresh(n);
    float *p, *m, *v, *ema;
    double *want = doubles(y, n);
    char name[40];
    sprintf(name, "updates of %d", count);
    what = name;
    test_sums(ctx, n, y, next);
    memcpy(out, y, n * sizeof(float));
    drl__langevin_update(ctx, n, out, next, grad, eps, 0.25f, 0.125f, 0.5f);
    for (i = 0; i < n; ++i) {
        want[i] = (double)y[i] + 0.25 * (double)grad[i] + 0.5 * (double)eps[i];
        want[i] += 0.125 * ((double)next[i] - (double)y[i]);
    }
    near_all("langevin", out, want, n, 6 * EPS);
    record(out, n);
    memcpy(out, y, n * sizeof(float));
    drl__langevin_update(ctx, n, out, NULL, grad, eps, 0.25f, 0.125f, 0.5f);
    for (i = 0; i < n; ++i) want[i] = (double)y[i] + 0.25 * (double)grad[i] + 0.5 * (double)eps[i];
    near_all("langevin, last level", out, want, n, 6 * EPS);

    p = copy(y, n);
    m = copy(next, n);
    v = fresh(n);
    ema = copy(eps, n);
    for (i = 0; i < n; ++i) v[i] = eps[i] * eps[i];
    drl__adam_update(ctx, n, p, grad, m, v, ema, 0.5f, 0.9f, 0.999f, 0.01f, 1.25f, 1e-3f, 0.99f);
    for (i = 0; i < n; ++i) {
        double g = 0.5 * (double)grad[i], beta2 = (double)0.999f;
        double dm = 0.9 * (double)next[i] + 0.1 * g;
        double dv = beta2 * (double)(eps[i] * eps[i]) + (1 - beta2) * g * g;
        want[i] = (double)y[i] - 0.01 * dm / (sqrt(dv) * 1.25 + 1e-3);
    }
    near_all("adam", p, want, n, 1e-5);
    for (i = 0; i < n; ++i) want[i] = 0.99 * (double)eps[i] + (1 - (double)0.99f) * (double)p[i];
    near_all("average", ema, want, n, 8 * EPS);
    record(p, n);
    record(m, n);
    record(v, n);
    record(ema, n);
    drl__adam_update(ctx, n, p, grad, m, v, NULL, 0.5f, 0.9f, 0.999f, 0.01f, 1.25f, 1e-3f, 0.99f);
    free(want);
    release();
}

/* --- scalar functions ----------------------------------------------------------------------------------- */
static double larger(double worst, double error) { return error > worst ? error : worst; }

/* Against the C library, at 200,000 random places each: the error, relative except for sine and cosine,
 * stays below 2e-15, nine units in the last place. */
static void test_elementary(void)
{
    int i;
    double worst[6] = { 0, 0, 0, 0, 0, 0 };
    lcg_state = 1;
    for (i = 0; i < 200000; ++i) {
        double u = uniform() + uniform() * 1e-8, x = u * (i % 2 ? 1000 : 3);
        double power = exp(u * 300), slope = exp(u * (i % 2 ? 40 : 2)), t = fabs(tan(x));
        worst[0] = larger(worst[0], fabs(drl__exp(u * 700) / exp(u * 700) - 1));
        worst[1] = larger(worst[1], fabs(drl__log(power) - log(power)) / (fabs(log(power)) + 1e-300));
        worst[2] = larger(worst[2], fabs(drl__sin(x) - sin(x)));
        worst[3] = larger(worst[3], fabs(drl__cos(x) - cos(x)));
        if (t > 1e-6 && t < 1e6) worst[4] = larger(worst[4], fabs(drl__tan(x) / tan(x) - 1));
        worst[5] = larger(worst[5], fabs(drl__atan(slope) / atan(slope) - 1));
    }
    for (i = 0; i < 6; ++i) CHECK(worst[i] < 2e-15, "function %d: error %g", i, worst[i]);
    CHECK(drl__exp(0) == 1 && drl__log(1) == 0, "exp and log at exact points");
    CHECK(drl__sin(0) == 0 && drl__cos(0) == 1 && drl__tan(0) == 0 && drl__atan(0) == 0, "angles of zero");
    CHECK(drl__atan(-0.75) == -drl__atan(0.75) && drl__atan(HUGE_VAL) == 0.5 * DRL__PI, "atan");
    CHECK(drl__atan((double)NAN) != drl__atan((double)NAN), "atan hides a NaN");
    CHECK(drl__exp(1000) == HUGE_VAL && drl__exp(-1000) == 0 && drl__log(0) == -HUGE_VAL, "ends");
}

/* Random bits for test_fma: three floats of comparable size, such with few bits (sums that lie half way
 * between two floats), with a tiny addend, or any at all and small ones (denormal results). */
static void random_triple(long i, uint32_t u[3])
{
    int j;
    for (j = 0; j < 3; ++j) {
        lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
        u[j] = (uint32_t)(lcg_state >> 32);
        if (i % 4) u[j] = (u[j] & 0x807FFFFFu) | ((110 + (u[j] >> 23 & 31)) << 23);
        if (i % 4 == 2) u[j] &= 0xFFFFF000u;
        if (i % 4 == 3 && j == 2) u[j] = (u[j] & 0x807FFFFFu) | (uint32_t)(i % 60) << 23;
        if (i % 16 == 4) u[j] = (u[j] & 0x807FFFFFu) | ((u[j] >> 24 & 127) << 23);
    }
}

/* The portable fma against the C library's, on all triples of 29 nasty numbers and on random ones. With the
 * last three of the list, a b + c is 3/4 of a double's last digit below the middle of two denormals. */
static void test_fma(void)
{
    static const uint32_t nasty[] = {
        0, 0x80000000u, 1, 0x80000001u, 0x7FFFFFu, 0x800000u, 0x800001u, 0x3F800000u,
        0x3F800001u, 0x3F7FFFFFu, 0xBF800000u, 0xBF7FFFFFu, 0x7F7FFFFFu, 0xFF7FFFFFu, 0x7F800000u,
        0xFF800000u, 0x7FC00000u, 0x33800000u, 0x33800001u, 0x34000000u, 0x33000000u, 0xB3800000u,
        0x00400000u, 0x1F800000u, 0x20000000u, 0x5F7FFFFFu, 0x19FFFD8Eu, 0x1A000139u, 0x00400001u
    };
    const long n = (long)(sizeof nasty / sizeof nasty[0]);
    long i, wrong = 0, total = 0;
    lcg_state = 99;
    for (i = 0; i < n * n * n + 3000000; ++i) {
        uint32_t u[3];
        float a, b, c, x, y;
        u[0] = nasty[i % n];
        u[1] = nasty[i / n % n];
        u[2] = nasty[i / n / n % n];
        if (i >= n * n * n) random_triple(i, u);
        memcpy(&a, &u[0], 4);
        memcpy(&b, &u[1], 4);
        memcpy(&c, &u[2], 4);
        x = drl__fmaf(a, b, c);
        y = fmaf(a, b, c);
#ifdef __EMSCRIPTEN__       /* its C library rounds some denormal results, and those near them, twice */
        if (fabsf(x) < 2.3509887e-38f || fabsf(y) < 2.3509887e-38f) continue;
#endif
        ++total;
        if (memcmp(&x, &y, sizeof x) == 0 || (x != x && y != y)) continue;
        if (!wrong++)
            printf("fma(%a, %a, %a) is %a, not %a\n", (double)a, (double)b, (double)c, (double)x, (double)y);
    }
    CHECK(wrong == 0, "%ld of %ld fused multiply-adds differ", wrong, total);
}

/* Sums of exactly zero, whose sign is the rule of IEEE 754: fma() in double holds the product exactly, so its
 * zero has the sign that the fused operation in float must give. */
static void test_fma_zero(void)
{
    static const float factors[] = { 0.0f, 1.0f, 3.0f, 4097.0f, 1.0f / 1024, 1.0f / 8388608 };
    const int n = (int)DRL__COUNT(factors);
    int i;
    for (i = 0; i < n * n * 8; ++i) {
        float a = factors[i % n], b = factors[i / n % n], c, got, want;
        int signs = i / (n * n);
        if (signs & 1) a = -a;
        if (signs & 2) b = -b;
        c = signs & 4 ? -(a * b) : copysignf(0, a * b);     /* cancels; or a zero with the product's sign */
        if (a * b != 0 && !(signs & 4)) continue;           /* the sum is the product, not zero */
        got = drl__fmaf(a, b, c);
        want = (float)fma((double)a, (double)b, (double)c);
        CHECK(got == want && !signbit(got) == !signbit(want), "fma(%a, %a, %a) is %a, not %a",
              (double)a, (double)b, (double)c, (double)got, (double)want);
    }
}

/* --- all of it on one context --------------------------------------------------------------------------- */
static const char *only_part = NULL;        /* conv, ops, attention or norm; NULL: all */
static int part(const char *name) { return !only_part || !strcmp(only_part, name); }

static void run_conv(drl_ctx *ctx)
{
    static const int convs[][6] = {         /* n h w c k side */
        { 1, 1, 1, 1, 1, 3 }, { 2, 1, 1, 2, 7, 3 }, { 1, 2, 3, 1, 15, 3 }, { 1, 3, 2, 3, 16, 3 },
        { 1, 5, 5, 4, 17, 3 }, { 2, 4, 7, 5, 31, 3 }, { 1, 7, 3, 6, 33, 3 }, { 3, 4, 4, 7, 13, 3 },
        { 1, 6, 6, 16, 64, 3 }, { 1, 9, 5, 17, 65, 3 }, { 2, 8, 8, 31, 5, 3 }, { 1, 8, 8, 32, 1, 3 },
        { 1, 5, 5, 40, 3, 3 }, { 1, 5, 1, 8, 48, 3 }, { 1, 3, 130, 5, 9, 3 }, { 1, 2, 200, 8, 10, 3 },
        { 1, 4, 4, 200, 70, 3 }, { 7, 2, 2, 9, 11, 3 }, { 1, 3, 3, 4, 4, 3 }, { 1, 13, 11, 3, 4, 3 },
        { 1, 32, 32, 3, 128, 3 }, { 1, 8, 8, 128, 128, 3 }, { 1, 16, 16, 32, 64, 3 }, { 3, 4, 4, 64, 64, 3 },
        { 2, 32, 32, 1, 32, 3 },
        { 1, 1, 1, 1, 1, 1 }, { 2, 1, 1, 7, 9, 1 }, { 5, 1, 1, 128, 256, 1 }, { 1, 6, 7, 3, 20, 1 },
        { 1, 8, 8, 33, 18, 1 }, { 2, 16, 16, 32, 96, 1 }, { 130, 1, 1, 6, 6, 1 }, { 1, 1, 300, 5, 2, 1 },
        { 1, 14, 10, 8, 49, 3 },
        /* more weights than DRL__MAX_WEIGHTS, also in narrow blocks */
        { 1, 2, 2, 300, 4, 3 }, { 1, 2, 2, 600, 4, 3 }, { 1, 1, 2, 4801, 4, 1 }
    };
    size_t i;
    for (i = 0; i < sizeof convs / sizeof convs[0]; ++i) {
        const int *v = convs[i];
        double cost = (double)v[0] * v[1] * v[2] * v[3] * v[4] * v[5] * v[5];
        if (only_part && cost > 5e5) continue;
        test_conv(ctx, v[0], v[1], v[2], v[3], v[4], v[5], 0);
        if (v[5] == 3) test_conv(ctx, v[0], v[1], v[2], v[3], v[4], 3, 1);
    }
}

/* Lengths around those of vectors, and primes. */
static const int counts[] = { 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 1031 };
enum { COUNTS = sizeof counts / sizeof counts[0] };

static void run_ops(drl_ctx *ctx)
{
    static const int smalls[][4] = {        /* n h w c */
        { 1, 1, 1, 1 }, { 2, 1, 3, 2 }, { 1, 2, 2, 3 }, { 2, 3, 1, 7 }, { 1, 2, 2, 8 }, { 3, 2, 2, 15 },
        { 1, 3, 3, 16 }, { 2, 2, 3, 17 }, { 1, 2, 2, 31 }, { 2, 4, 4, 64 }, { 2, 3, 3, 65 }, { 2, 2, 2, 127 },
        { 3, 8, 8, 128 }, { 1, 16, 16, 1 }
    };
    size_t i;
    int act;
    for (i = 0; i < COUNTS; ++i)
        for (act = DRL_ACT_NONE; act <= DRL_ACT_SILU; ++act) test_act(ctx, (drl_act)act, counts[i]);
    for (i = 0; i < COUNTS; ++i) test_updates(ctx, counts[i]);
    test_updates(ctx, 70001);
    for (i = 0; i < sizeof smalls / sizeof smalls[0]; ++i)
        test_small(ctx, smalls[i][0], smalls[i][1], smalls[i][2], smalls[i][3]);
    test_maxpool_special(ctx);
    test_special(ctx);
    test_embedding(ctx);
    test_spectral(ctx, 1, 1);
    test_spectral(ctx, 7, 13);
    test_spectral(ctx, 64, 576);
    test_spectral(ctx, 130, 65);
}

static void run_attention(drl_ctx *ctx)
{
    static const int sizes[][4] = {         /* n h w c */
        { 1, 1, 1, 1 }, { 2, 1, 3, 2 }, { 1, 3, 5, 7 }, { 3, 4, 4, 16 }, { 1, 1, 17, 5 }, { 2, 3, 11, 17 },
        { 1, 5, 13, 65 }, { 2, 8, 8, 64 }, { 1, 16, 16, 32 }
    };
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i)
        test_attention(ctx, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], i % 2 ? 1.0f : 4.0f);
    test_attention_far(ctx);
}

/* In dropout of 3 x 4001 the second of two jobs begins within an image, and within a byte of its numbers. */
static void run_concat_dropout(drl_ctx *ctx)
{
    static const int cats[][5] = {          /* n h w, channels of a and of b */
        { 1, 1, 1, 1, 1 }, { 2, 3, 2, 3, 17 }, { 1, 4, 4, 16, 5 }, { 3, 8, 8, 64, 128 }
    };
    size_t i;
    for (i = 0; i < sizeof cats / sizeof cats[0]; ++i)
        test_concat(ctx, cats[i][0], cats[i][1], cats[i][2], cats[i][3], cats[i][4]);
    for (i = 0; i < COUNTS; ++i) test_dropout(ctx, i % 2 ? 3 : 1, counts[i], 0.1f);
    test_dropout(ctx, 2, 40001, 0.5f);
    test_dropout(ctx, 3, 4001, 0.5f);
    test_dropout(ctx, 2, 128, 0);
    test_dropout(ctx, 2, 128, 0.99999f);
}

static void run_norm(drl_ctx *ctx)
{
    static const int norms[][5] = {         /* n h w c groups */
        { 1, 1, 1, 1, 1 }, { 2, 1, 1, 6, 2 }, { 1, 3, 2, 7, 7 }, { 3, 2, 2, 15, 5 }, { 2, 3, 3, 16, 1 },
        { 1, 4, 3, 17, 1 }, { 2, 2, 5, 31, 31 }, { 2, 4, 4, 66, 33 }, { 1, 8, 8, 127, 127 },
        { 3, 16, 16, 64, 32 }, { 5, 8, 8, 128, 32 }
    };
    size_t i;
    for (i = 0; i < sizeof norms / sizeof norms[0]; ++i) {
        const int *v = norms[i];
        test_norm(ctx, v[0], v[1], v[2], v[3], v[4], i % 3 == 2 ? 100.0f : 0.25f);
    }
}

static void run_all(drl_ctx *ctx)
{
    if (part("conv")) run_conv(ctx);
    if (part("ops")) run_ops(ctx);
    if (part("attention")) run_attention(ctx);
    if (part("ops")) run_concat_dropout(ctx);
    if (part("norm")) run_norm(ctx);
}

/* A job system that runs everything on the caller's thread, last job first. Threads would race for what two
 * jobs of a call write: such floats of the pool are counted, and there should be none. */
static int jobs_most;
static void backwards(void *user, int count, drl_job_fn job, void *arg)
{
    static float *before;
    static unsigned char *written;
    static size_t room;
    size_t total = 0, at, k;
    int i;
    (void)user;
    if (count > jobs_most) jobs_most = count;
    for (i = 0; i < pool_used; ++i) total += pool[i].n;
    if (total >= room) {
        room = 2 * total + 1;
        before = (float *)realloc(before, room * sizeof *before);
        written = (unsigned char *)realloc(written, room);
        if (!before || !written) exit(3);
    }
    for (i = 0, at = 0; i < pool_used; at += pool[i++].n)
        memcpy(before + at, pool[i].p, pool[i].n * sizeof *before);
    memset(written, 0, room);
    while (count-- > 0) {
        job(arg, count);
        for (i = 0, at = 0; i < pool_used; at += pool[i++].n) {
            if (!memcmp(before + at, pool[i].p, pool[i].n * sizeof *before)) continue;
            for (k = 0; k < pool[i].n; ++k) {
                if (!memcmp(&before[at + k], &pool[i].p[k], sizeof *before)) continue;
                races += written[at + k];
                written[at + k] = 1;
                before[at + k] = pool[i].p[k];
            }
        }
    }
}

static drl_status make(drl_isa isa, int threads, drl_ctx **ctx)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.isa = isa;
    d.threads = threads;
    if (threads > 1) d.jobs.parallel_for = backwards;
    sprintf(set_name, "%s, %d threads", drl_isa_name(isa), threads);
    return drl_ctx_create(&d, ctx);
}

/* Scratch that was planned for a batch is enough for every smaller one, though its chunks of tiles can be
 * longer. */
static void test_winograd_scratch(void)
{
    static const int sizes[][3] = {         /* side of the image, channels in, channels out */
        { 32, 32, 32 }, { 8, 64, 64 }, { 16, 64, 96 }, { 9, 17, 33 }, { 4, 64, 64 }, { 8, 256, 256 },
        { 5, 8, 8 }
    };
    drl_ctx *ctx = NULL;
    size_t i;
    int n, jobs, short_of = 0;
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) return;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) for (jobs = 1; jobs < 8; ++jobs) {
        int side = sizes[i][0];
        drl_conv2d_desc d;
        size_t planned;
        memset(&d, 0, sizeof d);
        d.in_channels = sizes[i][1];
        d.out_channels = sizes[i][2];
        d.winograd = 1;
        planned = drl__conv_work(ctx, &d, 64, side, side, jobs, 0);
        for (n = 1; n <= 64; ++n) {
            int chunk = drl__winograd_chunk(ctx, &d, drl__winograd_tiles(n, side, side), jobs);
            size_t needed = drl__zeros_floats(&d) + (size_t)jobs * drl__winograd_floats(ctx, &d, chunk);
            short_of += chunk > DRL__CHUNK || needed > planned;
        }
    }
    CHECK(!short_of, "%d smaller batches need more scratch than was planned", short_of);
    drl_ctx_destroy(ctx);
}

/* Sums over an image of 64x64 positive numbers stay near a rounding of the result: below 3e-7 in the root
 * mean square over 64 columns, where one chain down all rows has 8e-7. */
static void test_long_sum(void)
{
    drl_ctx *ctx = NULL;
    const size_t rows = 64 * 64, c = 64;
    drl_tensor x, y;
    drl__op op = op_of(&drl__op_spatial_sum);
    drl__op_call call;
    double error = 0;
    size_t i, k;
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) {
        CHECK(0, "no context");
        return;
    }
    lcg_state = 7;
    what = "long sum";
    x = drl_tensor_of(noise(rows * c), 1, 64, 64, (int)c);
    y = drl_tensor_of(fresh(c), 1, 1, 1, (int)c);
    for (i = 0; i < rows * c; ++i) x.data[i] = 0.5f + 0.5f * x.data[i];
    call = call_of(ctx, &op, &x, NULL);
    op.scale = 1;
    forward(&call, &y);
    for (k = 0; k < c; ++k) {
        double sum = 0;
        for (i = 0; i < rows; ++i) sum += (double)x.data[i * c + k];
        error += ((double)y.data[k] / sum - 1) * ((double)y.data[k] / sum - 1) / (double)c;
    }
    CHECK(sqrt(error) < 3e-7, "sums of %d rows are off by %.2g of themselves", (int)rows, sqrt(error));
    release();
    drl_ctx_destroy(ctx);
}

static void test_errors(void)
{
    float data[64] = { 0 };
    drl_ctx *ctx = NULL;
    drl_conv2d_desc d;
    drl_tensor x = drl_tensor_of(data, 1, 2, 2, 4), y = drl_tensor_of(data + 16, 1, 2, 2, 5);
    x = drl_tensor_of(data + 1, 5, 2, 3, 4);
    CHECK(x.data == data + 1 && x.n == 5 && x.h == 2 && x.w == 3 && x.c == 4,
          "drl_tensor_of: %d x %d x %d x %d", x.n, x.h, x.w, x.c);
    x = drl_tensor_of(data, 1, 2, 2, 4);
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) return;
    memset(&d, 0, sizeof d);
    d.in_channels = 3;
    d.out_channels = 5;
#define REFUSED(status, sentence)                                                   \
    CHECK(drl_conv2d_forward(ctx, &d, &x, data, NULL, &y, data) == (status) &&      \
          strstr(drl_ctx_message(ctx), sentence), "%s", drl_ctx_message(ctx));      \
    drl_ctx_clear(ctx)
    REFUSED(DRL_E_SHAPE, "2x2x4");
    d.in_channels = 4;
    y.h = x.h = y.w = x.w = 1;              /* the sizes are refused before any element is read */
    y.n = x.n = INT32_MAX;
    REFUSED(DRL_E_SHAPE, sizeof(size_t) < 8 ? "" : "2147483647 images of 1 x 1 are too many or too large");
    d.kernel = 5;
    REFUSED(DRL_E_ARGUMENT, "kernel is 5");
    d.kernel = d.winograd = 1;
    REFUSED(DRL_E_ARGUMENT, "winograd is 1 with kernel 1");
    d.winograd = -1;
    REFUSED(DRL_E_ARGUMENT, "winograd is -1");
    d.winograd = 0;
    d.in_channels = 0;
    REFUSED(DRL_E_ARGUMENT, "in_channels is 0");
    d.in_channels = 4;
    d.out_channels = (1 << 24) + 1;
    REFUSED(DRL_E_ARGUMENT, "out_channels is 16777217");
#undef REFUSED
    drl_ctx_destroy(ctx);
}

/* The largest images, batches and channels that are taken, and what is one too large. */
static void test_limits(void)
{
    const int side = 1 << 24, images = INT32_MAX - 64;
    drl_conv2d_desc d;
    drl_ctx *ctx = NULL;
    if (make(DRL_ISA_PORTABLE, 1, &ctx) != DRL_OK) return;
    memset(&d, 0, sizeof d);
    d.in_channels = d.out_channels = d.kernel = 1;
    CHECK(drl_conv2d_work_count(ctx, &d, 1, side, 1) > 0, "the largest height");
    CHECK(!drl_conv2d_work_count(ctx, &d, 1, side + 1, 1), "one row more");
    CHECK(drl_conv2d_work_count(ctx, &d, 1, 1, side) > 0, "the largest width");
    CHECK(!drl_conv2d_work_count(ctx, &d, 1, 1, side + 1), "one column more");
    CHECK(!drl_conv2d_work_count(ctx, &d, images + 1, 1, 1), "one image more");
    if (sizeof(size_t) > 4) {
        CHECK(drl_conv2d_work_count(ctx, &d, images, 1, 1) > 0, "the most images");
        d.in_channels = side;
        CHECK(drl_conv2d_packed_count(ctx, &d, 0) > 0, "the most channels in");
        d.in_channels = side + 1;
        CHECK(!drl_conv2d_packed_count(ctx, &d, 0), "one channel more in");
        d.in_channels = 1;
        d.out_channels = side;
        CHECK(drl_conv2d_packed_count(ctx, &d, 0) > 0, "the most channels out");
        d.out_channels = side + 1;
        CHECK(!drl_conv2d_packed_count(ctx, &d, 0), "one channel more out");
    }
    drl_ctx_destroy(ctx);
}

/* One set with one number of threads. The first run of a set is compared with double; the others, and all
 * fused sets but portable C, must have the bits that were recorded. */
static void run_set(drl_isa isa, int threads, int alone)
{
    drl_ctx *ctx = NULL;
    double peak;
    if (make(isa, threads, &ctx) != DRL_OK) return;
    checking = threads == 1;
    recording = checking && (isa == DRL_ISA_PORTABLE || UNFUSED(isa) || alone);
    if (recording) recorded_n = 0;
    recorded_at = 0;
    jobs_most = 0;
    lcg_state = 1;
    run_all(ctx);
    peak = 2000.0 * ctx->kernels->rows * ctx->kernels->block;
    CHECK(ctx->kernels->peak(1000) == peak, "%s: operations of the peak loop", set_name);
    if (!recording)
        CHECK(recorded_at == recorded_n, "recorded %d, compared %d", (int)recorded_n, (int)recorded_at);
    CHECK(threads == 1 || only_part || jobs_most == threads, "at most %d jobs of %d", jobs_most, threads);
    printf("test_ops: %s", set_name);
    if (recording) printf(", bits %08x", (unsigned)hash_of(recorded, recorded_n));
    printf("\n");
    drl_ctx_destroy(ctx);
}

/* test_ops [SET [PART]]: one instruction set against double, and against itself with more threads; without a
 * set every one, and against portable C. PART is conv (small ones), ops, attention or norm. */
int main(int argc, char **argv)
{
    static const int threads[] = { 1, 2, 3, 7 };
    static const drl_isa sets[] = {
        DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON,
        DRL_ISA_SSE2, DRL_ISA_WASM          /* unfused sets are compared with themselves only */
    };
    int i, t;
    for (i = 0; argc > 1 && i < (int)DRL__COUNT(sets) && strcmp(argv[1], drl_isa_name(sets[i])); ++i) { }
    if (i == (int)DRL__COUNT(sets) || argc > 3) {
        fprintf(stderr, "%s: not understood; test_ops [portable|sse2|fma128|avx2|avx512|neon|wasm [PART]]\n",
                argv[argc > 3 ? 3 : 1]);
        return 2;
    }
    if (argc > 2) only_part = argv[2];
    if (only_part && !part("conv") && !part("ops") && !part("attention") && !part("norm")) {
        fprintf(stderr, "%s: the parts are conv, ops, attention, norm\n", only_part);
        return 2;
    }
    if (argc == 1) {
        test_errors();
        test_limits();
        test_winograd_scratch();
        test_long_sum();
    }
    test_elementary();
    test_fma();
    test_fma_zero();
    for (i = 0; i < (int)DRL__COUNT(sets); ++i) {
        if (argc > 1 && strcmp(argv[1], drl_isa_name(sets[i]))) continue;
        for (t = 0; t < (sets[i] == DRL_ISA_PORTABLE ? 2 : 4); ++t) run_set(sets[i], threads[t], argc > 1);
    }
    free(recorded);
    return check_report("test_ops");
}
