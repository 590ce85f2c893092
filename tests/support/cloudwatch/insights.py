"""Run the Logs Insights queries of the cost dashboard over log lines.

A line has the fields of its JSON, and `@log`, which is the name of its log group.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]
_COLUMN = re.compile(r"(?P<function>\w+)\((?P<field>[@*\w]+)\) as (?P<name>\w+)")


def run(query: str, lines: Iterable[Line]) -> tuple[list[str], list[list[str]]]:
    """The columns and the rows of a query's table."""
    groups: set[str] = set()
    found = [dict(line) for line in lines]
    columns: list[str] = []
    for command in re.split(r"\s*\|\s*", query):
        word, _, rest = command.partition(" ")
        match word:
            case "SOURCE":
                groups.add(rest.strip("'"))
            case "filter":
                found = [line for line in found if _passes(rest, line)]
            case "stats":
                found = [line for line in found if line["@log"] in groups]
                columns, found = _stats(rest, found)
            case "sort":
                # Python keeps the order of equal lines, so the least important key goes first.
                for key in reversed(rest.split(", ")):
                    by, _, order = key.partition(" ")
                    found.sort(key=lambda line, by=by: _rank(line[by]), reverse=order == "desc")  # type: ignore[misc]
            case "limit":
                found = found[: int(rest)]
            case _:
                raise AssertionError(f"Nobody has said how to run {command}")
    return columns, [[_shown(line[name]) for name in columns] for line in found]


def _passes(condition: str, line: Line) -> bool:
    if there := re.fullmatch(r"ispresent\((\w+)\)", condition):
        return there[1] in line
    field, equals, value = condition.partition(" = ")
    assert equals, f"Nobody has said how to filter by {condition}"
    return str(line.get(field)) == value.strip("'\"")


def _stats(rest: str, lines: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    what, _, by = rest.rpartition(" by ")
    wanted = [match.groupdict() for match in map(_COLUMN.fullmatch, what.split(", ")) if match]
    assert len(wanted) == len(what.split(", ")), f"Nobody has said how to add up {what}"
    names = by.split(", ")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(tuple(line[name] for name in names), []).append(line)
    rows = [
        dict(zip(names, value, strict=True)) | {column["name"]: _aggregate(column, members) for column in wanted}
        for value, members in groups.items()
    ]
    return [*names, *(column["name"] for column in wanted)], rows


def _rank(value: Any) -> tuple[bool, float, str]:
    """Numbers come after words, in their own order."""
    try:
        return True, float(value), ""
    except ValueError:
        return False, 0.0, str(value)


def _aggregate(column: Mapping[str, str], lines: Sequence[dict[str, Any]]) -> Any:
    values = [line[column["field"]] for line in lines if column["field"] in line]
    match column["function"]:
        case "latest":
            # The newest line is the last one.
            return values[-1]
        case "sum":
            return sum(map(float, values))
        case "count":
            return float(len(lines) if column["field"] == "*" else len(values))
    raise AssertionError(f"Nobody has said how to work out {column['function']}")


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
