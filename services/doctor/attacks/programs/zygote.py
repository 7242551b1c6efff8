# A function whose initialisation attacks: which way, its environment says. In the zygote only: descriptor 3 is a socket
# there, and what initialises in an ordinary sandbox does nothing. Slow, so that it gets a zygote.
import ctypes, errno, json, mmap, os, signal, socket, stat, struct, sys, threading, time

started = time.monotonic()
while time.monotonic() - started < 0.25:
    pass
libc = ctypes.CDLL(None, use_errno=True)
attack = os.environ.get("ATTACK", "none")
found, kept = {}, []


def is_zygote():
    try:
        return stat.S_ISSOCK(os.fstat(3).st_mode)
    except OSError:
        return False


def attempt(name, act):
    ctypes.set_errno(0)
    try:
        result = act()
        if isinstance(result, int) and result < 0:
            found[name] = errno.errorcode.get(ctypes.get_errno(), "?")
        else:
            found[name] = "OK"
    except (OSError, ValueError) as error:
        found[name] = errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)


def call(number, *arguments):
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return lambda: libc.syscall(ctypes.c_long(number), *passed)


def reach_the_agent():
    for name in ("KILL", "STOP", "TERM", "CHLD", "SEGV", "USR1", "HUP"):
        # The kernel shields process 1 from what it does not handle; what counts is that it lives.
        try:
            os.kill(1, getattr(signal, f"SIG{name}"))
        except OSError:
            pass
    attempt("ptrace", call(101, 0x4206, 1, 0, 0))
    attempt("pidfd_open", call(434, 1, 0))
    attempt("prlimit", lambda: libc.prlimit(1, 7, (ctypes.c_ulong * 2)(0, 0), None))
    attempt("read its memory", call(310, 1, 0, 0, 0, 0, 0))
    attempt("write its memory", call(311, 1, 0, 0, 0, 0, 0))
    attempt("kcmp", call(312, 1, 1, 0, 0, 0))
    attempt("its priority", lambda: libc.setpriority(0, 1, 19))
    attempt("its processors", lambda: os.sched_setaffinity(1, {0}))
    attempt("its scheduler", lambda: os.sched_setscheduler(1, 5, os.sched_param(0)))
    attempt("its io priority", call(251, 1, 1, 0x6007))
    attempt("migrate its pages", call(256, 1, 0, 0, 0))
    for file in ("mem", "maps", "environ", "root", "cwd", "exe", "fd", "ns/mnt", "ns/user", "oom_score_adj"):
        attempt(f"/proc/1/{file}", lambda: os.open(f"/proc/1/{file}", os.O_RDONLY))
    attempt("processes in /proc", lambda: next((0 for name in os.listdir("/proc") if name.isdigit()), -1))


def reach_others():
    for path in ("/layers", "/shell", "/sys/fs/cgroup", "/run", "/proc/sysrq-trigger", "/dev/mem"):
        attempt(path, lambda: os.listdir(path) if os.path.isdir(path) and os.listdir(path) else os.open(path, os.O_RDWR))
    for path in json.loads(os.environ.get("SOCKETS", "[]")):
        attempt(path, lambda: socket.socket(socket.AF_UNIX).connect(path))
    for port in json.loads(os.environ.get("PORTS", "[]")):
        attempt(f"port {port}", lambda: socket.create_connection(("127.0.0.1", port), 1).close())
    attempt("interfaces", lambda: 0 if [name for _, name in socket.if_nameindex() if name != "lo"] else -1)
    attempt("abstract sockets", lambda: 0 if "@" in open("/proc/net/unix").read() else -1)
    for flag, name in ((0x20000, "mnt"), (0x40000000, "net"), (0x10000000, "user"), (0x8000000, "ipc")):
        attempt(f"a namespace by unshare: {name}", lambda: libc.unshare(flag))
        attempt(f"the zone's by setns: {name}", lambda: libc.setns(5, flag))


