/** Read and write agents and councils. */
import { api, ok } from "../api/client.ts";
import type { Agent, Council, Model } from "../api/types.ts";
import * as agentDraft from "./agent_draft.ts";
import * as councilDraft from "./council_draft.ts";
import type { Kind } from "./editor.ts";

export async function loadModels(): Promise<Model[]> {
  return (await ok(api.GET("/api/v1/models"))).items;
}

export function readAgent(key: string): Promise<Agent> {
  return ok(api.GET("/api/v1/agents/{key}", { params: { path: { key } } }));
}

/** Every agent of the tenant. A tenant has few hundred at most. */
export async function loadAgents(): Promise<Agent[]> {
  const agents: Agent[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; order: "asc"; cursor: string | null } = {
      limit: 100,
      order: "asc",
      cursor,
    };
    const page: { items: Agent[]; next_cursor: string | null } = await ok(
      api.GET("/api/v1/agents", { params: { query } }),
    );
    agents.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return agents;
}

export async function deleteAgent(key: string): Promise<void> {
  await ok(api.DELETE("/api/v1/agents/{key}", { params: { path: { key } } }));
}

export function readCouncil(key: string): Promise<Council> {
  return ok(api.GET("/api/v1/councils/{key}", { params: { path: { key } } }));
}

export async function deleteCouncil(key: string): Promise<void> {
  await ok(api.DELETE("/api/v1/councils/{key}", { params: { path: { key } } }));
}

/** Agents, as a form edits them. The models bound what a form accepts. */
export function agents(models: readonly Model[]): Kind<Agent, agentDraft.AgentDraft> {
  return {
    room: "agents",
    read: readAgent,
    create: (draft) =>
      ok(api.POST("/api/v1/agents", { body: { ...agentDraft.bodyOf(draft), key: draft.key } })),
    replace: ({ key, ...draft }, version) =>
      ok(
        api.PUT("/api/v1/agents/{key}", {
          params: { path: { key }, header: only(version) },
          body: agentDraft.bodyOf({ key, ...draft }),
        }),
      ),
    draftOf: agentDraft.draftOf,
    faultsIn: (draft, isNew) => agentDraft.faultsIn(draft, isNew, models),
  };
}

export const councils: Kind<Council, councilDraft.CouncilDraft> = {
  room: "councils",
  read: readCouncil,
  create: (draft) =>
    ok(api.POST("/api/v1/councils", { body: { ...councilDraft.bodyOf(draft), key: draft.key } })),
  replace: ({ key, ...draft }, version) =>
    ok(
      api.PUT("/api/v1/councils/{key}", {
        params: { path: { key }, header: only(version) },
        body: councilDraft.bodyOf({ key, ...draft }),
      }),
    ),
  draftOf: councilDraft.draftOf,
  faultsIn: councilDraft.faultsIn,
};

/** Replace this version, and no later one. */
function only(version: number): { "if-match": string } {
  return { "if-match": `"${version}"` };
}
