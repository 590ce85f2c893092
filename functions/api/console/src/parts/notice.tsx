/** Tell that something was done. The sentence stays on the page that it is for, also if that page opens only then. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { route } from "../router.ts";

const told = signal<{ text: string; path: string; number: number } | null>(null);
let count = 0;

/** Show a sentence on the page at `path`, such as `agents/writer`; without it, on the page that is open. */
export function tell(text: string, path = route.peek().path.join("/")): void {
  count += 1;
  told.value = { text, path, number: count };
}

export function tellNothing(): void {
  told.value = null;
}

export function Notice() {
  const { value } = told;
  const mine = value?.path === route.value.path.join("/") ? value : null;
  // A screen reader reads what changes in a region that it knows already.
  const [shown, setShown] = useState<typeof mine>(null);
  useEffect(() => {
    const timer = setTimeout(() => setShown(mine), 50);
    return () => clearTimeout(timer);
  }, [mine]);
  return (
    <div role="status" class="notice">
      {shown && <p class="note good">{shown.text}</p>}
    </div>
  );
}
