"""A turn and its parts, and their JSON as clients see it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from shared.domain.json_text import cut_json, json_size, json_text
from shared.domain.money import ZERO, Usage, format_usd
from shared.domain.problem import Problem
from shared.graph_names import is_graph

TurnStatus = Literal["accepted", "running", "completed", "failed", "cancelled"]
PlanSource = Literal["tags", "request", "default", "roster", "routing", "fallback", "graph"]
ReplyStatus = Literal["completed", "failed", "skipped"]
Purpose = Literal["agent", "review", "routing", "summary_text", "summary_structure"]
Account = Literal["tenant", "platform", "suspense"]
CallStatus = Literal["intent", "succeeded", "unbilled", "unknown"]
Verdict = Literal["reply", "failed"]

# The mode of a plain call: one alias, without a session.
CALL: Final = "call"
# The mode whose members rank each other's answers, and whose chair concludes.
COUNCIL: Final = "council"
# The stop reason of a reply that was cut because it, or its turn, is too long.
SIZE_LIMIT: Final = "size_limit"
# The largest JSON of a turn, in UTF-8 bytes.
MAX_TURN_BYTES: Final = 3_500_000
# Room for the fields that differ when a turn is resumed (status, error, sums, times, fallbacks), so that they do not
# move the cuts.
_VARYING_BYTES: Final = 100_000
# A turn with fewer characters in its replies always fits: each takes at most six bytes, and is shown twice.
_FEW_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Fallback:
    """A deterministic replacement for a model's answer. `step` is the ask that fell back."""

    component: str
    reason: str
    step: int

    def as_dict(self) -> dict[str, str | int]:
        return {"component": self.component, "reason": self.reason, "step": self.step}


@dataclass(frozen=True, slots=True)
class Plan:
    """The agents that answer, in order, and the source of that choice. `unknown_tags` are as typed, without the @."""

    selected_agent_keys: tuple[str, ...]
    source: PlanSource
    unknown_tags: tuple[str, ...] = ()

    @property
    def first_step(self) -> int:
        """The step of its first agent. The manager's step comes before, even if the budget refused the manager."""
        return 1 if self.source in ("routing", "fallback") else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "selected_agent_keys": list(self.selected_agent_keys),
            "source": self.source,
            "unknown_tags": list(self.unknown_tags),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Plan":
        return cls(tuple(value["selected_agent_keys"]), value["source"], tuple(value["unknown_tags"]))


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of one entry of the plan. `usage` and `cost_usd` belong to the attempt with the verdict."""

    position: int
    agent_key: str
    agent_version: int
    name: str
    status: ReplyStatus
    text: str | None = None
    stop_reason: str | None = None
    error: Problem | None = None
    model_alias: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = ZERO

    def as_dict(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "agent_key": self.agent_key,
            "agent_version": self.agent_version,
            "name": self.name,
            "status": self.status,
            "text": self.text,
            "stop_reason": self.stop_reason,
            "error": self.error and self.error.as_dict(),
            "model_alias": self.model_alias,
            "usage": self.usage.as_dict(),
            "cost_usd": format_usd(self.cost_usd),
        }


@dataclass(frozen=True, slots=True)
class Review:
    """The keys of the agents whose answers the agent `agent_key` ranked, best first."""

    agent_key: str
    ranking: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"agent_key": self.agent_key, "ranking": list(self.ranking)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The mean rank of an agent's answer over the reviews that ranked it; 1 is the best."""

    agent_key: str
    average_rank: Decimal

    def as_dict(self) -> dict[str, Any]:
        return {"agent_key": self.agent_key, "average_rank": f"{self.average_rank:.2f}"}


@dataclass(frozen=True, slots=True)
class Charge:
    """One provider call in the ledger: the account that pays, tokens and USD."""

    account: Account
    usage: Usage
    amount_usd: Decimal


def charged(charges: Iterable[Charge], account: Account) -> Decimal:
    return sum((charge.amount_usd for charge in charges if charge.account == account), ZERO)


