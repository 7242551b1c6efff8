/*
 * zygote.c: forks a warm interpreter into a shell. Linked into the launcher for exec, and loaded into node and
 * python; it may therefore use nothing but libc.
 *
 * The zygote has what it takes to join shells in its zone and is nothing on the host. The child has no capability, here or
 * there, once enter_sandbox() is through; no code of a user runs before that. Unless the interpreter itself is an
 * image's: then all of this is what it is meant to do, and the zygote's seccomp filter is what holds it.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CHILDREN MAX_SANDBOXES
#define HIGHEST_FD 255 /* of a zygote when it forks; an interpreter at rest has about thirty */
#define MAX_FDS (ZFD_CGROUP + MAX_CGROUP_DIRS)

static struct {
  int job, result; /* of a child: its pipes to the agent */
  ino_t result_pipe; /* user code may have put something else in its place */
  pid_t self;        /* of a child: it may have forked since */
  int lost; /* of a child: errno when it could not enter its working directory */
  char working_dir[MAX_PATH];
  ino_t pipes[HIGHEST_FD + 1]; /* 0: not a pipe */
  int child_ended[2]; /* a pipe from the signal handler to the loop */
  struct sigaction on_child; /* the interpreter's own, for children */
  uint8_t bpf[16384];
  size_t bpf_length;
  struct {
    pid_t pid;
    uint32_t sandbox;
  } children[MAX_CHILDREN];
} zygote;

static void fail(const char *what) {
  char line[256];
  int length = snprintf(line, sizeof(line), "oncebox zygote: cannot %s: %m\n", what);
  if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) _exit(125);
  _exit(125);
}

static ssize_t receive(void *data, size_t length, int *fds, int *count) {
  union {
    char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    struct cmsghdr align;
  } control;
  _Static_assert(CMSG_SPACE(sizeof(int) * MAX_FDS) == CMSG_LEN(sizeof(int) * MAX_FDS), "there is room for one more");
  struct iovec part = {data, length};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
  ssize_t got = recvmsg(ZYGOTE_SOCKET_FD, &message, MSG_CMSG_CLOEXEC);
  *count = 0;
  if (got < 0) return got;
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) fail("receive all of a message");
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      *count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds, CMSG_DATA(header), sizeof(int) * (size_t)*count);
    }
  return got;
}

static void tell(uint32_t kind, uint32_t sandbox, pid_t pid, int status) {
  struct zygote_event event = {.kind = kind, .sandbox = sandbox, .pid = pid, .status = status};
  if (write(ZYGOTE_EVENTS_FD, &event, sizeof(event)) != sizeof(event)) _exit(0); /* the agent is gone */
}

static void empty_bounding_set(void) {
  for (int capability = 0, is_set; (is_set = prctl(PR_CAPBSET_READ, capability)) >= 0; capability++)
    if (is_set && prctl(PR_CAPBSET_DROP, capability) < 0) fail("drop a capability from the bounding set");
}

static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) fail("clear ambient capabilities");
  if (syscall(SYS_capset, &header, none) < 0) fail("drop capabilities");
}

/* While we still may; they guard what cgroups do not count. What the launcher was started with is no part of it. */
static void limit_resources(void) {
  static const struct {
    int resource;
    rlim_t soft, hard;
  } limits[] = {
      {RLIMIT_CORE, 0, 0},
      {RLIMIT_NOFILE, 1024, 4096},
      /* These are on the account of the zone's owner too, who is the host's root: with the host's own limits, one sandbox
       * would take what all others and the host need. */
      {RLIMIT_SIGPENDING, 256, 256},
      {RLIMIT_MEMLOCK, 0, 0},
      {RLIMIT_MSGQUEUE, 0, 0},
      /* No more of the CPU than a cgroup's share, whatever the host grants its users. */
      {RLIMIT_NICE, 0, 0},
      {RLIMIT_RTPRIO, 0, 0},
  };
  for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
    struct rlimit limit = {.rlim_cur = limits[i].soft, .rlim_max = limits[i].hard};
    if (setrlimit(limits[i].resource, &limit) < 0) fail("set a resource limit");
  }
  /* An unlimited stack would turn off the randomisation of addresses in what is executed. Who needs more may have it. */
  struct rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) < 0) fail("ask for a resource limit");
  const rlim_t usual = 8u << 20;
  stack.rlim_cur = stack.rlim_max == RLIM_INFINITY || stack.rlim_max > usual ? usual : stack.rlim_max;
  if (setrlimit(RLIMIT_STACK, &stack) < 0) fail("set a resource limit");
}

