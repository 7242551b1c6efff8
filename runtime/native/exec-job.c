/* exec-job.c: see exec-job.h. */
#include "exec-job.h"

#include <stdbool.h>
#include <string.h>

#define LENGTH sizeof(uint32_t)

struct cursor {
  uint8_t *at;
  size_t left;
};

static bool next_number(struct cursor *cursor, uint32_t *out) {
  if (cursor->left < LENGTH) return false;
  memcpy(out, cursor->at, LENGTH);
  cursor->at += LENGTH;
  cursor->left -= LENGTH;
  return true;
}

static bool next_string(struct cursor *cursor, const char **text, uint32_t *length) {
  if (!next_number(cursor, length) || *length > cursor->left) return false;
  *text = (const char *)cursor->at;
  cursor->at += *length;
  cursor->left -= *length;
  return true;
}

/* What is to end with a NUL has no other. */
static bool next_text(struct cursor *cursor, const char **text, uint32_t *length) {
  return next_string(cursor, text, length) && memchr(*text, '\0', *length) == NULL;
}

/* How many follow, each of which takes so many bytes at least. */
static bool next_count(struct cursor *cursor, size_t least, uint32_t *out) {
  return next_number(cursor, out) && *out <= cursor->left / least;
}

/* Below the directory that it is resolved in, and no directory itself. */
static bool is_path(const char *path, uint32_t length) {
  if (length == 0 || length >= MAX_SOURCE_PATH) return false;
  for (uint32_t at = 0; at <= length;) {
    const char *slash = memchr(path + at, '/', length - at);
    uint32_t part = slash ? (uint32_t)(slash - path) - at : length - at;
    if (part == 0 || (part == 1 && path[at] == '.') || (part == 2 && path[at] == '.' && path[at + 1] == '.')) return false;
    at += part + 1;
  }
  return true;
}

const char *exec_job_check(uint8_t *job, size_t length, struct exec_job *out) {
  struct cursor cursor = {job, length};
  const char *text;
  uint32_t size;
  if (!next_count(&cursor, LENGTH, &out->arguments)) return "the job has no arguments";
  for (uint32_t i = 0; i < out->arguments; i++)
    if (!next_text(&cursor, &text, &size) || (i == 0 && size == 0)) return "an argument is malformed";
  if (out->arguments == 0) return "the job has no arguments";
  if (!next_count(&cursor, LENGTH, &out->variables)) return "the job has no environment";
  for (uint32_t i = 0; i < out->variables; i++)
    if (!next_text(&cursor, &text, &size) || memchr(text, '=', size) == NULL) return "a variable is malformed";
  if (!next_count(&cursor, 2 * LENGTH, &out->files)) return "the job has no list of files";
  for (uint32_t i = 0; i < out->files; i++) {
    if (!next_text(&cursor, &text, &size) || !is_path(text, size)) return "a file has no name";
    if (!next_string(&cursor, &text, &size)) return "a file has no content";
  }
  out->at = job;
  out->size = length - cursor.left;
  return NULL;
}

/* Over its own length, to make room for the NUL. */
static char *take_text(struct exec_job *job) {
  uint32_t length;
  memcpy(&length, job->at, LENGTH);
  char *text = memmove(job->at, job->at + LENGTH, length);
  text[length] = '\0';
  job->at += LENGTH + length;
  return text;
}

static void take_texts(struct exec_job *job, uint32_t count, char **vector) {
  job->at += LENGTH;
  for (uint32_t i = 0; i < count; i++) vector[i] = take_text(job);
  vector[count] = NULL;
}

void exec_job_take_arguments(struct exec_job *job, char **vector) { take_texts(job, job->arguments, vector); }

void exec_job_take_variables(struct exec_job *job, char **vector) {
  take_texts(job, job->variables, vector);
  job->at += LENGTH; /* of the list of files */
}

void exec_job_take_file(struct exec_job *job, struct exec_file *out) {
  uint32_t length;
  out->path = take_text(job);
  memcpy(&length, job->at, LENGTH);
  out->content = job->at + LENGTH;
  out->length = length;
  job->at += LENGTH + length;
}
