"""Tests which agents the tags of a message call."""

import time
from collections.abc import Callable, Mapping

import pytest

from shared.domain.agent import Agent
from shared.orchestration.tags import Tags, parse_tags


def roster(**names: str) -> Mapping[str, Agent]:
    return {key: Agent(key, 1, name, "A role.", "fast", 256, None, enabled=True) for key, name in names.items()}


COUNCIL = roster(writer="Writer", researcher="Researcher", critic="Devil's Advocate", planner="Émile Çelik")


def called(message: str, agents: Mapping[str, Agent] = COUNCIL) -> list[str]:
    return list(parse_tags(message, agents).agent_keys)


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ("@writer hello", ["writer"]),
        ("@Writer hello", ["writer"]),
        ("@WRITER hello", ["writer"]),
        ("hello @wRiTeR", ["writer"]),
        ("@critic", ["critic"]),
        ("@Devil's Advocate, go", ["critic"]),
        ("@devil's advocate, go", ["critic"]),
        ("@planner", ["planner"]),
        ("@Émile Çelik!", ["planner"]),
        ("@éMILE çELIK!", ["planner"]),
        ("@writer @researcher hello", ["writer", "researcher"]),
        ("@researcher @writer hello", ["researcher", "writer"]),
        ("@researcher @Writer @RESEARCHER @writer", ["researcher", "writer"]),
        ("@Devil's Advocate and @critic", ["critic"]),
        ("first line\n@writer\n\t@researcher", ["writer", "researcher"]),
    ],
)
def test_an_agent_is_called_by_key_or_name_in_any_case_in_order_and_once(message: str, keys: list[str]) -> None:
    assert parse_tags(message, COUNCIL) == Tags(tuple(keys), ())


SPACELESS = {"作家": "作家", "作家协会": "作家协会", "書き手": "書き手", "นักเขียน": "นักเขียน"}


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ("你好@writer 请回答", ["writer"]),
        ("你好@Writer，请回答", ["writer"]),
        ("你好@writer-x 请回答", []),
        ("これは@researcher。@writer", ["researcher", "writer"]),
        ("สวัสดี@writer", ["writer"]),
        ("＠writer hello", ["writer"]),
        ("你好＠writer", ["writer"]),
        ("@作家请介绍一下", ["作家"]),
        ("请@作家协会介绍一下", ["作家协会"]),
        ("@書き手さん", ["書き手"]),
        ("@นักเขียนช่วยตอบ", ["นักเขียน"]),
        ("@作家x", []),
        ("@作家-x", []),
        ("@書き手\u3099", []),
    ],
)
def test_tag_is_found_between_letters_of_a_script_without_spaces(message: str, keys: list[str]) -> None:
    assert called(message, {**COUNCIL, **roster(**SPACELESS)}) == keys


@pytest.mark.parametrize(
    "message",
    ["你好bob@writer.org", "写信给王@writer.org", "王@mail.writer-x.org", "王@writer.org。", "a＠writer", "王@@writer"],
)
def test_address_in_a_script_without_spaces_is_not_a_tag(message: str) -> None:
    assert parse_tags(message, COUNCIL) == Tags((), ())


@pytest.mark.parametrize("name", ["José", "Jose\u0301"])
@pytest.mark.parametrize("typed", ["José", "Jose\u0301", "JOSÉ", "JOSE\u0301"])
def test_tag_matches_an_accent_that_is_typed_as_its_own_character(name: str, typed: str) -> None:
    assert called(f"@{typed}, hello", roster(jose=name)) == ["jose"]
    assert called(f"@{typed}s", roster(jose=name)) == []


@pytest.mark.parametrize("before", ["", " ", "\n", "(", "[", "¿", "…", "!", "-", ",", "“", "/"])
@pytest.mark.parametrize("after", ["", " ", "\n", ")", ".", ",", "?", "!", ":", "'s view", "’s view", "”", "/", " - x"])
def test_tag_is_bounded_by_punctuation_on_either_side(before: str, after: str) -> None:
    assert parse_tags(f"{before}@writer{after}", COUNCIL) == Tags(("writer",), ())


