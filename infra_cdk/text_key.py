"""Make the stage's KMS key, which encrypts all text of tenants: the database, its backups and the logs."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra_cdk.stages import Stage

# The longest time to cancel a deletion. AWS charges nothing for a key that waits for it.
PENDING_DAYS: Final = 30


class TextKey(Construct):
    """A key that rotates every year. A protected stage leaves it behind, because snapshots need it. AWS deletes the key
    of any other stage `PENDING_DAYS` after the stage.

    RDS uses the key by grants, with the rights of the person who deploys. No function has a right on it.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(scope, id)
        self.key = kms.Key(
            self,
            "Key",
            description=f"Text of Pantheon's tenants, {stage.deployment}",
            enable_key_rotation=True,
            pending_window=Duration.days(PENDING_DAYS),
            removal_policy=RemovalPolicy.RETAIN if stage.protected else RemovalPolicy.DESTROY,
        )
        stack = Stack.of(self)
        groups = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:"
        # Log groups of functions, of the database, of its proxy, and those that CloudFormation names after the stack.
        name = stage.prefix
        proxy = f"/aws/rds/proxy/{stage.proxy_name or name}"
        names = (f"/aws/lambda/{name}-", f"/aws/rds/instance/{name}", proxy, f"{name}-")
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                resources=["*"],
                conditions={
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": [f"{groups}{begins}*" for begins in names]}
                },
            )
        )
