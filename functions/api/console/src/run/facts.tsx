import type { ComponentChildren } from "preact";

/** Names and their values. Those without a value are left out. */
export function Facts({ facts, large = false }: { facts: [string, ComponentChildren][]; large?: boolean }) {
  return (
    <dl class={large ? "facts figures" : "facts"}>
      {facts
        .filter(([, value]) => value !== false && value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
