"""Tests agents over HTTP: admins make and change them, and their versions are counted, kept and deleted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from functions.api import agents
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.catalog import Dialect, catalog
from shared.db.engine import Database, Row
from shared.names import API_PREFIX
from tests.support.council_room import CouncilRoom
from tests.support.gateway import body_of, problem_of, request

PATH = f"{API_PREFIX}/agents"
ADMIN = Caller("admin-1", "tenant-1", None, ("member", "admin"))
MEMBER = replace(ADMIN, roles=("member",))
BODY: dict[str, object] = {"name": "Planner", "role_prompt": "You plan.", "model_alias": "fast"}
DEFAULTS: dict[str, object] = {"max_output_tokens": None, "temperature": None, "enabled": True}

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(db: Database, scripted_settings: None, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Sends a request of an admin, or of another caller."""
    monkeypatch.setattr(agents, "database", lambda: db)
    app = create_app("Pantheon")
    app.include_router(agents.router)
    handler = lambda_handler(app)

    def asked(
        method: str, path: str = "", body: object = None, *, who: Caller = ADMIN, query: str = "", **headers: str
    ) -> dict[str, Any]:
        app.dependency_overrides[caller] = lambda: who
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return handler(request(method, PATH + path, body, query, named), LambdaContext("api", "invocation", 1e12))

    return asked


def put(ask: Ask, number: int = 1, **headers: str) -> dict[str, Any]:
    return ask("PUT", "/planner", BODY | {"name": f"Planner {number}"}, **headers)


def versions(ask: Ask, query: str = "limit=100") -> list[int]:
    return [item["version"] for item in body_of(ask("GET", "/planner/versions", query=query))["items"]]


class TestPut:
    def test_missing_agent_is_made(self, ask: Ask) -> None:
        made = ask("PUT", "/planner", BODY)
        assert (made["statusCode"], made["headers"]["etag"]) == (201, '"1"')
        assert body_of(made) == {"key": "planner", **BODY, **DEFAULTS, "version": 1}
        read = ask("GET", "/planner")
        assert (body_of(read), read["headers"]["etag"]) == (body_of(made), '"1"')

    def test_a_body_that_changes_nothing_makes_no_version(self, ask: Ask, owner: psycopg.Connection[Row]) -> None:
        for fields in ({}, {"temperature": 0.3, "max_output_tokens": 5, "enabled": False}):
            made = ask("PUT", "/planner", BODY | fields)
            for _ in range(2):
                again = ask("PUT", "/planner", BODY | fields)
                assert (again["statusCode"], body_of(again)) == (200, body_of(made))
        assert owner.execute("SELECT count(*) AS versions FROM agent_versions").fetchall() == [{"versions": 2}]

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "Plan"},
            {"role_prompt": "You plan"},
            {"model_alias": "deep"},
            {"max_output_tokens": 256},
            {"temperature": 0},
            {"enabled": False},
        ],
        ids=repr,
    )
    def test_every_field_that_differs_makes_a_version(self, ask: Ask, change: dict[str, object]) -> None:
        ask("PUT", "/planner", BODY)
        changed = ask("PUT", "/planner", BODY | change)
        assert (changed["statusCode"], changed["headers"]["etag"]) == (200, '"2"')
        assert body_of(changed) == {"key": "planner", **BODY, **DEFAULTS, **change, "version": 2}

    @pytest.mark.parametrize("tag", ['"2"', '"1", "2"', '"2","9"', "*", " * ", 'W/"1" , "2"'])
    def test_a_version_that_matches_is_replaced(self, ask: Ask, tag: str) -> None:
        put(ask, 1)
        put(ask, 2)
        assert body_of(put(ask, 3, if_match=tag))["version"] == 3

    @pytest.mark.parametrize("tag", ['"1"', '"3"', '"1", "3"', 'W/"2"', '"two"', '"*"', '""', '"02"', f'"{"9" * 99}"'])
    def test_another_version_is_412_and_changes_nothing(self, ask: Ask, tag: str) -> None:
        put(ask, 1)
        put(ask, 2)
        problem_of(put(ask, 3, if_match=tag), 412, "version_mismatch")
        # The present body is refused, too.
        problem_of(put(ask, 2, if_match=tag), 412, "version_mismatch")
        assert body_of(ask("GET", "/planner"))["version"] == 2

    @pytest.mark.parametrize("tag", ["*", '"1"'])
    def test_missing_agent_matches_no_version(self, ask: Ask, tag: str) -> None:
        problem_of(put(ask, if_match=tag), 412, "version_mismatch")
        put(ask)
        ask("DELETE", "/planner")
        problem_of(put(ask, if_match=tag), 412, "version_mismatch")

    @pytest.mark.parametrize("tag", ["2", '"2', "'2'", '"2" "3"', '"2",', "*,*", "", '"\u00fc"', 'w/"2"'])
    def test_key_that_is_no_tag_is_422(self, ask: Ask, tag: str) -> None:
        put(ask, 1)
        problem = problem_of(put(ask, 2, if_match=tag), 422, "invalid_request")
        assert "if-match" in problem["detail"]

    def test_versions_are_numbered_on_after_a_deletion(self, ask: Ask) -> None:
        put(ask, 1)
        put(ask, 2)
        ask("DELETE", "/planner")
        again = put(ask, 2)
        assert (again["statusCode"], body_of(again)["version"]) == (201, 3)
        ask("DELETE", "/planner")
        posted = ask("POST", "", BODY | {"key": "planner"})
        assert (posted["statusCode"], posted["headers"]["etag"]) == (201, '"4"')

    def test_a_post_of_a_key_that_exists_is_409(self, ask: Ask) -> None:
        put(ask)
        problem_of(ask("POST", "", BODY | {"key": "planner"}), 409, "agent_exists")


