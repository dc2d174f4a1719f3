/* 15_plot_log.c - what a training run has told its log, as a picture.
 *
 * Shows: reading the log of a run (run_log.h, a JSON object a line), curves with axes on a canvas.
 *
 *     cc examples/02_train_images.c -O2 -o train_images -lm && cc examples/15_plot_log.c -o plot_log -lm
 *     ./train_images --log build/run.log --log-every 20
 *     ./plot_log build/run.log [--out PREFIX]                   # also while it trains
 *
 * Writes PREFIX.png (or .ppm), build/log without --out, in a moment: the loss of each line, and brighter its
 * mean over a twentieth of the lines; the learning rates; and for up to 24 levels, the least noisy the
 * brightest, mean energies of data minus those of chain ends, the size of the gradient where chains end, and
 * the noise that energies and initializer leave. drl_train_report says what these numbers are. Above and
 * below each curve a fiftieth of the numbers may lie outside. A red line: the run diverged, and went back.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "options.h"
#include "picture.h"
#include "run_log.h"

enum {
    LEFT = 78, WIDTH = 440, RIGHT = 18,                         /* of a panel: axis labels, curves, gap */
    TOP = 20, HEIGHT = 180, BOTTOM = 28,
    LINES = 24                                                  /* at most, in a panel */
};

#define BACK 0x14141cffu
#define FRAME 0x50505cffu
#define INK 0xd8d8d8ffu
#define MARK 0xa02838ffu

typedef enum kind { LOSS, RATE, F_DIFFERENCE, LEVEL } kind;

typedef struct panel_desc {
    const char *title;
    kind what;
    int decades;                            /* nonzero: a logarithmic axis */
    int number;                             /* of LEVEL */
} panel_desc;

static const panel_desc panels[6] = {
    { "loss, and its mean",                LOSS,       0, 0 },
    { "learning rate",                     RATE,       0, 0 },
    { "energies: data - chain ends",       F_DIFFERENCE, 0, 0 },
    { "gradient / noise where chains end", LEVEL,      1, RUN_LOG_GRADIENT },
    { "share of noise left: energies",     LEVEL,      1, RUN_LOG_NOISE_LEFT },
    { "share of noise left: initializer",  LEVEL,      1, RUN_LOG_INITIALIZER_NOISE_LEFT }
};

/* One panel: its numbers, and where they go. With `decades` both numbers and axis are log10 of the log's. */
typedef struct plot {
    picture *to;
    const run_log *log;
    const panel_desc *panel;
    int x, y;                               /* upper left corner of the curves */
    int lines, any;                         /* any: there are numbers */
    double *value;                          /* [rows][lines]; HUGE_VAL where there is none */
    double low, high, last;                 /* of the axes; the horizontal one begins at step 0 */
} plot;

static int level_of(const plot *p, int line)
{
    return p->lines > 1 ? line * (p->log->levels - 1) / (p->lines - 1) : 0;
}

