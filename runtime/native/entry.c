/*
 * entry.c: the first process of an OCI sandbox, pid 1 in there. It starts the program as a native sandbox's is started,
 * not as pid 1, and reaps what that leaves behind, for no program expects to be an init. It is static and links no
 * library, so that it runs in any image. It runs as the program's own user and has nothing that the program has not.
 *
 * Its job: the working directory (u32 length, bytes), what exec-job.h describes, and then whatever is for the interpreter,
 * who finds it at JOB_FD.
 */
#define _GNU_SOURCE
#include "exec-job.h"
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE "/.oncebox"
#define JOB_FD 3

static void fail(const char *what) __attribute__((noreturn));
static void fail(const char *what) {
  fprintf(stderr, "oncebox: cannot %s: %s\n", what, strerror(errno));
  _exit(125);
}

/* The directory is the image's or the caller's choice: through no link of /proc (CVE-2024-21626). */
static void enter_working_dir(const char *path) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  /* gVisor has no openat2, and a /proc of its own that leads nowhere else. */
  if (fd < 0 && errno == ENOSYS) fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fchdir(fd) < 0) {
    fprintf(stderr, "oncebox: cannot enter the working directory %s: %s\n", path, strerror(errno));
    _exit(126);
  }
  close(fd);
}

/* The one of native sandboxes, where the platform has put it. no_new_privs is set, so anyone may load it. */
static void load_filter(void) {
  static struct filter filter;
  int fd = open(PLACE "/job/filter", O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return;
  ssize_t length = fd < 0 ? -1 : read(fd, filter.bpf, sizeof(filter.bpf));
  if (length <= 0) fail("read the seccomp filter");
  struct sock_fprog program = {.len = (unsigned short)((size_t)length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)filter.bpf};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) fail("load the seccomp filter");
  close(fd);
}

static void run_job(void) __attribute__((noreturn));
static void run_job(void) {
  struct stat file;
  struct exec_job job;
  uint32_t length;
  int fd = open(PLACE "/job/job", O_RDONLY);
  if (fd < 0 || fstat(fd, &file) < 0 || file.st_size < (off_t)sizeof(length)) fail("open the job");
  size_t size = (size_t)file.st_size;
  uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) fail("read the job");
  memcpy(&length, bytes, sizeof(length));
  if (length > size - sizeof(length)) fail("understand the job");
  char *directory = strndup((char *)bytes + sizeof(length), length);
  if (!directory) fail("find memory for the job");
  enter_working_dir(directory);
  size_t at = sizeof(length) + length;
  const char *wrong = exec_job_check(bytes + at, size - at, &job);
  if (wrong) {
    fprintf(stderr, "oncebox: malformed job: %s\n", wrong);
    _exit(125);
  }
  at += job.size;
  if (lseek(fd, (off_t)at, SEEK_SET) < 0 || (fd != JOB_FD && dup2(fd, JOB_FD) < 0)) fail("hand the job on");
  if (fd != JOB_FD) close(fd);
  /* Nothing of it is for what is merely executed. */
  if (at == size) close(JOB_FD);
  setsid();
  exec_job_run(&job);
}

/* Whether the program left no room for another process, itself not counted: gVisor keeps that cap and counts no refusals.
 * Where the host's kernel keeps it, it counts those too. */
static bool is_full(void) {
  for (int i = 0; i < 2; i++) {
    pid_t pid = fork();
    if (pid == 0) pause();
    if (pid < 0) return errno == EAGAIN;
  }
  return false;
}

/* How the program ended: an exit code cannot say it all. Whoever forges it does so about himself. */
static void note_end(int status) {
  struct oci_end end = {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                        .pids_refused = status != 0 && is_full()};
  int fd = open(PLACE "/result/end", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, &end, sizeof(end)) < 0) unlink(PLACE "/result/end");
  close(fd);
}

int main(void) {
  int status = 0;
  umask(022);
  load_filter();
  pid_t program = fork();
  if (program < 0) fail("fork");
  if (program == 0) run_job();
  /* A reader of the program's pipes waits for the program alone. */
  syscall(SYS_close_range, 0, ~0u, 0);
  for (int fd = 0; fd < 3; fd++) close(fd);
  for (pid_t pid; (pid = waitpid(-1, &status, 0)) != program;)
    if (pid < 0 && errno != EINTR) _exit(125);
  note_end(status);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
