/* 03_sample.c - from a model file to pictures.
 *
 * Shows: loading, sampling in slices as a game would do it, a picture of the way from noise to image, saving
 * what is half done, NPY for other programs.
 *
 *     cc -O2 -DDRL_THREADS examples/03_sample.c -o sample -lm
 *     ./sample MODEL.safetensors [--count N] [--seed N] [--k N] [--label N] [--guidance W]
 *         [--guidance-levels FROM:TO] [--b2 X] [--stride N] [--no-chain] [--proposals score | none]
 *         [--again "5 4 3"] [--image FILE --mask FILE] [--shape HxWxC]
 *         [--layout nhwc | nchw] [--range LOW:HIGH] [--out PREFIX] [--watch] [--frames N] [--resume]
 *         [--threads N] [--isa NAME]
 *
 * Writes PREFIX.png (or .ppm) and PREFIX.npy, float32 (N,H,W,C) in about [-1, 1], as the model gives it: of
 * RGBA, colour counts by its alpha, and means nothing where alpha is -1 (the picture has 0 there). With
 * --watch the picture has a column for each level, of many levels nine that are evenly spaced: noise left,
 * images right, and there is no NPY. PREFIX-grow.png is then an animated PNG of all images as they
 * grow, with at most --frames (40) after the noise; it needs stb_image_write.h (Debian: libstb-dev).
 * --k N takes N Langevin steps a level instead of the model's, of size --b2 X; --no-chain none: what the
 * initializer does alone. --stride N visits every N-th level only, at an N-th of the cost. --proposals score
 * lets the energies themselves say where chains start, and none starts them at x_{t+1}. A model of several
 * classes draws them in turn, a column each, or --label N alone (0: none). The larger --guidance is, the more
 * typical of their class images are, and the more alike; 0.5 unless said. --guidance-levels FROM:TO limits it
 * to levels from FROM up to, but without, TO.
 * "Keep this, redraw that": --image has one image of the model's size, (1,H,W,C) or (H,W,C), any file that
 * drl_dataset_load reads; --shape, --layout and --range say of it what the file does not, as in 02. --mask
 * is a grey image of that size, a PGM for instance, or an NPY of (H,W): where it is not black, or not 0, the
 * image is kept, and every sample draws the rest in its own way.
 * --again "5 4 3" then draws again from noise of these levels, one after the other: what is drawn goes better
 * with what is kept, at the cost of their steps.
 * 64 images of 16 x 16 take about a second, two with classes. What takes longer shows how far it is after 8
 * seconds and then every half minute or so. Ctrl-C saves everything in PREFIX.sampler; the same command with
 * --resume goes on from there, to the same bits.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "training.h"
#include "data.h"

#define UNSAID 1e16                         /* a weight that the option does not take */
#define PASSES 64                           /* most levels of --again */
#define GROUP  32                           /* images in one sampler; no result depends on it */

static const char usage[] =
    "sample MODEL.safetensors [--count N] [--seed N] [--k N] [--label N] [--guidance W, 0.5 unless said]\n"
    "       [--b2 X] [--stride N] [--no-chain] [--proposals score | none]\n"
    "       [--guidance-levels FROM:TO] [--again \"5 4 3\"] [--image FILE --mask FILE] [--shape HxWxC]\n"
    "       [--layout nhwc | nchw] [--range LOW:HIGH] [--out PREFIX] [--watch] [--frames N] [--resume]\n"
    "       [--threads N] [--isa NAME]\n";

typedef struct drawing {
    drl_ctx *ctx;
    drl_model *model;
    drl_sample_desc how;                    /* of all images */
    drl_model_desc d;
    drl_sampler *sampler;                   /* of images begun - in_group up to begun */
    int begun, in_group;
    int watch, most;                        /* --frames */
    int frames;                             /* of the way from noise to image; 1: the image alone */
    int columns;                            /* of the picture of images alone */
    size_t pixels;                          /* of an image */
    float *image;                           /* [count][frames][pixels] */
    float *known;                           /* [GROUP][pixels] --image for each image of a group, or NULL */
    uint8_t *mask;                          /* the same of --mask, for each channel */
    const char *prefix;
    char state_path[1024];
    double start, due;                      /* seconds: of the beginning, of the next picture from there */
} drawing;

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

