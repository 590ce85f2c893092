"""The floor of the benches: the same turns, hand-written in psycopg.

It takes the same event, gives the same response, and writes the same rows, journal and commits. It has no framework,
row-level security, limit of a budget, retry or resume. Pantheon's ratio to it is the cost of Pantheon's structure.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
from uuid6 import uuid7

from shared.llm.port import Message, Provider, Request

_LOAD = """
    SELECT s.next_turn_index, s.tenant_id, s.agent_keys, s.mode, s.fan_out,
      (SELECT json_agg(v) FROM agents a JOIN agent_versions v USING (tenant_id, key, version)
       WHERE a.tenant_id = s.tenant_id AND a.key = ANY (s.agent_keys)),
      (SELECT json_agg(h ORDER BY h.turn_index) FROM (
        SELECT turn_index, message, (SELECT json_agg(r) FROM (
          SELECT position, agent_key, name, text FROM replies WHERE turn_id = t.id) r) AS replies
        FROM turns t WHERE t.session_id = s.id AND t.completed_at IS NOT NULL ORDER BY turn_index DESC LIMIT 50) h),
      (SELECT row_to_json(m) FROM (SELECT * FROM summaries WHERE session_id = s.id
       ORDER BY through_turn_index DESC LIMIT 1) m)
    FROM sessions s WHERE s.id = %s"""

_CALLS = """
    INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, agent_key, agent_version,
      model_alias, provider, model_id, request_hash, payer, period, reserve_usd, rates, status)
    SELECT c.call_id, %(tenant_id)s, %(session_id)s, %(turn_id)s, c.step, 1, c.purpose, c.agent_key, 1, 'fast',
      'scripted', 'scripted-fast', c.request_hash, 'tenant:' || %(tenant_id)s, date_trunc('month', now()), 0.001,
      c.rates, 'intent'
    FROM jsonb_to_recordset(%(calls)s::jsonb)
      AS c (call_id uuid, step int, purpose text, agent_key text, request_hash text, rates jsonb)"""

_HOLD = """
    INSERT INTO budgets (payer, period, held_usd)
    VALUES ('tenant:' || %(tenant_id)s, date_trunc('month', now()), %(reserve)s)
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + %(reserve)s"""

_ACCEPT = f"""
    WITH locked AS (
      SELECT id FROM sessions WHERE id = %(session_id)s AND next_turn_index = %(index)s FOR NO KEY UPDATE),
    turn AS (
      INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
        roster, lease_epoch, lease_expires_at, dispatch_after)
      SELECT %(turn_id)s, %(tenant_id)s, id, 'bench', %(index)s, 'running', %(fingerprint)s, %(message)s, %(mode)s,
        'sequential', %(roster)s::jsonb, 1, now() + interval '1 minute', now() + interval '1 minute'
      FROM locked RETURNING session_id),
    bump AS (UPDATE sessions SET next_turn_index = next_turn_index + 1 FROM turn WHERE sessions.id = turn.session_id),
    hold AS ({_HOLD})
    {_CALLS}"""

_OUTCOME = """
    UPDATE llm_calls SET status = 'succeeded', verdict = 'reply', finished_at = now(), input_tokens = %(input)s,
      output_tokens = %(output)s, cost_usd = 0.0001, output = %(text)s, stop_reason = 'end_turn',
      provider_request_id = 'bench' WHERE call_id = %(last_call_id)s"""

_NEXT = f"""
    WITH fence AS (
      UPDATE turns SET lease_expires_at = now() + interval '1 minute', dispatch_after = now() + interval '1 minute',
        plan = %(plan)s::jsonb
      WHERE id = %(turn_id)s AND lease_epoch = 1 AND status = 'running'),
    outcome AS ({_OUTCOME}),
    hold AS ({_HOLD})
    {_CALLS}"""

_PUBLISH = """
    WITH ended AS (
      UPDATE turns SET status = 'completed', response = %(response)s, completed_at = now(), lease_expires_at = NULL,
        plan = %(plan)s::jsonb, dispatch_after = NULL
      WHERE id = %(turn_id)s AND lease_epoch = 1 AND status = 'running'),
    last AS (
      UPDATE llm_calls SET status = 'succeeded', verdict = 'reply', finished_at = now(), input_tokens = %(input)s,
        output_tokens = %(output)s, cost_usd = 0.0001, posted_at = now(), stop_reason = 'end_turn',
        provider_request_id = 'bench' WHERE call_id = %(last_call_id)s RETURNING *),
    others AS (
      UPDATE llm_calls SET posted_at = now(), output = NULL
      WHERE turn_id = %(turn_id)s AND call_id <> %(last_call_id)s RETURNING *),
    calls AS (SELECT * FROM last UNION ALL SELECT * FROM others),
    ledger AS (
      INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
        agent_key, model_alias, input_tokens, output_tokens, amount_usd, rates, reason, user_id)
      SELECT tenant_id, session_id, turn_id, call_id, step, attempt, 'post', 'tenant', period, purpose, agent_key,
        model_alias, input_tokens, output_tokens, cost_usd, rates,
        CASE purpose WHEN 'agent' THEN 'reply' ELSE 'helper' END, 'bench' FROM calls),
    stored AS (
      INSERT INTO replies (turn_id, position, tenant_id, agent_key, agent_version, name, status, text, stop_reason,
        model_alias, input_tokens, output_tokens, cost_usd)
      SELECT %(turn_id)s, r.position, %(tenant_id)s, r.agent_key, 1, r.name, 'completed', r.text, r.stop_reason,
        r.model_alias, r.input_tokens, r.output_tokens, r.cost_usd
      FROM jsonb_to_recordset(%(replies)s::jsonb) AS r (position int, agent_key text, name text, text text,
        stop_reason text, model_alias text, input_tokens int, output_tokens int, cost_usd numeric)),
    summarised AS (
      INSERT INTO summaries (id, tenant_id, session_id, turn_id, through_turn_index, text, key_facts, decisions,
        open_questions, action_items, archived, fallbacks)
      SELECT %(turn_id)s, %(tenant_id)s, %(session_id)s, %(turn_id)s, %(index)s, s, '[]', '[]', '[]', '[]', '{}', '[]'
      FROM (SELECT %(summary)s::text AS s) written WHERE s IS NOT NULL),
    settled AS (
      UPDATE budgets SET held_usd = held_usd - t.reserve, spent_usd = spent_usd + t.cost
      FROM (SELECT payer, period, sum(reserve_usd) AS reserve, sum(cost_usd) AS cost FROM calls GROUP BY 1, 2) t
      WHERE budgets.payer = t.payer AND budgets.period = t.period)
    INSERT INTO audit_events (tenant_id, turn_id, session_id, user_id, event, detail)
    VALUES (%(tenant_id)s, %(turn_id)s, %(session_id)s, 'bench', 'turn_published', %(audit)s::jsonb)"""
_RATES = {"input": "0.1", "output": "0.4", "cache_read": "0.01", "cache_write": "0.125", "reasoning": "0.4"}

_COST = {"cost_usd": "0.0001"}
_NO_TOKENS = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 0
)
_ATTEMPT = {"attempt": 1, "model_alias": "fast", "status": "succeeded", "verdict": "reply", "error": None}
_ROUTE: dict[str, object] = {"properties": {"selected_agent_keys": {}}}


class Floor:
    """`connection` is in autocommit and prepares at first use; `template` is what each call's request is made of."""

    def __init__(
        self, connection: psycopg.Connection[Any], provider: Provider, template: Request, *, summaries: bool = False
    ) -> None:
        self._connection = connection
        self._provider = provider
        self._template = template
        self._summaries = summaries

    def take_turn(self, event: dict[str, Any]) -> dict[str, Any]:
        """One turn, from the API Gateway event to its response."""
        body = json.loads(event["body"])
        session_id = event["path"].split("/")[-2]
        loaded = self._connection.execute(_LOAD, (session_id,)).fetchall()[0]
        index, tenant_id, roster, mode, fan_out, agents, past, _ = loaded
        history = [message for turn in past or () for message in _exchange(turn)]
        turn = _Turn(self._connection, session_id, tenant_id, index, mode, body["message"])
        turn.params["roster"] = json.dumps([{"key": agent["key"], "version": agent["version"]} for agent in agents])
        keys = body.get("agent_keys") or self._plan(turn, roster, history)
        turn.params["plan"] = json.dumps({"selected_agent_keys": keys})
        if fan_out == "parallel":
            self._ask_all(turn, keys, history)
        else:
            for key in keys:
                said = "\n".join(reply["text"] for reply in turn.replies)
                turn.hear(key, self._ask(turn, "agent", key, (*history, Message("user", turn.message + said))))
        summary = self._summarise(turn) if self._summaries else None
        return {"statusCode": 201, "body": turn.publish(summary)}

    def _plan(self, turn: "_Turn", roster: list[str], history: list[Message]) -> list[str]:
        if turn.mode == "orchestrator":
            answer = self._ask(turn, "routing", None, (*history, Message("user", turn.message)), _ROUTE)
            chosen: list[str] = json.loads(answer)["selected_agent_keys"]
            return chosen
        return re.findall(r"@(\w+)", turn.message) if turn.mode == "tag" else roster

    def _summarise(self, turn: "_Turn") -> str:
        said = Message("user", "\n".join(reply["text"] for reply in turn.replies))
        text = self._ask(turn, "summary_text", None, (said,))
        self._ask(turn, "summary_structure", None, (said,))
        return text

    def _ask(
        self,
        turn: "_Turn",
        purpose: str,
        key: str | None,
        messages: tuple[Message, ...],
        schema: dict[str, object] | None = None,
    ) -> str:
        (call_id,) = turn.open([(purpose, key)], messages)
        return turn.close(call_id, self._complete(call_id, messages, schema))

    def _ask_all(self, turn: "_Turn", keys: list[str], history: list[Message]) -> None:
        messages = (*history, Message("user", turn.message))
        calls = turn.open([("agent", key) for key in keys], messages)
        with ThreadPoolExecutor(max_workers=len(calls)) as threads:
            answers = threads.map(lambda call_id: self._complete(call_id, messages), calls)
            for number, (key, call_id, answer) in enumerate(zip(keys, calls, answers, strict=True)):
                turn.hear(key, turn.close(call_id, answer))
                if number < len(keys) - 1:
                    turn.connection.execute(_OUTCOME, turn.params)

    def _complete(self, call_id: str, messages: tuple[Message, ...], schema: dict[str, object] | None = None) -> Any:
        cap = self._template.max_output_tokens
        request = Request(call_id, "", self._template.model, messages, cap, response_schema=schema)
        return self._provider.complete(request)


