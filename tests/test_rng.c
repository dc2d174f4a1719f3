/* test_rng.c - known answers of Philox, the distribution of the draws, positions, and the same bits on every instruction set. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

static drl_ctx *context_of(drl_isa isa)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.isa = isa;
    return drl_ctx_create(&d, &ctx) == DRL_OK ? ctx : NULL;
}

static drl_rng rng_at(uint64_t seed, uint64_t stream, uint64_t position)
{
    drl_rng r;
    r.seed = seed;
    r.stream = stream;
    r.position = position;
    return r;
}

static void test_known_answers(void)
{
    /* counter words 0..3, key words 0..1, results: the vectors that Random123 publishes for philox4x32-10 */
    static const uint32_t kat[3][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u },
        { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu },
        { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u }
    };
    int i, j;
    for (i = 0; i < 3; ++i) {
        uint32_t c[4];
        uint64_t block = kat[i][0] | (uint64_t)kat[i][1] << 32, stream = kat[i][2] | (uint64_t)kat[i][3] << 32, seed = kat[i][4] | (uint64_t)kat[i][5] << 32;
        for (j = 0; j < 4; ++j) c[j] = kat[i][j];
        drl__philox(c, kat[i][4], kat[i][5]);
        for (j = 0; j < 4; ++j) CHECK(c[j] == kat[i][6 + j], "vector %d word %d is %08x", i, j, (unsigned)c[j]);
        if (block < (uint64_t)1 << 62) {                /* positions are four times the block number */
            drl_rng r = rng_at(seed, stream, block * 4);
            for (j = 0; j < 4; ++j) CHECK(drl__rng_u32(&r) == kat[i][6 + j], "vector %d draw %d", i, j);
            CHECK(r.position == block * 4 + 4, "position");
        }
    }
}

static double phi(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void test_uniform(void)
{
    const int N = 1 << 18;
    drl_rng r = rng_at(7, 3, 1);
    double sum = 0, squares = 0, worst = 0;
    float *x = (float *)malloc((size_t)N * sizeof(float));
    int i, below[10] = { 0 };
    for (i = 0; i < N; ++i) {
        x[i] = drl_rng_uniform(&r);
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    qsort(x, (size_t)N, sizeof *x, by_value);
    CHECK(x[0] >= 0 && x[N - 1] < 1, "range %g %g", (double)x[0], (double)x[N - 1]);
    for (i = 0; i < N; ++i) {
        double d = fabs((double)x[i] - (i + 0.5) / N);
        if (d > worst) worst = d;
    }
    CHECK(worst * sqrt((double)N) < 1.95, "Kolmogorov-Smirnov %g", worst * sqrt((double)N));
    CHECK(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N), "mean %g", sum / N);
    CHECK(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N), "second moment %g", squares / N);
    for (i = 0; i < 100000; ++i) {
        int k = drl_rng_below(&r, 10);
        if (k < 0 || k > 9) { CHECK(0, "below %d", k); break; }
        ++below[k];
    }
    for (i = 0; i < 10; ++i) CHECK(abs(below[i] - 10000) < 5 * 95, "below: %d times %d", below[i], i);
    for (i = 0; i < 100; ++i) CHECK(drl_rng_below(&r, 1) == 0, "below 1");
    free(x);
}

/* The same formula in double. */
static double normal_reference(uint64_t seed, uint64_t stream, uint64_t position)
{
    drl_rng r = rng_at(seed, stream, position & ~(uint64_t)1);
    double u1 = ((drl__rng_u32(&r) >> 8) + 1) / 16777216.0, u2 = (drl__rng_u32(&r) >> 8) / 16777216.0;
    double radius = sqrt(-2 * log(u1)), angle = 6.28318530717958647692 * u2;
    return position & 1 ? radius * sin(angle) : radius * cos(angle);
}

