/* test_train.c - training steps against their recomputation, plain and cooperative; repeatability over threads and instruction sets;
 * checkpoints; averages; rates; divergence and rollback; memory; whether a small model learns; metrics of known answer. */
#define DRL_IMPLEMENTATION
#define DRL__GRAIN 4096         /* small tensors are shared by threads, too */
#include "../drl.h"
#include "check.h"
#include "fixture.h"

#define H 4
#define W 6
#define C 2
#define IMAGE  (H * W * C)
#define BATCH  5
#define LEVELS 3
#define STEPS  4

static drl_model_desc tiny(void)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = H; d.width = W; d.channels = C; d.base = 6; d.resolutions = 2; d.levels = LEVELS; d.steps = STEPS; d.batch = BATCH; d.trainable = 1;
    return d;
}

/* Two networks, and as many floats an image; the middle of the initializer attends over 3 pixels. */
static drl_model_desc coop(void)
{
    drl_model_desc d = tiny();
    d.form = DRL_FORM_CDRL; d.height = 4; d.width = IMAGE / 4; d.channels = 1; d.initializer = 8; d.classes = 3;
    return d;
}

static drl_train_desc plan(void)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.seed = 21; d.batch = BATCH; d.learning_rate = 2e-3f; d.warmup = 4; d.beta1 = 0.8f; d.flip = 1; d.snapshot = 4;
    return d;
}

typedef struct setup { drl_ctx *ctx; drl_model *m; drl_trainer *tr; } setup;

static setup make(drl_ctx *ctx, const drl_model_desc *md, const drl_train_desc *td, uint64_t seed)
{
    setup s;
    s.ctx = ctx; s.m = NULL; s.tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, md, seed, &s.m));
    if (s.m && s.m->initializer) {      /* its last layers start at zero, and nothing would be seen of those behind them */
        drl_rng rng = { 0, 4711, 0 };
        size_t k;
        rng.seed = seed;
        for (k = 0; k < s.m->initializer->params_size; ++k) s.m->initializer->params[k] += 0.2f * (drl_rng_uniform(&rng) - 0.5f);
        drl_net_refresh(s.m->initializer, 0);
    }
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

/* The images of a step: blobs, as a function of the trainer's own rng. */
static void pictures(const drl_trainer *tr, float *x, int n)
{
    drl_rng rng = drl__trainer_rng(tr);
    int i, k;
    for (i = 0; i < n; ++i) {
        float level = drl_rng_below(&rng, 2) ? 0.7f : -0.5f, slope = drl_rng_uniform(&rng) - 0.5f;
        for (k = 0; k < IMAGE; ++k) x[i * IMAGE + k] = level + slope * ((float)(k / C % W) / W - 0.5f) + 0.1f * (float)(k % C);
    }
}

/* The labels that go with them, some of them 0; NULL for a model without classes. */
static const int *labels_of(const drl_trainer *tr, int *label)
{
    int i, classes = tr->model->desc.classes;
    for (i = 0; i < BATCH; ++i) label[i] = (int)((drl_trainer_steps(tr) + 3 * (uint64_t)i) % ((uint64_t)classes + 1));
    return classes ? label : NULL;
}

/* Everything that a step may change, as one block to compare: of each network weights, average, moments, power iterations. */
static size_t part_size(const drl__part *p) { return 4 * p->params + p->state; }

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
        memcpy(f, part->net->params, part->params * sizeof(float)); f += part->params;
        memcpy(f, part->ema, part->params * sizeof(float));         f += part->params;
        memcpy(f, part->adam_m, part->params * sizeof(float));      f += part->params;
        memcpy(f, part->adam_v, part->params * sizeof(float));      f += part->params;
        memcpy(f, part->net->state, part->state * sizeof(float));   f += part->state;
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

/* -- one step after another, recomputed -- */

/* Adam and the average of one network in double. */
typedef struct adam { double *m, *v, *ema; } adam;

static adam adam_of(const drl__part *part)
{
    adam a;
    size_t k;
    a.m = doubles(part->params); a.v = doubles(part->params); a.ema = doubles(part->params);
    for (k = 0; k < part->params; ++k) a.ema[k] = (double)part->net->params[k];
    return a;
}

static void adam_free(adam *a) { free(a->m); free(a->v); free(a->ema); }

/* One update from the weights and gradient of the twin, against what `got` has made of them. Gradients up to `noise` may be rounding. */
static void adam_step(adam *a, const drl__part *got, const drl__part *twin, const drl_train_desc *td, int step, double rate, double noise, const char *what)
{
    double beta1 = td->beta1 < 0 ? 0.0 : (double)td->beta1, beta2 = td->beta2 > 0 ? (double)td->beta2 : (double)0.999f, norm = 0, worst = 0;
    double clip = td->clip < 0 ? HUGE_VAL : td->clip > 0 ? (double)td->clip : 1.0, decay = (1.0 + step) / (10.0 + step);
    double ema_max = td->ema < 0 ? 0.0 : td->ema > 0 ? (double)td->ema : (double)0.99999f;
    size_t n = got->params, k;
    int wrong = 0, compared = 0;
    if (decay > ema_max) decay = ema_max;
    for (k = 0; k < n; ++k) norm += (double)twin->net->grads[k] * (double)twin->net->grads[k];
    norm = sqrt(norm);
    for (k = 0; k < n; ++k) {
        double g = (double)twin->net->grads[k] * (norm > clip ? clip / norm : 1.0), w = (double)twin->net->params[k], now = (double)got->net->params[k], want;
        a->m[k] = beta1 * a->m[k] + (1 - beta1) * g;
        a->v[k] = beta2 * a->v[k] + (1 - beta2) * g * g;
        want = w - rate * (a->m[k] / (1 - pow(beta1, step + 1.0))) / (sqrt(a->v[k] / (1 - pow(beta2, step + 1.0))) + 1e-8);
        if (fabs(g) > noise) {
            ++compared;
            if (fabs(now - want) > 2e-3 * rate + 2e-7 * fabs(w)) ++wrong;
        }
        if (fabs(now - w) > worst) worst = fabs(now - w);
        if (fabs(now - want) > 2.1 * rate * sqrt(step + 1.0) + 1e-6) ++wrong;        /* no update is larger than that, half of it */
        a->ema[k] = decay * a->ema[k] + (1 - decay) * now;          /* follow what it really averages */
        if (fabs((double)got->ema[k] - a->ema[k]) > 2e-6) ++wrong;
    }
    CHECK(!wrong, "%s: %d weights or averages are wrong", what, wrong);
    CHECK(worst > 0.5 * rate && 4 * compared > (int)n, "%s: the largest move is %g at rate %g; %d of %d gradients are more than rounding", what, worst, rate, compared, (int)n);
}


static void step_by_step(int variant)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s, twin;
    const drl_schedule *sc;
    float x0[BATCH * IMAGE], x_t[BATCH * IMAGE], x_next[BATCH * IMAGE], y[BATCH * IMAGE], gradient[BATCH * IMAGE], work[IMAGE], f_pos[BATCH], f_neg[BATCH];
    double images[LEVELS] = { 0, 0, 0 }, pos[LEVELS] = { 0, 0, 0 }, neg[LEVELS] = { 0, 0, 0 }, moved[LEVELS] = { 0, 0, 0 }, ratio[LEVELS] = { 0, 0, 0 };
    double rate0, data_noise;
    adam a;
    char what[60];
    size_t n, k;
    int step, i, j, warmup, mirrored = 0;
    if (variant == 1) { td.clip = -1; td.beta1 = -1; td.warmup = -1; td.ema = -1; td.steps = 2; td.flip = 0; td.learning_rate = 1e-3f; td.data_noise = -1; }
    if (variant == 2) { td.clip = 0.05f; td.beta2 = 0.9f; td.ema = 0.3f; md.no_spectral = 1; td.data_noise = 0.1f; }
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    twin = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);       /* stays one step behind: its net gives the gradient of the next step */
    sc = drl_model_schedule(s.m);
    n = drl_net_params_size(s.m->net);
    a = adam_of(&s.tr->part[0]);
    rate0 = (double)td.learning_rate; warmup = td.warmup > 0 ? td.warmup : 0;
    data_noise = td.data_noise < 0 ? 0.0 : td.data_noise > 0 ? (double)td.data_noise : 0.02;
    for (step = 0; step < 7; ++step) {
        drl_train_report r;
        drl__langevin_desc d;
        drl_energy e = drl_model_energy(twin.m);
        drl_rng rng;
        float level[BATCH], df[BATCH], f[BATCH];
        drl_batch batch;
        int t[BATCH], mirror[BATCH], wrong = 0;
        double loss = 0, norm = 0, rate;
        pictures(s.tr, x0, BATCH);

        /* levels and mirrors, then x_t and x_{t+1}, from the draws that the documentation of the step names */
        rng = drl__train_rng(twin.tr, DRL__DRAW_LEVEL);
        for (i = 0; i < BATCH; ++i) {
            float e0[IMAGE], e1[IMAGE];
            t[i] = drl_rng_below(&rng, LEVELS);
            mirror[i] = drl_rng_below(&rng, 2) && td.flip;
            mirrored += mirror[i];
            drl__train_noise(twin.tr, twin.ctx, i, 0, e0, IMAGE);
            drl__train_noise(twin.tr, twin.ctx, i, 1, e1, IMAGE);
            for (j = 0; j < IMAGE; ++j) {
                int row = j / C / W, col = j / C % W, from = (row * W + (mirror[i] ? W - 1 - col : col)) * C + j % C;
                double noise = sqrt(sc->sbar[t[i]] * sc->sbar[t[i]] + data_noise * data_noise * sc->abar[t[i]] * sc->abar[t[i]]);
                double xt = sc->abar[t[i]] * (double)x0[i * IMAGE + from] + noise * (double)e0[j];
                x_t[i * IMAGE + j] = (float)xt;
                x_next[i * IMAGE + j] = (float)(sc->a[t[i] + 1] * xt + sc->s[t[i] + 1] * (double)e1[j]);
            }
        }
        memset(&d, 0, sizeof d);
        d.energy = &e; d.schedule = sc; d.level = t; d.first_draw = 2;
        d.steps = td.steps ? td.steps : STEPS;
        d.step_scale = sqrt((double)STEPS / d.steps);
        d.noise.fill = drl__train_noise; d.noise.user = twin.tr;
        memcpy(y, x_next, sizeof y);
        CHECK_OK(twin.ctx, drl__langevin(twin.ctx, &d, BATCH, y, x_next, gradient, work));
        for (i = 0; i < BATCH; ++i) for (j = 0; j < IMAGE; ++j) x_t[i * IMAGE + j] = (float)(drl_schedule_scale(sc, t[i]) * (double)x_t[i * IMAGE + j]);

        /* loss and its gradient */
        memset(twin.m->net->grads, 0, n * sizeof(float));
        for (i = 0; i < BATCH; ++i) level[i] = (float)t[i];
        for (j = 0; j < 2; ++j) {
            for (i = 0; i < BATCH; ++i) df[i] = (float)((j ? 1.0 : -1.0) * sc->s[1] / sc->s[t[i] + 1] / BATCH);
            batch = drl_batch_of(BATCH, j ? y : x_t, level);
            CHECK_OK(twin.ctx, drl_net_train_forward(twin.m->net, &batch, f));
            CHECK_OK(twin.ctx, drl_net_train_backward(twin.m->net, df));
            memcpy(j ? f_neg : f_pos, f, sizeof f);
        }
        drl_net_spectral_grads(twin.m->net);
        for (i = 0; i < BATCH; ++i) {
            double drift = 0, force = 0, h = drl_schedule_step(sc, t[i]);
            loss -= ((double)f_pos[i] - (double)f_neg[i]) * sc->s[1] / sc->s[t[i] + 1] / BATCH;
            for (j = 0; j < IMAGE; ++j) {
                drift += ((double)y[i * IMAGE + j] - (double)x_next[i * IMAGE + j]) * ((double)y[i * IMAGE + j] - (double)x_next[i * IMAGE + j]) / IMAGE;
                force += (double)gradient[i * IMAGE + j] * (double)gradient[i * IMAGE + j] / IMAGE;
            }
            pos[t[i]] += (double)f_pos[i]; neg[t[i]] += (double)f_neg[i]; images[t[i]] += 1;
            moved[t[i]] += sqrt(drift) / sc->s[t[i] + 1];
            ratio[t[i]] += h * h / 2 * sqrt(force) / h;
        }
        for (k = 0; k < n; ++k) norm += (double)twin.m->net->grads[k] * (double)twin.m->net->grads[k];
        norm = sqrt(norm);

        memset(&r, 0, sizeof r);
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &r));
        for (k = 0; k < BATCH * IMAGE; ++k) if (!(fabs((double)s.tr->x_next[k] - (double)x_next[k]) <= 1e-6)) ++wrong;
        CHECK(!wrong, "variant %d, step %d: %d pixels of x_{t+1} differ", variant, step, wrong);
        CHECK(fabs(r.loss - loss) <= 2e-5 * (fabs(loss) + fabs((double)f_pos[0])), "variant %d, step %d: loss %g, should be %g", variant, step, r.loss, loss);
        CHECK(fabs(r.grad_norm - norm) <= 1e-4 * norm && norm > 0, "variant %d, step %d: gradient %g, should be %g", variant, step, r.grad_norm, norm);
        rate = rate0 * (warmup && step < warmup ? (step + 1.0) / warmup : 1.0);
        CHECK(r.step == (uint64_t)step + 1 && drl_trainer_steps(s.tr) == r.step && r.rollbacks == 0 && r.levels == LEVELS, "variant %d: step %d reported", variant, (int)r.step);
        CHECK(fabs(r.learning_rate - rate) <= 1e-12, "variant %d, step %d: rate %g, should be %g", variant, step, r.learning_rate, rate);
        for (i = 0; i < LEVELS; ++i) {
            const drl_level_report *q = &r.level[i];
            double c = images[i] > 0 ? images[i] : 1;
            CHECK(q->images == images[i], "variant %d: %g images of level %d, should be %g", variant, q->images, i, images[i]);
            CHECK(fabs(q->f_pos - pos[i] / c) <= 1e-4 * (fabs(pos[i] / c) + 1e-3) && fabs(q->f_neg - neg[i] / c) <= 1e-4 * (fabs(neg[i] / c) + 1e-3), "variant %d, level %d: f %g %g, should be %g %g", variant, i, q->f_pos, q->f_neg, pos[i] / c, neg[i] / c);
            CHECK(fabs(q->displacement - moved[i] / c) <= 1e-3 * moved[i] / c && fabs(q->gradient - ratio[i] / c) <= 1e-3 * ratio[i] / c, "variant %d, level %d: displacement %g, gradient %g, should be %g, %g", variant, i, q->displacement, q->gradient, moved[i] / c, ratio[i] / c);
        }

        snprintf(what, sizeof what, "variant %d, step %d", variant, step);
        adam_step(&a, &s.tr->part[0], &twin.tr->part[0], &td, step, rate, 1e-6, what);

        /* the twin follows */
        CHECK_OK(twin.ctx, drl_trainer_step(twin.tr, x0, NULL, NULL));
        CHECK(!memcmp(twin.m->net->params, s.m->net->params, n * sizeof(float)), "variant %d, step %d: twins differ", variant, step);
    }
    CHECK(td.flip ? mirrored > 5 && mirrored < 30 : mirrored == 0, "%d of 35 images were mirrored", mirrored);
    adam_free(&a);
    unmake(&s);
    unmake(&twin);
}

/* Images that agree up to rounding become the trainer's; returns how many do not, but to half a percent: a leaky ReLU within rounding of
 * its kink bends the rest of a chain. */
