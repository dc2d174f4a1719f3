/* parity.c - compares drl.h with recorded reference files: the network, its gradients, the training loss, chains and samples.
 *
 *     cc -O2 tests/parity.c -o parity -lm
 *     ./parity [--isa NAME] [--all] FILE...
 *
 * A file of the DRL kind has the metadata "base", "blocks" and "mult"; one of the CDRL kind "ebm_dim", "ebm_blocks", "unet_dim",
 * "unet_blocks", "classes", "steps" and "guide". Every other size is taken from the shapes of its tensors. It is
 * compared on every instruction set of this machine, or on the named one. Each compared quantity is printed with its relative error
 * and its bound; of the gradient's single tensors the worst one, or with --all each. Exits with 0 when everything is within bounds. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"

/* Relative errors that are fair to an implementation in float32. */
#define BOUND_SCHEDULE  1e-6
#define BOUND_LOGSNR    5e-8        /* the log-SNR of CDRL's schedule: all but a last bit or two */
#define BOUND_VALUE     5e-5        /* energies, losses, a gradient as one vector */
#define BOUND_WHOLE     3e-8        /* a single gradient tensor: BOUND_VALUE of itself and this of the whole gradient */
#define BOUND_CHAIN     1e-4        /* one image at the end of a chain */
#define BOUND_KINK      3e-2        /* one image whose chain a leaky ReLU bends at its kink: see chain_compare */
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

static void line(const parity *p, const char *what, double error, double bound, const char *note)
{
    int ok = error <= bound;
    if (ok) ++check_passed; else ++check_failed;
    printf("%s %-8s %-47s %9.2e  bound %7.1e  %s%s\n", p->file, drl_isa_name(drl_ctx_isa(p->ctx)), what, error, bound, ok ? "ok" : "FAILED", note);
}

static int problem(const parity *p, const char *what, const char *sentence)
{
    ++check_failed;
    printf("%s %-8s %-47s FAILED: %s\n", p->file, p->ctx ? drl_isa_name(drl_ctx_isa(p->ctx)) : "-", what, sentence);
    return 0;
}

static double norm(const float *a, const float *b, size_t n)        /* of a - b; b NULL: of a; NaN counts as infinite */
{
    double sum = 0;
    size_t i;
    for (i = 0; i < n; ++i) {
        double d = (double)a[i] - (b ? (double)b[i] : 0.0);
        sum += d * d;
    }
    return sum == sum ? sqrt(sum) : HUGE_VAL;
}

static double relative(const float *a, const float *b, size_t n)
{
    double whole = norm(b, NULL, n);
    return whole > 0 ? norm(a, b, n) / whole : norm(a, b, n);
}

/* -- tensors of the file -- */

static const drl_array *find(const parity *p, const char *name, int rank)
{
    const drl_array *a = drl_safetensors_find(p->st, name);
    if (!a) problem(p, name, "the file has no such tensor");
    else if (a->rank != rank || !drl_array_count(a)) { problem(p, name, "not the expected number of axes, or empty"); a = NULL; }
    return a;
}

static float *floats_of(const parity *p, const drl_array *a)
{
    float *out = (float *)malloc((drl_array_count(a) + 1) * sizeof *out);
    if (out && drl_array_to_float(p->ctx, a, out) == DRL_OK) return out;
    problem(p, a->name, "cannot be read as floats");
    free(out);
    return NULL;
}

/* A vector of `count` floats. */
static float *vector(const parity *p, const char *name, size_t count)
{
    const drl_array *a = find(p, name, 1);
    if (a && drl_array_count(a) != count) { problem(p, name, "its length does not fit the other tensors"); a = NULL; }
    return a ? floats_of(p, a) : NULL;
}

/* Levels as ints, each 0 .. levels - 1; *count becomes the batch. */
static int *level_vector(const parity *p, const char *name, int *count)
{
    const drl_array *a = find(p, name, 1);
    float *v = a ? floats_of(p, a) : NULL;
    int *t = v ? (int *)malloc(drl_array_count(a) * sizeof *t) : NULL;
    size_t i;
    if (t) {
        *count = (int)drl_array_count(a);
        for (i = 0; i < drl_array_count(a); ++i) {
            t[i] = v[i] >= 0 && v[i] < (float)p->levels ? (int)v[i] : -1;
            if (t[i] < 0) { problem(p, name, "a level is out of range"); free(t); t = NULL; break; }
        }
    }
    free(v);
    return t;
}

/* Images [..., n, C, H, W] with `more` leading axes as NHWC; *lead becomes the product of the leading axes. */
static float *images(const parity *p, const char *name, int more, int n, size_t *lead)
{
    const drl_array *a = find(p, name, 4 + more);
    float *from, *to;
    size_t at, outer = 1, count, area = (size_t)p->h * (size_t)p->w, channels = (size_t)p->c, i;
    int k;
    if (!a) return NULL;
    if (a->shape[more] != (size_t)n || a->shape[more + 1] != channels || a->shape[more + 2] != (size_t)p->h || a->shape[more + 3] != (size_t)p->w) {
        problem(p, name, "its shape does not fit the other tensors");
        return NULL;
    }
    for (k = 0; k < more; ++k) outer *= a->shape[k];
    if (lead) *lead = outer;
    count = drl_array_count(a);
    from = floats_of(p, a);
    to = from ? (float *)malloc(count * sizeof *to) : NULL;
    if (to)
        for (i = 0; i < outer * (size_t)n; ++i)
            for (at = 0; at < p->size; ++at) to[i * p->size + at % area * channels + at / area] = from[i * p->size + at];
    free(from);
    return to;
}

