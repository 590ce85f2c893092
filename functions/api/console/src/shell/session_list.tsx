import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import { More } from "../parts/more.tsx";
import { shownTitle } from "../parts/shown_title.ts";
import { href, route } from "../router.ts";
import { shell } from "../strings.ts";
import { sessionsVersion } from "./sessions.ts";

/** Links to the caller's sessions, newest first. */
export function SessionList() {
  const pages = usePages(
    (cursor) => ok(api.GET("/api/v1/sessions", { params: { query: { order: "desc", limit: 30, cursor } } })),
    [sessionsVersion.value],
  );
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
