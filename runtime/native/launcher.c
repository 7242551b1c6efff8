/*
 * launcher.c: the only part of oncebox that is root. It listens on a Unix socket for its worker and for no one else;
 * every connection starts with one frame. FRAME_ZONE makes it the socket of a new zone's agent; the launcher makes the
 * zone's cgroup, waits for the zone to end and takes the cgroup away. FRAME_UNPACK and FRAME_REMOVE_LAYER are for
 * layers.c, FRAME_BUILD for builds.c, and FRAME_OCI for ocis.c. It reads nothing else, from anyone.
 */
#define _GNU_SOURCE
#include "oci.h"
#include "requests.h"

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
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Connections whose request is not whole yet, and how long each may take, microseconds. The worker sends its request as
 * soon as it is connected; on a busy machine that may be a while. When there are so many, others wait to be accepted. */
#define MAX_PENDING 128
#define PATIENCE 5000000u
/* An agent ends as soon as it reads that its worker has gone. One that does not by then (it is stopped, or its machine
 * hangs) is killed, microseconds. */
#define END_WITHIN 5000000u

static struct {
  const char *socket_path, *layers_dir, *platform_dir, *instance;
  uid_t worker_uid;
  uint64_t io_bytes; /* 0: disks are not throttled */
  uint64_t ready_within; /* of zygotes and sandboxes, microseconds */
  struct cgroup_layout cgroups;
  int listener, signals;
  struct filters filters;
  struct {
    pid_t pid; /* 0: free */
    uint32_t id;
    int alive;      /* write end of the pipe whose closing tells the agent that we are gone */
    int connection; /* the worker sees it close only when nothing of the zone is left */
    uint64_t left_at; /* when the worker closed its end; 0: it has not */
  } zones[MAX_ZONES];
  struct pending {
    int connection; /* -1: free */
    uint64_t until;
    size_t got; /* bytes of the frame so far */
    struct request_head head; /* once its prefix is there */
    uint8_t frame[FRAME_PREFIX + MAX_REQUEST];
  } pending[MAX_PENDING];
  uint32_t next_zone;
  char **argv;
  int argc;
} launcher;

/* -1, which is nobody, for what is no id. */
static uid_t parse_uid(const char *text) {
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  return text[0] < '0' || text[0] > '9' || *end || errno || number >= (uid_t)-1 ? (uid_t)-1 : (uid_t)number;
}

static void parse_arguments(int argc, char **argv) {
  static const struct option options[] = {
      {"socket", required_argument, NULL, 's'},     {"layers", required_argument, NULL, 'l'},
      {"platform", required_argument, NULL, 'p'},   {"worker-uid", required_argument, NULL, 'u'},
      {"instance", required_argument, NULL, 'i'},   {"io-bytes-per-second", required_argument, NULL, 'b'},
      {"ready-ms", required_argument, NULL, 'r'},   {NULL, 0, NULL, 0}};
  launcher.argc = argc;
  launcher.argv = argv;
  launcher.worker_uid = (uid_t)-1;
  launcher.ready_within = 30000000;
  for (int i = 0; i < MAX_PENDING; i++) launcher.pending[i].connection = -1;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
      case 's': launcher.socket_path = optarg; break;
      case 'l': launcher.layers_dir = optarg; break;
      case 'p': launcher.platform_dir = optarg; break;
      case 'u': launcher.worker_uid = parse_uid(optarg); break;
      case 'i': launcher.instance = optarg; break;
      case 'b': launcher.io_bytes = strtoull(optarg, NULL, 10); break;
      case 'r': launcher.ready_within = 1000ull * strtoul(optarg, NULL, 10); break;
      default: exit(2);
    }
  if (!launcher.socket_path || !launcher.layers_dir || !launcher.platform_dir || !launcher.instance ||
      launcher.worker_uid == (uid_t)-1)
    die("usage: oncebox-launcher --socket PATH --layers DIR --platform DIR --worker-uid N --instance NAME [--io-bytes-per-second N] [--ready-ms N]");
  if (launcher.instance[0] == '.' || launcher.instance[0] == '\0' || strchr(launcher.instance, '/'))
    die("--instance must be a file name");
}

/* As the worker, in whose directory it is: the socket is his from its birth, and nothing that he can put in its place
 * meanwhile, a link or another's file, is removed or given away by our rights. */
