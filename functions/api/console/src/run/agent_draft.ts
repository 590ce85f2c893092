/** An agent as its form holds it: every field is what was typed. */
import type { Agent, Model } from "../api/types.ts";
import { run } from "../strings.ts";
import { type Faults, isKey, isName } from "./faults.ts";

export interface AgentDraft {
  key: string;
  name: string;
  role_prompt: string;
  model_alias: string;
  max_output_tokens: string;
  temperature: string;
  enabled: boolean;
}

export const PROMPT_BYTES = 32_768;

export const BLANK: AgentDraft = {
  key: "",
  name: "",
  role_prompt: "",
  model_alias: "",
  max_output_tokens: "",
  temperature: "",
  enabled: true,
};

export function draftOf(agent: Agent): AgentDraft {
  return {
    key: agent.key,
    name: agent.name,
    role_prompt: agent.role_prompt,
    model_alias: agent.model_alias,
    max_output_tokens: agent.max_output_tokens === null ? "" : String(agent.max_output_tokens),
    temperature: agent.temperature === null ? "" : String(agent.temperature),
    enabled: agent.enabled,
  };
}

/** The body of a request. Only a draft without faults has one. */
export function bodyOf(draft: AgentDraft) {
  return {
    name: draft.name,
    role_prompt: draft.role_prompt,
    model_alias: draft.model_alias,
    max_output_tokens: draft.max_output_tokens.trim() === "" ? null : Number(draft.max_output_tokens),
    temperature: draft.temperature.trim() === "" ? null : Number(draft.temperature),
    enabled: draft.enabled,
  };
}

export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Return the faults for which the API would refuse the draft, in the console's words. */
export function faultsIn(draft: AgentDraft, isNew: boolean, models: readonly Model[]): Faults {
  const words = run.agents;
  const faults: Record<string, string> = {};
  if (isNew && !isKey(draft.key)) faults.key = run.keyFault;
  if (!isName(draft.name)) faults.name = run.nameFault;
  if (draft.role_prompt.trim() === "") faults.role_prompt = words.promptFault;
  if (bytesOf(draft.role_prompt) > PROMPT_BYTES) faults.role_prompt = words.tooLong(grouped(PROMPT_BYTES));
  const model = models.find((one) => one.alias === draft.model_alias);
  if (!model) faults.model_alias = words.modelFault;
  const cap = model?.max_output_tokens ?? 1_000_000;
  const tokens = draft.max_output_tokens.trim();
  if (tokens && !(/^[0-9]{1,7}$/.test(tokens) && Number(tokens) >= 1 && Number(tokens) <= cap)) {
    faults.max_output_tokens = words.tokensFault(grouped(cap));
  }
  const temperature = draft.temperature.trim();
  if (temperature && !(/^[0-9]+(\.[0-9]+)?$/.test(temperature) && Number(temperature) <= 2)) {
    faults.temperature = words.temperatureFault;
  }
  return faults;
}

/** An agent as text, so that two versions can be compared line by line. */
export function textOf(draft: AgentDraft): string {
  const words = run.agents;
  return [
    `${run.name}: ${draft.name}`,
    `${words.model}: ${draft.model_alias}`,
    `${words.tokens}: ${draft.max_output_tokens || words.cap}`,
    `${words.temperature}: ${draft.temperature || words.default}`,
    `${words.enabled}: ${draft.enabled ? run.yes : run.no}`,
    "",
    draft.role_prompt,
  ].join("\n");
}

export function grouped(count: number): string {
  return count.toLocaleString("en");
}
