# How long a short program takes by itself, and beside as many endless loops: with no wall between them. Prints both, seconds.
import json, os, signal, subprocess, sys, time

count = int(sys.argv[1])
short = [sys.executable, "-S", "-c", "sum(range(100000))"]


def taken():
    start = time.monotonic()
    subprocess.run(short, check=True)
    return time.monotonic() - start


alone = sorted(taken() for _ in range(5))[2]
hold, start = os.pipe()
loops = []
for _ in range(count):
    loops.append(os.fork())
    if loops[-1] == 0:
        os.close(start)
        os.read(hold, 1)
        while True:
            pass
os.close(start)
beside = taken()
for loop in loops:
    os.kill(loop, signal.SIGKILL)
print(json.dumps({"alone": alone, "beside": beside}))
