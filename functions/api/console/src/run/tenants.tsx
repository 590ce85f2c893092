import { useId, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { useLoaded, usePages } from "../api/loading.ts";
import type { OperatorTotal } from "../api/types.ts";
import { usd } from "../parts/money.ts";
import { More } from "../parts/more.tsx";
import { go, href, route } from "../router.ts";
import { run } from "../strings.ts";
import { grouped } from "./agent_draft.ts";
import { Facts } from "./facts.tsx";
import { bounds, later, monthIn } from "./month.ts";

/** Show each tenant's spending in a month, with a link to its cap. */
export function Tenants() {
  const words = run.operations;
  const now = new Date();
  const month = monthIn(route.value.query, now);
  const period = bounds(month);
  const sum = useLoaded(() => ok(api.GET("/api/v1/admin/usage", { params: { query: period } })), [month]);
  const pages = usePages(
    (cursor) =>
      ok(
        api.GET("/api/v1/admin/usage", {
          params: { query: { ...period, group_by: ["tenant_id"], limit: 50, cursor } },
        }),
      ),
    [month],
  );
  const all = sum.data?.items[0];
  return (
    <>
      <Months month={month} isPresent={month === monthIn(new URLSearchParams(), now)} />
      {all && <Sum total={all} />}
      {pages.items.length === 0 && !pages.busy && !pages.problem && <p>{words.noCalls}</p>}
      {pages.items.length > 0 && <TenantTable totals={pages.items} month={month} />}
      <More pages={pages} />
      <OpenTenant />
    </>
  );
}

function Months({ month, isPresent }: { month: string; isPresent: boolean }) {
  const words = run.operations;
  const at = (of: string) => href("operations/tenants", { month: of });
  return (
    <div class="row spread">
      <h2>{words.month(month)}</h2>
      <div class="row">
        <a href={at(later(month, -1))}>{words.before}</a>
        {!isPresent && <a href={at(later(month, 1))}>{words.after}</a>}
      </div>
    </div>
  );
}

function Sum({ total }: { total: OperatorTotal }) {
  const words = run.operations;
  const share = total.platform_share;
  return (
    <section class="card stack" aria-label={words.sum}>
      <Facts
        large
        facts={[
          [words.spent, usd(total.cost_usd)],
          [words.share, usd(total.platform_cost_usd)],
          [words.suspenseUsd, <a href={href("operations/suspense")}>{usd(total.suspense_usd)}</a>],
          [words.calls, grouped(total.calls)],
        ]}
      />
      <h3>{words.shareParts}</h3>
      <Facts
        facts={[
          [words.attempts, usd(share.attempts_usd)],
          [words.routing, usd(share.routing_usd)],
          [words.summaries, usd(share.summaries_usd)],
          [words.unknown, usd(share.unknown_usd)],
        ]}
      />
    </section>
  );
}

function TenantTable({ totals, month }: { totals: readonly OperatorTotal[]; month: string }) {
  const words = run.operations;
  const numbers = [words.spent, words.share, words.suspenseUsd, words.calls];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.tenantsTable(month)}>
      <table>
        <caption class="hidden">{words.tenantsTable(month)}</caption>
        <thead>
          <tr>
            <th scope="col">{words.tenant}</th>
            {numbers.map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {totals.map((total) => (
            <tr key={total.tenant_id}>
              <th scope="row">
                <a href={href("operations/tenants", { tenant: total.tenant_id ?? null })}>
                  {total.tenant_id}
                </a>
              </th>
              <td class="number">{usd(total.cost_usd)}</td>
              <td class="number">{usd(total.platform_cost_usd)}</td>
              <td class="number">{usd(total.suspense_usd)}</td>
              <td class="number">{grouped(total.calls)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A tenant that has not called yet is in no list. */
function OpenTenant() {
  const words = run.operations;
  const id = useId();
  const [name, setName] = useState("");
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) go(href("operations/tenants", { tenant: name.trim() }));
      }}
    >
      <label for={id}>{words.openTenant}</label>
      <div class="row">
        <input
          id={id}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit">{words.open}</button>
      </div>
    </form>
  );
}
