# What a process may not change of itself and of process 1: opened for writing and, where that is harmless to the
# machine, written. "OK" or the errno's name.
import errno, json, os


def write(path, text=None):
    try:
        fd = os.open(path, os.O_WRONLY)
        try:
            if text is not None:
                os.write(fd, text)
        finally:
            os.close(fd)
        return "OK"
    except OSError as error:
        return errno.errorcode.get(error.errno, "?")


print(json.dumps({
    "killed later than others": write("/proc/self/oom_score_adj", b"-999"),
    "id map": write("/proc/self/uid_map", b"0 0 1"),
    "group id map": write("/proc/self/gid_map", b"0 0 1"),
    "setgroups": write("/proc/self/setgroups", b"allow"),
    "security label": write("/proc/self/attr/current", b"unconfined"),
    "security label of the next": write("/proc/self/attr/exec", b"exec unconfined"),
    **{f"{name} of process 1": write(f"/proc/1/attr/{name}", b"x") for name in ("current", "exec", "fscreate")},
    "timer slack of process 1": write("/proc/1/timerslack_ns", b"1"),
    "memory of process 1": write("/proc/1/mem"),
    "name of process 1": write("/proc/1/comm", b"x"),
    "oom score of process 1": write("/proc/1/oom_score_adj", b"1000"),
}))
