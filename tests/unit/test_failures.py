"""Tests the answers, log lines and metrics of the API function when the deployment fails."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from functions.api import status
from local.gateway.worker import LambdaContext
from shared.errors import ConfigurationError
from shared.names import VERSION, Env
from tests.support.gateway import REQUEST_ID, Handler, LogLines, as_caller, body_of, event, problem_of, request

SECRET = "the prompt of a tenant"


class TestHealth:
    CHECKS: Mapping[str, str] = MappingProxyType({"database": "ok", "migration": "0001", "journal": "ok"})

    @pytest.fixture(autouse=True)
    def _unchecked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "_checked", None)

    def ask(self, api: Handler, context: LambdaContext) -> dict[str, Any]:
        asked = request("GET", "/api/v1/health")
        del asked["requestContext"]["authorizer"]
        return api(asked, context)

    def test_health_needs_no_token(self, api: Handler, context: LambdaContext, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "load_checks", lambda _: dict(self.CHECKS))
        monkeypatch.setattr(status, "commit", lambda: "c0ffee")
        answer = self.ask(api, context)
        assert answer["statusCode"] == 200
        expected: dict[str, Any] = {"status": "ok", "version": VERSION, "commit": "c0ffee", "stage": "unit"}
        expected["checks"] = dict(self.CHECKS)
        assert body_of(answer) == expected

    @pytest.mark.parametrize("failing", ["database", "migration", "journal"])
    def test_health_is_503_with_the_name_of_a_failing_check(
        self, api: Handler, context: LambdaContext, monkeypatch: pytest.MonkeyPatch, failing: str
    ) -> None:
        monkeypatch.setattr(status, "load_checks", lambda _: {**self.CHECKS, failing: "failing: it is gone"})
        answer = self.ask(api, context)
        assert answer["statusCode"] == 503
        assert body_of(answer)["status"] == "unavailable"
        assert body_of(answer)["checks"][failing] == "failing: it is gone"

    @pytest.mark.parametrize(
        ("stage", "kept_in", "expected"),
        [("prod", "postgres", 200), ("prod", "memory", 503), ("local", "memory", 200)],
    )
    def test_graphs_without_a_stored_state_fail_on_a_stage_and_are_shown_on_any(
        self,
        api: Handler,
        context: LambdaContext,
        environment: pytest.MonkeyPatch,
        stage: str,
        kept_in: str,
        expected: int,
    ) -> None:
        environment.setattr(status, "load_checks", lambda _: dict(self.CHECKS))
        environment.setattr(status, "load_checkpointer", lambda _: kept_in)
        environment.setenv(Env.GRAPHS, "review=graphs.review:graph")
        environment.setenv(Env.STAGE, stage)
        answer = self.ask(api, context)
        assert answer["statusCode"] == expected
        assert body_of(answer)["checks"] == {**self.CHECKS, "checkpointer": kept_in}

    def test_health_repeats_its_checks_after_five_seconds(
        self, api: Handler, context: LambdaContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[object] = []

        def check(database: object) -> dict[str, str]:
            made.append(database)
            return dict(self.CHECKS)

        monkeypatch.setattr(status, "load_checks", check)
        for _ in range(3):
            self.ask(api, context)
        assert len(made) == 1
        assert status._checked is not None
        monkeypatch.setattr(status, "_checked", (status._checked[0] - 5.1, status._checked[1]))
        self.ask(api, context)
        assert len(made) == 2


class TestUnexpected:
    """An unexpected error: the client gets a request id, the log a place, and neither gets the text."""

    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def break_down() -> None:
            raise RuntimeError(SECRET) from ValueError(SECRET)

        monkeypatch.setattr(status, "catalog", break_down)

    @pytest.mark.usefixtures("broken")
    def test_unexpected_error_is_a_problem_without_the_text_of_the_exception(
        self, api: Handler, context: LambdaContext
    ) -> None:
        answer = api(event("api_get"), context)
        problem = problem_of(answer, 500, "internal_error")
        assert SECRET not in answer["body"]
        assert "RuntimeError" not in answer["body"]
        assert problem["title"] == "Internal Server Error"

    @pytest.mark.usefixtures("broken")
    def test_unexpected_error_is_logged_with_the_request_id_and_its_place(
        self, api: Handler, context: LambdaContext, log_lines: LogLines
    ) -> None:
        api(event("api_get"), context)
        (line,) = log_lines()
        assert (line["level"], line["message"]) == ("ERROR", "unexpected error")
        assert line["correlation_id"] == REQUEST_ID
        assert line["function_request_id"] == "lambda-request-1"
        assert line["cause"]["type"] == "RuntimeError"
        assert line["cause"]["cause"]["type"] == "ValueError"
        assert line["cause"]["at"][-1].endswith(" break_down")
        assert SECRET not in json.dumps(line)

    @pytest.mark.usefixtures("broken")
    def test_unexpected_error_prints_only_its_metric(
        self, api: Handler, context: LambdaContext, capfd: pytest.CaptureFixture[str]
    ) -> None:
        api(event("api_get"), context)
        printed = capfd.readouterr()
        assert printed.err == ""
        (line,) = printed.out.splitlines()
        assert json.loads(line)["UnexpectedErrors"] == [1.0]

    def test_known_failure_of_the_deployment_is_logged(
        self, api: Handler, context: LambdaContext, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def misconfigured() -> None:
            raise ConfigurationError("PANTHEON_LLM_PROVIDER: not one of ours.") from ValueError(SECRET)

        monkeypatch.setattr(status, "catalog", misconfigured)
        problem_of(api(event("api_get"), context), 500, "misconfigured")
        (line,) = log_lines()
        assert (line["message"], line["code"]) == ("request failed", "misconfigured")
        assert line["correlation_id"] == REQUEST_ID
        assert SECRET not in json.dumps(line)

    def test_a_missing_variable_is_one_clear_problem(
        self, api: Handler, context: LambdaContext, environment: pytest.MonkeyPatch
    ) -> None:
        environment.delenv(Env.APP_DATABASE_URL)
        problem = problem_of(api(request("GET", "/api/v1/sessions"), context), 500, "misconfigured")
        assert Env.APP_DATABASE_URL in problem["detail"]

    def test_a_refusal_is_not_logged(self, api: Handler, context: LambdaContext, log_lines: LogLines) -> None:
        api(request("GET", "/api/v1/nothing"), context)
        api(request("POST", "/api/v1/agents", "{"), context)
        api(as_caller(user=None), context)
        assert log_lines() == []
