"""Make a Lambda function with its log group, role, security group and alias.

All run Python 3.13 on arm64. A role starts with only the rights to run and to log. Callers invoke the alias, which
moves to a new version only at a deployment.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk.entries import TURNS, Entry
from infra_cdk.logs import Logs
from infra_cdk.network import Network
from infra_cdk.stages import Stage

ALIAS: Final = "live"
# Lambda's rights to manage a function's network interface. IAM cannot limit them to one interface.
INTERFACE_ACTIONS: Final = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


class Function(Construct):
    """One function. Others invoke `alias`. `group` is its security group in the network.

    With `away`, it runs in the subnets with a route to the internet, if the network has any."""

    def __init__(
        self,
        scope: Construct,
        *,
        entry: Entry,
        stage: Stage,
        code: lambda_.Code,
        layers: Sequence[lambda_.ILayerVersion],
        network: Network,
        environment: Mapping[str, str],
        logs: Logs,
        away: bool,
    ) -> None:
        super().__init__(scope, entry.title)
        self.entry = entry
        name = f"{stage.prefix}-{entry.name}"
        log_group = logs.group(self, "Logs", f"/aws/lambda/{name}")
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[log_group.log_group_arn]))
        self.group: ec2.SecurityGroup | None = None
        if entry.in_network:
            self.group = network.group(self, f"The function {entry.name}")
            self._let_lambda_connect_it(name)
        # Lambda snapshots published versions. A function connects after it was restored.
        snap_start = lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if entry.snap_start and stage.snap_start else None
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            architecture=lambda_.Architecture.ARM_64,
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler=entry.handler,
            code=code,
            layers=list(layers),
            timeout=Duration.seconds(stage.turns_seconds if entry is TURNS else entry.seconds),
            memory_size=stage.memory_mb,
            snap_start=snap_start,
            environment=dict(environment),
            role=self.role,
            log_group=log_group,
            **_place(network, self.group, away=away),
            reserved_concurrent_executions=stage.reserved.get(entry.name),
        )
        self.function.node.add_dependency(self.role)
        # SAM CLI's name of the function.
        cfn = self.function.node.default_child
        assert isinstance(cfn, lambda_.CfnFunction)
        cfn.override_logical_id(f"{entry.title}Function")
        self.alias = lambda_.Alias(self, "Alias", alias_name=ALIAS, version=self.function.current_version)

    def _let_lambda_connect_it(self, name: str) -> None:
        """Allow Lambda to put the function into the network, and deny the same to the function's code."""
        self.role.add_to_policy(iam.PolicyStatement(actions=list(INTERFACE_ACTIONS), resources=["*"]))
        arn = Stack.of(self).format_arn(
            service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=list(INTERFACE_ACTIONS),
                resources=["*"],
                conditions={"ArnEquals": {"lambda:SourceFunctionArn": [arn]}},
            )
        )


def _place(network: Network, group: ec2.SecurityGroup | None, *, away: bool) -> dict[str, Any]:
    """Return the network settings of a function. Without a group, it runs outside and reaches the internet."""
    if group is None:
        return {}
    place = {"vpc": network.vpc, "vpc_subnets": network.subnets(away=away), "security_groups": [group]}
    if away and network.out == "ipv6":
        place["ipv6_allowed_for_dual_stack"] = True
    return place
