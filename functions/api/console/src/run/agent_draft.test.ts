import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent, Model } from "../api/types.ts";
import { BLANK, bodyOf, bytesOf, draftOf, faultsIn, PROMPT_BYTES, textOf } from "./agent_draft.ts";

const AGENT: Agent = {
  key: "writer",
  name: "Writer",
  role_prompt: "You write.",
  model_alias: "fast",
  max_output_tokens: null,
  temperature: 0.7,
  enabled: true,
  version: 3,
};
const MODELS = [{ alias: "fast", max_output_tokens: 256 }] as Model[];

test("bodyOf gives back what the agent was", () => {
  const { key: _key, version: _version, ...body } = AGENT;
  assert.deepEqual(bodyOf(draftOf(AGENT)), body);
});

test("faultsIn names every required field of a blank form", () => {
  assert.deepEqual(Object.keys(faultsIn(BLANK, true, MODELS)), ["key", "name", "role_prompt", "model_alias"]);
});

test("faultsIn asks for no key of an agent that exists", () => {
  assert.deepEqual(faultsIn({ ...draftOf(AGENT), key: "" }, false, MODELS), {});
});

test("faultsIn refuses more tokens than the model's cap", () => {
  const draft = draftOf(AGENT);
  assert.deepEqual(faultsIn({ ...draft, max_output_tokens: "256" }, false, MODELS), {});
  for (const tokens of ["257", "0", "1.5", "many"]) {
    assert.match(
      faultsIn({ ...draft, max_output_tokens: tokens }, false, MODELS).max_output_tokens ?? "",
      /256/,
    );
  }
});

test("faultsIn refuses a temperature that is no number from 0 to 2", () => {
  const draft = draftOf(AGENT);
  assert.deepEqual(faultsIn({ ...draft, temperature: "2" }, false, MODELS), {});
  for (const temperature of ["2.1", "-1", "warm", "1e1"]) {
    assert.ok(faultsIn({ ...draft, temperature }, false, MODELS).temperature);
  }
});

test("the role prompt is bounded by its bytes", () => {
  const draft = { ...draftOf(AGENT), role_prompt: "é".repeat(PROMPT_BYTES / 2) };
  assert.equal(bytesOf(draft.role_prompt), PROMPT_BYTES);
  assert.deepEqual(faultsIn(draft, false, MODELS), {});
  assert.ok(faultsIn({ ...draft, role_prompt: `${draft.role_prompt}x` }, false, MODELS).role_prompt);
});

test("textOf says in words what is left to the model", () => {
  assert.match(
    textOf(draftOf(AGENT)),
    /^Name: Writer\n.*Most output tokens: Model's cap\nTemperature: 0\.7\n/s,
  );
});
