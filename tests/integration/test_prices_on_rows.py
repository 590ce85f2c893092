"""Tests that a call keeps the rates of its moment, and that a turn costs the sum of its rows."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from shared.catalog import Rates, catalog, deployed
from shared.db.api.pages import PageRequest
from shared.db.usage.totals import Period, load_totals
from shared.domain.money import COUNTS, TOKEN_CLASSES, Usage
from shared.llm.port import Request
from tests.support.council_room import DEEP_COST, FAST_COST, CouncilRoom, Killed, answer, body, unknown
from tests.support.ledger_rows import hours_ago

Pricing = Callable[[Callable[[Rates], Rates]], None]


@pytest.fixture
def price(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pricing]:
    """Change every alias's rates, as a release with new prices does."""

    def change(rates: Callable[[Rates], Rates]) -> None:
        known = catalog()
        priced = {alias: replace(model, rates=rates(model.rates)) for alias, model in known.items()}
        monkeypatch.setattr(deployed, "_read_packaged", lambda _: replace(known, aliases=priced))
        catalog.cache_clear()

    yield change
    monkeypatch.undo()
    catalog.cache_clear()


def times(factor: int) -> Callable[[Rates], Rates]:
    return lambda rates: Rates(*(getattr(rates, name) * factor for name in Rates.__dataclass_fields__))


def die(_: Request) -> str:
    raise Killed


def test_new_price_changes_no_recorded_call(room: CouncilRoom, price: Pricing) -> None:
    room.provider.enqueue(answer(), answer())
    old = room.take("@writer @researcher hello", idempotency_key="old")
    before = room.rows("SELECT * FROM usage_ledger"), room.rows("SELECT * FROM llm_calls"), _totals(room)
    price(times(1000))
    assert room.take("@writer @researcher hello", idempotency_key="old").body == old.body
    assert (room.rows("SELECT * FROM usage_ledger"), room.rows("SELECT * FROM llm_calls"), _totals(room)) == before
    room.provider.enqueue(answer())
    assert Decimal(body(room.take("@writer hello"))["cost_usd"]) == 1000 * FAST_COST
    assert _totals(room) == FAST_COST + DEEP_COST + 1000 * FAST_COST


def test_free_alias_is_asked_without_money(room: CouncilRoom, price: Pricing) -> None:
    price(times(0))
    room.limit(0)
    assert body(room.take("@writer hello"))["cost_usd"] == "0"


def test_a_turn_that_is_resumed_keeps_the_prices_of_the_calls_that_it_has_made(
    room: CouncilRoom, price: Pricing
) -> None:
    room.provider.enqueue(answer(), die, answer(), answer())
    turn_id = room.take_until_killed("@writer @researcher @critic hello")
    intent = room.row("SELECT reserve_usd, rates FROM llm_calls WHERE status = 'intent'")
    price(times(1000))
    turn = body(room.resume(turn_id))
    costs = [Decimal(reply["cost_usd"]) for reply in turn["replies"]]
    assert costs == [FAST_COST, 1000 * DEEP_COST, 1000 * FAST_COST]
    assert Decimal(turn["cost_usd"]) == sum(costs) == _totals(room)
    lost = room.row("SELECT amount_usd, rates FROM usage_ledger WHERE account = 'suspense'")
    assert lost == {"amount_usd": intent["reserve_usd"], "rates": intent["rates"]}


def test_late_answer_is_priced_at_the_rates_of_its_intent(room: CouncilRoom, price: Pricing) -> None:
    """The runner that was given up still has its call. Meanwhile the prices change and the turn ends."""

    def late(_: Request) -> object:
        room.expire_lease()
        price(times(1000))
        room.provider.enqueue(answer())
        room.resume(room.row("SELECT id FROM turns")["id"], room.runner(db=room.open_database()))
        return answer("Too late.")

    room.provider.enqueue(late)  # type: ignore[arg-type]
    room.take("@writer hello")
    entries = room.rows("SELECT account, kind, amount_usd FROM usage_ledger ORDER BY id")
    reserve = room.row("SELECT reserve_usd FROM llm_calls WHERE attempt = 1")["reserve_usd"]
    assert sorted(tuple(entry.values()) for entry in entries) == sorted(
        [
            ("suspense", "post", reserve),
            ("tenant", "post", 1000 * FAST_COST),
            ("suspense", "adjustment", -reserve),
            ("platform", "adjustment", FAST_COST),
        ]
    )


def test_turn_costs_the_sum_of_its_rows(room: CouncilRoom, price: Pricing) -> None:
    """With any rates and counts, no digit is lost from the tokens to the response and the totals."""
    chance = random.Random(17)
    spent = Decimal(0)
    room.owner.execute("INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-1', 1e9)")
    for _ in range(20):
        price(lambda _: Rates(*(Decimal(chance.randrange(10**12)).scaleb(-9) for _ in Rates.__dataclass_fields__)))
        for _ in range(3):
            counts = Usage(*(chance.choice((0, 1, 999, chance.randrange(10**7))) for _ in TOKEN_CLASSES))
            counts = replace(counts, cache_write_1h_tokens=chance.randint(0, counts.cache_write_tokens))
            room.provider.enqueue(*[answer("", counts)] * chance.randrange(2), *[unknown()] * chance.randrange(2))
            room.provider.enqueue(answer("Roses.", counts))
        turn = body(room.take("@writer @researcher @critic hello", session_id=room.make_session()))
        rows = room.rows("SELECT * FROM usage_ledger WHERE turn_id = %s", turn["id"])
        with localcontext(prec=100):
            for row in rows:
                if row["account"] != "suspense":
                    # Cache tokens for an hour are among the written ones.
                    row["cache_write_tokens"] -= row["cache_write_1h_tokens"]
                    weighed = (row[name] * Decimal(row["rates"][name.removesuffix("_tokens")]) for name in COUNTS)
                    assert row["amount_usd"] * 1_000_000 == sum(weighed)
            for name, account in (("cost_usd", "tenant"), ("platform_cost_usd", "platform")):
                assert Decimal(turn[name]) == sum(row["amount_usd"] for row in rows if row["account"] == account)
            spent += Decimal(turn["cost_usd"])
    assert _totals(room) == spent


def _totals(room: CouncilRoom) -> Decimal:
    """Return the tenant's cost by the usage API."""
    period = Period(hours_ago(24), hours_ago(-24))
    (total,) = load_totals(room.db, room.actor, period, (), PageRequest()).items
    cost: Decimal = total["cost_usd"]
    return cost
