import { href } from "../router.ts";
import { ask } from "../strings.ts";
import { refusals, running, setRefusal } from "./running.ts";

/** Why the last message was refused, and what to do. The message is in the box again. */
export function Refusal({ sessionId, showRunning }: { sessionId: string; showRunning: () => void }) {
  const problem = refusals.value.get(sessionId);
  if (!problem) return null;
  const show = () => {
    setRefusal(sessionId, null);
    showRunning();
  };
  return (
    <div class="note bad" role="alert">
      <p>
        {ask.refusals[problem.code] ?? problem.message} {ask.kept}
      </p>
      {problem.code === "budget_exceeded" && <a href={href("usage")}>{ask.toUsage}</a>}
      {problem.code === "turn_conflict" && !running.value.has(sessionId) && (
        <button type="button" onClick={show}>
          {ask.showRunning}
        </button>
      )}
    </div>
  );
}
