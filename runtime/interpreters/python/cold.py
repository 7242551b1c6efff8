"""A program in a sandbox that no zygote was forked into, but where python was started for it: that of an OCI runtime.

All that a child of the zygote does is done by the same code; what it asks of the native part is done without one.
"""

import importlib.util
import json
import os

# By its path: there is a library of the same name beside it.
spec = importlib.util.spec_from_file_location("zygote", "/.oncebox/zygote.py")
zygote = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zygote)

JOB_FD = 3


class Native:
    """In place of the library, which would fork."""

    def zygote_send_result(self, text, length):
        """Read when all is over. A program may write there too, and gains nothing: only its shape is believed."""
        with open("/.oncebox/result/result", "ab") as file:
            file.write(text)

    def zygote_end(self, code):
        os._exit(code)


with open(JOB_FD, "rb") as file:
    job = json.load(file)
zygote.native = Native()
zygote.open_input()
zygote.open_outputs()
# What python itself was started with; the program's own comes with the job.
os.environ.clear()
os.environ.update(job["env"])
zygote.run(job)
