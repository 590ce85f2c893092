"""Tests the requests and answers of OpenAI's API, and that secrets and text stay out of logs."""

import contextlib
import logging
import socket

import pytest

from shared.catalog import build
from shared.domain.money import Usage
from shared.errors import ConfigurationError
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, Message
from shared.llm.providers import connect
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.fake_provider.calls import (
    API_KEY,
    LIMIT_S,
    PROMPT,
    complete,
    complete_elsewhere,
    model,
    request,
    settings,
)

pytest_plugins = ["tests.support.fake_provider.fixtures"]


# Requests


def test_one_call_is_one_request_and_says_whose_it_is(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    completion = openai_compatible.complete(request(temperature=0.5))
    (row,) = fake_provider.rows
    assert row.path == "/v1/chat/completions"
    assert row.client_request_id == "call-1"
    assert row.authorization == f"Bearer {API_KEY}"
    assert row.model == model().model_id
    assert row.messages == [{"role": message.role, "content": message.text} for message in PROMPT]
    assert row.parameters == {"max_tokens": 256, "temperature": 0.5}
    assert completion == Completion(
        "succeeded", "You said: hello there", "end_turn", Usage(4 + 2, 4), provider_request_id=row.request_id
    )


def test_without_a_temperature_or_a_key_none_is_sent(fake_provider: FakeProvider) -> None:
    assert complete_elsewhere(fake_provider.url).status == "succeeded"
    (row,) = fake_provider.rows
    assert row.authorization is None
    assert row.parameters == {"max_tokens": 256}


def test_openai_gets_the_cap_under_its_newer_name_and_no_temperature(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    openai_compatible.complete(request(model=model("openai"), temperature=0.5))
    assert fake_provider.rows[0].parameters == {"max_completion_tokens": 256}


def test_an_answer_is_asked_for_uncompressed(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    wanted: list[str] = []
    fake_provider.answer_with(lambda received: wanted.append(received.headers["Accept-Encoding"]))
    openai_compatible.complete(request())
    assert wanted == ["identity"]


def test_invalid_unicode_is_sent(fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider) -> None:
    completion = openai_compatible.complete(request(messages=(Message("user", "é \ud83d \x00 \U0001f600"),)))
    assert completion.status == "succeeded"
    assert fake_provider.rows[0].messages[0]["content"] == "é ? \x00 \U0001f600"


# Answers


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
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood, text: str, stop_reason: str
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    (row,) = fake_provider.rows
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
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, mood: Mood
) -> None:
    fake_provider.add(mood)
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", "malformed_response")
    assert completion.provider_request_id == fake_provider.rows[0].request_id
    assert len(fake_provider.rows) == 1


def test_a_body_within_the_bound_is_read(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.huge(7 * 1024 * 1024))
    completion = openai_compatible.complete(request())
    assert (completion.status, len(completion.text)) == ("succeeded", 7 * 1024 * 1024)


@pytest.mark.parametrize("status", [408, 424, 500, 502, 503, 504, 529, 599])
def test_an_error_of_the_provider_is_unknown(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, status: int
) -> None:
    fake_provider.add(moods.status(status))
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unknown", "provider_error")
    assert completion.provider_request_id == fake_provider.rows[0].request_id
    assert len(fake_provider.rows) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, "refused") for status in (301, 302, 307, 308, 400, 405, 407, 409, 422, 499)),
        (401, "provider_unauthorized"),
        (402, "provider_quota"),
        (403, "provider_unauthorized"),
        (404, "model_unavailable"),
        (410, "model_unavailable"),
        (413, "context_overflow"),
    ],
)
def test_a_refusal_is_unbilled_and_no_redirect_is_followed(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, status: int, error: str
) -> None:
    fake_provider.add(moods.status(status, headers={"Location": f"{fake_provider.url}/chat/completions"}))
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unbilled", error)
    assert completion.provider_request_id == fake_provider.rows[0].request_id
    assert len(fake_provider.rows) == 1


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
        ("Wed, 21 Oct 2026 07:28:06 GMT", 6.0),
        ("on Wednesday", None),
    ],
)
def test_throttling_is_unbilled_and_names_the_time_of_a_retry(
    fake_provider: FakeProvider,
    openai_compatible: OpenAICompatibleProvider,
    retry_after: str | None,
    seconds: float | None,
) -> None:
    fake_provider.add(moods.status(429, retry_after, {"Date": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "throttled")
    assert completion.retry_after_s == seconds
    assert len(fake_provider.rows) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.",
        "'max_tokens' is too large: 2000. This model's maximum context length is 4096 tokens.",
        "the request exceeds the available context size, try increasing it",
        "Input is too long for requested model.",
        "prompt is too long: 209353 tokens > 199999 maximum",
        "input length and `max_tokens` exceed context limit: 90402 + 116650 > 204648",
        "Too many input tokens. Max input tokens: 300000, request input token count: 300001",
        "context_length_exceeded",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_prompt_that_is_too_long_has_a_reason_of_its_own(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, message: str, status: int
) -> None:
    fake_provider.add(moods.too_long(message, status))
    completion = openai_compatible.complete(request())
    assert (completion.status, completion.error) == ("unbilled", "context_overflow")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("No such model.", "model_unavailable"),
        ("max_tokens must be positive", "invalid_parameter"),
        ("Invalid key in context.", "refused"),
    ],
)
def test_other_refusals_are_not_an_overflow(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, message: str, error: str
) -> None:
    fake_provider.add(moods.too_long(message))
    assert openai_compatible.complete(request()).error == error


