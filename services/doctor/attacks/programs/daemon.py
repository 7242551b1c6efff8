# A daemon by the book: its own session, twice forked, nothing inherited. It sleeps for as many seconds as it is told,
# which is also how it is found.
import os, sys

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        for fd in range(256):
            if fd != null:
                try:
                    os.dup2(null, fd) if fd < 3 else os.close(fd)
                except OSError:
                    pass
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.wait()
print("left", flush=True)
