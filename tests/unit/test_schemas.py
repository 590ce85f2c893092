"""Tests which request bodies are accepted, and which field a refusal names."""

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from functions.agent_schemas import AgentView, NewAgent
from functions.session_schemas import NewSession, SessionChange
from functions.turn_schemas import NewTurn, ReplyView, TurnView
from shared.domain.agent import Agent
from shared.domain.turn import Reply, Turn
from shared.roster.bodies import AgentBody
from shared.roster.fields import Body

AGENT = {"key": "writer", "name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}
SESSION = {"agent_keys": ["writer"]}
TURN = {"message": "Hello."}
WHOLE: dict[type[Body], dict[str, Any]] = {NewAgent: AGENT, NewSession: SESSION, NewTurn: TURN, SessionChange: {}}

# One of each category that is refused, then marks and letters without a shape.
HIDDEN = [
    *("\u202e", "\u2066", "\u200b", "\u200c", "\u200d", "\u00ad", "\ufeff", "\U000e0041", "\ue000", "\u0378"),
    *("\ufdd0", "\U0010ffff", "\u2028", "\u2029", "\u00a0", "\u3000", "\u034f", "\u115f", "\u17b4", "\u180b"),
    *("\u2800", "\u3164", "\ufe0f", "\uffa0", "\U000e0100"),
]
UNSTORABLE = ["\x00", "a\x00b", "\ud800", "\udfff", "a\ud83d!", "😀\udc00"]


def refused(model: type[Body], **fields: object) -> list[tuple[str, str]]:
    """Return the place and kind of each fault of a body."""
    try:
        model.model_validate({**WHOLE.get(model, {}), **fields})
    except ValidationError as error:
        return [(".".join(map(str, fault["loc"])), fault["type"]) for fault in error.errors()]
    return []


def places(model: type[Body], **fields: object) -> list[str]:
    return [place for place, _ in refused(model, **fields)]


class TestDefaults:
    def test_new_agent_needs_four_fields(self) -> None:
        agent = NewAgent.model_validate(AGENT)
        assert (agent.max_output_tokens, agent.temperature, agent.enabled) == (None, None, True)
        for name in AGENT:
            with pytest.raises(ValidationError, match=name):
                NewAgent.model_validate({key: value for key, value in AGENT.items() if key != name})

    def test_new_session_needs_its_roster(self) -> None:
        session = NewSession.model_validate(SESSION)
        assert (session.title, session.mode, session.fan_out) == ("", "manual", "sequential")
        with pytest.raises(ValidationError, match="agent_keys"):
            NewSession.model_validate({})

    def test_change_of_a_session_may_be_empty(self) -> None:
        assert set(SessionChange.model_validate({}).model_dump().values()) == {None}

    def test_new_turn_needs_its_message(self) -> None:
        assert NewTurn.model_validate(TURN).model_dump() == {"message": "Hello.", "mode": None, "agent_keys": None}
        with pytest.raises(ValidationError, match="message"):
            NewTurn.model_validate({})


class TestStrictness:
    @pytest.mark.parametrize("model", WHOLE)
    def test_unknown_fields_are_refused(self, model: type[Body]) -> None:
        assert refused(model, surprise=1) == [("surprise", "extra_forbidden")]

    def test_a_replacement_takes_neither_key_nor_version(self) -> None:
        body = {name: value for name, value in AGENT.items() if name != "key"}
        assert refused(AgentBody, **body) == []
        assert refused(AgentBody, **body, key="writer", version=2) == [
            ("key", "extra_forbidden"),
            ("version", "extra_forbidden"),
        ]

    @pytest.mark.parametrize("model", WHOLE)
    @pytest.mark.parametrize("value", [None, [], "x", 1, True])
    def test_body_that_is_not_an_object_is_refused(self, model: type[Body], value: object) -> None:
        with pytest.raises(ValidationError):
            model.model_validate(value)

    @pytest.mark.parametrize(
        ("model", "field", "value"),
        [
            (NewAgent, "key", 1),
            (NewAgent, "name", 1),
            (NewAgent, "name", None),
            (NewAgent, "role_prompt", ["x"]),
            (NewAgent, "model_alias", 1),
            (NewAgent, "max_output_tokens", True),
            (NewAgent, "max_output_tokens", "256"),
            (NewAgent, "max_output_tokens", 256.0),
            (NewAgent, "temperature", True),
            (NewAgent, "temperature", "0.5"),
            (NewAgent, "enabled", 1),
            (NewAgent, "enabled", "true"),
            (NewAgent, "enabled", None),
            (NewSession, "title", 1),
            (NewSession, "mode", 1),
            (NewSession, "agent_keys", "writer"),
            (NewSession, "agent_keys", {"writer": 1}),
            (NewSession, "agent_keys", None),
            (SessionChange, "mode", True),
            (NewTurn, "message", 1),
            (NewTurn, "message", None),
            (NewTurn, "message", ["Hello."]),
        ],
    )
    def test_a_value_of_another_type_is_never_converted(self, model: type[Body], field: str, value: object) -> None:
        assert places(model, **{field: value}) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "good"),
        [
            ("max_output_tokens", None, True),
            ("max_output_tokens", 1, True),
            ("max_output_tokens", 1_000_000, True),
            ("max_output_tokens", 0, False),
            ("max_output_tokens", -1, False),
            ("max_output_tokens", 1_000_001, False),
            ("max_output_tokens", 10**400, False),
            ("temperature", None, True),
            ("temperature", 0, True),
            ("temperature", 2.0, True),
            ("temperature", 2.001, False),
            ("temperature", -0.001, False),
            ("temperature", float("nan"), False),
            ("temperature", float("inf"), False),
            ("temperature", float("-inf"), False),
        ],
    )
    def test_number_beyond_its_limits_is_refused(self, field: str, value: object, good: bool) -> None:
        assert places(NewAgent, **{field: value}) == ([] if good else [field])

    def test_nan_and_infinity_are_refused(self) -> None:
        """Python's reader takes NaN and Infinity for numbers, so the schema has to refuse them."""
        for text in ("NaN", "Infinity", "-Infinity", "1e999"):
            assert places(NewAgent, temperature=json.loads(text)) == ["temperature"]


