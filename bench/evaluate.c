/* evaluate.c - all figures of trained MNIST models: what chains add to proposals, guidance, the noise that
 * networks leave, what they take for no digit.
 *
 *   cc -O2 -DDRL_THREADS bench/evaluate.c -o build/evaluate -lm
 *   build/evaluate [MODEL.safetensors ...] [--chains "0 3 K"] [--lengthen] [--guidance "0 0.5 1 2 4"]
 *       [--guidance-levels FROM:TO] [--stride N] [--b2 X] [--proposals score | none] [--count 1000]
 *       [--noise] [--images 256] [--ood] [--long-chains FILE] [--seed 1] [--data ../shared] [--threads 2]
 *       [--isa NAME]
 *
 * Needs the data folder: MNIST, a small digit classifier and, for --ood, the tiles. Prints the scale first:
 * the classifier's accuracy on the test images (0.9600), and in its 64 features the Frechet distance to the
 * training images of the test images (0.46), of blurred ones (37.5) and of ones with Gaussian noise of 0.2
 * (3.4). Then, for each model, a table with a row for each weight w and each chain: no chain at all, which
 * is what proposals are alone; 3 steps a level, no longer than in training; K steps, as trained. Its
 * columns:
 *   frechet, means   distance of `count` samples, and its term |m1 - m2|^2; the rest is that of the
 *                    covariances
 *   agree %          samples that the classifier takes for the digit asked for, in models with ten classes
 *   conf. %, score   the classifier's mean confidence; the inception score, of 10
 *   calls/image      gradients of the energy + calls of the initializer; guidance doubles both
 *   s/image          seconds on this machine, as it is now
 *   digits 0 to 9    how many samples the classifier takes for each
 *   --chains LIST         other rows: numbers of steps, 0 for proposals alone, K as trained. They may
 *                         exceed K
 *   --lengthen            steps are as much longer as chains are shorter, the library's rule. (Models of K
 *                         = 0 then have steps of the size of a level's noise)
 *   --guidance LIST       each of these weights in place of 0, for models with ten classes
 *   --guidance-levels     on the levels from FROM up to, but without, TO. All levels without this option
 *   --stride N            every N-th level only is visited
 *   --b2 X                of the steps' size, in place of the model's
 *   --proposals           where chains start: at a draw by the energies' own scores, or at x_{t+1}; without
 *                         it by the initializer, or by the score for U-Net energies that have none
 *   --noise               the mean of (eps_hat - eps)^2 that energies and initializers leave on each level
 *                         (17 of many) of test images, with their classes and with wrong ones. Equations:
 *                         bench/noise.h
 *   --ood                 the probability that a test image scores higher than an image of another kind
 *                         (AUROC), by f of levels 0 to 3; training images: about 0.5
 *   --long-chains FILE    of examples/09_long_chain: the same figures for its chains after 0, 100, 1000,
 *                         ... steps, beside as many test images
 * The last three take the table's place, unless --chains or --guidance ask for it, too.
 * Models of 16 x 16 (02_train_images --half): their samples, and all images that they are compared with,
 * are 2 x 2 means, shown to the classifier at 32 x 32. Models of many levels (--t1k): --ood takes levels 0,
 * 99, 199 and 299, which have the noise of levels 0 to 3 of six.
 * After several models, one for each seed say, mean and standard deviation follow. The same models, options
 * and seed print the same figures (but for the seconds), at any number of threads. A distance of fewer
 * samples is larger: compare at one --count.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/options.h"
#include "../examples/picture.h"
#include "../examples/training.h"
#include "noise.h"
#include <math.h>

#define FEATURES 64
#define DIGITS   10
#define SIDE     32
#define PIXELS   (SIDE * SIDE)
#define BATCH    50
#define MODELS   16
#define ROWS     16
#define AS_TRAINED (-1)                     /* steps of a chain: the model's K */

static const char usage[] =
    "evaluate [MODEL.safetensors ...] [--chains \"0 3 K\"] [--lengthen] [--guidance \"0 0.5 1 2 4\"]\n"
    "         [--guidance-levels FROM:TO] [--stride N] [--b2 X] [--proposals score | none] [--count N]\n"
    "         [--noise] [--images N] [--ood] [--long-chains FILE]\n"
    "         [--seed N] [--data FOLDER] [--threads N] [--isa NAME]\n";

typedef struct judge {
    drl_ctx *ctx;
    const char *data;
    drl_net *net;                                   /* the classifier up to its features */
    float weight[DIGITS * FEATURES], bias[DIGITS];  /* and its last layer */
    int reference_count, test_count;
    float *reference;                               /* features of the training images */
    float *test;                                    /* the test images, [test_count * PIXELS] */
    drl_dataset *train, *tests;
    drl_model *model[MODELS];
    const char *name[MODELS];
    int models;
    drl_sample_desc how;                            /* count and seed as asked for */
    int lengthen;                                   /* shorter chains have longer steps */
    int guided[2];                                  /* levels with guidance, as in drl_sample_desc */
    float *samples;                                 /* [count * PIXELS] */
    int half;                   /* the models' images are half as wide and high as the classifier's */
} judge;