/* Which pipe is behind each descriptor of the zygote; what a child finds there later is its own or ours. */
static void note_pipes(void) {
  struct stat file;
  for (int fd = 0; fd <= HIGHEST_FD; fd++)
    zygote.pipes[fd] = fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) ? file.st_ino : 0;
}

/* A pipe that the zygote has not: the child's job and result, and what libuv made anew in its own pthread_atfork()
 * handler, before we got here. */
static bool is_own_pipe(int fd) {
  struct stat file;
  return fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) && file.st_ino != zygote.pipes[fd];
}

/* Nothing that leads back: not the zygote's socket, not the shell's pidfd, not a cgroup, and none of the pipes and
 * event descriptors of the interpreter, at whose other end the zygote and every sibling sit. Their numbers stay
 * taken, by /dev/null, since libuv closes and renews its own by number. */
static void let_go_of_the_zygote(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || zygote.job > HIGHEST_FD || zygote.result > HIGHEST_FD) fail("open /dev/null");
  for (int fd = 3; fd <= HIGHEST_FD; fd++)
    if (fd != null && fcntl(fd, F_GETFD) >= 0 && !is_own_pipe(fd) && dup3(null, fd, O_CLOEXEC) < 0)
      fail("close an inherited descriptor");
  if (syscall(SYS_close_range, HIGHEST_FD + 1, ~0u, 0) < 0) fail("close inherited descriptors");
  close(null);
}

/* The directory is the image's or the caller's choice. So: as the sandbox's user, when no descriptor of the zygote is left
 * that a path through /proc could lead to, and through no link of /proc (CVE-2024-21626). A program that waits is none
 * that failed, so the reason is kept until there is someone to tell. */
static void enter_working_dir(const char *path) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  if (fd >= 0 && fchdir(fd) == 0) {
    close(fd);
    return;
  }
  zygote.lost = errno;
  snprintf(zygote.working_dir, sizeof(zygote.working_dir), "%s", path);
}

