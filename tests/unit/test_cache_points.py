"""Tests the places of cache points in requests of Converse, and the reserve for writing to the cache."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from shared.catalog import Model, build
from shared.domain.money import Usage, cost
from shared.llm.converse import optional_parts, write_request
from shared.llm.port import Message, Request
from shared.llm.tokens import MESSAGE_OVERHEAD, most_input_tokens
from shared.orchestration.steps import Ask
from shared.settings import Settings
from shared.turns.call import new_call

CATALOG = build(Settings.model_construct(llm_provider="bedrock", max_call_s=None))
POINT = {"cachePoint": {"type": "default"}}
# So long that an estimate of a token for three bytes counts 1,000 tokens.
LONG = "x" * 3 * (1000 - MESSAGE_OVERHEAD)


def model(minimum: int | None) -> Model:
    return replace(CATALOG["fast"], dialect=replace(CATALOG["fast"].dialect, cache_minimum=minimum))


def said(system: str, *texts: str) -> tuple[Message, ...]:
    """The user and the assistant speak by turns."""
    roles = ("user", "assistant")
    spoken = (Message(roles[place % 2], text) for place, text in enumerate(texts))  # type: ignore[arg-type]
    return (Message("system", system), *spoken)


def written(
    minimum: int | None, messages: tuple[Message, ...], *, continues: bool = True, **more: Any
) -> dict[str, Any]:
    request = Request("call", "turn", model(minimum), messages, 100, continues=continues)
    return write_request(request, "test", **more)


def places(converse: dict[str, Any]) -> list[str]:
    """The parts that a cache point ends."""
    blocks = {"system": converse["system"]}
    blocks |= {f"{place} {message['role']}": message["content"] for place, message in enumerate(converse["messages"])}
    return [name for name, content in blocks.items() if content[-1] == POINT]


def test_cache_points_follow_the_system_prompt_and_the_last_two_messages_of_the_user() -> None:
    converse = written(1000, said(LONG, "One?", "One.", "Two?", "Two.", "Three?"))
    assert converse["system"] == [{"text": LONG}, POINT]
    assert converse["messages"] == [
        {"role": "user", "content": [{"text": "One?"}]},
        {"role": "assistant", "content": [{"text": "One."}]},
        {"role": "user", "content": [{"text": "Two?"}, POINT]},
        {"role": "assistant", "content": [{"text": "Two."}]},
        {"role": "user", "content": [{"text": "Three?"}, POINT]},
    ]
    assert optional_parts(converse) == {"thinking", "cachePoint"}


def test_cache_point_ends_the_same_text_in_the_next_prompt() -> None:
    """The text before a point is the same, word for word, in both prompts."""
    first = written(1000, said(LONG, "One?", "One.", "Two?"))
    second = written(1000, said(LONG, "One?", "One.", "Two?", "Two.", "Three?"))
    assert second["system"] == first["system"]
    assert places(first) == ["system", "0 user", "2 user"]
    assert places(second) == ["system", "2 user", "4 user"]
    assert second["messages"][2] == first["messages"][2]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((LONG[3:], "x"), ["0 user"]),
        ((LONG, "x"), ["system", "0 user"]),
        (("x", "x", "x", LONG, "x"), ["2 user"]),
        (("x", LONG, "x", "x"), ["0 user", "2 user"]),
        (("x", "x"), []),
    ],
)
def test_a_cache_point_needs_the_minimum_before_it(texts: tuple[str, ...], expected: list[str]) -> None:
    assert places(written(1000, said(*texts))) == expected


def test_prompt_that_is_not_repeated_has_only_the_point_after_its_system_prompt() -> None:
    assert places(written(1000, said(LONG, "One?", "One.", LONG), continues=False)) == ["system"]


def test_a_long_conversation_has_four_cache_points_at_most() -> None:
    converse = written(1, (Message("system", "a"), Message("system", "b"), *said("c", *["x"] * 99)))
    blocks = [*converse["system"], *(block for message in converse["messages"] for block in message["content"])]
    assert blocks.count(POINT) == 3


def test_a_prompt_without_a_system_message_has_no_point_before_its_first_message() -> None:
    converse = written(1, (Message("user", "Hello?"),))
    assert "system" not in converse
    assert converse["messages"] == [{"role": "user", "content": [{"text": "Hello?"}, POINT]}]


def test_an_alias_without_a_minimum_has_no_cache_points() -> None:
    assert "cachePoint" not in str(written(None, said(LONG, LONG)))
    assert optional_parts(written(None, said(LONG, LONG))) == {"thinking"}


def test_refused_cache_points_are_left_out() -> None:
    assert "cachePoint" not in str(written(1000, said(LONG, LONG), refused={"cachePoint"}))


@pytest.mark.parametrize("alias", CATALOG)
def test_reserve_covers_a_prompt_that_is_completely_written_to_the_cache(alias: str) -> None:
    """A write costs more than input."""
    entry = CATALOG[alias]
    messages = said(LONG, LONG)
    ask = Ask(1, "agent", alias, 100, None, lambda _: messages)
    request = Request(str(uuid4()), "turn", entry, messages, 100, continues=True)
    most = most_input_tokens(messages)
    for kept_an_hour in (0, most):
        usage = Usage(output_tokens=100, cache_write_tokens=most, cache_write_1h_tokens=kept_an_hour)
        assert cost(entry.rates, usage) <= new_call(ask, request, 1).reserve_usd
    assert entry.rates.cache_write >= entry.rates.input


def test_packaged_catalog_has_the_minimum_length_that_its_models_cache() -> None:
    minimums = {alias: entry.dialect.cache_minimum for alias, entry in CATALOG.items()}
    assert minimums == {"fast": 1024, "deep": 1024, "strict": 4096, "nova": None}
