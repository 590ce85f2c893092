import assert from "node:assert/strict";
import { test } from "node:test";
import { exactUsd, sumUsd, usd } from "./money.ts";

test("usd keeps two digits that count of a small amount", () => {
  assert.equal(usd("0.000041999"), "$0.000042");
  assert.equal(usd("0.0123"), "$0.012");
  assert.equal(usd("0.996"), "$1.00");
});

test("usd rounds a larger amount to cents and groups thousands", () => {
  assert.equal(usd("1234567.005"), "$1,234,567.01");
  assert.equal(usd("12"), "$12.00");
});

test("usd writes nothing as zero, also a negative one", () => {
  assert.equal(usd("0"), "$0.00");
  assert.equal(usd("-0.000000000000"), "$0.00");
  assert.equal(usd("-1.5"), "−$1.50");
});

test("exactUsd keeps every decimal", () => {
  assert.equal(exactUsd("0.000042000000"), "$0.000042000000");
});

test("sumUsd adds without rounding", () => {
  assert.equal(usd(sumUsd(["0.1", "0.2", "-0.05"])), "$0.25");
  assert.equal(sumUsd(["0.000000000001", "2"]), "2.000000000001000000");
  assert.equal(sumUsd([]), "0.000000000000000000");
});