class _Turn:
    def __init__(
        self, connection: psycopg.Connection[Any], session_id: str, tenant_id: str, index: int, mode: str, message: str
    ) -> None:
        self.connection = connection
        self.mode = mode
        self.message = message
        self.replies: list[dict[str, Any]] = []
        self.params: dict[str, Any] = {
            "session_id": session_id,
            "tenant_id": tenant_id,
            "turn_id": str(uuid7()),
            "index": index,
            "mode": mode,
            "message": message,
            "fingerprint": hashlib.sha256(message.encode()).hexdigest(),
            "plan": None,
        }
        self._attempts: list[dict[str, Any]] = []
        self._steps = 0

    def open(self, asks: list[tuple[str, str | None]], messages: tuple[Message, ...]) -> list[str]:
        sent = json.dumps([(message.role, message.text) for message in messages])
        known = {"request_hash": hashlib.sha256(sent.encode()).hexdigest(), "rates": _RATES}
        calls = [
            {"call_id": str(uuid7()), "step": self._steps + number, "purpose": purpose}
            for number, (purpose, _) in enumerate(asks)
        ]
        self._attempts += [{**call, **_ATTEMPT} for call in calls]
        written = [{**call, **known, "agent_key": key} for call, (_, key) in zip(calls, asks, strict=True)]
        self.params |= {"calls": json.dumps(written), "reserve": 0.001 * len(calls)}
        self.connection.execute(_NEXT if self._steps else _ACCEPT, self.params)
        self._steps += len(calls)
        return [str(call["call_id"]) for call in calls]

    def close(self, call_id: str, answer: Any) -> str:
        usage = answer.usage
        self.params |= {"input": usage.input_tokens, "output": usage.output_tokens, "text": answer.text}
        self.params["last_call_id"] = call_id
        return str(answer.text)

    def hear(self, key: str, text: str) -> None:
        usage = {**_NO_TOKENS, "input_tokens": self.params["input"], "output_tokens": self.params["output"]}
        known = {"position": len(self.replies), "agent_key": key, "agent_version": 1, "name": key.title()}
        told = {"status": "completed", "text": text, "stop_reason": "end_turn", "error": None, "model_alias": "fast"}
        self.replies.append({**known, **told, "usage": usage, **_COST})

    def publish(self, summary: str | None) -> str:
        rows = [reply | reply["usage"] for reply in self.replies]
        stored = {"response": self._response(summary), "replies": json.dumps(rows), "summary": summary}
        keys = [reply["agent_key"] for reply in self.replies]
        agents = [{"key": key, "version": 1, "status": "completed"} for key in keys]
        audit = {"status": "completed", "selected_agent_keys": keys, "plan_source": self.mode, "agents": agents}
        audit |= {"model_aliases": ["fast" for _ in keys], "fallbacks": [], "attempts": self._attempts}
        self.connection.execute(_PUBLISH, self.params | stored | {"audit": json.dumps(audit)})
        return str(stored["response"])

    def _response(self, summary: str | None) -> str:
        """All that the API's turn has."""
        now = datetime.now(UTC).isoformat()
        turn = {
            "id": self.params["turn_id"],
            "session_id": self.params["session_id"],
            "turn_index": self.params["index"],
            "status": "completed",
            "mode": self.mode,
            "message": self.message,
            "error": None,
            "plan": self.params["plan"],
            "replies": self.replies,
            "output": "\n\n".join(f"{reply['name']}: {reply['text']}" for reply in self.replies),
            "model_alias_used": "fast",
            "model_aliases_used": ["fast"],
            "summary_triggered": summary is not None,
            "fallbacks": [],
            "usage": {name: sum(reply["usage"][name] for reply in self.replies) for name in _NO_TOKENS},
            **_COST,
            "platform_cost_usd": "0",
            "steps_finished": self._steps,
            "created_at": now,
            "completed_at": now,
        }
        return json.dumps(turn, separators=(",", ":"))


def _exchange(turn: dict[str, Any]) -> tuple[Message, Message]:
    said = "\n\n".join(f"{reply['name']}: {reply['text']}" for reply in turn["replies"] or ())
    return Message("user", turn["message"]), Message("assistant", said)
