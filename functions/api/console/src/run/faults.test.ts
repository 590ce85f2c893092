import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../api/problem.ts";
import { faultsOf, isEmpty, isKey, isName } from "./faults.ts";

test("faultsOf takes the first message of each field from the list of errors", () => {
  const errors = [
    { path: "body.agent_keys.0", message: "first", type: "t" },
    { path: "body.agent_keys.1", message: "second", type: "t" },
    { path: "body.name", message: "too long", type: "t" },
    { path: "query.limit", message: "no field", type: "t" },
  ];
  assert.deepEqual(faultsOf(new Problem(422, { detail: "…", errors })), {
    agent_keys: "first",
    name: "too long",
  });
});

test("faultsOf finds the field in the sentence when there is no list", () => {
  const problem = new Problem(422, { detail: "body.model_alias must be one of: fast, deep." });
  assert.deepEqual(faultsOf(problem), { model_alias: "Must be one of: fast, deep." });
});

test("faultsOf names no field for other problems", () => {
  assert.ok(isEmpty(faultsOf(new Problem(403, { detail: "This call needs the role 'admin'." }))));
  assert.ok(isEmpty(faultsOf(new Problem(0, { detail: "body.name is lost" }))));
});

test("isKey takes what the API takes", () => {
  assert.ok(isKey("a") && isKey("writer_2-b"));
  assert.ok(!isKey("") && !isKey("2a") && !isKey("Writer") && !isKey("a".repeat(33)));
});

test("isName refuses marks that mentions need and texts without letters", () => {
  assert.ok(isName("Ada Lovelace"));
  assert.ok(!isName("  ") && !isName("a@b") && !isName("a\nb") && !isName("x".repeat(65)));
});
