"""Check Bedrock: the delivery of its invocation log, and the tags of inference profiles."""

from datetime import UTC, datetime, timedelta
from typing import Final

from infra_cdk.account_stack import LOG_PREFIX
from infra_cdk.confirm.check import Deployment, Finding, confirmed, failed, skipped

_APPLICATION: Final = ":application-inference-profile/"


def delivers_its_log(deployment: Deployment) -> Finding:
    if not deployment.catalog.models:
        return skipped("the stage asks no model on Bedrock")
    config = deployment.client("bedrock").get_model_invocation_logging_configuration().get("loggingConfig", {})
    where = config.get("s3Config")
    if where is None:
        return failed("the account has no invocation log in S3")
    if where.get("keyPrefix") != LOG_PREFIX.rstrip("/"):
        return failed(f"the log is under {where.get('keyPrefix')!r}, and the reconciler reads {LOG_PREFIX!r}")
    if config.get("textDataDeliveryEnabled", True):
        return failed("the log stores the text of prompts and answers")
    account, region = deployment.client("sts").get_caller_identity()["Account"], deployment.stage.region
    folder = f"{LOG_PREFIX}AWSLogs/{account}/BedrockModelInvocationLogs/{region}"

    def delivered() -> bool:
        # Bedrock may write a record in the hour after its call.
        hours = (datetime.now(UTC), datetime.now(UTC) - timedelta(hours=1))
        return any(_records(deployment, where["bucketName"], f"{folder}/{hour:%Y/%m/%d/%H}/") for hour in hours)

    if not deployment.eventually(delivered):
        return failed(f"no record of this hour in s3://{where['bucketName']}/{folder}")
    return confirmed(f"records of this hour are in s3://{where['bucketName']}/{folder}, without text")


def tags_its_profiles(deployment: Deployment) -> Finding:
    profiles = sorted(model_id for model_id in deployment.catalog.models if _APPLICATION in model_id)
    if not profiles:
        return skipped("the catalog has no application inference profile")
    wanted = {"project": "pantheon", "stage": deployment.stage.deployment}
    for arn in profiles:
        tags = deployment.client("bedrock").list_tags_for_resource(resourceARN=arn)["tags"]
        found = {tag["key"]: tag["value"] for tag in tags}
        if not wanted.items() <= found.items():
            return failed(f"{arn} has the tags {found}, and needs {wanted}")
    return confirmed(f"{len(profiles)} profiles have the tags of the stage")


def _records(deployment: Deployment, bucket: str, prefix: str) -> bool:
    listed = deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return any(each["Key"].endswith(".json.gz") for each in listed.get("Contents", ()))
