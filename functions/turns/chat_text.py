"""Track the text of a reply that a chat program has received, because sent text cannot be withdrawn.

An attempt may break off after it sent text. If the next attempt begins with the same text, only the rest is sent.
Otherwise a line says that the answer begins again, and the whole new text follows.
"""

from typing import Final

AGAIN: Final = "\n\n*(This answer broke off. It begins again.)*\n\n"
BROKE_OFF: Final = "\n\n*(This answer broke off.)*"


class SentText:
    """A growing text. `add` and `complete` return the piece to send, '' for none."""

    def __init__(self) -> None:
        # The pieces sent since the text began, or began again.
        self._sent: list[str] = []
        # The part of the sent text that a new attempt has repeated. None if the attempt equals the sent text.
        self._repeated: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self._sent

    def restart(self) -> None:
        """Begin a new attempt."""
        self._repeated = "" if self._sent else None

    def add(self, piece: str) -> str:
        """Add a piece of the attempt."""
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
        """Take the whole text. It replaces the text of the attempts."""
        self._repeated = None
        return self._bring(text, "".join(self._sent))

    def _bring(self, text: str, sent: str) -> str:
        self._sent = [text]
        return text[len(sent) :] if text.startswith(sent) else f"{AGAIN}{text}"
