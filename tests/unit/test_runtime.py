"""Tests Lambda's real loop, as `functions.runtime` starts it, against a Runtime API on 127.0.0.1."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.runtime_api import PATIENCE_S, RuntimeApi
from tests.support.streaming_handler import NAME

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric has a wheel for Linux only")

ROOT = Path(__file__).parents[2]
# Its STALL_S is that of a test.
_IMPATIENT = "from functions import chunks; chunks.STALL_S = 0.5; from functions.runtime import main; main()"
Loop = subprocess.Popen[str]


@contextmanager
def loop(
    api: RuntimeApi, handler: str = NAME, command: tuple[str, ...] = ("-m", "functions.runtime"), **environment: str
) -> Iterator[Loop]:
    """The loop in a process of its own; what it prints is in its `stdout`."""
    process = subprocess.Popen(
        [sys.executable, *command, handler],
        env=_environment(api, environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _environment(api: RuntimeApi, more: Mapping[str, str]) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "AWS_LAMBDA_RUNTIME_API": api.address, **more}


def printed(process: Loop) -> str:
    process.kill()
    return process.communicate()[0]


def split(body: bytes) -> tuple[dict[str, object], bytes]:
    prelude, _, rest = body.partition(bytes(8))
    return json.loads(prelude), rest


def test_loop_streams_and_answers_one_invocation_after_the_other() -> None:
    with RuntimeApi() as api, loop(api) as process:
        for number, do in enumerate(["dict", "stream", "main", "dict"]):
            api.put(f"id-{number}", {"do": do})
        first, streamed, thread, last = (api.answer(number) for number in range(4))
        told = {"pid": process.pid, "main": True}
        assert json.loads(first.body) == {**told, "id": "id-0"}
        assert json.loads(last.body) == {**told, "id": "id-3"}
        assert "lambda-runtime-function-response-mode" not in first.headers
        assert streamed.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert streamed.path == "invocation/id-1/response"
        assert [each.headers["lambda-runtime-invocation-id"] for each in (first, streamed)] == [
            "id-0 of the platform",
            "id-1 of the platform",
        ]
        assert streamed.chunks[1:] == [b"one", b"two"]
        assert split(streamed.body)[0] == {"statusCode": 200, "headers": {"content-type": "text/plain"}, "cookies": []}
        assert thread.chunks[1:] == [f"{process.pid} True".encode()]


def test_loop_sends_each_piece_as_it_comes() -> None:
    with RuntimeApi() as api, loop(api):
        api.put("id-1", {"do": "stream", "pause_s": 0.5})
        came = api.answer(0).came_at
    assert came[2] - came[1] > 0.4


@pytest.mark.parametrize(
    ("answer", "told", "body"),
    [
        (
            {"statusCode": 201, "headers": {"a": "1", "content-length": "2"}, "body": "hü", "isBase64Encoded": False},
            {"statusCode": 201, "headers": {"a": "1"}, "cookies": []},
            "hü".encode(),
        ),
        (
            {
                "statusCode": 200,
                "headers": {},
                "multiValueHeaders": {"vary": ["a", "b"], "set-cookie": ["c=1", "d=2"]},
                "body": base64.b64encode(b"\xff\x00").decode(),
                "isBase64Encoded": True,
            },
            {"statusCode": 200, "headers": {"vary": "a, b"}, "cookies": ["c=1", "d=2"]},
            b"\xff\x00",
        ),
        (
            {"statusCode": 204, "headers": {"set-cookie": "c=1"}, "body": ""},
            {"statusCode": 204, "headers": {}, "cookies": ["c=1"]},
            b"",
        ),
    ],
)
def test_loop_streams_a_complete_response_as_one_piece(
    answer: dict[str, object], told: dict[str, object], body: bytes
) -> None:
    with RuntimeApi() as api, loop(api):
        api.put("id-1", {"do": "http", "answer": answer})
        streamed = api.answer(0)
    assert streamed.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert split(streamed.body) == (told, body)


def test_loop_reports_an_exception_of_the_handler_and_goes_on() -> None:
    with RuntimeApi() as api, loop(api):
        api.put("id-1", {"do": "raise"})
        api.put("id-2", {"do": "dict"})
        error, after = api.answer(0), api.answer(1)
    assert error.path == "invocation/id-1/error"
    assert json.loads(error.body)["errorType"] == "LookupError"
    assert json.loads(after.body)["id"] == "id-2"


def test_loop_reports_an_exception_in_mid_stream_and_goes_on() -> None:
    with RuntimeApi() as api, loop(api) as process:
        api.put("id-1", {"do": "raise_late"})
        api.put("id-2", {"do": "dict"})
        cut, after = api.answer(0), api.answer(1)
        log = printed(process)
    assert (cut.path, cut.chunks[1:]) == ("invocation/id-1/response", [b"one"])
    assert cut.trailers["lambda-runtime-function-error-type"] == "LookupError"
    assert json.loads(after.body)["id"] == "id-2"
    assert "response ended early" in log
    assert "s3cret" not in log


def test_loop_ends_the_body_and_goes_on_when_the_runtime_api_stops_reading() -> None:
    with RuntimeApi(deaf_after=1) as api, loop(api, command=("-c", _IMPATIENT)) as process:
        started = time.monotonic()
        api.put("id-1", {"do": "large"})
        api.put("id-2", {"do": "dict"})
        after = api.answer(1)
        seconds = time.monotonic() - started
        log = printed(process)
        assert not api.answers[0].ended
    assert json.loads(after.body)["id"] == "id-2"
    assert "the body was read to its end" in log
    assert "response not taken" in log
    assert seconds < 10


def test_loop_reports_a_handler_that_cannot_be_imported() -> None:
    with RuntimeApi() as api, loop(api, handler="tests.no_such_module.handler") as process:
        error = api.answer(0)
        assert process.wait(PATIENCE_S) == 1
    assert error.path == "init/error"
    assert json.loads(error.body)["errorType"] == "Runtime.ImportModuleError"


def test_loop_asks_for_the_restore_before_its_first_invocation() -> None:
    with RuntimeApi() as api, loop(api, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start"):
        assert api.answer(0).path == "restore/next"
        api.put("id-1", {"do": "dict"})
        assert json.loads(api.answer(1).body)["id"] == "id-1"


def test_wrapper_starts_the_loop_in_place_of_the_managed_one(tmp_path: Path) -> None:
    """Lambda calls the wrapper with its Python and the path of its own loop, and gives the handler in a variable."""
    (tmp_path / "own.py").write_text("def handler(event, context): return 'from the task folder'")
    environment = {"LAMBDA_TASK_ROOT": str(tmp_path), "_HANDLER": "own.handler"}
    with RuntimeApi() as api:
        process = subprocess.Popen(
            [ROOT / "functions" / "runtime.sh", sys.executable, "/var/runtime/bootstrap.py"],
            env=_environment(api, environment),
            cwd=tmp_path,
        )
        try:
            api.put("id-1", {})
            assert json.loads(api.answer(0).body) == "from the task folder"
        finally:
            process.kill()
            process.wait()
