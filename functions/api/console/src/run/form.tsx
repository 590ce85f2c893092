import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ErrorNote } from "../parts/error_note.tsx";
import { LeaveGuard } from "../parts/leave_guard.tsx";
import { run } from "../strings.ts";
import type { Editor } from "./editor.ts";
import { isEmpty } from "./faults.ts";

/** The frame of a form: it saves, says what is wrong, and asks before changes are lost. */
export function EditorForm<Item, Draft>(props: {
  editor: Editor<Item, Draft>;
  label: string;
  children: ComponentChildren;
  /** More buttons beside the one that saves. */
  buttons?: ComponentChildren;
}) {
  const { editor } = props;
  const isGone = editor.problem?.status === 404;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [editor.faults]);
  return (
    <form
      ref={form}
      class="card editor"
      aria-label={props.label}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void editor.save();
      }}
    >
      <LeaveGuard isDirty={editor.isDirty} />
      {props.children}
      <div role="alert">{!isEmpty(editor.faults) && <p class="fault">{run.checkFields}</p>}</div>
      {isGone && (
        <p class="note bad" role="alert">
          {run.gone}
        </p>
      )}
      {editor.problem && !isGone && <ErrorNote problem={editor.problem} retry={editor.save} />}
      <div class="row">
        <button type="submit" class="primary" disabled={editor.busy}>
          {editor.busy ? run.saving : run.save}
        </button>
        {props.buttons}
        {editor.isDirty && <span class="muted small">{run.unsaved}</span>}
      </div>
    </form>
  );
}
