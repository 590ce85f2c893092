import "./initials.css";
import { initialsOf, toneOf } from "./initials.ts";

/** An agent's initials on its colour. The name stands beside them. */
export function Initials({ agentKey, name }: { agentKey: string; name: string }) {
  return (
    <span class={`initials tone-${toneOf(agentKey)}`} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}
