/* test_ops.c - the numeric core: every operator against an independent loop in double, gradients against central differences of that
 * loop, on every instruction set of the machine; the same bits on all exact sets and for every number of threads; guard zones. */
#define DRL_IMPLEMENTATION
#define DRL__DEFINITIONS
#define DRL__GRAIN 4096         /* small tensors are shared by threads, too */
#include "../drl.h"
#include "check.h"

#define EPS (1.0 / 16777216.0)      /* 2^-24: half a unit in the last place of 1 */

/* --- inputs, guarded buffers, recorded results ----------------------------------------------------------------------------------- */
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

/* n floats that no vector is aligned to, NaN inside, sentinels around. */
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

static void release(void)
{
    int i;
    size_t j;
    for (i = 0; i < pool_used; ++i) {
        buffer *b = &pool[i];
        int good = 1;
        for (j = 0; j < GUARD; ++j) if (b->p[-1 - (ptrdiff_t)j] != SENTINEL || b->p[b->n + j] != SENTINEL) good = 0;
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
static int recording, checking;     /* checking: against double, in one-thread runs */
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
        CHECK(recorded_at + n <= recorded_n && !memcmp(recorded + recorded_at, p, n * sizeof(float)), "%s: bits of %s differ", what, set_name);
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
    for (i = 0; i < n; ++i) if (!(fabs((double)got[i] - (want ? want[i] : 0)) <= tolerance)) {
        CHECK(0, "%s, %s, %s: element %d is %.9g, not %.9g (tolerance %g)", what, set_name, part, (int)i, (double)got[i], want ? want[i] : 0.0, tolerance);
        return;
    }
    CHECK(1, "fine");
}

/* Gradients by central differences: value(env) with one of env's doubles moved. At most `most` elements, spread evenly. */
typedef double (*value_fn)(void *env);
static void gradient(const char *part, value_fn value, void *env, double *p, const float *got, const float *before, size_t n, double tolerance, size_t most)
{
    size_t step = most && n > most ? n / most : 1, i;
    if (!checking) return;
    for (i = 0; i < n; i += step) {
        double h = 1.0 / 4096, keep = p[i], high, low, want;
        p[i] = keep + h; high = value(env);
        p[i] = keep - h; low = value(env);
        p[i] = keep;
        want = (high - low) / (2 * h) + (before ? (double)before[i] : 0);
        if (!(fabs((double)got[i] - want) <= tolerance)) {
            CHECK(0, "%s, %s, %s: gradient %d is %.9g, not %.9g (tolerance %g)", what, set_name, part, (int)i, (double)got[i], want, tolerance);
            return;
        }
    }
    CHECK(1, "fine");
}

/* --- convolution ----------------------------------------------------------------------------------------------------------------- */
typedef struct conv_env { int n, h, w, c, k, side; double *x, *weight, *bias, *dy, *y; } conv_env;

static void conv_double(const conv_env *e)
{
    int n, i, j, k, r, s, c, half = e->side / 2;
    for (n = 0; n < e->n; ++n) for (i = 0; i < e->h; ++i) for (j = 0; j < e->w; ++j) for (k = 0; k < e->k; ++k) {
        double sum = e->bias[k];
        for (r = 0; r < e->side; ++r) for (s = 0; s < e->side; ++s) {
            int ii = i + r - half, jj = j + s - half;
            if (ii < 0 || ii >= e->h || jj < 0 || jj >= e->w) continue;
            for (c = 0; c < e->c; ++c) sum += e->x[((n * e->h + ii) * e->w + jj) * e->c + c] * e->weight[((k * e->c + c) * e->side + r) * e->side + s];
        }
        e->y[((n * e->h + i) * e->w + j) * e->k + k] = sum;
    }
}

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

static void test_conv(drl_ctx *ctx, int n, int h, int w, int c, int k, int side, int winograd)
{
    size_t nx = (size_t)n * (size_t)h * (size_t)w * (size_t)c, ny = nx / (size_t)c * (size_t)k, nw = (size_t)c * (size_t)k * (size_t)(side * side), i, most;
    size_t nwork, np, npt;
    char name[80];
    drl_conv2d_desc d;
    drl_tensor x, y, dy, dx;
    float *weight, *bias, *packed, *packed_t, *work, *dx0, *dw, *dw0, *db, *db0;
    conv_env e;
    double terms = (double)c * side * side, cost = terms * (double)ny, loose = winograd ? WINOGRAD_ERROR : 1;
    sprintf(name, "%sconv %dx%d %dx%dx%d %d->%d", winograd ? "Winograd " : "", side, side, n, h, w, c, k);
    what = name;
    lcg_state = (uint64_t)(n + 10 * h + 100 * w + 1000 * c + 10000 * k + side);
    memset(&d, 0, sizeof d);
    d.in_channels = c;
    d.out_channels = k;
    d.kernel = side == 3 ? 0 : 1;
    d.winograd = winograd;
    x = drl_tensor_of(noise(nx), n, h, w, c);
    weight = noise(nw);
    bias = noise((size_t)k);
    dy = drl_tensor_of(noise(ny), n, h, w, k);
    y = drl_tensor_of(fresh(ny), n, h, w, k);
    dx = drl_tensor_of(fresh(nx), n, h, w, c);
    dx0 = noise(nx);
    dw0 = noise(nw);
    db0 = noise((size_t)k);
    dw = copy(dw0, nw);
    db = copy(db0, (size_t)k);
    np = drl_conv2d_packed_count(ctx, &d, 0);
    npt = drl_conv2d_packed_count(ctx, &d, 1);
    packed = fresh(np);
    packed_t = fresh(npt);
    nwork = drl_conv2d_work_count(ctx, &d, n, h, w);
    work = fresh(nwork);
    drl_conv2d_pack(ctx, &d, 0, weight, 0.5f, packed);
    drl_conv2d_pack(ctx, &d, 1, weight, 0.5f, packed_t);
    e.n = n; e.h = h; e.w = w; e.c = c; e.k = k; e.side = side;
    e.x = doubles(x.data, nx);
    e.weight = doubles(weight, nw);
    e.bias = doubles(bias, (size_t)k);
    e.dy = doubles(dy.data, ny);
    e.y = (double *)malloc(ny * sizeof(double));
    for (i = 0; i < nw; ++i) e.weight[i] *= 0.5;
    most = cost < 2e5 ? 300 : cost < 2e6 ? 30 : 4;

    CHECK_OK(ctx, drl_conv2d_forward(ctx, &d, &x, packed, bias, &y, work));
    if (checking) conv_double(&e);
    near_all("forward", y.data, e.y, ny, loose * (terms + 8) * EPS);
    if (checking && ny > 1000) {
        double error = relative_error(y.data, e.y, ny);
        CHECK(error < (winograd ? 4 : 1) * sqrt(terms) * 3e-8 + 1e-7, "%s, %s: relative error %g", what, set_name, error);
    }
    record(y.data, ny);
    if (checking && !winograd && !UNFUSED(ctx->isa) && cost < 2e5) {      /* the definition, to the bit */
        float *plain = fresh(ny), *half = copy(weight, nw);
        for (i = 0; i < nw; ++i) half[i] *= 0.5f;
        drl__plain_conv2d(n, h, w, c, k, side, x.data, half, bias, plain);
        for (i = 0; i < ny && y.data[i] == plain[i]; ++i) { }
        CHECK(i == ny, "%s, %s: element %d is not that of the plain loop", what, set_name, (int)i);
    }
    CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &d, &dy, packed_t, &dx, 0, work));
    gradient("dx", conv_value, &e, e.x, dx.data, NULL, nx, loose * (9.0 * k + 8) * EPS + 1e-9, most);
    record(dx.data, nx);
    memcpy(dx.data, dx0, nx * sizeof(float));
    CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &d, &dy, packed_t, &dx, 1, work));
    gradient("dx added", conv_value, &e, e.x, dx.data, dx0, nx, loose * (9.0 * k + 8) * EPS + 1e-9, most);
    record(dx.data, nx);
    CHECK_OK(ctx, drl_conv2d_param_grad(ctx, &d, &x, &dy, dw, db, work));
    gradient("dweight", conv_value, &e, e.weight, dw, dw0, nw, loose * ((double)n * h * w + 8) * EPS + 1e-9, most);
    gradient("dbias", conv_value, &e, e.bias, db, db0, (size_t)k, ((double)n * h * w + 8) * EPS + 1e-9, most);
    record(dw, nw);
    record(db, (size_t)k);
    memset(e.bias, 0, (size_t)k * sizeof(double));
    CHECK_OK(ctx, drl_conv2d_forward(ctx, &d, &x, packed, NULL, &y, work));
    if (checking) conv_double(&e);
    near_all("forward, no bias", y.data, e.y, ny, loose * (terms + 8) * EPS);
    if (winograd) {                                             /* weights that are not packed: the same bits */
        float *y0 = copy(y.data, ny), *dx1 = copy(dx.data, nx), *kept = copy(packed, np);
        d.winograd = 2;
        for (i = 0; i < nw; ++i) weight[i] *= 0.5f;
        CHECK(!drl_conv2d_packed_count(ctx, &d, 0) && !drl_conv2d_packed_count(ctx, &d, 1), "%s: weights are packed after all", what);
        drl_conv2d_pack(ctx, &d, 0, weight, 2, packed);
        CHECK(!memcmp(packed, kept, np * sizeof(float)), "%s: packed all the same", what);
        work = fresh(drl_conv2d_work_count(ctx, &d, n, h, w));
        CHECK_OK(ctx, drl_conv2d_forward(ctx, &d, &x, weight, NULL, &y, work));
        CHECK(!memcmp(y.data, y0, ny * sizeof(float)), "%s, %s: forward differs when weights are not packed", what, set_name);
        memcpy(dx.data, dx0, nx * sizeof(float));
        CHECK_OK(ctx, drl_conv2d_input_grad(ctx, &d, &dy, weight, &dx, 1, work));
        CHECK(!memcmp(dx.data, dx1, nx * sizeof(float)), "%s, %s: dx differs when weights are not packed", what, set_name);
    }
    free(e.x); free(e.weight); free(e.bias); free(e.dy); free(e.y);
    release();
}

