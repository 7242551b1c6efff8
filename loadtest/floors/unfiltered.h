/*
 * unfiltered.h: included before each source of runtime/native, so that a launcher of the benchmark's own loads no seccomp
 * filter; what it measures is what the filters cost. Nothing else is built so.
 */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#undef PR_SET_SECCOMP
#define PR_SET_SECCOMP PR_GET_DUMPABLE /* changes nothing and does not fail */
