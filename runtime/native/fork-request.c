/* fork-request.c: what a zygote is asked, checked. Loaded into interpreters with zygote.c: nothing but libc, and no effects. */
#include "oncebox.h"

#include <stddef.h>
#include <string.h>

/* Those of images and of sandboxes; not the services', and not the administrator's. */
static bool is_id_of_programs(uint32_t id) {
  return id < IMAGE_ID_COUNT || (id >= FIRST_SANDBOX_ID && id < FIRST_SANDBOX_ID + MAX_SANDBOXES);
}

const char *fork_request_check(const struct fork_request *request, size_t got, int descriptors) {
  const size_t head = offsetof(struct fork_request, working_dir);
  if (got <= head || got > sizeof(*request)) return "it has the wrong length";
  size_t path = got - head;
  if (request->sandbox == 0) return "it is for no sandbox";
  if (request->group_count > MAX_GROUPS) return "it has too many groups";
  if (!is_id_of_programs(request->uid) || !is_id_of_programs(request->gid)) return "its user is none of a program";
  for (uint32_t i = 0; i < request->group_count; i++)
    if (!is_id_of_programs(request->groups[i])) return "a group is none of a program";
  if (request->working_dir[0] != '/') return "its working directory is no absolute path";
  if (memchr(request->working_dir, '\0', path) != request->working_dir + path - 1) return "its working directory is no text";
  if (descriptors <= ZFD_CGROUP || descriptors > ZFD_CGROUP + MAX_CGROUP_DIRS) return "it has the wrong number of descriptors";
  return NULL;
}
