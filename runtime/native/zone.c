/*
 * zone.c: what an agent does once. Its root holds /layers (read-only, every layer of the node), /dev (a few
 * devices), /proc, /image (the zygote's root), /shell (where shells are put together) and /masked (what lies over parts of
 * their /proc); nothing else of the host.
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
#include <sys/wait.h>
#include <unistd.h>

/* Called as the host's root by file permissions (the store may lie where only root may look), but without any
 * capability outside the zone's user namespace. */
void zone_enter_root(const char *layers_dir, const char *platform_dir, int devices) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot make mounts private: %m");
  int layers = root_clone_tree(layers_dir), platform = root_clone_tree(platform_dir);
  ids_become_administrator();
  ids_make_files_as(0); /* as in any container */
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
  root_make_masks(ROOT_PLACE "/proc");
  root_pivot(ROOT_PLACE);
  ids_make_files_as(ADMINISTRATOR_ID);
  /* What initialisation asks for once is true of every sandbox. */
  if (sethostname("sandbox", 7) < 0) die("cannot set the zone's host name: %m");
}

/* A proc of a pid namespace in which nobody is: what interpreters read of the machine is there, and no process. That of
 * the zone would name the agent. Mounted by a child that is all there ever is of that namespace. */
static void mount_empty_proc(const char *path) {
  struct clone_args arguments = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) {
    if (mount("proc", path, "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
      die("cannot mount the zygote's /proc: %m");
    _exit(0);
  }
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) < 0) die("cannot make a pid namespace for the zygote's /proc: %m");
  if (status != 0) _exit(1);
  if (chdir(path) < 0 || root_mask_proc() < 0 || chdir("/") < 0) die("cannot mask the zygote's /proc: %m");
}

/* The zygote's root: its image, read-only, with our own directory on top; in a mount namespace of its own. The image
 * decides nothing here: /proc and /dev are directories of ours. */
static void enter_image(const char *layers) {
  char options[MAX_LAYERS * 20 + 64];
  int fds[MAX_LAYERS], count = shell_open_layers(layers, fds);
  if (count < 0) die("cannot open the zygote's image (is a layer missing?): %m");
  size_t length = (size_t)snprintf(options, sizeof(options), "userxattr,lowerdir=/platform");
  for (int i = 0; i < count; i++)
    length += (size_t)snprintf(options + length, sizeof(options) - length, ":/proc/self/fd/%d", fds[i]);
  if (mount("overlay", "/image", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) < 0)
    die("cannot mount the zygote's image (is a layer missing?): %m");
  for (int i = 0; i < count; i++) close(fds[i]);
  mount_empty_proc("/image/proc");
  if (mount("/dev", "/image/dev", NULL, MS_BIND | MS_REC, NULL) < 0) die("cannot bind the zygote's /dev: %m");
  root_pivot("/image");
}

static void load_filter(const struct filter *filter) {
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) die("cannot load the zygote's seccomp filter: %m");
}

/* The zygote's descriptors from 3 on, in this order, and no other of the agent's. */
static void place_descriptors(const int fds[3]) {
  int copies[3];
  /* Out of the way first: one may stand where another belongs. */
  for (int i = 0; i < 3; i++)
    if ((copies[i] = fcntl(fds[i], F_DUPFD, ZYGOTE_PID_NS_FD + 1)) < 0) die("cannot place a descriptor: %m");
  for (int i = 0; i < 3; i++)
    if (dup2(copies[i], ZYGOTE_SOCKET_FD + i) < 0) die("cannot place a descriptor: %m");
  syscall(SYS_close_range, ZYGOTE_PID_NS_FD + 1, ~0u, 0);
}

/* As execvpe(3) looks, but in absolute directories only, and the interpreter is told its full path: it cannot ask
 * /proc/self/exe. */
