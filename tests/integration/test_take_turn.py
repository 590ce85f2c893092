"""Tests a posted turn from end to end: the agents, their prompts, the stored rows and the cost."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from uuid6 import uuid7

from shared.db.api.agents import record_agent_deletion
from shared.domain.money import Usage
from shared.domain.outcome import Bill
from shared.domain.summary import LETTERS, LISTS, Item, Summary
from shared.errors import InvalidRequest, NoAgent, NotFound, UnknownAgent
from shared.llm.port import Request
from shared.turns.draft import Draft, load_draft
from tests.support.council_room import DEEP_COST, FAST_COST, USAGE, CouncilRoom, answer, body, names, prompt, unbilled
from tests.support.quoted import speakers, voices

MESSAGE = "@researcher, then @Writer; not @nobody, and mail bob@critic.org"


@pytest.mark.parametrize(
    ("mode", "message", "agent_keys", "asked", "source", "unknown_tags"),
    [
        ("tag", "@writer @researcher hello", None, ["writer", "researcher"], "tags", []),
        ("tag", "@researcher @writer hello", None, ["researcher", "writer"], "tags", []),
        ("tag", MESSAGE, None, ["researcher", "writer"], "tags", ["nobody"]),
        ("tag", "hello, `@critic` and @Nobody", None, ["writer"], "default", ["Nobody"]),
        ("manual", "@writer hello", ("critic", "researcher"), ["critic", "researcher"], "request", []),
        ("manual", "@critic hello", None, ["critic"], "tags", []),
        ("manual", "hello", None, ["writer"], "default", []),
        ("roundtable", "@critic hello", None, ["writer", "researcher", "critic"], "roster", []),
    ],
)
def test_the_mode_and_the_message_decide_who_is_asked(
    room: CouncilRoom,
    mode: str,
    message: str,
    agent_keys: tuple[str, ...] | None,
    asked: list[str],
    source: str,
    unknown_tags: list[str],
) -> None:
    turn = body(room.take(message, mode=mode, agent_keys=agent_keys))
    assert turn["plan"] == {"selected_agent_keys": asked, "source": source, "unknown_tags": unknown_tags}
    assert names(turn["replies"]) == [(key, "completed", None) for key in asked]
    assert [prompt(request).splitlines()[2] for request in room.provider.requests] == [
        f"You are the {key}." for key in asked
    ]
    assert room.row("SELECT mode, plan FROM turns") == {"mode": mode, "plan": turn["plan"]}


def test_the_session_says_the_mode_when_the_turn_does_not(room: CouncilRoom) -> None:
    turn = body(room.take("hello", session_id=room.make_session(mode="roundtable")))
    assert (turn["mode"], len(turn["replies"])) == ("roundtable", 3)


def test_every_call_is_posted_at_its_exact_cost(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("A", USAGE), answer("B", USAGE), answer("", USAGE), answer("C", USAGE))
    outcome = room.take("@writer @researcher @critic hello")
    turn = body(outcome)
    tenant, platform = FAST_COST * 2 + DEEP_COST, FAST_COST
    assert outcome.bill == Bill("tenant-1", room.session_id, tenant + platform, tenant)
    assert turn["steps_finished"] == 3
    assert [reply["cost_usd"] for reply in turn["replies"]] == [str(FAST_COST), str(DEEP_COST), str(FAST_COST)]
    assert (turn["cost_usd"], turn["platform_cost_usd"]) == (str(tenant), str(platform))
    assert turn["usage"] == (USAGE + USAGE + USAGE + USAGE).as_dict()
    assert room.accounts() == {"tenant": tenant, "platform": platform}
    assert room.budget("tenant:tenant-1") == {"held_usd": 0, "spent_usd": tenant}
    assert room.budget("platform") == {"held_usd": 0, "spent_usd": platform}
    columns = "step, attempt, account, kind, agent_key, model_alias, input_tokens, reasoning_tokens, amount_usd"
    posts = room.rows(f"SELECT {columns} FROM usage_ledger ORDER BY step, attempt")
    assert [tuple(post.values()) for post in posts] == [
        (0, 1, "tenant", "post", "writer", "fast", 1000, 7, FAST_COST),
        (1, 1, "tenant", "post", "researcher", "deep", 1000, 7, DEEP_COST),
        (2, 1, "platform", "post", "critic", "fast", 1000, 7, FAST_COST),
        (2, 2, "tenant", "post", "critic", "fast", 1000, 7, FAST_COST),
    ]


def test_the_reserve_covers_the_cost_and_the_row_keeps_its_rates(room: CouncilRoom) -> None:
    room.take("@researcher hello")
    call = room.row("SELECT reserve_usd, cost_usd, rates, payer, provider, model_id FROM llm_calls")
    assert 0 < call["cost_usd"] <= call["reserve_usd"]
    assert call["rates"] == {
        "input": "0.5",
        "output": "2",
        "cache_read": "0.05",
        "cache_write": "0.625",
        "reasoning": "2",
        "cache_write_1h": "1",
    }
    assert (call["payer"], call["provider"], call["model_id"]) == ("tenant:tenant-1", "scripted", "scripted-deep")


def test_an_outcome_has_the_figures_of_every_call(room: CouncilRoom) -> None:
    room.provider.enqueue(unbilled("throttled"), answer(), answer())
    began = time.monotonic()
    outcome = room.take("@writer @researcher hello")
    assert [(call.purpose, call.model_alias, call.status, call.usage) for call in outcome.calls] == [
        ("agent", "fast", "unbilled", Usage()),
        ("agent", "fast", "succeeded", USAGE),
        ("agent", "deep", "succeeded", USAGE),
    ]
    assert all(began < call.started < time.monotonic() for call in outcome.calls)
    assert all(0 < call.seconds < outcome.seconds < time.monotonic() - began for call in outcome.calls)


def test_the_output_is_one_text_alone_and_several_by_name(room: CouncilRoom) -> None:
    room.provider.enqueue("Alone.", "One.", "Two.")
    assert body(room.take("@writer"))["output"] == "Alone."
    assert body(room.take("@researcher @writer"))["output"] == "Researcher: One.\n\nWriter: Two."


def test_agent_gets_earlier_replies_and_the_next_turn_gets_the_session(room: CouncilRoom) -> None:
    room.provider.enqueue("Roses.", "Violets.", "Lilies.")
    room.take("@writer @researcher what flowers?")
    room.take("@critic which is best?")
    room.take("@writer why?")
    first, second, _, fourth = room.provider.requests
    assert [m.role for m in first.messages] == ["system", "user"]
    assert speakers(second.messages[-1].text)[1:] == [("agent:Writer", "Roses.")]
    assert voices(fourth.messages) == [
        ("user", "", "@writer @researcher what flowers?"),
        ("assistant", "", "Roses."),
        ("user", "agent:Researcher", "Violets."),
        ("user", "user", "@critic which is best?"),
        ("user", "agent:Critic", "Lilies."),
        ("user", "user", "@writer why?"),
    ]


@pytest.mark.parametrize("next_index", [2, 60], ids=["lately", "long ago"])
def test_the_next_turn_knows_what_a_summary_of_the_release_before_says(room: CouncilRoom, next_index: int) -> None:
    lists = {name: [f"{name} said"] for name in LISTS}
    room.take("@writer hello")
    room.owner.execute(
        f"""INSERT INTO summaries (id, tenant_id, session_id, turn_id, through_turn_index, text, {", ".join(LISTS)},
        archived, fallbacks) SELECT gen_random_uuid(), tenant_id, session_id, id, turn_index, 'They talk.', %s, %s, %s,
        %s, '{{}}', '[]' FROM turns""".encode(),
        [Jsonb(value) for value in lists.values()],
    )
    room.owner.execute("UPDATE sessions SET next_turn_index = %s", (next_index,))
    draft = load_draft(room.db, room.request(), uuid7())
    room.owner.execute("UPDATE sessions SET next_turn_index = 2")
    assert isinstance(draft, Draft)
    items = tuple(Item(f"{letter}1", name, f"{name} said", 1) for name, letter in LETTERS.items())
    assert draft.conversation.summary == Summary(1, "They talk.", items, dict.fromkeys(LISTS, 1))


def test_failed_agent_leaves_other_replies_and_its_error_is_in_no_prompt(room: CouncilRoom) -> None:
    room.provider.enqueue("Roses.", unbilled("refused"), "Lilies.", "Later.")
    turn = body(room.take())
    assert names(turn["replies"]) == [
        ("writer", "completed", None),
        ("researcher", "failed", "refused"),
        ("critic", "completed", None),
    ]
    assert (turn["status"], turn["output"]) == ("completed", "Writer: Roses.\n\nCritic: Lilies.")
    room.take("@writer again")
    for request in room.provider.requests[2:]:
        assert "esearcher" not in prompt(request).replace("@researcher", "")
        assert turn["replies"][1]["error"]["detail"] not in prompt(request)


def test_turn_without_an_answer_has_failed(room: CouncilRoom) -> None:
    room.provider.enqueue(unbilled("refused"), unbilled("refused"))
    turn = body(room.take("@writer @critic hello"))
    assert (turn["status"], turn["error"]["code"], turn["cost_usd"]) == ("failed", "no_reply", "0")
    assert (turn["model_alias_used"], turn["model_aliases_used"]) == (None, [])


def test_a_turn_keeps_the_agent_versions_that_it_began_with(room: CouncilRoom) -> None:
    def change_everything(request: Request) -> str:
        room.change_agent("researcher", role_prompt="You are somebody else.", enabled=False)
        return "Roses."

    room.provider.enqueue(change_everything)
    turn = body(room.take("@writer @researcher hello"))
    assert [reply["agent_version"] for reply in turn["replies"]] == [1, 1]
    assert "You are the researcher." in prompt(room.provider.requests[1])
    assert body(room.take("@researcher hello"))["plan"]["unknown_tags"] == ["researcher"]


def test_audit_trail_has_each_request_without_text(room: CouncilRoom) -> None:
    room.provider.enqueue("No JSON.", "Roses.")
    turn = body(room.take("@writer secretly @unknown", mode="orchestrator"))
    event = room.row("SELECT user_id, event, detail FROM audit_events")
    assert (event["user_id"], event["event"]) == ("user-1", "turn_published")
    attempts = event["detail"].pop("attempts")
    assert [(attempt["purpose"], attempt["status"]) for attempt in attempts] == [
        ("routing", "succeeded"),
        ("agent", "succeeded"),
    ]
    assert event["detail"] == {
        "status": "completed",
        "selected_agent_keys": ["writer"],
        "plan_source": "fallback",
        "agents": [{"key": "writer", "version": 1, "status": "completed"}],
        "model_aliases": ["fast"],
        "model_alias_used": "fast",
        "model_aliases_used": ["fast"],
        "fallbacks": turn["fallbacks"],
    }
    assert [fallback["component"] for fallback in turn["fallbacks"]] == ["routing"]
    assert not any(word in str(event) for word in ("Roses", "secretly", "unknown"))


@pytest.mark.parametrize(
    ("message", "used", "all_used"),
    [("@writer @critic", "fast", ["fast"]), ("@researcher @writer", None, ["deep", "fast"])],
)
def test_the_audit_trail_names_the_aliases_as_the_response_does(
    room: CouncilRoom, message: str, used: str | None, all_used: list[str]
) -> None:
    turn = body(room.take(message))
    detail = room.row("SELECT detail FROM audit_events")["detail"]
    assert detail["model_aliases"] == [reply["model_alias"] for reply in turn["replies"]]
    for told in (turn, detail):
        assert (told["model_alias_used"], told["model_aliases_used"]) == (used, all_used)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"mode": "tag", "agent_keys": ("writer",)}, InvalidRequest, "mode 'manual' only"),
        ({"mode": "manual", "agent_keys": ("stranger",)}, UnknownAgent, "'stranger' is not in this session's roster"),
        ({"mode": "manual", "agent_keys": ("critic",)}, UnknownAgent, "'critic' is disabled"),
        ({"session_id": uuid7()}, NotFound, "no such session"),
        ({"tenant_id": "tenant-2"}, NotFound, "no such session"),
    ],
)
def test_a_turn_that_cannot_be_taken_is_refused_before_anything_is_written(
    room: CouncilRoom, change: dict[str, Any], error: type[Exception], said: str
) -> None:
    room.change_agent("critic", enabled=False)
    with pytest.raises(error, match=said):
        room.take(**change)
    assert room.provider.requests == []
    assert room.rows("SELECT id FROM turns") == []
    assert room.rows("SELECT payer FROM budgets") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda room, key: room.change_agent(key, enabled=False),
        lambda room, key: record_agent_deletion(room.db, room.tenant_id, key),
        lambda room, key: room.change_agent(key, model_alias="of-another-deployment"),
    ],
    ids=["disabled", "deleted", "of an alias that this deployment does not have"],
)
def test_a_roster_without_an_agent_that_can_be_asked_is_refused(
    room: CouncilRoom, change: Callable[[CouncilRoom, str], None]
) -> None:
    for key in ("writer", "researcher", "critic"):
        change(room, key)
    with pytest.raises(NoAgent):
        room.take()
    assert room.rows("SELECT id FROM turns") == []


@pytest.mark.parametrize("fan_out", ["sequential", "parallel"])
def test_an_agent_of_another_catalog_is_skipped_and_says_why(room: CouncilRoom, fan_out: str) -> None:
    room.change_agent("critic", model_alias="of-another-deployment")
    session_id = room.make_session(fan_out=fan_out)
    room.provider.enqueue(answer("Roses."))
    turn = body(room.take("@critic @writer hello", session_id=session_id))
    assert (turn["status"], turn["output"]) == ("completed", "Writer: Roses.")
    assert turn["plan"]["unknown_tags"] == []
    assert names(turn["replies"]) == [("critic", "skipped", "unknown_model_alias"), ("writer", "completed", None)]
    with pytest.raises(UnknownAgent, match="'critic' has a model alias that this deployment does not have"):
        room.take("hello", session_id=session_id, mode="manual", agent_keys=("critic",))
    alone = body(room.take("@critic hello", session_id=session_id))
    assert (alone["status"], alone["error"]["code"], alone["output"]) == ("failed", "no_reply", "")
    assert names(alone["replies"]) == [("critic", "skipped", "unknown_model_alias")]
    assert (alone["cost_usd"], len(room.provider.requests)) == ("0", 1)


def test_free_tokens_cost_nothing_and_are_counted(room: CouncilRoom) -> None:
    room.provider.enqueue(answer("Free.", Usage()))
    turn = body(room.take("@writer"))
    assert (turn["cost_usd"], room.accounts()) == ("0", {"tenant": Decimal(0)})
