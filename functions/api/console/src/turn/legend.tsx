import { turn as strings } from "../strings.ts";
import type { Kind, Tone } from "./lanes.ts";
import { Bar, SIGNS } from "./waterfall.tsx";

const KINDS: Kind[] = ["agent", "review", "helper"];
const TONES: Tone[] = ["failed", "refused", "unknown", "running"];

/** Explain the bars of the waterfall. */
export function Legend() {
  return (
    <ul class="legend row small" aria-label={strings.legend}>
      {KINDS.map((kind) => (
        <Sample key={kind} kind={kind} tone="answered" name={strings.kinds[kind]} />
      ))}
      {TONES.map((tone) => (
        <Sample key={tone} kind="agent" tone={tone} name={strings.tones[tone]} />
      ))}
    </ul>
  );
}

function Sample({ kind, tone, name }: { kind: Kind; tone: Tone; name: string }) {
  return (
    <li>
      <svg width="32" height="16" aria-hidden="true" focusable="false">
        <Bar lane={{ kind, tone }} start={1} end={24} middle={8} />
      </svg>
      {SIGNS[tone]}
      {name}
    </li>
  );
}
