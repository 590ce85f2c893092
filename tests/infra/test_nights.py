"""A database that stops at night starts again, and its alarms are muted meanwhile."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra_cdk.entries import ENTRIES
from infra_cdk.nights import START_MINUTES
from infra_cdk.places import Awake
from infra_cdk.stages import DEV
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, listed, text

WORKING = Awake("07:30", "20:00", "Europe/Berlin")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesised(replace(DEV, awake=WORKING), tmp_path_factory.mktemp("night"), checked=True)


def calls(template: Template) -> dict[tuple[str, str], str]:
    """Return the time, the call and the parameters of each schedule. A rule has its logical id."""
    found = {}
    for one in template.resources("AWS::Scheduler::Schedule").values():
        assert one["ScheduleExpressionTimezone"] == "Europe/Berlin"
        assert one["FlexibleTimeWindow"] == {"Mode": "OFF"}
        parameters = json.loads(text(one["Target"]["Input"]))
        call = text(one["Target"]["Arn"]).rpartition("aws-sdk:")[2]
        found[call, str(*parameters.values())] = one["ScheduleExpression"]
    return found


def test_database_and_its_schedules_stop_and_start(night: Template) -> None:
    (sweeper,) = [id_ for id_ in night.all("AWS::Events::Rule") if id_.startswith("SchedulesSweeper")]
    (reconciler,) = [id_ for id_ in night.all("AWS::Events::Rule") if id_.startswith("SchedulesReconciler")]
    stop, start = "cron(0 20 ? * MON-FRI *)", "cron(30 7 ? * MON-FRI *)"
    (database,) = {name for call, name in calls(night) if call.startswith("rds")}
    assert database.startswith("<DatabaseInstance") or database == "pantheon-dev"
    assert calls(night) == {
        ("rds:stopDBInstance", database): stop,
        ("rds:startDBInstance", database): start,
        **{("eventbridge:disableRule", f"<{rule}>"): stop for rule in (sweeper, reconciler)},
        **{("eventbridge:enableRule", f"<{rule}>"): start for rule in (sweeper, reconciler)},
    }


def test_scheduled_function_that_needs_the_database_pauses(night: Template) -> None:
    paused = {name for call, name in calls(night) if call == "eventbridge:disableRule"}
    needing = {entry.title for entry in ENTRIES if entry.schedule and entry.role}
    assert {name.strip("<>").removeprefix("Schedules")[: -len("12345678")] for name in paused} == needing


def test_role_of_the_night_schedules_has_only_their_rights(night: Template) -> None:
    (rights,) = [
        one for id_, one in night.resources("AWS::IAM::Policy").items() if id_.startswith("NightsRoleDefaultPolicy")
    ]
    granted = {
        (action, text(resource))
        for one in rights["PolicyDocument"]["Statement"]
        for action in listed(one["Action"])
        for resource in listed(one["Resource"])
    }
    assert {action for action, _ in granted} == {
        *("rds:StartDBInstance", "rds:StopDBInstance", "events:DisableRule", "events:EnableRule")
    }
    assert not [resource for _, resource in granted if "*" in resource]


def test_notifying_alarm_is_muted_until_every_part_runs_again(night: Template) -> None:
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    telling = {f"<{id_}>" for kind in kinds for id_, one in night.resources(kind).items() if one.get("AlarmActions")}
    rules = list(night.resources("AWS::CloudWatch::AlarmMuteRule").values())
    schedules = {text(one["Rule"]["Schedule"]["Expression"]): one["Rule"]["Schedule"]["Duration"] for one in rules}
    night_minutes = (24 - 12.5) * 60 + START_MINUTES
    assert schedules == {
        "cron(0 20 * * MON-THU)": f"PT{night_minutes:.0f}M",
        "cron(0 20 * * FRI)": f"PT{night_minutes + 48 * 60:.0f}M",
    }
    for rule in rules:
        assert rule["Rule"]["Schedule"]["Timezone"] == "Europe/Berlin"
        assert set(map(text, rule["MuteTargets"]["AlarmNames"])) == telling
    assert telling


def test_database_runs_on_weekends_when_the_stage_says_so(tmp_path: Path) -> None:
    template = synthesised(replace(DEV, awake=replace(WORKING, weekends=True)), tmp_path)
    assert set(calls(template).values()) == {"cron(0 20 * * ? *)", "cron(30 7 * * ? *)"}
    (rule,) = template.resources("AWS::CloudWatch::AlarmMuteRule").values()
    assert rule["Rule"]["Schedule"]["Expression"] == "cron(0 20 * * *)"


def test_stage_without_nights_has_no_night_schedule(template: Template) -> None:
    assert not template.resources("AWS::Scheduler::Schedule")
    assert not template.resources("AWS::CloudWatch::AlarmMuteRule")


def test_share_of_the_week_counts_the_running_hours_of_the_database() -> None:
    assert WORKING.share == pytest.approx(12.5 * 5 / 168)
    assert replace(WORKING, weekends=True).share == pytest.approx(12.5 / 24)
