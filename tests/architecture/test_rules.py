"""Tests rules of the code that no type checker knows, each with a line that breaks it."""

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.variables import VARIABLES
from shared.console_settings import ConsoleSettings
from shared.db.engine import Statement
from shared.names import CliEnv, Env, LocalEnv
from shared.settings import AuthorizerSettings, Environment, Settings
from tests.support.page_commands import PAGES

ROOT = Path(__file__).parents[2]
LAMBDA = ("functions", "shared")
EVERYWHERE = (*LAMBDA, "local", "migrations", "infra_cdk")
LONGEST_FILE = 300

_INSERTS = re.compile(r"insert\s+into\s+(public\.)?usage_ledger\b", re.IGNORECASE)
_CHANGES = re.compile(r"(update|delete\s+from|truncate(\s+table)?)\s+(public\.)?usage_ledger\b", re.IGNORECASE)


def paths(*packages: str) -> list[str]:
    found = (path.relative_to(ROOT) for package in packages for path in (ROOT / package).rglob("*.py"))
    return sorted(map(str, found))


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def calls(node: ast.AST, pattern: str) -> bool:
    """Return whether the node is a call whose dotted name and first argument match."""
    if not isinstance(node, ast.Call):
        return False
    first = ast.unparse(node.args[0]) if node.args else ""
    return re.fullmatch(pattern, f"{ast.unparse(node.func)}({first})", re.DOTALL) is not None


