import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Markdown } from "../parts/markdown.tsx";

const PAUSE_MS = 80;

/** Markdown that grows. It is read again after a pause, and a long text after a longer one. */
export function Growing({ text, grows }: { text: string; grows: boolean }) {
  const [seen, setSeen] = useState(text);
  const newest = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const took = useRef(0);
  newest.current = text;
  useEffect(() => {
    if (timer.current !== undefined || seen === text) return;
    timer.current = setTimeout(
      () => {
        timer.current = undefined;
        const began = performance.now();
        setSeen(newest.current);
        requestAnimationFrame(() => {
          took.current = performance.now() - began;
        });
      },
      Math.max(PAUSE_MS, took.current * 4),
    );
  }, [text, seen]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const drawn = grows ? seen : text;
  return useMemo(() => <Markdown text={drawn} />, [drawn]);
}
