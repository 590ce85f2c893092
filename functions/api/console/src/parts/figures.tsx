import type { ComponentChildren } from "preact";

export interface Figure {
  name: string;
  value: ComponentChildren;
  note?: string;
}

/** A few figures side by side, each with its name. */
export function Figures({ items }: { items: readonly Figure[] }) {
  return (
    <dl class="figures">
      {items.map(({ name, value, note }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value}
            {note && <span class="small muted">{note}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
