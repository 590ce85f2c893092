"""Compares the WAL of a turn with the floor, which writes the same rows by hand."""

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

import psycopg
import pytest

from bench.floor import Floor
from bench.world import KEYS, Case, World

CASES = (
    Case("one agent", "manual", KEYS[:1]),
    Case("an orchestrator's turn with a summary", "orchestrator", KEYS[:3], summaries=True),
)
# A session without a summary has four times as many turns before one is due.
TURNS = 9


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with World.start(request.param, {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}) as world:
        yield world


def test_turn_writes_at_most_a_tenth_more_wal_than_the_floor(world: World) -> None:
    handler, event = world.handler(world.app_url), world.event(world.make_session())
    by_hand = world.event(world.make_session())

    def turns_by_hand() -> None:
        for _ in range(TURNS):
            floor.take_turn(by_hand)

    def turns() -> None:
        for _ in range(TURNS):
            with redirect_stdout(io.StringIO()):
                assert handler(event, world.context)["statusCode"] == 201

    def written(what: Callable[[], None]) -> int:
        before = world.wal_bytes()
        what()
        return world.wal_bytes() - before

    with psycopg.connect(world.server_url, autocommit=True, prepare_threshold=0) as connection:
        floor = Floor(connection, world.provider, world.template(), summaries=world.case.summaries)
        turns()
        turns_by_hand()
        least, early = written(turns_by_hand), written(turns)
        assert early <= 1.1 * least
        turns()
        late = written(turns)
        assert late <= 1.05 * early
