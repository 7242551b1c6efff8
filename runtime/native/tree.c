/*
 * tree.c: the layer that is being unpacked, seen above those below it. Every name is looked up one directory at a
 * time and never through a symbolic link by the kernel: links are followed here, in the merged view, because one of
 * them may be a lower layer's. Parts of a path that only lower layers have are made in this one as they are there.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as many as the kernel follows */
#define OPAQUE "user.overlay.opaque"

static struct {
  int roots[1 + MAX_LAYERS]; /* ours first, then the lowers, uppermost first */
  int count;
  bool depends;
  int64_t disk_bytes;
  uint64_t claimed, max_bytes;
} tree;

/* What a path is in the merged view, and in which layer. */
struct found {
  enum tree_kind kind;
  int layer;
  int fd; /* O_PATH; -1: nothing */
};

/* The kernel's own walls stand behind what we check. `path` is relative; "" is the root. */
static int open_in(int layer, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_NOFOLLOW | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
  return (int)syscall(SYS_openat2, tree.roots[layer], *path ? path : ".", &how, sizeof(how));
}

static enum tree_kind kind_of(const struct stat *stat) {
  if (S_ISDIR(stat->st_mode)) return TREE_DIRECTORY;
  if (S_ISLNK(stat->st_mode)) return TREE_LINK;
  if (S_ISCHR(stat->st_mode) && stat->st_rdev == makedev(0, 0)) return TREE_WHITEOUT;
  return TREE_OTHER;
}

void tree_open(const int *lowers, int count, uint64_t max_bytes) {
  tree.max_bytes = max_bytes;
  tree.roots[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tree.roots[0] < 0) unpack_fail_errno("open", "the layer's directory");
  memcpy(tree.roots + 1, lowers, sizeof(int) * (size_t)count);
  tree.count = 1 + count;
}

bool tree_depends(void) { return tree.depends; }
uint64_t tree_disk_bytes(void) { return tree.disk_bytes > 0 ? (uint64_t)tree.disk_bytes : 0; }

void tree_claim(uint64_t bytes) {
  if (bytes > tree.max_bytes - tree.claimed)
    unpack_fail(FAULT_INVALID, "the layer is larger than %llu bytes unpacked", (unsigned long long)tree.max_bytes);
  tree.claimed += bytes;
}

/* ---- looking up ---- */

static bool is_opaque(int path_fd) {
  char value = 0;
  int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) unpack_fail_errno("open", "a directory");
  ssize_t got = fgetxattr(fd, OPAQUE, &value, 1);
  close(fd);
  return got == 1 && value == 'y';
}

/* One layer's word on a path: true when no layer below it is to be asked. */
static bool look_in_layer(int layer, const char *path, struct found *found) {
  bool opaque = false;
  int fd = dup(tree.roots[layer]);
  for (const char *at = path;;) {
    size_t length = strcspn(at, "/");
    char name[TREE_NAME];
    struct stat stat;
    snprintf(name, sizeof(name), "%.*s", (int)length, at);
    int next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 && errno != ENOENT) unpack_fail_errno("look up", path);
    close(fd);
    if (next < 0) return opaque;
    if (fstat(next, &stat) < 0) unpack_fail_errno("look up", path);
    enum tree_kind kind = kind_of(&stat);
    if (at[length] == '\0') {
      *found = (struct found){.kind = kind, .layer = layer, .fd = next};
      return true;
    }
    if (kind != TREE_DIRECTORY) { /* it hides what lower layers have there */
      close(next);
      return true;
    }
    opaque = opaque || is_opaque(next);
    fd = next;
    at += length + 1;
  }
}

/* `path` has no symbolic links in its parents, which are all in our layer. */
static struct found look_up(const char *path) {
  struct found found = {.kind = TREE_NOTHING, .fd = -1};
  struct stat stat;
  int fd = open_in(0, path, O_PATH);
  if (fd >= 0) {
    if (fstat(fd, &stat) < 0) unpack_fail_errno("look up", path);
    return (struct found){.kind = kind_of(&stat), .layer = 0, .fd = fd};
  }
  if (errno != ENOENT) unpack_fail_errno("look up", path);
  tree.depends = true;
  for (int layer = 0; layer < tree.count; layer++)
    if (look_in_layer(layer, path, &found)) break;
  if (found.kind == TREE_WHITEOUT) {
    close(found.fd);
    found = (struct found){.kind = TREE_NOTHING, .fd = -1};
  }
  return found;
}

