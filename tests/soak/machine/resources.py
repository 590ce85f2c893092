"""The machine's clients that make, change, read and delete sessions, agents, turns and budgets."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from shared.settings import HttpSettings
from tests.faults import events
from tests.soak.machine import choices, model
from tests.soak.machine.model import AGENT_KEYS, Expected, Session
from tests.soak.machine.witness import Witness

_CAP = f"/admin/tenants/{events.TENANT}/cap"


class Resources(Witness):
    """Rules about other objects, and about turns that are only read or cancelled."""

    @initialize(mode=choices.mode)
    def begin(self, mode: str) -> None:
        for _ in range(4):
            self.make_session(mode, AGENT_KEYS, "sequential")

    @precondition(lambda self: len(self.model.sessions) < 6)
    @rule(mode=choices.mode, roster=choices.roster, fan_out=st.sampled_from(("sequential", "parallel")))
    def make_session(self, mode: str, roster: tuple[str, ...], fan_out: str) -> None:
        fields = {"title": "Talk", "mode": mode, "agent_keys": list(roster), "fan_out": fan_out}
        answer = self.deployment.call("POST", "/sessions", fields)
        if any(self.model.agents[key].deleted for key in roster):
            self._check(answer, Expected(422, "unknown_agent"))
            return
        self._check(answer, Expected(201))
        self.model.sessions.append(Session(UUID(json.loads(answer.body)["id"]), mode, roster, fan_out))

    @rule(which=choices.which, mode=st.one_of(st.none(), choices.mode), roster=st.one_of(st.none(), choices.roster))
    def change_session(self, which: int, mode: str | None, roster: tuple[str, ...] | None) -> None:
        session = self._session(which)
        answer = self.deployment.call("PATCH", f"/sessions/{session.id}", {"mode": mode, "agent_keys": roster})
        if any(self.model.agents[key].deleted for key in roster or ()):
            self._check(answer, Expected(422, "unknown_agent"))
        elif session.deleted:
            self._check(answer, Expected(404, "not_found"))
        else:
            self._check(answer, Expected(200))
            session.mode, session.roster = mode or session.mode, roster or session.roster

    @precondition(lambda self: len(self.model.sessions) > 1)
    @rule(which=choices.which)
    def delete_session(self, which: int) -> None:
        session = self._session(which)
        answer = self.deployment.call("DELETE", f"/sessions/{session.id}")
        self._check(answer, Expected(404, "not_found") if session.deleted else Expected(204))
        session.deleted = True

    @rule(
        how=st.sampled_from(("PUT", "PUT", "DELETE", "POST", "POST")),
        key=st.sampled_from(AGENT_KEYS),
        alias=st.sampled_from(("fast", "deep")),
        enabled=st.booleans(),
    )
    def change_agent(self, how: str, key: str, alias: str, enabled: bool) -> None:
        agent, path = self.model.agents[key], "/agents" if how == "POST" else f"/agents/{key}"
        body = None if how == "DELETE" else self._agent(key, alias, enabled) | ({"key": key} if how == "POST" else {})
        answer = self.deployment.call(how, path, body, role="admin")
        if how != "PUT" and agent.deleted != (how == "POST"):
            self._check(answer, Expected(409, "agent_exists") if how == "POST" else Expected(404, "not_found"))
            return
        put = 201 if agent.deleted else 200
        self._check(answer, Expected({"PUT": put, "DELETE": 204, "POST": 201}[how]))
        self.model.agents[key] = model.Agent(alias, enabled, deleted=how == "DELETE")

    @staticmethod
    def _agent(key: str, alias: str, enabled: bool) -> dict[str, Any]:
        prompt = f"You do what a {key} does."
        fields = {"name": key.title(), "role_prompt": prompt, "model_alias": alias, "max_output_tokens": 100}
        return fields | {"enabled": enabled}

    @precondition(lambda self: self.model.turns)
    @rule(which=choices.which)
    def cancel(self, which: int) -> None:
        turn = self._turn(which)
        answer = self.deployment.call("POST", f"/turns/{turn.id}/cancel")
        if turn.session.deleted:
            self._check(answer, Expected(404, "not_found"))
        else:
            self._check(answer, Expected(202, turn=turn) if turn.active else Expected(409, "turn_ended"))

    @precondition(lambda self: self.model.turns)
    @rule(which=choices.which, clock_s=choices.clock_s)
    def read(self, which: int, clock_s: int) -> None:
        turn = self._turn(which)
        gone = turn.session.deleted
        answer = self.deployment.call("GET", f"/turns/{turn.id}", clock_s=clock_s)
        self._check(answer, Expected(404, "not_found") if gone else Expected(200, turn=turn))
        if not (gone or turn.active) and answer.body != turn.response:
            self._fail(("told", f"turn {turn.id} is read as {answer.body}"))
        answer = self.deployment.call("GET", f"/sessions/{turn.session.id}/turns?limit=100", clock_s=clock_s)
        self._check(answer, Expected(404, "not_found") if gone else Expected(200))
        if gone:
            return
        listed = [item["id"] for item in json.loads(answer.body)["items"]]
        made = [str(known.id) for known in self.model.turns.values() if known.session is turn.session]
        if sorted(listed) != sorted(made):
            self._fail(("told", f"{listed} are listed where {made} were made"))
        self._read_budget(clock_s)

    def _read_budget(self, clock_s: int) -> None:
        """Compare the tenant's budget with the stored one. The hold of an unknown outcome in the platform's share is
        drawn.
        """
        told = json.loads(self.deployment.call("GET", "/budget", clock_s=clock_s).body)
        tenant, share = self.watch.now.tenant, self.watch.now.share
        stored = {
            "limit_usd": Decimal(self.model.allowance_usd or model.DEFAULT_ALLOWANCE_USD),
            "held_usd": share.held_usd - share.suspended_usd,
            "drawn_usd": share.spent_usd + share.suspended_usd,
        }
        figures = {name: Decimal(usd) for name, usd in told["allowance"].items()}
        own = (Decimal(told["held_usd"]), Decimal(told["spent_usd"]), Decimal(told["limit_usd"]))
        if figures != stored or own != (tenant.held_usd, tenant.spent_usd, tenant.most_usd):
            self._fail(("told", f"{told} where {tenant} and {stored} are stored"))

    @rule(usd=st.sampled_from(choices.AMOUNTS), cap=st.booleans())
    def set_budget(self, usd: str | None, cap: bool) -> None:
        """Set the tenant's limit, or the operator's cap."""
        if cap:
            self._administer(_CAP, {"limit_usd": usd})
            self.model.cap_usd = usd
            return
        answer = self.deployment.call("PUT", "/budget", {"limit_usd": usd}, role="admin")
        highest = self.model.cap_usd
        if usd is not None and highest is not None and Decimal(usd) > Decimal(highest):
            self._check(answer, Expected(422, "budget_above_cap"))
            return
        self._check(answer, Expected(200))
        self.model.limit_usd = usd

    @rule(usd=st.sampled_from(choices.ALLOWANCES))
    def set_allowance(self, usd: str | None) -> None:
        """Set the most that the platform bears for the tenant."""
        self._administer(_CAP, {"limit_usd": self.model.cap_usd, "allowance_usd": usd})
        self.model.allowance_usd = usd

    @rule(bears=st.booleans())
    def switch_platform(self, bears: bool) -> None:
        """Switch the platform's budget on or off."""
        self._administer("/admin/platform/budget", {"limit_usd": None if bears else "0"})
        self.model.platform_bears = bears

    def _administer(self, path: str, body: dict[str, Any]) -> None:
        role = HttpSettings().operator_role
        self._check(self.deployment.call("PUT", path, body, role=role, function="admin"), Expected(200))
