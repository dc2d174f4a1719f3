/* test_api.c - bad input to every public function: NULL for each pointer, zero, negative, huge, NaN,
 * infinite, misaligned floats, and aliased buffers where that is not allowed. Each function has a row that
 * says what a good call is; the program makes this call, then spoils one argument after the other. A refused
 * call has a status and a sentence, and leaves every buffer, object and result as it was. Run from the
 * repository root or from tests/: the rows are compared with the declarations in drl.h, and a function
 * without a row is a failure.
 *
 * Grammar. A row is S(function, "words", call): the text has a word for each argument, in their order; the
 * call has a good value of each. A(i) is argument i as a pointer, I(i) as int, Z(i) as size_t, F(i) as float,
 * D(i) as double, V(i) as floats, T(i) as a tensor. The words:
 *     ctx               a context that must be there
 *     p:NAME            a pointer that must be there
 *     o:NAME            a pointer that may be NULL
 *     v:NAME            aligned floats that must be there
 *     u:NAME            aligned floats, or NULL
 *     t:NAME            a tensor: it and its data must be there and aligned, and every side as it is
 *     n:GOOD!BAD!BAD    a number, and values that are refused
 *     n:GOOD!?VALUE     a number, and a value that may be refused or not, but must not crash
 * NAMEs are in the function named(). For example "ctx p:npy n:NPY!0!5 p:array2" is a context, a pointer, a
 * number of which 0 and 5 are refused, and a pointer. Q(function, ...), the quiet form, is for functions
 * without a status: what they return tells a refusal, and no sentence is kept. N(function, ...) is for
 * functions that build nets: a build function calls them. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include <ctype.h>
#include <limits.h>

#define ARGS 12
typedef struct arg { void *p; double x; } arg;          /* a pointer or a number */
typedef drl_status (*call_fn)(const arg *a);

/* --- the world: good arguments -------------------------------------------------------------------------- */
#define SIDE  4
#define IMAGE (SIDE * SIDE)
#define BATCH 2
#define BUFFER 4096

static struct world {                                   /* everything that a refused call may not change */
    float x[BUFFER], x2[BUFFER], y[BUFFER], out[BUFFER], packed[BUFFER], packed_t[BUFFER], bias[BUFFER],
        dweight[BUFFER], vec[BUFFER], work[4 * BUFFER], level[BATCH], prob[16];
    double doubles[256], schedule_memory[5 * 8], number;
    unsigned char bits[BUFFER], bytes[BUFFER];
    int label[BATCH], t[BATCH];
    size_t size, written;
    drl_tensor tx, ty, tout;
    drl_rng rng;
    drl_conv2d_desc conv;
    drl_array array;
    drl_blob blob;
    drl_dataset ds;
    drl_dataset_desc ds_desc;
    drl_vectors vectors;
    drl_vectors_desc vec_desc;
    drl_blob csv;
    drl_safetensors_desc st_desc;
    drl_net_desc net_desc;
    drl_layer_desc layer;
    drl_batch batch;
    drl_schedule schedule, schedule2;
    drl_mixture mixture;
    drl_energy energy;
    drl_sum_term term[2];
    drl_interpolation interpolation;
    drl_sample_desc how, how_energy;
    drl_model_desc md, md2;
    drl_train_desc td, td2;
    drl_run_desc run;
    drl_train_report report;
    drl__langevin_desc langevin;
    drl_mcmc_desc chains;
    drl_mcmc_report chains_report;
    drl_diagnosis diagnosis;
    drl_ais_desc path;
    drl_ais_result path_result;
    drl_grid grid;
    drl_energy plane;
    float points[BATCH * IMAGE], deviations[IMAGE];
    double trace[16], beta[4], grid_f[12], grid_p[12];
    drl_ctx_desc cd;
    const char *paths[1], *csv_paths[1];
    /* results: made by good calls, destroyed at once */
    drl_ctx *o_ctx;
    drl_safetensors *o_st;
    drl_dataset *o_ds;
    drl_vectors *o_vectors;
    drl_net *o_net;
    drl_sum *o_sum;
    drl_sampler *o_sampler;
    drl_mcmc *o_mcmc;
    drl_ais *o_ais;
    drl_model *o_model;
    drl_scorer *o_scorer;
    drl_trainer *o_trainer;
    void *o_file;
} w;

static check_heap heap;
static drl_ctx *ctx;
static drl_net *net;
static drl_model *model;
static drl_scorer *scorer;
static drl_trainer *trainer;
static drl_sampler *sampler;
static drl_mcmc *mcmc;
static drl_ais *ais;
static drl_safetensors *st, *weights;
static drl_sum *sum;
static unsigned char *model_file, *tensors, *checkpoint, *checkpoint_copy;
static size_t model_size, tensors_size, checkpoint_size, state_size, chains_size;
static char *good_path, *model_path, *checkpoint_path, *data_path, *csv_path, *new_path;
static const size_t shape[2] = { 2, 3 };
static const double mix[1 + 2 * IMAGE] = { 1.0 };
static double variances[IMAGE];

/* check.h's allocator with an end: what asks for more than 64 MB gets nothing. */
static void *limited(void *user, size_t n) { return n > (size_t)64 << 20 ? NULL : check_alloc(user, n); }

static uint32_t hash(uint32_t h, const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    while (n--) h = (h ^ *b++) * 16777619u;
    return h;
}

/* Of everything that objects hold and a refused call may not change. */
static uint32_t state(void)
{
    uint32_t h = 2166136261u;
    drl_rng rng = drl__trainer_rng(trainer);
    uint64_t steps = drl_trainer_steps(trainer);
    unsigned char bytes[BUFFER];
    size_t size = 0;
    drl_net *n[2];
    int i;
    n[0] = net;
    n[1] = drl_model_net(model);
    for (i = 0; i < 2; ++i) {
        h = hash(h, drl_net_params(n[i]), drl_net_params_size(n[i]) * sizeof(float));
        h = hash(h, drl_net_grads(n[i]), drl_net_params_size(n[i]) * sizeof(float));
    }
    h = hash(h, trainer->part[0].ema, trainer->part[0].params * sizeof(float));
    h = hash(h, trainer->part[0].adam_m, trainer->part[0].params * sizeof(float));
    h = hash(h, &trainer->now.rate_scale, 2 * sizeof(double));
    h = hash(h, &trainer->averaged, sizeof trainer->averaged);
    h = hash(h, &rng, sizeof rng);
    h = hash(h, &steps, sizeof steps);
    drl_sampler_save(sampler, bytes, sizeof bytes, &size);
    h = hash(h, bytes, size);
    drl_mcmc_save(mcmc, bytes, sizeof bytes, &size);
    h = hash(h, bytes, size);
    i = drl_ais_steps_left(ais);
    h = hash(h, &i, sizeof i);
    return hash(h, ais->log_w, BATCH * sizeof(double));
}

static drl_status no_energy(void *user, int n, const float *y, const int *level, const int *label, float *f,
                            float *gradient)
{
    int i;
    (void)user; (void)level; (void)label;
    for (i = 0; f && i < n; ++i) f[i] = 0;
    for (i = 0; gradient && i < n * IMAGE; ++i) gradient[i] = -0.01f * y[i];
    return DRL_OK;
}
static drl_status plane_energy(void *user, int n, const float *y, const int *level, const int *label,
                               float *f, float *gradient)
{
    int i;
    (void)user; (void)y; (void)level; (void)label;
    for (i = 0; f && i < n; ++i) f[i] = -1;
    for (i = 0; gradient && i < 2 * n; ++i) gradient[i] = 0;
    return DRL_OK;
}
static double no_clock(void *user) { (void)user; return 1; }
static void fill(void *user, drl_ctx *c, int image, int draw, float *out, size_t n)
{
    size_t i;
    (void)user;
    (void)c;
    (void)image;
    (void)draw;
    for (i = 0; i < n; ++i) out[i] = 0.5f;
}
static void build_small(drl_net *n, void *user)
{
    drl_layer_desc l;
    drl_value x = drl_net_input(n, SIDE, SIDE, 1), e = drl_net_level(n, 4);
    (void)user;
    memset(&l, 0, sizeof l);
    l.name = "c";
    l.out_channels = 4;
    x = drl_net_shift(n, drl_net_conv2d(n, x, &l), e);
    drl_net_spatial_sum(n, x, 1);
}

static char *text(const char *s)
{
    char *t = (char *)malloc(strlen(s) + 1);
    if (!t) exit(3);
    strcpy(t, s);
    return t;
}

static void make_desc(void)
{
    memset(&w.md, 0, sizeof w.md);
    w.md.height = SIDE;
    w.md.base = 4;
    w.md.resolutions = 1;
    w.md.levels = 3;
    w.md.steps = 2;
    w.md.batch = BATCH;
    w.md.trainable = 1;
    w.md.form = DRL_FORM_CDRL;
    w.md.initializer = 4;
    w.md.classes = 2;
    w.md2 = w.md;
    memset(&w.td, 0, sizeof w.td);
    w.td.batch = BATCH;
    w.td.seed = 1;
    w.td2 = w.td;
    w.run.steps = 1;
}

static void make_trainer(void)
{
    drl_trainer_destroy(trainer);
    drl_scorer_destroy(scorer);
    drl_model_destroy(model);
    trainer = NULL;
    model = NULL;
    scorer = NULL;
    CHECK_OK(ctx, drl_model_create(ctx, &w.md, 1, &model));
    CHECK_OK(ctx, drl_scorer_create(model, 0, 1, &scorer));
    CHECK_OK(ctx, drl_trainer_create(model, &w.td, &trainer));
}

static void make_sampler(void)
{
    drl_sampler_destroy(sampler);
    sampler = NULL;
    CHECK_OK(ctx, drl_sampler_create_energy(ctx, &w.energy, &w.schedule, &w.how_energy, &sampler));
    CHECK_OK(ctx, drl_sampler_save(sampler, NULL, 0, &state_size));
    drl_ais_destroy(ais);
    drl_mcmc_destroy(mcmc);
    ais = NULL;
    mcmc = NULL;
    CHECK_OK(ctx, drl_mcmc_create(ctx, &w.energy, &w.chains, &mcmc));
    CHECK_OK(ctx, drl_ais_create(ctx, &w.energy, &w.path, &ais));
    CHECK_OK(ctx, drl_mcmc_save(mcmc, NULL, 0, &chains_size));
}

