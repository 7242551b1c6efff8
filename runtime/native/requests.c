/* requests.c: see requests.h. */
#include "requests.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

/* ---- pieces ---- */

struct cursor {
  char *at, *end;
};

static struct cursor cursor_over(uint8_t *payload, size_t length) {
  return (struct cursor){(char *)payload, (char *)payload + length};
}

/* The next text, whose NUL lies within the payload; NULL when there is none. */
static char *next_text(struct cursor *cursor) {
  char *text = cursor->at;
  char *nul = text < cursor->end ? memchr(text, '\0', (size_t)(cursor->end - text)) : NULL;
  if (!nul) return NULL;
  cursor->at = nul + 1;
  return text;
}

/* In decimal as anybody would write it: no sign, no blank, no leading zero. */
static bool is_number(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
  uint64_t number = 0;
  if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    uint64_t digit = (uint64_t)(*text - '0');
    if (number > (UINT64_MAX - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *out = number;
  return number >= least && number <= most;
}

/* It ends up in logs, which are read in terminals. */
static bool is_printable(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f) return false;
  return true;
}

static bool in_range(uint64_t number, uint64_t least, uint64_t most) { return number >= least && number <= most; }

/* ---- requests ---- */

const char *request_read_head(const uint8_t prefix[FRAME_PREFIX], struct request_head *out) {
  uint32_t rest, sandbox;
  memcpy(&rest, prefix, sizeof(rest));
  memcpy(&sandbox, prefix + 5, sizeof(sandbox));
  if (rest < FRAME_PREFIX - 4) return "the request is malformed";
  if (rest - (FRAME_PREFIX - 4) > MAX_REQUEST) return "the request is too long";
  if (sandbox != 0) return "the request is for a sandbox";
  *out = (struct request_head){.type = prefix[4], .length = rest - (FRAME_PREFIX - 4)};
  return NULL;
}

/* Texts: layers, search path, what to initialise, trust or memory, then the arguments. */
const char *request_read_zone(uint8_t *payload, size_t length, struct zone_request *out) {
  const uint64_t least = 1u << 20, most = 1ull << 53; /* whatever is asked, cgroup.c has a most of its own */
  struct cursor cursor = cursor_over(payload, length);
  if (length == 0 || payload[length - 1] != '\0') return "the request is not a list of strings";
  *out = (struct zone_request){.layers = next_text(&cursor)};
  if (!layers_are_names(out->layers)) return "a layer's name is no digest, or there are too many";
  out->search_path = next_text(&cursor);
  if (!out->search_path) return "the search path is missing";
  if (strlen(out->search_path) >= MAX_PATH) return "the search path is too long";
  if (!is_printable(out->search_path)) return "the search path has control characters";
  out->init = next_text(&cursor);
  if (!out->init) return "what to initialise is missing";
  if (strlen(out->init) >= MAX_INIT) return "what to initialise is too long";
  const char *trust = next_text(&cursor);
  if (!trust) return "whether the zygote is trusted is missing";
  out->trusted = strcmp(trust, "trusted") == 0;
  if (!out->trusted && trust[0] && !is_number(trust, least, most, &out->memory))
    return "the zygote's memory is no number of bytes";
  size_t count = 0;
  for (char *argument; (argument = next_text(&cursor)); out->argv[count++] = argument)
    if (count == MAX_ZYGOTE_ARGS) return "too many arguments";
  if (count > 0 && (!out->argv[0][0] || !is_printable(out->argv[0]))) return "the interpreter has no name";
  if (out->init[0] && out->trusted) return "a zygote that initialises others' code is not trusted";
  if (out->init[0] && count == 0) return "the built-in zygote initialises nothing";
  if (count == 0) out->trusted = true; /* it is built into us */
  return NULL;
}

/* Texts: layers below, bytes, entries, milliseconds. */
const char *request_read_unpack(uint8_t *payload, size_t length, struct unpack_request *out) {
  static const char wrong[] = "the request to unpack is malformed";
  const uint64_t most_bytes = 1ull << 50, most_entries = 1ull << 40;
  struct cursor cursor = cursor_over(payload, length);
  uint64_t number;
  *out = (struct unpack_request){.lowers = next_text(&cursor)};
  out->max_bytes = next_text(&cursor);
  out->max_entries = next_text(&cursor);
  out->stall_ms = next_text(&cursor);
  if (!out->stall_ms || cursor.at != cursor.end) return wrong; /* of texts that are missing the last is */
  if (out->lowers[0] && !layers_are_names(out->lowers)) return wrong;
  if (!is_number(out->max_bytes, 1, most_bytes, &number)) return wrong;
  if (!is_number(out->max_entries, 1, most_entries, &number)) return wrong;
  return is_number(out->stall_ms, 1, INT_MAX, &number) ? NULL : wrong;
}

bool request_is_temporary(const char *name) {
  return strncmp(name, TEMPORARY, sizeof(TEMPORARY) - 1) == 0 && strlen(name) == TEMPORARY_LENGTH &&
         strspn(name + sizeof(TEMPORARY) - 1, "0123456789abcdef") == TEMPORARY_DIGITS;
}

const char *request_read_removal(uint8_t *payload, size_t length, const char **name) {
  struct cursor cursor = cursor_over(payload, length);
  *name = next_text(&cursor);
  bool is_one = *name && cursor.at == cursor.end;
  return is_one && (request_is_temporary(*name) || layer_names_count(*name, 1) == 1) ? NULL
                                                                                      : "the layer's name is no digest";
}

/* struct build_limits, then one text: layers. */
const char *request_read_build(uint8_t *payload, size_t length, struct build_request *out) {
  static const char wrong[] = "the request to build is malformed";
  if (length <= sizeof(out->limits)) return wrong;
  memcpy(&out->limits, payload, sizeof(out->limits));
  struct cursor cursor = cursor_over(payload + sizeof(out->limits), length - sizeof(out->limits));
  out->layers = next_text(&cursor);
  if (!out->layers || cursor.at != cursor.end) return wrong;
  if (out->layers[0] && layer_names_count(out->layers, MAX_BUILD_LAYERS) == 0) return wrong;
  const struct build_limits *limits = &out->limits;
  bool sane = in_range(limits->memory_bytes, 1u << 20, 1ull << 50) && in_range(limits->disk_bytes, 1, 1ull << 50) &&
              in_range(limits->disk_inodes, 1, 1ull << 40) && in_range(limits->pids, 1, 1u << 22) &&
              in_range(limits->cpu_milli, 1, 1u << 20) && in_range(limits->wall_ms, 1, INT_MAX);
  return sane ? NULL : "a cap of the build is out of range";
}

const char *request_read_command(char **at, char *end, char *argv[MAX_ARGUMENTS + 1]) {
  struct cursor cursor = {*at, end};
  size_t count = 0;
  for (char *text; (text = next_text(&cursor));) {
    *at = cursor.at;
    argv[count] = NULL;
    if (text[0] == '\0' && count > 0) return NULL;
    if (text[0] == '\0') return "a command is empty";
    if (count == MAX_ARGUMENTS) return "a command has too many arguments";
    argv[count++] = text;
  }
  argv[0] = NULL;
  return count > 0 || cursor.at != end ? "a command has no end" : NULL;
}

/* ---- what a confined process left ---- */

bool request_read_unpack_result(const struct unpack_result *result, size_t got) {
  const size_t head = offsetof(struct unpack_result, text);
  if (got < head || got > sizeof(*result) || result->text_length != got - head) return false;
  if (result->fault > FAULT_LOST || result->report.depends > 1) return false;
  /* A reason is one line without its end; paths are each with their NUL. */
  for (size_t i = 0; result->fault != 0 && i < result->text_length; i++)
    if ((unsigned char)result->text[i] < ' ' || result->text[i] == 0x7f) return false;
  if (result->fault != 0) return true;
  return result->text_length == 0 || result->text[result->text_length - 1] == '\0';
}
