"""Alarms notify a topic, and the runbook has one section for each of them and no other."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.entries import COUNTING, ENTRIES, SCHEDULED, SWEEPER, Entry
from infra_cdk.stages import PROD, Stage
from local.costs import OLD_TURN_S
from shared.names import ALARM_SERIES, METRICS_NAMESPACE
from tests.support.cloudwatch.alarms import alarms_of
from tests.support.templates.assembly import Assembly
from tests.support.templates.template import Template, text

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
PAGES = {"BrokenInvariant", "UnjournaledCall", "DeadLetter", "OldestActiveTurn", "LedgerDrift", "CostRunsAway"}
COST = {"MonthCost", "MonthForecast", "CostUnread", "PlatformBudget"}
SILENT = {f"{entry.title}Silent" for entry in SCHEDULED}
TICKETS = (
    COST | SILENT | {"UnknownRate", "FallbackRate", "Throttles", "InvariantsUnchecked", "PinnedSessions", "Canary"}
)


def sections() -> dict[str, str]:
    """The runbook's sections by alarm."""
    _, *rest = re.split(r"^### (\w+)\n", RUNBOOK, flags=re.M)
    return {name: re.split(r"^## ", text, flags=re.M)[0] for name, text in zip(rest[::2], rest[1::2], strict=True)}


def notifying(template: Template) -> dict[str, Any]:
    """The alarms that tell somebody, by their names without the stage."""
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    alarms = [alarm for kind in kinds for alarm in template.resources(kind).values() if alarm.get("AlarmActions")]
    return {alarm["AlarmName"].rpartition("-")[2]: alarm for alarm in alarms}


def test_alarms_match_the_sections_of_the_runbook(template: Template, stage: Stage) -> None:
    expected = set(sections()) - (set() if stage.proxy else {"PinnedSessions"})
    assert set(notifying(template)) == expected
    assert set(sections()) == PAGES | TICKETS


@pytest.mark.parametrize("name", sorted(PAGES | TICKETS))
def test_section_of_the_runbook_has_its_meaning_and_its_steps(name: str) -> None:
    section = sections()[name].strip()
    assert section.startswith("Page." if name in PAGES else "Ticket")
    assert "\nLook at: " in section
    assert "\nDo: " in section


def test_alarm_names_its_section_and_pages_only_when_it_is_urgent(template: Template) -> None:
    for name, alarm in notifying(template).items():
        description = alarm["AlarmDescription"]
        assert description.endswith(f". docs/runbook.md#{name.lower()}")
        assert 80 < len(description) < 300
        (topic,) = map(text, alarm["AlarmActions"])
        assert topic.startswith("<NotificationsPage" if name in PAGES else "<NotificationsTicket")


def test_missing_data_breaches_only_for_scheduled_functions_and_the_read_cost(template: Template) -> None:
    silent = {name: alarm.get("TreatMissingData") for name, alarm in notifying(template).items() if name != "Canary"}
    expected = SILENT | {"OldestActiveTurn", "CostUnread"}
    assert {name for name, missing in silent.items() if missing != "notBreaching"} == expected


def listed(title: str) -> set[str]:
    """The alarms that the runbook lists under a title, each with a link to its section."""
    (part,) = re.findall(rf"^\*\*{title}:\*\* (.*?)\n\n", RUNBOOK, re.M | re.S)
    links = re.findall(r"\[(\w+)\]\(#(\w+)\)", part)
    assert all(anchor == name.lower() for name, anchor in links)
    return {name for name, _ in links}


def test_runbook_lists_every_alarm() -> None:
    assert listed("Pages") == PAGES
    assert listed("Tickets") == TICKETS


def test_runbook_has_the_section_of_every_alarm(assembly: Assembly) -> None:
    """Alarms that undo a release share the section of Canary. `DeadLetterGraphs` is a part of `DeadLetter`."""
    for name in alarms_of(assembly.templates[PROD.name]):
        released = re.fullmatch(r"Release[A-Z]\w+(Errors|Failures)", name)
        assert f"`Release…{released[1]}`" in sections()["Canary"] if released else name in sections(), name


def test_runbook_searches_the_logs_for_lines_that_the_code_writes() -> None:
    named = re.findall(r'`logs (\w+) "([^"]+)"`', RUNBOOK)
    assert len(named) >= 8
    source = [path.read_text() for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")]
    assert {function for function, _ in named} <= {entry.name for entry in ENTRIES}
    assert [line for _, line in named if not any(f'"{line}"' in text for text in source)] == []


@pytest.mark.parametrize("entry", SCHEDULED, ids=lambda entry: entry.name)
def test_alarms_of_a_scheduled_function_can_ring(template: Template, entry: Entry) -> None:
    """A window must hold as many scheduled runs as the threshold asks for, and one run must end the silence."""
    assert entry.every_s is not None
    alarms = alarms_of(template)
    kinds = ["Errors", *(["Failures"] if entry in COUNTING else [])]
    for alarm in (alarms[f"Release{entry.title}{kind}"].properties for kind in kinds):
        assert alarm["EvaluationPeriods"] == 1
        assert 1 <= alarm["Threshold"] <= alarm["Period"] // entry.every_s
    silence = alarms[f"{entry.title}Silent"].properties
    assert silence["TreatMissingData"] == "breaching"
    assert (silence["ComparisonOperator"], silence["Threshold"]) == ("LessThanThreshold", 1)
    assert silence["Period"] == entry.every_s
    assert silence["EvaluationPeriods"] >= 3


def test_alarms_on_sweeps_follow_the_schedule_of_the_sweeper(template: Template) -> None:
    alarms = alarms_of(template)
    for name in ("OldestActiveTurn", "InvariantsUnchecked", "SweeperSilent"):
        read = alarms[name].properties
        assert (read["Period"], read["EvaluationPeriods"]) == (SWEEPER.every_s, 5), name


def test_cloudwatch_takes_the_window_of_every_alarm(template: Template) -> None:
    """CloudWatch takes a day at most, and periods of whole minutes."""
    for name, alarm in alarms_of(template).items():
        for _, _, _, period in alarm.metrics():
            assert period % 60 == 0, name
            assert period * alarm.properties["EvaluationPeriods"] <= 24 * 3600, name


@pytest.mark.parametrize("schedule", ["rate(1 day)", "rate(0 minutes)", "cron(0 * * * ? *)"])
def test_a_schedule_that_alarms_cannot_follow_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="is not rate"):
        _ = replace(SWEEPER, schedule=schedule).every_s