static int same_images(const char *what, const char *which, const float *got, float *want)
{
    int i, j, bent = 0;
    for (i = 0; i < BATCH; ++i) {
        double worst = 0;
        for (j = 0; j < IMAGE; ++j) {
            double d = fabs((double)got[i * IMAGE + j] - (double)want[i * IMAGE + j]) / (1 + fabs((double)want[i * IMAGE + j]));
            if (!(d <= worst)) worst = d;
        }
        CHECK(worst < 5e-3, "%s: %s: image %d differs by %g", what, which, i, worst);
        bent += worst > 2e-6;
    }
    memcpy(want, got, BATCH * IMAGE * sizeof *want);
    return bent;
}

/* The same for two networks: both levels from one draw, labels that are dropped, the initializer's draw with dropout, chains that start
 * there and are stepped here, both losses and gradients, two updates at rates of their own. */
static void cooperative_step_by_step(int variant)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s, twin;
    const drl_schedule *sc;
    float x0[BATCH * IMAGE], x_t[BATCH * IMAGE], x_next[BATCH * IMAGE], y_0[BATCH * IMAGE], y[BATCH * IMAGE], gradient[BATCH * IMAGE], e[3][IMAGE], f[2][BATCH];
    double mean_data[BATCH * IMAGE], of_net[BATCH], share;      /* E(y_t | x_0, x_{t+1}); dg/dnet; what of it the initializer learns */
    double images[LEVELS] = { 0 }, pos[LEVELS] = { 0 }, neg[LEVELS] = { 0 }, moved[LEVELS] = { 0 }, ratio[LEVELS] = { 0 }, drop_rate, extra, stretch;
    double left[LEVELS] = { 0 };                                /* noise that the initializer leaves */
    adam of_energy, of_initializer = { NULL, NULL, NULL };
    char what[60];
    size_t n, k;
    int step, i, j, K, labelled = 0, dropped = 0, mirrored = 0, bent = 0;
    if (variant == 1) { td.own_noise = 1; td.label_drop = -1; td.clip = -1; td.beta1 = -1; td.warmup = -1; td.ema = -1; td.steps = 2; td.flip = 0; td.initializer_rate = 5e-3f; }
    if (variant == 2) { td.label_drop = 0.5f; td.data_noise = 0.1f; td.clip = 0.05f; td.beta2 = 0.9f; td.ema = 0.3f; md.no_spectral = 1; md.b2 = 2e-3; }
    if (variant == 3) md.classes = 0;
    if (variant == 4) md.initializer = -1;
    if (variant == 5) { md.height = md.width = md.resolutions = 1; md.channels = IMAGE; md.schedule = DRL_SCHEDULE_DRL; }      /* vectors: a dense initializer */
    td.initializer_data = -1;
    if (variant == 6) td.initializer_data = 0;
    if (variant >= 7) { td.initializer_data = 0.4f; td.data_noise = 0.2f; md.initializer_form = DRL_INITIALIZER_VELOCITY; }
    if (variant == 8) { td.own_noise = 1; td.initializer_data = 1; md.schedule = DRL_SCHEDULE_SHIFTED; }
    share = td.initializer_data < 0 ? 0.0 : td.initializer_data > 0 ? (double)td.initializer_data : 1.0;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    twin = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    sc = drl_model_schedule(s.m);
    CHECK(s.tr->parts == (variant == 4 ? 1 : 2) && !sc->logsnr == (variant == 5), "variant %d: %d networks", variant, s.tr->parts);
    of_energy = adam_of(&s.tr->part[0]);
    if (s.m->initializer) of_initializer = adam_of(&s.tr->part[1]);
    drop_rate = td.label_drop < 0 ? 0.0 : td.label_drop > 0 ? (double)td.label_drop : (double)0.1f;
    extra = td.data_noise > 0 ? (double)td.data_noise : 0.0;
    K = td.steps ? td.steps : STEPS;
    stretch = sqrt((double)STEPS / K);
    for (step = 0; step < 7; ++step) {
        drl_train_report r;
        drl_energy energy = drl_model_energy(twin.m);
        drl_rng rng = drl__train_rng(twin.tr, DRL__DRAW_LEVEL), drop = drl__train_rng(twin.tr, DRL__DRAW_LABEL), dropout = drl__train_rng(twin.tr, DRL__DRAW_DROPOUT);
        float level[BATCH], above[BATCH], df[BATCH];
        drl_batch batch;
        drl__langevin_desc chain;
        float end[BATCH * IMAGE];
        int t[BATCH], given[BATCH], label[BATCH], wrong = 0;
        double loss = 0, loss_initializer = 0, norm = 0, norm_initializer = 0, rate, warm;
        const int *labels;
        pictures(s.tr, x0, BATCH);
        labels = labels_of(s.tr, given);

        for (i = 0; i < BATCH; ++i) {
            int mirror;
            t[i] = drl_rng_below(&rng, LEVELS);
            mirror = drl_rng_below(&rng, 2) && td.flip;
            mirrored += mirror;
            label[i] = (double)drl_rng_uniform(&drop) < drop_rate || !labels ? 0 : labels[i];
            labelled += labels && labels[i];
            dropped += labels && labels[i] && !label[i];
            level[i] = drl__schedule_level(sc, t[i]);
            above[i] = drl__schedule_level(sc, t[i] + 1);
            for (j = 0; j < 2; ++j) drl__train_noise(twin.tr, twin.ctx, i, j, e[j], IMAGE);
            for (j = 0; j < IMAGE; ++j) {
                int row = j / md.width, col = j % md.width;
                double x = (double)x0[i * IMAGE + row * md.width + (mirror ? md.width - 1 - col : col)], a = sc->abar[t[i]], b = sc->abar[t[i] + 1];
                double xt = a * x + sqrt(1 - a * a + extra * extra * a * a) * (double)e[0][j];
                x_t[i * IMAGE + j] = (float)xt;
                x_next[i * IMAGE + j] = (float)(td.own_noise ? b / a * xt + sqrt(1 - b * b / (a * a)) * (double)e[1][j]
                                                             : b * x + sqrt(1 - b * b + extra * extra * b * b) * (double)e[0][j]);
                {   /* x_t is a x of variance `now`; x_{t+1} = step_a x_t + noise: conditioned by hand */
                    double step_a = b / a, now = 1 - a * a + extra * extra * a * a, gain = step_a * now / (step_a * step_a * now + 1 - step_a * step_a);
                    mean_data[i * IMAGE + j] = (a * x + gain * ((double)x_next[i * IMAGE + j] - step_a * a * x)) * (t[i] < LEVELS - 1 ? step_a : 1.0);
                }
            }
        }

        /* From here on with the trainer's own images, where they are right: an initializer whose norms see a few pixels turns the last bit
         * of one into the fourth digit of its gradient, and a leaky ReLU may fall on its other side. */
        memset(&r, 0, sizeof r);
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels, &r));
        snprintf(what, sizeof what, "cooperative variant %d, step %d", variant, step);
        for (i = 0; i < BATCH; ++i) {
            if (s.tr->label[i] != label[i]) ++wrong;
            for (j = 0; j < IMAGE && t[i] < LEVELS - 1; ++j) x_t[i * IMAGE + j] = (float)(sc->a[t[i] + 1] * (double)x_t[i * IMAGE + j]);
        }
        CHECK(!wrong, "%s: %d labels differ", what, wrong);
        wrong = same_images(what, "x_{t+1}", s.tr->x_next, x_next) + same_images(what, "a x_t", s.tr->y_pos, x_t);

        /* where chains start */
        memcpy(y, x_next, sizeof y);
        if (s.m->initializer) {
            float mean[BATCH * IMAGE], drawn[BATCH * IMAGE];
            batch = drl_batch_of(BATCH, x_next, above);
            batch.label = label;
            CHECK_OK(twin.ctx, drl_net_forward(twin.m->initializer, &batch, mean));
            batch.dropout = &dropout;
            CHECK_OK(twin.ctx, drl_net_train_forward(twin.m->initializer, &batch, y_0));
            memcpy(drawn, y_0, sizeof drawn);
            drl__initializer_finish(twin.m, BATCH, x_next, t, drawn);
            CHECK((memcmp(mean, y_0, sizeof mean) != 0) == (variant != 5), "dropout changes nothing, or vectors");
            for (i = 0; i < BATCH; ++i) {
                double a = sc->abar[t[i]], b = sc->abar[t[i] + 1], one = b / a, v = 1 - b * b;
                double of_x0 = a * (1 - one * one) / v, of_next = one * (1 - a * a) / v, scale = t[i] < LEVELS - 1 ? one : 1.0;
                of_net[i] = 1;
                if (md.initializer_form != DRL_INITIALIZER_VELOCITY) continue;
                of_net[i] = -scale * of_x0 * sqrt(v);           /* x_0 = b x - sqrt(v) net */
                for (j = 0; j < IMAGE; ++j) {
                    double x = x_next[i * IMAGE + j], out = y_0[i * IMAGE + j];
                    y_0[i * IMAGE + j] = (float)(scale * (of_x0 * (b * x - sqrt(v) * out) + of_next * x));
                }
            }
            for (i = 0; i < BATCH; ++i) {
                double a2 = sc->a[t[i] + 1] * sc->a[t[i] + 1];
                double btilde = (1 - sc->abar[t[i]] * sc->abar[t[i]]) / (1 - sc->abar[t[i] + 1] * sc->abar[t[i] + 1]) * (1 - a2);
                drl__train_noise(twin.tr, twin.ctx, i, DRL__DRAW_PROPOSAL, e[2], IMAGE);
                drl__axpby(twin.ctx, IMAGE, 1.0f, drawn + i * IMAGE, (float)drl__schedule_proposal(sc, t[i]), e[2], drawn + i * IMAGE);
                for (j = 0; j < IMAGE; ++j) mean_data[i * IMAGE + j] += sqrt(btilde * (t[i] == LEVELS - 1 ? 1.0 : a2)) * (double)e[2][j];
                for (j = 0; j < IMAGE; ++j) y_0[i * IMAGE + j] = (float)((double)y_0[i * IMAGE + j] + sqrt(btilde * (t[i] == LEVELS - 1 ? 1.0 : a2)) * (double)e[2][j]);
            }
            wrong += same_images(what, "starts of chains", drawn, y_0);
            memcpy(y, y_0, sizeof y);
        }
        CHECK(!wrong, "%s: %d images differ", what, wrong);
        /* the chain, by the library's parts and here */
        memset(&chain, 0, sizeof chain);
        chain.energy = &energy; chain.schedule = sc; chain.level = t; chain.label = label; chain.steps = K; chain.first_draw = 2; chain.step_scale = stretch;
        chain.noise.fill = drl__train_noise; chain.noise.user = twin.tr;
        memcpy(end, y, sizeof end);
        CHECK_OK(twin.ctx, drl__langevin(twin.ctx, &chain, BATCH, end, x_next, gradient, e[2]));
        CHECK(!memcmp(end, s.tr->y_neg, sizeof end), "%s: chains end elsewhere", what);
        for (k = 0; k < (size_t)K; ++k) {
            CHECK_OK(twin.ctx, energy.eval(energy.user, BATCH, y, t, label, NULL, gradient));
            for (i = 0; i < BATCH; ++i) {
                double s2 = 1 - sc->a[t[i] + 1] * sc->a[t[i] + 1], h = stretch * sqrt(sc->sbar[t[i]] / sc->sbar[0] * (md.b2 > 0 ? md.b2 : 4e-4) * s2);
                drl__train_noise(twin.tr, twin.ctx, i, 2 + (int)k, e[2], IMAGE);
                for (j = 0; j < IMAGE; ++j) {
                    double at = (double)y[i * IMAGE + j], pull = t[i] == LEVELS - 1 ? 0.0 : (at - (double)x_next[i * IMAGE + j]) / s2;
                    y[i * IMAGE + j] = (float)(at + h * h / 2 * ((double)gradient[i * IMAGE + j] - pull) + h * (double)e[2][j]);
                }
            }
        }

        /* losses and gradients: the energy's at a x_t (1 at the last level) and at the chain's end, the initializer's where chains started */
        bent += same_images(what, "ends of chains", end, y);
        memset(twin.m->net->grads, 0, twin.m->net->params_size * sizeof(float));
        for (j = 0; j < 2; ++j) {
            for (i = 0; i < BATCH; ++i) df[i] = (float)((j ? 1.0 : -1.0) * sc->s[1] / sc->s[t[i] + 1] / BATCH);
            batch = drl_batch_of(BATCH, j ? y : x_t, level);
            batch.label = label;
            CHECK_OK(twin.ctx, drl_net_train_forward(twin.m->net, &batch, f[j]));
            CHECK_OK(twin.ctx, drl_net_train_backward(twin.m->net, df));
        }
        drl_net_spectral_grads(twin.m->net);
        for (k = 0; k < twin.m->net->params_size; ++k) norm += (double)twin.m->net->grads[k] * (double)twin.m->net->grads[k];
        norm = sqrt(norm);
        if (s.m->initializer) {
            float dout[BATCH * IMAGE];
            for (k = 0; k < BATCH * IMAGE; ++k) {
                double d = ((double)y_0[k] - (1 - share) * (double)y[k] - share * mean_data[k]) / of_net[k / IMAGE];
                loss_initializer += d * d / BATCH;
                dout[k] = (float)(2 * d / BATCH);
            }
            memset(twin.m->initializer->grads, 0, twin.m->initializer->params_size * sizeof(float));
            CHECK_OK(twin.ctx, drl_net_train_backward(twin.m->initializer, dout));
            for (k = 0; k < twin.m->initializer->params_size; ++k) norm_initializer += (double)twin.m->initializer->grads[k] * (double)twin.m->initializer->grads[k];
            norm_initializer = sqrt(norm_initializer);
            for (k = 0; k < BATCH * IMAGE; ++k) {       /* x_0 by g, the noise of x_{t+1} by x_0 */
                int above = t[k / IMAGE] + 1;
                double a = sc->abar[above - 1], b = sc->abar[above], one = b / a;
                double now = 1 - a * a + extra * extra * a * a;
                double gain = one * now / (one * one * now + 1 - one * one);
                double of_x0 = a * (1 - gain * one) * (above < LEVELS ? one : 1.0);
                double sigma = sqrt(1 - b * b + extra * extra * b * b);
                left[above - 1] += pow(b * ((double)y_0[k] - mean_data[k]) / of_x0 / sigma, 2) / IMAGE;
            }
        }
        for (i = 0; i < BATCH; ++i) {
            double drift = 0, force = 0;
            loss -= ((double)f[0][i] - (double)f[1][i]) * sc->s[1] / sc->s[t[i] + 1] / BATCH;
            for (j = 0; j < IMAGE; ++j) {
                double d = (double)y[i * IMAGE + j] - (double)x_next[i * IMAGE + j];
                drift += d * d / IMAGE;
                force += (double)gradient[i * IMAGE + j] * (double)gradient[i * IMAGE + j] / IMAGE;
            }
            pos[t[i]] += (double)f[0][i]; neg[t[i]] += (double)f[1][i]; images[t[i]] += 1;
            moved[t[i]] += sqrt(drift) / sc->s[t[i] + 1];
            ratio[t[i]] += 0.5 * drl_schedule_step(sc, t[i]) * sqrt(force);
        }

        CHECK(fabs(r.loss - loss) <= 2e-5 * (fabs(loss) + fabs((double)f[0][0])), "%s: loss %g, should be %g", what, r.loss, loss);
        CHECK(fabs(r.grad_norm - norm) <= 1e-4 * norm && norm > 0, "%s: gradient %g, should be %g", what, r.grad_norm, norm);
        CHECK(fabs(r.initializer_loss - loss_initializer) <= 1e-4 * loss_initializer && (loss_initializer > 0) == (variant != 4), "%s: the initializer's loss %g, should be %g", what, r.initializer_loss, loss_initializer);
        CHECK(fabs(r.initializer_grad_norm - norm_initializer) <= 1e-4 * norm_initializer, "%s: the initializer's gradient %g, should be %g", what, r.initializer_grad_norm, norm_initializer);
        for (i = 0; i < LEVELS; ++i) {
            const drl_level_report *q = &r.level[i];
            double c = images[i] > 0 ? images[i] : 1;
            CHECK(q->images == images[i], "%s: %g images of level %d, should be %g", what, q->images, i, images[i]);
            CHECK(fabs(q->f_pos - pos[i] / c) <= 1e-4 * (fabs(pos[i] / c) + 1e-3) && fabs(q->f_neg - neg[i] / c) <= 1e-4 * (fabs(neg[i] / c) + 1e-3), "%s, level %d: f %g %g, should be %g %g", what, i, q->f_pos, q->f_neg, pos[i] / c, neg[i] / c);
            CHECK(fabs(q->displacement - moved[i] / c) <= 1e-3 * moved[i] / c && fabs(q->gradient - ratio[i] / c) <= 1e-3 * ratio[i] / c, "%s, level %d: displacement %g, gradient %g, should be %g, %g", what, i, q->displacement, q->gradient, moved[i] / c, ratio[i] / c);
            CHECK(fabs(q->initializer_noise_left - left[i] / c) <= 2e-4 * left[i] / c,
                  "%s, level %d: the initializer leaves %g, should be %g",
                  what, i, q->initializer_noise_left, left[i] / c);
            CHECK((left[i] > 0) == (s.m->initializer && images[i] > 0),
                  "%s, level %d: %g left", what, i, left[i]);
        }
        warm = td.warmup > 0 && step < td.warmup ? (step + 1.0) / td.warmup : 1.0;
        rate = (double)td.learning_rate * warm;
        CHECK(fabs(r.learning_rate - rate) <= 1e-12 && r.step == (uint64_t)step + 1, "%s: rate %g, should be %g", what, r.learning_rate, rate);
        adam_step(&of_energy, &s.tr->part[0], &twin.tr->part[0], &td, step, rate, 1e-6, what);
        if (s.m->initializer) {             /* its warm-up begins at a twentieth; rounding is of the whole gradient */
            rate = (td.initializer_rate > 0 ? (double)td.initializer_rate : (double)1e-3f) * (warm + 0.05 < 1 ? warm + 0.05 : 1.0);
            strcat(what, ", initializer");
            adam_step(&of_initializer, &s.tr->part[1], &twin.tr->part[1], &td, step, rate, 1e-4 * (td.clip < 0 || norm_initializer < (double)(td.clip > 0 ? td.clip : 1) ? norm_initializer : (double)(td.clip > 0 ? td.clip : 1)), what);
        }

        CHECK_OK(twin.ctx, drl_trainer_step(twin.tr, x0, labels, NULL));                /* the twin follows */
        n = s.tr->part[0].params * sizeof(float);
        CHECK(!memcmp(twin.m->net->params, s.m->net->params, n), "%s: twins differ", what);
        if (s.m->initializer) CHECK(!memcmp(twin.m->initializer->params, s.m->initializer->params, s.tr->part[1].params * sizeof(float)), "%s: twins differ", what);
    }
    CHECK(bent <= 2, "%d of 35 chains were bent", bent);
    CHECK(td.flip ? mirrored > 5 && mirrored < 30 : mirrored == 0, "%d of 35 images were mirrored", mirrored);
    CHECK(variant == 3 ? !labelled : labelled > 20, "%d of 35 images have labels", labelled);
    if (variant == 1) CHECK(!dropped, "%d labels were dropped", dropped);
    if (variant == 2) CHECK(dropped > 5 && dropped < labelled - 5, "%d of %d labels were dropped", dropped, labelled);
    adam_free(&of_energy);
    adam_free(&of_initializer);
    unmake(&s);
    unmake(&twin);
}