/* --- the operators of nets, called by their rows' functions ---------------------------------------------------------------------- */
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

static void input_grad(drl__op_call *c, int operand, const drl_tensor *dy, const drl_tensor *dx, int accumulate)
{
    c->y = drl_tensor_of(NULL, dy->n, dy->h, dy->w, dy->c);
    c->dy = *dy;
    c->dx = *dx;
    c->accumulate = accumulate;
    c->op->info->input_grad(c, operand);
}

/* Operators without settings: the forward pass, and the gradient by an operand. */
static void run_forward(drl_ctx *ctx, const drl__op_info *info, const drl_tensor *a, const drl_tensor *b, const drl_tensor *y, float *work)
{
    drl__op op = op_of(info);
    drl__op_call c = call_of(ctx, &op, a, b);
    c.work = work;
    forward(&c, y);
}

static void run_input_grad(drl_ctx *ctx, const drl__op_info *info, int operand, const drl_tensor *a, const drl_tensor *b,
    const drl_tensor *dy, const drl_tensor *dx, int accumulate, float *work)
{
    drl__op op = op_of(info);
    drl__op_call c = call_of(ctx, &op, a, b);
    c.work = work;
    input_grad(&c, operand, dy, dx, accumulate);
}

/* --- activations ------------------------------------------------------------------------------------------------------------------ */
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

static void act_input_grad(drl_ctx *ctx, drl_act act, const drl_tensor *x, uint8_t *bits, const drl_tensor *dy, const drl_tensor *dx, int accumulate)
{
    drl__op op = op_of(&drl__op_act);
    drl__op_call c = call_of(ctx, &op, x, NULL);
    op.act = act;
    c.extra = act == DRL_ACT_SILU || act == DRL_ACT_NONE ? NULL : bits;
    input_grad(&c, 0, dy, dx, accumulate);
}

static void test_act(drl_ctx *ctx, drl_act act, int count)
{
    size_t n = (size_t)count, i;
    char name[40];
    drl_tensor x, y, dy, dx, z;
    uint8_t bits[1300 / 8 + 4];
    double *want = (double *)malloc(n * sizeof(double)), *slope = (double *)malloc(n * sizeof(double)), worst = 0;
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
    for (i = 0; i < n; ++i) {
        double v = (double)x.data[i], h = 1e-5;
        want[i] = act_double(act, v);
        slope[i] = v == 0 && act != DRL_ACT_SILU ? act_double(act, -1) / -1 : (act_double(act, v + h) - act_double(act, v - h)) / (2 * h);
    }
    memset(bits, 0xA5, sizeof bits);
    act_forward(ctx, act, &x, &y, bits);
    for (i = 0; i < n; ++i) {
        double e = fabs((double)y.data[i] - want[i]) / (fabs(want[i]) + 1e-30);
        if (e > worst) worst = e;
        if (act != DRL_ACT_SILU && (bits[i / 8] >> (i % 8) & 1) != (x.data[i] > 0)) CHECK(0, "%s: bit %d", name, (int)i);
    }
    CHECK(worst < (act == DRL_ACT_SILU ? 5 : 1) * EPS, "%s: relative error %g", name, worst);
    CHECK(bits[(n + 7) / 8] == 0xA5, "%s: bits written too far", name);
    record(y.data, n);
    z = drl_tensor_of(copy(x.data, n), 1, 1, 1, count);
    act_forward(ctx, act, &z, &z, NULL);
    CHECK(!memcmp(z.data, y.data, n * sizeof(float)), "%s: in place", name);
    act_input_grad(ctx, act, &x, bits, &dy, &dx, 0);
    for (i = 0; i < n; ++i) want[i] = slope[i] * (double)dy.data[i];
    near_all("gradient", dx.data, want, n, 16 * EPS);
    record(dx.data, n);
    for (i = 0; i < n; ++i) want[i] += (double)dx0[i];
    memcpy(dx.data, dx0, n * sizeof(float));
    act_input_grad(ctx, act, &x, bits, &dy, &dx, 1);
    near_all("gradient added", dx.data, want, n, 16 * EPS);
    record(dx.data, n);
    z = drl_tensor_of(copy(dy.data, n), 1, 1, 1, count);
    act_input_grad(ctx, act, &x, bits, &z, &z, 0);
    for (i = 0; i < n; ++i) want[i] -= (double)dx0[i];
    near_all("gradient in place", z.data, want, n, 16 * EPS);
    free(want);
    free(slope);
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
        for (k = 0; k < 4; ++k) CHECK(dx_four[k] == (k == i % 4 ? 1 : 0), "max pooling of case %d: gradient %d is %g", i, k, (double)dx_four[k]);
    }
}

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
            int low = act == DRL_ACT_SILU && in[i] < -40;       /* there it leaves 4e-18 x, so that no denormal numbers come of it */
            CHECK(fabs((double)out[i] - want) <= 1e-6 * fabs(want) + (low ? 5e-18 * fabs((double)in[i]) : 1e-34), "act %d of %g is %g", act, (double)in[i], (double)out[i]);
            CHECK(!low || out[i] < -1e-17f, "SiLU of %g is %g", (double)in[i], (double)out[i]);
        }
        for (; i < 12; ++i) CHECK(out[i] == inf, "act %d of infinity is %g", act, (double)out[i]);
        for (; i < 16; ++i) CHECK(out[i] != out[i], "act %d hides a NaN", act);
        record(out, 9);
    }
}

/* --- the other operators ---------------------------------------------------------------------------------------------------------- */
typedef struct small_env { int op, n, h, w, c, shared; double *x, *p, *dy; } small_env;

/* sum of dy * op(x, p); sizes n, h, w, c are those of the smaller tensor for pooling */
static double small_value(void *env)
{
    small_env *e = (small_env *)env;
    int n, i, j, c, C = e->c;
    double sum = 0;
#define AT(t, hh, ww, ii, jj) (t)[((n * (hh) + (ii)) * (ww) + (jj)) * C + c]
    for (n = 0; n < e->n; ++n) for (i = 0; i < e->h; ++i) for (j = 0; j < e->w; ++j) for (c = 0; c < C; ++c) {
        int H = e->h, W = e->w;
        switch (e->op) {
        case 0: sum += AT(e->dy, H, W, i, j) * 0.25 * (AT(e->x, 2*H, 2*W, 2*i, 2*j) + AT(e->x, 2*H, 2*W, 2*i, 2*j+1) + AT(e->x, 2*H, 2*W, 2*i+1, 2*j) + AT(e->x, 2*H, 2*W, 2*i+1, 2*j+1)); break;
        case 1: sum += AT(e->x, H, W, i, j) * (AT(e->dy, 2*H, 2*W, 2*i, 2*j) + AT(e->dy, 2*H, 2*W, 2*i, 2*j+1) + AT(e->dy, 2*H, 2*W, 2*i+1, 2*j) + AT(e->dy, 2*H, 2*W, 2*i+1, 2*j+1)); break;
        case 2: sum += AT(e->dy, H, W, i, j) * (AT(e->x, H, W, i, j) + e->p[n * C + c]); break;
        case 3: sum += AT(e->dy, H, W, i, j) * AT(e->x, H, W, i, j) * e->p[(e->shared ? 0 : n * C) + c]; break;
        case 4: sum += e->dy[n * C + c] * 0.375 * AT(e->x, H, W, i, j); break;
        case 6: sum += AT(e->dy, H, W, i, j) * (AT(e->x, H, W, i, j) * (1 + e->p[2 * n * C + c]) + e->p[(2 * n + 1) * C + c]); break;
        case 7: {
            double a = AT(e->x, 2*H, 2*W, 2*i, 2*j), b = AT(e->x, 2*H, 2*W, 2*i, 2*j+1);
            double p = AT(e->x, 2*H, 2*W, 2*i+1, 2*j), q = AT(e->x, 2*H, 2*W, 2*i+1, 2*j+1);
            sum += AT(e->dy, H, W, i, j) * fmax(fmax(a, b), fmax(p, q));
            break;
        }
        default: sum += e->dy[n] * e->x[n * C + c] * e->p[n * C + c]; break;
        }
    }
    return sum;
}

