/* 07_own_energy.c - a rule of one's own added to a learned energy: samples obey both, and nothing is trained
 * for it.
 *
 * Shows: a drl_energy in closed form that knows the levels, drl_sum, drl_sample_desc.energy.
 *
 *     cc -O2 -DDRL_THREADS examples/07_own_energy.c -o own_energy -lm
 *     ./own_energy [--model FILE] [--palette] [--strength X] [--minutes X or --steps N] [--resume] [--base N]
 *                  [--k N] [--seed N] [--out PREFIX] [--threads N] [--isa NAME]    (and others of 02)
 *
 * The rule is that images are their own mirror images, or with --palette that pixels have one of five
 * colours. FILE is any model. Without one a small model is trained on the embedded sprites for a minute,
 * enough for blobs of colour.
 * Prints how far samples are from the rule without it and with it, and writes PREFIX.png (or .ppm): samples
 * without the rule above, with the rule below, from the same noise. The distance falls from about 0.4 to 0.02
 * for mirror images, and from 0.4 to 0.05 for five colours.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "sprites.h"
#include <math.h>

#define COUNT 16

static const char usage[] =
    "own_energy [--model FILE] [--palette] [--strength X]\n"
    "      " TRAINING_USAGE "\n      [--threads N] [--isa NAME]\n";

typedef struct rule {
    const drl_schedule *schedule;
    int height, width, channels, palette;
    float strength;
} rule;

/* At level t the energy sees y = a (abar x_0 + sbar eps), not an image. The rule is about x_0, so y may
 * differ from the rule by the noise, which has standard deviation a sbar. The weight of the squared distance
 * is therefore that of the noise's log density, 1 / (2 a^2 sbar^2). It is kept below half of the weight at
 * which a Langevin step of the level would overshoot. */
static void noise_of(const rule *r, int level, float *signal, float *weight)
{
    double a = drl_schedule_scale(r->schedule, level), noise = a * r->schedule->sbar[level],
           step = drl_schedule_step(r->schedule, level);
    double w = (double)r->strength / (2 * noise * noise), most = 0.5 / (step * step);
    *signal = (float)(a * r->schedule->abar[level]);
    *weight = (float)(w < most ? w : most);
}

/* Mirror: F(y) = -weight * sum over pixels of (y - mirror y)^2 / 4. The sum is the squared distance to the
 * nearest symmetric image. */
static drl_status mirror(void *user, int n, const float *y, const int *level, const int *label, float *f,
                         float *gradient)
{
    const rule *r = (const rule *)user;
    int i, row, column, k, width = r->width, c = r->channels, rows = r->height;
    (void)label;
    for (i = 0; i < n; ++i) {
        float signal, weight;
        double sum = 0;
        noise_of(r, level[i], &signal, &weight);
        for (row = 0; row < rows; ++row, y += width * c, gradient += gradient ? width * c : 0)
            for (column = 0; column < width; ++column)
                for (k = 0; k < c; ++k) {
                    float d = y[column * c + k] - y[(width - 1 - column) * c + k];
                    sum += (double)(d * d) / 4;
                    if (gradient) gradient[column * c + k] = -weight * d;
                }
        if (f) f[i] = (float)(-(double)weight * sum);
    }
    return DRL_OK;
}

/* The greens of an old hand console, from dark to light, and nothing at all; of grey images the light
 * alone. */
static float palette_colour(int colour, int channel, int channels)
{
    static const float table[5][4] = { { -0.88f, -0.56f, -0.88f, 1 },
                                       { -0.62f, -0.23f, -0.62f, 1 },
                                       { 0.09f, 0.35f, -0.88f, 1 },
                                       { 0.22f, 0.47f, -0.88f, 1 },
                                       { -1, -1, -1, -1 } };
    return channels < 3 ? table[colour][channel ? 3 : 1] : table[colour][channel];
}

/* Palette: F(y) = sum over pixels of log sum over colours of exp(-weight |pixel - signal colour|^2). While
 * the noise is large all colours pull alike; as it falls, each pixel settles on one colour. */
static drl_status palette(void *user, int n, const float *y, const int *level, const int *label, float *f,
                          float *gradient)
{
    const rule *r = (const rule *)user;
    int i, p, q, k, c = r->channels;
    (void)label;
    for (i = 0; i < n; ++i) {
        float signal, weight;
        double all = 0;
        noise_of(r, level[i], &signal, &weight);
        for (p = 0; p < r->height * r->width; ++p, y += c, gradient += gradient ? c : 0) {
            double away[5], nearest = 1e30, sum = 0;
            for (q = 0; q < 5; ++q) {
                for (away[q] = 0, k = 0; k < c; ++k) {
                    double d = (double)(y[k] - signal * palette_colour(q, k, c));
                    away[q] += (double)weight * d * d;
                }
                if (away[q] < nearest) nearest = away[q];
            }
            /* the nearest colour counts 1: nothing overflows */
            for (q = 0; q < 5; ++q) sum += away[q] = exp(nearest - away[q]);
            all += log(sum) - nearest;
            for (k = 0; k < c && gradient; ++k) {
                double mean = 0;
                for (q = 0; q < 5; ++q) mean += away[q] / sum * (double)palette_colour(q, k, c);
                gradient[k] = 2 * weight * (signal * (float)mean - y[k]);
            }
        }
        if (f) f[i] = (float)all;
    }
    return DRL_OK;
}

