/* The floor under every start: clone(SIGCHLD) of this small process, _exit in the child, waitpid.
 * Usage: floor COUNT. Prints one line of JSON, microseconds. For the benchmark only. */
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

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 2000;
  if (count < 1 || count > 1000000) errx(2, "usage: floor COUNT (1 to 1000000)");
  double *usec = calloc((size_t)count, sizeof *usec), sum = 0;
  if (usec == NULL) err(1, "cannot allocate");
  for (int i = 0; i < count; i++) {
    double start = now_usec();
    /* The raw call: glibc's fork would add its atfork handlers and locks. */
    long pid = syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
    if (pid < 0) err(1, "cannot clone");
    if (pid == 0) _exit(0);
    if (waitpid((pid_t)pid, NULL, 0) != pid) err(1, "cannot wait for %ld", pid);
    usec[i] = now_usec() - start;
    sum += usec[i];
  }
  qsort(usec, (size_t)count, sizeof *usec, compare);
  printf("{\"count\":%d,\"meanUsec\":%.1f,\"p50Usec\":%.1f,\"p99Usec\":%.1f}\n", count, sum / count,
         usec[count / 2], usec[(int)((double)count * 0.99)]);
  free(usec);
}
