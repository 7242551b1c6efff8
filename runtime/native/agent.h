/*
 * agent.h: pid 1 of a zone. One thread, one epoll. For every sandbox it goes through
 *
 *   BUILDING   the shell is being made            -> ready pipe says so
 *   FORKING    the zygote's child is joining it   -> its result pipe says "P"
 *   PARKED     ready for its one job              -> FRAME_RUN
 *   RUNNING    user code                          -> exit, a cap, FRAME_KILL; input, if the run asked for it
 *   DYING      init was killed                    -> init's pidfd: the kernel has ended every process inside
 *   CAPTURING  its changes are being read, if the run asked for them -> end of their pipe
 *   REMOVING   only the cgroup directory is left  -> FRAME_GONE
 *
 * and there is no way back. The worker picks sandbox ids; id % MAX_SANDBOXES is the slot and decides the sandbox's own
 * user id, so two live ids may not share it.
 */
#ifndef ONCEBOX_AGENT_H
#define ONCEBOX_AGENT_H

#include "oncebox.h"

enum state { FREE, BUILDING, FORKING, PARKED, RUNNING, DYING, CAPTURING, REMOVING };
enum source {
  /* of the zone */
  SOURCE_WORKER, SOURCE_LAUNCHER, SOURCE_ZYGOTE, SOURCE_ZYGOTE_OUTPUT, SOURCE_ZYGOTE_END,
  /* of a sandbox */
  SOURCE_READY, SOURCE_INIT, SOURCE_OUTPUT, SOURCE_ERROR, SOURCE_RESULT, SOURCE_JOB, SOURCE_STDIN, SOURCE_CHANGES,
};

/* Forks asked of the zygote and not answered yet, at most: both ends of its socket block when it is full. */
#define MAX_FORKS_ASKED 32
/* Children that have not left the zygote's cgroup yet, at most: it has room for 512 processes. */
#define MAX_JOINING 256
/* What is held back of what the worker is told, bytes. */
#define OUTBOX_FULL 65536

struct stream {
  int fd;
  uint64_t kept, cap;
  bool truncated;
};

struct sandbox {
  enum state state;
  uint32_t id;
  bool was_run, exited;
  int status;
  enum end_cause cause;
  struct shell shell;
  struct sandbox_spec spec; /* its texts are in `texts` */
  char *texts;
  struct stream output, error, changes;
  int job_fd, result_fd, stdin_fd, changes_pidfd;
  /* Of an interactive run: its main process; whether more stdin may come; and what of that is not taken, bytes. */
  int program_pidfd;
  bool input_open;
  uint32_t input_untaken;
  enum changes_state changes_state;
  struct platform_files *platform; /* NULL: the run was not asked for its changes */
  bool work_only;                  /* of those, what is in /work */
  struct buffer job, input, result;
  struct run_limits limits; /* those of its cgroup and tmpfs, from BUILDING on */
  uint64_t created_at, run_at, job_sent_at, ended_at, over_at, cpu_check_at, disk_look_at, buried_at, remove_at;
  struct disk_use disk;
  uint64_t streamed, on_its_way; /* of its result, bytes; the second not taken by the worker yet */
};

struct agent {
  struct zone *zone;
  int epoll;
  struct zygote_link zygote;
  bool zygote_ready;
  uint64_t created, strays; /* sandboxes so far; events of the zygote about none of them */
  uint64_t started_at, zygote_heard_at; /* when it last answered a fork, or owed no answer */
  struct run_limits usual; /* of the last run: the next is likely to have the same */
  struct buffer inbox, outbox;
  struct sandbox sandboxes[MAX_SANDBOXES];
  /* Ids whose shell is ready and whose fork has to wait. One may be dead by the time it comes up. */
  uint32_t waiting[2 * MAX_SANDBOXES];
  uint32_t waiting_first, waiting_count, forks_asked;
  uint32_t joining; /* in FORKING */
  /* Slots in all states but PARKED and DYING, so that timers look at few. */
  uint32_t active[MAX_SANDBOXES];
  uint32_t active_count;
};
extern struct agent agent;

/* ---- agent.c ---- */
uint32_t agent_slot_of(const struct sandbox *sandbox);
struct sandbox *agent_find(uint32_t id);
void agent_watch(int fd, enum source source, uint32_t slot, uint32_t events);
void agent_close(int *fd);
/* Told with the next DONE, or when there is nothing else to do: a write wakes the worker. */
void agent_tell(enum frame_type type, uint32_t id, const void *head, size_t head_length, const void *body,
                size_t body_length);
void agent_flush(void);
void agent_activate(struct sandbox *sandbox);

/* ---- agent-create.c: up to PARKED ---- */
void sandbox_create(uint32_t id, const uint8_t *payload, size_t length);
void sandbox_shell_is_ready(struct sandbox *sandbox);
void sandbox_fork_waiting(void);
/* It is no longer FORKING, or about to be something else. */
void sandbox_leave_forking(const struct sandbox *sandbox);
void sandbox_is_parked(struct sandbox *sandbox);

/* ---- agent-run.c ---- */
/* Sets caps ahead of a run that is likely to want them; false with errno. */
bool sandbox_limit(struct sandbox *sandbox, const struct run_limits *limits);
void sandbox_run(struct sandbox *sandbox, const uint8_t *payload, size_t length);
void sandbox_send_job(struct sandbox *sandbox);
void sandbox_send_input(struct sandbox *sandbox);
/* Of an interactive run: more of its stdin, the end of that, and a signal for its main process. */
void sandbox_take_input(struct sandbox *sandbox, const uint8_t *bytes, size_t length);
void sandbox_end_input(struct sandbox *sandbox);
void sandbox_signal(struct sandbox *sandbox, const uint8_t *payload, size_t length);
/* Forwards what is there; false at end of file or when nothing is there yet. */
bool sandbox_pump(struct sandbox *sandbox, struct stream *stream, enum frame_type type);
void sandbox_take_result(struct sandbox *sandbox);
/* The worker has passed on so much of a streamed result. */
void sandbox_result_is_taken(struct sandbox *sandbox, uint32_t bytes);
/* Ends a run that has used up its time; returns when to look again. */
uint64_t sandbox_check_time(struct sandbox *sandbox, uint64_t now);

/* ---- agent-end.c: from the kill to FRAME_GONE ---- */
void sandbox_discard(struct sandbox *sandbox, enum end_cause cause);
void sandbox_fail(struct sandbox *sandbox, const char *what);
/* The init is gone, and with it every process. */
void sandbox_bury(struct sandbox *sandbox);
void sandbox_take_changes(struct sandbox *sandbox);
/* They are no longer wanted, or took too long. */
void sandbox_stop_changes(struct sandbox *sandbox);
/* Called after a batch of events, so that a slot is never reused while an old event of it is in hand. */
void sandbox_remove(struct sandbox *sandbox, uint64_t now);

/* ---- leftovers.c ---- */
/* Why forks of a zygote that has run a function's initialisation would share more than its memory; NULL: they do not. */
const char *leftovers_of(pid_t zygote);

/* ---- agent-zygote.c ---- */
void zygote_hear(void);
void zygote_hear_output(void);
/* Its process is gone, or has closed its pipe. */
void zygote_ended(void) __attribute__((noreturn));
/* Tells the worker why there is no zygote, and ends the zone. */
void zygote_lost(const char *what) __attribute__((noreturn));

#endif
