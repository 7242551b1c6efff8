/* oci.h: sandboxes of OCI runtimes, shared by the launcher's part (ocis.c), pid 1 (oci.c) and who reads the request. */
#ifndef ONCEBOX_OCI_H
#define ONCEBOX_OCI_H

#include "oncebox.h"

#define MAX_OCI_CONFIG 32768u
/* Beyond a sandbox's own caps, for the runtime: as long as it sets the container up, or as long as that lives. */
#define OCI_RUNC_MEMORY (64u << 20)
#define OCI_RUNC_PIDS 64u
#define OCI_GVISOR_MEMORY (128u << 20)
/* Each process of the program is some of the host's, up to one for each thread of gVisor's kernel. How many the program may
 * have, gVisor itself keeps (RLIMIT_NPROC in config.json); this is for the host's sake. */
#define OCI_GVISOR_PIDS 256u
#define OCI_GVISOR_PIDS_EACH 32u
#define OCI_GVISOR_PIDS_MOST 16384u

/* ---- oci-request.c: pure, so that it can be fuzzed ---- */
struct oci_request {
  enum oci_runtime runtime;
  struct run_limits limits;
  struct sandbox_spec spec; /* its texts lie in the payload */
  const char *config;       /* config.json: the worker's, and as little believed as he is */
};
/* NULL, or what is wrong with the payload of a FRAME_OCI. */
const char *oci_request_read(const uint8_t *payload, size_t length, struct oci_request *out);

/* ---- ocis.c: the launcher's part ---- */
/* As builds_start and its kin. */
const char *ocis_start(int connection, const uint8_t *payload, size_t length, const struct launcher_view *launcher);
bool ocis_reap(pid_t pid, const struct launcher_view *launcher);
void ocis_leave(void);
void ocis_end(void);

/* ---- oci.c: pid 1 of one such sandbox ---- */
#define OCI_SANDBOX 1u /* its number on the connection, and that of its cgroup */
struct oci_start {
  struct oci_request request;
  int connection, alive, mapped;
  int devices; /* of root_make_devices() */
  struct cgroup_zone cgroup;
  const struct filters *filters;
  const char *layers_dir, *platform_dir;
  void (*hide_command_line)(void);
};
void oci_main(const struct oci_start *start) __attribute__((noreturn));

/* ---- oci-root.c: what it stands on ---- */
#define OCI_JOB "/job"       /* pid 1's to write, read-only in the sandbox */
#define OCI_RESULT "/result" /* the program's to write */
/* Leaves the host. What is there afterwards: the runtime at /runtime, the sandbox's root at /shell/root, and the places
 * that config.json names. Returns the writable layer's descriptor. A failure is told by `fail`, which ends the process. */
int oci_root_enter(const struct oci_start *start, void (*fail)(const char *format, ...));

/* ---- oci-result.c: what the program left in OCI_RESULT, where it may have put anything ---- */
struct oci_end {
  int32_t exit_code; /* -1: ended by a signal */
  int32_t signal;
  uint32_t pids_refused; /* at its end no process could be made: where the host's kernel does not see them */
};
/* The bytes of the result, at most `most`; *too_large when there are more. Nothing, where it is no file. */
void oci_result_read(int dir, struct buffer *out, size_t most, bool *too_large);
/* How the program ended, by what the sandbox's own init noted; false when that says nothing that can be. */
bool oci_result_end(int dir, int code, struct oci_end *out);

#endif
