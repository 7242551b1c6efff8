/* agent-end.c: from the kill of a sandbox until nothing of it is left. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(struct sandbox *sandbox);

/* What is in the pipes. Unless the writers are dead more may come, so that it has an end: a pipe holds a megabyte at
 * most. */
static void take_output(struct sandbox *sandbox) {
  for (int i = 0; i < 64 && sandbox_pump(sandbox, &sandbox->output, FRAME_STDOUT); i++) continue;
  for (int i = 0; i < 64 && sandbox_pump(sandbox, &sandbox->error, FRAME_STDERR); i++) continue;
}

/* The main process is over: all that it wrote is in the pipes, and its accounts are as good as closed. The worker need
 * not wait until the kernel has taken the sandbox apart. */
static void report_at_once(struct sandbox *sandbox) {
  take_output(sandbox);
  sandbox_take_result(sandbox);
  agent_close(&sandbox->output.fd);
  agent_close(&sandbox->error.fd);
  agent_close(&sandbox->result_fd);
  report(sandbox);
}

void sandbox_discard(struct sandbox *sandbox, enum end_cause cause) {
  if (sandbox->state == FREE || sandbox->state >= DYING) return;
  sandbox->cause = cause;
  sandbox->ended_at = now_usec();
  bool was_running = sandbox->state == RUNNING;
  if (was_running) disk_look(sandbox->shell.tmpfs, &sandbox->disk);
  sandbox_leave_forking(sandbox);
  sandbox->state = DYING;
  agent_close(&sandbox->stdin_fd);
  agent_close(&sandbox->program_pidfd);
  agent_close(&sandbox->job_fd);
  /* Read once more when all is over; until then its hang-up would wake us again and again. */
  if (sandbox->result_fd >= 0) epoll_ctl(agent.epoll, EPOLL_CTL_DEL, sandbox->result_fd, NULL);
  if (syscall(SYS_pidfd_send_signal, sandbox->shell.init_pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
    die("cannot kill a sandbox: %m");
  if (was_running && cause == END_EXITED && !sandbox->platform) report_at_once(sandbox);
}

void sandbox_fail(struct sandbox *sandbox, const char *what) {
  char text[512], said[256] = "";
  /* A child that could not join has said why on its stderr. */
  ssize_t got = sandbox->state == FORKING && sandbox->error.fd >= 0 ? read(sandbox->error.fd, said, sizeof(said) - 1) : 0;
  if (got > 0) said[got - (said[got - 1] == '\n')] = '\0';
  int length = snprintf(text, sizeof(text), "%s%s%s", what, got > 0 ? ": " : "", said);
  agent_tell(FRAME_FAILED, sandbox->id, text, (size_t)length, NULL, 0);
  sandbox->was_run = false;
  sandbox_discard(sandbox, END_KILLED);
}

static uint32_t since(uint64_t from, uint64_t to) { return from == 0 || to < from ? 0 : (uint32_t)(to - from); }

static void report(struct sandbox *sandbox) {
  const struct cgroup_zone *cgroup = &agent.zone->cgroup;
  /* Which of its end and its last output we saw first is chance; the verdict is not. */
  bool truncated = sandbox->output.truncated || sandbox->error.truncated;
  if (sandbox->cause == END_EXITED && truncated) sandbox->cause = END_OUTPUT;
  bool signaled = !sandbox->exited || WIFSIGNALED(sandbox->status);
  /* Of a program that ended well nobody asks what it was refused. */
  bool failed = sandbox->cause != END_EXITED || sandbox->status != 0;
  struct cgroup_usage usage;
  cgroup_sandbox_usage(cgroup, sandbox->id, sandbox->limits.cpu_milli, &usage);
  struct run_report done = {
      .cause = sandbox->cause,
      .exit_code = signaled ? -1 : WEXITSTATUS(sandbox->status),
      .signal = !signaled ? 0 : sandbox->exited ? WTERMSIG(sandbox->status) : SIGKILL,
      .oom_kills = failed ? cgroup_sandbox_oom_kills(cgroup, sandbox->id) : 0,
      .pids_refused = failed ? cgroup_sandbox_pids_refused(cgroup, sandbox->id) : 0,
      .disk_full = sandbox->disk.was_full,
      .inodes_full = sandbox->disk.inodes_were_full,
      .stdout_truncated = sandbox->output.truncated,
      .stderr_truncated = sandbox->error.truncated,
      .cpu_usec = usage.cpu_usec,
      .memory_peak_bytes = usage.memory_peak_bytes,
      .start_usec = since(sandbox->run_at, sandbox->job_sent_at ? sandbox->job_sent_at : sandbox->ended_at),
      .run_usec = since(sandbox->job_sent_at, sandbox->ended_at),
      .changes = (uint8_t)sandbox->changes_state,
      .cpu_user_usec = usage.cpu_user_usec,
      .cpu_system_usec = usage.cpu_system_usec,
      .throttled_usec = usage.throttled_usec,
      .disk_peak_bytes = sandbox->disk.peak_bytes,
      .disk_peak_inodes = sandbox->disk.peak_inodes,
      .cpu_pressure_usec = usage.cpu_pressure_usec,
      .memory_pressure_usec = usage.memory_pressure_usec,
      .io_pressure_usec = usage.io_pressure_usec,
      .pids_peak = usage.pids_peak,
      .known = (uint8_t)((usage.knows_pids_peak ? KNOWN_PIDS_PEAK : 0) | (usage.knows_pressure ? KNOWN_PRESSURE : 0)),
  };
  agent_tell(FRAME_DONE, sandbox->id, &done, sizeof(done), sandbox->result.data + sandbox->result.start,
             sandbox->result.length);
  sandbox->was_run = false;
}

/* Nothing of it is needed any more but its cgroup, which the kernel may hold for a moment. */
static void put_away(struct sandbox *sandbox) {
  if (sandbox->was_run) report(sandbox);
  agent_close(&sandbox->shell.tmpfs);
  buffer_free(&sandbox->result);
  free(sandbox->platform);
  free(sandbox->texts);
  sandbox->platform = NULL;
  sandbox->texts = NULL;
  sandbox->state = REMOVING;
  sandbox->buried_at = sandbox->remove_at = now_usec();
  agent_activate(sandbox);
}

static void capture(struct sandbox *sandbox) {
  sandbox->changes_state = CHANGES_CUT;
  sandbox->changes.cap = sandbox->limits.disk_bytes + CHANGES_OVERHEAD;
  sandbox->changes.fd =
      changes_start(sandbox->shell.tmpfs, sandbox->spec.layers, sandbox->spec.scratch, sandbox->work_only, sandbox->platform,
                    &agent.zone->filters.sandbox, sandbox->changes.cap, &sandbox->changes_pidfd);
  if (sandbox->changes.fd < 0) {
    log_line("oncebox-agent: cannot read a sandbox's changes: %m");
    put_away(sandbox);
    return;
  }
  sandbox->state = CAPTURING;
  agent_activate(sandbox);
  agent_watch(sandbox->changes.fd, SOURCE_CHANGES, agent_slot_of(sandbox), EPOLLIN);
}

void sandbox_stop_changes(struct sandbox *sandbox) {
  sandbox->changes.truncated = true;
  if (sandbox->changes_pidfd >= 0) syscall(SYS_pidfd_send_signal, sandbox->changes_pidfd, SIGKILL, NULL, 0);
}

void sandbox_take_changes(struct sandbox *sandbox) {
  sandbox_pump(sandbox, &sandbox->changes, FRAME_CHANGES);
  if (sandbox->changes.fd >= 0) return;
  /* Its end of the pipe is closed, so it is at its end or killed. */
  siginfo_t info = {0};
  if (waitid(P_PIDFD, (id_t)sandbox->changes_pidfd, &info, WEXITED) < 0) die("cannot reap who reads the changes: %m");
  agent_close(&sandbox->changes_pidfd);
  bool complete = info.si_code == CLD_EXITED && info.si_status == 0 && !sandbox->changes.truncated;
  sandbox->changes_state = complete ? CHANGES_COMPLETE : CHANGES_CUT;
  put_away(sandbox);
}

void sandbox_bury(struct sandbox *sandbox) {
  siginfo_t info;
  if (waitid(P_PIDFD, (id_t)sandbox->shell.init_pidfd, &info, WEXITED) < 0) die("cannot reap a shell: %m");
  if (sandbox->state != DYING) {
    sandbox->cause = END_EXITED; /* init died unasked: reported as killed by a signal */
    sandbox->ended_at = now_usec();
    if (sandbox->state != RUNNING) agent_tell(FRAME_FAILED, sandbox->id, "the shell died", 14, NULL, 0);
  }
  sandbox_leave_forking(sandbox);
  sandbox->state = DYING;
  /* That is all there will ever be, unless the zygote is an image's own: it had the other ends too, and may write on. */
  take_output(sandbox);
  sandbox_take_result(sandbox);
  sandbox->over_at = now_usec();
  agent_close(&sandbox->shell.init_pidfd);
  agent_close(&sandbox->shell.ready);
  agent_close(&sandbox->output.fd);
  agent_close(&sandbox->error.fd);
  agent_close(&sandbox->job_fd);
  agent_close(&sandbox->result_fd);
  agent_close(&sandbox->stdin_fd);
  agent_close(&sandbox->program_pidfd);
  buffer_free(&sandbox->job);
  buffer_free(&sandbox->input);
  if (sandbox->was_run && sandbox->platform) capture(sandbox);
  else put_away(sandbox);
}

void sandbox_remove(struct sandbox *sandbox, uint64_t now) {
  uint32_t residue = 0;
  if (now < sandbox->remove_at) return;
  if (cgroup_sandbox_remove(&agent.zone->cgroup, sandbox->id) < 0) {
    uint64_t waited = now - sandbox->buried_at;
    sandbox->remove_at = now + (waited < 20000 ? 1000 : 20000);
    /* Its pid namespace is empty. A zygote that is not ours can have forked into the cgroup and not into the shell. */
    if (waited >= 20000) cgroup_sandbox_kill(&agent.zone->cgroup, sandbox->id);
    if (waited < 2000000) return;
    if (!agent.zone->trusted) zygote_lost("a sandbox left processes behind");
    if (waited < 5000000) return;
    log_line("oncebox-agent: a cgroup stays busy: s%u", sandbox->id);
    residue = RESIDUE_CGROUP;
  }
  sandbox->state = FREE;
  agent_tell(FRAME_GONE, sandbox->id, &residue, sizeof(residue), NULL, 0);
}
