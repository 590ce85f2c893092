"""Lambda entry point of the reconciler, every hour: what was in suspense is what the provider's own log says it cost.

Bedrock alone has such a log. A stage without models on Bedrock is told none, and only counts the calls in suspense.
What it found is counted whatever happens to it, and zeros too: an alarm on what should never be must see them.
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
    except Exception as error:
        telemetry.report("log not reconciled", error)
        raise
    finally:
        telemetry.count(Metric.RECONCILED_CALLS, len(found.settled))
        telemetry.count(Metric.UNJOURNALED_CALLS, len(found.unjournaled))
        telemetry.count(Metric.DRIFTED_CALLS, len(found.drifted))
        telemetry.count(Metric.UNREADABLE_RECORDS, found.unreadable)
    left = sum(row["calls"] for row in load_left(db))
    telemetry.count(Metric.SUSPENDED_CALLS, left)
    return {"finished": finished, "records": found.records, "settled": len(found.settled), "left": left}


def _has_log() -> bool:
    """Whether there is a log to read. A stage that asks Bedrock must be told where its log is."""
    return variable(Env.INVOCATION_LOG) is not None or any(model.kind == "bedrock" for model in catalog().values())


def _reconcile(reconciler: Reconciler, db: Database, context: Any) -> bool:
    """Read what is new in the log. False where the time was too short for all of it."""
    stage = invocation_log_settings().stage
    return reconcile_invocation_log(
        reconciler, db, invocation_log(), stage, lambda: context.get_remaining_time_in_millis() / 1000
    )
