/*
 * layers.c: the launcher's part of unpacking and removing layers. It makes and takes away directories and tells the
 * worker how it went. What is in a layer, and the archive it comes from, is read and written only by unpack.c, in a
 * process of a user namespace whose root is that directory.
 *
 * A layer is unpacked in a directory of ours, which the worker renames when the bytes had the right digest; by then
 * no process is left that could write to it. Whatever still has our name when its connection closes is removed. A
 * layer to be removed gets such a name first, so nobody finds half of it. We hold a lock (flock) on each of these
 * directories: one that can be locked belongs to nobody who lives.
 */
#define _GNU_SOURCE
#include "requests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum state { FREE, UNPACKING, UNPACKED, REMOVING, HELD };

struct job {
  enum state state;
  pid_t pid;                       /* of the confined process; none in UNPACKED */
  int alive;                       /* write end of a pipe: the process must not outlive us */
  int dir;                         /* the directory, locked */
  int connection;                  /* -1: nobody asked for this */
  int result;                      /* memory that the process shares with us */
  uint32_t fault;                  /* in REMOVING: why; 0: it was asked for */
  char text[512];
  char name[TEMPORARY_LENGTH + 1];
};

static const struct job empty_job = {.alive = -1, .dir = -1, .connection = -1, .result = -1};

static struct {
  int dir;     /* the layers, writable: a zone must never hold it */
  int program; /* unpack.c */
  bool sweep_again;
  struct job jobs[MAX_UNPACKINGS];
} layers = {.dir = -1, .program = -1};

int write_id_map(pid_t pid, uint32_t shared, uint32_t own) {
  static const char *const names[] = {"gid_map", "uid_map"};
  char path[64], text[128];
  int length = snprintf(text, sizeof(text), "0 %u %u\n", ID_BASE, shared);
  if (own != 0) snprintf(text + length, sizeof(text) - (size_t)length, "%u %u %u\n", ADMINISTRATOR_ID, own, OWN_ID_COUNT);
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
    if (write_file_at(AT_FDCWD, path, text) < 0) return -1;
  }
  return 0;
}

void layers_open(const char *layers_dir) {
  char path[4096];
  for (int i = 0; i < MAX_UNPACKINGS; i++) layers.jobs[i] = empty_job;
  layers.dir = open(layers_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (layers.dir < 0) die("cannot open the layers directory %s: %m", layers_dir);
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("oncebox-unpack"));
  if (length < 0) die("cannot tell where this program lies: %m");
  path[length] = '\0';
  strcpy(strrchr(path, '/') + 1, "oncebox-unpack");
  layers.program = open(path, O_PATH | O_CLOEXEC);
  if (layers.program < 0) die("cannot open %s: %m", path);
}

static void choose_name(char name[TEMPORARY_LENGTH + 1]) {
  uint8_t random[TEMPORARY_DIGITS / 2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) die("cannot draw a random name: %m");
  strcpy(name, TEMPORARY);
  for (size_t i = 0; i < sizeof(random); i++) sprintf(name + sizeof(TEMPORARY) - 1 + 2 * i, "%02x", random[i]);
}

/* Never through a symbolic link: the directory is the worker's, and he is not trusted with our rights. */
static int open_layer(const char *name) {
  return openat(layers.dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static struct job *free_job(void) {
  for (int i = 0; i < MAX_UNPACKINGS; i++)
    if (layers.jobs[i].state == FREE) return &layers.jobs[i];
  return NULL;
}

static void job_clear(struct job *job) {
  int fds[] = {job->alive, job->dir, job->connection, job->result};
  for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
    if (fds[i] >= 0) close(fds[i]);
  *job = empty_job;
}

/* ---- the confined process ---- */

/* A mount of this directory alone, of which `..` leads nowhere; it is in no mount table. */
static int take_tree(int dir, uint64_t attributes) {
  struct mount_attr attr = {.attr_set = attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
  int tree = (int)syscall(SYS_open_tree, dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
    int saved = errno;
    close(tree);
    errno = saved;
    return -1;
  }
  return tree;
}

static void confined_main(int alive, const int *fds, int count, char *const argv[]) __attribute__((noreturn));
static void confined_main(int alive, const int *fds, int count, char *const argv[]) {
  char go;
  if (read(alive, &go, 1) != 1) _exit(1); /* the launcher could not write our maps */
  /* From here on root of our user namespace and nobody on the host, and so of the program we become. */
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) _exit(1);
  /* After the change of ids, which clears it; and the launcher may have died before it was set. */
  struct pollfd launcher = {.fd = alive};
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || poll(&launcher, 1, 0) != 0) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC), high[UFD_LOWERS + MAX_LAYERS];
  /* First out of the way of the numbers they are to have. */
  for (int i = 0; i < count; i++) high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, UFD_LOWERS + MAX_LAYERS + 1);
  int program = fcntl(layers.program, F_DUPFD_CLOEXEC, UFD_LOWERS + MAX_LAYERS + 1);
  for (int i = 0; i < 3; i++)
    if (dup2(null, i) < 0) _exit(1);
  for (int i = 0; i < count; i++)
    if (dup2(high[i], UFD_CONNECTION + i) < 0) _exit(1);
  if (syscall(SYS_close_range, UFD_CONNECTION + count, ~0u, CLOSE_RANGE_CLOEXEC) < 0) _exit(1);
  char *environment[] = {"LC_ALL=C", NULL};
  syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
  _exit(1);
}

