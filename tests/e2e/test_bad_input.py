"""Tests bad input at every operation: it is refused with a reason, writes no row, and the next good request works."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.gateway.tokens import TokenKey
from local.stack import Stack
from shared.db.schema.tables import metadata
from tests.support.stack.nonsense import (
    BODIES,
    CONTENT_TYPES,
    CURSORS,
    FIELDS,
    NAMES_TO_FILTER_BY,
    ODD_CURSORS,
    OF_EACH_TYPE,
    QUERIES,
    QUERIES_OF_NO_NAME,
    SEGMENTS,
    VALUES,
)
from tests.support.stack.operations import EXAMPLES, OPERATIONS, Operation
from tests.support.stack.tenant import Tenant

JSON = {"Content-Type": "application/json"}
PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}
# The gateway refuses these itself, with API Gateway's messages.
GATEWAYS_OWN = (400, 401, 413, 431)
# Their path may name a new object, because an operator may cap a tenant before its first turn.
NAMED_AT_WILL = {"tenant_id"}
WITH_BODY = [operation for operation in OPERATIONS if operation.fields is not None]


@pytest.fixture
def places(tenant: Tenant, session_id: str) -> Iterator[dict[str, str]]:
    """Path parameters of existing objects: an agent, a council, a session, and a turn that has ended.

    After the test these objects are unchanged, no other ones exist, and a good turn works.
    """
    turn_id = tenant.take(session_id, "hello")["id"]
    key_id = tenant.http.post("api-keys", json={"name": "CI"}).json()["id"]
    tenant.make_council("board", "writer", "critic")
    places = {"key": "writer", "session_id": session_id, "turn_id": turn_id, "tenant_id": tenant.id, "key_id": key_id}
    places["council_key"] = "board"
    before = counts(tenant)
    yield places
    assert counts(tenant) == before
    assert tenant.take(session_id, "@writer @critic hello")["status"] == "completed"


def counts(tenant: Tenant) -> dict[str, int]:
    """The number of rows of every table."""
    return {name: tenant.row(f"SELECT count(*) AS rows FROM {name}")["rows"] for name in metadata.tables}


class Answers:
    """The answers to many requests, by request."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._answers: dict[str, httpx.Response] = {}

    def send(self, operation: Operation, places: Mapping[str, str], sent: str, query: str = "", **request: Any) -> None:
        address = operation.path.format_map(places) + query
        self._answers[f"{operation}, {sent}"] = self._http.request(operation.method, address, **request)

    def not_refused(self, *statuses: int) -> dict[str, str]:
        """Return the answers without one of these statuses or without the right problem document."""
        assert self._answers
        return {
            sent: f"{answer.status_code} {answer.text[:200]}"
            for sent, answer in self._answers.items()
            if answer.status_code not in statuses or not is_well_formed(answer)
        }

    def failed(self) -> dict[str, str]:
        """Return the answers that are no success and no refusal."""
        self._answers = {sent: answer for sent, answer in self._answers.items() if not answer.is_success}
        return self.not_refused(*range(400, 500)) if self._answers else {}


def is_well_formed(refusal: httpx.Response) -> bool:
    document = refusal.json()
    if refusal.status_code in GATEWAYS_OWN and set(document) == {"message"}:
        return True
    problem = refusal.headers["content-type"] == "application/problem+json" and set(document) >= PROBLEM
    return problem and document["status"] == refusal.status_code


@pytest.fixture
def answers(everybody: httpx.Client) -> Answers:
    return Answers(everybody)


class TestBody:
    def test_body_that_is_no_object_is_refused(self, places: dict[str, str], answers: Answers) -> None:
        for operation in WITH_BODY:
            for sent, body in BODIES.items():
                answers.send(operation, places, sent, content=body, headers=JSON)
        assert answers.not_refused(400, 422) == {}

    def test_body_of_another_content_type_is_refused(self, places: dict[str, str], answers: Answers) -> None:
        for operation in WITH_BODY:
            for kind in CONTENT_TYPES:
                body = json.dumps(operation.body())
                answers.send(operation, places, repr(kind), content=body, headers={"Content-Type": kind})
        assert answers.not_refused(400) == {}

    @pytest.mark.parametrize("operation", WITH_BODY, ids=str)
    def test_a_wrong_value_in_any_field_is_refused(
        self, places: dict[str, str], answers: Answers, operation: Operation
    ) -> None:
        for name in operation.fields or ():
            for sent, value in VALUES.items():
                body = with_value(operation, name, value)
                answers.send(operation, places, f"{name}: {sent}", content=body, headers=JSON)
        assert answers.not_refused(400, 422) == {}

    def test_a_value_of_another_type_is_refused_and_never_converted(
        self, places: dict[str, str], answers: Answers
    ) -> None:
        for operation in WITH_BODY:
            for name in operation.fields or ():
                for value in OF_EACH_TYPE:
                    if not is_of_type(value, EXAMPLES[name]):
                        body = with_value(operation, name, json.dumps(value))
                        answers.send(operation, places, f"{name}: {value!r}", content=body, headers=JSON)
        assert answers.not_refused(422) == {}

    def test_unknown_and_missing_fields_are_refused(self, places: dict[str, str], answers: Answers) -> None:
        for operation in WITH_BODY:
            for sent, fields in FIELDS.items():
                body = json.dumps(operation.body() | dict.fromkeys(fields, 1))
                answers.send(operation, places, sent, content=body, headers=JSON)
            for name in operation.required:
                body = json.dumps({key: value for key, value in operation.body().items() if key != name})
                answers.send(operation, places, f"without {name}", content=body, headers=JSON)
        assert answers.not_refused(422) == {}


