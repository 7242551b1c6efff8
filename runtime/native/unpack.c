/*
 * unpack.c: oncebox-unpack, the confined process that unpacks one layer or empties one layer's directory. The
 * launcher starts it (layers.c); it confines itself (confine.c) and only then reads what others wrote.
 *
 *     oncebox-unpack unpack LOWERS MAX_BYTES MAX_ENTRIES STALL_MS    the tar comes in over UFD_CONNECTION
 *     oncebox-unpack remove
 *
 * An OCI changeset becomes a lower layer for overlayfs with `userxattr`: `.wh.x` is the character device 0:0 named x,
 * `.wh..wh..opq` the attribute user.overlay.opaque.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_DEPTH 256
#define MAX_SKIPPED 100
#define WHITEOUT ".wh."
#define AUFS ".wh..wh."
#define OPAQUE_WHITEOUT ".wh..wh..opq"

static struct {
  struct archive *archive;
  bool begun; /* the archive's first block has been read */
  int stall_ms;
  uint64_t max_entries;
  struct parent parent, target; /* of the entry, and of what a hard link points at */
  struct unpack_result result;
} unpack = {.parent.fd = -1, .target.fd = -1};

/* ---- saying how it went ---- */

static void say(void) {
  const char *at = (const char *)&unpack.result;
  size_t length = offsetof(struct unpack_result, text) + unpack.result.text_length;
  for (ssize_t written; length > 0; length -= (size_t)written, at += written)
    if ((written = write(UFD_RESULT, at, length)) <= 0) _exit(1);
}

void unpack_fail(enum unpack_fault fault, const char *format, ...) {
  char *text = unpack.result.text;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, 500, format, arguments);
  va_end(arguments);
  /* Names in it are an archive's. */
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
  unpack.result.fault = fault;
  unpack.result.text_length = (uint32_t)strlen(text);
  say();
  _exit(1);
}

void unpack_fail_errno(const char *what, const char *path) {
  int number = errno;
  if (number == ENOSPC || number == EDQUOT)
    unpack_fail(FAULT_FULL, "cannot %s %.200s: the disk of the image store is full", what, path);
  unpack_fail(number == ENAMETOOLONG || number == ELOOP || number == ENOMEM ? FAULT_INVALID : FAULT_LOST,
              "cannot %s %.200s: %s", what, path, strerror(number));
}

/* ---- the stream ---- */

static ssize_t receive(void *buffer, size_t size) {
  for (;;) {
    struct pollfd wait = {.fd = UFD_CONNECTION, .events = POLLIN};
    int ready = poll(&wait, 1, unpack.stall_ms);
    if (ready == 0) unpack_fail(FAULT_INVALID, "no byte of the archive came for %d ms", unpack.stall_ms);
    ssize_t got = read(UFD_CONNECTION, buffer, size);
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
  }
}

