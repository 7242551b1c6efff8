/*
 * cgroup.c: caps and accounts, on cgroup v1 and v2.
 *
 * The launcher makes <mount>/oncebox/<instance>/<zone> in every hierarchy that is needed and gives the directory to
 * the zone's root. From then on the agent makes, limits, reads and removes its sandboxes' directories itself,
 * through the directory descriptors, so no root process takes part in an invocation. What bounds the zone as a
 * whole stays root's. On v2 a cgroup with children may hold no process, so the agent and the inits of its shells live in
 * <zone>/agent; v1 does the same for likeness. The zygote, which may be an image's own program, lives in <zone>/zygote,
 * whose caps are root's.
 */
#define _GNU_SOURCE
#include "mountinfo.h"
#include "oncebox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* What a zygote and its children on their way into a sandbox may have together. Node at rest takes about 60 MiB; and what
 * the kernel spends on a fork, 0.9 MiB, stays on this account as long as the child lives, wherever it moves. So a zygote
 * that is trusted has room for MAX_SANDBOXES of them; any other for as many as one image or function should have. */
#define TRUSTED_ZYGOTE_MEMORY (8ull << 30)
#define ZYGOTE_MEMORY (2ull << 30)
#define ZYGOTE_PIDS "512"

/* A controller that is on v1, or disabled on the kernel's command line, is missing here. Said at the start, not by
 * every zone. */
static bool has_controllers(const char *mount) {
  char path[320], text[256];
  snprintf(path, sizeof(path), "%s/cgroup.controllers", mount);
  if (read_file_at(AT_FDCWD, path, text, sizeof(text)) < 0) return false;
  return mountinfo_has_word(text, "cpu") && mountinfo_has_word(text, "memory") && mountinfo_has_word(text, "pids");
}

int cgroup_detect(const char *mountinfo, struct cgroup_layout *layout) {
  char v2[MAX_CGROUP_PATH], *line = NULL;
  size_t size = 0;
  FILE *file = fopen(mountinfo, "re");
  if (!file) return -1;
  mountinfo_begin(layout, v2);
  while (getline(&line, &size, file) >= 0) mountinfo_line(line, layout, v2);
  free(line);
  fclose(file);
  if (layout->cpu >= 0 && layout->cpuacct >= 0 && layout->memory >= 0 && layout->pids >= 0) {
    layout->version = 1;
    return 0;
  }
  if (v2[0] == '\0') {
    errno = ENOTSUP;
    return -1;
  }
  *layout = (struct cgroup_layout){.version = 2, .count = 1};
  snprintf(layout->mount[0], sizeof(layout->mount[0]), "%s", v2);
  if (has_controllers(v2)) return 0;
  errno = ENOTSUP;
  return -1;
}

/* The number behind `key` in the text of a flat keyed file such as memory.events. */
static uint64_t keyed_in(const char *text, const char *key) {
  size_t length = strlen(key);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, length) == 0 && line[length] == ' ') return strtoull(line + length, NULL, 10);
  }
  return 0;
}

static uint64_t keyed(int dir, const char *path, const char *key) {
  char text[4096];
  return read_file_at(dir, path, text, sizeof(text)) < 0 ? 0 : keyed_in(text, key);
}

/* For cpu.max, or for cpu.cfs_quota_us, whose period is the same by default. */
static void cpu_text(char *text, size_t size, bool v2, uint32_t cpu_milli) {
  const uint64_t period = 100000;
  uint64_t quota = cpu_milli * period / 1000;
  if (quota < 1000) quota = 1000; /* the kernel's least */
  if (v2) snprintf(text, size, "%llu %llu", (unsigned long long)quota, (unsigned long long)period);
  else snprintf(text, size, "%llu", (unsigned long long)quota);
}

/* True when a line of the list is that number. */
static bool has_member(const char *list, pid_t pid) {
  for (const char *line = list; *line; line += strspn(line, "\n")) {
    char *end;
    if (strtol(line, &end, 10) == pid) return true;
    line = end + strcspn(end, "\n");
  }
  return false;
}

/* How many are held at once. */
#define MEMBERS 64