static double number(const plot *p, int row, int line)
{
    const run_log *l = p->log;
    int level = level_of(p, line), around = l->rows / 40, i, count = 0;
    double sum = 0;
    switch (p->panel->what) {
    case LOSS:
        if (!line) return run_log_row(l, row)[RUN_LOG_LOSS];
        for (i = row - around; i <= row + around; ++i)
            if (i >= 0 && i < l->rows) {
                sum += run_log_row(l, i)[RUN_LOG_LOSS];
                ++count;
            }
        return sum / count;
    case RATE:
        return run_log_row(l, row)[line ? RUN_LOG_INITIALIZER_RATE : RUN_LOG_LEARNING_RATE];
    case F_DIFFERENCE:
        return run_log_level(l, row, RUN_LOG_F_POS, level) - run_log_level(l, row, RUN_LOG_F_NEG, level);
    default:
        return run_log_level(l, row, p->panel->number, level);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double *plot_value(const plot *p, int row, int line)
{
    return p->value + (size_t)row * (size_t)p->lines + line;
}

/* The numbers, and the range of the vertical axis: all but a fiftieth of them at either end. Returns 0
 * without memory. */
static int plot_numbers(plot *p)
{
    size_t bytes = (size_t)p->log->rows * (size_t)p->lines * sizeof(double), n = 0;
    double *sorted = (double *)malloc(bytes), room;
    int row, line;
    p->value = (double *)malloc(bytes);
    if (!sorted || !p->value) {
        free(sorted);
        return 0;
    }
    for (row = 0; row < p->log->rows; ++row)
        for (line = 0; line < p->lines; ++line) {
            double v = number(p, row, line);
            if (p->panel->decades) v = v > 0 ? log10(v) : HUGE_VAL;
            *plot_value(p, row, line) = v;
            if (v < HUGE_VAL) sorted[n++] = v;
        }
    qsort(sorted, n, sizeof *sorted, by_value);
    p->any = n > 0;
    p->low = n ? sorted[n / 50] : 0;
    p->high = n ? sorted[n - 1 - n / 50] : 0;
    free(sorted);
    if (p->panel->what == RATE) p->low = 0;
    room = 0.06 * (p->high - p->low);
    if (!(room > 1e-6 * fabs(p->high))) room = p->high != 0 ? 0.5 * fabs(p->high) : 0.5;
    if (p->panel->decades && room < 0.22) room = 0.22;          /* so that there is a mark */
    if (p->panel->what != RATE) p->low -= room;
    p->high += room;
    return 1;
}

static int plot_y(const plot *p, double value)
{
    double share = (value - p->low) / (p->high - p->low);
    share = share < -1 ? -1 : share > 2 ? 2 : share;
    return p->y + HEIGHT - 1 - (int)floor(share * (HEIGHT - 1) + 0.5);
}

static int plot_x(const plot *p, double step)
{
    return p->x + (int)(step / p->last * (WIDTH - 1) + 0.5);
}

/* A straight line, two pixels thick, as far as it lies within the frame. */
static void plot_line(const plot *p, int x0, int y0, int x1, int y1, uint32_t colour)
{
    int dx = x1 - x0, dy = y1 - y0, n = abs(dx) > abs(dy) ? abs(dx) : abs(dy), i;
    for (i = 0; i <= n; ++i) {
        int x = x0 + (n ? i * dx / n : 0), y = y0 + (n ? i * dy / n : 0);
        if (x >= p->x && x + 2 <= p->x + WIDTH && y >= p->y && y + 2 <= p->y + HEIGHT)
            picture_fill(p->to, x, y, 2, 2, colour);
    }
}

static uint32_t colour_of(const plot *p, int line)
{
    if (p->panel->what == LOSS) return line ? 0xf8b840ffu : 0x705890ffu;
    if (p->panel->what == RATE) return line ? 0xb06098ffu : 0xf8b840ffu;
    return picture_heat(p->lines > 1 ? 0.95 - 0.65 * line / (p->lines - 1) : 0.95);
}

/* 1, 2 or 5 times a power of ten: the distance of about four marks over `range`. */
static double distance_of(double range)
{
    double unit = pow(10, floor(log10(range / 4))), n = range / 4 / unit;
    return unit * (n < 1.5 ? 1 : n < 3.5 ? 2 : n < 7.5 ? 5 : 10);
}

static void plot_mark(const plot *p, double at, double value)
{
    char text[32];
    int y = plot_y(p, at);
    snprintf(text, sizeof text, "%.5g", value);
    picture_fill(p->to, p->x - 4, y, 4, 1, INK);
    picture_fill(p->to, p->x, y, WIDTH, 1, 0x282830ffu);
    picture_text(p->to, p->x - 8 - 8 * (int)strlen(text), y - 4, text, INK, 2);
}

static void plot_axes(const plot *p)
{
    static const double in_decade[3] = { 1, 2, 5 };
    double step = distance_of(p->high - p->low), at;
    char text[32];
    int i, k;
    picture_text(p->to, p->x, p->y - 14, p->panel->title, INK, 2);
    if (!p->panel->decades)
        for (i = (int)ceil(p->low / step); i * step <= p->high; ++i) plot_mark(p, i * step, i * step);
    else
        for (k = (int)floor(p->low); k <= p->high; k += 1 + (int)((p->high - p->low) / 8))
            for (i = 0; i < (p->high - p->low < 2 ? 3 : 1); ++i) {
                at = k + log10(in_decade[i]);
                if (at >= p->low && at <= p->high) plot_mark(p, at, in_decade[i] * pow(10, k));
            }
    step = distance_of(p->last);
    for (i = 0; i * step <= p->last; ++i) {
        snprintf(text, sizeof text, "%.8g", i * step);
        picture_fill(p->to, plot_x(p, i * step), p->y + HEIGHT, 1, 4, INK);
        picture_text(p->to, plot_x(p, i * step) - (i ? 4 * (int)strlen(text) : 0), p->y + HEIGHT + 7, text,
                     INK, 2);
    }
}

static void plot_names(const plot *p)
{
    char text[32];
    int at = p->x + WIDTH, i, line;
    if (p->panel->what == LOSS || p->lines == 1) return;
    for (i = 1; i >= 0; --i) {
        line = i * (p->lines - 1);
        if (p->panel->what == RATE) snprintf(text, sizeof text, i ? "initializer" : "energy");
        else snprintf(text, sizeof text, "level %d", level_of(p, line));
        at -= 8 * (int)strlen(text) + 8;
        picture_text(p->to, at, p->y - 14, text, colour_of(p, line), 2);
    }
}

static void plot_curves(const plot *p)
{
    const run_log *l = p->log;
    int row, i;
    for (row = 1; row < l->rows; ++row)
        if (run_log_row(l, row)[RUN_LOG_ROLLBACKS] > run_log_row(l, row - 1)[RUN_LOG_ROLLBACKS])
            picture_fill(p->to, plot_x(p, run_log_row(l, row)[RUN_LOG_STEP]), p->y, 1, HEIGHT, MARK);
    for (i = 0; i < p->lines; ++i) {        /* what is brightest comes last, over the others */
        int line = p->panel->what == LOSS ? i : p->lines - 1 - i;
        for (row = 0; row < l->rows; ++row) {
            int before = row && *plot_value(p, row - 1, line) < HUGE_VAL ? row - 1 : row;
            if (!(*plot_value(p, row, line) < HUGE_VAL)) continue;
            plot_line(p, plot_x(p, run_log_row(l, before)[RUN_LOG_STEP]),
                      plot_y(p, *plot_value(p, before, line)), plot_x(p, run_log_row(l, row)[RUN_LOG_STEP]),
                      plot_y(p, *plot_value(p, row, line)), colour_of(p, line));
        }
    }
}

/* Draws panel i of the six; returns 0 without memory. */
static int draw(picture *to, const run_log *log, int i)
{
    plot p;
    int drawn;
    memset(&p, 0, sizeof p);
    p.to = to;
    p.log = log;
    p.panel = &panels[i];
    p.x = LEFT + i % 2 * (LEFT + WIDTH + RIGHT);
    p.y = 2 * TOP + i / 2 * (TOP + HEIGHT + BOTTOM);
    p.last = run_log_row(log, log->rows - 1)[RUN_LOG_STEP];
    p.lines = p.panel->what == LOSS || p.panel->what == RATE ? 2
              : log->levels < LINES                          ? log->levels
                                                             : LINES;
    drawn = plot_numbers(&p);
    if (drawn) {
        picture_fill(to, p.x - 1, p.y - 1, WIDTH + 2, HEIGHT + 2, FRAME);
        picture_fill(to, p.x, p.y, WIDTH, HEIGHT, BACK);
        plot_axes(&p);
        plot_names(&p);
        plot_curves(&p);
        if (!p.any) picture_text(to, p.x + 8, p.y + 8, "none", INK, 2);
    }
    free(p.value);
    return drawn;
}

int main(int argc, char **argv)
{
    static const char usage[] = "plot_log LOG [--out PREFIX] [--threads N] [--isa NAME]\n";
    options o = options_of(argc, argv);
    drl_ctx *ctx = options_context(&o);
    const char *prefix = option_prefix(&o, "log");
    const double *first, *last;
    char text[160];
    run_log log;
    picture p;
    int i, good = 1;
    if (options_rest(&o, usage) != 1) {
        fputs(usage, stderr);
        return 2;
    }
    if (!run_log_read(ctx, argv[1], HUGE_VAL, &log)) {
        fprintf(stderr, "%s\n", log.said);
        return 1;
    }
    if (!log.rows) {
        fprintf(stderr, "%s: no line yet; training writes one every --log-every steps\n", argv[1]);
        return 1;
    }
    first = run_log_row(&log, 0);
    last = run_log_row(&log, log.rows - 1);
    snprintf(text, sizeof text, "%d lines, steps %.15g to %.15g, %d levels, %g rollbacks", log.rows,
             first[RUN_LOG_STEP], last[RUN_LOG_STEP], log.levels, last[RUN_LOG_ROLLBACKS]);
    printf("%s, %.1f s\n", text, last[RUN_LOG_SECONDS]);
    p = picture_create(2 * (LEFT + WIDTH + RIGHT), TOP + 3 * (TOP + HEIGHT + BOTTOM), BACK);
    picture_text(&p, LEFT, 5, text, INK, 2);
    for (i = 0; i < 6 && good; ++i) good = draw(&p, &log, i);
    if (!good) fprintf(stderr, "%s: out of memory\n", argv[1]);
    else good = picture_save(ctx, &p, prefix, 0);
    picture_destroy(&p);
    run_log_close(ctx, &log);
    drl_ctx_destroy(ctx);
    return !good;
}
