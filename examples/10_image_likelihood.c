/* 10_image_likelihood.c - how many bits a pixel costs under an energy-based model, with a lower and an upper
 * bound.
 *
 * Shows: annealed importance sampling in both directions on images, log-likelihood, bits per dimension with
 * error bars, and which images score worse than test images.
 *
 *     cc -O2 -DDRL_THREADS examples/10_image_likelihood.c -o image_likelihood -lm
 *     ./image_likelihood [MODEL.safetensors [--data IMAGES]] [--half] [--other IMAGES] [--level T]
 *                        [--noise X] [--count N] [--temperatures N] [--images N] [--minutes X or --steps N]
 *                        [--seed N] [--out PREFIX] [--threads N] [--isa NAME]
 *                        (--shape, --layout, --range and --labels as in 02_train_images)
 *
 * The model is one of 02_train_images --t1k: score matching leaves energies that are log densities up to a
 * constant. Without a file a small model is trained on the embedded sprites (--minutes); with a file and no
 * --data the images are these sprites.
 * log Z of a level is low on average by annealed importance sampling from a Gaussian, and high on average by
 * the path walked backwards from samples, which are the model's, moved on by HMC. Images get the noise that
 * the energy was fitted with: that of the level, and --noise, that of the training data. Bits are those of
 * bytes with this noise, per pixel and channel. A fine level has narrow, separate modes, and no path of a few
 * hundred temperatures finds their right shares: the gap between the bounds shows that.
 * Then other images are scored: the same images upside down, means of two of them, one grey for all pixels, a
 * grey for every pixel, and --other, images of another data set, made grey if the model has one channel and
 * halved while they are larger than the model's. Printed are their mean log-likelihood less that of the
 * images, and the probability that an image scores higher than one of them (AUROC).
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "sprites.h"
#include "data.h"
#include <math.h>

static const char usage[] = "image_likelihood [MODEL.safetensors] [--other IMAGES] [--level T] [--noise X] "
                            "[--count N]\n"
                            "                 [--temperatures N] [--images N] [--minutes X | --steps N] "
                            "[--seed N] [--out PREFIX] [--threads N] [--isa NAME]\n"
                            "                 " DATA_USAGE "\n";

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static int stopped(void)
{
    printf("stopped: the lines above are all there is\n");
    return 0;
}

/* The model's samples of the level, as y, moved on by HMC with draws of its own (`first`). DRL_RUNNING when
 * somebody asked to stop. */
static drl_status draw(drl_ctx *ctx, drl_model *model, int t, int count, uint64_t seed, float *y)
{
    drl_energy e = drl_model_energy(model);
    drl_sampler *sampler = NULL;
    drl_mcmc *chains = NULL;
    drl_mcmc_report at_end;
    drl_mcmc_desc md;
    drl_sample_desc how;
    drl_status status;
    int i;
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = seed;
    how.denoise = -1;
    status = drl_sampler_create(model, &how, &sampler);
    while (status <= DRL_RUNNING && drl_sampler_level(sampler) >= t && !training_stop)
        status = drl_sampler_run(sampler, 1);
    for (i = 0; i < count && status <= DRL_RUNNING; ++i)
        status = drl_sampler_point(sampler, i, y + (size_t)i * e.size);
    drl_sampler_destroy(sampler);
    memset(&md, 0, sizeof md);
    md.count = count;
    md.seed = seed;
    md.first = count;
    md.kernel = DRL_MCMC_HMC;
    md.level = t;
    md.schedule = drl_model_schedule(model);
    md.start = y;
    md.warmup = 50;
    md.leapfrog = 5;
    if (status <= DRL_RUNNING) status = drl_mcmc_create(ctx, &e, &md, &chains);
    for (i = 0; i < 150 && status == DRL_OK && !training_stop; ++i) status = drl_mcmc_run(chains, 1);
    if (status == DRL_OK) status = drl_mcmc_look(chains, &at_end);
    if (status == DRL_OK) memcpy(y, at_end.point, (size_t)count * e.size * sizeof *y);
    drl_mcmc_destroy(chains);
    if (status == DRL_OK && training_stop) status = DRL_RUNNING;
    return status;
}