/* By descriptor: a process of the list may end, and its number be a stranger's, before it is signalled. Who is held, has a
 * number that is a member's in a second list, and is not reaped by the time of the signal, has had it all along. */
static void kill_listed(int dir) {
  static char text[65536], again[sizeof(text)];
  if (read_file_at(dir, "cgroup.procs", text, sizeof(text)) <= 0) return;
  for (char *line = text; *line;) {
    pid_t pids[MEMBERS];
    int pidfds[MEMBERS], count = 0;
    while (*line && count < MEMBERS) {
      pids[count] = (pid_t)strtol(line, &line, 10);
      line += strcspn(line, "\n");
      line += *line == '\n';
      if (pids[count] > 1 && (pidfds[count] = (int)syscall(SYS_pidfd_open, pids[count], 0)) >= 0) count++;
    }
    if (read_file_at(dir, "cgroup.procs", again, sizeof(again)) <= 0) again[0] = '\0';
    for (int i = 0; i < count; i++) {
      if (has_member(again, pids[i])) syscall(SYS_pidfd_send_signal, pidfds[i], SIGKILL, NULL, 0);
      close(pidfds[i]);
    }
  }
}

/* All at once where the kernel can, since Linux 5.14 on v2: so nothing forks ahead of it. */
static void kill_members(int dir) {
  if (write_file_at(dir, "cgroup.kill", "1") < 0) kill_listed(dir);
}

/* Removes a directory and all below it, killing what still runs in it: by construction that is ours. False, with errno, when
 * something is left: a killed process leaves its cgroup a moment later. */
static bool remove_tree(int parent, const char *name) {
  int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (dir < 0) return errno == ENOENT;
  DIR *entries = fdopendir(dup(dir));
  if (entries) {
    for (struct dirent *entry; (entry = readdir(entries));)
      if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_tree(dir, entry->d_name);
    closedir(entries);
  }
  bool gone = unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
  int saved = errno;
  if (!gone) kill_members(dir);
  close(dir);
  errno = saved;
  return gone;
}

static int open_dir(int parent, const char *path) {
  return openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* On v2 children get only the controllers their parent hands down. */
static int hand_down(int dir) {
  return write_file_at(dir, "cgroup.subtree_control", "+cpu +memory +pids");
}

/* "No internal processes": inside a container the root of the hierarchy is no real root and may not hand down
 * controllers while it has members. Move them into a leaf, as init systems do. */
static int empty_root(int mount) {
  if (mkdirat(mount, "init", 0755) < 0 && errno != EEXIST) return -1;
  char text[65536];
  if (read_file_at(mount, "cgroup.procs", text, sizeof(text)) < 0) return -1;
  for (char *line = text, *rest; (line = strtok_r(line, "\n", &rest)); line = NULL)
    write_file_at(mount, "init/cgroup.procs", line); /* A process may have ended since: nothing to move. */
  return hand_down(mount);
}

static int make_and_open(int parent, const char *name, bool v2) {
  if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) return -1;
  int dir = open_dir(parent, name);
  if (dir >= 0 && v2 && hand_down(dir) < 0) {
    close(dir);
    return -1;
  }
  return dir;
}

static int open_instance(const struct cgroup_layout *layout, int hierarchy, const char *instance) {
  int mount = open_dir(AT_FDCWD, layout->mount[hierarchy]);
  if (mount < 0) return -1;
  bool v2 = layout->version == 2;
  int ours = -1, dir = -1;
  if (!v2 || hand_down(mount) == 0 || (errno == EBUSY && empty_root(mount) == 0))
    ours = make_and_open(mount, "oncebox", v2);
  if (ours >= 0) dir = make_and_open(ours, instance, v2);
  int saved = errno;
  close(mount);
  if (ours >= 0) close(ours);
  errno = saved;
  return dir;
}

static void sweep_mount(const char *mount, const char *instance) {
  char path[320];
  snprintf(path, sizeof(path), "%s/oncebox", mount);
  int ours = open_dir(AT_FDCWD, path);
  if (ours < 0) return;
  /* Nobody is being served: at most ten seconds for whoever was killed. */
  for (int attempt = 0; attempt < 1000 && !remove_tree(ours, instance) && errno == EBUSY; attempt++)
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  close(ours);
  rmdir(path); /* Fails when another instance is there, as it should. */
}