def says(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.search(node.value) is not None


def ends_a_transaction(node: ast.AST) -> bool:
    return calls(node, r".*\.(commit|rollback)\(.*\)")


def inserts_into_the_ledger(node: ast.AST) -> bool:
    return calls(node, r"(insert|upsert)\((.*\.)?usage_ledger\)|(.*\.)?usage_ledger\.insert\(.*\)") or says(
        node, _INSERTS
    )


def changes_the_ledger(node: ast.AST) -> bool:
    called = calls(node, r"(update|delete)\((.*\.)?usage_ledger\)|(.*\.)?usage_ledger\.(update|delete)\(.*\)")
    return called or says(node, _CHANGES)


def parses_what_a_model_said(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "model_validate_json"


def connects_to_the_database(node: ast.AST) -> bool:
    return calls(node, r"(.*\.)?(psycopg|Connection|AsyncConnection)\.connect\(.*\)|(.*\.)?create_engine\(.*\)")


def reads_the_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(name.name in ("environ", "environb", "getenv") for name in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv")


def logs_a_trace(node: ast.AST) -> bool:
    return calls(node, r"(.*\.)?(logger|_logger\(\))\.exception\(.*\)") or (
        isinstance(node, ast.keyword) and node.arg in ("exc_info", "stack_info")
    )


@dataclass(frozen=True)
class Rule:
    """Only nodes of the files in `allowed` may break the rule; each of `lines` breaks it."""

    breaks: Callable[[ast.AST], bool]
    packages: tuple[str, ...]
    allowed: frozenset[str]
    lines: tuple[str, ...]


RULES = [
    Rule(
        ends_a_transaction,
        EVERYWHERE,
        frozenset({"shared/db/engine.py"}),
        ("connection.commit()", "self._db.connection.rollback()"),
    ),
    Rule(
        inserts_into_the_ledger,
        EVERYWHERE,
        frozenset(),
        ("insert(usage_ledger)", "upsert(tables.usage_ledger)", "usage_ledger.insert()", "'INSERT INTO usage_ledger'"),
    ),
    Rule(
        changes_the_ledger,
        EVERYWHERE,
        frozenset(),
        ("update(usage_ledger)", "usage_ledger.delete()", "'update usage_ledger set x = 1'", "'truncate usage_ledger'"),
    ),
    Rule(
        parses_what_a_model_said,
        LAMBDA,
        frozenset({"shared/llm/structured.py"}),
        ("Answer.model_validate_json(text)", "parse = Answer.model_validate_json"),
    ),
    Rule(
        connects_to_the_database,
        LAMBDA,
        frozenset({"shared/db/engine.py"}),
        ("psycopg.connect(url)", "psycopg.AsyncConnection.connect(url)", "create_engine(url)"),
    ),
    Rule(
        reads_the_environment,
        LAMBDA,
        # settings.py reads the environment. The others only set variables, for pydantic and LangGraph.
        frozenset({"shared/settings.py", "functions/start.py", "functions/graphs/__init__.py"}),
        ("os.environ['A']", "os.getenv('A')", "from os import environ", "from os import getenv as read"),
    ),
    Rule(logs_a_trace, LAMBDA, frozenset(), ("logger.exception('x')", "logger.error('x', exc_info=error)")),
]
BY_NAME = {rule.breaks.__name__: rule for rule in RULES}


@pytest.mark.parametrize("rule", BY_NAME.values(), ids=BY_NAME)
def test_only_allowed_files_break_a_rule(rule: Rule) -> None:
    broken = [
        f"{path}:{getattr(node, 'lineno', '?')}"
        for path in paths(*rule.packages)
        if path not in rule.allowed
        for node in ast.walk(tree(path))
        if rule.breaks(node)
    ]
    assert broken == []


@pytest.mark.parametrize(("rule", "line"), [(rule, line) for rule in RULES for line in rule.lines])
def test_rule_finds_each_line_that_breaks_it(rule: Rule, line: str) -> None:
    assert any(rule.breaks(node) for node in ast.walk(ast.parse(line)))


def statements(value: object) -> Iterator[Statement]:
    """Yield the compiled statements of a module, also those in collections."""
    match value:
        case Statement():
            yield value
        case dict():
            yield from (found for member in value.values() for found in statements(member))
        case tuple() | list():
            yield from (found for member in value for found in statements(member))


def test_two_modules_insert_into_the_ledger_by_compiled_statements() -> None:
    """Read the compiled text, because it is the text that the database gets."""
    writers: dict[str, set[str]] = {"insert": set(), "change": set()}
    compiled = 0
    for path in paths("shared/db"):
        module = importlib.import_module(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        for found in statements(dict(vars(module))):
            compiled += 1
            text = "\n".join(part.text for part in found.parts)
            if _INSERTS.search(text):
                writers["insert"].add(path)
            if _CHANGES.search(text):
                writers["change"].add(path)
    assert compiled > 20
    inserting = {"shared/db/protocol.py", "shared/db/operations/suspense.py"}
    assert writers == {"insert": inserting, "change": set()}


@pytest.mark.parametrize("path", paths(*EVERYWHERE))
def test_module_has_a_docstring(path: str) -> None:
    assert ast.get_docstring(tree(path)) or not (ROOT / path).read_text().strip()


def test_file_has_at_most_300_lines() -> None:
    lengths = {
        path: len((ROOT / path).read_text().splitlines()) for path in paths("functions", "shared", "local", "infra_cdk")
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_module_has_a_specific_name() -> None:
    names = {part.removesuffix(".py") for path in paths(*EVERYWHERE) for part in path.split("/")}
    assert not names & {"utils", "util", "helpers", "common", "misc", "base"}


def test_names_import_only_the_standard_library() -> None:
    """The stack reads this file, and has no other package of Pantheon installed."""
    imported: set[str] = set()
    for node in ast.walk(tree("shared/names.py")):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or ".")
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


class TestEnvironment:
    # Variables that the contract documents for the local run.
    CONTRACT = (
        "PANTHEON_PORT",
        "PANTHEON_DATABASE_URL",
        "PANTHEON_DATA_DIR",
        "PANTHEON_LLM_PROVIDER",
        "PANTHEON_LLM_BASE_URL",
        "PANTHEON_LLM_API_KEY",
        "PANTHEON_TURN_SECONDS",
        "PANTHEON_MAX_CALL_S",
    )

    def test_settings_and_variables_match(self) -> None:
        parts: list[type[Environment]] = [*Environment.__subclasses__(), AuthorizerSettings, ConsoleSettings, Settings]
        fields: dict[str, Any] = {
            f"PANTHEON_{name.upper()}": field.alias for part in parts for name, field in part.model_fields.items()
        }
        assert set(fields) == {variable.value for variable in Env}
        assert all(alias == name for name, alias in fields.items())

    @pytest.mark.parametrize("variable", [*Env, *LocalEnv])
    def test_a_variable_is_named_as_its_member(self, variable: Env | LocalEnv) -> None:
        assert variable.value == f"PANTHEON_{variable.name}"

    def test_the_functions_and_the_local_stack_share_no_variable(self) -> None:
        assert not {variable.value for variable in Env} & {variable.value for variable in LocalEnv}

    @pytest.mark.parametrize("name", CONTRACT)
    def test_documented_variable_exists(self, name: str) -> None:
        assert name in {variable.value for variable in (*Env, *LocalEnv)}

    def test_help_of_run_names_only_existing_variables(self) -> None:
        told = set(VARIABLES)
        assert set(self.CONTRACT) <= told <= {variable.value for variable in (*Env, *LocalEnv)}

    @pytest.mark.parametrize("page", PAGES)
    def test_variable_that_a_page_names_is_known(self, page: str) -> None:
        named = set(re.findall(r"PANTHEON_[A-Z_]*[A-Z]", (ROOT / page).read_text()))
        assert named <= {variable.value for variable in (*Env, *LocalEnv, *CliEnv)}


def test_two_files_insert_into_the_ledger_and_none_changes_it() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "shared/db/sql").glob("*.sql")}
    assert {name for name, text in texts.items() if _INSERTS.search(text)} == {"publish.sql", "settle.sql"}
    assert [name for name, text in texts.items() if _CHANGES.search(text)] == []
