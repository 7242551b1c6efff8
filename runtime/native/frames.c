/* frames.c: see frames.h. */
#include "frames.h"

#include <limits.h>
#include <string.h>

/* Layers with colons between, a path, and what stands before them. */
#define MAX_SPEC (sizeof(struct spec_head) + sizeof(uint32_t) * MAX_GROUPS + MAX_PATH + MAX_LAYERS * (LAYER_NAME + 1))

/* NULL when a frame of this kind can have a payload of that length. */
static const char *check_head(uint8_t type, uint32_t sandbox, uint32_t length) {
  static const char too_long[] = "a frame is longer than its kind", nobody[] = "a frame is for no sandbox";
  static const char too_short[] = "a frame is not as long as its kind";
  switch (type) {
    case FRAME_CREATE: return sandbox == 0 ? nobody : length > MAX_SPEC ? too_long : NULL;
    case FRAME_RUN: return sandbox == 0 ? nobody : length > MAX_FRAME - (FRAME_PREFIX - 4) ? too_long : NULL;
    case FRAME_TAKEN: return sandbox == 0 ? nobody : length != sizeof(uint32_t) ? too_short : NULL;
    case FRAME_STDIN: return sandbox == 0 ? nobody : length > STDIN_WINDOW ? too_long : length == 0 ? too_short : NULL;
    case FRAME_SIGNAL: return sandbox == 0 ? nobody : length != sizeof(uint32_t) ? too_short : NULL;
    case FRAME_STDIN_END:
    case FRAME_KILL: return sandbox == 0 ? nobody : length > 0 ? too_long : NULL;
    case FRAME_STAT: return length > 0 ? too_long : NULL; /* of 0: the zygote's */
    default: return "a frame is of an unknown type";
  }
}

const char *frame_next(const uint8_t *data, size_t available, struct frame *out, size_t *size) {
  uint32_t rest, sandbox;
  *size = 0;
  if (available < FRAME_PREFIX) return NULL;
  memcpy(&rest, data, sizeof(rest));
  memcpy(&sandbox, data + 5, sizeof(sandbox));
  if (rest < FRAME_PREFIX - 4) return "a frame is shorter than its head";
  uint32_t length = rest - (FRAME_PREFIX - 4);
  const char *wrong = check_head(data[4], sandbox, length);
  if (wrong || available - FRAME_PREFIX < length) return wrong;
  *out = (struct frame){.type = data[4], .sandbox = sandbox, .payload = data + FRAME_PREFIX, .length = length};
  *size = FRAME_PREFIX + (size_t)length;
  return NULL;
}

const char *frame_read_spec(const uint8_t *payload, size_t length, struct sandbox_spec *out) {
  struct spec_head head;
  if (length < sizeof(head)) return "the spec is too short";
  memcpy(&head, payload, sizeof(head));
  if ((head.flags & ~(uint32_t)(SPEC_SCRATCH | SPEC_OWN_USER | SPEC_SECRETS)) != 0) return "the spec has unknown flags";
  if (head.groups > MAX_GROUPS) return "the spec has too many groups";
  *out = (struct sandbox_spec){.scratch = (head.flags & SPEC_SCRATCH) != 0,
                               .own_user = (head.flags & SPEC_OWN_USER) != 0,
                               .secrets = (head.flags & SPEC_SECRETS) != 0,
                               .uid = head.uid,
                               .gid = head.gid,
                               .group_count = head.groups};
  size_t texts = sizeof(head) + sizeof(uint32_t) * head.groups;
  if (length <= texts || payload[length - 1] != '\0') return "the spec has no texts";
  memcpy(out->groups, payload + sizeof(head), sizeof(uint32_t) * head.groups);
  if (head.uid >= IMAGE_ID_COUNT || head.gid >= IMAGE_ID_COUNT) return "the user is no id of an image";
  for (uint32_t i = 0; i < head.groups; i++)
    if (out->groups[i] >= IMAGE_ID_COUNT) return "a group is no id of an image";
  if (out->own_user && (head.uid != 0 || head.gid != 0 || head.groups != 0)) return "the spec has two users";
  const char *end = (const char *)payload + length;
  out->working_dir = (const char *)payload + texts;
  out->layers = out->working_dir + strlen(out->working_dir) + 1; /* both have a NUL: the payload's last */
  if (out->layers == end) return "the spec has no layers";
  if (out->layers + strlen(out->layers) + 1 != end) return "the spec has more than two texts";
  if (out->working_dir[0] != '/' || strlen(out->working_dir) >= MAX_PATH) return "the working directory is no absolute path";
  if (!layers_are_names(out->layers)) return "a layer's name is no digest, or there are too many";
  return NULL;
}

static bool in_range(uint64_t number, uint64_t least, uint64_t most) { return number >= least && number <= most; }

