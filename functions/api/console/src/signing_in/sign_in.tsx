import { Icon } from "../parts/icons.tsx";
import { signingIn } from "../strings.ts";
import { Offer } from "./offer.tsx";
import { config, failure, signInByIssuer } from "./session.ts";
import { TokenForm } from "./token_form.tsx";

export function SignIn() {
  const byIssuer = Boolean(config.value?.issuer && config.value.client_id);
  return (
    <main class="sign-in stack">
      <h1>
        <Icon name="temple" />
        {signingIn.title}
      </h1>
      <Offer />
      {failure.value && (
        <p class="note bad" role="alert">
          {signingIn.failed(failure.value)}
        </p>
      )}
      {byIssuer ? (
        <button type="button" class="primary" onClick={signInByIssuer}>
          {signingIn.byIssuer}
        </button>
      ) : (
        <Otherwise />
      )}
      <p class="muted">{signingIn.orToken}</p>
      <TokenForm />
    </main>
  );
}

/** How people sign in without an issuer. */
function Otherwise() {
  if (config.value?.stage !== "local") return <p>{signingIn.noClient}</p>;
  return (
    <>
      <p>{signingIn.byLink}</p>
      <p class="muted">
        {signingIn.newLink} <code>{signingIn.command}</code>
      </p>
    </>
  );
}
