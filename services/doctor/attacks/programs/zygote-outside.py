# The control of zygote.py: its initialisation as root of the machine, with descriptors of ours where a zygote's lead to
# its agent. Says what reached us, and what became of it.
import ctypes, json, os, select, signal, socket, sys, time

attack, source = sys.argv[1], sys.argv[2]
agent, zygote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
events, said = os.pipe()
agent.send(b"the filter")
pid = os.fork()
if pid == 0:
    # Out of the way first: these numbers may be taken.
    three, four = os.dup(zygote.fileno()), os.dup(said)
    three, four = [__import__("fcntl").fcntl(fd, 0, 100) for fd in (three, four)]
    os.dup2(three, 3)
    os.dup2(four, 4)
    os.dup2(os.open("/proc/self/ns/pid", os.O_RDONLY), 5)
    os.closerange(6, 256)
    os.environ["ATTACK"] = attack
    space = {"__name__": "zygote"}
    exec(compile(open(source).read(), source, "exec"), space)
    found = space["found"]
    kept = space["kept"]
    if attack == "shared_memory":
        if os.fork() == 0:
            kept[0][0:1] = b"x"
            os._exit(0)
        os.wait()
        found["shared"] = "OK" if kept[0][0:1] == b"x" else "no"
    if attack.endswith("after_fork"):
        child = os.fork()
        if child == 0:
            time.sleep(1)
            os._exit(7)
        if attack == "hang_after_fork":
            time.sleep(1.5)
        ended, status = os.waitpid(child, os.WNOHANG if attack == "hang_after_fork" else 0)
        found["after fork"] = "hangs" if ended == 0 else str(status)
        if ended == 0:
            os.kill(child, signal.SIGKILL)
    if attack == "replace_handlers":
        os.kill(os.getpid(), signal.SIGTERM)
        found["signals"] = "ignored"
    if attack == "threads":
        found["threads"] = str(len(os.listdir("/proc/self/task")))
    if attack == "fake_success":
        ctypes.CDLL(None).setresuid(1, 1, 1)
        found["still root"] = "OK" if os.getuid() == 0 else "no"
    print(json.dumps(found), flush=True)
    os._exit(0)
zygote.close()
os.close(said)
heard, messages, ended = b"", 0, 0


def hear():
    """All that is there by now."""
    global heard, messages
    for source, read in ((agent, lambda: agent.recv(65536)), (events, lambda: os.read(events, 65536))):
        while select.select([source], [], [], 0)[0]:
            try:
                piece = read()
            except OSError:
                break
            if not piece:
                break
            if source is agent:
                messages += 1
            else:
                heard += piece


# Only one of them goes on for ever; on a busy machine the others take long too.
deadline = time.monotonic() + (3 if attack == "never" else 250)
while ended == 0 and time.monotonic() < deadline:
    time.sleep(0.02)
    hear()
    ended, _ = os.waitpid(pid, os.WNOHANG)
hear()
if ended == 0:
    os.kill(pid, signal.SIGKILL)
print(json.dumps({"events": len(heard), "messages": messages, "goes on": ended == 0}))
