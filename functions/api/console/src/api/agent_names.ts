import { api, ok } from "./client.ts";

/** The names of the tenant's agents by key. A tenant has at most 200 agents by default. */
export async function loadAgentNames(): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  let cursor: string | null = null;
  do {
    const page: { items: { key: string; name: string }[]; next_cursor: string | null } = await ok(
      api.GET("/api/v1/agents", { params: { query: { limit: 100, cursor } } }),
    );
    for (const agent of page.items) names.set(agent.key, agent.name);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return names;
}
