/*
 * seccomp-probe.c: what the filters of seccomp.c do, at the command line, for their tests. It runs the very programs that
 * the kernel is given, for every number that there is or could be.
 *
 *   seccomp-probe verdicts FILTER         one line each: number, and what becomes of it with arguments of 0
 *   seccomp-probe ask FILTER NUMBER [ARGUMENT]...
 *   seccomp-probe sizes                   instructions of each
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "this architecture's number is not known here"
#endif
#define FOREIGN_ARCH AUDIT_ARCH_I386
#define X32_BIT 0x40000000u

/* The subset of classic BPF that a seccomp filter may have (seccomp_check_filter in the kernel). */
static uint32_t simulate(const struct filter *filter, const struct seccomp_data *data) {
  const struct sock_filter *program = (const struct sock_filter *)(const void *)filter->bpf;
  size_t count = filter->length / sizeof(*program);
  uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {0};
  for (size_t at = 0; at < count; at++) {
    const struct sock_filter *step = &program[at];
    uint32_t k = step->k;
    switch (step->code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (k % 4 != 0 || k > sizeof(*data) - 4) die("step %zu loads what is not there", at);
        memcpy(&a, (const uint8_t *)data + k, 4);
        break;
      case BPF_LD | BPF_IMM: a = k; break;
      case BPF_LD | BPF_MEM: a = memory[k % BPF_MEMWORDS]; break;
      case BPF_ST: memory[k % BPF_MEMWORDS] = a; break;
      case BPF_MISC | BPF_TAX: x = a; break;
      case BPF_MISC | BPF_TXA: a = x; break;
      case BPF_ALU | BPF_AND | BPF_K: a &= k; break;
      case BPF_JMP | BPF_JA: at += k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += a == k ? step->jt : step->jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: at += a > k ? step->jt : step->jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += a >= k ? step->jt : step->jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: at += a & k ? step->jt : step->jf; break;
      case BPF_RET | BPF_K: return k;
      default: die("step %zu is of unknown kind 0x%x", at, step->code);
    }
  }
  die("the filter has no end");
}

static const char *verdict(uint32_t action) {
  static char text[32];
  switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW: return "allow";
    case SECCOMP_RET_KILL_PROCESS: return "kill";
    case SECCOMP_RET_ERRNO: snprintf(text, sizeof(text), "errno %u", action & SECCOMP_RET_DATA); return text;
    default: snprintf(text, sizeof(text), "0x%x", action); return text;
  }
}

static void print_verdict(const struct filter *filter, const char *kind, uint32_t arch, uint32_t number) {
  struct seccomp_data data = {.nr = (int)number, .arch = arch};
  printf("%s %u %s\n", kind, number, verdict(simulate(filter, &data)));
}

static void print_verdicts(const struct filter *filter) {
  for (uint32_t number = 0; number < 1024; number++) print_verdict(filter, "own", OUR_ARCH, number);
  print_verdict(filter, "own", OUR_ARCH, UINT32_MAX);
#if defined(__x86_64__)
  for (uint32_t number = 0; number < 1024; number++) print_verdict(filter, "x32", OUR_ARCH, X32_BIT + number);
#endif
  for (uint32_t number = 0; number < 1024; number++) print_verdict(filter, "foreign", FOREIGN_ARCH, number);
}

int main(int argc, char **argv) {
  static struct filters filters;
  if (!seccomp_compile(&filters)) die("cannot compile the seccomp filters");
  const struct {
    const char *name;
    const struct filter *filter;
  } named[] = {{"sandbox", &filters.sandbox}, {"zygote", &filters.zygote}, {"child", &filters.child}, {"build", &filters.build}, {"runtime", &filters.runtime}, {"init", &filters.init}};
  const struct filter *filter = NULL;
  for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
    if (argc == 2 && strcmp(argv[1], "sizes") == 0)
      printf("%s %zu\n", named[i].name, named[i].filter->length / sizeof(struct sock_filter));
    else if (argc > 2 && strcmp(argv[2], named[i].name) == 0) filter = named[i].filter;
  }
  if (argc == 3 && filter && strcmp(argv[1], "verdicts") == 0) {
    print_verdicts(filter);
  } else if (argc > 3 && argc <= 10 && filter && strcmp(argv[1], "ask") == 0) {
    struct seccomp_data data = {.nr = atoi(argv[3]), .arch = OUR_ARCH};
    for (int i = 4; i < argc; i++) data.args[i - 4] = strtoull(argv[i], NULL, 0);
    puts(verdict(simulate(filter, &data)));
  } else if (argc != 2 || strcmp(argv[1], "sizes") != 0) {
    die("usage: seccomp-probe verdicts FILTER | ask FILTER NUMBER [ARGUMENT]... | sizes");
  }
  return 0;
}
