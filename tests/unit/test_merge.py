"""Tests that items of memory are carried forward by their ids, in every language."""

import json
from typing import Any

import pytest

from shared.domain.summary import LETTERS, LISTS, Archived, Item, Summary, by_list, stored_items
from shared.summary.answer import Changes, read_id
from shared.summary.merge import COPIED_LIST, UNKNOWN_IDS, Limits, Merged, merge, same

FACTS, QUESTIONS = "key_facts", "open_questions"
HOUSES = {
    "English": "The vault code of house {0:03} is 7{0:03}.",
    "German": "Der Tresorcode von Haus {0:03} ist 7{0:03}.",
    "Japanese": "{0:03}号館の金庫の暗証番号は7{0:03}です。",
    "Arabic": "رمز خزنة المنزل {0:03} هو 7{0:03}.",
}


def memory(*texts: str, name: str = FACTS, turn_index: int = 12) -> Summary:
    items = tuple(Item(f"{LETTERS[name]}{n}", name, text, turn_index) for n, text in enumerate(texts, 1))
    return Summary(turn_index, "", items, {name: len(texts)})


def carry(previous: Summary, limits: Limits = Limits(), **answer: Any) -> Merged:  # noqa: B008 a frozen value
    """Merge an answer as a model writes it, at the end of turn 24."""
    return merge(previous, Changes.model_validate_json(json.dumps({"add": {}, **answer})), 24, limits)


def texts(merged: Merged, name: str = FACTS) -> list[str]:
    return by_list(merged.items)[name]


def left(merged: Merged) -> list[tuple[str, str, str | None]]:
    return [(item.id, item.reason, item.successor) for item in merged.archive]


def test_added_item_has_the_next_number_of_its_list_and_its_turn() -> None:
    merged = carry(memory("It starts in May."), add={FACTS: ["We are ten."], QUESTIONS: ["Who pays?"]})
    assert merged.items[1:] == (
        Item("F2", FACTS, "We are ten.", 24),
        Item("Q1", QUESTIONS, "Who pays?", 24),
    )
    assert merged.last_numbers == {FACTS: 2, "decisions": 0, QUESTIONS: 1, "action_items": 0}
    assert (merged.archive, merged.ignored) == ((), ())


def test_number_of_a_removed_item_is_not_used_again() -> None:
    closed = carry(memory("It starts in May."), close=[{"id": "F1", "reason": "outdated"}])
    again = Summary(24, "", closed.items, closed.last_numbers)
    assert carry(again, add={FACTS: ["It starts in May."]}).items == (Item("F2", FACTS, "It starts in May.", 24),)


@pytest.mark.parametrize("language", HOUSES)
def test_similar_facts_are_all_kept(language: str) -> None:
    codes = [HOUSES[language].format(house) for house in range(30)]
    merged = carry(memory(*codes[:15]), add={FACTS: codes[15:]})
    assert texts(merged) == codes
    assert merged.archive == ()


@pytest.mark.parametrize(
    ("held", "added"),
    [
        ("Anna leads the design.", "anna  leads the\ndesign"),
        ("Who pays?", "WHO PAYS??"),
        ("Die Straße ist gesperrt.", "DIE STRASSE IST GESPERRT!"),
        ("Müller zahlt.", "Mu\u0308ller zahlt"),
        ("会議は１２時です。", "会議は12時です"),
        ("ﾃｽﾄは終わりました！", "テストは終わりました"),
        ("من يدفع؟", "من يدفع"),
        ("ﻣﻦ يدفع؟", "من   يدفع؟"),
    ],
)
def test_an_exact_repeat_is_not_added(held: str, added: str) -> None:
    merged = carry(memory(held), add={FACTS: [added]})
    assert (texts(merged), merged.last_numbers[FACTS]) == ([held], 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The discount is 5%.", "The discount is 5."),
        ("We write it in C#.", "We write it in C."),
        ("It is -5 degrees.", "It is 5 degrees."),
        ("Das Haus hat 10 Zimmer.", "Das Haus hat 12 Zimmer."),
        ("会議は火曜日です。", "会議は水曜日です。"),
        ("الموعد يوم الأحد.", "الموعد يوم الاثنين."),
    ],
)
def test_text_that_differs_in_one_character_is_added(one: str, other: str) -> None:
    assert same(one) != same(other)


