"""Tests a session's export: every ended turn once and in order, at any size and during other changes."""

import json
from uuid import uuid4

import pytest

from functions.api.export import _json as as_json
from functions.api.markdown import render
from shared.db.api.export import ExportPage, load_export
from shared.db.api.history import PAGE_BYTES
from shared.db.api.sessions import record_session_deletion
from shared.domain.actor import Actor
from shared.errors import NotFound
from tests.support.council_room import CouncilRoom, answer, body

# Its turn is stored with the text twice: as a reply and as the output.
LARGE = "x" * 1_500_000


def take(room: CouncilRoom, text: str) -> None:
    """Store a turn with this text. Agents of an earlier release had no limit of length."""
    room.provider.enqueue(answer("small"))
    turn_id = room.take("@writer hello").turn_id
    room.owner.execute(
        """UPDATE turns SET response = replace(response, '"small"', '"' || %s || '"') WHERE id = %s""", (text, turn_id)
    )


def pages(room: CouncilRoom) -> list[ExportPage]:
    found = [load_export(room.db, room.actor, room.session_id, None)]
    while found[-1].next_cursor is not None:
        found.append(load_export(room.db, room.actor, room.session_id, found[-1].next_cursor))
    return found


def indexes(found: list[ExportPage]) -> list[list[int]]:
    return [list(page.turns) for page in found]


def summarise(room: CouncilRoom, turn_index: int, text: str = "Memory.") -> None:
    """Store a summary of this turn, which covers the turns before it."""
    room.owner.execute(
        """INSERT INTO summaries SELECT gen_random_uuid(), tenant_id, session_id, id, turn_index - 1, %s, '["A fact."]',
        '[]', '[]', '[]', '{"key_facts": [], "decisions": [], "open_questions": [], "action_items": []}', '[]', now()
        FROM turns WHERE turn_index = %s""",
        (text, turn_index),
    )


def test_export_has_turns_as_answered_and_summaries_with_their_turn(room: CouncilRoom) -> None:
    answered = [room.take("@writer hello").body for _ in range(3)]
    summarise(room, 2)
    (page,) = pages(room)
    assert list(page.turns.values()) == answered
    assert [(index, row["through_turn_index"]) for index, row in page.summaries.items()] == [(2, 1)]
    assert page.names == {"writer": "Writer", "researcher": "Researcher", "critic": "Critic"}
    exported = json.loads(as_json(page))
    assert exported["turns"] == [json.loads(text) for text in answered]
    assert exported["summaries"][0]["key_facts"] == ["A fact."]
    # The release before wrote it.
    assert exported["summaries"][0]["items"] == [{"id": "F1", "list": "key_facts", "text": "A fact.", "turn_index": 1}]
    assert not exported["summaries"][0].keys() & {"archived", "last_numbers"}
    assert exported["session"]["id"] == str(room.session_id)
    assert (exported["active_turn_id"], exported["next_cursor"]) == (None, None)


def test_a_page_ends_at_four_megabytes_in_either_form(room: CouncilRoom) -> None:
    for text in (LARGE, "small", "small", LARGE, LARGE, "small"):
        take(room, text)
    summarise(room, 3, "y" * 1_200_000)
    found = pages(room)
    assert indexes(found) == [[1, 2], [3], [4], [5, 6]]
    for page in found:
        assert len(as_json(page).encode()) <= PAGE_BYTES
        assert len(render(page).encode()) <= PAGE_BYTES


def test_a_turn_that_is_larger_than_a_page_has_one_to_itself(room: CouncilRoom) -> None:
    for text in ("small", "x" * 2_500_000, "small"):
        take(room, text)
    assert indexes(pages(room)) == [[1], [2], [3]]


def test_a_page_has_a_hundred_turns(room: CouncilRoom) -> None:
    for _ in range(101):
        room.take("@writer hello")
    assert [len(page) for page in indexes(pages(room))] == [100, 1]


def test_turns_made_between_two_pages_are_at_the_end(room: CouncilRoom) -> None:
    for text in (LARGE, LARGE):
        take(room, text)
    first = load_export(room.db, room.actor, room.session_id, None)
    room.take("@writer hello")
    second = load_export(room.db, room.actor, room.session_id, first.next_cursor)
    assert (list(first.turns), list(second.turns), second.next_cursor) == ([1], [2, 3], None)


@pytest.mark.parametrize("ended", [0, 1, 100])
def test_a_turn_that_has_not_ended_is_named_and_left_out(room: CouncilRoom, ended: int) -> None:
    for _ in range(ended):
        room.take("@writer hello")
    active = room.take("@writer later", later=True).turn_id
    found = pages(room)
    assert [index for page in found for index in page.turns] == list(range(1, ended + 1))
    assert [page.active_turn_id for page in found] == [None] * (len(found) - 1) + [active]
    assert json.loads(as_json(found[-1]))["active_turn_id"] == str(active)
    assert "later" not in "".join(as_json(page) + render(page) for page in found)
    room.resume(active)
    assert [page.active_turn_id for page in pages(room)] == [None] * len(pages(room))


def test_a_session_without_turns_has_a_page(room: CouncilRoom) -> None:
    (page,) = pages(room)
    assert json.loads(as_json(page))["turns"] == []


def test_export_names_an_agent_by_its_present_name_even_when_deleted(room: CouncilRoom) -> None:
    room.change_agent("writer", name="Poet")
    room.owner.execute("UPDATE agents SET deleted_at = now() WHERE key = 'critic'")
    (page,) = pages(room)
    assert page.names == {"writer": "Poet", "researcher": "Researcher", "critic": "Critic"}


def test_export_includes_a_failed_turn(room: CouncilRoom) -> None:
    room.provider.enqueue(answer(""), answer(""))
    assert body(room.take("@writer hello"))["status"] == "failed"
    (page,) = pages(room)
    assert "failed: empty_reply" in render(page)


@pytest.mark.parametrize("other", ["nobody's", "another tenant's", "deleted"])
def test_export_of_a_missing_session_is_not_found(room: CouncilRoom, other: str) -> None:
    room.take("@writer hello")
    actor, session_id = room.actor, room.session_id
    match other:
        case "nobody's":
            session_id = uuid4()
        case "another tenant's":
            actor = Actor("tenant-2", room.actor.user_id)
        case "deleted":
            record_session_deletion(room.db, actor, session_id)
    with pytest.raises(NotFound):
        load_export(room.db, actor, session_id, None)