/* Arrays, data sets, nets: the arguments of [tensor], [conv], [io] and [net]. */
static void make_arguments(void)
{
    int i;
    for (i = 0; i < BUFFER; ++i) {
        w.x[i] = (float)(i % 7) * 0.25f - 0.5f;
        w.x2[i] = (float)(i % 5) * 0.25f - 0.5f;
        w.vec[i] = 0.25f;
        w.bits[i] = (unsigned char)i;
    }
    for (i = 0; i < 16; ++i) w.prob[i] = 0.25f;
    w.tx = drl_tensor_of(w.x, 2, 4, 4, 4);
    w.ty = drl_tensor_of(w.y, 2, 4, 4, 4);
    w.tout = drl_tensor_of(w.out, 2, 4, 4, 5);
    w.conv.in_channels = 4;
    w.conv.out_channels = 5;
    w.array = drl_array_of("a", DRL_DTYPE_F32, 2, shape, w.x);
    w.ds.count = 2;
    w.ds.height = w.ds.width = SIDE;
    w.ds.channels = 1;
    w.ds.classes = 2;
    w.ds.pixels = w.bits;
    w.ds.labels = (const uint8_t *)"\1\2";
    w.csv.data = "1,2\n3,4\n";
    w.csv.bytes = 8;
    w.vectors.count = 4;
    w.vectors.size = 8;
    w.vectors.values = w.x;
    w.vectors.mean = w.vectors.deviation = w.doubles;
    w.st_desc.arrays = &w.array;
    w.st_desc.count = 1;
    w.net_desc.batch = BATCH;
    w.net_desc.modes = 7;
    w.layer.name = "layer";
    w.layer.out_channels = 4;
    w.batch = drl_batch_of(BATCH, w.x, w.level);
    w.cd.threads = 1;
    w.label[0] = 1;
}

/* Schedules, energies, samplers, chains. */
static void make_energies(void)
{
    int i;
    CHECK_OK(ctx, drl__schedule_drl(3, w.schedule_memory, &w.schedule));
    w.schedule2 = w.schedule;
    for (i = 0; i < IMAGE; ++i) variances[i] = 1;
    w.mixture.schedule = &w.schedule;
    w.mixture.size = IMAGE;
    w.mixture.components = 1;
    w.mixture.weight = mix;
    w.mixture.mean = mix + 1;
    w.mixture.variance = variances;
    w.energy.eval = no_energy;
    w.energy.size = IMAGE;
    w.energy.batch = BATCH;
    w.plane.eval = plane_energy;
    w.plane.size = 2;
    w.plane.batch = BATCH;
    w.term[0].energy = w.term[1].energy = w.energy;
    w.term[0].weight = w.term[1].weight = 0.5f;
    w.interpolation.to = 1;
    w.interpolation.count = 3;
    w.how.count = BATCH;
    w.how.labels = w.label;
    w.how_energy.count = BATCH;
    w.how_energy.steps = 2;
    w.langevin.energy = &w.energy;
    w.langevin.schedule = &w.schedule;
    w.langevin.level = w.t;
    w.langevin.steps = 1;
    w.langevin.noise.fill = fill;
    w.chains.count = BATCH;
    w.chains.kernel = DRL_MCMC_MALA;
    w.chains.schedule = &w.schedule;
    w.chains.x_next = w.points;
    w.chains.warmup = 3;
    w.path.count = BATCH;
    w.path.steps = 3;
    w.path.beta = w.beta;
    w.path.mean = w.points;
    w.path.variance = w.deviations;
    w.path.start = w.points;
    w.path.pilot = 1;
    for (i = 0; i < BATCH * IMAGE; ++i) {
        w.points[i] = 0.1f * (float)(i % 3);
        w.deviations[i % IMAGE] = 0.5f;
    }
    for (i = 0; i < 4; ++i) w.beta[i] = i / 3.0;
    for (i = 0; i < 16; ++i) w.trace[i] = i % 5;
    for (i = 0; i < 12; ++i) w.grid_p[i] = 1;
    w.grid.x1 = w.grid.y1 = 1;
    w.grid.nx = 4;
    w.grid.ny = 3;
}

/* Files of each kind, in memory and on disk. */
static void make_files(void)
{
    CHECK_OK(ctx, drl_model_save_memory(model, DRL_DTYPE_F32, NULL, 0, &model_size));
    model_file = (unsigned char *)malloc(model_size);
    CHECK_OK(ctx, drl_model_save_memory(model, DRL_DTYPE_F32, model_file, model_size, &model_size));
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, model_file, model_size, &weights));
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &w.st_desc, NULL, 0, &tensors_size));
    tensors = (unsigned char *)malloc(tensors_size);
    CHECK_OK(ctx, drl_safetensors_write_memory(ctx, &w.st_desc, tensors, tensors_size, &tensors_size));
    CHECK_OK(ctx, drl_safetensors_open_memory(ctx, tensors, tensors_size, &st));
    good_path = text(check_path("test_api.safetensors"));
    model_path = text(check_path("test_api.model"));
    checkpoint_path = text(check_path("test_api.checkpoint"));
    data_path = text(check_path("test_api.idx"));
    csv_path = text(check_path("test_api.csv"));
    new_path = text(check_path("test_api.new"));
    CHECK_OK(ctx, drl_file_write(ctx, good_path, tensors, tensors_size));
    CHECK_OK(ctx, drl_file_write(ctx, model_path, model_file, model_size));
    CHECK_OK(ctx, drl_trainer_save(trainer, checkpoint_path));
    CHECK_OK(ctx, drl_trainer_save_memory(trainer, NULL, 0, &checkpoint_size));
    checkpoint = (unsigned char *)malloc(checkpoint_size);
    checkpoint_copy = (unsigned char *)malloc(checkpoint_size);
    CHECK_OK(ctx, drl_trainer_save_memory(trainer, checkpoint, checkpoint_size, &checkpoint_size));
    memcpy(w.bytes, "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02" "abcd", 20);
    CHECK_OK(ctx, drl_file_write(ctx, data_path, w.bytes, 20));
    w.blob.data = w.bytes;
    w.blob.bytes = 20;
    w.paths[0] = data_path;
    CHECK_OK(ctx, drl_file_write(ctx, csv_path, w.csv.data, w.csv.bytes));
    w.csv_paths[0] = csv_path;
    w.written = 0;
}

static void make_world(void)
{
    drl_ctx_desc d;
    memset(&d, 0, sizeof d);
    d.allocator.alloc_fn = limited;
    d.allocator.free_fn = check_free;
    d.allocator.user = &heap;
    if (drl_ctx_create(&d, &ctx) != DRL_OK) exit(3);
    make_arguments();
    make_energies();
    make_desc();
    CHECK_OK(ctx, drl_net_create(ctx, build_small, NULL, &w.net_desc, &net));
    drl_net_init(net, 1);
    make_trainer();
    make_sampler();
    CHECK_OK(ctx, drl_sum_create(ctx, w.term, 2, &sum));
    make_files();
}

/* What good calls have made goes at once; what they have changed in objects that later rows need is made
 * again. */
static void results_destroy(void)
{
    drl_trainer_destroy(w.o_trainer);
    drl_sampler_destroy(w.o_sampler);
    drl_mcmc_destroy(w.o_mcmc);
    drl_ais_destroy(w.o_ais);
    drl_model_destroy(w.o_model);
    drl_scorer_destroy(w.o_scorer);
    drl_net_destroy(w.o_net);
    drl_sum_destroy(w.o_sum);
    drl_safetensors_close(w.o_st);
    drl_dataset_destroy(w.o_ds);
    drl_vectors_destroy(w.o_vectors);
    drl_file_free(ctx, w.o_file);
    drl_ctx_destroy(w.o_ctx);
    w.o_trainer = NULL;
    w.o_sampler = NULL;
    w.o_mcmc = NULL;
    w.o_ais = NULL;
    w.o_model = NULL;
    w.o_scorer = NULL;
    w.o_net = NULL;
    w.o_sum = NULL;
    w.o_st = NULL;
    w.o_ds = NULL;
    w.o_vectors = NULL;
    w.o_file = NULL;
    w.o_ctx = NULL;
}

/* --- building functions: called from a build function, with a good or a spoiled operand ----------------- */
static drl_value built(int id)
{
    drl_value v;
    v.id = id;
    v.h = v.w = SIDE;
    v.c = 4;
    return v;
}
static call_fn building;
static arg building_args[ARGS];
static drl_status building_result;
static void build_one(drl_net *n, void *user)
{
    arg a[ARGS];
    drl_layer_desc l;
    drl_value x = drl_net_input(n, SIDE, SIDE, 4), e = drl_net_level(n, 4);
    (void)user;
    memset(&l, 0, sizeof l);
    l.name = "big";
    l.out_channels = 12;
    l.kernel = 1;
    drl_net_conv2d(n, x, &l);                           /* 2: three times the channels */
    l.name = "scale";
    l.out_channels = 8;
    drl_net_conv2d(n, e, &l);                           /* 3: scale and shift */
    memcpy(a, building_args, sizeof a);
    if (a[0].p) a[0].p = n;
    building_result = building(a);
}
/* Operand `which`: 0 images, 1 level, 2 qkv, 3 scale and shift; -1 none, 9 one that does not exist, 10 up:
 * images with a size that is not theirs. */
static drl_value operand(double which)
{
    drl_value v = built(which >= 10 ? 0 : (int)which);
    if (which == 1 || which == 3) v.h = v.w = 1;
    if (which == 3) v.c = 8;
    if (which == 2) v.c = 12;
    if (which == 10) v.c = 400000;
    if (which == 11) v.h = 0;
    if (which == 12) v.h = 2;
    if (which == 12) v.w = 8;
    if (which == 13) v.w = INT_MAX;
    return v;
}
static drl_status built_ok(drl_value v) { return v.id < 0 ? DRL_E_ARGUMENT : DRL_OK; }
static drl_status build_with(call_fn call, const arg *a)
{
    drl_status status;
    building = call;
    memcpy(building_args, a, sizeof building_args);
    building_result = DRL_E_ARGUMENT;
    status = drl_net_create(ctx, build_one, NULL, &w.net_desc, &w.o_net);
    if (a[0].p || building_result == DRL_OK) return status;
    /* with no net to tell, the function returns no value, and the rest is a net */
    results_destroy();
    return building_result;
}

/* drl_net_input comes first, so it has a build function of its own. */
static void build_input(drl_net *n, void *user)
{
    const arg *a = (const arg *)user;
    drl_net_act(n, drl_net_input(n, (int)a[1].x, (int)a[2].x, (int)a[3].x), DRL_ACT_RELU);
}
static drl_status input_with(const arg *a)
{
    arg copy[ARGS];
    if (!a[0].p) return built_ok(drl_net_input(NULL, 1, 1, 1));
    memcpy(copy, a, sizeof copy);
    return drl_net_create(ctx, build_input, copy, &w.net_desc, &w.o_net);
}

/* --- the rows (their grammar is at the head of this file) ----------------------------------------------- */
#define A(i)  (a[i].p)
#define I(i)  ((int)a[i].x)
#define Z(i)  (a[i].x < 0 ? SIZE_MAX : (size_t)a[i].x)
#define F(i)  ((float)a[i].x)
#define D(i)  (a[i].x)
#define T(i)  ((drl_tensor *)a[i].p)
#define V(i)  ((float *)a[i].p)
#define C     ((drl_ctx *)a[0].p)
#define NET   ((drl_net *)a[0].p)
#define MODEL ((drl_model *)a[0].p)
#define TRAINER ((drl_trainer *)a[0].p)
#define SAMPLER ((drl_sampler *)a[0].p)
#define MCMC  ((drl_mcmc *)a[0].p)
#define AIS   ((drl_ais *)a[0].p)
#define ST    ((drl_safetensors *)a[0].p)
#define CD    ((drl_conv2d_desc *)a[1].p)
#define UNLESS(refused) ((refused) ? DRL_E_ARGUMENT : DRL_OK)
#define DO(call) ((call), DRL_OK)
#define B8(i) ((uint8_t *)a[i].p)

