"""Answer with a fixed text, and cache prompts as OpenAI and Bedrock do. A token is four bytes."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from shared.domain.money import Usage
from shared.llm.converse import write_request
from shared.llm.openai_compatible import write_body
from shared.llm.port import Completion, OnText, Request, size_of

TOKEN_BYTES: Final = 4
# OpenAI caches prompts from the first number of tokens, in steps of the second. Without a cache key, the first
# `_ROUTED_TOKENS` choose the cache.
OPENAI_MINIMUM, OPENAI_STEP, _ROUTED_TOKENS = 1024, 128, 256
# Seconds for which Bedrock keeps a prefix after its last use, and the most cache points in a request.
BEDROCK_SECONDS, BEDROCK_POINTS = 300.0, 4


class CachingOpenAI:
    """Cache every prefix of a prompt whose length is a multiple of the step."""

    def __init__(self, answer: str) -> None:
        self._answer = answer
        self._kept: defaultdict[object, set[bytes]] = defaultdict(set)

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        body = write_body(request)
        prompt = _rendered(body["messages"]).encode()
        kept = self._kept[body.get("prompt_cache_key", prompt[: _ROUTED_TOKENS * TOKEN_BYTES])]
        prefixes = dict(_prefixes(prompt))
        read = max((tokens for tokens, digest in prefixes.items() if digest in kept), default=0)
        kept.update(prefixes.values())
        return _answered(self._answer, _tokens(len(prompt)), read, 0)


class CachingBedrock:
    """Cache the prompt before each cache point, from `minimum` tokens. `clock` returns seconds."""

    def __init__(self, answer: str, minimum: int, clock: Callable[[], float]) -> None:
        self._answer = answer
        self._minimum = minimum
        self._clock = clock
        # The end of each prefix, in seconds of the clock.
        self._kept: dict[bytes, float] = {}

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        points, total = _points(write_request(request, "bench"))
        if len(points) > BEDROCK_POINTS:
            return Completion("unbilled", error="refused")
        points = {tokens: digest for tokens, digest in points.items() if tokens >= self._minimum}
        now = self._clock()
        read = max((tokens for tokens, digest in points.items() if self._kept.get(digest, 0.0) > now), default=0)
        self._kept |= dict.fromkeys(points.values(), now + BEDROCK_SECONDS)
        return _answered(self._answer, total, read, max(points, default=0) - read)


def _answered(answer: str, prompt: int, read: int, written: int) -> Completion:
    output = _tokens(size_of(answer))
    usage = Usage(prompt - read - written, output, cache_read_tokens=read, cache_write_tokens=written)
    return Completion("succeeded", answer, "end_turn", usage, "bench")


def _tokens(size: int) -> int:
    return -(-size // TOKEN_BYTES)


def _rendered(messages: Any) -> str:
    return "".join(f"<|{message['role']}|>{message['content']}" for message in messages)


def _prefixes(prompt: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tokens and the hash of each prefix that OpenAI caches."""
    hashed, step = hashlib.sha256(), OPENAI_STEP * TOKEN_BYTES
    for end in range(step, len(prompt) + 1, step):
        hashed.update(prompt[end - step : end])
        if end // TOKEN_BYTES >= OPENAI_MINIMUM:
            yield end // TOKEN_BYTES, hashed.digest()


def _points(converse: dict[str, Any]) -> tuple[dict[int, bytes], int]:
    """Return the tokens and the hash before each cache point, and the tokens of the prompt.

    The hash includes the borders of blocks."""
    points, hashed, size = dict[int, bytes](), hashlib.sha256(), 0
    for message in ({"role": "system", "content": converse.get("system", [])}, *converse["messages"]):
        hashed.update(f"<|{message['role']}|>".encode())
        for block in message["content"]:
            if "cachePoint" in block:
                points[_tokens(size)] = hashed.digest()
            else:
                hashed.update(b"<|block|>" + block["text"].encode())
                size += size_of(block["text"])
    return points, _tokens(size)