/* A sampler of the next images: number i of the seed is the same image in every group. */
static drl_status begin(drawing *r)
{
    drl_sample_desc how = r->how;
    how.first = r->begun;
    how.count = r->how.count - r->begun < GROUP ? r->how.count - r->begun : GROUP;
    how.labels = r->how.labels ? r->how.labels + r->begun : NULL;
    r->in_group = how.count;
    r->begun += how.count;
    return drl_sampler_create(r->model, &how, &r->sampler);
}

/* Langevin steps of a level. */
static int steps_a_level(const drawing *r)
{
    return r->how.steps ? r->how.steps : r->d.steps > 0 ? r->d.steps : 1;
}

/* Levels that have frames; of many levels --frames, evenly spaced. */
static int frame_levels(const drawing *r)
{
    return r->d.levels < r->most ? r->d.levels : r->most;
}

/* Frames of each of these levels, so that as many steps are between any two. */
static int frames_a_level(const drawing *r)
{
    int steps = steps_a_level(r), frames = r->most / frame_levels(r);
    if (frames > steps) frames = steps;
    while (steps % frames) --frames;
    return frames;
}

/* Frame `frame` of the group's images <- what they are now. */
static drl_status keep(drawing *r, int frame)
{
    drl_status status = DRL_OK;
    int i, first = r->begun - r->in_group;
    for (i = 0; i < r->in_group && status == DRL_OK; ++i)
        status = drl_sampler_image(r->sampler, i,
                                   r->image + (size_t)((first + i) * r->frames + frame) * r->pixels);
    return status;
}

/* A picture of the images that were begun: each has cells for some of its frames, side by side. */
static picture cells(const drawing *r, const int *frame, int count, int columns)
{
    picture p = { 0, 0, NULL };
    float *image = (float *)malloc((size_t)(r->begun * count) * r->pixels * sizeof *image);
    int i;
    for (i = 0; image && i < r->begun * count; ++i)
        memcpy(image + (size_t)i * r->pixels,
               r->image + (size_t)(i / count * r->frames + frame[i % count]) * r->pixels,
               r->pixels * sizeof *image);
    if (image) p = picture_grid(image, r->begun * count, columns, r->d.height, r->d.width, r->d.channels,
                                r->d.height < 24 ? 4 : 2);
    free(image);
    return p;
}

/* The animation: all images, a frame at a time, the last for two seconds. */
static int animate(const drawing *r)
{
    picture_animation a;
    char name[1024];
    int f;
    memset(&a, 0, sizeof a);
    for (f = 0; f < r->frames; ++f) {
        picture p = cells(r, &f, 1, r->columns);
        picture_flatten(&p, 0x606060ff);
        picture_animate(&a, &p, f + 1 < r->frames ? 3000 / r->frames : 2000);
        picture_destroy(&p);
    }
    training_path(name, sizeof name, r->prefix, "-grow");
    return picture_animation_save(r->ctx, &a, name, 0);
}

/* The picture of the images that were begun, and at the end the animation. */
static int draw(drawing *r)
{
    int last = r->begun == r->how.count && drl_sampler_level(r->sampler) < 0, levels = frame_levels(r), saved;
    int count = !r->watch ? 1 : levels < 10 ? levels + 1 : 10, frame[10] = { 0 }, i;
    picture p;
    for (i = 1; i < count; ++i) frame[i] = i * levels / (count - 1) * frames_a_level(r);
    p = cells(r, frame, count, r->watch ? count : r->columns);
    saved = picture_save(r->ctx, &p, r->prefix, !last);
    picture_destroy(&p);
    return saved && (!r->watch || !last || animate(r));
}

static drl_status save(drawing *r)
{
    drl_array arrays[2];
    size_t bytes = 0, floats = (size_t)(r->begun * r->frames) * r->pixels;
    drl_status status = drl_sampler_save(r->sampler, NULL, 0, &bytes);
    unsigned char *state = (unsigned char *)malloc(bytes);
    if (status == DRL_OK) status = state ? drl_sampler_save(r->sampler, state, bytes, &bytes) : DRL_E_MEMORY;
    arrays[1] = drl_array_of("images", DRL_DTYPE_F32, 1, &floats, r->image);
    if (status == DRL_OK) status = training_state(r->ctx, r->state_path, state, bytes, arrays, 2);
    free(state);
    return status;
}

