/*
 * oci-request.c: the payload of a FRAME_OCI. The launcher, who is root, believes nothing of it: lengths and ids are in
 * their ranges, texts end within the payload, layers are names. What config.json says concerns those only who run inside
 * the sandbox's user namespace, so it is not looked at.
 */
#include "oci.h"

#include <limits.h>
#include <string.h>

static bool in_range(uint64_t number, uint64_t least, uint64_t most) { return number >= least && number <= most; }

static bool limits_are_sane(const struct run_limits *limits) {
  const uint64_t most_bytes = 1ull << 50;
  return in_range(limits->memory_bytes, 1u << 20, most_bytes) && in_range(limits->disk_bytes, 1, most_bytes) &&
         in_range(limits->disk_inodes, 1, 1ull << 40) && limits->stdout_bytes <= most_bytes &&
         limits->stderr_bytes <= most_bytes && in_range(limits->pids, 1, 1u << 20) &&
         in_range(limits->cpu_milli, 1, 1u << 20) && in_range(limits->wall_ms, 1, INT_MAX) &&
         in_range(limits->cpu_ms, 1, INT_MAX);
}

/* The next text, with its NUL within the payload; NULL when there is none. */
static const char *next_text(const uint8_t **at, const uint8_t *end) {
  const char *text = (const char *)*at;
  const uint8_t *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
  if (!nul) return NULL;
  *at = nul + 1;
  return text;
}

const char *oci_request_read(const uint8_t *payload, size_t length, struct oci_request *out) {
  const uint8_t *at = payload, *end = payload + length;
  struct sandbox_spec *spec = &out->spec;
  struct spec_head head;
  uint32_t runtime;
  if (length < sizeof(runtime) + sizeof(out->limits) + sizeof(head)) return "the request is too short";
  memcpy(&runtime, at, sizeof(runtime));
  at += sizeof(runtime);
  memcpy(&out->limits, at, sizeof(out->limits));
  at += sizeof(out->limits);
  memcpy(&head, at, sizeof(head));
  at += sizeof(head);
  if (runtime != OCI_RUNC && runtime != OCI_GVISOR) return "there is no such runtime";
  if (!limits_are_sane(&out->limits)) return "a cap of the sandbox is out of range";
  if ((head.flags & ~(uint32_t)(SPEC_SCRATCH | SPEC_OWN_USER | SPEC_SECRETS)) != 0) return "the spec has unknown flags";
  if (head.groups > MAX_GROUPS) return "the spec has too many groups";
  if ((size_t)(end - at) < sizeof(uint32_t) * head.groups) return "the spec is too short";
  memcpy(spec->groups, at, sizeof(uint32_t) * head.groups);
  at += sizeof(uint32_t) * head.groups;
  if (head.uid >= IMAGE_ID_COUNT || head.gid >= IMAGE_ID_COUNT) return "the user is no id of an image";
  for (uint32_t i = 0; i < head.groups; i++)
    if (spec->groups[i] >= IMAGE_ID_COUNT) return "a group is no id of an image";
  spec->working_dir = next_text(&at, end);
  spec->layers = spec->working_dir ? next_text(&at, end) : NULL;
  out->config = spec->layers ? next_text(&at, end) : NULL;
  if (!out->config || at != end) return "the request has not its three texts";
  if (spec->working_dir[0] != '/' || strlen(spec->working_dir) >= MAX_PATH) return "the working directory is no absolute path";
  if (!layers_are_names(spec->layers)) return "a layer's name is no digest, or there are too many";
  if (!in_range(strlen(out->config), 2, MAX_OCI_CONFIG)) return "config.json is empty or too long";
  out->runtime = (enum oci_runtime)runtime;
  spec->scratch = (head.flags & SPEC_SCRATCH) != 0;
  spec->own_user = (head.flags & SPEC_OWN_USER) != 0;
  spec->secrets = (head.flags & SPEC_SECRETS) != 0;
  /* It is alone in its id range, so its own id is always the first. */
  spec->uid = spec->own_user ? FIRST_SANDBOX_ID : head.uid;
  spec->gid = spec->own_user ? FIRST_SANDBOX_ID : head.gid;
  spec->group_count = spec->own_user ? 0 : head.groups;
  return NULL;
}
