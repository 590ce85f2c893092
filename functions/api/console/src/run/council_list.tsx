import { loadAgentNames } from "../api/agent_names.ts";
import { api, ok } from "../api/client.ts";
import { useLoaded, usePages } from "../api/loading.ts";
import type { Council } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { More } from "../parts/more.tsx";
import { Notice } from "../parts/notice.tsx";
import { href } from "../router.ts";
import { isAdmin } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { modeName } from "./council_draft.ts";

/** The councils of the tenant. */
export function CouncilList() {
  const pages = usePages(
    (cursor) => ok(api.GET("/api/v1/councils", { params: { query: { limit: 50, cursor } } })),
    [],
  );
  const words = run.councils;
  return (
    <div class="page run">
      <header class="row spread">
        <div>
          <h1>{words.title}</h1>
          <p class="muted">{words.lead}</p>
        </div>
        {isAdmin() && (
          <a class="button primary" href={href("councils/new")}>
            <Icon name="plus" />
            {words.new}
          </a>
        )}
      </header>
      <Notice />
      {!isAdmin() && <p class="note">{run.membersRead}</p>}
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{words.empty}</p>}
      {pages.items.length > 0 && <CouncilTable councils={pages.items} />}
      <More pages={pages} />
    </div>
  );
}

function CouncilTable({ councils }: { councils: readonly Council[] }) {
  const words = run.councils;
  const names = useLoaded(loadAgentNames, []).data;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.table}>
      <table>
        <caption class="hidden">{words.table}</caption>
        <thead>
          <tr>
            <th scope="col">{run.name}</th>
            <th scope="col">{run.key}</th>
            <th scope="col">{words.mode}</th>
            <th scope="col">{words.agents}</th>
            <th scope="col" class="number">
              {run.versionTitle}
            </th>
          </tr>
        </thead>
        <tbody>
          {councils.map((council) => (
            <tr key={council.key}>
              <th scope="row">
                <a href={href(`councils/${council.key}`)}>{council.name}</a>
              </th>
              <td>
                <code>{council.key}</code>
              </td>
              <td>{modeName(council.mode)}</td>
              <td class="wrap">{council.agent_keys.map((key) => names?.get(key) ?? key).join(", ")}</td>
              <td class="number">{council.version}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
