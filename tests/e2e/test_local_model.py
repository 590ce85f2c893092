"""Tests a whole turn with the machine's real model: no key, no account, and real token counts."""

from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from local.stack import Stack
from tests.support.council_room import broken_invariants
from tests.support.stack.tenant import ENDED, agent, environ, open_client

# Generous: a machine that tests other things at the same time lets a call wait for 10 s and more.
LIMITS = {"llm_provider": "local", "max_call_s": 60, "turn_seconds": 120}
PATIENCE_S = 150.0


def test_two_agents_answer_with_text_tokens_and_cost(tmp_path: Path) -> None:
    with Stack.start(environ(tmp_path, **LIMITS)) as stack, open_client(stack.url, stack.token()) as http:
        for key in ("one", "two"):
            assert http.post("agents", json=agent(key, max_output_tokens=8)).status_code == 201
        session = http.post("sessions", json={"mode": "tag", "agent_keys": ["one", "two"]}).json()
        body = {"message": "@one @two Name a colour."}
        posted = http.post(f"sessions/{session['id']}/turns", json=body, timeout=PATIENCE_S)
        assert posted.status_code in (201, 202)
        turn = posted.json()
        for _ in range(6):
            if turn["status"] not in ENDED:
                turn = http.get(f"turns/{turn['id']}", params={"wait": 20}).json()
        with psycopg.connect(stack.owner_url, row_factory=dict_row) as owner:
            assert broken_invariants(owner) == {}
    assert (turn["status"], [reply["agent_key"] for reply in turn["replies"]]) == ("completed", ["one", "two"])
    for reply in turn["replies"]:
        assert (reply["status"], reply["model_alias"]) == ("completed", "fast")
        assert reply["text"].strip()
        # The role prompt and the message take more tokens than words; the answer is cut at its cap, or ends before.
        assert reply["usage"]["input_tokens"] > 20
        assert 0 < reply["usage"]["output_tokens"] <= 8
        assert Decimal(reply["cost_usd"]) > 0
    assert Decimal(turn["cost_usd"]) == sum(Decimal(reply["cost_usd"]) for reply in turn["replies"])
