"""Lambda entry point of the sweeper, every minute: it emits gauges, sends turns that nobody runs to the queue, deletes
sessions that nobody has touched for long and API keys that ended long ago, rolls up the ledger, and checks the
invariants.

The gauges come first, so that what is due is counted before it is sent; the invariants last, so that nothing waits
for them.
"""

from typing import Any

from functions.start import importing

with importing():
    from functions.dispatch import dispatch
    from shared import telemetry
    from shared.db.engine import operations_database
    from shared.db.operations.dispatch import load_activity
    from shared.names import Metric
    from shared.operations.costs import load_gauges, log_allowances, measure_platform
    from shared.operations.retention import delete_untouched, remove_keys
    from shared.operations.sweep import check_invariants, dispatch_due, free_leftover_holds, roll_up_due
    from shared.settings import operations_settings

# What each of these may take of a minute, in seconds.
_DISPATCH_S = 20.0
_RETENTION_S = 10.0
_ROLL_UP_S = 10.0
_LEFTOVERS_S = 2.0
# How many hours of the ledger may be rolled up in one go: one an hour is due, and more only after a stop.
_HOURS = 24


def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    db = operations_database()
    activity = load_activity(db)
    telemetry.measure(
        {
            Metric.ACTIVE_TURNS: activity.active,
            Metric.DUE_TURNS: activity.due,
            Metric.OLDEST_ACTIVE_TURN: activity.oldest_s,
        }
    )
    measure_platform(db)
    for values, dimensions in load_gauges(db):
        telemetry.measure(values, dimensions)
    log_allowances(db)
    dispatched = dispatch_due(db, dispatch, _DISPATCH_S)
    kept = operations_settings()
    deleted = delete_untouched(db, kept.retention_days, _RETENTION_S)
    deleted += delete_untouched(db, kept.implicit_session_days, _RETENTION_S, implicit=True)
    remove_keys(db)
    roll_up_due(db, _HOURS, _ROLL_UP_S)
    free_leftover_holds(db, _LEFTOVERS_S)
    check = check_invariants(db)
    telemetry.measure({Metric.BROKEN_INVARIANTS: len(check.broken), Metric.UNCHECKED_INVARIANTS: len(check.unchecked)})
    found = {"broken": list(check.broken), "unchecked": list(check.unchecked)}
    return {"dispatched": dispatched, "deleted": deleted, **found}
