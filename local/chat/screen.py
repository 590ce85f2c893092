"""Show the replies of a turn while they are written: Markdown in a terminal, plain text in a file.

Concurrent replies appear one after the other, in the order of the plan.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from local.chat.conversation import Told
from local.safe_text import visible

# Rows of the terminal below the live reply.
_FREE_ROWS: Final = 4
_TAB: Final = "    "


@dataclass(slots=True)
class _Reply:
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    # The reply as stored.
    stored: dict[str, Any] | None = None


class Screen(AbstractContextManager["Screen"]):
    """Show the events of one turn. As a context manager it restores the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._replies: dict[int, _Reply] = {}
        self._next = 0
        self._live: Live | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_live()

    def __enter__(self) -> Self:
        return self

    def take(self, told: Told) -> None:
        body = told.body
        match told.name:
            case "reply.started":
                # A new attempt discards the text of the last one.
                self._replies[body["position"]] = _Reply(body["name"])
            case "reply.delta":
                self._reply(body).pieces.append(body["text"])
            case "reply.reset":
                self._reply(body).pieces.clear()
            case "reply.completed":
                self._complete(body)
            case "turn.ended":
                for reply in body["replies"]:
                    self._complete(reply)
                self._end_live()
                self._conclude(body)
            case "error":
                self._end_live()
                self._console.print(Text(safe(body["detail"])), style="red")
        self._show()

    def _reply(self, body: dict[str, Any]) -> _Reply:
        return self._replies.setdefault(body["position"], _Reply())

    def _complete(self, stored: dict[str, Any]) -> None:
        self._replies.setdefault(stored["position"], _Reply()).stored = stored
        while (reply := self._replies.get(self._next)) is not None and reply.stored is not None:
            self._end_live()
            self._print(reply.stored)
            self._next += 1

    def _print(self, stored: dict[str, Any]) -> None:
        self._console.print(Text(safe(stored["name"])), style="bold")
        if stored["status"] == "completed":
            self._console.print(self._rendered(stored["text"] or ""))
        else:
            why = (stored["error"] or {}).get("detail", stored["status"])
            self._console.print(Text(safe(why)), style="red")
        self._console.print()

    def _show(self) -> None:
        """Show the last rows of the first reply that is not complete."""
        reply = self._replies.get(self._next)
        if not self._console.is_terminal or reply is None or reply.stored is not None or not reply.pieces:
            return
        rows = "".join(reply.pieces).splitlines()[-max(1, self._console.height - _FREE_ROWS) :]
        if self._live is None:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        name = Text(safe(reply.name), style="bold")
        self._live.update(Group(name, self._rendered("\n".join(rows))), refresh=True)

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _rendered(self, text: str) -> Markdown | Text:
        return Markdown(safe(text)) if self._console.is_terminal else Text(safe(text))

    def _conclude(self, turn: dict[str, Any]) -> None:
        if turn["status"] != "completed":
            why = (turn["error"] or {}).get("detail", "")
            self._console.print(Text(safe(f"The turn is {turn['status']}. {why}".strip())), style="yellow")
        self._console.print(Text(f"{turn['cost_usd']} USD"), style="dim")


def safe(text: str) -> str:
    """Escape characters that could steer the terminal, except line ends. A tab becomes blanks."""
    return "\n".join(visible(line.replace("\t", _TAB)) for line in text.splitlines())
