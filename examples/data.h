/* data.h - the images of a program: files and folders of one's own, with the options that say what files do
 * not, or the embedded sprites; and images made smaller. Include it after drl.h. */
#ifndef DATA_H
#define DATA_H
#include "folder.h"
#include "options.h"
#include "sprites.h"

#define DATA_USAGE \
    "[--data FILE | FOLDER ...] [--half] [--size N] [--shape HxW | HxWxC] [--tile HxW]\n" \
    "      [--layout nhwc | nchw] [--range LOW:HIGH] [--labels fine | coarse] [--only CLASS]"

typedef struct data_set {
    word_list file;                         /* --data, and the files of folders; none: the sprites */
    word_list class_name;                   /* of sub-folders, each of which is a class */
    int *class_of;                          /* [files] their classes, if there are sub-folders */
    int half;                               /* --half: images at half their size */
    int size;                               /* --size: averaged down to this, or padded; 0: neither */
    int only;                               /* --only: images of this class, without labels; 0: of all */
    drl_dataset_desc desc;
    drl_dataset data;                       /* the images */
    drl_dataset whole, *loaded;             /* before they were made smaller; owner, NULL for sprites */
} data_set;

static inline void data_refuse(const char *name, const char *text, const char *wanted)
{
    fprintf(stderr, "%s %s: %s\n", name, text, wanted);
    exit(2);
}

/* --shape of an image (0: as the file has it), --tile (images are sheets, to be cut into such tiles),
 * --layout, --range (the elements that mean black and white), --labels of CIFAR-100. */
static inline drl_dataset_desc data_description(options *o)
{
    drl_dataset_desc d;
    const char *shape = option_text(o, "--shape", NULL), *layout = option_text(o, "--layout", NULL);
    const char *tile = option_text(o, "--tile", NULL);
    const char *range = option_text(o, "--range", NULL), *labels = option_text(o, "--labels", NULL);
    char more = 0;
    int n;
    memset(&d, 0, sizeof d);
    if (shape) {
        n = sscanf(shape, "%6dx%6dx%1d%c", &d.height, &d.width, &d.channels, &more);
        if (n == 2) {
            d.channels = 0;
            n = sscanf(shape, "%6dx%6d%c", &d.height, &d.width, &more) == 2 ? 3 : 0;
        }
        if (n != 3 || d.height < 0 || d.width < 0 || d.channels < 0)
            data_refuse("--shape", shape, "HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, as 28x28 or 32x32x3");
    }
    if (tile && (sscanf(tile, "%6dx%6d%c", &d.tile_height, &d.tile_width, &more) != 2 || d.tile_height < 1 ||
                 d.tile_width < 1))
        data_refuse("--tile", tile, "HEIGHTxWIDTH, as 16x16");
    if (layout) {
        if (strcmp(layout, "nhwc") && strcmp(layout, "nchw")) data_refuse("--layout", layout, "nhwc or nchw");
        d.layout = layout[1] == 'c' ? DRL_LAYOUT_NCHW : DRL_LAYOUT_NHWC;
    }
    if (range && (sscanf(range, "%lf:%lf%c", &d.low, &d.high, &more) != 2 || !(d.low < d.high)))
        data_refuse("--range", range, "LOW:HIGH, the elements that mean black and white, as 0:4095 or -1:1");
    if (labels) {
        if (strcmp(labels, "fine") && strcmp(labels, "coarse")) data_refuse("--labels", labels,
                "fine or coarse, of CIFAR-100");
        d.coarse_labels = labels[0] == 'c';
    }
    return d;
}

