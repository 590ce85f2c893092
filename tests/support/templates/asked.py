"""Builds the requests that AWS evaluates for a function's call, with the template's names of resources."""

from collections.abc import Iterator

from infra_cdk.account_stack import LOG_PREFIX
from infra_cdk.entries import Entry
from infra_cdk.stages import Stage
from tests.support.templates.policy import Asked, Policy
from tests.support.templates.template import Template, text

ACCOUNT, PARTITION = "<AWS::AccountId>", "<AWS::Partition>"
# The account of the caller and of the resource.
OURS = {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}


def role_policy(template: Template, entry: Entry) -> Policy:
    """Every statement of a function's role."""
    found = []
    for policy in template.resources("AWS::IAM::Policy").values():
        if any(text(role).startswith(f"<{entry.title}Role") for role in policy["Roles"]):
            found += policy["PolicyDocument"]["Statement"]
    return found


def endpoint_policy(template: Template, service: str) -> Policy:
    for endpoint in template.resources("AWS::EC2::VPCEndpoint").values():
        if text(endpoint["ServiceName"]).endswith(f".{service}"):
            found: Policy = endpoint["PolicyDocument"]["Statement"]
            return found
    raise AssertionError(f"{service} has no endpoint")


def requests(template: Template, stage: Stage, action: str, about: str) -> Iterator[Asked]:
    """Each request of a call's. `about` is as `tests/support/templates/called.py` writes it."""
    service = action.partition(":")[0]
    if service == "bedrock":
        yield from model_requests(action, about, stage)
    elif service == "s3":
        bucket, _, key = about.partition("/")
        arn = _buckets(template, stage)[bucket]
        if action == "s3:ListBucket":
            yield Asked(action, arn, {**OURS, "s3:prefix": key})
        else:
            yield Asked(action, f"{arn}/{key}", OURS)
    elif service == "sqs":
        (queue,) = [id_ for id_, one in template.resources("AWS::SQS::Queue").items() if "RedrivePolicy" in one]
        yield Asked(action, f"<{queue}.Arn>", OURS)
    else:
        (database,) = template.resources("AWS::RDS::DBInstance")
        yield Asked(action, f"<{database}.MasterUserSecret.SecretArn>", OURS)


def model_requests(action: str, model_id: str, stage: Stage) -> Iterator[Asked]:
    """Return a global profile's resources: the profile, the model in this Region, and the model without a Region."""
    place, _, name = model_id.partition(".")
    assert place == "global", f"nobody has said what Bedrock asks for {model_id}"
    own = f"arn:{PARTITION}:bedrock:{stage.region}:{ACCOUNT}:inference-profile/{model_id}"
    here = {"aws:PrincipalAccount": ACCOUNT, "aws:RequestedRegion": stage.region}
    yield Asked(action, own, here)
    through = {**here, "bedrock:InferenceProfileArn": own}
    yield Asked(action, f"arn:{PARTITION}:bedrock:{stage.region}::foundation-model/{name}", through)
    nowhere = {**through, "aws:RequestedRegion": "unspecified"}
    yield Asked(action, f"arn:{PARTITION}:bedrock:::foundation-model/{name}", nowhere)


def _buckets(template: Template, stage: Stage) -> dict[str, str]:
    (keys,) = template.resources("AWS::S3::Bucket")
    log = f"arn:{PARTITION}:s3:::pantheon-invocations-{ACCOUNT}-{stage.region}"
    assert LOG_PREFIX == "bedrock/"
    return {"issuer-keys": f"<{keys}.Arn>", "invocations": log}