/* What is asked within these is the contract's to say; beyond them nothing makes sense, and sums could overflow. */
static const char *check_limits(const struct run_limits *limits) {
  const uint64_t most_bytes = 1ull << 50;
  if (!in_range(limits->memory_bytes, 1u << 16, most_bytes)) return "the run's memory cap is out of range";
  if (!in_range(limits->disk_bytes, 1, most_bytes)) return "the run's disk cap is out of range";
  if (!in_range(limits->disk_inodes, 1, 1ull << 40)) return "the run's cap on files is out of range";
  if (limits->stdout_bytes > most_bytes || limits->stderr_bytes > most_bytes) return "the run's cap on output is out of range";
  if (!in_range(limits->pids, 1, 1u << 22)) return "the run's cap on processes is out of range";
  if (!in_range(limits->cpu_milli, 1, 1u << 20)) return "the run's CPU bandwidth is out of range";
  if (!in_range(limits->wall_ms, 1, INT_MAX) || !in_range(limits->cpu_ms, 1, INT_MAX)) return "the run's time is out of range";
  return NULL;
}

static bool take_bytes(const uint8_t **at, uint32_t *left, uint32_t most, const uint8_t **out, uint32_t *length) {
  if (*left < sizeof(*length)) return false;
  memcpy(length, *at, sizeof(*length));
  if (*length > most || *length > *left - sizeof(*length)) return false;
  *out = *at + sizeof(*length);
  *at = *out + *length;
  *left -= (uint32_t)sizeof(*length) + *length;
  return true;
}

bool secret_next(const uint8_t **at, uint32_t *left, struct secret *out) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  const uint8_t *name;
  uint32_t length;
  if (!take_bytes(at, left, MAX_SECRET_NAME - 1, &name, &length) || length == 0) return false;
  if (!take_bytes(at, left, MAX_SECRET, &out->value, &out->length)) return false;
  memcpy(out->name, name, length);
  out->name[length] = '\0';
  return strspn(out->name, allowed) == length && out->name[0] != '.';
}

static const char *check_secrets(const uint8_t *secrets, uint32_t length) {
  struct secret secret;
  uint32_t count = 0;
  for (; length > 0; count++)
    if (count == MAX_SECRETS || !secret_next(&secrets, &length, &secret)) return "the run request's secrets are malformed, or too many";
  return NULL;
}

const char *frame_read_run(const uint8_t *payload, size_t length, struct run_request *out) {
  uint32_t flags, input_length;
  const size_t head = sizeof(out->limits) + sizeof(flags) + sizeof(input_length);
  if (length < head) return "the run request is too short";
  memcpy(&out->limits, payload, sizeof(out->limits));
  memcpy(&flags, payload + sizeof(out->limits), sizeof(flags));
  memcpy(&input_length, payload + sizeof(out->limits) + sizeof(flags), sizeof(input_length));
  if ((flags & ~(uint32_t)(RUN_CHANGES | RUN_SECRETS | RUN_INPUT | RUN_WORK)) != 0) return "the run request has unknown flags";
  if (input_length > length - head) return "the run request has less stdin than it says";
  out->changes = (flags & RUN_CHANGES) != 0;
  out->work_only = (flags & RUN_WORK) != 0;
  out->interactive = (flags & RUN_INPUT) != 0;
  out->input = payload + head;
  out->input_length = input_length;
  out->job = out->input + input_length;
  out->job_length = (uint32_t)(length - head - input_length);
  out->secrets = NULL;
  out->secrets_length = 0;
  if ((flags & RUN_SECRETS) != 0) {
    const uint32_t most = MAX_SECRETS * (2 * sizeof(uint32_t) + MAX_SECRET_NAME + MAX_SECRET);
    if (!take_bytes(&out->job, &out->job_length, most, &out->secrets, &out->secrets_length))
      return "the run request has less of secrets than it says";
    const char *wrong = check_secrets(out->secrets, out->secrets_length);
    if (wrong) return wrong;
  }
  if (out->job_length == 0) return "the run request has no job";
  return check_limits(&out->limits);
}

const char *frame_read_signal(const uint8_t *payload, size_t length, int *number) {
  uint32_t asked;
  if (length != sizeof(asked)) return "the signal is not as long as its kind";
  memcpy(&asked, payload, sizeof(asked));
  if (!in_range(asked, 1, MAX_SIGNAL)) return "the signal is none that is sent";
  *number = (int)asked;
  return NULL;
}

const char *event_check(const struct zygote_event *event, size_t got) {
  static const char wrong[] = "the zygote sent what is no event";
  if (got != sizeof(*event)) return wrong;
  switch (event->kind) {
    case ZYGOTE_READY: return event->sandbox == 0 && event->status >= 0 ? NULL : wrong;
    case ZYGOTE_FORKED: return event->sandbox != 0 && event->status == 0 ? NULL : wrong;
    case ZYGOTE_FORK_FAILED: return event->sandbox != 0 && event->status > 0 && event->status < 4096 ? NULL : wrong;
    case ZYGOTE_EXITED: return event->sandbox != 0 ? NULL : wrong; /* any status is one of waitpid() */
    default: return wrong;
  }
}