/* -- recorded noise: draw d of image i lies at [d][i] -- */

typedef struct recorded { const float *start, *draws; size_t size; int n; } recorded;

static void recorded_fill(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    const recorded *r = (const recorded *)user;
    const float *from = r->start ? (draw ? r->draws + (size_t)(draw - 1) * (size_t)r->n * r->size : r->start)
                                 : r->draws + (size_t)draw * (size_t)r->n * r->size;
    (void)ctx;
    memcpy(out, from + (size_t)image * r->size, n * sizeof *out);
}

/* -- chains, image by image --
 * In correct code, too, a leaky ReLU within rounding of its kink may fall on the other side and bend the rest of that image's chain. An
 * image above BOUND_CHAIN passes, marked as a kink, only if rounding is shown to be the reason: of at most KINK_RUNS runs with every weight
 * moved by about one unit in the last place, one comes within BOUND_CHAIN of the record (what a mistake never does). */

typedef int (*chain_fn)(const parity *p, void *chain, int first, int n, float *out);    /* images first .. first + n - 1 */

static void move_weights(const parity *p, const float *weights, uint64_t seed)
{
    drl_rng rng;
    float *to = drl_net_params(p->net);
    size_t i;
    rng.seed = seed; rng.stream = 0; rng.position = 0;
    for (i = 0; i < drl_net_params_size(p->net); ++i)
        to[i] = seed ? weights[i] * (1.0f + (float)(drl_rng_below(&rng, 3) - 1) * 1.1920929e-7f) : weights[i];
    drl_net_refresh(p->net, 0);
}

static void chain_compare(const parity *p, const char *name, chain_fn run, void *chain, int n, const float *record)
{
    size_t count = (size_t)n * p->size, weights_size = drl_net_params_size(p->net);
    float *out = (float *)malloc(count * sizeof *out), *moved = (float *)malloc(count * sizeof *moved), *weights = (float *)malloc(weights_size * sizeof *weights);
    int k, image, agree;
    char what[80], note[120];
    if (!out || !moved || !weights) problem(p, name, "out of memory");
    else if (!run(p, chain, 0, n, out)) problem(p, name, drl_ctx_message(p->ctx));
    else
        for (image = 0; image < n; ++image) {
            const float *ref = record + (size_t)image * p->size;
            double error = relative(out + (size_t)image * p->size, ref, p->size), nearest = error;
            snprintf(what, sizeof what, "%s image %d", name, image);
            if (error <= BOUND_CHAIN || !(error <= BOUND_KINK)) { line(p, what, error, BOUND_CHAIN, ""); continue; }
            memcpy(weights, drl_net_params(p->net), weights_size * sizeof *weights);
            for (k = 1, agree = 0; k <= KINK_RUNS && !agree; ++k) {
                double e;
                move_weights(p, weights, (uint64_t)k);
                if (!run(p, chain, image, 1, moved)) break;
                e = relative(moved, ref, p->size);
                agree = e <= BOUND_CHAIN;
                if (e < nearest) nearest = e;
            }
            move_weights(p, weights, 0);
            if (agree) snprintf(note, sizeof note, "  (a kink: run %d with weights moved by rounding agrees to %.1e)", k - 1, nearest);
            else snprintf(note, sizeof note, "  (no kink: of %d runs with weights moved by rounding none agrees, the nearest to %.1e)", KINK_RUNS, nearest);
            line(p, what, error, agree ? BOUND_KINK : BOUND_CHAIN, note);
        }
    free(out); free(moved); free(weights);
}

/* -- the DRL kind -- */

static void drl_schedule_part(const parity *p)
{
    static const char *const names[4] = { "schedule.a", "schedule.sigma", "schedule.a_cum", "schedule.sigma_cum" };
    const double *ours[4];
    size_t n = (size_t)p->levels + 1, i;
    int k;
    ours[0] = p->schedule->a; ours[1] = p->schedule->s; ours[2] = p->schedule->abar; ours[3] = p->schedule->sbar;
    for (k = 0; k < 4; ++k) {
        float *record = vector(p, names[k], n);
        double num = 0, den = 0;
        if (!record) continue;
        for (i = 0; i < n; ++i) {
            num += (ours[k][i] - (double)record[i]) * (ours[k][i] - (double)record[i]);
            den += (double)record[i] * (double)record[i];
        }
        line(p, names[k], sqrt(num / den), BOUND_SCHEDULE, "");
        free(record);
    }
}

