"""Check by CloudWatch: pinned connections, tokens, scheduled runs, and an alarm that rings and stops."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from infra_cdk.confirm.check import Deployment, Finding, confirmed, failed, skipped
from infra_cdk.entries import ENTRIES

# This alarm sends a ticket and no page. It reads one series, which the sweeper emits each minute.
RUNG: Final = "PlatformBudget"
_MINUTE: Final = 60
_QUARTER: Final = timedelta(minutes=15)
# An hourly schedule runs at least once in two hours.
_SCHEDULED: Final = timedelta(hours=2)
Dimensions = dict[str, str]


def shares_connections(deployment: Deployment) -> Finding:
    proxies = deployment.resources("AWS::RDS::DBProxy")
    if not proxies:
        return skipped("the stage has no proxy")
    here = {"ProxyName": proxies[0]}
    open_ = _points(deployment, "AWS/RDS", "DatabaseConnections", "Maximum", here, _QUARTER)
    if not open_:
        return failed("the proxy has no metrics of the last 15 minutes")
    pinned = _points(deployment, "AWS/RDS", "DatabaseConnectionsCurrentlySessionPinned", "Maximum", here, _QUARTER)
    seen = f"at most {max(pinned, default=0):g} of {max(open_):g} connections were pinned"
    return failed(seen) if max(pinned, default=0) > 0 else confirmed(seen)


def counts_tokens(deployment: Deployment) -> Finding:
    """Check that Bedrock's metrics contain all output tokens of the ledger's last 15 minutes."""
    if not deployment.catalog.models:
        return skipped("the stage asks no model on Bedrock")
    since = datetime.now(UTC) - _QUARTER
    answer = deployment.http.get("usage/calls", params={"from": since.isoformat(), "limit": 100})
    answer.raise_for_status()
    ours: Counter[str] = Counter()
    for row in answer.json()["items"]:
        model = deployment.catalog.known.get(row["model_alias"])
        # A settlement corrects a row and is no call.
        if row["kind"] == "post" and model is not None and model.kind == "bedrock":
            ours[model.model_id] += row["usage"]["output_tokens"]
    if not ours.total():
        return failed("the ledger has no call to Bedrock in the last 15 minutes; the check `streaming` makes one")

    def theirs(model_id: str) -> float:
        # A call of these 15 minutes may have begun earlier.
        return sum(_points(deployment, "AWS/Bedrock", "OutputTokenCount", "Sum", {"ModelId": model_id}, 2 * _QUARTER))

    # CloudWatch shows metrics some minutes late.
    if deployment.eventually(lambda: all(theirs(model_id) >= count for model_id, count in ours.items())):
        return confirmed(f"Bedrock's metrics have all {ours.total()} output tokens of the ledger")
    found = ", ".join(f"{model_id}: {count}, Bedrock's {theirs(model_id):g}" for model_id, count in ours.items())
    return failed(f"output tokens of the ledger by model: {found}")


def beats(deployment: Deployment) -> Finding:
    silent = []
    for entry in ENTRIES:
        if entry.schedule is None:
            continue
        here = {"FunctionName": f"{deployment.name}-{entry.name}"}
        runs = sum(_points(deployment, "AWS/Lambda", "Invocations", "Sum", here, _SCHEDULED))
        errors = sum(_points(deployment, "AWS/Lambda", "Errors", "Sum", here, _SCHEDULED))
        if runs in (0, errors):
            silent.append(f"{entry.name} ({runs:g} runs, {errors:g} failed)")
    if silent:
        return failed(f"in two hours: {', '.join(silent)}")
    return confirmed("every scheduled function ran in the last two hours")


def rings(deployment: Deployment) -> Finding:
    """Put a value above the threshold into the alarm's series, and wait for ALARM, then for OK."""
    cloudwatch = deployment.client("cloudwatch")
    name = f"{deployment.name}-{RUNG}"

    def state() -> str:
        found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(found[0]["StateValue"]) if found else "MISSING"

    alarms = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not alarms:
        return failed(f"there is no alarm {name}")
    (alarm,) = alarms
    if alarm["StateValue"] == "ALARM":
        return failed(f"{name} rings already")
    value = {"MetricName": alarm["MetricName"], "Dimensions": alarm["Dimensions"], "Value": alarm["Threshold"] + 1}
    cloudwatch.put_metric_data(Namespace=alarm["Namespace"], MetricData=[value])
    if not deployment.eventually(lambda: state() == "ALARM"):
        return failed(f"{name} did not ring")
    if not deployment.eventually(lambda: state() == "OK"):
        return failed(f"{name} rang and did not stop")
    actions = len(alarm["AlarmActions"])
    return confirmed(f"{name} rang and stopped; it tells {actions}") if actions else failed(f"{name} tells nobody")


def _points(
    deployment: Deployment, namespace: str, name: str, statistic: str, here: Dimensions, last: timedelta
) -> list[float]:
    now = datetime.now(UTC)
    found = deployment.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in here.items()],
        StartTime=now - last,
        EndTime=now,
        Period=_MINUTE,
        Statistics=[statistic],
    )
    return [float(point[statistic]) for point in found["Datapoints"]]
