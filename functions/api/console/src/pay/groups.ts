/** The groups of the usage page: the name in the address, the field of the API, and what a value is called. */
import type { Total } from "../api/types.ts";
import { pay as strings, words } from "../strings.ts";
import { utcDay } from "./period.ts";

export const GROUPS = {
  day: "day",
  agent: "agent_key",
  model: "model_alias",
  user: "user_id",
  key: "api_key_id",
  purpose: "purpose",
  reason: "reason",
  provider: "provider",
} as const;

export type Group = keyof typeof GROUPS;

/** Names that the API keeps elsewhere: agents by key, API keys by id. */
export interface Names {
  agents: ReadonlyMap<string, string>;
  keys: ReadonlyMap<string, string>;
}

export function groupOf(query: URLSearchParams): Group {
  const by = query.get("by") ?? "day";
  return Object.hasOwn(GROUPS, by) ? (by as Group) : "day";
}

/** The value of a total in its group. */
export function keyOf(total: Total, group: Group): string | null {
  return total[GROUPS[group]] ?? null;
}

export function labelOf(value: string | null, group: Group, names: Names): string {
  if (value === null || value === "") return strings.none[group] ?? strings.ledger.empty;
  switch (group) {
    case "day":
      return utcDay(value);
    case "agent":
      return names.agents.get(value) ?? value;
    case "key":
      return names.keys.get(value) ?? `${strings.deletedKey} ${value.slice(0, 8)}`;
    case "purpose":
      return words.purposes[value] ?? value;
    case "reason":
      return words.reasons[value] ?? value;
    default:
      return value;
  }
}
