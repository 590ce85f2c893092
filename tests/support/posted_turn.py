"""Posts a turn to the real handler of the turns function, with a council room's database and provider."""

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from local.gateway.worker import LambdaContext
from shared.db.engine import Database
from tests.support.council_room import AMPLE_S, CouncilRoom
from tests.support.gateway import request


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def post_turn(
    room: CouncilRoom,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    *,
    db: Database | None = None,
    key: str | None = None,
) -> Answered:
    """Post a turn as the room's tenant, over `db` or the room's own connection, with `key` as its idempotency key."""
    # Here, and not on top: importing a handler takes hold of the process's event loop.
    from functions.turns import handler

    monkeypatch.setattr(handler, "database", lambda: db or room.db)
    monkeypatch.setattr(handler, "provider", lambda: room.provider)
    path = f"/api/v1/sessions/{room.session_id}/turns"
    headers = {"idempotency-key": key} if key else {}
    posted = request("POST", path, {"message": message}, headers=headers)
    posted["requestContext"]["authorizer"] |= {"user": "user-1", "tenant": room.tenant_id}
    answer = handler.handler(posted, LambdaContext("turns", "request-1", time.monotonic() + AMPLE_S))
    return Answered(answer["statusCode"], answer["headers"], json.loads(answer["body"]))
