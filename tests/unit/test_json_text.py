"""Tests that `json_text` writes the same JSON as the standard library."""

import json
from typing import Any

import pytest
from pydantic_core import PydanticSerializationError

from shared.domain.json_text import cut_json, json_size, json_text

AWKWARD = "".join(map(chr, range(0x20))) + '"\\/\x7f\x80\xa0é\u2028\u2029\ufeff\ufffd\uffff😀 </script>'


@pytest.mark.parametrize(
    "value",
    [
        AWKWARD,
        {AWKWARD: [AWKWARD, None, True, 0, -1, 10**20, 0.1, 1.0, 1e300, []]},
        {"nested": {"": {}, "b": (1, ("two",))}},
        None,
        [],
    ],
)
def test_json_text_equals_the_standard_librarys(value: Any) -> None:
    assert json_text(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, object()], ids=["lone surrogate", "in a key", "no JSON"])
def test_json_text_raises_for_a_value_that_cannot_be_stored(value: object) -> None:
    with pytest.raises((PydanticSerializationError, UnicodeEncodeError)):
        json_text(value)


@pytest.mark.parametrize("text", [AWKWARD, "a" * 50, "\x01" * 50, "😀" * 50, '"' * 50, ""])
def test_a_text_is_cut_to_the_longest_beginning_that_fits_as_json(text: str) -> None:
    for most in range(json_size(text)):
        shown = cut_json(text, most)
        assert text.startswith(shown)
        assert json_size(shown) - 2 <= most
        assert shown == text or json_size(text[: len(shown) + 1]) - 2 > most
