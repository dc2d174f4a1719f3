/* test_train.c - training. Every step is recomputed beside the library: images, chains, losses, gradients and
 * Adam's update in loops of double, from the same random draws. Then: the same bits from every instruction
 * set and number of threads, checkpoints, averages, rates, divergence and rollback, drl_train, memory,
 * whether small models learn, and metrics whose answer is known. */
#define DRL_IMPLEMENTATION
#define DRL__GRAIN 4096         /* threads share small tensors, too */
#include "../drl.h"
#include "check.h"
#include "fixture.h"

#define H 4
#define W 6
#define C 2
#define IMAGE  (H * W * C)
#define BATCH  5
#define PIXELS (BATCH * IMAGE)
#define LEVELS 3
#define STEPS  4

static drl_model_desc tiny(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = H;
    d.width = W;
    d.channels = C;
    d.base = 6;
    d.resolutions = 2;
    d.levels = LEVELS;
    d.steps = STEPS;
    d.batch = BATCH;
    d.trainable = 1;
    return d;
}

/* Two networks, and images of as many floats as tiny()'s. The middle of the initializer attends over 3
 * pixels. */
static drl_model_desc coop(void)
{
    drl_model_desc d = tiny();
    d.form = DRL_FORM_CDRL;
    d.height = 4;
    d.width = IMAGE / 4;
    d.channels = 1;
    d.initializer = 8;
    d.classes = 3;
    return d;
}

static drl_train_desc plan(void)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.seed = 21;
    d.batch = BATCH;
    d.learning_rate = 2e-3f;
    d.warmup = 4;
    d.beta1 = 0.8f;
    d.flip = 1;
    d.snapshot = 4;
    return d;
}

typedef struct setup { drl_ctx *ctx; drl_model *m; drl_trainer *tr; } setup;

/* An initializer's last layers start at zero, and a test would see nothing of the layers behind them. */
static void shake(drl_net *net, uint64_t seed)
{
    drl_rng rng = { 0, 4711, 0 };
    size_t k;
    rng.seed = seed;
    for (k = 0; k < net->params_size; ++k) net->params[k] += 0.2f * (drl_rng_uniform(&rng) - 0.5f);
    drl_net_refresh(net, 0);
}

static setup make(drl_ctx *ctx, const drl_model_desc *md, const drl_train_desc *td, uint64_t seed)
{
    setup s;
    s.ctx = ctx;
    s.m = NULL;
    s.tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, md, seed, &s.m));
    if (s.m && s.m->initializer) shake(s.m->initializer, seed);
    if (s.m) CHECK_OK(ctx, drl_trainer_create(s.m, td, &s.tr));
    if (!s.tr) exit(check_report("test_train"));
    return s;
}

static void unmake(setup *s)
{
    drl_trainer_destroy(s->tr);
    drl_model_destroy(s->m);
    drl_ctx_destroy(s->ctx);
}

/* The images of a step: blobs, as a function of the trainer's own random numbers. */
static void pictures(const drl_trainer *tr, float *x, int n)
{
    drl_rng rng = drl__trainer_rng(tr);
    int i, k;
    for (i = 0; i < n; ++i) {
        float level = drl_rng_below(&rng, 2) ? 0.7f : -0.5f, slope = drl_rng_uniform(&rng) - 0.5f;
        for (k = 0; k < IMAGE; ++k)
            x[i * IMAGE + k] = level + slope * ((float)(k / C % W) / W - 0.5f) + 0.1f * (float)(k % C);
    }
}

/* The labels that go with them, some of them 0; NULL for a model without classes. */
static const int *labels_of(const drl_trainer *tr, int *label)
{
    int i, classes = tr->model->desc.classes;
    for (i = 0; i < BATCH; ++i)
        label[i] = (int)((drl_trainer_steps(tr) + 3 * (uint64_t)i) % ((uint64_t)classes + 1));
    return classes ? label : NULL;
}

/* Trains for `count` steps. */
static void steps(setup *s, int count)
{
    float x0[PIXELS];
    int label[BATCH];
    while (count-- > 0) {
        pictures(s->tr, x0, BATCH);
        CHECK_OK(s->ctx, drl_trainer_step(s->tr, x0, labels_of(s->tr, label), NULL));
    }
}

/* Everything that a step may change, as one block to compare: of each network the weights, the average, both
 * moments and the vectors of the power iterations; then the levels' reports, the step and the rollbacks. */
static size_t part_size(const drl__part *p) { return 4 * p->params + p->state; }

/* Where network i begins in that block. */
static size_t part_at(const setup *s, int i) { return i ? part_size(&s->tr->part[0]) : 0; }

static float *append(float *to, const float *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
    return to + n;
}

static size_t state_of(const setup *s, float **out)
{
    drl_trainer *tr = s->tr;
    size_t levels = (size_t)LEVELS * sizeof(drl_level_report) / sizeof(float), n = levels + 2;
    float *f;
    int i;
    for (i = 0; i < tr->parts; ++i) n += part_size(&tr->part[i]);
    *out = f = floats(n);
    for (i = 0; i < tr->parts; ++i) {
        drl__part *part = &tr->part[i];
        f = append(f, part->net->params, part->params);
        f = append(f, part->ema, part->params);
        f = append(f, part->adam_m, part->params);
        f = append(f, part->adam_v, part->params);
        f = append(f, part->net->state, part->state);
    }
    memcpy(f, tr->level, levels * sizeof(float));
    f[levels] = (float)tr->now.step;
    f[levels + 1] = (float)tr->now.rollbacks;
    return n;
}

static void expect_state(const setup *s, const float *want, size_t n, const char *what)
{
    float *now;
    size_t count = state_of(s, &now);
    CHECK(count == n && !memcmp(now, want, n * sizeof *now), "%s: the state is not what it should be", what);
    free(now);
}

/* -- steps against their recomputation -- */

/* An option of which 0 is the default and a negative value asks for 0. */
static double option(float given, float standard)
{
    return given < 0 ? 0.0 : given > 0 ? (double)given : (double)standard;
}

/* Adam and the average of one network in double. */
typedef struct adam { double *m, *v, *ema; } adam;

static adam adam_of(const drl__part *part)
{
    adam a;
    size_t k;
    a.m = doubles(part->params);
    a.v = doubles(part->params);
    a.ema = doubles(part->params);
    for (k = 0; k < part->params; ++k) a.ema[k] = (double)part->net->params[k];
    return a;
}

static void adam_free(adam *a) { free(a->m); free(a->v); free(a->ema); }

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    while (n--) sum += (double)x[n] * (double)x[n];
    return sqrt(sum);
}

/* One update from the weights and gradient of the twin, against what `got` has made of them. The size of an
 * update does not depend on the gradient's, so gradients up to `noise`, which may be rounding alone, go
 * anywhere; the others are known to some digits, and their update to 2e-3 of the rate. */
static void adam_step(adam *a, const drl__part *got, const drl__part *twin, const drl_train_desc *td,
                      int step, double rate, double noise, const char *what)
{
    const float *grads = twin->net->grads;
    double beta1 = option(td->beta1, 0), beta2 = option(td->beta2, 0.999f);
    double clip = td->clip < 0 ? HUGE_VAL : option(td->clip, 1);
    double ema_max = option(td->ema, 0.99999f), decay = (1.0 + step) / (10.0 + step);
    double norm = norm_of(grads, got->params), shrink = norm > clip ? clip / norm : 1.0, worst = 0;
    double farthest = 2.1 * rate * sqrt(step + 1.0) + 1e-6;     /* no update is larger than half of that */
    size_t k;
    int wrong = 0, compared = 0;
    if (decay > ema_max) decay = ema_max;
    for (k = 0; k < got->params; ++k) {
        double g = (double)grads[k] * shrink;
        double was = (double)twin->net->params[k], now = (double)got->net->params[k], m, v, want;
        a->m[k] = beta1 * a->m[k] + (1 - beta1) * g;
        a->v[k] = beta2 * a->v[k] + (1 - beta2) * g * g;
        m = a->m[k] / (1 - pow(beta1, step + 1.0));
        v = a->v[k] / (1 - pow(beta2, step + 1.0));
        want = was - rate * m / (sqrt(v) + 1e-8);
        if (fabs(g) > noise) {
            ++compared;
            if (fabs(now - want) > 2e-3 * rate + 2e-7 * fabs(was)) ++wrong;
        }
        if (fabs(now - was) > worst) worst = fabs(now - was);
        if (fabs(now - want) > farthest) ++wrong;
        a->ema[k] = decay * a->ema[k] + (1 - decay) * now;      /* of the weights that are really there */
        if (fabs((double)got->ema[k] - a->ema[k]) > 2e-6) ++wrong;
    }
    CHECK(!wrong, "%s: %d weights or averages are wrong", what, wrong);
    CHECK(worst > 0.5 * rate && 4 * compared > (int)got->params,
          "%s: the largest move is %g at rate %g; %d of %d gradients are more than rounding",
          what, worst, rate, compared, (int)got->params);
}

/* What a level's images add up to; its report has the means. */
typedef struct level_sums {
    double images, f_pos, f_neg, displacement, gradient, initializer_noise_left;
} level_sums;

/* A run, a twin that stays one step behind, and the step in between: recomputed from the twin's networks and
 * draws. */
typedef struct replay {
    drl_model_desc md;
    drl_train_desc td;
    setup run, twin;
    const drl_schedule *sc;
    int chain_steps;                        /* K */
    double data_noise, label_drop, b2;      /* as described, or the default */
    double data_share;                      /* of the initializer's target: the rest is where chains end */
    adam of_energy, of_initializer;
    /* one step: */
    char what[60];
    int step, t[BATCH], label[BATCH];
    float x0[PIXELS], x_next[PIXELS];       /* images, x_{t+1} */
    float y_pos[PIXELS];                    /* y+ = a x_t, at the last level x_t */
    float y_0[PIXELS], y_neg[PIXELS];       /* where chains start and end */
    float gradient[PIXELS];                 /* dF/dy of a chain's last step */
    double target[PIXELS];                  /* E(y_t | x_0, x_{t+1}), and the noise of y_0 */
    double of_net[BATCH];                   /* derivative of the initializer's mean by its network's output */
    float f_pos[BATCH], f_neg[BATCH];
    double loss, norm, initializer_loss, initializer_norm;
    /* all steps: */
    level_sums level[LEVELS];
    int mirrored, labelled, dropped;        /* images and labels */
    int bent;                               /* see same_images */
} replay;

static void replay_begin(replay *r, const drl_model_desc *md, const drl_train_desc *td)
{
    int cooperative = md->form == DRL_FORM_CDRL;
    int parts = cooperative && md->initializer > 0 ? 2 : 1;
    int logsnr = cooperative && md->schedule != DRL_SCHEDULE_DRL;
    memset(r, 0, sizeof *r);
    r->md = *md;
    r->td = *td;
    r->run = make(context(DRL_ISA_AUTO, 1, NULL), md, td, 5);
    r->twin = make(context(DRL_ISA_AUTO, 1, NULL), md, td, 5);
    r->sc = drl_model_schedule(r->run.m);
    r->chain_steps = td->steps ? td->steps : STEPS;
    r->data_noise = option(td->data_noise, cooperative ? 0.0f : 0.02f);
    r->label_drop = option(td->label_drop, 0.1f);
    r->b2 = md->b2 > 0 ? md->b2 : cooperative ? 4e-4 : 2e-4;
    r->data_share = option(td->initializer_data, 1);
    CHECK(r->run.tr->parts == parts && !r->sc->logsnr == !logsnr, "%d networks", r->run.tr->parts);
    r->of_energy = adam_of(&r->run.tr->part[0]);
    if (parts == 2) r->of_initializer = adam_of(&r->run.tr->part[1]);
}

/* Variance of x_t around abar_t x_0, and the factor of x_{t+1} in E(x_t | x_0, x_{t+1}): x_t has that
 * variance, and x_{t+1} is a_{t+1} x_t plus noise of variance 1 - a_{t+1}^2. */
static double variance(const replay *r, int t)
{
    double abar = r->sc->abar[t];
    return 1 - abar * abar + r->data_noise * r->data_noise * abar * abar;
}
static double gain(const replay *r, int t)
{
    double a_next = r->sc->abar[t + 1] / r->sc->abar[t], v = variance(r, t);
    return a_next * v / (a_next * a_next * v + 1 - a_next * a_next);
}
/* The a of y_t = a x_t. */
static double scale_of(const replay *r, int t)
{
    return t < LEVELS - 1 ? r->sc->abar[t + 1] / r->sc->abar[t] : 1.0;
}

/* y_t, x_{t+1} and the target of one image, mirrored or not. Noise of x_{t+1}: one draw of its own, or that
 * of x_t, scaled to level t + 1. */
static void replay_image(replay *r, int i, int mirror)
{
    int t = r->t[i], independent_noise = r->md.form == DRL_FORM_DRL || r->td.independent_noise, j, k;
    int width = r->md.width, channels = r->md.channels;
    double abar = r->sc->abar[t], abar_next = r->sc->abar[t + 1], a_next = abar_next / abar;
    double scale = scale_of(r, t);
    float eps[2][IMAGE];
    for (k = 0; k < 2; ++k) drl__train_noise(r->twin.tr, r->twin.ctx, i, k, eps[k], IMAGE);
    for (j = 0; j < IMAGE; ++j) {
        int pixel = j / channels, row = pixel / width, col = pixel % width, at = i * IMAGE + j;
        int from = (row * width + (mirror ? width - 1 - col : col)) * channels + j % channels;
        double x = (double)r->x0[i * IMAGE + from];
        double x_t = abar * x + sqrt(variance(r, t)) * (double)eps[0][j];
        double x_next = independent_noise ? a_next * x_t + sqrt(1 - a_next * a_next) * (double)eps[1][j]
                                          : abar_next * x + sqrt(variance(r, t + 1)) * (double)eps[0][j];
        r->y_pos[at] = (float)(scale * x_t);
        r->x_next[at] = (float)x_next;
        r->target[at] = scale * (abar * x + gain(r, t) * (x_next - abar_next * x));
    }
}

/* Levels, mirrors and dropped labels, from the draws that drl_trainer_step's documentation names. */
static void replay_images(replay *r, const int *labels)
{
    drl_rng level = drl__train_rng(r->twin.tr, DRL__DRAW_LEVEL);
    drl_rng drop = drl__train_rng(r->twin.tr, DRL__DRAW_LABEL);
    int i;
    for (i = 0; i < BATCH; ++i) {
        int mirror, dropped;
        r->t[i] = drl_rng_below(&level, LEVELS);
        mirror = drl_rng_below(&level, 2) && r->td.flip;
        dropped = (double)drl_rng_uniform(&drop) < r->label_drop;
        r->label[i] = dropped || !labels ? 0 : labels[i];
        r->mirrored += mirror;
        r->labelled += labels && labels[i];
        r->dropped += labels && labels[i] && dropped;
        replay_image(r, i, mirror);
    }
}

/* Images that agree up to rounding become the trainer's own, so that rounding does not add up over a step: an
 * initializer whose norms see a few pixels turns the last bit of one into the fourth digit of its gradient,
 * and a leaky ReLU within rounding of its kink bends the rest of a chain. Returns how many images agree to
 * half a percent only. */
static int same_images(const replay *r, const char *which, const float *got, float *want)
{
    int i, j, bent = 0;
    for (i = 0; i < BATCH; ++i) {
        double worst = 0;
        for (j = i * IMAGE; j < (i + 1) * IMAGE; ++j) {
            double d = fabs((double)got[j] - (double)want[j]) / (1 + fabs((double)want[j]));
            if (!(d <= worst)) worst = d;
        }
        CHECK(worst < 5e-3, "%s: %s: image %d differs by %g", r->what, which, i, worst);
        bent += worst > 2e-6;
    }
    memcpy(want, got, PIXELS * sizeof *want);
    return bent;
}

/* The initializer's mean of y_t from its network's output, which is that mean, or a velocity: then
 * x_0 = abar x_{t+1} - sqrt(1 - abar^2) net with the abar of level t + 1, and the mean is a times that of x_t
 * given x_0 and x_{t+1}, without noise of the data. */
static void replay_mean(replay *r, int i)
{
    int t = r->t[i], j;
    double abar = r->sc->abar[t], abar_next = r->sc->abar[t + 1], a_next = abar_next / abar;
    double v = 1 - abar_next * abar_next, scale = scale_of(r, t);
    double of_x0 = abar * (1 - a_next * a_next) / v, of_next = a_next * (1 - abar * abar) / v;
    r->of_net[i] = 1;
    if (r->md.initializer_form != DRL_INITIALIZER_VELOCITY) return;
    r->of_net[i] = -scale * of_x0 * sqrt(v);
    for (j = i * IMAGE; j < (i + 1) * IMAGE; ++j) {
        double x = (double)r->x_next[j], out = (double)r->y_0[j];
        r->y_0[j] = (float)(scale * (of_x0 * (abar_next * x - sqrt(v) * out) + of_next * x));
    }
}

/* Where chains start: the initializer's mean, with dropout, and noise of the variance of y_t given x_0 and
 * x_{t+1}. The loss compares means, so its target gets the noise, too. Returns how many images differ from
 * the same sum of the library's parts. */
static int replay_proposal(replay *r)
{
    drl_rng dropout = drl__train_rng(r->twin.tr, DRL__DRAW_DROPOUT);
    float mean[PIXELS], parts[PIXELS], above[BATCH], eps[IMAGE];
    drl_batch batch;
    int i, j;
    for (i = 0; i < BATCH; ++i) above[i] = drl__schedule_level(r->sc, r->t[i] + 1);
    batch = drl_batch_of(BATCH, r->x_next, above);
    batch.label = r->label;
    CHECK_OK(r->twin.ctx, drl_net_forward(r->twin.m->initializer, &batch, mean));
    batch.dropout = &dropout;
    CHECK_OK(r->twin.ctx, drl_net_train_forward(r->twin.m->initializer, &batch, r->y_0));
    CHECK((memcmp(mean, r->y_0, sizeof mean) != 0) == (r->md.height > 1),
          "dropout changes nothing, or vectors");
    memcpy(parts, r->y_0, sizeof parts);
    drl__initializer_finish(r->twin.m, BATCH, r->x_next, r->t, parts);
    for (i = 0; i < BATCH; ++i) {
        int t = r->t[i];
        float *part = parts + i * IMAGE, sigma = (float)drl__schedule_proposal(r->sc, t, t + 1);
        double abar = r->sc->abar[t], abar_next = r->sc->abar[t + 1], a_next = abar_next / abar;
        double share = (1 - abar * abar) / (1 - abar_next * abar_next);
        double noise = scale_of(r, t) * sqrt(share * (1 - a_next * a_next));
        replay_mean(r, i);
        drl__train_noise(r->twin.tr, r->twin.ctx, i, DRL__DRAW_PROPOSAL, eps, IMAGE);
        drl__axpby(r->twin.ctx, IMAGE, 1.0f, part, sigma, eps, part);
        for (j = 0; j < IMAGE; ++j) {
            int at = i * IMAGE + j;
            r->target[at] += noise * (double)eps[j];
            r->y_0[at] = (float)((double)r->y_0[at] + noise * (double)eps[j]);
        }
    }
    return same_images(r, "starts of chains", parts, r->y_0);
}

