/*
 * oncebox.h: everything the native part shares. Theory of operation:
 *
 *   launcher   root, one a node. Accepts the worker, makes zones and their cgroups. Sees no user code or data.
 *   agent      pid 1 of a zone (user, mount, pid, net, ipc, uts namespaces; nobody on the host). Builds
 *              shells, supervises runs, enforces time and output caps, talks to the worker.
 *   shell      an empty sandbox: its own namespaces and overlay, only its init inside.
 *   zygote     a warm interpreter. Forks; the child joins a shell through its init's pidfd, gives up every
 *              privilege and waits, parked, for its one job.
 *
 * Whoever dies takes with him what he made: the worker's socket ends the agent, the agent is init of its pid
 * namespace and so ends the zone, a shell's init ends the sandbox. Writable layers are tmpfs inside the sandbox's
 * mount namespace and go with it. Only cgroup directories outlive a crash; the launcher sweeps those.
 */
#ifndef ONCEBOX_H
#define ONCEBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Ids on the host that all zones share, as the files of layers belong to them: from 0 those of images, then the services',
 * who own the layers' directory. */
#define ID_BASE 0x70000000u
#define IMAGE_ID_COUNT 65536u
#define SERVICE_ID 65536u
#define SHARED_ID_COUNT 65537u
/* Then the administrator's and the sandboxes' own, which each zone has of its own on the node: what the kernel counts for a
 * user (pipes, watches, sockets in flight, signals), no two sandboxes share. */
#define OWN_ID_BASE 0x70020000u
#define OWN_ID_STRIDE 0x4000u /* from a zone's to the next */
#define OWN_ID_COUNT 8193u
#define MAX_ZONES 96 /* 48 of functions, 16 of images, the runtimes' own, and what is on its way out */
/* Inside a zone: agent, zygote and shells' inits. Not 0, which is the root of images: a program that runs as that may
 * neither signal nor trace them, owns nothing of theirs, and is on another account of per-user kernel limits. */
#define ADMINISTRATOR_ID 65537u
/* Inside a zone: sandbox n runs as FIRST_SANDBOX_ID + slot unless it is given an id of the image. */
#define FIRST_SANDBOX_ID 65538u
#define MAX_SANDBOXES 8192

#define MAX_FRAME (96u << 20)
#define MAX_RESULT (6u << 20)
/* Of a result that is streamed: all of it together, and what of it may be on its way to who reads it. */
#define MAX_STREAM (64u << 20)
#define STREAM_WINDOW (1u << 20)
/* Of stdin that comes while a program runs: what may be on its way to it. */
#define STDIN_WINDOW (64u << 10)
#define MAX_LAYERS 128 /* the OCI image spec knows no bound; Docker's is 127 */
#define LAYER_NAME 64
#define MAX_GROUPS 32
#define MAX_PATH 4096 /* with its NUL */
#define MAX_ZYGOTE_ARGS 62
#define MAX_CGROUP_DIRS 4
/* Of a run that is asked for its changes: what their tar may be long beyond the disk cap, and may take, microseconds. */
#define CHANGES_OVERHEAD (64u << 20)
#define CHANGES_WITHIN 30000000u

/* ---- Wire: worker <-> launcher and agent. Little-endian: u32 length of the rest, u8 type, u32 sandbox, payload.
 * runtime/zygote/protocol.ts says the same in TypeScript; a test compares the two. ---- */
