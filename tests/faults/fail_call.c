/* Loaded with LD_PRELOAD: counts the calls of a process that concern files below $FAIL_UNDER, and does something at one of them.
 *
 *   FAIL_UNDER   a folder; relative paths count from the working folder
 *   FAIL_LOG     a file: without FAIL_AT every call gets a line "number call path occurrence"; with it, the one that was hit
 *   FAIL_AT      which call: its number, or "call path occurrence" (the occurrence counts calls of this name on this path, from 1:
 *                the same call in every run, whatever other threads do). "MPI_Init_thread - 1" and "MPI_Finalize - 1" are calls, too
 *   FAIL_RANK    only in the process of this rank of mpirun's
 *   FAIL_HOW     ENOSPC EDQUOT EIO ...  the call fails with this error (a close closes all the same)
 *                SHORT                  a write writes half and says so
 *                STAY                   the disk is full from here on, for the next $FAIL_FOR calls that need space (else: always)
 *                KILL_BEFORE KILL_AFTER the process dies of SIGKILL
 *                PAUSE                  makes the file $FAIL_MEET.here and waits until $FAIL_MEET.go exists (a minute at most)
 *
 * Paths are told relative to FAIL_UNDER; a rename by the name that it makes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kDescriptors = 4096, kPaths = 8192, kText = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char under[PATH_MAX], at[kText], how[64], meet[PATH_MAX];
static int log_file = -1, active = 0, count = 0, full_for = 0;
static char *path_of[kDescriptors];                            /* of open descriptors below FAIL_UNDER */
static struct { char text[kText]; int times; } seen[kPaths];   /* how often each call on each path was made */

static int setting(const char *name, char *out, size_t size) {
  const char *value = getenv(name);
  if (value == NULL || value[0] == '\0') return 0;
  snprintf(out, size, "%s", value);
  return 1;
}

/* The real call, by the next library's name. */
#define REAL(type, name, ...)                                                          \
  static type (*real)(__VA_ARGS__) = NULL;                                             \
  if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void start(void) {
  char text[PATH_MAX], rank[32];
  const char *mine = getenv("OMPI_COMM_WORLD_RANK");
  if (!setting("FAIL_UNDER", under, sizeof under)) return;
  if (setting("FAIL_RANK", rank, sizeof rank) && (mine == NULL || strcmp(mine, rank) != 0)) return;
  if (under[0] != '/') {
    char folder[PATH_MAX / 2];
    if (getcwd(folder, sizeof folder) == NULL) return;
    snprintf(text, sizeof text, "%s", under);
    if (snprintf(under, sizeof under, "%s/%s", folder, text) >= (int)sizeof under) return;
  }
  setting("FAIL_AT", at, sizeof at);
  setting("FAIL_HOW", how, sizeof how);
  setting("FAIL_MEET", meet, sizeof meet);
  if (setting("FAIL_LOG", text, sizeof text)) {
    log_file = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log_file >= 0 && log_file < 200) {  /* out of the way of the program's own numbers */
      const int high = fcntl(log_file, F_DUPFD_CLOEXEC, 200);
      syscall(SYS_close, log_file);
      log_file = high;
    }
  }
  active = 1;
}

static void tell(const char *line) {
  if (log_file >= 0) syscall(SYS_write, log_file, line, strlen(line));
}

