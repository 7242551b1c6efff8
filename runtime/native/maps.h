/* maps.h: lines of /proc/[pid]/maps. Pure. */
#ifndef ONCEBOX_MAPS_H
#define ONCEBOX_MAPS_H

#include <stdbool.h>

/* Whether the mapping is memory that forks would share, to read or, after an mprotect(2), to write. `*name` is what the
 * kernel calls it, "" when it has no name. */
bool maps_line_shares_memory(const char *line, const char **name);

#endif
