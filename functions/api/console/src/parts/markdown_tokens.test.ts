import assert from "node:assert/strict";
import { test } from "node:test";
import type { Token } from "marked";
import { isSafe, plainText, tokensOf } from "./markdown_tokens.ts";

function kinds(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => [token.type, ...kinds((token as { tokens?: Token[] }).tokens ?? [])]);
}

test("isSafe takes addresses of the web and of mail", () => {
  for (const address of ["https://example.com", "HTTP://example.com", "mailto:a@example.com"]) {
    assert.ok(isSafe(address), address);
  }
});

test("isSafe refuses addresses that run something or stay inside", () => {
  const refused = [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "java\nscript:x",
    "JavaScript&colon;x",
    "vbscript:x",
  ];
  for (const address of [
    ...refused,
    "data:text/html,x",
    "//example.com",
    "#/turns",
    "blob:x",
    "\u0001https://x.y",
  ]) {
    assert.ok(!isSafe(address), address);
  }
});

test("plainText replaces the usual names of characters once", () => {
  assert.equal(plainText("&lt;b&gt; &amp;lt; &quot;&unknown; &"), '<b> &lt; "&unknown; &');
});

test("HTML stays a token of its own, which is shown as text", () => {
  assert.ok(kinds(tokensOf("a <img src=x onerror=alert(1)> b")).includes("html"));
  assert.deepEqual(kinds(tokensOf("<script>alert(1)</script>")), ["html"]);
});

test("a text with too many levels stays text", () => {
  const nested = Array.from({ length: 60 }, (_, level) => `${"  ".repeat(level)}- x`).join("\n");
  for (const text of [">".repeat(5_000), "> ".repeat(3_000), nested]) {
    assert.deepEqual(kinds(tokensOf(text)), ["text"]);
  }
  assert.deepEqual(kinds(tokensOf("> > x")), ["blockquote", "blockquote", "paragraph", "text"]);
});

test("a paragraph with too many marks stays text, and a code block with as many does not", () => {
  const dense = "__a".repeat(2_000);
  assert.deepEqual(
    tokensOf(dense).map((token) => kinds([token])),
    [["paragraph", "text"]],
  );
  const code = `Some *words*.\n\n\`\`\`\n${dense}\n\`\`\``;
  assert.deepEqual(
    tokensOf(code).map((token) => token.type),
    ["paragraph", "space", "code"],
  );
});

test("a paragraph with too many marks stays text behind a fence that only looks like one", () => {
  const dense = "__a".repeat(2_000);
  for (const [opening, closing] of [
    ["```js\nx\n  ```", "```"],
    ["``` `", "```"],
  ]) {
    const found = kinds(tokensOf(`${opening}\n\n${dense}\n\n${closing}`));
    assert.ok(!found.includes("strong") && !found.includes("em"), opening);
  }
});

test("a text of 256 KiB takes no longer than three seconds, whatever it repeats", () => {
  const size = 262_144;
  const filled = (part: string, length = size) => part.repeat(Math.ceil(length / part.length));
  const wide = `${filled("a|", size / 8)}\n${filled("-|", size / 8)}\n${filled("|\n", size / 2)}`;
  const tables = filled(`${filled("a|", 200)}\n${filled("-|", 200)}\n${filled("|\n", 200)}\n`);
  const hostile = [
    wide,
    tables,
    filled("a|b\n-|-\n"),
    filled("!"),
    `${filled("a")}@b`,
    `${filled("a.")}@`,
    `a${filled(" ")}b`,
    filled("1. "),
    filled("- > "),
    filled("> - "),
    filled(`${filled("**_", 2_990)}\n\n`),
    filled(`${filled("[", 2_990)}\n\n`),
    filled(`${filled("a", 2_990)}@b\n\n`),
  ];
  for (const text of hostile) {
    const began = performance.now();
    const tokens = tokensOf(text);
    const took = performance.now() - began;
    assert.ok(took < 3_000, `${text.slice(0, 20)} took ${Math.round(took)} ms`);
    assert.ok(kinds(tokens).length < 300_000);
  }
});

test("a long table of usual width stays a table", () => {
  const table = `a | b | c\n-|-|-\n${"1 | 2 | 3\n".repeat(2_000)}`;
  assert.deepEqual(tokensOf(table)[0]?.type, "table");
});
