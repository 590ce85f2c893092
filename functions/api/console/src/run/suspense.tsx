import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { SuspendedCall } from "../api/types.ts";
import { usd } from "../parts/money.ts";
import { More } from "../parts/more.tsx";
import { moment } from "../parts/time.ts";
import { run } from "../strings.ts";
import { TenantLink, TurnLink } from "./turn_link.tsx";

/** Calls of all tenants whose outcome is unknown, the oldest first. */
export function Suspense() {
  const words = run.operations;
  const pages = usePages(
    (cursor) => ok(api.GET("/api/v1/admin/suspense", { params: { query: { limit: 50, cursor } } })),
    [],
  );
  return (
    <>
      <p>{words.suspenseText}</p>
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{words.suspenseEmpty}</p>}
      {pages.items.length > 0 && <SuspenseTable calls={pages.items} />}
      <More pages={pages} />
    </>
  );
}

function SuspenseTable({ calls }: { calls: readonly SuspendedCall[] }) {
  const words = run.operations;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.suspenseTable}>
      <table>
        <caption class="hidden">{words.suspenseTable}</caption>
        <thead>
          <tr>
            <th scope="col">{words.turn}</th>
            <th scope="col">{words.tenant}</th>
            <th scope="col">{words.step}</th>
            <th scope="col">{words.model}</th>
            <th scope="col">{words.since}</th>
            <th scope="col" class="number">
              {words.reserve}
            </th>
          </tr>
        </thead>
        <tbody>
          {calls.map((call) => (
            <tr key={call.call_id}>
              <th scope="row">
                <TurnLink id={call.turn_id} tenantId={call.tenant_id} />
              </th>
              <td>
                <TenantLink id={call.tenant_id} />
              </td>
              <td>{words.stepOf(call.step, call.attempt)}</td>
              <td>
                {call.model_alias}
                <span class="sub">{call.provider}</span>
              </td>
              <td>{moment(call.since)}</td>
              <td class="number">{usd(call.reserve_usd)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
