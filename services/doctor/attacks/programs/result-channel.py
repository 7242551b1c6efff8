# A function that does something to the channel on which its result goes; the event says what. Run as a program, the
# channel is a pipe that it inherited.
import json, os, sys, time

FORGED = json.dumps({"type": "result", "value": "forged"}).encode()


def result_pipes():
    """Pipes above stderr of which the process has one end only: the platform has the other."""
    open_pipes = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            open_pipes[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    targets = list(open_pipes.values())
    return [fd for fd, target in open_pipes.items()
            if fd > 2 and target.startswith("pipe:") and targets.count(target) == 1]


def attack(what, event={}):
    [channel, *_] = result_pipes()
    if what == "close":
        os.close(channel)
    elif what == "replace":
        fd = os.open("/tmp/mine", os.O_RDWR | os.O_CREAT)
        os.dup2(fd, channel)
    elif what == "replace-by-socket":
        import socket
        os.dup2(socket.socketpair()[0].fileno(), channel)
    elif what == "link":
        # Where a file was, a link to the host's.
        os.close(channel)
        os.symlink("/etc/shadow", "/tmp/result")
        os.symlink("/etc/shadow", "/work/result.json")
    elif what == "garbage":
        os.write(channel, os.urandom(65536).replace(b"\0", b"x"))
    elif what == "garbage-with-end":
        os.write(channel, b"{\0\xff\0\0\0P{}")
    elif what == "twice":
        os.write(channel, FORGED)
        os.write(channel, FORGED)
    elif what == "forge-and-end":
        os.write(channel, FORGED + b"\0\0")
        time.sleep(1000)
    elif what == "forge-shapes":
        os.write(channel, b'{"type":"result","value":1,"__proto__":{"status":"ok"},"initMs":1e999,"constructor":{}}\0\0')
        time.sleep(1000)
    elif what == "forge-header":
        forged = {"type": "result", "value": 1, "initMs": "1\r\nSet-Cookie: evil=1"}
        os.write(channel, json.dumps(forged).encode() + b"\0\0")
        time.sleep(1000)
    elif what == "deep":
        os.write(channel, b'{"type":"result","value":' + b"[" * 200000 + b"]" * 200000 + b"}\0\0")
        time.sleep(1000)
    elif what == "huge":
        for _ in range(200):
            os.write(channel, b"x" * 65536)
    elif what == "grandchild":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for _ in range(2000):
                    try:
                        os.write(channel, FORGED)
                    except OSError:
                        os._exit(0)
                    time.sleep(0.001)
            os._exit(0)
        os.wait()
    elif what == "forge-other":
        # As the result of another invocation, by each name that one could have for it.
        names = ("id", "invocationId", "jobId", "invocation", "replyTo")
        forged = {"type": "result", "value": "forged", **{name: event["other"] for name in names}}
        os.write(channel, json.dumps(forged).encode() + b"\0\0")
        time.sleep(1000)
    elif what == "never":
        os.write(channel, b'{"type":"result","value":')
        print("written", flush=True)
        time.sleep(1000)


def handler(event, context):
    if event["what"] == "echo":
        return event["mark"]
    attack(event["what"], event)
    return "honest"


if __name__ == "__main__":
    attack(sys.argv[1])
