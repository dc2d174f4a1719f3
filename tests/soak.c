/* soak.c - does anything grow, slow down or leave the finite numbers? 100,000 training steps of a tiny model
 * and 10,000 cycles of saving and loading a checkpoint and a model (make soak). Checks that the memory held
 * never changes, that nothing is allocated by steps, that the reports stay finite, and that in the last tenth
 * a step and a cycle take the time of a trainer's made just then, measured in turns with it (within a
 * quarter; the first tenth is printed, but the machine may have been another one then).
 *
 *     soak [STEPS [CYCLES]]
 *
 * Ctrl-C ends it with what was checked so far. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include "../examples/options.h"
#include "../examples/picture.h"
#include "../examples/training.h"
#if defined(__linux__)
#include <unistd.h>
static long resident(void)              /* kB */
{
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) { if (fscanf(f, "%ld %ld", &all, &pages) != 2) pages = 0; fclose(f); }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}
#else
static long resident(void) { return 0; }
#endif

#define BATCH 4
#define IMAGE 64
#define TENTHS 10

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static double median(double *v, long n) { qsort(v, (size_t)n, sizeof *v, by_size); return v[n / 2]; }
/* of this process: others do not count */
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

typedef struct run {
    check_heap heap;
    drl_ctx *ctx;
    drl_model *model;
    drl_trainer *trainer;
    long rollbacks;
} run;

static void begin(run *r)
{
    drl_ctx_desc cd;
    drl_model_desc md;
    drl_train_desc td;
    memset(r, 0, sizeof *r);
    memset(&cd, 0, sizeof cd);
    memset(&md, 0, sizeof md);
    memset(&td, 0, sizeof td);
    cd.allocator.alloc_fn = check_alloc; cd.allocator.free_fn = check_free; cd.allocator.user = &r->heap;
    md.height = 8;
    md.base = 4;
    md.resolutions = 2;
    md.levels = 3;
    md.steps = 2;
    md.batch = BATCH;
    md.trainable = 1;
    td.batch = BATCH;
    td.seed = 11;
    td.learning_rate = 1e-6f;           /* so short chains diverge at larger rates */
    td.data_noise = 0.1f;
    CHECK(drl_ctx_create(&cd, &r->ctx) == DRL_OK, "no context");
    CHECK_OK(r->ctx, drl_model_create(r->ctx, &md, 1, &r->model));
    CHECK_OK(r->ctx, drl_trainer_create(r->model, &td, &r->trainer));
    if (check_failed) exit(check_report("soak"));
}

static void end(run *r)
{
    drl_trainer_destroy(r->trainer);
    drl_model_destroy(r->model);
    drl_ctx_destroy(r->ctx);
    CHECK(r->heap.live == 0, "%ld blocks are left", r->heap.live);
}

/* One step; its seconds. */
static double step(run *r, drl_train_report *report)
{
    drl_rng rng = drl__trainer_rng(r->trainer);
    float x[BATCH * IMAGE], low = 0;
    drl_status status;
    double t;
    int j;
    for (j = 0; j < BATCH * IMAGE; ++j) {
        if (j % IMAGE == 0) low = drl_rng_uniform(&rng) - 0.5f;
        x[j] = low + 0.05f * (float)(j % 8);
    }
    t = seconds();
    status = drl_trainer_step(r->trainer, x, NULL, report);
    t = seconds() - t;
    /* it may, with so small a network; it has to go on after a rollback */
    if (status == DRL_E_DIVERGED) {
        drl_ctx_clear(r->ctx);
        CHECK_OK(r->ctx, drl_trainer_rollback(r->trainer));
        ++r->rollbacks;
    } else
        CHECK(status == DRL_OK && fabs(report->loss) < 1e6 && report->grad_norm < 1e6 &&
                  fabs(report->level[0].f_pos) < 1e6 && report->level[0].gradient < 1e6,
              "step %lu: %s, loss %g, gradient %g", (unsigned long)report->step, drl_ctx_message(r->ctx),
              report->loss, report->grad_norm);
    return t;
}

/* One cycle of saving and loading; its seconds. */
static double cycle(run *r, const char *checkpoint, const char *model)
{
    drl_model *m = NULL;
    double t = seconds();
    CHECK_OK(r->ctx, drl_trainer_save(r->trainer, checkpoint));
    CHECK_OK(r->ctx, drl_trainer_resume(r->trainer, checkpoint));
    CHECK_OK(r->ctx, drl_model_save(r->model, DRL_DTYPE_F32, model));
    CHECK_OK(r->ctx, drl_model_load(r->ctx, model, NULL, &m));
    drl_model_destroy(m);
    return seconds() - t;
}

