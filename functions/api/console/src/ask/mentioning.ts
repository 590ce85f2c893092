/** Drive the list of agents that opens after an `@` in the message box. */
import type { RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent } from "../api/types.ts";
import { fitting, inserted, mentionAt } from "./mention.ts";

export interface Mentioning {
  agents: readonly Agent[];
  /** The index of the agent that Enter inserts; -1 is none. */
  active: number;
  listId: string;
  optionId: (index: number) => string;
  insert: (agent: Agent) => void;
  /** The caret may be elsewhere now. */
  moved: () => void;
  close: () => void;
  /** Whether the list takes this key. */
  takes: (event: KeyboardEvent) => boolean;
  /** Attributes of the box. */
  box: Record<string, string>;
}

export function useMention(
  box: RefObject<HTMLTextAreaElement | null>,
  text: string,
  agents: readonly Agent[],
  write: (text: string) => void,
): Mentioning {
  const listId = useId();
  const [caret, setCaret] = useState<number | null>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  const closedAt = useRef<number | null>(null);
  const wanted = useRef<number | null>(null);
  const mention = caret === null ? null : mentionAt(text, caret);
  const open = mention && mention.start !== closedAt.current ? mention : null;
  const found = open ? fitting(agents, open.typed) : [];
  // A key that is typed out needs no completion, so Enter sends the message.
  const isWhole = found.some((agent) => agent.key === open?.typed);
  const active = Math.min(chosen ?? (isWhole ? -1 : 0), found.length - 1);
  useLayoutEffect(() => {
    if (wanted.current === null) return;
    box.current?.setSelectionRange(wanted.current, wanted.current);
    wanted.current = null;
  }, [text]);
  const moved = () => {
    const now = box.current?.selectionStart ?? null;
    if (now === caret) return;
    const next = now === null ? null : mentionAt(box.current?.value ?? "", now);
    if (next?.start !== closedAt.current) closedAt.current = null;
    if (next?.typed !== mention?.typed) setChosen(null);
    setCaret(now);
  };
  const insert = (agent: Agent) => {
    if (!open) return;
    const next = inserted(text, open, agent.key);
    wanted.current = next.caret;
    setCaret(null);
    setChosen(null);
    write(next.text);
    box.current?.focus();
  };
  const takes = (event: KeyboardEvent) => {
    if (!found.length) return false;
    const agent = found[active];
    if (event.key === "ArrowDown") setChosen((active + 1) % found.length);
    else if (event.key === "ArrowUp") setChosen((active <= 0 ? found.length : active) - 1);
    else if (event.key === "Escape") {
      closedAt.current = open?.start ?? null;
      setChosen(null);
      setCaret(null);
    } else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey && agent) insert(agent);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  const optionId = (index: number) => `${listId}-${index}`;
  const attributes: Record<string, string> = { "aria-autocomplete": "list" };
  if (found.length) {
    attributes["aria-controls"] = listId;
    if (active >= 0) attributes["aria-activedescendant"] = optionId(active);
  }
  const close = () => setCaret(null);
  return { agents: found, active, listId, optionId, insert, moved, close, takes, box: attributes };
}
