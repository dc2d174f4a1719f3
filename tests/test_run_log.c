/* The log of a training run (examples/run_log.h): what is written is read, lines that are no lines of a log
 * are refused with their number, and a run that goes back leaves each step once. */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "../examples/options.h"
#include "../examples/picture.h"
#include "../examples/training.h"
#include "check.h"

static drl_ctx *ctx;
static char path[300];

static void put(const char *text)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fputs(text, f) >= 0, "%s", path);
    if (f) fclose(f);
}

/* A line as run_log_write writes it. */
static const char *line_of(int step, int levels)
{
    static drl_level_report level[RUN_LOG_LEVELS_MAX];
    static char text[4096];
    drl_train_report r;
    size_t n;
    FILE *f = fopen(path, "wb+");
    int t;
    memset(&r, 0, sizeof r);
    r.step = (uint64_t)step;
    r.loss = -0.25 * step;
    r.learning_rate = 1e-3;
    r.initializer_rate = 2e-20;
    r.rollbacks = 2;
    r.levels = levels;
    r.level = level;
    for (t = 0; t < levels; ++t) {
        level[t].f_neg = t;
        level[t].initializer_noise_left = 0.5;
    }
    CHECK(f && run_log_write(f, &r), "%s", path);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static void test_round_trip(void)
{
    char text[9000];
    run_log l;
    text[0] = 0;
    strcat(text, line_of(5, 3));
    strcat(text, line_of(6, 3));
    strcat(text, line_of(2000000000, 3));
    put(text);
    CHECK(run_log_read(ctx, path, HUGE_VAL, &l), "%s", l.said);
    CHECK(l.rows == 3 && l.levels == 3 && l.bytes == strlen(text), "%d rows of %d levels", l.rows, l.levels);
    CHECK(run_log_row(&l, 2)[RUN_LOG_STEP] == 2000000000, "the step");
    CHECK(run_log_row(&l, 1)[RUN_LOG_LOSS] == -1.5, "the loss");
    CHECK(run_log_row(&l, 0)[RUN_LOG_INITIALIZER_RATE] == 2e-20, "the initializer's rate");
    CHECK(run_log_level(&l, 1, RUN_LOG_F_NEG, 2) == 2, "f_neg");
    CHECK(run_log_level(&l, 1, RUN_LOG_INITIALIZER_NOISE_LEFT, 0) == 0.5, "initializer_noise_left");
    run_log_close(ctx, &l);
    CHECK(run_log_read(ctx, path, 6, &l) && l.rows == 2, "%d rows up to step 6", l.rows);
    run_log_close(ctx, &l);
    put("");
    CHECK(run_log_read(ctx, path, HUGE_VAL, &l) && !l.rows, "an empty file");
    run_log_close(ctx, &l);
    put(line_of(1, RUN_LOG_LEVELS_MAX / 100));
    CHECK(run_log_read(ctx, path, HUGE_VAL, &l) && l.levels == 10, "ten levels");
    run_log_close(ctx, &l);
}

/* The second line of a log with `from` replaced by `to` is refused, in a sentence with `want`. */
static void refuse(const char *from, const char *to, const char *want)
{
    char text[9000], line[2000];
    const char *at;
    run_log l;
    strcpy(line, line_of(20, 2));
    at = strstr(line, from);
    CHECK(at != NULL, "%s in %s", from, line);
    if (!at) return;
    strcpy(text, line_of(10, 2));
    sprintf(text + strlen(text), "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    put(text);
    CHECK(!run_log_read(ctx, path, HUGE_VAL, &l), "%s for %s is taken", to, from);
    CHECK(strstr(l.said, ": line 2, column ") && strstr(l.said, want), "%s for %s: %s", to, from, l.said);
}

static void test_refusals(void)
{
    static const char *const numbers[] = { "", "nan", "inf", "+1", "01", ".5", "1.", "1e", "--1", "1e999",
                                           "0x1", "null", "1 ", "1,0", "12345678901234567890123456789012" };
    char to[80];
    size_t i;
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
        sprintf(to, "\"loss\":%s,", numbers[i]);
        refuse("\"loss\":-5,", to, "expected");
    }
    refuse("{", "", "{\"step\": is expected");
    refuse("}", "", "} is expected");
    refuse("}", "} ", "should end here");
    refuse("}\n", "}\r\n", "should end here");
    refuse("\"loss\"", "\"lost\"", ",\"loss\": is expected");
    refuse("\"f_neg\":[0,1]", "\"f_neg\":[0,1,2]", "f_neg has more than 2 levels");
    refuse("\"f_neg\":[0,1]", "\"f_neg\":[0]", "f_neg has 1 levels, and the arrays before it 2");
    refuse("\"f_neg\":[0,1]", "\"f_neg\":[]", "a number is expected");
    refuse("\"f_neg\":[0,1]", "\"f_neg\":[0,1}", "] is expected");
    refuse("\"step\":20", "\"step\":10", "step 10 after step 10");
    refuse("\"step\":20", "\"step\":20.5", "step 20.5 after step 10");
    refuse("\"step\":20", "\"step\":-20", "step -20 after step 10");
    refuse("\"f_pos\"", "\n\"f_pos\"", ",\"f_pos\":[ is expected");
}

/* The steps in the file, as "1 2 3". */
static const char *steps(void)
{
    static char text[300];
    run_log l;
    int i;
    text[0] = 0;
    if (!run_log_read(ctx, path, HUGE_VAL, &l)) {
        snprintf(text, sizeof text, "%.250s", l.said);
        return text;
    }
    for (i = 0; i < l.rows; ++i)
        sprintf(text + strlen(text), "%s%.15g", i ? " " : "", run_log_row(&l, i)[RUN_LOG_STEP]);
    run_log_close(ctx, &l);
    return text;
}

/* Steps from..to of a run with a line every two. */
static void go(training *t, int from, int to)
{
    static drl_level_report level[2];
    drl_train_report r;
    int s;
    memset(&r, 0, sizeof r);
    r.levels = 2;
    r.level = level;
    for (s = from; s <= to; ++s) {
        r.step = (uint64_t)s;
        CHECK(training_log(t, &r), "step %d", s);
    }
}

static void end(training *t)
{
    fclose(t->log_file);
    t->log_file = NULL;
}

static void test_going_back(void)
{
    training t;
    FILE *f;
    memset(&t, 0, sizeof t);
    t.ctx = ctx;
    t.log = path;
    t.log_every = 2;
    t.model_desc.levels = 2;
    put("what was here before\n");
    CHECK(training_log_open(&t, 0), "a new run");
    go(&t, 1, 7);
    CHECK(!strcmp(steps(), "2 4 6"), "%s", steps());
    go(&t, 4, 5);                           /* the run diverged, and went back to step 3 */
    CHECK(!strcmp(steps(), "2 4"), "%s", steps());
    go(&t, 6, 9);
    CHECK(!strcmp(steps(), "2 4 6 8"), "%s", steps());
    end(&t);
    f = fopen(path, "ab");
    CHECK(f && fputs("{\"step\":10,\"sec", f) >= 0, "a line that is not finished");
    if (f) fclose(f);
    CHECK(training_log_open(&t, 5), "resumed after step 5");
    if (!t.log_file) return;
    go(&t, 6, 6);
    CHECK(!strcmp(steps(), "2 4 6"), "%s", steps());
    end(&t);
    t.model_desc.levels = 3;
    CHECK(!training_log_open(&t, 6), "a log of other levels");
    t.model_desc.levels = 2;
    put("what is no log\n");
    CHECK(!training_log_open(&t, 6), "what is no log is not overwritten by a resumed run");
    remove(path);
    CHECK(training_log_open(&t, 6), "no log yet");
    go(&t, 7, 8);
    CHECK(!strcmp(steps(), "8"), "%s", steps());
    end(&t);
}

int main(int argc, char **argv)
{
    if (check_words(argc, argv)) return 2;
    if (drl_ctx_create(NULL, &ctx) != DRL_OK) return 1;
    strcpy(path, check_path("run.log"));
    PART(test_round_trip());
    PART(test_refusals());
    PART(test_going_back());
    remove(path);
    drl_ctx_destroy(ctx);
    return check_report("test_run_log");
}
