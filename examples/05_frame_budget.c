/* 05_frame_budget.c - images that grow a little each frame of a game, within a time budget and one block of
 * memory.
 *
 * Shows: a context inside the program's own block, sizes before anything is allocated (drl_model_size), a
 * sampler that runs until the frame's time is spent (drl_sampler_run_until), no allocation in the loop, and a
 * game that is saved and loaded while images grow.
 *
 *     cc -O2 examples/05_frame_budget.c -o frame_budget -lm
 *     ./frame_budget [MODEL.safetensors] [--budget MS] [--count N] [--k N] [--seed N] [--out PREFIX]
 *                    [--threads N] [--isa NAME]
 *
 * Without a model file (examples/02_train_images.c and `make demo` write one) it takes random weights: the
 * times are the same, the image is noise. Prints the milliseconds of each frame and what the block holds. A
 * step that does not fit the budget is a frame of its own.
 * Half way the game is saved and loaded: the save is a safetensors file in memory, as a game would put among
 * its own, with the sampler's state and the number of the frame. The images end as if nothing had happened.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"

#define SAVE_BYTES (4 << 20)

static unsigned char block[48 << 20];       /* all memory that the library gets */

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

static double frame_clock(void *user)
{
    (void)user;
    return seconds_now();
}

/* The saved game, of *size bytes, in `save`. */
static drl_status save_game(drl_ctx *ctx, drl_sampler *sampler, int frame, void *save, size_t *size)
{
    static unsigned char state[SAVE_BYTES];
    int32_t number = frame;
    size_t bytes = 0, one = 1;
    drl_array arrays[2];
    drl_safetensors_desc file;
    drl_status status = drl_sampler_save(sampler, state, sizeof state, &bytes);
    if (status != DRL_OK) return status;
    arrays[0] = drl_array_of("sampler", DRL_DTYPE_U8, 1, &bytes, state);
    arrays[1] = drl_array_of("frame", DRL_DTYPE_I32, 1, &one, &number);
    memset(&file, 0, sizeof file);
    file.arrays = arrays;
    file.count = 2;
    return drl_safetensors_write_memory(ctx, &file, save, SAVE_BYTES, size);
}

/* Back to where save_game was called. A game is a file like others: it may have been damaged. */
static drl_status load_game(drl_ctx *ctx, const void *save, size_t size, drl_sampler *sampler, int *frame)
{
    drl_safetensors *st = NULL;
    const drl_array *state, *number;
    float value;
    drl_status status = drl_safetensors_open_memory(ctx, save, size, &st);
    if (status != DRL_OK) return status;
    state = drl_safetensors_find(st, "sampler");
    number = drl_safetensors_find(st, "frame");
    if (!state || !number || drl_array_count(number) != 1) status = DRL_E_FORMAT;
    if (status == DRL_OK) status = drl_array_to_float(ctx, number, &value);
    if (status == DRL_OK) status = drl_sampler_restore(sampler, state->data, state->bytes);
    if (status == DRL_OK) *frame = (int)value;
    drl_safetensors_close(st);
    return status;
}

