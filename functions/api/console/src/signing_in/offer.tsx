import { signingIn } from "../strings.ts";
import { acceptOffer, offered, refuseOffer } from "./session.ts";

/** Ask before a link signs the user in. */
export function Offer() {
  if (!offered.value) return null;
  const { me } = offered.value;
  return (
    <div class="note warn" role="alert">
      <p>{signingIn.offer(me.email ?? me.user_id, me.tenant_id)}</p>
      <p>{signingIn.offerAdvice}</p>
      <p class="row">
        <button type="button" onClick={refuseOffer}>
          {signingIn.refuse}
        </button>
        <button type="button" onClick={acceptOffer}>
          {signingIn.accept}
        </button>
      </p>
    </div>
  );
}
