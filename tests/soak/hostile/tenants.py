"""The tenants of a run, with their agents, caps and allowances, in a database of their own with fsync on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from local import database, postgres
from shared.db.engine import Row
from shared.names import Env
from tests.faults.actor import forget

COUNCIL = ("writer", "critic", "researcher")
CROWD = tuple(f"agent-{number:02}" for number in range(31))
# It answers in one token.
MISER = "miser"
# Cap and allowance in USD. The hostile tenants take them in turn: most of them spend one or both within minutes.
_LIMITS = (("0.02", "0.005"), ("0.1", "0.02"), ("0.5", "0.005"), ("0.05", "0.0005"), ("5", "0.1"))
# Each tenth hostile tenant has this number of clients, the others have fewer.
CLIENTS, MANY_CLIENTS = 4, 20
TURNS_PER_MINUTE, ACTIVE_TURNS = 60, 20
_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "max_connections": "500"}


@dataclass(frozen=True)
class Tenants:
    """`per_second` is how many turns the honest tenants post, all together."""

    honest: tuple[str, ...]
    hostile: tuple[str, ...]
    per_second: float

    @classmethod
    def of(cls, number: int, per_second: float) -> "Tenants":
        """A tenth of them hostile."""
        hostile = number // 10
        return cls(
            tuple(f"honest-{index:03}" for index in range(number - hostile)),
            tuple(f"hostile-{index:03}" for index in range(hostile)),
            per_second,
        )

    def clients(self) -> list[tuple[str, int]]:
        """Each client of the hostile tenants: its tenant, and its number among all."""
        names = [
            name for index, name in enumerate(self.hostile) for _ in range(CLIENTS if index % 10 else MANY_CLIENTS)
        ]
        return [(name, number) for number, name in enumerate(names)]


@dataclass(frozen=True)
class Deployment:
    """`owner` sees every row, and belongs to this process alone. `log` is the provider's. `said` is what the
    processes write."""

    owner: psycopg.Connection[Row]
    owner_url: str
    log: Path
    said: Path


@contextmanager
def deployed(directory: Path, tenants: Tenants) -> Iterator[Deployment]:
    """Start the database, and set the environment of this process and of those that it forks."""
    with postgres.start(directory / "postgres", settings=_SETTINGS) as server:
        urls = database.prepare(server.url)
        os.environ |= {
            Env.APP_DATABASE_URL: urls.app,
            Env.OPS_DATABASE_URL: urls.ops,
            Env.LLM_PROVIDER: "scripted",
            Env.TURN_SECONDS: "900",
            # A long answer makes a summary due.
            Env.SUMMARY_AFTER_TOKENS: "400",
            Env.TURNS_PER_MINUTE: str(TURNS_PER_MINUTE),
            Env.TENANT_ACTIVE_TURNS: str(ACTIVE_TURNS),
        }
        forget()
        log = directory / "provider.jsonl"
        log.touch()
        with psycopg.connect(server.url, autocommit=True, row_factory=dict_row) as owner:
            _make(owner, tenants)
            yield Deployment(owner, server.url, log, directory / "said.log")


def _make(owner: psycopg.Connection[Row], tenants: Tenants) -> None:
    everyone, hostile = [*tenants.honest, *tenants.hostile], [*tenants.hostile]
    _make_agents(owner, everyone, COUNCIL, 60)
    _make_agents(owner, hostile, CROWD, 100)
    _make_agents(owner, hostile, (MISER,), 1)
    limits = [_LIMITS[index % len(_LIMITS)] for index in range(len(hostile))]
    for prefix, amounts in (("tenant", [cap for cap, _ in limits]), ("platform", [share for _, share in limits])):
        owner.execute(
            b"INSERT INTO budget_limits (payer, cap_usd) SELECT %s || ':' || t, usd "
            b"FROM unnest(%s::text[], %s::numeric[]) AS given (t, usd)",
            (prefix, hostile, [Decimal(amount) for amount in amounts]),
        )


def _make_agents(owner: psycopg.Connection[Row], tenants: list[str], keys: tuple[str, ...], tokens: int) -> None:
    owner.execute(
        b"INSERT INTO agent_versions "
        b"(tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens, enabled) "
        b"SELECT t, k, 1, initcap(k), 'You do what is asked.', CASE k WHEN 'researcher' THEN 'deep' ELSE 'fast' END, "
        b"%s, true FROM unnest(%s::text[]) t, unnest(%s::text[]) k",
        (tokens, tenants, [*keys]),
    )
    owner.execute(
        b"INSERT INTO agents (tenant_id, key, version) SELECT t, k, 1 FROM unnest(%s::text[]) t, unnest(%s::text[]) k",
        (tenants, [*keys]),
    )
