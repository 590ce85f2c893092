import { usd } from "../parts/money.ts";
import { href } from "../router.ts";
import { ask } from "../strings.ts";
import type { ShownTurn } from "./live_turn.ts";
import { fallbackLines } from "./wording.ts";

/** Show the cost of a turn, and its fallbacks. */
export function TurnFoot({ shown }: { shown: ShownTurn }) {
  const { turn, ended } = shown;
  if (!turn) return null;
  const address = href(`turns/${turn.id}`);
  return (
    <footer class="stack foot small muted">
      {ended && turn.fallbacks.length > 0 && (
        <ul class="fallbacks">
          {fallbackLines(turn.fallbacks).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
      <p class="row">
        {ended ? <Costs address={address} turn={turn} /> : <a href={address}>{ask.showDetails}</a>}
      </p>
    </footer>
  );
}

function Costs({
  address,
  turn,
}: {
  address: string;
  turn: { cost_usd: string; platform_cost_usd: string };
}) {
  const amount = usd(turn.cost_usd);
  const isHelped = /[1-9]/.test(turn.platform_cost_usd);
  return (
    <>
      <span>{ask.cost}</span>
      <a href={address} aria-label={ask.costs(amount)}>
        {amount}
      </a>
      {isHelped && <span>{ask.platformPays(usd(turn.platform_cost_usd))}</span>}
    </>
  );
}
