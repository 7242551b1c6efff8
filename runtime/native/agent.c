/*
 * agent.c: pid 1 of a zone. One thread, one epoll. For every sandbox it goes through
 *
 *   BUILDING  the shell is being made            -> ready pipe says so
 *   FORKING   the zygote's child is joining it   -> its result pipe says "P"
 *   PARKED    ready for its one job              -> FRAME_RUN
 *   RUNNING   user code                          -> exit, a cap, FRAME_KILL
 *   DYING     init was killed                    -> init's pidfd: the kernel has ended every process inside
 *   REMOVING  only the cgroup directory is left  -> FRAME_GONE
 *
 * and there is no way back. The worker picks sandbox ids; id % MAX_SANDBOXES is the slot and decides the user id, so
 * two live ids may not share it.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum state { FREE, BUILDING, FORKING, PARKED, RUNNING, DYING, REMOVING };
enum source {
  /* of the zone */
  SOURCE_WORKER, SOURCE_LAUNCHER, SOURCE_ZYGOTE, SOURCE_ZYGOTE_OUTPUT,
  /* of a sandbox */
  SOURCE_READY, SOURCE_INIT, SOURCE_OUTPUT, SOURCE_ERROR, SOURCE_RESULT, SOURCE_JOB, SOURCE_STDIN,
};

/* Forks asked of the zygote and not answered yet, at most: both ends of its socket block when it is full. */
#define MAX_FORKS_ASKED 32
/* A sandbox that is not ready by then never will be, microseconds. */
#define READY_WITHIN 30000000u

struct stream {
  int fd;
  uint64_t kept, cap;
  bool truncated;
};

struct sandbox {
  enum state state;
  uint32_t id;
  bool was_run, exited;
  int status;
  enum end_cause cause;
  struct shell shell;
  struct stream output, error;
  int job_fd, result_fd, stdin_fd;
  struct buffer job, input, result;
  struct run_limits limits;
  uint64_t created_at, run_at, job_sent_at, ended_at, cpu_check_at, buried_at, remove_at;
  bool disk_full, inodes_full;
};

static struct {
  struct zone *zone;
  int epoll, zygote, zygote_output;
  struct buffer inbox;
  struct sandbox sandboxes[MAX_SANDBOXES];
  /* Ids whose shell is ready and whose fork has to wait. One may be dead by the time it comes up. */
  uint32_t waiting[2 * MAX_SANDBOXES];
  uint32_t waiting_first, waiting_count, forks_asked;
  /* Slots in all states but PARKED and DYING, so that timers look at few. */
  uint32_t active[MAX_SANDBOXES];
  uint32_t active_count;
} agent;

static uint32_t slot_of(const struct sandbox *sandbox) { return (uint32_t)(sandbox - agent.sandboxes); }

static struct sandbox *find(uint32_t id) {
  struct sandbox *sandbox = &agent.sandboxes[id % MAX_SANDBOXES];
  return sandbox->state != FREE && sandbox->id == id ? sandbox : NULL;
}

static void watch(int fd, enum source source, uint32_t slot, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = ((uint64_t)slot << 8) | source};
  if (epoll_ctl(agent.epoll, EPOLL_CTL_ADD, fd, &event) < 0 &&
      (errno != EEXIST || epoll_ctl(agent.epoll, EPOLL_CTL_MOD, fd, &event) < 0))
    die("cannot watch a descriptor: %m");
}

/* A shell being built holds copies of our descriptors for a moment, so closing ours does not take it out of the
 * epoll: events of a dead sandbox would reach the next one in its slot. */
static void close_fd(int *fd) {
  if (*fd < 0) return;
  epoll_ctl(agent.epoll, EPOLL_CTL_DEL, *fd, NULL);
  close(*fd);
  *fd = -1;
}

static void tell_worker(enum frame_type type, uint32_t id, const void *head, size_t head_length, const void *body,
                        size_t body_length) {
  /* Blocks when the worker is slow: what we hold for it stays bounded. Gone: so are we. */
  if (frame_send(agent.zone->worker, type, id, head, head_length, body, body_length) < 0) _exit(0);
}