static int error_number(const char *name) {
  static const struct { const char *name; int number; } known[] = {
      {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO}, {"EACCES", EACCES}, {"EROFS", EROFS}, {"EMFILE", EMFILE}, {"EINTR", EINTR}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
    if (strcmp(known[i].name, name) == 0) return known[i].number;
  return 0;
}

static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

static void pause_here(void) {
  char name[PATH_MAX + 8];
  struct stat facts;
  const struct timespec moment = {0, 2000000};
  snprintf(name, sizeof name, "%s.here", meet);
  syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  snprintf(name, sizeof name, "%s.go", meet);
  for (int i = 0; i < 30000 && syscall(SYS_newfstatat, AT_FDCWD, name, &facts, 0) != 0; ++i) nanosleep(&moment, NULL);
}

enum Deed { kPass, kFail, kHalf, kDieAfter };
enum Need { kNoSpace, kSpace };

/* Decides about one call. For kFail errno is set. */
static enum Deed decide(const char *call, const char *path, enum Need need) {
  char key[kText], line[kText + 64];
  enum Deed deed = kPass;
  int wanted = 0, times = 0, number = 0, pausing = 0, error = 0;
  snprintf(key, sizeof key, "%s %s", call, path);
  pthread_mutex_lock(&lock);
  number = ++count;
  for (int i = 0; i < kPaths; ++i) {
    if (seen[i].times == 0) snprintf(seen[i].text, sizeof seen[i].text, "%s", key);
    if (strcmp(seen[i].text, key) != 0) continue;
    times = ++seen[i].times;
    break;
  }
  snprintf(line, sizeof line, "%s %d", key, times);
  if (at[0] != '\0') wanted = strchr(at, ' ') == NULL ? atoi(at) == number : strcmp(at, line) == 0;
  if (full_for > 0 && need == kSpace) {
    --full_for;
    error = ENOSPC;
  }
  if (wanted && strcmp(how, "STAY") == 0) {
    const char *span = getenv("FAIL_FOR");
    full_for = span != NULL ? atoi(span) - 1 : INT_MAX;
    error = ENOSPC;
  }
  pthread_mutex_unlock(&lock);
  if (at[0] == '\0' || wanted) {
    snprintf(line, sizeof line, "%d %s %d\n", number, key, times);
    tell(line);
  }
  if (error != 0) {
    errno = error;
    return kFail;
  }
  if (!wanted) return kPass;
  if (strcmp(how, "KILL_BEFORE") == 0) die();
  if (strcmp(how, "KILL_AFTER") == 0) deed = kDieAfter;
  if (strcmp(how, "SHORT") == 0) deed = kHalf;
  pausing = strcmp(how, "PAUSE") == 0;
  if (pausing) pause_here();
  if (error_number(how) != 0) {
    errno = error_number(how);
    deed = kFail;
  }
  return deed;
}

/* What `name` (seen from folder `at_folder`) is below FAIL_UNDER; NULL when it is elsewhere. The folder itself is ".". */
static const char *below(int at_folder, const char *name, char *buffer) {
  char all[2 * PATH_MAX];
  if (!active || name == NULL) return NULL;
  if (name[0] == '/') {
    snprintf(all, sizeof all, "%s", name);
  } else if (at_folder != AT_FDCWD) {
    if (at_folder < 0 || at_folder >= kDescriptors || path_of[at_folder] == NULL) return NULL;
    snprintf(all, sizeof all, "%s/%s/%s", under, path_of[at_folder], name);
  } else {
    char folder[PATH_MAX / 2];
    if (syscall(SYS_getcwd, folder, sizeof folder) < 0) return NULL;
    snprintf(all, sizeof all, "%s/%s", folder, name);
  }
  const size_t length = strlen(under);
  if (strncmp(all, under, length) != 0 || (all[length] != '/' && all[length] != '\0')) return NULL;
  const char *rest = all + length;
  while (*rest == '/') ++rest;
  if (strncmp(rest, "./", 2) == 0) rest += 2;
  snprintf(buffer, kText / 2, "%s", rest[0] == '\0' ? "." : rest);
  return buffer;
}

static const char *below_descriptor(int file) {
  return active && file >= 0 && file < kDescriptors ? path_of[file] : NULL;
}

static void remember(int file, const char *path) {
  if (file < 0 || file >= kDescriptors) return;
  free(path_of[file]);
  path_of[file] = path != NULL ? strdup(path) : NULL;
}

/* One call that returns an int (or -1) and is made, or not, as decided. */
#define DECIDED(result_type, call, path, need, expression) \
  do {                                                     \
    const enum Deed deed = decide(call, path, need);       \
    if (deed == kFail) return (result_type)-1;             \
    const result_type result = (expression);               \
    if (deed == kDieAfter) die();                          \
    return result;                                         \
  } while (0)

static int opened(int folder, const char *name, int flags, mode_t mode) {
  char buffer[kText];
  const char *path = below(folder, name, buffer);
  if (path == NULL) {
    const int file = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (active) remember(file, NULL);
    return file;
  }
  const enum Deed deed = decide("open", path, flags & O_CREAT ? kSpace : kNoSpace);
  if (deed == kFail) return -1;
  const int file = (int)syscall(SYS_openat, folder, name, flags, mode);
  remember(file, path);
  if (deed == kDieAfter) die();
  return file;
}

#define OPEN_MODE(flags)                            \
  mode_t mode = 0;                                  \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {          \
    va_list rest;                                   \
    va_start(rest, flags);                          \
    mode = va_arg(rest, mode_t);                    \
    va_end(rest);                                   \
  }

int open(const char *name, int flags, ...) { OPEN_MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { OPEN_MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { OPEN_MODE(flags) return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { OPEN_MODE(flags) return opened(folder, name, flags, mode); }
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

DIR *opendir(const char *name) {
  REAL(DIR *, "opendir", const char *);
  char buffer[kText];
  const char *path = below(AT_FDCWD, name, buffer);
  const enum Deed deed = path != NULL ? decide("opendir", path, kNoSpace) : kPass;
  if (deed == kFail) return NULL;
  DIR *folder = real(name);
  if (deed == kDieAfter) die();
  return folder;
}

int close(int file) {
  const char *known = below_descriptor(file);
  if (known == NULL) return (int)syscall(SYS_close, file);
  char path[kText];
  snprintf(path, sizeof path, "%s", known);
  const enum Deed deed = decide("close", path, kNoSpace);
  const int error = errno;
  remember(file, NULL);
  const int result = (int)syscall(SYS_close, file);
  if (deed == kDieAfter) die();
  if (deed != kFail) return result;
  errno = error;
  return -1;
}

int closedir(DIR *folder) {
  REAL(int, "closedir", DIR *);
  if (active) remember(dirfd(folder), NULL);
  return real(folder);
}

/* The path of a descriptor stays until it is closed, but another thread may close it meanwhile: a copy. */
#define OF_DESCRIPTOR(file, otherwise)                     \
  const char *known = below_descriptor(file);              \
  if (known == NULL) return otherwise;                     \
  char path[kText];                                        \
  snprintf(path, sizeof path, "%s", known)

ssize_t write(int file, const void *bytes, size_t size) {
  OF_DESCRIPTOR(file, syscall(SYS_write, file, bytes, size));
  const enum Deed deed = decide("write", path, kSpace);
  if (deed == kFail) return -1;
  const ssize_t result = syscall(SYS_write, file, bytes, deed == kHalf && size > 1 ? size / 2 : size);
  if (deed == kDieAfter) die();
  return result;
}

static ssize_t pwrite_decided(int file, const void *bytes, size_t size, off_t offset) {
  OF_DESCRIPTOR(file, syscall(SYS_pwrite64, file, bytes, size, offset));
  const enum Deed deed = decide("pwrite", path, kSpace);
  if (deed == kFail) return -1;
  const ssize_t result = syscall(SYS_pwrite64, file, bytes, deed == kHalf && size > 1 ? size / 2 : size, offset);
  if (deed == kDieAfter) die();
  return result;
}
ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) { return pwrite_decided(file, bytes, size, offset); }
ssize_t pwrite64(int file, const void *bytes, size_t size, off_t offset) { return pwrite_decided(file, bytes, size, offset); }

ssize_t writev(int file, const struct iovec *pieces, int number) {
  OF_DESCRIPTOR(file, syscall(SYS_writev, file, pieces, number));
  DECIDED(ssize_t, "writev", path, kSpace, syscall(SYS_writev, file, pieces, number));
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
  OF_DESCRIPTOR(to, syscall(SYS_sendfile, to, from, offset, size));
  DECIDED(ssize_t, "sendfile", path, kSpace, syscall(SYS_sendfile, to, from, offset, size));
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) { return sendfile(to, from, offset, size); }

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
  OF_DESCRIPTOR(to, syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags));
  DECIDED(ssize_t, "copy_file_range", path, kSpace,
          syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags));
}

