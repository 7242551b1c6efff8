/* mountinfo.h: which cgroup hierarchies there are, from the lines of /proc/self/mountinfo. Pure. */
#ifndef ONCEBOX_MOUNTINFO_H
#define ONCEBOX_MOUNTINFO_H

#include "oncebox.h"

/* Before the first line. */
void mountinfo_begin(struct cgroup_layout *layout, char v2[MAX_CGROUP_PATH]);
/* Takes what the line says: where a controller of v1 is, and where v2. Of several mounts the first counts. */
void mountinfo_line(const char *line, struct cgroup_layout *layout, char v2[MAX_CGROUP_PATH]);
/* Whether a list, separated by commas or blanks, has the word. */
bool mountinfo_has_word(const char *list, const char *word);

#endif
