/** The provider calls of a turn. */
import { api, ok } from "../api/client.ts";
import type { components } from "../api/schema.d.ts";

export type Call = components["schemas"]["CallView"];

export async function loadCalls(turnId: string, signal: AbortSignal): Promise<Call[]> {
  const path = { turn_id: turnId };
  // A turn has few calls, so all are on one page.
  return (await ok(api.GET("/api/v1/turns/{turn_id}/calls", { params: { path }, signal }))).items;
}