/* What the classifier makes of a set of images. */
typedef struct verdict {
    double distance, mean_term, covariance_term, score, confidence;
    /* how many of each digit; how many are the digit asked for */
    int digit[DIGITS], right;
} verdict;

static int fail(const judge *e, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(e->ctx));
    return 1;
}

static void *block(size_t count, size_t size)
{
    void *p = malloc(count * size);
    if (!p) { fprintf(stderr, "out of memory: %lu bytes\n", (unsigned long)(count * size)); exit(1); }
    return p;
}

static float *images_of(size_t count) { return (float *)block(count * PIXELS, sizeof(float)); }

/* -- the classifier: conv 1-16, relu, pool, conv 16-32, relu, pool, conv 32-64, relu, mean: 64 features -- */

static drl_value conv_relu(drl_net *net, drl_value x, const char *name, int channels)
{
    drl_layer_desc l;
    memset(&l, 0, sizeof l);
    l.name = name;
    l.out_channels = channels;
    return drl_net_act(net, drl_net_conv2d(net, x, &l), DRL_ACT_RELU);
}

static void build_features(drl_net *net, void *user)
{
    drl_value x = drl_net_input(net, SIDE, SIDE, 1);
    (void)user;
    x = drl_net_avgpool2(net, conv_relu(net, x, "conv1", 16));
    x = drl_net_avgpool2(net, conv_relu(net, x, "conv2", 32));
    x = conv_relu(net, x, "conv3", 64);
    drl_net_spatial_sum(net, x, 1.0f / 64.0f);
}

static int features(const judge *e, const float *images, int n, float *out)
{
    int i;
    for (i = 0; i < n; i += BATCH) {
        drl_batch b = drl_batch_of(n - i < BATCH ? n - i : BATCH, images + (size_t)i * PIXELS, NULL);
        if (drl_net_forward(e->net, &b, out + (size_t)i * FEATURES) != DRL_OK) return fail(e, "classifier");
    }
    return 0;
}

/* Probabilities of the ten digits; returns the most probable one. */
static int classify(const judge *e, const float *feature, float *p)
{
    float sum = 0;
    int best = 0, j, k;
    for (k = 0; k < DIGITS; ++k) {
        p[k] = e->bias[k];
        for (j = 0; j < FEATURES; ++j) p[k] += e->weight[k * FEATURES + j] * feature[j];
        if (p[k] > p[best]) best = k;
    }
    for (k = DIGITS; k--; ) if (k != best) sum += p[k] = expf(p[k] - p[best]);
    p[best] = 1;
    for (k = 0; k < DIGITS; ++k) p[k] /= 1 + sum;
    return best;
}

/* asked [n]: the digit that each image should be, or NULL. */
static int look(const judge *e, const float *images, int n, const uint8_t *asked, verdict *v)
{
    float *f = (float *)block((size_t)n * FEATURES, sizeof *f),
          *p = (float *)block((size_t)n * DIGITS, sizeof *p);
    double *work = (double *)block(5 * FEATURES * FEATURES + 4 * FEATURES, sizeof *work);
    int i, j, failed = features(e, images, n, f);
    memset(v, 0, sizeof *v);
    if (!failed &&
        (drl_frechet(e->ctx, f, n, e->reference, e->reference_count, FEATURES, work, &v->distance) != DRL_OK))
        failed = fail(e, "distance");
    for (j = 0; j < FEATURES && !failed; ++j) {
        double a = 0, b = 0;
        for (i = 0; i < n; ++i) a += (double)f[i * FEATURES + j] / n;
        for (i = 0; i < e->reference_count; ++i)
            b += (double)e->reference[i * FEATURES + j] / e->reference_count;
        v->mean_term += (a - b) * (a - b);
    }
    v->covariance_term = v->distance - v->mean_term;
    for (i = 0; i < n && !failed; ++i) {
        int best = classify(e, f + (size_t)i * FEATURES, p + (size_t)i * DIGITS);
        v->digit[best] += 1;
        v->confidence += (double)p[i * DIGITS + best] / n;
        v->right += asked && best + 1 == asked[i];
    }
    if (!failed && drl_inception_score(e->ctx, p, n, DIGITS, &v->score) != DRL_OK)
        failed = fail(e, "inception score");
    free(f);
    free(p);
    free(work);
    return failed;
}

/* -- data -- */

/* A file of the data folder. */
static const char *in_folder(const judge *e, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", e->data, name);
    return path;
}

/* Images as models of half the size see them: every 2 x 2 pixels get their mean. */
static void halve(float *x, int n)
{
    size_t i, r, c;
    for (i = 0; i < (size_t)n; ++i)
        for (r = 0; r < SIDE; r += 2)
            for (c = 0; c < SIDE; c += 2) {
                float *p = x + i * PIXELS + r * SIDE + c;
                p[0] = p[1] = p[SIDE] = p[SIDE + 1] = 0.25f * (p[0] + p[1] + p[SIDE] + p[SIDE + 1]);
            }
}

