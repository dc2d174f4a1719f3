/* test_train.c - a training step against its recomputation; repeatability over threads and instruction sets; checkpoints; averages;
 * divergence and rollback; memory; whether a small model learns; Frechet distances of known Gaussians. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

static uint64_t test_seed = 3;
static double real(double low, double high)
{
    test_seed = test_seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(test_seed >> 40) / 16777216.0;
}

static double *doubles(size_t n) { double *p = (double *)calloc(n + 1, sizeof *p); if (!p) exit(3); return p; }
static float  *floats(size_t n)  { float *p = (float *)calloc(n + 1, sizeof *p); if (!p) exit(3); return p; }

static int jobs_running, jobs_nested;
static void reverse_for(void *user, int count, drl_job_fn job, void *arg)
{
    (void)user;
    if (jobs_running++) ++jobs_nested;
    while (count-- > 0) job(arg, count);
    --jobs_running;
}

static drl_ctx *context(drl_isa isa, int threads, check_heap *heap)
{
    drl_ctx_desc d;
    drl_ctx *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.isa = isa;
    d.threads = threads;
    if (threads > 1) d.jobs.parallel_for = reverse_for;
    if (heap) { d.allocator.alloc_fn = check_alloc; d.allocator.free_fn = check_free; d.allocator.user = heap; }
    return drl_ctx_create(&d, &ctx) == DRL_OK ? ctx : NULL;
}

#define REFUSED(ctx, call, want) do { drl_status s_; drl_ctx_clear(ctx); s_ = (call); CHECK(s_ == want && drl_ctx_status(ctx) == want && drl_ctx_message(ctx)[0], "status %d, sentence '%s'", (int)s_, drl_ctx_message(ctx)); drl_ctx_clear(ctx); } while (0)

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
    drl_rng rng = drl_trainer_rng(tr);
    int i, k;
    for (i = 0; i < n; ++i) {
        float level = drl_rng_below(&rng, 2) ? 0.7f : -0.5f, slope = drl_rng_uniform(&rng) - 0.5f;
        for (k = 0; k < IMAGE; ++k) x[i * IMAGE + k] = level + slope * ((float)(k / C % W) / W - 0.5f) + 0.1f * (float)(k % C);
    }
}

/* Everything that a step may change, as one block to compare. */
static size_t state_of(const setup *s, float **out)
{
    drl_trainer *tr = s->tr;
    drl_net *net = s->m->net;
    size_t p = tr->part[0].params, q = tr->part[0].state, levels = (size_t)LEVELS * sizeof(drl_level_report) / sizeof(float), n = 4 * p + q + levels + 2;
    float *f = floats(n);
    memcpy(f, net->params, p * sizeof(float));
    memcpy(f + p, tr->part[0].ema, p * sizeof(float));
    memcpy(f + 2 * p, tr->part[0].adam_m, p * sizeof(float));
    memcpy(f + 3 * p, tr->part[0].adam_v, p * sizeof(float));
    memcpy(f + 4 * p, net->state, q * sizeof(float));
    memcpy(f + 4 * p + q, tr->level, levels * sizeof(float));
    f[n - 2] = (float)tr->now.step;
    f[n - 1] = (float)tr->now.rollbacks;
    *out = f;
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

static void step_by_step(int variant)
{
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s, twin;
    const drl_schedule *sc;
    float x0[BATCH * IMAGE], x_t[BATCH * IMAGE], x_next[BATCH * IMAGE], y[BATCH * IMAGE], gradient[BATCH * IMAGE], work[IMAGE], f_pos[BATCH], f_neg[BATCH];
    double *m, *v, *ema, *p, images[LEVELS] = { 0, 0, 0 }, pos[LEVELS] = { 0, 0, 0 }, neg[LEVELS] = { 0, 0, 0 }, moved[LEVELS] = { 0, 0, 0 }, ratio[LEVELS] = { 0, 0, 0 };
    double rate0, beta1, beta2, clip, ema_max, data_noise;
    size_t n, k;
    int step, i, j, warmup, mirrored = 0;
    if (variant == 1) { td.clip = -1; td.beta1 = -1; td.warmup = -1; td.ema = -1; td.steps = 2; td.flip = 0; td.learning_rate = 1e-3f; td.data_noise = -1; }
    if (variant == 2) { td.clip = 0.05f; td.beta2 = 0.9f; td.ema = 0.3f; md.no_spectral = 1; td.data_noise = 0.1f; }
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    twin = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);       /* stays one step behind: its net gives the gradient of the next step */
    sc = drl_model_schedule(s.m);
    n = drl_net_params_size(s.m->net);
    m = doubles(n); v = doubles(n); ema = doubles(n); p = doubles(n);
    for (k = 0; k < n; ++k) ema[k] = (double)s.m->net->params[k];
    rate0 = (double)td.learning_rate; warmup = td.warmup > 0 ? td.warmup : 0;
    beta1 = td.beta1 < 0 ? 0.0 : (double)td.beta1; beta2 = td.beta2 > 0 ? (double)td.beta2 : (double)0.999f;
    clip = td.clip < 0 ? HUGE_VAL : td.clip > 0 ? (double)td.clip : 1.0;
    data_noise = td.data_noise < 0 ? 0.0 : td.data_noise > 0 ? (double)td.data_noise : 0.02;
    ema_max = td.ema < 0 ? 0.0 : td.ema > 0 ? (double)td.ema : (double)0.999f;
    for (step = 0; step < 7; ++step) {
        drl_train_report r;
        drl_langevin_desc d;
        drl_energy e = drl_model_energy(twin.m);
        drl_rng rng;
        float level[BATCH], df[BATCH], f[BATCH];
        drl_batch batch;
        int t[BATCH], mirror[BATCH], wrong = 0;
        double loss = 0, norm = 0, rate, decay, worst = 0;
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
        CHECK_OK(twin.ctx, drl_langevin(twin.ctx, &d, BATCH, y, x_next, gradient, work));
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

        /* Adam in double on the twin's gradient */
        decay = (1.0 + step) / (10.0 + step);
        if (decay > ema_max) decay = ema_max;
        wrong = 0;
        for (k = 0; k < n; ++k) {
            double g = (double)twin.m->net->grads[k] * (norm > clip ? clip / norm : 1.0), w = (double)twin.m->net->params[k], got = (double)s.m->net->params[k];
            m[k] = beta1 * m[k] + (1 - beta1) * g;
            v[k] = beta2 * v[k] + (1 - beta2) * g * g;
            p[k] = w - rate * (m[k] / (1 - pow(beta1, step + 1.0))) / (sqrt(v[k] / (1 - pow(beta2, step + 1.0))) + 1e-8);
            ema[k] = decay * ema[k] + (1 - decay) * p[k];
            if (fabs(g) > 1e-6 && fabs(got - p[k]) > 2e-3 * rate + 2e-7 * fabs(w)) ++wrong;
            if (fabs(got - w) > worst) worst = fabs(got - w);
            if (fabs(got - p[k]) > 2.1 * rate + 1e-6) ++wrong;
            ema[k] += (1 - decay) * (got - p[k]);                   /* follow what it really averages */
            if (fabs((double)s.tr->part[0].ema[k] - ema[k]) > 2e-6) ++wrong;
        }
        CHECK(!wrong, "variant %d, step %d: %d weights or averages are wrong", variant, step, wrong);
        CHECK(worst > 0.5 * rate, "variant %d, step %d: the largest move is %g at rate %g", variant, step, worst, rate);

        /* the twin follows */
        CHECK_OK(twin.ctx, drl_trainer_step(twin.tr, x0, NULL, NULL));
        CHECK(!memcmp(twin.m->net->params, s.m->net->params, n * sizeof(float)), "variant %d, step %d: twins differ", variant, step);
    }
    CHECK(td.flip ? mirrored > 5 && mirrored < 30 : mirrored == 0, "%d of 35 images were mirrored", mirrored);
    free(m); free(v); free(ema); free(p);
    unmake(&s);
    unmake(&twin);
}

