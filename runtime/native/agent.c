/* agent.c: the loop, and what all of the agent shares. agent.h says what it is. */
#define _GNU_SOURCE
#include "agent.h"
#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

struct agent agent;

uint32_t agent_slot_of(const struct sandbox *sandbox) { return (uint32_t)(sandbox - agent.sandboxes); }

struct sandbox *agent_find(uint32_t id) {
  struct sandbox *sandbox = &agent.sandboxes[id % MAX_SANDBOXES];
  return sandbox->state != FREE && sandbox->id == id ? sandbox : NULL;
}

void agent_watch(int fd, enum source source, uint32_t slot, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = ((uint64_t)slot << 8) | source};
  if (epoll_ctl(agent.epoll, EPOLL_CTL_ADD, fd, &event) < 0 &&
      (errno != EEXIST || epoll_ctl(agent.epoll, EPOLL_CTL_MOD, fd, &event) < 0))
    die("cannot watch a descriptor: %m");
}

/* A shell being built holds copies of our descriptors for a moment, so closing ours does not take it out of the
 * epoll: events of a dead sandbox would reach the next one in its slot. */
void agent_close(int *fd) {
  if (*fd < 0) return;
  epoll_ctl(agent.epoll, EPOLL_CTL_DEL, *fd, NULL);
  close(*fd);
  *fd = -1;
}

void agent_flush(void) {
  struct buffer *outbox = &agent.outbox;
  if (outbox->length == 0) return;
  /* Blocks when the worker is slow: what we hold for it stays bounded. Gone: so are we. */
  if (write_all(agent.zone->worker, outbox->data + outbox->start, outbox->length) < 0) _exit(0);
  buffer_drop_front(outbox, outbox->length);
}

void agent_tell(enum frame_type type, uint32_t id, const void *head, size_t head_length, const void *body,
                size_t body_length) {
  frame_append(&agent.outbox, type, id, head, head_length, body, body_length);
  if (type == FRAME_DONE || agent.outbox.length >= OUTBOX_FULL) agent_flush();
}

void agent_activate(struct sandbox *sandbox) {
  for (uint32_t i = 0; i < agent.active_count; i++)
    if (agent.active[i] == agent_slot_of(sandbox)) return;
  agent.active[agent.active_count++] = agent_slot_of(sandbox);
}

