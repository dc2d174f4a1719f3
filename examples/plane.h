/* plane.h - data of the plane and models of it, for the examples and benchmarks that look at densities.
 * Include it after drl.h. */
#ifndef PLANE_H
#define PLANE_H
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "options.h"
#include "picture.h"
#include "training.h"

/* all data fill [-2, 2]^2: level 1 has noise 0.32, which is then less than a square or a gap */
#define PLANE_RANGE 2.0f
#define PLANE_BATCH 64
#define PLANE_NOISE 0.02            /* of the data that models are trained on */

typedef void (*plane_draw)(drl_rng *rng, float *xy);

static inline void plane_checkerboard(drl_rng *rng, float *xy)          /* 8 squares of a 4 x 4 board */
{
    int cell = drl_rng_below(rng, 8), row = cell / 2, column = 2 * (cell % 2) + row % 2;
    xy[0] = PLANE_RANGE * (0.5f * ((float)column + drl_rng_uniform(rng)) - 1.0f);
    xy[1] = PLANE_RANGE * (0.5f * ((float)row + drl_rng_uniform(rng)) - 1.0f);
}

/* two circles, the outer one with twice the points */
static inline void plane_rings(drl_rng *rng, float *xy)
{
    static const float radius[3] = { 0.45f, 1.0f, 1.0f };
    float r = PLANE_RANGE *
              (radius[drl_rng_below(rng, 3)] + 0.06f * (drl_rng_uniform(rng) + drl_rng_uniform(rng) - 1.0f)),
          angle = 6.2831853f * drl_rng_uniform(rng);
    xy[0] = r * cosf(angle);
    xy[1] = r * sinf(angle);
}

/* two half circles that reach into each other */
static inline void plane_moons(drl_rng *rng, float *xy)
{
    int lower = drl_rng_below(rng, 2);
    float angle = 3.1415927f * drl_rng_uniform(rng),
          r = 1 + 0.12f * (drl_rng_uniform(rng) + drl_rng_uniform(rng) - 1.0f);
    xy[0] = PLANE_RANGE * 0.6f * (r * cosf(angle) + (lower ? 0.5f : -0.5f));
    xy[1] = PLANE_RANGE * 0.6f * (lower ? 0.25f - r * sinf(angle) : r * sinf(angle) - 0.25f);
}

/* n points x_t = abar_t x_0 + sbar_t eps. */
static inline void plane_noisy(drl_ctx *ctx, plane_draw draw, const drl_schedule *s, int t, uint64_t seed,
                               int n, float *x)
{
    drl_rng rng = { 0, 0, 0 };
    int i, k;
    rng.seed = seed;
    for (i = 0; i < n; ++i) {
        float xy[2], eps[2];
        rng.stream = (uint64_t)i;
        rng.position = 4;                                               /* the normals come first */
        draw(&rng, xy);
        rng.position = 0;
        drl_rng_normals(ctx, &rng, eps, 2);
        for (k = 0; k < 2; ++k)
            x[2 * i + k] = (float)(s->abar[t] * (double)xy[k] + s->sbar[t] * (double)eps[k]);
    }
}

/* The density of the checkerboard's x_t at x, in closed form: a mean over squares of products of differences
 * of the normal distribution. */
static inline double plane_checkerboard_density(const drl_schedule *s, int t, const double *x)
{
    double side = 0.5 * (double)PLANE_RANGE * s->abar[t], sum = 0;
    int cell, k;
    for (cell = 0; cell < 8; ++cell) {
        int at[2];
        double p = 1;
        at[1] = cell / 2;
        at[0] = 2 * (cell % 2) + at[1] % 2;
        for (k = 0; k < 2; ++k) {
            double low = side * (at[k] - 2), noise = 1.4142135623730951 * s->sbar[t];
            p *= (erf((x[k] - low) / noise) - erf((x[k] - low - side) / noise)) / (2 * side);
        }
        sum += p / 8;
    }
    return sum;
}

/* Half the width of what is worth showing of level t, in units of x_t. */
static inline double plane_window(const drl_schedule *s, int t)
{
    return 1.15 * (double)PLANE_RANGE * s->abar[t] + 2.2 * s->sbar[t];
}

/* A model of points: 1 x 1 images of 2 channels. In two dimensions the bound on slopes costs more than it
 * protects, and steps can be longer than for images: there is less to get wrong. */
static inline drl_model_desc plane_model(drl_form form, int steps, double b2)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = 1;
    d.channels = 2;
    d.form = form;
    d.base = 8;
    d.mult[0] = 8;
    d.blocks = 3; /* three blocks 64 wide */
    d.steps = steps;
    d.b2 = b2;
    d.noise_scale = 1;
    d.no_spectral = 1;
    d.batch = PLANE_BATCH;
    d.trainable = 1;
    return d;
}

/* A run with fresh points each step. The rate falls to zero over the last two thirds: that is what makes a
 * board crisp. */
static inline training plane_training(drl_ctx *ctx, const drl_model_desc *model, const char *name,
                                      plane_draw draw, drl_objective objective, int steps, float rate,
                                      uint64_t seed)
{
    training t;
    memset(&t, 0, sizeof t);
    t.ctx = ctx;
    t.name = name;
    t.seed = t.train_desc.seed = seed;
    t.model_desc = *model;
    t.train_desc.batch = PLANE_BATCH;
    t.train_desc.learning_rate = rate;
    t.train_desc.warmup = 200;
    t.train_desc.data_noise = (float)PLANE_NOISE;
    t.train_desc.objective = objective;
    t.run.steps = (uint64_t)steps;
    t.run.fall = 2.0 / 3;
    t.run.rollbacks = 20;
    t.points = draw;
    return t;
}
#endif
