"""Statements are in a bundle as the texts that they compile to: the very ones, and SQLAlchemy is not asked for any."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from infra_cdk import bundle
from infra_cdk.assets import Assets
from infra_cdk.entries import ENTRIES, MIGRATE, Entry
from local.texts import write_texts
from shared.db.engine import Statement

ROOT = Path(__file__).parents[2]
MODULES = sorted(f"shared.db.{path.stem}" for path in (ROOT / "shared" / "db").glob("[!_]*.py"))
# What a function does when it is started, where there is no SQLAlchemy; and what it has then.
START = """
import json, sys
sys.modules["sqlalchemy"] = None
import {module}
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)))
"""
# Where there is none, all statements that a module has, in the order of their names.
STATEMENTS = """
import json, sys
sys.modules["sqlalchemy"] = None
from tests.infra.test_texts import MODULES, found
print(json.dumps({name: list(found(name)) for name in MODULES}))
"""
PLANTED = """
from sqlalchemy import text

KEPT = 1
_CLAUSE = text("SELECT :b_two, :b_one")
_ONE = Statement(_CLAUSE)
_TWO = {("a", True): Statement(_CLAUSE), ("b", False): Statement(_CLAUSE)}
_NO_STATEMENTS = {"a": _CLAUSE}


def say(text: str) -> str:
    return text


def clause() -> object:
    def inner() -> object:
        return _CLAUSE

    return inner()


def user() -> object:
    return clause()
"""


def found(module: str) -> Iterator[tuple[str, str, list[str]]]:
    """The statements of a module, each with its text and its parameters."""
    for name, value in sorted(vars(import_module(module)).items()):
        for key, statement in _flat(value):
            yield f"{name} {key}", statement.text, list(statement.names)


def _flat(value: object) -> Iterator[tuple[object, Statement]]:
    if isinstance(value, Statement):
        yield None, value
    elif isinstance(value, dict):
        yield from ((key, each) for key, each in value.items() if isinstance(each, Statement))
    elif isinstance(value, tuple):
        yield from ((place, each) for place, each in enumerate(value) if isinstance(each, Statement))


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """A bundle, but for what it would install: that is what is installed here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bundle, "_install", lambda *_: None)
        return bundle.bundle(tmp_path_factory.mktemp("bundle"), "x86_64", None, None)


def run(program: str, *folders: Path) -> str:
    env = {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=env, cwd=folders[0], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry != MIGRATE], ids=lambda entry: entry.name)
def test_a_bundled_function_starts_where_there_is_no_sqlalchemy(assets: Assets, entry: Entry) -> None:
    module = entry.handler.rpartition(".")[0]
    loaded = json.loads(run(START.format(module=module), assets.function(entry.name), assets.core / "python"))
    assert [name for name in loaded if name.partition(".")[0] == "sqlalchemy"] == []
    assert {module, "shared.db.engine", "psycopg"} <= set(loaded)


def test_bundled_statements_are_what_the_code_compiles_to(assets: Assets) -> None:
    bundled = json.loads(run(STATEMENTS, assets.core / "python", ROOT))
    assert bundled == {name: [list(each) for each in found(name)] for name in MODULES}
    assert sum(map(len, bundled.values())) > 80


@pytest.mark.parametrize("module", MODULES)
def test_what_is_left_of_a_module_stands_in_the_lines_of_its_source(assets: Assets, module: str) -> None:
    path = Path(*module.split(".")).with_suffix(".py")
    source, bundled = ((folder / path).read_text() for folder in (ROOT, assets.core / "python"))
    defined = {ast.dump(node, include_attributes=True) for node in _definitions(source)}
    assert {ast.dump(node, include_attributes=True) for node in _definitions(bundled)} <= defined


def _definitions(source: str) -> list[ast.stmt]:
    return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def test_nothing_that_is_bundled_uses_a_name_that_was_left_out(assets: Assets) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "F821", str(assets.core)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_what_needs_sqlalchemy_is_left_out_and_whatever_needs_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parameter may have the name of something that was left out."""
    module = tmp_path / "shared" / "db" / "limited.py"
    module.parent.mkdir(parents=True)
    source = f"from shared.db.engine import Statement\n{PLANTED}"
    module.write_text(source)
    planted: dict[str, object] = {}
    exec(source, planted)
    for name, value in planted.items():
        monkeypatch.setattr(f"shared.db.limited.{name}", value, raising=False)
    write_texts(tmp_path)
    left: dict[str, object] = {}
    exec(module.read_text(), left)
    assert left.keys() & planted.keys() - {"__builtins__"} == {"Statement", "KEPT", "_ONE", "_TWO", "say"}
    assert [(key, each.text, each.values({"b_one": 1, "b_two": 2})) for key, each in _flat(left["_TWO"])] == [
        (("a", True), "SELECT $1, $2", [2, 1]),
        (("b", False), "SELECT $1, $2", [2, 1]),
    ]
