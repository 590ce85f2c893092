/** Calendar months in UTC, as the API's periods: `2026-11`. */

/** The month that an address names, or the present one. */
export function monthIn(query: URLSearchParams, now: Date): string {
  const given = query.get("month") ?? "";
  return /^20[0-9]{2}-(0[1-9]|1[0-2])$/.test(given) ? given : now.toISOString().slice(0, 7);
}

/** The month that many months later. */
export function later(month: string, by: number): string {
  const [year = 0, number = 1] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + by)).toISOString().slice(0, 7);
}

/** The bounds of a month, as `/usage` takes them: the end is exclusive. */
export function bounds(month: string): { from: string; to: string } {
  return { from: `${month}-01`, to: `${later(month, 1)}-01` };
}
