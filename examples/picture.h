/* picture.h - a canvas for the examples: images on a grid, labels, heat maps, and a file: PNG, also animated,
 * when stb_image_write.h is installed (Debian: libstb-dev), else PPM, where transparent pixels show a grey
 * checkerboard. Include it after drl.h, which writes the file. */
#ifndef PICTURE_H
#define PICTURE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_include
#if __has_include(<stb/stb_image_write.h>)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#define PICTURE_PNG
#elif __has_include(<stb_image_write.h>)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb_image_write.h>
#define PICTURE_PNG
#endif
#endif

#ifdef PICTURE_PNG
#define PICTURE_SUFFIX ".png"
#else
#define PICTURE_SUFFIX ".ppm"
#endif

typedef struct picture {
    int width, height;
    /* NULL: there was no memory; every function here then does nothing, and picture_save says so */
    uint8_t *rgba;
} picture;

/* A canvas filled with one colour, 0xRRGGBBAA. */
static inline picture picture_create(int width, int height, uint32_t colour)
{
    picture p;
    size_t i, count = (size_t)width * (size_t)height;
    p.width = width;
    p.height = height;
    p.rgba = (uint8_t *)malloc(count * 4);
    for (i = 0; p.rgba && i < count * 4; ++i) p.rgba[i] = (uint8_t)(colour >> (24 - 8 * (i % 4)));
    return p;
}

static inline void picture_destroy(picture *p)
{
    free(p->rgba);
    p->rgba = NULL;
}

/* A rectangle of one colour; what lies outside is cut off. */
static inline void picture_fill(picture *p, int x, int y, int width, int height, uint32_t colour)
{
    int i, j, k;
    for (j = y < 0 ? 0 : y; p->rgba && j < y + height && j < p->height; ++j)
        for (i = x < 0 ? 0 : x; i < x + width && i < p->width; ++i)
            for (k = 0; k < 4; ++k)
                p->rgba[((size_t)j * (size_t)p->width + (size_t)i) * 4 + (size_t)k] =
                    (uint8_t)(colour >> (24 - 8 * k));
}

/* The byte of a pixel value: [-1, 1] to 0..255, clamped. */
static inline uint8_t picture_byte(float value)
{
    float v = (value + 1.0f) * 127.5f + 0.5f;
    return (uint8_t)(v > 255.0f ? 255.0f : v > 0.0f ? v : 0.0f);
}

/* One image (height, width, channels) with its upper left corner at x, y, every pixel `scale` pixels wide.
 * Values in [-1, 1]; 1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGBA. Colour under alpha 0 means nothing:
 * it is written as 0. */
static inline void picture_image(picture *p, int x, int y, const float *image, int height, int width,
                                 int channels, int scale)
{
    int i, j;
    for (j = 0; j < height; ++j)
        for (i = 0; i < width; ++i, image += channels) {
            int colour = channels >= 3;
            uint32_t r = picture_byte(image[0]), g = picture_byte(image[colour ? 1 : 0]),
                     b = picture_byte(image[colour ? 2 : 0]);
            uint32_t a = channels % 2 ? 255u : picture_byte(image[channels - 1]);
            uint32_t rgba = a ? r << 24 | g << 16 | b << 8 | a : 0u;
            picture_fill(p, x + i * scale, y + j * scale, scale, scale, rgba);
        }
}

/* to <- the left columns of an image (height, width, channels), and black, which is opaque, beside them. */
static inline void picture_left(float *to, const float *image, int height, int width, int channels, int left)
{
    int i;
    for (i = 0; i < height * width * channels; ++i) {
        int alpha = channels % 2 == 0 && i % channels == channels - 1;
        to[i] = i / channels % width < left ? image[i] : alpha ? 1.0f : -1.0f;
    }
}

/* Lay the picture over one colour, so that nothing is transparent any more: for pictures to look at rather
 * than to use. */
static inline void picture_flatten(picture *p, uint32_t colour)
{
    size_t i, count = (size_t)p->width * (size_t)p->height * 4;
    for (i = 0; p->rgba && i < count; ++i) {
        uint32_t a = p->rgba[i | 3], below = colour >> (24 - 8 * (i % 4)) & 255u;
        p->rgba[i] = (uint8_t)(i % 4 == 3 ? 255u : (p->rgba[i] * a + below * (255u - a) + 127u) / 255u);
    }
}

/* Columns of a grid of samples: one for every class, if they are few. Sample i is then of class 1 + i %
 * columns. */
