import { useLoaded } from "../api/loading.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { Notice } from "../parts/notice.tsx";
import { href } from "../router.ts";
import { isAdmin } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { CouncilEditor } from "./council_editor.tsx";
import { CouncilFacts } from "./council_facts.tsx";
import { CouncilList } from "./council_list.tsx";
import { loadAgents, readCouncil } from "./roster_api.ts";
import "./run.css";

/** All councils, one of them, or a new one. */
export function CouncilsPage({ councilKey }: { councilKey: string | null }) {
  if (councilKey === null) return <CouncilList />;
  return (
    <div class="page run">
      <a class="back" href={href("councils")}>
        {run.backTo(run.councils.title.toLowerCase())}
      </a>
      <OneCouncil councilKey={councilKey === "new" ? null : councilKey} />
    </div>
  );
}

function OneCouncil({ councilKey }: { councilKey: string | null }) {
  const found = useLoaded(
    () => Promise.all([councilKey === null ? null : readCouncil(councilKey), loadAgents()] as const),
    [councilKey],
  );
  const [council, agents] = found.data ?? [null, null];
  const isMissing = found.problem?.status === 404;
  const title = councilKey === null ? run.councils.newTitle : (council?.name ?? councilKey);
  return (
    <>
      <header class="row spread">
        <h1>{title}</h1>
        {council && <code class="muted">{council.key}</code>}
      </header>
      <Notice />
      {isMissing && <p class="note">{run.councils.missing}</p>}
      {found.problem && !isMissing && <ErrorNote problem={found.problem} retry={found.reload} />}
      {!found.data && found.busy && <Loading />}
      {agents && !isAdmin() && <p class="note">{run.membersRead}</p>}
      {agents && !isAdmin() && council && <CouncilFacts council={council} agents={agents} />}
      {agents && isAdmin() && agents.length === 0 && !council && (
        <p class="note">
          {run.councils.needsAgents} <a href={href("agents")}>{run.agents.first}</a>
        </p>
      )}
      {agents && isAdmin() && (agents.length > 0 || council) && (
        <CouncilEditor council={council} agents={agents} />
      )}
    </>
  );
}
