"""Accept findings of cdk-nag, each for the constructs that match its pattern and with its reason.

Synthesising fails for every other finding.
"""

import re
from dataclasses import dataclass
from typing import Final

import cdk_nag
from aws_cdk import Acknowledgment, App, Stack, Token, Validations

from infra_cdk.stack import PantheonStack

_MANAGED: Final = "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
_WILDCARD: Final = "AwsSolutions::AwsSolutions-IAM5[Resource::"
_MODEL: Final = "<model>"
_FUNCTION: Final = r"pantheon-[a-z0-9]+/\w+/Function/Resource"
_METHOD: Final = r"pantheon-[a-z0-9]+/FrontDoor/Rest/Default"
_INSTANCE: Final = r"pantheon-[a-z0-9]+/Database/Instance/Resource"


@dataclass(frozen=True)
class Reason:
    """The reason `why` the stack breaks `rule` where a construct's whole path matches `path`."""

    rule: str
    path: str
    why: str


REASONS: Final = (
    Reason(
        f"{_WILDCARD}*]",
        r"pantheon-[a-z0-9]+/\w+/Role/DefaultPolicy/Resource",
        "Lambda needs these rights to put a function into a network, and IAM cannot limit them to one. The function's "
        "code is denied them.",
    ),
    Reason(
        f"{_WILDCARD}arn:<AWS::Partition>:s3:::pantheon-invocations-<AWS::AccountId>-<region>/bedrock/*]",
        r"pantheon-[a-z0-9]+/Reconciler/Role/DefaultPolicy/Resource",
        "The log has many objects under one prefix, and Bedrock chooses their names.",
    ),
    Reason(
        f"{_WILDCARD}arn:<AWS::Partition>:bedrock:*::foundation-model/{_MODEL}]",
        r"pantheon-[a-z0-9]+/(Turns|Worker|Graphs)/Role/DefaultPolicy/Resource",
        "Bedrock chooses the Region of a profile's call. The right holds only for calls through that profile.",
    ),
    Reason(
        f"{_WILDCARD}*]",
        r"pantheon-account-[\w-]+/Setting/CustomResourcePolicy/Resource",
        "Bedrock's invocation logging is a setting of the account without an ARN.",
    ),
    Reason(
        f"{_MANAGED}AmazonRDSEnhancedMonitoringRole]",
        r"pantheon-[a-z0-9]+/Database/Instance/MonitoringRole/Resource",
        "It lets RDS write its own metrics to its own log group, and AWS keeps it up to date.",
    ),
    Reason(
        f"{_MANAGED}AWSCodeDeployRoleForLambdaLimited]",
        r"pantheon-[a-z0-9]+/Release/\w+/ServiceRole/Resource",
        "It is the smaller of AWS's two policies, without access to foreign SNS topics and S3 buckets.",
    ),
    Reason(
        f"{_MANAGED}AmazonAPIGatewayPushToCloudWatchLogs]",
        r"pantheon-account-[\w-]+/ApiLogs/Resource",
        "API Gateway accepts a role only if it has these rights, and AWS keeps them up to date.",
    ),
    Reason(
        f"{_MANAGED}AWSLambdaBasicExecutionRole]",
        r"pantheon-[\w-]+/AWS\w+/ServiceRole/Resource",
        "The CDK's own function makes one API call at a deployment.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS3",
        r"pantheon-[a-z0-9]+/Database/Instance/Resource",
        "A second zone doubles the price. Production has it. An outage of dev or staging costs less.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS10",
        r"pantheon-[a-z0-9]+/Database/Instance/Resource",
        "dev and staging can be deleted with their data. Production is protected.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS11",
        _INSTANCE,
        "Only the functions and the proxy reach the port, so another number adds nothing.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-L1",
        _FUNCTION,
        "Python 3.13 is what is locked, tested under Lambda's emulator, and can be snapshotted.",
    ),
    Reason(
        "Serverless::Serverless-LambdaLatestVersion",
        _FUNCTION,
        "Python 3.13 is what is locked, tested under Lambda's emulator, and can be snapshotted.",
    ),
    Reason(
        "Serverless::Serverless-LambdaTracing",
        rf"{_FUNCTION}|pantheon-account-[\w-]+/AWS\w+/Resource",
        "Its library adds 0.4 s to every start. Logs share a request id, and every call has a journal row.",
    ),
    Reason(
        "Serverless::Serverless-LambdaDLQ",
        rf"{_FUNCTION}|pantheon-account-[\w-]+/AWS\w+/Resource",
        "It is for asynchronous invocations. HTTP and the queue invoke synchronously, and each scheduled run handles "
        "everything that is due.",
    ),
    Reason(
        "Serverless::Serverless-EventBusDLQ",
        r"pantheon-[a-z0-9]+/Schedules/\w+/Resource",
        "The next scheduled run handles everything that a lost event left.",
    ),
    Reason(
        "Serverless::Serverless-LambdaEventSourceMappingDestination",
        r"pantheon-[a-z0-9]+/(Worker|Graphs)/Alias/SqsEventSource:\w+/Resource",
        "It is for streams. Failed messages go to the dead-letter queue.",
    ),
    Reason(
        "Serverless::Serverless-SQSRedrivePolicy",
        r"pantheon-[a-z0-9]+/(Graphs)?Queue/Dead/Resource",
        "It is the dead-letter queue.",
    ),
    Reason(
        "Serverless::Serverless-LambdaDefaultMemorySize",
        r"pantheon-account-[\w-]+/AWS\w+/Resource",
        "The CDK's own function makes one API call, so the default is enough.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG2",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/Resource",
        "The functions validate every request, also locally, and name the invalid field.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG3",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "A web ACL costs 6 USD a month. dev and staging have only API Gateway's throttles. Production has a web ACL.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/(GET|openapi\.json/GET|api/v1/openapi\.json/GET|api/v1/health/GET)/Resource",
        "Health, the contract and the redirect of the root are public.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/((console/(\{{proxy\+\}}/)?)?HEAD|console/(\{{proxy\+\}}/)?GET)/Resource",
        "The console's files are public. Its page signs users in and sends their token to the API.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/docs/(\{{proxy\+\}}/)?(GET|HEAD)/Resource",
        "The reference page shows the OpenAPI document, which is for everybody.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/(.+/)?OPTIONS/Resource",
        "A browser sends a preflight without a token. API Gateway answers it without content.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG6",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "Execution logs contain paths and headers, and API Gateway keeps their group forever. The access log has the "
        "status, the latency and the type of error of every request.",
    ),
    Reason(
        "Serverless::Serverless-APIGWXrayEnabled",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "The functions do not trace. The access log has the times of the authorizer and the function.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-COG4",
        rf"{_METHOD}/(.+/)?[A-Z]+/Resource",
        "The authorizer is a function, because it also accepts API keys and tokens of other issuers. It verifies the "
        "pool's tokens itself.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-COG8",
        r"pantheon-[a-z0-9]+/Identity/Pool/Resource",
        "The plus plan has a price for each user and month. A stage may have another issuer instead.",
    ),
    Reason(
        "Serverless::Serverless-SNSRedrivePolicy",
        r"pantheon-[a-z0-9]+/Notifications/(Page|Ticket)/.+/Resource",
        "The subscription is an e-mail address. The alarm itself shows the content of a lost mail.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-S1",
        r"pantheon-account-[\w-]+/Invocations/Resource",
        "It is a log of counts without text. CloudTrail's data events show its readers if they are enabled.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-S1",
        r"pantheon-[a-z0-9]+/IssuerKeys/Bucket/Resource",
        "It holds one public document of the issuer. Only two functions have a right on it.",
    ),
)


def _rules(reason: Reason, stack: Stack) -> list[str]:
    """Return the ids of the findings that a reason accepts in `stack`: one, or one for each model of a profile."""
    rule = reason.rule.replace("<region>", stack.region)
    if not Token.is_unresolved(stack.account):
        rule = rule.replace("<AWS::AccountId>", stack.account)
    if _MODEL not in rule or not isinstance(stack, PantheonStack):
        return [rule]
    reached = {model.destinations for _, model in stack.catalog.models.values()}
    return [rule.replace(_MODEL, name) for name in sorted(name for name in reached if name is not None)]


def check(app: App) -> None:
    """Make synthesising fail for every finding without a reason."""
    for construct in app.node.find_all():
        for reason in REASONS:
            if re.fullmatch(reason.path, construct.node.path):
                for rule in _rules(reason, Stack.of(construct)):
                    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason.why))
    Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app), cdk_nag.ServerlessChecks(app))
