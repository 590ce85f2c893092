import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Timer

import httpx
import pytest

from local.gateway.app import MAX_BODY, MAX_HEADERS
from local.gateway.pool import Function, Pool
from local.gateway.server import Gateway, PortUnavailable, reserve
from local.gateway.tokens import TokenKey
from tests.processes import family_of, runs

HERE = Path(__file__).parent
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def key(directory: Path) -> TokenKey:
    return TokenKey.load_or_create(directory)


@pytest.fixture(scope="module")
def token(key: TokenKey) -> str:
    return key.issue("acme", "ada", ["member"], timedelta(hours=1))


@contextmanager
def started(directory: Path, key: TokenKey) -> Iterator[Gateway]:
    functions = [Function(name, "gateway_handlers:echo", TIMEOUT_S) for name in ("api", "turns")]
    with reserve(0) as listener:
        gateway = Gateway(listener, functions, {"PYTHONPATH": str(HERE), "MARKS": ""}, key, directory, rest)
        gateway.start()
        yield gateway
        gateway.stop()


@pytest.fixture(scope="module")
def port(directory: Path, key: TokenKey) -> Iterator[int]:
    with started(directory, key) as gateway:
        yield gateway.port


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client:
        yield client


async def rest(_pool: Pool) -> None:
    """Nothing goes on in the background."""
    await asyncio.Event().wait()


def answer_to(port: int, request: bytes) -> bytes:
    """Everything that the gateway sends until it closes, or until the answer's own end."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        received = b""
        while not received.endswith((b"}", b"received.")) and (chunk := connection.recv(65536)):
            received += chunk
        return received


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestAuthorization:
    def test_a_valid_token_passes(self, client: httpx.Client, token: str) -> None:
        assert client.get("/api/v1/agents", headers=bearer(token)).status_code == 200

    def test_the_scheme_may_be_written_in_any_case(self, client: httpx.Client, token: str) -> None:
        assert client.get("/api/v1/agents", headers={"Authorization": f"bearer {token}"}).status_code == 200

    @pytest.mark.parametrize(
        "value", [b"", b"Bearer", b"Bearer ", b"Bearer x", b"Basic eDp5", b"Bearer \xff"], ids=ascii
    )
    def test_anything_else_is_api_gateways_401(self, port: int, value: bytes) -> None:
        answer = answer_to(port, b"GET /api/v1/x HTTP/1.1\r\nHost: x\r\nAuthorization: " + value + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: Bearer\r\n" in answer
        assert answer.endswith(b'{"message":"Unauthorized"}')

    def test_a_valid_token_under_another_scheme_is_401(self, client: httpx.Client, token: str) -> None:
        assert client.get("/api/v1/agents", headers={"Authorization": f"Basic {token}"}).status_code == 401

    def test_no_header_is_401(self, client: httpx.Client) -> None:
        assert client.post("/api/v1/sessions/x/turns").status_code == 401

    def test_two_headers_are_401_though_each_is_valid(self, client: httpx.Client, token: str) -> None:
        header = ("Authorization", f"Bearer {token}")
        assert client.get("/api/v1/agents", headers=[header, header]).status_code == 401

    def test_an_open_route_needs_none_and_ignores_a_bad_one(self, client: httpx.Client) -> None:
        for path in ("/api/v1/health", "/openapi.json", "/api/v1/openapi.json", "/no/such/thing"):
            assert client.get(path, headers=bearer("bad")).status_code == 200


class TestLimits:
    def test_a_body_up_to_what_lambda_takes_passes(self, client: httpx.Client) -> None:
        body = "x" * (4 * 1024 * 1024)
        assert client.post("/", content=body, headers={"Content-Type": "text/plain"}).text == body

    def test_a_body_over_what_lambda_takes_is_413(self, client: httpx.Client) -> None:
        response = client.post("/", content=b"x" * (7 * 1024 * 1024))
        assert (response.status_code, response.json()) == (413, {"message": "Request Too Long"})

    def test_a_body_over_the_limit_is_413_also_for_a_client_that_sends_it_all_first(self, port: int) -> None:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
        answer = answer_to(port, head.encode() + b"x" * (MAX_BODY + 1))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"message":"Request Too Long"}')

    def test_a_body_without_end_is_cut_off(self, port: int) -> None:
        ten_megabytes = b"a00000\r\n" + b"x" * 0xA00000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + ten_megabytes)
            with pytest.raises(ConnectionError):
                connection.sendall(ten_megabytes * 20)

    def test_an_announced_body_over_the_limit_is_refused_unread(self, port: int) -> None:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\nExpect: 100-continue\r\n\r\n"
        assert answer_to(port, head.encode()).startswith(b"HTTP/1.1 413 ")

    def test_headers_over_the_quota_are_431(self, client: httpx.Client) -> None:
        response = client.get("/", headers={"X-Padding": "x" * MAX_HEADERS})
        assert (response.status_code, response.json()) == (431, {"message": "Request Header Fields Too Large"})


GARBAGE = {
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /?\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a host with two ports": b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
    "a host whose port is a word": b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length beyond numbers": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_400_and_never_reaches_a_function(port: int, request_: bytes) -> None:
    answer = answer_to(port, request_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x-pid" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /api/v1/health?%zz=%ff&;;= HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%00%ff%zz/..//%2e%2e/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Odd: \xff\xfe\r\nX-Forwarded-Port: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    ],
    ids=ascii,
)
def test_odd_but_lawful_requests_reach_the_function(client: httpx.Client, port: int, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request_)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_gateway_is_stopped_entirely_also_when_the_wait_for_it_was_interrupted(tmp_path: Path) -> None:
    others = family_of(os.getpid())
    # A shell that starts something in the background lets it ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with started(tmp_path, TokenKey.load_or_create(tmp_path)) as gateway:
            processes = family_of(os.getpid()) - others
            assert len(processes) == 2
            Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
            with pytest.raises(KeyboardInterrupt):
                gateway.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not any(map(runs, processes))


def test_a_gateway_ends_when_what_goes_on_in_its_background_fails(tmp_path: Path) -> None:
    async def fail(_pool: Pool) -> None:
        raise RuntimeError("the source is dry")

    with reserve(0) as listener:
        gateway = Gateway(listener, [], {}, TokenKey.load_or_create(tmp_path), tmp_path, fail)
        gateway.start()
        gateway.wait()
        gateway.stop()
    assert "the source is dry" in (tmp_path / "gateway.log").read_text()


def test_a_port_that_is_taken_is_told_in_one_line(port: int) -> None:
    with pytest.raises(PortUnavailable) as raised:
        reserve(port)
    assert str(raised.value) == f"Port {port} is taken; set PANTHEON_PORT to another one."


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    with reserve(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
