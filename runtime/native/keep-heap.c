/*
 * keep-heap.c: preloaded into the node zygote. V8 marks its heap MADV_DONTFORK, so that a fork has none and dies of
 * it; here that advice is not passed on.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int madvise(void *address, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  return (int)syscall(SYS_madvise, address, length, advice);
}
