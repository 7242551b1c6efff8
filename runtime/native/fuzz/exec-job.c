/* exec-job.c: fuzzes exec-job.c, up to where a program would be executed. */
#include "../exec-job.h"

#include "fuzz.h"

static size_t must_be_texts(char **vector, uint32_t count, const uint8_t *job, size_t size) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    must((uint8_t *)vector[i] >= job && (uint8_t *)vector[i] < job + size);
    bytes += strlen(vector[i]);
  }
  must(vector[count] == NULL);
  return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *bytes = copy_of(data, size);
  struct exec_job job;
  if (exec_job_check(bytes, size, &job) == NULL) {
    /* What is allocated is bounded by what was sent. */
    must(job.size <= size);
    must(job.arguments >= 1 && (uint64_t)job.arguments + job.variables + 2ull * job.files <= job.size / 4);
    char **arguments = calloc((size_t)job.arguments + 1, sizeof(char *));
    char **variables = calloc((size_t)job.variables + 1, sizeof(char *));
    if (!arguments || !variables) abort();
    exec_job_take_arguments(&job, arguments);
    exec_job_take_variables(&job, variables);
    /* Taking the later has left the earlier as they were. */
    size_t taken = must_be_texts(arguments, job.arguments, bytes, size) + must_be_texts(variables, job.variables, bytes, size);
    must(arguments[0][0] != '\0');
    for (uint32_t i = 0; i < job.variables; i++) must(strchr(variables[i], '=') != NULL);
    for (uint32_t i = 0; i < job.files; i++) {
      struct exec_file file;
      exec_job_take_file(&job, &file);
      must(file.path[0] != '/' && file.path[0] != '\0' && strlen(file.path) < MAX_SOURCE_PATH);
      must(strstr(file.path, "//") == NULL && strncmp(file.path, "../", 3) != 0 && strstr(file.path, "/../") == NULL);
      must(strcmp(file.path, "..") != 0);
      must(file.content >= bytes && file.content + file.length <= bytes + size);
      taken += strlen(file.path) + file.length;
    }
    must(job.at == bytes + job.size);
    /* Nothing is lost: all that is no number is a text or a content. */
    must(taken + 4 * (3 + (size_t)job.arguments + job.variables + 2 * (size_t)job.files) == job.size);
    free(arguments);
    free(variables);
  }
  free(bytes);
  return 0;
}
