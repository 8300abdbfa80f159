/* Preloaded into the program by the tests: makes a system call fail, or never return, for files of
 * one name.
 *
 * WEFT_FAULT_CALL: open, read, write, fsync or rename; begin or end, which MPI does.
 * WEFT_FAULT_FILE: part of the path; for MPI of "rank-N". WEFT_FAULT_AFTER: how many such calls
 * still work. WEFT_FAULT_TIMES: how many then fail, all if it is not set. WEFT_FAULT_ERRNO: what
 * they fail with; "sleep" and "loop": they never return, and sleep or burn cycles meanwhile;
 * "slow": they take half a second each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static int fails(const char* call, const char* path) {
  const char* wanted = getenv("WEFT_FAULT_CALL");
  const char* file = getenv("WEFT_FAULT_FILE");
  const char* after = getenv("WEFT_FAULT_AFTER");
  if (wanted == NULL || file == NULL || strcmp(wanted, call) != 0) return 0;
  if (strstr(path, file) == NULL) return 0;
  const char* times = getenv("WEFT_FAULT_TIMES");
  const long number = atomic_fetch_add(&calls, 1) - (after != NULL ? atol(after) : 0);
  if (number < 0 || (times != NULL && number >= atol(times))) return 0;
  const char* error = getenv("WEFT_FAULT_ERRNO");
  while (strcmp(error, "sleep") == 0) pause();
  for (volatile int again = 1; strcmp(error, "loop") == 0 && again != 0;) {
  }
  if (strcmp(error, "slow") == 0) {
    usleep(500 * 1000);
    return 0;
  }
  errno = atoi(error);
  return 1;
}

static int fails_on(const char* call, int fd) {
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return fails(call, path);
}

int open(const char* path, int flags, ...) {
  static int (*real)(const char*, int, ...);
  if (real == NULL) real = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0;
  va_end(rest);
  return fails("open", path) ? -1 : real(path, flags, mode);
}

ssize_t pread(int fd, void* bytes, size_t count, off_t offset) {
  static ssize_t (*real)(int, void*, size_t, off_t);
  if (real == NULL) real = (ssize_t(*)(int, void*, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  return fails_on("read", fd) ? -1 : real(fd, bytes, count, offset);
}

ssize_t write(int fd, const void* bytes, size_t count) {
  static ssize_t (*real)(int, const void*, size_t);
  if (real == NULL) real = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
  return fails_on("write", fd) ? -1 : real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  static ssize_t (*real)(int, const void*, size_t, off_t);
  if (real == NULL) real = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  return fails_on("write", fd) ? -1 : real(fd, bytes, count, offset);
}

static void mpi_call(const char* call) {
  const char* rank = getenv("OMPI_COMM_WORLD_RANK");
  if (rank == NULL) rank = getenv("PMI_RANK");
  char path[32];
  snprintf(path, sizeof path, "rank-%s", rank != NULL ? rank : "0");
  fails(call, path);
}

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  int (*real)(int*, char***, int, int*) =
      (int (*)(int*, char***, int, int*))dlsym(RTLD_NEXT, "MPI_Init_thread");
  mpi_call("begin");
  return real(argc, argv, required, provided);
}

int MPI_Finalize(void) {
  int (*real)(void) = (int (*)(void))dlsym(RTLD_NEXT, "MPI_Finalize");
  mpi_call("end");
  return real();
}

int fsync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return fails_on("fsync", fd) ? -1 : real(fd);
}

int rename(const char* from, const char* to) {
  static int (*real)(const char*, const char*);
  if (real == NULL) real = (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  return fails("rename", from) ? -1 : real(from, to);
}
