"""How many tokens a request takes: an estimate, to fill a window, and an upper bound, to hold money against."""

import json
from collections.abc import Iterable, Mapping

from shared.llm.port import Message

# Tokens around each message in a provider's template, and around the whole request. Generous: an estimate that is
# too low costs a refused call, one that is too high only some history.
MESSAGE_OVERHEAD = 16
REQUEST_OVERHEAD = 64
_BYTES_PER_TOKEN = 3


def estimate_tokens(messages: Iterable[Message]) -> int:
    """About how many tokens `messages` take."""
    return sum(MESSAGE_OVERHEAD + -(-len(message.text.encode()) // _BYTES_PER_TOKEN) for message in messages)


def most_input_tokens(messages: Iterable[Message], schema: Mapping[str, object] | None = None) -> int:
    """How many tokens a request can take at most: a token is at least a byte."""
    described = len(json.dumps(schema)) if schema else 0
    return REQUEST_OVERHEAD + described + sum(MESSAGE_OVERHEAD + len(message.text.encode()) for message in messages)
