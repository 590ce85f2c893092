import { useState } from "preact/hooks";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { pay as strings } from "../strings.ts";
import { downloadLedger } from "./csv.ts";
import { type Period, plusDays } from "./period.ts";

/** Download the ledger's rows of the period, with the given filters. */
export function CsvButton({ period, filters = {} }: { period: Period; filters?: Record<string, string> }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const download = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const query = new URLSearchParams({ ...period, ...filters });
      await downloadLedger(query, strings.csvFile(period.from, plusDays(period.to, -1)));
    } catch (error) {
      setProblem(problemFrom(error));
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="small" disabled={busy} onClick={download}>
        <span aria-live="polite">{busy ? strings.csvBusy : strings.csv}</span>
      </button>
      {problem && <ErrorNote problem={problem} retry={download} />}
    </>
  );
}
