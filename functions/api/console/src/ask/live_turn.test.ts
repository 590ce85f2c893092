import assert from "node:assert/strict";
import { test } from "node:test";
import type { TurnEvent } from "../api/turn_events.ts";
import type { Reply, Turn } from "../api/types.ts";
import { after, afterAll, chairPosition, type ShownTurn, sent, stored } from "./live_turn.ts";

const PLAN = { selected_agent_keys: ["writer", "critic"], source: "tags" as const, unknown_tags: [] };

function turn(changes: Partial<Turn> = {}): Turn {
  return {
    id: "t1",
    turn_index: 1,
    status: "running",
    mode: "tag",
    message: "hello",
    plan: null,
    replies: [],
    ...changes,
  } as Turn;
}

function reply(position: number, changes: Partial<Reply> = {}): Reply {
  const agent_key = PLAN.selected_agent_keys[position] ?? "writer";
  return {
    position,
    agent_key,
    name: agent_key,
    status: "completed",
    text: `final ${position}`,
    model_alias: "fast",
    ...changes,
  } as Reply;
}

function started(position: number, attempt = 1): TurnEvent {
  const agent_key = PLAN.selected_agent_keys[position] ?? "writer";
  return {
    name: "reply.started",
    data: { position, agent_key, name: agent_key, model_alias: "fast", attempt },
  };
}

const delta = (position: number, text: string): TurnEvent => ({
  name: "reply.delta",
  data: { position, text },
});
const reset = (position: number): TurnEvent => ({ name: "reply.reset", data: { position } });
const done = (given: Reply): TurnEvent => ({ name: "reply.completed", data: given });
const begun: TurnEvent[] = [
  { name: "turn", data: turn() },
  { name: "plan", data: PLAN },
];
const told = (...events: TurnEvent[]): ShownTurn => afterAll(sent("hello"), [...begun, ...events]);
const texts = (shown: ShownTurn) => shown.replies.map((each) => each.text);
const states = (shown: ShownTurn) => shown.replies.map((each) => each.state);

test("a planned agent waits until it is asked", () => {
  assert.deepEqual(states(told()), ["waiting", "waiting"]);
  assert.deepEqual(
    told().replies.map((each) => each.agentKey),
    ["writer", "critic"],
  );
  assert.deepEqual(states(told(started(0))), ["writing", "waiting"]);
});

test("the texts of agents that answer at the same time are kept apart", () => {
  const shown = told(started(0), started(1), delta(1, "B1"), delta(0, "A1"), delta(1, "B2"), delta(0, "A2"));
  assert.deepEqual(texts(shown), ["A1A2", "B1B2"]);
});

test("a reset forgets the text of its reply alone", () => {
  const shown = told(started(0), started(1), delta(0, "lost"), delta(1, "kept"), reset(0));
  assert.deepEqual(texts(shown), ["", "kept"]);
  const again = afterAll(shown, [started(0, 2), delta(0, "second")]);
  assert.deepEqual(texts(again), ["second", "kept"]);
  assert.equal(again.replies[0]?.attempt, 2);
});

test("a later attempt takes the place of a reply that was told and not stored", () => {
  const shown = told(started(0), delta(0, "first"), done(reply(0)), started(0, 2));
  assert.deepEqual(
    [shown.replies[0]?.state, shown.replies[0]?.text, shown.replies[0]?.reply],
    ["writing", "", null],
  );
});

test("events that are told twice change nothing", () => {
  const shown = told(started(0), delta(0, "text"));
  assert.equal(after(shown, started(0)), shown);
  const completed = after(shown, done(reply(0)));
  assert.equal(after(completed, delta(0, "late")), completed);
  assert.equal(after(completed, started(0)), completed);
  assert.equal(after(completed, reset(0)), completed);
  assert.deepEqual(texts(after(completed, done(reply(0)))), ["final 0", ""]);
});

test("a completed reply is the truth if pieces were lost", () => {
  assert.deepEqual(texts(told(started(0), delta(0, "fin"), done(reply(0)))), ["final 0", ""]);
});

test("a failed reply has no text", () => {
  const failed = reply(0, { status: "failed", text: null });
  const shown = told(started(0), delta(0, "half"), reset(0), done(failed));
  assert.deepEqual(
    [shown.replies[0]?.state, shown.replies[0]?.text, shown.replies[0]?.reply],
    ["ended", "", failed],
  );
});

test("a turn that is replayed shows all replies at once", () => {
  const ended = turn({ status: "completed", plan: PLAN, replies: [reply(0), reply(1)] });
  const shown = afterAll(sent("hello"), [
    { name: "turn", data: ended },
    { name: "turn.ended", data: ended },
  ]);
  assert.deepEqual(
    [shown.ended, texts(shown), states(shown)],
    [true, ["final 0", "final 1"], ["ended", "ended"]],
  );
  assert.deepEqual(texts(stored(ended)), ["final 0", "final 1"]);
});

test("a turn that was handed over keeps its texts and goes on", () => {
  const before = told(started(0), delta(0, "half"));
  // The stream ended. The next one begins with what comes after the last event.
  const shown = afterAll(before, [done(reply(0)), started(1), done(reply(1))]);
  assert.deepEqual(texts(shown), ["final 0", "final 1"]);
});

test("a post that is repeated after a lost connection keeps what was told", () => {
  const before = afterAll(told(started(0), done(reply(0)), started(1), delta(1, "half")), [
    { name: "connection", data: "lost" },
  ]);
  assert.equal(before.connection, "lost");
  const shown = afterAll(before, [
    { name: "connection", data: "back" },
    { name: "turn", data: turn({ plan: PLAN, replies: [reply(0)] }) },
  ]);
  assert.deepEqual(
    [shown.connection, texts(shown), states(shown)],
    ["back", ["final 0", "half"], ["ended", "writing"]],
  );
});

test("a turn that has ended does not begin again", () => {
  const ended = turn({ status: "cancelled", plan: PLAN, replies: [reply(0)] });
  const shown = told(started(0), started(1), delta(1, "half"), { name: "turn.ended", data: ended });
  assert.deepEqual([shown.ended, texts(shown)], [true, ["final 0"]]);
  assert.equal(after(shown, { name: "turn", data: turn() }), shown);
  assert.equal(after(shown, started(1, 3)), shown);
});

test("the chair is the last of the plan in mode council", () => {
  assert.equal(chairPosition(told()), null);
  assert.equal(chairPosition(stored(turn({ mode: "council", plan: PLAN }))), 1);
  assert.equal(chairPosition(stored(turn({ mode: "council" }))), null);
});
