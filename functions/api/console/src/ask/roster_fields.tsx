import { useId } from "preact/hooks";
import type { Agent, Mode } from "../api/types.ts";
import { Initials } from "../parts/initials.tsx";
import { ask } from "../strings.ts";
import { Option } from "./option.tsx";
import { asksTagged, MODES, type Roster, toggled } from "./roster.ts";

interface Fields {
  roster: Roster;
  agents: readonly Agent[];
  change: (roster: Roster) => void;
}

/** Choose agents and how they answer. */
export function RosterFields({ roster, agents, change }: Fields) {
  return (
    <div class="stack roster">
      <AgentFields roster={roster} agents={agents} change={change} />
      <ModeFields roster={roster} change={change} />
      {asksTagged(roster.mode) && <FanOutField roster={roster} change={change} />}
      {roster.mode === "council" && <ChairField roster={roster} agents={agents} change={change} />}
    </div>
  );
}

function AgentFields({ roster, agents, change }: Fields) {
  const gone = roster.agentKeys.filter((key) => !agents.some((agent) => agent.key === key));
  const shown = [
    ...agents
      .filter((agent) => agent.enabled || roster.agentKeys.includes(agent.key))
      .map((agent) => ({ ...agent, title: agent.enabled ? "" : ask.disabledAgent })),
    ...gone.map((key) => ({ key, name: key, model_alias: "", enabled: false, title: ask.goneAgent })),
  ];
  return (
    <fieldset>
      <legend>{ask.agents}</legend>
      <p class="small muted">{ask.agentsIntro}</p>
      <ul class="chips">
        {shown.map((agent) => {
          const place = roster.agentKeys.indexOf(agent.key) + 1;
          return (
            <li key={agent.key}>
              <label class={`chip ${place ? "chosen" : ""}`} title={agent.title || agent.model_alias}>
                <input
                  type="checkbox"
                  checked={place > 0}
                  onChange={() => change(toggled(roster, agent.key))}
                />
                <Initials agentKey={agent.key} name={agent.name} />
                <span>{agent.name}</span>
                {!agent.enabled && <span class="tag warn">{ask.disabled}</span>}
                {place > 0 && (
                  <span class="place">
                    <span class="hidden">{ask.agentPlace(place)}</span>
                    <span aria-hidden="true">{place}</span>
                  </span>
                )}
              </label>
            </li>
          );
        })}
      </ul>
      {roster.agentKeys.length === 0 && (
        <p class="small warning" role="alert">
          {ask.noAgentChosen}
        </p>
      )}
    </fieldset>
  );
}

function ModeFields({ roster, change }: Omit<Fields, "agents">) {
  const group = useId();
  return (
    <fieldset>
      <legend>{ask.mode}</legend>
      <div class="options">
        {MODES.map((mode: Mode) => (
          <Option
            key={mode}
            group={group}
            checked={roster.mode === mode}
            choose={() => change({ ...roster, mode })}
            name={ask.modes[mode]?.[0] ?? mode}
            text={ask.modes[mode]?.[1]}
          />
        ))}
      </div>
    </fieldset>
  );
}

function FanOutField({ roster, change }: Omit<Fields, "agents">) {
  const field = useId();
  return (
    <div class="field">
      <label for={field}>{ask.fanOut}</label>
      <select
        id={field}
        value={roster.fanOut}
        onChange={(event) => change({ ...roster, fanOut: event.currentTarget.value as Roster["fanOut"] })}
      >
        {Object.entries(ask.fanOuts).map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

function ChairField({ roster, agents, change }: Fields) {
  const field = useId();
  return (
    <div class="field">
      <label for={field}>{ask.chair}</label>
      <select
        id={field}
        value={roster.chairKey ?? ""}
        onChange={(event) => change({ ...roster, chairKey: event.currentTarget.value || null })}
      >
        <option value="">{ask.firstAgent}</option>
        {roster.agentKeys.map((key) => (
          <option key={key} value={key}>
            {agents.find((agent) => agent.key === key)?.name ?? key}
          </option>
        ))}
      </select>
    </div>
  );
}