static int listen_socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(launcher.socket_path) >= sizeof(address.sun_path))
    die("cannot listen on %s: longer than %zu bytes", launcher.socket_path, sizeof(address.sun_path) - 1);
  strcpy(address.sun_path, launcher.socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t mask = umask(0177);
  setfsuid(launcher.worker_uid); /* it has no errors to tell: who asks again is told who he is */
  if (setfsuid((uid_t)-1) != (int)launcher.worker_uid) die("cannot act as user %u", launcher.worker_uid);
  unlink(launcher.socket_path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0)
    die("cannot listen on %s as user %u: %m", launcher.socket_path, launcher.worker_uid);
  setfsuid(0);
  prctl(PR_SET_DUMPABLE, 1); /* taken back by the change; zones are copies of us, and who joins a sandbox needs it of its init */
  umask(mask);
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

/* The agent's command line is visible in every sandbox as that of pid 1: no path of the host may stand there. */
static void hide_command_line(void) {
  char *start = launcher.argv[0], *end = launcher.argv[launcher.argc - 1];
  end += strlen(end);
  memset(start, 0, (size_t)(end - start));
  memcpy(start, "init", (size_t)(end - start) < 4 ? (size_t)(end - start) : 4);
}

static void zone_main(uint32_t id, int worker, int alive, int mapped, int devices, const struct cgroup_zone *cgroup,
                      const struct zone_request *request) __attribute__((noreturn));
static void zone_main(uint32_t id, int worker, int alive, int mapped, int devices, const struct cgroup_zone *cgroup,
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
  /* What the launcher ignores, or whoever started it, every program would inherit. */
  for (int number = 1; number <= MAX_SIGNAL; number++) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NAME, "agent");
  zone.id = id;
  zone.worker = worker;
  zone.launcher = alive;
  zone.cgroup = *cgroup;
  if (cgroup->blkio >= 0) close(cgroup->blkio); /* the launcher's, for entering */
  zone.cgroup.blkio = -1;
  zone.filters = launcher.filters;
  snprintf(zone.layers, sizeof(zone.layers), "%s", request->layers);
  snprintf(zone.search_path, sizeof(zone.search_path), "%s", request->search_path);
  zone.init = request->init;
  zone.trusted = request->trusted;
  zone.ready_within = launcher.ready_within;
  zone.zygote_argv = (char **)request->argv;
  zone_enter_root(launcher.layers_dir, launcher.platform_dir, devices);
  /* Who runs reads the end of `alive`; who is stopped does not. After the change of ids, which takes this back. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) die("cannot be told of the launcher's end: %m");
  hide_command_line();
  agent_main(&zone);
}

/* A function's environment may hold secrets, and the next zone is a copy of us. */
static void drop(struct pending *pending) {
  if (pending->connection >= 0) close(pending->connection);
  explicit_bzero(pending->frame, pending->got);
  pending->connection = -1;
  pending->got = 0;
  pending->head = (struct request_head){0};
}

/* In a process cloned from us: what waits there is none of its business, but what it was made for. */
static void forget_others(int connection) {
  for (int i = 0; i < MAX_PENDING; i++)
    if (launcher.pending[i].connection != connection) drop(&launcher.pending[i]);
}

static uint32_t next_zone(void) {
  return ++launcher.next_zone;
}

static const struct launcher_view *view(void) {
  static struct launcher_view view;
  view = (struct launcher_view){.layers_dir = launcher.layers_dir,
                                .platform_dir = launcher.platform_dir,
                                .instance = launcher.instance,
                                .cgroups = &launcher.cgroups,
                                .filters = &launcher.filters,
                                .next_zone = next_zone,
                                .forget_others = forget_others,
                                .hide_command_line = hide_command_line};
  return &view;
}

static const char *start_zone(int slot, int worker, const struct zone_request *request) {
  /* The slot is free when the last process of the zone before is gone, so nobody has these ids. */
  uint32_t id = next_zone(), own = OWN_ID_BASE + (uint32_t)slot * OWN_ID_STRIDE;
  struct cgroup_zone cgroup;
  cgroup.blkio = -1;
  for (int i = 0; i < MAX_CGROUP_DIRS; i++) cgroup.dir[i] = -1;
  int mapped[2] = {-1, -1}, alive[2] = {-1, -1}, devices = -1;
  const char *failure = NULL;
  pid_t pid = -1;
  if (cgroup_zone_open(&launcher.cgroups, launcher.instance, id, own, &cgroup) < 0) {
    failure = "cannot make the zone's cgroup";
  } else if (cgroup_zygote_limit(&cgroup, request->trusted, request->memory) < 0) {
    failure = "cannot set the zygote's caps";
  } else if (pipe2(mapped, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0) {
    failure = "cannot make a pipe";
  } else if ((devices = root_make_devices()) < 0) {
    failure = "cannot make the zone's devices";
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
      forget_others(worker);
      layers_leave();
      builds_leave();
      ocis_leave();
      removals_leave();
      zone_main(id, worker, alive[0], mapped[0], devices, &cgroup, request);
    }
    if (pid < 0) failure = "cannot clone the zone";
    else if (write_id_map(pid, SHARED_ID_COUNT, own) < 0) failure = "cannot map the zone's ids";
    else if (cgroup_zone_enter(&cgroup, pid) < 0) failure = "cannot enter the zone's cgroup";
    else if (write(mapped[1], "", 1) != 1) failure = "cannot start the zone";
  }
  int saved = errno;
  cgroup_zone_close(&cgroup);
  if (mapped[0] >= 0) close(mapped[0]);
  if (mapped[1] >= 0) close(mapped[1]);
  if (alive[0] >= 0) close(alive[0]);
  if (devices >= 0) close(devices);
  if (pid > 0) {
    launcher.zones[slot].pid = pid;
    launcher.zones[slot].id = id;
    launcher.zones[slot].alive = alive[1];
    launcher.zones[slot].left_at = 0;
    launcher.zones[slot].connection = fcntl(worker, F_DUPFD_CLOEXEC, 0);
    if (failure) kill(pid, SIGKILL);
  } else {
    if (alive[1] >= 0) close(alive[1]);
    removals_add(view(), (struct removal){.zone = id, .connection = -1, .directory = -1});
  }
  errno = saved;
  return failure;
}

/* Everything in it has been checked when it is used, in requests.c: we are root. */
static const char *serve_request(int connection, uint8_t type, uint8_t *payload, size_t length) {
  static struct zone_request request;
  if (type == FRAME_UNPACK) return layers_unpack(connection, payload, length);
  if (type == FRAME_REMOVE_LAYER) return layers_remove(connection, payload, length);
  if (type == FRAME_BUILD) return builds_start(connection, payload, length, view());
  if (type == FRAME_OCI) return ocis_start(connection, payload, length, view());
  if (type != FRAME_ZONE) return "the request is for nothing we do";
  const char *failure = request_read_zone(payload, length, &request);
  if (failure) return failure;
  for (int slot = 0; slot < MAX_ZONES; slot++)
    if (launcher.zones[slot].pid == 0) return start_zone(slot, connection, &request);
  return "too many zones";
}

/* ---- who connects ---- */

static void refuse(int connection, const char *failure) {
  char text[256];
  if (errno) snprintf(text, sizeof(text), "%s: %s", failure, strerror(errno));
  else snprintf(text, sizeof(text), "%s", failure);
  log_line("oncebox-launcher: refused a request: %s", text);
  frame_post(connection, FRAME_FAILED, 0, text, strlen(text), NULL, 0);
}

/* Reads what has come of a request, and no byte of what follows it. True when it is whole; else a reason, or NULL while
 * there is more to come. */
static bool receive(struct pending *pending, const char **failure) {
  for (*failure = NULL; !*failure;) {
    size_t whole = FRAME_PREFIX + (pending->got < FRAME_PREFIX ? 0 : pending->head.length);
    ssize_t got = recv(pending->connection, pending->frame + pending->got, whole - pending->got, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
      *failure = "the request is incomplete";
      return false;
    }
    pending->got += (size_t)got;
    if (pending->got == FRAME_PREFIX) {
      errno = 0;
      *failure = request_read_head(pending->frame, &pending->head);
    }
    if (pending->got >= FRAME_PREFIX && pending->got == FRAME_PREFIX + pending->head.length) return !*failure;
  }
  return false;
}

/* Serves it if it is whole, gives it up if it is late. One that waits costs the others nothing. */
static void hear(struct pending *pending) {
  const char *failure;
  errno = 0;
  if (receive(pending, &failure)) {
    errno = 0;
    failure = serve_request(pending->connection, pending->head.type, pending->frame + FRAME_PREFIX, pending->head.length);
  } else if (!failure) {
    errno = 0;
    if (now_usec() < pending->until) return;
    failure = "the request is incomplete";
  }
  if (failure) refuse(pending->connection, failure);
  drop(pending); /* Who serves it has a copy of the connection, and we another. */
}

static struct pending *free_pending(void) {
  for (int i = 0; i < MAX_PENDING; i++)
    if (launcher.pending[i].connection < 0) return &launcher.pending[i];
  return NULL;
}

static void accept_connection(void) {
  struct ucred peer;
  socklen_t size = sizeof(peer);
  int connection = accept4(launcher.listener, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) return;
  errno = 0;
  const char *failure = NULL;
  /* Not the gateway, which speaks with strangers, and not even root: what a root process wants of us it can do itself. */
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) failure = "cannot tell who connects";
  else if (peer.uid != launcher.worker_uid) failure = "only the worker may connect";
  if (failure) {
    refuse(connection, failure);
    close(connection);
    return;
  }
  struct pending *pending = free_pending();
  pending->connection = connection;
  pending->until = now_usec() + PATIENCE;
  hear(pending);
}

