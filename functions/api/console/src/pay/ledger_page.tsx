import "./pay.css";
import { useRef } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { usePages } from "../api/loading.ts";
import type { paths } from "../api/schema.d.ts";
import type { LedgerRow, Page } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { exactUsd, plainUsd, sumUsd } from "../parts/money.ts";
import { More } from "../parts/more.tsx";
import { ScrollArea } from "../parts/scroll_area.tsx";
import { href, route } from "../router.ts";
import { pay } from "../strings.ts";
import { CsvButton } from "./csv_button.tsx";
import { FILTERS, type FilterName, type Filters, filtersOf, without } from "./filters.ts";
import { GROUPS, type Group, labelOf, type Names } from "./groups.ts";
import { COLUMNS, Row } from "./ledger_row.tsx";
import { usageAt } from "./links.ts";
import { type Period, periodOf } from "./period.ts";
import { PeriodPicker } from "./period_picker.tsx";
import { useNames } from "./use_names.ts";

type LedgerQuery = NonNullable<paths["/api/v1/usage/calls"]["get"]["parameters"]["query"]>;

const strings = pay.ledger;
const PAGE = 50;

/** The rows of the ledger behind a figure, down to one call. */
export function LedgerPage() {
  const period = periodOf(route.value.query, new Date());
  const filters = filtersOf(route.value.query);
  const names = useNames();
  const pages = usePages(
    async (cursor) => {
      // The API refuses a value that it does not know, and says so.
      const query = { ...period, ...filters, limit: PAGE, cursor } as LedgerQuery;
      // The document has the CSV too, which only its own header asks for.
      return (await ok(api.GET("/api/v1/usage/calls", { params: { query } }))) as Page<LedgerRow>;
    },
    [period.from, period.to, JSON.stringify(filters)],
  );
  const { items, busy, problem, hasMore } = pages;
  return (
    <div class="page">
      <header class="stack">
        <a class="small" href={usageAt(period, "day")}>
          ← {strings.back}
        </a>
        <h1>{strings.title}</h1>
        <p class="muted">{strings.note}</p>
      </header>
      <PeriodPicker period={period} at={(chosen) => ledgerAt(chosen, filters)} />
      <div class="row spread">
        <Chips period={period} filters={filters} names={names} />
        <CsvButton period={period} filters={filters} />
      </div>
      {items.length === 0 && !busy && !problem && <p role="status">{strings.nothing}</p>}
      {items.length > 0 && <Table rows={items} names={names} hasMore={hasMore} />}
      <More pages={pages} />
    </div>
  );
}

function ledgerAt(period: Period, filters: Filters): string {
  return href("usage/calls", { ...period, ...filters });
}

/** The filters, each with a link that takes it away. */
function Chips({ period, filters, names }: { period: Period; filters: Filters; names: Names }) {
  const given = FILTERS.filter((name) => filters[name] !== undefined);
  const place = useRef<HTMLDivElement>(null);
  return (
    // A filter that is taken away takes its link along, so the focus stays here.
    <div ref={place} tabIndex={-1}>
      {given.length === 0 && <p class="small muted">{strings.noFilters}</p>}
      <ul class="chips row" aria-label={strings.filters} hidden={given.length === 0}>
        {given.map((name) => {
          const value = textOf(name, filters[name] ?? "", names);
          const title = strings.names[name] ?? name;
          return (
            <li key={name}>
              <span class="muted">{title}</span> {value}
              <a
                href={ledgerAt(period, without(filters, name))}
                aria-label={strings.remove(title, value)}
                onClick={() => place.current?.focus()}
              >
                <Icon name="close" />
              </a>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function textOf(name: FilterName, value: string, names: Names): string {
  if (name === "account") return strings.accounts[value] ?? value;
  const group = (Object.keys(GROUPS) as Group[]).find((each) => GROUPS[each] === name);
  return group ? labelOf(value, group, names) : value || strings.empty;
}

function Table({ rows, names, hasMore }: { rows: LedgerRow[]; names: Names; hasMore: boolean }) {
  const sum = sumUsd(rows.map((row) => row.amount_usd));
  // A call is named by its place in its turn.
  const marked = route.value.query.has("turn_id") ? route.value.query.get("call") : null;
  return (
    <ScrollArea label={strings.table}>
      <table class="dense ledger">
        <caption class="hidden">{strings.table}</caption>
        <thead>
          <tr>
            <th scope="col">{strings.time}</th>
            <th scope="col" class="number">
              {strings.amount}
            </th>
            <th scope="col">{strings.account}</th>
            <th scope="col">{strings.reason}</th>
            <th scope="col">{strings.call}</th>
            <th scope="col">{strings.names.model_alias}</th>
            <th scope="col" class="number">
              {strings.tokens}
            </th>
            <th scope="col">{strings.kind}</th>
            <th scope="col">{strings.turn}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row
              key={`${row.call_id} ${row.account} ${row.kind}`}
              row={row}
              names={names}
              isMarked={`${row.step}-${row.attempt}` === marked}
            />
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{hasMore ? strings.sumShown(rows.length) : strings.sum(rows.length)}</th>
            <td class="number">{exactUsd(plainUsd(sum))}</td>
            <td colSpan={COLUMNS - 2} />
          </tr>
        </tfoot>
      </table>
    </ScrollArea>
  );
}
