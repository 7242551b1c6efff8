/*
 * keep-heap.c: preloaded into the node zygote, for the sake of its forks. Two habits of V8 are changed:
 *
 * It marks its heap MADV_DONTFORK, so that a fork has none and dies of it. That advice is not passed on.
 *
 * It asks for every chunk of its heap at a random address. Each is then alone in its page tables, and a fork copies some two
 * hundred of those for a heap of ten megabytes: most of what a parked child takes, and much of the time of its start and
 * end. Here only the first address is random; what follows lies next to it.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* V8's unit (MemoryChunk). It asks for one more, less a page, and gives back what it does not need for alignment. */
#define CHUNK ((uintptr_t)256 * 1024)
#define PAGE ((uintptr_t)4096)
/* Reserved address space, as for code, may lie where it wants to. */
#define LARGEST ((size_t)64 << 20)

int madvise(void *address, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  return (int)syscall(SYS_madvise, address, length, advice);
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  /* Where the next chunk is to lie; 0 before the first. A race of two threads costs no more than a neighbour. */
  static uintptr_t next;
  const int placed = MAP_FIXED | MAP_FIXED_NOREPLACE;
  if (address == NULL || (flags & placed) || !(flags & MAP_ANONYMOUS) || length > LARGEST)
    return map(address, length, protection, flags, fd, offset);
  uintptr_t wanted = next != 0 ? next : (uintptr_t)address;
  void *got = map((void *)wanted, length, protection, flags, fd, offset);
  /* Taken: the kernel has chosen another place, and the next try goes on from there. */
  if (got != MAP_FAILED) {
    size_t kept = length > CHUNK ? length - (CHUNK - PAGE) : length;
    next = ((uintptr_t)got + kept + CHUNK - 1) & ~(CHUNK - 1);
  }
  return got;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));
