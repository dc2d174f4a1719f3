/* soak.c - does anything grow, slow down or leave the finite numbers? 100,000 training steps of a tiny model and 10,000 cycles of saving and
 * loading a checkpoint and a model (make soak). Checks that the memory held never changes, that nothing is allocated by steps, that the
 * median time of a step in the last tenth is that of the first (within a half: other programs run, too), and that the reports stay finite.
 *
 *     soak [STEPS [CYCLES]] */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "check.h"
#include <time.h>
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

static int by_size(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return x < y ? -1 : x > y; }
static double median(double *v, long n) { qsort(v, (size_t)n, sizeof *v, by_size); return v[n / 2]; }
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }        /* of this process: others do not count */

int main(int argc, char **argv)
{
    long steps = argc > 1 ? atol(argv[1]) : 100000, cycles = argc > 2 ? atol(argv[2]) : 10000, i, k, calls, live, group = steps / TENTHS, rollbacks = 0, first_resident = 0;
    check_heap heap;
    drl_ctx_desc cd;
    drl_model_desc md;
    drl_train_desc td;
    drl_ctx *ctx = NULL;
    drl_model *model = NULL;
    drl_trainer *trainer = NULL;
    drl_train_report r;
    double *time_of, tenth[TENTHS], cycle[TENTHS], begin;
    size_t bytes, used;
    char path[2][140];
    memset(&heap, 0, sizeof heap);
    memset(&cd, 0, sizeof cd);
    memset(&md, 0, sizeof md);
    memset(&td, 0, sizeof td);
    cd.allocator.alloc_fn = check_alloc; cd.allocator.free_fn = check_free; cd.allocator.user = &heap;
    md.height = 8; md.base = 4; md.resolutions = 2; md.levels = 3; md.steps = 2; md.batch = BATCH; md.trainable = 1;
    td.batch = BATCH; td.seed = 11; td.learning_rate = 1e-6f; td.data_noise = 0.1f;      /* so short chains diverge at larger rates */
    if (steps < 10 * TENTHS || cycles < TENTHS) return 1;
    time_of = (double *)malloc((size_t)(group > cycles / TENTHS ? group : cycles / TENTHS) * sizeof *time_of);
    if (!time_of) return 3;
    CHECK(drl_ctx_create(&cd, &ctx) == DRL_OK, "no context");
    CHECK_OK(ctx, drl_model_create(ctx, &md, 1, &model));
    CHECK_OK(ctx, drl_trainer_create(model, &td, &trainer));
    if (check_failed) return check_report("soak");
    calls = heap.calls; live = heap.live; bytes = heap.bytes; used = drl_ctx_bytes_used(ctx);
    for (k = 0; k < TENTHS; ++k) {
        for (i = 0; i < group; ++i) {
            drl_rng rng = drl_trainer_rng(trainer);
            float x[BATCH * IMAGE], low = 0;
            drl_status status;
            int j;
            for (j = 0; j < BATCH * IMAGE; ++j) {
                if (j % IMAGE == 0) low = drl_rng_uniform(&rng) - 0.5f;
                x[j] = low + 0.05f * (float)(j % 8);
            }
            begin = seconds();
            status = drl_trainer_step(trainer, x, NULL, &r);
            time_of[i] = seconds() - begin;
            if (status == DRL_E_DIVERGED) {             /* it may, with so small a network; it has to go on after a rollback */
                drl_ctx_clear(ctx);
                CHECK_OK(ctx, drl_trainer_rollback(trainer));
                ++rollbacks;
                if (check_failed) break;
                continue;
            }
            if (status != DRL_OK || !(fabs(r.loss) < 1e6) || !(r.grad_norm < 1e6) || !(fabs(r.level[0].f_pos) < 1e6) || !(r.level[0].gradient < 1e6)) {
                CHECK(0, "step %lu: %s, loss %g, gradient %g, f %g", (unsigned long)r.step, drl_ctx_message(ctx), r.loss, r.grad_norm, r.level ? r.level[0].f_pos : 0.0);
                break;
            }
        }
        tenth[k] = median(time_of, group);
        if (!k) first_resident = resident();
        CHECK(heap.calls == calls && heap.bytes == bytes && drl_ctx_bytes_used(ctx) == used, "tenth %ld: %ld allocations, %lu bytes held", k, heap.calls - calls, (unsigned long)heap.bytes);
        printf("steps %7ld .. %7ld: %.1f us a step (median), loss %g, gradient %g, %ld rollbacks, %ld kB resident\n", k * group, (k + 1) * group, tenth[k] * 1e6, r.loss, r.grad_norm, rollbacks, resident());
        fflush(stdout);
    }
    CHECK(tenth[TENTHS - 1] < 1.5 * tenth[0] && tenth[0] < 1.5 * tenth[TENTHS - 1], "a step took %g us in the first tenth, %g in the last", tenth[0] * 1e6, tenth[TENTHS - 1] * 1e6);
    CHECK(resident() <= first_resident + 256, "%ld kB resident, %ld after the first tenth", resident(), first_resident);

    strcpy(path[0], check_path("soak.checkpoint"));
    strcpy(path[1], check_path("soak.model"));
    for (k = 0; k < TENTHS; ++k) {
        for (i = 0; i < cycles / TENTHS; ++i) {
            drl_model *m = NULL;
            begin = seconds();
            CHECK_OK(ctx, drl_trainer_save(trainer, path[0]));
            CHECK_OK(ctx, drl_trainer_resume(trainer, path[0]));
            CHECK_OK(ctx, drl_model_save(model, path[1]));
            CHECK_OK(ctx, drl_model_load(ctx, path[1], &m));
            drl_model_destroy(m);
            time_of[i] = seconds() - begin;
            if (check_failed) break;
        }
        cycle[k] = median(time_of, cycles / TENTHS);
        if (!k) first_resident = resident();
        CHECK(heap.live == live && heap.bytes == bytes && drl_ctx_bytes_used(ctx) == used, "tenth %ld: %ld blocks and %lu bytes held, %ld and %lu before", k, heap.live, (unsigned long)heap.bytes, live, (unsigned long)bytes);
        printf("cycles %6ld .. %6ld: %.1f us a cycle (median), %ld kB resident\n", k * (cycles / TENTHS), (k + 1) * (cycles / TENTHS), cycle[k] * 1e6, resident());
        fflush(stdout);
    }
    CHECK(cycle[TENTHS - 1] < 1.5 * cycle[0], "a cycle took %g us in the first tenth, %g in the last", cycle[0] * 1e6, cycle[TENTHS - 1] * 1e6);
    CHECK(resident() <= first_resident + 256, "%ld kB resident, %ld after the first tenth", resident(), first_resident);
    printf("%lu steps, %ld cycles, %lu bytes held, %ld kB resident\n", (unsigned long)drl_trainer_steps(trainer), cycles, (unsigned long)heap.bytes, resident());
    remove(path[0]); remove(path[1]);
    drl_trainer_destroy(trainer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    CHECK(heap.live == 0, "%ld blocks are left", heap.live);
    free(time_of);
    return check_report("soak");
}