/* The value of an operator at one output: its derivative by dy there. */
static void forward_by_dy(small_env *e, const float *got, size_t n, double tolerance, size_t most) { gradient("forward", small_value, e, e->dy, got, NULL, n, tolerance, most); }

/* dx is dy where x is the largest of its square, and zero elsewhere. Differences will not do: equal numbers are near each other. */
static void maxpool_dx(const char *name, const drl_tensor *x, const drl_tensor *dy, const drl_tensor *dx)
{
    int n, i, j, k, bad = 0;
    size_t W = (size_t)x->w, C = (size_t)x->c;
    for (n = 0; n < x->n; ++n) for (i = 0; i < x->h; ++i) for (j = 0; j < x->w; ++j) for (k = 0; k < x->c; ++k) {
        size_t at = (((size_t)n * (size_t)x->h + (size_t)i) * W + (size_t)j) * C + (size_t)k, r, s, largest = 1;
        size_t corner = (((size_t)n * (size_t)x->h + (size_t)(i & ~1)) * W + (size_t)(j & ~1)) * C + (size_t)k;
        for (r = 0; r < 2; ++r) for (s = 0; s < 2; ++s) {
            size_t other = corner + (r * W + s) * C;
            if (x->data[other] > x->data[at] || (other < at && x->data[other] >= x->data[at])) largest = 0;
        }
        if (!(fabsf(dx->data[at] - (largest ? dy->data[(((size_t)n * (size_t)dy->h + (size_t)(i / 2)) * (W / 2) + (size_t)(j / 2)) * C + (size_t)k] : 0)) < 1e-6f)) ++bad;
    }
    CHECK(!bad, "%s, %s: %d numbers of the gradient of max pooling are wrong", name, set_name, bad);
}

static void test_small(drl_ctx *ctx, int n, int h, int w, int c)
{
    size_t ns = (size_t)n * (size_t)h * (size_t)w * (size_t)c, nc = (size_t)n * (size_t)c, most = ns < 400 ? 400 : 12, i;
    double tolerance = ((double)h * w + 8) * EPS + 1e-9;
    char name[64];
    int accumulate;
    drl_tensor small, large, gs, gl, out_s, out_l, p, out_p, v, out_v;
    float *before_s, *before_l, *before_p;
    drl__op op;
    drl__op_call call;
    small_env e;
    sprintf(name, "ops %dx%dx%dx%d", n, h, w, c);
    what = name;
    lcg_state = (uint64_t)(n * 1000 + h * 100 + w * 10 + c);
    small = drl_tensor_of(noise(ns), n, h, w, c);
    large = drl_tensor_of(noise(4 * ns), n, 2 * h, 2 * w, c);
    gs = drl_tensor_of(noise(ns), n, h, w, c);
    gl = drl_tensor_of(noise(4 * ns), n, 2 * h, 2 * w, c);
    out_s = drl_tensor_of(fresh(ns), n, h, w, c);
    out_l = drl_tensor_of(fresh(4 * ns), n, 2 * h, 2 * w, c);
    p = drl_tensor_of(noise(nc), n, 1, 1, c);
    out_p = drl_tensor_of(fresh(nc), n, 1, 1, c);
    v = drl_tensor_of(noise((size_t)n), n, 1, 1, 1);
    out_v = drl_tensor_of(fresh((size_t)n), n, 1, 1, 1);
    before_s = noise(ns);
    before_l = noise(4 * ns);
    before_p = noise(nc);
    e.n = n; e.h = h; e.w = w; e.c = c; e.shared = 0;
    e.p = doubles(p.data, nc);

    e.op = 0;                                                                   /* mean of 2x2 */
    e.x = doubles(large.data, 4 * ns);
    e.dy = doubles(gs.data, ns);
    run_forward(ctx, &drl__op_avgpool2, &large, NULL, &out_s, NULL);
    forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
    record(out_s.data, ns);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(out_l.data, before_l, 4 * ns * sizeof(float));
        run_input_grad(ctx, &drl__op_avgpool2, 0, &large, NULL, &gs, &out_l, accumulate, NULL);
        gradient("dx", small_value, &e, e.x, out_l.data, accumulate ? before_l : NULL, 4 * ns, 8 * EPS, most);
        record(out_l.data, 4 * ns);
    }
    e.op = 7;                                                                   /* the largest of 2x2 */
    op = op_of(&drl__op_maxpool2);
    call = call_of(ctx, &op, &large, NULL);
    forward(&call, &out_s);                                                     /* what no gradient follows */
    forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
    memset(out_s.data, 0, ns * sizeof(float));
    call.extra = (uint8_t *)malloc(ns);
    forward(&call, &out_s);
    forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
    record(out_s.data, ns);
    call.a.data = NULL;                                                         /* going back reads the bytes alone */
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(out_l.data, before_l, 4 * ns * sizeof(float));
        input_grad(&call, 0, &gs, &out_l, accumulate);
        for (i = 0; i < 4 * ns; ++i) if (accumulate) out_l.data[i] = out_l.data[i] - before_l[i];
        maxpool_dx(name, &large, &gs, &out_l);
    }
    free(call.extra);
    free(e.x);
    free(e.dy);
    e.op = 1;                                                                   /* doubling */
    e.x = doubles(small.data, ns);
    e.dy = doubles(gl.data, 4 * ns);
    run_forward(ctx, &drl__op_upsample2, &small, NULL, &out_l, NULL);
    forward_by_dy(&e, out_l.data, 4 * ns, 8 * EPS, most);
    record(out_l.data, 4 * ns);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(out_s.data, before_s, ns * sizeof(float));
        run_input_grad(ctx, &drl__op_upsample2, 0, &small, NULL, &gl, &out_s, accumulate, NULL);
        gradient("dx", small_value, &e, e.x, out_s.data, accumulate ? before_s : NULL, ns, 16 * EPS, most);
        record(out_s.data, ns);
    }
    free(e.dy);
    e.dy = doubles(gs.data, ns);
    e.op = 2;                                                                   /* shift */
    run_forward(ctx, &drl__op_shift, &small, &p, &out_s, NULL);
    forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
    record(out_s.data, ns);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(out_p.data, before_p, nc * sizeof(float));
        run_input_grad(ctx, &drl__op_shift, 1, &small, &p, &gs, &out_p, accumulate, NULL);
        gradient("dshift", small_value, &e, e.p, out_p.data, accumulate ? before_p : NULL, nc, tolerance, most);
        record(out_p.data, nc);
    }
    e.op = 3;                                                                   /* gain */
    {
        op = op_of(&drl__op_gain);
        call = call_of(ctx, &op, &small, NULL);
        call.weight = p.data;
        e.shared = 1;
        forward(&call, &out_s);
        forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
        record(out_s.data, ns);
        for (accumulate = 0; accumulate < 2; ++accumulate) {
            memcpy(out_s.data, before_s, ns * sizeof(float));
            input_grad(&call, 0, &gs, &out_s, accumulate);
            gradient("dx", small_value, &e, e.x, out_s.data, accumulate ? before_s : NULL, ns, 8 * EPS, most);
            record(out_s.data, ns);
        }
        e.shared = 0;                                                           /* the sums are by a gain of each image's own */
        call.dy = gs;
        call.sums = out_p.data;
        op.info->param_sums(&call);
        gradient("sums", small_value, &e, e.p, out_p.data, NULL, nc, tolerance, most);
        record(out_p.data, nc);
        memcpy(out_s.data, small.data, ns * sizeof(float));
        call.a = out_s;
        forward(&call, &out_s);
        record(out_s.data, ns);
    }
    {                                                                           /* scale and shift */
        float *before_2 = noise(2 * nc), *work_2 = fresh(2 * nc);
        drl_tensor p2 = drl_tensor_of(noise(2 * nc), n, 1, 1, 2 * c), out_2 = drl_tensor_of(fresh(2 * nc), n, 1, 1, 2 * c);
        double *p_1 = e.p;
        e.op = 6;
        e.p = doubles(p2.data, 2 * nc);
        run_forward(ctx, &drl__op_scale_shift, &small, &p2, &out_s, work_2);
        forward_by_dy(&e, out_s.data, ns, 8 * EPS, most);
        record(out_s.data, ns);
        for (accumulate = 0; accumulate < 2; ++accumulate) {
            memcpy(out_s.data, before_s, ns * sizeof(float));
            run_input_grad(ctx, &drl__op_scale_shift, 0, NULL, &p2, &gs, &out_s, accumulate, work_2);
            gradient("dx", small_value, &e, e.x, out_s.data, accumulate ? before_s : NULL, ns, 8 * EPS, most);
            record(out_s.data, ns);
            memcpy(out_2.data, before_2, 2 * nc * sizeof(float));
            run_input_grad(ctx, &drl__op_scale_shift, 1, &small, NULL, &gs, &out_2, accumulate, work_2);
            gradient("dscale_shift", small_value, &e, e.p, out_2.data, accumulate ? before_2 : NULL, 2 * nc, tolerance, most);
            record(out_2.data, 2 * nc);
        }
        free(e.p);
        e.p = p_1;
    }
    free(e.dy);
    e.op = 4;                                                                   /* sum over space */
    e.dy = doubles(p.data, nc);
    op = op_of(&drl__op_spatial_sum);
    op.scale = 0.375f;
    call = call_of(ctx, &op, &small, NULL);
    forward(&call, &out_p);
    forward_by_dy(&e, out_p.data, nc, tolerance, most);
    record(out_p.data, nc);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(out_s.data, before_s, ns * sizeof(float));
        input_grad(&call, 0, &p, &out_s, accumulate);
        gradient("dx", small_value, &e, e.x, out_s.data, accumulate ? before_s : NULL, ns, 8 * EPS, most);
        record(out_s.data, ns);
    }
    free(e.dy);
    free(e.x);
    e.op = 5;                                                                   /* inner product, of p and before_p */
    e.h = e.w = 1;
    e.x = doubles(before_p, nc);
    e.dy = doubles(v.data, (size_t)n);
    {
        drl_tensor a = drl_tensor_of(before_p, n, 1, 1, c);
        run_forward(ctx, &drl__op_dot, &a, &p, &out_v, NULL);
        forward_by_dy(&e, out_v.data, (size_t)n, (c + 8.0) * EPS, most);
        record(out_v.data, (size_t)n);
        for (accumulate = 0; accumulate < 2; ++accumulate) {
            memcpy(out_p.data, before_p, nc * sizeof(float));
            run_input_grad(ctx, &drl__op_dot, 0, NULL, &p, &v, &out_p, accumulate, NULL);
            gradient("da", small_value, &e, e.x, out_p.data, accumulate ? before_p : NULL, nc, 8 * EPS, most);
            record(out_p.data, nc);
            memcpy(out_p.data, before_p, nc * sizeof(float));
            run_input_grad(ctx, &drl__op_dot, 1, &a, NULL, &v, &out_p, accumulate, NULL);
            gradient("db", small_value, &e, e.p, out_p.data, accumulate ? before_p : NULL, nc, 8 * EPS, most);
        }
    }
    free(e.x);
    free(e.dy);
    free(e.p);
    run_forward(ctx, &drl__op_add, &small, &gs, &out_s, NULL);                   /* sum, also in place */
    for (i = 0; i < ns; ++i) if (out_s.data[i] != small.data[i] + gs.data[i]) CHECK(0, "%s: add %d", name, (int)i);
    run_forward(ctx, &drl__op_add, &small, &gs, &small, NULL);
    CHECK(!memcmp(small.data, out_s.data, ns * sizeof(float)), "%s: add in place", name);
    release();
}