static void activate(struct sandbox *sandbox) {
  for (uint32_t i = 0; i < agent.active_count; i++)
    if (agent.active[i] == slot_of(sandbox)) return;
  agent.active[agent.active_count++] = slot_of(sandbox);
}

/* ---- ending ---- */

static void discard(struct sandbox *sandbox, enum end_cause cause) {
  if (sandbox->state == FREE || sandbox->state >= DYING) return;
  sandbox->cause = cause;
  sandbox->ended_at = now_usec();
  struct statfs disk;
  if (sandbox->state == RUNNING && fstatfs(sandbox->shell.tmpfs, &disk) == 0) {
    sandbox->disk_full = disk.f_bfree == 0;
    sandbox->inodes_full = disk.f_ffree == 0;
  }
  sandbox->state = DYING;
  close_fd(&sandbox->stdin_fd);
  close_fd(&sandbox->job_fd);
  /* Read once more when all is over; until then its hang-up would wake us again and again. */
  if (sandbox->result_fd >= 0) epoll_ctl(agent.epoll, EPOLL_CTL_DEL, sandbox->result_fd, NULL);
  if (syscall(SYS_pidfd_send_signal, sandbox->shell.init_pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
    die("cannot kill a sandbox: %m");
}

static void fail_sandbox(struct sandbox *sandbox, const char *what) {
  char text[512], said[256] = "";
  /* A child that could not join has said why on its stderr. */
  ssize_t got = sandbox->state == FORKING && sandbox->error.fd >= 0 ? read(sandbox->error.fd, said, sizeof(said) - 1) : 0;
  if (got > 0) said[got - (said[got - 1] == '\n')] = '\0';
  int length = snprintf(text, sizeof(text), "%s%s%s", what, got > 0 ? ": " : "", said);
  tell_worker(FRAME_FAILED, sandbox->id, text, (size_t)length, NULL, 0);
  sandbox->was_run = false;
  discard(sandbox, END_KILLED);
}

/* Forwards what is there; false at end of file or when nothing is there yet. */
static bool pump(struct sandbox *sandbox, struct stream *stream, enum frame_type type) {
  static uint8_t chunk[65536];
  if (stream->fd < 0) return false;
  ssize_t got = read(stream->fd, chunk, sizeof(chunk));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    close_fd(&stream->fd);
    return false;
  }
  uint64_t room = stream->cap - stream->kept;
  size_t keep = (uint64_t)got < room ? (size_t)got : (size_t)room;
  if (keep > 0 && sandbox->was_run) tell_worker(type, sandbox->id, chunk, keep, NULL, 0);
  stream->kept += keep;
  if (keep < (size_t)got) {
    stream->truncated = true;
    discard(sandbox, END_OUTPUT);
  }
  return true;
}

static void take_result(struct sandbox *sandbox) {
  static uint8_t chunk[65536];
  for (ssize_t got; sandbox->result_fd >= 0;) {
    got = read(sandbox->result_fd, chunk, sizeof(chunk));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      close_fd(&sandbox->result_fd);
      return;
    }
    if (sandbox->result.length + (size_t)got > MAX_RESULT) {
      close_fd(&sandbox->result_fd);
      discard(sandbox, END_OUTPUT);
      return;
    }
    buffer_append(&sandbox->result, chunk, (size_t)got);
  }
}

static uint32_t since(uint64_t from, uint64_t to) { return from == 0 || to < from ? 0 : (uint32_t)(to - from); }

