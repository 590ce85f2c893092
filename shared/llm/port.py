"""The port that every provider implements: one request in, one outcome out, never an exception.

The status says what may have been billed. Every 200 with a readable count is `succeeded`, whatever its text. A request
that may have reached the provider without a readable count is `unknown`. A refused or unsent request is `unbilled`.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from shared.catalog import Model
from shared.domain.money import Usage

# The most bytes (UTF-8) of an answer that are kept and shown.
MAX_TEXT_BYTES: Final = 256 * 1024
# The most bytes (UTF-8, as JSON) of an answer's thinking that are kept. An audit shows all attempts of a turn at once.
MAX_THINKING_BYTES: Final = 16 * 1024
# Unicode's controls, formats such as a zero-width space, and blanks.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})

# Takes storable pieces of an answer's text as they come. Calls come from any thread, one at a time for one answer. It
# never blocks or raises.
OnText = Callable[[str], None]

CallStatus = Literal["succeeded", "unbilled", "unknown"]
# Why a call gave no answer. `shared.orchestration.next_alias` decides which are worth another attempt.
CallError = Literal[
    "throttled",  # 429, unbilled
    "unavailable",  # nothing was sent: no address, no connection, no TLS; unbilled
    "provider_unauthorized",  # 401, 403: the provider refused the key; unbilled
    "provider_quota",  # 402, or another refusal that says that quota or credit is used up; unbilled
    "model_unavailable",  # 404, or another refusal that says that there is no such model; unbilled
    "context_overflow",  # 413, or another refusal that says that the prompt is too long; unbilled
    "content_filtered",  # a refusal that says that the content is not allowed; unbilled
    "invalid_parameter",  # a refusal that names a parameter of the request; unbilled
    "refused",  # any other 3xx or 4xx, unbilled
    "provider_error",  # 408, 424, 5xx: unknown. An error within a counted answer: succeeded, and billed
    "thinking_only",  # thinking used up the output cap: succeeded, and billed
    "timeout",  # the wall clock ran out: unknown
    "connection_lost",  # it broke after the request was, or may have been, sent: unknown
    "malformed_response",  # a 200 without a readable count: unknown
]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. `size` is the text's UTF-8 bytes, stored because every call of a turn counts past
    messages."""

    role: Literal["system", "user", "assistant"]
    text: str
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.text))


@dataclass(frozen=True, slots=True)
class Request:
    """One provider call. The provider's log has `call_id`, which joins it with the journal."""

    call_id: str
    turn_id: str
    model: Model
    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float | None = None
    # A JSON schema that the answer must follow, if the provider can enforce it.
    response_schema: Mapping[str, object] | None = None
    # "low": the answer needs little thinking. None: the catalog's effort.
    effort: Literal["low"] | None = None
    # Groups prompts with the same beginning in the provider's cache. It contains no text and no id.
    cache_key: str | None = None
    # Whether the next prompt under this key begins with all of `messages`.
    continues: bool = False
    # The time limit of this call in seconds, at most the model's own. None: the model's own.
    timeout_s: float | None = None

    @property
    def limit_s(self) -> float:
        return self.model.max_call_s if self.timeout_s is None else self.timeout_s


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a call.

    Attributes:
        text: The answer, storable: no NUL, no lone surrogate.
        stop_reason: One of ours (`end_turn`, `max_tokens`, `content_filtered`) or the provider's own word.
        retry_after_s: The seconds that the provider asked to wait.
        provider_message: The provider's words about an error, else ours, for the operator: one storable line without
            secrets and without the prompt.
        thinking: The model's thinking, storable. Only the journal keeps it, for the audit.
        context_window: The window in tokens that a `context_overflow` named.
        adapted: Whether the alias's next request leaves out the parameter of an `invalid_parameter`. None: not known.
    """

    status: CallStatus
    text: str = ""
    stop_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    provider_request_id: str | None = None
    error: CallError | None = None
    retry_after_s: float | None = None
    provider_message: str | None = None
    thinking: str | None = None
    context_window: int | None = None
    adapted: bool | None = None


class Provider(Protocol):
    def complete(self, request: Request, on_text: OnText | None = None, /) -> Completion:
        """Send `request` once. Returns within `request.limit_s` seconds and does not raise.

        `on_text` takes the answer's text in pieces while it comes. The pieces are a beginning of the completion's text,
        and all of it if the call succeeded without an error. The outcome does not depend on `on_text`."""
        ...


def size_of(text: str) -> int:
    """Return the UTF-8 bytes of `text`. A lone surrogate counts as its replacement."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def storable(text: str) -> str:
    """Return `text` as Postgres can store it: NUL and lone surrogates become U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the longest beginning of a storable text within `most_bytes` bytes of UTF-8."""
    if size_of(text) <= most_bytes:
        return text
    # Decoding drops an incomplete last character.
    return text.encode()[:most_bytes].decode("utf-8", "ignore")


def is_visible(text: str) -> bool:
    return any(unicodedata.category(character) not in _INVISIBLE for character in text)