/* --- group normalisation ------------------------------------------------------------------------------------------------------------ */
typedef struct norm_env { int n, rows, c, groups; double eps, *x, *weight, *bias, *dy, *y; } norm_env;

static void norm_double(const norm_env *e)
{
    int n, g, p, c, each = e->c / e->groups;
    for (n = 0; n < e->n; ++n) for (g = 0; g < e->groups; ++g) {
        const double *x = e->x + n * e->rows * e->c;
        double mean = 0, variance = 0;
        for (p = 0; p < e->rows; ++p) for (c = g * each; c < (g + 1) * each; ++c) mean += x[p * e->c + c];
        mean /= e->rows * each;
        for (p = 0; p < e->rows; ++p) for (c = g * each; c < (g + 1) * each; ++c) variance += (x[p * e->c + c] - mean) * (x[p * e->c + c] - mean);
        variance /= e->rows * each;
        for (p = 0; p < e->rows; ++p) for (c = g * each; c < (g + 1) * each; ++c)
            e->y[(n * e->rows + p) * e->c + c] = (x[p * e->c + c] - mean) / sqrt(variance + e->eps) * e->weight[c] + e->bias[c];
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

/* The call of a norm, and what the runner makes of its sums: each image's part is added. */
static drl__op_call norm_call(drl_ctx *ctx, drl__op *op, int groups, float eps, const drl_tensor *x, const float *weight, const float *bias,
    float *moments, float *work)
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

static void norm_param_grad(drl__op_call *c, const drl_tensor *dy, float *dw, float *db)
{
    size_t nc = (size_t)dy->c, i;
    float *total = fresh(2 * nc);
    c->dy = *dy;
    c->sums = fresh((size_t)dy->n * 2 * nc);
    c->op->info->param_sums(c);
    drl__columns(c->ctx, c->sums, NULL, NULL, 1, (size_t)dy->n, 2 * nc, 1, total, 0);
    for (i = 0; i < nc; ++i) { dw[i] += total[i]; db[i] += total[nc + i]; }
}

/* far: the images lie so far from zero, in units of their spread */
static void test_norm(drl_ctx *ctx, int n, int h, int w, int c, int groups, float far)
{
    size_t count = (size_t)n * (size_t)h * (size_t)w * (size_t)c, nc = (size_t)c, nm = (size_t)(2 * n * groups), i, most = count < 400 ? 400 : 12;
    float eps = 0.03125f, *moments, *work, *weight, *bias, *dw, *dw0, *db, *db0, *dx0;
    double tolerance = (64 + 4 * sqrt((double)h * w * c / groups) + 8 * fabs((double)far)) * EPS + 1e-7;     /* the last: of the differences */
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
    for (i = 0; i < count; ++i) x.data[i] = x.data[i] + far;
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
    e.n = n; e.rows = h * w; e.c = c; e.groups = groups; e.eps = (double)eps;
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
    call = norm_call(ctx, &op, groups, eps, &x, weight, bias, moments, work);
    CHECK(!memcmp(dx.data, y.data, count * sizeof(float)), "%s: in place", name);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(dx.data, dx0, count * sizeof(float));
        input_grad(&call, 0, &dy, &dx, accumulate);
        gradient("dx", norm_value, &e, e.x, dx.data, accumulate ? dx0 : NULL, count, 4 * tolerance + 1e-5, most);
        record(dx.data, count);
    }
    norm_param_grad(&call, &dy, dw, db);
    gradient("dweight", norm_value, &e, e.weight, dw, dw0, nc, tolerance * n * h * w, most);
    gradient("dbias", norm_value, &e, e.bias, db, db0, nc, ((double)n * h * w + 8) * EPS + 1e-9, most);
    record(dw, nc);
    record(db, nc);
    memcpy(dx.data, dy.data, count * sizeof(float));
    input_grad(&call, 0, &dx, &dx, 0);
    gradient("dx in place", norm_value, &e, e.x, dx.data, NULL, count, 4 * tolerance + 1e-5, most);
    free(e.x); free(e.dy); free(e.weight); free(e.bias); free(e.y);
    release();
}

/* --- dropout and concatenation ------------------------------------------------------------------------------------------------------ */
static void dropout_forward(drl_ctx *ctx, const drl_rng *rng, int number, float p, const drl_tensor *x, const drl_tensor *y, uint8_t *bits)
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

static void dropout_input_grad(drl_ctx *ctx, const drl_rng *rng, float p, uint8_t *bits, const drl_tensor *dy, const drl_tensor *dx, int accumulate)
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

static void test_dropout(drl_ctx *ctx, int n, int each, float p)
{
    size_t count = (size_t)n * (size_t)each, i, k, same = 0, dropped = 0;
    drl_tensor x = drl_tensor_of(noise(count), n, 1, 1, each), y = drl_tensor_of(fresh(count), n, 1, 1, each), dx = drl_tensor_of(fresh(count), n, 1, 1, each), one;
    float *dx0 = noise(count), factor = (float)(65536 / (65536 - floor((double)p * 65536 + 0.5)));
    uint8_t *bits = (uint8_t *)malloc(count / 8 + 2);
    double *want = doubles(x.data, count);
    drl_rng rng;
    char name[48];
    int other;
    sprintf(name, "dropout of %dx%d, %g", n, each, (double)p);
    what = name;
    rng.seed = 3; rng.stream = 4; rng.position = 5;
    bits[(count + 7) / 8] = 0xA5;
    dropout_forward(ctx, &rng, 7, p, &x, &y, bits);
    CHECK(bits[(count + 7) / 8] == 0xA5 && rng.position == 5, "%s: bits written too far, or rng moved", name);
    for (i = 0; i < count; ++i) {                               /* the bits one by one, by the generator of [rng] */
        size_t e = i % (size_t)each;
        uint32_t word[4], drop = (uint32_t)floor((double)p * 65536 + 0.5);
        word[0] = (uint32_t)(e / 8);
        word[1] = (uint32_t)1 << 31 | 7u << 20 | (uint32_t)(i / (size_t)each);
        word[2] = 4;
        word[3] = 0;
        drl__philox(word, 3, 0);
        same += (bits[i / 8] >> (i % 8) & 1) == ((word[e % 8 / 2] >> 16 * (e % 2) & 0xFFFF) >= (drop < 65535 ? drop : 65535));
    }
    CHECK(same == count, "%s, %s: %d of %d bits are what the generator says", name, set_name, (int)same, (int)count);
    for (i = 0; i < count; ++i) {
        want[i] *= bits[i / 8] >> (i % 8) & 1 ? (double)factor : 0.0;
        dropped += !(bits[i / 8] >> (i % 8) & 1);
    }
    near_all("forward", y.data, want, count, 2 * EPS * (double)factor);
    record(y.data, count);
    CHECK(fabs((double)dropped - (double)p * (double)count) <= 5 * sqrt((double)p * (double)count) + 0.1, "%s: %d of %d dropped", name, (int)dropped, (int)count);
    for (i = 0; i < count; ++i) want[i] += (double)dx0[i];
    memcpy(dx.data, dx0, count * sizeof(float));
    dropout_input_grad(ctx, &rng, p, bits, &x, &dx, 1);
    near_all("gradient added", dx.data, want, count, 4 * EPS * (double)factor);
    memcpy(dx.data, x.data, count * sizeof(float));
    dropout_forward(ctx, &rng, 7, p, &dx, &dx, bits);
    CHECK(!memcmp(dx.data, y.data, count * sizeof(float)), "%s: in place", name);
    one = drl_tensor_of(x.data, 1, 1, 1, each);                 /* the first image alone, then other numbers, streams and seeds */
    dx.n = 1;
    dropout_forward(ctx, &rng, 7, p, &one, &dx, bits);
    CHECK(!memcmp(dx.data, y.data, (size_t)each * sizeof(float)), "%s: an image alone", name);
    for (other = 0; other < 3; ++other) {
        rng.stream = other == 1 ? 5 : 4;
        rng.seed = other == 2 ? 4 : 3;
        dropout_forward(ctx, &rng, other ? 7 : 8, p, &one, &dx, bits);
        for (k = 0, same = 0; k < (size_t)each; ++k) same += (dx.data[k] == 0) == (y.data[k] == 0);
        CHECK(same < (size_t)each || p <= 0 || p > 0.9f || each < 100, "%s: the same mask for another number, stream or seed", name);
    }
    if (n > 1) {
        for (k = 0, same = 0; k < (size_t)each; ++k) same += (y.data[(size_t)each + k] == 0) == (y.data[k] == 0);
        CHECK(same < (size_t)each || p <= 0 || p > 0.9f || each < 100, "%s: the same mask for two images", name);
    }
    free(bits);
    free(want);
    release();
}

static void test_concat(drl_ctx *ctx, int n, int h, int w, int ca, int cb)
{
    size_t pixels = (size_t)n * (size_t)h * (size_t)w, c = (size_t)(ca + cb), i, k;
    drl_tensor a = drl_tensor_of(noise(pixels * (size_t)ca), n, h, w, ca), b = drl_tensor_of(noise(pixels * (size_t)cb), n, h, w, cb);
    drl_tensor y = drl_tensor_of(fresh(pixels * c), n, h, w, ca + cb), db = drl_tensor_of(fresh(pixels * (size_t)cb), n, h, w, cb);
    float *before = noise(pixels * (size_t)cb);
    char name[48];
    int accumulate, good = 1;
    sprintf(name, "concat %dx%dx%dx%d+%d", n, h, w, ca, cb);
    what = name;
    run_forward(ctx, &drl__op_concat, &a, &b, &y, NULL);
    for (i = 0; i < pixels; ++i) for (k = 0; k < c; ++k)
        good &= y.data[i * c + k] == (k < (size_t)ca ? a.data[i * (size_t)ca + k] : b.data[i * (size_t)cb + k - (size_t)ca]);
    for (accumulate = 0; accumulate < 2; ++accumulate) {
        memcpy(db.data, before, pixels * (size_t)cb * sizeof(float));
        run_input_grad(ctx, &drl__op_concat, 1, &a, &b, &y, &db, accumulate, NULL);
        for (i = 0; i < pixels * (size_t)cb; ++i) good &= db.data[i] == (accumulate ? before[i] + b.data[i] : b.data[i]);
    }
    run_input_grad(ctx, &drl__op_concat, 0, &a, &b, &y, &a, 0, NULL);
    for (i = 0; i < pixels * (size_t)ca; ++i) good &= a.data[i] == y.data[i / (size_t)ca * c + i % (size_t)ca];
    CHECK(good, "%s: a wrong value", name);
    record(y.data, pixels * c);
    record(db.data, pixels * (size_t)cb);
    release();
}

/* --- attention -------------------------------------------------------------------------------------------------------------------------- */
typedef struct attention_env { int n, tokens, c, image; double *qkv, *dy, *y, *p; } attention_env;

static void attention_double(const attention_env *e, int image)
{
    int i, j, k, C = e->c;
    const double *q = e->qkv + image * e->tokens * 3 * C;
    double *y = e->y + image * e->tokens * C;
    for (i = 0; i < e->tokens; ++i) {
        double top = -HUGE_VAL, sum = 0;
        for (j = 0; j < e->tokens; ++j) {
            double s = 0;
            for (k = 0; k < C; ++k) s += q[i * 3 * C + k] * q[j * 3 * C + C + k];
            e->p[j] = s / sqrt((double)C);
            if (e->p[j] > top) top = e->p[j];
        }
        for (j = 0; j < e->tokens; ++j) sum += e->p[j] = exp(e->p[j] - top);
        for (k = 0; k < C; ++k) y[i * C + k] = 0;
        for (j = 0; j < e->tokens; ++j) for (k = 0; k < C; ++k) y[i * C + k] += e->p[j] / sum * q[j * 3 * C + 2 * C + k];
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

/* sharp: factor of queries and keys */
static void test_attention(drl_ctx *ctx, int n, int h, int w, int c, float sharp)
{
    size_t pixels = (size_t)n * (size_t)h * (size_t)w, ny = pixels * (size_t)c, nq = 3 * ny, each = nq / (size_t)n, i, most;
    double tolerance = ((double)c + (double)h * w + 32) * EPS * (1 + (double)(sharp * sharp)), cost = (double)h * w * h * w * c;
    drl_tensor qkv = drl_tensor_of(noise(nq), n, h, w, 3 * c), y = drl_tensor_of(fresh(ny), n, h, w, c), dy, dqkv;
    float *before = noise(nq), *work = fresh((size_t)ctx->threads * drl__attention_each((size_t)h * (size_t)w, (size_t)c));
    attention_env e;
    char name[64];
    int accumulate;
    sprintf(name, "attention %dx%dx%dx%d, %g", n, h, w, c, (double)sharp);
    what = name;
    most = cost < 1e4 ? 400 : cost < 1e6 ? 24 : 6;
    for (i = 0; i < nq; ++i) if (i % (size_t)(3 * c) < (size_t)(2 * c)) qkv.data[i] = qkv.data[i] * sharp;
    dy = drl_tensor_of(noise(ny), n, h, w, c);
    dqkv = drl_tensor_of(fresh(nq), n, h, w, 3 * c);
    e.n = n; e.tokens = h * w; e.c = c;
    e.qkv = doubles(qkv.data, nq);
    e.dy = doubles(dy.data, ny);
    e.y = doubles(dy.data, ny);
    e.p = doubles(dy.data, ny);
    free(e.p);
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
            gradient("dqkv", attention_value, &e, e.qkv + at, dqkv.data + at, accumulate ? before + at : NULL, each, 4 * tolerance * (1 + (double)sharp) + 1e-6 * (1 + (double)(sharp * sharp)), most + 1);
        }
        record(dqkv.data, nq);
    }
    free(e.qkv); free(e.dy); free(e.y); free(e.p);
    release();
}

/* One pixel's query far along one key: the softmax picks that key's value, without overflow. */
static void test_attention_far(drl_ctx *ctx)
{
    float in[3 * 9], out[3], *work = fresh((size_t)ctx->threads * drl__attention_each(3, 3));
    drl_tensor qkv = drl_tensor_of(in, 1, 1, 3, 9), y = drl_tensor_of(fresh(9), 1, 1, 3, 3);
    int i;
    what = "attention, far";
    for (i = 0; i < 27; ++i) in[i] = i % 9 < 3 ? 1e6f : i % 9 < 6 ? (float)(i / 9) * 1e6f : (float)i;
    run_forward(ctx, &drl__op_attention, &qkv, NULL, &y, work);
    for (i = 0; i < 3; ++i) out[i] = y.data[i];
    CHECK(out[0] == 24 && out[1] == 25 && out[2] == 26, "%s: %g %g %g, not 24 25 26", what, (double)out[0], (double)out[1], (double)out[2]);
    release();
}

static void test_embedding(drl_ctx *ctx)
{
    /* frequencies of width 128 as PyTorch 1.13 has them, where they are not the rounded exponentials */
    static const struct { int k; float w; } torch[6] = { { 6, 0.415956259f }, { 11, 0.200256824f }, { 21, 0.0464158878f }, { 26, 0.0223463438f }, { 36, 0.00517947506f }, { 44, 0.0016082339f } };
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
        double w = exp(-k * log(10000.0) / 63), tolerance = (double)v[n] * w * 1.5e-6 + 2 * EPS;        /* the argument is a float */
        CHECK(fabs((double)y.data[n * 128 + k] - sin((double)v[n] * w)) <= tolerance, "sin %d %d", n, k);
        CHECK(fabs((double)y.data[n * 128 + 64 + k] - cos((double)v[n] * w)) <= tolerance, "cos %d %d", n, k);
    }
    record(y.data, 3 * 128);
    release();
}

