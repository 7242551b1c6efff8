/*
 * exec.c: the zygote for anything that is just executed. Its children wait like those of an interpreter; exec-job.h says
 * what their job is.
 */
#define _GNU_SOURCE
#include "exec-job.h"
#include "oncebox.h"

#include <stdio.h>
#include <unistd.h>

void exec_zygote_main(void) {
  struct exec_job job;
  size_t length;
  zygote_serve(0);
  uint8_t *bytes = zygote_wait_job(&length);
  const char *wrong = exec_job_check(bytes, length, &job);
  if (!wrong && job.size != length) wrong = "the job is longer than it says";
  if (wrong) {
    /* The job comes from the worker, so this is a bug of ours and the caller sees an exit of 125. */
    fprintf(stderr, "oncebox: malformed job: %s\n", wrong);
    _exit(125);
  }
  exec_job_run(&job);
}