def test_terminal_and_alarm_use_the_same_age_of_a_turn(template: Template) -> None:
    assert notifying(template)["OldestActiveTurn"]["Threshold"] == OLD_TURN_S


def test_an_alarm_reads_ten_metrics_at_most(template: Template) -> None:
    """CloudWatch takes no more."""
    for name, alarm in notifying(template).items():
        assert sum("MetricStat" in one for one in alarm.get("Metrics", ())) <= 10, name


def test_alarms_do_not_ring_for_long_turns(template: Template) -> None:
    """API Gateway's latency and Lambda's duration span a whole stream, so a turn of four minutes is normal for both."""
    read = set()
    for alarm in template.resources("AWS::CloudWatch::Alarm").values():
        read.add((alarm.get("MetricName"), alarm.get("Statistic")))
        read |= {(one["MetricStat"]["Metric"]["MetricName"], one["MetricStat"]["Stat"]) for one in measured(alarm)}
    times = {"Latency", "IntegrationLatency", "Duration", "PostRuntimeExtensionsDuration", "TurnDuration"}
    # It counts turns and reads no time.
    assert {one for one in read if one[0] in times} == {("TurnDuration", "SampleCount")}


def measured(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in alarm.get("Metrics", ()) if "MetricStat" in one]


def test_throttles_alarm_includes_the_authorizer(template: Template) -> None:
    assert "<AuthorizerFunction>" in str([text(d["Value"]) for d in dimensions(notifying(template)["Throttles"])])


def dimensions(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    metrics = [one["MetricStat"]["Metric"] for one in measured(alarm)]
    return [dimension for metric in metrics for dimension in metric["Dimensions"]]


def test_canary_watches_each_alarm_that_rolls_a_release_back(template: Template) -> None:
    rule = str(notifying(template)["Canary"]["AlarmRule"])
    watched = {
        alarm["Name"]["Ref"]
        for group in template.resources("AWS::CodeDeploy::DeploymentGroup").values()
        for alarm in group["AlarmConfiguration"]["Alarms"]
    }
    assert watched
    assert all(id_ in rule for id_ in watched)


def test_only_this_accounts_alarms_and_budgets_send_to_the_topics(template: Template) -> None:
    policies = template.resources("AWS::SNS::TopicPolicy").values()
    allowed = [one for policy in policies for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    assert len(allowed) == 2
    for one in allowed:
        assert one["Action"] == "sns:Publish"
        assert set(one["Principal"]["Service"]) == {"cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
        assert text(one["Condition"]["StringEquals"]["aws:SourceAccount"]) == "<AWS::AccountId>"


def test_stage_has_its_own_budget(template: Template, stage: Stage) -> None:
    budget = template.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": stage.budget_usd, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": [f"user:stage${stage.name}"]}
    kinds = {one["Notification"]["NotificationType"] for one in budget["NotificationsWithSubscribers"]}
    assert kinds == {"ACTUAL", "FORECASTED"}


def test_dashboards_have_an_output_with_their_address(template: Template, stage: Stage) -> None:
    if not stage.dashboards:
        assert not template.resources("AWS::CloudWatch::Dashboard")
        return
    names = {board["DashboardName"] for board in template.resources("AWS::CloudWatch::Dashboard").values()}
    assert names == {f"pantheon-{stage.name}-cost", f"pantheon-{stage.name}-health"}
    for output in ("CostDashboard", "HealthDashboard"):
        address = text(template.body["Outputs"][output]["Value"])
        assert address.partition("#dashboards/dashboard/")[2] in names


def test_alarms_of_a_cheap_stage_read_only_series_that_it_emits(template: Template) -> None:
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    metrics = [one["MetricStat"]["Metric"] for alarm in alarms for one in measured(alarm)]
    metrics += [alarm for alarm in alarms if "MetricName" in alarm]
    read = {
        (one["MetricName"], tuple(sorted(each["Name"] for each in one["Dimensions"] if each["Name"] != "service")))
        for one in metrics
        if one["Namespace"] == METRICS_NAMESPACE
    }
    assert read == {(metric.value, tuple(dimensions)) for metric, dimensions in ALARM_SERIES.items()}
