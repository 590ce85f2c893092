"""Read the arguments of the tool `ask_council`."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from uuid6 import uuid7

from functions.http import Caller
from functions.turn_schemas import MAX_MESSAGE_CHARACTERS
from shared.errors import InvalidMessage, InvalidRequest, NotFound
from shared.roster.fields import Text
from shared.turns.question import Question

# Models write an empty text for a missing argument.
_Optional = BeforeValidator(lambda value: None if value == "" else value)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    council_or_agent: Annotated[Text, Field(min_length=1)]
    message: Text
    session_id: Annotated[str | None, _Optional] = None
    idempotency_key: Annotated[Text | None, Field(max_length=255), _Optional] = None


def read_question(arguments: Mapping[str, Any], caller: Caller) -> Question:
    """Read the question. Raises InvalidRequest, InvalidMessage or NotFound.

    Every question gets an idempotency key, so that a client can fetch the answer of a turn that it left."""
    try:
        read = _Arguments.model_validate(arguments)
    except ValidationError as error:
        faults = "; ".join(f"{_place(fault['loc'])}: {fault['msg']}" for fault in error.errors()[:10])
        raise InvalidRequest(faults) from error
    if not read.message.strip():
        raise InvalidMessage("The message is empty.")
    if len(read.message) > MAX_MESSAGE_CHARACTERS:
        raise InvalidMessage(f"The message is longer than {MAX_MESSAGE_CHARACTERS} characters.")
    return Question(
        actor=caller.actor,
        key=read.council_or_agent,
        message=read.message,
        idempotency_key=read.idempotency_key or f"mcp-{uuid7()}",
        session_id=None if read.session_id is None else _session_id(read.session_id),
        api_key_id=UUID(caller.key_id) if caller.key_id else None,
        has_own_key=read.idempotency_key is not None,
    )


def _place(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))[:100]


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound("There is no such session.") from error
