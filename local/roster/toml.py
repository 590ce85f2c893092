"""Write a roster as TOML. A reader gets back exactly the values that were written, carriage returns included."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# The second row of control characters is allowed in TOML. It is escaped because it can steer a terminal.
_SHORT: Final = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
_ESCAPED: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"\\]')
# Lines and tabs stay as they are. A quote needs a backslash if another one follows, or the text's end.
_ESCAPED_IN_LINES: Final = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\\]|"(?="|\Z)')


def document(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables by name, in their order."""
    return "\n".join(table(name, fields) for name, fields in tables.items())


def table(name: str, fields: Mapping[str, Any]) -> str:
    """A table with its fields, without those that are None, because TOML has no null."""
    lines = [f"{key} = {written(value)}" for key, value in fields.items() if value is not None]
    return "\n".join([f"[{name}]", *lines, ""])


def written(value: object) -> str:
    """A value as TOML spells it. A text of several lines stays readable."""
    if isinstance(value, str) and "\n" in value:
        return f'"""\n{_ESCAPED_IN_LINES.sub(_escape, value)}"""'
    return on_one_line(value)


def on_one_line(value: object) -> str:
    """A value as TOML spells it on one line. Raises TypeError for a value that no roster has."""
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
