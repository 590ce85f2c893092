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
    tokensOf(dense).map((token) => [token.type, token.raw]),
    [["text", dense]],
  );
  const code = `Some *words*.\n\n\`\`\`\n${dense}\n\`\`\``;
  assert.deepEqual(
    tokensOf(code).map((token) => token.type),
    ["paragraph", "space", "code"],
  );
});
