"""The events by which API Gateway and SQS invoke the real handlers."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from local.event_source import build_sqs_event
from shared.domain.message import TurnMessage
from shared.names import API_PREFIX, API_STAGE

TENANT = "tenant-1"
_POST = json.loads((Path(__file__).parents[1] / "support/events" / "turns_post.json").read_text())
_NONE: Mapping[str, str] = MappingProxyType({})


def post_turn(session_id: UUID, message: str, key: str, *, later: bool = False, live: bool = False) -> dict[str, Any]:
    """Build POST /sessions/{session_id}/turns with an idempotency key. `live` asks for the turn's events."""
    headers = {"idempotency-key": key} | ({"prefer": "respond-async"} if later else {})
    headers |= {"accept": "text/event-stream"} if live else {}
    event = request("POST", f"/sessions/{session_id}/turns", headers, {"message": message})
    return event | {"pathParameters": {"session_id": str(session_id)}}


def follow_turn(turn_id: UUID, last_event_id: str | None) -> dict[str, Any]:
    headers = {} if last_event_id is None else {"last-event-id": last_event_id}
    return request("GET", f"/turns/{turn_id}/events", headers)


def cancel_turn(turn_id: UUID) -> dict[str, Any]:
    return request("POST", f"/turns/{turn_id}/cancel")


def delete_session(session_id: UUID) -> dict[str, Any]:
    return request("DELETE", f"/sessions/{session_id}")


def deliver(turn_id: UUID, tenant_id: str = TENANT) -> dict[str, Any]:
    """Build the worker's message for a turn."""
    return dict(build_sqs_event(TurnMessage(turn_id, tenant_id), receive_count=1))


def deliver_all(*bodies: str) -> dict[str, Any]:
    """Build a batch of messages with these bodies, numbered by their ids."""
    (record,) = deliver(UUID(int=0))["Records"]
    return {"Records": [record | {"body": body, "messageId": str(number)} for number, body in enumerate(bodies)]}


def request(
    method: str, path: str, headers: Mapping[str, str] = _NONE, body: object = None, *, role: str = "member"
) -> dict[str, Any]:
    """Build a request of a user in this role, with `body` as JSON. `path` may have a query."""
    path, _, query = path.partition("?")
    values = parse_qs(query)
    event: dict[str, Any] = json.loads(json.dumps(_POST))
    event |= {"httpMethod": method, "path": API_PREFIX + path, "pathParameters": {}}
    event |= {"multiValueQueryStringParameters": values, "body": None if body is None else json.dumps(body)}
    event |= {"queryStringParameters": {name: given[-1] for name, given in values.items()}}
    event["requestContext"] |= {"httpMethod": method, "path": f"/{API_STAGE}{API_PREFIX}{path}"}
    event["requestContext"]["authorizer"] |= {"user": "user-1", "tenant": TENANT, "roles": json.dumps([role])}
    sent = {"Content-Type": "application/json", **headers}
    return event | {"headers": sent, "multiValueHeaders": {name: [value] for name, value in sent.items()}}
