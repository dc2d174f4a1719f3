/* half.h - images at half their size, for quick experiments. Include it after drl.h. */
#ifndef HALF_H
#define HALF_H
#include <stdlib.h>
#include <string.h>

/* *half <- every 2 x 2 pixels of `data` as their mean, rounded; labels are shared. The pixels are the caller's to free. 0: out of memory. */
static inline int half_create(const drl_dataset *data, drl_dataset *half)
{
    size_t width = (size_t)data->width * (size_t)data->channels, c = (size_t)data->channels, i, x, y;
    uint8_t *to;
    *half = *data;
    half->owner = NULL;
    half->height /= 2;
    half->width /= 2;
    half->pixels = to = (uint8_t *)malloc((size_t)half->count * (size_t)half->height * (size_t)half->width * c + 1);
    if (!to) return 0;
    for (i = 0; i < (size_t)data->count; ++i)
        for (y = 0; y < (size_t)half->height; ++y)
            for (x = 0; x < (size_t)half->width * c; ++x) {
                const uint8_t *p = data->pixels + (i * (size_t)data->height + 2 * y) * width + x / c * 2 * c + x % c;
                *to++ = (uint8_t)((p[0] + p[c] + p[width] + p[width + c] + 2) / 4);
            }
    return 1;
}
#endif