static void report(struct sandbox *sandbox, uint64_t now) {
  const struct cgroup_zone *cgroup = &agent.zone->cgroup;
  uint64_t memory_now, memory_peak;
  cgroup_sandbox_memory(cgroup, sandbox->id, &memory_now, &memory_peak);
  /* Which of its end and its last output we saw first is chance; the verdict is not. */
  bool truncated = sandbox->output.truncated || sandbox->error.truncated;
  if (sandbox->cause == END_EXITED && truncated) sandbox->cause = END_OUTPUT;
  bool signaled = !sandbox->exited || WIFSIGNALED(sandbox->status);
  struct run_report done = {
      .cause = sandbox->cause,
      .exit_code = signaled ? -1 : WEXITSTATUS(sandbox->status),
      .signal = !signaled ? 0 : sandbox->exited ? WTERMSIG(sandbox->status) : SIGKILL,
      .oom_kills = cgroup_sandbox_oom_kills(cgroup, sandbox->id),
      .pids_refused = cgroup_sandbox_pids_refused(cgroup, sandbox->id),
      .disk_full = sandbox->disk_full,
      .inodes_full = sandbox->inodes_full,
      .stdout_truncated = sandbox->output.truncated,
      .stderr_truncated = sandbox->error.truncated,
      .cpu_usec = cgroup_sandbox_cpu_usec(cgroup, sandbox->id),
      .memory_peak_bytes = memory_peak,
      .start_usec = since(sandbox->run_at, sandbox->job_sent_at ? sandbox->job_sent_at : sandbox->ended_at),
      .run_usec = since(sandbox->job_sent_at, sandbox->ended_at),
      .discard_usec = since(sandbox->ended_at, now),
  };
  tell_worker(FRAME_DONE, sandbox->id, &done, sizeof(done), sandbox->result.data, sandbox->result.length);
}

/* The init is gone, and with it every process: what is in the pipes now is all there will ever be. */
static void bury(struct sandbox *sandbox) {
  siginfo_t info;
  if (waitid(P_PIDFD, (id_t)sandbox->shell.init_pidfd, &info, WEXITED) < 0) die("cannot reap a shell: %m");
  if (sandbox->state != DYING) {
    sandbox->cause = END_EXITED; /* init died unasked: reported as killed by a signal */
    sandbox->ended_at = now_usec();
    if (sandbox->state != RUNNING) tell_worker(FRAME_FAILED, sandbox->id, "the shell died", 14, NULL, 0);
  }
  sandbox->state = DYING;
  while (pump(sandbox, &sandbox->output, FRAME_STDOUT)) continue;
  while (pump(sandbox, &sandbox->error, FRAME_STDERR)) continue;
  take_result(sandbox);
  if (sandbox->was_run) report(sandbox, now_usec());
  close_fd(&sandbox->shell.init_pidfd);
  close_fd(&sandbox->shell.tmpfs);
  close_fd(&sandbox->shell.ready);
  close_fd(&sandbox->output.fd);
  close_fd(&sandbox->error.fd);
  close_fd(&sandbox->job_fd);
  close_fd(&sandbox->result_fd);
  close_fd(&sandbox->stdin_fd);
  buffer_free(&sandbox->job);
  buffer_free(&sandbox->input);
  buffer_free(&sandbox->result);
  sandbox->state = REMOVING;
  sandbox->buried_at = sandbox->remove_at = now_usec();
  activate(sandbox);
}

/* Called after a batch of events, so that a slot is never reused while an old event of it is in hand. */
static void remove_cgroup(struct sandbox *sandbox, uint64_t now) {
  if (now < sandbox->remove_at) return;
  if (cgroup_sandbox_remove(&agent.zone->cgroup, sandbox->id) < 0) {
    sandbox->remove_at = now + 1000;
    if (now - sandbox->buried_at < 5000000) return;
    log_line("oncebox-agent: a cgroup stays busy: s%u", sandbox->id);
  }
  sandbox->state = FREE;
  tell_worker(FRAME_GONE, sandbox->id, NULL, 0, NULL, 0);
}

/* ---- creating ---- */

