/*
 * seccomp.c: makes filters of seccomp-profile.h. Compiled once by the launcher; the programs are inherited through zones
 * and loaded by each child as its last step.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What clone takes; CLONE_NEWTIME is clone3's alone, for here it is part of a signal's number. */
#define NEW_NAMESPACES \
  (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define SOCKET_TYPE 0xf /* above it are SOCK_CLOEXEC and SOCK_NONBLOCK */
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif

enum who { SANDBOX = 1, ZYGOTE = 2, BUILD = 4, RUNTIME = 8, EVERYBODY = SANDBOX | ZYGOTE | BUILD | RUNTIME };

struct rule {
  unsigned who;
  uint32_t action;
  const char *name;
  int call;
  unsigned count;
  struct scmp_arg_cmp when[3];
};

/* What a call gets that has no rule, of whatever number. */
#define UNKNOWN SCMP_ACT_ERRNO(ENOSYS)
#define ALLOWED SCMP_ACT_ALLOW
#define ERRNO(number) SCMP_ACT_ERRNO(number)
/* Parts of an argument: `BITS` of it are so, or its lower half is. */
#define BITS(number, mask, value) {number, SCMP_CMP_MASKED_EQ, mask, value}
#define INT(number, value) BITS(number, 0xffffffffu, (uint32_t)(value))
/* libseccomp asks the last argument first, and the first one last; of one argument it asks for bits before it asks what is
 * greater. So this, which always holds, is for all whom no other rule has caught. The tests check that it is so. */
#define ALWAYS {0, SCMP_CMP_GE, 0, 0}

#define COUNT(...) (sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp))
#define RULE(who, action, name, ...) {who, action, #name, SCMP_SYS(name), COUNT(__VA_ARGS__), {__VA_ARGS__}},
#define WHEN(who, action, name, ...) RULE(who, action, name, __VA_ARGS__)
#define ELSE(who, action, name) RULE(who, action, name, ALWAYS)
#define ALLOW(name) RULE(EVERYBODY, ALLOWED, name)
#define REFUSE(name) RULE(EVERYBODY, ERRNO(EPERM), name)
#define REFUSE_SANDBOX(name) RULE(SANDBOX, ERRNO(EPERM), name)
#define ABSENT(name) RULE(EVERYBODY, UNKNOWN, name)
#define ANSWER(name, number) RULE(EVERYBODY, ERRNO(number), name)
#define BUILDERS(name) RULE(SANDBOX | ZYGOTE, ERRNO(EPERM), name) RULE(BUILD | RUNTIME, ALLOWED, name)
#define TRACERS(name) RULE(SANDBOX | ZYGOTE | BUILD, ERRNO(EPERM), name) RULE(RUNTIME, ALLOWED, name)

static const struct rule profile[] = {
#include "seccomp-profile.h"
};

/* The init of a sandbox, which waits and does nothing else. */
static const struct rule idle[] = {
    {SANDBOX, ALLOWED, "write", SCMP_SYS(write), 0, {{0}}},
    {SANDBOX, ALLOWED, "close_range", SCMP_SYS(close_range), 0, {{0}}},
    {SANDBOX, ALLOWED, "pause", SCMP_SYS(pause), 0, {{0}}},
    {SANDBOX, ALLOWED, "ppoll", SCMP_SYS(ppoll), 0, {{0}}}, /* pause(3) where there is no pause(2) */
    {SANDBOX, ALLOWED, "restart_syscall", SCMP_SYS(restart_syscall), 0, {{0}}},
    {SANDBOX, ALLOWED, "exit_group", SCMP_SYS(exit_group), 0, {{0}}},
};

/* Those of `who`, but for what is of `but` too. */
struct choice {
  const struct rule *rules;
  size_t count;
  unsigned who, but;
  uint32_t otherwise; /* what all else gets */
};

static bool add_rules(scmp_filter_ctx filter, const struct choice *choice) {
  for (size_t i = 0; i < choice->count; i++) {
    const struct rule *rule = &choice->rules[i];
    if ((rule->who & choice->who) == 0 || (rule->who & choice->but) != 0 || rule->action == choice->otherwise) continue;
    int result = seccomp_rule_add_array(filter, rule->action, rule->call, rule->count, rule->when);
    /* Not every architecture has every call; libseccomp says so with EDOM. Anything else is a mistake of the profile. */
    if (result < 0 && result != -EDOM) {
      log_line("oncebox: the seccomp profile is wrong about %s: %s", rule->name, strerror(-result));
      return false;
    }
  }
  return true;
}

static bool compile(const struct choice *choice, struct filter *out) {
  scmp_filter_ctx filter = seccomp_init(choice->otherwise);
  int memory = memfd_create("seccomp", MFD_CLOEXEC);
  bool done = false;
  /* Calls of another architecture (i386, x32) end the process: the profile speaks only of this one. */
  if (filter && memory >= 0 && seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
      /* A tree instead of a list: the kernel looks through it for every call number when a filter is loaded, to know which
       * of them it need not ask the filter about again. */
      seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && add_rules(filter, choice) &&
      seccomp_export_bpf(filter, memory) == 0) {
    ssize_t length = pread(memory, out->bpf, sizeof(out->bpf), 0);
    out->length = length > 0 ? (size_t)length : 0;
    /* All of it, or a filter would be cut. */
    done = length > 0 && lseek(memory, 0, SEEK_END) == length;
  }
  if (memory >= 0) close(memory);
  if (filter) seccomp_release(filter);
  return done;
}

bool seccomp_compile(struct filters *filters) {
  const size_t all = sizeof(profile) / sizeof(profile[0]);
  const struct choice sandbox = {profile, all, SANDBOX, 0, UNKNOWN}, zygote = {profile, all, ZYGOTE, 0, UNKNOWN},
                      build = {profile, all, BUILD, 0, UNKNOWN},
                      runtime = {profile, all, RUNTIME, 0, UNKNOWN},
                      /* Beside the zygote's, which a child inherits: what that may and a sandbox may not. The kernel compiles a
                       * filter for each process that loads it, and a short one costs less than some runs. */
                      child = {profile, all, SANDBOX, ZYGOTE, ALLOWED},
                      init = {idle, sizeof(idle) / sizeof(idle[0]), SANDBOX, 0, UNKNOWN};
  return compile(&sandbox, &filters->sandbox) && compile(&zygote, &filters->zygote) && compile(&build, &filters->build) &&
         compile(&runtime, &filters->runtime) && compile(&child, &filters->child) && compile(&init, &filters->init);
}
