import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent } from "../api/types.ts";
import { defaultRoster, fieldsOf, toggled } from "./roster.ts";

const agent = (key: string, enabled = true) => ({ key, enabled }) as Agent;

test("defaultRoster takes all enabled agents", () => {
  const roster = defaultRoster([agent("a"), agent("b", false), agent("c")]);
  assert.deepEqual([roster.agentKeys, roster.mode], [["a", "c"], "tag"]);
  assert.equal(defaultRoster([agent("a")]).mode, "manual");
});

test("toggled leaves an agent out, or adds it as the last one", () => {
  const roster = defaultRoster([agent("a"), agent("b")]);
  const without = toggled(roster, "a");
  assert.deepEqual(without.agentKeys, ["b"]);
  assert.deepEqual(toggled(without, "a").agentKeys, ["b", "a"]);
});

test("fieldsOf leaves out a chair that is not chosen", () => {
  const roster = { ...defaultRoster([agent("a")]), chairKey: "gone" };
  assert.equal(fieldsOf(roster).chair_key, null);
  assert.equal(fieldsOf({ ...roster, chairKey: "a" }).chair_key, "a");
});
