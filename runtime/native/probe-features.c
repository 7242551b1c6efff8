/*
 * probe-features.c: tries what oncebox asks of the kernel, each thing in a process of its own, and says how it went: a
 * line of JSON each. Nothing outlives it and nothing of the host is changed: what is mounted is mounted in a mount
 * namespace that ends with the try. It is linked with libc only, so that it can be built and run before set-up.
 *
 *     oncebox-probe-features [DIRECTORY]
 *
 * With DIRECTORY, an overlay above it is tried too. Not as root, what takes root fails with EPERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds for one try */
#define PLACE "/tmp" /* covered by a tmpfs in the try's own mount namespace */
#define ID_BASE 0x70000000u
#define ID_COUNT 65538u

static const char *directory_path; /* what an overlay is tried on */
static int directory = -1;
static int report;         /* where a try says why it failed */

static void fail(const char *step) __attribute__((noreturn));
static void fail(const char *step) {
  const char *name = strerrorname_np(errno);
  dprintf(report, "\"errno\":\"%s\",\"step\":\"%s\"", name ? name : "0", step);
  _exit(1);
}

static pid_t clone3(struct clone_args *arguments) {
  return (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
}

static void await(pid_t pid, const char *step) {
  int status;
  if (waitpid(pid, &status, 0) < 0) fail(step);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) _exit(1); /* who failed has said why */
}

/* ---- what needs no namespace ---- */

static void try_pidfd(void) {
  int pidfd = -1;
  struct clone_args arguments = {
      .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
  pid_t pid = clone3(&arguments);
  if (pid < 0) fail("clone3 with CLONE_PIDFD");
  if (pid == 0) {
    pause();
    _exit(0);
  }
  if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0) fail("pidfd_send_signal");
  waitpid(pid, NULL, 0);
  if (syscall(SYS_pidfd_open, getpid(), 0) < 0) fail("pidfd_open");
}

static void try_openat2(void) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  if (syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how)) < 0) fail("openat2");
}

static void try_close_range(void) {
  if (syscall(SYS_close_range, 1000, ~0u, CLOSE_RANGE_CLOEXEC) < 0) fail("close_range");
}

static void try_seccomp(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = 1, .filter = &allow};
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) fail("seccomp's kill of a process");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) fail("a seccomp filter");
}

/* As worker and gateway could, were they someone else's. */
static void try_ordinary_user(void) {
  if (geteuid() == 0 && (setgid(ID_BASE) < 0 || setuid(ID_BASE) < 0)) fail("become an ordinary user");
  if (unshare(CLONE_NEWUSER) < 0) fail("unshare");
}

/* ---- in namespaces as a zone's are ---- */

static int write_map(pid_t pid, const char *name, const char *text) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  close(fd);
  return written < 0 ? -1 : 0;
}

/* By root, many ids; by anyone else, his own. */
static void map_ids(pid_t pid) {
  char uids[64], gids[64];
  bool is_root = geteuid() == 0;
  snprintf(uids, sizeof(uids), "0 %u %u", is_root ? ID_BASE : geteuid(), is_root ? ID_COUNT : 1);
  snprintf(gids, sizeof(gids), "0 %u %u", is_root ? ID_BASE : getegid(), is_root ? ID_COUNT : 1);
  if (!is_root && write_map(pid, "setgroups", "deny") < 0) fail("deny setgroups");
  if (write_map(pid, "gid_map", gids) < 0 || write_map(pid, "uid_map", uids) < 0) fail("map ids");
}

