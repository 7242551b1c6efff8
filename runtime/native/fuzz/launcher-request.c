/*
 * launcher-request.c: fuzzes requests.c. The input is a frame as the worker sends it; types that no frame has stand for
 * what the launcher's confined processes leave, and for a build's commands.
 */
#include "../oci.h"
#include "../requests.h"
#include "fuzz.h"

#include <limits.h>

enum { UNPACK_RESULT = 0xf0, COMMANDS = 0xf1 };

static void must_lie_within(const char *text, const uint8_t *payload, size_t length) {
  const char *start = (const char *)payload;
  must(text >= start && text < start + length);
  must(memchr(text, '\0', (size_t)(start + length - text)) != NULL);
}

static void zone(uint8_t *payload, size_t length) {
  struct zone_request request;
  if (request_read_zone(payload, length, &request)) return;
  must_lie_within(request.layers, payload, length);
  must_lie_within(request.search_path, payload, length);
  must_lie_within(request.init, payload, length);
  size_t layers = layer_names_count(request.layers, MAX_LAYERS), count = 0;
  must(layers >= 1 && layers <= MAX_LAYERS && strlen(request.layers) == layers * (LAYER_NAME + 1) - 1);
  must(strlen(request.search_path) < MAX_PATH && strlen(request.init) < MAX_INIT);
  must(!(request.trusted && request.init[0]));
  must(request.memory == 0 || (request.memory >= 1u << 20 && !(request.trusted && request.argv[0])));
  for (; request.argv[count]; count++) must_lie_within(request.argv[count], payload, length);
  must(count <= MAX_ZYGOTE_ARGS && (count > 0 || request.trusted));
  explicit_bzero(request.init, strlen(request.init)); /* as the launcher does */
}

static void must_be_number(const char *text, uint64_t most) {
  char *end;
  uint64_t number = strtoull(text, &end, 10);
  must(text[0] >= '1' && text[0] <= '9' && *end == '\0' && number >= 1 && number <= most);
}

static void unpack(uint8_t *payload, size_t length) {
  struct unpack_request request;
  if (request_read_unpack(payload, length, &request)) return;
  must(request.lowers[0] == '\0' || layers_are_names(request.lowers));
  must_be_number(request.max_bytes, 1ull << 50);
  must_be_number(request.max_entries, 1ull << 40);
  must_be_number(request.stall_ms, INT_MAX);
  must_lie_within(request.stall_ms, payload, length);
}

static void removal(uint8_t *payload, size_t length) {
  const char *name;
  if (request_read_removal(payload, length, &name)) return;
  must_lie_within(name, payload, length);
  must(strlen(name) == length - 1 && strchr(name, '/') == NULL && strchr(name, ':') == NULL);
  must(strlen(name) == LAYER_NAME || strlen(name) == TEMPORARY_LENGTH);
}

static void build(uint8_t *payload, size_t length) {
  struct build_request request;
  if (request_read_build(payload, length, &request)) return;
  must(layer_names_count(request.layers, MAX_BUILD_LAYERS) <= MAX_BUILD_LAYERS);
  must(strlen(request.layers) + 1 == length - sizeof(request.limits));
  must(request.limits.memory_bytes > 0 && request.limits.pids > 0 && request.limits.cpu_milli > 0);
  must(request.limits.wall_ms > 0 && request.limits.disk_bytes > 0 && request.limits.disk_inodes > 0);
}

static void oci(const uint8_t *payload, size_t length) {
  struct oci_request request = {0};
  if (oci_request_read(payload, length, &request)) return;
  const struct sandbox_spec *spec = &request.spec;
  must(request.runtime == OCI_RUNC || request.runtime == OCI_GVISOR);
  must_lie_within(spec->working_dir, payload, length);
  must_lie_within(request.config, payload, length);
  must(spec->working_dir[0] == '/' && strlen(spec->working_dir) < MAX_PATH && layers_are_names(spec->layers));
  must(strlen(request.config) <= MAX_OCI_CONFIG && request.config + strlen(request.config) + 1 == (const char *)payload + length);
  must(spec->own_user ? spec->uid == FIRST_SANDBOX_ID : spec->uid < IMAGE_ID_COUNT && spec->gid < IMAGE_ID_COUNT);
  must(spec->group_count <= MAX_GROUPS && request.limits.memory_bytes > 0 && request.limits.pids > 0);
}

/* It lies in a static structure there too. */
static void unpack_result(const uint8_t *payload, size_t length) {
  static struct unpack_result result;
  size_t got = length < sizeof(result) ? length : sizeof(result);
  memcpy(&result, payload, got);
  if (!request_read_unpack_result(&result, got)) return;
  must(result.text_length <= sizeof(result.text) && result.fault <= FAULT_LOST);
}

static void commands(uint8_t *payload, size_t length) {
  static char *argv[MAX_ARGUMENTS + 1];
  char *at = (char *)payload, *end = at + length;
  for (;;) {
    if (request_read_command(&at, end, argv) || !argv[0]) return;
    must(at <= end);
    for (size_t i = 0; argv[i]; i++) must_lie_within(argv[i], payload, length);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct request_head head;
  if (size < FRAME_PREFIX) return 0;
  const char *wrong = request_read_head(data, &head);
  must(wrong || head.length <= MAX_REQUEST);
  /* Whatever it says: a mutated length is refused at once, and would hide the rest. */
  size_t length = size - FRAME_PREFIX;
  uint8_t *payload = copy_of(data + FRAME_PREFIX, length);
  switch (data[4]) {
    case FRAME_ZONE: zone(payload, length); break;
    case FRAME_UNPACK: unpack(payload, length); break;
    case FRAME_REMOVE_LAYER: removal(payload, length); break;
    case FRAME_BUILD: build(payload, length); break;
    case FRAME_OCI: oci(payload, length); break;
    case UNPACK_RESULT: unpack_result(payload, length); break;
    case COMMANDS: commands(payload, length); break;
    default: break;
  }
  free(payload);
  return 0;
}
