import { loadAgentNames } from "../api/agent_names.ts";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Names } from "./groups.ts";

const NONE: Names = { agents: new Map(), keys: new Map() };

/** Names of agents and API keys. Without them the page shows keys and ids. */
export function useNames(): Names {
  const { data } = useLoaded(async (): Promise<Names> => {
    const [agents, keys] = await Promise.allSettled([
      loadAgentNames(),
      // Only a token may read them, and the first hundred are enough for names.
      ok(api.GET("/api/v1/api-keys", { params: { query: { limit: 100 } } })),
    ]);
    return {
      agents: agents.status === "fulfilled" ? agents.value : NONE.agents,
      keys: new Map(keys.status === "fulfilled" ? keys.value.items.map((it) => [it.id, it.name]) : []),
    };
  }, []);
  return data ?? NONE;
}
