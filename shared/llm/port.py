"""The port that every provider implements: one request in, one outcome out, never an exception.

The status tells what may have been billed. Every 200 with a readable count is `succeeded`, whatever its text. A request
that may have reached the provider without a readable count is `unknown`. A request that was refused, or that was not
sent, is `unbilled`.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from shared.catalog import Model
from shared.domain.money import Usage

# So many bytes of an answer, in UTF-8, are kept and shown.
MAX_TEXT_BYTES: Final = 256 * 1024
# So many bytes of an answer's thinking, in UTF-8 and as JSON, are kept. An audit shows all attempts of a turn at once.
MAX_THINKING_BYTES: Final = 16 * 1024
# Unicode's controls, formats such as a zero-width space, and blanks.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})

# Takes a piece of an answer's text as soon as it has come, storable. It may be called from any thread, but for one call
# from one at a time. It neither blocks nor raises.
OnText = Callable[[str], None]

CallStatus = Literal["succeeded", "unbilled", "unknown"]
# Why a call gave no answer. `shared.orchestration.attempts` decides which of them are worth another attempt.
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
    """`size` is the text's, in bytes of UTF-8: a message of the past is counted for every call of a turn."""

    role: Literal["system", "user", "assistant"]
    text: str
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.text))


@dataclass(frozen=True, slots=True)
class Request:
    """One provider call. `call_id` goes along, so that the provider's log can be joined with the journal."""

    call_id: str
    turn_id: str
    model: Model
    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float | None = None
    # A JSON schema that the answer must follow, where the provider can see to that.
    response_schema: Mapping[str, object] | None = None
    # "low": the answer needs little thinking. None: the effort that the catalog says.
    effort: Literal["low"] | None = None
    # Groups prompts with the same beginning in the provider's cache. It holds no text and no id.
    cache_key: str | None = None
    # Whether the next prompt under this key begins with all of `messages`.
    continues: bool = False
    # The wall clock of this call in seconds, at most the model's own. None: the model's own.
    timeout_s: float | None = None

    @property
    def limit_s(self) -> float:
        """The wall clock of this call in seconds."""
        return self.model.max_call_s if self.timeout_s is None else self.timeout_s


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a call.

    Attributes:
        text: The answer, storable: no NUL, no lone surrogate.
        stop_reason: One of ours (`end_turn`, `max_tokens`, `content_filtered`) or the provider's own word.
        retry_after_s: The seconds that the provider asked us to wait.
        provider_message: The provider's own words about an error, or ours where it has none, for the operator: one
            storable line without secrets and without the prompt.
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

        `on_text` takes the answer's text in pieces while it comes. All pieces together are a beginning of the
        completion's text, and the whole of it if the call succeeded without an error. The outcome is the same without
        `on_text`.
        """
        ...


def size_of(text: str) -> int:
    """Bytes of `text` in UTF-8; a lone surrogate, which is none, counts as what is sent in its place."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def storable(text: str) -> str:
    """`text` as Postgres can keep it: NUL and lone surrogates become U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """The longest beginning of a storable text that has at most `most_bytes` bytes in UTF-8."""
    if size_of(text) <= most_bytes:
        return text
    # Decoding leaves out a character whose last bytes are missing.
    return text.encode()[:most_bytes].decode("utf-8", "ignore")


def is_visible(text: str) -> bool:
    """Whether a reader sees anything of `text`."""
    return any(unicodedata.category(character) not in _INVISIBLE for character in text)