static inline int picture_columns(int classes)
{
    return classes > 1 && classes <= 16 ? classes : 8;
}

/* `count` images, `columns` to a row, one pixel of the background between them. */
static inline picture picture_grid(const float *images, int count, int columns, int height, int width,
                                   int channels, int scale)
{
    int i, rows = (count + columns - 1) / columns, w = width * scale + 1, h = height * scale + 1;
    picture p = picture_create(columns * w + 1, rows * h + 1, channels % 2 ? 0x303030ffu : 0u);
    for (i = 0; i < count; ++i)
        picture_image(&p, 1 + i % columns * w, 1 + i / columns * h,
                      images + (size_t)i * (size_t)(height * width * channels), height, width, channels,
                      scale);
    return p;
}

/* Letters of 3 x 5 dots, one octal digit a row. Lower case looks like upper case; what is not here is a
 * space. */
static inline void picture_text(picture *p, int x, int y, const char *text, uint32_t colour, int scale)
{
    static const char letter[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.,:;-+=/%()<>'";
    static const unsigned short dots[] = {
        /* 0 - 9 */
        075557, 026227, 071747, 071717, 055711, 074717, 074757, 071222, 075757, 075717,
        /* A - J */
        025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152,
        /* K - T */
        055655, 044447, 057755, 065555, 025552, 065644, 025573, 065655, 034216, 072222,
        /* U - Z  . , : ; */
        055557, 055552, 055775, 055255, 055222, 071247, 000002, 000024, 002020, 002024,
        /* - + = / % ( ) < > ' */
        000700, 002720, 007070, 011244, 051245, 024442, 021112, 012421, 042124, 022000 };
    for (; *text; ++text, x += 4 * scale) {
        const char *at = strchr(letter, *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
        int i;
        for (i = 0; at && i < 15; ++i)
            if (dots[at - letter] >> (14 - i) & 1)
                picture_fill(p, x + i % 3 * scale, y + i / 3 * scale, scale, scale, colour);
    }
}

/* A colour for 0..1: black, violet, red, orange, pale yellow, each brighter than the one before. */
static inline uint32_t picture_heat(double v)
{
    static const uint8_t stop[6][3] = { { 0, 0, 6 },     { 62, 12, 98 },   { 146, 36, 102 },
                                        { 222, 76, 58 }, { 250, 158, 30 }, { 252, 252, 180 } };
    uint32_t colour = 0;
    int i, k;
    v = v > 0 ? (v < 1 ? v * 5 : 5) : 0;
    i = v < 4 ? (int)v : 4;
    for (k = 0; k < 3; ++k)
        colour = colour << 8 | (uint32_t)(stop[i][k] + (v - i) * (stop[i + 1][k] - stop[i][k]) + 0.5);
    return colour << 8 | 255u;
}

/* A function on a grid, row 0 at the bottom; `top` is drawn brightest. */
static inline void picture_heat_map(picture *p, int x, int y, const float *value, int height, int width,
                                    double top, int scale)
{
    int i, j;
    for (j = 0; j < height; ++j)
        for (i = 0; i < width; ++i)
            picture_fill(p, x + i * scale, y + (height - 1 - j) * scale, scale, scale,
                         picture_heat((double)value[(size_t)j * (size_t)width + (size_t)i] / top));
}

/* Points (u, v) of the square [-half, half]^2 as single pixels on a black square, v upwards; those outside
 * are left out. */
static inline void picture_points(picture *p, int x, int y, int side, const float *uv, int count, double half)
{
    int i;
    picture_fill(p, x, y, side, side, 0x000006ffu);
    for (i = 0; i < count; ++i) {
        double u = ((double)uv[2 * i] / half + 1) * 0.5 * side,
               v = (1 - (double)uv[2 * i + 1] / half) * 0.5 * side;
        if (u >= 0 && u < side && v >= 0 && v < side)
            picture_fill(p, x + (int)u, y + (int)v, 1, 1, 0xfcc060ffu);
    }
}

#define PICTURE_NAME 40                     /* room for the name of a row */

/* Rows of images under headings, the name of each row left of it, a gap before every heading but an empty
 * one. Images lie row by row, `each` images a row, of which the first `columns` are shown. What is
 * transparent shows grey. */
static inline picture picture_sheet(const float *images, int rows, int columns, int each, int height,
                                    int width, int channels, const char *const *head,
                                    char (*row)[PICTURE_NAME])
{
    int scale = height < 12 ? 6 : height < 24 ? 3 : 2, h = height * scale + 1, left = 0, right, i, j;
    picture p;
    for (i = 0; i < rows; ++i) if (left < 8 * (int)strlen(row[i])) left = 8 * (int)strlen(row[i]);
    for (right = left, j = 0; j < columns; ++j) right += (head[j][0] ? 8 : 0) + width * scale + 1;
    p = picture_create(right, 14 + rows * h, 0u);
    for (i = 0; i < rows; ++i)
        for (right = left, j = 0; j < columns; ++j) {
            const float *image = images + (size_t)(i * each + j) * (size_t)(height * width * channels);
            right += head[j][0] ? 8 : 0;
            picture_image(&p, right, 14 + i * h, image, height, width, channels, scale);
            right += width * scale + 1;
        }
    picture_flatten(&p, 0x606060ff);
    for (right = left, j = 0; j < columns; ++j, right += width * scale + 1) {
        right += head[j][0] ? 8 : 0;
        picture_text(&p, right, 2, head[j], 0xffffffff, 2);
    }
    for (i = 0; i < rows; ++i) picture_text(&p, 2, 14 + i * h + h / 2 - 5, row[i], 0xffffffff, 2);
    return p;
}

static inline int picture_opaque(const picture *p)
{
    size_t i, count = (size_t)p->width * (size_t)p->height;
    for (i = 0; i < count; ++i) if (p->rgba[4 * i + 3] != 255) return 0;
    return 1;
}

#ifdef PICTURE_PNG
/* The file of a picture, for free(), and its length: RGB, a third smaller, when nothing is transparent. NULL:
 * there is no memory. */
static inline uint8_t *picture_png(const picture *p, int opaque, size_t *bytes)
{
    size_t i, count = (size_t)p->width * (size_t)p->height;
    uint8_t *rgb = opaque ? (uint8_t *)malloc(count * 3) : NULL, *file;
    int length = 0;
    for (i = 0; rgb && i < count * 3; ++i) rgb[i] = p->rgba[i / 3 * 4 + i % 3];
    stbi_write_png_compression_level = 16;
    file = opaque && !rgb ? NULL : stbi_write_png_to_mem(rgb ? rgb : p->rgba, 0, p->width, p->height,
                                                         rgb ? 3 : 4, &length);
    free(rgb);
    *bytes = (size_t)length;
    return file;
}
#endif

/* Write a file of the picture, whole or not at all (drl_file_write renames a finished file). NULL: there was
 * no memory for it. Says what it wrote, or why not. */
static inline int picture_write(drl_ctx *ctx, const char *name, const char *suffix, const picture *p,
                                const uint8_t *file, size_t bytes, int quiet)
{
    char path[1024];
    drl_status status = DRL_E_MEMORY;
    if (snprintf(path, sizeof path, "%s%s", name, suffix) >= (int)sizeof path) {
        fprintf(stderr, "picture name too long: %s\n", name);
        return 0;
    }
    if (file) status = drl_file_write(ctx, path, file, bytes);
    if (status != DRL_OK)
        fprintf(stderr, "%s: %s\n", path, status == DRL_E_MEMORY ? "out of memory" : drl_ctx_message(ctx));
    else if (!quiet) printf("wrote %s (%d x %d)\n", path, p->width, p->height);
    return status == DRL_OK;
}

/* Write the picture as `name` plus PICTURE_SUFFIX. */
static inline int picture_save(drl_ctx *ctx, const picture *p, const char *name, int quiet)
{
    uint8_t *file = NULL;
    size_t bytes = 0;
    int saved;
#ifdef PICTURE_PNG
    if (p->rgba) file = picture_png(p, picture_opaque(p), &bytes);
#else
    size_t i, count = (size_t)p->width * (size_t)p->height;
    file = p->rgba ? (uint8_t *)malloc(count * 3 + 64) : NULL;
    if (file) {
        bytes = (size_t)snprintf((char *)file, 64, "P6\n%d %d\n255\n", p->width, p->height);
        for (i = 0; i < count * 3; ++i) {
            size_t at = i / 3, a = p->rgba[4 * at + 3],
                   grey = (at / (size_t)p->width / 8 + at % (size_t)p->width / 8) % 2 ? 204 : 153;
            file[bytes++] = (uint8_t)((p->rgba[4 * at + i % 3] * a + grey * (255 - a)) / 255);
        }
    }
#endif
    saved = picture_write(ctx, name, PICTURE_SUFFIX, p, file, bytes, quiet);
    free(file);
    return saved;
}

/* An animated PNG that is under way; begin with zeros. Every frame is a whole picture, and they are played
 * again and again. Programs that do not know animated PNG show the first frame. Without stb_image_write.h
 * there is none. */
typedef struct picture_animation {
    int width, height, opaque;              /* of the first frame, and of all */
    int frames, failed;
    uint32_t sequence;                      /* of the chunks fcTL and fdAT, which are counted together */
    uint8_t *file;
    size_t bytes;
} picture_animation;

#ifdef PICTURE_PNG
/* The bytes of PNG's integers: the highest first. */
static inline void picture_put(uint8_t *to, uint32_t value)
{
    int i;
    for (i = 0; i < 4; ++i) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A chunk at the end of the file: length, type, data, and the CRC of type and data. */
static inline void picture_chunk(picture_animation *a, const char *type, const uint8_t *data, size_t size)
{
    uint8_t *file = a->failed ? NULL : (uint8_t *)realloc(a->file, a->bytes + size + 12), *at;
    if (!file) {
        a->failed = 1;
        return;
    }
    at = file + a->bytes;
    picture_put(at, (uint32_t)size);
    memcpy(at + 4, type, 4);
    if (size) memcpy(at + 8, data, size);
    picture_put(at + 8 + size, stbiw__crc32(at + 4, (int)size + 4));
    a->file = file;
    a->bytes += size + 12;
}
#endif

/* One more frame, to be seen for so many milliseconds (up to 65535). It has the first one's size, and is
 * opaque if that one was. */
static inline void picture_animate(picture_animation *a, const picture *p, int milliseconds)
{
#ifdef PICTURE_PNG
    /* stb's file: signature 8, IHDR 25, length and type of its one IDAT 8, data, CRC 4, IEND 12 */
    uint8_t control[26] = { 0 }, *png = NULL;
    size_t bytes = 0;
    int opaque = p->rgba && picture_opaque(p);
    if (!a->frames) {
        a->width = p->width;
        a->height = p->height;
        a->opaque = opaque;
    }
    if (p->rgba && p->width == a->width && p->height == a->height && opaque >= a->opaque)
        png = picture_png(p, a->opaque, &bytes);
    if (!png) {
        a->failed = 1;
        return;
    }
    if (!a->frames) {
        a->bytes = 8;                                   /* of the signature */
        picture_chunk(a, "IHDR", png + 16, 13);
        picture_chunk(a, "acTL", control, 8);           /* the number of frames, and 0: again and again */
    }
    picture_put(control, a->sequence++);
    picture_put(control + 4, (uint32_t)p->width);
    picture_put(control + 8, (uint32_t)p->height);
    picture_put(control + 20, (uint32_t)milliseconds << 16 | 1000u);    /* a fraction of a second */
    picture_chunk(a, "fcTL", control, 26);
    if (!a->frames) picture_chunk(a, "IDAT", png + 41, bytes - 57);
    else {
        picture_put(png + 37, a->sequence++);           /* in front of the data, where IDAT's type was */
        picture_chunk(a, "fdAT", png + 37, bytes - 53);
    }
    ++a->frames;
    free(png);
#else
    (void)a;
    (void)p;
    (void)milliseconds;
#endif
}

/* Write the animation as `name` plus .png, and free it. Without stb_image_write.h it says that there is none,
 * which is no failure. */
static inline int picture_animation_save(drl_ctx *ctx, picture_animation *a, const char *name, int quiet)
{
    int saved = 1;
#ifdef PICTURE_PNG
    picture p = { 0, 0, NULL };
    picture_chunk(a, "IEND", NULL, 0);
    saved = a->frames && !a->failed;
    if (saved) {
        memcpy(a->file, "\211PNG\r\n\032\n", 8);
        picture_put(a->file + 41, (uint32_t)a->frames);         /* acTL comes first, after IHDR's 25 bytes */
        picture_put(a->file + 49, stbiw__crc32(a->file + 37, 12));
        p.width = a->width;
        p.height = a->height;
        saved = picture_write(ctx, name, ".png", &p, a->file, a->bytes, quiet);
    } else
        fprintf(stderr, "%s.png: out of memory after %d frames, or a frame unlike them\n", name, a->frames);
#else
    (void)ctx;
    if (!quiet) printf("no %s.png: animations need stb_image_write.h\n", name);
#endif
    free(a->file);
    memset(a, 0, sizeof *a);
    return saved;
}
#endif
