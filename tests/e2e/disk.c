/* A disk that tells what it has been made to keep.
 *
 * Loaded into the server with LD_PRELOAD, it writes down in a journal what the server does for the sake of durability in one folder, so
 * that a test can take away everything else after it has killed the server: what a power loss leaves. `disk.rs` plays the journal.
 * (RocksDB's own fault injection is C++ that its crate does not build, and would not see the folder's other files.)
 *
 *   S size path          the file was synced when it had this size
 *   D path               the folder was synced
 *   T size path          the file was cut to this size
 *   R saved from to      is about to be renamed; what `to` was before is kept under the name `saved`, unless that is -1
 *   U saved path         was unlinked; the same
 *   K                    the process ends itself here
 *
 * A line is one write(2) to a file outside of the folder, so SIGKILL takes none of it back. sync_file_range(2) is left alone: it promises
 * nothing. With WEIR_DISK_STEP=n and WEIR_DISK_OF=x the process kills itself just before the nth of these steps that concerns a file with
 * an x in its path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int journal = -1;
static const char *folder, *saved, *step_of;
static long last_step;
static atomic_long steps;
/* Names change, and folders are synced, one at a time: which changes a sync covers is then what the journal has before it. */
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static void note(const char *format, ...) {
    char line[2 * PATH_MAX + 64];
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    if (length >= (int)sizeof line || write(journal, line, length) != length) abort();
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("WEIR_DISK_JOURNAL"), *step = getenv("WEIR_DISK_STEP");
    folder = getenv("WEIR_DISK_FOLDER");
    saved = getenv("WEIR_DISK_SAVED");
    step_of = getenv("WEIR_DISK_OF");
    last_step = step ? atol(step) : 0;
    if (!path || !folder || !saved) abort();
    journal = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (journal < 0) abort();
}

static void step(const char *path) {
    if (last_step && strstr(path, step_of) && atomic_fetch_add(&steps, 1) + 1 == last_step) {
        note("K\n");
        kill(getpid(), SIGKILL);
        pause();
    }
}

/* The path below the folder, or NULL. */
static const char *below(const char *path) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]) ? path + length : NULL;
}

/* The same of a descriptor, or of `name` in a folder with that descriptor. */
static const char *below_at(int fd, const char *name, char path[2 * PATH_MAX]) {
    char link[32];
    if (name && (*name == '/' || fd == AT_FDCWD)) return below(name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    snprintf(path + length, PATH_MAX, "%s%s", name ? "/" : "", name ? name : "");
    return below(path);
}

/* Keeps what is at `path`: the number of its second name, or -1 where there is nothing. */
static int keep(const char *path) {
    static int kept;
    char second[PATH_MAX];
    snprintf(second, sizeof second, "%s/%d", saved, kept);
    return link(path, second) == 0 ? kept++ : -1;
}

static int synced(int fd, int (*sync)(int)) {
    char buffer[2 * PATH_MAX];
    struct stat before;
    const char *path = below_at(fd, NULL, buffer);
    /* The size before the call: what is written while it runs, by another thread, may be on the disk or not. */
    if (!path || fstat(fd, &before)) return sync(fd);
    step(path);
    if (S_ISDIR(before.st_mode)) pthread_mutex_lock(&names);
    int result = sync(fd);
    if (result == 0 && S_ISDIR(before.st_mode)) note("D\t%s\n", path);
    if (result == 0 && S_ISREG(before.st_mode)) note("S\t%lld\t%s\n", (long long)before.st_size, path);
    if (S_ISDIR(before.st_mode)) pthread_mutex_unlock(&names);
    return result;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int rename(const char *from, const char *to) {
    if (!below(from) || !below(to)) return REAL(rename)(from, to);
    pthread_mutex_lock(&names);
    step(to);
    /* Before it happens: a file of unknown past would be taken for one that was never synced. */
    note("R\t%d\t%s\t%s\n", keep(to), below(from), below(to));
    int result = REAL(rename)(from, to);
    pthread_mutex_unlock(&names);
    return result;
}

static int unlinked(int fd, const char *name, int flags) {
    char buffer[2 * PATH_MAX], full[2 * PATH_MAX];
    const char *path = below_at(fd, name, buffer);
    if (!path || flags & AT_REMOVEDIR) return REAL(unlinkat)(fd, name, flags);
    pthread_mutex_lock(&names);
    step(path);
    snprintf(full, sizeof full, "%s%s", folder, path);
    int number = keep(full), result = REAL(unlinkat)(fd, name, flags);
    if (result == 0) note("U\t%d\t%s\n", number, path);
    pthread_mutex_unlock(&names);
    return result;
}

int unlink(const char *path) { return unlinked(AT_FDCWD, path, 0); }
int unlinkat(int fd, const char *name, int flags) { return unlinked(fd, name, flags); }

static int truncated(int fd, off_t size) {
    char buffer[2 * PATH_MAX];
    const char *path = below_at(fd, NULL, buffer);
    if (path) step(path);
    int result = REAL(ftruncate)(fd, size);
    if (path && result == 0) note("T\t%lld\t%s\n", (long long)size, path);
    return result;
}

int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

static int opened(int at, const char *name, int flags, mode_t mode) {
    char buffer[2 * PATH_MAX];
    int fd = REAL(openat)(at, name, flags, mode);
    const char *path = fd >= 0 && flags & O_TRUNC ? below_at(at, name, buffer) : NULL;
    if (path) note("T\t0\t%s\n", path);
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name, at, ...)                            \
    int name(__VA_ARGS__, int flags, ...) {            \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = mode_of(flags, rest);            \
        va_end(rest);                                  \
        return opened(at, path, flags, mode);          \
    }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, fd, int fd, const char *path)
OPEN(openat64, fd, int fd, const char *path)

/* Not used by the server (nm -D); should a library begin to, the tests must learn of it. */
#define UNEXPECTED(name, ...) \
    int name(__VA_ARGS__) { abort(); }
UNEXPECTED(renameat, int a, const char *b, int c, const char *d)
UNEXPECTED(renameat2, int a, const char *b, int c, const char *d, unsigned e)
UNEXPECTED(syncfs, int fd)