/* *grey <- the images as bright as they look, on black where they are transparent. The caller frees the
 * pixels. Returns 0 when there is no memory. */
static int grey_create(const drl_dataset *data, drl_dataset *grey)
{
    size_t n = (size_t)data->count * (size_t)data->height * (size_t)data->width, c = (size_t)data->channels,
           i;
    uint8_t *to = data->values ? NULL : (uint8_t *)malloc(n + 1);
    float *value = data->values ? (float *)malloc(n * sizeof *value) : NULL;
    *grey = *data;
    grey->owner = NULL;
    grey->channels = 1;
    grey->pixels = to;
    grey->values = value;
    for (i = 0; i < n && value; ++i) {
        const float *p = data->values + c * i;
        float v = c < 3 ? p[0] : 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
        value[i] = c == 2 || c == 4 ? (v + 1) * (p[c - 1] + 1) / 2 - 1 : v;
    }
    for (i = 0; i < n && to; ++i) {
        const uint8_t *p = data->pixels + c * i;
        unsigned v = c < 3 ? p[0] : (299u * p[0] + 587u * p[1] + 114u * p[2] + 500u) / 1000u;
        to[i] = (uint8_t)(c == 2 || c == 4 ? v * p[c - 1] / 255u : v);
    }
    return to || value;
}

/* n images of a file as the model sees them; *n gets smaller if there are fewer. */
static drl_status others(drl_ctx *ctx, const char *file, const drl_dataset_desc *d, const drl_model_desc *md,
                         int *n, float *x)
{
    drl_dataset *loaded = NULL, now, next;
    drl_status status = data_load(ctx, &file, 1, d, &loaded);
    int i;
    if (status != DRL_OK) return status;
    now = *loaded;
    while ((now.channels != md->channels && md->channels == 1) || now.height > md->height ||
           now.width > md->width) {
        if (!(now.channels != md->channels && md->channels == 1 ? grey_create(&now, &next)
                                                                : data_shrink(&now, 2, &next))) {
            status = DRL_E_MEMORY;
            break;
        }
        if (now.pixels != loaded->pixels || now.values != loaded->values) data_free(&now);
        now = next;
    }
    if (now.count < *n) *n = now.count;
    for (i = 0; i < *n && status == DRL_OK; ++i)
        status =
            drl_dataset_image(ctx, &now, i, md->height, md->width,
                              x + (size_t)i * (size_t)md->height * (size_t)md->width * (size_t)md->channels);
    if (now.pixels != loaded->pixels || now.values != loaded->values) data_free(&now);
    drl_dataset_destroy(loaded);
    return status;
}

/* Runs a path to its end; DRL_RUNNING when somebody asked to stop. */
static drl_status walk(drl_ctx *ctx, const drl_energy *e, const drl_ais_desc *d, drl_ais_result *r)
{
    drl_ais *ais = NULL;
    drl_status status = drl_ais_create(ctx, e, d, &ais);
    while (status <= DRL_RUNNING && drl_ais_steps_left(ais) && !training_stop) status = drl_ais_run(ais, 1);
    if (status <= DRL_RUNNING) status = training_stop ? DRL_RUNNING : drl_ais_look(ais, r);
    drl_ais_destroy(ais);
    return status;
}

