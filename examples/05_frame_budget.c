/* 05_frame_budget.c - images that grow a little in each frame of a game.
 *
 * Shows: a context on the game's own memory and job system, a sampler that runs until the frame's time is
 * spent (drl_sampler_run_until), frames that allocate nothing, and a game that is saved and loaded while
 * images grow.
 *
 *     cc -O2 examples/05_frame_budget.c -o frame_budget -lm
 *     ./frame_budget [MODEL.safetensors] [--budget MS] [--count N] [--k N] [--b2 X] [--stride N] [--seed N]
 *                    [--proposals score | none] [--out PREFIX] [--threads N] [--isa NAME]
 *
 * Without a model file it takes examples/models/sprites.safetensors. --stride N visits every N-th level only,
 * at an N-th of the cost. A step that does not fit the budget is a
 * frame of its own, and so is an operator of the initializer, which runs before the first step of a level. So
 * with --budget 0 the longest frame is the longest of these. Prints that frame, by the clock and in processor
 * time, the bytes that the library held, and how often it allocated within frames: never.
 *
 * When half of the steps are done, the game is saved and loaded. The save is a safetensors file in memory
 * with the sampler's state and the number of the frame. The images end as if nothing had happened. */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"

typedef struct game {
    drl_ctx *ctx;
    drl_model *model;
    drl_sample_desc how;
    drl_sampler *sampler;
    int frame;
    int allocations, parts;                 /* how many the library asked for so far */
} game;

/* The game's memory. Objects of the library take a piece or two each, when they are made. */
static void *game_alloc(void *user, size_t bytes)
{
    ++((game *)user)->allocations;
    return malloc(bytes);
}

static void game_free(void *user, void *pointer, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(pointer);
}

/* The game's job system. This one has no threads: it does one part after the other. An engine gives each part
 * to one of its threads, and returns when all parts are done. */
static void game_jobs(void *user, int count, drl_job_fn job, void *arg)
{
    int i;
    for (i = 0; i < count; ++i) job(arg, i);
    ((game *)user)->parts += count;
}

static double game_clock(void *user)
{
    (void)user;
    return seconds_now();
}

/* *save becomes the saved game, of *size bytes, which free() gives back. */
static drl_status save_game(const game *g, void **save, size_t *size)
{
    int32_t frame = g->frame;
    size_t bytes = 0, one = 1;
    drl_array arrays[2];
    drl_safetensors_desc file;
    void *state;
    drl_status status = drl_sampler_save(g->sampler, NULL, 0, &bytes);      /* asks for the size */
    if (status != DRL_OK) return status;
    state = malloc(bytes);
    status = state ? drl_sampler_save(g->sampler, state, bytes, &bytes) : DRL_E_MEMORY;
    arrays[0] = drl_array_of("sampler", DRL_DTYPE_U8, 1, &bytes, state);
    arrays[1] = drl_array_of("frame", DRL_DTYPE_I32, 1, &one, &frame);
    memset(&file, 0, sizeof file);
    file.arrays = arrays;
    file.count = 2;
    if (status == DRL_OK) status = drl_safetensors_write_memory(g->ctx, &file, NULL, 0, size);
    if (status == DRL_OK) {
        *save = malloc(*size);
        status = *save ? drl_safetensors_write_memory(g->ctx, &file, *save, *size, size) : DRL_E_MEMORY;
    }
    free(state);
    return status;
}

/* Makes a sampler that goes on from the saved game, which may have been damaged as any file. */
static drl_status load_game(game *g, const void *save, size_t size)
{
    drl_safetensors *file = NULL;
    const drl_array *state, *frame;
    float value;
    drl_status status = drl_safetensors_open_memory(g->ctx, save, size, &file);
    if (status != DRL_OK) return status;
    state = drl_safetensors_find(file, "sampler");
    frame = drl_safetensors_find(file, "frame");
    if (!state || !frame || drl_array_count(frame) != 1) status = DRL_E_FORMAT;
    if (status == DRL_OK) status = drl_array_to_float(g->ctx, frame, &value);
    if (status == DRL_OK) status = drl_sampler_create(g->model, &g->how, &g->sampler);
    if (status == DRL_OK) status = drl_sampler_restore(g->sampler, state->data, state->bytes);
    if (status == DRL_OK) g->frame = (int)value;
    drl_safetensors_close(file);
    return status;
}

