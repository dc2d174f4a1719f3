/* test_io.c - reading and writing files: good files, hostile files, and what happens when memory, reads and
 * writes fail. Run from the repository root; it makes files called test_io.* in build/, or in the folder that
 * CHECK_DIR names, so that two runs at one time do not meet, and removes them again. */
#include <float.h>
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "failing_files.h"

#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/sprites.h"
#ifdef _WIN32
#include <direct.h>
#define chdir  _chdir
#define getcwd _getcwd
#endif

static check_heap heap;
static drl_ctx *ctx;

/* Only the context is left in memory; its message is cleared for the next check. */
static void clean(const char *what)
{
    CHECK(heap.live == 1, "%s: %ld blocks are left", what, heap.live - 1);
    drl_ctx_clear(ctx);
}

/* The call fails with this status and a sentence that has `part` in it, and leaves nothing in memory. */
#define CHECK_FAILS(call, expected, part)                                                       \
    do {                                                                                        \
        drl_status fails_ = (call);                                                             \
        CHECK(fails_ == (expected), "%s, expected %s",                                          \
              drl_status_text(fails_), drl_status_text(expected));                              \
        CHECK(strstr(drl_ctx_message(ctx), part) != NULL, "\"%s\" should have \"%s\"",          \
              drl_ctx_message(ctx), part);                                                      \
        clean(part);                                                                            \
    } while (0)

/* The IDX reader, which programs reach through drl_dataset_parse. */
static drl_status idx_parse(const void *data, size_t size, drl_array *a)
{
    return drl__idx_open(ctx, "IDX", (const unsigned char *)data, size, a);
}

/* A copy that ends where its block ends, so that a sanitizer sees every read past it. */
static unsigned char *exact(const void *data, size_t n)
{
    unsigned char *p = (unsigned char *)malloc(n ? n : 1);
    if (!p) exit(2);
    if (n) memcpy(p, data, n);
    return p;
}

/* A safetensors file of this header and of data 1, 2, 3 ... */
static unsigned char *st_bytes(const char *header, size_t header_bytes, size_t data_bytes, size_t *size)
{
    unsigned char *p;
    size_t i;
    *size = 8 + header_bytes + data_bytes;
    p = (unsigned char *)malloc(*size);
    if (!p) exit(2);
    for (i = 0; i < 8; ++i) p[i] = (unsigned char)((uint64_t)header_bytes >> 8 * i & 255);
    memcpy(p + 8, header, header_bytes);
    for (i = 0; i < data_bytes; ++i) p[8 + header_bytes + i] = (unsigned char)(i + 1);
    return p;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* What was accepted keeps the promises of the format: sizes, names, and data that can be read. */
static void st_examine(const drl_safetensors *st, size_t data_size)
{
    size_t i, sum = 0, bad = 0, n = drl_safetensors_contents(st)->count;
    for (i = 0; i < n; ++i) {
        const drl_array *a = &drl_safetensors_contents(st)->arrays[i];
        const unsigned char *p = (const unsigned char *)a->data;
        volatile unsigned char touched = 0;
        sum += a->bytes;
        if (a->bytes != drl_array_count(a) * drl__dtype_bytes(a->dtype)) ++bad;
        if (drl_safetensors_find(st, a->name) != a) ++bad;
        if (a->bytes) touched = (unsigned char)(p[0] ^ p[a->bytes - 1]);
        (void)touched;
    }
    for (i = 0; i < drl_safetensors_contents(st)->meta_count; ++i) {
        const char *const *pair = drl_safetensors_contents(st)->meta + 2 * i;
        if (drl__safetensors_meta(st, pair[0]) != pair[1]) ++bad;
    }
    if (sum > data_size) ++bad;
    CHECK(bad == 0, "%d broken promises in an accepted file", (int)bad);
}

/* --- arrays */

/* The bytes FE FF FF ... as each type of integer, little-endian and big-endian. */
static void test_array_integers(void)
{
    static const unsigned char raw[8] = { 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
    static const struct {
        drl_dtype dtype;
        size_t bytes;
        float little, big;
    } ints[] = {
        { DRL_DTYPE_I8, 1, -2.0f, -2.0f },
        { DRL_DTYPE_U8, 1, 254.0f, 254.0f },
        { DRL_DTYPE_I16, 2, -2.0f, -257.0f },
        { DRL_DTYPE_U16, 2, 65534.0f, 65279.0f },
        { DRL_DTYPE_I32, 4, -2.0f, -16777217.0f },
        { DRL_DTYPE_U32, 4, 4294967294.0f, 4278190079.0f },
        { DRL_DTYPE_I64, 8, -2.0f, -72057594037927937.0f },
        { DRL_DTYPE_U64, 8, 18446744073709551614.0f, 18374686479671623679.0f },
        { DRL_DTYPE_BOOL, 1, 1.0f, 1.0f }
    };
    size_t one = 1, i;
    drl_array a;
    float out[1];
    int big = drl__host_is_big();
    for (i = 0; i < sizeof ints / sizeof ints[0]; ++i) {
        a = drl_array_of("a", ints[i].dtype, 1, &one, raw);
        CHECK(a.bytes == ints[i].bytes, "%s has %d bytes", drl__dtype_name(a.dtype), (int)a.bytes);
        a.swapped = big;
        CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
        CHECK(out[0] == ints[i].little, "%s little: %g", drl__dtype_name(a.dtype), (double)out[0]);
        a.swapped = !big;
        CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
        CHECK(out[0] == ints[i].big, "%s big: %g", drl__dtype_name(a.dtype), (double)out[0]);
    }
}

/* All 65,536 halves against their definition, sign * 2^(e - 15) * 1.f, and all bfloats, the upper halves of
 * floats. */
static void test_array_halves(void)
{
    size_t one = 1;
    drl_array a;
    float out[1];
    uint32_t h, bits, wrong = 0;
    for (h = 0; h < 65536; ++h) {
        uint16_t half = (uint16_t)h;
        int e = (int)(h >> 10 & 31), f = (int)(h & 1023);
        double v = e == 0 ? ldexp(f, -24) : ldexp(1024 + f, e - 25);
        if (h >> 15) v = -v;
        a = drl_array_of("h", DRL_DTYPE_F16, 1, &one, &half);
        drl_array_to_float(ctx, &a, out);
        memcpy(&bits, out, 4);
        if (e != 31) wrong += (double)out[0] != v;
        else wrong += (bits & 0x7F800000u) != 0x7F800000u ||        /* infinity or NaN, of the same sign */
                      (bits >> 31) != h >> 15 ||
                      ((bits & 0x7FFFFFu) != 0) != (f != 0);
    }
    CHECK(wrong == 0, "%u halves are wrong", (unsigned)wrong);
    for (h = 0, wrong = 0; h < 65536; ++h) {
        uint16_t half = (uint16_t)h;
        a = drl_array_of("b", DRL_DTYPE_BF16, 1, &one, &half);
        drl_array_to_float(ctx, &a, out);
        memcpy(&bits, out, 4);
        wrong += bits != h << 16;
    }
    CHECK(wrong == 0, "%u bfloats are wrong", (unsigned)wrong);
}

/* Floats keep their bits, doubles are rounded once, and neither needs to be aligned. In place are only
 * floats that are aligned and of the machine's byte order. */
static void test_array_floats(void)
{
    static const float values[3] = { 1.5f, -2.25f, 3e-40f };
    unsigned char unaligned[16];
    uint32_t signalling = 0x0100807Fu, bits;
    double d = -1.0 / 3.0;
    size_t three = 3;
    float out[3];
    drl_array a = drl_array_of("s", DRL_DTYPE_F32, 0, NULL, &signalling);
    a.swapped = 1;
    drl_array_to_float(ctx, &a, out);
    memcpy(&bits, out, 4);
    CHECK(bits == 0x7F800001u, "a signalling NaN with its bytes swapped becomes %x", (unsigned)bits);

    memcpy(unaligned + 3, &d, 8);
    a = drl_array_of("d", DRL_DTYPE_F64, 0, NULL, unaligned + 3);
    CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
    CHECK(out[0] == (float)d, "%g", (double)out[0]);

    memcpy(unaligned + 1, values, 12);
    a = drl_array_of("f", DRL_DTYPE_F32, 1, &three, unaligned + 1);
    CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
    CHECK(memcmp(out, values, 12) == 0, "floats at an odd address");
    if ((uintptr_t)(unaligned + 1) % sizeof(float))
        CHECK(drl_array_floats(&a) == NULL, "in place at an odd address");
    a.data = values;
    CHECK(drl_array_floats(&a) == values, "not in place");
    a.swapped = 1;
    CHECK(drl_array_floats(&a) == NULL, "in place with swapped bytes");
}

static void test_array_refusals(void)
{
    static const float values[1] = { 1.5f };
    size_t one = 1, shape[2];
    drl_array a;
    float out[1];
    shape[0] = SIZE_MAX / 2;
    shape[1] = 3;
    a = drl_array_of("x", DRL_DTYPE_U8, 2, shape, values);
    CHECK(drl_array_count(&a) == 0, "a count that does not fit");
    CHECK_FAILS(drl_array_to_float(ctx, &a, out), DRL_E_SHAPE, "does not fit size_t");
    a = drl_array_of("x", DRL_DTYPE_F32, 1, &one, values);
    CHECK_FAILS(drl_array_to_float(ctx, &a, NULL), DRL_E_ARGUMENT, "dst is NULL");
    CHECK_FAILS(drl_array_to_float(ctx, NULL, out), DRL_E_ARGUMENT, "array is NULL");
    CHECK(drl_array_to_float(NULL, &a, out) == DRL_E_ARGUMENT, "no context");
    a.bytes = 3;
    CHECK_FAILS(drl_array_to_float(ctx, &a, out), DRL_E_SHAPE, "3 bytes, its shape needs 4");
    a.bytes = 4;
    a.data = NULL;
    CHECK_FAILS(drl_array_to_float(ctx, &a, out), DRL_E_ARGUMENT, "no data");
    a = drl_array_of("x", DRL_DTYPE_F32, 9, shape, values);
    CHECK_FAILS(drl_array_to_float(ctx, &a, out), DRL_E_ARGUMENT, "rank is -1");
    a = drl_array_of("x", (drl_dtype)15, 1, &one, values);
    CHECK_FAILS(drl_array_to_float(ctx, &a, out), DRL_E_ARGUMENT, "15 is no dtype");
    CHECK(!strcmp(drl__dtype_name((drl_dtype)15), "?"), "name of dtype 15");
    CHECK(drl__dtype_bytes((drl_dtype)15) == 0, "bytes of dtype 15");
}

/* --- safetensors */

static const char st_good[] =
    "{\"__metadata__\":{\"k\":\"v\\n\\u00e9\",\"\":\"\"},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[4,12]},"
    "\"a.\\u00E4\\uD83D\\uDE00\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"I32\"},"
    "\"none\" : { \"dtype\" :\t\"U8\", \"shape\":[3,0], \"data_offsets\":[ 4 , 4 ]},\n"
    "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[12,14]}}  ";

/* A header of one tensor "a" {dtype, shape, data_offsets}, a header of two tensors of bytes, "a" and "b",
 * and one entry of a header, a tensor of bytes. */
#define ONE(dtype, shape, offsets) \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second) \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":" first "},\"b\":{\"dtype\":\"U8\",\"shape\":" second "}}"
#define BYTES(name, shape, offsets) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data;                /* bytes behind the header */
    const char *sentence;
} st_hostile[] = {
    { "", 0, "expected '{'" },
    { "[]", 0, "expected '{'" },
    { " {}", 0, "expected '{'" },
    { "{", 0, "expected a string" },
    { "{}x", 0, "only spaces" },
    { "{}\n", 0, "only spaces" },
    { "{}{}", 0, "only spaces" },
    { "{,}", 0, "expected a string" },
    { "{} ", 1, "1 bytes follow" },
    { "{a:1}", 0, "expected a string" },
    { "{'a':1}", 0, "expected a string" },
    { "{\"a\"}", 0, "expected ':'" },
    { "{\"a\":1}", 0, "expected '{'" },
    { "{\"a\":[]}", 0, "expected '{'" },
    { "{\"a\":null}", 0, "expected '{'" },
    { "{\"a\":{}}", 0, "expected a string" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},}", 1, "expected a string" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],}}", 1, "expected a string" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}", 1, "expected '}'" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,],\"data_offsets\":[0,1]}}", 1, "whole number" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[,1],\"data_offsets\":[0,1]}}", 1, "whole number" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1 1],\"data_offsets\":[0,1]}}", 1, "expected ']'" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[[1]],\"data_offsets\":[0,1]}}", 1, "whole number" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,1]}}", 1, "expected '['" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", 1, "whole number" },
    { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "has no dtype" },
    { "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "has no shape" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "has no data_offsets" },
    { "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
      "duplicate key" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"sh\\u0061pe\":[1],\"data_offsets\":[0,1]}}", 1,
      "duplicate key" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"data_offsets\":[0,1]}}", 1,
      "duplicate key" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":1}}", 1, "unknown key" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"data_offsets_and_more\":1}}", 1,
      "unknown key" },
    { ONE("F8_E4M3", "[1]", "[0,1]"), 1, "unknown dtype 'F8_E4M3'" },
    { ONE("f32", "[1]", "[0,4]"), 4, "unknown dtype 'f32'" },
    { ONE("", "[1]", "[0,4]"), 4, "unknown dtype ''" },
    { ONE("?", "[1]", "[0,4]"), 4, "unknown dtype '?'" },
    { ONE("F32 and a very long tail of it", "[1]", "[0,4]"), 4, "unknown dtype 'F32 and a very '" },
    { "{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "expected a string" },
    { ONE("F32", "[4]", "[0,12]"), 12, "tensor 'a' has 12 bytes at 0..12, its shape needs 16" },
    { ONE("F32", "[2]", "[0,12]"), 12, "tensor 'a' has 12 bytes at 0..12, its shape needs 8" },
    { ONE("F32", "[]", "[0,0]"), 0, "its shape needs 4" },
    { ONE("U8", "[0]", "[0,1]"), 1, "its shape needs 0" },
    { ONE("U8", "[4]", "[4,0]"), 4, "lies at 4..0 of 4" },
    { ONE("U8", "[5]", "[0,5]"), 4, "lies at 0..5 of 4" },
    { ONE("U8", "[1]", "[4,5]"), 4, "lies at 4..5 of 4" },
    { ONE("U8", "[0]", "[5,5]"), 4, "lies at 5..5 of 4" },
    { ONE("U8", "[3]", "[0,3]"), 4, "1 bytes follow" },
    { ONE("U8", "[3]", "[1,4]"), 4, "starts at 1, the one before it ends at 0" },
    { ONE("U8", "[-1]", "[0,1]"), 1, "whole number" },
    { ONE("U8", "[+1]", "[0,1]"), 1, "whole number" },
    { ONE("U8", "[1.0]", "[0,1]"), 1, "expected ']'" },
    { ONE("U8", "[1e0]", "[0,1]"), 1, "expected ']'" },
    { ONE("U8", "[0x1]", "[0,1]"), 1, "expected ']'" },
    { ONE("U8", "[01]", "[0,1]"), 1, "leading zero" },
    { ONE("U8", "[00]", "[0,0]"), 0, "leading zero" },
    { ONE("U8", "[1]", "[-0,1]"), 1, "whole number" },
    { ONE("U8", "[1]", "[00,1]"), 1, "leading zero" },
    { ONE("U8", "[1]", "[0]"), 1, "expected ','" },
    { ONE("U8", "[1]", "[]"), 1, "whole number" },
    { ONE("U8", "[1]", "[0,1,1]"), 1, "expected ']'" },
    { ONE("U8", "[1]", "{}"), 1, "expected '['" },
    { ONE("U8", "[18446744073709551617]", "[0,1]"), 1, "does not fit size_t" },
    { ONE("U8", "[99999999999999999999999999]", "[0,1]"), 1, "does not fit size_t" },
    { ONE("U8", "[1]", "[0,18446744073709551617]"), 1, "does not fit size_t" },
    { ONE("U8", "[1]", "[18446744073709551616,1]"), 1, "does not fit size_t" },
    { ONE("U8", "[65536,65536,65536,65536]", "[0,0]"), 0, "more than can be addressed" },
    { ONE("U8", "[65536,65536,65536,65536,0]", "[0,0]"), 0, "more than can be addressed" },
    { ONE("U8", "[0,65536,65536,65536,65536]", "[0,0]"), 0, "more than can be addressed" },
    { ONE("F64", "[65536,65536,65536,8192]", "[0,0]"), 0, "more than can be addressed" },
    { ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "more than 8 axes" },
    { TWO("[1],\"data_offsets\":[0,1]", "[1],\"data_offsets\":[0,1]"), 2,
      "starts at 0, the one before it ends at 1" },
    { TWO("[2],\"data_offsets\":[0,2]", "[2],\"data_offsets\":[1,3]"), 3,
      "starts at 1, the one before it ends at 2" },
    { TWO("[3],\"data_offsets\":[0,3]", "[1],\"data_offsets\":[1,2]"), 3,
      "starts at 1, the one before it ends at 3" },
    { TWO("[1],\"data_offsets\":[0,1]", "[1],\"data_offsets\":[2,3]"), 3,
      "starts at 2, the one before it ends at 1" },
    { TWO("[2],\"data_offsets\":[0,2]", "[0],\"data_offsets\":[1,1]"), 2,
      "starts at 1, the one before it ends at 2" },
    { TWO("[1],\"data_offsets\":[0,1]", "[1],\"data_offsets\":[1,2]"), 3, "1 bytes follow" },
    { "{" BYTES("a", "[]", "[0,1]") "," BYTES("a", "[]", "[1,2]") "}", 2, "two tensors are called 'a'" },
    { "{" BYTES("a", "[]", "[0,1]") "," BYTES("\\u0061", "[]", "[1,2]") "}", 2,
      "two tensors are called 'a'" },
    { "{" BYTES("a", "[0]", "[0,0]") "," BYTES("b", "[0]", "[0,0]") "," BYTES("a", "[0]", "[0,0]") "}", 0,
      "two tensors are called 'a'" },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "a second __metadata__" },
    { "{\"__metadata__\":{},\"\\u005f_metadata__\":{}}", 0, "a second __metadata__" },
    { "{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"\\u0061\":\"3\"}}", 0,
      "two metadata entries are called 'a'" },
    { "{\"__metadata__\":{\"a\":1}}", 0, "expected a string" },
    { "{\"__metadata__\":{\"a\":{}}}", 0, "expected a string" },
    { "{\"__metadata__\":{\"a\":null}}", 0, "expected a string" },
    { "{\"__metadata__\":{\"a\"}}", 0, "expected ':'" },
    { "{\"__metadata__\":{\"a\":\"1\",}}", 0, "expected a string" },
    { "{\"__metadata__\":[]}", 0, "expected '{'" },
    { "{\"__metadata__\":null}", 0, "expected '{'" },
    { "{\"__metadata__\":{\"a\":\"1\"}", 0, "expected '}'" },
    { "{\"a", 0, "string without end" },
    { "{\"a\\", 0, "string without end" },
    { "{\"a\\\"", 0, "string without end" },
    { "{\"\\u0000\":{}}", 0, "NUL in a string" },
    { "{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "NUL in a string" },
    { "{\"\\x41\":{}}", 0, "unknown escape" },
    { "{\"\\U0041\":{}}", 0, "unknown escape" },
    { "{\"\\u00g1\":{}}", 0, "hexadecimal" },
    { "{\"\\u00", 0, "hexadecimal" },
    { "{\"\\ud800\":{}}", 0, "surrogate" },
    { "{\"\\ud800\\n\":{}}", 0, "surrogate" },
    { "{\"\\ud800\\u0041\":{}}", 0, "surrogate" },
    { "{\"\\ud800\\ud800\":{}}", 0, "surrogate" },
    { "{\"\\udc00\":{}}", 0, "surrogate" },
    { "{\"a\nb\":{}}", 0, "control character" },
    { "{\"a\x1f\":{}}", 0, "control character" },
    { "{\"\x80\":{}}", 0, "not UTF-8" },
    { "{\"\xc3\":{}}", 0, "not UTF-8" },
    { "{\"\xc0\x80\":{}}", 0, "not UTF-8" },
    { "{\"\xc1\xbf\":{}}", 0, "not UTF-8" },
    { "{\"\xe0\x9f\xbf\":{}}", 0, "not UTF-8" },
    { "{\"\xed\xa0\x80\":{}}", 0, "not UTF-8" },
    { "{\"\xf0\x8f\xbf\xbf\":{}}", 0, "not UTF-8" },
    { "{\"\xf4\x90\x80\x80\":{}}", 0, "not UTF-8" },
    { "{\"\xf5\x80\x80\x80\":{}}", 0, "not UTF-8" },
    { "{\"\xff\":{}}", 0, "not UTF-8" },
    { "{\"\xe2\x82", 0, "not UTF-8" },
    { "\xef\xbb\xbf{}", 0, "expected '{'" },
    { "{\"\\u001b[31m\x7f\":{\"dtype\":\"X\",", 0, "tensor '?[31m?' has" },
    { "{\"a\":{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{", 0,
      "expected a string" },
    { "{\"a\":{\"shape\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, "whole number" }
};

/* The first and the last characters of each length in UTF-8, and those around the surrogates: escaped on the
 * left, as they are on the right. */
static void test_st_characters(void)
{
    static const char *const pairs[][2] = {
        { "\\u007f", "\x7f" },
        { "\\u0080", "\xc2\x80" },
        { "\\u07ff", "\xdf\xbf" },
        { "\\u0800", "\xe0\xa0\x80" },
        { "\\ud7ff", "\xed\x9f\xbf" },
        { "\\ue000", "\xee\x80\x80" },
        { "\\uffff", "\xef\xbf\xbf" },
        { "\\ud800\\udc00", "\xf0\x90\x80\x80" },
        { "\\udbff\\udfff", "\xf4\x8f\xbf\xbf" }
    };
    size_t i;
    for (i = 0; i < sizeof pairs / sizeof *pairs; ++i) {
        char header[100];
        const char *found;
        drl_safetensors *st = NULL;
        unsigned char *file;
        size_t size;
        snprintf(header, sizeof header, "{\"__metadata__\":{\"%s\":\"%s\"}}", pairs[i][0], pairs[i][1]);
        file = st_bytes(header, strlen(header), 0, &size);
        CHECK(drl_safetensors_open_memory(ctx, file, size, &st) == DRL_OK,
              "%s: %s", pairs[i][0], drl_ctx_message(ctx));
        found = st ? drl__safetensors_meta(st, pairs[i][1]) : NULL;
        CHECK(found && !strcmp(found, pairs[i][1]), "%s is not its character", pairs[i][0]);
        drl_safetensors_close(st);
        free(file);
    }
}

/* What st_good says is what the reader gives, and the numbers stay in the caller's memory. */
static void test_st_reading(void)
{
    drl_safetensors *st = NULL;
    size_t size;
    unsigned char *p = st_bytes(st_good, sizeof st_good - 1, 14, &size);
    const drl_array *a;
    const char *text;
    float out[2];

    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    CHECK(drl_safetensors_contents(st)->count == 4 && drl_safetensors_contents(st)->meta_count == 2,
          "%d tensors", (int)drl_safetensors_contents(st)->count);
    a = &drl_safetensors_contents(st)->arrays[0];
    CHECK(a && strcmp(a->name, "b") == 0 && a->dtype == DRL_DTYPE_F32 &&
          a->rank == 2 && a->shape[0] == 2 && a->shape[1] == 1, "tensor b");
    CHECK(a && a->data == p + 8 + sizeof st_good - 1 + 4 && a->bytes == 8, "b is not used in place");
    a = drl_safetensors_find(st, "a.\xc3\xa4\xf0\x9f\x98\x80");
    CHECK(a == &drl_safetensors_contents(st)->arrays[1] && a && a->rank == 0, "escapes in a name");
    CHECK_OK(ctx, drl_array_to_float(ctx, a, out));
    CHECK(out[0] == (float)0x04030201, "%g", (double)out[0]);
    a = drl_safetensors_find(st, "none");
    CHECK(a && a->bytes == 0 && a->rank == 2 && drl_array_count(a) == 0, "the empty tensor");
    CHECK_OK(ctx, drl_array_to_float(ctx, a, out));
    CHECK(!drl_safetensors_find(st, "absent") && !drl_safetensors_find(st, NULL), "absent");
    text = drl__safetensors_meta(st, "k");
    CHECK(text && strcmp(text, "v\n\xc3\xa9") == 0, "metadata k");
    text = drl__safetensors_meta(st, "");
    CHECK(text && !text[0] && !drl__safetensors_meta(st, "x"), "metadata of the empty key");
    st_examine(st, 14);
    drl_safetensors_close(st);
    clean("good");
    free(p);
}

/* A file that is cut off anywhere is refused. */
static void test_st_cut(void)
{
    drl_safetensors *st, *untouched = (drl_safetensors *)(void *)&heap;
    size_t size, i;
    unsigned char *p = st_bytes(st_good, sizeof st_good - 1, 14, &size);
    for (i = 0; i < size; ++i) {
        unsigned char *cut = exact(p, i);
        st = untouched;
        CHECK(drl_safetensors_open_memory(ctx, cut, i, &st) == DRL_E_FORMAT && st == untouched,
              "cut to %d of %d bytes", (int)i, (int)size);
        clean("cut");
        free(cut);
    }
    free(p);
}

static void test_st_hostile(void)
{
    drl_safetensors *st, *untouched = (drl_safetensors *)(void *)&heap;
    size_t size, i;
    for (i = 0; i < sizeof st_hostile / sizeof st_hostile[0]; ++i) {
        const char *header = st_hostile[i].header;
        unsigned char *p = st_bytes(header, strlen(header), st_hostile[i].data, &size);
        st = untouched;
        CHECK_FAILS(drl_safetensors_open_memory(ctx, p, size, &st), DRL_E_FORMAT, st_hostile[i].sentence);
        CHECK(st == untouched, "result of %s", header);
        free(p);
    }
}

/* Lengths of the header that lie, and a NUL between tokens. */
static void test_st_lengths(void)
{
    static const unsigned char lengths[][8] = {
        { 3, 0, 0, 0, 0, 0, 0, 0 },
        { 1, 0xE1, 0xF5, 5, 0, 0, 0, 0 },
        { 0, 0, 0, 0, 1, 0, 0, 0 },
        { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF },
        { 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF },
        { 2, 0, 0, 0, 0, 0, 0, 0x80 }
    };
    static const char *const sentences[] = {
        "header of 3 bytes in a file of 10", "at most 100000000", "at most", "at most", "at most", "at most"
    };
    drl_safetensors *st = NULL;
    unsigned char file[10], *p;
    size_t size, i;
    for (i = 0; i < 6; ++i) {
        memcpy(file, lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        CHECK_FAILS(drl_safetensors_open_memory(ctx, file, 10, &st), DRL_E_FORMAT, sentences[i]);
    }
    p = st_bytes("{\"a\":{\"dtype\":\"U8\",\"shape\":[\0" "1],\"data_offsets\":[0,1]}}", 54, 1, &size);
    CHECK_FAILS(drl_safetensors_open_memory(ctx, p, size, &st), DRL_E_FORMAT, "whole number");
    free(p);
}

/* Files without tensors are good ones; NULL is refused everywhere. */
static void test_st_empty(void)
{
    drl_safetensors *st = NULL;
    size_t size;
    unsigned char *p = st_bytes("{}", 2, 0, &size);
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    CHECK(drl_safetensors_contents(st)->count == 0, "an empty file");
    drl_safetensors_close(st);
    free(p);
    p = st_bytes("{\"__metadata__\":{}}", 19, 0, &size);
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    drl_safetensors_close(st);
    clean("empty");
    CHECK_FAILS(drl_safetensors_open_memory(ctx, NULL, 10, &st), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_safetensors_open_memory(ctx, p, 10, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_safetensors_open(ctx, NULL, &st), DRL_E_ARGUMENT, "NULL");
    CHECK(drl_safetensors_open_memory(NULL, p, 10, &st) == DRL_E_ARGUMENT, "no context");
    free(p);
    drl_safetensors_close(NULL);
    CHECK(!drl_safetensors_contents(NULL), "contents of NULL");
    CHECK(!drl_safetensors_find(NULL, "a") && !drl__safetensors_meta(NULL, "a"), "looking in NULL");
}

/* Opens a damaged file, in a block that ends where it ends: what is accepted must be sound. */
static void st_try(const unsigned char *bytes, size_t n, size_t data_size, size_t *accepted, size_t *refused)
{
    drl_safetensors *st = NULL;
    unsigned char *tight = exact(bytes, n);
    drl_status status = drl_safetensors_open_memory(ctx, tight, n, &st);
    if (status == DRL_OK) {
        ++*accepted;
        st_examine(st, data_size);
        drl_safetensors_close(st);
    } else if (status == DRL_E_FORMAT) ++*refused;
    free(tight);
    drl_ctx_clear(ctx);
}

/* Every value of every byte: refused or sound, and never a leak. */
static void test_st_bytes(void)
{
    size_t size, i, accepted = 0, refused = 0, leaks = 0;
    unsigned char *good = st_bytes(st_good, sizeof st_good - 1, 14, &size), *p = exact(good, size);
    int v;
    for (i = 0; i < size; ++i) {
        for (v = 1; v < 256; ++v) {
            p[i] = (unsigned char)(good[i] ^ v);
            st_try(p, size, 14, &accepted, &refused);
            leaks += heap.live != 1;
        }
        p[i] = good[i];
    }
    CHECK(accepted + refused == size * 255 && leaks == 0, "%d accepted, %d refused, %d leaks",
          (int)accepted, (int)refused, (int)leaks);
    CHECK(accepted > 1000 && refused > 10000, "%d accepted, %d refused", (int)accepted, (int)refused);
    free(p);
    free(good);
}

/* Longer damage at random: pieces moved, characters replaced, parts cut out with the header's length put
 * right. */
static void test_st_damage(void)
{
    size_t size, n, accepted = 0, refused = 0;
    unsigned char *good = st_bytes(st_good, sizeof st_good - 1, 14, &size);
    uint32_t seed = 1;
    int i, k;
    for (i = 0; i < 40000; ++i) {
        unsigned char *p = exact(good, size);
        n = size;
        for (k = 0; k < 1 + i % 3; ++k) {
            size_t from = 8 + next_random(&seed) % (n - 8);
            size_t to = 8 + next_random(&seed) % (n - 8);
            size_t len = next_random(&seed) % 12;
            if (from + len > n) len = n - from;
            if (to + len > n) len = n - to;
            if (next_random(&seed) % 3 == 0) memmove(p + to, p + from, len);
            else if (next_random(&seed) % 2)
                p[to] = (unsigned char)"{}[]\":,0123456789\\ue "[next_random(&seed) % 21];
            else if (n - len > 40) {
                memmove(p + from, p + from + len, n - from - len);
                n -= len;
                p[0] = (unsigned char)((n - 22) & 255);
                p[1] = (unsigned char)((n - 22) >> 8);
            }
        }
        st_try(p, n, n, &accepted, &refused);
        free(p);
    }
    CHECK(accepted + refused == 40000 && accepted > 100, "%d accepted, %d refused",
          (int)accepted, (int)refused);
    clean("damage");
    free(good);
}

/* Many entries are read or refused in n log n steps, with memory in proportion to the file. */
static void test_st_many(void)
{
    const size_t tensors = 50000, metas = 200000;
    char *header = (char *)malloc(8000000);
    size_t n = 0, i, size, base;
    unsigned char *p;
    drl_safetensors *st = NULL;
    drl_ctx *own = NULL;
    if (!header) exit(2);
    header[n++] = '{';
    for (i = 0; i < tensors; ++i)
        n += (size_t)sprintf(header + n, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                             i ? "," : "", (int)(tensors - i));
    header[n++] = '}';
    p = st_bytes(header, n, 0, &size);
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    CHECK(drl_safetensors_contents(st)->count == tensors &&
          drl_safetensors_find(st, "777") == &drl_safetensors_contents(st)->arrays[tensors - 777],
          "many tensors");
    drl_safetensors_close(st);
    free(p);
    clean("many tensors");

    n = (size_t)sprintf(header, "{\"__metadata__\":{");
    for (i = 0; i < metas; ++i) n += (size_t)sprintf(header + n, "%s\"\":\"\"", i ? "," : "");
    n += (size_t)sprintf(header + n, "}}");
    p = st_bytes(header, n, 0, &size);
    CHECK(drl_ctx_create(NULL, &own) == DRL_OK, "context");
    base = drl_ctx_bytes_used(own);
    CHECK(drl_safetensors_open_memory(own, p, size, &st) == DRL_E_FORMAT, "the same key 200000 times");
    CHECK(drl_ctx_bytes_peak(own) - base < 5 * size, "%d bytes held for a file of %d",
          (int)(drl_ctx_bytes_peak(own) - base), (int)size);
    CHECK(drl_ctx_bytes_used(own) == base, "left over");
    drl_ctx_destroy(own);
    free(p);
    free(header);
}

/* Four tensors and two entries of metadata, with names that need escapes. The arrays are the caller's. */
static drl_safetensors_desc st_sample(drl_array arrays[4])
{
    static float w[6] = { 1, -2, 3.5f, 0, 1e-20f, -0.0f };
    static int32_t t[1] = { -7 };
    static uint8_t b[3] = { 0, 1, 255 };
    static const char *const meta[] = { "net", "a \"quoted\" \\ name\n\x01", "\xc3\xa9", "" };
    static const size_t shape2[2] = { 2, 3 }, shape1[1] = { 3 }, shape0[2] = { 0, 5 };
    drl_safetensors_desc d;
    memset(&d, 0, sizeof d);
    arrays[0] = drl_array_of("energy.conv\"1\".weight", DRL_DTYPE_F32, 2, shape2, w);
    arrays[1] = drl_array_of("t", DRL_DTYPE_I32, 0, NULL, t);
    arrays[2] = drl_array_of("", DRL_DTYPE_U8, 1, shape1, b);
    arrays[3] = drl_array_of("nothing", DRL_DTYPE_F64, 2, shape0, NULL);
    d.arrays = arrays;
    d.count = 4;
    d.meta = meta;
    d.meta_count = 2;
    return d;
}

/* Both files have the same tensors and metadata in the same order. */
static void st_compare(const drl_safetensors *first, const drl_safetensors *second, const char *what)
{
    const drl_safetensors_desc *a = drl_safetensors_contents(first), *b = drl_safetensors_contents(second);
    size_t i, wrong = a->count != b->count || a->meta_count != b->meta_count;
    for (i = 0; !wrong && i < a->count; ++i) {
        const drl_array *x = &a->arrays[i], *y = &b->arrays[i];
        wrong += strcmp(x->name, y->name) != 0;
        wrong += x->dtype != y->dtype || x->rank != y->rank || x->bytes != y->bytes;
        wrong += memcmp(x->shape, y->shape, sizeof x->shape) || memcmp(x->data, y->data, x->bytes);
    }
    for (i = 0; !wrong && i < 2 * a->meta_count; ++i) wrong += strcmp(a->meta[i], b->meta[i]) != 0;
    CHECK(wrong == 0, "%s: tensors or metadata differ", what);
}

/* The file of a description, in a block of its own size. */
static unsigned char *st_written(const drl_safetensors_desc *d, size_t *size)
{
    unsigned char *p;
    size_t written = 0;
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, d, NULL, 0, size));
    p = (unsigned char *)malloc(*size);
    if (!p) exit(2);
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, d, p, *size, &written));
    CHECK(written == *size, "%d of %d bytes", (int)written, (int)*size);
    return p;
}

