"""The floor: the same turn, hand-written in psycopg for this one case. Same tables, same journal, same N + 1 commits;
no framework, no row-level security, no retry, no resume, no budget limit.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
from uuid6 import uuid7

from shared.llm.port import Message, Provider, Request

_LOAD = """
    SELECT s.next_turn_index, s.tenant_id,
      (SELECT json_agg(v) FROM agents a JOIN agent_versions v USING (tenant_id, key, version)
       WHERE a.tenant_id = s.tenant_id AND a.key = ANY (s.agent_keys)),
      (SELECT json_agg(h ORDER BY h.turn_index) FROM (
        SELECT turn_index, message, (SELECT json_agg(r) FROM replies r WHERE r.turn_id = t.id)
        FROM turns t WHERE t.session_id = s.id AND t.completed_at IS NOT NULL ORDER BY turn_index DESC LIMIT 50) h)
    FROM sessions s WHERE s.id = %s"""

_CALL = """
    INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, agent_key, agent_version,
      model_alias, provider, model_id, request_hash, payer, period, reserve_usd, rates, status)
    VALUES (%(call_id)s, %(tenant_id)s, %(session_id)s, %(turn_id)s, %(step)s, 1, 'agent', %(agent_key)s, 1, 'fast',
      'scripted', 'scripted-fast', '', 'tenant:' || %(tenant_id)s, date_trunc('month', now()), 0.001, '{}', 'intent')"""

_HOLD = """
    INSERT INTO budgets (payer, period, held_usd) VALUES ('tenant:' || %(tenant_id)s, date_trunc('month', now()), 0.001)
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + 0.001"""

_ACCEPT = f"""
    WITH locked AS (
      SELECT id FROM sessions WHERE id = %(session_id)s AND next_turn_index = %(index)s FOR NO KEY UPDATE),
    turn AS (
      INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
        roster, plan, lease_epoch, lease_expires_at, dispatch_after)
      SELECT %(turn_id)s, %(tenant_id)s, id, 'bench', %(index)s, 'running', '', %(message)s, 'manual', 'sequential',
        '[]', '{{}}', 1, now() + interval '1 minute', now() + interval '1 minute' FROM locked RETURNING session_id),
    bump AS (UPDATE sessions SET next_turn_index = next_turn_index + 1 FROM turn WHERE sessions.id = turn.session_id),
    hold AS ({_HOLD})
    {_CALL}"""

_OUTCOME = """
    UPDATE llm_calls SET status = 'succeeded', verdict = 'reply', finished_at = now(), input_tokens = %(input)s,
      output_tokens = %(output)s, cost_usd = 0.0001, output = %(text)s WHERE call_id = %(last_call_id)s"""

_NEXT = f"""
    WITH fence AS (
      UPDATE turns SET lease_expires_at = now() + interval '1 minute', dispatch_after = now() + interval '1 minute'
      WHERE id = %(turn_id)s AND lease_epoch = 1 AND status = 'running'),
    outcome AS ({_OUTCOME}),
    hold AS ({_HOLD})
    {_CALL}"""

_PUBLISH = """
    WITH ended AS (
      UPDATE turns SET status = 'completed', response = %(response)s, completed_at = now(), lease_expires_at = NULL,
        dispatch_after = NULL WHERE id = %(turn_id)s AND lease_epoch = 1 AND status = 'running'),
    last AS (
      UPDATE llm_calls SET status = 'succeeded', verdict = 'reply', finished_at = now(), input_tokens = %(input)s,
        output_tokens = %(output)s, cost_usd = 0.0001, posted_at = now() WHERE call_id = %(last_call_id)s RETURNING *),
    others AS (
      UPDATE llm_calls SET posted_at = now(), output = NULL
      WHERE turn_id = %(turn_id)s AND call_id <> %(last_call_id)s RETURNING *),
    calls AS (SELECT * FROM last UNION ALL SELECT * FROM others),
    ledger AS (
      INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
        agent_key, model_alias, input_tokens, output_tokens, amount_usd, rates)
      SELECT tenant_id, session_id, turn_id, call_id, step, attempt, 'post', 'tenant', period, purpose, agent_key,
        model_alias, input_tokens, output_tokens, cost_usd, rates FROM calls),
    stored AS (
      INSERT INTO replies (turn_id, position, tenant_id, agent_key, agent_version, name, status, text, cost_usd)
      SELECT %(turn_id)s, r.position, %(tenant_id)s, r.agent_key, 1, r.agent_key, 'completed', r.text, 0.0001
      FROM jsonb_to_recordset(%(replies)s::jsonb) AS r (position int, agent_key text, text text)),
    settled AS (
      UPDATE budgets SET held_usd = held_usd - t.reserve, spent_usd = spent_usd + t.cost
      FROM (SELECT payer, period, sum(reserve_usd) AS reserve, sum(cost_usd) AS cost FROM calls GROUP BY 1, 2) t
      WHERE budgets.payer = t.payer AND budgets.period = t.period)
    INSERT INTO audit_events (tenant_id, turn_id, session_id, user_id, event, detail)
    VALUES (%(tenant_id)s, %(turn_id)s, %(session_id)s, 'bench', 'turn_published', '{}')"""


def take_turn(
    connection: psycopg.Connection[Any],
    provider: Provider,
    request: Request,
    session_id: UUID,
    keys: list[str],
    message: str,
) -> str:
    """One turn of `keys`, one after the other, and its response as JSON. `request` is the template of each call."""
    index, tenant_id, _, _ = connection.execute(_LOAD, (session_id,)).fetchall()[0]
    params: dict[str, Any] = {
        "session_id": session_id,
        "tenant_id": tenant_id,
        "turn_id": uuid7(),
        "index": index,
        "message": message,
    }
    replies: list[Mapping[str, Any]] = []
    for step, key in enumerate(keys):
        params |= {"call_id": uuid7(), "step": step, "agent_key": key}
        connection.execute(_ACCEPT if step == 0 else _NEXT, params)
        said = "\n".join(reply["text"] for reply in replies)
        answer = provider.complete(
            Request(str(params["call_id"]), "", request.model, (Message("user", message + said),), 96)
        )
        replies.append({"position": step, "agent_key": key, "text": answer.text})
        usage = answer.usage
        params |= {"input": usage.input_tokens, "output": usage.output_tokens, "text": answer.text}
        params["last_call_id"] = params["call_id"]
    response = json.dumps({"id": str(params["turn_id"]), "turn_index": index, "replies": replies})
    connection.execute(_PUBLISH, params | {"response": response, "replies": json.dumps(replies)})
    return response