static int fail(const game *g, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(g->ctx));
    return 1;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    game g;
    drl_ctx_desc hooks;
    drl_model_desc d;
    drl_status status = DRL_RUNNING;
    picture p;
    const char *prefix, *model = "examples/models/sprites.safetensors";
    double budget, step_ms = 0, longest = 0, longest_cpu = 0, total_cpu = 0;
    size_t size, bytes, save_bytes = 0;
    int words, half, i, in_frames = 0;
    void *save = NULL;
    float *images;

    memset(&g, 0, sizeof g);
    memset(&hooks, 0, sizeof hooks);
    memset(&d, 0, sizeof d);
    hooks.allocator.alloc_fn = game_alloc;
    hooks.allocator.free_fn = game_free;
    hooks.jobs.parallel_for = game_jobs;
    hooks.allocator.user = hooks.jobs.user = &g;
    hooks.threads = 2;                      /* at most so many parts at a time */
    g.ctx = options_context_in(&o, &hooks);
    g.how.count = option_int(&o, "--count", 1);
    g.how.steps = option_int(&o, "--k", 0);
    g.how.seed = (uint64_t)option_int(&o, "--seed", 1);
    option_ways(&o, &g.how);
    budget = option_number(&o, "--budget", 4);
    prefix = option_prefix(&o, "frame");
    words = options_rest(&o, "frame_budget [MODEL.safetensors] [--budget MS] [--count N] [--k N] "
                             "[--b2 X] [--stride N] [--proposals score | none] [--seed N] [--out PREFIX] "
                             "[--threads N] [--isa NAME]\n");
    if (words > 1 || g.how.count < 1) {
        fprintf(stderr, "one model file at most, and --count 1 or more\n");
        return 2;
    }

    if (words) model = argv[1];
    d.batch = 1;                            /* memory for one image at a time; more images take turns */
    if (drl_model_load(g.ctx, model, &d, &g.model) != DRL_OK) return fail(&g, model);
    if (drl_sampler_create(g.model, &g.how, &g.sampler) != DRL_OK) return fail(&g, "sampler");
    drl_model_describe(g.model, &d);
    size = drl_model_energy(g.model).size;
    bytes = drl_ctx_bytes_used(g.ctx);
    half = drl_sampler_steps_left(g.sampler) / 2;
    printf("%d image(s) of %d x %d x %d, %d Langevin steps, %s\n", g.how.count, d.height, d.width, d.channels,
           drl_sampler_steps_left(g.sampler), drl_isa_name(drl_ctx_isa(g.ctx)));

    for (; status == DRL_RUNNING; ++g.frame) {                  /* one turn of a game's main loop */
        int steps = drl_sampler_steps_left(g.sampler), allocations = g.allocations;
        double start = seconds_now(), ms, cpu = (double)clock();
        /* the last step begins while there is still time for it */
        status = drl_sampler_run_until(g.sampler, game_clock, NULL, start + (budget - step_ms) / 1000);
        if (status != DRL_OK && status != DRL_RUNNING) return fail(&g, "sampling");
        ms = (seconds_now() - start) * 1000;
        cpu = ((double)clock() - cpu) * 1000 / CLOCKS_PER_SEC;
        steps -= drl_sampler_steps_left(g.sampler);
        /* the recent cost of a step: one slow frame is soon forgotten */
        if (steps) step_ms += (step_ms > 0 ? 0.2 : 1) * (ms / steps - step_ms);
        in_frames += g.allocations - allocations;
        total_cpu += cpu;
        if (ms > longest) longest = ms;
        if (cpu > longest_cpu) longest_cpu = cpu;
        /* here the game would draw drl_sampler_image(g.sampler, i, pixels) as it is by now */
        if (!save && drl_sampler_steps_left(g.sampler) <= half) {
            if (save_game(&g, &save, &save_bytes) != DRL_OK) return fail(&g, "saving the game");
            drl_sampler_destroy(g.sampler);
            g.sampler = NULL;
            if (load_game(&g, save, save_bytes) != DRL_OK) return fail(&g, "the saved game");
        }
    }
    printf("%d frames with a budget of %.2f ms: the longest %.2f ms, %.2f of processor time\n"
           "%.2f ms of processor time in all; the game's jobs did %d parts\n"
           "%lu bytes of memory, at most %lu; %d allocations in frames; a saved game of %lu bytes\n",
           g.frame, budget, longest, longest_cpu, total_cpu, g.parts, (unsigned long)bytes,
           (unsigned long)drl_ctx_bytes_peak(g.ctx), in_frames, (unsigned long)save_bytes);

    images = (float *)malloc((size_t)g.how.count * size * sizeof *images);
    for (i = 0; images && i < g.how.count; ++i) drl_sampler_image(g.sampler, i, images + (size_t)i * size);
    if (!images || drl_ctx_status(g.ctx) != DRL_OK) return fail(&g, "images");
    p = picture_grid(images, g.how.count, g.how.count, d.height, d.width, d.channels, 8);
    i = picture_save(g.ctx, &p, prefix, 0);
    picture_destroy(&p);
    free(images);
    free(save);
    drl_sampler_destroy(g.sampler);
    drl_model_destroy(g.model);
    drl_ctx_destroy(g.ctx);
    return !i;
}
