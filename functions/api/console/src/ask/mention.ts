/** Complete an agent's key after an `@` in the message. */

export interface Mentionable {
  key: string;
  name: string;
}

/** An `@` before the caret and the text after it, which says who is meant. */
export interface Mention {
  start: number;
  end: number;
  typed: string;
}

const MOST = 8;

/** The mention that the caret is in. An `@` inside a word, as in an e-mail address, begins none. */
export function mentionAt(text: string, caret: number): Mention | null {
  const typed = /(?:^|[^\p{L}\p{N}_@])@([\p{L}\p{N}_-]*)$/u.exec(text.slice(0, caret))?.[1];
  return typed === undefined ? null : { start: caret - typed.length - 1, end: caret, typed };
}

/** The agents that fit, those first whose key or name begins with the typed text. */
export function fitting<Agent extends Mentionable>(agents: readonly Agent[], typed: string): Agent[] {
  const wanted = typed.toLowerCase();
  const words = (agent: Agent) => [agent.key.toLowerCase(), agent.name.toLowerCase()];
  const begins = agents.filter((agent) => words(agent).some((word) => word.startsWith(wanted)));
  const has = agents.filter((agent) => words(agent).some((word) => word.includes(wanted)));
  return [...new Set([...begins, ...has])].slice(0, MOST);
}

/** The text with the agent's key in place of the mention, and where the caret is then. */
export function inserted(text: string, mention: Mention, key: string): { text: string; caret: number } {
  const rest = text.slice(mention.end).replace(/^[\p{L}\p{N}_-]+/u, "");
  const before = `${text.slice(0, mention.start)}@${key} `;
  return { text: before + rest.replace(/^ /, ""), caret: before.length };
}
