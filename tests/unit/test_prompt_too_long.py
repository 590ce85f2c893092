"""Tests that a prompt that is too long is recognised in the messages of many servers, with the window they name."""

import pytest

from shared.llm.prompt_too_long import is_overflow, read_window

# The wording, and the window that it names.
WORDINGS = [
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.", 8192),
    ("'max_tokens' is too large: 2000. This model's maximum context length is 4096 tokens.", 4096),
    ("This model's maximum context length is 65536 tokens. However, you requested 74213 tokens (66213 in it).", 65536),
    ("the request exceeds the available context size, try increasing it", None),
    ("request (9500 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192),
    ("Input is too long for requested model.", None),
    ("prompt is too long: 209353 tokens > 199999 maximum", 199999),
    ("input length and `max_tokens` exceed context limit: 90402 + 116650 > 204648, decrease one", 204648),
    ("Too many input tokens. Max input tokens: 300000, request input token count: 300001", 300000),
    ("context_length_exceeded", None),
    ("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", 131040),
    ("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)", 131072),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576),
    ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32768),
    ("Please reduce the length of the messages or completion.", None),
    ("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000, please wait", 6000),
    ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens", 8193),
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.", 4081),
    ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4096),
    ("prompt too long; exceeded max context length by 1200 tokens", None),
    ("input length exceeds the context length", None),
    ("Range of input length should be [1, 30720]", 30720),
    ("Requested token count exceeds the model's maximum context length of 8,192 tokens.", 8192),
    ("Total tokens of image and text exceed max message tokens", None),
]
OTHERS = [
    "max_tokens must be positive",
    "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for this model",
    "Invalid key in context.",
    "temperature must be at most 1",
    "maximum number of tools exceeded",
    "You exceeded your current quota.",
    "No such model.",
    "",
]


@pytest.mark.parametrize(("message", "window"), WORDINGS)
def test_a_prompt_that_is_too_long_is_recognised_with_its_window(message: str, window: int | None) -> None:
    assert is_overflow(message)
    assert is_overflow(message.upper())
    assert read_window(message) == window


@pytest.mark.parametrize("message", OTHERS)
def test_other_refusal_is_not_an_overflow(message: str) -> None:
    assert not is_overflow(message)
