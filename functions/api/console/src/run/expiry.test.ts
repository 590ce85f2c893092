import assert from "node:assert/strict";
import { test } from "node:test";
import { expiresAt, stateOf } from "./expiry.ts";

const NOW = new Date("2026-11-30T12:00:00Z");

test("expiresAt counts days from now, and never is null", () => {
  assert.equal(expiresAt("30", NOW), "2026-12-30T12:00:00.000Z");
  assert.equal(expiresAt("never", NOW), null);
});

test("stateOf says revoked before expired", () => {
  const past = "2026-11-29T00:00:00Z";
  assert.equal(stateOf({ expires_at: past, revoked_at: past }, NOW), "revoked");
  assert.equal(stateOf({ expires_at: past, revoked_at: null }, NOW), "expired");
  assert.equal(stateOf({ expires_at: NOW.toISOString(), revoked_at: null }, NOW), "expired");
  assert.equal(stateOf({ expires_at: null, revoked_at: null }, NOW), "active");
});
