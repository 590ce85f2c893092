"""The HTTP API: the routes, who may use them, how often, and what is written down about it.

The rule this file protects: whatever is under the API's prefix and not listed as open needs a token.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk.identity import Issuer
from infra_cdk.logs import Logs
from shared.names import API_PREFIX


@dataclass(frozen=True)
class Route:
    """`key` is API Gateway's route key, `function` a function's name."""

    key: str
    function: str
    authorised: bool = True


# The same as the local gateway's.
ROUTES: Final = (
    Route(f"POST {API_PREFIX}/sessions/{{session_id}}/turns", "turns"),
    Route(f"GET {API_PREFIX}/health", "api", authorised=False),
    Route("GET /openapi.json", "api", authorised=False),
    Route(f"GET {API_PREFIX}/openapi.json", "api", authorised=False),
    Route(f"ANY {API_PREFIX}/admin/{{proxy+}}", "admin"),
    Route(f"ANY {API_PREFIX}/{{proxy+}}", "api"),
    Route("$default", "api", authorised=False),
)
# A line of the access log. No address, no token, nothing that was said.
_ACCESS: Final = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "route": "$context.routeKey",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "integration_error": "$context.integrationErrorMessage",
    "authorizer_error": "$context.authorizer.error",
    "bytes": "$context.responseLength",
}


class Api(Construct):
    """`http` is API Gateway's."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        issuer: Issuer,
        functions: Mapping[str, lambda_.Alias],
        cors_origins: Sequence[str],
        rate: int,
        burst: int,
        logs: Logs,
    ) -> None:
        super().__init__(scope, id)
        self.http = apigateway.HttpApi(
            self,
            "Gateway",
            create_default_stage=False,
            cors_preflight=_preflight(cors_origins) if cors_origins else None,
        )
        authorizer = authorizers.HttpJwtAuthorizer("Jwt", issuer.url, jwt_audience=[issuer.audience])
        backends = {name: integrations.HttpLambdaIntegration(name.title(), alias) for name, alias in functions.items()}
        for route in ROUTES:
            apigateway.HttpRoute(
                self,
                route.key.replace("/", " "),
                http_api=self.http,
                route_key=_route_key(route.key),
                integration=backends[route.function],
                authorizer=authorizer if route.authorised else None,
            )
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.http,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=rate, burst_limit=burst),
            detailed_metrics_enabled=True,
        )
        cfn = stage.node.default_child
        assert isinstance(cfn, apigateway.CfnStage)
        cfn.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=logs.group(self, "Access").log_group_arn, format=json.dumps(_ACCESS)
        )


def _route_key(key: str) -> apigateway.HttpRouteKey:
    if key == "$default":
        return apigateway.HttpRouteKey.DEFAULT
    method, _, path = key.partition(" ")
    return apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod(method))


def _preflight(origins: Sequence[str]) -> apigateway.CorsPreflightOptions:
    return apigateway.CorsPreflightOptions(
        allow_origins=list(origins),
        allow_methods=[apigateway.CorsHttpMethod.ANY],
        allow_headers=["authorization", "content-type", "idempotency-key", "prefer"],
        expose_headers=["location", "idempotency-replayed", "retry-after"],
        max_age=Duration.hours(1),
    )
