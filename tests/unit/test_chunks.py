"""Tests the writer of a streamed response against a Runtime API that records the bytes."""

import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from functions import chunks
from functions.chunks import send
from functions.stream import Stream
from tests.support.runtime_api import RuntimeApi

HEADERS = {"content-type": "text/event-stream"}


class Body:
    """Pieces, and whether they were read to the end and closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.read = 0
        self.closed = False
        self._pieces, self._error = iter(pieces), error

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            if self._error is not None:
                raise self._error
            raise StopIteration
        self.read += 1
        return piece

    def close(self) -> None:
        self.closed = True


def test_send_writes_the_prelude_and_one_chunk_a_piece() -> None:
    body = Body(b"one", b"", "zwei ü".encode())
    with RuntimeApi() as api:
        headers = {**HEADERS, "Content-Length": "9"}
        assert send(Stream(201, headers, body, ["a=1", "b=2"]), api.address, "id-1", {"X-More": "m"})
        answer = api.answer(0)
    assert answer.path == "invocation/id-1/response"
    assert answer.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert answer.headers["x-more"] == "m"
    assert answer.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    prelude, *pieces = answer.chunks
    assert json.loads(prelude.removesuffix(bytes(8))) == {
        "statusCode": 201,
        "headers": HEADERS,
        "cookies": ["a=1", "b=2"],
    }
    assert prelude.endswith(bytes(8))
    assert (pieces, answer.trailers) == ([b"one", "zwei ü".encode()], {})
    assert body.closed


def test_send_uses_the_prefix_of_the_address() -> None:
    with RuntimeApi(prefix="secret") as api:
        assert send(Stream(200, {}, iter([b"x"])), api.address, "id-1")
        assert api.answer(0).path == "invocation/id-1/response"


def test_send_delivers_each_piece_before_the_next_one_is_made() -> None:
    came = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"first"
        assert came.wait(10), "the first piece was held back"
        yield b"second"

    with RuntimeApi() as api:

        def watch() -> None:
            while not (api.answers and b"first" in api.answers[0].chunks):
                time.sleep(0.005)
            came.set()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        assert send(Stream(200, {}, body()), api.address, "id-1")
        watcher.join()


def test_send_writes_an_error_into_the_trailers_and_raises_it() -> None:
    body = Body(b"one", error=LookupError("s3cret"))
    with RuntimeApi() as api:
        with pytest.raises(LookupError):
            send(Stream(200, {}, body), api.address, "id-1")
        answer = api.answer(0)
    assert answer.chunks[1:] == [b"one"]
    assert answer.trailers["lambda-runtime-function-error-type"] == "LookupError"
    told = base64.b64decode(answer.trailers["lambda-runtime-function-error-body"])
    assert json.loads(told)["errorType"] == "LookupError"
    assert b"s3cret" not in told
    assert body.closed


def test_send_stops_writing_and_reads_the_body_on_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "STALL_S", 0.2)
    body = Body(*[b"x" * 100_000] * 200)
    with RuntimeApi(deaf_after=1) as api:
        started = time.monotonic()
        assert not send(Stream(200, {}, body), api.address, "id-1")
        seconds = time.monotonic() - started
        assert not api.answers[0].ended
    assert (body.read, body.closed) == (200, True)
    assert 0.2 <= seconds < 2, "one stall, and not one for each piece"


@pytest.mark.parametrize("error", [None, LookupError("s3cret")])
def test_send_reads_the_body_on_when_the_connection_is_refused(error: Exception | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    body = Body(b"one", b"two", error=error)
    if error is None:
        assert not send(Stream(200, {}, body), address, "id-1")
    else:
        with pytest.raises(LookupError):
            send(Stream(200, {}, body), address, "id-1")
    assert (body.read, body.closed) == (2, True)


def test_send_opens_no_second_connection_when_the_first_one_breaks() -> None:
    """The server would read pieces of a body as a request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        hanging_up = threading.Thread(target=hang_up)
        read = list[bytes]()

        def body() -> Iterator[bytes]:
            hanging_up.join()
            for piece in [b"x" * 10_000] * 50:
                read.append(piece)
                yield piece

        hanging_up.start()
        assert not send(Stream(200, {}, body()), f"127.0.0.1:{server.getsockname()[1]}", "id-1")
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert len(read) == 50


def test_send_reports_a_refused_response_as_not_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n")
                time.sleep(0.3)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        assert not send(Stream(200, {}, iter([b"x"])), f"127.0.0.1:{server.getsockname()[1]}", "id-1")
        refusing.join()


def test_send_closes_the_body_when_the_process_is_told_to_end() -> None:
    closed = threading.Event()

    def body() -> Iterator[bytes]:
        try:
            yield b"x"
            raise KeyboardInterrupt
        finally:
            closed.set()

    with RuntimeApi() as api, pytest.raises(KeyboardInterrupt):
        send(Stream(200, {}, body()), api.address, "id-1")
    assert closed.is_set()