/* Root mean square distance of finished images to the nearest one that obeys the rule. */
static double distance(const rule *r, const float *x, int count)
{
    int c = r->channels, pixels = count * r->height * r->width, p, q, k;
    double sum = 0;
    for (p = 0; p < pixels; ++p) {
        const float *at = x + p * c, *other = x + (p - p % r->width + r->width - 1 - p % r->width) * c;
        double nearest = 1e30;
        for (q = 0; q < (r->palette ? 5 : 1); ++q) {
            double d2 = 0;
            for (k = 0; k < c; ++k) {
                double d =
                    r->palette ? (double)(at[k] - palette_colour(q, k, c)) : 0.5 * (double)(at[k] - other[k]);
                d2 += d * d;
            }
            if (d2 < nearest) nearest = d2;
        }
        sum += nearest;
    }
    return sqrt(sum / ((double)pixels * c));
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_dataset sprites;
    drl_model_desc *d;
    drl_sample_desc how;
    training t;
    drl_sum_term term[2];
    drl_sum *sum = NULL;
    drl_energy both;
    drl_status status;
    float *x;
    rule r;
    picture p;
    memset(&r, 0, sizeof r);
    memset(&how, 0, sizeof how);
    memset(term, 0, sizeof term);
    if (!sprites_training(ctx, &sprites, &t)) return 1;
    d = &t.model_desc;
    t.file = option_text(&o, "--model", NULL);
    r.palette = option_flag(&o, "--palette");       /* the rule's, not the training's */
    r.strength = (float)option_number(&o, "--strength", 1);
    training_options(&o, &t, "own_energy", 1);
    how.count = COUNT;
    how.seed = t.seed;
    if (options_rest(&o, usage) || !(r.strength >= 0)) {
        fprintf(stderr, "--strength 0 or more, and no words\n%s", usage);
        return 2;
    }

    status = training_open(&t);
    if (status == DRL_OK) status = training_run(&t);
    if (status != DRL_OK) return training_failure(&t, status);
    if (d->channels > 4) {
        fprintf(stderr, "%s: not images of 1 to 4 channels\n", t.file);
        return 1;
    }
    r.schedule = drl_model_schedule(t.model);
    r.height = d->height;
    r.width = d->width;
    r.channels = d->channels;

    term[0].energy = drl_model_energy(t.model);
    term[0].weight = 1;
    term[1].energy.eval = r.palette ? palette : mirror;
    term[1].energy.user = &r;
    term[1].energy.size = term[0].energy.size;
    term[1].energy.batch = COUNT;
    /* it proposes nothing: chains start where the model's do */
    term[1].weight = 1;
    x = (float *)malloc(2 * COUNT * term[0].energy.size * sizeof *x);
    if (!x) {
        fprintf(stderr, "out of memory for %d images\n", 2 * COUNT);
        return 1;
    }
    training_catch();
    status = training_sample(t.model, &how, x);
    if (status == DRL_OK) status = drl_sum_create(ctx, term, 2, &sum);
    both = drl_sum_energy(sum);
    /* in place of the model's; schedule, steps and noise stay */
    how.energy = &both;
    if (status == DRL_OK) status = training_sample(t.model, &how, x + COUNT * term[0].energy.size);
    if (status == DRL_RUNNING) {
        printf("stopped while drawing: the same command with --model draws again\n");
        return 0;
    }
    if (status != DRL_OK) {
        fprintf(stderr, "sampling: %s\n", drl_ctx_message(ctx));
        return 1;
    }
    printf("root mean square distance from the rule (%s): %.3f without it, %.3f with it\n",
           r.palette ? "five colours" : "mirror images", distance(&r, x, COUNT),
           distance(&r, x + COUNT * term[0].energy.size, COUNT));
    p = picture_grid(x, 2 * COUNT, COUNT, d->height, d->width, d->channels, d->height < 24 ? 4 : 2);
    picture_flatten(&p, 0x606060ff);
    if (!picture_save(ctx, &p, t.prefix, 0)) return 1;
    picture_destroy(&p);
    free(x);
    drl_sum_destroy(sum);
    drl_model_destroy(t.model);
    sprites_destroy(&sprites);
    drl_ctx_destroy(ctx);
    return 0;
}
