"""Every way in which a call can end, against a server that has a log of its own."""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.catalog import Model, build
from shared.domain.money import Usage
from shared.errors import ConfigurationError
from shared.llm.openai_compatible import OPENAI_BASE_URL, OpenAICompatibleProvider
from shared.llm.port import Completion, Message, Request
from shared.settings import Provider, Settings
from tests.fake_provider import FakeProvider, Mood, moods

API_KEY = "sk-not-for-the-log"
PROMPT = (Message("system", "You are the Writer."), Message("user", "hello there"))
# The time that a call gets in these tests, and the time after which one counts as stuck.
LIMIT_S = 1.0
STUCK_S = 10.0


@pytest.fixture
def server() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def provider(server: FakeProvider) -> Iterator[OpenAICompatibleProvider]:
    with contextlib.closing(OpenAICompatibleProvider(server.url, API_KEY)) as provider:
        yield provider


def settings(provider: Provider = "local", **values: Any) -> Settings:
    unset = {"llm_base_url": None, "llm_api_key": None, "max_call_s": None}
    return Settings.model_construct(**{"llm_provider": provider, **unset, **values})


def model(provider: Provider = "local", max_call_s: float = STUCK_S) -> Model:
    return build(settings(provider, max_call_s=max_call_s))["fast"]


def request(max_call_s: float = STUCK_S, call_id: str = "call-1", **changes: Any) -> Request:
    return replace(Request(call_id, "turn-1", model(max_call_s=max_call_s), PROMPT, 256), **changes)


def complete(provider: OpenAICompatibleProvider, asked: Request) -> Completion:
    """The outcome of a call that may never end if the code under test is wrong."""
    outcomes: list[Completion] = []
    call = threading.Thread(target=lambda: outcomes.append(provider.complete(asked)), daemon=True)
    call.start()
    call.join(STUCK_S)
    assert outcomes, "complete() neither returned nor timed out"
    return outcomes[0]


def complete_elsewhere(url: str, max_call_s: float = STUCK_S) -> Completion:
    with contextlib.closing(OpenAICompatibleProvider(url)) as provider:
        return complete(provider, request(max_call_s))


# What is sent


