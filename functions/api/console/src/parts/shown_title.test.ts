import assert from "node:assert/strict";
import { test } from "node:test";
import { shell } from "../strings.ts";
import { shownTitle } from "./shown_title.ts";

test("shownTitle shows titles of every script, and a word for those that show nothing", () => {
  for (const title of ["a", " x ", "中", "🙂", "\u200b1"]) assert.equal(shownTitle(title), title);
  for (const title of ["", "  ", "\u200b\u200b", "\u202e", "\u00ad\u2060", "\u3164", "\u2800"]) {
    assert.equal(shownTitle(title), shell.untitled);
  }
});
