"""API keys: long-lived credentials for programs. A key is shown once, when it is made."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from uuid6 import uuid7

from functions.moments import read_time
from functions.requests import CurrentCaller, RequestedPage, Resident, SessionId
from functions.schemas import PageOf, ProblemView
from functions.strict_route import StrictRoute
from shared.db.api.api_keys import load_api_keys, record_api_key, record_revocation
from shared.db.engine import Row, database
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.domain.name import not_blank, visible_name
from shared.domain.turn import format_time
from shared.errors import Forbidden
from shared.names import API_PREFIX
from shared.roster.fields import Body

_TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")


async def _person(caller: CurrentCaller) -> None:
    """Raises Forbidden for a caller that is itself an API key."""
    if caller.key_id is not None:
        raise Forbidden("An API key cannot create, list or revoke API keys. Use the token of a signed-in user.")


router = APIRouter(
    prefix=f"{API_PREFIX}/api-keys",
    dependencies=[Depends(_person)],
    responses={403: {"model": ProblemView}},
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
    name: Name
    role: Literal["member", "admin"] = "member"
    expires_at: Annotated[datetime | None, BeforeValidator(_time), WithJsonSchema(_MOMENT)] = None


class ApiKeyView(BaseModel):
    """A key acts as the user `created_by`, with `role`. `prefix` begins the key. `last_used_at` is exact to a minute.
    A key is refused within 60 s after `revoked_at`, and after `expires_at`."""

    id: str
    name: str
    role: Literal["member", "admin"]
    prefix: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewApiKeyView(ApiKeyView):
    """`key` is shown this once. Only its hash is stored."""

    key: str


@router.post("", status_code=201, response_model=NewApiKeyView)
async def create_api_key(caller: Resident, body: NewApiKey, response: Response) -> dict[str, Any]:
    """Make a key that acts as the caller. Only an admin can make a key with the role `admin`."""
    if body.role == "admin" and "admin" not in caller.roles:
        raise Forbidden("Only an admin can create an API key with the role 'admin'.")
    response.headers["Cache-Control"] = "no-store"
    key = new_key()
    fields = body.model_dump() | {"prefix": prefix_of(key), "key_hash": hash_key(key), "created_by": caller.user_id}
    return _view(record_api_key(database(), caller.tenant_id, uuid7(), fields)) | {"key": key}


@router.get("", response_model=PageOf[ApiKeyView])
async def list_api_keys(caller: CurrentCaller, page: RequestedPage) -> dict[str, Any]:
    """The caller's keys; an admin's whole tenant's. Revoked and expired keys stay in the list for 90 days."""
    found = load_api_keys(database(), caller.tenant_id, _creator(caller.user_id, caller.roles), page)
    return {"items": [_view(row) for row in found.items], "next_cursor": found.next_cursor}


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(caller: CurrentCaller, key_id: SessionId) -> Response:
    """Refuse the key from now on, within 60 s everywhere. An admin can revoke every key of the tenant."""
    record_revocation(database(), caller.tenant_id, _creator(caller.user_id, caller.roles), key_id)
    return Response(status_code=204)


def _creator(user_id: str, roles: tuple[str, ...]) -> str | None:
    """Whose keys the caller manages. None is everybody's of the tenant."""
    return None if "admin" in roles else user_id


def _view(row: Row) -> dict[str, Any]:
    times = {name: row[name] and format_time(row[name]) for name in _TIMES}
    return {name: row[name] for name in ("name", "role", "prefix", "created_by")} | {"id": str(row["id"])} | times
