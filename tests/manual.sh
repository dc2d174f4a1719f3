#!/bin/sh
# manual.sh - the code that people copy: what the manual at the top of drl.h shows step by step, and the
# programs of README.md, compiled as printed (training made short) and run. Ends with a line of counts.
cd "$(dirname "$0")/.." || exit 1
dir=build/manual
rm -rf $dir
mkdir -p $dir
passed=0 failed=0
WARN="-Wall -Wextra -Werror -Wconversion -Wshadow"
try() {         # WHAT COMMAND...
    what=$1
    shift
    if "$@" > $dir/said 2>&1; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAILED: $what"; tail -n 20 $dir/said; fi
}

# the first program, then all steps as one program, with what calls them
sed -n '1,/^ \* Public domain/s/^ \*     //p' drl.h | sed -n '/^#define/,/^}/p' > $dir/first.c
sed -n '/^ \* STEP BY STEP/,/^ \* REFERENCE/s/^ \*     //p' drl.h |
    sed 's/steps = 2000/steps = 2/' > $dir/steps.c
cat > $dir/all.c << 'END'
#define DRL_IMPLEMENTATION
#include "drl.h"
#include <stdio.h>
#include <string.h>
#include "steps.c"

static drl_status add_over_ranks(void *user, float *sum, size_t count)
{
    (void)user;
    (void)sum;
    (void)count;
    return DRL_E_IO;                        /* one rank alone asks nobody */
}

static double calls;
static double count_calls(void *user) { (void)user; return calls += 0.001; }
static int failures;
static void expect(int holds, const char *what)
{
    if (!holds) printf("not so: %s\n", what);
    failures += !holds;
}

int main(void)
{
    enum { COUNT = 6, SIDE = 8, SIZE = SIDE * SIDE * 3 };
    static uint8_t bytes[COUNT * SIZE], labels[COUNT] = { 1, 2, 1, 2, 1, 2 };
    static float pixels[4 * SIZE], again[SIZE], bright[SIZE];
    static double block[1 << 20];
    drl_dataset data = { 0 };
    drl_sample_desc how = { 0 };
    drl_model_desc own = { 0 }, trainable = { 0 };
    drl_train_desc share = { 0 };
    drl_run_desc run = { 0 };
    drl_trainer *t = NULL;
    drl_ctx *ctx = NULL, *fixed;
    drl_model *m = NULL;
    drl_sampler *s = NULL;
    double sum = 0;
    int i, frames = 1;
    for (i = 0; i < COUNT * SIZE; ++i) bytes[i] = (uint8_t)(i * 37);
    data.count = COUNT;
    data.height = data.width = SIDE;
    data.channels = 3;
    data.classes = 2;
    data.pixels = bytes;
    data.labels = labels;
    trainable.trainable = 1;
    drl_ctx_create(NULL, &ctx);
    expect(train(ctx, &data, "mine.safetensors") == DRL_OK, "train");
    expect(drl_model_load(ctx, "mine.safetensors", NULL, &m) == DRL_OK, "load");
    expect(hearts(m, pixels) == DRL_OK, "labels and guidance");
    expect(drl_sample(m, &how, bright) == DRL_OK, "sample");
    drl_sampler_create(m, &how, &s);
    while (frame(s, count_calls, again)) ++frames;
    expect(frames > 1 && !memcmp(again, bright, sizeof again), "frames give drl_sample's bits");
    drl_sampler_destroy(s);
    expect(dark_images(ctx, m, pixels) == DRL_OK, "a sum of energies");
    for (i = 0; i < SIZE; ++i) sum += (double)(pixels[i] - bright[i]);
    expect(sum < 0, "darker");
    drl_model_destroy(m);
    m = NULL;
    expect(drl_model_load(ctx, "mine.safetensors", &trainable, &m) == DRL_OK, "load to go on");
    one_of(1, 0, &share);
    share.batch = 8;
    expect(drl_trainer_create(m, &share, &t) == DRL_OK, "one of several machines");
    run.steps = 1;
    expect(drl_train(t, &data, &run) == DRL_OK, "one step of it");
    drl_trainer_destroy(t);
    drl_model_destroy(m);
    own.height = SIDE;
    own.channels = 3;
    own.build = build;
    own.build_user = &own;
    own.width = SIDE;
    fixed = in_block(block, sizeof block);
    expect(drl_model_create(fixed, &own, 1, &m) == DRL_OK, "a network of one's own, in a block");
    expect(drl_sample(m, &how, again) == DRL_OK, "and samples of it");
    drl_model_destroy(m);
    drl_ctx_destroy(fixed);
    expect(in_block(block, 100) == NULL, "a block that is too small");
    expect(drl_ctx_status(ctx) == DRL_OK, drl_ctx_message(ctx));
    drl_ctx_destroy(ctx);
    return failures > 0;
}
END
try "the first program of drl.h" cc $WARN -DDRL_NO_SIMD -I. $dir/first.c -o $dir/first -lm
try "the steps of the manual" cc -O1 $WARN -DDRL_NO_SIMD -I. $dir/all.c -o $dir/all -lm
[ -x $dir/all ] && try "the steps, run" sh -c "cd $dir && ./all"

# each program of README.md: from its first line to the closing brace at the margin
sed -n 's/^    //p' README.md | awk -v dir=$dir '/^#define DRL_IMPLEMENTATION/ { n++; on = 1 }
    on { print > (dir "/readme" n ".c") } /^}/ { on = 0 }'
for f in $dir/readme*.c; do
    [ -f "$f" ] || { echo "FAILED: README.md has no program"; failed=$((failed + 1)); break; }
    sed -i 's/steps = [0-9]*/steps = 2/' $f
    try "$f" cc -O1 -DDRL_NO_SIMD -I. $f -o ${f%.c} -lm
    [ -x ${f%.c} ] && try "$f, run" sh -c "cd $dir && ./$(basename ${f%.c})"
done
echo "manual: $passed passed, $failed failed"
[ $failed -eq 0 ]
