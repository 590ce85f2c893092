"""Lambda entry point of the sweeper, which runs every minute: it runs the phases, then checks the invariants.

If a phase fails, it is logged and the next phase runs. The invariants always run, in their own time. A run with a
failed phase counts as one failure.
"""

from typing import Any

from functions.start import importing

with importing():
    from functions.sweeper.phases import PHASES, SECONDS, Phase
    from shared import telemetry
    from shared.db.engine import Database, operations_database
    from shared.db.operations.invariants import INVARIANTS
    from shared.names import Metric
    from shared.operations.sweep import Check, check_invariants


def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    telemetry.begin(context.aws_request_id, context)
    db = operations_database()
    failed: list[str] = []
    counts = {phase.name: _run(phase, db, failed) for phase in PHASES}
    check = _check(db, failed)
    telemetry.measure({Metric.BROKEN_INVARIANTS: len(check.broken), Metric.UNCHECKED_INVARIANTS: len(check.unchecked)})
    # One failure for each run, because the alarm's threshold counts runs.
    if failed:
        telemetry.count_failure()
    else:
        telemetry.count_success()
    found = {"broken": list(check.broken), "unchecked": list(check.unchecked), "failed": failed}
    return {"dispatched": counts["dispatch"], "deleted": counts["sessions"], **found}


def _run(phase: Phase, db: Database, failed: list[str]) -> int:
    """Run a phase. Return its count, and add its name to `failed` if it raises."""
    try:
        return phase.run(db, SECONDS[phase.name]) or 0
    except Exception as error:  # noqa: BLE001 the later phases run after any error
        _report(phase.name, phase.failure, error, failed)
        return 0


def _check(db: Database, failed: list[str]) -> Check:
    """Check the invariants. If the check fails, return all of them as unchecked."""
    try:
        return check_invariants(db, SECONDS["invariants"])
    except Exception as error:  # noqa: BLE001 the metric must be emitted, because its alarm reads it
        _report("invariants", "invariants not checked", error, failed)
        return Check([], list(INVARIANTS))


def _report(name: str, failure: str, error: Exception, failed: list[str]) -> None:
    telemetry.report(failure, error, phase=name)
    failed.append(name)
