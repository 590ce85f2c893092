import { useEffect, useState } from "preact/hooks";
import type { Audit, Turn } from "../api/types.ts";
import { route } from "../router.ts";
import { turn as strings } from "../strings.ts";
import { CallTable } from "./call_table.tsx";
import type { Call } from "./calls.ts";
import { type Lane, waterfallOf } from "./lanes.ts";
import { ledgerOf } from "./ledger_link.ts";
import { Legend } from "./legend.tsx";
import { callName, type NameOf } from "./names.ts";
import { hasEnded } from "./watching.ts";
import { WaterfallChart } from "./waterfall.tsx";

/** The calls of a turn as a drawing and as a table. */
export function Calls(props: { turn: Turn; calls: Call[]; nameOf: NameOf; audit: Audit[] }) {
  const { turn, calls, nameOf } = props;
  const ended = hasEnded(turn);
  const now = useNow(!ended);
  if (calls.length === 0) {
    return (
      <section class="stack">
        <h2>{strings.calls}</h2>
        <p class="muted">{strings.noCalls}</p>
      </section>
    );
  }
  const waterfall = waterfallOf(calls, ended, now);
  const labelOf = (lane: Lane) => callName(lane.call, turn, nameOf);
  const marked = route.value.query.get("call");
  return (
    <section class="stack">
      <div class="row spread">
        <h2>{strings.calls}</h2>
        <a class="small" href={ledgerOf(turn)}>
          {strings.ledger}
        </a>
      </div>
      <WaterfallChart waterfall={waterfall} labelOf={labelOf} marked={marked} />
      <Legend />
      {waterfall.lanes.some((lane) => lane.tone === "unknown") && <p class="note warn">{strings.suspense}</p>}
      <CallTable
        turn={turn}
        waterfall={waterfall}
        labelOf={labelOf}
        attempts={props.audit.flatMap((entry) => entry.detail.attempts)}
        marked={marked}
      />
    </section>
  );
}

/** The time, again and again while something runs. */
function useNow(runs: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!runs) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [runs]);
  return now;
}
