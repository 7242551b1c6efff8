# Fills what can be written in one of the ways there are, until it is refused or has what it wants; says how much it got.
import errno, json, mmap, os, sys, time

kind, wanted = sys.argv[1], int(sys.argv[2])
places = [place for place in sys.argv[3:] if os.path.isdir(place)] or ["."]
block = b"x" * 65536
got, reason = 0, None


def write(fd):
    global got
    while got < wanted:
        got += os.write(fd, block)


def everywhere():
    # In turn, one file in each place, so that none of them is a world of its own.
    global got
    fds = [os.open(f"{place}/filled", os.O_WRONLY | os.O_CREAT) for place in places]
    while got < wanted:
        for fd in fds:
            got += os.write(fd, block)


def unlinked():
    fd = os.open("filled", os.O_WRONLY | os.O_CREAT)
    os.unlink("filled")
    try:
        write(fd)
    finally:
        # It is gone when the program is, and what is freed before anyone looks is not named: who looks may be kept from it.
        time.sleep(6)


def sparse():
    # A hole costs nothing; what is claimed or looked at in it does.
    global got
    fd = os.open("filled", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 1 << 40)
    try:
        os.posix_fallocate(fd, 0, 1 << 40)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG):
            raise
    os.ftruncate(fd, 0)
    os.ftruncate(fd, 1 << 40)
    while got < wanted:
        got += os.pwrite(fd, block, got * 16)


def files():
    global got
    while got < wanted:
        place = places[got % len(places)]
        if got // len(places) % 1000 == 0:
            os.makedirs(f"{place}/d{got // len(places) // 1000}", exist_ok=True)
        os.close(os.open(f"{place}/d{got // len(places) // 1000}/f{got}", os.O_WRONLY | os.O_CREAT))
        got += 1


def deep():
    global got
    while got < wanted:
        os.mkdir("d")
        os.chdir("d")
        got += 1


def links():
    global got
    while got < wanted:
        os.symlink("x" * 4000, f"link{got}")
        got += 1


try:
    {"everywhere": everywhere, "unlinked": unlinked, "sparse": sparse, "files": files, "deep": deep, "links": links}[kind]()
except OSError as error:
    reason = errno.errorcode.get(error.errno)
print(json.dumps({"got": got, "reason": reason}), flush=True)
os._exit(0 if reason is None else 1)
