/* test_ranks.c - training by several ranks, without MPI: each is a thread with a context of its own, and
 * `reduce` adds through shared memory. Weights, reports and checkpoints are the same bits for 1, 2 and 4
 * ranks, in runs that are resumed by other ranks, stopped by one, timed by one or roll back; what fails on
 * one rank ends all of them with a status. Windows runs what needs one rank. */
#ifndef _WIN32
#define RANKS_RUN 1
#include <pthread.h>
#endif
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "fixture.h"

#define RANKS_MOST 4
#define BATCH  8
#define GROUPS 4
#define SIDE   4
#define IMAGE  (SIDE * SIDE)
#define DATA   23                           /* images of the data set */
#define STEPS  50
#define STOP   23                           /* where resumed runs are stopped */

/* -- what is trained -- */

enum { PLAIN, COOPERATIVE, SCORE, VARIANTS };
static const char *const names[VARIANTS] = { "plain", "cooperative", "score" };

/* Plain energies; two networks with labels, dropout and augmentations; score matching. */
static drl_model_desc model_of(int variant)
{
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    d.height = SIDE;
    d.base = 4;
    d.levels = 4;
    d.steps = 2;
    d.trainable = 1;
    d.batch = BATCH / GROUPS;               /* less than the batch: a pass is one group */
    d.resolutions = 1;
    d.silu = variant == SCORE;
    if (variant != COOPERATIVE) return d;
    d.form = DRL_FORM_CDRL;
    d.initializer = 4;
    d.classes = 3;
    return d;
}

static drl_train_desc plan_of(int variant)
{
    drl_train_desc d;
    memset(&d, 0, sizeof d);
    d.seed = 7;
    d.batch = BATCH;
    d.groups = GROUPS;
    d.warmup = 4;
    d.snapshot = 10;
    d.flip = variant == COOPERATIVE;
    if (variant == SCORE) d.objective = DRL_OBJECTIVE_SCORE;
    d.shift = variant == COOPERATIVE ? 2 : 0;
    return d;
}

/* An initializer's last layers start at zero, and a test would see nothing of the layers behind them. */
static void shake(drl_model *m)
{
    drl_rng rng = { 5, 4711, 0 };
    drl_net *net = drl_model_initializer(m);
    size_t k;
    for (k = 0; net && k < drl_net_params_size(net); ++k)
        drl_net_params(net)[k] += 0.2f * (drl_rng_uniform(&rng) - 0.5f);
    if (net) drl_net_refresh(net, 0);
}

static uint8_t pixels[DATA * IMAGE], labels[DATA];
static drl_dataset images;
static drl_dataset data_set(void)
{
    drl_dataset d;
    int i;
    memset(&d, 0, sizeof d);
    for (i = 0; i < DATA * IMAGE; ++i)
        pixels[i] = (uint8_t)((i / IMAGE * 41 + i % SIDE * (i / IMAGE % 3) * 30 + i % 7) & 255);
    for (i = 0; i < DATA; ++i) labels[i] = (uint8_t)(i % 5 ? 1 + i % 3 : 0);
    d.count = DATA;
    d.height = d.width = SIDE;
    d.channels = 1;
    d.classes = 3;
    d.pixels = pixels;
    d.labels = labels;
    return d;
}

/* -- one rank, and what ranks have in common -- */

typedef struct team team;
typedef struct member {
    team *all;
    int rank;
    drl_ctx *ctx;
    drl_model *model;
    drl_trainer *trainer;
    check_heap heap;
    drl_status status;
    char message[512];                      /* of the context, at the end */
    unsigned char *saved;                   /* the checkpoint at the end */
    size_t bytes;
    float *copy;                            /* of a sum, for the partner */
    size_t room;
    long calls;                             /* of `reduce` */
    double now;                             /* of its clock */
} member;

enum { NOTHING, SOURCE_FAILS, NO_MEMORY, NO_DATA, OTHER_SEED, OTHER_WEIGHTS, OTHER_RUN, AVERAGED, BAD_LABEL,
       REDUCE_FAILS, REDUCE_HALVES, REDUCE_LEAVES, REDUCE_SPOILS, REDUCE_STRAYS };     /* the last four on
                                                                                  * all ranks */