enum frame_type {
  FRAME_ZONE = 1,   /* worker: first frame of a connection. strings: layers "a:b", search path, init,
                       "trusted" or the zygote's memory in bytes or "", argv */
  FRAME_CREATE = 2, /* worker: make sandbox. struct spec_head, u32 groups, strings: directory, layers */
  FRAME_RUN = 3,    /* worker: struct run_limits, u32 run_flags, u32 stdin length, stdin, with RUN_SECRETS u32 length and secrets,
                       job. Each secret: u32 length, name, u32 length, value */
  FRAME_KILL = 4,   /* worker: end it, in any state */
  FRAME_STAT = 5,   /* worker asks, of a sandbox or the zygote (0); agent answers with struct stat_report */
  FRAME_READY = 6,  /* agent: the zone (sandbox 0; then u32 microseconds of initialisation) or the sandbox is ready */
  FRAME_STDOUT = 7, /* agent: bytes */
  FRAME_STDERR = 8, /* agent: bytes */
  FRAME_DONE = 9,   /* agent: struct run_report, result bytes */
  FRAME_GONE = 10,  /* agent: nothing of the sandbox is left but, u32, enum residue */
  FRAME_FAILED = 11, /* agent: text; sandbox 0: the zone cannot be made. Layers: `sandbox` is an enum unpack_fault */
  /* Layers: each the first frame of a connection of its own. */
  FRAME_UNPACK = 12,       /* worker: strings: lowers "a:b" or "", bytes, entries, stall ms; then the tar, then EOF */
  FRAME_REMOVE_LAYER = 13, /* worker: name of the directory; GONE is the answer */
  FRAME_UNPACKED = 14,     /* launcher, after READY with the directory's name: struct unpack_report, paths left out */
  FRAME_CHANGES = 15, /* agent: bytes of a tar, before DONE */
  /* Images: the first frame of a connection of its own. */
  FRAME_BUILD = 16, /* worker: struct build_limits, layers "a:b" or "", NUL; then a tar for /build, then EOF */
  FRAME_BUILT = 17, /* build, after READY and STDOUT: bytes of a tar of /build/out; then DONE with build_report */
  /* A sandbox of an OCI runtime: the first frame of a connection of its own. READY answers it, and from then on the
   * connection speaks as a zone does of its one sandbox, 1, until it closes: then nothing of it is left. */
  FRAME_OCI = 18, /* worker: u32 enum oci_runtime, struct run_limits, struct spec_head, u32 groups, strings: directory,
                     layers, config.json */
  /* A result that is streamed. */
  FRAME_RESULT = 19, /* agent, before DONE: records of a result, each of which ends with RESULT_RECORD */
  FRAME_TAKEN = 20,  /* worker: u32, so many bytes of them are passed on */
  /* A run with RUN_INPUT, from RUN until its end. Of stdin, STDIN_WINDOW bytes at most may be sent and not taken. */
  FRAME_STDIN = 21,      /* worker: bytes, at least one */
  FRAME_STDIN_END = 22,  /* worker: no more of them */
  FRAME_SIGNAL = 23,     /* worker: u32, its number */
  FRAME_INPUT_TAKEN = 24 /* agent: struct input_taken */
};

enum oci_runtime { OCI_RUNC = 1, OCI_GVISOR = 2 };

enum spec_flags {
  SPEC_SCRATCH = 1, /* /work and /tmp are directories of the writable layer itself */
  SPEC_OWN_USER = 2, /* an id that no other sandbox has; uid and gid are 0 */
  SPEC_SECRETS = 4 /* it has a place for secrets, /run/secrets */
};

struct spec_head {
  uint32_t flags;
  uint32_t uid;
  uint32_t gid;
  uint32_t groups; /* how many follow */
} __attribute__((packed));

enum run_flags {
  RUN_CHANGES = 1,
  RUN_SECRETS = 2,
  RUN_INPUT = 4, /* stdin stays open: more of it, and signals, may follow */
  RUN_WORK = 8 /* with RUN_CHANGES: of /work only, which the spec has as a directory of the tmpfs (SPEC_SCRATCH) */
};

/* Since it was last said: bytes of FRAME_STDIN that are in the program's pipe, or that nobody will read, as it has closed
 * it; and signals that were sent. */
struct input_taken {
  uint32_t bytes;
  uint32_t signals;
} __attribute__((packed));
#define MAX_SIGNAL 31 /* those of real time queue up, at the cost of the zone's owner */

#define MAX_SECRETS 32
#define MAX_SECRET_NAME 64 /* with its NUL */
#define MAX_SECRET (64u << 10)

enum changes_state { CHANGES_NONE = 0, CHANGES_COMPLETE = 1, CHANGES_CUT = 2 };

/* END_DISK: what the platform writes for the program, before it begins, does not fit into its disk. */
enum end_cause { END_EXITED = 0, END_WALL = 1, END_CPU = 2, END_KILLED = 3, END_OUTPUT = 4, END_DISK = 5 };

