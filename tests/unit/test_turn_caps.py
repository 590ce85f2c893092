"""Tests the caps of one turn on calls, tokens and money."""

from decimal import Decimal
from uuid import uuid4

import pytest

from shared.catalog import Model, Rates
from shared.domain.money import Usage
from shared.llm.port import Completion, Message, Request
from shared.orchestration.steps import Ask
from shared.turns.call import Call, new_call
from shared.turns.turn_caps import Caps

# A dollar for a million tokens, and a message of which about 300 tokens are estimated, and 1000 are held.
MODEL = Model("fast", "scripted", "scripted", "fast", 8000, 1000, 10.0, Rates(*[Decimal(1)] * 5))
MESSAGES = (Message("user", "x" * (1000 - 16 - 64)),)
ESTIMATED, RESERVED = 323, Decimal("0.001100")


def planned(output_tokens: int = 100) -> tuple[Call, Request]:
    request = Request(str(uuid4()), str(uuid4()), MODEL, MESSAGES, output_tokens)
    ask = Ask(0, "agent", MODEL.alias, output_tokens, None, lambda _: MESSAGES)
    return new_call(ask, request, 1), request


def made(usage: Usage) -> Call:
    call, _ = planned()
    return call.finished(Completion("succeeded", "An answer.", "end_turn", usage), None, "reply")


PLANNED = [planned(), planned(), planned()]
# 210 tokens and as many millionths of a dollar, of every class.
MADE = made(Usage(20, 30, 40, 50, 70))
# Of a call that died with its process nobody knows the tokens; it may have cost what was held for it.
DIED = planned()[0]
TOKENS, USD = 210, Decimal("0.000210")


@pytest.mark.parametrize(
    ("made", "cap", "fitting"),
    [([], 4, 3), ([], 3, 3), ([], 2, 2), ([MADE, DIED], 4, 2), ([MADE, DIED], 2, 0), ([MADE, DIED], 1, 0)],
)
def test_cap_on_calls_counts_calls_of_every_outcome(made: list[Call], cap: int, fitting: int) -> None:
    assert Caps(cap, None, None).fitting(made, PLANNED) == fitting


@pytest.mark.parametrize(
    ("made", "used"), [([], 0), ([MADE], TOKENS), ([MADE, DIED, MADE], 2 * TOKENS)], ids=["none", "one", "two"]
)
@pytest.mark.parametrize("fitting", [1, 2, 3])
def test_cap_on_tokens_adds_counted_and_estimated_tokens(made: list[Call], used: int, fitting: int) -> None:
    cap = used + fitting * (ESTIMATED + 100)
    assert Caps(None, cap, None).fitting(made, PLANNED) == fitting
    assert Caps(None, cap - 1, None).fitting(made, PLANNED) == fitting - 1


@pytest.mark.parametrize(
    ("made", "spent"), [([], Decimal(0)), ([MADE], USD), ([MADE, DIED], USD + RESERVED)], ids=["none", "one", "two"]
)
@pytest.mark.parametrize("fitting", [1, 2, 3])
def test_cap_on_money_adds_spent_and_held_money(made: list[Call], spent: Decimal, fitting: int) -> None:
    cap = spent + fitting * RESERVED
    assert Caps(None, None, cap).fitting(made, PLANNED) == fitting
    assert Caps(None, None, cap - Decimal("0.000001")).fitting(made, PLANNED) == fitting - 1


@pytest.mark.parametrize(
    ("caps", "fitting"),
    [
        (Caps(None, None, None), 3),
        (Caps(2, 10**6, Decimal(1)), 2),
        (Caps(9, ESTIMATED + 100, Decimal(1)), 1),
        (Caps(9, 10**6, RESERVED), 1),
        (Caps(1, 2 * (ESTIMATED + 100), 2 * RESERVED), 1),
        (Caps(2, ESTIMATED + 100, 2 * RESERVED), 1),
    ],
)
def test_tightest_of_several_caps_applies(caps: Caps, fitting: int) -> None:
    assert caps.fitting([], PLANNED) == fitting
