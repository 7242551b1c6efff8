"""The python zygote: imports what most programs import, then forks into sandboxes.

Everything above `serve` runs once, in the zygote, before any user code is known; everything below runs in the
child, confined. See runtime/interpreters/README.md.
"""

import asyncio  # noqa: F401  (imported for the children)
import atexit
import base64
import collections  # noqa: F401
import ctypes
import datetime  # noqa: F401
import functools  # noqa: F401
import gc
import importlib.util  # noqa: F401
import io
import itertools  # noqa: F401
import json
import math  # noqa: F401
import os
import pathlib
import random
import re  # noqa: F401
import sys
import tempfile
import threading
import time  # noqa: F401
import traceback
import types
import typing  # noqa: F401
import uuid  # noqa: F401

sys.path.insert(0, "/.oncebox")
import http_function  # noqa: E402
import initialise  # noqa: E402
import oncebox  # noqa: E402

for name in ("http_function", "initialise", "oncebox"):
    del sys.modules[name]
del sys.path[0], name

OWN_FILES = (__file__, http_function.__file__, initialise.__file__, oncebox.__file__)
MAX_RESULT_BYTES = 6 * 1024 * 1024
REHEARSALS = 50
REHEARSAL = "/.oncebox/rehearsal.py"
REHEARSAL_CODE = pathlib.Path(REHEARSAL).read_text(encoding="utf-8")

# PyDLL keeps the interpreter lock over the call: the fork happens with the lock held, as os.fork() does it.
native = ctypes.PyDLL("/.oncebox/zygote.so")
native.zygote_wait_job.restype = ctypes.POINTER(ctypes.c_char)
native.zygote_wait_job.argtypes = [ctypes.POINTER(ctypes.c_size_t)]
native.zygote_serve.argtypes = [ctypes.c_uint32]
native.zygote_send_result.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def main():
    # The function whose zygote this is.
    init = os.environ.pop("ONCEBOX_INIT", None)
    if init is not None:
        serve_function(json.loads(init))
    else:
        serve_anything()


def serve_anything():
    # Often, so that the interpreter has specialised what it runs through: that writes to memory that a child would
    # have to copy.
    open_outputs()
    os.environ.clear()
    for _ in range(REHEARSALS):
        rehearse()
    serve(0)
    renew()
    open_input()
    job = wait_job()
    os.environ.update(job["env"])
    run(job)


def rehearse():
    """All of a job but its end, with no effect. Not in the child as well, as node's does: it would take more CPU than it
    saves, and memory."""
    stdout = sys.stdout
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(os.devnull, "w")), encoding="utf-8", line_buffering=True
    )
    files = [{"path": os.devnull, "content": REHEARSAL_CODE, "encoding": "utf8"}]
    job = json.loads(json.dumps({"files": files, "entry": REHEARSAL, "args": [], "env": {}}))
    os.environ.update(job["env"])
    run_snippet(job)
    sys.stdout.flush()
    sys.stdout = stdout


def serve_function(init):
    """Runs the function's initialisation here, once for all its invocations. Streams and environment are as it left
    them."""
    open_input()
    open_outputs()
    sys.modules["oncebox"] = oncebox
    try:
        handler, init_usec = initialise.initialise(init)
    except BaseException as error:
        describe(error)
        sys.stderr.flush()
        os._exit(1)
    collects = gc.isenabled()
    serve(init_usec)
    renew()
    initialise.renew()
    if not collects:
        gc.disable()
    run(wait_job(), handler)


def serve(init_usec):
    gc.collect()
    gc.disable()
    gc.freeze()  # the collector must not write to, and so copy, pages that all children share
    ctypes.pythonapi.PyOS_BeforeFork()
    native.zygote_serve(init_usec)
    ctypes.pythonapi.PyOS_AfterFork_Child()


def wait_job():
    length = ctypes.c_size_t()
    data = native.zygote_wait_job(ctypes.byref(length))
    return json.loads(ctypes.string_at(data, length.value))


def renew():
    """What every fork would otherwise have in common with its siblings."""
    gc.enable()
    random.seed()
    tempfile._name_sequence = None
    threading.main_thread()._set_native_id()  # the zygote's still


def open_input():
    # In the child, where it is a pipe: the zygote's is a device that can be seeked, and the stream would remember that.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), encoding="utf-8", errors="surrogateescape")
    sys.__stdin__ = sys.stdin


def open_outputs():
    # Line by line, so that what was printed before a timeout is not lost in a buffer.
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8", line_buffering=True)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr


def run(job, handler=None):
    """`handler`: where initialisation has run in the zygote."""
    code = 1
    try:
        if job["kind"] == "snippet":
            run_snippet(job)
        else:
            initialise_and_call(job, handler)
        code = 0
    except SystemExit as exit_request:
        code = exit_code(exit_request)
    except BaseException as error:
        fail(error)
    leave(code)


