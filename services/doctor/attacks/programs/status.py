# Who it is: ids, capabilities, and what may be gained; and the flags of its mounts.
import json, os

status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
mounts = {}
for line in open("/proc/self/mountinfo"):
    fields = line.split(" ")
    mounts[fields[4]] = fields[5]
limits = {line[:25].strip(): line[25:].split()[:2] for line in open("/proc/self/limits").read().splitlines()[1:]}
print(json.dumps({
    "capabilities": {name: status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
    "no_new_privs": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "mounts": mounts, "limits": limits,
    "id map": open("/proc/self/uid_map").read().split(),
}))
