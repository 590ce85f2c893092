"""Tests mode `council`: agents answer, rank the others without names, and the chair concludes."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from shared.db.engine import Database
from shared.db.turns import load_turn
from shared.llm.port import Request
from tests.support.council_mode import MEMBERS, is_chair, is_review, of_agent, refused, reply, roles, scripted
from tests.support.council_mode import council as council  # noqa: PLC0414 a fixture
from tests.support.council_room import CouncilRoom, Killed, body, names
from tests.support.heard import Heard
from tests.support.wiretap import Wiretap


def test_a_council_answers_reviews_and_concludes(council: CouncilRoom) -> None:
    turn = body(council.take("How many?"))
    assert turn["plan"] == {"selected_agent_keys": [*MEMBERS, "writer"], "source": "roster", "unknown_tags": []}
    assert [r["agent_key"] for r in turn["replies"]] == [*MEMBERS, "writer"]
    assert (turn["status"], turn["output"], turn["fallbacks"]) == ("completed", "Forty-two.", [])
    assert [r["agent_key"] for r in turn["reviews"]] == list(MEMBERS)
    assert all(sorted([r["agent_key"], *r["ranking"]]) == sorted(MEMBERS) for r in turn["reviews"])
    assert {s["agent_key"] for s in turn["standings"]} == set(MEMBERS)
    assert len(council.provider.requests) == 7


def keys_by_letter(room: CouncilRoom) -> dict[str, str]:
    """Return whose answer each letter stood for, by the reviews."""
    shown: dict[str, str] = {}
    for request in filter(is_review, room.provider.requests):
        for letter, text in re.findall(r'<quoted answer="(.)">\n(.*?)\n</quoted>', request.messages[1].text, re.DOTALL):
            shown[letter] = text.removeprefix("I am ").removesuffix(".")
    return shown


def test_a_review_sees_the_question_and_the_others_answers_and_no_names(council: CouncilRoom) -> None:
    scripted(
        council, member=lambda request: f"As {of_agent(request).title()} I asked @critic. I am {of_agent(request)}."
    )
    council.take("How many, @writer?")
    reviews = [request for request in council.provider.requests if is_review(request)]
    for request in reviews:
        text = "\n".join(message.text for message in request.messages)
        assert "How many, [agent]?" in text
        assert "As [agent] I asked [agent]." in text
        assert not re.search(r"Writer|Researcher|Critic|@writer|@critic|You are the", text)
        assert len(re.findall("<quoted answer=", text)) == 2
    # No agent ranks its own answer.
    letters = [tuple(re.findall('<quoted answer="(.)">', request.messages[1].text)) for request in reviews]
    assert sorted(letters) == [("A", "B"), ("A", "C"), ("B", "C")]


def test_standings_are_mean_ranks_with_ties_by_roster(council: CouncilRoom) -> None:
    turn = body(council.take("How many?"))
    keys = keys_by_letter(council)
    # Each review ranks by letter: A is first twice, B once first and once second, C second twice.
    assert [(s["agent_key"], s["average_rank"]) for s in turn["standings"]] == [
        (keys["A"], "1.00"),
        (keys["B"], "1.50"),
        (keys["C"], "2.00"),
    ]
    (chair,) = filter(is_chair, council.provider.requests)
    assert (
        f"{keys['A'].title()} (1.00), {keys['B'].title()} (1.50), {keys['C'].title()} (2.00)" in chair.messages[0].text
    )


def test_a_council_of_n_makes_2n_plus_1_calls_and_2n_plus_2_commits(council: CouncilRoom) -> None:
    with Wiretap(council.app_url, ignoring="set_config('app.tenant_id'") as tap:
        db = Database(tap.url)
        council.take("hello", runner=council.runner(db=db))
        tap.reset()
        before = council.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
        council.take("hello", runner=council.runner(db=db))
        after = council.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
        db.close()
    assert roles(council.provider.requests[7:]) == ["member"] * 3 + ["review"] * 3 + ["chair"]
    assert (after - before - 1, tap.round_trips) == (2 * 3 + 2, 2 * 3 + 3)


def test_calls_of_a_council_are_paid_by_the_tenant_with_their_reason(council: CouncilRoom) -> None:
    turn = body(council.take("How many?"))
    entries = council.rows("SELECT reason, purpose, account, agent_key FROM usage_ledger ORDER BY step")
    assert [tuple(entry.values()) for entry in entries] == [
        *[("reply", "agent", "tenant", key) for key in (*MEMBERS, "writer")],
        *[("review", "review", "tenant", key) for key in MEMBERS],
    ]
    assert council.accounts() == {"tenant": Decimal(turn["cost_usd"])}


@pytest.mark.parametrize("killed_at", range(7))
def test_a_killed_council_asks_no_finished_step_again_and_keeps_its_letters(
    council: CouncilRoom, killed_at: int
) -> None:
    council.provider._script.clear()
    whole: list[Request] = []

    def until_killed(request: Request) -> str:
        whole.append(request)
        if len(whole) > killed_at:
            raise Killed
        return reply(request)

    council.provider.enqueue(*[until_killed] * 7)
    turn_id = council.take_until_killed("How many?")
    council.provider._script.clear()
    council.provider.enqueue(*[reply] * 50)
    finished = {row["step"] for row in council.rows("SELECT step FROM llm_calls WHERE verdict = 'reply'")}
    seen = {request.messages[1].text for request in whole if is_review(request)}
    asked = len(council.provider.requests)
    turn = body(council.resume(turn_id))
    assert (turn["status"], turn["output"], len(turn["reviews"])) == ("completed", "Forty-two.", 3)
    assert len(council.provider.requests) - asked == 7 - len(finished)
    again = {request.messages[1].text for request in council.provider.requests[asked:] if is_review(request)}
    assert seen <= again or killed_at > 3
    assert council.rows("SELECT 1 FROM llm_calls WHERE step = ANY(%s) AND attempt > 1", sorted(finished)) == []


def test_a_member_that_fails_is_left_out_and_two_answers_are_not_reviewed(council: CouncilRoom) -> None:
    scripted(council, member=lambda request: refused() if of_agent(request) == "critic" else None)
    turn = body(council.take("How many?"))
    assert names(turn["replies"])[2] == ("critic", "failed", "refused")
    assert (turn["output"], turn["reviews"], turn["standings"]) == ("Forty-two.", [], [])
    assert roles(council.provider.requests) == ["member"] * 3 + ["chair"]
    assert "I am critic" not in council.provider.requests[-1].messages[-1].text


@pytest.mark.parametrize("said", ["B, then A.", '{"ranking": ["A"]}', '{"ranking": ["A", "A"]}', '{"ranking": "A"}'])
def test_an_unreadable_review_is_a_fallback_and_is_paid(council: CouncilRoom, said: str) -> None:
    unread = iter([said])
    scripted(council, review=lambda _: next(unread, None))
    turn = body(council.take("How many?"))
    (fallback,) = turn["fallbacks"]
    assert fallback["component"] == "review"
    assert (len(turn["reviews"]), turn["output"]) == (2, "Forty-two.")
    assert fallback["step"] not in [r["step"] for r in council.rows("SELECT step FROM llm_calls WHERE verdict IS NULL")]
    paid = council.row("SELECT count(*) AS n FROM usage_ledger WHERE reason = 'review' AND account = 'tenant'")
    assert paid["n"] == 3


def test_a_chair_that_fails_leaves_the_best_ranked_answer(council: CouncilRoom) -> None:
    scripted(council, chair=lambda _: refused())
    turn = body(council.take("How many?"))
    best = turn["standings"][0]["agent_key"]
    assert (turn["status"], turn["output"]) == ("completed", f"I am {best}.")
    assert turn["replies"][3]["status"] == "failed"
    assert turn["fallbacks"] == [{"component": "chair", "reason": "refused", "step": 3}]
    council.provider._script.clear()
    council.provider.enqueue("And?")
    council.take("@writer And?", mode="tag")
    prompt = "\n".join(message.text for message in council.provider.requests[-1].messages)
    assert re.findall(r"I am (\w+)", prompt) == [best]


def test_a_council_without_an_answer_fails_and_its_chair_is_not_asked(council: CouncilRoom) -> None:
    scripted(council, member=lambda _: refused())
    turn = body(council.take("How many?"))
    assert (turn["status"], turn["error"]["code"], turn["output"]) == ("failed", "no_reply", "")
    assert names(turn["replies"])[3] == ("writer", "skipped", "no_answers")
    assert (turn["reviews"], turn["standings"]) == ([], [])


def test_later_turns_see_only_the_conclusion(council: CouncilRoom) -> None:
    council.take("How many?")
    council.take("@critic And?", mode="tag")
    text = "\n".join(message.text for message in council.provider.requests[-1].messages)
    assert "Forty-two." in text
    assert "I am " not in text


def test_a_council_is_told_live_with_its_chair_last(council: CouncilRoom) -> None:
    heard = Heard()
    turn = body(council.take("How many?", listener=heard))
    assert heard.names[:5] == ["turn", "plan", "started 0", "started 1", "started 2"]
    assert heard.names[-4:] == ["started 3", "delta 3", "completed 3", "turn.ended"]
    assert heard.texts() == {r["position"]: r["text"] for r in turn["replies"]}
    assert len(heard.data("reply.started")) == 4


def test_a_running_council_shows_no_reviews_yet_and_other_modes_none(council: CouncilRoom) -> None:
    seen: list[dict[str, Any]] = []

    def look(_: Request) -> None:
        turn_id = council.row("SELECT id FROM turns")["id"]
        seen.append(json.loads(load_turn(council.open_database(), council.actor, turn_id).body))

    scripted(council, chair=look)
    council.take("How many?")
    assert (seen[0]["reviews"], seen[0]["standings"], len(seen[0]["replies"])) == ([], [], 3)
    turn = body(council.take("@writer And?", mode="tag"))
    assert (turn["reviews"], turn["standings"]) == (None, None)
