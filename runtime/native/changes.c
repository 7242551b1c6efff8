/* placeholder */
#define _GNU_SOURCE
#include "oncebox.h"
#include <errno.h>
void changes_note_platform(int tmpfs, struct platform_files *out) { (void)tmpfs; out->count = 0; }
int changes_start(int tmpfs, const char *layers, bool scratch, const struct platform_files *platform,
                  const struct filter *filter, uint64_t max_bytes, int *pidfd) {
  (void)tmpfs; (void)layers; (void)scratch; (void)platform; (void)filter; (void)max_bytes; *pidfd = -1; errno = ENOSYS; return -1; }
