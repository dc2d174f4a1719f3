/* parity.c - compares drl.h with recorded reference files: the network, its gradients, the training loss,
 * chains and samples.
 *
 *     cc -O2 tests/parity.c -o parity -lm
 *     ./parity [--isa NAME] [--all] FILE...
 *
 * A file holds weights, inputs, noise, and what other code made of them. One of the DRL kind has the metadata
 * "base", "blocks" and "mult"; one of the CDRL kind "ebm_dim", "ebm_blocks", "unet_dim", "unet_blocks",
 * "classes", "steps" and "guide". Every other size is taken from the shapes of its tensors. It is compared on
 * every instruction set of this machine, or on the named one. Each compared quantity is printed with its
 * relative error and its bound; of the single gradient tensors the worst one, or with --all each. Exits with
 * 0 when everything is within bounds. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

/* Relative errors that are fair to an implementation in float32, which rounds at 6e-8: sums of some thousand
 * terms lose two or three digits, chains of tens of steps some more. */
#define BOUND_SCHEDULE  1e-6
#define BOUND_LOGSNR    5e-8        /* the log-SNR of CDRL's schedule: all but a last bit or two */
#define BOUND_VALUE     5e-5        /* energies, losses, a gradient as one vector */
#define BOUND_WHOLE     3e-8        /* a single gradient: BOUND_VALUE of itself and this of all gradients */
#define BOUND_CHAIN     1e-4        /* one image at the end of a chain */
#define BOUND_KINK      3e-2        /* one image whose chain a leaky ReLU bends: see chain_compare */
#define KINK_RUNS       32

static int print_all = 0;

typedef struct parity {
    const char *file;               /* without folders */
    drl_ctx *ctx;
    drl_safetensors *st;
    drl_model *model;
    drl_net *net;
    const drl_schedule *schedule;
    int h, w, c, levels;
    int classes, steps;             /* CDRL: labels 1..classes (0: none), and K */
    double guide;                   /* CDRL: weight of the guidance */
    size_t size;                    /* of an image */
} parity;

/* -- printing and comparing -- */

static const char *set_of(const parity *p) { return p->ctx ? drl_isa_name(drl_ctx_isa(p->ctx)) : "-"; }

static void line(const parity *p, const char *what, double error, double bound, const char *note)
{
    int ok = error <= bound;
    if (ok) ++check_passed;
    else ++check_failed;
    printf("%s %-8s %-47s %9.2e  bound %7.1e  %s%s\n", p->file, set_of(p), what, error, bound,
           ok ? "ok" : "FAILED", note);
}

static void problem(const parity *p, const char *what, const char *sentence)
{
    ++check_failed;
    printf("%s %-8s %-47s FAILED: %s\n", p->file, set_of(p), what, sentence);
}

/* 1 when the call succeeded; else prints the context's sentence. */
static int works(const parity *p, const char *what, drl_status status)
{
    if (status != DRL_OK) problem(p, what, drl_ctx_message(p->ctx));
    return status == DRL_OK;
}

/* Norm of a - b, or of a where b is NULL; infinite when a number is none. */
static double norm(const float *a, const float *b, size_t n)
{
    double sum = 0;
    size_t i;
    for (i = 0; i < n; ++i) {
        double d = (double)a[i] - (b ? (double)b[i] : 0.0);
        sum += d * d;
    }
    return sum == sum ? sqrt(sum) : HUGE_VAL;
}

/* -- memory: a function gives back all that it took since held was `mark` -- */

static void *holding[256];
static int held = 0;

static void *room(size_t bytes)
{
    void *p = malloc(bytes + 1);
    if (!p || held == (int)(sizeof holding / sizeof holding[0])) {
        printf("parity: out of memory\n");
        exit(3);
    }
    holding[held++] = p;
    return p;
}

static float *floats(size_t n) { return (float *)room(n * sizeof(float)); }

static void release(int mark)
{
    while (held > mark) free(holding[--held]);
}

/* -- tensors of the file; NULL, and a line about it, where one is missing or does not fit -- */

static const drl_array *find(const parity *p, const char *name, int rank)
{
    const drl_array *a = drl_safetensors_find(p->st, name);
    if (!a) {
        problem(p, name, "the file has no such tensor");
        return NULL;
    }
    if (a->rank == rank && drl_array_count(a)) return a;
    problem(p, name, "not the expected number of axes, or empty");
    return NULL;
}

static float *floats_of(const parity *p, const drl_array *a)
{
    float *out = floats(drl_array_count(a));
    if (drl_array_to_float(p->ctx, a, out) == DRL_OK) return out;
    problem(p, a->name, "cannot be read as floats");
    return NULL;
}

/* A vector of `count` floats. */
static float *vector(const parity *p, const char *name, size_t count)
{
    const drl_array *a = find(p, name, 1);
    if (!a) return NULL;
    if (drl_array_count(a) == count) return floats_of(p, a);
    problem(p, name, "its length does not fit the other tensors");
    return NULL;
}

/* Levels as ints, each 0 .. levels - 1; *count becomes the batch. With `below` 1, the numbers in the file are
 * those of the level above. */
static int *level_vector(const parity *p, const char *name, int below, int *count)
{
    const drl_array *a = find(p, name, 1);
    float *v = a ? floats_of(p, a) : NULL;
    int *t, i;
    if (!v) return NULL;
    *count = (int)drl_array_count(a);
    t = (int *)room((size_t)*count * sizeof *t);
    for (i = 0; i < *count; ++i) {
        float level = v[i] - (float)below;
        if (!(level >= 0 && level < (float)p->levels)) {
            problem(p, name, "a level is out of range");
            return NULL;
        }
        t[i] = (int)level;
    }
    return t;
}