@pytest.mark.parametrize(
    "message",
    [
        "",
        "writer",
        "hello writer",
        "mail bob@writer.org",
        "mail bob.smith@writer.org, please",
        "mail BOB+x1@WRITER.ORG",
        "mail ünal@writer.org",
        "mail 王@writer.org",
        "x_@writer",
        "7@writer",
        "a@@writer",
        "@@writer",
        "@",
        "@ writer",
        "at 5 @ noon",
    ],
)
def test_name_after_a_word_or_another_at_sign_is_not_a_tag(message: str) -> None:
    assert parse_tags(message, COUNCIL) == Tags((), ())


@pytest.mark.parametrize(
    ("message", "unknown"),
    [
        ("@writers", ["writers"]),
        ("@writer2", ["writer2"]),
        ("@writer_", ["writer_"]),
        ("@writer-in-chief", ["writer-in-chief"]),
        ("@writeré", ["writeré"]),
        ("@writer王", ["writer王"]),
        ("@Émile", ["Émile"]),
        ("@Devil's", ["Devil"]),
        ("@Nobody @nobody @NOBODY @someone", ["Nobody", "someone"]),
        ("@王五, hello", ["王五"]),
        ("@-x @.y", []),
    ],
)
def test_unknown_tag_is_listed_once_as_typed(message: str, unknown: list[str]) -> None:
    assert parse_tags(message, COUNCIL) == Tags((), tuple(unknown))


def test_tag_of_a_disabled_agent_is_unknown() -> None:
    enabled = {key: agent for key, agent in COUNCIL.items() if key != "researcher"}
    assert parse_tags("@Researcher @writer @researcher", enabled) == Tags(("writer",), ("Researcher",))


def test_tag_is_unknown_when_the_roster_is_empty() -> None:
    assert parse_tags("@writer", {}) == Tags((), ("writer",))


@pytest.mark.parametrize(
    "message",
    [
        "`@writer`",
        "say `@writer` to call one",
        "``@writer``",
        "`` ` @writer ` ``",
        "```\n@writer\n```",
        "```text\n@writer `@writer` @writer\n```",
        "`a` and `@writer`",
        "`a``b` `@writer`",
        "`` @writer ` @writer ``",
    ],
)
def test_name_between_backticks_is_not_a_tag(message: str) -> None:
    assert parse_tags(message, COUNCIL) == Tags((), ())


@pytest.mark.parametrize(
    "message",
    [
        "` @writer",
        "@writer `",
        "``` @writer",
        "`` @writer `",
        "` @writer ``",
        "`a` @writer `b`",
        "`a`@writer`b`",
        "`` ` `` @writer `",
        "```\ncode\n```\n@writer",
    ],
)
def test_tag_is_found_after_an_unclosed_run_of_backticks(message: str) -> None:
    assert called(message) == ["writer"]


def test_tag_means_the_longest_matching_name() -> None:
    agents = roster(plan="Plan", ahead="Plan Ahead", b="Plan-B")
    assert called("@Plan Ahead", agents) == ["ahead"]
    assert called("@Plan Aheadx", agents) == ["plan"]
    assert called("@Plan-B", agents) == ["b"]
    assert called("@Plan-Bx", agents) == []
    assert called("@Plan, ahead", agents) == ["plan"]


def test_tag_prefers_a_key_over_a_name_and_the_first_of_two_namesakes() -> None:
    agents = roster(one="Two", two="Anna", three="Anna", four="anna")
    assert called("@two @one @anna", agents) == ["two", "one"]


def test_name_is_matched_literally() -> None:
    agents = roster(cpp="C++ (17)", all=".*", dollar="$^")
    assert called("@C++ (17) @.* @$^", agents) == ["cpp", "all", "dollar"]
    assert called("@C+ @x", agents) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Großmeister", "@Großmeister"),
        ("Großmeister", "@GROẞMEISTER"),
        ("Großmeister", "@GROSSMEISTER"),
        ("Straßenfuß", "@STRASSENFUß"),
        ("İpek", "@İpek"),
        ("ΣΟΦΟΣ", "@σοφος"),
        ("Ǆon", "@ǆon"),
        ("K", "@\u212a"),
    ],
)
def test_letters_with_unusual_cases_are_matched(name: str, message: str) -> None:
    assert called(message, roster(a=name)) == ["a"]