/* Milliseconds until the next one is late; -1 when none is awaited. */
static int until_next_is_late(void) {
  uint64_t next = UINT64_MAX, now = now_usec();
  for (int i = 0; i < MAX_PENDING; i++)
    if (launcher.pending[i].connection >= 0 && launcher.pending[i].until < next) next = launcher.pending[i].until;
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : (int)((next - now) / 1000 + 1);
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (layers_reap(pid, status) || builds_reap(pid, view()) || ocis_reap(pid, view())) continue;
    for (int i = 0; i < MAX_ZONES; i++)
      if (launcher.zones[i].pid == pid) {
        close(launcher.zones[i].alive);
        removals_add(view(), (struct removal){.zone = launcher.zones[i].id, .connection = launcher.zones[i].connection, .directory = -1});
        launcher.zones[i].pid = 0;
      }
  }
}

/* Adds the zones that have a worker, kills those that outstay theirs. Returns milliseconds until it wants to be called
 * again, -1 for never. */
static int watch_zones(struct pollfd *events, size_t *count) {
  uint64_t now = now_usec();
  int next = -1;
  for (int i = 0; i < MAX_ZONES; i++) {
    const uint64_t left_at = launcher.zones[i].left_at;
    if (launcher.zones[i].pid == 0) continue;
    if (left_at == 0) {
      events[(*count)++] = (struct pollfd){.fd = launcher.zones[i].connection, .events = POLLRDHUP};
    } else if (now >= left_at + END_WITHIN) {
      kill(launcher.zones[i].pid, SIGKILL);
    } else {
      int wait = (int)((left_at + END_WITHIN - now + 999) / 1000);
      if (next < 0 || wait < next) next = wait;
    }
  }
  return next;
}

