"""Tell from a refusal's words that the prompt is too long, and how long it may be."""

import re
from typing import Final

# How OpenAI, Anthropic, Bedrock, Gemini, Mistral, Groq, Together, Cohere, DeepSeek, Moonshot, llama.cpp, vLLM, Ollama
# and TGI say it. If another refusal is taken for an overflow, it costs one more request, which is not billed either.
_OVERFLOW: Final = re.compile(
    r"context_length_exceeded|exceed_context_size|string_above_max_length|request_too_large"
    r"|context[ _-]?(?:length|window|limit|size)"
    r"|(?:prompt|input|request|messages?|conversation|payload|entity)(?:\(s\))?(?: is| are)? too (?:long|large)"
    r"|too many (?:input |prompt )?tokens|too large for model|larger than the (?:model|maximum)"
    r"|range of input length|input token count"
    r"|maximum (?:number of )?(?:input )?tokens|max input tokens|input tokens? limit"
    r"|(?:input|prompt|token|sequence|model|message) length.{0,60}(?:exceed|longer|larger|greater|limit)"
    r"|(?:exceed|longer|larger|greater).{0,80}(?:token limit|(?:input|model|prompt|sequence|context|token) length)"
    r"|exceed.{0,40}(?:number of tokens|[0-9] tokens|token count)|(?<!max_)(?<!completion_)tokens.{0,40}exceed"
    r"|inputs`? tokens.{0,40}must be <="
    r"|reduce (?:the length of|your) (?:the |your )?(?:messages?|prompt|input)"
    r"|try (?:using )?a shorter (?:prompt|input|message)",
    re.IGNORECASE,
)
_NUMBER: Final = r"([0-9][0-9,_]{2,12})"
# A number is the limit if a text says that something is greater than it, or if it comes before or after the limit's
# name.
_LIMITS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:>|<=|≤) ?{_NUMBER}",
        rf"\[1, ?{_NUMBER}\]",
        rf"\b{_NUMBER}(?:[ -]tokens?)? (?:maximum|max|limit|context|token limit)\b",
        rf"\b(?:maximum|max|limit|limited to|window|at most|up to)\b[^0-9]{{0,60}}(?<!by ){_NUMBER}",
        rf"\b(?:exceeds?|exceeded|exceeding|than)\b[^0-9]{{0,60}}(?<!by ){_NUMBER}",
    )
)


def is_overflow(text: str) -> bool:
    """Whether a refusal says that the prompt is too long."""
    return _OVERFLOW.search(text) is not None


def read_window(message: str) -> int | None:
    """The limit in tokens that an overflow names. None if it names none."""
    for limit in _LIMITS:
        if found := limit.search(message):
            return int(re.sub("[,_]", "", found[1]))
    return None