static void create(uint32_t id, const uint8_t *payload, size_t length) {
  struct sandbox *sandbox = &agent.sandboxes[id % MAX_SANDBOXES];
  char layers[MAX_LAYERS * (LAYER_NAME + 1) + 1];
  const char *failure = NULL;
  if (sandbox->state != FREE || id == 0) die("the worker used a sandbox id twice");
  if (length >= sizeof(layers)) die("the worker sent too many layers");
  memcpy(layers, payload, length);
  layers[length] = '\0';
  if (!layers_are_names(layers)) failure = "a layer's name is no digest";
  *sandbox = (struct sandbox){.id = id, .job_fd = -1, .result_fd = -1, .stdin_fd = -1, .output.fd = -1, .error.fd = -1};
  errno = 0;
  if (!failure && cgroup_sandbox_make(&agent.zone->cgroup, id) < 0) failure = "cannot make the sandbox's cgroup";
  if (!failure && shell_start(layers, FIRST_SANDBOX_ID + slot_of(sandbox), &sandbox->shell) < 0) {
    failure = "cannot start the shell";
    int saved = errno;
    cgroup_sandbox_remove(&agent.zone->cgroup, id);
    errno = saved;
  }
  if (failure) {
    char text[256];
    int size = snprintf(text, sizeof(text), "%s: %s", failure, strerror(errno));
    tell_worker(FRAME_FAILED, id, text, (size_t)size, NULL, 0);
    tell_worker(FRAME_GONE, id, NULL, 0, NULL, 0);
    return;
  }
  sandbox->state = BUILDING;
  sandbox->created_at = now_usec();
  activate(sandbox);
  watch(sandbox->shell.ready, SOURCE_READY, slot_of(sandbox), EPOLLIN);
  watch(sandbox->shell.init_pidfd, SOURCE_INIT, slot_of(sandbox), EPOLLIN);
}

