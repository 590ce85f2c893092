"""Tests the schema of an answer, as each kind of server gets it."""

import pytest

from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.settings import LlmProvider
from tests.support.fake_provider import FakeProvider
from tests.support.fake_provider.calls import model, request

SCHEMA = {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 9}}, "required": ["reason"]}
UNBOUNDED = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}


@pytest.mark.parametrize(("provider", "expected"), [("openai", UNBOUNDED), ("local", SCHEMA)])
def test_schema_has_bounds_for_a_grammar_and_none_for_a_hosted_model(provider: LlmProvider, expected: object) -> None:
    with FakeProvider() as server:
        client = OpenAICompatibleProvider(server.url)
        client.complete(request(model=model(provider), response_schema=SCHEMA))
        client.complete(request(model=model(provider)))
        client.close()
        first, second = (row.parameters for row in server.rows)
    assert first["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": expected, "strict": True},
    }
    assert "response_format" not in second
