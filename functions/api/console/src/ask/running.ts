/** Turns that run, by session. They go on while other pages are shown. */
import { effect, type Signal, signal } from "@preact/signals";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { followTurn, type NewTurn, postTurn, type TurnEvent } from "../api/turn_events.ts";
import type { Turn } from "../api/types.ts";
import { me } from "../signing_in/session.ts";
import { giveBack, keepPending } from "./kept.ts";
import { afterAll, type ShownTurn, sent, stored } from "./live_turn.ts";

export interface Running {
  shown: Signal<ShownTurn>;
  /** Why it was refused, or can no longer be followed. */
  problem: Signal<Problem | null>;
  stop: () => void;
}

/** Replaced by a new map with each change. */
export const running = signal<ReadonlyMap<string, Running>>(new Map());
/** Why the last message of a session was refused. */
export const refusals = signal<ReadonlyMap<string, Problem>>(new Map());

// Nobody sees the turns of the person before.
effect(() => {
  if (me.value) return;
  for (const own of running.peek().values()) own.stop();
  running.value = new Map();
  refusals.value = new Map();
});

/** Post a message. It is kept until the turn is accepted, so that a reload posts it again under the same key. */
export function post(sessionId: string, turn: NewTurn, key: string = crypto.randomUUID()): void {
  keepPending(sessionId, { key, turn });
  setRefusal(sessionId, null);
  begin(sessionId, sent(turn.message), (signal) => postTurn(sessionId, turn, key, signal));
}

/** Follow a turn that runs. */
export function watch(sessionId: string, turn: Turn): void {
  begin(sessionId, stored(turn), (signal) => followTurn(turn.id, signal));
}

/** Forget a session's turn. It goes on without a reader. */
export function forget(sessionId: string): void {
  running.value.get(sessionId)?.stop();
  running.value = new Map([...running.value].filter(([id]) => id !== sessionId));
}

/** Stop trying to post a message, and put it back into the box. */
export function giveUp(sessionId: string): void {
  const message = running.value.get(sessionId)?.shown.value.message;
  forget(sessionId);
  keepPending(sessionId, null);
  if (message) giveBack(sessionId, message);
}

export function setRefusal(sessionId: string, problem: Problem | null): void {
  const others = [...refusals.value].filter(([id]) => id !== sessionId);
  refusals.value = new Map(problem ? [...others, [sessionId, problem]] : others);
}

function begin(
  sessionId: string,
  first: ShownTurn,
  events: (signal: AbortSignal) => AsyncGenerator<TurnEvent>,
): void {
  forget(sessionId);
  const stopped = new AbortController();
  const own: Running = {
    shown: signal(first),
    problem: signal(null),
    stop: () => stopped.abort(),
  };
  running.value = new Map([...running.value, [sessionId, own]]);
  void tell(sessionId, own, events(stopped.signal), stopped.signal);
}

async function tell(
  sessionId: string,
  own: Running,
  events: AsyncGenerator<TurnEvent>,
  signal: AbortSignal,
): Promise<void> {
  const waiting = frames((batch) => {
    own.shown.value = afterAll(own.shown.value, batch);
  });
  try {
    for await (const event of events) {
      if (event.name === "turn") keepPending(sessionId, null);
      waiting.add(event);
    }
    waiting.flush();
  } catch (error) {
    waiting.flush();
    if (!signal.aborted) fail(sessionId, own, problemFrom(error));
  }
}

function fail(sessionId: string, own: Running, problem: Problem): void {
  if (own.shown.value.turn) {
    own.problem.value = problem;
    return;
  }
  // It was refused before it was accepted, so nothing is stored.
  giveUp(sessionId);
  setRefusal(sessionId, problem);
}

/** Collect events and hand them over once a frame. A window that is hidden draws no frames. */
function frames(take: (batch: TurnEvent[]) => void): { add: (event: TurnEvent) => void; flush: () => void } {
  let batch: TurnEvent[] = [];
  let stop: (() => void) | null = null;
  const flush = () => {
    stop?.();
    stop = null;
    const taken = batch;
    batch = [];
    if (taken.length) take(taken);
  };
  const add = (event: TurnEvent) => {
    batch.push(event);
    if (stop) return;
    const frame = requestAnimationFrame(flush);
    const timer = setTimeout(flush, 250);
    stop = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  };
  return { add, flush };
}
