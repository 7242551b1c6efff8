# Looks wherever a run could have left something; prints where it found it. The mark never is in this process: it is
# looked for as what it is not.
import ctypes, glob, json, os, socket, sys

coded = bytes.fromhex(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
found = []


def holds(content):
    return coded in content.translate(bytes(byte ^ 0x5A for byte in range(256)))


def look(name, act):
    try:
        if act():
            found.append(name)
    except OSError:
        pass


for place in ("/tmp", "/var/tmp", "/dev/shm", "/work", "/work/.hidden", "/dev/mqueue", "/run", "/var/run", "/etc"):
    look(f"file in {place}", lambda: os.path.exists(f"{place}/oncebox-left"))
for kind, get in (("shared memory", lambda: libc.shmget(0x0BCE, ctypes.c_size_t(0), 0)),
                  ("semaphore", lambda: libc.semget(0x0BCE, 0, 0)),
                  ("message queue", lambda: libc.msgget(0x0BCE, 0))):
    look(kind, lambda: get() >= 0)
look("posix queue", lambda: libc.mq_open(b"/oncebox-left", os.O_RDWR) >= 0)
look("key", lambda: libc.syscall(249, b"user", b"oncebox-left", 0, 0) >= 0)
look("abstract socket", lambda: holds(open("/proc/net/unix", "rb").read()))
look("terminal", lambda: [name for name in glob.glob("/dev/pts/*") if not name.endswith("ptmx")])
look("name of the host", lambda: holds(socket.gethostname().encode()))


def port():
    with socket.create_connection(("127.0.0.1", 7777), 1):
        return True


look("port", port)


def memory():
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    for line in open("/proc/self/maps").read().splitlines():
        span, permissions, *_ = line.split()
        if "r" not in permissions or "[v" in line:
            continue
        start, end = (int(part, 16) for part in span.split("-"))
        while start < end:
            size = min(end - start, 1 << 20)
            try:
                if holds(os.pread(fd, size, start)):
                    return True
            except (OSError, OverflowError):
                pass
            start += size
    return False


look("memory", memory)
print(json.dumps(found))