static long fails_at;                       /* the call of `reduce` for REDUCE_FAILS, from 1 */
static int other_field;                     /* what a rank's run has otherwise for OTHER_RUN */

/* A team is described by the first part, and then runs `body` once for each rank. */
struct team {
    int variant, ranks;
    uint64_t steps;                         /* of the run */
    double seconds;                         /* or its time; clocks differ, see `ticks` */
    int stop_at, stop_rank;                 /* this rank stops after this step; 0: none does */
    int by_source, balanced;
    const unsigned char *resume;            /* a checkpoint from which all go on; NULL: none */
    size_t resume_bytes;
    float learning_rate;
    int odd, odd_rank;                      /* what is wrong, and with which rank */
    void (*body)(member *m);
    member of[RANKS_MOST];
    int left, hung, broken;                 /* ranks that have ended; one waited for such; a sum has failed */
    int waiting;
    unsigned round;
#ifdef RANKS_RUN
    pthread_mutex_t lock;
    pthread_cond_t changed;
#endif
};

#ifdef RANKS_RUN
/* Waits for all ranks. Returns 0 when one of them cannot come any more. */
static int meet(team *t)
{
    unsigned round;
    int met;
    pthread_mutex_lock(&t->lock);
    round = t->round;
    if (++t->waiting == t->ranks) {
        t->waiting = 0;
        ++t->round;
        pthread_cond_broadcast(&t->changed);
    }
    while (t->round == round && !t->left && !t->broken) pthread_cond_wait(&t->changed, &t->lock);
    met = t->round != round;
    if (!met && t->left && !t->broken) t->hung = 1;
    pthread_mutex_unlock(&t->lock);
    return met;
}

