/* The floor under every start: clone(SIGCHLD) of this small process, _exit in the child, waitpid.
 * Usage: clone COUNT. Prints the microseconds of each, one a line. */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_usec(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 2000;
  if (count < 1 || count > 1000000) errx(2, "usage: clone COUNT (1 to 1000000)");
  double *usec = calloc((size_t)count, sizeof *usec);
  if (usec == NULL) err(1, "cannot allocate");
  for (int i = 0; i < count; i++) {
    double start = now_usec();
    /* The raw call: glibc's fork would add its atfork handlers and locks. */
    long pid = syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
    if (pid < 0) err(1, "cannot clone");
    if (pid == 0) _exit(0);
    if (waitpid((pid_t)pid, NULL, 0) != pid) err(1, "cannot wait for %ld", pid);
    usec[i] = now_usec() - start;
  }
  /* Printed last: a write in between would be in the next one's caches. */
  for (int i = 0; i < count; i++) printf("%.1f\n", usec[i]);
  free(usec);
}
