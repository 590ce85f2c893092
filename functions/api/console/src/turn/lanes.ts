/** Where the calls of a turn are in the waterfall. */
import type { Call } from "./calls.ts";

export type Tone = "answered" | "failed" | "refused" | "unknown" | "running";
export type Kind = "agent" | "review" | "helper";

export interface Lane {
  call: Call;
  kind: Kind;
  tone: Tone;
  /** Milliseconds since the first call started. */
  start: number;
  end: number;
  /** Whether it is the first lane of its step. */
  isFirst: boolean;
}

export interface Waterfall {
  lanes: Lane[];
  /** Milliseconds from the first start to the last end. */
  span: number;
  origin: number;
}

/** The name of a call within its turn, as addresses have it. */
export function nameOf(call: { step: number; attempt: number }): string {
  return `${call.step}-${call.attempt}`;
}

/** Lay out calls by step in the order in which the steps started. `now` is where a call that runs ends so far. */
export function waterfallOf(calls: readonly Call[], turnEnded: boolean, now: number): Waterfall {
  const first = new Map<number, number>();
  for (const call of calls) {
    const start = Date.parse(call.started_at);
    first.set(call.step, Math.min(first.get(call.step) ?? start, start));
  }
  const origin = Math.min(...first.values());
  const inOrder = [...calls].sort(
    (one, other) =>
      (first.get(one.step) ?? 0) - (first.get(other.step) ?? 0) ||
      one.step - other.step ||
      one.attempt - other.attempt,
  );
  const lanes = inOrder.map((call, index): Lane => {
    const start = Date.parse(call.started_at) - origin;
    const end = call.ended_at === null ? now - origin : Date.parse(call.ended_at) - origin;
    const isFirst = inOrder[index - 1]?.step !== call.step;
    return {
      call,
      kind: kindOf(call.purpose),
      tone: toneOf(call, turnEnded),
      start,
      end: Math.max(start, end),
      isFirst,
    };
  });
  return {
    lanes,
    origin: calls.length ? origin : now,
    span: Math.max(1, ...lanes.map((lane) => lane.end)),
  };
}

export function toneOf(call: Pick<Call, "status" | "verdict">, turnEnded: boolean): Tone {
  if (call.status === "succeeded") return call.verdict === "reply" ? "answered" : "failed";
  if (call.status === "unbilled") return "refused";
  // The outcome of a call that an ended turn left open is not known either.
  return call.status === "intent" && !turnEnded ? "running" : "unknown";
}

/** Round times for the axis, at most `most` of them after zero. */
export function ticksOf(span: number, most: number): number[] {
  const step = STEPS.find((each) => span / each <= most) ?? Math.ceil(span / most / 60_000) * 60_000;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step);
}

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
];

function kindOf(purpose: string): Kind {
  if (purpose === "review") return "review";
  return purpose === "agent" ? "agent" : "helper";
}
