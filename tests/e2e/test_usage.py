"""Tests totals of usage and cost over HTTP: they equal those of the turns."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.money import TOKEN_CLASSES
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant
from tests.support.stack.usage import GROUPS, MOST_PAGES, totals, usd
from tests.support.stack.usage import turns as turns  # noqa: PLC0414 a fixture


class TestTotals:
    @pytest.mark.parametrize("groups", [(), ("session_id",), ("day", "model_alias"), ("account",), GROUPS])
    def test_totals_are_the_sums_of_what_the_turns_say(
        self, tenant: Tenant, turns: list[dict[str, Any]], groups: tuple[str, ...]
    ) -> None:
        items = totals(tenant, *groups)
        assert usd(items) == usd(turns) > 0
        assert usd(items, "platform_cost_usd") == usd(turns, "platform_cost_usd") > 0
        assert usd(items, "suspense_usd") > 0
        for name in TOKEN_CLASSES:
            assert sum(item["usage"][name] for item in items) == sum(turn["usage"][name] for turn in turns)
        calls = tenant.row("SELECT count(*) AS calls FROM llm_calls WHERE tenant_id = %s", tenant.id)
        assert sum(item["calls"] for item in items) == calls["calls"]
        assert {name for item in items for name in item} == {
            *groups,
            "calls",
            "usage",
            "cost_usd",
            "platform_cost_usd",
            "suspense_usd",
        }

    def test_group_has_a_total_of_its_own(self, tenant: Tenant, turns: list[dict[str, Any]]) -> None:
        by_session = {item["session_id"]: Decimal(item["cost_usd"]) for item in totals(tenant, "session_id")}
        for session_id, cost_usd in by_session.items():
            assert cost_usd == usd([turn for turn in turns if turn["session_id"] == session_id])
        by_agent = {item["agent_key"]: Decimal(item["cost_usd"]) for item in totals(tenant, "agent_key")}
        replies = [reply for turn in turns for reply in turn["replies"]]
        assert by_agent.keys() == {"writer", "researcher", "critic", None}
        for key in ("writer", "researcher", "critic"):
            assert by_agent[key] == usd([reply for reply in replies if reply["agent_key"] == key])
        assert [item["day"] for item in totals(tenant, "day")] == [datetime.now(UTC).date().isoformat()]

    def test_total_has_only_the_rows_of_its_period(self, tenant: Tenant, turns: list[dict[str, Any]]) -> None:
        today = datetime.now(UTC).date().isoformat()
        assert usd(totals(tenant, **{"from": today})) == usd(turns)
        assert usd(totals(tenant, to=today)) == 0
        later = (datetime.now(UTC) + timedelta(days=399)).date().isoformat()
        assert usd(totals(tenant, **{"from": f"{today}T00:00:00.000001+00:00", "to": later})) == usd(turns)
        assert usd(totals(tenant, **{"from": "2000-01-01", "to": "2000-01-02T00:00:00Z"})) == 0

    def test_reviews_of_a_council_have_their_own_purpose_and_reason(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        for letters in (["A", "B"], ["A", "C"], ["B", "C"]):
            ranking = moods.ok(json.dumps({"ranking": letters}))
            provider.add(ranking, when=f"letters once: {', '.join(letters)}")
        turn = tenant.take(session_id, "hello", mode="council")
        assert (len(turn["reviews"]), turn["fallbacks"]) == (3, [])
        review = {"purpose": "review", "reason": "review", "account": "tenant", "calls": 3}
        items = totals(tenant, "purpose", "reason", "account")
        (found,) = (item for item in items if item["purpose"] == "review")
        assert review.items() <= found.items()
        replies = usd(turn["replies"])
        assert Decimal(found["cost_usd"]) == Decimal(turn["cost_usd"]) - replies > 0
        (by_reason,) = (item for item in totals(tenant, "reason") if item["reason"] == "review")
        assert (by_reason["calls"], by_reason["cost_usd"]) == (3, found["cost_usd"])

    @pytest.mark.usefixtures("turns")
    def test_groups_come_page_by_page(self, tenant: Tenant) -> None:
        query: dict[str, Any] = {"group_by": ["agent_key", "account"], "limit": 1}
        found = []
        for _ in range(MOST_PAGES):
            page = tenant.http.get("usage", params=query).json()
            found += page["items"]
            query["cursor"] = page["next_cursor"]
            if query["cursor"] is None:
                break
        assert found == totals(tenant, "agent_key", "account")

    @pytest.mark.parametrize(
        "query",
        [
            "group_by=month", "group_by=day,day", "group_by=day&group_by=day", "group_by=day,,account",
            "group_by=tenant_id",
        ],
    )  # fmt: skip
    def test_groups_that_are_unknown_or_repeated_are_refused_with_the_list(self, tenant: Tenant, query: str) -> None:
        refused = tenant.http.get(f"usage?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        assert refused.json()["groups"] == GROUPS

    @pytest.mark.parametrize(
        "query",
        [
            "from=2026-11-02&to=2026-11-01", "from=2026-11-01&to=2026-11-01", "from=2026-11-31",
            "from=2026-11-01T00:00:00",
            "from=2026-11-01T00:00:00+01:00", "to=20261101", "to=2026-W01", "to=", "from=0001-01-01", "to=9999-12-31",
            "from=2026-11-01T25:00:00Z", "from=%D9%A2026-11-01",
        ],
    )  # fmt: skip
    def test_invalid_period_is_refused(self, tenant: Tenant, query: str) -> None:
        for path in ("usage", "usage/calls"):
            refused = tenant.http.get(f"{path}?{query}")
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
