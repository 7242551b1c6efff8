"""What the HTTP fuzzer has to know beyond the document: archives, and what a refusal or a 5xx may be about."""

import gzip
import io
import tarfile

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

OUTCOMES = {
    "function_error",
    "exited",
    "signaled",
    "timeout",
    "oom_killed",
    "limit_exceeded",
    "cancelled",
    "lost",
}

# Rules about several fields at once, or about what is in an archive. Each is in the document in words.
RULES_IN_WORDS = (
    "is not among the files",
    "is given twice, or is both a file and a directory",
    "no file for ",
    "cannot unpack",
    "runtime: ",
    "handler: ",
    "there is nothing to run",
    'names starting with ".wh." are reserved',
    "an image gets its digest by itself",
    "is not a version of a function",
    "weights",
    " has no version ",
    "cannot read image reference",
    "it names no registry",
    "lies in the past",
    "is not in the IANA database",
    "cron: ",
    "interactive input is not supported by isolation",
)


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


bundle = tar({"index.mjs": b"export const handler = (event) => event;", "main.py": b"def handler(e, c): return e"})
context = tar({"Dockerfile": b"FROM bash\nCMD echo hello\n"})
damaged = st.builds(
    lambda whole, at, byte: whole[:at] + bytes([byte]) + whole[at + 1 :],
    st.sampled_from([bundle, context]),
    st.integers(0, 3000),
    st.integers(0, 255),
)
tars = st.one_of(st.sampled_from([bundle, context]), damaged, st.binary(max_size=2000))
schemathesis.openapi.media_type("application/x-tar", tars)
schemathesis.openapi.media_type(
    "application/gzip",
    st.one_of(tars.map(lambda data: gzip.compress(data, mtime=0)), st.binary(max_size=2000)),
)


@schemathesis.hook
def filter_case(context, case):
    """
    What would go out to a registry is not asked for, nor quotas, which would refuse all that comes after: of these
    operations only what must be refused is sent.
    """
    operation = (case.operation.path, case.method)
    goes_out = case.operation.path.endswith("/push") or operation == ("/v1/images", "POST")
    sets_quotas = operation == ("/v1/tenants/{name}", "PUT")
    return not (goes_out or sets_quotas) or (case.meta is not None and case.meta.generation.mode.is_negative)


@schemathesis.hook
def before_call(context, case, kwargs):
    """A program that waits for input, which nobody sends here, is not waited for long."""
    if isinstance(case.body, dict) and case.body.get("interactive") is True:
        case.body.setdefault("limits", {"wallMs": 500})


def error_of(response):
    try:
        return response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}


@schemathesis.check
def no_fault_of_the_platform(ctx, response, case):
    """A 5xx tells how a function ended, and nothing else."""
    if response.status_code < 500:
        return
    error = error_of(response)
    if error.get("code") in OUTCOMES and error.get("outcome", {}).get("status") == error["code"]:
        assert error["code"] != "lost" or "could not be started" in error["message"], error
        return
    raise AssertionError(f"{response.status_code}: {error or response.text[:500]}")


@schemathesis.check
def valid_requests_are_accepted(ctx, response, case):
    error = error_of(response)
    if response.status_code == 400 and any(rule in error.get("message", "") for rule in RULES_IN_WORDS):
        return
    # The archive was read, and is none.
    if response.status_code == 422 and case.operation.path in ("/v1/images/import", "/v1/images/build"):
        return
    positive_data_acceptance(ctx, response, case)


@schemathesis.check
def errors_have_a_body_of_the_common_form(ctx, response, case):
    if response.status_code < 400 or case.method == "HEAD":
        return
    error = error_of(response)
    assert set(error) >= {"code", "message"}, response.text[:500]