def test_lookalike_letters_are_an_unknown_tag() -> None:
    # To a pattern that ignores case, the dotless i is an i.
    assert parse_tags("@wr\u0131ter", COUNCIL) == Tags((), ("wr\u0131ter",))


def test_shorter_name_is_found_when_a_longer_one_only_looks_like_the_text() -> None:
    agents = roster(tim="Tim", other="Tim Sm\u0131th", ida="Ida \u0130pek")
    assert parse_tags("@Tim Smith", agents) == Tags(("tim",), ())
    assert parse_tags("@Ida Ipek", agents) == Tags(("ida",), ())
    assert parse_tags("@T\u0131m Smith", agents) == Tags((), ("T\u0131m",))


class TestMarksAreParts:
    """Vowel signs and accents that are separate characters belong to their word."""

    def test_an_unknown_tag_is_listed_whole(self) -> None:
        assert parse_tags("@अनुवादक नमस्ते", COUNCIL).unknown == ("अनुवादक",)

    def test_a_name_does_not_end_before_a_mark(self) -> None:
        assert called("@रामायण", roster(ram="राम")) == []
        assert called("@writer\u0301", COUNCIL) == []

    def test_address_that_ends_in_a_separate_accent_is_not_a_tag(self) -> None:
        assert parse_tags("mail jose\u0301@writer.org", COUNCIL) == Tags((), ())


# Eight times the length takes eight times as long; were it the square, it would be sixty-four times.
LONGEST = 32_000
STEP = 8
QUADRATIC = 30.0


def growth(message: Callable[[int], str], agents: Mapping[str, Agent] = COUNCIL) -> float:
    """Return the time of the longest allowed message, divided by the time of an eighth of it."""
    short, long = message(LONGEST // STEP), message(LONGEST)
    return seconds(long, agents) / max(seconds(short, agents), 1e-4)


def seconds(message: str, agents: Mapping[str, Agent]) -> float:
    """Of this process's time, so that a busy machine does not count, and the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        parse_tags(message, agents)
        best = min(best, time.process_time() - started)
    return best


class TestWork:
    """Reading a message takes time in proportion to its length, whatever is in it."""

    def test_ten_thousand_tags_are_found_once_each(self) -> None:
        message = " ".join(f"@tag{number} @writer" for number in range(10_000))
        tags = parse_tags(message, COUNCIL)
        assert tags.agent_keys == ("writer",)
        assert len(tags.unknown) == 10_000

    @pytest.mark.parametrize(
        "pattern",
        [
            "@",
            "@a",
            "@a-",
            "@writer",
            "@writer-",
            "王@a-",
            "王＠",
            "@Devil's ",
            "a-",
            "`",
            "` ",
            "`a``b",
            "@`",
            "\n```",
            " ",
        ],
    )
    def test_a_long_repetition_is_read_in_linear_time(self, pattern: str) -> None:
        assert growth(lambda size: "@" + pattern * (size // len(pattern))) < QUADRATIC

    def test_runs_of_backticks_that_never_match_are_read_in_linear_time(self) -> None:
        def rising(size: int) -> str:
            runs: list[str] = []
            length = 0
            while length < size:
                runs.append("`" * (len(runs) + 1))
                length += len(runs) + 1
            return " ".join(runs)

        assert growth(rising) < QUADRATIC
        assert growth(lambda size: " ".join("`" * (1 + number % 200) for number in range(size // 101))) < QUADRATIC

    def test_message_is_read_in_linear_time_with_many_long_names(self) -> None:
        agents = roster(**{f"agent{number}": "a" * 60 + f" {number}" for number in range(32)})
        assert growth(lambda size: ("@" + "a" * 60 + " ") * (size // 62), agents) < QUADRATIC
