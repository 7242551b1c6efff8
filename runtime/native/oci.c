/*
 * oci.c: pid 1 of one sandbox that an OCI runtime makes. Theory of operation:
 *
 *   The launcher has cloned it into a user namespace and a cgroup of its own, as it does with a zone. It puts a root
 *   together (oci-root.c) and has the runtime create the container in there, whose stdio are pipes to here. The job is
 *   then written to a file, the runtime starts the container, and pid 1 does what an agent does for its sandboxes: it
 *   forwards output up to its cap, watches wall and CPU time, and reports how it ended.
 *
 * Runtime, container and all that they start are processes below pid 1, so killing those ends everything, whatever state
 * the runtime believes to be in; it is never asked to kill or to delete. It is root of the user namespace, and pid 1 is
 * not: it is undumpable, so nobody in the namespace may trace it, and the kernel drops signals to it from inside. What
 * comes out is believed as little as what an image's own zone says.
 */
#define _GNU_SOURCE
#include "frames.h"
#include "oci.h"
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
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
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SANDBOX OCI_SANDBOX
/* What creating and starting may take each; a parked sandbox may wait as long as it is wanted. */
#define RUNTIME_WITHIN_USEC 30000000u
/* How long a program may seem to be starting before its time counts: it could hold back who says that it runs. */
#define START_WITHIN_USEC 10000000u
/* What a worker may take to read the rest, once all is over. */
#define REPORT_WITHIN_SEC 40u
/* Output that the worker has not taken: above it, the program waits. */
#define OUTBOX_FULL (1u << 20)

enum oci_state { CREATING, CREATED, STARTING, RUNNING };

static struct {
  struct oci_request request;
  const struct filters *filters;
  struct cgroup_zone cgroup;
  int connection, alive, signals, tmpfs, result;
  enum oci_state state;
  pid_t command; /* the runtime's, while it creates or starts; 0: none */
  int said;      /* what that writes to its stderr */
  uint64_t command_until;
  pid_t main;   /* the container's first process, or the sentry of gVisor: its end is the sandbox's */
  bool ended;   /* it has, with this: */
  int status;
  int in, out, err;
  struct buffer inbox, outbox, input;
  bool captures, work_only;
  struct platform_files platform;
  uint64_t stdout_kept, stderr_kept;
  bool stdout_truncated, stderr_truncated;
  uint64_t run_at, started_at, cpu_check_at, disk_look_at;
  struct cgroup_usage before; /* by the runtime, before the program */
  struct disk_use disk;
} oci;

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
  /* A worker that does not read it is not waited for. */
  frame_post(oci.connection, FRAME_FAILED, SANDBOX, text, (size_t)length, NULL, 0);
  die("an OCI sandbox: %s", text);
}

/* ---- what it gives up ---- */

static void raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) fail("cannot raise the loopback interface: %m");
  close(fd);
}

/* Where the launcher may have less, it stays at that. */
static void set_limit(int resource, rlim_t most) {
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)resource, &limit) < 0) fail("cannot read a resource limit: %m");
  if (most > limit.rlim_max) most = limit.rlim_max;
  limit = (struct rlimit){most, most};
  if (setrlimit((__rlimit_resource_t)resource, &limit) < 0) fail("cannot set a resource limit: %m");
}

/* For all that runs in here. What a runtime needs to lay out containers and to become their users is kept; it is all
 * within the user namespace. */
static const int kept_capabilities[] = {CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,    CAP_FSETID,
                                        CAP_KILL,    CAP_SETGID,       CAP_SETUID,          CAP_SETPCAP,   CAP_SYS_CHROOT,
                                        CAP_SYS_ADMIN, CAP_MKNOD,      CAP_SETFCAP,         CAP_SYS_PTRACE};

