/*
 * run-streams.c: fuzzes agent-run.c, of a run that takes input: what the worker sends, what the program writes to its result
 * pipe, and when it reads. Over real pipes; the rest of the agent is what is below. The input is a list of steps.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../frames.h"
#include "fuzz.h"

/* Bounds that a short input reaches. */
#undef MAX_RESULT
#undef MAX_STREAM
#undef STREAM_WINDOW
#undef STDIN_WINDOW
#define MAX_RESULT 12288u
#define MAX_STREAM 32768u
#define STREAM_WINDOW 8192u
#define STDIN_WINDOW 8192u

static long note_signal(long call, int pidfd, int number);
static int note_unwatched(int operation, int fd);
#define syscall(call, pidfd, number, info, flags) note_signal(call, pidfd, number)
#define epoll_ctl(epoll, operation, fd, event) note_unwatched(operation, fd)
#include "../agent-run.c"
#undef syscall
#undef epoll_ctl

enum { PROGRAM = 4000000 }; /* no descriptor */
#define MAX_STEPS 192
#define MAX_SAID (1u << 20)
#define SAID_AT_ONCE 4096

struct agent agent;
static struct {
  struct sandbox *sandbox;
  int reader, writer; /* the program's ends of stdin and of its result; -1: closed */
  bool stdin_watched, result_watched;
  uint64_t sent, taken, read; /* of stdin, bytes */
  uint64_t signals, signals_taken;
  uint8_t *said; /* what the program wrote; the first so many bytes of it the worker was told */
  size_t said_length, told;
} run;

static long note_signal(long call, int pidfd, int number) {
  must(call == SYS_pidfd_send_signal && pidfd == PROGRAM && number >= 1 && number <= MAX_SIGNAL);
  run.signals++;
  return 0;
}

static int note_unwatched(int operation, int fd) {
  must(operation == EPOLL_CTL_DEL && fd >= 0);
  if (fd == run.sandbox->stdin_fd) run.stdin_watched = false;
  else if (fd == run.sandbox->result_fd) run.result_watched = false;
  else abort();
  return 0;
}

uint32_t agent_slot_of(const struct sandbox *sandbox) { return (uint32_t)(sandbox - agent.sandboxes); }

void agent_watch(int fd, enum source source, uint32_t slot, uint32_t events) {
  must(fd >= 0 && slot == 0);
  if (source == SOURCE_STDIN) run.stdin_watched = events == EPOLLOUT && fd == run.sandbox->stdin_fd;
  else if (source == SOURCE_RESULT) run.result_watched = events == EPOLLIN && fd == run.sandbox->result_fd;
  else abort();
}

void agent_close(int *fd) {
  if (*fd < 0) return;
  if (fd == &run.sandbox->stdin_fd) run.stdin_watched = false;
  if (fd == &run.sandbox->result_fd) run.result_watched = false;
  close(*fd);
  *fd = -1;
}

void agent_tell(enum frame_type type, uint32_t id, const void *head, size_t head_length, const void *body,
                size_t body_length) {
  (void)body;
  must(id == run.sandbox->id && body_length == 0 && head_length > 0);
  if (type == FRAME_INPUT_TAKEN) {
    struct input_taken taken;
    must(head_length == sizeof(taken));
    memcpy(&taken, head, sizeof(taken));
    must(taken.bytes > 0 || taken.signals > 0);
    run.taken += taken.bytes;
    run.signals_taken += taken.signals;
    must(run.taken <= run.sent && run.signals_taken <= run.signals);
    return;
  }
  must(type == FRAME_RESULT && ((const uint8_t *)head)[head_length - 1] == RESULT_RECORD);
  must(!memchr(head, RESULT_END, head_length) && head_length <= run.said_length - run.told);
  must(memcmp(run.said + run.told, head, head_length) == 0);
  run.told += head_length;
}

void sandbox_discard(struct sandbox *sandbox, enum end_cause cause) {
  if (sandbox->state >= DYING) return;
  sandbox->cause = cause;
  sandbox->state = DYING;
  agent_close(&sandbox->stdin_fd);
}

void sandbox_fail(struct sandbox *sandbox, const char *what) {
  must(what[0] != '\0');
  sandbox_discard(sandbox, END_KILLED);
}