def test_same_text_is_added_to_two_lists() -> None:
    merged = carry(memory("The firm pays."), add={QUESTIONS: ["The firm pays?"]})
    assert [item.id for item in merged.items] == ["F1", "Q1"]


def test_a_repeat_within_one_answer_is_added_once() -> None:
    assert texts(carry(Summary(0, ""), add={FACTS: ["We are ten.", "we are ten"]})) == ["We are ten."]


@pytest.mark.parametrize("blank", ["", "  ", "- ", "-", "•", "3)", "。", "..."])
def test_a_blank_item_is_not_added(blank: str) -> None:
    assert carry(Summary(0, ""), add={FACTS: [blank]}).items == ()


def test_a_replaced_item_is_archived_with_the_new_one_as_its_successor() -> None:
    merged = carry(memory("It costs 10.", "We are ten."), replace=[{"id": "F1", "text": "It costs 12."}])
    assert merged.items == (Item("F2", FACTS, "We are ten.", 12), Item("F3", FACTS, "It costs 12.", 24))
    assert merged.archive == (Archived("F1", FACTS, "It costs 10.", 12, "replaced", "F3"),)


@pytest.mark.parametrize(
    ("text", "ids", "archived"),
    [
        ("it costs 10", ["F1", "F2"], []),
        ("We are ten.", ["F2"], [("F1", "replaced", "F2")]),
        ("", ["F1", "F2"], []),
    ],
    ids=["by itself", "by another item", "by nothing"],
)
def test_a_replacement_that_repeats_a_held_item_adds_none(text: str, ids: list[str], archived: object) -> None:
    merged = carry(memory("It costs 10.", "We are ten."), replace=[{"id": "F1", "text": text}])
    assert [item.id for item in merged.items] == ids
    assert (left(merged), merged.ignored) == (archived, ())


def test_an_item_that_is_replaced_twice_loses_neither_text() -> None:
    twice = [{"id": "F1", "text": "It costs 12."}, {"id": "F1", "text": "It costs 14."}]
    merged = carry(memory("It costs 10."), replace=twice)
    assert texts(merged) == ["It costs 12.", "It costs 14."]
    assert (left(merged), merged.ignored) == ([("F1", "replaced", "F2")], ())


def test_an_item_that_is_replaced_and_closed_is_replaced() -> None:
    merged = carry(
        memory("It costs 10."),
        replace=[{"id": "F1", "text": "It costs 12."}],
        close=[{"id": "F1", "reason": "outdated"}],
    )
    assert left(merged) == [("F1", "replaced", "F2")]


@pytest.mark.parametrize("reason", ["answered", "done", "outdated"])
def test_a_closed_item_is_archived_with_the_reason_of_the_model(reason: str) -> None:
    merged = carry(memory("Who pays?", "Who drives?", name=QUESTIONS), close=[{"id": "Q2", "reason": reason}])
    assert texts(merged, QUESTIONS) == ["Who pays?"]
    assert left(merged) == [("Q2", reason, None)]


@pytest.mark.parametrize("reason", ["Outdated ", "resolved", "erledigt"])
def test_a_reason_that_is_not_known_counts_as_outdated(reason: str) -> None:
    assert left(carry(memory("It is May."), close=[{"id": "F1", "reason": reason}])) == [("F1", "outdated", None)]


def test_a_duplicate_is_archived_with_the_item_that_it_repeats() -> None:
    merged = carry(memory("We are ten.", "Ten of us."), close=[{"id": "F2", "reason": "duplicate", "of": "F1"}])
    assert (left(merged), merged.ignored) == ([("F2", "duplicate", "F1")], ())


@pytest.mark.parametrize("of", [None, "", "F2", "F9", "Q1", "the first one"])
def test_a_duplicate_of_no_other_item_stays_and_is_reported(of: str | None) -> None:
    merged = carry(memory("We are ten.", "Ten of us."), close=[{"id": "F2", "reason": "duplicate", "of": of}])
    assert texts(merged) == ["We are ten.", "Ten of us."]
    assert (merged.archive, merged.ignored) == ((), (UNKNOWN_IDS,))


def test_one_item_stays_when_two_are_duplicates_of_each_other() -> None:
    each = [{"id": "F1", "reason": "duplicate", "of": "F2"}, {"id": "F2", "reason": "duplicate", "of": "F1"}]
    merged = carry(memory("We are ten.", "Ten of us."), close=each)
    assert (texts(merged), left(merged)) == (["Ten of us."], [("F1", "duplicate", "F2")])


