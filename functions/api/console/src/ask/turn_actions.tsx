import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Icon } from "../parts/icons.tsx";
import { ask } from "../strings.ts";
import type { ShownTurn } from "./live_turn.ts";
import { giveUp } from "./running.ts";

/** Cancel the turn that runs, or stop posting a message that has no answer. */
export function TurnActions({ sessionId, shown }: { sessionId: string; shown: ShownTurn }) {
  const [asked, setAsked] = useState(false);
  const [accepted, setAccepted] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const turnId = shown.turn?.id;
  const cancel = async () => {
    if (asked || !turnId) return;
    setAsked(true);
    setProblem(null);
    try {
      await ok(api.POST("/api/v1/turns/{turn_id}/cancel", { params: { path: { turn_id: turnId } } }));
      setAccepted(true);
    } catch (error) {
      const failed = problemFrom(error);
      // It has ended meanwhile, and its last event is on its way.
      if (failed.code === "turn_ended") return;
      setAsked(false);
      setProblem(failed);
    }
  };
  if (!turnId && shown.connection === "back") return null;
  return (
    <div class="stack">
      {problem && <ErrorNote problem={problem} />}
      <p class="row">
        {turnId ? (
          <button type="button" aria-disabled={asked} onClick={cancel}>
            <Icon name="stop" />
            {ask.cancelTurn}
          </button>
        ) : (
          <button type="button" onClick={() => giveUp(sessionId)}>
            {ask.giveUp}
          </button>
        )}
        <span class="small muted" role="status">
          {accepted && ask.cancelling}
        </span>
      </p>
    </div>
  );
}
