import assert from "node:assert/strict";
import { test } from "node:test";
import { monthName } from "./time.ts";

test("monthName names the month of UTC, wherever the reader is", () => {
  assert.equal(monthName("2026-11"), "November 2026");
  assert.equal(monthName("2027-01"), "January 2027");
});
