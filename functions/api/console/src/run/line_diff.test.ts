import assert from "node:assert/strict";
import { test } from "node:test";
import { isSame, type Line, lineDiff } from "./line_diff.ts";

function written(lines: readonly Line[]): string[] {
  const signs = { same: " ", added: "+", removed: "-" };
  return lines.map((line) =>
    line.kind === "skipped"
      ? `… ${line.count}`
      : signs[line.kind] +
        line.pieces.map((piece) => (piece.isChanged ? `[${piece.text}]` : piece.text)).join(""),
  );
}

test("lineDiff marks the words of a line that changed", () => {
  assert.deepEqual(written(lineDiff("a\nYou write prose.", "a\nYou write verse.")), [
    " a",
    "-You write [prose].",
    "+You write [verse].",
  ]);
});

test("lineDiff shows lines that came and went", () => {
  assert.deepEqual(written(lineDiff("a\nb", "a\nc\nd")), [" a", "-b", "+c", "+d"]);
  assert.deepEqual(written(lineDiff("a", "a\nb")), [" a", "+b"]);
});

test("lineDiff leaves out what is far from every change", () => {
  const lines = Array.from({ length: 10 }, (_, number) => String(number));
  assert.deepEqual(written(lineDiff(lines.join("\n"), [...lines, "x"].join("\n"))), [
    "… 7",
    " 7",
    " 8",
    " 9",
    "+x",
  ]);
});

test("isSame says whether there is a change at all", () => {
  assert.ok(isSame(lineDiff("a\nb", "a\nb")));
  assert.ok(!isSame(lineDiff("a\nb", "a\nb\n")));
});
