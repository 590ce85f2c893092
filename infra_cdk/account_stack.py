"""Make the stack of two settings that an account has once in a Region.

API Gateway's role for logs: a stage logs each request, so it cannot be deployed without the role.
Bedrock's invocation log: it stores caller, model, time and token counts of each call, and no text.
"""

from typing import Final

from aws_cdk import Duration, Environment, RemovalPolicy, Stack, Tags, custom_resources
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra_cdk.logs import Logs
from shared.names import SERVICE

LOG_PREFIX: Final = "bedrock/"
_DAYS: Final = 90
_WITHOUT_TEXT: Final = {
    "textDataDeliveryEnabled": False,
    "imageDataDeliveryEnabled": False,
    "embeddingDataDeliveryEnabled": False,
    "videoDataDeliveryEnabled": False,
    "audioDataDeliveryEnabled": False,
}


def log_bucket_name(stack: Stack) -> str:
    """Return the name of the log bucket in the account and Region of `stack`. Both stacks compute it."""
    return f"{SERVICE}-invocations-{stack.account}-{stack.region}"


def log_url(stack: Stack) -> str:
    """Return the address where Bedrock logs the calls in the Region of `stack`."""
    folder = f"{LOG_PREFIX}AWSLogs/{stack.account}/BedrockModelInvocationLogs/{stack.region}"
    return f"s3://{log_bucket_name(stack)}/{folder}"


class AccountStack(Stack):
    """The role, the bucket, and the settings that use them."""

    def __init__(self, scope: Construct, region: str, account: str | None = None) -> None:
        name = f"{SERVICE}-account-{region}"
        # Stages of one file may belong to several accounts.
        id = f"{name}-{account}" if account else name
        super().__init__(scope, id, stack_name=name, env=Environment(account=account, region=region))
        Tags.of(self).add("project", SERVICE)
        self._let_api_gateway_log()
        bucket = s3.Bucket(
            self,
            "Invocations",
            bucket_name=log_bucket_name(self),
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(_DAYS), noncurrent_version_expiration=Duration.days(1))
            ],
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("bedrock.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{LOG_PREFIX}*")],
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "ArnLike": {"aws:SourceArn": f"arn:{self.partition}:bedrock:{region}:{self.account}:*"},
                },
            )
        )
        self._switch_on(bucket).node.add_dependency(bucket)

    def _let_api_gateway_log(self) -> None:
        """Set the role with which API Gateway writes logs. It outlives the stack, because other APIs use it."""
        managed = iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonAPIGatewayPushToCloudWatchLogs")
        principal = iam.ServicePrincipal("apigateway.amazonaws.com")
        role = iam.Role(self, "ApiLogs", assumed_by=principal, managed_policies=[managed])
        role.apply_removal_policy(RemovalPolicy.RETAIN)
        setting = apigateway.CfnAccount(self, "ApiLogging", cloud_watch_role_arn=role.role_arn)
        setting.apply_removal_policy(RemovalPolicy.RETAIN)

    def _switch_on(self, bucket: s3.Bucket) -> custom_resources.AwsCustomResource:
        put = custom_resources.AwsSdkCall(
            service="bedrock",
            action="PutModelInvocationLoggingConfiguration",
            parameters={
                "loggingConfig": {
                    "s3Config": {"bucketName": bucket.bucket_name, "keyPrefix": LOG_PREFIX.rstrip("/")},
                    **_WITHOUT_TEXT,
                }
            },
            physical_resource_id=custom_resources.PhysicalResourceId.of("invocation-log"),
        )
        delete = custom_resources.AwsSdkCall(service="bedrock", action="DeleteModelInvocationLoggingConfiguration")
        actions = [
            "bedrock:PutModelInvocationLoggingConfiguration",
            "bedrock:DeleteModelInvocationLoggingConfiguration",
        ]
        return custom_resources.AwsCustomResource(
            self,
            "Setting",
            on_create=put,
            on_update=put,
            on_delete=delete,
            install_latest_aws_sdk=False,
            log_group=self._log(),
            # A setting of the account has no ARN that a right could name.
            policy=custom_resources.AwsCustomResourcePolicy.from_statements(
                [iam.PolicyStatement(actions=actions, resources=["*"])]
            ),
        )

    def _log(self) -> logs.LogGroup:
        """Make the log group of the CDK's function. It has no text of tenants, so no key of ours."""
        group = Logs(_DAYS, protected=False).group(self, "SettingLogs")
        cfn = group.node.default_child
        assert isinstance(cfn, logs.CfnLogGroup)
        why = "It says which setting was changed, and holds no text of tenants."
        cfn.add_metadata("checkov", {"skip": [{"id": "CKV_AWS_158", "comment": why}]})
        return group
