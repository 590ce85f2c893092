"""Tests that one deadline bounds an exchange, whatever the other side does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from shared.llm import sockets, wire
from shared.llm.wire import Answer, NotSent, Wire
from tests.support.raw_server import ANSWER, Serve, answering, dripping, dripping_handshake, heard, listening
from tests.support.tls_front import make_certificate

LIMIT_S = 0.6
LATE_S = 0.3
# More than the sockets of both sides hold.
MUCH = b"x" * 20_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
DRIPS = {
    "status line": dripping(b"HTTP/1.1 200 "),
    "headers": dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "interim answers": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": dripping(HEAD),
    "chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "body without a length": dripping(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
}


def post(made: Wire, url: str, content: bytes = b"{}", limit_s: float = LIMIT_S) -> Answer:
    return made.post(httpx.URL(url), {}, content, time.monotonic() + limit_s)


@pytest.fixture
def plain() -> Iterator[Wire]:
    with closing(Wire(trust_env=False)) as made:
        yield made


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Wire, tuple[Path, Path]]]:
    """A wire that trusts a certificate, the certificate and its key."""
    pair = make_certificate(tmp_path, "provider")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with closing(Wire(trust_env=True)) as made:
        yield made, pair


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """Check that the block ends on time."""
    started = time.monotonic()
    yield
    assert seconds - 0.01 <= time.monotonic() - started < seconds + LATE_S


@pytest.mark.parametrize("serve", DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips_is_cut_at_the_deadline(plain: Wire, serve: Serve) -> None:
    with listening(serve) as port, taking(LIMIT_S), pytest.raises(TimeoutError):
        post(plain, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("serve", DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips_over_tls_is_cut_at_the_deadline(
    trusting: tuple[Wire, tuple[Path, Path]], serve: Serve
) -> None:
    made, pair = trusting
    with listening(serve, pair) as port, taking(LIMIT_S), pytest.raises(TimeoutError):
        post(made, f"https://127.0.0.1:{port}/")


def test_a_tls_handshake_that_drips_is_cut_and_nothing_was_sent(plain: Wire) -> None:
    with listening(dripping_handshake) as port, taking(LIMIT_S * sockets.CONNECT_SHARE), pytest.raises(NotSent):
        post(plain, f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize("reused", [False, True])
def test_a_server_that_reads_nothing_is_given_up_at_the_deadline(plain: Wire, reused: bool) -> None:
    stopped = threading.Event()

    def serve(connection: socket.socket) -> None:
        if reused:
            heard(connection)
            connection.sendall(ANSWER)
        stopped.wait()

    with listening(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        if reused:
            post(plain, url)
        with taking(LIMIT_S), pytest.raises(TimeoutError):
            post(plain, url, content=MUCH)
        stopped.set()


def test_a_server_that_reads_slowly_is_given_up_at_the_deadline(plain: Wire) -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(100_000):
            time.sleep(0.02)

    with listening(serve) as port, taking(LIMIT_S), pytest.raises(TimeoutError):
        post(plain, f"http://127.0.0.1:{port}/", content=MUCH)


def test_refusal_that_drips_is_classified_by_its_status(plain: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REFUSAL_S", 0.3)
    refusal = dripping(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 1000\r\n\r\nNo.")
    with listening(refusal) as port, taking(0.3):
        answer = post(plain, f"http://127.0.0.1:{port}/", limit_s=5.0)
    assert (answer.status, answer.body[:4]) == (429, b"No.x")


def test_refusal_without_end_is_classified_by_its_beginning(plain: Wire) -> None:
    said = b"x" * (2 * wire.MAX_REFUSAL_BYTES)

    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000000\r\n\r\n" + said)
        connection.recv(1)

    with listening(serve) as port, taking(0.0):
        answer = post(plain, f"http://127.0.0.1:{port}/", limit_s=5.0)
    assert answer.body == b"x" * wire.MAX_REFUSAL_BYTES


def test_nothing_is_sent_after_the_deadline(plain: Wire) -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while request := heard(connection):
            requests.append(request)
            connection.sendall(ANSWER)

    with listening(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        assert post(plain, url).status == 200
        # The request goes over the existing connection, and over a new one.
        for made in (plain, Wire(trust_env=False)):
            with pytest.raises(NotSent):
                post(made, url, limit_s=0.0)
    assert len(requests) == 1


def test_hung_name_lookup_is_abandoned(plain: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait() and [])
    with taking(LIMIT_S * sockets.CONNECT_SHARE), pytest.raises(NotSent):
        post(plain, "http://model.test/")
    answered.set()


@contextmanager
def deaf() -> Iterator[int]:
    """The port of a server that answers no connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


def test_an_address_that_does_not_answer_gives_way_to_the_next(plain: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "NEXT_ADDRESS_S", 0.1)
    with deaf() as silent, socket.socket() as nobody, listening(answering) as port:
        nobody.bind(("127.0.0.1", 0))
        ports = (silent, nobody.getsockname()[1], port)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with taking(0.1):
            assert post(plain, "http://model.test/", limit_s=5.0).status == 200