static drl_status value_or(double v, double none) { return v == none || !(v == v) ? DRL_E_ARGUMENT : DRL_OK; }
static drl_status energy_ok(drl_energy e) { return UNLESS(!e.eval || !e.size || e.batch < 1); }

#define ROWS \
  Q(drl_status_text, "n:0!?-1!?99", DO(w.written += !drl_status_text((drl_status)I(0))[0])) \
  S(drl_ctx_create, "o:cd p:o_ctx", drl_ctx_create((drl_ctx_desc *)A(0), (drl_ctx **)A(1))) \
  Q(drl_ctx_destroy, "o:nothing", DO(drl_ctx_destroy((drl_ctx *)A(0)))) \
  Q(drl_ctx_status, "ctx", drl_ctx_status(C)) \
  Q(drl_ctx_message, "ctx", \
      UNLESS(!strcmp(drl_ctx_message(C), "no context"))) \
  Q(drl_ctx_clear, "o:ctx", DO(drl_ctx_clear(C))) \
  Q(drl_ctx_isa, "ctx", UNLESS(drl_ctx_isa(C) == DRL_ISA_AUTO)) \
  Q(drl_isa_name, "n:1!?-1!?99", DO(w.written += strlen(drl_isa_name((drl_isa)I(0))) > 99)) \
  Q(drl_ctx_threads, "ctx", value_or(drl_ctx_threads(C), 0)) \
  Q(drl_ctx_bytes_used, "ctx", value_or((double)drl_ctx_bytes_used(C), 0)) \
  Q(drl_ctx_bytes_peak, "ctx", value_or((double)drl_ctx_bytes_peak(C), 0)) \
  Q(drl_rng_uniform, "p:rng", value_or((double)drl_rng_uniform((drl_rng *)A(0)), 0)) \
  Q(drl_rng_below, "p:rng n:1000000!0!-1!min", value_or(drl_rng_below((drl_rng *)A(0), I(1)), 0)) \
  Q(drl_rng_normals, "ctx p:rng v:out n:5", \
      UNLESS((w.out[0] = 9, drl_rng_normals(C, (drl_rng *)A(1), V(2), Z(3)), w.out[0] > 8))) \
  Q(drl_tensor_of, "o:x n:1!?-1!?max", DO(w.written += drl_tensor_of(V(0), I(1), 1, 1, 1).n == 77)) \
  Q(drl_tensor_count, "p:tx", value_or((double)drl_tensor_count(T(0)), 0)) \
  Q(drl_conv2d_packed_count, "ctx p:conv n:0!?7", value_or((double)drl_conv2d_packed_count(C, CD, I(2)), 0)) \
  Q(drl_conv2d_pack, "ctx p:conv n:0 v:x n:1!?nan v:packed", \
      UNLESS((w.packed[0] = 99, drl_conv2d_pack(C, CD, I(2), V(3), F(4), V(5)), w.packed[0] > 98))) \
  Q(drl_conv2d_work_count, "ctx p:conv n:2!0!-1!min!?max n:4!0!-1!max n:4!0!-1!max", \
      value_or((double)drl_conv2d_work_count(C, CD, I(2), I(3), I(4)), 0)) \
  S(drl_conv2d_forward, "ctx p:conv t:tx v:packed u:bias t:tout v:work", \
      drl_conv2d_forward(C, CD, T(2), V(3), V(4), T(5), V(6))) \
  S(drl_conv2d_input_grad, "ctx p:conv t:tout v:packed_t t:ty n:0 v:work", \
      drl_conv2d_input_grad(C, CD, T(2), V(3), T(4), I(5), V(6))) \
  S(drl_conv2d_param_grad, "ctx p:conv t:tx t:tout v:dweight u:bias v:work", \
      drl_conv2d_param_grad(C, CD, T(2), T(3), V(4), V(5), V(6))) \
  Q(drl_array_of, "o:word n:0!-1!99 n:2!-1!9 p:shape o:x", \
      UNLESS(!drl_array_of((const char *)A(0), (drl_dtype)I(1), I(2), (const size_t *)A(3), A(4)).bytes)) \
  Q(drl_array_count, "p:array", value_or((double)drl_array_count((drl_array *)A(0)), 0)) \
  Q(drl_array_floats, "p:array", UNLESS(!drl_array_floats((drl_array *)A(0)))) \
  S(drl_array_to_float, "ctx p:array v:out", drl_array_to_float(C, (drl_array *)A(1), V(2))) \
  S(drl_safetensors_open_memory, "ctx p:tensors n:TENSORS!0!7!-1 p:o_st", \
      drl_safetensors_open_memory(C, A(1), Z(2) == SIZE_MAX ? 8 : Z(2), (drl_safetensors **)A(3))) \
  S(drl_safetensors_open, "ctx p:good_path p:o_st", \
      drl_safetensors_open(C, (const char *)A(1), (drl_safetensors **)A(2))) \
  Q(drl_safetensors_close, "o:nothing", DO(drl_safetensors_close(ST))) \
  Q(drl_safetensors_contents, "p:st", UNLESS(!drl_safetensors_contents(ST))) \
  Q(drl_safetensors_find, "p:st p:word", UNLESS(!drl_safetensors_find(ST, (const char *)A(1)))) \
  S(drl_safetensors_write_memory, "ctx p:st_desc p:work n:TENSORS!0!1 p:size", \
      drl_safetensors_write_memory(C, (drl_safetensors_desc *)A(1), A(2), Z(3), (size_t *)A(4))) \
  S(drl_safetensors_write_file, "ctx p:new_path p:st_desc", \
      drl_safetensors_write_file(C, (const char *)A(1), (drl_safetensors_desc *)A(2))) \
  S(drl_npy_parse, "ctx p:npy n:NPY!0!5 p:array2", drl_npy_parse(C, A(1), Z(2), (drl_array *)A(3))) \
  S(drl_npy_write_memory, "ctx p:array p:work n:4096!0!1 p:size", \
      drl_npy_write_memory(C, (drl_array *)A(1), A(2), Z(3), (size_t *)A(4))) \
  S(drl_npy_write_file, "ctx p:new_path p:array", \
      drl_npy_write_file(C, (const char *)A(1), (drl_array *)A(2))) \
  S(drl_dataset_parse, "ctx p:blob n:1!0!-1 o:ds_desc p:o_ds", \
      drl_dataset_parse(C, (drl_blob *)A(1), I(2), (drl_dataset_desc *)A(3), (drl_dataset **)A(4))) \
  S(drl_dataset_load, "ctx p:paths n:1!0!-1 o:ds_desc p:o_ds", \
      drl_dataset_load(C, (const char *const *)A(1), I(2), (drl_dataset_desc *)A(3), (drl_dataset **)A(4))) \
  S(drl_dataset_copy, "ctx p:ds p:o_ds", drl_dataset_copy(C, (drl_dataset *)A(1), (drl_dataset **)A(2))) \
  Q(drl_dataset_destroy, "o:nothing", DO(drl_dataset_destroy((drl_dataset *)A(0)))) \
  S(drl_dataset_image, "ctx p:ds n:1!-1!2!max n:4!0!3!-1 n:4!0!3!-1 v:out", \
      drl_dataset_image(C, (drl_dataset *)A(1), I(2), I(3), I(4), V(5))) \
  S(drl_dataset_batch, "ctx p:ds p:rng n:2!0!-1 n:4!0!3!-1 n:4!0!3!-1 v:out o:label2", \
      drl_dataset_batch(C, (drl_dataset *)A(1), (drl_rng *)A(2), I(3), I(4), I(5), V(6), (int *)A(7))) \
  S(drl_vectors_parse, "ctx p:csv n:1!0!-1 o:vec_desc p:o_vectors", \
      drl_vectors_parse(C, (drl_blob *)A(1), I(2), (drl_vectors_desc *)A(3), (drl_vectors **)A(4))) \
  S(drl_vectors_load, "ctx p:csv_paths n:1!0!-1 o:vec_desc p:o_vectors", \
      drl_vectors_load(C, (const char *const *)A(1), I(2), (drl_vectors_desc *)A(3), \
                       (drl_vectors **)A(4))) \
  Q(drl_vectors_destroy, "o:nothing", DO(drl_vectors_destroy((drl_vectors *)A(0)))) \
  S(drl_vectors_batch, "ctx p:vectors p:rng n:2!0!-1!min v:out", \
      drl_vectors_batch(C, (drl_vectors *)A(1), (drl_rng *)A(2), I(3), V(4))) \
  S(drl_file_read, "ctx p:good_path p:o_file p:size", \
      drl_file_read(C, (const char *)A(1), (void **)A(2), (size_t *)A(3))) \
  Q(drl_file_free, "o:ctx o:nothing", DO(drl_file_free(C, A(1)))) \
  S(drl_file_write, "ctx p:new_path p:x n:16", drl_file_write(C, (const char *)A(1), A(2), Z(3))) \
  S(drl_net_input, "p:net n:4!0!-1!max!min n:4!0!-1!max n:4!0!-1!max", input_with(a)) \
  N(drl_net_level, "p:net n:4!0!3!-2!2!5", built_ok(drl_net_level(NET, I(1)))) \
  N(drl_net_label, "p:net n:3!0!-1!max", built_ok(drl_net_label(NET, I(1)))) \
  N(drl_net_conv2d, "p:net n:0" BAD_OPERAND " p:layer", \
      built_ok(drl_net_conv2d(NET, operand(D(1)), (drl_layer_desc *)A(2)))) \
  N(drl_net_act, "p:net n:0" BAD_OPERAND " n:1!-1!99", \
      built_ok(drl_net_act(NET, operand(D(1)), (drl_act)I(2)))) \
  N(drl_net_avgpool2, "p:net n:0!1" BAD_OPERAND, built_ok(drl_net_avgpool2(NET, operand(D(1))))) \
  N(drl_net_maxpool2, "p:net n:0!1" BAD_OPERAND, built_ok(drl_net_maxpool2(NET, operand(D(1))))) \
  N(drl_net_upsample2, "p:net n:0" BAD_OPERAND, built_ok(drl_net_upsample2(NET, operand(D(1))))) \
  N(drl_net_add, "p:net n:0!1" BAD_OPERAND " n:0!2" BAD_OPERAND, \
      built_ok(drl_net_add(NET, operand(D(1)), operand(D(2))))) \
  N(drl_net_concat, "p:net n:0!1" BAD_OPERAND " n:2!1" BAD_OPERAND, \
      built_ok(drl_net_concat(NET, operand(D(1)), operand(D(2))))) \
  N(drl_net_shift, "p:net n:0!2" BAD_OPERAND " n:1!3" BAD_OPERAND, \
      built_ok(drl_net_shift(NET, operand(D(1)), operand(D(2))))) \
  N(drl_net_scale_shift, "p:net n:0!2" BAD_OPERAND " n:3!1" BAD_OPERAND, \
      built_ok(drl_net_scale_shift(NET, operand(D(1)), operand(D(2))))) \
  N(drl_net_gain, "p:net n:0" BAD_OPERAND " p:word", \
      built_ok(drl_net_gain(NET, operand(D(1)), (const char *)A(2)))) \
  N(drl_net_group_norm, "p:net n:0" BAD_OPERAND " p:word n:2!0!-1!3!max n:0.1!-1!nan!inf", \
      built_ok(drl_net_group_norm(NET, operand(D(1)), (const char *)A(2), I(3), F(4)))) \
  N(drl_net_attention, "p:net n:2!1" BAD_OPERAND, built_ok(drl_net_attention(NET, operand(D(1))))) \
  N(drl_net_dropout, "p:net n:0" BAD_OPERAND " n:0.5!1!-1!nan!inf", \
      built_ok(drl_net_dropout(NET, operand(D(1)), F(2)))) \
  N(drl_net_spatial_sum, "p:net n:0" BAD_OPERAND " n:1!nan!inf", \
      built_ok(drl_net_spatial_sum(NET, operand(D(1)), F(2)))) \
  N(drl_net_dot, "p:net n:1!0!3" BAD_OPERAND " n:1!0!3" BAD_OPERAND, \
      built_ok(drl_net_dot(NET, operand(D(1)), operand(D(2))))) \
  S(drl_net_create, "ctx n:1!0 o:nothing o:net_desc p:o_net", \
      drl_net_create(C, I(1) ? build_small : NULL, A(2), (drl_net_desc *)A(3), (drl_net **)A(4))) \
  S(drl_net_size, "ctx n:1!0 o:nothing o:net_desc p:size", \
      drl_net_size(C, I(1) ? build_small : NULL, A(2), (drl_net_desc *)A(3), (size_t *)A(4))) \
  Q(drl_net_destroy, "o:nothing", DO(drl_net_destroy(NET))) \
  Q(drl_net_param_count, "p:net", value_or(drl_net_param_count(NET), 0)) \
  Q(drl_net_param, "p:net n:0!-1!99!max!min", UNLESS(!drl_net_param(NET, I(1)))) \
  Q(drl_net_params, "p:net", UNLESS(!drl_net_params(NET))) \
  Q(drl_net_grads, "p:net", UNLESS(!drl_net_grads(NET))) \
  Q(drl_net_params_size, "p:net", value_or((double)drl_net_params_size(NET), 0)) \
  Q(drl_net_init, "o:net", DO(drl_net_init(NET, 1))) \
  Q(drl_net_refresh, "o:net n:1!?-1", DO(drl_net_refresh(NET, I(1)))) \
  S(drl_net_load, "p:mnet p:weights", drl_net_load(NET, (drl_safetensors *)A(1))) \
  Q(drl_batch_of, "n:1!?-1 o:x o:x", DO(w.written += drl_batch_of(I(0), V(1), V(2)).label != NULL)) \
  S(drl_net_forward, "p:net p:batch v:out", drl_net_forward(NET, (drl_batch *)A(1), V(2))) \
  S(drl_net_input_grad, "p:net p:batch v:x2 u:out v:y", \
      drl_net_input_grad(NET, (drl_batch *)A(1), V(2), V(3), V(4))) \
  S(drl_net_train_forward, "p:net p:batch v:out", drl_net_train_forward(NET, (drl_batch *)A(1), V(2))) \
  S(drl_net_train_backward, "p:net v:x", \
      (drl_net_train_forward(net, &w.batch, w.work), drl_net_train_backward(NET, V(1)))) \
  Q(drl_net_spectral_grads, "o:net", DO(drl_net_spectral_grads(NET))) \
  Q(drl_schedule_of, "p:noise_levels n:3!0!-1!1001!max n:0.01!0!-1!nan!inf p:schedule_memory2 p:schedule2", \
      drl_schedule_of((double *)A(0), I(1), D(2), (double *)A(3), (drl_schedule *)A(4))) \
  Q(drl_schedule_scale, "p:schedule n:1!-1!3!max!min", \
      value_or(drl_schedule_scale((drl_schedule *)A(0), I(1)), 0)) \
  Q(drl_schedule_step, "p:schedule n:1!-1!3!max!min", \
      value_or(drl_schedule_step((drl_schedule *)A(0), I(1)), 0)) \
  Q(drl_mixture_energy, "p:mixture", energy_ok(drl_mixture_energy((drl_mixture *)A(0)))) \
  S(drl_sum_create, "ctx p:term n:2!0!-1!65537 p:o_sum", \
      drl_sum_create(C, (drl_sum_term *)A(1), I(2), (drl_sum **)A(3))) \
  Q(drl_sum_energy, "p:sum", energy_ok(drl_sum_energy((drl_sum *)A(0)))) \
  Q(drl_sum_destroy, "o:nothing", DO(drl_sum_destroy((drl_sum *)A(0)))) \
  Q(drl_interpolation_noise, "p:interpolation", \
      UNLESS(!drl_interpolation_noise((drl_interpolation *)A(0)).fill)) \
  S(drl_sampler_create_energy, "ctx p:energy p:schedule p:how_energy p:o_sampler", \
      drl_sampler_create_energy(C, (drl_energy *)A(1), (drl_schedule *)A(2), (drl_sample_desc *)A(3), \
          (drl_sampler **)A(4))) \
  S(drl_sampler_run, "p:sampler n:0!-1!min", \
      drl_sampler_run(SAMPLER, I(1)) == DRL_RUNNING ? DRL_OK : drl_sampler_run(SAMPLER, I(1))) \
  S(drl_sampler_run_until, "p:sampler n:1!0 n:0!?nan", \
      (a[0].p && I(1) ? drl_sampler_run_until(SAMPLER, no_clock, NULL, \
          D(2)) <= DRL_RUNNING ? DRL_OK : DRL_E_IO : drl_sampler_run_until(SAMPLER, I(1) ? no_clock : NULL, \
          NULL, D(2)))) \
  Q(drl_sampler_steps_left, "p:sampler", value_or(drl_sampler_steps_left(SAMPLER), 0)) \
  Q(drl_sampler_level, "p:sampler", value_or(drl_sampler_level(SAMPLER), -1)) \
  S(drl_sampler_image, "p:sampler n:0!-1!2!max v:out", drl_sampler_image(SAMPLER, I(1), V(2))) \
  S(drl_sampler_point, "p:sampler n:0!-1!2!max v:out", drl_sampler_point(SAMPLER, I(1), V(2))) \
  Q(drl_sampler_destroy, "o:nothing", DO(drl_sampler_destroy(SAMPLER))) \
  S(drl_sampler_save, "p:sampler p:bytes n:STATE!0!1 p:size", \
      drl_sampler_save(SAMPLER, A(1), Z(2), (size_t *)A(3))) \
  S(drl_sampler_restore, "p:sampler p:saved n:STATE!0!1", drl_sampler_restore(SAMPLER, A(1), Z(2))) \
  S(drl_mcmc_create, "ctx p:energy p:chains p:o_mcmc", \
      drl_mcmc_create(C, (drl_energy *)A(1), (drl_mcmc_desc *)A(2), (drl_mcmc **)A(3))) \
  S(drl_mcmc_run, "p:mcmc n:1!-1!min!max", drl_mcmc_run(MCMC, I(1))) \
  S(drl_mcmc_look, "p:mcmc p:chains_report", drl_mcmc_look(MCMC, (drl_mcmc_report *)A(1))) \
  Q(drl_mcmc_destroy, "o:nothing", DO(drl_mcmc_destroy(MCMC))) \
  S(drl_mcmc_save, "p:mcmc p:chains_bytes n:CHAINS!0!1 p:size", \
      drl_mcmc_save(MCMC, A(1), Z(2), (size_t *)A(3))) \
  S(drl_mcmc_restore, "p:mcmc p:chains_saved n:CHAINS!0!1", drl_mcmc_restore(MCMC, A(1), Z(2))) \
  S(drl_mcmc_diagnose, "o:ctx p:trace n:8!7!0!-1!min n:2!0!-1!max p:diagnosis", \
      drl_mcmc_diagnose(C, (double *)A(1), I(2), I(3), (drl_diagnosis *)A(4))) \
  S(drl_ais_create, "ctx p:energy p:path p:o_ais", \
      drl_ais_create(C, (drl_energy *)A(1), (drl_ais_desc *)A(2), (drl_ais **)A(3))) \
  S(drl_ais_run, "p:ais n:1!-1!min", \
      drl_ais_run(AIS, I(1)) == DRL_RUNNING ? DRL_OK : drl_ais_run(AIS, I(1))) \
  Q(drl_ais_steps_left, "p:ais", value_or(drl_ais_steps_left(AIS), 0)) \
  S(drl_ais_look, "p:ais p:path_result", drl_ais_look(AIS, (drl_ais_result *)A(1))) \
  Q(drl_ais_destroy, "o:nothing", DO(drl_ais_destroy(AIS))) \
  S(drl_log_likelihood, "ctx p:energy p:schedule n:1!-1!3!max!min o:label n:2!0!-1!min v:x n:1!nan!inf " \
    "p:doubles v:work", \
      drl_log_likelihood(C, (drl_energy *)A(1), (drl_schedule *)A(2), I(3), (int *)A(4), I(5), V(6), D(7), \
          (double *)A(8), V(9))) \
  Q(drl_bits_per_dim, "n:-5!nan n:4!0 n:127.5!0!-1!nan", value_or(drl_bits_per_dim(D(0), Z(1), D(2)), 1e9)) \
  S(drl_grid_evaluate, "ctx p:plane n:0!-1!min n:0!-1!min p:grid p:grid_f", \
      drl_grid_evaluate(C, (drl_energy *)A(1), I(2), I(3), (drl_grid *)A(4), (double *)A(5))) \
  S(drl_grid_log_z, "o:ctx p:grid p:grid_p n:1!nan!inf p:number", \
      drl_grid_log_z(C, (drl_grid *)A(1), (double *)A(2), D(3), (double *)A(4))) \
  S(drl_grid_kl, "o:ctx p:grid p:grid_p p:grid_p p:number", \
      drl_grid_kl(C, (drl_grid *)A(1), (double *)A(2), (double *)A(3), (double *)A(4))) \
  S(drl_model_create, "ctx p:md p:o_model", \
      A(1) ? drl_model_create(C, (drl_model_desc *)A(1), 1, (drl_model **)A(2)) : drl_model_create(C, \
          &w.md, 1, NULL)) \
  S(drl_model_size, "ctx o:md p:size", drl_model_size(C, (drl_model_desc *)A(1), (size_t *)A(2))) \
  S(drl_model_describe, "p:model p:md2", drl_model_describe(MODEL, (drl_model_desc *)A(1))) \
  Q(drl_model_destroy, "o:nothing", DO(drl_model_destroy(MODEL))) \
  Q(drl_model_net, "p:model", UNLESS(!drl_model_net(MODEL))) \
  Q(drl_model_initializer, "p:model", UNLESS(!drl_model_initializer(MODEL))) \
  Q(drl_model_schedule, "p:model", UNLESS(!drl_model_schedule(MODEL))) \
  Q(drl_model_energy, "p:model", energy_ok(drl_model_energy(MODEL))) \
  S(drl_model_score, "p:model n:0!-1!6!max!min n:2!0!-1 v:x o:label v:out v:work", \
      drl_model_score(MODEL, I(1), I(2), V(3), (int *)A(4), V(5), V(6))) \
  S(drl_scorer_create, "p:model n:0!-1!6!max!min n:1!-1!3!max!min p:o_scorer", \
      drl_scorer_create(MODEL, I(1), I(2), (drl_scorer **)A(3))) \
  Q(drl_scorer_run, "p:scorer v:x v:out v:work", drl_scorer_run((drl_scorer *)A(0), V(1), V(2), V(3))) \
  Q(drl_scorer_destroy, "o:nothing", DO(drl_scorer_destroy((drl_scorer *)A(0)))) \
  S(drl_sampler_create, "p:model o:how p:o_sampler", \
      drl_sampler_create(MODEL, (drl_sample_desc *)A(1), (drl_sampler **)A(2))) \
  S(drl_sample, "p:model o:how v:out", drl_sample(MODEL, (drl_sample_desc *)A(1), V(2))) \
  S(drl_model_save_memory, "p:model n:0!-1!1!4!99 p:file_copy n:MODEL!0!100 p:size", \
      drl_model_save_memory(MODEL, (drl_dtype)I(1), A(2), Z(3), (size_t *)A(4))) \
  S(drl_model_load_memory, "ctx p:model_file n:MODEL!0!7!100 o:md p:o_model", \
      drl_model_load_memory(C, A(1), Z(2), (drl_model_desc *)A(3), (drl_model **)A(4))) \
  S(drl_model_load_weights, "p:model p:weights", drl_model_load_weights(MODEL, (drl_safetensors *)A(1))) \
  S(drl_model_save, "p:model n:0!-1!1!4!99 p:new_path", \
      drl_model_save(MODEL, (drl_dtype)I(1), (const char *)A(2))) \
  S(drl_model_load, "ctx p:model_path o:md p:o_model", \
      drl_model_load(C, (const char *)A(1), (drl_model_desc *)A(2), (drl_model **)A(3))) \
  S(drl_trainer_create, "p:model o:td p:o_trainer", \
      drl_trainer_create(MODEL, (drl_train_desc *)A(1), (drl_trainer **)A(2))) \
  S(drl_trainer_size, "p:model o:td p:size", \
      drl_trainer_size(MODEL, (drl_train_desc *)A(1), (size_t *)A(2))) \
  Q(drl_trainer_destroy, "o:nothing", DO(drl_trainer_destroy(TRAINER))) \
  S(drl_trainer_step, "p:trainer v:x o:label o:report", \
      drl_trainer_step(TRAINER, V(1), (int *)A(2), (drl_train_report *)A(3))) \
  S(drl_train, "p:trainer p:ds p:run", drl_train(TRAINER, (drl_dataset *)A(1), (drl_run_desc *)A(2))) \
  S(drl_trainer_rollback, "p:trainer", drl_trainer_rollback(TRAINER)) \
  Q(drl_trainer_steps, "p:trainer", UNLESS(!TRAINER && !drl_trainer_steps(TRAINER))) \
  S(drl_trainer_set_rate, "p:trainer n:1!-1!2!nan!inf", drl_trainer_set_rate(TRAINER, D(1))) \
  S(drl_trainer_swap_average, "p:trainer", \
      drl_trainer_swap_average(TRAINER) != DRL_OK ? DRL_E_ARGUMENT : drl_trainer_swap_average(TRAINER)) \
  S(drl_trainer_save, "p:trainer p:new_path", drl_trainer_save(TRAINER, (const char *)A(1))) \
  S(drl_trainer_save_memory, "p:trainer p:checkpoint_copy n:CHECKPOINT!0!100 p:size", \
      drl_trainer_save_memory(TRAINER, A(1), Z(2), (size_t *)A(3))) \
  S(drl_trainer_resume_memory, "p:trainer p:checkpoint n:CHECKPOINT!0!7!100", \
      drl_trainer_resume_memory(TRAINER, A(1), Z(2))) \
  S(drl_checkpoint_describe_memory, "ctx p:checkpoint n:CHECKPOINT!0!7!100 p:md2 p:td2", \
      drl_checkpoint_describe_memory(C, A(1), Z(2), (drl_model_desc *)A(3), (drl_train_desc *)A(4))) \
  S(drl_trainer_resume, "p:trainer p:checkpoint_path", drl_trainer_resume(TRAINER, (const char *)A(1))) \
  S(drl_checkpoint_describe, "ctx p:checkpoint_path p:md2 p:td2", \
      drl_checkpoint_describe(C, (const char *)A(1), (drl_model_desc *)A(2), (drl_train_desc *)A(3))) \
  S(drl_frechet, "o:ctx v:x n:8!0!1!-1 v:x2 n:8!0!1!-1 n:2!0!-1!8193!max p:doubles p:number", \
      drl_frechet(C, V(1), I(2), V(3), I(4), I(5), (double *)A(6), (double *)A(7))) \
  S(drl_auroc, "o:ctx v:x n:8!0!-1!max v:x2 n:8!0!-1!max p:number", \
      drl_auroc(C, V(1), I(2), V(3), I(4), (double *)A(5))) \
  S(drl_inception_score, "o:ctx v:prob n:4!0!-1 n:4!0!-1 p:number", \
      drl_inception_score(C, V(1), I(2), I(3), (double *)A(4)))

