import { useEffect } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { href, replace } from "../router.ts";
import { turn as strings } from "../strings.ts";

const MISSING = Symbol("no such turn");

/** Find a turn by its number in a conversation, and go to its page. */
export function TurnAt({ sessionId, index }: { sessionId: string; index: number }) {
  const { data, problem, reload } = useLoaded(() => find(sessionId, index), [sessionId, index]);
  useEffect(() => {
    if (typeof data === "string") replace(href(`turns/${data}`));
  }, [data]);
  if (problem) {
    return (
      <div class="page">
        <ErrorNote problem={problem} retry={reload} />
      </div>
    );
  }
  return (
    <div class="page">
      <h1>{strings.title(index)}</h1>
      <p role="status">
        {data === MISSING ? strings.summary.turnGone(index) : strings.summary.findingTurn(index)}
      </p>
      {data === MISSING && <a href={href(`sessions/${sessionId}`)}>{strings.back(strings.conversation)}</a>}
    </div>
  );
}

/** The id of a turn. Items of memory are mostly young, so the newest turns are read first. */
async function find(sessionId: string, index: number): Promise<string | typeof MISSING> {
  let cursor: string | null = null;
  do {
    const page: { items: { id: string; turn_index: number }[]; next_cursor: string | null } = await ok(
      api.GET("/api/v1/sessions/{session_id}/turns", {
        params: { path: { session_id: sessionId }, query: { order: "desc", limit: 50, cursor } },
      }),
    );
    const found = page.items.find((turn) => turn.turn_index === index);
    if (found) return found.id;
    const oldest = page.items.at(-1);
    cursor = oldest && oldest.turn_index > index ? page.next_cursor : null;
  } while (cursor !== null);
  return MISSING;
}