/* -- repeatability -- */

static void steps(setup *s, int count)
{
    float x0[BATCH * IMAGE];
    int label[BATCH];
    while (count-- > 0) {
        pictures(s->tr, x0, BATCH);
        CHECK_OK(s->ctx, drl_trainer_step(s->tr, x0, labels_of(s->tr, label), NULL));
    }
}

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

static void same_bits(int cooperative)
{
    static const drl_isa exact[] = { DRL_ISA_FMA128, DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 1, 2, 3, 7 };
    float *want, *got;
    size_t n = train_with(cooperative, DRL_ISA_PORTABLE, 1, BATCH, 21, &want);
    int i;
    for (i = 0; i < (int)DRL__COUNT(exact); ++i) if (train_with(cooperative, exact[i], 1, BATCH, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "%s gives other bits", drl_isa_name(exact[i])); free(got); }
    jobs_nested = 0;
    for (i = 0; i < 4; ++i) if (train_with(cooperative, DRL_ISA_AUTO, threads[i], BATCH, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "%d threads give other bits", threads[i]); free(got); }
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    if (train_with(cooperative, DRL_ISA_AUTO, 2, BATCH + 4, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "a model with a larger batch gives other bits"); free(got); }
    if (train_with(cooperative, DRL_ISA_AUTO, 1, BATCH, 22, &got)) { CHECK(memcmp(want, got, n * sizeof *want) != 0, "another seed gives the same bits"); free(got); }
    if (train_with(cooperative, DRL_ISA_SSE2, 1, BATCH, 21, &got)) {                /* other bits, the same weights up to rounding */
        drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
        drl_model_desc md = cooperative ? coop() : tiny();
        drl_train_desc td = plan();
        setup s = make(ctx, &md, &td, 5);
        double error = 0, norm = 0;
        size_t k, p = s.tr->part[0].params;
        for (k = 0; k < p; ++k) { error += ((double)got[k] - (double)want[k]) * ((double)got[k] - (double)want[k]); norm += (double)want[k] * (double)want[k]; }
        CHECK(sqrt(error / norm) < 2e-3, "sse2 differs by %g", sqrt(error / norm));
        free(got);
        unmake(&s);
    }
    free(want);
}

/* -- checkpoints -- */

static const char *path;               /* of the checkpoint that tests write */

static void resume(void)
{
    int form, visits;
    for (form = 0; form < 3; ++form)                    /* without spectral norm, with it, cooperative */
        for (visits = 0; visits < 2; ++visits) {        /* visits: sampling in between, also with the average swapped in */
            drl_model_desc md = form == 2 ? coop() : tiny(), got_md;
            drl_train_desc td = plan(), got_td;
            setup a, b, c;
            float *want, *at_save, *random = NULL, out[3 * IMAGE], out2[3 * IMAGE], x0[BATCH * IMAGE];
            size_t n, saved;
            int round, i;
            drl_sample_desc how;
            drl_train_report r;
            memset(&how, 0, sizeof how);
            how.count = 3;
            md.no_spectral = !form;
            if (form == 2 && visits) md.schedule = DRL_SCHEDULE_DRL;
            td.learning_rate = 1.7e-3f;
            td.initializer_rate = 2e-3f; td.label_drop = 0.3f; td.own_noise = visits;
            a = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
            if (form == 2) CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, 0.7));
            steps(&a, 9);
            n = state_of(&a, &want);

            b = make(context(DRL_ISA_AUTO, 2, NULL), &md, &td, 5);
            if (form == 2) CHECK_OK(b.ctx, drl_trainer_set_rate(b.tr, 0.7));
            for (round = 0; round < 6; ++round) {
                steps(&b, 1);
                if (visits) {
                    float *before, *swapped;
                    size_t count = state_of(&b, &before);
                    CHECK_OK(b.ctx, drl_sample(b.m, &how, out));
                    CHECK_OK(b.ctx, drl_trainer_swap_average(b.tr));
                    state_of(&b, &swapped);
                    for (i = 0; i < b.tr->parts; ++i) {
                        size_t at = i ? part_size(&b.tr->part[0]) : 0, p = b.tr->part[i].params;
                        CHECK(!memcmp(swapped + at, before + at + p, p * sizeof(float)) && !memcmp(swapped + at + p, before + at, p * sizeof(float)), "the average of network %d is not exchanged", i);
                        CHECK(memcmp(swapped + at, before + at, p * sizeof(float)) != 0, "average and weights of network %d are the same", i);
                    }
                    CHECK_OK(b.ctx, drl_sample(b.m, &how, out2));
                    CHECK(memcmp(out, out2, sizeof out) != 0, "the average gives the same samples");
                    pictures(b.tr, x0, BATCH);
                    REFUSED(b.ctx, drl_trainer_step(b.tr, x0, NULL, &r), DRL_E_ARGUMENT);
                    REFUSED(b.ctx, drl_trainer_rollback(b.tr), DRL_E_ARGUMENT);
                    REFUSED(b.ctx, drl_trainer_save(b.tr, path), DRL_E_ARGUMENT);
                    REFUSED(b.ctx, drl_trainer_resume(b.tr, path), DRL_E_ARGUMENT);
                    CHECK_OK(b.ctx, drl_trainer_swap_average(b.tr));
                    expect_state(&b, before, count, "swapped in and out");
                    CHECK_OK(b.ctx, drl_sample(b.m, &how, out2));
                    CHECK(!memcmp(out, out2, sizeof out), "swapped in and out: other samples");
                    free(before); free(swapped);
                }
            }
            CHECK_OK(b.ctx, drl_trainer_save(b.tr, path));
            saved = state_of(&b, &at_save);

            CHECK_OK(b.ctx, drl_checkpoint_describe(b.ctx, path, &got_md, &got_td));
            CHECK(got_md.height == md.height && got_md.width == md.width && got_md.channels == md.channels && got_md.base == 6 && got_md.levels == LEVELS && got_md.steps == STEPS && got_md.trainable == 1 && got_md.batch >= BATCH && got_md.no_spectral == !form && got_md.form == md.form && got_md.initializer == md.initializer && got_md.classes == md.classes && got_md.schedule == (form == 2 && !visits ? DRL_SCHEDULE_CDRL : DRL_SCHEDULE_DRL), "the model's description");
            CHECK(got_td.seed == td.seed && got_td.batch == td.batch && got_td.learning_rate == td.learning_rate && got_td.warmup == td.warmup && got_td.flip == td.flip && got_td.snapshot == td.snapshot && (got_td.data_noise > 0) == (form < 2) && got_td.initializer_rate == td.initializer_rate && got_td.label_drop == td.label_drop && got_td.own_noise == (form < 2 || visits), "the training's description");

            c = make(context(DRL_ISA_AUTO, 1, NULL), &got_md, &got_td, 77);         /* another process, with other first weights */
            steps(&c, 2);                                                           /* and a past of its own */
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
            /* rolling back right after resuming: to the checkpoint */
            CHECK_OK(c.ctx, drl_trainer_resume(c.tr, path));
            CHECK_OK(c.ctx, drl_trainer_rollback(c.tr));
            state_of(&c, &random);
            CHECK(!memcmp(random, at_save, c.tr->part[0].params * sizeof(float)) && drl_trainer_steps(c.tr) == 6, "rolled back to another state than the checkpoint's");
            free(want); free(at_save); free(random);
            remove(path);
            unmake(&a); unmake(&b); unmake(&c);
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

