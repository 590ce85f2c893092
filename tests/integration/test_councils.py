"""Tests councils over HTTP: admins make and change them, versions are counted, and agents share their keys."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from functions.api import agents, councils
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.agents import record_agent, record_agent_change
from shared.db.api.councils import load_council, record_council, record_council_change
from shared.db.api.keyed_rows import PUT
from shared.db.engine import Database, Row
from shared.errors import AgentExists, KeyExists, NotFound
from shared.names import API_PREFIX
from tests.support.council_room import CouncilRoom
from tests.support.gateway import body_of, problem_of, request

ADMIN = Caller("admin-1", "tenant-1", None, ("member", "admin"))
MEMBER = replace(ADMIN, roles=("member",))
STRANGER = replace(ADMIN, tenant_id="tenant-2")
BODY: dict[str, object] = {"name": "Panel", "mode": "council", "agent_keys": ["writer", "critic"]}
DEFAULTS: dict[str, object] = {"fan_out": "sequential", "chair_key": None}
AGENT: dict[str, object] = {"name": "Planner", "role_prompt": "You plan.", "model_alias": "fast"}

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(room: CouncilRoom, scripted_settings: None, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Sends a request of an admin, or of another caller. The tenant has the agents of the room."""
    app = create_app("Pantheon")
    for noun in (agents, councils):
        monkeypatch.setattr(noun, "database", lambda: room.db)
        app.include_router(noun.router)
    handler = lambda_handler(app)

    def asked(
        method: str, path: str = "", body: object = None, *, who: Caller = ADMIN, query: str = "", **headers: str
    ) -> dict[str, Any]:
        app.dependency_overrides[caller] = lambda: who
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        whole = path if path.startswith("/agents") else f"/councils{path}"
        return handler(
            request(method, API_PREFIX + whole, body, query, named), LambdaContext("api", "invocation", 1e12)
        )

    return asked


def put(ask: Ask, number: int = 1, **headers: str) -> dict[str, Any]:
    return ask("PUT", "/panel", BODY | {"name": f"Panel {number}"}, **headers)


class TestPut:
    def test_a_council_is_made_when_it_is_not_there(self, ask: Ask) -> None:
        made = ask("PUT", "/panel", BODY)
        assert (made["statusCode"], made["headers"]["etag"]) == (201, '"1"')
        assert body_of(made) == {"key": "panel", **BODY, **DEFAULTS, "version": 1}
        read = ask("GET", "/panel", who=MEMBER)
        assert (body_of(read), read["headers"]["etag"]) == (body_of(made), '"1"')

    def test_a_body_makes_no_version_when_it_changes_nothing(self, ask: Ask) -> None:
        for fields in ({}, {"chair_key": "critic", "fan_out": "parallel"}):
            made = ask("PUT", "/panel", BODY | fields)
            for _ in range(2):
                again = ask("PUT", "/panel", BODY | fields)
                assert (again["statusCode"], body_of(again)) == (200, body_of(made))

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "Board"},
            {"mode": "roundtable"},
            {"agent_keys": ["writer"]},
            {"agent_keys": ["critic", "writer"]},
            {"fan_out": "parallel"},
            {"chair_key": "critic"},
            {"chair_key": "writer"},
        ],
        ids=repr,
    )
    def test_a_field_makes_a_version_when_it_differs(self, ask: Ask, change: dict[str, object]) -> None:
        made = body_of(ask("PUT", "/panel", BODY))
        changed = ask("PUT", "/panel", BODY | change)
        assert (changed["statusCode"], changed["headers"]["etag"]) == (200, '"2"')
        assert body_of(changed) == body_of(ask("GET", "/panel")) == made | change | {"version": 2}
        assert body_of(ask("PUT", "/panel", BODY)) == made | {"version": 3}

    @pytest.mark.parametrize("tag", ['"2"', '"1", "2"', "*"])
    def test_a_council_is_replaced_when_its_version_matches(self, ask: Ask, tag: str) -> None:
        put(ask, 1), put(ask, 2)
        assert body_of(put(ask, 3, if_match=tag))["version"] == 3

    @pytest.mark.parametrize("tag", ['"1"', '"3"', 'W/"2"', '"*"'])
    def test_a_council_stays_when_another_version_is_named(self, ask: Ask, tag: str) -> None:
        put(ask, 1), put(ask, 2)
        problem_of(put(ask, 3, if_match=tag), 412, "version_mismatch")
        problem_of(put(ask, 2, if_match=tag), 412, "version_mismatch")
        assert body_of(ask("GET", "/panel"))["version"] == 2

    @pytest.mark.parametrize("tag", ["*", '"1"'])
    def test_no_council_matches_when_none_is_there(self, ask: Ask, tag: str) -> None:
        problem_of(put(ask, if_match=tag), 412, "version_mismatch")
        put(ask)
        ask("DELETE", "/panel")
        problem_of(put(ask, if_match=tag), 412, "version_mismatch")
        problem_of(put(ask, if_match="1"), 422, "invalid_request")

    def test_numbers_go_on_when_a_council_was_deleted(self, ask: Ask) -> None:
        put(ask, 1), put(ask, 2)
        assert ask("DELETE", "/panel")["statusCode"] == 204
        again = put(ask, 2)
        assert (again["statusCode"], body_of(again)["version"]) == (201, 3)
        ask("DELETE", "/panel")
        posted = ask("POST", "", BODY | {"key": "panel"})
        assert (posted["statusCode"], posted["headers"]["etag"]) == (201, '"4"')


