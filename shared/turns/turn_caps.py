"""Limit the calls, tokens and money of one turn, for all payers and processes together.

The rule this file protects: a call is held against the caps before it is written down, by what the journal in memory
knows, so that no statement is needed for it. Calls and money are bounded; tokens nearly so, since a prompt's are
estimated until its provider has counted them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

from shared.domain.money import ZERO
from shared.llm.port import Request
from shared.llm.tokens import estimate_tokens
from shared.settings import settings
from shared.turns.call import Call

Amount = TypeVar("Amount", int, Decimal)


@dataclass(frozen=True, slots=True)
class Caps:
    """None: no cap. `usd` is in USD."""

    calls: int | None
    tokens: int | None
    usd: Decimal | None

    def fitting(self, made: Sequence[Call], planned: Sequence[tuple[Call, Request]]) -> int:
        """How many of the first planned calls fit beside those that were made."""
        fitting = len(planned)
        if self.calls is not None:
            fitting = min(fitting, max(0, self.calls - len(made)))
        if self.tokens is not None:
            # A call with an unknown outcome has no token counts, so it adds none here.
            used = sum(sum(call.charge().usage.as_dict().values()) for call in made)
            asked = (estimate_tokens(request.messages) + request.max_output_tokens for _, request in planned)
            fitting = min(fitting, _within(self.tokens - used, asked))
        if self.usd is not None:
            spent = sum((call.charge().amount_usd for call in made), ZERO)
            fitting = min(fitting, _within(self.usd - spent, (call.reserve_usd for call, _ in planned)))
        return fitting


def caps() -> Caps:
    """Those of this deployment."""
    values = settings()
    return Caps(values.turn_max_calls or None, values.turn_max_tokens or None, values.turn_max_usd or None)


def _within(room: Amount, amounts: Iterable[Amount]) -> int:
    """How many of the first amounts there is room for."""
    return sum(total <= room for total in accumulate(amounts))
