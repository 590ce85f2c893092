import { useEffect, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { type Paged, usePages } from "../api/loading.ts";
import type { Agent } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { More } from "../parts/more.tsx";
import { Notice } from "../parts/notice.tsx";
import { href } from "../router.ts";
import { isAdmin } from "../signing_in/session.ts";
import { run } from "../strings.ts";
import { Search } from "./search.tsx";

/** The agents of the tenant. A search loads what is left of the list. */
export function AgentList() {
  const [text, setText] = useState("");
  const pages = usePages(
    (cursor) => ok(api.GET("/api/v1/agents", { params: { query: { limit: 50, cursor } } })),
    [],
  );
  useRest(pages, text !== "");
  const asked = text.trim().toLowerCase();
  const agents = pages.items.filter((agent) =>
    [agent.name, agent.key, agent.model_alias].some((field) => field.toLowerCase().includes(asked)),
  );
  const isEmpty = pages.items.length === 0 && !pages.busy && !pages.problem;
  return (
    <div class="page run">
      <header class="row spread">
        <div>
          <h1>{run.agents.title}</h1>
          <p class="muted">{run.agents.lead}</p>
        </div>
        {isAdmin() && !isEmpty && (
          <a class="button primary" href={href("agents/new")}>
            <Icon name="plus" />
            {run.agents.new}
          </a>
        )}
      </header>
      <Notice />
      {!isAdmin() && !isEmpty && <p class="note">{run.membersRead}</p>}
      {isEmpty && <FirstAgent />}
      {pages.items.length > 0 && <Search text={text} change={setText} />}
      {agents.length > 0 && <AgentTable agents={agents} />}
      {pages.items.length > 0 && agents.length === 0 && !pages.busy && <p>{run.noMatch(text)}</p>}
      <More pages={pages} />
    </div>
  );
}

function useRest(pages: Paged<unknown>, isAsked: boolean): void {
  const isDue = isAsked && pages.hasMore && !pages.busy && !pages.problem;
  useEffect(() => {
    if (isDue) void pages.more();
  }, [isDue]);
}

function AgentTable({ agents }: { agents: readonly Agent[] }) {
  const words = run.agents;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.table}>
      <table>
        <caption class="hidden">{words.table}</caption>
        <thead>
          <tr>
            <th scope="col">{run.name}</th>
            <th scope="col">{run.key}</th>
            <th scope="col">{words.model}</th>
            <th scope="col">{run.cells.status}</th>
            <th scope="col" class="number">
              {run.versionTitle}
            </th>
          </tr>
        </thead>
        <tbody>
          {agents.map((agent) => (
            <tr key={agent.key}>
              <th scope="row">
                <a href={href(`agents/${agent.key}`)}>{agent.name}</a>
              </th>
              <td>
                <code>{agent.key}</code>
              </td>
              <td>{agent.model_alias}</td>
              <td>
                <span class={`tag ${agent.enabled ? "good" : ""}`}>
                  {agent.enabled ? words.enabled : words.disabled}
                </span>
              </td>
              <td class="number">{agent.version}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The way to begin when there is no agent yet. */
function FirstAgent() {
  const words = run.agents;
  if (!isAdmin()) return <p class="note">{words.firstMember}</p>;
  return (
    <section class="first">
      <h2>{words.first}</h2>
      <p>{words.firstText}</p>
      <ul class="templates">
        {words.templates.map((template) => (
          <li key={template.key} class="card">
            <h3>
              <a href={href("agents/new", { from: template.key })}>{template.name}</a>
            </h3>
            <p class="muted">{template.about}</p>
          </li>
        ))}
      </ul>
      <a class="button" href={href("agents/new")}>
        <Icon name="plus" />
        {words.new}
      </a>
    </section>
  );
}
