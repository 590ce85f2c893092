import assert from "node:assert/strict";
import { test } from "node:test";
import { type CapDraft, capBody, capFaults, isAmount, price } from "./amounts.ts";

const DRAFT: CapDraft = { cap: "own", capUsd: " 12.50 ", allowance: "keep", allowanceUsd: "" };

test("isAmount takes what the API takes", () => {
  assert.ok(isAmount("0") && isAmount("12.50") && isAmount("0.000000000001"));
  assert.ok(!isAmount("") && !isAmount("-1") && !isAmount("1,5") && !isAmount("012") && !isAmount("1e3"));
});

test("price keeps every digit and pads to cents", () => {
  assert.equal(price("0.125"), "$0.125");
  assert.equal(price("2"), "$2.00");
  assert.equal(price("0.100"), "$0.10");
});

test("capBody leaves the allowance out that stays as it is", () => {
  assert.deepEqual(capBody(DRAFT), { limit_usd: "12.50" });
  assert.deepEqual(capBody({ ...DRAFT, cap: "default" }), { limit_usd: null });
});

test("capBody sets the allowance that was chosen", () => {
  assert.equal(capBody({ ...DRAFT, allowance: "default" }).allowance_usd, null);
  assert.equal(capBody({ ...DRAFT, allowance: "own", allowanceUsd: "0" }).allowance_usd, "0");
});

test("capFaults asks only for the amounts that are chosen", () => {
  assert.deepEqual(capFaults(DRAFT), {});
  assert.deepEqual(Object.keys(capFaults({ ...DRAFT, capUsd: "much", allowance: "own" })), [
    "limit_usd",
    "allowance_usd",
  ]);
  assert.deepEqual(capFaults({ ...DRAFT, cap: "default", capUsd: "much" }), {});
});
