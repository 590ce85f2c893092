"""Tests that a deleted session leaves no word in the database: in no table, and not in the planner's statistics.

Every text contains one word; then the test searches the whole database for it.
"""

import json
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

import migrations
from shared.db.api.history import record_cancel
from shared.db.api.sessions import record_session_deletion
from shared.db.protocol import PUBLISH, RECORD
from shared.db.schema.columns import COUNTS
from shared.domain.summary import LISTS
from shared.errors import SessionDeleted
from shared.llm.port import Completion, Request
from shared.llm.scripted import ScriptedProvider
from shared.names import Env
from shared.settings import settings
from shared.turns.journal import limits
from tests.support.council_room import CouncilRoom, DatabaseUrls, Killed, answer, prompt, unknown

WORD = "sesame"
MESSAGE = f"@writer @critic {WORD} @{WORD}"
# Every relation with rows: the catalogue too, where statistics hold samples of stored values.
_RELATIONS = """
    SELECT oid::regclass::text AS name FROM pg_class
    WHERE relkind IN ('r', 'm') AND relpersistence <> 't' ORDER BY 1"""


def dump(room: CouncilRoom) -> dict[str, int]:
    """Return the places of the word in the whole database, and the number of lines in a dump."""
    found = {}
    with psycopg.connect(room.owner_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        for (name,) in connection.execute(_RELATIONS).fetchall():
            with connection.cursor().copy(f"COPY (SELECT * FROM {name}) TO STDOUT".encode()) as copy:
                found[name] = b"".join(bytes(part) for part in copy).count(WORD.encode())
    return {name: count for name, count in found.items() if count}


def delete(room: CouncilRoom) -> None:
    record_session_deletion(room.open_database(), room.actor, room.session_id)


def say(request: Request) -> Completion:
    """Return the answer of each model: the word, in the requested form."""
    if "You extract" in prompt(request):
        said = {name: [f"It is {WORD}, {len(request.messages[-1].text)}."] for name in LISTS}
        return answer(json.dumps({"add": said, "close": [{"id": "F1", "reason": "outdated"}]}))
    if "writer" in prompt(request) and "selected" in prompt(request):
        return answer(json.dumps({"selected_agent_keys": ["writer"], "reason": WORD}))
    return answer(f"A {WORD}, {len(request.messages)}.")


def talkative(calls: int = 40) -> ScriptedProvider:
    provider = ScriptedProvider()
    provider.enqueue(*[say] * calls)
    return provider


def die(_: Request) -> str:
    raise Killed


def completed(room: CouncilRoom) -> None:
    room.take(MESSAGE)


def summarised(room: CouncilRoom) -> None:
    for _ in range(4):
        room.take(MESSAGE)
    stored = room.rows("SELECT items::text AS items, archive::text AS archive FROM summaries ORDER BY id")
    assert [(WORD in row["items"], WORD in row["archive"]) for row in stored] == [(True, False), (True, True)]


def failed(room: CouncilRoom) -> None:
    room.provider = ScriptedProvider()
    room.provider.enqueue(*[answer("")] * 4)
    assert room.take(MESSAGE).status == "failed"


def cancelled(room: CouncilRoom) -> None:
    def cancel(request: Request) -> Completion:
        record_cancel(room.open_database(), room.actor, room.row("SELECT id FROM turns")["id"])
        return say(request)

    room.provider = ScriptedProvider()
    room.provider.enqueue(cancel)
    assert room.take(MESSAGE).status == "cancelled"


def told_why(room: CouncilRoom) -> None:
    room.provider = ScriptedProvider()
    said = (f"Not about {WORD} {number}." for number in range(2))
    room.provider.enqueue(*(Completion("unbilled", error="refused", provider_message=each) for each in said), say)
    assert room.take(f"{MESSAGE} @researcher").status == "completed"
    assert room.row("SELECT count(*) AS rows FROM llm_calls WHERE has_provider_message")["rows"] == 2


def thought(room: CouncilRoom) -> None:
    """Two thoughts that differ, because the planner's samples begin with the second value of a column."""
    room.provider = ScriptedProvider()
    room.provider.enqueue(*(answer(f"<think>Is it {WORD} {number}?</think>So.") for number in range(2)))
    assert room.take(MESSAGE).status == "completed"
    assert room.row("SELECT count(*) AS rows FROM llm_calls WHERE has_thinking")["rows"] == 2


def routed(room: CouncilRoom) -> None:
    assert room.take(f"{WORD}?", mode="orchestrator").status == "completed"


def unreadably_routed(room: CouncilRoom) -> None:
    room.provider = ScriptedProvider()
    room.provider.enqueue(answer(f"{WORD} is no JSON"), *[say] * 8)
    assert room.take(f"{WORD}?", mode="orchestrator").status == "completed"


def resumed(room: CouncilRoom) -> None:
    room.provider = ScriptedProvider()
    room.provider.enqueue(say, die, unknown(), say)
    room.resume(room.take_until_killed(MESSAGE))


# The contents before the deletion.
PASTS: dict[str, Callable[[CouncilRoom], None]] = {
    "a completed turn": completed,
    "a summarised session, whose first memory is archived": summarised,
    "a failed turn": failed,
    "a cancelled turn": cancelled,
    "a turn with a message of its provider": told_why,
    "a turn with thinking": thought,
    "a routed turn": routed,
    "a turn whose routing could not be read": unreadably_routed,
    "a turn that was resumed, with calls of unknown outcome": resumed,
}


@pytest.fixture
def said(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> CouncilRoom:
    """A room whose every text has the word, with a summary after every second turn."""
    monkeypatch.setenv(Env.SUMMARY_AFTER_TURNS, "2")
    settings.cache_clear()
    room.provider = talkative()
    room.owner.execute("UPDATE sessions SET title = %s", (f"About {WORD}",))
    return room


@pytest.mark.parametrize("past", PASTS)
def test_deleted_session_leaves_no_word(said: CouncilRoom, past: str) -> None:
    PASTS[past](said)
    assert dump(said).keys() >= {"sessions", "turns"}
    delete(said)
    assert dump(said) == {}


def test_words_are_in_tables_and_never_in_their_statistics(said: CouncilRoom) -> None:
    summarised(said)
    assert dump(said).keys() == {"sessions", "turns", "replies", "summaries"}
    told_why(said)
    thought(said)
    assert dump(said).keys() == {"sessions", "turns", "replies", "summaries", "llm_calls"}


def late(room: CouncilRoom, call_id: UUID) -> None:
    """The first attempt's process records the outcome of its call later."""
    said_not = ("verdict", "stop_reason", "error_code", "provider_request_id", "retry_after_s")
    outcome: dict[str, object] = dict.fromkeys((f"o_{name}" for name in said_not), None)
    outcome |= (
        limits() | {f"o_{name}": 1 for name in COUNTS} | {"o_status": "succeeded", "o_cost_usd": 0, "o_output": WORD}
    )
    outcome |= {"o_provider_message": WORD, "o_thinking": WORD}
    turn_id = room.row("SELECT id FROM turns")["id"]
    room.open_database().run(room.tenant_id, RECORD, {**outcome, "o_call_id": call_id, "t_id": turn_id, "t_epoch": 1})


def lost_call(room: CouncilRoom) -> tuple[UUID, UUID]:
    """A turn whose process was killed in its first call: its id, and the call's."""
    room.provider = ScriptedProvider()
    room.provider.enqueue(die, *[say] * 8)
    return room.take_until_killed(MESSAGE), room.row("SELECT call_id FROM llm_calls")["call_id"]


def test_outcome_after_the_turns_end_and_the_deletion_stores_no_word(said: CouncilRoom) -> None:
    turn_id, call_id = lost_call(said)
    said.resume(turn_id)
    delete(said)
    late(said, call_id)
    assert said.calls("status")[0] == ("succeeded",)
    assert dump(said) == {}


@pytest.mark.parametrize("first", ["the deletion", "the outcome"])
def test_outcome_during_another_runners_deleted_turn_stores_no_word(said: CouncilRoom, first: str) -> None:
    turn_id, call_id = lost_call(said)

    def meanwhile(request: Request) -> Completion:
        if first == "the outcome":
            late(said, call_id)
        delete(said)
        if first == "the deletion":
            late(said, call_id)
        return say(request)

    said.provider = ScriptedProvider()
    said.provider.enqueue(meanwhile, *[say] * 4)
    with pytest.raises(SessionDeleted):
        said.resume(turn_id)
    assert dump(said) == {}


def test_a_turn_that_died_in_a_deleted_session_is_ended_without_a_word(said: CouncilRoom) -> None:
    turn_id, call_id = lost_call(said)
    delete(said)
    with pytest.raises(SessionDeleted):
        said.resume(turn_id)
    late(said, call_id)
    assert dump(said) == {}


def test_a_turn_whose_summary_was_written_before_its_session_was_deleted_is_ended_without_a_word(
    said: CouncilRoom,
) -> None:
    said.take(MESSAGE)
    said.db.before(PUBLISH, lambda: delete(said))
    with pytest.raises(SessionDeleted):
        said.take(MESSAGE)
    assert {"summary_text", "summary_structure"} <= {purpose for (purpose,) in said.calls("purpose")}
    assert dump(said) == {}


def test_another_session_keeps_its_words(said: CouncilRoom) -> None:
    said.take(MESSAGE)
    other = said.make_session()
    said.take(MESSAGE, session_id=other)
    delete(said)
    assert dump(said).keys() == {"turns", "replies"}
    left = said.rows("SELECT session_id FROM turns WHERE response IS NOT NULL")
    assert left == [{"session_id": other}]


def test_statistics_of_an_earlier_release_are_gone(empty_database: DatabaseUrls) -> None:
    migrations.upgrade(empty_database.owner, "0001")
    with psycopg.connect(empty_database.owner, autocommit=True) as owner:
        owner.execute(
            """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys)
            SELECT gen_random_uuid(), 't', 'u', %s, 'tag', 'sequential', '{}' FROM generate_series(1, 10)""",
            (WORD,),
        )
        owner.execute("ANALYZE sessions")
        sampled = "SELECT count(*) FROM pg_stats WHERE strpos(pg_stats::text, %s) > 0"
        assert owner.execute(sampled, (WORD,)).fetchone() == (1,)
        migrations.upgrade(empty_database.owner)
        assert owner.execute(sampled, (WORD,)).fetchone() == (0,)
