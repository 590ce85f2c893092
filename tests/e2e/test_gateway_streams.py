"""Tests streamed answers through the gateway: their chunks, slow readers, and processes that end."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path

import httpx
import pytest

from local.gateway.pool import Function
from local.gateway.server import Gateway, reserve
from tests.support.processes import eventually, runs
from tests.support.stack.misbehaving import AUTHORIZER, FAILED, GOOD, TIMEOUT_S, pid_in, rest

# The handler's flood of bytes.
PIECE = bytes(range(256)) * 256
# Far more than the buffers of two connections have room for.
MANY = 1600
# The most that those buffers can hold, in pieces of 64 KiB.
BUFFERED = 400


@contextmanager
def started(directory: Path, environ: dict[str, str], timeout_s: float = TIMEOUT_S) -> Iterator[Gateway]:
    functions = [
        Function(name, "tests.support.stack.streaming_handlers:by_session", timeout_s) for name in ("turns", "api")
    ]
    with reserve(0) as listener:
        gateway = Gateway(listener, [AUTHORIZER, *functions], environ, directory, rest)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.stop()


@pytest.fixture
def gateway(tmp_path: Path, environ: dict[str, str]) -> Iterator[Gateway]:
    with started(tmp_path, environ) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", headers=GOOD, timeout=TIMEOUT_S) as client:
        yield client


def path(action: str) -> str:
    return f"/api/v1/sessions/{action}/turns"


def request(action: str, body: str = "", version: str = "1.1") -> bytes:
    head = f"POST {path(action)} HTTP/{version}\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def connect(gateway: Gateway, sent: bytes, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(TIMEOUT_S)
    connection.connect(("127.0.0.1", gateway.port))
    connection.sendall(sent)
    return connection


def received(connection: socket.socket, until: bytes = b"") -> bytes:
    """Return everything that arrives until this text, or until the end."""
    everything = b""
    while not (until and everything.endswith(until)) and (arrived := connection.recv(65536)):
        everything += arrived
    return everything


@contextmanager
def opened(gateway: Gateway, action: str) -> Iterator[HTTPResponse]:
    """An answer whose head has arrived."""
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)) as connection:
        connection.request("POST", path(action), "", GOOD)
        with connection.getresponse() as response:
            yield response


def _once_still(marks: Path) -> int:
    """Return the number of written bytes once it no longer grows."""
    before = -1
    while before < (now := written(marks)):
        before = now
        time.sleep(0.5)
    return now


def written(marks: Path) -> int:
    return int((marks / "written").read_text()) if (marks / "written").exists() else 0


def test_each_chunk_arrives_before_the_next_one_is_written(gateway: Gateway, marks: Path) -> None:
    with opened(gateway, "steps") as response:
        for number in range(3):
            assert response.read1() == b"%d" % number
            assert not (marks / "finished").exists()
            (marks / f"go-{number}").touch()
        assert response.read() == b""
    eventually((marks / "finished").exists)


def test_a_head_is_checked_as_that_of_a_buffered_answer(client: httpx.Client) -> None:
    response = client.post(path("greet"))
    assert (response.status_code, response.text) == (200, "hello world")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-type"] == "text/plain"
    assert response.headers["x-amzn-remapped-date"] == "now"
    assert response.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in response.headers


def test_two_streams_and_a_buffered_answer_come_from_one_process(client: httpx.Client, tmp_path: Path) -> None:
    answers = [client.post(path(action), content="x") for action in ("greet", "greet", "buffered", "greet")]
    assert [answer.text for answer in answers] == ["hello world", "hello world", "x", "hello world"]
    assert len({answer.headers["x-pid"] for answer in answers}) == 1
    assert "Traceback" not in (tmp_path / "turns.log").read_text()


def test_five_megabytes_arrive_as_they_were_written(client: httpx.Client) -> None:
    assert client.post(path("flood"), content="80").content == PIECE * 80


def test_a_stream_may_have_more_than_a_payload(client: httpx.Client) -> None:
    assert len(client.post(path("flood"), content="160").content) == 160 * len(PIECE)


def test_a_slow_reader_holds_up_the_function_and_gets_everything(gateway: Gateway, marks: Path) -> None:
    with connect(gateway, request("flood", str(MANY)), receive_buffer=8192) as connection:
        eventually(lambda: written(marks))
        before = _once_still(marks)
        assert 0 < before < BUFFERED
        answer = HTTPResponse(connection)
        answer.begin()
        assert len(answer.read()) == MANY * len(PIECE)
    assert written(marks) == MANY


def test_the_function_goes_on_when_its_reader_is_gone(gateway: Gateway, client: httpx.Client, marks: Path) -> None:
    with opened(gateway, "steps") as response:
        pid = response.headers["x-pid"]
        assert response.read1() == b"0"
    for number in range(3):
        (marks / f"go-{number}").touch()
    eventually((marks / "finished").exists)
    eventually(lambda: client.post(path("buffered"), content="x").headers["x-pid"] == pid)


def test_function_goes_on_when_a_reader_leaves_a_large_stream(gateway: Gateway, marks: Path) -> None:
    with connect(gateway, request("flood", str(MANY)), receive_buffer=8192):
        eventually(lambda: written(marks))
    eventually((marks / "finished").exists)
    assert written(marks) == MANY


def test_the_function_goes_on_when_its_reader_takes_nothing(
    gateway: Gateway, client: httpx.Client, marks: Path
) -> None:
    with connect(gateway, request("impatient", str(MANY)), receive_buffer=8192) as connection:
        eventually((marks / "finished").exists)
        assert written(marks) == MANY
        first = client.post(path("buffered"), content="x").headers["x-pid"]
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.headers["x-pid"] == first
        with pytest.raises(IncompleteRead):
            answer.read()


def test_stream_that_ends_well_is_not_reported_as_a_lost_process(
    gateway: Gateway, client: httpx.Client, tmp_path: Path
) -> None:
    first, second = (client.post(path("greet")) for _ in range(2))
    assert (first.text, second.text) == ("hello world", "hello world")
    gateway.stop()
    assert "platform.report" not in (tmp_path / "turns.log").read_text()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_process_that_is_killed_in_mid_stream_breaks_the_answer(
    gateway: Gateway, client: httpx.Client, marks: Path, tmp_path: Path, version: str
) -> None:
    with connect(gateway, request("hang", version=version)) as connection:
        pid = pid_in(marks / "hanging")
        os.kill(pid, signal.SIGKILL)
        assert_broken(connection, version)
    eventually(lambda: "platform.report" in (tmp_path / "turns.log").read_text())
    report = json.loads((tmp_path / "turns.log").read_text().splitlines()[-1])
    assert report["record"]["status"] == "died"
    assert client.post(path("greet")).text == "hello world"


def assert_broken(connection: socket.socket, version: str) -> None:
    """In HTTP/1.1 the last chunk is missing. In HTTP/1.0 the connection is reset."""
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            received(connection)
    else:
        assert received(connection).endswith(b"\r\nbegun\r\n")


def test_a_stream_over_its_time_is_killed_and_broken(tmp_path: Path, environ: dict[str, str], marks: Path) -> None:
    with started(tmp_path, environ, timeout_s=1.0) as gateway:
        with connect(gateway, request("hang")) as connection:
            assert_broken(connection, "1.1")
        eventually(lambda: not runs(pid_in(marks / "hanging")))
        eventually(lambda: '"timed_out"' in (tmp_path / "turns.log").read_text())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_handler_that_raises_in_mid_stream_breaks_the_answer_and_lives_on(
    gateway: Gateway, client: httpx.Client, tmp_path: Path, version: str
) -> None:
    pid = client.post(path("greet")).headers["x-pid"]
    with connect(gateway, request("fail", version=version)) as connection:
        assert_broken(connection, version)
    assert client.post(path("greet")).headers["x-pid"] == pid
    assert "the handler's own secret" in (tmp_path / "turns.log").read_text()


@pytest.mark.parametrize("action", ["fail_first", "nonsense", "unspeakable"])
def test_a_stream_that_cannot_start_is_502(client: httpx.Client, action: str) -> None:
    response = client.post(path(action))
    assert (response.status_code, response.json()) == FAILED
    assert client.post(path("greet")).text == "hello world"


def test_a_stream_on_a_buffered_route_is_502(client: httpx.Client) -> None:
    response = client.get("/api/v1/agents")
    assert (response.status_code, response.json()) == FAILED


def test_an_empty_status_and_head_have_no_body(gateway: Gateway, client: httpx.Client) -> None:
    assert client.post(path("empty")).status_code == 204
    head = request("greet").replace(b"POST " + path("greet").encode(), b"HEAD /mcp")
    with connect(gateway, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as connection:
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


class TestConnections:
    """Clients that speak HTTP in less usual ways."""

    @pytest.mark.parametrize("action", ["greet", "buffered"])
    def test_by_http_1_0_the_end_of_the_connection_ends_the_answer(self, gateway: Gateway, action: str) -> None:
        with connect(gateway, request(action, "hello world", version="1.0")) as connection:
            head, _, body = received(connection).partition(b"\r\n\r\n")
        assert body == b"hello world"
        assert b"connection: close" in head
        assert b"transfer-encoding" not in head

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("action", ["steps", "buffered"])
    def test_a_client_that_closes_its_half_gets_its_answer(
        self, gateway: Gateway, marks: Path, action: str, version: str
    ) -> None:
        with connect(gateway, request(action, "012", version)) as connection:
            connection.shutdown(socket.SHUT_WR)
            for number in range(3):
                (marks / f"go-{number}").touch()
            answer = HTTPResponse(connection)
            answer.begin()
            assert answer.read() == b"012"
            assert connection.recv(1) == b""

    def test_a_client_that_closes_its_half_in_mid_request_gets_nothing(self, gateway: Gateway) -> None:
        with connect(gateway, request("buffered", "body")[:-1]) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert received(connection) == b""

    def test_a_connection_is_used_again_after_a_stream(self, gateway: Gateway) -> None:
        with connect(gateway, request("greet")) as connection:
            assert received(connection, until=b"0\r\n\r\n").endswith(b"world\r\n0\r\n\r\n")
            connection.sendall(request("greet"))
            assert received(connection, until=b"0\r\n\r\n").endswith(b"world\r\n0\r\n\r\n")