static void drl_energy_part(const parity *p)
{
    int n = 0, i;
    int *t = level_vector(p, "in.t", &n);
    float *x = t ? images(p, "in.x", 0, n, NULL) : NULL, *dx_record = x ? images(p, "out.energy_grad_x", 0, n, NULL) : NULL;
    float *f_record = dx_record ? vector(p, "out.energy", (size_t)n) : NULL;
    float *level = (float *)malloc(((size_t)n + 1) * sizeof *level), *f = (float *)malloc(((size_t)n + 1) * sizeof *f);
    float *dx = (float *)malloc(((size_t)n * p->size + 1) * sizeof *dx);
    if (f_record && level && f && dx) {
        for (i = 0; i < n; ++i) level[i] = (float)t[i];
        if (drl__model_f(p->model, n, x, level, NULL, f, NULL) != DRL_OK) problem(p, "out.energy", drl_ctx_message(p->ctx));
        else line(p, "out.energy", relative(f, f_record, (size_t)n), BOUND_VALUE, "");
        if (drl__model_f(p->model, n, x, level, NULL, f, dx) != DRL_OK) problem(p, "out.energy_grad_x", drl_ctx_message(p->ctx));
        else {
            line(p, "out.energy beside its gradient", relative(f, f_record, (size_t)n), BOUND_VALUE, "");
            line(p, "out.energy_grad_x", relative(dx, dx_record, (size_t)n * p->size), BOUND_VALUE, "");
        }
    }
    free(t); free(x); free(dx_record); free(f_record); free(level); free(f); free(dx);
}

/* start NULL: x_next; label NULL: none */
typedef struct drl_chain { const int *t, *label; int n, steps; const float *start, *x_next, *noise; } drl_chain;

/* x_neg = y_K / a_{t+1}: K steps with the recorded draws. */
static int drl_chain_run(const parity *p, void *chain, int first, int n, float *out)
{
    const drl_chain *c = (const drl_chain *)chain;
    const float *x_next = c->x_next + (size_t)first * p->size;
    size_t count = (size_t)n * p->size, work_count = drl__langevin_work_count(p->ctx, p->size), i;
    float *gradient = (float *)malloc(count * sizeof *gradient), *work = (float *)malloc(work_count * sizeof *work);
    drl_energy energy = drl_model_energy(p->model);
    drl__langevin_desc d;
    recorded r;
    drl_status status = DRL_E_MEMORY;
    r.start = NULL; r.draws = c->noise; r.size = p->size; r.n = c->n;
    memset(&d, 0, sizeof d);
    d.energy = &energy;
    d.schedule = p->schedule;
    d.level = c->t + first;
    d.label = c->label ? c->label + first : NULL;
    d.first_image = first;
    d.steps = c->steps;
    d.noise.fill = recorded_fill;
    d.noise.user = &r;
    memcpy(out, c->start ? c->start + (size_t)first * p->size : x_next, count * sizeof *out);
    if (gradient && work) status = drl__langevin(p->ctx, &d, n, out, x_next, gradient, work);
    for (i = 0; i < count; ++i) out[i] = (float)((double)out[i] / drl_schedule_scale(p->schedule, d.level[i / p->size]));
    free(gradient); free(work);
    return status == DRL_OK;
}

/* Adds the gradient of the mean of sign * f(scale_t x, t) * s_1 / s_{t+1}; returns that mean. */
static double drl_loss_half(const parity *p, int n, const int *t, const int *label, const float *x, double sign, int *ok)
{
    float *y = (float *)malloc((size_t)n * p->size * sizeof *y), *f = (float *)malloc((size_t)n * 3 * sizeof *f), *df = f + n, *level = df + n;
    double sum = 0;
    drl_batch b = drl_batch_of(0, NULL, NULL);
    size_t j;
    int i;
    for (i = 0; y && f && i < n; ++i) {
        df[i] = (float)(sign * p->schedule->s[1] / p->schedule->s[t[i] + 1] / n);
        level[i] = drl__schedule_level(p->schedule, t[i]);
        for (j = 0; j < p->size; ++j) y[(size_t)i * p->size + j] = (float)(drl_schedule_scale(p->schedule, t[i]) * (double)x[(size_t)i * p->size + j]);
    }
    if (y && f) b = drl_batch_of(n, y, level);
    b.label = label;
    if (!y || !f || drl_net_train_forward(p->net, &b, f) != DRL_OK || drl_net_train_backward(p->net, df) != DRL_OK) *ok = 0;
    else for (i = 0; i < n; ++i) sum += sign * (double)f[i] * p->schedule->s[1] / p->schedule->s[t[i] + 1] / n;
    free(y); free(f);
    return sum;
}

/* Every gradient tensor "grad.NAME" against the net's gradients. */
static void gradient_compare(const parity *p, const char *prefix)
{
    int i, n = drl_net_param_count(p->net), failed = 0, complete = 1, worst = -1;
    const float *grads = drl_net_grads(p->net);
    double whole = 0, error = 0, worst_ratio = -1, worst_error = 0, worst_bound = 0;
    char name[160];
    double *num = (double *)malloc((size_t)n * sizeof *num), *den = (double *)malloc((size_t)n * sizeof *den);
    if (!num || !den) { problem(p, prefix, "out of memory"); free(num); free(den); return; }
    for (i = 0; i < n; ++i) {
        const drl_param *q = drl_net_param(p->net, i);
        const drl_array *a;
        float *record;
        snprintf(name, sizeof name, "%s%s", prefix, q->name);
        a = find(p, name, q->rank);
        if (a && drl_array_count(a) != q->count) { problem(p, name, "not as many elements as the parameter"); a = NULL; }
        record = a ? floats_of(p, a) : NULL;
        if (!record) { complete = 0; continue; }
        num[i] = norm(grads + q->offset, record, q->count);
        den[i] = norm(record, NULL, q->count);
        error += num[i] * num[i];
        whole += den[i] * den[i];
        free(record);
    }
    if (complete) {
        whole = sqrt(whole);
        snprintf(name, sizeof name, "%s* as one vector", prefix);
        line(p, name, sqrt(error) / whole, BOUND_VALUE, "");
        for (i = 0; i < n; ++i) {
            double limit = BOUND_VALUE * den[i] + BOUND_WHOLE * whole, ratio = num[i] / limit, scale = den[i] > 0 ? den[i] : whole;
            snprintf(name, sizeof name, "%s%s", prefix, drl_net_param(p->net, i)->name);
            if (print_all || !(ratio <= 1)) line(p, name, num[i] / scale, limit / scale, "");
            else ++check_passed;
            failed += !(ratio <= 1);
            if (!(ratio <= worst_ratio)) { worst_ratio = ratio; worst = i; worst_error = num[i] / scale; worst_bound = limit / scale; }
        }
        if (!print_all && !failed && worst >= 0) {
            char note[64];
            --check_passed;
            snprintf(name, sizeof name, "%s%s", prefix, drl_net_param(p->net, worst)->name);
            snprintf(note, sizeof note, "  (the worst of %d single tensors)", n);
            line(p, name, worst_error, worst_bound, note);
        }
    }
    free(num); free(den);
}

