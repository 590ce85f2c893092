"""EventBridge's events into the sweeper, which needs nothing of them: whatever they say, it does its work.

An input is an event, as JSON.
"""

import json

from tests.fuzz.stage import invoke, stage

WORDS = ('"detail-type"', '"Scheduled Event"', '"source"', '"time"', '"detail"', "null", "{", "[", "1e400", "\\u0000")


def attempt(data: bytes) -> None:
    stage()
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return
    done = invoke("sweeper", event)
    assert done["broken"] == []
    assert done["unchecked"] == []
