"""Check the API over HTTP: the deployed commit, the tokens that it accepts, and streaming."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import httpx

from infra_cdk.confirm.check import Deployment, Finding, confirmed, failed, skipped

# All parts of a buffered answer arrive within this time. A model takes longer.
_APART_S: Final = 0.2
_PROMPT: Final = "You are part of a test. Count from one to fifty in words."
_TOKENS: Final = 400


def serves_the_commit(deployment: Deployment) -> Finding:
    answer = deployment.http.get("health")
    body = answer.json()
    seen = f"{answer.status_code} {body.get('status')}, version {body.get('version')}, commit {body.get('commit')}"
    if answer.status_code != 200 or body.get("stage") != deployment.stage.deployment:
        return failed(f"{seen}, stage {body.get('stage')}")
    if deployment.commit is not None and body.get("commit") != deployment.commit:
        return failed(f"{seen}; expected {deployment.commit}")
    return confirmed(seen)


def refuses_access_tokens(deployment: Deployment) -> Finding:
    """Check that an ID token is accepted and an access token of the same pool is refused."""
    if deployment.access_token is None:
        return skipped("no --access-token was given")
    me = deployment.http.get("auth/me")
    headers = {"Authorization": f"Bearer {deployment.access_token}"}
    other = deployment.http.get("auth/me", headers=headers)
    seen = f"the given token: {me.status_code}; the access token: {other.status_code}"
    return confirmed(seen) if (me.status_code, other.status_code) == (200, 401) else failed(seen)


def streams(deployment: Deployment) -> Finding:
    with _session(deployment.http) as (session_id, key):
        asked = {"message": f"@{key} count"}
        headers = {"Accept": "text/event-stream"}
        first: float | None = None
        with deployment.http.stream("POST", f"sessions/{session_id}/turns", json=asked, headers=headers) as answer:
            if answer.status_code != 200:
                return failed(f"the turn was answered with {answer.status_code}")
            for line in answer.iter_lines():
                if first is None and line.startswith("event:") and line.endswith("delta"):
                    first = deployment.clock()
        end = deployment.clock()
    if first is None:
        return failed("no piece of the answer came before its end")
    seen = f"the first piece came {end - first:.1f} s before the end"
    return confirmed(seen) if end - first >= _APART_S else failed(f"{seen}: something on the way buffers")


@contextmanager
def _session(http: httpx.Client) -> Iterator[tuple[str, str]]:
    """Make a session with one agent, and delete both."""
    key = f"confirm-{uuid4().hex[:12]}"
    agent = {"key": key, "name": key, "role_prompt": _PROMPT, "model_alias": "fast", "max_output_tokens": _TOKENS}
    _made(http.post("agents", json=agent))
    try:
        session = _made(http.post("sessions", json={"title": "Confirm", "mode": "tag", "agent_keys": [key]}))
        yield session["id"], key
        http.delete(f"sessions/{session['id']}")
    finally:
        http.delete(f"agents/{key}")


def _made(answer: httpx.Response) -> dict[str, Any]:
    answer.raise_for_status()
    found: dict[str, Any] = json.loads(answer.content)
    return found
