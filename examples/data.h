/* data.h - image files of one's own: the options that say what files do not, and images made smaller. Include
 * it after drl.h and options.h. */
#ifndef DATA_H
#define DATA_H

#define DATA_USAGE "[--shape HxW | HxWxC] [--layout nhwc | nchw] [--range LOW:HIGH] [--labels fine | coarse]"

static inline void data_refuse(const char *name, const char *text, const char *wanted)
{
    fprintf(stderr, "%s %s: %s\n", name, text, wanted);
    exit(2);
}

/* --shape of an image (0: as the file has it), --layout, --range (the elements that mean black and white),
 * --labels of CIFAR-100. */
static inline drl_dataset_desc data_options(options *o)
{
    drl_dataset_desc d;
    const char *shape = option_text(o, "--shape", NULL), *layout = option_text(o, "--layout", NULL);
    const char *range = option_text(o, "--range", NULL), *labels = option_text(o, "--labels", NULL);
    char more = 0;
    int n;
    memset(&d, 0, sizeof d);
    if (shape) {
        n = sscanf(shape, "%6dx%6dx%1d%c", &d.height, &d.width, &d.channels, &more);
        if (n == 2) {
            d.channels = 0;
            n = sscanf(shape, "%6dx%6d%c", &d.height, &d.width, &more) == 2 ? 3 : 0;
        }
        if (n != 3 || d.height < 0 || d.width < 0 || d.channels < 0)
            data_refuse("--shape", shape, "HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, as 28x28 or 32x32x3");
    }
    if (layout) {
        if (strcmp(layout, "nhwc") && strcmp(layout, "nchw")) data_refuse("--layout", layout, "nhwc or nchw");
        d.layout = layout[1] == 'c' ? DRL_LAYOUT_NCHW : DRL_LAYOUT_NHWC;
    }
    if (range && (sscanf(range, "%lf:%lf%c", &d.low, &d.high, &more) != 2 || !(d.low < d.high)))
        data_refuse("--range", range, "LOW:HIGH, the elements that mean black and white, as 0:4095 or -1:1");
    if (labels) {
        if (strcmp(labels, "fine") && strcmp(labels, "coarse")) data_refuse("--labels", labels,
                "fine or coarse, of CIFAR-100");
        d.coarse_labels = labels[0] == 'c';
    }
    return d;
}

/* drl_dataset_load; when it fails, the sentence and the options that answer it. */
static inline drl_status data_load(drl_ctx *ctx, const char *const *files, int count,
                                   const drl_dataset_desc *d, drl_dataset **out)
{
    drl_status status = drl_dataset_load(ctx, files, count, d, out);
    if (status != DRL_OK && status != DRL_E_IO)
        fprintf(stderr, "the fields of drl_dataset_desc are options here: %s\n", DATA_USAGE);
    return status;
}

/* *less <- images averaged down by a whole factor, colours weighted by alpha if it is there. Labels are
 * shared, the images are the caller's to free, with data_free. 0: out of memory. */
static inline int data_shrink(const drl_dataset *data, int factor, drl_dataset *less)
{
    int n, i, j, k, u, h = data->height / factor, w = data->width / factor, c = data->channels,
        alpha = c % 2 ? -1 : c - 1;
    void *block = malloc((size_t)data->count * (size_t)(h * w * c) * (data->values ? sizeof(float) : 1) + 1);
    uint8_t *pixel = data->values ? NULL : (uint8_t *)block;
    float *value = data->values ? (float *)block : NULL;
    if (!block) return 0;
    *less = *data;
    less->owner = NULL;
    less->height = h;
    less->width = w;
    less->pixels = pixel;
    less->values = value;
    for (n = 0; n < data->count; ++n)
        for (i = 0; i < h; ++i)
            for (j = 0; j < w; ++j)
                for (k = 0; k < c; ++k) {
                    unsigned sum = 0, weight = 0, a;
                    double total = 0, share = 0, part;
                    for (u = 0; u < factor * factor; ++u) {
                        size_t row = (size_t)n * (size_t)data->height + (size_t)(i * factor + u / factor);
                        size_t at = row * (size_t)data->width + (size_t)(j * factor + u % factor);
                        at *= (size_t)c;
                        if (value) {
                            part = 1;
                            if (alpha >= 0 && k != alpha)
                                part = 0.5 + 0.5 * (double)data->values[at + (size_t)alpha];
                            total += part * (double)data->values[at + (size_t)k];
                            share += part;
                        } else {
                            a = alpha < 0 || k == alpha ? 1 : data->pixels[at + (size_t)alpha];
                            sum += a * data->pixels[at + (size_t)k];
                            weight += a;
                        }
                    }
                    if (value) *value++ = (float)(share > 0 ? total / share : -1);
                    else *pixel++ = (uint8_t)(weight ? (sum + weight / 2) / weight : 0);
                }
    return 1;
}

static inline void data_free(drl_dataset *made)
{
    free((void *)(uintptr_t)made->pixels);
    free((void *)(uintptr_t)made->values);
}
#endif
