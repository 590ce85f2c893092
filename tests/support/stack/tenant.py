"""Gives a test its own tenant: an HTTP client, the owner's view of its database, and the provider's log."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from shared.db.engine import Row
from tests.support.fake_provider import FakeProvider
from tests.support.fake_provider import Row as Request
from tests.support.processes import DEADLINE_S, eventually

ENDED = ("completed", "failed", "cancelled")
API_KEY = "sk-of-the-tests"
# In the environment that the stack is started with, and for none of its processes.
CANARY = "canary-of-the-tests"
# Time limit of one call in seconds: enough on a busy machine, and short for an answer that never ends.
MAX_CALL_S = 4
# Time limit of a posted turn in seconds: after two calls that never ended, no time is left for a third.
TURN_SECONDS = 12
# A client waits longer than any function may take.
PATIENCE_S = 60.0


def environ(data_dir: Path, **variables: object) -> dict[str, str]:
    """This process's environment with these variables of ours (`llm_provider` is PANTHEON_LLM_PROVIDER), on any port
    that is free. New tenants have no agents, because the roster is empty."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    ours = {"port": 0, "data_dir": data_dir, "roster": os.devnull, **variables}
    return inherited | {f"PANTHEON_{name.upper()}": str(value) for name, value in ours.items()}


def with_provider(provider: FakeProvider, data_dir: Path, **variables: object) -> dict[str, str]:
    """`environ` for a stack whose models are those of `provider`."""
    limits = {"max_call_s": MAX_CALL_S, "turn_seconds": TURN_SECONDS}
    openai = {"llm_provider": "openai", "llm_base_url": provider.url, "llm_api_key": API_KEY}
    return environ(data_dir, **{**openai, **limits, **variables})


def open_client(url: str, token: str) -> httpx.Client:
    """A client of the API at `url`; paths are relative to /api/v1/."""
    return httpx.Client(base_url=f"{url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S)


def agent(key: str, **changes: object) -> dict[str, object]:
    """The body that makes an agent. The provider's rules tell agents apart by `You are Writer,` and the like."""
    body = {"key": key, "name": key.title(), "role_prompt": f"You do what a {key} does.", "model_alias": "fast"}
    return {**body, **changes}


@dataclass
class Tenant:
    """`owner` sees every row. `provider` is everybody's: its first `earlier` requests are not this tenant's."""

    id: str
    http: httpx.Client
    owner: psycopg.Connection[Row]
    provider: FakeProvider
    earlier: int

    def make_agents(self, *keys: str, **changes: object) -> None:
        for key in keys:
            assert self.http.post("agents", json=agent(key, **changes)).status_code == 201

    def make_council(self, key: str, *agent_keys: str, mode: str = "council", **changes: object) -> None:
        body = {"key": key, "name": key.title(), "mode": mode, "agent_keys": agent_keys, **changes}
        made = self.http.post("councils", json=body)
        assert made.status_code == 201, made.text

    def make_session(self, *keys: str, mode: str = "tag") -> str:
        made = self.http.post("sessions", json={"title": "Talk", "mode": mode, "agent_keys": keys})
        assert made.status_code == 201
        return str(made.json()["id"])

    def post(self, session_id: str, message: str, key: str | None = None, **body: Any) -> httpx.Response:
        """Post a turn, under an Idempotency-Key where one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"sessions/{session_id}/turns", json={"message": message, **body}, headers=headers)

    def take(self, session_id: str, message: str, **body: Any) -> dict[str, Any]:
        """The turn that ended with its 201."""
        answer = self.post(session_id, message, **body)
        assert answer.status_code == 201, answer.text
        turn: dict[str, Any] = answer.json()
        return turn

    def wait_for(self, turn_id: str) -> dict[str, Any]:
        """The turn, once it has ended."""

        def ended() -> dict[str, Any] | None:
            turn: dict[str, Any] = self.http.get(f"turns/{turn_id}", params={"wait": 20}).json()
            return turn if turn["status"] in ENDED else None

        turn: dict[str, Any] = eventually(ended)
        return turn

    @property
    def requests(self) -> list[Request]:
        return self.provider.rows[self.earlier :]

    def wait_for_requests(self, count: int) -> list[Request]:
        """The requests, once there are `count` of them; one on hold is among them."""
        return self.provider.wait_for_requests(self.earlier + count, DEADLINE_S)[self.earlier :]

    def rows(self, query: str, *params: object) -> list[Row]:
        return self.owner.execute(query.encode(), params).fetchall()

    def row(self, query: str, *params: object) -> Row:
        (row,) = self.rows(query, *params)
        return row

    def calls(self, turn_id: str) -> list[Row]:
        """The turn's journal, each call with its post on the ledger: `account` and `amount_usd` are None before."""
        query = """SELECT c.*, l.account, l.amount_usd, l.input_tokens AS posted_input, l.output_tokens AS posted_output
            FROM llm_calls c LEFT JOIN usage_ledger l USING (call_id) WHERE c.turn_id = %s ORDER BY c.step, c.attempt"""
        return self.rows(query, turn_id)

    def expire_lease(self, turn_id: str) -> None:
        """Set the turn's lease to one second ago, and its dispatch to one minute ahead, as a sweep does."""
        query = """UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second',
            dispatch_after = clock_timestamp() + interval '1 minute' WHERE id = %s"""
        self.owner.execute(query.encode(), [turn_id])


def unjournaled_requests(tenant: Tenant) -> set[str | None]:
    """Return the ids of calls that are in the provider's log and not in the journal."""
    journal = {str(row["call_id"]) for row in tenant.rows("SELECT call_id FROM llm_calls")}
    return {request.client_request_id for request in tenant.requests} - journal