/* Is every gradient tensor within its bound? Says nothing; what is missing gradient_compare tells. */
static int gradients_within(const parity *p, const char *prefix)
{
    int i, n = drl_net_param_count(p->net), pass, within = 1;
    double whole = 0;
    for (pass = 0; pass < 2; ++pass) for (i = 0; i < n && within; ++i) {
        const drl_param *q = drl_net_param(p->net, i);
        const drl_array *a;
        float *record;
        char name[160];
        snprintf(name, sizeof name, "%s%s", prefix, q->name);
        a = drl_safetensors_find(p->st, name);
        record = a && drl_array_count(a) == q->count ? floats_of(p, a) : NULL;
        if (!record) return 1;
        if (pass) within = norm(drl_net_grads(p->net) + q->offset, record, q->count) <= BOUND_VALUE * norm(record, NULL, q->count) + BOUND_WHOLE * sqrt(whole);
        else whole += norm(record, NULL, q->count) * norm(record, NULL, q->count);
        free(record);
    }
    return within;
}

typedef int (*gradient_fn)(const parity *p, void *user);        /* sets drl_net_grads */

/* gradient_compare of what run makes. A network of the published size has millions of leaky ReLUs, some of them within rounding of their kinks,
 * and one that falls on the other side changes gradients by 1e-4 to 1e-3. As for chains, weights moved by rounding have to bring it back. */
static void gradient_compare_kinks(const parity *p, const char *prefix, gradient_fn run, void *user)
{
    size_t size = drl_net_params_size(p->net);
    float *weights = (float *)malloc(size * sizeof *weights);
    int k = 0, ok = run(p, user);
    if (!weights) { problem(p, prefix, "out of memory"); return; }
    memcpy(weights, drl_net_params(p->net), size * sizeof *weights);
    while (ok && !gradients_within(p, prefix) && k < KINK_RUNS) {
        move_weights(p, weights, (uint64_t)++k);
        ok = run(p, user);
    }
    if (k) {
        move_weights(p, weights, 0);
        printf("%s %-8s %s*: a kink, compared by run %d with weights moved by rounding\n", p->file, drl_isa_name(drl_ctx_isa(p->ctx)), prefix, k);
    }
    if (!ok) problem(p, prefix, drl_ctx_message(p->ctx));
    else gradient_compare(p, prefix);
    free(weights);
}

static void drl_train_part(const parity *p)
{
    int n = 0, i, ok = 1;
    size_t lead = 0, j, count;
    int *t = level_vector(p, "train.t", &n);
    float *x0 = t ? images(p, "train.x0", 0, n, NULL) : NULL, *e0 = x0 ? images(p, "train.noise_xt", 0, n, NULL) : NULL;
    float *e1 = e0 ? images(p, "train.noise_xt1", 0, n, NULL) : NULL, *draws = e1 ? images(p, "train.noise_langevin", 1, n, &lead) : NULL;
    float *x_neg = draws ? images(p, "train.x_neg", 0, n, NULL) : NULL, *loss_record = x_neg ? vector(p, "train.loss", 1) : NULL;
    if (loss_record) {
        const drl_schedule *sc = p->schedule;
        drl_chain chain;
        double loss;
        float loss_float;
        count = (size_t)n * p->size;
        for (j = 0; j < count; ++j) {       /* e0 becomes x_t, e1 becomes x_{t+1} */
            i = t[j / p->size];
            e0[j] = (float)(sc->abar[i] * (double)x0[j] + sc->sbar[i] * (double)e0[j]);
            e1[j] = (float)(sc->a[i + 1] * (double)e0[j] + sc->s[i + 1] * (double)e1[j]);
        }
        chain.t = t; chain.label = NULL; chain.n = n; chain.steps = (int)lead; chain.start = NULL; chain.x_next = e1; chain.noise = draws;
        chain_compare(p, "train.x_neg", drl_chain_run, &chain, n, x_neg);
        memset(drl_net_grads(p->net), 0, drl_net_params_size(p->net) * sizeof(float));
        loss = drl_loss_half(p, n, t, NULL, e0, -1.0, &ok);
        loss += drl_loss_half(p, n, t, NULL, x_neg, 1.0, &ok);        /* from the recorded negatives: a_{t+1} x_neg */
        drl_net_spectral_grads(p->net);
        loss_float = (float)loss;
        if (!ok) problem(p, "train.loss", drl_ctx_message(p->ctx));
        else {
            line(p, "train.loss", relative(&loss_float, loss_record, 1), BOUND_VALUE, "");
            gradient_compare(p, "grad.");
        }
    }
    free(t); free(x0); free(e0); free(e1); free(draws); free(x_neg); free(loss_record);
}

