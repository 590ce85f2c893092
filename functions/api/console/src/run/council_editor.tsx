import { useState } from "preact/hooks";
import type { Agent, Council, Mode } from "../api/types.ts";
import { Confirm } from "../parts/confirm.tsx";
import { Field } from "../parts/field.tsx";
import { tell } from "../parts/notice.tsx";
import { go, href } from "../router.ts";
import { run } from "../strings.ts";
import { Choices } from "./choices.tsx";
import { Conflict } from "./conflict.tsx";
import { BLANK, type CouncilDraft, draftOf, hasFanOut, MODES, modeName, textOf } from "./council_draft.ts";
import { type Editor, useEditor } from "./editor.ts";
import { EditorForm } from "./form.tsx";
import { Identity } from "./identity.tsx";
import { Roster } from "./roster.tsx";
import { councils, deleteCouncil } from "./roster_api.ts";

type Props = { editor: Editor<Council, CouncilDraft>; agents: readonly Agent[] };

/** Change a council, or make one. */
export function CouncilEditor({ council, agents }: { council: Council | null; agents: readonly Agent[] }) {
  const editor = useEditor(councils, council, BLANK);
  const { base, theirs } = editor;
  return (
    <>
      {base && theirs && (
        <Conflict
          mine={{ version: base.version, text: textOf(editor.draft) }}
          theirs={{ version: theirs.version, text: textOf(draftOf(theirs)) }}
          take={editor.take}
          keep={editor.keep}
        />
      )}
      <EditorForm
        editor={editor}
        label={base?.name ?? run.councils.newTitle}
        buttons={base && <Delete council={base} discard={() => editor.begin(base)} />}
      >
        <Identity editor={editor} />
        <Choices<Mode>
          legend={run.councils.mode}
          choices={MODES.map((mode) => ({
            value: mode,
            label: modeName(mode),
            hint: run.councils.modes[mode],
          }))}
          chosen={editor.draft.mode}
          choose={(mode) => editor.change({ mode })}
        />
        <Roster editor={editor} agents={agents} />
        {editor.draft.mode === "council" && <Chair editor={editor} agents={agents} />}
        {hasFanOut(editor.draft.mode) && <FanOut editor={editor} />}
      </EditorForm>
    </>
  );
}

function Chair({ editor, agents }: Props) {
  const { draft, change, faults } = editor;
  const names = new Map(agents.map((agent) => [agent.key, agent.name]));
  return (
    <Field label={run.councils.chair} hint={run.councils.chairHint} fault={faults.chair_key}>
      {(field) => (
        <select
          {...field}
          value={draft.chair_key ?? ""}
          onChange={(event) => change({ chair_key: event.currentTarget.value || null })}
        >
          <option value="">{run.councils.firstAgent}</option>
          {draft.agent_keys.map((key) => (
            <option key={key} value={key}>
              {names.get(key) ?? key}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function FanOut({ editor }: { editor: Props["editor"] }) {
  const words = run.councils;
  return (
    <Choices<CouncilDraft["fan_out"]>
      legend={words.fanOut}
      choices={[
        { value: "sequential", label: "sequential", hint: words.sequential },
        { value: "parallel", label: "parallel", hint: words.parallel },
      ]}
      chosen={editor.draft.fan_out}
      choose={(fan_out) => editor.change({ fan_out })}
    />
  );
}

function Delete({ council, discard }: { council: Council; discard: () => void }) {
  const [isOpen, setOpen] = useState(false);
  const words = run.councils;
  const act = async () => {
    await deleteCouncil(council.key);
    discard();
    tell(run.deleted(council.name), "councils");
    go(href("councils"));
  };
  return (
    <>
      <button type="button" class="danger" onClick={() => setOpen(true)}>
        {run.delete}
      </button>
      {isOpen && (
        <Confirm
          title={words.deleteTitle(council.name)}
          text={words.deleteText}
          action={run.delete}
          isDangerous
          act={act}
          close={() => setOpen(false)}
        />
      )}
    </>
  );
}
