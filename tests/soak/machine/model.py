"""Predicts a deployment's answers by API.md, without a database and without the product's code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from tests.support.fake_provider import moods
from tests.support.fake_provider.moods import Mood

AGENT_KEYS = ("writer", "critic", "researcher")
# The result of an answer, for each alias: it is a reply, it is asked for again, or the step has failed.
Kind = Literal["reply", "again", "final"]
MOODS: Mapping[str, tuple[Mood, Kind]] = MappingProxyType(
    {
        "ok": (moods.ok("An answer."), "reply"),
        "truncated": (moods.length(), "reply"),
        "throttled": (moods.status(429, retry_after=0.001), "again"),
        "server error": (moods.status(500), "again"),
        "overloaded": (moods.status(529), "again"),
        "empty": (moods.empty(), "again"),
        "malformed": (moods.html_200(), "again"),
        "no count": (moods.no_usage(), "again"),
        "half of it": (moods.cut_short(), "again"),
        "reset": (moods.reset_before_answer(), "again"),
        "no answer": (moods.slow(5.0), "again"),
        "refused": (moods.status(400), "final"),
        "filtered": (moods.content_filter("Half of"), "final"),
        "refused in words": (moods.refusal(), "final"),
    }
)
# Agent or helper -> how it is answered, and whether each time or once.
Moods = Mapping[str, tuple[str, bool]]
# Words of a message: some tag an agent, one tags nobody, and some only look like tags.
TAGS: Mapping[str, str] = MappingProxyType(
    {"@writer": "writer", "@Critic,": "critic", "(@RESEARCHER)": "researcher", "@nobody": "nobody"}
)
NO_TAGS = ("hello", "`@critic`", "mail@writer.example", "@@writer")
# Stands for a message that makes a summary due.
LONG = "LONG"
# The limits of the deployment that the machine works on.
ACTIVE_TURNS = 3
DEFAULT_CAP_USD, DEFAULT_ALLOWANCE_USD = "100", "5"
_LONG = " ".join(["word"] * 800)


@dataclass
class Agent:
    alias: str
    enabled: bool = True
    deleted: bool = False

    @property
    def answers(self) -> bool:
        return self.enabled and not self.deleted


@dataclass
class Session:
    id: UUID
    mode: str
    roster: tuple[str, ...]
    fan_out: str
    deleted: bool = False


@dataclass(frozen=True)
class Body:
    """The body of a posted turn. `words` make its message."""

    words: tuple[str, ...]
    mode: str | None = None
    agent_keys: tuple[str, ...] | None = None

    @property
    def message(self) -> str:
        return " ".join(_LONG if word == LONG else word for word in self.words)

    def as_json(self) -> dict[str, Any]:
        given = {"mode": self.mode, "agent_keys": self.agent_keys and list(self.agent_keys)}
        return {"message": self.message} | {name: value for name, value in given.items() if value is not None}


@dataclass
class Turn:
    """`runs`: a process has or had the turn, and its lease has not ended. `due`: the sweeper would send it.

    `response` are the bytes with which it ended.
    """

    id: UUID
    session: Session
    active: bool = True
    runs: bool = False
    due: bool = False
    response: str | None = None


@dataclass(frozen=True)
class Expected:
    """An answer's status, with the problem's code or the turn of the answer.

    Without a status, every answer to a new turn is allowed.
    """

    status: int | None = None
    code: str | None = None
    turn: Turn | None = None


@dataclass
class Model:
    agents: dict[str, Agent] = field(default_factory=lambda: {key: Agent("fast") for key in AGENT_KEYS})
    sessions: list[Session] = field(default_factory=list)
    turns: dict[UUID, Turn] = field(default_factory=dict)
    # Key -> its first use, and the turn of that request.
    keys: dict[str, tuple[Session, Body, Turn]] = field(default_factory=dict)
    limit_usd: str | None = None
    cap_usd: str | None = None
    # The tenant's own allowance, and whether the operator lets the platform bear any cost.
    allowance_usd: str | None = None
    platform_bears: bool = True

    @property
    def active(self) -> list[Turn]:
        return [turn for turn in self.turns.values() if turn.active]

    def active_in(self, session: Session) -> Turn | None:
        return next((turn for turn in self.active if turn.session is session), None)

    @property
    def limited(self) -> bool:
        return self.limit_usd is not None or self.cap_usd is not None

    @property
    def broke(self) -> bool:
        return "0" in (self.limit_usd, self.cap_usd)

    def expect(self, session: Session, body: Body, key: str | None) -> Expected:
        """Return the expected answer to a turn that is posted now."""
        if not body.message:
            return Expected(422, "invalid_message")
        if key in self.keys:
            return self._expect_replay(session, body, self.keys[key])
        return Expected(404, "not_found") if session.deleted else self._expect_new(session, body)

    def _expect_new(self, session: Session, body: Body) -> Expected:
        if refused := self._refused(session, body):
            return Expected(422, refused)
        if active := self.active_in(session):
            return Expected(409, "turn_conflict", active)
        if len(self.active) >= ACTIVE_TURNS:
            return Expected(429, "too_many_active_turns")
        return Expected(402, "budget_exceeded") if self.broke else Expected()

    def _refused(self, session: Session, body: Body) -> str | None:
        """Return the reason why no agent could answer this."""
        if body.agent_keys is not None and (body.mode or session.mode) != "manual":
            return "invalid_request"
        if not self.roster(session):
            return "no_agent"
        return "unknown_agent" if set(body.agent_keys or ()) - set(self.roster(session)) else None

    @staticmethod
    def _expect_replay(session: Session, body: Body, used: tuple[Session, Body, Turn]) -> Expected:
        first, same, turn = used
        if session.deleted:
            return Expected(410, "session_deleted") if first == session else Expected(404, "not_found")
        if (first, same) != (session, body):
            return Expected(422, "idempotency_key_reused")
        return Expected(202 if turn.active else 201, turn=turn)

    def roster(self, session: Session) -> list[str]:
        """Return the agents of the session that can be asked."""
        return [key for key in session.roster if self.agents[key].answers]

    def plan(self, session: Session, body: Body) -> dict[str, Any] | None:
        """Return the plan; None if a model decides."""
        roster, mode = self.roster(session), body.mode or session.mode
        if mode == "orchestrator":
            return None
        if mode == "roundtable":
            return {"selected_agent_keys": roster, "source": "roster", "unknown_tags": []}
        if mode == "council":
            return {"selected_agent_keys": [*roster, roster[0]], "source": "roster", "unknown_tags": []}
        if mode == "manual" and body.agent_keys:
            return {"selected_agent_keys": list(body.agent_keys), "source": "request", "unknown_tags": []}
        tagged = list(dict.fromkeys(TAGS[word] for word in body.words if word in TAGS))
        known = [key for key in tagged if key in roster]
        typed = {TAGS[word]: word.strip("@,()") for word in body.words if word in TAGS}
        unknown = [typed[key] for key in tagged if key not in roster]
        source = "tags" if known else "default"
        return {"selected_agent_keys": known or roster[:1], "source": source, "unknown_tags": unknown}


def replies(keys: Sequence[str], mood: Moods) -> list[str]:
    """Return the status of each reply of an undisturbed turn."""
    return [_reply(*mood.get(key, ("ok", True))) for key in keys]


def council_replies(keys: Sequence[str], mood: Moods) -> list[str]:
    """Return the same in mode `council`, whose last key is the chair's. A mood for one call is used up by then."""
    *members, chair = keys
    answered = replies(members, mood)
    if "completed" not in answered:
        return [*answered, "skipped"]
    left = {key: each for key, each in mood.items() if each[1]}
    return [*answered, *replies([chair], left)]


def _reply(name: str, always: bool) -> str:
    kind = MOODS[name][1]
    return "completed" if kind == "reply" or (kind == "again" and not always) else "failed"
