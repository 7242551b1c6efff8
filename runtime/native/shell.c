/*
 * shell.c: an empty sandbox. A clone of the agent makes its namespaces, stacks the image's layers under a tmpfs,
 * enters that as its root and then only waits: it is the init whose death ends everything in the sandbox.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT "/shell/root"

static void shell_fail(int ready, const char *what) {
  char text[256];
  int length = snprintf(text, sizeof(text), "cannot %s: %m", what);
  if (length > 0) write_all(ready, text, (size_t)length);
  _exit(1);
}

static void make_dir(int ready, const char *path, mode_t mode, uid_t owner) {
  if (mkdir(path, mode) < 0 && errno != EEXIST) shell_fail(ready, path);
  if (owner == (uid_t)-1) return;
  if (chown(path, owner, owner) < 0 || chmod(path, mode) < 0) shell_fail(ready, path);
}

/* The user of the sandbox has a name, so that os.userInfo() and getpwuid() find one. An image without
 * /etc/passwd goes without. */
static void name_user(uint32_t uid) {
  char line[96];
  int length = snprintf(line, sizeof(line), "sandbox:x:%u:%u:sandbox:/work:/bin/sh\n", uid, uid);
  int fd = open(ROOT "/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  write_all(fd, line, (size_t)length);
  close(fd);
}

/* Where programs write is a directory of the tmpfs itself and no part of the overlay: to rename a directory overlayfs
 * marks it with a user xattr, and tmpfs has those since Linux 6.6 only. Before, rename(2) would fail with EXDEV. */
static void place_writable(int ready, const char *source, const char *target, mode_t mode, uid_t owner) {
  make_dir(ready, source, mode, owner);
  make_dir(ready, target, 0755, -1);
  if (mount(source, target, NULL, MS_BIND, NULL) < 0) shell_fail(ready, target);
}

static void mount_root(int ready, int tmpfs, const char *layers, uint32_t uid) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/shell", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    shell_fail(ready, "mount the writable layer");
  make_dir(ready, "/shell/upper", 0755, -1);
  make_dir(ready, "/shell/work", 0755, -1);
  make_dir(ready, ROOT, 0755, -1);
  char options[MAX_LAYERS * (LAYER_NAME + 10) + 128];
  size_t length = (size_t)snprintf(options, sizeof(options), "userxattr,upperdir=/shell/upper,workdir=/shell/work,lowerdir=");
  for (const char *at = layers; *at;) {
    size_t name = strcspn(at, ":");
    length += (size_t)snprintf(options + length, sizeof(options) - length, "%s/layers/%.*s",
                               at == layers ? "" : ":", (int)name, at);
    at += name + (at[name] == ':');
  }
  if (mount("overlay", ROOT, "overlay", MS_NODEV | MS_NOSUID, options) < 0)
    shell_fail(ready, "mount the overlay (is a layer missing?)");
  make_dir(ready, ROOT "/proc", 0555, -1);
  make_dir(ready, ROOT "/dev", 0755, -1);
  if (mount("proc", ROOT "/proc", "proc", MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL) < 0) shell_fail(ready, "mount /proc");
  if (mount("/dev", ROOT "/dev", NULL, MS_BIND | MS_REC, NULL) < 0) shell_fail(ready, "mount /dev");
  place_writable(ready, "/shell/tmp", ROOT "/tmp", 01777, 0);
  make_dir(ready, ROOT "/run", 0755, -1);
  make_dir(ready, ROOT "/run/shm", 01777, 0); /* what /dev/shm points at */
  place_writable(ready, "/shell/home", ROOT "/work", 0755, uid);
  name_user(uid);
}

static void raise_loopback(int ready) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) shell_fail(ready, "raise the loopback interface");
  close(fd);
}

static void enter_root(int ready) {
  if (chdir(ROOT) < 0) shell_fail(ready, "enter the root");
  if (syscall(SYS_pivot_root, ".", ".") < 0) shell_fail(ready, "pivot into the root");
  /* The old root is stacked on top of the new one: off with it, and with it every path of the zone. */
  if (umount2(".", MNT_DETACH) < 0) shell_fail(ready, "leave the zone's root");
  if (chdir("/") < 0) shell_fail(ready, "enter /");
}

static void init_main(int ready, int tmpfs, const char *layers, uint32_t uid) __attribute__((noreturn));
static void init_main(int ready, int tmpfs, const char *layers, uint32_t uid) {
  prctl(PR_SET_NAME, "init");
  mount_root(ready, tmpfs, layers, uid);
  raise_loopback(ready);
  if (sethostname("sandbox", 7) < 0) shell_fail(ready, "set the host name");
  enter_root(ready);
  /* Orphans of the sandbox become ours; ignoring SIGCHLD makes the kernel reap them. */
  signal(SIGCHLD, SIG_IGN);
  if (write_all(ready, "R", 1) < 0) _exit(1);
  /* No descriptor and no capability: nothing here is worth attacking. It keeps the zone's root id, so no process
   * of the sandbox may signal or trace it, and stays dumpable, so that the zygote's child may join it. */
  syscall(SYS_close_range, 0, ~0u, 0);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  syscall(SYS_capset, &header, none);
  for (;;) pause();
}

/* A tmpfs that is in no mount table yet; its descriptor later resizes and measures it. */
static int make_tmpfs(void) {
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int fd = -1;
  /* Before a run only directories are in it; every run sets its own caps. */
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "1m", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", "128", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
  int saved = errno;
  close(context);
  errno = saved;
  return fd;
}

int shell_start(const char *layers, uint32_t uid, struct shell *out) {
  int ready[2];
  int tmpfs = make_tmpfs();
  if (tmpfs < 0) return -1;
  if (pipe2(ready, O_CLOEXEC) < 0) {
    close(tmpfs);
    return -1;
  }
  struct clone_args arguments = {
      .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
      .pidfd = (uint64_t)(uintptr_t)&out->init_pidfd,
      .exit_signal = SIGCHLD,
  };
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) init_main(ready[1], tmpfs, layers, uid);
  int saved = errno;
  close(ready[1]);
  if (pid < 0) {
    close(ready[0]);
    close(tmpfs);
    errno = saved;
    return -1;
  }
  out->init = pid;
  out->tmpfs = tmpfs;
  out->ready = ready[0];
  return 0;
}

int shell_resize(const struct shell *shell, uint64_t bytes, uint64_t inodes) {
  int context = (int)syscall(SYS_fspick, shell->tmpfs, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
  if (context < 0) return -1;
  char size[32], count[32];
  snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
  snprintf(count, sizeof(count), "%llu", (unsigned long long)inodes);
  int result = 0;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", count, 0) < 0 ||
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
    result = -1;
  int saved = errno;
  close(context);
  errno = saved;
  return result;
}
