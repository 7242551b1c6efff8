/*
 * builds.c: the launcher's part of building images: cgroup, directory and namespaces of each build, and the taking away
 * of them. What is built, and by what, it does not know; build.c is in there with it.
 */
#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BUILDS 8

static struct {
  pid_t pid; /* 0: free */
  uint32_t zone;
  int alive;      /* write end of a pipe whose closing tells it that we are gone */
  int connection; /* the worker sees it close only when nothing of the build is left */
  int directory;  /* of layers.c */
} builds[MAX_BUILDS];

static const char *start_build(int slot, struct build_start *start, const struct launcher_view *launcher) {
  int mapped[2] = {-1, -1}, alive[2] = {-1, -1};
  const char *failure = NULL;
  pid_t pid = -1;
  if (cgroup_zone_limit(&start->cgroup, &start->limits) < 0) {
    failure = "cannot set the build's caps";
  } else if (pipe2(mapped, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0) {
    failure = "cannot make a pipe";
  } else if ((start->devices = root_make_devices()) < 0) {
    failure = "cannot make the build's devices";
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
      build_main(start);
    }
    /* Ids of images only: the services' and those of sandboxes are nobody in there. */
    if (pid < 0) failure = "cannot clone the build";
    else if (write_id_map(pid, IMAGE_ID_COUNT, 0) < 0) failure = "cannot map the build's ids";
    else if (cgroup_zone_enter(&start->cgroup, pid) < 0) failure = "cannot enter the build's cgroup";
    else if (write(mapped[1], "", 1) != 1) failure = "cannot start the build";
  }
  int saved = errno;
  if (mapped[0] >= 0) close(mapped[0]);
  if (mapped[1] >= 0) close(mapped[1]);
  if (alive[0] >= 0) close(alive[0]);
  if (start->devices >= 0) close(start->devices);
  if (pid > 0) {
    builds[slot].pid = pid;
    builds[slot].alive = alive[1];
    builds[slot].connection = fcntl(start->connection, F_DUPFD_CLOEXEC, 0);
    if (failure) kill(pid, SIGKILL);
    saved = failure ? saved : 0;
  } else if (alive[1] >= 0) {
    close(alive[1]);
  }
  errno = saved;
  return failure;
}

const char *builds_start(int connection, uint8_t *payload, size_t length, const struct launcher_view *launcher) {
  static struct build_start start;
  struct build_request request;
  int slot = 0;
  const char *failure = request_read_build(payload, length, &request);
  if (failure) return failure;
  start = (struct build_start){.limits = request.limits, .layers = request.layers,
                               .connection = connection, .layers_dir = launcher->layers_dir,
                               .filter = &launcher->filters->build,
                               .hide_command_line = launcher->hide_command_line};
  start.devices = start.cgroup.blkio = -1;
  for (int i = 0; i < MAX_CGROUP_DIRS; i++) start.cgroup.dir[i] = -1;
  while (slot < MAX_BUILDS && builds[slot].pid != 0) slot++;
  if (slot == MAX_BUILDS) return "too many images are built at once; try again later";
  builds[slot].directory = layers_hold_directory(&start.workspace);
  if (builds[slot].directory < 0) return "cannot make the build's directory";
  builds[slot].zone = launcher->next_zone();
  failure = cgroup_zone_open(launcher->cgroups, launcher->instance, builds[slot].zone, 0, &start.cgroup) < 0
                ? "cannot make the build's cgroup"
                : start_build(slot, &start, launcher);
  int saved = errno;
  close(start.workspace);
  cgroup_zone_close(&start.cgroup);
  if (builds[slot].pid == 0) {
    removals_add(launcher, (struct removal){.zone = builds[slot].zone, .connection = -1, .directory = builds[slot].directory});
  }
  errno = saved;
  return failure;
}

bool builds_reap(pid_t pid, const struct launcher_view *launcher) {
  for (int i = 0; i < MAX_BUILDS; i++) {
    if (builds[i].pid != pid) continue;
    close(builds[i].alive);
    removals_add(launcher, (struct removal){.zone = builds[i].zone, .connection = builds[i].connection, .directory = builds[i].directory});
    builds[i].pid = 0;
    return true;
  }
  return false;
}

/* In a process cloned from the launcher: nothing of other builds. */
void builds_leave(void) {
  for (int i = 0; i < MAX_BUILDS; i++) {
    if (builds[i].pid == 0) continue;
    close(builds[i].alive);
    close(builds[i].connection);
    builds[i].pid = 0;
  }
}

/* Their directories are swept by whoever starts next: removing may take long, and we are waited for. */
void builds_end(void) {
  for (int i = 0; i < MAX_BUILDS; i++)
    if (builds[i].pid != 0) kill(builds[i].pid, SIGKILL);
  for (int i = 0; i < MAX_BUILDS; i++) {
    if (builds[i].pid != 0) waitpid(builds[i].pid, NULL, 0);
    builds[i].pid = 0;
  }
}