int fsync(int file) {
  OF_DESCRIPTOR(file, (int)syscall(SYS_fsync, file));
  DECIDED(int, "fsync", path, kSpace, (int)syscall(SYS_fsync, file));
}

int fdatasync(int file) {
  OF_DESCRIPTOR(file, (int)syscall(SYS_fdatasync, file));
  DECIDED(int, "fdatasync", path, kSpace, (int)syscall(SYS_fdatasync, file));
}

static int cut(int file, off_t size) {
  OF_DESCRIPTOR(file, (int)syscall(SYS_ftruncate, file, size));
  DECIDED(int, "ftruncate", path, kNoSpace, (int)syscall(SYS_ftruncate, file, size));
}
int ftruncate(int file, off_t size) { return cut(file, size); }
int ftruncate64(int file, off64_t size) { return cut(file, size); }

static int renamed(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  char buffer[kText];
  const char *path = below(to_folder, to, buffer);
  if (path == NULL) path = below(from_folder, from, buffer);
  if (path == NULL) return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
  DECIDED(int, "rename", path, kNoSpace, (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  return renamed(from_folder, from, to_folder, to, 0);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  return renamed(from_folder, from, to_folder, to, flags);
}

static int unlinked(int folder, const char *name, int flags) {
  char buffer[kText];
  const char *path = below(folder, name, buffer);
  if (path == NULL) return (int)syscall(SYS_unlinkat, folder, name, flags);
  DECIDED(int, "unlink", path, kNoSpace, (int)syscall(SYS_unlinkat, folder, name, flags));
}
int unlink(const char *name) { return unlinked(AT_FDCWD, name, 0); }
int unlinkat(int folder, const char *name, int flags) { return unlinked(folder, name, flags); }
int rmdir(const char *name) { return unlinked(AT_FDCWD, name, AT_REMOVEDIR); }
/* glibc's remove() calls its own unlink, past this library. */
int remove(const char *name) {
  const int result = unlinked(AT_FDCWD, name, 0);
  return result < 0 && errno == EISDIR ? unlinked(AT_FDCWD, name, AT_REMOVEDIR) : result;
}

static int linked(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  char buffer[kText];
  const char *path = below(to_folder, to, buffer);
  if (path == NULL) return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
  DECIDED(int, "link", path, kSpace, (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags));
}
int link(const char *from, const char *to) { return linked(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  return linked(from_folder, from, to_folder, to, flags);
}

int symlink(const char *target, const char *name) {
  char buffer[kText];
  const char *path = below(AT_FDCWD, name, buffer);
  if (path == NULL) return (int)syscall(SYS_symlinkat, target, AT_FDCWD, name);
  DECIDED(int, "symlink", path, kSpace, (int)syscall(SYS_symlinkat, target, AT_FDCWD, name));
}

int mkdirat(int folder, const char *name, mode_t mode) {
  char buffer[kText];
  const char *path = below(folder, name, buffer);
  if (path == NULL) return (int)syscall(SYS_mkdirat, folder, name, mode);
  DECIDED(int, "mkdir", path, kSpace, (int)syscall(SYS_mkdirat, folder, name, mode));
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* The two ends of a job, as places to stop at. */
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  REAL(int, "MPI_Init_thread", int *, char ***, int, int *);
  const enum Deed deed = active ? decide("MPI_Init_thread", "-", kNoSpace) : kPass;
  const int result = real(argc, argv, required, provided);
  if (deed == kDieAfter) die();
  return result;
}

int MPI_Finalize(void) {
  REAL(int, "MPI_Finalize", void);
  const enum Deed deed = active ? decide("MPI_Finalize", "-", kNoSpace) : kPass;
  const int result = real();
  if (deed == kDieAfter) die();
  return result;
}
