"""Tests how the local gateway asks its authorizer and caches the answers."""

import asyncio
from typing import Any, cast

import pytest

from local.gateway.authorizer import KEPT_S, Authorizer, AuthorizerFailure, Refused
from local.gateway.event import build_event
from local.gateway.pool import InvocationResult, Pool, Status
from local.gateway.routes import find
from tests.unit.test_gateway_event import CALLER, scope

ARN = "arn:aws:execute-api:local:000000000000:local/live"
REASON = {"reason": "The token has expired.", "challenge": 'Bearer error="invalid_token"'}


def statement(effect: str = "Allow", resource: Any = f"{ARN}/*", action: Any = "execute-api:Invoke") -> dict[str, Any]:
    return {"Action": action, "Effect": effect, "Resource": resource}


def answer(*statements: Any, context: Any = CALLER, **changes: Any) -> dict[str, Any]:
    policy = {"Version": "2012-10-17", "Statement": [*statements] or [statement()]}
    return {"principalId": "ada", "policyDocument": policy, "context": context} | changes


class FakePool:
    """A pool whose authorizer returns `payload`. It keeps the events."""

    def __init__(self, payload: Any = None, status: Status = "succeeded") -> None:
        self.payload = answer() if payload is None else payload
        self.status = status
        self.events: list[Any] = []

    async def invoke(self, name: str, event: Any) -> InvocationResult:
        assert name == "authorizer"
        self.events.append(event)
        return InvocationResult(self.status, self.payload)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """An authorizer in front of `pool`, with a clock that the test moves."""

    def __init__(self, pool: FakePool, most_answers: int = 10) -> None:
        self.pool = pool
        self.clock = Clock()
        self._authorizer = Authorizer(cast(Pool, pool), clock=self.clock, most_answers=most_answers)

    def __call__(
        self, header: str = "Bearer a", path: str = "/api/v1/agents", method: str = "GET", query: bytes = b""
    ) -> dict[str, Any]:
        found = find(method, path)
        assert found
        event = build_event(scope(path, method, query), b"", *found, None, "request-1")
        return asyncio.run(self._authorizer.authorize(header, event))


class TestEvent:
    def test_event_has_the_form_of_a_request_authorizer(self) -> None:
        ask = Asked(FakePool())
        ask(path="/api/v1/agents/a%20b", method="PUT", query=b"a=1")
        (event,) = ask.pool.events
        assert set(event) == {
            *("type", "methodArn", "resource", "path", "httpMethod", "headers", "multiValueHeaders"),
            *("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables"),
            "requestContext",
        }
        assert (event["type"], event["methodArn"]) == ("REQUEST", f"{ARN}/PUT/api/v1/agents/a%20b")
        assert (event["resource"], event["path"]) == ("/api/v1/{proxy+}", "/api/v1/agents/a%20b")
        assert event["queryStringParameters"] == {"a": "1"}
        assert event["multiValueHeaders"]["host"] == ["127.0.0.1:8000"]
        assert event["requestContext"]["requestId"] == "request-1"
        assert "authorizer" not in event["requestContext"]

    def test_event_has_empty_objects_for_missing_parts(self) -> None:
        ask = Asked(FakePool())
        ask(path="/mcp")
        (event,) = ask.pool.events
        names = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables")
        assert [event[name] for name in names] == [{}] * 4


class TestPolicy:
    def test_context_and_principal_are_passed_to_the_function(self) -> None:
        told = Asked(FakePool())()
        assert isinstance(told.pop("integrationLatency"), int)
        assert told == {**CALLER, "principalId": "ada"}

    @pytest.mark.parametrize(
        "statements",
        [
            [statement(resource=f"{ARN}/GET/api/v1/agents")],
            [statement(resource=[f"{ARN}/POST/*", f"{ARN}/GET/api/v?/agents"])],
            [statement(resource="*", action="*")],
            [statement(action=["execute-api:ManageConnections", "execute-api:*"])],
            [statement(), statement("Deny", f"{ARN}/DELETE/*")],
        ],
    )
    def test_a_policy_that_covers_the_request_allows_it(self, statements: list[Any]) -> None:
        assert Asked(FakePool(answer(*statements)))()["user"] == "ada"

    @pytest.mark.parametrize(
        "statements",
        [
            [statement("Deny")],
            [statement(), statement("Deny", f"{ARN}/GET/*")],
            [statement(resource=f"{ARN}/POST/*")],
            [statement(resource=f"{ARN}/GET/api/v1/agent")],
            [statement(resource=f"{ARN}/GET/api/v1/[a-z]*")],
            [statement(resource=f"{ARN}/GET/api.v1.agents")],
            [statement(resource="arn:aws:execute-api:local:000000000000:local/dev/*")],
            [statement(action="execute-api:ManageConnections")],
            [statement(resource=[])],
        ],
    )
    def test_policy_that_does_not_cover_the_request_refuses_it(self, statements: list[Any]) -> None:
        with pytest.raises(Refused) as raised:
            Asked(FakePool(answer(*statements)))()
        assert (raised.value.message, raised.value.challenge) == ("Unauthorized", "Bearer")

    def test_a_policy_without_statements_refuses_it(self) -> None:
        with pytest.raises(Refused):
            Asked(FakePool(answer(policyDocument={"Statement": []})))()

    def test_a_refusal_has_the_reason_of_the_authorizer(self) -> None:
        with pytest.raises(Refused) as raised:
            Asked(FakePool(answer(statement("Deny"), context=REASON)))()
        assert (raised.value.message, raised.value.challenge) == (REASON["reason"], REASON["challenge"])


