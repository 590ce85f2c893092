"""Many processes that each post a turn of one tenant at the same moment; to be killed together.

    python -m tests.support.crowd      with the tenant and its sessions on standard input, and a function's environment

Each process prints one line. `asked` means that its second call is with the provider, which never answers that call.
`ended` means that its turn was published without it. `refused` means that the budget refused its first call.
"""

import json
import os
import signal
import sys
from uuid import UUID

from shared.db.engine import Database
from shared.domain.money import Usage
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, OnText, Request
from shared.settings import settings
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn
from tests.support.council_room import AMPLE_S, answer

MESSAGE = "@writer @critic hello"


class _Provider:
    """Answers once."""

    def __init__(self) -> None:
        self._asked = False

    def complete(self, _: Request, _on_text: OnText | None = None) -> Completion:
        if self._asked:
            _say("asked")
            signal.pause()
        self._asked = True
        # Within what is held for it: the reserve is for such a prompt and no longer answer.
        return answer(usage=Usage(input_tokens=60, output_tokens=100))


def main() -> None:
    tenant_id, session_ids = json.load(sys.stdin)
    ready, go = os.pipe()
    for session_id in session_ids:
        if os.fork() == 0:
            os.close(go)
            _post(tenant_id, UUID(session_id), ready)
            os._exit(0)
    # Closing it lets all of them go at once.
    os.close(ready)
    os.close(go)
    for _ in session_ids:
        os.wait()


def _post(tenant_id: str, session_id: UUID, ready: int) -> None:
    runner = Runner(Database(settings().app_database_url), _Provider(), lambda: AMPLE_S)
    os.read(ready, 1)
    try:
        take_turn(runner, TurnRequest(tenant_id, "user-1", session_id, MESSAGE))
    except BudgetExceeded:
        _say("refused")
    else:
        _say("ended")


def _say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    main()