class TestText:
    @pytest.mark.parametrize("text", UNSTORABLE)
    @pytest.mark.parametrize(
        ("model", "field"),
        [
            (NewAgent, "name"),
            (NewAgent, "role_prompt"),
            (NewSession, "title"),
            (SessionChange, "title"),
            (NewTurn, "message"),
        ],
    )
    def test_text_that_the_database_cannot_store_is_refused(self, model: type[Body], field: str, text: str) -> None:
        assert refused(model, **{field: text}) == [(field, "not_storable")]

    @pytest.mark.parametrize("text", ["a", "é", "王", "😀", "\u2028", "a\nb\tc", "\ufffd", "\U0010ffff"])
    def test_message_accepts_every_storable_text(self, text: str) -> None:
        assert NewTurn.model_validate({"message": text}).message == text

    @pytest.mark.parametrize(("model", "field", "limit"), [(NewAgent, "name", 64), (NewSession, "title", 200)])
    def test_length_limits_count_characters(self, model: type[Body], field: str, limit: int) -> None:
        assert refused(model, **{field: "é" * limit}) == []
        assert places(model, **{field: "é" * (limit + 1)}) == [field]

    @pytest.mark.parametrize("field", ["name", "role_prompt"])
    def test_an_agent_has_a_name_and_a_role(self, field: str) -> None:
        assert places(NewAgent, **{field: ""}) == [field]


