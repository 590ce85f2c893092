"""Carrying a structure forward: what stays, what takes the place of what, and what may not come back."""

import pytest

from shared.domain.summary import LISTS, Structure, Summary
from shared.summary.merge import Limits, Merged, merge

FACTS = Structure(key_facts=("The budget is 10k", "Anna leads design", "Anna is from Bern"))
NOTHING = Structure()
LIMITS = Limits()


def merged(
    previous: Structure = NOTHING,
    outdated: tuple[str, ...] = (),
    limits: Limits = LIMITS,
    archived: Structure = NOTHING,
    said: str = "",
    **new: tuple[str, ...],
) -> Merged:
    return merge(Summary(9, "", previous, archived), Structure(**new), outdated, said, limits)


def test_what_the_model_forgets_stays() -> None:
    assert merged(FACTS) == Merged(FACTS, NOTHING)


def test_what_it_repeats_is_there_once() -> None:
    again = ("the budget is 10,000.", "Anna is leading the design", "  ANNA leads design ", "Design is led by Anna")
    assert merged(FACTS, key_facts=again) == Merged(FACTS, NOTHING)


def test_a_decision_that_was_filed_as_a_fact_is_there_once() -> None:
    held = Structure(decisions=("We use Postgres for the ledger.",))
    assert merged(held, key_facts=("We use Postgres for the ledger",)) == Merged(held, NOTHING)


def test_what_is_to_be_done_and_that_it_was_done_are_two_things() -> None:
    held = Structure(action_items=("Mira orders the toilets.",))
    both = merged(held, key_facts=("The toilets were ordered by Mira.",)).structure
    assert (both.action_items, both.key_facts) == (held.action_items, ("The toilets were ordered by Mira.",))


def test_more_detail_takes_the_place_of_less_and_less_that_of_nothing() -> None:
    longer = "Anna leads design since March"
    result = merged(FACTS, key_facts=(longer,))
    assert result.structure.key_facts == ("The budget is 10k", longer, "Anna is from Bern")
    assert result.archived.key_facts == ("Anna leads design",)
    assert merged(result.structure, key_facts=("Anna leads design",)) == Merged(result.structure, NOTHING)


class TestContradictions:
    def test_the_newest_holds_and_is_the_youngest(self) -> None:
        result = merged(FACTS, said="User: The budget is 12k now.", key_facts=("The budget is 12,000",))
        assert result.structure.key_facts == ("Anna leads design", "Anna is from Bern", "The budget is 12,000")
        assert result.archived.key_facts == ("The budget is 10k",)

    def test_a_decision_supersedes_a_fact(self) -> None:
        result = merged(FACTS, said="We raise it to 12k.", decisions=("The budget is 12k",))
        assert "The budget is 10k" in result.archived.key_facts
        assert result.structure.decisions == ("The budget is 12k",)

    def test_of_two_that_come_together_the_one_that_was_said_last_holds(self) -> None:
        said = "User: The budget is 12k.\nWriter: Good.\nUser: No, the budget is 14k."
        for new in (("The budget is 14k", "The budget is 12k"), ("The budget is 12k", "The budget is 14k")):
            result = merged(said=said, key_facts=new)
            assert result.structure.key_facts == ("The budget is 14k",)
            assert result.archived.key_facts == ("The budget is 12k",)

    def test_the_same_word_about_something_else_does_not_count_as_said_last(self) -> None:
        held = Structure(key_facts=("The shop is closed on Tuesday",))
        said = "User: The shop is closed on Monday.\nWriter: Tuesdays need a reason."
        result = merged(held, said=said, key_facts=("The shop is closed on Monday",))
        assert result.structure.key_facts == ("The shop is closed on Monday",)

    def test_a_number_that_nobody_said_takes_no_place(self) -> None:
        result = merged(FACTS, said="User: Is the budget enough?", key_facts=("The budget is 50k",))
        assert result.structure == FACTS
        assert result.archived.key_facts == ("The budget is 50k",)

    def test_a_word_that_nobody_said_may_be_a_translation(self) -> None:
        held = Structure(decisions=("The worktop is oak.",))
        result = merged(held, said="User: Die Arbeitsplatte ist aus Schiefer.", decisions=("The worktop is slate.",))
        assert result.structure.decisions == ("The worktop is slate.",)


