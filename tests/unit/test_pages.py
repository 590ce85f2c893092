"""Tests pages and cursors: a cursor is read back unchanged, and a foreign one is refused."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from shared.db.api.agents import load_agents
from shared.db.api.history import load_turns
from shared.db.api.pages import PageRequest, encode_cursor, page
from shared.db.api.sessions import load_sessions
from shared.db.engine import Database
from shared.domain.actor import Actor
from shared.errors import InvalidRequest

CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
SESSION_ID = UUID(int=7)
ACTOR = Actor("acme", "ada")


class Reached(Exception):
    """A list took the cursor, and would have asked the database."""


class NoDatabase:
    """Keeps what it was asked for, and has no answer."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def read(self, _tenant_id: str, _statement: object, params: dict[str, Any]) -> None:
        self.params |= params
        raise Reached

    def read_all(self, _tenant_id: str, *work: tuple[object, dict[str, Any]]) -> None:
        for _, params in work:
            self.params |= params
        raise Reached


def ask(noun: str, cursor: str | None) -> dict[str, Any]:
    """Return the parameters that the list of `noun` would send to the database."""
    database = NoDatabase()
    lists: dict[str, Callable[[Database, PageRequest], object]] = {
        "agents": lambda db, request: load_agents(db, "acme", request),
        "sessions": lambda db, request: load_sessions(db, ACTOR, request),
        "turns": lambda db, request: load_turns(db, ACTOR, SESSION_ID, request),
    }
    with pytest.raises(Reached):
        lists[noun](cast(Database, database), PageRequest(7, cursor))
    return database.params


LISTS = ("agents", "sessions", "turns")
# Cursors as each list gives them out.
OWN = {
    "agents": encode_cursor([CREATED.isoformat(), "writer"]),
    "sessions": encode_cursor(str(UUID(int=9))),
    "turns": encode_cursor(42),
}


@pytest.mark.parametrize("noun", LISTS)
def test_list_without_a_cursor_begins_at_its_start(noun: str) -> None:
    params = ask(noun, None)
    assert params["b_limit"] == 8
    assert {params.get("b_after"), params.get("b_created_at")} == {None}


def test_cursor_is_decoded_to_the_key_it_was_made_of() -> None:
    agents = ask("agents", OWN["agents"])
    assert (agents["b_created_at"], agents["b_key"]) == (CREATED, "writer")
    assert ask("sessions", OWN["sessions"])["b_after"] == UUID(int=9)
    assert ask("turns", OWN["turns"])["b_after"] == 42


@pytest.mark.parametrize("key", ["x", 1, [1, "é"], None, {"a": [1]}, "\u2028?&=+/ "])
def test_cursor_is_unchanged_by_a_round_trip_through_a_url(key: object) -> None:
    cursor = encode_cursor(key)
    assert cursor.isascii()
    assert not set(cursor) & set("+/?&# %")
    assert PageRequest(cursor=cursor).after(lambda value: [value]) == [key]


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("other", LISTS)
def test_a_cursor_of_another_list_is_refused(noun: str, other: str) -> None:
    if noun != other:
        with pytest.raises(InvalidRequest, match="cursor"):
            ask(noun, OWN[other])


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        " ",
        "=",
        "x",
        "W10",
        "é",
        "\x00",
        "\ud800",
        "not a cursor",
        "+/+/",
        urlsafe_b64encode(b"").decode(),
        urlsafe_b64encode(b"\xff\xfe\x00").decode(),
        urlsafe_b64encode(b'{"a": ').decode(),
        urlsafe_b64encode(b"[" * 700).decode(),
        OWN["agents"] + "x",
        OWN["sessions"][:-4],
    ],
)
def test_cursor_of_random_text_is_refused(noun: str, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        ask(noun, cursor)


# Values that are no key of any list.
FOREIGN: list[object] = [None, "", "x", [], {}, [[]], [[[[]]]], {"0": 1}, {"b_after": 1}, ["x"], ["x", "y"], [1, 2]]
FOREIGN += [[CREATED.isoformat()], [None, "writer"]]
# The database could not even be asked for these.
FOREIGN += [float("inf"), float("-inf"), float("nan"), 10**30, -(10**30), 2**31, "9" * 600]
FOREIGN += [[CREATED.isoformat(), "\x00"], [CREATED.isoformat(), "\ud800"]]


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("key", FOREIGN, ids=lambda key: json.dumps(key)[:40])
def test_a_cursor_of_any_other_value_is_refused(noun: str, key: object) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        ask(noun, encode_cursor(key))


@pytest.mark.parametrize(
    ("key", "parse"),
    [([], lambda key: key[0]), ({}, lambda key: key["a"]), (float("inf"), int), (None, int), ("x", int)],
    ids=["index", "member", "overflow", "type", "value"],
)
def test_cursor_is_refused_when_the_list_cannot_parse_its_key(key: object, parse: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        PageRequest(cursor=encode_cursor(key)).after(parse)


def test_page_is_cut_at_its_limit_when_more_rows_follow() -> None:
    rows = [{"id": number} for number in range(4)]
    cut = page(rows, PageRequest(3), lambda row: row["id"])
    assert cut.items == rows[:3]
    assert cut.next_cursor == encode_cursor(2)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_page_has_no_cursor(count: int) -> None:
    rows = [{"id": number} for number in range(count)]
    last = page(rows, PageRequest(3), lambda row: row["id"])
    assert (last.items, last.next_cursor) == (rows, None)
