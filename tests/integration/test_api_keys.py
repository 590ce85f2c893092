"""Tests API keys over HTTP: made once, listed and revoked, each by the permitted users."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.api import api_keys
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.engine import Database, Row
from shared.db.identity import ApiKey, find_api_key
from shared.db.schema.tables import metadata
from shared.domain.api_key import hash_key, is_key
from shared.names import API_PREFIX, Role
from tests.support.council_room import DatabaseUrls
from tests.support.gateway import body_of, problem_of, request

PATH = f"{API_PREFIX}/api-keys"
MEMBER = Caller("user-1", "tenant-1", None, ("member",))
COLLEAGUE = replace(MEMBER, user_id="user-2")
ADMIN = Caller("admin-1", "tenant-1", None, ("member", "admin"))
STRANGER = Caller("user-1", "tenant-2", None, ("admin",))
KEY = replace(ADMIN, key_id=str(UUID(int=1)))
SHOWN = ["id", "name", "role", "prefix", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at"]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(db: Database, scripted_settings: None, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Sends a request of a caller."""
    monkeypatch.setattr(api_keys, "database", lambda: db)
    app = create_app("Pantheon")
    app.include_router(api_keys.router)
    handler = lambda_handler(app)

    def asked(method: str, who: Caller, body: object = None, *, path: str = "", query: str = "") -> dict[str, Any]:
        app.dependency_overrides[caller] = lambda: who
        return handler(request(method, PATH + path, body, query), LambdaContext("api", "invocation", 1e12))

    return asked


@pytest.fixture
def auth(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.AUTH))
    yield database
    database.close()


def make(ask: Ask, who: Caller = MEMBER, **fields: object) -> dict[str, Any]:
    answer = ask("POST", who, {"name": "CI"} | fields)
    assert answer["statusCode"] == 201, answer["body"]
    return body_of(answer)


def listed(ask: Ask, who: Caller, query: str = "") -> list[str]:
    return [item["id"] for item in body_of(ask("GET", who, query=query))["items"]]


