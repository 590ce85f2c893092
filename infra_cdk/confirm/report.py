"""List the checks in their order, run them, and write the report."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from infra_cdk.confirm import bedrock, over_http, watched
from infra_cdk.confirm.check import Check, Deployment, Finding, Verdict, failed

# `streaming` posts the turn that later checks read.
CHECKS: Final = (
    Check(
        "health",
        "Callers reach the commit, the stage and the database that were deployed.",
        "Look at the deployment in CodeDeploy. An alarm may have undone the release.",
        over_http.serves_the_commit,
    ),
    Check(
        "token use",
        "The authorizer accepts ID tokens, and refuses access tokens of the same pool.",
        "Do not let in users. Compare the audience of the stage with the pool's client.",
        over_http.refuses_access_tokens,
    ),
    Check(
        "streaming",
        "API Gateway passes on parts of an answer while the model writes.",
        "Look at responseTransferMode of the routes, and at AWS_LAMBDA_EXEC_WRAPPER of the function turns.",
        over_http.streams,
    ),
    Check(
        "token count",
        "The ledger counts no token that Bedrock does not count.",
        "Compare GET /usage/calls with Bedrock's metrics by hand. The ledger may charge too much.",
        watched.counts_tokens,
    ),
    Check(
        "pinned sessions",
        "The proxy shares its connections, so the stage runs as many turns as docs/stages.md says.",
        "Deploy the stage without a proxy and with fewer workers, or with more connections.",
        watched.shares_connections,
    ),
    Check(
        "heartbeat",
        "Every scheduled function runs, so turns are recovered and suspense is settled.",
        "Look at the rules of EventBridge and at the function's log.",
        watched.beats,
    ),
    Check(
        "log delivery",
        "Bedrock writes its invocation log where the reconciler reads it, without text.",
        "Run `make account` in the stage's Region. Until then, suspense stays.",
        bedrock.delivers_its_log,
    ),
    Check(
        "inference profile tags",
        "AWS's bill can be split by stage.",
        "Tag the profiles with project and stage, and activate both tags for cost allocation.",
        bedrock.tags_its_profiles,
    ),
    Check(
        "alarm",
        "A metric of Pantheon reaches its alarm, and the alarm stops again.",
        "Compare the alarm's namespace and dimensions with the metric's in CloudWatch.",
        watched.rings,
    ),
)


def confirm(deployment: Deployment, checks: Iterable[Check] = CHECKS) -> list[tuple[Check, Finding]]:
    """Run all checks. An error in one is its finding."""
    return [(check, _run(check, deployment)) for check in checks]


def _run(check: Check, deployment: Deployment) -> Finding:
    try:
        return check.run(deployment)
    except ClientError as error:
        return failed(f"AWS refuses: {error.response['Error']['Code']} in {error.operation_name}")
    except (BotoCoreError, httpx.HTTPError, KeyError, ValueError) as error:
        return failed(f"{type(error).__name__}")


def written(stage: str, now: datetime, found: Sequence[tuple[Check, Finding]]) -> str:
    """Return the report as Markdown."""
    count = sum(finding.verdict is Verdict.FAILED for _, finding in found)
    lines = [
        f"# Confirmation of the stage {stage}",
        "",
        f"{now:%Y-%m-%d %H:%M} UTC. {count} of {len(found)} checks failed."
        if count
        else f"{now:%Y-%m-%d %H:%M} UTC. No check failed.",
        "",
        "| check | result | seen | means |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {check.name} | {finding.verdict} | {finding.evidence} | {check.means} |" for check, finding in found]
    todo = [f"- **{check.name}**: {check.otherwise}" for check, finding in found if finding.verdict is Verdict.FAILED]
    return "\n".join([*lines, *(["", "## What to do", "", *todo] if todo else []), ""])