#define BAD_OPERAND "!-1!9!10!11!12!13"

#define S(name, spec, call) static drl_status call_##name(const arg *a) { (void)a; return call; }
#define Q(name, spec, call) static drl_status call_##name(const arg *a) { (void)a; return call; }
#define N(name, spec, call) \
    static drl_status made_##name(const arg *a) { (void)a; return call; } \
    static drl_status call_##name(const arg *a) { return build_with(made_##name, a); }
ROWS
#undef S
#undef Q
#undef N

typedef struct row { const char *name; call_fn call; const char *spec; int quiet; } row;
#define S(name, spec, call) { #name, call_##name, spec, 0 },
#define Q(name, spec, call) { #name, call_##name, spec, 1 },
#define N(name, spec, call) { #name, call_##name, spec, 0 },
static const row rows[] = { ROWS { NULL, NULL, NULL, 0 } };
#undef S
#undef Q
#undef N

/* --- the driver ----------------------------------------------------------------------------------------- */
static char word[] = "a", key[] = "drl.model";
static double schedule_memory2[5 * 4];
static const double noise_levels[4] = { 0.1, 0.3, 0.6, 1.0 };
static drl_array array2;
static int label2[BATCH];
static unsigned char npy[256], *file_copy, *saved, *bytes_of_state, *chains_saved, *chains_bytes;
static size_t npy_size;
static drl_net *mnet;

