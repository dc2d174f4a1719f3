/* nearest.c - does a model draw its training images once more? Each sample beside the training images that
 * are nearest to it.
 *
 *   cc -O2 -DDRL_THREADS bench/nearest.c -o build/nearest -lm
 *   build/nearest SAMPLES.npy [--data FILE | FOLDER ...] [--half] [--size N] [--flip] [--count 24]
 *       [--out build/nearest] [further options of examples/data.h] [--isa NAME]
 *
 * SAMPLES.npy is what examples/03_sample.c writes; the other options are those of the training. --flip: a
 * mirrored training image is one, too. Writes PREFIX.png (or .ppm): three samples a row, each followed by the
 * three training images nearest to it.
 * Distances are root mean squares over pixels and channels of -1..1; of RGBA, colours count by their alpha.
 * Printed is the mean distance of samples to the nearest training image, and beside it that of as many
 * training images to the nearest other one. If a model remembers, the first is far below the second.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/data.h"
#include <math.h>

#define NEAREST 3                           /* training images beside a sample */
#define ACROSS  3                           /* samples of a row */

static const char usage[] = "nearest SAMPLES.npy [--flip] [--count N] [--out PREFIX]\n      " DATA_USAGE
                            "\n      [--isa NAME]\n";

typedef struct image_set {
    int count, height, width, channels;
    size_t size;                            /* floats of an image */
    float *pixel, *weighed;                 /* weighed: colours by their alpha; the same array without */
} image_set;

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static float *floats(int count, size_t size)
{
    float *p = (float *)malloc((size_t)count * size * sizeof *p);
    if (!p) fprintf(stderr, "out of memory for %d images\n", count);
    return p;
}

/* RGBA and grey with alpha: what is not there has no colour. Returns 0 without memory. */
static int weigh(image_set *s)
{
    size_t c = (size_t)s->channels, i, all = (size_t)s->count * s->size;
    s->weighed = c % 2 ? s->pixel : floats(s->count, s->size);
    for (i = 0; i < all && s->weighed && c % 2 == 0; ++i) {
        float alpha = i % c == c - 1 ? 1 : 0.5f + 0.5f * s->pixel[i - i % c + c - 1];
        s->weighed[i] = (s->pixel[i] + 1) * alpha - 1;
    }
    return s->weighed != NULL;
}

/* 0, with a sentence printed, when the file has no images. */
static int read_samples(drl_ctx *ctx, const char *path, image_set *s)
{
    drl_array a;
    void *bytes = NULL;
    size_t size = 0;
    int ok = 0;
    if (drl_file_read(ctx, path, &bytes, &size) != DRL_OK || drl_npy_parse(ctx, bytes, size, &a) != DRL_OK)
        fail(ctx, path);
    else if (a.rank != 4 || !a.shape[0] || a.shape[0] > 1000000 || a.shape[1] > 4096 || a.shape[2] > 4096 ||
             a.shape[3] > 4)
        fprintf(stderr, "%s: not images, float32 (N,H,W,C), as 03_sample writes them\n", path);
    else {
        s->count = (int)a.shape[0];
        s->height = (int)a.shape[1];
        s->width = (int)a.shape[2];
        s->channels = (int)a.shape[3];
        s->size = a.shape[1] * a.shape[2] * a.shape[3];
        s->pixel = floats(s->count, s->size);
        ok = s->pixel && (drl_array_to_float(ctx, &a, s->pixel) == DRL_OK || !fail(ctx, path));
    }
    drl_file_free(ctx, bytes);
    return ok;
}

