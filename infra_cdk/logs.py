"""Make log groups with a retention. They are deleted with a stage that is not protected."""

from dataclasses import dataclass

from aws_cdk import CfnResource, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


@dataclass(frozen=True)
class Logs:
    """The retention in `days`, and whether groups outlive their stage. Without a `key`, AWS's own key encrypts them."""

    days: int
    protected: bool
    key: kms.IKey | None = None

    def group(self, scope: Construct, id: str, name: str | None = None) -> logs.LogGroup:
        removal = RemovalPolicy.RETAIN if self.protected else RemovalPolicy.DESTROY
        group = logs.LogGroup(scope, id, log_group_name=name, removal_policy=removal, encryption_key=self.key)
        cfn = group.node.default_child
        assert isinstance(cfn, logs.CfnLogGroup)
        cfn.retention_in_days = self.days
        return group

    def keep_cdks_own(self, stack: Stack) -> None:
        """Give each function of the CDK's custom resources a group. Lambda's own group would be kept forever."""
        for provider in stack.node.children:
            handler = provider.node.try_find_child("Handler")
            if isinstance(handler, CfnResource) and handler.cfn_resource_type == "AWS::Lambda::Function":
                group = self.group(provider, "Logs")
                handler.add_property_override("LoggingConfig", {"LogGroup": group.log_group_name})
