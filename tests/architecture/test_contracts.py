"""Who may import whom: import-linter's contracts hold, and each of them would notice.

Every plant below is one line in a copy of the tree that must break the contract it names.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = CONFIG["root_packages"]
NAMES: list[str] = [contract["name"] for contract in CONFIG["contracts"]]


@dataclass(frozen=True)
class Plant:
    """`line` in the file at `path` breaks the contract whose name begins with `contract`."""

    contract: str
    path: str
    line: str

    def __str__(self) -> str:
        return f"{self.line} in {self.path}"


PLANTS = [
    Plant("Functions know the core", "shared/errors.py", "import functions.schemas"),
    Plant("Functions know the core", "functions/http.py", "import local.process"),
    Plant("Functions know the core", "shared/db/api/health.py", "import migrations"),
    Plant("The functions do not know each other", "functions/api/app.py", "import functions.turns.handler"),
    Plant("The functions do not know each other", "functions/sweeper/handler.py", "import functions.worker.handler"),
    Plant("The functions do not know each other", "functions/admin/app.py", "import functions.api.app"),
    Plant("The functions do not know each other", "functions/worker/handler.py", "import functions.turns.handler"),
    Plant("The functions do not know each other", "functions/worker/handler.py", "import functions.reconciler.handler"),
    Plant("The core, top to bottom", "shared/domain/agent.py", "import shared.llm.port"),
    Plant("The core, top to bottom", "shared/llm/port.py", "import shared.db.engine"),
    Plant("The core, top to bottom", "shared/db/engine.py", "import shared.orchestration.tags"),
    Plant("The core, top to bottom", "shared/errors.py", "import shared.domain.agent"),
    Plant("The core, top to bottom", "shared/turns/call.py", "import shared.telemetry"),
    Plant("The core, top to bottom", "shared/operations/sweep.py", "import shared.turns.run"),
    Plant("The core, top to bottom", "shared/aws/queue.py", "import shared.db.engine"),
    Plant("The core, top to bottom", "shared/newcomer.py", "import shared.names"),
    Plant("The core, top to bottom", "shared/reconciliation/log_lines.py", "import shared.turns.call"),
    Plant("The core, top to bottom", "shared/turns/call.py", "import shared.reconciliation.log_lines"),
    Plant("The core, top to bottom", "shared/aws/invocation_log.py", "import shared.db.engine"),
    Plant("Orchestration knows", "shared/orchestration/tags.py", "import shared.db.engine"),
    Plant("Orchestration knows", "shared/orchestration/tags.py", "import shared.llm.providers"),
    Plant("Orchestration knows", "shared/orchestration/tags.py", "import shared.llm.chat_completions"),
    Plant("Orchestration knows", "shared/domain/agent.py", "import psycopg"),
    Plant("The functions do not know each other", "functions/worker/handler.py", "import functions.graphs.loading"),
    Plant("Only the graphs function", "functions/resuming.py", "import langgraph.graph"),
    Plant("Only the graphs function", "shared/orchestration/growing_council.py", "import langchain_core.messages"),
    Plant("Reading history", "functions/requests.py", "import shared.llm.port"),
    Plant("Reading history", "shared/db/turns.py", "import httpx"),
    Plant("The core knows no web framework", "shared/db/api/pages.py", "import starlette.responses"),
    Plant("Powertools", "shared/db/api/pages.py", "import aws_lambda_powertools"),
    Plant("Powertools", "shared/aws/invocation_log.py", "import aws_lambda_powertools"),
    Plant("Whatever runs on Lambda", "functions/http.py", "import aws_cdk"),
    Plant("The stack knows", "infra_cdk/entries.py", "import shared.domain.money"),
    Plant("The stack knows", "infra_cdk/bundle.py", "import local.process"),
    Plant("Nothing knows the stack", "local/process.py", "import infra_cdk.stages"),
    Plant("boto3", "shared/turns/call.py", "import botocore.session"),
    Plant("boto3", "shared/llm/port.py", "import boto3"),
    Plant("boto3", "shared/operations/sweep.py", "import boto3"),
    Plant("boto3", "shared/telemetry.py", "import boto3"),
    Plant("boto3", "shared/reconciliation/log_lines.py", "import boto3"),
]


def lint(directory: Path) -> dict[str, str]:
    """KEPT or BROKEN, by contract, of the tree in `directory`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", "pyproject.toml"]
    environment = {**os.environ, "COLUMNS": "500", "NO_COLOR": "1"}
    linted = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    found = re.findall(r"^(.+?) (KEPT|BROKEN)", linted.stdout, re.MULTILINE)
    assert linted.returncode == int(any(verdict == "BROKEN" for _, verdict in found)), linted.stdout + linted.stderr
    return dict(found)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


@pytest.fixture
def plant(copy: Path, request: pytest.FixtureRequest) -> Iterator[Plant]:
    """The copy with the plant in it, and as it was afterwards."""
    planted: Plant = request.param
    path = copy / planted.path
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{planted.line}\n")
    yield planted
    if before is None:
        path.unlink()
    else:
        path.write_text(before)


def test_every_contract_is_kept() -> None:
    assert lint(ROOT) == dict.fromkeys(NAMES, "KEPT")


def test_a_copy_is_as_good(copy: Path) -> None:
    assert lint(copy) == dict.fromkeys(NAMES, "KEPT")


def test_every_contract_has_a_plant_that_breaks_it() -> None:
    unplanted = [name for name in NAMES if not any(name.startswith(plant.contract) for plant in PLANTS)]
    assert unplanted == []


@pytest.mark.parametrize("plant", PLANTS, ids=str, indirect=True)
def test_an_import_against_the_rules_is_noticed(copy: Path, plant: Plant) -> None:
    (verdict,) = [verdict for name, verdict in lint(copy).items() if name.startswith(plant.contract)]
    assert verdict == "BROKEN"
