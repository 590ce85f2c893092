// Posts a turn by the client of @hey-api/openapi-ts, which streams the turn's events.
import { baseUrl, headers, refused, tell } from "./environment.js";
import { client } from "./hey/client.gen.js";
import { createSession, listUsageCalls, postTurn, readCaller, readTurn } from "./hey/index.js";

client.setConfig({ baseUrl, headers });
const made = await createSession({ body: { agent_keys: ["writer"] } });
if (!made.data) throw new Error(JSON.stringify(made.error));
const names: string[] = [];
const { stream } = await postTurn({
  path: { session_id: made.data.id },
  body: { message: "hello" },
  headers: { Accept: "text/event-stream", "idempotency-key": "generated" },
  sseMaxRetryAttempts: 1,
  onSseEvent: (event) => names.push(event.event ?? ""),
});
let last: unknown;
for await (const data of stream) last = data;
const { id } = last as { id: string };
const read = await readTurn({ path: { turn_id: id } });
if (!read.data) throw new Error(JSON.stringify(read.error));

const ledger = await listUsageCalls({ headers: { Accept: "text/csv" }, parseAs: "text" });
const unknown = await readCaller({ headers: refused });
if (!unknown.error) throw new Error("A refused token was accepted.");
const refusal = "message" in unknown.error ? unknown.error.message : unknown.error;
tell({
  output: read.data.output,
  events: [names.at(0), names.at(-1)],
  csv: ledger.data,
  refused: { status: unknown.response?.status, refusal },
});