static void wrong_checkpoints(void)
{
    check_heap heap;
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s, other;
    float *before;
    unsigned char *file, *copy;
    size_t n, size, k, header, bit;
    long live, refused = 0, taken = 0;
    int i;
    memset(&heap, 0, sizeof heap);
    s = make(context(DRL_ISA_AUTO, 1, &heap), &md, &td, 5);
    steps(&s, 2);
    CHECK_OK(s.ctx, drl_trainer_save(s.tr, path));
    file = whole_file(s.ctx, &size);
    copy = (unsigned char *)malloc(size + 1);
    if (!copy) exit(3);
    n = state_of(&s, &before);
    live = heap.live;

    /* to memory and from there it goes as to a path and back */
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, NULL, 0, &bit));
    CHECK(bit == size, "%u bytes in memory, %u in the file", (unsigned)bit, (unsigned)size);
    REFUSED(s.ctx, drl_trainer_save_memory(s.tr, copy, size - 1, &bit), DRL_E_SHAPE);
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, copy, size, &bit));
    CHECK(bit == size && !memcmp(copy, file, size), "the checkpoint in memory is another");
    steps(&s, 1);
    CHECK_OK(s.ctx, drl_checkpoint_describe_memory(s.ctx, copy, size, &md, &td));
    CHECK(md.base == s.m->desc.base && td.seed == s.tr->desc.seed, "descriptions of the checkpoint in memory");
    CHECK_OK(s.ctx, drl_trainer_resume_memory(s.tr, copy, size));
    expect_state(&s, before, n, "a checkpoint from memory");

    for (i = 0; i < 5; ++i) {                               /* checkpoints of other models */
        static const int fields = 5;
        drl_model_desc om = tiny();
        (void)fields;
        if (i == 0) om.base = 8;
        if (i == 1) om.width = 4;
        if (i == 2) om.levels = 4;
        if (i == 3) om.no_spectral = 1;
        if (i == 4) om.b2 = 1e-3;
        other = make(context(DRL_ISA_AUTO, 1, NULL), &om, &td, 5);
        CHECK_OK(other.ctx, drl_trainer_save(other.tr, path));
        REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_SHAPE);
        expect_state(&s, before, n, "a checkpoint of another model");
        unmake(&other);
    }
    for (i = 0; i < 6; ++i) {                               /* the same for two networks, and between the forms */
        drl_model_desc om = coop();
        setup two = make(context(DRL_ISA_AUTO, 1, NULL), &om, &td, 5);
        float *now;
        size_t count = state_of(&two, &now);
        if (i == 0) om.initializer = 10;
        if (i == 1) om.initializer = -1;
        if (i == 2) om.initializer_blocks = 2;
        if (i == 3) om.classes = 2;
        if (i == 4) { om.form = DRL_FORM_DRL; om.initializer = om.classes = 0; }
        if (i == 5) om.base = 8;
        other = make(context(DRL_ISA_AUTO, 1, NULL), &om, &td, 5);
        CHECK_OK(other.ctx, drl_trainer_save(other.tr, path));
        REFUSED(two.ctx, drl_trainer_resume(two.tr, path), DRL_E_SHAPE);
        expect_state(&two, now, count, "a checkpoint of another cooperative model");
        CHECK_OK(two.ctx, drl_trainer_save(two.tr, path));
        REFUSED(other.ctx, drl_trainer_resume(other.tr, path), DRL_E_SHAPE);
        free(now);
        unmake(&two); unmake(&other);
    }
    remove(path);
    REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_IO);
    REFUSED(s.ctx, drl_trainer_save(s.tr, "no/such/folder/checkpoint"), DRL_E_IO);
    REFUSED(s.ctx, drl_trainer_save(s.tr, NULL), DRL_E_ARGUMENT);
    REFUSED(s.ctx, drl_trainer_resume(s.tr, NULL), DRL_E_ARGUMENT);
    CHECK_OK(s.ctx, drl_model_save(s.m, DRL_DTYPE_F32, path));             /* a model is no checkpoint */
    REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_FORMAT);
    {
        drl_model_desc a;
        drl_train_desc b;
        a.base = 4711;
        REFUSED(s.ctx, drl_checkpoint_describe(s.ctx, path, &a, &b), DRL_E_FORMAT);
        CHECK(a.base == 4711, "a refused description was written");
    }

    {                                                       /* whole files, but for a tensor too many, or without one of the texts */
        drl_safetensors *st = NULL;
        drl_safetensors_desc desc = { 0 };
        drl_array array[DRL__CHECKPOINT_ARRAYS + 1];
        const char *meta[8];
        size_t j;
        int drop;
        CHECK_OK(s.ctx, drl_safetensors_open_memory(s.ctx, file, size, &st));
        desc.count = drl_safetensors_contents(st)->count;
        CHECK(drl_safetensors_contents(st)->meta_count == 3 && desc.count <= DRL__CHECKPOINT_ARRAYS, "a checkpoint of %d texts", (int)drl_safetensors_contents(st)->meta_count);
        for (k = 0; k < desc.count; ++k) array[k] = drl_safetensors_contents(st)->arrays[k];
        array[desc.count] = drl_array_of("another", DRL_DTYPE_U8, 0, NULL, "x");
        desc.arrays = array;
        desc.meta = meta;
        for (drop = 0; drop < 4; ++drop) {
            drl_model_desc a;
            drl_train_desc b;
            const char *lost = drop < 3 ? drl_safetensors_contents(st)->meta[2 * drop] : "";
            for (j = k = 0; k < 3; ++k) if (strcmp(drl_safetensors_contents(st)->meta[2 * k], lost)) {
                meta[j++] = drl_safetensors_contents(st)->meta[2 * k];
                meta[j++] = drl_safetensors_contents(st)->meta[2 * k + 1];
            }
            desc.meta_count = j / 2;
            desc.count += drop == 3;
            CHECK_OK(s.ctx, drl_safetensors_write_file(s.ctx, path, &desc));
            if (strcmp(lost, "drl.train")) REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_FORMAT);    /* which a run does not need to go on */
            a.base = 4711;
            if (!strcmp(lost, "drl.train") || !strcmp(lost, "drl.model")) REFUSED(s.ctx, drl_checkpoint_describe(s.ctx, path, &a, &b), DRL_E_FORMAT);
            CHECK(a.base == 4711, "a refused description was written");
        }
        --desc.count;
        CHECK_OK(s.ctx, drl_safetensors_write_file(s.ctx, path, &desc));
        CHECK_OK(s.ctx, drl_trainer_resume(s.tr, path));
        drl_safetensors_close(st);
        expect_state(&s, before, n, "other checkpoints");
    }

    for (k = 0; k < size; k += k < 64 ? 1 : size / 97) {   /* cut anywhere */
        put_file(file, k);
        REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_FORMAT);
    }
    memcpy(copy, file, size);
    copy[size] = 0;
    put_file(copy, size + 1);
    REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_FORMAT);
    expect_state(&s, before, n, "cut files");

    header = 8 + (size_t)file[0] + ((size_t)file[1] << 8);
    for (bit = 0; bit < header * 8; bit += 7) {             /* bits of the header: refused with nothing changed, or taken whole */
        drl_status status;
        copy[bit / 8] = (unsigned char)(copy[bit / 8] ^ (1 << bit % 8));
        put_file(copy, size);
        copy[bit / 8] = file[bit / 8];
        drl_ctx_clear(s.ctx);
        status = drl_trainer_resume(s.tr, path);
        if (status == DRL_OK) {
            ++taken;
            put_file(file, size);
            CHECK_OK(s.ctx, drl_trainer_resume(s.tr, path));
        } else {
            ++refused;
            CHECK(drl_ctx_message(s.ctx)[0] != 0, "bit %d: no sentence", (int)bit);
        }
        expect_state(&s, before, n, "a flipped bit");
    }
    CHECK(refused > 4 * taken, "%ld flipped headers were refused, %ld taken", refused, taken);
    CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
    drl_ctx_clear(s.ctx);

    put_file(file, size);                                   /* every allocation of saving and resuming fails once */
    for (i = 1; i < 30; ++i) {
        drl_status status;
        drl_ctx_clear(s.ctx);
        heap.fail_at = heap.calls + i;
        status = drl_trainer_resume(s.tr, path);
        heap.fail_at = 0;
        expect_state(&s, before, n, "no memory to resume");
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
        if (status == DRL_OK) break;
        CHECK(status == DRL_E_MEMORY && drl_ctx_message(s.ctx)[0], "allocation %d fails: status %d", i, (int)status);
    }
    CHECK(i > 1 && i < 30, "resuming makes %d allocations", i - 1);
    for (i = 1; i < 30; ++i) {
        drl_status status;
        drl_ctx_clear(s.ctx);
        heap.fail_at = heap.calls + i;
        status = drl_trainer_save(s.tr, path);
        heap.fail_at = 0;
        CHECK(heap.live == live, "%ld blocks leaked", heap.live - live);
        if (status == DRL_OK) break;
        CHECK(status == DRL_E_MEMORY && drl_ctx_message(s.ctx)[0], "allocation %d fails: status %d", i, (int)status);
    }
    free(copy);
    copy = whole_file(s.ctx, &k);
    CHECK(k == size && !memcmp(copy, file, size), "the same state is saved as other bytes");
    remove(path);
    free(copy); free(file); free(before);
    unmake(&s);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* -- the average's spectral norms -- */

/* After swapping in, every layer is divided by u'Wv, and that is within 1 % of the norm, found from elsewhere. */
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
            int rows, cols;
            const float *w = s.m->net->params + s.m->net->param[op->weight].offset, *u = s.m->net->state + op->u, *v = s.m->net->state + op->v;
            double sigma, product = 0;
            int row, col;
            if (!op->spectral) continue;
            drl__op_shape(s.m->net, op, &rows, &cols);
            sigma = singular(w, rows, cols);
            if (sigma == 0) continue;
            for (row = 0; row < rows; ++row) for (col = 0; col < cols; ++col) product += (double)u[row] * (double)w[row * cols + col] * (double)v[col];
            CHECK(fabs(product - (double)op->sigma) <= 1e-5 * sigma && fabs(product / sigma - 1) <= 0.01, "round %d, %s: u'Wv is %g, taken as %g; the norm is %g", round, s.m->net->param[op->weight].name, product, (double)op->sigma, sigma);
            if (fabs((double)op->sigma / sigma - 1) > worst) worst = fabs((double)op->sigma / sigma - 1);
            CHECK(fabs((double)op->sigma / sigma - 1) <= 0.01, "round %d, %s: norm of the average is taken as %g, it is %g", round, s.m->net->param[op->weight].name, (double)op->sigma, sigma);
            ++checked;
        }
        CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
    }
    CHECK(checked >= 40 && worst > 0, "%d norms checked", checked);
    unmake(&s);
}

/* -- failing steps -- */

static void bad_data(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5), clean = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[BATCH * IMAGE], *before;
    static const float bad[] = { (float)NAN, (float)HUGE_VAL, -(float)HUGE_VAL, 1e20f };
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
        CHECK(drl_trainer_step(s.tr, x0, NULL, &r) == DRL_E_NUMERIC && strlen(drl_ctx_message(s.ctx)) > 20, "pixel %g: '%s'", (double)bad[i], drl_ctx_message(s.ctx));
        CHECK(r.loss == 4711, "a failed step has written its report");
        expect_state(&s, before, n, "bad pixels");
    }
    REFUSED(s.ctx, drl_trainer_step(s.tr, NULL, NULL, &r), DRL_E_ARGUMENT);
    CHECK(drl_trainer_step(NULL, x0, NULL, &r) == DRL_E_ARGUMENT && drl_trainer_rollback(NULL) == DRL_E_ARGUMENT && drl_trainer_swap_average(NULL) == DRL_E_ARGUMENT, "no trainer");
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
    unmake(&s); unmake(&clean);
}

static void bad_labels(void)
{
    static const int bad[3] = { 4, -1, 2147483647 };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[BATCH * IMAGE], *before;
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

/* Half the factor is half the rate of both networks; none at all leaves the weights. */
static void rates(int cooperative)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan(), half;
    setup a, b;
    float x0[BATCH * IMAGE], *before, *after;
    drl_train_report r;
    int i, label[BATCH];
    size_t k;
    td.initializer_rate = 2e-3f;
    half = td;
    half.learning_rate *= 0.5f; half.initializer_rate *= 0.5f;
    a = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    b = make(context(DRL_ISA_AUTO, 1, NULL), &md, &half, 5);
    CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, 0.5));
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, -1e-9), DRL_E_ARGUMENT);
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, 1.0001), DRL_E_ARGUMENT);
    REFUSED(a.ctx, drl_trainer_set_rate(a.tr, (double)NAN), DRL_E_ARGUMENT);
    CHECK(drl_trainer_set_rate(NULL, 1) == DRL_E_ARGUMENT, "no trainer");
    steps(&a, 6);
    steps(&b, 6);
    k = state_of(&a, &before);
    expect_state(&b, before, k, "half the factor or half the rate");
    pictures(a.tr, x0, BATCH);
    CHECK_OK(a.ctx, drl_trainer_step(a.tr, x0, labels_of(a.tr, label), &r));
    CHECK(fabs(r.learning_rate - 0.5 * (double)td.learning_rate) < 1e-12, "half of %g is %g", (double)td.learning_rate, r.learning_rate);
    free(before);
    CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, 0));
    state_of(&a, &before);
    steps(&a, 3);
    state_of(&a, &after);
    for (i = 0; i < a.tr->parts; ++i) {
        const float *w0 = before + (i ? part_size(&a.tr->part[0]) : 0), *w1 = after + (w0 - before);
        int moved = 0;
        for (k = 0; k < a.tr->part[i].params; ++k) if (w0[k] < w1[k] || w0[k] > w1[k]) ++moved;
        CHECK(!moved, "%d weights of network %d move at rate 0", moved, i);
        CHECK(memcmp(w0 + 2 * a.tr->part[i].params, w1 + 2 * a.tr->part[i].params, a.tr->part[i].params * sizeof(float)) != 0, "the moments of network %d stand still", i);
    }
    CHECK(drl_trainer_steps(a.tr) == 10, "%d steps", (int)drl_trainer_steps(a.tr));
    free(before);
    CHECK_OK(a.ctx, drl_trainer_set_rate(a.tr, 1));
    steps(&a, 1);
    state_of(&a, &before);
    for (i = 0; i < a.tr->parts; ++i) {
        size_t at = i ? part_size(&a.tr->part[0]) : 0;
        CHECK(memcmp(before + at, after + at, a.tr->part[i].params * sizeof(float)) != 0, "network %d does not go on", i);
    }
    free(before); free(after);
    unmake(&a); unmake(&b);
}

/* Both networks go back together, whichever of them was spoiled. */
static void rollback_both(void)
{
    static const struct { const char *name; float value; } spoil[4] = {
        { "initializer.init_conv.weight", (float)NAN }, { "initializer.final_conv.weight", 1e30f }, { "energy.temb_final.weight", (float)NAN }, { "initializer.mid_attn.to_out.bias", (float)HUGE_VAL }
    };
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    float x0[BATCH * IMAGE], *kept, *before;
    drl_train_report r;
    size_t n;
    int k, i, label[BATCH];
    steps(&s, 4);
    n = state_of(&s, &kept);
    for (k = 0; k < 4; ++k) {
        drl_net *net = spoil[k].name[0] == 'i' ? s.m->initializer : s.m->net;
        uint64_t seed = drl__trainer_rng(s.tr).seed;
        steps(&s, 2);
        for (i = 0; strcmp(drl_net_param(net, i)->name, spoil[k].name); ++i) { }
        drl_net_params(net)[drl_net_param(net, i)->offset] = spoil[k].value;
        drl_net_refresh(net, 0);
        state_of(&s, &before);
        pictures(s.tr, x0, BATCH);
        r.loss = 4711;
        REFUSED(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &r), DRL_E_DIVERGED);
        expect_state(&s, before, n, "a spoiled step");
        CHECK(r.loss == 4711, "a failed step has written its report");
        CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
        kept[n - 1] = (float)(k + 1);
        expect_state(&s, kept, n, "both networks rolled back to step 4");
        CHECK(drl_trainer_steps(s.tr) == 4 && drl__trainer_rng(s.tr).seed != seed, "step %d, or the old noise", (int)drl_trainer_steps(s.tr));
        free(before);
    }
    pictures(s.tr, x0, BATCH);
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &r));
    CHECK(r.rollbacks == 4 && fabs(r.learning_rate - (double)td.learning_rate / 16) < 1e-12, "rate %g after %d rollbacks", r.learning_rate, r.rollbacks);
    free(kept);
    unmake(&s);
}

/* A snapshot that is bad itself: steps from it diverge whatever the rate, and a loop of steps and rollbacks ends with a status. */
static void bad_snapshot(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x0[BATCH * IMAGE], *before;
    size_t n = 0;
    int round, rollbacks = 0, k;
    td.snapshot = 2;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    steps(&s, 4);
    pictures(s.tr, x0, BATCH);
    for (round = 0; round < 2; ++round) {               /* what the snapshot holds is not finite; then it is again, and the count begins anew */
        float kept = s.tr->part[0].good_params[0];
        drl_status status = DRL_OK;
        s.tr->part[0].good_params[0] = (float)NAN;
        CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
        for (k = 1; k < 1000; ++k) {
            REFUSED(s.ctx, drl_trainer_step(s.tr, x0, NULL, NULL), DRL_E_DIVERGED);
            n = state_of(&s, &before);
            status = drl_trainer_rollback(s.tr);
            if (status != DRL_OK) break;
            free(before);
        }
        rollbacks += k;
        CHECK(k == DRL_ROLLBACKS_MAX && status == DRL_E_DIVERGED && strstr(drl_ctx_message(s.ctx), "older checkpoint"), "%d rollbacks, then %s: %s", k, drl_status_text(status), drl_ctx_message(s.ctx));
        REFUSED(s.ctx, drl_trainer_rollback(s.tr), DRL_E_DIVERGED);
        expect_state(&s, before, n, "a refused rollback");
        free(before);
        s.tr->part[0].good_params[0] = kept;            /* what resuming a good checkpoint does */
        drl__part_copy(&s.tr->part[0], 1);
        drl__net_prepare(s.tr->part[0].net, DRL__NORM_KEPT);
        steps(&s, 2);                                   /* past the next snapshot */
        CHECK(drl_trainer_steps(s.tr) % 2 == 0, "step %d", (int)drl_trainer_steps(s.tr));
    }
    CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
    CHECK(rollbacks == 2 * DRL_ROLLBACKS_MAX, "%d rollbacks", rollbacks);
    unmake(&s);
}

/* Energies of points in the plane that are drawn steep: their first chains go far, and training brings them back. */
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
        md.height = 1; md.channels = 2; md.form = DRL_FORM_CDRL; md.base = 8; md.mult[0] = 8; md.blocks = 3;
        md.steps = 10; md.b2 = 3e-3; md.noise_scale = 1; md.no_spectral = 1; md.batch = 64; md.trainable = 1;
        td.batch = 64; td.seed = seeds[i]; td.learning_rate = 5e-4f; td.warmup = 200; td.data_noise = 0.02f;
        s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, seeds[i]);
        for (step = 0; step < 60; ++step) {
            drl_rng rng = drl__trainer_rng(s.tr);
            for (k = 0; k < 2 * 64; ++k) x0[k] = 2 * (float)(drl_rng_below(&rng, 2)) - 1 + 0.5f * drl_rng_uniform(&rng);
            CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &r));
        }
        unmake(&s);
    }
}

/* -- drl_train -- */

/* A clock that says how often it was asked: each step takes `takes` seconds, what lies between two steps as many as it pleases. */
typedef struct fake { double now, takes; int asked, stop_at, calls, diverged; drl_trainer *tr; double rate[64]; } fake;

static double fake_clock(void *user)
{
    fake *f = (fake *)user;
    f->now += f->asked++ % 2 ? f->takes : 1000.0;
    return f->now;
}

static drl_status fake_source(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels)
{
    (void)ctx; (void)rng; (void)labels;
    pictures(((fake *)user)->tr, x0, n);
    return DRL_OK;
}

static int fake_step(void *user, const drl_train_report *report)
{
    fake *f = (fake *)user;
    if (report->diverged) { ++f->diverged; return 0; }
    if (report->step < 64) f->rate[report->step] = f->tr->now.rate_factor;
    ++f->calls;
    return (int)report->step == f->stop_at;
}