static void give_up_privileges(void) {
  raise_loopback(); /* needs CAP_NET_ADMIN */
  if (sethostname("sandbox", 7) < 0) fail("cannot set the host name: %m");
  set_limit(RLIMIT_CORE, 0);
  /* gVisor holds several for each file that its program has open. */
  set_limit(RLIMIT_NOFILE, oci.request.runtime == OCI_GVISOR ? 32768 : 4096);
  /* On the account of the namespace's owner too, who is the host's root. */
  set_limit(RLIMIT_SIGPENDING, 1024);
  set_limit(RLIMIT_MEMLOCK, 0);
  set_limit(RLIMIT_MSGQUEUE, 0);
  set_limit(RLIMIT_NICE, 0);
  set_limit(RLIMIT_RTPRIO, 0);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
    bool is_kept = false;
    for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(kept_capabilities[0]); i++)
      is_kept |= kept_capabilities[i] == capability;
    if (!is_kept && prctl(PR_CAPBSET_DROP, capability) < 0) fail("cannot drop a capability: %m");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("cannot set no_new_privs: %m");
  /* We alone hold more than the bounding set, and execute nothing. */
  if (prctl(PR_SET_DUMPABLE, 0) < 0) fail("cannot become undumpable: %m");
}

/* ---- caps ---- */

/* What the runtime has beyond the program's caps. runc is gone once the program runs, but for an init of ours. gVisor's
 * kernel lives with the program: its own memory, its threads, and the processes in which it has the program's. */
static struct run_limits with_overhead(const struct run_limits *limits, bool runs) {
  struct run_limits total = *limits;
  if (oci.request.runtime == OCI_GVISOR) {
    total.memory_bytes += OCI_GVISOR_MEMORY;
    total.pids = limits->pids * OCI_GVISOR_PIDS_EACH + OCI_GVISOR_PIDS;
    if (total.pids > OCI_GVISOR_PIDS_MOST) total.pids = OCI_GVISOR_PIDS_MOST;
  } else if (runs) {
    total.pids += 1;
  } else {
    total.memory_bytes += OCI_RUNC_MEMORY;
    total.pids += OCI_RUNC_PIDS;
  }
  return total;
}

static void limit(bool runs) {
  const struct run_limits total = with_overhead(&oci.request.limits, runs);
  if (cgroup_sandbox_limit(&oci.cgroup, SANDBOX, &total) == 0) return;
  /* v1 refuses a cap that is less than what is in use, and then the one before stays. */
  if (!runs || errno != EBUSY) fail("cannot set the sandbox's caps: %m");
}

/* ---- the runtime ---- */

#define STATE_DIR "/run/oci"
/* A keyring it could not make: the filter refuses those calls, here as in the sandbox. */
static char *const runc_create[] = {"runc", "--root", STATE_DIR, "create", "--no-new-keyring", "--bundle", "/bundle",
                                    "--pid-file", "/run/pid", "sandbox", NULL};
static char *const runc_start[] = {"runc", "--root", STATE_DIR, "start", "sandbox", NULL};
/* Its cgroups are ours, and so is the disk cap: what the program writes goes through to the writable layer, at once. */
#define RUNSC "runsc", "--root", STATE_DIR, "--network=none", "--ignore-cgroups", "--overlay2=none", "--file-access=shared"
static char *const runsc_create[] = {RUNSC, "create", "--bundle", "/bundle", "--pid-file", "/run/pid", "sandbox", NULL};
static char *const runsc_start[] = {RUNSC, "start", "sandbox", NULL};

static void enter_cgroup(bool creates) {
  if (!creates) {
    cgroup_zygote_enter(&oci.cgroup);
    return;
  }
  int fds[MAX_CGROUP_DIRS], count = cgroup_sandbox_procs(&oci.cgroup, SANDBOX, fds);
  if (count < 0) die("cannot open the sandbox's cgroup: %m");
  for (int i = 0; i < count; i++)
    if (write(fds[i], "0", 1) != 1) die("cannot enter the sandbox's cgroup: %m");
}

