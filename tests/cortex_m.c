/* cortex_m.c - a microcontroller without an operating system samples a model that lies in flash: one static
 * arena, no heap, no files. On the computer that builds it, with -DWRITE_MODEL, this program makes the model,
 * samples it with portable C and prints both as a header. The microcontroller must then draw the same bits,
 * and with -DMOST=N take no more than N thousand instructions a score, loading included, which shows a call
 * where an instruction would do. tests/check-all.sh does it all (check "cortex-m"); by hand:
 *
 *     cc -O2 -DWRITE_MODEL tests/cortex_m.c -o write -lm && ./write > model.h
 *     arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -O2 -ffreestanding -nostartfiles -I. \
 *         -T examples/device/mps2.ld tests/cortex_m.c -o cortex.elf -lm
 *     qemu-system-arm -M mps2-an385 -nographic -monitor none -serial none -icount shift=0 \
 *         -semihosting-config enable=on,target=native -kernel cortex.elf
 *
 * For a Cortex-M4 with a floating-point unit: -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16, and the
 * board mps2-an386. */
#ifndef WRITE_MODEL
#define DRL_NO_MALLOC
#define DRL_NO_STDIO
#define DRL_ASSERT(condition) \
    do { if (!(condition)) stop("a promise inside drl.h is broken\n", 1); } while (0)
#include "../examples/device/mps2.h"
#endif
#define DRL_IMPLEMENTATION
#include "../drl.h"

#define COUNT 2
#define SIDE  8
#define ARENA (352 * 1024)
#define LEVELS 3
#define STEPS  4
#define SCORES (COUNT * LEVELS * STEPS)     /* gradients of the energy, image by image, that sampling takes */

static float pixels[COUNT * SIDE * SIDE];
static unsigned char arena[ARENA];

/* Samples COUNT images of the model within the arena; FNV-1a over their bits. */
static drl_status sample(const void *file, size_t size, uint32_t *hash, size_t *peak)
{
    drl_ctx_desc d;
    drl_model_desc use;
    drl_sample_desc how;
    drl_ctx *ctx = NULL;
    drl_model *m = NULL;
    drl_status status;
    uint32_t u;
    int i, j;
    memset(&d, 0, sizeof d);
    d.memory = arena;
    d.memory_size = sizeof arena;
    d.isa = DRL_ISA_PORTABLE;
    memset(&use, 0, sizeof use);
    use.batch = 1;
    memset(&how, 0, sizeof how);
    how.count = COUNT;
    how.seed = 42;
    status = drl_ctx_create(&d, &ctx);
    if (status == DRL_OK) status = drl_model_load_memory(ctx, file, size, &use, &m);
    if (status == DRL_OK) status = drl_sample(m, &how, pixels);
    *hash = 2166136261u;
    for (i = 0; i < COUNT * SIDE * SIDE; ++i) {
        memcpy(&u, pixels + i, 4);
        for (j = 0; j < 4; ++j) *hash = (*hash ^ ((u >> 8 * j) & 255)) * 16777619u;
    }
    *peak = drl_ctx_bytes_peak(ctx);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return status;
}

#ifdef WRITE_MODEL
#include <stdio.h>

/* A model after 20 steps on noise: no weight is what a new model has. */
static drl_model *make_model(drl_ctx *ctx)
{
    drl_model_desc d;
    drl_train_desc td;
    drl_model *m = NULL;
    drl_trainer *tr = NULL;
    float x0[4 * SIDE * SIDE];
    int step, i, ok;
    memset(&d, 0, sizeof d);
    d.height = SIDE;
    d.base = 8;
    d.resolutions = 2;
    d.levels = LEVELS;
    d.steps = STEPS;
    d.batch = 4;
    d.trainable = 1;
    memset(&td, 0, sizeof td);
    td.batch = 4;
    td.warmup = -1;
    ok = drl_model_create(ctx, &d, 5, &m) == DRL_OK && drl_trainer_create(m, &td, &tr) == DRL_OK;
    for (step = 0; ok && step < 20; ++step) {
        drl_rng rng = drl__trainer_rng(tr);
        for (i = 0; i < 4 * SIDE * SIDE; ++i) x0[i] = drl_rng_below(&rng, 2) ? 1.0f : -1.0f;
        ok = drl_trainer_step(tr, x0, NULL, NULL) == DRL_OK;
    }
    drl_trainer_destroy(tr);
    if (ok) return m;
    drl_model_destroy(m);
    return NULL;
}

int main(void)
{
    drl_ctx *ctx = NULL;
    drl_model *m = NULL;
    unsigned char *file = NULL;
    size_t size = 0, written = 0, peak = 0, i;
    uint32_t hash = 0;
    if (drl_ctx_create(NULL, &ctx) == DRL_OK) m = make_model(ctx);
    if (m && drl_model_save_memory(m, DRL_DTYPE_F32, NULL, 0, &size) == DRL_OK)
        file = (unsigned char *)malloc(size);
    if (!file || drl_model_save_memory(m, DRL_DTYPE_F32, file, size, &written) != DRL_OK ||
        sample(file, written, &hash, &peak) != DRL_OK) {
        fprintf(stderr, "cortex_m: the model cannot be made or sampled: %s\n", drl_ctx_message(ctx));
        return 1;
    }
    printf("#define EXPECTED 0x%08lxu\n", (unsigned long)hash);
    printf("static const unsigned char model[%lu] = {", (unsigned long)written);
    for (i = 0; i < written; ++i) printf("%s%u,", i % 24 ? "" : "\n", file[i]);
    printf("\n};\n");
    free(file);
    drl_model_destroy(m);
    drl_ctx_destroy(ctx);
    return 0;
}

#else
#include "model.h"

int main(void)
{
    uint32_t hash, thousands;
    size_t peak;
    drl_status status;
    timer_start();
    status = sample(model, sizeof model, &hash, &peak);
    thousands = (uint32_t)(timer_instructions() / ((uint64_t)SCORES * 1000));
    if (status != DRL_OK) stop(drl_status_text(status), 1);
    say("model bytes ", (uint32_t)sizeof model);
    say("arena peak  ", (uint32_t)peak);
    say("hash        ", hash);
    say("thousands of instructions a score ", thousands);
#ifdef MOST
    if (!thousands) stop("no time has passed: qemu without -icount shift=0\n", 1);
    if (thousands > MOST) stop("a score takes more instructions than it should\n", 1);
#endif
    if (hash != EXPECTED) stop("other bits than on the computer\n", 1);
    stop("the same bits\n", 0);
    return 0;
}
#endif