/* Images [..., n, C, H, W] with `more` leading axes as NHWC; *lead becomes the product of the leading
 * axes. */
static float *images(const parity *p, const char *name, int more, int n, size_t *lead)
{
    const drl_array *a = find(p, name, 4 + more);
    size_t area = (size_t)p->h * (size_t)p->w, channels = (size_t)p->c, outer = 1, i, at;
    const size_t shape[4] = { (size_t)n, channels, (size_t)p->h, (size_t)p->w };
    float *from, *to;
    int mark, k;
    if (!a) return NULL;
    if (memcmp(a->shape + more, shape, sizeof shape)) {
        problem(p, name, "its shape does not fit the other tensors");
        return NULL;
    }
    for (k = 0; k < more; ++k) outer *= a->shape[k];
    if (lead) *lead = outer;
    to = floats(drl_array_count(a));
    mark = held;
    from = floats_of(p, a);
    if (!from) return NULL;
    for (i = 0; i < outer * (size_t)n; ++i) {
        const float *planes = from + i * p->size;
        float *pixels = to + i * p->size;
        for (at = 0; at < p->size; ++at) pixels[at % area * channels + at / area] = planes[at];
    }
    release(mark);
    return to;
}

/* How many tensors have a name that begins with `prefix`. */
static size_t tensors_named(const parity *p, const char *prefix)
{
    const drl_safetensors_desc *all = drl_safetensors_contents(p->st);
    size_t i, n = 0;
    for (i = 0; i < all->count; ++i) n += !strncmp(all->arrays[i].name, prefix, strlen(prefix));
    return n;
}

/* -- recorded noise -- */

/* Draw d of image i lies at draws[d][i]; with `start`, draw 0 at start[i] and draw d at draws[d - 1][i]. */
typedef struct recorded { const float *start, *draws; size_t size; int n; } recorded;

static void recorded_fill(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    const recorded *r = (const recorded *)user;
    const float *from = r->start;
    (void)ctx;
    if (!r->start || draw > 0) from = r->draws + (size_t)(draw - (r->start != NULL)) * (size_t)r->n * r->size;
    memcpy(out, from + (size_t)image * r->size, n * sizeof *out);
}

/* -- chains, image by image --
 * In correct code, too, a leaky ReLU within rounding of its kink may fall on the other side and bend the rest
 * of that image's chain. An image above BOUND_CHAIN passes, marked as a kink, only if rounding is shown to be
 * the reason: of at most KINK_RUNS runs with every weight moved by about one unit in the last place, one
 * comes within BOUND_CHAIN of the record, which a mistake never does. */

/* Makes images first .. first + n - 1. */
typedef int (*chain_fn)(const parity *p, void *chain, int first, int n, float *out);

/* The net's weights become `weights`; with a seed, each is moved by -1, 0 or 1 units in the last place. */
static void move_weights(const parity *p, const float *weights, uint64_t seed)
{
    drl_rng rng = { seed, 0, 0 };
    float *to = drl_net_params(p->net);
    size_t i;
    for (i = 0; i < drl_net_params_size(p->net); ++i) {
        float units = seed ? (float)(drl_rng_below(&rng, 3) - 1) : 0.0f;
        to[i] = weights[i] * (1.0f + units * 1.1920929e-7f);
    }
    drl_net_refresh(p->net, 0);
}

static float *weights_copied(const parity *p)
{
    size_t n = drl_net_params_size(p->net);
    return (float *)memcpy(floats(n), drl_net_params(p->net), n * sizeof(float));
}

/* One image that is off by `error`: is a kink the reason? The line says what was tried. */
static void kink_compare(const parity *p, const char *what, chain_fn run, void *chain, int image,
                         double error, const float *record)
{
    int mark = held, agree = 0, k;
    float *moved = floats(p->size), *weights = weights_copied(p);
    double nearest = error;
    char note[120];
    for (k = 1; k <= KINK_RUNS && !agree; ++k) {
        double e;
        move_weights(p, weights, (uint64_t)k);
        if (!run(p, chain, image, 1, moved)) break;
        e = check_rel_floats(moved, record, p->size);
        agree = e <= BOUND_CHAIN;
        if (e < nearest) nearest = e;
    }
    move_weights(p, weights, 0);
    if (agree)
        snprintf(note, sizeof note, "  (a kink: run %d with weights moved by rounding agrees to %.1e)",
                 k - 1, nearest);
    else
        snprintf(note, sizeof note, "  (no kink: of %d runs with weights moved by rounding none agrees, the "
                 "nearest to %.1e)", KINK_RUNS, nearest);
    line(p, what, error, agree ? BOUND_KINK : BOUND_CHAIN, note);
    release(mark);
}

static void chain_compare(const parity *p, const char *name, chain_fn run, void *chain, int n,
                          const float *record)
{
    int mark = held, image;
    float *out = floats((size_t)n * p->size);
    char what[80];
    if (!run(p, chain, 0, n, out)) {
        problem(p, name, drl_ctx_message(p->ctx));
        n = 0;
    }
    for (image = 0; image < n; ++image) {
        const float *want = record + (size_t)image * p->size;
        double error = check_rel_floats(out + (size_t)image * p->size, want, p->size);
        int near_by = error > BOUND_CHAIN && error <= BOUND_KINK;
        snprintf(what, sizeof what, "%s image %d", name, image);
        if (near_by) kink_compare(p, what, run, chain, image, error, want);
        else line(p, what, error, BOUND_CHAIN, "");
    }
    release(mark);
}

