"""What a model can write where JSON was asked for, and what becomes of it."""

import json
import logging

import pytest
from pydantic import BaseModel, ConfigDict

from shared.domain.turn import Fallback
from shared.llm.port import Completion
from shared.llm.schema import schema_of, without_bounds
from shared.llm.structured import parse
from shared.orchestration.routing import Decision

GOOD = '{"selected_agent_keys": ["writer", "critic"], "reason": "They know."}'
SECRET = "SENTINEL-7c1f"


def read(text: str, stop_reason: str = "end_turn") -> Decision | str:
    """The decision, or the reason of the fallback."""
    result = parse(Decision, Completion("succeeded", text, stop_reason), "routing", 3)
    if isinstance(result, Fallback):
        assert (result.component, result.step) == ("routing", 3)
        return result.reason
    return result


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\n\n  {GOOD}  \n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Sure! Here is the plan: {GOOD}",
        f"{GOOD}\nI hope that helps.",
        f"```json\n{GOOD}\n``` ",
        json.dumps(json.loads(GOOD), indent=4),
        '{"reason": "They know.", "selected_agent_keys": ["writer", "critic"], "confidence": 0.9}',
        '{"selected_agent_keys": ["writer", "critic"], "reason": "They\tknow."}'.replace("\t", " "),
    ],
)
def test_one_object_is_found_whatever_stands_around_it(text: str) -> None:
    decision = read(text)
    assert isinstance(decision, Decision)
    assert decision.selected_agent_keys == ["writer", "critic"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid_json"),
        ("writer, critic", "invalid_json"),
        ("[]", "invalid_json"),
        ('["writer"]', "invalid_json"),
        ("null", "invalid_json"),
        ("<html><body>502</body></html>", "invalid_json"),
        (f"{GOOD}{GOOD}", "invalid_json"),
        (f"{GOOD}\n{GOOD}", "invalid_json"),
        ("{" * 100_000, "invalid_json"),
        ('{"a":' * 5_000, "invalid_json"),
        ("{'selected_agent_keys': ['writer']}", "invalid_json"),
        ('{"selected_agent_keys": ["writer",]}', "invalid_json"),
        ("{}", "invalid_schema"),
        ('{"reason": "x"}', "invalid_schema"),
        ('{"Selected_Agent_Keys": ["writer"]}', "invalid_schema"),
        ('{"plan": {"selected_agent_keys": ["writer"]}}', "invalid_schema"),
        ('{"selected_agent_keys": "writer"}', "invalid_schema"),
        ('{"selected_agent_keys": null}', "invalid_schema"),
        ('{"selected_agent_keys": 7}', "invalid_schema"),
        ('{"selected_agent_keys": [1, 2]}', "invalid_schema"),
        ('{"selected_agent_keys": [["writer"]]}', "invalid_schema"),
        ('{"selected_agent_keys": {"0": "writer"}}', "invalid_schema"),
        ('{"selected_agent_keys": ["writer"], "reason": 5}', "invalid_schema"),
        ('{"selected_agent_keys": ["writer"], "reason": null}', "invalid_schema"),
        ('{"selected_agent_keys": NaN}', "invalid_schema"),
    ],
)
def test_anything_else_is_a_fallback_with_its_reason(text: str, reason: str) -> None:
    assert read(text) == reason


@pytest.mark.parametrize("cut", range(1, len(GOOD), 7))
def test_an_answer_that_was_cut_off_says_so(cut: int) -> None:
    assert read(GOOD[:cut], "max_tokens") == "max_tokens"
    assert read(GOOD[:cut]) == "invalid_json"


def test_what_a_model_wrote_reaches_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for text in (f'{{"selected_agent_keys": "{SECRET}"}}', f'{{"{SECRET}": 1}}', f"{{{SECRET}", SECRET):
        read(text)
    assert SECRET not in "\n".join(str(vars(record)) for record in caplog.records)
    assert [record.message for record in caplog.records] == ["answer of the wrong shape"] * 2


def test_a_field_name_that_a_model_made_up_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")

    assert isinstance(parse(Closed, Completion("succeeded", f'{{"{SECRET}": 1}}', "end_turn"), "x", 0), Fallback)
    assert SECRET not in "\n".join(str(vars(record)) for record in caplog.records)


def test_the_schema_is_closed_and_asks_for_every_field() -> None:
    schema = schema_of(Decision)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["selected_agent_keys", "reason"]


def test_hosted_providers_get_no_bounds_and_every_property() -> None:
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
