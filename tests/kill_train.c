/* kill_train.c - the program that tests/kill.sh kills: trains a tiny model from nothing or from its newest
 * checkpoint, saves one every few steps, and at the end prints a hash of everything that training has made.
 *
 *     kill_train FOLDER STEPS EVERY
 *
 * Two names take turns, FOLDER/a and FOLDER/b; the newest is the one with more steps. A run that finds a
 * checkpoint that does not load says so and returns 2. The data is a function of the step (drl__trainer_rng),
 * so a run that was killed ends with the same hash as one that was not. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 4
#define IMAGE 16

static uint32_t hash = 2166136261u;             /* FNV-1a */
static void add(const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    while (n--) hash = (hash ^ *b++) * 16777619u;
}

static int there(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

/* Prints a sentence and the context's, and ends the program. */
static void stop(const drl_ctx *ctx, int code, const char *path, const char *what)
{
    printf("%s%s: %s\n", path, what, drl_ctx_message(ctx));
    exit(code);
}

static drl_trainer *make_trainer(drl_ctx **ctx, drl_model **model)
{
    drl_trainer *trainer = NULL;
    drl_model_desc md;
    drl_train_desc td;
    memset(&md, 0, sizeof md);
    md.height = 4;
    md.base = 4;
    md.resolutions = 2;
    md.levels = 2;
    md.steps = 1;
    md.batch = BATCH;
    md.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = BATCH;
    td.seed = 11;
    td.warmup = 20;
    td.learning_rate = 1e-5f;
    td.data_noise = 0.1f;
    if (drl_ctx_create(NULL, ctx) != DRL_OK) exit(1);
    if (drl_model_create(*ctx, &md, 1, model) != DRL_OK) exit(1);
    if (drl_trainer_create(*model, &td, &trainer) != DRL_OK) exit(1);
    return trainer;
}

/* Loads whichever of the two is there, the newest last; -1 when there is none. Prints its steps. */
static int resume_newest(drl_ctx *ctx, drl_trainer *trainer, char path[2][512])
{
    uint64_t steps[2] = { 0, 0 };
    int i, newest = -1;
    for (i = 0; i < 2; ++i) {
        if (!there(path[i])) continue;
        if (drl_trainer_resume(trainer, path[i]) != DRL_OK) stop(ctx, 2, path[i], " does not load");
        steps[i] = drl_trainer_steps(trainer);
        if (newest < 0 || steps[i] > steps[newest]) newest = i;
    }
    if (newest < 0) return -1;
    if (drl_trainer_resume(trainer, path[newest]) != DRL_OK)
        stop(ctx, 2, path[newest], " does not load twice");
    fprintf(stderr, "%lu\n", (unsigned long)steps[newest]);
    return newest;
}

/* Slopes from a random level, by the trainer's own random numbers. */
static void pictures(const drl_trainer *trainer, float *x)
{
    drl_rng rng = drl__trainer_rng(trainer);
    float low = 0;
    int i;
    for (i = 0; i < BATCH * IMAGE; ++i) {
        if (i % IMAGE == 0) low = drl_rng_uniform(&rng) - 0.5f;
        x[i] = low + 0.05f * (float)(i % 4);
    }
}

int main(int argc, char **argv)
{
    drl_ctx *ctx = NULL;
    drl_model *model = NULL;
    drl_trainer *trainer;
    char path[2][512];
    float x[BATCH * IMAGE];
    uint64_t last, every;
    int i, newest;
    if (argc != 4 || atol(argv[2]) < 1 || atol(argv[3]) < 1) {
        fprintf(stderr, "kill_train FOLDER STEPS EVERY, both 1 or more\n");
        return 2;
    }
    last = (uint64_t)atol(argv[2]);
    every = (uint64_t)atol(argv[3]);
    for (i = 0; i < 2; ++i) snprintf(path[i], sizeof path[i], "%s/%c", argv[1], 'a' + i);
    trainer = make_trainer(&ctx, &model);
    newest = resume_newest(ctx, trainer, path);
    while (drl_trainer_steps(trainer) < last) {
        pictures(trainer, x);
        if (drl_trainer_step(trainer, x, NULL, NULL) != DRL_OK) stop(ctx, 3, "", "a step fails");
        if (drl_trainer_steps(trainer) % every) continue;
        newest = newest == 0;                   /* the older name is replaced */
        if (drl_trainer_save(trainer, path[newest]) != DRL_OK) stop(ctx, 4, path[newest], " is not saved");
    }
    for (i = 0; i < trainer->parts; ++i) {
        const drl__part *p = &trainer->part[i];
        add(p->net->params, p->params * sizeof(float));
        add(p->ema, p->params * sizeof(float));
        add(p->adam_m, p->params * sizeof(float));
        add(p->adam_v, p->params * sizeof(float));
        add(p->net->state, p->state * sizeof(float));
    }
    add(trainer->level, (size_t)model->desc.levels * sizeof *trainer->level);
    printf("%lu steps, hash %08lx\n", (unsigned long)drl_trainer_steps(trainer), (unsigned long)hash);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return 0;
}