enum tree_kind tree_look(int dir, const char *name) {
  struct stat stat;
  if (fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0) return kind_of(&stat);
  if (errno != ENOENT) unpack_fail_errno("look up", name);
  return TREE_NOTHING;
}

/* ---- attributes ---- */

/* Names in overlayfs' own spaces are left out, or refused by whoever reads them from an archive. */
bool tree_xattr_allowed(const char *name) {
  if (strcmp(name, "security.capability") == 0) return true;
  return strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
}

static void copy_xattrs(int from, int to) {
  static char names[65536], value[65536];
  ssize_t length = flistxattr(from, names, sizeof(names));
  for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
    if (!tree_xattr_allowed(name)) continue;
    ssize_t size = fgetxattr(from, name, value, sizeof(value));
    if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != EPERM)
      unpack_fail_errno("copy the extended attribute", name);
  }
}

/* Owner before mode: a change of owner clears the set-id bits. Time last. */
static void copy_attributes(int from, int to) {
  struct stat stat;
  if (fstat(from, &stat) < 0 || fchown(to, stat.st_uid, stat.st_gid) < 0 || fchmod(to, stat.st_mode & 07777) < 0)
    unpack_fail_errno("copy", "a lower layer's attributes");
  copy_xattrs(from, to);
  struct timespec times[2] = {stat.st_mtim, stat.st_mtim};
  if (futimens(to, times) < 0) unpack_fail_errno("copy", "a lower layer's attributes");
}

void tree_set_opaque(int dir) {
  if (fsetxattr(dir, OPAQUE, "y", 1, 0) < 0) unpack_fail_errno("mark as opaque", "a directory");
}

/* ---- directories ---- */

static void parent_open(struct parent *parent, const char *path) {
  struct stat stat;
  parent->fd = open_in(0, path, O_RDONLY | O_DIRECTORY);
  if (parent->fd < 0) return;
  if (fstat(parent->fd, &stat) < 0) unpack_fail_errno("look up", path);
  parent->blocks = stat.st_blocks;
  parent->changed_sec = stat.st_mtim.tv_sec;
  parent->changed_nsec = stat.st_mtim.tv_nsec;
  if (path != parent->path) snprintf(parent->path, sizeof(parent->path), "%s", path);
}

void tree_settle(struct parent *parent) {
  if (parent->fd < 0) return;
  struct stat stat;
  struct timespec changed = {parent->changed_sec, parent->changed_nsec}, times[2] = {changed, changed};
  if (futimens(parent->fd, times) < 0 || fstat(parent->fd, &stat) < 0) unpack_fail_errno("finish", parent->path);
  tree.disk_bytes += (stat.st_blocks - parent->blocks) * 512;
  parent->blocks = stat.st_blocks;
}

void tree_drop(struct parent *parent) {
  if (parent->fd < 0) return;
  tree_settle(parent);
  close(parent->fd);
  parent->fd = -1;
}

/* In our layer, at a path whose parents are there; `found` is what the merged view has at it. */
static void make_directory(const char *path, const struct found *found) {
  static struct parent above;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  snprintf(above.path, sizeof(above.path), "%.*s", slash ? (int)(slash - path) : 0, path);
  parent_open(&above, above.path);
  if (above.fd < 0) unpack_fail_errno("open the parent of", path);
  bool replaces = found->kind != TREE_NOTHING && found->layer == 0;
  if (replaces) tree_remove(above.fd, name);
  if (mkdirat(above.fd, name, 0755) < 0) unpack_fail_errno("make the directory", path);
  int fd = openat(above.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) unpack_fail_errno("open the directory", path);
  if (found->kind == TREE_DIRECTORY) {
    int lower = openat(found->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lower < 0) unpack_fail_errno("open in a lower layer", path);
    copy_attributes(lower, fd);
    close(lower);
  } else {
    /* Nobody says when it was made; the same archive is to give the same layer every time. */
    struct timespec never[2] = {{0}, {0}};
    if (replaces) tree_set_opaque(fd); /* what hid a lower directory hides it still */
    if (futimens(fd, never) < 0) unpack_fail_errno("set the time of", path);
  }
  close(fd);
  tree_made(above.fd, name);
  tree_drop(&above);
}

