"""Tests the rows of usage over HTTP: they equal the ledger, as JSON and as CSV, with filters."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.stack import Stack
from shared.domain.money import TOKEN_CLASSES
from tests.support.stack.tenant import Tenant, open_client
from tests.support.stack.usage import CSV, GROUPS, MOST_PAGES, usd
from tests.support.stack.usage import turns as turns  # noqa: PLC0414 a fixture


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
