"""The world of a fault: a PostgreSQL with fsync on, a provider with its own log, and processes with the real handlers.

Everything lives in one directory, and ends with this process.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from uuid6 import uuid7

from local import database, postgres
from shared.db.api import agents, sessions
from shared.db.engine import Database, Row
from shared.db.schema.tables import metadata
from shared.names import Env
from shared.settings import BudgetSettings
from tests.faults.actor import Actor, handlers
from tests.faults.events import TENANT
from tests.faults.forked import fork
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider.server import Choice

GRAPHS = ",".join(f"{name}=tests.faults.graph_cases:{name}" for name in ("line", "branches", "loop"))
AGENTS = {"writer": "fast", "critic": "fast", "researcher": "deep"}
# Autovacuum is off, because it makes the figures of two runs differ. fsync is on, because crashes of the server are
# tested.
_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "autovacuum": "off", "max_connections": "120"}


@dataclass(frozen=True)
class Rule:
    """How the provider answers the next `times` requests (None: all) whose system prompt contains `when`."""

    mood: moods.Mood
    when: str = ""
    times: int | None = 1


class World:
    """`owner` sees every row. `sabotaged` names the missing guards of every process that starts from now on."""

    def __init__(self, directory: Path) -> None:
        self.sabotaged: str | None = None
        self._directory = directory
        self._log = directory / "provider.jsonl"
        self._log.touch()
        # The position in the log, now and when the world was renewed.
        self._seen = self._renewed = 0
        self._actors: list[Actor] = []
        handlers()
        # Fork before any connection is opened, so that the child shares none.
        self._provider = fork(self._serve_provider)
        self._provider_url = str(self._provider.pipe.recv())
        self._connect()
        self.make_agents()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
        for connection in (self.app, self.ops, self.owner):
            connection.close()
        self._provider.kill()
        self._server.stop()

    def _connect(self) -> None:
        self._server = postgres.start(self._directory / "postgres", settings=_SETTINGS)
        urls = database.prepare(self._server.url)
        self._app_url, self._ops_url, self._operator_url = urls.app, urls.ops, urls.operator
        self.owner = psycopg.connect(self._server.url, autocommit=True, row_factory=dict_row)
        self.app, self.ops = Database(urls.app), Database(urls.ops)

    def make_agents(self) -> None:
        for key, alias in AGENTS.items():
            fields = {"name": key.title(), "role_prompt": f"You do what a {key} does.", "model_alias": alias}
            agents.record_agent(
                self.app, TENANT, key, {**fields, "max_output_tokens": 100, "temperature": None, "enabled": True}
            )

    @property
    def handlers_log(self) -> Path:
        """Return the file into which these processes write their output."""
        return self._directory / "handlers.log"

    @property
    def owner_url(self) -> str:
        return self._server.url

    @property
    def server_pid(self) -> int:
        return self._server.pid

    @property
    def cluster(self) -> Path:
        return self._server.data_dir / "cluster"

    def restart_server(self) -> None:
        """Restart a killed server. It has the committed rows, and gets new connections and new processes."""
        self._server._process.wait()
        self.dismiss()
        for connection in (self.app, self.ops, self.owner):
            connection.close()
        self._connect()

    def renew(self, *, plans: bool = True) -> None:
        """Forget every turn, so that reading all of them stays cheap. Agents stay.

        Without `plans`, the database's prepared plans stay too, with the space of the deleted rows.
        """
        kept = ("agents", "agent_versions", "checkpoint_migrations")
        names = [name for name in metadata.tables if name not in kept]
        if plans:
            self.owner.execute(f"TRUNCATE {', '.join(names)}".encode())
        else:
            # In any order, without the foreign keys and triggers that forbid it.
            deleted = "; ".join(f"DELETE FROM {name}" for name in names)
            self.owner.execute(
                f"SET session_replication_role = replica; {deleted}; RESET session_replication_role".encode()
            )
        self._renewed = self._log.stat().st_size

    def rows(self, query: str, *params: object) -> list[Row]:
        return self.owner.execute(query.encode(), params).fetchall()

    def make_session(self, mode: str = "tag", fan_out: str = "sequential") -> UUID:
        session_id = uuid7()
        fields: dict[str, object] = {"title": "Talk", "mode": mode, "agent_keys": list(AGENTS), "fan_out": fan_out}
        sessions.record_session(self.app, TENANT, "user-1", session_id, fields)
        return session_id

    def set_allowance(self, usd: Decimal | None) -> None:
        """Set the most that the platform bears beyond its share's present use. None is the deployment's default."""
        payer = f"platform:{TENANT}"
        self.owner.execute(b"DELETE FROM budget_limits WHERE payer = %s", (payer,))
        if usd is not None:
            self.owner.execute(
                b"""INSERT INTO budget_limits (payer, cap_usd)
                SELECT %s, %s + coalesce(sum(held_usd + spent_usd), 0) FROM budgets WHERE payer = %s""",
                (payer, usd, payer),
            )

    def allowance_left(self) -> Decimal:
        """Return the rest of the platform's allowance for the tenant, in USD."""
        (row,) = self.rows(
            """SELECT coalesce((SELECT cap_usd FROM budget_limits l WHERE l.payer = p.payer), %s)
                - coalesce((SELECT sum(held_usd + spent_usd) FROM budgets b WHERE b.payer = p.payer), 0) AS usd
            FROM (VALUES (%s)) p (payer)""",
            BudgetSettings().platform_allowance_usd,
            f"platform:{TENANT}",
        )
        usd: Decimal = row["usd"]
        return usd

    def expire_lease(self, turn_id: UUID) -> None:
        """End the runner's lease, as if its time had passed."""
        self.owner.execute(
            b"UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second' "
            b"WHERE id = %s AND status = 'running'",
            (turn_id,),
        )

    # The processes.

    def actor(self, **settings: object) -> Actor:
        """Return an idle process, or a new one, with these settings in addition to the usual ones."""
        environ = self.environ({f"PANTHEON_{name.upper()}": str(value) for name, value in settings.items()})
        for actor in self._actors:
            if actor.environ == environ:
                self._actors.remove(actor)
                return actor
        return Actor(environ, self.handlers_log, self._log, self.sabotaged)

    def give_back(self, *actors: Actor) -> None:
        """Take back processes that are idle or dead."""
        self._actors += [actor for actor in actors if actor.alive]

    def dismiss(self) -> None:
        """End the idle processes."""
        for actor in self._actors:
            actor.kill()
        self._actors.clear()

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process with the functions."""
        return {
            Env.APP_DATABASE_URL: self._app_url,
            Env.OPS_DATABASE_URL: self._ops_url,
            Env.OPERATOR_DATABASE_URL: self._operator_url,
            Env.LLM_PROVIDER: "openai",
            Env.LLM_BASE_URL: self._provider_url,
            # The events' contexts tell the time.
            Env.TURN_SECONDS: "900",
            # A long message makes a summary due.
            Env.SUMMARY_AFTER_TOKENS: "400",
            **({Env.GRAPHS: GRAPHS} if "graphs" in handlers() else {}),
            **more,
        }

    # The provider.

    def set_moods(self, rules: Sequence[Rule] = ()) -> None:
        """Set the provider's rules. The first one that fits counts; without one it echoes."""
        self._provider.pipe.send(("rules", rules))
        self._provider.pipe.recv()

    def let_choose(self, choice: Choice) -> None:
        """Ask `choice`, which can be pickled, before the rules, until the rules are set again."""
        self._provider.pipe.send(("choose", choice))
        self._provider.pipe.recv()

    def release(self) -> None:
        """Answer every request that is on hold, and hold none from now on."""
        self._provider.pipe.send(("release", ()))
        self._provider.pipe.recv()

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests that reached the provider since the last call."""
        written = self._log_from(self._seen)
        self._seen += len(written)
        return self.parsed(written)

    def log_since_renewal(self) -> bytes:
        """Return the whole lines of the provider's log."""
        return self._log_from(self._renewed)

    @staticmethod
    def parsed(log: bytes) -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.splitlines()]

    def _log_from(self, place: int) -> bytes:
        with self._log.open("rb") as log:
            log.seek(place)
            written = log.read()
        return written[: written.rfind(b"\n") + 1]

    def _serve_provider(self, pipe: Connection) -> None:
        with FakeProvider(self._log) as provider:
            pipe.send(provider.url)
            while True:
                command, told = pipe.recv()
                match command:
                    case "release":
                        provider.release()
                    case "choose":
                        provider.answer_with(told)
                    case _:
                        provider.clear()
                        for rule in told:
                            provider.add(rule.mood, when=rule.when, times=rule.times)
                pipe.send("done")
