"""Plays a chat program: it sends the whole conversation with each request, without our ids."""

from typing import Any

import pytest

from shared.domain.chat import Line
from shared.errors import PantheonError
from shared.turns.conversations import ChatTurn, take_chat
from tests.support.council_room import CouncilRoom, answer, body


class ChatProgram:
    """It says what was said, oldest first: the user's words and the answers by turns."""

    def __init__(self, room: CouncilRoom) -> None:
        self.room = room
        self._number = 0

    def chat(self, *talk: str, **fields: Any) -> ChatTurn:
        """A request. Each has another hash, unless it is given."""
        self._number += 1
        *past, message = talk
        lines = [Line("assistant" if index % 2 else "user", text) for index, text in enumerate(past)]
        given = {"request_hash": self._number.to_bytes(32), "model": "writer", "lines": lines} | fields
        return ChatTurn(**{"actor": self.room.actor, "message": message, **given})

    def ask(self, *talk: str, runner: Any = None, listener: Any = None, **fields: Any) -> dict[str, Any]:
        """The turn that answers."""
        return body(take_chat(runner or self.room.runner(), self.chat(*talk, **fields), listener))

    def session(self, *talk: str, says: str = "An answer.", **fields: Any) -> str:
        """The id of the session in which the request was answered."""
        self.room.provider.enqueue(answer(says))
        return str(self.ask(*talk, **fields)["session_id"])

    def refused(self, error: type[PantheonError], *talk: str, **fields: Any) -> PantheonError:
        with pytest.raises(error) as caught:
            self.ask(*talk, **fields)
        assert type(caught.value) is error
        return caught.value

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Those that chat programs made."""
        return self.room.rows("SELECT * FROM sessions WHERE origin <> 'api' ORDER BY id")
