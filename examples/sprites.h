/* sprites.h - a data set that needs no download: 16 x 16 RGBA sprites drawn in code, five shapes in five
 * colours, each with its own size, place, hue, light and highlight. Sprite number i of a seed is always the
 * same one. Include it after drl.h.
 * label = shape * SPRITE_COLOURS + colour, or fewer classes (sprite_class). Shapes differ in outline, and all
 * pixels with any colour have the hue of the label. sprite_read reads both back from the pixels, without a
 * mistake for drawn sprites, so that one can count whether a model draws what it was asked for. */
#ifndef SPRITES_H
#define SPRITES_H
#include <stdlib.h>
#include <string.h>
#include "options.h"
#include "picture.h"
#include "training.h"

enum { SPRITE_HEART, SPRITE_GEM, SPRITE_POTION, SPRITE_SWORD, SPRITE_STAR, SPRITE_SHAPES };
enum { SPRITE_RED, SPRITE_YELLOW, SPRITE_GREEN, SPRITE_BLUE, SPRITE_PURPLE, SPRITE_COLOURS };
#define SPRITE_SIZE 16
#define SPRITE_BYTES (SPRITE_SIZE * SPRITE_SIZE * 4)
#define SPRITE_SMALLEST 5.3f                /* pixels from the middle to the rim, about */
#define SPRITE_LARGEST  6.2f
#define SPRITE_CLASSES (SPRITE_SHAPES * SPRITE_COLOURS)

static inline const char *sprite_shape_name(int shape)
{
    static const char *const name[] = { "heart", "gem", "potion", "sword", "star" };
    return shape >= 0 && shape < SPRITE_SHAPES ? name[shape] : "?";
}

static inline const char *sprite_colour_name(int colour)
{
    static const char *const name[] = { "red", "yellow", "green", "blue", "purple" };
    return colour >= 0 && colour < SPRITE_COLOURS ? name[colour] : "?";
}

/* What a point of the unit square belongs to: nothing, the coloured part, or a part without colour (hilt,
 * glass, cork). y points down. */
enum { SPRITE_OUTSIDE, SPRITE_COLOURED, SPRITE_NEUTRAL };

static inline int sprite_part(int shape, float x, float y, float fill)
{
    float ax = x < 0 ? -x : x;
    switch (shape) {
    case SPRITE_HEART: {                                        /* two discs on a wedge */
        float dx = ax - 0.48f, dy = y + 0.38f;
        return dx * dx + dy * dy < 0.29f || (y > -0.35f && ax < 0.78f * (1.0f - y)) ? SPRITE_COLOURED
                                                                                    : SPRITE_OUTSIDE;
    }
    case SPRITE_GEM:                                            /* a table over a point */
        return y > -0.8f && ax < (y < -0.2f ? 0.95f + 0.65f * (y + 0.2f) : 0.79f * (1.0f - y))
                   ? SPRITE_COLOURED
                   : SPRITE_OUTSIDE;
    /* a round flask with a neck, filled up to `fill` */
    case SPRITE_POTION: {
        float dy = y - 0.3f;
        if (ax * ax + dy * dy < 0.52f) return y > fill ? SPRITE_COLOURED : SPRITE_NEUTRAL;
        return y < 0 && y > -1.0f && ax < (y < -0.72f ? 0.42f : 0.26f) ? SPRITE_NEUTRAL : SPRITE_OUTSIDE;
    }
    /* drawn along one diagonal: `along` runs from pommel to point */
    case SPRITE_SWORD: {
        float along = 0.7071f * (x - y), across = 0.7071f * (x + y);
        across = across < 0 ? -across : across;
        if (along > -0.42f)
            return across < (along < 0.95f ? 0.24f : 1.19f - along) && along < 1.19f ? SPRITE_COLOURED
                                                                                     : SPRITE_OUTSIDE;
        if (along > -0.62f) return across < 0.6f ? SPRITE_NEUTRAL : SPRITE_OUTSIDE;
        return along > -1.25f && across < 0.14f ? SPRITE_NEUTRAL : SPRITE_OUTSIDE;
    }
    /* a pentagram: on the inner side of at least four of its five lines */
    default: {
        static const float normal[5][2] = { { 0.0f, -1.0f },
                                            { 0.951057f, -0.309017f },
                                            { 0.587785f, 0.809017f },
                                            { -0.587785f, 0.809017f },
                                            { -0.951057f, -0.309017f } };
        int i, inner = 0;
        for (i = 0; i < 5; ++i) inner += normal[i][0] * x + normal[i][1] * y < 0.37f;
        return inner >= 4 ? SPRITE_COLOURED : SPRITE_OUTSIDE;
    }
    }
}

