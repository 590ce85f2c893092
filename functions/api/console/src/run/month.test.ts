import assert from "node:assert/strict";
import { test } from "node:test";
import { bounds, later, monthIn } from "./month.ts";

const NOW = new Date("2026-11-30T23:59:00Z");

test("monthIn takes the address's month, and the present one for anything else", () => {
  assert.equal(monthIn(new URLSearchParams("month=2026-01"), NOW), "2026-01");
  assert.equal(monthIn(new URLSearchParams("month=2026-13"), NOW), "2026-11");
  assert.equal(monthIn(new URLSearchParams(), NOW), "2026-11");
});

test("bounds lead from a month's first day to the next month's", () => {
  assert.deepEqual(bounds("2026-12"), { from: "2026-12-01", to: "2027-01-01" });
});

test("later goes over the end of a year, in both directions", () => {
  assert.equal(later("2026-12", 1), "2027-01");
  assert.equal(later("2026-01", -1), "2025-12");
});