class TestVersions:
    def test_newest_20_versions_stay(self, ask: Ask) -> None:
        for number in range(25):
            put(ask, number)
        assert versions(ask) == list(range(25, 5, -1))
        (newest, *_) = body_of(ask("GET", "/planner/versions"))["items"]
        assert newest.pop("created_at") > "2026"
        assert newest == body_of(ask("GET", "/planner"))

    def test_pinned_versions_stay(self, room: CouncilRoom, ask: Ask) -> None:
        session_id = room.make_session(agent_keys=["planner", "writer"], mode="roundtable")
        pinned = []
        for number in range(1, 46):
            made = body_of(put(ask, number))["version"]
            if number % 10 == 0:
                room.take("hello", session_id=session_id)
                pinned.append(made)
        assert pinned == [10, 20, 30, 40]
        assert versions(ask) == [*range(45, 25, -1), 20, 10]

    def test_versions_are_paged_like_other_lists(self, ask: Ask) -> None:
        for number in range(5):
            put(ask, number)
        for order, expected in (("desc", [5, 4, 3, 2, 1]), ("asc", [1, 2, 3, 4, 5])):
            found, cursor = list[int](), ""
            while True:
                page = body_of(ask("GET", "/planner/versions", query=f"limit=2&order={order}{cursor}"))
                found += [item["version"] for item in page["items"]]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor'].replace('=', '%3D')}"
            assert found == expected

    @pytest.mark.parametrize("cursor", ["WyJhIl0%3D", "LTE%3D", "dHJ1ZQ%3D%3D", "OTk5OTk5OTk5OTk%3D"])
    def test_a_cursor_of_another_list_is_422(self, ask: Ask, cursor: str) -> None:
        put(ask)
        problem_of(ask("GET", "/planner/versions", query=f"cursor={cursor}"), 422, "invalid_request")

    def test_missing_agent_has_no_versions(self, ask: Ask) -> None:
        problem_of(ask("GET", "/planner/versions"), 404, "not_found")
        put(ask)
        ask("DELETE", "/planner")
        problem_of(ask("GET", "/planner/versions"), 404, "not_found")

    def test_a_deleted_agent_keeps_its_last_version_and_those_that_a_turn_pinned(
        self, room: CouncilRoom, ask: Ask
    ) -> None:
        session_id = room.make_session(agent_keys=["planner"], mode="roundtable")
        for number in range(1, 6):
            put(ask, number)
            if number == 2:
                room.take("hello", session_id=session_id)
        ask("DELETE", "/planner")
        kept = room.rows("SELECT version FROM agent_versions WHERE key = 'planner' ORDER BY version")
        assert [row["version"] for row in kept] == [2, 5]

    def test_versions_of_the_release_before_stay(self, room: CouncilRoom, ask: Ask) -> None:
        """That release pins no versions, so the versions that a turn has used are unknown."""
        put(ask, 0)
        room.owner.execute(
            """INSERT INTO agent_versions (tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens,
            enabled) SELECT tenant_id, 'planner', n, '', '', 'fast', 1, true FROM agents, generate_series(2, 5) n
            WHERE key = 'planner'"""
        )
        room.owner.execute("UPDATE agents SET version = 5 WHERE key = 'planner'")
        for number in range(30):
            put(ask, number)
        assert versions(ask)[-4:] == [5, 4, 3, 2]


