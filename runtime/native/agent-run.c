/* agent-run.c: the run itself: what goes in, what comes out, and how long it may take. */
#define _GNU_SOURCE
#include "agent.h"
#include "frames.h"
#include "secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum pushed { PUSHED_SOME, PUSHED_ALL, PUSHED_TO_NOBODY };

/* Writes what fits, without waiting. Who has closed it gets nothing, and nothing is kept for him. */
static enum pushed push(int fd, struct buffer *buffer) {
  while (buffer->length > 0) {
    ssize_t written = write(fd, buffer->data + buffer->start, buffer->length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return PUSHED_SOME;
    if (written < 0) {
      buffer_free(buffer);
      return PUSHED_TO_NOBODY;
    }
    buffer_drop_front(buffer, (size_t)written);
  }
  buffer_free(buffer);
  return PUSHED_ALL;
}

void sandbox_send_job(struct sandbox *sandbox) {
  if (sandbox->job_fd < 0) return;
  /* Before the write that completes it: the program may run before we do again. */
  uint64_t now = now_usec();
  if (push(sandbox->job_fd, &sandbox->job) == PUSHED_SOME) {
    agent_watch(sandbox->job_fd, SOURCE_JOB, agent_slot_of(sandbox), EPOLLOUT);
    return;
  }
  agent_close(&sandbox->job_fd);
  sandbox->job_sent_at = now;
}

/* What has come while it runs lies behind what it was given at first. */
static void tell_input_taken(struct sandbox *sandbox) {
  uint32_t left = sandbox->input.length < sandbox->input_untaken ? (uint32_t)sandbox->input.length : sandbox->input_untaken;
  const struct input_taken taken = {.bytes = sandbox->input_untaken - left};
  sandbox->input_untaken = left;
  if (taken.bytes > 0) agent_tell(FRAME_INPUT_TAKEN, sandbox->id, &taken, sizeof(taken), NULL, 0);
}

void sandbox_send_input(struct sandbox *sandbox) {
  if (sandbox->stdin_fd < 0) return;
  enum pushed pushed = push(sandbox->stdin_fd, &sandbox->input);
  tell_input_taken(sandbox);
  if (pushed == PUSHED_SOME) agent_watch(sandbox->stdin_fd, SOURCE_STDIN, agent_slot_of(sandbox), EPOLLOUT);
  /* There is room now and nothing to write: watched, it would wake us again and again. */
  else if (pushed == PUSHED_ALL && sandbox->input_open) epoll_ctl(agent.epoll, EPOLL_CTL_DEL, sandbox->stdin_fd, NULL);
  else agent_close(&sandbox->stdin_fd);
}

/* NULL: it is to be obeyed, or comes too late, and then `sandbox` is not RUNNING. */
static const char *why_no_input(const struct sandbox *sandbox, bool is_open) {
  if (sandbox->state >= DYING) return NULL; /* it ended on the way; the worker is being told */
  if (sandbox->state != RUNNING) return "input came before the run";
  return is_open ? NULL : "input came for a run that takes none";
}

void sandbox_take_input(struct sandbox *sandbox, const uint8_t *bytes, size_t length) {
  const char *wrong = why_no_input(sandbox, sandbox->input_open);
  if (!wrong && sandbox->state == RUNNING && length > STDIN_WINDOW - sandbox->input_untaken) wrong = "more stdin came than was asked for";
  if (wrong) sandbox_fail(sandbox, wrong);
  if (sandbox->state != RUNNING) return;
  sandbox->input_untaken += (uint32_t)length;
  if (sandbox->stdin_fd < 0) { /* the program has closed it */
    tell_input_taken(sandbox);
    return;
  }
  buffer_append(&sandbox->input, bytes, length);
  sandbox_send_input(sandbox);
}

void sandbox_end_input(struct sandbox *sandbox) {
  const char *wrong = why_no_input(sandbox, sandbox->input_open);
  if (wrong) sandbox_fail(sandbox, wrong);
  if (sandbox->state != RUNNING) return;
  sandbox->input_open = false;
  sandbox_send_input(sandbox);
}

void sandbox_signal(struct sandbox *sandbox, const uint8_t *payload, size_t length) {
  int number = 0;
  const char *wrong = why_no_input(sandbox, sandbox->program_pidfd >= 0);
  if (!wrong) wrong = frame_read_signal(payload, length, &number);
  if (wrong) sandbox_fail(sandbox, wrong);
  if (sandbox->state != RUNNING) return;
  if (syscall(SYS_pidfd_send_signal, sandbox->program_pidfd, number, NULL, 0) < 0 && errno != ESRCH) {
    char text[128];
    snprintf(text, sizeof(text), "cannot signal the program: %m");
    sandbox_fail(sandbox, text);
    return;
  }
  const struct input_taken taken = {.signals = 1};
  agent_tell(FRAME_INPUT_TAKEN, sandbox->id, &taken, sizeof(taken), NULL, 0);
}

bool sandbox_limit(struct sandbox *sandbox, const struct run_limits *limits) {
  const struct run_limits *now = &sandbox->limits;
  bool same_cgroup = now->memory_bytes == limits->memory_bytes && now->pids == limits->pids && now->cpu_milli == limits->cpu_milli;
  bool same_disk = now->disk_bytes == limits->disk_bytes && now->disk_inodes == limits->disk_inodes;
  if (!same_cgroup && cgroup_sandbox_limit(&agent.zone->cgroup, sandbox->id, limits) < 0) return false;
  if (!same_disk && shell_resize(&sandbox->shell, limits->disk_bytes, limits->disk_inodes) < 0) return false;
  sandbox->limits = *limits;
  return true;
}

void sandbox_run(struct sandbox *sandbox, const uint8_t *payload, size_t length) {
  struct run_request request;
  if (sandbox->state != PARKED) return; /* it died on the way; the worker is being told */
  const char *wrong = frame_read_run(payload, length, &request);
  if (wrong) {
    sandbox_fail(sandbox, wrong);
    return;
  }
  sandbox->run_at = now_usec();
  agent.usual = request.limits;
  if (!sandbox_limit(sandbox, &agent.usual)) {
    char text[128];
    snprintf(text, sizeof(text), "cannot set the sandbox's caps: %m");
    sandbox_fail(sandbox, text);
    return;
  }
  if (request.secrets && secrets_write(sandbox->shell.tmpfs, &request, sandbox->spec.uid, sandbox->spec.gid) < 0) {
    if (errno == ENOSPC) {
      disk_look(sandbox->shell.tmpfs, &sandbox->disk);
      /* Nothing has run: what a fork of a function's zygote may have written is nobody's. */
      agent_close(&sandbox->output.fd);
      agent_close(&sandbox->error.fd);
      sandbox->was_run = true;
      sandbox_discard(sandbox, END_DISK);
      return;
    }
    char text[128];
    snprintf(text, sizeof(text), "cannot write the sandbox's secrets: %m");
    sandbox_fail(sandbox, text);
    return;
  }
  /* Before it has its job nobody else is in there, whatever a zygote says of its children. */
  if (request.interactive && (sandbox->program_pidfd = cgroup_sandbox_open_process(&agent.zone->cgroup, sandbox->id)) < 0) {
    char text[128];
    snprintf(text, sizeof(text), "cannot find the sandbox's one process: %m");
    sandbox_fail(sandbox, text);
    return;
  }
  sandbox->input_open = request.interactive;
  if (request.changes) {
    sandbox->platform = malloc(sizeof(*sandbox->platform));
    if (!sandbox->platform) die("cannot find memory for a run");
    changes_note_platform(sandbox->shell.tmpfs, sandbox->platform);
    sandbox->work_only = request.work_only;
  }
  sandbox->was_run = true;
  sandbox->state = RUNNING;
  sandbox->output.cap = sandbox->limits.stdout_bytes;
  sandbox->error.cap = sandbox->limits.stderr_bytes;
  sandbox->cpu_check_at = sandbox->run_at + (uint64_t)sandbox->limits.cpu_ms * 1000 / 64;
  buffer_append(&sandbox->input, request.input, request.input_length);
  buffer_append(&sandbox->job, &request.job_length, sizeof(request.job_length));
  buffer_append(&sandbox->job, request.job, request.job_length);
  agent_activate(sandbox);
  agent_watch(sandbox->output.fd, SOURCE_OUTPUT, agent_slot_of(sandbox), EPOLLIN);
  agent_watch(sandbox->error.fd, SOURCE_ERROR, agent_slot_of(sandbox), EPOLLIN);
  sandbox_send_job(sandbox);
  sandbox_send_input(sandbox);
}

bool sandbox_pump(struct sandbox *sandbox, struct stream *stream, enum frame_type type) {
  static uint8_t chunk[65536];
  if (stream->fd < 0) return false;
  ssize_t got = read(stream->fd, chunk, sizeof(chunk));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    agent_close(&stream->fd);
    return false;
  }
  uint64_t room = stream->cap - stream->kept;
  size_t keep = (uint64_t)got < room ? (size_t)got : (size_t)room;
  if (keep > 0 && sandbox->was_run) agent_tell(type, sandbox->id, chunk, keep, NULL, 0);
  explicit_bzero(chunk, (size_t)got); /* as buffers do */
  stream->kept += keep;
  if (keep < (size_t)got) {
    stream->truncated = true;
    if (type == FRAME_CHANGES) sandbox_stop_changes(sandbox);
    else sandbox_discard(sandbox, END_OUTPUT);
  }
  return true;
}

