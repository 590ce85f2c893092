"""Tests the lock files, which pin each package by hash, and the OpenAPI document, which matches the functions."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FUNCTIONS, LOCAL, TESTS = "functions/requirements.txt", "local/requirements.txt", "tests/requirements.txt"
MODEL = "local/model.txt"
INFRA = "infra_cdk/requirements.txt"
DRAWING, BROWSER, MUTATION = "tests/drawing.txt", "tests/browser.txt", "tests/mutation.txt"
# Installed into one environment, so that their versions must agree.
TOGETHER = (FUNCTIONS, LOCAL, TESTS, MODEL, INFRA, DRAWING, BROWSER, MUTATION)
GRAPHS = "functions/graphs/requirements.txt"
WITH_GRAPHS = (GRAPHS, LOCAL, TESTS)
CHECKOV = "infra_cdk/checkov.txt"
EMULATOR = "local/emulator.txt"
FUZZ = "tests/fuzz.txt"
PEERS = ("bench/peers/langgraph.txt", "bench/peers/openai_agents.txt")
CLIENTS = tuple(
    f"tests/clients/{name}.txt" for name in ("langchain", "litellm", "mcp", "openai", "openapi-python", "openwebui")
)
LOCKS = (*TOGETHER, GRAPHS, CHECKOV, EMULATOR, FUZZ, *PEERS, *CLIENTS)
NPM = (
    *("infra_cdk", "infra_cdk/openapi_lint", "tests/clients/node", "tests/clients/typescript"),
    *("functions/api/console", "functions/api/reference"),
)

_LOCKED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)( ;[^\\]+)?( --hash=sha256:[0-9a-f]{64})+")


def entries(lock: str) -> list[str]:
    """Return the requirements of the lock file, each with its hashes on one line."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def locked(lock: str) -> dict[str, str]:
    """Return the version of each package by name."""
    matches = (_LOCKED.fullmatch(entry) for entry in entries(lock))
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


def asked_for(requirements: Iterable[str]) -> set[str]:
    return {str(canonicalize_name(Requirement(text).name)) for text in requirements}


def needed(requirements: Iterable[str]) -> set[str]:
    """Return `requirements` and all their dependencies, for any platform."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = str(canonicalize_name(requirement.name))
        extras = requirement.extras or {""}
        if not {f"{name}[{extra}]" for extra in extras} <= found:
            found |= {name} | {f"{name}[{extra}]" for extra in extras}
            waiting += [below for below in dependencies(name) if wanted(below, extras | {""})]
    return {name for name in found if "[" not in name}


def dependencies(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:  # for another platform
        return []


def wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Return whether one of the extras asks for it, on any platform."""
    marker = str(requirement.marker or "")
    return "extra ==" not in marker or any(f'extra == "{extra}"' in marker for extra in extras if extra)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_its_hashes(lock: str) -> None:
    assert entries(lock)
    assert [entry for entry in entries(lock) if not _LOCKED.fullmatch(entry)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|-e|--index|--extra-index|--find-links|--trusted-host)", text, re.MULTILINE)


def test_every_lock_file_is_checked() -> None:
    packages = ("bench", "functions", "infra_cdk", "local", "migrations", "shared", "tests")
    found = [path for package in packages for path in (ROOT / package).rglob("*.txt") if "--hash=" in path.read_text()]
    assert {str(path.relative_to(ROOT)) for path in found} == set(LOCKS)


@pytest.mark.parametrize("folder", NPM)
def test_the_npm_lock_has_a_hash_of_every_package_and_no_address(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    hashes = {name: package.get("integrity", "") for name, package in packages.items()}
    assert {name: found for name, found in hashes.items() if not re.fullmatch(r"sha512-[\w+/]{86}==", found)} == {}
    assert [name for name, package in packages.items() if "resolved" in package or package.get("link")] == []
    assert "://" not in (ROOT / folder / "package-lock.json").read_text()


@pytest.mark.parametrize("folder", NPM)
def test_the_npm_lock_has_the_versions_that_are_asked_for(folder: str) -> None:
    asked: dict[str, str] = json.loads((ROOT / folder / "package.json").read_text())["dependencies"]
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    assert packages[""]["dependencies"] == asked
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked


@pytest.mark.parametrize("folder", NPM)
def test_npm_runs_no_script_and_writes_no_address(folder: str) -> None:
    lines = (ROOT / folder / ".npmrc").read_text().splitlines()
    settings = {line for line in lines if not line.startswith(";")}
    assert settings == {"omit-lockfile-registry-resolved=true", "ignore-scripts=true"}


def test_every_dependency_is_locked_where_it_is_needed() -> None:
    groups: dict[str, list[str]] = PROJECT["dependency-groups"]
    assert asked_for(PROJECT["project"]["dependencies"]) <= locked(FUNCTIONS).keys()
    assert asked_for(PROJECT["project"]["optional-dependencies"]["graphs"]) <= locked(GRAPHS).keys()
    assert locked(FUNCTIONS).keys() <= locked(GRAPHS).keys()
    assert asked_for(groups["local"]) <= locked(LOCAL).keys()
    assert asked_for(groups["tests"]) <= locked(TESTS).keys()
    assert asked_for(groups["infra"]) <= locked(INFRA).keys()
    assert asked_for(groups["checkov"]) <= locked(CHECKOV).keys()
    assert asked_for(groups["fuzz"]) <= locked(FUZZ).keys()
    assert asked_for(groups["drawing"]) <= locked(DRAWING).keys()
    assert asked_for(groups["mutation"]) <= locked(MUTATION).keys()
    assert asked_for(groups["browser"]) <= locked(BROWSER).keys()


def test_lock_file_of_lambda_has_only_packages_that_functions_need() -> None:
    assert locked(FUNCTIONS).keys() - needed(PROJECT["project"]["dependencies"]) == set()
    groups: dict[str, list[str]] = PROJECT["dependency-groups"]
    assert asked_for(groups["local"] + groups["tests"] + groups["infra"]) & locked(FUNCTIONS).keys() == set()


@pytest.mark.parametrize("together", [TOGETHER, (FUNCTIONS, *WITH_GRAPHS)], ids=["main", "graphs"])
def test_one_package_has_one_version(together: tuple[str, ...]) -> None:
    versions: dict[str, set[str]] = {}
    for lock in together:
        for name, version in locked(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_committed_openapi_document_matches_the_functions() -> None:
    """Build the document in a process of its own, because the handlers use its event loop."""
    program = "import json, sys; from local.openapi import document; json.dump(document(), sys.stdout)"
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = (ROOT / "functions/api/openapi.json").read_text()
    assert json.loads(made.stdout) == json.loads(committed)
    assert committed == json.dumps(json.loads(made.stdout), indent=1, ensure_ascii=False) + "\n"