/* Takes away what a crashed predecessor of this instance left, and at the end what we made. */
void cgroup_sweep(const struct cgroup_layout *layout, const char *instance) {
  for (int i = 0; i < layout->count; i++) sweep_mount(layout->mount[i], instance);
  if (layout->blkio[0]) sweep_mount(layout->blkio, instance);
}

/* ---- how much of the disk a zone may have. What sandboxes write is in memory: what there is to throttle are reads of
 * layers, and builds. v1 sees no writes but direct ones; v2 accounts for those of the page cache too ---- */

const char *cgroup_throttle(struct cgroup_layout *layout, const char *path, uint64_t bytes_per_second) {
  struct stat file;
  char name[128], text[64];
  if (layout->version == 1 && !layout->blkio[0]) return "the blkio controller is not mounted";
  if (layout->version == 2) {
    char controllers[256];
    int dir = open_dir(AT_FDCWD, layout->mount[0]);
    bool read = dir >= 0 && read_file_at(dir, "cgroup.controllers", controllers, sizeof(controllers)) >= 0;
    if (dir >= 0) close(dir);
    if (!read || !mountinfo_has_word(controllers, "io"))
      return "there is no io controller";
  }
  if (stat(path, &file) < 0 || major(file.st_dev) == 0) return "the layers lie on no block device";
  /* Of a partition it is the whole disk that is throttled. */
  snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/partition", major(file.st_dev), minor(file.st_dev));
  bool partition = access(name, F_OK) == 0;
  snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/%sdev", major(file.st_dev), minor(file.st_dev), partition ? "../" : "");
  if (read_file_at(AT_FDCWD, name, text, sizeof(text)) < 0 || sscanf(text, "%u:%u", &layout->io_major, &layout->io_minor) != 2)
    return "the layers' block device has no name";
  layout->io_bytes = bytes_per_second;
  return NULL;
}

/* By the directory's owner, who is the host's root: nobody in the zone can change it. */
static int throttle_v2(const struct cgroup_layout *layout, const char *instance, int zone) {
  char path[384], text[128];
  const char *const above[] = {"", "/oncebox", "/oncebox/"};
  for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
    snprintf(path, sizeof(path), "%s%s%s/cgroup.subtree_control", layout->mount[0], above[i], i == 2 ? instance : "");
    if (write_file_at(AT_FDCWD, path, "+io") < 0) return -1;
  }
  unsigned long long bytes = layout->io_bytes;
  snprintf(text, sizeof(text), "%u:%u rbps=%llu wbps=%llu", layout->io_major, layout->io_minor, bytes, bytes);
  return write_file_at(zone, "io.max", text);
}

/* v1: one directory a zone, which its agent is put into; whatever it forks is in there too, and never leaves. */
static int throttle_v1(const struct cgroup_layout *layout, const char *instance, const char *name) {
  int mount = open_dir(AT_FDCWD, layout->blkio), ours = -1, parent = -1, dir = -1;
  if (mount >= 0) ours = make_and_open(mount, "oncebox", false);
  if (ours >= 0) parent = make_and_open(ours, instance, false);
  if (parent >= 0) dir = make_and_open(parent, name, false);
  int saved = errno;
  if (mount >= 0) close(mount);
  if (ours >= 0) close(ours);
  if (parent >= 0) close(parent);
  errno = saved;
  if (dir < 0) return -1;
  char text[64];
  snprintf(text, sizeof(text), "%u:%u %llu", layout->io_major, layout->io_minor, (unsigned long long)layout->io_bytes);
  if (write_file_at(dir, "blkio.throttle.read_bps_device", text) == 0 &&
      write_file_at(dir, "blkio.throttle.write_bps_device", text) == 0)
    return dir;
  saved = errno;
  close(dir);
  errno = saved;
  return -1;
}

/* Its agent's, which ends the sandboxes that are its siblings: however many of them spin, it has its turn before them. These
 * are the greatest weights there are. */
static int make_agent_leaf(const struct cgroup_layout *layout, int hierarchy, int zone) {
  if (mkdirat(zone, "agent", 0755) < 0 && errno != EEXIST) return -1;
  if (layout->version == 2) return write_file_at(zone, "agent/cpu.weight", "10000");
  return hierarchy == layout->cpu ? write_file_at(zone, "agent/cpu.shares", "262144") : 0;
}

