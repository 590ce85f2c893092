"""Tests that an import reads no variable, opens no connection and loads no module that a handler does not need.

Lambda imports a handler into a snapshot before it knows the environment of the invocation.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("import_probe.py")
# One warning is no error: from Python 3.12 on, Mangum causes it when there is no event loop yet.
WARNINGS = ("-Werror", "-Wignore:There is no current event loop:DeprecationWarning")
NOTHING: Mapping[str, str] = MappingProxyType({})

HANDLERS = (
    "functions.admin.handler",
    "functions.api.handler",
    "functions.authorizer.handler",
    "functions.jwks.handler",
    "functions.reconciler.handler",
    "functions.migrate.handler",
    "functions.sweeper.handler",
    "functions.turns.handler",
    "functions.worker.handler",
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("functions", "shared")
    for path in (ROOT / package).rglob("*.py")
    # It imports awslambdaric, which has a wheel for Linux only.
    if sys.platform == "linux" or path.name != "runtime.py"
    # It imports LangGraph, which has an environment of its own. The suites of graphs import it there.
    if "graphs" not in path.parts
)
# Imported before the probe watches our modules. boto3, for example, opens a socket to test for IPv6.
THIRD_PARTIES = (
    "alembic.command",
    "aws_lambda_powertools.utilities.batch",
    "boto3",
    "fastapi",
    "httpx",
    "jwt",
    "mangum",
    "psycopg",
    "sqlalchemy",
    "uuid6",
)

# The slow half of botocore. Powertools imports the bare package, which is fast.
BOTO = ("boto3", "botocore.session", "botocore.client", "botocore.loaders")
# Powertools imports its tracer, which loads this package when it is first used.
TRACER = ("aws_xray_sdk",)
NEVER = (*BOTO, *TRACER, "alembic", "sqlalchemy.orm", "uvicorn", "local", "migrations", "jwt", "pytest")
WEB = ("fastapi", "starlette", "mangum")
ABSENT = {
    "functions.admin.handler": (
        *NEVER,
        "shared.turns",
        "shared.orchestration",
        "shared.llm",
        "httpx",
        "functions.api",
        "functions.turns",
    ),
    "functions.api.handler": (*NEVER, "shared.turns", "shared.orchestration", "shared.llm", "httpx", "functions.turns"),
    "functions.authorizer.handler": (
        *WEB,
        *TRACER,
        "sqlalchemy",
        "alembic",
        "httpx",
        "local",
        "pytest",
        "shared.db.api",
        "shared.turns",
        "functions.http",
    ),
    "functions.jwks.handler": (*WEB, *TRACER, "sqlalchemy", "psycopg", "shared.db", "shared.turns", "local", "pytest"),
    "functions.reconciler.handler": (*NEVER, *WEB, "httpx", "shared.turns", "shared.orchestration", "functions.http"),
    # It migrates and reads the owner's secret. No request waits for its start.
    "functions.migrate.handler": (*WEB, *TRACER, "uvicorn", "local", "pytest", "functions.api", "shared.turns"),
    "functions.sweeper.handler": (
        *NEVER,
        *WEB,
        "httpx",
        "shared.turns",
        "shared.orchestration",
        "shared.llm",
        "functions.http",
        "functions.worker",
    ),
    "functions.turns.handler": (*NEVER, "sqlalchemy", "functions.api", "functions.worker", "functions.sweeper"),
    "functions.worker.handler": (*NEVER, *WEB, "sqlalchemy", "functions.api", "functions.turns", "functions.http"),
}
# Modules that each handler must load, so that an empty report fails.
PRESENT = {
    "functions.admin.handler": (*WEB, "psycopg", "shared.db.api.budgets"),
    "functions.api.handler": (*WEB, "psycopg", "shared.db.turns"),
    "functions.authorizer.handler": ("psycopg", "jwt", "boto3", "shared.identity.token"),
    "functions.jwks.handler": ("httpx", "jwt", "boto3", "shared.identity.issuer"),
    "functions.reconciler.handler": ("psycopg", "shared.reconciliation.reconcile", "shared.aws.invocation_log"),
    "functions.migrate.handler": ("psycopg", "alembic", "migrations", "boto3"),
    "functions.sweeper.handler": ("psycopg", "shared.db.operations.invariants", "shared.operations.sweep"),
    "functions.turns.handler": (*WEB, "psycopg", "shared.turns.run", "shared.llm.port"),
    "functions.worker.handler": ("psycopg", "shared.turns.run", "aws_lambda_powertools.utilities.batch"),
}


def probe(*modules: str, preload: tuple[str, ...] = (), env: Mapping[str, str] = NOTHING) -> dict[str, dict[str, Any]]:
    """Import each of `modules` in a process of its own with the environment `env`, and return its effects."""
    command = [sys.executable, *WARNINGS, str(PROBE), ",".join(preload), *modules]
    output = subprocess.run(command, env=dict(env), cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stderr == ""
    reports = map(json.loads, output.stdout.splitlines())
    return {report["module"]: report for report in reports}


@cache
def handlers() -> dict[str, dict[str, Any]]:
    return probe(*HANDLERS)


@cache
def everything() -> dict[str, dict[str, Any]]:
    return probe(*MODULES, preload=THIRD_PARTIES)


def test_every_handler_is_probed() -> None:
    found = {name for name in MODULES if name.endswith(".handler")}
    assert found == set(HANDLERS) == set(ABSENT) == set(PRESENT)


@pytest.mark.parametrize(("handler", "name"), [(h, name) for h in HANDLERS for name in ABSENT[h]])
def test_handler_does_not_load_a_module_that_it_does_not_need(handler: str, name: str) -> None:
    assert name not in handlers()[handler]["modules"]


@pytest.mark.parametrize(("handler", "name"), [(h, name) for h in HANDLERS for name in PRESENT[h]])
def test_handler_loads_the_modules_that_every_invocation_needs(handler: str, name: str) -> None:
    assert name in handlers()[handler]["modules"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_keeps_its_modules_from_the_garbage_collector(handler: str) -> None:
    report = handlers()[handler]
    # The collector may run before and after the imports, when it has few objects to visit.
    assert report["collections"] < 30
    assert report["frozen"] > 50_000
    assert report["collects"] is True


@pytest.mark.parametrize("handler", [name for name in HANDLERS if name != "functions.migrate.handler"])
def test_handler_does_not_search_installed_packages_for_plugins(handler: str) -> None:
    """Pydantic would search for plugins. Alembic and SQLAlchemy have plugins, so migrate is left out."""
    assert handlers()[handler]["searches"] == 0


@pytest.mark.parametrize("module", MODULES)
def test_import_of_a_module_reads_no_setting_and_opens_no_connection(module: str) -> None:
    report = everything()[module]
    assert report["error"] is None
    assert [name for name in report["reads"] if name == "*" or name.startswith(("PANTHEON_", "AWS_ENDPOINT"))] == []
    assert report["events"] == []
    assert report["threads"] == 1
    # Mangum makes an event loop with a pair of sockets. The bridge makes its loop later.
    runs_mangum = module in ("functions.admin.handler", "functions.api.handler")
    assert report["sockets"] == ["AF_UNIX", "AF_UNIX"] * runs_mangum


PLANTED = {
    "reads_a_variable": "import os\nVALUE = os.environ.get('PANTHEON_STAGE')",
    "reads_by_getenv": "from os import getenv\nVALUE = getenv('PANTHEON_STAGE')",
    "looks_for_a_variable": "import os\nVALUE = 'PANTHEON_STAGE' in os.environ",
    "reads_everything": "import os\nVALUES = dict(os.environ)",
    "uses_settings": "from shared.settings import settings\ntry:\n    settings()\nexcept Exception:\n    pass",
    "connects": "import socket\nONE = socket.socket()\nONE.connect_ex(('127.0.0.1', 1))",
    "starts_a_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "starts_a_process": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])",
    "fails": "import no_such_module",
}


def test_probe_reports_each_planted_effect(tmp_path: Path) -> None:
    for name, source in PLANTED.items():
        (tmp_path / f"{name}.py").write_text(source)
    reports = probe(*PLANTED, env={"PYTHONPATH": str(tmp_path)})
    assert "PANTHEON_STAGE" in reports["reads_a_variable"]["reads"]
    assert "PANTHEON_STAGE" in reports["reads_by_getenv"]["reads"]
    assert "PANTHEON_STAGE" in reports["looks_for_a_variable"]["reads"]
    assert "*" in reports["reads_everything"]["reads"]
    # settings() reads its own variables.
    assert "PANTHEON_APP_DATABASE_URL" in reports["uses_settings"]["reads"]
    assert reports["connects"]["events"] == ["socket.connect"]
    assert reports["connects"]["sockets"] == ["AF_INET"]
    assert reports["starts_a_thread"]["threads"] == 2
    assert reports["starts_a_process"]["events"] == ["subprocess.Popen"]
    assert reports["fails"]["error"].startswith("ModuleNotFoundError")
