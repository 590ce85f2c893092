/** Keep values of this tab across a reload. Without storage or room in it, they last until the reload. */

const spare = new Map<string, string>();

export function read(at: string): string | null {
  const kept = spare.get(at);
  if (kept !== undefined) return kept;
  try {
    return sessionStorage.getItem(at);
  } catch {
    return null;
  }
}

/** Keep a text, or remove it with `null`. */
export function write(at: string, text: string | null): void {
  spare.delete(at);
  try {
    // The text before must not come back if there is no room for this one.
    sessionStorage.removeItem(at);
    if (text !== null) sessionStorage.setItem(at, text);
  } catch {
    if (text !== null) spare.set(at, text);
  }
}

/** Forget everything. */
export function clear(): void {
  spare.clear();
  try {
    sessionStorage.clear();
  } catch {
    // There is nothing to forget.
  }
}
