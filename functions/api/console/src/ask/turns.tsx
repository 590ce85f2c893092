import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Turn } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { ask } from "../strings.ts";
import { stored } from "./live_turn.ts";
import type { Running } from "./running.ts";
import { roomOf } from "./sticking.ts";
import type { StoredTurns } from "./stored_turns.ts";
import { TurnView } from "./turn_view.tsx";
import type { NameOf } from "./wording.ts";

interface Turns {
  sessionId: string;
  turns: StoredTurns;
  nameOf: NameOf;
  running: Running | null;
}

/** The stored turns, and after them the turn that runs. */
export function TurnList({ sessionId, turns, nameOf, running }: Turns) {
  const shown = running?.shown.value ?? null;
  const past = turns.turns.value.filter((turn) => turn.id !== shown?.turn?.id);
  const newest = shown ? null : past.at(-1)?.id;
  return (
    <>
      <Earlier turns={turns} first={past[0]?.id} />
      <ol class="turn-list">
        {past.map((turn) => (
          <li key={turn.id}>
            <StoredTurn turn={turn} nameOf={nameOf} isNewest={turn.id === newest} />
          </li>
        ))}
        {shown && (
          <li key={shown.turn?.id ?? "sent"}>
            <TurnView
              shown={shown}
              nameOf={nameOf}
              isNewest
              sessionId={sessionId}
              problem={running?.problem.value ?? null}
            />
          </li>
        )}
      </ol>
    </>
  );
}

/** A turn that is not drawn again while another one grows. */
function StoredTurn({ turn, nameOf, isNewest }: { turn: Turn; nameOf: NameOf; isNewest: boolean }) {
  const shown = useMemo(() => stored(turn), [turn]);
  return useMemo(() => <TurnView shown={shown} nameOf={nameOf} isNewest={isNewest} />, [shown, isNewest]);
}

/** Load earlier turns by the button, or by scrolling up to it, and keep the scroll position. */
function Earlier({ turns, first }: { turns: StoredTurns; first: string | undefined }) {
  const place = useRef<HTMLDivElement>(null);
  const fromEnd = useRef<number | null>(null);
  const load = () => {
    const room = roomOf(place.current);
    fromEnd.current = room ? room.scrollHeight - room.scrollTop : null;
    void turns.more();
  };
  useLayoutEffect(() => {
    const room = roomOf(place.current);
    if (room && fromEnd.current !== null) room.scrollTop = room.scrollHeight - fromEnd.current;
    fromEnd.current = null;
  }, [first]);
  const hasMore = turns.hasMore.value;
  useEffect(() => {
    const [edge, room] = [place.current, roomOf(place.current)];
    if (!edge || !room || !hasMore) return;
    const scrolled = () => {
      if (edge.getBoundingClientRect().bottom > room.getBoundingClientRect().top) load();
    };
    room.addEventListener("wheel", scrolled, { passive: true });
    room.addEventListener("touchmove", scrolled, { passive: true });
    return () => {
      room.removeEventListener("wheel", scrolled);
      room.removeEventListener("touchmove", scrolled);
    };
  }, [hasMore]);
  return (
    <div ref={place} class="earlier">
      {turns.problem.value && <ErrorNote problem={turns.problem.value} retry={() => void turns.refresh()} />}
      {turns.busy.value && !turns.loaded.value && <Loading />}
      {hasMore && (
        <button type="button" class="plain small" aria-disabled={turns.busy.value} onClick={load}>
          {ask.earlier}
        </button>
      )}
    </div>
  );
}
