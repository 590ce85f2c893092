/** Totals of a period, and their sum. */
import { api, ok } from "../api/client.ts";
import type { Total } from "../api/types.ts";
import { GROUPS, type Group } from "./groups.ts";
import type { Period } from "./period.ts";

export async function loadTotals(period: Period, group: Group): Promise<Total[]> {
  const totals: Total[] = [];
  let cursor: string | null = null;
  do {
    const query = { ...period, group_by: [GROUPS[group]], limit: 100, order: "asc" as const, cursor };
    const page: { items: Total[]; next_cursor: string | null } = await ok(
      api.GET("/api/v1/usage", { params: { query } }),
    );
    totals.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return totals;
}