/* -- repeatability -- */

static size_t train_with(drl_isa isa, int threads, int batch, uint64_t seed, float **out)
{
    drl_ctx *ctx = context(isa, threads, NULL);
    drl_model_desc md = tiny();
    drl_train_desc td = plan();
    setup s;
    size_t n;
    int i;
    float x0[BATCH * IMAGE];
    if (!ctx) return 0;
    md.batch = batch;
    td.seed = seed;
    s = make(ctx, &md, &td, 5);
    for (i = 0; i < 5; ++i) {
        pictures(s.tr, x0, BATCH);
        CHECK_OK(ctx, drl_trainer_step(s.tr, x0, NULL, NULL));
    }
    n = state_of(&s, out);
    unmake(&s);
    return n;
}

static void same_bits(void)
{
    static const drl_isa exact[] = { DRL_ISA_AVX2, DRL_ISA_AVX512, DRL_ISA_NEON };
    static const int threads[] = { 1, 2, 3, 7 };
    float *want, *got;
    size_t n = train_with(DRL_ISA_PORTABLE, 1, BATCH, 21, &want);
    int i;
    for (i = 0; i < 3; ++i) if (train_with(exact[i], 1, BATCH, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "%s gives other bits", drl_isa_name(exact[i])); free(got); }
    jobs_nested = 0;
    for (i = 0; i < 4; ++i) if (train_with(DRL_ISA_AUTO, threads[i], BATCH, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "%d threads give other bits", threads[i]); free(got); }
    CHECK(!jobs_nested, "the job system was called %d times from inside a job", jobs_nested);
    if (train_with(DRL_ISA_AUTO, 2, BATCH + 4, 21, &got)) { CHECK(!memcmp(want, got, n * sizeof *want), "a model with a larger batch gives other bits"); free(got); }
    if (train_with(DRL_ISA_AUTO, 1, BATCH, 22, &got)) { CHECK(memcmp(want, got, n * sizeof *want) != 0, "another seed gives the same bits"); free(got); }
    free(want);
}

