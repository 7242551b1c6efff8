/*
 * removals.c: the launcher's part of taking cgroups away. The kernel may hold a cgroup for a moment after the last process of a
 * zone was reaped. Nobody waits for that here: it is tried again while others are served, and who waits for the zone's end
 * sees his connection close when nothing of it is left, or is told what is.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <unistd.h>

#define MAX_REMOVALS 1024
#define TRY_EVERY_USEC 10000u
#define GIVE_UP_USEC 10000000u

static struct removal removals[MAX_REMOVALS];
static size_t removal_count;

static void finish(const struct removal *removal, bool gone) {
  const uint32_t residue = RESIDUE_CGROUP;
  if (!gone) {
    log_line("oncebox-launcher: a cgroup stays busy: zone%u", removal->zone);
    if (removal->sandbox != 0) frame_post(removal->connection, FRAME_GONE, removal->sandbox, &residue, sizeof(residue), NULL, 0);
  }
  if (removal->directory >= 0) layers_release_directory(removal->directory, removal->connection);
  else if (removal->connection >= 0) close(removal->connection);
}

void removals_add(const struct launcher_view *launcher, struct removal removal) {
  bool gone = cgroup_zone_remove(launcher->cgroups, launcher->instance, removal.zone) == 0;
  if (gone || removal_count == MAX_REMOVALS) {
    finish(&removal, gone);
    return;
  }
  removal.since = now_usec();
  removals[removal_count++] = removal;
}

int removals_work(const struct launcher_view *launcher) {
  static uint64_t next;
  const uint64_t now = now_usec();
  if (removal_count == 0) return -1;
  if (now < next) return (int)((next - now) / 1000 + 1);
  for (size_t i = 0; i < removal_count;) {
    const struct removal removal = removals[i];
    bool gone = cgroup_zone_remove(launcher->cgroups, launcher->instance, removal.zone) == 0;
    if (!gone && now < removal.since + GIVE_UP_USEC) {
      i++;
      continue;
    }
    removals[i] = removals[--removal_count];
    finish(&removal, gone);
  }
  next = now_usec() + TRY_EVERY_USEC;
  return removal_count > 0 ? (int)(TRY_EVERY_USEC / 1000) : -1;
}

void removals_leave(void) {
  for (size_t i = 0; i < removal_count; i++)
    if (removals[i].connection >= 0) close(removals[i].connection);
  removal_count = 0;
}
