/*
 * cgroup-probe.c: cgroup.c at the command line, for its tests. The hierarchies are those of a mountinfo file, which
 * may name directories of the test's own. ZONE is a path below every mount.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_layout(const struct cgroup_layout *layout) {
  printf("{\"version\":%d,\"mounts\":[", layout->version);
  for (int i = 0; i < layout->count; i++) printf("%s\"%s\"", i ? "," : "", layout->mount[i]);
  printf("],\"cpu\":%d,\"cpuacct\":%d,\"memory\":%d,\"pids\":%d}\n", layout->cpu, layout->cpuacct, layout->memory,
         layout->pids);
}

static void open_zone(const struct cgroup_layout *layout, const char *path, struct cgroup_zone *zone) {
  zone->layout = *layout;
  for (int i = 0; i < layout->count; i++) {
    char full[512];
    snprintf(full, sizeof(full), "%s/%s", layout->mount[i], path);
    zone->dir[i] = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (zone->dir[i] < 0) die("cannot open %s: %m", full);
  }
}

static void print_usage(const struct cgroup_zone *zone, uint32_t id) {
  struct cgroup_usage usage;
  cgroup_sandbox_usage(zone, id, 1000, &usage);
  printf("{\"cpuUsec\":%llu,\"cpuUserUsec\":%llu,\"cpuSystemUsec\":%llu,\"throttledUsec\":%llu,",
         (unsigned long long)usage.cpu_usec, (unsigned long long)usage.cpu_user_usec,
         (unsigned long long)usage.cpu_system_usec, (unsigned long long)usage.throttled_usec);
  if (usage.knows_pids_peak) printf("\"pidsPeak\":%u,", usage.pids_peak);
  if (usage.knows_pressure)
    printf("\"pressureUsec\":[%llu,%llu,%llu],", (unsigned long long)usage.cpu_pressure_usec,
           (unsigned long long)usage.memory_pressure_usec, (unsigned long long)usage.io_pressure_usec);
  printf("\"memoryBytes\":%llu,\"memoryPeakBytes\":%llu,\"oomKills\":%u,\"pidsRefused\":%u}\n",
         (unsigned long long)cgroup_sandbox_memory(zone, id), (unsigned long long)usage.memory_peak_bytes,
         cgroup_sandbox_oom_kills(zone, id), cgroup_sandbox_pids_refused(zone, id));
}

/* Moves this process in, as a zygote's child does, and becomes the command. */
static void enter(const struct cgroup_zone *zone, uint32_t id, char **command) {
  int fds[MAX_CGROUP_DIRS];
  int count = cgroup_sandbox_procs(zone, id, fds);
  if (count < 0) die("cannot open the sandbox's process list: %m");
  for (int i = 0; i < count; i++)
    if (write(fds[i], "0", 1) != 1) die("cannot enter the sandbox's cgroup: %m");
  execvp(command[0], command);
  die("cannot execute %s: %m", command[0]);
}

static uint32_t number(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

int main(int argc, char **argv) {
  struct cgroup_layout layout;
  struct cgroup_zone zone;
  if (argc < 3) die("usage: cgroup-probe MOUNTINFO COMMAND [ARGUMENT]...");
  const char *command = argv[2];
  char **rest = argv + 3;
  int count = argc - 3;
  if (cgroup_detect(argv[1], &layout) < 0) die("cannot detect: %m");
  if (strcmp(command, "detect") == 0) {
    print_layout(&layout);
  } else if (strcmp(command, "zone-open") == 0 && count == 2) {
    if (cgroup_zone_open(&layout, rest[0], number(rest[1]), OWN_ID_BASE, &zone) < 0) die("cannot open the zone: %m");
  } else if (strcmp(command, "zone-remove") == 0 && count == 2) {
    if (cgroup_zone_remove(&layout, rest[0], number(rest[1])) < 0) die("cannot remove the zone: %m");
  } else if (strcmp(command, "sweep") == 0 && count == 1) {
    cgroup_sweep(&layout, rest[0]);
  } else if (count >= 2) {
    open_zone(&layout, rest[0], &zone);
    uint32_t id = number(rest[1]);
    if (strcmp(command, "make") == 0) {
      if (cgroup_sandbox_make(&zone, id) < 0) die("cannot make: %m");
    } else if (strcmp(command, "limit") == 0 && count == 5) {
      struct run_limits limits = {
          .memory_bytes = strtoull(rest[2], NULL, 10), .pids = number(rest[3]), .cpu_milli = number(rest[4])};
      if (cgroup_sandbox_limit(&zone, id, &limits) < 0) die("cannot limit: %m");
    } else if (strcmp(command, "usage") == 0) {
      print_usage(&zone, id);
    } else if (strcmp(command, "enter") == 0 && count > 2) {
      enter(&zone, id, rest + 2);
    } else if (strcmp(command, "remove") == 0) {
      if (cgroup_sandbox_remove(&zone, id) < 0) die("cannot remove: %m");
    } else {
      die("unknown command: %s", command);
    }
  } else {
    die("unknown command or wrong number of arguments: %s", command);
  }
  return 0;
}
