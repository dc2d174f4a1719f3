/* page.c - what the page's worker calls: models of the plane, sprites that grow, training on the visitor's
 * own images. Everything that it does goes through the public functions of drl.h.
 *
 *     make web                                    build/web/, for any static server
 *
 * A function that can fail returns a drl_status, or, where it returns a number, minus that status;
 * page_message then gives the sentence. Arrays from and to the page lie in blocks, of which page_block is the
 * usual one. The page has three rooms, one behind each of its tabs, and each room has a model of its own.
 */
#define DRL_IMPLEMENTATION
#include "../../drl.h"
#include "../plane.h"
#include "../sprites.h"
#include <emscripten.h>

#define CALL EMSCRIPTEN_KEEPALIVE
#define PLANE_CELLS   48                    /* a side of a heat map */
#define PLANE_SHOWN   300                   /* samples on their way */
#define PLANE_MAPS    12                    /* levels that are shown at most */
#define COUNT_MAX     64                    /* images that grow at a time */
#define FILES_MAX     16                    /* of a data set */

enum { ROOM_PLANE, ROOM_STUDIO, ROOM_OWN, ROOMS };

typedef struct room {
    drl_model *model;
    drl_trainer *trainer;                   /* NULL: only drawn from */
    drl_model_desc d;
    drl_run_desc run;
    drl_train_report report;
    double until;                           /* training stops here, in milliseconds */
    double begun_step, begun;               /* of the part that the speed is measured on */
    drl_sampler *sampler;
    drl_sum *sum;
    drl_energy energy;                      /* of the sum */
    drl_interpolation between;
    size_t size;                            /* floats of an image */
} room;

static drl_ctx *ctx;
static room rooms[ROOMS];
static unsigned char *block;
static size_t block_bytes;

CALL int page_begin(void) { return drl_ctx_create(NULL, &ctx); }
CALL const char *page_message(void) { return drl_ctx_message(ctx); }
CALL const char *page_isa(void) { return drl_isa_name(drl_ctx_isa(ctx)); }

/* Memory for what comes from the page, until the next call; NULL when there is none. */
CALL void *page_block(size_t bytes)
{
    if (bytes > block_bytes) {
        free(block);
        block = (unsigned char *)malloc(bytes);
        block_bytes = block ? bytes : 0;
    }
    return block;
}

static void stop_sampling(room *r)
{
    drl_sampler_destroy(r->sampler);
    drl_sum_destroy(r->sum);
    r->sampler = NULL;
    r->sum = NULL;
}

static void empty(room *r)
{
    stop_sampling(r);
    drl_trainer_destroy(r->trainer);
    drl_model_destroy(r->model);
    memset(r, 0, sizeof *r);
    drl_ctx_clear(ctx);
}

static drl_status furnish(room *r, const drl_train_desc *train, uint64_t seed)
{
    drl_status status = drl_model_create(ctx, &r->d, seed, &r->model);
    if (status == DRL_OK) status = drl_trainer_create(r->model, train, &r->trainer);
    if (status == DRL_OK) status = drl_model_describe(r->model, &r->d);
    r->size = (size_t)r->d.height * (size_t)r->d.width * (size_t)r->d.channels;
    if (status != DRL_OK) {
        drl_trainer_destroy(r->trainer);
        drl_model_destroy(r->model);
        r->trainer = NULL;
        r->model = NULL;
    }
    return status;
}

static double milliseconds(void *user) { (void)user; return emscripten_get_now(); }
static double seconds_of_page(void *user) { (void)user; return 1e-3 * emscripten_get_now(); }

static int after_step(void *user, const drl_train_report *report)
{
    room *r = (room *)user;
    r->report = *report;
    return emscripten_get_now() >= r->until;
}

/* Trains for so many milliseconds, at least one step: DRL_RUNNING, or DRL_OK at the end of the run. */
static drl_status train(room *r, const drl_dataset *data, double ms)
{
    double now = emscripten_get_now();
    if (!r->trainer) return DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    r->until = now + ms;
    r->run.on_step = after_step;
    r->run.user = r;
    r->run.clock = seconds_of_page;
    r->begun = now;
    r->begun_step = (double)r->report.step;
    return drl_train(r->trainer, data, &r->run);
}