/* Langevin steps of one energy evaluation each. The library's own chain, from the same start, gives the
 * trainer's bits; the plain loop ends at the same images. */
static void replay_chains(replay *r)
{
    drl_energy energy = drl_model_energy(r->twin.m);
    drl__langevin_desc chain;
    float end[PIXELS], eps[IMAGE];
    double stretch = sqrt((double)STEPS / r->chain_steps);  /* fewer steps than the model's are longer */
    int i, j, k;
    memcpy(r->y_neg, r->twin.m->initializer ? r->y_0 : r->x_next, sizeof r->y_neg);
    memcpy(end, r->y_neg, sizeof end);
    memset(&chain, 0, sizeof chain);
    chain.energy = &energy;
    chain.schedule = r->sc;
    chain.level = r->t;
    chain.label = r->label;
    chain.steps = r->chain_steps;
    chain.first_draw = 2;
    chain.step_scale = stretch;
    chain.noise.fill = drl__train_noise;
    chain.noise.user = r->twin.tr;
    CHECK_OK(r->twin.ctx, drl__langevin(r->twin.ctx, &chain, BATCH, end, r->x_next, r->gradient, eps));
    CHECK(!memcmp(end, r->run.tr->y_neg, sizeof end), "%s: chains end elsewhere", r->what);
    for (k = 0; k < r->chain_steps; ++k) {
        CHECK_OK(r->twin.ctx, energy.eval(energy.user, BATCH, r->y_neg, r->t, r->label, NULL, r->gradient));
        for (i = 0; i < BATCH; ++i) {
            int t = r->t[i];
            double s2 = 1 - r->sc->a[t + 1] * r->sc->a[t + 1];
            double h = stretch * sqrt(r->sc->sbar[t] / r->sc->sbar[0] * r->b2 * s2);
            drl__train_noise(r->twin.tr, r->twin.ctx, i, 2 + k, eps, IMAGE);
            for (j = 0; j < IMAGE; ++j) {
                int at = i * IMAGE + j;
                double y = (double)r->y_neg[at];
                double pull = t == LEVELS - 1 ? 0.0 : (y - (double)r->x_next[at]) / s2;
                y += h * h / 2 * ((double)r->gradient[at] - pull) + h * (double)eps[j];
                r->y_neg[at] = (float)y;
            }
        }
    }
    r->bent += same_images(r, "ends of chains", end, r->y_neg);
}

/* What an image's f counts in the loss: s_1 / s_{t+1} of the batch's mean [Gao21] (8). */
static double weight_of(const replay *r, int i) { return r->sc->s[1] / r->sc->s[r->t[i] + 1] / BATCH; }

/* The energy's loss, -f(y+) + f(y-) weighted and summed, and its gradient by the parameters. */
static void replay_energy_gradient(replay *r)
{
    drl_net *net = r->twin.m->net;
    float level[BATCH], df[BATCH];
    int i, negative;
    memset(net->grads, 0, net->params_size * sizeof(float));
    for (negative = 0; negative < 2; ++negative) {
        drl_batch batch = drl_batch_of(BATCH, negative ? r->y_neg : r->y_pos, level);
        batch.label = r->label;
        for (i = 0; i < BATCH; ++i) {
            level[i] = drl__schedule_level(r->sc, r->t[i]);
            df[i] = (float)((negative ? 1.0 : -1.0) * weight_of(r, i));
        }
        CHECK_OK(r->twin.ctx, drl_net_train_forward(net, &batch, negative ? r->f_neg : r->f_pos));
        CHECK_OK(r->twin.ctx, drl_net_train_backward(net, df));
    }
    drl_net_spectral_grads(net);
    r->norm = norm_of(net->grads, net->params_size);
    r->loss = 0;
    for (i = 0; i < BATCH; ++i) r->loss -= ((double)r->f_pos[i] - (double)r->f_neg[i]) * weight_of(r, i);
}

/* The initializer's loss, |y_0 - target|^2 over of_net^2, and its gradient by the parameters; the target is
 * between where chains end and what the data says. With it the noise of x_{t+1} that the initializer leaves:
 * an error of the mean is one of x_0, and that is one of x_{t+1}'s noise. */
static void replay_initializer_gradient(replay *r)
{
    drl_net *net = r->twin.m->initializer;
    float dout[PIXELS];
    int k;
    r->initializer_loss = 0;
    for (k = 0; k < PIXELS; ++k) {
        int t = r->t[k / IMAGE];
        double y_0 = (double)r->y_0[k], share = r->data_share;
        double target = (1 - share) * (double)r->y_neg[k] + share * r->target[k];
        double d = (y_0 - target) / r->of_net[k / IMAGE];
        double abar = r->sc->abar[t], abar_next = r->sc->abar[t + 1];
        double of_x0 = scale_of(r, t) * abar * (1 - gain(r, t) * abar_next / abar);
        double noise = abar_next * (y_0 - r->target[k]) / of_x0 / sqrt(variance(r, t + 1));
        r->initializer_loss += d * d / BATCH;
        dout[k] = (float)(2 * d / BATCH);
        r->level[t].initializer_noise_left += noise * noise / IMAGE;
    }
    memset(net->grads, 0, net->params_size * sizeof(float));
    CHECK_OK(r->twin.ctx, drl_net_train_backward(net, dout));
    r->initializer_norm = norm_of(net->grads, net->params_size);
}

static void replay_levels(replay *r)
{
    int i, j;
    for (i = 0; i < BATCH; ++i) {
        level_sums *sum = &r->level[r->t[i]];
        double moved = 0, force = 0;
        for (j = i * IMAGE; j < (i + 1) * IMAGE; ++j) {
            double d = (double)r->y_neg[j] - (double)r->x_next[j], g = (double)r->gradient[j];
            moved += d * d / IMAGE;
            force += g * g / IMAGE;
        }
        sum->images += 1;
        sum->f_pos += (double)r->f_pos[i];
        sum->f_neg += (double)r->f_neg[i];
        sum->displacement += sqrt(moved) / r->sc->s[r->t[i] + 1];
        sum->gradient += 0.5 * drl_schedule_step(r->sc, r->t[i]) * sqrt(force);
    }
}

/* |a - b| up to `error` of b, or of `of` where b may be near 0. */
static int agree(double a, double b, double error, double of)
{
    return fabs(a - b) <= error * (fabs(b) + of);
}

static void expect_levels(const replay *r, const drl_train_report *report)
{
    int t;
    for (t = 0; t < LEVELS; ++t) {
        const drl_level_report *got = &report->level[t];
        level_sums want = r->level[t];
        double images = want.images > 0 ? want.images : 1;
        want.f_pos /= images;
        want.f_neg /= images;
        want.displacement /= images;
        want.gradient /= images;
        want.initializer_noise_left /= images;
        CHECK(got->images == want.images, "%s: %g images of level %d, should be %g",
              r->what, got->images, t, want.images);
        CHECK(agree(got->f_pos, want.f_pos, 1e-4, 1e-3) && agree(got->f_neg, want.f_neg, 1e-4, 1e-3),
              "%s, level %d: f %g %g, should be %g %g",
              r->what, t, got->f_pos, got->f_neg, want.f_pos, want.f_neg);
        CHECK(agree(got->displacement, want.displacement, 1e-3, 0),
              "%s, level %d: displacement %g, should be %g",
              r->what, t, got->displacement, want.displacement);
        CHECK(agree(got->gradient, want.gradient, 1e-3, 0), "%s, level %d: gradient %g, should be %g",
              r->what, t, got->gradient, want.gradient);
        CHECK(agree(got->initializer_noise_left, want.initializer_noise_left, 2e-4, 0),
              "%s, level %d: the initializer leaves %g, should be %g",
              r->what, t, got->initializer_noise_left, want.initializer_noise_left);
        CHECK((want.initializer_noise_left > 0) == (r->run.m->initializer && want.images > 0),
              "%s, level %d: %g left", r->what, t, want.initializer_noise_left);
    }
}

/* Losses are sums and differences of floats: 2e-5 is of an energy, not of the difference. Norms are of
 * gradients of float networks, which agree to 1e-4. */
static void expect_report(const replay *r, const drl_train_report *report, double rate,
                          double initializer_rate)
{
    CHECK(agree(report->loss, r->loss, 2e-5, fabs((double)r->f_pos[0])), "%s: loss %g, should be %g",
          r->what, report->loss, r->loss);
    CHECK(agree(report->grad_norm, r->norm, 1e-4, 0) && r->norm > 0, "%s: gradient %g, should be %g",
          r->what, report->grad_norm, r->norm);
    CHECK(agree(report->initializer_loss, r->initializer_loss, 1e-4, 0),
          "%s: the initializer's loss %g, should be %g",
          r->what, report->initializer_loss, r->initializer_loss);
    CHECK((r->initializer_loss > 0) == (r->run.tr->parts == 2), "%s: the initializer's loss is %g",
          r->what, r->initializer_loss);
    CHECK(agree(report->initializer_grad_norm, r->initializer_norm, 1e-4, 0),
          "%s: the initializer's gradient %g, should be %g",
          r->what, report->initializer_grad_norm, r->initializer_norm);
    CHECK(report->step == (uint64_t)r->step + 1 && drl_trainer_steps(r->run.tr) == report->step,
          "%s: step %d reported", r->what, (int)report->step);
    CHECK(report->rollbacks == 0 && report->levels == LEVELS, "%s: %d rollbacks, %d levels",
          r->what, report->rollbacks, report->levels);
    CHECK(fabs(report->learning_rate - rate) <= 1e-12, "%s: rate %g, should be %g",
          r->what, report->learning_rate, rate);
    CHECK(fabs(report->initializer_rate - initializer_rate) <= 1e-12,
          "%s: the initializer's rate %g, should be %g", r->what, report->initializer_rate, initializer_rate);
    expect_levels(r, report);
}

/* The initializer's warm-up begins at a twentieth. */
static double initializer_rate_of(const replay *r, double warm)
{
    if (!r->run.m->initializer) return 0;
    return option(r->td.initializer_rate, 1e-3f) * (warm + 0.05 < 1 ? warm + 0.05 : 1.0);
}

/* Both networks' updates. The initializer's rounding is of the whole gradient, after clipping. */
static void expect_updates(replay *r, double warm)
{
    drl__part *got = r->run.tr->part, *twin = r->twin.tr->part;
    double rate = (double)r->td.learning_rate * warm, clip = option(r->td.clip, 1);
    double norm = r->initializer_norm;
    char what[80];
    adam_step(&r->of_energy, &got[0], &twin[0], &r->td, r->step, rate, 1e-6, r->what);
    if (!r->run.m->initializer) return;
    rate = initializer_rate_of(r, warm);
    if (r->td.clip >= 0 && norm > clip) norm = clip;
    snprintf(what, sizeof what, "%s, initializer", r->what);
    adam_step(&r->of_initializer, &got[1], &twin[1], &r->td, r->step, rate, 1e-4 * norm, what);
}

static void replay_step(replay *r, const char *name, int variant)
{
    drl_train_report report;
    int given[BATCH], wrong = 0, i;
    const int *labels;
    double warm = r->td.warmup > 0 && r->step < r->td.warmup ? (r->step + 1.0) / r->td.warmup : 1.0;
    snprintf(r->what, sizeof r->what, "%s variant %d, step %d", name, variant, r->step);
    pictures(r->run.tr, r->x0, BATCH);
    labels = labels_of(r->run.tr, given);
    memset(&report, 0, sizeof report);
    CHECK_OK(r->run.ctx, drl_trainer_step(r->run.tr, r->x0, labels, &report));

    replay_images(r, labels);
    for (i = 0; i < BATCH; ++i) wrong += r->run.tr->label[i] != r->label[i];
    CHECK(!wrong, "%s: %d labels differ", r->what, wrong);
    wrong = same_images(r, "x_{t+1}", r->run.tr->x_next, r->x_next);
    wrong += same_images(r, "a x_t", r->run.tr->y_pos, r->y_pos);
    if (r->run.m->initializer) wrong += replay_proposal(r);
    CHECK(!wrong, "%s: %d images differ", r->what, wrong);
    replay_chains(r);
    replay_energy_gradient(r);
    if (r->run.m->initializer) replay_initializer_gradient(r);
    replay_levels(r);
    expect_report(r, &report, (double)r->td.learning_rate * warm, initializer_rate_of(r, warm));
    expect_updates(r, warm);

    CHECK_OK(r->twin.ctx, drl_trainer_step(r->twin.tr, r->x0, labels, NULL));       /* the twin follows */
    for (i = 0; i < r->run.tr->parts; ++i) {
        const drl__part *a = &r->run.tr->part[i], *b = &r->twin.tr->part[i];
        CHECK(!memcmp(a->net->params, b->net->params, a->params * sizeof(float)),
              "%s: twins differ", r->what);
    }
}

static void replay_end(replay *r)
{
    CHECK(r->bent <= 2, "%d of 35 chains were bent", r->bent);
    CHECK(r->td.flip ? r->mirrored > 5 && r->mirrored < 30 : r->mirrored == 0,
          "%d of 35 images were mirrored", r->mirrored);
    CHECK(r->md.classes ? r->labelled > 20 : !r->labelled, "%d of 35 images have labels", r->labelled);
    if (r->td.label_drop < 0) CHECK(!r->dropped, "%d labels were dropped", r->dropped);
    if (r->td.label_drop == 0.5f)
        CHECK(r->dropped > 5 && r->dropped < r->labelled - 5, "%d of %d labels were dropped",
              r->dropped, r->labelled);
    adam_free(&r->of_energy);
    adam_free(&r->of_initializer);
    unmake(&r->run);
    unmake(&r->twin);
}

/* [Gao21]: one network, x_{t+1} from x_t by a draw of its own. */
static void step_by_step(int variant)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    replay r;
    if (variant == 1) {
        td.clip = td.beta1 = td.ema = td.data_noise = -1;
        td.warmup = -1;
        td.steps = 2;
        td.flip = 0;
        td.learning_rate = 1e-3f;
    }
    if (variant == 2) {
        td.clip = 0.05f;
        td.beta2 = 0.9f;
        td.ema = 0.3f;
        td.data_noise = 0.1f;
        md.no_spectral = 1;
    }
    replay_begin(&r, &md, &td);
    for (r.step = 0; r.step < 7; ++r.step) replay_step(&r, "plain", variant);
    replay_end(&r);
}

/* [Zhu24]: two networks, both levels from one draw, labels that are dropped, chains that start at the
 * initializer's proposal. */
static void cooperative_step_by_step(int variant)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    replay r;
    td.initializer_data = variant < 6 ? -1.0f : variant == 6 ? 0.0f : variant == 7 ? 0.4f : 1.0f;
    if (variant == 1) {
        td.independent_noise = 1;
        td.label_drop = td.clip = td.beta1 = td.ema = -1;
        td.warmup = -1;
        td.steps = 2;
        td.flip = 0;
        td.initializer_rate = 5e-3f;
    }
    if (variant == 2) {
        td.label_drop = 0.5f;
        td.data_noise = 0.1f;
        td.clip = 0.05f;
        td.beta2 = 0.9f;
        td.ema = 0.3f;
        md.no_spectral = 1;
        md.b2 = 2e-3;
    }
    if (variant == 3) md.classes = 0;
    if (variant == 4) md.initializer = -1;
    if (variant == 5) {                     /* vectors: an initializer of dense layers */
        md.height = md.width = md.resolutions = 1;
        md.channels = IMAGE;
        md.schedule = DRL_SCHEDULE_DRL;
    }
    if (variant >= 7) {
        td.data_noise = 0.2f;
        md.initializer_form = DRL_INITIALIZER_VELOCITY;
    }
    if (variant == 8) {
        td.independent_noise = 1;
        md.schedule = DRL_SCHEDULE_SHIFTED;
    }
    replay_begin(&r, &md, &td);
    for (r.step = 0; r.step < 7; ++r.step) replay_step(&r, "cooperative", variant);
    replay_end(&r);
}

/* -- repeatability -- */

/* The state after five steps; 0 where the machine lacks the instruction set. */
static size_t train_with(int cooperative, drl_isa isa, int threads, int batch, uint64_t seed, float **out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    setup s;
    size_t n;
    if (!ctx) return 0;
    md.batch = batch;
    td.seed = seed;
    s = make(ctx, &md, &td, 5);
    steps(&s, 5);
    n = state_of(&s, out);
    unmake(&s);
    return n;
}

/* Compares the n floats of `got` with those wanted, and frees them. An instruction set that the machine lacks
 * has n = 0. */
static void expect_bits(const float *want, float *got, size_t n, const char *what, int value)
{
    if (!n) return;
    CHECK(!memcmp(want, got, n * sizeof *want), "%s %d gives other bits", what, value);
    free(got);
}

static void same_bits(int cooperative)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 1, 2, 3, 7 };
    float *want, *got;
    size_t all = train_with(cooperative, DRL_ISA_PORTABLE, 1, BATCH, 21, &want), n;
    int i;
    for (i = 0; i < (int)DRL__COUNT(exact); ++i) {
        n = train_with(cooperative, exact[i], 1, BATCH, 21, &got);
        expect_bits(want, got, n, drl_isa_name(exact[i]), 1);
    }
    jobs_nested = 0;
    for (i = 0; i < 4; ++i) {
        n = train_with(cooperative, DRL_ISA_AUTO, threads[i], BATCH, 21, &got);
        expect_bits(want, got, n, "a number of threads,", threads[i]);
    }
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    n = train_with(cooperative, DRL_ISA_AUTO, 2, BATCH + 4, 21, &got);
    expect_bits(want, got, n, "a model with a larger batch,", BATCH + 4);
    n = train_with(cooperative, DRL_ISA_AUTO, 1, BATCH, 22, &got);
    CHECK(n == all && memcmp(want, got, n * sizeof *want) != 0, "another seed gives the same bits");
    if (n) free(got);
    free(want);
}

/* Without fused multiply-add the bits are others, and the weights the same up to what rounding becomes in
 * five steps. */
static void nearly_same_bits(int cooperative)
{
    float *want, *got;
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    setup s;
    double error;
    if (!train_with(cooperative, DRL_ISA_SSE2, 1, BATCH, 21, &got)) return;
    train_with(cooperative, DRL_ISA_PORTABLE, 1, BATCH, 21, &want);
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    error = check_rel_floats(got, want, s.tr->part[0].params);
    CHECK(error < 2e-3, "sse2 differs by %g", error);
    unmake(&s);
    free(got);
    free(want);
}

