"""What was used and what it cost: the ledger, added up.

The rule this file protects: a total is exact, whatever has been rolled up by now. One statement, and so one snapshot,
takes whole days and hours that are rolled up from there, and everything else of the period from the ledger. Sums are
numeric from the first row to the last.

One statement serves every combination of groups. A group that is not asked for is NULL in every row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    CompoundSelect,
    Date,
    FromClause,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

from shared.db.api.pages import Order, Page, PageRequest, page
from shared.db.api.visibility import acts_for
from shared.db.compiler import compiled
from shared.db.engine import LONG_ANSWER_S, Database, Statement
from shared.db.schema.columns import TOKENS, Time
from shared.db.schema.tables import (
    PLATFORM,
    operator_entries,
    usage_days,
    usage_entries,
    usage_hours,
    usage_rolled_up,
)
from shared.db.usage.dimensions import DIMENSIONS, OPERATOR_DIMENSIONS
from shared.domain.actor import Actor
from shared.errors import InvalidRequest

_GROUPS = ("session_id", "agent_key", "model_alias", "purpose", "account", "reason")
# In the order in which totals are sorted.
GROUPS = ("day", *_GROUPS, "user_id", "api_key_id", "provider")
# The operator sees all tenants, and may tell them apart.
OPERATOR_GROUPS = ("day", "tenant_id", *_GROUPS)
# Hours and days do not tell sessions apart. The ledger does, and is read row by row, so the period is limited.
SESSION_DAYS = 92

# The purposes that the platform's share is told apart by. Any other one is an attempt of an agent.
_ROUTING = ("routing",)
_SUMMARIES = ("summary_text", "summary_structure")
_MEASURES = ("calls", *TOKENS, "amount_usd")
_RESULTS = (
    "calls",
    *TOKENS,
    "cost_usd",
    "platform_cost_usd",
    "suspense_usd",
    "attempts_usd",
    "routing_usd",
    "summaries_usd",
    "unknown_usd",
)
# Operations ask for every user of every tenant.
_EVERYBODY: Final[Mapping[str, object]] = {"a_user_id": "", "a_is_admin": True}
_Span = Literal["hour", "day"]
_LENGTHS: Final[Mapping[_Span, timedelta]] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
_from, _to = bindparam("u_from", type_=Time), bindparam("u_to", type_=Time)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start`, inclusive, to `end`, exclusive; both are aware. `start` is before `end`."""

    start: datetime
    end: datetime

    def params(self) -> dict[str, object]:
        """The period, and the hours and the days that are wholly in it. Where there are none, the last of them is the
        first, which may lie beyond the end."""
        start, end = self.start.astimezone(UTC), self.end.astimezone(UTC)
        params: dict[str, object] = {"u_from": start, "u_to": end}
        for span, length in _LENGTHS.items():
            first = _floor(start, span)
            first += length if first < start else timedelta(0)
            params |= {f"u_first_{span}": first, f"u_last_{span}": max(first, _floor(end, span))}
        return params


def _floor(moment: datetime, span: _Span) -> datetime:
    return moment.replace(hour=moment.hour if span == "hour" else 0, minute=0, second=0, microsecond=0)


def _text(written: Any) -> str:
    if written is None:
        return ""
    if not isinstance(written, str) or not written.isprintable():
        raise ValueError(written)
    return written


# What a cursor holds of each group, as its column has it. None is written where nobody was meant, and comes first.
_KEYS: Mapping[str, Callable[[Any], object]] = {
    "day": lambda written: date.fromisoformat(written) if written else date.min,
    **dict.fromkeys(("session_id", "api_key_id"), lambda written: UUID(written) if written else UUID(int=0)),
    **dict.fromkeys(
        ("tenant_id", "agent_key", "model_alias", "purpose", "account", "reason", "user_id", "provider"), _text
    ),
}


