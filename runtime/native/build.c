/*
 * build.c: pid 1 of one image build. Its root is made for it: a few directories of the host's /usr, read-only, with
 * the builder in them; the layers that the build stands on, read-only; and /build, a directory on disk, the only
 * place to write. What runs, it finds in /build/commands; what goes in and out is a tar.
 *
 * Everything here but the bytes of this process is the Dockerfile's author's: the context, the commands of RUN, and
 * after those the builder itself, which is root in the same user namespace as they. So nothing that comes out is
 * believed, and this process, which enforces the caps, is undumpable: nobody in the namespace may trace it, and the
 * kernel drops every signal to it that comes from inside.
 */
#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
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

#define MAX_COMMANDS_SIZE (256u << 10)
/* Beyond the wall time, for a worker that does not read what we send. */
#define ALARM_GRACE_SEC 20u

static struct {
  struct build_limits limits;
  int connection, alive;
  struct cgroup_zone cgroup;
  uint64_t deadline;
  uint32_t command; /* how many have begun */
  struct buffer outbox; /* of a frame that the worker has not taken whole */
} build;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...) {
  char text[512];
  int saved = errno;
  va_list arguments;
  va_start(arguments, format);
  errno = saved; /* for %m */
  int length = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  if (length > (int)sizeof(text) - 1) length = sizeof(text) - 1;
  if (length > 0) frame_send(build.connection, FRAME_FAILED, 0, text, (size_t)length, NULL, 0);
  die("a build: %s", text);
}

/* ---- its root ---- */

static void enter_root(const char *layers_dir, const char *layers, int workspace, int devices) {
  static int trees[MAX_BUILD_LAYERS];
  static struct system_dir dirs[SYSTEM_DIRS];
  const char *lost;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail("cannot make mounts private: %m");
  /* Still by the host's root's file permissions: the store may lie where only he may look. */
  int count = root_take_layers(layers_dir, layers, trees);
  if (count < 0) fail("cannot take a layer into the build: %m");
  if ((lost = root_take_system(dirs))) fail("cannot take %s into the build: %m", lost);
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    fail("cannot become the build's root: %m");
  umask(022);
  if (mount("tmpfs", ROOT_PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=2048") < 0)
    fail("cannot mount the build's root: %m");
  if ((lost = root_place_system(dirs))) fail("cannot place %s: %m", lost);
  root_place_layers(layers, trees, count);
  root_make_dir(ROOT_PLACE "/build");
  /* Set-id and device files may be made here, as an image may hold them; no_new_privs and the user namespace make
   * neither of any use. */
  root_place_tree(workspace, ROOT_PLACE "/build", 0);
  static const char *const links[] = {"etc", "var", "run", "tmp"};
  for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
    char target[32], path[32];
    snprintf(target, sizeof(target), "build/%s", links[i]);
    snprintf(path, sizeof(path), ROOT_PLACE "/%s", links[i]);
    root_make_link(target, path);
  }
  root_place_devices(devices);
  if (mount("tmpfs", ROOT_PLACE "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m,nr_inodes=4096") < 0)
    fail("cannot mount /dev/shm: %m");
  root_make_dir(ROOT_PLACE "/sys"); /* empty; the builder binds it into every RUN */
  root_make_dir(ROOT_PLACE "/proc");
  /* Before the old root goes: a new proc may only be mounted where an unmasked one is visible. */
  if (mount("proc", ROOT_PLACE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    fail("cannot mount the build's /proc (is /proc masked, as in an unprivileged container?): %m");
  root_pivot(ROOT_PLACE);
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
    fail("cannot make the build's root read-only: %m");
}

/* ---- what it gives up ---- */

/* What a builder needs to lay out images and to run commands in them. It is all within the user namespace; what is
 * left out are doors into parts of the kernel that no build needs, such as packet filters. */
static const int kept_capabilities[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                        CAP_FSETID, CAP_KILL,         CAP_SETGID,          CAP_SETUID,
                                        CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_SYS_ADMIN,
                                        CAP_MKNOD,  CAP_SETFCAP};

static bool keeps(int capability) {
  for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(kept_capabilities[0]); i++)
    if (kept_capabilities[i] == capability) return true;
  return false;
}

static void set_limit(int resource, rlim_t value) {
  struct rlimit limit = {value, value};
  if (setrlimit((__rlimit_resource_t)resource, &limit) < 0) fail("cannot set a resource limit: %m");
}

static void raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) fail("cannot raise the loopback interface: %m");
  close(fd);
}

