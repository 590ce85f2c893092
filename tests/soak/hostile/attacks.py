"""The ways of a hostile tenant: each is a kind of turn that costs much, ends badly, or does not end by itself."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.soak.hostile.tenants import COUNCIL, CROWD, MISER

_LONG = "word " * 90
_EVERYBODY = " ".join(f"@{key}" for key in (*CROWD, "writer"))
_UNKNOWN = ("timeout, billed", "timeout, lost", "5xx", "unreadable")
_KILLED = ("killed after sending", "killed before sending", "answer")
_BAD = ("blank", "filtered", "length without text", *_UNKNOWN, "throttled", "too long")

# A call of the turn is under way: its client cancels it, deletes its session, or loses its lease to a worker.
Meanwhile = Literal["cancel", "delete", "overtake"]


@dataclass(frozen=True)
class Attack:
    """A turn in a session of `mode` with `keys`.

    Calls of agents end in one of `moods`. `helped`: routing and summaries are answered as they should be. `later`: the
    number of turns that are posted for the queue, each in a session of its own. `meanwhile` happens in the first call.
    `hands_over`: the process has time for one call only.
    """

    mode: str = "tag"
    message: str = "hello"
    keys: Sequence[str] = COUNCIL
    moods: Sequence[str] = ("answer",)
    helped: bool = True
    fan_out: str = "sequential"
    later: int = 0
    meanwhile: Meanwhile | None = None
    hands_over: bool = False


ATTACKS: Sequence[Attack] = (
    Attack(moods=("blank",)),
    Attack(moods=("filtered",)),
    Attack(moods=("length without text",)),
    Attack(message=f"@{MISER} hello", keys=(MISER,), moods=("length without text", "answer")),
    Attack(message="@writer @researcher hello", moods=_UNKNOWN),
    Attack(message="@researcher hello", moods=("throttled", "too long")),
    Attack(message=_EVERYBODY, keys=(*CROWD, "writer"), moods=(*_BAD, "answer"), fan_out="parallel"),
    Attack(mode="orchestrator", helped=False, moods=("blank", "answer")),
    Attack(mode="orchestrator", message=_LONG, moods=("long answer",)),
    Attack(message=f"@writer {_LONG}", moods=("long answer",)),
    Attack(message=f"@writer {_LONG}", moods=("long answer",), helped=False),
    Attack(mode="roundtable", moods=("answer", "blank"), meanwhile="cancel"),
    Attack(mode="roundtable", moods=("answer", "blank"), meanwhile="delete"),
    Attack(mode="roundtable", moods=("answer", *_UNKNOWN), meanwhile="overtake"),
    Attack(mode="orchestrator", moods=("answer",)),
    Attack(mode="orchestrator", later=20),
    Attack(mode="roundtable", later=20),
    Attack(mode="roundtable", moods=_KILLED),
    Attack(message=_EVERYBODY, keys=(*CROWD, "writer"), moods=_KILLED, fan_out="parallel"),
    Attack(mode="orchestrator", moods=_KILLED),
    Attack(mode="roundtable", hands_over=True),
)


def any_mood(rng: random.Random) -> str:
    """How a call of a resumed hostile turn ends. Some kill the worker, so that the turn is claimed again."""
    return rng.choice(("answer", "answer", "answer", *_BAD, *_KILLED))