/* One run, or one that is stopped at step `stop`, saved, and resumed by another trainer with the description `again`. */
static setup fake_run(const drl_run_desc *first, const drl_run_desc *again, int stop, double takes, fake *f, drl_status want)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_run_desc d = *first;
    setup s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    memset(f, 0, sizeof *f);
    f->tr = s.tr; f->takes = takes; f->stop_at = stop;
    d.clock = fake_clock; d.source = fake_source; d.on_step = fake_step; d.user = f;
    CHECK(drl_train(s.tr, NULL, &d) == (stop ? DRL_RUNNING : want), "stop at %d: %s", stop, drl_ctx_message(s.ctx));
    if (!stop) return s;
    CHECK_OK(s.ctx, drl_trainer_save(s.tr, path));
    unmake(&s);
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 99);
    CHECK_OK(s.ctx, drl_trainer_resume(s.tr, path));
    f->tr = s.tr; f->stop_at = 0;
    d.steps = again->steps; d.seconds = again->seconds;
    CHECK(drl_train(s.tr, NULL, &d) == want, "resumed: %s", drl_ctx_message(s.ctx));
    remove(path);
    return s;
}

/* With the same clock a run ends with the same bits, stopped and resumed or not, by steps and by time, before and after the total is settled. */
static void runs_resume(void)
{
    static const int stops[5] = { 3, 5, 9, 12, 16 };
    int by_time, i, k;
    for (by_time = 0; by_time < 2; ++by_time) {
        drl_run_desc d, none;
        float *want;
        setup s;
        fake f, g;
        size_t n;
        memset(&d, 0, sizeof d);
        memset(&none, 0, sizeof none);
        if (by_time) d.seconds = 40; else d.steps = 16;
        s = fake_run(&d, NULL, 0, 2.5, &f, DRL_OK);
        n = state_of(&s, &want);
        CHECK(s.tr->now.step == 16 && s.tr->now.total == 16 && s.tr->now.seconds == 40, "%u steps of %u, %g s", (unsigned)s.tr->now.step, (unsigned)s.tr->now.total, s.tr->now.seconds);
        for (i = 1; i <= 16; ++i) {                             /* constant, then falling, by the step before */
            double left = 2 * (1 - (i - 1) / 16.0);
            CHECK(f.rate[i] == (left < 1 ? left : 1), "step %d: rate %g", i, f.rate[i]);
        }
        unmake(&s);
        for (i = 0; i < 5; ++i)
            for (k = 0; k < 2; ++k) {                           /* resumed with the same words, and with none */
                s = fake_run(&d, k ? &none : &d, stops[i], 2.5, &g, DRL_OK);
                expect_state(&s, want, n, by_time ? "by time" : "by steps");
                CHECK(!memcmp(f.rate, g.rate, sizeof f.rate), "stopped at %d: other rates", stops[i]);
                unmake(&s);
            }
        free(want);
    }
}

static void runs_change(void)
{
    drl_run_desc d, more;
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    fake f;
    int i;
    memset(&d, 0, sizeof d);
    memset(&more, 0, sizeof more);
    d.seconds = 40;
    more.seconds = 80;                                          /* the total grows with the time: 12 steps in 30 s make 32 in 80 */
    s = fake_run(&d, &more, 12, 2.5, &f, DRL_OK);
    CHECK(s.tr->now.total == 32 && s.tr->now.step == 32 && f.rate[13] == 1 && f.rate[32] == 2 * (1 - 31 / 32.0), "%u of %u", (unsigned)s.tr->now.step, (unsigned)s.tr->now.total);
    unmake(&s);
    more.seconds = 20;                                          /* less than is spent: over */
    s = fake_run(&d, &more, 12, 2.5, &f, DRL_OK);
    CHECK(s.tr->now.step == 12, "%u steps", (unsigned)s.tr->now.step);
    unmake(&s);
    more.seconds = 0;
    more.steps = 20;
    s = fake_run(&d, &more, 12, 2.5, &f, DRL_OK);
    CHECK(s.tr->now.step == 20 && f.rate[20] == 2 * (1 - 19 / 20.0), "%u steps", (unsigned)s.tr->now.step);
    unmake(&s);
    memset(&d, 0, sizeof d);
    d.steps = 9; d.fall = 2.0 / 3;
    s = fake_run(&d, NULL, 0, 1, &f, DRL_OK);
    for (i = 1; i <= 9; ++i) CHECK(fabs(f.rate[i] - (i < 4 ? 1 : 1.5 * (1 - (i - 1) / 9.0))) < 1e-12, "step %d: rate %g", i, f.rate[i]);
    unmake(&s);
    d.fall = -1;
    d.seconds = 9; d.steps = 0;
    s = fake_run(&d, NULL, 0, 1, &f, DRL_OK);
    CHECK(s.tr->now.step == 9 && f.rate[9] == 1, "%u steps, rate %g", (unsigned)s.tr->now.step, f.rate[9]);
    unmake(&s);
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);                          /* what cannot be done, and changes nothing */
    memset(&f, 0, sizeof f);
    for (i = 0; i < 11; ++i) {
        memset(&d, 0, sizeof d);
        d.steps = 4; d.source = fake_source; d.user = &f;
        f.tr = s.tr; f.takes = 1;
        if (i == 0) d.source = NULL;
        if (i == 1) d.seconds = 4;
        if (i == 2) d.steps = (uint64_t)1 << 32;
        if (i == 3) { d.steps = 0; d.seconds = -1; d.clock = fake_clock; }
        if (i == 4) { d.steps = 0; d.seconds = 4; }
        if (i == 5) d.fall = 1.01;
        if (i == 6) { d.steps = 0; d.seconds = 4; d.clock = fake_clock; d.fall = 0.95; }
        if (i == 7) d.steps = 0;
        if (i == 8) d.fall = NAN;
        if (i == 9) { d.steps = 0; s.tr->now.planned = 4; }     /* goes on with a run by time, and has no clock */
        if (i == 10) CHECK_OK(s.ctx, drl_trainer_swap_average(s.tr));
        CHECK(drl_train(s.tr, NULL, &d) == DRL_E_ARGUMENT && strlen(drl_ctx_message(s.ctx)) > 20 && !s.tr->now.step && !s.tr->now.total, "case %d: %s", i, drl_ctx_message(s.ctx));
        drl_ctx_clear(s.ctx);
    }
    unmake(&s);
    md.b2 = 2e-3; md.no_spectral = 1;                           /* diverges, again and again */
    td.learning_rate = 0.5f; td.clip = -1; td.warmup = -1; td.snapshot = 1000;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 5);
    memset(&d, 0, sizeof d);
    memset(&f, 0, sizeof f);
    d.steps = 3000; d.rollbacks = 2; d.source = fake_source; d.on_step = fake_step; d.user = &f;
    f.tr = s.tr;
    CHECK(drl_train(s.tr, NULL, &d) == DRL_E_DIVERGED && f.diverged == 2 && s.tr->now.rollbacks == 2 && s.tr->now.total == 3000, "%d rollbacks, total %u", f.diverged, (unsigned)s.tr->now.total);
    unmake(&s);
}

/* A data set's labels count from 0, classes from 1; the batch is given back, and no memory is a status. */
static void runs_of_data(void)
{
    static uint8_t pixels[4 * IMAGE], labels[4] = { 0, 1, 2, 1 };
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
    ds.count = 4; ds.height = 4; ds.width = IMAGE / 4; ds.channels = 1; ds.classes = 3; ds.pixels = pixels; ds.labels = labels;
    d.steps = 2;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    held = drl_ctx_bytes_used(s.ctx);
    CHECK_OK(s.ctx, drl_train(s.tr, &ds, &d));
    CHECK(s.tr->now.step == 2 && drl_ctx_bytes_used(s.ctx) == held, "%u steps, %d bytes more", (unsigned)s.tr->now.step, (int)(drl_ctx_bytes_used(s.ctx) - held));
    labels[0] = labels[1] = labels[2] = labels[3] = 3;
    d.steps = 3;
    CHECK(drl_train(s.tr, &ds, &d) == DRL_E_ARGUMENT && strstr(drl_ctx_message(s.ctx), "label 4"), "label 3 is class 4: %s", drl_ctx_message(s.ctx));
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
        if (c == 4) x[i * c + 3] = drl_rng_below(&rng, 3) ? 1.0f : -1.0f;
        for (k = 0; k < 3 && c == 4; ++k) if (x[i * c + 3] < 0) x[i * c + k] = -1;
    }
}

/* A trainer that augments does, bit for bit, what one without does with images that were changed here, by
 * coordinates of the source. Variant: bit 0 mirrors, bit 1 shifts, bit 2 exchanges colours. */
static void augmented(int variant, int channels, int shift)
{
    static const int order[6][3] = {
        { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 0, 2, 1 }, { 2, 1, 0 }, { 1, 0, 2 } };
    enum { HEIGHT = 4, WIDTH = 6, STEPS_HERE = 6 };
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s, plain;
    float *x = floats(BATCH * HEIGHT * WIDTH * 4), *y = floats(BATCH * HEIGHT * WIDTH * 4), *want;
    float z[HEIGHT * WIDTH * 4];
    int i, row, col, c, step, edges = 0, colour = 0;
    size_t n;
    md.channels = channels; md.height = HEIGHT; md.width = WIDTH;
    td.flip = td.data_noise = 0;
    plain = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    td.flip = variant & 1;
    td.shift = variant & 2 ? shift : 0;
    td.palette = variant & 4;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    for (step = 0; step < STEPS_HERE; ++step) {
        drl_rng level = drl__train_rng(s.tr, DRL__DRAW_LEVEL), more = drl__train_rng(s.tr, DRL__DRAW_AUGMENT);
        coloured(x, BATCH, HEIGHT, WIDTH, channels);
        for (i = 0; i < BATCH; ++i) {
            drl_rng same = more;
            size_t at = (size_t)(i * HEIGHT * WIDTH * channels);
            int mirror, down, right, swap;
            (void)drl_rng_below(&level, LEVELS);
            mirror = drl_rng_below(&level, 2) && variant & 1;
            down = drl_rng_below(&more, 2 * td.shift + 1) - td.shift;
            right = drl_rng_below(&more, 2 * td.shift + 1) - td.shift;
            swap = drl_rng_below(&more, 6);
            if (!(variant & 4)) swap = 0;
            for (row = 0; row < HEIGHT; ++row)
                for (col = 0; col < WIDTH; ++col)
                    for (c = 0; c < channels; ++c) {
                        int r = row - down, q = col - right, from = c < 3 ? order[swap][c] : c;
                        if (r < 0 || r >= HEIGHT || q < 0 || q >= WIDTH) ++edges;
                        while (r < 0) ++r;
                        while (r >= HEIGHT) --r;
                        while (q < 0) ++q;
                        while (q >= WIDTH) --q;
                        if (mirror) q = WIDTH - 1 - q;
                        y[((i * HEIGHT + row) * WIDTH + col) * channels + c] =
                            x[((i * HEIGHT + r) * WIDTH + q) * channels + from];
                    }
            drl__augment(s.tr, x + at, mirror, &same, z);   /* the step without options uses it, too */
            CHECK(!memcmp(z, y + at, (size_t)(HEIGHT * WIDTH * channels) * sizeof *z),
                  "variant %d: other image", variant);
            for (row = 0; row < HEIGHT * WIDTH && channels == 4; ++row)
                for (c = 0; c < 3; ++c) {
                    const float *pixel = y + (i * HEIGHT * WIDTH + row) * 4;
                    if (pixel[3] < 0 && pixel[c] > -1) ++colour;
                }
        }
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x, NULL, NULL));
        CHECK_OK(plain.ctx, drl_trainer_step(plain.tr, y, NULL, NULL));
    }
    n = state_of(&plain, &want);
    expect_state(&s, want, n, "augmented");
    CHECK(!colour && (variant & 2 ? edges > 0 : !edges),
          "variant %d: %d colours under alpha 0, %d floats from an edge", variant, colour, edges);
    free(x); free(y); free(want);
    unmake(&s);
    unmake(&plain);
}

/* Shifts and orders of colours come equally often, independently of each other: an image of one coloured
 * pixel says which. */
static void augmentations_count(void)
{
    enum { SIDE = 8, DRAWS = 9000 };
    static int seen[5][5][6];
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x[SIDE * SIDE * 3], y[SIDE * SIDE * 3];
    drl_rng rng = { 11, 12, 0 };
    int i, k, a, b, c, worst = 0;
    md.channels = 3; md.height = md.width = SIDE;
    td.shift = 2; td.palette = 1;
    s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    for (i = 0; i < SIDE * SIDE * 3; ++i) x[i] = -1;
    for (c = 0; c < 3; ++c) x[(4 * SIDE + 4) * 3 + c] = (float)c;
    for (i = 0; i < DRAWS; ++i) {
        drl__augment(s.tr, x, 0, &rng, y);
        for (k = 0; k < SIDE * SIDE && y[3 * k] < 0; ++k) {}
        a = k / SIDE - 2; b = k % SIDE - 2; c = 2 * (int)y[3 * k] + (y[3 * k + 1] > y[3 * k + 2]);
        if (a < 0 || a > 4 || b < 0 || b > 4) { CHECK(0, "moved to pixel %d", k); break; }
        ++seen[a][b][c];
    }
    for (a = 0; a < 5; ++a)
        for (b = 0; b < 5; ++b)
            for (c = 0; c < 6; ++c) {
                int off = abs(seen[a][b][c] - DRAWS / 150);
                if (off > worst) worst = off;
            }
    CHECK(worst < 35, "of 60 expected %d more or less", worst);     /* 4.5 standard deviations */
    unmake(&s);
}

