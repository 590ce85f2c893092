import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Audit } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { moment } from "../parts/time.ts";
import { isAdmin } from "../signing_in/session.ts";
import { turn as strings, words } from "../strings.ts";
import type { NameOf } from "./names.ts";

export type Attempt = Audit["detail"]["attempts"][number];

export function useAudit(turnId: string, ended: boolean) {
  return useLoaded(async () => {
    const path = { turn_id: turnId };
    return (await ok(api.GET("/api/v1/turns/{turn_id}/audit", { params: { path } }))).items;
  }, [turnId, ended]);
}

/** Show the audit: the caller, the agents, and the providers' messages. */
export function AuditSection(props: { audit: ReturnType<typeof useAudit>; nameOf: NameOf }) {
  const { data, problem, busy, reload } = props.audit;
  return (
    <section class="stack">
      <h2>{strings.audit}</h2>
      {problem && <ErrorNote problem={problem} retry={reload} />}
      {busy && !data && <Loading />}
      {data?.length === 0 && <p class="muted">{strings.auditLater}</p>}
      {data?.map((entry) => (
        <Entry key={entry.created_at} entry={entry} nameOf={props.nameOf} />
      ))}
      {data && data.length > 0 && !isAdmin() && <p class="small muted">{strings.adminsOnly}</p>}
    </section>
  );
}

function Entry({ entry, nameOf }: { entry: Audit; nameOf: NameOf }) {
  const { agents, attempts } = entry.detail;
  const event = strings.events[entry.event] ?? entry.event;
  return (
    <div class="stack">
      <p>{strings.auditLine(event, entry.user_id, moment(entry.created_at))}</p>
      <ul class="small row muted">
        {agents.map((agent, position) => (
          <li key={`${position} ${agent.key}`}>
            {strings.version(nameOf(agent.key), agent.version, strings.replies[agent.status] ?? agent.status)}
          </li>
        ))}
      </ul>
      <div>
        {attempts.map((attempt) => (
          <AttemptDetails key={attempt.call_id} attempt={attempt} />
        ))}
      </div>
    </div>
  );
}

function AttemptDetails({ attempt }: { attempt: Attempt }) {
  const purpose = words.purposes[attempt.purpose] ?? attempt.purpose;
  return (
    <details class="attempt">
      <summary>
        {strings.inStep(attempt.step)}, {strings.attempt(attempt.attempt)}: {purpose}, {attempt.model_alias}
        {attempt.error && `: ${words.error(attempt.error)}`}
      </summary>
      <div class="stack">
        <p class="small muted">
          {strings.callId} <code>{attempt.call_id}</code>
        </p>
        {attempt.provider_message && (
          <>
            <h3>{strings.providerMessage}</h3>
            <p class="said">{attempt.provider_message}</p>
          </>
        )}
        {attempt.thinking && (
          <>
            <h3>{strings.thinking}</h3>
            <p class="said">{attempt.thinking}</p>
          </>
        )}
      </div>
    </details>
  );
}
