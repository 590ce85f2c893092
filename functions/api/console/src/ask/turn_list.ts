/** Put lists of turns together. */
import type { Turn } from "../api/types.ts";

/** Both lists as one, by index. A turn of the second list takes the place of the same one, unless that has ended. */
export function merged(known: readonly Turn[], news: readonly Turn[]): Turn[] {
  const byId = new Map(known.map((turn) => [turn.id, turn]));
  for (const turn of news) {
    const old = byId.get(turn.id);
    // Objects that stay the same are not drawn again.
    if (!old || isActive(old)) byId.set(turn.id, turn);
  }
  return [...byId.values()].sort((one, other) => one.turn_index - other.turn_index);
}

export function isActive(turn: Turn): boolean {
  return turn.status === "accepted" || turn.status === "running";
}
