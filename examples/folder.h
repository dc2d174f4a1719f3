/* folder.h - lists of words, and what lies in a folder. */
#ifndef FOLDER_H
#define FOLDER_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <io.h>
#else
#include <dirent.h>
#endif

typedef struct word_list {
    const char **word;
    int count;
} word_list;

/* Adds FOLDER/NAME, or NAME where the folder is "". */
static inline void words_add(word_list *list, const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *word = (char *)malloc(bytes);
    const char **more = (const char **)realloc((void *)list->word, ((size_t)list->count + 1) * sizeof *more);
    if (!word || !more) {
        fprintf(stderr, "out of memory for the names of files\n");
        exit(1);
    }
    snprintf(word, bytes, "%s%s%s", folder, *folder ? "/" : "", name);
    list->word = more;
    list->word[list->count++] = word;
}

static inline void words_free(word_list *list)
{
    while (list->count > 0) free((void *)(uintptr_t)list->word[--list->count]);
    free((void *)list->word);
    list->word = NULL;
}

static inline int words_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The last part of a path. */
static inline const char *folder_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether a name ends so, in small letters or capitals. */
static inline int folder_ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end), i;
    if (n < m) return 0;
    for (i = 0; i < m; ++i) {
        char c = name[n - m + i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (c != end[i]) return 0;
    }
    return 1;
}

/* The paths of what lies in a folder, sorted by their bytes; hidden files are left out. Returns 0 when it is
 * no folder. */
static inline int folder_list(const char *folder, word_list *list)
{
#if defined(_WIN32)
    struct _finddata_t entry;
    intptr_t at;
    word_list all = { NULL, 0 };
    words_add(&all, folder, "*");
    at = _findfirst(all.word[0], &entry);
    words_free(&all);
    if (at == -1) return 0;
    do {
        if (entry.name[0] != '.') words_add(list, folder, entry.name);
    } while (_findnext(at, &entry) == 0);
    _findclose(at);
#else
    const struct dirent *entry;
    DIR *open = opendir(folder);
    if (!open) return 0;
    while ((entry = readdir(open)) != NULL)
        if (entry->d_name[0] != '.') words_add(list, folder, entry->d_name);
    closedir(open);
#endif
    if (list->count) qsort((void *)list->word, (size_t)list->count, sizeof *list->word, words_order);
    return 1;
}

static inline int folder_is_picture(const char *name)
{
    return folder_ends(name, ".pam") || folder_ends(name, ".pgm") || folder_ends(name, ".ppm") ||
           folder_ends(name, ".pnm");
}

/* Adds the netpbm files of a folder, of which `list` is the list. Ends the program with a sentence when there
 * are none. */
static inline void folder_pictures(const char *folder, const word_list *list, word_list *pictures)
{
    int i, png = 0, before = pictures->count;
    for (i = 0; i < list->count; ++i)
        if (folder_is_picture(list->word[i])) words_add(pictures, "", list->word[i]);
        else png += folder_ends(list->word[i], ".png");
    if (pictures->count > before) return;
    fprintf(stderr, "--data %s: a folder without .pgm, .ppm and .pam files", folder);
    if (png) fprintf(stderr, "; in it run: mogrify -format pam -type TrueColorAlpha *.png");
    fprintf(stderr, "\n");
    exit(2);
}
#endif