struct run_limits {
  uint64_t memory_bytes;
  uint64_t disk_bytes;
  uint64_t disk_inodes;
  uint64_t stdout_bytes;
  uint64_t stderr_bytes;
  uint32_t pids;
  uint32_t cpu_milli; /* 1000 is one core */
  uint32_t wall_ms;
  uint32_t cpu_ms;
} __attribute__((packed));

/* Bits: what could not be taken away. */
enum residue { RESIDUE_CGROUP = 1 };

/* Bits: which of a report's fields this kernel has. */
enum report_known { KNOWN_PIDS_PEAK = 1, KNOWN_PRESSURE = 2 };

struct run_report {
  uint32_t cause;
  int32_t exit_code; /* -1: ended by a signal */
  int32_t signal;    /* 0: exited by itself */
  uint32_t oom_kills;
  uint32_t pids_refused;
  uint8_t disk_full; /* with the next, at any look */
  uint8_t inodes_full;
  uint8_t stdout_truncated;
  uint8_t stderr_truncated;
  uint64_t cpu_usec;
  uint64_t memory_peak_bytes;
  uint32_t start_usec;
  uint32_t run_usec;
  uint8_t changes; /* enum changes_state */
  uint64_t cpu_user_usec; /* with the next, what cpu_usec is */
  uint64_t cpu_system_usec;
  uint64_t throttled_usec; /* kept off the CPU by its cap on that */
  uint64_t disk_peak_bytes; /* the most that its writable layer was seen to hold */
  uint64_t disk_peak_inodes;
  uint64_t cpu_pressure_usec; /* of its time, in which some of its threads waited for a CPU, memory, I/O */
  uint64_t memory_pressure_usec;
  uint64_t io_pressure_usec;
  uint32_t pids_peak;
  uint8_t known; /* enum report_known */
} __attribute__((packed));

struct stat_report {
  uint64_t memory_bytes;
  uint64_t memory_peak_bytes;
  uint64_t writable_bytes;
};

/* Whose fault a failed unpacking is: the archive's, the full disk's, or neither's. */
enum unpack_fault { FAULT_INVALID = 1, FAULT_FULL = 2, FAULT_LOST = 3 };

struct unpack_report {
  uint64_t disk_bytes;
  uint64_t entries;
  uint32_t depends; /* 1: the layers below were asked, so the content may be another above others */
  uint32_t skipped; /* devices and sockets left out; some of their paths follow */
} __attribute__((packed));

/* Of one image build, all of it together. */
struct build_limits {
  uint64_t memory_bytes;
  uint64_t disk_bytes;
  uint64_t disk_inodes;
  uint32_t pids;
  uint32_t cpu_milli; /* 1000 is one core */
  uint32_t wall_ms;
} __attribute__((packed));

/* BUILD_DISK: it passed its cap. BUILD_FULL: the disk is nearly full, whoever filled it. */
enum build_cause { BUILD_EXITED = 0, BUILD_WALL = 1, BUILD_DISK = 2, BUILD_FULL = 3 };

struct build_report {
  uint32_t cause;
  uint32_t command;  /* the last that ran, from 1: unpacking, those of /build/commands, packing */
  int32_t exit_code; /* -1: ended by a signal */
  int32_t signal;    /* 0: exited by itself */
  uint32_t oom_kills;
  uint32_t pids_refused;
} __attribute__((packed));

#define FRAME_PREFIX 9 /* length, type, sandbox */

/* ---- io.c ---- */
struct buffer {
  uint8_t *data;
  size_t start; /* what is in it lies at data + start */
  size_t length;
  size_t capacity;
};
/* All allocation failures end the process: there is nothing useful to do, and everything below us goes with us. */
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_drop_front(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);
int write_all(int fd, const void *data, size_t length);
int frame_send(int fd, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length,
               const void *body, size_t body_length);
/* For a sender who sends later. */
void frame_append(struct buffer *buffer, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length,
                  const void *body, size_t body_length);
/* For a sender who must not wait: what a reader has no room for ends the connection. */
void frame_post(int fd, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length, const void *body,
                size_t body_length);
