"""Tests that rosters are written as TOML that reads back exactly."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.roster import toml

# A text that an agent can have: no NUL, and no lone surrogate. The rows of odd characters come up often.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("\"\\\n\r\t'#= \x1b\x7f\x85\u2028\u200d\u202e{}[]"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=40,
)
NUMBERS = st.floats(min_value=0, max_value=2, allow_nan=False)
VALUES = st.one_of(TEXTS, st.booleans(), st.integers(0, 10**6), NUMBERS, st.lists(TEXTS, max_size=4))


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.one_of(st.none(), VALUES)))
def test_a_table_is_read_back_exactly_for_odd_texts(fields: dict[str, object]) -> None:
    written = toml.table("agents.writer", fields)
    named = {name: value for name, value in fields.items() if value is not None}
    assert tomllib.loads(written) == {"agents": {"writer": named}}


@pytest.mark.parametrize("text", ["a\r\nb", "\r", '\n"""', 'a\n""""""', 'a\n"', "a\n\\", '"', "\n\n", "\x85\n\x9b"])
def test_a_text_is_read_back_exactly_when_a_delimiter_or_a_line_end_is_in_it(text: str) -> None:
    assert tomllib.loads(f"text = {toml.written(text)}") == {"text": text}


def test_a_text_of_several_lines_stays_readable() -> None:
    assert toml.written('You say "no".\nAlways.\n') == '"""\nYou say "no".\nAlways.\n"""'


def test_no_control_character_reaches_the_terminal() -> None:
    controls = "".join(map(chr, (*range(1, 32), *range(127, 160))))
    assert all(each.isprintable() or each in "\n\t" for each in toml.written(f"{controls}\n"))
