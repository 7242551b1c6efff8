/*
 * launcher.c: the only part of oncebox that is root. It listens on a Unix socket for its worker; every connection
 * starts with one frame. FRAME_ZONE makes it the socket of a new zone's agent; the launcher makes the zone's cgroup,
 * waits for the zone to end and takes the cgroup away. FRAME_UNPACK and FRAME_REMOVE_LAYER are for layers.c, and
 * FRAME_BUILD for builds.c. It reads nothing else, from anyone.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ZONES 96 /* 48 of functions, 16 of images, the runtimes' own, and what is on its way out */
#define MAX_FIRST_FRAME 163840 /* layers, and one argument as long as the kernel takes them */

static struct {
  const char *socket_path, *layers_dir, *platform_dir, *instance;
  uid_t worker_uid;
  struct cgroup_layout cgroups;
  int listener, signals;
  struct filters filters;
  struct {
    pid_t pid; /* 0: free */
    uint32_t id;
    int alive;      /* write end of the pipe whose closing tells the agent that we are gone */
    int connection; /* the worker sees it close only when nothing of the zone is left */
  } zones[MAX_ZONES];
  uint32_t next_zone;
  char **argv;
  int argc;
} launcher;

static void parse_arguments(int argc, char **argv) {
  static const struct option options[] = {
      {"socket", required_argument, NULL, 's'},     {"layers", required_argument, NULL, 'l'},
      {"platform", required_argument, NULL, 'p'},   {"worker-uid", required_argument, NULL, 'u'},
      {"instance", required_argument, NULL, 'i'},   {NULL, 0, NULL, 0}};
  launcher.argc = argc;
  launcher.argv = argv;
  launcher.worker_uid = (uid_t)-1;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
      case 's': launcher.socket_path = optarg; break;
      case 'l': launcher.layers_dir = optarg; break;
      case 'p': launcher.platform_dir = optarg; break;
      case 'u': launcher.worker_uid = (uid_t)strtoul(optarg, NULL, 10); break;
      case 'i': launcher.instance = optarg; break;
      default: exit(2);
    }
  if (!launcher.socket_path || !launcher.layers_dir || !launcher.platform_dir || !launcher.instance ||
      launcher.worker_uid == (uid_t)-1)
    die("usage: oncebox-launcher --socket PATH --layers DIR --platform DIR --worker-uid N --instance NAME");
  if (launcher.instance[0] == '.' || launcher.instance[0] == '\0' || strchr(launcher.instance, '/'))
    die("--instance must be a file name");
}

static int listen_socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(launcher.socket_path) >= sizeof(address.sun_path))
    die("cannot listen on %s: longer than %zu bytes", launcher.socket_path, sizeof(address.sun_path) - 1);
  strcpy(address.sun_path, launcher.socket_path);
  unlink(launcher.socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t mask = umask(0177);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
    die("cannot listen on %s: %m", launcher.socket_path);
  umask(mask);
  if (chown(launcher.socket_path, launcher.worker_uid, (gid_t)-1) < 0 || listen(fd, 64) < 0)
    die("cannot listen on %s: %m", launcher.socket_path);
  return fd;
}

/* Laid over itself, in our own mount namespace: zones are cloned from that, and the kernel lets no one in a user
 * namespace of theirs take these flags away (mount_namespaces(7)), whatever capabilities he has there. */
static void make_read_only(const char *path) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
      syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot lay a read-only mount over %s: %m", path);
  close(tree);
}

static void enter_mount_namespace(void) {
  if (unshare(CLONE_NEWNS) < 0) die("cannot make a mount namespace: %m");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot make mounts private: %m");
  layers_open(launcher.layers_dir); /* through the mount below, which stays writable */
  make_read_only(launcher.layers_dir);
  make_read_only(launcher.platform_dir);
}

/* ---- one zone ---- */

