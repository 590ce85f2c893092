"""Lambda entry point of the reconciler, which settles calls in suspense by Bedrock's invocation log every hour.

Without models on Bedrock, it only counts the calls in suspense. It emits its counts after a failure too, and also
zeros, because alarms need a value from each run.
"""

from typing import Any

from functions.start import importing

with importing():
    from shared import telemetry
    from shared.aws.invocation_log import invocation_log
    from shared.catalog import catalog
    from shared.db.engine import Database, operations_database
    from shared.db.operations.suspense import load_left
    from shared.names import Env, Metric
    from shared.reconciliation.invocation_log import reconcile_invocation_log
    from shared.reconciliation.reconcile import Reconciler
    from shared.settings import invocation_log_settings, variable


def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    db = operations_database()
    reconciler = Reconciler(db)
    found = reconciler.findings
    try:
        finished = not _has_log() or _reconcile(reconciler, db, context)
        left = sum(row["calls"] for row in load_left(db))
    except Exception as error:
        telemetry.report("log not reconciled", error)
        telemetry.count_failure()
        raise
    finally:
        telemetry.count(Metric.RECONCILED_CALLS, len(found.settled))
        telemetry.count(Metric.UNJOURNALED_CALLS, len(found.unjournaled))
        telemetry.count(Metric.DRIFTED_CALLS, len(found.drifted))
        telemetry.count(Metric.UNREADABLE_RECORDS, found.unreadable)
    telemetry.count(Metric.SUSPENDED_CALLS, left)
    telemetry.count_success()
    return {"finished": finished, "records": found.records, "settled": len(found.settled), "left": left}


def _has_log() -> bool:
    """Return whether there is a log to read. A stage with models on Bedrock must set its place."""
    return variable(Env.INVOCATION_LOG) is not None or any(model.kind == "bedrock" for model in catalog().values())


def _reconcile(reconciler: Reconciler, db: Database, context: Any) -> bool:
    """Read the new part of the log. Return False if the time was too short for all of it."""
    stage = invocation_log_settings().stage
    return reconcile_invocation_log(
        reconciler, db, invocation_log(), stage, lambda: context.get_remaining_time_in_millis() / 1000
    )