/* Adds the pictures of a sub-folder, which is a class. */
static inline void data_class(data_set *set, const char *folder, const word_list *list)
{
    word_list pictures = { NULL, 0 };
    int i;
    folder_pictures(folder, list, &pictures);
    words_add(&set->class_name, "", folder_name(folder));
    set->class_of = (int *)realloc(set->class_of,
                                   (size_t)(set->file.count + pictures.count) * sizeof *set->class_of);
    if (!set->class_of) data_refuse("--data", folder, "out of memory for the classes");
    for (i = 0; i < pictures.count; ++i) {
        set->class_of[set->file.count] = set->class_name.count;
        words_add(&set->file, "", pictures.word[i]);
    }
    words_free(&pictures);
}

/* Adds a file, or the pictures of a folder or of its sub-folders. Returns 1 if there are sub-folders. */
static inline int data_add(data_set *set, const char *path)
{
    word_list list = { NULL, 0 };
    int i, pictures = 0;
    if (!folder_list(path, &list)) {
        words_add(&set->file, "", path);
        return 0;
    }
    for (i = 0; i < list.count; ++i) {
        word_list inner = { NULL, 0 };
        if (folder_is_picture(list.word[i])) ++pictures;
        else if (folder_list(list.word[i], &inner)) data_class(set, list.word[i], &inner);
        words_free(&inner);
    }
    if (!set->class_of) folder_pictures(path, &list, &set->file);
    else if (pictures) data_refuse("--data", path, "pictures beside sub-folders, which are classes");
    words_free(&list);
    return set->class_of != NULL;
}

static inline data_set data_options(options *o)
{
    const char *path;
    data_set set;
    int given = 0, classes = 0;
    memset(&set, 0, sizeof set);
    for (; (path = option_text(o, "--data", NULL)) != NULL; ++given) {
        classes |= data_add(&set, path);
        if (classes && given) data_refuse("--data", path, "a folder of classes stands alone");
    }
    set.half = option_flag(o, "--half");
    set.size = option_int(o, "--size", 0);
    if (set.size < 0) data_refuse("--size", "below 0", "the side of images, 1 or more");
    set.only = option_int(o, "--only", 0);
    set.desc = data_description(o);
    set.desc.classes = set.class_of;
    return set;
}

/* drl_dataset_load; when it fails, the sentence and the options that answer it. */
static inline drl_status data_load(drl_ctx *ctx, const char *const *files, int count,
                                   const drl_dataset_desc *d, drl_dataset **out)
{
    drl_status status = drl_dataset_load(ctx, files, count, d, out);
    if (status != DRL_OK && status != DRL_E_IO)
        fprintf(stderr, "the fields of drl_dataset_desc are options here: %s\n", DATA_USAGE);
    return status;
}

/* *less <- images averaged down by a whole factor, colours weighted by alpha if it is there. Labels are
 * shared, the images are the caller's to free, with data_free. 0: out of memory. */
static inline int data_shrink(const drl_dataset *data, int factor, drl_dataset *less)
{
    int n, i, j, k, u, h = data->height / factor, w = data->width / factor, c = data->channels,
        alpha = c % 2 ? -1 : c - 1;
    void *block = malloc((size_t)data->count * (size_t)(h * w * c) * (data->values ? sizeof(float) : 1) + 1);
    uint8_t *pixel = data->values ? NULL : (uint8_t *)block;
    float *value = data->values ? (float *)block : NULL;
    if (!block) return 0;
    *less = *data;
    less->owner = NULL;
    less->height = h;
    less->width = w;
    less->pixels = pixel;
    less->values = value;
    for (n = 0; n < data->count; ++n)
        for (i = 0; i < h; ++i)
            for (j = 0; j < w; ++j)
                for (k = 0; k < c; ++k) {
                    unsigned sum = 0, weight = 0, a;
                    double total = 0, share = 0, part;
                    for (u = 0; u < factor * factor; ++u) {
                        size_t row = (size_t)n * (size_t)data->height + (size_t)(i * factor + u / factor);
                        size_t at = row * (size_t)data->width + (size_t)(j * factor + u % factor);
                        at *= (size_t)c;
                        if (value) {
                            part = 1;
                            if (alpha >= 0 && k != alpha)
                                part = 0.5 + 0.5 * (double)data->values[at + (size_t)alpha];
                            total += part * (double)data->values[at + (size_t)k];
                            share += part;
                        } else {
                            a = alpha < 0 || k == alpha ? 1 : data->pixels[at + (size_t)alpha];
                            sum += a * data->pixels[at + (size_t)k];
                            weight += a;
                        }
                    }
                    if (value) *value++ = (float)(share > 0 ? total / share : -1);
                    else *pixel++ = (uint8_t)(weight ? (sum + weight / 2) / weight : 0);
                }
    return 1;
}

