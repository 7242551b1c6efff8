/*
 * zone.c: what an agent does once. Its root holds /layers (read-only, every layer of the node), /dev (a few
 * devices), /proc, /image (the zygote's root) and /shell (where shells are put together); nothing else of the host.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Called as the host's root by file permissions (the store may lie where only root may look), but without any
 * capability outside the zone's user namespace. */
void zone_enter_root(const char *layers_dir, const char *platform_dir) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot make mounts private: %m");
  int layers = root_clone_tree(layers_dir), platform = root_clone_tree(platform_dir), devices[ROOT_DEVICES];
  root_take_devices(devices);
  /* From here on the zone's own root: setuid clears dumpable, without which nobody may join our shells. */
  if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) die("cannot become the zone's root: %m");
  if (prctl(PR_SET_DUMPABLE, 1) < 0) die("cannot become dumpable: %m");
  umask(022);
  if (mount("tmpfs", ROOT_PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=128") < 0)
    die("cannot mount the zone's root: %m");
  static const char *const places[] = {"layers", "platform", "image", "shell", "proc"};
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    char path[64];
    snprintf(path, sizeof(path), ROOT_PLACE "/%s", places[i]);
    root_make_dir(path);
  }
  root_place_tree(layers, ROOT_PLACE "/layers", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  root_place_tree(platform, ROOT_PLACE "/platform", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  root_place_devices(devices);
  /* Before the old root goes: a new proc may only be mounted where an unmasked one is visible. */
  if (mount("proc", ROOT_PLACE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    die("cannot mount the zone's /proc (is /proc masked, as in an unprivileged container?): %m");
  root_pivot(ROOT_PLACE);
}

/* The zygote's root: its image, read-only, with our own directory on top; in a mount namespace of its own. */
static void enter_image(const char *layers) {
  char options[MAX_LAYERS * (LAYER_NAME + 10) + 64];
  size_t length = (size_t)snprintf(options, sizeof(options), "userxattr,lowerdir=/platform");
  for (const char *at = layers; *at;) {
    size_t name = strcspn(at, ":");
    length += (size_t)snprintf(options + length, sizeof(options) - length, ":/layers/%.*s", (int)name, at);
    at += name + (at[name] == ':');
  }
  if (mount("overlay", "/image", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) < 0)
    die("cannot mount the zygote's image (is a layer missing?): %m");
  if (mount("/proc", "/image/proc", NULL, MS_BIND, NULL) < 0) die("cannot bind the zygote's /proc: %m");
  if (mount("/dev", "/image/dev", NULL, MS_BIND | MS_REC, NULL) < 0) die("cannot bind the zygote's /dev: %m");
  root_pivot("/image");
}

static void load_filter(const struct filter *filter) {
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) die("cannot load the zygote's seccomp filter: %m");
}

static void zygote_main(const struct zone *zone, int socket, int output) __attribute__((noreturn));
static void zygote_main(const struct zone *zone, int socket, int output) {
  prctl(PR_SET_NAME, "zygote");
  /* Nothing of the agent's: no worker, no cgroup directory. */
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (dup2(socket, ZYGOTE_SOCKET_FD) < 0 && socket != ZYGOTE_SOCKET_FD) die("cannot place the zygote's socket: %m");
  /* A pipe, as every child has one: what node prepares for its own output stays valid in them. */
  if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
    die("cannot set the zygote's stdio: %m");
  syscall(SYS_close_range, ZYGOTE_SOCKET_FD + 1, ~0u, 0);
  if (!zone->zygote_argv[0]) exec_zygote_main(ZYGOTE_SOCKET_FD);
  if (unshare(CLONE_NEWNS) < 0) die("cannot make the zygote's mount namespace: %m");
  enter_image(zone->layers);
  load_filter(&zone->filters.zygote);
  char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         "LD_PRELOAD=/.oncebox/keep-heap.so",
                         "UV_USE_IO_URING=0",
                         "LANG=C.UTF-8",
                         "HOME=/work",
                         NULL};
  execve(zone->zygote_argv[0], zone->zygote_argv, environment);
  die("cannot execute the zygote %s: %m", zone->zygote_argv[0]);
}

/* OpenSSL renews its random state in a fork when getpid() has changed. The first process of a sandbox is always 2,
 * and so would be the first of a zone: every child would draw the same numbers. So the zygote's is chosen. */
#define ZYGOTE_PID 299

int zone_start_zygote(const struct zone *zone, int *output) {
  int pair[2], pipes[2];
  if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) return -1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -1;
  pid_t wanted = ZYGOTE_PID;
  struct clone_args arguments = {
      .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) zygote_main(zone, pair[1], pipes[1]);
  close(pair[1]);
  close(pipes[1]);
  *output = pipes[0];
  if (pid < 0 || send(pair[0], zone->filters.sandbox.bpf, zone->filters.sandbox.length, MSG_NOSIGNAL) < 0) {
    close(pair[0]);
    return -1;
  }
  return pair[0];
}
