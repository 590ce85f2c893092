"""Every check in its order, and the report."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from infra_cdk.confirm import bedrock, over_http, watched
from infra_cdk.confirm.check import Check, Deployment, Finding, Verdict, failed

# `streaming` posts the turn that later checks look for.
CHECKS: Final = (
    Check(
        "health",
        "The stage answers, and is the commit that was deployed.",
        "Look at the deployment in CodeDeploy: an alarm may have put the release back.",
        over_http.serves_the_commit,
    ),
    Check(
        "token use",
        "The authorizer takes ID tokens, and refuses access tokens of the same pool.",
        "Do not let in users. Compare the audience of the stage with the pool's client.",
        over_http.refuses_access_tokens,
    ),
    Check(
        "streaming",
        "API Gateway passes pieces of an answer on while the model writes.",
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
        "The proxy shares its connections, so the stage holds as many turns as docs/deploy.md says.",
        "Deploy the stage without a proxy and with fewer workers, or with more connections.",
        watched.shares_connections,
    ),
    Check(
        "heartbeat",
        "Every scheduled function runs: turns are swept, and suspense is settled.",
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
        "A metric of Pantheon's reaches its alarm, and the alarm stops again.",
        "Compare the alarm's namespace and dimensions with the metric's in CloudWatch.",
        watched.rings,
    ),
)


def confirm(deployment: Deployment, checks: Iterable[Check] = CHECKS) -> list[tuple[Check, Finding]]:
    """Run each check. An error is a finding, and the next check runs."""
    return [(check, _run(check, deployment)) for check in checks]


def _run(check: Check, deployment: Deployment) -> Finding:
    try:
        return check.run(deployment)
    except ClientError as error:
        return failed(f"AWS refuses: {error.response['Error']['Code']} in {error.operation_name}")
    except (BotoCoreError, httpx.HTTPError, KeyError, ValueError) as error:
        return failed(f"{type(error).__name__}")


def written(stage: str, now: datetime, found: Sequence[tuple[Check, Finding]]) -> str:
    """The report as Markdown."""
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
