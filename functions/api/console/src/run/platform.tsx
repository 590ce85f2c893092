import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Month } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { LeaveGuard } from "../parts/leave_guard.tsx";
import { usd } from "../parts/money.ts";
import { tell } from "../parts/notice.tsx";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { isAmount } from "./amounts.ts";
import { Choices } from "./choices.tsx";
import { Facts } from "./facts.tsx";
import { AmountField, LimitForm, useSaving } from "./limit_form.tsx";

/** The platform's month over all tenants, and its limit. */
export function Platform() {
  const words = run.operations;
  const found = useLoaded(() => ok(api.GET("/api/v1/admin/platform/budget")), []);
  const month = found.data;
  return (
    <>
      <p>{words.platformText}</p>
      {found.problem && <ErrorNote problem={found.problem} retry={found.reload} />}
      {!month && found.busy && <Loading />}
      {month && (
        <>
          <section class="card stack" aria-label={words.month(month.period)}>
            <h2>{words.month(month.period)}</h2>
            <Facts
              large
              facts={[
                [words.spentNow, <a href={href("operations/tenants")}>{usd(month.spent_usd)}</a>],
                [words.held, usd(month.held_usd)],
                [words.limit, month.limit_usd === null ? run.unlimited : usd(month.limit_usd)],
              ]}
            />
          </section>
          <PlatformForm month={month} saved={() => void found.reload()} />
        </>
      )}
    </>
  );
}

type Choice = "none" | "amount" | "stop";

function PlatformForm({ month, saved }: { month: Month; saved: () => void }) {
  const words = run.operations;
  const [start, setStart] = useState(() => draftOf(month));
  const [draft, setDraft] = useState(start);
  const saving = useSaving(
    () => (draft.choice !== "amount" || isAmount(draft.usd) ? {} : { limit_usd: words.amountFault }),
    async () => {
      const limits = { none: null, amount: draft.usd.trim(), stop: "0" };
      const body = { limit_usd: limits[draft.choice] };
      const now = draftOf(await ok(api.PUT("/api/v1/admin/platform/budget", { body })));
      setStart(now);
      setDraft(now);
      tell(words.platformSaved);
      saved();
    },
  );
  return (
    <LimitForm label={words.platformChoice} saving={saving}>
      <LeaveGuard isDirty={JSON.stringify(draft) !== JSON.stringify(start)} />
      <Choices<Choice>
        legend={words.limit}
        choices={[
          { value: "none", label: words.none },
          { value: "amount", label: words.amount, hint: words.platformHint },
          { value: "stop", label: words.stop },
        ]}
        chosen={draft.choice}
        choose={(choice) => setDraft({ ...draft, choice })}
      />
      {draft.choice === "amount" && (
        <AmountField
          label={words.platformAmount}
          fault={saving.faults.limit_usd}
          amount={draft.usd}
          change={(amount) => setDraft({ ...draft, usd: amount })}
        />
      )}
    </LimitForm>
  );
}

function draftOf(month: Month): { choice: Choice; usd: string } {
  const limit = month.limit_usd;
  if (limit === null) return { choice: "none", usd: "" };
  return /[1-9]/.test(limit) ? { choice: "amount", usd: limit } : { choice: "stop", usd: "" };
}
