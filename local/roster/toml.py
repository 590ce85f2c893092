"""Write a roster as TOML. Parsing it returns exactly the same values, including carriage returns."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# TOML allows \x80 to \x9f unescaped. They are escaped because they can steer a terminal.
_SHORT: Final = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
_ESCAPED: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"\\]')
# Line ends and tabs stay. A quote needs a backslash before another quote and at the end.
_ESCAPED_IN_LINES: Final = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\\]|"(?="|\Z)')


def document(tables: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(table(name, fields) for name, fields in tables.items())


def table(name: str, fields: Mapping[str, Any]) -> str:
    """Return a table without fields that are None, because TOML has no null."""
    lines = [f"{key} = {written(value)}" for key, value in fields.items() if value is not None]
    return "\n".join([f"[{name}]", *lines, ""])


def written(value: object) -> str:
    """Return a value as TOML. A text of several lines keeps its lines."""
    if isinstance(value, str) and "\n" in value:
        return f'"""\n{_ESCAPED_IN_LINES.sub(_escape, value)}"""'
    return on_one_line(value)


def on_one_line(value: object) -> str:
    """Return a value as TOML on one line. Raises TypeError for a type that no roster has."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return f'"{_ESCAPED.sub(_escape, value)}"'
        case Sequence():
            return f"[{', '.join(map(on_one_line, value))}]"
    raise TypeError(type(value).__name__)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
