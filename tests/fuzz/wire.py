"""The body of a provider's answer, Converse or chat completion, and of its errors.

Tokens are believed or not, text is always read, and an operator's line can always be stored. An input is the body.
"""

from dataclasses import asdict

from shared.llm import chat_completions, converse
from shared.llm.chat_stream import ChatStream
from shared.llm.converse_stream import ConverseStream
from shared.llm.live_answer import LiveAnswer
from shared.llm.outcomes import Dialect, outcome
from shared.llm.port import Completion, storable
from shared.llm.provider_message import MAX_CHARACTERS
from shared.llm.wire import Answer
from tests.support.fake_provider.calls import request

WORDS = (
    *('"usage"', '"prompt_tokens"', '"completion_tokens"', '"prompt_tokens_details"', '"cached_tokens"', '"choices"'),
    *('"message"', '"content"', '"finish_reason"', '"refusal"', '"inputTokens"', '"outputTokens"', '"output"'),
    *('"total_tokens"', '"completion_tokens_details"', '"reasoning_tokens"', '"totalTokens"', '"delta"', "data: "),
    *('"error"', '"code"', '"param"', '"detail"', '"errors"', '"reasoning_content"', "\\u0000", "[DONE]", "\x1f\x8b"),
    *('"cacheReadInputTokens"', '"stopReason"', '"text"', "null", "true", "-1", "1.0", "9223372036854775807", "{", "["),
)


_ASKED = request()
_MOST = _ASKED.model.context_window + _ASKED.max_output_tokens


def attempt(data: bytes) -> None:
    for read, stream in ((chat_completions.read_completion, ChatStream), (converse.read_response, ConverseStream)):
        dialect = Dialect("x-request-id", read, stream)
        _check(read(data, None))
        named = read(data, "request-1")
        assert named.provider_request_id == "request-1"
        believed = outcome(Answer(200, {}, data), dialect, _ASKED)
        _check_outcome(believed)
        assert max(asdict(believed.usage).values()) <= _MOST
        _check_live(data, dialect, believed)
        for status in (400, 403, 429, 500):
            _check_outcome(outcome(Answer(status, {"retry-after": "1"}, data), dialect, _ASKED))


def _check_live(data: bytes, dialect: Dialect, whole: Completion) -> None:
    """An answer that is read as it comes, in two pieces, is the same answer, and its pieces are its text."""
    pieces: list[str] = []
    live = LiveAnswer(dialect.stream(), pieces.append)
    for part in (data[: len(data) // 2], data[len(data) // 2 :]):
        live.take(part)
    completion = outcome(Answer(200, {}, live.body()), dialect, _ASKED)
    live.finish(completion)
    if dialect.stream is ChatStream and data.isascii():
        assert (completion.status, completion.text, completion.usage) == (whole.status, whole.text, whole.usage)
    text = "".join(pieces)
    assert text == storable(text)
    if completion.status == "succeeded" and completion.stop_reason != "content_filtered":
        assert text == completion.text


def _check(completion: Completion) -> None:
    assert completion.status in ("succeeded", "unknown")
    assert (completion.error == "malformed_response") == (completion.status == "unknown")
    _check_parts(completion)


def _check_outcome(completion: Completion) -> None:
    """An error that a body names is as good as a status."""
    assert (completion.status == "succeeded") or completion.error
    line = completion.provider_message
    assert line is None or (line == storable(line) and line.isprintable() and 0 < len(line) <= MAX_CHARACTERS)
    assert completion.retry_after_s is None or completion.retry_after_s >= 0
    _check_parts(completion)


def _check_parts(completion: Completion) -> None:
    for text in (
        completion.text,
        completion.thinking or "",
        completion.stop_reason or "",
        completion.provider_request_id or "",
    ):
        assert storable(text) == text
    assert completion.thinking != ""
    assert len(completion.stop_reason or "") <= chat_completions.MAX_WORD
    for tokens in asdict(completion.usage).values():
        assert type(tokens) is int
        assert 0 <= tokens < 2**63
    if completion.status != "succeeded":
        assert not completion.text
        assert completion.thinking is None
        assert not any(asdict(completion.usage).values())