/* A leaf that the zone may enter, and whose caps it cannot change: it owns no other file of it. On v1 each hierarchy takes
 * the cap that is its own. */
static int make_zygote_leaf(const struct cgroup_layout *layout, int hierarchy, int zone, uint32_t owner) {
  const bool v2 = layout->version == 2;
  if (mkdirat(zone, "zygote", 0755) < 0 && errno != EEXIST) return -1;
  if ((v2 || hierarchy == layout->pids) && write_file_at(zone, "zygote/pids.max", ZYGOTE_PIDS) < 0) return -1;
  return fchownat(zone, "zygote/cgroup.procs", owner, owner, 0);
}

int cgroup_zygote_limit(const struct cgroup_zone *zone, bool trusted, uint64_t bytes) {
  bool v2 = zone->layout.version == 2;
  char memory[32];
  if (trusted) bytes = TRUSTED_ZYGOTE_MEMORY;
  else if (bytes == 0 || bytes > ZYGOTE_MEMORY) bytes = ZYGOTE_MEMORY;
  snprintf(memory, sizeof(memory), "%llu", (unsigned long long)bytes);
  if (write_file_at(zone->dir[v2 ? 0 : zone->layout.memory], v2 ? "zygote/memory.max" : "zygote/memory.limit_in_bytes",
                    memory) < 0)
    return -1;
  if (trusted) return 0;
  char cpu[64];
  cpu_text(cpu, sizeof(cpu), v2, 1000);
  return write_file_at(zone->dir[v2 ? 0 : zone->layout.cpu], v2 ? "zygote/cpu.max" : "zygote/cpu.cfs_quota_us", cpu);
}

static uint64_t number(int dir, const char *path) {
  char text[64];
  return read_file_at(dir, path, text, sizeof(text)) < 0 ? 0 : strtoull(text, NULL, 10);
}

void cgroup_zygote_memory(const struct cgroup_zone *zone, uint64_t *now, uint64_t *peak) {
  bool v2 = zone->layout.version == 2;
  int dir = zone->dir[v2 ? 0 : zone->layout.memory];
  uint64_t used = number(dir, v2 ? "zygote/memory.current" : "zygote/memory.usage_in_bytes");
  /* What it has read of its image and has not looked at since, the kernel takes back before anyone goes without. */
  uint64_t cached = keyed(dir, "zygote/memory.stat", v2 ? "inactive_file" : "total_inactive_file");
  *now = used > cached ? used - cached : 0;
  *peak = number(dir, v2 ? "zygote/memory.peak" : "zygote/memory.max_usage_in_bytes");
}

void cgroup_zygote_enter(const struct cgroup_zone *zone) {
  for (int i = 0; i < zone->layout.count; i++)
    if (write_file_at(zone->dir[i], "zygote/cgroup.procs", "0") < 0) die("cannot enter the zygote's cgroup: %m");
}

/* Sandboxes never swap: what they may hold is what the node has room for. v1 can only be asked to. Absent without swap
 * support. */
static int never_swap(const struct cgroup_layout *layout, int hierarchy, int zone) {
  if (layout->version == 1 && hierarchy != layout->memory) return 0;
  int result = write_file_at(zone, layout->version == 2 ? "memory.swap.max" : "memory.swappiness", "0");
  return result < 0 && errno == ENOENT ? 0 : result;
}

