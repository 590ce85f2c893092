/** When an API key ends: a few choices, and whether it has ended. */
import type { ApiKey } from "../api/types.ts";

export type Expiry = "7" | "30" | "90" | "365" | "never";

export const EXPIRIES: readonly Expiry[] = ["7", "30", "90", "365", "never"];

const DAY_MS = 86_400_000;

/** The time of an expiry as the API takes it, null for none. */
export function expiresAt(expiry: Expiry, now: Date): string | null {
  if (expiry === "never") return null;
  return new Date(now.getTime() + Number(expiry) * DAY_MS).toISOString();
}

export type KeyState = "active" | "expired" | "revoked";

export function stateOf(key: Pick<ApiKey, "expires_at" | "revoked_at">, now: Date): KeyState {
  if (key.revoked_at !== null) return "revoked";
  if (key.expires_at !== null && new Date(key.expires_at) <= now) return "expired";
  return "active";
}
