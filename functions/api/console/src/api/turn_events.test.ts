import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import type { Turn } from "./types.ts";

const kept = new Map<string, string>();
Object.assign(globalThis, {
  location: new URL("http://127.0.0.1/live/console/"),
  sessionStorage: {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
    clear: () => kept.clear(),
  },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
});
const { followTurn, postTurn } = await import("./turn_events.ts");
const { expired, keep } = await import("../signing_in/token.ts");

type Answer = (headers: Record<string, string>) => Response | Error;
const turn = {
  id: "t1",
  status: "running",
  replies: [] as Turn["replies"],
  selected_agent_keys: [] as string[],
} as unknown as Turn;
const asked: { method: string; path: string; headers: Record<string, string> }[] = [];
let answers: Answer[] = [];

/** Events as the API writes them. A turn's id of an event is its name here. */
function stream(...names: string[]): Answer {
  const text = names.map((name) => `id: ${name}\nevent: ${name}\ndata: ${JSON.stringify(turn)}\n\n`).join("");
  return streamOf(text);
}

function streamOf(text: string): Answer {
  const headers = { "Content-Type": "text/event-stream; charset=utf-8" };
  return () => new Response(`retry: 1\n\n${text}`, { headers });
}

function problem(status: number, code: string): Answer {
  return () => Response.json({ code, detail: code }, { status });
}

const lost: Answer = () => new TypeError("Failed to fetch");

async function heard(events: AsyncGenerator<{ name: string; data: unknown }>): Promise<string[]> {
  const names = [];
  for await (const event of events) {
    names.push(event.name === "connection" ? String(event.data) : event.name);
  }
  return names;
}

const post = () => heard(postTurn("s1", { message: "hello" }, "key", new AbortController().signal));

beforeEach(() => {
  asked.length = 0;
  keep("first");
  mock.method(globalThis, "fetch", async (address: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    asked.push({ method: init.method ?? "GET", path: new URL(address).pathname, headers });
    const answer = answers.shift()?.(headers);
    if (!answer || answer instanceof Error) throw answer ?? new Error("no answer left");
    return answer;
  });
});

test("postTurn tells the events of one stream", async () => {
  answers = [stream("turn", "plan", "turn.ended")];
  assert.deepEqual(await post(), ["turn", "plan", "turn.ended"]);
  assert.equal(asked[0]?.path, "/live/api/v1/sessions/s1/turns");
  assert.equal(asked[0]?.headers.Authorization, "Bearer first");
});

test("postTurn posts again under the same key while no answer has come", async () => {
  answers = [lost, problem(503, "database_unavailable"), stream("turn", "turn.ended")];
  assert.deepEqual(await post(), ["lost", "busy", "back", "turn", "turn.ended"]);
  assert.deepEqual(
    asked.map((each) => [each.method, each.headers["Idempotency-Key"]]),
    [
      ["POST", "key"],
      ["POST", "key"],
      ["POST", "key"],
    ],
  );
});

test("postTurn follows a turn whose stream was cut off, after the last event", async () => {
  answers = [stream("turn", "plan"), stream(), stream("turn.ended")];
  assert.deepEqual(await post(), ["turn", "plan", "turn.ended"]);
  assert.deepEqual(
    asked.map((each) => [each.path, each.headers["Last-Event-ID"]]),
    [
      ["/live/api/v1/sessions/s1/turns", undefined],
      ["/live/api/v1/turns/t1/events", "plan"],
      ["/live/api/v1/turns/t1/events", "plan"],
    ],
  );
});

test("postTurn follows a turn that was handed over and passes events over that it does not know", async () => {
  answers = [stream("turn", "turn.handed_over"), stream("reply.thought", "turn.ended")];
  assert.deepEqual(await post(), ["turn", "turn.ended"]);
});

test("postTurn follows a turn whose stream ended in an error", async () => {
  answers = [stream("turn", "error"), stream("turn.ended")];
  assert.deepEqual(await post(), ["turn", "busy", "back", "turn.ended"]);
});

test("postTurn throws the problem of a turn that was refused", async () => {
  answers = [problem(402, "budget_exceeded")];
  await assert.rejects(post(), { code: "budget_exceeded", status: 402 });
  answers = [problem(429, "rate_limited")];
  await assert.rejects(post(), { code: "rate_limited" });
  answers = [problem(500, "misconfigured")];
  await assert.rejects(post(), { code: "misconfigured" });
});

test("postTurn outlasts a limit on requests once the turn is accepted", async () => {
  answers = [stream("turn"), problem(429, "http_429"), stream("turn.ended")];
  assert.deepEqual(await post(), ["turn", "busy", "back", "turn.ended"]);
});

test("postTurn waits for another token and goes on with it", async () => {
  answers = [stream("turn"), problem(401, "unauthorized"), stream("turn.ended")];
  const names = post();
  while (!expired.value) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(asked.length, 2);
  keep("second");
  assert.deepEqual(await names, ["turn", "expired", "back", "turn.ended"]);
  assert.equal(asked[2]?.headers.Authorization, "Bearer second");
});

test("followTurn ends where there is nothing more", async () => {
  answers = [() => new Response(null, { status: 204 })];
  assert.deepEqual(await heard(followTurn("t1", new AbortController().signal)), []);
});

test("followTurn stops when nobody listens any more", async () => {
  const stopped = new AbortController();
  answers = [lost];
  const names = heard(followTurn("t1", stopped.signal));
  setTimeout(() => stopped.abort(), 20);
  assert.deepEqual(await names, ["lost"]);
});

test("postTurn leaves out events that are not whole", async () => {
  const broken = [
    "turn\ndata: {",
    "turn\ndata: null",
    "turn\ndata: []",
    'turn.ended\ndata: {"id": "t1"}',
    "plan\ndata: 1",
    'reply.started\ndata: {"position": 1e9}',
    'reply.delta\ndata: {"position": -1, "text": "x"}',
    'reply.delta\ndata: {"position": 0, "text": {}}',
    'reply.completed\ndata: {"position": "0"}',
  ];
  const whole = `event: turn.ended\ndata: ${JSON.stringify(turn)}\n\n`;
  answers = [streamOf(broken.map((event) => `event: ${event}\n\n`).join("") + whole)];
  assert.deepEqual(await post(), ["turn.ended"]);
  assert.equal(asked.length, 1);
});

test("postTurn waits and posts again under the same key when a gateway answers with its own page", async () => {
  const page: Answer = () => new Response("<h1>Welcome</h1>", { headers: { "Content-Type": "text/html" } });
  answers = [page, stream("turn", "turn.ended")];
  assert.deepEqual(await post(), ["busy", "back", "turn", "turn.ended"]);
  assert.deepEqual(
    asked.map(({ headers }) => headers["Idempotency-Key"]),
    ["key", "key"],
  );
});
