/*
 * seccomp.c: system calls no sandbox needs. Everything here is also stopped by missing capabilities or by the user
 * namespace; the filter is there for the kernel's bugs, not for its rules. Compiled once by the launcher; the
 * program is inherited through zones and loaded by each child as the last step.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* What only makers of containers need: the mount table, the names of the machine. */
static const int refused_but_to_builders[] = {
    SCMP_SYS(mount),  SCMP_SYS(umount2),     SCMP_SYS(pivot_root),
    SCMP_SYS(chroot), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
};

static const int refused[] = {
    /* the newer interface to the mount table, swap, quotas */
    SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
    /* other processes' memory, tracing, code in the kernel */
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise), SCMP_SYS(process_mrelease), SCMP_SYS(kcmp), SCMP_SYS(bpf),
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

static int refuse(scmp_filter_ctx filter, int call) {
  /* Not every architecture has every call; libseccomp says so with EDOM. */
  int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  return result < 0 && result != -EDOM ? -1 : 0;
}

static int refuse_all(scmp_filter_ctx filter, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (refuse(filter, calls[i]) < 0) return -1;
  return 0;
}

/* Inotify instances are few, and on the account of the host's root too; and a watch on a device node tells what others
 * do. As if the limit were reached, which programs know. */
static int refuse_inotify(scmp_filter_ctx filter) {
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EMFILE), SCMP_SYS(inotify_init1), 0) < 0) return -1;
  int old = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EMFILE), SCMP_SYS(inotify_init), 0);
  return old < 0 && old != -EDOM ? -1 : 0;
}

/* What neither a sandbox nor a zygote may. */
static int add_common_rules(scmp_filter_ctx filter) {
  const uint64_t new_namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                  CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;
  if (refuse_all(filter, refused, COUNT(refused)) < 0 ||
      refuse_all(filter, refused_but_to_builders, COUNT(refused_but_to_builders)) < 0)
    return -1;
  for (int bit = 0; bit < 32; bit++) {
    uint64_t flag = 1ull << bit;
    if ((new_namespaces & flag) == 0 || flag == CLONE_NEWTIME) continue; /* NEWTIME is clone3's alone */
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) < 0)
      return -1;
  }
  /* clone3's flags are in memory, where a filter cannot look. ENOSYS makes every libc fall back to clone. */
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int add_sandbox_rules(scmp_filter_ctx filter) {
  if (add_common_rules(filter) < 0) return -1;
  /* A sandbox cannot nest, and user namespaces are where kernel bugs are reached. */
  if (refuse(filter, SCMP_SYS(unshare)) < 0 || refuse(filter, SCMP_SYS(setns)) < 0) return -1;
  return refuse_inotify(filter);
}

/* An image's own interpreter may be anything. It keeps what a join of a shell takes, setns and the change of ids, and
 * none of what the agent does with its capabilities. Sandboxes inherit this filter and add their own. */
static int add_zygote_rules(scmp_filter_ctx filter) {
  if (add_common_rules(filter) < 0 || refuse_inotify(filter) < 0) return -1;
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_NE, CLONE_NEWCGROUP)) < 0)
    return -1;
  /* The agent is pid 1 of the zone and of the zygote's own user: what could be done to it by number. A pid is an int, so
   * the kernel looks at the lower half only. In a sandbox pid 1 is the init, which nobody there may touch anyhow. */
  static const int by_first[] = {SCMP_SYS(pidfd_open), SCMP_SYS(prlimit64), SCMP_SYS(sched_setaffinity),
                                 SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr)};
  const uint64_t pid = 0xffffffff;
  for (size_t i = 0; i < sizeof(by_first) / sizeof(by_first[0]); i++)
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), by_first[i], 1, SCMP_A0(SCMP_CMP_MASKED_EQ, pid, 1)) < 0)
      return -1;
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setpriority), 2, SCMP_A0(SCMP_CMP_MASKED_EQ, pid, PRIO_PROCESS),
                       SCMP_A1(SCMP_CMP_MASKED_EQ, pid, 1)) < 0 ||
      seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioprio_set), 2,
                       SCMP_A0(SCMP_CMP_MASKED_EQ, pid, IOPRIO_WHO_PROCESS), SCMP_A1(SCMP_CMP_MASKED_EQ, pid, 1)) < 0)
    return -1;
  /* The services' id is mapped too, for the layers are theirs. Who becomes it would be on the same accounts of per-user kernel
   * limits as worker and gateway (epoll watches, buffers of pipes), and could use them up. */
  static const struct {
    int call;
    unsigned ids;
  } becoming[] = {{SCMP_SYS(setuid), 1},    {SCMP_SYS(setgid), 1},   {SCMP_SYS(setreuid), 2}, {SCMP_SYS(setregid), 2},
                  {SCMP_SYS(setresuid), 3}, {SCMP_SYS(setresgid), 3}, {SCMP_SYS(setfsuid), 1}, {SCMP_SYS(setfsgid), 1}};
  for (size_t i = 0; i < COUNT(becoming); i++)
    for (unsigned id = 0; id < becoming[i].ids; id++)
      if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), becoming[i].call, 1,
                           SCMP_CMP(id, SCMP_CMP_MASKED_EQ, 0xffffffff, SERVICE_ID)) < 0)
        return -1;
  return 0;
}

/* A builder makes containers, and so do the commands of a hostile image in it, if they get hold of its rights; but none
 * in a user namespace of their own. */
static int add_build_rules(scmp_filter_ctx filter) {
  if (refuse_all(filter, refused, COUNT(refused)) < 0 || refuse_inotify(filter) < 0) return -1;
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
      /* A tree instead of a list: the kernel looks through it for every call number when a filter is loaded. */
      seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && add(filter) == 0 && seccomp_export_bpf(filter, memory) == 0) {
    ssize_t length = pread(memory, out->bpf, sizeof(out->bpf), 0);
    out->length = length > 0 ? (size_t)length : 0;
    done = length > 0 && lseek(memory, 0, SEEK_END) == length;
  }
  if (memory >= 0) close(memory);
  if (filter) seccomp_release(filter);
  return done;
}

bool seccomp_compile(struct filters *filters) {
  return compile(add_sandbox_rules, &filters->sandbox) && compile(add_zygote_rules, &filters->zygote) &&
         compile(add_build_rules, &filters->build);
}