@dataclass(frozen=True, slots=True)
class _View:
    """A reader's view of the ledger: its rows and their dimensions."""

    entries: Table
    dimensions: Sequence[str]

    def theirs(self, columns: ReadOnlyColumnCollection[str, Column[Any]]) -> ColumnElement[bool]:
        """Whether the reader may see a row. The operator sees all rows, without users."""
        return acts_for(columns.user_id) if "user_id" in self.dimensions else true()


_TENANTS = _View(usage_entries, DIMENSIONS)
_OPERATORS = _View(operator_entries, OPERATOR_DIMENSIONS)


def _posted(view: _View, since: ColumnElement[Any], until: ColumnElement[Any]) -> Select[Any]:
    entry = view.entries.c
    columns = [entry.created_at.label("at"), entry.session_id, *(entry[name] for name in view.dimensions)]
    calls = case((entry.kind == "post", 1), else_=0).label("calls")
    posted = select(*columns, calls, *(entry[name] for name in _MEASURES[1:]))
    return posted.where(entry.created_at >= since, entry.created_at < until, view.theirs(entry))


def _rolled_up(view: _View, spans: Table, since: ColumnElement[Any], until: ColumnElement[Any]) -> Select[Any]:
    span = spans.c
    dimensions = [span[name] for name in view.dimensions]
    columns = [span.start.label("at"), cast(null(), Uuid).label("session_id"), *dimensions]
    rows = select(*columns, *(span[name] for name in _MEASURES))
    return rows.where(span.start >= since, span.start < until, view.theirs(span))


def _rolled_up_and_posted(view: _View) -> CompoundSelect[Any]:
    """The period as five stretches, one after the other: ledger, hours, days, hours, ledger. Each may be empty."""
    rolled_up = func.max(usage_rolled_up.c.until)
    first_hour, hours_end = _stretch("hour", rolled_up)
    first_day, days_end = _stretch("day", func.date_trunc("day", rolled_up, "UTC"))
    return union_all(
        _posted(view, _from, func.least(first_hour, _to)),
        _rolled_up(view, usage_hours, first_hour, func.least(first_day, hours_end)),
        _rolled_up(view, usage_days, first_day, days_end),
        _rolled_up(view, usage_hours, func.greatest(first_hour, days_end), hours_end),
        _posted(view, func.greatest(hours_end, _from), _to),
    )


