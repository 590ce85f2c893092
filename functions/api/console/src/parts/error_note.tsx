import type { Problem } from "../api/problem.ts";
import { parts } from "../strings.ts";

/** Say what failed and offer to try again. */
export function ErrorNote({ problem, retry }: { problem: Problem; retry?: () => void }) {
  return (
    <div class="note bad" role="alert">
      <p>{problem.isOffline ? `${parts.offline} ${parts.offlineAdvice}` : problem.message}</p>
      {problem.requestId && <p class="small">{parts.requestId(problem.requestId)}</p>}
      {retry && (
        <button type="button" onClick={retry}>
          {parts.retry}
        </button>
      )}
    </div>
  );
}
