/*
 * root.c: what the roots of zones and builds are put together from. A mount is taken by its path while the host's tree
 * is still there, and placed once the new root is.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const devices[ROOT_DEVICES] = {"null", "zero", "full", "random", "urandom"};

int root_clone_tree(const char *path) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) die("cannot take %s into a new root: %m", path);
  return fd;
}

void root_place_tree(int tree, const char *path, uint64_t attributes) {
  struct mount_attr attr = {.attr_set = attributes};
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
    die("cannot restrict %s: %m", path);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot place %s: %m", path);
  close(tree);
}

void root_make_dir(const char *path) {
  if (mkdir(path, 0755) < 0 && errno != EEXIST) die("cannot make %s: %m", path);
}

void root_make_link(const char *target, const char *path) {
  if (symlink(target, path) < 0) die("cannot link %s: %m", path);
}

void root_take_devices(int trees[ROOT_DEVICES]) {
  for (size_t i = 0; i < ROOT_DEVICES; i++) {
    char path[64];
    snprintf(path, sizeof(path), "/dev/%s", devices[i]);
    trees[i] = root_clone_tree(path);
  }
}

/* /dev of every sandbox: no tty, no shared memory of the host. */
void root_place_devices(const int trees[ROOT_DEVICES]) {
  root_make_dir(ROOT_PLACE "/dev");
  /* A tmpfs of its own, so that shells can bind it alone and read-only. */
  if (mount("tmpfs", ROOT_PLACE "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k,nr_inodes=32") < 0)
    die("cannot mount /dev: %m");
  for (size_t i = 0; i < ROOT_DEVICES; i++) {
    char path[64];
    snprintf(path, sizeof(path), ROOT_PLACE "/dev/%s", devices[i]);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) die("cannot make %s: %m", path);
    close(fd);
    /* Read-only is the node, which is the host's; what is written to the device still arrives. */
    root_place_tree(trees[i], path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  }
  root_make_link("/proc/self/fd", ROOT_PLACE "/dev/fd");
  root_make_link("/proc/self/fd/0", ROOT_PLACE "/dev/stdin");
  root_make_link("/proc/self/fd/1", ROOT_PLACE "/dev/stdout");
  root_make_link("/proc/self/fd/2", ROOT_PLACE "/dev/stderr");
  root_make_dir(ROOT_PLACE "/dev/shm"); /* every shell, and every build, mounts its own there */
  if (mount(NULL, ROOT_PLACE "/dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0)
    die("cannot make /dev read-only: %m");
}

/* What tells of the host, or is dangerous where a kernel has a bug: all of it is of no use to a program in a sandbox. Most
 * of it only the host's root may open anyhow. What interpreters and tools read of the machine stays: cpuinfo, meminfo,
 * stat, loadavg, uptime, version, filesystems, sys. */
static const char *const masked[] = {
    /* memory, symbols and logs of the kernel; the keys of others */
    "kcore", "kmsg", "kallsyms", "keys", "key-users", "config.gz", "modules", "iomem",
    /* what acts on the machine */
    "sysrq-trigger", "acpi", "scsi", "asound", "bus", "irq", "fs",
    /* what others on the machine do: their timers, tasks, locks, disks, interrupts; and how it was started */
    "timer_list", "timer_stats", "sched_debug", "latency_stats", "locks", "interrupts", "diskstats", "partitions", "swaps", "pressure",
    "cmdline",
};
#define MASKED (sizeof(masked) / sizeof(masked[0]))
#define MASK_FILE "/masked/file"
#define MASK_DIRECTORY "/masked/directory"

static enum { NOT_THERE, A_FILE, A_DIRECTORY } masked_kinds[MASKED];

/* In a new root, before it is entered: what masks are clones of. Nobody may read it but its owner, who is nobody's user. */
void root_make_masks(const char *proc) {
  root_make_dir(ROOT_PLACE "/masked");
  int fd = open(ROOT_PLACE MASK_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
  if (fd < 0 || fchmod(fd, 0) < 0) die("cannot make what masks files of /proc: %m");
  close(fd);
  root_make_dir(ROOT_PLACE MASK_DIRECTORY);
  if (chmod(ROOT_PLACE MASK_DIRECTORY, 0) < 0) die("cannot make what masks directories of /proc: %m");
  /* A mount of its own: each clone of it has its flags. */
  root_place_tree(root_clone_tree(ROOT_PLACE "/masked"), ROOT_PLACE "/masked",
                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  /* Every proc of a kernel has the same, so it is asked once and not for each sandbox. */
  int dir = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) die("cannot open %s: %m", proc);
  for (size_t i = 0; i < MASKED; i++) {
    struct stat file;
    if (fstatat(dir, masked[i], &file, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) die("cannot look at %s of /proc: %m", masked[i]);
      continue;
    }
    masked_kinds[i] = S_ISDIR(file.st_mode) ? A_DIRECTORY : A_FILE;
  }
  close(dir);
}

/* The working directory is a proc that the sandbox or zygote is to see. -1 with errno. */
int root_mask_proc(void) {
  for (size_t i = 0; i < MASKED; i++)
    if (masked_kinds[i] != NOT_THERE &&
        mount(masked_kinds[i] == A_FILE ? MASK_FILE : MASK_DIRECTORY, masked[i], NULL, MS_BIND, NULL) < 0)
      return -1;
  return 0;
}

void root_pivot(const char *root) {
  if (chdir(root) < 0) die("cannot enter %s: %m", root);
  if (syscall(SYS_pivot_root, ".", ".") < 0) die("cannot pivot into %s: %m", root);
  if (umount2(".", MNT_DETACH) < 0) die("cannot leave the old root: %m");
  if (chdir("/") < 0) die("cannot enter /: %m");
}