/* What a run begins and ends with is not fuzzed here. */
void agent_activate(struct sandbox *sandbox) { (void)sandbox; abort(); }
void sandbox_stop_changes(struct sandbox *sandbox) { (void)sandbox; abort(); }
int cgroup_sandbox_limit(const struct cgroup_zone *zone, uint32_t id, const struct run_limits *limits) { (void)zone; (void)id; (void)limits; abort(); }
uint64_t cgroup_sandbox_cpu_usec(const struct cgroup_zone *zone, uint32_t id) { (void)zone; (void)id; abort(); }
int cgroup_sandbox_open_process(const struct cgroup_zone *zone, uint32_t id) { (void)zone; (void)id; abort(); }
int shell_resize(const struct shell *shell, uint64_t bytes, uint64_t inodes) { (void)shell; (void)bytes; (void)inodes; abort(); }
void changes_note_platform(int tmpfs, struct platform_files *out) { (void)tmpfs; (void)out; abort(); }
int secrets_write(int tmpfs, const struct run_request *run_request, uint32_t uid, uint32_t gid) { (void)tmpfs; (void)run_request; (void)uid; (void)gid; abort(); }

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * 31 + (at >> 8)); }

static void make_pipe(int *reading, int *writing, bool small) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  if (small) must(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
  *reading = ends[0];
  *writing = ends[1];
}

static void begin(void) {
  struct sandbox *sandbox = &agent.sandboxes[0];
  uint8_t *said = run.said ? run.said : malloc(MAX_SAID);
  must(said);
  memset(&run, 0, sizeof(run));
  run.said = said;
  run.sandbox = sandbox;
  *sandbox = (struct sandbox){.state = RUNNING, .id = 8192, .was_run = true, .input_open = true, .program_pidfd = PROGRAM,
                              .job_fd = -1, .changes_pidfd = -1, .output.fd = -1, .error.fd = -1, .changes.fd = -1};
  make_pipe(&run.reader, &sandbox->stdin_fd, true);
  make_pipe(&sandbox->result_fd, &run.writer, false);
  run.result_watched = true;
}

static void end(void) {
  struct sandbox *sandbox = run.sandbox;
  agent_close(&sandbox->stdin_fd);
  agent_close(&sandbox->result_fd);
  if (run.reader >= 0) close(run.reader);
  if (run.writer >= 0) close(run.writer);
  buffer_free(&sandbox->input);
  buffer_free(&sandbox->result);
}

static void send_stdin(size_t length) {
  static uint8_t bytes[STDIN_WINDOW];
  uint64_t untaken = run.sent - run.taken;
  if (length == 0 || length > sizeof(bytes)) return; /* frame_next() lets none of those pass */
  bool may = run.sandbox->input_open && untaken + length <= STDIN_WINDOW;
  bool was_running = run.sandbox->state == RUNNING;
  for (size_t i = 0; i < length; i++) bytes[i] = pattern(run.sent + i);
  if (was_running && may) run.sent += length;
  sandbox_take_input(run.sandbox, bytes, length);
  must((run.sandbox->state == RUNNING) == (was_running && may));
}

/* False when there is nothing (more) to read; at the end of stdin too. */
static bool read_stdin(size_t most) {
  static uint8_t bytes[STDIN_WINDOW];
  if (run.reader < 0) return false;
  ssize_t got = read(run.reader, bytes, most < sizeof(bytes) ? most : sizeof(bytes));
  for (ssize_t i = 0; i < got; i++) must(bytes[i] == pattern(run.read + (uint64_t)i));
  if (got > 0) run.read += (uint64_t)got;
  must(run.read <= run.sent);
  if (got == 0 && most > 0) must(run.sandbox->stdin_fd < 0);
  return got > 0;
}

static void say(const uint8_t *bytes, size_t length) {
  if (run.writer < 0 || run.said_length + length > MAX_SAID || run.sandbox->result_fd < 0) return;
  ssize_t written = length > 0 ? write(run.writer, bytes, length) : 0;
  if (written <= 0) return;
  memcpy(run.said + run.said_length, bytes, (size_t)written);
  run.said_length += (size_t)written;
}

static void say_much(size_t length, uint8_t byte) {
  static uint8_t bytes[SAID_AT_ONCE];
  length %= sizeof(bytes) + 1;
  memset(bytes, byte, length);
  if (length > 0) bytes[length - 1] = RESULT_RECORD;
  say(bytes, length);
}

