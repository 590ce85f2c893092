import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { Session } from "../api/types.ts";
import { Dialog } from "../parts/dialog.tsx";
import { ErrorNote } from "../parts/error_note.tsx";
import { shownTitle } from "../parts/shown_title.ts";
import { go, href } from "../router.ts";
import { sessionsChanged } from "../shell/sessions.ts";
import { ask, parts } from "../strings.ts";
import { keepDraft, keepPending } from "./kept.ts";
import { forget } from "./running.ts";

/** Delete a session, after a question. */
export function DeleteDialog({ session, close }: { session: Session; close: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const remove = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await ok(api.DELETE("/api/v1/sessions/{session_id}", { params: { path: { session_id: session.id } } }));
    } catch (error) {
      setProblem(problemFrom(error));
      setBusy(false);
      return;
    }
    forget(session.id);
    keepDraft(session.id, "");
    keepPending(session.id, null);
    sessionsChanged();
    go(href(""));
  };
  return (
    <Dialog title={ask.removeTitle} close={close}>
      <div class="stack">
        <p>
          <strong>{shownTitle(session.title)}</strong>
        </p>
        <p>{ask.removeText}</p>
        {problem && <ErrorNote problem={problem} />}
        <div class="row">
          <button type="button" class="danger" disabled={busy} onClick={remove}>
            {ask.removeYes}
          </button>
          <button type="button" onClick={close}>
            {parts.cancel}
          </button>
        </div>
      </div>
    </Dialog>
  );
}
