# Leaves something wherever a run could leave it. The mark is put together here, so that this text does not hold it.
import ctypes, os, socket, sys

mark = bytes(byte ^ 0x5A for byte in bytes.fromhex(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)
left = []


def leave(name, act):
    try:
        result = act()
        if isinstance(result, int) and result < 0:
            return
        left.append(name)
    except OSError:
        pass


def write(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(mark)


def shared_memory():
    segment = libc.shmget(0x0BCE, ctypes.c_size_t(4096), 0o1666)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(segment, None, 0)
    if segment < 0 or address in (None, ctypes.c_void_p(-1).value):
        return -1
    ctypes.memmove(address, mark, len(mark))


def abstract_socket():
    server = socket.socket(socket.AF_UNIX)
    server.bind(b"\0" + mark)
    server.listen()
    kept.append(server)


kept = [bytearray(mark * 1000)]
for place in ("/tmp", "/var/tmp", "/dev/shm", "/work", "/work/.hidden", "/dev/mqueue", "/run", "/var/run"):
    leave(f"file in {place}", lambda: write(f"{place}/oncebox-left"))
leave("shared memory", shared_memory)
leave("semaphore", lambda: libc.semget(0x0BCE, 1, 0o1666))
leave("message queue", lambda: libc.msgget(0x0BCE, 0o1666))
leave("posix queue", lambda: libc.mq_open(b"/oncebox-left", os.O_CREAT | os.O_RDWR, 0o666, None))
leave("key", lambda: libc.syscall(248, b"user", b"oncebox-left", mark, len(mark), -4))
leave("abstract socket", abstract_socket)
leave("terminal", lambda: kept.append(os.openpty()))
leave("port", lambda: kept.append(socket.create_server(("127.0.0.1", 7777))))
leave("name of the host", lambda: libc.sethostname(mark, len(mark)))
leave("file of the image", lambda: write("/etc/oncebox-left"))
if __name__ == "__main__" and len(sys.argv) > 2:
    # In the same sandbox, all of it can be found: by a process that shares nothing else with this one.
    import subprocess
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]])
else:
    print(",".join(left))