/* The bytes of the sample: the header as text, padded to a multiple of 64, and little-endian numbers. */
static void test_st_writing(void)
{
    static const char expected[] =
        "{\"__metadata__\":{\"net\":\"a \\\"quoted\\\" \\\\ name\\u000a\\u0001\",\"\xc3\xa9\":\"\"},"
        "\"energy.conv\\\"1\\\".weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"t\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[24,28]},"
        "\"\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[28,31]},"
        "\"nothing\":{\"dtype\":\"F64\",\"shape\":[0,5],\"data_offsets\":[31,31]}}";
    static const unsigned char one_and_two[8] = { 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0 };    /* 1 and -2 */
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    drl_safetensors *st = NULL;
    const char *text;
    size_t size = 0, written = 77, header, i;
    unsigned char *p = st_written(&d, &size);

    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, p, size - 1, &written), DRL_E_SHAPE,
                "do not fit the capacity");
    CHECK(written == 77, "written on failure");
    header = p[0] + 256u * p[1];
    CHECK((header + 8) % 64 == 0 && size == 8 + header + 31, "header of %d bytes", (int)header);
    CHECK(header >= strlen(expected) && memcmp(p + 8, expected, strlen(expected)) == 0,
          "%.*s", (int)header, (const char *)p + 8);
    for (i = strlen(expected); i < header; ++i) if (p[8 + i] != ' ') break;
    CHECK(i == header, "padding");
    CHECK(memcmp(p + 8 + header, one_and_two, 8) == 0, "little-endian data");
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    text = drl__safetensors_meta(st, "net");
    CHECK(text && strcmp(text, d.meta[1]) == 0, "metadata");
    drl_safetensors_close(st);
    clean("writing");
    free(p);
}

/* What was read is written again as the same bytes, also from numbers in the other byte order. */
static void test_st_rewriting(void)
{
    drl_array arrays[4], turned[4];
    drl_safetensors_desc d = st_sample(arrays), again;
    drl_safetensors *st = NULL;
    size_t size, written, i, k, m;
    unsigned char *p = st_written(&d, &size), *q = exact(p, size);
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    again = *drl_safetensors_contents(st);
    memset(q, 0, size);
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &again, q, size, &written));
    CHECK(written == size && memcmp(p, q, size) == 0, "rewritten bytes");
    for (i = 0; i < 4; ++i) {
        const unsigned char *from;
        unsigned char *to;
        size_t bytes;
        turned[i] = again.arrays[i];
        bytes = drl__dtype_bytes(turned[i].dtype);
        from = (const unsigned char *)turned[i].data;
        to = exact(from, turned[i].bytes);
        for (k = 0; k + bytes <= turned[i].bytes; k += bytes)
            for (m = 0; m < bytes; ++m) to[k + m] = from[k + bytes - 1 - m];
        turned[i].data = to;
        turned[i].swapped = !turned[i].swapped;
    }
    again.arrays = turned;
    memset(q, 0, size);
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &again, q, size, &written));
    CHECK(memcmp(p, q, size) == 0, "rewritten from swapped bytes");
    for (i = 0; i < 4; ++i) free((void *)(uintptr_t)turned[i].data);
    drl_safetensors_close(st);
    clean("rewriting");
    free(p);
    free(q);
}

/* A file has the bytes that memory gets, and its numbers are aligned when it is read. */
static void test_st_file(void)
{
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    drl_safetensors *st = NULL, *second = NULL;
    const drl_array *a;
    size_t size, bytes;
    unsigned char *p = st_written(&d, &size);
    void *file = NULL;
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, p, size, &st));
    CHECK_OK(ctx, drl_safetensors_write_file(ctx, "test_io.safetensors", &d));
    CHECK_OK(ctx, drl_file_read(ctx, "test_io.safetensors", &file, &bytes));
    CHECK(bytes == size && memcmp(p, file, size) == 0, "file and memory differ");
    drl_file_free(ctx, file);
    CHECK_OK(ctx, drl_safetensors_open(ctx, "test_io.safetensors", &second));
    st_compare(st, second, "file");
    a = &drl_safetensors_contents(second)->arrays[0];
    CHECK(second && (uintptr_t)a->data % 8 == 0, "alignment");
    CHECK((drl_array_floats(a) == NULL) == (drl__host_is_big() != 0), "in place");
    drl_safetensors_close(second);
    drl_safetensors_close(st);
    clean("file");
    remove("test_io.safetensors");
    free(p);
}

/* Arrays and metadata that no file can have. */
static void test_st_descriptions(void)
{
    static const char *const twice[] = { "a", "1", "a", "2" }, *const missing[] = { "a", NULL };
    drl_array arrays[4], wide[2];
    drl_safetensors_desc d = st_sample(arrays);
    size_t size, shape = SIZE_MAX / 2 + 1;
    unsigned char p[1024];
    arrays[1].name = arrays[0].name;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "two tensors");
    arrays[1].name = "__metadata__";
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "__metadata__");
    arrays[1].name = NULL;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, p, sizeof p, &size), DRL_E_ARGUMENT, "is NULL");
    arrays[1].name = "\xff";
    CHECK_FAILS(drl_safetensors_write_file(ctx, "test_io.safetensors", &d), DRL_E_ARGUMENT, "not UTF-8");
    arrays[1].name = "t";
    arrays[1].bytes = 5;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_SHAPE,
                "array has 5 bytes, its shape needs 4");
    arrays[1].bytes = 4;
    arrays[1].rank = 9;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "rank is 9");
    arrays[1].rank = 0;
    arrays[1].data = NULL;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "no data");
    d = st_sample(arrays);
    d.meta = twice;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "two metadata");
    d.meta = missing;
    d.meta_count = 1;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "is NULL");
    d.meta = NULL;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT, "is NULL");
    /* two arrays whose sum of bytes wraps */
    d = st_sample(arrays);
    wide[0] = drl_array_of("a", DRL_DTYPE_U8, 1, &shape, p);
    wide[1] = drl_array_of("b", DRL_DTYPE_U8, 1, &shape, p);
    d.arrays = wide;
    d.count = 2;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_SHAPE, "does not fit size_t");
}

/* Files that would be longer than size_t counts, by their header alone, and headers that no reader takes. */
static void test_st_too_long(void)
{
    enum { LENGTH = 17000000 };                 /* characters that the header writes as six each, \u0001 */
    char *text = (char *)malloc(LENGTH + 1);
    const char *meta[2];
    size_t shape = SIZE_MAX - 64, size = 0;
    drl_array array = drl_array_of("a", DRL_DTYPE_U8, 1, &shape, &shape);
    drl_safetensors_desc d;
    if (!text) exit(2);
    memset(&d, 0, sizeof d);
    memset(text, 1, LENGTH);
    text[LENGTH] = 0;
    meta[0] = "key";
    meta[1] = text;
    d.meta = meta;
    d.meta_count = 1;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_ARGUMENT,
                "at most 100000000 are allowed");
    d.meta_count = 0;
    d.arrays = &array;
    d.count = 1;
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, &size), DRL_E_SHAPE, "does not fit size_t");
    CHECK_FAILS(drl_npy_write_memory(ctx, &array, NULL, 0, &size), DRL_E_SHAPE, "does not fit size_t");
    free(text);
}

/* Arguments that are missing. */
static void test_st_arguments(void)
{
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    size_t size;
    unsigned char p[1024];
    CHECK_FAILS(drl_safetensors_write_memory(ctx, NULL, NULL, 0, &size), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 0, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, NULL, 100, &size), DRL_E_ARGUMENT, "dst is NULL");
    CHECK_FAILS(drl_safetensors_write_memory(ctx, &d, p, 100, NULL), DRL_E_ARGUMENT, "written is NULL");
    CHECK_FAILS(drl_safetensors_write_file(ctx, NULL, &d), DRL_E_ARGUMENT, "path is NULL");
    CHECK(drl_safetensors_write_memory(NULL, &d, NULL, 0, &size) == DRL_E_ARGUMENT, "no context");
}

/* --- NPY and IDX */

/* H: the header of a file, its data, and what the reader says. D: a header of version 1.0; the test puts its
 * length in place of the two question marks. */
