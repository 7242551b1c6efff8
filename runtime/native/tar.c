/*
 * tar.c: writes a pax archive (POSIX.1-2017, pax) to a pipe. Every entry has an extended header, which carries its
 * path whatever that is, and ONCEBOX.change, which no library for archives would let us write.
 */
#define _GNU_SOURCE
#include "tar.h"

#include "oncebox.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512
#define MAX_OCTAL_SIZE 077777777777ull /* 11 digits */

struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2];
  char owner[32], group[32], major[8], minor[8], prefix[155], padding[12];
};

static uint8_t pending[65536];
static size_t pending_length;

static void flush(struct tar *tar) {
  if (write_all(tar->fd, pending, pending_length) < 0) _exit(TAR_LOST);
  pending_length = 0;
}

static void put(struct tar *tar, const void *data, size_t length) {
  if (length > tar->room) _exit(TAR_FULL);
  tar->room -= length;
  for (const uint8_t *at = data; length > 0;) {
    size_t piece = sizeof(pending) - pending_length < length ? sizeof(pending) - pending_length : length;
    memcpy(pending + pending_length, at, piece);
    pending_length += piece;
    at += piece;
    length -= piece;
    if (pending_length == sizeof(pending)) flush(tar);
  }
}

static void pad(struct tar *tar, uint64_t length) {
  static const uint8_t zeros[BLOCK];
  if (length % BLOCK != 0) put(tar, zeros, BLOCK - length % BLOCK);
}

static void put_header(struct tar *tar, const struct tar_entry *entry, char type, uint64_t size) {
  struct header header = {.type = type, .magic = "ustar", .version = {'0', '0'}};
  static_assert(sizeof(header) == BLOCK, "a header is a block");
  strncpy(header.name, type == 'x' ? "@PaxHeader" : entry->path, sizeof(header.name) - 1);
  strncpy(header.link, type == 'x' ? "" : entry->link, sizeof(header.link) - 1);
  snprintf(header.mode, sizeof(header.mode), "%07o", entry->mode & 07777);
  snprintf(header.uid, sizeof(header.uid), "%07o", entry->uid & 07777777);
  snprintf(header.gid, sizeof(header.gid), "%07o", entry->gid & 07777777);
  snprintf(header.size, sizeof(header.size), "%011llo", (unsigned long long)(size <= MAX_OCTAL_SIZE ? size : 0));
  bool has_time = entry->mtime >= 0 && (uint64_t)entry->mtime <= MAX_OCTAL_SIZE;
  snprintf(header.mtime, sizeof(header.mtime), "%011llo", has_time ? (unsigned long long)entry->mtime : 0);
  memset(header.checksum, ' ', sizeof(header.checksum));
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof(header); i++) sum += ((const uint8_t *)&header)[i];
  snprintf(header.checksum, sizeof(header.checksum), "%06o", sum & 0777777);
  put(tar, &header, sizeof(header));
}

/* "length key=value\n", where the length counts its own digits. */
static size_t add_record(char *records, size_t at, size_t size, const char *key, const char *value) {
  const size_t rest = strlen(key) + strlen(value) + 3;
  size_t digits = 1;
  while ((size_t)snprintf(NULL, 0, "%zu", rest + digits) != digits) digits++;
  return at + (size_t)snprintf(records + at, size - at, "%zu %s=%s\n", rest + digits, key, value);
}

void tar_begin(struct tar *tar, const struct tar_entry *entry) {
  /* Its content first: a sparse file of terabytes is refused before it is read. */
  if (entry->size > tar->room) _exit(TAR_FULL);
  static char records[4 * MAX_PATH];
  char number[24];
  size_t length = add_record(records, 0, sizeof(records), "ONCEBOX.change", entry->changed ? "changed" : "added");
  length = add_record(records, length, sizeof(records), "path", entry->path);
  if (entry->link[0]) length = add_record(records, length, sizeof(records), "linkpath", entry->link);
  if (entry->size > MAX_OCTAL_SIZE) {
    snprintf(number, sizeof(number), "%llu", (unsigned long long)entry->size);
    length = add_record(records, length, sizeof(records), "size", number);
  }
  put_header(tar, entry, 'x', length);
  put(tar, records, length);
  pad(tar, length);
  put_header(tar, entry, entry->type, entry->size);
}

void tar_content(struct tar *tar, int fd, uint64_t size) {
  static uint8_t chunk[65536];
  for (uint64_t left = size; left > 0;) {
    ssize_t got = read(fd, chunk, left < sizeof(chunk) ? (size_t)left : sizeof(chunk));
    if (got <= 0) _exit(TAR_LOST); /* nobody is left who could have cut it */
    put(tar, chunk, (size_t)got);
    left -= (uint64_t)got;
  }
  pad(tar, size);
}

void tar_end(struct tar *tar) {
  static const uint8_t zeros[2 * BLOCK];
  put(tar, zeros, sizeof(zeros));
  flush(tar);
}
