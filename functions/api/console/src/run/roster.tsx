import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent, Council } from "../api/types.ts";
import { Icon } from "../parts/icons.tsx";
import { run } from "../strings.ts";
import { type CouncilDraft, moved, without } from "./council_draft.ts";
import type { Editor } from "./editor.ts";

/** The agents of a council, in order. Buttons move them, so that no pointer is needed. */
export function Roster({
  editor,
  agents,
}: {
  editor: Editor<Council, CouncilDraft>;
  agents: readonly Agent[];
}) {
  const { draft, change, faults } = editor;
  const words = run.councils;
  const [said, say] = useState("");
  const group = useRef<HTMLFieldSetElement>(null);
  const byKey = new Map(agents.map((agent) => [agent.key, agent]));
  const nameOf = (key: string) => byKey.get(key)?.name ?? key;
  const move = (place: number, by: -1 | 1) => {
    const keys = moved(draft.agent_keys, place, by);
    change({ agent_keys: keys });
    say(words.moved(nameOf(draft.agent_keys[place] ?? ""), place + by + 1, keys.length));
  };
  const remove = (key: string) => {
    change(without(draft, key));
    say(words.removed(nameOf(key)));
    group.current?.querySelector("select")?.focus();
  };
  const add = (key: string) => {
    change({ agent_keys: [...draft.agent_keys, key] });
    say(words.added(nameOf(key)));
  };
  return (
    <fieldset class="choices" ref={group}>
      <legend>{words.agents}</legend>
      <p class="muted small">{words.agentsHint}</p>
      {faults.agent_keys && <p class="fault small">{faults.agent_keys}</p>}
      {draft.agent_keys.length > 0 && (
        <ol class="roster">
          {draft.agent_keys.map((key, place) => (
            <Member
              key={key}
              agentKey={key}
              agent={byKey.get(key)}
              place={place}
              count={draft.agent_keys.length}
              move={(by) => move(place, by)}
              remove={() => remove(key)}
            />
          ))}
        </ol>
      )}
      <Add
        agents={agents.filter((agent) => !draft.agent_keys.includes(agent.key))}
        isWrong={faults.agent_keys !== undefined}
        add={add}
      />
      <p class="hidden" role="status">
        {said}
      </p>
    </fieldset>
  );
}

function Member(props: {
  agentKey: string;
  agent: Agent | undefined;
  place: number;
  count: number;
  move: (by: -1 | 1) => void;
  remove: () => void;
}) {
  const { agent, agentKey, place, count } = props;
  const words = run.councils;
  const name = agent?.name ?? agentKey;
  const row = useRef<HTMLLIElement>(null);
  const pressed = useRef<-1 | 1 | null>(null);
  // At an end the pressed button is disabled, so the focus goes to the other one. It is there before another key comes.
  useLayoutEffect(() => {
    const by = pressed.current;
    pressed.current = null;
    if (by === null) return;
    const [up, down] = row.current?.querySelectorAll("button") ?? [];
    const next = by === -1 ? (place === 0 ? down : up) : place === count - 1 ? up : down;
    next?.focus();
  }, [place]);
  const press = (by: -1 | 1) => {
    pressed.current = by;
    props.move(by);
  };
  return (
    <li class="member" ref={row}>
      <span class="place">{place + 1}</span>
      <span class="who">
        {name}
        <code class="member-key">{agentKey}</code>
        {!agent && <span class="tag bad">{words.unknown}</span>}
        {agent && !agent.enabled && <span class="tag warn">{words.off}</span>}
      </span>
      <button
        type="button"
        class="move"
        aria-label={words.up(name)}
        disabled={place === 0}
        onClick={() => press(-1)}
      >
        <Icon name="up" />
      </button>
      <button
        type="button"
        class="move"
        aria-label={words.down(name)}
        disabled={place === count - 1}
        onClick={() => press(1)}
      >
        <Icon name="down" />
      </button>
      <button type="button" class="move" aria-label={words.remove(name)} onClick={props.remove}>
        <Icon name="close" />
      </button>
    </li>
  );
}

function Add(props: { agents: readonly Agent[]; isWrong: boolean; add: (key: string) => void }) {
  const id = useId();
  const [chosen, setChosen] = useState("");
  const key = props.agents.some((agent) => agent.key === chosen) ? chosen : props.agents[0]?.key;
  return (
    <div class="row choice">
      <label class="hidden" for={id}>
        {run.councils.add}
      </label>
      <select
        id={id}
        value={key ?? ""}
        aria-invalid={props.isWrong}
        disabled={props.agents.length === 0}
        onChange={(event) => setChosen(event.currentTarget.value)}
      >
        {props.agents.map((agent) => (
          <option key={agent.key} value={agent.key}>
            {agent.enabled ? agent.name : `${agent.name} (${run.councils.off})`}
          </option>
        ))}
      </select>
      <button type="button" disabled={key === undefined} onClick={() => key !== undefined && props.add(key)}>
        <Icon name="plus" />
        {run.councils.addButton}
      </button>
    </div>
  );
}