@dataclass(frozen=True, slots=True)
class Turn:
    """A running or ended turn as a client sees it. The tenant pays `cost_usd`, the platform `platform_cost_usd`. The
    output is the reply at position `conclusion`; None: all replies."""

    id: UUID
    session_id: UUID
    turn_index: int
    status: TurnStatus
    mode: str
    message: str
    created_at: datetime
    completed_at: datetime | None = None
    error: Problem | None = None
    plan: Plan | None = None
    replies: Sequence[Reply] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = ZERO
    platform_cost_usd: Decimal = ZERO
    fallbacks: Sequence[Fallback] = ()
    summary_triggered: bool = False
    steps_finished: int = 0
    reviews: Sequence[Review] = ()
    standings: Sequence[Standing] = ()
    conclusion: int | None = None
    # A graph's output that is not a reply.
    answer: str | None = None

    def __post_init__(self) -> None:
        if sum(len(text or "") for text in (self.answer, *(reply.text for reply in self.replies))) > _FEW_CHARACTERS:
            room = self._room()
            object.__setattr__(self, "replies", _fitting(self.replies, room))
            object.__setattr__(self, "answer", self.answer and cut_json(self.answer, room))

    def _room(self) -> int:
        """Return the bytes of JSON that the replies' texts may take. The output repeats each of them."""
        blank = replace(
            self,
            replies=[replace(reply, text=reply.text and "") for reply in self.replies],
            answer=self.answer and "",
            status="completed",
            completed_at=None,
            error=None,
            usage=Usage(),
            cost_usd=ZERO,
            platform_cost_usd=ZERO,
            fallbacks=(),
            summary_triggered=False,
            steps_finished=0,
        )
        stop_reasons = len(self.replies) * json_size(SIZE_LIMIT)
        return max(0, MAX_TURN_BYTES - _VARYING_BYTES - stop_reasons - len(blank.as_json().encode())) // 2

    @property
    def output(self) -> str:
        """One agent's text alone, or several as `Name: text` with blank lines between. Failures are left out."""
        if self.answer is not None:
            return self.answer
        if self.conclusion is not None:
            # While a turn runs, the reply of a skipped agent is missing.
            return next(reply.text or "" for reply in self.replies if reply.position == self.conclusion)
        answered = [reply for reply in self.replies if reply.status == "completed"]
        planned = len(self.plan.selected_agent_keys) if self.plan else len(self.replies)
        if planned == 1:
            return (answered[0].text or "") if answered else ""
        return "\n\n".join(f"{reply.name}: {reply.text}" for reply in answered)

    def aliases(self) -> dict[str, Any]:
        """Return the alias that answered, None if there were several, and all aliases in order."""
        used = list(dict.fromkeys(r.model_alias for r in self.replies if r.status == "completed" and r.model_alias))
        return {"model_alias_used": used[0] if len(used) == 1 else None, "model_aliases_used": used}

    def as_json(self) -> str:
        """Return the response. An ended turn's is stored, and every replay sends the same bytes."""
        return closed(self.head(), self.cost_usd, self.platform_cost_usd)

    def head(self) -> str:
        """Return the response without its end, the costs. Publish adds the end when it decides who pays."""
        body = {
            "id": str(self.id),
            "session_id": str(self.session_id),
            "turn_index": self.turn_index,
            "status": self.status,
            "mode": self.mode,
            "message": self.message,
            "error": self.error and self.error.as_dict(),
            "plan": self.plan and self.plan.as_dict(),
            "replies": [reply.as_dict() for reply in self.replies],
            "output": self.output,
            "reviews": [review.as_dict() for review in self.reviews] if self.mode == COUNCIL else None,
            "standings": [standing.as_dict() for standing in self.standings] if self.mode == COUNCIL else None,
            **self.aliases(),
            "summary_triggered": self.summary_triggered,
            "fallbacks": [fallback.as_dict() for fallback in self.fallbacks],
            "usage": self.usage.as_dict(),
            "steps_finished": self.steps_finished,
            "created_at": format_time(self.created_at),
            "completed_at": self.completed_at and format_time(self.completed_at),
        }
        return json_text(body).removesuffix("}")


def closed(head: str, cost_usd: Decimal, platform_cost_usd: Decimal) -> str:
    """Return the response that begins with `Turn.head`."""
    return f'{head},"cost_usd":"{format_usd(cost_usd)}","platform_cost_usd":"{format_usd(platform_cost_usd)}"}}'


def chairs_answer(mode: str, plan: Plan | None, replies: Sequence[Reply]) -> int | None:
    """Return the position of the chair's answer in mode `council`, or of a graph's newest answer. The chair is the last
    of the plan. None: no such answer."""
    if is_graph(mode):
        return next((reply.position for reply in reversed(replies) if reply.status == "completed"), None)
    if mode != COUNCIL or plan is None or not replies:
        return None
    last = replies[-1]
    is_chairs = last.position == len(plan.selected_agent_keys) - 1 and last.status == "completed"
    return last.position if is_chairs else None


def _fitting(replies: Sequence[Reply], room: int) -> list[Reply]:
    """Cut the texts of replies to fit into `room` bytes of JSON, in order."""
    fitting = []
    for reply in replies:
        whole = reply.text or ""
        text = cut_json(whole, room)
        room -= json_size(text) - 2
        fitting.append(reply if text == whole else replace(reply, text=text, stop_reason=SIZE_LIMIT))
    return fitting


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: 2026-01-02T03:04:05.000006Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
