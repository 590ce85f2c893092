/** Name the agents and calls of a turn. */
import type { Turn } from "../api/types.ts";
import { turn as strings, words } from "../strings.ts";
import type { Call } from "./calls.ts";

export type NameOf = (agentKey: string) => string;

/** Names as the replies have them. An agent without a reply has the name of now, and a deleted one its key. */
export function namesOf(turn: Turn, now: ReadonlyMap<string, string>): NameOf {
  const names = new Map(turn.replies.map((reply) => [reply.agent_key, reply.name]));
  return (agentKey) => names.get(agentKey) ?? now.get(agentKey) ?? agentKey;
}

/** In mode `council` the last of the plan concludes, so its position is the chair's step. */
export function isChair(turn: Turn, step: number): boolean {
  return turn.mode === "council" && step === (turn.plan?.selected_agent_keys.length ?? 0) - 1;
}

export function callName(call: Call, turn: Turn, nameOf: NameOf): string {
  if (call.agent_key === null) return words.purposes[call.purpose] ?? call.purpose;
  const name = nameOf(call.agent_key);
  if (call.purpose === "review") return strings.reviews(name);
  return call.purpose === "agent" && isChair(turn, call.step) ? strings.chair(name) : name;
}
