import type { Session, Turn } from "../api/types.ts";
import { allTokens, count } from "../parts/counts.ts";
import { Figures } from "../parts/figures.tsx";
import { usd } from "../parts/money.ts";
import { shownTitle } from "../parts/shown_title.ts";
import { duration, moment } from "../parts/time.ts";
import { href } from "../router.ts";
import { turn as strings } from "../strings.ts";
import { ledgerOf } from "./ledger_link.ts";
import { hasEnded } from "./watching.ts";

const SHORT = 140;
const TAGS: Record<string, string> = { completed: "good", failed: "bad", cancelled: "warn" };

/** Show the message, the status and the figures of a turn. */
export function Head({ turn, session }: { turn: Turn; session: Session | null }) {
  const isLong = turn.message.length > SHORT;
  return (
    <header class="stack">
      <a class="small" href={href(`sessions/${turn.session_id}`)}>
        ← {strings.back(session ? shownTitle(session.title) : strings.conversation)}
      </a>
      <h1>{strings.title(turn.turn_index)}</h1>
      <p class="turn-message">{isLong ? `${turn.message.slice(0, SHORT)} …` : turn.message}</p>
      {isLong && (
        <details>
          <summary>{strings.message}</summary>
          <p class="turn-message">{turn.message}</p>
        </details>
      )}
      <p class="row">
        <span class={`tag ${TAGS[turn.status] ?? ""}`}>{strings.statuses[turn.status]}</span>
        <span class="muted">{modeOf(turn.mode)}</span>
      </p>
      <div role="status">{!hasEnded(turn) && <p>{strings.running(turn.steps_finished)}</p>}</div>
      {turn.error && <p class="note bad">{strings.why(turn.error.detail, turn.error.code)}</p>}
      <Figures items={figures(turn)} />
      {turn.summary_triggered && (
        <p>
          {strings.summaryWritten}{" "}
          <a href={href(`sessions/${turn.session_id}/summary`)}>{strings.toSummary}</a>
        </p>
      )}
    </header>
  );
}

function figures(turn: Turn) {
  const names = strings.figures;
  const took = turn.completed_at && Date.parse(turn.completed_at) - Date.parse(turn.created_at);
  return [
    { name: names.when, value: moment(turn.created_at) },
    { name: names.duration, value: typeof took === "number" ? duration(took) : names.running },
    { name: names.tokens, value: count(allTokens(turn.usage)) },
    {
      name: names.cost,
      value: <a href={ledgerOf(turn, { account: "tenant" })}>{usd(turn.cost_usd)}</a>,
      note: names.costNote,
    },
    {
      name: names.platform,
      value: <a href={ledgerOf(turn, { account: "platform" })}>{usd(turn.platform_cost_usd)}</a>,
      note: names.platformNote,
    },
  ];
}

function modeOf(mode: string): string {
  return strings.modes[mode] ?? (mode.startsWith("graph:") ? strings.graph(mode.slice(6)) : mode);
}
