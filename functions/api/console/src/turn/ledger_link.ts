import type { Turn } from "../api/types.ts";
import { href } from "../router.ts";

const DAY_MS = 86_400_000;

/** The address of the ledger's rows of a turn, from the day of the turn to today: a settlement comes later. */
export function ledgerOf(turn: Turn, filters: Record<string, string | null> = {}): string {
  return href("usage/calls", {
    from: turn.created_at.slice(0, 10),
    to: new Date(Date.now() + DAY_MS).toISOString().slice(0, 10),
    turn_id: turn.id,
    ...filters,
  });
}
