"""A function's initialisation in a zygote of its own, and what it must not leave there."""

import gc
import importlib.util
import os
import sys
import threading
import time

FIRST_FREE_FD = 6  # above those of every zygote
HIGHEST_FD = 255

_working_dir = "/"


def load_handler(handler):
    file_name, _, name = handler.rpartition(".")
    sys.argv = [""]
    sys.path[0] = "/function"
    path = f"/function/{file_name}.py"
    specification = importlib.util.spec_from_file_location(file_name.replace("/", "."), path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise TypeError(f"{file_name}.py has no function named {name}")
    return found


def initialise(init):
    """Returns the handler and the microseconds it took. Raises when forks of this process would be unfit."""
    global _working_dir
    os.environ.clear()
    os.environ.update(init["env"])
    os.chdir(init.get("workingDir", "/work"))  # as it is in sandboxes
    started = time.monotonic()
    handler = load_handler(init["handler"])
    usec = int((time.monotonic() - started) * 1e6)
    gc.collect()  # closes what nobody refers to any more
    # Buffered output would be written by every fork.
    sys.stdout.flush()
    sys.stderr.flush()
    refuse_leftovers()
    _working_dir = os.getcwd()
    return handler, usec


def refuse_leftovers():
    # Also those that threading knows nothing of, as of extensions: a fork would wait for them.
    if len(sys._current_frames()) > 1:
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
        raise RuntimeError(f"initialisation left threads: {names}")
    for fd in range(FIRST_FREE_FD, HIGHEST_FD + 1):
        try:
            os.fstat(fd)
        except OSError:
            continue
        raise RuntimeError(f"initialisation left a file open: descriptor {fd}")


def renew():
    """In the fork, while it is parked: what initialisation may have loaded and drawn from."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    # uuid1() of the C library goes on with the zygote's clock sequence; the module's own draws one each time.
    uuid = sys.modules["uuid"]
    uuid._generate_time_safe = None
    uuid._node = uuid._random_getnode()
    uuid._last_timestamp = None
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None:
        multiprocessing.current_process().authkey = os.urandom(32)
    if os.getcwd() != _working_dir:
        os.chdir(_working_dir)
