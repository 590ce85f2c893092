"""Read what chat programs add to a turn: call options, imported past, and plain calls."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from shared.db.chat import NewChat
from shared.domain.agent import NO_CAP, Agent
from shared.domain.conversation import Options, PastTurn, Said
from shared.domain.json_text import json_text

# The prefix of the agent key of a plain call, before its alias.
CALL_PREFIX: Final = "alias/"
# Seconds after which a client sends a request again whose turn runs. SDKs mark that request as a retry, and it waits
# here.
SAME_REQUEST_RETRY_S: Final = 1


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The part of a turn that only chat programs send.

    `request_hash` identifies the request among those of all users. `past` is the hash of the conversation with the
    turn's message, None if the turn is not remembered. `instructions` are the program's system messages. `made` is the
    turn's session if it is new."""

    request_hash: bytes
    past: bytes | None = None
    options: Options = field(default_factory=Options)
    instructions: str | None = None
    made: NewChat | None = None


def called(alias: str) -> dict[str, Agent]:
    key = f"{CALL_PREFIX}{alias}"
    return {key: Agent(key, 0, alias, "", alias, NO_CAP, None, enabled=True)}


def imported_turns(lines: Sequence[dict[str, str]], roster: dict[str, Agent]) -> list[PastTurn]:
    """Return the past that a chat program sent along as turns before the first. Their answers belong to the roster's
    only agent, else to a placeholder."""
    key, name = ("", "Council") if len(roster) != 1 else next((each.key, each.name) for each in roster.values())
    turns: list[PastTurn] = []
    for line in lines:
        if line["role"] == "user":
            turns.append(PastTurn(line["content"], ()))
        elif turns:
            said = Said(key, name, line["content"])
            turns[-1] = turns[-1]._replace(replies=(*turns[-1].replies, said))
        else:
            turns.append(PastTurn("", (Said(key, name, line["content"]),)))
    return [turn._replace(turn_index=index) for index, turn in enumerate(turns, start=1 - len(turns))]


def options_as_json(options: Options) -> str | None:
    given = {name: value for name, value in asdict(options).items() if value is not None}
    return json_text(given) if given else None


def options_of(stored: dict[str, Any] | None) -> Options:
    stored = stored or {}
    messages = stored.get("messages")
    return Options(stored.get("max_output_tokens"), stored.get("temperature"), tuple(messages) if messages else None)
