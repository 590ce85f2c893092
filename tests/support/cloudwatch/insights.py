"""Logs Insights: the queries that the dashboards ask, over log lines.

A line has its fields by their names in the JSON that it is, and `@timestamp`, `@log` (the group's name), and what AWS's
own lines have beside, such as `@type`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
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
            case "parse":
                found = [_parsed(rest, line) for line in found]
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


def _parsed(rest: str, line: dict[str, Any]) -> dict[str, Any]:
    match = re.fullmatch(r'(?P<field>@\w+) "(?P<pattern>.*)" as (?P<name>\w+)', rest)
    assert match, f"Nobody has said how to parse {rest}"
    before, after = (re.escape(part) for part in match["pattern"].split("*"))
    seen = re.search(f"{before}(.*?){after}", str(line.get(match["field"], "")))
    return line | ({match["name"]: seen[1]} if seen else {})


def _stats(rest: str, lines: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    what, _, by = rest.rpartition(" by ")
    wanted = [match.groupdict() for match in map(_COLUMN.fullmatch, what.split(", ")) if match]
    assert len(wanted) == len(what.split(", ")), f"Nobody has said how to add up {what}"
    key, names = _key(by)
    groups: dict[Any, list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    rows = [
        dict(zip(names, value, strict=True)) | {column["name"]: _aggregate(column, members) for column in wanted}
        for value, members in groups.items()
    ]
    return [*names, *(column["name"] for column in wanted)], rows


def _key(by: str) -> tuple[Callable[[dict[str, Any]], tuple[Any, ...]], list[str]]:
    names = by.split(", ")
    if names != ["bin(1h)"]:
        return lambda line: tuple(line[name] for name in names), names
    return lambda line: (f"{datetime.fromtimestamp(line['@timestamp'] // 3600 * 3600, UTC):%Y-%m-%d %H:%M}",), names


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
