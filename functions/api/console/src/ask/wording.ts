/** Say in plain words what a turn did, and why. */
import type { Turn } from "../api/types.ts";
import { ask } from "../strings.ts";
import { chairPosition, type ShownReply, type ShownTurn } from "./live_turn.ts";

export type NameOf = (key: string) => string;
type Fallback = Turn["fallbacks"][number];
type Sentence = (who: string) => string;
// A later release of the API may have values that have no sentence here.
const { council: _, ...plans } = ask.plans;
const planSentences: Partial<Record<string, Sentence>> = plans;
const { ended: _ended, turnFailed: _failed, cancelled: _cancelled, ...announced } = ask.announced;
const sentences: Partial<Record<string, Sentence>> = announced;

/** `Writer, Critic and Planner`. */
export function listed(names: readonly string[]): string {
  if (names.length < 2) return names[0] ?? "";
  return ask.and(names.slice(0, -1).join(", "), names.at(-1) ?? "");
}

/** Describe which agents answer, and why. */
export function planWords(shown: ShownTurn, nameOf: NameOf): string {
  if (!shown.plan) return "";
  const { source, selected_agent_keys: keys } = shown.plan;
  const names = keys.map((key, position) => shown.replies[position]?.name ?? nameOf(key));
  if (chairPosition(shown) !== null) {
    const [members, chair] = [names.slice(0, -1), names.at(-1) ?? ""];
    return ask.plans.council(listed(members), chair, members.length);
  }
  return (planSentences[source] ?? ask.otherPlan)(listed(names));
}

export function unknownTagWords(shown: ShownTurn): string {
  const tags = shown.plan?.unknown_tags ?? [];
  return tags.length ? ask.unknownTags(listed(tags.map((tag) => `@${tag}`))) : "";
}

/** Return the sentence for a code of the API, or the API's own sentence for an unknown code. */
export function codeWords(code: string, detail = ""): string {
  const field = /^invalid_field:(.+)$/.exec(code)?.[1];
  if (field) return ask.invalidField(field);
  return ask.codes[code] ?? (detail || code);
}

export function fallbackWords(fallback: Fallback): string {
  const sentence = ask.fallbacks[fallback.component] ?? ask.otherFallback(fallback.component);
  return ask.because(sentence, codeWords(fallback.reason));
}

/** Each kind of fallback once. */
export function fallbackLines(fallbacks: readonly Fallback[]): string[] {
  const counts = new Map<string, number>();
  for (const words of fallbacks.map(fallbackWords)) counts.set(words, (counts.get(words) ?? 0) + 1);
  return [...counts].map(([words, count]) => (count > 1 ? ask.times(words, count) : words));
}

/** The state of a reply in one word. */
export function stateOf(reply: ShownReply): keyof typeof ask.states {
  return reply.reply?.status ?? (reply.state === "writing" ? "writing" : "waiting");
}

/** Return the announcement of a screen reader for a change of a turn's state. */
export function announcement(before: ShownTurn, now: ShownTurn, nameOf: NameOf): string {
  if (now.connection !== before.connection && now.connection !== "back") return connectionWords(now);
  const said = now.replies.flatMap((reply) => {
    const [was, is] = [before.replies[reply.position], stateOf(reply)];
    if (is === "waiting" || (was && stateOf(was) === is)) return [];
    return sentences[is]?.(reply.name ?? nameOf(reply.agentKey)) ?? [];
  });
  if (now.ended && !before.ended) said.push(endWords(now.turn?.status));
  return said.join(" ");
}

export function connectionWords(shown: ShownTurn): string {
  if (shown.connection === "lost" && !shown.turn) return ask.connections.lostUnsent;
  return ask.connections[shown.connection];
}

function endWords(status: string | undefined): string {
  if (status === "cancelled") return ask.announced.cancelled;
  return status === "failed" ? ask.announced.turnFailed : ask.announced.ended;
}
