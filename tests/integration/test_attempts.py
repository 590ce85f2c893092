"""Tests a step in several attempts: their rows, the reply among them, and the payer of each."""

from decimal import Decimal
from typing import Any

import pytest

from shared.domain.money import Usage
from shared.llm.port import Completion, Request
from tests.support.council_room import (
    DEEP_COST,
    FAST_COST,
    USAGE,
    CouncilRoom,
    answer,
    body,
    names,
    prompt,
    unbilled,
    unknown,
)
from tests.support.quoted import quoted

OK = answer("An answer.")
EMPTY = answer(" \n")
FILTERED = answer("", stop_reason="content_filtered")
TOO_LONG = unbilled("context_overflow")
THROTTLED, REFUSED, UNREACHABLE = unbilled("throttled"), unbilled("refused"), unbilled("unavailable")
TIMED_OUT, LOST = unknown("timeout"), unknown("connection_lost")

# A call in the journal: alias, status, verdict, error.
Row = tuple[str, str, str | None, str | None]


def succeeded(alias: str, verdict: str | None = "reply", error: str | None = None) -> Row:
    return (alias, "succeeded", verdict, error)


# The agent, the script, the rows, and the cost of the tenant and of the platform.
CASES: dict[str, tuple[str, list[Completion], list[Row], Decimal, Decimal]] = {
    "throttled, then answered": (
        "writer",
        [THROTTLED, OK],
        [("fast", "unbilled", None, "throttled"), succeeded("fast")],
        FAST_COST,
        Decimal(0),
    ),
    "unknown, then answered": (
        "writer",
        [TIMED_OUT, OK],
        [("fast", "unknown", None, "timeout"), succeeded("fast")],
        FAST_COST,
        Decimal(0),
    ),
    "empty, then answered": (
        "writer",
        [EMPTY, OK],
        [succeeded("fast", None, "empty_reply"), succeeded("fast")],
        FAST_COST,
        FAST_COST,
    ),
    "cut at its cap": ("writer", [answer("An", stop_reason="max_tokens")], [succeeded("fast")], FAST_COST, Decimal(0)),
    "twice unknown, then the fallback": (
        "researcher",
        [TIMED_OUT, LOST, OK],
        [("deep", "unknown", None, "timeout"), ("deep", "unknown", None, "connection_lost"), succeeded("fast")],
        FAST_COST,
        Decimal(0),
    ),
    "unreachable, then at once the fallback": (
        "researcher",
        [UNREACHABLE, OK],
        [("deep", "unbilled", None, "unavailable"), succeeded("fast")],
        FAST_COST,
        Decimal(0),
    ),
    "twice throttled": (
        "writer",
        [THROTTLED, THROTTLED],
        [("fast", "unbilled", None, "throttled"), ("fast", "unbilled", "failed", "throttled")],
        Decimal(0),
        Decimal(0),
    ),
    "too long, and then half as long": (
        "writer",
        [TOO_LONG, OK],
        [("fast", "unbilled", None, "context_overflow"), succeeded("fast")],
        FAST_COST,
        Decimal(0),
    ),
    "too long for two aliases": (
        "researcher",
        [TOO_LONG, TOO_LONG, TOO_LONG],
        [
            ("deep", "unbilled", None, "context_overflow"),
            ("deep", "unbilled", None, "context_overflow"),
            ("fast", "unbilled", "failed", "context_overflow"),
        ],
        Decimal(0),
        Decimal(0),
    ),
    "twice empty": (
        "writer",
        [EMPTY, EMPTY],
        [succeeded("fast", None, "empty_reply"), succeeded("fast", "failed", "empty_reply")],
        Decimal(0),
        FAST_COST * 2,
    ),
    "refused": ("researcher", [REFUSED], [("deep", "unbilled", "failed", "refused")], Decimal(0), Decimal(0)),
    "withheld": (
        "researcher",
        [FILTERED],
        [succeeded("deep", "failed", "content_filtered")],
        Decimal(0),
        DEEP_COST,
    ),
    "nobody to fall back to": (
        "writer",
        [UNREACHABLE],
        [("fast", "unbilled", "failed", "unavailable")],
        Decimal(0),
        Decimal(0),
    ),
    "the fallback is asked once": (
        "researcher",
        [THROTTLED, EMPTY, TIMED_OUT],
        [
            ("deep", "unbilled", None, "throttled"),
            succeeded("deep", None, "empty_reply"),
            ("fast", "unknown", "failed", "timeout"),
        ],
        Decimal(0),
        DEEP_COST,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_attempt_is_a_row_and_only_the_reply_is_charged_to_the_tenant(room: CouncilRoom, case: str) -> None:
    agent, script, rows, tenant, platform = CASES[case]
    room.provider.enqueue(*script)
    turn = body(room.take(f"@{agent} hello"))
    assert room.calls("model_alias, status, verdict, error_code") == rows
    assert [attempt for (attempt,) in room.calls("attempt")] == list(range(1, len(script) + 1))
    reply = turn["replies"][0]
    if rows[-1][2] == "reply":
        assert (reply["status"], reply["model_alias"], reply["text"]) == ("completed", rows[-1][0], script[-1].text)
        assert (reply["stop_reason"], turn["model_alias_used"]) == (script[-1].stop_reason, rows[-1][0])
    else:
        assert names(turn["replies"]) == [(agent, "failed", rows[-1][3])]
        assert (reply["text"], reply["model_alias"], reply["usage"]) == (None, None, Usage().as_dict())
    suspended = sum(
        (reserve for status, reserve in room.calls("status, reserve_usd") if status == "unknown"), Decimal(0)
    )
    paid = room.accounts()
    assert [paid.get(account, 0) for account in ("tenant", "platform", "suspense")] == [tenant, platform, suspended]
    assert (Decimal(turn["cost_usd"]), Decimal(turn["platform_cost_usd"])) == (tenant, platform)


def test_prompt_that_is_too_long_drops_its_oldest_turns(room: CouncilRoom) -> None:
    for number in range(8):
        room.provider.enqueue("Roses.")
        room.take(f"@writer question {number} " + "x" * 600)
    room.provider.enqueue(TOO_LONG, "Lilies.")
    turn = body(room.take("@writer and now?"))
    first, second = (prompt(request) for request in room.provider.requests[-2:])
    kept = [number for number in range(8) if f"question {number} " in second]
    assert all(f"question {number} " in first for number in range(8))
    assert kept == list(range(8 - len(kept), 8))
    assert 2 <= len(kept) <= 4
    assert "@writer and now?" in second
    assert turn["replies"][0]["text"] == "Lilies."


def test_usage_counts_every_answered_call(room: CouncilRoom) -> None:
    room.provider.enqueue(EMPTY, TIMED_OUT, OK)
    assert body(room.take("@researcher hello"))["usage"] == (USAGE + USAGE).as_dict()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("Grüße 👋", "Grüße 👋"),
        ('\\u0000 {"a": 1}', '\\u0000 {"a": 1}'),
    ],
)
def test_reply_of_any_text_is_stored_and_put_into_prompts(room: CouncilRoom, text: str, stored: str) -> None:
    room.provider.enqueue(text, "Lilies.")
    turn = body(room.take("@writer @critic hello"))
    assert [reply["text"] for reply in turn["replies"]] == [stored, "Lilies."]
    assert room.row("SELECT text FROM replies WHERE position = 0") == {"text": stored}
    assert quoted("Writer", stored) in room.provider.requests[1].messages[-1].text