typedef struct drl_samples { int steps; recorded noise; } drl_samples;

/* Progressive sampling with the recorded x_T and draws; few steps at the unscaled step size. */
static int drl_samples_run(const parity *p, void *chain, int first, int n, float *out)
{
    drl_samples *s = (drl_samples *)chain;
    drl_sample_desc how;
    memset(&how, 0, sizeof how);
    how.first = first;
    how.count = n;
    how.steps = s->steps;
    how.keep_step = 1;
    how.noise_scale = 0.99f;
    how.noise.fill = recorded_fill;
    how.noise.user = &s->noise;
    return drl_sample(p->model, &how, out) == DRL_OK;
}

static void drl_sample_part(const parity *p)
{
    const drl_array *a = find(p, "sample.x_T", 4);
    int n = a ? (int)a->shape[0] : 0;
    float *start = a ? images(p, "sample.x_T", 0, n, NULL) : NULL, *draws = start ? images(p, "sample.noise", 2, n, NULL) : NULL;
    float *out = draws ? images(p, "sample.out", 0, n, NULL) : NULL;
    if (out) {
        const drl_array *noise = drl_safetensors_find(p->st, "sample.noise");
        drl_samples s;
        s.steps = (int)noise->shape[1];
        s.noise.start = start; s.noise.draws = draws; s.noise.size = p->size; s.noise.n = n;
        if (noise->shape[0] != (size_t)p->levels) problem(p, "sample.noise", "not as many levels as the schedule");
        else chain_compare(p, "sample.out", drl_samples_run, &s, n, out);
    }
    free(start); free(draws); free(out);
}

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

static void drl_file(parity *p)
{
    drl_model_desc d;
    const drl_array *x = find(p, "in.x", 4), *a = find(p, "schedule.a", 1), *k = find(p, "train.noise_langevin", 5), *s = find(p, "sample.x_T", 4);
    size_t i, weights = 0;
    memset(&d, 0, sizeof d);
    if (!x || !a || !k || !s) return;
    d.channels = (int)x->shape[1]; d.height = (int)x->shape[2]; d.width = (int)x->shape[3];
    d.resolutions = int_list(drl__safetensors_meta(p->st, "mult"), d.mult, DRL_RESOLUTIONS_MAX);
    if (int_list(drl__safetensors_meta(p->st, "base"), &d.base, 1) != 1 || int_list(drl__safetensors_meta(p->st, "blocks"), &d.blocks, 1) != 1 || !d.resolutions) {
        problem(p, "metadata", "\"base\", \"blocks\" or \"mult\" is missing or not a list of positive integers");
        return;
    }
    d.levels = (int)a->shape[0] - 1;
    d.steps = (int)k->shape[0];
    d.no_spectral = 1;              /* it is folded into the recorded weights */
    d.trainable = 1;
    d.batch = (int)(x->shape[0] > k->shape[1] ? x->shape[0] : k->shape[1]);
    if (d.batch < (int)s->shape[0]) d.batch = (int)s->shape[0];
    if (drl_model_create(p->ctx, &d, 1, &p->model) != DRL_OK) { problem(p, "model", drl_ctx_message(p->ctx)); return; }
    p->net = drl_model_net(p->model);
    p->schedule = drl_model_schedule(p->model);
    p->h = d.height; p->w = d.width; p->c = d.channels; p->levels = d.levels;
    p->size = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
    for (i = 0; i < drl_safetensors_contents(p->st)->count; ++i) weights += !strncmp(drl_safetensors_contents(p->st)->arrays[i].name, "energy.", 7);
    if (weights != (size_t)drl_net_param_count(p->net)) problem(p, "energy.*", "the file has more or fewer weights than the described network");
    if (drl_net_load(p->net, p->st) != DRL_OK) { problem(p, "energy.*", drl_ctx_message(p->ctx)); return; }
    drl_schedule_part(p);
    drl_energy_part(p);
    drl_train_part(p);
    drl_sample_part(p);
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
    in->x = in->level ? images(p, "in.x", 0, in->n, NULL) : NULL;
    if (in->x && p->classes) {
        label = vector(p, "in.label", (size_t)in->n);
        in->label = label ? (int *)malloc((size_t)in->n * sizeof *in->label) : NULL;
    }
    for (i = 0; in->x && i < in->n; ++i) {
        in->level[i] = drl__level_of_logsnr(in->level[i]);
        if (in->label) in->label[i] = (int)label[i];
    }
    free(label);
    return in->x && (in->label || !p->classes);
}

static void cdrl_schedule_part(const parity *p)
{
    float *record = vector(p, "out.logsnr_schedule", (size_t)p->levels + 1), *ours = record ? (float *)malloc(((size_t)p->levels + 1) * sizeof *ours) : NULL;
    int i;
    for (i = 0; ours && i <= p->levels; ++i) ours[i] = (float)p->schedule->logsnr[i];
    if (ours) line(p, "out.logsnr_schedule", relative(ours, record, (size_t)p->levels + 1), BOUND_LOGSNR, "");
    free(record); free(ours);
}