/* step, loss, steps a second, total of steps (0: not known yet), seconds, rollbacks */
CALL const double *room_report(int which)
{
    static double numbers[6];
    const room *r = &rooms[which];
    double spent = 1e-3 * (emscripten_get_now() - r->begun);
    numbers[0] = (double)r->report.step;
    numbers[1] = r->report.loss;
    numbers[2] = spent > 0 ? ((double)r->report.step - r->begun_step) / spent : 0;
    numbers[3] = (double)r->report.total;
    numbers[4] = r->report.seconds;
    numbers[5] = r->report.rollbacks;
    return numbers;
}

/* height, width, channels, classes, levels, steps a level */
CALL const int *room_describe(int which)
{
    static int numbers[6];
    const drl_model_desc *d = &rooms[which].d;
    numbers[0] = d->height;
    numbers[1] = d->width;
    numbers[2] = d->channels;
    numbers[3] = d->classes;
    numbers[4] = d->levels;
    numbers[5] = d->steps > 0 ? d->steps : 0;
    return numbers;
}

/* Level t: scale a of y_t = a x_t, step size, s_{t+1}, and half the window that is worth showing, of x_t. */
CALL const double *room_level(int which, int t)
{
    static double numbers[4];
    const drl_schedule *s = drl_model_schedule(rooms[which].model);
    numbers[0] = drl_schedule_scale(s, t);
    numbers[1] = drl_schedule_step(s, t);
    numbers[2] = s->s[t + 1];
    numbers[3] = plane_window(s, t);
    return numbers;
}

/* --- the plane ----------------------------------------------------------------------------------------- */

static float *drawn;                        /* points that the visitor drew, [drawn_count * 2] */
static int drawn_count;
static plane_draw plane_source;

static void plane_drawn(drl_rng *rng, float *xy)
{
    const float *p = drawn + 2 * drl_rng_below(rng, (uint32_t)drawn_count);
    xy[0] = p[0] + 0.04f * (drl_rng_uniform(rng) - 0.5f);
    xy[1] = p[1] + 0.04f * (drl_rng_uniform(rng) - 0.5f);
}

static drl_status plane_batch(void *user, drl_ctx *context, drl_rng *rng, int n, float *x0, int *labels)
{
    int i;
    (void)user;
    (void)context;
    (void)labels;
    for (i = 0; i < n; ++i) plane_source(rng, x0 + 2 * i);
    return DRL_OK;
}

/* Room for the visitor's points. */
CALL float *plane_points(int count)
{
    free(drawn);
    drawn = (float *)malloc((size_t)(count > 0 ? count : 1) * 2 * sizeof *drawn);
    drawn_count = drawn ? count : 0;
    return drawn;
}

/* Begins a run of `steps` steps; over the last two thirds of them the learning rate falls to zero.
 *   data  0 checkerboard, 1 rings, 2 moons, 3 the visitor's points
 *   form  0 DRL, 1 CDRL, 2 T1k (levels, k and b2 are then not used) */