def _stretch(span: _Span, rolled_up: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Where the whole spans of the period begin, and where those of them end that are rolled up."""
    first, last = (bindparam(f"u_{which}_{span}", type_=Time) for which in ("first", "last"))
    # In the subquery, and not around it: the planner takes COALESCE for something that could give rows away, and would
    # see to the tenant first, one row after the other, before it looked at the time.
    known = select(func.coalesce(rolled_up, literal_column("'-infinity'::timestamptz"))).scalar_subquery()
    return first, func.greatest(first, func.least(last, known))


def _sums(entries: FromClause) -> dict[str, ColumnElement[Any]]:
    entry = entries.c
    usd, of_platform = entry.amount_usd, entry.account == PLATFORM
    known = of_platform & (entry.reason != "unknown_outcome")
    return {
        **{name: func.sum(entry[name]) for name in ("calls", *TOKENS)},
        "cost_usd": func.sum(usd).filter(entry.account == "tenant"),
        "platform_cost_usd": func.sum(usd).filter(of_platform),
        "suspense_usd": func.sum(usd).filter(entry.account == "suspense"),
        "attempts_usd": func.sum(usd).filter(known, entry.purpose.not_in((*_ROUTING, *_SUMMARIES))),
        "routing_usd": func.sum(usd).filter(known, entry.purpose.in_(_ROUTING)),
        "summaries_usd": func.sum(usd).filter(known, entry.purpose.in_(_SUMMARIES)),
        "unknown_usd": func.sum(usd).filter(of_platform, entry.reason == "unknown_outcome"),
    }


def _totals(entries: FromClause, groups: Sequence[str], order: Order) -> Statement:
    day = cast(func.timezone("UTC", entries.c.at), Date)
    keys = {name: day if name == "day" else entries.c[name] for name in groups}
    grouped = [case((bindparam(f"u_by_{name}", type_=Boolean), key)).label(name) for name, key in keys.items()]
    sums = _sums(entries)
    totals = (
        select(*grouped, *(func.coalesce(value, 0).label(name) for name, value in sums.items()))
        .group_by(*(literal_column(str(number + 1)) for number in range(len(grouped))))
        .subquery("totals")
    )
    # "No agent" comes where the cursor of a group that is not asked for is: before everything that is stored.
    sorted_by = [func.coalesce(totals.c[name], _lowest(name)) for name in groups]
    after = [bindparam(f"u_after_{name}", type_=_type(name)) for name in groups]
    beyond = tuple_(*sorted_by) < tuple_(*after) if order == "desc" else tuple_(*sorted_by) > tuple_(*after)
    by = [key.desc() if order == "desc" else key.asc() for key in sorted_by]
    listed = select(totals).where(cast(bindparam("u_first_page"), Boolean) | beyond)
    return compiled(listed.order_by(*by).limit(bindparam("u_limit")))


def _type(group: str) -> TypeEngine[Any]:
    types: dict[str, TypeEngine[Any]] = {"day": Date(), "session_id": Uuid(), "api_key_id": Uuid()}
    return types.get(group, Text())


def _lowest(group: str) -> ColumnElement[Any]:
    return literal(_KEYS[group](None), _type(group))


@cache
def _statement(groups: Sequence[str], order: Order, *, from_ledger: bool) -> Statement:
    """Compiled when it is first used, because eight forms would slow each cold start."""
    view = _OPERATORS if groups == OPERATOR_GROUPS else _TENANTS
    entries = _posted(view, _from, _to) if from_ledger else _rolled_up_and_posted(view)
    return _totals(entries.subquery("entries"), groups, order)


def load_totals(db: Database, actor: Actor | None, period: Period, groups: Sequence[str], request: PageRequest) -> Page:
    """Return sums by the requested GROUPS, in the order of GROUPS: per group `calls`, tokens by class and
    `cost_usd` (what tenants pay), `platform_cost_usd` and `suspense_usd`, in USD. Without groups it is one row. An
    admin's are the tenant's, a member's those of its own turns. Without an actor, as `pantheon_operator`, every
    tenant's, by OPERATOR_GROUPS, and with what the platform bore by its reasons.

    Raises InvalidRequest for a cursor of another list, and for session_id over more than SESSION_DAYS.
    """
    by_session = "session_id" in groups
    if by_session and period.end - period.start > timedelta(days=SESSION_DAYS):
        raise InvalidRequest(
            f"query.group_by=session_id takes {SESSION_DAYS} days at most; ask for a shorter period.",
            longest_days=SESSION_DAYS,
        )
    known = OPERATOR_GROUPS if actor is None else GROUPS
    asked = [name for name in known if name in groups]
    key = request.after(_key_of(asked))
    params: dict[str, object] = {
        **period.params(),
        **{f"u_by_{name}": name in asked for name in known},
        **{f"u_after_{name}": (key or {}).get(name, _KEYS[name](None)) for name in known},
        "u_first_page": key is None,
        "u_limit": request.limit + 1,
        **(actor.params if actor else _EVERYBODY),
    }
    statement = _statement(known, request.order, from_ledger=by_session)
    rows = db.read(actor.tenant_id if actor else None, statement, params, answer_s=LONG_ANSWER_S)
    if not rows and not asked and key is None:
        rows = [dict.fromkeys(_RESULTS, 0)]
    return page(rows, request, lambda row: [asked, [row[name] and str(row[name]) for name in asked]])


def _key_of(asked: Sequence[str]) -> Callable[[Any], dict[str, object]]:
    def parse(cursor: Any) -> dict[str, object]:
        groups, values = cursor
        if groups != list(asked):
            raise ValueError(groups)
        return {name: _KEYS[name](value) for name, value in zip(asked, values, strict=True)}

    return parse
