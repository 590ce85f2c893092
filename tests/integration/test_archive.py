"""Tests the archive of a session: every item that left memory, page by page, and nothing after the session's
deletion.
"""

import base64
import json
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from shared.db.api.pages import Order, PageRequest
from shared.db.api.sessions import record_session_deletion
from shared.db.api.summaries import load_archive
from shared.domain.actor import Actor
from shared.errors import InvalidRequest, NotFound
from tests.support.council_room import CouncilRoom

# The ids that left memory with the summaries through turns 1 to 4; the release before wrote the third.
LEFT: tuple[list[str] | None, ...] = (["F1", "F2", "Q1"], [], None, ["F3", "Q2"])
TEXTS = {
    "F1": "The vault code of house 000 is 7000.",
    "F2": "Der Tresorcode von Haus 001 ist 7001.",
    "Q1": "誰が払いますか。",
    "F3": "رمز خزنة المنزل 003 هو 7003.",
    "Q2": "Who pays?",
}


def archived(id_: str) -> dict[str, object]:
    name = {"F": "key_facts", "Q": "open_questions"}[id_[0]]
    item = {"id": id_, "list": name, "text": TEXTS[id_], "turn_index": 1}
    return {**item, "reason": "replaced" if id_ == "F1" else "no_room", "successor": "F2" if id_ == "F1" else None}


@pytest.fixture
def filled(room: CouncilRoom) -> CouncilRoom:
    for ids in LEFT:
        room.take("@writer hello")
        archive = None if ids is None else Jsonb([archived(id_) for id_ in ids])
        room.owner.execute(
            """INSERT INTO summaries (id, tenant_id, session_id, turn_id, through_turn_index, text, key_facts,
            decisions, open_questions, action_items, archived, fallbacks, archive)
            SELECT gen_random_uuid(), tenant_id, session_id, id, turn_index, '', '[]', '[]', '[]', '[]', '{}', '[]', %s
            FROM turns ORDER BY turn_index DESC LIMIT 1""",
            (archive,),
        )
    return room


def pages(room: CouncilRoom, order: Order, limit: int) -> list[list[str]]:
    found, cursor = [], None
    while True:
        page = load_archive(room.db, room.actor, room.session_id, PageRequest(limit, cursor, order))
        found.append([row["item"]["id"] for row in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_the_archive_is_read_in_pages_of_any_size_newest_or_oldest_first(filled: CouncilRoom, limit: int) -> None:
    oldest_first = ["F1", "F2", "Q1", "F3", "Q2"]
    for order, ids in (("asc", oldest_first), ("desc", oldest_first[::-1])):
        assert pages(filled, order, limit) == [ids[n : n + limit] for n in range(0, 5, limit)]  # type: ignore[arg-type]


def test_an_archived_item_is_as_it_was_stored(filled: CouncilRoom) -> None:
    page = load_archive(filled.db, filled.actor, filled.session_id, PageRequest())
    assert [row["item"] for row in page.items] == [archived(id_) for id_ in ("Q2", "F3", "Q1", "F2", "F1")]
    newest = filled.row("SELECT created_at FROM summaries ORDER BY through_turn_index DESC LIMIT 1")
    assert page.items[0]["created_at"] == newest["created_at"]


def test_items_that_leave_between_two_pages_do_not_move_those_before(filled: CouncilRoom) -> None:
    first = load_archive(filled.db, filled.actor, filled.session_id, PageRequest(2))
    filled.owner.execute(
        "UPDATE summaries SET through_turn_index = 9, archive = %s WHERE through_turn_index = 2",
        (Jsonb([archived("Q1")]),),
    )
    request = PageRequest(2, first.next_cursor)
    second = load_archive(filled.db, filled.actor, filled.session_id, request)
    assert [row["item"]["id"] for row in (*first.items, *second.items)] == ["Q2", "F3", "Q1", "F2"]


@pytest.mark.parametrize("key", [None, 1, [1], [1, 2, 3], [1, "2"], [-1, 0], [1, 2**31], {"a": 1}, "x"])
def test_a_cursor_of_another_list_is_refused(filled: CouncilRoom, key: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    with pytest.raises(InvalidRequest):
        load_archive(filled.db, filled.actor, filled.session_id, PageRequest(2, cursor))


def test_archive_is_404_for_other_users_and_after_a_deletion(filled: CouncilRoom) -> None:
    stranger = Actor("tenant-2", filled.actor.user_id)
    for actor, session_id in ((stranger, filled.session_id), (filled.actor, uuid4())):
        with pytest.raises(NotFound):
            load_archive(filled.db, actor, session_id, PageRequest())
    record_session_deletion(filled.db, filled.actor, filled.session_id)
    with pytest.raises(NotFound):
        load_archive(filled.db, filled.actor, filled.session_id, PageRequest())
    assert filled.rows("SELECT id FROM summaries") == []