/* n images of the model's size, at the beginning of x, to the classifier's. */
static void enlarge(const judge *e, float *x, int n)
{
    int i, r, c;
    if (!e->half) return;
    for (i = n - 1; i >= 0; --i) {
        float image[PIXELS / 4];
        memcpy(image, x + (size_t)i * (PIXELS / 4), sizeof image);
        for (r = 0; r < SIDE; ++r)
            for (c = 0; c < SIDE; ++c)
                x[(size_t)i * PIXELS + (size_t)(r * SIDE + c)] = image[r / 2 * (SIDE / 2) + c / 2];
    }
}

/* And back. Each image goes through a block of its own: gcc 12.2 at -O2 mistakes a loop that reads and writes
 * the same array here, and copies other pixels. */
static void reduce(const judge *e, float *x, int n)
{
    int i, r, c;
    if (!e->half) return;
    for (i = 0; i < n; ++i) {
        float image[PIXELS / 4];
        const float *from = x + (size_t)i * PIXELS;
        for (r = 0; r < SIDE / 2; ++r)
            for (c = 0; c < SIDE / 2; ++c) image[r * (SIDE / 2) + c] = from[2 * r * SIDE + 2 * c];
        memcpy(x + (size_t)i * (PIXELS / 4), image, sizeof image);
    }
}

static int load(judge *e)
{
    char path[3][1024];
    const char *files[2];
    drl_safetensors *st = NULL;
    drl_net_desc nd;
    float *x;
    int i, failed;
    files[0] = in_folder(e, "data/mnist/train-images-idx3-ubyte", path[0], sizeof path[0]);
    if (drl_dataset_load(e->ctx, files, 1, NULL, &e->train) != DRL_OK)
        return fail(e, "training images (--data names the folder)");
    files[0] = in_folder(e, "data/mnist/t10k-images-idx3-ubyte", path[0], sizeof path[0]);
    files[1] = in_folder(e, "data/mnist/t10k-labels-idx1-ubyte", path[1], sizeof path[1]);
    if (drl_dataset_load(e->ctx, files, 2, NULL, &e->tests) != DRL_OK) return fail(e, "test images");
    memset(&nd, 0, sizeof nd);
    nd.batch = BATCH;
    if (drl_safetensors_open(e->ctx,
                             in_folder(e, "reference/mnist-classifier.safetensors", path[2], sizeof path[2]),
                             &st) != DRL_OK ||
        drl_net_create(e->ctx, build_features, NULL, &nd, &e->net) != DRL_OK ||
        drl_net_load(e->net, st) != DRL_OK ||
        drl_array_count(drl_safetensors_find(st, "dense.weight")) != DIGITS * FEATURES ||
        drl_array_count(drl_safetensors_find(st, "dense.bias")) != DIGITS ||
        drl_array_to_float(e->ctx, drl_safetensors_find(st, "dense.weight"), e->weight) != DRL_OK ||
        drl_array_to_float(e->ctx, drl_safetensors_find(st, "dense.bias"), e->bias) != DRL_OK)
        return fail(e, "classifier");
    drl_safetensors_close(st);
    e->reference_count = e->train->count;
    e->test_count = e->tests->count;
    e->reference = (float *)block((size_t)e->reference_count * FEATURES, sizeof *e->reference);
    e->test = images_of((size_t)e->test_count);
    x = images_of((size_t)e->reference_count);
    for (i = 0; i < e->reference_count; ++i)
        if (drl_dataset_image(e->ctx, e->train, i, SIDE, SIDE, x + (size_t)i * PIXELS) != DRL_OK)
            return fail(e, "training images");
    for (i = 0; i < e->test_count; ++i)
        if (drl_dataset_image(e->ctx, e->tests, i, SIDE, SIDE, e->test + (size_t)i * PIXELS) != DRL_OK)
            return fail(e, "test images");
    if (e->half) {
        halve(x, e->reference_count);
        halve(e->test, e->test_count);
    }
    failed = features(e, x, e->reference_count, e->reference);
    free(x);
    return failed;
}

static void blur(const float *x, float *y)              /* 3x3 mean, edges repeated */
{
    int i, j, r, s;
    for (i = 0; i < SIDE; ++i)
        for (j = 0; j < SIDE; ++j) {
            float sum = 0;
            for (r = -1; r <= 1; ++r)
                for (s = -1; s <= 1; ++s) {
                    int k = i + r < 0 ? 0 : i + r >= SIDE ? SIDE - 1 : i + r;
                    int l = j + s < 0 ? 0 : j + s >= SIDE ? SIDE - 1 : j + s;
                    sum += x[k * SIDE + l];
                }
            y[i * SIDE + j] = sum / 9;
        }
}

static void clamp(float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; ++i) x[i] = x[i] < -1 ? -1.0f : x[i] > 1 ? 1.0f : x[i];
}

