"""Tests rosters as code over HTTP: `pantheon apply` and `pantheon export` against the local stack."""

import re
import shlex
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.e2e.test_cli import PANTHEON, TIMEOUT_S, pantheon
from tests.e2e.test_cli import environ as environ  # noqa: PLC0414 a fixture
from tests.support.processes import eventually
from tests.support.rosters import roster_file
from tests.support.stack.tenant import Tenant, agent

ROSTER = '''
[agents.scribe]
name = "Scribe"
role_prompt = """
You write what was said.
Leave nothing out."""
model_alias = "fast"
max_output_tokens = 500

[agents.judge]
name = "Judge"
role_prompt = "You decide."
model_alias = "deep"

[councils.court]
name = "Court"
mode = "council"
agent_keys = ["scribe", "judge"]
chair_key = "judge"
'''
SOMEBODY = """WITH theirs AS (
        INSERT INTO agent_versions (tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens,
            temperature, enabled, pinned)
        SELECT tenant_id, key, 2, 'Theirs', role_prompt, model_alias, max_output_tokens, temperature, enabled, false
        FROM agent_versions WHERE tenant_id = %s RETURNING tenant_id, key)
    UPDATE agents a SET version = 2 FROM theirs WHERE a.tenant_id = theirs.tenant_id AND a.key = theirs.key"""
Ran = subprocess.CompletedProcess[str]


class Command:
    """The command as the tenant's admin, with a file."""

    def __init__(self, told: dict[str, str], folder: Path) -> None:
        self.told = told
        self.folder = folder

    def apply(self, text: str, *options: str, **variables: str) -> Ran:
        path = roster_file(self.folder, text)
        return pantheon(self.told | variables, "apply", str(path), *options)

    def export(self) -> str:
        ran = pantheon(self.told, "export")
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout


@pytest.fixture
def command(stack: Stack, tenant: Tenant, environ: dict[str, str], tmp_path: Path) -> Command:
    told = {"PANTHEON_URL": stack.url, "PANTHEON_TOKEN": stack.token(tenant=tenant.id)}
    return Command(environ | told, tmp_path)


def versions(tenant: Tenant) -> dict[str, int]:
    """The version of every agent and council."""
    lists = (tenant.http.get(group).json()["items"] for group in ("agents", "councils"))
    return {entry["key"]: entry["version"] for entries in lists for entry in entries}


