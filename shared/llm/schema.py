"""JSON schemas for answers, as our models define them and as hosted providers accept them."""

from functools import cache
from typing import Any, Final

from pydantic import BaseModel

# Hosted providers refuse these keywords; a grammar enforces them. The reader of the answer checks it against the whole
# schema.
_BOUNDS: Final = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "multipleOf"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
_NAMED_SCHEMAS: Final = ("properties", "$defs")


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of an answer. Its objects are closed and require every field, as strict providers demand.
    Its members may be replaced, but not changed."""
    return dict(_schema_of(model))


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = _closed(model.model_json_schema())
    if "$defs" in schema:
        schema["$defs"] = {name: _closed(part) for name, part in schema["$defs"].items()}
    return schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"additionalProperties": False, "required": list(schema["properties"])}


def without_bounds(schema: object) -> object:
    """Return `schema` without the keywords that hosted providers refuse. A property may have the name of one."""
    match schema:
        case dict():
            return {
                key: {name: without_bounds(of) for name, of in value.items()}
                if key in _NAMED_SCHEMAS
                else without_bounds(value)
                for key, value in schema.items()
                if key not in _BOUNDS
            }
        case list():
            return [without_bounds(each) for each in schema]
    return schema
