/*
 * exec-job.c: a job that is just executed: a list of strings, which are argument count, arguments, variable count,
 * NAME=value, then pairs of file name and content. Read by children of the exec zygote, and by the init of an OCI sandbox.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct strings {
  uint8_t *at;
  size_t left;
};

/* Ends the process: the job comes from the worker, so this is a bug of ours and the caller sees an exit of 125. */
static void malformed(void) {
  fputs("oncebox: malformed job\n", stderr);
  _exit(125);
}

static uint32_t next_number(struct strings *strings) {
  uint32_t number;
  if (strings->left < sizeof(number)) malformed();
  memcpy(&number, strings->at, sizeof(number));
  strings->at += sizeof(number);
  strings->left -= sizeof(number);
  return number;
}

static char *next_string(struct strings *strings, size_t *length) {
  *length = next_number(strings);
  if (*length > strings->left) malformed();
  char *copy = malloc(*length + 1);
  if (!copy) malformed();
  memcpy(copy, strings->at, *length);
  copy[*length] = '\0';
  strings->at += *length;
  strings->left -= *length;
  return copy;
}

static char **next_vector(struct strings *strings) {
  uint32_t count = next_number(strings);
  if (count > strings->left) malformed();
  char **vector = calloc((size_t)count + 1, sizeof(char *));
  if (!vector) malformed();
  size_t length;
  for (uint32_t i = 0; i < count; i++) vector[i] = next_string(strings, &length);
  return vector;
}

/* The contract has already refused `..` and absolute names; and we are in the sandbox, as its user. */
static void write_source(const char *path, const char *content, size_t length) {
  char parent[1100];
  snprintf(parent, sizeof(parent), "%s", path);
  for (char *slash = parent; (slash = strchr(slash + 1, '/')); *slash = '/') {
    *slash = '\0';
    mkdir(parent, 0755);
  }
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0 || write_all(fd, content, length) < 0) {
    fprintf(stderr, "oncebox: cannot write %s: %m\n", path);
    _exit(126);
  }
  close(fd);
}

static const char *search_path_of(char **environment) {
  for (; *environment; environment++)
    if (strncmp(*environment, "PATH=", 5) == 0) return *environment + 5;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As execvpe(3), but of the given environment's PATH, and without its second try as a shell script: what cannot be
 * executed is said. Returns with errno. */
static void execute(char **arguments, char **environment) {
  const char *name = arguments[0], *at = search_path_of(environment);
  if (strchr(name, '/')) {
    execve(name, arguments, environment);
    return;
  }
  int failure = ENOENT;
  for (bool more = name[0] != '\0'; more;) {
    char path[MAX_PATH];
    size_t length = strcspn(at, ":");
    /* An empty part is the working directory. */
    int size = snprintf(path, sizeof(path), "%.*s%s%s", (int)length, at, length > 0 ? "/" : "./", name);
    if (size > 0 && (size_t)size < sizeof(path)) {
      execve(path, arguments, environment);
      if (errno == EACCES) failure = EACCES;
      else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENAMETOOLONG) return;
    }
    more = at[length] == ':';
    at += length + 1;
  }
  errno = failure;
}

size_t exec_job_read(uint8_t *bytes, size_t length, struct exec_job *job) {
  struct strings strings = {bytes, length};
  job->arguments = next_vector(&strings);
  job->environment = next_vector(&strings);
  for (uint32_t files = next_number(&strings); files > 0; files--) {
    size_t path_length, content_length;
    char *path = next_string(&strings, &path_length);
    char *content = next_string(&strings, &content_length);
    write_source(path, content, content_length);
    free(content);
    free(path);
  }
  if (!job->arguments[0]) malformed();
  return length - strings.left;
}

void exec_job_run(const struct exec_job *job) {
  signal(SIGPIPE, SIG_DFL); /* the agent ignores it, and that would be inherited */
  execute(job->arguments, job->environment);
  int saved = errno;
  fprintf(stderr, "oncebox: cannot execute %s: %s\n", job->arguments[0], strerror(saved));
  _exit(saved == ENOENT ? 127 : 126);
}
