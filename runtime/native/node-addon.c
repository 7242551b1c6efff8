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

/* Of node: when the process began, from which all its clocks count. The environment of the main thread has a copy, the
 * two numbers side by side; those of workers take theirs from here. Absent where a node does not export them. */
extern uint64_t process_start __asm__("_ZN4node11performance25performance_process_startE") __attribute__((weak));
extern double process_start_timestamp __asm__("_ZN4node11performance35performance_process_start_timestampE")
    __attribute__((weak));
extern void *current_isolate(void) __asm__("_ZN2v87Isolate10GetCurrentEv") __attribute__((weak));
extern void *current_context(void *isolate) __asm__("_ZN2v87Isolate17GetCurrentContextEv") __attribute__((weak));
extern uint8_t *environment_of(void *context)
    __asm__("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE") __attribute__((weak));
#define ENVIRONMENT_SEARCHED 3072 /* about what it has; it lies in the heap, so what comes after can be read too */

static bool move_clock(double ns) {
  struct {
    uint64_t ns;
    double usec;
  } origin, *at;
  if (!&process_start || !&process_start_timestamp || !current_isolate || !current_context || !environment_of) return false;
  uint8_t *environment = environment_of(current_context(current_isolate()));
  origin.ns = process_start;
  origin.usec = process_start_timestamp;
  for (size_t offset = 0; environment && offset < ENVIRONMENT_SEARCHED; offset += 8) {
    at = (void *)(environment + offset);
    if (at->ns != origin.ns || at->usec != origin.usec) continue;
    at->ns = process_start = origin.ns + (uint64_t)ns;
    at->usec = process_start_timestamp = origin.usec + ns / 1000;
    return true;
  }
  return false;
}

/* moveClock(ns): boolean. The origin of node's clocks is so much later; false when it could not be found. */
static napi_value move_origin(napi_env env, napi_callback_info info) {
  napi_value argument, value;
  size_t count = 1;
  double ns = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_double(env, argument, &ns);
  return napi_get_boolean(env, move_clock(ns), &value) == napi_ok ? value : NULL;
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
      {"moveClock", NULL, move_origin, NULL, NULL, NULL, napi_default, NULL},
      {"random", NULL, draw, NULL, NULL, NULL, napi_default, NULL},
      {"exit", NULL, exit_now, NULL, NULL, NULL, napi_default, NULL},
  };
  if (napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions) != napi_ok)
    return raise(env, "cannot define the addon's functions");
  return exports;
}
