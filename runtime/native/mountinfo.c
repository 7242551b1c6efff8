/*
 * mountinfo.c: see mountinfo.h. The format is that of proc(5): id, parent, device, root, mount point, options, optional
 * fields, "-", file system type, source, super options; blanks, tabs, newlines and backslashes in a field are octal.
 */
#define _GNU_SOURCE
#include "mountinfo.h"

#include <string.h>

struct field {
  const char *text;
  size_t length;
};

/* The field at *at, which goes on behind the blank after it. Empty at the end of the line. */
static struct field next_field(const char **at) {
  struct field field = {*at, strcspn(*at, " \n")};
  *at += field.length;
  if (**at == ' ') ++*at;
  return field;
}

static bool is(struct field field, const char *text) {
  return field.length == strlen(text) && memcmp(field.text, text, field.length) == 0;
}

static bool is_octal(char digit) { return digit >= '0' && digit <= '7'; }

/* A path as it is; false when it is none, or longer than those that we keep. */
static bool unescape(struct field field, char path[MAX_CGROUP_PATH]) {
  size_t length = 0;
  for (size_t at = 0; at < field.length; at++, length++) {
    const char *from = field.text + at;
    if (length == MAX_CGROUP_PATH - 1) return false;
    path[length] = *from;
    if (*from != '\\') continue;
    if (field.length - at < 4 || from[1] > '3' || !is_octal(from[1]) || !is_octal(from[2]) || !is_octal(from[3])) return false;
    path[length] = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
    if (path[length] == '\0') return false;
    at += 3;
  }
  path[length] = '\0';
  return path[0] == '/';
}

static bool ends_word(char c) { return c == '\0' || c == ',' || c == ' ' || c == '\n'; }

bool mountinfo_has_word(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length)
    if ((at == list || ends_word(at[-1])) && ends_word(at[length])) return true;
  return false;
}

/* The place of a mount in the layout; -1 when there is no room for one more. */
static int add_mount(struct cgroup_layout *layout, const char *path) {
  for (int i = 0; i < layout->count; i++)
    if (strcmp(layout->mount[i], path) == 0) return i;
  if (layout->count == MAX_CGROUP_DIRS) return -1;
  strcpy(layout->mount[layout->count], path);
  return layout->count++;
}

void mountinfo_begin(struct cgroup_layout *layout, char v2[MAX_CGROUP_PATH]) {
  *layout = (struct cgroup_layout){.cpu = -1, .cpuacct = -1, .memory = -1, .pids = -1};
  v2[0] = '\0';
}

void mountinfo_line(const char *line, struct cgroup_layout *layout, char v2[MAX_CGROUP_PATH]) {
  char path[MAX_CGROUP_PATH];
  for (int i = 0; i < 4; i++) next_field(&line);
  struct field mount = next_field(&line), field;
  next_field(&line); /* its options */
  do field = next_field(&line);
  while (field.length > 0 && !is(field, "-"));
  if (field.length == 0) return;
  struct field type = next_field(&line);
  next_field(&line); /* the source */
  if (is(type, "cgroup2") && v2[0] == '\0' && unescape(mount, path)) strcpy(v2, path);
  if (!is(type, "cgroup") || !unescape(mount, path)) return;
  const struct {
    const char *name;
    int *place;
  } controllers[] = {{"cpu", &layout->cpu}, {"cpuacct", &layout->cpuacct}, {"memory", &layout->memory}, {"pids", &layout->pids}};
  for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
    if (*controllers[i].place < 0 && mountinfo_has_word(line, controllers[i].name))
      *controllers[i].place = add_mount(layout, path);
  /* Not one of the hierarchies that every sandbox has a directory in. */
  if (layout->blkio[0] == '\0' && mountinfo_has_word(line, "blkio")) strcpy(layout->blkio, path);
}