def change_mounts():
    attempt("mount", lambda: libc.mount(b"t", b"/tmp", b"tmpfs", 0, None))
    attempt("bind", lambda: libc.mount(b"/", b"/tmp", None, 4096, None))
    attempt("remount", lambda: libc.mount(None, b"/function", None, 32 | 4096, None))
    attempt("umount", lambda: libc.umount2(b"/proc", 2))
    attempt("chroot", lambda: libc.chroot(b"/"))
    attempt("pivot_root", call(155, b".", b"."))
    attempt("open_tree", call(428, -100, b"/", 1))
    attempt("fsopen", call(430, b"tmpfs", 0))
    attempt("mount_setattr", call(442, -100, b"/", 0, ctypes.create_string_buffer(32), 32))
    for path in ("/function/index.py", os.path.realpath(sys.executable), "/etc/passwd", os.__file__):
        attempt(f"write {path}", lambda: os.open(path, os.O_WRONLY))
    for path in ("/function/new", "/new", "/tmp/new", "/work/new", "/dev/shm/new", "/.oncebox/new", "/dev/new"):
        attempt(f"make {path}", lambda: os.open(path, os.O_WRONLY | os.O_CREAT))
    attempt("device", lambda: os.mknod("/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1)))
    for name, number in (("bpf", 321), ("io_uring", 425), ("keyctl", 250), ("userfaultfd", 323), ("perf", 298),
                         ("add_key", 248), ("init_module", 175), ("open_by_handle_at", 304)):
        attempt(name, call(number, 0, 0, 0, 0, 0))


def forge_events():
    # What a zygote says: kind, sandbox, process, status. Of sandboxes that it was never asked for.
    for kind in (1, 2, 4, 3, 9, 0xFFFFFFFF):
        for sandbox in (0, 1, 7, 4096, 0xFFFFFFFF):
            os.write(4, struct.pack("=IIii", kind, sandbox, 1, 0))


def forge_garbage():
    os.write(4, os.urandom(4001))


def forge_requests():
    # What the agent sends comes at descriptor 3; what goes there should reach nobody, nor should descriptors.
    attempt("send", lambda: socket.socket(fileno=os.dup(3)).send(b"x" * 4200))
    attempt("send descriptors", lambda: socket.send_fds(socket.socket(fileno=os.dup(3)), [b"x"], [0, 1, 2]))


def steal_requests():
    one = socket.socket(fileno=os.dup(3))
    one.setblocking(False)
    try:
        while True:
            found["stolen"] = str(len(one.recv(65536)))
    except BlockingIOError:
        pass


def own_socket():
    # From now on the zygote hears what we tell it, and we the agent.
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept.append(os.dup(3))
    os.dup2(its.fileno(), 3)
    # A filter that lets everything: one instruction, RET ALLOW.
    mine.send(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
    kept.append(mine)


def fake_success():
    # A filter of our own, which inherits to the forks: what takes their privileges away seems to have succeeded.
    load, equal, give = 0x20, 0x15, 0x06
    pretend = 0x00050000
    program = [(load, 0, 0, 0)]
    calls = (126, 117, 119, 116)  # capset, setresuid, setresgid, setgroups
    for index, number in enumerate(calls):
        program.append((equal, len(calls) - index + 3, 0, number))
    program += [(equal, 0, 4, 157), (load, 0, 0, 16), (equal, 1, 0, 22), (equal, 0, 1, 24), (give, 0, 0, pretend),
                (give, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    space = ctypes.create_string_buffer(code)
    filter_program = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(space))
    libc.prctl(38, 1, 0, 0, 0)
    attempt("filter", lambda: libc.prctl(22, 2, filter_program))


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(256):
                try:
                    os.close(fd)
                except OSError:
                    pass
            os.execvp("sleep", ["sleep", os.environ["NAME"]])
        os._exit(0)
    os.wait()


def fork_bomb():
    for fd in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    while True:
        try:
            os.fork()
        except OSError:
            pass


def memory_bomb():
    while True:
        kept.append(bytearray(b"x" * (1 << 20)))


def shared_memory():
    kept.append(mmap.mmap(-1, 4096))


def never():
    time.sleep(1000)


def close_descriptors():
    for fd in (3, 4, 5):
        os.close(fd)


def replace_handlers():
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    libc.prctl(36, 1, 0, 0, 0)  # orphans come to us
    os.umask(0o777)
    signal.setitimer(signal.ITIMER_REAL, 1000)


def serve_early():
    native = ctypes.PyDLL("/.oncebox/zygote.so")
    native.zygote_serve(0)


def after_fork():
    def bomb():
        while True:
            kept.append(bytearray(b"x" * (1 << 20)))
    os.register_at_fork(after_in_child=bomb)


def exit_after_fork():
    os.register_at_fork(after_in_child=lambda: os._exit(0))


def hang_after_fork():
    os.register_at_fork(after_in_child=lambda: time.sleep(1000))


def threads():
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    threading._active.clear()


def environment():
    os.environ.update({"LD_PRELOAD": "/function/evil.so", "PYTHONPATH": "/function", "ONCEBOX_INIT": "{}"})
    libc.setenv(b"LD_PRELOAD", b"/function/evil.so", 1)
    sys.modules["json"].loads = lambda text: {"kind": "handler", "eventJson": "null"}
    sys.modules["json"].dumps = lambda value, **more: '{"type":"result","value":"forged"}'


if is_zygote() and attack != "none":
    globals()[attack]()


def privileges():
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    return {"CapEff": status["CapEff"].strip(), "Seccomp": status["Seccomp"].strip(), "uid": os.getuid()}


def attack_from_sandbox():
    """With whatever the zygote kept for us."""
    found.clear()
    change = ("mount", "bind", "remount", "umount", "chroot", "pivot_root", "open_tree", "fsopen", "mount_setattr", "device",
              "bpf", "io_uring", "keyctl", "userfaultfd", "perf", "add_key", "init_module", "open_by_handle_at")
    change_mounts()
    kept_mounts = {name: found[name] for name in change}
    found.clear()
    reach_others()
    others = {name: end for name, end in found.items() if not name.startswith("the zone's")}
    write = {}
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            write[path] = "OK"
        except OSError as error:
            write[path] = errno.errorcode.get(error.errno, "?")
    return {**kept_mounts, **others, **write}


def handler(event, context):
    if event == "spin":
        while True:
            pass
    if event == "attack":
        return {"found": attack_from_sandbox(), "privileges": privileges()}
    return {"found": found, "privileges": privileges(), "honest": True}
