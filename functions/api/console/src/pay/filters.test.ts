import assert from "node:assert/strict";
import { test } from "node:test";
import { filtersOf, without } from "./filters.ts";

test("filtersOf keeps an empty value, and nothing that is no filter", () => {
  const query = new URLSearchParams("agent_key=&reason=reply&from=2026-11-01&colour=red");
  assert.deepEqual(filtersOf(query), { agent_key: "", reason: "reply" });
});

test("without takes one filter away", () => {
  assert.deepEqual(without({ agent_key: "", reason: "reply" }, "agent_key"), { reason: "reply" });
});