class TestWhatIsOver:
    OVER = Structure(key_facts=("The budget is 10k",), open_questions=("Who pays?",), action_items=("Ben calls Mia.",))

    def test_the_model_alone_does_not_bring_it_back(self) -> None:
        result = merged(NOTHING, archived=self.OVER, said="User: Hello.", **self.OVER.as_dict())  # type: ignore[arg-type]
        assert result == Merged(NOTHING, NOTHING)

    def test_what_the_turns_say_again_comes_back(self) -> None:
        said = "User: Who pays? The budget is 10k again. Ben calls Mia."
        result = merged(NOTHING, archived=self.OVER, said=said, **self.OVER.as_dict())  # type: ignore[arg-type]
        assert result.structure == self.OVER

    def test_not_even_beside_a_word_that_was_said(self) -> None:
        held = Structure(decisions=("The killer is the customs officer.",))
        over = Structure(decisions=("The killer is the harbour pilot.",))
        said = "User: The killer is the customs officer, and the pilot of the harbour only knew."
        assert merged(held, archived=over, said=said, **over.as_dict()).structure == held  # type: ignore[arg-type]


class TestOutdated:
    @pytest.mark.parametrize("entry", ["Anna leads design", "anna leads design.", "- Anna leads design", "Anna leads"])
    def test_what_the_model_calls_outdated_is_archived(self, entry: str) -> None:
        result = merged(FACTS, outdated=(entry,))
        assert result.structure.key_facts == ("The budget is 10k", "Anna is from Bern")
        assert result.archived.key_facts == ("Anna leads design",)

    def test_it_does_not_come_back_in_the_same_answer(self) -> None:
        result = merged(FACTS, outdated=("Anna leads design",), key_facts=("Anna leads design.",))
        assert "Anna leads design" not in str(result.structure)

    def test_a_model_that_copies_all_there_is_says_nothing(self) -> None:
        assert merged(FACTS, outdated=FACTS.key_facts) == Merged(FACTS, NOTHING)

    def test_nothing_is_meant_by_what_is_not_known(self) -> None:
        assert merged(FACTS, outdated=("Berta leads sales", "", "...")) == Merged(FACTS, NOTHING)


class TestQuestions:
    OPEN = Structure(open_questions=("Who leads the design?", "When do we start?"))

    def test_an_answered_one_leaves(self) -> None:
        result = merged(self.OPEN, key_facts=("Anna leads the design",))
        assert result.structure.open_questions == ("When do we start?",)
        assert result.archived.open_questions == ("Who leads the design?",)

    def test_one_that_comes_with_its_answer_is_not_open(self) -> None:
        question = ("Which fish do we serve in May?",)
        result = merged(
            said="Which fish do we serve in May? Trout.", key_facts=("We serve trout in May.",), open_questions=question
        )
        assert (result.structure.open_questions, result.archived.open_questions) == ((), question)

    def test_one_that_is_answered_already_is_open_if_it_was_asked_now(self) -> None:
        question = ("Who leads the design?",)
        assert merged(FACTS, open_questions=question).structure.open_questions == ()
        asked = merged(FACTS, said="User: Who leads the design, now that she is gone?", open_questions=question)
        assert asked.structure.open_questions == question

    def test_two_that_are_alike_but_for_a_name_stay_two(self) -> None:
        both = ("What is the budget for May?", "What is the budget for June?")
        assert merged(open_questions=both).structure.open_questions == both

    def test_a_question_is_asked_once(self) -> None:
        result = merged(self.OPEN, open_questions=("Who is leading the design?", "When will we start?"))
        assert result == Merged(self.OPEN, NOTHING)


class TestLimits:
    TOPICS = tuple(f"{topic} are what {topic} do" for topic in ("apples", "bridges", "clouds", "doors", "engines"))

    def test_over_the_cap_the_oldest_go_to_the_archive(self) -> None:
        result = merged(limits=Limits(items=3), key_facts=self.TOPICS)
        assert (result.structure.key_facts, result.archived.key_facts) == (self.TOPICS[2:], self.TOPICS[:2])

    def test_over_the_size_the_oldest_of_the_longest_list_go(self) -> None:
        decisions = ("We meet on Monday",)
        result = merged(limits=Limits(characters=70), key_facts=self.TOPICS, decisions=decisions)
        assert (result.structure.key_facts, result.structure.decisions) == (self.TOPICS[3:], decisions)
        assert result.archived.key_facts == self.TOPICS[:3]

    def test_an_item_that_is_larger_than_everything_leaves_nothing_behind(self) -> None:
        result = merged(limits=Limits(characters=10), key_facts=self.TOPICS[:1])
        assert (result.structure, result.archived.key_facts) == (NOTHING, self.TOPICS[:1])


@pytest.mark.parametrize("name", LISTS)
def test_blank_items_and_words_for_nothing_are_nothing(name: str) -> None:
    new = NOTHING.having(name, ("", " ", "...", "None", "N/A.", "nothing"))
    assert merge(Summary(9, "", NOTHING), new, (), "", LIMITS) == Merged(NOTHING, NOTHING)
