/* agent-zygote.c: what the zygote says. It may be an image's own program, so that whatever it says concerns its own zone
 * and costs the agent little. */
#define _GNU_SOURCE
#include "agent.h"
#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of its output, what is kept for when it ends, what is read at a time, and what is logged over its life. */
#define LAST_WORDS 1200
#define WORDS_AT_ONCE 600
#define MAX_LOGGED 16384
/* What is read of it at all. */
#define MAX_HEARD (1u << 20)
/* Events taken before others have their turn. */
#define EVENTS_AT_ONCE 256

static char last_words[LAST_WORDS + 1];
static size_t logged, heard;

/* The log is read in terminals. */
static void make_printable(char *text) {
  for (; *text; text++)
    if ((*text < ' ' && *text != '\n') || *text == 0x7f) *text = '?';
}

static void remember(const char *said) {
  size_t kept = strlen(last_words), more = strlen(said);
  size_t over = kept + more > LAST_WORDS ? kept + more - LAST_WORDS : 0;
  memmove(last_words, last_words + over, kept - over);
  memcpy(last_words + kept - over, said, more + 1);
}

/* The interpreter's own complaints, such as why it cannot start. Blank lines are its warming up. */
void zygote_hear_output(void) {
  char text[WORDS_AT_ONCE + 1];
  ssize_t got = read(agent.zygote.output, text, WORDS_AT_ONCE);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) agent_close(&agent.zygote.output);
    return;
  }
  for (ssize_t i = 0; i < got; i++)
    if (text[i] == '\0') text[i] = '?';
  text[got] = '\0';
  while (got > 0 && text[got - 1] == '\n') text[--got] = '\0';
  heard += (size_t)got;
  if (agent.zygote_ready && heard > MAX_HEARD) agent_close(&agent.zygote.output);
  if (got == 0) return;
  make_printable(text);
  const char *said = text + strspn(text, "\n");
  remember(said);
  if (logged + (size_t)got > MAX_LOGGED) return;
  logged += (size_t)got;
  log_line("oncebox-zygote: %s", said);
}

void zygote_lost(const char *what) {
  char text[LAST_WORDS + 256];
  /* What a pipe holds, and no more: some of its children may still be writing. */
  for (int i = 0; i < 65536 / WORDS_AT_ONCE + 1 && agent.zygote.output >= 0; i++) zygote_hear_output();
  int length = snprintf(text, sizeof(text), "%s%s%s", what, last_words[0] ? ": " : "", last_words);
  if (length > (int)sizeof(text) - 1) length = (int)sizeof(text) - 1;
  agent_tell(FRAME_FAILED, 0, text, (size_t)length, NULL, 0);
  agent_flush();
  die("%s; its zone ends with it", what);
}

void zygote_ended(void) {
  char text[96], how[48] = "";
  siginfo_t info = {0};
  /* Its pipes close a moment before it can be asked. */
  struct pollfd end = {.fd = agent.zygote.pidfd, .events = POLLIN};
  if (poll(&end, 1, 100) == 1 && waitid(P_PIDFD, (id_t)agent.zygote.pidfd, &info, WEXITED | WNOHANG) == 0)
    snprintf(how, sizeof(how), info.si_code == CLD_EXITED ? " with exit code %d" : " by signal %d", info.si_status);
  snprintf(text, sizeof(text), "the zygote ended%s", how);
  zygote_lost(agent.zygote_ready ? text : "the zygote ended before it was ready");
}

/* False when there is nothing more to hear. */
static bool hear_once(void) {
  struct zygote_event event;
  ssize_t got = read(agent.zygote.events, &event, sizeof(event));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got == 0) zygote_ended();
  const char *wrong = event_check(&event, got < 0 ? 0 : (size_t)got);
  if (wrong) zygote_lost(wrong);
  if (event.kind == ZYGOTE_READY) {
    if (agent.zygote_ready) zygote_lost("the zygote was ready twice");
    const char *unfit = agent.zone->init[0] ? leftovers_of(ZYGOTE_PID) : NULL;
    /* An orphan is nobody's child whom the zygote could have seen. */
    if (!unfit && agent.zone->init[0] && cgroup_zygote_processes(&agent.zone->cgroup) > 1)
      unfit = "initialisation left a process behind";
    if (unfit) zygote_lost(unfit);
    agent.zygote_ready = true;
    uint32_t init_usec = (uint32_t)event.status;
    agent_tell(FRAME_READY, 0, &init_usec, sizeof(init_usec), NULL, 0);
    return true;
  }
  if (event.kind == ZYGOTE_FORKED || event.kind == ZYGOTE_FORK_FAILED) {
    /* Every request is answered by one of the two. */
    if (agent.forks_asked == 0) zygote_lost("the zygote answered what it was not asked");
    agent.forks_asked--;
    agent.zygote_heard_at = now_usec();
    sandbox_fork_waiting();
  }
  struct sandbox *sandbox = agent_find(event.sandbox);
  bool is_over = !sandbox || (event.kind == ZYGOTE_EXITED && (sandbox->exited || sandbox->state >= DYING));
  if (is_over) {
    /* Each sandbox can be over before its end is told, once. More would keep us busy for nothing. */
    if (++agent.strays > agent.created + 1024) zygote_lost("the zygote speaks of sandboxes that are not there");
    if (!sandbox) return true;
  }
  if (event.kind == ZYGOTE_FORK_FAILED && sandbox->state == FORKING) {
    char text[128];
    snprintf(text, sizeof(text), "cannot fork the zygote: %s", strerror(event.status));
    sandbox_fail(sandbox, text);
  }
  if (event.kind != ZYGOTE_EXITED) return true;
  /* Unless it has said how it ends: that it was killed on its way is our doing. */
  if (!sandbox->exited) sandbox->status = event.status;
  sandbox->exited = true;
  if (sandbox->state == RUNNING) sandbox_discard(sandbox, END_EXITED);
  else if (sandbox->state == FORKING || sandbox->state == PARKED) sandbox_fail(sandbox, "the parked process died");
  return true;
}

void zygote_hear(void) {
  for (int i = 0; i < EVENTS_AT_ONCE && hear_once(); i++) continue;
}
