import { useCallback, useMemo, useRef } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Agent, Session } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Icon } from "../parts/icons.tsx";
import { Loading } from "../parts/lazy.tsx";
import { sessionsChanged } from "../shell/sessions.ts";
import { isAdmin, me } from "../signing_in/session.ts";
import { ask } from "../strings.ts";
import { Composer } from "./composer.tsx";
import { ConversationHead } from "./conversation_head.tsx";
import { useAgents } from "./everything.ts";
import { useAnnouncement, useLiveTurn } from "./following.ts";
import { clearDraft } from "./kept.ts";
import { Refusal } from "./refusal.tsx";
import { type Running, running } from "./running.ts";
import { useStick } from "./sticking.ts";
import { StoredTurns } from "./stored_turns.ts";
import { titleOf } from "./title.ts";
import { TurnList } from "./turns.tsx";
import type { NameOf } from "./wording.ts";

/** A session: its turns, the turn that runs, and the message box. */
export function Conversation({ sessionId }: { sessionId: string }) {
  const session = useLoaded(
    () => ok(api.GET("/api/v1/sessions/{session_id}", { params: { path: { session_id: sessionId } } })),
    [sessionId],
  );
  const agents = useAgents();
  const problem = session.problem ?? agents.problem;
  const retry = () => Promise.all([session.reload(), agents.reload()]).then(() => undefined);
  if (!session.data || !agents.data) {
    return (
      <div class="page ask">{problem ? <ErrorNote problem={problem} retry={retry} /> : <Loading />}</div>
    );
  }
  return <Room session={session.data} agents={agents.data} changed={session.reload} />;
}

function Room({ session, agents, changed }: { session: Session; agents: Agent[]; changed: () => void }) {
  const turns = useMemo(() => new StoredTurns(session.id), [session.id]);
  const content = useRef<HTMLDivElement>(null);
  const stick = useStick(content, turns.loaded.value);
  const names = useMemo(() => new Map(agents.map((agent) => [agent.key, agent.name])), [agents]);
  const nameOf = useCallback((key: string) => names.get(key) ?? key, [names]);
  const live = useLiveTurn(session.id, turns);
  const mayChange = session.created_by === me.value?.user_id || isAdmin();
  const isFirst = turns.loaded.value && turns.turns.value.length === 0 && !live.running;
  const send = (message: string) => {
    // A second press may come before the page is drawn again.
    if (running.value.get(session.id)?.shown.value.ended === false) return;
    if (!session.title && isFirst && mayChange) void nameAfter(session, message, changed);
    clearDraft(session.id);
    live.post(message);
    stick.jump();
  };
  return (
    <div class="page ask conversation">
      <ConversationHead session={session} agents={agents} mayChange={mayChange} changed={changed} />
      <div ref={content} class="turns">
        {session.imported && <p class="note small">{ask.imported}</p>}
        <TurnList sessionId={session.id} turns={turns} nameOf={nameOf} running={live.running} />
        {isFirst && <p class="muted empty">{ask.nothingYet}</p>}
      </div>
      <Announcer running={live.running} nameOf={nameOf} />
      <div class="bottom">
        {stick.isAway && (
          <button type="button" class="jump" onClick={stick.jump}>
            <Icon name="down" />
            {ask.toNewest}
          </button>
        )}
        <Refusal sessionId={session.id} showRunning={() => turns.refresh().then(stick.jump)} />
        <Composer
          room={session.id}
          agents={agents.filter((agent) => agent.enabled && session.agent_keys.includes(agent.key))}
          blocked={live.busy ? ask.busyHint : null}
          send={send}
        />
      </div>
    </div>
  );
}

/** Tell a screen reader about states, and not about every piece of text. */
function Announcer({ running, nameOf }: { running: Running | null; nameOf: NameOf }) {
  const said = useAnnouncement(running?.shown.value ?? null, nameOf);
  return (
    <p class="hidden" aria-live="polite">
      {said}
    </p>
  );
}

/** Name a session without a title after its first message. */
async function nameAfter(session: Session, message: string, changed: () => void): Promise<void> {
  await api.PATCH("/api/v1/sessions/{session_id}", {
    params: { path: { session_id: session.id } },
    body: { title: titleOf(message) },
  });
  sessionsChanged();
  changed();
}
