/* Pictures (examples/picture.h): the files hold the pixels that they were given. Every chunk of a PNG is read
 * here, with a CRC of its own; the frames of an animation are taken out as pictures of one frame each, and
 * stb_image.h, which has nothing in common with the writer, decodes them. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/picture.h"
#include "check.h"

#ifdef PICTURE_PNG
#if __has_include(<stb/stb_image.h>)
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define DECODED
#endif
#endif

#define WIDTH  21
#define HEIGHT 13
#define FRAMES 5

static drl_ctx *ctx;
static char name[300], path[310];           /* of a file: without its suffix, and whole */

/* A picture of noise in cells of 3 x 3 pixels. */
static picture noise(int frame, int opaque)
{
    float image[5 * 7 * 4];
    drl_rng rng = { 1, 0, 0 };
    picture p = picture_create(WIDTH, HEIGHT, opaque ? 0x303030ffu : 0u);
    rng.stream = (uint64_t)frame;
    drl_rng_normals(ctx, &rng, image, 5 * 7 * 4);
    picture_image(&p, 0, 0, image, 5, 7, opaque ? 3 : 4, 3);
    return p;
}

static void suffix(const char *text)
{
    snprintf(path, sizeof path, "%s%s", name, text);
    remove(path);
}

#ifdef PICTURE_PNG
static uint32_t integer(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The CRC of ISO 3309, bit by bit. */
static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    int bit;
    for (; n--; ++p)
        for (c ^= *p, bit = 0; bit < 8; ++bit) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0u);
    return ~c;
}

/* The data of the chunk at *at, which has to be of this type, and its size; *at goes on to the next. NULL
 * after a failed check. */
static const uint8_t *chunk(const uint8_t *file, size_t bytes, size_t *at, const char *type, size_t *size)
{
    const uint8_t *p = file + *at;
    int room = bytes - *at >= 12 && integer(p) <= bytes - *at - 12;
    CHECK(room, "%s: a chunk at %lu of %lu bytes", type, (unsigned long)*at, (unsigned long)bytes);
    if (!room) return NULL;
    *size = integer(p);
    *at += *size + 12;
    CHECK(!memcmp(p + 4, type, 4), "%.4s where %s belongs", (const char *)p + 4, type);
    CHECK(crc(p + 4, *size + 4) == integer(p + 8 + *size), "the CRC of %s", type);
    return memcmp(p + 4, type, 4) ? NULL : p + 8;
}

/* A PNG file of one IDAT has the pixels of p, and is byte for byte what p alone is written as: decoders do
 * not look at the sum behind the pixels. */
static void same_pixels(const uint8_t *png, size_t bytes, const picture *p, int frame)
{
    size_t size = 0;
    uint8_t *alone = picture_png(p, picture_opaque(p), &size);
    CHECK(alone && size == bytes && !memcmp(alone, png, size), "frame %d: %lu bytes, alone %lu", frame,
          (unsigned long)bytes, (unsigned long)size);
    free(alone);
#ifdef DECODED
    {
        int width = 0, height = 0, channels = 0;
        uint8_t *rgba = stbi_load_from_memory(png, (int)bytes, &width, &height, &channels, 4);
        CHECK(rgba && width == p->width && height == p->height && channels == (picture_opaque(p) ? 3 : 4),
              "frame %d: %d x %d, %d channels", frame, width, height, channels);
        CHECK(rgba && !memcmp(rgba, p->rgba, (size_t)width * (size_t)height * 4), "frame %d: pixels", frame);
        stbi_image_free(rgba);
    }
#endif
}

/* Frame i of an animation, with IHDR: the picture is noise(i), seen for 100 + i milliseconds. */
static void check_frame(const uint8_t *file, size_t bytes, size_t *at, uint32_t *sequence, int i, int opaque)
{
    static uint8_t png[16384];
    size_t size = 0, skip = i ? 4 : 0;
    picture p = noise(i, opaque);
    const uint8_t *d = chunk(file, bytes, at, "fcTL", &size);
    CHECK(d && size == 26, "fcTL of %lu bytes", (unsigned long)size);
    if (d && size == 26) {
        CHECK(integer(d) == *sequence, "frame %d: number %u, not %u", i, integer(d), *sequence);
        CHECK(integer(d + 4) == WIDTH && integer(d + 8) == HEIGHT && !integer(d + 12) && !integer(d + 16),
              "frame %d: %u x %u at %u, %u", i, integer(d + 4), integer(d + 8), integer(d + 12),
              integer(d + 16));
        CHECK(integer(d + 20) == ((100u + (uint32_t)i) << 16 | 1000u), "frame %d: %08x seconds", i,
              integer(d + 20));
        CHECK(!d[24] && !d[25], "frame %d: disposal %d, blending %d", i, d[24], d[25]);
    }
    ++*sequence;
    d = chunk(file, bytes, at, i ? "fdAT" : "IDAT", &size);
    CHECK(d && size > skip && size < sizeof png - 64, "frame %d: %lu bytes", i, (unsigned long)size);
    if (d && size > skip && size < sizeof png - 64) {
        if (i) CHECK(integer(d) == *sequence, "data of frame %d: %u, not %u", i, integer(d), *sequence);
        size -= skip;
        memcpy(png, file, 33);
        picture_put(png + 33, (uint32_t)size);
        memcpy(png + 37, "IDAT", 4);
        memcpy(png + 41, d + skip, size);
        picture_put(png + 41 + size, crc(png + 37, size + 4));
        memcpy(png + 45 + size, file + bytes - 12, 12);
        same_pixels(png, size + 57, &p, i);
    }
    *sequence += i > 0;
    picture_destroy(&p);
}

