/** Keep drafts and unanswered messages across a reload, in the tab and for each user. */
import { signal } from "@preact/signals";
import type { NewTurn } from "../api/turn_events.ts";
import { me } from "../signing_in/session.ts";
import { read, write } from "../signing_in/tab_storage.ts";

/** A message under the key that it is posted with, however often. */
export interface Pending {
  key: string;
  turn: NewTurn;
}

/** It grows when a draft changes elsewhere than in the box, so that the box shows it. */
export const draftsVersion = signal(0);

/** `room` is a session's id, or `new`. */
export function draftOf(room: string): string {
  return read(place("draft", room)) ?? "";
}

export function keepDraft(room: string, text: string): void {
  write(place("draft", room), text || null);
}

/** Empty the box, because its message is on its way. */
export function clearDraft(room: string): void {
  keepDraft(room, "");
  draftsVersion.value += 1;
}

/** Put a refused message back, before what was typed since. */
export function giveBack(room: string, message: string): void {
  const typed = draftOf(room);
  keepDraft(room, typed.trim() && typed !== message ? `${message}\n\n${typed}` : message);
  draftsVersion.value += 1;
}

export function pendingOf(sessionId: string): Pending | null {
  const kept = read(place("pending", sessionId));
  return kept === null ? null : (JSON.parse(kept) as Pending);
}

export function keepPending(sessionId: string, pending: Pending | null): void {
  write(place("pending", sessionId), pending && JSON.stringify(pending));
}

function place(kind: string, room: string): string {
  const { tenant_id = "", user_id = "" } = me.value ?? {};
  // Users of two tenants may have the same id.
  return ["pantheon", kind, encodeURIComponent(tenant_id), encodeURIComponent(user_id), room].join(".");
}
