import assert from "node:assert/strict";
import { test } from "node:test";
import { fitting, inserted, mentionAt } from "./mention.ts";

const AGENTS = [
  { key: "writer", name: "Writer" },
  { key: "critic", name: "Strict reviewer" },
  { key: "planner", name: "Planner" },
];

test("mentionAt finds what is typed after an @", () => {
  assert.deepEqual(mentionAt("hello @wr", 9), { start: 6, end: 9, typed: "wr" });
  assert.deepEqual(mentionAt("@", 1), { start: 0, end: 1, typed: "" });
  assert.deepEqual(mentionAt("a\n(@é-x and", 6), { start: 3, end: 6, typed: "é-" });
});

test("mentionAt finds nothing in an address or after the mention", () => {
  assert.equal(mentionAt("me@example", 10), null);
  assert.equal(mentionAt("@writer hello", 13), null);
  assert.equal(mentionAt("@@wr", 4), null);
  assert.equal(mentionAt("@writer", 0), null);
});

test("fitting lists agents first whose key or name begins with the text", () => {
  const keys = (typed: string) => fitting(AGENTS, typed).map((agent) => agent.key);
  assert.deepEqual(keys(""), ["writer", "critic", "planner"]);
  assert.deepEqual(keys("R"), ["writer", "critic", "planner"]);
  assert.deepEqual(keys("P"), ["planner"]);
  assert.deepEqual(keys("st"), ["critic"]);
  assert.deepEqual(keys("nobody"), []);
});

test("inserted replaces the whole word and leaves one space", () => {
  const mention = mentionAt("ask @wr please", 7);
  assert.ok(mention);
  assert.deepEqual(inserted("ask @wr please", mention, "writer"), { text: "ask @writer please", caret: 12 });
  assert.deepEqual(inserted("ask @writ", { start: 4, end: 6, typed: "w" }, "writer"), {
    text: "ask @writer ",
    caret: 12,
  });
});
