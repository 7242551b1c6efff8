/* runtime-api.c: fuzzes runtime-api-request.c: the call that the worker sends, and what a program sends to the Runtime API. Of
 * that the first byte says how it is cut into pieces, which must make no difference. */
#include "../runtime-api.h"

#include "fuzz.h"

static void must_be_call(const uint8_t *bytes, size_t size) {
  struct api_call call;
  if (api_call_check(bytes, size, &call)) return;
  must(call.id_length > 0 && 12 + (size_t)call.id_length + call.headers_length + call.event_length == size);
  must(call.event + call.event_length == bytes + size);
}

static void add(uint64_t *sum, const void *data, size_t length) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < length; i++) *sum = (*sum ^ bytes[i]) * 1099511628211u;
  *sum = (*sum ^ length) * 1099511628211u;
}

/* What is heard of one whole request. */
static void add_request(uint64_t *sum, const struct api_request *request) {
  const char *id;
  size_t length;
  enum api_route route = api_request_route(request, &id, &length);
  must(!id || (id > request->url && id + length <= request->url + request->url_length));
  must((route == API_RESPONSE || route == API_ERROR) <= (id != NULL));
  int flags[] = {(int)route, request->parser.method, request->is_streamed, request->expects};
  add(sum, flags, sizeof(flags));
  add(sum, id, id ? length : 0);
  const struct buffer *texts[] = {&request->body, &request->error_type, &request->error_body};
  for (size_t i = 0; i < 3; i++) add(sum, texts[i]->data ? texts[i]->data + texts[i]->start : NULL, texts[i]->length);
}

static uint64_t hear(const uint8_t *bytes, size_t size, size_t piece) {
  struct api_request request;
  uint64_t sum = 1;
  api_request_start(&request);
  for (size_t at = 0; at < size;) {
    size_t length = size - at < piece ? size - at : piece;
    uint8_t *copy = copy_of(bytes + at, length);
    ssize_t taken = api_request_feed(&request, copy, length);
    free(copy);
    if (taken < 0) {
      add(&sum, "wrong", 5);
      break;
    }
    must((size_t)taken <= length && (taken > 0 || request.is_complete));
    must(request.is_complete || (size_t)taken == length);
    must(request.url_length <= API_MAX_URL && request.head_length <= API_MAX_HEAD && request.body.length <= API_MAX_BODY);
    at += (size_t)taken;
    if (!request.is_complete) continue;
    add_request(&sum, &request);
    api_request_free(&request);
    api_request_start(&request);
  }
  api_request_free(&request);
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  uint8_t *bytes = copy_of(data + 1, size - 1);
  if (data[0] == 'C') must_be_call(bytes, size - 1);
  else must(hear(bytes, size - 1, size) == hear(bytes, size - 1, (size_t)data[0] + 1));
  free(bytes);
  return 0;
}