static void append(char *path, const char *name, size_t length) {
  size_t have = strlen(path);
  if (length >= TREE_NAME || have + 1 + length >= TREE_PATH) {
    errno = ENAMETOOLONG;
    unpack_fail_errno("make", "a path of the archive");
  }
  snprintf(path + have, TREE_PATH - have, "%s%.*s", have ? "/" : "", (int)length, name);
}

static void cut(char *path) {
  char *slash = strrchr(path, '/');
  *(slash ? slash : path) = '\0';
}

/* The directory that `asked` leads to inside the root, as a path without links; all of it then is in our layer. */
static void resolve(const char *asked, char path[TREE_PATH]) {
  static char rest[3 * TREE_PATH], target[TREE_PATH];
  int links = 0;
  snprintf(rest, sizeof(rest), "%s", asked);
  path[0] = '\0';
  for (char *at = rest; *at;) {
    size_t length = strcspn(at, "/");
    char *name = at;
    at += length + (at[length] == '/');
    if (length == 0 || (length == 1 && name[0] == '.')) continue;
    if (length == 2 && memcmp(name, "..", 2) == 0) {
      cut(path); /* of the root, the root */
      continue;
    }
    append(path, name, length);
    struct found found = look_up(path);
    if (found.kind == TREE_LINK) {
      ssize_t got = readlinkat(found.fd, "", target, sizeof(target) - 1);
      if (got < 0) unpack_fail_errno("read the link", path);
      if (++links > MAX_LINKS || (size_t)got + strlen(at) + 2 > TREE_PATH * 2) {
        errno = ELOOP;
        unpack_fail_errno("follow", asked);
      }
      target[got] = '\0';
      cut(path);
      if (target[0] == '/') path[0] = '\0';
      static char next[3 * TREE_PATH];
      snprintf(next, sizeof(next), "%s/%s", target, at);
      strcpy(rest, next);
      at = rest;
    } else if (found.kind != TREE_DIRECTORY || found.layer != 0) {
      make_directory(path, &found);
    }
    if (found.fd >= 0) close(found.fd);
  }
}

int tree_parent(struct parent *parent, const char *path, char name[TREE_NAME]) {
  static char asked[TREE_PATH];
  const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
  snprintf(asked, sizeof(asked), "%.*s", slash ? (int)(slash - path) : 0, path);
  snprintf(name, TREE_NAME, "%s", last);
  if (parent->fd >= 0 && strcmp(parent->asked, asked) == 0) return parent->fd;
  tree_drop(parent);
  strcpy(parent->asked, asked);
  parent_open(parent, asked);
  if (parent->fd >= 0) return parent->fd;
  if (errno != ENOENT && errno != ELOOP && errno != ENOTDIR) unpack_fail_errno("open", asked);
  resolve(asked, parent->path);
  parent_open(parent, parent->path);
  if (parent->fd < 0) unpack_fail_errno("open", asked);
  return parent->fd;
}

/* ---- making and removing ---- */

void tree_made(int dir, const char *name) {
  struct stat stat;
  if (fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) unpack_fail_errno("look at", name);
  tree.disk_bytes += stat.st_blocks * 512;
}

static void remove_file(int dir, const char *name) {
  struct stat stat;
  if (fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && stat.st_nlink == 1)
    tree.disk_bytes -= stat.st_blocks * 512;
  if (unlinkat(dir, name, 0) < 0) unpack_fail_errno("remove", name);
}

static bool is_dots(const char *name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static bool rename_up(int from, const char *name, int top) {
  static unsigned long long count;
  char other[32];
  for (;;) {
    snprintf(other, sizeof(other), ".removed-%llx", count++);
    if (syscall(SYS_renameat2, from, name, top, other, 1 /* RENAME_NOREPLACE */) == 0) return true;
    if (errno != EEXIST) return false;
  }
}

static DIR *list(int dir) {
  int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = fd < 0 ? NULL : fdopendir(fd);
  if (!stream) unpack_fail_errno("list", "a directory");
  return stream;
}

/* Removes a directory of `top`, and what is in it; directories in there are moved to `top` for a pass of their own. So
 * a tree of any depth takes a handful of descriptors and no recursion. */
static void flatten(int top, const char *name) {
  int dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir < 0) unpack_fail_errno("open", name);
  DIR *stream = list(dir);
  bool full = false;
  for (struct dirent *entry; (entry = readdir(stream));) {
    if (is_dots(entry->d_name)) continue;
    if (tree_look(dir, entry->d_name) != TREE_DIRECTORY) remove_file(dir, entry->d_name);
    else if (unlinkat(dir, entry->d_name, AT_REMOVEDIR) < 0 && !rename_up(dir, entry->d_name, top)) full = true;
  }
  closedir(stream);
  close(dir);
  /* On a full disk there may be no room for one more name in `top`; the next pass finds room. */
  if (unlinkat(top, name, AT_REMOVEDIR) < 0 && !full) unpack_fail_errno("remove", name);
}

