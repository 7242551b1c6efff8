/* tar.h: a pax archive, entry by entry. Every failure ends the process, with one of these. */
#ifndef ONCEBOX_TAR_H
#define ONCEBOX_TAR_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { TAR_LOST = 1, TAR_FULL = 2 };

struct tar {
  int fd;
  uint64_t room; /* bytes that it may still get long */
};

struct tar_entry {
  const char *path; /* relative, less than MAX_PATH; of a directory with a slash at its end */
  const char *link; /* target of a symbolic or hard link, else "" */
  char type;        /* as ustar has it: '0' file, '1' hard link, '2' symbolic link, '5' directory, '6' fifo */
  uint32_t mode, uid, gid;
  uint64_t size; /* of the content that follows */
  int64_t mtime; /* seconds */
  bool changed;  /* there was something in the image */
};

void tar_begin(struct tar *tar, const struct tar_entry *entry);
void tar_content(struct tar *tar, int fd, uint64_t size);
void tar_end(struct tar *tar);

#endif