class TestFailure:
    @pytest.mark.parametrize(
        "payload",
        [
            "Unauthorized",
            [],
            {},
            {"isAuthorized": True, "context": CALLER},
            answer(principalId=1),
            answer(policyDocument=None),
            answer(policyDocument={"Statement": statement()}),
            answer(statement("allow")),
            answer("x"),
            answer(statement(resource=1)),
            answer(statement(resource=["*", 1])),
            answer({"Effect": "Allow", "Resource": "*"}),
            answer(statement(), statement("Perhaps")),
            answer(context=[]),
            answer(context="x"),
            answer(context={"user": 1}),
            answer(context={"roles": ["member"]}),
            answer(context={"user": None}),
            answer(statement("Deny"), context={"reason": "No."}),
            answer(statement("Deny"), context=REASON | {"challenge": "Bearer\r\nset-cookie: a=1"}),
            answer(statement("Deny"), context=REASON | {"challenge": ""}),
            answer(statement("Deny"), context=REASON | {"challenge": "ü"}),
        ],
        ids=ascii,
    )
    def test_answer_without_a_policy_is_a_failure(self, payload: Any) -> None:
        with pytest.raises(AuthorizerFailure, match="no policy"):
            Asked(FakePool(payload))()

    @pytest.mark.parametrize("status", ["failed", "timed_out", "died", "throttled", "too_large"])
    def test_an_invocation_without_an_answer_is_a_failure(self, status: Status) -> None:
        with pytest.raises(AuthorizerFailure, match=status.replace("_", " ")):
            Asked(FakePool(answer(), status))()

    def test_failure_is_not_cached(self) -> None:
        ask = Asked(FakePool(status="died"))
        with pytest.raises(AuthorizerFailure):
            ask()
        ask.pool.status = "succeeded"
        assert ask()["user"] == "ada"


class TestKeptAnswers:
    def test_answer_is_cached_for_a_minute(self) -> None:
        ask = Asked(FakePool())
        ask()
        ask.clock.now += KEPT_S - 0.01
        assert ask(path="/mcp", method="POST")["integrationLatency"] == 0
        assert len(ask.pool.events) == 1
        ask.clock.now += 0.02
        ask()
        assert len(ask.pool.events) == 2

    def test_use_of_a_cached_answer_does_not_extend_it(self) -> None:
        ask = Asked(FakePool())
        for _ in range(4):
            ask()
            ask.clock.now += 0.4 * KEPT_S
        assert len(ask.pool.events) == 2

    def test_cached_answer_is_used_only_for_the_same_header(self) -> None:
        ask = Asked(FakePool())
        for header in ("Bearer a", "Bearer A", "bearer a", "Bearer a "):
            ask(header)
        assert len(ask.pool.events) == 4

    def test_refusal_is_cached(self) -> None:
        ask = Asked(FakePool(answer(statement("Deny"), context=REASON)))
        for _ in range(2):
            with pytest.raises(Refused, match="expired"):
                ask()
        assert len(ask.pool.events) == 1

    def test_cached_policy_is_evaluated_for_each_request(self) -> None:
        ask = Asked(FakePool(answer(statement(resource=f"{ARN}/GET/*"))))
        ask()
        with pytest.raises(Refused):
            ask(method="POST")
        assert len(ask.pool.events) == 1

    def test_renewed_answer_counts_as_the_newest(self) -> None:
        ask = Asked(FakePool(), most_answers=2)
        ask("a")
        ask("b")
        ask.clock.now += KEPT_S
        for header in ("a", "c", "a"):
            ask(header)
        assert len(ask.pool.events) == 4

    def test_oldest_answer_is_evicted_when_the_cache_is_full(self) -> None:
        ask = Asked(FakePool(), most_answers=2)
        for header in ("a", "b", "c", "b", "c", "a"):
            ask(header)
        assert len(ask.pool.events) == 4