CALL int plane_begin(int data, int form, int levels, int k, double b2, int width, int steps, int seed)
{
    static const plane_draw draws[4] = { plane_checkerboard, plane_rings, plane_moons, plane_drawn };
    room *r = &rooms[ROOM_PLANE];
    drl_train_desc train_desc;
    memset(&train_desc, 0, sizeof train_desc);
    empty(r);
    if (data < 0 || data > 3 || (data == 3 && drawn_count < 1)) return DRL_E_ARGUMENT;
    plane_source = draws[data];
    r->d = plane_model(form == 1 ? DRL_FORM_CDRL : DRL_FORM_DRL, k, b2);
    r->d.levels = levels;
    r->d.mult[0] = width / r->d.base;
    train_desc.batch = PLANE_BATCH;
    train_desc.learning_rate = form == 1 ? 5e-4f : 7e-4f;
    train_desc.warmup = 200;
    train_desc.data_noise = (float)PLANE_NOISE;
    train_desc.seed = (uint64_t)seed;
    if (form == 2) {
        r->d.schedule = DRL_SCHEDULE_T1K;
        r->d.levels = 1000;
        r->d.steps = -1;
        r->d.b2 = 0;
        r->d.silu = 1;
        train_desc.objective = DRL_OBJECTIVE_SCORE;
        train_desc.beta1 = 0.9f;
        train_desc.learning_rate = 2e-3f;
    }
    r->run.steps = (uint64_t)steps;
    r->run.fall = 2.0 / 3;
    r->run.rollbacks = 20;
    r->run.source = plane_batch;
    return furnish(r, &train_desc, (uint64_t)seed);
}

CALL int plane_train(double ms) { return train(&rooms[ROOM_PLANE], NULL, ms); }

/* Levels that are shown: all, or PLANE_MAPS of them. */
CALL int plane_shown(void)
{
    const room *r = &rooms[ROOM_PLANE];
    return r->d.levels < PLANE_MAPS ? r->d.levels : PLANE_MAPS;
}

/* The level that is shown in place i, the least noisy first. Of 1000 levels more are shown where there is
 * little noise. */
CALL int plane_level(int i)
{
    const room *r = &rooms[ROOM_PLANE];
    double at = (double)i / (PLANE_MAPS - 1);
    return r->d.levels <= PLANE_MAPS ? i : (int)((r->d.levels - 1) * at * at);
}

/* out [PLANE_CELLS * PLANE_CELLS] <- exp F over the plane of x_t, divided by its largest value, rows from the
 * top; *log_z <- log Z of level t, for y_t. */
static drl_status heat_map(room *r, int t, float *out, double *log_z)
{
    static double f[PLANE_CELLS * PLANE_CELLS];
    const drl_schedule *s = drl_model_schedule(r->model);
    drl_energy e = drl_model_energy(r->model);
    double half = drl_schedule_scale(s, t) * plane_window(s, t), most = -1e300;
    drl_grid grid = { 0, 0, 0, 0, PLANE_CELLS, PLANE_CELLS };
    drl_status status;
    int i;
    grid.x0 = grid.y0 = -half;
    grid.x1 = grid.y1 = half;
    status = drl_grid_evaluate(ctx, &e, t, 0, &grid, f);
    if (status == DRL_OK) status = drl_grid_log_z(ctx, &grid, f, 1, log_z);
    for (i = 0; i < PLANE_CELLS * PLANE_CELLS && status == DRL_OK; ++i) if (f[i] > most) most = f[i];
    for (i = 0; i < PLANE_CELLS * PLANE_CELLS && status == DRL_OK; ++i) {
        int row = PLANE_CELLS - 1 - i / PLANE_CELLS;
        out[row * PLANE_CELLS + i % PLANE_CELLS] = (float)exp(f[i] - most);
    }
    return status;
}

static float maps[PLANE_MAPS * PLANE_CELLS * PLANE_CELLS];
static double map_log_z[PLANE_MAPS];
static float way[(PLANE_MAPS + 1) * PLANE_SHOWN * 2];

