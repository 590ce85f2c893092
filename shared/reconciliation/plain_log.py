"""A provider's record as a plain log: one JSON object a line, in UTF-8.

    {"call_id": "0198…", "billed": true, "tokens": {"input_tokens": 12, "output_tokens": 3}}

`call_id` is ours; a line without one is of somebody else's call. `tokens` has those of the five classes that are not
zero, and they do not overlap; and in `cache_write_1h_tokens`, how many of those written to a cache it is to keep for an
hour. Whatever else a line says is left alone. The rule this file protects: a count that cannot be believed is no count,
and a line that cannot be read is told of, not passed over.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.log_lines import read_lines

# Strict: neither true nor 12.0 is a count. The upper bound is what Postgres can keep as bigint.
Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _Counts(BaseModel):
    # A class that is not one of ours would be left unpriced.
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
            raise ValueError("more is kept for an hour than was written")
        return self


class _Line(BaseModel):
    call_id: UUID
    billed: Annotated[bool, Field(strict=True)]
    tokens: _Counts | None = None


def read_plain_log(log: BinaryIO) -> Iterator[ProviderRecord | None]:
    """The records of our calls, and None for a line that cannot be read."""
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
        raise ValueError("billed, and nobody knows for what")
    return ProviderRecord(line.call_id, billed=True, usage=Usage(**line.tokens.model_dump()))
