/*
 * exec.c: the zygote for anything that is just executed. Its children wait like those of an interpreter; exec-job.h says
 * what their job is; what follows it is a call for a program that speaks Lambda's Runtime API.
 */
#define _GNU_SOURCE
#include "exec-job.h"
#include "oncebox.h"
#include "runtime-api.h"

#include <stdio.h>
#include <unistd.h>

void exec_zygote_main(void) {
  struct exec_job job;
  size_t length;
  zygote_serve(0);
  uint8_t *bytes = zygote_wait_job(&length);
  const char *wrong = exec_job_check(bytes, length, &job);
  struct api_call call;
  bool has_call = !wrong && job.size < length;
  if (has_call) wrong = api_call_check(bytes + job.size, length - job.size, &call);
  if (wrong) {
    /* The job comes from the worker, so this is a bug of ours and the caller sees an exit of 125. */
    fprintf(stderr, "oncebox: malformed job: %s\n", wrong);
    _exit(125);
  }
  if (has_call) api_serve(&job, &call);
  exec_job_run(&job);
}
