/*
 * secrets.c: secrets become files of a sandbox just before its program runs. They are written by whoever runs it, not by the
 * child: a fork of a function's zygote has run code of the function already, which would see them in its job.
 */
#define _GNU_SOURCE
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int write_secret(int dir, const struct secret *secret, uint32_t uid, uint32_t gid) {
  /* New, and so no link: nobody but us may write to the directory. */
  int fd = openat(dir, secret->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
  if (fd < 0) return -1;
  int result = write_all(fd, secret->value, secret->length) < 0 || fchown(fd, uid, gid) < 0 ? -1 : 0;
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

int secrets_write(int tmpfs, const struct run_request *request, uint32_t uid, uint32_t gid) {
  /* shell_mount_root() has made it, where the spec asks for it. */
  int dir = openat(tmpfs, "secrets", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir < 0) return -1;
  int result = 0;
  const uint8_t *at = request->secrets;
  uint32_t left = request->secrets_length;
  struct secret secret;
  while (result == 0 && secret_next(&at, &left, &secret)) result = write_secret(dir, &secret, uid, gid);
  int saved = errno;
  close(dir);
  errno = saved;
  return result;
}
