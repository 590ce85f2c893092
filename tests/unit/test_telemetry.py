"""Tests that metrics have few dimensions and that log lines hold no text of users or models."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from local.gateway.worker import LambdaContext
from shared import telemetry
from shared.domain.money import Usage
from shared.domain.outcome import Bill, CallFigures, TurnOutcome
from shared.domain.turn import Fallback
from shared.errors import (
    BudgetExceeded,
    DatabaseUnavailable,
    JournalUnavailable,
    NotFound,
    PublishFailed,
    TurnConflict,
)
from shared.names import Dimension, Metric
from tests.support.gateway import LogLines

SECRET = "the prompt of a tenant"

CALLS = (
    CallFigures("agent", "fast", "succeeded", Usage(10, 20, 1, 2, 4), 0.5, 1.0),
    CallFigures("agent", "fast", "unknown", Usage(), 1.5, 2.0),
    CallFigures("agent", "deep", "succeeded", Usage(1, 1), 0.25, 4.0),
    CallFigures("routing", "fast", "unbilled", Usage(), 0.125, 5.0),
)


def outcome(**fields: Any) -> TurnOutcome:
    return TurnOutcome(uuid4(), "completed", "{}", **{"calls": CALLS, "seconds": 3.0, "published": True, **fields})


def emitted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The EMF lines on standard output since the last look."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def told(line: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, float]]]:
    """Yield the values of each group's dimensions, without the service, and of its metrics."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        (declared,) = directive["Dimensions"]
        names = [metric["Name"] for metric in directive["Metrics"]]
        yield {name: line[name] for name in declared if name != "service"}, {name: line[name][0] for name in names}


def groups(lines: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, float]]:
    """The metrics of all lines by their dimensions' values, each said once."""
    said = [(tuple(dimensions.values()), figures) for line in lines for dimensions, figures in told(line)]
    assert len(dict(said)) == len(said)
    return dict(said)


