import { useState } from "preact/hooks";
import type { LedgerRow } from "../api/types.ts";
import { allTokens, count } from "../parts/counts.ts";
import { exactUsd, plainUsd } from "../parts/money.ts";
import { href } from "../router.ts";
import { pay, words } from "../strings.ts";
import { type Arithmetic, arithmeticOf, type Class } from "./arithmetic.ts";
import { labelOf, type Names } from "./groups.ts";
import { utcMoment } from "./period.ts";

const strings = pay.ledger;
/** The columns of the ledger's table. */
export const COLUMNS = 9;

/** A row of the ledger. It opens to show its arithmetic. */
export function Row({ row, names, isMarked }: { row: LedgerRow; names: Names; isMarked: boolean }) {
  const [open, setOpen] = useState(false);
  const time = utcMoment(row.created_at);
  const call = href(`turns/${row.turn_id}`, { call: `${row.step}-${row.attempt}` });
  return (
    <>
      <tr class={isMarked ? "marked" : ""} aria-current={isMarked ? "true" : undefined}>
        <th scope="row">{time}</th>
        <td class="number">
          <button
            type="button"
            class="plain amount"
            aria-expanded={open}
            title={strings.details}
            onClick={() => setOpen(!open)}
          >
            {exactUsd(plainUsd(row.amount_usd))}
          </button>
        </td>
        <td>
          <span class={`tag ${TAGS[row.account]}`} title={strings.accountNotes[row.account]}>
            {strings.accounts[row.account]}
          </span>
        </td>
        <td title={strings.reasonNotes[row.reason]}>{words.reasons[row.reason]}</td>
        <td>
          {row.agent_key === null ? words.purposes[row.purpose] : labelOf(row.agent_key, "agent", names)}
        </td>
        <td>{row.model_alias}</td>
        <td class="number">{count(allTokens(row.usage))}</td>
        <td title={strings.kindNotes[row.kind]}>{strings.kinds[row.kind]}</td>
        <td>
          <a href={call} aria-label={strings.openTurnOf(time)}>
            {strings.openTurn}
          </a>
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={COLUMNS} class="sums">
            <Sums row={row} arithmetic={arithmeticOf(row)} />
          </td>
        </tr>
      )}
    </>
  );
}

const TAGS: Record<LedgerRow["account"], string> = { tenant: "", platform: "good", suspense: "warn" };

function Sums({ row, arithmetic }: { row: LedgerRow; arithmetic: Arithmetic }) {
  const { products, sum, conclusion } = arithmetic;
  const amount = exactUsd(plainUsd(row.amount_usd));
  return (
    <div class="stack">
      <p>
        {strings.kindNotes[row.kind]} {strings.reasonNotes[row.reason]} {strings.accountNotes[row.account]}
      </p>
      {products.length > 0 && (
        <table class="dense">
          <caption class="hidden">{strings.details}</caption>
          <thead>
            <tr>
              <th scope="col">{strings.tokenClass}</th>
              <th scope="col" class="number">
                {strings.tokens}
              </th>
              <th scope="col" class="number">
                {strings.rate}
              </th>
              <th scope="col" class="number">
                {strings.times}
              </th>
            </tr>
          </thead>
          <tbody>
            {products.map((product) => (
              <tr key={product.name}>
                <th scope="row">{className(product.name)}</th>
                <td class="number">{count(product.tokens)}</td>
                <td class="number">× {exactUsd(product.rate)}</td>
                <td class="number">{exactUsd(plainUsd(product.amount))}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row" colSpan={3}>
                {strings.computed}
              </th>
              <td class="number">{exactUsd(plainUsd(sum))}</td>
            </tr>
          </tfoot>
        </table>
      )}
      <p>
        <strong>{amount}</strong>{" "}
        {conclusion === "differs" ? strings.differs(exactUsd(plainUsd(sum)), amount) : strings[conclusion]}
      </p>
    </div>
  );
}

function className(name: Class): string {
  return name === "cache_write_1h" ? strings.hour : words.tokens[`${name}_tokens`];
}
