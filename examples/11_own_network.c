/* 11_own_network.c - an energy network that is written here, on a schedule of its own, trained like the
 * library's.
 *
 * Shows: a build function of drl_net_* operators, drl_model_desc.build and .sbar, score matching, K = 0.
 *
 *     cc -O2 -DDRL_THREADS examples/11_own_network.c -o own_network -lm
 *     ./own_network [--model FILE] [--list] [--minutes X or --steps N] [--resume] [--base N] [--levels N]
 *                   [--seed N] [--out PREFIX] [--threads N] [--isa NAME]    (and others of 02_train_images)
 *
 * The energy is F(y, t, class) = -|y + u(y, t, class)|^2 / 2, where u is a small U-Net: residual blocks at
 * full and at half size, attention over the pixels at half size, and a skip connection at full size. Training
 * begins with u = 0, where exp F is the standard normal density but for a factor. The objective is score
 * matching, so sampling needs no Langevin chains (K = 0): it draws once at each of the 32 levels.
 * Trains for 90 seconds. Draws PREFIX.png (or .ppm), two columns for each shape of the embedded sprites, data
 * above and samples below. After 900 steps the samples are coloured blobs. After 1500, about a minute of one
 * idle core, they are sprites, and about half of them have the shape that was asked for.
 * PREFIX.safetensors has the weights by the names below; --model draws from it. --list prints the names.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "picture.h"
#include "sprites.h"
#include <math.h>

enum { GROUPS = 4, EACH = 2, COLUMNS = EACH * SPRITE_SHAPES, DATA = 2, ROWS = 6, LEVELS_MAX = 1000 };

static const char usage[] = "own_network [--model FILE] [--list]\n      " TRAINING_USAGE "\n"
                            "      [--threads N] [--isa NAME]\n";

/* A convolution; its parameters are called "block.name.weight" and "block.name.bias". zero: they begin at
 * zero, and so does the result: a block that adds it to its input returns the input at first. */
static drl_value layer(drl_net *net, drl_value x, const char *block, const char *name, int channels,
                       int kernel, int zero)
{
    char text[64];
    drl_layer_desc d;
    memset(&d, 0, sizeof d);
    snprintf(text, sizeof text, "%s.%s", block, name);
    d.name = text;
    d.out_channels = channels;
    d.kernel = kernel;
    d.init_scale = zero ? -1 : 0;
    return drl_net_conv2d(net, x, &d);
}

/* SiLU of the group norm. */
static drl_value norm(drl_net *net, drl_value x, const char *block, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", block, name);
    return drl_net_act(net, drl_net_group_norm(net, x, text, GROUPS, 1e-6f), DRL_ACT_SILU);
}

/* A residual block: x + conv2(silu(scale_shift(norm(conv1(norm(x))), e))). e stands for the level and the
 * class; through it the block can do something else for each of them. When the block changes the number of
 * channels, a 1x1 convolution does so for x. */
static drl_value residual(drl_net *net, drl_value x, drl_value e, const char *block, int channels)
{
    drl_value h = layer(net, norm(net, x, block, "norm1"), block, "conv1", channels, 3, 0);
    e = layer(net, e, block, "embed", 2 * channels, 1, 0);
    h = drl_net_scale_shift(net, norm(net, h, block, "norm2"), e);
    h = layer(net, drl_net_act(net, h, DRL_ACT_SILU), block, "conv2", channels, 3, 1);
    if (x.c != channels) x = layer(net, x, block, "past", channels, 1, 0);
    return drl_net_add(net, h, x);
}

/* The network. The library calls it with the model's description (main: build_user), more than once. */
static void build(drl_net *net, void *user)
{
    const drl_model_desc *d = (const drl_model_desc *)user;
    int w = d->base;
    drl_value y = drl_net_input(net, d->height, d->width, d->channels), e, full, small, h, u;
    /* level and class, as one vector of 4 w numbers */
    e = layer(net, drl_net_level(net, w), "level", "dense1", 4 * w, 1, 0);
    e = layer(net, drl_net_act(net, e, DRL_ACT_SILU), "level", "dense2", 4 * w, 1, 0);
    e = drl_net_add(net, e, layer(net, drl_net_label(net, d->classes), "class", "dense", 4 * w, 1, 0));
    e = drl_net_act(net, e, DRL_ACT_SILU);
    /* full size, half size with attention, full size again, beside what was there before */
    full = residual(net, layer(net, y, "first", "conv", w, 3, 0), e, "full", w);
    small = residual(net, drl_net_avgpool2(net, full), e, "small", 2 * w);
    h = layer(net, norm(net, small, "attention", "norm"), "attention", "qkv", 6 * w, 1, 0);
    h = drl_net_attention(net, h);
    small = drl_net_add(net, small, layer(net, h, "attention", "out", 2 * w, 1, 1));
    small = residual(net, small, e, "small2", 2 * w);
    u = residual(net, drl_net_concat(net, drl_net_upsample2(net, small), full), e, "full2", w);
    u = layer(net, norm(net, u, "last", "norm"), "last", "conv", d->channels, 3, 1);
    /* the last operator's value is F */
    u = drl_net_add(net, y, u);
    drl_net_spatial_sum(net, drl_net_dot(net, u, u), -0.5f);
}