int main(int argc, char **argv)
{
    long steps = argc > 1 ? atol(argv[1]) : 100000, cycles = argc > 2 ? atol(argv[2]) : 10000;
    long i, k, calls, live, first_resident = 0;
    long group = steps / TENTHS, cycle_group = cycles / TENTHS,
         most = group > cycle_group ? group : cycle_group;
    run old, young;
    drl_train_report r;
    double *time_of, *time_young, t, t_young = 0;
    size_t bytes, used;
    char path[2][140];
    if (argc > 3 || steps < 10 * TENTHS || cycles < TENTHS) {
        fprintf(stderr, "soak [STEPS [CYCLES]], at least %d and %d\n", 10 * TENTHS, TENTHS);
        return 2;
    }
    time_of = (double *)malloc((size_t)most * sizeof *time_of);
    time_young = (double *)malloc((size_t)most * sizeof *time_young);
    if (!time_of || !time_young) return 3;
    training_catch();
    begin(&old);
    calls = old.heap.calls; live = old.heap.live; bytes = old.heap.bytes; used = drl_ctx_bytes_used(old.ctx);
    for (k = 0; k < TENTHS && !check_failed && !training_stop; ++k) {
        int last = k == TENTHS - 1;
        if (last) begin(&young);
        for (i = 0; i < group && !check_failed && !training_stop; ++i) {
            if (last) time_young[i] = step(&young, &r);
            time_of[i] = step(&old, &r);
        }
        if (training_stop && last) end(&young);
        if (training_stop) break;
        t = median(time_of, i);
        if (last) t_young = median(time_young, i);
        if (last) end(&young);
        if (!k) first_resident = resident();
        CHECK(old.heap.calls == calls && old.heap.bytes == bytes && drl_ctx_bytes_used(old.ctx) == used,
              "tenth %ld: %ld allocations, %lu bytes held", k, old.heap.calls - calls,
              (unsigned long)old.heap.bytes);
        printf("steps %7ld .. %7ld: %.1f us a step (median), loss %g, gradient %g, %ld rollbacks, %ld kB\n",
               k * group, (k + 1) * group, t * 1e6, r.loss, r.grad_norm, old.rollbacks, resident());
        fflush(stdout);
        if (last)
            CHECK(t < 1.25 * t_young, "a step took %g us, one of a new trainer %g", t * 1e6, t_young * 1e6);
    }
    /* another trainer was there, for a tenth */
    CHECK(resident() <= first_resident + 512, "%ld kB resident, %ld after the first tenth", resident(),
          first_resident);

    strcpy(path[0], check_path("soak.checkpoint"));
    strcpy(path[1], check_path("soak.model"));
    for (k = 0; k < TENTHS && !check_failed && !training_stop; ++k) {
        int last = k == TENTHS - 1;
        if (last) begin(&young);
        for (i = 0; i < cycle_group && !check_failed && !training_stop; ++i) {
            if (last) time_young[i] = cycle(&young, path[0], path[1]);
            time_of[i] = cycle(&old, path[0], path[1]);
        }
        if (training_stop && last) end(&young);
        if (training_stop) break;
        t = median(time_of, i);
        if (last) t_young = median(time_young, i);
        if (last) end(&young);
        if (!k) first_resident = resident();
        CHECK(old.heap.live == live && old.heap.bytes == bytes && drl_ctx_bytes_used(old.ctx) == used,
              "tenth %ld: %ld blocks and %lu bytes held, %ld and %lu before", k, old.heap.live,
              (unsigned long)old.heap.bytes, live, (unsigned long)bytes);
        printf("cycles %6ld .. %6ld: %.1f us a cycle (median), %ld kB resident\n", k * cycle_group,
               (k + 1) * cycle_group, t * 1e6, resident());
        fflush(stdout);
        if (last)
            CHECK(t < 1.25 * t_young, "a cycle took %g us, one of a new trainer %g", t * 1e6, t_young * 1e6);
    }
    CHECK(resident() <= first_resident + 512, "%ld kB resident, %ld after the first tenth", resident(),
          first_resident);
    if (training_stop) printf("stopped, with the checks below made so far\n");
    printf("%lu steps, %ld cycles, %lu bytes held, %ld kB resident\n",
           (unsigned long)drl_trainer_steps(old.trainer), cycles, (unsigned long)old.heap.bytes, resident());
    remove(path[0]); remove(path[1]);
    end(&old);
    free(time_of);
    free(time_young);
    return check_report("soak");
}
