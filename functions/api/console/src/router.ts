/** Addresses inside the console: `#/sessions/ID?name=value`. */
import { signal } from "@preact/signals";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export const route = signal<Route>(read());

/** Says of an address whether the open page holds the reader back from going there. */
type Guard = (address: string) => boolean;

let guard: Guard | null = null;

addEventListener("hashchange", (event) => {
  if (guard?.(location.hash)) history.replaceState(null, "", event.oldURL);
  else route.value = read();
});

/** Ask `asked` before the page is left. The answer is the way to stop asking. */
export function guardLeaving(asked: Guard): () => void {
  guard = asked;
  return () => {
    if (guard === asked) guard = null;
  };
}

/** Write an address. Empty values are left out. */
export function href(path: string, query: Record<string, string | null | undefined> = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) given.set(name, value);
  }
  const text = given.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

export function go(address: string): void {
  location.hash = address;
}

/** Change the address without an entry in the history. */
export function replace(address: string): void {
  history.replaceState(null, "", address);
  route.value = read();
}

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