#define BAD_AUGMENTATION(assign, said) \
    do { \
        d = plan(); \
        assign; \
        CHECK(drl_trainer_create(m, &d, &tr) == DRL_E_ARGUMENT && !tr, "not refused"); \
        CHECK(strstr(drl_ctx_message(ctx), said) != NULL, "%s", \
              drl_ctx_message(ctx)); \
        drl_ctx_clear(ctx); \
        REFUSED(ctx, drl_trainer_size(m, &d, &bytes), DRL_E_ARGUMENT); \
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

/* Which images were trained on: their labels, by class, and that the label is the image's own. */
typedef struct tally { setup s; int of[5], mixed; } tally;

static int tally_step(void *user, const drl_train_report *report)
{
    tally *t = (tally *)user;
    int i;
    (void)report;
    for (i = 0; i < BATCH; ++i) ++t->of[t->s.tr->label[i]];
    return 0;
}

/* 100 images, 1, 9, 0 and 90 of four classes: drawn as they are, or each class equally often. */
static void balanced_classes(void)
{
    enum { COUNT = 100, RUN = 180, DRAWS = RUN * BATCH };
    static uint8_t pixels[COUNT * IMAGE], labels[COUNT];
    static int seen[COUNT];
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    drl_dataset ds;
    drl_run_desc d;
    drl__classes by;
    int order[COUNT], i, k, want, balanced;
    tally t;
    md.classes = 4;
    td.label_drop = -1; td.learning_rate = td.initializer_rate = 1e-6f;
    memset(&ds, 0, sizeof ds);
    ds.count = COUNT; ds.height = 4; ds.width = IMAGE / 4; ds.channels = 1; ds.classes = 4;
    ds.pixels = pixels; ds.labels = labels;
    for (i = 0; i < COUNT; ++i) {                               /* one 0, then 1s and 3s mixed */
        labels[i] = i == 37 ? 0 : i % 11 == 1 ? 1 : 3;
        for (k = 0; k < IMAGE; ++k) pixels[i * IMAGE + k] = (uint8_t)(2 * i);
    }
    for (balanced = 0; balanced < 2; ++balanced) {
        memset(&t, 0, sizeof t);
        memset(&d, 0, sizeof d);
        d.steps = RUN; d.balanced = balanced; d.on_step = tally_step; d.user = &t;
        t.s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
        CHECK_OK(t.s.ctx, drl_train(t.s.tr, &ds, &d));
        CHECK(!t.of[0] && !t.of[3], "%d without a class, %d of a class without images", t.of[0], t.of[3]);
        for (k = 1; k <= 4; ++k) {
            want = k == 3 ? 0 : balanced ? DRAWS / 3 : DRAWS * (k == 1 ? 1 : k == 2 ? 9 : 90) / 100;
            CHECK(abs(t.of[k] - want) < 45, "balanced %d: class %d drawn %d times, not about %d", balanced, k,
                  t.of[k], want);
        }
        unmake(&t.s);
    }
    t.s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
    by.image = order;           /* within a class: every image, equally often, and its label */
    drl__classes_sort(&ds, &by);
    CHECK(by.count == 3 && by.first[0] == 0 && by.first[1] == 1 && by.first[2] == 10 && by.first[3] == COUNT,
          "%d classes", by.count);
    for (i = 0; i < 4000; ++i) {
        drl_rng rng = { 3, 0, 0 };
        float x[BATCH * IMAGE];
        int label[BATCH];
        rng.stream = (uint64_t)i;
        CHECK_OK(t.s.ctx, drl__classes_batch(t.s.tr, &ds, &by, &rng, x, label));
        for (k = 0; k < BATCH; ++k) {
            int index = (int)((x[k * IMAGE] + 1) * 127.5f + 0.5f) / 2;
            ++seen[index];
            if (label[k] != labels[index]) ++t.mixed;
        }
    }
    CHECK(!t.mixed, "%d images with the label of another", t.mixed);
    for (i = 0; i < COUNT; ++i) {
        want = 4000 * BATCH / 3 / (labels[i] == 0 ? 1 : labels[i] == 1 ? 9 : 90);
        CHECK(abs(seen[i] - want) < 5 * sqrt((double)want), "image %d: %d times, not %d", i, seen[i], want);
    }
    memset(&d, 0, sizeof d);
    d.steps = 1; d.balanced = 1;
    ds.labels = NULL;
    REFUSED(t.s.ctx, drl_train(t.s.tr, &ds, &d), DRL_E_ARGUMENT);
    d.source = fake_source;
    REFUSED(t.s.ctx, drl_train(t.s.tr, NULL, &d), DRL_E_ARGUMENT);
    d.balanced = 0; d.source = NULL; ds.channels = 2; ds.width /= 2;
    REFUSED(t.s.ctx, drl_train(t.s.tr, &ds, &d), DRL_E_SHAPE);
    unmake(&t.s);
}

/* -- a warm-up that the description leaves open -- */

static void warm_ups(void)
{
    static const struct { int given, steps, warm; double seconds, takes; } cases[] = {
        { 0, 20, 2, 0, 1 }, { 0, 40000, 300, 0, 1 }, { 0, 9, 0, 0, 1 }, { 7, 20, 7, 0, 1 },
        { -1, 20, 0, 0, 1 },
        { 0, 0, 12, 60, 0.5 }, { 0, 0, 300, 1e9, 0.5 }, { 5, 0, 5, 60, 0.5 } };
    size_t i;
    int step, resumed;
    for (i = 0; i < sizeof cases / sizeof *cases; ++i)
        for (resumed = 0; resumed < 4; ++resumed) {     /* before the speed is known, when, and after */
            static const int stops[4] = { 0, 4, 10, 14 };
            drl_model_desc md = tiny();
            drl_train_desc td = plan();
            drl_run_desc d;
            setup s;
            fake f;
            if (!cases[i].seconds && (resumed > 1 || stops[resumed] >= cases[i].steps)) continue;
            memset(&d, 0, sizeof d);
            memset(&f, 0, sizeof f);
            td.warmup = cases[i].given; td.learning_rate = 1e-4f; td.snapshot = 1000;
            d.steps = (uint64_t)cases[i].steps; d.seconds = cases[i].seconds;
            d.clock = fake_clock; d.source = fake_source; d.on_step = fake_step; d.user = &f;
            s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
            f.tr = s.tr; f.takes = cases[i].takes;
            f.stop_at = stops[resumed] ? stops[resumed] : 16;
            CHECK(!(drl_train(s.tr, NULL, &d) > DRL_RUNNING), "%s", drl_ctx_message(s.ctx));
            if (stops[resumed]) {
                CHECK_OK(s.ctx, drl_trainer_save(s.tr, path));
                unmake(&s);
                s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 99);
                CHECK_OK(s.ctx, drl_trainer_resume(s.tr, path));
                f.tr = s.tr; f.stop_at = 16;
                CHECK(!(drl_train(s.tr, NULL, &d) > DRL_RUNNING), "%s", drl_ctx_message(s.ctx));
                remove(path);
            }
            CHECK(s.tr->now.warmup == cases[i].warm, "case %d, stopped at %d: warm-up %d, not %d", (int)i,
                  stops[resumed], s.tr->now.warmup, cases[i].warm);
            if (s.tr->now.step >= 10) {                 /* it outlives a rollback to before it was known */
                CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
                CHECK(s.tr->now.warmup == cases[i].warm, "case %d: a rollback took the warm-up", (int)i);
            }
            unmake(&s);
        }
    {                                                           /* the rate is what it says */
        drl_model_desc md = tiny();
        drl_train_desc td = plan();
        drl_train_report r;
        setup s;
        float x0[BATCH * IMAGE];
        double rate;
        td.warmup = 0;
        s = make(context(DRL_ISA_PORTABLE, 1, NULL), &md, &td, 3);
        for (step = 0; step < 3; ++step) {
            pictures(s.tr, x0, BATCH);
            if (step == 2) s.tr->now.warmup = 4;
            CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &r));
            rate = (double)td.learning_rate * (step + 1) / (step == 2 ? 4 : 300);
            CHECK(fabs(r.learning_rate - rate) < 1e-12,
                  "step %d: rate %g", step, r.learning_rate);
        }
        unmake(&s);
    }
}

/* The counters and factors of a checkpoint: each alone, in its range and out of it. */
static void sound_states(void)
{
    static const struct { int field; double value; int sound; } cases[] = {
        { 0, 0, 1 }, { 0, 4294967295.0, 1 }, { 0, 4294967296.0, 0 }, { 1, 0, 1 }, { 1, 1073741823, 1 }, { 1, 1073741824, 0 }, { 1, -1, 0 },
        { 2, 0, 1 }, { 2, 1, 1 }, { 2, -1e-9, 0 }, { 2, 1.000001, 0 }, { 2, NAN, 0 }, { 3, 0, 1 }, { 3, 1, 1 }, { 3, -1e-9, 0 }, { 3, 1.000001, 0 }, { 3, NAN, 0 },
        { 4, 0, 1 }, { 4, 0.999999, 1 }, { 4, 1, 0 }, { 4, -1e-9, 0 }, { 4, NAN, 0 }, { 5, 0, 1 }, { 5, 0.999999, 1 }, { 5, 1, 0 }, { 5, -1e-9, 0 }, { 5, NAN, 0 },
        { 6, 0, 1 }, { 6, 9e29, 1 }, { 6, 1e30, 0 }, { 6, -1e-9, 0 }, { 6, NAN, 0 },
        { 7, 0, 1 }, { 7, 9e11, 1 }, { 7, 1e12, 0 }, { 7, -1e-9, 0 }, { 7, NAN, 0 }, { 8, 0, 1 }, { 8, 9e11, 1 }, { 8, 1e12, 0 }, { 8, -1e-9, 0 }, { 8, NAN, 0 },
        { 9, 0, 1 }, { 9, 4294967295.0, 1 }, { 9, 4294967296.0, 0 },
        { 10, 0, 1 }, { 10, 2147483647, 1 }, { 10, -1, 0 } };
    drl_ctx *ctx = context(DRL_ISA_PORTABLE, 1, NULL);
    size_t i;
    int sound;
    for (i = 0; i < sizeof cases / sizeof *cases; ++i) {
        drl__train_state now;
        double *const fields[7] = { &now.rate_scale, &now.rate_factor, &now.beta1_power, &now.beta2_power, &now.grad_average, &now.seconds, &now.planned };
        memset(&now, 0, sizeof now);
        now.step = 7; now.rate_scale = now.rate_factor = 0.5; now.beta1_power = now.beta2_power = 0.25; now.grad_average = 2;
        if (cases[i].field == 0) { now.step = (uint64_t)cases[i].value; if (!now.step) now.beta1_power = now.beta2_power = 1; }
        if (cases[i].field == 1) now.rollbacks = (int)cases[i].value;
        if (cases[i].field == 9) now.total = (uint64_t)cases[i].value;
        else if (cases[i].field == 10) now.warmup = (int)cases[i].value;
        else if (cases[i].field > 1) *fields[cases[i].field - 2] = cases[i].value;
        sound = drl__state_check(ctx, &now) == DRL_OK;
        CHECK(sound == cases[i].sound, "field %d of a checkpoint's state with %g: %d", cases[i].field, cases[i].value, sound);
        CHECK(sound || drl_ctx_status(ctx) == DRL_E_FORMAT, "status %d", (int)drl_ctx_status(ctx));
        drl_ctx_clear(ctx);
    }
    drl_ctx_destroy(ctx);
}

/* A tensor of a checkpoint with one number that is not finite: the checkpoint is refused by its name. */
static void checkpoint_not_finite(void)
{
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
        const unsigned char bad[2][4] = { { 0, 0, 0xC0, 0x7F }, { 0, 0, 0x80, 0xFF } };     /* NaN, -infinity */
        if (a->dtype != DRL_DTYPE_F32) continue;
        memcpy(kept, number, 4);
        memcpy(number, bad[k % 2], 4);
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

/* Without chains nothing but the initializer's own gradient tells that its weights have left all bounds. */
static void initializer_explodes(void)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    setup s;
    float x0[BATCH * IMAGE], *weights;
    int label[BATCH];
    size_t k;
    md.smooth = 1;
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

/* A learning rate that explodes: a status and a sentence, everything as before the step; rollbacks halve the rate until it works. */
static void divergence(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    float x0[BATCH * IMAGE], *before, *kept;
    size_t n;
    int rollbacks = 0, good_steps = 0, total, k, i;
    md.b2 = 2e-3;
    md.no_spectral = 1;
    td.learning_rate = 0.5f; td.clip = -1; td.warmup = -1; td.snapshot = 1000;      /* the state that is kept is the first one */
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    n = state_of(&s, &kept);
    for (total = 0; total < 2000 && good_steps < 60 && rollbacks < 30; ++total) {
        drl_status status;
        drl_train_report r;
        uint64_t seed;
        pictures(s.tr, x0, BATCH);
        state_of(&s, &before);
        drl_ctx_clear(s.ctx);
        status = drl_trainer_step(s.tr, x0, NULL, &r);
        if (status == DRL_OK) {
            ++good_steps;
            CHECK(r.rollbacks == rollbacks && fabs(r.learning_rate - 0.5 * pow(0.5, rollbacks)) < 1e-9, "rate %g after %d rollbacks", r.learning_rate, r.rollbacks);
        } else {
            CHECK(status == DRL_E_DIVERGED && drl_ctx_status(s.ctx) == DRL_E_DIVERGED && strlen(drl_ctx_message(s.ctx)) > 40, "status %d, '%s'", (int)status, drl_ctx_message(s.ctx));
            expect_state(&s, before, n, "a diverged step");
            seed = drl__trainer_rng(s.tr).seed;
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

    /* weights that are not numbers, or huge, or a gradient far above its average: found at the next step, healed by going back to the snapshot */
    md = tiny();
    td = plan();
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    steps(&s, 4);
    n = state_of(&s, &kept);
    for (k = 0; k < 3; ++k) {
        const char *name = k ? "energy.temb_final.weight" : "energy.conv_in.weight";
        steps(&s, 2);
        for (i = 0; strcmp(drl_net_param(s.m->net, i)->name, name); ++i) { }
        if (k < 2) drl_net_params(s.m->net)[drl_net_param(s.m->net, i)->offset] = k ? 1e30f : (float)NAN;
        else { s.tr->now.step = 100; s.tr->now.grad_average = 1e-3; }
        drl_net_refresh(s.m->net, 0);
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

    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);      /* an offset of all energies, which no chain feels: the last bias before the ReLU and the sum */
    for (i = drl_net_param_count(s.m->net) - 1; !strstr(drl_net_param(s.m->net, i)->name, "conv2.bias"); --i) { }
    drl_net_params(s.m->net)[drl_net_param(s.m->net, i)->offset] = 1e15f;
    drl_net_refresh(s.m->net, 0);
    n = state_of(&s, &kept);
    pictures(s.tr, x0, BATCH);
    CHECK(drl_trainer_step(s.tr, x0, NULL, NULL) == DRL_E_DIVERGED && strstr(drl_ctx_message(s.ctx), "an energy"), "'%s'", drl_ctx_message(s.ctx));
    expect_state(&s, kept, n, "an energy has exploded");
    free(kept);
    unmake(&s);

    td = plan();                        /* without snapshots: less memory, and no rollback */
    td.snapshot = -1;
    {
        size_t with = 0, without = 0;
        md = tiny();
        s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
        CHECK_OK(s.ctx, drl_trainer_size(s.m, &td, &without));
        td.snapshot = 7;
        CHECK_OK(s.ctx, drl_trainer_size(s.m, &td, &with));
        CHECK(with >= without + 4 * drl_net_params_size(s.m->net) * sizeof(float), "%d bytes with snapshots, %d without", (int)with, (int)without);
        steps(&s, 2);
        REFUSED(s.ctx, drl_trainer_rollback(s.tr), DRL_E_ARGUMENT);
        steps(&s, 1);
        unmake(&s);
    }
}

/* Score matching: the loss by its definition, from the draws and the model's own gradients; the gradient by the parameters beside differences of that
 * loss, which knows nothing of the two points; the update is of that gradient. With K = 0 (at x_{t+1}) and without (at a x_t); with noise of the
 * data and, as is the default, without. */
/* The noise that energies leave, as reports have it, against averages by hand: of one image in 16, of all
 * with score matching. */
static void noise_left(int score, int cooperative, float data_noise)
{
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    const drl_schedule *sc;
    drl_train_report r;
    drl_energy e;
    setup s;
    float x0[BATCH * IMAGE], y[IMAGE], eps[IMAGE], grad[IMAGE];
    double want[LEVELS] = { 0 }, images[LEVELS] = { 0 };
    int step, i, j, given[BATCH], seen = 0;
    td.data_noise = data_noise;
    if (score) { md.smooth = md.no_spectral = 1; td.objective = DRL_OBJECTIVE_SCORE; }
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
            double a = t < LEVELS - 1 ? sc->a[t + 1] : 1.0, sum = 0, rate;
            double noise = data_noise > 0 ? (double)data_noise : 0.0;
            double sigma = a * sqrt(1 - sc->abar[t] * sc->abar[t] * (1 - noise * noise));
            rate = score ? (images[t] < 49 ? 1 / (images[t] + 1) : 0.02) : want[t] > 0 ? 0.05 : 1;
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

static void score_matching(int none, float data_noise)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_train_report report;
    drl_schedule sc;
    drl_energy e;
    setup s;
    float x0[BATCH * IMAGE], x[IMAGE], eps[IMAGE], grad[IMAGE];
    double loss = 0, again = 0, worst = 0, dot = 0, norms = 0, *slope;
    size_t k, count, tried = 0;
    float *g;
    int i, j, round;
    md.schedule = DRL_SCHEDULE_T1K; md.levels = none ? 40 : 6; md.steps = none ? -1 : 3; md.smooth = md.no_spectral = 1;
    td.objective = DRL_OBJECTIVE_SCORE; td.data_noise = data_noise; td.clip = -1; td.flip = 0; td.seed = 3;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    sc = *drl_model_schedule(s.m);
    e = drl_model_energy(s.m);
    count = drl_net_params_size(s.m->net);
    pictures(s.tr, x0, BATCH);
    drl__diffuse(s.tr, x0, NULL);
    CHECK_OK(s.ctx, drl__train_score(s.tr, &e, &loss));
    for (i = 0; i < BATCH; ++i) {
        int t = s.tr->t[i], at = none ? t + 1 : t;
        double a = none ? 1 : drl_schedule_scale(&sc, t), sigma = a * sqrt(sc.sbar[at] * sc.sbar[at] + (double)(data_noise * data_noise) * sc.abar[at] * sc.abar[at]);
        drl__train_noise(s.tr, s.ctx, i, 0, eps, IMAGE);
        for (j = 0; j < IMAGE; ++j) x[j] = (float)(a * sc.abar[at] * (double)x0[i * IMAGE + j] + sigma * (double)eps[j]);
        e.eval(e.user, 1, x, &t, NULL, NULL, grad);
        for (j = 0; j < IMAGE; ++j) again += pow(sigma * (double)grad[j] + (double)eps[j], 2) / (2.0 * IMAGE * BATCH);
    }
    CHECK(fabs(loss - again) < 1e-5 * again, "the loss is %.8f, by definition %.8f", loss, again);
    pictures(s.tr, x0, BATCH);
    g = floats(count);
    slope = (double *)calloc(count, sizeof *slope);
    if (!slope) exit(3);
    CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &report));
    CHECK(fabs(report.loss - again) < 1e-5 * again, "the step's loss is %.8f, by definition %.8f", report.loss, again);
    memcpy(g, drl_net_grads(s.m->net), count * sizeof *g);
    unmake(&s);
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    e = drl_model_energy(s.m);
    for (k = 0; k < count; k += 7) {
        float *p = drl_net_params(s.m->net) + k, was = *p;
        double side[2] = { 0, 0 };
        for (round = 0; round < 2; ++round) {
            *p = was + (round ? 0.02f : -0.02f);
            drl_net_refresh(s.m->net, 0);
            drl__diffuse(s.tr, x0, NULL);
            drl__train_score(s.tr, &e, &side[round]);
        }
        *p = was;
        slope[k] = (side[1] - side[0]) / 0.04;
        dot += slope[k] * (double)g[k];
        norms += slope[k] * slope[k];
        worst += pow(slope[k] - (double)g[k], 2);
        ++tried;
    }
    CHECK(norms > 0 && sqrt(worst / norms) < 0.03, "K = %d, noise %g: gradient of %d parameters is %.4f away from differences of the loss (their size 1), product %.4f", none ? 0 : 3, (double)data_noise, (int)tried, sqrt(worst / norms), dot / norms);
    free(slope);
    free(g);
    unmake(&s);
}

/* Energies of a U-Net learn by score matching, which is their default, and get better at it; their initializer takes the very
 * steps that it takes under recovery likelihood with the data as its target, since neither looks at the energies. */
static void score_of_unet(void)
{
    drl_model_desc md = coop();
    drl_train_desc td = plan();
    drl_train_report report;
    float x0[BATCH * IMAGE];
    double first = 0, last = 0;
    int label[BATCH], i;
    setup s, twin;
    md.energy_form = DRL_ENERGY_UNET; md.resolutions = 0; md.base = 8; md.levels = 12; md.steps = 0; md.b2 = 0;
    memset(md.mult, 0, sizeof md.mult);
    td.beta1 = 0;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    CHECK(s.tr->desc.objective == DRL_OBJECTIVE_SCORE && s.tr->desc.beta1 == 0.9f && s.tr->desc.initializer_data == 1, "defaults of a U-Net's energies");
    td.objective = DRL_OBJECTIVE_RECOVERY;
    twin = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (i = 0; i < 60; ++i) {
        pictures(s.tr, x0, BATCH);
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, labels_of(s.tr, label), &report));
        if (i < 10) first += report.loss / 10;
        if (i >= 50) last += report.loss / 10;
        if (i >= 3) continue;
        CHECK_OK(twin.ctx, drl_trainer_step(twin.tr, x0, label, &report));
        CHECK(!memcmp(drl_net_params(s.m->initializer), drl_net_params(twin.m->initializer), drl_net_params_size(s.m->initializer) * sizeof(float)), "step %d: another initializer", i);
        CHECK(memcmp(drl_net_params(s.m->net), drl_net_params(twin.m->net), drl_net_params_size(s.m->net) * sizeof(float)) != 0, "step %d: the same energies", i);
    }
    CHECK(last < 0.7 * first, "loss %.4f at first, %.4f after 60 steps", first, last);
    unmake(&s);
    unmake(&twin);
}