/* `ids`: how many of the zones' ids the process has. NULL, or what failed, with errno. */
static const char *start(struct job *job, uint32_t ids, const int *lowers, int count, char *const argv[]) {
  int alive[2], fds[UFD_LOWERS - UFD_CONNECTION + MAX_LAYERS];
  int tree = take_tree(job->dir, 0);
  if (tree < 0) return "cannot take the layer's directory";
  job->result = memfd_create("unpack", MFD_CLOEXEC);
  if (job->result < 0 || pipe2(alive, O_CLOEXEC) < 0) {
    close(tree);
    return "cannot make a pipe";
  }
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  fds[0] = job->state == UNPACKING ? job->connection : null;
  fds[UFD_TREE - UFD_CONNECTION] = tree;
  fds[UFD_RESULT - UFD_CONNECTION] = job->result;
  for (int i = 0; i < count; i++) fds[UFD_LOWERS - UFD_CONNECTION + i] = lowers[i];
  struct clone_args arguments = {
      .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
      .exit_signal = SIGCHLD};
  const char *failure = NULL;
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) {
    close(alive[1]);
    confined_main(alive[0], fds, UFD_LOWERS - UFD_CONNECTION + count, argv);
  }
  if (pid < 0) failure = "cannot clone a confined process";
  else if (write_id_map(pid, ids, 0) < 0) failure = "cannot map the ids of a confined process";
  else if (write(alive[1], "", 1) != 1) failure = "cannot start a confined process";
  int saved = errno;
  close(alive[0]);
  close(tree);
  close(null);
  job->alive = alive[1];
  job->pid = pid;
  if (failure && pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  errno = saved;
  return failure;
}

/* ---- removing ---- */

static void answer_removed(struct job *job, bool gone) {
  if (job->connection >= 0) {
    static const char lost[] = "cannot remove the layer's directory; it is tried again when the platform starts";
    if (job->fault) frame_post(job->connection, FRAME_FAILED, job->fault, job->text, strlen(job->text), NULL, 0);
    else if (gone) frame_post(job->connection, FRAME_GONE, 0, NULL, 0, NULL, 0);
    else frame_post(job->connection, FRAME_FAILED, FAULT_LOST, lost, strlen(lost), NULL, 0);
  }
  if (!gone) log_line("oncebox-launcher: cannot remove %s from the layers directory", job->name);
  job_clear(job);
}

/* The job's directory, whatever is in it; then whoever waits is told. */
static void start_removal(struct job *job) {
  static char *const argv[] = {"oncebox-unpack", "remove", NULL};
  if (job->alive >= 0) close(job->alive);
  if (job->result >= 0) close(job->result);
  job->alive = job->result = -1;
  job->state = REMOVING;
  /* Layers of deployed code may be the services' own. */
  if (start(job, SHARED_ID_COUNT, NULL, 0, argv) != NULL) answer_removed(job, false);
}

/* In a state; FREE: in any. */
static bool is_ours(const char *name, enum state state) {
  for (int i = 0; i < MAX_UNPACKINGS; i++) {
    const struct job *job = &layers.jobs[i];
    if (job->state != FREE && (state == FREE || job->state == state) && strcmp(job->name, name) == 0) return true;
  }
  return false;
}

