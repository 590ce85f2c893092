"""Keeps the server's own record of the requests that reached it."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Row:
    """A request and what it was answered. `parameters` is the request's body without model and messages;
    `status` and `usage` are None where the client never got to see one. `charged` is what it costs all the same:
    tokens by the journal's classes, None where nothing is charged."""

    request_id: str
    client_request_id: str | None
    authorization: str | None
    path: str
    model: str | None
    messages: list[dict[str, str]]
    parameters: dict[str, Any]
    status: int | None
    usage: Mapping[str, Any] | None
    charged: Mapping[str, int] | None = None

    def as_line(self) -> dict[str, Any]:
        """The row, which `pantheon reconcile` can read too."""
        charges = {"call_id": self.client_request_id, "billed": self.charged is not None, "tokens": self.charged}
        return asdict(self) | charges


class RequestLog:
    """Rows in memory and, with a path, as JSON lines on disk."""

    def __init__(self, path: Path | None) -> None:
        self._rows: list[Row] = []
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None
        self._grown = threading.Condition()

    @property
    def rows(self) -> list[Row]:
        with self._grown:
            return list(self._rows)

    def append(self, row: Row) -> None:
        """Returns when the row is safe on disk."""
        with self._grown:
            if self._file is not None:
                self._file.write(json.dumps(row.as_line()) + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            self._rows.append(row)
            self._grown.notify_all()

    def wait_for(self, count: int, timeout_s: float) -> list[Row]:
        with self._grown:
            if not self._grown.wait_for(lambda: len(self._rows) >= count, timeout_s):
                raise TimeoutError(f"{len(self._rows)} of {count} requests came within {timeout_s} s")
            return list(self._rows)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
