"""Tests the books of the simulation of hostile tenants."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from shared.db.engine import Row
from tests.soak.hostile.books import Books, compare

_RATES = {"input": "1", "output": "1", "cache_read": "1", "cache_write": "1", "reasoning": "1"}
_ANSWERED, _UNKNOWN = str(UUID(int=1)), str(UUID(int=2))
_TEN_TOKENS = {"input_tokens": 4, "output_tokens": 6}
_COST, _RESERVE = Decimal("0.00001"), Decimal("0.00003")


def _books() -> dict[str, Any]:
    """A call that was answered, and one in suspense that the provider bills."""
    call = {"rates": _RATES, "reserve_usd": _RESERVE}
    answered = {"call_id": UUID(_ANSWERED), "status": "succeeded", "charged": _COST, "suspended": Decimal(0), **call}
    unknown = {"call_id": UUID(_UNKNOWN), "status": "unknown", "charged": Decimal(0), "suspended": _RESERVE, **call}
    lines = [{"call_id": key, "billed": True, "tokens": _TEN_TOKENS} for key in (_ANSWERED, _UNKNOWN)]
    return {"calls": [answered, unknown], "log": lines}


def test_the_books_add_up_when_a_billed_call_is_in_suspense() -> None:
    books = Books()
    assert list(compare(**_books(), books=books, settled=False)) == []
    assert (books.billed, books.suspended) == (2 * _COST, _RESERVE)


def _set(number: int, **values: object) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        row: Row = given["calls"][number]
        row.update(values)

    return change


_WRONG: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "a call was sent twice": ("lost", lambda given: given["log"].append(given["log"][0])),
    "a call is not in the journal": ("lost", lambda given: given["calls"].pop(0)),
    "a call is charged twice": ("amount", _set(0, charged=2 * _COST)),
    "a call is not charged": ("amount", _set(0, charged=Decimal(0))),
    "a call is charged that the provider does not have": ("amount", lambda given: given["log"].pop(0)),
    "an unbilled call is charged": ("amount", lambda given: given["log"][0].update(billed=False)),
    "an unknown outcome is not at its reserve": ("amount", _set(1, suspended=_COST)),
    "an answered call is still in suspense": ("amount", _set(0, suspended=_RESERVE)),
    "a call costs more than its reserve": ("amount", _set(0, reserve_usd=_COST / 2)),
}


@pytest.mark.parametrize("name", _WRONG)
def test_the_books_are_wrong_when(name: str) -> None:
    kind, change = _WRONG[name]
    given = deepcopy(_books())
    change(given)
    assert kind in {found for found, _ in compare(**given, books=Books(), settled=False)}


def test_an_unknown_outcome_is_found_when_the_log_was_reconciled() -> None:
    assert "suspense" in {found for found, _ in compare(**_books(), books=Books(), settled=True)}
