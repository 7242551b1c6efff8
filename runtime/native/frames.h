/*
 * frames.h: what the agent is sent, read from bytes: frames of the worker and events of its zygote. Pure: nothing here
 * allocates or changes anything, so that all of it can be fuzzed, and the agent uses nothing that has not been through
 * here. Each function returns NULL, or what is wrong. Texts and bytes stay where they are.
 */
#ifndef ONCEBOX_FRAMES_H
#define ONCEBOX_FRAMES_H

#include "oncebox.h"

struct frame {
  enum frame_type type; /* of those that a worker sends */
  uint32_t sandbox;
  const uint8_t *payload;
  size_t length;
};
/* The first frame of what has come. `size` is how many bytes it takes; 0: there is more to come. What cannot become a frame
 * is refused by its first bytes, and nothing is kept for it. */
const char *frame_next(const uint8_t *data, size_t available, struct frame *out, size_t *size);

/* FRAME_CREATE. Of a sandbox with an id of its own the ids are 0 here. */
const char *frame_read_spec(const uint8_t *payload, size_t length, struct sandbox_spec *out);

struct run_request {
  struct run_limits limits;
  bool changes, work_only, interactive;
  const uint8_t *input, *secrets, *job; /* secrets: NULL where there are none */
  uint32_t input_length, secrets_length, job_length;
};
const char *frame_read_run(const uint8_t *payload, size_t length, struct run_request *out);

/* FRAME_SIGNAL. */
const char *frame_read_signal(const uint8_t *payload, size_t length, int *number);

struct secret {
  char name[MAX_SECRET_NAME]; /* of one file, and not a hidden one */
  const uint8_t *value;
  uint32_t length;
};
/* The next of a run request's; both arguments move past it. False when there is none, or it is malformed. */
bool secret_next(const uint8_t **at, uint32_t *left, struct secret *out);

/* A zygote that is not the platform's own may write anything. Its pid is not looked at, and used for nothing. */
const char *event_check(const struct zygote_event *event, size_t got);

#endif
