/* mps2.h - the Arm MPS2 boards as qemu has them, without an operating system: text and the end of the
 * program by semihosting, a timer, and the start. mps2.ld is the linker script. Include it in the file that
 * has main; on a board of one's own these few functions are others. */
#ifndef MPS2_H
#define MPS2_H
#include <stdint.h>

int main(void);

/* Semihosting: the debugger, here the emulator, writes and ends the program. */
static inline int ask(int what, const void *with)
{
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile ("bkpt 0xAB" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
}

static inline void stop(const char *text, int code)
{
    uint32_t why[2];
    why[0] = 0x20026;       /* the application has ended */
    why[1] = (uint32_t)code;
    ask(0x04, text);
    ask(0x20, why);
    for (;;) {}
}

/* A name and a number of eight hexadecimal digits. */
static inline void say(const char *name, uint32_t v)
{
    char text[9];
    int i;
    for (i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[v >> (28 - 4 * i) & 15];
    text[8] = 0;
    ask(0x04, name);
    ask(0x04, text);
    ask(0x04, "\n");
}

/* A name and a decimal number. */
static inline void say_decimal(const char *name, uint32_t v)
{
    char text[11], *digit = text + 10;
    *digit = 0;
    do *--digit = (char)('0' + v % 10); while (v /= 10);
    ask(0x04, name);
    ask(0x04, digit);
    ask(0x04, "\n");
}

/* The board's first timer counts down at 25 MHz. With `-icount shift=0` the emulator's time is a nanosecond
 * an instruction: 40 of them a count. */
#define TIMER ((volatile uint32_t *)0x40000000)
static inline void timer_start(void)
{
    TIMER[2] = TIMER[1] = 0xFFFFFFFFu;
    TIMER[0] = 1;
}
static inline uint64_t timer_instructions(void) { return (uint64_t)(0xFFFFFFFFu - TIMER[1]) * 40; }

/* The start: what the linker script names, then the table at address 0 of the stack's top, the first
 * instruction and where faults go. */
extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
void start(void);
static void fault(void) { stop("fault\n", 1); }

void start(void)
{
    uint32_t *from = data_from, *to;
    for (to = data_begin; to < data_end; ) *to++ = *from++;
    for (to = bss_begin; to < bss_end; ) *to++ = 0;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;      /* coprocessors 10 and 11: the floating-point unit */
    __asm__ volatile ("dsb\n isb");
#endif
    main();
}

__attribute__((section(".vectors"), used)) static void *const vectors[] = {
    stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault
};
#endif
