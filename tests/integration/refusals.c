/* LD_PRELOAD: a file system that refuses calls. REFUSE holds words such as flock=37 or fsync_folder=22; the calls are
   flock, range (locks by fcntl), fsync, fsync_folder, fdatasync, chmod, chown, write (to files), turn (making a lock
   file). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refused(const char *name) {
  const char *all = getenv("REFUSE"), *at = all;
  size_t length = strlen(name);
  while (at && (at = strstr(at, name))) {
    if ((at == all || at[-1] == ' ') && at[length] == '=') {
      errno = atoi(at + length + 1);
      return 1;
    }
    at += length;
  }
  return 0;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

int flock(int fd, int how) { return refused("flock") ? -1 : REAL(int, flock, int, int)(fd, how); }

static int is_lock(int how) {
  return how == F_OFD_GETLK || how == F_OFD_SETLK || how == F_OFD_SETLKW || how == F_GETLK || how == F_SETLK ||
         how == F_SETLKW;
}

int fcntl64(int fd, int how, ...) {
  va_list rest;
  va_start(rest, how);
  void *with = va_arg(rest, void *);
  va_end(rest);
  return is_lock(how) && refused("range") ? -1 : REAL(int, fcntl64, int, int, ...)(fd, how, with);
}

int fcntl(int fd, int how, ...) {
  va_list rest;
  va_start(rest, how);
  void *with = va_arg(rest, void *);
  va_end(rest);
  return is_lock(how) && refused("range") ? -1 : REAL(int, fcntl, int, int, ...)(fd, how, with);
}

int fsync(int fd) {
  struct stat is;
  int folder = !fstat(fd, &is) && S_ISDIR(is.st_mode);
  return refused(folder ? "fsync_folder" : "fsync") ? -1 : REAL(int, fsync, int)(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
  struct stat is;
  int file = !fstat(fd, &is) && S_ISREG(is.st_mode);
  return file && refused("write") ? -1 : REAL(ssize_t, write, int, const void *, size_t)(fd, data, size);
}

int fdatasync(int fd) { return refused("fdatasync") ? -1 : REAL(int, fdatasync, int)(fd); }

int fchmod(int fd, mode_t mode) { return refused("chmod") ? -1 : REAL(int, fchmod, int, mode_t)(fd, mode); }

int chmod(const char *path, mode_t mode) {
  return refused("chmod") ? -1 : REAL(int, chmod, const char *, mode_t)(path, mode);
}

int chown(const char *path, uid_t user, gid_t group) {
  return refused("chown") ? -1 : REAL(int, chown, const char *, uid_t, gid_t)(path, user, group);
}

static int is_turn(const char *path, int flags) {
  const char *at = strstr(path, ".lock.");
  return (flags & O_EXCL) && at && strspn(at + 6, "0123456789") == strlen(at + 6);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return is_turn(path, flags) && refused("turn") ? -1 : REAL(int, open64, const char *, int, ...)(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return is_turn(path, flags) && refused("turn") ? -1 : REAL(int, open, const char *, int, ...)(path, flags, mode);
}
