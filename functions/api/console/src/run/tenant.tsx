import { api, ok } from "../api/client.ts";
import { useLoaded } from "../api/loading.ts";
import type { Cap } from "../api/types.ts";
import { ErrorNote } from "../parts/error_note.tsx";
import { Loading } from "../parts/lazy.tsx";
import { usd } from "../parts/money.ts";
import { href } from "../router.ts";
import { run } from "../strings.ts";
import { CapForm } from "./cap_form.tsx";
import { Facts } from "./facts.tsx";

/** A tenant's month as its administrator sees it, and its cap. */
export function Tenant({ tenantId }: { tenantId: string }) {
  const path = { tenant_id: tenantId };
  const found = useLoaded(
    () => ok(api.GET("/api/v1/admin/tenants/{tenant_id}/cap", { params: { path } })),
    [tenantId],
  );
  return (
    <>
      <a class="back" href={href("operations/tenants")}>
        {run.backTo(run.operations.tenants.toLowerCase())}
      </a>
      <h2>{tenantId}</h2>
      {found.problem && <ErrorNote problem={found.problem} retry={found.reload} />}
      {!found.data && found.busy && <Loading />}
      {found.data && (
        <>
          <Month cap={found.data} />
          <CapForm cap={found.data} saved={() => void found.reload()} />
        </>
      )}
    </>
  );
}

function Month({ cap }: { cap: Cap }) {
  const words = run.operations;
  const { allowance } = cap;
  const limit = (amount: string | null) => (amount === null ? run.unlimited : usd(amount));
  return (
    <section class="card stack" aria-label={words.month(cap.period)}>
      <h3>{words.month(cap.period)}</h3>
      <Facts
        large
        facts={[
          [words.spentNow, usd(cap.spent_usd)],
          [words.held, usd(cap.held_usd)],
          [words.limit, limit(cap.limit_usd)],
          [words.capNow, limit(cap.cap_usd)],
        ]}
      />
      <h3>{words.allowanceNow}</h3>
      <Facts
        large
        facts={[
          [words.drawn, usd(allowance.drawn_usd)],
          [words.held, usd(allowance.held_usd)],
          [words.limit, usd(allowance.limit_usd)],
        ]}
      />
      <p class="muted small">{words.cap.unknownTenant}</p>
    </section>
  );
}
