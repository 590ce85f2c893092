"""Edits the SQL of the protocol in this process, to show that a test notices."""

import inspect
import re
from collections.abc import Mapping
from functools import cache

from shared.db import chat, protocol
from shared.db.api import agents, budgets, keyed_rows, new_tenants, quotas, wait_slots
from shared.db.statement import Statement, load, read_sql

_MODULES = (protocol, chat, agents, budgets, keyed_rows, new_tenants, quotas, wait_slots)
_LOADED = re.compile(r'^(\w+)(?:: Final)? = load\("(\w+)"\)$', re.MULTILINE)


def edited(name: str, before: str, after: str) -> str:
    """The text of `NAME.sql` with `before` replaced wherever it is. Raises AssertionError where it is not there."""
    text = read_sql(name)
    assert before in text, f"{name}.sql has no {before!r}"
    return text.replace(before, after)


def apply(texts: Mapping[str, str]) -> None:
    """Let the statements of `_MODULES` be those of these texts, by file name, and of the files for the others."""
    for statement, name in files().items():
        statement.parts = loaded(name, texts).parts


def loaded(name: str, texts: Mapping[str, str]) -> Statement:
    """The statement of a file when files have these texts."""
    return load(name, lambda file: texts[file] if file in texts else read_sql(file))


@cache
def files() -> Mapping[Statement, str]:
    """The name of the file of each statement."""
    return {
        getattr(module, constant): name
        for module in _MODULES
        for constant, name in _LOADED.findall(inspect.getsource(module))
    }