static void give_up_privileges(const struct filter *filter) {
  /* Its own cgroup as the root: no names of the host. What is mounted from there belongs to the host's root. */
  if (unshare(CLONE_NEWCGROUP) < 0) fail("cannot make a cgroup namespace: %m");
  raise_loopback(); /* needs CAP_NET_ADMIN */
  if (sethostname("build", 5) < 0) fail("cannot set the host name: %m");
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_FSIZE, build.limits.disk_bytes);
  set_limit(RLIMIT_NOFILE, 4096);
  /* On the account of the namespace's owner too, who is the host's root. */
  set_limit(RLIMIT_SIGPENDING, 1024);
  set_limit(RLIMIT_MEMLOCK, 0);
  set_limit(RLIMIT_MSGQUEUE, 0);
  set_limit(RLIMIT_NICE, 0);
  set_limit(RLIMIT_RTPRIO, 0);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
    if (!keeps(capability) && prctl(PR_CAPBSET_DROP, capability) < 0) fail("cannot drop a capability: %m");
  /* We alone hold more than the bounding set, and execute nothing. */
  if (prctl(PR_SET_DUMPABLE, 0) < 0) fail("cannot become undumpable: %m");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("cannot set no_new_privs: %m");
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) fail("cannot load the seccomp filter: %m");
}

/* ---- how it ends ---- */

/* Ends every process of the build but us: what a RUN left behind must not see the next command. */
static void end_others(void) {
  kill(-1, SIGKILL);
  for (;;)
    if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD) return;
}

static void report_and_end(enum build_cause cause, int status) __attribute__((noreturn));
static void report_and_end(enum build_cause cause, int status) {
  end_others();
  struct build_report report = {.cause = cause,
                                .command = build.command,
                                .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                                .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                                .oom_kills = cgroup_zone_oom_kills(&build.cgroup),
                                .pids_refused = cgroup_zone_pids_refused(&build.cgroup)};
  /* Now the disk grows no more, and the alarm ends our patience. */
  if (write_all(build.connection, build.outbox.data + build.outbox.start, build.outbox.length) < 0) _exit(0);
  frame_send(build.connection, FRAME_DONE, 0, &report, sizeof(report), NULL, 0);
  _exit(0);
}

/* The worker does not read any more, or what we wait for never comes. */
static void on_alarm(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  /* An init hears what it has a handler for, from inside too; an alarm is the kernel's. */
  if (info->si_code == SI_KERNEL) _exit(1);
}

static void watch_alarm(void) {
  struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
}

/* ---- its commands ---- */

struct command {
  char **argv;
  int in;                  /* -1: /dev/null */
  enum frame_type out;     /* how its stdout travels */
};

static void execute(const struct command *command, int out, int err) __attribute__((noreturn));
static void execute(const struct command *command, int out, int err) {
  /* Whoever is to be ended for want of memory, it is not our parent. Going up is always allowed. */
  write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "500");
  int in = command->in >= 0 ? command->in : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  syscall(SYS_close_range, 3, ~0u, 0);
  setsid();
  char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/build", "TMPDIR=/build/tmp",
                         "XDG_RUNTIME_DIR=/build/run", "LANG=C.UTF-8", NULL};
  execve(command->argv[0], command->argv, environment);
  dprintf(2, "cannot execute %s: %s\n", command->argv[0], strerror(errno));
  _exit(127);
}

/* Reads a pipe once; false at its end. What it brings waits in the outbox, so that a worker who does not read stops
 * the pipes and never us. */
static bool forward(int fd, enum frame_type type) {
  static char bytes[65536];
  ssize_t got = read(fd, bytes, sizeof(bytes));
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  uint8_t head[9] = {0};
  uint32_t rest = (uint32_t)(5 + got);
  memcpy(head, &rest, 4);
  head[4] = (uint8_t)type;
  buffer_append(&build.outbox, head, sizeof(head));
  buffer_append(&build.outbox, bytes, (size_t)got);
  return true;
}

static void send_outbox(void) {
  if (build.outbox.length == 0) return;
  ssize_t sent = send(build.connection, build.outbox.data + build.outbox.start, build.outbox.length,
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) _exit(0);
  if (sent > 0) buffer_drop_front(&build.outbox, (size_t)sent);
}

