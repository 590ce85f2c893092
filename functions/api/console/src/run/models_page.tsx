import { useLoaded } from "../api/loading.ts";
import type { Model } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { usd } from "../parts/money.ts";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { grouped } from "./agent_draft.ts";
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
  const texts = [words.alias, words.provider, words.fallback];
  const numbers = [words.window, words.cap, words.timeout, ...rateNames()];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls.
    <section class="scroll card flush" tabIndex={0} aria-label={words.table}>
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
  const prices = [
    rates.input,
    rates.output,
    rates.reasoning,
    rates.cache_read,
    rates.cache_write,
    rates.cache_write_1h,
  ];
  return (
    <tr>
      <th scope="row">
        <a href={href("usage/calls", { model_alias: model.alias })}>{model.alias}</a>
      </th>
      <td>
        {model.model_id}
        <span class="sub">{model.provider}</span>
      </td>
      <td>{model.fallback_alias ?? words.none}</td>
      <td class="number">{grouped(model.context_window)}</td>
      <td class="number">{grouped(model.max_output_tokens)}</td>
      <td class="number">{words.seconds(grouped(model.max_call_s))}</td>
      {prices.map((price, index) => (
        <td key={index} class="number">
          {price ? usd(price) : "—"}
        </td>
      ))}
    </tr>
  );
}

function rateNames(): string[] {
  const words = run.models;
  return [words.input, words.output, words.reasoning, words.cacheRead, words.cacheWrite, words.cacheHour];
}