/* -- gradients -- */

/* The recorded gradient of parameter i, "PREFIX NAME"; NULL where there is none that fits. */
static float *gradient_record(const parity *p, const char *prefix, int i)
{
    const drl_param *q = drl_net_param(p->net, i);
    const drl_array *a;
    char name[160];
    snprintf(name, sizeof name, "%s%s", prefix, q->name);
    a = find(p, name, q->rank);
    if (!a) return NULL;
    if (drl_array_count(a) == q->count) return floats_of(p, a);
    problem(p, name, "not as many elements as the parameter");
    return NULL;
}

/* The norms of every gradient's error and record, and of all records together. */
typedef struct gradient_norms { double *error, *record, whole_error, whole; } gradient_norms;

static int gradient_norms_of(const parity *p, const char *prefix, gradient_norms *g)
{
    int i, n = drl_net_param_count(p->net), complete = 1;
    g->error = (double *)room((size_t)n * sizeof *g->error);
    g->record = (double *)room((size_t)n * sizeof *g->record);
    g->whole_error = g->whole = 0;
    for (i = 0; i < n; ++i) {
        const drl_param *q = drl_net_param(p->net, i);
        int mark = held;
        float *record = gradient_record(p, prefix, i);
        if (!record) complete = 0;
        else {
            g->error[i] = norm(drl_net_grads(p->net) + q->offset, record, q->count);
            g->record[i] = norm(record, NULL, q->count);
            g->whole_error += g->error[i] * g->error[i];
            g->whole += g->record[i] * g->record[i];
        }
        release(mark);
    }
    g->whole_error = sqrt(g->whole_error);
    g->whole = sqrt(g->whole);
    return complete;
}

static double gradient_bound(const gradient_norms *g, int i)
{
    return BOUND_VALUE * g->record[i] + BOUND_WHOLE * g->whole;
}

/* The line of gradient i; relative to itself, or to the whole where its record is 0. */
static void gradient_line(const parity *p, const char *prefix, const gradient_norms *g, int i,
                          const char *note)
{
    double scale = g->record[i] > 0 ? g->record[i] : g->whole;
    char name[160];
    snprintf(name, sizeof name, "%s%s", prefix, drl_net_param(p->net, i)->name);
    line(p, name, g->error[i] / scale, gradient_bound(g, i) / scale, note);
}

/* All gradients as one vector, and each by itself. */
static void gradient_lines(const parity *p, const char *prefix, const gradient_norms *g)
{
    int i, n = drl_net_param_count(p->net), lines = 0, worst = 0;
    double worst_ratio = -1;
    char name[160], note[64];
    snprintf(name, sizeof name, "%s* as one vector", prefix);
    line(p, name, g->whole_error / g->whole, BOUND_VALUE, "");
    for (i = 0; i < n; ++i) {
        double ratio = g->error[i] / gradient_bound(g, i);
        if (!(ratio <= worst_ratio)) {
            worst_ratio = ratio;
            worst = i;
        }
        if (!print_all && ratio <= 1) continue;
        gradient_line(p, prefix, g, i, "");
        ++lines;
    }
    if (!lines) {
        snprintf(note, sizeof note, "  (the worst of %d single tensors)", n);
        gradient_line(p, prefix, g, worst, note);
        ++lines;
    }
    check_passed += n - lines;                      /* those that have no line */
}

/* The net's gradients against the recorded ones. */
static void gradient_compare(const parity *p, const char *prefix)
{
    int mark = held;
    gradient_norms g;
    if (gradient_norms_of(p, prefix, &g)) gradient_lines(p, prefix, &g);
    release(mark);
}

static int gradients_within(const parity *p, const gradient_norms *g)
{
    int i, within = 1;
    for (i = 0; i < drl_net_param_count(p->net); ++i) within = within && g->error[i] <= gradient_bound(g, i);
    return within;
}

typedef int (*gradient_fn)(const parity *p, void *user);        /* sets drl_net_grads */

/* The gradients that run makes against the recorded ones. A network of the published size has millions of
 * leaky ReLUs, some of them within rounding of their kinks, and one that falls on the other side changes
 * gradients by 1e-4 to 1e-3. As for chains, weights moved by rounding have to bring it back. */
static void gradient_compare_kinks(const parity *p, const char *prefix, gradient_fn run, void *user)
{
    int mark = held, k = 0, ok, complete = 0;
    float *weights = weights_copied(p);
    const int norms = held;
    gradient_norms g;
    for (;;) {
        ok = run(p, user);
        if (!ok) break;
        complete = gradient_norms_of(p, prefix, &g);
        if (!complete || gradients_within(p, &g) || k == KINK_RUNS) break;
        release(norms);
        move_weights(p, weights, (uint64_t)++k);
    }
    if (k) {
        move_weights(p, weights, 0);
        printf("%s %-8s %s*: a kink, compared by run %d with weights moved by rounding\n",
               p->file, set_of(p), prefix, k);
    }
    if (!ok) problem(p, prefix, drl_ctx_message(p->ctx));
    else if (complete) gradient_lines(p, prefix, &g);
    release(mark);
}

static void gradients_clear(drl_net *net)
{
    memset(drl_net_grads(net), 0, drl_net_params_size(net) * sizeof(float));
}

/* -- chains and losses of both kinds -- */

/* K steps at level t with the recorded draws; start NULL: from x_next; label NULL: none. */
typedef struct level_chain {
    const int *t, *label;
    int n, steps;
    const float *start, *x_next, *draws;
} level_chain;