/* -- checkpoints -- */

static const char *path;               /* of the checkpoint that tests write */

/* Sampling does not touch a run, and nor does the average, while it is in the model and afterwards. */
static void visit(setup *b)
{
    float out[3 * IMAGE], out2[3 * IMAGE], x0[PIXELS], *before, *swapped;
    size_t count = state_of(b, &before);
    drl_sample_desc how;
    drl_train_report r;
    int i;
    memset(&how, 0, sizeof how);
    how.count = 3;
    CHECK_OK(b->ctx, drl_sample(b->m, &how, out));
    CHECK_OK(b->ctx, drl_trainer_swap_average(b->tr));
    state_of(b, &swapped);
    for (i = 0; i < b->tr->parts; ++i) {
        size_t at = part_at(b, i), p = b->tr->part[i].params;
        CHECK(!memcmp(swapped + at, before + at + p, p * sizeof(float)), "network %d has not its average", i);
        CHECK(!memcmp(swapped + at + p, before + at, p * sizeof(float)),
              "network %d has lost its weights", i);
        CHECK(memcmp(swapped + at, before + at, p * sizeof(float)) != 0,
              "average and weights of network %d are the same", i);
    }
    CHECK_OK(b->ctx, drl_sample(b->m, &how, out2));
    CHECK(memcmp(out, out2, sizeof out) != 0, "the average gives the same samples");
    pictures(b->tr, x0, BATCH);
    REFUSED(b->ctx, drl_trainer_step(b->tr, x0, NULL, &r), DRL_E_ARGUMENT);
    REFUSED(b->ctx, drl_trainer_rollback(b->tr), DRL_E_ARGUMENT);
    REFUSED(b->ctx, drl_trainer_save(b->tr, path), DRL_E_ARGUMENT);
    REFUSED(b->ctx, drl_trainer_resume(b->tr, path), DRL_E_ARGUMENT);
    CHECK_OK(b->ctx, drl_trainer_swap_average(b->tr));
    expect_state(b, before, count, "swapped in and out");
    CHECK_OK(b->ctx, drl_sample(b->m, &how, out2));
    CHECK(!memcmp(out, out2, sizeof out), "swapped in and out: other samples");
    free(before);
    free(swapped);
}

/* A checkpoint's descriptions are those that its run was made with, defaults filled in. */
static void expect_descriptions(drl_ctx *ctx, const drl_model_desc *md, const drl_train_desc *td,
                                drl_model_desc *got_md, drl_train_desc *got_td)
{
    int cooperative = md->form == DRL_FORM_CDRL;
    int plain_schedule = !cooperative || md->schedule == DRL_SCHEDULE_DRL;
    CHECK_OK(ctx, drl_checkpoint_describe(ctx, path, got_md, got_td));
    CHECK(got_md->height == md->height && got_md->width == md->width && got_md->channels == md->channels,
          "images of %d x %d x %d", got_md->height, got_md->width, got_md->channels);
    CHECK(got_md->base == 6 && got_md->levels == LEVELS && got_md->steps == STEPS,
          "base %d, levels %d, steps %d", got_md->base, got_md->levels, got_md->steps);
    CHECK(got_md->trainable == 1 && got_md->batch >= BATCH && got_md->no_spectral == md->no_spectral,
          "trainable %d, batch %d, no_spectral %d", got_md->trainable, got_md->batch, got_md->no_spectral);
    CHECK(got_md->form == md->form && got_md->classes == md->classes, "form %d, classes %d",
          (int)got_md->form, got_md->classes);
    CHECK(got_md->initializer == md->initializer, "initializer %d", got_md->initializer);
    CHECK(got_md->schedule == (plain_schedule ? DRL_SCHEDULE_DRL : DRL_SCHEDULE_CDRL),
          "schedule %d", (int)got_md->schedule);
    CHECK(got_td->seed == td->seed && got_td->batch == td->batch && got_td->flip == td->flip,
          "seed %d, batch %d, flip %d", (int)got_td->seed, got_td->batch, got_td->flip);
    CHECK(got_td->learning_rate == td->learning_rate && got_td->initializer_rate == td->initializer_rate,
          "rates %g and %g", (double)got_td->learning_rate, (double)got_td->initializer_rate);
    CHECK(got_td->warmup == td->warmup && got_td->snapshot == td->snapshot, "warmup %d, snapshot %d",
          got_td->warmup, got_td->snapshot);
    CHECK((got_td->data_noise > 0) == !cooperative && got_td->label_drop == td->label_drop,
          "data_noise %g, label_drop %g", (double)got_td->data_noise, (double)got_td->label_drop);
    CHECK(got_td->independent_noise == (!cooperative || td->independent_noise), "independent_noise %d",
          got_td->independent_noise);
}

/* A run that is saved at step 6 and resumed goes on bit for bit. */
static void resume_run(const drl_model_desc *md, const drl_train_desc *td, double rate, int visits)
{
    drl_model_desc got_md;
    drl_train_desc got_td;
    setup a, b, c;
    float *want, *at_save, *now = NULL, out[3 * IMAGE], out2[3 * IMAGE];
    size_t n, saved;
    int round;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.count = 3;
    a = make(context(DRL_ISA_AUTO, 1, NULL), md, td, 5);        /* never saved */
    CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, rate));
    steps(&a, 9);
    n = state_of(&a, &want);

    b = make(context(DRL_ISA_AUTO, 2, NULL), md, td, 5);        /* saved on the way */
    CHECK_OK(b.ctx, drl_trainer_set_rate(b.tr, rate));
    for (round = 0; round < 6; ++round) {
        steps(&b, 1);
        if (visits) visit(&b);
    }
    CHECK_OK(b.ctx, drl_trainer_save(b.tr, path));
    saved = state_of(&b, &at_save);
    expect_descriptions(b.ctx, md, td, &got_md, &got_td);

    c = make(context(DRL_ISA_AUTO, 1, NULL), &got_md, &got_td, 77);     /* resumed: other first weights, */
    steps(&c, 2);                                                       /* and a past of its own */
    CHECK_OK(c.ctx, drl_trainer_resume(c.tr, path));
    expect_state(&c, at_save, saved, "resumed");
    CHECK(drl_trainer_steps(c.tr) == 6, "resumed at step %d", (int)drl_trainer_steps(c.tr));
    CHECK_OK(c.ctx, drl_sample(c.m, &how, out2));
    CHECK_OK(b.ctx, drl_sample(b.m, &how, out));
    CHECK(!memcmp(out, out2, sizeof out), "resumed: other samples");
    steps(&c, 3);
    expect_state(&c, want, n, "resumed and continued");
    steps(&b, 3);
    expect_state(&b, want, n, "saved and continued");
    CHECK_OK(c.ctx, drl_trainer_resume(c.tr, path));            /* rolls back right after resuming */
    CHECK_OK(c.ctx, drl_trainer_rollback(c.tr));
    state_of(&c, &now);
    CHECK(!memcmp(now, at_save, c.tr->part[0].params * sizeof(float)) && drl_trainer_steps(c.tr) == 6,
          "rolled back to another state than the checkpoint's");
    free(want);
    free(at_save);
    free(now);
    remove(path);
    unmake(&a);
    unmake(&b);
    unmake(&c);
}

static void resume(void)
{
    int form, visits;
    for (form = 0; form < 3; ++form)                    /* without spectral norm, with it, cooperative */
        for (visits = 0; visits < 2; ++visits) {
            drl_model_desc md = form == 2 ? coop() : tiny();
            drl_train_desc td = plan();
            md.no_spectral = !form;
            if (form == 2 && visits) md.schedule = DRL_SCHEDULE_DRL;
            td.learning_rate = 1.7e-3f;
            td.initializer_rate = 2e-3f;
            td.label_drop = 0.3f;
            td.independent_noise = visits;
            resume_run(&md, &td, form == 2 ? 0.7 : 1, visits);
        }
}

static unsigned char *whole_file(drl_ctx *ctx, size_t *size)
{
    void *data = NULL;
    unsigned char *copy;
    CHECK_OK(ctx, drl_file_read(ctx, path, &data, size));
    copy = (unsigned char *)malloc(*size + 1);
    if (!copy || !data) exit(3);
    memcpy(copy, data, *size);
    drl_file_free(ctx, data);
    return copy;
}

static void put_file(const unsigned char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size && !fclose(f), "a test file cannot be written");
}

/* A run after two steps and its checkpoint. What is refused must leave the run in this state, and the heap
 * with as many blocks. */
typedef struct saved_run {
    check_heap heap;
    setup s;
    float *state;
    size_t n;
    unsigned char *file, *copy;             /* the checkpoint, and room for it and one byte more */
    size_t size;
    long live;
} saved_run;

static void save_run(saved_run *r)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    memset(r, 0, sizeof *r);
    r->s = make(context(DRL_ISA_AUTO, 1, &r->heap), &md, &td, 5);
    steps(&r->s, 2);
    CHECK_OK(r->s.ctx, drl_trainer_save(r->s.tr, path));
    r->file = whole_file(r->s.ctx, &r->size);
    r->copy = (unsigned char *)malloc(r->size + 1);
    if (!r->copy) exit(3);
    memcpy(r->copy, r->file, r->size);
    r->copy[r->size] = 0;
    r->n = state_of(&r->s, &r->state);
    r->live = r->heap.live;
}

static void saved_run_end(saved_run *r)
{
    expect_state(&r->s, r->state, r->n, "at the end");
    CHECK(r->heap.live == r->live, "%ld blocks leaked", r->heap.live - r->live);
    remove(path);
    free(r->copy);
    free(r->file);
    free(r->state);
    unmake(&r->s);
    CHECK(r->heap.live == 0 && r->heap.bytes == 0, "%ld blocks are left", r->heap.live);
}

/* A checkpoint goes to memory and comes back as it does with a path. */
static void checkpoint_in_memory(void)
{
    saved_run r;
    drl_model_desc md;
    drl_train_desc td;
    size_t bytes;
    save_run(&r);
    CHECK_OK(r.s.ctx, drl_trainer_save_memory(r.s.tr, NULL, 0, &bytes));
    CHECK(bytes == r.size, "%u bytes in memory, %u in the file", (unsigned)bytes, (unsigned)r.size);
    REFUSED(r.s.ctx, drl_trainer_save_memory(r.s.tr, r.copy, r.size - 1, &bytes), DRL_E_SHAPE);
    memset(r.copy, 0, r.size);
    CHECK_OK(r.s.ctx, drl_trainer_save_memory(r.s.tr, r.copy, r.size, &bytes));
    CHECK(bytes == r.size && !memcmp(r.copy, r.file, r.size), "the checkpoint in memory is another");
    steps(&r.s, 1);
    CHECK_OK(r.s.ctx, drl_checkpoint_describe_memory(r.s.ctx, r.copy, r.size, &md, &td));
    CHECK(md.base == r.s.m->desc.base && td.seed == r.s.tr->desc.seed,
          "descriptions of the checkpoint in memory");
    CHECK_OK(r.s.ctx, drl_trainer_resume_memory(r.s.tr, r.copy, r.size));
    expect_state(&r.s, r.state, r.n, "a checkpoint from memory");
    saved_run_end(&r);
}

static void checkpoint_of_another_model(void)
{
    saved_run r;
    int i;
    save_run(&r);
    for (i = 0; i < 5; ++i) {
        drl_model_desc md = tiny();
        drl_train_desc td = plan();
        setup other;
        if (i == 0) md.base = 8;
        if (i == 1) md.width = 4;
        if (i == 2) md.levels = 4;
        if (i == 3) md.no_spectral = 1;
        if (i == 4) md.b2 = 1e-3;
        other = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
        CHECK_OK(other.ctx, drl_trainer_save(other.tr, path));
        REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_SHAPE);
        expect_state(&r.s, r.state, r.n, "a checkpoint of another model");
        unmake(&other);
    }
    saved_run_end(&r);
}

/* Neither takes the other's: two networks, another of the two or none, the other form. */
static void checkpoint_of_another_pair(void)
{
    int i;
    for (i = 0; i < 6; ++i) {
        drl_model_desc md = coop();
        drl_train_desc td = plan();
        setup two = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5), other;
        float *state;
        size_t n = state_of(&two, &state);
        if (i == 0) md.initializer = 10;
        if (i == 1) md.initializer = -1;
        if (i == 2) md.initializer_blocks = 2;
        if (i == 3) md.classes = 2;
        if (i == 4) {
            md.form = DRL_FORM_DRL;
            md.initializer = md.classes = 0;
        }
        if (i == 5) md.base = 8;
        other = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
        CHECK_OK(other.ctx, drl_trainer_save(other.tr, path));
        REFUSED(two.ctx, drl_trainer_resume(two.tr, path), DRL_E_SHAPE);
        expect_state(&two, state, n, "a checkpoint of another cooperative model");
        CHECK_OK(two.ctx, drl_trainer_save(two.tr, path));
        REFUSED(other.ctx, drl_trainer_resume(other.tr, path), DRL_E_SHAPE);
        free(state);
        unmake(&two);
        unmake(&other);
    }
    remove(path);
}

/* No path, no file, no folder, and the file of a model, which is no checkpoint. */
static void checkpoint_without_file(void)
{
    saved_run r;
    drl_model_desc md;
    drl_train_desc td;
    save_run(&r);
    remove(path);
    REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_IO);
    REFUSED(r.s.ctx, drl_trainer_save(r.s.tr, "no/such/folder/checkpoint"), DRL_E_IO);
    REFUSED(r.s.ctx, drl_trainer_save(r.s.tr, NULL), DRL_E_ARGUMENT);
    REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, NULL), DRL_E_ARGUMENT);
    CHECK_OK(r.s.ctx, drl_model_save(r.s.m, DRL_DTYPE_F32, path));
    REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_FORMAT);
    md.base = 4711;
    REFUSED(r.s.ctx, drl_checkpoint_describe(r.s.ctx, path, &md, &td), DRL_E_FORMAT);
    CHECK(md.base == 4711, "a refused description was written");
    saved_run_end(&r);
}

/* Writes a checkpoint's contents again, without the text `lost`. */
static void write_without(drl_ctx *ctx, const drl_safetensors_desc *contents, const char *lost)
{
    drl_safetensors_desc desc = *contents;
    const char *meta[6];
    size_t j = 0, k;
    for (k = 0; k < contents->meta_count && k < 3; ++k) {
        if (!strcmp(contents->meta[2 * k], lost)) continue;
        meta[j++] = contents->meta[2 * k];
        meta[j++] = contents->meta[2 * k + 1];
    }
    desc.meta = meta;
    desc.meta_count = j / 2;
    CHECK_OK(ctx, drl_safetensors_write_file(ctx, path, &desc));
}

/* Files that are whole, but lack one of the three texts or have a tensor too many. A run needs its own
 * description not to go on, only to be described. */
static void checkpoint_without_text(void)
{
    saved_run r;
    drl_safetensors *st = NULL;
    drl_safetensors_desc contents;
    drl_array array[DRL__CHECKPOINT_ARRAYS + 1];
    size_t k;
    save_run(&r);
    CHECK_OK(r.s.ctx, drl_safetensors_open_memory(r.s.ctx, r.file, r.size, &st));
    contents = *drl_safetensors_contents(st);
    CHECK(contents.meta_count == 3 && contents.count <= DRL__CHECKPOINT_ARRAYS,
          "a checkpoint of %d texts", (int)contents.meta_count);
    for (k = 0; k < contents.meta_count; ++k) {
        const char *lost = contents.meta[2 * k];
        drl_model_desc md;
        drl_train_desc td;
        write_without(r.s.ctx, &contents, lost);
        if (strcmp(lost, "drl.train")) REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_FORMAT);
        md.base = 4711;
        if (!strcmp(lost, "drl.train") || !strcmp(lost, "drl.model"))
            REFUSED(r.s.ctx, drl_checkpoint_describe(r.s.ctx, path, &md, &td), DRL_E_FORMAT);
        CHECK(md.base == 4711, "a refused description was written");
    }
    for (k = 0; k < contents.count; ++k) array[k] = contents.arrays[k];
    array[contents.count] = drl_array_of("another", DRL_DTYPE_U8, 0, NULL, "x");
    contents.arrays = array;
    ++contents.count;
    write_without(r.s.ctx, &contents, "");
    REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_FORMAT);
    --contents.count;
    write_without(r.s.ctx, &contents, "");
    CHECK_OK(r.s.ctx, drl_trainer_resume(r.s.tr, path));
    drl_safetensors_close(st);
    saved_run_end(&r);
}

/* Arrays of another type, rank or side are refused, whichever array and side it is. */
static void checkpoint_of_other_shapes(void)
{
    saved_run r;
    drl_safetensors *st = NULL;
    drl_safetensors_desc contents;
    drl_array array[DRL__CHECKPOINT_ARRAYS];
    size_t k;
    save_run(&r);
    CHECK_OK(r.s.ctx, drl_safetensors_open_memory(r.s.ctx, r.file, r.size, &st));
    contents = *drl_safetensors_contents(st);
    for (k = 0; k < contents.count; ++k) array[k] = contents.arrays[k];
    for (k = 0; k < contents.count; ++k) {
        drl_array own = array[k];
        int change;
        contents.arrays = array;
        for (change = -3; change < own.rank; ++change) {
            drl_array *a = &array[k];
            *a = own;
            if (change == -3) a->bytes = own.bytes / own.shape[--a->rank];
            else if (change == -2) a->dtype = own.dtype == DRL_DTYPE_F64 ? DRL_DTYPE_I64 : DRL_DTYPE_I32;
            else if (change == -1) a->shape[a->rank++] = 1;
            else {
                a->bytes = own.bytes / own.shape[change] * (own.shape[change] - 1);
                --a->shape[change];
            }
            write_without(r.s.ctx, &contents, "");
            drl_ctx_clear(r.s.ctx);
            CHECK(drl_trainer_resume(r.s.tr, path) == DRL_E_FORMAT &&
                  strstr(drl_ctx_message(r.s.ctx), own.name), "%s, change %d: %s", own.name, change,
                  drl_ctx_message(r.s.ctx));
        }
        array[k] = own;
    }
    drl_ctx_clear(r.s.ctx);
    expect_state(&r.s, r.state, r.n, "checkpoints with other shapes");
    drl_safetensors_close(st);
    saved_run_end(&r);
}

/* Cut at any byte of the first 64 and at many others, and one byte longer. */
static void checkpoint_cut(void)
{
    saved_run r;
    size_t k;
    save_run(&r);
    for (k = 0; k < r.size; k += k < 64 ? 1 : r.size / 97) {
        put_file(r.file, k);
        REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_FORMAT);
    }
    put_file(r.copy, r.size + 1);
    REFUSED(r.s.ctx, drl_trainer_resume(r.s.tr, path), DRL_E_FORMAT);
    saved_run_end(&r);
}