static void in_zone(void (*body)(void)) {
  int mapped[2];
  if (pipe2(mapped, O_CLOEXEC) < 0) fail("pipe");
  struct clone_args arguments = {
      .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
      .exit_signal = SIGCHLD};
  pid_t pid = clone3(&arguments);
  if (pid < 0) fail("clone3 with a user namespace");
  if (pid == 0) {
    char go;
    close(mapped[1]);
    if (read(mapped[0], &go, 1) != 1) _exit(1);
    /* In the mount namespace that its overlay will be in, and as whoever may look there. */
    if (directory_path) directory = open(directory_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) fail("become the namespace's root");
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of ids clears it */
    if (prctl(PR_SET_DUMPABLE, 1) < 0) fail("become dumpable");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail("make mounts private");
    if (mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0) fail("mount a tmpfs");
    if (body) body();
    _exit(0);
  }
  map_ids(pid);
  if (write(mapped[1], "", 1) != 1) fail("start the namespace");
  await(pid, "wait for the namespace");
}

static void zone_only(void) {
  in_zone(NULL);
}

static void set_tid_body(void) {
  pid_t wanted = 4242;
  struct clone_args arguments = {
      .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};
  pid_t pid = clone3(&arguments);
  if (pid < 0) fail("clone3 with set_tid");
  if (pid == 0) _exit(getpid() == wanted ? 0 : 1);
  await(pid, "wait for the process");
}

static void try_set_tid(void) {
  in_zone(set_tid_body);
}

/* As a zygote's child joins a shell. */
static void setns_body(void) {
  const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  int pidfd = -1;
  struct clone_args arguments = {.flags = namespaces | CLONE_NEWPID | CLONE_PIDFD,
                                 .pidfd = (uint64_t)(uintptr_t)&pidfd,
                                 .exit_signal = SIGCHLD};
  pid_t init = clone3(&arguments);
  if (init < 0) fail("clone3 of namespaces in a namespace");
  if (init == 0) {
    pause();
    _exit(0);
  }
  if (setns(pidfd, CLONE_NEWPID) < 0) fail("setns by pidfd, of a pid namespace");
  pid_t pid = fork();
  if (pid < 0) fail("fork into a pid namespace");
  if (pid == 0) {
    if (setns(pidfd, (int)namespaces) < 0) fail("setns by pidfd");
    if (unshare(CLONE_NEWCGROUP) < 0) fail("unshare the cgroup namespace");
    _exit(0);
  }
  await(pid, "wait for the process");
  kill(init, SIGKILL);
}

static void try_setns(void) {
  in_zone(setns_body);
}

static void mount_tree_body(void) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  if (mkdir(PLACE "/from", 0755) < 0 || mkdir(PLACE "/to", 0755) < 0) fail("make directories");
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, PLACE "/from", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) fail("open_tree");
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) fail("mount_setattr");
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, PLACE "/to", MOVE_MOUNT_F_EMPTY_PATH) < 0) fail("move_mount");
  if (mkdir(PLACE "/to/x", 0755) == 0 || errno != EROFS) fail("keep a mount read-only");
}

static void try_mount_tree(void) {
  in_zone(mount_tree_body);
}

