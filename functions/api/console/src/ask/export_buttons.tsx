import { useState } from "preact/hooks";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { ask } from "../strings.ts";
import { exportSession, type Format } from "./export.ts";

export function ExportButtons({ sessionId }: { sessionId: string }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const take = async (format: Format) => {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await exportSession(sessionId, format);
    } catch (error) {
      setProblem(problemFrom(error));
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="small" aria-disabled={busy} onClick={() => take("markdown")}>
        {ask.exportMarkdown}
      </button>
      <button type="button" class="small" aria-disabled={busy} onClick={() => take("json")}>
        {ask.exportJson}
      </button>
      <span class="hidden" role="status">
        {busy && ask.exporting}
      </span>
      {problem && <ErrorNote problem={problem} />}
    </>
  );
}
