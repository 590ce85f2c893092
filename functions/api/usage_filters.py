"""The filters of the ledger's rows: the groups of the totals and the turn, so that each figure leads to its rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator

from shared.domain.identifier import is_identifier
from shared.domain.turn import Account, Purpose


def _identifier(text: str) -> str:
    if not is_identifier(text):
        raise ValueError("no name is like this")
    return text


_Name = Annotated[str, Query(max_length=255), AfterValidator(_identifier)]
# Of the groups, these two can be null. An empty value asks for that.
_NO_AGENT: Final = Query(pattern=r"^([a-z][a-z0-9_-]{0,31})?$", description="Empty: rows of routing and summaries.")
_NO_KEY: Final = Query(description="Empty: rows of requests with a token.")


@dataclass(frozen=True, slots=True)
class _Filters:
    """The filters as the query has them. None: not filtered."""

    session_id: UUID | None = None
    turn_id: UUID | None = None
    agent_key: Annotated[str | None, _NO_AGENT] = None
    model_alias: _Name | None = None
    purpose: Purpose | None = None
    account: Account | None = None
    reason: Literal["reply", "review", "helper", "failed_attempt", "unknown_outcome"] | None = None
    user_id: _Name | None = None
    api_key_id: Annotated[UUID | Literal[""] | None, _NO_KEY] = None
    provider: _Name | None = None


async def _given(filters: Annotated[_Filters, Depends()]) -> Mapping[str, str]:
    """The filters that the query has, as it writes them."""
    return {name: str(value) for name, value in asdict(filters).items() if value is not None}


RequestedFilters = Annotated[Mapping[str, str], Depends(_given)]


def values_of(filters: Mapping[str, str]) -> Mapping[str, str | None]:
    """The filters as the ledger has their values: None for rows without one."""
    return {name: value or None for name, value in filters.items()}