/* The noise of each level, sbar_t = sin(angle_t), where the angles grow in equal steps. It goes from 0.03, 4
 * of the 255 shades of a pixel, to 0.99. */
static void schedule(double *sbar, int levels)
{
    double low = asin(0.03), high = asin(0.99);
    int t;
    for (t = 0; t <= levels; ++t) sbar[t] = sin(low + (high - low) * t / levels);
}

/* DATA rows of sprites, and below them samples of the same classes. */
static int picture_of(void *user, drl_model *model, int last)
{
    static float image[ROWS * COLUMNS][SPRITE_BYTES];
    const training *t = (const training *)user;
    const char *head[COLUMNS];
    char name[ROWS][PICTURE_NAME] = { "data", "", "samples" };
    int labels[(ROWS - DATA) * COLUMNS], i, next = 0, saved;
    drl_sample_desc how;
    drl_status status = DRL_OK;
    picture p;
    for (i = 0; i < COLUMNS; ++i) head[i] = i % EACH ? "" : sprite_shape_name(i / EACH);
    for (i = 0; i < DATA * COLUMNS && status == DRL_OK; ++i, next += SPRITE_COLOURS) {
        while (t->data->labels[next] != 1 + i % COLUMNS / EACH) ++next;     /* a shape comes in all colours */
        status = drl_dataset_image(t->ctx, t->data, next + i % SPRITE_COLOURS, SPRITE_SIZE, SPRITE_SIZE,
                                   image[i]);
    }
    memset(&how, 0, sizeof how);
    how.count = (ROWS - DATA) * COLUMNS;
    how.seed = t->seed;
    how.labels = labels;
    for (i = 0; i < how.count; ++i) labels[i] = 1 + i % COLUMNS / EACH;
    if (status == DRL_OK) status = drl_sample(model, &how, image[DATA * COLUMNS]);
    if (status != DRL_OK) return training_failed(t, "picture");
    p = picture_sheet(image[0], ROWS, COLUMNS, COLUMNS, SPRITE_SIZE, SPRITE_SIZE, 4, head, name);
    saved = picture_save(t->ctx, &p, t->prefix, !last);
    picture_destroy(&p);
    return saved;
}

int main(int argc, char **argv)
{
    static double sbar[LEVELS_MAX + 1];
    options o = options_of(argc, argv);
    drl_dataset sprites;
    training t;
    drl_model_desc *d = &t.model_desc;
    drl_status status;
    int list, i, failed;
    memset(&t, 0, sizeof t);
    t.ctx = options_context(&o);
    t.name = "training";
    t.file = option_text(&o, "--model", NULL);
    list = option_flag(&o, "--list");
    t.data = &sprites;
    t.picture = picture_of;
    t.user = &t;
    t.train_desc.batch = 32;
    t.train_desc.learning_rate = 2e-3f;
    t.train_desc.beta1 = 0.9f;
    t.train_desc.objective = DRL_OBJECTIVE_SCORE;
    t.train_desc.label_drop = -1;           /* no guidance will ask for images without a class */
    d->height = d->width = SPRITE_SIZE;
    d->channels = 4;
    d->classes = SPRITE_SHAPES;
    d->base = 16;
    d->levels = 32;
    d->steps = -1;                          /* K = 0 */
    training_options(&o, &t, "own_network", 1.5);
    if (options_rest(&o, usage) || d->levels < 2 || d->levels > LEVELS_MAX) {
        fprintf(stderr, "2 to %d levels, and no words:\n%s", LEVELS_MAX, usage);
        return 2;
    }
    schedule(sbar, d->levels);
    d->build = build;
    d->build_user = d;
    d->sbar = sbar;
    if (!sprites_create(1, 4000, SPRITE_SHAPES, &sprites)) return 1;
    status = training_open(&t);
    for (i = 0; list && status == DRL_OK && i < drl_net_param_count(drl_model_net(t.model)); ++i) {
        const drl_param *p = drl_net_param(drl_model_net(t.model), i);
        printf("%-22s %6lu\n", p->name, (unsigned long)p->count);
    }
    if (status == DRL_OK) training_print(&t, sprites.count);
    if (status == DRL_OK) status = training_run(&t);
    if (status == DRL_OK && t.file && !picture_of(&t, t.model, 1)) status = DRL_E_IO;
    failed = training_failure(&t, status);
    drl_model_destroy(t.model);
    sprites_destroy(&sprites);
    drl_ctx_destroy(t.ctx);
    return failed;
}
