"""Tests the JSON of a turn, member by member."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from shared.domain.money import ZERO, Usage
from shared.domain.problem import problem
from shared.domain.turn import (
    MAX_TURN_BYTES,
    SIZE_LIMIT,
    Charge,
    Fallback,
    Plan,
    Reply,
    Turn,
    chairs_answer,
    charged,
    format_time,
)
from shared.llm.port import MAX_TEXT_BYTES, cut

TURN_ID, SESSION_ID = UUID(int=1), UUID(int=2)
CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
NO_TOKENS = dict.fromkeys(Usage().as_dict(), 0)


def answered(position: int, name: str, text: str = "Hi.", alias: str = "fast") -> Reply:
    return Reply(
        position, name.lower(), 1, name, "completed", text, "end_turn", None, alias, Usage(5, 2), Decimal("0.1")
    )


def unanswered(position: int, name: str, *, skipped: bool = False) -> Reply:
    code = "budget_exceeded" if skipped else "timeout"
    return Reply(position, name.lower(), 1, name, "skipped" if skipped else "failed", error=problem(code))


def turn(*replies: Reply, **fields: Any) -> Turn:
    plan = Plan(tuple(reply.agent_key for reply in replies), "tags")
    required = {"id": TURN_ID, "session_id": SESSION_ID, "turn_index": 4, "status": "completed", "mode": "tag"}
    given = {"message": "Hello.", "created_at": CREATED, "plan": plan, "replies": replies}
    return Turn(**{**required, **given, **fields})


def body(*replies: Reply, **fields: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(turn(*replies, **fields).as_json())
    return shown


def test_output_of_a_council_is_the_chairs_answer_when_members_have_no_reply_yet() -> None:
    plan = Plan(("writer", "critic", "writer"), "roster")
    member, chair = answered(0, "Writer"), answered(2, "Writer", "Forty-two.")
    assert chairs_answer("council", plan, [member, chair]) == 2
    assert body(member, chair, mode="council", plan=plan, conclusion=2)["output"] == "Forty-two."


def test_a_graphs_output_is_its_own_answer_else_the_newest_reply() -> None:
    plan = Plan(("writer", "critic", "writer"), "graph")
    replies = [answered(0, "Writer"), answered(1, "Critic", "Forty-two."), unanswered(2, "Writer")]
    assert chairs_answer("graph:tools", plan, replies) == 1
    assert chairs_answer("graph:tools", plan, replies[2:]) is None
    shown = body(*replies, mode="graph:tools", plan=plan, conclusion=1)
    assert (shown["output"], shown["reviews"], shown["plan"]["source"]) == ("Forty-two.", None, "graph")
    assert body(*replies, mode="graph:tools", plan=plan, conclusion=1, answer="43")["output"] == "43"


def test_answer_of_a_graph_is_cut_when_the_turn_is_too_long() -> None:
    whole = turn(answered(0, "Writer", "a" * MAX_TURN_BYTES), mode="graph:tools", answer="é" * MAX_TURN_BYTES)
    assert len(whole.as_json().encode()) <= MAX_TURN_BYTES
    assert whole.output
    assert set(whole.output) == {"é"}


@pytest.mark.parametrize(
    ("mode", "replies"),
    [
        ("council", []),
        ("council", [answered(0, "Writer"), answered(1, "Critic")]),
        ("council", [answered(0, "Writer"), unanswered(2, "Writer")]),
        ("roundtable", [answered(2, "Writer")]),
    ],
)
def test_answer_of_the_chair_is_none_when_the_chair_has_not_answered(mode: str, replies: list[Reply]) -> None:
    assert chairs_answer(mode, Plan(("writer", "critic", "writer"), "roster"), replies) is None
    assert chairs_answer("council", None, replies) is None


def test_a_turn_has_exactly_these_members_in_this_order() -> None:
    whole = turn(
        answered(0, "Writer"),
        usage=Usage(422, 96, 1, 2, 3),
        cost_usd=Decimal("0.0001234"),
        platform_cost_usd=Decimal("0.0000412"),
        message="Hello @nobody",
        plan=Plan(("writer",), "fallback", ("nobody",)),
        fallbacks=[Fallback("routing", "invalid_json", 0)],
        steps_finished=3,
        completed_at=CREATED + timedelta(seconds=1.5),
    )
    expected = {
        "id": "00000000-0000-0000-0000-000000000001",
        "session_id": "00000000-0000-0000-0000-000000000002",
        "turn_index": 4,
        "status": "completed",
        "mode": "tag",
        "message": "Hello @nobody",
        "error": None,
        "plan": {"selected_agent_keys": ["writer"], "source": "fallback", "unknown_tags": ["nobody"]},
        "replies": [
            {
                "position": 0,
                "agent_key": "writer",
                "agent_version": 1,
                "name": "Writer",
                "status": "completed",
                "text": "Hi.",
                "stop_reason": "end_turn",
                "error": None,
                "model_alias": "fast",
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 2,
                    "cache_read_tokens": 0,
                    "cache_write_tokens": 0,
                    "reasoning_tokens": 0,
                },
                "cost_usd": "0.1",
            }
        ],
        "output": "Hi.",
        "reviews": None,
        "standings": None,
        "model_alias_used": "fast",
        "model_aliases_used": ["fast"],
        "summary_triggered": False,
        "fallbacks": [{"component": "routing", "reason": "invalid_json", "step": 0}],
        "usage": {
            "input_tokens": 422,
            "output_tokens": 96,
            "cache_read_tokens": 1,
            "cache_write_tokens": 2,
            "reasoning_tokens": 3,
        },
        "steps_finished": 3,
        "created_at": "2026-01-02T03:04:05.000006Z",
        "completed_at": "2026-01-02T03:04:06.500006Z",
        "cost_usd": "0.0001234",
        "platform_cost_usd": "0.0000412",
    }
    assert whole.as_json() == json.dumps(expected, ensure_ascii=False, separators=(",", ":"))


def test_a_turn_that_was_just_accepted_has_the_same_members() -> None:
    shown = body(plan=None, status="accepted")
    assert list(shown) == list(body(answered(0, "Writer")))
    assert {name: shown[name] for name in ("error", "plan", "replies", "model_alias_used", "completed_at")} == {
        "error": None,
        "plan": None,
        "replies": [],
        "model_alias_used": None,
        "completed_at": None,
    }
    assert (shown["output"], shown["cost_usd"], shown["platform_cost_usd"]) == ("", "0", "0")
    assert shown["usage"] == NO_TOKENS


def test_a_failed_reply_has_an_error_and_no_text() -> None:
    shown = body(unanswered(0, "Writer"), status="failed", error=problem("no_reply"))
    assert shown["error"] == {"code": "no_reply", "detail": "No agent answered."}
    reply = shown["replies"][0]
    assert reply["error"]["code"] == "timeout"
    assert (reply["text"], reply["stop_reason"], reply["model_alias"], reply["cost_usd"]) == (None, None, None, "0")
    assert reply["usage"] == NO_TOKENS


class TestOutput:
    def test_output_of_one_agent_is_its_text(self) -> None:
        assert body(answered(0, "Writer", "A text.\n"))["output"] == "A text.\n"

    def test_output_of_several_agents_has_their_names_in_plan_order(self) -> None:
        shown = body(answered(0, "Writer", "One.\n\nTwo."), answered(1, "Researcher", "Three."))
        assert shown["output"] == "Writer: One.\n\nTwo.\n\nResearcher: Three."

    def test_output_names_an_agent_twice_when_it_was_asked_twice(self) -> None:
        assert body(answered(0, "Writer", "A."), answered(1, "Writer", "B."))["output"] == "Writer: A.\n\nWriter: B."

    def test_output_leaves_out_failed_and_skipped_agents_and_keeps_names(self) -> None:
        shown = body(unanswered(0, "Critic"), answered(1, "Writer", "A."), unanswered(2, "Planner", skipped=True))
        assert shown["output"] == "Writer: A."

    def test_output_names_the_first_finished_agent_of_several(self) -> None:
        """Else the text of a running turn would change its form as the second reply comes in."""
        planned = Plan(("writer", "critic"), "tags")
        assert body(answered(0, "Writer", "A."), status="running", plan=planned)["output"] == "Writer: A."

    def test_output_is_empty_without_an_answer(self) -> None:
        assert body(unanswered(0, "Writer"))["output"] == ""


class TestAliases:
    @pytest.mark.parametrize(
        ("aliases", "used", "all_used"),
        [
            (["fast"], "fast", ["fast"]),
            (["fast", "fast"], "fast", ["fast"]),
            (["fast", "deep"], None, ["fast", "deep"]),
            (["deep", "fast", "deep"], None, ["deep", "fast"]),
            ([], None, []),
        ],
    )
    def test_alias_is_named_when_each_reply_used_the_same(
        self, aliases: list[str], used: str | None, all_used: list[str]
    ) -> None:
        shown = body(*(answered(i, "Writer", alias=alias) for i, alias in enumerate(aliases)), unanswered(9, "Critic"))
        assert (shown["model_alias_used"], shown["model_aliases_used"]) == (used, all_used)


def borne(charges: list[Charge]) -> dict[str, Any]:
    """The fields of a turn that say what it used and who pays."""
    return {
        "usage": sum((charge.usage for charge in charges), Usage()),
        "cost_usd": charged(charges, "tenant"),
        "platform_cost_usd": charged(charges, "platform"),
    }


class TestMoney:
    def test_end_of_a_response_has_its_account(self) -> None:
        paid = turn(cost_usd=Decimal("0.30"), platform_cost_usd=Decimal("1E-9"))
        end = ',"cost_usd":"0.3","platform_cost_usd":"0.000000001"}'
        assert paid.as_json() == paid.head() + end

    def test_usage_counts_each_call_and_cost_is_kept_by_account(self) -> None:
        charges = [
            Charge("tenant", Usage(1, 1), Decimal("0.10")),
            Charge("tenant", Usage(2, 2), Decimal("0.20")),
            Charge("platform", Usage(4, 4), Decimal("0.05")),
            Charge("suspense", Usage(8, 8), Decimal("7")),
        ]
        shown = body(**borne(charges))
        assert shown["usage"] == NO_TOKENS | {"input_tokens": 15, "output_tokens": 15}
        assert (shown["cost_usd"], shown["platform_cost_usd"]) == ("0.3", "0.05")
        assert charged(charges, "suspense") == 7
        assert charged([], "tenant") == ZERO

    def test_a_small_price_has_no_exponent(self) -> None:
        assert body(cost_usd=Decimal("1E-9"))["cost_usd"] == "0.000000001"


def test_text_is_sent_as_it_is() -> None:
    shown = turn(answered(0, "Émile", 'naïve "王" 😀\n\u2028'), message="¿qué?").as_json()
    assert 'naïve \\"王\\" 😀\\n\u2028' in shown
    assert "¿qué?" in shown
    assert shown.encode().decode() == shown


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (CREATED, "2026-01-02T03:04:05.000006Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-01T19:30:00.000000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(moment: datetime, text: str) -> None:
    assert format_time(moment) == text
    assert datetime.fromisoformat(text) == moment


def test_plan_is_unchanged_by_the_database() -> None:
    plan = Plan(("writer", "critic", "writer"), "routing", ("nobody",))
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


LONG = MAX_TEXT_BYTES
# Per byte of UTF-8, JSON makes six, two, one and one of them.
HOSTILE = {"control characters": "\x01", "quotes": '"', "letters": "a", "emoji": "😀", "ideographs": "王"}


class TestSize:
    @pytest.mark.parametrize("count", [1, 3, 6, 7, 120])
    @pytest.mark.parametrize("letter", HOSTILE.values(), ids=HOSTILE)
    def test_turn_stays_within_its_byte_limit_for_every_reply(self, letter: str, count: int) -> None:
        text = cut(letter * LONG)
        long = turn(*(answered(n, "N" * 64, text) for n in range(count)), message="\x01" * 32_000)
        size = len(long.as_json().encode())
        assert size <= MAX_TURN_BYTES
        shown = [reply.text or "" for reply in long.replies]
        assert all(text.startswith(beginning) for beginning in shown)
        reasons = [str(reply.stop_reason) for reply in long.replies]
        assert reasons == [SIZE_LIMIT if beginning != text else "end_turn" for beginning in shown]
        # Earlier replies are kept whole, and nothing is cut without need.
        assert reasons == sorted(reasons)
        assert size > MAX_TURN_BYTES - 150_000 or SIZE_LIMIT not in reasons

    def test_turn_of_short_replies_is_unchanged(self) -> None:
        replies = [answered(n, "Writer", "\x01" * 1000) for n in range(100)]
        assert turn(*replies).replies == tuple(replies)

    def test_an_agent_that_did_not_answer_stays_without_text(self) -> None:
        long = turn(*(answered(n, "Writer", "\x01" * LONG) for n in range(3)), unanswered(3, "Critic"))
        assert (long.replies[3].text, long.replies[3].stop_reason, long.replies[3].status) == (None, None, "failed")

    def test_cuts_are_the_same_when_a_turn_is_resumed(self) -> None:
        replies = [answered(n, "Writer", "\x01" * LONG) for n in range(3)]
        first = turn(*replies)
        costs = {"usage": Usage(10**13), "cost_usd": Decimal("123.456789"), "platform_cost_usd": Decimal("0.0000001")}
        fallbacks = [Fallback("summary_text", "timeout", 9)] * 100
        second = turn(*replies, **costs, fallbacks=fallbacks, completed_at=CREATED, status="cancelled")
        assert second.replies == first.replies
        assert len(second.as_json().encode()) <= MAX_TURN_BYTES
