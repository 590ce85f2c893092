import { useLoaded } from "../api/loading.ts";
import type { Model } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { grouped } from "./agent_draft.ts";
import { price } from "./amounts.ts";
import { loadModels } from "./roster_api.ts";
import "./run.css";

/** The models that agents can name, and their prices. */
export function ModelsPage() {
  const models = useLoaded(loadModels, []);
  const words = run.models;
  return (
    <div class="page run">
      <header>
        <h1>{words.title}</h1>
        <p class="muted">{words.lead}</p>
      </header>
      {models.problem && <ErrorNote problem={models.problem} retry={models.reload} />}
      {!models.data && models.busy && <Loading />}
      {models.data && <ModelTable models={models.data} />}
      <p class="muted small">{words.hint}</p>
    </div>
  );
}

function ModelTable({ models }: { models: readonly Model[] }) {
  const words = run.models;
  const texts = [words.alias, words.provider];
  const rates = [words.input, words.output, words.reasoning, words.cacheRead, words.cacheWrite];
  const numbers = [words.window, words.cap, words.timeout, ...rates];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush tight" tabIndex={0} aria-label={words.table}>
      <table>
        <caption class="hidden">{words.table}</caption>
        <thead>
          <tr>
            {texts.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            {numbers.map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {models.map((model) => (
            <ModelRow key={model.alias} model={model} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function ModelRow({ model }: { model: Model }) {
  const words = run.models;
  const { rates } = model;
  return (
    <tr>
      <th scope="row">
        <a href={href("usage/calls", { model_alias: model.alias })}>{model.alias}</a>
        {model.fallback_alias && <span class="sub">{words.fallsBack(model.fallback_alias)}</span>}
      </th>
      <td>
        {model.model_id}
        <span class="sub">{model.provider}</span>
      </td>
      <td class="number">{grouped(model.context_window)}</td>
      <td class="number">{grouped(model.max_output_tokens)}</td>
      <td class="number">{words.seconds(grouped(model.max_call_s))}</td>
      <td class="number">{price(rates.input)}</td>
      <td class="number">{price(rates.output)}</td>
      <td class="number">{price(rates.reasoning)}</td>
      <td class="number">{price(rates.cache_read)}</td>
      <td class="number">
        {price(rates.cache_write)}
        {rates.cache_write_1h && <span class="sub">{words.hour(price(rates.cache_write_1h))}</span>}
      </td>
    </tr>
  );
}
