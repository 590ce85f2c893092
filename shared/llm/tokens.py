"""Estimate a request's tokens to fill a window, bound them to hold money, and recognise impossible counts.

The estimate counts bytes. Tokenizers differ, so each provider's counts correct the estimates of its alias. The
correction is in the process's memory; a new process starts without one, with a cautious estimate, and a provider's
refusal corrects it.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from shared.catalog import Model
from shared.domain.money import Usage
from shared.llm.port import Message, Request, size_of

# Tokens around each message in a provider's template, and around the whole request. A too low estimate costs a refused
# call, a too high one only some history.
MESSAGE_OVERHEAD = 16
REQUEST_OVERHEAD = 64
_BYTES_PER_TOKEN = 3
# A shorter prompt is mostly overhead, and says little about longer ones.
_TELLING_TOKENS = 256
# The limits of the correction.
_LEAST, _MOST = 0.5, 3.0
# A too low estimate is corrected at once, a too high one by this share each time.
_EASE = 0.125
# Seconds. A provider may name a wrong window, so it is forgotten after this time. Then a too long prompt costs a
# refused call, which is not billed.
WINDOW_KNOWN_S = 900.0


def estimate_tokens(messages: Iterable[Message]) -> int:
    """Return about how many tokens `messages` take."""
    return sum([MESSAGE_OVERHEAD + -(-message.size // _BYTES_PER_TOKEN) for message in messages])


def estimate_text(text: str) -> int:
    """Return about how many tokens a message of `text` takes."""
    return MESSAGE_OVERHEAD + -(-size_of(text) // _BYTES_PER_TOKEN)


def most_input_tokens(messages: Iterable[Message], schema: Mapping[str, object] | None = None) -> int:
    """Return the most tokens that a request can take: each has at least a byte."""
    described = len(json.dumps(schema)) if schema else 0
    return REQUEST_OVERHEAD + described + sum([MESSAGE_OVERHEAD + message.size for message in messages])


def is_credible(usage: Usage, request: Request) -> bool:
    sent = most_input_tokens(request.messages, request.response_schema)
    return are_within(usage, max(request.model.context_window, sent), request.max_output_tokens)


def are_within(usage: Usage, input_tokens: int, output_tokens: int) -> bool:
    """Whether each class has at most the tokens of prompt and answer together. The bound is wide, because a provider
    may add words before a prompt, and think beyond the output cap."""
    return max(usage.as_counts().values()) <= input_tokens + output_tokens


class TokenEstimates:
    """The factor that corrects the estimates of each alias, and the windows that providers named."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._factors: dict[str, float] = {}
        # Each window, with the time until which it is valid.
        self._windows: dict[str, tuple[int, float]] = {}

    def window(self, model: Model) -> int:
        """Return the model's window in tokens: the catalog's, or a smaller one that its provider named recently."""
        named, until = self._windows.get(model.alias, (model.context_window, 0.0))
        return min(model.context_window, named) if until > self._clock() else model.context_window

    def room(self, model: Model, max_output_tokens: int) -> int:
        """Return the estimated tokens that a call's messages may take: the window less the output cap."""
        tokens = self.window(model) - max_output_tokens - REQUEST_OVERHEAD
        return int(tokens / self._factors.get(model.alias, 1.0))

    def learn_window(self, model: Model, window: int, max_output_tokens: int) -> None:
        """Store the window that a provider named. A number without room for a prompt is ignored."""
        if window - max_output_tokens - REQUEST_OVERHEAD >= _TELLING_TOKENS:
            self._windows[model.alias] = window, self._clock() + WINDOW_KNOWN_S

    def learn(self, alias: str, estimated: int, counted: int) -> None:
        """Correct the alias's factor by a provider's count of a prompt."""
        if estimated < _TELLING_TOKENS:
            return
        seen = min(max(counted / estimated, _LEAST), _MOST)
        known = self._factors.get(alias, 1.0)
        self._factors[alias] = seen if seen > known else known + (seen - known) * _EASE


@cache
def token_estimates() -> TokenEstimates:
    return TokenEstimates()
