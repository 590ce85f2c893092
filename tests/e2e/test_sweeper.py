"""Tests the sweeper in the local stack: it runs at the start, in an environment of its own."""

import json
import os
from pathlib import Path
from typing import Any

from local.stack import Stack
from shared.names import Env, Metric
from tests.support.processes import eventually, family_of
from tests.support.stack.tenant import open_client

GAUGES = {
    Metric.ACTIVE_TURNS,
    Metric.DUE_TURNS,
    Metric.OLDEST_ACTIVE_TURN,
    Metric.BROKEN_INVARIANTS,
    Metric.UNCHECKED_INVARIANTS,
}


def emitted(stack: Stack) -> dict[str, float]:
    """The last value of every metric in the sweeper's log."""
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (stack.log_dir / "sweeper.log").read_text().splitlines() if '"_aws"' in line
    ]
    names = [(line, metric["Name"]) for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    return {name: line[name][0] for line, name in names}


def test_sweeper_runs_at_the_start_and_emits_its_gauges(stack: Stack) -> None:
    found = eventually(lambda: emitted(stack) if set(emitted(stack)) >= GAUGES else None)
    assert (found[Metric.BROKEN_INVARIANTS], found[Metric.UNCHECKED_INVARIANTS]) == (0, 0)


def test_a_function_has_the_address_of_one_role(stack: Stack) -> None:
    with open_client(stack.url, stack.token(roles=("operator",))) as http:
        # Its first request starts its function.
        assert http.get("admin/turns").status_code == 200
    found: dict[str, set[str]] = {}
    for pid in family_of(os.getpid()):
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
        environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)
        if function := environment.get("AWS_LAMBDA_FUNCTION_NAME"):
            roles = (Env.APP_DATABASE_URL, Env.OPS_DATABASE_URL, Env.OPERATOR_DATABASE_URL, Env.AUTH_DATABASE_URL)
            addresses = {"PANTHEON_DATABASE_URL", *(name.value for name in roles)}
            found.setdefault(function, set()).update(addresses & environment.keys())
    app, ops = {Env.APP_DATABASE_URL.value}, {Env.OPS_DATABASE_URL.value}
    operator, auth = {Env.OPERATOR_DATABASE_URL.value}, {Env.AUTH_DATABASE_URL.value}
    tenants = {"api": app, "turns": app, "worker": app}
    assert found == {**tenants, "sweeper": ops, "admin": operator, "authorizer": auth}