/* The parts of a whole sprite, with a margin of one pixel of outside around it, and whether pixel (i, j)
 * belongs to the sprite, the dark line around everything included. */
typedef int sprite_parts[SPRITE_SIZE + 2][SPRITE_SIZE + 2];

static inline void sprite_lay_out(int shape, float size, float cx, float cy, float fill, sprite_parts part)
{
    int i, j;
    memset(part, 0, sizeof(sprite_parts));
    for (j = 0; j < SPRITE_SIZE; ++j)
        for (i = 0; i < SPRITE_SIZE; ++i)
            part[j + 1][i + 1] =
                sprite_part(shape, ((float)i + 0.5f - cx) / size, ((float)j + 0.5f - cy) / size, fill);
}

static inline int sprite_covers(sprite_parts part, int i, int j)
{
    return part[j + 1][i + 1] || part[j][i + 1] || part[j + 2][i + 1] || part[j + 1][i] || part[j + 1][i + 2];
}

/* Hue in degrees, saturation and value in 0..1. */
static inline void sprite_colour(float hue, float saturation, float value, uint8_t *rgba)
{
    int k;
    /* red, green and blue are one curve, a third of a turn apart */
    for (k = 0; k < 3; ++k) {
        float h = hue / 60.0f + (float)(5 - 2 * k), v;
        while (h >= 6.0f) h -= 6.0f;
        while (h < 0.0f) h += 6.0f;
        v = h < 4.0f - h ? h : 4.0f - h;
        v = value * (1.0f - saturation * (v < 0.0f ? 0.0f : v < 1.0f ? v : 1.0f));
        rgba[k] = (uint8_t)(255.0f * v + 0.5f);
    }
    rgba[3] = 255;
}

/* Sprite number `index` of a seed. Returns its label: the classes take turns. */
static inline int sprite_draw(uint64_t seed, int index, uint8_t *rgba)
{
    static const float hues[SPRITE_COLOURS] = { 0.0f, 50.0f, 125.0f, 215.0f, 285.0f };
    int label = index % SPRITE_CLASSES, shape = label / SPRITE_COLOURS, i, j;
    sprite_parts part;
    float size, cx, cy, hue, bright, light, fill, shine_x, shine_y, shine;
    drl_rng rng;
    rng.seed = seed;
    rng.stream = (uint64_t)index;
    rng.position = 0;
    size = SPRITE_SMALLEST + (SPRITE_LARGEST - SPRITE_SMALLEST) * drl_rng_uniform(&rng);
    /* whole pixels, so that the sides stay mirror images */
    cx = 7.5f + (float)drl_rng_below(&rng, 2);
    cy = 7.5f + (float)drl_rng_below(&rng, 2);
    hue = hues[label % SPRITE_COLOURS] + 14.0f * drl_rng_uniform(&rng) - 7.0f;
    bright = 0.86f + 0.14f * drl_rng_uniform(&rng);
    light = 0.2f * drl_rng_uniform(&rng);
    fill = -0.15f + 0.4f * drl_rng_uniform(&rng);
    shine_x = -0.40f + 0.2f * drl_rng_uniform(&rng);
    shine_y = (shape == SPRITE_POTION ? 0.35f
               : shape == SPRITE_STAR ? -0.05f
                                      : -0.45f) +
              0.2f * drl_rng_uniform(&rng);
    shine = 0.12f + 0.16f * drl_rng_uniform(&rng);

    memset(rgba, 0, SPRITE_BYTES);
    sprite_lay_out(shape, size, cx, cy, fill, part);
    for (j = 0; j < SPRITE_SIZE; ++j)
        for (i = 0; i < SPRITE_SIZE; ++i, rgba += 4) {
            int here = part[j + 1][i + 1];
            float x = ((float)i + 0.5f - cx) / size, y = ((float)j + 0.5f - cy) / size,
                  lit = light - 0.55f * x - 0.75f * y;
            if (here == SPRITE_OUTSIDE) {
                if (sprite_covers(part, i, j)) sprite_colour(hue, 0.55f, 0.2f, rgba);
                continue;
            }
            /* facets */
            if (shape == SPRITE_GEM)
                lit = y < -0.2f ? 0.9f : x < -0.3f ? 0.3f : x < 0.3f ? 0.5f * light : -0.6f;
            if (shape == SPRITE_SWORD && here == SPRITE_COLOURED)
                lit = x + y < -0.08f ? 0.9f : x + y < 0.12f ? 0.0f : -0.6f;
            if (here == SPRITE_NEUTRAL)
                sprite_colour(hue, 0.0f, lit > 0.3f ? 0.85f : lit > -0.3f ? 0.65f : 0.5f, rgba);
            else if (lit > 0.45f) sprite_colour(hue, 0.55f, bright, rgba);
            else if (lit > -0.4f) sprite_colour(hue, 0.85f, 0.92f * bright, rgba);
            else sprite_colour(hue, 0.95f, 0.68f * bright, rgba);
            if (shape != SPRITE_SWORD &&
                (x - shine_x) * (x - shine_x) + (y - shine_y) * (y - shine_y) < shine * shine)
                sprite_colour(hue, 0.0f, 1.0f, rgba);
        }
    return label;
}