/* True when the program says that it ends: RESULT_END and its exit code. A program can say so of itself only, and what it
 * does after that it does not do for long. */
static bool take_end(struct sandbox *sandbox, size_t added) {
  struct buffer *result = &sandbox->result;
  uint8_t *data = result->data + result->start, *end;
  if (result->length == 0) return false;
  /* The code may come with the next read. */
  size_t from = result->length > added ? result->length - added - 1 : 0;
  end = memchr(data + from, RESULT_END, result->length - from);
  if (!end || end == data + result->length - 1) return false;
  sandbox->exited = true;
  sandbox->status = W_EXITCODE(end[1], 0);
  result->length = (size_t)(end - data);
  if (sandbox->state == RUNNING) sandbox_discard(sandbox, END_EXITED);
  return true;
}

/* Whole records of a streamed result go to the worker as they come. An ordinary result has none, and waits for DONE. */
static void forward_records(struct sandbox *sandbox, size_t added) {
  struct buffer *result = &sandbox->result;
  uint8_t *data = result->data + result->start;
  size_t from = result->length - added, to = result->length;
  /* What follows RESULT_END is an exit code, which can look like the end of a record. */
  if (from > 0 && data[from - 1] == RESULT_END) return;
  uint8_t *end = memchr(data + from, RESULT_END, added);
  if (end) to = (size_t)(end - data);
  uint8_t *last = memrchr(data + from, RESULT_RECORD, to - from);
  if (!last || !sandbox->was_run) return;
  size_t whole = (size_t)(last + 1 - data);
  agent_tell(FRAME_RESULT, sandbox->id, data, whole, NULL, 0);
  buffer_drop_front(result, whole);
  sandbox->streamed += whole;
  sandbox->on_its_way += whole;
}