/* What it creates stays where it was created: in the sandbox's cgroup. What starts it does not belong there. */
static void execute(char *const *argv, int in, int out, int err, bool creates) __attribute__((noreturn));
static void execute(char *const *argv, int in, int out, int err, bool creates) {
  static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/run", "TMPDIR=/tmp", "LANG=C.UTF-8", NULL};
  const struct filter *filter = oci.request.runtime == OCI_RUNC ? &oci.filters->build : &oci.filters->runtime;
  struct sock_fprog program = {.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter->bpf};
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  enter_cgroup(creates);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  syscall(SYS_close_range, 3, ~0u, 0);
  setsid();
  if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) die("cannot become the runtime's user: %m");
  /* Ours were for pid 1: a runtime counts on losing its capabilities with its ids. */
  if (prctl(PR_SET_SECUREBITS, 0) < 0) die("cannot clear the secure bits: %m");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) die("cannot load the runtime's seccomp filter: %m");
  execve("/runtime", argv, environment);
  die("cannot execute the runtime: %m");
}

static void make_pipe(int ends[2], int ours) {
  if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0) fail("cannot make a pipe: %m");
}

static void begin(pid_t pid) {
  if (pid < 0) fail("cannot fork: %m");
  oci.command = pid;
  oci.command_until = now_usec() + RUNTIME_WITHIN_USEC;
}

/* Its stdio is the program's: what the runtime itself has to say of a failure comes out at `err`. */
static void create(void) {
  int in[2], out[2], err[2];
  make_pipe(in, 1);
  make_pipe(out, 0);
  make_pipe(err, 0);
  pid_t pid = fork();
  if (pid == 0) execute(oci.request.runtime == OCI_RUNC ? runc_create : runsc_create, in[0], out[1], err[1], true);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  oci.in = in[1];
  oci.out = out[0];
  oci.said = oci.err = err[0];
  begin(pid);
}

static void start(void) {
  int err[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("cannot open /dev/null: %m");
  make_pipe(err, 0);
  pid_t pid = fork();
  if (pid == 0) execute(oci.request.runtime == OCI_RUNC ? runc_start : runsc_start, null, null, err[1], false);
  close(null);
  close(err[1]);
  oci.said = err[0];
  begin(pid);
}

static void fail_as_said(const char *what) {
  char text[400];
  ssize_t got = read(oci.said, text, sizeof(text) - 1);
  while (got > 0 && text[got - 1] == '\n') got--;
  /* It may name what the image has, and ends up in a log. */
  for (ssize_t i = 0; i < got; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) text[i] = ' ';
  errno = 0;
  if (got > 0) fail("cannot %s the container: %.*s", what, (int)got, text);
  fail("cannot %s the container", what);
}

/* Written by the runtime, before any code of the program's has run. */
static pid_t read_main_pid(void) {
  char text[32];
  return read_file_at(AT_FDCWD, "/run/pid", text, sizeof(text)) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void tell(enum frame_type type, const void *head, size_t head_length, const void *body, size_t body_length) {
  frame_append(&oci.outbox, type, SANDBOX, head, head_length, body, body_length);
}

static void command_ended(int status) {
  bool failed = status != 0;
  oci.command = 0;
  if (oci.state == CREATING) {
    oci.main = read_main_pid();
    if (failed || oci.main <= 1) fail_as_said("create");
    oci.state = CREATED;
    tell(FRAME_READY, NULL, 0, NULL, 0);
    return;
  }
  /* A program that is over by now was started. */
  if (failed && !oci.ended) oci.ended = waitpid(oci.main, &oci.status, WNOHANG | __WALL) == oci.main;
  if (failed && !oci.ended) fail_as_said("start");
  close(oci.said);
  oci.started_at = now_usec();
  oci.state = RUNNING;
  limit(true);
}

/* ---- how it ends ---- */

/* One read of a pipe; returns as read(2) does. What is beyond the cap is cut, and noted. */
static ssize_t pump(int fd, enum frame_type type, uint64_t cap, uint64_t *kept, bool *truncated) {
  static uint8_t chunk[65536];
  ssize_t got = read(fd, chunk, sizeof(chunk));
  if (got <= 0) return got;
  uint64_t room = cap - *kept;
  size_t keep = (uint64_t)got < room ? (size_t)got : (size_t)room;
  if (keep > 0) tell(type, chunk, keep, NULL, 0);
  *kept += keep;
  if (keep < (size_t)got) *truncated = true;
  return got;
}

static ssize_t pump_stdout(void) {
  return pump(oci.out, FRAME_STDOUT, oci.request.limits.stdout_bytes, &oci.stdout_kept, &oci.stdout_truncated);
}

static ssize_t pump_stderr(void) {
  return pump(oci.err, FRAME_STDERR, oci.request.limits.stderr_bytes, &oci.stderr_kept, &oci.stderr_truncated);
}

/* Waits for the worker to take all of it; the alarm ends that. */
static void flush(void) {
  if (write_all(oci.connection, oci.outbox.data + oci.outbox.start, oci.outbox.length) < 0) _exit(0);
  buffer_free(&oci.outbox);
}

/* All but us. They are in our pid namespace or below it, so none is missed, and none outlives us. */
static void end_others(void) {
  int status;
  kill(-1, SIGKILL);
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno != ECHILD;)
    if (pid == oci.main && !oci.ended) {
      oci.ended = true;
      oci.status = status;
    }
}

/* Everyone who could write is dead, so what there is is all; and the first cut ends it too. */
static void take_rest(void) {
  while (oci.out >= 0 && !oci.stdout_truncated && pump_stdout() > 0) flush();
  while (oci.err >= 0 && !oci.stderr_truncated && pump_stderr() > 0) flush();
}

static enum changes_state send_changes(void) {
  static uint8_t chunk[65536];
  uint64_t sent = 0, cap = oci.request.limits.disk_bytes + CHANGES_OVERHEAD, until = now_usec() + CHANGES_WITHIN;
  int pidfd = -1;
  int fd = changes_start(oci.tmpfs, oci.request.spec.layers, oci.request.spec.scratch, oci.work_only, &oci.platform,
                         &oci.filters->sandbox, cap, &pidfd);
  if (fd < 0) return CHANGES_CUT;
  for (uint64_t now; (now = now_usec()) < until && sent <= cap;) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, (int)((until - now) / 1000) + 1) <= 0) continue;
    ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) break;
    sent += (uint64_t)got;
    if (sent > cap) break;
    tell(FRAME_CHANGES, chunk, (size_t)got, NULL, 0);
    flush();
  }
  close(fd);
  /* Whoever writes on ends with an error; who does not write gets this. */
  if (now_usec() >= until) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  siginfo_t info = {0};
  if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) return CHANGES_CUT;
  close(pidfd);
  return info.si_code == CLD_EXITED && info.si_status == 0 && sent <= cap ? CHANGES_COMPLETE : CHANGES_CUT;
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

