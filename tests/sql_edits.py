"""Edit the SQL of the protocol in this process, to show that a test notices."""

from collections.abc import Mapping

from shared.db import protocol
from shared.db.statement import Statement, load, read_sql


def edited(name: str, before: str, after: str) -> str:
    """The text of `NAME.sql` with `before` replaced wherever it is. Raises AssertionError where it is not there."""
    text = read_sql(name)
    assert before in text, f"{name}.sql has no {before!r}"
    return text.replace(before, after)


def apply(texts: Mapping[str, str]) -> None:
    """Let the steps of the protocol be those of these texts, by file name, and of the files for the others."""
    for name, value in vars(protocol).items():
        if isinstance(value, Statement):
            value.parts = load(name.lower(), lambda file: texts[file] if file in texts else read_sql(file)).parts