struct zone_request {
  char *layers, *search_path, *init;
  bool trusted;    /* the interpreter is the platform's own, and knows nobody's code */
  uint64_t memory; /* bytes that its zygote may have, if it is not; 0: the most that such a zygote gets */
  char **argv;
};

/* A NUL-terminated list inside the frame: layers, search path, init, trust, then argv. Everything is checked: we are root. */
static const char *parse_zone_request(uint8_t *payload, size_t length, struct zone_request *request) {
  static char *argv[MAX_ZYGOTE_ARGS + 1];
  if (length == 0 || payload[length - 1] != '\0') return "the request is not a list of strings";
  request->layers = (char *)payload;
  if (!layers_are_names(request->layers)) return "a layer's name is no digest";
  size_t at = strlen(request->layers) + 1;
  if (at == length) return "the search path is missing";
  request->search_path = (char *)payload + at;
  at += strlen(request->search_path) + 1;
  if (at - strlen(request->layers) > MAX_PATH) return "the search path is too long";
  if (at == length) return "what to initialise is missing";
  request->init = (char *)payload + at;
  at += strlen(request->init) + 1;
  if (at == length) return "whether the zygote is trusted is missing";
  request->trusted = strcmp((char *)payload + at, "trusted") == 0 && !request->init[0];
  request->memory = strtoull((char *)payload + at, NULL, 10);
  at += strlen((char *)payload + at) + 1;
  size_t count = 0;
  while (at < length) {
    if (count == MAX_ZYGOTE_ARGS) return "too many arguments";
    argv[count++] = (char *)payload + at;
    at += strlen((char *)payload + at) + 1;
  }
  argv[count] = NULL;
  request->argv = argv;
  if (count == 0) request->trusted = true; /* it is built into us */
  return NULL;
}

/* The agent's command line is visible in every sandbox as that of pid 1: no path of the host may stand there. */
static void hide_command_line(void) {
  char *start = launcher.argv[0], *end = launcher.argv[launcher.argc - 1];
  end += strlen(end);
  memset(start, 0, (size_t)(end - start));
  memcpy(start, "init", (size_t)(end - start) < 4 ? (size_t)(end - start) : 4);
}

static void zone_main(uint32_t id, int worker, int alive, int mapped, const struct cgroup_zone *cgroup,
                      const struct zone_request *request) __attribute__((noreturn));
static void zone_main(uint32_t id, int worker, int alive, int mapped, const struct cgroup_zone *cgroup,
                      const struct zone_request *request) {
  static struct zone zone;
  char go;
  if (read(mapped, &go, 1) != 1) _exit(1); /* the launcher could not write our maps, and has said so */
  close(mapped);
  close(launcher.listener);
  close(launcher.signals);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) die("cannot let go of stdio: %m");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NAME, "agent");
  zone.id = id;
  zone.worker = worker;
  zone.launcher = alive;
  zone.cgroup = *cgroup;
  zone.filters = launcher.filters;
  snprintf(zone.layers, sizeof(zone.layers), "%s", request->layers);
  snprintf(zone.search_path, sizeof(zone.search_path), "%s", request->search_path);
  zone.init = request->init;
  zone.trusted = request->trusted;
  zone.zygote_argv = request->argv;
  zone_enter_root(launcher.layers_dir, launcher.platform_dir);
  hide_command_line();
  agent_main(&zone);
}

static uint32_t next_zone(void) {
  return ++launcher.next_zone;
}