static inline void data_free(drl_dataset *made)
{
    free((void *)(uintptr_t)made->pixels);
    free((void *)(uintptr_t)made->values);
}

/* A line with the classes that come from sub-folders, and how many images each has. */
static inline void data_print_classes(const data_set *set)
{
    int c, i, images;
    for (c = 1; c <= set->class_name.count; ++c) {
        for (images = i = 0; i < set->whole.count; ++i) images += set->whole.labels[i] == c;
        printf("%s %d %s (%d)", c == 1 ? "classes and their images:" : ",", c, set->class_name.word[c - 1],
               images);
    }
    if (c > 1) printf("\n");
}

/* Keeps the images of one class, and no labels. 0, with a sentence printed, if there are none. */
static inline int data_keep(drl_dataset *data, int class_)
{
    size_t size = (size_t)data->height * (size_t)data->width * (size_t)data->channels *
                  (data->values ? sizeof(float) : 1);
    /* the set is this program's, so its images may move */
    unsigned char *image = (unsigned char *)(uintptr_t)(data->values ? (const void *)data->values
                                                                     : (const void *)data->pixels);
    int i, kept = 0;
    for (i = 0; data->labels && i < data->count; ++i)
        if (data->labels[i] == class_) memmove(image + size * (size_t)kept++, image + size * (size_t)i, size);
    if (!kept) {
        fprintf(stderr, "--only %d: no image has this label; the data has %d classes, from 1 on\n", class_,
                data->classes);
        return 0;
    }
    data->count = kept;
    data->classes = 0;
    data->labels = NULL;
    return 1;
}

/* Reads the files, or makes `sprites` sprites of `seed` with so many classes (see sprites_create), and makes
 * them smaller. Returns 0, with a sentence printed, when it cannot. */
static inline int data_open(drl_ctx *ctx, data_set *set, uint64_t seed, int sprites, int classes)
{
    int factor = set->half ? 2 : 1, side;
    if (set->file.count &&
        data_load(ctx, set->file.word, set->file.count, &set->desc, &set->loaded) != DRL_OK) {
        fprintf(stderr, "--data: %s\n", drl_ctx_message(ctx));
        return 0;
    }
    if (set->loaded) set->whole = *set->loaded;
    else if (!sprites_create(seed, sprites, classes, &set->whole)) {
        fprintf(stderr, "out of memory for the sprites\n");
        return 0;
    }
    data_print_classes(set);
    if (set->only && !data_keep(&set->whole, set->only)) return 0;
    set->data = set->whole;
    side = set->whole.height / factor;
    if (set->size && set->size < side && side % set->size == 0 && set->whole.width == set->whole.height)
        factor *= side / set->size;
    if (factor > 1 && !data_shrink(&set->whole, factor, &set->data)) {
        fprintf(stderr, "out of memory for the images\n");
        return 0;
    }
    return 1;
}

static inline void data_close(data_set *set)
{
    if (set->data.pixels != set->whole.pixels || set->data.values != set->whole.values) data_free(&set->data);
    if (set->loaded) drl_dataset_destroy(set->loaded);
    else sprites_destroy(&set->whole);
    words_free(&set->file);
    words_free(&set->class_name);
    free(set->class_of);
    set->class_of = NULL;
}

/* Names of classes 1 .. classes, at most 256: the lines of a file (path NULL: none), the sub-folders', the
 * sprites', or numbers. */
