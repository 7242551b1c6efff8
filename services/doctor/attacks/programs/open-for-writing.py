# Opens every file below /proc and /sys for writing, and writes nothing. Prints those that let it, but those of its own
# process and of process 1.
import json, os, stat, sys

own = {"self", "thread-self", "1", str(os.getpid())}
# What anyone may open, and the kernel looks only at the write: what that would be, harmless where it is not refused.
written = {"/proc/sys/kernel/ns_last_pid": b"1", **{f"/proc/pressure/{name}": b"some 150000 2000000" for name in
           ("cpu", "memory", "io")}}
opened, tried = [], 0
for top in sys.argv[1:] or ["/proc", "/sys"]:
    for directory, names, files in os.walk(top):
        parts = directory.split("/")
        if len(parts) > 2 and parts[1] == "proc" and parts[2] in own:
            names[:] = []
            continue
        for name in files:
            path = os.path.join(directory, name)
            tried += 1
            try:
                # The kernel's other side of a FIFO or device need not answer.
                if stat.S_ISREG(os.lstat(path).st_mode):
                    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                    try:
                        if path in written:
                            os.write(fd, written[path])
                        opened.append(path)
                    finally:
                        os.close(fd)
            except OSError:
                pass
print(json.dumps({"opened": opened, "tried": tried}))
