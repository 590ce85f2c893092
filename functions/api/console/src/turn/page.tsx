import "./turn.css";
import { loadAgentNames } from "../api/agent_names.ts";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Turn } from "../api/types.ts";
import { CopyButton } from "../parts/copy_button.tsx";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { turn as strings } from "../strings.ts";
import { AuditSection, useAudit } from "./audit.tsx";
import type { Call } from "./calls.ts";
import { Calls } from "./calls_section.tsx";
import { Council } from "./council.tsx";
import { Head } from "./head.tsx";
import { namesOf } from "./names.ts";
import { Fallbacks, Plan } from "./plan.tsx";
import { hasEnded, useTurn } from "./watching.ts";

/** Look into a turn: what was planned, every call that it took, and what it cost. */
export function TurnPage({ turnId }: { turnId: string }) {
  const { turn, calls, problem, retry } = useTurn(turnId);
  return (
    <div class="page">
      {!turn && <h1>{strings.loadingTitle}</h1>}
      {problem && <ErrorNote problem={problem} retry={retry} />}
      {!turn && !problem && <Loading />}
      {turn && calls && <Details turn={turn} calls={calls} />}
    </div>
  );
}

function Details({ turn, calls }: { turn: Turn; calls: Call[] }) {
  const session = useLoaded(
    () => ok(api.GET("/api/v1/sessions/{session_id}", { params: { path: { session_id: turn.session_id } } })),
    [turn.session_id],
  );
  const audit = useAudit(turn.id, hasEnded(turn));
  const agents = useLoaded(loadAgentNames, []);
  const nameOf = namesOf(turn, agents.data ?? new Map());
  return (
    <>
      <Head turn={turn} session={session.data} />
      <Plan turn={turn} nameOf={nameOf} />
      <Fallbacks turn={turn} />
      <Calls turn={turn} calls={calls} nameOf={nameOf} audit={audit.data ?? []} />
      <Council turn={turn} nameOf={nameOf} />
      <AuditSection audit={audit} nameOf={nameOf} />
      <Raw turn={turn} calls={calls} />
    </>
  );
}

function Raw({ turn, calls }: { turn: Turn; calls: Call[] }) {
  const text = JSON.stringify({ turn, calls }, null, 2);
  return (
    <details class="raw">
      <summary>{strings.json}</summary>
      <CopyButton text={text} label={strings.copyJson} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls. */}
      <pre class="card scroll" tabIndex={0}>
        {text}
      </pre>
    </details>
  );
}
