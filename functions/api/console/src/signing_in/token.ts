/** The token of this tab. It lives in sessionStorage, so a reload keeps it and another tab does not have it. */
import { signal } from "@preact/signals";

const PLACE = "pantheon.token";

export const token = signal<string | null>(sessionStorage.getItem(PLACE));

/** The API refused the token. The page stays, so that nothing that was typed is lost. */
export const expired = signal(false);

export function keep(given: string): void {
  sessionStorage.setItem(PLACE, given);
  token.value = given;
  expired.value = false;
}

export function expire(): void {
  if (token.value) expired.value = true;
}

/** Forget the token alone. Drafts stay for the person who signs in again. */
export function drop(): void {
  sessionStorage.removeItem(PLACE);
  token.value = null;
  expired.value = false;
}

/** Forget the token and everything else that this tab has kept. */
export function forget(): void {
  sessionStorage.clear();
  token.value = null;
  expired.value = false;
}
