import { useId } from "preact/hooks";
import type { Session } from "../api/types.ts";
import { ask } from "../strings.ts";

export type Visibility = Session["visibility"];

export function VisibilityField(props: { value: Visibility; change: (value: Visibility) => void }) {
  const field = useId();
  return (
    <div class="field">
      <label for={field}>{ask.visibility}</label>
      <select
        id={field}
        value={props.value}
        onChange={(event) => props.change(event.currentTarget.value as Visibility)}
      >
        {Object.entries(ask.visibilities).map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}