static const char *start_zone(int slot, int worker, const struct zone_request *request) {
  uint32_t id = next_zone();
  struct cgroup_zone cgroup;
  for (int i = 0; i < MAX_CGROUP_DIRS; i++) cgroup.dir[i] = -1;
  int mapped[2] = {-1, -1}, alive[2] = {-1, -1};
  const char *failure = NULL;
  pid_t pid = -1;
  if (cgroup_zone_open(&launcher.cgroups, launcher.instance, id, &cgroup) < 0) {
    failure = "cannot make the zone's cgroup";
  } else if (cgroup_zygote_limit(&cgroup, request->trusted, request->memory) < 0) {
    failure = "cannot set the zygote's caps";
  } else if (pipe2(mapped, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0) {
    failure = "cannot make a pipe";
  } else {
    struct clone_args arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
        .exit_signal = SIGCHLD};
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
      close(mapped[1]);
      close(alive[1]);
      for (int i = 0; i < MAX_ZONES; i++)
        if (launcher.zones[i].pid != 0) {
          close(launcher.zones[i].alive);
          close(launcher.zones[i].connection);
        }
      layers_leave();
      builds_leave();
      zone_main(id, worker, alive[0], mapped[0], &cgroup, request);
    }
    if (pid < 0) failure = "cannot clone the zone";
    else if (write_id_map(pid, ID_COUNT) < 0) failure = "cannot map the zone's ids";
    else if (cgroup_zone_enter(&cgroup, pid) < 0) failure = "cannot enter the zone's cgroup";
    else if (write(mapped[1], "", 1) != 1) failure = "cannot start the zone";
  }
  int saved = errno;
  for (int i = 0; i < MAX_CGROUP_DIRS; i++)
    if (cgroup.dir[i] >= 0) close(cgroup.dir[i]);
  if (mapped[0] >= 0) close(mapped[0]);
  if (mapped[1] >= 0) close(mapped[1]);
  if (alive[0] >= 0) close(alive[0]);
  if (pid > 0) {
    launcher.zones[slot].pid = pid;
    launcher.zones[slot].id = id;
    launcher.zones[slot].alive = alive[1];
    launcher.zones[slot].connection = fcntl(worker, F_DUPFD_CLOEXEC, 0);
    if (failure) kill(pid, SIGKILL);
  } else {
    if (alive[1] >= 0) close(alive[1]);
    cgroup_zone_remove(&launcher.cgroups, launcher.instance, id);
  }
  errno = saved;
  return failure;
}

static const struct launcher_view *view(void) {
  static struct launcher_view view;
  view = (struct launcher_view){.layers_dir = launcher.layers_dir,
                                .instance = launcher.instance,
                                .cgroups = &launcher.cgroups,
                                .filters = &launcher.filters,
                                .next_zone = next_zone,
                                .hide_command_line = hide_command_line};
  return &view;
}

static const char *serve_connection(int connection) {
  struct ucred peer;
  socklen_t size = sizeof(peer);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return "cannot tell who connects";
  if (peer.uid != launcher.worker_uid && peer.uid != 0) return "only the worker may connect";
  /* The worker sends its frame with the connection; one that does not is not waited for long. */
  struct timeval patience = {.tv_sec = 1}, none = {0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  static uint8_t frame[9 + MAX_FIRST_FRAME];
  uint32_t length;
  if (recv(connection, frame, 9, MSG_WAITALL) != 9) return "the request is incomplete";
  memcpy(&length, frame, 4);
  if (length < 5 || length - 5 > MAX_FIRST_FRAME) return "the request is too long";
  if (recv(connection, frame + 9, length - 5, MSG_WAITALL) != (ssize_t)(length - 5)) return "the request is incomplete";
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
  if (frame[4] == FRAME_UNPACK) return layers_unpack(connection, frame + 9, length - 5);
  if (frame[4] == FRAME_REMOVE_LAYER) return layers_remove(connection, frame + 9, length - 5);
  if (frame[4] == FRAME_BUILD) return builds_start(connection, frame + 9, length - 5, view());
  if (frame[4] != FRAME_ZONE) return "the request is for nothing we do";
  struct zone_request request;
  const char *failure = parse_zone_request(frame + 9, length - 5, &request);
  if (failure) return failure;
  failure = "too many zones";
  for (int slot = 0; slot < MAX_ZONES; slot++)
    if (launcher.zones[slot].pid == 0) {
      failure = start_zone(slot, connection, &request);
      break;
    }
  /* A function's environment may hold secrets, and the next zone is a copy of us. */
  explicit_bzero(request.init, strlen(request.init));
  return failure;
}

static void accept_connection(void) {
  int connection = accept4(launcher.listener, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) return;
  errno = 0;
  const char *failure = serve_connection(connection);
  if (failure) {
    char text[256];
    if (errno) snprintf(text, sizeof(text), "%s: %s", failure, strerror(errno));
    else snprintf(text, sizeof(text), "%s", failure);
    log_line("oncebox-launcher: refused a request: %s", text);
    frame_post(connection, FRAME_FAILED, 0, text, strlen(text), NULL, 0);
  }
  close(connection); /* Who serves it has a copy of his own, and we another. */
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (layers_reap(pid, status) || builds_reap(pid, view())) continue;
    for (int i = 0; i < MAX_ZONES; i++)
      if (launcher.zones[i].pid == pid) {
        close(launcher.zones[i].alive);
        cgroup_zone_remove(&launcher.cgroups, launcher.instance, launcher.zones[i].id);
        close(launcher.zones[i].connection);
        launcher.zones[i].pid = 0;
      }
  }
}

