/* 12_classifier.c - a classifier, trained by a loop that is written here, tells a model without classes what
 * to draw.
 *
 * Shows: a network with a loss and an optimizer of one's own (drl_net_train_forward, drl_net_train_backward),
 * its gradient by the images as an energy (drl_net_input_grad), and drl_sum.
 *
 *     cc -O2 -DDRL_THREADS examples/12_classifier.c -o classifier -lm
 *     ./classifier [--model FILE] [--strength W] [--minutes X or --steps N] [--resume] [--seed N]
 *                  [--out PREFIX] [--threads N] [--isa NAME]    (and others of 02_train_images)
 *
 * The classifier learns p(class | y, t), the colour of a noisy sprite, in seconds: 400 steps of gradient
 * descent with momentum on the cross-entropy. By Bayes' rule, F(y, t) + log p(class | y, t) is the energy of
 * images of that class (Dhariwal and Nichol, 2021). W weighs the second term, 3 unless said.
 * FILE is a model of sprites. Without one a small model is trained for a minute, with energies of a U-Net and
 * by score matching: their gradient is that of a log density, and so the classifier's can be added to it.
 * Prints how many samples have the colour that was asked for, without the classifier and with it, and writes
 * PREFIX.png (or .ppm): samples without it above, with it below, from the same noise; four of each colour.
 */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "picture.h"
#include "sprites.h"
#include <math.h>

enum { BATCH = 32, CLASSES = SPRITE_COLOURS, EACH = 4, COUNT = EACH * CLASSES, STEPS = 400 };

static const char usage[] = "classifier [--model FILE] [--strength W]\n      " TRAINING_USAGE "\n"
                            "      [--threads N] [--isa NAME]\n";

typedef struct classifier {
    drl_net *net;
    float level[BATCH], out[BATCH * CLASSES], dout[BATCH * CLASSES];
} classifier;

/* A 3x3 convolution, or a dense layer on 1x1, with or without a bound on its slopes. */
static drl_value layer(drl_net *net, drl_value x, const char *name, int channels, drl_spectral spectral)
{
    drl_layer_desc d;
    memset(&d, 0, sizeof d);
    d.name = name;
    d.out_channels = channels;
    d.spectral = spectral;
    return drl_net_conv2d(net, x, &d);
}

/* Spectral norms keep the gradient small enough for Langevin steps. */
static void build(drl_net *net, void *user)
{
    drl_value x = drl_net_input(net, SPRITE_SIZE, SPRITE_SIZE, 4), level;
    (void)user;
    level = layer(net, drl_net_level(net, 16), "level", 16, DRL_SPECTRAL_NONE);
    x = drl_net_shift(net, layer(net, x, "conv1", 16, DRL_SPECTRAL_UNIT), level);
    x = drl_net_maxpool2(net, drl_net_act(net, x, DRL_ACT_LEAKY_RELU));
    x = layer(net, x, "conv2", 32, DRL_SPECTRAL_UNIT);
    x = drl_net_maxpool2(net, drl_net_act(net, x, DRL_ACT_LEAKY_RELU));
    x = drl_net_act(net, layer(net, x, "conv3", 32, DRL_SPECTRAL_UNIT), DRL_ACT_LEAKY_RELU);
    x = drl_net_dropout(net, drl_net_spatial_sum(net, x, 0.25f), 0.1f);
    layer(net, x, "classes", CLASSES, DRL_SPECTRAL_NONE);
}

/* log p(class) of one image, from the outputs of the net, and its gradient by them: 1 - p of the class, -p of
 * the others. */
static float log_softmax(const float *out, int class_of, float *gradient)
{
    double most = (double)out[0], sum = 0;
    int k;
    for (k = 1; k < CLASSES; ++k) if ((double)out[k] > most) most = (double)out[k];
    for (k = 0; k < CLASSES; ++k) sum += exp((double)out[k] - most);
    for (k = 0; k < CLASSES; ++k)
        gradient[k] = (float)((k == class_of ? 1.0 : 0.0) - exp((double)out[k] - most) / sum);
    return (float)((double)out[class_of] - most - log(sum));
}

