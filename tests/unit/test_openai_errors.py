"""Tests that errors under /v1 have OpenAI's form and tell an SDK whether to retry."""

import json

import pytest

from functions.openai_errors import error_json, param_of, retry_headers, speaks_openai
from local.gateway.worker import LambdaContext
from tests.support.gateway import Handler, openai_error_of, problem_of, request


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_quota"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (409, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
    ],
)
def test_type_of_an_error_is_openais_word_for_its_status(status: int, kind: str) -> None:
    told = json.loads(error_json(status, "our_code", "What happened.", "model"))
    assert told == {"error": {"message": "What happened.", "type": kind, "param": "model", "code": "our_code"}}


@pytest.mark.parametrize(
    ("status", "advice"),
    [(code, "false") for code in (400, 401, 402, 403, 404, 410, 413, 422, 502)]
    + [(code, None) for code in (408, 409, 429, 500, 503, 504)],
)
def test_error_has_a_retry_header_when_an_sdk_would_decide_otherwise(status: int, advice: str | None) -> None:
    assert retry_headers(status, "code").get("x-should-retry") == advice


def test_turn_that_was_handed_over_is_worth_another_request() -> None:
    assert retry_headers(503, "turn_handed_over") == {"x-should-retry": "true"}


@pytest.mark.parametrize(
    ("path", "speaks"), [("/v1", True), ("/v1/models", True), ("/v12", False), ("/api/v1/x", False)]
)
def test_paths_below_v1_belong_to_openais_api(path: str, speaks: bool) -> None:
    assert speaks_openai({"path": path}) == speaks


@pytest.mark.parametrize(
    ("place", "param"),
    [
        (("body", "messages", 3, "role"), "messages[3].role"),
        (("header", "idempotency-key"), "idempotency-key"),
        (("body",), "body"),
    ],
)
def test_field_is_named_as_openai_names_it(place: tuple[str | int, ...], param: str) -> None:
    assert param_of(place) == param


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/responses", 404, "not_found"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ],
)
def test_other_addresses_below_v1_answer_in_openais_form(
    api: Handler, context: LambdaContext, method: str, path: str, status: int, code: str
) -> None:
    openai_error_of(api(request(method, path), context), status, code)


def test_other_addresses_keep_problem_json(api: Handler, context: LambdaContext) -> None:
    answer = api(request("GET", "/api/v1/nothing"), context)
    problem_of(answer, 404, "not_found")
    assert "x-should-retry" not in answer["headers"]


def test_head_request_of_models_is_200_without_a_body(api: Handler, context: LambdaContext) -> None:
    answer = api(request("HEAD", "/v1/models"), context)
    assert (answer["statusCode"], answer["body"]) == (200, "")