static void zones_heard(const struct pollfd *events, size_t count) {
  for (size_t at = 0; at < count; at++)
    for (int i = 0; events[at].revents && i < MAX_ZONES; i++)
      if (launcher.zones[i].pid != 0 && launcher.zones[i].connection == events[at].fd) launcher.zones[i].left_at = now_usec();
}

/* Of two times to wait, of which -1 is for ever. */
static int sooner(int a, int b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

static void serve(void) {
  for (;;) {
    struct pollfd events[3 + MAX_PENDING + MAX_UNPACKINGS + MAX_ZONES] = {{.fd = free_pending() ? launcher.listener : -1, .events = POLLIN},
                                                                          {.fd = launcher.signals, .events = POLLIN},
                                                                          {.fd = STDIN_FILENO, .events = POLLIN}};
    struct pollfd *requests = events + 3, *unpacked = requests + MAX_PENDING;
    for (int i = 0; i < MAX_PENDING; i++) /* of -1 nothing is ever heard */
      requests[i] = (struct pollfd){.fd = launcher.pending[i].connection, .events = POLLIN};
    size_t watched = layers_watch(unpacked), zones = 0;
    int patience = sooner(sooner(watch_zones(unpacked + watched, &zones), until_next_is_late()), removals_work(view()));
    if (poll(events, 3 + MAX_PENDING + watched + zones, patience) < 0) {
      if (errno != EINTR) die("cannot poll: %m");
      continue; /* it has not said what is there */
    }
    zones_heard(unpacked + watched, zones); /* before any of them is reaped, and its descriptor another's */
    if (events[1].revents & POLLIN) {
      struct signalfd_siginfo signal_info;
      if (read(launcher.signals, &signal_info, sizeof(signal_info)) == sizeof(signal_info)) {
        if (signal_info.ssi_signo != SIGCHLD) return;
        reap();
      }
    }
    layers_heard(unpacked, watched);
    for (int i = 0; i < MAX_PENDING; i++) {
      struct pending *pending = &launcher.pending[i];
      if (pending->connection >= 0 && (requests[i].revents != 0 || now_usec() >= pending->until)) hear(pending);
    }
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
  ocis_end();
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
  const char *free_disk = launcher.io_bytes > 0 ? cgroup_throttle(&launcher.cgroups, launcher.layers_dir, launcher.io_bytes) : NULL;
  if (free_disk) log_line("oncebox-launcher: reads and writes of disks are not throttled: %s", free_disk);
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