/* From "a fork of the zygote" to "a sandboxed process", in the only order that works. */
static void enter_sandbox(const struct fork_request *request, const int *fds, int count) {
  /* The cgroup first: everything the child allocates from here on is on the sandbox's account. The descriptors
   * were opened by the agent, whose permission counts. */
  for (int i = ZFD_CGROUP; i < count; i++)
    if (write(fds[i], "0", 1) != 1) fail("enter the sandbox's cgroup");
  /* A cgroup namespace of its own shows the sandbox its own cgroup as the root: no names of the host. */
  if (unshare(CLONE_NEWCGROUP) < 0) fail("make a cgroup namespace");
  /* The shell's namespaces, all at once; the pid namespace was entered by the fork. Root and working directory
   * become the shell's. */
  if (setns(fds[ZFD_SHELL], CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) fail("join the shell");
  umask(022);
  if (setsid() < 0) fail("start a session");
  for (int i = 0; i < 3; i++)
    if (dup2(fds[ZFD_STDIN + i], i) < 0) fail("set stdio");
  for (int i = ZFD_STDIN; i <= ZFD_STDERR; i++) close(fds[i]);
  /* What a function's initialisation has started and waited for, libuv watches this way. */
  if (sigaction(SIGCHLD, &zygote.on_child, NULL) < 0) fail("put the handler of SIGCHLD back");
  zygote.job = fds[ZFD_JOB];
  zygote.result = fds[ZFD_RESULT];
  zygote.self = getpid();
  struct stat pipe;
  if (fstat(zygote.result, &pipe) < 0) fail("look at the result pipe");
  zygote.result_pipe = pipe.st_ino;
  let_go_of_the_zygote();
  limit_resources();
  /* The bounding set before the capabilities: emptying it needs CAP_SETPCAP. */
  empty_bounding_set();
  gid_t groups[MAX_GROUPS];
  for (uint32_t i = 0; i < request->group_count; i++) groups[i] = request->groups[i];
  if (setgroups(request->group_count, groups) < 0) fail("set the groups");
  if (setresgid(request->gid, request->gid, request->gid) < 0) fail("set the group id");
  if (setresuid(request->uid, request->uid, request->uid) < 0) fail("set the user id");
  drop_capabilities();
  /* A change of ids made /proc/self root's; it is the sandbox's own. */
  if (prctl(PR_SET_DUMPABLE, 1) < 0) fail("become dumpable");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("set no_new_privs");
  enter_working_dir(request->working_dir);
  /* Last: after it, half of the above would be refused. */
  struct sock_fprog program = {.len = (unsigned short)(zygote.bpf_length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)zygote.bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) fail("load the seccomp filter");
}

static void remember_child(pid_t pid, uint32_t sandbox) {
  for (int i = 0; i < MAX_CHILDREN; i++)
    if (zygote.children[i].pid == 0) {
      zygote.children[i].pid = pid;
      zygote.children[i].sandbox = sandbox;
      return;
    }
}

/* A handler and not a signalfd: an interpreter has other threads, and with SIGCHLD blocked in ours alone the kernel
 * would give it to one of those, where it is ignored. */
static void on_child_ended(int number) {
  (void)number;
  int saved = errno;
  ssize_t ignored = write(zygote.child_ended[1], "", 1); /* full: it is readable, which is all we need */
  (void)ignored;
  errno = saved;
}

/* A shell whose init is killed is not gone before its last process is reaped, and that is ours to do: at once. */
static void reap_children(void) {
  char drained[64];
  while (read(zygote.child_ended[0], drained, sizeof(drained)) > 0) continue;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (int i = 0; i < MAX_CHILDREN; i++)
      if (zygote.children[i].pid == pid) {
        zygote.children[i].pid = 0;
        tell(ZYGOTE_EXITED, zygote.children[i].sandbox, pid, status);
        break;
      }
}

/* True in the child. */
static bool fork_into_shell(const struct fork_request *request, int *fds, int count) {
  /* Binds children only: the zygote itself stays where it is. */
  pid_t pid = -1;
  if (setns(fds[ZFD_SHELL], CLONE_NEWPID) == 0) pid = fork();
  if (pid == 0) {
    enter_sandbox(request, fds, count);
    return true;
  }
  int saved = errno;
  if (setns(ZYGOTE_PID_NS_FD, CLONE_NEWPID) < 0) fail("return to the zone's pid namespace");
  for (int i = 0; i < count; i++) close(fds[i]);
  if (pid < 0) {
    tell(ZYGOTE_FORK_FAILED, request->sandbox, 0, saved);
  } else {
    remember_child(pid, request->sandbox);
    tell(ZYGOTE_FORKED, request->sandbox, pid, 0);
  }
  return false;
}

/* glibc's; others have none. */
extern int malloc_trim(size_t keep) __attribute__((weak));

/* Initialisation may have run others; one that still does is in no fork. */
static void refuse_children(void) {
  pid_t pid;
  while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0) continue;
  if (pid == 0) {
    errno = EBUSY;
    fail("serve: initialisation left a child process");
  }
}