/* A network and a schedule of the program's own are trained like the library's, by either objective, and a
 * resumed run goes on bit for bit. */
static void own_build(drl_net *net, void *user)
{
    drl_value y = drl_net_input(net, 4, 4, 2), h, level;
    drl_layer_desc l;
    (void)user;
    memset(&l, 0, sizeof l);
    l.out_channels = 8;
    l.name = "level";
    level = drl_net_conv2d(net, drl_net_level(net, 4), &l);
    l.name = "in";
    h = drl_net_act(net, drl_net_shift(net, drl_net_conv2d(net, y, &l), level), DRL_ACT_SILU);
    l.out_channels = 2;
    l.init_scale = -1;
    l.name = "out";
    h = drl_net_add(net, drl_net_conv2d(net, h, &l), y);
    drl_net_spatial_sum(net, drl_net_dot(net, h, h), -0.5f);
}

static void own_network(drl_objective objective)
{
    static const double sbar[7] = { 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999 };
    drl_model_desc md, got_md;
    drl_train_desc td = plan(), got_td;
    drl_train_report report;
    drl_model *m = NULL;
    float x0[BATCH * 32];
    float f[2];
    drl_energy e;
    unsigned char *bytes;
    size_t size;
    setup s, again;
    int level[2] = { 3, 3 }, i, j;
    memset(&md, 0, sizeof md);
    md.height = 4; md.channels = 2; md.levels = 6; md.smooth = 1; md.batch = BATCH; md.trainable = 1;
    md.build = own_build; md.sbar = sbar;
    td.objective = objective; td.learning_rate = 1e-2f; td.warmup = -1; td.steps = 0;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    for (i = 0; i < 60; ++i) {
        for (j = 0; j < BATCH * 32; ++j) x0[j] = j % 2 ? 0.5f : -0.25f;
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &report));
    }
    for (j = 0; j < 32; ++j) x0[32 + j] = -x0[j];
    e = drl_model_energy(s.m);
    CHECK_OK(s.ctx, e.eval(e.user, 2, x0, level, NULL, f, NULL));
    CHECK(f[0] > f[1] + 1, "F is %g at the data, and %g at its negative", (double)f[0], (double)f[1]);
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, NULL, 0, &size));
    bytes = (unsigned char *)malloc(size);
    CHECK_OK(s.ctx, drl_trainer_save_memory(s.tr, bytes, size, &size));
    CHECK_OK(s.ctx, drl_checkpoint_describe_memory(s.ctx, bytes, size, &got_md, &got_td));
    CHECK(!got_md.build && !got_md.sbar && got_md.energy_form == DRL_ENERGY_OWN && got_md.schedule == DRL_SCHEDULE_OWN && got_md.levels == 6 && got_md.height == 4 && got_md.smooth == 1 && got_td.objective == objective,
          "what a checkpoint says of a network of the program's own");
    REFUSED(s.ctx, drl_model_create(s.ctx, &got_md, 0, &m), DRL_E_ARGUMENT);
    got_md.build = own_build; got_md.sbar = sbar;
    again = make(context(DRL_ISA_AUTO, 1, NULL), &got_md, &got_td, 6);
    CHECK_OK(again.ctx, drl_trainer_resume_memory(again.tr, bytes, size));
    for (i = 0; i < 3; ++i) {
        CHECK_OK(s.ctx, drl_trainer_step(s.tr, x0, NULL, &report));
        CHECK_OK(again.ctx, drl_trainer_step(again.tr, x0, NULL, &report));
    }
    CHECK(!memcmp(drl_net_params(drl_model_net(s.m)), drl_net_params(drl_model_net(again.m)), drl_net_params_size(drl_model_net(s.m)) * sizeof(float)), "a resumed run has other weights");
    free(bytes);
    unmake(&s);
    unmake(&again);
}

/* A chain of no steps: y_K is a draw of the normal approximation, and the step is that of recovery likelihood in all else. */
static void contrast_without_steps(void)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    drl_energy e;
    drl_schedule sc;
    setup s;
    float x0[BATCH * IMAGE], eps[IMAGE], want[BATCH * IMAGE], grad[IMAGE];
    double moved = 0;
    int i, j;
    md.schedule = DRL_SCHEDULE_T1K; md.levels = 40; md.steps = -1;
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    sc = *drl_model_schedule(s.m);
    e = drl_model_energy(s.m);
    pictures(s.tr, x0, BATCH);
    drl__diffuse(s.tr, x0, NULL);
    for (i = 0; i < BATCH; ++i) {
        int t = s.tr->t[i];
        double sigma = sc.s[t + 1];
        e.eval(e.user, 1, s.tr->x_next + i * IMAGE, &t, NULL, NULL, grad);
        drl__train_noise(s.tr, s.ctx, i, 2, eps, IMAGE);
        for (j = 0; j < IMAGE; ++j) want[i * IMAGE + j] = (float)((double)s.tr->x_next[i * IMAGE + j] + sigma * sigma * (double)grad[j] + sigma * (double)eps[j]);
    }
    CHECK_OK(s.ctx, drl__train_chains(s.tr, &e, &moved));
    for (i = 0; i < BATCH * IMAGE; ++i) CHECK(fabs((double)(s.tr->y_neg[i] - want[i])) < 2e-5 * (1 + fabs((double)want[i])), "K = 0: y_K[%d] is %.7f, by hand %.7f", i, (double)s.tr->y_neg[i], (double)want[i]);
    steps(&s, 3);
    unmake(&s);
}

static void descriptions(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md = tiny();
    drl_train_desc d;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    size_t bytes = 0;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
#define BAD(assign) do { d = plan(); assign; REFUSED(ctx, drl_trainer_create(m, &d, &tr), DRL_E_ARGUMENT); bytes = 5; REFUSED(ctx, drl_trainer_size(m, &d, &bytes), DRL_E_ARGUMENT); CHECK(!tr && bytes == 5, "a refused trainer was returned"); } while (0)
    BAD(d.batch = -1);
    BAD(d.batch = BATCH + 1);
    BAD(d.objective = (drl_objective)3);
    BAD(d.objective = DRL_OBJECTIVE_SCORE);             /* the model is not smooth */
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
    CHECK_OK(ctx, drl_trainer_create(m, NULL, &tr));            /* defaults */
    CHECK(tr->desc.batch == BATCH && tr->desc.learning_rate == 3e-4f && tr->desc.beta1 == 0.5f && tr->desc.beta2 == 0.999f && tr->desc.warmup == 0 && tr->desc.data_noise == 0.02f && tr->desc.ema == 0.99999f &&
          tr->desc.clip == 1.0f && tr->desc.steps == STEPS && !tr->desc.flip && tr->desc.snapshot == 100, "defaults");
    drl_trainer_destroy(tr);
    drl_trainer_destroy(NULL);
    drl_model_destroy(m);
    md = coop();
    md.smooth = 1;
    m = NULL; tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    BAD((d.objective = DRL_OBJECTIVE_SCORE, d.initializer_data = 0.5f));        /* there are no chains to learn the rest from */
    CHECK_OK(ctx, drl_trainer_create(m, NULL, &tr));
    if (tr) CHECK(tr->desc.initializer_rate == 1e-3f && tr->desc.learning_rate == 5e-4f && tr->desc.label_drop == 0.1f && !tr->desc.own_noise && tr->desc.data_noise < 0, "defaults of the cooperative form");
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    md = tiny();
    md.trainable = 0;
    m = NULL; tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    REFUSED(ctx, drl_trainer_create(m, NULL, &tr), DRL_E_ARGUMENT);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void memory(int cooperative)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_model_desc md = cooperative ? coop() : tiny();
    drl_train_desc td = plan();
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    size_t bytes = 0, held;
    float x0[BATCH * IMAGE];
    int fail;
    memset(&heap, 0, sizeof heap);
    ctx = context(DRL_ISA_AUTO, 1, &heap);
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    held = heap.bytes;
    for (fail = 1; fail < 10; ++fail) {
        drl_status status;
        drl_ctx_clear(ctx);
        heap.fail_at = heap.calls + fail;
        status = drl_trainer_create(m, &td, &tr);
        heap.fail_at = 0;
        if (status == DRL_OK) break;
        CHECK(status == DRL_E_MEMORY && drl_ctx_message(ctx)[0] && !tr && heap.bytes == held, "allocation %d fails: status %d", fail, (int)status);
    }
    CHECK(tr && fail == 2, "a trainer takes %d allocations", fail - 1);
    CHECK_OK(ctx, drl_trainer_size(m, &td, &bytes));
    CHECK(heap.bytes - held == bytes, "%d bytes are held, %d were announced", (int)(heap.bytes - held), (int)bytes);
    if (tr) {
        long calls = heap.calls;
        int i, label[BATCH];
        drl_train_report r;
        for (i = 0; i < 9; ++i) {
            pictures(tr, x0, BATCH);
            CHECK_OK(ctx, drl_trainer_step(tr, x0, labels_of(tr, label), &r));
        }
        CHECK_OK(ctx, drl_trainer_swap_average(tr));
        CHECK_OK(ctx, drl_trainer_swap_average(tr));
        CHECK_OK(ctx, drl_trainer_rollback(tr));
        CHECK(heap.calls == calls, "training made %ld allocations", heap.calls - calls);
    }
    drl_trainer_destroy(tr);
    CHECK(heap.bytes == held, "%d bytes leaked", (int)(heap.bytes - held));
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0 && heap.bytes == 0, "%ld blocks are left", heap.live);
}

/* -- learning -- */

/* Mean distance of 200 samples to the nearest of three points. */
static double distance_to_points(drl_ctx *ctx, drl_model *m, const float (*point)[2], int *seen)
{
    drl_sample_desc how;
    static float x[400];
    double sum = 0;
    int i, k;
    memset(&how, 0, sizeof how);
    how.count = 200; how.seed = 3;
    CHECK_OK(ctx, drl_sample(m, &how, x));
    seen[0] = seen[1] = seen[2] = 0;
    for (i = 0; i < 200; ++i) {
        double best = HUGE_VAL;
        int at = 0;
        for (k = 0; k < 3; ++k) {
            double d = hypot((double)x[2 * i] - (double)point[k][0], (double)x[2 * i + 1] - (double)point[k][1]);
            if (d < best) { best = d; at = k; }
        }
        sum += best / 200;
        ++seen[at];
    }
    return sum;
}

