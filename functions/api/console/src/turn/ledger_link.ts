import type { Turn } from "../api/types.ts";
import { href } from "../router.ts";

const DAY_MS = 86_400_000;

/** The address of the ledger's rows of a turn's conversation, from the day of the turn to the day of its end. */
export function ledgerOf(turn: Turn, filters: Record<string, string | null> = {}): string {
  const end = Date.parse(turn.completed_at ?? turn.created_at) + DAY_MS;
  return href("usage/calls", {
    from: turn.created_at.slice(0, 10),
    to: new Date(end).toISOString().slice(0, 10),
    session_id: turn.session_id,
    ...filters,
  });
}
