"""What a provider answers with a 200: Converse and chat completions. Tokens are believed or not, text is always read.

An input is the body.
"""

from dataclasses import asdict

from shared.llm import chat_completions, converse
from shared.llm.exchange import Dialect, outcome
from shared.llm.port import Completion, storable
from shared.llm.wire import Answer
from tests.fake_provider.calls import request

WORDS = (
    *('"usage"', '"prompt_tokens"', '"completion_tokens"', '"prompt_tokens_details"', '"cached_tokens"', '"choices"'),
    *('"message"', '"content"', '"finish_reason"', '"refusal"', '"inputTokens"', '"outputTokens"', '"output"'),
    *('"cacheReadInputTokens"', '"stopReason"', '"text"', "null", "true", "-1", "1.0", "9223372036854775807", "{", "["),
)


_ASKED = request()
_MOST = _ASKED.model.context_window + _ASKED.max_output_tokens


def attempt(data: bytes) -> None:
    for read in (chat_completions.read_completion, converse.read_response):
        _check(read(data, None))
        named = read(data, "request-1")
        assert named.provider_request_id == "request-1"
        believed = outcome(Answer(200, {}, data), Dialect("x-request-id", read), _ASKED)
        _check(believed)
        assert max(asdict(believed.usage).values()) <= _MOST


def _check(completion: Completion) -> None:
    assert completion.status in ("succeeded", "unknown")
    assert (completion.error == "malformed_response") == (completion.status == "unknown")
    for text in (completion.text, completion.stop_reason or "", completion.provider_request_id or ""):
        assert storable(text) == text
    assert len(completion.stop_reason or "") <= chat_completions.MAX_WORD
    for tokens in asdict(completion.usage).values():
        assert type(tokens) is int
        assert 0 <= tokens < 2**63
    if completion.status == "unknown":
        assert not completion.text
        assert not any(asdict(completion.usage).values())