/* A header with a flipped bit is refused and nothing changes, or it is taken whole. Taken are those with
 * other numbers in "drl.train", which resuming does not read, and some with others in "drl.state". */
static void checkpoint_flipped(void)
{
    saved_run r;
    size_t bit, header;
    long refused = 0, taken = 0;
    save_run(&r);
    header = 8 + (size_t)r.file[0] + ((size_t)r.file[1] << 8);
    for (bit = 0; bit < header * 8; bit += 7) {
        r.copy[bit / 8] = (unsigned char)(r.copy[bit / 8] ^ (1 << bit % 8));
        put_file(r.copy, r.size);
        r.copy[bit / 8] = r.file[bit / 8];
        drl_ctx_clear(r.s.ctx);
        if (drl_trainer_resume(r.s.tr, path) == DRL_OK) {
            ++taken;
            put_file(r.file, r.size);
            CHECK_OK(r.s.ctx, drl_trainer_resume(r.s.tr, path));
        } else {
            ++refused;
            CHECK(drl_ctx_message(r.s.ctx)[0] != 0, "bit %d: no sentence", (int)bit);
        }
        expect_state(&r.s, r.state, r.n, "a flipped bit");
    }
    CHECK(refused > 3 * taken, "%ld flipped headers were refused, %ld taken", refused, taken);
    drl_ctx_clear(r.s.ctx);
    saved_run_end(&r);
}

/* A tensor of a checkpoint with one number that is not finite: the checkpoint is refused by its name. */
static void checkpoint_not_finite(void)
{
    static const unsigned char nan[4] = { 0, 0, 0xC0, 0x7F }, minus_infinity[4] = { 0, 0, 0x80, 0xFF };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    drl_safetensors *st = NULL;
    unsigned char *file;
    float *before;
    size_t size, n, k;
    steps(&s, 2);
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, NULL, 0, &size));
    file = (unsigned char *)malloc(size);
    if (!file) exit(3);
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, file, size, &size));
    CHECK_OK(s.ctx, drl_safetensors_open_memory(s.ctx, file, size, &st));
    n = state_of(&s, &before);
    for (k = 0; k < 2 * drl_safetensors_contents(st)->count; ++k) {
        const drl_array *a = &drl_safetensors_contents(st)->arrays[k / 2];
        unsigned char *number = file + ((const unsigned char *)a->data - file) + a->bytes / 8 * 4, kept[4];
        if (a->dtype != DRL_DTYPE_F32) continue;
        memcpy(kept, number, 4);
        memcpy(number, k % 2 ? minus_infinity : nan, 4);
        CHECK(drl_trainer_resume_memory(s.tr, file, size) == DRL_E_FORMAT &&
              strstr(drl_ctx_message(s.ctx), "not finite"), "%s: '%s'", a->name, drl_ctx_message(s.ctx));
        drl_ctx_clear(s.ctx);
        expect_state(&s, before, n, a->name);
        memcpy(number, kept, 4);
    }
    CHECK_OK(s.ctx, drl_trainer_resume_memory(s.tr, file, size));
    drl_safetensors_close(st);
    free(file);
    free(before);
    unmake(&s);
}

/* Every allocation of resuming and of saving fails once; then the same state is saved as the same bytes. */
static void checkpoint_without_memory(void)
{
    saved_run r;
    unsigned char *again;
    size_t size;
    int saving, i;
    save_run(&r);
    for (saving = 0; saving < 2; ++saving) {
        for (i = 1; i < 30; ++i) {
            drl_status status;
            drl_ctx_clear(r.s.ctx);
            r.heap.fail_at = r.heap.calls + i;
            status = saving ? drl_trainer_save(r.s.tr, path) : drl_trainer_resume(r.s.tr, path);
            r.heap.fail_at = 0;
            expect_state(&r.s, r.state, r.n, "no memory");
            CHECK(r.heap.live == r.live, "%ld blocks leaked", r.heap.live - r.live);
            if (status == DRL_OK) break;
            CHECK(status == DRL_E_MEMORY && drl_ctx_message(r.s.ctx)[0],
                  "allocation %d fails: status %d", i, (int)status);
        }
        CHECK(i > !saving && i < 30, "%s makes %d allocations", saving ? "saving" : "resuming", i - 1);
    }
    again = whole_file(r.s.ctx, &size);
    CHECK(size == r.size && !memcmp(again, r.file, size), "the same state is saved as other bytes");
    free(again);
    saved_run_end(&r);
}

/* -- the average's spectral norms -- */

/* One layer is divided by u'Wv, and that is within 1 % of its largest singular value. Returns how far off. */
static double expect_norm(const drl_net *net, const drl__op *op, int round)
{
    const char *name = net->param[op->weight].name;
    const float *w = net->params + net->param[op->weight].offset;
    const float *u = net->state + op->u, *v = net->state + op->v;
    double sigma, product = 0, taken = (double)op->sigma;
    int rows, cols, row, col;
    drl__op_shape(net, op, &rows, &cols);
    sigma = singular(w, rows, cols);
    if (sigma == 0) return -1;
    for (row = 0; row < rows; ++row)
        for (col = 0; col < cols; ++col)
            product += (double)u[row] * (double)w[row * cols + col] * (double)v[col];
    CHECK(fabs(product - taken) <= 1e-5 * sigma, "round %d, %s: u'Wv is %g, taken as %g",
          round, name, product, taken);
    CHECK(fabs(taken / sigma - 1) <= 0.01, "round %d, %s: the average's norm is taken as %g, it is %g",
          round, name, taken, sigma);
    return fabs(taken / sigma - 1);
}

static void average_norms(int cooperative)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    setup s;
    int round, i, checked = 0;
    double worst = 0;
    md.base = 10;
    td.learning_rate = 3e-3f;           /* weights move far, and the average stays behind */
    td.ema = 0.95f;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (round = 0; round < 4; ++round) {
        steps(&s, 12);
        CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
        for (i = 0; i < s.m->net->op_count; ++i) {
            const drl__op *op = &s.m->net->op[i];
            double off = op->spectral ? expect_norm(s.m->net, op, round) : -1;
            checked += off >= 0;
            if (off > worst) worst = off;
        }
        CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
    }
    CHECK(checked >= 40 && worst > 0, "%d norms checked", checked);
    unmake(&s);
}

/* -- failing steps -- */

/* A batch that is refused leaves the run as it was: it goes on as one that never saw the batch. */
static void bad_data(void)
{
    static const float bad[] = { (float)NAN, (float)HUGE_VAL, -(float)HUGE_VAL, 1e20f };
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    setup clean = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[PIXELS], *before;
    size_t n;
    int i;
    drl_train_report r;
    steps(&s, 3);
    n = state_of(&s, &before);
    for (i = 0; i < 4; ++i) {
        pictures(s.tr, x0, BATCH);
        x0[(i + 1) * IMAGE - 1] = bad[i];
        r.loss = 4711;
        drl_ctx_clear(s.ctx);
        CHECK(drl_trainer_step(s.tr, x0, NULL, &r) == DRL_E_NUMERIC && strlen(drl_ctx_message(s.ctx)) > 20,
              "pixel %g: '%s'", (double)bad[i], drl_ctx_message(s.ctx));
        CHECK(r.loss == 4711, "a failed step has written its report");
        expect_state(&s, before, n, "bad pixels");
    }
    REFUSED(s.ctx, drl_trainer_step(s.tr, NULL, NULL, &r), DRL_E_ARGUMENT);
    CHECK(drl_trainer_step(NULL, x0, NULL, &r) == DRL_E_ARGUMENT, "no trainer");
    CHECK(drl_trainer_rollback(NULL) == DRL_E_ARGUMENT, "no trainer");
    CHECK(drl_trainer_swap_average(NULL) == DRL_E_ARGUMENT, "no trainer");
    for (i = 0; i < 2; ++i) {                               /* labels are for models that have classes */
        int label[BATCH] = { 0 };
        pictures(s.tr, x0, BATCH);
        label[BATCH - 1] = i ? -1 : 1;
        REFUSED(s.ctx, drl_trainer_step(s.tr, x0, label, NULL), DRL_E_ARGUMENT);
        expect_state(&s, before, n, "labels without classes");
    }
    steps(&s, 2);
    steps(&clean, 5);
    free(before);
    n = state_of(&clean, &before);
    expect_state(&s, before, n, "after bad pixels, the run goes on as if nothing had happened");
    free(before);
    unmake(&s);
    unmake(&clean);
}

static void bad_labels(void)
{
    static const int bad[3] = { 4, -1, 2147483647 };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[PIXELS], *before;
    size_t n;
    int i, label[BATCH];
    steps(&s, 1);
    n = state_of(&s, &before);
    for (i = 0; i < 3; ++i) {
        pictures(s.tr, x0, BATCH);
        labels_of(s.tr, label);
        label[2 * i] = bad[i];
        REFUSED(s.ctx, drl_trainer_step(s.tr, x0, label, NULL), DRL_E_ARGUMENT);
        expect_state(&s, before, n, "a label that is none");
    }
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL));
    free(before);
    unmake(&s);
}

/* Half the factor is, bit for bit, half the rate of both networks. */
static void rates(int cooperative)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan(), half;
    setup a, b;
    float x0[PIXELS], *state;
    drl_train_report r;
    int label[BATCH];
    size_t n;
    td.initializer_rate = 2e-3f;
    half = td;
    half.learning_rate *= 0.5f;
    half.initializer_rate *= 0.5f;
    a = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    b = make(context(DRL_ISA_AUTO, 1, NULL), &md, &half, 5);
    CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, 0.5));
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, -1e-9), DRL_E_ARGUMENT);
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, 1.0001), DRL_E_ARGUMENT);
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, (double)NAN), DRL_E_ARGUMENT);
    CHECK(drl_trainer_set_rate(NULL, 1) == DRL_E_ARGUMENT, "no trainer");
    steps(&a, 6);
    steps(&b, 6);
    n = state_of(&a, &state);
    expect_state(&b, state, n, "half the factor or half the rate");
    pictures(a.tr, x0, BATCH);
    CHECK_OK(a.ctx, drl_trainer_step(a.tr, x0, labels_of(a.tr, label), &r));
    CHECK(fabs(r.learning_rate - 0.5 * (double)td.learning_rate) < 1e-12, "half of %g is %g",
          (double)td.learning_rate, r.learning_rate);
    free(state);
    unmake(&a);
    unmake(&b);
}

/* At rate 0 the weights stand still while the moments go on; at rate 1 the weights go on, too. */
static void rate_zero(int cooperative)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float *before, *after;
    int i;
    size_t k;
    steps(&s, 7);
    CHECK_OK(s.ctx, drl_trainer_set_rate(s.tr, 0));
    state_of(&s, &before);
    steps(&s, 3);
    state_of(&s, &after);
    for (i = 0; i < s.tr->parts; ++i) {
        size_t p = s.tr->part[i].params;
        const float *w0 = before + part_at(&s, i), *w1 = after + part_at(&s, i);
        int moved = 0;
        for (k = 0; k < p; ++k) moved += w0[k] < w1[k] || w0[k] > w1[k];
        CHECK(!moved, "%d weights of network %d move at rate 0", moved, i);
        CHECK(memcmp(w0 + 2 * p, w1 + 2 * p, p * sizeof *w0) != 0,
              "the moments of network %d stand still", i);
    }
    CHECK(drl_trainer_steps(s.tr) == 10, "%d steps", (int)drl_trainer_steps(s.tr));
    free(before);
    CHECK_OK(s.ctx, drl_trainer_set_rate(s.tr, 1));
    steps(&s, 1);
    state_of(&s, &before);
    for (i = 0; i < s.tr->parts; ++i) {
        size_t at = part_at(&s, i);
        CHECK(memcmp(before + at, after + at, s.tr->part[i].params * sizeof(float)) != 0,
              "network %d does not go on", i);
    }
    free(before);
    free(after);
    unmake(&s);
}

/* -- divergence and rollback -- */

/* Puts a value into the first weight of a parameter. */
static void spoil(drl_net *net, const char *name, float value)
{
    int i;
    for (i = 0; strcmp(drl_net_param(net, i)->name, name); ++i) {}
    drl_net_params(net)[drl_net_param(net, i)->offset] = value;
    drl_net_refresh(net, 0);
}

/* Both networks go back together, whichever of them was spoiled. */
static void rollback_both(void)
{
    static const struct { const char *name; float value; } cases[4] = {
        { "initializer.init_conv.weight", (float)NAN },
        { "initializer.final_conv.weight", 1e30f },
        { "energy.temb_final.weight", (float)NAN },
        { "initializer.mid_attn.to_out.bias", (float)HUGE_VAL }
    };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[PIXELS], *kept, *before;
    drl_train_report r;
    size_t n;
    int k, label[BATCH];
    steps(&s, 4);
    n = state_of(&s, &kept);
    for (k = 0; k < 4; ++k) {
        uint64_t seed = drl__trainer_rng(s.tr).seed;
        steps(&s, 2);
        spoil(cases[k].name[0] == 'i' ? s.m->initializer : s.m->net, cases[k].name, cases[k].value);
        state_of(&s, &before);
        pictures(s.tr, x0, BATCH);
        r.loss = 4711;
        REFUSED(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &r), DRL_E_DIVERGED);
        expect_state(&s, before, n, "a spoiled step");
        CHECK(r.loss == 4711, "a failed step has written its report");
        CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
        kept[n - 1] = (float)(k + 1);
        expect_state(&s, kept, n, "both networks rolled back to step 4");
        CHECK(drl_trainer_steps(s.tr) == 4, "step %d", (int)drl_trainer_steps(s.tr));
        CHECK(drl__trainer_rng(s.tr).seed != seed, "the noise is not fresh after a rollback");
        free(before);
    }
    pictures(s.tr, x0, BATCH);
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &r));
    CHECK(r.rollbacks == 4 && fabs(r.learning_rate - (double)td.learning_rate / 16) < 1e-12,
          "rate %g after %d rollbacks", r.learning_rate, r.rollbacks);
    free(kept);
    unmake(&s);
}

/* A snapshot that is bad itself: steps from it diverge whatever the rate, and a loop of steps and rollbacks
 * ends with a status. Once the snapshot is good again, the count of rollbacks begins anew. */
static void bad_snapshot(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x0[PIXELS], *before = NULL;
    size_t n = 0;
    int round, k;
    td.snapshot = 2;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    steps(&s, 4);
    pictures(s.tr, x0, BATCH);
    for (round = 0; round < 2; ++round) {
        drl__part *part = &s.tr->part[0];
        float kept = part->good_params[0];
        drl_status status = DRL_OK;
        part->good_params[0] = (float)NAN;
        CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
        for (k = 1; k < 1000 && status == DRL_OK; ++k) {
            REFUSED(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL), DRL_E_DIVERGED);
            free(before);
            n = state_of(&s, &before);
            status = drl_trainer_rollback(s.tr);
        }
        CHECK(k - 1 == DRL_ROLLBACKS_MAX && status == DRL_E_DIVERGED, "%d rollbacks, then %s",
              k - 1, drl_status_text(status));
        CHECK(strstr(drl_ctx_message(s.ctx), "older checkpoint") != NULL, "%s", drl_ctx_message(s.ctx));
        REFUSED(s.ctx, drl_trainer_rollback(s.tr), DRL_E_DIVERGED);
        expect_state(&s, before, n, "a refused rollback");
        part->good_params[0] = kept;                    /* what resuming a good checkpoint does */
        drl__part_copy(part, 1);
        drl__net_prepare(part->net, DRL__NORM_KEPT);
        steps(&s, 2);                                   /* past the next snapshot */
        CHECK(drl_trainer_steps(s.tr) % 2 == 0, "step %d", (int)drl_trainer_steps(s.tr));
    }
    CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
    free(before);
    unmake(&s);
}

/* Energies of points in the plane whose first weights are steep: their first chains go far, which is no
 * divergence during warm-up, and training brings them back. */
static void steep_start(void)
{
    static const uint64_t seeds[] = { 6, 20 };
    size_t i;
    for (i = 0; i < 2; ++i) {
        drl_model_desc md;
        drl_train_desc td = plan();
        drl_train_report r;
        float x0[2 * 64];
        setup s;
        int step, k;
        memset(&md, 0, sizeof md);
        md.height = 1;
        md.channels = 2;
        md.form = DRL_FORM_CDRL;
        md.base = md.mult[0] = 8;
        md.blocks = 3;
        md.steps = 10;
        md.b2 = 3e-3;
        md.noise_scale = 1;
        md.no_spectral = 1;
        md.batch = 64;
        md.trainable = 1;
        td.batch = 64;
        td.seed = seeds[i];
        td.learning_rate = 5e-4f;
        td.warmup = 200;
        td.data_noise = 0.02f;
        s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, seeds[i]);
        for (step = 0; step < 60; ++step) {
            drl_rng rng = drl__trainer_rng(s.tr);
            for (k = 0; k < 2 * 64; ++k) {
                float corner = 2 * (float)(drl_rng_below(&rng, 2)) - 1;
                x0[k] = corner + 0.5f * drl_rng_uniform(&rng);
            }
            CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &r));
        }
        unmake(&s);
    }
}

/* -- drl_train -- */

/* A clock by which each step takes `takes` seconds, and what lies between two steps as many as it pleases; it
 * counts how often it was asked. And what the callback has seen. */
typedef struct fake {
    double now, takes;
    int asked, stop_at, diverged;
    drl_trainer *tr;
    double rate[64];                        /* factor of the learning rate, by step */
} fake;

static double fake_clock(void *user)
{
    fake *f = (fake *)user;
    f->now += f->asked++ % 2 ? f->takes : 1000.0;
    return f->now;
}

static drl_status fake_source(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels)
{
    (void)ctx;
    (void)rng;
    (void)labels;
    pictures(((fake *)user)->tr, x0, n);
    return DRL_OK;
}

static int fake_step(void *user, const drl_train_report *report)
{
    fake *f = (fake *)user;
    if (report->diverged) {
        ++f->diverged;
        return 0;
    }
    if (report->step < 64) f->rate[report->step] = f->tr->now.rate_factor;
    return (int)report->step == f->stop_at;
}

/* A description with these steps, or seconds, and with images, clock and callback of `f`. */
static drl_run_desc fake_desc(fake *f, int run_steps, double seconds)
{
    drl_run_desc d;
    memset(&d, 0, sizeof d);
    d.steps = (uint64_t)run_steps;
    d.seconds = seconds;
    d.clock = fake_clock;
    d.source = fake_source;
    d.on_step = fake_step;
    d.user = f;
    return d;
}

