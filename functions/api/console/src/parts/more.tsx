import type { Paged } from "../api/loading.ts";
import { shell } from "../strings.ts";
import { ErrorNote } from "./error_note.tsx";
import { Loading } from "./lazy.tsx";

/** The end of a list: its problem, that it loads, or the button for the next page. */
export function More({ pages }: { pages: Paged<unknown> }) {
  if (pages.problem)
    return <ErrorNote problem={pages.problem} retry={pages.hasMore ? pages.more : pages.reload} />;
  if (pages.busy) return <Loading />;
  if (!pages.hasMore) return null;
  return (
    <button type="button" class="more" onClick={pages.more}>
      {shell.more}
    </button>
  );
}