@contextmanager
def waiting_apply(command: Command, tenant: Tenant) -> Iterator[subprocess.Popen[str]]:
    """The command, while its first write waits for the tenant's lock. The lock is released at the end."""
    path, pipe = roster_file(command.folder, ROSTER), subprocess.PIPE
    with tenant.owner.transaction():
        tenant.owner.execute(b"SELECT FROM tenants WHERE tenant_id = %s FOR UPDATE", [tenant.id])
        running = subprocess.Popen(
            [*PANTHEON, "apply", str(path)], env=command.told, text=True, stdout=pipe, stderr=pipe
        )
        eventually(lambda: tenant.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        yield running


def test_a_file_is_applied_once_and_changes_nothing_again(command: Command, tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = command.apply(ROSTER)
    assert (first.returncode, first.stderr) == (0, "")
    assert re.findall(r"^\+ .*", first.stdout, re.MULTILINE) == [
        "+ [agents.judge]",
        "+ [agents.scribe]",
        "+ [councils.court]",
    ]
    scribe = tenant.http.get("agents/scribe").json()
    assert scribe["role_prompt"] == "You write what was said.\nLeave nothing out."
    assert (scribe["temperature"], scribe["max_output_tokens"], scribe["enabled"]) == (None, 500, True)
    court = tenant.http.get("councils/court").json()
    assert (court["agent_keys"], court["chair_key"], court["fan_out"]) == (["scribe", "judge"], "judge", "sequential")
    again = command.apply(ROSTER)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "= 3 unchanged")
    assert versions(tenant) == {"writer": 1, "scribe": 1, "judge": 1, "court": 1}


def test_a_change_makes_one_version_of_the_entry_that_differs(command: Command, tenant: Tenant) -> None:
    command.apply(ROSTER)
    ran = command.apply('[agents.scribe]\nmax_output_tokens = 700\n[agents.judge]\nname = "Judge"\n')
    assert ran.stdout.splitlines()[:3] == ["~ [agents.scribe]", "    max_output_tokens: 500 -> 700", "= 1 unchanged"]
    assert versions(tenant) == {"scribe": 2, "judge": 1, "court": 1}
    assert tenant.http.get("agents/scribe").json()["name"] == "Scribe"


def test_a_dry_run_changes_nothing_and_its_exit_code_says_whether_there_is_a_difference(
    command: Command, tenant: Tenant
) -> None:
    codes = [command.apply(ROSTER, "--dry-run", *more).returncode for more in ((), ("--exit-code",))]
    assert (codes, versions(tenant)) == ([0, 2], {})
    command.apply(ROSTER)
    same = command.apply(ROSTER, "--dry-run", "--exit-code")
    assert (same.returncode, "Nothing was changed." in same.stdout) == (0, True)


def test_exit_code_without_a_dry_run_is_an_error_that_writes_nothing(command: Command, tenant: Tenant) -> None:
    ran = command.apply(ROSTER, "--exit-code")
    assert (ran.returncode, ran.stderr) == (1, "pantheon: --exit-code needs --dry-run.\n")
    assert versions(tenant) == {}


def test_a_file_with_faults_writes_nothing_and_shows_each(command: Command, tenant: Tenant) -> None:
    ran = command.apply(ROSTER + '[agents.third]\nname = "Third"\nrole_prompt = "x"\nmodel_alias = "wise"\nage = 3\n')
    path = command.folder / "roster.toml"
    assert (ran.returncode, ran.stderr) == (1, f"{path}: [agents.third] age: is not a field of this table\n")
    bad = command.apply(ROSTER.replace('"deep"', '"wise"').replace('["scribe",', '["scribe", "nobody",'))
    assert bad.stderr.splitlines() == [
        f"{path}: [agents.judge] model_alias: must be one of: fast, deep.",
        f"{path}: [councils.court] agent_keys: there is no agent nobody, neither in the file nor at the stage",
    ]
    assert versions(tenant) == {}


def test_a_write_that_fails_in_the_middle_leaves_the_stage_as_it_was(command: Command, tenant: Tenant) -> None:
    """GET /models does not say that `deep` takes no temperature. So the stage refuses the third write."""
    tenant.make_agents("judge")
    before = tenant.http.get("agents/judge").json()
    refused = '[agents.zoe]\nname = "Zoe"\nrole_prompt = "x"\nmodel_alias = "deep"\ntemperature = 0.5\n'
    ran = command.apply(ROSTER + refused)
    assert ran.returncode == 1
    assert ran.stderr.startswith("pantheon: [agents.zoe] 422 invalid_request: body.temperature must be null")
    assert ran.stdout.splitlines()[-2:] == [
        "[agents.scribe] is deleted again.",
        "[agents.judge] is as it was before, now as version 3.",
    ]
    assert tenant.http.get("agents/judge").json() == before | {"version": 3}
    assert versions(tenant) == {"judge": 3}


def test_an_entry_that_changes_between_read_and_write_is_not_overwritten(command: Command, tenant: Tenant) -> None:
    """The command's write waits for the tenant's lock. Meanwhile another user makes another version."""
    tenant.make_agents("scribe")
    with waiting_apply(command, tenant) as running:
        tenant.owner.execute(SOMEBODY.encode(), [tenant.id])
    told, failed = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 1
    assert failed.startswith("pantheon: [agents.scribe] 412 version_mismatch: ")
    assert told.splitlines()[-1] == "[agents.judge] is deleted again."
    assert tenant.http.get("agents/scribe").json()["name"] == "Theirs"
    assert versions(tenant) == {"scribe": 2}


def test_an_export_applied_again_changes_nothing(command: Command, tenant: Tenant) -> None:
    odd = ['"', "\\", '"""', "a\r\nb", "\n\n", "\t x ", "\u2028\u202e\u200d", "#[x]", "'''\n'", 'é"\n"', "\x1b[2J\x85"]
    for number, prompt in enumerate(odd):
        body = agent(f"odd{number}", name=f"Odd {number} 'é\" #", role_prompt=prompt, enabled=number % 2 == 0)
        assert tenant.http.post("agents", json=body).status_code == 201
    council = {"key": "board", "name": "[Board]", "mode": "tag", "agent_keys": ["odd3", "odd1"], "fan_out": "parallel"}
    assert tenant.http.post("councils", json=council).status_code == 201
    before, text = versions(tenant), command.export()
    assert command.export() == text
    assert "version" not in text
    ran = command.apply(text)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, f"= {len(odd) + 1} unchanged"), ran.stdout
    assert versions(tenant) == before