/* x_neg = y_K / a_{t+1}. */
static int level_chain_run(const parity *p, void *chain, int first, int n, float *out)
{
    const level_chain *c = (const level_chain *)chain;
    int mark = held;
    size_t at = (size_t)first * p->size, count = (size_t)n * p->size, i;
    float *gradient = floats(count), *work = floats(drl__langevin_work_count(p->ctx, p->size));
    drl_energy energy = drl_model_energy(p->model);
    recorded r = { NULL, c->draws, p->size, c->n };
    drl__langevin_desc d;
    drl_status status;
    memset(&d, 0, sizeof d);
    d.energy = &energy;
    d.schedule = p->schedule;
    d.level = c->t + first;
    d.label = c->label ? c->label + first : NULL;
    d.first_image = first;
    d.steps = c->steps;
    d.noise.fill = recorded_fill;
    d.noise.user = &r;
    memcpy(out, (c->start ? c->start : c->x_next) + at, count * sizeof *out);
    status = drl__langevin(p->ctx, &d, n, out, c->x_next + at, gradient, work);
    for (i = 0; i < count; ++i) {
        double a = drl_schedule_scale(p->schedule, d.level[i / p->size]);
        out[i] = (float)((double)out[i] / a);
    }
    release(mark);
    return status == DRL_OK;
}

/* Adds the gradient of the mean of sign * f(scale_t x, t) * s_1 / s_{t+1} to those of the net; *sum becomes
 * that mean. */
static int loss_half(const parity *p, int n, const int *t, const int *label, const float *x, double sign,
                     double *sum)
{
    const drl_schedule *sc = p->schedule;
    int mark = held, i, ok;
    float *y = floats((size_t)n * p->size), *f = floats((size_t)n), *df = floats((size_t)n);
    float *level = floats((size_t)n);
    drl_batch b;
    size_t j;
    for (i = 0; i < n; ++i) {
        double scale = drl_schedule_scale(sc, t[i]);
        size_t at = (size_t)i * p->size;
        df[i] = (float)(sign * sc->s[1] / sc->s[t[i] + 1] / n);
        level[i] = drl__schedule_level(sc, t[i]);
        for (j = 0; j < p->size; ++j) y[at + j] = (float)(scale * (double)x[at + j]);
    }
    b = drl_batch_of(n, y, level);
    b.label = label;
    ok = drl_net_train_forward(p->net, &b, f) == DRL_OK && drl_net_train_backward(p->net, df) == DRL_OK;
    for (*sum = 0, i = 0; ok && i < n; ++i) *sum += sign * (double)f[i] * sc->s[1] / sc->s[t[i] + 1] / n;
    release(mark);
    return ok;
}

/* The loss of the energy: f of the negatives less f of the data; and its gradients. */
typedef struct energy_loss {
    int n;
    const int *t, *label;
    const float *x_t, *x_neg;
    double loss;                        /* result */
} energy_loss;

static int energy_loss_run(const parity *p, void *user)
{
    energy_loss *l = (energy_loss *)user;
    double of_data = 0, of_negatives = 0;
    int ok;
    gradients_clear(p->net);
    ok = loss_half(p, l->n, l->t, l->label, l->x_t, -1.0, &of_data) &&
         loss_half(p, l->n, l->t, l->label, l->x_neg, 1.0, &of_negatives);
    l->loss = of_data + of_negatives;
    drl_net_spectral_grads(p->net);
    return ok;
}

static void loss_line(const parity *p, const char *what, double loss, const float *record)
{
    float as_float = (float)loss;
    line(p, what, check_rel_floats(&as_float, record, 1), BOUND_VALUE, "");
}

/* f and df/dx of n images. With a `gradient`, which makes df/dx of some of the images, those of which a kink
 * has bent the gradient are compared one by one, as chains are. */
static void energy_compare(const parity *p, int n, const float *x, const float *level, const int *label,
                           chain_fn gradient, void *inputs)
{
    size_t count = (size_t)n * p->size;
    float *dx_record = images(p, "out.energy_grad_x", 0, n, NULL);
    float *f_record = vector(p, "out.energy", (size_t)n);
    float *f = floats((size_t)n), *dx = floats(count);
    double error;
    if (!dx_record || !f_record) return;
    if (works(p, "out.energy", drl__model_f(p->model, n, x, level, label, f, NULL)))
        line(p, "out.energy", check_rel_floats(f, f_record, (size_t)n), BOUND_VALUE, "");
    if (!works(p, "out.energy_grad_x", drl__model_f(p->model, n, x, level, label, f, dx))) return;
    line(p, "out.energy beside its gradient", check_rel_floats(f, f_record, (size_t)n), BOUND_VALUE, "");
    error = check_rel_floats(dx, dx_record, count);
    if (error <= BOUND_VALUE || !gradient) line(p, "out.energy_grad_x", error, BOUND_VALUE, "");
    else chain_compare(p, "out.energy_grad_x", gradient, inputs, n, dx_record);
}

/* -- the DRL kind -- */

static void drl_schedule_part(const parity *p)
{
    static const char *const names[4] = {
        "schedule.a", "schedule.sigma", "schedule.a_cum", "schedule.sigma_cum"
    };
    const double *ours[4];
    size_t n = (size_t)p->levels + 1;
    int k;
    ours[0] = p->schedule->a;
    ours[1] = p->schedule->s;
    ours[2] = p->schedule->abar;
    ours[3] = p->schedule->sbar;
    for (k = 0; k < 4; ++k) {
        float *record = vector(p, names[k], n);
        if (record) line(p, names[k], check_rel_l2(record, ours[k], n), BOUND_SCHEDULE, "");
    }
}

