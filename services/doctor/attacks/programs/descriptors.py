# Which descriptors it was given, and where they lead.
import json, os

found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        pass
print(json.dumps(list(found.values())))