class TestMaking:
    def test_a_key_is_shown_once_and_acts_as_its_creator(self, ask: Ask, auth: Database) -> None:
        answer = ask("POST", MEMBER, {"name": "Continuous integration — nightly"})
        made = body_of(answer)
        assert (answer["statusCode"], answer["headers"]["cache-control"]) == (201, "no-store")
        assert set(made) == {*SHOWN, "key"}
        key = made.pop("key")
        assert is_key(key)
        assert (made["prefix"], made["name"]) == (key[:12], "Continuous integration — nightly")
        assert (made["role"], made["created_by"]) == ("member", "user-1")
        assert (made["expires_at"], made["last_used_at"], made["revoked_at"]) == (None, None, None)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", made["created_at"])
        assert body_of(ask("GET", MEMBER))["items"] == [made]
        assert find_api_key(auth, hash_key(key)) == ApiKey(UUID(made["id"]), "tenant-1", "user-1", "member")
        used = body_of(ask("GET", MEMBER))["items"][0]
        assert used["last_used_at"] >= made["created_at"]

    def test_key_is_in_no_table_log_or_list(
        self,
        ask: Ask,
        owner: psycopg.Connection[Row],
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            made = make(ask)
            key = made["key"]
            answers = [ask("GET", MEMBER), ask("GET", ADMIN), ask("DELETE", MEMBER, path=f"/{made['id']}")]
        secret = key.removeprefix(made["prefix"])
        for name in metadata.tables:
            query = f"SELECT count(*) AS rows FROM {name} AS listed WHERE strpos(listed::text, %s) > 0"
            assert owner.execute(query.encode(), (secret,)).fetchall() == [{"rows": 0}]
        said = [*capfd.readouterr(), caplog.text, *(json.dumps(answer) for answer in answers)]
        assert not any(secret in text or hash_key(key).hex() in text for text in said)

    def test_two_keys_differ(self, ask: Ask) -> None:
        assert make(ask)["key"] != make(ask)["key"]

    @pytest.mark.parametrize(
        ("who", "role", "status"),
        [
            (MEMBER, "member", 201),
            (ADMIN, "member", 201),
            (ADMIN, "admin", 201),
            (MEMBER, "admin", 403),
            (replace(MEMBER, roles=("operator", "pantheon:operator")), "admin", 403),
            (replace(MEMBER, roles=("administrator", "Admin")), "admin", 403),
        ],
    )
    def test_a_keys_role_is_at_most_its_creators(
        self, ask: Ask, owner: psycopg.Connection[Row], who: Caller, role: str, status: int
    ) -> None:
        answer = ask("POST", who, {"name": "CI", "role": role})
        if status == 403:
            problem_of(answer, 403, "forbidden")
        else:
            assert body_of(answer)["role"] == role
        made = owner.execute("SELECT role FROM api_keys").fetchall()
        assert made == ([] if status == 403 else [{"role": role}])

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("2999-12-31T23:59:59.25Z", "2999-12-31T23:59:59.250000Z"),
            ("2999-12-31t12:00:00.5+02:00", "2999-12-31T10:00:00.500000Z"),
            (None, None),
        ],
    )
    def test_key_expires_at_its_time(self, ask: Ask, auth: Database, written: str | None, shown: str | None) -> None:
        made = make(ask, expires_at=written)
        assert made["expires_at"] == shown
        assert find_api_key(auth, hash_key(made["key"]))

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": ""},
            {"name": "   "},
            {"name": "x" * 201},
            {"name": "two\nlines"},
            {"name": "\x00"},
            {"name": "\ud800"},
            {"name": "\u202e"},
            {"name": "C\u3164I"},
            {"name": "C\ufe0fI"},
            {"name": None},
            {"name": 1},
            {"role": "operator"},
            {"role": "Admin"},
            {"role": None},
            {"role": ["admin"]},
            {"expires_at": "2026-01-01T00:00:00Z"},
            {"expires_at": "2999-12-31T23:59:59"},
            {"expires_at": "2999-12-31"},
            {"expires_at": "2999-12-31 23:59:59Z"},
            {"expires_at": "2999-02-30T00:00:00Z"},
            {"expires_at": "2999-12-31T23:59:59+25:00"},
            {"expires_at": "9999-12-31T23:59:59-23:59"},
            {"expires_at": "tomorrow"},
            {"expires_at": ""},
            {"expires_at": 32503679999},
            {"expires_at": {}},
            {"key": "pan_" + "a" * 43},
            {"created_by": "admin-1"},
            {"tenant_id": "tenant-2"},
        ],
        ids=repr,
    )
    def test_invalid_body_of_a_key_is_422(
        self, ask: Ask, owner: psycopg.Connection[Row], fields: dict[str, object]
    ) -> None:
        problem = problem_of(ask("POST", ADMIN, {"name": "CI"} | fields), 422, "invalid_request")
        (name,) = fields
        assert f"body.{name}" in problem["detail"]
        assert owner.execute("SELECT FROM api_keys").fetchall() == []

    def test_key_without_a_name_is_422(self, ask: Ask) -> None:
        problem_of(ask("POST", ADMIN, {}), 422, "invalid_request")

    def test_name_of_a_key_is_stored_in_nfc(self, ask: Ask) -> None:
        assert make(ask, name="Jose\u0301")["name"] == "José"

    def test_longest_name_is_accepted(self, ask: Ask) -> None:
        assert make(ask, name="ß" * 200)["name"] == "ß" * 200