ssize_t send_fds(int socket, const void *data, size_t length, const int *fds, int count);
int write_file_at(int dirfd, const char *path, const char *text);
ssize_t read_file_at(int dirfd, const char *path, char *text, size_t size);
uint64_t now_usec(void);
/* In a process cloned from the launcher: closes everything that it has open, and that is the host's root's, but these and
 * stderr; stdin and stdout become /dev/null. -1 with errno. */
int descriptors_keep(const int *kept, int count);
/* Layers as they cross the wire: digests in hex with colons between, nothing that could be a path. */
bool layers_are_names(const char *layers);
/* The same with another cap than that of a sandbox: how many they are, or 0. */
size_t layer_names_count(const char *layers, size_t max);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Logs with %m expanded by the caller's format and ends the process. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- cgroup.c ---- */
#define MAX_CGROUP_PATH 256 /* of a hierarchy's mount point, with its NUL */
struct cgroup_layout {
  int version;                     /* 1 or 2 */
  int count;                       /* distinct hierarchies */
  char mount[MAX_CGROUP_DIRS][MAX_CGROUP_PATH];
  int cpu, cpuacct, memory, pids;  /* index into mount */
  char blkio[MAX_CGROUP_PATH];     /* v1: where that is mounted, or "" */
  /* What each zone, and each build, may read and write of a disk a second; 0: as much as there is. */
  uint64_t io_bytes;
  unsigned io_major, io_minor;
};
/* A zone's directories, one a hierarchy, owned by the zone's administrator: it makes the sandboxes' below them itself. */
struct cgroup_zone {
  struct cgroup_layout layout;
  int dir[MAX_CGROUP_DIRS];
  int blkio; /* the launcher's, where v1 throttles; else -1 */
};
int cgroup_detect(const char *mountinfo, struct cgroup_layout *layout);
void cgroup_sweep(const struct cgroup_layout *layout, const char *instance);
/* Throttles zones to come, on the disk that `path` lies on; a text when that cannot be had here. */
const char *cgroup_throttle(struct cgroup_layout *layout, const char *path, uint64_t bytes_per_second);
/* `owner`, on the host, is given what it takes to make sandboxes; 0: nobody is. */
int cgroup_zone_open(const struct cgroup_layout *layout, const char *instance, uint32_t zone, uint32_t owner,
                     struct cgroup_zone *out);
/* Before the zygote starts. One that may run others' code gets one core and no more, and 2 GiB or what is
 * asked, whichever is less. */
int cgroup_zygote_limit(const struct cgroup_zone *zone, bool trusted, uint64_t memory_bytes);
uint32_t cgroup_zygote_processes(const struct cgroup_zone *zone);
void cgroup_zygote_memory(const struct cgroup_zone *zone, uint64_t *now, uint64_t *peak);
int cgroup_zone_enter(const struct cgroup_zone *zone, pid_t pid);
/* Lets go of its directories, which stay. */
void cgroup_zone_close(struct cgroup_zone *zone);
/* The caller moves itself to where the zygote's caps are. */
void cgroup_zygote_enter(const struct cgroup_zone *zone);
int cgroup_zone_remove(const struct cgroup_layout *layout, const char *instance, uint32_t zone);
/* For the zone as a whole, by the launcher: what is in it cannot change them. */
int cgroup_zone_limit(const struct cgroup_zone *zone, const struct build_limits *limits);
/* What its agent and all its children but sandboxes met. */
uint32_t cgroup_zone_oom_kills(const struct cgroup_zone *zone);
uint32_t cgroup_zone_pids_refused(const struct cgroup_zone *zone);

