"""Tests that the committed OpenAPI document lists each refusal and each limit of a field."""

import json
from typing import Any

import pytest

from functions.api.status import OPENAPI
from shared.names import CORS_RESPONSE_HEADERS

DOCUMENT = json.loads(OPENAPI.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def resolved(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer, or the shared answer that it refers to."""
    name = answer.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["responses"][name] if name else answer
    return found


OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (path, method, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_operation_lists_its_refusals(path: str, method: str, operation: dict[str, Any]) -> None:
    said = {
        status: set(resolved(answer)["content"]) for status, answer in operation["responses"].items() if status >= "400"
    }
    assert {"429", "431", "503"} <= said.keys()
    assert ("404" in said) == ("{" in path or path in ("/mcp", "/v1/chat/completions"))
    assert ("401" in said) == bool(operation["security"])
    assert ({"400", "413", "422"} <= said.keys()) or "requestBody" not in operation
    ours = said.keys() - {"413", "429", "431"}
    if operation["security"]:
        form = "application/json" if path.startswith("/v1/") else "application/problem+json"
        assert all(form in said[status] for status in ours)


OPERATION_IDS = """
cancelTurn createAgent createApiKey createChatCompletion createCouncil createSession deleteAgent deleteCouncil
deleteSession exportSession followTurn listAgentVersions listAgents listApiKeys listArchive listCouncils listModels
listOpenaiModels listSessions listSummaries listSuspense listTurnCalls listTurns listUsageCalls listWaitingTurns
postMcpMessage postTurn putAgent putCouncil readAgent readAllUsage readBudget readCaller readCouncil readHealth
readPlatformBudget readSession readTenantCap readTurn readTurnAudit readUsage revokeApiKey setBudget setPlatformBudget
setTenantCap updateSession
"""


def test_operation_ids_stay_the_same() -> None:
    """Generated clients name their functions after them."""
    assert sorted(operation["operationId"] for _, _, operation in OPERATIONS) == OPERATION_IDS.split()


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_operation_has_a_tag_and_a_description(path: str, method: str, operation: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert set(operation["tags"]) <= tags, f"{method} {path}"
    assert operation["description"].endswith(".")
    for answer in map(resolved, operation["responses"].values()):
        assert answer["description"] not in ("", "Successful Response")


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_parameter_has_a_description_and_an_example(path: str, method: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        assert parameter["description"].endswith("."), f"{method} {path} {parameter['name']}"
        assert parameter["schema"]["examples"], f"{method} {path} {parameter['name']}"


def has_example(field: dict[str, Any]) -> bool:
    """Whether a field has an example, in its schema or in the one that it refers to."""
    branches = [*field.get("anyOf", ()), *([field["items"]] if "items" in field else ())]
    return "$ref" in field or "examples" in field or any(map(has_example, branches))


@pytest.mark.parametrize("name", SCHEMAS)
def test_field_has_a_description_and_an_example(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["description"].endswith(".")
    for field, said in schema.get("properties", {}).items():
        # A field whose description is that of its schema has none of its own.
        assert "$ref" in said or said["description"].endswith("."), field
        assert has_example(said), field


def test_error_of_an_operation_has_one_schema_with_both_forms() -> None:
    """A generated client takes the first content type, whichever form the answer has."""
    for _, _, operation in OPERATIONS:
        for status in operation["responses"].keys() & {"401", "413", "429"}:
            content = resolved(operation["responses"][status])["content"]
            assert len({json.dumps(said["schema"]) for said in content.values()}) == 1


def test_header_that_the_api_exposes_is_in_an_answer() -> None:
    answers = [resolved(answer) for _, _, operation in OPERATIONS for answer in operation["responses"].values()]
    named = {name.lower() for answer in answers for name in answer.get("headers", ())}
    assert {name.lower() for name in CORS_RESPONSE_HEADERS} <= named


def test_document_has_no_error_schema_of_the_framework() -> None:
    assert "HTTPValidationError" not in OPENAPI.read_text()


@pytest.mark.parametrize(
    ("body", "field", "least", "most", "pattern"),
    [
        ("NewAgent", "name", 1, 64, "^[^\\x00-\\x1f\\x7f-\\x9f@`]*$"),
        ("AgentBody", "role_prompt", 1, 32_768, None),
        ("NewSession", "title", 0, 200, None),
        ("NewTurn", "message", 1, 32_000, "\\S"),
    ],
)
def test_text_field_has_its_length_and_pattern(
    body: str, field: str, least: int, most: int, pattern: str | None
) -> None:
    said = SCHEMAS[body]["properties"][field]
    assert (said["minLength"], said["maxLength"], said.get("pattern")) == (least, most, pattern)


def test_links_of_answers_name_operations_and_their_parameters() -> None:
    parameters = {
        operation["operationId"]: {given["name"] for given in operation.get("parameters", ()) if given["in"] == "path"}
        for _, _, operation in OPERATIONS
    }
    links = [
        link
        for _, _, operation in OPERATIONS
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert {parameter for link in links for parameter in link["parameters"]} == {
        "key",
        "key_id",
        "session_id",
        "turn_id",
    }
    assert all(link["parameters"].keys() <= parameters[link["operationId"]] for link in links)
