"""Read a provider's record as a plain log: one JSON object a line, in UTF-8.

    {"call_id": "0198…", "billed": true, "tokens": {"input_tokens": 12, "output_tokens": 3}}

`call_id` is ours; a line without one is skipped. `tokens` has the non-zero counts of the five classes, which do not
overlap. `cache_write_1h_tokens` counts the written tokens that the cache keeps for an hour. Other fields are ignored.
An implausible count is no count, and an unreadable line is reported.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.log_lines import read_lines

# Strict: true and 12.0 are no counts. The upper bound is Postgres's bigint.
Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _Counts(BaseModel):
    # An unknown class would have no price.
    model_config = ConfigDict(extra="forbid")

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    cache_write_1h_tokens: Tokens = 0

    @model_validator(mode="after")
    def _an_hours_are_of_the_whole(self) -> Self:
        if self.cache_write_1h_tokens > self.cache_write_tokens:
            raise ValueError("more tokens are kept for an hour than were written")
        return self


class _Line(BaseModel):
    call_id: UUID
    billed: Annotated[bool, Field(strict=True)]
    tokens: _Counts | None = None


def read_plain_log(log: BinaryIO) -> Iterator[ProviderRecord | None]:
    """Yield the records of our calls, and None for an unreadable line."""
    for line in read_lines(log):
        try:
            document = json.loads(line or b"")
            if not isinstance(document, dict) or document.get("call_id") is not None:
                yield _read(document)
        except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            yield None


def _read(document: Any) -> ProviderRecord:
    line = _Line.model_validate(document)
    if not line.billed:
        return ProviderRecord(line.call_id, billed=False)
    if line.tokens is None:
        raise ValueError("billed without tokens")
    return ProviderRecord(line.call_id, billed=True, usage=Usage(**line.tokens.model_dump()))