/* Saves a run, and goes on with it in another trainer. */
static void fake_resume(setup *s, const drl_train_desc *td, fake *f)
{
    drl_model_desc md = tiny();
    CHECK_OK(s->ctx, drl_trainer_save(s->tr, path));
    unmake(s);
    *s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, td, 99);
    CHECK_OK(s->ctx, drl_trainer_resume(s->tr, path));
    remove(path);
    f->tr = s->tr;
}

/* A run of so many steps or seconds, at 2.5 s a step, that is stopped at step `stop` and then resumed with
 * other totals. With stop 0 it is not stopped. `fall` as in drl_run_desc. */
typedef struct totals { int steps; double seconds; } totals;
static setup fake_run(totals first, totals again, int stop, double fall, fake *f)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_run_desc d;
    setup s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    memset(f, 0, sizeof *f);
    f->tr = s.tr;
    f->takes = 2.5;
    f->stop_at = stop;
    d = fake_desc(f, first.steps, first.seconds);
    d.fall = fall;
    CHECK(drl_train(s.tr, NULL, &d) == (stop ? DRL_RUNNING : DRL_OK), "stop at %d: %s",
          stop, drl_ctx_message(s.ctx));
    if (!stop) return s;
    fake_resume(&s, &td, f);
    f->stop_at = 0;
    d.steps = (uint64_t)again.steps;
    d.seconds = again.seconds;
    CHECK(drl_train(s.tr, NULL, &d) == DRL_OK, "resumed: %s", drl_ctx_message(s.ctx));
    return s;
}

/* With the same clock a run ends with the same bits, stopped and resumed or not: by steps and by time, before
 * and after the total is settled, resumed with the same totals and with none. */
static void runs_resume(void)
{
    static const int stops[5] = { 3, 5, 9, 12, 16 };
    int by_time, i, k;
    for (by_time = 0; by_time < 2; ++by_time) {
        const totals none = { 0, 0 }, all = { by_time ? 0 : 16, by_time ? 40 : 0 };
        float *want;
        fake f, g;
        setup s = fake_run(all, none, 0, 0, &f);
        size_t n = state_of(&s, &want);
        CHECK(s.tr->now.step == 16 && s.tr->now.total == 16 && s.tr->now.seconds == 40,
              "%u steps of %u, %g s",
              (unsigned)s.tr->now.step, (unsigned)s.tr->now.total, s.tr->now.seconds);
        for (i = 1; i <= 16; ++i) {         /* 1 for half of the run, then down to 0, by the steps before */
            double left = 2 * (1 - (i - 1) / 16.0);
            CHECK(f.rate[i] == (left < 1 ? left : 1), "step %d: rate %g", i, f.rate[i]);
        }
        unmake(&s);
        for (i = 0; i < 5; ++i)
            for (k = 0; k < 2; ++k) {
                s = fake_run(all, k ? none : all, stops[i], 0, &g);
                expect_state(&s, want, n, by_time ? "by time" : "by steps");
                CHECK(!memcmp(f.rate, g.rate, sizeof f.rate), "stopped at %d: other rates", stops[i]);
                unmake(&s);
            }
        free(want);
    }
}

/* A run that was planned for 40 s and is stopped at step 12, after 30 s, goes on with other totals. */
static void runs_change(void)
{
    const totals first = { 0, 40 }, longer = { 0, 80 }, shorter = { 0, 20 }, by_steps = { 20, 0 };
    fake f;
    setup s = fake_run(first, longer, 12, 0, &f);
    CHECK(s.tr->now.total == 32 && s.tr->now.step == 32, "80 s at 12 steps in 30 s are %u steps, of %u",
          (unsigned)s.tr->now.step, (unsigned)s.tr->now.total);
    CHECK(f.rate[13] == 1 && f.rate[32] == 2 * (1 - 31 / 32.0), "rates %g and %g", f.rate[13], f.rate[32]);
    unmake(&s);
    s = fake_run(first, shorter, 12, 0, &f);                    /* less than is spent: over */
    CHECK(s.tr->now.step == 12, "%u steps", (unsigned)s.tr->now.step);
    unmake(&s);
    s = fake_run(first, by_steps, 12, 0, &f);
    CHECK(s.tr->now.step == 20 && f.rate[20] == 2 * (1 - 19 / 20.0), "%u steps", (unsigned)s.tr->now.step);
    unmake(&s);
}

/* The share of a run over which the rate falls: 2/3, and none. */
static void runs_fall(void)
{
    const totals none = { 0, 0 }, nine = { 9, 0 }, as_seconds = { 0, 9 * 2.5 };
    fake f;
    setup s = fake_run(nine, none, 0, 2.0 / 3, &f);
    int i;
    for (i = 1; i <= 9; ++i) {
        double want = i < 4 ? 1 : 1.5 * (1 - (i - 1) / 9.0);
        CHECK(fabs(f.rate[i] - want) < 1e-12, "step %d: rate %g", i, f.rate[i]);
    }
    unmake(&s);
    s = fake_run(as_seconds, none, 0, -1, &f);
    CHECK(s.tr->now.step == 9 && f.rate[9] == 1, "%u steps, rate %g", (unsigned)s.tr->now.step, f.rate[9]);
    unmake(&s);
}

/* What cannot be done is refused with a sentence, and changes nothing. */
#define BAD_RUN(assign)                                                                         \
    do {                                                                                        \
        d = fake_desc(&f, 4, 0);                                                                \
        d.clock = NULL;                                                                         \
        assign;                                                                                 \
        CHECK(drl_train(s.tr, NULL, &d) == DRL_E_ARGUMENT, "%s was not refused", #assign);      \
        CHECK(strlen(drl_ctx_message(s.ctx)) > 20, "%s: %s", #assign, drl_ctx_message(s.ctx));  \
        CHECK(!s.tr->now.step && !s.tr->now.total, "%s: a run has begun", #assign);             \
        drl_ctx_clear(s.ctx);                                                                   \
    } while (0)

static void runs_refused(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_run_desc d;
    fake f;
    setup s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    memset(&f, 0, sizeof f);
    f.tr = s.tr;
    f.takes = 1;
    BAD_RUN(d.source = NULL);
    BAD_RUN(d.seconds = 4);                                     /* and steps, too */
    BAD_RUN(d.steps = (uint64_t)1 << 32);
    BAD_RUN((d.steps = 0, d.seconds = -1, d.clock = fake_clock));
    BAD_RUN((d.steps = 0, d.seconds = 4));                      /* without a clock */
    BAD_RUN(d.fall = 1.01);
    BAD_RUN((d.steps = 0, d.seconds = 4, d.clock = fake_clock, d.fall = 0.95));
    BAD_RUN(d.steps = 0);
    BAD_RUN(d.fall = NAN);
    BAD_RUN((d.steps = 0, s.tr->now.planned = 4));              /* a run by time, resumed without a clock */
    CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
    BAD_RUN((void)0);                                           /* the average is in the model */
    unmake(&s);
}

/* A run that diverges again and again ends when its rollbacks are spent. */
static void runs_diverge(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_run_desc d;
    fake f;
    setup s;
    md.b2 = 2e-3;
    md.no_spectral = 1;
    td.learning_rate = 0.5f;
    td.clip = -1;
    td.warmup = -1;
    td.snapshot = 1000;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 5);
    memset(&f, 0, sizeof f);
    f.tr = s.tr;
    d = fake_desc(&f, 3000, 0);
    d.rollbacks = 2;
    CHECK(drl_train(s.tr, NULL, &d) == DRL_E_DIVERGED, "%s", drl_ctx_message(s.ctx));
    CHECK(f.diverged == 2 && s.tr->now.rollbacks == 2 && s.tr->now.total == 3000, "%d rollbacks, total %u",
          f.diverged, (unsigned)s.tr->now.total);
    unmake(&s);
}

/* The memory of a run's batch is given back, and a label beyond the classes is a status. */
static void runs_of_data(void)
{
    static uint8_t pixels[4 * IMAGE], labels[4] = { 1, 2, 3, 2 };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    drl_dataset ds;
    drl_run_desc d;
    setup s;
    size_t held;
    int i;
    for (i = 0; i < 4 * IMAGE; ++i) pixels[i] = (uint8_t)(i * 37);
    memset(&ds, 0, sizeof ds);
    memset(&d, 0, sizeof d);
    ds.count = 4;
    ds.height = 4;
    ds.width = IMAGE / 4;
    ds.channels = 1;
    ds.classes = 3;
    ds.pixels = pixels;
    ds.labels = labels;
    d.steps = 2;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    held = drl_ctx_bytes_used(s.ctx);
    CHECK_OK(s.ctx, drl_train(s.tr, &ds, &d));
    CHECK(s.tr->now.step == 2 && drl_ctx_bytes_used(s.ctx) == held, "%u steps, %d bytes more",
          (unsigned)s.tr->now.step, (int)(drl_ctx_bytes_used(s.ctx) - held));
    memset(labels, 4, sizeof labels);
    d.steps = 3;
    CHECK(drl_train(s.tr, &ds, &d) == DRL_E_ARGUMENT && strstr(drl_ctx_message(s.ctx), "label 4"),
          "label 4 of three classes: %s", drl_ctx_message(s.ctx));
    drl_ctx_clear(s.ctx);
    ds.labels = NULL;
    CHECK_OK(s.ctx, drl_train(s.tr, &ds, &d));
    unmake(&s);
}

/* -- what is done to images before a step, and which are drawn -- */

/* Images of so many channels that differ in every float; colour is -1 where alpha is -1. */
static void coloured(float *x, int n, int h, int w, int c)
{
    drl_rng rng = { 5, 6, 0 };
    int i, k;
    for (i = 0; i < n * h * w; ++i) {
        for (k = 0; k < c; ++k) x[i * c + k] = 2 * drl_rng_uniform(&rng) - 1;
        if (c != 4) continue;
        x[i * c + 3] = drl_rng_below(&rng, 3) ? 1.0f : -1.0f;
        for (k = 0; k < 3 && x[i * c + 3] < 0; ++k) x[i * c + k] = -1;
    }
}

enum { AUGMENT_MIRROR = 1, AUGMENT_SHIFT = 2, AUGMENT_COLOURS = 4 };
typedef struct augmentation { int mirror, down, right, order[3]; } augmentation;

/* What is drawn for an image: of all options, also of those that are not asked for. */
static augmentation draw_augmentation(int variant, int shift, drl_rng *level, drl_rng *more)
{
    static const int orders[6][3] = {
        { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 0, 2, 1 }, { 2, 1, 0 }, { 1, 0, 2 } };
    augmentation a;
    int order;
    (void)drl_rng_below(level, LEVELS);
    a.mirror = drl_rng_below(level, 2) && variant & AUGMENT_MIRROR;
    a.down = drl_rng_below(more, 2 * shift + 1) - shift;
    a.right = drl_rng_below(more, 2 * shift + 1) - shift;
    order = drl_rng_below(more, 6);
    memcpy(a.order, orders[variant & AUGMENT_COLOURS ? order : 0], sizeof a.order);
    return a;
}

/* One image by coordinates of its source. Returns how many floats come from an edge that was repeated. */
static int augment_by_hand(const augmentation *a, const float *x, int h, int w, int channels, float *y)
{
    int row, col, c, edges = 0;
    for (row = 0; row < h; ++row)
        for (col = 0; col < w; ++col)
            for (c = 0; c < channels; ++c) {
                int r = row - a->down, q = col - a->right, from = c < 3 ? a->order[c] : c;
                if (r < 0 || r >= h || q < 0 || q >= w) ++edges;
                while (r < 0) ++r;
                while (r >= h) --r;
                while (q < 0) ++q;
                while (q >= w) --q;
                if (a->mirror) q = w - 1 - q;
                y[(row * w + col) * channels + c] = x[(r * w + q) * channels + from];
            }
    return edges;
}

/* A trainer that augments does, bit for bit, what one without does with images that were changed here. A
 * pixel of alpha 0 keeps no colour. */
static void augmented(int variant, int channels, int shift)
{
    enum { HEIGHT = 4, WIDTH = 6, MOST = HEIGHT * WIDTH * 4 };
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s, plain;
    float *x = floats(BATCH * MOST), *y = floats(BATCH * MOST), *want, z[MOST];
    int size = HEIGHT * WIDTH * channels, i, k, c, step, edges = 0, colours = 0;
    size_t n;
    md.channels = channels;
    md.height = HEIGHT;
    md.width = WIDTH;
    td.flip = 0;
    td.data_noise = 0;
    plain = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    td.flip = variant & AUGMENT_MIRROR;
    td.shift = variant & AUGMENT_SHIFT ? shift : 0;
    td.palette = variant & AUGMENT_COLOURS;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    for (step = 0; step < 6; ++step) {
        drl_rng level = drl__train_rng(s.tr, DRL__DRAW_LEVEL), more = drl__train_rng(s.tr, DRL__DRAW_AUGMENT);
        coloured(x, BATCH, HEIGHT, WIDTH, channels);
        for (i = 0; i < BATCH; ++i) {
            drl_rng same = more;
            augmentation a = draw_augmentation(variant, td.shift, &level, &more);
            float *image = y + i * size;
            edges += augment_by_hand(&a, x + i * size, HEIGHT, WIDTH, channels, image);
            drl__augment(s.tr, x + i * size, a.mirror, &same, z);
            CHECK(!memcmp(z, image, (size_t)size * sizeof *z), "variant %d: other image", variant);
            for (k = 0; k < size && channels == 4; k += 4)
                for (c = 0; c < 3; ++c) colours += image[k + 3] < 0 && image[k + c] > -1;
        }
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x, NULL, NULL));
        CHECK_OK(plain.ctx, drl_trainer_step(plain.tr, y, NULL, NULL));
    }
    n = state_of(&plain, &want);
    expect_state(&s, want, n, "augmented");
    CHECK(!colours, "variant %d: %d colours under alpha 0", variant, colours);
    CHECK(td.shift ? edges > 0 : !edges, "variant %d: %d floats from an edge", variant, edges);
    free(x);
    free(y);
    free(want);
    unmake(&s);
    unmake(&plain);
}

/* Shifts and orders of colours come equally often, independently of each other: an image of one coloured
 * pixel says which. Of 9000 draws each of 150 cases gets 60, and none is off by more than 4.5 standard
 * deviations. */
static void augmentations_count(void)
{
    enum { SIDE = 8, DRAWS = 9000, CASES = 5 * 5 * 6 };
    static int seen[CASES];
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x[SIDE * SIDE * 3], y[SIDE * SIDE * 3];
    drl_rng rng = { 11, 12, 0 };
    int i, k, c, worst = 0;
    md.channels = 3;
    md.height = md.width = SIDE;
    td.shift = 2;
    td.palette = 1;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    for (i = 0; i < SIDE * SIDE * 3; ++i) x[i] = -1;
    for (c = 0; c < 3; ++c) x[(4 * SIDE + 4) * 3 + c] = (float)c;
    for (i = 0; i < DRAWS; ++i) {
        int down, right, order;
        drl__augment(s.tr, x, 0, &rng, y);
        for (k = 0; k < SIDE * SIDE && y[3 * k] < 0; ++k) {}
        down = k / SIDE - 2;
        right = k % SIDE - 2;
        order = 2 * (int)y[3 * k] + (y[3 * k + 1] > y[3 * k + 2]);
        if (down < 0 || down > 4 || right < 0 || right > 4) {
            CHECK(0, "moved to pixel %d", k);
            break;
        }
        ++seen[(down * 5 + right) * 6 + order];
    }
    for (i = 0; i < CASES; ++i) {
        int off = abs(seen[i] - DRAWS / CASES);
        if (off > worst) worst = off;
    }
    CHECK(worst < 35, "of 60 expected %d more or less", worst);
    unmake(&s);
}

#define BAD_AUGMENTATION(assign, said)                                                          \
    do {                                                                                        \
        d = plan();                                                                             \
        assign;                                                                                 \
        CHECK(drl_trainer_create(m, &d, &tr) == DRL_E_ARGUMENT && !tr, "not refused");          \
        CHECK(strstr(drl_ctx_message(ctx), said) != NULL, "%s", drl_ctx_message(ctx));          \
        drl_ctx_clear(ctx);                                                                     \
        REFUSED(ctx, drl_trainer_size(m, &d, &bytes), DRL_E_ARGUMENT);                          \
    } while (0)

static void augmentations_refused(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md = tiny();
    drl_train_desc d;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    size_t bytes = 0;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    BAD_AUGMENTATION(d.shift = -1, "0 to 3");
    BAD_AUGMENTATION(d.shift = H, "0 to 3");
    BAD_AUGMENTATION(d.palette = 1, "has 2");
    d = plan();
    d.shift = H - 1;
    CHECK_OK(ctx, drl_trainer_create(m, &d, &tr));
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* 100 images of four classes: 1, 9, 0 and 90 of them, in mixed order. None is without a class. */
enum { COUNT = 100 };
static const int class_counts[5] = { 0, 1, 9, 0, 90 };
static uint8_t class_pixels[COUNT * IMAGE], class_labels[COUNT];

static drl_dataset class_data(void)
{
    drl_dataset ds;
    int i;
    memset(&ds, 0, sizeof ds);
    ds.count = COUNT;
    ds.height = 4;
    ds.width = IMAGE / 4;
    ds.channels = 1;
    ds.classes = 4;
    ds.pixels = class_pixels;
    ds.labels = class_labels;
    for (i = 0; i < COUNT; ++i) {
        class_labels[i] = i == 37 ? 1 : i % 11 == 1 ? 2 : 4;
        memset(class_pixels + i * IMAGE, 2 * i, IMAGE);
    }
    return ds;
}

static setup class_setup(void)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    md.classes = 4;
    td.label_drop = -1;
    td.learning_rate = td.initializer_rate = 1e-6f;
    return make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
}

/* How many images of each class, and without one, were trained on. */
typedef struct tally { setup s; int of[5]; } tally;

static int tally_step(void *user, const drl_train_report *report)
{
    tally *t = (tally *)user;
    int i;
    (void)report;
    for (i = 0; i < BATCH; ++i) ++t->of[t->s.tr->label[i]];
    return 0;
}

/* Of 900 draws each class gets its share of the images, or, balanced, a third, up to 3 standard
 * deviations. */