static int show_scale(const judge *e)
{
    size_t i, n = (size_t)e->test_count;
    float *x = images_of(n);
    drl_rng rng = { 1, 0, 0 };
    verdict v;
    int failed = look(e, e->test, e->test_count, e->tests->labels, &v);
    if (!failed) {
        printf("classifier accuracy on %d test images  %.4f\n", e->test_count,
               (double)v.right / e->test_count);
        printf("frechet, test images                     %.2f\n", v.distance);
        for (i = 0; i < n; ++i) blur(e->test + i * PIXELS, x + i * PIXELS);
        failed = look(e, x, e->test_count, NULL, &v);
    }
    if (!failed) {
        printf("frechet, test images blurred 3x3         %.2f\n", v.distance);
        drl_rng_normals(e->ctx, &rng, x, n * PIXELS);
        for (i = 0; i < n * PIXELS; ++i) x[i] = e->test[i] + 0.2f * x[i];
        clamp(x, n * PIXELS);
        failed = look(e, x, e->test_count, NULL, &v);
    }
    if (!failed) printf("frechet, test images with noise 0.2      %.2f\n", v.distance);
    fflush(stdout);
    free(x);
    return failed;
}

/* -- models -- */

/* One row of a table: a value for each model, then mean and standard deviation. */
static void show_row(const char *name, const double *value, int count, int digits)
{
    double mean = 0, square = 0;
    int i;
    printf("  %-34s", name);
    for (i = 0; i < count; ++i) { printf(" %8.*f", digits, value[i]); mean += value[i] / count; }
    for (i = 0; i < count; ++i) square += (value[i] - mean) * (value[i] - mean);
    if (count > 1) printf("    mean %.*f +- %.*f", digits, mean, digits, sqrt(square / (count - 1)));
    printf("\n");
    fflush(stdout);
}

static void show_models(const judge *e, const char *title)
{
    int i;
    printf("%s\n", title);
    for (i = 0; i < e->models; ++i) printf("  model %d: %s\n", i + 1, e->name[i]);
}

static int load_models(judge *e, char **path, int count)
{
    drl_model_desc d;
    for (e->models = 0; e->models < count; ++e->models) {
        e->name[e->models] = path[e->models];
        if (drl_model_load(e->ctx, path[e->models], NULL, &e->model[e->models]) != DRL_OK)
            return fail(e, path[e->models]);
        drl_model_describe(e->model[e->models], &d);
        if (!e->models) e->half = d.height == SIDE / 2;
        if (d.height != SIDE >> e->half || d.width != d.height || d.channels != 1) {
            fprintf(stderr, "%s draws %d x %d x %d, not %d x %d x 1\n", path[e->models], d.height, d.width,
                    d.channels, SIDE >> e->half, SIDE >> e->half);
            return 1;
        }
    }
    return 0;
}

/* Passes everything on to an energy and counts the points. */
typedef struct counted { drl_energy of; double gradients, proposals; } counted;

static drl_status counted_eval(void *user, int n, const float *y, const int *level, const int *label,
                               float *f, float *gradient)
{
    counted *c = (counted *)user;
    c->gradients += n;
    return c->of.eval(c->of.user, n, y, level, label, f, gradient);
}

static drl_status counted_propose(void *user, int n, const float *x_next, const int *level, const int *label,
                                  float *mean)
{
    counted *c = (counted *)user;
    c->proposals += n;
    return c->of.propose(c->of.user, n, x_next, level, label, mean);
}

/* One row of a table: a guidance weight and the steps of a chain. */
typedef struct figures {
    int valid;                                      /* the model can be drawn from in this way */
    int ran_away;                                   /* it cannot, since a chain leaves the finite numbers */
    char name[40];
    double weight, right, gradients, proposals, seconds;    /* of an image, but for the first two */
    verdict v;
} figures;

/* Whether chains of model m start at proposals. */
static int proposes(const judge *e, int m)
{
    drl_model_desc d;
    drl_model_describe(e->model[m], &d);
    if (e->how.proposal) return e->how.proposal == DRL_PROPOSAL_SCORE;
    return drl_model_initializer(e->model[m]) || d.energy_form == DRL_ENERGY_UNET;
}