#define NPY(version, length, header) "\x93NUMPY" version length header
static const struct {
    const char *bytes;
    size_t header, size;
    drl_status status;
    const char *sentence;
} npy_hostile[] = {
#define H(text, data, status, sentence) \
    { text data, sizeof(text) - 1, sizeof(text data) - 1, status, sentence },
    H("\x93NUMPX\1\0\0\0", "", DRL_E_FORMAT, "not an NPY file")
    H("\x93NUMPY\1", "", DRL_E_FORMAT, "an NPY file that is cut off after 7 bytes")
    H(NPY("\0\0", "\1\0", "\n"), "", DRL_E_FORMAT, "version 0.0")
    H(NPY("\4\0", "\1\0\0\0", "\n"), "", DRL_E_FORMAT, "version 4.0")
    H(NPY("\1\1", "\1\0", "\n"), "", DRL_E_FORMAT, "version 1.1")
    H(NPY("\2\0", "\1\0", ""), "", DRL_E_FORMAT, "too few")
    H(NPY("\1\0", "\2\0", "\n"), "", DRL_E_FORMAT, "header of 2 bytes in a file of 11")
    H(NPY("\2\0", "\377\377\377\377", "\n"), "", DRL_E_FORMAT, "header of 4294967295 bytes")
    H(NPY("\1\0", "\1\0", "\n"), "", DRL_E_FORMAT, "expected '{'")
    H(NPY("\1\0", "\3\0", "{}\n"), "", DRL_E_FORMAT, "expected a string")
#define D(text) NPY("\1\0", "??", text)
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)} \n"), "1234", DRL_OK, "")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,),}\n"), "1234", DRL_OK, "")
    H(D("{\"shape\":(),\"fortran_order\":True,\"descr\":\">i2\"   }   \n"), "12", DRL_OK, "")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)}  "), "1234", DRL_E_FORMAT, "line feed")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)}\n\n"), "1234", DRL_E_FORMAT, "line feed")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)}x\n"), "1234", DRL_E_FORMAT, "line feed")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)} \n"), "123", DRL_E_FORMAT,
      "3 bytes of data, the shape needs 4")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1,)} \n"), "12345", DRL_E_FORMAT,
      "5 bytes of data, the shape needs 4")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1)}  \n"), "1234", DRL_E_FORMAT, "(n,) a shape")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1 1)}\n"), "1234", DRL_E_FORMAT, "expected ','")
    H(D("{'descr':'<f4','fortran_order':False,'shape':[1,]} \n"), "1234", DRL_E_FORMAT, "expected '('")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(-1,)}\n"), "1234", DRL_E_FORMAT, "whole number")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(1L,)}\n"), "1234", DRL_E_FORMAT, "expected ','")
    H(D("{'descr':'<f4','fortran_order':False,'shape':(,)}  \n"), "1234", DRL_E_FORMAT, "whole number")
    H(D("{'descr':'<f4','fortran_order':false,'shape':(1,)} \n"), "1234", DRL_E_FORMAT, "True or False")
    H(D("{'descr':'<f4','fortran_order':0,'shape':(1,)}     \n"), "1234", DRL_E_FORMAT, "True or False")
    H(D("{'descr':'<f4','shape':(1,)}   \n"), "1234", DRL_E_FORMAT, "no fortran_order")
    H(D("{'descr':'<f4','fortran_order':False}  \n"), "1234", DRL_E_FORMAT, "no shape")
    H(D("{'fortran_order':False,'shape':(1,)}   \n"), "1234", DRL_E_FORMAT, "no descr")
    H(D("{'descr':'<f4','descr':'<f4','shape':(1,)} \n"), "1234", DRL_E_FORMAT, "twice the key 'descr'")
    H(D("{'descr':'<f4','order':False,'shape':(1,)} \n"), "1234", DRL_E_FORMAT, "unknown key 'order'")
    H(D("{'descr':'<c8','fortran_order':False,'shape':(1,)} \n"), "12345678", DRL_E_UNSUPPORTED, "'<c8'")
    H(D("{'descr':'|O8','fortran_order':False,'shape':(1,)} \n"), "12345678", DRL_E_UNSUPPORTED, "'|O8'")
    H(D("{'descr':'|f4','fortran_order':False,'shape':(1,)} \n"), "1234", DRL_E_UNSUPPORTED, "'|f4'")
    H(D("{'descr':'|i2','fortran_order':False,'shape':(1,)} \n"), "12", DRL_E_UNSUPPORTED, "'|i2'")
    H(D("{'descr':'=f4','fortran_order':False,'shape':(1,)} \n"), "1234", DRL_E_UNSUPPORTED, "'=f4'")
    H(D("{'descr':'<','fortran_order':False,'shape':(1,)  } \n"), "1234", DRL_E_UNSUPPORTED, "'<'")
    H(D("{'descr':'','fortran_order':False,'shape':(1,)   } \n"), "1234", DRL_E_UNSUPPORTED, "''")
    H(D("{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}    \n"), "1234", DRL_E_UNSUPPORTED,
      "fields")
    H(D("{'descr':'<f4','fortran_order':True,'shape':(1,1)} \n"), "1234", DRL_E_UNSUPPORTED, "Fortran")
    H(D("{'descr':'<f4','fortran_order':True,'shape':(1,)}  \n"), "1234", DRL_OK, "")
    H(D("{'descr':'|u1','fortran_order':False,'shape':(0,9)}\n"), "", DRL_OK, "")
    H(D("{'descr':'|u1','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,)}\n"), "1", DRL_OK, "")
    H(D("{'descr':'|u1','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,1)}\n"), "1", DRL_E_UNSUPPORTED,
      "more than 8 axes")
    H(D("{'descr':'<f8','fortran_order':False,'shape':(2305843009213693952,4294967296)}\n"), "", DRL_E_FORMAT,
      "")
    H(D("{'descr':'|u1','fortran_order':False,'shape':(65536,65536,65536,65536,1)}      \n"), "",
      DRL_E_FORMAT, "more bytes than can be addressed")
    H(D("{'descr':'<f4\\','fortran_order':False,'shape':(1,)}           \n"), "1234", DRL_E_FORMAT,
      "unexpected character")
    H(NPY("\1\0", "\12\0", "{'descr':'"), "1234", DRL_E_FORMAT, "string without end")
};

static void test_npy_hostile(void)
{
    drl_array a, kept;
    drl_status status;
    size_t i;
    for (i = 0; i < sizeof npy_hostile / sizeof npy_hostile[0]; ++i) {
        unsigned char *p = exact(npy_hostile[i].bytes, npy_hostile[i].size);
        if (npy_hostile[i].size >= 10 && p[8] == '?') {
            p[8] = (unsigned char)(npy_hostile[i].header - 10);
            p[9] = 0;
        }
        memset(&a, 0x5A, sizeof a);
        kept = a;
        status = drl_npy_parse(ctx, p, npy_hostile[i].size, &a);
        CHECK(status == npy_hostile[i].status, "%d: %s (%s) for %s", (int)i, drl_status_text(status),
              drl_ctx_message(ctx), npy_hostile[i].bytes + 10);
        CHECK(strstr(drl_ctx_message(ctx), npy_hostile[i].sentence) != NULL, "%d: \"%s\" should have \"%s\"",
              (int)i, drl_ctx_message(ctx), npy_hostile[i].sentence);
        if (status != DRL_OK) CHECK(memcmp(&a, &kept, sizeof a) == 0, "%d: touched", (int)i);
        free(p);
        clean("npy");
    }
}

static const size_t npy_shape[3] = { 2, 1, 3 };
static const float npy_values[6] = { 1, -2, 3, 4, 5, 6 };

/* The bytes of a small array, as numpy.save writes them, and what is read from them. */
static void test_npy_round_trip(void)
{
    static const char text[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3), }";
    static const unsigned char version2[] =
        "\x93NUMPY\2\0\100\0\0\0"
        "{'descr':'>i2','fortran_order':False,'shape':(2,)}             \n\1\2\377\376";
    drl_array a, b;
    size_t size, written, bytes;
    unsigned char *p, file[512];
    void *data = NULL;
    float out[6];

    CHECK_OK(ctx, drl_npy_parse(ctx, version2, sizeof version2 - 1, &a));
    CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
    CHECK(out[0] == 258 && out[1] == -2, "%g %g", (double)out[0], (double)out[1]);
    CHECK(a.name && !a.name[0], "an array of NPY has no name");

    a = drl_array_of("ignored", DRL_DTYPE_F32, 3, npy_shape, npy_values);
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, NULL, 0, &size));
    CHECK(size == 128 + 24, "%d bytes", (int)size);
    CHECK_FAILS(drl_npy_write_memory(ctx, &a, file, size - 1, &written), DRL_E_SHAPE, "capacity");
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file, sizeof file, &written));
    CHECK(written == size && memcmp(file, "\x93NUMPY\1\0\166\0", 10) == 0 &&
          memcmp(file + 10, text, strlen(text)) == 0 && file[127] == '\n', "NPY header");
    p = exact(file, size);
    CHECK_OK(ctx, drl_npy_parse(ctx, p, size, &b));
    CHECK(b.rank == 3 && memcmp(b.shape, a.shape, sizeof a.shape) == 0 && b.dtype == a.dtype && b.bytes == 24,
          "NPY round trip");
    CHECK_OK(ctx, drl_array_to_float(ctx, &b, out));
    CHECK(memcmp(out, npy_values, 24) == 0, "NPY data");
    free(p);
    CHECK_OK(ctx, drl_npy_write_file(ctx, "test_io.npy", &a));
    CHECK_OK(ctx, drl_file_read(ctx, "test_io.npy", &data, &bytes));
    CHECK(bytes == written && memcmp(data, file, bytes) == 0, "NPY file");
    drl_file_free(ctx, data);
    remove("test_io.npy");
}

/* A file that is cut anywhere is refused. With a byte changed it is refused, or read as an array that ends
 * where the file ends. */
static void test_npy_damage(void)
{
    drl_array a = drl_array_of("", DRL_DTYPE_F32, 3, npy_shape, npy_values), b;
    unsigned char file[512], *p;
    size_t size, i;
    int d;
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file, sizeof file, &size));
    for (i = 0; i < size; ++i) {
        p = exact(file, i);
        CHECK(drl_npy_parse(ctx, p, i, &b) == DRL_E_FORMAT, "cut to %d bytes", (int)i);
        free(p);
    }
    clean("npy cut");
    p = exact(file, size);
    for (i = 0; i < size; ++i)
        for (d = 1; d < 256; ++d) {
            p[i] = (unsigned char)(p[i] ^ d);
            if (drl_npy_parse(ctx, p, size, &b) == DRL_OK &&
                (b.bytes != drl_array_count(&b) * drl__dtype_bytes(b.dtype) ||
                 (const unsigned char *)b.data + b.bytes != p + size))
                CHECK(0, "byte %d", (int)i);
            p[i] = (unsigned char)(p[i] ^ d);
            drl_ctx_clear(ctx);
        }
    free(p);
}

/* Every type with every rank, and the longest header. */
static void test_npy_types(void)
{
    drl_array a, b;
    unsigned char file[512];
    size_t i, size, written, shape[8];
    int d, rank;
    for (d = 0; d < (int)DRL__DTYPE_END; ++d) {
        for (i = 0; i < 8; ++i) shape[i] = i == 7 ? 0 : 1;
        for (rank = 0; rank <= 8; ++rank) {
            a = drl_array_of("", (drl_dtype)d, rank, shape, npy_values);
            if (d == (int)DRL_DTYPE_BF16) {
                CHECK_FAILS(drl_npy_write_memory(ctx, &a, NULL, 0, &size), DRL_E_ARGUMENT, "NPY has no BF16");
                continue;
            }
            CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file, sizeof file, &written));
            CHECK_OK(ctx, drl_npy_parse(ctx, file, written, &b));
            CHECK(b.dtype == a.dtype && b.rank == rank && b.bytes == a.bytes && (written - b.bytes) % 64 == 0,
                  "%s of rank %d", drl__dtype_name(a.dtype), rank);
        }
        shape[0] = 0;
        for (i = 1; i < 8; ++i) shape[i] = i == 1 ? SIZE_MAX : 1;
        a = drl_array_of("", DRL_DTYPE_U8, 8, shape, NULL);
        CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file, sizeof file, &written));
        CHECK_OK(ctx, drl_npy_parse(ctx, file, written, &b));
    }
}

static void test_npy_arguments(void)
{
    drl_array a = drl_array_of("", DRL_DTYPE_F32, 3, npy_shape, npy_values);
    unsigned char file[512];
    size_t size;
    CHECK_FAILS(drl_npy_parse(ctx, NULL, 1, &a), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_parse(ctx, file, 1, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_write_memory(ctx, NULL, NULL, 0, &size), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_write_memory(ctx, &a, NULL, 0, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_write_memory(ctx, &a, NULL, 9, &size), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_write_memory(ctx, &a, file, 9, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_npy_write_file(ctx, NULL, &a), DRL_E_ARGUMENT, "NULL");
    CHECK(drl_npy_parse(NULL, file, 1, &a) == DRL_E_ARGUMENT, "no context");
    CHECK(drl_npy_write_memory(NULL, &a, NULL, 0, &size) == DRL_E_ARGUMENT, "no context");
}

/* A good IDX file, whole and cut. Each type of element with the byte C0 first and zeros behind it: that is
 * -64 * 256^(bytes - 1) as an integer, -2 as a float and 192 as a byte without a sign. */
static void test_idx(void)
{
    static const unsigned char good[] = { 0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF, 0xFE, 1, 0 };
    static const struct { unsigned char code; drl_dtype dtype; } types[] = {
        { 8, DRL_DTYPE_U8 },     { 9, DRL_DTYPE_I8 },     { 0x0B, DRL_DTYPE_I16 },
        { 0x0C, DRL_DTYPE_I32 }, { 0x0D, DRL_DTYPE_F32 }, { 0x0E, DRL_DTYPE_F64 }
    };
    unsigned char one[16] = { 0, 0, 0, 1, 0, 0, 0, 1, 0xC0 };
    drl_array a;
    float out[2];
    size_t i;
    CHECK_OK(ctx, idx_parse(good, sizeof good, &a));
    CHECK(a.rank == 2 && a.shape[0] == 2 && a.shape[1] == 1 && a.dtype == DRL_DTYPE_I16, "IDX");
    CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
    CHECK(out[0] == -2 && out[1] == 256, "%g %g", (double)out[0], (double)out[1]);
    for (i = 0; i < sizeof good; ++i) {
        unsigned char *p = exact(good, i);
        CHECK(idx_parse(p, i, &a) == DRL_E_FORMAT, "cut to %d", (int)i);
        free(p);
    }
    clean("idx");
    for (i = 0; i < sizeof types / sizeof types[0]; ++i) {
        size_t bytes = drl__dtype_bytes(types[i].dtype);
        double want = -ldexp(64, 8 * (int)bytes - 8);
        if (types[i].dtype == DRL_DTYPE_U8) want = 192;
        if (types[i].code > 0x0C) want = -2;
        one[2] = types[i].code;
        CHECK_OK(ctx, idx_parse(one, 8 + bytes, &a));
        CHECK(a.dtype == types[i].dtype && a.rank == 1 && a.shape[0] == 1, "type %d of IDX", types[i].code);
        CHECK_OK(ctx, drl_array_to_float(ctx, &a, out));
        CHECK((double)out[0] == want, "type %d of IDX: %g, not %g", types[i].code, (double)out[0], want);
    }
}

static void test_idx_hostile(void)
{
    static const struct {
        unsigned char bytes[20];
        size_t size;
        drl_status status;
        const char *sentence;
    } hostile[] = {
        { { 0 }, 0, DRL_E_FORMAT, "not an IDX" },
        { { 0, 0, 8 }, 3, DRL_E_FORMAT, "not an IDX" },
        { { 0, 1, 8, 1, 0, 0, 0, 0 }, 8, DRL_E_FORMAT, "not an IDX" },
        { { 0, 0, 7, 1, 0, 0, 0, 0 }, 8, DRL_E_FORMAT, "7 is no element type" },
        { { 0, 0, 8, 0 }, 4, DRL_E_FORMAT, "without axes" },
        { { 0, 0, 8, 9 }, 4, DRL_E_UNSUPPORTED, "9 axes" },
        { { 0, 0, 8, 2, 0, 0, 0, 1 }, 8, DRL_E_FORMAT, "too few" },
        { { 0, 0, 8, 1, 0, 0, 0, 2, 1 }, 9, DRL_E_FORMAT, "1 bytes of data, the shape needs 2" },
        { { 0, 0, 8, 1, 0, 0, 0, 1, 1, 1 }, 10, DRL_E_FORMAT, "2 bytes of data" },
        { { 0, 0, 8, 1, 255, 255, 255, 255 }, 8, DRL_E_FORMAT, "" },
        { { 0, 0, 0x0E, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 }, 20, DRL_E_FORMAT,
          "more bytes than can be addressed" }
    };
    drl_array a;
    size_t i;
    for (i = 0; i < sizeof hostile / sizeof hostile[0]; ++i) {
        unsigned char *p = exact(hostile[i].bytes, hostile[i].size);
        CHECK_FAILS(idx_parse(p, hostile[i].size, &a), hostile[i].status, hostile[i].sentence);
        free(p);
    }
}

/* --- whole files, and calls that fail */

static int exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static int holds(const char *path, const void *data, size_t n)
{
    unsigned char buffer[4096];
    FILE *f = fopen(path, "rb");
    size_t got = f ? fread(buffer, 1, sizeof buffer, f) : 0;
    if (f) fclose(f);
    return f && got == n && memcmp(buffer, data, n) == 0;
}

/* What cannot be read or written is refused with its path in the sentence; an empty file is a file. */
static void test_files(void)
{
    void *data = NULL, *untouched = &heap;
    size_t size = 5;
    char *path;
    remove("test_io.bin");
    CHECK_FAILS(drl_file_read(ctx, "test_io.bin", &data, &size), DRL_E_IO, "'test_io.bin'");
    data = untouched;
    CHECK_FAILS(drl_file_read(ctx, ".", &data, &size), DRL_E_IO, "not a regular file");
    CHECK_FAILS(drl_file_read(ctx, "", &data, &size), DRL_E_IO, "cannot");
    CHECK(data == untouched && size == 5, "outputs after failures");
    CHECK_FAILS(drl_file_write(ctx, ".", "x", 1), DRL_E_IO, "not a regular file");
    CHECK_FAILS(drl_file_write(ctx, "test_io.none/x", "x", 1), DRL_E_IO, "test_io.none/x");
    CHECK_FAILS(drl_file_write(ctx, "", "x", 1), DRL_E_IO, "cannot");
    CHECK(!exists(io_temporary), "%s is left", io_temporary);
    CHECK_OK(ctx, drl_file_write(ctx, "test_io.bin", NULL, 0));
    CHECK_OK(ctx, drl_file_read(ctx, "test_io.bin", &data, &size));
    CHECK(size == 0 && data && data != untouched, "an empty file");
    drl_file_free(ctx, data);
    CHECK_FAILS(drl_safetensors_open(ctx, "test_io.bin", (drl_safetensors **)&data), DRL_E_FORMAT,
                "test_io.bin: not a safetensors file; this is an empty file");
    path = (char *)malloc(6000);
    if (!path) exit(2);
    memset(path, 'x', 6000);
    path[5999] = 0;
    CHECK_FAILS(drl_file_write(ctx, path, "x", 1), DRL_E_IO, "the path has 5999 bytes");
    CHECK_FAILS(drl_file_read(ctx, path, &data, &size), DRL_E_IO, "cannot");
    free(path);
    CHECK_FAILS(drl_file_write(ctx, NULL, "x", 1), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_file_write(ctx, "test_io.bin", NULL, 1), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_file_read(ctx, NULL, &data, &size), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_file_read(ctx, "test_io.bin", NULL, &size), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_file_read(ctx, "test_io.bin", &data, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK(drl_file_write(NULL, "x", "x", 1) == DRL_E_ARGUMENT, "no context");
    CHECK(drl_file_read(NULL, "x", &data, &size) == DRL_E_ARGUMENT, "no context");
    drl_file_free(ctx, NULL);
    remove("test_io.bin");
}

/* A file is written under a temporary name first. What a killed process left under that name is no obstacle,
 * and a link that somebody put there is not followed. */
static void test_file_leftovers(void)
{
    char first[sizeof io_temporary];
    FILE *f;
    CHECK_OK(ctx, drl_file_write(ctx, "./test_io.bin", "new", 3));
    CHECK(holds("test_io.bin", "new", 3) && !exists(io_temporary), "written");
    strcpy(first, io_temporary);
    f = fopen(first, "wb");
    if (f) {
        fputs("half a fi", f);
        fclose(f);
    }
    CHECK_OK(ctx, drl_file_write(ctx, "./test_io.bin", "newer", 5));
    CHECK(holds("test_io.bin", "newer", 5) && !exists(io_temporary) && holds(first, "half a fi", 9),
          "written over leftovers");
    remove(first);
#ifdef IO_POSIX
    CHECK_OK(ctx, drl_file_write(ctx, "test_io.victim", "mine", 4));
    CHECK_OK(ctx, drl_file_write(ctx, "./test_io.bin", "newer", 5));
    CHECK(!strcmp(first, io_temporary) && symlink("test_io.victim", first) == 0, "no link in its place");
    CHECK_OK(ctx, drl_file_write(ctx, "./test_io.bin", "newest", 6));
    CHECK(holds("test_io.victim", "mine", 4) && holds("test_io.bin", "newest", 6), "a link was followed");
    remove(first);
    remove("test_io.victim");
#endif
    remove("test_io.bin");
}

/* The tests of what is written over have a folder of their own. */
#define DIR_ "test_io.d/"
#ifdef IO_POSIX
static mode_t mode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

static int is_link(const char *path)
{
    char text[16];
    return readlink(path, text, sizeof text) > 0;
}

/* Makes the folder, with the folder sub/ and the file "file" of mode 0640 in it. Returns the mask for
 * folder_end. */
static mode_t folder_begin(void)
{
    mode_t mask = umask(027);
    (void)mkdir("test_io.d", 0777);
    (void)mkdir(DIR_ "sub", 0777);
    CHECK_OK(ctx, drl_file_write(ctx, DIR_ "file", "old", 3));
    return mask;
}

static void folder_end(mode_t mask)
{
    remove(DIR_ "file");
    CHECK(rmdir(DIR_ "sub") == 0 && rmdir("test_io.d") == 0, "temporary files are left");
    umask(mask);
}

/* What is written over keeps its permissions; read-only files stay as they are. */
static void test_target_modes(void)
{
    static const mode_t modes[] = { 0600, 0640, 0644, 0664, 0755, 0200, 04755 };
    mode_t mask = folder_begin();
    size_t i;
    CHECK(mode_of(DIR_ "file") == 0640, "a new file has mode 0%o", (unsigned)mode_of(DIR_ "file"));
    for (i = 0; i < sizeof modes / sizeof *modes; ++i) {
        if (!(modes[i] & 0400) && geteuid() != 0) continue;
        CHECK(chmod(DIR_ "file", modes[i]) == 0, "chmod");
        CHECK_OK(ctx, drl_file_write(ctx, DIR_ "file", "newer", 5));
        CHECK(mode_of(DIR_ "file") == modes[i], "a file of mode 0%o has 0%o after it was written over",
              (unsigned)modes[i], (unsigned)mode_of(DIR_ "file"));
    }
    for (i = 0; i < 2; ++i) {
        CHECK(chmod(DIR_ "file", i ? 0555 : 0444) == 0, "chmod");
        CHECK_FAILS(drl_file_write(ctx, DIR_ "file", "x", 1), DRL_E_IO, "the file is read-only");
    }
    CHECK(chmod(DIR_ "file", 0600) == 0, "chmod");
    CHECK(holds(DIR_ "file", "newer", 5), "a read-only file was written over");
    folder_end(mask);
}

/* Links are followed, over other links and folders, also to a file that is not there yet. */
static void test_target_links(void)
{
    static const struct { const char *link, *to; } links[] = {
        { DIR_ "link", "file" },
        { DIR_ "chain", "link" },
        { DIR_ "sub/up", "../file" },
        { DIR_ "sub/far", "up" },
        { DIR_ "round", "sub/../chain" }
    };
    mode_t mask = folder_begin();
    size_t i;
    CHECK(chmod(DIR_ "file", 0600) == 0, "chmod");
    for (i = 0; i < sizeof links / sizeof *links; ++i) {
        CHECK(symlink(links[i].to, links[i].link) == 0, "%s", links[i].link);
        CHECK_OK(ctx, drl_file_write(ctx, links[i].link, &"abcdefgh"[i], 1));
        CHECK(is_link(links[i].link) && !is_link(DIR_ "file") && holds(DIR_ "file", &"abcdefgh"[i], 1) &&
              mode_of(DIR_ "file") == 0600, "%s -> %s", links[i].link, links[i].to);
    }
    CHECK(symlink("sub/made", DIR_ "dangling") == 0, "a link to nothing");
    CHECK_OK(ctx, drl_file_write(ctx, DIR_ "dangling", "made", 4));
    CHECK(is_link(DIR_ "dangling") && !is_link(DIR_ "sub/made") && holds(DIR_ "sub/made", "made", 4),
          "a link to nothing makes the file that it names");
    for (i = 0; i < sizeof links / sizeof *links; ++i) remove(links[i].link);
    remove(DIR_ "dangling");
    remove(DIR_ "sub/made");
    folder_end(mask);
}

/* What is no regular file is refused and stays as it is, also at the end of a link. */
static void test_target_kinds(void)
{
    static const char *const refused[][3] = {       /* a link, what it leads to, what the sentence says */
        { DIR_ "null", "/dev/null", "not a regular file" },
        { DIR_ "full", "/dev/full", "not a regular file" },
        { DIR_ "folder", "sub", "not a regular file" },
        { DIR_ "to_pipe", "pipe", "not a regular file" },
        { DIR_ "circle", "circle", "symbolic links" },
        { DIR_ "wheel", "sub/../wheel", "symbolic links" },
        { DIR_ "hang", "none/none", "cannot" },
        { DIR_ "proc", "/proc/self/comm", "/proc" },
        { DIR_ "dev", "/dev/drl_no_such_device", "/dev" }
    };
    mode_t mask = folder_begin();
    size_t i;
    CHECK(mkfifo(DIR_ "pipe", 0666) == 0, "a pipe with a name");
    CHECK_FAILS(drl_file_write(ctx, DIR_ "pipe", "x", 1), DRL_E_IO, "not a regular file");
    for (i = 0; i < sizeof refused / sizeof *refused; ++i) {
        struct stat before, after;
        int there;
        CHECK(symlink(refused[i][1], refused[i][0]) == 0, "%s", refused[i][0]);
        there = stat(refused[i][0], &before) == 0;
        CHECK_FAILS(drl_file_write(ctx, refused[i][0], "x", 1), DRL_E_IO, refused[i][2]);
        CHECK(is_link(refused[i][0]) && (stat(refused[i][0], &after) == 0) == there &&
              (!there || before.st_ino == after.st_ino),
              "%s -> %s was replaced", refused[i][0], refused[i][1]);
        remove(refused[i][0]);
    }
    remove(DIR_ "pipe");
    folder_end(mask);
}

/* Through a descriptor: of a file with a name, of one that has lost its name, and of a pipe. */
static void test_target_descriptors(void)
{
    mode_t mask = folder_begin();
    int file = open(DIR_ "file", O_RDWR), descriptors[2];
    char name[64];
    sprintf(name, "/proc/self/fd/%d", file);
    if (file >= 0 && is_link(name)) {
        CHECK(symlink(name, DIR_ "fd") == 0, "a link to a descriptor");
        CHECK_OK(ctx, drl_file_write(ctx, DIR_ "fd", "through", 7));
        CHECK(is_link(DIR_ "fd") && holds(DIR_ "file", "through", 7), "the descriptor's file has not got it");
        CHECK_FAILS(drl_file_write(ctx, DIR_ "fd", "x", 1), DRL_E_IO, "no name");   /* it has been replaced */
        remove(DIR_ "fd");
        if (pipe(descriptors) == 0) {
            sprintf(name, "/proc/self/fd/%d", descriptors[1]);
            CHECK(symlink(name, DIR_ "fd") == 0, "a link to a pipe");
            CHECK_FAILS(drl_file_write(ctx, DIR_ "fd", "x", 1), DRL_E_IO, "not a regular file");
            close(descriptors[0]);
            close(descriptors[1]);
            remove(DIR_ "fd");
        }
    }
    if (file >= 0) close(file);
    folder_end(mask);
}

/* Names of every length that the file system takes, and a path of more than 2,000 bytes. */
static void test_target_names(void)
{
    char name[5000], folder[2100];
    mode_t mask = folder_begin();
    size_t i, k;
    for (i = 200; i <= 255; ++i) {
        strcpy(name, DIR_);
        memset(name + strlen(DIR_), 'n', i);
        name[strlen(DIR_) + i] = 0;
        CHECK_OK(ctx, drl_file_write(ctx, name, "long", 4));
        CHECK(holds(name, "long", 4), "a name of %d bytes", (int)i);
        remove(name);
    }
    strcpy(folder, DIR_ "sub");
    for (k = 0; k < 8; ++k) {
        size_t at = strlen(folder);
        folder[at] = '/';
        memset(folder + at + 1, 'f', 250);
        folder[at + 251] = 0;
        CHECK(mkdir(folder, 0777) == 0, "a deep folder");
    }
    sprintf(name, "%s/%s", folder, "file");
    CHECK_OK(ctx, drl_file_write(ctx, name, "deep", 4));
    CHECK(holds(name, "deep", 4), "a path of %d bytes", (int)strlen(name));
    remove(name);
    for (; k > 0; --k) {
        CHECK(rmdir(folder) == 0, "the deep folder is not empty");
        *strrchr(folder, '/') = 0;
    }
    folder_end(mask);
}
#else
/* Read-only files stay as they are; names may be long. */
static void test_targets_windows(void)
{
    char name[300];
    (void)_mkdir("test_io.d");
    CHECK_OK(ctx, drl_file_write(ctx, DIR_ "file", "old", 3));
    CHECK(_chmod(DIR_ "file", _S_IREAD) == 0, "chmod");
    CHECK_FAILS(drl_file_write(ctx, DIR_ "file", "x", 1), DRL_E_IO, "the file is read-only");
    CHECK(holds(DIR_ "file", "old", 3), "a read-only file was written over");
    CHECK(_chmod(DIR_ "file", _S_IREAD | _S_IWRITE) == 0, "chmod");
    CHECK_OK(ctx, drl_file_write(ctx, DIR_ "file", "new", 3));
    CHECK(holds(DIR_ "file", "new", 3), "written over");
    strcpy(name, DIR_);
    memset(name + strlen(DIR_), 'n', 100);
    name[strlen(DIR_) + 100] = 0;
    CHECK_OK(ctx, drl_file_write(ctx, name, "long", 4));
    CHECK(holds(name, "long", 4), "a long name");
    remove(name);
    remove(DIR_ "file");
    CHECK(_rmdir("test_io.d") == 0, "temporary files are left");
}
#endif
#undef DIR_

/* One of three writers, which write the sample, its first array, and ten bytes. */
enum { WRITERS = 3 };
static drl_status write_with(int writer, const drl_safetensors_desc *d)
{
    if (writer == 0) return drl_safetensors_write_file(ctx, "test_io.out", d);
    if (writer == 1) return drl_npy_write_file(ctx, "test_io.out", &d->arrays[0]);
    return drl_file_write(ctx, "test_io.out", "0123456789", 10);
}

/* Every call in turn fails, in every writer: the file is whole, the old one or the new one, and no temporary
 * file is left. */
static void test_failing_writes(void)
{
    static const char old_bytes[] = "the old file";
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    unsigned char fresh[WRITERS][2048] = { "", "", "0123456789" };
    size_t bytes[WRITERS] = { 0, 0, 10 };
    int writer, failed, done, refused;
    long n;
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &d, fresh[0], sizeof fresh[0], &bytes[0]));
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &arrays[0], fresh[1], sizeof fresh[1], &bytes[1]));
    for (writer = 0; writer < WRITERS; ++writer) {
        failed = done = refused = 0;
        for (n = 1; !done && n < 1000; ++n) {
            drl_status status;
            FILE *f = fopen("test_io.out", "wb");
            if (!f) exit(2);
            fwrite(old_bytes, 1, sizeof old_bytes, f);
            fclose(f);
#ifdef IO_POSIX
            chmod("test_io.out", 0644);     /* not what a temporary file has */
#endif
            io_fail(n);
            status = write_with(writer, &d);
            io_fail_at = 0;
            done = io_calls < n;
            if (status == DRL_OK)
                CHECK(holds("test_io.out", fresh[writer], bytes[writer]),
                      "writer %d, call %ld: not the new file", writer, n);
            else {
                ++failed;
                refused |= io_failed;
                CHECK(status == DRL_E_IO && drl_ctx_message(ctx)[0],
                      "writer %d, call %ld: %s", writer, n, drl_status_text(status));
                CHECK(holds("test_io.out", old_bytes, sizeof old_bytes),
                      "writer %d, call %ld: not the old file", writer, n);
            }
            if (done)
                CHECK(status == DRL_OK, "writer %d without a failure: %s", writer, drl_ctx_message(ctx));
            CHECK(!exists(io_temporary), "writer %d, call %ld: %s is left", writer, n, io_temporary);
            clean("failing writes");
        }
        CHECK(done && refused == IO_WRITERS, "writer %d: %d calls failed, of kinds %d instead of %d",
              writer, failed, refused, IO_WRITERS);
    }
    remove("test_io.out");
}

static void test_failing_reads(void)
{
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    int failed = 0, done = 0, least = 3;
    long n;
#ifdef _WIN32
    least = 2;                      /* looking at the file does not fail here, only opening and reading do */
#endif
    CHECK_OK(ctx, drl_safetensors_write_file(ctx, "test_io.out", &d));
    for (n = 1; !done && n < 1000; ++n) {
        drl_safetensors *st = NULL;
        drl_status status;
        io_fail(n);
        status = drl_safetensors_open(ctx, "test_io.out", &st);
        io_fail_at = 0;
        done = io_calls < n;
        if (status == DRL_OK) {
            CHECK(drl_safetensors_contents(st)->count == 4, "call %ld", n);
            drl_safetensors_close(st);
        } else {
            ++failed;
            CHECK(status == DRL_E_IO && st == NULL, "call %ld: %s", n, drl_status_text(status));
        }
        clean("failing reads");
    }
    CHECK(done && failed >= least, "%d reads failed", failed);
    remove("test_io.out");
}

static void make_idx(const char *path, int labels, int count, int h, int w)
{
    unsigned char file[4096] = { 0, 0, 8, 3 };
    size_t n = labels ? 8 : 16, i, data = (size_t)count * (labels ? 1 : (size_t)h * (size_t)w);
    file[3] = labels ? 1 : 3;
    file[7] = (unsigned char)count;
    file[11] = labels ? 0 : (unsigned char)h;
    file[15] = labels ? 0 : (unsigned char)w;
    for (i = 0; i < data; ++i) file[n + i] = (unsigned char)(labels ? i % 3 : i * 7);
    CHECK_OK(ctx, drl_file_write(ctx, path, file, n + data));
}

/* The n-th allocation fails, for every n, in everything that allocates. */
enum { OPEN_MEMORY, OPEN_FILE, READ_FILE, LOAD_DATASET, COPY_DATASET, WRITE_FILE, ALLOCATING };
static void test_failing_memory(void)
{
    static const char *const paths[] = { "test_io.images", "test_io.labels" };
    drl_array arrays[4];
    drl_safetensors_desc d = st_sample(arrays);
    unsigned char file[2048];
    size_t size, bytes;
    int what, done;
    long n, failures = 0;
    drl_dataset view, *ds;
    uint8_t pixels[4] = { 1, 2, 3, 4 };
    memset(&view, 0, sizeof view);
    view.count = view.height = view.width = 1;
    view.channels = 4;
    view.pixels = pixels;
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &d, file, sizeof file, &size));
    CHECK_OK(ctx, drl_safetensors_write_file(ctx, "test_io.st", &d));
    make_idx(paths[0], 0, 5, 4, 3);
    make_idx(paths[1], 1, 5, 0, 0);
    for (what = 0; what < ALLOCATING; ++what)
        for (n = 1, done = 0; !done && n < 100; ++n) {
            drl_safetensors *st = NULL;
            void *data = NULL;
            drl_status status = DRL_OK;
            ds = NULL;
            heap.fail_at = heap.calls + n;
            switch (what) {
            case OPEN_MEMORY: status = drl_safetensors_open_memory(ctx, file, size, &st); break;
            case OPEN_FILE: status = drl_safetensors_open(ctx, "test_io.st", &st); break;
            case READ_FILE: status = drl_file_read(ctx, "test_io.st", &data, &bytes); break;
            case LOAD_DATASET: status = drl_dataset_load(ctx, paths, 2, NULL, &ds); break;
            case COPY_DATASET: status = drl_dataset_copy(ctx, &view, &ds); break;
            default: status = drl_safetensors_write_file(ctx, "test_io.st", &d); break;
            }
            done = heap.calls < heap.fail_at;
            heap.fail_at = 0;
            CHECK(status == (done ? DRL_OK : DRL_E_MEMORY), "case %d, allocation %ld: %s", what, n,
                  drl_status_text(status));
            if (!done) {
                ++failures;
                CHECK(!st && !data && !ds, "case %d, allocation %ld: result touched", what, n);
            }
            drl_safetensors_close(st);
            drl_file_free(ctx, data);
            drl_dataset_destroy(ds);
            clean("failing memory");
        }
    CHECK(failures == 1 + 2 + 1 + 4 + 1 + 0, "%ld allocations failed", failures);
    remove("test_io.st");
    remove(paths[0]);
    remove(paths[1]);
}

