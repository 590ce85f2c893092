/** How the amount of a row of the ledger comes about: tokens × rate, class by class. */
import type { LedgerRow } from "../api/types.ts";
import { isSame, priceUsd, sumUsd } from "../parts/money.ts";

export type Class = "input" | "output" | "cache_read" | "cache_write" | "cache_write_1h" | "reasoning";

export interface Product {
  name: Class;
  tokens: number;
  rate: string;
  amount: string;
}

export type Conclusion = "equal" | "unbilled" | "reserve" | "released" | "differs";

export interface Arithmetic {
  products: Product[];
  sum: string;
  conclusion: Conclusion;
}

export function arithmeticOf(row: LedgerRow): Arithmetic {
  const products = counted(row)
    .filter(([, tokens]) => tokens > 0)
    .map(([name, tokens, rate]): Product => ({ name, tokens, rate, amount: priceUsd(tokens, rate) }));
  const sum = sumUsd(products.map((product) => product.amount));
  return { products, sum, conclusion: conclude(row, sum, products.length) };
}

/** The classes do not overlap, but `cache_write_tokens` contains those that are kept for an hour. */
function counted({ usage, rates, cache_write_1h_tokens: hour }: LedgerRow): [Class, number, string][] {
  return [
    ["input", usage.input_tokens, rates.input],
    ["output", usage.output_tokens, rates.output],
    ["cache_read", usage.cache_read_tokens, rates.cache_read],
    ["cache_write", usage.cache_write_tokens - hour, rates.cache_write],
    ["cache_write_1h", hour, rates.cache_write_1h ?? rates.cache_write],
    ["reasoning", usage.reasoning_tokens, rates.reasoning],
  ];
}

function conclude(row: LedgerRow, sum: string, classes: number): Conclusion {
  if (row.account === "suspense") return row.amount_usd.startsWith("-") ? "released" : "reserve";
  if (!isSame(sum, row.amount_usd)) return "differs";
  return classes === 0 ? "unbilled" : "equal";
}