class TestRosters:
    @pytest.mark.parametrize(("method", "path", "key"), [("PUT", "/panel", {}), ("POST", "", {"key": "panel"})])
    def test_a_council_is_refused_when_an_agent_is_not_there(
        self, ask: Ask, method: str, path: str, key: dict[str, str]
    ) -> None:
        unknown = BODY | {"agent_keys": ["zoe", "writer", "adam"]} | key
        problem = problem_of(ask(method, path, unknown), 422, "unknown_agent")
        assert problem["detail"] == "There is no agent 'zoe', 'adam'."
        ask("DELETE", "/agents/critic")
        problem_of(ask(method, path, BODY | key), 422, "unknown_agent")
        problem_of(ask("GET", "/panel"), 404, "not_found")

    def test_agents_of_another_tenant_are_unknown(self, ask: Ask) -> None:
        problem_of(ask("PUT", "/panel", BODY, who=STRANGER), 422, "unknown_agent")

    def test_a_disabled_agent_may_sit_in_a_council(self, ask: Ask) -> None:
        ask("PUT", "/agents/planner", AGENT | {"enabled": False})
        assert ask("PUT", "/panel", BODY | {"agent_keys": ["planner"]})["statusCode"] == 201

    @pytest.mark.parametrize("chair", ["researcher", "panel", "Writer", "", 1, ["writer"]])
    def test_a_chair_is_refused_when_it_is_not_listed(self, ask: Ask, chair: object) -> None:
        for method, path, key in (("PUT", "/panel", {}), ("POST", "", {"key": "panel"})):
            refused = ask(method, path, BODY | {"chair_key": chair} | key)
            assert "body.chair_key" in problem_of(refused, 422, "invalid_request")["detail"]

    def test_a_council_keeps_the_key_of_an_agent_that_is_deleted(self, ask: Ask) -> None:
        made = body_of(ask("PUT", "/panel", BODY))
        ask("DELETE", "/agents/critic")
        assert body_of(ask("GET", "/panel")) == made

    @pytest.mark.parametrize(
        "fault",
        [
            *({"mode": "debate"}, {"mode": None}, {"fan_out": "both"}, {"version": 1}),
            *({"name": ""}, {"name": "a\nb"}),
            *({"agent_keys": keys} for keys in ([], ["writer", "writer"], [f"a{n}" for n in range(33)])),
        ],
        ids=str,
    )
    def test_a_bad_field_is_named(self, ask: Ask, fault: dict[str, object]) -> None:
        assert (
            f"body.{next(iter(fault))}"
            in problem_of(ask("PUT", "/panel", BODY | fault), 422, "invalid_request")["detail"]
        )