/* --- data sets */

static drl_blob blob_of(const void *data, size_t bytes)
{
    drl_blob b;
    b.data = data;
    b.bytes = bytes;
    return b;
}

/* x / 127.5 - 1 rounded once to float; a double is wide enough that its own rounding does not show. */
static float pixel_value(int x)
{
    volatile float f = (float)((2.0 * x - 255.0) / 255.0);
    return f;
}

/* Two images of 2 x 3 in IDX, with the pixels 0..5 and 250..255 and the labels 4 and 1. */
static const unsigned char idx_images[16 + 12] = {
    0, 0, 8, 3,  0, 0, 0, 2,  0, 0, 0, 2,  0, 0, 0, 3,  0, 1, 2, 3, 4, 5,  250, 251, 252, 253, 254, 255
};
static const unsigned char idx_labels[8 + 2] = { 0, 0, 8, 1,  0, 0, 0, 2,  4, 1 };
static drl_dataset *two_images(void)
{
    drl_dataset *ds = NULL;
    drl_blob files[2];
    files[0] = blob_of(idx_images, sizeof idx_images);
    files[1] = blob_of(idx_labels, sizeof idx_labels);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, NULL, &ds));
    if (!ds) exit(2);
    return ds;
}

/* A program's own data set, over memory of its own. */
static drl_dataset own_images(const uint8_t *pixels, int count, int height, int width, int channels)
{
    drl_dataset ds;
    memset(&ds, 0, sizeof ds);
    ds.count = count;
    ds.height = height;
    ds.width = width;
    ds.channels = channels;
    ds.pixels = pixels;
    return ds;
}

/* Pixels become x / 127.5 - 1; a smaller image lies in the middle of a larger one, which is -1 elsewhere. */
static void test_dataset_images(void)
{
    drl_dataset *ds = two_images(), view;
    float out[20], small[6];
    int i, wrong = 0;
    CHECK(ds->count == 2 && ds->height == 2 && ds->width == 3 && ds->channels == 1 && ds->classes == 5,
          "%d images, %d classes", ds->count, ds->classes);
    CHECK(memcmp(ds->pixels, idx_images + 16, 12) == 0, "pixels");
    CHECK(ds->labels[0] == 5 && ds->labels[1] == 2, "files count labels from 0, classes from 1");
    CHECK_OK(ctx, drl_dataset_image(ctx, ds, 1, 5, 4, out));
    for (i = 0; i < 20; ++i) {      /* 2 x 3 in 5 x 4: one row above, two below, no column left, one right */
        int y = i / 4 - 1, x = i % 4, inside = y >= 0 && y < 2 && x < 3;
        wrong += out[i] != (inside ? pixel_value(250 + y * 3 + x) : -1.0f);
    }
    CHECK(wrong == 0, "%d padded pixels are wrong", wrong);
    CHECK_OK(ctx, drl_dataset_image(ctx, ds, 0, 2, 3, small));
    CHECK(small[0] == -1.0f && small[5] == pixel_value(5), "%g", (double)small[5]);
    CHECK_OK(ctx, drl_dataset_image(ctx, ds, 1, 2, 3, small));
    CHECK(small[5] == 1.0f, "255 is %g", (double)small[5]);
    for (i = 0, wrong = 0; i < 256; ++i) {
        uint8_t level = (uint8_t)i;
        view = own_images(&level, 1, 1, 1, 1);
        wrong += drl_dataset_image(ctx, &view, 0, 1, 1, out) != DRL_OK || out[0] != pixel_value(i);
    }
    CHECK(wrong == 0, "%d of 256 pixel values are wrong", wrong);
    drl_dataset_destroy(ds);
    clean("images");
}

/* Images and batches that cannot be: nothing is written, and the random numbers stay where they are. */
static void test_dataset_refusals(void)
{
    drl_dataset *ds = two_images();
    drl_rng rng = { 3, 0, 0 };
    float small[6] = { 0, 0, 0, 0, 0, 1 };
    int huge = INT32_MAX;
    CHECK(drl_dataset_image(ctx, ds, 0, 1, 3, small) == DRL_E_SHAPE &&
          strstr(drl_ctx_message(ctx), "images of 2 x 3 do not fit 1 x 3"), "%s", drl_ctx_message(ctx));
    CHECK(small[5] == 1.0f, "output after a failure");
    drl_ctx_clear(ctx);
    CHECK(drl_dataset_image(ctx, ds, 0, 2, 2, small) == DRL_E_SHAPE, "too narrow");
    CHECK(drl_dataset_image(ctx, ds, 2, 2, 3, small) == DRL_E_ARGUMENT, "image 2 of 2");
    CHECK(drl_dataset_image(ctx, ds, -1, 2, 3, small) == DRL_E_ARGUMENT, "image -1");
    CHECK(drl_dataset_image(ctx, ds, 0, 2, 3, NULL) == DRL_E_ARGUMENT, "nowhere to write");
    CHECK(drl_dataset_image(NULL, ds, 0, 2, 3, small) == DRL_E_ARGUMENT, "no context");
    CHECK(drl_dataset_image(ctx, NULL, 0, 2, 3, small) == DRL_E_ARGUMENT, "no data set");
    CHECK(drl_dataset_image(ctx, ds, 0, huge, huge, NULL) != DRL_OK, "a huge image");
    CHECK(drl_dataset_batch(ctx, ds, &rng, 0, 2, 3, small, NULL) == DRL_E_ARGUMENT, "a batch of none");
    CHECK(drl_dataset_batch(ctx, ds, &rng, -1, 2, 3, small, NULL) == DRL_E_ARGUMENT, "a batch of -1");
    CHECK(drl_dataset_batch(ctx, ds, NULL, 1, 2, 3, small, NULL) == DRL_E_ARGUMENT, "no random numbers");
    CHECK(drl_dataset_batch(ctx, ds, &rng, 1, 2, 3, NULL, NULL) == DRL_E_ARGUMENT, "nowhere to write");
    CHECK(drl_dataset_batch(ctx, ds, &rng, 1, 1, 1, small, NULL) == DRL_E_SHAPE, "too small");
    CHECK(drl_dataset_batch(ctx, ds, &rng, huge, huge, huge, small, NULL) == DRL_E_SHAPE, "a huge batch");
    CHECK(rng.position == 0, "rng moved by a failure");
    drl_ctx_clear(ctx);
    drl_dataset_destroy(ds);
    clean("refusals");
}

/* A batch draws its images with drl_rng_below, one number for each, and puts each in its place. */
static void test_dataset_batch(void)
{
    drl_dataset *ds = two_images();
    drl_rng rng = { 3, 0, 0 }, same;
    float out[6 * 30], small[6], one[30];
    int k, index, label, chosen[6], seen = 0, wrong = 0;
    for (k = 0; k < 64; ++k) {
        same = rng;
        index = drl_rng_below(&same, 2);
        CHECK_OK(ctx, drl_dataset_batch(ctx, ds, &rng, 1, 2, 3, small, &label));
        wrong += rng.position != same.position || label != (index ? 2 : 5) ||
                 small[1] != pixel_value(index ? 251 : 1);
        seen |= 1 << index;
    }
    CHECK(seen == 3 && wrong == 0, "uniform draws: %d, %d wrong", seen, wrong);
    same = rng;
    CHECK_OK(ctx, drl_dataset_batch(ctx, ds, &rng, 6, 6, 5, out, chosen));
    for (k = 0; k < 6; ++k) {
        index = drl_rng_below(&same, 2);
        CHECK_OK(ctx, drl_dataset_image(ctx, ds, index, 6, 5, one));
        CHECK(chosen[k] == ds->labels[index], "label %d of a batch", k);
        CHECK(memcmp(out + 30 * k, one, sizeof one) == 0, "image %d of a batch", k);
    }
    CHECK_OK(ctx, drl_dataset_batch(ctx, ds, &rng, 2, 6, 5, out, NULL));
    drl_dataset_destroy(ds);
    clean("batch");
}

/* A copy has memory of its own; a program's own data set has nothing to free. */
static void test_dataset_copy(void)
{
    drl_dataset *ds = two_images(), *copy = NULL, view;
    drl_rng rng = { 3, 0, 0 };
    float out[6];
    int chosen[1];
    CHECK_OK(ctx, drl_dataset_copy(ctx, ds, &copy));
    CHECK(copy != ds && copy->pixels != ds->pixels && memcmp(copy->pixels, ds->pixels, 12) == 0 &&
          memcmp(copy->labels, ds->labels, 2) == 0 && copy->classes == 5, "copy");
    drl_dataset_destroy(copy);
    view = *ds;
    view.owner = NULL;
    drl_dataset_destroy(&view);
    view.classes = 9;
    CHECK_OK(ctx, drl_dataset_copy(ctx, &view, &copy));
    CHECK(copy->classes == 9, "%d classes", copy->classes);
    drl_dataset_destroy(copy);
    drl_dataset_destroy(ds);
    drl_dataset_destroy(NULL);
    clean("data set");

    view = own_images(idx_images, 2, 2, 3, 1);
    view.labels = (const uint8_t *)"\5\0";                      /* the second one has no class */
    view.classes = 4;
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "4 classes, the labels have 5");
    view.labels = NULL;
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "4 classes");
    view.classes = 0;
    CHECK_FAILS(drl_dataset_batch(ctx, &view, &rng, 1, 2, 3, out, chosen), DRL_E_ARGUMENT, "has none");
    CHECK_FAILS(drl_dataset_copy(ctx, &view, NULL), DRL_E_ARGUMENT, "NULL");
    view.channels = 5;
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "2 x 3 x 5");
    view = own_images(idx_images, INT32_MAX, INT32_MAX, INT32_MAX, 4);
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_MEMORY, "cannot be addressed");
    view = own_images(idx_images, 0, 2, 3, 1);
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "0 images");
    view = own_images(NULL, 1, 2, 3, 1);
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "NULL");
}

/* NPY files in memory: images of one byte a number, and one label of 64 bits behind 128 bytes of header. */
typedef struct npy_small { unsigned char bytes[300]; } npy_small;
static drl_blob npy_images(npy_small *file, size_t n, size_t h, size_t w, size_t c)
{
    size_t shape[4], size;
    drl_array a;
    shape[0] = n;
    shape[1] = h;
    shape[2] = w;
    shape[3] = c;
    a = drl_array_of("", DRL_DTYPE_U8, 4, shape, idx_images + 16);
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file->bytes, sizeof file->bytes, &size));
    return blob_of(file->bytes, size);
}
static drl_blob npy_label(npy_small *file, int64_t label)
{
    size_t one = 1, size;
    drl_array a = drl_array_of("", DRL_DTYPE_I64, 1, &one, &label);
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, file->bytes, sizeof file->bytes, &size));
    return blob_of(file->bytes, size);
}