int main(int argc, char **argv)
{
    enum { IMAGES, TURNED, MEANS, PLAIN, NOISE, OTHER, KINDS };
    static const char *const kinds[KINDS] = { "the images",    "upside down", "means of two",
                                              "one grey each", "noise",       "--other" };
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    drl_model *model = NULL;
    const drl_dataset *data;
    data_set set = data_options(&o);
    const drl_schedule *s;
    drl_model_desc md;
    drl_ais_desc path;
    drl_ais_result low, high;
    drl_energy e;
    drl_rng rng = { 0, 0, 0 }, greys = { 0, 0, 0 };
    drl_status status = DRL_OK;
    const char *file = set.file.count ? set.file.word[0] : NULL, *other = option_text(&o, "--other", NULL),
               *prefix = option_prefix(&o, "image_likelihood");
    int t = option_int(&o, "--level", 99),
        steps = option_int(&o, "--steps", 0), images = option_int(&o, "--images", 500), words, none, n, i, k;
    double noise = option_number(&o, "--noise", file ? 0.02 : (double)SPRITE_NOISE),
           minutes = option_number(&o, "--minutes", 1), extra, abar, sigma, mean[KINDS], spread;
    double *log_p;
    float *y, *x, *kept, *work, *score, grey = 0;
    char name[1024];
    size_t j, size;
    memset(&path, 0, sizeof path);
    memset(&md, 0, sizeof md);
    path.count = option_int(&o, "--count", 32);
    path.steps = option_int(&o, "--temperatures", 400);
    path.seed = (uint64_t)option_int(&o, "--seed", 1);
    path.leapfrog = 5;
    words = options_rest(&o, usage);
    if (words > 1 || (file && !words) || (set.half && !file) || path.count < 2 || path.steps < 2 ||
        images < 2 || t < 0 || steps < 0 || !(minutes > 0)) {
        fputs(usage, stderr);
        return 2;
    }
    if (snprintf(name, sizeof name, "%s.safetensors", prefix) >= (int)sizeof name) {
        fprintf(stderr, "--out: too long\n");
        return 2;
    }
    if (words) {
        md.batch = path.count < 32 ? path.count : 32;
        if (drl_model_load(ctx, argv[1], &md, &model) != DRL_OK) return fail(ctx, argv[1]);
        drl_model_describe(model, &md);
        if (!file && (md.height != SPRITE_SIZE || md.width != SPRITE_SIZE || md.channels != 4)) {
            fprintf(stderr,
                    "%s draws %d x %d x %d, not the embedded sprites: --data IMAGES names what it was "
                    "trained on\n",
                    argv[1], md.height, md.width, md.channels);
            return 2;
        }
    }
    if (!data_open(ctx, &set, 7, images, SPRITE_CLASSES)) return 1;
    data = &set.data;
    if (!words) {
        status = sprites_model(ctx, 1, steps, minutes, path.seed, prefix, &model);
        if (status == DRL_RUNNING) {
            printf("give it %s, and it is not trained again\n", name);
            return 0;
        }
        if (status != DRL_OK) return fail(ctx, name);
    }
    drl_model_describe(model, &md);
    if (data->height > md.height || data->width > md.width) {
        fprintf(stderr, "%s has images of %d x %d, the model draws %d x %d: --half halves them\n", file,
                data->height, data->width, md.height, md.width);
        return 2;
    }
    if (t >= md.levels || data->channels != md.channels) {
        fprintf(stderr, "--level %d of %d levels, images of %d channels for a model of %d\n", t, md.levels,
                data->channels, md.channels);
        return 2;
    }
    if (images > data->count) images = data->count;
    s = drl_model_schedule(model);
    e = drl_model_energy(model);
    size = e.size;
    y = (float *)malloc((size_t)path.count * size * sizeof *y);
    x = (float *)malloc((size_t)images * size * sizeof *x);
    kept = (float *)malloc((size_t)images * size * sizeof *kept);
    work = (float *)malloc((64 * size + (size_t)images) * sizeof *work);
    score = (float *)malloc(KINDS * (size_t)images * sizeof *score);
    log_p = (double *)malloc((size_t)images * sizeof *log_p);
    if (!y || !x || !kept || !work || !score || !log_p) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }

    /* with K = 0 energies are fitted at x_{t+1}, which is x_t with the noise of t + 1 over a */
    none = md.steps < 0;
    extra = noise * s->abar[t + none];
    abar = s->abar[t];
    sigma =
        sqrt(s->sbar[t + none] * s->sbar[t + none] + extra * extra) / (none ? drl_schedule_scale(s, t) : 1.0);
    printf("level %d: bytes with noise of %.2f (standard deviation), %d dimensions, %d chains of %d "
           "temperatures each way\n",
           t, 127.5 * sigma / abar, (int)size, path.count, path.steps);
    fflush(stdout);

    training_catch();
    status = draw(ctx, model, t, path.count, path.seed, y);
    if (status == DRL_RUNNING) return stopped();
    if (status != DRL_OK) return fail(ctx, "sampling");
    path.seed += 1;                                             /* other draws than those of the samples */
    path.level = t;
    /* the path begins at the Gaussian that the samples look like */
    path.fit = y;
    path.fit_count = path.count;
    status = walk(ctx, &e, &path, &low);
    path.start = y;
    if (status == DRL_OK) status = walk(ctx, &e, &path, &high);
    if (status == DRL_RUNNING) return stopped();
    if (status != DRL_OK) return fail(ctx, "annealing");

    printf("log Z by the path forwards %.2f +- %.2f (%.1f of %d chains count), backwards %.2f +- %.2f "
           "(%.1f): gap %.2f nats\n",
           low.log_z, low.error, low.ess, path.count, high.log_z, high.error, high.ess,
           high.log_z - low.log_z);
    for (i = 0; i < images; ++i)
        if (drl_dataset_image(ctx, data, i, md.height, md.width, kept + (size_t)i * size) != DRL_OK)
            return fail(ctx, "images");
    for (k = 0; k < KINDS - !other; ++k) {
        if (training_stop) return stopped();
        n = images;
        if (k == OTHER && others(ctx, other, &set.desc, &md, &n, kept) != DRL_OK) return fail(ctx, other);
        if (n < 2) {
            fprintf(stderr, "%s: %d images\n", other, n);
            return 2;
        }
        rng.seed = path.seed + 16;
        rng.position = 0;
        greys.seed = path.seed + 17;
        greys.position = 0;
        drl_rng_normals(ctx, &rng, x, (size_t)n * size);
        for (i = 0; i < n; ++i)
            for (j = 0; j < size; ++j) {
                const float *own = kept + (size_t)i * size, *next = kept + (size_t)((i + 1) % n) * size;
                size_t c = (size_t)md.channels, turned = (size / c - 1 - j / c) * c + j % c;
                double v;
                if (k == NOISE || (k == PLAIN && !j)) grey = 2 * drl_rng_uniform(&greys) - 1;
                v = k == TURNED                ? (double)own[turned]
                    : k == MEANS               ? 0.5 * ((double)own[j] + (double)next[j])
                    : k == PLAIN || k == NOISE ? (double)grey
                                               : (double)own[j];
                x[(size_t)i * size + j] = (float)(abar * v + sigma * (double)x[(size_t)i * size + j]);
            }
        if (drl_log_likelihood(ctx, &e, s, t, NULL, n, x, low.log_z, log_p, work) != DRL_OK)
            return fail(ctx, kinds[k]);
        for (mean[k] = spread = 0, i = 0; i < n; ++i) mean[k] += log_p[i] / n;
        for (i = 0; i < n; ++i) {
            spread += (log_p[i] - mean[k]) * (log_p[i] - mean[k]) / (n - 1.0);
            score[k * images + i] = (float)log_p[i];
        }
        spread = sqrt(spread / n);
        if (!k) {
            double shift = high.log_z - low.log_z, unit = 1 / ((double)size * log(2.0));
            printf("bits a dimension: %.4f to %.4f, +- %.4f for %d images and +- %.4f, %.4f for log Z\n",
                   drl_bits_per_dim(mean[0], size, 127.5 / abar),
                   drl_bits_per_dim(mean[0] - shift, size, 127.5 / abar), spread * unit, images,
                   low.error * unit, high.error * unit);
        } else {
            double area;
            if (drl_auroc(ctx, score, images, score + k * images, n, &area) != DRL_OK)
                return fail(ctx, "AUROC");
            printf("%-13s %+9.2f nats, AUROC of the images %.3f\n", kinds[k], mean[k] - mean[0], area);
        }
        fflush(stdout);
    }
    free(y);
    free(x);
    free(kept);
    free(work);
    free(score);
    free(log_p);
    data_close(&set);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return 0;
}
