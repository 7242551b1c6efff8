"""Prints all that is below argv[1] as JSON: path -> what it is. Ids are told less argv[2]."""

import hashlib
import json
import os
import stat
import sys


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def attributes(path):
    # A capability read from outside of its user namespace also names that; the rest is the same.
    return {name: os.getxattr(path, name)[4:20].hex() if name.startswith("security.") else os.getxattr(path, name).hex()
            for name in sorted(os.listxattr(path, follow_symlinks=False))}


def entry(path, base):
    info = os.lstat(path)
    said = {"mode": oct(info.st_mode), "uid": info.st_uid - base, "gid": info.st_gid - base,
            "mtime": info.st_mtime_ns}
    if stat.S_ISREG(info.st_mode):
        said |= {"size": info.st_size, "sha256": digest(path)}
    if stat.S_ISLNK(info.st_mode):
        said["target"] = os.readlink(path)
    else:
        said["xattrs"] = attributes(path)
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        said["device"] = info.st_rdev
    return said, info


def main(root, base):
    tree, links = {}, {}
    os.chdir(root)
    for parent, dirs, files in os.walk("."):
        for name in dirs + files:
            path = os.path.join(parent, name)[2:]
            tree[path], info = entry(path, base)
            if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
                links.setdefault((info.st_dev, info.st_ino), []).append(path)
    for group in links.values():
        for path in group:
            tree[path]["links"] = sorted(group)
    # Names are bytes; what is not UTF-8 is told as escapes.
    print(json.dumps(tree, ensure_ascii=True))


main(sys.argv[1], int(sys.argv[2]))
