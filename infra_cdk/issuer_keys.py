"""Make the bucket of the issuer's keys, which `jwks` writes outside the network and the authorizer reads inside."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, triggers
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra_cdk.function import Function

_KEY: Final = "jwks.json"


class IssuerKeys(Construct):
    """The bucket. `url` is the address of its document, and `arn` that of the object."""

    def __init__(self, scope: Construct, id: str, *, protected: bool) -> None:
        super().__init__(scope, id)
        self._bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            # Older documents stay for a week. The current one never expires.
            versioned=True,
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=Duration.days(7))],
            removal_policy=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
            # CloudFormation deletes only empty buckets. A function of the CDK empties it first.
            auto_delete_objects=not protected,
        )
        self.url = f"s3://{self._bucket.bucket_name}/{_KEY}"
        self.arn = self._bucket.arn_for_objects(_KEY)

    def fill(self, writer: Function) -> None:
        """Copy the keys at each deployment, so that a new stage does not wait for the schedule.

        A failure does not stop the deployment, because the schedule tries again."""
        triggers.Trigger(
            self,
            "Fill",
            handler=writer.function,
            invocation_type=triggers.InvocationType.EVENT,
            execute_after=[self._bucket, writer.role],
            execute_on_handler_change=True,
        )
