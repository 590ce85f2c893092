"""What ten conversations of 48 turns leave in memory, summarised as turns do it by a model as bad as real ones are.

`bench/retention.py` scores real models on the same conversations.
"""

from collections.abc import Sequence
from functools import cache

import pytest

from bench.bad_summariser import BadSummariser
from bench.planted import TURNS, PlantedConversation, conversations
from bench.retention import Score, all_items, asking_script, score_script, summaries_of
from shared.domain.summary import LISTS
from shared.summary.merge import Limits
from shared.summary.pipeline import Summarised
from shared.summary.policy import SummaryPolicy
from tests.unit.test_council import CATALOG

POLICY = SummaryPolicy()
TALKS = {talk.name: talk for talk in conversations()}
# As bad in as many other ways.
SEEDS = range(1, 9)


@cache
def scored(name: str, seed: int = 0, policy: SummaryPolicy = POLICY) -> Score:
    return score_script(TALKS[name], policy, CATALOG["fast"], seed)


def summarised(talk: PlantedConversation, policy: SummaryPolicy, seed: int = 0) -> list[Summarised]:
    return summaries_of(talk, asking_script(BadSummariser(talk, seed), CATALOG["fast"]), policy)


def together(scores: Sequence[Score]) -> Score:
    return sum(scores[1:], scores[0])


def test_there_are_ten_conversations_of_every_kind_of_thing() -> None:
    assert len(TALKS) >= 10
    for talk in TALKS.values():
        assert len(talk.turns) == TURNS == 48
        assert {each.list for each in talk.planted} == set(LISTS)
        kinds = {each.id: each.list for each in talk.planted}
        ended = {kinds[old] for each in talk.planted for old in each.ends}
        assert "open_questions" in ended
        assert ended & {"key_facts", "decisions"}


def test_the_summariser_is_bad() -> None:
    """Otherwise the rest would prove nothing."""
    every = together([scored(name, seed) for name in TALKS for seed in SEEDS])
    planted = sum(len(talk.planted) for talk in TALKS.values()) * len(SEEDS)
    assert every.planted < 0.8 * planted, "it forgets"
    assert every.fallbacks > len(SEEDS) * len(TALKS), "it says nothing usable"
    assert min(every.changed, every.answered) > 50, "it says otherwise, and answers"


@pytest.mark.parametrize("name", TALKS)
class TestEachConversation:
    def test_nothing_that_was_once_extracted_is_lost(self, name: str) -> None:
        assert scored(name).kept == scored(name).planted > 0

    def test_what_still_holds_is_in_memory(self, name: str) -> None:
        assert scored(name).held == scored(name).current > 0

    def test_at_most_one_item_in_twenty_is_there_twice(self, name: str) -> None:
        assert scored(name).twice <= 0.05 * scored(name).items

    def test_the_newest_of_what_contradicts_itself_is_held_and_nothing_older(self, name: str) -> None:
        assert scored(name).newest == scored(name).changed

    def test_answered_questions_are_closed(self, name: str) -> None:
        assert scored(name).closed == scored(name).answered


def test_in_eight_other_ways_of_being_bad_nothing_is_lost_and_next_to_nothing_is_wrong() -> None:
    """What is over, and comes back in words of which none was ever used for it, cannot be known again."""
    for seed in SEEDS:
        every = together([scored(name, seed) for name in TALKS])
        assert every.kept == every.planted
        assert every.twice <= 0.05 * every.items
    every = together([scored(name, seed) for name in TALKS for seed in SEEDS])
    assert every.held >= 0.99 * every.current
    assert every.newest >= 0.98 * every.changed
    assert every.closed >= 0.98 * every.answered


@pytest.mark.parametrize("limits", [Limits(), Limits(items=3), Limits(characters=300)], ids=str)
def test_every_summary_keeps_to_its_limits_and_what_overflows_is_archived(limits: Limits) -> None:
    policy = SummaryPolicy(limits=limits)
    for talk in TALKS.values():
        made = summarised(talk, policy)
        assert [one.summary.through_turn_index for one in made] == [12, 24, 36, 48]
        for one in made:
            assert all(len(getattr(one.summary.structure, name)) <= limits.items for name in LISTS)
            assert sum(map(len, all_items(one.summary.structure))) <= limits.characters
        assert scored(talk.name, 0, policy).kept == scored(talk.name, 0, policy).planted
