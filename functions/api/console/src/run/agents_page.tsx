import { useLoaded } from "../api/loading.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { Notice } from "../parts/notice.tsx";
import { href, route } from "../router.ts";
import { isAdmin } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { BLANK } from "./agent_draft.ts";
import { AgentEditor } from "./agent_editor.tsx";
import { AgentFacts } from "./agent_facts.tsx";
import { AgentList } from "./agent_list.tsx";
import { AgentVersions } from "./agent_versions.tsx";
import { loadModels, readAgent } from "./roster_api.ts";
import "./run.css";

/** All agents, one of them, or a new one. */
export function AgentsPage({ agentKey }: { agentKey: string | null }) {
  if (agentKey === null) return <AgentList />;
  return (
    <div class="page run">
      <a class="back" href={href("agents")}>
        {run.backTo(run.agents.title.toLowerCase())}
      </a>
      {agentKey === "new" ? <NewAgent /> : <OneAgent agentKey={agentKey} />}
    </div>
  );
}

function NewAgent() {
  const models = useLoaded(loadModels, []);
  const name = route.value.query.get("from");
  const template = run.agents.templates.find((one) => one.key === name);
  const blank = { ...BLANK, model_alias: models.data?.[0]?.alias ?? "" };
  const filled = template
    ? { ...blank, key: template.key, name: template.name, role_prompt: template.prompt }
    : blank;
  return (
    <>
      <h1>{run.agents.newTitle}</h1>
      {!isAdmin() && <p class="note">{run.membersRead}</p>}
      {models.problem && <ErrorNote problem={models.problem} retry={models.reload} />}
      {!models.data && models.busy && <Loading />}
      {models.data && isAdmin() && <AgentEditor agent={null} blank={filled} models={models.data} />}
    </>
  );
}

function OneAgent({ agentKey }: { agentKey: string }) {
  const found = useLoaded(() => Promise.all([readAgent(agentKey), loadModels()]), [agentKey]);
  const [agent, models] = found.data ?? [];
  const isMissing = found.problem?.status === 404;
  return (
    <>
      <header class="row spread">
        <h1>{agent?.name ?? agentKey}</h1>
        {agent && <code class="muted">{agent.key}</code>}
      </header>
      <Notice />
      {isMissing && <p class="note">{run.agents.missing}</p>}
      {found.problem && !isMissing && <ErrorNote problem={found.problem} retry={found.reload} />}
      {!found.data && found.busy && <Loading />}
      {agent && models && isAdmin() && <AgentEditor agent={agent} blank={BLANK} models={models} />}
      {agent && models && !isAdmin() && (
        <>
          <p class="note">{run.membersRead}</p>
          <AgentFacts agent={agent} />
          <AgentVersions agent={agent} />
        </>
      )}
    </>
  );
}