static void check_animation(int opaque)
{
    picture_animation a = { 0 };
    uint32_t sequence = 0;
    uint8_t *file = NULL;
    size_t bytes = 0, at = 8, size = 0;
    const uint8_t *d;
    int i;
    suffix(".png");
    for (i = 0; i < FRAMES; ++i) {
        picture p = noise(i, opaque);
        picture_animate(&a, &p, 100 + i);
        picture_destroy(&p);
    }
    CHECK(picture_animation_save(ctx, &a, name, 1) && !a.file, "%s", path);
    CHECK_OK(ctx, drl_file_read(ctx, path, (void **)&file, &bytes));
    if (!file) return;
    CHECK(!memcmp(file, "\211PNG\r\n\032\n", 8), "the signature");
    d = chunk(file, bytes, &at, "IHDR", &size);
    CHECK(d && size == 13 && integer(d) == WIDTH && integer(d + 4) == HEIGHT && d[8] == 8 &&
          d[9] == (opaque ? 2 : 6) && !d[10] && !d[11] && !d[12], "IHDR");
    d = chunk(file, bytes, &at, "acTL", &size);
    CHECK(d && size == 8 && integer(d) == FRAMES && !integer(d + 4), "acTL: %u frames, %u times",
          d ? integer(d) : 0, d ? integer(d + 4) : 0);
    for (i = 0; i < FRAMES && d; ++i) check_frame(file, bytes, &at, &sequence, i, opaque);
    d = chunk(file, bytes, &at, "IEND", &size);
    CHECK(d && !size && at == bytes, "IEND at %lu of %lu", (unsigned long)at, (unsigned long)bytes);
    drl_file_free(ctx, file);
    remove(path);
}
#endif

static int exists(void)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static void test_animation(void)
{
#ifdef PICTURE_PNG
    check_animation(0);
    check_animation(1);
#else
    picture_animation a = { 0 };
    picture p = noise(0, 1);
    suffix(".png");
    picture_animate(&a, &p, 100);
    CHECK(picture_animation_save(ctx, &a, name, 1) && !exists(), "%s without stb_image_write.h", path);
    picture_destroy(&p);
#endif
}

/* Frames that do not go together are no file, and neither is no frame. */
static void test_animation_refused(void)
{
#ifdef PICTURE_PNG
    int i;
    suffix(".png");
    for (i = 0; i < 5; ++i) {
        picture_animation a = { 0 };
        picture p = noise(0, 1), other = i == 1 ? picture_create(WIDTH + 1, HEIGHT, 0xffu)
                                       : i == 2 ? picture_create(WIDTH, HEIGHT - 1, 0xffu)
                                                : noise(1, i != 3);
        if (i == 4) picture_destroy(&other);            /* as when there was no memory for it */
        if (i) picture_animate(&a, &p, 10);
        if (i) picture_animate(&a, &other, 10);
        CHECK(!picture_animation_save(ctx, &a, name, 1) && !exists() && !a.file, "case %d", i);
        picture_destroy(&p);
        picture_destroy(&other);
    }
#endif
}

/* A picture alone: PNG, RGB when nothing is transparent, or PPM. */
static void test_picture(void)
{
    int opaque;
    for (opaque = 0; opaque < 2; ++opaque) {
        picture p = noise(3, opaque);
        uint8_t *file = NULL;
        size_t bytes = 0;
        suffix(PICTURE_SUFFIX);
        CHECK(picture_save(ctx, &p, name, 1), "%s", path);
        CHECK_OK(ctx, drl_file_read(ctx, path, (void **)&file, &bytes));
#ifdef PICTURE_PNG
        if (file) same_pixels(file, bytes, &p, 0);
#else
        CHECK(file && bytes == 13 + 3 * WIDTH * HEIGHT && !memcmp(file, "P6\n21 13\n255\n", 13), "%lu bytes",
              (unsigned long)bytes);
        if (file && opaque) CHECK(file[13 + 3 * 40 + 2] == p.rgba[4 * 40 + 2], "blue of pixel 40");
#endif
        drl_file_free(ctx, file);
        remove(path);
        picture_destroy(&p);
        CHECK(!picture_save(ctx, &p, name, 1) && !exists(), "a picture for which there was no memory");
    }
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    if (drl_ctx_create(NULL, &ctx) != DRL_OK) return 1;
    strcpy(name, check_path("picture"));
    PART(test_animation());
    PART(test_animation_refused());
    PART(test_picture());
    drl_ctx_destroy(ctx);
    return check_report("test_picture");
}