int main(int argc, char **argv)
{
    static unsigned char save[SAVE_BYTES];
    static float image[64 * 64 * 4];
    options o = options_of(argc, argv);
    drl_ctx_desc where;
    drl_ctx *ctx;
    drl_model_desc d;
    drl_sample_desc how;
    drl_model *model = NULL;
    drl_sampler *sampler = NULL;
    drl_status status = DRL_RUNNING;
    picture p;
    const char *prefix;
    double budget, step_ms = 0, total = 0, worst = 0;
    size_t size = 0;
    int frame, words, half, i;

    memset(&where, 0, sizeof where);
    where.memory = block;
    where.memory_size = sizeof block;
    ctx = options_context_in(&o, &where);
    memset(&how, 0, sizeof how);
    memset(&d, 0, sizeof d);
    how.count = option_int(&o, "--count", 1);
    how.steps = option_int(&o, "--k", 0);
    how.seed = (uint64_t)option_int(&o, "--seed", 1);
    budget = option_number(&o, "--budget", 4);
    prefix = option_prefix(&o, "frame");
    words = options_rest(&o, "frame_budget [MODEL.safetensors] [--budget MS] [--count N] [--k N] [--seed N] "
                             "[--out PREFIX] [--threads N] [--isa NAME]\n");
    if (words > 1 || how.count < 1) {
        fprintf(stderr, "one model file at most, and --count 1 or more\n");
        return 2;
    }

    d.height = 16;
    d.channels = 4;
    /* the arena of the network is for one image; more images take turns */
    d.batch = 1;
    if (words) {
        void *data = NULL;
        if (drl_file_read(ctx, argv[1], &data, &size) != DRL_OK ||
            drl_model_load_memory(ctx, data, size, &d, &model) != DRL_OK)
            return fail(ctx, argv[1]);
        drl_file_free(ctx, data);
    } else if (drl_model_size(ctx, &d, &size) != DRL_OK || size > sizeof block ||
               drl_model_create(ctx, &d, 1, &model) != DRL_OK) return fail(ctx, "model");
    drl_model_describe(model, &d);
    if ((size_t)d.height * (size_t)d.width * (size_t)d.channels > sizeof image / sizeof *image) {
        fprintf(stderr, "images of %d x %d x %d are too large for this program\n", d.height, d.width,
                d.channels);
        return 1;
    }
    if (drl_sampler_create(model, &how, &sampler) != DRL_OK) return fail(ctx, "sampler");
    printf("%d image(s) of %d x %d x %d: %d Langevin steps, %.2f MB of %.0f in use, %s\n", how.count,
           d.height, d.width, d.channels, drl_sampler_steps_left(sampler),
           (double)drl_ctx_bytes_used(ctx) * 1e-6, (double)sizeof block * 1e-6,
           drl_isa_name(drl_ctx_isa(ctx)));

    half = drl_sampler_steps_left(sampler) / 2;
    for (frame = 0; status == DRL_RUNNING; ++frame) {           /* one turn of a game's main loop */
        int steps = drl_sampler_steps_left(sampler);
        double start = seconds_now(), spent;
        /* the last step begins while there is still time for it */
        status = drl_sampler_run_until(sampler, frame_clock, NULL, start + (budget - step_ms) / 1000);
        if (status != DRL_OK && status != DRL_RUNNING) break;
        spent = (seconds_now() - start) * 1000;
        steps -= drl_sampler_steps_left(sampler);
        /* the recent cost of a step: one slow frame is soon forgotten */
        step_ms += (frame ? 0.2 : 1) * (spent / steps - step_ms);
        /* here the game would draw drl_sampler_image(sampler, i, image) as it is by now */
        printf("frame %3d: %2d steps, %6.2f ms, level %d\n", frame, steps, spent, drl_sampler_level(sampler));
        total += spent;
        if (spent > worst) worst = spent;
        if (status != DRL_RUNNING || !half || drl_sampler_steps_left(sampler) > half) continue;
        half = 0;
        status = save_game(ctx, sampler, frame, save, &size);
        drl_sampler_destroy(sampler);
        sampler = NULL;
        if (status == DRL_OK) status = drl_sampler_create(model, &how, &sampler);
        if (status == DRL_OK) status = load_game(ctx, save, size, sampler, &frame);
        if (status != DRL_OK) return fail(ctx, "the saved game");
        printf("saved and loaded: %lu bytes\n", (unsigned long)size);
        status = DRL_RUNNING;
    }
    if (status != DRL_OK) return fail(ctx, "sampling");
    printf("%d frames, %.2f ms each, %.2f at most, budget %.2f; %.1f ms in all; peak %.2f MB\n", frame,
           total / frame, worst, budget, total, (double)drl_ctx_bytes_peak(ctx) * 1e-6);

    p = picture_create(how.count * (d.width * 8 + 4) + 4, d.height * 8 + 8, 0xffffffffu);
    for (i = 0; i < how.count; ++i) {
        if (drl_sampler_image(sampler, i, image) != DRL_OK) return fail(ctx, "image");
        picture_image(&p, 4 + i * (d.width * 8 + 4), 4, image, d.height, d.width, d.channels, 8);
    }
    i = picture_save(ctx, &p, prefix, 0);
    picture_destroy(&p);
    drl_sampler_destroy(sampler);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return !i;
}
