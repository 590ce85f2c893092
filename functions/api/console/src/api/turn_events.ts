/** The events of a turn, from the post to its end, whatever happens to the connection. */
import { base } from "../base.ts";
import { expire, token } from "../signing_in/token.ts";
import { credentials } from "./client.ts";
import { readEvents, within } from "./event_stream.ts";
import { isRecord, offline, Problem, problemOf } from "./problem.ts";
import type { Plan, Reply, Turn } from "./types.ts";

export interface ReplyStarted {
  position: number;
  agent_key: string;
  name: string;
  model_alias: string;
  attempt: number;
}

/** `lost`: no answer. `busy`: the API cannot answer now. `expired`: the user must sign in again. */
export type Connection = "lost" | "busy" | "expired" | "back";

export type TurnEvent =
  | { name: "turn"; data: Turn }
  | { name: "plan"; data: Plan }
  | { name: "reply.started"; data: ReplyStarted }
  | { name: "reply.delta"; data: { position: number; text: string } }
  | { name: "reply.reset"; data: { position: number } }
  | { name: "reply.completed"; data: Reply }
  | { name: "turn.ended"; data: Turn }
  | { name: "connection"; data: Connection };

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
  /** The pause before the next request, as the API asks for it. */
  pauseMs: number;
}

const TOLD = new Set([
  "turn",
  "plan",
  "reply.started",
  "reply.delta",
  "reply.reset",
  "reply.completed",
  "turn.ended",
]);
const MOST_REPLIES = 1_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** A request for events has its first bytes after 20 s at the latest, if the function was already running. */
const ANSWER_MS = 60_000;

/**
 * Post a turn and tell its events until it has ended. The same key is posted again while no answer has come; the API
 * answers a repeated key with the same turn. Waits where somebody has to sign in again. Throws a Problem if the turn was
 * refused.
 */
export async function* postTurn(
  sessionId: string,
  turn: NewTurn,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  const place: Place = { turnId: null, lastId: null, ended: false, pauseMs: 0 };
  const post = () =>
    request(`/api/v1/sessions/${encodeURIComponent(sessionId)}/turns`, signal, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(turn),
    });
  yield* untilEnded(place, signal, () => (place.turnId ? follow(place, signal) : post()));
}

/** The events of a turn that was posted before, until it has ended. */
export async function* followTurn(turnId: string, signal: AbortSignal): AsyncGenerator<TurnEvent> {
  const place: Place = { turnId, lastId: null, ended: false, pauseMs: 0 };
  yield* untilEnded(place, signal, () => follow(place, signal));
}

async function* untilEnded(
  place: Place,
  signal: AbortSignal,
  ask: () => Promise<Response>,
): AsyncGenerator<TurnEvent> {
  let failures = 0;
  let shown: Connection = "back";
  while (!place.ended && !signal.aborted) {
    const used = token.value;
    try {
      const response = await ask();
      if (response.status === 204) return;
      for await (const event of told(response, place)) {
        if (shown !== "back") yield { name: "connection", data: "back" };
        shown = "back";
        failures = 0;
        if (event) yield event;
      }
      if (!place.ended) await pause(place.pauseMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      const state = stateOf(error instanceof Problem ? error : offline(error), place);
      if (state !== shown) yield { name: "connection", data: state };
      shown = state;
      failures += 1;
      if (state === "expired") await anotherToken(used, signal);
      else await pause(Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS), signal);
    }
  }
}

/** The events of an answer. `null` says that it has arrived. An answer without any is asked for again after a pause. */
async function* told(response: Response, place: Place): AsyncGenerator<TurnEvent | null> {
  place.pauseMs = FIRST_PAUSE_MS;
  if (!response.body) return;
  // A proxy may answer with its own page.
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Problem(502, {});
  yield null;
  for await (const event of readEvents(response.body)) {
    if (event.id !== null) place.lastId = event.id;
    if (event.name === "retry") place.pauseMs = Number(event.data) || FIRST_PAUSE_MS;
    if (event.name === "error") throw failed(event.data);
    // After `turn.handed_over` the stream ends. Later releases may tell more.
    const read = TOLD.has(event.name) ? eventOf(event.name, event.data) : null;
    if (!read) continue;
    if (read.name === "turn") place.turnId = read.data.id;
    if (read.name === "turn.ended") place.ended = true;
    yield read;
  }
}

/** An event that has what the page reads of it. Others are left out, because the stored turn has everything. */
function eventOf(name: string, text: string): TurnEvent | null {
  const data = parsed(text);
  if (!isRecord(data)) return null;
  const isWhole = name.startsWith("reply.")
    ? isPosition(data.position) && (name !== "reply.delta" || typeof data.text === "string")
    : Array.isArray(name === "plan" ? data.selected_agent_keys : data.replies);
  return isWhole ? ({ name, data } as TurnEvent) : null;
}

/** The page draws a place for each position up to the highest. */
function isPosition(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < MOST_REPLIES;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A stream that ends in an error. The turn itself goes on, or is given up later, and can be followed. */
function failed(data: string): Problem {
  const body = parsed(data);
  return new Problem(503, isRecord(body) ? body : {});
}

function follow(place: Place, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = place.lastId ? { "Last-Event-ID": place.lastId } : {};
  return request(`/api/v1/turns/${encodeURIComponent(place.turnId ?? "")}/events`, signal, { headers });
}

async function request(path: string, signal: AbortSignal, init: RequestInit): Promise<Response> {
  const headers = { Accept: "text/event-stream", ...credentials(), ...init.headers };
  const given = new AbortController();
  const response = await within(
    ANSWER_MS,
    fetch(base + path, { ...init, headers, signal: AbortSignal.any([signal, given.signal]) }),
  ).catch((error: unknown) => {
    given.abort();
    throw error;
  });
  if (response.status === 401) expire();
  if (!response.ok) throw await problemOf(response);
  return response;
}

/**
 * How a problem passes. A lost connection, a busy gateway and the end of a process do. Once the turn is accepted, so does
 * a limit on requests. Throws every other problem.
 */
function stateOf(problem: Problem, place: Place): Connection {
  if (problem.isOffline) return "lost";
  if (problem.status === 401) return "expired";
  if ([502, 503, 504].includes(problem.status)) return "busy";
  if (problem.status === 500 && problem.code !== "misconfigured") return "busy";
  if (problem.status === 429 && place.turnId) return "busy";
  throw problem;
}

/** Wait until the user has signed in with another token. */
function anotherToken(used: string | null, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let stop: (() => void) | null = null;
    const done = () => {
      stop?.();
      signal.removeEventListener("abort", done);
      resolve();
    };
    stop = token.subscribe((now) => {
      if (now && now !== used) queueMicrotask(done);
    });
    signal.addEventListener("abort", done);
  });
}

/** Wait, and less if the network comes back. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
