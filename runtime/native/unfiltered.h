/*
 * unfiltered.h: in front of each source of `make unfiltered`, which the load tester alone runs: no seccomp filter is
 * loaded.
 */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#undef PR_SET_SECCOMP
#define PR_SET_SECCOMP PR_GET_DUMPABLE /* changes nothing and does not fail */
