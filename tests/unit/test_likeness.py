"""How statements relate. Different things must never be taken for one, whatever a better reader would merge."""

import pytest

from shared.summary.likeness import Relation, Statement, Talk, answers, relate, relate_questions

DIFFERENT = [
    ("Anna leads design", "Anna is from Bern"),
    ("Anna leads design", "Anna leads sales"),
    ("Anna speaks French", "Ben speaks French"),
    ("The API is written in Python", "The database is written in C"),
    ("Ben writes the plan", "Ben pays the invoices of May"),
    (
        "Ben will write the announcement for the festival in Bern",
        "Ben will write the contract for the festival in Bern",
    ),
    ("Service A costs 10 USD", "Service B costs 10 USD"),
    ("The price of plan A is 10 USD", "The price of plan B is 20 USD"),
    ("Service A costs 10 USD", "Service B is down"),
    ("Phase 1 starts in May", "Phase 2 starts in May"),
    ("Phase 1 costs 10k", "Phase 2 costs 20k"),
    ("Hana redraws figure 2", "Hana redraws figure 4"),
    ("The deadline for the design is Friday", "The deadline for the report is Friday"),
    ("The deadline for the design is Friday", "The deadline for the report is Monday"),
    ("The budget is 10k", "The marketing budget is 3k"),
    ("The office is in Bern", "The office is closed on Mondays"),
    ("The publisher is in Oslo", "The publisher is Lars"),
    ("Wei is the corresponding author", "Wei is on leave"),
    ("Obi has nine years of experience", "Lund has four years of experience"),
    ("Anna leads the migration", "Anna leads the migration team of another company in Basel next year"),
    ("The roof leaks", "The gutter leaks"),
    ("There are 100 chairs", "There are 10 tables"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_things_are_different(one: str, other: str) -> None:
    assert relate(Statement(one), Statement(other)) == relate(Statement(other), Statement(one)) == "differs"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The budget is 10,000 EUR", "Budget: €10k"),
        ("The budget is 10'000 euros.", "The budget is ten thousand euros"),
        ("Anna leads design", "Design is led by Anna"),
        ("We use Postgres for the ledger", "Postgres is used for the ledger."),
        ("The study has 64 participants in two arms.", "There are 64 participants in the study, in 2 arms"),
        ("The festival was moved to 21 June", "The festival takes place on 21 June"),
        ("They don't eat fish", "They do not eat any fish"),
        ("Ben sends the offer instead of Mia", "Ben, rather than Mia, sends the offer"),
        ("...", "!?"),
    ],
)
def test_the_same_thing_in_other_words_repeats(one: str, other: str) -> None:
    assert relate(Statement(one), Statement(other)) == relate(Statement(other), Statement(one)) == "repeats"


@pytest.mark.parametrize(
    ("new", "old", "relation"),
    [
        ("The saw may run until 19:00 under the house rules", "The saw may run until 19:00", "extends"),
        ("The saw may run until 19:00", "The saw may run until 19:00 under the house rules", "repeats"),
        ("The advert is out since this morning", "The advert is out", "extends"),
        ("The killer is the butler, the cook only knew", "The killer is the butler", "extends"),
    ],
)
def test_a_clause_that_is_added_extends(new: str, old: str, relation: Relation) -> None:
    assert relate(Statement(new), Statement(old)) == relation


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The budget is 10k", "The budget is 12k"),
        ("The budget is 10k", "The budget was cut to 8k because of the gutter"),
        ("The deadline is Friday", "The deadline was moved to Monday"),
        ("Budget: 10000 USD", "Budget: 9000 USD"),
        ("Four-course menu: 58 francs", "The four-course menu costs 64 CHF"),
        ("The plumber comes in week 7", "The plumber comes in week 9"),
        ("The launch date of the project is 3 May", "The launch date of the project is 5 May"),
        ("We use MySQL for the ledger", "Postgres is used for the ledger"),
        ("The worktop is oak", "The worktop is slate"),
        ("The venue is the town hall", "The venue will be the old library"),
        ("Tomasz leads the migration", "The migration is led by Ines now"),
        ("We spend four nights in Kyoto", "We spend five nights in Kyoto"),
        ("The hall has 100 chairs", "The hall has 10 chairs"),
        ("The client accepted the offer", "The client has not accepted the offer"),
    ],
)
def test_another_value_of_one_thing_contradicts(one: str, other: str) -> None:
    assert relate(Statement(one), Statement(other)) == relate(Statement(other), Statement(one)) == "contradicts"


def test_questions_do_not_contradict_each_other() -> None:
    assert relate_questions(Statement("Is it due in May?"), Statement("Is it due in June?")) == "differs"


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("Anna leads the design.", "Who leads the design?"),
        ("The launch happens in May.", "When does the launch happen?"),
        ("The budget is 10k.", "What is the budget?"),
        ("Deposit: three months of rent", "How high is the deposit?"),
        ("We serve trout in November.", "Which fish do we serve in November?"),
        ("We use Postgres for the ledger.", "Do we use Postgres or MySQL for the ledger?"),
        ("We need no licence for the pianist.", "Do we need a licence for the pianist?"),
        ("The saw may run until 19:00.", "Until what hour may the saw run?"),
    ],
)
def test_an_answer_says_all_that_was_asked_about(statement: str, question: str) -> None:
    assert answers(Statement(statement), Statement(question))


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("Anna worries about the budget.", "What is the budget?"),
        ("It is unclear who leads the design.", "Who leads the design?"),
        ("Who leads the design is not decided.", "Who leads the design?"),
        ("They discussed whether to use Postgres for the ledger.", "Do we use Postgres for the ledger?"),
        ("Anna leads sales.", "Who leads the design?"),
        ("Anything.", "Why?"),
    ],
)
def test_what_only_touches_a_question_does_not_answer_it(statement: str, question: str) -> None:
    assert not answers(Statement(statement), Statement(question))


def test_a_talk_says_what_one_of_its_sentences_says() -> None:
    talk = Talk("User: The budget is 12k, at last.\nWriter: Good. The roof will cost 3k.")
    assert talk.says(Statement("The budget is 12,000"))
    assert not talk.says(Statement("The budget is 3,000"))
    assert talk.last(frozenset({"12000"}), frozenset({"budget"})) < talk.last(frozenset({"3000"}), frozenset({"roof"}))
    assert talk.last(frozenset({"3000"}), frozenset({"budget"})) == -1


@pytest.mark.parametrize("text", ["", " ", "\x00", "😀", "a" * 20_000, "€", "'s", "1" * 5000, "no", "- ", "the the"])
def test_any_text_can_be_read(text: str) -> None:
    odd, plain = Statement(text), Statement("The budget is 10k")
    for one, other in ((odd, plain), (plain, odd), (odd, odd)):
        relate(one, other)
        relate_questions(one, other)
        answers(one, other)
    Talk(text).says(odd)
