/*
 * agent-frames.c: fuzzes frames.c, over the buffer that the agent collects in. The first byte of the input says how the
 * stream is cut into pieces, which must make no difference.
 */
#include "../frames.h"
#include "fuzz.h"

static void must_be_spec(const uint8_t *payload, size_t length) {
  struct sandbox_spec spec;
  if (frame_read_spec(payload, length, &spec)) return;
  const char *end = (const char *)payload + length;
  must(spec.working_dir[0] == '/' && strlen(spec.working_dir) < MAX_PATH && layers_are_names(spec.layers));
  must(spec.working_dir + strlen(spec.working_dir) + 1 == spec.layers && spec.layers + strlen(spec.layers) + 1 == end);
  must(spec.group_count <= MAX_GROUPS && spec.uid < IMAGE_ID_COUNT && spec.gid < IMAGE_ID_COUNT);
  must(!spec.own_user || (spec.uid == 0 && spec.gid == 0 && spec.group_count == 0));
  for (uint32_t i = 0; i < MAX_GROUPS; i++) must(spec.groups[i] < (i < spec.group_count ? IMAGE_ID_COUNT : 1));
}

static void must_be_run(const uint8_t *payload, size_t length) {
  struct run_request run;
  if (frame_read_run(payload, length, &run)) return;
  must(run.input >= payload && run.job == (run.secrets ? run.secrets + run.secrets_length : run.input + run.input_length) && run.job + run.job_length == payload + length);
  must(run.job_length > 0 && run.limits.memory_bytes > 0 && run.limits.pids > 0 && run.limits.cpu_milli > 0);
  must(run.limits.wall_ms > 0 && run.limits.cpu_ms > 0 && run.limits.disk_bytes > 0 && run.limits.disk_inodes > 0);
  must(run.limits.disk_bytes + CHANGES_OVERHEAD > run.limits.disk_bytes);
  /* Every byte is there to be read. */
  uint8_t sum = 0;
  for (size_t i = 0; i < run.input_length; i++) sum ^= run.input[i];
  for (size_t i = 0; i < run.job_length; i++) sum ^= run.job[i];
  struct secret secret;
  while (secret_next(&run.secrets, &run.secrets_length, &secret)) {
    must(strlen(secret.name) > 0 && !strchr(secret.name, '/') && secret.name[0] != '.');
    for (size_t i = 0; i < secret.length; i++) sum ^= secret.value[i];
  }
  must(run.secrets_length == 0);
  must(sum == (sum & 0xff));
}

static void must_be_signal(const uint8_t *payload, size_t length) {
  int number = 0;
  must(length == sizeof(uint32_t));
  if (frame_read_signal(payload, length, &number)) return;
  must(number >= 1 && number <= MAX_SIGNAL && payload[0] == number);
}

struct heard {
  size_t frames, bytes;
  uint64_t digest;
  const char *wrong;
};

static void hear(struct heard *heard, const struct frame *frame, size_t size) {
  must(frame->length + FRAME_PREFIX == size);
  must(frame->type == FRAME_STAT || frame->sandbox != 0);
  uint8_t *payload = copy_of(frame->payload, frame->length);
  if (frame->type == FRAME_CREATE) must_be_spec(payload, frame->length);
  else if (frame->type == FRAME_RUN) must_be_run(payload, frame->length);
  else if (frame->type == FRAME_STDIN) must(frame->length > 0 && frame->length <= STDIN_WINDOW);
  else if (frame->type == FRAME_SIGNAL) must_be_signal(payload, frame->length);
  else if (frame->type == FRAME_TAKEN) must(frame->length == sizeof(uint32_t));
  else must(frame->length == 0 && (frame->type == FRAME_KILL || frame->type == FRAME_STAT || frame->type == FRAME_STDIN_END));
  heard->frames++;
  heard->bytes += size;
  heard->digest = heard->digest * 31 + frame->type + frame->sandbox;
  for (size_t i = 0; i < frame->length; i++) heard->digest = heard->digest * 31 + payload[i];
  free(payload);
}

/* As hear_worker() in agent.c. */
static struct heard hear_in_pieces(const uint8_t *data, size_t size, size_t piece) {
  struct buffer inbox = {0};
  struct heard heard = {0};
  for (size_t at = 0; at < size && !heard.wrong; at += piece) {
    buffer_append(&inbox, data + at, size - at < piece ? size - at : piece);
    for (size_t taken = 1; taken > 0 && !heard.wrong; buffer_drop_front(&inbox, taken)) {
      struct frame frame;
      heard.wrong = frame_next(inbox.data + inbox.start, inbox.length, &frame, &taken);
      if (!heard.wrong && taken > 0) hear(&heard, &frame, taken);
    }
  }
  buffer_free(&inbox);
  return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  struct heard cut = hear_in_pieces(data + 1, size - 1, data[0] + 1u), whole = hear_in_pieces(data + 1, size - 1, size);
  must(cut.frames == whole.frames && cut.bytes == whole.bytes && cut.digest == whole.digest && cut.wrong == whole.wrong);
  return 0;
}
