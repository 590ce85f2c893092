import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Budget } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { sumUsd, usd } from "../parts/money.ts";
import { isAdmin } from "../signing_in/session.ts";
import { pay as strings } from "../strings.ts";
import { LimitDialog } from "./limit_dialog.tsx";
import { rowsOf, usageAt } from "./links.ts";
import { type Period, presetsOf } from "./period.ts";
import { lengthOf, shareOf } from "./sums.ts";

/** The month's limit and the platform's share, and how much of each is used. */
export function BudgetCards() {
  const budget = useLoaded(() => ok(api.GET("/api/v1/budget")), []);
  const [changed, setChanged] = useState<Budget | null>(null);
  const [editing, setEditing] = useState(false);
  const shown = changed ?? budget.data;
  if (budget.problem) return <ErrorNote problem={budget.problem} retry={budget.reload} />;
  if (!shown) return <Loading />;
  const month = presetsOf(new Date(`${shown.period}-15`)).month;
  return (
    <div class="cards">
      <TenantCard budget={shown} month={month} edit={isAdmin() ? () => setEditing(true) : null} />
      <AllowanceCard budget={shown} month={month} />
      {editing && <LimitDialog budget={shown} saved={setChanged} close={() => setEditing(false)} />}
    </div>
  );
}

function TenantCard(props: { budget: Budget; month: Period; edit: (() => void) | null }) {
  const { budget, month, edit } = props;
  const { limit_usd: limit, spent_usd: spent, held_usd: held } = budget;
  return (
    <section class="card stack">
      <div class="row spread">
        <h2>{strings.budget}</h2>
        {edit && (
          <button type="button" class="small" onClick={edit}>
            {strings.setLimit}
          </button>
        )}
      </div>
      <p class="small muted">{strings.month(budget.period)}</p>
      <Meter limit={limit} used={spent} held={held} say={strings.budgetBar} />
      <Amounts
        items={[
          [strings.spent, <a href={rowsOf(month, null, "tenant")}>{usd(spent)}</a>],
          [strings.held, <a href={rowsOf(month, null, "suspense")}>{usd(held)}</a>],
          [strings.left, leftText(limit, spent, held)],
          [strings.limit, limit === null ? strings.noLimit : usd(limit)],
        ]}
      />
      <p class="small muted">{strings.heldNote}</p>
    </section>
  );
}

function AllowanceCard({ budget, month }: { budget: Budget; month: Period }) {
  const { limit_usd: limit, drawn_usd: drawn, held_usd: held } = budget.allowance;
  return (
    <section class="card stack">
      <h2>{strings.allowance}</h2>
      <p class="small muted">{strings.allowanceNote}</p>
      <Meter limit={limit} used={drawn} held={held} say={strings.allowanceBar} />
      <Amounts
        items={[
          [strings.drawn, <a href={usageAt(month, "reason")}>{usd(drawn)}</a>],
          [strings.held, usd(held)],
          [strings.left, leftText(limit, drawn, held)],
          [strings.limit, usd(limit)],
        ]}
      />
      <p class="small muted">{strings.drawnNote}</p>
    </section>
  );
}

/** A bar of what is used and held, with the same in words for who does not see it. */
function Meter(props: {
  limit: string | null;
  used: string;
  held: string;
  say: (used: string, held: string, left: string) => string;
}) {
  const { limit, used, held } = props;
  if (limit === null) return null;
  const usedShare = shareOf(used, limit);
  const heldShare = Math.min(1 - usedShare, shareOf(held, limit));
  return (
    <svg
      class="meter"
      role="img"
      aria-label={props.say(usd(used), usd(held), leftText(limit, used, held))}
      width="100%"
      height="12"
    >
      <rect class="rail" width="100%" height="12" rx="6" />
      <rect class="used" width={percent(usedShare)} height="12" rx="6" />
      <rect class="held" x={percent(usedShare)} width={percent(heldShare)} height="12" />
    </svg>
  );
}

function Amounts({ items }: { items: [string, preact.ComponentChildren][] }) {
  return (
    <dl class="amounts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function leftText(limit: string | null, used: string, held: string): string {
  if (limit === null) return strings.noLimit;
  const left = sumUsd([limit, `-${used}`, `-${held}`]);
  return left.startsWith("-") && lengthOf(left.slice(1)) > 0
    ? `${usd(left.slice(1))} ${strings.over}`
    : usd(left);
}

function percent(share: number): string {
  // A little that is used is still seen.
  return `${share > 0 ? Math.max(0.6, share * 100) : 0}%`;
}
