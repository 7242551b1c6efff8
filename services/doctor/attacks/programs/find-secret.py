# Looks for a secret wherever one could be: as a snippet, as another function, in a function's initialisation, and as the
# function whose it is. What it looks for it never has: it is looked for as what it is not.
import glob, json, os, sys, time


def holder(coded):
    inverse = bytes(byte ^ 0x5A for byte in range(256))
    return lambda content: coded in content.translate(inverse)


def files():
    yield from glob.glob("/run/secrets/*")
    yield from glob.glob("/run/*")
    for process in glob.glob("/proc/[0-9]*"):
        yield from glob.glob(f"{process}/root/run/secrets/*")
        yield from glob.glob(f"{process}/fd/*")
        yield from (f"{process}/{name}" for name in ("environ", "cmdline", "mountinfo"))
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/work", "/function"):
        for directory, _, names in os.walk(top):
            yield from (os.path.join(directory, name) for name in names)


def memory(holds):
    try:
        fd = os.open("/proc/self/mem", os.O_RDONLY)
        lines = open("/proc/self/maps").read().splitlines()
    except OSError:  # a zygote's /proc has no processes
        return False
    for line in lines:
        span, permissions, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        while "r" in permissions and "[v" not in line and start < end:
            try:
                if holds(os.pread(fd, min(end - start, 1 << 20), start)):
                    return True
            except (OSError, OverflowError):
                pass
            start += 1 << 20
    return False


def find(coded):
    holds = holder(bytes.fromhex(coded))
    found = []
    for path in files():
        try:
            # Not what waits for a writer, as a pipe does.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                if holds(os.read(fd, 1 << 20)):
                    found.append(path)
            finally:
                os.close(fd)
        except OSError:
            pass
    if memory(holds):
        found.append("memory")
    return found


if __name__ == "__main__":
    print(json.dumps(find(sys.argv[1])))
else:
    early = find(os.environ["CODED"])
    started = time.monotonic()
    while time.monotonic() - started < 0.25:  # so that it gets a zygote
        pass


def handler(event, context):
    event = event or {}
    value = None
    if event.get("reads"):
        with open("/run/secrets/TOKEN") as file:
            value = file.read()
    if event.get("copies"):
        with open("/work/copy", "w") as file:
            file.write(value)
    if "holdMs" in event:
        print("holds", flush=True)
        time.sleep(event["holdMs"] / 1000)
    return {"early": early, "late": find(os.environ["CODED"])}
