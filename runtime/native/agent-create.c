/* agent-create.c: a sandbox from the worker's wish until it is parked. */
#define _GNU_SOURCE
#include "agent.h"
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Reads the frame into the sandbox, which keeps a copy of its texts. Returns what is wrong with it. */
static const char *take_spec(struct sandbox *sandbox, const uint8_t *payload, size_t length) {
  struct sandbox_spec *spec = &sandbox->spec;
  const char *wrong = frame_read_spec(payload, length, spec);
  if (wrong) return wrong;
  size_t path = strlen(spec->working_dir) + 1, layers = strlen(spec->layers) + 1;
  sandbox->texts = malloc(path + layers);
  if (!sandbox->texts) die("cannot find memory for a sandbox's spec");
  spec->working_dir = memcpy(sandbox->texts, spec->working_dir, path);
  spec->layers = memcpy(sandbox->texts + path, spec->layers, layers);
  if (spec->own_user) spec->uid = spec->gid = FIRST_SANDBOX_ID + agent_slot_of(sandbox);
  return NULL;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Code that is not ours runs right after the fork, before there is a job with its caps: an image's own interpreter, or what a
 * function registered (os.register_at_fork). */
static const struct run_limits parked_limits = {
    .memory_bytes = 32u << 20, .disk_bytes = 64u << 20, .disk_inodes = 16384, .pids = 16, .cpu_milli = 500};

void sandbox_create(uint32_t id, const uint8_t *payload, size_t length) {
  struct sandbox *sandbox = &agent.sandboxes[id % MAX_SANDBOXES];
  if (sandbox->state != FREE || id == 0) die("the worker used a sandbox id twice");
  *sandbox = (struct sandbox){.id = id, .job_fd = -1, .result_fd = -1, .stdin_fd = -1, .changes_pidfd = -1, .program_pidfd = -1,
                              .output.fd = -1, .error.fd = -1, .changes.fd = -1};
  /* As a run is likely to want it, for a change costs more than some runs; never less than a shell may need. */
  sandbox->limits.disk_bytes = larger(agent.usual.disk_bytes, parked_limits.disk_bytes);
  sandbox->limits.disk_inodes = larger(agent.usual.disk_inodes, parked_limits.disk_inodes);
  errno = 0;
  const char *failure = take_spec(sandbox, payload, length);
  if (!failure && cgroup_sandbox_make(&agent.zone->cgroup, id) < 0) failure = "cannot make the sandbox's cgroup";
  if (!failure && !agent.zone->trusted && cgroup_sandbox_limit(&agent.zone->cgroup, id, &parked_limits) < 0) {
    failure = "cannot set the caps of a parked sandbox";
    int saved = errno;
    cgroup_sandbox_remove(&agent.zone->cgroup, id);
    errno = saved;
  }
  if (!failure && shell_start(&sandbox->spec, &agent.zone->filters.init, sandbox->limits.disk_bytes, sandbox->limits.disk_inodes,
                              &sandbox->shell) < 0) {
    failure = "cannot start the shell";
    int saved = errno;
    cgroup_sandbox_remove(&agent.zone->cgroup, id);
    errno = saved;
  }
  if (failure) {
    char text[256];
    int size = snprintf(text, sizeof(text), errno ? "%s: %s" : "%s", failure, strerror(errno));
    free(sandbox->texts);
    agent_tell(FRAME_FAILED, id, text, (size_t)size, NULL, 0);
    const uint32_t residue = 0; /* what was made has been taken away */
    agent_tell(FRAME_GONE, id, &residue, sizeof(residue), NULL, 0);
    return;
  }
  agent.created++;
  sandbox->state = BUILDING;
  sandbox->created_at = now_usec();
  agent_activate(sandbox);
  agent_watch(sandbox->shell.ready, SOURCE_READY, agent_slot_of(sandbox), EPOLLIN);
  agent_watch(sandbox->shell.init_pidfd, SOURCE_INIT, agent_slot_of(sandbox), EPOLLIN);
}

/* One end for us, not blocking, the other for the child; both are closed by whoever holds them in the end. */
static bool make_pipe(int *ours, int *theirs, bool we_write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

/* The program's own: it may open /dev/stdin and the others, which asks for rights on the pipe. */
static bool give_stdio(const int *fds, const struct sandbox_spec *spec) {
  for (int i = ZFD_STDIN; i <= ZFD_STDERR; i++)
    if (fchown(fds[i], spec->uid, spec->gid) < 0) return false;
  return true;
}

static int request_fork(struct sandbox *sandbox) {
  int fds[ZFD_CGROUP + MAX_CGROUP_DIRS], count = ZFD_CGROUP;
  for (int i = 0; i < ZFD_CGROUP; i++) fds[i] = -1;
  int result = -1;
  if (make_pipe(&sandbox->stdin_fd, &fds[ZFD_STDIN], true) &&
      make_pipe(&sandbox->output.fd, &fds[ZFD_STDOUT], false) &&
      make_pipe(&sandbox->error.fd, &fds[ZFD_STDERR], false) && make_pipe(&sandbox->job_fd, &fds[ZFD_JOB], true) &&
      make_pipe(&sandbox->result_fd, &fds[ZFD_RESULT], false) && give_stdio(fds, &sandbox->spec)) {
    int cgroups = cgroup_sandbox_procs(&agent.zone->cgroup, sandbox->id, fds + ZFD_CGROUP);
    if (cgroups > 0) {
      count += cgroups;
      fds[ZFD_SHELL] = sandbox->shell.init_pidfd;
      const struct sandbox_spec *spec = &sandbox->spec;
      static struct fork_request request;
      request = (struct fork_request){sandbox->id, spec->uid, spec->gid, spec->group_count, {0}, ""};
      memcpy(request.groups, spec->groups, sizeof(request.groups));
      strcpy(request.working_dir, spec->working_dir); /* frame_read_spec() has measured it */
      size_t size = offsetof(struct fork_request, working_dir) + strlen(request.working_dir) + 1;
      if (send_fds(agent.zygote.requests, &request, size, fds, count) == (ssize_t)size) result = 0;
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
    sandbox_fail(sandbox, text);
    return;
  }
  agent.forks_asked++;
  agent.joining++;
  sandbox->state = FORKING;
  agent_watch(sandbox->result_fd, SOURCE_RESULT, agent_slot_of(sandbox), EPOLLIN);
}

void sandbox_fork_waiting(void) {
  while (agent.forks_asked < MAX_FORKS_ASKED && agent.joining < MAX_JOINING && agent.waiting_count > 0) {
    struct sandbox *sandbox = agent_find(agent.waiting[agent.waiting_first]);
    agent.waiting_first = (agent.waiting_first + 1) % (2 * MAX_SANDBOXES);
    agent.waiting_count--;
    if (sandbox && sandbox->state == BUILDING) fork_shell(sandbox);
  }
}

/* Who waits is looked at when this batch of events is through: the caller is in the middle of something. */
void sandbox_leave_forking(const struct sandbox *sandbox) {
  if (sandbox->state == FORKING) agent.joining--;
}

void sandbox_shell_is_ready(struct sandbox *sandbox) {
  char text[256];
  ssize_t got = read(sandbox->shell.ready, text, sizeof(text) - 1);
  agent_close(&sandbox->shell.ready);
  if (sandbox->state != BUILDING) return;
  text[got > 0 ? got : 0] = '\0';
  if (got != 1 || text[0] != 'R') {
    sandbox_fail(sandbox, got > 0 ? text : "the shell died while it was built");
  } else if (agent.waiting_count == 2 * MAX_SANDBOXES) {
    sandbox_fail(sandbox, "too many sandboxes wait for the zygote");
  } else {
    agent.waiting[(agent.waiting_first + agent.waiting_count++) % (2 * MAX_SANDBOXES)] = sandbox->id;
    sandbox_fork_waiting();
  }
}

void sandbox_is_parked(struct sandbox *sandbox) {
  char byte;
  ssize_t got = read(sandbox->result_fd, &byte, 1);
  if (got < 0 && errno == EAGAIN) return;
  if (got != 1 || byte != 'P') {
    sandbox_fail(sandbox, "the zygote's child died while it joined the shell");
    return;
  }
  if (!agent.zone->trusted) {
    /* It has run the function's code already, with the caps above, and keeps them until it is paid for. */
    if (agent.zone->init[0] && cgroup_sandbox_processes(&agent.zone->cgroup, sandbox->id) > 1) {
      sandbox_fail(sandbox, "the function started a process before it had a job");
      return;
    }
  } else if (agent.usual.memory_bytes > 0 && !sandbox_limit(sandbox, &agent.usual)) {
    /* Those of its run, likely: writing them costs more than some runs. Set again, and told, when it runs. */
    sandbox->limits = (struct run_limits){0};
  }
  sandbox_leave_forking(sandbox);
  sandbox->state = PARKED;
  agent_tell(FRAME_READY, sandbox->id, NULL, 0, NULL, 0);
}
