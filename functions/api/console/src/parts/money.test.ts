import assert from "node:assert/strict";
import { test } from "node:test";
import { exactUsd, isSame, plainUsd, priceUsd, sumUsd, usd } from "./money.ts";

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

test("priceUsd multiplies tokens by a rate per million without rounding", () => {
  assert.equal(plainUsd(priceUsd(243, "1.25")), "0.00030375");
  assert.equal(plainUsd(priceUsd(9_007_199_254_740_991, "0.000000000001")), "0.009007199254740991");
  assert.equal(plainUsd(priceUsd(0, "3")), "0");
});

test("plainUsd leaves out zeros at the end and keeps the others", () => {
  assert.equal(plainUsd("10.00"), "10");
  assert.equal(plainUsd("100"), "100");
  assert.equal(plainUsd("-0.0500"), "-0.05");
});

test("isSame compares amounts and not texts", () => {
  assert.ok(isSame("0.10", "0.1"));
  assert.ok(!isSame("0.10", "-0.1"));
});