/* -- checkpoints -- */

static const char *path;               /* of the checkpoint that tests write */

static void steps(setup *s, int count)
{
    float x0[BATCH * IMAGE];
    while (count-- > 0) {
        pictures(s->tr, x0, BATCH);
        CHECK_OK(s->ctx, drl_trainer_step(s->tr, x0, NULL, NULL));
    }
}

static void resume(void)
{
    int spectral, visits;
    for (spectral = 0; spectral < 2; ++spectral)
        for (visits = 0; visits < 2; ++visits) {        /* visits: sampling in between, also with the average swapped in */
            drl_model_desc md = tiny(), got_md;
            drl_train_desc td = plan(), got_td;
            setup a, b, c;
            float *want, *at_save, *random = NULL, out[3 * IMAGE], out2[3 * IMAGE], x0[BATCH * IMAGE];
            size_t n, saved;
            int round;
            drl_sample_desc how;
            drl_train_report r;
            memset(&how, 0, sizeof how);
            how.count = 3;
            md.no_spectral = !spectral;
            td.learning_rate = 1.7e-3f;
            a = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
            steps(&a, 9);
            n = state_of(&a, &want);

            b = make(context(DRL_ISA_AUTO, 2, NULL), &md, &td, 5);
            for (round = 0; round < 6; ++round) {
                steps(&b, 1);
                if (visits) {
                    float *before, *swapped;
                    size_t count = state_of(&b, &before);
                    CHECK_OK(b.ctx, drl_sample(b.m, &how, out));
                    CHECK_OK(b.ctx, drl_trainer_swap_average(b.tr));
                    state_of(&b, &swapped);
                    CHECK(!memcmp(swapped, before + b.tr->part[0].params, b.tr->part[0].params * sizeof(float)) && !memcmp(swapped + b.tr->part[0].params, before, b.tr->part[0].params * sizeof(float)), "the average is not exchanged");
                    CHECK(memcmp(swapped, before, b.tr->part[0].params * sizeof(float)) != 0, "average and weights are the same");
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
            CHECK(got_md.height == H && got_md.width == W && got_md.channels == C && got_md.base == 6 && got_md.levels == LEVELS && got_md.steps == STEPS && got_md.trainable == 1 && got_md.batch >= BATCH && got_md.no_spectral == !spectral, "the model's description");
            CHECK(got_td.seed == td.seed && got_td.batch == td.batch && got_td.learning_rate == td.learning_rate && got_td.warmup == td.warmup && got_td.flip == td.flip && got_td.snapshot == td.snapshot && got_td.data_noise > 0, "the training's description");

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
    remove(path);
    REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_IO);
    REFUSED(s.ctx, drl_trainer_save(s.tr, "no/such/folder/checkpoint"), DRL_E_IO);
    REFUSED(s.ctx, drl_trainer_save(s.tr, NULL), DRL_E_ARGUMENT);
    REFUSED(s.ctx, drl_trainer_resume(s.tr, NULL), DRL_E_ARGUMENT);
    CHECK_OK(s.ctx, drl_model_save(s.m, path));             /* a model is no checkpoint */
    REFUSED(s.ctx, drl_trainer_resume(s.tr, path), DRL_E_FORMAT);
    {
        drl_model_desc a;
        drl_train_desc b;
        a.base = 4711;
        REFUSED(s.ctx, drl_checkpoint_describe(s.ctx, path, &a, &b), DRL_E_FORMAT);
        CHECK(a.base == 4711, "a refused description was written");
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

static double singular(const float *w, int rows, int cols)
{
    double *u = doubles((size_t)rows), *v = doubles((size_t)cols), sigma = 0;
    int i, j, round;
    for (i = 0; i < rows; ++i) u[i] = real(-1, 1);
    for (round = 0; round < 2000; ++round) {
        double norm = 0;
        for (j = 0; j < cols; ++j) v[j] = 0;
        for (i = 0; i < rows; ++i) for (j = 0; j < cols; ++j) v[j] += (double)w[i * cols + j] * u[i];
        for (j = 0; j < cols; ++j) norm += v[j] * v[j];
        if (norm == 0) break;
        for (j = 0; j < cols; ++j) v[j] /= sqrt(norm);
        for (i = 0, norm = 0; i < rows; ++i) {
            for (j = 0, u[i] = 0; j < cols; ++j) u[i] += (double)w[i * cols + j] * v[j];
            norm += u[i] * u[i];
        }
        sigma = sqrt(norm);
        for (i = 0; i < rows; ++i) u[i] /= sigma;
    }
    free(u); free(v);
    return sigma;
}

static void average_norms(void)
{
    drl_model_desc md = tiny();
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
            double sigma;
            if (!op->spectral) continue;
            drl__op_shape(s.m->net, op, &rows, &cols);
            sigma = singular(s.m->net->params + s.m->net->param[op->weight].offset, rows, cols);
            if (sigma == 0) continue;
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
    steps(&s, 2);
    steps(&clean, 5);
    free(before);
    n = state_of(&clean, &before);
    expect_state(&s, before, n, "after bad pixels, the run goes on as if nothing had happened");
    free(before);
    unmake(&s); unmake(&clean);
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
            seed = drl_trainer_rng(s.tr).seed;
            drl_ctx_clear(s.ctx);
            CHECK_OK(s.ctx, drl_trainer_rollback(s.tr));
            kept[n - 1] = (float)++rollbacks;
            expect_state(&s, kept, n, "rolled back");
            CHECK(drl_trainer_rng(s.tr).seed != seed, "the noise is not fresh after a rollback");
            good_steps = 0;
        }
        free(before);
    }
    CHECK(rollbacks > 0, "a learning rate of 0.5 did not diverge");
    CHECK(good_steps == 60, "no stable run after %d rollbacks", rollbacks);
    free(kept);
    unmake(&s);

    /* weights that are not numbers, or huge: found at the next step, healed by going back to the snapshot */
    md = tiny();
    td = plan();
    s = make(context(DRL_ISA_AUTO, 1, NULL), &md, &td, 5);
    steps(&s, 4);
    n = state_of(&s, &kept);
    for (k = 0; k < 2; ++k) {
        const char *name = k ? "energy.temb_final.weight" : "energy.conv_in.weight";
        steps(&s, 2);
        for (i = 0; strcmp(drl_net_param(s.m->net, i)->name, name); ++i) { }
        drl_net_params(s.m->net)[drl_net_param(s.m->net, i)->offset] = k ? 1e30f : (float)NAN;
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
    BAD(d.steps = -1);
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
    REFUSED(ctx, drl_trainer_create(m, &d, NULL), DRL_E_ARGUMENT);
    CHECK(drl_trainer_create(NULL, NULL, &tr) == DRL_E_ARGUMENT && drl_trainer_steps(NULL) == 0, "no model");
    CHECK_OK(ctx, drl_trainer_create(m, NULL, &tr));            /* defaults */
    CHECK(tr->desc.batch == BATCH && tr->desc.learning_rate == 3e-4f && tr->desc.beta1 == 0.5f && tr->desc.beta2 == 0.999f && tr->desc.warmup == 1000 && tr->desc.data_noise == 0.02f && tr->desc.ema == 0.999f &&
          tr->desc.clip == 1.0f && tr->desc.steps == STEPS && !tr->desc.flip && tr->desc.snapshot == 100, "defaults");
    drl_trainer_destroy(tr);
    drl_trainer_destroy(NULL);
    drl_model_destroy(m);
    md.trainable = 0;
    m = NULL; tr = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    REFUSED(ctx, drl_trainer_create(m, NULL, &tr), DRL_E_ARGUMENT);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

static void memory(void)
{
    check_heap heap;
    drl_ctx *ctx;
    drl_model_desc md = tiny();
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
        int i;
        for (i = 0; i < 9; ++i) {
            pictures(tr, x0, BATCH);
            CHECK_OK(ctx, drl_trainer_step(tr, x0, NULL, NULL));
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
        drl_rng rng = drl_trainer_rng(tr);
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
        drl_rng rng = drl_trainer_rng(tr);
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

int main(void)
{
    int variant;
    path = check_path("test_train.checkpoint.safetensors");
    for (variant = 0; variant < 3; ++variant) step_by_step(variant);
    same_bits();
    resume();
    wrong_checkpoints();
    average_norms();
    bad_data();
    divergence();
    descriptions();
    memory();
    learns_points();
    learns_images();
    frechet();
    return check_report("test_train");
}