static void send_stat(uint32_t id) {
  struct stat_report stat = {0};
  if (id == 0) {
    cgroup_zygote_memory(&agent.zone->cgroup, &stat.memory_bytes, &stat.memory_peak_bytes);
    agent_tell(FRAME_STAT, 0, &stat, sizeof(stat), NULL, 0);
    return;
  }
  struct sandbox *sandbox = agent_find(id);
  struct statfs disk;
  if (!sandbox) return; /* GONE is on its way, and says that nothing is left to measure */
  if (sandbox->state < DYING) {
    stat.memory_bytes = cgroup_sandbox_memory(&agent.zone->cgroup, id);
    stat.memory_peak_bytes = cgroup_sandbox_memory_peak(&agent.zone->cgroup, id);
    if (fstatfs(sandbox->shell.tmpfs, &disk) == 0)
      stat.writable_bytes = (uint64_t)(disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
  }
  agent_tell(FRAME_STAT, id, &stat, sizeof(stat), NULL, 0);
}

/* Enforces time, retries removals. Returns milliseconds until it wants to be called again, -1 for never. */
static int check_active(void) {
  uint64_t next = UINT64_MAX, now = now_usec();
  if (!agent.zygote_ready) {
    next = agent.started_at + agent.zone->ready_within;
    if (now >= next) zygote_lost("the zygote was not ready in time");
  }
  /* One that stands still would have every sandbox fail, for ever. */
  if (agent.forks_asked == 0) agent.zygote_heard_at = now;
  else if (now >= agent.zygote_heard_at + agent.zone->ready_within) zygote_lost("the zygote does not answer");
  else if (agent.zygote_heard_at + agent.zone->ready_within < next) next = agent.zygote_heard_at + agent.zone->ready_within;
  for (uint32_t i = 0; i < agent.active_count;) {
    struct sandbox *sandbox = &agent.sandboxes[agent.active[i]];
    if (sandbox->state == REMOVING) {
      sandbox_remove(sandbox, now);
      if (sandbox->state == REMOVING && sandbox->remove_at < next) next = sandbox->remove_at;
    } else if (sandbox->state == BUILDING || sandbox->state == FORKING) {
      uint64_t ready_by = sandbox->created_at + agent.zone->ready_within;
      if (now >= ready_by) sandbox_fail(sandbox, "it was not ready in time");
      else if (ready_by < next) next = ready_by;
    } else if (sandbox->state == RUNNING) {
      uint64_t again = sandbox_check_time(sandbox, now);
      if (again < next) next = again;
    } else if (sandbox->state == CAPTURING) {
      uint64_t ends = sandbox->over_at + CHANGES_WITHIN;
      if (now >= ends && !sandbox->changes.truncated) sandbox_stop_changes(sandbox);
      else if (now < ends && ends < next) next = ends;
    }
    if (sandbox->state != FREE && sandbox->state != PARKED && sandbox->state != DYING) i++;
    else agent.active[i] = agent.active[--agent.active_count];
  }
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

/* ---- who talks to us ---- */

static void obey(const struct frame *frame) {
  struct sandbox *sandbox = agent_find(frame->sandbox);
  switch (frame->type) {
    case FRAME_CREATE: sandbox_create(frame->sandbox, frame->payload, frame->length); break;
    case FRAME_RUN:
      if (sandbox) sandbox_run(sandbox, frame->payload, frame->length);
      break;
    case FRAME_KILL:
      if (sandbox && sandbox->state == CAPTURING) sandbox_stop_changes(sandbox);
      else if (sandbox) sandbox_discard(sandbox, END_KILLED);
      break;
    case FRAME_TAKEN: {
      uint32_t bytes;
      memcpy(&bytes, frame->payload, sizeof(bytes));
      if (sandbox) sandbox_result_is_taken(sandbox, bytes);
      break;
    }
    case FRAME_STDIN:
      if (sandbox) sandbox_take_input(sandbox, frame->payload, frame->length);
      break;
    case FRAME_STDIN_END:
      if (sandbox) sandbox_end_input(sandbox);
      break;
    case FRAME_SIGNAL:
      if (sandbox) sandbox_signal(sandbox, frame->payload, frame->length);
      break;
    case FRAME_STAT: send_stat(frame->sandbox); break;
    default: die("the worker sent a frame that frame_next() let pass");
  }
}

static void hear_worker(void) {
  static uint8_t chunk[262144];
  ssize_t got = recv(agent.zone->worker, chunk, sizeof(chunk), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) _exit(0); /* the worker is gone; as init of the zone we take everything with us */
  buffer_append(&agent.inbox, chunk, (size_t)got);
  explicit_bzero(chunk, (size_t)got); /* as buffers do */
  for (size_t size = 1; size > 0; buffer_drop_front(&agent.inbox, size)) {
    struct frame frame;
    const char *wrong = frame_next(agent.inbox.data + agent.inbox.start, agent.inbox.length, &frame, &size);
    if (wrong) die("the worker sent what is no frame: %s", wrong);
    if (size > 0) obey(&frame);
  }
}

static void hear_result(struct sandbox *sandbox) {
  if (sandbox->state == FORKING) sandbox_is_parked(sandbox);
  else if (sandbox->state == RUNNING) sandbox_take_result(sandbox);
  else if (sandbox->state == PARKED) sandbox_fail(sandbox, "the parked process spoke out of turn");
}

static void dispatch(const struct epoll_event *event) {
  enum source source = event->data.u64 & 0xff;
  struct sandbox *sandbox = &agent.sandboxes[event->data.u64 >> 8];
  switch (source) {
    case SOURCE_WORKER: hear_worker(); return;
    case SOURCE_LAUNCHER: _exit(0); /* nobody writes to it: it has been closed */
    case SOURCE_ZYGOTE: zygote_hear(); return;
    case SOURCE_ZYGOTE_OUTPUT:
      if (agent.zygote.output >= 0) zygote_hear_output();
      return;
    case SOURCE_ZYGOTE_END:
      zygote_hear(); /* its last events */
      zygote_ended();
    default: break;
  }
  if (sandbox->state == FREE || sandbox->state == REMOVING) return; /* closed earlier in this batch */
  switch (source) {
    case SOURCE_READY:
      if (sandbox->shell.ready >= 0) sandbox_shell_is_ready(sandbox);
      break;
    case SOURCE_INIT: sandbox_bury(sandbox); break;
    case SOURCE_OUTPUT: sandbox_pump(sandbox, &sandbox->output, FRAME_STDOUT); break;
    case SOURCE_ERROR: sandbox_pump(sandbox, &sandbox->error, FRAME_STDERR); break;
    case SOURCE_RESULT: hear_result(sandbox); break;
    case SOURCE_JOB:
      if (sandbox->state == RUNNING) sandbox_send_job(sandbox);
      break;
    case SOURCE_STDIN: sandbox_send_input(sandbox); break;
    case SOURCE_CHANGES:
      if (sandbox->state == CAPTURING) sandbox_take_changes(sandbox);
      break;
    default: break;
  }
}

void agent_main(struct zone *zone) {
  agent.zone = zone;
  agent.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (agent.epoll < 0) die("cannot make an epoll: %m");
  agent.started_at = now_usec();
  if (zone_start_zygote(zone, &agent.zygote) < 0) die("cannot start the zygote: %m");
  /* Shells are copies of us: a function's environment is not to be in them. */
  if (zone->init[0]) explicit_bzero(zone->init + 1, strlen(zone->init + 1));
  ids_execute_without_capabilities(); /* after the zygote, who executes with some; shells need not each do it */
  agent_watch(zone->worker, SOURCE_WORKER, 0, EPOLLIN);
  agent_watch(zone->launcher, SOURCE_LAUNCHER, 0, EPOLLIN);
  agent_watch(agent.zygote.events, SOURCE_ZYGOTE, 0, EPOLLIN);
  agent_watch(agent.zygote.output, SOURCE_ZYGOTE_OUTPUT, 0, EPOLLIN);
  agent_watch(agent.zygote.pidfd, SOURCE_ZYGOTE_END, 0, EPOLLIN);
  for (;;) {
    struct epoll_event events[64];
    sandbox_fork_waiting();
    int patience = check_active();
    agent_flush();
    int count = epoll_wait(agent.epoll, events, 64, patience);
    if (count < 0 && errno != EINTR) die("cannot wait for events: %m");
    for (int i = 0; i < count; i++) dispatch(&events[i]);
  }
}
