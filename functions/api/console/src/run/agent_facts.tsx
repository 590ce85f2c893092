import type { Agent } from "../api/types.ts";
import { run } from "../strings.ts";
import { draftOf, grouped } from "./agent_draft.ts";
import { Facts } from "./facts.tsx";

/** An agent for readers who cannot change it. */
export function AgentFacts({ agent }: { agent: Agent }) {
  const words = run.agents;
  return (
    <section class="card stack" aria-label={agent.name}>
      <Facts
        facts={[
          [words.model, agent.model_alias],
          [words.tokens, agent.max_output_tokens === null ? words.cap : grouped(agent.max_output_tokens)],
          [words.temperature, draftOf(agent).temperature || words.default],
          [run.cells.status, agent.enabled ? words.enabled : words.disabled],
          [run.versionTitle, agent.version],
        ]}
      />
      <h2>{words.prompt}</h2>
      <p class="prompt">{agent.role_prompt}</p>
    </section>
  );
}
