"""What cdk-nag finds here and may find, each with its reason.

The rule this file protects: a finding is accepted for the constructs that its pattern names, for one reason that can
be argued with, and for nothing else.
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
    """Why `rule` need not hold where a construct's whole path matches `path`."""

    rule: str
    path: str
    why: str


REASONS: Final = (
    Reason(
        f"{_WILDCARD}*]",
        r"pantheon-[a-z0-9]+/\w+/Role/DefaultPolicy/Resource",
        "Lambda needs these to put a function into a network, and they cannot be limited to one. The function's own "
        "code is denied them.",
    ),
    Reason(
        f"{_WILDCARD}arn:<AWS::Partition>:s3:::pantheon-invocations-<AWS::AccountId>-<region>/bedrock/*]",
        r"pantheon-[a-z0-9]+/Reconciler/Role/DefaultPolicy/Resource",
        "The log is many objects, whose names Bedrock chooses, under one prefix.",
    ),
    Reason(
        f"{_WILDCARD}arn:<AWS::Partition>:bedrock:*::foundation-model/{_MODEL}]",
        r"pantheon-[a-z0-9]+/(Turns|Worker|Graphs)/Role/DefaultPolicy/Resource",
        "Bedrock chooses the Region for a profile's call. The right holds for calls through that profile alone.",
    ),
    Reason(
        f"{_WILDCARD}*]",
        r"pantheon-account-[\w-]+/Setting/CustomResourcePolicy/Resource",
        "Bedrock's invocation logging is a setting of the account, and no resource that a right could name.",
    ),
    Reason(
        f"{_MANAGED}AmazonRDSEnhancedMonitoringRole]",
        r"pantheon-[a-z0-9]+/Database/Instance/MonitoringRole/Resource",
        "It lets RDS write its own metrics to its own log group, and AWS keeps it up to date.",
    ),
    Reason(
        f"{_MANAGED}AWSCodeDeployRoleForLambdaLimited]",
        r"pantheon-[a-z0-9]+/Release/\w+/ServiceRole/Resource",
        "AWS's own and the lesser one of two, without access to SNS and S3 of others.",
    ),
    Reason(
        f"{_MANAGED}AmazonAPIGatewayPushToCloudWatchLogs]",
        r"pantheon-account-[\w-]+/ApiLogs/Resource",
        "API Gateway accepts a role only if it has these rights, and AWS keeps them up to date.",
    ),
    Reason(
        f"{_MANAGED}AWSLambdaBasicExecutionRole]",
        r"pantheon-[\w-]+/AWS\w+/ServiceRole/Resource",
        "The CDK's own function, which makes one call of an API at a deployment.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS3",
        r"pantheon-[a-z0-9]+/Database/Instance/Resource",
        "A second zone doubles the price; an hour without dev or staging costs less. Production has it.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS10",
        r"pantheon-[a-z0-9]+/Database/Instance/Resource",
        "These stages are there to be taken away again; a last snapshot is made. Production is protected.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-RDS11",
        _INSTANCE,
        "Nothing but the functions and the proxy reaches the port, whatever its number.",
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
        "Its library takes 0.4 s of every start. Logs are joined by request id, and every call has its journal row.",
    ),
    Reason(
        "Serverless::Serverless-LambdaDLQ",
        rf"{_FUNCTION}|pantheon-account-[\w-]+/AWS\w+/Resource",
        "It is for asynchronous invocations. HTTP and the queue invoke synchronously, and what the clock invokes looks "
        "at everything that is due, the next time too.",
    ),
    Reason(
        "Serverless::Serverless-EventBusDLQ",
        r"pantheon-[a-z0-9]+/Schedules/\w+/Resource",
        "An event of the clock that got lost is made up for by the next one.",
    ),
    Reason(
        "Serverless::Serverless-LambdaEventSourceMappingDestination",
        r"pantheon-[a-z0-9]+/(Worker|Graphs)/Alias/SqsEventSource:\w+/Resource",
        "It is for streams. A queue's failed messages go to its dead-letter queue.",
    ),
    Reason(
        "Serverless::Serverless-SQSRedrivePolicy",
        r"pantheon-[a-z0-9]+/(Graphs)?Queue/Dead/Resource",
        "It is the dead-letter queue.",
    ),
    Reason(
        "Serverless::Serverless-LambdaDefaultMemorySize",
        r"pantheon-account-[\w-]+/AWS\w+/Resource",
        "The CDK's own function, for one call of an API; the default is enough.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG2",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/Resource",
        "The functions validate every request, the same way locally, and name the field that is wrong.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG3",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "A web ACL costs 6 USD a month. These stages have API Gateway's throttles alone; production has a web ACL.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/(GET|openapi\.json/GET|api/v1/openapi\.json/GET|api/v1/health/GET)/Resource",
        "Health, the contract and the redirect of the root are for everybody.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/((console/(\{{proxy\+\}}/)?)?HEAD|console/(\{{proxy\+\}}/)?GET)/Resource",
        "The console's files are the same for everybody. Its page signs users in and sends their token to the API.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/docs/(\{{proxy\+\}}/)?(GET|HEAD)/Resource",
        "The reference page shows the OpenAPI document, which is for everybody.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG4",
        rf"{_METHOD}/(.+/)?OPTIONS/Resource",
        "A browser asks before it sends a token. The gateway answers itself, and the answer holds nothing.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-APIG6",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "Execution logs hold paths and headers, and go to a group that API Gateway makes and keeps for ever. The "
        "access log has the status, the latency and the type of error of every request.",
    ),
    Reason(
        "Serverless::Serverless-APIGWXrayEnabled",
        r"pantheon-[a-z0-9]+/FrontDoor/Rest/DeploymentStage\.live/Resource",
        "The functions do not trace. The access log has the times of the authorizer and of the function.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-COG4",
        rf"{_METHOD}/(.+/)?[A-Z]+/Resource",
        "The authorizer is a function, because it also takes API keys and tokens of other issuers. It verifies the "
        "pool's tokens itself.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-COG8",
        r"pantheon-[a-z0-9]+/Identity/Pool/Resource",
        "The plus plan is priced by the user and month. Who wants its protection brings an issuer of his own.",
    ),
    Reason(
        "Serverless::Serverless-SNSRedrivePolicy",
        r"pantheon-[a-z0-9]+/Notifications/(Page|Ticket)/.+/Resource",
        "The subscription is an address of mail. The alarm itself shows what a lost mail said.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-S1",
        r"pantheon-account-[\w-]+/Invocations/Resource",
        "It is a log itself, of counts without text; who read it can be seen in CloudTrail's data events.",
    ),
    Reason(
        "AwsSolutions::AwsSolutions-S1",
        r"pantheon-[a-z0-9]+/IssuerKeys/Bucket/Resource",
        "It holds one document, which the issuer publishes. Two functions alone have a right on it.",
    ),
)


def _rules(reason: Reason, stack: Stack) -> list[str]:
    """The ids of what a reason accepts in `stack`: one, or one for each model that a profile of it leads to."""
    rule = reason.rule.replace("<region>", stack.region)
    if not Token.is_unresolved(stack.account):
        rule = rule.replace("<AWS::AccountId>", stack.account)
    if _MODEL not in rule or not isinstance(stack, PantheonStack):
        return [rule]
    reached = {model.destinations for _, model in stack.catalog.models.values()}
    return [rule.replace(_MODEL, name) for name in sorted(name for name in reached if name is not None)]


def check(app: App) -> None:
    """Let synthesising fail for whatever the rules find, and nobody has given a reason for."""
    for construct in app.node.find_all():
        for reason in REASONS:
            if re.fullmatch(reason.path, construct.node.path):
                for rule in _rules(reason, Stack.of(construct)):
                    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason.why))
    Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app), cdk_nag.ServerlessChecks(app))
