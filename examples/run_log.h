/* run_log.h - the log of a training run, a JSON object a line: training.h writes it, 15_plot_log.c draws it.
 *
 *   {"step":50,"seconds":3.21,"loss":0.012, ..., "f_pos":[-0.1, ...], ..., "initializer_noise_left":[...]}
 *
 * The names, in this order, are those of run_log_name and run_log_level_name; arrays have a number for each
 * level, the least noisy first. What they mean stands at drl_train_report. Steps only rise. Include it after
 * drl.h. */
#ifndef RUN_LOG_H
#define RUN_LOG_H
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN_LOG_STEP, RUN_LOG_SECONDS, RUN_LOG_LOSS, RUN_LOG_GRAD_NORM, RUN_LOG_INITIALIZER_LOSS,
    RUN_LOG_INITIALIZER_GRAD_NORM, RUN_LOG_LEARNING_RATE, RUN_LOG_INITIALIZER_RATE, RUN_LOG_ROLLBACKS,
    RUN_LOG_NUMBERS
};
static const char *const run_log_name[RUN_LOG_NUMBERS] = {
    "step", "seconds", "loss", "grad_norm", "initializer_loss", "initializer_grad_norm", "learning_rate",
    "initializer_rate", "rollbacks"
};

enum {
    RUN_LOG_F_POS, RUN_LOG_F_NEG, RUN_LOG_GRADIENT, RUN_LOG_DISPLACEMENT, RUN_LOG_IMAGES, RUN_LOG_NOISE_LEFT,
    RUN_LOG_INITIALIZER_NOISE_LEFT, RUN_LOG_LEVEL_NUMBERS
};
static const char *const run_log_level_name[RUN_LOG_LEVEL_NUMBERS] = {
    "f_pos", "f_neg", "gradient", "displacement", "images", "noise_left", "initializer_noise_left"
};

#define RUN_LOG_LEVELS_MAX 1000
#define RUN_LOG_SAID 1400

/* One line of a report. Nonzero: it is written, as far as the system says. */
static inline int run_log_write(FILE *file, const drl_train_report *r)
{
    double number[RUN_LOG_NUMBERS];
    int i, t;
    number[RUN_LOG_STEP] = (double)r->step;
    number[RUN_LOG_SECONDS] = r->seconds;
    number[RUN_LOG_LOSS] = r->loss;
    number[RUN_LOG_GRAD_NORM] = r->grad_norm;
    number[RUN_LOG_INITIALIZER_LOSS] = r->initializer_loss;
    number[RUN_LOG_INITIALIZER_GRAD_NORM] = r->initializer_grad_norm;
    number[RUN_LOG_LEARNING_RATE] = r->learning_rate;
    number[RUN_LOG_INITIALIZER_RATE] = r->initializer_rate;
    number[RUN_LOG_ROLLBACKS] = r->rollbacks;
    for (i = 0; i < RUN_LOG_NUMBERS; ++i)
        fprintf(file, "%c\"%s\":%.*g", i ? ',' : '{', run_log_name[i], i == RUN_LOG_STEP ? 15 : 7, number[i]);
    for (i = 0; i < RUN_LOG_LEVEL_NUMBERS; ++i) {
        fprintf(file, ",\"%s\":[", run_log_level_name[i]);
        for (t = 0; t < r->levels; ++t) {
            const drl_level_report *l = &r->level[t];
            double value = i == RUN_LOG_F_POS          ? l->f_pos
                           : i == RUN_LOG_F_NEG        ? l->f_neg
                           : i == RUN_LOG_GRADIENT     ? l->gradient
                           : i == RUN_LOG_DISPLACEMENT ? l->displacement
                           : i == RUN_LOG_IMAGES       ? l->images
                           : i == RUN_LOG_NOISE_LEFT   ? l->noise_left
                                                       : l->initializer_noise_left;
            fprintf(file, "%s%.7g", t ? "," : "", value);
        }
        fputs("]", file);
    }
    fputs("}\n", file);
    return fflush(file) == 0 && !ferror(file);
}

/* A file's lines as numbers. */
typedef struct run_log {
    int rows, levels;
    double *value;                          /* [rows][run_log_width(levels)] */
    void *text;                             /* the file */
    size_t bytes;                           /* of the file's beginning, which these rows take */
    char said[RUN_LOG_SAID];                /* why it could not be read */
} run_log;

static inline size_t run_log_width(int levels)
{
    return (size_t)(RUN_LOG_NUMBERS + RUN_LOG_LEVEL_NUMBERS * levels);
}

/* The numbers of a row: first run_log_name's, then [RUN_LOG_LEVEL_NUMBERS][levels]. */
static inline const double *run_log_row(const run_log *l, int row)
{
    return l->value + (size_t)row * run_log_width(l->levels);
}

static inline double run_log_level(const run_log *l, int row, int number, int level)
{
    return run_log_row(l, row)[RUN_LOG_NUMBERS + number * l->levels + level];
}

/* A place in a line that is being read. */
typedef struct run_log_reader {
    const char *path;
    const char *begin, *at, *end;           /* of the line */
    int line;
    char *said;                             /* [RUN_LOG_SAID] */
} run_log_reader;

/* Says the place and what is wrong there; returns 0. */
static inline int run_log_fail(const run_log_reader *r, const char *format, ...)
{
    va_list list;
    int n = snprintf(r->said, RUN_LOG_SAID, "%.1000s: line %d, column %d: ", r->path, r->line,
                     (int)(r->at - r->begin) + 1);
    va_start(list, format);
    vsnprintf(r->said + n, (size_t)(RUN_LOG_SAID - n), format, list);
    va_end(list);
    return 0;
}

