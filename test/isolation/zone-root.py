"""Joins the zone of process argv[1] with all capabilities of its user namespace, and tries to write to what is shared.

Prints as JSON what came of each attempt: "ok", or the name of the error.
"""

import ctypes
import errno
import json
import os
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
MOUNT_ATTR_RDONLY, AT_EMPTY_PATH, OPEN_TREE_CLONE = 1, 0x1000, 1
SYS_OPEN_TREE, SYS_MOUNT_SETATTR = 428, 442
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def mount(source, target, type, flags):
    check(libc.mount(source, target.encode(), type, flags, b""))


def clear_read_only(directory, path, flags=0):
    attributes = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY, 0, 0)
    check(libc.syscall(SYS_MOUNT_SETATTR, directory, path.encode(), flags, attributes, 32))


def write(path):
    os.close(os.open(f"{path}/written", os.O_WRONLY | os.O_CREAT))
    os.unlink(f"{path}/written")


def clone_and_clear(path):
    tree = check(libc.syscall(SYS_OPEN_TREE, -100, path.encode(), OPEN_TREE_CLONE))
    clear_read_only(tree, "", AT_EMPTY_PATH)


def attempt(what):
    try:
        what()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def attempts(path):
    return {
        "write": attempt(lambda: write(path)),
        "remount": attempt(lambda: mount(None, path, None, MS_REMOUNT | MS_BIND)),
        "mount_setattr": attempt(lambda: clear_read_only(-100, path)),
        "clone": attempt(lambda: clone_and_clear(path)),
        "unmount": attempt(lambda: check(libc.umount2(path.encode(), 2))),
        "write afterwards": attempt(lambda: write(path)),
    }


zone = sys.argv[1]
namespaces = [(os.open(f"/proc/{zone}/ns/{name}", os.O_RDONLY), flag)
              for name, flag in [("user", CLONE_NEWUSER), ("mnt", CLONE_NEWNS)]]
for fd, flag in namespaces:
    check(libc.setns(fd, flag))
os.setgroups([])
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
# A copy of the zone's mounts, whose owner is the same: the zone itself is not disturbed.
check(libc.unshare(CLONE_NEWNS))
mount(b"tmpfs", "/image", b"tmpfs", 0)
mount(None, "/image", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
control = {"before": attempt(lambda: write("/image")), **attempts("/image")}
print(json.dumps({path: attempts(path) for path in ["/layers", "/platform"]} | {"control": control}))
