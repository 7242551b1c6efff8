# Stops itself, or all of its process group, where no timer inside can end it; or ignores what asks it to end.
import os, signal, subprocess, sys, time

what = sys.argv[1]
if what == "ignore":
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.kill(os.getpid(), signal.SIGTERM)
print("still here", flush=True)
if what == "self":
    os.kill(os.getpid(), signal.SIGSTOP)
elif what == "group":
    subprocess.Popen(["sleep", "1000"])
    os.setpgid(0, 0) if os.getpgid(0) == 0 else None
    os.killpg(os.getpgrp(), signal.SIGSTOP)
time.sleep(1000)
