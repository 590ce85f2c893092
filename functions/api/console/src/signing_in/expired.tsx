import { signingIn } from "../strings.ts";
import { config, failure, signInByIssuer } from "./session.ts";
import { expired } from "./token.ts";
import { TokenForm } from "./token_form.tsx";

/** Say that the token has expired, and sign in again without losing the page. */
export function Expired() {
  if (!expired.value) return null;
  return (
    <div class="note warn" role="alert">
      <p>{signingIn.expired}</p>
      {failure.value && <p>{signingIn.failed(failure.value)}</p>}
      {config.value?.issuer ? (
        <button type="button" class="primary" onClick={signInByIssuer}>
          {signingIn.again}
        </button>
      ) : (
        <TokenForm />
      )}
    </div>
  );
}
