import { useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import type { Cap } from "../api/types.ts";
import { LeaveGuard } from "../parts/leave_guard.tsx";
import { tell } from "../parts/notice.tsx";
import { run } from "../strings.ts";
import { type CapDraft, capBody, capFaults } from "./amounts.ts";
import { Choices } from "./choices.tsx";
import type { Faults } from "./faults.ts";
import { AmountField, LimitForm, useSaving } from "./limit_form.tsx";

interface Props {
  draft: CapDraft;
  change: (fields: Partial<CapDraft>) => void;
  faults: Faults;
}

/** Set the cap of a tenant and its allowance. */
export function CapForm({ cap, saved }: { cap: Cap; saved: () => void }) {
  const words = run.operations.cap;
  const begin = (of: Cap): CapDraft => ({
    cap: "own",
    capUsd: of.cap_usd ?? "",
    allowance: "keep",
    allowanceUsd: of.allowance.limit_usd,
  });
  const [start, setStart] = useState(() => begin(cap));
  const [draft, setDraft] = useState(start);
  const saving = useSaving(
    () => capFaults(draft),
    async () => {
      const path = { tenant_id: cap.tenant_id };
      const now = await ok(
        api.PUT("/api/v1/admin/tenants/{tenant_id}/cap", { params: { path }, body: capBody(draft) }),
      );
      setStart(begin(now));
      setDraft(begin(now));
      tell(words.saved(cap.tenant_id));
      saved();
    },
  );
  const change = (fields: Partial<CapDraft>) => setDraft((before) => ({ ...before, ...fields }));
  const props = { draft, change, faults: saving.faults };
  return (
    <LimitForm label={words.title} saving={saving}>
      <LeaveGuard isDirty={JSON.stringify(draft) !== JSON.stringify(start)} />
      <CapFields {...props} />
      <AllowanceFields {...props} />
    </LimitForm>
  );
}

function CapFields({ draft, change, faults }: Props) {
  const words = run.operations.cap;
  return (
    <>
      <p>{words.text}</p>
      <Choices<CapDraft["cap"]>
        legend={words.choice}
        choices={[
          { value: "own", label: words.own, hint: words.ownHint },
          { value: "default", label: words.default },
        ]}
        chosen={draft.cap}
        choose={(choice) => change({ cap: choice })}
      />
      {draft.cap === "own" && (
        <AmountField
          label={words.amount}
          fault={faults.limit_usd}
          amount={draft.capUsd}
          change={(capUsd) => change({ capUsd })}
        />
      )}
    </>
  );
}

function AllowanceFields({ draft, change, faults }: Props) {
  const words = run.operations.cap;
  return (
    <>
      <p>{words.allowanceText}</p>
      <Choices<CapDraft["allowance"]>
        legend={words.allowance}
        choices={[
          { value: "keep", label: words.keep },
          { value: "own", label: words.ownAllowance },
          { value: "default", label: words.default },
        ]}
        chosen={draft.allowance}
        choose={(choice) => change({ allowance: choice })}
      />
      {draft.allowance === "own" && (
        <AmountField
          label={words.allowanceAmount}
          fault={faults.allowance_usd}
          amount={draft.allowanceUsd}
          change={(allowanceUsd) => change({ allowanceUsd })}
        />
      )}
    </>
  );
}
