"""Summaries: when they are due, what becomes of nonsense, and what is carried forward."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from shared.domain.conversation import Conversation, PastTurn, Said
from shared.domain.summary import LISTS, Structure, Summary
from shared.domain.turn import Fallback, Purpose
from shared.llm.port import Completion, Message
from shared.llm.tokens import TokenEstimates
from shared.summary.merge import Merged, merge
from shared.summary.pipeline import Summarised, summarise
from shared.summary.policy import SummaryPolicy
from tests.unit.test_council import CATALOG, ROSTER

POLICY = SummaryPolicy(max_output_tokens=200, after_turns=3, after_tokens=1000)
REPLIES = (Said("writer", "Writer", "It starts in May."),)
EXTRACTED = {"key_facts": ["It starts in May."], "decisions": [], "open_questions": [], "action_items": []}


def history(count: int, *, length: int = 10) -> tuple[PastTurn, ...]:
    return tuple(PastTurn("q" * length, (Said("writer", "Writer", f"answer {n}"),), n) for n in range(1, count + 1))


def run(
    past: tuple[PastTurn, ...] = (),
    *,
    summary: Summary | None = None,
    text: object = "They plan.",
    structure: object = None,
) -> tuple[Summarised | None, list[tuple[Message, ...]]]:
    """Summarise the end of turn len(past) + 1. `text` and `structure` are what the model says, or why it does not."""
    seen: list[tuple[Message, ...]] = []
    answers = {"summary_text": text, "summary_structure": json.dumps(EXTRACTED) if structure is None else structure}

    def ask(
        purpose: Purpose, build: Callable[[int], tuple[Message, ...]], schema: Mapping[str, object] | None = None
    ) -> tuple[int, Completion | str]:
        seen.append(build(TokenEstimates().room(CATALOG["fast"], POLICY.max_output_tokens)))
        assert (schema is not None) == (purpose == "summary_structure")
        answer = answers[purpose]
        if isinstance(answer, Completion):
            return len(seen), answer
        return len(seen), Completion("succeeded", str(answer), "end_turn") if answer != "throttled" else "throttled"

    conversation = Conversation(MappingProxyType(ROSTER), past, "When does it start?", summary=summary)
    return summarise(conversation, len(past) + 1, REPLIES, POLICY, ask), seen


class TestPolicy:
    def test_a_summary_is_due_after_so_many_turns(self) -> None:
        assert run(history(1))[0] is None
        assert run(history(2))[0] is not None

    def test_or_after_so_many_tokens(self) -> None:
        assert run(history(1, length=4000))[0] is not None

    def test_turns_that_a_summary_covers_do_not_count(self) -> None:
        known = Summary(3, "Before.", Structure())
        assert run(history(4), summary=known)[0] is None
        assert run(history(5), summary=known)[0] is not None


def test_text_and_structure_go_through_the_ending_turn() -> None:
    summarised, seen = run(history(2))
    assert summarised is not None
    assert summarised.summary == Summary(3, "They plan.", Structure(key_facts=("It starts in May.",)))
    assert summarised.fallbacks == ()
    assert all("Writer: It starts in May." in messages[-1].text for messages in seen)


def test_the_summary_before_is_what_the_next_one_starts_from() -> None:
    known = Summary(1, "They met.", Structure(decisions=("Use Postgres",)))
    summarised, (writing, extracting) = run(history(4), summary=known)
    assert summarised is not None
    assert "They met." in writing[0].text
    assert "- Use Postgres" in extracting[0].text
    assert "answer 1" not in writing[-1].text
    assert summarised.summary.structure.decisions == ("Use Postgres",)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("throttled", "throttled"), (Completion("succeeded", "They pl", "max_tokens"), "max_tokens")],
)
def test_a_text_that_did_not_come_is_an_excerpt(answer: object, reason: str) -> None:
    summarised, _ = run(history(2), summary=Summary(0, "They met.", Structure()), text=answer)
    assert summarised is not None
    assert summarised.fallbacks == (Fallback("summary_text", reason, 1),)
    assert summarised.summary.text.startswith("They met.")
    assert "It starts in May." in summarised.summary.text
    assert summarised.summary.structure.key_facts == ("It starts in May.",)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("throttled", "throttled"),
        ("no json", "invalid_json"),
        (json.dumps({**EXTRACTED, "decisions": None}), "invalid_schema"),
        (json.dumps({name: [] for name in LISTS[:3]}), "invalid_schema"),
        (Completion("succeeded", json.dumps(EXTRACTED)[:30], "max_tokens"), "max_tokens"),
    ],
)
def test_a_structure_that_did_not_come_stays_as_it_was(answer: object, reason: str) -> None:
    known = Structure(key_facts=("Anna leads design",), open_questions=("Who pays?",))
    summarised, _ = run(history(2), summary=Summary(0, "", known), structure=answer)
    assert summarised is not None
    assert summarised.fallbacks == (Fallback("summary_structure", reason, 2),)
    assert summarised.summary.structure == known
    assert summarised.summary.archived == Structure()


def merged(previous: Structure, outdated: tuple[str, ...] = (), cap: int = 40, **new: tuple[str, ...]) -> Merged:
    return merge(previous, Structure(**new), outdated, cap)


class TestMerge:
    FACTS = Structure(key_facts=("The budget is 10k", "Anna leads design", "Anna is from Bern"))

    def test_what_the_model_forgets_stays(self) -> None:
        assert merged(self.FACTS) == Merged(self.FACTS, Structure())

    def test_what_it_repeats_is_there_once(self) -> None:
        again = merged(self.FACTS, key_facts=("the budget is 10k.", "Anna leads the design", "  ANNA leads design "))
        assert len(again.structure.key_facts) == 3
        assert again.archived == Structure()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("The budget is 10k", "The budget is 12k"),
            ("The deadline is Friday", "The deadline is Monday"),
            ("Budget: 10000 USD", "Budget: 9000 USD"),
            ("The launch date of the project is 3 May", "The launch date of the project is 5 May"),
            ("We use Postgres for the ledger", "We use SQLite for the ledger"),
        ],
    )
    def test_the_newest_of_contradicting_facts_holds(self, old: str, new: str) -> None:
        result = merged(Structure(key_facts=(old,)), key_facts=(new,))
        assert result.structure.key_facts == (new,)
        assert result.archived.key_facts == (old,)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Anna leads design", "Anna is from Bern"),
            ("The API is written in Python", "The database is written in C"),
            ("Ben writes the plan", "Ben pays the invoices of May"),
            ("Service A costs 10 USD", "Service B is down"),
        ],
    )
    def test_different_facts_live_side_by_side(self, one: str, other: str) -> None:
        assert merged(Structure(key_facts=(one,)), key_facts=(other,)).structure.key_facts == (one, other)

    def test_what_the_model_calls_outdated_is_archived(self) -> None:
        result = merged(self.FACTS, outdated=("anna leads design.",))
        assert result.structure.key_facts == ("The budget is 10k", "Anna is from Bern")
        assert result.archived.key_facts == ("Anna leads design",)

    def test_an_answered_question_leaves_the_open_ones(self) -> None:
        open_ = Structure(open_questions=("Who leads the design?", "When do we start?"))
        result = merged(open_, key_facts=("Anna leads the design",))
        assert result.structure.open_questions == ("When do we start?",)
        assert result.archived.open_questions == ("Who leads the design?",)

    def test_over_the_cap_the_oldest_go_to_the_archive(self) -> None:
        topics = ("apples", "bridges", "clouds", "doors", "engines")
        result = merged(Structure(), cap=3, key_facts=tuple(f"{topic} are what {topic} do" for topic in topics))
        assert [fact.split()[0] for fact in result.structure.key_facts] == ["clouds", "doors", "engines"]
        assert [fact.split()[0] for fact in result.archived.key_facts] == ["apples", "bridges"]

    def test_blank_items_are_nothing(self) -> None:
        assert merged(Structure(), key_facts=("", " ", "...")).structure == Structure()