class TestListing:
    def test_members_see_their_own_keys_and_admins_the_tenants(self, ask: Ask) -> None:
        mine, theirs, admins = (make(ask, who)["id"] for who in (MEMBER, COLLEAGUE, ADMIN))
        foreign = make(ask, STRANGER)["id"]
        assert listed(ask, MEMBER) == [mine]
        assert listed(ask, COLLEAGUE) == [theirs]
        assert listed(ask, ADMIN) == [admins, theirs, mine]
        assert listed(ask, STRANGER) == [foreign]

    def test_revoked_keys_stay_in_the_list(self, ask: Ask) -> None:
        made = make(ask)
        ask("DELETE", MEMBER, path=f"/{made['id']}")
        (item,) = body_of(ask("GET", MEMBER))["items"]
        assert list(item) == SHOWN
        assert item["revoked_at"] >= item["created_at"]

    @pytest.mark.parametrize("order", ["desc", "asc"])
    def test_pages_show_each_key_once_newest_first_by_default(self, ask: Ask, order: str) -> None:
        made = [make(ask)["id"] for _ in range(5)]
        for _ in range(3):
            make(ask, COLLEAGUE)
        expected = made if order == "asc" else made[::-1]
        asked = "" if order == "desc" else "&order=asc"
        found, cursor = list[str](), ""
        while True:
            answer = body_of(ask("GET", MEMBER, query=f"limit=2{asked}{cursor}"))
            found += [item["id"] for item in answer["items"]]
            if answer["next_cursor"] is None:
                break
            cursor = f"&cursor={answer['next_cursor'].replace('=', '%3D')}"
        assert found == expected

    def test_a_cursor_of_another_list_is_422(self, ask: Ask) -> None:
        problem_of(ask("GET", MEMBER, query="cursor=WzFd"), 422, "invalid_request")


class TestRevoking:
    @pytest.mark.parametrize("who", [MEMBER, ADMIN])
    def test_a_revoked_key_is_refused_at_once(self, ask: Ask, auth: Database, who: Caller) -> None:
        made = make(ask)
        assert ask("DELETE", who, path=f"/{made['id']}")["statusCode"] == 204
        assert find_api_key(auth, hash_key(made["key"])) is None

    def test_second_revocation_keeps_the_time_of_the_first(self, ask: Ask) -> None:
        made = make(ask)
        times = set()
        for _ in range(3):
            assert ask("DELETE", MEMBER, path=f"/{made['id']}")["statusCode"] == 204
            times.add(body_of(ask("GET", MEMBER))["items"][0]["revoked_at"])
        assert len(times) == 1

    @pytest.mark.parametrize("who", [COLLEAGUE, STRANGER])
    def test_key_of_another_user_is_404(self, ask: Ask, auth: Database, who: Caller) -> None:
        made = make(ask)
        refused = problem_of(ask("DELETE", who, path=f"/{made['id']}"), 404, "not_found")
        unknown = problem_of(ask("DELETE", who, path=f"/{uuid4()}"), 404, "not_found")
        assert refused == unknown
        assert find_api_key(auth, hash_key(made["key"]))

    @pytest.mark.parametrize("key_id", ["1", "pan_abcdefgh", "{00000000-0000-0000-0000-000000000001}", "%00"])
    def test_malformed_id_of_a_key_is_404(self, ask: Ask, key_id: str) -> None:
        problem_of(ask("DELETE", ADMIN, path=f"/{key_id}"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"name": "CI"}),
        ("POST", "", {"nonsense": True}),
        ("GET", "", None),
        ("DELETE", "/mine", None),
        ("DELETE", f"/{UUID(int=9)}", None),
    ],
)
def test_a_key_makes_lists_and_revokes_no_keys(
    ask: Ask, owner: psycopg.Connection[Row], method: str, path: str, body: object
) -> None:
    made = make(ask, ADMIN)
    path = f"/{made['id']}" if path == "/mine" else path
    problem_of(ask(method, KEY, body, path=path), 403, "forbidden")
    rows = owner.execute("SELECT id, revoked_at FROM api_keys").fetchall()
    assert rows == [{"id": UUID(made["id"]), "revoked_at": None}]
