/* frechet.c - Frechet distance of a model's samples to the MNIST training images, in the 64 features of a small digit classifier.
 *
 *   cc -O2 -DDRL_THREADS bench/frechet.c -lm -o build/frechet
 *   build/frechet MODEL.safetensors [--count 1000] [--threads 2] [--steps K] [--keep-step] [--seed 1] [--data ../shared]
 *
 * Prints the scale first: the classifier's accuracy on test images (0.9600), the distance of the test images (0.46), of test images with
 * Gaussian noise of 0.2 (3.4) and of blurred ones (145); then that of the samples. Without MODEL only the scale. Needs the data folder.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include <stdio.h>

#define FEATURES 64
#define SIDE 32
#define PIXELS (SIDE * SIDE)
#define BATCH 50

/* conv 1-16, relu, pool, conv 16-32, relu, pool, conv 32-64, relu, mean: 64 features. */
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

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static void features(drl_net *net, const float *images, int n, float *out)
{
    int i;
    for (i = 0; i < n; i += BATCH) {
        drl_batch b = drl_batch_of(n - i < BATCH ? n - i : BATCH, images + (size_t)i * PIXELS, NULL);
        drl_net_forward(net, &b, out + (size_t)i * FEATURES);
    }
}

static double distance(drl_ctx *ctx, drl_net *net, const float *images, int n, const float *reference, int reference_count)
{
    float *f = (float *)malloc((size_t)n * FEATURES * sizeof *f);
    double *work = (double *)malloc((5 * FEATURES * FEATURES + 4 * FEATURES) * sizeof *work), d = -1;
    if (f && work) {
        features(net, images, n, f);
        drl_frechet(ctx, f, n, reference, reference_count, FEATURES, work, &d);
    }
    free(f);
    free(work);
    return d;
}

static void blur(const float *x, float *y)              /* 3x3 mean, edges repeated */
{
    int i, j, r, s;
    for (i = 0; i < SIDE; ++i)
        for (j = 0; j < SIDE; ++j) {
            float sum = 0;
            for (r = -1; r <= 1; ++r)
                for (s = -1; s <= 1; ++s) {
                    int k = i + r < 0 ? 0 : i + r >= SIDE ? SIDE - 1 : i + r, l = j + s < 0 ? 0 : j + s >= SIDE ? SIDE - 1 : j + s;
                    sum += x[k * SIDE + l];
                }
            y[i * SIDE + j] = sum / 9;
        }
}