/* One end for us, not blocking, the other for the child; both are closed by whoever holds them in the end. */
static bool make_pipe(int *ours, int *theirs, bool we_write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static int request_fork(struct sandbox *sandbox) {
  int fds[ZFD_CGROUP + MAX_CGROUP_DIRS], count = ZFD_CGROUP;
  for (int i = 0; i < ZFD_CGROUP; i++) fds[i] = -1;
  int result = -1;
  if (make_pipe(&sandbox->stdin_fd, &fds[ZFD_STDIN], true) &&
      make_pipe(&sandbox->output.fd, &fds[ZFD_STDOUT], false) &&
      make_pipe(&sandbox->error.fd, &fds[ZFD_STDERR], false) && make_pipe(&sandbox->job_fd, &fds[ZFD_JOB], true) &&
      make_pipe(&sandbox->result_fd, &fds[ZFD_RESULT], false)) {
    int cgroups = cgroup_sandbox_procs(&agent.zone->cgroup, sandbox->id, fds + ZFD_CGROUP);
    if (cgroups > 0) {
      count += cgroups;
      fds[ZFD_SHELL] = sandbox->shell.init_pidfd;
      struct fork_request request = {sandbox->id, FIRST_SANDBOX_ID + slot_of(sandbox)};
      if (send_fds(agent.zygote, &request, sizeof(request), fds, count) == sizeof(request)) result = 0;
    }
  }
  int saved = errno;
  for (int i = ZFD_STDIN; i < count; i++)
    if (fds[i] >= 0) close(fds[i]);
  errno = saved;
  return result;
}

static void fork_shell(struct sandbox *sandbox) {
  if (request_fork(sandbox) < 0) {
    char text[128];
    snprintf(text, sizeof(text), "cannot ask the zygote for a fork: %m");
    fail_sandbox(sandbox, text);
    return;
  }
  agent.forks_asked++;
  sandbox->state = FORKING;
  watch(sandbox->result_fd, SOURCE_RESULT, slot_of(sandbox), EPOLLIN);
}

static void fork_waiting(void) {
  while (agent.forks_asked < MAX_FORKS_ASKED && agent.waiting_count > 0) {
    struct sandbox *sandbox = find(agent.waiting[agent.waiting_first]);
    agent.waiting_first = (agent.waiting_first + 1) % (2 * MAX_SANDBOXES);
    agent.waiting_count--;
    if (sandbox && sandbox->state == BUILDING) fork_shell(sandbox);
  }
}

static void shell_is_ready(struct sandbox *sandbox) {
  char text[256];
  ssize_t got = read(sandbox->shell.ready, text, sizeof(text) - 1);
  close_fd(&sandbox->shell.ready);
  if (sandbox->state != BUILDING) return;
  text[got > 0 ? got : 0] = '\0';
  if (got != 1 || text[0] != 'R') {
    fail_sandbox(sandbox, got > 0 ? text : "the shell died while it was built");
  } else if (agent.waiting_count == 2 * MAX_SANDBOXES) {
    fail_sandbox(sandbox, "too many sandboxes wait for the zygote");
  } else {
    agent.waiting[(agent.waiting_first + agent.waiting_count++) % (2 * MAX_SANDBOXES)] = sandbox->id;
    fork_waiting();
  }
}

static void child_is_parked(struct sandbox *sandbox) {
  char byte;
  ssize_t got = read(sandbox->result_fd, &byte, 1);
  if (got < 0 && errno == EAGAIN) return;
  if (got != 1 || byte != 'P') {
    fail_sandbox(sandbox, "the zygote's child died while it joined the shell");
    return;
  }
  sandbox->state = PARKED;
  tell_worker(FRAME_READY, sandbox->id, NULL, 0, NULL, 0);
}

/* ---- running ---- */

/* Writes what fits; true when all is written or the reader has closed. */
static bool push(int fd, struct buffer *buffer) {
  while (buffer->length > 0) {
    ssize_t written = write(fd, buffer->data + buffer->start, buffer->length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return false;
    if (written < 0) break;
    buffer_drop_front(buffer, (size_t)written);
  }
  buffer_free(buffer);
  return true;
}

static void send_job(struct sandbox *sandbox) {
  if (sandbox->job_fd < 0) return;
  if (!push(sandbox->job_fd, &sandbox->job)) {
    watch(sandbox->job_fd, SOURCE_JOB, slot_of(sandbox), EPOLLOUT);
    return;
  }
  close_fd(&sandbox->job_fd);
  sandbox->job_sent_at = now_usec();
}

static void send_input(struct sandbox *sandbox) {
  if (sandbox->stdin_fd < 0) return;
  if (push(sandbox->stdin_fd, &sandbox->input)) close_fd(&sandbox->stdin_fd);
  else watch(sandbox->stdin_fd, SOURCE_STDIN, slot_of(sandbox), EPOLLOUT);
}

static void run(struct sandbox *sandbox, const uint8_t *payload, size_t length) {
  uint32_t input_length, job_length;
  if (sandbox->state != PARKED) return; /* it died on the way; the worker is being told */
  if (length < sizeof(struct run_limits) + 4) die("the worker sent a short run request");
  sandbox->run_at = now_usec();
  memcpy(&sandbox->limits, payload, sizeof(struct run_limits));
  payload += sizeof(struct run_limits);
  length -= sizeof(struct run_limits);
  memcpy(&input_length, payload, 4);
  if (input_length > length - 4) die("the worker sent a malformed run request");
  job_length = (uint32_t)(length - 4 - input_length);
  if (cgroup_sandbox_limit(&agent.zone->cgroup, sandbox->id, &sandbox->limits) < 0 ||
      shell_resize(&sandbox->shell, sandbox->limits.disk_bytes, sandbox->limits.disk_inodes) < 0) {
    char text[128];
    snprintf(text, sizeof(text), "cannot set the sandbox's caps: %m");
    fail_sandbox(sandbox, text);
    return;
  }
  sandbox->was_run = true;
  sandbox->state = RUNNING;
  sandbox->output.cap = sandbox->limits.stdout_bytes;
  sandbox->error.cap = sandbox->limits.stderr_bytes;
  sandbox->cpu_check_at = sandbox->run_at + (uint64_t)sandbox->limits.cpu_ms * 1000 / 64;
  buffer_append(&sandbox->input, payload + 4, input_length);
  buffer_append(&sandbox->job, &job_length, 4);
  buffer_append(&sandbox->job, payload + 4 + input_length, job_length);
  activate(sandbox);
  watch(sandbox->output.fd, SOURCE_OUTPUT, slot_of(sandbox), EPOLLIN);
  watch(sandbox->error.fd, SOURCE_ERROR, slot_of(sandbox), EPOLLIN);
  send_job(sandbox);
  send_input(sandbox);
}

static void send_stat(uint32_t id) {
  struct stat_report stat = {0};
  struct sandbox *sandbox = find(id);
  struct statfs disk;
  if (sandbox && sandbox->state < DYING) {
    cgroup_sandbox_memory(&agent.zone->cgroup, id, &stat.memory_bytes, &stat.memory_peak_bytes);
    if (fstatfs(sandbox->shell.tmpfs, &disk) == 0)
      stat.writable_bytes = (uint64_t)(disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
  }
  tell_worker(FRAME_STAT, id, &stat, sizeof(stat), NULL, 0);
}

/* Enforces time, retries removals. Returns milliseconds until it wants to be called again, -1 for never. */
static int check_active(void) {
  uint64_t next = UINT64_MAX, now = now_usec();
  for (uint32_t i = 0; i < agent.active_count;) {
    struct sandbox *sandbox = &agent.sandboxes[agent.active[i]];
    if (sandbox->state == REMOVING) {
      remove_cgroup(sandbox, now);
      if (sandbox->state == REMOVING && sandbox->remove_at < next) next = sandbox->remove_at;
    } else if (sandbox->state == BUILDING || sandbox->state == FORKING) {
      uint64_t ready_by = sandbox->created_at + READY_WITHIN;
      if (now >= ready_by) fail_sandbox(sandbox, "it was not ready in time");
      else if (ready_by < next) next = ready_by;
    } else if (sandbox->state == RUNNING) {
      uint64_t wall_end = sandbox->run_at + (uint64_t)sandbox->limits.wall_ms * 1000;
      if (now >= sandbox->cpu_check_at) {
        uint64_t cap = (uint64_t)sandbox->limits.cpu_ms * 1000;
        uint64_t used = cgroup_sandbox_cpu_usec(&agent.zone->cgroup, sandbox->id);
        if (used >= cap) discard(sandbox, END_CPU);
        /* All cores busy, the rest lasts at least so long; never look more often than every 5 ms. */
        uint64_t cores = sandbox->limits.cpu_milli / 1000 + 1, rest = used < cap ? (cap - used) / cores : 0;
        sandbox->cpu_check_at = now + (rest > 5000 ? rest : 5000);
      }
      if (now >= wall_end) discard(sandbox, END_WALL);
      if (wall_end < next) next = wall_end;
      if (sandbox->cpu_check_at < next) next = sandbox->cpu_check_at;
    }
    if (sandbox->state != FREE && sandbox->state != PARKED && sandbox->state != DYING) i++;
    else agent.active[i] = agent.active[--agent.active_count];
  }
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

/* ---- who talks to us ---- */

static void hear_worker(void) {
  static uint8_t chunk[262144];
  ssize_t got = recv(agent.zone->worker, chunk, sizeof(chunk), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) _exit(0); /* the worker is gone; as init of the zone we take everything with us */
  buffer_append(&agent.inbox, chunk, (size_t)got);
  size_t at = 0;
  while (agent.inbox.length - at >= 9) {
    uint8_t *frame = agent.inbox.data + agent.inbox.start + at;
    uint32_t rest, id;
    memcpy(&rest, frame, 4);
    memcpy(&id, frame + 5, 4);
    if (rest < 5 || rest > MAX_FRAME) die("the worker sent a malformed frame");
    if (agent.inbox.length - at < 4 + (size_t)rest) break;
    struct sandbox *sandbox = find(id);
    switch (frame[4]) {
      case FRAME_CREATE: create(id, frame + 9, rest - 5); break;
      case FRAME_RUN:
        if (sandbox) run(sandbox, frame + 9, rest - 5);
        break;
      case FRAME_KILL:
        if (sandbox) discard(sandbox, END_KILLED);
        break;
      case FRAME_STAT: send_stat(id); break;
      default: die("the worker sent a frame of unknown type %u", frame[4]);
    }
    at += 4 + (size_t)rest;
  }
  if (at > 0) buffer_drop_front(&agent.inbox, at);
}

/* The interpreter's own complaints, such as why it cannot start. Blank lines are its warming up. */
static void hear_zygote_output(void) {
  char text[900];
  ssize_t got = read(agent.zygote_output, text, sizeof(text) - 1);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) close_fd(&agent.zygote_output);
    return;
  }
  text[got] = '\0';
  while (got > 0 && text[got - 1] == '\n') text[--got] = '\0';
  if (got > 0) log_line("oncebox-zygote: %s", text + strspn(text, "\n"));
}

/* False when there is nothing more to hear. */
static bool hear_zygote_once(void) {
  struct zygote_event event;
  ssize_t got = recv(agent.zygote, &event, sizeof(event), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got != sizeof(event)) {
    hear_zygote_output(); /* its last words */
    die("the zygote ended; its zone ends with it");
  }
  if (event.kind == ZYGOTE_READY) {
    tell_worker(FRAME_READY, 0, NULL, 0, NULL, 0);
    return true;
  }
  if (event.kind == ZYGOTE_FORKED || event.kind == ZYGOTE_FORK_FAILED) {
    agent.forks_asked--; /* every request is answered by one of the two */
    fork_waiting();
  }
  struct sandbox *sandbox = find(event.sandbox);
  if (!sandbox) return true;
  if (event.kind == ZYGOTE_FORK_FAILED && sandbox->state == FORKING) {
    char text[128];
    snprintf(text, sizeof(text), "cannot fork the zygote: %s", strerror(event.status));
    fail_sandbox(sandbox, text);
  }
  if (event.kind != ZYGOTE_EXITED) return true;
  sandbox->exited = true;
  sandbox->status = event.status;
  if (sandbox->state == RUNNING) discard(sandbox, END_EXITED);
  else if (sandbox->state < RUNNING) fail_sandbox(sandbox, "the parked process died");
  return true;
}

static void hear_zygote(void) {
  while (hear_zygote_once()) continue;
}

static void hear_result(struct sandbox *sandbox) {
  if (sandbox->state == FORKING) child_is_parked(sandbox);
  else if (sandbox->state == RUNNING) take_result(sandbox);
  else if (sandbox->state == PARKED) fail_sandbox(sandbox, "the parked process spoke out of turn");
}

static void dispatch(const struct epoll_event *event) {
  enum source source = event->data.u64 & 0xff;
  struct sandbox *sandbox = &agent.sandboxes[event->data.u64 >> 8];
  switch (source) {
    case SOURCE_WORKER: hear_worker(); return;
    case SOURCE_LAUNCHER: _exit(0); /* nobody writes to it: it has been closed */
    case SOURCE_ZYGOTE: hear_zygote(); return;
    case SOURCE_ZYGOTE_OUTPUT: hear_zygote_output(); return;
    default: break;
  }
  if (sandbox->state == FREE || sandbox->state == REMOVING) return; /* closed earlier in this batch */
  switch (source) {
    case SOURCE_READY:
      if (sandbox->shell.ready >= 0) shell_is_ready(sandbox);
      break;
    case SOURCE_INIT: bury(sandbox); break;
    case SOURCE_OUTPUT: pump(sandbox, &sandbox->output, FRAME_STDOUT); break;
    case SOURCE_ERROR: pump(sandbox, &sandbox->error, FRAME_STDERR); break;
    case SOURCE_RESULT: hear_result(sandbox); break;
    case SOURCE_JOB:
      if (sandbox->state == RUNNING) send_job(sandbox);
      break;
    case SOURCE_STDIN: send_input(sandbox); break;
    default: break;
  }
}

void agent_main(struct zone *zone) {
  agent.zone = zone;
  agent.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (agent.epoll < 0) die("cannot make an epoll: %m");
  agent.zygote = zone_start_zygote(zone, &agent.zygote_output);
  if (agent.zygote < 0) die("cannot start the zygote: %m");
  watch(zone->worker, SOURCE_WORKER, 0, EPOLLIN);
  watch(zone->launcher, SOURCE_LAUNCHER, 0, EPOLLIN);
  watch(agent.zygote, SOURCE_ZYGOTE, 0, EPOLLIN);
  watch(agent.zygote_output, SOURCE_ZYGOTE_OUTPUT, 0, EPOLLIN);
  for (;;) {
    struct epoll_event events[64];
    int count = epoll_wait(agent.epoll, events, 64, check_active());
    if (count < 0 && errno != EINTR) die("cannot wait for events: %m");
    for (int i = 0; i < count; i++) dispatch(&events[i]);
  }
}
