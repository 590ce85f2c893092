"""Compare the real handlers behind the gateway with the OpenAPI document, by schemathesis over HTTP.

Its requests come alone and in the sequences that the document links. Each answer is held to the document by all checks.

The copy of the document names this deployment's aliases and agents, so that a request that it calls valid is valid.
`_CONFIG` has the reason for each rule that no schema can express.
"""

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from functions.api.status import OPENAPI
from local import process
from local.stack import Stack
from shared.db.operations.invariants import INVARIANTS
from tests.faults.checks import Finding
from tests.soak.row import Amount, Outcome, SoakRow
from tests.support.fake_provider import FakeProvider
from tests.support.processes import eventually
from tests.support.stack.tenant import agent, open_client, with_provider

_AGENTS = ("writer", "critic", "researcher")
# Schemathesis tries a thousand cases systematically, whatever the setting; the others are per operation.
_SYSTEMATIC = 1000
_EXAMPLES_PER_CASE = 1 / 30
_MOST_GOES = 10
_CONFIG = """
[checks]
# Nothing is judged by the clock.
max_response_time = 3600

[checks.negative_data_rejection]
# The gateway refuses a request line that is too long, and a path that names nothing is not found.
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "431"]

# No schema says that a cursor was given out, that a day is in the calendar, that a session has an agent, that a limit
# is below the cap, that 4.0 is no integer here, that a name is printable or that a key expires in the future.
[[operations]]
include-path-regex = "v1/(agents|api-keys|councils|sessions|usage)|/turns$|/admin/(usage|turns|suspense)$|v1/budget$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "402", "403", "404", "409", "410", "413", "422", "429", "431"]

# No schema says which fields of OpenAI's messages go together, or what a method of MCP takes.
[[operations]]
include-path-regex = "^/v1/chat/completions$|^/mcp$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "402", "403", "404", "409", "410", "413", "415", "422", "429", "431"]
"""
_ACTIVE = "SELECT id FROM turns WHERE status IN ('accepted', 'running')"


def run(amount: Amount) -> Outcome:
    directory = amount.directory / "stack"
    cases, answers, found = 0, Counter[str](), list[Finding]()
    with FakeProvider() as provider, Stack.start(with_provider(provider, directory)) as stack:
        token = stack.token(tenant="soak", roles=("member", "admin", "operator"))
        with open_client(stack.url, token) as http:
            for key in _AGENTS:
                http.post("agents", json=agent(key)).raise_for_status()
        # Some operations have fewer possible requests than they may try, so several runs may be needed.
        for go in range(_MOST_GOES):
            report = amount.directory / f"report-{go}.ndjson"
            said = _try(replace(amount, wanted=amount.wanted - cases, seed=amount.seed + go), stack.url, token, report)
            made, answered, failed = _read(report)
            cases, answers, found = cases + made, answers + answered, [*found, *failed]
            if not made:
                found.append(("not tried", said))
            if cases >= amount.wanted or not made:
                break
        found += _left_behind(stack, provider)
    figures = {"answers": ", ".join(f"{count:,} {status}" for status, count in sorted(answers.items()))}
    return Outcome(cases, found, figures)


def _document() -> dict[str, Any]:
    """Return the document with this deployment's aliases and agents."""
    described: dict[str, Any] = json.loads(OPENAPI.read_text())
    schemas = described["components"]["schemas"]
    for body in ("AgentBody", "NewAgent"):
        schemas[body]["properties"]["model_alias"]["enum"] = ["fast", "deep"]
    for name in ("NewSession", "SessionChange", "NewTurn"):
        keys = schemas[name]["properties"]["agent_keys"]
        for roster in (keys, *keys.get("anyOf", ())):
            if "items" in roster:
                roster["items"]["enum"] = list(_AGENTS)
    return described


def _try(amount: Amount, url: str, token: str, report: Path) -> str:
    """Run schemathesis once, and return the end of its output."""
    document, config = amount.directory / "openapi.json", amount.directory / "schemathesis.toml"
    document.write_text(json.dumps(_document()))
    config.write_text(_CONFIG)
    options = {
        "--url": url,
        "--header": f"Authorization: Bearer {token}",
        "--checks": "all",
        "--phases": "coverage,fuzzing,stateful" if amount.wanted > _SYSTEMATIC else "fuzzing,stateful",
        "--max-examples": str(max(2, round(amount.wanted * _EXAMPLES_PER_CASE))),
        "--workers": "2",
        "--seed": str(amount.seed),
        "--report": "ndjson",
        "--report-ndjson-path": str(report),
        "--generation-database": "none",
    }
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", str(document)]
    given = [word for option in options.items() for word in option]
    command += [*given, "--continue-on-failure", "--no-color"]
    said = amount.directory / "said.log"
    with said.open("wb") as output:
        # Schemathesis stores its examples in its working directory.
        process.spawn(command, output=output, cwd=amount.directory, env=os.environ).wait()
    return said.read_text(errors="replace")[-2000:]


def _read(report: Path) -> tuple[int, Counter[str], list[Finding]]:
    """Return the number of requests, the answers, and the failures of checks."""
    cases, answers, found = 0, Counter[str](), list[Finding]()
    for line in report.read_text(encoding="utf-8").splitlines() if report.exists() else ():
        recorded = json.loads(line).get("ScenarioFinished", {}).get("recorder") or {}
        cases += len(recorded.get("cases", ()))
        for exchange in recorded.get("interactions", {}).values():
            answers[str((exchange.get("response") or {}).get("status_code", "none"))] += 1
        for case_id, checks in recorded.get("checks", {}).items():
            case = recorded["cases"][case_id]["value"]
            for check in checks:
                if check["status"] != "success":
                    answer = recorded["interactions"].get(case_id, {}).get("response")
                    found.append((check["name"], f"{json.dumps(case)[:900]} was answered {json.dumps(answer)[:900]}"))
    return cases, answers, found


def _left_behind(stack: Stack, provider: FakeProvider) -> list[Finding]:
    """Check that every turn ends, that the journal has each request to the provider, and that the invariants hold."""
    with psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as owner:
        eventually(lambda: not owner.execute(_ACTIVE.encode()).fetchall())
        journal = {str(row["call_id"]) for row in owner.execute("SELECT call_id FROM llm_calls")}
        lost = {row.client_request_id for row in provider.rows} - journal
        broken = {name: owner.execute(query.encode()).fetchall() for name, query in INVARIANTS.items()}
    found = [("lost", f"calls {lost} are not in the journal")] if lost else []
    return found + [("invariant", f"{name}: {rows[:3]}") for name, rows in broken.items() if rows]


ROW = SoakRow("the OpenAPI document, stateful, all checks", "cases", 10_000, 100, run)
