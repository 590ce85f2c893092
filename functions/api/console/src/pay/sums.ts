/** Add up totals, and prepare them for charts. */
import type { Total } from "../api/types.ts";
import { sumUsage } from "../parts/counts.ts";
import { sumUsd } from "../parts/money.ts";

export type Sums = Pick<Total, "calls" | "usage" | "cost_usd" | "platform_cost_usd" | "suspense_usd">;

export function sumTotals(totals: readonly Sums[]): Sums {
  return {
    calls: totals.reduce((sum, total) => sum + total.calls, 0),
    usage: sumUsage(totals.map((total) => total.usage)),
    cost_usd: sumUsd(totals.map((total) => total.cost_usd)),
    platform_cost_usd: sumUsd(totals.map((total) => total.platform_cost_usd)),
    suspense_usd: sumUsd(totals.map((total) => total.suspense_usd)),
  };
}

/** Return the sum of both accounts, by which bars are sorted. */
export function paid(total: Sums): string {
  return sumUsd([total.cost_usd, total.platform_cost_usd]);
}

/** An amount as the length of a bar. Bars are read by eye, so the rounding of a number does no harm. */
export function lengthOf(amount: string): number {
  return Math.max(0, Number(amount));
}

/** The share of an amount in a limit, from 0 to 1. */
export function shareOf(amount: string, limit: string): number {
  const whole = Number(limit);
  return whole > 0 ? Math.min(1, lengthOf(amount) / whole) : 0;
}

/** The `most` most expensive items, and one item that adds up the others. */
export function topOf<Item extends Sums>(
  items: readonly Item[],
  most: number,
): [Item[], Sums | null, number] {
  const sorted = [...items].sort((one, other) => lengthOf(paid(other)) - lengthOf(paid(one)));
  if (sorted.length <= most) return [sorted, null, 0];
  const others = sorted.slice(most - 1);
  return [sorted.slice(0, most - 1), sumTotals(others), others.length];
}