int cgroup_zone_open(const struct cgroup_layout *layout, const char *instance, uint32_t id, uint32_t owner,
                     struct cgroup_zone *zone) {
  zone->layout = *layout;
  zone->blkio = -1;
  char name[32];
  snprintf(name, sizeof(name), "zone%u", id);
  for (int i = 0; i < layout->count; i++) {
    int parent = open_instance(layout, i, instance);
    if (parent < 0) return -1;
    int dir = make_and_open(parent, name, layout->version == 2);
    int saved = errno;
    close(parent);
    errno = saved;
    if (dir < 0) return -1;
    zone->dir[i] = dir;
    /* Before there is any below it: on v1 they have what is here when they are made. */
    if (never_swap(layout, i, dir) < 0) return -1;
    if (make_agent_leaf(layout, i, dir) < 0) return -1;
    if (make_zygote_leaf(layout, i, dir, owner) < 0) return -1;
    /* Delegation, as cgroup-v2.rst has it: the directory and the files through which processes move; not the
     * limits of the directory itself. */
    if (fchown(dir, owner, owner) < 0) return -1;
    if (fchownat(dir, "cgroup.procs", owner, owner, 0) < 0) return -1;
    if (layout->version == 2 && fchownat(dir, "cgroup.subtree_control", owner, owner, 0) < 0) return -1;
  }
  if (layout->io_bytes == 0) return 0;
  if (layout->version == 2) return throttle_v2(layout, instance, zone->dir[0]);
  zone->blkio = throttle_v1(layout, instance, name);
  return zone->blkio < 0 ? -1 : 0;
}

void cgroup_zone_close(struct cgroup_zone *zone) {
  for (int i = 0; i < MAX_CGROUP_DIRS; i++) {
    if (zone->dir[i] >= 0) close(zone->dir[i]);
    zone->dir[i] = -1;
  }
  if (zone->blkio >= 0) close(zone->blkio);
  zone->blkio = -1;
}

int cgroup_zone_enter(const struct cgroup_zone *zone, pid_t pid) {
  char text[16];
  snprintf(text, sizeof(text), "%d", pid);
  for (int i = 0; i < zone->layout.count; i++)
    if (write_file_at(zone->dir[i], "agent/cgroup.procs", text) < 0) return -1;
  if (zone->blkio >= 0) return write_file_at(zone->blkio, "cgroup.procs", text);
  return 0;
}

static bool remove_zone(const char *mount, const char *instance, uint32_t id) {
  char path[384], name[32];
  snprintf(path, sizeof(path), "%s/oncebox/%s", mount, instance);
  snprintf(name, sizeof(name), "zone%u", id);
  int dir = open_dir(AT_FDCWD, path);
  if (dir < 0) return errno == ENOENT;
  bool gone = remove_tree(dir, name);
  int saved = errno;
  close(dir);
  errno = saved;
  return gone;
}

int cgroup_zone_remove(const struct cgroup_layout *layout, const char *instance, uint32_t id) {
  int left = 0; /* errno of one that is */
  for (int i = 0; i < layout->count; i++)
    if (!remove_zone(layout->mount[i], instance, id)) left = errno;
  if (layout->version == 1 && layout->io_bytes > 0 && !remove_zone(layout->blkio, instance, id)) left = errno;
  errno = left;
  return left == 0 ? 0 : -1;
}

int cgroup_zone_limit(const struct cgroup_zone *zone, const struct build_limits *limits) {
  const struct cgroup_layout *layout = &zone->layout;
  char memory[32], pids[16], cpu[64];
  snprintf(memory, sizeof(memory), "%llu", (unsigned long long)limits->memory_bytes);
  snprintf(pids, sizeof(pids), "%u", limits->pids);
  bool v2 = layout->version == 2;
  cpu_text(cpu, sizeof(cpu), v2, limits->cpu_milli);
  if (write_file_at(zone->dir[layout->version == 2 ? 0 : layout->memory], v2 ? "memory.max" : "memory.limit_in_bytes",
                    memory) < 0)
    return -1;
  if (write_file_at(zone->dir[v2 ? 0 : layout->cpu], v2 ? "cpu.max" : "cpu.cfs_quota_us", cpu) < 0) return -1;
  return write_file_at(zone->dir[v2 ? 0 : layout->pids], "pids.max", pids);
}

uint32_t cgroup_zone_oom_kills(const struct cgroup_zone *zone) {
  bool v2 = zone->layout.version == 2;
  return (uint32_t)keyed(zone->dir[v2 ? 0 : zone->layout.memory],
                         v2 ? "agent/memory.events" : "agent/memory.oom_control", "oom_kill");
}

/* v2 counts an event where the fork was tried, v1 where the cap is. */
uint32_t cgroup_zone_pids_refused(const struct cgroup_zone *zone) {
  bool v2 = zone->layout.version == 2;
  int dir = zone->dir[v2 ? 0 : zone->layout.pids];
  uint64_t below = keyed(dir, "agent/pids.events", "max"), here = keyed(dir, "pids.events", "max");
  return (uint32_t)(below > here ? below : here);
}

