/* disk-use.c: what a sandbox's writable layer holds, and has held. */
#define _GNU_SOURCE
#include "oncebox.h"

#include <sys/statfs.h>

/* Looks at all layers fall on the same moments, so that the agent wakes once for all its sandboxes. */
#define LOOK_USEC 50000u
#define LOOK_NEAR_USEC 5000u

/* The kernel counts no write that it refused. A cap that was reached is one that was seen so, and a file that is freed
 * before anybody looks was never there: so whoever is near the cap is looked at more often. */
uint64_t disk_look(int tmpfs, struct disk_use *use) {
  const uint64_t now = now_usec();
  struct statfs disk;
  uint64_t every = LOOK_USEC;
  if (fstatfs(tmpfs, &disk) == 0) {
    const uint64_t bytes = (uint64_t)(disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
    const uint64_t inodes = (uint64_t)(disk.f_files - disk.f_ffree);
    if (bytes > use->peak_bytes) use->peak_bytes = bytes;
    if (inodes > use->peak_inodes) use->peak_inodes = inodes;
    use->was_full |= disk.f_bfree == 0;
    use->inodes_were_full |= disk.f_ffree == 0;
    if (disk.f_bfree < disk.f_blocks / 2 || disk.f_ffree < disk.f_files / 2) every = LOOK_NEAR_USEC;
  }
  return (now / every + 1) * every;
}
