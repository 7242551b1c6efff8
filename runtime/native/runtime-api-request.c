/* runtime-api-request.c: requests to the Runtime API, read by llhttp. Nothing here does anything but remember. */
#define _GNU_SOURCE
#include "runtime-api.h"

#include <string.h>
#include <strings.h>

static bool next_string(const uint8_t **at, size_t *left, const uint8_t **out, uint32_t *length) {
  if (*left < sizeof(*length)) return false;
  memcpy(length, *at, sizeof(*length));
  *at += sizeof(*length);
  *left -= sizeof(*length);
  if (*length > *left) return false;
  *out = *at;
  *at += *length;
  *left -= *length;
  return true;
}

const char *api_call_check(const uint8_t *bytes, size_t length, struct api_call *out) {
  const uint8_t *id, *headers;
  if (!next_string(&bytes, &length, &id, &out->id_length) || out->id_length == 0) return "the call has no id";
  if (!next_string(&bytes, &length, &headers, &out->headers_length)) return "the call has no headers";
  if (!next_string(&bytes, &length, &out->event, &out->event_length)) return "the call has no event";
  if (length > 0) return "the call is longer than it says";
  out->id = (const char *)id;
  out->headers = (const char *)headers;
  return NULL;
}

static struct api_request *request_of(llhttp_t *parser) { return parser->data; }

/* False when it is more than a request may have beside its body. */
static bool count_head(struct api_request *request, size_t length) {
  request->head_length += length;
  return request->head_length <= API_MAX_HEAD;
}

static int on_url(llhttp_t *parser, const char *at, size_t length) {
  struct api_request *request = request_of(parser);
  if (!count_head(request, length)) return -1;
  /* What does not fit is cut to a length that no path has. */
  size_t room = sizeof(request->url) - request->url_length, taken = length < room ? length : room;
  memcpy(request->url + request->url_length, at, taken);
  request->url_length += taken;
  return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t length) {
  struct api_request *request = request_of(parser);
  if (!count_head(request, length)) return -1;
  size_t room = sizeof(request->field) - request->field_length, taken = length < room ? length : room;
  memcpy(request->field + request->field_length, at, taken);
  request->field_length += taken;
  return 0;
}

static enum api_header header_named(const char *name, size_t length) {
  static const struct {
    const char *name;
    enum api_header header;
  } known[] = {{"lambda-runtime-function-error-type", API_ERROR_TYPE},
               {"lambda-runtime-function-error-body", API_ERROR_BODY},
               {"lambda-runtime-function-response-mode", API_RESPONSE_MODE},
               {"expect", API_EXPECT}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (strlen(known[i].name) == length && strncasecmp(known[i].name, name, length) == 0) return known[i].header;
  return API_OTHER;
}

static int on_header_field_complete(llhttp_t *parser) {
  struct api_request *request = request_of(parser);
  request->header = header_named(request->field, request->field_length);
  request->field_length = 0;
  return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length) {
  struct api_request *request = request_of(parser);
  if (!count_head(request, length)) return -1;
  if (request->header != API_OTHER) buffer_append(&request->value, at, length);
  return 0;
}

static bool is_value(const struct buffer *value, const char *text) {
  size_t length = strlen(text);
  return value->length == length && strncasecmp((const char *)value->data + value->start, text, length) == 0;
}

/* The value becomes that of the header, whose last one counts. */
static int on_header_value_complete(llhttp_t *parser) {
  struct api_request *request = request_of(parser);
  struct buffer *value = &request->value, *kept = NULL;
  if (request->header == API_ERROR_TYPE) kept = &request->error_type;
  if (request->header == API_ERROR_BODY) kept = &request->error_body;
  if (request->header == API_RESPONSE_MODE) request->is_streamed = is_value(value, "streaming");
  if (request->header == API_EXPECT) request->expects = is_value(value, "100-continue");
  if (kept) {
    buffer_free(kept);
    *kept = *value;
    *value = (struct buffer){0};
  }
  buffer_free(value);
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  request_of(parser)->has_head = true;
  /* Some clients offer HTTP/2 with every request; an offer may be ignored (RFC 9110, 7.8). */
  if (parser->method != HTTP_CONNECT) parser->upgrade = 0;
  return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
  struct api_request *request = request_of(parser);
  /* What is streamed is taken out of here as it comes. */
  if (request->is_too_large || length > API_MAX_BODY - request->body.length) {
    request->is_too_large = true;
    buffer_free(&request->body);
    return 0;
  }
  buffer_append(&request->body, at, length);
  return 0;
}

static int on_message_complete(llhttp_t *parser) {
  request_of(parser)->is_complete = true;
  return HPE_PAUSED;
}

void api_request_start(struct api_request *request) {
  static const llhttp_settings_t settings = {
      .on_url = on_url,
      .on_header_field = on_header_field,
      .on_header_field_complete = on_header_field_complete,
      .on_header_value = on_header_value,
      .on_header_value_complete = on_header_value_complete,
      .on_headers_complete = on_headers_complete,
      .on_body = on_body,
      .on_message_complete = on_message_complete,
  };
  *request = (struct api_request){0};
  llhttp_init(&request->parser, HTTP_REQUEST, &settings);
  request->parser.data = request;
}

void api_request_free(struct api_request *request) {
  buffer_free(&request->value);
  buffer_free(&request->error_type);
  buffer_free(&request->error_body);
  buffer_free(&request->body);
}

ssize_t api_request_feed(struct api_request *request, const uint8_t *bytes, size_t length) {
  const char *from = (const char *)bytes;
  enum llhttp_errno said = llhttp_execute(&request->parser, from, length);
  if (said == HPE_OK) return (ssize_t)length;
  if (said != HPE_PAUSED) return -1;
  return llhttp_get_error_pos(&request->parser) - from;
}

/* Takes the text off the front of what is left of a path. */
static bool take(const char **at, size_t *left, const char *text) {
  size_t length = strlen(text);
  if (*left < length || memcmp(*at, text, length) != 0) return false;
  *at += length;
  *left -= length;
  return true;
}

enum api_route api_request_route(const struct api_request *request, const char **id, size_t *id_length) {
  const char *at = request->url;
  size_t left = request->url_length;
  *id = NULL;
  *id_length = 0;
  if (!take(&at, &left, "/2018-06-01/runtime/")) return API_UNKNOWN;
  if (take(&at, &left, "init/error")) return left == 0 ? API_INIT_ERROR : API_UNKNOWN;
  if (!take(&at, &left, "invocation/")) return API_UNKNOWN;
  const char *slash = memchr(at, '/', left);
  if (!slash) return take(&at, &left, "next") && left == 0 ? API_NEXT : API_UNKNOWN;
  *id = at;
  *id_length = (size_t)(slash - at);
  left -= *id_length;
  at = slash;
  if (take(&at, &left, "/response")) return left == 0 ? API_RESPONSE : API_UNKNOWN;
  if (take(&at, &left, "/error")) return left == 0 ? API_ERROR : API_UNKNOWN;
  return API_UNKNOWN;
}