int cgroup_sandbox_make(const struct cgroup_zone *zone, uint32_t id);
/* Opens, in every hierarchy, the file through which a process moves in by writing "0"; returns how many. */
int cgroup_sandbox_procs(const struct cgroup_zone *zone, uint32_t id, int fds[MAX_CGROUP_DIRS]);
int cgroup_sandbox_limit(const struct cgroup_zone *zone, uint32_t id, const struct run_limits *limits);
uint64_t cgroup_sandbox_cpu_usec(const struct cgroup_zone *zone, uint32_t id);
uint64_t cgroup_sandbox_memory(const struct cgroup_zone *zone, uint32_t id);
uint64_t cgroup_sandbox_memory_peak(const struct cgroup_zone *zone, uint32_t id);
struct cgroup_usage {
  uint64_t cpu_usec, cpu_user_usec, cpu_system_usec, throttled_usec, memory_peak_bytes;
  uint64_t cpu_pressure_usec, memory_pressure_usec, io_pressure_usec;
  uint32_t pids_peak;
  bool knows_pids_peak, knows_pressure;
};
/* All that its accounts say at its end. `cpu_milli` is its cap. */
void cgroup_sandbox_usage(const struct cgroup_zone *zone, uint32_t id, uint32_t cpu_milli, struct cgroup_usage *out);
uint32_t cgroup_sandbox_oom_kills(const struct cgroup_zone *zone, uint32_t id);
uint32_t cgroup_sandbox_pids_refused(const struct cgroup_zone *zone, uint32_t id);
uint32_t cgroup_sandbox_processes(const struct cgroup_zone *zone, uint32_t id);
/* A pidfd of the one process that is in it; -1 with errno, ESRCH where there is not exactly one. */
int cgroup_sandbox_open_process(const struct cgroup_zone *zone, uint32_t id);
/* Ends all that is in it, wherever else that belongs. */
void cgroup_sandbox_kill(const struct cgroup_zone *zone, uint32_t id);
/* 0, or -1 with EBUSY while the kernel still holds it. */
int cgroup_sandbox_remove(const struct cgroup_zone *zone, uint32_t id);

/* ---- seccomp.c ---- */
struct filter {
  uint8_t bpf[16384];
  size_t length; /* bytes */
};
struct filters {
  struct filter sandbox; /* all that user code is held to, in one */
  struct filter zygote;
  struct filter child; /* of a zygote: with that it has its zygote's, and the two together are `sandbox` */
  struct filter init;  /* of a sandbox */
  struct filter build;
  struct filter runtime; /* gVisor's, around its own kernel */
};
bool seccomp_compile(struct filters *filters);

/* ---- root.c: roots of zones and builds. Whatever fails ends the process, and with it its mount namespace ---- */
#define ROOT_PLACE "/tmp" /* where a new root is put together; in a mount namespace of one's own */
int root_clone_tree(const char *path);
/* Closes the tree. */
void root_place_tree(int tree, const char *path, uint64_t attributes);
void root_make_dir(const char *path);
void root_make_link(const char *target, const char *path);
/* By the host's root: a mount of a /dev that is nobody else's, and in no mount table yet. -1 with errno. */
int root_make_devices(void);
/* Closes the tree. */
void root_place_devices(int tree);
/* What is to lie over parts of each /proc that is made below; `proc` is one of this kernel. */
void root_make_masks(const char *proc);
/* Over the proc that is the working directory. -1 with errno. */
int root_mask_proc(void);
void root_pivot(const char *root);

/* ---- root-host.c: what of the host builds and OCI runtimes stand on, read-only ---- */
#define SYSTEM_DIRS 12
struct system_dir {
  int tree; /* -1: not a directory */
  char target[256];
};
/* Programs and libraries. Both name the directory that failed, with errno, or NULL. */
const char *root_take_system(struct system_dir dirs[SYSTEM_DIRS]);
const char *root_place_system(const struct system_dir dirs[SYSTEM_DIRS]);
/* Each layer alone: the others of the node are none of the business of whoever is in there. Returns how many, or -1 with
 * errno. */
int root_take_layers(const char *layers_dir, const char *layers, int *trees);
void root_place_layers(const char *layers, const int *trees, int count);

/* ---- zone.c: what the agent does once, before it serves ---- */
struct zone {
  uint32_t id;
  int worker;   /* socket to the worker */
  int launcher; /* read end of a pipe the launcher holds: end of file is our end */
  struct cgroup_zone cgroup;
  struct filters filters;
  char layers[MAX_LAYERS * (LAYER_NAME + 1) + 1]; /* of the zygote's image, "a:b" */
  char search_path[MAX_PATH];                     /* where the image has its programs, as PATH has it */
  /* "", or the zygote's last argument: the function that it loads before it serves. What such a zygote leaves behind is
   * looked at when it says that it is ready. */
  char *init;
  bool trusted; /* the zygote is the platform's own */
  uint64_t ready_within; /* a sandbox or a zygote that is not ready by then never will be, microseconds */
  char **zygote_argv; /* empty: the built-in exec zygote */
};
/* In its zygote's environment: not an argument, which everyone on the host could read. */
#define INIT_VARIABLE "ONCEBOX_INIT="
/* `devices` is of root_make_devices(). */
void zone_enter_root(const char *layers_dir, const char *platform_dir, int devices);
/* What the agent has of its zygote. It hears it through pipes: over a socket it could be sent descriptors, and those
 * can be made to take for ever to close. */
