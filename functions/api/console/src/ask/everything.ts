/** Load whole lists that have few entries. */
import { api, ok } from "../api/client.ts";
import { type Loaded, useLoaded } from "../api/loading.ts";
import type { Agent, Council, Page } from "../api/types.ts";

export function useAgents(): Loaded<Agent[]> {
  return useLoaded(async () => {
    const agents = await allOf((cursor) =>
      ok(api.GET("/api/v1/agents", { params: { query: { limit: 100, cursor } } })),
    );
    return agents.sort((one, other) => one.name.localeCompare(other.name));
  }, []);
}

export function useCouncils(): Loaded<Council[]> {
  return useLoaded(
    () => allOf((cursor) => ok(api.GET("/api/v1/councils", { params: { query: { limit: 100, cursor } } }))),
    [],
  );
}

async function allOf<Item>(load: (cursor: string | null) => Promise<Page<Item>>): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await load(cursor);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return items;
}