/* --- spectral norm, long sums, optimizer and Langevin steps ------------------------------------------------------------------------- */
static void test_spectral(drl_ctx *ctx, int rows, int cols)
{
    size_t m = (size_t)rows, n = (size_t)cols, i, j, q;
    float *w = noise(m * n), *u = noise(m), *v = noise(n), *g = noise(m * n), sigma[2];
    double *du = doubles(u, m), *dv = doubles(v, n), s = 0, inner = 0;
    char name[40];
    int iteration;
    sprintf(name, "spectral norm %dx%d", rows, cols);
    what = name;
    for (iteration = 0; iteration < 2; ++iteration) {
        double norm = 0;
        for (j = 0; j < n; ++j) { dv[j] = 0; for (i = 0; i < m; ++i) dv[j] += (double)w[i * n + j] * du[i]; norm += dv[j] * dv[j]; }
        for (j = 0; j < n; ++j) dv[j] /= sqrt(norm);
        norm = 0;
        for (i = 0; i < m; ++i) { du[i] = 0; for (j = 0; j < n; ++j) du[i] += (double)w[i * n + j] * dv[j]; norm += du[i] * du[i]; }
        for (i = 0; i < m; ++i) du[i] /= sqrt(norm);
    }
    for (i = 0; i < m; ++i) for (j = 0; j < n; ++j) s += du[i] * dv[j] * (double)w[i * n + j];
    sigma[0] = drl__spectral_norm(ctx, w, rows, cols, u, v, 2);
    near_all("u", u, du, m, 64 * EPS);
    near_all("v", v, dv, n, 64 * EPS);
    CHECK(fabs((double)sigma[0] - s) < 32 * EPS * s, "%s: sigma %g %g", name, (double)sigma[0], s);
    sigma[1] = drl__spectral_norm(ctx, w, rows, cols, u, v, 0);
    CHECK(fabs((double)sigma[1] - s) < 32 * EPS * s, "%s: sigma as is %g %g", name, (double)sigma[1], s);
    record(sigma, 2);
    record(u, m);
    record(v, n);
    /* the gradient of <G, W / (u' W v)> by W */
    if (checking) {
        double *want = (double *)malloc(m * n * sizeof(double)), biggest = 0;
        for (q = 0; q < m * n; ++q) inner += (double)g[q] * (double)w[q];
        for (q = 0; q < m * n; ++q) {
            double h = 1e-4, high = (inner + h * (double)g[q]) / (s + h * du[q / n] * dv[q % n]), low = (inner - h * (double)g[q]) / (s - h * du[q / n] * dv[q % n]);
            want[q] = (high - low) / (2 * h);
            if (fabs(want[q]) > biggest) biggest = fabs(want[q]);
        }
        drl__spectral_norm_grad(ctx, w, rows, cols, u, v, sigma[0], g);
        near_all("gradient", g, want, m * n, 128 * EPS * biggest + 4 * EPS / s);     /* of a single weight it is zero */
        free(want);
    } else drl__spectral_norm_grad(ctx, w, rows, cols, u, v, sigma[0], g);
    record(g, m * n);
    free(du);
    free(dv);
    release();
}

