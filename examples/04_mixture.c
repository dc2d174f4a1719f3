/* 04_mixture.c - energies without a network: a Gaussian mixture in closed form, and a rule of one's own added
 * to it.
 *
 * Shows: drl_energy as an interface, a schedule and a sampler without a model, weighted sums.
 *
 *     cc examples/04_mixture.c -o mixture -lm
 *     ./mixture
 *
 * Draws samples from noise through 6 levels and prints the share and the mean of each mode beside the truth.
 * Then it does so once more with an energy added that dislikes the left half plane. Takes a few seconds.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT 4000
#define MODES 3
#define LEVELS 6
#define STEPS 300

/* A rule: F(y) = -strength * min(y[0], 0)^2. Any function with this signature is an energy; this one needs
 * neither the level nor the label. */
static drl_status keep_right(void *user, int n, const float *y, const int *level, const int *label, float *f,
                             float *gradient)
{
    float strength = *(const float *)user;
    int i;
    (void)level;
    (void)label;
    for (i = 0; i < n; ++i) {
        float left = y[2 * i] < 0 ? y[2 * i] : 0;
        if (f) f[i] = -strength * left * left;
        if (gradient) {
            gradient[2 * i] = -2 * strength * left;
            gradient[2 * i + 1] = 0;
        }
    }
    return DRL_OK;
}

static int draw(drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule, const drl_mixture *m,
                const char *title)
{
    static float x[COUNT][2];
    double mean[MODES][2] = { { 0 } };
    int share[MODES] = { 0 }, i, k;
    drl_sampler *sampler = NULL;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = COUNT;
    how.seed = 1;
    how.steps = STEPS;
    if (drl_sampler_create_energy(ctx, energy, schedule, &how, &sampler) != DRL_OK ||
        drl_sampler_run(sampler, 1 << 30) != DRL_OK) {
        fprintf(stderr, "%s\n", drl_ctx_message(ctx));
        drl_sampler_destroy(sampler);
        return 1;
    }
    for (i = 0; i < COUNT; ++i) {
        int best = 0;
        double nearest = 1e30;
        drl_sampler_image(sampler, i, x[i]);
        for (k = 0; k < MODES; ++k) {
            double dx = (double)x[i][0] - m->mean[2 * k], dy = (double)x[i][1] - m->mean[2 * k + 1];
            if (dx * dx + dy * dy < nearest) {
                nearest = dx * dx + dy * dy;
                best = k;
            }
        }
        ++share[best];
        mean[best][0] += (double)x[i][0];
        mean[best][1] += (double)x[i][1];
    }
    drl_sampler_destroy(sampler);
    printf("%s\n  mode      share      mean\n", title);
    for (k = 0; k < MODES; ++k)
        printf("  %d     %.3f (%.2f)  %+.3f %+.3f (%+.1f %+.1f)\n", k, (double)share[k] / COUNT, m->weight[k],
               share[k] ? mean[k][0] / share[k] : 0.0, share[k] ? mean[k][1] / share[k] : 0.0, m->mean[2 * k],
               m->mean[2 * k + 1]);
    return 0;
}

int main(int argc, char **argv)
{
    static const double weight[MODES] = { 0.5, 0.3, 0.2 };
    static const double mean[MODES * 2] = { 1.0, 0.0, -1.0, 0.8, 0.2, -1.2 };
    static const double variance[MODES * 2] = { 0.04, 0.04, 0.02, 0.06, 0.03, 0.03 };
    /* A schedule is the noise of each level. The published schedules start at 0.01, and their steps are too
     * short for chains to mix within a level; this one starts at 0.05. */
    static const double sbar[LEVELS + 1] = { 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999 };
    double memory[4 * (LEVELS + 1)];
    float strength = 20.0f;
    drl_schedule schedule;
    drl_mixture mixture;
    drl_energy gaussians;
    drl_sum_term term[2];
    drl_sum *sum = NULL;
    drl_ctx *ctx = NULL;
    int failed;
    if (argc > 1) {
        fprintf(stderr, "%s: not understood; mixture takes no options\n", argv[1]);
        return 2;
    }
    if (drl_ctx_create(NULL, &ctx) != DRL_OK ||
        drl_schedule_of(sbar, LEVELS, 1e-2, memory, &schedule) != DRL_OK)
        return 1;

    memset(&mixture, 0, sizeof mixture);
    mixture.schedule = &schedule;
    mixture.size = 2;
    mixture.components = MODES;
    mixture.weight = weight;
    mixture.mean = mean;
    mixture.variance = variance;
    gaussians = drl_mixture_energy(&mixture);
    failed = draw(ctx, &gaussians, &schedule, &mixture, "the mixture (truth in brackets)");

    memset(term, 0, sizeof term);
    term[0].energy = gaussians;
    term[0].weight = 1.0f;
    term[1].energy.eval = keep_right;
    term[1].energy.user = &strength;
    term[1].energy.size = 2;
    term[1].energy.batch = COUNT;
    term[1].weight = 1.0f;
    if (drl_sum_create(ctx, term, 2, &sum) == DRL_OK) {
        drl_energy both = drl_sum_energy(sum);
        failed |= draw(ctx, &both, &schedule, &mixture, "and with the rule \"not left of zero\" added");
    }
    drl_sum_destroy(sum);
    drl_ctx_destroy(ctx);
    return failed;
}
