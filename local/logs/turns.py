"""Describe a turn that has ended in one line: its session's title, agents, duration and cost."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

import psycopg
from psycopg.rows import dict_row

from local.safe_text import visible

_CONNECT_S: Final = 5
_TITLE: Final = 24
# The end of an id is random. Its beginning is a time.
_SHORT: Final = 12
_TURN: Final = """
    SELECT t.id::text, t.status, t.created_at, t.completed_at, t.answered_usd, t.response, s.title
    FROM public.turns t JOIN public.sessions s ON s.id = t.session_id
    WHERE t.id = %s"""
_ENDING_IN: Final = "SELECT id::text FROM public.turns WHERE id::text LIKE '%%' || %s LIMIT 2"
_CALLS: Final = """
    SELECT call_id::text, purpose, agent_key, model_alias, status, error_code, cost_usd,
           extract(epoch FROM finished_at - created_at)::float8 AS seconds
    FROM public.llm_calls WHERE turn_id = %s ORDER BY step, attempt"""


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """A turn. `agents` are keys in the order of their replies, `usd` is its total cost, `problem` why it failed."""

    id: str
    status: str
    completed_at: datetime
    title: str
    agents: tuple[str, ...]
    seconds: float
    usd: str
    problem: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row whose turn has ended."""
        # The deletion of a session removes the response.
        told = json.loads(row["response"]) if row["response"] else {}
        total = Decimal(row["answered_usd"] or 0) + Decimal(told.get("platform_cost_usd", 0))
        return cls(
            row["id"],
            row["status"],
            row["completed_at"],
            row["title"],
            tuple(reply["agent_key"] for reply in told.get("replies", ())),
            (row["completed_at"] - row["created_at"]).total_seconds(),
            f"{total:f}",
            (told.get("error") or {}).get("detail", ""),
        )

    def line(self) -> str:
        """Return the line without the time."""
        title = visible(self.title) or "(no title)"
        if len(title) > _TITLE:
            title = f"{title[: _TITLE - 1]}…"
        agents = ", ".join(self.agents) or "nobody"
        fate = "" if self.status == "completed" else f"  {self.status}: {visible(self.problem) or 'see its audit'}"
        return f"{title:<{_TITLE}}  {agents}  {self.seconds:.1f} s  {self.usd} USD  {self.id[-_SHORT:]}{fate}"


class Turns:
    """Read turns as the role for operations, over one connection that the first read opens."""

    def __init__(self, ops_url: str) -> None:
        self._url = ops_url
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def find(self, turn_id: str) -> EndedTurn | None:
        """Return the turn if it has ended. Raises psycopg.Error."""
        rows = self._rows(_TURN, turn_id)
        return EndedTurn.of(rows[0]) if rows and rows[0]["completed_at"] is not None else None

    def ids_ending_in(self, end: str) -> list[str]:
        """Return at most two ids of turns with this end. Raises psycopg.Error."""
        return [row["id"] for row in self._rows(_ENDING_IN, end)]

    def calls(self, turn_id: str) -> list[dict[str, Any]]:
        """Return the calls of the turn in their order. Raises psycopg.Error."""
        return self._rows(_CALLS, turn_id)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, query: str, argument: str) -> list[dict[str, Any]]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._url, autocommit=True, connect_timeout=_CONNECT_S, row_factory=dict_row
                )
            return self._connection.execute(query.encode(), [argument]).fetchall()
        except psycopg.Error:
            self.close()
            raise
