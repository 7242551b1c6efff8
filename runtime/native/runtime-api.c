/* runtime-api.c: see runtime-api.h. One thread and one poll. Only its end makes it wait for others: it writes the result to the
 * pipe, as any program does that has one. */
#define _GNU_SOURCE
#include "runtime-api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct connection {
  int fd; /* -1: free */
  bool closes, is_answering; /* when all is written; `100 Continue` has been said */
  struct api_request request;
  struct buffer out;
  const uint8_t *event; /* what of it is to be written after that */
  size_t event_length;
};

static struct {
  const struct api_call *call;
  bool is_invoked; /* the event has been handed out */
  int listener, child;
  pid_t pid;
  struct connection connections[API_MAX_CONNECTIONS];
} api;

static void fail(const char *what) __attribute__((noreturn));
static void fail(const char *what) {
  fprintf(stderr, "oncebox: cannot %s: %m\n", what);
  _exit(125);
}

static void disconnect(struct connection *connection) {
  close(connection->fd);
  api_request_free(&connection->request);
  buffer_free(&connection->out);
  *connection = (struct connection){.fd = -1};
}

/* Writes what the client takes now. */
static void push(struct connection *connection) {
  struct buffer *out = &connection->out;
  while (out->length > 0 || connection->event_length > 0) {
    bool is_event = out->length == 0;
    const uint8_t *data = is_event ? connection->event : out->data + out->start;
    size_t length = is_event ? connection->event_length : out->length;
    ssize_t sent = send(connection->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (sent < 0) {
      disconnect(connection);
      return;
    }
    if (is_event) {
      connection->event += sent;
      connection->event_length -= (size_t)sent;
    } else {
      buffer_drop_front(out, (size_t)sent);
    }
  }
  if (connection->closes) disconnect(connection);
}

static void answer(struct connection *connection, const char *status, const char *headers, size_t headers_length,
                   size_t body_length) {
  char line[160];
  connection->closes = !llhttp_should_keep_alive(&connection->request.parser);
  int length = snprintf(line, sizeof(line), "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s", status,
                        body_length, connection->closes ? "Connection: close\r\n" : "");
  buffer_append(&connection->out, line, (size_t)length);
  buffer_append(&connection->out, headers, headers_length);
  buffer_append(&connection->out, "\r\n", 2);
}

static void answer_text(struct connection *connection, const char *status, const char *text) {
  answer(connection, status, "", 0, strlen(text));
  buffer_append(&connection->out, text, strlen(text));
}

static void refuse(struct connection *connection, const char *status, const char *type, const char *message) {
  char text[256];
  snprintf(text, sizeof(text), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n", message, type);
  answer_text(connection, status, text);
}

static void refuse_state(struct connection *connection) {
  refuse(connection, "403 Forbidden", "InvalidStateTransition",
         api.is_invoked ? "the invocation is under way: it takes a response or an error" : "there is no invocation yet");
}

static void hand_out(struct connection *connection) {
  const struct api_call *call = api.call;
  if (api.is_invoked) {
    refuse_state(connection);
    return;
  }
  api.is_invoked = true;
  answer(connection, "200 OK", call->headers, call->headers_length, call->event_length);
  connection->event = call->event;
  connection->event_length = call->event_length;
}

/* On the result pipe a newline ends a record and NUL the result; see lambda-outcome.ts in runtime/sandbox. */
static void send_result(const char *before, struct buffer *body) {
  zygote_send_result(before, strlen(before));
  if (body->length == 0) return;
  uint8_t *data = body->data + body->start;
  for (size_t i = 0; i < body->length; i++) {
    if (data[i] == '\n') data[i] = 0x1e;
    else if (data[i] == '\0') data[i] = 0x1f;
  }
  zygote_send_result(data, body->length);
}

/* Of another type it has none: it stands between two characters that mean something. */
static void send_error(char mark, const struct buffer *type, struct buffer *body) {
  char before[256] = {mark};
  size_t length = type->length < sizeof(before) - 3 ? type->length : 0;
  const uint8_t *data = length > 0 ? type->data + type->start : NULL;
  for (size_t i = 0; i < length; i++)
    if (data[i] <= ' ' || data[i] > '~') length = 0;
  if (length > 0) memcpy(before + 1, data, length);
  before[1 + length] = ' ';
  send_result(before, body);
}

static void end_with_error(const char *type, const char *message) __attribute__((noreturn));
static void end_with_error(const char *type, const char *message) {
  char text[512];
  int length = snprintf(text, sizeof(text), "E%s {\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, type, message);
  zygote_send_result(text, (size_t)length);
  zygote_end(1);
}

/* A piece of a streamed response, as a record of a streamed result. */
static void send_chunk(struct buffer *body) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static char record[128 * 1024];
  const uint8_t *data = body->data + body->start;
  const char head[] = "{\"type\":\"chunk\",\"base64\":\"", tail[] = "\"}\n";
  /* What is read at a time is 64 KiB at most, of which base64 makes 88. */
  size_t at = sizeof(head) - 1;
  memcpy(record, head, at);
  for (size_t i = 0; i < body->length; i += 3) {
    size_t left = body->length - i;
    uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
    record[at++] = digits[bits >> 18];
    record[at++] = digits[bits >> 12 & 63];
    record[at++] = left > 1 ? digits[bits >> 6 & 63] : '=';
    record[at++] = left > 2 ? digits[bits & 63] : '=';
  }
  memcpy(record + at, tail, sizeof(tail) - 1);
  zygote_send_result(record, at + sizeof(tail) - 1);
  buffer_free(body);
}

static bool is_of_call(const char *id, size_t length) {
  return length == api.call->id_length && memcmp(id, api.call->id, length) == 0;
}

/* Whether a response is one of this invocation and comes in pieces. */
static bool is_streaming(const struct connection *connection) {
  const struct api_request *request = &connection->request;
  const char *id;
  size_t length;
  if (!request->has_head || !request->is_streamed || !api.is_invoked || request->parser.method != HTTP_POST) return false;
  return api_request_route(request, &id, &length) == API_RESPONSE && is_of_call(id, length);
}

/* The program has said how it went. Its answer is told first, as far as that goes without waiting: then all of it ends. */
static void end_with(struct connection *connection, char mark) __attribute__((noreturn));
static void end_with(struct connection *connection, char mark) {
  struct api_request request = connection->request;
  bool is_too_large = request.is_too_large;
  if (is_too_large) refuse(connection, "413 Payload Too Large", "RequestEntityTooLarge", "the payload is larger than 6 MiB");
  else answer_text(connection, "202 Accepted", "{\"status\":\"OK\"}\n");
  connection->request = (struct api_request){0}; /* kept here */
  push(connection);
  if (is_too_large && mark == 'R')
    end_with_error("Function.ResponseSizeTooLarge", "the response is larger than 6 MiB");
  if (mark == 'R') {
    send_result("R", &request.body);
    zygote_end(0);
  }
  send_error(mark, &request.error_type, mark == 'T' ? &request.error_body : &request.body);
  zygote_end(1);
}

static void handle(struct connection *connection) {
  const struct api_request *request = &connection->request;
  const char *id;
  size_t length;
  enum api_route route = api_request_route(request, &id, &length);
  if (route == API_UNKNOWN) {
    refuse(connection, "404 Not Found", "NotFound", "the Runtime API has no such path");
  } else if (request->parser.method != (route == API_NEXT ? HTTP_GET : HTTP_POST)) {
    refuse(connection, "405 Method Not Allowed", "MethodNotAllowed", "the path is for another method");
  } else if (route == API_NEXT) {
    hand_out(connection);
  } else if (route == API_INIT_ERROR) {
    if (api.is_invoked) refuse_state(connection);
    else end_with(connection, 'E');
  } else if (!api.is_invoked) {
    refuse_state(connection);
  } else if (!is_of_call(id, length)) {
    refuse(connection, "400 Bad Request", "InvalidRequestID", "the invocation is another");
  } else if (route == API_ERROR) {
    end_with(connection, 'E');
  } else {
    /* What failed in the middle of a stream says so behind it. */
    end_with(connection, request->is_streamed && request->error_type.length > 0 ? 'T' : 'R');
  }
}

/* What has come of a request that is not complete. */
static void look_at_rest(struct connection *connection) {
  struct api_request *request = &connection->request;
  if (request->has_head && request->expects && !connection->is_answering) {
    connection->is_answering = true;
    buffer_append(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  }
  if (is_streaming(connection) && request->body.length > 0) send_chunk(&request->body);
}

static void take(struct connection *connection, const uint8_t *bytes, size_t length) {
  while (connection->fd >= 0 && length > 0) {
    /* Nobody asks twice without hearing the first answer. */
    if (connection->closes || connection->event_length > 0) {
      disconnect(connection);
      return;
    }
    ssize_t taken = api_request_feed(&connection->request, bytes, length);
    if (taken < 0) {
      refuse(connection, "400 Bad Request", "BadRequest", "that is no request");
      connection->closes = true;
      push(connection);
      return;
    }
    bytes += taken;
    length -= (size_t)taken;
    look_at_rest(connection);
    if (connection->request.is_complete) {
      handle(connection);
      api_request_free(&connection->request);
      api_request_start(&connection->request);
      connection->is_answering = false;
    }
    push(connection);
  }
}

/* Returns whether there may be more. */
static bool receive(struct connection *connection) {
  static uint8_t bytes[64 * 1024];
  ssize_t got = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (got <= 0) {
    if (is_streaming(connection)) end_with_error("Runtime.TruncatedResponse", "the response has no end");
    disconnect(connection);
    return false;
  }
  take(connection, bytes, (size_t)got);
  return connection->fd >= 0;
}

static struct connection *free_connection(void) {
  for (size_t i = 0; i < API_MAX_CONNECTIONS; i++)
    if (api.connections[i].fd < 0) return &api.connections[i];
  return NULL;
}

static bool accept_one(void) {
  struct connection *connection = free_connection();
  int fd = connection ? accept4(api.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
  if (fd < 0) return false;
  *connection = (struct connection){.fd = fd};
  api_request_start(&connection->request);
  return true;
}

/* The program has ended without a result, unless one is on its way still. */
static void end_as_child(void) __attribute__((noreturn));
static void end_as_child(void) {
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < API_MAX_CONNECTIONS; i++) {
      struct connection *connection = &api.connections[i];
      while (connection->fd >= 0 && receive(connection)) continue;
    }
    while (accept_one()) more = true;
  }
  int status;
  while (waitpid(api.pid, &status, 0) < 0)
    if (errno != EINTR) fail("wait for the program");
  if (!WIFSIGNALED(status)) zygote_end(WEXITSTATUS(status));
  /* As it ended: by the same signal, which the agent sees. */
  signal(WTERMSIG(status), SIG_DFL);
  kill(getpid(), WTERMSIG(status));
  _exit(128 + WTERMSIG(status));
}

static void serve(void) __attribute__((noreturn));
static void serve(void) {
  struct pollfd events[2 + API_MAX_CONNECTIONS];
  for (;;) {
    /* Whoever comes when all are taken waits in the listener's queue. */
    events[0] = (struct pollfd){.fd = free_connection() ? api.listener : -1, .events = POLLIN};
    events[1] = (struct pollfd){.fd = api.child, .events = POLLIN};
    for (size_t i = 0; i < API_MAX_CONNECTIONS; i++) {
      const struct connection *connection = &api.connections[i];
      bool writes = connection->out.length > 0 || connection->event_length > 0;
      events[2 + i] = (struct pollfd){.fd = connection->fd, .events = writes ? POLLOUT : POLLIN};
    }
    if (poll(events, sizeof(events) / sizeof(events[0]), -1) < 0 && errno != EINTR) fail("poll");
    for (size_t i = 0; i < API_MAX_CONNECTIONS; i++) {
      if (!events[2 + i].revents) continue;
      if (events[2 + i].events == POLLOUT) push(&api.connections[i]);
      else receive(&api.connections[i]);
    }
    if (events[1].revents) end_as_child();
    if (events[0].revents) accept_one();
  }
}

static int open_listener(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(API_PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, API_MAX_CONNECTIONS) < 0)
    fail("listen on the loopback interface");
  return fd;
}

void api_serve(struct exec_job *job, const struct api_call *call) {
  api.call = call;
  api.listener = open_listener();
  for (size_t i = 0; i < API_MAX_CONNECTIONS; i++) api.connections[i].fd = -1;
  /* Nobody of the same user may look into our memory, which is a copy of a zygote's. The program gets this back when it is
   * executed. */
  if (prctl(PR_SET_DUMPABLE, 0) < 0) fail("become undumpable");
  api.pid = fork();
  if (api.pid < 0) fail("fork");
  if (api.pid == 0) exec_job_run(job);
  api.child = (int)syscall(SYS_pidfd_open, api.pid, 0);
  if (api.child < 0) fail("watch the program");
  /* Its own streams are its own: who reads or writes them waits for the program alone. */
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  serve();
}