/* The next characters have to be these. */
static inline int run_log_expect(run_log_reader *r, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n))
        return run_log_fail(r, "%s is expected", text);
    r->at += n;
    return 1;
}

/* The digits at *at; returns how many there are, and moves *at behind them. */
static inline int run_log_digits(const char **at)
{
    int n = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) ++n;
    return n;
}

/* A number as JSON has it: no "+1", no ".5", no "nan". */
static inline int run_log_number(run_log_reader *r, double *value)
{
    char text[32];
    const char *s = text;
    int n = 0, whole, good;
    while (n < 31 && r->at + n < r->end && strchr("+-.0123456789eE", r->at[n]) && r->at[n]) ++n;
    memcpy(text, r->at, (size_t)n);
    text[n] = 0;
    s += *s == '-';
    whole = s[0] == '0' && s[1] >= '0' && s[1] <= '9' ? 0 : run_log_digits(&s);
    good = whole > 0;
    if (good && *s == '.') { ++s; good = run_log_digits(&s) > 0; }
    if (good && (*s == 'e' || *s == 'E')) {
        ++s;
        if (*s == '+' || *s == '-') ++s;
        good = run_log_digits(&s) > 0;
    }
    *value = good ? strtod(text, NULL) : 0;
    if (!good || *s || !(fabs(*value) <= 1e100)) return run_log_fail(r, "a number is expected");
    r->at += n;
    return 1;
}

/* The array of `name`: numbers of *levels levels to `value`. *levels is 0 at the first array of a file, which
 * sets it. */
static inline int run_log_array(run_log_reader *r, const char *name, double *value, int *levels)
{
    int count = 0, most = *levels ? *levels : RUN_LOG_LEVELS_MAX;
    char text[64];
    snprintf(text, sizeof text, ",\"%s\":[", name);
    if (!run_log_expect(r, text)) return 0;
    do {
        if (count == most) return run_log_fail(r, "%s has more than %d levels", name, most);
        if (!run_log_number(r, &value[count++])) return 0;
    } while (r->at < r->end && *r->at == ',' && ++r->at);
    if (*levels && count < *levels)
        return run_log_fail(r, "%s has %d levels, and the arrays before it %d", name, count, *levels);
    *levels = count;
    return run_log_expect(r, "]");
}

/* One line to `row`. */
static inline int run_log_line(run_log_reader *r, double *row, int *levels)
{
    char text[64];
    int i;
    for (i = 0; i < RUN_LOG_NUMBERS; ++i) {
        snprintf(text, sizeof text, "%c\"%s\":", i ? ',' : '{', run_log_name[i]);
        if (!run_log_expect(r, text) || !run_log_number(r, row++)) return 0;
    }
    for (i = 0; i < RUN_LOG_LEVEL_NUMBERS; ++i, row += *levels)
        if (!run_log_array(r, run_log_level_name[i], row, levels)) return 0;
    if (!run_log_expect(r, "}")) return 0;
    return r->at == r->end || run_log_fail(r, "the line should end here");
}

static inline void run_log_close(drl_ctx *ctx, run_log *l)
{
    free(l->value);
    drl_file_free(ctx, l->text);
    l->value = NULL;
    l->text = NULL;
    l->bytes = 0;
    l->rows = l->levels = 0;
}

/* The lines of the file, up to step `last`. */
static inline int run_log_lines(run_log_reader *r, const char *end, double last, run_log *l)
{
    static double row[RUN_LOG_NUMBERS + RUN_LOG_LEVEL_NUMBERS * RUN_LOG_LEVELS_MAX];
    double step, before = 0, *more;
    size_t room = 0, bytes;
    const char *newline;
    for (;; r->begin = newline + 1) {
        ++r->line;
        r->at = r->begin;
        newline = r->begin < end ? (const char *)memchr(r->begin, '\n', (size_t)(end - r->begin)) : NULL;
        if (!newline && (r->begin == end || *r->begin == '{')) return 1;
        r->end = newline ? newline : end;
        if (!run_log_line(r, row, &l->levels)) return 0;
        r->at = r->begin;
        step = row[RUN_LOG_STEP];
        if (!(step > before) || step != floor(step))
            return run_log_fail(r, "step %.15g after step %.15g: steps are whole numbers that rise", step,
                                before);
        before = step;
        if (step > last) continue;
        bytes = run_log_width(l->levels) * sizeof *row;
        if ((size_t)l->rows == room) {
            room = room ? 2 * room : 64;
            more = (double *)realloc(l->value, room * bytes);
            if (!more) return run_log_fail(r, "out of memory");
            l->value = more;
        }
        memcpy(l->value + (size_t)l->rows * run_log_width(l->levels), row, bytes);
        ++l->rows;
        l->bytes = (size_t)(newline + 1 - (const char *)l->text);
    }
}

/* The rows up to step `last`. What stands behind the last newline is left out: a killed run has not finished
 * that line. Returns 0 when there is no such file, or it is not a log: l->said is then the reason. */
static inline int run_log_read(drl_ctx *ctx, const char *path, double last, run_log *l)
{
    run_log_reader r;
    size_t bytes = 0;
    memset(l, 0, sizeof *l);
    memset(&r, 0, sizeof r);
    if (drl_file_read(ctx, path, &l->text, &bytes) != DRL_OK) {
        snprintf(l->said, sizeof l->said, "%s", drl_ctx_message(ctx));
        return 0;
    }
    r.path = path;
    r.said = l->said;
    r.begin = (const char *)l->text;
    if (run_log_lines(&r, r.begin + bytes, last, l)) return 1;
    run_log_close(ctx, l);
    return 0;
}
#endif