static void *named(const char *name)
{
#define P(x) if (!strcmp(name, #x)) return (void *)(uintptr_t)x
#define W(x) if (!strcmp(name, #x)) return (void *)&w.x
#define R(x) if (!strcmp(name, #x)) return (void *)w.x
    P(ctx); P(net); P(model); P(scorer); P(trainer); P(sampler);
    P(mcmc); P(ais); P(st); P(weights); P(sum); P(mnet);
    P(good_path); P(model_path); P(checkpoint_path); P(new_path); P(word); P(key); P(tensors);
    P(checkpoint); P(checkpoint_copy); P(model_file); P(file_copy); P(saved); P(chains_saved);
    P(chains_bytes); P(npy); P(label2); P(shape);
    W(cd); W(o_ctx); W(o_st); W(o_ds); W(o_net); W(o_sum); W(o_sampler); W(o_mcmc); W(o_ais); W(o_model);
    W(o_scorer); W(o_trainer); W(o_file);
    W(rng); W(tx); W(ty); W(tout); W(conv); W(array); W(blob); W(ds); W(ds_desc); W(st_desc); W(net_desc);
    W(vectors); W(vec_desc); W(csv); W(o_vectors);
    W(layer); W(batch);
    W(schedule); W(schedule2); W(mixture); W(energy); W(interpolation); W(how); W(how_energy); W(md);
    W(md2); W(td); W(td2); W(run); W(report); W(langevin); W(chains); W(chains_report); W(diagnosis);
    W(path); W(path_result); W(grid); W(plane); W(size); W(number);
    R(x); R(x2); R(y); R(out); R(packed); R(packed_t); R(bias); R(dweight); R(vec); R(work); R(level);
    R(prob); R(doubles); R(trace); R(beta); R(grid_f); R(grid_p); R(schedule_memory); R(bits); R(label);
    R(term); R(paths); R(csv_paths);
    if (!strcmp(name, "schedule_memory2")) return schedule_memory2;
    P(noise_levels);
    if (!strcmp(name, "array2")) return &array2;
    if (!strcmp(name, "blob_bytes")) return w.bytes;
    if (!strcmp(name, "bytes")) return bytes_of_state;
    if (!strcmp(name, "nothing")) return NULL;
    printf("no argument is called %s\n", name);
    exit(3);
}

static double number_of(const char *s)
{
    if (!strncmp(s, "max", 3)) return INT_MAX;
    if (!strncmp(s, "min", 3)) return INT_MIN;
    if (!strncmp(s, "nan", 3)) return (double)NAN;
    if (!strncmp(s, "inf", 3)) return HUGE_VAL;
    if (!strncmp(s, "-inf", 4)) return -HUGE_VAL;
    if (!strncmp(s, "TENSORS", 7)) return (double)tensors_size;
    if (!strncmp(s, "MODEL", 5)) return (double)model_size;
    if (!strncmp(s, "CHECKPOINT", 10)) return (double)checkpoint_size;
    if (!strncmp(s, "STATE", 5)) return (double)state_size;
    if (!strncmp(s, "CHAINS", 6)) return (double)chains_size;
    if (!strncmp(s, "NPY", 3)) return (double)npy_size;
    return strtod(s, NULL);
}

/* A crash or a call that does not return counts as a failure with a name, where the system has signals and no
 * sanitizer wants them. */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(DRL__ASAN) && !defined(__SANITIZE_THREAD__)
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>
static sigjmp_buf crashed;
static void on_signal(int number) { siglongjmp(crashed, number); }
static void catch_signals(void)
{
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGFPE, on_signal);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
}
static drl_status guarded(call_fn call, const arg *a, int *signal_number)
{
    volatile drl_status status = DRL_OK;
    *signal_number = sigsetjmp(crashed, 1);
    if (*signal_number) return DRL_OK;
    alarm(60);
    status = call(a);
    alarm(0);
    return status;
}
#else
static void catch_signals(void) { }
static drl_status guarded(call_fn call, const arg *a, int *signal_number)
{
    *signal_number = 0;
    return call(a);
}
#endif

/* Scratch may be used up before a NaN is found in the data. */
static int scratch(size_t i)
{
    return (i >= offsetof(struct world, work) && i < offsetof(struct world, work) + sizeof w.work) ||
           (i >= offsetof(struct world, doubles) && i < offsetof(struct world, doubles) + sizeof w.doubles);
}

/* The call with one thing spoiled. must: it has to be refused; otherwise it only has to return. sentence:
 * refusing tells why. */
