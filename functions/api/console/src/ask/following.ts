/** Follow the running turn of a session, also if another client has posted it. */
import { useComputed } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { sessionsChanged } from "../shell/sessions.ts";
import { pendingOf } from "./kept.ts";
import type { ShownTurn } from "./live_turn.ts";
import { forget, post, type Running, running, watch } from "./running.ts";
import type { StoredTurns } from "./stored_turns.ts";
import { isActive } from "./turn_list.ts";
import { announcement, type NameOf } from "./wording.ts";

export interface LiveTurn {
  running: Running | null;
  busy: boolean;
  post: (message: string) => void;
}

export function useLiveTurn(sessionId: string, turns: StoredTurns): LiveTurn {
  const own = running.value.get(sessionId) ?? null;
  // The page is drawn again when the turn ends, and not for every piece of text.
  const ended = useComputed(() => running.value.get(sessionId)?.shown.value.ended ?? true).value;
  const newest = turns.turns.value.at(-1);
  useEffect(() => {
    const pending = pendingOf(sessionId);
    if (pending && !running.value.has(sessionId)) post(sessionId, pending.turn, pending.key);
    void turns.refresh();
    return whenSeen(() => void turns.refresh());
  }, [sessionId, turns]);
  useEffect(() => {
    const turn = own?.shown.value.turn;
    if (!ended || !turn) return;
    turns.add(turn);
    forget(sessionId);
    // The session that was used last is the first of the list.
    sessionsChanged();
  }, [ended, own]);
  useEffect(() => {
    if (newest && isActive(newest) && !running.value.has(sessionId)) watch(sessionId, newest);
  }, [newest, own]);
  return { running: own, busy: !ended, post: (message) => post(sessionId, { message }) };
}

/** The last event, for a screen reader. */
export function useAnnouncement(shown: ShownTurn | null, nameOf: NameOf): string {
  const before = useRef<ShownTurn | null>(null);
  const [said, setSaid] = useState("");
  useEffect(() => {
    const last = before.current;
    before.current = shown;
    const news = last && shown ? announcement(last, shown, nameOf) : "";
    if (news) setSaid(news);
  }, [shown]);
  return said;
}

/** Call when the window gets the focus again. */
function whenSeen(call: () => void): () => void {
  const seen = () => {
    if (document.visibilityState === "visible") call();
  };
  addEventListener("focus", seen);
  document.addEventListener("visibilitychange", seen);
  return () => {
    removeEventListener("focus", seen);
    document.removeEventListener("visibilitychange", seen);
  };
}
