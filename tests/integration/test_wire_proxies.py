"""Tests the environment's proxies and certificates, and the parts of a URL."""

import socket
import time
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from shared.llm.wire import Answer, NotSent, Wire
from tests.support.raw_server import ANSWER, Serve, answering, dripping, forwarding, heard, listening
from tests.support.tls_front import make_certificate

LIMIT_S = 5.0
_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture
def pair(tmp_path: Path, environment: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A certificate that the environment trusts, and its key."""
    made = make_certificate(tmp_path, "provider")
    environment.setenv("SSL_CERT_FILE", str(made[0]))
    return made


def post(url: str, times: int = 1, limit_s: float = LIMIT_S) -> Answer:
    with closing(Wire(trust_env=True)) as made:
        answers = [made.post(httpx.URL(url), {"X-Own": "1"}, b"{}", time.monotonic() + limit_s) for _ in range(times)]
    return answers[-1]


def failing(error: type[Exception], url: str, limit_s: float) -> float:
    """The seconds after which a call raises the error. Reading certificates is not in them."""
    with closing(Wire(trust_env=True)) as made:
        started = time.monotonic()
        with pytest.raises(error):
            made.post(httpx.URL(url), {}, b"{}", started + limit_s)
        return time.monotonic() - started


def recording(requests: list[bytes], serve: Serve = answering) -> Serve:
    """Serve, and keep what each connection says first."""

    def recorded(connection: socket.socket) -> None:
        requests.append(connection.recv(65_536, socket.MSG_PEEK))
        serve(connection)

    return recorded


def test_a_connection_in_tls_is_used_again(pair: tuple[Path, Path]) -> None:
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        connections.append(connection)
        answering(connection)

    with listening(serve, pair) as port:
        assert post(f"https://127.0.0.1:{port}/", times=3).status == 200
    assert len(connections) == 1


def test_nothing_is_sent_to_a_server_whose_certificate_is_not_trusted(
    pair: tuple[Path, Path], environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("SSL_CERT_FILE")
    with listening(answering, pair) as port, pytest.raises(NotSent):
        post(f"https://127.0.0.1:{port}/")


def test_nothing_is_sent_to_a_server_that_has_the_certificate_of_another_host(pair: tuple[Path, Path]) -> None:
    with listening(answering, pair) as port, pytest.raises(NotSent):
        post(f"https://localhost:{port}/")


def test_a_proxy_gets_the_whole_url(environment: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    with listening(recording(requests)) as port:
        environment.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{port}")
        assert post("http://model.test/v1?a=b", times=2).status == 200
    (request,) = requests
    assert request.startswith(b"POST http://model.test/v1?a=b HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + b64encode(b"user:pass") in request
    assert b"\r\nHost: model.test\r\n" in request


def test_a_host_that_is_excepted_is_called_without_the_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALL_PROXY", "http://127.0.0.1:1")
    environment.setenv("NO_PROXY", "127.0.0.1")
    with listening(answering) as port:
        assert post(f"http://127.0.0.1:{port}/").status == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_tunnel_through_a_proxy_is_used_again(
    pair: tuple[Path, Path], environment: pytest.MonkeyPatch, scheme: str
) -> None:
    tunnels: list[socket.socket] = []
    with listening(answering, pair) as server:

        def serve(connection: socket.socket) -> None:
            tunnels.append(connection)
            forwarding(server)(connection)

        with listening(serve, pair if scheme == "https" else None) as port:
            environment.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{port}")
            assert post(f"https://127.0.0.1:{server}/", times=2).status == 200
    assert len(tunnels) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_drips_through_a_tunnel_is_cut_at_the_deadline(
    pair: tuple[Path, Path], environment: pytest.MonkeyPatch, scheme: str
) -> None:
    slow = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with listening(slow, pair) as server, listening(forwarding(server), pair if scheme == "https" else None) as port:
        environment.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{port}")
        assert 0.6 <= failing(TimeoutError, f"https://127.0.0.1:{server}/", 0.6) < 0.9


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno TLS at all"],
    ids=["a refusal", "no TLS"],
)
def test_a_proxy_that_makes_no_tunnel_has_sent_nothing(
    pair: tuple[Path, Path], environment: pytest.MonkeyPatch, scheme: str, answer: bytes
) -> None:
    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(answer)
        connection.recv(1)

    with listening(serve, pair if scheme == "https" else None) as port:
        environment.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{port}")
        with pytest.raises(NotSent):
            post("https://model.test/", limit_s=1.0)


def test_a_proxy_whose_answer_drips_has_sent_nothing(environment: pytest.MonkeyPatch) -> None:
    with listening(dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ")) as port:
        environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert failing(NotSent, "https://model.test/", 0.6) < 0.6


def test_a_request_has_the_headers_of_its_url_and_its_own() -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        requests.append(heard(connection))
        connection.sendall(ANSWER)

    with listening(serve) as port:
        post(f"http://us%40er:p%3Ass@127.0.0.1:{port}/v1?a=%2F")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    told = dict(header.split(": ", 1) for header in headers)
    assert (line, body) == ("POST /v1?a=%2F HTTP/1.1", b"{}")
    assert told.pop("User-Agent").startswith("python-httpx/")
    assert told == {
        "Host": f"127.0.0.1:{port}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive",
        "X-Own": "1",
        "Content-Length": "2",
        "Authorization": f"Basic {b64encode(b'us@er:p:ss').decode()}",
    }