/* K' steps of model m: 0 means none, AS_TRAINED the model's K. `asked` as in look. */
static int score_chain(judge *e, int m, int steps, float weight, const int *label, const uint8_t *asked,
                       figures *row)
{
    drl_sample_desc how = e->how;
    drl_model_desc d;
    drl_energy energy;
    drl_status status;
    counted c;
    double start;
    char length[32] = "step kept";
    drl_model_describe(e->model[m], &d);
    c.of = energy = drl_model_energy(e->model[m]);
    c.gradients = c.proposals = 0;
    energy.eval = counted_eval;
    energy.propose = energy.propose ? counted_propose : NULL;
    energy.user = &c;
    how.energy = &energy;
    how.labels = d.classes == DIGITS ? label : NULL;
    how.guidance = weight;
    how.guidance_from = e->guided[0];
    how.guidance_to = e->guided[1];
    memset(row, 0, sizeof *row);
    row->weight = (double)weight;
    if (e->lengthen) snprintf(length, sizeof length, "step lengthened");
    if (how.b2 > 0) {
        snprintf(length, sizeof length, "b2 = %g", how.b2);
        if (steps == AS_TRAINED && d.steps > 0) steps = d.steps;
    } else if (steps == d.steps) steps = AS_TRAINED;
    if (!steps) snprintf(row->name, sizeof row->name, "none, proposals alone");
    else if (steps > 0) snprintf(row->name, sizeof row->name, "%d, %s", steps, length);
    else snprintf(row->name, sizeof row->name, "K = %d, as trained", d.steps > 0 ? d.steps : 0);
    if (!steps && !proposes(e, m)) return 0;
    how.no_chain = !steps;
    how.steps = steps > 0 ? steps : 0;
    if (!e->lengthen && how.b2 == 0) how.b2 = drl_model_schedule(e->model[m])->b2;
    start = seconds_now();
    status = training_sample(e->model[m], &how, e->samples);
    row->seconds = (seconds_now() - start) / how.count;
    if (status == DRL_RUNNING) {
        printf("stopped: the lines above are all there is\n");
        exit(0);
    }
    if (status == DRL_E_NUMERIC) {                  /* the other rows may be sound */
        drl_ctx_clear(e->ctx);
        row->ran_away = 1;
        return 0;
    }
    if (status != DRL_OK) return fail(e, e->name[m]);
    enlarge(e, e->samples, how.count);
    clamp(e->samples, (size_t)how.count * PIXELS);
    if (look(e, e->samples, how.count, how.labels ? asked : NULL, &row->v)) return 1;
    row->valid = 1;
    row->right = how.labels ? 100.0 * row->v.right / how.count : -1;
    row->gradients = c.gradients / how.count;
    row->proposals = c.proposals / how.count;
    return 0;
}

static void show_figures(const figures *row)
{
    char agree[16] = "-", calls[32];
    int k;
    printf("  %4g  %-26s ", row->weight, row->name);
    if (!row->valid) {
        printf("%s\n", row->ran_away ? "a chain leaves the finite numbers" : "there are no proposals");
        return;
    }
    if (row->right >= 0) snprintf(agree, sizeof agree, "%.1f", row->right);
    snprintf(calls, sizeof calls, "%.0f + %.0f", row->gradients, row->proposals);
    printf("%8.2f %8.2f %8s %8.1f %6.2f %12s %9.4f  ", row->v.distance, row->v.mean_term, agree,
           100 * row->v.confidence, row->v.score, calls, row->seconds);
    for (k = 0; k < DIGITS; ++k) printf(" %d", row->v.digit[k]);
    printf("\n");
    fflush(stdout);
}

/* Of one row of all models. */
static void show_mean(const figures *row, int models)
{
    double sum[2] = { 0, 0 }, square[2] = { 0, 0 }, x;
    int m, k, n = 0;
    for (m = 0; m < models; ++m) n += row[m].valid;
    if (n < 2) return;
    for (k = 0; k < 2; ++k) {
        for (m = 0; m < models; ++m) if (row[m].valid) sum[k] += (k ? row[m].right : row[m].v.distance) / n;
        for (m = 0; m < models; ++m) {
            x = k ? row[m].right : row[m].v.distance;
            if (row[m].valid) square[k] += (x - sum[k]) * (x - sum[k]) / (n - 1);
        }
    }
    printf("  %4g  %-26s %8.2f +- %.2f", row->weight, row->name, sum[0], sqrt(square[0]));
    if (row->right >= 0) printf(" %8.1f +- %.1f", sum[1], sqrt(square[1]));
    printf("   (%d models)\n", n);
}

/* Every model's samples: rows of weights and chains. steps NULL: the three that belong together. */
static int show_table(judge *e, const float *weight, int weights, const int *steps, int chains)
{
    static const int usual[3] = { 0, 3, AS_TRAINED };
    int *label = (int *)block((size_t)e->how.count, sizeof *label);
    int i, j, m, failed = 0, given = steps != NULL;
    uint8_t *asked = (uint8_t *)block((size_t)e->how.count, 1);
    figures *row;
    if (!given) { steps = usual; chains = 3; }
    row = (figures *)block((size_t)(weights * chains * e->models), sizeof *row);
    memset(row, 0, (size_t)(weights * chains * e->models) * sizeof *row);
    for (i = 0; i < e->how.count; ++i) { asked[i] = (uint8_t)(1 + i % DIGITS); label[i] = 1 + i % DIGITS; }
    for (m = 0; m < e->models && !failed; ++m) {
        drl_model_desc d;
        drl_model_describe(e->model[m], &d);
        printf("\nmodel %d: %s, %d levels, K = %d, %d samples%s\n", m + 1, e->name[m], d.levels,
               d.steps > 0 ? d.steps : 0, e->how.count,
               d.classes == DIGITS ? ", digits in turn" : ", without a class");
        printf("     w  %-26s %8s %8s %8s %8s %6s %12s %9s   %s\n", "steps a level", "frechet", "means",
               "agree %", "conf. %", "score", "calls/image", "s/image", "digits 0 to 9");
        for (j = 0; j < weights && !failed; ++j)
            for (i = 0; i < chains && !failed; ++i) {
                figures *r = row + (j * chains + i) * e->models + m;
                if (!given && (steps[i] > 0 ? steps[i] >= d.steps : !steps[i] && !proposes(e, m))) continue;
                failed = score_chain(e, m, steps[i], weight[j], label, asked, r);
                if (!failed) show_figures(r);
            }
    }
    if (!failed && e->models > 1)
        printf("\nmean of the models and standard deviation: frechet, agreement in percent\n");
    for (i = 0; i < weights * chains && !failed; ++i) show_mean(row + i * e->models, e->models);
    free(row);
    free(label);
    free(asked);
    return failed;
}

