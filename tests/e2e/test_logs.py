"""Tests the functions' logs of a bad day: they have the operators' facts and no text of users or models.

The day runs once, on a stack of its own whose database has a password. It has turns that succeed, calls that fail,
triggers that raise, and unexpected errors. The tests then read the logs.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from shared.db.engine import Row
from shared.names import METRICS_NAMESPACE, SERVICE, Dimension, Metric, Role
from tests.support.fake_provider import FakeProvider, Mood, moods
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant, agent, open_client, with_provider

MESSAGE, ROLE, REPLY, TITLE = "said-by-a-user", "said-to-an-agent", "said-by-a-model", "said-in-a-title"
API_KEY, KEY = "key-of-the-provider", "key-of-a-turn"
SECRETS = (MESSAGE, ROLE, REPLY, TITLE, API_KEY, KEY)
FUNCTIONS = ("api", "turns", "worker")


@dataclass
class Day:
    """The answers by cause, and the folder of the logs. `passwords` are the database's."""

    log_dir: Path
    token: str
    passwords: tuple[str, ...]
    answers: dict[str, httpx.Response] = field(default_factory=dict)

    def texts(self, *functions: str) -> list[str]:
        """The log lines of these functions, all of them by default."""
        logs = ((self.log_dir / f"{function}.log").read_text() for function in functions or FUNCTIONS)
        return [line for log in logs for line in log.splitlines()]

    def lines(self, *functions: str) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts(*functions) if text.startswith("{")]

    def logged(self, *functions: str) -> list[dict[str, Any]]:
        """Return the lines that are not metrics."""
        return [line for line in self.lines(*functions) if "_aws" not in line]

    def told_of(self, done: str) -> list[str]:
        """Return the messages that were logged during this request."""
        request_id = self.answers[done].json()["request_id"]
        return [line["message"] for line in self.logged() if line["correlation_id"] == request_id]


@pytest.fixture(scope="module")
def database_url(stack: Stack, owner: psycopg.Connection[Row]) -> Iterator[str]:
    """A database of its own, on the stack's server."""
    owner.execute("CREATE DATABASE logs")
    yield stack.owner_url.removesuffix("postgres") + "logs"
    owner.execute("DROP DATABASE logs WITH (FORCE)")


@pytest.fixture(scope="module")
def day(
    database_url: str, everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Day]:
    everybodys_provider.clear()
    data_dir = tmp_path_factory.mktemp("logs")
    environ = with_provider(everybodys_provider, data_dir, database_url=database_url, llm_api_key=API_KEY)
    with Stack.start(environ) as stack, psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as owner:
        token = stack.token(tenant="acme")
        with open_client(stack.url, token) as http:
            tenant = Tenant("acme", http, owner, everybodys_provider, len(everybodys_provider.rows))
            day = Day(stack.log_dir, token, passwords_in(database_url, stack.app_url))
            live_through(day, tenant)
        yield day


def passwords_in(*urls: str) -> tuple[str, ...]:
    passwords = tuple(urlsplit(url).password or "" for url in urls)
    assert all(passwords)
    return passwords


def live_through(day: Day, tenant: Tenant) -> None:
    for key in ("writer", "critic"):
        assert tenant.http.post("agents", json=agent(key, role_prompt=ROLE)).status_code == 201
    session_id = tenant.make_session("writer", "critic")
    tenant.provider.answer_with(lambda _: moods.ok(REPLY))
    day.answers["a good turn"] = tenant.post(session_id, MESSAGE, key=KEY)
    refuse_and_fail_calls(day, tenant, session_id)
    session = {"title": TITLE, "agent_keys": ["writer"]}
    with trigger(tenant, "sessions", telling("NEW.title")):
        day.answers["an unexpected error"] = tenant.http.post("sessions", json=session)
    with trigger(tenant, "sessions", "PERFORM pg_terminate_backend(pg_backend_pid());"):
        day.answers["a lost connection"] = tenant.http.post("sessions", json=session)
    with closed_database(tenant):
        day.answers["no database"] = tenant.http.get("agents")
    with trigger(tenant, "turns", telling("NEW.message")):
        day.answers["no journal"] = tenant.post(session_id, MESSAGE)
    with trigger(tenant, "replies", telling("NEW.text")):
        day.answers["no publishing"] = tenant.post(session_id, MESSAGE)
        turn_id = tenant.row("SELECT id::text FROM turns WHERE status = 'running'")["id"]
        tenant.expire_lease(turn_id)
        eventually(lambda: day.logged("worker"))
    # The worker's own claim ran out, too.
    tenant.expire_lease(turn_id)
    assert tenant.wait_for(turn_id)["output"] == REPLY


def refuse_and_fail_calls(day: Day, tenant: Tenant, session_id: str) -> None:
    body = json.dumps({"error": {"message": REPLY}}).encode()
    for mood in (
        Mood(status=400, body=body),
        Mood(status=500, body=body),
        Mood(body=body),
        moods.reset_before_answer(),
    ):
        tenant.provider.answer_with(lambda _, mood=mood: mood)  # type: ignore[misc]
        assert tenant.take(session_id, MESSAGE)["status"] == "failed"
    tenant.provider.answer_with(lambda _: moods.ok(REPLY))
    day.answers["an invalid message"] = tenant.post(session_id, f"{MESSAGE}\0")
    day.answers["half a body"] = tenant.http.post(
        f"sessions/{session_id}/turns",
        content=f'{{"message": "{MESSAGE}'.encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": KEY},
    )
    day.answers["a reused key"] = tenant.post(session_id, f"{MESSAGE} {MESSAGE}", key=KEY)
    day.answers["a word in an address"] = tenant.http.get(f"turns/{MESSAGE}?wait={MESSAGE}&cursor={MESSAGE}")
    day.answers["an unknown field"] = tenant.post(session_id, MESSAGE, **{MESSAGE: MESSAGE})
    assert tenant.http.get("agents", headers={"Authorization": f"Bearer {day.token}x"}).status_code == 401


