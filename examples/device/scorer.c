/* scorer.c - a microcontroller without an operating system scores windows of a signal: the weights stay in
 * flash, and there is no heap, no stdio, no context.
 *
 * On the computer, 14_anomaly.c trains the model and writes the windows, with the scores and AUROC that it
 * finds there; 13_model_to_c.c --scorer writes the scorer. The device prints code, memory and instructions,
 * how many of its scores have the same bits as the computer's (all, unless the computer's instruction set is
 * unfused), and the AUROC of each kind of anomaly, which must have the same bits.
 *
 *     build/14_anomaly --out build/anomaly
 *     build/13_model_to_c build/anomaly.safetensors --scorer 0 --out build/anomaly-scorer
 *     arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -Os -ffreestanding \
 *         -nostartfiles -Ibuild -T examples/device/mps2.ld examples/device/scorer.c -o build/scorer.elf -lm
 *     qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
 *         -semihosting-config enable=on,target=native -kernel build/scorer.elf
 *
 * Needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm. DRL_STATIC lets the compiler
 * leave out all that is not called. MAX_CODE, MAX_RAM (bytes) and MAX_INSTRUCTIONS (a score) may be defined:
 * the program fails above them. */
#include "mps2.h"
#define DRL_NO_MALLOC
#define DRL_NO_STDIO
#define DRL_NO_SIMD
#define DRL_STATIC
#define DRL_ASSERT(condition) ((void)0)
#define DRL_IMPLEMENTATION
#include "../../drl.h"
#include "anomaly-scorer.h"
#include "anomaly-test.h"

#ifndef MAX_CODE
#define MAX_CODE 40000
#define MAX_RAM 16000
#define MAX_INSTRUCTIONS 100000
#endif
#define PAINT 0x5ca1ab1eu

static float score[TEST_KINDS][TEST_WINDOWS], work[model_WORK];

int main(void)
{
    const uint32_t weights = sizeof model + sizeof model_step + sizeof model_weight;
    uint32_t *paint, code, ram, instructions;
    double area = 0;
    int kind, i, same = 1, bits = 0;
    for (paint = bss_end; paint < (uint32_t *)__builtin_frame_address(0) - 64; ++paint) *paint = PAINT;
    timer_start();
    for (kind = 0; kind < TEST_KINDS; ++kind) for (i = 0; i < TEST_WINDOWS; ++i) {
        const float *x = test_window[kind] + i * TEST_SIZE;
        if (drl_scorer_run(&model, x, &score[kind][i], work) != DRL_OK) stop("a score fails\n", 1);
    }
    instructions = (uint32_t)(timer_instructions() / (TEST_KINDS * TEST_WINDOWS));
    for (paint = bss_end; *paint == PAINT; ++paint) {}          /* down to here the stack was used */
    ram = (uint32_t)((stack_top - paint) + (bss_end - data_begin)) * 4;
    code = (uint32_t)(uintptr_t)data_from + (uint32_t)(data_end - data_begin) * 4 - weights -
           (uint32_t)(sizeof test_window + sizeof test_score + sizeof test_auroc);
    for (kind = 0; kind < TEST_KINDS; ++kind) for (i = 0; i < TEST_WINDOWS; ++i)
        bits += !memcmp(&score[kind][i], &test_score[kind][i], sizeof(float));
    say_decimal("bytes of code ", code);
    say_decimal("bytes of weights and steps ", weights);
    say_decimal("bytes of memory, the stack included ", ram);
    say_decimal("instructions a score ", instructions);
    say_decimal("scores ", TEST_KINDS * TEST_WINDOWS);
    say_decimal("scores with the bits of the computer's ", (uint32_t)bits);
    for (kind = 1; kind < TEST_KINDS; ++kind) {
        if (drl_auroc(NULL, score[0], TEST_WINDOWS, score[kind], TEST_WINDOWS, &area) != DRL_OK)
            stop("no AUROC\n", 1);
        say_decimal("AUROC in millionths ", (uint32_t)(area * 1e6 + 0.5));
        same = same && area == test_auroc[kind];
    }
    if (code > MAX_CODE) stop("more code than it should be\n", 1);
    if (ram > MAX_RAM) stop("more memory than it should take\n", 1);
    if (!instructions) stop("no time has passed: qemu without -icount shift=0\n", 1);
    if (instructions > MAX_INSTRUCTIONS) stop("more instructions than it should take\n", 1);
    if (!same) stop("another AUROC than on the computer\n", 1);
    stop("the AUROC of the computer\n", 0);
    return 0;
}