static void show_share(double left)
{
    if (left < 0) printf(" %12s", "-");
    else printf(" %12.4f", left);
}

/* The noise that is left on every level, or on 17 of many. */
static int show_noise(judge *e, int count)
{
    float *images = images_of((size_t)count);
    int *label[2], i, m, t, w;
    for (w = 0; w < 2; ++w) {
        label[w] = (int *)block((size_t)count, sizeof(int));
        for (i = 0; i < count; ++i) label[w][i] = 1 + (e->tests->labels[i] - 1 + w) % DIGITS;
    }
    memcpy(images, e->test, (size_t)count * PIXELS * sizeof *images);
    reduce(e, images, count);
    for (m = 0; m < e->models; ++m) {
        drl_energy energy = drl_model_energy(e->model[m]);
        drl_model_desc d;
        int rows, r, sides;
        drl_model_describe(e->model[m], &d);
        sides = d.classes == DIGITS ? 2 : 1;
        rows = d.levels <= 24 ? d.levels : 16;
        printf("\nmodel %d: %s, noise left of %d test images (1: nothing is known; bench/noise.h)\n", m + 1,
               e->name[m], count);
        printf("  level x_t  sbar_t");
        for (w = 0; w < 2 * sides; ++w)
            printf(" %12s", w % sides ? "wrong class" : w < sides ? "energy" : "initializer");
        printf("\n");
        for (r = 0; r <= rows; ++r) {
            noise_left left[2];
            t = r * d.levels / rows;
            for (w = 0; w < sides; ++w)
                if (noise_left_at(e->ctx, &energy, drl_model_schedule(e->model[m]), d.steps, t, count, images,
                                  sides == 2 ? label[w] : NULL, e->how.seed, &left[w]) != DRL_OK)
                    return fail(e, e->name[m]);
            printf("  %9d %7.4f", t, drl_model_schedule(e->model[m])->sbar[t]);
            for (w = 0; w < sides; ++w) show_share(left[w].energy);
            for (w = 0; w < sides; ++w) show_share(left[w].initializer);
            printf("\n");
            fflush(stdout);
        }
    }
    free(images);
    free(label[0]);
    free(label[1]);
    return 0;
}

/* The tiles in grey, as bright as they look on black, centred. */
static float *grey_tiles(const judge *e, int *count)
{
    char path[1024];
    const char *file = in_folder(e, "data/tiles/tiles-images.npy", path, sizeof path);
    drl_dataset *tiles = NULL, grey;
    uint8_t *pixel;
    float *out = NULL;
    size_t i, n;
    int k;
    if (drl_dataset_load(e->ctx, &file, 1, NULL, &tiles) != DRL_OK || tiles->channels != 4 ||
        !tiles->pixels) {
        if (tiles) fprintf(stderr, "%s: %d channels, not RGBA of one byte each\n", file, tiles->channels);
        else fail(e, "tiles");
        return NULL;
    }
    grey = *tiles;
    grey.channels = 1;
    n = (size_t)tiles->count * (size_t)tiles->height * (size_t)tiles->width;
    grey.pixels = pixel = (uint8_t *)block(n, 1);
    for (i = 0; i < n; ++i) {
        const uint8_t *p = tiles->pixels + 4 * i;
        pixel[i] = (uint8_t)((299u * p[0] + 587u * p[1] + 114u * p[2] + 500u) / 1000u * p[3] / 255u);
    }
    *count = tiles->count;
    out = images_of((size_t)tiles->count);
    for (k = 0; k < tiles->count; ++k)
        if (drl_dataset_image(e->ctx, &grey, k, SIDE, SIDE, out + (size_t)k * PIXELS) != DRL_OK) {
            fail(e, "tiles");
            break;
        }
    if (k < tiles->count) { free(out); out = NULL; }
    free(pixel);
    drl_dataset_destroy(tiles);
    return out;
}