/* Several files of images and labels, of NPY and IDX, are strung together. */
static void test_dataset_strung(void)
{
    static npy_small images, label;
    drl_blob files[4];
    drl_dataset *ds = NULL;
    files[0] = blob_of(idx_images, sizeof idx_images);
    files[1] = npy_images(&images, 1, 2, 3, 1);
    files[2] = blob_of(idx_labels, sizeof idx_labels);
    files[3] = npy_label(&label, 7);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 4, NULL, &ds));
    CHECK(ds->count == 3 && ds->pixels[12] == 0 && ds->pixels[17] == 5, "images strung together");
    CHECK(ds->classes == 8 && ds->labels[2] == 8, "labels strung together");
    drl_dataset_destroy(ds);
    clean("strung together");
    ds = NULL;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 3, NULL, &ds), DRL_E_SHAPE, "2 labels for 3 images");
    CHECK_FAILS(drl_dataset_parse(ctx, files + 2, 2, NULL, &ds), DRL_E_FORMAT, "2 files and no images");
    npy_label(&label, 254);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 4, NULL, &ds));
    CHECK(ds->classes == 255 && ds->labels[2] == 255, "the largest label");
    drl_dataset_destroy(ds);
    clean("the largest label");
    ds = NULL;
    npy_label(&label, 255);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 4, NULL, &ds), DRL_E_FORMAT,
                "data set file 3: label 0 is not in 0..254");
    npy_label(&label, -1);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 4, NULL, &ds), DRL_E_FORMAT, "label 0 is not in 0..254");
    CHECK(ds == NULL, "a result after a failure");
}

/* Images of another size than those before them, and of sizes that no image has. */
static void test_dataset_shapes(void)
{
    static npy_small images;
    drl_blob files[2];
    drl_dataset *ds = NULL;
    files[0] = blob_of(idx_images, sizeof idx_images);
    files[1] = npy_images(&images, 1, 3, 2, 1);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE,
                "images of 3 x 2 x 1 after images of 2 x 3 x 1");
    files[1] = npy_images(&images, 1, 2, 2, 1);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE,
                "images of 2 x 2 x 1 after images of 2 x 3 x 1");
    files[1] = npy_images(&images, 1, 2, 3, 2);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE,
                "images of 2 x 3 x 2 after images of 2 x 3 x 1");
    files[0] = npy_images(&images, 1, 1, 1, 5);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, NULL, &ds), DRL_E_SHAPE, "5 channels");
    files[0] = npy_images(&images, 1, 0, 1, 5);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, NULL, &ds), DRL_E_SHAPE, "axis 1 has length 0");
    CHECK(ds == NULL, "a result after a failure");
}

/* Rows of CIFAR-10: planes become pixels, and a row that begins like IDX is still a row. */
static void test_cifar10(void)
{
    static uint8_t rows[2 * 3073];
    drl_blob files[3];
    drl_dataset *ds = NULL;
    size_t i, c;
    int wrong = 0;
    for (i = 0; i < sizeof rows; ++i) rows[i] = (uint8_t)(i * 31 >> 3);
    rows[0] = 0;
    rows[1] = 0;
    rows[2] = 8;
    rows[3] = 3;
    rows[3073] = 9;
    files[0] = blob_of(rows, sizeof rows);
    files[1] = blob_of(rows, 3073);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, NULL, &ds));
    CHECK(ds->count == 3 && ds->height == 32 && ds->width == 32 && ds->channels == 3 && ds->classes == 10,
          "%d rows", ds->count);
    for (i = 0; i < 1024; ++i) {
        for (c = 0; c < 3; ++c) {
            wrong += ds->pixels[3072 + 3 * i + c] != rows[3073 + 1 + 1024 * c + i];
            wrong += ds->pixels[2 * 3072 + 3 * i + c] != rows[1 + 1024 * c + i];
        }
    }
    CHECK(wrong == 0 && ds->labels[0] == 1 && ds->labels[1] == 10 && ds->labels[2] == 1,
          "%d bytes of CIFAR are wrong", wrong);
    drl_dataset_destroy(ds);
    ds = NULL;
    clean("CIFAR");
    rows[3073] = 10;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, NULL, &ds), DRL_E_FORMAT,
                "row 1 of CIFAR-10 has the label 10");
    rows[3073] = 1;
    rows[0] = 1;
    files[0].bytes--;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, NULL, &ds), DRL_E_FORMAT,
                "6145 bytes that are not NPY, IDX, P5 to P7 of netpbm, or rows of CIFAR");
    files[0].bytes = 0;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, NULL, &ds), DRL_E_FORMAT, "this is an empty file");
    files[0] = blob_of(idx_images, sizeof idx_images);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_FORMAT, "do not mix");
    files[2] = files[0];
    CHECK_FAILS(drl_dataset_parse(ctx, files + 1, 2, NULL, &ds), DRL_E_FORMAT, "do not mix");
    CHECK(ds == NULL, "a result after a failure");
}

/* Files that are cut or absent, and arguments that are missing. */
static void test_dataset_arguments(void)
{
    const char *paths[2] = { "test_io.absent", NULL };
    drl_blob file = blob_of(idx_images, sizeof idx_images - 1);
    drl_dataset *ds = NULL;
    CHECK_FAILS(drl_dataset_parse(ctx, &file, 1, NULL, &ds), DRL_E_FORMAT,
                "11 bytes of data, the shape needs 12");
    file.data = NULL;
    CHECK_FAILS(drl_dataset_parse(ctx, &file, 1, NULL, &ds), DRL_E_ARGUMENT, "file 0 has no data");
    CHECK_FAILS(drl_dataset_parse(ctx, &file, 0, NULL, &ds), DRL_E_ARGUMENT, "below 1");
    CHECK_FAILS(drl_dataset_parse(ctx, NULL, 1, NULL, &ds), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_dataset_parse(ctx, &file, 1, NULL, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK(drl_dataset_parse(NULL, &file, 1, NULL, &ds) == DRL_E_ARGUMENT, "no context");
    CHECK_FAILS(drl_dataset_load(ctx, paths, 1, NULL, &ds), DRL_E_IO, "test_io.absent");
    CHECK_FAILS(drl_dataset_load(ctx, paths, 2, NULL, &ds), DRL_E_ARGUMENT, "path 1 is NULL");
    CHECK_FAILS(drl_dataset_load(ctx, paths, 0, NULL, &ds), DRL_E_ARGUMENT, "below 1");
    CHECK_FAILS(drl_dataset_load(ctx, NULL, 1, NULL, &ds), DRL_E_ARGUMENT, "NULL");
    CHECK_FAILS(drl_dataset_load(ctx, paths, 1, NULL, NULL), DRL_E_ARGUMENT, "NULL");
    CHECK(drl_dataset_load(NULL, paths, 1, NULL, &ds) == DRL_E_ARGUMENT, "no context");
    CHECK(ds == NULL, "a result after a failure");
}

/* --- data sets that people have */

typedef struct npy_file { size_t n; unsigned char bytes[24000]; } npy_file;

/* The bits of a number as an element of this type ("f4", "u2" ...), which can hold it. */
static uint64_t bits_of(double d, const char *type)
{
    size_t size = (size_t)(type[1] - '0');
    float f = (float)d;
    uint32_t single;
    uint64_t bits;
    if (type[0] != 'f') return d < 0 ? 0 - (uint64_t)-d : (uint64_t)d;
    memcpy(&bits, &d, 8);
    memcpy(&single, &f, 4);
    if (size == 4) bits = single;
    if (size == 2 && d == 0) bits = 0;
    else if (size == 2)
        bits = (single >> 16 & 0x8000) | ((single >> 23 & 255) - 112) << 10 | (single >> 13 & 1023);
    return bits;
}

/* An NPY file of these elements, which are given in the order of the file. order: the byte order, '<', '>'
 * or '|'. turned: the first axis is the fastest one. */
static drl_blob npy_of(npy_file *file, char order, const char *type, int turned, const char *shape,
                       const double *value, size_t count)
{
    char header[128];
    size_t size = (size_t)(type[1] - '0'), at, i, k;
    snprintf(header, sizeof header, "{'descr': '%c%s', 'fortran_order': %s, 'shape': (%s), }",
             order, type, turned ? "True" : "False", shape);
    memset(file->bytes, ' ', 128);
    memcpy(file->bytes, "\x93NUMPY\1\0\166\0", 10);
    memcpy(file->bytes + 10, header, strlen(header));
    file->bytes[127] = '\n';
    CHECK(128 + count * size <= sizeof file->bytes && 10 + strlen(header) < 127, "room for %s", header);
    for (i = 0, at = 128; i < count; ++i, at += size) {
        uint64_t bits = bits_of(value[i], type);
        for (k = 0; k < size; ++k)
            file->bytes[at + k] = (unsigned char)(bits >> 8 * (order == '>' ? size - 1 - k : k));
    }
    file->n = at;
    return blob_of(file->bytes, at);
}

enum { LN = 2, LH = 5, LW = 6 };                    /* images, height, width */

/* A type of element, a factor for the numbers, their range (0, 0: that of the type), and whether the images
 * become floats. */
typedef struct layout_type { const char *type; double times, low, high; int floats; } layout_type;

/* The number at row y, column x, channel z of image n. */
static double layout_value(const layout_type *t, int n, int y, int x, int z)
{
    int v = (n * 97 + y * 31 + x * 7 + z * 13) % 255 + 1;
    if (t->type[0] == 'b') return v & 1;
    return t->type[0] == 'f' ? (v - 1) * t->times : floor(v * t->times);
}

/* Where element i of a file with these axes lies. turned: the first axis is the fastest. In a matrix, which
 * has a row for each image, turning only exchanges images and elements of images. */
static void layout_place(size_t i, const size_t axes[4], int turned, int matrix, int at[4])
{
    size_t k, row = axes[1] * axes[2] * axes[3];
    if (turned && matrix) i = i % axes[0] * row + i / axes[0];
    if (turned && !matrix) for (k = 0; k < 4; i /= axes[k++]) at[k] = (int)(i % axes[k]);
    else for (k = 4; k-- > 0; i /= axes[k]) at[k] = (int)(i % axes[k]);
}

/* One file, of rank 4, 2 or 3, is read and compared number by number. Values in [-1, 1] may differ by 2e-7,
 * less than two spacings of floats near 1. */
static void one_layout(const layout_type *t, char order, int c, drl_layout layout, int turned, int rank)
{
    static npy_file file;
    static double value[LN * LH * LW * 4];
    float one[LH * LW * 4];
    int planes = layout == DRL_LAYOUT_NCHW, n, y, x, z, wrong = 0, at[4];
    size_t axes[4], i, count = (size_t)(LN * LH * LW * c);
    double low = t->low, high = t->high;
    char shape[64];
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    drl_blob blob;
    memset(&d, 0, sizeof d);
    d.layout = layout;
    d.low = low;
    d.high = high;
    if (low == high) high = t->type[0] != 'u' ? 1 : t->type[1] == '1' ? 255 : 65535;
    axes[0] = LN;
    axes[1] = (size_t)(planes ? c : LH);
    axes[2] = (size_t)(planes ? LH : LW);
    axes[3] = (size_t)(planes ? LW : c);
    if (rank == 2) {
        d.height = LH;
        d.width = LW;
        snprintf(shape, sizeof shape, "%d, %d", LN, LH * LW * c);
    } else if (rank == 3) snprintf(shape, sizeof shape, "%d, %d, %d", LN, LH, LW);
    else snprintf(shape, sizeof shape, "%d, %d, %d, %d", LN, (int)axes[1], (int)axes[2], (int)axes[3]);
    for (i = 0; i < count; ++i) {
        layout_place(i, axes, turned, rank == 2, at);
        value[i] = layout_value(t, at[0], at[planes ? 2 : 1], at[planes ? 3 : 2], at[planes ? 1 : 3]);
    }
    blob = npy_of(&file, t->type[1] == '1' ? '|' : order, t->type, turned, shape, value, count);
    CHECK_OK(ctx, drl_dataset_parse(ctx, &blob, 1, &d, &ds));
    CHECK(ds, "type %s, layout %d, shape %s, turned %d", t->type, (int)layout, shape, turned);
    if (!ds) return;
    CHECK(ds->count == LN && ds->height == LH && ds->width == LW && ds->channels == c, "sizes: %s", shape);
    CHECK(!ds->values == !t->floats && !ds->pixels == !!t->floats, "kind of %s", t->type);
    for (n = 0; n < LN; ++n) {
        CHECK_OK(ctx, drl_dataset_image(ctx, ds, n, LH, LW, one));
        for (y = 0; y < LH; ++y) for (x = 0; x < LW; ++x) for (z = 0; z < c; ++z) {
            double want = 2 * (layout_value(t, n, y, x, z) - low) / (high - low) - 1;
            if (c % 2 == 0 && layout_value(t, n, y, x, c - 1) == low) want = -1;        /* alpha 0 */
            wrong += fabs((double)(one[(y * LW + x) * c + z] - (float)want)) > 2e-7;
        }
    }
    CHECK(wrong == 0, "%s, layout %d, shape %s, turned %d: %d elements are wrong",
          t->type, (int)layout, shape, turned, wrong);
    drl_dataset_destroy(ds);
    clean("layouts");
}

/* Every type, in both byte orders, with 1 to 4 channels, first or last; the first axis is the fastest, or
 * the last one; as images, as rows of a matrix, and as grey images without an axis of channels. */
static void test_layouts(void)
{
    static const layout_type types[] = {
        { "u1", 1, 0, 0, 0 },
        { "u1", 1, 0, 255, 0 },
        { "u1", 1, -10, 300, 1 },
        { "b1", 0, 0, 0, 0 },
        { "u2", 257, 0, 0, 1 },
        { "u2", 1, 0, 255, 0 },
        { "u2", 16, 0, 4095, 1 },
        { "i8", 1, 0, 255, 0 },
        { "i4", 1, -1, 256, 1 },
        { "i1", 0.25, -128, 127, 1 },
        { "u4", 1, 0, 255, 0 },
        { "f2", 1.0 / 256, 0, 0, 1 },
        { "f4", 1.0 / 256, 0, 0, 1 },
        { "f8", 1.0 / 256, 0, 0, 1 },
        { "f4", 1, 0, 255, 1 },
        { "f4", 1.0 / 128, -1, 2, 1 }
    };
    int t, c, layout, turned;
    for (t = 0; t < (int)(sizeof types / sizeof types[0]); ++t)
        for (c = 1; c <= 4; ++c)
            for (layout = 1; layout <= 2; ++layout)
                for (turned = 0; turned < 2; ++turned) {
                    one_layout(&types[t], '<', c, (drl_layout)layout, turned, 4);
                    one_layout(&types[t], '>', c, (drl_layout)layout, turned, 4);
                    one_layout(&types[t], '<', c, (drl_layout)layout, turned, 2);
                    one_layout(&types[t], '>', c, (drl_layout)layout, turned, 2);
                    if (c > 1) continue;
                    one_layout(&types[t], '<', c, (drl_layout)layout, turned, 3);
                    one_layout(&types[t], '>', c, (drl_layout)layout, turned, 3);
                }
}

/* Reads an NPY file of this type and shape, of a 0 and count - 1 times the value. It is refused with this
 * sentence, or read as images whose "count height width channels" are the sentence. */
static void ask(const char *type, const char *shape, size_t count, double value, const drl_dataset_desc *d,
                drl_status status, const char *sentence)
{
    static npy_file file;
    static double values[3000];
    drl_dataset *ds = NULL;
    drl_blob blob;
    char got[64];
    size_t i;
    for (i = 0; i < count; ++i) values[i] = i ? value : 0;
    blob = npy_of(&file, type[1] == '1' ? '|' : '<', type, 0, shape, values, count);
    if (status != DRL_OK) {
        CHECK_FAILS(drl_dataset_parse(ctx, &blob, 1, d, &ds), status, sentence);
        return;
    }
    CHECK_OK(ctx, drl_dataset_parse(ctx, &blob, 1, d, &ds));
    if (!ds) {
        printf("shape %s\n", shape);
        return;
    }
    snprintf(got, sizeof got, "%d %d %d %d", ds->count, ds->height, ds->width, ds->channels);
    CHECK(strcmp(got, sentence) == 0, "%s is read as %s, not %s", shape, got, sentence);
    drl_dataset_destroy(ds);
    clean(shape);
}

static const struct {
    const char *shape;
    size_t count;
    drl_dataset_desc d;
    drl_status status;
    const char *sentence;
} questions[] = {
#define F(layout, h, w, c) { layout, h, w, c, 0, 0, 0, NULL, 0, 0, 0 }
    { "8, 8, 3", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "8 x 8 x 3 is one image with 3 channels, or 8 grey images of 8 x 3" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_NHWC, 0, 0, 0), DRL_E_SHAPE, "is one image with 3 channels" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_NCHW, 0, 0, 0), DRL_E_SHAPE, "is one image with 3 channels" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 3), DRL_OK, "1 8 8 3" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_DEFAULT, 8, 8, 0), DRL_OK, "1 8 8 3" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 1), DRL_OK, "8 8 3 1" },
    { "8, 8, 3", 192, F(DRL_LAYOUT_DEFAULT, 8, 3, 0), DRL_OK, "8 8 3 1" },
    { "8, 8, 4", 256, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE, "is one image with 4 channels" },
    { "9, 7, 4", 252, F(DRL_LAYOUT_DEFAULT, 0, 0, 4), DRL_OK, "1 9 7 4" },
    { "8, 8, 1", 64, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "is one image with 1 channels, or 8 grey images of 8 x 1" },
    { "8, 8, 1", 64, F(DRL_LAYOUT_DEFAULT, 8, 8, 0), DRL_OK, "1 8 8 1" },
    { "8, 8, 1", 64, F(DRL_LAYOUT_DEFAULT, 8, 1, 0), DRL_OK, "8 8 1 1" },
    { "3, 8, 8", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "3 x 8 x 8 is one image with the channels first, or 3 grey images of 8 x 8" },
    { "4, 8, 9", 288, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE, "with the channels first" },
    { "3, 8, 8", 192, F(DRL_LAYOUT_NCHW, 0, 0, 3), DRL_OK, "1 8 8 3" },
    { "3, 8, 8", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 1), DRL_OK, "3 8 8 1" },
    { "3, 8, 8", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 2), DRL_E_SHAPE,
      "3 x 8 x 8 are no images of 0 x 0 x 2" },
    { "5, 8, 8", 320, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_OK, "5 8 8 1" },
    { "5, 8, 8", 320, F(DRL_LAYOUT_DEFAULT, 8, 9, 0), DRL_E_SHAPE,
      "5 x 8 x 8 are no images of 8 x 9 x 0" },
    { "1, 8, 8", 64, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_OK, "1 8 8 1" },
    { "2, 3, 8, 8", 384, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "are images of 8 channels, 1 to 4 are possible; with the channels first they have 3: set layout of "
      "drl_dataset_desc to DRL_LAYOUT_NCHW" },
    { "2, 8, 8, 3", 384, F(DRL_LAYOUT_NCHW, 0, 0, 0), DRL_E_SHAPE,
      "with the channels last they have 3: set layout of drl_dataset_desc to DRL_LAYOUT_NHWC" },
    { "2, 8, 8, 5", 640, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "are images of 5 channels, 1 to 4 are possible" },
    { "2, 3, 8, 4", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "may have its channels first or last" },
    { "2, 3, 8, 4", 192, F(DRL_LAYOUT_NHWC, 0, 0, 0), DRL_OK, "2 3 8 4" },
    { "2, 3, 8, 4", 192, F(DRL_LAYOUT_NCHW, 0, 0, 0), DRL_OK, "2 8 4 3" },
    { "2, 3, 8, 8", 384, F(DRL_LAYOUT_NCHW, 8, 9, 0), DRL_E_SHAPE,
      "images of 8 x 8 x 3; the description wants 8 x 9 x 0" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_SHAPE,
      "rows of 64 numbers: set height and width of drl_dataset_desc, perhaps to 8 and 8" },
    { "3, 63", 189, F(DRL_LAYOUT_DEFAULT, 9, 0, 0), DRL_E_SHAPE,
      "rows of 63 numbers: set height and width of drl_dataset_desc (labels" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, 8, 8, 0), DRL_OK, "3 8 8 1" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, 8, 8, 2), DRL_E_SHAPE,
      "rows of 64 numbers are no images of 8 x 8 with 2 channels" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, 8, 9, 0), DRL_E_SHAPE,
      "rows of 64 numbers are no images of 8 x 9" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, INT32_MAX, INT32_MAX, 0), DRL_E_SHAPE,
      "rows of 64 numbers are no images" },
    { "3, 64", 192, F(DRL_LAYOUT_DEFAULT, 2, 2, 0), DRL_E_SHAPE,
      "rows of 64 numbers are no images of 2 x 2" },
    { "2, 192", 384, F(DRL_LAYOUT_DEFAULT, 8, 8, 0), DRL_E_SHAPE,
      "rows of 8 x 8 x 3, channels first or last?" },
    { "2, 192", 384, F(DRL_LAYOUT_NCHW, 8, 8, 0), DRL_OK, "2 8 8 3" },
    { "2, 3, 4, 5, 6", 720, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_FORMAT, "U8 of rank 5" },
    { "", 1, F(DRL_LAYOUT_DEFAULT, 0, 0, 0), DRL_E_FORMAT, "U8 of rank 0" },
    { "5, 8, 8", 320, F((drl_layout)3, 0, 0, 0), DRL_E_ARGUMENT, "layout is 3" },
    { "5, 8, 8", 320, F(DRL_LAYOUT_DEFAULT, -1, 0, 0), DRL_E_ARGUMENT, "height is -1" },
    { "5, 8, 8", 320, F(DRL_LAYOUT_DEFAULT, 0, -2, 0), DRL_E_ARGUMENT, "width is -2" },
    { "5, 8, 8", 320, F(DRL_LAYOUT_DEFAULT, 0, 0, 5), DRL_E_ARGUMENT, "channels is 5" },
    { "5, 8, 8", 320, { DRL_LAYOUT_DEFAULT, 0, 0, 0, 2, 1, 0, NULL, 0, 0, 0 }, DRL_E_ARGUMENT,
      "low 2, high 1" },
    { "5, 8, 8", 320, { DRL_LAYOUT_DEFAULT, 0, 0, 0, 2, 2, 0, NULL, 0, 0, 0 }, DRL_E_ARGUMENT,
      "low 2, high 2" },
    { "5, 8, 8", 320, { DRL_LAYOUT_DEFAULT, 0, 0, 0, 0, 0, 1, NULL, 0, 0, 0 }, DRL_E_ARGUMENT,
      "no file is of CIFAR-100" }
#undef F
};

/* Shapes that can be read in two ways are asked about, and each answer is taken. */
static void test_questions(void)
{
    size_t i;
    for (i = 0; i < sizeof questions / sizeof questions[0]; ++i)
        ask("u1", questions[i].shape, questions[i].count, 7, &questions[i].d, questions[i].status,
            questions[i].sentence);
}