def run_snippet(job):
    for file in job["files"]:
        parent = os.path.dirname(file["path"])
        if parent:
            os.makedirs(parent, exist_ok=True)
        content = base64.b64decode(file["content"]) if file["encoding"] == "base64" else file["content"].encode()
        with open(file["path"], "wb") as target:
            target.write(content)
    entry = os.path.abspath(job["entry"])
    sys.argv = [entry, *job["args"]]
    sys.path[0] = os.path.dirname(entry)
    module = type(sys)("__main__")
    module.__file__ = entry
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    with open(entry, "rb") as source:
        compiled = compile(source.read(), entry, "exec", dont_inherit=True)
    exec(compiled, module.__dict__)


class Context:
    """What a handler is told of its invocation; the names are Lambda's:
    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    def __init__(self, context):
        self.aws_request_id = self.invocation_id = context["invocationId"]
        self.function_name = context["functionName"]
        self.function_version = context["functionVersion"]
        self.invoked_function_arn = context.get("invokedFunctionArn")
        self.memory_limit_in_mb = str(round(context.get("memoryBytes", 0) / (1024 * 1024)))
        self.log_group_name = context.get("logGroupName")
        self.log_stream_name = context.get("logStreamName")
        self.client_context = client_context(context.get("clientContext"))
        self.identity = types.SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.traceparent = context.get("traceparent")
        self.tracestate = context.get("tracestate")
        self._deadline_ms = context["deadlineMs"]

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline_ms - time.time() * 1000))


def client_context(text):
    """An object of `client`, `custom` and `env`, as Lambda makes it of what the caller gives."""
    if text is None:
        return None
    given = json.loads(text)
    given = given if isinstance(given, dict) else {}
    client = given.get("client")
    names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    known = types.SimpleNamespace(**{name: client.get(name) for name in names}) if isinstance(client, dict) else None
    return types.SimpleNamespace(client=known, custom=given.get("custom"), env=given.get("env"))


def initialise_and_call(job, handler):
    took = {}
    if handler is None:
        if "workingDir" in job:
            os.chdir(job["workingDir"])
        sys.modules["oncebox"] = oncebox
        started = time.monotonic()
        handler = initialise.load_handler(job["handler"])
        took = {"initMs": round((time.monotonic() - started) * 1000, 3)}
    try:
        note_call(job)
        oncebox._run()
        event, context = json.loads(job["eventJson"]), Context(job["context"])
        kind = http_function.kind_of(handler)
        if job.get("http") or kind != "event":
            value = http_function.call(handler, kind, event, context, job.get("http"), send_record)
        else:
            value = handler(event, context)
            if http_function.is_coroutine(value):
                value = asyncio.run(value)
        if http_function.is_streamed(value):
            http_function.send_stream(value, send_record)
            value = None
        send({"type": "result", **took, "value": value})
    except Exception as error:
        fail(error, took)
        leave(1)


def note_call(job):
    """What of its environment is the call's own. A zygote's is the same for all its forks, so here."""
    os.environ.update(job.get("callEnv", {}))
    context = job["context"]
    for name in ("traceparent", "tracestate"):
        if name in context:
            os.environ.setdefault(name.upper(), context[name])


def fail(error, took=None):
    send({"type": "error", **(took or {}), **describe(error)})


# By Lambda's name, which it has too where an image's own program is called.
ResponseSizeTooLarge = type("Function.ResponseSizeTooLarge", (ValueError,), {})


def send(message):
    try:
        text = json.dumps(message, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the handler's result cannot be written as JSON: {error}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise ResponseSizeTooLarge(f"the handler's result is {len(text)} bytes; the most is {MAX_RESULT_BYTES}")
    native.zygote_send_result(text, len(text))


def send_record(record):
    """Of a result that is streamed, before the result."""
    text = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    native.zygote_send_result(text, len(text))


def describe(error):
    """Writes the traceback to stderr as the interpreter would, without our own frames, and returns the result."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in OWN_FILES:
        trace = trace.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
        trace = trace.tb_next
    stack = "".join(traceback.format_exception(type(error), error, trace))
    sys.stderr.write(stack)
    return {
        "name": type(error).__name__[:256],
        "message": str(error)[:65536].encode("utf-8", "replace").decode(),
        "stack": stack[:65536].encode("utf-8", "replace").decode(),
    }


def exit_code(exit_request):
    code = exit_request.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def leave(code):
    """What the interpreter does at its end, short of tearing itself down."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    native.zygote_end(code)


if __name__ == "__main__":
    main()
