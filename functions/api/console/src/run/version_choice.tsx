import { useId } from "preact/hooks";
import type { AgentVersion } from "../api/types.ts";
import { run } from "../strings.ts";

/** Choose one of the versions to compare. */
export function VersionChoice(props: {
  label: string;
  versions: readonly AgentVersion[];
  chosen: number | undefined;
  choose: (version: number) => void;
}) {
  const id = useId();
  return (
    <div class="row choice">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        value={props.chosen ?? ""}
        onChange={(event) => props.choose(Number(event.currentTarget.value))}
      >
        {props.chosen === undefined && <option value="">—</option>}
        {props.versions.map((one) => (
          <option key={one.version} value={one.version}>
            {run.version(one.version)}
          </option>
        ))}
      </select>
    </div>
  );
}
