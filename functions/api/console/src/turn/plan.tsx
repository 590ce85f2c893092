import type { Turn } from "../api/types.ts";
import { turn as strings, words } from "../strings.ts";
import { isChair, type NameOf } from "./names.ts";

/** Show the agents of the plan, and the reason for them. */
export function Plan({ turn, nameOf }: { turn: Turn; nameOf: NameOf }) {
  const plan = turn.plan;
  return (
    <section class="stack">
      <h2>{strings.plan}</h2>
      {!plan && <p class="muted">{strings.noPlan}</p>}
      {plan && (
        <>
          <ol class="plan row">
            {plan.selected_agent_keys.map((key, position) => {
              const reply = turn.replies.find((each) => each.position === position);
              const name = nameOf(key);
              return (
                <li key={`${position} ${key}`}>
                  <strong>{isChair(turn, position) ? strings.chair(name) : name}</strong>
                  {reply && (
                    <span class={`tag ${TAGS[reply.status] ?? ""}`} title={reply.error?.detail}>
                      {strings.replies[reply.status]}
                    </span>
                  )}
                </li>
              );
            })}
          </ol>
          <p>{strings.planSources[plan.source] ?? plan.source}</p>
          {plan.unknown_tags.length > 0 && <p>{strings.unknownTags(plan.unknown_tags.join(", "))}</p>}
        </>
      )}
    </section>
  );
}

const TAGS: Record<string, string> = { completed: "good", failed: "bad", skipped: "warn" };

/** Explain the fallbacks of a turn. */
export function Fallbacks({ turn }: { turn: Turn }) {
  if (turn.fallbacks.length === 0) return null;
  return (
    <section class="stack">
      <h2>{strings.fallbacks}</h2>
      <ul class="fallbacks">
        {turn.fallbacks.map((each) => (
          <li key={`${each.component} ${each.step} ${each.reason}`}>
            <span class="tag">{strings.inStep(each.step)}</span>{" "}
            {strings.fallback(
              strings.fallbackEffects[each.component] ?? each.component,
              words.error(each.reason),
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
