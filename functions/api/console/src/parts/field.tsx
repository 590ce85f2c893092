import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export interface FieldProps {
  id: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

/** A labelled field with a hint and a sentence about its fault. `children` puts the given properties on the input. */
export function Field(props: {
  label: string;
  hint?: ComponentChildren;
  fault?: string | undefined;
  children: (field: FieldProps) => ComponentChildren;
}) {
  const id = useId();
  const notes = [props.fault && `${id}-fault`, props.hint && `${id}-hint`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children({
        id,
        "aria-invalid": props.fault !== undefined,
        "aria-describedby": notes || undefined,
      })}
      {props.fault && (
        <p class="fault small" id={`${id}-fault`}>
          {props.fault}
        </p>
      )}
      {props.hint && (
        <p class="muted small" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
    </div>
  );
}
