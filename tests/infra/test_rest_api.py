"""The REST API has the routes of the table, an authorizer on each closed route, and throttles."""

import json
import re
from itertools import chain, product
from pathlib import Path

import pytest

from infra_cdk.entries import ENTRIES, INTEGRATION_SECONDS, STREAM_SECONDS
from infra_cdk.stages import Stage
from shared.names import API_PREFIX, API_STAGE, COMPRESSED_FROM, CONSOLE_FILES, DOCS_FILES, ROUTES
from tests.support.templates.rest_api import Found, answered, expected, function_of, tree
from tests.support.templates.template import Properties, Template, text

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Every part of the routes' paths, and one that no route has.
PARTS = sorted({part for route in ROUTES for part in route.path.split("/") if part and "{" not in part} | {"other"})


def paths() -> set[str]:
    """Yield all paths of up to three parts, and of up to four below the API's prefix."""
    above = chain.from_iterable(product(PARTS, repeat=count) for count in range(4))
    below = chain.from_iterable(product(PARTS, repeat=count) for count in range(5))
    return {"/" + "/".join(parts) for parts in above} | {f"{API_PREFIX}/{'/'.join(parts)}" for parts in below if parts}


def test_request_reaches_the_target_of_the_table(template: Template) -> None:
    root = tree(template)
    wrong = [
        (method, path)
        for path in paths()
        for method in METHODS
        if answered(root, method, path) != expected(method, path)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/api/v1/sessions/1/turns", Found("turns", is_open=False)),
        ("GET", "/api/v1/sessions/1/turns", Found("api", is_open=False)),
        ("GET", "/api/v1/sessions/1/turns/2/calls", Found("api", is_open=False)),
        ("DELETE", "/api/v1/sessions/1", Found("api", is_open=False)),
        ("GET", "/api/v1/health", Found("api", is_open=True)),
        ("PUT", "/api/v1/health", Found("api", is_open=False)),
        ("GET", "/api/v1/health/other", Found("api", is_open=False)),
        ("GET", "/api/v1/admin", Found("api", is_open=False)),
        ("GET", "/api/v1/admin/usage", Found("admin", is_open=False)),
        ("POST", "/v1/chat/completions", Found("turns", is_open=False)),
        ("GET", "/v1/chat/completions", Found("api", is_open=False)),
        ("GET", "/v1/models", Found("api", is_open=False)),
        ("DELETE", "/mcp", Found("turns", is_open=False)),
        ("GET", "/", Found("api", is_open=True)),
        ("HEAD", "/", Found("api", is_open=True)),
        ("GET", "/console", Found("api", is_open=True)),
        ("HEAD", "/console", Found("api", is_open=True)),
        ("GET", "/console/assets/index-a1b2.js", Found("api", is_open=True)),
        ("HEAD", "/console/config.json", Found("api", is_open=True)),
        ("POST", "/console/", None),
        ("GET", "/docs", Found("api", is_open=True)),
        ("HEAD", "/docs/assets/redoc-a1b2.js", Found("api", is_open=True)),
        ("POST", "/docs/", None),
        ("GET", "/api/v1", None),
        ("GET", "/other", None),
    ],
)
def test_request_reaches_its_function(template: Template, method: str, path: str, found: Found | None) -> None:
    assert answered(tree(template), method, path) == expected(method, path) == found


def test_operation_of_the_document_reaches_a_function(template: Template) -> None:
    root = tree(template)
    document = json.loads((Path(__file__).parents[2] / "functions" / "api" / "openapi.json").read_text())
    for path, operations in document["paths"].items():
        for method in operations:
            assert answered(root, method.upper(), re.sub(r"{\w+}", "1", path)), f"{method} {path}"


def test_method_asks_the_authorizer_unless_it_is_open(template: Template) -> None:
    (authorizer,) = template.resources("AWS::ApiGateway::Authorizer")
    open_ones = set()
    for node in tree(template).all():
        for name, method in node.methods.items():
            if method["AuthorizationType"] == "NONE":
                assert "AuthorizerId" not in method
                open_ones.add((name, node.path))
            else:
                assert method["AuthorizationType"] == "CUSTOM"
                assert text(method["AuthorizerId"]) == f"<{authorizer}>"
    preflights = {("OPTIONS", path) for name, path in open_ones if name == "OPTIONS"}
    assert open_ones - preflights == {(route.method, route.path) for route in ROUTES if route.is_open}


def test_authorizer_is_asked_once_a_minute_for_each_header(template: Template) -> None:
    authorizer = template.one("AWS::ApiGateway::Authorizer")
    assert (authorizer["Type"], authorizer["AuthorizerResultTtlInSeconds"]) == ("REQUEST", 60)
    assert authorizer["IdentitySource"] == "method.request.header.Authorization"
    assert "<AuthorizerAlias" in text(authorizer["AuthorizerUri"])


def test_only_this_api_invokes_the_authorizer(template: Template) -> None:
    (api,) = template.resources("AWS::ApiGateway::RestApi")
    (authorizer,) = template.resources("AWS::ApiGateway::Authorizer")
    (allowed,) = permissions(template, "authorizer")
    assert allowed["Principal"] == "apigateway.amazonaws.com"
    assert text(allowed["SourceArn"]).endswith(f":<{api}>/authorizers/<{authorizer}>")


