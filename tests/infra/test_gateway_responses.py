"""API Gateway's own answers have our form, and pages of the stage's origins can read them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from infra_cdk.stages import DEV, Stage
from shared.names import CORS_REQUEST_HEADERS, CORS_RESPONSE_HEADERS
from tests.support.templates.assembly import synthesised
from tests.support.templates.rest_api import tree
from tests.support.templates.template import Template

ORIGINS = ("https://one.example.org", "https://two.example.org")
ANSWERS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "UNAUTHORIZED": ("401", {"message": "Unauthorized"}, {"WWW-Authenticate": "'Bearer'"}),
    "ACCESS_DENIED": (
        "401",
        {"message": "$context.authorizer.reason"},
        {"WWW-Authenticate": "context.authorizer.challenge"},
    ),
    "AUTHORIZER_FAILURE": ("503", {"message": "Service Unavailable"}, {"Retry-After": "'5'"}),
    "AUTHORIZER_CONFIGURATION_ERROR": ("503", {"message": "Service Unavailable"}, {"Retry-After": "'5'"}),
    "MISSING_AUTHENTICATION_TOKEN": ("404", {"message": "Not Found"}, {}),
    "INVALID_SIGNATURE": ("404", {"message": "Not Found"}, {}),
    "THROTTLED": ("429", {"message": "Too Many Requests"}, {"Retry-After": "'1'"}),
    "WAF_FILTERED": ("429", {"message": "Too Many Requests"}, {"Retry-After": "'60'"}),
}


@pytest.fixture(scope="module")
def with_origins(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesised(replace(DEV, cors_origins=ORIGINS), tmp_path_factory.mktemp("origins"))


def responses(template: Template) -> dict[str, dict[str, Any]]:
    return {one["ResponseType"]: one for one in template.resources("AWS::ApiGateway::GatewayResponse").values()}


def headers(response: dict[str, Any]) -> dict[str, str]:
    given = response.get("ResponseParameters", {})
    return {name.removeprefix("gatewayresponse.header."): value for name, value in given.items()}


@pytest.mark.parametrize("type_", ANSWERS)
def test_answer_of_the_gateway_has_our_problem_form(template: Template, type_: str) -> None:
    status, body, expected = ANSWERS[type_]
    response = responses(template)[type_]
    assert response["StatusCode"] == status
    assert json.loads(response["ResponseTemplates"]["application/json"]) == body
    assert expected.items() <= headers(response).items()


def test_default_responses_keep_the_status_of_api_gateway(template: Template, stage: Stage) -> None:
    defaults = {"DEFAULT_4XX", "DEFAULT_5XX"} if stage.cors_origins else set()
    assert set(responses(template)) == set(ANSWERS) | defaults
    assert all("StatusCode" not in responses(template)[name] for name in defaults)


def test_answers_of_the_gateway_allow_the_origins_of_the_stage(template: Template, stage: Stage) -> None:
    cors = {
        "Access-Control-Allow-Origin": "'*'",
        "Access-Control-Expose-Headers": f"'{','.join(CORS_RESPONSE_HEADERS)}'",
    }
    for response in responses(template).values():
        found = {name: value for name, value in headers(response).items() if name.startswith("Access-Control")}
        assert found == (cors if stage.cors_origins else {})


def test_only_dev_has_an_origin_and_it_is_localhost(stage: Stage) -> None:
    assert stage.cors_origins == (("http://localhost:3000",) if stage.name == "dev" else ())


def test_a_preflight_needs_no_token_and_no_function(template: Template, stage: Stage) -> None:
    for node in tree(template).all():
        preflight = node.methods["OPTIONS"]
        assert (preflight["AuthorizationType"], preflight["Integration"]["Type"]) == ("NONE", "MOCK")
        (answer,) = preflight["Integration"]["IntegrationResponses"]
        # Without origins, the answer allows no page.
        assert bool(answer.get("ResponseParameters")) is bool(stage.cors_origins)


def test_preflight_allows_only_the_listed_origins(with_origins: Template) -> None:
    for node in tree(with_origins).all():
        (answer,) = node.methods["OPTIONS"]["Integration"]["IntegrationResponses"]
        given = {
            name.removeprefix("method.response.header."): value for name, value in answer["ResponseParameters"].items()
        }
        assert given["Access-Control-Allow-Origin"] == f"'{ORIGINS[0]}'"
        assert given["Access-Control-Allow-Headers"] == f"'{','.join(CORS_REQUEST_HEADERS)}'"
        assert given["Access-Control-Expose-Headers"] == f"'{','.join(CORS_RESPONSE_HEADERS)}'"
        assert given["Access-Control-Max-Age"] == "'3600'"
        assert given["Vary"] == "'Origin'"
        assert "Access-Control-Allow-Credentials" not in given
        (choice,) = answer["ResponseTemplates"].values()
        assert ORIGINS[1] in choice
        assert "*" not in given["Access-Control-Allow-Origin"]


@pytest.mark.parametrize(
    "origin", ["*", "http://localhost:*", "https://One.example.org", "https://one.example.org/", ""]
)
def test_stage_refuses_an_origin_of_another_form(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        replace(DEV, cors_origins=(origin,))


def test_functions_get_every_origin(with_origins: Template) -> None:
    for name in ("admin", "api", "turns"):
        told = with_origins.functions()[name]["Environment"]["Variables"]
        assert told["PANTHEON_CORS_ORIGINS"] == ",".join(ORIGINS)