def test_endless_explanation_is_read_up_to_its_bound(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider
) -> None:
    fake_provider.add(moods.too_long("-" * 70_000 + "maximum context length"))
    assert openai_compatible.complete(request()).error == "refused"


@pytest.mark.parametrize("status", [400, 500])
def test_the_body_of_an_error_is_not_waited_for(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, status: int
) -> None:
    fake_provider.add(Mood(status=status, delivery="trickle_body", seconds=0.05))
    completion = complete(openai_compatible, request(LIMIT_S))
    assert completion.error == {400: "refused", 500: "provider_error"}[status]


# Settings, secrets and text


def test_openai_has_a_default_and_a_local_model_has_none() -> None:
    with pytest.raises(ConfigurationError, match=r"\[providers\.local\] base_url is missing"):
        connect(build(settings("local")))
    assert build(settings("openai")).providers["openai"].base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("base", ["{}", "{}/", "{}//"])
def test_settings_name_the_server_and_the_key(
    fake_provider: FakeProvider, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_LLM_API_KEY", API_KEY)
    chosen = settings("local", llm_base_url=base.format(fake_provider.url), llm_api_key=API_KEY)
    providers = connect(build(chosen))
    client = providers.clients["local"]
    assert isinstance(client, OpenAICompatibleProvider)
    with contextlib.closing(client):
        assert providers.complete(request()).status == "succeeded"
    assert fake_provider.rows[0].path == "/v1/chat/completions"
    assert fake_provider.rows[0].authorization == f"Bearer {API_KEY}"


@pytest.mark.parametrize("base_url", ["", "model", "127.0.0.1:80", "ftp://model.test", "http://", "http://[::1"])
def test_a_base_url_that_cannot_be_called_is_a_configuration_error(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url: not a URL"):
        OpenAICompatibleProvider(base_url)


@pytest.mark.parametrize("api_key", ["sk-secret\n", "sk-secret\x00", "sk-sécret", "sk secret", ""])
def test_a_key_that_no_header_can_carry_is_a_configuration_error_that_does_not_tell_it(api_key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key: has characters that a header cannot carry") as raised:
        OpenAICompatibleProvider("http://model.test", api_key)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("mood", [moods.ok("a reply"), moods.status(500), moods.close_without_answer()])
def test_no_log_line_has_key_prompt_reply_or_the_urls_secrets(
    fake_provider: FakeProvider, caplog: pytest.LogCaptureFixture, mood: Mood
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    fake_provider.add(mood)
    url = fake_provider.url.replace("http://", "http://user:hidden-password@") + "?token=hidden-token"
    with contextlib.closing(OpenAICompatibleProvider(url, API_KEY)) as provider:
        complete(provider, request())
        assert API_KEY not in repr(provider) + str(vars(provider).get("_wire"))
    assert fake_provider.rows[0].path == "/v1/chat/completions?token=hidden-token"
    for secret in (API_KEY, "hidden", "hello there", "a reply", "You are the Writer"):
        assert secret not in caplog.text


def test_a_call_that_did_not_succeed_is_logged_with_its_id(
    fake_provider: FakeProvider, openai_compatible: OpenAICompatibleProvider, caplog: pytest.LogCaptureFixture
) -> None:
    fake_provider.add(moods.status(500))
    openai_compatible.complete(request(call_id="call-7"))
    openai_compatible.complete(request(call_id="call-8"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("shared")] == [
        "Call call-7 is unknown: provider_error (status 500)"
    ]


def test_a_server_on_this_machine_is_not_behind_the_proxy(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert complete_elsewhere(fake_provider.url).status == "succeeded"