def test_one_call_is_one_request_and_says_whose_it_is(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    completion = provider.complete(request(temperature=0.5))
    (row,) = server.rows
    assert row.path == "/v1/chat/completions"
    assert row.client_request_id == "call-1"
    assert row.authorization == f"Bearer {API_KEY}"
    assert row.model == model().model_id
    assert row.messages == [{"role": message.role, "content": message.text} for message in PROMPT]
    assert row.parameters == {"max_tokens": 256, "temperature": 0.5}
    assert completion == Completion(
        "succeeded", "You said: hello there", "end_turn", Usage(4 + 2, 4), provider_request_id=row.request_id
    )


def test_without_a_temperature_or_a_key_none_is_sent(server: FakeProvider) -> None:
    assert complete_elsewhere(server.url).status == "succeeded"
    (row,) = server.rows
    assert row.authorization is None
    assert row.parameters == {"max_tokens": 256}


def test_openai_gets_the_cap_under_its_newer_name_and_no_temperature(
    server: FakeProvider, provider: OpenAICompatibleProvider
) -> None:
    provider.complete(request(model=model("openai"), temperature=0.5))
    assert server.rows[0].parameters == {"max_completion_tokens": 256}


def test_an_answer_is_asked_for_uncompressed(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    wanted: list[str] = []
    server.answer_with(lambda received: wanted.append(received.headers["Accept-Encoding"]))
    provider.complete(request())
    assert wanted == ["identity"]


def test_text_that_is_no_unicode_is_sent_all_the_same(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    completion = provider.complete(request(messages=(Message("user", "é \ud83d \x00 \U0001f600"),)))
    assert completion.status == "succeeded"
    assert server.rows[0].messages[0]["content"] == "é ? \x00 \U0001f600"


# What comes back


@pytest.mark.parametrize(
    ("mood", "text", "stop_reason"),
    [
        (moods.empty(), "", "end_turn"),
        (moods.invalid_utf8(), "caf\ufffd \ufffd\ufffd!", "end_turn"),
        (moods.nul(), "before\ufffdafter", "end_turn"),
        (moods.raw_nul(), "before\ufffdafter", "end_turn"),
        (moods.lone_surrogate(), "before\ufffdafter", "end_turn"),
        (moods.length("cut in the"), "cut in the", "max_tokens"),
        (moods.content_filter(), "", "content_filtered"),
        (moods.refusal(), "", "content_filtered"),
    ],
)
def test_a_counted_200_succeeded_whatever_its_text(
    server: FakeProvider, provider: OpenAICompatibleProvider, mood: Mood, text: str, stop_reason: str
) -> None:
    server.add(mood)
    completion = provider.complete(request())
    (row,) = server.rows
    assert row.usage is not None
    assert (completion.status, completion.error) == ("succeeded", None)
    assert (completion.text, completion.stop_reason) == (text, stop_reason)
    assert completion.usage == Usage(row.usage["prompt_tokens"], row.usage["completion_tokens"])


@pytest.mark.parametrize(
    "mood",
    [
        moods.no_usage(),
        moods.html_200(),
        moods.huge(),
        moods.ok("Hi.", usage={"prompt_tokens": -1, "completion_tokens": 1}),
        moods.status(201),
        moods.status(206),
    ],
)
def test_a_2xx_that_cannot_be_counted_is_unknown(
    server: FakeProvider, provider: OpenAICompatibleProvider, mood: Mood
) -> None:
    server.add(mood)
    completion = provider.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert completion.provider_request_id == server.rows[0].request_id
    assert len(server.rows) == 1


def test_a_body_within_the_bound_is_read(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    server.add(moods.huge(7 * 1024 * 1024))
    completion = provider.complete(request())
    assert (completion.status, len(completion.text)) == ("succeeded", 7 * 1024 * 1024)


@pytest.mark.parametrize("status", [408, 424, 500, 502, 503, 504, 529, 599])
def test_an_error_of_the_provider_is_unknown(
    server: FakeProvider, provider: OpenAICompatibleProvider, status: int
) -> None:
    server.add(moods.status(status))
    completion = provider.complete(request())
    assert (completion.status, completion.error) == ("unknown", "provider_error")
    assert completion.provider_request_id == server.rows[0].request_id
    assert len(server.rows) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 409, 413, 422, 499])
def test_a_refusal_is_unbilled_and_no_redirect_is_followed(
    server: FakeProvider, provider: OpenAICompatibleProvider, status: int
) -> None:
    server.add(moods.status(status, headers={"Location": f"{server.url}/chat/completions"}))
    completion = provider.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "refused")
    assert completion.provider_request_id == server.rows[0].request_id
    assert len(server.rows) == 1


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("999999", 900.0),
        ("inf", 900.0),
        ("-1", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_throttling_is_unbilled_and_says_when_to_come_again(
    server: FakeProvider, provider: OpenAICompatibleProvider, retry_after: str | None, seconds: float | None
) -> None:
    server.add(moods.status(429, retry_after))
    completion = provider.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "throttled")
    assert completion.retry_after_s == seconds
    assert len(server.rows) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_the_body_of_an_error_is_not_waited_for(
    server: FakeProvider, provider: OpenAICompatibleProvider, status: int
) -> None:
    server.add(Mood(status=status, delivery="trickle_body", seconds=0.05))
    completion = complete(provider, request(LIMIT_S))
    assert completion.error == {400: "refused", 500: "provider_error"}[status]


# What does not come back


@pytest.mark.parametrize("mood", [moods.trickle_body(), moods.trickle_headers(), moods.hold(), moods.slow(STUCK_S * 2)])
def test_the_wall_clock_is_total(server: FakeProvider, provider: OpenAICompatibleProvider, mood: Mood) -> None:
    server.add(mood)
    start = time.monotonic()
    completion = complete(provider, request(LIMIT_S))
    assert (completion.status, completion.error) == ("unknown", "timeout")
    assert time.monotonic() - start < LIMIT_S + 3.0
    assert len(server.rows) == 1


@pytest.mark.parametrize("mood", [moods.reset_before_answer(), moods.close_without_answer(), moods.cut_short()])
@pytest.mark.parametrize("reused", [False, True])
def test_a_connection_that_breaks_after_sending_is_unknown(
    server: FakeProvider, provider: OpenAICompatibleProvider, mood: Mood, reused: bool
) -> None:
    if reused:  # as when the server gives up an idle connection just as the next request arrives on it
        provider.complete(request())
    before = len(server.rows)
    server.add(mood)
    completion = complete(provider, request())
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert len(server.rows) == before + 1
    assert server.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_replaced(
    server: FakeProvider, provider: OpenAICompatibleProvider
) -> None:
    server.add(moods.ok_then_close())
    provider.complete(request())
    wait_until(lambda: server.open_connections == 0)
    assert complete(provider, request()).status == "succeeded"
    assert len(server.rows) == 2
    assert server.connections == 2


def test_a_connection_is_used_again(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    for _ in range(3):
        provider.complete(request())
    assert len(server.rows) == 3
    assert server.connections == 1


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


def test_nothing_was_sent_when_tls_failed(server: FakeProvider) -> None:
    completion = complete_elsewhere(server.url.replace("http://", "https://"))
    assert (completion.status, completion.error) == ("unbilled", "unavailable")
    assert server.rows == []


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


def test_what_nobody_foresaw_is_unknown_and_only_its_type_is_logged(
    provider: OpenAICompatibleProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("hello there")

    monkeypatch.setattr(httpx.AsyncClient, "stream", fail)
    completion = complete(provider, request())
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert "ZeroDivisionError" in caplog.text
    assert "hello there" not in caplog.text


# Threads, loops and processes


def test_eight_threads_call_at_once(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    server.add(moods.hold(), times=None)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(provider.complete, request(call_id=f"call-{number}")) for number in range(8)]
        try:
            rows = server.wait_for_requests(8)
        finally:
            server.release()
    completions = [call.result() for call in calls]
    assert sorted(row.client_request_id or "" for row in rows) == [f"call-{number}" for number in range(8)]
    assert {completion.status for completion in completions} == {"succeeded"}
    told = {row.client_request_id: row.request_id for row in server.rows}
    assert [completion.provider_request_id for completion in completions] == [
        told[f"call-{number}"] for number in range(8)
    ]


def test_one_call_that_times_out_leaves_the_others_alone(
    server: FakeProvider, provider: OpenAICompatibleProvider
) -> None:
    server.add(moods.trickle_body(), when="Critic")
    critic = (Message("system", "You are the Critic."), Message("user", "hello"))
    with ThreadPoolExecutor(3) as pool:
        asked = [request(), request(LIMIT_S, messages=critic), request()]
        completions = list(pool.map(provider.complete, asked))
    assert [completion.status for completion in completions] == ["succeeded", "unknown", "succeeded"]


def test_it_can_be_called_inside_a_running_loop(server: FakeProvider, provider: OpenAICompatibleProvider) -> None:
    async def route() -> Completion:
        return provider.complete(request())

    assert asyncio.run(route()).status == "succeeded"


def test_closing_ends_a_call_in_flight_and_the_next_one_connects_anew(
    server: FakeProvider, provider: OpenAICompatibleProvider
) -> None:
    server.add(moods.hold())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(provider.complete, request())
        server.wait_for_requests(1)
        provider.close()
        completion = call.result(STUCK_S)
    assert (completion.status, completion.error) == ("unknown", "connection_lost")
    assert provider.complete(request()).status == "succeeded"


FORK = """
import os, signal, sys
from tests.integration.test_openai_compatible import OpenAICompatibleProvider, request
provider = OpenAICompatibleProvider(sys.argv[1])
assert provider.complete(request()).status == "succeeded"
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(0 if provider.complete(request()).status == "succeeded" else 1)
assert os.waitpid(child, 0)[1] == 0
assert provider.complete(request()).status == "succeeded"
"""


def test_a_forked_child_gets_a_client_of_its_own(server: FakeProvider) -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, server.url], timeout=60, check=False)
    assert ran.returncode == 0
    assert len(server.rows) == 3


IMPORT = """
import sys, threading
import shared.llm.openai_compatible, shared.llm.scripted
provider = shared.llm.openai_compatible.OpenAICompatibleProvider("http://127.0.0.1:9/v1")
heavy = {"boto3", "botocore", "fastapi", "sqlalchemy", "openai"} & set(sys.modules)
assert not heavy, heavy
assert threading.active_count() == 1
"""


def test_before_the_first_call_nothing_heavy_is_imported_and_nothing_runs() -> None:
    assert subprocess.run([sys.executable, "-c", IMPORT], timeout=60, check=False).returncode == 0


# Settings, and what must not be seen


def test_openai_has_a_default_and_a_local_model_has_none() -> None:
    with pytest.raises(ConfigurationError, match="PANTHEON_LLM_BASE_URL"):
        OpenAICompatibleProvider.from_settings(settings("local"))
    openai = OpenAICompatibleProvider.from_settings(settings("openai", llm_api_key=API_KEY))
    assert str(openai._url) == f"{OPENAI_BASE_URL}/chat/completions"


@pytest.mark.parametrize("base", ["{}", "{}/", "{}//"])
def test_settings_name_the_server_and_the_key(server: FakeProvider, base: str) -> None:
    chosen = settings("local", llm_base_url=base.format(server.url), llm_api_key=API_KEY)
    with contextlib.closing(OpenAICompatibleProvider.from_settings(chosen)) as provider:
        assert provider.complete(request()).status == "succeeded"
    assert server.rows[0].path == "/v1/chat/completions"
    assert server.rows[0].authorization == f"Bearer {API_KEY}"


@pytest.mark.parametrize("base_url", ["", "model", "127.0.0.1:80", "ftp://model.test", "http://", "http://[::1"])
def test_a_base_url_that_cannot_be_called_is_a_configuration_error(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="PANTHEON_LLM_BASE_URL"):
        OpenAICompatibleProvider(base_url)


@pytest.mark.parametrize("api_key", ["sk-secret\n", "sk-secret\x00", "sk-sécret", "sk secret", ""])
def test_a_key_that_no_header_can_carry_is_a_configuration_error_that_does_not_tell_it(api_key: str) -> None:
    with pytest.raises(ConfigurationError, match="PANTHEON_LLM_API_KEY") as raised:
        OpenAICompatibleProvider("http://model.test", api_key)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("mood", [moods.ok("a reply"), moods.status(500), moods.close_without_answer()])
def test_no_log_line_has_key_prompt_reply_or_the_urls_secrets(
    server: FakeProvider, caplog: pytest.LogCaptureFixture, mood: Mood
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    server.add(mood)
    url = server.url.replace("http://", "http://user:hidden-password@") + "?token=hidden-token"
    with contextlib.closing(OpenAICompatibleProvider(url, API_KEY)) as provider:
        complete(provider, request())
        assert API_KEY not in repr(provider) + str(vars(provider).get("_wire"))
    assert server.rows[0].path == "/v1/chat/completions?token=hidden-token"
    for secret in (API_KEY, "hidden", "hello there", "a reply", "You are the Writer"):
        assert secret not in caplog.text


def test_a_call_that_did_not_succeed_is_logged_with_its_id(
    server: FakeProvider, provider: OpenAICompatibleProvider, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(moods.status(500))
    provider.complete(request(call_id="call-7"))
    provider.complete(request(call_id="call-8"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("shared")] == [
        "Call call-7 is unknown: provider_error (status 500)"
    ]


def test_a_server_on_this_machine_is_not_behind_the_proxy(
    server: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert complete_elsewhere(server.url).status == "succeeded"
        assert complete_elsewhere("http://model.test/v1").error == "unavailable"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STUCK_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
