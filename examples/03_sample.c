/* 03_sample.c - from a model file to pictures.
 *
 * Shows: loading, sampling in slices as a game would do it, a picture of the way from noise to image, NPY for other programs.
 *
 *     cc -O2 -DDRL_THREADS examples/03_sample.c -o sample -lm
 *     ./sample MODEL.safetensors [--count N] [--seed N] [--k N] [--label N] [--guidance W]
 *         [--guidance-levels FROM:TO] [--out PREFIX] [--watch] [--threads N] [--isa NAME]
 *
 * Writes PREFIX.png (or .ppm) and PREFIX.npy, float32 (N,H,W,C) in about [-1, 1], as the model gives it: of RGBA, colour counts by its alpha,
 * and means nothing where alpha is -1 (the picture has 0 there); with --watch a column a level, of many
 * levels nine that are evenly spaced: noise left, images right.
 * --k N takes N Langevin steps a level instead of the model's. A model of several classes draws them in
 * turn, a column each, or --label N alone (0: none). The larger --guidance is, the more typical of their
 * class images are, and the more alike; 0.5 unless said. --guidance-levels FROM:TO limits it to levels from
 * FROM up to, but without, TO.
 * 64 images of 16 x 16 take about a second, two with classes.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"

#define UNSAID 1e16                         /* a weight that the option does not take */

static const char usage[] =
    "sample MODEL.safetensors [--count N] [--seed N] [--k N] [--label N] [--guidance W, 0.5 unless said]\n"
    "       [--guidance-levels FROM:TO] [--out PREFIX] [--watch] [--threads N] [--isa NAME]\n";

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_model *model = NULL;
    drl_sampler *sampler = NULL;
    drl_model_desc d;
    drl_sample_desc how;
    drl_status status;
    drl_array array;
    picture p;
    size_t shape[4], pixels;
    const char *prefix;
    char path[1024];
    float *image;
    double start, weight;
    int watch, level, label, columns, shown, next, i, *labels;
    memset(&how, 0, sizeof how);
    how.count = option_int(&o, "--count", 64);
    how.seed = (uint64_t)option_int(&o, "--seed", 1);
    how.steps = option_int(&o, "--k", 0);
    label = option_int(&o, "--label", -1);
    weight = option_number(&o, "--guidance", UNSAID);
    option_guidance_levels(&o, &how.guidance_from, &how.guidance_to);
    prefix = option_prefix(&o, "samples");
    watch = option_flag(&o, "--watch");
    if (options_rest(&o, usage) != 1) { fprintf(stderr, "%s", usage); return 2; }
    if (how.steps < 0) { fprintf(stderr, "--k %d: 1 or more, or 0 for as many as the model was trained with\n", how.steps); return 2; }
    if (how.count < 1) { fprintf(stderr, "--count %d: at least 1\n", how.count); return 2; }

    memset(&d, 0, sizeof d);
    d.batch = how.count < 32 ? how.count : 32;                  /* no more memory than these images need; results do not depend on it */
    if (drl_model_load(ctx, argv[1], &d, &model) != DRL_OK) return fail(ctx, argv[1]);
    drl_model_describe(model, &d);
    if (label > d.classes) { fprintf(stderr, "--label %d: the model has %d classes; 0 means none\n", label, d.classes); return 2; }
    if (d.channels > 4 || (d.height == 1 && d.width == 1)) { fprintf(stderr, "%s draws %d x %d x %d: not images of 1 to 4 channels\n", argv[1], d.height, d.width, d.channels); return 2; }
    shown = !watch ? 1 : d.levels < 10 ? d.levels + 1 : 10;     /* columns: the noise, then levels */
    pixels = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
    image = (float *)malloc((size_t)shown * (size_t)how.count * pixels * sizeof *image);
    labels = (int *)malloc((size_t)how.count * sizeof *labels);
    if (!image || !labels) { fprintf(stderr, "out of memory for %d images\n", how.count); return 1; }
    columns = picture_columns(label < 0 ? d.classes : 0);
    for (i = 0; i < how.count; ++i) labels[i] = label >= 0 ? label : d.classes ? 1 + i % d.classes : 0;
    if (d.classes || label > 0) how.labels = labels;
    how.guidance = weight < UNSAID ? (float)weight : d.classes && label ? 0.5f : 0.0f;

    start = seconds_now();
    if (drl_sampler_create(model, &how, &sampler) != DRL_OK) return fail(ctx, "sampler");
    for (next = 0, status = DRL_RUNNING; ; ) {                  /* column `next` is due when so many levels are left */
        level = drl_sampler_level(sampler) + 1;
        while (next < shown && level <= (watch ? d.levels - (int)((long)next * d.levels / (shown - 1)) : 0)) {
            for (i = 0; i < how.count; ++i)
                if (drl_sampler_image(sampler, i, image + ((size_t)i * (size_t)shown + (size_t)next) * pixels) != DRL_OK) return fail(ctx, "sampling");
            ++next;
        }
        if (status == DRL_OK) break;
        while (status == DRL_RUNNING && drl_sampler_level(sampler) + 1 == level) status = drl_sampler_run(sampler, 1);      /* one level */
        if (status != DRL_OK && status != DRL_RUNNING) return fail(ctx, "sampling");
    }
    printf("%d images of %d x %d x %d, %d levels of %d steps: %.2f s\n", how.count, d.height, d.width, d.channels, d.levels, how.steps ? how.steps : d.steps > 0 ? d.steps : 0, seconds_now() - start);
    drl_sampler_destroy(sampler);

    p = picture_grid(image, how.count * shown, watch ? shown : columns, d.height, d.width, d.channels, d.height < 24 ? 4 : 2);
    if (!picture_save(ctx, &p, prefix, 0)) return 1;
    if (!watch) {
        shape[0] = (size_t)how.count; shape[1] = (size_t)d.height; shape[2] = (size_t)d.width; shape[3] = (size_t)d.channels;
        array = drl_array_of("", DRL_DTYPE_F32, 4, shape, image);
        if (snprintf(path, sizeof path, "%s.npy", prefix) >= (int)sizeof path || drl_npy_write_file(ctx, path, &array) != DRL_OK) return fail(ctx, path);
        printf("wrote %s\n", path);
    }
    picture_destroy(&p);
    free(labels);
    free(image);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return 0;
}
