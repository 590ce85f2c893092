"""How many tokens a request takes: an estimate, to fill a window, and an upper bound, to hold money against; and a
count that no request can have taken, which is damaged.

The estimate counts bytes, and every tokenizer makes something else of them. So what a provider counted corrects what
was estimated, for each alias. The correction lives in the process's memory, and costs no statement; a new process
starts without one, on the safe side, and where that was not safe enough a provider's refusal puts it right.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from shared.catalog import Model
from shared.domain.money import Usage
from shared.llm.port import Message, Request, size_of

# Tokens around each message in a provider's template, and around the whole request. Generous: an estimate that is
# too low costs a refused call, one that is too high only some history.
MESSAGE_OVERHEAD = 16
REQUEST_OVERHEAD = 64
_BYTES_PER_TOKEN = 3
# A shorter prompt is mostly overhead, and says little about the text of a longer one.
_TELLING_TOKENS = 256
# Whatever a provider counts, no correction goes beyond these.
_LEAST, _MOST = 0.5, 3.0
# An estimate that proved too low is put right at once, one that proved too high little by little.
_EASE = 0.125
# A provider may name a wrong window, so it is forgotten after this time. Then a prompt that is too long costs a refused
# call, which is not billed.
WINDOW_KNOWN_S = 900.0


def estimate_tokens(messages: Iterable[Message]) -> int:
    """About how many tokens `messages` take."""
    return sum([MESSAGE_OVERHEAD + -(-message.size // _BYTES_PER_TOKEN) for message in messages])


def estimate_text(text: str) -> int:
    """About how many tokens a message of `text` takes."""
    return MESSAGE_OVERHEAD + -(-size_of(text) // _BYTES_PER_TOKEN)


def most_input_tokens(messages: Iterable[Message], schema: Mapping[str, object] | None = None) -> int:
    """How many tokens a request can take at most: a token is at least a byte."""
    described = len(json.dumps(schema)) if schema else 0
    return REQUEST_OVERHEAD + described + sum([MESSAGE_OVERHEAD + message.size for message in messages])


def is_credible(usage: Usage, request: Request) -> bool:
    """Whether `request` can have taken so many tokens."""
    sent = most_input_tokens(request.messages, request.response_schema)
    return are_within(usage, max(request.model.context_window, sent), request.max_output_tokens)


def are_within(usage: Usage, input_tokens: int, output_tokens: int) -> bool:
    """Whether no class has more tokens than a prompt of `input_tokens` and an answer of `output_tokens` together. So
    wide a bound refuses nothing real: a provider may put words of its own before a prompt, and think beyond the output
    cap."""
    return max(usage.as_counts().values()) <= input_tokens + output_tokens


class TokenEstimates:
    """The factor that corrects the estimates of each alias, and the windows that providers named."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self._factors: dict[str, float] = {}
        # Each window with the moment until which it counts.
        self._windows: dict[str, tuple[int, float]] = {}

    def window(self, model: Model) -> int:
        """The model's window in tokens: the catalog's, or a smaller one that its provider named lately."""
        named, until = self._windows.get(model.alias, (model.context_window, 0.0))
        return min(model.context_window, named) if until > self._clock() else model.context_window

    def room(self, model: Model, max_output_tokens: int) -> int:
        """The estimated tokens that the messages of a call may take: the window less the output cap."""
        tokens = self.window(model) - max_output_tokens - REQUEST_OVERHEAD
        return int(tokens / self._factors.get(model.alias, 1.0))

    def learn_window(self, model: Model, window: int, max_output_tokens: int) -> None:
        """Take the window that a provider named. A number that leaves no room for a prompt is not a window."""
        if window - max_output_tokens - REQUEST_OVERHEAD >= _TELLING_TOKENS:
            self._windows[model.alias] = window, self._clock() + WINDOW_KNOWN_S

    def learn(self, alias: str, estimated: int, counted: int) -> None:
        """A provider counted so many tokens in a prompt that was estimated at `estimated`."""
        if estimated < _TELLING_TOKENS:
            return
        seen = min(max(counted / estimated, _LEAST), _MOST)
        known = self._factors.get(alias, 1.0)
        self._factors[alias] = seen if seen > known else known + (seen - known) * _EASE


@cache
def token_estimates() -> TokenEstimates:
    """Those of this process."""
    return TokenEstimates()
