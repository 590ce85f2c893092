import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export interface Choice<Value> {
  value: Value;
  label: string;
  hint?: ComponentChildren;
}

/** A group of choices, each with a sentence. */
export function Choices<Value extends string>(props: {
  legend: string;
  choices: readonly Choice<Value>[];
  chosen: Value;
  choose: (value: Value) => void;
}) {
  const name = useId();
  return (
    <fieldset class="choices">
      <legend>{props.legend}</legend>
      {props.choices.map((one) => (
        <label class="check" key={one.value}>
          <input
            type="radio"
            name={name}
            checked={one.value === props.chosen}
            onChange={() => props.choose(one.value)}
          />
          <span>
            {one.label}
            {one.hint && <span class="muted small">{one.hint}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
