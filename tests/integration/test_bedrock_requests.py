"""Tests the requests to Bedrock: they name their call, and leave out parameters that the model refuses."""

import contextlib
import json
import re
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.domain.money import Usage
from shared.llm.bedrock import BedrockProvider
from shared.llm.port import Completion, Message
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.calls import request
from tests.support.fake_bedrock.environment import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, STAGE
from tests.support.fake_provider import Received

pytest_plugins = ["tests.support.fake_bedrock.fixtures"]

SCHEMA = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}


def said(*turns: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]


def texts(message: dict[str, Any]) -> tuple[str, list[str]]:
    return message["role"], [block["text"] for block in message["content"]]


def test_one_call_is_one_request_and_says_whose_it_is(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    completion = bedrock.complete(request("strict", temperature=0.5))
    (row,) = fake_bedrock.rows
    assert row.path == "/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
    assert row.messages == [{"role": "user", "content": [{"text": "hello there"}]}]
    assert row.parameters == {
        "system": [{"text": "You are the Writer."}],
        "inferenceConfig": {"maxTokens": 256, "temperature": 0.5},
        "requestMetadata": {"call_id": "call-1", "turn_id": "turn-1", "stage": STAGE},
    }
    assert completion == Completion(
        "succeeded", "You said: hello there", "end_turn", Usage(4 + 2, 4), provider_request_id=row.request_id
    )


def test_request_arrives_as_it_was_signed(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    arrived: list[Received] = []
    fake_bedrock.answer_with(arrived.append)
    bedrock.complete(request("strict"))
    headers, path = arrived[0].headers, arrived[0].path
    signed = re.search("SignedHeaders=([^,]+)", headers["Authorization"])
    assert signed is not None
    url, body = f"http://{headers['Host']}{path}", json.dumps(arrived[0].body).encode()
    names = {name: value for name, value in headers.items() if name.lower() in signed[1].split(";")}
    again = AWSRequest("POST", url, names, body)
    again.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), "bedrock", REGION)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert f"Credential={ACCESS_KEY_ID}/" in headers["Authorization"]
    assert headers["Accept-Encoding"] == "identity"
    assert headers["amz-sdk-request"] == "attempt=1; max=1"


def test_metadata_holds_only_what_bedrock_takes(fake_bedrock: FakeBedrock) -> None:
    with contextlib.closing(BedrockProvider("größe; 'x' (1)\x00\u2003")) as provider:
        provider.complete(request(call_id="c" * 300, turn_id="aA0 \t:_@$#=/+,-."))
    assert fake_bedrock.rows[0].parameters["requestMetadata"] == {
        "call_id": "c" * 256,
        "turn_id": "aA0 \t:_@$#=/+,-.",
        "stage": "gr--e- -x- -1---",
    }


def test_user_and_assistant_take_turns(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    conversation = said(
        ("system", "one"),
        ("user", "a"),
        ("user", "b"),
        ("assistant", "c"),
        ("system", "two"),
        ("assistant", "d"),
        ("user", "e"),
    )
    bedrock.complete(request(messages=conversation))
    (row,) = fake_bedrock.rows
    assert [texts(message) for message in row.messages] == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]
    assert row.parameters["system"] == [{"text": "one"}, {"text": "two"}]


def test_without_a_system_prompt_a_temperature_or_a_schema_none_is_sent(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider
) -> None:
    bedrock.complete(request("strict", messages=said(("user", "a"))))
    assert fake_bedrock.rows[0].parameters.keys() == {"inferenceConfig", "requestMetadata"}
    assert fake_bedrock.rows[0].parameters["inferenceConfig"] == {"maxTokens": 256}


def test_invalid_unicode_is_sent(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    bedrock.complete(request(messages=said(("user", "é \ud83d \x00 \U0001f600"))))
    assert texts(fake_bedrock.rows[0].messages[0]) == ("user", ["é \ufffd \ufffd \U0001f600"])


def test_a_schema_goes_to_a_model_that_keeps_to_it(fake_bedrock: FakeBedrock, bedrock: BedrockProvider) -> None:
    bedrock.complete(request("strict", response_schema=SCHEMA))
    text_format = fake_bedrock.rows[0].parameters["outputConfig"]["textFormat"]
    definition = text_format["structure"]["jsonSchema"]
    assert (text_format["type"], definition["name"]) == ("json_schema", "answer")
    assert json.loads(definition["schema"]) == SCHEMA


def test_a_schema_is_sent_without_what_bedrock_refuses_in_one(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider
) -> None:
    text = {"type": "string", "minLength": 1, "maxLength": 5}
    schema = {
        "type": "object",
        "properties": {
            "maxLength": text,
            "list": {"type": "array", "items": {"$ref": "#/$defs/minimum"}, "minItems": 2, "maxItems": 3},
            "either": {"anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": 9}, {"type": "null"}]},
        },
        "$defs": {"minimum": {"type": "number", "multipleOf": 2, "enum": [2, 4]}},
        "required": ["maxLength"],
        "additionalProperties": False,
    }
    bedrock.complete(request("strict", response_schema=schema))
    definition = fake_bedrock.rows[0].parameters["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(definition["schema"]) == {
        "type": "object",
        "properties": {
            "maxLength": {"type": "string"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/minimum"}},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "$defs": {"minimum": {"type": "number", "enum": [2, 4]}},
        "required": ["maxLength"],
        "additionalProperties": False,
    }
    assert text == {"type": "string", "minLength": 1, "maxLength": 5}


@pytest.mark.parametrize(
    ("alias", "inference", "fields"),
    [
        ("fast", {"maxTokens": 256}, {"thinking": {"type": "disabled"}}),
        ("deep", {"maxTokens": 256}, {"thinking": {"type": "between_tools"}}),
        ("nova", {"maxTokens": 256, "temperature": 0.5}, None),
    ],
)
def test_request_has_no_parameter_that_its_model_refuses(
    fake_bedrock: FakeBedrock, bedrock: BedrockProvider, alias: str, inference: object, fields: object
) -> None:
    bedrock.complete(request(alias, temperature=0.5, response_schema=SCHEMA))
    parameters = fake_bedrock.rows[0].parameters
    assert parameters["inferenceConfig"] == inference
    assert parameters.get("additionalModelRequestFields") == fields
    assert "outputConfig" not in parameters
