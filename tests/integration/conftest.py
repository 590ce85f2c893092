"""A real PostgreSQL, started once a run for the tests that ask for one, and a council room in it for each test."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from functions.worker import handler
from local import database, postgres
from local.gateway.worker import LambdaContext
from shared import telemetry
from shared.aws.queue import queue
from shared.catalog import catalog
from shared.db.api.new_tenants import add_roster, template
from shared.db.engine import Database, Row
from shared.db.schema.graph_tables import checkpoint_migrations
from shared.db.schema.tables import metadata
from shared.llm.tokens import token_estimates
from shared.names import SERVICE, Env, Role
from shared.settings import budget_settings, queue_settings, quota_settings, settings
from tests.support import sqs
from tests.support.council_room import AMPLE_S, CouncilRoom, DatabaseUrls, broken_invariants
from tests.support.graph_desk import Desk
from tests.support.other_process import OtherProcess
from tests.support.watched_database import WatchedDatabase

# No test needs data after a crash of the machine. Autovacuum would take transaction ids of its own.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


# The planner reads both, so that the plans of one test would depend on the tests before it.
_ANALYSED_OR_LARGE = b"""SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relkind = 'r' AND (reltuples >= 0 OR pg_relation_size(oid) > 1048576) AND relname <> 'checkpoint_migrations'"""
_FORGET_STATISTICS = b"""SELECT pg_clear_attribute_stats('public', c.relname, a.attname, s.stainherit)
    FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid
    JOIN pg_attribute a ON (a.attrelid, a.attnum) = (s.starelid, s.staattnum)
    WHERE c.relnamespace = 'public'::regnamespace"""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    with postgres.start(tmp_path_factory.mktemp("postgres"), settings=_SETTINGS) as server:
        yield server


@contextmanager
def _database(server: postgres.Server) -> Iterator[DatabaseUrls]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as administrator:
        administrator.execute(f'CREATE DATABASE "{name}"'.encode())
        yield DatabaseUrls(server.url.removesuffix("postgres") + name)
        administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def empty_database(postgres_server: postgres.Server) -> Iterator[DatabaseUrls]:
    """A database without any schema, of the test's own."""
    with _database(postgres_server) as urls:
        yield urls


@pytest.fixture(scope="session")
def migrated_database(postgres_server: postgres.Server) -> Iterator[DatabaseUrls]:
    with _database(postgres_server) as urls:
        database.prepare(urls.owner)
        yield urls


@pytest.fixture(scope="session")
def administrator(migrated_database: DatabaseUrls) -> Iterator[psycopg.Connection[Row]]:
    """A superuser's connection between the tests."""
    with psycopg.connect(migrated_database.owner, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def database_urls(migrated_database: DatabaseUrls, administrator: psycopg.Connection[Row]) -> Iterator[DatabaseUrls]:
    """A migrated database without any row.

    It is emptied after the test, because a copy of a database takes longer than most tests. A test must not change its
    schema.
    """
    yield migrated_database
    # A test that failed may have left a connection behind, with locks.
    administrator.execute(
        """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
    )
    # The stamp of the checkpointer's tables is part of the schema.
    tables = [table for table in reversed(metadata.sorted_tables) if table is not checkpoint_migrations]
    emptied = [f"DELETE FROM {table.name}" for table in tables]
    administrator.execute("; ".join(emptied).encode())
    if administrator.execute(_ANALYSED_OR_LARGE).fetchall():
        administrator.execute(f"TRUNCATE {', '.join(table.name for table in tables)}".encode())
        administrator.execute(_FORGET_STATISTICS)


@pytest.fixture
def owner(database_urls: DatabaseUrls) -> Iterator[psycopg.Connection[Row]]:
    """A superuser's connection, in autocommit, with rows as dictionaries."""
    with psycopg.connect(database_urls.owner, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def app_url(database_urls: DatabaseUrls) -> str:
    return database_urls.of(Role.APP)


@pytest.fixture
def db(app_url: str) -> Iterator[Database]:
    database = Database(app_url)
    yield database
    database.close()


@pytest.fixture
def scripted_settings(app_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's settings are those of a function with the scripted provider, until the test ends."""
    for name in Env:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(Env.APP_DATABASE_URL, app_url)
    monkeypatch.setenv(Env.LLM_PROVIDER, "scripted")
    _forget_settings()
    yield
    _forget_settings()


def _forget_settings() -> None:
    settings.cache_clear()
    budget_settings.cache_clear()
    quota_settings.cache_clear()
    queue_settings.cache_clear()
    queue.cache_clear()
    catalog.cache_clear()
    template.cache_clear()
    add_roster.cache_clear()
    token_estimates.cache_clear()


@pytest.fixture
def room(
    owner: psycopg.Connection[Row],
    database_urls: DatabaseUrls,
    administrator: psycopg.Connection[Row],
    scripted_settings: None,
) -> Iterator[CouncilRoom]:
    """A council room. After the test, every invariant must hold."""
    room = CouncilRoom(owner, database_urls.of(Role.APP))
    with room.databases:
        yield room
    administrator.execute(f"SET ROLE {Role.OPS}".encode())
    try:
        assert broken_invariants(administrator) == {}
    finally:
        administrator.execute("RESET ROLE")


@pytest.fixture
def desk(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Posts and runs turns of a graph. Nothing imports it: a test runs a function instead."""
    monkeypatch.setenv(Env.GRAPHS, "here=no.such.module:graph")
    return Desk(room)


@pytest.fixture
def other(room: CouncilRoom) -> Iterator[OtherProcess]:
    """A second process, besides that of the room's runner."""
    with ThreadPoolExecutor() as pool:
        yield OtherProcess(room, pool)


@pytest.fixture
def ops_url(database_urls: DatabaseUrls) -> str:
    return database_urls.of(Role.OPS)


@pytest.fixture
def ops(room: CouncilRoom, ops_url: str) -> WatchedDatabase:
    """A connection of the operations' role."""
    return room.open_database(ops_url)


@pytest.fixture
def worker(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Callable[[UUID], bool]:
    """The worker's real handler, with the room's database and provider. Takes a message of one of the room's turns,
    and returns whether the message comes back."""
    monkeypatch.setattr(handler, "database", lambda: room.db)
    monkeypatch.setattr(handler, "provider", lambda: room.provider)

    def deliver(turn_id: UUID) -> bool:
        context = LambdaContext("worker", "request-1", time.monotonic() + AMPLE_S)
        return bool(sqs.failed([sqs.message(turn_id, room.tenant_id)], context))

    return deliver


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Restore logging after the test, because a handler changes the logging tree and keeps this test's standard
    output.
    """
    below = [logging.getLogger(name) for name in ("shared", "functions")]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in below]
    telemetry._logger.cache_clear()
    yield
    # Powertools keeps its handler by the logger's name, and this test's standard output is closed by now.
    for kept in logging.getLogger(SERVICE).handlers:
        kept.stream = sys.__stdout__  # type: ignore[attr-defined]
    for logger, (handlers, level, propagate) in zip(below, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    telemetry._logger.cache_clear()