static void balanced_classes(void)
{
    enum { RUN = 180, DRAWS = RUN * BATCH };
    drl_dataset ds = class_data();
    drl_run_desc d;
    int balanced, k;
    for (balanced = 0; balanced < 2; ++balanced) {
        tally t;
        memset(&t, 0, sizeof t);
        memset(&d, 0, sizeof d);
        d.steps = RUN;
        d.balanced = balanced;
        d.on_step = tally_step;
        d.user = &t;
        t.s = class_setup();
        CHECK_OK(t.s.ctx, drl_train(t.s.tr, &ds, &d));
        CHECK(!t.of[0] && !t.of[3], "%d without a class, %d of a class without images", t.of[0], t.of[3]);
        for (k = 0; k <= 4; ++k) {
            int want = balanced ? (class_counts[k] ? DRAWS / 3 : 0) : DRAWS * class_counts[k] / COUNT;
            CHECK(abs(t.of[k] - want) < 45, "balanced %d: class %d drawn %d times, not about %d",
                  balanced, k, t.of[k], want);
        }
        unmake(&t.s);
    }
}

/* Within a class every image comes equally often, up to 5 standard deviations, and with its own label. */
static void balanced_images(void)
{
    enum { BATCHES = 4000 };
    static int seen[COUNT];
    drl_dataset ds = class_data();
    drl__classes by;
    setup s = class_setup();
    int order[COUNT], i, k, mixed = 0;
    by.image = order;
    drl__classes_sort(&ds, &by);
    CHECK(by.count == 3 && by.first[0] == 0 && by.first[1] == 1 && by.first[2] == 10 && by.first[3] == COUNT,
          "%d classes", by.count);
    for (i = 0; i < BATCHES; ++i) {
        drl_rng rng = { 3, 0, 0 };
        float x[PIXELS];
        int label[BATCH];
        rng.stream = (uint64_t)i;
        CHECK_OK(s.ctx, drl__classes_batch(s.tr, &ds, &by, &rng, x, label));
        for (k = 0; k < BATCH; ++k) {
            int index = (int)((x[k * IMAGE] + 1) * 127.5f + 0.5f) / 2;      /* its pixels say which it is */
            ++seen[index];
            mixed += label[k] != class_labels[index];
        }
    }
    CHECK(!mixed, "%d images with the label of another", mixed);
    for (i = 0; i < COUNT; ++i) {
        int want = BATCHES * BATCH / 3 / class_counts[class_labels[i]];
        CHECK(abs(seen[i] - want) < 5 * sqrt((double)want), "image %d: %d times, not %d", i, seen[i], want);
    }
    unmake(&s);
}

static void balance_refused(void)
{
    drl_dataset ds = class_data();
    setup s = class_setup();
    drl_run_desc d;
    memset(&d, 0, sizeof d);
    d.steps = 1;
    d.balanced = 1;
    ds.labels = NULL;
    REFUSED(s.ctx, drl_train(s.tr, &ds, &d), DRL_E_ARGUMENT);
    d.source = fake_source;
    REFUSED(s.ctx, drl_train(s.tr, NULL, &d), DRL_E_ARGUMENT);
    d.balanced = 0;
    d.source = NULL;
    ds.channels = 2;
    ds.width /= 2;
    REFUSED(s.ctx, drl_train(s.tr, &ds, &d), DRL_E_SHAPE);
    unmake(&s);
}

/* -- a warm-up that the description leaves open -- */

/* A tenth of a run's steps, at most 300, as soon as its length is known; in a run by time that is after some
 * steps. Stopped before, at and after that, it is the same, and a rollback does not take it away. */
static void warm_ups(void)
{
    static const struct { int given, steps; double seconds, takes; int want; } cases[] = {
        {  0,    20,   0, 1,     2 },
        {  0, 40000,   0, 1,   300 },
        {  0,     9,   0, 1,     0 },
        {  7,    20,   0, 1,     7 },
        { -1,    20,   0, 1,     0 },
        {  0,     0,  60, 0.5,  12 },
        {  0,     0, 1e9, 0.5, 300 },
        {  5,     0,  60, 0.5,   5 } };
    static const int stops[4] = { 0, 4, 10, 14 };
    int i, k;
    for (i = 0; i < (int)(sizeof cases / sizeof *cases); ++i)
        for (k = 0; k < 4; ++k) {
            drl_model_desc md = tiny();
            drl_train_desc td = plan();
            drl_run_desc d;
            setup s;
            fake f;
            if (!cases[i].seconds && (k > 1 || stops[k] >= cases[i].steps)) continue;
            td.warmup = cases[i].given;
            td.learning_rate = 1e-4f;
            td.snapshot = 1000;
            s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
            memset(&f, 0, sizeof f);
            f.tr = s.tr;
            f.takes = cases[i].takes;
            f.stop_at = stops[k] ? stops[k] : 16;
            d = fake_desc(&f, cases[i].steps, cases[i].seconds);
            CHECK(!(drl_train(s.tr, NULL, &d) > DRL_RUNNING), "%s", drl_ctx_message(s.ctx));
            if (stops[k]) {
                fake_resume(&s, &td, &f);
                f.stop_at = 16;
                CHECK(!(drl_train(s.tr, NULL, &d) > DRL_RUNNING), "%s", drl_ctx_message(s.ctx));
            }
            CHECK(s.tr->now.warmup == cases[i].want, "case %d, stopped at %d: warm-up %d, not %d",
                  i, stops[k], s.tr->now.warmup, cases[i].want);
            if (s.tr->now.step >= 10) {
                CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
                CHECK(s.tr->now.warmup == cases[i].want, "case %d: a rollback took the warm-up", i);
            }
            unmake(&s);
        }
}

/* Outside of drl_train the warm-up takes 300 steps. drl_train sets another number as soon as it knows one. */
static void warm_up_rate(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_train_report r;
    setup s;
    float x0[PIXELS];
    int step;
    td.warmup = 0;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    for (step = 0; step < 3; ++step) {
        double want = (double)td.learning_rate * (step + 1) / (step == 2 ? 4 : 300);
        pictures(s.tr, x0, BATCH);
        if (step == 2) s.tr->now.warmup = 4;
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &r));
        CHECK(fabs(r.learning_rate - want) < 1e-12, "step %d: rate %g", step, r.learning_rate);
    }
    unmake(&s);
}

/* The counters and factors of a checkpoint: each alone, in its range and out of it. */
#define STATE(field, value, valid)                                                                  \
    do {                                                                                            \
        drl__train_state now;                                                                       \
        memset(&now, 0, sizeof now);                                                                \
        now.step = 7;                                                                               \
        now.rate_scale = now.rate_factor = 0.5;                                                     \
        now.beta1_power = now.beta2_power = 0.25;                                                   \
        now.grad_average = 2;                                                                       \
        now.field = value;                                                                          \
        if (!now.step) now.beta1_power = now.beta2_power = 1;                                       \
        CHECK((drl__state_check(ctx, &now) == DRL_OK) == valid, "%s is %s", #field, #value);        \
        CHECK(drl_ctx_status(ctx) == (valid ? DRL_OK : DRL_E_FORMAT), "%s is %s: status %d",        \
              #field, #value, (int)drl_ctx_status(ctx));                                            \
        drl_ctx_clear(ctx);                                                                         \
    } while (0)
/* From 0 to `most`, and neither `beyond`, a negative number nor NaN. */
#define STATE_REAL(field, most, beyond)                                                             \
    do {                                                                                            \
        STATE(field, 0, 1);                                                                         \
        STATE(field, most, 1);                                                                      \
        STATE(field, beyond, 0);                                                                    \
        STATE(field, -1e-9, 0);                                                                     \
        STATE(field, (double)NAN, 0);                                                               \
    } while (0)

static void states(void)
{
    drl_ctx *ctx = context(DRL_ISA_PORTABLE, 1, NULL);
    STATE(step, 0, 1);
    STATE(step, 4294967295u, 1);
    STATE(step, (uint64_t)1 << 32, 0);
    STATE(rollbacks, 0, 1);
    STATE(rollbacks, 1073741823, 1);
    STATE(rollbacks, 1073741824, 0);
    STATE(rollbacks, -1, 0);
    STATE(total, 0, 1);
    STATE(total, 4294967295u, 1);
    STATE(total, (uint64_t)1 << 32, 0);
    STATE(warmup, 0, 1);
    STATE(warmup, 2147483647, 1);
    STATE(warmup, -1, 0);
    STATE_REAL(rate_scale, 1, 1.000001);
    STATE_REAL(rate_factor, 1, 1.000001);
    STATE_REAL(beta1_power, 0.999999, 1);
    STATE_REAL(beta2_power, 0.999999, 1);
    STATE_REAL(grad_average, 9e29, 1e30);
    STATE_REAL(seconds, 9e11, 1e12);
    STATE_REAL(planned, 9e11, 1e12);
    drl_ctx_destroy(ctx);
}

/* A learning rate that explodes: a status and a sentence, everything as before the step; rollbacks, to the
 * first state, halve the rate until it works. */
static void divergence(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x0[PIXELS], *before, *kept;
    size_t n;
    int rollbacks = 0, good_steps = 0, total;
    md.b2 = 2e-3;
    md.no_spectral = 1;
    td.learning_rate = 0.5f;
    td.clip = -1;
    td.warmup = -1;
    td.snapshot = 1000;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    n = state_of(&s, &kept);
    for (total = 0; total < 2000 && good_steps < 60 && rollbacks < 30; ++total) {
        drl_status status;
        drl_train_report r;
        uint64_t seed = drl__trainer_rng(s.tr).seed;
        pictures(s.tr, x0, BATCH);
        state_of(&s, &before);
        drl_ctx_clear(s.ctx);
        status = drl_trainer_step(s.tr, x0, NULL, &r);
        if (status == DRL_OK) {
            ++good_steps;
            CHECK(r.rollbacks == rollbacks && fabs(r.learning_rate - 0.5 * pow(0.5, rollbacks)) < 1e-9,
                  "rate %g after %d rollbacks", r.learning_rate, r.rollbacks);
        } else {
            CHECK(status == DRL_E_DIVERGED && drl_ctx_status(s.ctx) == DRL_E_DIVERGED,
                  "status %d", (int)status);
            CHECK(strlen(drl_ctx_message(s.ctx)) > 40, "'%s'", drl_ctx_message(s.ctx));
            expect_state(&s, before, n, "a diverged step");
            drl_ctx_clear(s.ctx);
            CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
            kept[n - 1] = (float)++rollbacks;
            expect_state(&s, kept, n, "rolled back");
            CHECK(drl__trainer_rng(s.tr).seed != seed, "the noise is not fresh after a rollback");
            good_steps = 0;
        }
        free(before);
    }
    CHECK(rollbacks > 0, "a learning rate of 0.5 did not diverge");
    CHECK(good_steps == 60, "no stable run after %d rollbacks", rollbacks);
    free(kept);
    unmake(&s);
}

/* Weights that are not numbers, or huge, or a gradient far above its average: found at the next step, and
 * healed by going back to the snapshot. */
static void spoiled_weights(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[PIXELS], *kept;
    size_t n;
    int k;
    steps(&s, 4);
    n = state_of(&s, &kept);
    for (k = 0; k < 3; ++k) {
        steps(&s, 2);
        if (k == 0) spoil(s.m->net, "energy.conv_in.weight", (float)NAN);
        if (k == 1) spoil(s.m->net, "energy.temb_final.weight", 1e30f);
        if (k == 2) {
            s.tr->now.step = 100;
            s.tr->now.grad_average = 1e-3;
        }
        pictures(s.tr, x0, BATCH);
        REFUSED(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL), DRL_E_DIVERGED);
        CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
        kept[n - 1] = (float)(k + 1);
        expect_state(&s, kept, n, "rolled back to step 4");
        CHECK(drl_trainer_steps(s.tr) == 4, "rolled back to step %d", (int)drl_trainer_steps(s.tr));
    }
    steps(&s, 2);
    free(kept);
    unmake(&s);
}

/* An offset of all energies, which no chain feels: in the last bias before the ReLU and the sum. */
static void exploded_energy(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[PIXELS], *kept;
    size_t n;
    int i = drl_net_param_count(s.m->net) - 1;
    while (!strstr(drl_net_param(s.m->net, i)->name, "conv2.bias")) --i;
    spoil(s.m->net, drl_net_param(s.m->net, i)->name, 1e15f);
    n = state_of(&s, &kept);
    pictures(s.tr, x0, BATCH);
    CHECK(drl_trainer_step(s.tr, x0, NULL, NULL) == DRL_E_DIVERGED, "an energy of 1e15 is no divergence");
    CHECK(strstr(drl_ctx_message(s.ctx), "an energy") != NULL, "'%s'", drl_ctx_message(s.ctx));
    expect_state(&s, kept, n, "an energy has exploded");
    free(kept);
    unmake(&s);
}

/* Without chains nothing but the initializer's own gradient tells that its weights have left all bounds. */
static void initializer_explodes(void)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s;
    float x0[PIXELS], *weights;
    int label[BATCH];
    size_t k;
    md.silu = 1;
    td.objective = DRL_OBJECTIVE_SCORE;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    weights = drl_net_params(s.m->initializer);
    for (k = 0; k < drl_net_params_size(s.m->initializer); ++k) weights[k] *= 1e20f;
    drl_net_refresh(s.m->initializer, 0);
    pictures(s.tr, x0, BATCH);
    CHECK(drl_trainer_step(s.tr, x0, labels_of(s.tr, label), NULL) == DRL_E_DIVERGED, "a step was taken");
    CHECK(strstr(drl_ctx_message(s.ctx), "the initializer's gradient"), "'%s'", drl_ctx_message(s.ctx));
    unmake(&s);
}

/* Less memory, by the weights, average and both moments at least, and no rollback. */
static void without_snapshots(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    size_t with = 0, without = 0;
    td.snapshot = -1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    CHECK_OK(s.ctx, drl_trainer_size(s.m, &td, &without));
    td.snapshot = 7;
    CHECK_OK(s.ctx, drl_trainer_size(s.m, &td, &with));
    CHECK(with >= without + 4 * drl_net_params_size(s.m->net) * sizeof(float),
          "%d bytes with snapshots, %d without", (int)with, (int)without);
    steps(&s, 2);
    REFUSED(s.ctx, drl_trainer_rollback(s.tr), DRL_E_ARGUMENT);
    steps(&s, 1);
    unmake(&s);
}

/* -- score matching, and chains of no steps -- */

/* The noise that energies leave, as reports have it, against averages by hand: of one image in 16, and of all
 * of them with score matching. */
static void noise_left(int score, int cooperative, float data_noise)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    const drl_schedule *sc;
    drl_train_report r;
    drl_energy e;
    setup s;
    float x0[PIXELS], y[IMAGE], eps[IMAGE], grad[IMAGE];
    double want[LEVELS] = { 0 }, images[LEVELS] = { 0 };
    int step, i, j, given[BATCH], seen = 0;
    td.data_noise = data_noise;
    if (score) {
        md.silu = md.no_spectral = 1;
        td.objective = DRL_OBJECTIVE_SCORE;
    }
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    sc = drl_model_schedule(s.m);
    e = drl_model_energy(s.m);
    for (step = 0; step < 40; ++step) {
        const int *labels;
        pictures(s.tr, x0, BATCH);
        labels = labels_of(s.tr, given);
        drl__diffuse(s.tr, x0, labels);                         /* the step will draw the same images */
        for (i = 0; i < BATCH; ++i) {
            int t = s.tr->t[i];
            double a = t < LEVELS - 1 ? sc->a[t + 1] : 1.0, sum = 0, rate = want[t] > 0 ? 0.05 : 1;
            double noise = data_noise > 0 ? (double)data_noise : 0.0;
            double sigma = a * sqrt(1 - sc->abar[t] * sc->abar[t] * (1 - noise * noise));
            if (score) rate = images[t] < 49 ? 1 / (images[t] + 1) : 0.02;
            images[t] += 1;
            if (!score && (i + step) % 16) continue;
            for (j = 0; j < IMAGE; ++j) y[j] = s.tr->y_pos[i * IMAGE + j];
            CHECK_OK(s.ctx, e.eval(e.user, 1, y, &t, s.tr->label + i, NULL, grad));
            drl__train_noise(s.tr, s.ctx, i, 0, eps, IMAGE);
            for (j = 0; j < IMAGE; ++j) sum += pow(sigma * (double)grad[j] + (double)eps[j], 2) / IMAGE;
            want[t] += rate * (sum - want[t]);
            ++seen;
        }
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels, &r));
        for (i = 0; i < LEVELS; ++i)
            CHECK(fabs(r.level[i].noise_left - want[i]) <= 1e-5 * want[i],
                  "score %d, two networks %d, step %d, level %d: %g left, should be %g",
                  score, cooperative, step, i, r.level[i].noise_left, want[i]);
    }
    CHECK(want[0] > 0 && want[1] > 0 && seen >= 40 * BATCH / 16 - 1, "%d images seen", seen);
    unmake(&s);
}

/* The loss of score matching by its definition, from the draws and the model's own gradients. */
static double score_by_definition(const setup *s, const float *x0, int no_steps, int unet)
{
    const drl_schedule *sc = drl_model_schedule(s->m);
    drl_energy e = drl_model_energy(s->m);
    double noise = (double)s->tr->desc.data_noise, loss = 0, weight = 1;
    float x[IMAGE], eps[IMAGE], grad[IMAGE];
    int i, j;
    for (i = 0; i < BATCH; ++i) {
        int t = s->tr->t[i], at = no_steps ? t + 1 : t;
        double a = no_steps ? 1 : drl_schedule_scale(sc, t), abar = a * sc->abar[at];
        double of_data = noise > 0 ? noise * abar : 0, of_level = a * sc->sbar[at];
        double sigma = sqrt(of_level * of_level + of_data * of_data);
        drl__train_noise(s->tr, s->ctx, i, 0, eps, IMAGE);
        for (j = 0; j < IMAGE; ++j) x[j] = (float)(abar * (double)x0[i * IMAGE + j] + sigma * (double)eps[j]);
        CHECK_OK(s->ctx, e.eval(e.user, 1, x, &t, NULL, NULL, grad));
        if (unet) weight = fmin(1 / (sc->abar[at] * sc->abar[at]), 10);
        for (j = 0; j < IMAGE; ++j)
            loss += weight * pow(sigma * (double)grad[j] + (double)eps[j], 2) / (2.0 * IMAGE * BATCH);
    }
    return loss;
}

/* The loss of the images that are diffused now, as the trainer adds it up. */
static double score_of_trainer(setup *s, const drl_energy *e)
{
    drl__figures figures[BATCH];
    double loss = 0;
    int i;
    memset(figures, 0, sizeof figures);
    CHECK_OK(s->ctx, drl__train_score(s->tr, e, figures));
    for (i = 0; i < BATCH; ++i) loss += figures[i].loss;
    return loss;
}

/* The gradient by some parameters beside differences of the loss, which knows nothing of the two points that
 * the step looks at. Both have errors of second order, in `move` and in h = 0.1 sigma: 3 % of their length
 * are allowed. */
