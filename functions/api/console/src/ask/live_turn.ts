/** A turn as the page shows it, put together from its events. Everything here is a function of its arguments. */
import type { Connection, TurnEvent } from "../api/turn_events.ts";
import type { Plan, Reply, Turn } from "../api/types.ts";

export interface ShownReply {
  position: number;
  agentKey: string;
  /** Null until the agent is asked. */
  name: string | null;
  modelAlias: string | null;
  attempt: number;
  text: string;
  state: "waiting" | "writing" | "ended";
  /** The reply as it is stored. Null until it is completed. */
  reply: Reply | null;
}

export interface ShownTurn {
  message: string;
  /** Null until the API has accepted the turn. */
  turn: Turn | null;
  plan: Plan | null;
  replies: readonly ShownReply[];
  connection: Connection;
  ended: boolean;
}

const ENDED = ["completed", "failed", "cancelled"];

/** A turn that was sent just now. */
export function sent(message: string): ShownTurn {
  return { message, turn: null, plan: null, replies: [], connection: "back", ended: false };
}

/** A turn as the API has it. */
export function stored(turn: Turn): ShownTurn {
  return withTurn(sent(turn.message), turn);
}

export function afterAll(shown: ShownTurn, events: readonly TurnEvent[]): ShownTurn {
  return events.reduce(after, shown);
}

/** The turn after an event. Events that repeat what is known change nothing. */
export function after(shown: ShownTurn, event: TurnEvent): ShownTurn {
  if (event.name === "connection") return { ...shown, connection: event.data };
  if (event.name === "turn" || event.name === "turn.ended") return withTurn(shown, event.data);
  if (shown.ended) return shown;
  switch (event.name) {
    case "plan":
      return withPlan(shown, event.data);
    case "reply.started": {
      const known = shown.replies[event.data.position];
      // A later attempt takes the place of a reply that was told and not stored.
      if (known && known.state !== "waiting" && event.data.attempt <= known.attempt) return shown;
      return withReply(shown, event.data.position, {
        agentKey: event.data.agent_key,
        name: event.data.name,
        modelAlias: event.data.model_alias,
        attempt: event.data.attempt,
        text: "",
        state: "writing",
        reply: null,
      });
    }
    case "reply.delta": {
      const known = shown.replies[event.data.position];
      if (known?.state !== "writing") return shown;
      return withReply(shown, event.data.position, { text: known.text + event.data.text });
    }
    case "reply.reset":
      if (shown.replies[event.data.position]?.state !== "writing") return shown;
      return withReply(shown, event.data.position, { text: "" });
    case "reply.completed":
      return withReply(shown, event.data.position, completed(event.data));
  }
}

/** The chair's position in mode `council`. */
export function chairPosition(shown: ShownTurn): number | null {
  if (shown.turn?.mode !== "council" || !shown.plan) return null;
  return shown.plan.selected_agent_keys.length - 1;
}

function withTurn(shown: ShownTurn, turn: Turn): ShownTurn {
  const ended = shown.ended || ENDED.includes(turn.status);
  // A turn that has ended does not begin again.
  if (shown.ended && !ENDED.includes(turn.status)) return shown;
  const base = { ...shown, message: turn.message, turn, ended };
  const planned = turn.plan ? withPlan(base, turn.plan) : base;
  const told = turn.replies.reduce((now, reply) => withReply(now, reply.position, completed(reply)), planned);
  // The stored turn has every reply that it will ever have.
  const replies = ended ? told.replies.filter((each) => each.reply !== null) : told.replies;
  return { ...told, replies, connection: ended ? "back" : told.connection };
}

function withPlan(shown: ShownTurn, plan: Plan): ShownTurn {
  const replies = plan.selected_agent_keys.map(
    (key, position) => shown.replies[position] ?? { ...waiting(position), agentKey: key },
  );
  return { ...shown, plan, replies: [...replies, ...shown.replies.slice(replies.length)] };
}

function withReply(shown: ShownTurn, position: number, change: Partial<ShownReply>): ShownTurn {
  const replies = [...shown.replies];
  while (replies.length <= position) replies.push(waiting(replies.length));
  replies[position] = { ...(replies[position] ?? waiting(position)), ...change };
  return { ...shown, replies };
}

function completed(reply: Reply): Partial<ShownReply> {
  return {
    agentKey: reply.agent_key,
    name: reply.name,
    modelAlias: reply.model_alias,
    text: reply.text ?? "",
    state: "ended",
    reply,
  };
}

function waiting(position: number): ShownReply {
  return {
    position,
    agentKey: "",
    name: null,
    modelAlias: null,
    attempt: 0,
    text: "",
    state: "waiting",
    reply: null,
  };
}