@contextmanager
def trigger(tenant: Tenant, table: str, action: str) -> Iterator[None]:
    """Within the block, a trigger of the database's owner runs this before each insert into `table`."""
    tenant.owner.execute(
        f"""CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN {action} RETURN NEW; END $$;
        CREATE TRIGGER act BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION act()""".encode()
    )
    yield
    tenant.owner.execute(b"DROP FUNCTION act() CASCADE")


def telling(value: str) -> str:
    """Raise an error that has this value in every field that an error can have."""
    return f"RAISE EXCEPTION 'broken by %', {value} USING DETAIL = {value}, HINT = {value};"


@contextmanager
def closed_database(tenant: Tenant) -> Iterator[None]:
    """Within the block, no function is connected to the database, and none can connect."""
    tenant.owner.execute(b"REVOKE CONNECT ON DATABASE logs FROM PUBLIC")
    tenant.rows("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", Role.APP)
    yield
    tenant.owner.execute(b"GRANT CONNECT ON DATABASE logs TO PUBLIC")


def test_day_had_each_expected_failure(day: Day) -> None:
    """Without these failures, the logs would prove nothing."""
    answered = {done: (answer.status_code, answer.json().get("code")) for done, answer in day.answers.items()}
    assert answered == {
        "a good turn": (201, None),
        "an invalid message": (422, "invalid_message"),
        "half a body": (400, "invalid_json"),
        "a reused key": (422, "idempotency_key_reused"),
        "a word in an address": (404, "not_found"),
        "an unknown field": (422, "invalid_request"),
        "an unexpected error": (500, "internal_error"),
        "a lost connection": (503, "database_unavailable"),
        "no database": (503, "database_unavailable"),
        "no journal": (503, "journal_unavailable"),
        "no publishing": (500, "publish_failed"),
    }
    assert day.answers["a good turn"].json()["output"] == REPLY


@pytest.mark.parametrize("secret", SECRETS)
def test_logs_have_no_text_and_no_secret(day: Day, secret: str) -> None:
    assert [path.name for path in day.log_dir.iterdir() if secret in path.read_text()] == []


def test_no_password_of_the_database_is_in_any_log(day: Day) -> None:
    for password in day.passwords:
        assert [path.name for path in day.log_dir.iterdir() if password in path.read_text()] == []


def test_no_part_of_a_token_is_in_any_log(day: Day) -> None:
    for part in day.token.split("."):
        assert [path.name for path in day.log_dir.iterdir() if part in path.read_text()] == []


def test_problem_documents_have_no_text_of_statements_or_errors(day: Day) -> None:
    for done in ("an unexpected error", "a lost connection", "no database", "no journal", "no publishing"):
        for secret in (*SECRETS, *day.passwords):
            assert secret not in day.answers[done].text


def test_every_line_is_a_json_object(day: Day) -> None:
    assert [text for text in day.texts() if not text.startswith("{")] == []


def test_line_names_its_request_and_function(day: Day) -> None:
    for function in FUNCTIONS:
        assert day.logged(function), function
        for line in day.logged(function):
            assert {"level", "message", "timestamp", "service", "function_request_id"} <= set(line)
            assert (line["service"], line["function"]) == (SERVICE, function)
            UUID(line["correlation_id"])


def test_the_request_id_of_an_answer_finds_its_lines(day: Day) -> None:
    assert day.told_of("an unexpected error") == ["unexpected error"]
    assert day.told_of("a lost connection")[-1] == "request failed"
    assert day.told_of("no database") == ["request failed"]
    assert day.told_of("no journal") == ["request failed"]
    assert day.told_of("no publishing") == ["request failed"]
    assert day.told_of("an invalid message") == []


def test_error_is_logged_by_its_type_and_place(day: Day) -> None:
    (line,) = (line for line in day.logged("turns") if line.get("code") == "publish_failed")
    assert line["level"] == "ERROR"
    assert line["cause"]["type"] == "PublishFailed"
    assert (line["cause"]["cause"]["type"], line["cause"]["cause"]["sqlstate"]) == ("RaiseException", "P0001")
    assert any("publish.py:" in place for place in line["cause"]["at"])


def test_worker_logs_a_turn_that_it_could_not_end(day: Day) -> None:
    assert {line["message"] for line in day.logged("worker")} == {"turn not resumed"}


def test_failed_call_is_logged_by_its_id_and_outcome(day: Day) -> None:
    told = [line["message"] for line in day.logged("turns") if line["level"] == "WARNING"]
    calls = [re.fullmatch(r"Call ([0-9a-f-]{36}) is (\w+: \w+) \(.*\)", message) for message in told]
    assert Counter(call and call[2] for call in calls) == {
        "unbilled: refused": 1,
        "unknown: provider_error": 2,
        "unknown: malformed_response": 2,
        "unknown: connection_lost": 2,
    }


def test_metrics_are_in_pantheons_namespace_with_few_dimensions(day: Day) -> None:
    emitted = set()
    for line in day.lines():
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == METRICS_NAMESPACE
            for names in directive["Dimensions"]:
                assert set(names) <= {"service", *Dimension}
                assert all(isinstance(line[name], str) for name in names)
            for metric in directive["Metrics"]:
                emitted.add(metric["Name"])
                assert all(isinstance(value, (int, float)) for value in line[metric["Name"]])
    assert emitted <= set(Metric)
    assert emitted >= {Metric.TURNS, Metric.CALLS, Metric.UNEXPECTED_ERRORS, Metric.JOURNAL_UNAVAILABLE}
