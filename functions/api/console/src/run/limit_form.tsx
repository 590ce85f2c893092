import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Field } from "../parts/field.tsx";
import { tellNothing } from "../parts/notice.tsx";
import { run } from "../strings.ts";
import { type Faults, faultsOf, isEmpty } from "./faults.ts";

export interface Saving {
  faults: Faults;
  problem: Problem | null;
  busy: boolean;
  save: () => Promise<void>;
}

/** Check a form and send it. After a failure the input stays. */
export function useSaving(check: () => Faults, send: () => Promise<void>): Saving {
  const [state, setState] = useState<Omit<Saving, "save">>({ faults: {}, problem: null, busy: false });
  const save = async () => {
    const faults = check();
    tellNothing();
    setState({ faults, problem: null, busy: isEmpty(faults) });
    if (!isEmpty(faults)) return;
    try {
      await send();
      setState({ faults: {}, problem: null, busy: false });
    } catch (error) {
      const problem = problemFrom(error);
      const named = faultsOf(problem);
      setState({ faults: named, problem: isEmpty(named) ? problem : null, busy: false });
    }
  };
  return { ...state, save };
}

export function LimitForm(props: { label: string; saving: Saving; children: ComponentChildren }) {
  const { saving } = props;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [saving.faults]);
  return (
    <form
      ref={form}
      class="card editor"
      aria-label={props.label}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void saving.save();
      }}
    >
      <h2>{props.label}</h2>
      {props.children}
      {saving.problem && <ErrorNote problem={saving.problem} retry={saving.save} />}
      <div class="row">
        <button type="submit" class="primary" disabled={saving.busy}>
          {saving.busy ? run.saving : run.save}
        </button>
      </div>
    </form>
  );
}

export function AmountField(props: {
  label: string;
  hint?: string;
  fault: string | undefined;
  amount: string;
  change: (amount: string) => void;
}) {
  return (
    <Field label={props.label} hint={props.hint} fault={props.fault}>
      {(field) => (
        <input
          {...field}
          class="amount"
          inputMode="decimal"
          autocomplete="off"
          value={props.amount}
          onInput={(event) => props.change(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
