import "./turn.css";
import { api, ok } from "../api/client.ts";
import { type Paged, useLoaded, usePages } from "../api/loading.ts";
import type { Summary } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { Markdown } from "../parts/markdown.tsx";
import { More } from "../parts/more.tsx";
import { shownTitle } from "../parts/shown_title.ts";
import { moment } from "../parts/time.ts";
import { href, route } from "../router.ts";
import { turn as strings, words } from "../strings.ts";
import { Archive } from "./archive.tsx";

const names = strings.summary;
export const LISTS = ["key_facts", "decisions", "open_questions", "action_items"] as const;

/** Show the summary of a conversation, its archive and its history. */
export function SummaryPage({ sessionId }: { sessionId: string }) {
  const path = { session_id: sessionId };
  const session = useLoaded(
    () => ok(api.GET("/api/v1/sessions/{session_id}", { params: { path } })),
    [sessionId],
  );
  const summaries = usePages(
    (cursor) =>
      ok(
        api.GET("/api/v1/sessions/{session_id}/summaries", {
          params: { path, query: { order: "desc", limit: 20, cursor } },
        }),
      ),
    [sessionId],
  );
  const chosen = route.value.query.get("of");
  const newest = summaries.items[0];
  const shown = summaries.items.find((each) => each.id === chosen) ?? newest;
  return (
    <div class="page">
      <header class="stack">
        <a class="small" href={href(`sessions/${sessionId}`)}>
          ← {strings.back(session.data ? shownTitle(session.data.title) : strings.conversation)}
        </a>
        <h1>{names.title}</h1>
      </header>
      {!newest && summaries.busy && <Loading />}
      {!newest && summaries.problem && <ErrorNote problem={summaries.problem} retry={summaries.reload} />}
      {!newest && !summaries.busy && !summaries.problem && <p>{names.none}</p>}
      {shown && <Shown summary={shown} isNewest={shown === newest} />}
      {newest && <Archive sessionId={sessionId} current={newest.items} />}
      {newest && <History sessionId={sessionId} summaries={summaries} shown={shown?.id} />}
    </div>
  );
}

function Shown({ summary, isNewest }: { summary: Summary; isNewest: boolean }) {
  return (
    <>
      {!isNewest && (
        <p class="note" role="status">
          {names.older} <a href={href(`sessions/${summary.session_id}/summary`)}>{names.newest}</a>
        </p>
      )}
      <section class="card stack">
        <p class="small muted">{names.through(summary.through_turn_index, moment(summary.created_at))}</p>
        <Markdown text={summary.text} />
        {summary.fallbacks.map((each) => (
          <p key={`${each.component} ${each.reason}`} class="small muted">
            {strings.fallback(
              strings.fallbackEffects[each.component] ?? each.component,
              words.error(each.reason),
            )}
          </p>
        ))}
      </section>
      <div class="lists">
        {LISTS.map((list) => (
          <List key={list} summary={summary} list={list} />
        ))}
      </div>
    </>
  );
}

function List({ summary, list }: { summary: Summary; list: (typeof LISTS)[number] }) {
  const items = summary.items.filter((item) => item.list === list);
  return (
    <section class="card stack">
      <h2>{names.lists[list]}</h2>
      {items.length === 0 && <p class="muted">{names.empty}</p>}
      <ul class="memory">
        {items.map((item) => (
          <li key={item.id}>
            {item.text} <TurnLink sessionId={summary.session_id} index={item.turn_index} />
          </li>
        ))}
      </ul>
    </section>
  );
}

export function TurnLink({ sessionId, index }: { sessionId: string; index: number }) {
  return (
    <a class="small" href={href(`sessions/${sessionId}/turns/${index}`)}>
      {names.fromTurn(index)}
    </a>
  );
}

function History(props: { sessionId: string; summaries: Paged<Summary>; shown: string | undefined }) {
  const { sessionId, summaries, shown } = props;
  if (summaries.items.length < 2) return null;
  return (
    <section class="stack">
      <h2>{names.history}</h2>
      <ul class="history">
        {summaries.items.map((each) => (
          <li key={each.id}>
            <a
              href={href(`sessions/${sessionId}/summary`, { of: each.id })}
              aria-current={each.id === shown ? "true" : undefined}
            >
              {names.historyItem(each.through_turn_index, moment(each.created_at))}
            </a>
          </li>
        ))}
      </ul>
      <More pages={summaries} />
    </section>
  );
}
