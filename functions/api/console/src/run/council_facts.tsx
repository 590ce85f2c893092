import type { Agent, Council } from "../api/types.ts";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { hasFanOut, modeName } from "./council_draft.ts";
import { Facts } from "./facts.tsx";

/** A council for readers who cannot change it. */
export function CouncilFacts({ council, agents }: { council: Council; agents: readonly Agent[] }) {
  const words = run.councils;
  const names = new Map(agents.map((agent) => [agent.key, agent.name]));
  const chair =
    council.chair_key === null ? words.firstAgent : (names.get(council.chair_key) ?? council.chair_key);
  return (
    <section class="card stack" aria-label={council.name}>
      <Facts
        facts={[
          [words.mode, modeName(council.mode)],
          [words.chair, council.mode === "council" && chair],
          [
            words.fanOut,
            hasFanOut(council.mode) && (council.fan_out === "parallel" ? words.parallel : words.sequential),
          ],
          [run.versionTitle, council.version],
        ]}
      />
      <p>{words.modes[council.mode]}</p>
      <h2>{words.agents}</h2>
      <ol class="roster">
        {council.agent_keys.map((key, place) => (
          <li key={key} class="member">
            <span class="place">{place + 1}</span>
            <span class="who">
              {names.has(key) ? <a href={href(`agents/${key}`)}>{names.get(key)}</a> : key}
              {!names.has(key) && <span class="tag bad">{words.unknown}</span>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
