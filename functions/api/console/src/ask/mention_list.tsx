import { Initials } from "../parts/initials.tsx";
import { ask } from "../strings.ts";
import type { Mentioning } from "./mentioning.ts";

/** The agents that fit the text after an `@`. The focus stays in the message box. */
export function MentionList({ mention }: { mention: Mentioning }) {
  const { agents, active, listId, optionId, insert } = mention;
  return (
    <>
      <p class="hidden" aria-live="polite">
        {agents.length > 0 && ask.suggested(agents.length)}
      </p>
      {agents.length > 0 && (
        <div class="suggestions" role="listbox" id={listId} aria-label={ask.suggestions}>
          {agents.map((agent, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: The message box handles the keys.
            <div
              key={agent.key}
              id={optionId(index)}
              role="option"
              tabIndex={-1}
              aria-selected={index === active}
              // A pressed button would take the focus from the box.
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => insert(agent)}
            >
              <Initials agentKey={agent.key} name={agent.name} />
              <span>{agent.name}</span>
              <code>@{agent.key}</code>
              <span class="tag">{agent.model_alias}</span>
            </div>
          ))}
        </div>
      )}
    </>
  );
}
