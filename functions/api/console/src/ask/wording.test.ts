import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plan, Turn } from "../api/types.ts";
import { after, sent, stored } from "./live_turn.ts";
import {
  announcement,
  codeWords,
  connectionWords,
  fallbackLines,
  listed,
  planWords,
  unknownTagWords,
} from "./wording.ts";

const NAMES: Record<string, string> = { writer: "Writer", critic: "Critic" };
const nameOf = (key: string) => NAMES[key] ?? key;

function planned(source: Plan["source"], mode = "tag", unknown_tags: string[] = []) {
  const plan = { selected_agent_keys: ["writer", "critic"], source, unknown_tags };
  return stored({ id: "t", status: "running", mode, message: "m", plan, replies: [] } as unknown as Turn);
}

test("listed joins names as people do", () => {
  assert.equal(listed([]), "");
  assert.equal(listed(["A"]), "A");
  assert.equal(listed(["A", "B", "C"]), "A, B and C");
});

test("planWords says why these agents answer", () => {
  assert.equal(planWords(planned("tags"), nameOf), "You tagged Writer and Critic.");
  assert.match(planWords(planned("routing"), nameOf), /^The manager chose Writer and Critic/);
  assert.equal(
    planWords(planned("roster", "council"), nameOf),
    "Asked: Writer. Fewer than three members do not rank each other. Critic concludes.",
  );
  assert.equal(planWords(sent("m"), nameOf), "");
});

test("unknownTagWords names the tags of nobody", () => {
  assert.equal(unknownTagWords(planned("default", "tag", ["nobody"])), "Nobody here has the name @nobody.");
  assert.equal(unknownTagWords(planned("tags")), "");
});

test("codeWords knows the API's codes and falls back to its sentence", () => {
  assert.equal(codeWords("timeout"), "The provider did not answer in time.");
  assert.equal(codeWords("brand_new", "A sentence."), "A sentence.");
  assert.match(codeWords("invalid_field:reason"), /“reason”/);
});

test("fallbackLines tells a repeated fallback once", () => {
  const fallback = { component: "review", reason: "invalid_json", step: 3 };
  const lines = fallbackLines([fallback, { ...fallback, step: 4 }, { ...fallback, component: "chair" }]);
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /\(2 times\)$/);
});

test("announcement tells of states and not of pieces of text", () => {
  const before = planned("tags");
  const data = { position: 0, agent_key: "writer", name: "Writer", model_alias: "fast", attempt: 1 };
  const writing = after(before, { name: "reply.started", data });
  assert.equal(announcement(before, writing, nameOf), "Writer is writing.");
  const grown = after(writing, { name: "reply.delta", data: { position: 0, text: "x" } });
  assert.equal(announcement(writing, grown, nameOf), "");
  const lost = after(grown, { name: "connection", data: "lost" });
  assert.equal(announcement(grown, lost, nameOf), connectionWords(lost));
});

test("connectionWords of a message without an answer do not say that its turn goes on", () => {
  assert.match(connectionWords(after(sent("m"), { name: "connection", data: "lost" })), /Sending again/);
  assert.match(
    connectionWords(after(planned("tags"), { name: "connection", data: "lost" })),
    /The turn goes on/,
  );
});
