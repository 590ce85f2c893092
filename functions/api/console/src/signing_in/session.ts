/** Hold the user's sign-in, and the ways to sign in to this deployment. */
import { batch, signal } from "@preact/signals";
import { api, ok } from "../api/client.ts";
import { Problem } from "../api/problem.ts";
import type { Me } from "../api/types.ts";
import { base, here } from "../base.ts";
import { replace } from "../router.ts";
import { parts, signingIn } from "../strings.ts";
import { tokenOf } from "./link.ts";
import { drop, forget, keep, keepForReload, token } from "./token.ts";

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

/** A token that a link brought, and whose it is. Nobody has agreed to it yet. */
export const offered = signal<{ token: string; me: Me } | null>(null);
let rounds = 0;
/** The code for a text that cannot be a token. */
const NO_TOKEN = "no_token";

/** Take the token from the address or the issuer, and find out whose it is. */
export async function begin(): Promise<void> {
  const [linked, answer] = [takeFromAddress(), takeAnswer()];
  // The link may be opened in a tab that shows the console already.
  addEventListener("hashchange", () => {
    const given = takeFromAddress();
    if (given !== null) void attempt(() => follow(given));
  });
  await attempt(loadConfig);
  if (answer) await attempt(() => completeSignIn(answer));
  else if (linked !== null) await attempt(() => follow(linked));
  if (!me.value && token.value) await attempt(identify);
}

/** Sign in with a pasted token or API key. */
export async function signInBy(pasted: string): Promise<void> {
  failure.value = null;
  await attempt(() => take(pasted.trim()));
}

/** Sign in by the token that a link brought. */
export async function acceptOffer(): Promise<void> {
  const { token: given } = offered.value ?? {};
  offered.value = null;
  if (given !== undefined) await signInBy(given);
}

export function refuseOffer(): void {
  offered.value = null;
}

/** Go to the issuer. The page comes back to the address inside the console that it is at now. */
export async function signInByIssuer(): Promise<void> {
  failure.value = null;
  await attempt(async () => {
    const { leave } = await import("./oidc.ts");
    await leave(issuerOf(config.value), location.hash);
  });
}

export async function signOut(): Promise<void> {
  const goodbye = config.value?.end_session_endpoint;
  const client = config.value?.client_id;
  rounds += 1;
  forget();
  me.value = null;
  offered.value = null;
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

/** Whether two answers are about one person. A user of another tenant may have the same id. */
export function isSamePerson(one: Me | null, other: Me | null): boolean {
  return one?.tenant_id === other?.tenant_id && one?.user_id === other?.user_id;
}

async function attempt(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    failure.value = wordsOf(error);
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof Problem && error.code === NO_TOKEN) return signingIn.noToken;
  if (isRefusal(error)) return signingIn.badToken;
  // `fetch` throws a TypeError when no answer comes.
  if (error instanceof TypeError || (error instanceof Problem && error.isOffline)) return parts.offlineAdvice;
  return error instanceof Error ? error.message : String(error);
}

async function identify(): Promise<void> {
  try {
    await take(token.value ?? "");
  } catch (error) {
    // Other errors pass. Drop a refused token, unless a page is open, where the user can try another one.
    if (isRefusal(error) && !me.value) drop();
    throw error;
  }
}

/**
 * Follow a link with a token. Anybody who has a token can write such a link, and a reader would then work for them. So
 * the reader is asked first, except on a stage without an issuer, where a link is the way to sign in.
 */
async function follow(given: string): Promise<void> {
  failure.value = null;
  if (config.value?.issuer === null) await takeOrKeep(given);
  else offered.value = { token: given, me: await whose(given) };
}

/** Use a token, and keep it for a reload if the API cannot answer now. */
async function takeOrKeep(given: string): Promise<void> {
  try {
    await take(given);
  } catch (error) {
    if (!me.value && !isRefusal(error)) keep(given);
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Problem && error.status === 401;
}

/** Use a token, once the API has said whose it is. */
async function take(given: string): Promise<void> {
  rounds += 1;
  const round = rounds;
  const found = await whose(given);
  // Somebody has signed out or used another token meanwhile.
  if (round === rounds) enter(given, found);
}

/** Open the page of a person. Another person gets a new page, so that nothing is shown or posted for the wrong one. */
function enter(given: string, found: Me): void {
  if (me.value && !isSamePerson(me.value, found)) {
    keepForReload(given);
    location.reload();
    return;
  }
  // Nobody hears of the token before it is known whose it is, or of the person before there is a token.
  batch(() => {
    offered.value = null;
    me.value = found;
    keep(given);
  });
}

async function whose(given: string): Promise<Me> {
  // No header can carry other characters.
  if (!/^[\x21-\x7e]+$/.test(given)) throw new Problem(401, { code: NO_TOKEN });
  return ok(api.GET("/api/v1/auth/me", { headers: { Authorization: `Bearer ${given}` } }));
}

async function completeSignIn(answer: URL): Promise<void> {
  const { complete } = await import("./oidc.ts");
  const [given, address] = await complete(issuerOf(config.value), answer);
  replace(here + address);
  await takeOrKeep(given);
}

async function loadConfig(): Promise<void> {
  config.value = (await (await fetch(`${base}/console/config.json`)).json()) as Config;
}

/** The issuer's answer. It leaves the address at once, whatever comes of it. */
function takeAnswer(): URL | null {
  const answer = new URL(location.href);
  if (!answer.searchParams.has("state")) return null;
  replace(location.pathname + location.hash);
  return answer;
}

/** The token of the address. It leaves the address at once. */
function takeFromAddress(): string | null {
  const given = tokenOf(location.hash);
  if (given !== null) replace(`${location.pathname}#/`);
  return given;
}

function issuerOf(found: Config | null): Config & { issuer: string; client_id: string } {
  if (!found?.issuer || !found.client_id) throw new Error(signingIn.noIssuer);
  return { ...found, issuer: found.issuer, client_id: found.client_id };
}
