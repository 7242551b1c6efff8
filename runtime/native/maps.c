/*
 * maps.c: see maps.h. The format is that of proc(5): address, permissions with 's' for shared, offset, device, inode, and
 * after blanks a name, of which all may be the process's own choice but its first byte: a file's is a slash, a kernel's
 * object has a bracket or a word there.
 */
#include "maps.h"

#include <string.h>

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* Behind the field and the blanks after it. */
static const char *after_field(const char *at) {
  at += strcspn(at, " \n");
  return at + strspn(at, " ");
}

static bool is_one_of(char c, const char *two) { return c == two[0] || c == two[1]; }

bool maps_line_shares_memory(const char *line, const char **name) {
  const char *permissions = after_field(line);
  *name = permissions;
  for (int i = 0; i < 4; i++) *name = after_field(*name);
  /* What is no line of maps says nothing good. */
  bool is_line = strcspn(line, " \n") > 0 && strcspn(permissions, " \n") == 4 && is_one_of(permissions[0], "r-") &&
                 is_one_of(permissions[1], "w-") && is_one_of(permissions[2], "x-") && is_one_of(permissions[3], "sp");
  if (is_line && permissions[3] == 'p') return false;
  if (!is_line || permissions[1] == 'w') return true;
  /* A mapping that may only be read now may be made writable later, unless it is of a file: those of an image are on a
   * read-only mount. What has a path and is none: shared anonymous memory (/dev/zero), memfd, System V. */
  return (*name)[0] != '/' || starts_with(*name, "/dev/") || starts_with(*name, "/memfd:") || starts_with(*name, "/SYSV");
}