static void spoiled(const row *r, const arg *a, const char *what, int must, int sentence)
{
    static struct world before;
    uint32_t was;
    long live = heap.live;
    int number;
    drl_status status;
    drl_ctx_clear(ctx);
    was = state();
    before = w;
    status = guarded(r->call, a, &number);
    if (number) {
        CHECK(0, "%s: %s: signal %d", r->name, what, number);
        w = before;
        return;
    }
    if (must) CHECK(status != DRL_OK, "%s accepts %s", r->name, what);
    if (status == DRL_OK) {
        results_destroy();
        w = before;
        return;
    }
    if (!r->quiet) {
        const unsigned char *p = (const unsigned char *)&before, *q = (const unsigned char *)&w;
        size_t i;
        for (i = 0; i < sizeof w && (p[i] == q[i] || scratch(i)); ++i) { }
        CHECK(i == sizeof w, "%s: %s: refused, and byte %lu of the buffers has changed", r->name, what,
              (unsigned long)i);
        if (sentence)
            CHECK(drl_ctx_status(ctx) == status && strlen(drl_ctx_message(ctx)) > 10,
                  "%s: %s: status %d, context %d, '%s'", r->name, what, (int)status, (int)drl_ctx_status(ctx),
                  drl_ctx_message(ctx));
        CHECK(state() == was, "%s: %s: refused, and an object has changed", r->name, what);
    }
    CHECK(heap.live == live, "%s: %s: refused, and %ld blocks are left", r->name, what, heap.live - live);
    w = before;
}

static void good(const row *r, const arg *a, const char *when)
{
    long live = heap.live;
    int number;
    drl_status status;
    drl_ctx_clear(ctx);
    status = guarded(r->call, a, &number);
    CHECK(!number && status == DRL_OK, "%s %s: signal %d, status %d: %s", r->name, when, number, (int)status,
          drl_ctx_message(ctx));
    results_destroy();
    CHECK(heap.live == live, "%s %s: %ld blocks are left", r->name, when, heap.live - live);
}

/* Argument i of the row: its word, without the kind. */
static int parse(const row *r, arg *a, const char *words[ARGS], char kind[ARGS])
{
    static char text_of[1024];
    char *s;
    int n = 0;
    strcpy(text_of, r->spec);
    memset(a, 0, ARGS * sizeof *a);
    for (s = strtok(text_of, " "); s; s = strtok(NULL, " "), ++n) {
        kind[n] = 'p';
        words[n] = s;
        if (s[1] == ':') {
            kind[n] = s[0];
            words[n] = s + 2;
        }
        if (kind[n] == 'n') a[n].x = number_of(words[n]);
        else a[n].p = named(words[n]);
    }
    return n;
}

/* The call with good arguments, after something that they lead to has been spoiled. */
static void spoiled_call(const row *r, const char *what, int sentence)
{
    arg a[ARGS];
    const char *words[ARGS];
    char kind[ARGS];
    parse(r, a, words, kind);
    spoiled(r, a, what, 1, sentence);
}

/* Size, alignment and presence of a tensor. */
static void spoil_tensor(const row *r, const arg *a, drl_tensor *t, const char *name)
{
    drl_tensor was = *t;
    int *side[4], i, k;
    char what[120];
    side[0] = &t->n;
    side[1] = &t->h;
    side[2] = &t->w;
    side[3] = &t->c;
    t->data = NULL;
    spoiled(r, a, "a tensor without data", 1, 1);
    t->data = (float *)(void *)((char *)was.data + 1);
    snprintf(what, sizeof what, "misaligned data of tensor %s", name);
    spoiled(r, a, what, 1, 1);
    *t = was;
    for (i = 0; i < 4; ++i)
        for (k = 0; k < 3; ++k) {
            *side[i] = k == 0 ? 0 : k == 1 ? -1 : INT_MIN;
            snprintf(what, sizeof what, "side %d of tensor %s being %d", i, name, *side[i]);
            spoiled(r, a, what, 1, 1);
            *t = was;
        }
    t->n = t->h = t->w = t->c = INT_MAX;
    snprintf(what, sizeof what, "tensor %s of 2^124 elements", name);
    spoiled(r, a, what, 1, 1);
    *t = was;
    ++t->n;
    snprintf(what, sizeof what, "one more image in tensor %s", name);
    spoiled(r, a, what, 1, 1);
    *t = was;
}

static void run_row(const row *r)
{
    arg a[ARGS], was;
    const char *words[ARGS];
    char kind[ARGS], what[120];
    int n = parse(r, a, words, kind), i, k;
    good(r, a, "first");
    for (i = 0; i < n; ++i) {
        was = a[i];
        if (kind[i] == 'n') {
            const char *s = words[i];
            for (k = 0; (s = strchr(s, '!')) != NULL; ++k) {
                int must = *++s != '?';
                a[i].x = number_of(must ? s : s + 1);
                snprintf(what, sizeof what, "number %.12g as argument %d", a[i].x, i);
                spoiled(r, a, what, must, 1);
            }
        }
        else {
            if (was.p) {
                a[i].p = NULL;
                snprintf(what, sizeof what, "NULL for argument %d (%s)", i, words[i]);
                spoiled(r, a, what, kind[i] == 'p' || kind[i] == 't' || kind[i] == 'v',
                        i > 0 && r->call != call_drl_ctx_create);
            }
            if (kind[i] == 'v' || kind[i] == 'u') {
                a[i].p = (char *)was.p + 1;
                snprintf(what, sizeof what, "misaligned floats as argument %d (%s)", i, words[i]);
                spoiled(r, a, what, 1, 1);
            }
            a[i] = was;
            if (kind[i] == 't') spoil_tensor(r, a, (drl_tensor *)was.p, words[i]);
        }
        a[i] = was;
    }
    /* what is checked last stands in nobody's way: the good call still works */
    make_sampler();
    make_trainer();
    mnet = drl_model_net(model);
    parse(r, a, words, kind);
    good(r, a, "again");
}

static const row *row_of(const char *name)
{
    const row *r = rows;
    while (r->name && strcmp(r->name, name)) ++r;
    if (!r->name) {
        printf("no row %s\n", name);
        exit(3);
    }
    return r;
}

/* --- fields of structs ---------------------------------------------------------------------------------- */

/* A field that a good call leads to, and values of which each makes it a bad one. Types: i, f, d, z as in
 * C's int, float, double, size_t; p: a pointer, to be NULL; v: floats, to be NULL and to be misaligned; x: a
 * pointer that may not be there; m: floats that need not be there, to be misaligned; a: half of a pair, the
 * allocator. */
