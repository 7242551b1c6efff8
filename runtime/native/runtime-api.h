/*
 * runtime-api.h: Lambda's Runtime API, for one invocation. A program that was built for Lambda asks for its event and gives its
 * result back over HTTP (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). The sandbox's first process serves it,
 * on the loopback interface that nobody else sees, and the program is its child. It runs as the program's own user and has
 * nothing that the program has not but the result pipe, on which nobody is believed anyway.
 */
#ifndef ONCEBOX_RUNTIME_API_H
#define ONCEBOX_RUNTIME_API_H

#include "exec-job.h"
#include "llhttp/llhttp.h"
#include "oncebox.h"

#define API_PORT 9001
#define API_MAX_CONNECTIONS 16
#define API_MAX_HEAD (64u << 10)      /* request line, headers and trailers, bytes */
#define API_MAX_URL 512               /* what is longer is no path of ours */
#define API_MAX_BODY (MAX_RESULT - 1024) /* with what goes before an error's it fits the result pipe */

/* What follows the exec job: see lambda-call.ts in runtime/interpreters. */
struct api_call {
  const char *id;
  uint32_t id_length;
  const char *headers; /* lines, each with its CRLF */
  uint32_t headers_length;
  const uint8_t *event;
  uint32_t event_length;
};
/* NULL, or what is wrong. Points into the bytes. */
const char *api_call_check(const uint8_t *bytes, size_t length, struct api_call *out);

enum api_route { API_UNKNOWN, API_NEXT, API_RESPONSE, API_ERROR, API_INIT_ERROR };
enum api_header { API_OTHER, API_ERROR_TYPE, API_ERROR_BODY, API_RESPONSE_MODE, API_EXPECT };

/* One request at a time, as it is read. What it holds is bounded, whatever is sent. */
struct api_request {
  llhttp_t parser;
  char url[API_MAX_URL], field[64];
  size_t url_length, field_length;
  size_t head_length;     /* of all that is no body */
  enum api_header header; /* that of `value` */
  struct buffer value, error_type, error_body, body;
  bool has_head, is_complete, is_streamed, expects, is_too_large;
};
void api_request_start(struct api_request *request);
void api_request_free(struct api_request *request);
/* Takes of the bytes up to the end of a request. Returns how many, or -1 when they are none of a request. */
ssize_t api_request_feed(struct api_request *request, const uint8_t *bytes, size_t length);
/* Where it goes; `id` is the part of the path that names an invocation. */
enum api_route api_request_route(const struct api_request *request, const char **id, size_t *id_length);

/* Starts the job and serves it until it has given its result. */
void api_serve(struct exec_job *job, const struct api_call *call) __attribute__((noreturn));

#endif
