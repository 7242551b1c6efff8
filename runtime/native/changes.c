/*
 * changes.c: what a program left in its writable layer, as an OCI layer (image spec, layer.md): a tar in which
 * `.wh.name` stands for a name that was deleted and `.wh..wh..opq` for all that the image had in a directory.
 *
 * The tree is the program's: it may be deep, wide and large. So a child of the agent reads it, with the right to read
 * any file of it and no other, and the agent only forwards what that says and counts the time.
 */
#define _GNU_SOURCE
#include "oncebox.h"
#include "tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_DEPTH 512
#define MAX_NAME 256
/* Of address space: a name of a hard link each, and the names of one directory at each depth. Not the run's own memory,
 * which is another account. */
#define MAX_MEMORY (512u << 20)

/* A directory of the writable layer, and what lies below it: the same directory in those layers where it shows. */
struct level {
  int upper;
  int *lowers;
  int count;
  bool plain; /* no part of an overlay, whose marks mean nothing here */
};

struct hard_link {
  ino_t inode;
  char path[];
};

static struct {
  struct tar tar;
  const struct platform_files *platform;
  void *hard_links; /* of tsearch */
  char path[MAX_PATH];
} capture;

static bool is_whiteout(const struct stat *file) { return S_ISCHR(file->st_mode) && file->st_rdev == 0; }