/* Back to where save was called; the same options are needed. Returns 0 when that is impossible. */
static int resume(drawing *r)
{
    drl_safetensors *st = NULL;
    const drl_array *state, *images;
    size_t each = (size_t)r->frames * r->pixels * sizeof(float), begun;
    int ok = 0;
    if (drl_safetensors_open(r->ctx, r->state_path, &st) != DRL_OK) return !fail(r->ctx, r->state_path);
    state = drl_safetensors_find(st, "state");
    images = drl_safetensors_find(st, "images");
    begun = images ? images->bytes / each : 0;
    if (!state || !images || images->dtype != DRL_DTYPE_F32 || images->bytes % each || !begun ||
        begun > (size_t)r->how.count || (begun % GROUP && begun < (size_t)r->how.count))
        fprintf(stderr, "%s: not of this model, --count, --watch and --frames\n", r->state_path);
    else {
        memcpy(r->image, images->data, images->bytes);
        r->begun = (int)((begun - 1) / GROUP * GROUP);
        if (begin(r) != DRL_OK || drl_sampler_restore(r->sampler, state->data, state->bytes) != DRL_OK)
            fail(r->ctx, r->state_path);
        else ok = 1;
    }
    drl_safetensors_close(st);
    return ok;
}

/* Whether frame `next` shows the images that have `left` steps to go, or earlier ones. */
static int is_due(const drawing *r, int next, int left)
{
    double all = (double)r->d.levels * steps_a_level(r);
    if (next >= r->frames) return 0;
    if (!r->watch) return left <= 0;
    return (all - left) * (r->frames - 1) >= all * next;
}

/* Grows one group until it is done (DRL_OK) or somebody asks to stop (DRL_RUNNING). */
static drl_status grow(drawing *r, int next)
{
    drl_status status = DRL_RUNNING;
    for (; ; ) {
        int left = drl_sampler_steps_left(r->sampler);
        double now = seconds_now() - r->start;
        for (; is_due(r, next, left); ++next)
            if (keep(r, next) != DRL_OK) return DRL_E_ARGUMENT;
        if (left == 0) return DRL_OK;
        if (now >= r->due || training_stop) {       /* the last frame shows them until they are done */
            if (keep(r, r->frames - 1) != DRL_OK || !draw(r)) return DRL_E_IO;
            if (training_stop) return DRL_RUNNING;
            printf("after %.0f s: %d of %d images, %d steps to go\n", now, r->begun, r->how.count, left);
            fflush(stdout);
            while (r->due <= now) r->due = r->due < 30 ? 30 : r->due + 30;
        }
        status = drl_sampler_run(r->sampler, 1);
        if (status != DRL_OK && status != DRL_RUNNING) return status;
    }
}

/* All groups; 0, or the program's status. */
static int sample(drawing *r, int resuming)
{
    drl_status status;
    int next = 0;
    if (resuming) {
        if (!resume(r)) return 1;
        while (is_due(r, next, drl_sampler_steps_left(r->sampler))) ++next;     /* these were kept */
    } else if (begin(r) != DRL_OK) return fail(r->ctx, "sampler");
    for (; ; ) {
        status = grow(r, next);
        if (status != DRL_OK || r->begun == r->how.count) break;
        drl_sampler_destroy(r->sampler);
        r->sampler = NULL;
        if (begin(r) != DRL_OK) return fail(r->ctx, "sampler");
        next = 0;
    }
    if (status == DRL_OK || status == DRL_RUNNING) return status == DRL_OK ? 0 : -1;
    return fail(r->ctx, "sampling");
}

/* --label, or all classes in turn; into labels [count]. Returns 0 when the model has no such class. */
static int choose_labels(drawing *r, int label, int *labels)
{
    int i;
    if (label > r->d.classes) {
        fprintf(stderr, "--label %d: the model has %d classes; 0 means none\n", label, r->d.classes);
        return 0;
    }
    r->columns = picture_columns(label < 0 ? r->d.classes : 0);
    for (i = 0; i < r->how.count; ++i)
        labels[i] = label >= 0 ? label : r->d.classes ? 1 + i % r->d.classes : 0;
    if (r->d.classes || label > 0) r->how.labels = labels;
    return 1;
}

/* out <- the one image of a file, of the model's height and width. desc: what the options say of it,
 * or NULL. Returns 0, with a sentence printed, when it is no such image. */
