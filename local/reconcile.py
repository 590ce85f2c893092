"""Reconcile a provider's record in a file with the journal, for `pantheon reconcile`.

It prints its changes in calls and in USD. A record that does not match the journal ends as a failure.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg

from local.operations_url import operations_url
from local.postgres import PostgresError
from shared.db.engine import Database, Row
from shared.db.operations.suspense import load_left
from shared.domain.money import format_usd
from shared.errors import PantheonError
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import Findings, Settlement, reconcile
from shared.reconciliation.record_sources import check_plain_log

# The most ids in one message.
_MOST_IDS: Final = 20


class ReconciliationError(Exception):
    """The record does not match the journal, or cannot be read. The text is one line."""


# The exceptions of `reconcile_file`. Each text is written for the user.
RECONCILE_ERRORS: Final = (ReconciliationError, PantheonError, PostgresError, psycopg.Error, OSError)


def reconcile_file(
    path: Path,
    environ: Mapping[str, str],
    provider: str | None,
    silent_after: timedelta,
    say: Callable[[str], None],
    *,
    check: bool,
) -> None:
    """Reconcile with the record of one `provider`, or of all, and print the changes.

    Raises one of RECONCILE_ERRORS. ReconciliationError comes last, after all changes are made and printed."""
    # The printed lines have the findings, so the log must not repeat them.
    logging.getLogger("shared").addHandler(logging.NullHandler())
    if provider is not None:
        check_plain_log(provider)
    with path.open("rb") as log, operations_url(environ) as url:
        db = Database(url)
        try:
            findings = reconcile(db, read_plain_log(log), provider=provider, silent_after=silent_after, check=check)
            left = load_left(db)
        finally:
            db.close()
    for line in _report(findings, left, check=check):
        say(line)
    if faults := [
        f"{len(calls)} {what}{_ids(calls)}"
        for what, calls in (
            ("not in the journal", findings.unjournaled),
            ("with other tokens than the journal has", findings.drifted),
            (f"of another provider than {provider}", findings.foreign),
        )
        if calls
    ]:
        raise ReconciliationError("The record does not match the journal. It has calls: " + "; ".join(faults))
    if findings.unreadable:
        raise ReconciliationError(f"Lines that cannot be read: {findings.unreadable}. No call was set to zero.")


def _ids(calls: Collection[UUID]) -> str:
    more = ", ..." if len(calls) > _MOST_IDS else ""
    return f" ({', '.join(map(str, sorted(calls)[:_MOST_IDS]))}{more})"


def _report(findings: Findings, left: list[Row], *, check: bool) -> Iterator[str]:
    yield f"{'records of our calls':<32}{findings.records:>8}"
    recorded = [each for each in findings.settled.values() if each.recorded]
    silent = [each for each in findings.settled.values() if not each.recorded]
    would_be = "would be " if check else ""
    yield _moved(f"{would_be}moved to their cost", recorded)
    yield _moved(f"{would_be}set to zero, not recorded", silent)
    yield f"{'of turns that have not ended':<32}{len(findings.early):>8}"
    yield ""
    yield "In suspense now:" if left else "Nothing is in suspense."
    for row in left:
        amount = format_usd(row["reserve_usd"])
        model = f"{row['provider']} {row['model_id']}"
        yield f"{model:<32}{row['calls']:>8}  {amount} USD, the oldest of {row['oldest']:%Y-%m-%d %H:%M} UTC"


def _moved(what: str, settled: list[Settlement]) -> str:
    line = f"{what:<32}{len(settled):>8}"
    if not settled:
        return line
    held = sum((each.reserve_usd for each in settled), Decimal(0))
    cost = sum((each.cost_usd for each in settled), Decimal(0))
    return f"{line}  {format_usd(held)} USD were held, the platform pays {format_usd(cost)} USD"
