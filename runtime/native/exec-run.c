/* exec-run.c: carries out a job that is just executed; in the sandbox, as its user. Whatever fails is said on stderr, and ends the
 * process. */
#define _GNU_SOURCE
#include "exec-job.h"
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the sandbox's user, in the sandbox: what is there already can lead the path anywhere it may go itself. */
static void write_source(const struct exec_file *file) {
  char parent[MAX_SOURCE_PATH];
  snprintf(parent, sizeof(parent), "%s", file->path);
  for (char *slash = parent; (slash = strchr(slash + 1, '/')); *slash = '/') {
    *slash = '\0';
    mkdir(parent, 0755);
  }
  int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0 || write_all(fd, file->content, file->length) < 0) {
    fprintf(stderr, "oncebox: cannot write %s: %m\n", file->path);
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

static char **vector_of(uint32_t count) {
  char **vector = calloc((size_t)count + 1, sizeof(char *));
  if (vector) return vector;
  fputs("oncebox: cannot find memory for the job\n", stderr);
  _exit(125);
}

void exec_job_run(struct exec_job *job) {
  char **arguments = vector_of(job->arguments), **environment = vector_of(job->variables);
  exec_job_take_arguments(job, arguments);
  exec_job_take_variables(job, environment);
  for (uint32_t i = 0; i < job->files; i++) {
    struct exec_file file;
    exec_job_take_file(job, &file);
    write_source(&file);
  }
  signal(SIGPIPE, SIG_DFL); /* the agent ignores it, and that would be inherited */
  execute(arguments, environment);
  int saved = errno;
  fprintf(stderr, "oncebox: cannot execute %s: %s\n", arguments[0], strerror(saved));
  _exit(saved == ENOENT ? 127 : 126);
}
