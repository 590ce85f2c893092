import { useId } from "preact/hooks";
import { run } from "../strings.ts";

/** A field that narrows a list down as one types. */
export function Search({ text, change }: { text: string; change: (text: string) => void }) {
  const id = useId();
  return (
    <search class="search">
      <label class="hidden" for={id}>
        {run.search}
      </label>
      <input
        id={id}
        type="search"
        placeholder={run.search}
        autocomplete="off"
        value={text}
        onInput={(event) => change(event.currentTarget.value)}
      />
    </search>
  );
}