static int read_image(drawing *r, const char *option, const char *path, const drl_dataset_desc *desc,
                      int channels, float *out)
{
    int height = r->d.height, width = r->d.width, ok = 0;
    drl_dataset *data = NULL;
    if (drl_dataset_load(r->ctx, &path, 1, desc, &data) != DRL_OK) {
        fail(r->ctx, option);
        if (desc) fprintf(stderr, "fields of its description are options here: --shape, --layout, --range\n");
        return 0;
    }
    if (data->count != 1)
        fprintf(stderr, "%s %s: %d images, one is wanted\n", option, path, data->count);
    else if (data->height != height || data->width != width || data->channels != channels)
        fprintf(stderr, "%s %s: %d x %d x %d, and %d x %d x %d is wanted\n", option, path, data->height,
                data->width, data->channels, height, width, channels);
    else if (drl_dataset_image(r->ctx, data, 0, height, width, out) != DRL_OK) fail(r->ctx, option);
    else ok = 1;
    drl_dataset_destroy(data);
    return ok;
}

/* keep [H][W] <- the elements of an NPY file that begins with `bytes`. */
static int read_npy(drawing *r, const char *path, const void *bytes, size_t size, float *keep)
{
    drl_array a;
    if (drl_npy_parse(r->ctx, bytes, size, &a) != DRL_OK) return !fail(r->ctx, "--mask");
    if (a.rank != 2) fprintf(stderr, "--mask %s: %d axes, height and width are wanted\n", path, a.rank);
    else if (a.shape[0] != (size_t)r->d.height || a.shape[1] != (size_t)r->d.width)
        fprintf(stderr, "--mask %s: %.0f x %.0f, and %d x %d is wanted\n", path, (double)a.shape[0],
                (double)a.shape[1], r->d.height, r->d.width);
    else return drl_array_to_float(r->ctx, &a, keep) == DRL_OK || !fail(r->ctx, "--mask");
    return 0;
}

/* r->mask <- where a grey image is not black, or an array not 0: for all channels, GROUP times. */
static int read_mask(drawing *r, const char *path)
{
    float *keep = (float *)malloc((size_t)r->d.height * (size_t)r->d.width * sizeof *keep), out = -1;
    void *bytes = NULL;
    size_t size = 0, i;
    int ok = 0;
    if (!keep) fprintf(stderr, "out of memory for the mask\n");
    else if (drl_file_read(r->ctx, path, &bytes, &size) != DRL_OK) fail(r->ctx, "--mask");
    else if (size >= 6 && !memcmp(bytes, "\x93NUMPY", 6)) {
        ok = read_npy(r, path, bytes, size, keep);
        out = 0;
    } else ok = read_image(r, "--mask", path, NULL, 1, keep);
    for (i = 0; i < GROUP * r->pixels && ok; ++i)
        r->mask[i] = keep[i % r->pixels / (size_t)r->d.channels] != out;
    drl_file_free(r->ctx, bytes);
    free(keep);
    return ok;
}

/* What all images keep. Returns 0, with a sentence printed, when the files are not of the model's size. */
static int choose_known(drawing *r, const char *image, const char *mask, drl_dataset_desc desc)
{
    int i;
    if (!image) return 1;
    r->known = (float *)malloc(GROUP * r->pixels * sizeof *r->known);
    r->mask = (uint8_t *)malloc(GROUP * r->pixels);
    if (!r->known || !r->mask) {
        fprintf(stderr, "out of memory for %d images to keep\n", GROUP);
        return 0;
    }
    r->how.known = r->known;
    r->how.mask = r->mask;
    if (!desc.channels) desc.channels = r->d.channels;
    if (!read_image(r, "--image", image, &desc, r->d.channels, r->known)) return 0;
    for (i = 1; i < GROUP; ++i)
        memcpy(r->known + (size_t)i * r->pixels, r->known, r->pixels * sizeof *r->known);
    return read_mask(r, mask);
}