void sandbox_result_is_taken(struct sandbox *sandbox, uint32_t bytes) {
  bool was_full = sandbox->on_its_way >= STREAM_WINDOW;
  sandbox->on_its_way -= bytes < sandbox->on_its_way ? bytes : sandbox->on_its_way;
  if (!was_full || sandbox->on_its_way >= STREAM_WINDOW) return;
  if (sandbox->state == RUNNING && sandbox->result_fd >= 0)
    agent_watch(sandbox->result_fd, SOURCE_RESULT, agent_slot_of(sandbox), EPOLLIN);
}

void sandbox_take_result(struct sandbox *sandbox) {
  static uint8_t chunk[65536];
  for (ssize_t got; sandbox->result_fd >= 0;) {
    /* Who streams quicker than it is read has to wait: its pipe fills. At its end there is only what the pipe holds. */
    if (sandbox->state == RUNNING && sandbox->on_its_way >= STREAM_WINDOW) {
      epoll_ctl(agent.epoll, EPOLL_CTL_DEL, sandbox->result_fd, NULL);
      return;
    }
    got = read(sandbox->result_fd, chunk, sizeof(chunk));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      agent_close(&sandbox->result_fd);
      return;
    }
    if (sandbox->result.length + (size_t)got > MAX_RESULT + 2) { /* with its end */
      agent_close(&sandbox->result_fd);
      sandbox_discard(sandbox, END_OUTPUT);
      return;
    }
    buffer_append(&sandbox->result, chunk, (size_t)got);
    explicit_bzero(chunk, (size_t)got);
    forward_records(sandbox, (size_t)got);
    if (sandbox->streamed > MAX_STREAM) {
      agent_close(&sandbox->result_fd);
      sandbox_discard(sandbox, END_OUTPUT);
      return;
    }
    if (take_end(sandbox, (size_t)got)) return;
  }
}

uint64_t sandbox_check_time(struct sandbox *sandbox, uint64_t now) {
  uint64_t wall_end = sandbox->run_at + (uint64_t)sandbox->limits.wall_ms * 1000;
  if (now >= sandbox->disk_look_at) sandbox->disk_look_at = disk_look(sandbox->shell.tmpfs, &sandbox->disk);
  if (now >= sandbox->cpu_check_at) {
    uint64_t cap = (uint64_t)sandbox->limits.cpu_ms * 1000;
    uint64_t used = cgroup_sandbox_cpu_usec(&agent.zone->cgroup, sandbox->id);
    if (used >= cap) sandbox_discard(sandbox, END_CPU);
    /* All cores busy, the rest lasts at least so long; never look more often than every 5 ms. */
    uint64_t cores = sandbox->limits.cpu_milli / 1000 + 1, rest = used < cap ? (cap - used) / cores : 0;
    sandbox->cpu_check_at = now + (rest > 5000 ? rest : 5000);
  }
  if (now >= wall_end) sandbox_discard(sandbox, END_WALL);
  uint64_t next = wall_end < sandbox->cpu_check_at ? wall_end : sandbox->cpu_check_at;
  return next < sandbox->disk_look_at ? next : sandbox->disk_look_at;
}
