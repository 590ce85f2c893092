import assert from "node:assert/strict";
import { test } from "node:test";
import { BLANK, bodyOf, draftOf, faultsIn, moved, textOf, without } from "./council_draft.ts";

const COUNCIL = {
  key: "panel",
  name: "Panel",
  mode: "council",
  agent_keys: ["writer", "critic"],
  fan_out: "sequential",
  chair_key: "critic",
  version: 2,
};

test("bodyOf gives back what the council was", () => {
  const { key: _key, version: _version, ...body } = COUNCIL;
  assert.deepEqual(bodyOf(draftOf(COUNCIL)), body);
});

test("moved swaps an agent with its neighbour and stops at the ends", () => {
  const keys = ["a", "b", "c"];
  assert.deepEqual(moved(keys, 1, -1), ["b", "a", "c"]);
  assert.deepEqual(moved(keys, 1, 1), ["a", "c", "b"]);
  assert.deepEqual(moved(keys, 0, -1), keys);
  assert.deepEqual(moved(keys, 2, 1), keys);
});

test("without takes the chair from an agent that leaves", () => {
  const draft = draftOf(COUNCIL);
  assert.equal(without(draft, "critic").chair_key, null);
  assert.equal(without(draft, "writer").chair_key, "critic");
  assert.deepEqual(without(draft, "writer").agent_keys, ["critic"]);
});

test("faultsIn asks for a key, a name and an agent", () => {
  assert.deepEqual(Object.keys(faultsIn(BLANK, true)), ["key", "name", "agent_keys"]);
  assert.deepEqual(faultsIn(draftOf(COUNCIL), false), {});
});

test("textOf lists the agents in order", () => {
  assert.match(textOf(draftOf(COUNCIL)), /Chair: critic\nAgents:\n {2}writer\n {2}critic$/);
});
