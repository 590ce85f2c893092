"""Tests that an operator reads a provider's message without secrets and without the prompt."""

import json

import pytest

from shared.llm.port import storable
from shared.llm.provider_message import MAX_CHARACTERS, tell

# Made up, as is every other one here.
KEY = "hunter2-is-not-a-key"
PROMPT = (
    'You are the Writer.\nPlease write a poem about the red house by the lake, "now".\nGrüße aus Ελλάδα und anderswo.'
)
PROMPTS = (PROMPT, "hello there")
MODEL = "vendor-model-20260101-large"


def told(message: str) -> str | None:
    return tell(message, PROMPTS, (KEY,), (MODEL,))


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        f"The model `{MODEL}` does not exist or you do not have access to it.",
        "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
        "API key not valid. Please pass a valid API key.",
        "Rate limit reached for requests. Limit: 3 / min. Please try again in 20s.",
        "see https://provider.test/docs/errors for more",
    ],
)
def test_message_of_plain_words_is_kept(message: str) -> None:
    assert told(message) == message


@pytest.mark.parametrize(
    "message",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Your key {KEY[:8]}... is wrong",
        f"Your key ends with ...{KEY[-8:]}",
        f"header Authorization: Bearer {KEY}",
        f"HEADER AUTHORIZATION: BEARER {KEY.upper()}",
        json.dumps({"headers": {"x-api-key": KEY}}),
        "".join(f"\\u{ord(character):04x}" for character in KEY),
        f"GET https://provider.test/v1?key={KEY}&alt=sse failed",
    ],
)
def test_the_configured_key_is_hidden_with_its_parts(message: str) -> None:
    line = told(message) or ""
    folded = line.lower()
    assert not any(KEY[start : start + 8] in folded for start in range(len(KEY) - 7)), line


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        ("Incorrect API key provided: sk-abcd********wxyz.", "abcd"),
        ("Incorrect key sk-proj-...wxyz", "wxyz"),
        ("Incorrect key sk-pr…wxyz", "wxyz"),
        ("Wrong: gsk_abc, try again", "abc"),
        ("Authorization: Basic dXNlcjpwdw==", "dXNl"),
        ("bad bearer abc.def", "abc.def"),
        ("'x-api-key': 'letmein'", "letmein"),
        ("api_key=letmein, go", "letmein"),
        ("password is: letmein", "letmein"),
        ("AWS_SECRET_ACCESS_KEY = 'letmein'", "letmein"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmVk seen", "eyJ"),
        ("signed with AKIAFAKE0FAKE1FAKE2F here", "AKIA"),
        ("id 5f2b1c9e8d7a6b5c4d3e2f1a0b9c8d7e", "5f2b"),
        ("proxy http://user:letmein@proxy.test:8080/ failed", "letmein"),
        ("proxy socks5h://letmein@proxy.test failed", "letmein"),
        ("POST https://provider.test/v1?token=letmein#letmein failed", "letmein"),
    ],
)
def test_text_that_looks_like_a_secret_is_hidden(message: str, secret: str) -> None:
    line = told(message) or ""
    assert secret not in line
    assert "***" in line


@pytest.mark.parametrize(
    "message",
    [
        f"Invalid messages: {PROMPT}",
        f"Invalid messages: {PROMPT.upper()}",
        f"Invalid messages: {json.dumps([{'role': 'user', 'content': PROMPT}])}",
        f"Invalid messages: {json.dumps(json.dumps([{'role': 'user', 'content': PROMPT}]))}",
        f"Invalid messages: {PROMPT!r}",
        "Invalid messages: " + PROMPT.replace(" ", "\u00a0 \u200b"),
        "Invalid messages: " + PROMPT[17:40],
        "Invalid messages: " + PROMPT[20:60] + " and " + PROMPT[30:],
        "Invalid messages: hello there",
        "Invalid messages: 'red house' is not allowed",
        "Invalid messages: [by the lake]",
        "Invalid messages: “Anderswo.”",
    ],
)
def test_a_quotation_of_the_prompt_is_hidden(message: str) -> None:
    line = (told(message) or "").lower()
    assert line.startswith("invalid messages:")
    for words in ("red house", "by the lake", "poem", "anderswo", "hello there"):
        assert words not in line


def test_short_words_that_are_also_in_the_prompt_are_kept() -> None:
    assert told("The red house is no model.") == "The red house is no model."


def test_message_is_one_storable_line_of_bounded_length() -> None:
    line = told("a\x00b\n\nc\u2028d \ud800\x1b[31m \ue000\U000e0041" + "word " * 1000)
    assert line is not None
    assert line.startswith("a b c d ")
    assert len(line) == MAX_CHARACTERS
    assert line == storable(line)
    assert line.isprintable()


@pytest.mark.parametrize("message", ["", "  \n", KEY, f"{KEY} {KEY}", PROMPT, "The Red House", "red house", "***"])
def test_message_is_none_when_no_text_is_left(message: str) -> None:
    assert told(message) is None