class TestRoles:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "", BODY | {"key": "planner"}),
            ("POST", "", {"nonsense": 1}),
            ("PUT", "/planner", BODY),
            ("PUT", "/planner", {}),
            ("DELETE", "/planner", None),
        ],
    )
    def test_a_member_writes_no_agent(self, ask: Ask, method: str, path: str, body: object) -> None:
        made = body_of(ask("PUT", "/planner", BODY))
        problem_of(ask(method, path, body, who=MEMBER, query="nonsense=1"), 403, "forbidden")
        assert body_of(ask("GET", "/planner", who=MEMBER)) == made
        assert body_of(ask("GET", who=MEMBER))["items"] == [made]
        assert len(body_of(ask("GET", "/planner/versions", who=MEMBER))["items"]) == 1


class TestBounds:
    @pytest.mark.parametrize("alias", ["fast", "deep"])
    def test_cap_on_tokens_is_bounded_by_the_alias(self, ask: Ask, alias: str) -> None:
        cap = catalog()[alias].max_output_tokens
        allowed = ask("PUT", "/planner", BODY | {"model_alias": alias, "max_output_tokens": cap})
        assert body_of(allowed)["max_output_tokens"] == cap
        refused = ask("PUT", "/planner", BODY | {"model_alias": alias, "max_output_tokens": cap + 1})
        problem = problem_of(refused, 422, "invalid_request")
        assert f"{cap}" in problem["detail"]
        made = ask("POST", "", BODY | {"key": "other", "model_alias": alias, "max_output_tokens": cap + 1})
        problem_of(made, 422, "invalid_request")

    @pytest.mark.parametrize(
        ("taken", "temperature", "said"),
        [
            (1.0, 1.0, None),
            (1.0, 0, None),
            (1.0, 1.01, "must be at most 1, the highest that the alias 'fast' takes, or null"),
            (0.5, 2, "must be at most 0.5, the"),
            (False, None, None),
            (False, 0, "must be null: the alias 'fast' takes none"),
            (False, 1.0, "must be null"),
            (True, 2.0, None),
            (None, 2.0, None),
        ],
    )
    def test_a_temperature_that_the_alias_does_not_take_is_refused(
        self,
        ask: Ask,
        monkeypatch: pytest.MonkeyPatch,
        taken: bool | float | None,
        temperature: float | None,
        said: str | None,
    ) -> None:
        fast = replace(catalog()["fast"], dialect=Dialect(temperature=taken))
        monkeypatch.setattr(agents, "catalog", lambda: {"fast": fast})
        for method, path, key in (("PUT", "/planner", {}), ("POST", "", {"key": "other"})):
            answered = ask(method, path, BODY | {"temperature": temperature} | key)
            if said is None:
                assert (answered["statusCode"], body_of(answered)["temperature"]) == (201, temperature)
            else:
                assert f"body.temperature {said}" in problem_of(answered, 422, "invalid_request")["detail"]

    def test_agent_without_a_cap_answers_up_to_its_aliases_cap(self, room: CouncilRoom, ask: Ask) -> None:
        ask("PUT", "/planner", BODY | {"model_alias": "deep", "max_output_tokens": None})
        room.take("hello", session_id=room.make_session(agent_keys=["planner"], mode="roundtable"))
        assert room.provider.requests[0].max_output_tokens == catalog()["deep"].max_output_tokens

    def test_release_before_reads_a_number_for_an_agent_without_a_cap(
        self, ask: Ask, owner: psycopg.Connection[Row]
    ) -> None:
        """It takes the lower one of this number and the alias's cap."""
        ask("PUT", "/planner", BODY)
        stored = owner.execute("SELECT max_output_tokens > 1000000 AS above FROM agent_versions").fetchall()
        assert stored == [{"above": True}]

    @pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac", "\U0001f3db"])
    def test_role_prompt_is_bounded_by_32_kib_of_utf_8(self, ask: Ask, character: str) -> None:
        length = 32 * 1024 // len(character.encode())
        longest = character * length + "a" * (32 * 1024 - length * len(character.encode()))
        assert ask("PUT", "/planner", BODY | {"role_prompt": longest})["statusCode"] == 201
        for method, path, key in (("PUT", "/planner", {}), ("POST", "", {"key": "other"})):
            refused = ask(method, path, BODY | {"role_prompt": longest + "a"} | key)
            assert "body.role_prompt" in problem_of(refused, 422, "invalid_request")["detail"]