class TestName:
    @pytest.mark.parametrize("name", ["W", "Émile Çelik", "Devil's Advocate", "王五", "C++ (17)", "😀", "a-b_c.d"])
    def test_name_accepts_any_line(self, name: str) -> None:
        assert refused(NewAgent, name=name) == []

    @pytest.mark.parametrize("name", ["a@b", "@writer", "`code`", "a`", "a\nb", "a\n", "\ta"])
    def test_name_that_cannot_be_tagged_is_refused(self, name: str) -> None:
        assert places(NewAgent, name=name) == ["name"]

    def test_name_with_a_control_character_is_refused(self) -> None:
        """All of them: some that are above ASCII move a terminal's cursor, or end a line, as those below do."""
        control = [chr(code) for code in range(256) if unicodedata.category(chr(code)) == "Cc"]
        assert len(control) == 65
        assert [character for character in control if not places(NewAgent, name=f"a{character}b")] == []

    @pytest.mark.parametrize("character", HIDDEN)
    def test_name_with_an_invisible_character_is_refused_with_that_character(self, character: str) -> None:
        assert refused(NewAgent, name=f"Cri{character}tic") == [("name", "not_visible")]
        with pytest.raises(ValidationError, match=f"U\\+{ord(character):04X}"):
            NewAgent.model_validate(AGENT | {"name": f"Cri{character}tic"})

    @pytest.mark.parametrize(
        ("typed", "stored"),
        [("Jose\u0301", "José"), ("\u212aarl", "Karl"), ("\u1100\u1161\u11a8", "각"), ("\u0958", "क़")],
    )
    def test_a_name_is_stored_in_nfc(self, typed: str, stored: str) -> None:
        assert NewAgent.model_validate(AGENT | {"name": typed}).name == stored
        assert NewAgent.model_validate(AGENT | {"name": stored}).name == stored

    @pytest.mark.parametrize("name", ["a\u1fef", "\u0958" * 33])
    def test_a_name_is_refused_if_nfc_makes_it_too_long_or_gives_it_a_backtick(self, name: str) -> None:
        assert refused(NewAgent, name=name) == [("name", "not_a_line")]

    @pytest.mark.parametrize("name", [" ", "\u00a0 \u3000"])
    def test_name_of_only_blanks_is_refused(self, name: str) -> None:
        assert places(NewAgent, name=name) == ["name"]


class TestKeys:
    @pytest.mark.parametrize("key", ["a", "a1", "a-b_c", "z" * 32])
    def test_short_plain_key_is_accepted(self, key: str) -> None:
        assert refused(NewAgent, key=key) == []
        assert refused(NewSession, agent_keys=[key]) == []

    @pytest.mark.parametrize("key", ["", "A", "1a", "-a", "_a", "a b", "a.b", "é", "a\n", "a\x00", "\ud800", "z" * 33])
    def test_key_of_another_form_is_refused(self, key: str) -> None:
        assert places(NewAgent, key=key) == ["key"]
        assert places(NewSession, agent_keys=["writer", key]) == ["agent_keys.1"]

    @pytest.mark.parametrize("model", [NewSession, SessionChange, NewTurn])
    def test_roster_has_1_to_32_different_agents(self, model: type[Body]) -> None:
        keys = [f"agent{number}" for number in range(33)]
        assert refused(model, agent_keys=keys[:1]) == []
        assert refused(model, agent_keys=keys[:32]) == []
        assert places(model, agent_keys=[]) == ["agent_keys"]
        assert places(model, agent_keys=keys) == ["agent_keys"]
        assert refused(model, agent_keys=["writer", "critic", "writer"]) == [("agent_keys", "repeated")]

    @pytest.mark.parametrize("mode", ["", "Manual", "chaos", "manual "])
    @pytest.mark.parametrize("model", [NewSession, SessionChange, NewTurn])
    def test_unknown_mode_is_refused(self, model: type[Body], mode: str) -> None:
        assert places(model, mode=mode) == ["mode"]


class TestViews:
    """The OpenAPI document shows views, so answers must have their fields."""

    def test_json_of_a_turn_has_the_fields_of_its_view(self) -> None:
        reply = Reply(0, "writer", 1, "Writer", "completed", "Hi.")
        turn = Turn(
            UUID(int=1), UUID(int=2), 1, "completed", "tag", "Hello.", datetime(2026, 1, 2, tzinfo=UTC), replies=[reply]
        )
        shown: dict[str, Any] = json.loads(turn.as_json())
        assert list(shown) == list(TurnView.model_fields)
        assert list(shown["replies"][0]) == list(ReplyView.model_fields)
        TurnView.model_validate_json(turn.as_json())
        # As the release before councils has stored it.
        TurnView.model_validate({name: value for name, value in shown.items() if name not in ("reviews", "standings")})

    def test_json_of_an_agent_has_the_fields_of_its_view(self) -> None:
        assert set(AgentView.model_fields) == set(Agent.__dataclass_fields__)
