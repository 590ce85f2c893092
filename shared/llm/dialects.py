"""Decide which optional parts a request has, and learn which parts a model refuses.

The catalog says which parts a model takes. If a provider refuses a part, this process leaves it out for an hour. Then
it is tried again, because a refusal can be a mistake.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from shared.llm.port import Request
from shared.llm.refusal import Refusal

_CAPS: Final = ("max_tokens", "max_completion_tokens")
# Seconds. Trying again costs one refused request, which is not billed.
KNOWN_S: Final = 3600.0
# Both parts that ask for a stream: `stream` and `stream_options`.
STREAM: Final = "stream"
# The names of each part in refusals, in the protocols of both providers.
_NAMES: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        name: re.compile(rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])", re.IGNORECASE)
        for name, pattern in {
            "max_tokens": "max_tokens",
            "max_completion_tokens": "max_completion_tokens",
            "temperature": r"temperature|inferenceConfig\.temperature",
            "reasoning_effort": r"reasoning_effort|reasoning\.effort|reasoning effort",
            "response_format": r"response_format(?:[._]\w{1,40}){0,4}|json_(?:schema|object|mode)|json (?:schema|mode)"
            r"|structured[ _]outputs?|guided_json",
            "outputConfig": r"output_?config(?:[._]\w{1,40}){0,4}|json_?schema|structured[ _]outputs?|text_?format",
            "thinking": r"thinking(?:[._]\w{1,40}){0,4}|budget_tokens",
            "prompt_cache_key": "prompt_cache_key",
            STREAM: r"stream(?:ing|ed|_options)?(?:[._]\w{1,40}){0,4}|include_usage|ConverseStream"
            r"|InvokeModelWithResponseStream",
            "cachePoint": r"cache_?points?|cache_?control|prompt[ _-]caching",
        }.items()
    }
)
OPTIONAL: Final = frozenset(_NAMES)
# Bedrock refuses cache points to a model without caching as a missing right. A stream needs a right of its own.
_REFUSED_AS_RIGHT: Final = frozenset({"cachePoint", STREAM})
# An output cap is only renamed, because a refusal of its value would come again under the other name.
_UNKNOWN_NAME: Final = re.compile(
    r"unrecogni[sz]ed|unsupported|not supported|does(?: not|n't) support|unknown|unexpected|extra (?:inputs?|fields?)"
    r"|not (?:permitted|allowed)|deprecated|instead|no such|invalid (?:parameter|argument|field)",
    re.IGNORECASE,
)
_ABOUT_VALUE: Final = re.compile(
    r"between|range|at (?:most|least)|(?:less|greater|more|higher|lower|larger|smaller) than|[<>]=?|[≤≥]"
    r"|exceeds?|too (?:high|low|large|small)|(?:max|min)imum",
    re.IGNORECASE,
)
_PARAMETER_CODES: Final = frozenset(
    {
        "unsupported_parameter",
        "unknown_parameter",
        "invalid_parameter",
        "missing_required_parameter",
        "unsupported_value",
        "extra_forbidden",
        "value_error.extra",
    }
)
_PARAMETER_WORDS: Final = re.compile(
    r"(?:unrecogni[sz]ed|unsupported|unknown|unexpected|invalid) (?:request )?"
    r"(?:parameter|argument|field|property|keyword)"
    r"|extra (?:inputs|fields) (?:are )?not permitted",
    re.IGNORECASE,
)


class Dialects:
    """The optional parts that each alias has refused in this process. Safe to use from any number of threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._refused: dict[str, Mapping[str, float]] = {}
        self._lock = threading.Lock()

    def refused(self, alias: str) -> frozenset[str]:
        """Return the parts that the alias's requests leave out."""
        return frozenset(self._known(alias))

    def _known(self, alias: str) -> Mapping[str, float]:
        """Return the refused parts, each with the time until which it is left out."""
        now = self._clock()
        return {part: until for part, until in self._refused.get(alias, {}).items() if until > now}

    def learn(self, alias: str, part: str) -> bool:
        """Leave `part` out of the alias's requests. Returns whether the next request differs from the refused one."""
        refused = self._learn(alias, part, self._clock() + KNOWN_S)
        # A request always has an output cap, under one of two names.
        return not refused.keys() >= set(_CAPS) if part in _CAPS else True

    def learn_for_good(self, alias: str, part: str) -> None:
        """Leave `part` out while this process lives, because another try would cost an unknown outcome."""
        self._learn(alias, part, math.inf)

    def _learn(self, alias: str, part: str, until: float) -> Mapping[str, float]:
        with self._lock:
            known = self._known(alias)
            self._refused[alias] = {**known, part: max(until, known.get(part, until))}
            return self._refused[alias]