class TestMetrics:
    def test_each_line_is_emf_of_our_namespace_with_known_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome(fallbacks=[Fallback("routing", "invalid_json", 0)]))
        for metric in Metric:
            telemetry.count(metric)
        for line in emitted(capsys):
            assert isinstance(line["_aws"]["Timestamp"], int)
            assert line["service"] == "pantheon-local"
            members = {"_aws"}
            for directive in line["_aws"]["CloudWatchMetrics"]:
                assert directive["Namespace"] == "Pantheon"
                (declared,) = directive["Dimensions"]
                assert "service" in declared
                assert set(declared) - {"service"} <= {dimension.value for dimension in Dimension}
                names = {metric["Name"] for metric in directive["Metrics"]}
                assert names <= {metric.value for metric in Metric}
                members |= {*declared, *names}
            # Nothing but what is declared: an undeclared member is a log field that somebody pays for.
            assert set(line) == members

    def test_a_turn_with_one_kind_of_call_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome(calls=CALLS[:2], fallbacks=[Fallback("model_alias", "throttled", 0)]))
        (line,) = emitted(capsys)
        assert set(groups([line])) == {("completed",), (), ("fast", "agent"), ("model_alias",)}

    def test_line_has_each_metric_name_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """All calls, and those of one kind, are other numbers of the same name."""
        telemetry.emit(outcome())
        assert [list(groups([line])) for line in emitted(capsys)] == [
            [("completed",), ()],
            [("fast", "agent")],
            [("deep", "agent")],
            [("fast", "routing")],
        ]

    def test_a_published_turn_is_counted_by_status_and_timed(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome())
        line = emitted(capsys)[0]
        turns, times = told(line)
        assert turns == ({"status": "completed"}, {"Turns": 1})
        assert times[0] == {}
        assert times[1].items() >= {"TurnDuration": 3.0, "TurnOverhead": 3.0 - 2.375, "FallbackUsed": 0}.items()
        units = {metric["Name"]: metric["Unit"] for metric in line["_aws"]["CloudWatchMetrics"][1]["Metrics"]}
        assert units.items() >= {"TurnDuration": "Seconds", "TurnOverhead": "Seconds", "FallbackUsed": "Count"}.items()

    @pytest.mark.parametrize(
        ("times", "overhead"),
        [
            ([], 3.0),
            ([(1.0, 0.5), (2.0, 0.5)], 2.0),
            # Three at once, of which the second one takes longest.
            ([(1.0, 1.5), (1.0, 2.0), (1.0, 0.5)], 1.0),
            # One that begins while another is under way, in the order in which they ended.
            ([(1.5, 1.0), (1.0, 2.0), (3.5, 0.25)], 0.75),
            ([(1.5, 1.0), (1.0, 1.0)], 1.5),
        ],
    )
    def test_overlapping_calls_count_their_time_once(self, times: list[tuple[float, float]], overhead: float) -> None:
        calls = [CallFigures("agent", "fast", "succeeded", Usage(), seconds, started) for started, seconds in times]
        assert outcome(calls=calls).overhead_s == overhead

    def test_calls_are_summed_by_alias_and_purpose(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome())
        by_call = groups(emitted(capsys))
        # An alarm cannot add up.
        assert by_call[()].items() >= {"Calls": 4, "UnknownCalls": 1}.items()
        assert by_call["fast", "agent"] == {
            "Calls": 2,
            "CallDuration": 1.0,
            "InputTokens": 13,
            "OutputTokens": 24,
            "UnknownCalls": 1,
        }
        assert by_call["fast", "routing"]["Calls"] == 1

    def test_turn_that_another_process_ended_counts_only_its_calls(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome(published=False))
        assert all("Calls" in figures for figures in groups(emitted(capsys)).values())
        telemetry.emit(outcome(published=False, replayed=True, calls=()))
        assert emitted(capsys) == []

    def test_a_turn_that_was_handed_over_is_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.emit(outcome(published=False, handed_over=True, calls=()))
        assert groups(emitted(capsys)) == {(): {"HandedOverTurns": 1}}

    def test_turn_that_was_given_up_is_counted_by_the_process_that_ended_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        telemetry.emit(outcome(abandoned=True, calls=()))
        assert groups(emitted(capsys))[()]["AbandonedTurns"] == 1
        telemetry.emit(outcome(abandoned=True, published=False, calls=()))
        assert emitted(capsys) == []

    def test_a_fault_that_a_turn_survived_is_reported_and_counted(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reported: list[tuple[str, Exception]] = []
        monkeypatch.setattr(telemetry, "report", lambda failed, error, **_: reported.append((failed, error)))
        fault = ("summary failed", KeyError(SECRET))
        telemetry.emit(outcome(faults=[fault], calls=()))
        assert reported == [fault]
        assert [figures for figures in groups(emitted(capsys)).values() if len(figures) == 1] == [
            {"Turns": 1},
            {"Failures": 1},
        ]

    @pytest.mark.usefixtures("log_lines")
    def test_failures_and_runs_are_counted_by_function(
        self, capsys: pytest.CaptureFixture[str], context: LambdaContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The process keeps the function's name.
        monkeypatch.setattr(telemetry, "_function", telemetry._function)
        telemetry.begin("request-1", replace(context, function_name="pantheon-prod-sweeper"))
        telemetry.count_failure()
        telemetry.count_success()
        failure, run = emitted(capsys)
        assert list(told(failure)) == [({"function": "sweeper"}, {"Failures": 1})]
        assert list(told(run)) == [({"function": "sweeper"}, {"SuccessfulRuns": 1})]

    def test_bill_of_a_turn_is_one_line_with_tenant_and_session(self, capsys: pytest.CaptureFixture[str]) -> None:
        bill = Bill("tenant-1", uuid4(), Decimal("0.0030"), Decimal("1E-7"))
        published = outcome(bill=bill)
        telemetry.emit(published)
        first, *others = emitted(capsys)
        billed = {"tenant_id": "tenant-1", "session_id": str(bill.session_id), "turn_id": str(published.turn_id)}
        assert (billed | {"total_usd": "0.003", "tenant_usd": "0.0000001"}).items() <= first.items()
        # A query adds up every line that it finds.
        assert others
        assert not any(billed.keys() & line.keys() or "total_usd" in line for line in others)
        assert not any(set(billed) & set(dimensions) for line in [first, *others] for dimensions, _ in told(line))

    def test_fallbacks_are_counted_by_component(self, capsys: pytest.CaptureFixture[str]) -> None:
        fallbacks = [Fallback("routing", "a long story", 0), *[Fallback("model_alias", "throttled", n) for n in (1, 2)]]
        telemetry.emit(outcome(calls=(), fallbacks=fallbacks))
        lines = emitted(capsys)
        said = {name: figures["FallbackUsed"] for name, figures in groups(lines).items() if "FallbackUsed" in figures}
        assert said == {(): 3, ("routing",): 1, ("model_alias",): 2}
        assert "story" not in json.dumps(lines)

    @pytest.mark.parametrize(
        ("error", "metrics"),
        [
            (TurnConflict("0199", 3), [{"TurnConflicts": 1}]),
            (JournalUnavailable(), [{"JournalUnavailable": 1}, {"Failures": 1}]),
            (DatabaseUnavailable(), [{"Failures": 1}]),
            (PublishFailed(), [{"Failures": 1}]),
            (LookupError(SECRET), [{"UnexpectedErrors": 1}, {"Failures": 1}]),
            (BudgetExceeded(), []),
            (NotFound(), []),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_watched_refusals_are_counted(
        self, capsys: pytest.CaptureFixture[str], error: Exception, metrics: list[dict[str, int]]
    ) -> None:
        telemetry.count_error(error)
        assert list(groups(emitted(capsys)).values()) == metrics


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """The error as it looks once it was raised, with its place."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


class TestDescribe:
    def test_describe_returns_none_without_an_error(self) -> None:
        assert telemetry.describe(None) is None

    def test_error_is_described_by_its_type_and_place_without_its_text(self) -> None:
        described: Any = telemetry.describe(raised(ValueError(SECRET, {"text": SECRET})))
        assert set(described) == {"type", "at"}
        assert described["type"] == "ValueError"
        (place,) = described["at"]
        assert place.startswith("test_telemetry.py:")
        assert place.endswith(" raised")
        assert SECRET not in json.dumps(described)

    def test_causes_are_described_in_the_same_way(self) -> None:
        inner = raised(KeyError(SECRET))
        described = telemetry.describe(raised(DatabaseUnavailable(SECRET), raised(OSError(SECRET), inner)))
        types = []
        link: Any = described
        while link:
            types.append(link["type"])
            link = link.get("cause")
        assert types == ["DatabaseUnavailable", "OSError", "KeyError"]
        assert SECRET not in json.dumps(described)

    def test_error_of_postgres_is_described_by_its_sqlstate(self) -> None:
        described: Any = telemetry.describe(raised(psycopg.errors.UniqueViolation(f"Key (name)=({SECRET}) exists")))
        assert described["sqlstate"] == "23505"
        assert SECRET not in json.dumps(described)

    def test_deep_traceback_is_cut_to_the_places_nearest_to_the_error(self) -> None:
        def dive(depth: int) -> None:
            if depth == 0:
                raise RuntimeError(SECRET)
            dive(depth - 1)

        with pytest.raises(RuntimeError) as caught:
            dive(50)
        described: Any = telemetry.describe(caught.value)
        assert 0 < len(described["at"]) <= 10
        assert all(place.endswith(" dive") for place in described["at"])


class TestLogs:
    def test_log_line_below_shared_is_json_with_the_request_id(
        self, log_lines: LogLines, context: LambdaContext
    ) -> None:
        telemetry.begin("request-7", context)
        logging.getLogger("shared.turns.journal").warning("outcome not recorded", extra={"attempt": 2})
        logging.getLogger("functions.somewhere").info("hello %s", "you")
        first, second = log_lines()
        assert (first["level"], first["message"], first["attempt"]) == ("WARNING", "outcome not recorded", 2)
        assert (second["level"], second["message"]) == ("INFO", "hello you")
        for line in (first, second):
            assert line["correlation_id"] == "request-7"
            assert line["service"] == "pantheon"
            assert (line["function"], line["function_request_id"]) == ("pantheon-unit", "lambda-request-1")

    def test_each_invocation_has_its_own_request_id(self, log_lines: LogLines, context: LambdaContext) -> None:
        for name in ("request-1", "request-2"):
            telemetry.begin(name, context)
            logging.getLogger("shared").info("line")
        assert [line["correlation_id"] for line in log_lines()] == ["request-1", "request-2"]

    def test_debug_lines_and_lines_of_libraries_are_left_out(self, log_lines: LogLines) -> None:
        logging.getLogger("shared.db").debug("a statement")
        logging.getLogger("httpx").info("a URL")
        assert log_lines() == []

    def test_log_line_is_written_once_when_the_root_logger_has_a_handler(
        self, log_lines: LogLines, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Lambda puts a handler of its own on the root logger."""
        of_lambda = logging.StreamHandler(sys.stdout)
        logging.getLogger().addHandler(of_lambda)
        logging.getLogger("shared").warning("once")
        logging.getLogger().removeHandler(of_lambda)
        assert len(log_lines()) == 1
        assert capfd.readouterr() == ("", "")

    def test_an_error_is_reported_without_its_text(self, log_lines: LogLines) -> None:
        error = raised(JournalUnavailable(SECRET), raised(ValueError(SECRET)))
        telemetry.report("request failed", error, code=JournalUnavailable.code)
        (line,) = log_lines()
        assert (line["level"], line["message"], line["code"]) == ("ERROR", "request failed", "journal_unavailable")
        assert line["cause"]["type"] == "JournalUnavailable"
        assert line["cause"]["cause"]["type"] == "ValueError"
        assert SECRET not in json.dumps(line)
        assert "Traceback" not in json.dumps(line)
