"""Tests that each error has its stable code and the status of the contract."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from shared import errors
from shared.domain.problem import problem
from shared.errors import PantheonError, RateLimited, TurnConflict
from shared.llm.port import CallError

# The HTTP contract of the existing calls: changing one of these breaks a client.
CONTRACT = {
    "invalid_request": 422,
    "invalid_message": 422,
    "unknown_agent": 422,
    "unknown_council": 422,
    "no_agent": 422,
    "roster_refused": 422,
    "idempotency_key_reused": 422,
    "budget_above_cap": 422,
    "quota_exceeded": 422,
    "turn_limit_exceeded": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "agent_exists": 409,
    "version_mismatch": 412,
    "turn_conflict": 409,
    "turn_ended": 409,
    "session_deleted": 410,
    "budget_exceeded": 402,
    "rate_limited": 429,
    "journal_unavailable": 503,
}


def descendants(kind: type[PantheonError] = PantheonError) -> Iterator[type[PantheonError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


ERRORS = [error for error in descendants() if error.__module__ == errors.__name__]


def test_codes_have_the_statuses_of_the_contract() -> None:
    assert CONTRACT.items() <= {error.code: error.status for error in ERRORS}.items()


def test_each_code_belongs_to_one_error() -> None:
    codes = [PantheonError.code, *(error.code for error in ERRORS)]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_has_a_docstring(error: type[PantheonError]) -> None:
    assert "code" in vars(error), "a code is never inherited"
    assert 400 <= error.status < 600
    assert error.__doc__
    assert re.fullmatch(r"[A-Z].*\.", error.__doc__), "it is what a client reads"


def test_tree_in_the_docstring_matches_the_classes() -> None:
    drawn = re.findall(r"── (\w+) +(\d{3}) (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted((error.__name__, str(error.status), error.code) for error in ERRORS)


def test_the_detail_is_the_docstring_unless_given_and_extra_members_are_kept() -> None:
    assert errors.NotFound().detail == errors.NotFound.__doc__
    error = errors.NotFound("There is no agent 'x'.", key="x")
    assert (error.detail, str(error), error.extra, error.headers) == (
        "There is no agent 'x'.",
        "There is no agent 'x'.",
        {"key": "x"},
        {},
    )


def test_conflict_has_the_active_turn_and_retry_after() -> None:
    conflict = TurnConflict("0199", 17)
    assert conflict.extra == {"active_turn_id": "0199"}
    assert conflict.headers == {"Retry-After": "17"}
    assert conflict.detail == TurnConflict.__doc__


def test_too_many_turns_has_retry_after() -> None:
    assert RateLimited(12).headers == {"Retry-After": "12"}


@pytest.mark.parametrize(
    "code",
    [
        *get_args(CallError),
        "empty_reply",
        "thinking_only",
        "content_filtered",
        "unknown_model_alias",
        "no_reply",
        "cancelled",
        "turn_abandoned",
        "budget_exceeded",
        "turn_limit_exceeded",
    ],
)
def test_problem_of_each_stored_code_has_a_sentence(code: str) -> None:
    shown = problem(code).as_dict()
    assert list(shown) == ["code", "detail"]
    assert shown["code"] == code
    assert re.fullmatch(r"[A-Z].*\.", shown["detail"])


def test_problem_refuses_an_unknown_code() -> None:
    with pytest.raises(KeyError):
        problem("no_such_code")