@pytest.mark.parametrize("function", ["api", "turns", "admin"])
def test_only_this_apis_stage_invokes_a_function_and_by_one_permission(template: Template, function: str) -> None:
    (api,) = template.resources("AWS::ApiGateway::RestApi")
    (allowed,) = permissions(template, function)
    assert allowed["Principal"] == "apigateway.amazonaws.com"
    assert text(allowed["SourceArn"]).endswith(f":<{api}>/{API_STAGE}/*/*")


def permissions(template: Template, function: str) -> list[dict[str, object]]:
    allowed = template.resources("AWS::Lambda::Permission").values()
    return [one for one in allowed if text(one["FunctionName"]).startswith(f"<{function.title()}Alias")]


def test_every_method_has_the_transfer_mode_and_the_time_of_its_route(template: Template) -> None:
    made = {
        (name, node.path): method["Integration"]
        for node in tree(template).all()
        for name, method in node.methods.items()
        if name != "OPTIONS"
    }
    assert {one["Type"] for one in made.values()} == {"AWS_PROXY"}
    buffered = ("BUFFERED", INTEGRATION_SECONDS * 1000, "invocations")
    streamed = ("STREAM", STREAM_SECONDS * 1000, "response-streaming-invocations")
    expected_to_stream = {(route.method, route.path) for route in ROUTES if route.is_streamed}
    assert len(expected_to_stream) == 3
    assert expected_to_stream < set(made)
    for at, integration in made.items():
        assert _transfer(integration) == (streamed if at in expected_to_stream else buffered), at


def _transfer(integration: Properties) -> tuple[str, int, str]:
    """Return the transfer mode, the timeout (ms) and the type of Lambda's invocation."""
    mode = integration.get("ResponseTransferMode", "BUFFERED")
    return mode, integration["TimeoutInMillis"], text(integration["Uri"]).rpartition("/")[2]


def test_timeout_of_a_function_is_below_the_gateways() -> None:
    for entry in ENTRIES:
        if entry.serves:
            assert entry.seconds < (STREAM_SECONDS if entry.streams else INTEGRATION_SECONDS)


def test_a_function_that_streams_has_streamed_routes_and_no_others() -> None:
    """API Gateway's event does not contain the mode of a method."""
    for entry in ENTRIES:
        modes = {route.is_streamed for route in ROUTES if route.function == entry.name}
        assert modes == ({entry.streams} if entry.serves else set())


def test_functions_behind_methods_match_the_table(template: Template) -> None:
    behind = {function_of(m) for node in tree(template).all() for name, m in node.methods.items() if name != "OPTIONS"}
    assert behind == {route.function for route in ROUTES}


def test_the_api_is_regional_and_takes_text(template: Template) -> None:
    api = template.one("AWS::ApiGateway::RestApi")
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    # With binary media types, the body of a request could arrive as base64.
    assert "BinaryMediaTypes" not in api
    assert api["MinimumCompressionSize"] == COMPRESSED_FROM


def test_routes_that_run_turns_and_open_ones_have_throttles_of_their_own(template: Template, stage: Stage) -> None:
    made = {
        (one["ResourcePath"], one["HttpMethod"]): (one["ThrottlingRateLimit"], one["ThrottlingBurstLimit"])
        for one in template.one("AWS::ApiGateway::Stage")["MethodSettings"]
    }
    bounds = {(True, False): (stage.turn_rate, stage.turn_burst), (False, True): (stage.open_rate, stage.open_burst)}
    files = (4 * stage.open_rate, 4 * stage.open_burst)
    own = {
        (_written(route.path), route.method): files
        if route.path in (CONSOLE_FILES, DOCS_FILES)
        else bounds[route.is_streamed, route.is_open]
        for route in ROUTES
        if route.is_streamed or route.is_open
    }
    assert len(own) == 16
    assert made == {("/*", "*"): (stage.throttle_rate, stage.throttle_burst), **own}
    assert max(stage.open_rate, stage.turn_rate) < stage.throttle_rate
    # Each process that answers `/health` keeps a connection.
    assert stage.open_burst < stage.connections / 4


def _written(path: str) -> str:
    """Escape a path's slashes, except the root's, as CloudFormation's settings of methods do."""
    return path if path == "/" else f"/{path.replace('/', '~1')}"


def test_a_change_of_a_gateway_response_is_deployed(template: Template) -> None:
    (deployment,) = template.all("AWS::ApiGateway::Deployment").values()
    assert set(template.all("AWS::ApiGateway::GatewayResponse")) <= set(deployment["DependsOn"])
    assert set(template.all("AWS::ApiGateway::Method")) <= set(deployment["DependsOn"])


def test_a_template_stays_below_cloudformations_limits(template: Template) -> None:
    assert len(template.body["Resources"]) < 350, "the limit is 500"
    assert set(template.body["Outputs"]) >= {"Url", "Token"}
    assert all(len(text(one["Value"])) <= 1024 for one in template.body["Outputs"].values())
    assert "Endpoint" not in str(sorted(template.body["Outputs"]))
