// Posts a turn by openapi-fetch, with the types of openapi-typescript.
import createClient from "openapi-fetch";
import { baseUrl, headers, refused, tell } from "./environment.js";
import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl, headers });
const made = await client.POST("/api/v1/sessions", { body: { agent_keys: ["writer"] } });
if (!made.data) throw new Error(JSON.stringify(made.error));
const posted = await client.POST("/api/v1/sessions/{session_id}/turns", {
  params: { path: { session_id: made.data.id }, header: { "idempotency-key": "generated" } },
  body: { message: "hello" },
});
if (!posted.data || typeof posted.data === "string") throw new Error(JSON.stringify(posted.error));

const ledger = await client.GET("/api/v1/usage/calls", { headers: { Accept: "text/csv" }, parseAs: "text" });
const unknown = await client.GET("/api/v1/auth/me", { headers: refused });
if (!unknown.error) throw new Error("A refused token was accepted.");
const refusal = "message" in unknown.error ? unknown.error.message : unknown.error;
tell({
  output: posted.data.output,
  location: posted.response.headers.get("Location"),
  csv: ledger.data,
  refused: { status: unknown.response.status, refusal },
});
