"""Run the turn of docs/examples/price-of-a-turn.md and compare every figure with the ledger."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.catalog import Rates
from shared.db.schema.columns import COUNTS, TOKENS
from shared.domain.money import Usage, cost, format_usd
from shared.llm.port import Completion
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import CouncilRoom, answer, body, unknown

PAGE = (Path(__file__).parents[2] / "docs" / "examples" / "price-of-a-turn.md").read_text()
COLUMNS = {name: name.removesuffix("_tokens").replace("_", " ") for name in COUNTS}
TEXTS = {
    "routing": json.dumps({"selected_agent_keys": ["writer", "researcher"]}),
    "agent": "Roses.",
    "summary_text": "It is about roses.",
    "summary_structure": json.dumps({"add": {}, "replace": [], "close": []}),
}


def tables() -> Iterator[list[dict[str, str]]]:
    """Yield the rows of each table of the page, without the marks for code."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *rows = ([cell.strip(" `") for cell in line.strip("|").split("|")] for line in block.splitlines())
        yield [dict(zip(head, row, strict=True)) for row in rows]


RATES, CALLS, SUMS = tables()


@pytest.fixture
def turn(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the turn of the page; each call answers with the tokens of its row."""
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "100")
    settings.cache_clear()
    room.provider.enqueue(*(_completion(call) for call in CALLS))
    return body(room.take("What grows here? " * 40, mode="orchestrator"))


def _completion(call: dict[str, str]) -> Completion:
    if call["outcome"] == "unknown":
        return unknown()
    text = "" if call["outcome"] == "empty" else TEXTS[call["purpose"]]
    return answer(text, Usage(**{name: int(call[shown]) for name, shown in COLUMNS.items()}))


def test_every_call_of_the_example_is_on_the_ledger_at_its_price(room: CouncilRoom, turn: dict[str, Any]) -> None:
    posted = room.rows(
        """SELECT l.*, c.reserve_usd, c.status FROM usage_ledger l JOIN llm_calls c USING (call_id)
        ORDER BY l.step, l.attempt"""
    )
    for call, row in zip(CALLS, posted, strict=True):
        assert [call[name] for name in ("step", "attempt", "purpose", "alias", "pays")] == [
            *map(str, (row["step"], row["attempt"])), row["purpose"], row["model_alias"], row["account"],
        ]  # fmt: skip
        assert call["agent"] == (row["agent_key"] or "")
        assert [call[shown] for shown in COLUMNS.values()] == [str(row[name]) for name in COUNTS]
        rates = Rates(**{name: Decimal(rate) for name, rate in row["rates"].items()})
        if row["status"] == "unknown":
            assert (call["USD"], row["amount_usd"]) == ("its reserve", row["reserve_usd"])
        else:
            assert call["USD"] == format_usd(row["amount_usd"])
            assert cost(rates, Usage(**{name: row[name] for name in COUNTS})) == row["amount_usd"]
        (listed,) = (rate for rate in RATES if rate["alias"] == row["model_alias"])
        assert {name: listed[name.replace("_", " ")] for name in row["rates"]} == row["rates"]


def test_the_sums_of_the_example_are_those_of_the_turn(room: CouncilRoom, turn: dict[str, Any]) -> None:
    assert turn["summary_triggered"]
    sums = {row["field"]: row["USD"] for row in SUMS}
    assert sums == {name: turn[name] for name in ("cost_usd", "platform_cost_usd")}
    accounts = room.accounts()
    assert sums == {"cost_usd": format_usd(accounts["tenant"]), "platform_cost_usd": format_usd(accounts["platform"])}
    # Tokens of a call of unknown outcome are not known.
    for name in TOKENS:
        assert turn["usage"][name] == sum(int(call[COLUMNS[name]]) for call in CALLS)