/* Runs it to its end. Anything but exit code 0, and any cap that is passed, ends the build. */
static void run(const struct command *command) {
  int out[2] = {-1, -1}, err[2];
  build.command++;
  if (pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0) fail("cannot make a pipe: %m");
  /* One pipe for both, where both are for people to read: their order is kept. */
  bool apart = command->out != FRAME_STDOUT;
  if (apart && pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) fail("cannot make a pipe: %m");
  pid_t pid = fork();
  if (pid == 0) {
    /* Programs do not expect a non-blocking stdout. */
    if (apart) fcntl(out[1], F_SETFL, 0);
    fcntl(err[1], F_SETFL, 0);
    execute(command, apart ? out[1] : err[1], err[1]);
  }
  if (pid < 0) fail("cannot fork: %m");
  if (apart) close(out[1]);
  close(err[1]);
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0) fail("cannot watch a command: %m");
  bool ended = false;
  int status = 0;
  while (!ended || out[0] >= 0 || err[0] >= 0 || build.outbox.length > 0) {
    bool full = build.outbox.length > 0;
    struct pollfd events[5] = {{.fd = build.connection, .events = full ? POLLOUT : 0}, /* hang-up is always told */
                               {.fd = build.alive},
                               {.fd = ended ? -1 : pidfd, .events = POLLIN},
                               {.fd = full ? -1 : out[0], .events = POLLIN},
                               {.fd = full ? -1 : err[0], .events = POLLIN}};
    if (poll(events, 5, BUILD_DISK_CHECK_MS) < 0 && errno != EINTR) fail("cannot poll: %m");
    /* Whoever wanted the build is gone, or the launcher is: all of it goes with us. */
    if ((events[0].revents & (POLLHUP | POLLERR)) || events[1].revents) _exit(0);
    if (events[2].revents) {
      while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
      ended = true;
      end_others(); /* who may hold the pipes open */
    }
    send_outbox();
    if (events[3].revents && !forward(out[0], command->out)) {
      close(out[0]);
      out[0] = -1;
    }
    if (events[4].revents && !forward(err[0], FRAME_STDOUT)) {
      close(err[0]);
      err[0] = -1;
    }
    /* Orphans are ours to reap. */
    siginfo_t orphan = {0};
    while (!ended && waitid(P_ALL, 0, &orphan, WEXITED | WNOHANG | WNOWAIT) == 0 && orphan.si_pid != 0 &&
           orphan.si_pid != pid) {
      waitpid(orphan.si_pid, NULL, WNOHANG);
      orphan.si_pid = 0;
    }
    if (now_usec() > build.deadline) report_and_end(BUILD_WALL, 0);
    enum build_cause disk = build_disk_state(false);
    if (disk != BUILD_EXITED) report_and_end(disk, 0);
  }
  close(pidfd);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  /* A builder that could not write says so in many ways. */
  report_and_end(build_disk_state(true), status);
}

/* Strings, each with its NUL; an empty one ends a command. The worker wrote the file, and nobody else has run yet. */
static void run_commands(void) {
  static char text[MAX_COMMANDS_SIZE + 1];
  static char *argv[MAX_ARGUMENTS + 1];
  char *at = text;
  int fd = open("/build/commands", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  size_t length = 0;
  for (ssize_t got; fd >= 0 && (got = read(fd, text + length, sizeof(text) - length)) > 0;) length += (size_t)got;
  if (length == 0 || length > MAX_COMMANDS_SIZE) fail("the build has no list of commands");
  close(fd);
  for (;;) {
    const char *wrong = request_read_command(&at, text + length, argv);
    if (wrong) fail("the build's list of commands is malformed: %s", wrong);
    if (!argv[0]) return;
    run(&(struct command){.argv = argv, .in = -1, .out = FRAME_STDOUT});
  }
}

void build_main(const struct build_start *start) {
  char go;
  build.limits = start->limits;
  build.connection = start->connection;
  build.alive = start->alive;
  build.cgroup = start->cgroup;
  if (read(start->mapped, &go, 1) != 1) _exit(1); /* the launcher could not write our maps, and has said so */
  int kept[5 + MAX_CGROUP_DIRS] = {start->connection, start->alive, start->workspace, start->mapped, start->devices};
  for (int i = 0; i < start->cgroup.layout.count; i++) kept[5 + i] = start->cgroup.dir[i];
  if (descriptors_keep(kept, 5 + start->cgroup.layout.count) < 0) fail("cannot let go of the launcher: %m");
  prctl(PR_SET_NAME, "build");
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_DFL); /* the launcher ignores it, and every program would inherit that */
  watch_alarm();
  alarm(build.limits.wall_ms / 1000 + ALARM_GRACE_SEC);
  build.deadline = now_usec() + (uint64_t)build.limits.wall_ms * 1000;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  enter_root(start->layers_dir, start->layers, start->workspace, start->devices);
  build_disk_begin(&build.limits);
  start->hide_command_line();
  give_up_privileges(start->filter);
  if (frame_send(build.connection, FRAME_READY, 0, NULL, 0, NULL, 0) < 0) _exit(0);
  static char *unpack[] = {"/bin/tar", "-x", "-p", "-f", "-", "-C", "/build", NULL};
  static char *pack[] = {"/bin/tar", "-c", "-f", "-", "-C", "/build/out", ".", NULL};
  run(&(struct command){.argv = unpack, .in = build.connection, .out = FRAME_STDOUT});
  run_commands();
  run(&(struct command){.argv = pack, .in = -1, .out = FRAME_BUILT});
  report_and_end(BUILD_EXITED, 0);
}
