/*
 * oci-result.c: what a program left in the directory that is its channel to us. An OCI runtime hands on no descriptor
 * that all of them would, so a result is a file, read once everything that could write it is dead. Until then it was the
 * program's, who may have left a pipe, a link, a terabyte of holes or another's file in its place.
 */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The file of that name in that very directory, on that very file system, if it is one. Not waiting at a FIFO. */
static int open_file(int dir, const char *name, uint64_t *size) {
  struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
  struct stat file;
  int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
  if (fd < 0) return -1;
  if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
    *size = (uint64_t)file.st_size;
    return fd;
  }
  close(fd);
  return -1;
}

void oci_result_read(int dir, struct buffer *out, size_t most, bool *too_large) {
  static uint8_t chunk[65536];
  uint64_t size;
  int fd = open_file(dir, "result", &size);
  if (fd < 0) return;
  *too_large = size > most;
  for (ssize_t got; !*too_large && (got = read(fd, chunk, sizeof(chunk))) > 0;) {
    if (out->length + (size_t)got > most) *too_large = true;
    else buffer_append(out, chunk, (size_t)got);
  }
  close(fd);
}

bool oci_result_end(int dir, int code, struct oci_end *out) {
  uint64_t size;
  struct oci_end end;
  int fd = open_file(dir, "end", &size);
  if (fd < 0) return false;
  bool whole = size == sizeof(end) && read(fd, &end, sizeof(end)) == sizeof(end);
  close(fd);
  if (!whole || end.signal < 0 || end.signal > 64 || end.pids_refused > 1) return false;
  /* A shell's way to say both in one number is all that comes through a runtime. */
  bool fits = end.signal > 0 ? end.exit_code == -1 && code == 128 + end.signal : end.exit_code == code;
  if (fits) *out = end;
  return fits;
}
