import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Session } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { ask, parts } from "../strings.ts";
import { useSessionChange } from "./session_change.ts";

const MOST = 200;

/** Rename a session. */
export function TitleForm(props: { session: Session; close: () => void; changed: () => void }) {
  const [title, setTitle] = useState(props.session.title);
  const { busy, problem, change } = useSessionChange(props.session.id, props.changed);
  const [field, box] = [useId(), useRef<HTMLInputElement>(null)];
  useEffect(() => box.current?.select(), []);
  return (
    <form
      class="stack"
      onSubmit={async (event) => {
        event.preventDefault();
        if (await change({ title: title.trim() })) props.close();
      }}
      onKeyDown={(event) => event.key === "Escape" && props.close()}
    >
      <h1 class="hidden">{props.session.title}</h1>
      <div class="row">
        <label class="hidden" for={field}>
          {ask.title}
        </label>
        <input
          id={field}
          ref={box}
          maxLength={MOST}
          value={title}
          onInput={(event) => setTitle(event.currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={busy}>
          {ask.save}
        </button>
        <button type="button" onClick={props.close}>
          {parts.cancel}
        </button>
      </div>
      {problem && <ErrorNote problem={problem} />}
    </form>
  );
}