class TestKeys:
    def test_a_key_is_refused_when_a_council_or_an_agent_has_it(self, ask: Ask) -> None:
        put(ask)
        problem_of(ask("POST", "", BODY | {"key": "panel"}), 409, "key_exists")
        problem_of(ask("POST", "", BODY | {"key": "writer"}), 409, "key_exists")
        problem_of(ask("PUT", "/writer", BODY), 409, "key_exists")
        problem_of(ask("POST", "/agents", AGENT | {"key": "panel"}), 409, "key_exists")
        problem_of(ask("PUT", "/agents/panel", AGENT), 409, "key_exists")
        problem_of(ask("POST", "/agents", AGENT | {"key": "writer"}), 409, "agent_exists")
        problem_of(ask("GET", "/agents/panel"), 404, "not_found")
        problem_of(ask("GET", "/writer"), 404, "not_found")

    def test_a_key_is_free_when_its_owner_was_deleted(self, ask: Ask) -> None:
        put(ask)
        ask("DELETE", "/panel")
        assert ask("POST", "/agents", AGENT | {"key": "panel"})["statusCode"] == 201
        problem_of(put(ask), 409, "key_exists")
        ask("DELETE", "/agents/panel")
        assert (put(ask)["statusCode"], body_of(ask("GET", "/panel"))["version"]) == (201, 2)

    def test_a_key_is_each_tenants_own(self, ask: Ask) -> None:
        put(ask)
        assert ask("POST", "/agents", AGENT | {"key": "panel"}, who=STRANGER)["statusCode"] == 201
        problem_of(ask("GET", "/panel", who=STRANGER), 404, "not_found")
        problem_of(ask("DELETE", "/panel", who=STRANGER), 404, "not_found")
        assert body_of(ask("GET", who=STRANGER))["items"] == []

    @pytest.mark.usefixtures("scripted_settings")
    @pytest.mark.parametrize("makes", ["POST", "PUT"])
    def test_agent_and_council_of_one_key_at_once_make_only_one(
        self, room: CouncilRoom, owner: psycopg.Connection[Row], makes: str
    ) -> None:
        """Two connections begin at the same moment, 20 times."""
        one, other = room.open_database(), room.open_database()
        start, fields = threading.Barrier(2), BODY | DEFAULTS
        agent, council = (
            (record_agent, record_council) if makes == "POST" else (record_agent_change, record_council_change)
        )

        def race(make: Callable[..., object], db: Database, key: str, body: dict[str, object]) -> bool:
            start.wait()
            try:
                make(db, room.tenant_id, key, body)
            except KeyExists:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            for number in range(20):
                key = f"both-{number}"
                raced = pool.submit(race, agent, one, key, room.agent_body(key))
                assert [race(council, other, key, fields), raced.result()].count(True) == 1
        both = owner.execute("SELECT key FROM agents JOIN councils USING (tenant_id, key)").fetchall()
        made = owner.execute("SELECT key FROM councils UNION ALL SELECT key FROM agents WHERE key LIKE 'both%'")
        assert (both, len(made.fetchall())) == ([], 20)

    @pytest.mark.usefixtures("scripted_settings")
    def test_a_council_waits_for_an_agent_of_its_key_that_is_not_committed(self, room: CouncilRoom) -> None:
        db, other = room.open_database(), room.open_database()
        entered, leave = threading.Event(), threading.Event()

        def wait() -> None:
            entered.set()
            assert leave.wait(30)

        db.hold(PUT["agent"], wait)
        with ThreadPoolExecutor(2) as pool:
            agent = pool.submit(record_agent, db, room.tenant_id, "panel", room.agent_body("panel"))
            assert entered.wait(30)
            council = pool.submit(record_council, other, room.tenant_id, "panel", BODY | DEFAULTS)
            room.wait_until_blocked()
            leave.set()
            agent.result()
            with pytest.raises(KeyExists):
                council.result()
        with pytest.raises(AgentExists):
            record_agent(room.db, room.tenant_id, "panel", room.agent_body("panel"))
        with pytest.raises(NotFound):
            load_council(room.db, room.tenant_id, "panel")


class TestLists:
    @pytest.fixture
    def six(self, ask: Ask) -> list[str]:
        keys = [f"panel-{number}" for number in range(7)]
        for key in keys:
            ask("PUT", f"/{key}", BODY)
        ask("DELETE", "/panel-3")
        return [key for key in keys if key != "panel-3"]

    def test_living_councils_are_paged_by_age(self, ask: Ask, six: list[str]) -> None:
        for order, expected in (("desc", six[::-1]), ("asc", six)):
            found, cursor = list[str](), ""
            while True:
                page = body_of(ask("GET", query=f"limit=4&order={order}{cursor}", who=MEMBER))
                found += [item["key"] for item in page["items"]]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor'].replace('=', '%3D')}"
            assert found == expected

    def test_a_council_is_the_newest_when_it_is_made_again(self, ask: Ask, six: list[str]) -> None:
        ask("PUT", "/panel-0", BODY | {"name": "Changed"})
        ask("PUT", "/panel-3", BODY)
        listed = [item["key"] for item in body_of(ask("GET", query="order=asc"))["items"]]
        assert listed == [*six, "panel-3"]

    @pytest.mark.parametrize("cursor", ["WyJhIl0%3D", "LTE%3D", "dHJ1ZQ%3D%3D"])
    def test_a_cursor_of_another_list_is_422(self, ask: Ask, cursor: str) -> None:
        problem_of(ask("GET", query=f"cursor={cursor}"), 422, "invalid_request")


class TestRoles:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "", BODY | {"key": "board"}),
            ("POST", "", {"nonsense": 1}),
            ("PUT", "/panel", BODY),
            ("PUT", "/panel", {}),
            ("DELETE", "/panel", None),
        ],
    )
    def test_a_member_reads_councils_and_writes_none(self, ask: Ask, method: str, path: str, body: object) -> None:
        made = body_of(put(ask))
        problem_of(ask(method, path, body, who=MEMBER, query="nonsense=1"), 403, "forbidden")
        assert body_of(ask("GET", "/panel", who=MEMBER)) == made
        assert body_of(ask("GET", who=MEMBER))["items"] == [made]

    def test_a_council_that_is_not_there_is_404(self, ask: Ask) -> None:
        for method in ("GET", "DELETE"):
            for path in ("/panel", "/Panel", "/writer"):
                problem_of(ask(method, path), 404, "not_found")
        put(ask)
        ask("DELETE", "/panel")
        problem_of(ask("DELETE", "/panel"), 404, "not_found")
