/** The token of this tab. It lives in sessionStorage, so a reload keeps it and another tab does not have it. */
import { signal } from "@preact/signals";
import { clear, read, write } from "./tab_storage.ts";

const PLACE = "pantheon.token";

export const token = signal<string | null>(read(PLACE));

/** The API refused the token. The page stays, so that nothing that was typed is lost. */
export const expired = signal(false);

export function keep(given: string): void {
  keepForReload(given);
  token.value = given;
  expired.value = false;
}

/** Keep a token that only the next page may use. */
export function keepForReload(given: string): void {
  write(PLACE, given);
}

export function expire(): void {
  if (token.value) expired.value = true;
}

/** Forget the token alone. Drafts stay for the person who signs in again. */
export function drop(): void {
  write(PLACE, null);
  token.value = null;
  expired.value = false;
}

/** Forget the token and everything else that this tab has kept. */
export function forget(): void {
  clear();
  token.value = null;
  expired.value = false;
}
