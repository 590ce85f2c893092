"""What one turn may take at most: calls, tokens, money. Whoever pays for them, and whichever process made them.

The rule this file protects: a call is held against the caps before it is written down, by what the journal in memory
knows, so that no statement is needed for it. Calls and money are bounded; tokens nearly so, since a prompt's are
estimated until its provider has counted them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from shared.domain.money import ZERO
from shared.llm.port import Request
from shared.llm.tokens import estimate_tokens
from shared.settings import settings
from shared.turns.call import Call


@dataclass(frozen=True, slots=True)
class Caps:
    """None: no cap. `usd` is in USD."""

    calls: int | None
    tokens: int | None
    usd: Decimal | None

    def fitting(self, made: Sequence[Call], planned: Sequence[tuple[Call, Request]]) -> int:
        """How many of the first planned calls fit beside those that were made."""
        charges = [call.charge() for call in made]
        calls, usd = len(made), sum((charge.amount_usd for charge in charges), ZERO)
        # Of an outcome that nobody knows, no tokens are.
        tokens = sum(sum(charge.usage.as_dict().values()) for charge in charges)
        for count, (call, request) in enumerate(planned):
            calls, usd = calls + 1, usd + call.reserve_usd
            tokens += estimate_tokens(request.messages) + request.max_output_tokens
            if _over(calls, self.calls) or _over(tokens, self.tokens) or _over(usd, self.usd):
                return count
        return len(planned)


def caps() -> Caps:
    """Those of this deployment."""
    values = settings()
    return Caps(values.turn_max_calls or None, values.turn_max_tokens or None, values.turn_max_usd or None)


def _over(amount: int | Decimal, cap: int | Decimal | None) -> bool:
    return cap is not None and amount > cap