/* df/dx of some images */
static int cdrl_gradient_run(const parity *p, void *inputs, int first, int n, float *out)
{
    const cdrl_inputs *in = (const cdrl_inputs *)inputs;
    return drl__model_f(p->model, n, in->x + (size_t)first * p->size, in->level + first, in->label ? in->label + first : NULL, NULL, out) == DRL_OK;
}

/* Gradients of the batch mean of f by the weights. */
static int cdrl_mean_gradients(const parity *p, void *inputs)
{
    const cdrl_inputs *in = (const cdrl_inputs *)inputs;
    float *f = (float *)malloc(2 * (size_t)in->n * sizeof *f), *df = f + in->n;
    drl_batch b = drl_batch_of(in->n, in->x, in->level);
    int i, ok;
    if (!f) return 0;
    b.label = in->label;
    for (i = 0; i < in->n; ++i) df[i] = 1.0f / (float)in->n;
    memset(drl_net_grads(p->net), 0, drl_net_params_size(p->net) * sizeof(float));
    ok = drl_net_train_forward(p->net, &b, f) == DRL_OK && drl_net_train_backward(p->net, df) == DRL_OK;
    if (ok) drl_net_spectral_grads(p->net);
    free(f);
    return ok;
}

static void cdrl_energy_part(const parity *p, const cdrl_inputs *in)
{
    size_t n = (size_t)in->n;
    float *dx_record = images(p, "out.energy_grad_x", 0, in->n, NULL), *f_record = dx_record ? vector(p, "out.energy", n) : NULL;
    float *f = (float *)malloc((n + 1) * sizeof *f), *dx = (float *)malloc((n * p->size + 1) * sizeof *dx);
    cdrl_inputs inputs = *in;
    if (f_record && f && dx) {
        if (drl__model_f(p->model, in->n, in->x, in->level, in->label, f, NULL) != DRL_OK) problem(p, "out.energy", drl_ctx_message(p->ctx));
        else line(p, "out.energy", relative(f, f_record, n), BOUND_VALUE, "");
        if (drl__model_f(p->model, in->n, in->x, in->level, in->label, f, dx) != DRL_OK) problem(p, "out.energy_grad_x", drl_ctx_message(p->ctx));
        else {
            line(p, "out.energy beside its gradient", relative(f, f_record, n), BOUND_VALUE, "");
            /* image by image, as chains are, only where a kink has bent one */
            if (relative(dx, dx_record, n * p->size) <= BOUND_VALUE) line(p, "out.energy_grad_x", relative(dx, dx_record, n * p->size), BOUND_VALUE, "");
            else chain_compare(p, "out.energy_grad_x", cdrl_gradient_run, &inputs, in->n, dx_record);
        }
        gradient_compare_kinks(p, "grad.", cdrl_mean_gradients, &inputs);
    }
    free(dx_record); free(f_record); free(f); free(dx);
}

/* out.initializer and, of the batch mean of its sum of squares, grad.initializer.* */
static void cdrl_initializer_part(const parity *whole, const cdrl_inputs *in)
{
    parity p = *whole;
    size_t count = (size_t)in->n * p.size, k;
    float *record = images(&p, "out.initializer", 0, in->n, NULL), *out = (float *)malloc((count + 1) * sizeof *out);
    drl_batch b = drl_batch_of(in->n, in->x, in->level);
    b.label = in->label;
    p.net = drl_model_initializer(p.model);
    if (record && out) {
        if (drl_net_forward(p.net, &b, out) != DRL_OK) problem(&p, "out.initializer", drl_ctx_message(p.ctx));
        else line(&p, "out.initializer", relative(out, record, count), BOUND_VALUE, "");
        memset(drl_net_grads(p.net), 0, drl_net_params_size(p.net) * sizeof(float));
        if (drl_net_train_forward(p.net, &b, out) != DRL_OK) problem(&p, "out.initializer, training", drl_ctx_message(p.ctx));
        else {
            line(&p, "out.initializer, training", relative(out, record, count), BOUND_VALUE, "");
            for (k = 0; k < count; ++k) out[k] = 2 * out[k] / (float)in->n;
            if (drl_net_train_backward(p.net, out) != DRL_OK) problem(&p, "grad.initializer", drl_ctx_message(p.ctx));
            else gradient_compare(&p, "grad.");
        }
    }
    free(record); free(out);
}

typedef struct cdrl_losses { int n; const int *t, *label; const float *x_t, *x_neg; double loss; } cdrl_losses;

/* The energy's loss and its gradients. */
static int cdrl_loss_gradients(const parity *p, void *user)
{
    cdrl_losses *l = (cdrl_losses *)user;
    int ok = 1;
    memset(drl_net_grads(p->net), 0, drl_net_params_size(p->net) * sizeof(float));
    l->loss = drl_loss_half(p, l->n, l->t, l->label, l->x_t, -1.0, &ok) + drl_loss_half(p, l->n, l->t, l->label, l->x_neg, 1.0, &ok);
    drl_net_spectral_grads(p->net);
    return ok;
}

/* A step of cooperative training: both levels from one noise, the proposal, the chain, both losses and both gradients, the last four from
 * the recorded negatives. */
