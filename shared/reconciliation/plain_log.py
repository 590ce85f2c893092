"""A provider's record as a plain log: one JSON object a line, in UTF-8.

    {"call_id": "0198…", "billed": true, "tokens": {"input_tokens": 12, "output_tokens": 3}}

`call_id` is ours; a line without one is of somebody else's call. `tokens` has those of the five classes that are not
zero, and they do not overlap. Whatever else a line says is left alone. The rule this file protects: a count that
cannot be believed is no count, and a line that cannot be read is told of, not passed over.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord

# A longer line is no record of a call.
_LONGEST_LINE = 1_000_000
# Strict: neither true nor 12.0 is a count. The upper bound is what Postgres can keep as bigint.
_Tokens = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class _Counts(BaseModel):
    # A class that is not one of ours would be left unpriced.
    model_config = ConfigDict(extra="forbid")

    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    cache_read_tokens: _Tokens = 0
    cache_write_tokens: _Tokens = 0
    reasoning_tokens: _Tokens = 0


class _Line(BaseModel):
    call_id: UUID
    billed: Annotated[bool, Field(strict=True)]
    tokens: _Counts | None = None


def read_plain_log(lines: Iterable[bytes]) -> Iterator[ProviderRecord | None]:
    """The records of our calls, and None for a line that cannot be read."""
    for line in lines:
        if not line.strip():
            continue
        try:
            yield from _read(line)
        except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            yield None


def _read(line: bytes) -> Iterator[ProviderRecord]:
    if len(line) > _LONGEST_LINE:
        raise ValueError
    document = json.loads(line)
    if isinstance(document, dict) and document.get("call_id") is None:
        return
    read = _Line.model_validate(document)
    if not read.billed:
        yield ProviderRecord(read.call_id, billed=False)
    elif read.tokens is None:
        raise ValueError
    else:
        yield ProviderRecord(read.call_id, billed=True, usage=Usage(**read.tokens.model_dump()))