typedef struct field {
    const char *function, *name;
    void *at;
    size_t size;
    char type;
    const char *bad;
} field;
#define FIELD(function, member, type, bad) \
    { #function, #member, (void *)&w.member, sizeof w.member, type, bad },

static const field field_list[] = {
    FIELD(drl_ctx_create, cd.threads, 'i', "-1!65!max!min")
    FIELD(drl_ctx_create, cd.isa, 'i', "-1!99")
    FIELD(drl_ctx_create, cd.memory_size, 'z', "100")
    FIELD(drl_ctx_create, cd.allocator.alloc_fn, 'a', "1")
    FIELD(drl_conv2d_forward, conv.in_channels, 'i', "0!-1!3!max!min")
    FIELD(drl_conv2d_forward, conv.out_channels, 'i', "0!-1!4!max!min")
    FIELD(drl_conv2d_forward, conv.kernel, 'i', "-1!2!5!max")
    FIELD(drl_conv2d_input_grad, conv.in_channels, 'i', "0!-1!3!max")
    FIELD(drl_conv2d_param_grad, conv.out_channels, 'i', "0!-1!4!max")
    FIELD(drl_conv2d_packed_count, conv.in_channels, 'i', "0!-1!min")
    FIELD(drl_conv2d_packed_count, conv.out_channels, 'i', "0!-1!min")
    FIELD(drl_conv2d_packed_count, conv.kernel, 'i', "2!-1!4")
    FIELD(drl_conv2d_pack, conv.in_channels, 'i', "0!-1!min")
    FIELD(drl_conv2d_pack, conv.kernel, 'i', "2!-1!4")
    FIELD(drl_conv2d_work_count, conv.in_channels, 'i', "0!-1")
    FIELD(drl_conv2d_work_count, conv.kernel, 'i', "2")
    FIELD(drl_array_to_float, array.rank, 'i', "-1!9!max")
    FIELD(drl_array_to_float, array.dtype, 'i', "-1!99")
    FIELD(drl_array_to_float, array.bytes, 'z', "0!23!-1")
    FIELD(drl_array_to_float, array.data, 'p', "0")
    FIELD(drl_array_to_float, array.shape[0], 'z', "-1!3!1")
    FIELD(drl_array_count, array.rank, 'i', "-1!9")
    FIELD(drl_safetensors_write_memory, array.rank, 'i', "-1!9")
    FIELD(drl_safetensors_write_memory, array.dtype, 'i', "-1!99")
    FIELD(drl_safetensors_write_memory, array.bytes, 'z', "0!23!-1")
    FIELD(drl_safetensors_write_memory, array.name, 'p', "0")
    FIELD(drl_safetensors_write_memory, array.data, 'p', "0")
    FIELD(drl_safetensors_write_memory, st_desc.arrays, 'p', "0")
    FIELD(drl_safetensors_write_memory, st_desc.meta_count, 'z', "1!-1")
    FIELD(drl_safetensors_write_file, array.bytes, 'z', "0!23!-1")
    FIELD(drl_npy_write_memory, array.dtype, 'i', "-1!99!3")
    FIELD(drl_npy_write_memory, array.bytes, 'z', "0!23!-1")
    FIELD(drl_npy_write_file, array.data, 'p', "0")
    FIELD(drl_npy_write_memory, array.rank, 'i', "-1!9")
    FIELD(drl_dataset_parse, blob.data, 'p', "0")
    FIELD(drl_dataset_parse, blob.bytes, 'z', "0!1!19")
    FIELD(drl_dataset_load, paths[0], 'p', "0")
    FIELD(drl_dataset_parse, ds_desc.height, 'i', "-1!min!3!max")
    FIELD(drl_dataset_parse, ds_desc.width, 'i', "-1!min!3!max")
    FIELD(drl_dataset_parse, ds_desc.channels, 'i', "-1!3!5!max")
    FIELD(drl_dataset_parse, ds_desc.low, 'd', "1!nan!inf!-inf")
    FIELD(drl_dataset_parse, ds_desc.high, 'd', "-1!96!nan!inf!-inf")
    FIELD(drl_dataset_parse, ds_desc.coarse_labels, 'i', "1!-1")
    FIELD(drl_dataset_parse, ds_desc.tile_height, 'i', "1!-1!min!max")
    FIELD(drl_dataset_parse, ds_desc.tile_width, 'i', "1!-1!min!max")
    FIELD(drl_dataset_load, ds_desc.height, 'i', "-1!3")
    FIELD(drl_vectors_parse, csv.data, 'p', "0")
    FIELD(drl_vectors_parse, csv.bytes, 'z', "0!2!6")
    FIELD(drl_vectors_parse, vec_desc.size, 'i', "-1!3!max!min")
    FIELD(drl_vectors_parse, vec_desc.normal, 'i', "-1!3!max")
    FIELD(drl_vectors_load, csv_paths[0], 'p', "0")
    FIELD(drl_vectors_load, vec_desc.size, 'i', "1")
    FIELD(drl_vectors_batch, vectors.values, 'p', "0")
    FIELD(drl_vectors_batch, vectors.count, 'i', "0!-1")
    FIELD(drl_vectors_batch, vectors.size, 'i', "0!-1")
    FIELD(drl_dataset_copy, ds.count, 'i', "0!-1!min")
    FIELD(drl_dataset_copy, ds.height, 'i', "0!-1!min")
    FIELD(drl_dataset_copy, ds.width, 'i', "0!-1")
    FIELD(drl_dataset_copy, ds.channels, 'i', "0!-1!5!max")
    FIELD(drl_dataset_copy, ds.classes, 'i', "-1!1!min")
    FIELD(drl_dataset_copy, ds.pixels, 'p', "0")
    FIELD(drl_dataset_image, ds.pixels, 'p', "0")
    FIELD(drl_dataset_image, ds.channels, 'i', "0!5!-1")
    FIELD(drl_dataset_image, ds.height, 'i', "0!5!-1!max")
    FIELD(drl_dataset_batch, ds.labels, 'p', "0")
    FIELD(drl_dataset_batch, ds.count, 'i', "0!-1")
    FIELD(drl_dataset_batch, ds.width, 'i', "0!-1!5!max")
    FIELD(drl_net_conv2d, layer.out_channels, 'i', "0!-1!min")
    FIELD(drl_net_conv2d, layer.kernel, 'i', "2!-1!max")
    FIELD(drl_net_conv2d, layer.name, 'p', "0")
    FIELD(drl_net_conv2d, layer.spectral, 'i', "-1!3")
    FIELD(drl_net_conv2d, layer.init_scale, 'f', "nan!inf")
    FIELD(drl_net_create, net_desc.batch, 'i', "-1!max!min")
    FIELD(drl_net_create, net_desc.modes, 'i', "-1!8!max")
    FIELD(drl_net_size, net_desc.batch, 'i', "-1!min")
    FIELD(drl_net_forward, batch.n, 'i', "0!-1!3!max!min")
    FIELD(drl_net_forward, batch.x, 'v', "0")
    FIELD(drl_net_forward, batch.level, 'v', "0")
    FIELD(drl_net_input_grad, batch.n, 'i', "0!-1!3!max")
    FIELD(drl_net_input_grad, batch.x, 'v', "0")
    FIELD(drl_net_train_forward, batch.n, 'i', "0!-1!3")
    FIELD(drl_net_train_forward, batch.x, 'v', "0")
    FIELD(drl_net_train_forward, batch.level, 'v', "0")
    FIELD(drl_schedule_scale, schedule.levels, 'i', "0!-1")
    FIELD(drl_schedule_step, schedule.s, 'p', "0")
    FIELD(drl_schedule_step, schedule.sbar, 'p', "0")
    FIELD(drl_schedule_scale, schedule.a, 'p', "0")
    FIELD(drl_mixture_energy, mixture.schedule, 'p', "0")
    FIELD(drl_mixture_energy, mixture.size, 'z', "0")
    FIELD(drl_mixture_energy, mixture.components, 'i', "0!-1")
    FIELD(drl_mixture_energy, mixture.weight, 'p', "0")
    FIELD(drl_mixture_energy, mixture.mean, 'p', "0")
    FIELD(drl_mixture_energy, mixture.variance, 'p', "0")
    FIELD(drl_sum_create, term[0].weight, 'f', "nan!inf!-inf")
    FIELD(drl_sum_create, term[1].energy.eval, 'p', "0")
    FIELD(drl_sum_create, term[1].energy.size, 'z', "0!7!-1")
    FIELD(drl_sum_create, term[1].energy.batch, 'i', "0!-1!min")
    FIELD(drl_sampler_create_energy, energy.eval, 'p', "0")
    FIELD(drl_sampler_create_energy, energy.size, 'z', "0!-1!4611686018427387904")
    FIELD(drl_sampler_create_energy, energy.batch, 'i', "0!-1!min")
    FIELD(drl_sampler_create_energy, schedule.levels, 'i', "0!-1!min")
    FIELD(drl_sampler_create_energy, schedule.a, 'p', "0")
    FIELD(drl_sampler_create_energy, schedule.s, 'p', "0")
    FIELD(drl_sampler_create_energy, schedule.abar, 'p', "0")
    FIELD(drl_sampler_create_energy, schedule.sbar, 'p', "0")
    FIELD(drl_sampler_create_energy, schedule.b2, 'd', "nan!inf!-1!0")
    FIELD(drl_sampler_create_energy, schedule_memory[1], 'd', "nan!inf")
    FIELD(drl_sampler_create_energy, how_energy.count, 'i', "-1!min!max")
    FIELD(drl_sampler_create_energy, how_energy.first, 'i', "-1!max!min")
    FIELD(drl_sampler_create_energy, how_energy.steps, 'i', "0!max")
    FIELD(drl_sampler_create_energy, how_energy.b2, 'd', "nan!inf!-1")
    FIELD(drl_sampler_create_energy, how_energy.noise_scale, 'f', "nan!inf!-1")
    FIELD(drl_sampler_create_energy, how_energy.from_level, 'i', "-1!1!4!max")
    FIELD(drl_sampler_create_energy, how_energy.guidance, 'f', "nan!inf!-inf")
    FIELD(drl_sampler_create_energy, how_energy.guidance_from, 'i', "-1!max!min")
    FIELD(drl_sampler_create_energy, how_energy.guidance_to, 'i', "-1!max!min")
    FIELD(drl_sampler_create_energy, how_energy.denoise, 'f', "nan!inf")
    FIELD(drl_sampler_create_energy, how_energy.resample_count, 'i', "-1!1!max")
    FIELD(drl_sampler_create_energy, how_energy.known, 'x', "1")
    FIELD(drl_sampler_create_energy, how_energy.mask, 'x', "1")
    FIELD(drl_sampler_create_energy, how_energy.start, 'm', "1")
    FIELD(drl_sampler_create_energy, how_energy.energy, 'x', "1")
    FIELD(drl_sampler_create, how.count, 'i', "-1!min!max")
    FIELD(drl_sampler_create, how.steps, 'i', "max")
    FIELD(drl_sampler_create, how.b2, 'd', "nan!inf!-1")
    FIELD(drl_sampler_create, how.noise_scale, 'f', "nan!inf!-1")
    FIELD(drl_sampler_create, how.guidance, 'f', "nan!inf")
    FIELD(drl_sampler_create, how.start, 'm', "1")
    FIELD(drl_sampler_create, label[1], 'i', "-1!3!max!min")
    FIELD(drl_sample, how.count, 'i', "-1!min!max")
    FIELD(drl_sample, how.first, 'i', "-1!max")
    FIELD(drl_sample, label[0], 'i', "-1!3!max!min")
    FIELD(drl_sample, how.from_level, 'i', "-1!1!4")
    FIELD(drl_model_create, md.height, 'i', "-1!65537!max!min!6")
    FIELD(drl_model_create, md.width, 'i', "-1!65537!max!min!3")
    FIELD(drl_model_create, md.channels, 'i', "-1!65537!max")
    FIELD(drl_model_create, md.base, 'i', "-4!2!5!65538!max")
    FIELD(drl_model_create, md.blocks, 'i', "-1!4097!max")
    FIELD(drl_model_create, md.resolutions, 'i', "-1!9!4!max!min")
    FIELD(drl_model_create, md.mult[0], 'i', "-1!65!max!min")
    FIELD(drl_model_create, md.levels, 'i', "-1!1!501!max")
    FIELD(drl_model_create, md.steps, 'i', "65536!max")
    FIELD(drl_model_create, md.b2, 'd', "nan!inf!-1")
    FIELD(drl_model_create, md.noise_scale, 'f', "nan!inf!-1")
    FIELD(drl_model_create, md.batch, 'i', "-1!max!min")
    FIELD(drl_model_create, md.form, 'i', "-1!2!max")
    FIELD(drl_model_create, md.initializer, 'i', "2!5!65538!max")
    FIELD(drl_model_create, md.initializer_blocks, 'i', "-1!65!max")
    FIELD(drl_model_create, md.classes, 'i', "-1!65536!max!min")
    FIELD(drl_model_size, md.b2, 'd', "nan!inf!-1")
    FIELD(drl_model_size, md.base, 'i', "-4!2!5!max")
    FIELD(drl_model_load_memory, md.batch, 'i', "-1!min!max")
    FIELD(drl_model_score, label[1], 'i', "-1!3!max!min")
    FIELD(drl_train, run.seconds, 'd', "nan!inf!-1!1")
    FIELD(drl_train, run.fall, 'd', "nan!inf!1.5")
    FIELD(drl_trainer_create, td.batch, 'i', "-1!3!max!min")
    FIELD(drl_trainer_create, td.learning_rate, 'f', "nan!inf!-1!1")
    FIELD(drl_trainer_create, td.beta1, 'f', "nan!inf!1")
    FIELD(drl_trainer_create, td.beta2, 'f', "nan!inf!1")
    FIELD(drl_trainer_create, td.ema, 'f', "nan!inf!1")
    FIELD(drl_trainer_create, td.clip, 'f', "nan!inf")
    FIELD(drl_trainer_create, td.steps, 'i', "4001!max")
    FIELD(drl_trainer_create, td.data_noise, 'f', "nan!inf!1")
    FIELD(drl_trainer_create, td.objective, 'i', "2!3!max!min")
    FIELD(drl_model_create, md.schedule, 'i', "5!max!min")
    FIELD(drl_trainer_create, td.initializer_rate, 'f', "nan!inf!-1!1")
    FIELD(drl_trainer_create, td.label_drop, 'f', "nan!inf!1.5")
    FIELD(drl_trainer_create, td.initializer_data, 'f', "nan!inf!1.5")
    FIELD(drl_model_create, md.initializer_form, 'i', "3!max!min")
    FIELD(drl_model_create, md.norm_channels, 'i', "-1!max!min")
    FIELD(drl_trainer_create, td.shift, 'i', "-1!max!min")
    FIELD(drl_trainer_size, td.shift, 'i', "-1!max!min")
    FIELD(drl_trainer_create, td.palette, 'i', "1!max")
    FIELD(drl_trainer_create, td.groups, 'i', "-1!3!max!min")
    FIELD(drl_trainer_create, td.ranks, 'i', "-1!2!3!max!min")        /* 2: without `reduce` */
    FIELD(drl_trainer_create, td.rank, 'i', "-1!1!max!min")
    FIELD(drl_trainer_size, td.batch, 'i', "-1!3!max")
    FIELD(drl_trainer_size, td.learning_rate, 'f', "nan!-1")
    FIELD(drl_trainer_step, label[0], 'i', "-1!3!max!min")
    FIELD(drl_trainer_step, x[7], 'f', "nan!inf!-inf")
    FIELD(drl_mcmc_create, energy.eval, 'p', "0")
    FIELD(drl_mcmc_create, energy.size, 'z', "0!-1!4611686018427387904")
    FIELD(drl_mcmc_create, energy.batch, 'i', "0!-1!min")
    FIELD(drl_mcmc_create, chains.count, 'i', "-1!min!max")
    FIELD(drl_mcmc_create, chains.first, 'i', "-1!max!min")
    FIELD(drl_mcmc_create, chains.kernel, 'i', "-1!0!3!max")
    FIELD(drl_mcmc_create, chains.level, 'i', "-1!2!3!max!min")
    FIELD(drl_mcmc_create, chains.schedule, 'p', "0")
    FIELD(drl_mcmc_create, chains.start, 'm', "1")
    FIELD(drl_mcmc_create, chains.x_next, 'm', "1")
    FIELD(drl_mcmc_create, chains.step, 'd', "nan!inf!-1")
    FIELD(drl_mcmc_create, chains.noise_scale, 'd', "nan!inf!-1")
    FIELD(drl_mcmc_create, chains.leapfrog, 'i', "-1!min")
    FIELD(drl_mcmc_create, chains.warmup, 'i', "-1!min")
    FIELD(drl_mcmc_create, chains.accept, 'd', "nan!inf!-1!1")
    FIELD(drl_mcmc_create, schedule.a, 'p', "0")
    FIELD(drl_mcmc_create, schedule.b2, 'd', "nan!0")
    FIELD(drl_mcmc_create, points[7], 'f', "nan!inf!-inf")
    FIELD(drl_mcmc_diagnose, trace[3], 'd', "nan!inf!-inf")
    FIELD(drl_ais_create, energy.eval, 'p', "0")
    FIELD(drl_ais_create, energy.size, 'z', "0!-1!4611686018427387904")
    FIELD(drl_ais_create, energy.batch, 'i', "0!-1!min")
    FIELD(drl_ais_create, path.count, 'i', "-1!min!max")
    FIELD(drl_ais_create, path.level, 'i', "-1!min")
    FIELD(drl_ais_create, path.steps, 'i', "-1!1!min!max")
    FIELD(drl_ais_create, path.moves, 'i', "-1!min!max")
    FIELD(drl_ais_create, path.leapfrog, 'i', "-1!min")
    FIELD(drl_ais_create, path.accept, 'd', "nan!inf!-1!1")
    FIELD(drl_ais_create, path.step, 'd', "nan!inf!-1")
    FIELD(drl_ais_create, path.pilot, 'i', "-1!3!min!max")
    FIELD(drl_ais_create, path.fit, 'x', "1")
    FIELD(drl_ais_create, path.mean, 'm', "1")
    FIELD(drl_ais_create, path.variance, 'm', "1")
    FIELD(drl_ais_create, path.fit, 'm', "1")
    FIELD(drl_ais_create, path.start, 'm', "1")
    FIELD(drl_ais_create, beta[0], 'd', "nan!inf!-1!0.1")
    FIELD(drl_ais_create, beta[1], 'd', "nan!inf!0!0.9")
    FIELD(drl_ais_create, beta[3], 'd', "nan!inf!0.9!2")
    FIELD(drl_ais_create, deviations[1], 'f', "nan!inf!0!-1")
    FIELD(drl_ais_create, points[17], 'f', "nan!inf!-inf")
    FIELD(drl_log_likelihood, energy.eval, 'p', "0")
    FIELD(drl_log_likelihood, energy.size, 'z', "0")
    FIELD(drl_log_likelihood, energy.batch, 'i', "0!-1!min")
    FIELD(drl_log_likelihood, schedule.a, 'p', "0")
    FIELD(drl_grid_evaluate, plane.eval, 'p', "0")
    FIELD(drl_grid_evaluate, plane.size, 'z', "0!1!3!-1")
    FIELD(drl_grid_evaluate, plane.batch, 'i', "0!-1!min")
    FIELD(drl_grid_evaluate, grid.nx, 'i', "0!-1!max!min")
    FIELD(drl_grid_evaluate, grid.ny, 'i', "0!-1!max!min")
    FIELD(drl_grid_evaluate, grid.x1, 'd', "nan!inf!0!-1")
    FIELD(drl_grid_evaluate, grid.y0, 'd', "nan!inf!-inf!1")
    FIELD(drl_grid_log_z, grid.x0, 'd', "nan!-inf!1")
    FIELD(drl_grid_log_z, grid.nx, 'i', "0!-1!max!min")
    FIELD(drl_grid_log_z, grid_p[3], 'd', "nan!inf!-inf")
    FIELD(drl_grid_kl, grid.ny, 'i', "0!-1!max!min")
    FIELD(drl_grid_kl, grid_p[3], 'd', "nan!inf!-1")
    FIELD(drl_frechet, x[3], 'f', "nan!inf")
    FIELD(drl_auroc, x[3], 'f', "nan")
    FIELD(drl_inception_score, prob[3], 'f', "nan!inf!-0.1!2")
};

/* Sets a field to the first of these bad values. */
static void set_field(const field *f, const char *bad)
{
    double x = number_of(bad);
    int i = (int)(x > -3e9 && x < 3e9 ? x : 0);
    float v = (float)x;
    size_t z = !(x >= 0) ? SIZE_MAX : x > 1e18 ? SIZE_MAX / 4 : (size_t)x;
    void *p = f->type == 'x' ? w.x : f->type == 'm' ? (void *)((char *)w.x + 1) : NULL;
    switch (f->type) {
    case 'i':                               /* an enumeration may be a byte */
        if (f->size == 1) *(unsigned char *)f->at = (unsigned char)(i < 0 || i > 255 ? 255 : i);
        else memcpy(f->at, &i, sizeof i);
        break;
    case 'f': memcpy(f->at, &v, sizeof v); break;
    case 'd': memcpy(f->at, &x, sizeof x); break;
    case 'z': memcpy(f->at, &z, sizeof z); break;
    case 'a': w.cd.allocator.alloc_fn = check_alloc; break;
    default: memcpy(f->at, &p, sizeof p); break;
    }
}

static void fields(void)
{
    size_t i;
    for (i = 0; i < sizeof field_list / sizeof field_list[0]; ++i) {
        const field *f = &field_list[i];
        const row *r = row_of(f->function);
        const char *s;
        for (s = f->bad; s; s = strchr(s, '!') ? strchr(s, '!') + 1 : NULL) {
            static struct world good_world;
            char what[120];
            void *p;
            good_world = w;
            set_field(f, s);
            snprintf(what, sizeof what, "%s = %.20s", f->name, s);
            spoiled_call(r, what, strcmp(r->name, "drl_ctx_create") != 0);
            w = good_world;
            if (f->type != 'v') continue;
            memcpy(&p, f->at, sizeof p);
            p = (char *)p + 1;
            memcpy(f->at, &p, sizeof p);
            snprintf(what, sizeof what, "%s misaligned", f->name);
            spoiled_call(r, what, 1);
            w = good_world;
        }
    }
}

/* --- buffers that may not be shared --------------------------------------------------------------------- */
static void shared(const char *function, const drl_tensor *a, drl_tensor *b, size_t apart)
{
    float *was = b->data;
    char what[120];
    b->data = a->data + apart;
    snprintf(what, sizeof what, "source and result %lu floats apart", (unsigned long)apart);
    spoiled_call(row_of(function), what, 1);
    b->data = was;
}

static void aliases(void)
{
    size_t apart;
    for (apart = 0; apart < 8; apart += 7) {
        shared("drl_conv2d_forward", &w.tx, &w.tout, apart);
        shared("drl_conv2d_input_grad", &w.tout, &w.ty, apart);
    }
}

/* --- every declaration has a row ------------------------------------------------------------------------ */
static void declarations(void)
{
    FILE *f = fopen("drl.h", "r");
    static char line[4096];
    const row *r;
    int found = 0, end = 0;
    if (!f) f = fopen("../drl.h", "r");
    CHECK(f != NULL, "drl.h is neither here nor above: run this from the repository root");
    if (!f) return;
    while (!end && fgets(line, sizeof line, f)) {
        char *p, *stop;
        end = strstr(line, "Readers of the interface can stop here") != NULL;
        if (strncmp(line, "DRL_API ", 8)) continue;
        stop = strchr(line, '(');
        if (!stop) continue;
        p = stop;
        while (p > line && (isalnum((unsigned char)p[-1]) || p[-1] == '_')) --p;
        *stop = 0;
        for (r = rows; r->name && strcmp(r->name, p); ++r) { }
        CHECK(r->name != NULL, "%s is declared, and no row tests it", p);
        ++found;
    }
    fclose(f);
    for (r = rows; r->name; ++r) { }
    CHECK(end && found == r - rows, "%d declarations, %d rows", found, (int)(r - rows));
}

int main(int argc, char **argv)
{
    const row *r;
    drl_array a;
    for (r = rows; argc == 2 && r->name && !strstr(r->name, argv[1]); ++r) { }
    if (argc > 2 || (argc == 2 && !r->name)) {
        printf("%s: no function has this in its name; test_api [PART OF A NAME]\n", argv[argc - 1]);
        return 2;
    }
    memset(&heap, 0, sizeof heap);
    make_world();
    mnet = drl_model_net(model);
    file_copy = (unsigned char *)malloc(model_size);
    saved = (unsigned char *)malloc(state_size);
    bytes_of_state = (unsigned char *)malloc(state_size);
    chains_saved = (unsigned char *)malloc(chains_size);
    chains_bytes = (unsigned char *)malloc(chains_size);
    CHECK_OK(ctx, drl_mcmc_save(mcmc, chains_saved, chains_size, &chains_size));
    CHECK_OK(ctx, drl_sampler_save(sampler, saved, state_size, &state_size));
    a = drl_array_of("", DRL_DTYPE_F32, 2, shape, w.x);
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, NULL, 0, &npy_size));
    CHECK_OK(ctx, drl_npy_write_memory(ctx, &a, npy, sizeof npy, &npy_size));
    catch_signals();
    declarations();
    for (r = rows; r->name; ++r) if (argc < 2 || strstr(r->name, argv[1])) run_row(r);
    if (argc < 2) {
        fields();
        aliases();
    }
    drl_safetensors_close(st);
    drl_safetensors_close(weights);
    drl_sum_destroy(sum);
    drl_ais_destroy(ais);
    drl_mcmc_destroy(mcmc);
    drl_sampler_destroy(sampler);
    drl_trainer_destroy(trainer);
    drl_scorer_destroy(scorer);
    drl_model_destroy(model);
    drl_net_destroy(net);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    remove(good_path);
    remove(model_path);
    remove(checkpoint_path);
    remove(data_path);
    remove(csv_path);
    remove(new_path);
    free(checkpoint);
    free(checkpoint_copy);
    free(good_path);
    free(model_path);
    free(checkpoint_path);
    free(data_path);
    free(csv_path);
    free(new_path);
    free(model_file);
    free(tensors);
    free(file_copy);
    free(saved);
    free(bytes_of_state);
    free(chains_saved);
    free(chains_bytes);
    return check_report("test_api");
}