/* The classifier as an energy: log p(label | y, t). */
static drl_status log_p(void *user, int n, const float *y, const int *level, const int *label, float *f,
                        float *gradient)
{
    classifier *c = (classifier *)user;
    drl_batch b = drl_batch_of(n, y, c->level);
    drl_status status;
    int i;
    for (i = 0; i < n; ++i) c->level[i] = (float)level[i];
    status = drl_net_forward(c->net, &b, c->out);
    for (i = 0; i < n && status == DRL_OK; ++i) {
        float value = log_softmax(c->out + i * CLASSES, label[i] - 1, c->dout + i * CLASSES);
        if (f) f[i] = value;
    }
    return status == DRL_OK && gradient ? drl_net_input_grad(c->net, &b, c->dout, c->out, gradient) : status;
}

/* The loop: noisy sprites, forward pass, loss, backward pass, update. DRL_RUNNING: Ctrl-C. */
static drl_status train(drl_ctx *ctx, classifier *c, const drl_schedule *s, const drl_dataset *data,
                        uint64_t seed)
{
    static float x[BATCH][SPRITE_BYTES], eps[SPRITE_BYTES];
    size_t count = drl_net_params_size(c->net), k;
    float *momentum = (float *)calloc(count, sizeof *momentum), *w = drl_net_params(c->net), *g;
    int label[BATCH], step, i, j, right = 0;
    double loss = 0;
    drl_rng rng = { 0, 0, 0 }, dropout = { 0, 0, 0 };
    drl_batch b = drl_batch_of(BATCH, x[0], c->level);
    drl_status status = momentum ? DRL_OK : DRL_E_MEMORY;
    rng.seed = seed;
    dropout.seed = seed + 1;
    b.dropout = &dropout;
    g = drl_net_grads(c->net);
    for (step = 1; step <= STEPS && status == DRL_OK && !training_stop; ++step) {
        dropout.stream = (uint64_t)step;
        status = drl_dataset_batch(ctx, data, &rng, BATCH, SPRITE_SIZE, SPRITE_SIZE, x[0], label);
        for (i = 0; i < BATCH; ++i) {       /* y = a (abar x + sbar eps), what energies see of level t */
            int t = drl_rng_below(&rng, s->levels);
            double a = drl_schedule_scale(s, t);
            drl_rng_normals(ctx, &rng, eps, SPRITE_BYTES);
            for (j = 0; j < SPRITE_BYTES; ++j)
                x[i][j] = (float)(a * (s->abar[t] * (double)x[i][j] + s->sbar[t] * (double)eps[j]));
            c->level[i] = (float)t;
        }
        if (status == DRL_OK) status = drl_net_train_forward(c->net, &b, c->out);
        for (i = 0; i < BATCH && status == DRL_OK; ++i) {
            float *out = c->out + i * CLASSES, *dout = c->dout + i * CLASSES;
            int colour = (label[i] - 1) % CLASSES;
            loss -= (double)log_softmax(out, colour, dout) / (100 * BATCH);
            right += dout[colour] < 0.5f;                       /* p of the class is above one half */
            for (j = 0; j < CLASSES; ++j) dout[j] /= -BATCH;    /* of the mean loss */
        }
        memset(g, 0, count * sizeof *g);
        if (status == DRL_OK) status = drl_net_train_backward(c->net, c->dout);
        drl_net_spectral_grads(c->net);
        for (k = 0; k < count; ++k) {
            momentum[k] = 0.9f * momentum[k] + g[k];
            w[k] -= 0.05f * momentum[k];
        }
        drl_net_refresh(c->net, 1);
        if (step % 100) continue;
        printf("classifier: step %d  loss %.3f  %.0f %% right\n", step, loss, right / (double)BATCH);
        loss = right = 0;
    }
    free(momentum);
    return status == DRL_OK && training_stop ? DRL_RUNNING : status;
}