static bool is_opaque(int dir) {
  char value[2];
  return fgetxattr(dir, "user.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static int open_dir(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Whether the image shows `name` there, by overlayfs' rules; if that is a directory, `below` gets its parts. */
static bool look_below(const struct level *level, const char *name, struct level *below) {
  bool found = false;
  for (int i = 0; i < level->count; i++) {
    struct stat file;
    if (fstatat(level->lowers[i], name, &file, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      _exit(TAR_LOST);
    }
    if (is_whiteout(&file)) break;
    if (!S_ISDIR(file.st_mode)) {
      found = found || below->count == 0;
      break;
    }
    found = true;
    if (!below->lowers && !(below->lowers = calloc((size_t)level->count, sizeof(int)))) _exit(TAR_LOST);
    int dir = below->lowers[below->count++] = open_dir(level->lowers[i], name);
    if (dir < 0) _exit(TAR_LOST);
    if (is_opaque(dir)) break;
  }
  return found;
}

static void leave_level(struct level *level) {
  for (int i = 0; i < level->count; i++) close(level->lowers[i]);
  free(level->lowers);
  if (level->upper >= 0) close(level->upper);
}

static bool is_platforms(const struct stat *file) {
  for (uint32_t i = 0; i < capture.platform->count; i++)
    if (capture.platform->files[i].inode == file->st_ino)
      return capture.platform->files[i].size == (uint64_t)file->st_size &&
             capture.platform->files[i].changed_sec == file->st_ctim.tv_sec &&
             capture.platform->files[i].changed_nsec == file->st_ctim.tv_nsec;
  return false;
}

static int compare_links(const void *left, const void *right) {
  ino_t a = ((const struct hard_link *)left)->inode, b = ((const struct hard_link *)right)->inode;
  return a < b ? -1 : a > b;
}

/* The path under which the inode was written before; NULL the first time. */
static const char *seen_as(ino_t inode, const char *path) {
  struct hard_link *link = malloc(sizeof(*link) + strlen(path) + 1);
  if (!link) _exit(TAR_LOST);
  link->inode = inode;
  strcpy(link->path, path);
  struct hard_link **known = tsearch(link, &capture.hard_links, compare_links);
  if (!known) _exit(TAR_LOST);
  if (*known == link) return NULL;
  free(link);
  return (*known)->path;
}

static void write_mark(const char *directory, const char *name, bool changed) {
  char path[MAX_PATH + MAX_NAME];
  if ((size_t)snprintf(path, sizeof(path), "%s.wh.%s", directory, name) >= MAX_PATH) _exit(TAR_FULL);
  tar_begin(&capture.tar, &(struct tar_entry){.path = path, .link = "", .type = '0', .changed = changed});
}

/* Ids that are no image's are the sandbox's own user, another each time. */
static uint32_t image_id(uint32_t id) { return id < IMAGE_ID_COUNT ? id : 0; }

static void write_entry(int dir, const char *name, const struct stat *file, bool changed) {
  char target[MAX_PATH] = "";
  struct tar_entry entry = {.path = capture.path, .link = target, .mode = file->st_mode, .changed = changed,
                            .uid = image_id(file->st_uid), .gid = image_id(file->st_gid), .mtime = file->st_mtim.tv_sec};
  const char *before = !S_ISDIR(file->st_mode) && file->st_nlink > 1 ? seen_as(file->st_ino, capture.path) : NULL;
  if (before) {
    entry.type = '1';
    entry.link = before;
  } else if (S_ISREG(file->st_mode)) {
    entry.type = '0';
    entry.size = (uint64_t)file->st_size;
  } else if (S_ISDIR(file->st_mode)) {
    entry.type = '5';
  } else if (S_ISFIFO(file->st_mode)) {
    entry.type = '6';
  } else if (S_ISLNK(file->st_mode)) {
    entry.type = '2';
    ssize_t length = readlinkat(dir, name, target, sizeof(target) - 1);
    if (length < 0) _exit(TAR_LOST);
    target[length] = '\0';
  } else {
    return; /* sockets: a tar has none */
  }
  tar_begin(&capture.tar, &entry);
  if (entry.size == 0) return;
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) _exit(TAR_LOST);
  tar_content(&capture.tar, fd, entry.size);
  close(fd);
}

static void write_level(const struct level *level, int depth);

static void write_name(const struct level *level, const char *name, int depth) {
  struct stat file;
  struct level below = {.upper = -1, .plain = level->plain};
  size_t start = strlen(capture.path), length = strlen(name);
  if (start + length + 2 > MAX_PATH) _exit(TAR_FULL);
  /* A file of that name would read as the deletion of another. */
  if (strncmp(name, ".wh.", 4) == 0) return;
  if (fstatat(level->upper, name, &file, AT_SYMLINK_NOFOLLOW) < 0) _exit(TAR_LOST);
  bool changed = look_below(level, name, &below);
  if (is_whiteout(&file)) {
    if (!level->plain) write_mark(capture.path, name, changed);
    leave_level(&below);
    return;
  }
  memcpy(capture.path + start, name, length + 1);
  if (S_ISDIR(file.st_mode)) {
    below.upper = open_dir(level->upper, name);
    if (below.upper < 0) _exit(TAR_LOST);
    strcpy(capture.path + start + length, "/");
    bool opaque = !level->plain && is_opaque(below.upper);
    if (!is_platforms(&file)) {
      write_entry(level->upper, name, &file, changed);
      if (opaque) write_mark(capture.path, ".wh..opq", changed);
    }
    if (opaque) {
      while (below.count > 0) close(below.lowers[--below.count]);
    }
    write_level(&below, depth + 1);
  } else if (!is_platforms(&file)) {
    write_entry(level->upper, name, &file, changed);
  }
  capture.path[start] = '\0';
  leave_level(&below);
}

static void write_level(const struct level *level, int depth) {
  struct dirent **names;
  if (depth > MAX_DEPTH) _exit(TAR_FULL);
  int count = scandirat(level->upper, ".", &names, NULL, alphasort);
  if (count < 0) _exit(TAR_LOST);
  for (int i = 0; i < count; i++) {
    const char *name = names[i]->d_name;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) write_name(level, name, depth);
    free(names[i]);
  }
  free(names);
}

static void enter_confinement(const struct filter *filter) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) prctl(PR_CAPBSET_DROP, capability);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  const uint32_t read_any = 1u << CAP_DAC_READ_SEARCH;
  struct __user_cap_data_struct data[2] = {{.effective = read_any, .permitted = read_any}, {0}};
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
    _exit(TAR_LOST);
}