static int show_ood(judge *e)
{
    enum { KINDS = 4, LEVELS = 4 };
    static const char *const kind[KINDS] = { "training images (about 0.5)", "tiles in grey",
                                             "test images upside down", "means of two test images" };
    double area[LEVELS][KINDS][MODELS];
    float *set[KINDS], *score, *other, *work, *own;
    int count[KINDS], i, k, m, t, most;
    drl_rng rng = { 2, 0, 0 };
    for (k = 0; k < KINDS; ++k) count[k] = e->test_count;
    set[1] = grey_tiles(e, &count[1]);
    if (!set[1]) return 1;
    for (k = 0; k < KINDS; ++k) if (k != 1) set[k] = images_of((size_t)count[k]);
    for (i = 0; i < e->test_count; ++i) {
        int a = drl_rng_below(&rng, e->test_count), b = drl_rng_below(&rng, e->test_count - 1), p;
        const float *first = e->test + (size_t)a * PIXELS,
                    *second = e->test + (size_t)(b + (b >= a)) * PIXELS, *x = e->test + (size_t)i * PIXELS;
        for (p = 0; p < PIXELS; ++p) {
            set[2][(size_t)i * PIXELS + (size_t)p] = x[PIXELS - 1 - p];         /* half a turn */
            set[3][(size_t)i * PIXELS + (size_t)p] = 0.5f * (first[p] + second[p]);
        }
        if (drl_dataset_image(e->ctx, e->train, i % e->train->count, SIDE, SIDE,
                              set[0] + (size_t)i * PIXELS) != DRL_OK)
            return fail(e, "training images");
    }
    if (e->half) halve(set[1], count[1]);
    if (e->half) halve(set[0], count[0]);
    for (k = 0; k < KINDS; ++k) reduce(e, set[k], count[k]);
    most = count[1] > e->test_count ? count[1] : e->test_count;
    own = images_of((size_t)e->test_count);
    memcpy(own, e->test, (size_t)e->test_count * PIXELS * sizeof *own);
    reduce(e, own, e->test_count);
    score = (float *)block((size_t)e->test_count, sizeof *score);
    other = (float *)block((size_t)most, sizeof *other);
    work = images_of((size_t)most);
    for (m = 0; m < e->models; ++m) for (t = 0; t < LEVELS; ++t) {
        int level = drl_model_schedule(e->model[m])->rule == DRL_STEP_DIFFUSION && t ? 100 * t - 1 : t;
        if (drl_model_score(e->model[m], level, e->test_count, own, NULL, score, work) != DRL_OK)
            return fail(e, e->name[m]);
        for (k = 0; k < KINDS; ++k)
            if (drl_model_score(e->model[m], level, count[k], set[k], NULL, other, work) != DRL_OK ||
                drl_auroc(e->ctx, score, e->test_count, other, count[k], &area[t][k][m]) != DRL_OK)
                return fail(e, e->name[m]);
    }
    show_models(e, "AUROC of test images, by f of each level, against");
    for (k = 0; k < KINDS; ++k) for (t = 0; t < LEVELS; ++t) {
        char name[64];
        snprintf(name, sizeof name, "%s, %d", kind[k], t);
        show_row(name, area[t][k], e->models, 3);
    }
    for (k = 0; k < KINDS; ++k) free(set[k]);
    free(score);
    free(other);
    free(work);
    free(own);
    return 0;
}

