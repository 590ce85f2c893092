"""Tests that the CloudWatch stand-in reads data points as AWS documents it."""

import pytest

from tests.support.cloudwatch.alarms import Alarm
from tests.support.cloudwatch.insights import run
from tests.support.cloudwatch.maths import Maths, Several
from tests.support.cloudwatch.metrics import Metrics, Named, Series, Window, aggregate

MINUTE = 60.0
WINDOW = Window(0, 3 * MINUTE)
ERRORS = Named("Pantheon", "Errors", frozenset({("service", "pantheon-dev")}))


def evaluate(expression: str, **series: Series) -> object:
    return Maths(Metrics(), WINDOW, MINUTE, series).evaluate(expression)


def test_expression_has_a_point_only_when_both_series_have_one() -> None:
    assert evaluate("a+2*b", a={0: 1, 60: 2}, b={60: 10, 120: 20}) == {60: 22}


def test_division_by_zero_has_no_point() -> None:
    assert evaluate("100*a/b", a={0: 1, 60: 1}, b={0: 0, 60: 4}) == {60: 25}


def test_if_needs_a_point_only_in_the_chosen_branch() -> None:
    assert evaluate("IF(n >= 5, 100*a/n, 0)", n={0: 0, 60: 5, 120: 9}, a={60: 1}) == {0: 0, 60: 20}


def test_fill_has_a_point_in_every_period() -> None:
    assert evaluate("FILL(a,0)+FILL(b,0)", a={60: 2}, b={}) == {0: 0, 60: 2, 120: 0}


def test_diff_subtracts_the_point_before() -> None:
    assert evaluate("DIFF(a)", a={0: 1, 120: 5}) == {120: 4}


def test_search_finds_series_with_exactly_its_dimensions() -> None:
    metrics = Metrics()
    service = ("service", "pantheon-dev")
    for alias, stage in (("fast", "pantheon-dev"), ("deep", "pantheon-dev"), ("fast", "pantheon-prod")):
        named = Named("Pantheon", "Calls", frozenset({("service", stage), ("model_alias", alias)}))
        metrics.put(named, 61, 2, 3)
    metrics.put(Named("Pantheon", "Calls", frozenset({service})), 61, 9)
    found = Maths(metrics, WINDOW, MINUTE).evaluate(
        """SEARCH('{Pantheon,service,model_alias} service="pantheon-dev" MetricName="Calls"', 'Sum', 60)"""
    )
    assert found == Several({"deep": {60: 5}, "fast": {60: 5}})


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [("Sum", 10), ("Average", 2.5), ("Minimum", 1), ("Maximum", 4), ("SampleCount", 4), ("p50", 2.5), ("p100", 4)],
)
def test_statistics_are_computed_as_cloudwatch_documents_them(statistic: str, expected: float) -> None:
    assert aggregate([4, 1, 3, 2], statistic) == expected


def test_unsupported_expression_or_statistic_is_an_error() -> None:
    for expression in ("RATE(a)", "a ** 2", "a if a else a"):
        with pytest.raises((AssertionError, KeyError)):
            evaluate(expression, a={0: 1})
    with pytest.raises(AssertionError):
        aggregate([1], "TM99")


@pytest.mark.parametrize("missing", ["breaching", "notBreaching"])
def test_alarm_rings_when_each_period_breaches_or_is_missing(missing: str) -> None:
    alarm = Alarm(
        "Id",
        "Name",
        {
            **{"Namespace": "Pantheon", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "Threshold": 3},
            **{"Dimensions": [{"Name": "service", "Value": "pantheon-dev"}], "EvaluationPeriods": 2},
            **{"ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": missing},
        },
    )
    metrics = Metrics()
    assert alarm.rings(metrics, 120) is (missing == "breaching")
    metrics.put(ERRORS, 70, 2, 1)
    assert alarm.rings(metrics, 120) is (missing == "breaching")
    metrics.put(ERRORS, 10, 3)
    assert alarm.rings(metrics, 120) is True
    metrics.put(ERRORS, 130, 2)
    assert alarm.rings(metrics, 180) is False


def test_a_log_query_filters_adds_up_sorts_and_ends() -> None:
    lines = [
        {"@log": "/a", "@timestamp": 0, "tenant": "one", "usd": "0.5"},
        {"@log": "/a", "@timestamp": 0, "tenant": "two", "usd": "0.75"},
        {"@log": "/a", "@timestamp": 0, "tenant": "one", "usd": "0.5"},
        {"@log": "/b", "@timestamp": 0, "tenant": "two", "usd": "9"},
        {"@log": "/a", "@timestamp": 0, "tenant": "one"},
    ]
    query = "SOURCE '/a' | filter ispresent(usd)\n| stats sum(usd) as usd, count(*) as turns by tenant"
    assert run(f"{query}\n| sort usd desc\n| limit 1", lines) == (["tenant", "usd", "turns"], [["one", "1", "2"]])
