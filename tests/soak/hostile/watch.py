"""Checks in one snapshot the bounds that always hold: money of each tenant and platform share, active turns and turns
of a minute.

It also checks the promise that an accepted turn's first agent is asked.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg

from shared.db.engine import Row
from shared.db.operations.invariants import EVER, first_id
from shared.settings import budget_settings
from tests.faults.checks import Finding
from tests.soak.hostile.tenants import ACTIVE_TURNS, TURNS_PER_MINUTE

# The bounds are exact, without a tolerance of one call: each call's reserve is held before the call is sent.
_MONTHS = b"""SELECT b.payer, starts_with(b.payer, 'platform:') AS shared, b.spent_usd + b.held_usd AS used,
    coalesce(l.cap_usd, CASE WHEN starts_with(b.payer, 'platform:') THEN %(allowance)s ELSE %(cap)s END) AS most,
    l.cap_usd IS NOT NULL AS hostile
FROM budgets b LEFT JOIN budget_limits l USING (payer)"""
_TURNS = b"""SELECT tenant_id, count(*) FILTER (WHERE completed_at IS NULL) AS active,
    count(*) FILTER (WHERE created_at > clock_timestamp() - interval '1 minute') AS posted
FROM turns WHERE completed_at IS NULL OR id >= %s
GROUP BY tenant_id"""
# A turn is accepted only if its tenant holds money for its first agent. So the budget never refuses that agent.
_BROKEN_PROMISES = b"""SELECT r.turn_id, r.tenant_id
FROM replies r
WHERE r.position = 0 AND r.error_code = 'budget_exceeded' AND r.turn_id >= %s
    AND NOT EXISTS (SELECT FROM llm_calls c WHERE c.turn_id = r.turn_id AND c.purpose = 'agent')"""
# Most turns older than this ended before the last sample. The last look is at all turns.
_LATELY_S = 60.0


@dataclass
class Watch:
    """Samples of the bounds, and the findings.

    `fullest` is the highest part of its cap or allowance that a hostile tenant's month reached. `drawn` is the highest
    part of all their allowances that their shares reached together.
    """

    owner: psycopg.Connection[Row]
    samples: int = 0
    fullest: dict[str, Decimal] = field(default_factory=lambda: {"caps": Decimal(0), "allowances": Decimal(0)})
    drawn: Decimal = Decimal(0)
    active: int = 0
    posted: int = 0
    # The longest time between two samples, in seconds.
    gap_s: float = 0.0
    # The first finding of each kind.
    found: dict[str, Finding] = field(default_factory=dict)
    _looked_at: float | None = None

    def look(self, *, at_all: bool = False) -> None:
        """Take one sample, of the newest turns or at all."""
        now, since = time.monotonic(), EVER if at_all else first_id(time.time() - _LATELY_S)
        if not at_all:
            self.gap_s = max(self.gap_s, now - (self._looked_at or now))
        self.samples, self._looked_at = self.samples + 1, now
        for finding in (*self._money(), *self._turns(), *self._promises(since)):
            self.found.setdefault(finding[0], finding)

    def _money(self) -> Iterator[Finding]:
        values = budget_settings()
        limits = {"cap": values.default_cap_usd, "allowance": values.platform_allowance_usd}
        months = self.owner.execute(_MONTHS, limits).fetchall()
        for row in months:
            kind = "allowances" if row["shared"] else "caps"
            if row["used"] > row["most"]:
                yield kind, f"{row['payer']} has used {row['used']} of {row['most']} USD"
            if row["hostile"]:
                self.fullest[kind] = max(self.fullest[kind], row["used"] / row["most"])
        shares = [row for row in months if row["shared"] and row["hostile"]]
        used, most = sum(row["used"] for row in shares), sum(row["most"] for row in shares)
        if used > most:
            yield "allowances", f"the platform has used {used} of {most} USD for hostile tenants"
        if most:
            self.drawn = max(self.drawn, used / most)

    def _turns(self) -> Iterator[Finding]:
        # Ids are made by clocks of this machine, a moment before `created_at`.
        for row in self.owner.execute(_TURNS, (first_id(time.time() - 2 * _LATELY_S),)):
            self.active, self.posted = max(self.active, row["active"]), max(self.posted, row["posted"])
            if row["active"] > ACTIVE_TURNS:
                yield "active turns", f"{row['tenant_id']} has {row['active']} active turns"
            if row["posted"] > TURNS_PER_MINUTE:
                yield "turns a minute", f"{row['tenant_id']} posted {row['posted']} turns in a minute"

    def _promises(self, since: object) -> Iterator[Finding]:
        for row in self.owner.execute(_BROKEN_PROMISES, (since,)):
            yield "promise", f"turn {row['turn_id']} of {row['tenant_id']} was accepted without money for its agent"
