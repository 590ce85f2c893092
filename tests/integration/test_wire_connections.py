"""Tests that a process reuses connections, one call at a time, and that they can be closed during a call."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx
import pytest

from shared.llm import wire
from shared.llm.body import MAX_BODY_BYTES
from shared.llm.wire import Answer, NotSent, Wire
from tests.support.fake_provider import FakeProvider
from tests.support.fake_provider.calls import LIMIT_S, STUCK_S
from tests.support.raw_server import ANSWER, answering, dripping_handshake, heard, listening

pytest_plugins = ["tests.support.fake_provider.fixtures"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"


@pytest.fixture
def plain() -> Iterator[Wire]:
    with closing(Wire(trust_env=False)) as made:
        yield made


def post(made: Wire, url: str, on_chunk: Callable[[bytes], bool | None] | None = None) -> Answer:
    return made.post(httpx.URL(url), {}, b"{}", time.monotonic() + STUCK_S, on_chunk)


def test_first_piece_is_passed_on_before_the_second_is_sent(plain: Wire) -> None:
    told = threading.Event()
    pieces: list[tuple[bytes, int]] = []

    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(HEAD + b"abc")
        if told.wait(STUCK_S):
            connection.sendall(b"def")

    def on_chunk(piece: bytes) -> None:
        pieces.append((piece, threading.get_ident()))
        told.set()

    with listening(serve) as port:
        answer = post(plain, f"http://127.0.0.1:{port}/", on_chunk)
    assert pieces == [(b"abc", threading.get_ident()), (b"def", threading.get_ident())]
    assert (answer.status, answer.body) == (200, b"")


def test_a_body_in_pieces_may_be_longer_than_one_that_is_kept_and_ends_at_the_deadline(plain: Wire) -> None:
    taken = 0

    def on_chunk(piece: bytes) -> None:
        nonlocal taken
        taken += len(piece)

    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1_000_000)

    with listening(serve) as port:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            plain.post(httpx.URL(f"http://127.0.0.1:{port}/"), {}, b"{}", started + LIMIT_S, on_chunk)
    assert LIMIT_S <= time.monotonic() - started < LIMIT_S + 0.5
    assert taken > MAX_BODY_BYTES


def test_body_after_a_complete_answer_is_not_read(plain: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "END_S", 0.2)

    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\nContent-Length: 999999999999\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    with listening(serve) as port:
        started = time.monotonic()
        answer = post(plain, f"http://127.0.0.1:{port}/", lambda _: True)
    assert time.monotonic() - started < 2
    assert (answer.status, answer.headers["x-request-id"]) == (200, "1")


def test_body_of_a_refusal_is_not_passed_on_in_pieces(plain: Wire) -> None:
    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nNo.")

    told: list[bytes] = []
    with listening(serve) as port:
        answer = post(plain, f"http://127.0.0.1:{port}/", told.append)
    assert (answer.status, answer.body, told) == (400, b"No.", [])


def test_a_connection_whose_answer_was_not_read_to_its_end_is_not_used_again(plain: Wire) -> None:
    connections = count(1)

    def serve(connection: socket.socket) -> None:
        number = next(connections)
        while heard(connection):
            connection.sendall(HEAD + (b"abcdef" if number > 1 else b"abc"))

    def fail(_: bytes) -> None:
        raise ZeroDivisionError

    with listening(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(ZeroDivisionError):
            post(plain, url, fail)
        assert post(plain, url).body == b"abcdef"


def test_refusal_counts_when_it_arrives_before_the_request_was_read(plain: Wire) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nNo.")
        # With bytes of the request unread, closing resets the connection.
        connection.close()

    with listening(serve) as port:
        url = httpx.URL(f"http://127.0.0.1:{port}/")
        answer = plain.post(url, {}, b"x" * 50_000_000, time.monotonic() + STUCK_S)
    assert (answer.status, answer.body) == (413, b"No.")


def test_an_idle_connection_is_used_for_two_seconds_at_most(plain: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    numbers = count()

    def serve(connection: socket.socket) -> None:
        number = next(numbers)
        while heard(connection):
            used.append(number)
            connection.sendall(ANSWER)

    now = time.monotonic
    with listening(serve) as port:
        for later in (0.0, 1.5, 4.0):
            monkeypatch.setattr(time, "monotonic", lambda later=later: now() + later)
            post(plain, f"http://127.0.0.1:{port}/")
    assert used == [0, 0, 1]


def test_eight_threads_get_their_own_answers_over_few_connections(plain: Wire) -> None:
    connections: list[int] = []

    def serve(connection: socket.socket) -> None:
        connections.append(1)
        while request := heard(connection):
            called = request.split()[1]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(called), called))

    with listening(serve) as port, ThreadPoolExecutor(8) as pool:
        paths = [f"/{number}" for number in range(400)]
        answers = list(pool.map(lambda path: post(plain, f"http://127.0.0.1:{port}{path}"), paths))
    assert [answer.body.decode() for answer in answers] == paths
    assert len(connections) <= 8


def test_hosts_share_no_connection(plain: Wire) -> None:
    with listening(answering) as one, listening(answering) as other:
        for port in (one, other, one):
            assert post(plain, f"http://127.0.0.1:{port}/").status == 200


def _silent(reached: threading.Event, said: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(said)
        reached.set()
        connection.recv(1)

    return serve


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", HEAD + b"abc", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"]
)
def test_closing_breaks_off_a_call_that_waits(said: bytes) -> None:
    """The last answer ends with its connection, and this end was not the provider's."""
    made, reached = Wire(trust_env=False), threading.Event()
    with listening(_silent(reached, said)) as port, ThreadPoolExecutor(1) as pool:
        call = pool.submit(post, made, f"http://127.0.0.1:{port}/")
        assert reached.wait(STUCK_S)
        made.close()
        with pytest.raises(ConnectionAbortedError):
            call.result(1.0)


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/", "http://model.test/"], ids=["TLS", "look-up"])
def test_closing_breaks_off_a_call_that_connects(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    made, reached, answered = Wire(trust_env=False), threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def looking_up(host: str, *rest: int, **named: int) -> object:
        if host != "model.test":
            return look_up(host, *rest, **named)
        reached.set()
        return answered.wait() and []

    def serve(connection: socket.socket) -> None:
        reached.set()
        dripping_handshake(connection)

    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    with listening(serve) as port, ThreadPoolExecutor(1) as pool:
        call = pool.submit(post, made, url.format(port=port))
        assert reached.wait(STUCK_S)
        made.close()
        with pytest.raises(NotSent):
            call.result(1.0)
    answered.set()


def test_closing_leaves_no_connection_behind_when_an_answer_ends_after_it(plain: Wire) -> None:
    with listening(answering) as port:
        answer = post(plain, f"http://127.0.0.1:{port}/", lambda _: plain.close())
    assert (answer.status, plain._idle) == (200, [])


def test_nothing_is_sent_after_closing(plain: Wire) -> None:
    with listening(answering) as port:
        url = f"http://127.0.0.1:{port}/"
        assert post(plain, url).status == 200
        plain.close()
        with pytest.raises(NotSent):
            post(plain, url)


FORK = """
import os, signal, sys
from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider.calls import request
provider = OpenAICompatibleProvider(sys.argv[1])
assert provider.complete(request()).status == "succeeded"
child = os.fork()
if child == 0:
    signal.alarm(10)
    if sys.argv[2] == "calls":
        assert provider.complete(request()).status == "succeeded"
    provider.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert provider.complete(request()).status == "succeeded"
"""


@pytest.mark.parametrize(("does", "connections"), [("calls", 2), ("closes", 1)])
def test_a_child_neither_uses_nor_ends_its_parents_connection(
    fake_provider: FakeProvider, does: str, connections: int
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, fake_provider.url, does]
    assert subprocess.run(command, timeout=60, check=False, cwd=Path(__file__).parents[2]).returncode == 0
    assert fake_provider.connections == connections