static void cdrl_train_part(const parity *p, const cdrl_inputs *in)
{
    const drl_schedule *sc = p->schedule;
    parity of_initializer = *p;
    int n = in->n, i, ok = 1, *t = (int *)malloc((size_t)n * sizeof *t);
    size_t count = (size_t)n * p->size, j, lead = 0;
    float *t_next = vector(p, "train.t", (size_t)n), *level = (float *)malloc((size_t)n * sizeof *level), *g = (float *)malloc(count * sizeof *g);
    float *x0 = images(p, "train.x0", 0, n, NULL), *eps = images(p, "train.noise_data", 0, n, NULL), *x_t = images(p, "train.x_t", 0, n, NULL), *x_next = images(p, "train.x_t1", 0, n, NULL);
    float *draw = images(p, "train.noise_initializer", 0, n, NULL), *y_0 = images(p, "train.y_init", 0, n, NULL), *draws = images(p, "train.noise_langevin", 1, n, &lead);
    float *x_neg = images(p, "train.x_neg", 0, n, NULL), *energy_loss = vector(p, "train.energy_loss", 1), *initializer_loss = vector(p, "train.initializer_loss", 1);
    of_initializer.net = drl_model_initializer(p->model);
    for (i = 0; t && t_next && i < n; ++i) {
        t[i] = (int)t_next[i] - 1;                              /* recorded is the level of x_{t+1} */
        if (t[i] < 0 || t[i] >= p->levels) { problem(p, "train.t", "a level is out of range"); ok = 0; }
    }
    if (ok && t && t_next && level && g && x0 && eps && x_t && x_next && draw && y_0 && draws && x_neg && energy_loss && initializer_loss) {
        float *ours = (float *)malloc(count * sizeof *ours), loss;
        double sum = 0;
        drl_chain chain;
        cdrl_losses both;
        drl_batch b = drl_batch_of(n, x_next, level);
        for (j = 0; j < count; ++j) ours[j] = (float)(sc->abar[t[j / p->size]] * (double)x0[j] + sc->sbar[t[j / p->size]] * (double)eps[j]);
        line(p, "train.x_t", relative(ours, x_t, count), BOUND_VALUE, "");
        for (j = 0; j < count; ++j) ours[j] = (float)(sc->abar[t[j / p->size] + 1] * (double)x0[j] + sc->sbar[t[j / p->size] + 1] * (double)eps[j]);
        line(p, "train.x_t1", relative(ours, x_next, count), BOUND_VALUE, "");
        b.label = in->label;
        for (i = 0; i < n; ++i) level[i] = drl__schedule_level(sc, t[i] + 1);
        if (drl_net_train_forward(of_initializer.net, &b, g) != DRL_OK) ok = 0;
        for (j = 0; j < count; ++j) ours[j] = (float)((double)g[j] + drl__schedule_proposal(sc, t[j / p->size]) * (double)draw[j]);
        line(p, "train.y_init", relative(ours, y_0, count), BOUND_VALUE, "");
        chain.t = t; chain.label = in->label; chain.n = n; chain.steps = (int)lead; chain.start = ours; chain.x_next = x_next; chain.noise = draws;
        chain_compare(p, "train.x_neg", drl_chain_run, &chain, n, x_neg);
        both.n = n; both.t = t; both.label = in->label; both.x_t = x_t; both.x_neg = x_neg;
        if (!cdrl_loss_gradients(p, &both)) ok = 0;
        loss = (float)both.loss;
        line(p, "train.energy_loss", relative(&loss, energy_loss, 1), BOUND_VALUE, "");
        gradient_compare_kinks(p, "train.grad.", cdrl_loss_gradients, &both);
        for (j = 0; j < count; ++j) {                           /* g becomes the gradient by itself */
            double d = (double)ours[j] - drl_schedule_scale(sc, t[j / p->size]) * (double)x_neg[j];
            sum += d * d / n;
            g[j] = (float)(2 * d / n);
        }
        loss = (float)sum;
        line(p, "train.initializer_loss", relative(&loss, initializer_loss, 1), BOUND_VALUE, "");
        memset(drl_net_grads(of_initializer.net), 0, drl_net_params_size(of_initializer.net) * sizeof(float));
        if (drl_net_train_backward(of_initializer.net, g) != DRL_OK) ok = 0;
        gradient_compare(&of_initializer, "train.grad.");
        if (!ok) problem(p, "train", drl_ctx_message(p->ctx));
        free(ours);
    }
    free(t); free(t_next); free(level); free(g); free(x0); free(eps); free(x_t); free(x_next); free(draw); free(y_0); free(draws); free(x_neg); free(energy_loss); free(initializer_loss);
}

typedef struct cdrl_samples { const int *label; recorded noise; } cdrl_samples;

/* Progressive sampling, guided where there are classes, with the denoising step. */
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
    size_t draws = 0;
    float *noise = images(p, "sample.noise", 1, in->n, &draws), *out = noise ? images(p, "sample.out", 0, in->n, NULL) : NULL;
    if (out) {
        cdrl_samples s;
        s.label = in->label;
        s.noise.start = NULL; s.noise.draws = noise; s.noise.size = p->size; s.noise.n = in->n;
        if (draws != 1 + (size_t)p->levels * ((size_t)p->steps + 1)) problem(p, "sample.noise", "not as many draws as levels and steps need");
        else chain_compare(p, "sample.out", cdrl_samples_run, &s, in->n, out);
    }
    free(noise); free(out);
}