static void expect_score_gradient(setup *s, const float *x0, const float *got, size_t every, float move)
{
    drl_energy e = drl_model_energy(s->m);
    size_t k, count = drl_net_params_size(s->m->net);
    double off = 0, length = 0;
    int side;
    for (k = 0; k < count; k += every) {
        float *p = drl_net_params(s->m->net) + k, was = *p;
        double loss[2] = { 0, 0 }, slope;
        for (side = 0; side < 2; ++side) {
            *p = was + (side ? move : -move);
            drl_net_refresh(s->m->net, 0);
            drl__diffuse(s->tr, x0, NULL);
            loss[side] = score_of_trainer(s, &e);
        }
        *p = was;
        slope = (loss[1] - loss[0]) / (2 * (double)move);
        length += slope * slope;
        off += pow(slope - (double)got[k], 2);
    }
    CHECK(length > 0 && sqrt(off / length) < 0.03,
          "the gradient is %.4f away from differences of the loss, their length 1", sqrt(off / length));
}

/* A small energy of a U-Net. */
static drl_model_desc unet_of_coop(void)
{
    drl_model_desc md = coop();
    md.energy_form = DRL_ENERGY_UNET;
    md.resolutions = md.steps = 0;
    md.base = 8;
    md.levels = 12;
    md.b2 = 0;
    memset(md.mult, 0, sizeof md.mult);
    return md;
}

/* The same model each time; a U-Net has other weights than its first, of which the last layer's are zero. */
static setup make_scored(const drl_model_desc *md, const drl_train_desc *td, int unet)
{
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), md, td, 5);
    size_t k;
    test_seed = 4;
    for (k = 0; unet && k < drl_net_params_size(s.m->net); ++k)
        drl_net_params(s.m->net)[k] += (float)real(-0.05, 0.05);
    drl_net_refresh(s.m->net, 0);
    return s;
}

/* At a x_t, and with K = 0 at x_{t+1}; with noise of the data and without; energies of a U-Net have weights.
 * The update is of that gradient. */
static void score_matching(int no_steps, float data_noise, int unet)
{
    drl_model_desc md = unet ? unet_of_coop() : tiny();
    drl_train_desc td = plan();
    drl_train_report report;
    drl_energy e;
    setup s;
    float x0[PIXELS], *gradient;
    double loss, want;
    size_t count;
    if (!unet) {
        md.schedule = DRL_SCHEDULE_T1K;
        md.levels = no_steps ? 40 : 6;
        md.silu = md.no_spectral = 1;
    }
    md.steps = no_steps ? -1 : 3;
    td.objective = DRL_OBJECTIVE_SCORE;
    td.data_noise = data_noise;
    td.clip = -1;
    td.flip = 0;
    td.seed = unet ? 9 : 3;                 /* 9: images on levels where w is below its most, and at it */
    s = make_scored(&md, &td, unet);
    e = drl_model_energy(s.m);
    count = drl_net_params_size(s.m->net);
    pictures(s.tr, x0, BATCH);
    drl__diffuse(s.tr, x0, NULL);
    loss = score_of_trainer(&s, &e);
    want = score_by_definition(&s, x0, no_steps, unet);
    CHECK(fabs(loss - want) < 1e-5 * want, "the loss is %.8f, by definition %.8f", loss, want);
    gradient = floats(count);
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &report));
    CHECK(fabs(report.loss - want) < 1e-5 * want, "the step's loss is %.8f, by definition %.8f",
          report.loss, want);
    memcpy(gradient, drl_net_grads(s.m->net), count * sizeof *gradient);
    unmake(&s);
    s = make_scored(&md, &td, unet);
    expect_score_gradient(&s, x0, gradient, unet ? 97 : 7, unet ? 0.004f : 0.02f);
    free(gradient);
    unmake(&s);
}

/* Energies of a U-Net learn by score matching, which is their default, and get better at it. Their
 * initializer takes the very steps that it takes under recovery likelihood with the data as its target, since
 * neither looks at the energies. */
static void score_of_unet(void)
{
    drl_model_desc md = unet_of_coop();
    drl_train_desc td = plan();
    drl_train_report report;
    float x0[PIXELS];
    double first = 0, last = 0;
    int label[BATCH], i;
    setup s, twin;
    td.beta1 = 0;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    CHECK(s.tr->desc.objective == DRL_OBJECTIVE_SCORE && s.tr->desc.beta1 == 0.9f &&
          s.tr->desc.initializer_data == 1, "defaults of a U-Net's energies");
    td.objective = DRL_OBJECTIVE_RECOVERY;
    twin = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (i = 0; i < 60; ++i) {
        pictures(s.tr, x0, BATCH);
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &report));
        if (i < 10) first += report.loss / 10;
        if (i >= 50) last += report.loss / 10;
        if (i < 3) {
            const drl__part *a = s.tr->part, *b = twin.tr->part;
            CHECK_OK(twin.ctx, drl_trainer_step(twin.tr, x0, label, &report));
            CHECK(!memcmp(a[1].net->params, b[1].net->params, a[1].params * sizeof(float)),
                  "step %d: another initializer", i);
            CHECK(memcmp(a[0].net->params, b[0].net->params, a[0].params * sizeof(float)) != 0,
                  "step %d: the same energies", i);
        }
    }
    CHECK(last < 0.7 * first, "loss %.4f at first, %.4f after 60 steps", first, last);
    unmake(&s);
    unmake(&twin);
}

/* A chain of no steps: y_K is a draw of the normal approximation, x_{t+1} + s^2 dF/dy + s eps, and all else
 * is recovery likelihood. */
static void contrast_without_steps(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_energy e;
    drl_schedule sc;
    setup s;
    float x0[PIXELS], eps[IMAGE], want[PIXELS], grad[IMAGE];
    drl__figures figures[BATCH];
    int i, j;
    md.schedule = DRL_SCHEDULE_T1K;
    md.levels = 40;
    md.steps = -1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    sc = *drl_model_schedule(s.m);
    e = drl_model_energy(s.m);
    pictures(s.tr, x0, BATCH);
    drl__diffuse(s.tr, x0, NULL);
    for (i = 0; i < BATCH; ++i) {
        int t = s.tr->t[i];
        double sigma = sc.s[t + 1];
        const float *x = s.tr->x_next + i * IMAGE;
        e.eval(e.user, 1, x, &t, NULL, NULL, grad);
        drl__train_noise(s.tr, s.ctx, i, 2, eps, IMAGE);
        for (j = 0; j < IMAGE; ++j)
            want[i * IMAGE + j] =
                (float)((double)x[j] + sigma * sigma * (double)grad[j] + sigma * (double)eps[j]);
    }
    CHECK_OK(s.ctx, drl__train_chains(s.tr, &e, figures));
    for (i = 0; i < PIXELS; ++i)
        CHECK(fabs((double)(s.tr->y_neg[i] - want[i])) < 2e-5 * (1 + fabs((double)want[i])),
              "K = 0: y_K[%d] is %.7f, by hand %.7f", i, (double)s.tr->y_neg[i], (double)want[i]);
    steps(&s, 3);
    unmake(&s);
}

/* Weights that no image of the batch depends on, those of the absent classes, have gradients of zero. */
static void absent_classes(void)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s;
    float x0[PIXELS];
    int label[BATCH], i;
    td.label_drop = -1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (i = 0; i < BATCH; ++i) label[i] = 2;
    pictures(s.tr, x0, BATCH);
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, label, NULL));
    for (i = 0; i < s.tr->parts; ++i) {
        const drl__part *part = &s.tr->part[i];
        size_t zero = 0, tiny = 0, k;
        for (k = 0; k < part->params; ++k) {
            float g = fabsf(part->net->grads[k]);
            zero += g == 0;
            tiny += g > 0 && g < 1e-37f;
        }
        CHECK(zero > 0 && tiny == 0, "part %d: of %d gradients %d are zero, %d are tiny", i,
              (int)part->params, (int)zero, (int)tiny);
    }
    unmake(&s);
}

/* -- a network and a schedule of the program's own -- */

/* F = -|h(y)|^2 / 2 with h(y) = y + a layer of an activation of a layer of y; of its maximum in squares of 2
 * x 2 pixels if user is "maximum", of a ReLU if it is "relu" or "leaky". */
static void own_build(drl_net *net, void *user)
{
    const char *kind = user ? (const char *)user : "";
    drl_value y = drl_net_input(net, 4, 4, 2), h, level;
    drl_layer_desc l;
    memset(&l, 0, sizeof l);
    l.out_channels = 8;
    l.name = "level";
    level = drl_net_conv2d(net, drl_net_level(net, 4), &l);
    l.name = "in";
    h = drl_net_act(net, drl_net_shift(net, drl_net_conv2d(net, y, &l), level),
                    !strcmp(kind, "leaky") ? DRL_ACT_LEAKY_RELU :
                    !strcmp(kind, "relu") ? DRL_ACT_RELU : DRL_ACT_SILU);
    if (!strcmp(kind, "maximum")) h = drl_net_upsample2(net, drl_net_maxpool2(net, h));
    l.out_channels = 2;
    l.init_scale = -1;
    l.name = "out";
    h = drl_net_add(net, drl_net_conv2d(net, h, &l), y);
    drl_net_spatial_sum(net, drl_net_dot(net, h, h), -0.5f);
}

static const double own_sbar[7] = { 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999 };

/* A checkpoint says that it needs them. With them it gives a trainer, of other first weights, that goes on as
 * the run does, bit for bit. */
static void expect_own_resumes(setup *s, const float *x0)
{
    drl_model_desc md;
    drl_train_desc td;
    drl_model *m = NULL;
    unsigned char *file;
    size_t size;
    setup again;
    int i;
    CHECK_OK(s->ctx, drl_trainer_save_memory(s->tr, NULL, 0, &size));
    file = (unsigned char *)malloc(size);
    if (!file) exit(3);
    CHECK_OK(s->ctx, drl_trainer_save_memory(s->tr, file, size, &size));
    CHECK_OK(s->ctx, drl_checkpoint_describe_memory(s->ctx, file, size, &md, &td));
    CHECK(!md.build && md.energy_form == DRL_ENERGY_OWN, "what a checkpoint says of its network");
    CHECK(!md.sbar && md.schedule == DRL_SCHEDULE_OWN && md.levels == 6, "what it says of its schedule");
    CHECK(md.height == 4 && md.channels == 2 && td.objective == s->tr->desc.objective,
          "what it says of the rest");
    REFUSED(s->ctx, drl_model_create(s->ctx, &md, 0, &m), DRL_E_ARGUMENT);
    md.build = own_build;
    md.sbar = own_sbar;
    again = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 6);
    CHECK_OK(again.ctx, drl_trainer_resume_memory(again.tr, file, size));
    for (i = 0; i < 3; ++i) {
        CHECK_OK(s->ctx, drl_trainer_step(s->tr, x0, NULL, NULL));
        CHECK_OK(again.ctx, drl_trainer_step(again.tr, x0, NULL, NULL));
    }
    CHECK(!memcmp(s->m->net->params, again.m->net->params, s->m->net->params_size * sizeof(float)),
          "a resumed run has other weights");
    free(file);
    unmake(&again);
}

static drl_model_desc own_model(const char *kind)
{
    drl_model_desc md;
    memset(&md, 0, sizeof md);
    md.height = 4;
    md.channels = 2;
    md.levels = 6;
    md.batch = BATCH;
    md.trainable = 1;
    md.build = own_build;
    md.build_user = (void *)(uintptr_t)kind;
    md.sbar = own_sbar;
    return md;
}

/* They are trained like the library's own, by either objective: after 60 steps on one image its energy is far
 * from that of its negative. */
static void own_network(drl_objective objective)
{
    enum { SIZE = 4 * 4 * 2 };
    drl_model_desc md = own_model("");
    drl_train_desc td = plan();
    drl_energy e;
    float x0[BATCH * SIZE], both[2 * SIZE], f[2];
    setup s;
    int level[2] = { 3, 3 }, i, j;
    td.objective = objective;
    td.learning_rate = 1e-2f;
    td.warmup = -1;
    td.steps = 0;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (j = 0; j < BATCH * SIZE; ++j) x0[j] = j % 2 ? 0.5f : -0.25f;
    for (i = 0; i < 60; ++i) CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL));
    for (j = 0; j < SIZE; ++j) {
        both[j] = x0[j];
        both[SIZE + j] = -x0[j];
    }
    e = drl_model_energy(s.m);
    CHECK_OK(s.ctx, e.eval(e.user, 2, both, level, NULL, f, NULL));
    CHECK(f[0] > f[1] + 1, "F is %g at the data, and %g at its negative", (double)f[0], (double)f[1]);
    expect_own_resumes(&s, x0);
    unmake(&s);
}

/* Score matching needs second derivatives; the recovery likelihood does not. */
static void own_kinks(const char *kind)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md = own_model(kind);
    drl_train_desc td = plan();
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    td.objective = DRL_OBJECTIVE_SCORE;
    CHECK(drl_trainer_create(m, &td, &tr) == DRL_E_ARGUMENT, "%s: score matching is not refused", kind);
    CHECK(strstr(drl_ctx_message(ctx), "second derivatives"), "%s: %s", kind, drl_ctx_message(ctx));
    drl_ctx_clear(ctx);
    td.objective = DRL_OBJECTIVE_RECOVERY;
    CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* -- descriptions and memory -- */

#define BAD(assign)                                                                             \
    do {                                                                                        \
        d = plan();                                                                             \
        assign;                                                                                 \
        bytes = 5;                                                                              \
        REFUSED(ctx, drl_trainer_create(m, &d, &tr), DRL_E_ARGUMENT);                           \
        REFUSED(ctx, drl_trainer_size(m, &d, &bytes), DRL_E_ARGUMENT);                          \
        CHECK(!tr && bytes == 5, "a refused trainer was returned");                             \
    } while (0)

static void descriptions(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md = tiny();
    drl_train_desc d;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    size_t bytes = 0;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    BAD(d.batch = -1);
    BAD(d.batch = BATCH + 1);
    BAD(d.objective = (drl_objective)3);
    BAD(d.objective = DRL_OBJECTIVE_SCORE);             /* the model has leaky ReLUs */
    BAD(d.steps = 100000);
    BAD(d.learning_rate = -1e-3f);
    BAD(d.learning_rate = (float)NAN);
    BAD(d.learning_rate = 1);
    BAD(d.beta1 = 1);
    BAD(d.beta2 = 1);
    BAD(d.beta1 = (float)NAN);
    BAD(d.ema = 1);
    BAD(d.clip = (float)NAN);
    BAD(d.data_noise = 1);
    BAD(d.data_noise = (float)NAN);
    BAD(d.initializer_rate = -1e-3f);
    BAD(d.initializer_rate = 1);
    BAD(d.initializer_rate = (float)NAN);
    BAD(d.label_drop = 1.5f);
    BAD(d.label_drop = (float)NAN);
    REFUSED(ctx, drl_trainer_create(m, &d, NULL), DRL_E_ARGUMENT);
    CHECK(drl_trainer_create(NULL, NULL, &tr) == DRL_E_ARGUMENT && drl_trainer_steps(NULL) == 0, "no model");
    drl_model_destroy(m);
    md = coop();
    md.silu = 1;
    m = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    BAD((d.objective = DRL_OBJECTIVE_SCORE, d.initializer_data = 0.5f));    /* half of it from chains */
    drl_model_destroy(m);
    md = tiny();
    md.trainable = 0;
    m = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    REFUSED(ctx, drl_trainer_create(m, NULL, &tr), DRL_E_ARGUMENT);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* The description of a trainer that was made without one. */
static drl_train_desc defaults_of(const drl_model_desc *md)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    CHECK_OK(ctx, drl_model_create(ctx, md, 1, &m));
    CHECK_OK(ctx, drl_trainer_create(m, NULL, &tr));
    if (tr) d = tr->desc;
    drl_trainer_destroy(tr);
    drl_trainer_destroy(NULL);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return d;
}

static void defaults(void)
{
    drl_model_desc md = tiny();
    drl_train_desc d = defaults_of(&md);
    CHECK(d.batch == BATCH && d.steps == STEPS && d.learning_rate == 3e-4f, "defaults");
    CHECK(d.beta1 == 0.5f && d.beta2 == 0.999f && d.ema == 0.99999f && d.clip == 1.0f,
          "defaults of the update");
    CHECK(d.warmup == 0 && d.data_noise == 0.02f && !d.flip && d.snapshot == 100, "defaults of the run");
    md = coop();
    d = defaults_of(&md);
    CHECK(d.initializer_rate == 1e-3f && d.learning_rate == 5e-4f &&
          d.label_drop == 0.1f && !d.independent_noise &&
          d.data_noise < 0, "defaults of the cooperative form");
}

/* One allocation, of the announced size, and none while training. */
static void memory(int cooperative)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    setup s;
    size_t bytes = 0, held;
    int fail;
    long calls;
    memset(&heap, 0, sizeof heap);
    s.ctx = ctx = context(DRL_ISA_AUTO, 1, &heap);
    s.m = NULL;
    s.tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &s.m));
    held = heap.bytes;
    for (fail = 1; fail < 10; ++fail) {
        drl_status status;
        drl_ctx_clear(ctx);
        heap.fail_at = heap.calls + fail;
        status = drl_trainer_create(s.m, &td, &s.tr);
        heap.fail_at = 0;
        if (status == DRL_OK) break;
        CHECK(status == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !s.tr && heap.bytes == held,
              "allocation %d fails: status %d", fail, (int)status);
    }
    CHECK(s.tr && fail == 2, "a trainer takes %d allocations", fail - 1);
    if (!s.tr) exit(check_report("test_train"));
    CHECK_OK(ctx, drl_trainer_size(s.m, &td, &bytes));
    CHECK(heap.bytes - held == bytes, "%d bytes are held, %d were announced",
          (int)(heap.bytes - held), (int)bytes);
    calls = heap.calls;
    steps(&s, 9);
    CHECK_OK(ctx, drl_trainer_swap_average(s.tr));
    CHECK_OK(ctx, drl_trainer_swap_average(s.tr));
    CHECK_OK(ctx, drl_trainer_rollback(s.tr));
    CHECK(heap.calls == calls, "training made %ld allocations", heap.calls - calls);
    drl_trainer_destroy(s.tr);
    CHECK(heap.bytes == held, "%d bytes leaked", (int)(heap.bytes - held));
    drl_model_destroy(s.m);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* -- learning -- */

/* Mean Euclidean distance of `count` samples to the nearest of `kinds` patterns of `size` floats. `seen`
 * counts the samples that are nearest to each. */
