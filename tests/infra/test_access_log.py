"""The access log has one valid line of JSON for each request, without an address, a token or a path."""

import json
import re

from infra_cdk.stages import Stage
from tests.support.templates.template import Template, text

# The variables that a line may have, with the reason why each holds no quote, backslash or control character.
ALLOWED = {
    "$context.requestId": "API Gateway makes it; one of the client's that is no UUID is replaced in access logs.",
    "$context.extendedRequestId": "API Gateway makes it, in base64.",
    "$context.requestTime": "A date of API Gateway's.",
    "$context.httpMethod": "A token of HTTP, which has neither quotes nor backslashes.",
    "$context.resourcePath": "A path of the table of routes, with the names of its variables.",
    "$context.status": "A number.",
    "$context.error.responseType": "One of API Gateway's names for answers of its own.",
    "$context.responseLength": "A number.",
    "$context.responseLatency": "A number.",
    "$context.authorizer.status": "A number.",
    "$context.authorizer.latency": "A number.",
    "$context.integrationStatus": "A number.",
    "$context.integration.status": "A number.",
    "$context.integration.timeToFirstContent": "A number.",
    "$context.integrationLatency": "A number.",
    "$context.wafResponseCode": "WAF_ALLOW or WAF_BLOCK.",
}


def line(template: Template) -> str:
    return text(template.one("AWS::ApiGateway::Stage")["AccessLogSetting"]["Format"])


def test_line_has_only_variables_that_keep_it_valid_json(template: Template) -> None:
    assert set(re.findall(r"\$[\w.]+", line(template))) <= set(ALLOWED)
    assert "\n" not in line(template)


def test_a_line_is_json_of_text(template: Template) -> None:
    fields = json.loads(line(template))
    assert set(fields.values()) == set(re.findall(r"\$[\w.]+", line(template)))
    assert len(fields) == len(set(fields.values()))


def test_line_has_the_latency_and_status_of_the_function_and_the_authorizer(template: Template) -> None:
    assert {
        "$context.requestId",
        "$context.error.responseType",
        "$context.authorizer.status",
        "$context.authorizer.latency",
        "$context.integration.status",
        "$context.integration.timeToFirstContent",
        "$context.integrationLatency",
    } <= set(json.loads(line(template)).values())


def test_access_log_has_its_own_group_and_no_other_log_is_on(template: Template, stage: Stage) -> None:
    made = template.one("AWS::ApiGateway::Stage")
    group = text(made["AccessLogSetting"]["DestinationArn"]).removeprefix("<").partition(".")[0]
    assert template.resources("AWS::Logs::LogGroup")[group]["RetentionInDays"] == stage.log_days
    for settings in made["MethodSettings"]:
        assert settings["DataTraceEnabled"] is False
        assert "LoggingLevel" not in settings
