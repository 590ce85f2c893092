/** Write amounts of money. They are decimal strings, and never numbers, until they are rounded for reading. */

/** `$1.23`, or more decimals for less than a cent: `$0.000042`. Two digits that count are kept. */
export function usd(amount: string): string {
  const negative = amount.startsWith("-");
  const [whole = "0", fraction = ""] = amount.replace("-", "").split(".", 2);
  const zeros = /^0*/.exec(fraction)?.[0].length ?? 0;
  const isSmall = /^0*$/.test(whole) && zeros < fraction.length;
  const decimals = isSmall ? Math.min(Math.max(2, zeros + 2), 12) : 2;
  const text = rounded(whole, fraction, decimals);
  return `${negative && /[1-9]/.test(text) ? "−" : ""}$${text}`;
}

/** `$0.000042000000`: every decimal that the ledger has. */
export function exactUsd(amount: string): string {
  return amount.startsWith("-") ? `−$${amount.slice(1)}` : `$${amount}`;
}

/** The same amount without zeros at its end: `0.000042`. */
export function plainUsd(amount: string): string {
  return amount.includes(".") ? amount.replace(/\.?0+$/, "") : amount;
}

/** The exact price of tokens at a rate in USD per million. */
export function priceUsd(tokens: number, rate: string): string {
  // A rate has at most 12 decimals, so the division leaves no rest.
  return textOf((BigInt(tokens) * unitsOf(rate)) / 1_000_000n);
}

/** Whether two decimal strings are the same amount. */
export function isSame(one: string, other: string): boolean {
  return unitsOf(one) === unitsOf(other);
}

/** The exact sum of decimal strings. */
export function sumUsd(amounts: readonly string[]): string {
  return textOf(amounts.reduce((total, amount) => total + unitsOf(amount), 0n));
}

const DECIMALS = 18;

function textOf(units: bigint): string {
  const digits = String(units < 0n ? -units : units).padStart(DECIMALS + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
}

function unitsOf(amount: string): bigint {
  const negative = amount.startsWith("-");
  const [whole = "0", fraction = ""] = amount.replace("-", "").split(".", 2);
  const units = BigInt(whole + fraction.padEnd(DECIMALS, "0").slice(0, DECIMALS));
  return negative ? -units : units;
}

function rounded(whole: string, fraction: string, decimals: number): string {
  const digits = BigInt(whole + fraction.padEnd(decimals + 1, "0").slice(0, decimals + 1));
  const text = String((digits + 5n) / 10n).padStart(decimals + 1, "0");
  const grouped = text.slice(0, -decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${grouped}.${text.slice(-decimals)}`;
}
