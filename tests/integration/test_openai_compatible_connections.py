"""Tests calls without an answer: those that may be billed differ from those that were never sent."""

import contextlib
import socket
import threading
import time

import pytest

from shared.llm.openai_compatible import OpenAICompatibleProvider
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.fake_provider.calls import LIMIT_S, STUCK_S, complete, complete_elsewhere, request, wait_until

pytest_plugins = ["tests.support.fake_provider.fixtures"]


@pytest.mark.parametrize("mood", [moods.trickle_body(), moods.trickle_headers(), moods.hold(), moods.slow(STUCK_S * 2)])
def test_timeout_bounds_the_whole_call(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    start = time.monotonic()
    completion = complete(openai_compatible, request(LIMIT_S))
    assert (completion.status, completion.error) == ("unknown", "timeout")
    assert time.monotonic() - start < LIMIT_S + 3.0
    assert len(fake_provider.rows) == 1


@pytest.mark.parametrize("mood", [moods.reset_before_answer(), moods.close_without_answer(), moods.cut_short()])
@pytest.mark.parametrize("reused", [False, True])
def test_a_connection_that_breaks_after_sending_is_unknown(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood, reused: bool
) -> None:
    if reused:  # as when the server gives up an idle connection just as the next request arrives on it
        openai_compatible.complete(request())
    before = len(fake_provider.rows)
    fake_provider.add(mood)
    completion = complete(openai_compatible, request())
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert len(fake_provider.rows) == before + 1
    assert fake_provider.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_replaced(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.ok_then_close())
    openai_compatible.complete(request())
    wait_until(lambda: fake_provider.open_connections == 0)
    assert complete(openai_compatible, request()).status == "succeeded"
    assert len(fake_provider.rows) == 2
    assert fake_provider.connections == 2


def test_a_connection_is_used_again(fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider) -> None:
    for _ in range(3):
        openai_compatible.complete(request())
    assert len(fake_provider.rows) == 3
    assert fake_provider.connections == 1


def test_nothing_was_sent_to_a_port_where_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        completion = complete_elsewhere(f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_nothing_was_sent_while_the_server_did_not_accept() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fill the queue, so that the next connection hangs
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        completion = complete_elsewhere(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", LIMIT_S)
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_nothing_was_sent_when_tls_failed(fake_provider: FakeProvider) -> None:
    completion = complete_elsewhere(fake_provider.url.replace("http://", "https://"))
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
    assert fake_provider.rows == []


def test_nothing_was_sent_when_the_tls_handshake_hung() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        completion = complete_elsewhere(f"https://127.0.0.1:{silent.getsockname()[1]}/v1", LIMIT_S)
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_nothing_was_sent_when_the_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    completion = complete_elsewhere("http://model.test/v1")
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def test_nothing_was_sent_when_the_name_look_up_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait() and [])
    with contextlib.closing(OpenAICompatibleProvider("http://model.test/v1")) as provider:
        completion = complete(provider, request(LIMIT_S))
        answered.set()
    assert (completion.status, completion.error) == ("unbilled", "unavailable")


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError("hello there")


@pytest.mark.parametrize(
    ("place", "status", "error"),
    [
        ("httpcore.Request", "unbilled", "unavailable"),
        ("shared.llm.openai_compatible.json.dumps", "unbilled", "unavailable"),
        ("httpcore.Response.iter_stream", "unknown", "connection_lost"),
        ("shared.llm.exchange.outcome", "unknown", "connection_lost"),
    ],
)
def test_unexpected_exception_is_unknown_or_not_sent_by_the_sent_bytes(
    openai_compatible: OpenAICompatibleProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    status: str,
    error: str,
) -> None:
    monkeypatch.setattr(place, fail)
    completion = complete(openai_compatible, request())
    monkeypatch.undo()
    assert (completion.status, completion.error) == (status, error)
    assert "ZeroDivisionError" in caplog.text
    assert "hello there" not in caplog.text
