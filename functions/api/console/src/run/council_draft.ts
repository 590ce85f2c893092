/** A council as its form holds it. */
import type { Council, Mode } from "../api/types.ts";
import { ask, run } from "../strings.ts";
import { type Faults, isKey, isName } from "./faults.ts";

export interface CouncilDraft {
  key: string;
  name: string;
  mode: Mode;
  agent_keys: readonly string[];
  fan_out: "sequential" | "parallel";
  chair_key: string | null;
}

export const MODES: readonly Mode[] = ["council", "roundtable", "orchestrator", "tag", "manual"];
const MOST_AGENTS = 32;

/** The name of a mode, as the other pages have it. */
export function modeName(mode: string): string {
  return ask.modes[mode]?.[0] ?? mode;
}

export const BLANK: CouncilDraft = {
  key: "",
  name: "",
  mode: "council",
  agent_keys: [],
  fan_out: "sequential",
  chair_key: null,
};

export function draftOf(council: Council): CouncilDraft {
  const { version: _version, ...fields } = council;
  return {
    ...fields,
    mode: fields.mode as Mode,
    fan_out: fields.fan_out === "parallel" ? "parallel" : "sequential",
  };
}

export function bodyOf(draft: CouncilDraft) {
  return {
    name: draft.name,
    mode: draft.mode,
    agent_keys: [...draft.agent_keys],
    fan_out: draft.fan_out,
    chair_key: draft.chair_key,
  };
}

/** Whether `fan_out` makes a difference in a mode. */
export function hasFanOut(mode: string): boolean {
  return mode === "manual" || mode === "tag";
}

export function faultsIn(draft: CouncilDraft, isNew: boolean): Faults {
  const faults: Record<string, string> = {};
  if (isNew && !isKey(draft.key)) faults.key = run.keyFault;
  if (!isName(draft.name)) faults.name = run.nameFault;
  if (draft.agent_keys.length === 0) faults.agent_keys = run.councils.agentsFault;
  if (draft.agent_keys.length > MOST_AGENTS) faults.agent_keys = run.councils.agentsMost;
  return faults;
}

/** Move the agent at `place` by one. A move beyond an end changes nothing. */
export function moved(keys: readonly string[], place: number, by: -1 | 1): readonly string[] {
  const [here, there] = [keys[place], keys[place + by]];
  if (here === undefined || there === undefined) return keys;
  return keys.map((key, index) => (index === place ? there : index === place + by ? here : key));
}

/** Take an agent out of the council, and out of the chair. */
export function without(draft: CouncilDraft, key: string): CouncilDraft {
  return {
    ...draft,
    agent_keys: draft.agent_keys.filter((one) => one !== key),
    chair_key: draft.chair_key === key ? null : draft.chair_key,
  };
}

export function textOf(draft: CouncilDraft): string {
  const words = run.councils;
  return [
    `${run.name}: ${draft.name}`,
    `${words.mode}: ${draft.mode}`,
    `${words.fanOut}: ${draft.fan_out}`,
    `${words.chair}: ${draft.chair_key ?? words.firstAgent}`,
    `${words.agents}:`,
    ...draft.agent_keys.map((key) => `  ${key}`),
  ].join("\n");
}