/* ---- one sandbox; `s<id>` below the zone ---- */

static int sandbox_path(char *path, size_t size, uint32_t id, const char *file) {
  return snprintf(path, size, "s%u/%s", id, file);
}

static int sandbox_write(const struct cgroup_zone *zone, int hierarchy, uint32_t id, const char *file,
                         const char *text) {
  char path[96];
  sandbox_path(path, sizeof(path), id, file);
  return write_file_at(zone->dir[hierarchy], path, text);
}

static uint64_t sandbox_number(const struct cgroup_zone *zone, int hierarchy, uint32_t id, const char *file) {
  char path[96];
  sandbox_path(path, sizeof(path), id, file);
  return number(zone->dir[hierarchy], path);
}

static uint64_t sandbox_keyed(const struct cgroup_zone *zone, int hierarchy, uint32_t id, const char *file,
                              const char *key) {
  char path[96];
  sandbox_path(path, sizeof(path), id, file);
  return keyed(zone->dir[hierarchy], path, key);
}

int cgroup_sandbox_make(const struct cgroup_zone *zone, uint32_t id) {
  char name[32];
  snprintf(name, sizeof(name), "s%u", id);
  for (int i = 0; i < zone->layout.count; i++)
    if (mkdirat(zone->dir[i], name, 0755) < 0) {
      int saved = errno;
      while (--i >= 0) unlinkat(zone->dir[i], name, AT_REMOVEDIR);
      errno = saved;
      return -1;
    }
  return 0;
}

int cgroup_sandbox_procs(const struct cgroup_zone *zone, uint32_t id, int fds[MAX_CGROUP_DIRS]) {
  char path[96];
  /* A single-threaded process moves itself. Through `tasks` the kernel takes no lock that stops every fork and exit
   * of the machine for a grace period (cgroup_procs_write_start, Linux 5.17): milliseconds less, each time. v2 has
   * no such file for a cgroup with memory control. */
  sandbox_path(path, sizeof(path), id, zone->layout.version == 2 ? "cgroup.procs" : "tasks");
  for (int i = 0; i < zone->layout.count; i++) {
    fds[i] = openat(zone->dir[i], path, O_WRONLY | O_CLOEXEC);
    if (fds[i] < 0) {
      int saved = errno;
      while (--i >= 0) close(fds[i]);
      errno = saved;
      return -1;
    }
  }
  return zone->layout.count;
}

int cgroup_sandbox_limit(const struct cgroup_zone *zone, uint32_t id, const struct run_limits *limits) {
  const struct cgroup_layout *layout = &zone->layout;
  char memory[32], pids[16], cpu[64];
  cpu_text(cpu, sizeof(cpu), layout->version == 2, limits->cpu_milli);
  snprintf(memory, sizeof(memory), "%llu", (unsigned long long)limits->memory_bytes);
  snprintf(pids, sizeof(pids), "%u", limits->pids);
  if (layout->version == 2) {
    if (sandbox_write(zone, 0, id, "memory.max", memory) < 0) return -1;
    /* A sandbox that ran out of memory is of no use in parts. */
    sandbox_write(zone, 0, id, "memory.oom.group", "1");
    if (sandbox_write(zone, 0, id, "cpu.max", cpu) < 0) return -1;
    return sandbox_write(zone, 0, id, "pids.max", pids);
  }
  if (sandbox_write(zone, layout->pids, id, "pids.max", pids) < 0) return -1;
  if (sandbox_write(zone, layout->cpu, id, "cpu.cfs_quota_us", cpu) < 0) return -1;
  /* The last, for it fails where more is in use than can be given back. */
  return sandbox_write(zone, layout->memory, id, "memory.limit_in_bytes", memory);
}

uint64_t cgroup_sandbox_cpu_usec(const struct cgroup_zone *zone, uint32_t id) {
  if (zone->layout.version == 2) return sandbox_keyed(zone, 0, id, "cpu.stat", "usage_usec");
  return sandbox_number(zone, zone->layout.cpuacct, id, "cpuacct.usage") / 1000;
}

