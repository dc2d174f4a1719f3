/* failing_files.h - the C library's files, as the library calls them: every call is counted, one of them can
 * fail, and the disk can be full. Comes before drl.h, which defines only those of these macros that are not
 * there yet. */
#ifndef FAILING_FILES_H
#define FAILING_FILES_H
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    IO_OPEN   = 1,
    IO_READ   = 2,
    IO_WRITE  = 4,
    IO_FLUSH  = 8,
    IO_CLOSE  = 16,
    IO_RENAME = 32,
    IO_STAT   = 64,
    IO_SYNC   = 128,
    IO_REMOVE = 256,
    IO_MODE   = 512
};
static long io_calls = 0;               /* so far */
static long io_fail_at = 0;             /* number of the call that fails; 0: none */
static int io_failed = 0;               /* which kind of call has failed; 0: none */
static long io_room = -1;               /* bytes until the disk is full; -1: it never is */
static char io_temporary[5000] = "";    /* the file that was made last */

/* Of the calls from here on, the n-th fails; 0: none. */
static void io_fail(long n)
{
    io_calls = 0;
    io_failed = 0;
    io_fail_at = n;
}

static int io_fails(int call)
{
    if (++io_calls != io_fail_at) return 0;
    io_failed = call;
    errno = EIO;
    return 1;
}

static void io_note(const char *path)
{
    if (strlen(path) < sizeof io_temporary) strcpy(io_temporary, path);
}

/* A write that fails has written half; one that meets a full disk as much as there is room for. */
static size_t io_write(const void *data, size_t n, FILE *file)
{
    size_t some = io_fails(IO_WRITE) ? n / 2 : n;
    if (io_room >= 0 && (size_t)io_room < some) {
        some = (size_t)io_room;
        errno = ENOSPC;
    }
    if (io_room >= 0) io_room -= (long)some;
    return fwrite(data, 1, some, file);
}

#define DRL__FOPEN(path, mode)      (io_fails(IO_OPEN) ? NULL : fopen(path, mode))
#define DRL__FREAD(data, n, file)   (io_fails(IO_READ) ? 0 : fread(data, 1, n, file))
#define DRL__FWRITE(data, n, file)  io_write(data, n, file)
#define DRL__FFLUSH(file)           (io_fails(IO_FLUSH) ? EOF : fflush(file))
#define DRL__FCLOSE(file)           (io_fails(IO_CLOSE) ? (fclose(file), EOF) : fclose(file))
#define DRL__REMOVE(path)           (io_fails(IO_REMOVE) ? -1 : remove(path))
#if defined(_WIN32)
#define IO_NEW                      (_O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY)
#define DRL__OPEN_NEW(path, mode)   (io_note(path), io_fails(IO_OPEN) ? -1 : _open(path, IO_NEW, mode))
#else
#define IO_NEW                      (O_WRONLY | O_CREAT | O_EXCL)
#define DRL__OPEN_NEW(path, mode)   (io_note(path), io_fails(IO_OPEN) ? -1 : open(path, IO_NEW, mode))
#define DRL__FDOPEN(descriptor)     (io_fails(IO_OPEN) ? NULL : fdopen(descriptor, "wb"))
#define DRL__FCHMOD(file, mode)     (io_fails(IO_MODE) ? -1 : fchmod(fileno(file), mode))
#define DRL__RENAME(from, to)       (io_fails(IO_RENAME) ? -1 : rename(from, to))
#endif

/* Which kinds of call a writer and a reader make, and are refused for. */
#define IO_READERS (IO_OPEN | IO_READ)
#if defined(__unix__) || defined(__APPLE__)
#define IO_POSIX                    /* links, permissions, and waiting for the disk */
#define DRL__STAT(path, info)       (io_fails(IO_STAT) ? -1 : stat(path, info))
#define DRL__FSYNC(file)            (io_fails(IO_SYNC) ? -1 : fsync(fileno(file)))
#define IO_WRITERS (IO_OPEN | IO_WRITE | IO_FLUSH | IO_CLOSE | IO_SYNC | IO_RENAME | IO_STAT | IO_MODE)
#else
#define IO_WRITERS (IO_OPEN | IO_WRITE | IO_FLUSH | IO_CLOSE)
#endif
#endif
