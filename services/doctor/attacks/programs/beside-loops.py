# How much of a processor a short program takes, and how long it takes beside as many endless loops: with no wall between
# them. Prints both, seconds.
import json, os, resource, signal, subprocess, sys, time

count = int(sys.argv[1])
short = [sys.executable, "-S", "-c", "sum(range(100000))"]


def taken():
    start = time.monotonic()
    subprocess.run(short, check=True)
    return time.monotonic() - start




def used():
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


runs = 5
before = used()
for _ in range(runs):
    taken()
cpu = (used() - before) / runs
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
print(json.dumps({"cpu": cpu, "beside": beside}))