int main(int argc, char **argv)
{
    static float x[2 * COUNT][SPRITE_BYTES];
    static classifier c;
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    int labels[COUNT], hits[2] = { 0, 0 }, i;
    drl_dataset sprites;
    training t;
    drl_model_desc *d = &t.model_desc;
    drl_net_desc nd;
    drl_sample_desc how;
    drl_sum_term term[2];
    drl_sum *sum = NULL;
    drl_energy both;
    drl_status status;
    picture p;
    memset(&nd, 0, sizeof nd);
    memset(&how, 0, sizeof how);
    memset(term, 0, sizeof term);
    if (!sprites_training(ctx, &sprites, &t)) return 1;
    t.file = option_text(&o, "--model", NULL);
    d->form = DRL_FORM_CDRL;
    d->energy_form = DRL_ENERGY_UNET;
    d->initializer = -1;
    d->schedule = DRL_SCHEDULE_SHIFTED;
    d->levels = 32;
    d->steps = -1;                          /* K = 0: one draw a level */
    d->b2 = 0;
    d->base = 8;
    t.train_desc.learning_rate = 2e-3f;
    term[1].weight = (float)option_number(&o, "--strength", 3);
    training_options(&o, &t, "classifier", 1);
    if (options_rest(&o, usage)) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    status = training_open(&t);
    if (status == DRL_OK && (d->height != SPRITE_SIZE || d->width != SPRITE_SIZE || d->channels != 4)) {
        fprintf(stderr, "%s draws %d x %d x %d, not sprites\n", t.file, d->height, d->width, d->channels);
        return 2;
    }
    if (status == DRL_OK) status = training_run(&t);
    nd.batch = BATCH;
    nd.modes = 1 << DRL_NET_FORWARD | 1 << DRL_NET_INPUT_GRAD | 1 << DRL_NET_PARAM_GRAD;
    if (status == DRL_OK) status = drl_net_create(ctx, build, NULL, &nd, &c.net);
    if (status == DRL_OK) {
        drl_net_init(c.net, t.seed);
        status = train(ctx, &c, drl_model_schedule(t.model), &sprites, t.seed);
    }

    term[0].energy = drl_model_energy(t.model);
    term[0].weight = 1;
    term[0].use_label = 1;                  /* none: the labels of the chains are for the classifier */
    term[1].energy.eval = log_p;
    term[1].energy.user = &c;
    term[1].energy.size = SPRITE_BYTES;
    term[1].energy.batch = BATCH;
    how.count = COUNT;
    how.seed = t.seed;
    for (i = 0; i < COUNT; ++i) labels[i] = 1 + i / EACH;
    if (status == DRL_OK) status = training_sample(t.model, &how, x[0]);
    if (status == DRL_OK) status = drl_sum_create(ctx, term, 2, &sum);
    both = drl_sum_energy(sum);
    how.energy = &both;
    how.labels = labels;
    if (status == DRL_OK) status = training_sample(t.model, &how, x[COUNT]);
    if (status == DRL_RUNNING) printf("stopped: --model %s.safetensors goes on from there\n", t.prefix);
    if (status != DRL_OK) return training_failure(&t, status);
    for (i = 0; i < 2 * COUNT; ++i)
        hits[i / COUNT] += sprite_read(x[i], NULL) % SPRITE_COLOURS == labels[i % COUNT] - 1;
    printf("%d of %d samples have the colour that was asked for without the classifier, %d with it\n",
           hits[0], COUNT, hits[1]);
    p = picture_grid(x[0], 2 * COUNT, COUNT, SPRITE_SIZE, SPRITE_SIZE, 4, 3);
    picture_flatten(&p, 0x606060ff);
    if (!picture_save(ctx, &p, t.prefix, 0)) return 1;
    picture_destroy(&p);
    drl_sum_destroy(sum);
    drl_net_destroy(c.net);
    drl_model_destroy(t.model);
    sprites_destroy(&sprites);
    drl_ctx_destroy(ctx);
    return 0;
}
