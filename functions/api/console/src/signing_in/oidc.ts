/** Sign in by OpenID Connect: authorization code with PKCE, as a public client. */
import * as oauth from "oauth4webapi";
import { here } from "../base.ts";
import { signingIn } from "../strings.ts";
import type { Config } from "./session.ts";
import { read, write } from "./tab_storage.ts";

type Issuer = Config & { issuer: string; client_id: string };

interface Started {
  verifier: string;
  state: string;
  nonce: string;
  address: string;
}

const PLACE = "pantheon.signing_in";

/** Go to the issuer's page. `address` is where to be afterwards. */
export async function leave(issuer: Issuer, address: string): Promise<void> {
  const server = await serverOf(issuer);
  if (!server.authorization_endpoint) throw new Error(signingIn.noPage);
  const started: Started = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    address,
  };
  write(PLACE, JSON.stringify(started));
  const page = new URL(server.authorization_endpoint);
  const asked = {
    client_id: issuer.client_id,
    redirect_uri: here,
    response_type: "code",
    scope: issuer.scope ?? "openid email",
    state: started.state,
    nonce: started.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(started.verifier),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(asked)) page.searchParams.set(name, value);
  location.assign(page);
}

/** The ID token, and the address that `leave` was given. */
export async function complete(issuer: Issuer, answer: URL): Promise<[string, string]> {
  const kept = read(PLACE);
  write(PLACE, null);
  if (!kept) throw new Error(signingIn.notBegun);
  const started = JSON.parse(kept) as Started;
  try {
    return [await exchange(issuer, answer, started), started.address || "#/"];
  } catch (error) {
    throw new Error(wordsOf(error), { cause: error });
  }
}

/** Exchange the code for the ID token. */
async function exchange(issuer: Issuer, answer: URL, started: Started): Promise<string> {
  const [server, client] = [await serverOf(issuer), { client_id: issuer.client_id }];
  const parameters = oauth.validateAuthResponse(server, client, answer, started.state);
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    parameters,
    here,
    started.verifier,
    { [oauth.allowInsecureRequests]: isLocal(server.token_endpoint ?? issuer.issuer) },
  );
  const result = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: started.nonce,
    requireIdToken: true,
  });
  if (!result.id_token) throw new Error(signingIn.noIdToken);
  return result.id_token;
}

/** Return the reason why an answer of the issuer does not sign in. */
function wordsOf(error: unknown): string {
  if (error instanceof oauth.AuthorizationResponseError || error instanceof oauth.ResponseBodyError) {
    return signingIn.refused(error.error_description ?? error.error);
  }
  // `fetch` throws a TypeError when no answer comes.
  if (error instanceof TypeError && !("code" in error)) return signingIn.unreachable;
  return signingIn.unusable(error instanceof Error ? error.message : String(error));
}

async function serverOf(issuer: Issuer): Promise<oauth.AuthorizationServer> {
  if (issuer.authorization_endpoint && issuer.token_endpoint) {
    return {
      issuer: issuer.issuer,
      authorization_endpoint: issuer.authorization_endpoint,
      token_endpoint: issuer.token_endpoint,
    };
  }
  const at = new URL(issuer.issuer);
  const response = await oauth.discoveryRequest(at, {
    [oauth.allowInsecureRequests]: isLocal(issuer.issuer),
  });
  return oauth.processDiscoveryResponse(at, response);
}

/** Only an endpoint on this machine may be without TLS. */
function isLocal(endpoint: string): boolean {
  return ["127.0.0.1", "localhost", "[::1]"].includes(new URL(endpoint).hostname);
}
