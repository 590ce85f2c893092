import type { Agent, Model } from "../api/types.ts";
import { Field } from "../parts/field.tsx";
import { run } from "../strings.ts";
import { type AgentDraft, bytesOf, grouped, PROMPT_BYTES } from "./agent_draft.ts";
import { price as priceOf } from "./amounts.ts";
import type { Editor } from "./editor.ts";
import { Identity } from "./identity.tsx";

interface Props {
  editor: Editor<Agent, AgentDraft>;
  models: readonly Model[];
}

export function AgentFields({ editor, models }: Props) {
  const { draft, change } = editor;
  return (
    <>
      <Identity editor={editor} />
      <Prompt editor={editor} />
      <div class="columns">
        <ModelField editor={editor} models={models} />
        <Tokens editor={editor} models={models} />
        <Field
          label={run.agents.temperature}
          hint={run.agents.temperatureHint}
          fault={editor.faults.temperature}
        >
          {(field) => (
            <input
              {...field}
              inputMode="decimal"
              autocomplete="off"
              placeholder={run.agents.default}
              value={draft.temperature}
              onInput={(event) => change({ temperature: event.currentTarget.value })}
            />
          )}
        </Field>
      </div>
      <Enabled editor={editor} />
    </>
  );
}

function Prompt({ editor }: { editor: Editor<Agent, AgentDraft> }) {
  const words = run.agents;
  const bytes = bytesOf(editor.draft.role_prompt);
  const count = words.bytes(grouped(bytes), grouped(PROMPT_BYTES));
  return (
    <Field
      label={words.prompt}
      fault={editor.faults.role_prompt}
      hint={
        <span class="row spread">
          <span>{words.promptHint}</span>
          <span class={bytes > PROMPT_BYTES ? "fault" : ""}>{count}</span>
        </span>
      }
    >
      {(field) => (
        <textarea
          {...field}
          rows={12}
          spellcheck
          value={editor.draft.role_prompt}
          onInput={(event) => editor.change({ role_prompt: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

function ModelField({ editor, models }: Props) {
  const { model_alias } = editor.draft;
  const model = models.find((one) => one.alias === model_alias);
  const price = model && run.agents.price(priceOf(model.rates.input), priceOf(model.rates.output));
  return (
    <Field
      label={run.agents.model}
      fault={editor.faults.model_alias}
      hint={
        model && (
          <>
            {price}. {model.model_id} ({model.provider})
          </>
        )
      }
    >
      {(field) => (
        <select
          {...field}
          value={model_alias}
          onChange={(event) => editor.change({ model_alias: event.currentTarget.value })}
        >
          {/* An alias that the catalog no longer has stays visible. */}
          {!model && <option value={model_alias}>{model_alias}</option>}
          {models.map((one) => (
            <option key={one.alias} value={one.alias}>
              {`${one.alias} · ${priceOf(one.rates.input)} / ${priceOf(one.rates.output)}`}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Tokens({ editor, models }: Props) {
  const model = models.find((one) => one.alias === editor.draft.model_alias);
  return (
    <Field
      label={run.agents.tokens}
      hint={model && run.agents.tokensHint(grouped(model.max_output_tokens))}
      fault={editor.faults.max_output_tokens}
    >
      {(field) => (
        <input
          {...field}
          inputMode="numeric"
          autocomplete="off"
          placeholder={run.agents.cap}
          value={editor.draft.max_output_tokens}
          onInput={(event) => editor.change({ max_output_tokens: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

function Enabled({ editor }: { editor: Editor<Agent, AgentDraft> }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={editor.draft.enabled}
        onChange={(event) => editor.change({ enabled: event.currentTarget.checked })}
      />
      <span>
        {run.agents.enabled}
        <span class="muted small">{run.agents.enabledHint}</span>
      </span>
    </label>
  );
}
