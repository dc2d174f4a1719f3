/* 13_model_to_c.c - a model as C, for programs without files: all of it, or a scorer.
 *
 * Shows: drl_model_save_memory, a context within a block of the program's own, and how large that block must
 * be: found by loading and scoring in it. With --scorer: drl_scorer_create.
 *
 *     cc -O2 examples/13_model_to_c.c -o model_to_c -lm
 *     ./model_to_c MODEL.safetensors [--f16] [--name NAME] [--out PREFIX]
 *     ./model_to_c MODEL.safetensors --scorer LEVEL [--label N] [--name NAME] [--out PREFIX]
 *
 * Writes PREFIX.h (build/model.h): the model's file as `const unsigned char NAME[]`, with --f16 in half
 * precision and half of the bytes, and NAME_BLOCK, the bytes of a context block (drl_ctx_desc.memory) in
 * which drl_model_load_memory and drl_model_score succeed, with a batch of 1 and portable C. With a byte less
 * they fail. The number is exact where pointers have the size that they have here; a device of 32 bits needs
 * less. tests/cortex_m.c is a program for such a device.
 *
 * With --scorer, PREFIX.h is a `const drl_scorer NAME`, which gives the scores of one noise level (and class)
 * from weights that stay in flash, and NAME_WORK, the floats that it works in. It can do nothing else, and
 * takes a small part of the code and memory. Include it after drl.h; examples/device/scorer.c does.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include <ctype.h>

#define BLOCK_ALIGN 64                      /* a block on such a boundary wastes nothing */

static const char usage[] = "model_to_c MODEL.safetensors [--f16 | --scorer LEVEL [--label N]] [--name NAME] "
                            "[--out PREFIX]\n";

/* Loads the model and scores one image, all zero, in a block of `bytes`. */
static drl_status load_and_score(const void *file, size_t size, void *block, size_t bytes)
{
    drl_ctx_desc where;
    drl_model_desc d;
    drl_ctx *ctx = NULL;
    drl_model *model = NULL;
    drl_status status;
    float *image = NULL, score;
    memset(&where, 0, sizeof where);
    where.memory = block;
    where.memory_size = bytes;
    where.isa = DRL_ISA_PORTABLE;
    memset(&d, 0, sizeof d);
    d.batch = 1;
    status = drl_ctx_create(&where, &ctx);
    if (status == DRL_OK) status = drl_model_load_memory(ctx, file, size, &d, &model);
    if (status == DRL_OK) {
        size_t floats = drl_model_energy(model).size;
        image = (float *)calloc(2 * floats, sizeof *image);     /* and drl_model_score's work */
        status = image ? drl_model_score(model, 0, 1, image, NULL, &score, image + floats) : DRL_E_MEMORY;
    }
    free(image);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return status;
}

/* The smallest block in which load_and_score succeeds: every size below it fails. 0: not even 2 GB. */
static size_t smallest_block(const void *file, size_t size)
{
    size_t low = 0, high = 1024, middle;    /* low fails */
    unsigned char *memory, *block;
    drl_status status;
    for (;; low = high, high *= 2) {
        memory = (unsigned char *)malloc(high + BLOCK_ALIGN);
        if (!memory) return 0;
        block = memory + BLOCK_ALIGN - (uintptr_t)memory % BLOCK_ALIGN;
        status = load_and_score(file, size, block, high);
        if (status != DRL_E_MEMORY || high >> 31) break;
        free(memory);
    }
    while (status == DRL_OK && high - low > 1) {
        middle = low + (high - low) / 2;
        if (load_and_score(file, size, block, middle) == DRL_OK) high = middle;
        else low = middle;
    }
    free(memory);
    return status == DRL_OK ? high : 0;
}

/* Weights of one network; NULL, where a model has no initializer: 0. */
static unsigned long count_weights(const drl_net *net)
{
    unsigned long count = 0;
    int i;
    for (i = 0; i < drl_net_param_count(net); ++i) count += (unsigned long)drl_net_param(net, i)->count;
    return count;
}

static void write_array(FILE *out, const char *name, const unsigned char *file, size_t size, size_t block)
{
    size_t i;
    fprintf(out, " * Loading it and scoring one image takes a context block of %lu bytes that begins on a\n"
            " * multiple of %d: with portable C, a batch of 1, and pointers of %d bytes. */\n",
            (unsigned long)block, BLOCK_ALIGN, (int)sizeof(void *));
    fprintf(out, "#define %s_BLOCK %lu\n", name, (unsigned long)block);
    fprintf(out, "static const unsigned char %s[%lu] = {", name, (unsigned long)size);
    for (i = 0; i < size; ++i) fprintf(out, "%s%u,", i % 24 ? "" : "\n", file[i]);
    fprintf(out, "\n};\n");
}