@pytest.mark.parametrize("id_", ["F9", "Q1", "", "1", "May", "F", "house 1", "F1x"])
def test_an_unknown_id_closes_nothing_and_is_reported(id_: str) -> None:
    merged = carry(memory("It is May."), close=[{"id": id_, "reason": "outdated"}], add={FACTS: ["We are ten."]})
    assert texts(merged) == ["It is May.", "We are ten."]
    assert (merged.archive, merged.ignored) == ((), (UNKNOWN_IDS,))


@pytest.mark.parametrize(("id_", "kept"), [("F9", ["It is May.", "We are ten."]), ("house 1", ["It is May."])])
def test_the_text_for_an_unknown_id_is_kept_if_the_id_names_a_list(id_: str, kept: list[str]) -> None:
    merged = carry(memory("It is May."), replace=[{"id": id_, "text": "We are ten."}])
    assert (texts(merged), merged.archive, merged.ignored) == (kept, (), (UNKNOWN_IDS,))


@pytest.mark.parametrize(
    "spelled",
    ["F12", "f12", "[F12]", "[f12]", "f12.", " F12 ", "F012", "Ｆ１２", "F١٢", "F12: It", "F12: " + "a" * 500],
)
def test_id_is_read_in_each_spelling_of_models(spelled: str) -> None:
    assert read_id(spelled) == "F12"


@pytest.mark.parametrize(("closed", "copied"), [(4, False), (5, True)])
def test_an_answer_that_closes_more_than_four_fifths_of_five_items_is_a_copied_list(closed: int, copied: bool) -> None:
    held = memory(*[f"House {n}." for n in range(5)])
    closings = [{"id": f"F{n}", "reason": "outdated"} for n in range(1, closed + 1)]
    merged = carry(held, close=closings, add={FACTS: ["House 5."]})
    assert len(merged.archive) == (0 if copied else closed)
    assert merged.ignored == ((COPIED_LIST,) if copied else ())
    assert texts(merged)[-1] == "House 5."


def test_answer_that_closes_all_of_four_items_is_accepted() -> None:
    held = memory(*[f"House {n}." for n in range(4)])
    assert carry(held, close=[{"id": f"F{n}", "reason": "done"} for n in range(1, 5)]).items == ()


def test_oldest_item_of_a_full_list_is_archived() -> None:
    merged = carry(memory("One.", "Two."), Limits(items=2), add={FACTS: ["Three."], QUESTIONS: ["Four?"]})
    assert (texts(merged), texts(merged, QUESTIONS)) == (["Two.", "Three."], ["Four?"])
    assert left(merged) == [("F1", "no_room", None)]


def test_item_of_the_longest_list_is_archived_when_the_lists_together_are_too_long() -> None:
    held = memory("a" * 50, "b" * 50)
    merged = carry(held, Limits(characters=100), add={QUESTIONS: ["Who pays?"]})
    assert (texts(merged), texts(merged, QUESTIONS)) == (["b" * 50], ["Who pays?"])


LEGACY = {
    "through_turn_index": 12,
    "items": None,
    "last_numbers": None,
    "key_facts": ["It is May.", "We are ten."],
    "decisions": [],
    "open_questions": ["Who pays?"],
    "action_items": [],
}


def test_a_summary_of_the_release_before_gets_ids_when_it_is_read() -> None:
    items, numbers = stored_items(LEGACY)
    assert [(item.id, item.text, item.turn_index) for item in items] == [
        ("F1", "It is May.", 12),
        ("F2", "We are ten.", 12),
        ("Q1", "Who pays?", 12),
    ]
    assert numbers == dict(zip(LISTS, (2, 0, 1, 0), strict=True))


def test_ids_go_on_from_the_numbers_of_an_older_summary() -> None:
    items, numbers = stored_items({**LEGACY, "last_numbers": {FACTS: 7, "decisions": 3}})
    assert [item.id for item in items] == ["F8", "F9", "Q1"]
    assert numbers == dict(zip(LISTS, (9, 3, 1, 0), strict=True))


def test_stored_items_keep_their_ids() -> None:
    stored = [{"id": "F3", "list": FACTS, "text": "It is May.", "turn_index": 4}]
    items, numbers = stored_items({**LEGACY, "items": stored, "last_numbers": {FACTS: 5}})
    assert items == (Item("F3", FACTS, "It is May.", 4),)
    assert numbers[FACTS] == 5
