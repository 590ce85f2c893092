"""Tests usage and cost over HTTP: totals equal those of the turns, and rows equal the ledger's."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.stack import Stack
from shared.domain.money import TOKEN_CLASSES
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant, open_client

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


def json_pages(tenant: Tenant, **query: Any) -> Iterator[list[dict[str, Any]]]:
    for _ in range(MOST_PAGES):
        page = tenant.http.get("usage/calls", params=query).json()
        yield page["items"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]
    raise AssertionError("the cursors lead round in a circle")


def csv_pages(tenant: Tenant, address: str) -> Iterator[list[dict[str, str]]]:
    for _ in range(MOST_PAGES):
        page = tenant.http.get(address, headers=CSV)
        assert page.headers["content-type"].startswith("text/csv")
        yield list(csv.DictReader(io.StringIO(page.text, newline=""), strict=True))
        if "next" not in page.links:
            return
        address = str(httpx.URL(tenant.http.base_url).join(page.links["next"]["url"]))
    raise AssertionError("the links lead round in a circle")


class TestRows:
    def test_rows_equal_the_ledger(self, tenant: Tenant, turns: list[dict[str, Any]]) -> None:
        (page,) = json_pages(tenant)
        ledger = tenant.rows(
            "SELECT * FROM usage_ledger WHERE tenant_id = %s ORDER BY created_at DESC, id DESC", tenant.id
        )
        assert [row["call_id"] for row in page] == [str(row["call_id"]) for row in ledger]
        for row, entry in zip(page, ledger, strict=True):
            assert Decimal(row["amount_usd"]) == entry["amount_usd"]
            assert row["rates"] == entry["rates"]
            assert row["usage"] == {name: entry[name] for name in TOKEN_CLASSES}
            assert datetime.fromisoformat(row["created_at"]) == entry["created_at"]
            same = (
                "cache_write_1h_tokens",
                "kind",
                "account",
                "step",
                "attempt",
                "purpose",
                "agent_key",
                "model_alias",
            )
            assert [row[name] for name in same] == [entry[name] for name in same]
            assert [row[name] for name in ("session_id", "turn_id")] == [
                str(entry["session_id"]),
                str(entry["turn_id"]),
            ]
        assert usd([row for row in page if row["account"] == "tenant"], "amount_usd") == usd(turns)

    @pytest.mark.usefixtures("turns")
    def test_csv_has_the_same_rows(self, tenant: Tenant) -> None:
        (page,) = json_pages(tenant)
        (rows,) = csv_pages(tenant, "usage/calls")
        for row, item in zip(rows, page, strict=True):
            flat = {
                "cache_write_1h_rate": None,
                **item,
                **item["usage"],
                **{f"{name}_rate": rate for name, rate in item["rates"].items()},
            }
            del flat["usage"], flat["rates"]
            assert row == {name: "" if value is None else str(value) for name, value in flat.items()}

    @pytest.mark.usefixtures("turns")
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_pages_cover_every_row_once_while_new_ones_arrive(
        self, tenant: Tenant, session_id: str, order: str
    ) -> None:
        (before,) = json_pages(tenant)
        wanted = {row["call_id"] for row in before}
        for pages in (
            json_pages(tenant, limit=2, order=order),
            csv_pages(tenant, f"usage/calls?limit=2&order={order}"),
        ):
            seen = []
            for number, page in enumerate(pages):
                assert len(page) <= 2
                seen += [row["call_id"] for row in page]
                if number == 1:
                    tenant.take(session_id, "@writer hello")
            assert len(seen) == len(set(seen))
            assert wanted <= set(seen)

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/csv", "text/csv"), ("text/csv, */*;q=0.1", "text/csv"), ("TEXT/CSV;header=present", "text/csv"),
            ("application/json;q=0.5, text/csv", "text/csv"), ("text/csv;q=0", "application/json"),
            ("text/csv;q=0.5, application/json", "application/json"), ("application/xml", "application/json"),
            ("*/*", "application/json"), ("", "application/json"), ("text/csv;q=x, ;;,", "text/csv"),
        ],
    )  # fmt: skip
    def test_answer_is_json_unless_csv_is_asked_for(self, tenant: Tenant, accept: str, kind: str) -> None:
        answer = tenant.http.get("usage/calls", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
        assert answer.headers["vary"] == "Accept, Origin"

    @pytest.mark.usefixtures("turns")
    def test_link_keeps_the_query(self, tenant: Tenant) -> None:
        day = datetime.now(UTC).date()
        start, end = ((day + timedelta(days=days)).isoformat() for days in (-1, 300))
        page = tenant.http.get(f"usage/calls?from={start}&to={end}&limit=1&order=asc", headers=CSV)
        query = httpx.QueryParams(urlsplit(page.links["next"]["url"]).query)
        kept = {name: query[name] for name in ("from", "to", "limit", "order")}
        assert kept == {
            "from": f"{start}T00:00:00.000000Z", "to": f"{end}T00:00:00.000000Z", "limit": "1", "order": "asc",
        }  # fmt: skip


GIVEN = (
    *("session_id", "agent_key", "model_alias", "purpose", "account", "reason", "user_id", "api_key_id"),
    "provider",
)


@pytest.mark.usefixtures("turns")
class TestFilteredCalls:
    @pytest.mark.parametrize("name", GIVEN)
    def test_each_total_leads_to_its_rows(self, tenant: Tenant, name: str) -> None:
        (rows,) = json_pages(tenant, limit=100)
        totals = tenant.http.get("usage", params={"group_by": name}).json()["items"]
        assert totals
        for total in totals:
            value = total[name]
            (shown,) = json_pages(tenant, limit=100, **{name: "" if value is None else value})
            assert shown == [row for row in rows if row[name] == value]
            assert sum(row["kind"] == "post" for row in shown) == total["calls"]

    def test_a_turn_leads_to_its_rows(self, tenant: Tenant, turns: list[dict[str, Any]]) -> None:
        (rows,) = json_pages(tenant, limit=100)
        for turn in turns:
            (shown,) = json_pages(tenant, limit=100, turn_id=turn["id"])
            assert shown == [row for row in rows if row["turn_id"] == turn["id"]] != []
            paid = [Decimal(row["amount_usd"]) for row in shown if row["account"] == "tenant"]
            assert sum(paid) == Decimal(turn["cost_usd"])

    def test_a_csv_and_its_links_keep_the_filters(self, tenant: Tenant) -> None:
        (rows,) = json_pages(tenant, limit=100, model_alias="fast", api_key_id="")
        assert len(rows) > 1
        pages = csv_pages(tenant, "usage/calls?limit=1&model_alias=fast&api_key_id=")
        assert [row["call_id"] for page in pages for row in page] == [row["call_id"] for row in rows]

    @pytest.mark.parametrize(
        "query",
        [
            *(
                "session_id=",
                "session_id=x",
                "turn_id=x",
                "agent_key=Writer",
                "model_alias=",
                "purpose=other",
                "account=",
                "reason=x",
            ),
            *("user_id=", "user_id=%00", "user_id=%F0%9F%91%A9%E2%80%8D", "api_key_id=x", "provider=", "call_id=1"),
        ],
    )
    def test_filter_value_that_no_row_can_have_is_refused(self, tenant: Tenant, query: str) -> None:
        refused = tenant.http.get(f"usage/calls?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


def test_a_foreign_tenant_sees_nothing(stack: Stack, tenant: Tenant, turns: list[dict[str, Any]]) -> None:
    with open_client(stack.url, stack.token(tenant=f"not-{tenant.id}")) as stranger:
        assert [item["calls"] for item in stranger.get("usage").json()["items"]] == [0]
        assert stranger.get("usage", params={"group_by": ",".join(GROUPS)}).json()["items"] == []
        assert stranger.get("usage/calls").json() == {"items": [], "next_cursor": None}
        assert len(stranger.get("usage/calls", headers=CSV).text.splitlines()) == 1
        # A cursor of another tenant opens nothing.
        cursor = tenant.http.get("usage/calls", params={"limit": 1}).json()["next_cursor"]
        assert stranger.get("usage/calls", params={"cursor": cursor}).json()["items"] == []
