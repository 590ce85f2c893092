/** Periods of UTC days, as addresses and the API have them: `from` is in the period, `to` is the day after it. */

export interface Period {
  from: string;
  to: string;
}

export type Preset = "today" | "week" | "month" | "last";

const DAY_MS = 86_400_000;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** The presets as they are now. */
export function presetsOf(now: Date): Record<Preset, Period> {
  const today = dayOf(now.getTime());
  const month = (offset: number) => dayOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1));
  return {
    today: { from: today, to: plusDays(today, 1) },
    week: { from: plusDays(today, -6), to: plusDays(today, 1) },
    month: { from: month(0), to: month(1) },
    last: { from: month(-1), to: month(0) },
  };
}

/** The period of an address. Without one, or with one that is no period, it is this month. */
export function periodOf(query: URLSearchParams, now: Date): Period {
  const from = query.get("from");
  const to = query.get("to");
  const isWhole = from !== null && to !== null && isDay(from) && isDay(to) && from < to;
  return isWhole ? { from, to } : presetsOf(now).month;
}

export function daysOf({ from, to }: Period): string[] {
  const days = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
  return Array.from({ length: days }, (_, index) => plusDays(from, index));
}

export function plusDays(day: string, days: number): string {
  return dayOf(Date.parse(day) + days * DAY_MS);
}

export function isDay(text: string): boolean {
  return DAY.test(text) && !Number.isNaN(Date.parse(text));
}

/** `Nov 30, 2026, 19:12:58` in UTC. */
export function utcMoment(time: string): string {
  return MOMENT.format(new Date(time));
}

/** `Nov 30` in UTC. */
export function utcDay(day: string): string {
  return SHORT_DAY.format(new Date(day));
}

const MOMENT = new Intl.DateTimeFormat("en", {
  dateStyle: "medium",
  timeStyle: "medium",
  timeZone: "UTC",
  hour12: false,
});
const SHORT_DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });

function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}