def test_the_journal_knows_the_call_before_the_provider_does(room: CouncilRoom) -> None:
    seen: list[Any] = []

    def look(request: Request) -> str:
        seen.append(room.row("SELECT * FROM llm_calls WHERE call_id = %s", request.call_id))
        return "Roses."

    room.provider.enqueue(look)
    room.take("@writer hello")
    (call,) = seen
    assert (call["status"], call["finished_at"], call["cost_usd"]) == ("intent", None, 0)
    assert (call["step"], call["attempt"], call["purpose"]) == (0, 1, "agent")
    assert (call["agent_key"], call["agent_version"]) == ("writer", 1)
    assert (call["model_alias"], call["provider"], call["model_id"]) == ("fast", "scripted", "scripted-fast")
    assert room.calls("provider_request_id, output") == [(f"scripted-{call['call_id']}", None)]


def test_attempts_have_the_same_hash_only_with_the_same_prompt(room: CouncilRoom) -> None:
    room.provider.enqueue(EMPTY, OK)
    room.take("@writer hello")
    room.take("@writer hullo", session_id=room.make_session())
    for change in ({"max_output_tokens": 99}, {"temperature": 0.5}, {"model_alias": "deep"}):
        room.change_agent("writer", **change)
        room.take("@writer hello", session_id=room.make_session())
    rows = room.rows("SELECT request_hash FROM llm_calls ORDER BY turn_id, step, attempt")
    first, second, *others = [row["request_hash"] for row in rows]
    assert first == second
    assert len({first, *others}) == 5
    assert len(first) == 64
