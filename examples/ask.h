/* ask.h - what else a model can be asked for: the rest of an image, and several classes at once, with further
 * passes that make both better. Include it after drl.h. */
#ifndef ASK_H
#define ASK_H
#include <stdlib.h>
#include <string.h>

/* Further passes from levels 5, 4, 3, 3 and so on; those above the model's highest level are left out. */
static inline void ask_again(drl_sample_desc *how, int levels)
{
    static const int from[] = { 5, 4, 3, 3, 2, 2, 1, 1 };
    how->resample_from = from;
    how->resample_count = 8;
    for (; *how->resample_from > levels; ++how->resample_from) --how->resample_count;
}

/* Samples whose first `left` columns are those of an image, and the rest what the model puts there. */
static inline drl_status sample_rest(drl_model *model, const float *image, int left,
                                     const drl_sample_desc *like, float *out)
{
    drl_sample_desc how = *like;
    drl_model_desc d;
    drl_status status = drl_model_describe(model, &d);
    size_t size = drl_model_energy(model).size, count = size * (size_t)how.count, i;
    uint8_t *mask = (uint8_t *)malloc(count);
    for (i = 0; i < count && mask; ++i) {
        out[i] = image[i % size];
        mask[i] = i / (size_t)d.channels % (size_t)d.width < (size_t)left;
    }
    how.known = out;                        /* copied before samples are written there */
    how.mask = mask;
    if (status == DRL_OK) status = mask ? drl_sample(model, &how, out) : DRL_E_MEMORY;
    free(mask);
    return status;
}

/* Samples of the energy F(y) + sum of weight[i] (F(y; label[i]) - F(y)) over one or two classes: two at once,
 * or, with a weight below 0, one without the other. */
static inline drl_status sample_sum(drl_ctx *ctx, drl_model *model, const int *label, const float *weight,
                                    int labels, const drl_sample_desc *like, float *out)
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
        status = drl_sample(model, &how, out);
    }
    drl_sum_destroy(sum);
    return status;
}
#endif
