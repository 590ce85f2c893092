import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { Agent, AgentVersion } from "../api/types.ts";
import { Confirm } from "../parts/confirm.tsx";
import { More } from "../parts/more.tsx";
import { moment } from "../parts/time.ts";
import { route } from "../router.ts";
import { run } from "../strings.ts";
import { draftOf, textOf } from "./agent_draft.ts";
import { DiffView } from "./conflict.tsx";
import { VersionChoice } from "./version_choice.tsx";

/** The versions of an agent, the changes between any two, and the way back to one. */
export function AgentVersions(props: { agent: Agent; restore?: (old: Agent) => Promise<void> }) {
  const { agent, restore } = props;
  const words = run.agents;
  const [from, setFrom] = useState(Number(route.peek().query.get("version")) || null);
  const [to, setTo] = useState<number | null>(null);
  const [old, setOld] = useState<AgentVersion | null>(null);
  const path = { key: agent.key };
  const pages = usePages(
    (cursor) =>
      ok(api.GET("/api/v1/agents/{key}/versions", { params: { path, query: { limit: 50, cursor } } })),
    [agent.key, agent.version],
  );
  const after = pages.items.find((one) => one.version === (to ?? agent.version));
  const before = pages.items.find((one) => one.version === (from ?? (after?.version ?? 0) - 1));
  const compare = (version: number) => {
    setFrom(version);
    setTo(null);
  };
  return (
    <section class="stack versions">
      <h2>{words.versions}</h2>
      <p class="muted small">{words.versionsHint}</p>
      <VersionTable
        agent={agent}
        versions={pages.items}
        compare={compare}
        {...(restore ? { restore: setOld } : {})}
      />
      <More pages={pages} />
      {pages.items.length > 1 && (
        <>
          <div class="row">
            <VersionChoice
              label={words.from}
              versions={pages.items}
              chosen={before?.version}
              choose={setFrom}
            />
            <VersionChoice label={words.to} versions={pages.items} chosen={after?.version} choose={setTo} />
          </div>
          {before && after && (
            <DiffView
              before={textOf(draftOf(before))}
              after={textOf(draftOf(after))}
              label={run.diff.label(run.version(before.version), run.version(after.version))}
            />
          )}
        </>
      )}
      {old && restore && (
        <Confirm
          title={words.restoreTitle(old.version)}
          text={words.restoreText(old.version)}
          action={words.restore}
          act={() => restore(old)}
          close={() => setOld(null)}
        />
      )}
    </section>
  );
}

function VersionTable(props: {
  agent: Agent;
  versions: readonly AgentVersion[];
  compare: (version: number) => void;
  restore?: (version: AgentVersion) => void;
}) {
  const { agent, restore } = props;
  const words = run.agents;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.versions}>
      <table>
        <caption class="hidden">{words.versions}</caption>
        <thead>
          <tr>
            <th scope="col">{run.versionTitle}</th>
            <th scope="col">{words.changedAt}</th>
            <th scope="col">{words.model}</th>
            <th scope="col">{run.cells.actions}</th>
          </tr>
        </thead>
        <tbody>
          {props.versions.map((one) => (
            <tr key={one.version}>
              <th scope="row">{run.version(one.version)}</th>
              <td>{moment(one.created_at)}</td>
              <td>{one.model_alias}</td>
              <td class="actions">
                {one.version === agent.version ? (
                  <span class="tag good">{words.current}</span>
                ) : (
                  <div class="acts">
                    <button
                      type="button"
                      class="small"
                      aria-label={words.compareOf(one.version)}
                      onClick={() => props.compare(one.version)}
                    >
                      {words.compare}
                    </button>
                    {restore && (
                      <button
                        type="button"
                        class="small"
                        aria-label={words.restoreOf(one.version)}
                        onClick={() => restore(one)}
                      >
                        {words.restore}
                      </button>
                    )}
                  </div>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