static const char *compression_of(const uint8_t *data, size_t length) {
  static const struct {
    const char *name, *magic;
    size_t length;
  } known[] = {{"gzip", "\x1f\x8b", 2},
               {"zstd", "\x28\xb5\x2f\xfd", 4},
               {"xz", "\xfd" "7zXZ", 5},
               {"bzip2", "BZh", 3}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (length >= known[i].length && memcmp(data, known[i].magic, known[i].length) == 0) return known[i].name;
  return NULL;
}

static const char *reason(struct archive *archive) {
  const char *text = archive_error_string(archive);
  return text ? text : "it makes no sense";
}

static la_ssize_t read_block(struct archive *archive, void *data, const void **block) {
  static uint8_t buffer[1 << 17];
  (void)data;
  size_t length = 0;
  ssize_t got = 1;
  /* The first block is filled, so that its beginning can be told from a compressed one's. */
  for (size_t want = unpack.begun ? 1 : 512; length < want && got > 0; length += (size_t)(got > 0 ? got : 0))
    got = receive(buffer + length, sizeof(buffer) - length);
  if (got < 0) {
    archive_set_error(archive, errno, "cannot read the archive from its sender");
    return -1;
  }
  const char *compression = unpack.begun ? NULL : compression_of(buffer, length);
  if (compression) unpack_fail(FAULT_INVALID, "the archive is compressed (%s); a plain tar is expected", compression);
  unpack.begun = true;
  *block = buffer;
  return (la_ssize_t)length;
}

/* ---- names ---- */

/* The path below the root, without what is no part of it. */
static void clean_path(const char *raw, char path[TREE_PATH]) {
  size_t depth = 0, length = 0;
  path[0] = '\0';
  for (const char *at = raw; *at;) {
    size_t part = strcspn(at, "/");
    const char *name = at;
    at += part + (at[part] == '/');
    if (part == 0 || (part == 1 && name[0] == '.')) continue;
    if (part == 2 && memcmp(name, "..", 2) == 0) unpack_fail(FAULT_INVALID, "\"%.200s\" climbs out by \"..\"", raw);
    if (part >= TREE_NAME || length + part + 1 >= TREE_PATH || ++depth > MAX_DEPTH)
      unpack_fail(FAULT_INVALID, "\"%.200s\" is too long or too deep", raw);
    if (length > 0) path[length++] = '/';
    memcpy(path + length, name, part);
    length += part;
    path[length] = '\0';
  }
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* aufs' own, in a name or above it: of no meaning to anyone else. A directory has no whiteout's name. */
static bool is_of_aufs(const char *path) {
  for (const char *name = path; *name;) {
    const char *slash = strchr(name, '/');
    if (begins(name, AUFS) && strcmp(name, OPAQUE_WHITEOUT) != 0) return true;
    if (slash && begins(name, WHITEOUT)) unpack_fail(FAULT_INVALID, "\"%.200s\" lies below a whiteout", path);
    name = slash ? slash + 1 : name + strlen(name);
  }
  return false;
}

static uint32_t id_of(la_int64_t id, const char *path) {
  if (id < 0 || id >= IMAGE_ID_COUNT)
    unpack_fail(FAULT_INVALID, "\"%.200s\" belongs to id %lld; ids go from 0 to %u", path, (long long)id,
                IMAGE_ID_COUNT - 1);
  return (uint32_t)id;
}

/* ---- attributes ---- */

static bool disk_is_full(int fd) {
  struct statvfs space;
  return fstatvfs(fd, &space) == 0 && (space.f_bavail == 0 || (space.f_files > 0 && space.f_favail == 0));
}

static void set_xattrs(int fd, struct archive_entry *entry, const char *path) {
  const char *name;
  const void *value;
  size_t size;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (!name || !tree_xattr_allowed(name)) continue;
    if (fsetxattr(fd, name, value, size, 0) == 0) continue;
    if (begins(name, "security.") && (errno == EPERM || errno == EINVAL || errno == EOPNOTSUPP)) continue;
    /* ENOSPC also says that a file has no room for more attributes. */
    if (errno == E2BIG || errno == ERANGE || (errno == ENOSPC && !disk_is_full(fd)))
      unpack_fail(FAULT_INVALID, "\"%.200s\" has larger extended attributes than the store's filesystem holds", path);
    unpack_fail_errno("set an extended attribute of", path);
  }
}

static bool speaks_to_overlayfs(const char *name) {
  static const char *const words[] = {"opaque", "redirect", "metacopy", "whiteout", "whiteouts"};
  const char *word = begins(name, "trusted.overlay.") ? name + 16 : begins(name, "user.overlay.") ? name + 13 : NULL;
  for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
    if (strcmp(word, words[i]) == 0) return true;
  /* A mount on top of another may escape them: user.overlay.overlay.opaque. */
  return word && begins(word, "overlay.");
}

/* Also of a file that is left out: a layer that would tell overlayfs what is where is refused as a whole. What overlayfs
 * only notes for itself (origin, impure, nlink) is left behind by builders without root, and merely left out. */
static void refuse_overlay_xattrs(struct archive_entry *entry, const char *path) {
  const char *name;
  const void *value;
  size_t size;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
    if (name && speaks_to_overlayfs(name))
      unpack_fail(FAULT_INVALID, "\"%.200s\" has the attribute %.100s, which only overlayfs may set", path, name);
}

static void clear_xattrs(int fd) {
  static char names[65536];
  ssize_t length = flistxattr(fd, names, sizeof(names));
  for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
    if (tree_xattr_allowed(name)) fremovexattr(fd, name);
}

/* Owner before mode and capabilities: a change of owner clears set-id bits. Time last. */
static void set_attributes(int fd, struct archive_entry *entry, const char *path) {
  struct timespec changed = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)}, times[2] = {changed, changed};
  if (fchown(fd, id_of(archive_entry_uid(entry), path), id_of(archive_entry_gid(entry), path)) < 0)
    unpack_fail_errno("set the owner of", path);
  if (fchmod(fd, archive_entry_perm(entry) & 07777) < 0) unpack_fail_errno("set the mode of", path);
  set_xattrs(fd, entry, path);
  if (futimens(fd, times) < 0) unpack_fail_errno("set the time of", path);
}

