import type { Total } from "../api/types.ts";
import { allTokens, count, TOKEN_CLASSES } from "../parts/counts.ts";
import { exactUsd, plainUsd, usd } from "../parts/money.ts";
import { ScrollArea } from "../parts/scroll_area.tsx";
import { pay as strings, words } from "../strings.ts";
import { type Group, keyOf } from "./groups.ts";
import { type Account, rowsOf } from "./links.ts";
import type { Period } from "./period.ts";
import { type Sums, sumTotals } from "./sums.ts";

interface Props {
  period: Period;
  group: Group;
  totals: Total[];
  labelOf: (total: Total) => string;
}

/** The figures of the chart. Each one leads to its rows of the ledger. */
export function TotalsTable({ period, group, totals, labelOf }: Props) {
  const caption = strings.tableOf(strings.groupWords[group] ?? group);
  const hasSuspense = totals.some((total) => /[1-9]/.test(total.suspense_usd));
  const of = (total: Total) => ({ group, value: keyOf(total, group) });
  return (
    <ScrollArea label={caption}>
      <table class="dense">
        <caption class="hidden">{caption}</caption>
        <Head group={group} hasSuspense={hasSuspense} />
        <tbody>
          {totals.map((total) => (
            <tr key={keyOf(total, group)}>
              <th scope="row">{labelOf(total)}</th>
              <Cells
                sums={total}
                hasSuspense={hasSuspense}
                at={(account) => rowsOf(period, of(total), account)}
              />
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{strings.total}</th>
            <Cells
              sums={sumTotals(totals)}
              hasSuspense={hasSuspense}
              at={(account) => rowsOf(period, null, account)}
            />
          </tr>
        </tfoot>
      </table>
    </ScrollArea>
  );
}

function Head({ group, hasSuspense }: { group: Group; hasSuspense: boolean }) {
  const names = strings.figures;
  return (
    <thead>
      <tr>
        <th scope="col">{strings.groups[group]}</th>
        <Column name={names.cost} />
        <Column name={names.platform} />
        {hasSuspense && <Column name={names.suspense} />}
        <Column name={names.calls} />
        <Column name={names.tokens} />
        {TOKEN_CLASSES.map((name) => (
          <Column key={name} name={words.tokens[name]} />
        ))}
      </tr>
    </thead>
  );
}

function Column({ name }: { name: string }) {
  return (
    <th scope="col" class="number">
      {name}
    </th>
  );
}

function Cells(props: { sums: Sums; hasSuspense: boolean; at: (account?: Account) => string }) {
  const { sums, hasSuspense, at } = props;
  const amounts: [Account, string][] = [
    ["tenant", sums.cost_usd],
    ["platform", sums.platform_cost_usd],
  ];
  if (hasSuspense) amounts.push(["suspense", sums.suspense_usd]);
  return (
    <>
      {amounts.map(([account, amount]) => (
        <td key={account} class="number">
          <a href={at(account)} title={exactUsd(plainUsd(amount))}>
            {usd(amount)}
          </a>
        </td>
      ))}
      {[sums.calls, allTokens(sums.usage), ...TOKEN_CLASSES.map((name) => sums.usage[name])].map(
        (number, index) => (
          <td key={index} class="number">
            <a href={at()}>{count(number)}</a>
          </td>
        ),
      )}
    </>
  );
}