/* The rows of a file of examples/09_long_chain. */
static int show_chains(judge *e, const char *path)
{
    drl_safetensors *st = NULL;
    const drl_array *at, *rows, *label;
    size_t floats, size = (size_t)PIXELS >> 2 * e->half;
    const uint8_t *asked = NULL;                    /* chains of classes */
    verdict v;
    int i, k, n, failed = 0;
    if (drl_safetensors_open(e->ctx, path, &st) != DRL_OK) return fail(e, path);
    at = drl_safetensors_find(st, "at");
    rows = drl_safetensors_find(st, "rows");
    label = drl_safetensors_find(st, "labels");
    floats = at && rows && drl_array_count(at) ? drl_array_count(rows) / drl_array_count(at) : 0;
    n = (int)(floats / size);
    if (n < 2 || n > e->test_count || floats % size || at->dtype != DRL_DTYPE_I32 ||
        !drl_array_floats(rows)) {
        fprintf(stderr, "%s: not chains of 2 to %d images of this size\n", path, e->test_count);
        return 1;
    }
    if (label && label->dtype == DRL_DTYPE_U8 && label->bytes == (size_t)n && *(const uint8_t *)label->data)
        asked = (const uint8_t *)label->data;
    failed = look(e, e->test, n, NULL, &v);
    printf("%d chains                 frechet   of means   confidence   inception score   %sdigits 0 to 9\n",
           n, asked ? "agree %   " : "");
    if (!failed)
        printf("as many test images  %10.2f %10.2f %12.3f %10.2f\n", v.distance, v.mean_term, v.confidence,
               v.score);
    for (i = 0; i < (int)drl_array_count(at) && !failed; ++i) {
        float *x = images_of((size_t)n);
        int32_t step;
        memcpy(&step, (const char *)at->data + (size_t)i * sizeof step, sizeof step);
        memcpy(x, drl_array_floats(rows) + (size_t)i * floats, floats * sizeof *x);
        enlarge(e, x, n);
        clamp(x, (size_t)n * PIXELS);
        failed = look(e, x, n, asked, &v);
        if (!failed)
            printf("after %6d steps   %10.2f %10.2f %12.3f %10.2f        ", (int)step, v.distance,
                   v.mean_term, v.confidence, v.score);
        if (asked && !failed) printf("%6.1f     ", 100.0 * v.right / n);
        for (k = 0; k < DIGITS && !failed; ++k) printf(" %d", v.digit[k]);
        printf("\n");
        fflush(stdout);
        free(x);
    }
    drl_safetensors_close(st);
    return failed;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    static judge e;
    const char *list, *long_chains;
    float weight[ROWS] = { 0 };
    int steps[ROWS], weights = 0, chains = 0, noise, images, ood, count, failed, m;
    e.ctx = options_context(&o);
    training_catch();
    e.how.count = option_int(&o, "--count", 1000);
    e.how.seed = (uint64_t)option_int(&o, "--seed", 1);
    e.data = option_text(&o, "--data", "../shared");
    e.lengthen = option_flag(&o, "--lengthen");
    noise = option_flag(&o, "--noise");
    images = option_int(&o, "--images", 256);
    ood = option_flag(&o, "--ood");
    long_chains = option_text(&o, "--long-chains", NULL);
    for (list = option_text(&o, "--guidance", NULL); list; ) {
        char *end;
        double w = strtod(list, &end);
        if (end == list) {
            if (!*list && weights) break;
            fprintf(stderr, "--guidance: up to %d weights as in \"0 0.5 1\" are needed, not '%s'\n", ROWS,
                    list);
            return 2;
        }
        if (weights == ROWS) { fprintf(stderr, "--guidance: at most %d weights\n", ROWS); return 2; }
        weight[weights++] = (float)w;
        list = end;
    }
    for (list = option_text(&o, "--chains", NULL); list; ) {
        char *end;
        long k;
        while (*list == ' ' || *list == ',') ++list;
        k = strtol(list, &end, 10);
        if (end == list && (*list == 'K' || *list == 'k')) { k = AS_TRAINED; ++end; }
        else if (end == list && !*list && chains) break;
        else if (end == list || k < 0 || k > 100000) {
            fprintf(stderr, "--chains: up to %d numbers as in \"0 3 K\" are needed, not '%s'\n", ROWS, list);
            return 2;
        }
        if (chains == ROWS) { fprintf(stderr, "--chains: at most %d numbers of steps\n", ROWS); return 2; }
        steps[chains++] = (int)k;
        list = end;
    }
    option_guidance_levels(&o, &e.guided[0], &e.guided[1]);
    option_ways(&o, &e.how);
    if (e.lengthen && e.how.b2 != 0) {
        fprintf(stderr, "--lengthen and --b2: one of the two, either says how long steps are\n");
        return 2;
    }
    count = options_rest(&o, usage);
    if (e.how.count < 2 || e.how.count > 100000 || count > MODELS) {
        fprintf(stderr, "2 to 100000 samples, at most %d models\n%s", MODELS, usage);
        return 2;
    }
    if (!count && (long_chains || noise || ood || weights || chains)) {
        fprintf(stderr, "a model is needed for what these options ask\n%s", usage);
        return 2;
    }
    /* all that can be missing, before anything that takes long */
    if (load_models(&e, argv + 1, count) || load(&e)) return 1;
    if (images < 1 || images > e.test_count) {
        fprintf(stderr, "--images %d: 1 to %d test images\n", images, e.test_count);
        return 2;
    }
    for (m = 0; m < e.models; ++m) {
        drl_model_desc d;
        drl_model_describe(e.model[m], &d);
        if (weights && d.classes != DIGITS) {
            fprintf(stderr, "--guidance: %s has %d classes, digits are %d\n", e.name[m], d.classes, DIGITS);
            return 2;
        }
        if (e.guided[1] > d.levels) {
            fprintf(stderr, "--guidance-levels %d:%d: %s has %d levels\n", e.guided[0], e.guided[1],
                    e.name[m], d.levels);
            return 2;
        }
    }
    e.samples = images_of((size_t)e.how.count);
    failed = show_scale(&e);
    if (e.models && (weights || chains || !(noise || ood || long_chains)) && !failed)
        failed = show_table(&e, weight, weights ? weights : 1, chains ? steps : NULL, chains);
    if (!failed && noise) failed = show_noise(&e, images);
    if (!failed && ood) failed = show_ood(&e);
    if (!failed && long_chains) failed = show_chains(&e, long_chains);
    while (e.models) drl_model_destroy(e.model[--e.models]);
    free(e.reference);
    free(e.test);
    free(e.samples);
    drl_net_destroy(e.net);
    drl_dataset_destroy(e.train);
    drl_dataset_destroy(e.tests);
    drl_ctx_destroy(e.ctx);
    return failed;
}
