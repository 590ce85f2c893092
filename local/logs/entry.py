"""Parse one line of a log. A line of an unknown form becomes its own text."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from local.logs.words import explain
from local.safe_text import visible

# `detail` is for metrics and the steps of the model's server.
Kind = Literal["error", "warning", "info", "detail"]

# Lines of Python's logging, of Powertools and of PostgreSQL.
_PLAIN: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.]\d+(?: (UTC))? (?:\[\d+\] )?([A-Z]+):? +(.*)")
# Lines of llama.cpp: the time since its start, a level and the text.
_MODEL: Final = re.compile(r"[\d.]+ ([IWE]) (.*)")
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("ERROR", "CRITICAL", "FATAL", "PANIC"), "error"),
    "WARNING": "warning",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A parsed line.

    Attributes:
        source: The log's name: a function, `gateway`, `model` or `postgres`.
        text: The line in plain words.
        raw: The line.
        fields: The fields of its JSON object.
    """

    time: datetime
    source: str
    kind: Kind
    text: str
    raw: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def turn_id(self) -> str | None:
        """Return the id of the turn whose end and cost this line logs, or None."""
        turn_id = self.fields.get("turn_id")
        return str(turn_id) if turn_id and "total_usd" in self.fields else None


def read(source: str, line: str, now: datetime) -> Entry:
    """Parse a line without its line end. `now` is the time of a line that has none."""
    if line.startswith("{"):
        try:
            return _of_function(source, line, json.loads(line), now)
        except (ValueError, KeyError, TypeError):
            pass
    if found := _MODEL.fullmatch(line):
        return Entry(now, source, "error" if found[1] == "E" else "detail", visible(found[2]), line)
    if found := _PLAIN.fullmatch(line):
        when = datetime.fromisoformat(found[1])
        # Python writes local time.
        when = when.replace(tzinfo=UTC) if found[2] else when.astimezone()
        return Entry(when, source, _KINDS.get(found[3], "info"), visible(found[4]), line)
    return Entry(now, source, "info", visible(line), line)


def _of_function(source: str, line: str, fields: dict[str, Any], now: datetime) -> Entry:
    if "_aws" in fields:
        when = datetime.fromtimestamp(fields["_aws"]["Timestamp"] / 1000, UTC)
        return Entry(when, source, "detail", _metrics(fields), line, fields)
    if fields.get("type") == "platform.report":
        when = datetime.fromisoformat(fields["time"])
        return Entry(when, source, "error", explain(fields), line, fields)
    told = str(fields.get("timestamp", ""))
    when = datetime.strptime(told, "%Y-%m-%d %H:%M:%S,%f%z") if told else now
    return Entry(when, source, _KINDS.get(str(fields.get("level")), "info"), explain(fields), line, fields)


def _metrics(fields: Mapping[str, Any]) -> str:
    pairs = (f"{name} {value[0]:g}" for name, value in fields.items() if isinstance(value, list) and len(value) == 1)
    return visible(", ".join(pairs))
