"""SQS's events into the worker: a message comes back if and only if it names no turn, and the turn that waits ends
where one names it.

An input is a batch, a message a line; `{turn}`, `{waiting}` and `{tenant}` are ids that exist.
"""

import json
import re
from uuid import UUID

from shared.db.engine import database
from shared.db.turns import load_turn
from shared.domain.actor import Actor
from tests.fuzz.stage import invoke, stage
from tests.support import sqs

WORDS = (
    *('{"tenant_id": "{tenant}", "turn_id": "{waiting}"}', '"turn_id"', '"tenant_id"', "{turn}", "{waiting}", "\n"),
    *("{tenant}", "{", "}", "[", '"', "null", "1e400", "\\u0000", "\\ud83d", "01976f5e-0000-7000-8000-000000000001"),
)
# As many as the event source mapping hands over at once.
_MOST = 10
# Characters that no name of a tenant has, because the database cannot store them.
_UNHEARD = re.compile("[\x00\ud800-\udfff]")


def attempt(data: bytes) -> None:
    met = stage()
    bodies = met.named(data.decode("utf-8", "replace")).split("\n")[:_MOST]
    answer = invoke("worker", sqs.event(*bodies))
    assert answer.keys() == {"batchItemFailures"}
    back = [int(item["itemIdentifier"].removeprefix("message-")) for item in answer["batchItemFailures"]]
    named = [_named_turn(body) for body in bodies]
    assert back == [number for number, turn in enumerate(named) if turn is None], (back, named)
    if (met.tenant, met.waiting) in named:
        assert load_turn(database(), Actor.service(met.tenant), met.waiting).ended
        met.waiting = met.post_later()


def _named_turn(body: str) -> tuple[str, UUID] | None:
    """Of which tenant, and which one."""
    try:
        message = json.loads(body)
        turn_id, tenant_id = UUID(message["turn_id"]), str(message["tenant_id"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return None if _UNHEARD.search(tenant_id) else (tenant_id, turn_id)
