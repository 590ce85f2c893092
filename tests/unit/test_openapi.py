"""Tests that the committed OpenAPI document lists each refusal and each limit of a field."""

import json
from typing import Any

import pytest

from functions.api.status import OPENAPI

DOCUMENT = json.loads(OPENAPI.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (path, method, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_operation_lists_its_refusals(path: str, method: str, operation: dict[str, Any]) -> None:
    said = {status: set(answer["content"]) for status, answer in operation["responses"].items() if status >= "400"}
    assert {"429", "431", "503"} <= said.keys()
    assert ("404" in said) == ("{" in path or path in ("/mcp", "/v1/chat/completions"))
    assert ("401" in said) == bool(operation["security"])
    assert ({"400", "413", "422"} <= said.keys()) or "requestBody" not in operation
    ours = said.keys() - {"413", "429", "431"}
    if operation["security"]:
        form = "application/json" if path.startswith("/v1/") else "application/problem+json"
        assert all(form in said[status] for status in ours)


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