static void tell(team *t, int *what)
{
    pthread_mutex_lock(&t->lock);
    ++*what;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* Recursive doubling, as examples/12_mpi.c does it. */
static drl_status add_ranks(void *user, float *sum, size_t count)
{
    member *m = (member *)user;
    team *t = m->all;
    size_t i;
    int distance, odd = m->rank == t->odd_rank;
    ++m->calls;
    if (odd && t->odd == REDUCE_FAILS && m->calls == fails_at) {
        tell(t, &t->broken);
        return DRL_E_IO;
    }
    if (t->odd == REDUCE_LEAVES) return DRL_OK;
    if (count > m->room) {
        free(m->copy);
        m->copy = (float *)malloc(count * sizeof *sum);
        m->room = count;
    }
    for (distance = 1; distance < t->ranks; distance *= 2) {
        const float *other;
        memcpy(m->copy, sum, count * sizeof *sum);
        if (!meet(t)) return DRL_E_IO;
        other = t->of[m->rank ^ distance].copy;
        for (i = 0; i < count; ++i) sum[i] += other[i];
        if (!meet(t)) return DRL_E_IO;
    }
    for (i = 0; i < count && t->odd == REDUCE_HALVES; ++i) sum[i] *= 0.5f;
    if (t->odd == REDUCE_STRAYS) sum[0] = 0.5f;
    /* the highest word of the first image's level, which comes after two numbers a rank: infinity */
    if (t->odd == REDUCE_SPOILS && count > 200) sum[4 * 2 * t->ranks + 3] = 0x7FF0;
    return DRL_OK;
}
#else
static drl_status add_ranks(void *user, float *sum, size_t count)
{
    (void)user;
    (void)sum;
    (void)count;
    return DRL_OK;
}
#endif

/* -- a run -- */

/* Blobs whose brightness is drawn; any number of draws for an image. */
static drl_status source(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *label)
{
    member *m = (member *)user;
    int i, k, draws;
    (void)ctx;
    if (m->rank == m->all->odd_rank && m->all->odd == SOURCE_FAILS && drl_trainer_steps(m->trainer) == 3)
        return drl__fail(m->ctx, DRL_E_IO, "the disk is gone");
    for (i = 0; i < n; ++i) {
        float bright = drl_rng_uniform(rng);
        for (draws = drl_rng_below(rng, 5); draws; --draws) bright *= drl_rng_uniform(rng);
        for (k = 0; k < IMAGE; ++k) x0[i * IMAGE + k] = bright - (float)(k % SIDE) / SIDE;
        if (label) label[i] = drl_rng_below(rng, 4);
    }
    return DRL_OK;
}

static int on_step(void *user, const drl_train_report *report)
{
    member *m = (member *)user;
    const team *t = m->all;
    return !report->diverged && m->rank == t->stop_rank && (int)report->step == t->stop_at;
}

static double ticks(void *user)
{
    member *m = (member *)user;
    m->now += 0.3 * (m->rank + 1);
    return m->now;
}

static void prepare(member *m)
{
    const team *t = m->all;
    int odd = m->rank == t->odd_rank;
    drl_ctx_desc cd;
    drl_model_desc md = model_of(t->variant);
    drl_train_desc td = plan_of(t->variant);
    memset(&cd, 0, sizeof cd);
    cd.allocator.alloc_fn = check_alloc;
    cd.allocator.free_fn = check_free;
    cd.allocator.user = &m->heap;
    td.ranks = t->ranks;
    td.rank = m->rank;
    td.reduce = add_ranks;
    td.reduce_user = m;
    td.learning_rate = t->learning_rate;
    if (t->learning_rate > 0.1f) {          /* to diverge */
        md.no_spectral = 1;
        md.b2 = 2e-3;
        td.clip = -1;
        td.warmup = -1;
    }
    if (odd && t->odd == OTHER_SEED) ++td.seed;
    m->status = drl_ctx_create(&cd, &m->ctx);
    if (m->status == DRL_OK) m->status = drl_model_create(m->ctx, &md, 5, &m->model);
    if (m->status == DRL_OK) shake(m->model);
    if (odd && t->odd == OTHER_WEIGHTS) drl_net_params(drl_model_net(m->model))[3] += 1e-3f;
    if (m->status == DRL_OK) m->status = drl_trainer_create(m->model, &td, &m->trainer);
    if (m->status == DRL_OK && t->resume)
        m->status = drl_trainer_resume_memory(m->trainer, t->resume, t->resume_bytes);
}

enum { RUN_STEPS, RUN_SECONDS, RUN_FALL, RUN_ROLLBACKS, RUN_BALANCED, RUN_FIELDS };
static void other_run(drl_run_desc *d)
{
    if (other_field == RUN_STEPS) ++d->steps;
    if (other_field == RUN_SECONDS) ++d->seconds;
    if (other_field == RUN_FALL) d->fall = 0.25;
    if (other_field == RUN_ROLLBACKS) ++d->rollbacks;
    if (other_field == RUN_BALANCED) d->balanced = 1;
}

static void run(member *m)
{
    const team *t = m->all;
    int odd = m->rank == t->odd_rank;
    drl_run_desc d;
    long calls = m->heap.calls;
    memset(&d, 0, sizeof d);
    d.steps = t->steps;
    d.seconds = t->seconds;
    d.rollbacks = 2;
    d.clock = t->seconds > 0 ? ticks : NULL;
    d.on_step = on_step;
    d.user = m;
    d.balanced = t->balanced;
    if (t->by_source) d.source = source;
    if (odd && t->odd == NO_MEMORY) m->heap.fail_at = m->heap.calls + 1;
    if (odd && t->odd == OTHER_RUN) other_run(&d);
    if (odd && t->odd == AVERAGED) drl_trainer_swap_average(m->trainer);
    m->status = drl_train(m->trainer, t->by_source || (odd && t->odd == NO_DATA) ? NULL : &images, &d);
    if (odd && t->odd == AVERAGED) drl_trainer_swap_average(m->trainer);
    if (m->heap.calls > calls + 1) m->status = DRL_E_MEMORY;    /* a run takes one block */
}

static void finish(member *m)
{
    drl_status status = drl_trainer_save_memory(m->trainer, NULL, 0, &m->bytes);
    snprintf(m->message, sizeof m->message, "%s", drl_ctx_message(m->ctx));
    m->saved = (unsigned char *)calloc(m->bytes + 1, 1);
    if (status == DRL_OK) status = drl_trainer_save_memory(m->trainer, m->saved, m->bytes, &m->bytes);
    if (status != DRL_OK) m->bytes = 0;
    drl_trainer_destroy(m->trainer);
    drl_model_destroy(m->model);
    drl_ctx_destroy(m->ctx);
    free(m->copy);
}

static void *live(void *arg)
{
    member *m = (member *)arg;
    if (m->status == DRL_OK) m->all->body(m);
#ifdef RANKS_RUN
    tell(m->all, &m->all->left);
#endif
    finish(m);
    return NULL;
}

static team *team_of(int variant, int ranks)
{
    team *t = (team *)calloc(1, sizeof *t);
    if (!t) exit(3);
    t->variant = variant;
    t->ranks = ranks;
    t->steps = STEPS;
    t->balanced = variant == COOPERATIVE;
    t->by_source = variant == SCORE;
    t->body = run;
    return t;
}

/* All ranks, to their end, at which they hold the same. They are made one after the other, since check.h
 * counts kernels without a lock. */
static void go(team *t, drl_status want)
{
    int i;
#ifdef RANKS_RUN
    pthread_t thread[RANKS_MOST];
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
#endif
    for (i = 0; i < t->ranks; ++i) {
        t->of[i].all = t;
        t->of[i].rank = i;
        prepare(&t->of[i]);
    }
    for (i = 0; i < t->ranks; ++i) {
#ifdef RANKS_RUN
        if (pthread_create(&thread[i], NULL, live, &t->of[i])) exit(3);
#else
        live(&t->of[i]);
#endif
    }
#ifdef RANKS_RUN
    for (i = 0; i < t->ranks; ++i) pthread_join(thread[i], NULL);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
#endif
    CHECK(!t->hung, "%s, %d ranks: one waits for another that has left", names[t->variant], t->ranks);
    for (i = 0; i < t->ranks; ++i) {
        const member *m = &t->of[i], *first = &t->of[0];
        CHECK(m->status == want, "%s, rank %d of %d: %s, %s", names[t->variant], i, t->ranks,
              drl_status_text(m->status), m->message);
        CHECK(m->heap.live == 0, "%s, rank %d: %ld blocks are left", names[t->variant], i, m->heap.live);
        if (t->odd == OTHER_SEED || t->odd == OTHER_WEIGHTS) continue;
        CHECK(m->bytes && m->bytes == first->bytes && !memcmp(m->saved, first->saved, m->bytes),
              "%s: ranks 0 and %d of %d end with other checkpoints", names[t->variant], i, t->ranks);
    }
}

static void team_free(team *t)
{
    int i;
    for (i = 0; i < t->ranks; ++i) free(t->of[i].saved);
    free(t);
}

static void expect_same(const team *t, const team *want, const char *what)
{
    const member *a = &t->of[0], *b = &want->of[0];
    CHECK(a->bytes == b->bytes && !memcmp(a->saved, b->saved, a->bytes), "%s, %d ranks: %s: other bits",
          names[t->variant], t->ranks, what);
}

/* -- the same bits -- */

/* A whole run by one rank, by two, by four; and one that a rank stops, and that others resume. */
static void same_bits(int variant)
{
    static const int changes[3][2] = { { 2, 4 }, { 4, 1 }, { 1, 2 } };
    team *want = team_of(variant, 1), *t, *again;
    int i, ranks;
    go(want, DRL_OK);
    for (ranks = 2; ranks <= RANKS_MOST; ranks *= 2) {
        t = team_of(variant, ranks);
        go(t, DRL_OK);
        expect_same(t, want, "without a stop");
        CHECK(t->of[0].calls == 1 + STEPS * (3 + (variant == COOPERATIVE ? 2 : 1)), "%ld calls of `reduce`",
              t->of[0].calls);
        team_free(t);
    }
    for (i = 0; i < 3; ++i) {
        t = team_of(variant, changes[i][0]);
        t->stop_at = STOP;
        t->stop_rank = changes[i][0] - 1;
        go(t, DRL_RUNNING);
        again = team_of(variant, changes[i][1]);
        again->resume = t->of[0].saved;
        again->resume_bytes = t->of[0].bytes;
        go(again, DRL_OK);
        expect_same(again, want, "resumed");
        team_free(again);
        team_free(t);
    }
    team_free(want);
}

/* A run by seconds: the first rank's clock decides how many steps it has. */
static void one_clock(void)
{
    team *want = team_of(PLAIN, 1), *t = team_of(PLAIN, 4);
    want->steps = t->steps = 0;
    want->seconds = t->seconds = 6.0;
    go(want, DRL_OK);
    go(t, DRL_OK);
    expect_same(t, want, "by time");
    team_free(want);
    team_free(t);
}

/* A rate at which training diverges: all ranks go back together, as one does, until they may no more. */
static void one_rollback(void)
{
    team *want = team_of(PLAIN, 1), *t = team_of(PLAIN, 2);
    want->learning_rate = t->learning_rate = 0.5f;
    go(want, DRL_E_DIVERGED);
    go(t, DRL_E_DIVERGED);
    CHECK(strstr((const char *)want->of[0].saved + 8, "rollbacks=2 ") != NULL, "not 2 rollbacks");
    expect_same(t, want, "rolled back");
    team_free(want);
    team_free(t);
}

/* -- failures -- */

/* Something is wrong with one rank: all end with this status, and the first one's sentence has these
 * words. */
static void expect_failure(int odd, drl_status want, const char *words)
{
    team *t = team_of(PLAIN, 4);
    int i;
    t->odd = odd;
    t->odd_rank = 2;
    t->by_source = odd == SOURCE_FAILS;
    t->steps = 9;
    if (odd == OTHER_RUN && other_field == RUN_SECONDS) {
        t->steps = 0;
        t->seconds = 6.0;
    }
    go(t, want);
    for (i = 0; i < 4; i += 3)
        CHECK(strstr(t->of[i].message, words) != NULL, "failure %d, rank %d: '%s'", odd, i,
              t->of[i].message);
    team_free(t);
}

static void failures(void)
{
    expect_failure(SOURCE_FAILS, DRL_E_IO, "rank 2 has failed");
    expect_failure(NO_MEMORY, DRL_E_MEMORY, "rank 2 has failed: out of memory");
    expect_failure(NO_DATA, DRL_E_ARGUMENT, "rank 2 has failed");
    expect_failure(AVERAGED, DRL_E_ARGUMENT, "rank 2 has failed");
    for (other_field = 0; other_field < RUN_FIELDS; ++other_field)
        expect_failure(OTHER_RUN, DRL_E_ARGUMENT, "ranks 0 and 2 differ");
    expect_failure(OTHER_SEED, DRL_E_ARGUMENT, "ranks 0 and 2 differ");
    expect_failure(OTHER_WEIGHTS, DRL_E_ARGUMENT, "ranks 0 and 2 differ");
    for (fails_at = 1; fails_at <= 12; ++fails_at)      /* the first steps have so many, for each purpose */
        expect_failure(REDUCE_FAILS, DRL_E_IO, "`reduce`, which adds up 4 ranks, has failed");
    expect_failure(REDUCE_STRAYS, DRL_E_ARGUMENT, "`reduce` gives 0.5 as a sum of whole numbers");
    expect_failure(REDUCE_LEAVES, DRL_E_ARGUMENT, "differ in their");
    expect_failure(REDUCE_HALVES, DRL_E_ARGUMENT, "`reduce` gives");
    expect_failure(REDUCE_SPOILS, DRL_E_ARGUMENT, "`reduce` gives image 0 level inf of 4");
}

/* Steps by hand: a label that is wrong on one rank refuses the step of all, and the next one succeeds. */
static void label_body(member *m)
{
    const team *t = m->all;
    float x0[BATCH / 2 * IMAGE];
    int label[BATCH / 2] = { 1, 2, 3, 0 }, i;
    for (i = 0; i < BATCH / 2 * IMAGE; ++i) x0[i] = (float)(i % (5 + m->rank)) / 5.0f - 0.5f;
    for (i = 0; i < 3 && m->status == DRL_OK; ++i) {
        if (t->odd == BAD_LABEL && i == 1) {
            label[2] = m->rank == t->odd_rank ? 4 : 3;
            if (drl_trainer_step(m->trainer, x0, label, NULL) != DRL_E_ARGUMENT) m->status = DRL_RUNNING;
            label[2] = 3;
            drl_ctx_clear(m->ctx);
        }
        if (m->status == DRL_OK) m->status = drl_trainer_step(m->trainer, x0, label, NULL);
    }
}

static void bad_label(void)
{
    team *want = team_of(COOPERATIVE, 2), *t = team_of(COOPERATIVE, 2);
    want->body = t->body = label_body;
    t->odd = BAD_LABEL;
    t->odd_rank = 1;
    go(want, DRL_OK);
    go(t, DRL_OK);
    expect_same(t, want, "after a step that was refused");
    team_free(want);
    team_free(t);
}

/* The weights are not numbers, so all chains diverge; one rank has failed in another way, which counts. */
static void worst_body(member *m)
{
    float x0[BATCH / 4 * IMAGE] = { 0 };
    drl_net *net = drl_model_net(m->model);
    float old = drl_net_params(net)[3];
    drl_net_params(net)[3] = (float)NAN;
    drl_net_refresh(net, 0);
    m->status = drl_trainer_step(m->trainer, x0, NULL, NULL);
    if (m->status == DRL_E_DIVERGED) {
        drl_ctx_clear(m->ctx);
        if (m->rank == 3) x0[1] = (float)NAN;
        m->status = drl_trainer_step(m->trainer, x0, NULL, NULL);
    }
    drl_net_params(net)[3] = old;
    drl_net_refresh(net, 0);
}

static void worst_failure(void)
{
    team *t = team_of(PLAIN, 4);
    t->body = worst_body;
    go(t, DRL_E_NUMERIC);
    CHECK(strstr(t->of[0].message, "rank 3 has failed") != NULL, "'%s'", t->of[0].message);
    CHECK(strstr(t->of[3].message, "pixels") != NULL, "'%s'", t->of[3].message);
    team_free(t);
}

/* -- one rank -- */

/* Groups see the images, levels and noise of a whole batch: the first loss has the same bits, and gradients
 * differ by rounding. */
static void groups_of_one_batch(int variant)
{
    float x0[BATCH * IMAGE], *gradient = NULL;
    int label[BATCH] = { 1, 2, 3, 0, 1, 2, 3, 0 }, groups, part, i;
    double loss[2] = { 0, 0 };
    size_t bytes = 0;
    for (i = 0; i < BATCH * IMAGE; ++i) x0[i] = (float)(i % 11) / 6.0f - 0.8f;
    for (groups = 1; groups <= BATCH; groups *= 2) {
        drl_model_desc md = model_of(variant);
        drl_train_desc td = plan_of(variant);
        drl_train_report r;
        check_heap heap;
        drl_ctx *ctx;
        drl_model *m = NULL;
        drl_trainer *tr = NULL;
        size_t held, at = 0, all;
        memset(&heap, 0, sizeof heap);
        ctx = context(DRL_ISA_PORTABLE, 1, &heap);
        md.batch = BATCH / groups;
        td.groups = groups;
        CHECK_OK(ctx, drl_model_create(ctx, &md, 5, &m));
        shake(m);
        held = heap.bytes;
        CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
        if (!tr) exit(check_report("test_ranks"));
        CHECK_OK(ctx, drl_trainer_size(m, &td, &bytes));
        CHECK(heap.bytes - held == bytes, "%d bytes are held, %d were announced", (int)(heap.bytes - held),
              (int)bytes);
        CHECK_OK(ctx, drl_trainer_step(tr, x0, variant == COOPERATIVE ? label : NULL, &r));
        all = tr->part[0].params + (tr->parts > 1 ? tr->part[1].params : 0);
        if (groups == 1) {
            gradient = floats(all);
            loss[0] = r.loss;
            loss[1] = r.initializer_loss;
        }
        CHECK(r.loss == loss[0] && r.initializer_loss == loss[1], "%s, %d groups: losses %.17g, %.17g for "
              "%.17g, %.17g", names[variant], groups, r.loss, r.initializer_loss, loss[0], loss[1]);
        for (part = 0; part < tr->parts; at += tr->part[part++].params) {
            const float *got = tr->part[part].net->grads;
            double off = 0;
            if (groups == 1) memcpy(gradient + at, got, tr->part[part].params * sizeof *got);
            else off = check_rel_floats(got, gradient + at, tr->part[part].params);
            /* gradients at data and at chains' ends cancel in part */
            CHECK(off < 1e-4 && (groups == 1 || off > 0), "%s, %d groups, part %d: gradients differ by %g",
                  names[variant], groups, part, off);
        }
        drl_trainer_destroy(tr);
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
    free(gradient);
}

static int keep_loss(void *user, const drl_train_report *report)
{
    *(double *)user = report->loss;
    return 0;
}

/* Groups draw the images of a whole batch from a data set. */
static void groups_of_one_data_set(int balanced)
{
    double loss, want = 0;
    int groups;
    for (groups = 1; groups <= BATCH; groups *= 2) {
        drl_model_desc md = model_of(PLAIN);
        drl_train_desc td = plan_of(PLAIN);
        drl_run_desc d;
        drl_ctx *ctx = context(DRL_ISA_PORTABLE, 1, NULL);
        drl_model *m = NULL;
        drl_trainer *tr = NULL;
        md.batch = BATCH / groups;
        td.groups = groups;
        memset(&d, 0, sizeof d);
        d.steps = 1;
        d.balanced = balanced;
        d.on_step = keep_loss;
        d.user = &loss;
        loss = 0;
        CHECK_OK(ctx, drl_model_create(ctx, &md, 5, &m));
        CHECK_OK(ctx, drl_trainer_create(m, &td, &tr));
        CHECK_OK(ctx, drl_train(tr, &images, &d));
        if (groups == 1) want = loss;
        CHECK(loss == want && loss != 0, "balanced %d, %d groups: loss %.17g for %.17g", balanced, groups,
              loss, want);
        drl_trainer_destroy(tr);
        drl_model_destroy(m);
        drl_ctx_destroy(ctx);
    }
}

#define BAD(assign)                                                     \
    do {                                                                \
        d = plan_of(PLAIN);                                             \
        d.reduce = add_ranks;                                           \
        assign;                                                         \
        REFUSED(ctx, drl_trainer_create(m, &d, &tr), DRL_E_ARGUMENT);   \
    } while (0)

static void descriptions(void)
{
    drl_ctx *ctx = context(DRL_ISA_PORTABLE, 1, NULL);
    drl_model_desc md = model_of(PLAIN), found_model;
    drl_train_desc d, found;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    unsigned char *file;
    size_t bytes = 0;
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &m));
    BAD(d.groups = -1);
    BAD(d.groups = 3);
    BAD(d.groups = 16);                                 /* of 8 images */
    BAD(d.groups = 65536);
    BAD(d.groups = 2);                                  /* 4 images; the model takes 2 */
    BAD(d.ranks = 3);
    BAD(d.ranks = -2);
    BAD(d.ranks = 8);                                   /* of 4 groups */
    BAD((d.ranks = 2, d.rank = 2));
    BAD((d.ranks = 2, d.rank = -1));
    BAD(d.rank = 1);                                    /* of one */
    BAD((d.ranks = 2, d.reduce = NULL));
    d = plan_of(PLAIN);                                 /* groups are then the ranks */
    d.groups = 0;
    d.ranks = 4;
    d.rank = 3;
    d.reduce = add_ranks;
    CHECK_OK(ctx, drl_trainer_create(m, &d, &tr));
    CHECK(tr->desc.groups == 4 && tr->groups == 1 && tr->images == 2, "%d groups", tr->desc.groups);
    CHECK_OK(ctx, drl_trainer_save_memory(tr, NULL, 0, &bytes));
    file = (unsigned char *)calloc(bytes + 1, 1);
    CHECK_OK(ctx, drl_trainer_save_memory(tr, file, bytes, &bytes));
    CHECK_OK(ctx, drl_checkpoint_describe_memory(ctx, file, bytes, &found_model, &found));
    CHECK(found.groups == 4 && found.ranks == 0 && !found.reduce && found_model.batch == 2,
          "%d groups, %d ranks, a pass of %d", found.groups, found.ranks, found_model.batch);
    free(file);
    drl_trainer_destroy(tr);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    int i;
    if (check_words(argc, argv)) return 2;
    images = data_set();
    PART(descriptions());
    for (i = 0; i < VARIANTS; ++i) PART(groups_of_one_batch(i));
    for (i = 0; i < 2; ++i) PART(groups_of_one_data_set(i));
#ifdef RANKS_RUN
    for (i = 0; i < VARIANTS; ++i) PART(same_bits(i));
    PART(one_clock());
    PART(one_rollback());
    PART(failures());
    PART(bad_label());
    PART(worst_failure());
#endif
    return check_report("test_ranks");
}