def with_value(operation: Operation, name: str, value: str) -> str:
    """Return a good body except for one field, whose value is this JSON."""
    others = [f"{json.dumps(key)}: {json.dumps(example)}" for key, example in operation.body().items() if key != name]
    return "{" + ", ".join([*others, f"{json.dumps(name)}: {value}"]) + "}"


def is_of_type(value: object, example: object) -> bool:
    """Return whether a value has the type. A whole number is a number too, and true is none."""
    return type(value) is type(example) or (type(value), type(example)) == (int, float)


class TestAddress:
    def test_path_of_no_object_is_404(self, places: dict[str, str], answers: Answers) -> None:
        for operation in OPERATIONS:
            for name in set(operation.path_parameters) - NAMED_AT_WILL:
                for sent, segment in SEGMENTS.items():
                    if (operation.method, sent) == ("PUT", "a word") and name in ("key", "council_key"):
                        continue  # The request makes the agent or the council.
                    body: dict[str, Any] = {} if operation.fields is None else {"json": operation.body()}
                    answers.send(operation, {**places, name: segment}, f"{name}: {sent}", **body)
        assert answers.not_refused(404) == {}

    def test_invalid_query_is_refused(self, places: dict[str, str], answers: Answers) -> None:
        for operation in OPERATIONS:
            for name in operation.query:
                for value in QUERIES_OF_NO_NAME if name in NAMES_TO_FILTER_BY else QUERIES:
                    answers.send(operation, places, f"{name}={value[:20]}", query=f"?{name}={value}")
        assert answers.not_refused(422) == {}

    def test_invalid_cursor_is_refused(self, places: dict[str, str], answers: Answers) -> None:
        send_cursors(answers, places, CURSORS)
        assert answers.not_refused(422) == {}

    def test_cursor_with_changed_values_is_followed_or_refused(self, places: dict[str, str], answers: Answers) -> None:
        send_cursors(answers, places, ODD_CURSORS)
        assert answers.failed() == {}


def send_cursors(answers: Answers, places: dict[str, str], cursors: Mapping[str, str]) -> None:
    for operation in OPERATIONS:
        if "cursor" in operation.query:
            for sent, cursor in cursors.items():
                encoded = base64.urlsafe_b64encode(cursor.encode()).decode()
                answers.send(operation, places, sent, query=f"?cursor={encoded}")


class TestHeaders:
    def test_an_idempotency_key_of_a_wrong_length_is_refused(self, places: dict[str, str], answers: Answers) -> None:
        for operation in OPERATIONS:
            if "idempotency-key" in operation.headers:
                for key in ("", "x" * 256, "x" * 9_000):
                    headers = {"Idempotency-Key": key}
                    answers.send(operation, places, f"{len(key)} letters", json=operation.body(), headers=headers)
        assert answers.not_refused(422) == {}

    def test_headers_that_are_too_long_are_refused_by_the_gateway(
        self, places: dict[str, str], answers: Answers
    ) -> None:
        for operation in OPERATIONS:
            answers.send(operation, places, "a long header", headers={"X-Long": "x" * 11_000})
        assert answers.not_refused(431) == {}

    def test_request_without_a_valid_token_is_401(
        self, stack: Stack, tenant: Tenant, places: dict[str, str], answers: Answers, tmp_path: Path
    ) -> None:
        for operation in OPERATIONS:
            if operation.secured:
                for sent, token in bad_tokens(stack, tenant.id, TokenKey.load_or_create(tmp_path)).items():
                    answers.send(operation, places, sent, headers={"Authorization": token})
        assert answers.not_refused(401) == {}


def bad_tokens(stack: Stack, tenant_id: str, forger: TokenKey) -> dict[str, str]:
    """Authorization headers without value. Nobody trusts the forger's key."""
    good = stack.token(tenant=tenant_id)
    head, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    return {
        "none": "",
        "garbage": "Bearer garbage",
        "another scheme": f"Basic {good}",
        "expired": f"Bearer {stack.token(tenant=tenant_id, ttl=timedelta(seconds=-90))}",
        "forged": f"Bearer {forger.issue(tenant_id, 'demo', ['admin'], timedelta(hours=1))}",
        "unsigned": f"Bearer {jwt.encode(claims, '', 'none')}",
        "without its signature": f"Bearer {head}.{payload}.",
        "with a payload of its own": f"Bearer {head}.{stack.token(tenant='demo').split('.')[1]}.{signature}",
    }
