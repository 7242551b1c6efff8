# Takes so many bytes of memory in one of the ways there are, and holds them; says when it has.
import ctypes, fcntl, mmap, os, sys

kind, wanted = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
MiB = 1 << 20
block = b"x" * MiB
held = []


def fill(fd):
    for _ in range(wanted // MiB):
        view = memoryview(block)
        while len(view) > 0:
            view = view[os.write(fd, view):]


def heap():
    for _ in range(wanted // MiB):
        held.append(bytearray(block))


def tmpfs():
    place = "/dev/shm" if os.path.isdir("/dev/shm") else "."
    fd = os.open(f"{place}/taken-{os.getpid()}", os.O_RDWR | os.O_CREAT)
    os.unlink(f"{place}/taken-{os.getpid()}")
    held.append(fd)
    fill(fd)


def memfd():
    fd = os.memfd_create("taken")
    held.append(fd)
    fill(fd)


def sysv():
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(wanted // (8 * MiB)):
        segment = libc.shmget(0, ctypes.c_size_t(8 * MiB), 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        address = libc.shmat(segment, None, 0)
        libc.shmctl(segment, 0, None)
        ctypes.memset(address, 1, 8 * MiB)


def pipes():
    # A pipe holds 64 KiB until someone reads it; descriptors are doubled in children when one process has no more.
    taken = 0
    while taken < wanted:
        try:
            read, write = os.pipe()
        except OSError:
            if os.fork() != 0:
                os.wait()
                os._exit(0)
            held.clear()
            libc.close_range(3, 1 << 30, 0)
            continue
        os.set_blocking(write, False)
        held.append((read, write))
        try:
            while True:
                taken += os.write(write, block[:65536])
        except BlockingIOError:
            pass


def sockets():
    import socket
    taken = 0
    while taken < wanted:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        one.setblocking(False)
        held.append((one, other))
        try:
            while True:
                taken += one.send(block[:65536])
        except BlockingIOError:
            pass


def page_tables():
    # The page of zeros is everyone's, but the table that maps it is not: 4 KiB for each 2 MiB that are looked at.
    step, chunk = 2 * MiB, 4096 * 2 * MiB
    for _ in range(max(1, wanted // 4096 // 4096)):
        address = libc.mmap(None, chunk, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, -1, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(chunk), 15)  # no huge page of zeros
        for at in range(address, address + chunk, step):
            ctypes.string_at(at, 1)


{"heap": heap, "tmpfs": tmpfs, "memfd": memfd, "sysv": sysv, "pipes": pipes, "sockets": sockets,
 "page-tables": page_tables}[kind]()
print("took it all", flush=True)
