/*
 * confine.c: what oncebox-unpack does before it reads its first byte. It starts as root of a user namespace that maps
 * the ids of image files, in mount, pid, net, ipc and uts namespaces of its own. After this its root is the layer's
 * directory and nothing else is mounted; it can change owners and modes of files there, and has no system calls but
 * those for files.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACE "/tmp"

#ifdef __SANITIZE_ADDRESS__
/* Its search for leaks traces us from outside, which is not to be had here. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

static void enter_layer(void) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) unpack_fail_errno("make mounts private", "/");
  if (syscall(SYS_move_mount, UFD_TREE, "", AT_FDCWD, PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    unpack_fail_errno("mount the layer's directory", PLACE);
  if (chdir(PLACE) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) unpack_fail_errno("pivot into", PLACE);
  /* The old root is stacked on the new one: off with it, and with it every path of the host. */
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) unpack_fail_errno("leave", "the old root");
  close(UFD_TREE);
  umask(0);
}

static void limit(int resource, rlim_t value) {
  struct rlimit both = {value, value};
  if (setrlimit(resource, &both) < 0) unpack_fail_errno("set", "a resource limit");
}

static void limit_resources(void) {
#ifndef __SANITIZE_ADDRESS__ /* whose shadow memory is terabytes of address space */
  limit(RLIMIT_AS, 1u << 30);
#endif
  limit(RLIMIT_NOFILE, 256);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NPROC, 0);
}

/* Ours are those of the user namespace, so they reach files of mapped ids only. No SYS_ADMIN: no mounts. */
static void keep_file_capabilities(void) {
  const uint32_t kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
                        1u << CAP_SETFCAP;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}, {0}};
  if (syscall(SYS_capset, &header, data) < 0) unpack_fail_errno("drop", "capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) unpack_fail_errno("set", "no_new_privs");
}

static const int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close),
    SCMP_SYS(dup), SCMP_SYS(fcntl), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(fstatfs), SCMP_SYS(statx), SCMP_SYS(getdents64), SCMP_SYS(readlinkat), SCMP_SYS(ftruncate),
    SCMP_SYS(mkdirat), SCMP_SYS(mknodat), SCMP_SYS(symlinkat), SCMP_SYS(linkat), SCMP_SYS(unlinkat),
    SCMP_SYS(renameat2), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
    SCMP_SYS(utimensat), SCMP_SYS(fsetxattr), SCMP_SYS(fgetxattr), SCMP_SYS(flistxattr), SCMP_SYS(fremovexattr),
    SCMP_SYS(syncfs), SCMP_SYS(poll), SCMP_SYS(ppoll),
    /* what libc needs for itself */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* All else is refused with EPERM, also what a library tries and can do without. */
static void load_filter(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (!filter) unpack_fail(FAULT_LOST, "cannot make a seccomp filter");
  int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && result == 0; i++) {
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (result == -EDOM) result = 0; /* not every architecture has poll */
  }
  /* Files are written by pwrite. The connection is for reading: the worker hears of the end from the launcher alone. */
  if (result == 0)
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, UFD_RESULT));
  /* No code but what is mapped already. */
  const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
  for (int i = 0; i < 2 && result == 0; i++)
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
#ifdef __SANITIZE_ADDRESS__
  for (int call = 0; call < 460 && result == 0; call++) seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
#endif
  if (result == 0) result = seccomp_load(filter);
  if (result < 0) unpack_fail(FAULT_LOST, "cannot load the seccomp filter: error %d", -result);
  seccomp_release(filter);
}

void confine(void) {
  enter_layer();
  limit_resources();
  keep_file_capabilities();
  load_filter();
}
