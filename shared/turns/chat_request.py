"""Read what chat programs add to a turn: the options of its call, the past that they brought along, and plain calls."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from shared.db.chat import NewChat
from shared.domain.agent import NO_CAP, Agent
from shared.domain.conversation import Options, PastTurn, Said
from shared.domain.json_text import json_text

# The agent of a call without a session, before its alias.
CALL_PREFIX: Final = "alias/"
# Seconds until a request whose turn runs is sent again. The SDKs say that they retry, and then wait for the turn here.
SAME_REQUEST_RETRY_S: Final = 1


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat program's request adds to its turn. `past` is the hash of the conversation with the turn's message,
    None where the turn is not remembered. `request_hash` names the request among those of all users. `instructions` are
    its system messages. `made` is the turn's session if it is a new one."""

    request_hash: bytes
    past: bytes | None = None
    options: Options = field(default_factory=Options)
    instructions: str | None = None
    made: NewChat | None = None


def called(alias: str) -> dict[str, Agent]:
    """The roster of a call without a session: the alias itself."""
    key = f"{CALL_PREFIX}{alias}"
    return {key: Agent(key, 0, alias, "", alias, NO_CAP, None, enabled=True)}


def imported_turns(lines: Sequence[dict[str, str]], roster: dict[str, Agent]) -> list[PastTurn]:
    """The past that a chat program brought along, as turns before the first. Their answers are the only agent's, or
    those of an agent that is not there."""
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
    """The options as `turns.options` has them."""
    given = {name: value for name, value in asdict(options).items() if value is not None}
    return json_text(given) if given else None


def options_of(stored: dict[str, Any] | None) -> Options:
    stored = stored or {}
    messages = stored.get("messages")
    return Options(stored.get("max_output_tokens"), stored.get("temperature"), tuple(messages) if messages else None)
