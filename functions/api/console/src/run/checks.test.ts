import assert from "node:assert/strict";
import { test } from "node:test";
import { checksOf, commitOf, healthIn } from "./checks.ts";

const HEALTH = {
  status: "unavailable" as const,
  version: "1.0",
  stage: "live",
  checks: {
    database: "ok",
    migration: "0019",
    journal: "failing: it cannot be written",
    checkpointer: "memory",
  },
};

test("checksOf says what works and what each check found", () => {
  assert.deepEqual(
    checksOf(HEALTH).map((check) => [check.isWorking, check.detail]),
    [
      [true, null],
      [true, "Revision 0019"],
      [false, "it cannot be written"],
      [true, "In memory only. The state of graphs is lost when the process ends."],
    ],
  );
});

test("healthIn knows a health from a problem", () => {
  assert.equal(healthIn(HEALTH), HEALTH);
  assert.equal(healthIn({ code: "rate_limited", detail: "…" }), null);
});

test("commitOf reads the commit only where it is given", () => {
  assert.equal(commitOf(HEALTH), null);
  assert.equal(commitOf({ ...HEALTH, commit: "abc123" }), "abc123");
});