static void test_normals(drl_ctx *ctx)
{
    const int N = 1 << 18;
    const uint64_t stream = ((uint64_t)9 << 32) + 6;
    float *x = (float *)malloc((size_t)N * sizeof(float)), part[200], guard[140];
    drl_rng r = rng_at(1234567890123456789u, 987654321, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pair = 0, worst = 0, error = 0;
    size_t n, at;
    int i, over2 = 0, over4 = 0;
    drl_rng_normals(ctx, &r, x, (size_t)N);
    CHECK(r.position == (uint64_t)N, "position");
    for (i = 0; i < N; ++i) {
        double v = (double)x[i];
        m1 += v; m2 += v * v; m3 += v * v * v; m4 += v * v * v * v;
        if (i) pair += v * (double)x[i - 1];
        over2 += fabs(v) > 2;
        over4 += fabs(v) > 4;
        if (i < 20000) {
            double e = fabs(v - normal_reference(r.seed, r.stream, (uint64_t)i));
            if (e > error) error = e;
        }
    }
    CHECK(error < 1.5e-6, "largest difference from double %g", error);
    CHECK(fabs(m1 / N) < 5 / sqrt((double)N), "mean %g", m1 / N);
    CHECK(fabs(m2 / N - 1) < 5 * sqrt(2.0 / N), "variance %g", m2 / N);
    CHECK(fabs(m3 / N) < 5 * sqrt(15.0 / N), "third moment %g", m3 / N);
    CHECK(fabs(m4 / N - 3) < 5 * sqrt(96.0 / N), "fourth moment %g", m4 / N);
    CHECK(fabs(pair / N) < 5 / sqrt((double)N), "neighbours %g", pair / N);
    CHECK(fabs(over2 - N * 0.0455003) < 5 * sqrt(N * 0.0455), "%d above 2 sigma", over2);
    CHECK(fabs(over4 - N * 6.3342e-5) < 6 * sqrt(N * 6.33e-5), "%d above 4 sigma", over4);
    /* any start and any length give the same draws, and nothing is written outside */
    for (at = 0; at < 70; ++at) for (n = 0; n < 133; n += 1 + n / 5) {
        drl_rng q = rng_at(r.seed, r.stream, at);
        for (i = 0; i < 140; ++i) guard[i] = -77.0f;
        drl_rng_normals(ctx, &q, guard + 3, n);
        CHECK(!memcmp(guard + 3, x + at, n * sizeof(float)) && q.position == at + n, "start %d length %d", (int)at, (int)n);
        CHECK(guard[2] == -77.0f && guard[3 + n] == -77.0f, "outside of start %d length %d", (int)at, (int)n);
    }
    /* the 32-bit carry of the block number, in the middle of a group of 16; both halves of the stream */
    r = rng_at(5, stream, ((uint64_t)1 << 34) - 30);
    drl_rng_normals(ctx, &r, part, 100);
    for (i = 0; i < 100; ++i)
        CHECK(fabs((double)part[i] - normal_reference(5, stream, ((uint64_t)1 << 34) - 30 + (uint64_t)i)) < 1.5e-6, "carry, draw %d", i);
    qsort(x, (size_t)N, sizeof *x, by_value);
    for (i = 0; i < N; ++i) {
        double d = fabs(phi((double)x[i]) - (i + 0.5) / N);
        if (d > worst) worst = d;
    }
    CHECK(worst * sqrt((double)N) < 1.95, "Kolmogorov-Smirnov %g", worst * sqrt((double)N));
    free(x);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    drl_ctx *portable = context_of(DRL_ISA_PORTABLE);
    float *a = (float *)malloc(5000 * sizeof(float)), *b = (float *)malloc(5000 * sizeof(float));
    int isa;
    PART(test_known_answers());
    PART(test_uniform());
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa) {
        drl_ctx *ctx = context_of((drl_isa)isa);
        drl_rng r = rng_at(42, 0xFFFFFFFFFFFFFFFFu, 0xFFFFFFF5u), q = r;
        if (!ctx) continue;
        printf("test_rng: %s\n", drl_isa_name((drl_isa)isa));
        PART(test_normals(ctx));
        drl_rng_normals(portable, &q, a, 5000);
        drl_rng_normals(ctx, &r, b, 5000);
        if (!UNFUSED(isa)) CHECK(!memcmp(a, b, 5000 * sizeof(float)), "%s differs from portable", drl_isa_name((drl_isa)isa));
        drl_ctx_destroy(ctx);
    }
    drl_ctx_destroy(portable);
    free(a);
    free(b);
    return check_report("test_rng");
}
