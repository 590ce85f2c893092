import assert from "node:assert/strict";
import { test } from "node:test";
import { daysOf, periodOf, presetsOf } from "./period.ts";

const now = new Date("2026-01-31T23:30:00Z");

test("presetsOf counts UTC days and whole months", () => {
  assert.deepEqual(presetsOf(now), {
    today: { from: "2026-01-31", to: "2026-02-01" },
    week: { from: "2026-01-25", to: "2026-02-01" },
    month: { from: "2026-01-01", to: "2026-02-01" },
    last: { from: "2025-12-01", to: "2026-01-01" },
  });
});

test("periodOf takes the address, and this month if the address has no period", () => {
  const of = (query: string) => periodOf(new URLSearchParams(query), now);
  assert.deepEqual(of("from=2026-01-02&to=2026-01-04"), { from: "2026-01-02", to: "2026-01-04" });
  const month = { from: "2026-01-01", to: "2026-02-01" };
  assert.deepEqual(of(""), month);
  assert.deepEqual(of("from=2026-01-04&to=2026-01-02"), month);
  assert.deepEqual(of("from=2026-13-40&to=2027-01-01"), month);
});

test("daysOf lists every day of the period", () => {
  assert.deepEqual(daysOf({ from: "2026-02-27", to: "2026-03-02" }), [
    "2026-02-27",
    "2026-02-28",
    "2026-03-01",
  ]);
});
