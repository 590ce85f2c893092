import { useId, useRef, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { Agent, Council } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Initials } from "../parts/initials.tsx";
import { Loading } from "../parts/lazy.tsx";
import { go, href } from "../router.ts";
import { sessionsChanged } from "../shell/sessions.ts";
import { isAdmin, isSamePerson, me } from "../signing_in/session.ts";
import { ask } from "../strings.ts";
import { Composer } from "./composer.tsx";
import { useAgents, useCouncils } from "./everything.ts";
import { keepDraft, keepPending } from "./kept.ts";
import { Option } from "./option.tsx";
import { defaultRoster, fieldsOf, type Roster, rosterOf } from "./roster.ts";
import { RosterFields } from "./roster_fields.tsx";
import { titleOf } from "./title.ts";
import { type Visibility, VisibilityField } from "./visibility_field.tsx";

const ROOM = "new";

export function NewConversation() {
  const [agents, councils] = [useAgents(), useCouncils()];
  return (
    <div class="page ask new">
      <header class="stack">
        <h1>{ask.newTitle}</h1>
        <p class="muted">{ask.newIntro}</p>
      </header>
      {agents.problem && <ErrorNote problem={agents.problem} retry={agents.reload} />}
      {councils.problem && <ErrorNote problem={councils.problem} retry={councils.reload} />}
      {agents.data && councils.data ? (
        <Start agents={agents.data} councils={councils.data} />
      ) : (
        !agents.problem && !councils.problem && <Loading />
      )}
    </div>
  );
}

/** Choose who answers, and send the first message. */
function Start({ agents, councils }: { agents: Agent[]; councils: Council[] }) {
  const [council, setCouncil] = useState<Council | null>(councils[0] ?? null);
  const [own, setOwn] = useState<Roster>(() => defaultRoster(agents));
  const [visibility, setVisibility] = useState<Visibility>("private");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const roster = council ? rosterOf(council) : own;
  const isSending = useRef(false);
  const send = async (message: string) => {
    // A second press may come before the page is drawn again.
    if (isSending.current) return;
    isSending.current = true;
    const author = me.value;
    setBusy(true);
    setProblem(null);
    try {
      const who = council ? { council_key: council.key } : fieldsOf(own);
      const body = { title: titleOf(message), visibility, ...who };
      // The schema's generator marks fields with defaults as required.
      const session = await ok(api.POST("/api/v1/sessions", { body: body as never }));
      // The message is not for another person who has signed in meanwhile.
      if (!isSamePerson(author, me.value)) return;
      keepPending(session.id, { key: crypto.randomUUID(), turn: { message } });
      keepDraft(ROOM, "");
      sessionsChanged();
      go(href(`sessions/${session.id}`));
    } catch (error) {
      setProblem(problemFrom(error));
      setBusy(false);
      isSending.current = false;
    }
  };
  if (agents.length === 0) return <NoAgents />;
  return (
    <>
      <Councils agents={agents} councils={councils} chosen={council} choose={setCouncil} />
      {!council && <RosterFields roster={own} agents={agents} change={setOwn} />}
      <VisibilityField value={visibility} change={setVisibility} />
      {problem && <ErrorNote problem={problem} />}
      {agents.every((agent) => !agent.enabled) && <p class="note warn">{ask.noEnabledAgents}</p>}
      <Composer
        room={ROOM}
        agents={agents.filter((agent) => roster.agentKeys.includes(agent.key))}
        blocked={busy ? ask.sending : roster.agentKeys.length === 0 ? ask.noAgentChosen : null}
        send={send}
      />
    </>
  );
}

function Councils(props: {
  agents: Agent[];
  councils: Council[];
  chosen: Council | null;
  choose: (council: Council | null) => void;
}) {
  const group = useId();
  if (props.councils.length === 0) return null;
  return (
    <fieldset>
      <legend>{ask.whoAnswers}</legend>
      <div class="options">
        {props.councils.map((council) => (
          <Option
            key={council.key}
            group={group}
            checked={props.chosen?.key === council.key}
            choose={() => props.choose(council)}
            name={council.name}
            text={ask.modes[council.mode]?.[1]}
          >
            <Faces council={council} agents={props.agents} />
          </Option>
        ))}
        <Option
          group={group}
          checked={!props.chosen}
          choose={() => props.choose(null)}
          name={ask.ownChoice}
          text={ask.ownChoiceIntro}
        />
      </div>
    </fieldset>
  );
}

/** The agents of a council. */
function Faces({ council, agents }: { council: Council; agents: Agent[] }) {
  return (
    <span class="faces small">
      {council.agent_keys.map((key) => {
        const name = agents.find((agent) => agent.key === key)?.name ?? key;
        return (
          <span key={key} class="face">
            <Initials agentKey={key} name={name} />
            {name}
          </span>
        );
      })}
    </span>
  );
}

function NoAgents() {
  return (
    <div class="card stack">
      <h2>{ask.noAgents}</h2>
      <p>{isAdmin() ? ask.noAgentsAdmin : ask.noAgentsMember}</p>
      <p>
        <a class="button primary" href={href("agents")}>
          {ask.toAgents}
        </a>
      </p>
    </div>
  );
}
