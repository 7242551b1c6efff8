/*
 * leftovers.c: what a function's initialisation may not leave in its zygote. Every invocation is a fork of that, and a
 * fork shares open files, their offsets, and shared mappings: through these one invocation could hear of another. The
 * interpreter looks too, and says it more kindly; but it has run user code, and we have not.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "maps.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* What a child finds replaced by /dev/null, or needs: pipes and event descriptors of the interpreter's loop, and what the
 * agent gave it. */
static bool is_harmless(int fd, const char *target) {
  static const char *const kinds[] = {"pipe:[", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"};
  if (fd == ZYGOTE_SOCKET_FD || fd == ZYGOTE_PID_NS_FD) return true;
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (starts_with(target, kinds[i])) return true;
  return strcmp(target, "/dev/null") == 0 || strcmp(target, "/dev/urandom") == 0 || strcmp(target, "/dev/random") == 0;
}

/* Names are the function's choice, and logs are read in terminals. */
static const char *left(const char *what, const char *name, size_t length) {
  static char text[512];
  int size = snprintf(text, sizeof(text), "initialisation left %s: ", what);
  for (size_t i = 0; i < length && (size_t)size < sizeof(text) - 1; i++, size++)
    text[size] = (unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i];
  text[size] = '\0';
  return text;
}

static const char *open_file_of(int proc) {
  int dir = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = dir < 0 ? NULL : fdopendir(dir);
  if (!entries) {
    if (dir >= 0) close(dir);
    return "cannot see what initialisation left open";
  }
  const char *found = NULL;
  for (struct dirent *entry; !found && (entry = readdir(entries));) {
    if (entry->d_name[0] == '.') continue;
    char target[256];
    ssize_t length = readlinkat(dirfd(entries), entry->d_name, target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = '\0';
    if (is_harmless(atoi(entry->d_name), target)) continue;
    found = left("a file open", target, strlen(target));
  }
  closedir(entries);
  return found;
}

static const char *shared_memory_of(int proc) {
  int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
  FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
  if (!maps) {
    if (fd >= 0) close(fd);
    return "cannot see what memory initialisation left shared";
  }
  char *line = NULL;
  const char *found = NULL, *name;
  size_t lines = 0, size = 0;
  /* However long: names are the process's choice. */
  for (; !found && getline(&line, &size, maps) >= 0; lines++) {
    if (!maps_line_shares_memory(line, &name)) continue;
    size_t length = strcspn(name, "\n");
    found = length > 0 ? left("shared memory", name, length) : left("shared memory", "without a name", 14);
  }
  free(line);
  fclose(maps);
  return found || lines > 0 ? found : "cannot see what memory initialisation left shared";
}

const char *leftovers_of(pid_t zygote) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d", (int)zygote);
  int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return "the zygote is not where it was";
  const char *found = open_file_of(proc);
  if (!found) found = shared_memory_of(proc);
  close(proc);
  return found;
}