/* All training images, and with `flip` their mirror images behind them. */
static int read_data(drl_ctx *ctx, data_set *set, const image_set *like, int flip, image_set *s)
{
    int i, x, c = like->channels;
    if (!data_open(ctx, set, 1, 4000, SPRITE_EITHER)) return 0;
    if (set->data.channels != c || set->data.height > like->height || set->data.width > like->width) {
        fprintf(stderr, "the samples are %d x %d x %d, the images of --data %d x %d x %d\n", like->height,
                like->width, c, set->data.height, set->data.width, set->data.channels);
        return 0;
    }
    *s = *like;
    s->count = set->data.count * (1 + flip);
    s->pixel = floats(s->count, s->size);
    if (!s->pixel) return 0;
    for (i = 0; i < set->data.count; ++i) {
        float *to = s->pixel + (size_t)i * s->size, *mirror = to + (size_t)set->data.count * s->size;
        if (drl_dataset_image(ctx, &set->data, i, s->height, s->width, to) != DRL_OK)
            return !fail(ctx, "--data");
        for (x = 0; flip && x < s->height * s->width; ++x)
            memcpy(mirror + (size_t)(x / s->width * s->width + s->width - 1 - x % s->width) * (size_t)c,
                   to + (size_t)x * (size_t)c, (size_t)c * sizeof *to);
    }
    return 1;
}

/* near_to [NEAREST] <- the images of `s` nearest to `image`, the nearest first; `other` of every `period`
 * images is left out (-1: none). Returns the first one's distance. */
static double search(const image_set *s, const float *image, int other, int period, int *near_to)
{
    double best[NEAREST];
    int i, k, found = 0;
    for (i = 0; i < s->count; ++i) {
        const float *p = s->weighed + (size_t)i * s->size;
        double sum = 0, most = found == NEAREST ? best[found - 1] : 1e300;
        size_t j;
        if (other >= 0 && i % period == other) continue;
        for (j = 0; j < s->size && sum < most; ++j) {
            double d = (double)p[j] - (double)image[j];
            sum += d * d;
        }
        if (!(sum < most)) continue;
        if (found < NEAREST) ++found;
        for (k = found - 1; k > 0 && best[k - 1] > sum; --k) {
            best[k] = best[k - 1];
            near_to[k] = near_to[k - 1];
        }
        best[k] = sum;
        near_to[k] = i;
    }
    return found ? sqrt(best[0] / (double)s->size) : 0;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    data_set set = data_options(&o);
    image_set sample = { 0 }, data = { 0 }, shown = { 0 };
    int flip = option_flag(&o, "--flip"), count = option_int(&o, "--count", 24);
    int near_to[NEAREST], i, k, saved;
    const char *out = option_prefix(&o, "nearest");
    double from_samples = 0, from_data = 0;
    picture p;
    if (options_rest(&o, usage) != 1 || count < 1) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (!read_samples(ctx, argv[1], &sample) || !read_data(ctx, &set, &sample, flip, &data)) return 1;
    if (count > sample.count) count = sample.count;
    if (data.count / (1 + flip) <= NEAREST) {
        fprintf(stderr, "--data: %d images are too few\n", data.count / (1 + flip));
        return 1;
    }
    if (!weigh(&sample) || !weigh(&data)) return 1;
    shown = sample;
    shown.pixel = floats(count * (1 + NEAREST), sample.size);
    if (!shown.pixel) return 1;
    for (i = 0; i < count; ++i) {
        float *to = shown.pixel + (size_t)i * (1 + NEAREST) * sample.size;
        int period = data.count / (1 + flip), other = (int)((double)i * period / count);
        from_data += search(&data, data.weighed + (size_t)other * data.size, other, period, near_to) / count;
        from_samples += search(&data, sample.weighed + (size_t)i * sample.size, -1, period, near_to) / count;
        memcpy(to, sample.pixel + (size_t)i * sample.size, sample.size * sizeof *to);
        for (k = 0; k < NEAREST; ++k)
            memcpy(to + (size_t)(k + 1) * sample.size, data.pixel + (size_t)near_to[k] * sample.size,
                   sample.size * sizeof *to);
    }
    printf("%d samples: %.3f from the nearest of %d training images, which are %.3f from each other\n", count,
           from_samples, data.count, from_data);
    p = picture_grid(shown.pixel, count * (1 + NEAREST), ACROSS * (1 + NEAREST), sample.height, sample.width,
                     sample.channels, sample.height < 24 ? 4 : 2);
    saved = picture_save(ctx, &p, out, 0);
    picture_destroy(&p);
    if (sample.weighed != sample.pixel) free(sample.weighed);
    if (data.weighed != data.pixel) free(data.weighed);
    free(shown.pixel);
    free(sample.pixel);
    free(data.pixel);
    data_close(&set);
    drl_ctx_destroy(ctx);
    return !saved;
}