/* What cannot be opened: links and FIFOs. They have no attributes of users. */
static void set_attributes_at(int dir, const char *name, struct archive_entry *entry, const char *path) {
  struct timespec changed = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)}, times[2] = {changed, changed};
  if (fchownat(dir, name, id_of(archive_entry_uid(entry), path), id_of(archive_entry_gid(entry), path),
               AT_SYMLINK_NOFOLLOW) < 0)
    unpack_fail_errno("set the owner of", path);
  if (archive_entry_filetype(entry) != AE_IFLNK && fchmodat(dir, name, archive_entry_perm(entry) & 07777, 0) < 0)
    unpack_fail_errno("set the mode of", path);
  if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0) unpack_fail_errno("set the time of", path);
}

/* ---- entries ---- */

static void unpack_file(struct archive *archive, struct archive_entry *entry, int dir, const char *name,
                        const char *path) {
  la_int64_t size = archive_entry_size(entry), offset;
  const void *block;
  size_t length;
  int result;
  if (size < 0) unpack_fail(FAULT_INVALID, "\"%.200s\" has a size below zero", path);
  tree_claim((uint64_t)size);
  int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) unpack_fail_errno("make the file", path);
  while ((result = archive_read_data_block(archive, &block, &length, &offset)) == ARCHIVE_OK) {
    if (offset < 0 || offset > size || length > (uint64_t)(size - offset))
      unpack_fail(FAULT_INVALID, "\"%.200s\" is larger than it says", path);
    for (const char *at = block; length > 0;) {
      ssize_t written = pwrite(fd, at, length, offset);
      if (written <= 0) unpack_fail_errno("write the file", path);
      at += written;
      offset += written;
      length -= (size_t)written;
    }
  }
  if (result != ARCHIVE_EOF)
    unpack_fail(FAULT_INVALID, "the archive ends or breaks within \"%.200s\": %.200s", path,
                reason(archive));
  /* A hole at its end is in no block. */
  if (ftruncate(fd, size) < 0) unpack_fail_errno("write the file", path);
  set_attributes(fd, entry, path);
  if (close(fd) < 0) unpack_fail_errno("write the file", path);
}

static void unpack_directory(struct archive_entry *entry, int dir, const char *name, const char *path) {
  enum tree_kind before = tree_look(dir, name);
  if (before != TREE_DIRECTORY) {
    if (before != TREE_NOTHING) tree_remove(dir, name);
    if (mkdirat(dir, name, 0700) < 0) unpack_fail_errno("make the directory", path);
  }
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) unpack_fail_errno("open the directory", path);
  if (before == TREE_DIRECTORY) clear_xattrs(fd);
  /* What it replaces in this layer hid a directory of lower layers, if there was one; so it must. */
  else if (before != TREE_NOTHING) tree_set_opaque(fd);
  set_attributes(fd, entry, path);
  close(fd);
  if (before != TREE_DIRECTORY) tree_made(dir, name);
}

