import { useEffect, useRef, useState } from "preact/hooks";

/** The width of an element in CSS pixels, so that a drawing fits without scaling its text. */
export function useWidth<Place extends HTMLElement>(first: number) {
  const place = useRef<Place>(null);
  const [width, setWidth] = useState(first);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setWidth(Math.floor(entry.contentRect.width));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [place, width] as const;
}
