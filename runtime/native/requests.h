/*
 * requests.h: what the worker may ask of the launcher, read from the payload of its connection's one frame; and what a
 * confined process may have left for it. Pure: nothing here opens, allocates or changes anything, so that all of it can
 * be fuzzed. The launcher is root, and uses nothing of a request that has not been through here.
 *
 * Each returns NULL, or what is wrong. Texts stay where they are, in the payload, and end with its NULs.
 */
#ifndef ONCEBOX_REQUESTS_H
#define ONCEBOX_REQUESTS_H

#include "oncebox.h"

/* A payload is no longer: layers, a search path, and arguments of which one is as long as the kernel takes them. */
#define MAX_REQUEST 163840
/* Of what a zygote initialises, bytes with its NUL: the kernel takes no longer string in an environment
 * (MAX_ARG_STRLEN), and its name goes with it. */
#define MAX_INIT (131072 - (sizeof(INIT_VARIABLE) - 1))

struct request_head {
  uint8_t type;  /* of enum frame_type, or of nothing we know */
  size_t length; /* of the payload, MAX_REQUEST at most */
};
const char *request_read_head(const uint8_t prefix[FRAME_PREFIX], struct request_head *out);

struct zone_request {
  const char *layers;      /* "a:b" */
  const char *search_path; /* may be empty */
  char *init;              /* "" or what the zygote initialises; to be wiped, it may hold secrets */
  bool trusted;            /* the interpreter is the platform's own, and knows nobody's code */
  uint64_t memory;         /* bytes that its zygote may have, if it is not; 0: the most that such a zygote gets */
  char *argv[MAX_ZYGOTE_ARGS + 1]; /* none: the zygote that is built in */
};
const char *request_read_zone(uint8_t *payload, size_t length, struct zone_request *out);

struct unpack_request {
  const char *lowers; /* "a:b" or "" */
  char *max_bytes, *max_entries, *stall_ms; /* decimal, in range: arguments of the program that unpacks */
};
const char *request_read_unpack(uint8_t *payload, size_t length, struct unpack_request *out);

/* A layer's directory by its final name, a digest, or by the one that it had before. */
const char *request_read_removal(uint8_t *payload, size_t length, const char **name);

struct build_request {
  struct build_limits limits;
  const char *layers; /* "a:b" or "" */
};
const char *request_read_build(uint8_t *payload, size_t length, struct build_request *out);

/* Of a build's list of commands, which are texts with an empty one at the end of each, the one at *at; *at goes on behind
 * it. argv[0] is NULL when there is none left. */
#define MAX_ARGUMENTS 4096
const char *request_read_command(char **at, char *end, char *argv[MAX_ARGUMENTS + 1]);

/* Names of directories that are on their way into the store or out of it. */
#define TEMPORARY ".unpacking-"
#define TEMPORARY_DIGITS 32
#define TEMPORARY_LENGTH (sizeof(TEMPORARY) - 1 + TEMPORARY_DIGITS)
bool request_is_temporary(const char *name);

/* Whether what oncebox-unpack left, `got` bytes of it, says how it went. It has read an archive, and may be anyone's by
 * then: texts end within what there is, and hold what their kind may. */
bool request_read_unpack_result(const struct unpack_result *result, size_t got);

#endif
