/*
 * changes-tar.c: fuzzes tar.c, which writes whatever names a program gave its files. What it writes is read again by
 * libarchive, as the worker's side would, and must be what was written. The input is entries: type, flags, sizes of path
 * and link, both, and a size.
 */
#define _GNU_SOURCE
#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static jmp_buf ended;
static void end(int code) __attribute__((noreturn));
static void end(int code) { longjmp(ended, code + 1); }
#define _exit(code) end(code)
#include "../tar.c"
#undef _exit

#define MAX_ENTRIES 16
static struct entry {
  char path[MAX_PATH], link[MAX_PATH];
  struct tar_entry entry;
} entries[MAX_ENTRIES];
static size_t count;

static size_t take(const uint8_t **data, size_t *size, void *out, size_t want) {
  size_t got = *size < want ? *size : want;
  memcpy(out, *data, got);
  *data += got;
  *size -= got;
  return got;
}

/* What a file can be called: anything without NUL. */
static void take_name(const uint8_t **data, size_t *size, char name[MAX_PATH], uint16_t length) {
  size_t got = take(data, size, name, length % MAX_PATH);
  for (size_t i = 0; i < got; i++)
    if (name[i] == '\0') name[i] = 'n';
  name[got] = '\0';
}

static void take_entry(const uint8_t **data, size_t *size) {
  static const char types[] = "01256";
  struct {
    uint8_t type, flags;
    uint16_t path, link;
    uint32_t mode, uid, gid;
    uint64_t content;
    int64_t mtime;
  } __attribute__((packed)) head = {0};
  struct entry *entry = &entries[count++];
  take(data, size, &head, sizeof(head));
  take_name(data, size, entry->path, head.path);
  take_name(data, size, entry->link, head.link);
  /* Only a directory's path ends with a slash; of anything else that means a directory, to whoever reads it. */
  size_t length = strlen(entry->path);
  if (length == 0 || entry->path[length - 1] == '/') strcpy(entry->path + (length ? length - 1 : 0), "x");
  char type = types[head.type % 5];
  if (type != '1' && type != '2') entry->link[0] = '\0';
  else if (entry->link[0] == '\0') strcpy(entry->link, "y");
  entry->entry = (struct tar_entry){.path = entry->path, .link = entry->link, .type = type, .mode = head.mode,
                                    .uid = head.uid % IMAGE_ID_COUNT, .gid = head.gid % IMAGE_ID_COUNT,
                                    .size = type == '0' ? head.content % 2048 : 0, .mtime = head.mtime,
                                    .changed = head.flags & 1};
}

static int write_all_entries(int fd, uint64_t room) {
  static struct tar tar;
  pending_length = 0;
  tar = (struct tar){.fd = fd, .room = room};
  int code = setjmp(ended);
  if (code != 0) return code;
  for (size_t i = 0; i < count; i++) {
    tar_begin(&tar, &entries[i].entry);
    int zero = entries[i].entry.size > 0 ? memfd_create("content", MFD_CLOEXEC) : -1;
    if (zero >= 0 && ftruncate(zero, (off_t)entries[i].entry.size) < 0) abort();
    if (zero >= 0) tar_content(&tar, zero, entries[i].entry.size);
    if (zero >= 0) close(zero);
  }
  tar_end(&tar);
  return 0;
}

static void must_be_the_same(struct archive_entry *got, const struct tar_entry *wanted) {
  const char *path = archive_entry_pathname(got), *link = wanted->type == '1' ? archive_entry_hardlink(got) : archive_entry_symlink(got);
  size_t length = strlen(wanted->path);
  must(path && strncmp(path, wanted->path, length) == 0);
  /* A directory's name ends with a slash there. */
  must(path[length] == '\0' || (wanted->type == '5' && strcmp(path + length, "/") == 0));
  must(wanted->link[0] == '\0' || (link && strcmp(link, wanted->link) == 0));
  must((uint32_t)archive_entry_uid(got) == wanted->uid && (uint32_t)archive_entry_gid(got) == wanted->gid);
  must(wanted->type != '0' || (uint64_t)archive_entry_size(got) == wanted->size);
  must((archive_entry_perm(got) & 07777) == (wanted->mode & 07777));
}

static void read_all_entries(int fd) {
  struct archive *archive = archive_read_new();
  struct archive_entry *entry;
  must(archive && archive_read_support_format_tar(archive) == ARCHIVE_OK);
  must(lseek(fd, 0, SEEK_SET) == 0 && archive_read_open_fd(archive, fd, 65536) == ARCHIVE_OK);
  for (size_t i = 0; i < count; i++) {
    int result = archive_read_next_header(archive, &entry);
    if (result < ARCHIVE_WARN) fprintf(stderr, "entry %zu: %s\n", i, archive_error_string(archive));
    must(result == ARCHIVE_OK || result == ARCHIVE_WARN); /* a name that is no UTF-8 comes as it is */
    must_be_the_same(entry, &entries[i].entry);
  }
  must(archive_read_next_header(archive, &entry) == ARCHIVE_EOF);
  archive_read_free(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int out = -1;
  if (out < 0) out = memfd_create("tar", MFD_CLOEXEC);
  if (size < 3 || ftruncate(out, 0) < 0 || lseek(out, 0, SEEK_SET) < 0) return 0;
  uint64_t room = data[0] < 224 ? 1u << 30 : (uint64_t)data[1] * 256; /* seldom too little */
  data += 2;
  size -= 2;
  count = 0;
  while (size > 0 && count < MAX_ENTRIES) take_entry(&data, &size);
  int code = write_all_entries(out, room);
  off_t length = lseek(out, 0, SEEK_END);
  must(length >= 0 && (uint64_t)length <= room);
  if (code == 0) read_all_entries(out);
  else must(code == TAR_FULL + 1);
  return 0;
}
