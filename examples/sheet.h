/* sheet.h - pictures of samples that a function of the program draws row by row. Include it after drl.h. */
#ifndef SHEET_H
#define SHEET_H
#include "picture.h"
#include "training.h"

enum { SHEET_ROWS = 6, SHEET_COLUMNS = 12 };

typedef struct sheet {
    const char *kind;                       /* the file is PREFIX-KIND */
    int rows, columns;                      /* columns 0: one for each class, under its name */
    const char *head[SHEET_COLUMNS];
    /* out [columns] <- the images of row r; name <- what stands left of them. */
    drl_status (*row)(int r, int columns, float *out, char *name);
} sheet;

/* `count` samples of a class, or, if that is 0, of all classes in turn. */
static inline drl_sample_desc sheet_ask(const training *t, int count, int label, float guidance)
{
    static int labels[SHEET_COLUMNS];
    drl_sample_desc how;
    int i;
    for (i = 0; i < count; ++i) labels[i] = label ? label : 1 + i;
    memset(&how, 0, sizeof how);
    how.count = count;
    how.labels = labels;
    how.guidance = guidance;
    how.seed = t->seed;
    return how;
}

/* Draws the first `rows` rows and writes the picture. classes: names of classes 1.. Ctrl-C between two rows
 * ends it with DRL_RUNNING, but not while the model is trained, which then draws for the last time. */
static inline drl_status sheet_draw(const sheet *s, int rows, training *t, char (*classes)[PICTURE_NAME])
{
    const drl_model_desc *d = &t->model_desc;
    char name[SHEET_ROWS][PICTURE_NAME], path[1024];
    const char *head[SHEET_COLUMNS];
    int r, i, columns = s->columns ? s->columns : d->classes < SHEET_COLUMNS ? d->classes : SHEET_COLUMNS;
    size_t each = (size_t)columns * drl_model_energy(t->model).size;
    float *images = (float *)malloc((size_t)rows * each * sizeof *images);
    drl_status status = images ? DRL_OK : DRL_E_MEMORY;
    picture p;
    for (r = 0; r < rows && status == DRL_OK; ++r)
        status = training_stop && !t->trainer ? DRL_RUNNING
                                              : s->row(r, columns, images + (size_t)r * each, name[r]);
    for (i = 0; i < columns; ++i) head[i] = s->columns ? s->head[i] : classes[1 + i];
    if (status == DRL_OK) {
        p = picture_sheet(images, rows, columns, columns, d->height, d->width, d->channels, head, name);
        snprintf(path, sizeof path, "%s-%s", t->prefix, s->kind);
        if (!picture_save(t->ctx, &p, path, 0)) status = DRL_E_IO;
        picture_destroy(&p);
    }
    free(images);
    return status;
}

/* Draws `count` pictures with all their rows, and says how long that took. */
static inline drl_status sheets_draw(const sheet *s, int count, training *t, char (*classes)[PICTURE_NAME])
{
    double start = seconds_now();
    drl_status status = DRL_OK;
    int i;
    for (i = 0; i < count && status == DRL_OK; ++i) status = sheet_draw(&s[i], s[i].rows, t, classes);
    if (status == DRL_OK) printf("%d pictures in %.1f s\n", count, seconds_now() - start);
    if (status == DRL_RUNNING)
        printf("stopped; --model %s%s draws all pictures\n", t->file ? t->file : t->prefix,
               t->file ? "" : ".safetensors");
    return status;
}
#endif