static drl_status write_npy(const drawing *r)
{
    char path[1024];
    size_t shape[4];
    drl_array array;
    drl_status status;
    shape[0] = (size_t)r->how.count;
    shape[1] = (size_t)r->d.height;
    shape[2] = (size_t)r->d.width;
    shape[3] = (size_t)r->d.channels;
    array = drl_array_of("", DRL_DTYPE_F32, 4, shape, r->image);
    training_path(path, sizeof path, r->prefix, ".npy");
    status = drl_npy_write_file(r->ctx, path, &array);
    if (status == DRL_OK) printf("wrote %s\n", path);
    else fail(r->ctx, path);
    return status;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drawing r;
    drl_dataset_desc desc = data_description(&o);
    const char *image = option_text(&o, "--image", NULL), *mask = option_text(&o, "--mask", NULL);
    double weight;
    int label, resuming, steps, failed, *labels, again[PASSES];
    memset(&r, 0, sizeof r);
    r.ctx = options_context(&o);
    r.how.count = option_int(&o, "--count", 64);
    r.how.seed = (uint64_t)option_int(&o, "--seed", 1);
    r.how.steps = option_int(&o, "--k", 0);
    label = option_int(&o, "--label", -1);
    weight = option_number(&o, "--guidance", UNSAID);
    option_ways(&o, &r.how);
    r.how.no_chain = option_flag(&o, "--no-chain");
    option_guidance_levels(&o, &r.how.guidance_from, &r.how.guidance_to);
    r.how.resample_from = again;
    r.how.resample_count = option_again(&o, "", again, PASSES);
    r.prefix = option_prefix(&o, "samples");
    r.watch = option_flag(&o, "--watch");
    r.most = option_int(&o, "--frames", 40);
    resuming = option_flag(&o, "--resume");
    if (options_rest(&o, usage) != 1) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (!image != !mask) {
        fprintf(stderr, "--image and --mask: both or neither, %s is missing\n", image ? "--mask" : "--image");
        return 2;
    }
    if (r.watch && r.how.resample_count) {
        fprintf(stderr, "--again and --watch: one of the two, --watch shows one way from noise\n");
        return 2;
    }
    if (r.watch && r.how.stride > 1) {
        fprintf(stderr, "--stride and --watch: one of the two, --watch shows every level\n");
        return 2;
    }
    if (r.how.steps < 0) {
        fprintf(stderr, "--k %d: 1 or more, or 0 for as many as the model was trained with\n", r.how.steps);
        return 2;
    }
    if (r.most < 9 || r.most > 1000) {
        fprintf(stderr, "--frames %d: 9 to 1000\n", r.most);
        return 2;
    }
    if (r.how.count < 1) {
        fprintf(stderr, "--count %d: at least 1\n", r.how.count);
        return 2;
    }
    training_path(r.state_path, sizeof r.state_path, r.prefix, ".sampler");

    r.d.batch = r.how.count < GROUP ? r.how.count : GROUP;      /* no more memory than these images need */
    if (drl_model_load(r.ctx, argv[1], &r.d, &r.model) != DRL_OK) return fail(r.ctx, argv[1]);
    drl_model_describe(r.model, &r.d);
    if (r.d.channels > 4 || (r.d.height == 1 && r.d.width == 1)) {
        fprintf(stderr, "%s draws %d x %d x %d: not images of 1 to 4 channels\n", argv[1], r.d.height,
                r.d.width, r.d.channels);
        return 2;
    }
    r.frames = !r.watch ? 1 : 1 + frame_levels(&r) * frames_a_level(&r);        /* the noise, then levels */
    r.pixels = (size_t)r.d.height * (size_t)r.d.width * (size_t)r.d.channels;
    r.image = (float *)calloc((size_t)r.frames * (size_t)r.how.count, r.pixels * sizeof *r.image);
    labels = (int *)malloc((size_t)r.how.count * sizeof *labels);
    if (!r.image || !labels) {
        fprintf(stderr, "out of memory for %d images\n", r.how.count);
        return 1;
    }
    if (!choose_labels(&r, label, labels) || !choose_known(&r, image, mask, desc)) return 2;
    r.how.guidance = weight < UNSAID ? (float)weight : r.d.classes && label ? 0.5f : 0.0f;

    training_catch();
    r.start = seconds_now();
    r.due = 8;
    failed = sample(&r, resuming);
    steps = r.how.steps ? r.how.steps : r.d.steps > 0 ? r.d.steps : 0;
    if (failed < 0) {
        if (save(&r) != DRL_OK) return fail(r.ctx, r.state_path);
        printf("stopped at image %d of %d, with %d steps to go; --resume goes on\n",
               r.begun, r.how.count, drl_sampler_steps_left(r.sampler));
        failed = 0;
    } else if (!failed) {
        printf("%d images of %d x %d x %d, %d levels of %d steps: %.2f s\n", r.how.count, r.d.height,
               r.d.width, r.d.channels, r.d.levels, steps, seconds_now() - r.start);
        failed = !draw(&r) || (!r.watch && write_npy(&r) != DRL_OK);
        if (resuming && !failed) remove(r.state_path);
    }
    drl_sampler_destroy(r.sampler);
    free(labels);
    free(r.image);
    free(r.known);
    free(r.mask);
    drl_model_destroy(r.model);
    drl_ctx_destroy(r.ctx);
    return failed;
}