static void fsopen_body(void) {
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) fail("fsopen");
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "64k", 0) < 0 ||
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", "64", 0) < 0 ||
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    fail("fsconfig");
  int tmpfs = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
  if (tmpfs < 0) fail("fsmount");
  int again = (int)syscall(SYS_fspick, tmpfs, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
  if (again < 0) fail("fspick");
  if (syscall(SYS_fsconfig, again, FSCONFIG_SET_STRING, "size", "128k", 0) < 0 ||
      syscall(SYS_fsconfig, again, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
    fail("change the size of a tmpfs");
}

static void try_fsopen(void) {
  in_zone(fsopen_body);
}

/* As the launcher makes a zone's /dev; it is in no mount table, and gone with us. */
static void try_devices(void) {
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) fail("make a tmpfs");
  int tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (tree < 0) fail("fsmount");
  if (mknodat(tree, "null", S_IFCHR | 0600, makedev(1, 3)) < 0) fail("mknod");
  if (openat(tree, "null", O_RDWR | O_CLOEXEC) < 0) fail("open a device node");
}

static void make_overlay(const char *lower) {
  char options[256];
  if (mkdir(PLACE "/upper", 0755) < 0 || mkdir(PLACE "/work", 0755) < 0 || mkdir(PLACE "/root", 0755) < 0)
    fail("make directories");
  snprintf(options, sizeof(options), "userxattr,upperdir=" PLACE "/upper,workdir=" PLACE "/work,lowerdir=%s", lower);
  if (mount("overlay", PLACE "/root", "overlay", MS_NODEV | MS_NOSUID, options) < 0) fail("mount an overlay");
}

static void overlay_body(void) {
  if (mkdir(PLACE "/lower", 0755) < 0 || mkdir(PLACE "/lower/below", 0755) < 0) fail("make directories");
  make_overlay(PLACE "/lower");
  if (mkdir(PLACE "/root/below/above", 0755) < 0) fail("write to an overlay");
}

static void try_overlay(void) {
  in_zone(overlay_body);
}

static void overlay_directory_body(void) {
  char lower[64];
  snprintf(lower, sizeof(lower), "/proc/self/fd/%d", directory);
  make_overlay(lower);
}

static void try_overlay_directory(void) {
  in_zone(overlay_directory_body);
}

static void xattr_body(void) {
  if (setxattr(PLACE, "user.oncebox", "y", 1, 0) < 0) fail("setxattr on a tmpfs");
}

static void try_xattr(void) {
  in_zone(xattr_body);
}

static void proc_body(void) {
  if (mkdir(PLACE "/proc", 0755) < 0) fail("make a directory");
  if (mount("proc", PLACE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) fail("mount a proc");
}

static void try_proc(void) {
  in_zone(proc_body);
}

static void pivot_body(void) {
  if (chdir(PLACE) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) fail("pivot_root");
  if (umount2(".", MNT_DETACH) < 0) fail("leave the old root");
}

static void try_pivot(void) {
  in_zone(pivot_body);
}

static const struct {
  const char *name;
  void (*run)(void);
} tries[] = {{"pidfd", try_pidfd},
             {"openat2", try_openat2},
             {"close_range", try_close_range},
             {"seccomp", try_seccomp},
             {"ordinary-user-namespaces", try_ordinary_user},
             {"namespaces", zone_only},
             {"set_tid", try_set_tid},
             {"setns", try_setns},
             {"mount_setattr", try_mount_tree},
             {"fsopen", try_fsopen},
             {"devices", try_devices},
             {"overlay", try_overlay},
             {"overlay-directory", try_overlay_directory},
             {"tmpfs-xattr", try_xattr},
             {"proc", try_proc},
             {"pivot_root", try_pivot}};

static void run(const char *name, void (*body)(void)) {
  char text[256];
  int said[2];
  if (pipe2(said, O_CLOEXEC) < 0) exit(1);
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) exit(1);
  if (pid == 0) {
    report = said[1];
    alarm(PATIENCE); /* what it has cloned ends with it */
    body();
    _exit(0);
  }
  close(said[1]);
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  /* Never waits for more: whoever is left of a try that was ended may hold the other end. */
  fcntl(said[0], F_SETFL, O_NONBLOCK);
  ssize_t length = read(said[0], text, sizeof(text) - 1);
  close(said[0]);
  bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (ok) printf("{\"name\":\"%s\",\"ok\":true}\n", name);
  else if (length > 0) printf("{\"name\":\"%s\",\"ok\":false,%.*s}\n", name, (int)length, text);
  else printf("{\"name\":\"%s\",\"ok\":false,\"errno\":\"0\",\"step\":\"it was ended by signal %d\"}\n", name, WTERMSIG(status));
}

int main(int argc __attribute__((unused)), char **argv) {
  directory_path = argv[1];
  for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
    if (tries[i].run != try_overlay_directory || directory_path) run(tries[i].name, tries[i].run);
  return 0;
}
