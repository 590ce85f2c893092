"""Tests the gateway's answers to odd, large and broken requests, and its start and end."""

import os
import signal
import socket
from pathlib import Path
from threading import Timer

import httpx
import pytest

from local.gateway.app import MAX_BODY, MAX_HEADERS
from local.gateway.pool import Pool
from local.gateway.server import Gateway, PortUnavailable, reserve
from tests.support.processes import family_of, runs
from tests.support.stack.misbehaving import GOOD, TIMEOUT_S, answer_to, started

POST = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"


class TestLimits:
    def test_body_up_to_lambdas_limit_passes(self, client: httpx.Client) -> None:
        body = "x" * (4 * 1024 * 1024)
        assert client.post("/mcp", content=body, headers=GOOD).text == body

    def test_body_over_lambdas_limit_is_413(self, client: httpx.Client) -> None:
        response = client.post("/mcp", content=b"x" * (7 * 1024 * 1024), headers=GOOD)
        assert (response.status_code, response.json()) == (413, {"message": "Request Too Long"})

    def test_a_body_over_the_limit_is_413_also_for_a_client_that_sends_it_all_first(self, port: int) -> None:
        head = f"{POST}Content-Length: {MAX_BODY + 1}\r\n\r\n"
        answer = answer_to(port, head.encode() + b"x" * (MAX_BODY + 1))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"message":"Request Too Long"}')

    def test_a_body_without_end_is_cut_off(self, port: int) -> None:
        ten_megabytes = b"a00000\r\n" + b"x" * 0xA00000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode() + ten_megabytes)
            with pytest.raises(ConnectionError):
                connection.sendall(ten_megabytes * 20)

    def test_an_announced_body_over_the_limit_is_refused_unread(self, port: int) -> None:
        head = f"{POST}Content-Length: {MAX_BODY + 1}\r\nExpect: 100-continue\r\n\r\n"
        assert answer_to(port, head.encode()).startswith(b"HTTP/1.1 413 ")

    def test_headers_over_the_quota_are_431(self, client: httpx.Client) -> None:
        response = client.get("/", headers={"X-Padding": "x" * MAX_HEADERS})
        assert (response.status_code, response.json()) == (431, {"message": "Request Header Fields Too Large"})


GARBAGE = {
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "raw bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "raw bytes in the query": b"GET /?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a host with two ports": b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
    "a host whose port is a word": b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
    "a negative length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a length beyond numbers": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", GARBAGE.values(), ids=GARBAGE)
def test_malformed_request_is_400_and_reaches_no_function(port: int, request_: bytes) -> None:
    answer = answer_to(port, request_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x-pid" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /api/v1/health?%zz=%ff&;;= HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\xfe\r\nX-Forwarded-Port: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        b"GET /api/v1/%00%ff%zz/..//%2e%2e/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n\r\n",
    ],
    ids=ascii,
)
def test_odd_but_lawful_requests_reach_the_function(client: httpx.Client, port: int, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request_)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /%00%ff%zz/..//%2e%2e/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /../api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=ascii,
)
def test_odd_paths_of_no_route_are_404(port: int, request_: bytes) -> None:
    assert answer_to(port, request_).startswith(b"HTTP/1.1 404 ")


def test_a_gateway_is_stopped_entirely_also_when_the_wait_for_it_was_interrupted(tmp_path: Path) -> None:
    others = family_of(os.getpid())
    # A shell lets a background program ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with started(tmp_path) as gateway:
            processes = family_of(os.getpid()) - others
            assert len(processes) == 3
            Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
            with pytest.raises(KeyboardInterrupt):
                gateway.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not any(map(runs, processes))


def test_gateway_ends_when_a_background_task_fails(tmp_path: Path) -> None:
    async def fail(_pool: Pool) -> None:
        raise RuntimeError("the source is dry")

    with reserve(0) as listener:
        gateway = Gateway(listener, [], {}, tmp_path, fail)
        gateway.start()
        gateway.wait()
        gateway.stop()
    assert "the source is dry" in (tmp_path / "gateway.log").read_text()


def test_gateway_prints_one_line_on_a_used_port(port: int) -> None:
    with pytest.raises(PortUnavailable) as raised:
        reserve(port)
    assert str(raised.value) == f"Port {port} is taken; set PANTHEON_PORT to another one."


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    with reserve(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
