/* test_not_finite.c - what is not a number, or infinite, is noticed everywhere. The numbers are made from
 * bits and looked at as bits, so that the program means the same under -ffast-math, where a compiler may take
 * for granted that there are none. make check-all builds it so. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

#define SIDE 4
#define PIXELS (SIDE * SIDE)

/* Numbers from bits that the compiler does not see. */
static float from_bits(uint32_t u)
{
    volatile uint32_t hidden = u;
    float x;
    u = hidden;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* A double of which the upper half is given, and the lower is 0. */
static double wide(uint32_t high)
{
    volatile uint64_t hidden = (uint64_t)high << 32;
    uint64_t u = hidden;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static int is_finite(float x) { return (to_bits(x) & 0x7F800000u) != 0x7F800000u; }
static int is_nan(float x) { return (to_bits(x) & 0x7FFFFFFFu) > 0x7F800000u; }

/* The call fails for a number that is not finite. */
#define NUMERIC(ctx, call, what)                                                                \
    do {                                                                                        \
        drl_status s_;                                                                          \
        drl_ctx_clear(ctx);                                                                     \
        s_ = (call);                                                                            \
        CHECK(s_ == DRL_E_NUMERIC && drl_ctx_status(ctx) == DRL_E_NUMERIC,                      \
              "%s: status %d, '%s'", what, (int)s_, drl_ctx_message(ctx));                      \
    } while (0)

/* The description is refused, and nothing is returned. */
#define REFUSES(call, result, what)                                                             \
    do {                                                                                        \
        drl_status s_;                                                                          \
        drl_ctx_clear(ctx);                                                                     \
        s_ = (call);                                                                            \
        CHECK(s_ == DRL_E_ARGUMENT && !(result), "%s: status %d, '%s'",                         \
              what, (int)s_, drl_ctx_message(ctx));                                             \
    } while (0)

/* Images of SIDE x SIDE pixels at two levels. */
static drl_model_desc tiny(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = SIDE;
    d.base = 4;
    d.resolutions = 1;
    d.levels = 2;
    d.steps = 2;
    d.batch = 2;
    d.trainable = 1;
    return d;
}

static drl_train_desc plan(void)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.batch = 2;
    return d;
}

/* A user's energy whose gradient has one bad value in the last image. */
static float bad_value;
static drl_status bad_energy(void *user, int n, const float *y, const int *level, const int *label,
                             float *value, float *gradient)
{
    int i;
    (void)user;
    (void)y;
    (void)level;
    (void)label;
    for (i = 0; value && i < n; ++i) value[i] = 0;
    for (i = 0; gradient && i < n * PIXELS; ++i) gradient[i] = 0;
    if (gradient) gradient[n * PIXELS - 1] = bad_value;
    return DRL_OK;
}

/* One bad pixel among images to train on, to start from, or that are known; one bad slope of an energy. */
static void test_models(drl_ctx *ctx, float bad, const char *what)
{
    drl_model_desc d = tiny();
    drl_train_desc td = plan();
    drl_sample_desc how;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_sampler *s = NULL;
    drl_energy e;
    float x0[2 * PIXELS], out[2 * PIXELS];
    uint8_t mask[2 * PIXELS];
    int i;
    memset(&how, 0, sizeof how);
    how.count = 2;
    for (i = 0; i < 2 * PIXELS; ++i) {
        x0[i] = i % 3 ? 0.5f : -0.5f;
        mask[i] = (uint8_t)(i % 2);
    }
    CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
    CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
    if (!m || !tr) return;
    x0[PIXELS + 3] = bad;
    NUMERIC(ctx, drl_trainer_step(tr, x0, NULL, NULL), what);
    CHECK(drl_trainer_steps(tr) == 0, "%s: the step counts", what);
    how.start = x0;
    NUMERIC(ctx, drl_sampler_create(m, &how, &s), what);
    how.start = NULL;
    how.known = x0;
    how.mask = mask;
    NUMERIC(ctx, drl_sampler_create(m, &how, &s), what);
    CHECK(s == NULL, "%s: a sampler came of it", what);
    how.known = NULL;
    how.mask = NULL;
    drl_ctx_clear(ctx);
    CHECK_OK(ctx, drl_sample(m, &how, out));        /* and a good one goes on */
    for (i = 0; i < 2 * PIXELS && is_finite(out[i]); ++i) {}
    CHECK(i == 2 * PIXELS, "pixel %d is not finite", i);
    memset(&e, 0, sizeof e);
    e.eval = bad_energy;
    e.size = PIXELS;
    e.batch = 2;
    bad_value = bad;
    how.energy = &e;
    CHECK_OK(ctx, drl_sampler_create(m, &how, &s));
    NUMERIC(ctx, drl_sampler_run(s, 100), what);
    drl_sampler_destroy(s);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
}

/* One bad value in either set. The area under a curve compares numbers, and infinite ones may be compared. */
static void test_metrics(drl_ctx *ctx, float bad, const char *what)
{
    float a[8], b[8], p[4] = { 0.5f, 0.5f, 0.25f, 0.75f };
    double work[64], result = -7;
    int i;
    for (i = 0; i < 8; ++i) {
        a[i] = (float)(i * i % 5);
        b[i] = (float)(i * 3 % 7);
    }
    drl_ctx_clear(ctx);
    CHECK_OK(ctx, drl_frechet(ctx, a, 4, b, 4, 2, work, &result));
    result = -7;
    a[5] = bad;
    p[2] = bad;
    NUMERIC(ctx, drl_frechet(ctx, a, 4, b, 4, 2, work, &result), what);
    NUMERIC(ctx, drl_frechet(ctx, b, 4, a, 4, 2, work, &result), what);
    NUMERIC(ctx, drl_inception_score(ctx, p, 2, 2, &result), what);
    if (is_nan(bad)) NUMERIC(ctx, drl_auroc(ctx, a, 8, b, 8, &result), what);
    if (is_nan(bad)) NUMERIC(ctx, drl_auroc(ctx, b, 8, a, 8, &result), what);
    CHECK(result == -7, "%s: a result was written", what);
}

/* One field of a trainer's description is NaN. */
#define REFUSES_TRAINER(field)                                                                  \
    do {                                                                                        \
        td = plan();                                                                            \
        td.field = nan;                                                                         \
        REFUSES(drl_trainer_create(m, &td, &tr), tr, #field);                                   \
        REFUSES(drl_trainer_size(m, &td, &bytes), bytes, #field);                               \
    } while (0)

/* Descriptions with numbers that are none are refused. */
static void test_descriptions(drl_ctx *ctx)
{
    drl_model_desc d = tiny();
    drl_train_desc td = plan();
    drl_sample_desc how;
    drl_sampler *s = NULL;
    drl_model *m = NULL, *none = NULL;
    drl_trainer *tr = NULL;
    float nan = from_bits(0x7FC00000u);
    size_t bytes = 0;
    d.b2 = wide(0x7FF80000u);
    REFUSES(drl_model_create(ctx, &d, 1, &none), none, "b2");
    d.b2 = 0;
    d.noise_scale = nan;
    REFUSES(drl_model_create(ctx, &d, 1, &none), none, "noise_scale");
    d.noise_scale = 0;
    drl_ctx_clear(ctx);
    CHECK_OK(ctx, drl_model_create(ctx, &d, 1, &m));
    if (!m) return;
    memset(&how, 0, sizeof how);
    how.noise_scale = nan;
    REFUSES(drl_sampler_create(m, &how, &s), s, "noise_scale of a sampler");
    how.noise_scale = 0;
    how.guidance = nan;
    REFUSES(drl_sampler_create(m, &how, &s), s, "guidance");
    how.guidance = 0;
    how.denoise = nan;
    REFUSES(drl_sampler_create(m, &how, &s), s, "denoise");
    REFUSES_TRAINER(learning_rate);
    REFUSES_TRAINER(beta1);
    REFUSES_TRAINER(beta2);
    REFUSES_TRAINER(ema);
    REFUSES_TRAINER(clip);
    REFUSES_TRAINER(data_noise);
    td = plan();
    drl_ctx_clear(ctx);
    CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
    CHECK(drl_trainer_set_rate(tr, wide(0x7FF80000u)) == DRL_E_ARGUMENT, "a rate that is not a number");
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
}

int main(int argc, char **argv)
{
    static const drl_isa sets[] = { DRL_ISA_PORTABLE, DRL_ISA_SSE2, DRL_ISA_FMA128, DRL_ISA_AVX2,
                                    DRL_ISA_AVX512, DRL_ISA_NEON, DRL_ISA_WASM };
    static const struct { uint32_t bits; const char *name; } bad[] = {
        { 0x7FC00000u, "quiet NaN" },
        { 0xFFC00001u, "negative NaN" },
        { 0x7F800000u, "+infinity" },
        { 0xFF800000u, "-infinity" }
    };
    size_t i, j;
    if (check_words(argc, argv)) return 2;
    for (i = 0; i < sizeof sets / sizeof sets[0]; ++i) {
        drl_ctx_desc d;
        drl_ctx *ctx = NULL;
        memset(&d, 0, sizeof d);
        d.isa = sets[i];
        if (drl_ctx_create(&d, &ctx) != DRL_OK) continue;
        for (j = 0; j < sizeof bad / sizeof bad[0]; ++j) {
            PART(test_models(ctx, from_bits(bad[j].bits), bad[j].name));
            PART(test_metrics(ctx, from_bits(bad[j].bits), bad[j].name));
        }
        PART(test_descriptions(ctx));
        printf("test_not_finite: %s\n", drl_isa_name(sets[i]));
        drl_ctx_destroy(ctx);
    }
    return check_report("test_not_finite");
}