static void cdrl_file(parity *p)
{
    drl_model_desc d;
    cdrl_inputs in;
    const drl_array *x = find(p, "in.x", 4), *l = find(p, "out.logsnr_schedule", 1);
    const char *classes = drl__safetensors_meta(p->st, "classes"), *guide = drl__safetensors_meta(p->st, "guide");
    size_t i, weights = 0, inits = 0;
    memset(&d, 0, sizeof d);
    if (!x || !l) return;
    d.form = DRL_FORM_CDRL;
    d.channels = (int)x->shape[1]; d.height = (int)x->shape[2]; d.width = (int)x->shape[3];
    if (int_list(drl__safetensors_meta(p->st, "ebm_dim"), &d.base, 1) != 1 || int_list(drl__safetensors_meta(p->st, "ebm_blocks"), &d.blocks, 1) != 1 ||
        int_list(drl__safetensors_meta(p->st, "unet_dim"), &d.initializer, 1) != 1 || int_list(drl__safetensors_meta(p->st, "unet_blocks"), &d.initializer_blocks, 1) != 1 ||
        int_list(drl__safetensors_meta(p->st, "steps"), &d.steps, 1) != 1 || !classes || (strcmp(classes, "0") && int_list(classes, &d.classes, 1) != 1) || !guide) {
        problem(p, "metadata", "a size is missing or not a positive integer");
        return;
    }
    p->guide = strtod(guide, NULL);
    d.levels = (int)l->shape[0] - 1;
    d.trainable = 1;
    d.batch = (int)x->shape[0];
    if (drl_model_create(p->ctx, &d, 1, &p->model) != DRL_OK) { problem(p, "model", drl_ctx_message(p->ctx)); return; }
    p->net = drl_model_net(p->model);
    p->schedule = drl_model_schedule(p->model);
    p->h = d.height; p->w = d.width; p->c = d.channels; p->levels = d.levels; p->classes = d.classes; p->steps = d.steps;
    p->size = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
    for (i = 0; i < drl_safetensors_contents(p->st)->count; ++i) {
        weights += !strncmp(drl_safetensors_contents(p->st)->arrays[i].name, "energy.", 7);
        inits += !strncmp(drl_safetensors_contents(p->st)->arrays[i].name, "initializer.", 12);
    }
    if (weights != (size_t)drl__net_tensors(p->net)) problem(p, "energy.*", "the file has more or fewer weights than the described network");
    if (inits != (size_t)drl__net_tensors(drl_model_initializer(p->model))) problem(p, "initializer.*", "the file has more or fewer weights than the described network");
    if (drl_model_load_weights(p->model, p->st) != DRL_OK) { problem(p, "weights", drl_ctx_message(p->ctx)); return; }
    cdrl_schedule_part(p);
    if (cdrl_inputs_read(p, &in)) {
        cdrl_energy_part(p, &in);
        cdrl_initializer_part(p, &in);
        cdrl_train_part(p, &in);
        cdrl_sample_part(p, &in);
    }
    free(in.x); free(in.level); free(in.label);
}

/* -- files -- */

/* The kinds of reference files, told apart by a key of their metadata. */
static const struct { const char *key; void (*compare)(parity *p); } kinds[] = { { "base", drl_file }, { "ebm_dim", cdrl_file } };

static void compare_file(const char *path, drl_isa isa, int *runs)
{
    parity p;
    drl_ctx_desc d;
    const char *name = strrchr(path, '/');
    drl_status status;
    size_t i;
    memset(&p, 0, sizeof p);
    memset(&d, 0, sizeof d);
    d.isa = isa;
    p.file = name ? name + 1 : path;
    status = drl_ctx_create(&d, &p.ctx);
    if (status == DRL_E_UNSUPPORTED) return;
    ++*runs;
    if (status != DRL_OK) { problem(&p, "context", drl_status_text(status)); return; }
    if (drl_safetensors_open(p.ctx, path, &p.st) != DRL_OK) problem(&p, "cannot be read", drl_ctx_message(p.ctx));
    else {
        for (i = 0; i < sizeof kinds / sizeof kinds[0] && !drl__safetensors_meta(p.st, kinds[i].key); ++i) { }
        if (i < sizeof kinds / sizeof kinds[0]) kinds[i].compare(&p);
        else problem(&p, "metadata", "not a kind of reference file that is known here");
    }
    drl_model_destroy(p.model);
    drl_safetensors_close(p.st);
    drl_ctx_destroy(p.ctx);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    int i, isa, files = 0, runs = 0;
    for (i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--isa") && i + 1 < argc) only = argv[++i];
        else if (!strcmp(argv[i], "--all")) print_all = 1;
        else if (argv[i][0] == '-') { fprintf(stderr, "%s: not understood; parity [--isa portable|sse2|avx2|avx512|neon|wasm] [--all] FILE...\n", argv[i]); return 2; }
        else argv[++files] = argv[i];
    }
    if (!files) { printf("use: parity [--isa portable|sse2|fma128|avx2|avx512|neon|wasm] [--all] FILE...\n"); return 2; }
    for (i = 1; i <= files; ++i)
        for (isa = DRL_ISA_PORTABLE; isa <= DRL_ISA_WASM; ++isa)
            if (!only || !strcmp(only, drl_isa_name((drl_isa)isa))) compare_file(argv[i], (drl_isa)isa, &runs);
    if (!runs) { printf("parity: this machine has no instruction set '%s'\n", only ? only : ""); return 2; }
    return check_report("parity");
}