static void test_updates(drl_ctx *ctx, int count)
{
    size_t n = (size_t)count, i;
    float *y = noise(n), *next = noise(n), *grad = noise(n), *eps = noise(n), *out = fresh(n), *p, *m, *v, *ema;
    double *want = (double *)malloc(n * sizeof(double)), sum = 0;
    float total;
    char name[40];
    sprintf(name, "updates of %d", count);
    what = name;
    drl__axpby(ctx, n, 0.75f, y, -1.5f, next, out);
    for (i = 0; i < n; ++i) want[i] = 0.75 * (double)y[i] - 1.5 * (double)next[i];
    near_all("axpby", out, want, n, 4 * EPS);
    record(out, n);
    drl__axpby(ctx, n, 0.75f, y, 0, NULL, out);
    for (i = 0; i < n; ++i) want[i] = 0.75 * (double)y[i];
    near_all("scale", out, want, n, 2 * EPS);
    for (i = 0; i < n; ++i) sum += (double)y[i] * (double)y[i];
    total = (float)drl__sum_squares(ctx, n, y);
    CHECK(fabs((double)total - sum) <= 64 * EPS * sum, "%s: sum of squares %g %g", name, (double)total, sum);
    record(&total, 1);
    memcpy(out, y, n * sizeof(float));
    drl__langevin_update(ctx, n, out, next, grad, eps, 0.25f, 0.125f, 0.5f);
    for (i = 0; i < n; ++i) want[i] = (double)y[i] + 0.25 * (double)grad[i] + 0.125 * ((double)next[i] - (double)y[i]) + 0.5 * (double)eps[i];
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
        double g = 0.5 * (double)grad[i], dm = 0.9 * (double)next[i] + 0.1 * g, dv = (double)0.999f * (double)(eps[i] * eps[i]) + (1 - (double)0.999f) * g * g;
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
    if (n > 4) {
        y[4] = (float)NAN;
        CHECK(drl__sum_squares(ctx, n, y) != drl__sum_squares(ctx, n, y), "%s: NaN is lost", name);
        y[4] = (float)HUGE_VAL;
        CHECK(drl__sum_squares(ctx, n, y) == HUGE_VAL, "%s: infinity is lost", name);
    }
    free(want);
    release();
}