const char *layers_remove(int connection, uint8_t *payload, size_t length) {
  const char *name, *failure = request_read_removal(payload, length, &name);
  if (failure) return failure;
  if (is_ours(name, UNPACKING) || is_ours(name, HELD)) return "the layer's directory is in use";
  struct job *job = free_job();
  if (!job) return "too many layers are unpacked or removed at once; try again later";
  int dir = open_layer(name);
  if (dir < 0 && errno == ENOENT) {
    frame_post(connection, FRAME_GONE, 0, NULL, 0, NULL, 0);
    errno = 0;
    return NULL;
  }
  if (dir < 0) return "cannot open the layer's directory";
  choose_name(job->name);
  /* Locked before it has a name that others sweep. */
  flock(dir, LOCK_EX | LOCK_NB);
  if (renameat(layers.dir, name, layers.dir, job->name) < 0) {
    close(dir);
    return "cannot rename the layer's directory";
  }
  job->dir = dir;
  job->connection = fcntl(connection, F_DUPFD_CLOEXEC, 0);
  start_removal(job);
  errno = 0;
  return NULL;
}

void layers_sweep(void) {
  layers.sweep_again = false;
  int fd = openat(layers.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    if (!request_is_temporary(entry->d_name) || is_ours(entry->d_name, FREE)) continue;
    int dir = open_layer(entry->d_name);
    if (dir < 0) continue;
    struct job *job = free_job();
    /* Others with the same store may live and hold it. */
    if (!job || flock(dir, LOCK_EX | LOCK_NB) < 0) {
      layers.sweep_again |= !job;
      close(dir);
      continue;
    }
    strcpy(job->name, entry->d_name);
    job->dir = dir;
    start_removal(job);
  }
  closedir(list);
}

/* ---- unpacking ---- */

/* Made by us as the host's root, in a directory that belongs to the worker: what we opened is what we made only if
 * it is root's and empty; he could have put another there meanwhile. */
static int make_directory(char name[TEMPORARY_LENGTH + 1]) {
  choose_name(name);
  if (mkdirat(layers.dir, name, 0755) < 0) return -1;
  int dir = open_layer(name);
  struct stat stat;
  if (dir >= 0 && fstat(dir, &stat) == 0 && stat.st_uid == 0 && stat.st_nlink <= 2 &&
      flock(dir, LOCK_EX | LOCK_NB) == 0 && fchown(dir, ID_BASE, ID_BASE) == 0 && fchmod(dir, 0755) == 0)
    return dir;
  int saved = errno;
  if (dir >= 0) close(dir);
  unlinkat(layers.dir, name, AT_REMOVEDIR);
  errno = saved;
  return -1;
}

static int open_lowers(const char *names, int *lowers) {
  int count = 0;
  for (const char *at = names; *at; count++) {
    char name[LAYER_NAME + 1];
    snprintf(name, sizeof(name), "%.*s", LAYER_NAME, at);
    at += LAYER_NAME + (at[LAYER_NAME] == ':');
    int dir = open_layer(name);
    lowers[count] = dir < 0 ? -1 : take_tree(dir, MOUNT_ATTR_RDONLY);
    int saved = errno;
    if (dir >= 0) close(dir);
    errno = saved;
    if (lowers[count] >= 0) continue;
    while (count-- > 0) close(lowers[count]);
    errno = saved;
    return -1;
  }
  return count;
}

const char *layers_unpack(int connection, uint8_t *payload, size_t length) {
  struct unpack_request request;
  int lowers[MAX_LAYERS];
  const char *failure = request_read_unpack(payload, length, &request);
  if (failure) return failure;
  struct job *job = free_job();
  if (!job) return "too many layers are unpacked or removed at once; try again later";
  int count = open_lowers(request.lowers, lowers);
  if (count < 0) return "cannot open a layer below";
  job->dir = make_directory(job->name);
  if (job->dir < 0) failure = "cannot make the layer's directory";
  if (!failure) {
    char number[16];
    snprintf(number, sizeof(number), "%d", count);
    char *argv[] = {"oncebox-unpack", "unpack", number, request.max_bytes, request.max_entries, request.stall_ms, NULL};
    job->state = UNPACKING;
    job->connection = fcntl(connection, F_DUPFD_CLOEXEC, 0);
    /* The name comes from us and before there is anyone else who could say one. */
    frame_post(connection, FRAME_READY, 0, job->name, strlen(job->name), NULL, 0);
    failure = start(job, IMAGE_ID_COUNT, lowers, count, argv);
  }
  int saved = errno;
  for (int i = 0; i < count; i++) close(lowers[i]);
  if (failure) {
    if (job->dir >= 0) unlinkat(layers.dir, job->name, AT_REMOVEDIR);
    job_clear(job);
  }
  errno = failure ? saved : 0;
  return failure;
}

