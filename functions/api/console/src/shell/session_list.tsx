import { useEffect } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import { More } from "../parts/more.tsx";
import { shownTitle } from "../parts/shown_title.ts";
import { href, route } from "../router.ts";
import { shell } from "../strings.ts";
import { sessionsChanged, sessionsVersion } from "./sessions.ts";

const PAGE = 30;

/** Links to the caller's sessions, newest first. */
export function SessionList() {
  const pages = usePages(
    (cursor) =>
      ok(api.GET("/api/v1/sessions", { params: { query: { order: "desc", limit: PAGE, cursor } } })),
    [sessionsVersion.value],
  );
  const isFirstPage = pages.items.length <= PAGE;
  useEffect(() => {
    // Another program may have made a session. A reader who has loaded more pages keeps them.
    if (!isFirstPage) return;
    addEventListener("focus", sessionsChanged);
    return () => removeEventListener("focus", sessionsChanged);
  }, [isFirstPage]);
  const [room, open] = route.value.path;
  return (
    <nav class="sessions" aria-label={shell.sessions}>
      {pages.items.length === 0 && !pages.busy && !pages.problem && (
        <p class="muted small">{shell.noSessions}</p>
      )}
      <ul>
        {pages.items.map((session) => (
          <li key={session.id}>
            <a
              href={href(`sessions/${session.id}`)}
              aria-current={room === "sessions" && open === session.id ? "page" : undefined}
            >
              {shownTitle(session.title)}
            </a>
          </li>
        ))}
      </ul>
      <More pages={pages} />
    </nav>
  );
}
