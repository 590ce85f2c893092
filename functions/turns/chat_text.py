"""The text of a reply as a chat program has it: what was sent cannot be taken back.

An attempt that breaks off may have sent text. If the next attempt says the same so far, its text goes on where the
sent text ends. Otherwise a line says that the answer begins again, and the whole new text follows.
"""

from typing import Final

AGAIN: Final = "\n\n*(This answer broke off. It begins again.)*\n\n"
BROKE_OFF: Final = "\n\n*(This answer broke off.)*"


class SentText:
    """A text that grows. `add` and `complete` return the piece to send, '' for none."""

    def __init__(self) -> None:
        # What was sent since the text began, or began again.
        self._sent: list[str] = []
        # What a new attempt has said of it so far. None: the attempt has said exactly what was sent.
        self._repeated: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self._sent

    def restart(self) -> None:
        """A new attempt begins."""
        self._repeated = "" if self._sent else None

    def add(self, piece: str) -> str:
        """The attempt goes on."""
        if self._repeated is None:
            self._sent.append(piece)
            return piece
        self._repeated += piece
        sent = "".join(self._sent)
        if sent != self._repeated and sent.startswith(self._repeated):
            return ""
        text, self._repeated = self._repeated, None
        return self._bring(text, sent)

    def complete(self, text: str) -> str:
        """The whole text has come. It stands, whatever the attempts have said."""
        self._repeated = None
        return self._bring(text, "".join(self._sent))

    def _bring(self, text: str, sent: str) -> str:
        self._sent = [text]
        return text[len(sent) :] if text.startswith(sent) else f"{AGAIN}{text}"
