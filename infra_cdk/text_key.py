"""The stage's own KMS key, for what may hold text of tenants: the database, its backups and the logs."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra_cdk.stages import Stage

# How long somebody can change their mind. AWS charges nothing for a key that waits for its deletion.
PENDING_DAYS: Final = 30


class TextKey(Construct):
    """`key` rotates every year. It outlives a protected stage, because snapshots cannot be read without it. With any
    other stage it goes, `PENDING_DAYS` later.

    RDS uses it by grants, which it makes with the rights of the person who deploys. No function has a right on it.
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
        # Functions, the database, its proxy, and groups that CloudFormation names after the stack.
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
