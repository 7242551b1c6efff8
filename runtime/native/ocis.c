/*
 * ocis.c: the launcher's part of sandboxes that an OCI runtime makes: cgroup and namespaces of each, and the taking away
 * of them. A runtime is a large program that was written to be the host's root. Here it never is: it runs in what a zone
 * is, a user namespace and a cgroup, and whoever breaks out of it is nobody on the host, alone with himself.
 */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OCIS 1024
/* Of the runtime's short-lived commands, which are on another account than the program. */
#define COMMANDS_MEMORY (512u << 20)
/* More than any of them needs: gVisor has several tasks of the host for each of its own. */
#define WHOLE_PIDS 32768u

/* Ids of its own on the host, beside those of zones. */
static uint32_t own_ids(int slot) { return OWN_ID_BASE + (MAX_ZONES + (uint32_t)slot) * OWN_ID_STRIDE; }

static struct {
  pid_t pid; /* 0: free */
  uint32_t zone;
  int alive;      /* write end of a pipe whose closing tells it that we are gone */
  int connection; /* the worker sees it close only when nothing of the sandbox is left */
} ocis[MAX_OCIS];

static const char *start_oci(int slot, struct oci_start *start, const struct launcher_view *launcher) {
  int mapped[2] = {-1, -1}, alive[2] = {-1, -1};
  const char *failure = NULL;
  pid_t pid = -1;
  /* What all of it may have together is root's to say: a runtime that has been taken over may change what is below. */
  const struct run_limits *limits = &start->request.limits;
  const struct build_limits whole = {.memory_bytes = limits->memory_bytes + OCI_GVISOR_MEMORY + COMMANDS_MEMORY,
                                     .pids = WHOLE_PIDS,
                                     .cpu_milli = limits->cpu_milli + 1000};
  if (cgroup_zone_limit(&start->cgroup, &whole) < 0 || cgroup_zygote_limit(&start->cgroup, false, COMMANDS_MEMORY) < 0) {
    failure = "cannot set the runtime's caps";
  } else if (pipe2(mapped, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0) {
    failure = "cannot make a pipe";
  } else if ((start->devices = root_make_devices()) < 0) {
    failure = "cannot make the sandbox's devices";
  } else {
    struct clone_args arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
        .exit_signal = SIGCHLD};
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
      close(mapped[1]); /* or its wait would not end with the launcher */
      close(alive[1]);
      launcher->forget_others(start->connection);
      start->mapped = mapped[0];
      start->alive = alive[0];
      oci_main(start);
    }
    if (pid < 0) failure = "cannot clone the sandbox";
    else if (write_id_map(pid, SHARED_ID_COUNT, own_ids(slot)) < 0) failure = "cannot map the sandbox's ids";
    else if (cgroup_zone_enter(&start->cgroup, pid) < 0) failure = "cannot enter the sandbox's cgroup";
    else if (write(mapped[1], "", 1) != 1) failure = "cannot start the sandbox";
  }
  int saved = failure ? errno : 0;
  if (mapped[0] >= 0) close(mapped[0]);
  if (mapped[1] >= 0) close(mapped[1]);
  if (alive[0] >= 0) close(alive[0]);
  if (start->devices >= 0) close(start->devices);
  if (pid > 0) {
    ocis[slot].pid = pid;
    ocis[slot].alive = alive[1];
    ocis[slot].connection = fcntl(start->connection, F_DUPFD_CLOEXEC, 0);
    if (failure) kill(pid, SIGKILL);
  } else if (alive[1] >= 0) {
    close(alive[1]);
  }
  errno = saved;
  return failure;
}

const char *ocis_start(int connection, const uint8_t *payload, size_t length, const struct launcher_view *launcher) {
  static struct oci_start start;
  int slot = 0;
  start = (struct oci_start){.connection = connection, .layers_dir = launcher->layers_dir,
                             .platform_dir = launcher->platform_dir, .filters = launcher->filters,
                             .hide_command_line = launcher->hide_command_line};
  start.devices = start.cgroup.blkio = -1;
  for (int i = 0; i < MAX_CGROUP_DIRS; i++) start.cgroup.dir[i] = -1;
  const char *failure = oci_request_read(payload, length, &start.request);
  if (failure) return failure;
  while (slot < MAX_OCIS && ocis[slot].pid != 0) slot++;
  if (slot == MAX_OCIS) return "too many sandboxes of OCI runtimes at once; try again later";
  ocis[slot].zone = launcher->next_zone();
  failure = cgroup_zone_open(launcher->cgroups, launcher->instance, ocis[slot].zone, own_ids(slot),
                             &start.cgroup) < 0
                ? "cannot make the sandbox's cgroup"
                : start_oci(slot, &start, launcher);
  int saved = errno;
  cgroup_zone_close(&start.cgroup);
  if (ocis[slot].pid == 0) removals_add(launcher, (struct removal){.zone = ocis[slot].zone, .connection = -1, .directory = -1});
  errno = saved;
  return failure;
}

bool ocis_reap(pid_t pid, const struct launcher_view *launcher) {
  for (int i = 0; i < MAX_OCIS; i++) {
    if (ocis[i].pid != pid) continue;
    close(ocis[i].alive);
    removals_add(launcher, (struct removal){.zone = ocis[i].zone, .sandbox = OCI_SANDBOX, .connection = ocis[i].connection, .directory = -1});
    ocis[i].pid = 0;
    return true;
  }
  return false;
}

/* In a process cloned from the launcher: nothing of other sandboxes. */
void ocis_leave(void) {
  for (int i = 0; i < MAX_OCIS; i++) {
    if (ocis[i].pid == 0) continue;
    close(ocis[i].alive);
    close(ocis[i].connection);
    ocis[i].pid = 0;
  }
}

void ocis_end(void) {
  for (int i = 0; i < MAX_OCIS; i++)
    if (ocis[i].pid != 0) kill(ocis[i].pid, SIGKILL);
  for (int i = 0; i < MAX_OCIS; i++) {
    if (ocis[i].pid != 0) waitpid(ocis[i].pid, NULL, 0);
    ocis[i].pid = 0;
  }
}
