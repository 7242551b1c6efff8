"""Functions that are called by HTTP, in any of three forms: a WSGI application; a function of one argument, which is given a
Request; a function of event and context, whose event is the request then. What comes back is a Response, or the body of one."""

import asyncio
import base64
import inspect
import io
import json
import sys
import types
import urllib.parse

# A longer body is streamed, and the most that a record of it has.
WHOLE_MAX_BYTES = 256 * 1024
PIECE_BYTES = 128 * 1024
JSON_TYPE = ("content-type", "application/json")


class Request:
    """`headers` has lower-case names; of one that came more than once it has the values with ", " between."""

    def __init__(self, event):
        self.method = event["method"]
        self.url = event["url"]
        self.path = event["path"]
        self.query = event["query"]
        self.headers = event["headers"]
        self.body = _body_of(event)

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Response:
    """`body`: text, bytes, or something that yields them. `headers`: a dict, or pairs where a name occurs twice."""

    def __init__(self, body=b"", status=200, headers=None):
        self.body = body
        self.status = status
        pairs = headers.items() if hasattr(headers, "items") else (headers or [])
        self.headers = [(str(name), str(value)) for name, value in pairs]
        if isinstance(body, str) and not any(name.lower() == "content-type" for name, _ in self.headers):
            self.headers.append(("content-type", "text/plain; charset=utf-8"))


def kind_of(handler):
    """`wsgi`, `request` or `event`."""
    code = getattr(handler, "__code__", None)
    if code is not None and code.co_argcount == 2 and code.co_varnames[1] != "start_response":
        return "event"
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return "event"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) >= 2 and positional[1].name == "start_response":
        return "wsgi"
    has_more = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    return "request" if len(positional) == 1 and not has_more else "event"


def call(handler, kind, event, context, is_http, send_record):
    """Returns the response as the gateway takes it; None when it was streamed."""
    if not is_http:
        event = _posted(event)
    if kind == "wsgi":
        response = _call_wsgi(handler, event)
    else:
        value = handler(Request(event)) if kind == "request" else handler(event, context)
        if is_coroutine(value):
            value = asyncio.run(value)
        response = value if isinstance(value, Response) else _response_of(value)
    return _send(response, is_http, send_record)


def is_coroutine(value):
    """Before Python 3.12 asyncio takes every generator for one."""
    return asyncio.iscoroutine(value) and not isinstance(value, types.GeneratorType)


def is_streamed(value):
    """Generators and other iterators. A list or a dict can be iterated too, and is a value."""
    return isinstance(value, types.AsyncGeneratorType) or (hasattr(value, "__next__") and hasattr(value, "__iter__"))


def send_stream(value, send_record):
    for chunk in _iterate(value):
        _send_chunk(chunk, send_record)


def _send_chunk(chunk, send_record):
    if isinstance(chunk, str):
        for at in range(0, len(chunk), PIECE_BYTES):
            send_record({"type": "chunk", "text": chunk[at : at + PIECE_BYTES]})
        return
    if not isinstance(chunk, (bytes, bytearray, memoryview)):
        raise TypeError(f"a streamed result is made of str and bytes, not of {type(chunk).__name__}")
    data = bytes(chunk)
    for at in range(0, len(data), PIECE_BYTES):
        send_record({"type": "chunk", "base64": base64.b64encode(data[at : at + PIECE_BYTES]).decode()})


def _iterate(value):
    if not isinstance(value, types.AsyncGeneratorType):
        yield from value
        return
    with asyncio.Runner() if hasattr(asyncio, "Runner") else _Runner() as runner:
        while True:
            try:
                yield runner.run(_next(value))
            except StopAsyncIteration:
                return


async def _next(generator):
    return await generator.__anext__()


class _Runner:
    """asyncio.Runner of Python 3.10 and before."""

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        return self

    def run(self, coroutine):
        return self._loop.run_until_complete(coroutine)

    def __exit__(self, *_):
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def _posted(event):
    """Of a function that speaks HTTP and is invoked otherwise."""
    return {
        "method": "POST",
        "url": "http://function/",
        "path": "/",
        "prefix": "",
        "query": {},
        "headers": dict([JSON_TYPE]),
        "rawHeaders": [JSON_TYPE],
        "body": json.dumps(event),
    }


def _body_of(event):
    if "bodyBase64" in event:
        return base64.b64decode(event["bodyBase64"])
    return event.get("body", "").encode()


def _response_of(value):
    if isinstance(value, (str, bytes)) or is_streamed(value):
        headers = [] if isinstance(value, str) else [("content-type", "application/octet-stream")]
        return Response(value, headers=headers)
    return Response(json.dumps(value, allow_nan=False, ensure_ascii=False), headers=[JSON_TYPE])


def _send(response, may_stream, send_record):
    head = {"status": int(response.status), "headers": [list(pair) for pair in response.headers]}
    body = response.body
    if not isinstance(body, (str, bytes, bytearray, list, tuple)):
        body = _known_length(head, body)
    if isinstance(body, (list, tuple)):
        body = b"".join(part.encode() if isinstance(part, str) else part for part in body)
    is_whole = isinstance(body, (str, bytes, bytearray))
    if is_whole and (len(body) <= WHOLE_MAX_BYTES or not may_stream):
        return {**head, **_encoded(body)}
    if not may_stream:
        parts = [part.encode() if isinstance(part, str) else bytes(part) for part in _iterate(body)]
        return {**head, **_encoded(b"".join(parts))}
    send_record({"type": "head", **head})
    send_stream([body] if is_whole else body, send_record)
    return None


def _known_length(head, body):
    """What says that it is short is worth waiting for: it travels with the result."""
    for name, value in head["headers"]:
        if name.lower() == "content-length" and value.isdigit() and int(value) <= WHOLE_MAX_BYTES:
            return list(_iterate(body))
    return body


def _encoded(body):
    if isinstance(body, str):
        return {"body": body}
    try:
        return {"body": bytes(body).decode()}
    except UnicodeDecodeError:
        return {"bodyBase64": base64.b64encode(body).decode()}


def _call_wsgi(application, event):
    """PEP 3333. `write()` is for old applications: what is written so comes before what is returned."""
    state = {}
    written = []

    def start_response(status, headers, exc_info=None):
        if state and exc_info is None:
            raise AssertionError("start_response was called twice")
        state["status"], state["headers"] = int(status.split(" ", 1)[0]), headers
        return written.append

    result = application(_environ_of(event), start_response)
    first = []
    iterator = iter(result)
    # An application that is a generator calls start_response with its first piece.
    while not state:
        try:
            first.append(next(iterator))
        except StopIteration:
            break
    if not state:
        _close(result)
        raise AssertionError("the application did not call start_response")
    is_whole = isinstance(result, (list, tuple))
    body = [*written, *first, *iterator] if is_whole else _rest(written, first, iterator, result)
    if is_whole:
        _close(result)
    return Response(body, state["status"], state["headers"])


def _rest(written, first, iterator, result):
    try:
        yield from written
        yield from first
        yield from iterator
    finally:
        _close(result)


def _close(result):
    if hasattr(result, "close"):
        result.close()


def _environ_of(event):
    url = urllib.parse.urlsplit(event["url"])
    body = _body_of(event)
    environ = {
        "REQUEST_METHOD": event["method"],
        "SCRIPT_NAME": event["prefix"],
        "PATH_INFO": urllib.parse.unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname or "function",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": True,
    }
    for name, value in event["headers"].items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = value
    return environ