void zygote_serve(uint32_t init_usec) {
  /* What the warm-up freed would be copied into every child's page tables, and be taken apart again there. */
  if (malloc_trim) malloc_trim(0);
  for (int fd = ZYGOTE_SOCKET_FD; fd <= ZYGOTE_PID_NS_FD; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (pipe2(zygote.child_ended, O_CLOEXEC | O_NONBLOCK) < 0) fail("make a pipe");
  struct sigaction action = {.sa_handler = on_child_ended, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  refuse_children();
  if (sigaction(SIGCHLD, &action, &zygote.on_child) < 0) fail("watch for children");
  /* A function's initialisation may have blocked it. */
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (sigprocmask(SIG_UNBLOCK, &child, NULL) < 0) fail("let SIGCHLD through");
  int none[MAX_FDS], count;
  ssize_t length = receive(zygote.bpf, sizeof(zygote.bpf), none, &count);
  if (length <= 0) fail("receive the seccomp filter");
  zygote.bpf_length = (size_t)length;
  note_pipes();
  tell(ZYGOTE_READY, 0, getpid(), (int)init_usec);
  for (;;) {
    struct pollfd events[2] = {{.fd = ZYGOTE_SOCKET_FD, .events = POLLIN}, {.fd = zygote.child_ended[0], .events = POLLIN}};
    if (poll(events, 2, -1) < 0 && errno != EINTR) fail("poll");
    if (events[1].revents) reap_children();
    if (!events[0].revents) continue;
    struct fork_request request;
    int fds[MAX_FDS];
    ssize_t got = receive(&request, sizeof(request), fds, &count);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) _exit(0); /* the agent is gone */
    if (fork_request_check(&request, (size_t)got, count)) fail("understand a fork request");
    if (fork_into_shell(&request, fds, count)) return;
  }
}

static bool receive_all(int fd, void *data, size_t length) {
  uint8_t *at = data;
  while (length > 0) {
    ssize_t got = read(fd, at, length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    length -= (size_t)got;
  }
  return true;
}

/* The placeholders of let_go_of_the_zygote(): the interpreter has renewed what it needs by now. */
static void close_placeholders(void) {
  struct stat null, file;
  if (stat("/dev/null", &null) < 0) fail("look at /dev/null");
  for (int fd = 3; fd <= HIGHEST_FD; fd++)
    if (fstat(fd, &file) == 0 && S_ISCHR(file.st_mode) && file.st_rdev == null.st_rdev) close(fd);
}

uint8_t *zygote_wait_job(size_t *length) {
  uint32_t size;
  close_placeholders();
  if (zygote_send_result("P", 1) < 0) _exit(125);
  if (!receive_all(zygote.job, &size, sizeof(size)) || size > MAX_FRAME) _exit(125);
  uint8_t *job = malloc((size_t)size + 1);
  if (!job) fail("find memory for the job");
  if (!receive_all(zygote.job, job, size)) _exit(125);
  job[size] = '\0';
  *length = size;
  close(zygote.job);
  if (zygote.lost != 0) {
    char line[MAX_PATH + 128];
    int said = snprintf(line, sizeof(line), "oncebox: cannot enter the working directory %s: %s\n", zygote.working_dir,
                        strerror(zygote.lost));
    if (said > 0 && write(STDERR_FILENO, line, (size_t)said) < 0) _exit(125);
    _exit(126);
  }
  return job;
}

uint32_t zygote_random(void) {
  uint32_t number = 0;
  if (syscall(SYS_getrandom, &number, sizeof(number), 0) != sizeof(number)) fail("draw a random number");
  return number;
}

void zygote_end(int code) {
  const uint8_t end[2] = {RESULT_END, (uint8_t)code};
  zygote_send_result(end, sizeof(end)); /* Nobody there, or a child of the program: then the exit says it. */
  _exit(code);
}

int zygote_send_result(const void *data, size_t length) {
  const uint8_t *at = data;
  struct stat file;
  if (length == 0) return 0;
  if (getpid() != zygote.self || fstat(zygote.result, &file) < 0 || file.st_ino != zygote.result_pipe) return -1;
  while (length > 0) {
    ssize_t sent = write(zygote.result, at, length);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -1;
    at += sent;
    length -= (size_t)sent;
  }
  return 0;
}
