import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface OptionProps {
  /** The options of a group share it. */
  group: string;
  checked: boolean;
  choose: () => void;
  name: string;
  text: string | undefined;
  children?: ComponentChildren;
}

/** One of several choices, with a sentence that explains it. */
export function Option({ group, checked, choose, name, text, children }: OptionProps) {
  const [title, about] = [useId(), useId()];
  return (
    <label class={`option ${checked ? "chosen" : ""}`}>
      <input
        type="radio"
        name={group}
        checked={checked}
        aria-labelledby={title}
        aria-describedby={about}
        onChange={choose}
      />
      <span>
        <strong id={title}>{name}</strong>
        <span id={about} class="small muted">
          {text}
        </span>
        {children}
      </span>
    </label>
  );
}