static void learns_points(void)
{
    static const float point[3][2] = { { -0.8f, -0.6f }, { 0.8f, -0.5f }, { 0.1f, 0.8f } };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md;
    drl_train_desc td;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    int step, i, seen[3];
    double before, after;
    static float x0[2 * 64];
    memset(&md, 0, sizeof md);
    md.height = 1; md.channels = 2; md.base = 16; md.blocks = 2; md.steps = 20; md.b2 = 2e-3; md.batch = 64; md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = 64; td.learning_rate = 3e-3f; td.warmup = 50; td.ema = 0.98f; td.seed = 1;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 2, &m));
    CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
    before = distance_to_points(ctx, m, point, seen);
    for (step = 0; step < 600; ++step) {
        drl_rng rng = drl__trainer_rng(tr);
        for (i = 0; i < 64; ++i) {
            int k = drl_rng_below(&rng, 3);
            x0[2 * i] = point[k][0] + 0.05f * (drl_rng_uniform(&rng) - 0.5f);
            x0[2 * i + 1] = point[k][1] + 0.05f * (drl_rng_uniform(&rng) - 0.5f);
        }
        CHECK_OK(ctx, drl_trainer_step(tr, x0, NULL, NULL));
    }
    CHECK_OK(ctx, drl_trainer_swap_average(tr));
    after = distance_to_points(ctx, m, point, seen);
    printf("points: mean distance to the nearest one %.3f before training, %.3f after; seen %d %d %d times\n", before, after, seen[0], seen[1], seen[2]);
    CHECK(before > 0.5 && after < 0.25, "mean distance %.3f before, %.3f after training", before, after);
    CHECK(seen[0] > 20 && seen[1] > 20 && seen[2] > 20, "points are seen %d, %d and %d times in 200", seen[0], seen[1], seen[2]);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* 8x8 images of two kinds, light left or light above; samples must be near one of them. */
static double distance_to_patterns(drl_ctx *ctx, drl_model *m, const float *pattern, int *seen)
{
    drl_sample_desc how;
    static float x[24 * 64];
    double sum = 0;
    int i, k, j;
    memset(&how, 0, sizeof how);
    how.count = 24; how.seed = 3;
    CHECK_OK(ctx, drl_sample(m, &how, x));
    seen[0] = seen[1] = 0;
    for (i = 0; i < 24; ++i) {
        double d[2] = { 0, 0 };
        for (k = 0; k < 2; ++k) for (j = 0; j < 64; ++j) d[k] += ((double)x[i * 64 + j] - (double)pattern[k * 64 + j]) * ((double)x[i * 64 + j] - (double)pattern[k * 64 + j]) / 64;
        ++seen[d[1] < d[0]];
        sum += sqrt(d[0] < d[1] ? d[0] : d[1]) / 24;
    }
    return sum;
}

static void learns_images(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    drl_model_desc md;
    drl_train_desc td;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    int step, i, j, seen[2];
    double before, after;
    static float x0[16 * 64], pattern[2 * 64];
    for (j = 0; j < 64; ++j) { pattern[j] = j % 8 < 4 ? 0.8f : -0.8f; pattern[64 + j] = j / 8 < 4 ? 0.8f : -0.8f; }
    memset(&md, 0, sizeof md);
    md.height = 8; md.base = 8; md.resolutions = 3; md.steps = 10; md.b2 = 1e-3; md.batch = 16; md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = 16; td.learning_rate = 2e-3f; td.warmup = 20; td.ema = 0.95f; td.seed = 1;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 2, &m));
    CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
    before = distance_to_patterns(ctx, m, pattern, seen);
    for (step = 0; step < 400; ++step) {
        drl_rng rng = drl__trainer_rng(tr);
        for (i = 0; i < 16; ++i) memcpy(x0 + i * 64, pattern + 64 * drl_rng_below(&rng, 2), 64 * sizeof(float));
        CHECK_OK(ctx, drl_trainer_step(tr, x0, NULL, NULL));
    }
    CHECK_OK(ctx, drl_trainer_swap_average(tr));
    after = distance_to_patterns(ctx, m, pattern, seen);
    printf("images: distance of a pixel to the nearer pattern %.3f before training, %.3f after; seen %d %d times\n", before, after, seen[0], seen[1]);
    CHECK(before > 1.2 && after < 0.5, "distance %.3f before, %.3f after training", before, after);
    CHECK(seen[0] > 2 && seen[1] > 2, "patterns are seen %d and %d times in 24", seen[0], seen[1]);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

/* -- Frechet distance -- */

/* 2 * dim points with mean `mean` and covariance L L' exactly (with 1 / (n - 1)): mean +- columns of L, scaled. */
static void cloud(const double *mean, const double *l, int dim, float *out)
{
    double scale = sqrt((2 * dim - 1) / 2.0);
    int i, j, sign;
    for (i = 0; i < dim; ++i)
        for (sign = 0; sign < 2; ++sign)
            for (j = 0; j < dim; ++j) *out++ = (float)(mean[j] + (sign ? -scale : scale) * l[j * dim + i]);
}

static void frechet(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    double work[5 * 25 + 20], d = 4711, d2;
    float a[2 * 5 * 5], b[2 * 5 * 5];
    int i, k, dim;
    for (dim = 1; dim <= 5; ++dim) {        /* commuting covariances: |m1 - m2|^2 + sum of (s1 - s2)^2, in a rotated basis */
        double m1[5], m2[5], l1[25], l2[25], s1[5], s2[5], q[25], want = 0;
        for (i = 0; i < dim; ++i) {
            m1[i] = real(-1, 1); m2[i] = real(-1, 1);
            s1[i] = real(0.1, 2); s2[i] = i == 3 ? 0.0 : real(0.1, 2);      /* one direction without any spread */
            want += (m1[i] - m2[i]) * (m1[i] - m2[i]) + (s1[i] - s2[i]) * (s1[i] - s2[i]);
            for (k = 0; k < dim; ++k) q[i * dim + k] = (i == k ? 1.0 : 0.0) - 2.0 / dim;        /* a reflection */
        }
        for (i = 0; i < dim; ++i) for (k = 0; k < dim; ++k) { l1[i * dim + k] = q[i * dim + k] * s1[k]; l2[i * dim + k] = q[i * dim + k] * s2[k]; }
        cloud(m1, l1, dim, a);
        cloud(m2, l2, dim, b);
        CHECK_OK(ctx, drl_frechet(ctx, a, 2 * dim, b, 2 * dim, dim, work, &d));
        CHECK(fabs(d - want) <= 1e-5 * (1 + want), "dimension %d: %.8f instead of %.8f", dim, d, want);
        CHECK_OK(ctx, drl_frechet(ctx, b, 2 * dim, a, 2 * dim, dim, work, &d2));
        CHECK(fabs(d - d2) <= 1e-5 * (1 + want), "dimension %d: %g one way, %g the other", dim, d, d2);
        CHECK_OK(ctx, drl_frechet(ctx, a, 2 * dim, a, 2 * dim, dim, work, &d2));
        CHECK(d2 >= 0 && d2 < 1e-6, "dimension %d: %g from itself", dim, d2);
    }
    for (k = 0; k < 5; ++k) {               /* two dimensions, not commuting: tr (S1 S2)^(1/2) = sqrt(tr S1 S2 + 2 sqrt(det S1 S2)) */
        double m[2] = { 0, 0 }, l1[4], l2[4], c1[4], c2[4], trace, det, want;
        for (i = 0; i < 4; ++i) { l1[i] = real(-1, 1); l2[i] = real(-1, 1); }
        for (i = 0; i < 4; ++i) { c1[i] = l1[i / 2 * 2] * l1[i % 2 * 2] + l1[i / 2 * 2 + 1] * l1[i % 2 * 2 + 1]; c2[i] = l2[i / 2 * 2] * l2[i % 2 * 2] + l2[i / 2 * 2 + 1] * l2[i % 2 * 2 + 1]; }
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

static void auroc(void)
{
    static const struct { float a[4]; int na; float b[4]; int nb; double want; } cases[] = {
        { { 1, 2, 3 }, 3, { 0 }, 1, 1 },          { { 1, 2, 3 }, 3, { 4, 5 }, 2, 0 },           { { 1 }, 1, { 1 }, 1, 0.5 },
        { { 1, 2 }, 2, { 2, 1 }, 2, 0.5 },        { { 0.3f, 0.7f, 0.7f }, 3, { 0.7f, 0.1f }, 2, 4.0 / 6 },
        { { 1, 1, 1, 0 }, 4, { 1, 0, 0 }, 3, (3 * (0.5 + 2) + 1) / 12 },
        { { (float)HUGE_VAL }, 1, { (float)HUGE_VAL, 3e38f }, 2, 0.75 },                        { { -(float)HUGE_VAL, 0.0f }, 2, { -0.0f }, 1, 0.25 }
    };
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float a[300], b[200];
    double area = 4711, back = 0, ranks = 0;
    int i, j;
    for (i = 0; i < (int)(sizeof cases / sizeof cases[0]); ++i) {
        CHECK_OK(ctx, drl_auroc(ctx, cases[i].a, cases[i].na, cases[i].b, cases[i].nb, &area));
        CHECK_OK(ctx, drl_auroc(ctx, cases[i].b, cases[i].nb, cases[i].a, cases[i].na, &back));
        CHECK(fabs(area - cases[i].want) < 1e-15 && fabs(area + back - 1) < 1e-15, "case %d: %g and %g, should be %g", i, area, back, cases[i].want);
    }
    /* many, with ties, by ranks: area = (sum of the ranks of a - na (na + 1) / 2) / (na nb), ties having their mean rank */
    for (i = 0; i < 300; ++i) a[i] = (float)floor(real(0, 40));
    for (i = 0; i < 200; ++i) b[i] = (float)floor(real(-10, 35));
    for (i = 0; i < 300; ++i) {
        ranks += 0.5;
        for (j = 0; j < 300; ++j) ranks += a[j] < a[i] ? 1.0 : a[j] > a[i] ? 0.0 : 0.5;
        for (j = 0; j < 200; ++j) ranks += b[j] < a[i] ? 1.0 : b[j] > a[i] ? 0.0 : 0.5;
    }
    CHECK_OK(ctx, drl_auroc(ctx, a, 300, b, 200, &area));
    CHECK(fabs(area - (ranks - 300.0 * 301 / 2) / (300.0 * 200)) < 1e-12 && area > 0.55 && area < 0.9, "%g, by ranks %g", area, (ranks - 300.0 * 301 / 2) / (300.0 * 200));
    area = 4711;
    REFUSED(ctx, drl_auroc(ctx, NULL, 3, b, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 0, b, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, NULL, 2, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, b, -1, &area), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_auroc(ctx, a, 3, b, 2, NULL), DRL_E_ARGUMENT);
    a[299] = (float)NAN;
    REFUSED(ctx, drl_auroc(ctx, a, 300, b, 200, &area), DRL_E_NUMERIC);
    REFUSED(ctx, drl_auroc(ctx, b, 200, a, 300, &area), DRL_E_NUMERIC);
    CHECK(area == 4711, "a refused area was written");
    drl_ctx_destroy(ctx);
}

static void inception(void)
{
    drl_ctx *ctx = context(DRL_ISA_AUTO, 1, NULL);
    float p[50 * 5];
    double score = 4711, want = 0;
    int i, c, classes;
    for (classes = 1; classes <= 5; ++classes) {
        for (i = 0; i < 10 * classes; ++i) for (c = 0; c < classes; ++c) p[i * classes + c] = i % classes == c ? 1.0f : 0.0f;     /* sure, and of all classes */
        CHECK_OK(ctx, drl_inception_score(ctx, p, 10 * classes, classes, &score));
        CHECK(fabs(score - classes) < 1e-12, "%d classes: %g", classes, score);
        CHECK_OK(ctx, drl_inception_score(ctx, p, 1, classes, &score));
        CHECK(fabs(score - 1) < 1e-12, "one image: %g", score);
        for (i = 0; i < 10 * classes; ++i) for (c = 0; c < classes; ++c) p[i * classes + c] = 1.0f / (float)classes;                 /* knows nothing */
        CHECK_OK(ctx, drl_inception_score(ctx, p, 10 * classes, classes, &score));
        CHECK(fabs(score - 1) < 1e-12, "%d classes, all alike: %g", classes, score);
    }
    p[0] = 0.5f; p[1] = 0.5f; p[2] = 1; p[3] = 0;       /* marginal 3/4, 1/4 */
    CHECK_OK(ctx, drl_inception_score(ctx, p, 2, 2, &score));
    want = exp((0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25) + log(1 / 0.75)) / 2);
    CHECK(fabs(score - want) < 1e-12, "two images: %.15f, should be %.15f", score, want);
    want = 0;
    for (i = 0; i < 50; ++i) {
        double row[5], sum = 0;
        for (c = 0; c < 5; ++c) sum += row[c] = real(0, 1) * (c == i % 7);
        for (c = 0; c < 5; ++c) p[i * 5 + c] = (float)((row[c] + 0.1) / (sum + 0.5));
    }
    for (i = 0; i < 50; ++i) for (c = 0; c < 5; ++c) {
        double mean = 0;
        int j;
        for (j = 0; j < 50; ++j) mean += (double)p[j * 5 + c] / 50;
        want += (double)p[i * 5 + c] * log((double)p[i * 5 + c] / mean) / 50;
    }
    CHECK_OK(ctx, drl_inception_score(ctx, p, 50, 5, &score));
    CHECK(fabs(score - exp(want)) < 1e-12 && score > 1.01, "50 images: %.15f, should be %.15f", score, exp(want));
    score = 4711;
    REFUSED(ctx, drl_inception_score(ctx, NULL, 2, 2, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 0, 2, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 2, 0, &score), DRL_E_ARGUMENT);
    REFUSED(ctx, drl_inception_score(ctx, p, 2, 2, NULL), DRL_E_ARGUMENT);
    for (i = 0; i < 4; ++i) {
        static const float bad[4] = { (float)NAN, -1e-3f, 1.5f, (float)HUGE_VAL };
        float was = p[37 + i];
        p[37 + i] = bad[i];
        REFUSED(ctx, drl_inception_score(ctx, p, 50, 5, &score), DRL_E_NUMERIC);
        p[37 + i] = was;
    }
    CHECK(score == 4711, "a refused score was written");
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    int variant, form;
    path = check_path("test_train.checkpoint.safetensors");
    for (variant = 0; variant < 3; ++variant) PART(step_by_step(variant));
    for (variant = 0; variant < 9; ++variant) PART(cooperative_step_by_step(variant));
    PART(resume());
    PART(wrong_checkpoints());
    for (form = 0; form < 2; ++form) {
        PART(same_bits(form));
        PART(average_norms(form));
        PART(rates(form));
        PART(memory(form));
    }
    PART(bad_data());
    PART(bad_labels());
    PART(steep_start());
    PART(sound_states());
    PART(runs_resume());
    PART(runs_change());
    PART(runs_of_data());
    for (variant = 0; variant < 8; ++variant) { PART(augmented(variant, 4, 2)); PART(augmented(variant, 3, 3)); }
    PART(augmentations_count());
    PART(augmentations_refused());
    PART(balanced_classes());
    PART(warm_ups());
    PART(divergence());
    PART(checkpoint_not_finite());
    PART(initializer_explodes());
    PART(score_of_unet());
    PART(own_network(DRL_OBJECTIVE_SCORE));
    PART(own_network(DRL_OBJECTIVE_RECOVERY));
    PART(score_matching(1, 0.05f));
    PART(score_matching(0, 0.05f));
    PART(score_matching(0, 0.5f));
    PART(score_matching(1, 0.5f));
    PART(score_matching(1, 0));
    PART(noise_left(0, 0, 0.1f));
    PART(noise_left(0, 1, -1));
    PART(noise_left(0, 1, 0.1f));
    PART(noise_left(1, 0, 0.1f));
    PART(contrast_without_steps());
    PART(bad_snapshot());
    PART(rollback_both());
    PART(descriptions());
    PART(learns_points());
    PART(learns_images());
    PART(frechet());
    PART(auroc());
    PART(inception());
    CHECK((jobs_watched > 100 || !WATCHES || check_only) && !watch_count, "%ld calls of the job system watched, %d blocks left", jobs_watched, watch_count);
    return check_report("test_train");
}
