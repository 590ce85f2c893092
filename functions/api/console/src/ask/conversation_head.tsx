import { useState } from "preact/hooks";
import type { Agent, Session } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { Initials } from "../parts/initials.tsx";
import { shownTitle } from "../parts/shown_title.ts";
import { href } from "../router.ts";
import { ask } from "../strings.ts";
import { DeleteDialog } from "./delete_dialog.tsx";
import { ExportButtons } from "./export_buttons.tsx";
import { SettingsDialog } from "./settings_dialog.tsx";
import { TitleForm } from "./title_form.tsx";

export interface HeadProps {
  session: Session;
  agents: Agent[];
  mayChange: boolean;
  changed: () => void;
}

type Open = "settings" | "title" | "delete" | null;

/** The title of a session, who answers in it, and what can be done with it. */
export function ConversationHead({ session, agents, mayChange, changed }: HeadProps) {
  const [open, setOpen] = useState<Open>(null);
  const close = () => setOpen(null);
  return (
    <header class="head">
      {open === "title" ? (
        <TitleForm session={session} close={close} changed={changed} />
      ) : (
        <div class="row title">
          <h1>{shownTitle(session.title)}</h1>
          {mayChange && (
            <button type="button" class="plain small" onClick={() => setOpen("title")}>
              {ask.rename}
            </button>
          )}
        </div>
      )}
      <div class="row spread">
        <Roster session={session} agents={agents} />
        <div class="row actions">
          <button type="button" class="small" onClick={() => setOpen("settings")}>
            <Icon name="tools" />
            {ask.settings}
          </button>
          <a class="button small" href={href(`sessions/${session.id}/summary`)}>
            {ask.summary}
          </a>
          <details class="menu">
            <summary class="button small">{ask.more}</summary>
            <div class="card stack">
              <ExportButtons sessionId={session.id} />
              {mayChange && (
                <button type="button" class="danger small" onClick={() => setOpen("delete")}>
                  {ask.remove}
                </button>
              )}
            </div>
          </details>
        </div>
      </div>
      {open === "settings" && (
        <SettingsDialog
          session={session}
          agents={agents}
          mayChange={mayChange}
          close={close}
          changed={changed}
        />
      )}
      {open === "delete" && <DeleteDialog session={session} close={close} />}
    </header>
  );
}

function Roster({ session, agents }: { session: Session; agents: Agent[] }) {
  return (
    <div class="row who small">
      <span class="tag" title={ask.modes[session.mode]?.[1]}>
        {ask.modes[session.mode]?.[0] ?? session.mode}
      </span>
      <span class="tag">{ask.visibilityTags[session.visibility]}</span>
      {session.origin === "chat" && <span class="tag">{ask.fromChat}</span>}
      <ul class="faces" aria-label={ask.whoAnswers}>
        {session.agent_keys.map((key) => {
          const agent = agents.find((each) => each.key === key);
          const isOff = !agent?.enabled;
          return (
            <li key={key} class={`face ${isOff ? "off" : ""}`}>
              <Initials agentKey={key} name={agent?.name ?? key} />
              {agent?.name ?? key}
              {isOff && <span class="tag warn">{ask.disabled}</span>}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
