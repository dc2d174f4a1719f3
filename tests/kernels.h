/* kernels.h - counts how often every kernel of every instruction set runs. Included by check.h after drl.h:
 * contexts that a test makes get a table of counting functions in front of the real one, and check_report
 * prints a line a set, "kernels: avx2 conv=12 conv_dw=4 ...". `make test` adds the lines of all programs up
 * and fails if a kernel of a set of this machine has not run. */
#ifndef KERNELS_H
#define KERNELS_H

#define KERNEL_NUMBER(set, name) KERNEL_##name,
enum { DRL__SPAN_KERNELS(KERNEL_NUMBER, none) KERNEL_dot16, KERNEL_peak, KERNEL_COUNT };
#define KERNEL_NAME(set, name) #name,
static const char *const kernel_names[] = { DRL__SPAN_KERNELS(KERNEL_NAME, none) "dot16", "peak" };

static long kernel_runs[DRL_ISA_WASM + 1][KERNEL_COUNT];
static void kernel_ran(int set, int kernel)
{
#ifdef __GNUC__
    /* jobs may run on several threads */
    __atomic_fetch_add(&kernel_runs[set][kernel], 1, __ATOMIC_RELAXED);
#else
    ++kernel_runs[set][kernel];
#endif
}

#define KERNEL_WRAPPER(set, name)                                                        \
    static void count_##name##_##set(const void *arg, size_t begin, size_t end, int job) \
    {                                                                                    \
        kernel_ran((int)drl__table_##set.isa, KERNEL_##name);                            \
        drl__table_##set.name(arg, begin, end, job);                                     \
    }
#define KERNEL_SETTER(set, name) t->name = count_##name##_##set;
#define KERNEL_SET(set)                                                      \
    DRL__SPAN_KERNELS(KERNEL_WRAPPER, set)                                   \
    static float count_dot16_##set(const float *a, const float *b, size_t n) \
    {                                                                        \
        kernel_ran((int)drl__table_##set.isa, KERNEL_dot16);                 \
        return drl__table_##set.dot16(a, b, n);                              \
    }                                                                        \
    static double count_peak_##set(size_t rounds)                            \
    {                                                                        \
        kernel_ran((int)drl__table_##set.isa, KERNEL_peak);                  \
        return drl__table_##set.peak(rounds);                                \
    }                                                                        \
    static const drl__kernels *kernels_of_##set(void)                        \
    {                                                                        \
        static drl__kernels table, *t = &table;                              \
        *t = drl__table_##set;                                               \
        DRL__SPAN_KERNELS(KERNEL_SETTER, set)                                \
        t->dot16 = count_dot16_##set;                                        \
        t->peak = count_peak_##set;                                          \
        return t;                                                            \
    }
KERNEL_SET(portable)
#ifdef DRL__X86
KERNEL_SET(sse2)
#ifdef DRL__FMA128
KERNEL_SET(fma128)
#endif
KERNEL_SET(avx2)
KERNEL_SET(avx512)
#endif
#ifdef DRL__ARM64
KERNEL_SET(neon)
#endif
#ifdef DRL__WASM
KERNEL_SET(wasm)
#endif

/* The table may hold nothing but what is counted above, or this does not compile. */
typedef struct kernels_shape {
    drl_isa isa;
    int numbers[3];
    drl__span_fn spans[KERNEL_dot16];
    float (*dot16)(const float *, const float *, size_t);
    double (*peak)(size_t);
} kernels_shape;
typedef char kernels_are_all_named[sizeof(drl__kernels) == sizeof(kernels_shape) ? 1 : -1];

CHECK_MAYBE_UNUSED static drl_status kernels_ctx_create(const drl_ctx_desc *desc, drl_ctx **out)
{
    drl_status status = drl_ctx_create(desc, out);
    if (status != DRL_OK) return status;
    switch ((*out)->isa) {
#ifdef DRL__X86
    case DRL_ISA_SSE2:   (*out)->kernels = kernels_of_sse2(); break;
#ifdef DRL__FMA128
    case DRL_ISA_FMA128: (*out)->kernels = kernels_of_fma128(); break;
#endif
    case DRL_ISA_AVX2:   (*out)->kernels = kernels_of_avx2(); break;
    case DRL_ISA_AVX512: (*out)->kernels = kernels_of_avx512(); break;
#endif
#ifdef DRL__ARM64
    case DRL_ISA_NEON:   (*out)->kernels = kernels_of_neon(); break;
#endif
#ifdef DRL__WASM
    case DRL_ISA_WASM:   (*out)->kernels = kernels_of_wasm(); break;
#endif
    default:             (*out)->kernels = kernels_of_portable(); break;
    }
    return status;
}
#define drl_ctx_create kernels_ctx_create

/* One line for every set of this machine, whether it ran or not. */
CHECK_MAYBE_UNUSED static void kernels_report(void)
{
    int set, k;
    for (set = DRL_ISA_PORTABLE; set <= DRL_ISA_WASM; ++set) {
        if (!drl__kernels_of((drl_isa)set)) continue;
        printf("kernels: %s", drl_isa_name((drl_isa)set));
        for (k = 0; k < KERNEL_COUNT; ++k) printf(" %s=%ld", kernel_names[k], kernel_runs[set][k]);
        printf("\n");
    }
}
#endif
