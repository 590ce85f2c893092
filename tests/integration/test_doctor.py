"""Tests the report of `pantheon doctor` on a sound database and on broken ones."""

import os
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

import migrations
from local import doctor, postgres
from local.postgres_access import OWNER
from migrations.roles import reset_settings
from shared.db.api.health import load_checkpointer
from shared.db.engine import Database
from shared.db.operations.invariants import INVARIANTS
from shared.names import Env, LocalEnv, Role
from tests.support.broken import BREAKS, take_turns
from tests.support.council_room import CouncilRoom, DatabaseUrls


@pytest.fixture(scope="module")
def template(postgres_server: postgres.Server) -> str:
    """The name of a migrated database without connections, which Postgres can copy."""
    name = f"sound_{uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as administrator:
        administrator.execute(f'CREATE DATABASE "{name}"'.encode())
    migrations.upgrade(postgres_server.url.removesuffix("postgres") + name)
    return name


@pytest.fixture
def patient(postgres_server: postgres.Server, template: str, scripted_settings: None) -> Iterator[CouncilRoom]:
    """A room with three turns in a database of the test's own, whose schema may be broken as well."""
    name = f"patient_{uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as administrator:
        administrator.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        urls = DatabaseUrls(postgres_server.url.removesuffix("postgres") + name)
        # A copy of a database has none of its roles' settings.
        with psycopg.connect(urls.owner, autocommit=True) as copied:
            reset_settings(copied)
        with psycopg.connect(urls.owner, autocommit=True, row_factory=dict_row) as owner:
            room = CouncilRoom(owner, urls.of(Role.APP))
            with room.databases:
                take_turns(room)
                yield room
        administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def examined(room: CouncilRoom, **variables: str) -> tuple[bool, list[str]]:
    said: list[str] = []
    environ = {LocalEnv.DATABASE_URL.value: room.owner_url, LocalEnv.DATA_DIR.value: os.devnull, **variables}
    return doctor.examine(environ, said.append), said


def test_the_state_of_graphs_is_broken_when_its_tables_are_missing(patient: CouncilRoom) -> None:
    graphs = {Env.GRAPHS.value: "one=module:graph"}
    well, said = examined(patient, **graphs)
    assert (well, said[3]) == (True, "ok      checkpointer postgres")
    db = Database(patient.app_url)
    assert load_checkpointer(db) == "postgres"
    patient.owner.execute("DROP TABLE checkpoint_blobs")
    well, said = examined(patient, **graphs)
    assert (well, said[3]) == (False, "BROKEN  checkpointer memory; graphs forget their state")
    assert load_checkpointer(db) == "memory"
    db.close()


def test_doctor_reports_every_invariant_as_ok_on_a_sound_database(patient: CouncilRoom) -> None:
    well, said = examined(patient)
    assert (well, said[3:]) == (True, [f"ok      {name}" for name in INVARIANTS])
    assert said[2] == "sessions 1, turns 3 (active 0), calls 12, ledger entries 12"


@pytest.mark.parametrize("name", BREAKS)
def test_doctor_reports_a_broken_invariant_with_its_rows(patient: CouncilRoom, name: str) -> None:
    patient.owner.execute(BREAKS[name])
    well, said = examined(patient)
    assert not well
    line = said.index(f"BROKEN  {name}")
    rows = patient.rows(INVARIANTS[name])
    assert said[line + 1] == "          " + ", ".join(f"{column} {value}" for column, value in rows[0].items())
    # The doctor goes on to the end after a finding.
    assert sum(row.startswith(("ok ", "BROKEN ")) for row in said) == len(INVARIANTS) + 1


def test_doctor_shows_five_of_many_broken_rows(patient: CouncilRoom) -> None:
    for _ in range(6):
        patient.make_session()
    patient.owner.execute("UPDATE sessions SET next_turn_index = 9")
    _, said = examined(patient)
    start = said.index("BROKEN  a session's turns are numbered from 1 without a gap")
    assert [line.strip().partition(" ")[0] for line in said[start + 1 : start + 8]] == ["id"] * 5 + ["and", "ok"]


def test_doctor_changes_nothing(patient: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_COUNTS", "UPDATE turns SET message = 'x' RETURNING 1")
    with pytest.raises(doctor.DoctorError, match="read-only"):
        examined(patient)


def test_doctor_finds_errors_as_an_owner_under_row_level_security(patient: CouncilRoom) -> None:
    """The owner is no superuser here, and row-level security is forced on it as well."""
    make = sql.SQL("CREATE ROLE landlord LOGIN PASSWORD {}").format(sql.Literal(patient.owner.info.password))
    patient.owner.execute(make)
    try:
        landlord = patient.owner_url.replace(f"//{OWNER}:", "//landlord:")
        with doctor._connect({LocalEnv.DATABASE_URL: landlord}) as connection:
            assert connection.execute("SELECT count(*) AS turns FROM turns").fetchall() == [{"turns": 3}]
    finally:
        patient.owner.execute("DROP ROLE landlord")
