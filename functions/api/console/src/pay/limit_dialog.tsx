import { useId, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import type { Budget } from "../api/types.ts";
import { Dialog } from "../parts/dialog.tsx";
import { ErrorNote } from "../parts/error_note.tsx";
import { usd } from "../parts/money.ts";
import { parts, pay as strings } from "../strings.ts";
import { isAmount } from "./amount.ts";

interface Props {
  budget: Budget;
  saved: (budget: Budget) => void;
  close: () => void;
}

/** Set the limit of the tenant's months, or take it away. */
export function LimitDialog({ budget, saved, close }: Props) {
  const [amount, setAmount] = useState(budget.limit_usd ?? "");
  const [isCap, setIsCap] = useState(false);
  const [state, setState] = useState<{ busy: boolean; problem: Problem | null; isBad: boolean }>(IDLE);
  const save = async () => {
    if (!isCap && !isAmount(amount)) return setState({ ...IDLE, isBad: true });
    setState({ ...IDLE, busy: true });
    try {
      const body = { limit_usd: isCap ? null : amount.trim() };
      saved(await ok(api.PUT("/api/v1/budget", { body })));
      close();
    } catch (error) {
      setState({ ...IDLE, problem: problemFrom(error) });
    }
  };
  return (
    <Dialog title={strings.limitTitle} close={close}>
      <form
        class="stack dialog-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <AmountField {...{ amount, setAmount, isCap }} isBad={state.isBad} cap={budget.cap_usd} />
        <label class="row check">
          <input
            type="checkbox"
            checked={isCap}
            onChange={(event) => setIsCap(event.currentTarget.checked)}
          />
          {strings.useCap}
        </label>
        {state.problem && <Refusal problem={state.problem} />}
        <div class="row">
          <button type="submit" class="primary" disabled={state.busy}>
            {strings.save}
          </button>
          <button type="button" onClick={close}>
            {parts.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

const IDLE = { busy: false, problem: null, isBad: false };

function AmountField(props: {
  amount: string;
  setAmount: (amount: string) => void;
  isCap: boolean;
  isBad: boolean;
  cap: string | null;
}) {
  const field = useId();
  const hint = useId();
  return (
    <>
      <label for={field}>{strings.limitField}</label>
      <input
        id={field}
        inputMode="decimal"
        autocomplete="off"
        value={props.amount}
        disabled={props.isCap}
        aria-invalid={props.isBad}
        aria-describedby={hint}
        onInput={(event) => props.setAmount(event.currentTarget.value)}
      />
      <p id={hint} class="small muted" role={props.isBad ? "alert" : undefined}>
        {props.isBad
          ? strings.badLimit
          : strings.limitHint(props.cap === null ? strings.noLimit : usd(props.cap))}
      </p>
    </>
  );
}

function Refusal({ problem }: { problem: Problem }) {
  const known = strings.errors[problem.code];
  if (!known) return <ErrorNote problem={problem} />;
  return (
    <p class="note bad" role="alert">
      {known}
    </p>
  );
}
