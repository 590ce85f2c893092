"""Read the filters of the ledger's rows: the groups of the totals, and the turn."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator

from shared.domain.identifier import is_identifier
from shared.domain.turn import Account, Purpose


def _identifier(text: str) -> str:
    if not is_identifier(text):
        raise ValueError("this cannot be a name")
    return text


def _of(noun: str, example: str) -> Any:
    return Query(description=f"Rows of this {noun}.", examples=[example])


_ID: Final = "019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"
_Name = Annotated[str, Query(max_length=255), AfterValidator(_identifier)]
# These two groups can be null. An empty value filters for null.
_AGENT: Final = Query(
    pattern=r"^([a-z][a-z0-9_-]{0,31})?$",
    description="Rows of this agent. Empty: rows of routing and summaries.",
    examples=["writer"],
)
_API_KEY: Final = Query(description="Rows of this API key. Empty: rows of requests with a token.", examples=[_ID])


_Reason = Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"]


@dataclass(frozen=True, slots=True)
class _Filters:
    """The filters of the query. None: not filtered."""

    session_id: Annotated[UUID | None, _of("session", _ID)] = None
    turn_id: Annotated[UUID | None, _of("turn", _ID)] = None
    agent_key: Annotated[str | None, _AGENT] = None
    model_alias: Annotated[_Name | None, _of("alias", "fast")] = None
    purpose: Annotated[Purpose | None, _of("purpose", "agent")] = None
    account: Annotated[Account | None, _of("account", "tenant")] = None
    reason: Annotated[_Reason | None, _of("reason", "reply")] = None
    user_id: Annotated[_Name | None, _of("user", "ada")] = None
    api_key_id: Annotated[UUID | Literal[""] | None, _API_KEY] = None
    provider: Annotated[_Name | None, _of("provider", "bedrock")] = None


async def _given(filters: Annotated[_Filters, Depends()]) -> Mapping[str, str]:
    """Return the filters of the query, as text."""
    return {name: str(value) for name, value in asdict(filters).items() if value is not None}


RequestedFilters = Annotated[Mapping[str, str], Depends(_given)]


def values_of(filters: Mapping[str, str]) -> Mapping[str, str | None]:
    """Return the filters with None for an empty value."""
    return {name: value or None for name, value in filters.items()}
