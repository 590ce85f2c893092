import { useState } from "preact/hooks";
import { Dialog } from "../parts/dialog.tsx";
import { ErrorNote } from "../parts/error_note.tsx";
import { ask, parts } from "../strings.ts";
import type { HeadProps } from "./conversation_head.tsx";
import { fieldsOf, rosterOf } from "./roster.ts";
import { RosterFields } from "./roster_fields.tsx";
import { useSessionChange } from "./session_change.ts";
import { VisibilityField } from "./visibility_field.tsx";

/** Change who answers in a session, how, and who sees it. */
export function SettingsDialog(props: HeadProps & { close: () => void }) {
  const { session, agents, mayChange, close, changed } = props;
  const [roster, setRoster] = useState(() => rosterOf(session));
  const [visibility, setVisibility] = useState(session.visibility);
  const { busy, problem, change } = useSessionChange(session.id, changed);
  const save = async () => {
    if (await change({ ...fieldsOf(roster), visibility })) close();
  };
  return (
    <Dialog title={ask.settingsTitle} close={close}>
      <form
        class="stack ask"
        onSubmit={(event) => {
          event.preventDefault();
          if (roster.agentKeys.length) void save();
        }}
      >
        <p class="muted">{mayChange ? ask.settingsIntro : ask.readOnly}</p>
        <fieldset class="stack" disabled={!mayChange}>
          <RosterFields roster={roster} agents={agents} change={setRoster} />
          <VisibilityField value={visibility} change={setVisibility} />
        </fieldset>
        {problem && <ErrorNote problem={problem} />}
        <div class="row">
          {mayChange && (
            <button type="submit" class="primary" disabled={busy || roster.agentKeys.length === 0}>
              {ask.save}
            </button>
          )}
          <button type="button" onClick={close}>
            {mayChange ? parts.cancel : parts.close}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