int main(int argc, char **argv)
{
    const char *model_path = NULL, *data = "../shared", *files[2];
    char path[4][512];
    int count = 1000, i, test_count, train_count, correct = 0;
    drl_ctx_desc cd;
    drl_ctx *ctx = NULL;
    drl_dataset *train = NULL, *test = NULL;
    drl_safetensors *st = NULL;
    drl_net *net = NULL;
    drl_net_desc nd;
    drl_sample_desc how;
    float *x, *y, *reference, weight[10 * FEATURES], bias[10];
    memset(&cd, 0, sizeof cd);
    memset(&how, 0, sizeof how);
    how.seed = 1;
    for (i = 1; i < argc; ++i) {
        if (argv[i][0] != '-') model_path = argv[i];
        else if (i + 1 < argc && !strcmp(argv[i], "--count")) count = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--threads")) cd.threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--steps")) how.steps = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--keep-step")) how.keep_step = 1;
        else if (i + 1 < argc && !strcmp(argv[i], "--seed")) how.seed = (uint64_t)atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--data")) data = argv[++i];
        else { fprintf(stderr, "unknown option %s\n", argv[i]); return 2; }
    }
    if (drl_ctx_create(&cd, &ctx) != DRL_OK || count < 2) { fprintf(stderr, "no context, or fewer than 2 samples\n"); return 2; }

    snprintf(path[0], sizeof path[0], "%s/data/mnist/train-images-idx3-ubyte", data);
    files[0] = path[0];
    if (drl_dataset_load(ctx, files, 1, &train) != DRL_OK) return fail(ctx, "training images");
    snprintf(path[1], sizeof path[1], "%s/data/mnist/t10k-images-idx3-ubyte", data);
    snprintf(path[2], sizeof path[2], "%s/data/mnist/t10k-labels-idx1-ubyte", data);
    files[0] = path[1];
    files[1] = path[2];
    if (drl_dataset_load(ctx, files, 2, &test) != DRL_OK) return fail(ctx, "test images");
    snprintf(path[3], sizeof path[3], "%s/reference/mnist-classifier.safetensors", data);
    if (drl_safetensors_open(ctx, path[3], &st) != DRL_OK) return fail(ctx, "classifier");
    memset(&nd, 0, sizeof nd);
    nd.batch = BATCH;
    if (drl_net_create(ctx, build_features, NULL, &nd, &net) != DRL_OK || drl_net_load(net, st) != DRL_OK) return fail(ctx, "classifier");

    train_count = train->count;
    test_count = test->count;
    x = (float *)malloc((size_t)(train_count > count ? train_count : count) * PIXELS * sizeof *x);
    y = (float *)malloc((size_t)test_count * PIXELS * sizeof *y);
    reference = (float *)malloc((size_t)train_count * FEATURES * sizeof *reference);
    if (!x || !y || !reference) { fprintf(stderr, "out of memory\n"); return 1; }
    for (i = 0; i < train_count; ++i) drl_dataset_image(ctx, train, i, SIDE, SIDE, x + (size_t)i * PIXELS);
    features(net, x, train_count, reference);

    for (i = 0; i < test_count; ++i) drl_dataset_image(ctx, test, i, SIDE, SIDE, y + (size_t)i * PIXELS);
    if (drl_array_to_float(ctx, drl_safetensors_find(st, "dense.weight"), weight) != DRL_OK || drl_array_to_float(ctx, drl_safetensors_find(st, "dense.bias"), bias) != DRL_OK) return fail(ctx, "classifier");
    features(net, y, test_count, x);
    for (i = 0; i < test_count; ++i) {
        int best = 0, k, j;
        float score[10];
        for (k = 0; k < 10; ++k) {
            score[k] = bias[k];
            for (j = 0; j < FEATURES; ++j) score[k] += weight[k * FEATURES + j] * x[i * FEATURES + j];
            if (score[k] > score[best]) best = k;
        }
        correct += best == test->labels[i];
    }
    printf("classifier accuracy on %d test images  %.4f\n", test_count, (double)correct / test_count);
    printf("frechet, test images                     %.2f\n", distance(ctx, net, y, test_count, reference, train_count));
    for (i = 0; i < test_count; ++i) blur(y + (size_t)i * PIXELS, x + (size_t)i * PIXELS);
    printf("frechet, test images blurred 3x3         %.2f\n", distance(ctx, net, x, test_count, reference, train_count));
    {
        drl_rng rng = { 1, 0, 0 };
        drl_rng_normals(ctx, &rng, x, (size_t)test_count * PIXELS);
        for (i = 0; i < test_count * PIXELS; ++i) {
            x[i] = y[i] + 0.2f * x[i];
            x[i] = x[i] < -1 ? -1.0f : x[i] > 1 ? 1.0f : x[i];
        }
    }
    printf("frechet, test images with noise 0.2      %.2f\n", distance(ctx, net, x, test_count, reference, train_count));

    if (model_path) {
        drl_model *m = NULL;
        drl_model_desc md;
        if (drl_model_load(ctx, model_path, &m) != DRL_OK) return fail(ctx, model_path);
        drl_model_describe(m, &md);
        if (md.height != SIDE || md.width != SIDE || md.channels != 1) { fprintf(stderr, "%s makes %d x %d x %d, not 32 x 32 x 1\n", model_path, md.height, md.width, md.channels); return 1; }
        how.count = count;
        if (drl_sample(m, &how, x) != DRL_OK) return fail(ctx, "sampling");
        for (i = 0; i < count * PIXELS; ++i) x[i] = x[i] < -1 ? -1.0f : x[i] > 1 ? 1.0f : x[i];
        printf("frechet, %5d samples                   %.2f\n", count, distance(ctx, net, x, count, reference, train_count));
        drl_model_destroy(m);
    }
    free(x);
    free(y);
    free(reference);
    drl_net_destroy(net);
    drl_safetensors_close(st);
    drl_dataset_destroy(test);
    drl_dataset_destroy(train);
    drl_ctx_destroy(ctx);
    return 0;
}