static void drl_energy_part(const parity *p)
{
    int n = 0, i;
    int *t = level_vector(p, "in.t", 0, &n);
    float *x = t ? images(p, "in.x", 0, n, NULL) : NULL, *level;
    if (!x) return;
    level = floats((size_t)n);
    for (i = 0; i < n; ++i) level[i] = (float)t[i];
    energy_compare(p, n, x, level, NULL, NULL, NULL);
}

/* x_t = abar_t x_0 + sbar_t noise and x_{t+1} = a_{t+1} x_t + s_{t+1} noise_next, each in place of its
 * noise. */
static void drl_diffuse(const parity *p, int n, const int *t, const float *x0,
                        float *noise, float *noise_next)
{
    const drl_schedule *sc = p->schedule;
    size_t j, count = (size_t)n * p->size;
    for (j = 0; j < count; ++j) {
        int i = t[j / p->size];
        noise[j] = (float)(sc->abar[i] * (double)x0[j] + sc->sbar[i] * (double)noise[j]);
        noise_next[j] = (float)(sc->a[i + 1] * (double)noise[j] + sc->s[i + 1] * (double)noise_next[j]);
    }
}

/* A step of training: chains from x_{t+1}; the loss and its gradients from the recorded negatives. */
static void drl_train_part(const parity *p)
{
    int n = 0;
    size_t steps = 0;
    int *t = level_vector(p, "train.t", 0, &n);
    float *x0 = t ? images(p, "train.x0", 0, n, NULL) : NULL;
    float *x_t = x0 ? images(p, "train.noise_xt", 0, n, NULL) : NULL;           /* noise, to begin with */
    float *x_next = x_t ? images(p, "train.noise_xt1", 0, n, NULL) : NULL;
    float *draws = x_next ? images(p, "train.noise_langevin", 1, n, &steps) : NULL;
    float *x_neg = draws ? images(p, "train.x_neg", 0, n, NULL) : NULL;
    float *loss = x_neg ? vector(p, "train.loss", 1) : NULL;
    level_chain chain;
    energy_loss both;
    if (!loss) return;
    drl_diffuse(p, n, t, x0, x_t, x_next);
    memset(&chain, 0, sizeof chain);
    chain.t = t;
    chain.n = n;
    chain.steps = (int)steps;
    chain.x_next = x_next;
    chain.draws = draws;
    chain_compare(p, "train.x_neg", level_chain_run, &chain, n, x_neg);
    memset(&both, 0, sizeof both);
    both.n = n;
    both.t = t;
    both.x_t = x_t;
    both.x_neg = x_neg;
    if (!energy_loss_run(p, &both)) {
        problem(p, "train.loss", drl_ctx_message(p->ctx));
        return;
    }
    loss_line(p, "train.loss", both.loss, loss);
    gradient_compare(p, "grad.");
}

/* Progressive sampling with the recorded x_T and draws, in a few steps of the unscaled size. */
typedef struct drl_samples { int steps; recorded noise; } drl_samples;

static int drl_samples_run(const parity *p, void *chain, int first, int n, float *out)
{
    drl_samples *s = (drl_samples *)chain;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.first = first;
    how.count = n;
    how.steps = s->steps;
    how.b2 = drl_model_schedule(p->model)->b2;      /* so fewer steps are not longer */
    how.noise_scale = 0.99f;
    how.noise.fill = recorded_fill;
    how.noise.user = &s->noise;
    return drl_sample(p->model, &how, out) == DRL_OK;
}

static void drl_sample_part(const parity *p)
{
    const drl_array *a = find(p, "sample.x_T", 4), *noise = drl_safetensors_find(p->st, "sample.noise");
    int n = a ? (int)a->shape[0] : 0;
    float *start = a ? images(p, "sample.x_T", 0, n, NULL) : NULL;
    float *draws = start ? images(p, "sample.noise", 2, n, NULL) : NULL;
    float *out = draws ? images(p, "sample.out", 0, n, NULL) : NULL;
    drl_samples s;
    if (!out) return;
    if (noise->shape[0] != (size_t)p->levels) {
        problem(p, "sample.noise", "not as many levels as the schedule");
        return;
    }
    s.steps = (int)noise->shape[1];
    s.noise.start = start;
    s.noise.draws = draws;
    s.noise.size = p->size;
    s.noise.n = n;
    chain_compare(p, "sample.out", drl_samples_run, &s, n, out);
}

/* -- the CDRL kind -- */

/* What the nets are given: images, the level values of their log-SNR, and labels. */
typedef struct cdrl_inputs { int n; float *x, *level; int *label; } cdrl_inputs;

static int cdrl_inputs_read(const parity *p, cdrl_inputs *in)
{
    const drl_array *l = find(p, "in.logsnr", 1);
    float *label = NULL;
    int i;
    memset(in, 0, sizeof *in);
    if (!l) return 0;
    in->n = (int)drl_array_count(l);
    in->level = floats_of(p, l);
    in->x = images(p, "in.x", 0, in->n, NULL);
    if (!in->level || !in->x) return 0;
    for (i = 0; i < in->n; ++i) in->level[i] = drl__level_of_logsnr(in->level[i]);
    if (!p->classes) return 1;
    label = vector(p, "in.label", (size_t)in->n);
    if (!label) return 0;
    in->label = (int *)room((size_t)in->n * sizeof *in->label);
    for (i = 0; i < in->n; ++i) in->label[i] = (int)label[i];
    return 1;
}

static drl_batch cdrl_batch(const cdrl_inputs *in)
{
    drl_batch b = drl_batch_of(in->n, in->x, in->level);
    b.label = in->label;
    return b;
}