static void execute_zygote(const struct zone *zone, char **environment) __attribute__((noreturn));
static void execute_zygote(const struct zone *zone, char **environment) {
  static char *argv[MAX_ZYGOTE_ARGS + 1];
  char *name = zone->zygote_argv[0], path[MAX_PATH];
  size_t count = 0;
  for (; zone->zygote_argv[count]; count++) argv[count] = zone->zygote_argv[count];
  errno = ENOENT;
  for (const char *at = zone->search_path; *at && !strchr(name, '/');) {
    size_t length = strcspn(at, ":");
    int size = snprintf(path, sizeof(path), "%.*s/%s", (int)length, at, name);
    if (*at == '/' && size > 0 && (size_t)size < sizeof(path)) {
      argv[0] = path;
      execve(path, argv, environment);
      if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) die("cannot execute %s: %m", path);
    }
    at += length + (at[length] == ':');
  }
  if (strchr(name, '/')) execve(name, argv, environment);
  die("cannot execute %s, looked for in %s: %m", name, zone->search_path);
}

/* What is on the account of the zone's owner too, who is the host's root, as in a sandbox; and the launcher's own bound on
 * descriptors is for the agent. */
static void limit_resources(void) {
  static const struct {
    int resource;
    rlim_t most;
  } limits[] = {{RLIMIT_SIGPENDING, 256}, {RLIMIT_MEMLOCK, 0}, {RLIMIT_MSGQUEUE, 0}, {RLIMIT_NOFILE, 4096},
                {RLIMIT_CORE, 0},       {RLIMIT_NICE, 0},    {RLIMIT_RTPRIO, 0}};
  for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
    struct rlimit limit = {.rlim_cur = limits[i].most, .rlim_max = limits[i].most};
    if (setrlimit(limits[i].resource, &limit) < 0) die("cannot limit the zygote's resources: %m");
  }
}

static void zygote_main(const struct zone *zone, int requests, int events, int output) __attribute__((noreturn));
static void zygote_main(const struct zone *zone, int requests, int events, int output) {
  prctl(PR_SET_NAME, "zygote");
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int own_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (null < 0 || own_pid_ns < 0) die("cannot open what the zygote needs: %m");
  cgroup_zygote_enter(&zone->cgroup);
  /* A pipe, as every child has one: what node prepares for its own output stays valid in them. */
  if (dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) die("cannot set the zygote's stdio: %m");
  if (zone->zygote_argv[0]) {
    if (unshare(CLONE_NEWNS) < 0) die("cannot make the zygote's mount namespace: %m");
    enter_image(zone->layers);
  }
  place_descriptors((int[]){requests, events, own_pid_ns});
  limit_resources();
  ids_become_zygote();
  load_filter(&zone->filters.zygote);
  if (!zone->zygote_argv[0]) exec_zygote_main();
  char path[MAX_PATH + 8];
  snprintf(path, sizeof(path), "PATH=%s", zone->search_path);
  /* Not as an argument: those of a process can be read by everyone on the host, and a function's environment is in it. */
  char *init = NULL;
  if (zone->init[0] && asprintf(&init, INIT_VARIABLE "%s", zone->init) < 0) die("cannot find memory for a zygote's environment");
  char *environment[] = {path, "LD_PRELOAD=/.oncebox/keep-heap.so", "UV_USE_IO_URING=0", "LANG=C.UTF-8", "HOME=/work", init, NULL};
  execute_zygote(zone, environment);
}

/* OpenSSL renews its random state in a fork when getpid() has changed. The first process of a sandbox is always 2,
 * and so would be the first of a zone: every child would draw the same numbers. So the zygote's is chosen. */

int zone_start_zygote(const struct zone *zone, struct zygote_link *out) {
  int pair[2], events[2], output[2];
  if (pipe2(events, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0) return -1;
  if (fcntl(events[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0) return -1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -1;
  /* Now whatever is sent to us is refused. */
  if (shutdown(pair[0], SHUT_RD) < 0) return -1;
  pid_t wanted = ZYGOTE_PID;
  struct clone_args arguments = {.flags = CLONE_PIDFD,
                                 .pidfd = (uint64_t)(uintptr_t)&out->pidfd,
                                 .exit_signal = SIGCHLD,
                                 .set_tid = (uint64_t)(uintptr_t)&wanted,
                                 .set_tid_size = 1};
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) zygote_main(zone, pair[1], events[1], output[1]);
  if (pid < 0) return -1;
  close(pair[1]);
  close(events[1]);
  close(output[1]);
  out->requests = pair[0];
  out->events = events[0];
  out->output = output[0];
  const struct filter *filter = &zone->filters.child;
  return send_fds(pair[0], filter->bpf, filter->length, NULL, 0) == (ssize_t)filter->length ? 0 : -1;
}