/* Numbers that do not fit the range are asked about; so are those that use only a small part of it. */
static void test_ranges(void)
{
    static const struct {
        const char *type;
        double value, low, high;
        drl_status status;
        const char *sentence;
    } ranges[] = {
        { "f4", 1, 0, 0, DRL_OK, "2 5 5 1" },
        { "f4", -1, 0, 0, DRL_E_FORMAT, "F32 from -1 to 0, the range is 0 to 1: set low and high" },
        { "f4", 255, 0, 0, DRL_E_FORMAT, "F32 from 0 to 255, the range is 0 to 1" },
        { "f4", -1, -1, 1, DRL_OK, "2 5 5 1" },
        { "f8", 1.5, -1, 1, DRL_E_FORMAT, "F64 from 0 to 1.5, the range is -1 to 1" },
        { "u1", 1, 0, 0, DRL_E_FORMAT, "U8 from 0 to 1, of 0 to 255 that it can hold" },
        { "u1", 1, 0, 1, DRL_OK, "2 5 5 1" },
        { "u1", 2, 0, 0, DRL_OK, "2 5 5 1" },
        { "u1", 200, 0, 100, DRL_E_FORMAT, "U8 from 0 to 200, the range is 0 to 100" },
        { "u2", 4095, 0, 0, DRL_E_FORMAT, "U16 from 0 to 4095, of 0 to 65535" },
        { "u2", 4095, 0, 4095, DRL_OK, "2 5 5 1" },
        { "u2", 4096, 0, 0, DRL_OK, "2 5 5 1" },
        { "i8", 9, 0, 0, DRL_E_FORMAT, "images of I64: set low and high" },
        { "i2", -300, -300, 300, DRL_OK, "2 5 5 1" },
        { "f8", HUGE_VAL, 0, 0, DRL_E_FORMAT, "element 1 is not a finite number" },
        { "f4", (double)NAN, 0, 0, DRL_E_FORMAT, "element 1 is not a finite number" }
    };
    size_t i;
    for (i = 0; i < sizeof ranges / sizeof ranges[0]; ++i) {
        drl_dataset_desc d;
        memset(&d, 0, sizeof d);
        d.low = ranges[i].low;
        d.high = ranges[i].high;
        ask(ranges[i].type, "2, 5, 5", 50, ranges[i].value, &d, ranges[i].status, ranges[i].sentence);
    }
}

/* Labels of any type and of both shapes; what is no label is refused. */
static void test_labels(void)
{
    static const char *const types[] = {
        "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "b1"
    };
    static const char *const shapes[] = { "5,", "5, 1" };
    static const double good[5] = { 3, 0, 100, 7, 7 }, flags[5] = { 1, 0, 0, 1, 1 };
    static const double bad[] = { 256, 255, -1, 0.5, 255.5, 1e30, (double)NAN };
    static npy_file images, labels;
    static double pixels[5 * 64];
    drl_dataset *ds = NULL;
    drl_blob files[2];
    size_t i, k;
    int shape, turned, big;
    for (i = 0; i < sizeof pixels / sizeof pixels[0]; ++i) pixels[i] = (double)(i % 200);
    files[0] = npy_of(&images, '|', "u1", 0, "5, 8, 8", pixels, 320);
    for (i = 0; i < sizeof types / sizeof types[0]; ++i)
        for (shape = 0; shape < 2; ++shape)
            for (turned = 0; turned < 2; ++turned)
                for (big = 0; big < 2; ++big) {
                    const double *want = types[i][0] == 'b' ? flags : good;
                    char order = types[i][1] == '1' ? '|' : big ? '>' : '<';
                    files[1] = npy_of(&labels, order, types[i], turned, shapes[shape], want, 5);
                    ds = NULL;
                    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, NULL, &ds));
                    if (!ds) continue;
                    for (k = 0; k < 5; ++k)
                        CHECK(ds->labels[k] == want[k] + 1, "label %d of %s is %d",
                              (int)k, types[i], ds->labels[k]);
                    CHECK(ds->classes == (want == good ? 101 : 2), "%d classes", ds->classes);
                    drl_dataset_destroy(ds);
                    clean("labels");
                }
    ds = NULL;
    for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        double value[5] = { 0, 0, 0, 0, 0 };
        value[3] = bad[i];
        files[1] = npy_of(&labels, '<', "f8", 0, "5, 1", value, 5);
        CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_FORMAT, "label 3 is not in 0..254");
    }
    files[1] = npy_of(&labels, '<', "f4", 0, "5, 2", pixels, 10);          /* one of several */
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE, "rows of 2 numbers");
    files[1] = npy_of(&labels, '<', "i8", 0, "4,", good, 4);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE, "4 labels for 5 images");
}

/* Rows of CIFAR-100 have a coarse and a fine label; the description says which one counts. */
static void test_cifar100(void)
{
    static uint8_t rows[2 * 3074], ten[3073];
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    drl_blob files[2];
    int coarse, k, wrong = 0;
    memset(&d, 0, sizeof d);
    for (k = 0; k < (int)sizeof rows; ++k) rows[k] = (uint8_t)(k * 37 >> 2);
    rows[0] = 19;
    rows[1] = 99;
    rows[3074] = 4;
    rows[3075] = 20;
    files[0] = blob_of(rows, sizeof rows);
    files[1] = blob_of(ten, sizeof ten);
    for (coarse = 0; coarse < 2; ++coarse) {
        d.coarse_labels = coarse;
        CHECK_OK(ctx, drl_dataset_parse(ctx, files, 1, &d, &ds));
        CHECK(ds->count == 2 && ds->height == 32 && ds->channels == 3 &&
              ds->classes == (coarse ? 20 : 100), "%d classes", ds->classes);
        CHECK(ds->labels[0] == (coarse ? 20 : 100) && ds->labels[1] == (coarse ? 5 : 21), "labels %d, %d",
              ds->labels[0], ds->labels[1]);
        for (k = 0; k < 3072; ++k) wrong += ds->pixels[3072 + k] != rows[3074 + 2 + k % 3 * 1024 + k / 3];
        CHECK(wrong == 0, "%d bytes of CIFAR-100 are wrong", wrong);
        drl_dataset_destroy(ds);
        clean("CIFAR-100");
    }
    ds = NULL;
    CHECK_FAILS(drl_dataset_parse(ctx, files + 1, 1, &d, &ds), DRL_E_ARGUMENT, "no file is of CIFAR-100");
    d.coarse_labels = 0;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, &d, &ds), DRL_E_FORMAT, "CIFAR-10 and CIFAR-100 do not mix");
    d.height = 28;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_SHAPE,
                "32 x 32 x 3; the description wants 28");
    d.height = 0;
    rows[3075] = 100;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_FORMAT,
                "row 1 of CIFAR-100 has the label 100");
    rows[3075] = 0;
    rows[3074] = 20;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_FORMAT,
                "row 1 of CIFAR-100 has the label 20");
    rows[3074] = 0;
    d.high = 127;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_FORMAT, "the range is 0 to 127");
    for (k = 0; k < (int)sizeof rows; ++k) rows[k] = (uint8_t)(k % 3074 < 2 ? 9 : rows[k] / 2);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 1, &d, &ds));
    CHECK(ds->values && ds->values[0] == (float)(2 * (rows[2] / 127.0) - 1), "CIFAR with a range");
    drl_dataset_destroy(ds);
    clean("CIFAR-100");
}

/* Colour under alpha 0 is 0, whatever the file has there. */
static const double rgba[16] =    { 9, 8, 7, 0,  9, 8, 7, 1,  0, 0, 0, 255,  255, 255, 255, 0 };
static const uint8_t cleaned[16] = { 0, 0, 0, 0,  9, 8, 7, 1,  0, 0, 0, 255,  0, 0, 0, 0 };
static void test_alpha_bytes(void)
{
    static npy_file file;
    uint8_t own[16];
    drl_dataset *ds = NULL, *copy = NULL, view;
    drl_blob blob = npy_of(&file, '|', "u1", 0, "1, 2, 2, 4", rgba, 16);
    int i;
    CHECK_OK(ctx, drl_dataset_parse(ctx, &blob, 1, NULL, &ds));
    CHECK(memcmp(ds->pixels, cleaned, 16) == 0, "colour under alpha 0");
    drl_dataset_destroy(ds);
    for (i = 0; i < 16; ++i) own[i] = (uint8_t)rgba[i];
    view = own_images(own, 1, 2, 2, 4);
    CHECK_OK(ctx, drl_dataset_copy(ctx, &view, &copy));
    CHECK(memcmp(copy->pixels, cleaned, 16) == 0 && own[0] == 9, "a copy's colour under alpha 0");
    drl_dataset_destroy(copy);
    view = own_images(own, 1, 4, 2, 2);             /* grey and alpha */
    CHECK_OK(ctx, drl_dataset_copy(ctx, &view, &copy));
    CHECK(copy->pixels[2] == 0 && copy->pixels[0] == 9 && copy->pixels[14] == 0, "grey under alpha 0");
    drl_dataset_destroy(copy);
    clean("alpha");
}

/* In images of floats, colour under alpha 0 is -1. A copy has memory of its own. Bytes that are strung
 * together with floats keep the values that they have alone. */
static void test_alpha_floats(void)
{
    static npy_file file, other;
    drl_dataset *ds = NULL, *copy = NULL, view;
    drl_blob files[2];
    double part[16];
    float out[16], again[16];
    int i, wrong = 0;
    for (i = 0; i < 16; ++i) part[i] = rgba[i] / 255;
    files[0] = npy_of(&file, '|', "u1", 0, "1, 2, 2, 4", rgba, 16);
    files[1] = npy_of(&other, '<', "f8", 0, "1, 2, 2, 4", part, 16);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files + 1, 1, NULL, &ds));
    CHECK_OK(ctx, drl_dataset_image(ctx, ds, 0, 2, 2, out));
    for (i = 0; i < 16; ++i) wrong += fabs((double)out[i] - (cleaned[i] / 127.5 - 1)) > 1e-6;
    CHECK(wrong == 0 && out[0] == -1.0f, "%d values under alpha are wrong", wrong);
    CHECK_OK(ctx, drl_dataset_copy(ctx, ds, &copy));
    CHECK_OK(ctx, drl_dataset_image(ctx, copy, 0, 2, 2, again));
    CHECK(!copy->pixels && copy->values != ds->values, "a copy is not of its own");
    CHECK(memcmp(out, again, sizeof out) == 0, "a copy of values");
    drl_dataset_destroy(copy);
    drl_dataset_destroy(ds);
    clean("alpha");

    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, NULL, &ds));
    for (i = 0; i < 16; ++i) wrong += ds->values[i] != pixel_value(cleaned[i]);
    CHECK(ds->count == 2 && wrong == 0, "%d bytes beside floats are wrong", wrong);
    drl_dataset_destroy(ds);
    clean("bytes beside floats");

    view = own_images(cleaned, 1, 2, 2, 4);
    view.values = out;
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "both pixels and values");
    view.pixels = NULL;
    view.values = (const float *)(const void *)((const char *)out + 1);
    CHECK_FAILS(drl_dataset_copy(ctx, &view, &copy), DRL_E_ARGUMENT, "misaligned");
}

/* --- pictures */

/* A file, and what it holds: 255 and below as bytes, else what becomes of the numbers. */
typedef struct picture_case {
    const char *name, *file;
    size_t bytes;
    int height, width, channels, maxval;
    int number[12];
} picture_case;

#define FILE_OF(text) text, sizeof(text) - 1
static const picture_case good_pictures[] = {
    { "grey", FILE_OF("P5\n3 2\n255\n\0\1\2\xFD\xFE\xFF"), 2, 3, 1, 255, { 0, 1, 2, 253, 254, 255 } },
    { "colours", FILE_OF("P6 1 2 255 abcdef"), 2, 1, 3, 255, { 97, 98, 99, 100, 101, 102 } },
    { "comments", FILE_OF("P5# by hand\n#\n 2 #4\r1\t#\n\n255\n#a"), 1, 2, 1, 255, { 35, 97 } },
    { "pixels that look like white space", FILE_OF("P5\r2\r2\r255\r\r\n #"), 2, 2, 1, 255,
      { 13, 10, 32, 35 } },
    { "few greys", FILE_OF("P5 4 1 3\n\0\1\2\3"), 1, 4, 1, 3, { 0, 1, 2, 3 } },
    { "16 bits", FILE_OF("P5 2 2 65535\n\0\0\0\1\1\0\xFF\xFF"), 2, 2, 1, 65535, { 0, 1, 256, 65535 } },
    { "12 bits", FILE_OF("P6 1 1 4095\n\0\0\x08\0\x0F\xFF"), 1, 1, 3, 4095, { 0, 2048, 4095 } },
    { "grey PAM", FILE_OF("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\nab"), 1, 2, 1, 255,
      { 97, 98 } },
    { "grey PAM that says so",
      FILE_OF("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\nab"), 1, 2, 1, 255,
      { 97, 98 } },
    { "grey and alpha",
      FILE_OF("P7\n# a\nWIDTH 2\nHEIGHT 2\n\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n"
              "a\1b\0c\xFF" "dd"), 2, 2, 2, 255, { 97, 1, 0, 0, 99, 255, 100, 100 } },
    { "RGB PAM", FILE_OF("P7\nTUPLTYPE RGB\nMAXVAL 255\nDEPTH 3\nHEIGHT 1\nWIDTH 1\nENDHDR\n\n\n#"), 1, 1, 3,
      255, { 10, 10, 35 } },
    { "RGBA", FILE_OF("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabcdefg\0"),
      1, 2, 4, 255, { 97, 98, 99, 100, 0, 0, 0, 0 } },
    { "RGBA of 16 bits",
      FILE_OF("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 1000\nTUPLTYPE RGB_ALPHA\nENDHDR\n\0\1\1\0\3\xE8\0\2"),
      1, 1, 4, 1000, { 1, 256, 1000, 2 } },
    { "black and white",
      FILE_OF("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nTUPLTYPE BLACKANDWHITE\nENDHDR\n\1\0"),
      1, 2, 1, 1, { 1, 0 } },
    { "black, white and alpha",
      FILE_OF("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 2\nMAXVAL 1\nTUPLTYPE BLACKANDWHITE_ALPHA\nENDHDR\n\1\1\1\0"),
      1, 2, 2, 1, { 1, 1, 0, 0 } }
};

/* A picture in a block that ends where the picture ends. */
static drl_status picture_of(const void *file, size_t bytes, const drl_dataset_desc *d, drl_dataset **ds)
{
    unsigned char *p = exact(file, bytes);
    drl_blob blob = blob_of(p, bytes);
    drl_status status;
    *ds = NULL;
    status = drl_dataset_parse(ctx, &blob, 1, d, ds);
    CHECK((status == DRL_OK) == (*ds != NULL), "a result and status %d", (int)status);
    free(p);
    return status;
}

/* Each picture is read number by number, and refused when it is cut anywhere, or longer by a byte. */
static void test_pictures(void)
{
    size_t i, k, n;
    for (i = 0; i < sizeof good_pictures / sizeof good_pictures[0]; ++i) {
        const picture_case *c = &good_pictures[i];
        char longer[128];
        drl_dataset *ds;
        int wrong = 0;
        CHECK_OK(ctx, picture_of(c->file, c->bytes, NULL, &ds));
        if (!ds) continue;
        CHECK(ds->count == 1 && ds->height == c->height && ds->width == c->width &&
              ds->channels == c->channels && !ds->labels && ds->classes == 0, "%s: %d of %d x %d x %d",
              c->name, ds->count, ds->height, ds->width, ds->channels);
        CHECK(!ds->pixels == (c->maxval != 255), "%s: bytes or floats", c->name);
        n = (size_t)(c->height * c->width * c->channels);
        for (k = 0; k < n; ++k) {
            double want = 2.0 * c->number[k] / c->maxval - 1;
            if (ds->pixels) wrong += ds->pixels[k] != c->number[k];
            else wrong += fabs((double)ds->values[k] - want) > 1e-6;
        }
        CHECK(wrong == 0, "%s: %d numbers are wrong", c->name, wrong);
        drl_dataset_destroy(ds);
        for (n = 0; n < c->bytes; ++n) {
            CHECK(picture_of(c->file, n, NULL, &ds) == DRL_E_FORMAT && drl_ctx_message(ctx)[0],
                  "%s cut to %d bytes: %s", c->name, (int)n, drl_ctx_message(ctx));
            clean(c->name);
        }
        memcpy(longer, c->file, c->bytes);
        longer[c->bytes] = 7;
        CHECK_FAILS(picture_of(longer, c->bytes + 1, NULL, &ds), DRL_E_FORMAT,
                    "bytes of data, the shape needs");
    }
}

/* What is no picture, or none that is known. */
static void test_pictures_hostile(void)
{
#define TWENTY "ABCDEFGHIJKLMNOPQRST"
#define PAM(lines) FILE_OF("P7\n" lines "ENDHDR\nabcdabcd")
#define SIZES "WIDTH 2\nHEIGHT 1\n"
    static const struct { const char *file; size_t bytes; const char *sentence; } hostile[] = {
        { FILE_OF("P5\n2 1\n255 ab\n"), "3 bytes of data, the shape needs 2" },
        { FILE_OF("P5\r\n2 1\r\n255\r\nab"), "3 bytes of data, the shape needs 2" },
        { FILE_OF("P5\n2 1\n255\nabP5\n2 1\n255\nab"), "15 bytes of data, the shape needs 2" },
        { FILE_OF("P5\n2 1\n256\nab"), "2 bytes of data, the shape needs 4" },
        { FILE_OF("P5\n0 1\n255\n"), "WIDTH is 0; 1 to 2147483647 are possible" },
        { FILE_OF("P5\n1 0\n255\n"), "HEIGHT is 0" },
        { FILE_OF("P5\n1 2147483648\n255\n"), "HEIGHT is 2147483648" },
        { FILE_OF("P5\n1 1\n0\na"), "MAXVAL is 0; 1 to 65535 are possible" },
        { FILE_OF("P5\n1 1\n65536\nab"), "MAXVAL is 65536" },
        { FILE_OF("P5\n-1 1\n255\na"), "header byte 3: expected a whole number" },
        { FILE_OF("P5\n1.5 1\n255\na"), "header byte 4: expected white space" },
        { FILE_OF("P5\n01 1\n255\na"), "leading zero" },
        { FILE_OF("P5\n1 1\n255a"), "header byte 10: expected white space" },
        { FILE_OF("P5\n1 1\n255#\na"), "header byte 10: expected white space" },
        { FILE_OF("P5\n1 # no end"), "header byte 13: expected a whole number" },
        { FILE_OF("P5\n99999999999999999999999 1\n255\n"), "number does not fit" },
        { FILE_OF("P6\n2147483647 2147483647\n65535\n"), "the shape needs" },
        { FILE_OF("P5\n2 1\n100\n\1\xC8"), "a number of 200 in a picture of MAXVAL 100" },
        { FILE_OF("P5\n1 1\n300\n\1\x2D"), "a number of 301 in a picture of MAXVAL 300" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK\n"), "TUPLTYPE CMYK of DEPTH 4" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nTUPLTYPE RGB\n"), "TUPLTYPE RGB of DEPTH 4" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nTUPLTYPE " TWENTY TWENTY TWENTY TWENTY TWENTY "\n"),
          "TUPLTYPE " TWENTY TWENTY TWENTY TWENTY "ABCDEFGHIJKLMNO of DEPTH 4" },
        { PAM(SIZES "DEPTH 5\nMAXVAL 255\n"), "DEPTH is 5; 1 to 4 are possible" },
        { PAM(SIZES "DEPTH 0\nMAXVAL 255\n"), "DEPTH is 0" },
        { PAM(SIZES "DEPTH 4\n"), "the header has no MAXVAL" },
        { PAM("HEIGHT 1\nDEPTH 4\nMAXVAL 255\n"), "the header has no WIDTH" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nWIDTH 2\n"), "twice the word WIDTH" },
        { PAM("TUPLTYPE RGB_ALPHA\n" SIZES "TUPLTYPE RGB_ALPHA\n"), "twice the word TUPLTYPE" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nCOLOUR 3\n"), "the unknown word COLOUR" },
        { PAM(SIZES "DEPTH 4\nMAXVAL 255\nTUPLTYPE\n"), "expected a word of capitals" },
        { PAM("width 2\n"), "header byte 3: expected a word of capitals" },
        { PAM("WIDTH\n"), "expected a whole number" },
        { FILE_OF("P7\n" SIZES "DEPTH 4\nMAXVAL 255\nENDHDR \nabcdabcd"), "expected a new line" },
        { FILE_OF("P7\r\nWIDTH 1\r\nHEIGHT 1\r\nDEPTH 1\r\nMAXVAL 9\r\nENDHDR\r\na"), "expected a new line" },
        { FILE_OF("P8\n1 1\n255\na"), "not NPY, IDX, P5 to P7 of netpbm, or rows of CIFAR" }
    };
#undef TWENTY
#undef SIZES
#undef PAM
    size_t i;
    drl_dataset *ds;
    for (i = 0; i < sizeof hostile / sizeof hostile[0]; ++i)
        CHECK_FAILS(picture_of(hostile[i].file, hostile[i].bytes, NULL, &ds), DRL_E_FORMAT,
                    hostile[i].sentence);
}

/* A header with a byte changed is refused with a sentence, or is that of another picture. */
static void test_pictures_damage(void)
{
    size_t i, k;
    int d, refused = 0, accepted = 0;
    for (i = 0; i < sizeof good_pictures / sizeof good_pictures[0]; ++i)
        for (k = 0; k < good_pictures[i].bytes; ++k)
            for (d = 1; d < 256; ++d) {
                char damaged[128];
                drl_dataset *ds;
                memcpy(damaged, good_pictures[i].file, good_pictures[i].bytes);
                damaged[k] = (char)(damaged[k] ^ d);
                if (picture_of(damaged, good_pictures[i].bytes, NULL, &ds) == DRL_OK) ++accepted;
                else refused += drl_ctx_message(ctx)[0] != 0;
                drl_dataset_destroy(ds);
                clean("damaged");
            }
    CHECK(refused > 5 * accepted && accepted > 1000, "%d refused, %d accepted", refused, accepted);
}

/* Pictures are strung together with each other and with arrays. All have one size, and the sentence about
 * another one names both files. What the description says holds for pictures, too. */
static void test_pictures_strung(void)
{
    static npy_small array;
    static const double white = 2 * 200.0 / 300 - 1;
    drl_blob files[3];
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    memset(&d, 0, sizeof d);
    files[0] = blob_of(FILE_OF("P5 3 2 255\nabcdef"));
    files[1] = npy_images(&array, 1, 2, 3, 1);
    files[2] = blob_of(FILE_OF("P7\nWIDTH 3\nHEIGHT 2\nDEPTH 1\nMAXVAL 255\nENDHDR\nghijkl"));
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 3, NULL, &ds));
    CHECK(ds->count == 3 && ds->pixels && !memcmp(ds->pixels, "abcdef\0\1\2\3\4\5ghijkl", 18),
          "strung together");
    drl_dataset_destroy(ds);
    clean("strung together");
    files[1] = blob_of(FILE_OF("P5 3 2 5\n\0\1\2\3\4\5"));
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 3, NULL, &ds));
    CHECK(ds->values && ds->values[0] == pixel_value('a') && ds->values[6] == -1.0f && ds->values[11] == 1.0f,
          "pictures of different ranges");
    drl_dataset_destroy(ds);
    clean("ranges");
    files[1] = blob_of(idx_labels, sizeof idx_labels);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 3, NULL, &ds));
    CHECK(ds->count == 2 && ds->labels[0] == 5 && ds->labels[1] == 2, "labels beside pictures");
    drl_dataset_destroy(ds);
    clean("labels");

    ds = NULL;
    files[1] = blob_of(FILE_OF("P5 2 3 255\nabcdef"));
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE,
                "file 1: images of 3 x 2 x 1 after images of 2 x 3 x 1 in data set file 0");
    files[1] = blob_of(FILE_OF("P6 3 2 255\nabcdefabcdefabcdef"));
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, NULL, &ds), DRL_E_SHAPE,
                "file 1: images of 2 x 3 x 3 after images of 2 x 3 x 1 in data set file 0");
    d.height = 3;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_SHAPE,
                "images of 2 x 3 x 1; the description wants 3 x 0 x 0");
    d.height = 0;
    d.high = 100;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_FORMAT,
                "from 97 to 102, the range is 0 to 100");
    d.high = 300;
    files[0] = blob_of(FILE_OF("P5 1 1 255\n\xC8"));
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 1, &d, &ds));
    CHECK(ds->values && fabs((double)ds->values[0] - white) < 1e-6, "a range of the description");
    drl_dataset_destroy(ds);
    clean("range");
}

