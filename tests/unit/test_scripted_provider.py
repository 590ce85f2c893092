"""Tests the provider that answers from a script, without a model."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.catalog import build
from shared.domain.money import Usage
from shared.llm.port import Completion, Message, Provider, Request
from shared.llm.scripted import ScriptedProvider
from shared.settings import Settings


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


def request(*messages: Message, call_id: str = "call-1") -> Request:
    settings = Settings.model_construct(llm_provider="scripted", max_call_s=None)
    return Request(call_id, "turn-1", build(settings)["fast"], messages, max_output_tokens=256)


def test_scripted_provider_implements_the_protocol() -> None:
    provider: Provider = ScriptedProvider()
    assert provider.complete(request()).status == "succeeded"


def test_scripted_provider_echoes_the_last_user_message_without_a_script(provider: ScriptedProvider) -> None:
    completion = provider.complete(
        request(
            Message("system", "You are the Writer."),
            Message("user", "first"),
            Message("assistant", "You said: first"),
            Message("user", "second thoughts"),
        )
    )
    assert completion.text == "You said: second thoughts"
    assert completion.stop_reason == "end_turn"
    assert completion.usage == Usage(input_tokens=4 + 1 + 3 + 2, output_tokens=4)


def test_an_echo_is_cut_at_200_characters(provider: ScriptedProvider) -> None:
    assert provider.complete(request(Message("user", "x" * 999))).text == "You said: " + "x" * 200


def test_scripted_provider_reports_a_missing_user_message(provider: ScriptedProvider) -> None:
    assert provider.complete(request(Message("system", "Hi."))).text == "You said nothing."


def test_the_same_prompt_costs_the_same(provider: ScriptedProvider) -> None:
    first, second = (provider.complete(request(Message("user", "one two three"))) for _ in range(2))
    assert first == second


def test_scripted_provider_replies_in_the_order_of_the_script_and_then_echoes(provider: ScriptedProvider) -> None:
    refused = Completion("unbilled", error="refused")
    provider.enqueue("a text", refused, lambda asked: f"to {asked.call_id}", lambda _: refused)
    outcomes = [provider.complete(request(Message("user", "hello"))) for _ in range(5)]
    assert outcomes[0].text == "a text"
    assert outcomes[0].usage == Usage(input_tokens=1, output_tokens=2)
    assert outcomes[1] is refused
    assert outcomes[2].text == "to call-1"
    assert outcomes[3] is refused
    assert outcomes[4].text == "You said: hello"


def test_exception_of_a_script_reaches_the_test(provider: ScriptedProvider) -> None:
    def fail(_: Request) -> str:
        raise AssertionError("wrong prompt")

    provider.enqueue(fail)
    with pytest.raises(AssertionError, match="wrong prompt"):
        provider.complete(request())


def test_scripted_provider_records_every_request(provider: ScriptedProvider) -> None:
    asked = [request(call_id=f"call-{number}") for number in range(3)]
    for one in asked:
        provider.complete(one)
    assert provider.requests == asked


def test_each_reply_is_given_once_when_many_threads_ask(provider: ScriptedProvider) -> None:
    provider.enqueue(*(f"reply {number}" for number in range(200)))
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: provider.complete(request()).text, range(200)))
    assert sorted(texts) == sorted(f"reply {number}" for number in range(200))
    assert len(provider.requests) == 200
