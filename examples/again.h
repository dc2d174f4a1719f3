/* again.h - drl_sample, then again and again from lower and lower levels: each result is noised up to a level
 * and comes down again. One pass decides on the noisy levels, with few steps and hardly seeing what is known
 * or asked for; every further one corrects that by what the levels below made of it. For inpainting and sums
 * of several classes, at several times the cost. Include it after drl.h. */
#ifndef AGAIN_H
#define AGAIN_H
#include <stdlib.h>
#include <string.h>

/* from: the levels to start from after the first pass, ending with 0; those that the model does not have are
 * left out. */
static inline drl_status sample_again(drl_ctx *ctx, drl_model *model, const drl_sample_desc *first,
                                      const int *from, float *out)
{
    const drl_schedule *schedule = drl_model_schedule(model);
    drl_sample_desc how = *first;
    drl_model_desc d;
    float *start = NULL;
    size_t size, count, j;
    int i;
    drl_status status = drl_sample(model, &how, out);
    drl_model_describe(model, &d);
    size = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
    count = size * (how.count > 1 ? (size_t)how.count : 1);
    if (status == DRL_OK && *from && (start = (float *)malloc(count * sizeof *start)) == NULL)
        status = DRL_E_MEMORY;
    for (; *from && status == DRL_OK; ++from) {
        drl_rng rng;
        if (*from > schedule->levels) continue;
        rng.seed = how.seed;
        /* an image gets the same noise alone and among others */
        for (i = 0; i < (int)(count / size); ++i) {
            /* no draw of the sampler's */
            rng.stream = (uint64_t)(uint32_t)(how.first + i) << 32 | 0xffffffffu;
            rng.position = 0;
            drl_rng_normals(ctx, &rng, start + (size_t)i * size, size);
        }
        for (j = 0; j < count; ++j)
            start[j] = (float)schedule->abar[*from] * out[j] + (float)schedule->sbar[*from] * start[j];
        how.start = start;
        how.from_level = *from;
        how.seed += 0x9e3779b9u;                                /* other draws in every pass */
        status = drl_sample(model, &how, out);
    }
    free(start);
    return status;
}

/* Samples whose first `left` columns are those of an image, and the rest what the model puts there. */
static inline drl_status sample_rest(drl_ctx *ctx, drl_model *model, const float *image, int left,
                                     const drl_sample_desc *like, const int *from, float *out)
{
    drl_sample_desc how = *like;
    drl_model_desc d;
    drl_status status = drl_model_describe(model, &d);
    size_t size = drl_model_energy(model).size, count = size * (size_t)how.count, i;
    float *known = (float *)malloc(count * sizeof *known);
    uint8_t *mask = (uint8_t *)malloc(count);
    if (status == DRL_OK && (!known || !mask)) status = DRL_E_MEMORY;
    for (i = 0; i < count && status == DRL_OK; ++i) {
        known[i] = image[i % size];
        mask[i] = i / (size_t)d.channels % (size_t)d.width < (size_t)left;
    }
    how.known = known;
    how.mask = mask;
    if (status == DRL_OK) status = sample_again(ctx, model, &how, from, out);
    free(known);
    free(mask);
    return status;
}

/* Samples of the energy F(y) + sum of weight[i] (F(y; label[i]) - F(y)) over one or two classes: two at once,
 * or, with a weight below 0, one without the other. They are drawn again from the levels `from`. */
static inline drl_status sample_sum(drl_ctx *ctx, drl_model *model, const int *label, const float *weight,
                                    int labels, const drl_sample_desc *like, const int *from, float *out)
{
    drl_sample_desc how = *like;            /* but for labels and guidance, which the sum has */
    drl_sum_term term[3];
    drl_sum *sum = NULL;
    drl_energy energy;
    drl_status status;
    int i;
    memset(term, 0, sizeof term);
    /* weights add up to 1, so that the initializer's means do */
    term[labels].weight = 1;
    for (i = 0; i <= labels; ++i) {
        term[i].energy = drl_model_energy(model);
        term[i].use_label = 1;
        if (i == labels) continue;
        term[i].label = label[i];
        term[i].weight = weight[i];
        term[labels].weight -= weight[i];
    }
    status = drl_sum_create(ctx, term, labels + 1, &sum);
    if (status == DRL_OK) {
        energy = drl_sum_energy(sum);
        how.energy = &energy;
        how.labels = NULL;
        how.guidance = 0;
        status = sample_again(ctx, model, &how, from, out);
    }
    drl_sum_destroy(sum);
    return status;
}
#endif
