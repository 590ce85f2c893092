import { Field } from "../parts/field.tsx";
import { run } from "../strings.ts";
import type { Editor } from "./editor.ts";

interface Named {
  key: string;
  name: string;
}

/** The name, and the key of what is new. */
export function Identity<Item, Draft extends Named>({ editor }: { editor: Editor<Item, Draft> }) {
  const change = (fields: Partial<Named>) => editor.change(fields as Partial<Draft>);
  return (
    <div class="columns">
      <Field label={run.name} fault={editor.faults.name}>
        {(field) => (
          <input
            {...field}
            autocomplete="off"
            value={editor.draft.name}
            onInput={(event) => change({ name: event.currentTarget.value })}
          />
        )}
      </Field>
      {!editor.base && (
        <Field label={run.key} hint={run.keyHint} fault={editor.faults.key}>
          {(field) => (
            <input
              {...field}
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              value={editor.draft.key}
              onInput={(event) => change({ key: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
    </div>
  );
}
