"""Serve API keys, long-lived credentials for programs. The answer that makes a key is the only one that shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from uuid6 import uuid7

from functions.field_types import Id, Time, UserId
from functions.moments import read_time
from functions.requests import ApiKeyId, CurrentCaller, RequestedPage, Resident
from functions.responses import refusals
from functions.schemas import PageOf
from functions.strict_route import StrictRoute
from shared.db.api.api_keys import load_api_keys, record_api_key, record_revocation
from shared.db.engine import Row, database
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.domain.name import not_blank, visible_name
from shared.domain.turn import format_time
from shared.errors import Forbidden, QuotaExceeded
from shared.names import API_PREFIX
from shared.roster.fields import Body

_TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")


async def _person(caller: CurrentCaller) -> None:
    """Raise Forbidden if the caller is an API key."""
    if caller.key_id is not None:
        raise Forbidden("An API key cannot create, list or revoke API keys. Use the token of a signed-in user.")


router = APIRouter(
    prefix=f"{API_PREFIX}/api-keys",
    tags=["API keys"],
    dependencies=[Depends(_person)],
    responses=refusals(Forbidden),
    route_class=StrictRoute,
)


def _time(written: object) -> datetime | None:
    if written is None:
        return None
    try:
        return read_time(written if isinstance(written, str) else "")
    except ValueError:
        message = "Input should be a time with an offset, such as 2027-01-31T12:00:00Z, or null"
        raise PydanticCustomError("not_a_time", message) from None


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
_BOUNDS: dict[str, Any] = {"minLength": 1, "maxLength": 200}
Name = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra=_BOUNDS | {"pattern": r"\S"}),
    AfterValidator(visible_name),
    AfterValidator(not_blank),
]


class NewApiKey(Body):
    """An API key to make."""

    name: Name = Field(description="A name for people, up to 200 characters.", examples=["CI"])
    role: Literal["member", "admin"] = Field(
        default="member", description="The key's role. Only an admin can make a key with `admin`.", examples=["member"]
    )
    expires_at: Annotated[datetime | None, BeforeValidator(_time), WithJsonSchema(_MOMENT)] = Field(
        default=None,
        description="When the key expires: an RFC 3339 time in the future. Null: never.",
        examples=["2027-01-31T12:00:00Z"],
    )


class ApiKeyView(BaseModel):
    """An API key. It acts as the user who made it."""

    id: Id = Field(description="Id of the key, a UUIDv7.")
    name: str = Field(description="The name for people.", examples=["CI"])
    role: Literal["member", "admin"] = Field(description="The key's role.", examples=["member"])
    prefix: str = Field(description="The first characters of the key.", examples=["pan_4fK2"])
    created_by: UserId = Field(description="Id of the user who made the key.")
    created_at: Time = Field(description="When the key was made.")
    expires_at: Time | None = Field(description="The key is refused at most 60 s after this time. Null: never.")
    last_used_at: Time | None = Field(description="When the key was last used, exact to a minute. Null: never.")
    revoked_at: Time | None = Field(description="The key is refused at most 60 s after this time. Null: not revoked.")


class NewApiKeyView(ApiKeyView):
    """A new API key, with the key itself."""

    key: str = Field(
        description="The key: `pan_` and 43 characters. No other answer shows it. Only its hash is stored.",
        examples=["pan_…"],
    )


@router.post("", status_code=201, response_model=NewApiKeyView, responses=refusals(QuotaExceeded))
async def create_api_key(caller: Resident, body: NewApiKey, response: Response) -> dict[str, Any]:
    """Make a key that acts as the caller. An API key cannot call this."""
    if body.role == "admin" and "admin" not in caller.roles:
        raise Forbidden("Only an admin can create an API key with the role 'admin'.")
    response.headers["Cache-Control"] = "no-store"
    key = new_key()
    fields = body.model_dump() | {"prefix": prefix_of(key), "key_hash": hash_key(key), "created_by": caller.user_id}
    return _view(record_api_key(database(), caller.tenant_id, uuid7(), fields)) | {"key": key}


@router.get("", response_model=PageOf[ApiKeyView])
async def list_api_keys(caller: CurrentCaller, page: RequestedPage) -> dict[str, Any]:
    """List the caller's keys, or all keys of the tenant for an admin. Revoked and expired keys are listed for 90
    days."""
    found = load_api_keys(database(), caller.tenant_id, _creator(caller.user_id, caller.roles), page)
    return {"items": [_view(row) for row in found.items], "next_cursor": found.next_cursor}


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(caller: CurrentCaller, key_id: ApiKeyId) -> Response:
    """Revoke a key. It is refused everywhere within 60 s. An admin can revoke every key of the tenant."""
    record_revocation(database(), caller.tenant_id, _creator(caller.user_id, caller.roles), key_id)
    return Response(status_code=204)


def _creator(user_id: str, roles: tuple[str, ...]) -> str | None:
    """Return the user whose keys the caller manages, or None for all users of the tenant."""
    return None if "admin" in roles else user_id


def _view(row: Row) -> dict[str, Any]:
    times = {name: row[name] and format_time(row[name]) for name in _TIMES}
    return {name: row[name] for name in ("name", "role", "prefix", "created_by")} | {"id": str(row["id"])} | times
