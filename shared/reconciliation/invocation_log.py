"""Reconcile with Bedrock's invocation log: the due hours, object by object, while there is time.

The progress is stored after each object, so that the next invocation continues there. A damaged object counts as an
unreadable line. Calls without a record are settled only after every due hour was read.
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

# Seconds that the current object has when no further one is begun.
_MARGIN_S: Final = 60.0


def reconcile_invocation_log(
    reconciler: Reconciler, db: Database, log: InvocationLog, stage: str, seconds_left: Callable[[], float]
) -> bool:
    """Read the due hours of the log with `reconciler`, and add to its findings. Returns False if the time was too
    short. Raises errors of the database and S3; finished work stays."""
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
    """Read one hour. Returns False if the time is over."""
    findings, reading = reconciler.findings, record_reading(db, hour)
    for key in log.keys(hour, reading.last_key):
        if seconds_left() < _MARGIN_S:
            return False
        before = findings.unreadable
        reconciler.read(_records(log, key, stage))
        models = sorted(covered_model(provider, model) for provider, model, made in findings.covered if made == hour)
        if not record_object(db, reading, key, models, findings.unreadable - before):
            # Another reader has started this hour again.
            return True
    record_end(db, reading)
    return True


def _records(log: InvocationLog, key: str, stage: str) -> Iterator[ProviderRecord | None]:
    try:
        with log.open(key) as unpacked:
            yield from read_invocation_log(unpacked, stage)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        yield None
