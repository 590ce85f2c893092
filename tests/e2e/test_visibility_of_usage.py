"""Tests that usage shows a member its own turns, and an admin those of the tenant."""

from tests.support.stack.actors import Actors, make_session, post
from tests.support.stack.actors import actors as actors  # noqa: PLC0414 a fixture


def test_usage_is_a_members_own_and_an_admins_whole_tenants(actors: Actors) -> None:
    shared = make_session(actors["creator"], "tenant")
    turns = {actor: post(actors[actor], shared).json()["id"] for actor in ("creator", "colleague", "admin", "operator")}
    turns["admin's lesser key"] = post(actors["admin's lesser key"], shared).json()["id"]
    own = {**{actor: {turn} for actor, turn in turns.items()}, "admin": {*turns.values()}, "foreigner": set()}
    own["creator's key"] = own["creator"]
    # A key acts as its creator.
    own["admin's lesser key"] = {turns["admin"], turns["admin's lesser key"]}
    for actor, http in actors.items():
        rows = http.get("usage/calls", params={"limit": 100}).json()["items"]
        assert {row["turn_id"] for row in rows} == own[actor], actor
        text = http.get("usage/calls", headers={"Accept": "text/csv"}).text
        assert {turn for turn in turns.values() if turn in text} == own[actor], actor
        (total,) = http.get("usage").json()["items"]
        assert total["calls"] == len(own[actor]), actor
        for group in ("user_id", "session_id", "api_key_id", "day"):
            grouped = http.get("usage", params={"group_by": group}).json()["items"]
            assert sum(item["calls"] for item in grouped) == len(own[actor]), (actor, group)