struct zygote_link {
  int pidfd;
  int requests; /* socket, for sending only */
  int events;   /* pipe: struct zygote_event */
  int output;   /* pipe: its stdout and stderr */
};
/* The caller ends with the zone when it fails: nothing is undone. */
int zone_start_zygote(const struct zone *zone, struct zygote_link *out);
#define ZYGOTE_PID 299 /* in the zone */

/* ---- agent.c ---- */
void agent_main(struct zone *zone) __attribute__((noreturn));

/* ---- ids.c: who we are in the zone ---- */
void ids_become_administrator(void);
/* Whose the files are that we make from now on: the image's root's, or ours again. */
void ids_make_files_as(uint32_t id);
/* Empties the bounding set: what we have we keep, and nothing that we or our children execute gets any. */
void ids_execute_without_capabilities(void);
/* The capabilities of a zygote, kept over an execve. */
void ids_become_zygote(void);

/* ---- shell.c ---- */
struct sandbox_spec {
  bool scratch, own_user, secrets;
  uint32_t uid, gid, group_count, groups[MAX_GROUPS];
  const char *working_dir;
  const char *layers; /* "a:b", uppermost first */
};
struct shell {
  pid_t init;
  int init_pidfd;
  int tmpfs; /* the writable layer, for resizing and measuring it */
  int ready; /* one byte when built, a message when it cannot be; -1 after */
};
/* Starts building, with a writable layer of that size; the shell says on `ready` when it is done. -1 with errno when it
 * cannot even start. */
int shell_start(const struct sandbox_spec *spec, const struct filter *filter, uint64_t bytes, uint64_t inodes,
                struct shell *out);
/* Opens the layers' directories; returns how many, or -1 with errno. */
int shell_open_layers(const char *layers, int fds[MAX_LAYERS]);
int shell_resize(const struct shell *shell, uint64_t bytes, uint64_t inodes);
/* A tmpfs of that size that is in no mount table yet, or -1 with errno. */
int shell_make_tmpfs(uint64_t bytes, uint64_t inodes);
/* Puts the sandbox's root together at /shell/root, above /layers. A failure is written to `ready`, and ends the process. */
void shell_mount_root(int ready, int tmpfs, const struct sandbox_spec *spec);

/* ---- zygote.c: the only part that is also loaded into interpreters; it needs nothing of the above ---- */
enum zygote_fd { ZFD_SHELL, ZFD_STDIN, ZFD_STDOUT, ZFD_STDERR, ZFD_JOB, ZFD_RESULT, ZFD_CGROUP };
struct fork_request {
  uint32_t sandbox;
  uint32_t uid, gid, group_count, groups[MAX_GROUPS];
  char working_dir[MAX_PATH]; /* sent up to its NUL */
};
struct zygote_event {
  uint32_t kind; /* 1 forked, 2 exited, 3 ready, 4 fork failed */
  uint32_t sandbox;
  int32_t pid;
  int32_t status; /* of 2 as waitpid() has it, of 3 microseconds of initialisation, of 4 errno */
};
/* Of a message with so many bytes and descriptors: NULL, or what is wrong with it. Pure. */
const char *fork_request_check(const struct fork_request *request, size_t got, int descriptors);
enum { ZYGOTE_FORKED = 1, ZYGOTE_EXITED = 2, ZYGOTE_READY = 3, ZYGOTE_FORK_FAILED = 4 };
#define ZYGOTE_SOCKET_FD 3 /* fork requests come here */
#define ZYGOTE_EVENTS_FD 4 /* a pipe: events go there */
#define ZYGOTE_PID_NS_FD 5 /* the zone's pid namespace: a zygote's /proc names no process */

