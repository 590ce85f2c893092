import assert from "node:assert/strict";
import { test } from "node:test";
import { titleOf } from "./title.ts";

test("titleOf keeps a short message and puts it on one line", () => {
  assert.equal(titleOf("  Hello\n\nyou\t there "), "Hello you there");
});

test("titleOf cuts a long message between words", () => {
  const title = titleOf("word ".repeat(40));
  assert.equal(title, `${"word ".repeat(11).trim()}…`);
});

test("titleOf cuts a text without spaces between letters", () => {
  assert.equal(titleOf("\u{20000}".repeat(100)), `${"\u{20000}".repeat(59)}…`);
});