static double distance_to(drl_ctx *ctx, drl_model *m, int count, const float *pattern, int kinds, int size,
                          int *seen)
{
    drl_sample_desc how;
    float *x = floats((size_t)(count * size));
    double sum = 0;
    int i, j, k;
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = 3;
    CHECK_OK(ctx, drl_sample(m, &how, x));
    for (k = 0; k < kinds; ++k) seen[k] = 0;
    for (i = 0; i < count; ++i) {
        double best = HUGE_VAL;
        int at = 0;
        for (k = 0; k < kinds; ++k) {
            double d2 = 0;
            for (j = 0; j < size; ++j) d2 += pow((double)x[i * size + j] - (double)pattern[k * size + j], 2);
            if (d2 < best) {
                best = d2;
                at = k;
            }
        }
        sum += sqrt(best) / count;
        ++seen[at];
    }
    free(x);
    return sum;
}

/* Three points in the plane, and 0.05 around them. */
static void learns_points(void)
{
    static const float point[3 * 2] = { -0.8f, -0.6f, 0.8f, -0.5f, 0.1f, 0.8f };
    drl_model_desc md;
    drl_train_desc td;
    setup s;
    int step, i, seen[3];
    double before, after;
    float x0[2 * 64];
    memset(&md, 0, sizeof md);
    md.height = 1;
    md.channels = 2;
    md.base = 16;
    md.blocks = 2;
    md.steps = 20;
    md.b2 = 2e-3;
    md.batch = 64;
    md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = 64;
    td.learning_rate = 3e-3f;
    td.warmup = 50;
    td.ema = 0.98f;
    td.seed = 1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 2);
    before = distance_to(s.ctx, s.m, 200, point, 3, 2, seen);
    for (step = 0; step < 600; ++step) {
        drl_rng rng = drl__trainer_rng(s.tr);
        for (i = 0; i < 64; ++i) {
            int k = drl_rng_below(&rng, 3);
            x0[2 * i] = point[2 * k] + 0.05f * (drl_rng_uniform(&rng) - 0.5f);
            x0[2 * i + 1] = point[2 * k + 1] + 0.05f * (drl_rng_uniform(&rng) - 0.5f);
        }
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL));
    }
    CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
    after = distance_to(s.ctx, s.m, 200, point, 3, 2, seen);
    printf("points: mean distance to the nearest one %.3f before training, %.3f after; seen %d %d %d times\n",
           before, after, seen[0], seen[1], seen[2]);
    CHECK(before > 0.5 && after < 0.25, "mean distance %.3f before, %.3f after training", before, after);
    CHECK(seen[0] > 20 && seen[1] > 20 && seen[2] > 20, "points are seen %d, %d and %d times in 200",
          seen[0], seen[1], seen[2]);
    unmake(&s);
}

/* 8x8 images of two kinds, light left or light above; samples must be near one of them. */
static void learns_images(void)
{
    drl_model_desc md;
    drl_train_desc td;
    setup s;
    int step, i, j, seen[2];
    double before, after;
    float x0[16 * 64], pattern[2 * 64];
    for (j = 0; j < 64; ++j) {
        pattern[j] = j % 8 < 4 ? 0.8f : -0.8f;
        pattern[64 + j] = j / 8 < 4 ? 0.8f : -0.8f;
    }
    memset(&md, 0, sizeof md);
    md.height = 8;
    md.base = 8;
    md.resolutions = 3;
    md.steps = 10;
    md.b2 = 1e-3;
    md.batch = 16;
    md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = 16;
    td.learning_rate = 2e-3f;
    td.warmup = 20;
    td.ema = 0.95f;
    td.seed = 1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 2);
    before = distance_to(s.ctx, s.m, 24, pattern, 2, 64, seen) / 8;      /* root mean square of 64 pixels */
    for (step = 0; step < 400; ++step) {
        drl_rng rng = drl__trainer_rng(s.tr);
        for (i = 0; i < 16; ++i)
            memcpy(x0 + i * 64, pattern + 64 * drl_rng_below(&rng, 2), 64 * sizeof(float));
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL));
    }
    CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
    after = distance_to(s.ctx, s.m, 24, pattern, 2, 64, seen) / 8;
    printf("images: distance of a pixel to the nearer pattern %.3f before training, %.3f after; "
           "seen %d %d times\n", before, after, seen[0], seen[1]);
    CHECK(before > 1.2 && after < 0.5, "distance %.3f before, %.3f after training", before, after);
    CHECK(seen[0] > 2 && seen[1] > 2, "patterns are seen %d and %d times in 24", seen[0], seen[1]);
    unmake(&s);
}

/* -- Frechet distance -- */

/* 2 * dim points whose mean is `mean` and whose covariance (with 1 / (n - 1)) is L L': mean +- columns of L,
 * scaled. */
static void cloud(const double *mean, const double *l, int dim, float *out)
{
    double scale = sqrt((2 * dim - 1) / 2.0);
    int i, j, sign;
    for (i = 0; i < dim; ++i)
        for (sign = 0; sign < 2; ++sign)
            for (j = 0; j < dim; ++j)
                *out++ = (float)(mean[j] + (sign ? -scale : scale) * l[j * dim + i]);
}

/* Covariances that commute, in a rotated basis: |m1 - m2|^2 and the sum of (s1 - s2)^2, up to the rounding of
 * the points to floats. */
static void frechet(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double work[5 * 25 + 20], d = 4711, d2;
    float a[2 * 5 * 5], b[2 * 5 * 5];
    int i, k, dim;
    for (dim = 1; dim <= 5; ++dim) {
        double m1[5], m2[5], l1[25], l2[25], s1[5], s2[5], want = 0;
        for (i = 0; i < dim; ++i) {
            m1[i] = real(-1, 1);
            m2[i] = real(-1, 1);
            s1[i] = real(0.1, 2);
            s2[i] = i == 3 ? 0.0 : real(0.1, 2);                        /* one direction without any spread */
            want += (m1[i] - m2[i]) * (m1[i] - m2[i]) + (s1[i] - s2[i]) * (s1[i] - s2[i]);
        }
        for (i = 0; i < dim; ++i)
            for (k = 0; k < dim; ++k) {
                double reflection = (i == k ? 1.0 : 0.0) - 2.0 / dim;   /* orthogonal */
                l1[i * dim + k] = reflection * s1[k];
                l2[i * dim + k] = reflection * s2[k];
            }
        cloud(m1, l1, dim, a);
        cloud(m2, l2, dim, b);
        CHECK_OK(ctx, drl_frechet(ctx, a, 2 * dim, b, 2 * dim, dim, work, &d));
        CHECK(fabs(d - want) <= 1e-5 * (1 + want), "dimension %d: %.8f instead of %.8f", dim, d, want);
        CHECK_OK(ctx, drl_frechet(ctx, b, 2 * dim, a, 2 * dim, dim, work, &d2));
        CHECK(fabs(d - d2) <= 1e-5 * (1 + want), "dimension %d: %g one way, %g the other", dim, d, d2);
        CHECK_OK(ctx, drl_frechet(ctx, a, 2 * dim, a, 2 * dim, dim, work, &d2));
        CHECK(d2 >= 0 && d2 < 1e-6, "dimension %d: %g from itself", dim, d2);
    }
    drl_ctx_destroy(ctx);
}

/* c = l l', both 2 x 2. */
static void square2(const double *l, double *c)
{
    c[0] = l[0] * l[0] + l[1] * l[1];
    c[1] = c[2] = l[0] * l[2] + l[1] * l[3];
    c[3] = l[2] * l[2] + l[3] * l[3];
}

/* Two dimensions, not commuting: tr (S1 S2)^(1/2) = sqrt(tr S1 S2 + 2 sqrt(det S1 S2)). And what is
 * refused. */
static void frechet_of_planes(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double work[5 * 4 + 8], d = 4711;
    float a[2 * 2 * 2], b[2 * 2 * 2];
    int i, k;
    for (k = 0; k < 5; ++k) {
        double m[2] = { 0, 0 }, l1[4], l2[4], c1[4], c2[4], trace, det, want;
        for (i = 0; i < 4; ++i) {
            l1[i] = real(-1, 1);
            l2[i] = real(-1, 1);
        }
        square2(l1, c1);
        square2(l2, c2);
        trace = c1[0] * c2[0] + c1[1] * c2[2] + c1[2] * c2[1] + c1[3] * c2[3];
        det = (c1[0] * c1[3] - c1[1] * c1[2]) * (c2[0] * c2[3] - c2[1] * c2[2]);
        want = c1[0] + c1[3] + c2[0] + c2[3] - 2 * sqrt(trace + 2 * sqrt(det));
        cloud(m, l1, 2, a);
        cloud(m, l2, 2, b);
        CHECK_OK(ctx, drl_frechet(ctx, a, 4, b, 4, 2, work, &d));
        CHECK(fabs(d - want) <= 1e-5 * (1 + want), "not commuting: %.8f instead of %.8f", d, want);
    }
    d = 4711;
    REFUSED(ctx, drl_frechet(ctx, a, 1, b, 4, 2, work, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_frechet(ctx, a, 4, b, 4, 0, work, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_frechet(ctx, NULL, 4, b, 4, 2, work, &d), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_frechet(ctx, a, 4, b, 4, 2, NULL, &d), DRL_E_ARGUMENT);
    a[3] = (float)NAN;
    REFUSED(ctx, drl_frechet(ctx, a, 4, b, 4, 2, work, &d), DRL_E_NUMERIC);
    CHECK(d == 4711, "a refused distance was written");
    drl_ctx_destroy(ctx);
}

/* -- scores of classifiers -- */

/* The share of pairs in which a's value is the larger one, ties counting half: few values by hand. */
static void auroc(void)
{
    static const struct { float a[4]; int na; float b[4]; int nb; double want; } cases[] = {
        { { 1, 2, 3 }, 3, { 0 }, 1, 1 },
        { { 1, 2, 3 }, 3, { 4, 5 }, 2, 0 },
        { { 1 }, 1, { 1 }, 1, 0.5 },
        { { 1, 2 }, 2, { 2, 1 }, 2, 0.5 },
        { { 0.3f, 0.7f, 0.7f }, 3, { 0.7f, 0.1f }, 2, 4.0 / 6 },
        { { 1, 1, 1, 0 }, 4, { 1, 0, 0 }, 3, (3 * (0.5 + 2) + 1) / 12 },
        { { (float)HUGE_VAL }, 1, { (float)HUGE_VAL, 3e38f }, 2, 0.75 },
        { { -(float)HUGE_VAL, 0.0f }, 2, { -0.0f }, 1, 0.25 }
    };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double area = 4711, back = 0;
    int i;
    for (i = 0; i < (int)(sizeof cases / sizeof cases[0]); ++i) {
        CHECK_OK(ctx, drl_auroc(ctx, cases[i].a, cases[i].na, cases[i].b, cases[i].nb, &area));
        CHECK_OK(ctx, drl_auroc(ctx, cases[i].b, cases[i].nb, cases[i].a, cases[i].na, &back));
        CHECK(fabs(area - cases[i].want) < 1e-15 && fabs(area + back - 1) < 1e-15,
              "case %d: %g and %g, should be %g", i, area, back, cases[i].want);
    }
    drl_ctx_destroy(ctx);
}

/* Many values, with ties, by ranks: area = (sum of the ranks of a - na (na + 1) / 2) / (na nb), ties having
 * their mean rank. And what is refused. */
static void auroc_by_ranks(void)
{
    enum { NA = 300, NB = 200 };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float a[NA], b[NB];
    double area = 4711, ranks = 0, want;
    int i, j;
    for (i = 0; i < NA; ++i) a[i] = (float)floor(real(0, 40));
    for (i = 0; i < NB; ++i) b[i] = (float)floor(real(-10, 35));
    for (i = 0; i < NA; ++i) {
        ranks += 0.5;
        for (j = 0; j < NA; ++j) ranks += a[j] < a[i] ? 1.0 : a[j] > a[i] ? 0.0 : 0.5;
        for (j = 0; j < NB; ++j) ranks += b[j] < a[i] ? 1.0 : b[j] > a[i] ? 0.0 : 0.5;
    }
    want = (ranks - NA * (NA + 1) / 2.0) / ((double)NA * NB);
    CHECK_OK(ctx, drl_auroc(ctx, a, NA, b, NB, &area));
    CHECK(fabs(area - want) < 1e-12 && area > 0.55 && area < 0.9, "%g, by ranks %g", area, want);
    area = 4711;
    REFUSED(ctx, drl_auroc(ctx, NULL, 3, b, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 0, b, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, NULL, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, b, -1, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, b, 2, NULL), DRL_E_ARGUMENT);
    a[NA - 1] = (float)NAN;
    REFUSED(ctx, drl_auroc(ctx, a, NA, b, NB, &area), DRL_E_NUMERIC);
    REFUSED(ctx, drl_auroc(ctx, b, NB, a, NA, &area), DRL_E_NUMERIC);
    CHECK(area == 4711, "a refused area was written");
    drl_ctx_destroy(ctx);
}

/* As many as there are classes when each image is surely of one and all come equally often; 1 for a single
 * image, and when nothing is known. */
static void inception(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float p[50 * 5];
    double score = 4711, want;
    int i, c, classes;
    for (classes = 1; classes <= 5; ++classes) {
        int n = 10 * classes;
        for (i = 0; i < n; ++i)
            for (c = 0; c < classes; ++c) p[i * classes + c] = i % classes == c ? 1.0f : 0.0f;
        CHECK_OK(ctx, drl_inception_score(ctx, p, n, classes, &score));
        CHECK(fabs(score - classes) < 1e-12, "%d classes: %g", classes, score);
        CHECK_OK(ctx, drl_inception_score(ctx, p, 1, classes, &score));
        CHECK(fabs(score - 1) < 1e-12, "one image: %g", score);
        for (i = 0; i < n * classes; ++i) p[i] = 1.0f / (float)classes;
        CHECK_OK(ctx, drl_inception_score(ctx, p, n, classes, &score));
        CHECK(fabs(score - 1) < 1e-12, "%d classes, all alike: %g", classes, score);
    }
    p[0] = p[1] = 0.5f;
    p[2] = 1;
    p[3] = 0;                                           /* the classes' shares are 3/4 and 1/4 */
    CHECK_OK(ctx, drl_inception_score(ctx, p, 2, 2, &score));
    want = exp((0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25) + log(1 / 0.75)) / 2);
    CHECK(fabs(score - want) < 1e-12, "two images: %.15f, should be %.15f", score, want);
    drl_ctx_destroy(ctx);
}

/* exp of the mean over images of sum_c p log(p / mean p). And what is refused. */
static void inception_by_definition(void)
{
    enum { N = 50, CLASSES = 5 };
    static const float bad[4] = { (float)NAN, -1e-3f, 1.5f, (float)HUGE_VAL };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float p[N * CLASSES];
    double score = 4711, want = 0;
    int i, c;
    for (i = 0; i < N; ++i) {
        double row[CLASSES], sum = 0;
        for (c = 0; c < CLASSES; ++c) sum += row[c] = real(0, 1) * (c == i % 7);
        for (c = 0; c < CLASSES; ++c) p[i * CLASSES + c] = (float)((row[c] + 0.1) / (sum + 0.5));
    }
    for (c = 0; c < CLASSES; ++c) {
        double mean = 0;
        for (i = 0; i < N; ++i) mean += (double)p[i * CLASSES + c] / N;
        for (i = 0; i < N; ++i) {
            double q = (double)p[i * CLASSES + c];
            want += q * log(q / mean) / N;
        }
    }
    CHECK_OK(ctx, drl_inception_score(ctx, p, N, CLASSES, &score));
    CHECK(fabs(score - exp(want)) < 1e-12 && score > 1.01, "50 images: %.15f, should be %.15f",
          score, exp(want));
    score = 4711;
    REFUSED(ctx, drl_inception_score(ctx, NULL, 2, 2, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 0, 2, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 2, 0, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 2, 2, NULL), DRL_E_ARGUMENT);
    for (i = 0; i < 4; ++i) {
        float was = p[37 + i];
        p[37 + i] = bad[i];
        REFUSED(ctx, drl_inception_score(ctx, p, N, CLASSES, &score), DRL_E_NUMERIC);
        p[37 + i] = was;
    }
    CHECK(score == 4711, "a refused score was written");
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    int i;
    if (check_words(argc, argv)) return 2;
    path = check_path("test_train.checkpoint.safetensors");
    for (i = 0; i < 3; ++i) PART(step_by_step(i));
    for (i = 0; i < 9; ++i) PART(cooperative_step_by_step(i));
    PART(resume());
    PART(checkpoint_in_memory());
    PART(checkpoint_of_another_model());
    PART(checkpoint_of_another_pair());
    PART(checkpoint_without_file());
    PART(checkpoint_without_text());
    PART(checkpoint_of_other_shapes());
    PART(checkpoint_without_memory());
    PART(checkpoint_not_finite());
    PART(checkpoint_cut());
    PART(checkpoint_flipped());
    for (i = 0; i < 2; ++i) {
        PART(same_bits(i));
        PART(nearly_same_bits(i));
        PART(average_norms(i));
        PART(rates(i));
        PART(rate_zero(i));
        PART(memory(i));
    }
    PART(bad_data());
    PART(bad_labels());
    PART(steep_start());
    PART(states());
    PART(runs_resume());
    PART(runs_change());
    PART(runs_fall());
    PART(runs_refused());
    PART(runs_diverge());
    PART(runs_of_data());
    for (i = 0; i < 8; ++i) {
        PART(augmented(i, 4, 2));
        PART(augmented(i, 3, 3));
    }
    PART(augmentations_count());
    PART(augmentations_refused());
    PART(balanced_classes());
    PART(balanced_images());
    PART(balance_refused());
    PART(warm_ups());
    PART(warm_up_rate());
    PART(divergence());
    PART(spoiled_weights());
    PART(exploded_energy());
    PART(initializer_explodes());
    PART(without_snapshots());
    PART(bad_snapshot());
    PART(rollback_both());
    PART(score_of_unet());
    PART(score_matching(1, 0.05f, 0));
    PART(score_matching(0, 0.05f, 0));
    PART(score_matching(0, 0.5f, 0));
    PART(score_matching(1, 0.5f, 0));
    PART(score_matching(1, 0, 0));
    PART(score_matching(0, 0.05f, 1));
    PART(score_matching(1, 0, 1));
    PART(noise_left(0, 0, 0.1f));
    PART(noise_left(0, 1, -1));
    PART(noise_left(0, 1, 0.1f));
    PART(noise_left(1, 0, 0.1f));
    PART(contrast_without_steps());
    PART(absent_classes());
    PART(own_network(DRL_OBJECTIVE_SCORE));
    PART(own_network(DRL_OBJECTIVE_RECOVERY));
    PART(own_kinks("leaky"));
    PART(own_kinks("relu"));
    PART(own_kinks("maximum"));
    PART(descriptions());
    PART(defaults());
    PART(learns_points());
    PART(learns_images());
    PART(frechet());
    PART(frechet_of_planes());
    PART(auroc());
    PART(auroc_by_ranks());
    PART(inception());
    PART(inception_by_definition());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count,
          "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_train");
}
