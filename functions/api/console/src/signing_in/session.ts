/** Who is signed in, and how people sign in here. */
import { signal } from "@preact/signals";
import { api, ok } from "../api/client.ts";
import { Problem } from "../api/problem.ts";
import type { Me } from "../api/types.ts";
import { base, here } from "../base.ts";
import { replace } from "../router.ts";
import { parts, signingIn } from "../strings.ts";
import { drop, expired, forget, keep, token } from "./token.ts";

export interface Config {
  stage: string;
  version: string;
  issuer: string | null;
  client_id: string | null;
  scope: string | null;
  authorization_endpoint: string | null;
  token_endpoint: string | null;
  end_session_endpoint: string | null;
}

export const config = signal<Config | null>(null);
export const me = signal<Me | null>(null);
/** Why signing in failed, in the words of the API or the issuer. */
export const failure = signal<string | null>(null);

/** Take the token from the address or the issuer, and find out whose it is. */
export async function begin(): Promise<void> {
  takeFromAddress();
  // The link may be opened in a tab that shows the console already.
  addEventListener("hashchange", () => {
    if (takeFromAddress()) void signInBy(token.value ?? "");
  });
  try {
    config.value = (await (await fetch(`${base}/console/config.json`)).json()) as Config;
    if (new URLSearchParams(location.search).has("state")) await completeSignIn();
    if (token.value) await identify();
  } catch (error) {
    failure.value = wordsOf(error);
  }
}

/** Sign in by a token or an API key that somebody pasted. */
export async function signInBy(pasted: string): Promise<void> {
  failure.value = null;
  keep(pasted.trim());
  try {
    await identify();
  } catch (error) {
    failure.value = wordsOf(error);
  }
}

/** Go to the issuer. The page comes back to the address inside the console that it is at now. */
export async function signInByIssuer(): Promise<void> {
  failure.value = null;
  try {
    const { leave } = await import("./oidc.ts");
    await leave(issuerOf(config.value), location.hash);
  } catch (error) {
    failure.value = wordsOf(error);
  }
}

export async function signOut(): Promise<void> {
  const goodbye = config.value?.end_session_endpoint;
  const client = config.value?.client_id;
  forget();
  me.value = null;
  if (goodbye && client) {
    const address = new URL(goodbye);
    address.searchParams.set("client_id", client);
    // Cognito reads `logout_uri`, the standard is `post_logout_redirect_uri`.
    address.searchParams.set("logout_uri", here);
    address.searchParams.set("post_logout_redirect_uri", here);
    location.assign(address);
  } else {
    location.hash = "#/";
  }
}

export function isAdmin(): boolean {
  return me.value?.roles.includes("admin") ?? false;
}

async function identify(): Promise<void> {
  try {
    me.value = await ok(api.GET("/api/v1/auth/me"));
    expired.value = false;
  } catch (error) {
    // Other errors pass. A token that does not count is of no use. On an open page, somebody can try another one.
    if (error instanceof Problem && error.status === 401 && !me.value) drop();
    throw error;
  }
}

async function completeSignIn(): Promise<void> {
  const answer = new URL(location.href);
  // Also an answer that signs nobody in must leave the address.
  replace(`${here}#/`);
  const { complete } = await import("./oidc.ts");
  const [given, address] = await complete(issuerOf(config.value), answer);
  replace(here + address);
  keep(given);
}

function wordsOf(error: unknown): string {
  if (error instanceof Problem && error.status === 401) return signingIn.badToken;
  // `fetch` throws a TypeError when no answer comes.
  if (error instanceof TypeError || (error instanceof Problem && error.isOffline)) return parts.offlineAdvice;
  return error instanceof Error ? error.message : String(error);
}

/** Whether the address had a token. */
function takeFromAddress(): boolean {
  const given = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (given === undefined) return false;
  replace(`${location.pathname}#/`);
  keep(decodeURIComponent(given));
  return true;
}

function issuerOf(found: Config | null): Config & { issuer: string; client_id: string } {
  if (!found?.issuer || !found.client_id) throw new Error(signingIn.noIssuer);
  return { ...found, issuer: found.issuer, client_id: found.client_id };
}
