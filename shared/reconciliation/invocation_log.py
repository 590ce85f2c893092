"""Reconciling with Bedrock's invocation log: the hours that are due, object by object, as long as there is time.

The rules this file protects. What was read is written down after each object, so that the next invocation goes on
there. An object that is damaged counts as a line that cannot be read. Of a call that is not in the log nothing is
concluded before every hour that is due was read.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from shared.aws.invocation_log import InvocationLog
from shared.db.engine import Database
from shared.db.operations.log_hours import (
    covered_model,
    load_due_hours,
    load_silent_in_log,
    record_end,
    record_object,
    record_reading,
)
from shared.domain.provider_record import ProviderRecord
from shared.reconciliation.bedrock_log import read_invocation_log
from shared.reconciliation.reconcile import SILENT_AFTER, Reconciler
from shared.reconciliation.record_sources import invocation_log_providers

# What is left for the object in hand when no further one is begun.
_MARGIN_S: Final = 60.0


def reconcile_invocation_log(
    reconciler: Reconciler, db: Database, log: InvocationLog, stage: str, seconds_left: Callable[[], float]
) -> bool:
    """Read what is due of the log with `reconciler`, whose findings grow meanwhile. False where the time was too short
    for all of it. Raises what the database and S3 raise; what was done by then stays done."""
    age_s, providers = SILENT_AFTER.total_seconds(), invocation_log_providers()
    for hour in load_due_hours(db, age_s, providers):
        if seconds_left() < _MARGIN_S or not _read_hour(reconciler, db, log, stage, seconds_left, hour):
            return False
    reconciler.settle_silent(load_silent_in_log(db, age_s, providers))
    return True


def _read_hour(
    reconciler: Reconciler,
    db: Database,
    log: InvocationLog,
    stage: str,
    seconds_left: Callable[[], float],
    hour: datetime,
) -> bool:
    """False where the time is over."""
    findings, reading = reconciler.findings, record_reading(db, hour)
    for key in log.keys(hour, reading.last_key):
        if seconds_left() < _MARGIN_S:
            return False
        before = findings.unreadable
        reconciler.read(_records(log, key, stage))
        models = sorted(covered_model(provider, model) for provider, model, made in findings.covered if made == hour)
        if not record_object(db, reading, key, models, findings.unreadable - before):
            # Somebody else reads this hour, from its beginning.
            return True
    record_end(db, reading)
    return True


def _records(log: InvocationLog, key: str, stage: str) -> Iterator[ProviderRecord | None]:
    try:
        with log.open(key) as unpacked:
            yield from read_invocation_log(unpacked, stage)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        yield None