static void cdrl_schedule_part(const parity *p)
{
    size_t n = (size_t)p->levels + 1, i;
    float *record = vector(p, "out.logsnr_schedule", n), *ours = floats(n);
    if (!record) return;
    for (i = 0; i < n; ++i) ours[i] = (float)p->schedule->logsnr[i];
    line(p, "out.logsnr_schedule", check_rel_floats(ours, record, n), BOUND_LOGSNR, "");
}

/* df/dx of some images. */
static int cdrl_gradient_run(const parity *p, void *inputs, int first, int n, float *out)
{
    const cdrl_inputs *in = (const cdrl_inputs *)inputs;
    const float *x = in->x + (size_t)first * p->size;
    const int *label = in->label ? in->label + first : NULL;
    return drl__model_f(p->model, n, x, in->level + first, label, NULL, out) == DRL_OK;
}

/* Gradients of the batch mean of f by the weights. */
static int cdrl_mean_gradients(const parity *p, void *inputs)
{
    const cdrl_inputs *in = (const cdrl_inputs *)inputs;
    int mark = held, i, ok;
    float *f = floats((size_t)in->n), *df = floats((size_t)in->n);
    drl_batch b = cdrl_batch(in);
    for (i = 0; i < in->n; ++i) df[i] = 1.0f / (float)in->n;
    gradients_clear(p->net);
    ok = drl_net_train_forward(p->net, &b, f) == DRL_OK && drl_net_train_backward(p->net, df) == DRL_OK;
    if (ok) drl_net_spectral_grads(p->net);
    release(mark);
    return ok;
}

static void cdrl_energy_part(const parity *p, cdrl_inputs *in)
{
    energy_compare(p, in->n, in->x, in->level, in->label, cdrl_gradient_run, in);
    gradient_compare_kinks(p, "grad.", cdrl_mean_gradients, in);
}

/* out.initializer and, of the batch mean of its sum of squares, grad.initializer.*. */
static void cdrl_initializer_part(const parity *whole, const cdrl_inputs *in)
{
    parity p = *whole;
    size_t count = (size_t)in->n * p.size, k;
    float *record = images(&p, "out.initializer", 0, in->n, NULL), *out = floats(count);
    drl_batch b = cdrl_batch(in);
    if (!record) return;
    p.net = drl_model_initializer(p.model);
    if (works(&p, "out.initializer", drl_net_forward(p.net, &b, out)))
        line(&p, "out.initializer", check_rel_floats(out, record, count), BOUND_VALUE, "");
    gradients_clear(p.net);
    if (!works(&p, "out.initializer, training", drl_net_train_forward(p.net, &b, out))) return;
    line(&p, "out.initializer, training", check_rel_floats(out, record, count), BOUND_VALUE, "");
    for (k = 0; k < count; ++k) out[k] = 2 * out[k] / (float)in->n;
    if (works(&p, "grad.initializer", drl_net_train_backward(p.net, out))) gradient_compare(&p, "grad.");
}

/* Records of a step of cooperative training. */
typedef struct cdrl_step {
    int *t;                                         /* the file has the level of x_{t+1} */
    size_t steps;
    float *x0, *noise, *x_t, *x_next;               /* both levels from one noise */
    float *proposal_noise, *y_0;
    float *draws, *x_neg;
    float *energy_loss, *initializer_loss;
} cdrl_step;

static int cdrl_step_read(const parity *p, int n, cdrl_step *r)
{
    int count = 0;
    r->t = level_vector(p, "train.t", 1, &count);
    r->x0 = images(p, "train.x0", 0, n, NULL);
    r->noise = images(p, "train.noise_data", 0, n, NULL);
    r->x_t = images(p, "train.x_t", 0, n, NULL);
    r->x_next = images(p, "train.x_t1", 0, n, NULL);
    r->proposal_noise = images(p, "train.noise_initializer", 0, n, NULL);
    r->y_0 = images(p, "train.y_init", 0, n, NULL);
    r->draws = images(p, "train.noise_langevin", 1, n, &r->steps);
    r->x_neg = images(p, "train.x_neg", 0, n, NULL);
    r->energy_loss = vector(p, "train.energy_loss", 1);
    r->initializer_loss = vector(p, "train.initializer_loss", 1);
    if (r->t && count != n) problem(p, "train.t", "its length does not fit the other tensors");
    return r->t && count == n && r->x0 && r->noise && r->x_t && r->x_next && r->proposal_noise && r->y_0 &&
           r->draws && r->x_neg && r->energy_loss && r->initializer_loss;
}

/* x of level t + above, against its record. */
static void cdrl_diffuse_compare(const parity *p, const cdrl_step *r, size_t count, int above,
                                 const char *what, const float *record)
{
    const drl_schedule *sc = p->schedule;
    int mark = held;
    float *ours = floats(count);
    size_t j;
    for (j = 0; j < count; ++j) {
        int i = r->t[j / p->size] + above;
        ours[j] = (float)(sc->abar[i] * (double)r->x0[j] + sc->sbar[i] * (double)r->noise[j]);
    }
    line(p, what, check_rel_floats(ours, record, count), BOUND_VALUE, "");
    release(mark);
}

/* Both levels, the proposal, the chain from it, both losses and both gradients; the last four from the
 * recorded negatives. */
