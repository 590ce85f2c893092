/** Load a turn with its calls, and follow it until it has ended. */
import { useEffect, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { Turn } from "../api/types.ts";
import { type Call, loadCalls } from "./calls.ts";

export interface Watched {
  turn: Turn | null;
  calls: Call[] | null;
  problem: Problem | null;
  retry: () => void;
}

/** How long an answer about a turn is held. Calls start without a finished step, so it is short. */
const WAIT_S = 4;
/** An answer that comes sooner and has nothing new was not held. */
const PAUSE_MS = 2_000;

export function hasEnded(turn: Turn): boolean {
  return turn.status !== "accepted" && turn.status !== "running";
}

export function useTurn(turnId: string): Watched {
  const [state, setState] = useState<Omit<Watched, "retry">>({ turn: null, calls: null, problem: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const show = (turn: Turn, calls: Call[]) => setState({ turn, calls, problem: null });
    watch(turnId, stop.signal, show).catch((error) => {
      if (!stop.signal.aborted) setState((now) => ({ ...now, problem: problemFrom(error) }));
    });
    return () => stop.abort();
  }, [turnId, round]);
  return { ...state, retry: () => setRound(round + 1) };
}

async function watch(
  turnId: string,
  signal: AbortSignal,
  show: (turn: Turn, calls: Call[]) => void,
): Promise<void> {
  let turn = await read(turnId, signal, {});
  show(turn, await loadCalls(turnId, signal));
  while (!hasEnded(turn) && !signal.aborted) {
    const asked = Date.now();
    const steps = turn.steps_finished;
    turn = await read(turnId, signal, { wait: WAIT_S, after: steps });
    const isNew = hasEnded(turn) || turn.steps_finished > steps;
    show(turn, await loadCalls(turnId, signal));
    if (!isNew && Date.now() - asked < PAUSE_MS) await pause(PAUSE_MS, signal);
  }
}

function read(turnId: string, signal: AbortSignal, query: { wait?: number; after?: number }): Promise<Turn> {
  return ok(api.GET("/api/v1/turns/{turn_id}", { params: { path: { turn_id: turnId }, query }, signal }));
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
