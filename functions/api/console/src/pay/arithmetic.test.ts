import assert from "node:assert/strict";
import { test } from "node:test";
import type { LedgerRow } from "../api/types.ts";
import { plainUsd } from "../parts/money.ts";
import { arithmeticOf } from "./arithmetic.ts";

const ROW: LedgerRow = {
  created_at: "2026-11-30T19:12:59.043951Z",
  kind: "post",
  account: "tenant",
  call_id: "c",
  session_id: "s",
  turn_id: "t",
  step: 0,
  attempt: 1,
  purpose: "agent",
  agent_key: "planner",
  model_alias: "deep",
  usage: {
    input_tokens: 243,
    output_tokens: 144,
    cache_read_tokens: 8,
    cache_write_tokens: 30,
    reasoning_tokens: 0,
  },
  cache_write_1h_tokens: 10,
  rates: {
    input: "1.25",
    output: "10",
    reasoning: "10",
    cache_read: "0.125",
    cache_write: "1.25",
    cache_write_1h: "2.5",
  },
  amount_usd: "0.00179475",
  user_id: "demo",
  api_key_id: null,
  reason: "reply",
  provider: "south",
};
const NOTHING = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  reasoning_tokens: 0,
};

test("arithmeticOf multiplies each class by its rate, and the sum is the amount", () => {
  const { products, sum, conclusion } = arithmeticOf(ROW);
  assert.deepEqual(
    products.map(({ name, tokens, amount }) => [name, tokens, plainUsd(amount)]),
    [
      ["input", 243, "0.00030375"],
      ["output", 144, "0.00144"],
      ["cache_read", 8, "0.000001"],
      ["cache_write", 20, "0.000025"],
      ["cache_write_1h", 10, "0.000025"],
    ],
  );
  assert.deepEqual([plainUsd(sum), conclusion], ["0.00179475", "equal"]);
});

test("arithmeticOf prices the hour as any cache write if there is no rate for it", () => {
  const rates = { ...ROW.rates, cache_write_1h: null };
  const { sum } = arithmeticOf({ ...ROW, rates });
  assert.equal(plainUsd(sum), "0.00178225");
});

test("arithmeticOf says when the amount is a reserve, or leaves suspense", () => {
  const row = { ...ROW, usage: NOTHING, cache_write_1h_tokens: 0, account: "suspense" as const };
  assert.equal(arithmeticOf({ ...row, amount_usd: "0.06" }).conclusion, "reserve");
  assert.equal(arithmeticOf({ ...row, amount_usd: "-0.06", kind: "adjustment" }).conclusion, "released");
});

test("arithmeticOf tells a call that was not billed from a row that does not add up", () => {
  const row = { ...ROW, usage: NOTHING, cache_write_1h_tokens: 0 };
  assert.equal(arithmeticOf({ ...row, amount_usd: "0" }).conclusion, "unbilled");
  assert.equal(arithmeticOf({ ...row, amount_usd: "0.01" }).conclusion, "differs");
});
