"""Reconciling: the provider's own record is read, and what it says of calls of unknown outcome is what they cost.

The rules this file protects. The record decides about calls in suspense, and about nothing else: where it differs from
an outcome that is known, that is told and nothing is changed. That a call is not in the record means that it cost
nothing only where the record is known to be there: other calls of its provider, model and hour were found in it, every
line of it could be read, and the call is old enough. A count that its call cannot have taken is a line that cannot be
read. Reading the same record again changes nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Literal
from uuid import UUID

from shared.catalog.deployed import models_behind
from shared.db.engine import Database, Row
from shared.db.operations.suspense import load_calls, load_silent, record_settlement
from shared.db.schema.columns import COUNTS
from shared.domain.money import ZERO, Usage, cost, most_input_within, rates_from_dict
from shared.domain.provider_record import ProviderRecord
from shared.llm.tokens import are_within

logger = logging.getLogger(__name__)

# A provider's record may come late. A call that is not in it by now will not be.
SILENT_AFTER = timedelta(hours=48)
# For a model that is not in the catalog any more: wider than any that there is.
_WIDEST_WINDOW = 10_000_000
_BATCH = 500
_NO_USAGE = Usage()

# A provider, a model id and an hour (UTC) of calls.
Covered = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class Settlement:
    """A call that left suspense: what it held there, and what it cost, in USD. Without a record it cost nothing."""

    call_id: UUID
    status: Literal["succeeded", "unbilled"]
    reserve_usd: Decimal
    cost_usd: Decimal
    recorded: bool


@dataclass(slots=True)
class Findings:
    """The findings of a reconciliation.

    Attributes:
        unreadable: Lines without a readable, priced and credible count.
        early: Calls that their turn still has to post.
        drifted: Calls with a known outcome and other tokens than in the record.
        unjournaled: Calls that the journal lacks.
        foreign: Calls of another provider than the record's.
        covered: Where calls of ours were found.
    """

    records: int = 0
    unreadable: int = 0
    settled: dict[UUID, Settlement] = field(default_factory=dict)
    early: set[UUID] = field(default_factory=set)
    drifted: set[UUID] = field(default_factory=set)
    unjournaled: set[UUID] = field(default_factory=set)
    foreign: set[UUID] = field(default_factory=set)
    covered: set[Covered] = field(default_factory=set)


def reconcile(
    db: Database,
    records: Iterable[ProviderRecord | None],
    *,
    provider: str | None = None,
    silent_after: timedelta = SILENT_AFTER,
    check: bool = False,
) -> Findings:
    """Reconcile with a whole record. None stands for a line that could not be read. With `provider`, the record decides
    about calls of that provider only. With `check`, find the changes and make none. `db` has the role for operations.
    Raises DatabaseUnavailable. Calls that were settled before stay settled, and the next run continues."""
    reconciler = Reconciler(db, provider=provider, check=check)
    reconciler.read(records)
    findings = reconciler.findings
    if not findings.unreadable:
        reconciler.settle_silent(load_silent(db, findings.covered, silent_after.total_seconds()))
    return findings


class Reconciler:
    """One run over a record, a part at a time. `findings` are those of all parts so far."""

    def __init__(self, db: Database, *, provider: str | None = None, check: bool = False) -> None:
        self.findings = Findings()
        self._db = db
        self._provider = provider
        self._check = check

    def read(self, records: Iterable[ProviderRecord | None]) -> None:
        """Settle the calls in suspense that are in `records`."""
        remaining = iter(records)
        while batch := list(islice(remaining, _BATCH)):
            readable = [record for record in batch if record is not None]
            self.findings.records += len(readable)
            self.findings.unreadable += len(batch) - len(readable)
            calls = load_calls(self._db, {record.call_id for record in readable})
            for record in readable:
                self._read(record, calls.get(record.call_id))

    def settle_silent(self, silent: Iterable[Row]) -> None:
        """Settle calls that are not in the record, though it is known to be there: they cost nothing."""
        for row in silent:
            # One that the record does have was not posted yet when it was read.
            if row["call_id"] not in self.findings.early:
                self._settle(Settlement(row["call_id"], "unbilled", row["reserve_usd"], ZERO, recorded=False))

    def _read(self, record: ProviderRecord, row: Row | None) -> None:
        if row is None:
            self._tell(self.findings.unjournaled, record.call_id, "a provider's record of a call without a journal row")
            return
        if self._provider not in (None, row["provider"]):
            self._tell(self.findings.foreign, record.call_id, "a provider's record of another provider's call")
            return
        self.findings.covered.add((row["provider"], row["model_id"], row["hour"]))
        if row["status"] == "unknown" and row["posted"]:
            status: Literal["succeeded", "unbilled"] = "succeeded" if record.billed else "unbilled"
            if (amount := _price(row, record.usage)) is None:
                # What that cost is not known; and the others are not kept from theirs.
                self.findings.unreadable += 1
                return
            settlement = Settlement(record.call_id, status, row["reserve_usd"], amount, recorded=True)
            if self._settle(settlement, record.usage):
                return
            # Somebody was faster.
            row = load_calls(self._db, [record.call_id])[record.call_id]
        if row["status"] in ("intent", "unknown"):
            self.findings.early.add(record.call_id)
        elif record.usage != Usage(**{name: row[name] for name in COUNTS}):
            self._tell(self.findings.drifted, record.call_id, "a provider's record differs from a known outcome")

    def _settle(self, settlement: Settlement, usage: Usage = _NO_USAGE) -> bool:
        """False where the call is not in suspense any more."""
        outcome = {"status": settlement.status, "cost_usd": settlement.cost_usd, **usage.as_counts()}
        if not self._check and not record_settlement(self._db, settlement.call_id, outcome):
            return False
        self.findings.settled.setdefault(settlement.call_id, settlement)
        return True

    @staticmethod
    def _tell(calls: set[UUID], call_id: UUID, what: str) -> None:
        """Once for each call."""
        if call_id not in calls:
            calls.add(call_id)
            logger.error(what, extra={"call_id": str(call_id)})


def _price(row: Row, usage: Usage) -> Decimal | None:
    """In USD, at the rates that stand on the call's row. None, which is told, where they cannot be read, or where the
    call cannot have taken such tokens."""
    told = {"call_id": str(row["call_id"])}
    try:
        rates = rates_from_dict(row["rates"])
        amount, sent = cost(rates, usage), most_input_within(rates, row["reserve_usd"])
    except (AttributeError, TypeError, ArithmeticError):
        logger.error("a call's own rates cannot be read", extra=told)  # noqa: TRY400 its text may be anything
        return None
    models = models_behind(row["provider"], row["model_id"])
    window = max((model.context_window for model in models), default=_WIDEST_WINDOW)
    asked = max((model.max_output_tokens for model in models), default=0)
    if not are_within(usage, max(window, sent or 0), asked):
        logger.error("a provider's record counts what its call cannot have taken", extra=told)
        return None
    return amount
