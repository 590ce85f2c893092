"""Tests that the pieces of a streamed reply add up to the reply without its thinking."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.agent import Agent
from shared.llm.port import MAX_TEXT_BYTES, Completion, cut
from shared.orchestration.reply_stream import ReplyStream
from shared.orchestration.reply_text import read_reply

WRITER = Agent("writer", 1, "José the Writer", "You write.", "fast", 256, None, enabled=True)
PARTS = st.sampled_from(
    [
        *(
            "<think>",
            "</think>",
            "<thinking>",
            "</THINKING>",
            "[THINK]",
            "[/THINK]",
            "<think ",
            "a='b'>",
            "<",
            "</",
            "thi",
        ),
        *(
            "José the Writer:",
            "José the Writer",
            "Jos",
            "e\u0301",
            "writer: ",
            "**writer:** ",
            "(writer)",
            "@",
            ":",
            "*",
        ),
        *(" ", "\n", "\n\n", "  ", "Hello", " world.", "`", "```\n", "x < y", '"', "日本", "😀", "a[0]", "Writ", "er"),
    ]
)


def reply(text: str) -> str:
    return cut(read_reply(Completion("succeeded", text), WRITER).text)


def hear(pieces: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the text that the stream passes on for each piece, and the whole at the end."""
    stream = ReplyStream(WRITER)
    told = [stream.hear(piece) for piece in pieces]
    return told, stream.rest(reply("".join(pieces)))


@settings(max_examples=3000)
@given(st.lists(PARTS, max_size=24))
@example(["<think>", "a", "</think>", "\n", "José the Writer:", " x"])
@example(["\n", "x", "<think>", "y", "</think>", "z"])
@example(["a", "</think>", "z"])
def test_speech_adds_up_to_the_reply_or_reports_the_difference(pieces: list[str]) -> None:
    told, rest = hear(pieces)
    whole = reply("".join(pieces))
    assert rest is None or "".join(told) + rest == whole
    if "".join(told) == "":
        assert rest == whole


@pytest.mark.parametrize(
    "pieces",
    [
        ["Use", " tests", "."],
        ["Is x <", " y", "?"],
        ["Perhaps", " so."],
        ["Writ", "ing helps."],
        ["a[0]", " is [", "T]"],
        ["1 <", "2"],
        ["日", "本"],
    ],
)
def test_speech_passes_plain_text_on_without_delay(pieces: list[str]) -> None:
    told, rest = hear(pieces)
    assert all(told[index] or told[index + 1] for index in range(len(pieces) - 1))
    assert "".join(told) + (rest or "") == "".join(pieces)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("<think>Let me see. A secret.</think>\n\nUse tests. They help.", "Use tests"),
        ("<thinking mode='x'>secret</thinking>Use tests. They help.", "Use tests"),
        ("[THINK]secret[/THINK] José the Writer: Use tests. They help.", "Use tests"),
        ("**José the Writer:** Use tests. They help.", "Use tests"),
        ("José the Writer (writer): Use tests. They help.", "Use tests"),
        ("Jose\u0301 the Writer: Use tests. They help.", "Use tests"),
        ("José the Writer thinks: Use tests.", "José the Writer thinks"),
    ],
)
def test_speech_leaves_out_thinking_and_the_own_name_however_it_is_cut(text: str, begins: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    told, rest = hear(pieces)
    assert rest is not None
    assert "".join(told) + rest == reply(text)
    assert "".join(told).startswith(begins)


def test_speech_starts_again_when_thinking_began_without_a_mark() -> None:
    told, rest = hear(["Let me", " see.\n", "</think>\n", "Use tests."])
    assert "".join(told) == "Let me see.\n"
    assert rest is None


def test_held_speech_passes_nothing_on_before_its_end() -> None:
    stream = ReplyStream(WRITER, held=True)
    assert stream.hear("Let me see.</think>Use tests.") == ""
    assert stream.rest("Use tests.") == "Use tests."


def test_speech_stops_at_the_size_limit_of_a_reply() -> None:
    pieces = ["ü" * 1000] * 200
    told, rest = hear(pieces)
    assert rest is not None
    assert len(("".join(told) + rest).encode()) <= MAX_TEXT_BYTES
    assert "".join(told) + rest == reply("".join(pieces))


@pytest.mark.parametrize("thought", ['The tag "</think>" ends.', "It is ('</think>').", "[[/THINK]]."])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_speech_leaves_out_a_thought_that_quotes_its_closing_mark(thought: str, size: int) -> None:
    text = f"<think>{thought} A secret.</think>Use tests."
    told, rest = hear([text[start : start + size] for start in range(0, len(text), size)])
    assert "".join(told) == ""
    assert rest == reply(text)


@pytest.mark.parametrize("piece", [" ", "\n", "*", " <"])
def test_long_beginning_without_a_word_takes_linear_time_and_is_passed_on_at_the_end(piece: str) -> None:
    stream = ReplyStream(WRITER)
    began = time.thread_time()
    for _ in range(20_000):
        assert stream.hear(piece) == ""
    assert time.thread_time() - began < 0.5
    assert stream.hear("Hello") == ""
    text = f"{piece * 20_000}Hello"
    assert stream.rest(text) == text


def test_a_long_thought_takes_linear_time() -> None:
    stream = ReplyStream(WRITER)
    stream.hear("<think>")
    for _ in range(20_000):
        stream.hear("so many words " * 4)
    assert stream.hear("</think>Done.") == "Done."
