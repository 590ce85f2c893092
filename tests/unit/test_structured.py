"""Tests how a model's answer is read when JSON was asked for."""

import json
import logging

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.domain.turn import Fallback
from shared.llm.port import Completion
from shared.llm.schema import schema_of, without_bounds
from shared.llm.structured import MAX_DEPTH, parse
from shared.orchestration.routing import Decision
from shared.summary.answer import Changes
from tests.support.model_answers import DECISION, FAILURES, ROUTING, SENTINEL, STRUCTURE, Answer, readable

# Calls that failed are not parsed, and the parser does not check whom a decision names.
PARSED = {
    name: answer
    for name, answer in ROUTING.items()
    if name not in FAILURES and answer.reason in (None, "invalid_json", "invalid_schema", "max_tokens")
}


def read(completion: Completion) -> Decision | str:
    """The decision, or the reason of the fallback."""
    decision, fallbacks = parse(Decision, completion, "routing", 3)
    assert {(fallback.component, fallback.step) for fallback in fallbacks} <= {("routing", 3)}
    return decision or fallbacks[0].reason


@pytest.mark.parametrize("answer", PARSED.values(), ids=PARSED)
def test_answer_is_read_or_has_the_reason_of_a_fallback(answer: Answer) -> None:
    (completion,) = answer.attempts
    found = read(completion)
    assert (None if isinstance(found, Decision) else found) == answer.reason


@pytest.mark.parametrize("answer", readable(DECISION).values(), ids=readable(DECISION))
def test_object_is_found_in_surrounding_text(answer: Answer) -> None:
    (completion,) = answer.attempts
    decision = read(completion)
    assert isinstance(decision, Decision)
    assert decision.selected_agent_keys == ["writer", "critic"]


@pytest.mark.parametrize("answer", [answer for name, answer in STRUCTURE.items() if name not in FAILURES])
def test_changes_are_read_or_have_the_reason_of_a_fallback(answer: Answer) -> None:
    (completion,) = answer.attempts
    changes, fallbacks = parse(Changes, completion, "summary_structure", 1)
    reason = answer.reason
    assert fallbacks == ((Fallback("summary_structure", reason, 1),) if reason else ())
    assert (changes is not None) == (reason is None or reason.startswith("invalid_field:"))


def test_last_object_of_the_schema_is_the_answer() -> None:
    draft, final, other = '{"selected_agent_keys": ["a"]}', '{"selected_agent_keys": ["b"]}', '{"mood": "good"}'
    text = f"{draft} Better: ```json\n{final}\n``` {other} {{}}"
    assert read(Completion("succeeded", text, "end_turn")) == Decision(selected_agent_keys=["b"])


@pytest.mark.parametrize(
    "text",
    [
        '{"note": none, "rejected": {"selected_agent_keys": ["a"]}}',
        '{ // comment\n"rejected": {"selected_agent_keys": ["a"]}}',
        '{"rejected":{"selected_agent_keys": ["a"]}, "chosen": [',
        '{"rejected": [{"selected_agent_keys": ["a"]}, none]}',
    ],
)
def test_part_of_a_broken_object_is_not_an_answer(text: str) -> None:
    assert read(Completion("succeeded", text, "end_turn")) == "invalid_json"


@pytest.mark.parametrize(("broken", "is_read"), [(63, True), (64, False)])
def test_an_answer_behind_many_broken_objects_is_not_looked_for(broken: int, *, is_read: bool) -> None:
    found = read(Completion("succeeded", '{"a" b} ' * broken + DECISION, "end_turn"))
    assert isinstance(found, Decision) == is_read


def test_trailing_comma_within_a_text_is_kept() -> None:
    text = '{"selected_agent_keys": ["a,]", "b\\",}",], }'
    assert read(Completion("succeeded", text, "end_turn")) == Decision(selected_agent_keys=["a,]", 'b",}'])


@pytest.mark.parametrize(("value", "keys"), [("a", ["a"]), (["a", 1, None, "b"], ["a", "b"])])
def test_a_list_is_read_in_part_and_the_field_is_named(value: object, keys: list[str]) -> None:
    text = json.dumps({"selected_agent_keys": value})
    decision, fallbacks = parse(Decision, Completion("succeeded", text, "end_turn"), "routing", 3)
    assert decision == Decision(selected_agent_keys=keys)
    assert fallbacks == (Fallback("routing", "invalid_field:selected_agent_keys", 3),)


def test_value_of_our_own_is_validated_strictly() -> None:
    for model, value in ((Decision, {"selected_agent_keys": "a"}), (Changes, {"close": None})):
        with pytest.raises(ValidationError):
            model.model_validate(value)


def test_escaped_characters_become_storable() -> None:
    written = json.dumps({"selected_agent_keys": ["a\x00b", "c\ud83dd", "👍"], "reason": "\\u0000 \udc4d"})
    assert written.isascii()
    decision = read(Completion("succeeded", written, "end_turn"))
    assert decision == Decision(selected_agent_keys=["a\ufffdb", "c\ufffdd", "👍"], reason="\\u0000 \ufffd")


@pytest.mark.parametrize("cut", range(len(DECISION)))
def test_answer_that_was_cut_off_is_a_fallback_with_that_reason(cut: int) -> None:
    assert read(Completion("succeeded", DECISION[:cut], "max_tokens")) == "max_tokens"
    assert read(Completion("succeeded", DECISION[:cut], "end_turn")) == "invalid_json"


def test_text_of_a_model_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    spoken = [answer.attempts[0] for answer in PARSED.values() if SENTINEL in answer.attempts[0].text]
    for completion in spoken:
        read(completion)
    assert len(spoken) == 4
    assert SENTINEL not in "\n".join(str(vars(record)) for record in caplog.records)
    said = sorted(record.message for record in caplog.records)
    assert said == ["answer of the wrong shape"] * 2 + ["answer without a JSON object"] * 2


def test_a_field_name_that_a_model_made_up_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")

    value, fallbacks = parse(Closed, Completion("succeeded", f'{{"{SENTINEL}": 1}}', "end_turn"), "x", 0)
    assert (value, fallbacks) == (None, (Fallback("x", "invalid_schema", 0),))
    assert SENTINEL not in "\n".join(str(vars(record)) for record in caplog.records)


def test_schema_is_closed_and_requires_every_field() -> None:
    schema = schema_of(Decision)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["selected_agent_keys", "reason"]


def test_parts_of_a_schema_are_closed_and_have_no_defaults() -> None:
    schema = schema_of(Changes)
    assert schema["required"] == ["add", "replace", "close"]
    for part in schema["$defs"].values():
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    assert '"default"' not in json.dumps(schema)
    assert '"description"' not in json.dumps(schema)


def test_schema_for_hosted_providers_has_no_bounds_and_requires_every_property() -> None:
    bounded = {
        "type": "object",
        "properties": {"maxItems": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 9}}},
        "anyOf": [{"minimum": 1, "type": "integer"}],
    }
    assert without_bounds(bounded) == {
        "type": "object",
        "properties": {"maxItems": {"type": "array", "items": {"type": "string"}}},
        "anyOf": [{"type": "integer"}],
    }


def test_answer_is_read_to_the_depth_of_our_schemas() -> None:
    def nested(depth: int) -> Completion:
        """Return an object of `depth` levels, itself included."""
        lists = "[" * (depth - 1) + "1" + "]" * (depth - 1)
        return Completion("succeeded", f'{{"selected_agent_keys": [], "x": {lists}}}', "end_turn")

    assert isinstance(read(nested(MAX_DEPTH)), Decision)
    assert read(nested(MAX_DEPTH + 1)) == "invalid_json"