static void must_hold(void) {
  struct sandbox *sandbox = run.sandbox;
  must(sandbox->input.length <= STDIN_WINDOW && sandbox->input_untaken <= STDIN_WINDOW);
  must(run.signals == run.signals_taken);
  if (sandbox->state == RUNNING) {
    must(sandbox->input_untaken == run.sent - run.taken);
    /* It is woken when there is something to write, and only then: else it would be, again and again. */
    must(run.stdin_watched == (sandbox->stdin_fd >= 0 && sandbox->input.length > 0));
    must(sandbox->stdin_fd < 0 || sandbox->input_open || sandbox->input.length > 0);
    must(run.result_watched == (sandbox->result_fd >= 0 && sandbox->on_its_way < STREAM_WINDOW));
  }
  must(sandbox->result.length <= MAX_RESULT + 2 && sandbox->on_its_way <= sandbox->streamed);
  must(run.told == sandbox->streamed && run.told + sandbox->result.length <= run.said_length);
}

/* What was told, and what is kept, is what was said, up to what ends it. */
static void must_have_all(void) {
  const struct sandbox *sandbox = run.sandbox;
  size_t known = run.told + sandbox->result.length;
  if (sandbox->result.length > 0)
    must(memcmp(run.said + run.told, sandbox->result.data + sandbox->result.start, sandbox->result.length) == 0);
  const uint8_t *last = memchr(run.said, RESULT_END, known);
  if (sandbox->exited) must(!last && known + 1 < run.said_length && run.said[known] == RESULT_END && WEXITSTATUS(sandbox->status) == run.said[known + 1]);
  /* Of who has passed a cap nothing more is read, whatever it said last. */
  else if (sandbox->cause != END_OUTPUT) must(!last || last == run.said + known - 1);
}

static size_t take(const uint8_t **data, size_t *size, void *out, size_t want) {
  size_t got = *size < want ? *size : want;
  memcpy(out, *data, got);
  *data += got;
  *size -= got;
  return got;
}

static void step(const uint8_t **data, size_t *size) {
  struct {
    uint8_t kind, byte;
    uint16_t number;
  } __attribute__((packed)) head = {0};
  take(data, size, &head, sizeof(head));
  uint8_t bytes[256];
  switch (head.kind % 10) {
    case 0: send_stdin((size_t)head.number + head.byte); break;
    case 1: read_stdin(head.number); break;
    case 2: sandbox_end_input(run.sandbox); break;
    case 3: {
      uint32_t number = head.number;
      bool may = run.sandbox->state == RUNNING && number >= 1 && number <= MAX_SIGNAL;
      uint64_t before = run.signals;
      sandbox_signal(run.sandbox, (uint8_t *)&number, sizeof(number));
      must(run.signals == before + may && (run.sandbox->state == RUNNING) == may);
      break;
    }
    case 4:
      if (run.reader >= 0) close(run.reader);
      run.reader = -1;
      break;
    case 5: say(bytes, take(data, size, bytes, head.byte)); break;
    case 6: say_much(head.number, head.byte ? head.byte : 'x'); break;
    case 7: sandbox_result_is_taken(run.sandbox, head.byte & 1 ? head.number : (uint32_t)head.number << 16); break;
    case 8:
      if (run.stdin_watched) sandbox_send_input(run.sandbox);
      break;
    case 9:
      if (run.writer >= 0 && head.byte == 0xff) {
        close(run.writer);
        run.writer = -1;
      }
      break;
    default: abort();
  }
  /* Level-triggered: it is heard before the next step. */
  if (run.sandbox->state == RUNNING && run.result_watched) sandbox_take_result(run.sandbox);
}

/* A program that reads on has all of it, and the end. */
static void read_to_the_end(void) {
  struct sandbox *sandbox = run.sandbox;
  if (sandbox->input_open) sandbox_end_input(sandbox);
  if (sandbox->state != RUNNING) return;
  while (read_stdin(65536) || run.stdin_watched)
    if (run.stdin_watched) sandbox_send_input(sandbox);
  must(run.taken == run.sent && sandbox->stdin_fd < 0 && sandbox->input.length == 0);
  if (run.reader >= 0) must(run.read == run.sent);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  signal(SIGPIPE, SIG_IGN); /* as in the agent */
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  for (int i = 0; i < MAX_STEPS && size > 0; i++) {
    step(&data, &size);
    must_hold();
  }
  must_have_all();
  if (run.sandbox->state == RUNNING) read_to_the_end();
  end();
  return 0;
}
