/* test_rng.c - known answers of Philox, the distribution of the draws, positions, and the same bits on every
 * fused set. The distributions are compared with their known moments, within five standard deviations of the
 * estimate, and by Kolmogorov and Smirnov: the largest distance between the two distribution functions,
 * times sqrt(N), is above 1.95 in one case of a thousand. */
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

/* The vectors that Random123 publishes for philox4x32-10: counter words 0..3, key words 0..1, results.
 * Positions are four times the number of the block, so the second vector has none. */
static void test_known_answers(void)
{
    static const struct { uint32_t counter[4], key[2], result[4]; } known[3] = {
        { { 0, 0, 0, 0 },
          { 0, 0 },
          { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u } },
        { { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu },
          { 0xffffffffu, 0xffffffffu },
          { 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu } },
        { { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u },
          { 0xa4093822u, 0x299f31d0u },
          { 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u } }
    };
    int i, j;
    for (i = 0; i < 3; ++i) {
        const uint32_t *counter = known[i].counter, *key = known[i].key, *result = known[i].result;
        uint64_t block = counter[0] | (uint64_t)counter[1] << 32;
        uint64_t stream = counter[2] | (uint64_t)counter[3] << 32;
        uint64_t seed = key[0] | (uint64_t)key[1] << 32;
        uint32_t c[4];
        memcpy(c, counter, sizeof c);
        drl__philox(c, key[0], key[1]);
        for (j = 0; j < 4; ++j) CHECK(c[j] == result[j], "vector %d word %d is %08x", i, j, (unsigned)c[j]);
        if (block < (uint64_t)1 << 62) {
            drl_rng r = rng_at(seed, stream, block * 4);
            for (j = 0; j < 4; ++j) CHECK(drl__rng_u32(&r) == result[j], "vector %d draw %d", i, j);
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

/* The largest distance to the distribution function cdf, times sqrt(n); sorts x. */
static double distance(float *x, int n, double (*cdf)(double))
{
    double worst = 0;
    int i;
    qsort(x, (size_t)n, sizeof *x, by_value);
    for (i = 0; i < n; ++i) {
        double d = fabs(cdf((double)x[i]) - (i + 0.5) / n);
        if (d > worst) worst = d;
    }
    return worst * sqrt((double)n);
}
static double itself(double x) { return x; }

static void test_uniform(void)
{
    const int N = 1 << 18;
    drl_rng r = rng_at(7, 3, 1);
    double sum = 0, squares = 0, d;
    float *x = (float *)malloc((size_t)N * sizeof(float));
    int i;
    for (i = 0; i < N; ++i) {
        x[i] = drl_rng_uniform(&r);
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    d = distance(x, N, itself);
    CHECK(x[0] >= 0 && x[N - 1] < 1, "range %g %g", (double)x[0], (double)x[N - 1]);
    CHECK(d < 1.95, "Kolmogorov-Smirnov %g", d);
    CHECK(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N), "mean %g", sum / N);
    CHECK(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N), "second moment %g", squares / N);
    free(x);
}

/* Each of ten numbers 10,000 times; the standard deviation of that is 95. */
static void test_below(void)
{
    drl_rng r = rng_at(7, 3, (1 << 18) + 1);
    int i, outside = 0, below[10] = { 0 };
    for (i = 0; i < 100000; ++i) {
        int k = drl_rng_below(&r, 10);
        if (k >= 0 && k <= 9) ++below[k];
        else ++outside;
    }
    CHECK(outside == 0, "%d numbers are not below 10", outside);
    for (i = 0; i < 10; ++i) CHECK(abs(below[i] - 10000) < 5 * 95, "below: %d times %d", below[i], i);
    for (i = 0; i < 100; ++i) CHECK(drl_rng_below(&r, 1) == 0, "below 1");
}

/* The formula of Box and Muller in double, from the uniform draws at this position. */
static double normal_reference(uint64_t seed, uint64_t stream, uint64_t position)
{
    drl_rng r = rng_at(seed, stream, position & ~(uint64_t)1);
    double u1 = ((drl__rng_u32(&r) >> 8) + 1) / 16777216.0;
    double u2 = (drl__rng_u32(&r) >> 8) / 16777216.0;
    double radius = sqrt(-2 * log(u1)), angle = 6.28318530717958647692 * u2;
    return position & 1 ? radius * sin(angle) : radius * cos(angle);
}

/* Moments, neighbours and tails of n draws. */
static void check_moments(const float *x, int n)
{
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pair = 0;
    int i, over2 = 0, over4 = 0;
    for (i = 0; i < n; ++i) {
        double v = (double)x[i];
        m1 += v / n;
        m2 += v * v / n;
        m3 += v * v * v / n;
        m4 += v * v * v * v / n;
        if (i) pair += v * (double)x[i - 1] / n;
        over2 += fabs(v) > 2;
        over4 += fabs(v) > 4;
    }
    CHECK(fabs(m1) < 5 / sqrt((double)n), "mean %g", m1);
    CHECK(fabs(m2 - 1) < 5 * sqrt(2.0 / n), "variance %g", m2);
    CHECK(fabs(m3) < 5 * sqrt(15.0 / n), "third moment %g", m3);
    CHECK(fabs(m4 - 3) < 5 * sqrt(96.0 / n), "fourth moment %g", m4);
    CHECK(fabs(pair) < 5 / sqrt((double)n), "neighbours %g", pair);
    CHECK(fabs(over2 - n * 0.0455003) < 5 * sqrt(n * 0.0455), "%d above 2 sigma", over2);
    CHECK(fabs(over4 - n * 6.3342e-5) < 6 * sqrt(n * 6.33e-5), "%d above 4 sigma", over4);
}

/* Any start and any length give the draws x that lie there, and nothing is written outside. */
static void check_places(drl_ctx *ctx, uint64_t seed, uint64_t stream, const float *x)
{
    float guard[140];
    size_t at, n;
    int i;
    for (at = 0; at < 70; ++at) for (n = 0; n < 133; n += 1 + n / 5) {
        drl_rng r = rng_at(seed, stream, at);
        for (i = 0; i < 140; ++i) guard[i] = -77.0f;
        drl_rng_normals(ctx, &r, guard + 3, n);
        CHECK(!memcmp(guard + 3, x + at, n * sizeof(float)) && r.position == at + n,
              "start %d length %d", (int)at, (int)n);
        CHECK(guard[2] == -77.0f && guard[3 + n] == -77.0f, "outside of start %d length %d", (int)at, (int)n);
    }
}

/* The carry of the block number into its upper 32 bits, in the middle of a group of 16, in a stream of more
 * than 32 bits. */
static void check_carry(drl_ctx *ctx)
{
    const uint64_t stream = ((uint64_t)9 << 32) + 6, start = ((uint64_t)1 << 34) - 30;
    drl_rng r = rng_at(5, stream, start);
    float part[100];
    int i;
    drl_rng_normals(ctx, &r, part, 100);
    for (i = 0; i < 100; ++i) {
        double want = normal_reference(5, stream, start + (uint64_t)i);
        CHECK(fabs((double)part[i] - want) < 1.5e-6, "carry, draw %d", i);
    }
}

/* Draws are within 1.5e-6 of the formula in double: they reach 5.8, where floats are 5e-7 apart. */
static void test_normals(drl_ctx *ctx)
{
    const int N = 1 << 18;
    float *x = (float *)malloc((size_t)N * sizeof(float));
    drl_rng r = rng_at(1234567890123456789u, 987654321, 0);
    double error = 0, d;
    int i;
    drl_rng_normals(ctx, &r, x, (size_t)N);
    CHECK(r.position == (uint64_t)N, "position");
    for (i = 0; i < 20000; ++i) {
        double want = normal_reference(r.seed, r.stream, (uint64_t)i);
        error = fmax(error, fabs((double)x[i] - want));
    }
    CHECK(error < 1.5e-6, "largest difference from double %g", error);
    check_moments(x, N);
    check_places(ctx, r.seed, r.stream, x);
    check_carry(ctx);
    d = distance(x, N, phi);
    CHECK(d < 1.95, "Kolmogorov-Smirnov %g", d);
    free(x);
}

/* Fused sets give the bits of portable C, also where the position passes 2^32. */
static void test_bits(drl_ctx *ctx, drl_ctx *portable)
{
    enum { N = 5000 };
    static float a[N], b[N];
    drl_rng r = rng_at(42, 0xFFFFFFFFFFFFFFFFu, 0xFFFFFFF5u), q = r;
    drl_rng_normals(portable, &q, a, N);
    drl_rng_normals(ctx, &r, b, N);
    CHECK(!memcmp(a, b, sizeof a), "%s differs from portable", drl_isa_name(drl_ctx_isa(ctx)));
}

int main(int argc, char **argv)
{
    drl_ctx *portable;
    int isa;
    if (check_words(argc, argv)) return 2;
    portable = context_of(DRL_ISA_PORTABLE);
    PART(test_known_answers());
    PART(test_uniform());
    PART(test_below());
    for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa) {
        drl_ctx *ctx = context_of((drl_isa)isa);
        if (!ctx) continue;
        printf("test_rng: %s\n", drl_isa_name((drl_isa)isa));
        PART(test_normals(ctx));
        if (!UNFUSED(isa)) PART(test_bits(ctx, portable));
        drl_ctx_destroy(ctx);
    }
    drl_ctx_destroy(portable);
    return check_report("test_rng");
}
