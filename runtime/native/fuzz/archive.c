/*
 * archive.c: fuzzes unpack.c and tree.c, all of oncebox-unpack but its confinement. The input is a tar, and is unpacked
 * above one lower layer, as root, into a directory of memory; whatever it says must leave what lies beside it as it
 * was. In a mount namespace in which only that and the working directory can be written: a target that finds a hole
 * should not fall through it.
 */
#define _GNU_SOURCE
#include <archive.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define PLACE "/dev/shm"

static jmp_buf ended;
static int layer_root = -1;
static void end(int code) __attribute__((noreturn));
static void end(int code) { longjmp(ended, code + 1); }
/* "/" is the layer's directory for what is confined. */
static int open_root(const char *path, int flags) {
  must(strcmp(path, "/") == 0);
  return openat(layer_root, ".", flags);
}
#define _exit(code) end(code)
#define open(path, flags) open_root(path, flags)
#include "../tree.c"
#define main unpack_program
#include "../unpack.c"
#undef main
#undef open
#undef _exit

void confine(void) { abort(); }

/* UFD_TREE stays free. What is opened below is closed after each input: a refusal leaves things open. */
enum { FD_LOWER = UFD_LOWERS, FD_ROOT, FD_AROUND, FD_FIRST_OWN };

/* Out of the way of the numbers that others are to have. */
static int high(int fd) {
  int copy = fcntl(fd, F_DUPFD, FD_FIRST_OWN);
  must(copy >= 0);
  close(fd);
  return copy;
}

static void place(int fd, int number) {
  int from = high(fd);
  must(dup2(from, number) == number);
  close(from);
}

static void write_text(int dir, const char *path, const char *text) {
  int fd = openat(dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void confine_to_memory(void) {
  struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
  char here[4096];
  must(getcwd(here, sizeof(here)) && unshare(CLONE_NEWNS) == 0);
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  int writable = (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  must(writable >= 0 && syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof(read_only)) == 0);
  must(syscall(SYS_move_mount, writable, "", AT_FDCWD, here, MOVE_MOUNT_F_EMPTY_PATH) == 0 && chdir(here) == 0);
  close(writable);
  must(mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=256m,mode=0700") == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  confine_to_memory();
  int around = high(openat(AT_FDCWD, PLACE, O_RDONLY | O_DIRECTORY));
  must(mkdirat(around, "root", 0755) == 0 && mkdirat(around, "lower", 0755) == 0);
  int lower = high(openat(around, "lower", O_RDONLY | O_DIRECTORY));
  must(mkdirat(lower, "etc", 0755) == 0 && mkdirat(lower, "d", 0750) == 0 && symlinkat("etc", lower, "link") == 0);
  must(symlinkat("../../..", lower, "up") == 0 && symlinkat("/d", lower, "absolute") == 0);
  must(mknodat(lower, "gone", S_IFCHR, makedev(0, 0)) == 0);
  write_text(lower, "etc/passwd", "root:x:0:0\n");
  write_text(around, "canary", "alive");
  place(memfd_create("tar", 0), UFD_CONNECTION);
  place(memfd_create("result", 0), UFD_RESULT);
  place(lower, FD_LOWER);
  place(openat(around, "root", O_RDONLY | O_DIRECTORY), FD_ROOT);
  place(around, FD_AROUND);
  layer_root = FD_ROOT;
  umask(0);
  return 0;
}

static void must_be_untouched(void) {
  char text[8] = "";
  struct stat canary, lower, above;
  int fd = openat(FD_AROUND, "canary", O_RDONLY | O_CLOEXEC);
  must(fd >= 0 && read(fd, text, sizeof(text)) == 5 && memcmp(text, "alive", 5) == 0);
  must(fstat(fd, &canary) == 0 && canary.st_nlink == 1 && (canary.st_mode & 07777) == 0644 && canary.st_uid == 0);
  must(fstat(FD_LOWER, &lower) == 0 && lower.st_nlink == 4 && lower.st_uid == 0);
  must(fstat(FD_AROUND, &above) == 0 && above.st_nlink == 4 && above.st_uid == 0);
  close(fd);
}

static int unpack_input(void) {
  int code = setjmp(ended);
  if (code == 0) unpack_main(1, 64u << 20);
  return code;
}

/* Gives every header its checksum: a mutated one would be refused, and hide all behind it. */
static void sum_headers(uint8_t *tar, size_t size) {
  for (size_t at = 0; size - at >= 512;) {
    uint8_t *header = tar + at;
    char number[12] = "";
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++) sum += header[i];
    if (sum > 8 * ' ') snprintf((char *)header + 148, 7, "%06o", sum & 0777777);
    else memset(header + 148, 0, 8); /* the end of an archive is blocks of nothing */
    memcpy(number, header + 124, 11);
    size_t blocks = (strtoul(number, NULL, 8) + 511) / 512, left = (size - at) / 512 - 1;
    at += 512 * (1 + (blocks < left ? blocks : left));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  uint8_t *tar = copy_of(data, size);
  sum_headers(tar, size);
  must(ftruncate(UFD_CONNECTION, 0) == 0 && pwrite(UFD_CONNECTION, tar, size, 0) == (ssize_t)size);
  free(tar);
  must(lseek(UFD_CONNECTION, 0, SEEK_SET) == 0);
  must(ftruncate(UFD_RESULT, 0) == 0 && lseek(UFD_RESULT, 0, SEEK_SET) == 0);
  memset(&unpack, 0, sizeof(unpack));
  memset(&tree, 0, sizeof(tree));
  unpack.parent.fd = unpack.target.fd = -1;
  unpack.stall_ms = 1000;
  unpack.max_entries = 64;
  int lowest = fcntl(FD_ROOT, F_DUPFD, FD_FIRST_OWN); /* the first descriptor that is the program's own */
  int code = unpack_input();
  struct unpack_result result;
  ssize_t got = pread(UFD_RESULT, &result, sizeof(result), 0);
  must(got >= (ssize_t)offsetof(struct unpack_result, text));
  /* How the launcher reads it. */
  must(code == 0 ? result.fault == 0 : result.fault == FAULT_INVALID || result.fault == FAULT_FULL);
  if (unpack.archive) archive_read_free(unpack.archive);
  if (setjmp(ended) == 0) tree_empty(FD_ROOT);
  else abort();
  close(lowest);
  syscall(SYS_close_range, lowest, ~0u, 0);
  must_be_untouched();
  return 0;
}
