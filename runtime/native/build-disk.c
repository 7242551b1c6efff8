/*
 * build-disk.c: what a build has taken of the disk. There is no quota to rely on, so pid 1 of the build looks, like du, a
 * few times a second, and for files that have lost their names and that a process still holds open.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_DEPTH 128
/* The disk is everybody's: a build ends before it takes the last of it. */
#define FREE_BYTES_FLOOR (256ull << 20)
#define FREE_INODES_FLOOR 4096ull
#define DISK_CHECK_USEC (BUILD_DISK_CHECK_MS * 1000u)

static struct {
  const struct build_limits *limits;
  uint64_t next_walk, next_look;
} disk_watch;

struct usage {
  uint64_t bytes, entries;
  dev_t device;
};

/* Like du, and never out of the file system: the builder mounts its overlays in here. A tree that changes under our
 * hands is counted as it is met. */
static void walk(int dir, int depth, struct usage *usage) {
  DIR *entries = fdopendir(dir);
  if (!entries) {
    close(dir);
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat stats;
    if (fstatat(dirfd(entries), entry->d_name, &stats, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) continue;
    if (stats.st_dev != usage->device) continue;
    usage->entries++;
    usage->bytes += (uint64_t)stats.st_blocks * 512u / (stats.st_nlink > 0 && !S_ISDIR(stats.st_mode) ? stats.st_nlink : 1);
    if (!S_ISDIR(stats.st_mode)) continue;
    /* Deeper than any image goes, and than our descriptors reach. */
    if (depth == MAX_DEPTH) usage->entries = UINT64_MAX / 2;
    if (usage->entries > disk_watch.limits->disk_inodes) break;
    int child = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child >= 0) walk(child, depth + 1, usage);
  }
  closedir(entries);
}

#define MAX_UNLINKED 65536u /* a power of two; more open ones than half of it are counted twice, which ends the build */

/* True the first time. */
static bool is_new_file(dev_t device, ino_t inode, bool forget) {
  static struct {
    dev_t device;
    ino_t inode;
  } seen[MAX_UNLINKED];
  static uint32_t count;
  if (forget) {
    memset(seen, 0, sizeof(seen));
    count = 0;
    return false;
  }
  uint64_t at = ((uint64_t)inode * 0x9e3779b97f4a7c15u) >> 40;
  for (; seen[at % MAX_UNLINKED].inode != 0; at++)
    if (seen[at % MAX_UNLINKED].inode == inode && seen[at % MAX_UNLINKED].device == device) return false;
  if (count < MAX_UNLINKED / 2) {
    seen[at % MAX_UNLINKED].device = device;
    seen[at % MAX_UNLINKED].inode = inode;
    count++;
  }
  return true;
}

static uint64_t unlinked_bytes_of(int descriptors) {
  uint64_t bytes = 0;
  DIR *entries = fdopendir(descriptors);
  if (!entries) {
    close(descriptors);
    return 0;
  }
  for (struct dirent *entry; (entry = readdir(entries));) {
    struct stat file;
    struct statfs system;
    /* By way of /proc these are the open files themselves. */
    int fd = openat(dirfd(entries), entry->d_name, O_PATH | O_CLOEXEC);
    if (fd < 0) continue;
    /* What is in memory is on another account. */
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 0 && fstatfs(fd, &system) == 0 &&
        system.f_type != TMPFS_MAGIC && system.f_type != HUGETLBFS_MAGIC &&
        is_new_file(file.st_dev, file.st_ino, false))
      bytes += (uint64_t)file.st_blocks * 512u;
    close(fd);
  }
  closedir(entries);
  return bytes;
}

/* Files without a name that processes of the build hold open: no walk finds them. */
static uint64_t unlinked_bytes(void) {
  uint64_t bytes = 0;
  DIR *processes = opendir("/proc");
  is_new_file(0, 0, true);
  for (struct dirent *process; processes && (process = readdir(processes));) {
    char path[300];
    if (process->d_name[0] < '1' || process->d_name[0] > '9') continue;
    snprintf(path, sizeof(path), "%s/fd", process->d_name);
    int descriptors = openat(dirfd(processes), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptors >= 0) bytes += unlinked_bytes_of(descriptors);
  }
  if (processes) closedir(processes);
  return bytes;
}

void build_disk_begin(const struct build_limits *limits) {
  disk_watch.limits = limits;
}

enum build_cause build_disk_state(bool at_once) {
  uint64_t now = now_usec();
  struct statvfs disk;
  if (at_once) disk_watch.next_look = disk_watch.next_walk = 0;
  if (now < disk_watch.next_look) return BUILD_EXITED;
  disk_watch.next_look = now + DISK_CHECK_USEC;
  if (statvfs("/build", &disk) < 0) return BUILD_EXITED;
  /* Some file systems count no inodes. */
  if ((uint64_t)disk.f_bavail * disk.f_frsize < FREE_BYTES_FLOOR) return BUILD_FULL;
  if (disk.f_files > 0 && disk.f_favail < FREE_INODES_FLOOR) return BUILD_FULL;
  if (now < disk_watch.next_walk) return BUILD_EXITED;
  struct stat stats;
  int dir = open("/build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || fstat(dir, &stats) < 0) die("cannot measure the build: %m");
  struct usage usage = {.device = stats.st_dev};
  /* These first: what loses its name meanwhile is missed this once, and not counted twice. */
  usage.bytes = unlinked_bytes();
  walk(dir, 0, &usage);
  /* A tree of a million files takes its time: no more than a tenth of ours. */
  uint64_t took = now_usec() - now;
  disk_watch.next_walk = now_usec() + (took * 10 > DISK_CHECK_USEC ? took * 10 : DISK_CHECK_USEC);
  bool passed = usage.bytes > disk_watch.limits->disk_bytes || usage.entries > disk_watch.limits->disk_inodes;
  return passed ? BUILD_DISK : BUILD_EXITED;
}
