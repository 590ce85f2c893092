import { useEffect, useRef, useState } from "preact/hooks";
import { api, ok } from "../api/client.ts";
import { problemFrom } from "../api/loading.ts";
import type { Problem } from "../api/problem.ts";
import { CopyButton } from "../parts/copy_button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { ErrorNote } from "../parts/error_note.tsx";
import { Field } from "../parts/field.tsx";
import { day } from "../parts/time.ts";
import { isAdmin } from "../signing_in/session.ts";
import { parts, run } from "../strings.ts";
import { Choices } from "./choices.tsx";
import { EXPIRIES, type Expiry, expiresAt } from "./expiry.ts";
import { faultsOf } from "./faults.ts";

type Made = { name: string; key: string };
type Role = "member" | "admin";

/** Make a key. Its value is shown once, in this dialog. */
export function NewKey({ made, close }: { made: () => void; close: () => void }) {
  const [key, setKey] = useState<Made | null>(null);
  const done = (created: Made) => {
    setKey(created);
    made();
  };
  return (
    <Dialog title={key ? run.keys.madeTitle(key.name) : run.keys.new} close={close}>
      {key ? <Shown made={key} /> : <NewKeyForm done={done} />}
    </Dialog>
  );
}

function NewKeyForm({ done }: { done: (made: Made) => void }) {
  const words = run.keys;
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("member");
  const [expiry, setExpiry] = useState<Expiry>("90");
  const [fault, setFault] = useState<string | undefined>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const isCreating = useRef(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector("input")?.focus();
  }, [fault]);
  const create = async () => {
    // A second press may come before the page is drawn again.
    if (isCreating.current) return;
    setProblem(null);
    if (name.trim() === "" || name.length > 200) return setFault(words.nameFault);
    setFault(undefined);
    setBusy(true);
    isCreating.current = true;
    try {
      const body = { name, role, expires_at: expiresAt(expiry, new Date()) };
      done(await ok(api.POST("/api/v1/api-keys", { body })));
    } catch (error) {
      const refused = problemFrom(error);
      const named = faultsOf(refused).name;
      if (named) setFault(named);
      else setProblem(refused);
      setBusy(false);
      isCreating.current = false;
    }
  };
  return (
    <form
      ref={form}
      class="stack run"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void create();
      }}
    >
      <Field label={run.name} hint={words.nameHint} fault={fault}>
        {(field) => (
          <input
            {...field}
            autocomplete="off"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        )}
      </Field>
      <Choices<Role>
        legend={words.role}
        choices={roles().map((one) => ({ value: one, label: words.roles[one] ?? one }))}
        chosen={role}
        choose={setRole}
      />
      <ExpiryField expiry={expiry} choose={setExpiry} />
      {problem && <ErrorNote problem={problem} />}
      <div class="row end">
        <button type="button" onClick={() => form.current?.closest("dialog")?.close()}>
          {parts.cancel}
        </button>
        <button type="submit" class="primary" disabled={busy}>
          {words.create}
        </button>
      </div>
    </form>
  );
}

/** A key has at most the role of the user who makes it. */
function roles(): Role[] {
  return isAdmin() ? ["member", "admin"] : ["member"];
}

function ExpiryField({ expiry, choose }: { expiry: Expiry; choose: (expiry: Expiry) => void }) {
  return (
    <Field label={run.keys.expiry}>
      {(field) => (
        <select {...field} value={expiry} onChange={(event) => choose(event.currentTarget.value as Expiry)}>
          {EXPIRIES.map((one) => (
            <option key={one} value={one}>
              {expiryText(one)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function expiryText(expiry: Expiry): string {
  const at = expiresAt(expiry, new Date());
  if (at === null) return run.keys.neverHint;
  return (expiry === "365" ? run.keys.year : run.keys.days(Number(expiry))) + day(at);
}

function Shown({ made }: { made: Made }) {
  const words = run.keys;
  const value = useRef<HTMLInputElement>(null);
  useEffect(() => value.current?.focus(), []);
  return (
    <div class="stack run">
      <p class="note warn" role="alert">
        {words.once}
      </p>
      <Field label={words.value}>
        {(field) => (
          <input {...field} class="secret" readOnly value={made.key} ref={value} onFocus={selectAll} />
        )}
      </Field>
      <div class="row spread">
        <CopyButton text={made.key} label={words.copy} />
        <button type="button" class="primary" onClick={() => value.current?.closest("dialog")?.close()}>
          {words.done}
        </button>
      </div>
    </div>
  );
}

function selectAll(event: FocusEvent & { currentTarget: HTMLInputElement }) {
  event.currentTarget.select();
}
