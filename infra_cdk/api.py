"""The REST API: the routes of the table, who may use them, how often, and what is logged about them.

A route needs the authorizer's consent unless the table lists it as open.
"""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Size, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk import access_log
from infra_cdk.domain import Domain
from infra_cdk.entries import INTEGRATION_SECONDS, STREAM_SECONDS
from infra_cdk.gateway_responses import add_answers
from infra_cdk.logs import Logs
from infra_cdk.stages import Stage
from infra_cdk.web_acl import WebAcl
from shared.names import (
    API_STAGE,
    COMPRESSED_FROM,
    CONSOLE_FILES,
    CORS_REQUEST_HEADERS,
    CORS_RESPONSE_HEADERS,
    DOCS_FILES,
    ROUTES,
    Route,
)
from shared.resources import resources

# How long API Gateway keeps the authorizer's answer for a header's value.
_KEPT: Final = Duration.seconds(60)
# How many files a browser asks for at once when it opens the console.
_PAGE_FILES: Final = 4
_PREFLIGHT_KEPT: Final = Duration.hours(1)


class Api(Construct):
    """`rest` is API Gateway's, `url` is where clients reach it. `functions` are the aliases that answer, by name."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        functions: Mapping[str, lambda_.Alias],
        authorizer: lambda_.Alias,
        logs: Logs,
    ) -> None:
        super().__init__(scope, id)
        self._stage = stage
        self.rest = self._make(logs)
        add_answers(self.rest, readable=bool(stage.cors_origins))
        self._open(functions, authorizer)
        if stage.waf_rate is not None:
            WebAcl(self, "WebAcl", stage=self.rest.deployment_stage, rate=stage.waf_rate)
        self.url = self._name()

    def _make(self, logs: Logs) -> apigateway.RestApi:
        origins = list(self._stage.cors_origins)
        preflight = apigateway.CorsOptions(
            allow_origins=origins,
            allow_headers=list(CORS_REQUEST_HEADERS),
            expose_headers=list(CORS_RESPONSE_HEADERS),
            max_age=_PREFLIGHT_KEPT,
        )
        rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=self._stage.prefix,
            description=f"Pantheon, stage {self._stage.deployment}",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # The account's role for logs is the account stack's.
            cloud_watch_role=False,
            disable_execute_api_endpoint=self._stage.domain is not None,
            default_cors_preflight_options=preflight if origins else None,
            # API Gateway compresses buffered answers by itself and leaves streamed ones alone. If the function did
            # that, its bytes would need binary media types, which API Gateway applies by the first type of `Accept`
            # alone. With `*/*` it would also send every request's body as base64.
            min_compression_size=Size.bytes(COMPRESSED_FROM),
            deploy_options=self._deployed(logs),
        )
        # The stack has an output of its own.
        rest.node.try_remove_child("Endpoint")
        return rest

    def _deployed(self, logs: Logs) -> apigateway.StageOptions:
        turns = _throttle(self._stage.turn_rate, self._stage.turn_burst)
        # This bounds how many processes of `api` anonymous clients can start, each with a connection. By other routes
        # they reach the authorizer only.
        anonymous = _throttle(self._stage.open_rate, self._stage.open_burst)
        throttles = {f"{route.path}/{route.method}": turns for route in ROUTES if route.is_streamed}
        throttles |= {f"{route.path}/{route.method}": anonymous for route in ROUTES if route.is_open}
        # Files need no connection to the database.
        files = _throttle(self._stage.open_rate * _PAGE_FILES, self._stage.open_burst * _PAGE_FILES)
        throttles |= {
            f"{route.path}/{route.method}": files for route in ROUTES if route.path in (CONSOLE_FILES, DOCS_FILES)
        }
        return apigateway.StageOptions(
            stage_name=API_STAGE,
            access_log_destination=apigateway.LogGroupLogDestination(logs.group(self, "Access")),
            access_log_format=apigateway.AccessLogFormat.custom(access_log.LINE),
            throttling_rate_limit=self._stage.throttle_rate,
            throttling_burst_limit=self._stage.throttle_burst,
            method_options=throttles,
        )

    def _open(self, functions: Mapping[str, lambda_.Alias], authorizer: lambda_.Alias) -> None:
        """Make every resource with its methods."""
        asked = apigateway.RequestAuthorizer(
            self,
            "Authorizer",
            handler=authorizer,
            # Without this header, API Gateway answers 401 itself.
            identity_sources=[apigateway.IdentitySource.header("Authorization")],
            results_cache_ttl=_KEPT,
        )
        behind = {(route.function, route.is_streamed) for route in ROUTES}
        backends = {(name, streamed): _backend(functions[name], streamed=streamed) for name, streamed in sorted(behind)}
        for path, routes in resources(ROUTES).items():
            resource = self.rest.root.resource_for_path(path)
            if not self._stage.cors_origins:
                _let_ask(resource)
            for method, route in routes.items():
                resource.add_method(method, backends[route.function, route.is_streamed], **_access(route, asked))
        self._limit_to_stage()

    def _limit_to_stage(self) -> None:
        """Let the stage alone invoke the functions. The CDK lets the console's test calls do it, too, which ask no
        authorizer."""
        for made in self.rest.node.find_all():
            if isinstance(made, lambda_.CfnPermission):
                made.source_arn = self.rest.arn_for_execute_api("*", "/*", API_STAGE)

    def _name(self) -> str:
        if self._stage.domain is not None and self._stage.certificate_arn is not None:
            name, certificate_arn = self._stage.domain, self._stage.certificate_arn
            stage = self.rest.deployment_stage
            Domain(self, "Domain", name=name, certificate_arn=certificate_arn, stage=stage).tell(Stack.of(self))
            return f"https://{name}"
        stack = Stack.of(self)
        return f"https://{self.rest.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}/{API_STAGE}"


def _backend(alias: lambda_.Alias, *, streamed: bool) -> apigateway.LambdaIntegration:
    """A function behind methods. One permission for the whole API keeps the function's policy small."""
    mode = apigateway.ResponseTransferMode
    return apigateway.LambdaIntegration(
        alias,
        proxy=True,
        response_transfer_mode=mode.STREAM if streamed else mode.BUFFERED,
        timeout=Duration.seconds(STREAM_SECONDS if streamed else INTEGRATION_SECONDS),
        allow_test_invoke=False,
        scope_permission_to_method=False,
    )


def _let_ask(resource: apigateway.IResource) -> None:
    """Answer a preflight without the authorizer where no page of another origin may call: its answer allows nothing."""
    answer = apigateway.MockIntegration(
        request_templates={"application/json": '{"statusCode": 204}'},
        integration_responses=[apigateway.IntegrationResponse(status_code="204")],
    )
    responses = [apigateway.MethodResponse(status_code="204")]
    open_to_all = apigateway.AuthorizationType.NONE
    resource.add_method("OPTIONS", answer, method_responses=responses, authorization_type=open_to_all)


def _throttle(rate: int, burst: int) -> apigateway.MethodDeploymentOptions:
    return apigateway.MethodDeploymentOptions(throttling_rate_limit=rate, throttling_burst_limit=burst)


def _access(route: Route, authorizer: apigateway.IAuthorizer) -> dict[str, object]:
    if route.is_open:
        return {"authorization_type": apigateway.AuthorizationType.NONE}
    return {"authorization_type": apigateway.AuthorizationType.CUSTOM, "authorizer": authorizer}
