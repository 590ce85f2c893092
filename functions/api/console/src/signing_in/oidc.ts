/** Sign in by OpenID Connect: authorization code with PKCE, as a public client. */
import * as oauth from "oauth4webapi";
import { here } from "../base.ts";
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
  if (!server.authorization_endpoint) throw new Error("The issuer names no page to sign in at.");
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
  if (!kept) throw new Error("This tab has not begun to sign in. Sign in again.");
  const started = JSON.parse(kept) as Started;
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
  if (!result.id_token) throw new Error("The issuer sent no ID token.");
  return [result.id_token, started.address || "#/"];
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

/** Only an address on this machine may be without TLS. */
function isLocal(address: string): boolean {
  return ["127.0.0.1", "localhost", "[::1]"].includes(new URL(address).hostname);
}
