/** The events of a turn, from the post to its end, whatever happens to the connection. */
import { base } from "../base.ts";
import { expire } from "../signing_in/token.ts";
import { credentials } from "./client.ts";
import { readEvents } from "./event_stream.ts";
import { offline, Problem, problemOf } from "./problem.ts";
import type { Plan, Reply, Turn } from "./types.ts";

export interface ReplyStarted {
  position: number;
  agent_key: string;
  name: string;
  model_alias: string;
  attempt: number;
}

export type TurnEvent =
  | { name: "turn"; data: Turn }
  | { name: "plan"; data: Plan }
  | { name: "reply.started"; data: ReplyStarted }
  | { name: "reply.delta"; data: { position: number; text: string } }
  | { name: "reply.reset"; data: { position: number } }
  | { name: "reply.completed"; data: Reply }
  | { name: "turn.ended"; data: Turn }
  /** The connection was lost, or is there again. */
  | { name: "connection"; data: "lost" | "back" };

export interface NewTurn {
  message: string;
  mode?: string;
  agent_keys?: string[];
}

/** Where the events of a turn were read up to. */
interface Place {
  turnId: string | null;
  lastId: string | null;
  ended: boolean;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Post a turn and tell its events until it has ended. The same key is posted again while no answer has come; the API
 * answers a repeated key with the same turn. Throws a Problem if the turn was refused or the token does not count.
 */
export async function* postTurn(
  sessionId: string,
  turn: NewTurn,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  const place: Place = { turnId: null, lastId: null, ended: false };
  const post = () =>
    request(`/api/v1/sessions/${sessionId}/turns`, signal, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(turn),
    });
  yield* untilEnded(place, signal, () => (place.turnId ? follow(place, signal) : post()));
}

/** The events of a turn that was posted before, until it has ended. */
export async function* followTurn(turnId: string, signal: AbortSignal): AsyncGenerator<TurnEvent> {
  const place: Place = { turnId, lastId: null, ended: false };
  yield* untilEnded(place, signal, () => follow(place, signal));
}

async function* untilEnded(
  place: Place,
  signal: AbortSignal,
  ask: () => Promise<Response>,
): AsyncGenerator<TurnEvent> {
  let failures = 0;
  while (!place.ended && !signal.aborted) {
    try {
      const response = await ask();
      if (response.status === 204) return;
      if (failures) yield { name: "connection", data: "back" };
      failures = 0;
      yield* told(response, place);
    } catch (error) {
      if (signal.aborted) return;
      const problem = error instanceof Problem ? error : offline(error);
      if (!passes(problem)) throw problem;
      if (!failures) yield { name: "connection", data: "lost" };
      failures += 1;
      await pause(Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS), signal);
    }
  }
}

async function* told(response: Response, place: Place): AsyncGenerator<TurnEvent> {
  if (!response.body) return;
  for await (const event of readEvents(response.body)) {
    if (event.id !== null) place.lastId = event.id;
    if (event.name === "error") throw new Problem(0, { code: "stream_failed", ...JSON.parse(event.data) });
    if (event.name === "turn.handed_over") return;
    const read = { name: event.name, data: JSON.parse(event.data) } as TurnEvent;
    if (read.name === "turn") place.turnId = read.data.id;
    if (read.name === "turn.ended") place.ended = true;
    yield read;
  }
}

function follow(place: Place, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = place.lastId ? { "Last-Event-ID": place.lastId } : {};
  return request(`/api/v1/turns/${place.turnId}/events`, signal, { headers });
}

async function request(path: string, signal: AbortSignal, init: RequestInit): Promise<Response> {
  const headers = { Accept: "text/event-stream", ...credentials(), ...init.headers };
  const response = await fetch(base + path, { ...init, headers, signal });
  if (response.status === 401) expire();
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** A lost connection, a busy gateway and the end of a process pass. Everything else stays as it is. */
function passes(problem: Problem): boolean {
  return problem.isOffline || [500, 502, 503, 504].includes(problem.status);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
