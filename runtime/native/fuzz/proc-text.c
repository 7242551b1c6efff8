/*
 * proc-text.c: fuzzes what is read of /proc: mountinfo.c when the input begins with M, maps.c when it begins with P. Lines
 * are given as getline(3) would, each in memory of its own.
 */
#include "../maps.h"
#include "../mountinfo.h"
#include "fuzz.h"

static char *next_line(const uint8_t **data, size_t *size) {
  const uint8_t *end = memchr(*data, '\n', *size);
  size_t length = end ? (size_t)(end - *data) + 1 : *size;
  char *line = malloc(length + 1);
  if (!line) abort();
  memcpy(line, *data, length);
  line[length] = '\0'; /* one that is in it ends it earlier */
  *data += length;
  *size -= length;
  return line;
}

static void mountinfo(const uint8_t *data, size_t size) {
  struct cgroup_layout layout;
  char v2[MAX_CGROUP_PATH];
  mountinfo_begin(&layout, v2);
  while (size > 0) {
    char *line = next_line(&data, &size);
    mountinfo_line(line, &layout, v2);
    free(line);
  }
  must(layout.count >= 0 && layout.count <= MAX_CGROUP_DIRS && strlen(v2) < sizeof(v2) && (v2[0] == '/' || v2[0] == '\0'));
  const int places[] = {layout.cpu, layout.cpuacct, layout.memory, layout.pids};
  for (size_t i = 0; i < 4; i++) must(places[i] >= -1 && places[i] < layout.count);
  for (int i = 0; i < layout.count; i++) must(layout.mount[i][0] == '/' && strlen(layout.mount[i]) < MAX_CGROUP_PATH);
}

static void maps(const uint8_t *data, size_t size) {
  while (size > 0) {
    char *line = next_line(&data, &size), permissions[8] = "", first[16] = "";
    const char *name;
    bool shares = maps_line_shares_memory(line, &name);
    must(name >= line && name <= line + strlen(line));
    /* Read in another way, it says the same of what must never be let pass. The kernel writes no other white space. */
    int fields = strpbrk(line, "\t\v\f\r") ? 0 : sscanf(line, "%*s %7s %*s %*s %*s %15[^\n]", permissions, first);
    bool shared = fields >= 1 && strcmp(permissions + 3, "s") == 0;
    if (shared && (permissions[1] == 'w' || fields == 1 || first[0] == '[' || strncmp(first, "/memfd:", 7) == 0)) must(shares);
    free(line);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] == 'M') mountinfo(data + 1, size - 1);
  if (size > 0 && data[0] == 'P') maps(data + 1, size - 1);
  return 0;
}
