"""Keep the state of a session's graph between its turns, as one checkpoint in LangGraph's Postgres tables.

The statement that publishes the turn writes the checkpoint. If the tables are missing or have another version, this
process keeps the states in memory.
"""

import base64
import json
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast
from uuid import UUID

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from shared.db.engine import Database
from shared.db.protocol import FIND_CHECKPOINTER, LOAD_CHECKPOINT, LOAD_CHECKPOINTER_VERSION
from shared.errors import DatabaseUnavailable, JournalUnavailable
from shared.orchestration.steps import Ended

logger = logging.getLogger(__name__)

# The most bytes of JSON in a session's state.
MAX_STATE_BYTES: Final = 4_000_000
# The most sessions whose states are kept in memory.
_REMEMBERED: Final = 1_000

# A stored state may have only types that LangGraph knows, as with LANGGRAPH_STRICT_MSGPACK.
SERDE: Final = JsonPlusSerializer(allowed_msgpack_modules=None)

Thread = tuple[str, UUID]


class StateInvalid(Exception):
    """The graph's state cannot be stored for the next turn."""

    code = "graph_state_invalid"


class Checkpoints:
    """The states of all sessions, in `db` or in memory."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kind: Literal["postgres", "memory"] | None = None
        self._remembered: OrderedDict[Thread, CheckpointTuple] = OrderedDict()

    def kind(self, tenant_id: str) -> Literal["postgres", "memory"]:
        """Return where the states are kept. The first call logs it. Raises JournalUnavailable."""
        if self._kind is None:
            self._kind = self._look(tenant_id)
        return self._kind

    def _look(self, tenant_id: str) -> Literal["postgres", "memory"]:
        version, expected = self._version(tenant_id), len(PostgresSaver.MIGRATIONS) - 1
        if version == expected:
            logger.info("the checkpointer keeps the state of graphs in Postgres", extra={"version": version})
            return "postgres"
        logger.warning(
            "the state of graphs is kept in memory only: the checkpointer's tables are missing or of another version",
            extra={"version": version, "expected": expected},
        )
        return "memory"

    def prime(self, saver: InMemorySaver, thread: Thread) -> None:
        """Put the session's checkpoint, if any, into `saver`. Raises JournalUnavailable."""
        found = self._remembered.get(thread) if self.kind(thread[0]) == "memory" else self._load(thread)
        if found is not None:
            checkpoint = found.checkpoint
            saver.put(config_of(thread), checkpoint, found.metadata, checkpoint["channel_versions"])

    def keep(self, saver: InMemorySaver, thread: Thread, ended: Ended) -> None:
        """Let the turn's publish store the newest checkpoint of `saver`. Raises StateInvalid."""
        found = _newest(saver, thread)
        if found is None:
            return
        # Also for memory, so that both places refuse the same states.
        state = _stored_form(found, thread)
        if self.kind(thread[0]) == "postgres":
            ended.state = state
        else:
            ended.keep = lambda: self._remember(thread, found)

    def _remember(self, thread: Thread, found: CheckpointTuple) -> None:
        self._remembered[thread] = found
        self._remembered.move_to_end(thread)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _version(self, tenant_id: str) -> int | None:
        """Return the version of the tables, None if they are missing."""
        try:
            if not self._db.read(tenant_id, FIND_CHECKPOINTER, {})[0]["exist"]:
                return None
            return cast(int | None, self._db.read(tenant_id, LOAD_CHECKPOINTER_VERSION, {})[0]["version"])
        except (psycopg.Error, DatabaseUnavailable) as error:
            raise JournalUnavailable from error

    def _load(self, thread: Thread) -> CheckpointTuple | None:
        try:
            rows = self._db.read(thread[0], LOAD_CHECKPOINT, {"g_thread_id": thread_id(thread)})
        except (psycopg.Error, DatabaseUnavailable) as error:
            raise JournalUnavailable from error
        return _Exchange(rows).get_tuple(config_of(thread))


def thread_id(thread: Thread) -> str:
    """Return the session's name in the tables. Row-level security reads the tenant from it."""
    tenant_id, session_id = thread
    return f"{tenant_id}:{session_id}"


def config_of(thread: Thread) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id(thread), "checkpoint_ns": ""}}


class _Exchange(PostgresSaver):
    """LangGraph's saver over rows that were read. It records the statements that it runs, because Pantheon's own
    transaction writes their rows."""

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(conn=cast(Any, None), serde=SERDE)
        self.written: list[tuple[str, Sequence[Any]]] = []
        self._rows = [_row(row) for row in rows]

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Any]:  # noqa: ARG002 the library's signature
        yield self

    def execute(self, query: str, params: Sequence[Any]) -> None:
        self.written.append((query, params))

    def executemany(self, query: str, params: Sequence[Sequence[Any]]) -> None:
        self.written += [(query, each) for each in params]

    def fetchone(self) -> dict[str, Any] | None:
        return self._rows[0] if self._rows else None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in the form of the library's own query."""
    blobs = [
        (channel.encode(), kind.encode(), None if blob is None else base64.b64decode(blob))
        for channel, kind, blob in row["blobs"] or ()
    ]
    return {**row, "channel_values": blobs, "pending_writes": None}


def _newest(saver: InMemorySaver, thread: Thread) -> CheckpointTuple | None:
    """Return the newest checkpoint in the form that the next turn loads.

    Raises StateInvalid for a value of a class that may not be loaded, because another value would come back."""
    blocked: list[SerdeEvent] = []
    forget = register_serde_event_listener(blocked.append)
    try:
        found = saver.get_tuple(config_of(thread))
    finally:
        forget()
    if blocked:
        raise StateInvalid(f"The graph's state has a {blocked[0]['name']}, which the next turn may not load.")
    return found


def _stored_form(found: CheckpointTuple, thread: Thread) -> str:
    """Return the checkpoint as the JSON that `publish.sql` reads. Raises StateInvalid."""
    exchange = _Exchange()
    try:
        exchange.put(config_of(thread), found.checkpoint, found.metadata, found.checkpoint["channel_versions"])
        *blobs, (_, (_, _, checkpoint_id, _, checkpoint, metadata)) = exchange.written
        state = {
            "checkpoint_id": checkpoint_id,
            "checkpoint": checkpoint.obj,
            "metadata": metadata.obj,
            "blobs": [_blob(*values[2:]) for _, values in blobs],
        }
        text = json.dumps(state, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise StateInvalid(str(error)) from error
    if size > MAX_STATE_BYTES:
        raise StateInvalid(f"The graph's state has {size} bytes. At most {MAX_STATE_BYTES} are stored.")
    if _has_nul(state):
        raise StateInvalid("A text of the graph's state has a NUL character.")
    return text


def _blob(channel: str, version: str, kind: str, blob: bytes | None) -> dict[str, str | None]:
    encoded = None if blob is None else base64.b64encode(blob).decode()
    return {"channel": channel, "version": version, "type": kind, "blob": encoded}


def _has_nul(value: object) -> bool:
    """Return whether a text in the JSON `value` has a NUL, which jsonb cannot store."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(each) for pair in value.items() for each in pair)
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))