def is_streamed(request: Request, refused: Collection[str]) -> bool:
    """Whether to ask for a stream if the caller wants one."""
    return request.model.dialect.stream is not False and STREAM not in refused


def cap_name(request: Request, refused: Collection[str]) -> str:
    """Return the name of the output cap in a chat completion."""
    said = request.model.dialect.max_tokens_parameter or "max_tokens"
    other = _CAPS[1 - _CAPS.index(said)]
    return other if said in refused and other not in refused else said


def temperature(request: Request, refused: Collection[str]) -> float | None:
    """Return the temperature to send, if any, limited to the model's highest. A fallback alias may take less than the
    agent's own."""
    highest, wanted = request.model.dialect.temperature, request.temperature
    if wanted is None or highest is False or "temperature" in refused or _degrees(wanted) in refused:
        return None
    return min(wanted, highest) if isinstance(highest, float) else wanted


def _degrees(temperature: float) -> str:
    return f"temperature {temperature}"


def schema(request: Request, refused: Collection[str], name: str) -> Mapping[str, object] | None:
    """Return the schema to send in the part `name`, if any."""
    takes_none = request.model.dialect.json_schema is False or name in refused
    return None if takes_none else request.response_schema


def reasoning_effort(request: Request, refused: Collection[str]) -> str | None:
    """Return the effort to send, if any. An alias without thinking gets none."""
    dialect = request.model.dialect
    if "reasoning_effort" in refused or dialect.thinking is False:
        return None
    if request.effort is None or dialect.reasoning_effort in ("none", "minimal"):
        return dialect.reasoning_effort
    return request.effort if dialect.thinking or dialect.reasoning_effort else None


def cache_key(request: Request, refused: Collection[str]) -> str | None:
    """Return the cache key to send, if any. The local server caches without a key."""
    takes_none = request.model.dialect.prompt_cache_key is False or "prompt_cache_key" in refused
    return None if takes_none or request.model.kind == "local" else request.cache_key


def cache_minimum(request: Request, refused: Collection[str]) -> int | None:
    """Return the smallest prefix in tokens that gets a cache point. None: no cache points."""
    return None if "cachePoint" in refused else request.model.dialect.cache_minimum


def refusable_parts(status: int, sent: Collection[str]) -> Collection[str]:
    """Return the sent optional parts that a refusal with this status can be about."""
    if status in (400, 422):
        return sent
    return _REFUSED_AS_RIGHT.intersection(sent) if status == 403 else ()


def named_part(refusal: Refusal, sent: Collection[str]) -> str | None:
    """Return the sent optional part that a refusal is about, None if it is about none."""
    if refusal.parameter:
        return next((name for name in sorted(sent) if _NAMES[name].search(refusal.parameter)), None)
    places = {name: found.start() for name in sent if (found := _NAMES[name].search(refusal.message))}
    return min(places, key=lambda name: places[name]) if places else None


def is_droppable(part: str, refusal: Refusal) -> bool:
    """Whether the alias may answer once `part` is left out or renamed."""
    return part not in _CAPS or bool(_UNKNOWN_NAME.search(f"{refusal.message} {' '.join(refusal.codes)}"))


def learnt_as(part: str, refusal: Refusal, request: Request) -> str:
    """Return the name under which a refused part is left out. A temperature out of range is left out alone, because
    other agents' may be within it."""
    if part == "temperature" and request.temperature is not None and _ABOUT_VALUE.search(refusal.message):
        return _degrees(request.temperature)
    return part


def is_about_parameter(refusal: Refusal) -> bool:
    if refusal.parameter or refusal.codes & _PARAMETER_CODES:
        return True
    return _PARAMETER_WORDS.search(refusal.message) is not None