def test_an_exported_roster_makes_the_same_roster_for_another_tenant(
    stack: Stack, command: Command, tenant: Tenant
) -> None:
    command.apply(ROSTER)
    text = command.export()
    other = stack.token(tenant=f"other-{tenant.id}")
    assert command.apply(text, PANTHEON_TOKEN=other).returncode == 0
    assert pantheon(command.told | {"PANTHEON_TOKEN": other}, "export").stdout == text


def test_an_admins_key_applies_and_a_member_only_compares(stack: Stack, command: Command, tenant: Tenant) -> None:
    def key(role: str) -> str:
        made: dict[str, Any] = tenant.http.post("api-keys", json={"name": "CI", "role": role}).json()
        return str(made["key"])

    for token in (key("member"), stack.token(tenant=tenant.id, roles=("member",))):
        assert command.apply(ROSTER, "--dry-run", "--exit-code", "--token", token).returncode == 2
        refused = command.apply(ROSTER, "--token", token)
        assert (refused.returncode, versions(tenant)) == (1, {})
        assert "403 forbidden" in refused.stderr
        assert "--role admin" in refused.stderr
    assert command.apply(ROSTER, "--token", key("admin")).returncode == 0
    assert len(versions(tenant)) == 3


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PANTHEON_TOKEN": "nonsense"}, r"pantheon: 401: .*--token or PANTHEON_TOKEN\."),
        ({"PANTHEON_TOKEN": ""}, r"pantheon: There is no token: give --token or set PANTHEON_TOKEN\."),
        ({"PANTHEON_URL": "http://127.0.0.1:1"}, r"pantheon: http://127.0.0.1:1 cannot be reached: .*Check --url\."),
        ({"PANTHEON_URL": "example.com"}, r"pantheon: example.com cannot be reached: .*Check --url\."),
    ],
)
@pytest.mark.parametrize("name", ["apply", "export"])
def test_apply_prints_one_line_when_the_deployment_refuses_or_is_silent(
    command: Command, variables: dict[str, str], line: str, name: str
) -> None:
    path = roster_file(command.folder, ROSTER)
    ran = pantheon(command.told | variables, name, *([str(path)] if name == "apply" else []))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.fullmatch(line, ran.stderr.removesuffix("\n"))


def test_an_address_without_pantheon_is_one_line(command: Command, stack: Stack) -> None:
    ran = command.apply(ROSTER, "--url", f"{stack.url}/live")
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "404" in ran.stderr
    assert "--url" in ran.stderr


def test_the_roster_of_the_local_run_is_found_without_a_url_and_a_token(
    stack: Stack, environ: dict[str, str], tmp_path: Path
) -> None:
    local = environ | {"PANTHEON_PORT": str(httpx.URL(stack.url).port), "PANTHEON_DATA_DIR": str(stack.log_dir.parent)}
    ran = pantheon(local, "export")
    assert ran.returncode == 0, ran.stderr
    assert "[agents.writer]" in ran.stdout


def test_interrupted_apply_restores_its_changes(command: Command, tenant: Tenant) -> None:
    """The first write waits for the tenant's lock when the signal comes, and happens later."""
    tenant.make_agents("scribe")
    with waiting_apply(command, tenant) as running:
        running.send_signal(signal.SIGINT)
        eventually(lambda: len(tenant.rows("SELECT 1 FROM pg_locks WHERE NOT granted")) > 1)
    told, failed = running.communicate(timeout=TIMEOUT_S)
    assert (running.returncode, failed) == (130, "")
    assert told.splitlines()[-2:] == ["[agents.judge] is deleted again.", "No other entry was written."]
    assert versions(tenant) == {"scribe": 1}


@pytest.mark.parametrize("name", ["apply", "export"])
def test_the_example_of_the_help_runs_as_it_stands(command: Command, tenant: Tenant, name: str) -> None:
    printed = pantheon(command.told, name, "--help").stdout
    (example,) = re.findall(r"^example:\n((?:  .*\n|\n)+)", printed, re.MULTILINE)
    (command.folder / "pantheon").write_text(f'#!/bin/sh\nexec {shlex.join(PANTHEON)} "$@"\n')
    (command.folder / "pantheon").chmod(0o700)
    path = {"PATH": f"{command.folder}:{command.told['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", textwrap.dedent(example)],
        cwd=command.folder,
        env=command.told | path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert versions(tenant) == ({"historian": 1} if name == "apply" else {})