/* sprite_read - the label that the pixels of an image (16,16,4) in about [-1, 1] look most like. The shape is
 * that of the silhouette, of any size and place, that alpha differs least from; the colour, that which most
 * of the chroma is nearest to. match, if not NULL, receives how much of that silhouette and of the image's
 * own is common, 0..1: 0.9 and more for drawn sprites. */
static inline int sprite_read(const float *rgba, float *match)
{
    /* hues 0, 50, 125, 215, 285 */
    static const float toward[SPRITE_COLOURS][2] = {
        { 1, 0 }, { 0.6428f, 0.7660f }, { -0.5736f, 0.8192f }, { -0.8192f, -0.5736f }, { 0.2588f, -0.9659f }
    };
    enum { SIZES = 10, AREA = SPRITE_SIZE * SPRITE_SIZE };
    float alpha[AREA], vote[SPRITE_COLOURS] = { 0 }, least = AREA, common = 0;
    int shape = 0, colour = 0, pixel, k, n, i, j;
    for (pixel = 0; pixel < AREA; ++pixel) {
        float c[4], u, v;
        int nearest = 0;
        for (k = 0; k < 4; ++k) {
            float x = 0.5f + 0.5f * rgba[pixel * 4 + k];
            c[k] = x < 0 ? 0 : x > 1 ? 1 : x;
        }
        alpha[pixel] = c[3];
        /* chroma as a vector: its direction is the hue */
        u = c[3] * (c[0] - 0.5f * (c[1] + c[2]));
        v = c[3] * 0.8660f * (c[1] - c[2]);
        for (k = 1; k < SPRITE_COLOURS; ++k)
            if (toward[k][0] * u + toward[k][1] * v > toward[nearest][0] * u + toward[nearest][1] * v)
                nearest = k;
        vote[nearest] += toward[nearest][0] * u + toward[nearest][1] * v;
    }
    for (k = 1; k < SPRITE_COLOURS; ++k) if (vote[k] > vote[colour]) colour = k;
    for (n = 0; n < SPRITE_SHAPES * SIZES * 4; ++n) {           /* shape, size, place */
        float size = SPRITE_SMALLEST +
                     (SPRITE_LARGEST - SPRITE_SMALLEST) * ((float)(n / 4 % SIZES) + 0.5f) / SIZES,
              differ = 0, both = 0, either = 0;
        sprite_parts part;
        sprite_lay_out(n / 4 / SIZES, size, 7.5f + (float)(n & 1), 7.5f + (float)(n / 2 & 1), 0, part);
        for (j = 0; j < SPRITE_SIZE; ++j)
            for (i = 0; i < SPRITE_SIZE; ++i) {
                float a = alpha[j * SPRITE_SIZE + i], in = sprite_covers(part, i, j) ? 1.0f : 0.0f;
                differ += a > in ? a - in : in - a;
                both += a < in ? a : in;
                either += a > in ? a : in;
            }
        if (differ < least) {
            least = differ;
            shape = n / 4 / SIZES;
            common = both / either;
        }
    }
    if (match) *match = common;
    return shape * SPRITE_COLOURS + colour;
}

#define SPRITE_EITHER (SPRITE_SHAPES + SPRITE_COLOURS)      /* classes: the shapes, then the colours */

/* The class of sprite i: with SPRITE_CLASSES its label; with SPRITE_SHAPES its shape; with SPRITE_EITHER its
 * shape or, of every third sprite, its colour, as shapes take longer to learn. */
static inline int sprite_class(int i, int label, int classes)
{
    if (classes == SPRITE_CLASSES) return label;
    return classes == SPRITE_EITHER && i % 3 == 0 ? SPRITE_SHAPES + label % SPRITE_COLOURS
                                                  : label / SPRITE_COLOURS;
}

/* Class 1 .. SPRITE_EITHER, as models count them. */
static inline const char *sprite_class_name(int i)
{
    return i <= SPRITE_SHAPES ? sprite_shape_name(i - 1) : sprite_colour_name(i - 1 - SPRITE_SHAPES);
}

