import "./initials.css";
import { initialsOf, toneOf } from "./initials.ts";

/** Show an agent's initials on its colour. The name is next to them. */
export function Initials({ agentKey, name }: { agentKey: string; name: string }) {
  return (
    <span class={`initials tone-${toneOf(agentKey)}`} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}