/* Serves forks until the agent goes, then ends the process. Returns only in a child, which by then is confined. The agent
 * is told how long a function's initialisation took, microseconds; 0 where there was none. A child has two pipes to the agent, for its job and its result. Pipes, for user code inherits the second: what can be
 * sent over a socket, descriptors, would be closed by the agent, and closing can be made to take for ever. */
void zygote_serve(uint32_t init_usec);
/* Says "parked" and waits for the job. Returns its bytes (malloc) and sets *length; ends the process when the
 * agent goes. */
uint8_t *zygote_wait_job(size_t *length);
/* -1 when nobody listens any more; SIGPIPE must be ignored. JSON, so that it has no byte RESULT_END. */
int zygote_send_result(const void *data, size_t length);
/* Ends the process as _exit(2) does, and says so first: all that it wrote is in its pipes by then, and the kernel takes
 * longer to take an interpreter apart than most programs run. */
#define RESULT_END 0
/* At the end of what is told before the result is whole; in the JSON of a record itself there is none. */
#define RESULT_RECORD '\n'
void zygote_end(int code) __attribute__((noreturn));
/* Straight from the kernel: no generator of a library has been touched. */
uint32_t zygote_random(void);

/* ---- changes.c ---- */
#define MAX_PLATFORM_FILES 64
/* Inodes of the writable layer that the platform made, as they were before the program ran. */
struct platform_files {
  uint32_t count;
  struct {
    uint64_t inode, size;
    int64_t changed_sec, changed_nsec;
  } files[MAX_PLATFORM_FILES];
};
void changes_note_platform(int tmpfs, struct platform_files *out);
/* Starts a process that writes what the sandbox left to a pipe, or with `work_only` what it left in /work, and exits with 0
 * when that is all of it. `layers` and `scratch` are the sandbox's. -1 with errno when it cannot be started. */
int changes_start(int tmpfs, const char *layers, bool scratch, bool work_only, const struct platform_files *platform,
                  const struct filter *filter, uint64_t max_bytes, int *pidfd);

/* ---- disk-use.c ---- */
struct disk_use {
  uint64_t peak_bytes, peak_inodes; /* the most that was seen */
  bool was_full, inodes_were_full;  /* at any look */
};
/* Looks at a writable layer; returns when to look again. */
uint64_t disk_look(int tmpfs, struct disk_use *use);

/* ---- exec.c ---- */
void exec_zygote_main(void) __attribute__((noreturn));

/* ---- layers.c: the launcher's part of unpacking and removing layers ---- */
#define MAX_UNPACKINGS 16
struct pollfd;
/* Before the read-only view of the directory is laid over it. */
void layers_open(const char *layers_dir);
/* Removes what dead launchers left half-unpacked. */
void layers_sweep(void);
/* Both take a frame's payload and answer on the connection; a text when they refuse. */
const char *layers_unpack(int connection, uint8_t *payload, size_t length);
const char *layers_remove(int connection, uint8_t *payload, size_t length);
/* True when the process was one of ours. */
bool layers_reap(pid_t pid, int status);
/* Fills in whom to poll, MAX_UNPACKINGS at most, and returns how many; layers_heard then looks at the same. */
size_t layers_watch(struct pollfd *events);
void layers_heard(const struct pollfd *events, size_t count);
/* In a zone's process: gives up everything of ours. */
void layers_leave(void);
void layers_end(void);
/* A directory on the same disk for a build: its handle, and a mount of it that is in no mount table. -1 with errno. It
 * is removed at the release, and `connection` is told and closed when it is gone; or by whoever sweeps after us. */
int layers_hold_directory(int *tree);
void layers_release_directory(int handle, int connection);
/* Ids from 0 become those that are shared, `shared` of them; and those of a zone's own from `own` on the host, unless it is
 * 0. */
int write_id_map(pid_t pid, uint32_t shared, uint32_t own);

