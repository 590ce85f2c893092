/** Write counts for people. */
import type { components } from "../api/schema.d.ts";

export type Usage = components["schemas"]["UsageView"];

const COUNT = new Intl.NumberFormat("en");

/** The classes of tokens, in the order of every table. They do not overlap. */
export const TOKEN_CLASSES = [
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
] as const satisfies readonly (keyof Usage)[];

export function count(number: number): string {
  return COUNT.format(number);
}

export function allTokens(usage: Usage): number {
  return TOKEN_CLASSES.reduce((sum, name) => sum + usage[name], 0);
}

export function sumUsage(usages: readonly Usage[]): Usage {
  const sum = { ...NO_TOKENS };
  for (const usage of usages) for (const name of TOKEN_CLASSES) sum[name] += usage[name];
  return sum;
}

const NO_TOKENS: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  reasoning_tokens: 0,
};
