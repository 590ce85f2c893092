import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Names } from "./groups.ts";

const NONE: Names = { agents: new Map(), keys: new Map() };

/** Names of agents and API keys. Without them the page shows keys and ids. */
export function useNames(): Names {
  const { data } = useLoaded(async (): Promise<Names> => {
    const query = { limit: 100 };
    const [agents, keys] = await Promise.allSettled([
      ok(api.GET("/api/v1/agents", { params: { query } })),
      ok(api.GET("/api/v1/api-keys", { params: { query } })),
    ]);
    return {
      agents: new Map(agents.status === "fulfilled" ? agents.value.items.map((it) => [it.key, it.name]) : []),
      keys: new Map(keys.status === "fulfilled" ? keys.value.items.map((it) => [it.id, it.name]) : []),
    };
  }, []);
  return data ?? NONE;
}
