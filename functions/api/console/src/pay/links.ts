/** Addresses of the usage page and of the ledger. */
import { href } from "../router.ts";
import { GROUPS, type Group } from "./groups.ts";
import { type Period, plusDays } from "./period.ts";

export type Account = "tenant" | "platform" | "suspense";

export function usageAt(period: Period, group: Group): string {
  return href("usage", { ...period, by: group });
}

/** The rows of the ledger behind a figure. A null value is an empty one in the address. */
export function rowsOf(
  period: Period,
  of: { group: Group; value: string | null } | null,
  account?: Account,
): string {
  const filters: Record<string, string> = account ? { account } : {};
  if (of?.group === "day" && of.value !== null) {
    return href("usage/calls", { from: of.value, to: plusDays(of.value, 1), ...filters });
  }
  if (of) filters[GROUPS[of.group]] = of.value ?? "";
  return href("usage/calls", { ...period, ...filters });
}