static void cdrl_train_part(const parity *p, const cdrl_inputs *in)
{
    const drl_schedule *sc = p->schedule;
    parity of_initializer = *p;
    int n = in->n, i;
    size_t count = (size_t)n * p->size, j;
    float *level = floats((size_t)n), *g = floats(count), *y_0 = floats(count);
    double sum = 0;
    cdrl_step r;
    level_chain chain;
    energy_loss both;
    drl_batch b;
    if (!cdrl_step_read(p, n, &r)) return;
    cdrl_diffuse_compare(p, &r, count, 0, "train.x_t", r.x_t);
    cdrl_diffuse_compare(p, &r, count, 1, "train.x_t1", r.x_next);

    of_initializer.net = drl_model_initializer(p->model);
    for (i = 0; i < n; ++i) level[i] = drl__schedule_level(sc, r.t[i] + 1);
    b = drl_batch_of(n, r.x_next, level);
    b.label = in->label;
    if (!works(p, "train.y_init", drl_net_train_forward(of_initializer.net, &b, g))) return;
    for (j = 0; j < count; ++j) {
        double noise = drl__schedule_proposal(sc, r.t[j / p->size], r.t[j / p->size] + 1);
        y_0[j] = (float)((double)g[j] + noise * (double)r.proposal_noise[j]);
    }
    line(p, "train.y_init", check_rel_floats(y_0, r.y_0, count), BOUND_VALUE, "");

    chain.t = r.t;
    chain.label = in->label;
    chain.n = n;
    chain.steps = (int)r.steps;
    chain.start = y_0;
    chain.x_next = r.x_next;
    chain.draws = r.draws;
    chain_compare(p, "train.x_neg", level_chain_run, &chain, n, r.x_neg);

    both.n = n;
    both.t = r.t;
    both.label = in->label;
    both.x_t = r.x_t;
    both.x_neg = r.x_neg;
    if (!energy_loss_run(p, &both)) {
        problem(p, "train.energy_loss", drl_ctx_message(p->ctx));
        return;
    }
    loss_line(p, "train.energy_loss", both.loss, r.energy_loss);
    gradient_compare_kinks(p, "train.grad.", energy_loss_run, &both);

    for (j = 0; j < count; ++j) {           /* the loss is |y_0 - a x_neg|^2 / n; g becomes its gradient */
        double a = drl_schedule_scale(sc, r.t[j / p->size]);
        double d = (double)y_0[j] - a * (double)r.x_neg[j];
        sum += d * d / n;
        g[j] = (float)(2 * d / n);
    }
    loss_line(p, "train.initializer_loss", sum, r.initializer_loss);
    gradients_clear(of_initializer.net);
    if (works(p, "train.grad.initializer", drl_net_train_backward(of_initializer.net, g)))
        gradient_compare(&of_initializer, "train.grad.");
}

/* Progressive sampling, guided where there are classes, with the denoising step. */
typedef struct cdrl_samples { const int *label; recorded noise; } cdrl_samples;

static int cdrl_samples_run(const parity *p, void *chain, int first, int n, float *out)
{
    cdrl_samples *s = (cdrl_samples *)chain;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.first = first;
    how.count = n;
    how.labels = s->label ? s->label + first : NULL;
    how.guidance = p->classes ? (float)p->guide : 0.0f;
    how.noise.fill = recorded_fill;
    how.noise.user = &s->noise;
    return drl_sample(p->model, &how, out) == DRL_OK;
}

static void cdrl_sample_part(const parity *p, const cdrl_inputs *in)
{
    size_t draws = 0, needed = 1 + (size_t)p->levels * ((size_t)p->steps + 1);
    float *noise = images(p, "sample.noise", 1, in->n, &draws);
    float *out = noise ? images(p, "sample.out", 0, in->n, NULL) : NULL;
    cdrl_samples s;
    if (!out) return;
    if (draws != needed) {
        problem(p, "sample.noise", "not as many draws as levels and steps need");
        return;
    }
    s.label = in->label;
    s.noise.start = NULL;
    s.noise.draws = noise;
    s.noise.size = p->size;
    s.noise.n = in->n;
    chain_compare(p, "sample.out", cdrl_samples_run, &s, in->n, out);
}

/* -- files -- */

/* Positive ints separated by commas; returns how many, 0 when the text is anything else. */
static int int_list(const char *text, int *out, int most)
{
    int n = 0;
    while (text && n < most) {
        char *end;
        long v = strtol(text, &end, 10);
        if (end == text || v < 1 || v > 65536) return 0;
        out[n++] = (int)v;
        if (!*end) return n;
        if (*end != ',') return 0;
        text = end + 1;
    }
    return 0;
}

/* The metadata `key` is one positive int; else a line about it. */
static int meta_int(const parity *p, const char *key, int *out)
{
    if (int_list(drl__safetensors_meta(p->st, key), out, 1) == 1) return 1;
    problem(p, key, "is missing in the metadata, or no positive integer");
    return 0;
}

/* The model of this description, without its weights. */
static int model_make(parity *p, const drl_model_desc *d)
{
    if (!works(p, "model", drl_model_create(p->ctx, d, 1, &p->model))) return 0;
    p->net = drl_model_net(p->model);
    p->schedule = drl_model_schedule(p->model);
    p->h = d->height;
    p->w = d->width;
    p->c = d->channels;
    p->levels = d->levels;
    p->classes = d->classes;
    p->steps = d->steps;
    p->size = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    return 1;
}

static void weights_counted(const parity *p, const char *what, const char *prefix, int want)
{
    if (tensors_named(p, prefix) != (size_t)want)
        problem(p, what, "the file has more or fewer weights than the described network");
}

static int larger(int a, size_t b) { return (size_t)a > b ? a : (int)b; }

