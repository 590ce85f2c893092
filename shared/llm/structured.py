"""The one place that parses what a model wrote. The answer is a value, or a fallback that says why it is none.

The rule this file protects: nothing that a model can write raises, none of it reaches a log line, and what is read of
it can be stored.
"""

import json
import logging
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from shared.domain.turn import Fallback
from shared.llm.port import Completion, storable

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)

# More than any answer of ours is worth reading.
MAX_CHARACTERS: Final = 100_000
# Deeper than any answer of ours, and shallow enough for whatever stack a turn is run or resumed on.
MAX_DEPTH: Final = 32
# Models write line breaks within strings. JSON forbids them, and they are read all the same.
_DECODER: Final = json.JSONDecoder(strict=False)


def parse(model: type[Answer], completion: Completion, component: str, step: int) -> Answer | Fallback:
    """Read an answered call as `model`. The fallback's reason is `max_tokens`, `invalid_json` or `invalid_schema`."""
    # Cut off is not malformed: it says that the cap is too low.
    if completion.stop_reason == "max_tokens":
        return Fallback(component, "max_tokens", step)
    text = _json_object(completion.text[:MAX_CHARACTERS])
    if text is None:
        logger.warning("answer without a JSON object", extra={"component": component})
        return Fallback(component, "invalid_json", step)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        _log(component, error)
        return Fallback(component, "invalid_schema", step)


def _json_object(text: str) -> str | None:
    """The one JSON object in `text`, with or without a fence or prose around it. Two objects are none: nobody can
    say which was meant."""
    # A fence has no brace, so the first brace in the text is the first one in the fence. Only one place is tried: to
    # try each brace would take time quadratic in their number.
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, end = _DECODER.raw_decode(text, start)
        return None if text.find("{", end) >= 0 else json.dumps(_storable(value, MAX_DEPTH))
    except (ValueError, RecursionError):
        return None


def _storable(value: Any, depth: int) -> Any:
    """`value` with every text in it as Postgres can keep it: an escape can bring in what the answer itself has not.
    Raises ValueError if more than `depth` lists and objects are nested."""
    match value:
        case str():
            return storable(value)
        case list() | dict() if depth == 0:
            raise ValueError("nested too deeply")
        case list():
            return [_storable(item, depth - 1) for item in value]
        case dict():
            return {storable(name): _storable(item, depth - 1) for name, item in value.items()}
    return value


def _log(component: str, error: ValidationError) -> None:
    """Types and paths. The field names in a path are ours or, for unknown ones, the model's: those are left out."""
    faults = [
        (fault["type"], "" if fault["type"] == "extra_forbidden" else ".".join(map(str, fault["loc"])))
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    logger.warning("answer of the wrong shape", extra={"component": component, "faults": faults[:10]})
