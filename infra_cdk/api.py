"""Make the REST API: routes, authorizer, throttles and access log.

Every route needs the authorizer unless the table `ROUTES` lists it as open.
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

# The time for which API Gateway caches the authorizer's answer for a header.
_KEPT: Final = Duration.seconds(60)
# The number of files that a browser loads at once when it opens the console.
_PAGE_FILES: Final = 4
_PREFLIGHT_KEPT: Final = Duration.hours(1)


class Api(Construct):
    """The API `rest` and its address `url`. `functions` has the aliases that answer, by name."""

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
            # The stack of the account sets the role for logs.
            cloud_watch_role=False,
            disable_execute_api_endpoint=self._stage.domain is not None,
            default_cors_preflight_options=preflight if origins else None,
            # API Gateway compresses buffered answers only. Compressed bytes of a function would need binary media
            # types. API Gateway applies these by the first type of `Accept`, and `*/*` makes each request body base64.
            min_compression_size=Size.bytes(COMPRESSED_FROM),
            deploy_options=self._deployed(logs),
        )
        # The stack has its own output of the address.
        rest.node.try_remove_child("Endpoint")
        return rest

    def _deployed(self, logs: Logs) -> apigateway.StageOptions:
        turns = _throttle(self._stage.turn_rate, self._stage.turn_burst)
        # Anonymous clients start processes of `api`, each with a connection, only by open routes. Limit them.
        anonymous = _throttle(self._stage.open_rate, self._stage.open_burst)
        throttles = {f"{route.path}/{route.method}": turns for route in ROUTES if route.is_streamed}
        throttles |= {f"{route.path}/{route.method}": anonymous for route in ROUTES if route.is_open}
        # Files need no connection to the database, so they have a higher limit.
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
        """Make all resources with their methods."""
        asked = apigateway.RequestAuthorizer(
            self,
            "Authorizer",
            handler=authorizer,
            # API Gateway answers 401 itself without this header.
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
        """Let only the stage invoke the functions. The CDK also allows test calls, which skip the authorizer."""
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
    """Return the integration of a function. One permission for the whole API keeps the function's policy small."""
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
    """Answer a preflight without the authorizer and allow nothing, for a stage without `cors_origins`."""
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
