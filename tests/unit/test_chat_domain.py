"""Tests the hash of a conversation, and the form of its answers."""

import pytest

from shared.domain.chat import Line, beginning, extended

START = beginning("tenant-1", "user-1", "writer")
TALK = [Line("user", "one"), Line("assistant", "two\nlines")]


@pytest.mark.parametrize("said", [" two\nlines", "two\nlines\n\n", "two\r\nlines", "\ttwo\r\nlines \r\n"])
def test_hash_is_the_same_when_a_program_trims_or_changes_line_ends(said: str) -> None:
    assert extended(START, [TALK[0], Line("assistant", said)]) == extended(START, TALK)


@pytest.mark.parametrize(
    "lines",
    [
        [TALK[0]],
        [*TALK, Line("user", "three")],
        [Line("user", "one two"), Line("assistant", "lines")],
        [TALK[0], Line("user", "two\nlines")],
        [TALK[0], Line("assistant", "two lines")],
        [TALK[1], TALK[0]],
    ],
)
def test_hash_differs_for_another_conversation(lines: list[Line]) -> None:
    assert extended(START, lines) != extended(START, TALK)


def test_hash_differs_for_another_user_tenant_or_model() -> None:
    starts = [beginning(*three) for three in (("t", "u", "m"), ("t", "u", "n"), ("t", "v", "m"), ("s", "u", "m"))]
    assert len({extended(start, TALK) for start in starts}) == 4


def test_hash_grows_message_by_message() -> None:
    assert extended(extended(START, TALK[:1]), TALK[1:]) == extended(START, TALK)
