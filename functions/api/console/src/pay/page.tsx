import "./pay.css";
import { useLoaded } from "../api/loading.ts";
import type { Total } from "../api/types.ts";
import { allTokens, count } from "../parts/counts.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Figures } from "../parts/figures.tsx";
import { Loading, lazy } from "../parts/lazy.tsx";
import { usd } from "../parts/money.ts";
import { route } from "../router.ts";
import { pay as strings } from "../strings.ts";
import { BudgetCards } from "./budget.tsx";
import { CsvButton } from "./csv_button.tsx";
import { GroupBars } from "./group_bars.tsx";
import { GROUPS, type Group, groupOf, keyOf, labelOf } from "./groups.ts";
import { rowsOf, usageAt } from "./links.ts";
import { type Period, periodOf } from "./period.ts";
import { PeriodPicker } from "./period_picker.tsx";
import { sumTotals } from "./sums.ts";
import { loadTotals } from "./totals.ts";
import { TotalsTable } from "./totals_table.tsx";
import { useNames } from "./use_names.ts";

// The library of the chart is loaded with it.
const DayChart = lazy(() => import("./day_chart.tsx").then((room) => room.DayChart));

/** Show the usage and the cost of a period by group. */
export function UsagePage() {
  const period = periodOf(route.value.query, new Date());
  const group = groupOf(route.value.query);
  const loaded = useLoaded(
    async () => ({ group, period, totals: await loadTotals(period, group) }),
    [period.from, period.to, group],
  );
  const { data, problem } = loaded;
  return (
    <div class="page">
      <h1>{strings.title}</h1>
      <BudgetCards />
      <div class="stack">
        <PeriodPicker period={period} at={(chosen) => usageAt(chosen, group)} />
        <p class="small muted">{strings.utc}</p>
      </div>
      <Tabs period={period} group={group} />
      {problem && <ErrorNote problem={problem} retry={loaded.reload} />}
      {!data && loaded.busy && <Loading />}
      {data && !problem && <Report {...data} />}
    </div>
  );
}

function Tabs({ period, group }: { period: Period; group: Group }) {
  return (
    <nav class="tabs" aria-label={strings.groupBy}>
      {(Object.keys(GROUPS) as Group[]).map((each) => (
        <a key={each} href={usageAt(period, each)} aria-current={each === group ? "page" : undefined}>
          {strings.groups[each]}
        </a>
      ))}
    </nav>
  );
}

function Report({ period, group, totals }: { period: Period; group: Group; totals: Total[] }) {
  const names = useNames();
  const nameOf = (total: Total) => labelOf(keyOf(total, group), group, names);
  if (totals.length === 0) return <p role="status">{strings.nothing}</p>;
  const title = group === "day" ? strings.showDays : strings.showGroups(strings.groupWords[group] ?? group);
  return (
    <>
      <Together period={period} totals={totals} />
      <section class="card stack">
        <div class="row spread">
          <h2>{title}</h2>
          <Key />
        </div>
        {group === "day" ? (
          <DayChart title={title} totals={totals} period={period} />
        ) : (
          <GroupBars title={title} totals={totals} labelOf={nameOf} />
        )}
      </section>
      <section class="stack">
        <div class="row spread">
          <h2>{strings.tableOf(strings.groupWords[group] ?? group)}</h2>
          <CsvButton period={period} />
        </div>
        <TotalsTable period={period} group={group} totals={totals} labelOf={nameOf} />
      </section>
    </>
  );
}

function Together({ period, totals }: { period: Period; totals: Total[] }) {
  const sum = sumTotals(totals);
  const names = strings.figures;
  return (
    <Figures
      items={[
        {
          name: names.cost,
          value: <a href={rowsOf(period, null, "tenant")}>{usd(sum.cost_usd)}</a>,
          note: names.costNote,
        },
        {
          name: names.platform,
          value: <a href={rowsOf(period, null, "platform")}>{usd(sum.platform_cost_usd)}</a>,
          note: names.platformNote,
        },
        {
          name: names.suspense,
          value: <a href={rowsOf(period, null, "suspense")}>{usd(sum.suspense_usd)}</a>,
          note: names.suspenseNote,
        },
        { name: names.calls, value: <a href={rowsOf(period, null)}>{count(sum.calls)}</a> },
        { name: names.tokens, value: <a href={rowsOf(period, null)}>{count(allTokens(sum.usage))}</a> },
      ]}
    />
  );
}

function Key() {
  return (
    <ul class="key row small muted">
      <li class="tenant">{strings.figures.cost}</li>
      <li class="platform">{strings.figures.platform}</li>
    </ul>
  );
}
