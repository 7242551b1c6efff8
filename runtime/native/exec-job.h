/*
 * exec-job.h: a job that is just executed, by a child of the exec zygote or in an OCI sandbox: arguments, variables as
 * NAME=value, and files, each a path and a content. Each of the three is a count and then its strings, a string is a
 * length and then its bytes; all numbers are u32. encodeExecJob in runtime/interpreters/program-job.ts writes it. But for
 * exec_job_run nothing here allocates, and nothing changes but the job itself, so that it can be fuzzed.
 */
#ifndef ONCEBOX_EXEC_JOB_H
#define ONCEBOX_EXEC_JOB_H

#include <stddef.h>
#include <stdint.h>

#define MAX_SOURCE_PATH 4096 /* with its NUL: 1024 characters of the contract */

struct exec_job {
  uint32_t arguments, variables, files; /* how many; each takes four bytes of the job, which bounds them */
  size_t size;                          /* bytes that it has; more may follow */
  uint8_t *at;                          /* what is taken next */
};
struct exec_file {
  const char *path;
  const uint8_t *content;
  size_t length;
};

/* Reads all of it once. NULL, or what is wrong. */
const char *exec_job_check(uint8_t *job, size_t length, struct exec_job *out);
/* Of a job that has been checked, once and in this order: the arguments, the variables, then each file. Texts end with a
 * NUL, which takes the room of their length. */
void exec_job_take_arguments(struct exec_job *job, char **vector);
void exec_job_take_variables(struct exec_job *job, char **vector);
void exec_job_take_file(struct exec_job *job, struct exec_file *out);

/* ---- exec-run.c ---- */
/* Writes the files of a job that has been checked into the working directory, and executes it. */
void exec_job_run(struct exec_job *job) __attribute__((noreturn));

#endif
