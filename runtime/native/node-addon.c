/* node-addon.c: zygote.c for node. libuv must hear of the fork before JavaScript runs on in the child. */
#include "oncebox.h"

#include <fcntl.h>
#include <node_api.h>
#include <stdlib.h>
#include <unistd.h>

struct uv_loop_s;
extern int uv_loop_fork(struct uv_loop_s *loop);

static napi_value raise(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

/* serve(initUsec). Blocks; returns in a child. */
static napi_value serve(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  uint32_t init_usec = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_uint32(env, argument, &init_usec);
  zygote_serve(init_usec);
  struct uv_loop_s *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_loop_fork(loop) != 0)
    return raise(env, "cannot renew the event loop after the fork");
  return NULL;
}

/* waitJob(): string */
static napi_value wait_job(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value value;
  size_t length;
  uint8_t *job = zygote_wait_job(&length);
  napi_status status = napi_create_string_utf8(env, (char *)job, length, &value);
  free(job);
  return status == napi_ok ? value : raise(env, "cannot read the job");
}

/* sendResult(buffer) */
static napi_value send_result(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1, length;
  void *data;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_buffer_info(env, argument, &data, &length) != napi_ok)
    return raise(env, "sendResult takes a buffer");
  zygote_send_result(data, length); /* It fails when user code closed the pipe: no result then. */
  return NULL;
}

/* random(): number. 31 bits, and not 0. */
static napi_value draw(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value value;
  uint32_t number = zygote_random() & 0x7fffffff;
  return napi_create_uint32(env, number != 0 ? number : 1, &value) == napi_ok ? value : NULL;
}

/* silence(true): what is written to stdout and stderr goes nowhere; silence(false): it goes where it went before. */
static napi_value silence(napi_env env, napi_callback_info info) {
  static int outputs[2] = {-1, -1};
  napi_value argument;
  size_t count = 1;
  bool begins = false;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_bool(env, argument, &begins);
  int null = begins ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
  for (int i = 0; i < 2; i++) {
    if (begins) outputs[i] = fcntl(1 + i, F_DUPFD_CLOEXEC, 3);
    if (outputs[i] < 0 || dup2(begins ? null : outputs[i], 1 + i) < 0) return raise(env, "cannot silence the process");
    if (!begins) close(outputs[i]);
  }
  if (begins) close(null);
  return NULL;
}

/* exit(code): without destructors, which would wait for threads that a fork does not have. */
static napi_value exit_now(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int32_t code = 1;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &code);
  zygote_end(code);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"serve", NULL, serve, NULL, NULL, NULL, napi_default, NULL},
      {"waitJob", NULL, wait_job, NULL, NULL, NULL, napi_default, NULL},
      {"sendResult", NULL, send_result, NULL, NULL, NULL, napi_default, NULL},
      {"silence", NULL, silence, NULL, NULL, NULL, napi_default, NULL},
      {"random", NULL, draw, NULL, NULL, NULL, napi_default, NULL},
      {"exit", NULL, exit_now, NULL, NULL, NULL, napi_default, NULL},
  };
  if (napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions) != napi_ok)
    return raise(env, "cannot define the addon's functions");
  return exports;
}