void tree_empty(int top) {
  for (bool again = true; again;) {
    DIR *stream = list(top);
    again = false;
    for (struct dirent *entry; (entry = readdir(stream));) {
      if (is_dots(entry->d_name)) continue;
      again = true;
      if (tree_look(top, entry->d_name) != TREE_DIRECTORY) remove_file(top, entry->d_name);
      else flatten(top, entry->d_name);
    }
    closedir(stream);
  }
}

enum tree_kind tree_remove(int dir, const char *name) {
  enum tree_kind kind = tree_look(dir, name);
  if (kind == TREE_NOTHING) return kind;
  if (kind != TREE_DIRECTORY) {
    remove_file(dir, name);
    return kind;
  }
  int top = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (top < 0) unpack_fail_errno("open", name);
  tree_empty(top);
  close(top);
  if (unlinkat(dir, name, AT_REMOVEDIR) < 0) unpack_fail_errno("remove", name);
  return kind;
}

/* ---- files of lower layers ---- */

static void copy_content(int from, int to, uint64_t size) {
  static char block[1 << 18];
  for (off_t data = lseek(from, 0, SEEK_DATA); data >= 0; data = lseek(from, data, SEEK_DATA)) {
    off_t hole = lseek(from, data, SEEK_HOLE);
    while (data < hole) {
      size_t want = (uint64_t)(hole - data) < sizeof(block) ? (size_t)(hole - data) : sizeof(block);
      ssize_t got = pread(from, block, want, data);
      if (got <= 0 || pwrite(to, block, (size_t)got, data) != got) unpack_fail_errno("copy", "a lower layer's file");
      data += got;
    }
  }
  if (ftruncate(to, (off_t)size) < 0) unpack_fail_errno("copy", "a lower layer's file");
}

static void bring_up_link(const struct found *found, const struct stat *stat, int dir, const char *name) {
  static char target[TREE_PATH];
  ssize_t got = readlinkat(found->fd, "", target, sizeof(target) - 1);
  if (got < 0) unpack_fail_errno("read the link", name);
  target[got] = '\0';
  struct timespec times[2] = {stat->st_mtim, stat->st_mtim};
  if (symlinkat(target, dir, name) < 0 ||
      fchownat(dir, name, stat->st_uid, stat->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
      utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
    unpack_fail_errno("copy the link", name);
}

bool tree_bring_up(struct parent *parent, const char *name) {
  static char path[TREE_PATH];
  snprintf(path, sizeof(path), "%s", parent->path);
  append(path, name, strlen(name));
  struct found found = look_up(path);
  struct stat stat;
  if (found.kind == TREE_NOTHING) return false;
  if (found.layer == 0) {
    close(found.fd);
    return found.kind == TREE_LINK || found.kind == TREE_OTHER;
  }
  if (fstat(found.fd, &stat) < 0) unpack_fail_errno("look up", path);
  bool known = S_ISREG(stat.st_mode) || S_ISLNK(stat.st_mode);
  if (S_ISLNK(stat.st_mode)) {
    bring_up_link(&found, &stat, parent->fd, name);
  } else if (S_ISREG(stat.st_mode)) {
    tree_claim((uint64_t)stat.st_size);
    int from = open_in(found.layer, path, O_RDONLY);
    int to = openat(parent->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (from < 0 || to < 0) unpack_fail_errno("copy from a lower layer", path);
    copy_content(from, to, (uint64_t)stat.st_size);
    copy_attributes(from, to);
    close(from);
    close(to);
  }
  close(found.fd);
  if (known) tree_made(parent->fd, name);
  return known;
}
