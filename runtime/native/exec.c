/*
 * exec.c: the zygote for anything that is just executed. Its children wait like those of an interpreter, for a job as
 * exec-job.c has it.
 */
#define _GNU_SOURCE
#include "oncebox.h"

void exec_zygote_main(void) {
  struct exec_job job;
  size_t length;
  zygote_serve(0);
  uint8_t *bytes = zygote_wait_job(&length);
  exec_job_read(bytes, length, &job);
  exec_job_run(&job);
}
