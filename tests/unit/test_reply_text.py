"""Tests that the text of an answer has no thinking and no name of the agent before it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.agent import Agent
from shared.llm.port import MAX_THINKING_BYTES, Completion
from shared.orchestration.reply_text import THINKING_ONLY, read_reply, without_own_name
from tests.unit.test_council import Sitting, statuses


def agent(name: str = "Writer", key: str = "writer") -> Agent:
    return Agent(key, 1, name, "You write.", "fast", 256, None, enabled=True)


def said(text: str, stop_reason: str = "end_turn") -> Completion:
    return Completion("succeeded", text, stop_reason)


@pytest.mark.parametrize(
    "text",
    [
        "Writer: Use tests.",
        "writer: Use tests.",
        "WRITER : Use tests.",
        "\n Writer:\n\nUse tests.",
        "Writer:Use tests.",
        "**Writer:** Use tests.",
        "**Writer**: Use tests.",
        "__Writer:__ Use tests.",
        "***Writer:*** Use tests.",
        "[Writer]: Use tests.",
        "**[Writer]:** Use tests.",
        "<Writer>: Use tests.",
        "@writer: Use tests.",
        "Writer (writer): Use tests.",
        "**writer (Writer):** Use tests.",
        "Writer： Use tests.",
    ],
)
def test_own_name_before_the_text_is_removed(text: str) -> None:
    assert without_own_name(text, agent()) == "Use tests."


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("作家", "作家：你好", "你好"),
        ("José", "Jose\u0301: Hola.", "Hola."),
        ("C++ (17)", "C++ (17): Use RAII.", "Use RAII."),
        ("Émile: the critic", "Émile: the critic: No.", "No."),
    ],
)
def test_own_name_of_any_characters_is_removed(name: str, text: str, rest: str) -> None:
    assert without_own_name(text, agent(name)) == rest


def test_repeated_own_name_is_removed_once() -> None:
    assert without_own_name("Writer: Writer: Use tests.", agent()) == "Writer: Use tests."


@pytest.mark.parametrize(
    "text",
    [
        "Critic: Use tests.",
        "Writers: use tests.",
        "Ghostwriter: Use tests.",
        "The Writer: Use tests.",
        "Writer, use tests.",
        "Writer",
        "Writer:",
        "**Writer:** ",
        "Writer:in sein ist schwer.",
        "writer://host",
        "writer::open()",
        "**Writer: use tests.**",
        "Use tests.\nWriter: yes.",
        "  Use tests.\n",
        "",
    ],
)
def test_other_beginning_of_a_text_is_kept(text: str) -> None:
    assert without_own_name(text, agent()) == text


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(st.text(max_size=40), st.text(max_size=12).map(lambda text: f"N{text}"))
def test_text_without_its_name_is_the_end_of_the_text(text: str, name: str) -> None:
    assert text.endswith(without_own_name(text, agent(name)))
    assert without_own_name(f"{name}: 1. {text}", agent(name)) == f"1. {text}"


def test_own_name_after_thinking_is_removed_only_for_agents() -> None:
    assert read_reply(said("<think>Hm.</think>Writer: Use tests."), agent()).text == "Use tests."
    assert read_reply(said("<think>Hm.</think>Writer: Use tests."), None).text == "Writer: Use tests."


@pytest.mark.parametrize(
    ("apart", "text", "thinking"),
    [
        (None, "<think>Hm.</think>Use tests.", "Hm."),
        ("So. ", "Use tests.", "So."),
        ("So.", "<think>Hm.</think>Use tests.", "So.\n\nHm."),
        ("So.", "", "So."),
        (None, "<think>nul \x00 and surrogate \ud83d!", "nul \ufffd and surrogate \ufffd!"),
        (" \n", "<think>Hm.</think>Use tests.", "Hm."),
        (" \n", "<think>\n\n</think>Use tests.", None),
        (None, "Use tests.", None),
    ],
)
def test_thinking_is_kept_apart_from_the_text(apart: str | None, text: str, thinking: str | None) -> None:
    assert read_reply(replace(said(text), thinking=apart), agent()).thinking == thinking


def test_thinking_of_a_separate_field_is_cut_at_its_limit() -> None:
    long = replace(said("Use tests."), thinking="x" * 300_000)
    assert read_reply(long, agent()).thinking == "x" * MAX_THINKING_BYTES


@pytest.mark.parametrize("text", ["<think>Hm.", "<think>Hm.</think>", "<think>Hm.</think>\n ", "Hm.\n</think>"])
@pytest.mark.parametrize("stop_reason", ["end_turn", "max_tokens"])
def test_answer_of_only_thinking_is_empty_with_an_error(text: str, stop_reason: str) -> None:
    answer = read_reply(said(text, stop_reason), agent())
    assert (answer.text, answer.error, answer.status, answer.stop_reason) == (
        "",
        THINKING_ONLY,
        "succeeded",
        stop_reason,
    )


def test_a_withheld_or_failed_answer_keeps_its_reason() -> None:
    assert read_reply(said("<think>Hm.", "content_filtered"), agent()).error is None
    failed = Completion("succeeded", "<think>Hm.", error="provider_error")
    assert read_reply(failed, agent()).error == "provider_error"


@pytest.mark.parametrize("text", ["", " \n", "Use tests."])
def test_answer_without_marks_is_unchanged(text: str) -> None:
    assert read_reply(said(text), agent()) == said(text)


def test_thinking_reaches_neither_the_reply_nor_the_next_agent() -> None:
    sitting = Sitting()
    sitting.provider.enqueue("<think>Secret.</think>Writer: Use tests.", "I agree.")
    replies = sitting.ask("writer", "critic")
    assert replies[0].text == "Use tests."
    told = [(closed.completion.text, closed.completion.thinking) for closed in sitting.journal.closed]
    assert told == [("Use tests.", "Secret."), ("I agree.", None)]
    assert "Use tests." in sitting.heard(1)
    assert "Secret" not in sitting.heard(1)


def test_reply_of_only_thinking_fails_and_is_not_asked_again() -> None:
    sitting = Sitting()
    sitting.provider.enqueue(said("<think>Secret.", "max_tokens"))
    assert statuses(sitting.ask("writer")) == [(0, "writer", "failed", "thinking_only")]
    assert len(sitting.provider.requests) == 1


def test_a_long_thought_does_not_cut_the_answer() -> None:
    sitting = Sitting()
    sitting.provider.enqueue(f"<think>{'x' * 300_000}</think>Use tests.")
    assert sitting.ask("writer")[0].text == "Use tests."