uint64_t cgroup_sandbox_memory(const struct cgroup_zone *zone, uint32_t id) {
  if (zone->layout.version == 2) return sandbox_number(zone, 0, id, "memory.current");
  return sandbox_number(zone, zone->layout.memory, id, "memory.usage_in_bytes");
}

uint64_t cgroup_sandbox_memory_peak(const struct cgroup_zone *zone, uint32_t id) {
  if (zone->layout.version == 2) return sandbox_number(zone, 0, id, "memory.peak"); /* since Linux 5.19 */
  return sandbox_number(zone, zone->layout.memory, id, "memory.max_usage_in_bytes");
}

/* Sums of a file with a line for each CPU: its number, nanoseconds in programs, nanoseconds in the kernel. They are taken
 * at ticks of the clock on most kernels; so they tell only in what proportion the exact sum falls apart, as
 * cputime_adjust() in the kernel has it. */
static void split_cpu(const char *text, struct cgroup_usage *out) {
  uint64_t user = 0, system = 0;
  for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
    unsigned long long in_user, in_kernel;
    if (sscanf(line, "%*u %llu %llu", &in_user, &in_kernel) != 2) continue;
    user += in_user;
    system += in_kernel;
  }
  double share = user + system > 0 ? (double)system / (double)(user + system) : 0;
  out->cpu_system_usec = (uint64_t)((double)out->cpu_usec * share);
  out->cpu_user_usec = out->cpu_usec - out->cpu_system_usec;
}

/* Linux 6.9 on v2 and 6.11 on v1. Asked of the first sandbox, it is true of all. */
static void read_pids_peak(const struct cgroup_zone *zone, uint32_t id, struct cgroup_usage *out) {
  static bool absent;
  char path[96], text[32];
  if (absent) return;
  sandbox_path(path, sizeof(path), id, "pids.peak");
  out->knows_pids_peak = read_file_at(zone->dir[zone->layout.version == 2 ? 0 : zone->layout.pids], path, text, sizeof(text)) > 0;
  if (out->knows_pids_peak) out->pids_peak = (uint32_t)strtoul(text, NULL, 10);
  else absent = errno == ENOENT;
}

/* psi.rst: "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS". v2 only, if the kernel has it and it is on. */
static bool read_pressure(const struct cgroup_zone *zone, uint32_t id, const char *file, uint64_t *usec) {
  char path[96], text[256];
  sandbox_path(path, sizeof(path), id, file);
  if (read_file_at(zone->dir[0], path, text, sizeof(text)) <= 0) return false;
  const char *total = strstr(text, "total=");
  if (!total || strncmp(text, "some ", 5) != 0) return false;
  *usec = strtoull(total + 6, NULL, 10);
  return true;
}

static void read_usage_v2(const struct cgroup_zone *zone, uint32_t id, struct cgroup_usage *out) {
  static bool no_pressure;
  char path[96], text[4096];
  sandbox_path(path, sizeof(path), id, "cpu.stat");
  if (read_file_at(zone->dir[0], path, text, sizeof(text)) > 0) {
    out->cpu_usec = keyed_in(text, "usage_usec");
    out->cpu_user_usec = keyed_in(text, "user_usec");
    out->cpu_system_usec = keyed_in(text, "system_usec");
    out->throttled_usec = keyed_in(text, "throttled_usec");
  }
  if (no_pressure) return;
  out->knows_pressure = read_pressure(zone, id, "cpu.pressure", &out->cpu_pressure_usec) &&
                        read_pressure(zone, id, "memory.pressure", &out->memory_pressure_usec) &&
                        read_pressure(zone, id, "io.pressure", &out->io_pressure_usec);
  no_pressure = !out->knows_pressure && errno == ENOENT;
}

/* What a CPU is handed of a group's time at once (sched_cfs_bandwidth_slice_us). */
#define CPU_SLICE_USEC 5000