static void write_scorer(FILE *out, const char *name, const drl_scorer *s, int level, int label)
{
    static const char *const codes[] = { "CONV", "LEAKY_RELU", "RELU", "GAIN", "SHIFT", "ADD", "HALVE", "SUM",
                                         "DOT" };
    int i;
    fprintf(out, " * The scores of noise level %d, class %d; they take %lu bytes of memory. */\n", level,
            label, (unsigned long)s->work * 4);
    fprintf(out, "#define %s_WORK %d\n", name, s->work);
    fprintf(out, "static const drl_scorer_step %s_step[%d] = {\n", name, s->steps);
    for (i = 0; i < s->steps; ++i) {
        const drl_scorer_step *p = &s->step[i];
        fprintf(out, "{ DRL_SCORER_%s, %d, %d, %d, %d, %d, %d, %d, %d, %d },\n", codes[p->code], p->h, p->w,
                p->c, p->k, p->side, p->x, p->b, p->y, p->weight);
    }
    fprintf(out, "};\nstatic const float %s_weight[%d] = {", name, s->weights);
    for (i = 0; i < s->weights; ++i) fprintf(out, "%s%.8ef,", i % 6 ? "" : "\n", (double)s->weight[i]);
    fprintf(out, "\n};\nstatic const drl_scorer %s = {\n    %d, %d, %d, %.8ef, %d, %d, %d,\n", name,
            s->height, s->width, s->channels, (double)s->scale, s->steps, s->weights, s->work);
    fprintf(out, "    %s_step, %s_weight, 0\n};\n", name, name);
}

/* Letters, digits and underscores, a letter first. */
static int is_name(const char *name)
{
    size_t i;
    for (i = 0; name[i]; ++i)
        if (!(isalpha((unsigned char)name[i]) || (i && (isdigit((unsigned char)name[i]) || name[i] == '_'))))
            return 0;
    return i > 0;
}

static int fail(drl_ctx *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, drl_ctx_message(ctx));
    return 1;
}

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    drl_dtype dtype = option_flag(&o, "--f16") ? DRL_DTYPE_F16 : DRL_DTYPE_F32;
    const char *name = option_text(&o, "--name", "model"), *prefix = option_prefix(&o, "model");
    int level = option_int(&o, "--scorer", -1), label = option_int(&o, "--label", 0), failed;
    drl_ctx *ctx = options_context(&o);
    drl_model *model = NULL;
    drl_scorer *scorer = NULL;
    unsigned char *file = NULL;
    size_t size = 0, block = 0;
    unsigned long energy, initializer;
    char path[1100];
    FILE *out;

    if (options_rest(&o, usage) != 1 || !is_name(name) || (level >= 0 && dtype == DRL_DTYPE_F16)) {
        fprintf(stderr, "one model file, a --name of letters, digits and underscores; a scorer has F32\n%s",
                usage);
        return 2;
    }
    if (drl_model_load(ctx, argv[1], NULL, &model) != DRL_OK ||
        drl_model_save_memory(model, dtype, NULL, 0, &size) != DRL_OK) return fail(ctx, argv[1]);
    energy = count_weights(drl_model_net(model));
    initializer = count_weights(drl_model_initializer(model));
    if (level >= 0) {
        if (drl_scorer_create(model, level, label, &scorer) != DRL_OK) return fail(ctx, argv[1]);
    } else {
        file = (unsigned char *)malloc(size);
        if (!file || drl_model_save_memory(model, dtype, file, size, &size) != DRL_OK)
            return fail(ctx, argv[1]);
        block = smallest_block(file, size);
        if (!block) {
            fprintf(stderr, "%s: no block of up to 2 GB is large enough to score in\n", argv[1]);
            return 1;
        }
    }
    snprintf(path, sizeof path, "%s.h", prefix);
    out = fopen(path, "wb");
    if (!out) {
        fprintf(stderr, "%s: it cannot be written\n", path);
        return 1;
    }
    fprintf(out, "/* %s: %lu weights as %s. Written by examples/13_model_to_c.c.\n", name,
            scorer ? (unsigned long)scorer->weights : energy + initializer,
            dtype == DRL_DTYPE_F16 ? "F16" : "F32");
    if (scorer) write_scorer(out, name, scorer, level, label);
    else write_array(out, name, file, size, block);
    failed = ferror(out);
    if (fclose(out) || failed) {
        fprintf(stderr, "%s: it could not be written whole\n", path);
        return 1;
    }
    if (scorer) printf("%s: a scorer of %d steps, %d weights, %lu bytes to work in\n", path, scorer->steps,
                       scorer->weights, (unsigned long)scorer->work * 4);
    else printf("%s: %lu bytes of flash, %lu weights of the energies and %lu of the initializer; a context "
                "block of %lu bytes to load and score\n", path, (unsigned long)size, energy, initializer,
                (unsigned long)block);
    free(file);
    drl_scorer_destroy(scorer);
    drl_model_destroy(model);
    drl_ctx_destroy(ctx);
    return 0;
}
