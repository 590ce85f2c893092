"""Types of the fields that the API and roster files share, with their OpenAPI form."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.domain.name import MAX_NAME_CHARACTERS, not_blank, still_a_line, visible_name
from shared.graph_names import MODE_PATTERN

MAX_PROMPT_BYTES: Final = 32 * 1024


def _storable(text: str) -> str:
    if "\x00" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise PydanticCustomError(
            "not_storable", "Input holds characters that cannot be stored (NUL or a lone surrogate)"
        )
    return text


def _within_bytes(text: str) -> str:
    if len(text.encode()) > MAX_PROMPT_BYTES:
        raise PydanticCustomError("too_many_bytes", f"Input should have at most {MAX_PROMPT_BYTES} bytes of UTF-8")
    return text


def _bounds(least: int, most: int, pattern: str | None = None) -> Any:
    """Bound a text. The bounds are repeated for OpenAPI, which drops those after a function."""
    said = {"minLength": least, "maxLength": most} | ({"pattern": pattern} if pattern else {})
    return Field(min_length=least, max_length=most, pattern=pattern, json_schema_extra=dict(said))


Text = Annotated[str, AfterValidator(_storable)]
Line = Annotated[
    Text,
    _bounds(1, MAX_NAME_CHARACTERS, r"^[^\x00-\x1f\x7f-\x9f@`]*$"),
    AfterValidator(visible_name),
    AfterValidator(still_a_line),
    AfterValidator(not_blank),
]
# A character has at least one byte.
Prompt = Annotated[Text, _bounds(1, MAX_PROMPT_BYTES), AfterValidator(_within_bytes)]
Title = Annotated[Text, _bounds(0, 200)]
AgentKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
MODES: Final = ("manual", "tag", "roundtable", "orchestrator", "council")


def _mode(text: str) -> str:
    if text not in MODES and not re.fullmatch(MODE_PATTERN, text):
        raise PydanticCustomError("mode", f"Input should be {', '.join(map(repr, MODES))} or 'graph:<name>'")
    return text


Mode = Annotated[
    str,
    AfterValidator(_mode),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": [*MODES]}, {"type": "string", "pattern": MODE_PATTERN}]}),
]
FanOut = Literal["sequential", "parallel"]


def _distinct(keys: list[str]) -> list[str]:
    if len(set(keys)) < len(keys):
        raise PydanticCustomError("repeated", "An agent can be listed once")
    return keys


Roster = Annotated[list[AgentKey], Field(min_length=1, max_length=32), AfterValidator(_distinct)]


def _of_the_roster(key: str | None, info: ValidationInfo) -> str | None:
    """Refuse a chair that is not in `agent_keys`, which is validated before."""
    roster: Any = info.data.get("agent_keys")
    if key is not None and roster is not None and key not in roster:
        raise PydanticCustomError("not_listed", "Input should be one of agent_keys")
    return key


# Null: the first of `agent_keys`.
Chair = Annotated[AgentKey | None, AfterValidator(_of_the_roster)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