/* Heat maps of the shown levels and samples on their way through them, by the averaged weights. */
CALL int plane_look(void)
{
    room *r = &rooms[ROOM_PLANE];
    drl_sample_desc how;
    drl_sampler *sampler = NULL;
    drl_status status;
    int shown = plane_shown(), place = 0, i;
    if (!r->model) return DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    drl_trainer_swap_average(r->trainer);
    memset(&how, 0, sizeof how);
    how.count = PLANE_SHOWN;
    how.seed = 1;
    status = drl_sampler_create(r->model, &how, &sampler);
    for (; status == DRL_OK || status == DRL_RUNNING; status = drl_sampler_run(sampler, 1)) {
        int left = drl_sampler_level(sampler);              /* x_{left + 1} is there */
        while (place <= shown && left < (place < shown ? plane_level(shown - 1 - place) + 1 : 0)) {
            for (i = 0; i < PLANE_SHOWN; ++i)
                drl_sampler_image(sampler, i, way + 2 * ((size_t)place * PLANE_SHOWN + (size_t)i));
            ++place;
        }
        if (left < 0) break;
    }
    drl_sampler_destroy(sampler);
    for (i = 0; i < shown && status == DRL_OK; ++i)
        status = heat_map(r, plane_level(i), maps + (size_t)i * PLANE_CELLS * PLANE_CELLS, &map_log_z[i]);
    drl_trainer_swap_average(r->trainer);
    return status;
}

CALL const float *plane_maps(void) { return maps; }
CALL const double *plane_log_z(void) { return map_log_z; }
CALL const float *plane_way(void) { return way; }

/* out [count * 2] <- samples, by the averaged weights, into page_block. */
CALL int plane_sample(int count, int seed)
{
    room *r = &rooms[ROOM_PLANE];
    drl_sample_desc how;
    drl_status status;
    float *out = (float *)page_block((size_t)count * 2 * sizeof(float));
    if (!r->model || !out) return DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = (uint64_t)seed;
    drl_trainer_swap_average(r->trainer);
    status = drl_sample(r->model, &how, out);
    drl_trainer_swap_average(r->trainer);
    return status;
}

/* A chain from (x, y) = x_{level + 1} down to x_0: its points, one a step, into page_block. Returns their
 * number. */
CALL int plane_chain(double x, double y, int level, int seed)
{
    room *r = &rooms[ROOM_PLANE];
    drl_sample_desc how;
    drl_sampler *sampler = NULL;
    drl_status status;
    float start[2], *out;
    int points = 0, room_for;
    if (!r->model) return -DRL_E_ARGUMENT;
    room_for = 2 + (level + 1) * (r->d.steps > 0 ? r->d.steps : 1);
    out = (float *)page_block((size_t)room_for * 2 * sizeof(float));
    if (!out) return -DRL_E_MEMORY;
    drl_ctx_clear(ctx);
    start[0] = (float)x;
    start[1] = (float)y;
    memset(&how, 0, sizeof how);
    how.count = 1;
    how.seed = (uint64_t)seed;
    how.start = start;
    how.from_level = level + 1;
    drl_trainer_swap_average(r->trainer);
    status = drl_sampler_create(r->model, &how, &sampler);
    while (status == DRL_OK && points < room_for) {
        status = drl_sampler_image(sampler, 0, out + 2 * points++);
        if (status != DRL_OK || drl_sampler_level(sampler) < 0) break;
        status = drl_sampler_run(sampler, 1);
        if (status == DRL_RUNNING) status = DRL_OK;
    }
    drl_sampler_destroy(sampler);
    drl_trainer_swap_average(r->trainer);
    return status == DRL_OK ? points : -(int)status;
}

/* --- images: the studio, and the visitor's own ---------------------------------------------------------- */

static float canvas[64 * 64 * 4];           /* the image in the studio */
static uint8_t canvas_known[64 * 64];       /* nonzero where it is held */

CALL float *studio_canvas(void) { return canvas; }
CALL uint8_t *studio_known(void) { return canvas_known; }
CALL const char *sprite_name(int label)
{
    return label < 1 || label > SPRITE_SHAPES + SPRITE_COLOURS ? "any"
         : label <= SPRITE_SHAPES ? sprite_shape_name(label - 1)
         : sprite_colour_name(label - 1 - SPRITE_SHAPES);
}

