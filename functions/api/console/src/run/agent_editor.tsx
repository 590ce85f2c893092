import { useState } from "preact/hooks";
import type { Agent, Model } from "../api/types.ts";
import { Confirm } from "../parts/confirm.tsx";
import { tell } from "../parts/notice.tsx";
import { go, href } from "../router.ts";
import { run } from "../strings.ts";
import { type AgentDraft, draftOf, textOf } from "./agent_draft.ts";
import { AgentFields } from "./agent_fields.tsx";
import { AgentVersions } from "./agent_versions.tsx";
import { Conflict } from "./conflict.tsx";
import { useEditor } from "./editor.ts";
import { EditorForm } from "./form.tsx";
import { agents, deleteAgent } from "./roster_api.ts";

/** Change an agent, or make one. */
export function AgentEditor(props: { agent: Agent | null; blank: AgentDraft; models: readonly Model[] }) {
  const kind = agents(props.models);
  const editor = useEditor(kind, props.agent, props.blank);
  const { base, theirs } = editor;
  const restore = async (old: Agent) => {
    if (!base) return;
    const saved = await kind.replace(draftOf(old), base.version);
    editor.begin(saved);
    tell(run.saved(saved.name, saved.version));
  };
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
        label={base?.name ?? run.agents.newTitle}
        buttons={base && <Delete agent={base} discard={() => editor.begin(base)} />}
      >
        <AgentFields editor={editor} models={props.models} />
      </EditorForm>
      {base && <AgentVersions agent={base} restore={restore} />}
    </>
  );
}

function Delete({ agent, discard }: { agent: Agent; discard: () => void }) {
  const [isOpen, setOpen] = useState(false);
  const words = run.agents;
  const act = async () => {
    await deleteAgent(agent.key);
    discard();
    tell(run.deleted(agent.name), "agents");
    go(href("agents"));
  };
  return (
    <>
      <button type="button" class="danger" onClick={() => setOpen(true)}>
        {run.delete}
      </button>
      {isOpen && (
        <Confirm
          title={words.deleteTitle(agent.name)}
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
