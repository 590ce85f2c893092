"""Every operation of the API as its OpenAPI document has it, so that a route cannot be added without being tested.
Those of OpenAI's API are apart: they are lenient, and their errors have OpenAI's form.

A parameter or a field that has no example here yet fails the tests: give it one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import functions
from shared.names import API_PREFIX

DOCUMENT: Final = json.loads((Path(functions.__file__).parent / "api" / "openapi.json").read_text())
# A valid value for each field of a body.
EXAMPLES: Final = {
    "key": "editor",
    "name": "Editor",
    "role_prompt": "You edit.",
    "model_alias": "fast",
    "max_output_tokens": 16,
    "temperature": None,
    "enabled": True,
    "title": "Edited",
    "mode": "manual",
    "agent_keys": ["writer"],
    "fan_out": "sequential",
    # A session has a roster of its own, or a council's.
    "council_key": None,
    "chair_key": "writer",
    "visibility": "private",
    "message": "hello",
    "limit_usd": "12.50",
    "allowance_usd": "2.50",
    "role": "member",
    "expires_at": "2099-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Operation:
    """`path` is relative to the API's prefix, with its parameters in braces. A council's key is `council_key`, because
    an agent and a council cannot have the same key. `fields` are those of the body, None where the operation takes
    none."""

    method: str
    path: str
    path_parameters: tuple[str, ...]
    query: tuple[str, ...]
    headers: tuple[str, ...]
    fields: tuple[str, ...] | None
    required: tuple[str, ...]
    secured: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def body(self) -> dict[str, Any]:
        """A good body."""
        examples = {**EXAMPLES, "key": "panel"} if self.path.startswith("councils") else EXAMPLES
        return {name: examples[name] for name in self.fields or ()}


def _operation(path: str, method: str, described: dict[str, Any]) -> Operation:
    def named(place: str) -> tuple[str, ...]:
        return tuple(p["name"] for p in described.get("parameters", ()) if p["in"] == place)

    content = described.get("requestBody", {}).get("content", {})
    schema = _resolved(content["application/json"]["schema"]) if content else {}
    fields = tuple(schema["properties"]) if content else None
    parameters = named("path")
    if path.startswith(f"{API_PREFIX}/councils/"):
        path, parameters = path.replace("{key}", "{council_key}"), ("council_key",)
    return Operation(
        method=method.upper(),
        path=path.removeprefix(f"{API_PREFIX}/"),
        path_parameters=parameters,
        query=named("query"),
        headers=named("header"),
        fields=fields,
        required=tuple(schema.get("required", ())),
        secured=described["security"] != [],
    )


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


OPERATIONS: Final = [
    _operation(path, method, described)
    for path, operations in DOCUMENT["paths"].items()
    for method, described in operations.items()
    if path.startswith(f"{API_PREFIX}/")
]
# tests/e2e/test_chat_refusals.py sends nonsense to these.
OPENAI_OPERATIONS: Final = [
    f"{method.upper()} {path}"
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if path.startswith("/v1/")
]
# tests/e2e/test_mcp.py speaks to this one.
OTHER_OPERATIONS: Final = [
    f"{method.upper()} {path}"
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if not path.startswith((f"{API_PREFIX}/", "/v1/"))
]