/* The description gives each file its class, which all its images have. */
static void test_file_classes(void)
{
    static npy_small array;
    static uint8_t rows[3073];
    static const int classes[3] = { 2, 255, 0 }, none[3] = { 0, 0, 0 }, below[3] = { 1, -1, 1 },
                     above[3] = { 1, 1, 256 };
    drl_blob files[3];
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    memset(&d, 0, sizeof d);
    d.classes = classes;
    files[0] = blob_of(FILE_OF("P5 3 2 255\nabcdef"));
    files[1] = blob_of(idx_images, sizeof idx_images);
    files[2] = npy_images(&array, 1, 2, 3, 1);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 3, &d, &ds));
    CHECK(ds->count == 4 && ds->classes == 255 && ds->pixels[18] == 0, "%d classes", ds->classes);
    CHECK(!memcmp(ds->labels, "\2\xFF\xFF", 4), "labels %d %d %d %d", ds->labels[0], ds->labels[1],
          ds->labels[2], ds->labels[3]);
    drl_dataset_destroy(ds);
    clean("classes");
    d.classes = none;
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 3, &d, &ds));
    CHECK(ds->classes == 0 && ds->labels && !ds->labels[3], "no classes");
    drl_dataset_destroy(ds);
    clean("no classes");
    ds = NULL;
    d.classes = below;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 3, &d, &ds), DRL_E_ARGUMENT,
                "file 1: the class of this file is -1; 0 to 255 are possible");
    d.classes = above;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 3, &d, &ds), DRL_E_ARGUMENT,
                "file 2: the class of this file is 256; 0 to 255 are possible");
    d.classes = classes;
    files[2] = blob_of(idx_labels, sizeof idx_labels);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 3, &d, &ds), DRL_E_ARGUMENT,
                "file 2: labels in a file, beside the classes");
    files[0] = blob_of(rows, sizeof rows);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_ARGUMENT,
                "file 0: labels in a file, beside the classes");
    CHECK(ds == NULL, "a result after a failure");
}

/* The number at row y, column x, channel z of the sheets. Alpha is 0 in the tile of 2 x 3 at (2,6) of sheet 0
 * and at (0,0) of sheet 1, and in one pixel of the others. */
static int sheet_number(int n, int y, int x, int z, int channels)
{
    int hidden = (n == 0 && y >= 2 && x >= 6) || (n == 1 && y < 2 && x < 3);
    if (channels % 2 == 0 && z == channels - 1) return hidden || (y + x) % 5 == 4 ? 0 : 100 + n;
    return 1 + n * 100 + y * 20 + x * 3 + z;
}

/* Whether tile t of the data set is that at row y, column x of sheet n. */
static int is_tile(const drl_dataset *ds, int t, int n, int y, int x, int maxval)
{
    float out[2 * 3 * 4];
    int i, j, z, c = ds->channels, wrong = 0;
    CHECK_OK(ctx, drl_dataset_image(ctx, ds, t, 2, 3, out));
    for (i = 0; i < 2; ++i)
        for (j = 0; j < 3; ++j)
            for (z = 0; z < c; ++z) {
                double want = sheet_number(n, y + i, x + j, z, c);
                if (c % 2 == 0 && sheet_number(n, y + i, x + j, c - 1, c) == 0) want = 0;
                wrong += fabs((double)out[(i * 3 + j) * c + z] - (2 * want / maxval - 1)) > 1e-6;
            }
    return wrong == 0;
}

/* Two sheets of 4 x 9, as pictures of 8 and 16 bits and as an array with its channels last or first, are cut
 * into tiles of 2 x 3. */
static void test_tiles(void)
{
    enum { PAM, PAM_16, LAST, FIRST, KINDS };
    static npy_file array;
    static double value[2 * 4 * 9 * 4];
    static unsigned char sheet[2][400];
    static const int one[2] = { 1, 3 };
    int kind, c, n, y, x, z, t, maxval;
    for (kind = 0; kind < KINDS; ++kind)
        for (c = 1; c <= 4; ++c) {
            int wrong = 0, pam = kind == PAM || kind == PAM_16, at[2] = { 0, 0 };
            drl_blob files[2];
            drl_dataset_desc d;
            drl_dataset *ds = NULL;
            char shape[64];
            memset(&d, 0, sizeof d);
            d.tile_height = 2;
            d.tile_width = 3;
            maxval = kind == PAM_16 ? 999 : 255;
            for (n = 0; n < 2; ++n) {
                at[n] = sprintf((char *)sheet[n], "P7\nWIDTH 9\nHEIGHT 4\nDEPTH %d\nMAXVAL %d\nENDHDR\n", c,
                                maxval);
                for (y = 0; y < 4; ++y) for (x = 0; x < 9; ++x) for (z = 0; z < c; ++z) {
                    int v = sheet_number(n, y, x, z, c);
                    int plane = kind == FIRST ? ((n * c + z) * 4 + y) * 9 + x : ((n * 4 + y) * 9 + x) * c + z;
                    value[plane] = v;
                    if (kind == PAM_16) sheet[n][at[n]++] = (unsigned char)(v >> 8);
                    sheet[n][at[n]++] = (unsigned char)v;
                }
                files[n] = blob_of(sheet[n], (size_t)at[n]);
            }
            if (!pam) {
                d.layout = kind == FIRST ? DRL_LAYOUT_NCHW : DRL_LAYOUT_NHWC;
                snprintf(shape, sizeof shape, kind == FIRST ? "2, %d, 4, 9" : "2, 4, 9, %d", c);
                files[0] = npy_of(&array, '|', "u1", 0, shape, value, (size_t)(72 * c));
            } else d.classes = one;
            CHECK_OK(ctx, drl_dataset_parse(ctx, files, pam ? 2 : 1, &d, &ds));
            if (!ds) continue;
            CHECK(ds->count == (c % 2 ? 12 : 10) && ds->height == 2 && ds->width == 3 && ds->channels == c,
                  "%d tiles of %d x %d x %d", ds->count, ds->height, ds->width, ds->channels);
            for (t = n = 0; n < 2; ++n) for (y = 0; y < 4; y += 2) for (x = 0; x < 9; x += 3) {
                if (c % 2 == 0 && (n == 0 ? y == 2 && x == 6 : y == 0 && x == 0)) continue;
                if (pam) wrong += ds->labels[t] != one[n];
                wrong += !is_tile(ds, t++, n, y, x, maxval);
            }
            CHECK(wrong == 0 && t == ds->count, "kind %d, %d channels: %d of %d tiles are wrong", kind, c,
                  wrong, t);
            drl_dataset_destroy(ds);
            clean("tiles");
        }
}

/* What cannot be cut, and sheets of nothing. */
static void test_tiles_refusals(void)
{
    static const char sheet[] = "P7\nWIDTH 2\nHEIGHT 2\nDEPTH 2\nMAXVAL 255\nENDHDR\na\0b\0c\0d\0";
    static const char seen[] = "P7\nWIDTH 2\nHEIGHT 2\nDEPTH 2\nMAXVAL 255\nENDHDR\na\0b\0c\0d\1";
    static uint8_t rows[3073];
    drl_blob files[2];
    drl_dataset_desc d;
    drl_dataset *ds = NULL;
    memset(&d, 0, sizeof d);
    files[0] = blob_of(sheet, sizeof sheet - 1);
    d.tile_height = 1;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_ARGUMENT, "tile_height 1, tile_width 0");
    d.tile_width = -1;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_ARGUMENT, "tile_height 1, tile_width -1");
    d.tile_width = 3;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_SHAPE,
                "images of 2 x 2 are no multiple of tiles of 1 x 3");
    d.tile_height = 4;
    d.tile_width = 2;
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_SHAPE, "no multiple of tiles of 4 x 2");
    d.tile_height = d.tile_width = 2;               /* one tile, which is the whole of a sheet of nothing */
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_FORMAT, "1 files and no images in them");
    files[1] = blob_of(seen, sizeof seen - 1);
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, &d, &ds));
    CHECK(ds->count == 1 && !memcmp(ds->pixels, "\0\0\0\0\0\0d\1", 8), "a tile that can be seen");
    drl_dataset_destroy(ds);
    clean("seen");
    d.tile_height = d.tile_width = 0;               /* images of nothing are left out of sheets only */
    CHECK_OK(ctx, drl_dataset_parse(ctx, files, 2, &d, &ds));
    CHECK(ds->count == 2 && !memcmp(ds->pixels, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0d\1", 16), "two images");
    drl_dataset_destroy(ds);
    clean("nothing");
    ds = NULL;
    d.tile_height = d.tile_width = 1;
    files[0] = blob_of(idx_images, sizeof idx_images);
    files[1] = blob_of(idx_labels, sizeof idx_labels);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 2, &d, &ds), DRL_E_SHAPE, "2 labels for 12 images");
    files[0] = blob_of(rows, sizeof rows);
    CHECK_FAILS(drl_dataset_parse(ctx, files, 1, &d, &ds), DRL_E_ARGUMENT, "rows of CIFAR are not cut");
    CHECK(ds == NULL, "a result after a failure");
}

