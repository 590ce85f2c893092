/** Convert the agents and mode of a session between the form and the API. */
import type { Agent, Council, Mode, Session } from "../api/types.ts";

export interface Roster {
  mode: Mode;
  agentKeys: string[];
  fanOut: "sequential" | "parallel";
  chairKey: string | null;
}

export const MODES: readonly Mode[] = ["manual", "tag", "roundtable", "orchestrator", "council"];

/** The roster of a person who has chosen nothing: all enabled agents. One agent needs no tag, several do. */
export function defaultRoster(agents: readonly Agent[]): Roster {
  const agentKeys = agents.filter((agent) => agent.enabled).map((agent) => agent.key);
  return { mode: agentKeys.length > 1 ? "tag" : "manual", agentKeys, fanOut: "sequential", chairKey: null };
}

export function rosterOf(source: Session | Council): Roster {
  return {
    mode: source.mode as Mode,
    agentKeys: source.agent_keys,
    fanOut: source.fan_out === "parallel" ? "parallel" : "sequential",
    chairKey: source.chair_key,
  };
}

/** The fields of a new or changed session. A chair that is no longer chosen is left out. */
export function fieldsOf(roster: Roster) {
  return {
    mode: roster.mode,
    agent_keys: roster.agentKeys,
    fan_out: roster.fanOut,
    chair_key: roster.chairKey && roster.agentKeys.includes(roster.chairKey) ? roster.chairKey : null,
  };
}

/** Choose an agent as the last one, or leave it out. */
export function toggled(roster: Roster, key: string): Roster {
  const without = roster.agentKeys.filter((each) => each !== key);
  const chosen = without.length < roster.agentKeys.length;
  return { ...roster, agentKeys: chosen ? without : [...without, key] };
}

export function asksTagged(mode: Mode): boolean {
  return mode === "manual" || mode === "tag";
}