static void drl_file(parity *p)
{
    const drl_array *x = find(p, "in.x", 4), *a = find(p, "schedule.a", 1);
    const drl_array *k = find(p, "train.noise_langevin", 5), *s = find(p, "sample.x_T", 4);
    drl_model_desc d;
    memset(&d, 0, sizeof d);
    if (!x || !a || !k || !s) return;
    d.channels = (int)x->shape[1];
    d.height = (int)x->shape[2];
    d.width = (int)x->shape[3];
    d.levels = (int)a->shape[0] - 1;
    d.steps = (int)k->shape[0];
    d.batch = larger(larger((int)x->shape[0], k->shape[1]), s->shape[0]);
    d.no_spectral = 1;                              /* it is folded into the recorded weights */
    d.trainable = 1;
    d.resolutions = int_list(drl__safetensors_meta(p->st, "mult"), d.mult, DRL_RESOLUTIONS_MAX);
    if (!d.resolutions) problem(p, "mult", "is missing in the metadata, or no list of positive integers");
    if (!meta_int(p, "base", &d.base) || !meta_int(p, "blocks", &d.blocks) || !d.resolutions) return;
    if (!model_make(p, &d)) return;
    weights_counted(p, "energy.*", "energy.", drl_net_param_count(p->net));
    if (!works(p, "energy.*", drl_net_load(p->net, p->st))) return;
    drl_schedule_part(p);
    drl_energy_part(p);
    drl_train_part(p);
    drl_sample_part(p);
}

static void cdrl_file(parity *p)
{
    const drl_array *x = find(p, "in.x", 4), *l = find(p, "out.logsnr_schedule", 1);
    const char *classes = drl__safetensors_meta(p->st, "classes");
    const char *guide = drl__safetensors_meta(p->st, "guide");
    drl_model_desc d;
    cdrl_inputs in;
    memset(&d, 0, sizeof d);
    if (!x || !l) return;
    d.form = DRL_FORM_CDRL;
    d.channels = (int)x->shape[1];
    d.height = (int)x->shape[2];
    d.width = (int)x->shape[3];
    d.levels = (int)l->shape[0] - 1;
    d.batch = (int)x->shape[0];
    d.trainable = 1;
    if (!meta_int(p, "ebm_dim", &d.base)) return;
    if (!meta_int(p, "ebm_blocks", &d.blocks)) return;
    if (!meta_int(p, "unet_dim", &d.initializer)) return;
    if (!meta_int(p, "unet_blocks", &d.initializer_blocks)) return;
    if (!meta_int(p, "steps", &d.steps)) return;
    if (!classes || !guide) {
        problem(p, "metadata", "\"classes\" or \"guide\" is missing");
        return;
    }
    if (strcmp(classes, "0") && !meta_int(p, "classes", &d.classes)) return;
    p->guide = strtod(guide, NULL);
    if (!model_make(p, &d)) return;
    weights_counted(p, "energy.*", "energy.", drl__net_tensors(p->net));
    weights_counted(p, "initializer.*", "initializer.", drl__net_tensors(drl_model_initializer(p->model)));
    if (!works(p, "weights", drl_model_load_weights(p->model, p->st))) return;
    cdrl_schedule_part(p);
    if (!cdrl_inputs_read(p, &in)) return;
    cdrl_energy_part(p, &in);
    cdrl_initializer_part(p, &in);
    cdrl_train_part(p, &in);
    cdrl_sample_part(p, &in);
}

/* The kinds of reference files, told apart by a key of their metadata. */
static const struct { const char *key; void (*compare)(parity *p); } kinds[] = {
    { "base", drl_file }, { "ebm_dim", cdrl_file }
};

static void compare_kind(parity *p)
{
    size_t i;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (drl__safetensors_meta(p->st, kinds[i].key)) {
            kinds[i].compare(p);
            return;
        }
    problem(p, "metadata", "not a kind of reference file that is known here");
}

/* Compares a file on one set; returns 0 where this machine lacks the set. */
static int compare_file(const char *path, drl_isa isa)
{
    parity p;
    drl_ctx_desc d;
    const char *name = strrchr(path, '/');
    drl_status status;
    memset(&p, 0, sizeof p);
    memset(&d, 0, sizeof d);
    d.isa = isa;
    p.file = name ? name + 1 : path;
    status = drl_ctx_create(&d, &p.ctx);
    if (status == DRL_E_UNSUPPORTED) return 0;
    if (status != DRL_OK) problem(&p, "context", drl_status_text(status));
    else if (works(&p, "cannot be read", drl_safetensors_open(p.ctx, path, &p.st))) compare_kind(&p);
    release(0);
    drl_model_destroy(p.model);
    drl_safetensors_close(p.st);
    drl_ctx_destroy(p.ctx);
    return 1;
}

static const char usage[] = "parity [--isa portable|sse2|fma128|avx2|avx512|neon|wasm] [--all] FILE...";

int main(int argc, char **argv)
{
    const char *only = NULL;
    int i, isa, files = 0, runs = 0;
    for (i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--isa") && i + 1 < argc) only = argv[++i];
        else if (!strcmp(argv[i], "--all")) print_all = 1;
        else if (argv[i][0] == '-') {
            fprintf(stderr, "%s: not understood; %s\n", argv[i], usage);
            return 2;
        }
        else argv[++files] = argv[i];
    }
    if (!files) {
        printf("use: %s\n", usage);
        return 2;
    }
    for (i = 1; i <= files; ++i)
        for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa) {
            if (only && strcmp(only, drl_isa_name((drl_isa)isa))) continue;
            runs += compare_file(argv[i], (drl_isa)isa);
        }
    if (!runs) {
        printf("parity: this machine has no instruction set '%s'\n", only ? only : "");
        return 2;
    }
    return check_report("parity");
}