static inline void data_names(const data_set *set, const char *path, int classes, char (*name)[PICTURE_NAME])
{
    FILE *file = path ? fopen(path, "r") : NULL;
    int i;
    if (path && !file) data_refuse("--names", path, "cannot be opened");
    for (i = 1; i <= classes && i <= 256; ++i)
        if (file && fgets(name[i], PICTURE_NAME, file)) name[i][strcspn(name[i], "\r\n")] = 0;
        else if (!set->file.count) snprintf(name[i], PICTURE_NAME, "%s", sprite_class_name(i));
        else if (i <= set->class_name.count)
            snprintf(name[i], PICTURE_NAME, "%.*s", PICTURE_NAME - 1, set->class_name.word[i - 1]);
        else snprintf(name[i], PICTURE_NAME, "%d", i);
    if (file) fclose(file);
}

/* An image for row r of `rows`: of another class in every row, and sprites of other colours. */
static inline int data_of_row(const drl_dataset *data, int r, int rows)
{
    int tries = 0, skip = r, index = r * (data->count / rows) % data->count;
    while (((data->labels[index] + rows - 1) % rows != r || skip-- > 0) && tries++ < data->count)
        index = (index + 1) % data->count;
    return index;
}

/* A model's sides for these images: --size, or else the next multiple of 8, as three poolings halve them. */
static inline void data_sides(const data_set *set, drl_model_desc *d)
{
    d->height = set->size ? set->size : (set->data.height + 7) / 8 * 8;
    d->width = set->size ? set->size : (set->data.width + 7) / 8 * 8;
    d->channels = set->data.channels;
}

/* Ends the program with a sentence when a model does not take these images, or has not `classes` classes (-1:
 * any number will do). */
static inline void data_check(const data_set *set, const drl_model_desc *d, int classes)
{
    if (set->data.channels == d->channels && set->data.height <= d->height && set->data.width <= d->width &&
        (classes < 0 || classes == d->classes)) return;
    fprintf(stderr,
            "the data has %d x %d x %d in %d classes, the model draws %d x %d x %d in %d: give the --data "
            "and the --size that it was trained with\n",
            set->data.height, set->data.width, set->data.channels, set->data.classes, d->height, d->width,
            d->channels, d->classes);
    exit(2);
}

/* For models with classes: images with labels, and the names of the classes (--names FILE). Call it after all
 * other options. Returns 0, with a sentence printed, when there are none. */
static inline int data_labelled(options *o, data_set *set, training *t, const char *usage,
                                char (*name)[PICTURE_NAME])
{
    const char *names = option_text(o, "--names", NULL);
    if (options_rest(o, usage) || (t->train_desc.palette && !set->file.count)) {
        fprintf(stderr, "no words; --palette with --data, as classes of sprites are colours\n%s", usage);
        return 0;
    }
    if (!data_open(t->ctx, set, 1, 4000, SPRITE_EITHER)) return 0;
    t->data = &set->data;
    t->model_desc.classes = set->data.classes;
    if (!set->data.labels) fprintf(stderr, "labels are needed: --data LABELS, or a folder of folders\n");
    else data_names(set, names, set->data.classes, name);
    return set->data.labels != NULL;
}

/* Other sprites, which no training has seen, in place of the embedded ones; files stay. */
static inline int data_others(drl_ctx *ctx, data_set *set)
{
    if (set->file.count) return 1;
    data_close(set);
    return data_open(ctx, set, 2, 4000, SPRITE_SHAPES);
}

/* From the images to a model: training_open and training_run, with a line about both. classes: those that the
 * model has to have, -1 for any number. */
static inline drl_status data_train(const data_set *set, training *t, int classes)
{
    drl_status status;
    data_sides(set, &t->model_desc);
    status = training_open(t);
    if (status != DRL_OK) return status;
    data_check(set, &t->model_desc, classes);
    training_print(t, set->data.count);
    return training_run(t);
}
#endif