/* ---- builds.c: the launcher's part of building images ---- */
#define MAX_BUILD_LAYERS 192
/* What of the launcher it needs. */
struct launcher_view {
  const char *layers_dir, *platform_dir, *instance;
  const struct cgroup_layout *cgroups;
  const struct filters *filters;
  uint32_t (*next_zone)(void);
  void (*hide_command_line)(void); /* the directories' names go with it */
  void (*forget_others)(int connection); /* requests that are under way, but that of the connection */
};
/* ---- removals.c: the launcher's part of taking cgroups away ---- */
struct removal {
  uint32_t zone;
  uint32_t sandbox; /* who is gone, when something of it stays; 0: that is only logged */
  int connection;   /* closed in the end; -1: nobody waits */
  int directory;    /* of layers.c, released in the end, with the connection; -1: none */
  uint64_t since;
};
/* The zone's last process is gone. */
void removals_add(const struct launcher_view *launcher, struct removal removal);
/* Tries again; returns milliseconds until it wants to be called, -1 for never. */
int removals_work(const struct launcher_view *launcher);
/* In a process cloned from the launcher. */
void removals_leave(void);

/* As layers_unpack. */
const char *builds_start(int connection, uint8_t *payload, size_t length, const struct launcher_view *launcher);
bool builds_reap(pid_t pid, const struct launcher_view *launcher);
void builds_leave(void);
void builds_end(void);

/* ---- build.c: pid 1 of a build ---- */
struct build_start {
  struct build_limits limits;
  int connection, alive, mapped;
  int workspace; /* mount that becomes /build */
  int devices;   /* of root_make_devices() */
  struct cgroup_zone cgroup;
  const struct filter *filter;
  const char *layers_dir, *layers;
  void (*hide_command_line)(void);
};
void build_main(const struct build_start *start) __attribute__((noreturn));

/* ---- build-disk.c ---- */
#define BUILD_DISK_CHECK_MS 200
void build_disk_begin(const struct build_limits *limits);
/* BUILD_EXITED while nothing is wrong. Looks as often as it is worth, or at once. */
enum build_cause build_disk_state(bool at_once);

/* ---- unpack.c: the confined program; it starts with these descriptors, and its root is the layer ---- */
enum unpack_fd { UFD_CONNECTION = 3, UFD_TREE, UFD_RESULT, UFD_LOWERS };
#define UNPACK_TEXT 32768
struct unpack_result { /* what it leaves in UFD_RESULT; the launcher believes no length in it */
  uint32_t fault;      /* 0: done */
  uint32_t text_length;
  struct unpack_report report;
  char text[UNPACK_TEXT]; /* the reason; when done, NUL-terminated paths left out */
};
void unpack_fail(enum unpack_fault fault, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* By errno: "cannot WHAT PATH: reason". A full disk is told from the rest. */
void unpack_fail_errno(const char *what, const char *path) __attribute__((noreturn));

/* ---- confine.c ---- */
void confine(void);

/* ---- tree.c: the layer that is being unpacked, above those below it ---- */
#define TREE_PATH 4096
#define TREE_NAME 256
/* A directory of the layer whose time of change is put back when we are done with it. */
struct parent {
  int fd; /* -1: none */
  int64_t blocks;
  int64_t changed_sec, changed_nsec;
  char asked[TREE_PATH], path[TREE_PATH];
};
enum tree_kind { TREE_NOTHING, TREE_DIRECTORY, TREE_LINK, TREE_WHITEOUT, TREE_OTHER };
void tree_open(const int *lowers, int count, uint64_t max_bytes);
bool tree_depends(void);
uint64_t tree_disk_bytes(void);
/* Bytes that a file is about to have; ends the program above the cap. */
void tree_claim(uint64_t bytes);
/* The directory of the last name in `path`, made if it has to be, symbolic links followed. */
int tree_parent(struct parent *parent, const char *path, char name[TREE_NAME]);
void tree_settle(struct parent *parent); /* puts the time back */
void tree_drop(struct parent *parent);   /* and closes it */
enum tree_kind tree_look(int dir, const char *name);
/* Removes it with all that is in it, and says what it was. */
enum tree_kind tree_remove(int dir, const char *name);
void tree_empty(int dir);
void tree_made(int dir, const char *name); /* accounts for a new inode, once complete */
void tree_set_opaque(int dir);
/* Brings a file of the layers below into this one, if it is there and not here; false when it is nowhere. */
bool tree_bring_up(struct parent *parent, const char *name);
bool tree_xattr_allowed(const char *name);

#endif