/* A model file of `bytes` bytes, which lies in page_block. */
CALL int studio_load(size_t bytes)
{
    room *r = &rooms[ROOM_STUDIO], now;
    drl_status status;
    memset(&now, 0, sizeof now);
    drl_ctx_clear(ctx);
    now.d.batch = 16;
    status = drl_model_load_memory(ctx, block, bytes, &now.d, &now.model);
    if (status == DRL_OK) status = drl_model_describe(now.model, &now.d);
    now.size = (size_t)now.d.height * (size_t)now.d.width * (size_t)now.d.channels;
    if (status == DRL_OK && (now.d.height > 64 || now.d.width > 64 || now.d.channels > 4 || now.d.height < 2))
        status = DRL_E_UNSUPPORTED;
    if (status != DRL_OK) {
        drl_model_destroy(now.model);
        return status;
    }
    empty(r);
    *r = now;
    return DRL_OK;
}

/* Begins to draw `count` images of `seed`.
 *   label         a class, or 0
 *   second, sign  a second class beside it: +1 with it, -1 without it, 0 none
 *   between       not 0: image 0 of `seed`, its image 1, and count - 2 images that lead from one to the other
 *   held          not 0: the pixels of the canvas that canvas_known marks stay as they are */
CALL int room_grow(int which, int count, int label, int second, int sign, double guidance, int seed,
                   int between, int held)
{
    static int labels[COUNT_MAX];
    room *r = &rooms[which];
    drl_sample_desc how;
    drl_sum_term term[3];
    float *known = NULL, w = (float)guidance;
    uint8_t *mask = NULL;
    drl_status status = DRL_OK;
    int i;
    size_t j;
    if (!r->model || count < 1 || count > COUNT_MAX) return DRL_E_ARGUMENT;
    stop_sampling(r);
    drl_ctx_clear(ctx);
    memset(&how, 0, sizeof how);
    how.count = count;
    how.seed = (uint64_t)seed;
    for (i = 0; i < count; ++i) labels[i] = label >= 0 ? label : 1 + i % r->d.classes;
    if (r->d.classes) {
        how.labels = labels;
        how.guidance = label ? w : 0;
    }
    if (sign && second > 0 && r->d.classes) {   /* F(y) + w (F(y; label) - F(y)) +- w (F(y; second) - F(y)) */
        memset(term, 0, sizeof term);
        for (i = 0; i < 3; ++i) {
            term[i].energy = drl_model_energy(r->model);
            term[i].use_label = 1;
        }
        w += 1;
        term[0].label = label > 0 ? label : 0;
        term[0].weight = w;
        term[1].label = second;
        term[1].weight = sign > 0 ? w : -w;
        term[2].weight = 1 - term[0].weight - term[1].weight;
        status = drl_sum_create(ctx, term, 3, &r->sum);
        r->energy = drl_sum_energy(r->sum);
        how.energy = &r->energy;
        how.labels = NULL;
        how.guidance = 0;
    }
    if (between) {
        r->between.seed = how.seed;
        r->between.from = 0;
        r->between.to = 1;
        r->between.count = count;
        how.noise = drl_interpolation_noise(&r->between);
    }
    if (held) {
        known = (float *)malloc((size_t)count * r->size * sizeof *known);
        mask = (uint8_t *)malloc((size_t)count * r->size);
        if (!known || !mask) status = DRL_E_MEMORY;
        for (i = 0; i < count && status == DRL_OK; ++i)
            for (j = 0; j < r->size; ++j) {
                known[(size_t)i * r->size + j] = canvas[j];
                mask[(size_t)i * r->size + j] = canvas_known[j / (size_t)r->d.channels];
            }
        how.known = known;
        how.mask = mask;
    }
    if (status == DRL_OK && r->trainer) drl_trainer_swap_average(r->trainer);
    if (status == DRL_OK) {
        status = drl_sampler_create(r->model, &how, &r->sampler);
        if (r->trainer) drl_trainer_swap_average(r->trainer);
    }
    free(known);
    free(mask);
    return status;
}

/* Grows for so many milliseconds, at least one step: DRL_RUNNING, or DRL_OK when the images are done. */
CALL int room_grow_on(int which, double ms)
{
    room *r = &rooms[which];
    drl_status status;
    if (!r->sampler) return DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    if (r->trainer) drl_trainer_swap_average(r->trainer);
    status = drl_sampler_run_until(r->sampler, milliseconds, NULL, emscripten_get_now() + ms);
    if (r->trainer) drl_trainer_swap_average(r->trainer);
    return status;
}