/* --- scalar functions ----------------------------------------------------------------------------------------------------------------- */
static void test_elementary(void)
{
    int i;
    double worst[6] = { 0, 0, 0, 0, 0, 0 };
    lcg_state = 1;
    for (i = 0; i < 200000; ++i) {
        double u = uniform() + uniform() * 1e-8, e, x = u * (i % 2 ? 1000 : 3);
        e = fabs(drl__exp(u * 700) / exp(u * 700) - 1); if (e > worst[0]) worst[0] = e;
        e = exp(u * 300); e = fabs(drl__log(e) - log(e)) / (fabs(log(e)) + 1e-300); if (e > worst[1]) worst[1] = e;
        e = fabs(drl__sin(x) - sin(x)); if (e > worst[2]) worst[2] = e;
        e = fabs(drl__cos(x) - cos(x)); if (e > worst[3]) worst[3] = e;
        e = fabs(drl__tan(x) / tan(x) - 1); if (e > worst[4] && fabs(tan(x)) > 1e-6 && fabs(tan(x)) < 1e6) worst[4] = e;
        e = exp(u * (i % 2 ? 40 : 2)); e = fabs(drl__atan(e) / atan(e) - 1); if (e > worst[5]) worst[5] = e;
    }
    for (i = 0; i < 6; ++i) CHECK(worst[i] < 2e-15, "function %d: error %g", i, worst[i]);
    CHECK(drl__exp(0) == 1 && drl__log(1) == 0 && drl__sin(0) == 0 && drl__cos(0) == 1 && drl__tan(0) == 0 && drl__atan(0) == 0, "exact points");
    CHECK(drl__atan(-0.75) == -drl__atan(0.75) && drl__atan(HUGE_VAL) == 0.5 * DRL__PI && drl__atan((double)NAN) != drl__atan((double)NAN), "atan");
    CHECK(drl__exp(1000) == HUGE_VAL && drl__exp(-1000) == 0 && drl__log(0) == -HUGE_VAL, "ends");
}

