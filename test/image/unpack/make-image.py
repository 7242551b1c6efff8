"""Writes an OCI image layout of ten layers into argv[1] and prints their diffIDs, lowest first, as JSON.

Each layer shows something that archives do. What is right is what `umoci unpack` makes of it.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

BASE_TIME = 1_600_000_000


class Layer:
    def __init__(self, format=tarfile.PAX_FORMAT):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=format, encoding="utf-8", errors="surrogateescape")
        self.count = 0

    def add(self, name, type=tarfile.REGTYPE, data=b"", mode=None, uid=0, gid=0, link="", mtime=None, pax=None):
        info = tarfile.TarInfo(name)
        info.type = type
        info.size = len(data)
        info.mode = mode if mode is not None else (0o755 if type == tarfile.DIRTYPE else 0o644)
        info.uid, info.gid, info.linkname = uid, gid, link
        self.count += 1
        info.mtime = mtime if mtime is not None else BASE_TIME + self.count
        info.pax_headers = pax or {}
        self.tar.addfile(info, io.BytesIO(data))

    def dir(self, name, **more):
        self.add(name, tarfile.DIRTYPE, **more)

    def file(self, name, text="", **more):
        self.add(name, data=text.encode(), **more)

    def link(self, name, target, **more):
        self.add(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)

    def hard(self, name, target):
        self.add(name, tarfile.LNKTYPE, link=target)

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


def base():
    layer = Layer()
    for name in ["./", "etc/", "usr/", "usr/lib/", "usr/bin/", "var/", "var/data/", "var/data/inner/", "var/cache/"]:
        layer.dir(name)
    layer.dir("home/", mode=0o711, mtime=BASE_TIME + 0.25)
    layer.dir("home/app/", mode=0o2750, uid=1000, gid=1001)
    layer.dir("tmp/", mode=0o1777)
    layer.link("lib", "usr/lib")
    layer.link("absolute", "/usr/lib")
    layer.link("dangling", "no/such/file")
    layer.file("etc/passwd", "root:x:0:0::/root:/bin/sh\n", mtime=BASE_TIME + 0.123456789)
    layer.file("usr/bin/su", "setuid", mode=0o4755)
    layer.file("usr/bin/wall", "setgid", mode=0o2755, gid=5)
    layer.file("usr/bin/nobody", "x", uid=65534, gid=65534, mode=0o6711)
    layer.file("usr/lib/one", "linked three times")
    layer.hard("usr/lib/two", "usr/lib/one")
    layer.hard("var/three", "./usr/lib/one")
    layer.add("var/fifo", tarfile.FIFOTYPE, mode=0o622)
    for name in ["a", "b", "inner/c"]:
        layer.file(f"var/data/{name}", name)
    for name in ["keep", "drop"]:
        layer.file(f"var/cache/{name}", name)
    layer.dir("swap/")
    layer.file("swap/old", "old")
    layer.file("swapped-file", "a file")
    layer.dir("usr/share/")
    layer.dir("usr/share/doc/")
    layer.file("usr/share/doc/readme", "read me")
    return layer.done()


def whiteouts():
    layer = Layer()
    layer.dir("var/")
    layer.dir("var/cache/", mode=0o700)
    layer.file("var/cache/.wh.drop")
    layer.file("usr/share/.wh.doc")
    layer.file(".wh.dangling")
    layer.file("etc/.wh.never-was")
    return layer.done()


def opaque():
    layer = Layer()
    layer.dir("var/")
    layer.dir("var/data/")
    layer.file("var/data/before", "before the marker")
    layer.file("var/data/.wh..wh..opq")
    layer.file("var/data/b", "again")
    layer.file("var/data/inner2", "x")
    return layer.done()


def long_names(format):
    layer = Layer(format)
    kind = "pax" if format == tarfile.PAX_FORMAT else "gnu"
    deep = f"{kind}/" + "/".join("d" * 90 + str(i) for i in range(8))
    parts = deep.split("/")
    for i in range(len(parts)):
        layer.dir("/".join(parts[: i + 1]))
    layer.file(deep + "/" + "n" * 255, "long")
    layer.link(f"{kind}/link", "t/" * 400 + "end")
    layer.hard(f"{kind}/hard", deep + "/" + "n" * 255)
    layer.file(f"{kind}/größe-日本", "text")
    layer.file(f"{kind}/e\u0301-decomposed", "not composed")
    layer.hard(f"{kind}/größer-日本", f"{kind}/größe-日本")
    layer.link(f"{kind}/größt", "größe-日本")
    layer.file(f"{kind}/latin-\udce9", "not UTF-8")
    layer.file(f"{kind}/new\nline", "control characters")
    return layer.done()


def sparse():
    """By GNU tar, in each form that umoci knows too; one put after the other."""
    layer = Layer()
    layer.dir("sparse/")
    out = layer.done()[:512]
    with tempfile.TemporaryDirectory() as dir:
        for version in ["0.0", "0.1", "1.0"]:
            path = f"{dir}/{version}"
            with open(path, "wb") as file:
                for i in range(9):
                    file.seek(i * 3_000_000)
                    file.write(os.fsencode(f"island {i}"))
                file.truncate(40_000_000)
            os.utime(path, (BASE_TIME, BASE_TIME))
            command = ["tar", "-cS", "--blocking-factor=1", "--format=posix", f"--sparse-version={version}",
                       "--owner=0", "--group=0", "--transform=s,^,sparse/,", "-C", dir, version]
            out += subprocess.run(command, check=True, capture_output=True).stdout[:-1024]
    return out + bytes(1024)


def implicit():
    layer = Layer()
    layer.file("home/app/deep/er/file", "its parents are in no archive, or in a lower one")
    layer.file("lib/through-a-link", "in /usr/lib")
    layer.file("absolute/through-another", "in /usr/lib too")
    layer.hard("etc/passwd-", "etc/passwd")
    return layer.done()


def replaced():
    layer = Layer(tarfile.GNU_FORMAT)
    layer.file("swap", "was a directory")
    layer.dir("swapped-file/")
    layer.file("swapped-file/in", "was a file")
    layer.link("tmp", "var")
    layer.file("twice", "first")
    layer.file("twice", "the last one stays", mode=0o600)
    layer.dir("turns/")
    layer.file("turns/lost", "x")
    layer.file("turns", "a file now")
    layer.dir("turns/", mode=0o750)
    layer.file("turns/kept", "y")
    return layer.done()


def attributes():
    layer = Layer()
    capability = (b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)).decode("latin-1")
    binary = "SCHILY.xattr.user.binary"
    layer.dir("attributes/", pax={"SCHILY.xattr.user.on-a-directory": "yes"})
    layer.file("attributes/file", "x", pax={"SCHILY.xattr.user.one": "1", binary: "a\x01\nb"})
    layer.file("attributes/ping", "x", mode=0o755, pax={"SCHILY.xattr.security.capability": capability})
    layer.file("attributes/-\u00ff", "x", mode=0, uid=12345, gid=54321)
    return layer.done()


def back():
    layer = Layer()
    layer.dir("./swap/", mode=0o701)
    layer.file("./swap/new", "a directory again")
    layer.file("/leading-slash", "x")
    layer.file("dangling", "a file where a link was hidden")
    layer.dir("usr/", mode=0o555)
    layer.dir("usr/share/")
    layer.dir("usr/share/doc/")
    layer.file("usr/share/doc/new", "a new directory where one was hidden")
    layer.dir("var/cache/")
    layer.file("var/cache/keep", "changed")
    layer.file("var/.wh.cache")
    return layer.done()


def write_blob(root, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{root}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return digest


def main(root):
    os.makedirs(f"{root}/blobs/sha256")
    layers = [
        base(), whiteouts(), opaque(), long_names(tarfile.PAX_FORMAT), long_names(tarfile.GNU_FORMAT),
        sparse(), implicit(), replaced(), attributes(), back(),
    ]
    digests = [write_blob(root, layer) for layer in layers]

    def descriptor(kind, data):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{write_blob(root, data)}",
                "size": len(data)}

    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}})
    manifest = json.dumps({"schemaVersion": 2, "config": descriptor("config.v1+json", config.encode()),
                           "layers": [descriptor("layer.v1.tar", layer) for layer in layers]})
    index = {"schemaVersion": 2, "manifests": [{**descriptor("manifest.v1+json", manifest.encode()),
                                                "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}
    for name, content in {"index.json": index, "oci-layout": {"imageLayoutVersion": "1.0.0"}}.items():
        with open(f"{root}/{name}", "w") as file:
            json.dump(content, file)
    print(json.dumps(digests))


main(sys.argv[1])