/* How many of `count` images (16,16,4) show both, a class of shape and one of colour. */
static inline int sprites_of(const float *image, int count, int shape, int colour)
{
    int i, fit = 0;
    for (i = 0; i < count; ++i)
        fit += sprite_read(image + i * SPRITE_BYTES, NULL) ==
               (shape - 1) * SPRITE_COLOURS + colour - 1 - SPRITE_SHAPES;
    return fit;
}

/* A data set of `count` sprites in one block: free((void *)...) is sprites_destroy's job. Returns 0 without
 * memory. */
static inline int sprites_create(uint64_t seed, int count, int classes, drl_dataset *ds)
{
    uint8_t *block = (uint8_t *)malloc((size_t)count * (SPRITE_BYTES + 1));
    int i;
    if (!block) return 0;
    memset(ds, 0, sizeof *ds);
    for (i = 0; i < count; ++i)
        block[(size_t)count * SPRITE_BYTES + (size_t)i] = (uint8_t)
            (1 + sprite_class(i, sprite_draw(seed, i, block + (size_t)i * SPRITE_BYTES), classes));
    ds->count = count;
    ds->height = ds->width = SPRITE_SIZE;
    ds->channels = 4;
    ds->classes = classes;
    ds->pixels = block;
    ds->labels = block + (size_t)count * SPRITE_BYTES;
    return 1;
}

static inline void sprites_destroy(drl_dataset *ds)
{
    free((void *)(uintptr_t)ds->pixels);
    memset(ds, 0, sizeof *ds);
}

#define SPRITE_NOISE 0.05f          /* on the images */

/* A small model of sprites and its training, to be changed by options; 0: no memory for the sprites, which
 * are the caller's to destroy. */
static inline int sprites_training(drl_ctx *ctx, drl_dataset *sprites, training *t)
{
    memset(t, 0, sizeof *t);
    if (!sprites_create(1, 2000, SPRITE_CLASSES, sprites)) {
        fprintf(stderr, "out of memory for the sprites\n");
        return 0;
    }
    t->ctx = ctx;
    t->name = "training";
    t->data = sprites;
    t->picture = training_picture;
    t->user = t;
    t->model_desc.height = t->model_desc.width = SPRITE_SIZE;
    t->model_desc.channels = 4;
    t->model_desc.base = 16;
    t->model_desc.steps = 15;
    t->model_desc.b2 = 4e-4;
    t->train_desc.batch = 16;
    t->train_desc.learning_rate = 1e-3f;
    t->train_desc.warmup = 50;
    t->train_desc.data_noise = SPRITE_NOISE;
    return 1;
}

/* A small model of the cooperative form and its training, to be changed by options. */
static inline void sprites_cooperative(training *t)
{
    t->name = "training";
    t->model_desc.form = DRL_FORM_CDRL;
    t->model_desc.base = 16;
    t->model_desc.steps = 8;
    t->model_desc.b2 = 1e-3;
    t->train_desc.batch = 16;
    t->train_desc.learning_rate = 1e-3f;
    t->train_desc.initializer_rate = 2e-3f;
    t->train_desc.data_noise = SPRITE_NOISE;
}

/* For the examples that need some model: trains one for so many steps, or, if that is zero, minutes, saves it
 * as PREFIX.safetensors, leaves it in *model. fine: of 1000 levels, for densities. A run that Ctrl-C stops is
 * saved, too, and then DRL_RUNNING. */
static inline drl_status sprites_model(drl_ctx *ctx, int fine, int steps, double minutes, uint64_t seed,
                                       const char *prefix, drl_model **model)
{
    drl_dataset sprites;
    training t;
    drl_status status;
    if (!sprites_training(ctx, &sprites, &t)) return DRL_E_MEMORY;
    t.prefix = prefix;
    t.no_resume = 1;
    t.seed = t.train_desc.seed = seed;
    t.run.steps = (uint64_t)steps;
    t.run.seconds = steps ? 0 : 60 * minutes;
    if (fine) {
        t.model_desc.schedule = DRL_SCHEDULE_T1K;
        t.model_desc.silu = t.model_desc.no_spectral = 1;
        t.model_desc.steps = 0;
        t.model_desc.b2 = 0;
        t.train_desc.objective = DRL_OBJECTIVE_SCORE;
        t.train_desc.beta1 = 0.9f;
    }
    status = training_open(&t);
    if (status == DRL_OK) status = training_run(&t);
    *model = t.model;
    sprites_destroy(&sprites);
    return status;
}
#endif
