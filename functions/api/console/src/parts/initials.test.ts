import assert from "node:assert/strict";
import { test } from "node:test";
import { initialsOf, toneOf } from "./initials.ts";

test("initialsOf takes the first and the last word", () => {
  assert.deepEqual(["Writer", "ann marie o'neil", "李雷", "…"].map(initialsOf), ["W", "AN", "李", "?"]);
});

test("toneOf is the same for the same key", () => {
  assert.equal(toneOf("writer"), toneOf("writer"));
  assert.ok(["a", "b", "c", "writer"].every((key) => toneOf(key) >= 0 && toneOf(key) < 8));
});