/* Levels and Langevin steps that the images still need; 0 when there are none. */
CALL int room_level_left(int which)
{
    return rooms[which].sampler ? drl_sampler_level(rooms[which].sampler) + 1 : 0;
}
CALL int room_steps_left(int which) { return drl_sampler_steps_left(rooms[which].sampler); }

/* The images that grow, as they are, into page_block, which is returned: floats (N,H,W,C). */
CALL const float *room_images(int which, int count)
{
    room *r = &rooms[which];
    float *out = (float *)page_block((size_t)count * r->size * sizeof(float));
    int i;
    for (i = 0; i < count && out; ++i)
        if (drl_sampler_image(r->sampler, i, out + (size_t)i * r->size) != DRL_OK) return NULL;
    return out;
}

/* `count` images (N,H,W,C) of the studio, which lie in page_block, as an NPY file there; its bytes, or a
 * negative status. */
CALL int studio_npy(int count)
{
    const drl_model_desc *d = &rooms[ROOM_STUDIO].d;
    size_t shape[4], bytes = 0;
    drl_array images;
    void *file = NULL;
    drl_status status;
    shape[0] = (size_t)count;
    shape[1] = (size_t)d->height;
    shape[2] = (size_t)d->width;
    shape[3] = (size_t)d->channels;
    images = drl_array_of("", DRL_DTYPE_F32, 4, shape, block);
    drl_ctx_clear(ctx);
    status = drl_npy_write_memory(ctx, &images, NULL, 0, &bytes);               /* how many bytes? */
    if (status == DRL_OK && (file = malloc(bytes)) == NULL) status = DRL_E_MEMORY;
    if (status == DRL_OK) status = drl_npy_write_memory(ctx, &images, file, bytes, &bytes);
    if (status != DRL_OK) {
        free(file);
        return -(int)status;
    }
    free(block);
    block = (unsigned char *)file;
    block_bytes = bytes;
    return (int)bytes;
}

/* f of the canvas at a level, with a class or 0; NaN when there is none. */
CALL double studio_score(int level, int label)
{
    static float work[64 * 64 * 4];
    room *r = &rooms[ROOM_STUDIO];
    float score = 0;
    if (!r->model) return NAN;
    drl_ctx_clear(ctx);
    return drl_model_score(r->model, level, 1, canvas, r->d.classes ? &label : NULL, &score, work) == DRL_OK
         ? (double)score : NAN;
}

static drl_dataset *own;

static void own_forget(void)
{
    empty(&rooms[ROOM_OWN]);
    drl_dataset_destroy(own);
    own = NULL;
}

/* The visitor's files, as drl_dataset_parse reads them. In page_block lie `count` numbers of type int32_t,
 * the bytes of each file, and then the files, one behind the other. */
CALL int own_files(int count)
{
    drl_blob file[FILES_MAX];
    const int32_t *bytes = (const int32_t *)(const void *)block;
    const unsigned char *at = block + (size_t)count * sizeof *bytes;
    int i;
    own_forget();
    if (count > FILES_MAX) return DRL_E_UNSUPPORTED;
    for (i = 0; i < count; at += bytes[i++]) {
        file[i].data = at;
        file[i].bytes = (size_t)bytes[i];
    }
    return drl_dataset_parse(ctx, file, count, NULL, &own);
}

/* The visitor's images: `count` of size x size, RGBA, and behind them their labels, in page_block. */
CALL int own_data(int count, int size, int classes)
{
    drl_dataset in_block;
    memset(&in_block, 0, sizeof in_block);
    in_block.count = count;
    in_block.height = in_block.width = size;
    in_block.channels = 4;
    in_block.classes = classes;
    in_block.pixels = block;
    in_block.labels = block + (size_t)count * (size_t)(size * size) * 4;
    own_forget();
    return drl_dataset_copy(ctx, &in_block, &own);
}