/* The portable fma against the C library's on random and nasty triples. */
static void test_fma(void)
{
    static const uint32_t nasty[] = { 0, 0x80000000u, 1, 0x80000001u, 0x7FFFFFu, 0x800000u, 0x800001u, 0x3F800000u, 0x3F800001u, 0x3F7FFFFFu, 0xBF800000u, 0xBF7FFFFFu,
        0x7F7FFFFFu, 0xFF7FFFFFu, 0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x33800000u, 0x33800001u, 0x34000000u, 0x33000000u, 0xB3800000u, 0x00400000u, 0x1F800000u, 0x20000000u, 0x5F7FFFFFu,
        0x19FFFD8Eu, 0x1A000139u, 0x00400001u };       /* a b + c is 3/4 of a double's last digit below the middle of two denormals */
    const int n = (int)(sizeof nasty / sizeof nasty[0]);
    long i, wrong = 0, total = 0;
    lcg_state = 99;
    for (i = 0; i < (long)n * n * n + 3000000; ++i) {
        uint32_t u[3];
        float a, b, c, x, y;
        int j;
        if (i < (long)n * n * n) { u[0] = nasty[i % n]; u[1] = nasty[i / n % n]; u[2] = nasty[i / n / n]; }
        else for (j = 0; j < 3; ++j) {
            lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
            u[j] = (uint32_t)(lcg_state >> 32);
            if (i % 4) u[j] = (u[j] & 0x807FFFFFu) | ((110 + (u[j] >> 23 & 31)) << 23);         /* comparable sizes */
            if (i % 4 == 2) u[j] &= 0xFFFFF000u;                                                /* few bits: ties */
            if (i % 4 == 3 && j == 2) u[j] = (u[j] & 0x807FFFFFu) | (uint32_t)(i % 60) << 23;            /* a tiny addend */
            if (i % 16 == 4) u[j] = (u[j] & 0x807FFFFFu) | ((u[j] >> 24 & 127) << 23);           /* small: denormal results */
        }
        memcpy(&a, &u[0], 4); memcpy(&b, &u[1], 4); memcpy(&c, &u[2], 4);
        x = drl__fmaf(a, b, c);
        y = fmaf(a, b, c);
#ifdef __EMSCRIPTEN__       /* its C library rounds some results twice, where floats are spaced as denormal ones */
        if (fabsf(x) < 2.3509887e-38f || fabsf(y) < 2.3509887e-38f) continue;
#endif
        ++total;
        if (memcmp(&x, &y, sizeof x) != 0 && (x == x || y == y)) {
            if (!wrong++) printf("fma(%a, %a, %a) is %a, not %a\n", (double)a, (double)b, (double)c, (double)x, (double)y);
        }
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

/* --- all of it on one context ---------------------------------------------------------------------------------------------------------- */
static const char *only_part = NULL;        /* conv, ops, attention or norm; NULL: all */
static int part(const char *name) { return !only_part || !strcmp(only_part, name); }

static void run_all(drl_ctx *ctx)
{
    static const int convs[][6] = {     /* n h w c k side */
        { 1, 1, 1, 1, 1, 3 }, { 2, 1, 1, 2, 7, 3 }, { 1, 2, 3, 1, 15, 3 }, { 1, 3, 2, 3, 16, 3 }, { 1, 5, 5, 4, 17, 3 }, { 2, 4, 7, 5, 31, 3 }, { 1, 7, 3, 6, 33, 3 },
        { 3, 4, 4, 7, 13, 3 }, { 1, 6, 6, 16, 64, 3 }, { 1, 9, 5, 17, 65, 3 }, { 2, 8, 8, 31, 5, 3 }, { 1, 8, 8, 32, 1, 3 }, { 1, 5, 5, 40, 3, 3 }, { 1, 5, 1, 8, 48, 3 },
        { 1, 3, 130, 5, 9, 3 }, { 1, 2, 200, 8, 10, 3 }, { 1, 4, 4, 200, 70, 3 }, { 7, 2, 2, 9, 11, 3 }, { 1, 3, 3, 4, 4, 3 }, { 1, 13, 11, 3, 4, 3 },
        { 1, 32, 32, 3, 128, 3 }, { 1, 8, 8, 128, 128, 3 }, { 1, 16, 16, 32, 64, 3 }, { 3, 4, 4, 64, 64, 3 }, { 2, 32, 32, 1, 32, 3 },
        { 1, 1, 1, 1, 1, 1 }, { 2, 1, 1, 7, 9, 1 }, { 5, 1, 1, 128, 256, 1 }, { 1, 6, 7, 3, 20, 1 }, { 1, 8, 8, 33, 18, 1 }, { 2, 16, 16, 32, 96, 1 }, { 130, 1, 1, 6, 6, 1 }, { 1, 1, 300, 5, 2, 1 },
        { 1, 14, 10, 8, 49, 3 }, { 1, 2, 2, 300, 4, 3 }, { 1, 2, 2, 600, 4, 3 }, { 1, 1, 2, 4801, 4, 1 }             /* the last three: more weights than DRL__MAX_WEIGHTS, also in narrow blocks */
    };
    static const int counts[] = { 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 1031 };
    static const int smalls[][4] = { { 1, 1, 1, 1 }, { 2, 1, 3, 2 }, { 1, 2, 2, 3 }, { 2, 3, 1, 7 }, { 1, 2, 2, 8 }, { 3, 2, 2, 15 }, { 1, 3, 3, 16 }, { 2, 2, 3, 17 }, { 1, 2, 2, 31 }, { 2, 4, 4, 64 },
        { 2, 3, 3, 65 }, { 2, 2, 2, 127 }, { 3, 8, 8, 128 }, { 1, 16, 16, 1 } };
    static const int norms[][5] = { { 1, 1, 1, 1, 1 }, { 2, 1, 1, 6, 2 }, { 1, 3, 2, 7, 7 }, { 3, 2, 2, 15, 5 }, { 2, 3, 3, 16, 1 }, { 1, 4, 3, 17, 1 }, { 2, 2, 5, 31, 31 }, { 2, 4, 4, 66, 33 },
        { 1, 8, 8, 127, 127 }, { 3, 16, 16, 64, 32 }, { 5, 8, 8, 128, 32 } };
    static const int cats[][5] = { { 1, 1, 1, 1, 1 }, { 2, 3, 2, 3, 17 }, { 1, 4, 4, 16, 5 }, { 3, 8, 8, 64, 128 } };
    static const int attentions[][4] = { { 1, 1, 1, 1 }, { 2, 1, 3, 2 }, { 1, 3, 5, 7 }, { 3, 4, 4, 16 }, { 1, 1, 17, 5 }, { 2, 3, 11, 17 }, { 1, 5, 13, 65 }, { 2, 8, 8, 64 }, { 1, 16, 16, 32 } };
    size_t i;
    int act;
    if (part("conv")) for (i = 0; i < sizeof convs / sizeof convs[0]; ++i) {
        const int *v = convs[i];
        if (only_part && (double)v[0] * v[1] * v[2] * v[3] * v[4] * v[5] * v[5] > 5e5) continue;
        test_conv(ctx, v[0], v[1], v[2], v[3], v[4], v[5], 0);
        if (v[5] == 3) test_conv(ctx, v[0], v[1], v[2], v[3], v[4], 3, 1);
    }
    if (part("ops")) {
        for (i = 0; i < sizeof counts / sizeof counts[0]; ++i) for (act = DRL_ACT_NONE; act <= DRL_ACT_SILU; ++act) test_act(ctx, (drl_act)act, counts[i]);
        for (i = 0; i < sizeof counts / sizeof counts[0]; ++i) test_updates(ctx, counts[i]);
        test_updates(ctx, 70001);
        for (i = 0; i < sizeof smalls / sizeof smalls[0]; ++i) test_small(ctx, smalls[i][0], smalls[i][1], smalls[i][2], smalls[i][3]);
        test_maxpool_special(ctx);
    test_special(ctx);
        test_embedding(ctx);
        test_spectral(ctx, 1, 1);
        test_spectral(ctx, 7, 13);
        test_spectral(ctx, 64, 576);
        test_spectral(ctx, 130, 65);
    }
    if (part("attention")) {
        for (i = 0; i < sizeof attentions / sizeof attentions[0]; ++i) test_attention(ctx, attentions[i][0], attentions[i][1], attentions[i][2], attentions[i][3], i % 2 ? 1.0f : 4.0f);
        test_attention_far(ctx);
    }
    if (part("ops")) {
        for (i = 0; i < sizeof cats / sizeof cats[0]; ++i) test_concat(ctx, cats[i][0], cats[i][1], cats[i][2], cats[i][3], cats[i][4]);
        for (i = 0; i < sizeof counts / sizeof counts[0]; ++i) test_dropout(ctx, i % 2 ? 3 : 1, counts[i], 0.1f);
        test_dropout(ctx, 2, 40001, 0.5f);
        test_dropout(ctx, 3, 4001, 0.5f);                       /* the second of two jobs begins within an image, and within a byte of its numbers */
        test_dropout(ctx, 2, 128, 0);
        test_dropout(ctx, 2, 128, 0.99999f);
    }
    if (part("norm")) for (i = 0; i < sizeof norms / sizeof norms[0]; ++i) test_norm(ctx, norms[i][0], norms[i][1], norms[i][2], norms[i][3], norms[i][4], i % 3 == 2 ? 100.0f : 0.25f);
}

/* A job system that runs everything on the caller's thread, last job first. What two jobs of a call write, threads would race for: such floats of
 * the pool are counted, and there should be none. */
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
    for (i = 0, at = 0; i < pool_used; at += pool[i++].n) memcpy(before + at, pool[i].p, pool[i].n * sizeof *before);
    memset(written, 0, room);
    while (count-- > 0) {
        job(arg, count);
        for (i = 0, at = 0; i < pool_used; at += pool[i++].n) {
            if (!memcmp(before + at, pool[i].p, pool[i].n * sizeof *before)) continue;
            for (k = 0; k < pool[i].n; ++k) if (memcmp(&before[at + k], &pool[i].p[k], sizeof *before)) {
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

/* Scratch that was planned for a batch is enough for every smaller one, whose chunks of tiles can be longer. */
static void test_winograd_scratch(void)
{
    static const int sizes[][3] = { { 32, 32, 32 }, { 8, 64, 64 }, { 16, 64, 96 }, { 9, 17, 33 }, { 4, 64, 64 }, { 8, 256, 256 }, { 5, 8, 8 } };     /* side, c, k */
    drl_ctx *ctx = NULL;
    size_t i;
    int n, jobs, short_of = 0;
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) return;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) for (jobs = 1; jobs < 8; ++jobs) {
        drl_conv2d_desc d;
        size_t planned;
        memset(&d, 0, sizeof d);
        d.in_channels = sizes[i][1];
        d.out_channels = sizes[i][2];
        d.winograd = 1;
        planned = drl__conv_work(ctx, &d, 64, sizes[i][0], sizes[i][0], jobs, 0);
        for (n = 1; n <= 64; ++n) {
            int chunk = drl__winograd_chunk(ctx, &d, drl__winograd_tiles(n, sizes[i][0], sizes[i][0]), jobs);
            short_of += chunk > DRL__CHUNK || drl__zeros_floats(&d) + (size_t)jobs * drl__winograd_floats(ctx, &d, chunk) > planned;
        }
    }
    CHECK(!short_of, "%d smaller batches need more scratch than was planned", short_of);
    drl_ctx_destroy(ctx);
}

/* Sums over an image of 64x64 positive numbers stay near a rounding of the result: below 3e-7 in the mean over 64 columns, where one chain
 * down all rows has 8e-7. */
static void test_long_sum(void)
{
    drl_ctx *ctx = NULL;
    const size_t rows = 64 * 64, c = 64;
    drl_tensor x, y;
    drl__op op = op_of(&drl__op_spatial_sum);
    drl__op_call call;
    double error = 0;
    size_t i, k;
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) { CHECK(0, "no context"); return; }
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
    CHECK(x.data == data + 1 && x.n == 5 && x.h == 2 && x.w == 3 && x.c == 4, "drl_tensor_of: %d x %d x %d x %d", x.n, x.h, x.w, x.c);
    x = drl_tensor_of(data, 1, 2, 2, 4);
    if (make(DRL_ISA_AUTO, 1, &ctx) != DRL_OK) return;
    memset(&d, 0, sizeof d);
    d.in_channels = 3;
    d.out_channels = 5;
    CHECK(drl_conv2d_forward(ctx, &d, &x, data, NULL, &y, data) == DRL_E_SHAPE && strstr(drl_ctx_message(ctx), "2x2x4"), "%s", drl_ctx_message(ctx));
    drl_ctx_clear(ctx);
    d.in_channels = 4;
    y.h = x.h = y.w = x.w = 1;              /* the sizes are refused before any element is read */
    y.n = x.n = INT32_MAX;
#define REFUSED(status, sentence) \
    CHECK(drl_conv2d_forward(ctx, &d, &x, data, NULL, &y, data) == (status) && \
          strstr(drl_ctx_message(ctx), sentence), "%s", drl_ctx_message(ctx)); \
    drl_ctx_clear(ctx)
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
    CHECK(drl_conv2d_work_count(ctx, &d, 1, side, 1) && !drl_conv2d_work_count(ctx, &d, 1, side + 1, 1), "height");
    CHECK(drl_conv2d_work_count(ctx, &d, 1, 1, side) && !drl_conv2d_work_count(ctx, &d, 1, 1, side + 1), "width");
    CHECK(!drl_conv2d_work_count(ctx, &d, images + 1, 1, 1), "images");
    if (sizeof(size_t) > 4) {
        CHECK(drl_conv2d_work_count(ctx, &d, images, 1, 1) > 0, "images, the most");
        for (d.in_channels = side; d.in_channels <= side + 1; ++d.in_channels) CHECK(!!drl_conv2d_packed_count(ctx, &d, 0) == (d.in_channels == side), "%d channels in", d.in_channels);
        d.in_channels = 1;
        for (d.out_channels = side; d.out_channels <= side + 1; ++d.out_channels) CHECK(!!drl_conv2d_packed_count(ctx, &d, 0) == (d.out_channels == side), "%d channels out", d.out_channels);
    }
    drl_ctx_destroy(ctx);
}

/* test_ops [SET [PART]]: one instruction set against double and against itself with more threads; without it, every set, and against portable C.
 * PART is conv (small ones), ops, attention or norm. */
int main(int argc, char **argv)
{
    static const int threads[] = { 1, 2, 3, 7 };
    static const drl_isa sets[] = { DRL_ISA_PORTABLE, DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_SSE2, DRL_ISA_WASM };    /* unfused sets are compared with themselves only */
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
    for (i = 0; i < (int)DRL__COUNT(sets); ++i) for (t = 0; t < (sets[i] == DRL_ISA_PORTABLE ? 2 : 4); ++t) {
        drl_ctx *ctx = NULL;
        if (argc > 1 && strcmp(argv[1], drl_isa_name(sets[i]))) continue;
        if (make(sets[i], threads[t], &ctx) != DRL_OK) continue;
        checking = t == 0;
        recording = checking && (sets[i] == DRL_ISA_PORTABLE || UNFUSED(sets[i]) || argc > 1);
        if (recording) recorded_n = 0;
        recorded_at = 0;
        jobs_most = 0;
        lcg_state = 1;
        run_all(ctx);
        CHECK(ctx->kernels->peak(1000) == 2000.0 * ctx->kernels->rows * ctx->kernels->block, "%s: operations of the peak loop", set_name);
        if (!recording) CHECK(recorded_at == recorded_n, "recorded %d, compared %d", (int)recorded_n, (int)recorded_at);
        CHECK(threads[t] == 1 || only_part || jobs_most == threads[t], "at most %d jobs of %d", jobs_most, threads[t]);
        printf("test_ops: %s", set_name);
        if (recording) printf(", bits %08x", (unsigned)hash_of(recorded, recorded_n));
        printf("\n");
        drl_ctx_destroy(ctx);
    }
    free(recorded);
    return check_report("test_ops");
}
