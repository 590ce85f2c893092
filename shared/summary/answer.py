"""Read the changes to memory that a model asks for."""

import re
import unicodedata
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator, model_validator

from shared.domain.summary import LISTS
from shared.llm.structured import salvage_field, salvage_list

MAX_ITEM_CHARACTERS: Final = 500
# The characters of an id that are read. NFKC takes time quadratic in a run of combining marks.
MAX_ID_CHARACTERS: Final = 64
_BULLET: Final = re.compile(r"(?:[-*•–]|\(?\d{1,2}\))(?:\s+|$)|・\s*")
_ID: Final = re.compile(r"\W*([FDQA])0*(\d{1,9})(?!\w)", re.IGNORECASE)

Closed = Literal["answered", "done", "outdated", "duplicate"]
Text = Annotated[str, Field(max_length=20_000)]
_Item = TypeVar("_Item")
# One bad list or item must not cost the others.
_List = Annotated[list[_Item], WrapValidator(salvage_list), WrapValidator(salvage_field)]


def _reason(said: object) -> object:
    """Read an unknown reason as `outdated`, because the model named the item to remove."""
    if not isinstance(said, str):
        return said
    known = said.strip().casefold()
    return known if known in get_args(Closed) else "outdated"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Additions(_Part):
    key_facts: _List[Text] = Field(default_factory=list)
    decisions: _List[Text] = Field(default_factory=list)
    open_questions: _List[Text] = Field(default_factory=list)
    action_items: _List[Text] = Field(default_factory=list)


class Replacement(_Part):
    id: str
    text: Text


# Classes here have comments instead of docstrings: a docstring is sent to the model as part of the schema.
class Closing(_Part):
    id: str
    reason: Annotated[Closed, BeforeValidator(_reason)]
    # A factory, because strict providers refuse a schema with `default`.
    of: str | None = Field(default_factory=lambda: None)


class Changes(_Part):
    add: Annotated[Additions, WrapValidator(salvage_field)] = Field(default_factory=Additions)
    replace: _List[Replacement] = Field(default_factory=list)
    close: _List[Closing] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _read_flat_lists(cls, answer: Any) -> Any:
        """Also read the four lists without `add` around them, because small models write them so."""
        if not isinstance(answer, dict) or not answer.keys() & {*cls.model_fields, *LISTS}:
            raise ValueError("none of the expected keys")
        if answer.get("add") is not None:
            return answer
        flat = {key: answer[key] for key in LISTS if key in answer}
        return {**answer, "add": flat} if flat or "add" not in answer else answer


NO_CHANGES: Final = Changes(add=Additions())


def read_id(said: str) -> str:
    """Read an id: "[f12]", "F12." and "Ｆ１２" mean F12. Return "" for any other text."""
    found = _ID.match(unicodedata.normalize("NFKC", said[:MAX_ID_CHARACTERS]))
    return f"{found[1].upper()}{int(found[2])}" if found else ""


def short(text: str) -> str:
    """Put an item on one line, without its bullet, and cut it to its limit."""
    text = text.strip()
    bullet = _BULLET.match(text)
    return " ".join(text[bullet.end() if bullet else 0 :].split())[:MAX_ITEM_CHARACTERS]
