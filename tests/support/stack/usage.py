"""Turns whose usage is known, and totals over HTTP."""

from decimal import Decimal
from typing import Any

import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant

CSV = {"Accept": "text/csv"}


MANAGER = "You route messages"


GROUPS = [
    "day",
    "session_id",
    "agent_key",
    "model_alias",
    "purpose",
    "account",
    "reason",
    "user_id",
    "api_key_id",
    "provider",
]


MOST_PAGES = 50


@pytest.fixture
def turns(tenant: Tenant, session_id: str, provider: FakeProvider) -> list[dict[str, Any]]:
    """Turns in two sessions: a routed one, and one whose first attempt was of unknown outcome and whose second was
    empty.
    """
    other = tenant.make_session("critic", mode="roundtable")
    provider.add(moods.ok("@critic"), when=MANAGER)
    routed = tenant.take(session_id, "@critic Is it good?", mode="orchestrator")
    provider.add(moods.empty())
    empty = tenant.take(session_id, "@writer @researcher hello")
    provider.add(moods.status(500))
    return [routed, empty, tenant.take(other, "hello")]


def usd(items: list[dict[str, Any]], name: str = "cost_usd") -> Decimal:
    return sum((Decimal(item[name]) for item in items), Decimal(0))


def totals(tenant: Tenant, *groups: str, **query: Any) -> list[dict[str, Any]]:
    answer = tenant.http.get("usage", params={"group_by": ",".join(groups), "limit": 100, **query})
    assert (answer.status_code, answer.json()["next_cursor"]) == (200, None), answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
