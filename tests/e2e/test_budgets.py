"""Tests budgets over HTTP: who may see and set them, which one binds, and the answers to turns that exceed them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import httpx
import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant, open_client

# The default cap of a tenant and the allowance, in USD a month.
DEFAULT, ALLOWANCE = "100", "5"


@pytest.fixture
def operator(stack: Stack) -> Iterator[httpx.Client]:
    """The operator of the deployment, who belongs to another tenant."""
    with open_client(stack.url, stack.token(tenant="staff", user="olga", roles=("operator",))) as http:
        yield http


@pytest.fixture
def member(stack: Stack, tenant: Tenant) -> Iterator[httpx.Client]:
    with open_client(stack.url, stack.token(tenant=tenant.id, roles=("member",))) as http:
        yield http


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def cap(operator: httpx.Client, tenant: Tenant, usd: str | None) -> httpx.Response:
    return operator.put(f"admin/tenants/{tenant.id}/cap", json={"limit_usd": usd})


class TestRoles:
    def test_a_member_sees_the_budget_and_does_not_set_it(self, tenant: Tenant, member: httpx.Client) -> None:
        assert member.get("budget").json()["limit_usd"] == DEFAULT
        assert problem(member.put("budget", json={"limit_usd": "1"})) == (403, "forbidden")
        # The role is checked before the body.
        assert problem(member.put("budget", json={"limit_usd": 1})) == (403, "forbidden")
        assert tenant.http.get("budget").json()["limit_usd"] == DEFAULT

    def test_an_operator_administers_no_tenant_and_an_administrator_no_deployment(
        self, tenant: Tenant, operator: httpx.Client
    ) -> None:
        assert problem(operator.put("budget", json={"limit_usd": "1"})) == (403, "forbidden")
        for path in (f"admin/tenants/{tenant.id}/cap", "admin/platform/budget"):
            assert problem(tenant.http.get(path)) == (403, "forbidden")
            assert problem(tenant.http.put(path, json={"limit_usd": "1"})) == (403, "forbidden")
            assert operator.get(path).status_code == 200

    def test_operators_address_has_no_other_routes(self, operator: httpx.Client) -> None:
        for path in ("admin/nothing", "admin/tenants", "admin/health", "admin/sessions"):
            assert problem(operator.get(path)) == (404, "not_found")


class TestLimit:
    def test_an_unknown_tenant_has_the_default_budget(self, tenant: Tenant) -> None:
        assert tenant.http.get("budget").json() == {
            "period": f"{datetime.now(UTC):%Y-%m}",
            "limit_usd": DEFAULT,
            "cap_usd": DEFAULT,
            "held_usd": "0",
            "spent_usd": "0",
            "allowance": {"limit_usd": ALLOWANCE, "held_usd": "0", "drawn_usd": "0"},
        }

    def test_limit_is_set_changed_and_removed(self, tenant: Tenant) -> None:
        for given, shown in (("12.50", "12.5"), ("0.000000000001", "0.000000000001"), ("0", "0"), (None, DEFAULT)):
            answer = tenant.http.put("budget", json={"limit_usd": given})
            assert (answer.status_code, answer.json()["limit_usd"]) == (200, shown)
            assert tenant.http.get("budget").json() == answer.json()

    @pytest.mark.parametrize(
        "usd",
        [
            *("", " 1", "1 ", "1\n", "+1", "-1", "-0", "01", "1.", ".5", "1e3", "1E-3", "1_000", "1,5", "0x10", "null"),
            *("NaN", "sNaN", "Infinity", "inf", "½", "١", "1" * 13, "0.0000000000001", 1, 1.5, 0, True, ["1"], {}),
        ],
    )
    def test_amount_that_is_no_plain_decimal_string_is_refused(self, tenant: Tenant, usd: object) -> None:
        answer = tenant.http.put("budget", json={"limit_usd": usd})
        assert problem(answer) == (422, "invalid_request")
        assert tenant.http.get("budget").json()["limit_usd"] == DEFAULT

    def test_budget_is_refused_when_its_body_names_no_limit(self, tenant: Tenant) -> None:
        assert problem(tenant.http.put("budget", json={})) == (422, "invalid_request")

    def test_running_turn_is_held_and_ended_turn_is_spent(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold())
        headers = {"Prefer": "respond-async"}
        body = {"message": "@writer hello"}
        turn = tenant.http.post(f"sessions/{session_id}/turns", json=body, headers=headers).json()
        tenant.wait_for_requests(1)
        held = tenant.http.get("budget").json()
        assert Decimal(held["held_usd"]) > 0 == Decimal(held["spent_usd"])
        provider.release()
        cost = tenant.wait_for(turn["id"])["cost_usd"]
        assert tenant.http.get("budget").json() == {**held, "held_usd": "0", "spent_usd": cost}

    def test_a_turn_that_does_not_fit_is_402_before_any_call_and_fits_once_the_limit_is_lifted(
        self, tenant: Tenant, session_id: str
    ) -> None:
        tenant.http.put("budget", json={"limit_usd": "0.000000000001"})
        assert problem(tenant.post(session_id, "@writer hello")) == (402, "budget_exceeded")
        assert tenant.requests == []
        assert tenant.http.get(f"sessions/{session_id}/turns").json()["items"] == []
        tenant.http.put("budget", json={"limit_usd": "100"})
        assert tenant.take(session_id, "@writer hello")["status"] == "completed"

    def test_a_limit_that_is_lowered_under_a_running_turn_skips_the_rest_of_its_plan(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold())
        headers = {"Prefer": "respond-async"}
        body = {"message": "@writer @critic hello"}
        turn = tenant.http.post(f"sessions/{session_id}/turns", json=body, headers=headers).json()
        tenant.wait_for_requests(1)
        tenant.http.put("budget", json={"limit_usd": "0"})
        provider.release()
        ended = tenant.wait_for(turn["id"])
        assert [reply["status"] for reply in ended["replies"]] == ["completed", "skipped"]
        assert (ended["replies"][1]["error"]["code"], ended["status"]) == ("budget_exceeded", "completed")
        assert len(tenant.requests) == 1


class TestCap:
    def test_a_limit_above_the_cap_is_refused_and_changes_nothing(self, tenant: Tenant, operator: httpx.Client) -> None:
        set_ = cap(operator, tenant, "5")
        assert set_.json() == {**tenant.http.get("budget").json(), "tenant_id": tenant.id}
        tenant.http.put("budget", json={"limit_usd": "4"})
        refused = tenant.http.put("budget", json={"limit_usd": "5.000000000001"})
        assert problem(refused) == (422, "budget_above_cap")
        assert refused.json()["cap_usd"] == "5"
        assert tenant.http.get("budget").json()["limit_usd"] == "4"
        assert tenant.http.put("budget", json={"limit_usd": "5"}).status_code == 200

    def test_lower_of_limit_and_cap_binds(self, tenant: Tenant, operator: httpx.Client) -> None:
        def shown() -> tuple[str, str]:
            budget = tenant.http.get("budget").json()
            assert operator.get(f"admin/tenants/{tenant.id}/cap").json() == {**budget, "tenant_id": tenant.id}
            return budget["limit_usd"], budget["cap_usd"]

        tenant.http.put("budget", json={"limit_usd": "10"})
        for usd, expected in (("20", ("10", "20")), ("3", ("3", "3")), (None, ("10", DEFAULT)), ("0", ("0", "0"))):
            assert cap(operator, tenant, usd).status_code == 200
            assert shown() == expected
        cap(operator, tenant, "7")
        assert tenant.http.put("budget", json={"limit_usd": None}).json()["limit_usd"] == "7"

    def test_a_cap_that_is_lowered_below_the_limit_refuses_the_next_turn(
        self, tenant: Tenant, operator: httpx.Client, session_id: str
    ) -> None:
        tenant.http.put("budget", json={"limit_usd": "100"})
        cap(operator, tenant, "0")
        assert problem(tenant.post(session_id, "@writer hello")) == (402, "budget_exceeded")
        cap(operator, tenant, None)
        assert tenant.take(session_id, "@writer hello")["status"] == "completed"

    def test_an_allowance_is_set_with_the_cap_and_stays_when_it_is_not_given(
        self, tenant: Tenant, operator: httpx.Client
    ) -> None:
        path = f"admin/tenants/{tenant.id}/cap"
        changes: list[tuple[dict[str, str | None], str]] = [
            ({"limit_usd": "7", "allowance_usd": "0.25"}, "0.25"),
            ({"limit_usd": None}, "0.25"),
            ({"limit_usd": "7", "allowance_usd": "0"}, "0"),
            ({"limit_usd": "7", "allowance_usd": None}, ALLOWANCE),
        ]
        for change, expected in changes:
            answer = operator.put(path, json=change)
            assert (answer.status_code, answer.json()["allowance"]["limit_usd"]) == (200, expected)
            assert tenant.http.get("budget").json()["allowance"]["limit_usd"] == expected
        for wrong in ("-1", "1e3", 1, ""):
            refused = operator.put(path, json={"limit_usd": "7", "allowance_usd": wrong})
            assert problem(refused) == (422, "invalid_request")
        assert problem(operator.put(path, json={"allowance_usd": "1"})) == (422, "invalid_request")

    @pytest.mark.parametrize("name", ["a/b", "auth0|17", "Zoë & Söhne", "a/cap"])
    def test_tenant_id_may_be_any_value_of_a_token(self, stack: Stack, operator: httpx.Client, name: str) -> None:
        answer = operator.put(f"admin/tenants/{quote(name, safe='')}/cap", json={"limit_usd": "2"})
        assert answer.json()["tenant_id"] == name
        with open_client(stack.url, stack.token(tenant=name)) as http:
            assert http.get("budget").json()["cap_usd"] == "2"

    @pytest.mark.parametrize("encoded", ["%00", "%0A", "%E2%80%AE", "x" * 256])
    def test_tenant_id_that_no_token_can_have_is_404(self, operator: httpx.Client, encoded: str) -> None:
        for method, body in (("GET", None), ("PUT", {"limit_usd": "1"})):
            assert problem(operator.request(method, f"admin/tenants/{encoded}/cap", json=body)) == (404, "not_found")


class TestAllowance:
    def test_failed_attempt_is_drawn_from_the_allowance_and_then_paid_by_the_tenant(
        self, tenant: Tenant, operator: httpx.Client, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.empty())
        turn = tenant.take(session_id, "@writer hello")
        platform_usd = turn["platform_cost_usd"]
        assert Decimal(platform_usd) > 0
        assert tenant.http.get("budget").json()["allowance"]["drawn_usd"] == platform_usd
        operator.put(f"admin/tenants/{tenant.id}/cap", json={"limit_usd": None, "allowance_usd": platform_usd})
        provider.add(moods.empty())
        turn = tenant.take(session_id, "@writer hello")
        assert turn["platform_cost_usd"] == "0"
        assert Decimal(turn["cost_usd"]) > Decimal(turn["replies"][0]["cost_usd"])
        reasons = {item["reason"]: item for item in tenant.http.get("usage?group_by=reason").json()["items"]}
        assert reasons["failed_attempt"]["platform_cost_usd"] == platform_usd
        assert Decimal(reasons["failed_attempt"]["cost_usd"]) > 0

    def test_unknown_outcome_is_drawn_from_the_allowance_at_its_reserve(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.html_200())
        turn = tenant.take(session_id, "@writer hello")
        assert turn["platform_cost_usd"] == "0"
        budget = tenant.http.get("budget").json()
        assert Decimal(budget["allowance"]["drawn_usd"]) > 0
        assert (budget["held_usd"], budget["allowance"]["held_usd"]) == ("0", "0")