/* The defaults of 02_train_images with an energy of width 16 and a batch of 16: CDRL with a shifted schedule,
 * and with labels if there are several classes. */
CALL int own_begin(double seconds, int seed)
{
    room *r = &rooms[ROOM_OWN];
    drl_train_desc train_desc;
    if (!own) return DRL_E_ARGUMENT;
    empty(r);
    memset(&train_desc, 0, sizeof train_desc);
    r->d.height = (own->height + 7) / 8 * 8;                    /* three poolings halve the sides */
    r->d.width = (own->width + 7) / 8 * 8;
    r->d.channels = own->channels;
    r->d.form = DRL_FORM_CDRL;
    r->d.schedule = DRL_SCHEDULE_SHIFTED;
    r->d.levels = r->d.height <= 16 && r->d.width <= 16 ? 12 : 24;
    r->d.steps = 3;
    r->d.base = 16;
    r->d.batch = 16;
    r->d.trainable = 1;
    r->d.classes = own->classes > 1 ? own->classes : 0;
    train_desc.batch = 16;
    train_desc.seed = (uint64_t)seed;
    train_desc.data_noise = SPRITE_NOISE;
    train_desc.shift = own->count < 200 ? 1 : 0;
    r->run.seconds = seconds;
    r->run.balanced = own->classes > 1;
    return furnish(r, &train_desc, (uint64_t)seed);
}

CALL int own_train(double ms) { return train(&rooms[ROOM_OWN], own, ms); }

/* Goes on with a run of own_begin, on the same images, from its checkpoint of `bytes` bytes in page_block. */
CALL int own_resume(size_t bytes, double seconds)
{
    room *r = &rooms[ROOM_OWN];
    drl_train_desc train_desc;
    drl_status status;
    if (!own) return DRL_E_ARGUMENT;
    empty(r);
    status = drl_checkpoint_describe_memory(ctx, block, bytes, &r->d, &train_desc);
    if (status == DRL_OK && r->d.channels != own->channels) status = DRL_E_SHAPE;
    r->d.trainable = 1;
    r->d.batch = train_desc.batch;
    r->run.seconds = seconds;
    r->run.balanced = own->classes > 1;
    if (status == DRL_OK) status = furnish(r, &train_desc, 0);
    if (status == DRL_OK) status = drl_trainer_resume_memory(r->trainer, block, bytes);
    r->report.step = drl_trainer_steps(r->trainer);
    return status;
}

/* The checkpoint of the run as it is, into page_block; its bytes, or a negative status. */
CALL int own_keep(void)
{
    room *r = &rooms[ROOM_OWN];
    size_t bytes = 0;
    drl_status status;
    if (!r->trainer) return -DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    status = drl_trainer_save_memory(r->trainer, NULL, 0, &bytes);              /* how many bytes? */
    if (status == DRL_OK && !page_block(bytes)) status = DRL_E_MEMORY;
    if (status == DRL_OK) status = drl_trainer_save_memory(r->trainer, block, bytes, &bytes);
    return status == DRL_OK ? (int)bytes : -(int)status;
}

/* The model file with the averaged weights, into page_block; its bytes, or a negative status. */
CALL int own_save(void)
{
    room *r = &rooms[ROOM_OWN];
    size_t bytes = 0;
    drl_status status;
    if (!r->trainer) return -DRL_E_ARGUMENT;
    drl_ctx_clear(ctx);
    drl_trainer_swap_average(r->trainer);
    status = drl_model_save_memory(r->model, DRL_DTYPE_F32, NULL, 0, &bytes);   /* how many bytes? */
    if (status == DRL_OK && !page_block(bytes)) status = DRL_E_MEMORY;
    if (status == DRL_OK) status = drl_model_save_memory(r->model, DRL_DTYPE_F32, block, bytes, &bytes);
    drl_trainer_swap_average(r->trainer);
    return status == DRL_OK ? (int)bytes : -(int)status;
}
