import assert from "node:assert/strict";
import { test } from "node:test";
import type { Turn } from "../api/types.ts";
import { isActive, merged } from "./turn_list.ts";

const turn = (turn_index: number, status: Turn["status"] = "completed") =>
  ({ id: `t${turn_index}`, turn_index, status }) as Turn;

test("merged puts turns in the order of their index", () => {
  const indexes = merged([turn(3)], [turn(2), turn(1)]).map((each) => each.turn_index);
  assert.deepEqual(indexes, [1, 2, 3]);
});

test("merged keeps a turn that has ended and replaces one that runs", () => {
  const [known, ended] = [turn(1), turn(2)];
  const both = merged([known, turn(2, "running")], [turn(1, "running"), ended]);
  assert.equal(both[0], known);
  assert.equal(both[1], ended);
});

test("isActive is true until a turn has ended", () => {
  assert.deepEqual([turn(1, "accepted"), turn(1, "running"), turn(1, "cancelled")].map(isActive), [
    true,
    true,
    false,
  ]);
});
