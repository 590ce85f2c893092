"""Parse JSON answers of models into a value, and a fallback for each unreadable part.

No text of a model raises or reaches a log line, and the value can be stored.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import PydanticUseDefault

from shared.domain.turn import Fallback
from shared.llm.port import Completion, storable

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)

# Longer than any useful answer.
MAX_CHARACTERS: Final = 100_000
# Deeper than any useful answer, and safe for any stack on which a turn runs.
MAX_DEPTH: Final = 32
INVALID_FIELD: Final = "invalid_field:"
# Each failure costs time linear in the text.
_MOST_FAILURES: Final = 64
# Models write line breaks within strings, which strict JSON forbids.
_DECODER: Final = json.JSONDecoder(strict=False)
# Braces in prose are not followed by quotes. A field's value in a broken object is skipped, because the rest of the
# object may change its meaning.
_OBJECT: Final = re.compile(r'(?<!":)(?<!": )\{(?=\s*+["}])')
_STRING_OR_COMMA: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|,(?=\s*+[]}])', re.DOTALL)


def parse(
    model: type[Answer], completion: Completion, component: str, step: int
) -> tuple[Answer | None, tuple[Fallback, ...]]:
    """Read an answered call as `model`, from the last object in the text that fits it.

    Returns:
        The value, or None. Without a value, one fallback says why: `max_tokens`, `invalid_json` or `invalid_schema`.
        With a value, each fallback names a field that was read in part or not at all: `invalid_field:NAME`.
    """
    # A cut answer is not malformed: the cap is too low.
    if completion.stop_reason == "max_tokens":
        return None, (Fallback(component, "max_tokens", step),)
    objects = _objects(completion.text[:MAX_CHARACTERS])
    if not objects:
        logger.warning("answer without a JSON object", extra={"component": component})
        return None, (Fallback(component, "invalid_json", step),)
    error: ValidationError | None = None
    # A model that writes several objects corrects itself, or has quoted the first.
    for each in reversed(objects):
        faults: set[str] = set()
        try:
            value = model.model_validate(each, context=faults)
        except ValidationError as wrong:
            error = error or wrong
        else:
            return value, tuple(Fallback(component, INVALID_FIELD + name, step) for name in sorted(faults))
    assert error is not None
    _log(component, error)
    return None, (Fallback(component, "invalid_schema", step),)


def salvage_list(value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Read the good items of a list, or one item as a list of one. Note the field if that is not all of it.

    A WrapValidator. Raises ValidationError if no item is good. Outside of `parse`, a list is read strictly."""
    try:
        return read(value)
    except ValidationError:
        good = [item for each in (value if isinstance(value, list) else [value]) for item in _tried(read, each)]
        if not good or not isinstance(info.context, set):
            raise
        info.context.add(info.field_name)
        return good


def salvage_field(value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Read a field, or take its default and note the field. A WrapValidator."""
    try:
        return read(value)
    except ValidationError:
        if not isinstance(info.context, set):
            raise
        info.context.add(info.field_name)
        raise PydanticUseDefault from None


def _tried(read: ValidatorFunctionWrapHandler, item: object) -> list[Any]:
    try:
        return list(read([item]))
    except ValidationError:
        return []


def _objects(text: str) -> list[dict[str, Any]]:
    """Return the outermost JSON objects in `text`, in order. Prose and fences may be around them. If there are none,
    try again without commas before closing brackets."""
    found = list(_decoded(text))
    return found or list(_decoded(_STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], text)))


def _decoded(text: str) -> Iterator[dict[str, Any]]:
    position = failures = 0
    while failures < _MOST_FAILURES and (start := _OBJECT.search(text, position)):
        try:
            value, position = _DECODER.raw_decode(text, start.start())
        except json.JSONDecodeError as error:
            position = max(error.pos, start.end())
            failures += 1
        except (ValueError, RecursionError):
            return
        else:
            try:
                yield _storable(value, MAX_DEPTH)
            except ValueError:
                continue


def _storable(value: Any, depth: int) -> Any:
    """Make every text in `value` storable, because an escape can add characters that the answer lacks. Raises
    ValueError if more than `depth` lists and objects are nested."""
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
    """Log types and paths. Unknown field names are left out, because they are the model's text."""
    faults = [
        (fault["type"], "" if fault["type"] == "extra_forbidden" else ".".join(map(str, fault["loc"])))
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    logger.warning("answer of the wrong shape", extra={"component": component, "faults": faults[:10]})
