"""Tests how memory keeps similar facts in three languages, with an honest summariser and with others.

`bench/retention.py` has the scorer, and scores real models with it.
"""

from functools import cache

import pytest

from bench.planted import TURNS, conversations
from bench.retention import Recorder, Score, asking_script, score, score_of, summaries_of
from bench.summarisers import HABITS, ScriptedSummariser
from shared.domain.summary import LISTS, by_list
from shared.summary.merge import COPIED_LIST, UNKNOWN_IDS, Limits
from shared.summary.policy import SummaryPolicy
from tests.unit.test_council import CATALOG

TALKS = {talk.name: talk for talk in conversations()}
BAD = tuple(habit for habit in HABITS if habit != "honest")


def asking(name: str, habit: str) -> Recorder:
    return Recorder(asking_script(ScriptedSummariser(TALKS[name], habit), CATALOG["fast"]))


@cache
def scored(name: str, habit: str) -> Score:
    return score_of(TALKS[name], asking(name, habit), SummaryPolicy())


def test_planted_facts_are_many_and_similar() -> None:
    assert len(TALKS) == 3
    for talk in TALKS.values():
        assert len(talk.turns) == TURNS == 48
        assert {each.list for each in talk.planted} == set(LISTS)
        assert len(talk.planted) == len({each.text for each in talk.planted}) == 46
        assert len([each for each in talk.planted if each.ends]) == 6


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("habit", HABITS)
def test_added_item_stays_in_memory_unless_its_id_is_closed_or_room_is_missing(name: str, habit: str) -> None:
    assert scored(name, habit).kept == scored(name, habit).added > 20
    assert scored(name, habit).lost == 0


@pytest.mark.parametrize("name", TALKS)
def test_an_honest_summariser_keeps_the_planted_facts_in_memory(name: str) -> None:
    honest = scored(name, "honest")
    assert honest.held >= 0.95 * honest.current > 0
    assert honest.over == honest.ended > 0
    assert (honest.no_room, honest.near_duplicates, honest.fallbacks) == (0, 0, 0)


@pytest.mark.parametrize("name", TALKS)
def test_other_summarisers_misbehave_by_their_names(name: str) -> None:
    """Otherwise the tests above prove nothing."""
    honest, by_habit = scored(name, "honest"), {habit: scored(name, habit) for habit in BAD}
    assert by_habit["forgets"].held < 0.6 * honest.held
    assert by_habit["repeats"].near_duplicates == 0
    assert by_habit["paraphrases"].near_duplicates > 0.5 * honest.items
    assert by_habit["contradicts"].held < 0.7 * honest.held
    assert by_habit["copies"].items > honest.items
    assert by_habit["closes all"].held == honest.held
    for habit, reason in (("copies", COPIED_LIST), ("closes all", COPIED_LIST), ("wrong ids", UNKNOWN_IDS)):
        made = summaries_of(TALKS[name], asking(name, habit), SummaryPolicy())
        assert {fallback.reason for one in made for fallback in one.fallbacks} == {reason}


@pytest.mark.parametrize("limits", [Limits(items=3), Limits(characters=300)], ids=str)
@pytest.mark.parametrize("habit", HABITS)
def test_summary_stays_within_its_limits_and_archives_the_rest(habit: str, limits: Limits) -> None:
    for name, talk in TALKS.items():
        recorder = asking(name, habit)
        made = [one.summary for one in summaries_of(talk, recorder, SummaryPolicy(limits=limits))]
        assert [summary.through_turn_index for summary in made] == [12, 24, 36, 48]
        for summary in made:
            assert all(len(texts) <= limits.items for texts in by_list(summary.items).values())
            assert sum(len(item.text) for item in summary.items) <= limits.characters
        result = score(talk, recorder.answers, made, [])
        assert result.kept == result.added
        assert (result.lost, result.no_room > 0) == (0, True)


@pytest.mark.parametrize("habit", HABITS)
def test_ids_are_unique(habit: str) -> None:
    for name, talk in TALKS.items():
        made = [one.summary for one in summaries_of(talk, asking(name, habit), SummaryPolicy())]
        texts: dict[str, str] = {}
        for item in (item for summary in made for item in (*summary.items, *summary.archive)):
            assert texts.setdefault(item.id, item.text) == item.text
        left = [item.id for summary in made for item in summary.archive]
        assert len(left) == len(set(left))
        assert not set(left) & {item.id for item in made[-1].items}
