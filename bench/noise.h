/* noise.h - how much of the noise do networks leave? Energies and initializers on one scale. Include it
 * after drl.h.
 *
 * An image x_0 at level t is x_t = abar_t x_0 + sbar_t eps. Both networks have an estimate of eps, given
 * x_t:
 *   energy        Its gradient is a score: eps_hat = -sbar_t grad log p(x_t) = -sbar_t a grad F(a x_t, t),
 *                 with a = drl_schedule_scale(t). With K = 0, sampling takes F(., t - 1) at x_t itself, and
 *                 so does this: eps_hat = -sbar_t grad F(x_t, t - 1).
 *   initializer   Its mean of y_{t-1} given x_t is g = a (A x_0_hat + B x_t), a = drl_schedule_scale(t - 1),
 *                 A = abar_{t-1} s_t^2 / sbar_t^2, B = a_t sbar_{t-1}^2 / sbar_t^2. From x_0_hat follows
 *                 eps_hat = (x_t - abar_t x_0_hat) / sbar_t.
 * The noise left is the mean of (eps_hat - eps)^2 over pixels and images. eps_hat = 0 leaves 1. The best
 * estimate, the mean of eps given x_t, leaves more than 0: for Gaussian pixels of variance v, it is
 * abar_t^2 v / (abar_t^2 v + sbar_t^2). An energy that leaves more than the initializer knows less than the
 * proposal that its chain starts at. */
#ifndef NOISE_H
#define NOISE_H
#include <math.h>
#include <stdlib.h>

#define NOISE_BATCH 32

typedef struct noise_left { double energy, initializer; } noise_left;   /* negative: no estimate */

/* Of n images x0 [n * e->size] at level t, 0..T, with labels [n] (NULL: none). steps: the model's K, negative
 * where it is 0. One seed is one noise, whatever the labels. Fails as the energy does, or without memory. */
static inline drl_status noise_left_at(drl_ctx *ctx, const drl_energy *e, const drl_schedule *s, int steps,
                                       int t, int n, const float *x0, const int *labels, uint64_t seed,
                                       noise_left *left)
{
    int most = e->batch < NOISE_BATCH ? e->batch : NOISE_BATCH, first, count, i;
    int below = steps < 0 ? t - 1 : t;                          /* the energy's level */
    size_t size = e->size, k, block = (size_t)most * size;
    float *eps = (float *)malloc(3 * block * sizeof *eps), *x = eps + block, *out = x + block;
    double scale, of_x0 = 0, of_next = 0, sum[2] = { 0, 0 };
    int level[NOISE_BATCH], asked[2], which;
    drl_status status = eps ? DRL_OK : DRL_E_MEMORY;
    asked[0] = below >= 0 && below < s->levels;
    asked[1] = e->propose && steps >= 0 && t > 0;
    if (t > 0) {
        of_x0 = s->abar[t - 1] * s->s[t] * s->s[t] / (s->sbar[t] * s->sbar[t]);
        of_next = s->a[t] * s->sbar[t - 1] * s->sbar[t - 1] / (s->sbar[t] * s->sbar[t]);
    }
    for (first = 0; first < n && status == DRL_OK; first += count) {
        const int *label = labels ? labels + first : NULL;
        const float *clean = x0 + (size_t)first * size;
        count = n - first < most ? n - first : most;
        for (i = 0; i < count; ++i) {
            drl_rng rng = { 0, 0, 0 };
            rng.seed = seed;
            rng.stream = (uint64_t)(first + i) << 32 | (uint64_t)t;
            drl_rng_normals(ctx, &rng, eps + (size_t)i * size, size);
        }
        for (which = 0; which < 2 && status == DRL_OK; ++which) {
            if (!asked[which]) continue;
            for (i = 0; i < count; ++i) level[i] = which ? t - 1 : below;
            scale = drl_schedule_scale(s, level[0]);
            for (k = 0; k < (size_t)count * size; ++k)
                x[k] = (float)(s->abar[t] * (double)clean[k] + s->sbar[t] * (double)eps[k]);
            if (!which && steps < 0) scale = 1;
            for (k = 0; k < (size_t)count * size && !which; ++k) x[k] = (float)(scale * (double)x[k]);
            status = which ? e->propose(e->user, count, x, level, label, out)
                           : e->eval(e->user, count, x, level, label, NULL, out);
            for (k = 0; k < (size_t)count * size && status == DRL_OK; ++k) {
                double hat = -s->sbar[t] * scale * (double)out[k];
                if (which) {
                    double x0_hat = ((double)out[k] / scale - of_next * (double)x[k]) / of_x0;
                    hat = ((double)x[k] - s->abar[t] * x0_hat) / s->sbar[t];
                }
                sum[which] += (hat - (double)eps[k]) * (hat - (double)eps[k]);
            }
        }
    }
    left->energy = asked[0] ? sum[0] / ((double)n * (double)size) : -1;
    left->initializer = asked[1] ? sum[1] / ((double)n * (double)size) : -1;
    free(eps);
    return status;
}
#endif
