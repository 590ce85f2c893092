/** Keep the newest text in view, unless the reader has scrolled up. */
import type { RefObject } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

const NEAR_PX = 48;
/** The page has scrolled up by itself. A scroll event alone may hide that behind text that grew. */
const LEFT = "left-the-newest";

export interface Stick {
  /** Whether the reader has scrolled away from the newest text. */
  isAway: boolean;
  jump: () => void;
}

export function useStick(content: RefObject<HTMLElement | null>, ready: boolean): Stick {
  const sticks = useRef(true);
  const [isAway, setAway] = useState(false);
  const jump = useCallback(() => {
    sticks.current = true;
    setAway(false);
    const room = roomOf(content.current);
    room?.scrollTo({ top: room.scrollHeight });
  }, []);
  useEffect(() => {
    const [inside, room] = [content.current, roomOf(content.current)];
    if (!inside || !room) return;
    let top = room.scrollTop;
    const scrolled = () => {
      // Growing text moves the end away without a move of the reader.
      if (room.scrollTop < top - 1) sticks.current = false;
      if (isAtEnd(room)) sticks.current = true;
      top = room.scrollTop;
      setAway(!sticks.current);
    };
    const left = () => {
      sticks.current = false;
      setAway(true);
    };
    const grown = new ResizeObserver(() => {
      if (sticks.current) room.scrollTop = room.scrollHeight;
    });
    grown.observe(inside);
    room.addEventListener("scroll", scrolled, { passive: true });
    room.addEventListener(LEFT, left);
    return () => {
      grown.disconnect();
      room.removeEventListener("scroll", scrolled);
      room.removeEventListener(LEFT, left);
    };
  }, []);
  useEffect(() => {
    if (ready) jump();
  }, [ready]);
  return { isAway, jump };
}

/** Bring an element that is above into view, if the reader follows the newest text. */
export function showFollower(element: HTMLElement | null): void {
  const room = roomOf(element);
  if (!element || !room || !isAtEnd(room)) return;
  const above = element.getBoundingClientRect().top - room.getBoundingClientRect().top - NEAR_PX;
  if (above >= 0) return;
  room.dispatchEvent(new Event(LEFT));
  room.scrollBy({ top: above });
}

function isAtEnd(room: HTMLElement): boolean {
  return room.scrollHeight - room.scrollTop - room.clientHeight < NEAR_PX;
}

/** The element that scrolls. */
export function roomOf(inside: HTMLElement | null): HTMLElement | null {
  return inside?.closest("main") ?? null;
}
