"""Tests that timeouts fit into each other: a caller notices a dead database before its function is killed."""

import migrations
from functions.sweeper.phases import PHASES, SECONDS
from infra_cdk.entries import HTTP_SECONDS, SWEEPER, TURNS
from shared.aws import queue
from shared.db import engine
from shared.db.engine import ANSWER_S, LONG_ANSWER_S
from shared.db.operations.time_limit import GRACE_S
from shared.operations import sweep
from shared.settings import Settings
from shared.turns import journal

CONNECT_S = engine._CONNECT_S
# An outcome is tried so often, and again when its runner gives up. Where the host is gone, each try is a connection.
TRIES = 2 * journal._RECORD_TRIES
PAUSES_S = 2 * (journal._RECORD_TRIES - 1) * journal._RECORD_PAUSE_S
GIVING_UP_S = ANSWER_S + TRIES * CONNECT_S + PAUSES_S


def test_turn_gives_up_a_dead_database_before_its_function_times_out() -> None:
    """Its last call may end when the turn's time is over."""
    assert Settings.model_fields["turn_seconds"].default + GIVING_UP_S < TURNS.seconds


def test_gateway_timeout_covers_the_longest_turn_without_bytes() -> None:
    """A turn that is answered as JSON sends nothing before it has ended."""
    silence_s = 5 * 60
    assert TURNS.seconds <= silence_s


def test_turn_gives_up_a_dead_database_within_its_lease() -> None:
    assert GIVING_UP_S < journal.LEASE_MARGIN_S


def test_function_has_time_for_two_reads_or_one_report() -> None:
    assert 2 * ANSWER_S + CONNECT_S < HTTP_SECONDS
    assert LONG_ANSWER_S + CONNECT_S < HTTP_SECONDS


def test_turns_lock_timeout_exceeds_that_of_a_migration() -> None:
    """Statements queue behind a migration that waits for a lock."""
    assert float(migrations.LOCK_TIMEOUT.removesuffix("s")) < ANSWER_S


def test_the_phases_of_a_sweep_and_its_invariants_fit_into_its_time() -> None:
    """Each phase may end late by the grace of one answer, and the last one by a connection."""
    assert {phase.name for phase in PHASES} | {"invariants"} == set(SECONDS)
    assert sum(SECONDS.values()) + len(SECONDS) * GRACE_S + CONNECT_S <= SWEEPER.seconds


def test_a_request_to_the_queue_fits_into_its_phase() -> None:
    assert queue._CONNECT_S + queue._READ_S == sweep.REQUEST_S < SECONDS["dispatch"]
    assert sweep._REQUEST == queue._BATCH
