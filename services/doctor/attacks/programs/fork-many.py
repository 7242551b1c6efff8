# Starts as many processes (or threads) as it is told, which all stay; says how many it got.
import json, os, sys, threading, time

kind, wanted = sys.argv[1], int(sys.argv[2])
got, reason = 0, None
for _ in range(wanted):
    try:
        if kind == "threads":
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        elif os.fork() == 0:
            for fd in (0, 1, 2):
                os.close(fd)
            time.sleep(1000)
        got += 1
    except (OSError, RuntimeError) as error:
        reason = str(error)
        break
print(json.dumps({"got": got, "reason": reason}), flush=True)
os._exit(0 if reason is None else 1)
