/*
 * zygote-messages.c: fuzzes what agent and zygote say to each other. The first byte of the input says which: F, and how
 * many descriptors come with it, for a fork request; E for events, of which each is as long as the pipe gave.
 */
#include "../frames.h"
#include "fuzz.h"

#include <stddef.h>

static void fork_request(const uint8_t *data, size_t size) {
  static struct fork_request request;
  if (size < 1) return;
  size_t got = size - 1 < sizeof(request) ? size - 1 : sizeof(request);
  memset(&request, 0xff, sizeof(request)); /* what was there before has no NUL */
  memcpy(&request, data + 1, got);
  if (fork_request_check(&request, got, (int8_t)data[0])) return;
  must((int8_t)data[0] > ZFD_CGROUP && (int8_t)data[0] <= ZFD_CGROUP + MAX_CGROUP_DIRS);
  must(request.working_dir[0] == '/' && offsetof(struct fork_request, working_dir) + strlen(request.working_dir) + 1 == got);
  must(request.group_count <= MAX_GROUPS && request.sandbox != 0);
  must(request.uid != ADMINISTRATOR_ID && request.uid != IMAGE_ID_COUNT && request.uid < FIRST_SANDBOX_ID + MAX_SANDBOXES);
  must(request.gid != ADMINISTRATOR_ID && request.gid != IMAGE_ID_COUNT && request.gid < FIRST_SANDBOX_ID + MAX_SANDBOXES);
}

static void events(const uint8_t *data, size_t size) {
  for (; size > 0;) {
    struct zygote_event event;
    size_t got = size < sizeof(event) ? size : sizeof(event);
    memset(&event, 0, sizeof(event));
    memcpy(&event, data, got);
    const char *wrong = event_check(&event, got);
    must(wrong || got == sizeof(event));
    must(wrong || (event.kind >= ZYGOTE_FORKED && event.kind <= ZYGOTE_FORK_FAILED));
    must(wrong || (event.sandbox == 0) == (event.kind == ZYGOTE_READY));
    data += got;
    size -= got;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] == 'F') fork_request(data + 1, size - 1);
  if (size > 0 && data[0] == 'E') events(data + 1, size - 1);
  return 0;
}