static void unpack_root(struct archive_entry *entry) {
  int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) unpack_fail_errno("open", "the root");
  if (archive_entry_filetype(entry) != AE_IFDIR) unpack_fail(FAULT_INVALID, "the root is no directory");
  set_attributes(fd, entry, "/");
  close(fd);
}

static void unpack_hard_link(struct archive_entry *entry, const char *path) {
  static char target[TREE_PATH];
  char target_name[TREE_NAME], name[TREE_NAME];
  const char *raw = archive_entry_hardlink(entry);
  clean_path(raw, target);
  bool known = target[0] != '\0';
  tree_drop(&unpack.parent); /* both may be one directory, whose time is to be read unchanged */
  if (known) {
    tree_parent(&unpack.target, target, target_name);
    known = tree_bring_up(&unpack.target, target_name);
    tree_settle(&unpack.target);
  }
  if (!known) unpack_fail(FAULT_INVALID, "\"%.200s\" is a hard link to \"%.200s\", which is no file", path, raw);
  int dir = tree_parent(&unpack.parent, path, name);
  struct stat now, wanted;
  bool same = fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
              fstatat(unpack.target.fd, target_name, &wanted, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == wanted.st_ino;
  if (!same) {
    tree_remove(dir, name);
    if (linkat(unpack.target.fd, target_name, dir, name, 0) < 0) {
      if (errno == ENOENT) unpack_fail(FAULT_INVALID, "\"%.200s\" is a hard link to itself", path);
      if (errno == EMLINK) unpack_fail(FAULT_INVALID, "\"%.200s\" is one hard link too many", path);
      unpack_fail_errno("make the hard link", path);
    }
  }
  tree_drop(&unpack.parent);
  close(unpack.target.fd); /* its time is put back already; the link's directory may be the same */
  unpack.target.fd = -1;
}

static void unpack_whiteout(int dir, const char *name, const char *path) {
  if (strcmp(name, OPAQUE_WHITEOUT) == 0) {
    tree_set_opaque(dir);
    return;
  }
  const char *hidden = name + sizeof(WHITEOUT) - 1;
  if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
    unpack_fail(FAULT_INVALID, "\"%.200s\" is a whiteout of nothing", path);
  enum tree_kind before = tree_look(dir, hidden);
  /* A whiteout speaks of lower layers only: what this layer has stays. */
  if (before == TREE_DIRECTORY) {
    int fd = openat(dir, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) unpack_fail_errno("open the directory", path);
    tree_set_opaque(fd);
    close(fd);
  } else if (before == TREE_NOTHING && mknodat(dir, hidden, S_IFCHR, makedev(0, 0)) < 0) {
    unpack_fail_errno("make the whiteout", path);
  }
}

static void skip(const char *path) {
  struct unpack_result *result = &unpack.result;
  size_t length = strlen(path) + 1;
  if (result->report.skipped++ >= MAX_SKIPPED || result->text_length + length > sizeof(result->text)) return;
  memcpy(result->text + result->text_length, path, length);
  result->text_length += (uint32_t)length;
}

static void unpack_entry(struct archive *archive, struct archive_entry *entry) {
  static char path[TREE_PATH];
  char name[TREE_NAME];
  const char *raw = archive_entry_pathname(entry);
  if (!raw) unpack_fail(FAULT_INVALID, "an entry has no name");
  clean_path(raw, path);
  if (is_of_aufs(path)) return;
  refuse_overlay_xattrs(entry, path);
  if (path[0] == '\0') {
    tree_drop(&unpack.parent);
    unpack_root(entry);
    return;
  }
  if (archive_entry_hardlink(entry)) {
    unpack_hard_link(entry, path);
    return;
  }
  mode_t type = archive_entry_filetype(entry);
  const char *slash = strrchr(path, '/');
  bool whiteout = begins(slash ? slash + 1 : path, WHITEOUT);
  if (!whiteout && (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK)) {
    skip(path);
    return;
  }
  int dir = tree_parent(&unpack.parent, path, name);
  if (whiteout) {
    unpack_whiteout(dir, name, path);
  } else if (type == AE_IFDIR) {
    unpack_directory(entry, dir, name, path);
  } else {
    tree_remove(dir, name);
    if (type == AE_IFREG) {
      unpack_file(archive, entry, dir, name, path);
    } else if (type == AE_IFLNK) {
      const char *target = archive_entry_symlink(entry);
      if (!target || !*target) unpack_fail(FAULT_INVALID, "\"%.200s\" is a symbolic link to nothing", path);
      if (symlinkat(target, dir, name) < 0) unpack_fail_errno("make the symbolic link", path);
      set_attributes_at(dir, name, entry, path);
    } else if (type == AE_IFIFO) {
      if (mknodat(dir, name, S_IFIFO | 0600, 0) < 0) unpack_fail_errno("make the FIFO", path);
      set_attributes_at(dir, name, entry, path);
    } else {
      unpack_fail(FAULT_INVALID, "\"%.200s\" is of an unknown type", path);
    }
    tree_made(dir, name);
  }
  /* A new directory, link or whiteout may lead the next path elsewhere. */
  if (type != AE_IFREG || whiteout) tree_drop(&unpack.parent);
}

static void unpack_main(int lowers, uint64_t max_bytes) {
  int fds[MAX_LAYERS];
  for (int i = 0; i < lowers; i++) fds[i] = UFD_LOWERS + i;
  tree_open(fds, lowers, max_bytes);
  struct timespec never[2] = {{0}, {0}};
  int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;
  if (root < 0 || futimens(root, never) < 0) unpack_fail_errno("open", "the root");
  struct archive *archive = unpack.archive = archive_read_new();
  struct archive_entry *entry;
  if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK)
    unpack_fail(FAULT_LOST, "cannot set up libarchive");
  if (archive_read_open(archive, NULL, NULL, read_block, NULL) != ARCHIVE_OK)
    unpack_fail(FAULT_INVALID, "the archive is no tar: %.200s", reason(archive));
  /* A warning is about a name that is not UTF-8, which comes as it is; or an attribute that is left out. */
  while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    if (++unpack.result.report.entries > unpack.max_entries)
      unpack_fail(FAULT_INVALID, "the archive has more than %llu entries", (unsigned long long)unpack.max_entries);
    unpack_entry(archive, entry);
  }
  if (result != ARCHIVE_EOF)
    unpack_fail(FAULT_INVALID, "the archive is no tar, or breaks off: %.200s", reason(archive));
  /* What follows the end of a tar is padding, but is part of its digest. */
  static char rest[1 << 16];
  for (ssize_t got; (got = receive(rest, sizeof(rest))) != 0;)
    if (got < 0) unpack_fail_errno("read", "the archive from its sender");
  tree_drop(&unpack.parent);
  /* Before the directory gets its name: a name says that all of it is on disk. */
  if (syncfs(root) < 0) unpack_fail_errno("sync", "the layer");
  unpack.result.report.depends = tree_depends();
  unpack.result.report.disk_bytes = tree_disk_bytes();
  say();
}

int main(int argc, char **argv) {
  bool unpacks = argc == 6 && strcmp(argv[1], "unpack") == 0;
  if (!unpacks && (argc != 2 || strcmp(argv[1], "remove") != 0)) return 2;
  /* libarchive converts names of pax headers, and libc looks for files to do it with: now, and not in the layer. */
  iconv_t conversion = iconv_open("ANSI_X3.4-1968", "UTF-8");
  if (conversion != (iconv_t)-1) iconv_close(conversion);
  confine();
  if (unpacks) {
    unpack.max_entries = strtoull(argv[4], NULL, 10);
    unsigned long long stall_ms = strtoull(argv[5], NULL, 10);
    unpack.stall_ms = stall_ms < INT_MAX ? (int)stall_ms : INT_MAX;
    unpack_main(atoi(argv[2]), strtoull(argv[3], NULL, 10));
  } else {
    int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) unpack_fail_errno("open", "the root");
    tree_empty(root);
  }
  return 0;
}
