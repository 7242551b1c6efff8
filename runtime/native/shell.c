/*
 * shell.c: an empty sandbox. A clone of the agent makes its namespaces, stacks the image's layers under a tmpfs,
 * enters that as its root and then only waits: it is the init whose death ends everything in the sandbox.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
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
/* A descriptor as a path, for calls that take no descriptor. */
#define FD_PATH_SIZE 32
static const char *fd_path(int fd, char path[FD_PATH_SIZE]) {
  snprintf(path, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
  return path;
}

static void shell_fail(int ready, const char *what) {
  char text[256];
  int length = snprintf(text, sizeof(text), "cannot %s: %m", what);
  if (length > 0) write_all(ready, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
  _exit(1);
}

static void make_dir(int ready, const char *path, mode_t mode) {
  if (mkdir(path, mode) < 0 || chmod(path, mode) < 0) shell_fail(ready, path);
}

/* Below the sandbox's root only: absolute links and `..` lead to it, and links of a /proc lead nowhere. What an image
 * has in place of a directory can make this fail, but not leave. */
static int open_inside(int root, const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int open_dir(int root, const char *path) { return open_inside(root, path, O_PATH | O_DIRECTORY, 0); }

/* Opens a directory, and makes it and what is missing above it; `mode` and owner are for the last one, if it is new. */
static int open_or_make(int ready, int root, const char *path, mode_t mode, uid_t uid, gid_t gid) {
  int fd = open_dir(root, path);
  if (fd >= 0) return fd;
  char part[MAX_PATH];
  int parent = open_dir(root, "/");
  for (const char *at = path + strspn(path, "/"); *at;) {
    size_t length = strcspn(at, "/");
    const char *next = at + length + strspn(at + length, "/");
    snprintf(part, sizeof(part), "%.*s", (int)(at + length - path), path);
    fd = open_dir(root, part);
    if (fd < 0 && errno == ENOENT) {
      char name[256];
      if (length >= sizeof(name)) errno = ENAMETOOLONG;
      else {
        snprintf(name, sizeof(name), "%.*s", (int)length, at);
        if (mkdirat(parent, name, *next ? 0755 : mode) == 0) {
          fd = open_dir(root, part);
          char link[FD_PATH_SIZE];
          /* Through the link: fchmod takes no O_PATH descriptor, and umask has had its say. */
          if (fd >= 0 && !*next && (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 || chmod(fd_path(fd, link), mode) < 0))
            shell_fail(ready, path);
        }
      }
    }
    if (fd < 0) break;
    close(parent);
    parent = fd;
    at = next;
  }
  if (fd < 0) {
    char what[200];
    snprintf(what, sizeof(what), "use %s of the image as a directory", path);
    shell_fail(ready, what);
  }
  return fd;
}

static void bind_onto(int ready, const char *source, int target, unsigned long flags, const char *what) {
  char path[FD_PATH_SIZE];
  struct stat root, file;
  /* A link of the image may lead to the root itself, and what lies on that is the root. */
  if (stat(ROOT, &root) < 0 || fstat(target, &file) < 0) shell_fail(ready, what);
  if (root.st_dev == file.st_dev && root.st_ino == file.st_ino) {
    errno = EBUSY;
    shell_fail(ready, what);
  }
  if (mount(source, fd_path(target, path), NULL, MS_BIND | flags, NULL) < 0) shell_fail(ready, what);
  close(target);
}

/* The user of the sandbox has a name, so that os.userInfo() and getpwuid() find one. An image whose /etc/passwd is no
 * file goes without. */
static void name_user(int root, uint32_t uid) {
  char line[96];
  int length = snprintf(line, sizeof(line), "sandbox:x:%u:%u:sandbox:/work:/bin/sh\n", uid, uid);
  /* First as what it is: to open a fifo or a device for writing does something. */
  struct stat file;
  int fd = open_inside(root, "/etc/passwd", O_PATH, RESOLVE_NO_SYMLINKS);
  if (fd < 0) return;
  bool regular = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
  close(fd);
  if (!regular) return;
  fd = open_inside(root, "/etc/passwd", O_WRONLY | O_APPEND, RESOLVE_NO_SYMLINKS);
  if (fd < 0) return;
  write_all(fd, line, (size_t)length);
  close(fd);
}

int shell_open_layers(const char *layers, int fds[MAX_LAYERS]) {
  int count = 0;
  for (const char *at = layers; *at && count < MAX_LAYERS; count++) {
    char path[LAYER_NAME + 16];
    size_t name = strcspn(at, ":");
    snprintf(path, sizeof(path), "/layers/%.*s", (int)name, at);
    fds[count] = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fds[count] < 0) return -1;
    at += name + (at[name] == ':');
  }
  return count;
}

/* By descriptors: mount options are a page at most, and 127 names of layers are two. */
static void mount_overlay(int ready, const char *layers) {
  int fds[MAX_LAYERS], count = shell_open_layers(layers, fds);
  if (count < 0) shell_fail(ready, "mount the overlay: cannot open a layer");
  char options[MAX_LAYERS * 20 + 128];
  size_t length = (size_t)snprintf(options, sizeof(options), "userxattr,upperdir=/shell/upper,workdir=/shell/work,lowerdir=");
  for (int i = 0; i < count; i++)
    length += (size_t)snprintf(options + length, sizeof(options) - length, "%s/proc/self/fd/%d", i > 0 ? ":" : "", fds[i]);
  if (mount("overlay", ROOT, "overlay", MS_NODEV | MS_NOSUID, options) < 0) shell_fail(ready, "mount the overlay");
  for (int i = 0; i < count; i++) close(fds[i]);
}

void shell_mount_root(int ready, int tmpfs, const struct sandbox_spec *spec) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/shell", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    shell_fail(ready, "mount the writable layer");
  make_dir(ready, "/shell/upper", 0755);
  make_dir(ready, "/shell/work", 0755);
  make_dir(ready, ROOT, 0755);
  mount_overlay(ready, spec->layers);
  int root = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), tmp = open_or_make(ready, root, "/tmp", 01777, 0, 0);
  if (spec->scratch) {
    /* Where programs write is a directory of the tmpfs itself and no part of the overlay: to rename a directory
     * overlayfs marks it with a user xattr, and tmpfs has those since Linux 6.6 only. Before, rename(2) would fail
     * with EXDEV. */
    make_dir(ready, "/shell/tmp", 01777);
    bind_onto(ready, "/shell/tmp", tmp, 0, "mount /tmp");
    make_dir(ready, "/shell/home", 0755);
    if (chown("/shell/home", spec->uid, spec->gid) < 0) shell_fail(ready, "own /work");
    bind_onto(ready, "/shell/home", open_or_make(ready, root, "/work", 0755, 0, 0), 0, "mount /work");
    if (spec->own_user) name_user(root, spec->uid);
  } else {
    close(tmp);
  }
  if (spec->secrets) {
    /* Ours alone to write to, and no part of the overlay, so that what a run has changed does not show it. */
    make_dir(ready, "/shell/secrets", 0755);
    if (chown("/shell/secrets", ADMINISTRATOR_ID, ADMINISTRATOR_ID) < 0) shell_fail(ready, "own /run/secrets");
    bind_onto(ready, "/shell/secrets", open_or_make(ready, root, "/run/secrets", 0755, 0, 0), 0, "mount /run/secrets");
  }
  close(open_or_make(ready, root, spec->working_dir, 0755, spec->uid, spec->gid));
  /* These two last, so that nothing above went through them; and an image may not say where they are. */
  close(open_or_make(ready, root, "/dev", 0755, 0, 0));
  close(open_or_make(ready, root, "/proc", 0555, 0, 0));
  int dev = open_inside(root, "/dev", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (dev < 0) shell_fail(ready, "mount /dev: the image has a link there");
  bind_onto(ready, "/dev", dev, MS_REC, "mount /dev");
  make_dir(ready, "/shell/shm", 01777);
  int shm = open_inside(root, "/dev/shm", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (shm < 0) shell_fail(ready, "find /dev/shm");
  bind_onto(ready, "/shell/shm", shm, 0, "mount /dev/shm");
  int proc = open_inside(root, "/proc", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  char path[FD_PATH_SIZE];
  if (proc < 0) shell_fail(ready, "mount /proc: the image has a link there");
  /* Read-only as a whole: /proc/sys and what else acts on the machine, and a process has nothing to write of itself that
   * has no system call. */
  if (mount("proc", fd_path(proc, path), "proc", MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL) < 0) shell_fail(ready, "mount /proc");
  close(proc);
  /* On top of it now; what was opened before lies below. */
  proc = open_inside(root, "/proc", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (proc < 0 || fchdir(proc) < 0 || root_mask_proc() < 0) shell_fail(ready, "mask /proc");
  close(proc);
  close(root);
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

/* Nothing here is worth attacking: no descriptor, no capability, none to gain, no system call that the sandbox has
 * not. Its user is the administrator, so no process of the sandbox may signal or trace it. */
static void give_up_everything(int ready, const struct filter *filter) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  if (syscall(SYS_capset, &header, none) < 0) shell_fail(ready, "drop the init's capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) shell_fail(ready, "set no_new_privs for the init");
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) shell_fail(ready, "load the init's seccomp filter");
}

static void init_main(int ready, int tmpfs, const struct sandbox_spec *spec, const struct filter *filter)
    __attribute__((noreturn));
static void init_main(int ready, int tmpfs, const struct sandbox_spec *spec, const struct filter *filter) {
  prctl(PR_SET_NAME, "init");
  ids_make_files_as(0); /* as in any container */
  shell_mount_root(ready, tmpfs, spec);
  raise_loopback(ready);
  if (sethostname("sandbox", 7) < 0) shell_fail(ready, "set the host name");
  enter_root(ready);
  ids_make_files_as(ADMINISTRATOR_ID);
  /* Orphans of the sandbox become ours; ignoring SIGCHLD makes the kernel reap them. */
  signal(SIGCHLD, SIG_IGN);
  /* Before anyone joins. It stays dumpable, so that the zygote's child may. */
  give_up_everything(ready, filter);
  if (write_all(ready, "R", 1) < 0) _exit(1);
  syscall(SYS_close_range, 0, ~0u, 0);
  for (;;) pause();
}

/* Its descriptor later resizes and measures it. */
int shell_make_tmpfs(uint64_t bytes, uint64_t inodes) {
  char size[32], count[32];
  snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
  snprintf(count, sizeof(count), "%llu", (unsigned long long)inodes);
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int fd = -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", size, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", count, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "uid", "0", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "gid", "0", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
  int saved = errno;
  close(context);
  errno = saved;
  return fd;
}

int shell_start(const struct sandbox_spec *spec, const struct filter *filter, uint64_t bytes, uint64_t inodes,
                struct shell *out) {
  int ready[2];
  int tmpfs = shell_make_tmpfs(bytes, inodes);
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
  if (pid == 0) init_main(ready[1], tmpfs, spec, filter);
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
