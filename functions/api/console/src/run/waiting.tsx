import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { WaitingTurn } from "../api/types.ts";
import { More } from "../parts/more.tsx";
import { moment } from "../parts/time.ts";
import { run } from "../strings.ts";
import { TenantLink, TurnLink } from "./turn_link.tsx";

/** Show the turns of all tenants that no worker runs, the oldest first. */
export function Waiting() {
  const words = run.operations;
  const pages = usePages(
    (cursor) =>
      ok(api.GET("/api/v1/admin/turns", { params: { query: { state: "waiting", limit: 50, cursor } } })),
    [],
  );
  return (
    <>
      <p>{words.waitingText}</p>
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{words.waitingEmpty}</p>}
      {pages.items.length > 0 && <WaitingTable turns={pages.items} />}
      <More pages={pages} />
    </>
  );
}

function WaitingTable({ turns }: { turns: readonly WaitingTurn[] }) {
  const words = run.operations;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.waitingTable}>
      <table>
        <caption class="hidden">{words.waitingTable}</caption>
        <thead>
          <tr>
            <th scope="col">{words.turn}</th>
            <th scope="col">{words.tenant}</th>
            <th scope="col">{words.state}</th>
            <th scope="col">{words.since}</th>
            <th scope="col">{words.accepted}</th>
            <th scope="col" class="number">
              {words.steps}
            </th>
          </tr>
        </thead>
        <tbody>
          {turns.map((turn) => (
            <tr key={turn.id}>
              <th scope="row">
                <TurnLink id={turn.id} tenantId={turn.tenant_id} />
              </th>
              <td>
                <TenantLink id={turn.tenant_id} />
              </td>
              <td>
                <span class="tag warn">{words.states[turn.status]}</span>
              </td>
              <td>{moment(turn.waits_since)}</td>
              <td>{moment(turn.created_at)}</td>
              <td class="number">{turn.steps_finished}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
