/* 12_mpi.c - one training run on several machines. Needs an MPI library and its compiler, mpicc (Debian:
 * apt-get install libopenmpi-dev openmpi-bin); built by a plain cc the program only says so.
 *
 * Shows: the hook that adds gradients over ranks, the same bits for any number of them, one checkpoint for
 * all, failures that end every rank.
 *
 *     mpicc -O2 -DDRL_THREADS examples/12_mpi.c -o train_mpi -lm
 *     mpirun -np 2 ./train_mpi --minutes 5
 *     mpirun -np 4 ./train_mpi --resume                   # goes on, with other ranks, to the same bits
 *     mpirun --hostfile HOSTS -np 8 --bind-to none ./train_mpi --groups 8 --threads 4
 *
 * Trains on the sprites of 02, 16 x 16 RGBA. The batch, --batch N images (32), is cut into --groups N: a
 * power of two, by default 4, or as many as there are ranks. There may be as many ranks as groups, also a
 * power of two. The result depends on the groups, not on the ranks: one rank, without mpirun, does the same
 * in more time. All ranks need the same program, the same options and an instruction set of the same bits (as
 * all have that know FMA). The first one writes PREFIX.checkpoint and PREFIX.safetensors, from which
 * 03_sample draws. With --resume each rank reads the checkpoint.
 * Options: 02's --minutes X or --steps N  --resume  --every N  --out PREFIX  --f16  --seed N  --base N
 *   --blocks N  --levels N  --k N  --b2 X  --initializer N  --batch N  --lr X  --initializer-lr X  --target L
 *   --warmup N  --noise X  --flip  --shift N  --palette  --threads N (of each rank)  --isa NAME
 * Ends with images per second, and the bytes that a rank has sent per step. Ctrl-C stops all ranks after the
 * step, and saves.
 */
#if !defined(HAVE_MPI) && defined(__has_include)
#if __has_include(<mpi.h>)
#define HAVE_MPI 1
#endif
#endif

#ifndef HAVE_MPI
#include <stdio.h>
int main(void)
{
    fprintf(stderr, "12_mpi: built without MPI; install it and build with mpicc -O2 examples/12_mpi.c -lm\n");
    return 1;
}
#else
#include <mpi.h>
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "picture.h"
#include "sprites.h"

static const char usage[] = "train_mpi [--groups N] [--threads N] [--isa NAME]\n      " TRAINING_USAGE "\n";

#define CHUNK (1 << 16)                     /* floats of a message: 256 kB */

typedef struct ranks {
    int count, own;
    int broken;                             /* nonzero: a message has failed */
    double sent;                            /* bytes */
    float other[CHUNK];                     /* a partner's sum */
} ranks;

/* sum <- its sum over all ranks, by recursive doubling: first with the neighbour, then with a rank two away,
 * four away. Both partners add the same two numbers, so all ranks end with the same bits. */
static drl_status add_ranks(void *user, float *sum, size_t count)
{
    ranks *r = (ranks *)user;
    size_t at, i;
    int distance;
    for (distance = 1; distance < r->count; distance *= 2)
        for (at = 0; at < count; at += CHUNK) {
            size_t left = count - at;
            int n = left < CHUNK ? (int)left : CHUNK, partner = r->own ^ distance;
            if (MPI_Sendrecv(sum + at, n, MPI_FLOAT, partner, 0, r->other, n, MPI_FLOAT, partner, 0,
                             MPI_COMM_WORLD, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
                r->broken = 1;
                return DRL_E_IO;
            }
            for (i = 0; i < (size_t)n; ++i) sum[at + i] += r->other[i];
            r->sent += 4.0 * n;
        }
    return DRL_OK;
}

/* Nonzero if all ranks are ready: one that is not must not leave the others waiting. */
static int all_ready(int ready)
{
    int all = 0;
    MPI_Allreduce(&ready, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all;
}

int main(int argc, char **argv)
{
    static ranks r;
    options o;
    drl_dataset sprites;
    training t;
    drl_status status = DRL_E_MEMORY;
    int failed = 1;
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS) return 1;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_size(MPI_COMM_WORLD, &r.count);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.own);
    memset(&t, 0, sizeof t);
    memset(&sprites, 0, sizeof sprites);
    o = options_of(argc, argv);
    t.ctx = options_context(&o);
    t.name = r.own == 0 ? "training" : NULL;
    t.data = &sprites;
    t.user = &t;
    t.train_desc.batch = 32;
    t.train_desc.groups = option_int(&o, "--groups", r.count > 4 ? r.count : 4);
    t.model_desc.height = SPRITE_SIZE;
    t.model_desc.channels = 4;
    t.model_desc.form = DRL_FORM_CDRL;
    t.model_desc.schedule = DRL_SCHEDULE_SHIFTED;
    t.model_desc.levels = 12;
    t.model_desc.steps = 3;
    t.model_desc.classes = SPRITE_CLASSES;
    training_options(&o, &t, "mpi", 10);
    if (options_rest(&o, usage)) {
        fprintf(stderr, "options only:\n%s", usage);
        return 2;                           /* mpirun ends the other ranks, as after every exit here */
    }

    t.train_desc.ranks = r.count;
    t.train_desc.rank = r.own;
    t.train_desc.reduce = add_ranks;
    t.train_desc.reduce_user = &r;
    if (sprites_create(1, 4000, SPRITE_CLASSES, &sprites)) status = training_open(&t);
    if (!all_ready(status == DRL_OK)) {
        failed = training_failure(&t, status);
        if (!failed) fprintf(stderr, "rank %d: another one cannot begin\n", r.own);
        failed = 1;
    } else {
        if (r.own) t.prefix = NULL;                             /* the first rank writes for all */
        else training_print(&t, sprites.count);
        r.sent = 0;
        status = training_run(&t);
        failed = training_failure(&t, status);
        if (!r.own && !failed && t.spent > 0)
            printf("%d ranks, %d groups: %.2f images/s, %.0f bytes sent by each rank per step\n", r.count,
                   t.train_desc.groups, (double)t.steps * t.train_desc.batch / t.spent,
                   r.sent / ((double)t.steps + 1));
    }
    drl_model_destroy(t.model);
    sprites_destroy(&sprites);
    drl_ctx_destroy(t.ctx);
    /* What fails in the library fails on all ranks. A message may have failed on this one alone. */
    if (failed && r.broken) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return failed;
}
#endif