/* Files of other formats are named, by every reader, with what to do. */
static void test_wrong_files(void)
{
    static const struct { const char *bytes; size_t n; const char *sentence; } files[] = {
#define M(bytes, sentence) { bytes, sizeof(bytes) - 1, sentence },
        M("\x1F\x8B\x08\0\0\0\0\0\0\3", "a gzip file: gunzip it first")
        M("\x1F\x8B\x08\x08\x11\x22\x33\x44\0\3train", "a gzip file")
        M("PK\3\4\x14\0\0\0\0\0ab", "a zip archive (.npz or .pt)")
        M("PK\5\6\0\0\0\0\0\0", "an empty zip archive")
        M("BZh91AY&SY", "a bzip2 file")
        M("\xFD" "7zXZ\0\0\4\346\326", "an xz file")
        M("\x28\xB5\x2F\xFD\4\0\0\0\0\0", "a zstd file")
        M("\x04\x22\x4D\x18\4\0\0\0\0\0", "an lz4 file")
        M("\x1F\x9D\x90\0\0\0\0\0\0\0", "a compressed file (.Z)")
        M("7z\xBC\xAF\x27\x1C\0\4\0\0", "a 7z archive")
        M("Rar!\x1A\7\1\0\0\0", "a RAR archive")
        M("\x89PNG\r\n\x1A\n\0\0\0\r", "a PNG picture")
        M("\xFF\xD8\xFF\xE0\0\x10JFIF", "a JPEG picture")
        M("GIF89a\1\0\1\0", "a GIF picture")
        M("II*\0\x08\0\0\0\0\0", "a TIFF picture")
        M("MM\0*\0\0\0\x08\0\0", "a TIFF picture")
        M("RIFF\x11\0\0\0WEBPVP8 ", "a WebP picture")
        M("BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "a BMP picture")
        M("P4\n32 32\n\1\2\3\4", "a netpbm picture")
        M("P3\n1 1\n255\n1 2 3\n", "a netpbm picture")
        M("%PDF-1.7\n%\xE2", "a PDF document")
        M("\x89HDF\r\n\x1A\n\0\0", "an HDF5 file")
        M("MATLAB 5.0 MAT-file", "a MATLAB file")
        M("GGUF\3\0\0\0\0\0\0\0", "a GGUF file")
        M("PAR1\x15\0\x15\0\0\0", "a Parquet file")
        M("ARROW1\0\0\x10\0\0\0", "an Arrow file")
        M("SQLite format 3\0\0\0", "an SQLite file")
        M("\x80\2\x8A\nl\xFC\x9C\x46\xF9", "a pickle (.pkl, .pt)")
        M("\x80\4\x95\1\0\0\0\0\0\0", "a pickle")
        M("<!DOCTYPE html><html>", "a page of HTML or XML")
        M("\xEF\xBB\xBF\r\n <html>", "a page of HTML or XML")
        M("\xEF\xBB\xBF<html>", "a page of HTML or XML")
        M("version https://git-lfs.github.com/spec/v1\n", "git lfs pull")
        M("label,pixel0,pixel1\n", "a text (CSV, JSON or the like)")
        M("", "an empty file")
#undef M
    };
    static const char good_st[] = "\2\0\0\0\0\0\0\0{}", good_idx[] = "\0\0\x08\1\0\0\0\2ab";
    static const char sense[] = "\xA5\x5A\xA5\x5A\xA5\x5A\xA5\x5A\xA5\x5A\xA5\x5A";
    static npy_file npy;
    static unsigned char tar[512];
    double one = 2;
    size_t i;
    drl_array a;
    drl_dataset *ds = NULL;
    drl_safetensors *st = NULL;
    drl_blob blob;
    for (i = 0; i < sizeof files / sizeof files[0]; ++i) {
        blob = blob_of(files[i].bytes, files[i].n);
        CHECK_FAILS(drl_dataset_parse(ctx, &blob, 1, NULL, &ds), DRL_E_FORMAT, files[i].sentence);
        CHECK_FAILS(drl_npy_parse(ctx, files[i].bytes, files[i].n, &a), DRL_E_FORMAT, files[i].sentence);
        CHECK_FAILS(idx_parse(files[i].bytes, files[i].n, &a), DRL_E_FORMAT, files[i].sentence);
        CHECK_FAILS(drl_safetensors_open_memory(ctx, files[i].bytes, files[i].n, &st), DRL_E_FORMAT,
                    files[i].sentence);
    }
    memcpy(tar + 257, "ustar  ", 7);            /* as GNU tar writes it */
    tar[0] = 'x';
    CHECK_FAILS(drl_safetensors_open_memory(ctx, tar, sizeof tar, &st), DRL_E_FORMAT, "a tar archive");
    /* the files of each reader, given to the others */
    blob = npy_of(&npy, '|', "u1", 0, "1,", &one, 1);
    CHECK_FAILS(drl_safetensors_open_memory(ctx, blob.data, blob.bytes, &st), DRL_E_FORMAT,
                "not a safetensors file; this is an NPY file");
    CHECK_FAILS(idx_parse(blob.data, blob.bytes, &a), DRL_E_FORMAT, "not an IDX file; this is an NPY file");
    CHECK_FAILS(drl_npy_parse(ctx, good_idx, sizeof good_idx - 1, &a), DRL_E_FORMAT,
                "not an NPY file; this is an IDX file");
    CHECK_FAILS(drl_safetensors_open_memory(ctx, good_idx, sizeof good_idx - 1, &st), DRL_E_FORMAT,
                "this is an IDX file");
    CHECK_FAILS(drl_npy_parse(ctx, good_st, sizeof good_st - 1, &a), DRL_E_FORMAT,
                "this is a safetensors file");
    blob = blob_of(good_st, sizeof good_st - 1);
    CHECK_FAILS(drl_dataset_parse(ctx, &blob, 1, NULL, &ds), DRL_E_FORMAT, "this is a safetensors file");
    /* bytes of no known format */
    CHECK_FAILS(drl_npy_parse(ctx, sense, sizeof sense - 1, &a), DRL_E_FORMAT,
                "12 bytes that are not an NPY file");
    CHECK_FAILS(drl_safetensors_open_memory(ctx, sense, sizeof sense - 1, &st), DRL_E_FORMAT,
                "header of 6531726500807662245");
}

/* --- vectors */

/* A text is read as this number, to the bit, or is none (NAN). */
static const struct { const char *text; double value; } decimals[] = {
    { "0", 0.0 }, { "-0", -0.0 }, { "7", 7 }, { "+7", 7 }, { "-12.50", -12.5 }, { ".5", 0.5 }, { "5.", 5 },
    { "1e3", 1000 }, { "1E+3", 1000 }, { "1e-3", 1e-3 }, { "0001.25e2", 125 },
    { "0.1", 0.1 }, { "1e23", 1e23 }, { "8.5e22", 8.5e22 }, { "123456789012345678", 123456789012345678.0 },
    { "9007199254740993", 9007199254740992.0 },                 /* halfway between two: the even one */
    { "9007199254740995", 9007199254740996.0 },
    { "9007199254740993.00000000000000000000000000000000000000001", 9007199254740994.0 },
    { "3.141592653589793238462643383279502884197169399375105820", 3.141592653589793116 },
    { "1.7976931348623157e308", DBL_MAX }, { "1.7976931348623159e308", HUGE_VAL }, { "1e99999", HUGE_VAL },
    { "1e4294967296", HUGE_VAL },
    { "1e-99999", 0 }, { "0e99999", 0 }, { "2.2250738585072014e-308", DBL_MIN },
    { "2.2250738585072011e-308", 2.2250738585072011e-308 },     /* the largest denormal number */
    { "4.9406564584124654e-324", 4.9406564584124654e-324 }, { "2.4703282292062327e-324", 0 },
    { "2.4703282292062328e-324", 4.9406564584124654e-324 }, { "7.4e-324", 4.9406564584124654e-324 },
    { "1e-400", 0 },
    { "4.450147717014403454311757117158e-308", 4.450147717014404e-308 },    /* wrong when rounded twice */
    { "123456789012345678901234567890123456789012345678901234567890", 123456789012345678901234567890e30 },
    { "0.0000000000000000000000000000000000000000000000000000000001", 1e-58 },
    { "", NAN }, { "-", NAN }, { ".", NAN }, { "+.", NAN }, { "e5", NAN }, { "1e", NAN }, { "1e+", NAN },
    { "1.2.3", NAN }, { "--1", NAN }, { "1 2", NAN }, { " 1", NAN }, { "0x10", NAN }, { "nan", NAN },
    { "inf", NAN }, { "1,5", NAN }, { "1d3", NAN }, { "1f", NAN }, { "1_000", NAN },
    { "1234567890123456789012345678901234567890123456789012345678901", NAN }
};

/* Random bits as the C library writes them, with 17 digits, are read as the same double. */
static void test_decimals(void)
{
    uint32_t state = 5;
    double v = 1;
    size_t i;
    int wrong = 0, k;
    for (i = 0; i < sizeof decimals / sizeof decimals[0]; ++i) {
        const char *text = decimals[i].text;
        unsigned char *p = exact(text, strlen(text));
        double want = decimals[i].value;
        int is = drl__decimal(p, strlen(text), &v);
        CHECK(is == (want == want), "'%s'", text);
        if (is) CHECK(memcmp(&v, &want, sizeof v) == 0, "'%s' is read as %.17g", text, v);
        free(p);
    }
    for (k = 0; k < 20000; ++k) {
        char text[64];
        uint64_t bits = (uint64_t)next_random(&state) << 40 ^ (uint64_t)next_random(&state) << 20 ^
                        next_random(&state);
        double want;
        memcpy(&want, &bits, 8);
        if (!(want - want == 0)) continue;
        snprintf(text, sizeof text, k % 2 ? "%.17g" : "%.16e", want);
        wrong += !drl__decimal((const unsigned char *)text, strlen(text), &v) ||
                 memcmp(&v, &want, sizeof v) != 0;
    }
    CHECK(wrong == 0, "%d of 20000 numbers are read as others", wrong);
}

static drl_status vectors_of(const char *text, size_t n, const drl_vectors_desc *d, drl_vectors **v)
{
    unsigned char *p = exact(text, n);
    drl_blob blob = blob_of(p, n);
    drl_status status;
    *v = NULL;
    status = drl_vectors_parse(ctx, &blob, 1, d, v);
    CHECK((status == DRL_OK) == (*v != NULL), "a result and status %d", (int)status);
    free(p);
    return status;
}

/* What is read, and what is refused, with its place. */
static void test_csv(void)
{
    static const struct { const char *text; int count, size; } good[] = {
        { "1,2\n3,4\n", 2, 2 }, { "1,2\n3,4", 2, 2 }, { "1,2\r\n3,4\r\n", 2, 2 }, { "1\n", 1, 1 },
        { "1", 1, 1 }, { "a,b\n1,2\n", 1, 2 }, { "\xEF\xBB\xBF" "1,2\n", 1, 2 }, { "1e0, +2 \t,-.3\n", 1, 3 },
        { "gr\xC3\xB6\xC3\x9F" "e\n1\n2\n3\n", 3, 1 }, { "\"a\",\"b, c\"\n1,2\n", 1, 2 },
        { "only a name\n1,2,3\n", 1, 3 }
    };
    static const struct { const char *text; drl_status status; const char *sentence; } bad[] = {
        { "", DRL_E_FORMAT, "not vectors in NPY or CSV; this is an empty file" },
        { "\xEF\xBB\xBF", DRL_E_FORMAT, "vectors in NPY or CSV" },
        { "\n", DRL_E_FORMAT, "line 1, column 1 is empty" },
        { "1,2\n\n3,4\n", DRL_E_FORMAT, "line 2, column 1 is empty" },
        { "1,2\n3,4\n\n", DRL_E_FORMAT, "line 3, column 1 is empty" },
        { "1,2\n3,\n", DRL_E_FORMAT, "line 2, column 2 is empty" },
        { "1,2\n3,", DRL_E_FORMAT, "line 2, column 2 is empty" },
        { "1,2\n3,4,5\n", DRL_E_SHAPE, "3 numbers on line 2, 2 on the lines before it" },
        { "1,2\n3\n", DRL_E_SHAPE, "1 numbers on line 2, 2 on the lines before it" },
        { "1,2\n3,x4\n", DRL_E_FORMAT, "line 2, column 2: 'x4' is not a number" },
        { "a,1\n1,2\n", DRL_E_FORMAT, "line 1, column 1: 'a' is not a number" },
        { "a,b\nc,d\n1,2\n", DRL_E_FORMAT, "line 2, column 1: 'c' is not a number" },
        { "a,b\n", DRL_E_FORMAT, "one line without a number" },
        { "1;2\n3;4\n", DRL_E_FORMAT, "line 2, column 1: '3;4' is not a number" },
        { "1,nan\n", DRL_E_FORMAT, "line 1, column 2: 'nan' is not a number" },
        { "1\n1e400\n", DRL_E_FORMAT, "line 2, column 1: a number above 1.8e308" },
        { "1\r2\r", DRL_E_FORMAT, "one line without a number" },
        { "1\n2\a\n", DRL_E_FORMAT, "bytes that are not vectors in NPY or CSV" },
        { "1\n\xC3\xB6\n", DRL_E_FORMAT, "line 2, column 1: '?\?' is not a number" },
        { "1\n1234567890123456789012345678901234567890123456789012345678901\n", DRL_E_FORMAT,
          "line 2, column 1 has 61 characters" },
        { "<html>\n", DRL_E_FORMAT, "a page of HTML" },
        { "\x89PNG\r\n\x1A\n", DRL_E_FORMAT, "a PNG picture" },
        { "1e308\n-1e308\n", DRL_E_NUMERIC, "column 0 are too large" }
    };
    drl_vectors *v;
    size_t i;
    for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
        CHECK_OK(ctx, vectors_of(good[i].text, strlen(good[i].text), NULL, &v));
        if (v) CHECK(v->count == good[i].count && v->size == good[i].size, "%s: %d x %d", good[i].text,
                     v->count, v->size);
        drl_vectors_destroy(v);
        clean(good[i].text);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_FAILS(vectors_of(bad[i].text, strlen(bad[i].text), NULL, &v), bad[i].status, bad[i].sentence);
}

/* Means and deviations against another loop; of each column, of all, of neither, and given. */
static void test_vectors(void)
{
    static const char text[] = "x,y,z\n1,10,5\n2,20,5\n4,60,5\n9,70,5\n";
    static const double number[4][3] = { { 1, 10, 5 }, { 2, 20, 5 }, { 4, 60, 5 }, { 9, 70, 5 } };
    static const double mean[3] = { 1, 2, 3 }, deviation[3] = { 2, 4, 0.5 };
    drl_vectors_desc d;
    drl_vectors *v = NULL;
    int mode, i, k;
    for (mode = 0; mode < 4; ++mode) {
        double want_mean[3], want_deviation[3];
        memset(&d, 0, sizeof d);
        for (k = 0; k < 3; ++k) {
            double sum = 0, squares = 0;
            for (i = 0; i < 4; ++i)
                sum += mode == 1 ? number[i][0] + number[i][1] + number[i][2] : number[i][k];
            want_mean[k] = mode == 3 ? mean[k] : mode == 2 ? 0 : sum / (mode ? 12 : 4);
            for (i = 0; i < 12; ++i)
                if (mode || i % 3 == k)
                    squares += (number[i / 3][i % 3] - want_mean[k]) * (number[i / 3][i % 3] - want_mean[k]);
            want_deviation[k] = mode == 3 ? deviation[k] : mode == 2 ? 1 : sqrt(squares / (mode ? 12 : 4));
        }
        if (mode == 0) want_deviation[2] = 1;                   /* a column of one value */
        if (mode < 3) d.normal = (drl_normal)mode;
        if (mode == 3) {
            d.mean = mean;
            d.deviation = deviation;
            d.size = 3;
        }
        CHECK_OK(ctx, vectors_of(text, sizeof text - 1, &d, &v));
        if (!v) return;
        CHECK(v->count == 4 && v->size == 3, "%d x %d", v->count, v->size);
        for (k = 0; k < 3; ++k) {
            CHECK(fabs(v->mean[k] - want_mean[k]) < 1e-13 &&
                  fabs(v->deviation[k] - want_deviation[k]) < 1e-13,
                  "mode %d, column %d: mean %.17g, deviation %.17g", mode, k, v->mean[k], v->deviation[k]);
            for (i = 0; i < 4; ++i) {
                double want = (number[i][k] - want_mean[k]) / want_deviation[k];
                CHECK(fabs((double)v->values[3 * i + k] - want) < 1e-6,
                      "mode %d, row %d, column %d: %g, not %g",
                      mode, i, k, (double)v->values[3 * i + k], want);
            }
        }
        drl_vectors_destroy(v);
        clean("vectors");
    }
}

/* One column of one value has exactly this value as its mean, however often it is summed. */
static void test_vectors_constant(void)
{
    static char text[4 * 1000];
    drl_vectors *v = NULL;
    int i;
    for (i = 0; i < 1000; ++i) memcpy(text + 4 * i, "0.1\n", 4);
    CHECK_OK(ctx, vectors_of(text, sizeof text, NULL, &v));
    if (!v) return;
    CHECK(v->mean[0] == 0.1 && v->deviation[0] == 1 && v->values[0] == 0 && v->values[999] == 0,
          "mean %.17g, deviation %g", v->mean[0], v->deviation[0]);
    drl_vectors_destroy(v);
    clean("one value");
}

/* NPY of every type, byte order and order of axes gives what CSV of the same numbers gives. */
static void test_vectors_npy(void)
{
    static const char *const types[] = { "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8" };
    static const double value[6] = { 1, 2, 4, 8, 16, 100 }, turned[6] = { 1, 8, 2, 16, 4, 100 };
    static const char csv[] = "1,2,4\n8,16,100\n";
    static npy_file file;
    drl_vectors *want, *v;
    drl_blob blob, two[2];
    size_t i;
    CHECK_OK(ctx, vectors_of(csv, sizeof csv - 1, NULL, &want));
    if (!want) return;
    for (i = 0; i < 4 * sizeof types / sizeof types[0]; ++i) {
        const char *type = types[i / 4];
        char order = type[1] == '1' ? '|' : i % 2 ? '>' : '<';
        int fortran = i / 2 % 2;
        v = NULL;
        blob = npy_of(&file, order, type, fortran, "2, 3", fortran ? turned : value, 6);
        CHECK_OK(ctx, drl_vectors_parse(ctx, &blob, 1, NULL, &v));
        if (!v) continue;
        CHECK(v->count == 2 && v->size == 3 && !memcmp(v->values, want->values, 6 * sizeof(float)) &&
              !memcmp(v->mean, want->mean, 3 * sizeof(double)), "%c%s, fortran %d", order, type, fortran);
        drl_vectors_destroy(v);
    }
    drl_vectors_destroy(want);
    clean("vectors of NPY");
    blob = npy_of(&file, '<', "f4", 0, "6,", value, 6);
    CHECK_FAILS(drl_vectors_parse(ctx, &blob, 1, NULL, &v), DRL_E_SHAPE,
                "an array of rank 1; vectors are the rows of rank 2: save x[:, None]");
    blob = npy_of(&file, '<', "f4", 0, "1, 2, 3", value, 6);
    CHECK_FAILS(drl_vectors_parse(ctx, &blob, 1, NULL, &v), DRL_E_SHAPE, "an array of rank 3");
    blob = npy_of(&file, '<', "f4", 0, "0, 3", value, 0);
    CHECK_FAILS(drl_vectors_parse(ctx, &blob, 1, NULL, &v), DRL_E_SHAPE, "0 rows of 3 numbers");
    blob = npy_of(&file, '<', "f8", 0, "2, 3", value, 6);
    file.bytes[128 + 8 * 4 + 7] = 0x7F;
    file.bytes[128 + 8 * 4 + 6] = 0xF8;
    CHECK_FAILS(drl_vectors_parse(ctx, &blob, 1, NULL, &v), DRL_E_FORMAT, "element [1, 1] is not a finite");
    two[0] = blob_of(csv, sizeof csv - 1);
    two[1] = blob_of("1,2\n", 4);
    CHECK_FAILS(drl_vectors_parse(ctx, two, 2, NULL, &v), DRL_E_SHAPE,
                "vectors file 1: rows of 2 numbers, those before have 3");
    two[1] = npy_of(&file, '<', "f4", 0, "2, 3", value, 6);
    CHECK_OK(ctx, drl_vectors_parse(ctx, two, 2, NULL, &v));
    CHECK(v->count == 4 && v->mean[2] == 52 && v->values[0] == v->values[6], "CSV and NPY strung together");
    drl_vectors_destroy(v);
    clean("strung vectors");
}

/* A file that is cut, or has another byte anywhere, is read or refused with a sentence. */
static void test_vectors_damage(void)
{
    static const char csv[] = "a,b\r\n1.5,-2e1\r\n .25,4\r\n";
    static const double value[4] = { 1, 2, 4, 8 };
    static npy_file file;
    drl_vectors *v;
    size_t i, n = sizeof csv - 1, refused = 0, accepted = 0;
    char damaged[sizeof csv];
    int d;
    for (i = 0; i <= n; ++i) {
        if (vectors_of(csv, i, NULL, &v) == DRL_OK) ++accepted;
        else CHECK(drl_ctx_message(ctx)[0], "cut to %d without a sentence", (int)i);
        drl_vectors_destroy(v);
        clean("cut");
    }
    CHECK(accepted == 8, "%d of the cut files are whole rows", (int)accepted);
    for (i = 0; i < n; ++i)
        for (d = 1; d < 256; ++d) {
            memcpy(damaged, csv, sizeof csv);
            damaged[i] = (char)(damaged[i] ^ d);
            if (vectors_of(damaged, n, NULL, &v) != DRL_OK) refused += drl_ctx_message(ctx)[0] != 0;
            else drl_vectors_destroy(v);
            clean("damaged");
        }
    CHECK(refused > n * 100, "%d refused", (int)refused);
    npy_of(&file, '<', "f4", 0, "2, 2", value, 4);
    for (i = 0; i < file.n; ++i) {
        CHECK(vectors_of((const char *)file.bytes, i, NULL, &v) != DRL_OK, "NPY cut to %d", (int)i);
        drl_ctx_clear(ctx);
    }
}

static void test_vectors_arguments(void)
{
    static const double mean[2] = { 0, 0 }, deviation[2] = { 1, 1 }, zero[2] = { 1, 0 };
    static const double tiny[2] = { 1, 1e-300 };
    static const char *const paths[2] = { "test_io.absent", NULL };
    double infinite[2] = { 0, HUGE_VAL };
    float out[4];
    drl_blob file = blob_of("1,2\n3,4\n", 8);
    drl_vectors_desc d;
    drl_vectors *v = NULL, own;
    drl_rng rng = { 1, 2, 3 };
    int i, seen[2] = { 0, 0 };
#define BAD(set, status, sentence)                                                      \
    memset(&d, 0, sizeof d);                                                            \
    set;                                                                                \
    CHECK_FAILS(drl_vectors_parse(ctx, &file, 1, &d, &v), status, sentence)
    BAD(d.size = -1, DRL_E_ARGUMENT, "size is -1");
    BAD(d.normal = (drl_normal)3, DRL_E_ARGUMENT, "normal is 3");
    BAD(d.size = 3, DRL_E_SHAPE, "rows of 2 numbers, the description wants 3");
    BAD((d.mean = mean, d.size = 2), DRL_E_ARGUMENT, "go together");
    BAD((d.mean = mean, d.deviation = deviation), DRL_E_ARGUMENT, "with size, which is 0");
    BAD((d.mean = mean, d.deviation = zero, d.size = 2), DRL_E_ARGUMENT, "deviation[1] 0");
    BAD((d.mean = infinite, d.deviation = deviation, d.size = 2), DRL_E_ARGUMENT, "mean[1] is inf");
    BAD((d.mean = mean, d.deviation = infinite, d.size = 2), DRL_E_ARGUMENT, "deviation[0] 0");
    BAD((d.mean = mean, d.deviation = tiny, d.size = 2), DRL_E_NUMERIC, "row 0, column 1: 2 is too far");
    BAD(d.canary = 1, DRL_E_ARGUMENT, "drl_vectors_desc was not zeroed");
#undef BAD
    CHECK_FAILS(drl_vectors_parse(ctx, &file, 0, NULL, &v), DRL_E_ARGUMENT, "below 1");
    CHECK_FAILS(drl_vectors_load(ctx, paths, 1, NULL, &v), DRL_E_IO, "test_io.absent");
    CHECK_FAILS(drl_vectors_load(ctx, paths, 2, NULL, &v), DRL_E_ARGUMENT, "path 1 is NULL");
    CHECK(!v, "a result after failures");
    CHECK_OK(ctx, drl_file_write(ctx, "test_io.csv", file.data, file.bytes));
    {
        const char *path = "test_io.csv";
        CHECK_OK(ctx, drl_vectors_load(ctx, &path, 1, NULL, &v));
        remove(path);
    }
    for (i = 0; i < 20; ++i) {
        CHECK_OK(ctx, drl_vectors_batch(ctx, v, &rng, 2, out));
        CHECK(out[0] == out[1] && out[2] == out[3] && fabsf(out[0]) == 1 && fabsf(out[2]) == 1, "a row");
        ++seen[out[0] > 0];
    }
    CHECK(seen[0] && seen[1] && rng.position == 43, "%d, %d, position %d", seen[0], seen[1],
          (int)rng.position);
    own = *v;
    own.owner = NULL;
    drl_vectors_destroy(&own);
    own.count = 0;
    CHECK_FAILS((drl_vectors_destroy(v), drl_vectors_batch(ctx, &own, &rng, 1, out)), DRL_E_ARGUMENT, "none");
    drl_vectors_destroy(NULL);
}

/* --- real files, when they are there */

/* A data set of this many images and of this size, every class of which is used. */
static void one_dataset(const char *first, const char *second, int count, int h, int w, int c, int classes)
{
    const char *paths[2];
    drl_dataset *ds = NULL;
    int i, per_class[256] = { 0 }, used = 0;
    paths[0] = first;
    paths[1] = second;
    CHECK_OK(ctx, drl_dataset_load(ctx, paths, second ? 2 : 1, NULL, &ds));
    if (!ds) return;
    CHECK(ds->count == count && ds->height == h && ds->width == w && ds->channels == c &&
              ds->classes == classes,
          "%s: %d images of %dx%dx%d, %d classes", first, ds->count, ds->height, ds->width, ds->channels,
          ds->classes);
    for (i = 0; ds->labels && i < ds->count; ++i) ++per_class[ds->labels[i]];
    for (i = 0; i < 256; ++i) used += per_class[i] > 0;
    CHECK(used == classes, "%s: %d classes in use", first, used);
    if (strstr(first, "cifar"))
        CHECK(per_class[1] == count / 10 && per_class[10] == count / 10, "%s: %d images of class 1", first,
              per_class[1]);
    drl_dataset_destroy(ds);
    clean(first);
}

static void test_data_files(void)
{
#define DATA  "../shared/data/"
#define MNIST DATA "mnist/"
#define CIFAR DATA "cifar-10-batches-bin/"
    static const char *const npy[] = { DATA "tiles/tiles-images.npy", DATA "tiles/tiles-labels.npy" };
    const char *cifar[2] = { CIFAR "data_batch_1.bin", CIFAR "test_batch.bin" };
    size_t i;
    drl_dataset *ds = NULL;
    if (!exists(MNIST "train-images-idx3-ubyte")) {
        printf("test_io: skipped the data sets, %s is not there\n", DATA);
        return;
    }
    one_dataset(MNIST "train-images-idx3-ubyte", MNIST "train-labels-idx1-ubyte", 9000, 28, 28, 1, 10);
    one_dataset(MNIST "t10k-labels-idx1-ubyte", MNIST "t10k-images-idx3-ubyte", 1000, 28, 28, 1, 10);
    one_dataset(MNIST "t10k-images-idx3-ubyte", NULL, 1000, 28, 28, 1, 0);
    one_dataset(cifar[0], NULL, 6000, 32, 32, 3, 10);
    one_dataset(npy[0], npy[1], 3002, 32, 32, 4, 8);
    CHECK_OK(ctx, drl_dataset_load(ctx, cifar, 2, NULL, &ds));
    CHECK(ds && ds->count == 7000, "two batches");
    drl_dataset_destroy(ds);
    clean("cifar");
    for (i = 0; i < 2; ++i) {               /* rewritten to the same bytes */
        void *data = NULL;
        size_t size = 0, written = 0;
        drl_array a;
        unsigned char *again;
        CHECK_OK(ctx, drl_file_read(ctx, npy[i], &data, &size));
        CHECK_OK(ctx, drl_npy_parse(ctx, data, size, &a));
        again = exact(data, size);
        memset(again, 0, size);
        CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, again, size, &written));
        CHECK(written == size && memcmp(again, data, size) == 0, "%s rewritten", npy[i]);
        free(again);
        drl_file_free(ctx, data);
        clean(npy[i]);
    }
}

/* Weights of the reference implementation have this tensor and this entry of metadata, and finite numbers
 * that are not huge; they are written as the same file again. */
static void one_reference_file(const char *path, const char *tensor, const char *key, const char *value)
{
    drl_safetensors *st = NULL, *again = NULL;
    const drl_safetensors_desc *d;
    const char *text;
    unsigned char *first, *second;
    size_t i, j, size, bytes, huge = 0;
    CHECK_OK(ctx, drl_safetensors_open(ctx, path, &st));
    if (!st) return;
    CHECK(drl_safetensors_find(st, tensor) != NULL, "%s has no %s", path, tensor);
    text = drl__safetensors_meta(st, key);
    CHECK(text && strcmp(text, value) == 0, "%s: %s", path, key);
    d = drl_safetensors_contents(st);
    for (i = 0; i < d->count; ++i) {
        size_t n = drl_array_count(&d->arrays[i]);
        float *values = (float *)malloc((n + 1) * sizeof(float));
        if (!values) exit(2);
        CHECK_OK(ctx, drl_array_to_float(ctx, &d->arrays[i], values));
        for (j = 0; j < n; ++j) huge += !(values[j] > -1e6f && values[j] < 1e6f);
        free(values);
    }
    CHECK(huge == 0, "%s: %d values are huge or not numbers", path, (int)huge);
    first = st_written(d, &size);
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, first, size, &again));
    st_compare(st, again, path);
    second = st_written(drl_safetensors_contents(again), &bytes);
    CHECK(bytes == size && memcmp(first, second, size) == 0, "%s: second rewrite differs", path);
    drl_safetensors_close(again);
    drl_safetensors_close(st);
    free(first);
    free(second);
    clean(path);
}

static void test_reference_files(void)
{
    static const struct { const char *path, *tensor, *key, *value; } files[] = {
        { "../shared/reference/drl-t6-16x16x3.safetensors", "energy.conv_in.weight", "mult", "1,2,2,2" },
        { "../shared/reference/cdrl-16x16x1.safetensors", "out.energy", "gain", "30.0" },
        { "../shared/reference/cdrl-cond-16x16x3.safetensors", "in.label", "classes", "3" },
        { "../shared/reference/mnist-classifier.safetensors", "conv1.weight", "test_accuracy", "0.9600" }
    };
    size_t i;
    for (i = 0; i < sizeof files / sizeof files[0]; ++i) {
        if (exists(files[i].path))
            one_reference_file(files[i].path, files[i].tensor, files[i].key, files[i].value);
        else printf("test_io: skipped %s, it is not there\n", files[i].path);
    }
}

/* --- the sprites of the examples */

/* sprite_read finds what was drawn, also in noise of a tenth of the range; half a sprite is no shape. */
static void test_sprites(void)
{
    enum { COUNT = 1000 };
    static float image[SPRITE_BYTES], noise[SPRITE_BYTES], match;
    int i, k, shapes = 0, colours = 0, low = 0, noisy = 0, high = 0, hidden = 0;
    drl_rng rng = { 5, 0, 0 };
    for (i = 0; i < COUNT; ++i) {
        uint8_t pixel[SPRITE_BYTES];
        int label = sprite_draw(3, i, pixel), read;
        for (k = 0; k < (int)sizeof pixel; ++k) hidden += pixel[k | 3] == 0 && pixel[k] != 0;
        for (k = 0; k < SPRITE_BYTES; ++k) image[k] = (float)pixel[k] / 127.5f - 1.0f;
        read = sprite_read(image, &match);
        shapes += read / SPRITE_COLOURS == label / SPRITE_COLOURS;
        colours += read % SPRITE_COLOURS == label % SPRITE_COLOURS;
        low += !(match > 0.9f && match < 1.0001f);
        drl_rng_normals(ctx, &rng, noise, SPRITE_BYTES);
        for (k = 0; k < SPRITE_BYTES; ++k) noise[k] = image[k] + 0.2f * noise[k];
        noisy += sprite_read(noise, NULL) == label;
        for (k = 3; k < SPRITE_BYTES; k += 4) if (k / 4 % SPRITE_SIZE >= SPRITE_SIZE / 2) image[k] = -1.0f;
        sprite_read(image, &match);
        high += match > 0.9f;
    }
    CHECK(shapes == COUNT && colours == COUNT, "%d shapes and %d colours of %d sprites are read right",
          shapes, colours, COUNT);
    CHECK(hidden == 0, "%d bytes of sprites have colour under alpha 0", hidden);
    CHECK(!low, "%d of %d drawn sprites differ from all silhouettes", low, COUNT);
    CHECK(noisy == COUNT, "%d of %d noisy sprites are read right", noisy, COUNT);
    CHECK(!high, "%d of %d half sprites match a silhouette", high, COUNT);
}

int main(int argc, char **argv)
{
    drl_ctx_desc desc;
    char root[2048];
    if (check_words(argc, argv) || !getcwd(root, sizeof root)) return 2;
    if (chdir(getenv("CHECK_DIR") ? getenv("CHECK_DIR") : "build") != 0 && getenv("CHECK_DIR")) return 2;
    memset(&desc, 0, sizeof desc);
    desc.allocator.alloc_fn = check_alloc;
    desc.allocator.free_fn = check_free;
    desc.allocator.user = &heap;
    if (drl_ctx_create(&desc, &ctx) != DRL_OK) return 2;
    PART(test_array_integers());
    PART(test_array_halves());
    PART(test_array_floats());
    PART(test_array_refusals());
    PART(test_st_reading());
    PART(test_st_cut());
    PART(test_st_hostile());
    PART(test_st_lengths());
    PART(test_st_empty());
    PART(test_st_characters());
    PART(test_st_bytes());
    PART(test_st_damage());
    PART(test_st_many());
    PART(test_st_writing());
    PART(test_st_rewriting());
    PART(test_st_file());
    PART(test_st_descriptions());
    PART(test_st_too_long());
    PART(test_st_arguments());
    PART(test_npy_hostile());
    PART(test_npy_round_trip());
    PART(test_npy_damage());
    PART(test_npy_types());
    PART(test_npy_arguments());
    PART(test_idx());
    PART(test_idx_hostile());
    PART(test_files());
    PART(test_file_leftovers());
#ifdef IO_POSIX
    PART(test_target_modes());
    PART(test_target_links());
    PART(test_target_kinds());
    PART(test_target_descriptors());
    PART(test_target_names());
#else
    PART(test_targets_windows());
#endif
    PART(test_failing_writes());
    PART(test_failing_reads());
    PART(test_failing_memory());
    PART(test_dataset_images());
    PART(test_dataset_refusals());
    PART(test_dataset_batch());
    PART(test_dataset_copy());
    PART(test_dataset_strung());
    PART(test_dataset_shapes());
    PART(test_dataset_arguments());
    PART(test_cifar10());
    PART(test_layouts());
    PART(test_questions());
    PART(test_ranges());
    PART(test_labels());
    PART(test_cifar100());
    PART(test_alpha_bytes());
    PART(test_alpha_floats());
    PART(test_pictures());
    PART(test_pictures_hostile());
    PART(test_pictures_damage());
    PART(test_pictures_strung());
    PART(test_file_classes());
    PART(test_tiles());
    PART(test_tiles_refusals());
    PART(test_wrong_files());
    PART(test_decimals());
    PART(test_csv());
    PART(test_vectors());
    PART(test_vectors_constant());
    PART(test_vectors_npy());
    PART(test_vectors_damage());
    PART(test_vectors_arguments());
    if (chdir(root) != 0) return 2;             /* only read from here on */
    PART(test_data_files());
    PART(test_sprites());
    PART(test_reference_files());
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks at the end", heap.live);
    return check_report("test_io");
}