static uint32_t since(uint64_t from, uint64_t to) { return from == 0 || to < from ? 0 : (uint32_t)(to - from); }

/* What the container's first process was reported to have ended with is what the program did, unless that process was
 * killed: then the sandbox was. */
static struct oci_end program_end(void) {
  struct oci_end end = {.exit_code = -1, .signal = SIGKILL};
  if (!oci.ended || WIFSIGNALED(oci.status)) return end;
  end = (struct oci_end){.exit_code = WEXITSTATUS(oci.status)};
  oci_result_end(oci.result, end.exit_code, &end);
  return end;
}

static uint64_t since_before(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

static void report_and_end(enum end_cause cause) __attribute__((noreturn));
static void report_and_end(enum end_cause cause) {
  /* A program can be over before the runtime says that it runs: then all of it was the run. */
  uint64_t ended_at = now_usec(), started_at = oci.started_at ? oci.started_at : cause == END_DISK ? ended_at : oci.run_at;
  bool result_too_large = false;
  disk_look(oci.tmpfs, &oci.disk);
  struct buffer result = {0};
  watch_alarm();
  alarm(REPORT_WITHIN_SEC + (oci.captures ? CHANGES_WITHIN / 1000000u : 0));
  end_others();
  take_rest();
  oci_result_read(oci.result, &result, MAX_RESULT, &result_too_large);
  enum changes_state changes = oci.captures ? send_changes() : CHANGES_NONE;
  if (cause == END_EXITED && (oci.stdout_truncated || oci.stderr_truncated || result_too_large)) cause = END_OUTPUT;
  if (result_too_large) buffer_free(&result);
  struct oci_end end = program_end();
  /* Of a program that ended well nobody asks what it was refused. */
  bool failed = cause != END_EXITED || end.exit_code != 0;
  struct cgroup_usage usage;
  cgroup_sandbox_usage(&oci.cgroup, SANDBOX, oci.request.limits.cpu_milli, &usage);
  struct run_report report = {
      .cause = cause,
      .exit_code = end.exit_code,
      .signal = end.signal,
      .oom_kills = failed ? cgroup_sandbox_oom_kills(&oci.cgroup, SANDBOX) : 0,
      .pids_refused = failed ? cgroup_sandbox_pids_refused(&oci.cgroup, SANDBOX) + end.pids_refused : 0,
      .disk_full = oci.disk.was_full,
      .inodes_full = oci.disk.inodes_were_full,
      .stdout_truncated = oci.stdout_truncated,
      .stderr_truncated = oci.stderr_truncated,
      .cpu_usec = since_before(oci.before.cpu_usec, usage.cpu_usec),
      .memory_peak_bytes = usage.memory_peak_bytes,
      .start_usec = since(oci.run_at, started_at),
      .run_usec = since(started_at, ended_at),
      .changes = (uint8_t)changes,
      .cpu_user_usec = since_before(oci.before.cpu_user_usec, usage.cpu_user_usec),
      .cpu_system_usec = since_before(oci.before.cpu_system_usec, usage.cpu_system_usec),
      .throttled_usec = since_before(oci.before.throttled_usec, usage.throttled_usec),
      .disk_peak_bytes = oci.disk.peak_bytes,
      .disk_peak_inodes = oci.disk.peak_inodes,
      .cpu_pressure_usec = since_before(oci.before.cpu_pressure_usec, usage.cpu_pressure_usec),
      .memory_pressure_usec = since_before(oci.before.memory_pressure_usec, usage.memory_pressure_usec),
      .io_pressure_usec = since_before(oci.before.io_pressure_usec, usage.io_pressure_usec),
      /* How many there were at once says more of the runtime, whose threads come and go in there. */
      .known = usage.knows_pressure ? KNOWN_PRESSURE : 0,
  };
  tell(FRAME_DONE, &report, sizeof(report), result.data, result.length);
  flush();
  _exit(0);
}

/* ---- the worker's frames ---- */

static void write_job(const uint8_t *job, size_t length) {
  int fd = open(OCI_JOB "/job", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0 || write_all(fd, job, length) < 0) fail("cannot write the job: %m");
  close(fd);
}

/* What native sandboxes have, for the program's init to load. gVisor's programs do not reach the host's kernel. */
static void write_filter(void) {
  const struct filter *filter = &oci.filters->sandbox;
  if (oci.request.runtime == OCI_GVISOR) return;
  int fd = open(OCI_JOB "/filter", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0 || write_all(fd, filter->bpf, filter->length) < 0) fail("cannot write the seccomp filter: %m");
  close(fd);
}

/* As agent-run.c has it. Its caps are those that the sandbox was made with. */
static void run(const uint8_t *payload, size_t length) {
  struct run_request request;
  const struct sandbox_spec *spec = &oci.request.spec;
  if (oci.state != CREATED) die("the worker sent a run request out of place");
  const char *wrong = frame_read_run(payload, length, &request);
  if (!wrong && request.interactive) wrong = "this isolation takes no input while it runs";
  if (wrong) die("the worker sent a malformed run request: %s", wrong);
  oci.run_at = now_usec();
  cgroup_sandbox_usage(&oci.cgroup, SANDBOX, oci.request.limits.cpu_milli, &oci.before);
  if (request.secrets && secrets_write(oci.tmpfs, &request, spec->uid, spec->gid) < 0) {
    if (errno == ENOSPC) report_and_end(END_DISK);
    fail("cannot write the sandbox's secrets: %m");
  }
  oci.captures = request.changes;
  oci.work_only = request.work_only;
  if (oci.captures) changes_note_platform(oci.tmpfs, &oci.platform);
  buffer_append(&oci.input, request.input, request.input_length);
  write_job(request.job, request.job_length);
  oci.cpu_check_at = oci.run_at + (uint64_t)oci.request.limits.cpu_ms * 1000 / 64;
  oci.state = STARTING;
  start();
}

static void answer_stat(void) {
  struct statfs disk;
  struct stat_report report = {.memory_bytes = cgroup_sandbox_memory(&oci.cgroup, SANDBOX),
                               .memory_peak_bytes = cgroup_sandbox_memory_peak(&oci.cgroup, SANDBOX)};
  if (fstatfs(oci.tmpfs, &disk) == 0)
    report.writable_bytes = (uint64_t)(disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
  tell(FRAME_STAT, &report, sizeof(report), NULL, 0);
}

static void obey(const struct frame *frame) {
  if (frame->sandbox != SANDBOX) die("the worker sent a frame for another sandbox");
  switch (frame->type) {
    case FRAME_RUN: run(frame->payload, frame->length); break;
    case FRAME_STAT: answer_stat(); break;
    case FRAME_KILL:
      if (oci.state >= STARTING) report_and_end(END_KILLED);
      _exit(0);
    default: die("the worker sent a frame of type %u, which is for zones", frame->type);
  }
}

static void hear_worker(void) {
  static uint8_t chunk[65536];
  ssize_t got = recv(oci.connection, chunk, sizeof(chunk), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) _exit(0); /* whoever wanted the sandbox is gone: all of it goes with us */
  buffer_append(&oci.inbox, chunk, (size_t)got);
  explicit_bzero(chunk, (size_t)got); /* as buffers do */
  for (size_t size = 1; size > 0; buffer_drop_front(&oci.inbox, size)) {
    struct frame frame;
    const char *wrong = frame_next(oci.inbox.data + oci.inbox.start, oci.inbox.length, &frame, &size);
    if (wrong) die("the worker sent what is no frame: %s", wrong);
    if (size > 0) obey(&frame);
  }
}

/* ---- watching ---- */

static void reap(void) {
  struct signalfd_siginfo ignored;
  int status;
  while (read(oci.signals, &ignored, sizeof(ignored)) > 0) continue;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
    if (pid == oci.main) {
      oci.ended = true;
      oci.status = status;
    } else if (pid == oci.command) {
      command_ended(status);
    }
  }
}

static void send_outbox(void) {
  if (oci.outbox.length == 0) return;
  ssize_t sent = send(oci.connection, oci.outbox.data + oci.outbox.start, oci.outbox.length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) _exit(0);
  if (sent > 0) buffer_drop_front(&oci.outbox, (size_t)sent);
}

static void send_input(void) {
  while (oci.in >= 0 && oci.input.length > 0) {
    ssize_t written = write(oci.in, oci.input.data + oci.input.start, oci.input.length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0) break; /* nobody reads it */
    buffer_drop_front(&oci.input, (size_t)written);
  }
  if (oci.in >= 0) close(oci.in);
  oci.in = -1;
  buffer_free(&oci.input);
}

/* Ends it where a cap has passed, and returns when to look again at the latest. */
static uint64_t check_time(uint64_t now) {
  const struct run_limits *limits = &oci.request.limits;
  if (oci.command != 0) {
    if (now >= oci.command_until) fail("the runtime did not %s the container in time", oci.state == CREATING ? "create" : "start");
    if (oci.state != STARTING) return oci.command_until;
  }
  if (oci.state < STARTING) return now + 1000000;
  /* The time of a program that is being started has not begun: its start is when the runtime says so. */
  uint64_t wall_end = (oci.started_at ? oci.started_at : oci.run_at + START_WITHIN_USEC) + (uint64_t)limits->wall_ms * 1000;
  if (now >= oci.disk_look_at) oci.disk_look_at = disk_look(oci.tmpfs, &oci.disk);
  if (now >= oci.cpu_check_at) {
    uint64_t cap = (uint64_t)limits->cpu_ms * 1000, used = cgroup_sandbox_cpu_usec(&oci.cgroup, SANDBOX) - oci.before.cpu_usec;
    if (used >= cap) report_and_end(END_CPU);
    /* All cores busy, the rest lasts at least so long; never look more often than every 5 ms. */
    uint64_t cores = limits->cpu_milli / 1000 + 1, rest = (cap - used) / cores;
    oci.cpu_check_at = now + (rest > 5000 ? rest : 5000);
  }
  if (now >= wall_end) report_and_end(END_WALL);
  uint64_t next = wall_end < oci.cpu_check_at ? wall_end : oci.cpu_check_at;
  if (oci.disk_look_at < next) next = oci.disk_look_at;
  return oci.command != 0 && oci.command_until < next ? oci.command_until : next;
}

static void take_output(struct pollfd *out, struct pollfd *err) {
  if (out->revents && pump_stdout() == 0) {
    close(oci.out);
    oci.out = -1;
  }
  if (err->revents && pump_stderr() == 0) {
    close(oci.err);
    oci.err = -1;
  }
  if (oci.stdout_truncated || oci.stderr_truncated) report_and_end(END_OUTPUT);
}

static void serve(void) __attribute__((noreturn));
static void serve(void) {
  for (;;) {
    uint64_t now = now_usec(), next = check_time(now);
    bool runs = oci.state >= STARTING, listens = runs && oci.outbox.length < OUTBOX_FULL;
    struct pollfd events[] = {{.fd = oci.connection, .events = (short)(POLLIN | (oci.outbox.length > 0 ? POLLOUT : 0))},
                              {.fd = oci.alive, .events = POLLIN},
                              {.fd = oci.signals, .events = POLLIN},
                              {.fd = listens ? oci.out : -1, .events = POLLIN},
                              {.fd = listens ? oci.err : -1, .events = POLLIN},
                              {.fd = runs ? oci.in : -1, .events = POLLOUT}};
    if (next > now + 60000000) next = now + 60000000;
    if (poll(events, 6, next > now ? (int)((next - now) / 1000) + 1 : 0) < 0 && errno != EINTR) fail("cannot poll: %m");
    /* Whoever wanted the sandbox is gone, or the launcher is: all of it goes with us. */
    if ((events[0].revents & (POLLHUP | POLLERR)) || events[1].revents) _exit(0);
    if (events[5].revents) send_input();
    take_output(&events[3], &events[4]);
    if (events[2].revents) reap();
    if (oci.ended && runs) report_and_end(END_EXITED);
    if (oci.ended) fail("the container ended before it was started");
    if (events[0].revents & POLLIN) hear_worker();
    send_outbox();
  }
}

static void watch_children(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  oci.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (oci.signals < 0) fail("cannot watch children: %m");
}

void oci_main(const struct oci_start *start_request) {
  char go;
  oci.request = start_request->request;
  oci.filters = start_request->filters;
  oci.connection = start_request->connection;
  oci.alive = start_request->alive;
  oci.cgroup = start_request->cgroup;
  oci.in = oci.out = oci.err = -1;
  if (read(start_request->mapped, &go, 1) != 1) _exit(1); /* the launcher could not write our maps, and has said so */
  int kept[3 + MAX_CGROUP_DIRS] = {oci.connection, oci.alive, start_request->devices};
  for (int i = 0; i < oci.cgroup.layout.count; i++) kept[3 + i] = oci.cgroup.dir[i];
  if (descriptors_keep(kept, 3 + oci.cgroup.layout.count) < 0) fail("cannot let go of the launcher: %m");
  prctl(PR_SET_NAME, "oci");
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_DFL); /* the launcher ignores it, and every program would inherit that */
  watch_children();
  oci.tmpfs = oci_root_enter(start_request, fail);
  start_request->hide_command_line();
  oci.result = open(OCI_RESULT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (oci.result < 0) fail("cannot open the result's directory: %m");
  if (cgroup_sandbox_make(&oci.cgroup, SANDBOX) < 0) fail("cannot make the sandbox's cgroup: %m");
  limit(false);
  write_filter();
  give_up_privileges();
  create();
  serve();
}
