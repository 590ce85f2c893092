/** The provider calls of a turn. */
import { credentials } from "../api/client.ts";
import { offline, problemOf } from "../api/problem.ts";
import { base } from "../base.ts";
import type { Usage } from "../parts/counts.ts";

export interface Call {
  step: number;
  attempt: number;
  purpose: string;
  agent_key: string | null;
  model_alias: string;
  started_at: string;
  ended_at: string | null;
  status: string;
  verdict: string | null;
  reason: string | null;
  usage: Usage;
  cost_usd: string | null;
}

export async function loadCalls(turnId: string, signal: AbortSignal): Promise<Call[]> {
  let response: Response;
  try {
    response = await fetch(`${base}/api/v1/turns/${turnId}/calls`, { headers: credentials(), signal });
  } catch (error) {
    throw offline(error);
  }
  if (!response.ok) throw await problemOf(response);
  return ((await response.json()) as { items: Call[] }).items;
}