static void read_usage_v1(const struct cgroup_zone *zone, uint32_t id, uint32_t cpu_milli, struct cgroup_usage *out) {
  static char text[65536];
  char path[96];
  out->cpu_usec = cgroup_sandbox_cpu_usec(zone, id);
  sandbox_path(path, sizeof(path), id, "cpuacct.usage_all");
  if (read_file_at(zone->dir[zone->layout.cpuacct], path, text, sizeof(text)) < 0) text[0] = '\0';
  split_cpu(text, out);
  /* Most runs are over before they have used up one slice, and whose cap is larger than that has not been kept waiting. */
  if (out->cpu_usec < CPU_SLICE_USEC && cpu_milli * 100 > CPU_SLICE_USEC) return;
  out->throttled_usec = sandbox_keyed(zone, zone->layout.cpu, id, "cpu.stat", "throttled_time") / 1000;
}

void cgroup_sandbox_usage(const struct cgroup_zone *zone, uint32_t id, uint32_t cpu_milli, struct cgroup_usage *out) {
  *out = (struct cgroup_usage){.memory_peak_bytes = cgroup_sandbox_memory_peak(zone, id)};
  if (zone->layout.version == 2) read_usage_v2(zone, id, out);
  else read_usage_v1(zone, id, cpu_milli, out);
  read_pids_peak(zone, id, out);
}

uint32_t cgroup_sandbox_oom_kills(const struct cgroup_zone *zone, uint32_t id) {
  if (zone->layout.version == 2) return (uint32_t)sandbox_keyed(zone, 0, id, "memory.events", "oom_kill");
  return (uint32_t)sandbox_keyed(zone, zone->layout.memory, id, "memory.oom_control", "oom_kill");
}

uint32_t cgroup_sandbox_pids_refused(const struct cgroup_zone *zone, uint32_t id) {
  int at = zone->layout.version == 2 ? 0 : zone->layout.pids;
  return (uint32_t)sandbox_keyed(zone, at, id, "pids.events", "max");
}

void cgroup_sandbox_kill(const struct cgroup_zone *zone, uint32_t id) {
  for (int i = 0; i < zone->layout.count; i++) {
    char name[32];
    snprintf(name, sizeof(name), "s%u", id);
    int dir = open_dir(zone->dir[i], name);
    if (dir < 0) continue;
    kill_members(dir);
    close(dir);
  }
}

static uint32_t count_members(int dir, const char *file) {
  char text[65536];
  uint32_t count = 0;
  if (read_file_at(dir, file, text, sizeof(text)) <= 0) return 0;
  for (const char *at = text; (at = strchr(at, '\n')); at++) count++;
  return count;
}

uint32_t cgroup_sandbox_processes(const struct cgroup_zone *zone, uint32_t id) {
  char path[96];
  sandbox_path(path, sizeof(path), id, "cgroup.procs");
  return count_members(zone->dir[0], path);
}

/* 0: not exactly one. */
static pid_t only_member(const struct cgroup_zone *zone, uint32_t id) {
  char path[96], text[64], *end;
  sandbox_path(path, sizeof(path), id, "cgroup.procs");
  if (read_file_at(zone->dir[0], path, text, sizeof(text)) <= 0) return 0;
  long pid = strtol(text, &end, 10);
  return pid > 1 && strcmp(end, "\n") == 0 ? (pid_t)pid : 0;
}

int cgroup_sandbox_open_process(const struct cgroup_zone *zone, uint32_t id) {
  pid_t pid = only_member(zone, id);
  int pidfd = pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
  if (pid == 0) errno = ESRCH;
  if (pidfd < 0) return -1;
  /* The process may have ended in between, and its number be another's. If the number is a member's now, and who we hold
   * is not reaped after that, then he has had it all the time. */
  if (only_member(zone, id) == pid && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0) return pidfd;
  close(pidfd);
  errno = ESRCH;
  return -1;
}

uint32_t cgroup_zygote_processes(const struct cgroup_zone *zone) {
  return count_members(zone->dir[0], "zygote/cgroup.procs");
}

int cgroup_sandbox_remove(const struct cgroup_zone *zone, uint32_t id) {
  char name[32];
  snprintf(name, sizeof(name), "s%u", id);
  int result = 0;
  for (int i = 0; i < zone->layout.count; i++)
    if (unlinkat(zone->dir[i], name, AT_REMOVEDIR) < 0 && errno != ENOENT) result = -1;
  return result;
}