static void write_scratch(int tmpfs, const char *place, const char *path) {
  struct level level = {.upper = open_dir(tmpfs, place), .plain = true};
  if (level.upper < 0) _exit(TAR_LOST);
  strcpy(capture.path, path);
  write_level(&level, 0);
  leave_level(&level);
}

static void capture_main(int tmpfs, const char *layers, bool scratch, bool work_only, const struct filter *filter)
    __attribute__((noreturn));
static void capture_main(int tmpfs, const char *layers, bool scratch, bool work_only, const struct filter *filter) {
  prctl(PR_SET_NAME, "changes");
#ifndef __SANITIZE_ADDRESS__ /* whose shadow memory is terabytes of address space */
  struct rlimit memory = {MAX_MEMORY, MAX_MEMORY};
  if (setrlimit(RLIMIT_AS, &memory) < 0) _exit(TAR_LOST);
#endif
  int lowers[MAX_LAYERS], count = shell_open_layers(layers, lowers);
  struct level root = {.upper = open_dir(tmpfs, "upper"), .lowers = lowers, .count = count};
  if (count < 0 || root.upper < 0) _exit(TAR_LOST);
  for (int i = 0; i < count; i++) {
    int dir = open_dir(lowers[i], "."); /* these were paths only */
    if (dir < 0) _exit(TAR_LOST);
    close(lowers[i]);
    lowers[i] = dir;
  }
  enter_confinement(filter);
  if (!work_only) write_level(&root, 0);
  /* What lay there in the image was hidden, so all of it is new. */
  if (scratch && !work_only) write_scratch(tmpfs, "tmp", "tmp/");
  if (scratch) write_scratch(tmpfs, "home", "work/");
  tar_end(&capture.tar);
  _exit(0);
}

static void note_level(int dir, struct platform_files *out) {
  DIR *names = fdopendir(dir);
  if (!names) {
    close(dir);
    return;
  }
  for (struct dirent *name; out->count < MAX_PLATFORM_FILES && (name = readdir(names));) {
    struct stat file;
    if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0) continue;
    if (fstatat(dir, name->d_name, &file, AT_SYMLINK_NOFOLLOW) < 0) continue;
    out->files[out->count].inode = file.st_ino;
    out->files[out->count].size = (uint64_t)file.st_size;
    out->files[out->count].changed_sec = file.st_ctim.tv_sec;
    out->files[out->count++].changed_nsec = file.st_ctim.tv_nsec;
    int below = S_ISDIR(file.st_mode) ? open_dir(dir, name->d_name) : -1;
    if (below >= 0) note_level(below, out);
  }
  closedir(names);
}

void changes_note_platform(int tmpfs, struct platform_files *out) {
  out->count = 0;
  int upper = open_dir(tmpfs, "upper");
  if (upper >= 0) note_level(upper, out);
}

int changes_start(int tmpfs, const char *layers, bool scratch, bool work_only, const struct platform_files *platform,
                  const struct filter *filter, uint64_t max_bytes, int *pidfd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  struct clone_args arguments = {
      .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = SIGCHLD};
  pid_t pid = -1;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) {
    /* Two descriptors of the agent's, where they are known to be, and no other. */
    int tree = fcntl(tmpfs, F_DUPFD, 5), out = fcntl(ends[1], F_DUPFD, 5);
    if (tree < 0 || out < 0 || dup2(tree, 3) < 0 || dup2(out, 4) < 0) _exit(TAR_LOST);
    syscall(SYS_close_range, 5, ~0u, 0);
    capture.tar = (struct tar){.fd = 4, .room = max_bytes};
    capture.platform = platform;
    capture_main(3, layers, scratch, work_only, filter);
  }
  int saved = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    errno = saved;
    return -1;
  }
  return ends[0];
}