/* What it left, checked: it has read the archive, and may be anyone's by now. */
static void judge(struct job *job, int status, struct unpack_result *result) {
  ssize_t got = pread(job->result, result, sizeof(*result), 0);
  bool said = got > 0 && request_read_unpack_result(result, (size_t)got);
  bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (said && done && result->fault == 0) return;
  if (said && result->fault != 0) {
    job->fault = result->fault;
    snprintf(job->text, sizeof(job->text), "%.*s", (int)result->text_length, result->text);
    return;
  }
  job->fault = FAULT_LOST;
  if (WIFSIGNALED(status))
    snprintf(job->text, sizeof(job->text), "the unpacking process was ended by signal %d", WTERMSIG(status));
  else snprintf(job->text, sizeof(job->text), "the unpacking process could not start");
}

static void unpacked(struct job *job, int status) {
  static struct unpack_result result;
  judge(job, status, &result);
  if (job->fault) {
    start_removal(job);
    return;
  }
  job->state = UNPACKED;
  job->pid = 0;
  frame_post(job->connection, FRAME_UNPACKED, 0, &result.report, sizeof(result.report), result.text,
             result.text_length);
}

bool layers_reap(pid_t pid, int status) {
  for (int i = 0; i < MAX_UNPACKINGS; i++) {
    struct job *job = &layers.jobs[i];
    if (job->state == FREE || job->pid != pid) continue;
    if (job->state == UNPACKING) {
      unpacked(job, status);
    } else {
      bool empty = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      answer_removed(job, empty && unlinkat(layers.dir, job->name, AT_REMOVEDIR) == 0);
    }
    if (layers.sweep_again) layers_sweep();
    return true;
  }
  return false;
}

/* Whoever asked for a layer that is now unpacked renames it, or not, and closes. */
size_t layers_watch(struct pollfd *events) {
  size_t count = 0;
  for (int i = 0; i < MAX_UNPACKINGS; i++)
    if (layers.jobs[i].state == UNPACKED) events[count++] = (struct pollfd){.fd = layers.jobs[i].connection};
  return count;
}

void layers_heard(const struct pollfd *events, size_t count) {
  for (size_t at = 0; at < count; at++)
    for (int i = 0; i < MAX_UNPACKINGS; i++) {
      struct job *job = &layers.jobs[i];
      if (events[at].revents == 0 || job->state != UNPACKED || job->connection != events[at].fd) continue;
      if (faccessat(layers.dir, job->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) start_removal(job);
      else job_clear(job);
      break;
    }
}

/* ---- directories of builds ---- */

int layers_hold_directory(int *tree) {
  struct job *job = free_job();
  if (!job) {
    errno = EAGAIN;
    return -1;
  }
  job_clear(job);
  job->dir = make_directory(job->name);
  if (job->dir < 0) return -1;
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV}; /* a RUN executes what is there */
  *tree = (int)syscall(SYS_open_tree, job->dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (*tree >= 0 && syscall(SYS_mount_setattr, *tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0) {
    job->state = HELD;
    return (int)(job - layers.jobs);
  }
  int saved = errno;
  if (*tree >= 0) close(*tree);
  unlinkat(layers.dir, job->name, AT_REMOVEDIR);
  job_clear(job);
  errno = saved;
  return -1;
}

void layers_release_directory(int handle, int connection) {
  struct job *job = &layers.jobs[handle];
  job->connection = connection;
  start_removal(job);
}

void layers_leave(void) {
  close(layers.dir);
  close(layers.program);
  for (int i = 0; i < MAX_UNPACKINGS; i++)
    if (layers.jobs[i].state != FREE) job_clear(&layers.jobs[i]);
}

/* What is half done stays for the next who sweeps: to remove it may take long, and we are waited for. */
void layers_end(void) {
  for (int i = 0; i < MAX_UNPACKINGS; i++) {
    struct job *job = &layers.jobs[i];
    if (job->state == FREE) continue;
    if (job->pid > 0) {
      kill(job->pid, SIGKILL);
      waitpid(job->pid, NULL, 0);
    }
    job_clear(job);
  }
}
