import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { Archived, Summary } from "../api/types.ts";
import { More } from "../parts/more.tsx";
import { ScrollArea } from "../parts/scroll_area.tsx";
import { moment } from "../parts/time.ts";
import { turn as strings } from "../strings.ts";
import { TurnLink } from "./summary_page.tsx";

const names = strings.summary;

/** The items that have left the lists, and why. */
export function Archive({ sessionId, current }: { sessionId: string; current: Summary["items"] }) {
  const pages = usePages(
    (cursor) =>
      ok(
        api.GET("/api/v1/sessions/{session_id}/archive", {
          params: { path: { session_id: sessionId }, query: { order: "desc", limit: 20, cursor } },
        }),
      ),
    [sessionId],
  );
  const texts = new Map([...pages.items, ...current].map((item) => [item.id, item.text]));
  return (
    <section class="stack">
      <h2>{names.archive}</h2>
      <p class="small muted">{names.archiveNote}</p>
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{names.archiveEmpty}</p>}
      {pages.items.length > 0 && (
        <ScrollArea label={names.archive}>
          <table class="dense archive">
            <caption class="hidden">{names.archive}</caption>
            <thead>
              <tr>
                <th scope="col">{names.item}</th>
                <th scope="col">{names.list}</th>
                <th scope="col">{names.why}</th>
                <th scope="col">{names.when}</th>
                <th scope="col">{names.origin}</th>
              </tr>
            </thead>
            <tbody>
              {pages.items.map((item) => (
                <Row key={`${item.id} ${item.archived_at}`} item={item} sessionId={sessionId} texts={texts} />
              ))}
            </tbody>
          </table>
        </ScrollArea>
      )}
      <More pages={pages} />
    </section>
  );
}

function Row(props: { item: Archived; sessionId: string; texts: Map<string, string> }) {
  const { item, texts } = props;
  return (
    <tr>
      <td class="put-away">{item.text}</td>
      <td>{names.lists[item.list]}</td>
      <td>
        {names.reasons[item.reason] ?? item.reason}
        {item.successor !== null && (
          <span class="small muted block">
            {names.successor(texts.get(item.successor) ?? item.successor)}
          </span>
        )}
      </td>
      <td>{moment(item.archived_at)}</td>
      <td>
        <TurnLink sessionId={props.sessionId} index={item.turn_index} />
      </td>
    </tr>
  );
}
