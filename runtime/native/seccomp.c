/*
 * seccomp.c: system calls no sandbox needs. Everything here is also stopped by missing capabilities or by the user
 * namespace; the filter is there for the kernel's bugs, not for its rules. Compiled once by the launcher; the
 * program is inherited through zones and loaded by each child as the last step.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

/* What only makers of containers need. */
static const int refused_to_sandboxes[] = {
    /* the mount table */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
    /* namespaces: a sandbox cannot nest, and user namespaces are where kernel bugs are reached */
    SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
};

static const int refused[] = {
    /* the newer interface to the mount table, swap, quotas */
    SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
    /* other processes' memory, tracing, code in the kernel */
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(lookup_dcookie),
    /* keyrings are not namespaced by anything we make */
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
    /* files by handle reach past the mount namespace */
    SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
    /* the machine itself */
    SCMP_SYS(reboot), SCMP_SYS(syslog), SCMP_SYS(acct), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(vhangup),
    SCMP_SYS(nfsservctl), SCMP_SYS(fanotify_init),
    SCMP_SYS(vmsplice), SCMP_SYS(set_mempolicy), SCMP_SYS(mbind), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages),
    SCMP_SYS(personality),
};

static int refuse(scmp_filter_ctx filter, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++) {
    /* Not every architecture has every call; libseccomp says so with EDOM. */
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    if (result < 0 && result != -EDOM) return -1;
  }
  return 0;
}

/* Inotify instances are few, and on the account of the host's root too; and a watch on a device node tells what others
 * do. As if the limit were reached, which programs know. */
static int refuse_inotify(scmp_filter_ctx filter) {
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EMFILE), SCMP_SYS(inotify_init1), 0) < 0) return -1;
  int old = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EMFILE), SCMP_SYS(inotify_init), 0);
  return old < 0 && old != -EDOM ? -1 : 0;
}

static int add_rules(scmp_filter_ctx filter) {
  const uint64_t new_namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                  CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;
  if (refuse(filter, refused, sizeof(refused) / sizeof(refused[0])) < 0 ||
      refuse(filter, refused_to_sandboxes, sizeof(refused_to_sandboxes) / sizeof(refused_to_sandboxes[0])) < 0)
    return -1;
  for (int bit = 0; bit < 32; bit++) {
    uint64_t flag = 1ull << bit;
    if ((new_namespaces & flag) == 0 || flag == CLONE_NEWTIME) continue; /* NEWTIME is clone3's alone */
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) < 0)
      return -1;
  }
  if (refuse_inotify(filter) < 0) return -1;
  /* clone3's flags are in memory, where a filter cannot look. ENOSYS makes every libc fall back to clone. */
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* A zygote must not own an io_uring: its rings are memory that a fork shares, and what a child wrote there the
 * zygote's kernel threads would carry out as the zone's root. libuv does without when the call is not there. */
static int add_zygote_rules(scmp_filter_ctx filter) {
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
}

/* A builder makes containers, and so do the commands of a hostile image in it, if they get hold of its rights; but none
 * in a user namespace of their own. */
static int add_build_rules(scmp_filter_ctx filter) {
  if (refuse(filter, refused, sizeof(refused) / sizeof(refused[0])) < 0 || refuse_inotify(filter) < 0) return -1;
  const struct scmp_arg_cmp new_user = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, new_user) < 0) return -1;
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, new_user) < 0) return -1;
  /* Buildah packs every attribute in user.* that it finds, and with them those in which overlayfs remembers the inode
   * that a file was copied from (user.overlay.origin): other ones at every build, and of no use to anyone. It finds
   * them by this call, and takes it that a file system may have none. File capabilities it asks for by name. */
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(llistxattr), 0) < 0) return -1;
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static bool compile(int (*add)(scmp_filter_ctx), struct filter *out) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  int memory = memfd_create("seccomp", MFD_CLOEXEC);
  bool done = false;
  /* Calls of another architecture (i386, x32) are refused outright: the list above speaks only of this one. */
  if (filter && memory >= 0 && seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
      add(filter) == 0 && seccomp_export_bpf(filter, memory) == 0) {
    ssize_t length = pread(memory, out->bpf, sizeof(out->bpf), 0);
    out->length = length > 0 ? (size_t)length : 0;
    done = length > 0 && lseek(memory, 0, SEEK_END) == length;
  }
  if (memory >= 0) close(memory);
  if (filter) seccomp_release(filter);
  return done;
}

bool seccomp_compile(struct filters *filters) {
  return compile(add_rules, &filters->sandbox) && compile(add_zygote_rules, &filters->zygote) &&
         compile(add_build_rules, &filters->build);
}
