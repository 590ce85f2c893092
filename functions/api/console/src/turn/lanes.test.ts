import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "./calls.ts";
import { ticksOf, toneOf, waterfallOf } from "./lanes.ts";

function call(
  step: number,
  attempt: number,
  start: number,
  end: number | null,
  more: Partial<Call> = {},
): Call {
  const at = (seconds: number) => new Date(Date.UTC(2026, 10, 30, 12, 0, seconds)).toISOString();
  return {
    step,
    attempt,
    purpose: "agent",
    agent_key: "writer",
    model_alias: "fast",
    started_at: at(start),
    ended_at: end === null ? null : at(end),
    status: end === null ? "intent" : "succeeded",
    verdict: end === null ? null : "reply",
    reason: null,
    usage: {
      input_tokens: 0,
      output_tokens: 0,
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      reasoning_tokens: 0,
    },
    cost_usd: "0",
    ...more,
  };
}

test("waterfallOf keeps the attempts of a step together, in the order in which steps started", () => {
  const chair = call(2, 1, 9, 10);
  const { lanes, span } = waterfallOf(
    [call(0, 2, 4, 6), chair, call(3, 1, 7, 8), call(1, 1, 0, 3), call(0, 1, 0, 2)],
    true,
    0,
  );
  assert.deepEqual(
    lanes.map((lane) => [lane.call.step, lane.call.attempt, lane.isFirst, lane.start, lane.end]),
    [
      [0, 1, true, 0, 2_000],
      [0, 2, false, 4_000, 6_000],
      [1, 1, true, 0, 3_000],
      [3, 1, true, 7_000, 8_000],
      [2, 1, true, 9_000, 10_000],
    ],
  );
  assert.equal(span, 10_000);
});

test("waterfallOf draws a running call up to now", () => {
  const now = Date.UTC(2026, 10, 30, 12, 0, 5);
  const { lanes, span } = waterfallOf([call(0, 1, 1, null)], false, now);
  assert.deepEqual([lanes[0]?.tone, lanes[0]?.end, span], ["running", 4_000, 4_000]);
});

test("waterfallOf of no call has no lane", () => {
  assert.deepEqual(waterfallOf([], true, 5), { lanes: [], origin: 5, span: 1 });
});

test("toneOf tells what was billed", () => {
  assert.equal(toneOf({ status: "succeeded", verdict: "reply" }, true), "answered");
  assert.equal(toneOf({ status: "succeeded", verdict: null }, true), "failed");
  assert.equal(toneOf({ status: "unbilled", verdict: "failed" }, true), "refused");
  assert.equal(toneOf({ status: "unknown", verdict: null }, false), "unknown");
});

test("toneOf takes a call without an outcome in an ended turn for unknown", () => {
  assert.equal(toneOf({ status: "intent", verdict: null }, true), "unknown");
  assert.equal(toneOf({ status: "intent", verdict: null }, false), "running");
});

test("ticksOf gives round times", () => {
  assert.deepEqual(ticksOf(7_300, 5), [0, 2_000, 4_000, 6_000]);
  assert.deepEqual(ticksOf(1, 5), [0, 1]);
  assert.deepEqual(ticksOf(3_000_000, 5), [0, 600_000, 1_200_000, 1_800_000, 2_400_000, 3_000_000]);
});