static void serve(void) {
  for (;;) {
    struct pollfd events[3 + MAX_UNPACKINGS] = {{.fd = launcher.listener, .events = POLLIN},
                                                {.fd = launcher.signals, .events = POLLIN},
                                                {.fd = STDIN_FILENO, .events = POLLIN}};
    size_t watched = layers_watch(events + 3);
    if (poll(events, 3 + watched, -1) < 0 && errno != EINTR) die("cannot poll: %m");
    if (events[1].revents & POLLIN) {
      struct signalfd_siginfo signal_info;
      if (read(launcher.signals, &signal_info, sizeof(signal_info)) == sizeof(signal_info)) {
        if (signal_info.ssi_signo != SIGCHLD) return;
        reap();
      }
    }
    layers_heard(events + 3, watched);
    if (events[0].revents & POLLIN) accept_connection();
    if (events[2].revents) {
      char ignored[64];
      if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0) return; /* whoever started us is gone */
    }
  }
}

static void end_zones(void) {
  for (int i = 0; i < MAX_ZONES; i++)
    if (launcher.zones[i].pid != 0) kill(launcher.zones[i].pid, SIGKILL);
  for (int i = 0; i < MAX_ZONES; i++) {
    if (launcher.zones[i].pid == 0) continue;
    waitpid(launcher.zones[i].pid, NULL, 0);
    launcher.zones[i].pid = 0;
  }
  builds_end();
  layers_end();
  cgroup_sweep(&launcher.cgroups, launcher.instance);
  unlink(launcher.socket_path);
}

int main(int argc, char **argv) {
  parse_arguments(argc, argv);
  if (geteuid() != 0) die("must run as root: it makes user namespaces with mapped ids, and cgroups");
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* an agent holds about eight descriptors a sandbox */
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (cgroup_detect("/proc/self/mountinfo", &launcher.cgroups) < 0)
    die("cannot find cgroups: neither v1 controllers (cpu, cpuacct, memory, pids) nor a cgroup2 mount with cpu, memory and pids");
  cgroup_sweep(&launcher.cgroups, launcher.instance);
  if (!seccomp_compile(&launcher.filters)) die("cannot compile the seccomp filters");
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  /* A Ctrl-C in the terminal goes to the whole group; who started us decides when we end. */
  signal(SIGINT, SIG_IGN);
  sigdelset(&mask, SIGINT);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  launcher.signals = signalfd(-1, &mask, SFD_CLOEXEC);
  if (launcher.signals < 0) die("cannot watch signals: %m");
  enter_mount_namespace();
  layers_sweep();
  launcher.listener = listen_socket();
  if (write_all(STDOUT_FILENO, "ready\n", 6) < 0) die("cannot say that we are ready: %m");
  serve();
  end_zones();
  return 0;
}
